"""Why an order is refused: the checks of Alpaca's order desk, in the order in which it makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from tests.alpaca_server.account import Account
from tests.alpaca_server.errors import forbidden, malformed, unprocessable
from tests.alpaca_server.orders import ZERO, Order, Side, Status, Ticket, Type

_AT_ANY_PRICE = (Type.MARKET, Type.STOP)
_ONE_DOLLAR = Decimal(1)


@dataclass(slots=True)
class Asset:
    """What can be traded, and whether it can just now."""

    symbol: str
    id: str
    exchange: str = "NASDAQ"
    tradable: bool = True
    status: str = "active"
    fractionable: bool = True
    shortable: bool = True
    halted: bool = False


@dataclass(frozen=True, slots=True)
class Desk:
    """What a new order is checked against. ``open_orders`` leaves out one that is being replaced."""

    account: Account
    prices: Mapping[str, Decimal]
    open_orders: tuple[Order, ...]

    def check(self, ticket: Ticket, asset: Asset | None) -> None:
        """Raise ``ApiError`` when ``ticket`` cannot be taken."""
        if asset is None:
            raise unprocessable(f'asset "{ticket.symbol}" not found')
        if not asset.tradable or asset.status != "active":
            raise unprocessable(f'asset "{ticket.symbol}" is not tradable')
        check_form(ticket)
        self._check_stop(ticket)
        self._check_wash(ticket)
        if ticket.side is Side.SELL:
            self._check_shares(ticket, asset)
        else:
            self._check_money(ticket)

    def _check_stop(self, ticket: Ticket) -> None:
        """Only sells: a buy stop at or below the market triggers at once."""
        price = self.prices.get(ticket.symbol)
        if ticket.side is Side.BUY or ticket.stop_price is None or price is None:
            return
        if ticket.stop_price >= price:
            raise unprocessable("stop price must be less than current price", market_price=price)

    def _check_wash(self, ticket: Ticket) -> None:
        held = self.account.qty(ticket.symbol)
        for order in self._against(ticket):
            if order.intent == "sell_to_open" and held >= 0:
                raise forbidden("cannot open a long buy while a short sell order is open")
            if order.intent == "buy_to_open" and held <= 0:
                raise forbidden("cannot open a short sell while a long buy order is open")
            if _would_meet(ticket, order.ticket):
                raise forbidden(
                    "potential wash trade detected. use complex orders",
                    existing_order_id=order.id,
                    reject_reason=f"opposite side {order.ticket.type} order exists",
                )

    def _against(self, ticket: Ticket) -> Iterable[Order]:
        return (
            order
            for order in self.open_orders
            if order.ticket.symbol == ticket.symbol and order.ticket.side is not ticket.side
        )

    def _check_shares(self, ticket: Ticket, asset: Asset) -> None:
        held = self.account.qty(ticket.symbol)
        if ticket.qty is None:
            if held <= 0:
                raise forbidden("fractional orders cannot be sold short")
            return
        if held <= 0:
            if not self.account.shorting:
                raise forbidden("account is not allowed to short")
            if not asset.shortable:
                raise forbidden(f'asset "{ticket.symbol}" cannot be sold short')
            return
        tied = held_for_orders(ticket.symbol, self.open_orders)
        if ticket.qty > held - tied:
            wanted, available = f"{ticket.qty.normalize():f}", f"{(held - tied).normalize():f}"
            raise forbidden(
                f"insufficient qty available for order (requested: {wanted}, available: {available})",
                available=available,
                existing_qty=f"{held.normalize():f}",
                held_for_orders=f"{tied.normalize():f}",
                related_orders=[o.id for o in self.open_orders if sells(o, ticket.symbol)],
                symbol=ticket.symbol,
            )

    def _check_money(self, ticket: Ticket) -> None:
        if self.account.qty(ticket.symbol) < 0:
            return  # covering a short costs no buying power
        price = ticket.limit_price or ticket.stop_price or self.prices.get(ticket.symbol, ZERO)
        cost = ticket.notional if ticket.qty is None else ticket.qty * price
        power = self.account.buying_power(self.prices, self.open_orders)
        if cost is not None and cost > power:
            raise forbidden(
                "insufficient buying power",
                buying_power=f"{power.normalize():f}",
                cost_basis=f"{cost.normalize():f}",
            )


def sells(order: Order, symbol: str) -> bool:
    return order.ticket.symbol == symbol and order.ticket.side is Side.SELL


def held_for_orders(symbol: str, open_orders: Iterable[Order]) -> Decimal:
    """Shares of a long position that open sell orders have reserved."""
    return sum((order.open_qty for order in open_orders if sells(order, symbol)), ZERO)


def waits_for_another(order: Order) -> bool:
    """True of a replacement while the order it replaces still works: together they count once."""
    return order.status is Status.PENDING_NEW and order.replaces is not None


def check_form(ticket: Ticket) -> None:
    """Raise ``ApiError`` for a ticket that is wrong whatever the market does."""
    if (ticket.qty is None) == (ticket.notional is None):
        raise malformed("qty or notional is required")
    amount = ticket.qty if ticket.qty is not None else ticket.notional
    if amount is None or not amount.is_finite() or amount <= 0:
        raise malformed("qty must be > 0")
    if ticket.time_in_force not in ("day", "gtc"):
        raise unprocessable(f"invalid time_in_force {ticket.time_in_force}")
    fractional = ticket.qty is None or ticket.qty != ticket.qty.to_integral_value()
    if fractional and ticket.time_in_force != "day":
        raise unprocessable("fractional orders must be DAY orders")
    wanted = {
        Type.MARKET: (False, False),
        Type.LIMIT: (True, False),
        Type.STOP: (False, True),
        Type.STOP_LIMIT: (True, True),
    }[ticket.type]
    for name, price, needed in (
        ("limit_price", ticket.limit_price, wanted[0]),
        ("stop_price", ticket.stop_price, wanted[1]),
    ):
        if (price is not None) != needed:
            text = f"{ticket.type} orders require {name}" if needed else f"{name} is not allowed"
            raise unprocessable(text)
        if price is not None:
            _check_price(name, price)


def _check_price(name: str, price: Decimal) -> None:
    if not price.is_finite() or price <= 0:
        raise unprocessable(f"{name} must be > 0")
    decimals = 2 if price >= _ONE_DOLLAR else 4
    if price != round(price, decimals):
        text = f"{price.normalize():f}"
        raise unprocessable(
            f"invalid {name} {text}. sub-penny increment does not fulfill minimum pricing criteria"
        )


def _would_meet(one: Ticket, other: Ticket) -> bool:
    """Whether two plain orders on opposite sides could trade with each other."""
    if one.type in _AT_ANY_PRICE or other.type in _AT_ANY_PRICE:
        return True
    buy, sell = (one, other) if one.side is Side.BUY else (other, one)
    return buy.limit_price is None or sell.limit_price is None or buy.limit_price >= sell.limit_price
