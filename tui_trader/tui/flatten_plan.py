"""What a flatten would do, exactly, before anyone says yes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from tui_trader.core.money import ZERO, to_decimal
from tui_trader.core.orders import TERMINAL
from tui_trader.engine.handle import OrderView, PositionView
from tui_trader.tui.formats import dollars, price, signed
from tui_trader.tui.widgets.plain_text import clean


@dataclass(frozen=True, slots=True)
class CancelAction:
    """One order to cancel."""

    client_order_id: str
    symbol: str
    text: str


@dataclass(frozen=True, slots=True)
class CloseAction:
    """One position to close at market. ``value`` and ``realised`` are dollars at the last price.

    What shares cost that somebody else bought, and so what they realise, is not known: None.
    """

    symbol: str
    qty: int
    value: Decimal
    realised: Decimal | None

    @property
    def text(self) -> str:
        verb = "sell" if self.qty > 0 else "buy"
        return f"{verb} {abs(self.qty)} {clean(self.symbol)} at market ≈ ${dollars(self.value)}"


@dataclass(frozen=True, slots=True)
class FlattenPlan:
    """The orders to cancel and the positions to close, in that order."""

    cancels: tuple[CancelAction, ...]
    closes: tuple[CloseAction, ...]

    @property
    def empty(self) -> bool:
        return not self.cancels and not self.closes

    @property
    def realised(self) -> Decimal:
        """What closing would realise at the last prices, in dollars."""
        return sum((close.realised or ZERO for close in self.closes), ZERO)

    @property
    def signature(self) -> tuple[object, ...]:
        """What must not change between showing the plan and carrying it out. Prices may."""
        return (
            tuple(sorted(cancel.client_order_id for cancel in self.cancels)),
            tuple((close.symbol, close.qty) for close in self.closes),
        )

    def lines(self) -> list[str]:
        """The plan in words, a line an action."""
        lines = []
        if self.cancels:
            noun = "order" if len(self.cancels) == 1 else "orders"
            lines.append(f"cancel {len(self.cancels)} {noun}")
            lines += [f"  {cancel.text}" for cancel in self.cancels]
        for close in self.closes:
            what = "not ours" if close.realised is None else f"expected {signed(close.realised)}"
            lines.append(f"{close.text}   {what}")
        return lines


def flatten_plan(
    positions: Iterable[PositionView],
    orders: Iterable[OrderView],
    symbol: str | None = None,
    others: Mapping[str, tuple[int, float]] = MappingProxyType({}),
) -> FlattenPlan:
    """The plan for one symbol, or for everything when ``symbol`` is None.

    ``others``: shares that somebody else bought, and their last price, by symbol.
    """
    cancels = tuple(
        CancelAction(order.client_order_id, order.symbol, _order_text(order))
        for order in orders
        if order.state not in TERMINAL and symbol in (None, order.symbol)
    )
    closes = tuple(
        _close(position)
        for position in sorted(positions, key=lambda position: position.symbol)
        if position.qty and symbol in (None, position.symbol)
    )
    taken_over = tuple(
        CloseAction(name, qty, qty * to_decimal(last) if math.isfinite(last) else ZERO, None)
        for name, (qty, last) in sorted(others.items())
        if symbol in (None, name)
    )
    return FlattenPlan(cancels, closes + taken_over)


def _close(position: PositionView) -> CloseAction:
    # Before the first bar there is no last price: the entry price is the best known.
    known = position.last == position.last
    last = to_decimal(position.last) if known else position.avg_entry_price
    return CloseAction(position.symbol, position.qty, abs(position.qty) * last, position.unrealized_pnl)


def _order_text(order: OrderView) -> str:
    at = order.stop_price if order.stop_price is not None else order.limit_price
    where = "" if at is None else f" @ {price(at)}"
    return (
        f"{order.role.value.lower()} {clean(order.symbol)} {order.side} {order.qty - order.filled_qty}{where}"
    )
