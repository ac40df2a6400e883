"""Cash, positions and trades, from fills alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from tui_trader.core.money import ZERO, to_decimal
from tui_trader.core.orders import BrokerProtocolError, Execution, Side


@dataclass(slots=True)
class Position:
    """An open long position. Money in dollars; times are those of the fills."""

    symbol: str
    strategy: str
    qty: int
    bought_qty: int
    cost: Decimal  # paid for all shares bought
    proceeds: Decimal  # received for those already sold
    entry_time: datetime
    exit_time: datetime | None
    unit_risk: Decimal  # the signal's entry − stop loss, dollars a share

    @property
    def avg_entry_price(self) -> Decimal:
        return self.cost / self.bought_qty

    def unrealized_pnl(self, last: float) -> Decimal:
        """Profit of the shares still held at price ``last``."""
        return (to_decimal(last) - self.avg_entry_price) * self.qty

    @property
    def planned_risk(self) -> Decimal:
        """What the signal meant to risk on the shares bought."""
        return self.unit_risk * self.bought_qty


class ClosedTrade(NamedTuple):
    """A position from first buy to flat."""

    symbol: str
    strategy: str
    qty: int
    entry_price: Decimal
    exit_price: Decimal
    entry_time: datetime
    exit_time: datetime
    pnl: Decimal
    planned_risk: Decimal


class Portfolio:
    """The engine's own book. Long only: a sale beyond the position raises ``BrokerProtocolError``."""

    def __init__(self, cash: Decimal) -> None:
        self.cash = cash
        self.positions: dict[str, Position] = {}
        self._last: dict[str, float] = {}

    def qty(self, symbol: str) -> int:
        position = self.positions.get(symbol)
        return position.qty if position else 0

    def mark(self, symbol: str, close: float) -> None:
        """Remember the last delivered close."""
        self._last[symbol] = close

    def last(self, symbol: str) -> float | None:
        return self._last.get(symbol)

    def equity(self) -> Decimal:
        """Cash plus every position at its last delivered close (its entry price before the first)."""
        return self.cash + self.market_value() if self.positions else self.cash

    def market_value(self) -> Decimal:
        return sum((self._value(position) for position in self.positions.values()), ZERO)

    def _value(self, position: Position) -> Decimal:
        last = self._last.get(position.symbol)
        price = to_decimal(last) if last is not None else position.avg_entry_price
        return price * position.qty

    def apply(self, fill: Execution, strategy: str, unit_risk: Decimal) -> ClosedTrade | None:
        """Book one execution; the trade it closed, if it did."""
        amount = fill.price * fill.qty
        position = self.positions.get(fill.symbol)
        if fill.side is Side.BUY:
            self.cash -= amount
            if position is None:
                self.positions[fill.symbol] = Position(
                    fill.symbol, strategy, fill.qty, fill.qty, amount, ZERO, fill.time, None, unit_risk
                )
            else:
                position.qty += fill.qty
                position.bought_qty += fill.qty
                position.cost += amount
            return None
        if position is None or fill.qty > position.qty:
            held = position.qty if position else 0
            raise BrokerProtocolError(f"{fill.symbol}: sold {fill.qty} of {held} held")
        self.cash += amount
        position.qty -= fill.qty
        position.proceeds += amount
        position.exit_time = fill.time
        if position.qty:
            return None
        del self.positions[fill.symbol]
        return ClosedTrade(
            position.symbol,
            position.strategy,
            position.bought_qty,
            position.avg_entry_price,
            position.proceeds / position.bought_qty,
            position.entry_time,
            fill.time,
            position.proceeds - position.cost,
            position.planned_risk,
        )

    def adopt(self, fills: Iterable[tuple[Execution, str, Decimal]]) -> None:
        """Rebuild positions from earlier fills without touching cash, which the broker has told."""
        cash = self.cash
        for fill, strategy, unit_risk in fills:
            self.apply(fill, strategy, unit_risk)
        self.cash = cash
