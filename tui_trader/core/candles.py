"""Minute bars into candles of 1 to 15 minutes, aligned to the session's open."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from tui_trader.core.bars import MINUTE, Bar

#: How long after its window's end a candle waits for a bar that is late.
CANDLE_GRACE: Final = timedelta(seconds=90)
INTERVALS: Final = (1, 2, 5, 10, 15)


class Candle(NamedTuple):
    """``start`` and ``end`` bound the window, aware UTC; ``complete`` means that every minute had a bar."""

    symbol: str
    start: datetime
    end: datetime
    minutes: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    bars: int
    complete: bool


class CandleAggregator:
    """Builds one symbol's candles (DESIGN §4, §9). Feed it accepted regular-session bars in order.

    A candle is emitted on its window's last minute, or short (when that minute is missing) with the next bar,
    at ``expire`` 90 s after the window's end, or at ``end_session``. A window without bars makes no candle.
    """

    __slots__ = (
        "_bars", "_close", "_end", "_high", "_interval", "_last_minute", "_low", "_open", "_open_time",
        "_start", "_volume", "_window_end", "minutes", "symbol",
    )  # fmt: skip

    # The forming candle; meaningful while ``_bars`` is positive.
    _start: datetime
    _end: datetime
    _last_minute: datetime
    _open: float
    _high: float
    _low: float
    _close: float
    _volume: int

    def __init__(self, symbol: str, minutes: int) -> None:
        if minutes not in INTERVALS:
            raise ValueError(f"candle interval of {minutes} minutes; one of {INTERVALS} is needed")
        self.symbol = symbol
        self.minutes = minutes
        self._interval = timedelta(minutes=minutes)
        self._open_time: datetime | None = None
        self._bars = 0
        self._window_end: datetime | None = None

    def start_session(self, open_time: datetime) -> None:
        """Align the windows to a session that opens at ``open_time``; forgets an unfinished candle."""
        self._open_time = open_time
        self._bars = 0
        self._window_end = None

    @property
    def window_end(self) -> datetime | None:
        """End of the window that has bars but no candle yet, else None."""
        return self._window_end if self._bars else None

    @property
    def latest_window_end(self) -> datetime | None:
        """End of the last window that a bar joined in this session, else None."""
        return self._window_end

    def add(self, bar: Bar) -> tuple[Candle, ...]:
        """Join ``bar``; the candles that it closes, in order (a short one before it, its own after it).

        A bar of a window whose candle has been emitted joins nothing.
        """
        time = bar.timestamp
        end = self._window_end
        if end is not None and time < end:
            if not self._bars:
                return ()
            if bar.high > self._high:
                self._high = bar.high
            if bar.low < self._low:
                self._low = bar.low
            self._close = bar.close
            self._volume += bar.volume
            self._bars += 1
            return (self._emit(),) if time == self._last_minute else ()
        short = (self._emit(),) if self._bars else ()
        self._begin(bar)
        return (*short, self._emit()) if time == self._last_minute else short

    def expire(self, now: datetime) -> Candle | None:
        """The unfinished candle when its window ended at least 90 s before ``now``."""
        end = self._window_end
        return self._emit() if self._bars and end is not None and now >= end + CANDLE_GRACE else None

    def end_session(self) -> Candle | None:
        """The unfinished candle at the session's close."""
        return self._emit() if self._bars else None

    def _begin(self, bar: Bar) -> None:
        if self._open_time is None:
            raise RuntimeError(f"{self.symbol}: a bar before start_session")
        self._start = bar.timestamp - (bar.timestamp - self._open_time) % self._interval
        self._end = self._window_end = self._start + self._interval
        self._last_minute = self._end - MINUTE
        self._open, self._high, self._low, self._close = bar.open, bar.high, bar.low, bar.close
        self._volume = bar.volume
        self._bars = 1

    def _emit(self) -> Candle:
        bars, self._bars = self._bars, 0
        return Candle(
            self.symbol, self._start, self._end, self.minutes, self._open, self._high, self._low, self._close,
            self._volume, bars, bars == self.minutes,
        )  # fmt: skip
