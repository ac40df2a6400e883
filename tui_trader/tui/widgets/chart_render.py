"""A candle chart as text: pure functions from prices to lines of toned runs.

One column a candle, two steps a row, four with dots. What a cell shows, weakest first: the cross-hair,
session breaks, the stop and entry lines, the averages, the candle, the marks of fills.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tui_trader.tui.glyphs import DOTS_ACROSS, DOTS_DOWN, GlyphSet, Half, dot, dotted
from tui_trader.tui.widgets.chart_frame import Frame, price_decimals
from tui_trader.tui.widgets.chart_scale import (
    Scale,
    is_drawable,
    price_ticks,
    session_starts,
    time_labels,
)

if TYPE_CHECKING:
    from tui_trader.engine.handle import CandleRow

Tone = Literal[
    "plain",
    "gain",
    "loss",
    "sma-fast",
    "sma-slow",
    "entry",
    "stop",
    "buy",
    "sell",
    "axis",
    "session",
    "cross",
    "cross-tag",
    "date",
    "last",
    "last-up",
    "last-down",
    "volume-gain",
    "volume-loss",
]
Run = tuple[str, Tone]
Line = tuple[Run, ...]

#: Slow first: where both are in a cell the fast one is seen.
_AVERAGES: Final[tuple[Tone, Tone]] = ("sma-slow", "sma-fast")


class FillMark(NamedTuple):
    """A fill of ours."""

    timestamp: datetime
    price: float
    side: Literal["buy", "sell"]


class StopPath(NamedTuple):
    """Where the protective stop of a trade stood: from each time on at that price, ``until`` it was over."""

    steps: tuple[tuple[datetime, float], ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class Picture:
    """What to draw. ``candles``, in New York time, one a column: the last ones that the plot has room for.
    ``until`` is the start of the first column that is scrolled out on the right, ``cross`` the number of the
    candle that the cross-hair is on."""

    candles: Sequence[CandleRow]
    scale: Scale
    glyphs: GlyphSet
    minutes: int = 1
    entry: float | None = None
    stop: float | None = None
    last: float | None = None
    up: bool | None = None
    marks: Sequence[FillMark] = ()
    path: StopPath | None = None
    until: datetime | None = None
    corner: str = ""
    cross: int | None = None


class Drawing(NamedTuple):
    """The chart's lines, top to bottom: the plot's and the price axis's beside them."""

    plot: list[Line]
    axis: list[Line]


def render(picture: Picture, cells: Frame) -> Drawing:
    """Plot, volume and times; every line of a part is as wide as the frame says."""
    if cells.plot_width < 1 or cells.plot_rows < 1:
        return Drawing([], [])
    candles = picture.candles[-cells.plot_width :]
    # Live is at the right edge, so a short history leaves its blank on the left.
    left = cells.plot_width - len(candles)
    canvas = _Canvas(cells.plot_width, cells.plot_rows)
    _draw_lines(canvas, picture, candles, left)
    _draw_candles(canvas, picture, candles, left)
    _draw_marks(canvas, picture, candles, left)
    plot = canvas.lines()
    labels = _price_labels(picture, cells)
    if cells.volume_rows:
        most = max((candle.volume for candle in candles), default=0)
        labels[cells.plot_rows] = (f"vol {compact(most):>4}".rjust(cells.axis_width), "axis")
        plot += _volume(cells, candles, left, most, picture.glyphs.levels)
    if cells.time_rows:
        labels[len(plot)] = (picture.corner.rjust(cells.axis_width), "axis")
        plot.append(_time_line(picture, cells, candles, left))
    blank: Run = (" " * cells.axis_width, "axis")
    axis: list[Line] = [(labels.get(row, blank),) for row in range(len(plot))] if cells.axis_width else []
    return Drawing(plot, axis)


class _Canvas:
    """Characters and their tones, both row by row. A blank has no tone of its own."""

    def __init__(self, width: int, rows: int) -> None:
        self.rows = rows
        self.width = width
        self.glyphs = [[" "] * width for _ in range(rows)]
        self.tones: list[list[Tone]] = [["plain"] * width for _ in range(rows)]

    def put(self, row: int, column: int, glyph: str, tone: Tone) -> None:
        self.glyphs[row][column] = glyph
        self.tones[row][column] = tone

    def lines(self) -> list[Line]:
        return [merge_runs(*row) for row in zip(self.glyphs, self.tones, strict=True)]


def merge_runs(glyphs: Sequence[str], tones: Sequence[Tone]) -> Line:
    """Neighbours of one tone as one run; blanks join what is before them, unless that has a ground."""
    runs: list[Run] = []
    start = 0
    tone: Tone = "plain"
    for index, glyph in enumerate(glyphs):
        if tones[index] == tone or (glyph == " " and tone != "cross-tag"):
            continue
        if tone != "plain":
            runs.append(("".join(glyphs[start:index]), tone))
            start = index
        tone = tones[index]
    runs.append(("".join(glyphs[start:]), tone))
    return tuple(runs)


def _draw_lines(canvas: _Canvas, picture: Picture, candles: Sequence[CandleRow], left: int) -> None:
    scale, glyphs = picture.scale, picture.glyphs
    if picture.cross is not None:
        _draw_cross(canvas, picture, candles[picture.cross], left + picture.cross)
    for index in session_starts(candles):
        for row in range(canvas.rows):
            canvas.put(row, left + index, glyphs.session_line, "session")
    levels: tuple[tuple[float | None, str, Tone], ...] = (
        (picture.stop, glyphs.stop_line, "stop"),
        (picture.entry, glyphs.entry_line, "entry"),
    )
    for price, glyph, tone in levels:
        if price is not None and scale.contains(price):
            row = scale.half_row(price, canvas.rows) // 2
            canvas.glyphs[row] = [glyph] * canvas.width
            canvas.tones[row] = [tone] * canvas.width
    if picture.path is not None:
        _draw_path(canvas, picture.path, picture, candles, left)
    slow, fast = _AVERAGES
    for values, tone in (
        ([candle.sma_slow for candle in candles], slow),
        ([candle.sma_fast for candle in candles], fast),
    ):
        if glyphs.dots:
            _draw_dots(canvas, values, scale, left, tone)
            continue
        steps = len(glyphs.average)
        for column, value in enumerate(values, left):
            if scale.low < value <= scale.high:
                row, step = divmod(scale.step(value, steps * canvas.rows), steps)
                canvas.put(row, column, glyphs.average[step], tone)


def _draw_cross(canvas: _Canvas, picture: Picture, candle: CandleRow, column: int) -> None:
    """Along the candle's time, and along its close."""
    for row in range(canvas.rows):
        canvas.put(row, column, picture.glyphs.cross_line, "cross")
    if is_drawable(candle) and picture.scale.contains(candle.close):
        row = picture.scale.half_row(candle.close, canvas.rows) // 2
        canvas.glyphs[row] = [picture.glyphs.entry_line] * canvas.width
        canvas.tones[row] = ["cross"] * canvas.width


def _draw_dots(canvas: _Canvas, values: Sequence[float], scale: Scale, left: int, tone: Tone) -> None:
    """A line through the values, two dots a column; where it is steep, dots one above the other."""
    cells: dict[tuple[int, int], int] = {}
    steps = DOTS_DOWN * canvas.rows
    before = math.nan
    last: int | None = None
    for column, value in enumerate(values, left):
        for across in range(DOTS_ACROSS):
            middle = across == 0 and math.isfinite(before)
            at = before / 2 + value / 2 if middle else value
            if not scale.low < at <= scale.high:
                last = None
                continue
            step = scale.step(at, steps)
            first = step if last is None else last + 1 if last < step else last - 1 if last > step else step
            for down in range(min(first, step), max(first, step) + 1):
                row, inside = divmod(down, DOTS_DOWN)
                cells[row, column] = cells.get((row, column), 0) | dot(across, inside)
            last = step
        before = value
    for (row, column), dots in cells.items():
        canvas.put(row, column, dotted(dots), tone)


def _draw_path(
    canvas: _Canvas, path: StopPath, picture: Picture, candles: Sequence[CandleRow], left: int
) -> None:
    """The stop as it stood when each candle ended, from the first that it protected to the last."""
    times = [time for time, _ in path.steps]
    ends = [candle.timestamp for candle in candles[1:]]
    for column, candle in enumerate(candles):
        number = bisect_left(times, ends[column]) if column < len(ends) else len(times)
        if number == 0 or candle.timestamp > path.until:
            continue
        price = path.steps[number - 1][1]
        if picture.scale.contains(price):
            row = picture.scale.half_row(price, canvas.rows) // 2
            canvas.put(row, left + column, picture.glyphs.stop_line, "stop")


def _draw_candles(canvas: _Canvas, picture: Picture, candles: Sequence[CandleRow], left: int) -> None:
    steps, shape = picture.glyphs.steps, picture.glyphs.candle
    step, most = picture.scale.step, picture.glyphs.steps * canvas.rows
    for column, candle in enumerate(candles, left):
        if not is_drawable(candle):
            continue
        tone: Tone = "gain" if candle.close >= candle.open else "loss"
        top, bottom = step(candle.high, most), step(candle.low, most)
        one, other = step(candle.open, most), step(candle.close, most)
        body_top, body_bottom = min(one, other), max(one, other)
        # Steps of this column, some more on each side so that whole rows can be cut from it.
        first = top - top % steps
        parts = [
            Half.BODY
            if body_top <= part <= body_bottom
            else Half.WICK
            if top <= part <= bottom
            else Half.NONE
            for part in range(first, bottom + steps)
        ]
        for row in range(top // steps, bottom // steps + 1):
            upper = steps * row - first
            canvas.put(row, column, shape(*parts[upper : upper + steps]), tone)


def _draw_marks(canvas: _Canvas, picture: Picture, candles: Sequence[CandleRow], left: int) -> None:
    """A buy below its candle, a sale above: beside the price, never over it while there is room."""
    if not picture.marks or not candles:
        return
    starts = [candle.timestamp for candle in candles]
    for mark in picture.marks:
        index = bisect_right(starts, mark.timestamp) - 1
        if index < 0 or (picture.until is not None and mark.timestamp >= picture.until):
            continue
        candle = candles[index]
        if not is_drawable(candle):
            continue
        if mark.side == "buy":
            row = picture.scale.half_row(candle.low, canvas.rows) // 2 + 1
            canvas.put(min(row, canvas.rows - 1), left + index, picture.glyphs.up, "buy")
        else:
            row = picture.scale.half_row(candle.high, canvas.rows) // 2 - 1
            canvas.put(max(row, 0), left + index, picture.glyphs.down, "sell")


def _price_labels(picture: Picture, cells: Frame) -> dict[int, Run]:
    """The axis by row. The last price, stop and entry come first; round prices take the rows left over."""
    scale, rows, glyphs = picture.scale, cells.plot_rows, picture.glyphs
    decimals = price_decimals(scale.high)
    labels: dict[int, Run] = {}
    tag: Tone = "last" if picture.up is None else "last-up" if picture.up else "last-down"
    stop = picture.path.steps[-1][1] if picture.path is not None and picture.path.steps else picture.stop
    named: tuple[tuple[float | None, str, Tone], ...] = (
        (picture.last, glyphs.last, tag),
        (stop, "S", "stop"),
        (picture.entry, "E", "entry"),
        (_cross_price(picture), "", "cross-tag"),
    )
    for price, name, tone in named:
        if price is None or not math.isfinite(price):
            continue
        half = scale.half_row(price, rows)
        mark = name
        if not scale.contains(price):
            mark += glyphs.up if price > scale.high else glyphs.down
        row = half // 2 if tone == "cross-tag" else _free_row(half, rows, labels)
        if row is not None:
            labels[row] = (mark + f"{price:.{decimals}f}".rjust(cells.axis_width - len(mark)), tone)
    for price in price_ticks(scale, rows, decimals):
        row = scale.half_row(price, rows) // 2
        labels.setdefault(row, (f"{price:.{decimals}f}".rjust(cells.axis_width), "axis"))
    return labels


def _cross_price(picture: Picture) -> float | None:
    if picture.cross is None:
        return None
    candle = picture.candles[picture.cross]
    return candle.close if is_drawable(candle) and picture.scale.contains(candle.close) else None


def _free_row(half: int, rows: int, taken: dict[int, Run]) -> int | None:
    """The row of a half row, else the neighbour nearer to it: two prices of one row both stay readable."""
    row = half // 2
    beside = (row + 1, row - 1) if half % 2 else (row - 1, row + 1)
    return next((free for free in (row, *beside) if 0 <= free < rows and free not in taken), None)


def _volume(cells: Frame, candles: Sequence[CandleRow], left: int, most: int, levels: str) -> list[Line]:
    steps = len(levels)
    canvas = _Canvas(cells.plot_width, cells.volume_rows)
    for column, candle in enumerate(candles, left):
        if candle.volume <= 0:
            continue
        filled = max(1, round(candle.volume / most * canvas.rows * steps))
        tone: Tone = "volume-gain" if candle.close >= candle.open else "volume-loss"
        for row in range(canvas.rows - 1, canvas.rows - 1 - math.ceil(filled / steps), -1):
            canvas.put(row, column, levels[min(filled, steps) - 1], tone)
            filled -= steps
    return canvas.lines()


def _time_line(picture: Picture, cells: Frame, candles: Sequence[CandleRow], left: int) -> Line:
    canvas = _Canvas(cells.plot_width, 1)
    tag, start = "", 0
    if picture.cross is not None:
        tag = f"{candles[picture.cross].timestamp:%H:%M}"
        start = max(0, min(left + picture.cross - len(tag) // 2, cells.plot_width - len(tag)))
    for label in time_labels(candles, cells.plot_width - left, picture.minutes):
        first = left + label.column
        if tag and first <= start + len(tag) and start <= first + len(label.text):
            continue
        for column, glyph in enumerate(label.text, first):
            canvas.put(0, column, glyph, "date" if label.session else "axis")
    for column, glyph in enumerate(tag[: cells.plot_width], start):
        canvas.put(0, column, glyph, "cross-tag")
    return canvas.lines()[0]


def compact(number: float) -> str:
    """A count in at most four characters: 950, 82k, 1.2M."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            scaled = number / limit
            return f"{scaled:.1f}{unit}" if scaled < 9.95 else f"{scaled:.0f}{unit}"
    return f"{number:.0f}"
