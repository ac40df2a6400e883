"""The exchange's order book and one customer's account: no network, no threads, no clock of its own."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from tests.alpaca_server.account import Account
from tests.alpaca_server.errors import malformed, not_found, unprocessable
from tests.alpaca_server.matching import first_touch, slipped, triggers
from tests.alpaca_server.order_faults import OrderFaults
from tests.alpaca_server.orders import Execution, News, Order, Side, Status, Ticket
from tests.alpaca_server.rules import Asset, Desk, check_form, waits_for_another
from tests.alpaca_server.stamps import time_of

_NOT_REPLACEABLE = (Status.PENDING_NEW, Status.ACCEPTED, Status.PENDING_CANCEL, Status.PENDING_REPLACE)


class Book:
    """Takes, matches and ends orders; tells ``publish`` each step after everything has changed with it.

    ``stamp`` gives strictly increasing nanoseconds since 1970.
    """

    def __init__(
        self,
        account: Account,
        assets: Mapping[str, Asset],
        faults: OrderFaults,
        stamp: Callable[[], int],
        publish: Callable[[News], None],
        *,
        slippage_ticks: int = 0,
        seed: int = 0,
    ) -> None:
        self.account = account
        self.assets = assets
        self.prices: dict[str, Decimal] = {}
        self.market_open = True
        self.orders: dict[str, Order] = {}
        self.executions: list[Execution] = []
        self._by_client_id: dict[str, Order] = {}
        self._open: dict[str, list[Order]] = {}
        self._faults = faults
        self._stamp = stamp
        self._publish = publish
        self._ticks = slippage_ticks
        self._random = random.Random(seed)

    # ---- reading ---------------------------------------------------------------------------------

    def open_orders(self, symbol: str | None = None, *, but: Order | None = None) -> tuple[Order, ...]:
        """Orders that have not ended, each replacement counted once."""
        lists = self._open.values() if symbol is None else [self._open.get(symbol, [])]
        return tuple(o for orders in lists for o in orders if o is not but and not waits_for_another(o))

    def order(self, order_id: str) -> Order:
        """Raises ``ApiError`` 404."""
        found = self.orders.get(order_id)
        if found is None:
            raise not_found(f"order not found for {order_id}")
        return found

    def order_of(self, client_order_id: str) -> Order:
        """By the customer's own id. Raises ``ApiError`` 404."""
        found = self._by_client_id.get(client_order_id)
        if found is None:
            raise not_found(f"order not found for {client_order_id}")
        return found

    # ---- customers -------------------------------------------------------------------------------

    def submit(self, ticket: Ticket, said: Callable[[Order], None] = lambda _: None) -> Order:
        """Take an order, or raise ``ApiError``; ``said`` sees it before anything more happens to it."""
        self._require_unused(ticket.client_order_id)
        desk = Desk(self.account, self.prices, self.open_orders())
        desk.check(ticket, self.assets.get(ticket.symbol))
        order = self._new(ticket, Status.PENDING_NEW if self.market_open else Status.ACCEPTED)
        said(order)
        self._tell(order.status.value, order)
        if order.status is Status.PENDING_NEW:
            self._activate(order, self._faults.rejection(ticket))
        return order

    def cancel(self, order_id: str) -> None:
        """Ask for an order's end. Raises ``ApiError`` when it has ended already."""
        order = self.order(order_id)
        if not order.open:
            raise unprocessable(f'order is already in "{order.status}" state')
        if order.status is Status.PENDING_CANCEL:
            return
        if waits_for_another(order):
            raise unprocessable(f'order is not cancelable in "{order.status}" state')
        if self._faults.sticks(order):
            self._change(order, Status.PENDING_CANCEL)
            self._tell("pending_cancel", order)
            return
        self._finish_cancel(order)

    def replace(
        self, order_id: str, terms: Mapping[str, Decimal | None], client_order_id: str | None,
        tif: str | None, said: Callable[[Order], None] = lambda _: None,
    ) -> Order:  # fmt: skip
        """Put a changed order in another's place. ``terms``: qty, limit_price, stop_price; None is unchanged.

        The new order asks for the whole quantity again, whatever the old one has filled, unless one is given.
        """
        old = self.order(order_id)
        if not old.open:
            raise unprocessable(f'order is already in "{old.status}" state')
        if old.status in _NOT_REPLACEABLE:
            raise unprocessable(f'cannot replace order in "{old.status}" state')
        given = {name: value for name, value in terms.items() if value is not None}
        changed = replace(old.ticket, **given, time_in_force=tif or old.ticket.time_in_force)  # type: ignore[arg-type]
        if changed == old.ticket:
            raise unprocessable("order parameters are not changed")
        identity = client_order_id or self._uuid()
        self._require_unused(identity)
        ticket = replace(changed, client_order_id=identity)
        check_form(ticket)
        desk = Desk(self.account, self.prices, self.open_orders(but=old))
        desk.check(ticket, self.assets.get(ticket.symbol))
        new = self._new(ticket, Status.PENDING_NEW)
        new.replaces = old.id
        said(new)
        if self._faults.replaces_slowly(old):
            old.replaced_by = new.id
            self._change(old, Status.PENDING_REPLACE)
            self._tell("pending_replace", old)
        else:
            self._finish_replace(old, new)
        return new

    # ---- what faults have held up ----------------------------------------------------------------

    def release_cancels(self) -> None:
        """Cancels that were stuck go through."""
        for order in self.open_orders():
            if order.status is Status.PENDING_CANCEL:
                self._finish_cancel(order)

    def release_replaces(self) -> None:
        """Replaces that were slow go through; those whose old order has ended are rejected."""
        for order in list(self.orders.values()):
            if waits_for_another(order) and order.replaces is not None:
                self._finish_replace(self.orders[order.replaces], order)

    def release_fills(self, symbol: str | None = None) -> None:
        """Orders that stayed partly filled can fill again."""
        for order in self.open_orders(symbol):
            order.stays = False
        self._rematch(symbol)

    # ---- the market ------------------------------------------------------------------------------

    def move(self, symbol: str, *path: Decimal) -> None:
        """The price jumps to the first of ``path`` and runs from there to each next one."""
        here = path[0]
        for there in (path[0], *path[1:]):
            self._walk(symbol, here, there)
            here = there

    def halt(self, symbol: str, *, halted: bool) -> None:
        """Stop or resume matching of one symbol."""
        self.assets[symbol].halted = halted
        if not halted:
            self._rematch(symbol)

    def open_session(self) -> None:
        """Orders that waited for the open begin to work."""
        self.market_open = True
        for order in self.open_orders():
            if order.status is Status.ACCEPTED:
                self._activate(order, None)
        self._rematch(None)

    def close_session(self) -> None:
        """Day orders expire."""
        self.market_open = False
        for order in self.open_orders():
            if order.ticket.time_in_force == "day":
                self._end(order, Status.EXPIRED)
                self._tell("expired", order)

    def _rematch(self, symbol: str | None) -> None:
        for name in [symbol] if symbol is not None else sorted(self._open):
            if name in self.prices:
                self._walk(name, self.prices[name], self.prices[name])

    def _walk(self, symbol: str, start: Decimal, end: Decimal) -> None:
        """Carry the orders of ``symbol`` along a straight way, the nearest touch first."""
        self.prices[symbol] = start
        if not self.market_open or self.assets[symbol].halted:
            self.prices[symbol] = end
            return
        here = start
        while True:
            best: tuple[Decimal, Order] | None = None
            for order in self._open.get(symbol, ()):
                if order.working and not order.stays:
                    touch = first_touch(order, here, end)
                    if touch is not None and (best is None or abs(touch - here) < abs(best[0] - here)):
                        best = (touch, order)
            if best is None:
                self.prices[symbol] = end
                return
            here, order = best
            self.prices[symbol] = here
            if triggers(order):
                order.triggered = True
            else:
                self._fill(order, slipped(here, order, self._ticks))

    def _fill(self, order: Order, price: Decimal) -> None:
        ticket = order.ticket
        wanted = ticket.qty - order.filled_qty if ticket.qty is not None else _shares(ticket, price)
        qty = self._faults.fill_size(order, wanted)
        if qty < wanted:
            order.stays = True
        if qty <= 0:
            return
        order.filled_qty += qty
        order.filled_value += qty * price
        now = self._stamp()
        position = self.account.take(ticket.symbol, ticket.side, qty, price)
        complete = qty == wanted
        if complete:
            self._end(order, Status.FILLED)
        elif order.status is Status.NEW:
            self._change(order, Status.PARTIALLY_FILLED)
        execution = Execution(
            self._uuid(), f"{time_of(now):%Y%m%d%H%M%S%f}{now % 1000:03d}::{self._uuid()}", order.id,
            ticket.client_order_id, ticket.symbol, ticket.side, qty, price, now, order.filled_qty,
            wanted - qty, Status.FILLED if complete else Status.PARTIALLY_FILLED,
        )  # fmt: skip
        self.executions.append(execution)
        self._publish(News("fill" if complete else "partial_fill", order, now, execution, position))

    # ---- the life of an order --------------------------------------------------------------------

    def _new(self, ticket: Ticket, status: Status) -> Order:
        now = self._stamp()
        held = self.account.qty(ticket.symbol)
        closing = held < 0 if ticket.side is Side.BUY else held > 0
        order = Order(
            self._uuid(), ticket, f"{ticket.side}_to_{'close' if closing else 'open'}", status, now, now
        )
        self.orders[order.id] = order
        self._by_client_id[ticket.client_order_id] = order
        self._open.setdefault(ticket.symbol, []).append(order)
        return order

    def _activate(self, order: Order, rejection: str | None) -> None:
        if rejection is not None:
            self._end(order, Status.REJECTED)
            self._tell("rejected", order)
            return
        self._change(order, Status.NEW)
        self._tell("new", order)
        self._rematch(order.ticket.symbol)

    def _finish_cancel(self, order: Order) -> None:
        self._end(order, Status.CANCELED)
        self._tell("canceled", order)

    def _finish_replace(self, old: Order, new: Order) -> None:
        if not old.open:  # it filled, or was cancelled, while its replacement waited
            self._end(new, Status.REJECTED)
            self._tell("order_replace_rejected", new)
            return
        old.replaced_by = new.id
        self._end(old, Status.REPLACED)
        self._change(new, Status.NEW)
        self._tell("replaced", old)
        self._tell("new", new)
        self._rematch(new.ticket.symbol)

    def _change(self, order: Order, status: Status) -> None:
        order.status = status
        order.updated = self._stamp()

    def _end(self, order: Order, status: Status) -> None:
        self._change(order, status)
        order.ended[status] = order.updated
        left = self._open[order.ticket.symbol]
        left.remove(order)
        if not left:
            del self._open[order.ticket.symbol]

    def _tell(self, event: str, order: Order) -> None:
        self._publish(News(event, order, order.updated))

    def _require_unused(self, client_order_id: str) -> None:
        if len(client_order_id) > 128:
            raise malformed("client_order_id must be no more than 128 characters")
        if client_order_id in self._by_client_id:
            raise malformed("client_order_id must be unique")

    def _uuid(self) -> str:
        """Repeatable for the same seed."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def new_client_order_id(self) -> str:
        """What the exchange calls an order whose customer gave no id."""
        return self._uuid()


def _shares(ticket: Ticket, price: Decimal) -> Decimal:
    """What a dollar amount buys, to the billionth of a share."""
    assert ticket.notional is not None
    return round(ticket.notional / price, 9)
