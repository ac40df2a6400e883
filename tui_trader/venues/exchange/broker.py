"""The simulated broker: an account, an order book and the fills of DESIGN §9."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from tui_trader.core.bars import Bar
from tui_trader.core.fills import Fill, Path, WorkingOrder, at_last_close, match, path_of
from tui_trader.core.money import ZERO, plain
from tui_trader.core.orders import (
    BrokerOrderId,
    ClientOrderId,
    Execution,
    ExecutionId,
    OrderReport,
    OrderSpec,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
)
from tui_trader.venues.base import (
    AccountReport,
    Acknowledged,
    BrokerMessage,
    BrokerPosition,
    BrokerRequest,
    BrokerSnapshot,
    CancelOrder,
    NotFound,
    OrderUpdate,
    QueryOrder,
    QuerySnapshot,
    Refusal,
    Refused,
    ReplaceOrder,
    SubmitOrder,
)
from tui_trader.venues.exchange.store import BrokerOrder, ExchangeStore

Post = Callable[[BrokerMessage], None]
#: The last believed bar of a symbol in the session under way.
LastBar = Callable[[str], Bar | None]
#: How many of an order's open shares a fill gets; a test may make it fewer than all.
FillSize = Callable[[BrokerOrder], int]


class SimBroker:
    """Answers every request at once. ``now`` tells market time; answers and news go to ``post``."""

    def __init__(
        self,
        account_id: str,
        cash: Decimal,
        slippage_ticks: int,
        store: ExchangeStore,
        now: Callable[[], datetime],
        post: Post,
        last_bar: LastBar,
        fill_size: FillSize,
    ) -> None:
        self._account_id = account_id
        self._ticks = slippage_ticks
        self._store = store
        self._now = now
        self._post = post
        self._last_bar = last_bar
        self._fill_size = fill_size
        self._orders: dict[ClientOrderId, BrokerOrder] = {}
        self._working: dict[str, list[BrokerOrder]] = {}
        self._executions: list[Execution] = []
        self._number = 0
        self.cash = cash
        self.positions: dict[str, tuple[int, Decimal]] = {}  # symbol → shares, cost of them
        # What is left of a bar's path after a buy in it, for the protective stop that answers the fill.
        self._in_bar: dict[str, tuple[Bar, Path, Decimal]] = {}
        self._load()

    @property
    def account_id(self) -> str:
        return self._account_id

    @property
    def has_orders(self) -> bool:
        """Whether any order works."""
        return bool(self._working)

    # ---- requests --------------------------------------------------------------------------------

    def request(self, request: BrokerRequest) -> None:
        match request:
            case SubmitOrder():
                self._submit(request)
            case CancelOrder():
                self._cancel(request)
            case ReplaceOrder():
                self._replace(request)
            case QueryOrder():
                order = self._orders.get(request.client_order_id)
                if order is None:
                    self._post(NotFound(request.request_id))
                else:
                    self._post(Acknowledged(request.request_id, report(order), self._fills_of(order)))
            case QuerySnapshot():
                self._post(self.snapshot(request.request_id))
            case _:
                assert_never(request)

    def snapshot(self, request_id: int) -> BrokerSnapshot:
        positions = tuple(
            BrokerPosition(symbol, qty, cost / qty) for symbol, (qty, cost) in sorted(self.positions.items())
        )
        orders = tuple(report(order) for order in self._orders.values() if order.working)
        return BrokerSnapshot(
            request_id, AccountReport(self.cash, self.cash), positions, orders, tuple(self._executions)
        )

    def _submit(self, request: SubmitOrder) -> None:
        spec = request.spec
        if spec.client_order_id in self._orders:
            message = "client_order_id must be unique"
            self._post(Refused(request.request_id, Refusal.DUPLICATE_ID, message))
            return
        refusal = self._refusal(spec)
        if refusal is not None:
            self._post(Refused(request.request_id, *refusal))
            return
        order = self._place(spec, self._now())
        in_bar = self._in_bar.get(spec.symbol) if spec.side is Side.SELL else None
        if in_bar is not None and spec.order_type is OrderType.STOP:
            order.placed = in_bar[0].timestamp
            self._store.keep_order(order)
        self._post(Acknowledged(request.request_id, report(order)))
        if in_bar is not None and spec.order_type is OrderType.STOP:
            bar, rest, bought_at = in_bar
            self._walk(spec.symbol, bar, rest, bought_at)
        # Before the engine takes the answer: a broker that dies with it must not forget what it said.
        self._store.commit()

    def _refusal(self, spec: OrderSpec, instead_of: BrokerOrder | None = None) -> tuple[Refusal, str] | None:
        if spec.side is Side.BUY:
            cost = (spec.limit_price or ZERO) * spec.qty
            tied = sum(((o.spec.limit_price or ZERO) * o.open_qty for o in self._all_working(Side.BUY)), ZERO)
            if cost > self.cash - tied:
                return Refusal.BUYING_POWER, f"insufficient buying power: {plain(self.cash - tied)}"
            return None
        held, _ = self.positions.get(spec.symbol, (0, ZERO))
        tied_shares = sum(
            order.open_qty
            for order in self._working.get(spec.symbol, ())
            if order.spec.side is Side.SELL and order is not instead_of
        )
        if spec.qty > held - tied_shares:
            available = held - tied_shares
            text = f"insufficient qty available for order (requested: {spec.qty}, available: {available})"
            return Refusal.SHARES_HELD, text
        return None

    def _all_working(self, side: Side) -> Iterable[BrokerOrder]:
        return (o for orders in self._working.values() for o in orders if o.spec.side is side)

    def _cancel(self, request: CancelOrder) -> None:
        order = self._orders.get(request.client_order_id)
        if order is None:
            self._post(NotFound(request.request_id))
        elif not order.working:
            text = f'order is already in "{order.state.lower()}" state'
            self._post(Refused(request.request_id, Refusal.NOT_WORKING, text))
        else:
            self._end(order, OrderState.CANCELED)
            self._store.commit()
            self._post(Acknowledged(request.request_id, report(order), self._fills_of(order)))

    def _replace(self, request: ReplaceOrder) -> None:
        old = self._orders.get(request.client_order_id)
        if request.spec.client_order_id in self._orders:
            message = "client_order_id must be unique"
            self._post(Refused(request.request_id, Refusal.DUPLICATE_ID, message))
            return
        if old is None or not old.working:
            self._post(Refused(request.request_id, Refusal.NOT_WORKING, "the order no longer works"))
            return
        refusal = self._refusal(request.spec, instead_of=old)
        if refusal is not None:
            self._post(Refused(request.request_id, *refusal))
            return
        old.replaced_by = request.spec.client_order_id
        self._end(old, OrderState.REPLACED)
        # A moved stop keeps its placement time (DESIGN §9): it goes on matching the bars it matched.
        new = self._place(request.spec, old.placed)
        self._store.commit()
        self._post(Acknowledged(request.request_id, report(new)))
        self._post(OrderUpdate(report(old)))

    def _place(self, spec: OrderSpec, placed: datetime) -> BrokerOrder:
        self._number += 1
        order = BrokerOrder(spec, BrokerOrderId(f"sim-{self._number}"), OrderState.ACCEPTED, placed)
        self._orders[spec.client_order_id] = order
        self._working.setdefault(spec.symbol, []).append(order)
        self._store.keep_order(order)
        self._store.set_fact("number", str(self._number))
        return order

    def _end(self, order: BrokerOrder, state: OrderState, reason: str = "") -> None:
        order.state = state
        order.reason = reason
        working = self._working[order.spec.symbol]
        working.remove(order)
        if not working:
            del self._working[order.spec.symbol]
        self._store.keep_order(order)

    def _fills_of(self, order: BrokerOrder) -> tuple[Execution, ...]:
        identity = order.spec.client_order_id
        return tuple(e for e in self._executions if e.client_order_id == identity)

    # ---- the market ------------------------------------------------------------------------------

    def match(self, bars: Mapping[str, Bar], moment: datetime, turn: int) -> None:
        """Match all orders against these bars, symbols A–Z, the ``turn``-th ones (from 0) of ``moment``.

        That they were matched is written with what came of it: bars that are delivered again after a crash
        must not meet the orders that answered them.
        """
        self._in_bar.clear()
        for symbol in sorted(self._working.keys() & bars.keys()):
            bar = bars[symbol]
            self._walk(symbol, bar, path_of(bar), None)
        rests = {
            symbol: [list(bar[1:]), list(rest), plain(bought_at)]
            for symbol, (bar, rest, bought_at) in self._in_bar.items()
        }
        self._store.set_fact("matched", json.dumps([moment.isoformat(), turn, rests], default=str))
        self._store.commit()

    def matched(self, moment: datetime) -> int:
        """How many turns of ``moment`` were matched before a crash; their unfinished bars are taken up."""
        done, turn, rests = json.loads(self._store.fact("matched") or '["", 0, {}]')
        if done != moment.isoformat():
            return 0
        for symbol, (bar, rest, bought_at) in rests.items():
            stamp = datetime.fromisoformat(bar[0])
            self._in_bar[symbol] = (Bar(symbol, stamp, *bar[1:]), tuple(rest), Decimal(bought_at))
        return int(turn) + 1

    def end_instant(self) -> None:
        """No stop placed from now on answers a fill inside the bars just matched."""
        self._in_bar.clear()

    def end_session(self) -> None:
        """At the close: market orders that met no bar get the last close; day orders expire."""
        for symbol in sorted(self._working):
            for order in list(self._working[symbol]):
                last = self._last_bar(symbol) if order.spec.order_type is OrderType.MARKET else None
                if last is not None:
                    price = at_last_close(last.close, order.spec.side, self._ticks)
                    self._fill(order, price, last.timestamp, order.open_qty)
                elif order.spec.time_in_force is TimeInForce.DAY:
                    self._end(order, OrderState.EXPIRED, "the session ended")
                    self._post(OrderUpdate(report(order)))
        self._store.commit()

    def start_session(self) -> None:
        """Forget what ended in earlier sessions."""
        self._orders = {identity: order for identity, order in self._orders.items() if order.working}
        self._executions = []
        self._store.end_session()

    def _walk(self, symbol: str, bar: Bar, path: Path, bought_at: Decimal | None) -> None:
        """Carry every order of ``symbol`` along ``path``, the earliest touch first."""
        while True:
            best: tuple[BrokerOrder, Fill] | None = None
            for order in self._working.get(symbol, ()):
                if order.placed > bar.timestamp or not order.working:
                    continue
                fill = self._match(order, path, bought_at)
                if fill is not None and (best is None or len(fill.rest) > len(best[1].rest)):
                    best = (order, fill)
            if best is None:
                return
            order, fill = best
            qty = max(0, min(self._fill_size(order), order.open_qty))
            if qty == 0:
                return
            self._fill(order, fill.price, bar.timestamp, qty)
            if order.spec.side is Side.BUY:
                self._in_bar[symbol] = (bar, fill.rest, fill.price)
                bought_at = fill.price
            if order.working:
                return  # the rest of a partial fill waits for the next bar
            path = fill.rest

    def _match(self, order: BrokerOrder, path: Path, bought_at: Decimal | None) -> Fill | None:
        spec = order.spec
        terms = WorkingOrder(spec.side, spec.order_type, spec.stop_price, spec.limit_price, order.triggered)
        fill = match(terms, path, self._ticks, bought_at)
        if terms.triggered and not order.triggered:
            order.triggered = True
            self._store.keep_order(order)
        return fill

    def _fill(self, order: BrokerOrder, price: Decimal, stamp: datetime, qty: int) -> None:
        spec = order.spec
        held, cost = self.positions.get(spec.symbol, (0, ZERO))
        if spec.side is Side.BUY:
            self.cash -= price * qty
            self.positions[spec.symbol] = (held + qty, cost + price * qty)
        else:
            self.cash += price * qty
            if held == qty:
                del self.positions[spec.symbol]
            else:
                self.positions[spec.symbol] = (held - qty, cost - cost / held * qty)
        order.filled_qty += qty
        self._number += 1
        execution = Execution(
            ExecutionId(f"exec-{self._number}"), spec.client_order_id, spec.symbol, spec.side, qty, price,
            stamp,
        )  # fmt: skip
        self._executions.append(execution)
        if order.filled_qty == spec.qty:
            self._end(order, OrderState.FILLED)
        else:
            order.state = OrderState.PARTIALLY_FILLED
            self._store.keep_order(order)
        self._store.keep_execution(execution)
        self._store.set_fact("number", str(self._number))
        self._store.set_fact("cash", plain(self.cash))
        self._store.set_fact(
            "positions",
            json.dumps({symbol: [shares, plain(paid)] for symbol, (shares, paid) in self.positions.items()}),
        )
        self._post(OrderUpdate(report(order), execution))

    def _load(self) -> None:
        cash = self._store.fact("cash")
        if cash is not None:
            self.cash = Decimal(cash)
        self._number = int(self._store.fact("number") or 0)
        for symbol, (qty, cost) in json.loads(self._store.fact("positions") or "{}").items():
            self.positions[symbol] = (qty, Decimal(cost))
        for order in self._store.orders():
            self._orders[order.spec.client_order_id] = order
            if order.working:
                self._working.setdefault(order.spec.symbol, []).append(order)
        for orders in self._working.values():
            orders.sort(key=lambda order: int(order.broker_order_id.removeprefix("sim-")))
        self._executions = list(self._store.executions())


def report(order: BrokerOrder) -> OrderReport:
    """The broker's word on ``order`` as it is now."""
    spec = order.spec
    return OrderReport(
        spec.client_order_id, order.broker_order_id, spec.symbol, spec.side, spec.order_type, spec.qty,
        order.filled_qty, order.state, spec.limit_price, spec.stop_price, order.reason, order.replaced_by,
    )  # fmt: skip
