"""Candles of a whole run in columns, made as ``core.candles.CandleAggregator`` makes them one by one."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tui_trader.backtest.tape import Column, Minutes, Moments, Tape
from tui_trader.core.candles import CANDLE_GRACE
from tui_trader.core.indicators import CandleArrays, Floats, Indicator, batch
from tui_trader.core.rule import CandleColumns

#: Half-minutes after its window's end at which a candle is closed without its last minute.
GRACE: Final = int(CANDLE_GRACE.total_seconds()) // 30
#: Bars are worked on so many at a time: what is needed on the way stays small, and in the processor's cache.
_AT_ONCE: Final = 1 << 14


@dataclass(slots=True, eq=False)
class Candles:
    """Candles of one symbol, oldest first. Session ``k``'s are ``bounds[k]`` to ``bounds[k + 1]``.

    ``start`` in minutes since 1970; ``closes`` is the moment at which the candle is known. ``at_bell`` marks
    those that only the session's close completes. Prices in dollars, volume in shares, all float64.
    ``restarts`` are the candles that begin a history anew (0 first), after which counting is from 1 again.
    """

    symbol: str
    minutes: int
    start: Minutes
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    bars: NDArray[np.int16]
    closes: Moments
    at_bell: NDArray[np.bool_]
    bounds: NDArray[np.int64]
    restarts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Whether every minute of the window had a bar."""
        whole: NDArray[np.bool_] = self.bars == self.minutes
        return whole

    def histories(self) -> Iterator[tuple[int, int]]:
        """First and last (excluded) candle of each stretch over which indicators run."""
        ends = [*self.restarts[1:], len(self)]
        return zip(self.restarts, ends, strict=True)

    def indicators(self, wanted: Mapping[str, Indicator]) -> dict[str, Floats]:
        """The named series at each candle, NaN where not warm."""
        found: dict[str, Floats] = {}
        for name, indicator in wanted.items():
            parts = [batch(indicator, self._arrays(a, b, indicator)) for a, b in self.histories()]
            found[name] = _fixed(parts[0] if len(parts) == 1 else np.concatenate(parts))
        return found

    def _arrays(self, a: int, b: int, indicator: Indicator) -> CandleArrays:
        count = b - a
        if indicator.kind == "vwap":
            session = np.searchsorted(self.bounds, np.arange(a, b), side="right")
        else:
            session = np.zeros(count, dtype=np.int64)
        return CandleArrays(self.high[a:b], self.low[a:b], self.close[a:b], self.volume[a:b], session)

    def columns(self, a: int, b: int, series: Mapping[str, Floats]) -> CandleColumns:
        """Candles ``a`` to ``b`` (excluded), which lie in one history, as a strategy may see them."""
        now = {name: values[a:b] for name, values in series.items()}
        return CandleColumns(
            self.open[a:b], self.high[a:b], self.low[a:b], self.close[a:b], self.volume[a:b], now
        )


def make_candles(tape: Tape, minutes: int, opens: NDArray[np.int64], closes: NDArray[np.int64]) -> Candles:
    """Candles of ``minutes`` minutes. ``opens`` and ``closes``: minutes of the sessions' opens and closes."""
    lost = _lost(tape, minutes, opens)
    most = int((-(-(closes - opens) // minutes)).sum())  # as many windows as there are
    wanted = {name: np.empty(most, dtype=kind) for name, kind in _COLUMNS.items()}
    count = 0
    for first, last in _stretches(tape.bounds):
        part = _part(tape, minutes, opens, closes, first, last, lost)
        begin, count = count, count + len(part[0])
        for column, values in zip(wanted.values(), part, strict=True):
            column[begin:count] = values
    columns: dict[str, Any] = {name: _fixed(column[:count]) for name, column in wanted.items()}
    bounds = np.searchsorted(columns["start"], np.append(opens, closes[-1]))
    restarts = {0, *(int(bounds[number]) for number in tape.restarts)}
    return Candles(tape.symbol, minutes, **columns, bounds=bounds, restarts=tuple(sorted(restarts)))


_COLUMNS: Final[dict[str, type[np.generic]]] = {
    "start": np.int32, "open": np.float64, "high": np.float64, "low": np.float64, "close": np.float64,
    "volume": np.float64, "bars": np.int16, "closes": np.int32, "at_bell": np.bool_,
}  # fmt: skip


def _fixed(column: NDArray[Any]) -> NDArray[Any]:
    """``column``, which strategies get to see, as an array that cannot be made writable again."""
    return np.frombuffer(column.data.toreadonly(), dtype=column.dtype)


def _stretches(bounds: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Runs of sessions with about ``_AT_ONCE`` bars, those without any left out."""
    first, count = 0, len(bounds) - 1
    while first < count:
        last = int(np.searchsorted(bounds, bounds[first] + _AT_ONCE, side="right")) - 1
        last = min(max(last, first + 1), count)
        if bounds[last] > bounds[first]:
            yield first, last
        first = last


def _lost(tape: Tape, minutes: int, opens: NDArray[np.int64]) -> list[int]:
    """Bars that join no candle: they were confirmed after theirs had closed."""
    lost = []
    for bar, delivery in tape.late.items():
        stamp = int(tape.minutes(bar, bar + 1)[0])
        opened = int(opens[np.searchsorted(opens, stamp, side="right") - 1])
        end = stamp + minutes - (stamp - opened) % minutes
        if delivery * 2 > end * 2 + GRACE:
            lost.append(bar)
    return lost


def _part(
    tape: Tape,
    minutes: int,
    opens: NDArray[np.int64],
    closes: NDArray[np.int64],
    first: int,
    last: int,
    lost: list[int],
) -> list[NDArray[Any]]:
    """The candles of sessions ``first`` to ``last`` (excluded) as columns, in the order of ``_COLUMNS``."""
    a, b = int(tape.bounds[first]), int(tape.bounds[last])
    lengths = closes[first:last] - opens[first:last]
    if b - a == lengths.sum() and not (lengths % minutes).any() and not tape.late:
        return _whole_part(tape, minutes, a, b)
    stamp = tape.minutes(a, b)
    opened = np.repeat(opens[first:last].astype(np.int32), np.diff(tape.bounds[first : last + 1]))
    gone = [bar - a for bar in lost if a <= bar < b]
    if gone:
        stamp, opened = np.delete(stamp, gone), np.delete(opened, gone)
    # The end of each bar's window tells the windows of all sessions apart.
    window = stamp + (np.int32(minutes) - (stamp - opened) % np.int32(minutes))
    begins = np.flatnonzero(np.concatenate(([True], window[1:] != window[:-1])))
    ends = np.concatenate((begins[1:], [len(stamp)]))
    end = window[begins]

    def column(name: Column) -> NDArray[np.float64]:
        values = tape.column(name, a, b)
        return np.delete(values, gone) if gone else values

    delivered = stamp + np.int32(1)
    if tape.late:
        delivered = tape.delivered(a, b)
        if gone:
            delivered = np.delete(delivered, gone)
    known, at_bell = _known(stamp, delivered, opened, begins, ends, end, opens, closes)
    return [
        end - np.int32(minutes),
        column("open")[begins],
        _over(np.maximum, column("high"), begins, ends, minutes),
        _over(np.minimum, column("low"), begins, ends, minutes),
        column("close")[ends - 1],
        _sum(column("volume"), begins, ends, minutes),
        (ends - begins).astype(np.int16),
        known,
        at_bell,
    ]


def _whole_part(tape: Tape, minutes: int, a: int, b: int) -> list[NDArray[Any]]:
    """``_part`` of sessions in which no minute is missing: the same, several times faster."""
    count = (b - a) // minutes

    def rows(name: Column) -> NDArray[np.float64]:
        return tape.column(name, a, b).reshape(count, minutes)

    start = tape.minutes(a, b)[::minutes].copy()
    high, low, volume = rows("high"), rows("low"), rows("volume")
    return [
        start,
        rows("open")[:, 0].copy(),
        functools.reduce(np.maximum, high.T),
        functools.reduce(np.minimum, low.T),
        rows("close")[:, -1].copy(),
        functools.reduce(np.add, volume.T).astype(np.float64),
        np.full(count, minutes, dtype=np.int16),
        (start + np.int32(minutes)) * np.int32(2),
        np.zeros(count, dtype=bool),
    ]


def _known(
    stamp: Minutes,
    delivered: Minutes,
    opened: Minutes,
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    end: Minutes,
    opens: NDArray[np.int64],
    closes: NDArray[np.int64],
) -> tuple[Moments, NDArray[np.bool_]]:
    """When each candle is known, and whether only by the session's close (DESIGN §9, "Candles")."""
    known = delivered[ends - 1] * np.int32(2)
    at_bell = np.zeros(len(begins), dtype=bool)
    short = np.flatnonzero(stamp[ends - 1] != end - 1)
    if len(short):
        # Without its last minute: with the symbol's next bar, after 90 s, or at the close.
        following = np.append(delivered[begins[1:]], 0)[short] * np.int64(2)
        session = opened[begins]
        last_of_session = np.append(session[1:] != session[:-1], True)[short]
        following[last_of_session] = np.iinfo(np.int64).max
        bell = closes[np.searchsorted(opens, session[short])] * 2
        waited = np.minimum(np.minimum(following, end[short] * np.int64(2) + GRACE), bell)
        known[short] = waited
        at_bell[short] = (waited == bell) & (following > bell)
    return known, at_bell


def _over(
    function: np.ufunc, values: Floats, begins: NDArray[np.int64], ends: NDArray[np.int64], minutes: int
) -> Floats:
    """The largest or smallest of each candle's bars."""
    if minutes <= 2:  # of two bars at most: several times faster than ``reduceat``
        pairs: Floats = function(values[begins], values[ends - 1])
        return pairs
    found: Floats = function.reduceat(values, begins)
    return found


def _sum(
    values: NDArray[np.float64], begins: NDArray[np.int64], ends: NDArray[np.int64], minutes: int
) -> Floats:
    """The sum over each candle's bars."""
    if minutes > 2:
        return np.add.reduceat(values, begins).astype(np.float64)
    sums = values[begins].astype(np.float64)
    pairs = ends - begins == 2
    sums[pairs] += values[ends[pairs] - 1]
    return sums
