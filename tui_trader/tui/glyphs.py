"""The characters that pictures are made of: sparklines, bars, arrows, candles.

Three sets: ``box`` (box-drawing, the default), ``block`` (for fonts whose heavy lines are thin) and ``ascii``
(for a terminal that has nothing else). Every glyph is one cell wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Final, Literal

GlyphName = Literal["box", "block", "ascii"]

GLYPH_NAMES: Final[tuple[GlyphName, ...]] = ("box", "block", "ascii")


class Half(IntEnum):
    """What half of a cell of a candle's column shows."""

    NONE = 0
    WICK = 1
    BODY = 2


@dataclass(frozen=True, slots=True)
class GlyphSet:
    """One set. ``candles[upper][lower]`` is a cell whose halves show that; ``average`` runs top to bottom."""

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
    average: tuple[str, str, str]
    entry_line: str
    stop_line: str
    session_line: str

    def arrow(self, change: float) -> str:
        """The arrow of a change's sign; ``flat`` for zero and NaN."""
        if change > 0:
            return self.up
        return self.down if change < 0 else self.flat

    def candle(self, upper: Half, lower: Half) -> str:
        return self.candles[upper][lower]

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
)

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
)

_SETS: Final[Mapping[GlyphName, GlyphSet]] = {"box": _BOX, "block": _BLOCK, "ascii": _ASCII}


def glyph_set(name: GlyphName) -> GlyphSet:
    """The set of that name."""
    return _SETS[name]
