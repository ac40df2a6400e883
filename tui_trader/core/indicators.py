"""Indicators, streaming and over whole arrays, to the same numbers.

An ``Indicator`` names a series; ``stream`` makes the object that follows it candle by candle, ``batch``
computes it over arrays with tulipy (https://tulipindicators.org, whose definitions these are). The two agree
to 1e-9 relative. Values that are not warm yet are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Indicator:
    """A series by kind and period (candles); VWAP runs from each session's open and has no period."""

    kind: Literal["sma", "ema", "rsi", "atr", "vwap"]
    period: int = 0

    @property
    def warm_after(self) -> int:
        """How many candles are needed for the first value."""
        match self.kind:
            case "sma" | "atr":
                return self.period
            case "rsi":
                return self.period + 1
            case "ema" | "vwap":
                return 1
        assert_never(self.kind)


class Stream(Protocol):
    """One indicator followed candle by candle."""

    def update(
        self, high: float, low: float, close: float, volume: int, session: datetime | None
    ) -> float: ...


class _Sma:
    """Mean of the last ``period`` closes. The running sum is made anew each round, so it cannot drift."""

    __slots__ = ("_at", "_period", "_ring", "_sum")

    def __init__(self, period: int) -> None:
        self._period = period
        self._ring: list[float] = []
        self._at = 0
        self._sum = 0.0

    def update(self, high: float, low: float, close: float, volume: int, session: datetime | None) -> float:
        ring = self._ring
        if len(ring) < self._period:
            ring.append(close)
            if len(ring) < self._period:
                return math.nan
            self._sum = math.fsum(ring)
            return self._sum / self._period
        at = self._at
        self._sum += close - ring[at]
        ring[at] = close
        self._at = at + 1
        if self._at == self._period:
            self._at = 0
            self._sum = math.fsum(ring)
        return self._sum / self._period


class _Ema:
    __slots__ = ("_alpha", "_value")

    def __init__(self, period: int) -> None:
        self._alpha = 2.0 / (period + 1)
        self._value = math.nan

    def update(self, high: float, low: float, close: float, volume: int, session: datetime | None) -> float:
        value = self._value
        self._value = close if math.isnan(value) else (close - value) * self._alpha + value
        return self._value


class _Rsi:
    """Wilder's relative strength: the first averages are plain means of ``period`` changes."""

    __slots__ = ("_changes", "_down", "_last", "_period", "_up")

    def __init__(self, period: int) -> None:
        self._period = period
        self._last = math.nan
        self._changes = 0
        self._up = self._down = 0.0

    def update(self, high: float, low: float, close: float, volume: int, session: datetime | None) -> float:
        last, self._last = self._last, close
        if math.isnan(last):
            return math.nan
        up, down = max(close - last, 0.0), max(last - close, 0.0)
        period = self._period
        self._changes += 1
        if self._changes <= period:
            self._up += up / period
            self._down += down / period
            if self._changes < period:
                return math.nan
        else:
            self._up += (up - self._up) / period
            self._down += (down - self._down) / period
        total = self._up + self._down
        return 100.0 * self._up / total if total > 0 else math.nan


class _Atr:
    """Wilder's average true range: the first value is the plain mean of ``period`` true ranges."""

    __slots__ = ("_count", "_last", "_period", "_value")

    def __init__(self, period: int) -> None:
        self._period = period
        self._last = math.nan
        self._count = 0
        self._value = 0.0

    def update(self, high: float, low: float, close: float, volume: int, session: datetime | None) -> float:
        last, self._last = self._last, close
        reach = high - low if math.isnan(last) else max(high - low, abs(high - last), abs(low - last))
        self._count += 1
        if self._count <= self._period:
            self._value += reach / self._period
            return self._value if self._count == self._period else math.nan
        self._value += (reach - self._value) / self._period
        return self._value


class _Vwap:
    """Volume-weighted mean of the typical price (high + low + close) / 3 since the session's open."""

    __slots__ = ("_session", "_traded", "_weighted")

    def __init__(self) -> None:
        self._session: datetime | None = None
        self._traded = 0.0
        self._weighted = 0.0

    def update(self, high: float, low: float, close: float, volume: int, session: datetime | None) -> float:
        if session != self._session:
            self._session = session
            self._traded = self._weighted = 0.0
        self._traded += volume
        self._weighted += volume * (high + low + close) / 3.0
        return self._weighted / self._traded if self._traded > 0 else math.nan


def stream(indicator: Indicator) -> Stream:
    """A fresh follower of ``indicator``."""
    match indicator.kind:
        case "sma":
            return _Sma(indicator.period)
        case "ema":
            return _Ema(indicator.period)
        case "rsi":
            return _Rsi(indicator.period)
        case "atr":
            return _Atr(indicator.period)
        case "vwap":
            return _Vwap()
        case _:
            raise ValueError(f"there is no indicator {indicator.kind!r}: sma, ema, rsi, atr or vwap")


class CandleArrays(NamedTuple):
    """Candles of one symbol as columns; ``session`` numbers the session each belongs to, rising."""

    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    session: NDArray[np.int64]


def batch(indicator: Indicator, candles: CandleArrays) -> Floats:
    """``indicator`` over whole columns, as long as they are; NaN where it is not warm."""
    import tulipy  # the live path never needs it

    count = len(candles.close)
    if count < indicator.warm_after or count == 0:
        return np.full(count, np.nan)
    match indicator.kind:
        case "sma":
            values = tulipy.sma(candles.close, indicator.period)
        case "ema":
            values = tulipy.ema(candles.close, indicator.period)
        case "rsi":
            values = tulipy.rsi(candles.close, indicator.period)
        case "atr":
            values = tulipy.atr(candles.high, candles.low, candles.close, indicator.period)
        case "vwap":
            return _batch_vwap(candles)
        case _:
            assert_never(indicator.kind)
    padded: Floats = np.concatenate([np.full(count - len(values), np.nan), values])
    return padded


def _batch_vwap(candles: CandleArrays) -> Floats:
    typical = (candles.high + candles.low + candles.close) / 3.0
    # Each session is summed by itself: a difference of running totals loses a quiet session's digits.
    starts = np.flatnonzero(np.diff(candles.session)) + 1
    traded = np.concatenate([np.cumsum(part) for part in np.split(candles.volume, starts)])
    weighted = np.concatenate([np.cumsum(part) for part in np.split(candles.volume * typical, starts)])
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = weighted / traded
    return np.where(traded > 0, result, np.nan)


class IndicatorCalculator:
    """Follows the named indicators of one symbol: ``now`` on this candle, ``before`` on the one before."""

    __slots__ = ("_names", "_streams", "before", "count", "now")

    def __init__(self, wanted: dict[str, Indicator]) -> None:
        self._streams = [stream(indicator) for indicator in wanted.values()]
        self._names = list(wanted)
        self.now: dict[str, float] = dict.fromkeys(wanted, math.nan)
        self.before: dict[str, float] = dict(self.now)
        self.count = 0

    def update(self, high: float, low: float, close: float, volume: int, session: datetime | None) -> None:
        """Take the next closed candle."""
        # The two dicts swap roles, so that nothing is allocated per candle.
        self.before, self.now = self.now, self.before
        now = self.now
        for name, follower in zip(self._names, self._streams, strict=True):
            now[name] = follower.update(high, low, close, volume, session)
        self.count += 1

    def preload(
        self,
        highs: Sequence[float],
        lows: Sequence[float],
        closes: Sequence[float],
        volumes: Sequence[int],
        sessions: Sequence[datetime],
    ) -> dict[str, list[float]]:
        """Take many closed candles at once, the same as ``update`` for each; every indicator's values."""
        series: dict[str, list[float]] = {}
        for name, follower in zip(self._names, self._streams, strict=True):
            update = follower.update
            values = [
                update(high, low, close, volume, session)
                for high, low, close, volume, session in zip(
                    highs, lows, closes, volumes, sessions, strict=True
                )
            ]
            series[name] = values
            if len(values) > 1:
                self.now[name] = values[-2]
            if values:
                self.before[name], self.now[name] = self.now[name], values[-1]
        self.count += len(closes)
        return series
