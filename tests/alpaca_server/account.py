"""Cash and positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tests.alpaca_server.orders import ZERO, Order, Side, Type


@dataclass(frozen=True, slots=True)
class Holding:
    """Shares of one symbol, negative when short, and their average price in dollars."""

    qty: Decimal
    avg_price: Decimal


@dataclass(slots=True)
class Account:
    """One customer's money. ``multiplier`` 1 is a cash account."""

    cash: Decimal
    multiplier: int = 1
    shorting: bool = False
    holdings: dict[str, Holding] = field(default_factory=dict)

    def qty(self, symbol: str) -> Decimal:
        holding = self.holdings.get(symbol)
        return ZERO if holding is None else holding.qty

    def take(self, symbol: str, side: Side, qty: Decimal, price: Decimal) -> Decimal:
        """Book an execution; the holding after it."""
        self.cash -= side.sign * qty * price
        before = self.holdings.get(symbol, Holding(ZERO, ZERO))
        after = before.qty + side.sign * qty
        if after == 0:
            self.holdings.pop(symbol, None)
        elif before.qty * after <= 0:
            self.holdings[symbol] = Holding(after, price)
        elif abs(after) > abs(before.qty):
            cost = before.qty * before.avg_price + side.sign * qty * price
            self.holdings[symbol] = Holding(after, cost / after)
        else:
            self.holdings[symbol] = Holding(after, before.avg_price)
        return after

    def long_value(self, prices: Mapping[str, Decimal]) -> Decimal:
        return sum((h.qty * prices.get(s, h.avg_price) for s, h in self.holdings.items() if h.qty > 0), ZERO)

    def short_value(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Zero or negative."""
        return sum((h.qty * prices.get(s, h.avg_price) for s, h in self.holdings.items() if h.qty < 0), ZERO)

    def equity(self, prices: Mapping[str, Decimal]) -> Decimal:
        return self.cash + self.long_value(prices) + self.short_value(prices)

    def buying_power(self, prices: Mapping[str, Decimal], open_orders: Iterable[Order]) -> Decimal:
        """Dollars that further buys may cost, less what open buys will."""
        gross = self.long_value(prices) - self.short_value(prices)
        tied = sum((price_of(o, prices) * o.open_qty for o in open_orders if o.ticket.side is Side.BUY), ZERO)
        return max(ZERO, self.multiplier * self.equity(prices) - gross - tied)


def price_of(order: Order, prices: Mapping[str, Decimal]) -> Decimal:
    """What a share of ``order`` may cost at most, as far as that can be known."""
    ticket = order.ticket
    if ticket.type is Type.STOP and ticket.stop_price is not None:
        return ticket.stop_price
    return ticket.limit_price or prices.get(ticket.symbol, ZERO)
