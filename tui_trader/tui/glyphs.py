"""The characters that pictures are made of: sparklines, bars, arrows, candles.

Four sets: ``box`` (box-drawing, the default), ``block`` (for fonts whose heavy lines are thin), ``braille``
(twice as fine, for fonts that have its dots) and ``ascii`` (for a terminal that has nothing else). Every
glyph is one cell wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
from typing import Final, Literal

GlyphName = Literal["box", "block", "braille", "ascii"]

GLYPH_NAMES: Final[tuple[GlyphName, ...]] = ("box", "block", "braille", "ascii")

_BRAILLE: Final = 0x2800
#: The dots of a cell from top to bottom, in its left and its right column.
_LEFT_DOTS: Final = (0x01, 0x02, 0x04, 0x40)
_RIGHT_DOTS: Final = (0x08, 0x10, 0x20, 0x80)
#: Dots of a cell, across and down.
DOTS_ACROSS: Final = 2
DOTS_DOWN: Final = 4


class Half(IntEnum):
    """What a step of a cell of a candle's column shows: half of a cell, or with dots a quarter."""

    NONE = 0
    WICK = 1
    BODY = 2


@dataclass(frozen=True, slots=True)
class GlyphSet:
    """One set. ``candles[upper][lower]`` is a cell whose halves show that; ``average`` runs top to bottom.

    With ``dots`` candles and averages are drawn with the dots of a cell instead.
    """

    name: GlyphName
    up: str
    down: str
    flat: str
    cursor: str
    last: str
    ellipsis: str
    times: str
    bar_full: str
    bar_empty: str
    levels: str
    fill: str
    candles: tuple[tuple[str, str, str], tuple[str, str, str], tuple[str, str, str]]
    average: tuple[str, ...]
    entry_line: str
    stop_line: str
    session_line: str
    cross_line: str
    dots: bool = False

    @property
    def steps(self) -> int:
        """How finely a row is divided."""
        return DOTS_DOWN if self.dots else 2

    def arrow(self, change: float) -> str:
        """The arrow of a change's sign; ``flat`` for zero and NaN."""
        if change > 0:
            return self.up
        return self.down if change < 0 else self.flat

    def candle(self, *parts: Half) -> str:
        """A cell whose ``steps`` show these parts, top to bottom."""
        if not self.dots:
            upper, lower = parts
            return self.candles[upper][lower]
        # A wick is one dot wide, a body two.
        return dotted(
            sum(
                _LEFT_DOTS[step] | (_RIGHT_DOTS[step] if part is Half.BODY else 0)
                for step, part in enumerate(parts)
                if part is not Half.NONE
            )
        )

    def bar(self, fraction: float, width: int) -> str:
        """A gauge of ``width`` cells: something is shown from the first percent, and full means 100 %."""
        if width <= 0:
            return ""
        filled = 0
        if fraction >= 1:
            filled = width
        elif fraction > 0:
            filled = min(math.ceil(fraction * width), max(1, width - 1))
        return self.bar_full * filled + self.bar_empty * (width - filled)

    def level(self, fraction: float) -> str:
        """The vertical eighth for 0…1; the lowest is still visible."""
        steps = len(self.levels)
        return self.levels[min(steps - 1, max(0, int(fraction * steps)))]

    def sparkline(self, values: Sequence[float], width: int) -> str:
        """``values`` resampled to ``width`` cells; gaps (NaN) stay blank, a flat series is in the middle."""
        points = resample(values, width)
        finite = [point for point in points if math.isfinite(point)]
        if not finite:
            return " " * max(0, width)
        low, high = min(finite), max(finite)
        # Halved before subtracting: the span of two huge values must not overflow.
        span = high / 2 - low / 2
        middle = self.levels[(len(self.levels) - 1) // 2]
        return "".join(
            " "
            if not math.isfinite(point)
            else middle
            if span <= 0
            else self.level((point / 2 - low / 2) / span)
            for point in points
        )


def dotted(dots: int) -> str:
    """The braille cell with these dots; a blank without any."""
    return chr(_BRAILLE | dots) if dots else " "


def dot(across: int, down: int) -> int:
    """One dot of a cell, counted from its upper left."""
    return (_RIGHT_DOTS if across else _LEFT_DOTS)[down]


def resample(values: Sequence[float], width: int) -> list[float]:
    """``width`` points: averages of many values, straight lines between few."""
    count = len(values)
    if width <= 0 or not count:
        return []
    if count == width:
        return list(values)
    if count < width:
        if count == 1 or width == 1:
            return [values[0]] * width
        stride = (count - 1) / (width - 1)
        return [_between(values, index * stride) for index in range(width)]
    bounds = [index * count // width for index in range(width + 1)]
    return [_mean(values[start:end]) for start, end in pairwise(bounds)]


def _between(values: Sequence[float], position: float) -> float:
    left = min(int(position), len(values) - 1)
    share = position - left
    if share < 1e-9 or left + 1 >= len(values):
        return values[left]
    return values[left] * (1 - share) + values[left + 1] * share


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(value / len(finite) for value in finite) if finite else math.nan


_EIGHTHS: Final = "▁▂▃▄▅▆▇█"

_BOX: Final = GlyphSet(
    name="box",
    up="▲",
    down="▼",
    flat=" ",
    cursor="▶",
    last="◂",
    ellipsis="…",
    times="×",
    bar_full="▮",
    bar_empty="▯",
    levels=_EIGHTHS,
    fill="█",
    candles=((" ", "╷", "╻"), ("╵", "│", "╽"), ("╹", "╿", "┃")),
    average=("▔", "─", "▁"),
    entry_line="┄",
    stop_line="┈",
    session_line="┊",
    cross_line="╎",
)

_BLOCK: Final = GlyphSet(
    name="block",
    up="▲",
    down="▼",
    flat=" ",
    cursor="▶",
    last="◂",
    ellipsis="…",
    times="×",
    bar_full="█",
    bar_empty="░",
    levels=_EIGHTHS,
    fill="█",
    # No block has a thin half: where body and wick share a cell the body is shown.
    candles=((" ", "╷", "▄"), ("╵", "│", "▄"), ("▀", "▀", "█")),
    average=("▔", "─", "▁"),
    entry_line="┄",
    stop_line="┈",
    session_line="┊",
    cross_line="╎",
)

_DOTS: Final = replace(_BOX, name="braille", average=("⠉", "⠒", "⠤", "⣀"), dots=True)

_ASCII: Final = GlyphSet(
    name="ascii",
    up="^",
    down="v",
    flat=" ",
    cursor=">",
    last="<",
    ellipsis="~",
    times="x",
    bar_full="#",
    bar_empty="-",
    levels="_.-=+*%#",
    fill=":",
    candles=((" ", ",", "#"), ("'", "|", "#"), ("#", "#", "#")),
    average=("~", "~", "~"),
    entry_line="-",
    stop_line=".",
    session_line=":",
    cross_line="!",
)

_SETS: Final[Mapping[GlyphName, GlyphSet]] = {"box": _BOX, "block": _BLOCK, "braille": _DOTS, "ascii": _ASCII}


def glyph_set(name: GlyphName) -> GlyphSet:
    """The set of that name."""
    return _SETS[name]
