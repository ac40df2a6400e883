"""Sizing and the pre-trade controls: the last gate before an entry order exists.

The gate is independent of any strategy. Each control is named as users see it in ``SignalRejected.rule``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tui_trader.core.decide import EnterLong
from tui_trader.core.money import ZERO, plain

_MINUTE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Percentages of equity (of price for the collar), dollars, and counts, as in the ``[risk]`` table."""

    max_risk_per_trade_pct: Decimal
    max_risk_per_trade: Decimal
    max_position_pct: Decimal
    max_open_positions: int
    max_gross_exposure_pct: Decimal
    max_order_value: Decimal
    max_entries_per_symbol_per_day: int
    max_entries_per_day: int
    max_volume_pct: Decimal
    max_orders_per_minute: int
    price_collar_pct: Decimal


class Exposure(NamedTuple):
    """The account at the moment of a decision. Dollars.

    ``available_cash`` is cash less limit price × quantity of working entries; ``gross`` the positions at
    their last close plus the same sum; ``open_positions`` counts positions and working entries.
    """

    equity: Decimal
    available_cash: Decimal
    gross: Decimal
    open_positions: int


class Approved(NamedTuple):
    qty: int


@dataclass(frozen=True, slots=True)
class RiskRefusal:
    rule: str
    reason: str


class RiskManager:
    """Approves and sizes entries, and remembers what was sent today."""

    def __init__(self, limits: RiskLimits) -> None:
        self.limits = limits
        # Shares of equity.
        self._risk_share = limits.max_risk_per_trade_pct / 100
        self._position_share = limits.max_position_pct / 100
        self._gross_share = limits.max_gross_exposure_pct / 100
        self._entries: dict[str, int] = {}
        self._entries_today = 0
        self._sent: deque[datetime] = deque()

    # ---- what was sent ---------------------------------------------------------------------------

    def start_session(self, entries: Mapping[str, int] | None = None) -> None:
        """A new session; ``entries`` already sent today by symbol (after a restart)."""
        self._entries = dict(entries or {})
        self._entries_today = sum(self._entries.values())

    def count_order(self, now: datetime) -> None:
        """An order (not a stop move, not a cancel) is being sent."""
        self._sent.append(now)

    def count_entry(self, symbol: str) -> None:
        self._entries[symbol] = self._entries.get(symbol, 0) + 1
        self._entries_today += 1

    def orders_last_minute(self, now: datetime) -> int:
        sent, before = self._sent, now - _MINUTE
        while sent and sent[0] <= before:
            sent.popleft()
        return len(sent)

    @property
    def entries_today(self) -> int:
        return self._entries_today

    # ---- the gate --------------------------------------------------------------------------------

    def trade_budget(self, equity: Decimal) -> Decimal:
        """Dollars that one trade may risk: one R."""
        return min(equity * self._risk_share, self.limits.max_risk_per_trade)

    def size(self, order: EnterLong, exposure: Exposure, average_volume: float | None) -> int:
        """Whole shares, rounded down; 0 when nothing fits. Needs a stop below the entry."""
        limits = self.limits
        qty = min(
            self.trade_budget(exposure.equity) // (order.entry - order.stop_loss),
            exposure.equity * self._position_share // order.entry,
            exposure.available_cash // order.limit,
        )
        if limits.max_volume_pct > ZERO:
            share = Decimal(repr(average_volume or 0.0)) * limits.max_volume_pct / 100
            qty = min(qty, share // 1)
        return max(int(qty), 0)

    def review(
        self,
        symbol: str,
        order: EnterLong,
        exposure: Exposure,
        last_close: Decimal,
        average_volume: float | None,
        now: datetime,
    ) -> Approved | RiskRefusal:
        """Every control in the order of DESIGN §9; the first that refuses is named with its numbers."""
        limits = self.limits
        if exposure.open_positions >= limits.max_open_positions:
            return RiskRefusal(
                "max_open_positions",
                f"{exposure.open_positions} positions and entries open, limit {limits.max_open_positions}",
            )
        today = self._entries.get(symbol, 0)
        if today >= limits.max_entries_per_symbol_per_day:
            return RiskRefusal(
                "max_entries_per_symbol_per_day",
                f"{today} entries in {symbol} today, limit {limits.max_entries_per_symbol_per_day}",
            )
        if self.entries_today >= limits.max_entries_per_day:
            return RiskRefusal(
                "max_entries_per_day",
                f"{self.entries_today} entries today, limit {limits.max_entries_per_day}",
            )
        recent = self.orders_last_minute(now)
        if recent >= limits.max_orders_per_minute:
            return RiskRefusal(
                "max_orders_per_minute",
                f"{recent} orders in the last minute, limit {limits.max_orders_per_minute}",
            )
        if order.stop_loss >= order.entry:
            return RiskRefusal("stop_side", f"stop {order.stop_loss} is not below the entry {order.entry}")
        qty = self.size(order, exposure, average_volume)
        if qty < 1:
            return RiskRefusal(
                "size",
                f"0 shares: {plain(order.entry - order.stop_loss)} risk a share, "
                f"{plain(exposure.available_cash)} cash available",
            )
        return self._limits_on_value(order, qty, exposure, last_close) or Approved(qty)

    def _limits_on_value(
        self, order: EnterLong, qty: int, exposure: Exposure, last_close: Decimal
    ) -> RiskRefusal | None:
        limits = self.limits
        value = order.limit * qty
        if value > limits.max_order_value:
            return RiskRefusal(
                "max_order_value", f"order of {plain(value)}, limit {plain(limits.max_order_value)}"
            )
        ceiling = exposure.equity * self._gross_share
        if exposure.gross + value > ceiling:
            return RiskRefusal(
                "max_gross_exposure",
                f"{plain(exposure.gross)} held or ordered and {plain(value)} more, limit {plain(ceiling)}",
            )
        distance = abs(order.entry - last_close) / last_close * 100
        if distance > limits.price_collar_pct:
            return RiskRefusal(
                "price_collar",
                f"entry {order.entry} is {distance:.2f} % from the last close {plain(last_close)}, "
                f"limit {plain(limits.price_collar_pct)} %",
            )
        return None
