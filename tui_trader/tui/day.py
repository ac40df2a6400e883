"""The day so far: each symbol's line of closes, the equity curve, and the score of each strategy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from tui_trader.core.events import SymbolState, TradeClosed
from tui_trader.core.money import ZERO
from tui_trader.engine.handle import SymbolView
from tui_trader.tui.minute_bars import MinuteBars

_BAR_LENGTH: Final = timedelta(minutes=1)
#: A minute bar is as fresh as it can be for a minute, and late only when the next two did not come.
STALE_AFTER: Final = 150.0
_POINTS: Final = 400  # a full session of minutes fits; beyond it every second point goes


class SymbolLine:
    """One symbol of the watchlist."""

    __slots__ = (
        "age_minutes",
        "average_fast",
        "average_slow",
        "bars",
        "candle_minutes",
        "candles",
        "day",
        "last",
        "last_bar",
        "reason",
        "reference",
        "required",
        "state",
        "strategy",
        "symbol",
    )

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.strategy = ""
        self.state = SymbolState.COLD
        self.reason = ""
        self.last = math.nan
        self.reference = math.nan
        self.last_bar: datetime | None = None
        self.candles = 0
        self.required = 0
        self.day: list[float] = []
        self.bars = MinuteBars()
        self.age_minutes: int | None = None
        self.candle_minutes = 0
        self.average_fast = ""
        self.average_slow = ""

    def take(self, view: SymbolView) -> bool:
        """Take the snapshot's word; true when anything reads differently."""
        before = self._facts()
        self.strategy, self.state, self.reason = view.strategy, view.state, view.reason
        self.last, self.reference, self.last_bar = view.last, view.reference, view.last_bar
        self.candles, self.required = view.candles, view.required
        self.candle_minutes = view.candle_minutes
        self.average_fast, self.average_slow = view.average_fast, view.average_slow
        return repr(self._facts()) != repr(before)  # NaN equals itself only in writing

    def bar(self, timestamp: datetime, close: float) -> bool:
        """A minute bar arrived; false when a later one is known already."""
        if self.last_bar is not None and timestamp <= self.last_bar:
            return False
        self.last_bar = timestamp
        self.last = close
        self.day.append(close)
        if len(self.day) > _POINTS:
            del self.day[::2]
        return True

    def begin_day(self, closes: Sequence[float]) -> None:
        """Start the day's line anew."""
        self.day = [close for close in closes if math.isfinite(close)][-_POINTS:]

    def age(self, now: datetime) -> float | None:
        """Seconds since the last bar was complete; None before the first."""
        if self.last_bar is None:
            return None
        return max(0.0, (now - self.last_bar - _BAR_LENGTH).total_seconds())

    def is_stale(self, now: datetime, running: bool) -> bool:
        """Whether the last price is old news: halted, silent, or late while the engine is ``running``."""
        if self.state in (SymbolState.STALE, SymbolState.HALTED):
            return True
        seconds = self.age(now)
        return running and seconds is not None and seconds > STALE_AFTER

    @property
    def trouble(self) -> str:
        """What keeps it from being traded, in words; empty when nothing does."""
        match self.state:
            case SymbolState.STALE | SymbolState.HALTED | SymbolState.QUARANTINED:
                return f"{self.state.value}: {self.reason}" if self.reason else self.state.value
            case SymbolState.COLD | SymbolState.WARMING if self.required:
                return f"{self.state.value}: {self.candles} of {self.required} candles"
            case _:
                return ""

    def grow_older(self, now: datetime) -> bool:
        """Let time pass; true when the age reads differently."""
        seconds = self.age(now)
        minutes = None if seconds is None else int(seconds) // 60
        changed = minutes != self.age_minutes
        self.age_minutes = minutes
        return changed

    @property
    def change(self) -> float:
        """Change since the previous session's close in percent, or NaN."""
        return (self.last / self.reference - 1) * 100 if self.reference > 0 else math.nan

    def _facts(self) -> tuple[object, ...]:
        return (
            self.strategy,
            self.state,
            self.reason,
            self.last,
            self.reference,
            self.candles,
            self.required,
            self.candle_minutes,
            self.average_fast,
            self.average_slow,
        )


class EquityDay:
    """The equity curve of the session."""

    def __init__(self) -> None:
        self.points: list[float] = []

    def add(self, equity: float) -> None:
        """Note the equity, in dollars."""
        if self.points and self.points[-1] == equity:
            return
        self.points.append(equity)
        if len(self.points) > _POINTS:
            del self.points[1::2]

    @property
    def high(self) -> float:
        """The highest equity since the session began, relative to its first, in dollars."""
        return max(self.points) - self.points[0] if self.points else 0.0

    @property
    def low(self) -> float:
        """The lowest equity since the session began, relative to its first, in dollars."""
        return min(self.points) - self.points[0] if self.points else 0.0


class Scorecard:
    """How a strategy has done today."""

    def __init__(self) -> None:
        self.trades = 0
        self.wins = 0
        self.pnl = ZERO
        self._multiples: list[Decimal] = []

    def add(self, trade: TradeClosed) -> None:
        """Count a closed trade."""
        self.trades += 1
        self.wins += trade.pnl > 0
        self.pnl += trade.pnl
        if trade.planned_risk > 0:
            self._multiples.append(trade.pnl / trade.planned_risk)

    @property
    def expectancy(self) -> Decimal | None:
        """Mean profit of a trade in R, or None before the first that had a plan."""
        return sum(self._multiples, ZERO) / len(self._multiples) if self._multiples else None
