"""An equity curve as text: pure functions from points to lines of toned runs.

Top to bottom: the curve as an area, its falls from the peak as bars, the dates.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from tui_trader.core.calendar import NEW_YORK
from tui_trader.tui.formats import dollars, percent
from tui_trader.tui.glyphs import GlyphSet
from tui_trader.tui.widgets.chart_render import Line, Run, Tone, merge_runs
from tui_trader.tui.widgets.chart_scale import Scale, price_ticks

if TYPE_CHECKING:
    from tui_trader.backtest.worker.messages import CurvePoint

_PADDING: Final = 0.06
_FLAT_SHARE: Final = 0.002
_LEAST_PLOT: Final = 12
_LABEL_GAP: Final = 2
_TIME_GAP: Final = 7  # between times of day, of which every column has another
_DAY_S: Final = 86_400
_YEARLY_FROM_DAYS: Final = 300
#: Beyond this arithmetic on money could overflow; NaN is not drawable either.
_BOUND: Final = 1e15
_FALLS_FROM: Final = 7
_TALL_FALLS_FROM: Final = 14


class Column(NamedTuple):
    """What one column of the plot stands for: a span of trading time from ``time`` on."""

    time: int
    value: float
    fall: float


@dataclass(frozen=True, slots=True)
class EquityPicture:
    """What to draw. ``curve`` begins with the cash; ``mark`` is a time (seconds since 1970) to point at."""

    curve: Sequence[CurvePoint]
    glyphs: GlyphSet
    mark: int | None = None


class EquityDrawing(NamedTuple):
    """The lines of the plot and of the axis beside it, top to bottom."""

    plot: list[Line]
    axis: list[Line]


def render_equity(picture: EquityPicture, width: int, height: int) -> EquityDrawing:
    """Plot and axis for ``width`` × ``height`` cells; the axis gives way before the plot does."""
    axis_width = equity_axis_width(picture.curve, width)
    plot_width = width - axis_width
    if plot_width < 1 or height < 2 or len(picture.curve) < 2:
        return EquityDrawing([], [])
    fall_rows = 0 if height < _FALLS_FROM else 2 if height < _TALL_FALLS_FROM else 3
    rows = height - fall_rows - 1
    columns = curve_columns(picture.curve, plot_width)
    cash = picture.curve[0].value
    scale = _scale([cash, *(column.value for column in columns)])
    plot = _area(columns, cash, scale, rows, picture)
    labels = _labels(columns[-1].value, cash, scale, rows, axis_width, picture.glyphs)
    if fall_rows:
        deepest = min((column.fall for column in columns if _drawable(column.fall)), default=0.0)
        labels[rows] = (f"fall {percent(deepest * 100, 1)}".rjust(axis_width)[-axis_width:], "axis")
        plot += _falls(columns, deepest, fall_rows, picture.glyphs)
    plot.append(_dates(columns, picture, plot_width))
    blank: Run = (" " * axis_width, "axis")
    axis: list[Line] = [(labels.get(row, blank),) for row in range(height)] if axis_width else []
    return EquityDrawing(plot, axis)


def equity_axis_width(curve: Sequence[CurvePoint], width: int) -> int:
    """Cells of the axis: a mark, a blank and the longest amount; none where the plot needs them."""
    highest = max((point.value for point in curve), default=0.0)
    lowest = min((point.value for point in curve), default=0.0)
    needed = 2 + max(9, len(dollars(highest)), len(dollars(lowest)))
    return needed if width >= needed + _LEAST_PLOT else 0


def curve_columns(curve: Sequence[CurvePoint], width: int) -> list[Column]:
    """The curve in ``width`` spans of equal trading time: the last value and the worst fall of each."""
    steps = len(curve) - 1
    columns = []
    for number in range(width):
        first = number * steps // width
        last = max(first + 1, (number + 1) * steps // width)
        part = curve[first + 1 : last + 1]
        columns.append(Column(curve[first].time, part[-1].value, min(point.fall for point in part)))
    return columns


def _drawable(value: float) -> bool:
    return -_BOUND < value < _BOUND


def _scale(values: Sequence[float]) -> Scale:
    drawn = [value for value in values if _drawable(value)] or [0.0]
    low, high = min(drawn), max(drawn)
    padding = max((high - low) * _PADDING, abs(high) * _FLAT_SHARE, 1e-6)
    return Scale(low - padding, high + padding)


def _area(
    columns: Sequence[Column], cash: float, scale: Scale, rows: int, picture: EquityPicture
) -> list[Line]:
    """Filled from below, each column's top in eighths of a cell.

    Above the area are a line where the cash is, and one down to the curve at the mark.
    """
    glyphs = picture.glyphs
    cells = [[" "] * len(columns) for _ in range(rows)]
    tones: list[list[Tone]] = [["plain"] * len(columns) for _ in range(rows)]
    if _drawable(cash):
        line = scale.half_row(cash, rows) // 2
        cells[line] = [glyphs.entry_line] * len(columns)
        tones[line] = ["axis"] * len(columns)
    marked = _marked(columns, picture.mark)
    if marked is not None:
        for row in range(rows):
            cells[row][marked], tones[row][marked] = glyphs.session_line, "last"
    steps = len(glyphs.levels)
    for x, column in enumerate(columns):
        if not _drawable(column.value):
            continue
        gain = column.value >= cash
        top: Tone = "gain" if gain else "loss"
        body: Tone = "volume-gain" if gain else "volume-loss"
        share = (column.value - scale.low) / (scale.high - scale.low)
        filled = max(1, min(rows * steps, round(share * rows * steps)))
        whole = (filled - 1) // steps
        for row in range(rows - whole, rows):
            cells[row][x], tones[row][x] = glyphs.fill, body
        row = rows - 1 - whole
        cells[row][x], tones[row][x] = glyphs.levels[filled - whole * steps - 1], top
    return [merge_runs(*row) for row in zip(cells, tones, strict=True)]


def _falls(columns: Sequence[Column], deepest: float, rows: int, glyphs: GlyphSet) -> list[Line]:
    """How far below its peak equity was: the taller the deeper."""
    steps = len(glyphs.levels)
    cells = [[" "] * len(columns) for _ in range(rows)]
    tones: list[list[Tone]] = [["plain"] * len(columns) for _ in range(rows)]
    for x, column in enumerate(columns):
        if not -_BOUND < column.fall < 0:
            continue
        filled = max(1, min(rows * steps, round(column.fall / deepest * rows * steps)))
        for row in range(rows - 1, rows - 1 - math.ceil(filled / steps), -1):
            cells[row][x], tones[row][x] = glyphs.levels[min(filled, steps) - 1], "volume-loss"
            filled -= steps
    return [merge_runs(*row) for row in zip(cells, tones, strict=True)]


def _labels(
    last: float, cash: float, scale: Scale, rows: int, width: int, glyphs: GlyphSet
) -> dict[int, Run]:
    """The last value and the cash first; round amounts in the rows left over."""
    tag: Tone = "last-up" if last > cash else "last-down" if last < cash else "last"
    labels: dict[int, Run] = {}
    named: tuple[tuple[float, str, Tone], ...] = ((cash, "$", "axis"), (last, glyphs.last, tag))
    for amount, mark, tone in named:
        if _drawable(amount):
            row = scale.half_row(amount, rows) // 2
            labels[row] = (mark + dollars(amount).rjust(width - 1), tone)
    for amount in price_ticks(scale, rows, 0):
        labels.setdefault(scale.half_row(amount, rows) // 2, (dollars(amount).rjust(width), "axis"))
    return labels


def _dates(columns: Sequence[Column], picture: EquityPicture, width: int) -> Line:
    cells = [" "] * width
    tones: list[Tone] = ["axis"] * width
    days = (columns[-1].time - columns[0].time) / _DAY_S
    shown = ""
    free = 0
    # Each where its day or month begins, as many as stand apart.
    for start, column in enumerate(columns[:width]):
        text = _date(column.time, days)
        changed, shown = text != shown, text
        if changed and free <= start <= width - len(text):
            cells[start : start + len(text)] = text
            free = start + len(text) + (_LABEL_GAP if days >= 1 else _TIME_GAP)
    marked = _marked(columns, picture.mark)
    if marked is not None and cells[marked] == " ":
        cells[marked], tones[marked] = picture.glyphs.up, "last"
    return merge_runs(cells, tones)


def _marked(columns: Sequence[Column], mark: int | None) -> int | None:
    """The column of a moment."""
    if mark is None:
        return None
    return max(0, bisect_right([column.time for column in columns], mark) - 1)


def _date(seconds: int, days: float) -> str:
    time = datetime.fromtimestamp(seconds, UTC).astimezone(NEW_YORK)
    if days < 1:
        return f"{time:%H:%M}"
    return f"{time:%b %Y}" if days >= _YEARLY_FROM_DAYS else f"{time:%b} {time.day}"
