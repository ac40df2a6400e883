"""Alpaca as the engine's broker: requests go to worker threads, answers come back as messages.

Everything that is true of an order is learnt three ways (the answer to a request, the trade stream, asking),
in any order and more than once. Each way ends in the same two places: the ledger of executions, and a report
for the engine, which knows what is news to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any, Final, Protocol, TypeVar, assert_never
from zoneinfo import ZoneInfo

from tui_trader.core.money import ZERO
from tui_trader.core.orders import BrokerOrderId, ClientOrderId, Execution
from tui_trader.engine.clock import Clock
from tui_trader.venues.alpaca.budget import Priority
from tui_trader.venues.alpaca.executions import ExecutionLedger, fill_of, fill_of_activity
from tui_trader.venues.alpaca.lanes import Lane, RestState
from tui_trader.venues.alpaca.orders import (
    AlpacaOrder,
    decimal_of,
    order_of,
    orders_of,
    shares_of,
    text_of,
    time_of,
)
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem, refusal_of
from tui_trader.venues.alpaca.rest import AlpacaRest, Json
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
    Sink,
    StreamState,
    SubmitOrder,
    Unclear,
)

_T = TypeVar("_T")

_NEW_YORK: Final = ZoneInfo("America/New_York")
#: Broker times and ours differ a little, and "after" leaves out what happened at that very time.
_MARGIN: Final = timedelta(seconds=5)
#: Events that tell an execution, and the status of the order after it.
_FILL_EVENTS: Final = {"fill": "filled", "partial_fill": "partially_filled"}
_MAYBE_DONE: Final = (ProblemKind.UNREACHABLE, ProblemKind.UNCLEAR)


class Lanes(Protocol):
    """Worker threads that talk to Alpaca."""

    on_health: Callable[[RestState, int], None]

    def run(
        self, lane: Lane, call: Callable[[AlpacaRest], _T], done: Callable[[_T | RestProblem], None]
    ) -> None: ...


class AlpacaBroker:
    """A ``BrokerAdapter``. Every request is answered by exactly one message to ``sink``."""

    def __init__(self, account_id: str, lanes: Lanes, sink: Sink, clock: Clock) -> None:
        self._account_id = account_id
        self._lanes = lanes
        self._sink = sink
        self._clock = clock
        self._ledger = ExecutionLedger(clock.now)
        self._questions = _Questions()
        # Which order of ours takes an order's place: the stream tells of it before the answer does.
        self._successors: dict[BrokerOrderId, ClientOrderId] = {}
        lanes.on_health = lambda state, failures: sink(StreamState("rest", state, failures))

    @property
    def account_id(self) -> str:
        return self._account_id

    # ---- requests --------------------------------------------------------------------------------

    def request(self, request: BrokerRequest) -> None:
        match request:
            case SubmitOrder():
                self._ask(Lane.ORDERS, request.request_id, partial(self._submit, request))
            case CancelOrder():
                self._ask(Lane.ORDERS, request.request_id, partial(self._cancel, request))
            case ReplaceOrder():
                self._ask(Lane.ORDERS, request.request_id, partial(self._replace, request))
            case QueryOrder():
                self._questions.add(request)
                job = _Job(self._questions, request)
                self._lanes.run(Lane.QUERIES, partial(self._answer, job), partial(self._answered, job))
            case QuerySnapshot():
                self._ask(Lane.QUERIES, request.request_id, partial(self._snapshot, request))
            case _:
                assert_never(request)

    def _ask(self, lane: Lane, request_id: int, call: Callable[[AlpacaRest], BrokerMessage]) -> None:
        def done(outcome: BrokerMessage | RestProblem) -> None:
            self._sink(_answer_to(request_id, outcome) if isinstance(outcome, RestProblem) else outcome)

        self._lanes.run(lane, call, done)

    # ---- orders (on a worker thread) -------------------------------------------------------------

    def _submit(self, request: SubmitOrder, rest: AlpacaRest) -> BrokerMessage:
        return self._placed(request.request_id, rest.submit(request.spec))

    def _replace(self, request: ReplaceOrder, rest: AlpacaRest) -> BrokerMessage:
        number = request.request_id
        order_id = request.broker_order_id
        if order_id is None:
            found = self._find(rest, request.client_order_id)
            if found is None:
                return Refused(number, Refusal.NOT_WORKING, "the broker does not know the order to replace")
            order_id = found.order_id
        self._successors[order_id] = request.spec.client_order_id
        try:
            answer = rest.replace(order_id, request.spec)
        except RestProblem as problem:
            if problem.kind not in _MAYBE_DONE:
                self._successors.pop(order_id, None)
            if problem.kind is ProblemKind.NOT_FOUND:
                return Refused(number, Refusal.NOT_WORKING, problem.message)
            raise
        message = self._placed(number, answer)
        self._successors.pop(order_id, None)  # from here on the ledger knows it
        return message

    def _placed(self, number: int, answer: Json) -> BrokerMessage:
        """The answer to an order that was taken. Its executions are asked for when the engine misses them."""
        order = order_of(answer)
        if order is None:
            return Unclear(number, "the broker's answer describes no order")
        self._ledger.see(order)
        report = order.report()
        if report is None:
            return Unclear(number, f"the broker calls the order {order.status!r}, which says nothing to us")
        # A replacement may be rejected as long as the old order works: until then, only that it was taken.
        return Acknowledged(
            number, None if order.waits_for_another else report, self._ledger.of(order.order_id)
        )

    def _cancel(self, request: CancelOrder, rest: AlpacaRest) -> BrokerMessage:
        """204 says that the order is to be cancelled; that it was, or has filled instead, is told later."""
        number, order_id = request.request_id, request.broker_order_id
        if order_id is not None:
            try:
                rest.cancel(order_id)
            except RestProblem as problem:
                if problem.kind is not ProblemKind.NOT_FOUND:
                    raise
            else:
                return Acknowledged(number)
        found = self._find(rest, request.client_order_id)
        if found is None:
            return NotFound(number)
        if found.order_id == order_id or not found.works:
            return Refused(number, Refusal.NOT_WORKING, f"the order is {found.status}")
        rest.cancel(found.order_id)
        return Acknowledged(number)

    def _find(self, rest: AlpacaRest, client_order_id: ClientOrderId) -> AlpacaOrder | None:
        """An order that a cancel or a replace needs the broker's id of; None when there is none."""
        try:
            order = order_of(rest.order_by_client_id(client_order_id, Priority.EXIT))
        except RestProblem as problem:
            if problem.kind is ProblemKind.NOT_FOUND:
                return None
            raise
        if order is None:
            raise RestProblem(ProblemKind.UNCLEAR, "the broker's answer describes no order")
        self._ledger.see(order)
        return order

    # ---- questions (on a worker thread) ----------------------------------------------------------

    def _answer(self, job: _Job, rest: AlpacaRest) -> None:
        """Answer all questions that wait: those about open orders by one listing, the others one by one."""
        questions = job.take()
        found: dict[ClientOrderId, AlpacaOrder] = {}
        if len(questions) > 1:
            found = {order.client_order_id: order for order in orders_of(rest.orders("open"))}
        for question in questions:
            self._sink(self._answer_one(question, found.get(question.client_order_id), rest))
            job.answered(question)

    def _answer_one(self, question: QueryOrder, order: AlpacaOrder | None, rest: AlpacaRest) -> BrokerMessage:
        number = question.request_id
        if order is None:
            try:
                order = order_of(rest.order_by_client_id(question.client_order_id))
            except RestProblem as problem:
                if problem.kind is ProblemKind.NOT_FOUND:
                    return NotFound(number)
                return _answer_to(number, problem)
        if order is None:
            return Unclear(number, "the broker's answer describes no order")
        return self._described(number, order, rest)

    def _answered(self, job: _Job, outcome: RestProblem | None) -> None:
        if outcome is not None:
            for question in job.left():
                self._sink(_answer_to(question.request_id, outcome))

    def _described(self, number: int, order: AlpacaOrder, rest: AlpacaRest) -> BrokerMessage:
        """An order's state with all its executions, as far as they can be had."""
        self._ledger.see(order)
        self._complete([order], rest)
        executions = self._ledger.of(order.order_id)
        if order.waits_for_another and not self._has_taken_its_place(order, rest):
            return Acknowledged(number, None, executions)
        report = order.report(self._successor(order, rest))
        if report is None:
            return Unclear(number, f"the broker calls the order {order.status!r}, which says nothing to us")
        return Acknowledged(number, report, executions)

    def _complete(self, orders: Sequence[AlpacaOrder], rest: AlpacaRest) -> None:
        """Get the executions of ``orders`` that are missing; make them up when they do not come."""
        owing = [order for order in orders if self._ledger.owing(order.order_id)]
        for order in owing:
            if order.submitted is not None:
                try:
                    rows = rest.fills(order.submitted - _MARGIN, order.order_id)
                except RestProblem:
                    continue  # the order's state is worth telling all the same, and the rest is asked again
                self._take_fills(rows)
            self._ledger.make_up(order.order_id)

    def _take_fills(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            fill = fill_of_activity(row)
            if fill is not None:
                self._ledger.tell(fill)

    def _has_taken_its_place(self, order: AlpacaOrder, rest: AlpacaRest) -> bool:
        older = self._other(order.replaces, rest)
        return older is not None and older.status == "replaced"

    def _successor(self, order: AlpacaOrder, rest: AlpacaRest) -> ClientOrderId | None:
        """Our id of the order that has taken this one's place."""
        if order.replaced_by is None:
            return None
        known = self._known_successor(order)
        if known is None:
            newer = self._other(order.replaced_by, rest)
            known = None if newer is None else newer.client_order_id
        return known

    def _other(self, order_id: BrokerOrderId | None, rest: AlpacaRest) -> AlpacaOrder | None:
        """An order that another one speaks of; None when it cannot be had now."""
        if order_id is None:
            return None
        try:
            order = order_of(rest.order(order_id))
        except RestProblem:
            return None
        if order is not None:
            self._ledger.see(order)
        return order

    def _known_successor(self, order: AlpacaOrder) -> ClientOrderId | None:
        return self._ledger.client_id(order.replaced_by) or self._successors.get(order.order_id)

    # ---- the snapshot (on a worker thread) -------------------------------------------------------

    def _snapshot(self, request: QuerySnapshot, rest: AlpacaRest) -> BrokerMessage:
        """Orders, then executions, then cash, then shares: what the engine compares last is read last.

        Something may fill between two of the answers. Shares that are newer than the executions can only be
        more than the engine knows of after a buy, and less after a sale: it then waits for the next snapshot,
        and is right not to sell meanwhile what may be gone. Read the other way round, a purchase would look
        like shares that are missing, and its stop would be held back. Cash is read before shares, so that
        it is never taken for certain while a fill is under way.
        """
        since = request.since or self._start_of_day()
        open_orders = list(orders_of(rest.orders("open")))
        recent = list(orders_of(rest.orders("all", since - _MARGIN)))
        # A bracket's stop can be armed without being listed as open.
        orders = {order.order_id: order for order in (*open_orders, *recent)}
        for order in orders.values():
            self._ledger.see(order)
        self._take_recent_fills(rest, since)
        self._complete(list(orders.values()), rest)
        executions = self._ledger.since(since)
        account = _account_of(rest.account())
        positions = tuple(_position_of(row) for row in rest.positions())
        reports = (order.report() for order in orders.values() if order.works and not order.waits_for_another)
        self._ledger.forget_old()
        return BrokerSnapshot(
            request.request_id, account, tuple(p for p in positions if p.qty),
            tuple(report for report in reports if report is not None), executions,
        )  # fmt: skip

    def _take_recent_fills(self, rest: AlpacaRest, since: datetime) -> None:
        rows = rest.fills(since - _MARGIN)
        for order_id in dict.fromkeys(text_of(row, "order_id") for row in rows):
            # A stop that was placed days ago is in no listing of recent orders.
            if order_id and self._ledger.client_id(BrokerOrderId(order_id)) is None:
                self._other(BrokerOrderId(order_id), rest)
        self._take_fills(rows)

    def _start_of_day(self) -> datetime:
        today = self._clock.now().astimezone(_NEW_YORK).date()
        return datetime.combine(today, time(), _NEW_YORK).astimezone(UTC)

    # ---- the trade stream (on the engine's thread) -----------------------------------------------

    def take_trade_update(self, data: object) -> None:
        """Pass on one ``trade_updates`` message: its ``data``, whatever that is. Never blocks or raises."""
        if not isinstance(data, Mapping):
            return
        order = order_of(data.get("order"))
        if order is None:
            return
        status = _FILL_EVENTS.get(text_of(data, "event"))
        if status is not None and order.state is None:
            order = replace(order, status=status)  # an execution is told, whatever the order is called now
        self._ledger.see(order)
        report = order.report(self._known_successor(order) if order.replaced_by is not None else None)
        if report is None or order.waits_for_another:
            return
        executions: Sequence[Execution] = ()
        if status is not None:
            at = time_of(data.get("timestamp")) or time_of(data.get("at")) or self._clock.now()
            fill = fill_of(data, order.order_id, data["order"].get("filled_qty"), at)
            executions = self._ledger.tell(fill) if fill is not None else ()
        for execution in executions or (None,):
            self._sink(OrderUpdate(report, execution))


class _Questions:
    """Questions that wait for a worker thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, QueryOrder] = {}

    def add(self, question: QueryOrder) -> None:
        with self._lock:
            self._waiting[question.request_id] = question

    def take(self) -> list[QueryOrder]:
        with self._lock:
            taken, self._waiting = list(self._waiting.values()), {}
            return taken

    def withdraw(self, question: QueryOrder) -> bool:
        """Whether it still waited."""
        with self._lock:
            return self._waiting.pop(question.request_id, None) is not None


class _Job:
    """Answers every question that waits when its turn comes; often an earlier job has answered its own."""

    def __init__(self, questions: _Questions, own: QueryOrder) -> None:
        self._questions = questions
        self._own = own
        self._taken: dict[int, QueryOrder] = {}

    def take(self) -> list[QueryOrder]:
        self._taken = {question.request_id: question for question in self._questions.take()}
        return list(self._taken.values())

    def answered(self, question: QueryOrder) -> None:
        del self._taken[question.request_id]

    def left(self) -> list[QueryOrder]:
        """Those that nobody else will answer when this job has failed."""
        own = [self._own] if self._questions.withdraw(self._own) else []
        return [*self._taken.values(), *own]


def _answer_to(number: int, problem: RestProblem) -> BrokerMessage:
    if problem.kind in _MAYBE_DONE:
        return Unclear(number, problem.message)
    return Refused(number, refusal_of(problem), problem.message)


def _account_of(row: Mapping[str, Any]) -> AccountReport:
    cash, power = decimal_of(row.get("cash")), decimal_of(row.get("buying_power"))
    if cash is None or power is None:
        raise RestProblem(ProblemKind.UNCLEAR, "the account's cash cannot be read")
    return AccountReport(cash, power, decimal_of(row.get("equity")))


def _position_of(row: Mapping[str, Any]) -> BrokerPosition:
    """One that cannot be read makes the whole snapshot useless: without it, shares would seem to be gone."""
    symbol, qty = text_of(row, "symbol"), shares_of(row.get("qty"))
    if not symbol or qty is None:
        raise RestProblem(ProblemKind.UNCLEAR, "a position cannot be read")
    if text_of(row, "side") == "short":
        qty = -abs(qty)
    return BrokerPosition(symbol, qty, decimal_of(row.get("avg_entry_price")) or ZERO)
