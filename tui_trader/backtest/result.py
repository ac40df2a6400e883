"""What a backtest found: signals, orders, fills, trades and the equity curve. Plain data, no behaviour.

Money and order prices are exact ``Decimal`` dollars; times are aware UTC. Like in live trading, a fill and a
trade's entry and exit bear the stamp (the start) of the bar that filled them, decisions the time they were
made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_trader.core.breaker import BreakerRule
from tui_trader.core.calendar import Session
from tui_trader.core.events import TradeReason
from tui_trader.core.money import ZERO
from tui_trader.core.orders import Role, Side


class SignalRecord(NamedTuple):
    """A signal at ``time`` on the candle that began at ``candle``; ``refused`` names a risk rule, if any."""

    time: datetime
    symbol: str
    candle: datetime
    entry_price: Decimal
    limit_price: Decimal
    stop_price: Decimal
    qty: int  # 0 when refused
    refused: str = ""
    reason: str = ""


OrderAction = Literal["submit", "move", "cancel"]


class OrderRecord(NamedTuple):
    """A step in an order's life: placed, its stop moved to ``stop_price``, or taken back."""

    time: datetime
    symbol: str
    role: Role
    action: OrderAction
    qty: int
    stop_price: Decimal | None = None
    limit_price: Decimal | None = None


class FillRecord(NamedTuple):
    time: datetime
    symbol: str
    role: Role
    side: Side
    qty: int
    price: Decimal


class TripRecord(NamedTuple):
    """The circuit breaker tripped: dollars lost against dollars allowed, or losses in a row."""

    time: datetime
    rule: BreakerRule
    value: Decimal
    limit: Decimal


class Trade(NamedTuple):
    """A position from its buy to flat. ``lowest`` and ``highest`` are the prices seen while it was held."""

    symbol: str
    strategy: str
    qty: int
    entry_time: datetime
    entry_price: Decimal
    exit_time: datetime
    exit_price: Decimal
    pnl: Decimal
    reason: TradeReason
    planned_risk: Decimal  # quantity × (entry − stop loss) of the signal
    lowest: float
    highest: float

    @property
    def r(self) -> float | None:
        """Profit in multiples of the planned risk."""
        return float(self.pnl / self.planned_risk) if self.planned_risk > ZERO else None

    @property
    def mae(self) -> float:
        """Maximum adverse excursion: the largest loss on paper while held, dollars, ≤ 0."""
        return min(0.0, (self.lowest - float(self.entry_price)) * self.qty)

    @property
    def mfe(self) -> float:
        """Maximum favourable excursion: the largest profit on paper while held, dollars, ≥ 0."""
        return max(0.0, (self.highest - float(self.entry_price)) * self.qty)


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """What is still held when the bars end (a strategy that does not close at the end of the day)."""

    symbol: str
    qty: int
    entry_time: datetime
    entry_price: Decimal
    stop_price: Decimal
    unrealized_pnl: Decimal


@dataclass(frozen=True, slots=True, eq=False)
class EquityCurve:
    """Equity at every instant that changed it and at every session's close, after the first session's open.

    ``time`` in seconds since 1970-01-01 UTC (int64), rising; ``value`` in dollars (float64), positions at
    their last close. Values with open positions are exact to a millionth of a dollar.
    """

    time: NDArray[np.int64]
    value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RefusedBar:
    """A bar that was not believed (``core.bars.BarFilter``)."""

    symbol: str
    timestamp: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class DataNotes:
    """What was odd about the bars, for the reader to judge the result by.

    ``missing`` counts session minutes without a bar, by symbol, from its first bar to its last;
    ``outside`` the bars beyond regular hours, which count for nothing; ``absent`` lists symbols that were
    asked for and have no bar at all; ``cold`` those with fewer candles than their strategy needs.
    """

    refused: tuple[RefusedBar, ...] = ()
    adjusted: int = 0
    splits: tuple[tuple[str, datetime], ...] = ()
    missing: Mapping[str, int] = field(default_factory=dict)
    outside: int = 0
    absent: tuple[str, ...] = ()
    cold: tuple[str, ...] = ()
    skipped_rows: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class BacktestResult:
    """One run. Lists are in order of time. ``config`` holds the strategy's parameters, all of them."""

    strategy: str
    config: Mapping[str, object]
    symbols: tuple[str, ...]
    cash: Decimal
    slippage_ticks: int
    sessions: tuple[Session, ...]  # at least one, oldest first
    bars: int  # accepted regular-session bars
    candles: int
    signals: list[SignalRecord]
    orders: list[OrderRecord]
    fills: list[FillRecord]
    trades: list[Trade]
    trips: list[TripRecord]
    open_positions: tuple[OpenPosition, ...]
    equity: EquityCurve
    final_equity: Decimal
    notes: DataNotes
    elapsed_s: float
    #: The settings of ``risk`` and ``session`` that it was traded under, by their names in the configuration.
    limits: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def start(self) -> datetime:
        return self.sessions[0].open

    @property
    def end(self) -> datetime:
        return self.sessions[-1].close

    @property
    def rejections(self) -> Mapping[str, int]:
        """How many signals each risk rule refused."""
        return Counter(signal.refused for signal in self.signals if signal.refused)

    @property
    def bars_per_s(self) -> float:
        return self.bars / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def span(self) -> timedelta:
        return self.end - self.start
