"""The scales of a candle chart: which prices and times it spans, and where its labels go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tui_trader.engine.handle import CandleRow

#: A line this many times the candles' own span away is pinned to the edge instead of flattening them.
_REACH: Final = 1.0
_PADDING: Final = 0.05
#: A scale still in use is kept while at least this share of it is needed: every change repaints the chart.
_KEPT_SHARE: Final = 0.7
_LEAST_SPAN: Final = 0.001
#: No share costs this much; beyond it arithmetic on prices could overflow.
_BOUND: Final = 1e12

_NICE: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_MINUTE_STEPS: Final = (5, 10, 15, 30, 60, 120)
_COLUMNS_PER_LABEL: Final = 9
_DAY_MINUTES: Final = 24 * 60


class Scale(NamedTuple):
    """Prices from the bottom edge to the top edge of the plot."""

    low: float
    high: float

    def half_row(self, price: float, rows: int) -> int:
        """The half row a price falls in, 0 at the top; clamped to the plot."""
        return self.step(price, 2 * rows)

    def step(self, price: float, steps: int) -> int:
        """Which of so many steps a price falls in, 0 at the top; clamped to the plot."""
        return max(0, min(steps - 1, int((self.high - price) / (self.high - self.low) * steps)))

    def contains(self, price: float) -> bool:
        return self.low <= price <= self.high


def is_drawable(candle: CandleRow) -> bool:
    """Whether its four prices are sane numbers; NaN is not."""
    return (
        -_BOUND < candle.low <= candle.high < _BOUND
        and abs(candle.open) < _BOUND
        and abs(candle.close) < _BOUND
    )


def fit_scale(candles: Iterable[CandleRow], lines: Iterable[float | None]) -> Scale | None:
    """A padded scale for the candles and those lines that are near enough; None without candles."""
    drawable = [candle for candle in candles if is_drawable(candle)]
    if not drawable:
        return None
    low = least = min(candle.low for candle in drawable)
    high = most = max(candle.high for candle in drawable)
    reach = max(most - least, abs(most) * 2 * _LEAST_SPAN) * _REACH
    for line in lines:
        if line is not None and least - reach <= line <= most + reach:
            low, high = min(low, line), max(high, line)
    padding = max((high - low) * _PADDING, abs(high) * _LEAST_SPAN / 2, 1e-6)
    return Scale(low - padding, high + padding)


def keep_scale(previous: Scale | None, needed: Scale) -> Scale:
    """``previous`` while it still holds and suits what is needed, else ``needed``."""
    if previous is None or not (previous.low <= needed.low and needed.high <= previous.high):
        return needed
    share = (needed.high - needed.low) / (previous.high - previous.low)
    return previous if share >= _KEPT_SHARE else needed


def price_ticks(scale: Scale, rows: int, decimals: int) -> Iterator[float]:
    """Round prices, at least two rows apart, from the bottom up."""
    if rows < 1:
        return
    wanted = max((scale.high - scale.low) / rows * 2, 10.0**-decimals)
    magnitude = 10.0 ** math.floor(math.log10(wanted))
    # What cannot be printed exactly would be a wrong label.
    steps = [nice * magnitude for nice in _NICE if _printable(nice * magnitude, decimals)]
    step = next((step for step in steps if step >= wanted * (1 - 1e-9)), 10 * magnitude)
    number = math.ceil(scale.low / step)
    while number * step <= scale.high:
        yield number * step
        number += 1


def _printable(step: float, decimals: int) -> bool:
    scaled = step * 10.0**decimals
    return math.isclose(scaled, round(scaled), rel_tol=1e-6, abs_tol=1e-6)


def candle_minutes(candles: Sequence[CandleRow]) -> int:
    """Minutes between candles: the least among the latest ones."""
    gaps = [
        int((after.timestamp - before.timestamp).total_seconds()) // 60
        for before, after in pairwise(candles[-64:])
    ]
    return min((gap for gap in gaps if gap > 0), default=1)


def aggregate(candles: Sequence[CandleRow], count: int) -> Sequence[CandleRow]:
    """``count`` candles to one, aligned to the clock and never across days. Times must be New York's."""
    return candles if count <= 1 or not candles else group(candles, candle_minutes(candles) * count)


def group(candles: Iterable[CandleRow], minutes: int) -> list[CandleRow]:
    """Candles of so many minutes, aligned to the clock and never across days. Times must be New York's."""
    columns: list[CandleRow] = []
    key = (0, -1)
    for candle in candles:
        time = candle.timestamp
        bucket = (time.toordinal(), (time.hour * 60 + time.minute) // minutes)
        if bucket == key and minutes < _DAY_MINUTES:
            columns[-1] = _merge(columns[-1], candle)
        else:
            columns.append(candle)
            key = bucket
    return columns


def _merge(first: CandleRow, then: CandleRow) -> CandleRow:
    if not is_drawable(first):
        return then._replace(timestamp=first.timestamp, volume=first.volume + then.volume)
    if not is_drawable(then):
        return first._replace(volume=first.volume + then.volume)
    return then._replace(
        timestamp=first.timestamp,
        open=first.open,
        high=max(first.high, then.high),
        low=min(first.low, then.low),
        volume=first.volume + then.volume,
    )


class TimeLabel(NamedTuple):
    """A text under the column it belongs to."""

    column: int
    text: str
    session: bool


def session_starts(candles: Sequence[CandleRow]) -> list[int]:
    """The columns at which another day begins."""
    days = [candle.timestamp.toordinal() for candle in candles]
    return [index for index in range(1, len(days)) if days[index] != days[index - 1]]


def time_labels(candles: Sequence[CandleRow], width: int, minutes: int) -> list[TimeLabel]:
    """Dates where a day begins, round times elsewhere, as many as stand apart, left to right."""
    taken: list[TimeLabel] = []

    def place(column: int, text: str, session: bool) -> None:
        end = column + len(text)
        if end <= width and all(
            end + 2 <= other.column or column >= other.column + len(other.text) + 2 for other in taken
        ):
            taken.append(TimeLabel(column, text, session))

    starts = session_starts(candles)
    for index in starts:
        time = candles[index].timestamp
        place(index, f"{time:%b} {time.day}", True)
    least = minutes * _COLUMNS_PER_LABEL
    step = next((step for step in _MINUTE_STEPS if step >= least), max(_MINUTE_STEPS[-1], minutes))
    breaks = set(starts)
    slots = [
        (candle.timestamp.hour * 60 + candle.timestamp.minute) // step if minutes < _DAY_MINUTES else 0
        for candle in candles
    ]
    for index in range(1, len(candles)):
        if index not in breaks and slots[index] != slots[index - 1]:
            place(index, f"{candles[index].timestamp:%H:%M}", False)
    return sorted(taken)
