"""Simulated fills (DESIGN §9): where the path of a minute bar first touches an order.

A bar with close ≥ open is walked open → low → high → close, any other open → high → low → close. Bar prices
are float64 dollars, order prices and fill prices ``Decimal``; fill prices are not rounded. The simulated
broker and the backtest share this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from tui_trader.core.bars import Bar
from tui_trader.core.money import tick_size, to_decimal
from tui_trader.core.orders import OrderType, Side

Path = tuple[float, ...]


class Fill(NamedTuple):
    """A fill and what of the bar's path is left from there on (where it happened comes first)."""

    price: Decimal
    rest: Path


@dataclass(slots=True)
class WorkingOrder:
    """What matching needs of an order; ``triggered`` is set once a stop-limit rests as a limit order."""

    side: Side
    order_type: OrderType
    stop: Decimal | None
    limit: Decimal | None
    triggered: bool = False


def path(open_: float, high: float, low: float, close: float) -> Path:
    """A minute's four prices in the order in which the simulation visits them."""
    return (open_, low, high, close) if close >= open_ else (open_, high, low, close)


def path_of(bar: Bar) -> Path:
    """The path of ``bar``."""
    return path(bar.open, bar.high, bar.low, bar.close)


def slipped(price: Decimal, side: Side, ticks: int) -> Decimal:
    """``price`` made worse by ``ticks`` ticks."""
    tick = tick_size(price)
    if side is Side.BUY:
        return price + tick * ticks
    return max(price - tick * ticks, min(price, tick))  # nothing is sold for less than a tick


def match(order: WorkingOrder, path: Path, ticks: int, bought_at: Decimal | None = None) -> Fill | None:
    """The fill of ``order`` on ``path``, or None; a triggered stop-limit that rests is marked so.

    ``path`` begins at the bar's open, or where a fill inside the bar happened. A protective stop placed in
    answer to such a fill at ``bought_at`` that lies below it is filled at that price less slippage.
    """
    if order.order_type is OrderType.MARKET:
        return Fill(slipped(to_decimal(path[0]), order.side, ticks), path)
    if (
        bought_at is not None
        and order.side is Side.SELL
        and order.stop is not None
        and bought_at < order.stop
    ):
        return Fill(slipped(bought_at, Side.SELL, ticks), path)
    if order.side is Side.SELL and order.order_type is OrderType.STOP and order.stop is not None:
        return _match_sell_stop(order.stop, path, ticks)
    if order.side is Side.BUY and order.order_type is OrderType.STOP_LIMIT:
        return _match_buy_stop_limit(order, path, ticks)
    raise ValueError(f"the simulation does not fill {order.side} {order.order_type} orders")


def at_last_close(last: float, side: Side, ticks: int) -> Decimal:
    """Price of a market order that no bar of its session follows."""
    return slipped(to_decimal(last), side, ticks)


def _match_sell_stop(stop: Decimal, path: Path, ticks: int) -> Fill | None:
    level = float(stop)
    if path[0] <= level:
        return Fill(slipped(to_decimal(path[0]), Side.SELL, ticks), path)
    for index in range(1, len(path)):
        if path[index] <= level:
            return Fill(slipped(stop, Side.SELL, ticks), (level, *path[index:]))
    return None


def _match_buy_stop_limit(order: WorkingOrder, path: Path, ticks: int) -> Fill | None:
    if order.stop is None or order.limit is None:
        raise ValueError("a stop-limit order needs both prices")
    if order.triggered:
        return _match_resting(order.limit, path, ticks, opening=True)
    level = float(order.stop)
    if path[0] >= level:
        reached, rest = to_decimal(path[0]), path
    else:
        for index in range(1, len(path)):
            if path[index] >= level:
                reached, rest = order.stop, (level, *path[index:])
                break
        else:
            return None
    price = slipped(reached, Side.BUY, ticks)
    if price <= order.limit:
        return Fill(price, rest)
    order.triggered = True
    return _match_resting(order.limit, rest, ticks, opening=False)


def _match_resting(limit: Decimal, path: Path, ticks: int, *, opening: bool) -> Fill | None:
    level = float(limit)
    if opening and path[0] <= level:
        return Fill(min(slipped(to_decimal(path[0]), Side.BUY, ticks), limit), path)
    for index in range(1, len(path)):
        if path[index] <= level and path[index] < path[index - 1]:
            return Fill(limit, (level, *path[index:]))
    return None
