"""Where a moving price first meets an order. Everything is exact decimal dollars."""

from __future__ import annotations

from decimal import Decimal

from tests.alpaca_server.orders import Order, Side, Type


def first_touch(order: Order, start: Decimal, end: Decimal) -> Decimal | None:
    """The price between ``start`` and ``end``, both included, at which ``order`` triggers or fills."""
    ticket = order.ticket
    if ticket.type is Type.MARKET:
        return start
    if ticket.stop_price is not None and not order.triggered:
        return _reaches(ticket.stop_price, start, end, upwards=ticket.side is Side.BUY)
    if ticket.limit_price is not None:
        return _reaches(ticket.limit_price, start, end, upwards=ticket.side is Side.SELL)
    return start  # a triggered stop sells or buys at the market


def triggers(order: Order) -> bool:
    """Whether a touch only turns a stop-limit into a resting limit order."""
    return order.ticket.type is Type.STOP_LIMIT and not order.triggered


def slipped(price: Decimal, order: Order, ticks: int) -> Decimal:
    """``price`` made worse by ``ticks``, for orders that take any price; limits are kept."""
    if order.ticket.limit_price is not None:
        return price
    tick = Decimal("0.01") if price >= 1 else Decimal("0.0001")
    return max(tick, price + order.ticket.side.sign * tick * ticks)


def _reaches(level: Decimal, start: Decimal, end: Decimal, *, upwards: bool) -> Decimal | None:
    """``start`` when it is at or beyond ``level`` already, ``level`` when the way to ``end`` gets there."""
    if start >= level if upwards else start <= level:
        return start
    if end >= level if upwards else end <= level:
        return level
    return None
