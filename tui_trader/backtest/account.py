"""The backtest's account: positions, limits and breaker, and the record of everything that happened.

Signals, orders and fills pass through the same ``RiskManager``, ``Portfolio`` and ``CircuitBreaker`` as in
live trading; an order here is what ``core.fills`` needs of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from tui_trader.backtest.result import FillRecord, OrderRecord, SignalRecord, Trade, TripRecord
from tui_trader.core.breaker import BreakerLimits, CircuitBreaker, Trip
from tui_trader.core.decide import EnterLong
from tui_trader.core.events import TradeReason
from tui_trader.core.money import ZERO, to_decimal
from tui_trader.core.orders import ClientOrderId, Execution, ExecutionId, Role, Side
from tui_trader.core.portfolio import ClosedTrade, Portfolio
from tui_trader.core.risk import Approved, Exposure, RiskLimits, RiskManager


class WorkingEntry(NamedTuple):
    """A buy stop-limit at work: its size, and the dollars it may cost a share."""

    qty: int
    terms: EnterLong


class Account:
    """One account over all symbols. ``cash`` is a float of the portfolio's, kept for speed."""

    def __init__(self, cash: Decimal, risk: RiskLimits, breaker: BreakerLimits) -> None:
        self.portfolio = Portfolio(cash)
        self.risk = RiskManager(risk)
        self.breaker = CircuitBreaker(breaker)
        self.entries: dict[str, WorkingEntry] = {}
        self.cash = float(cash)
        self.loss_floor = float("-inf")  # equity, dollars, at or below which the breaker has to be asked
        self.signals: list[SignalRecord] = []
        self.orders: list[OrderRecord] = []
        self.fills: list[FillRecord] = []
        self.trades: list[Trade] = []
        self.trips: list[TripRecord] = []

    # ---- the day ---------------------------------------------------------------------------------

    def start_session(self) -> None:
        self.risk.start_session()
        self.breaker.start_session()
        self.loss_floor = float("-inf")

    def first_delivery(self) -> None:
        """The session's first bars are known: the day's loss counts from here."""
        equity = self.portfolio.equity()
        self.breaker.first_delivery(equity)
        # A dollar of room for what float64 does to sums; the breaker itself reckons exactly.
        self.loss_floor = float(equity - self.breaker.loss_limit) + 1.0

    def check(self, now: datetime) -> bool:
        """After an instant: whether the breaker trips now."""
        return self._tripped(self.breaker.check(self.portfolio.equity()), now)

    def _tripped(self, trip: Trip | None, now: datetime) -> bool:
        if trip is None:
            return False
        self.trips.append(TripRecord(now, trip.rule, trip.value, trip.limit))
        return True

    # ---- signals and orders ----------------------------------------------------------------------

    def review(
        self,
        symbol: str,
        order: EnterLong,
        candle: datetime,
        last_close: float,
        average_volume: float | None,
        now: datetime,
    ) -> WorkingEntry | None:
        """Record a signal; the entry that the risk rules make of it, or None when they refuse."""
        answer = self.risk.review(
            symbol, order, self._exposure(), to_decimal(last_close), average_volume, now
        )
        told = (now, symbol, candle, order.entry, order.limit, order.stop_loss)
        if not isinstance(answer, Approved):
            self.signals.append(SignalRecord(*told, 0, answer.rule, answer.reason))
            return None
        self.signals.append(SignalRecord(*told, answer.qty))
        self.risk.count_entry(symbol)
        self.placed(now, symbol, Role.ENTRY, answer.qty, order.entry, order.limit)
        entry = self.entries[symbol] = WorkingEntry(answer.qty, order)
        return entry

    def _exposure(self) -> Exposure:
        portfolio = self.portfolio
        if not portfolio.positions and not self.entries:
            return Exposure(portfolio.cash, portfolio.cash, ZERO, 0)
        working = sum((entry.terms.limit * entry.qty for entry in self.entries.values()), ZERO)
        held = portfolio.market_value()
        return Exposure(
            portfolio.cash + held, portfolio.cash - working, held + working,
            len(portfolio.positions) + len(self.entries),
        )  # fmt: skip

    def placed(
        self,
        now: datetime,
        symbol: str,
        role: Role,
        qty: int,
        stop_price: Decimal | None = None,
        limit_price: Decimal | None = None,
    ) -> None:
        """An order was sent."""
        self.risk.count_order(now)
        self.orders.append(OrderRecord(now, symbol, role, "submit", qty, stop_price, limit_price))

    def moved(self, now: datetime, symbol: str, qty: int, stop_price: Decimal) -> None:
        """A protective stop was moved."""
        self.orders.append(OrderRecord(now, symbol, Role.STOP, "move", qty, stop_price))

    def cancelled(
        self,
        now: datetime,
        symbol: str,
        role: Role,
        qty: int,
        stop_price: Decimal | None = None,
        limit_price: Decimal | None = None,
    ) -> None:
        """An order was taken back."""
        self.orders.append(OrderRecord(now, symbol, role, "cancel", qty, stop_price, limit_price))

    # ---- fills -----------------------------------------------------------------------------------

    def bought(
        self, symbol: str, strategy: str, entry: WorkingEntry, price: Decimal, stamp: datetime
    ) -> None:
        del self.entries[symbol]
        unit_risk = entry.terms.entry - entry.terms.stop_loss
        self._book(symbol, strategy, Role.ENTRY, Side.BUY, entry.qty, price, stamp, unit_risk)

    def sold(
        self,
        symbol: str,
        role: Role,
        price: Decimal,
        stamp: datetime,
        reason: TradeReason,
        seen: Iterable[float],
        now: datetime,
    ) -> bool:
        """A whole position was sold; ``seen`` are prices met while it was held. Whether the breaker trips."""
        position = self.portfolio.positions[symbol]
        closed = self._book(symbol, position.strategy, role, Side.SELL, position.qty, price, stamp, ZERO)
        if closed is None:
            raise RuntimeError(f"{symbol}: a sale of everything left something")  # a bug of ours
        prices = (*seen, float(closed.entry_price), float(price))
        self.trades.append(
            Trade(
                symbol, closed.strategy, closed.qty, closed.entry_time, closed.entry_price, closed.exit_time,
                closed.exit_price, closed.pnl, reason, closed.planned_risk, min(prices), max(prices),
            )
        )  # fmt: skip
        self.breaker.count(closed)
        return self._tripped(self.breaker.check_streak(), now)

    def _book(
        self,
        symbol: str,
        strategy: str,
        role: Role,
        side: Side,
        qty: int,
        price: Decimal,
        stamp: datetime,
        unit_risk: Decimal,
    ) -> ClosedTrade | None:
        execution = Execution(ExecutionId(""), ClientOrderId(""), symbol, side, qty, price, stamp)
        closed = self.portfolio.apply(execution, strategy, unit_risk)
        self.fills.append(FillRecord(stamp, symbol, role, side, qty, price))
        self.cash = float(self.portfolio.cash)
        return closed
