"""The broker adapter: one answer to each request, whatever Alpaca says, does not say, or says twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.venues.alpaca.canned import order_json
from tui_trader.core.orders import (
    BrokerOrderId,
    ClientOrderId,
    OrderReport,
    OrderSpec,
    OrderState,
    OrderType,
    Role,
    Side,
    TimeInForce,
)
from tui_trader.engine.clock import VirtualClock
from tui_trader.venues.alpaca.broker import AlpacaBroker
from tui_trader.venues.alpaca.lanes import Lane, RestState
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem
from tui_trader.venues.alpaca.rest import AlpacaRest
from tui_trader.venues.base import (
    AccountReport,
    Acknowledged,
    BrokerPosition,
    BrokerSnapshot,
    CancelOrder,
    NotFound,
    OrderUpdate,
    QueryOrder,
    QuerySnapshot,
    Refusal,
    Refused,
    ReplaceOrder,
    StreamState,
    SubmitOrder,
    Unclear,
    VenueMessage,
)

NOW = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)
OLD, NEW = "904837e3-0000-4000-8000-000000000001", "904837e3-0000-4000-8000-000000000002"
OLD_ID = BrokerOrderId(OLD)

UNREACHABLE = RestProblem(ProblemKind.UNREACHABLE, "the host cannot be reached")
UNCLEAR = RestProblem(ProblemKind.UNCLEAR, "no answer within 10 s")
UNAUTHORIZED = RestProblem(ProblemKind.UNAUTHORIZED, "unauthorized", status=401)
NOT_FOUND = RestProblem(ProblemKind.NOT_FOUND, "order not found", status=404, code=40410000)
LIMITED = RestProblem(ProblemKind.RATE_LIMITED, "too many requests", status=429)


def refused(message: str, status: int = 422, code: int = 42210000) -> RestProblem:
    return RestProblem(ProblemKind.REFUSED, message, status=status, code=code)


class FakeRest:
    """Answers each method from its own script; what is not in it is a mistake of the test."""

    def __init__(self) -> None:
        self.scripts: dict[str, deque[object]] = {}
        self.calls: list[tuple[Any, ...]] = []

    def will(self, method: str, *answers: object) -> None:
        self.scripts.setdefault(method, deque()).extend(answers)

    def __getattr__(self, method: str) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            self.calls.append((method, *arguments))
            script = self.scripts.get(method)
            assert script, f"{method}{arguments} was not expected"
            answer = script.popleft()
            if isinstance(answer, Exception):
                raise answer
            return answer() if callable(answer) else answer

        return call

    def called(self, method: str) -> int:
        return sum(call[0] == method for call in self.calls)


class FakeLanes:
    """Runs at once, or when told to."""

    def __init__(self, rest: FakeRest) -> None:
        self.rest = rest
        self.on_health: Callable[[RestState, int], None] = lambda state, failures: None
        self.waiting: deque[Callable[[], None]] | None = None
        self.lanes: list[Lane] = []

    def run(self, lane: Lane, call: Callable[[AlpacaRest], Any], done: Callable[[Any], None]) -> None:
        self.lanes.append(lane)

        def job() -> None:
            try:
                outcome = call(cast(AlpacaRest, self.rest))
            except RestProblem as problem:
                outcome = problem
            done(outcome)

        if self.waiting is None:
            job()
        else:
            self.waiting.append(job)

    def go(self) -> None:
        waiting, self.waiting = self.waiting or deque(), None
        for job in waiting:
            job()


class Scene:
    def __init__(self) -> None:
        self.rest = FakeRest()
        self.lanes = FakeLanes(self.rest)
        self.heard: list[VenueMessage] = []
        self.clock = VirtualClock(NOW)
        self.broker = AlpacaBroker("PA1", self.lanes, self.heard.append, self.clock)

    def answer(self) -> VenueMessage:
        """The one message there is; it is taken away."""
        [message] = self.heard
        self.heard.clear()
        return message

    def submit(self, spec: OrderSpec | None = None) -> VenueMessage:
        self.broker.request(SubmitOrder(7, spec or stop("tt-S1")))
        return self.answer()

    def cancel(self, broker_id: str | None = OLD) -> VenueMessage:
        identity = BrokerOrderId(broker_id) if broker_id else None
        self.broker.request(CancelOrder(7, ClientOrderId("tt-S1"), identity))
        return self.answer()

    def replace(self, broker_id: str | None = OLD) -> VenueMessage:
        identity = BrokerOrderId(broker_id) if broker_id else None
        self.broker.request(ReplaceOrder(7, ClientOrderId("tt-S1"), identity, stop("tt-S2")))
        return self.answer()

    def query(self, identity: str = "tt-S1") -> VenueMessage:
        self.broker.request(QueryOrder(7, ClientOrderId(identity)))
        return self.answer()

    def snapshot(self, since: datetime | None = None) -> VenueMessage:
        self.broker.request(QuerySnapshot(7, since))
        return self.answer()

    def script_snapshot(self, **given: object) -> None:
        """What a snapshot asks for; nothing is there unless given."""
        self.rest.will("orders", given.get("open", []), given.get("all", []))
        self.rest.will("fills", given.get("fills", []))
        self.rest.will("account", given.get("account", ACCOUNT))
        self.rest.will("positions", given.get("positions", []))

    def update(self, event: str, **fields: object) -> None:
        """News on the trade stream."""
        own: dict[str, object] = {
            name: fields.pop(name) for name in ("price", "qty", "timestamp") if name in fields
        }
        self.broker.take_trade_update({"event": event, **own, "order": order_json(**fields)})


@pytest.fixture
def scene() -> Scene:
    return Scene()


ACCOUNT = {"cash": "1000.50", "buying_power": "2001", "equity": "5000"}


def stop(identity: str) -> OrderSpec:
    return OrderSpec(
        ClientOrderId(identity), "AAPL", Role.STOP, Side.SELL, OrderType.STOP, 10, None, Decimal(195),
        TimeInForce.GTC,
    )  # fmt: skip


def fill(qty: str, cumulative: str, price: str = "195", **fields: object) -> dict[str, object]:
    return {
        "order_id": OLD, "qty": qty, "cum_qty": cumulative, "price": price,
        "transaction_time": "2026-11-18T14:40:00Z", **fields,
    }  # fmt: skip


def report_of(message: VenueMessage) -> OrderReport:
    assert isinstance(message, Acknowledged)
    assert message.report is not None
    return message.report


def shares_of(message: VenueMessage) -> list[tuple[str, int]]:
    assert isinstance(message, Acknowledged | BrokerSnapshot)
    return [(e.execution_id, e.qty) for e in message.executions]


# ---- submit ------------------------------------------------------------------------------------------


def test_an_order_that_was_taken_is_acknowledged_with_its_state(scene: Scene) -> None:
    scene.rest.will("submit", order_json(status="pending_new"))
    report = report_of(scene.submit())
    assert (report.state, report.broker_order_id) == (OrderState.ACCEPTED, OLD)
    assert scene.lanes.lanes == [Lane.ORDERS]


@pytest.mark.parametrize("problem", [UNCLEAR, UNREACHABLE])
def test_an_order_without_an_answer_is_unclear_and_sent_once(scene: Scene, problem: RestProblem) -> None:
    scene.rest.will("submit", problem)
    assert scene.submit() == Unclear(7, problem.message)
    assert scene.rest.called("submit") == 1


@pytest.mark.parametrize(
    ("problem", "refusal"),
    [
        (refused("client_order_id must be unique", 422, 40010001), Refusal.DUPLICATE_ID),
        (refused("insufficient buying power", 403, 40310000), Refusal.BUYING_POWER),
        (refused("stop price must be less than current price"), Refusal.PRICE_THROUGH_STOP),
        (LIMITED, Refusal.RATE_LIMITED),
        (UNAUTHORIZED, Refusal.RATE_LIMITED),
        (NOT_FOUND, Refusal.REJECTED),
    ],
)
def test_a_refusal_says_what_there_is_to_do(scene: Scene, problem: RestProblem, refusal: Refusal) -> None:
    scene.rest.will("submit", problem)
    assert scene.submit() == Refused(7, refusal, problem.message)


@pytest.mark.parametrize("answer", [{}, {"id": 7}, order_json(status="brand_new"), order_json(side=None)])
def test_an_answer_that_describes_no_order_we_know_is_unclear(scene: Scene, answer: object) -> None:
    scene.rest.will("submit", answer)
    assert isinstance(scene.submit(), Unclear)


def test_an_order_that_filled_before_its_answer_is_acknowledged_with_the_fill(scene: Scene) -> None:
    scene.update("fill", status="filled", filled_qty="10", price="195", qty="10")
    scene.heard.clear()
    scene.rest.will("submit", order_json(status="filled", filled_qty="10"))
    message = scene.submit()
    assert report_of(message).state is OrderState.FILLED
    assert shares_of(message) == [(f"{OLD}@10", 10)]


# ---- cancel ------------------------------------------------------------------------------------------


def test_a_cancel_that_was_taken_says_nothing_about_the_end_yet(scene: Scene) -> None:
    scene.rest.will("cancel", None)
    assert scene.cancel() == Acknowledged(7)
    assert scene.rest.calls == [("cancel", OLD)]


@pytest.mark.parametrize("state", ["filled", "canceled", "expired", "replaced"])
def test_an_order_that_has_ended_cannot_be_cancelled(scene: Scene, state: str) -> None:
    scene.rest.will("cancel", refused(f'order is already in "{state}" state'))
    answer = scene.cancel()
    assert isinstance(answer, Refused)
    assert answer.refusal is Refusal.NOT_WORKING


def test_without_the_brokers_id_it_is_looked_up_first(scene: Scene) -> None:
    scene.rest.will("order_by_client_id", order_json())
    scene.rest.will("cancel", None)
    assert scene.cancel(None) == Acknowledged(7)
    assert scene.rest.calls[1] == ("cancel", OLD)


def test_a_broker_id_that_is_not_known_is_looked_up_by_ours(scene: Scene) -> None:
    scene.rest.will("cancel", NOT_FOUND, None)
    scene.rest.will("order_by_client_id", order_json(id=NEW))
    assert scene.cancel() == Acknowledged(7)
    assert scene.rest.calls[-1] == ("cancel", NEW)


@pytest.mark.parametrize("broker_id", [OLD, None])
def test_an_order_that_nobody_knows_is_not_found(scene: Scene, broker_id: str | None) -> None:
    scene.rest.will("cancel", NOT_FOUND)
    scene.rest.will("order_by_client_id", NOT_FOUND)
    assert scene.cancel(broker_id) == NotFound(7)


def test_a_lookup_without_an_answer_leaves_the_cancel_unclear(scene: Scene) -> None:
    scene.rest.will("order_by_client_id", UNCLEAR)
    assert isinstance(scene.cancel(None), Unclear)
    assert scene.rest.called("cancel") == 0


# ---- replace -----------------------------------------------------------------------------------------


def test_a_replacement_that_waits_for_the_old_order_is_not_reported_yet(scene: Scene) -> None:
    scene.rest.will(
        "replace", order_json(id=NEW, client_order_id="tt-S2", replaces=OLD, status="pending_new")
    )
    assert scene.replace() == Acknowledged(7)


def test_a_replacement_that_works_is_reported(scene: Scene) -> None:
    scene.rest.will("replace", order_json(id=NEW, client_order_id="tt-S2", replaces=OLD, status="new"))
    report = report_of(scene.replace())
    assert (report.client_order_id, report.state) == ("tt-S2", OrderState.ACCEPTED)


def test_the_stream_names_the_successor_even_before_the_answer_comes(scene: Scene) -> None:
    def answer() -> dict[str, object]:
        scene.update("replaced", status="replaced", replaced_by=NEW)
        return order_json(id=NEW, client_order_id="tt-S2", replaces=OLD, status="pending_new")

    scene.rest.will("replace", answer)
    scene.broker.request(ReplaceOrder(7, ClientOrderId("tt-S1"), OLD_ID, stop("tt-S2")))
    update, acknowledged = scene.heard
    assert isinstance(update, OrderUpdate)
    assert (update.report.state, update.report.replaced_by) == (OrderState.REPLACED, "tt-S2")
    assert acknowledged == Acknowledged(7)


def test_the_stream_names_the_successor_when_the_answer_was_lost(scene: Scene) -> None:
    scene.rest.will("replace", UNCLEAR)
    assert isinstance(scene.replace(), Unclear)
    scene.update("replaced", status="replaced", replaced_by=NEW)
    update = scene.answer()
    assert isinstance(update, OrderUpdate)
    assert update.report.replaced_by == "tt-S2"


def test_a_replace_that_was_refused_has_no_successor(scene: Scene) -> None:
    scene.rest.will("replace", refused("insufficient qty available for order", 403, 40310000))
    answer = scene.replace()
    assert isinstance(answer, Refused)
    assert answer.refusal is Refusal.SHARES_HELD
    scene.update("replaced", status="replaced", replaced_by=NEW)
    update = scene.answer()
    assert isinstance(update, OrderUpdate)
    assert update.report.replaced_by is None


def test_a_replace_of_an_order_that_is_gone_is_refused(scene: Scene) -> None:
    scene.rest.will("replace", NOT_FOUND)
    scene.rest.will("order_by_client_id", NOT_FOUND)
    for broker_id in (OLD, None):
        answer = scene.replace(broker_id)
        assert isinstance(answer, Refused)
        assert answer.refusal is Refusal.NOT_WORKING


def test_a_pending_replacement_is_reported_once_the_old_order_was_replaced(scene: Scene) -> None:
    pending = order_json(id=NEW, client_order_id="tt-S2", replaces=OLD, status="accepted")
    scene.rest.will("order_by_client_id", pending, pending, pending)
    scene.rest.will("order", order_json(status="pending_replace"), UNCLEAR, order_json(status="replaced"))
    assert scene.query("tt-S2") == Acknowledged(7)
    assert scene.query("tt-S2") == Acknowledged(7)
    assert report_of(scene.query("tt-S2")).state is OrderState.ACCEPTED


def test_a_replacement_that_was_rejected_is_reported(scene: Scene) -> None:
    scene.update("order_replace_rejected", id=NEW, client_order_id="tt-S2", replaces=OLD, status="rejected")
    update = scene.answer()
    assert isinstance(update, OrderUpdate)
    assert update.report.state is OrderState.REJECTED


# ---- query -------------------------------------------------------------------------------------------


def test_one_question_is_asked_by_our_id(scene: Scene) -> None:
    scene.rest.will("order_by_client_id", order_json())
    assert report_of(scene.query()).state is OrderState.ACCEPTED
    assert scene.lanes.lanes == [Lane.QUERIES]


def test_an_order_the_broker_does_not_know_is_not_found(scene: Scene) -> None:
    scene.rest.will("order_by_client_id", NOT_FOUND)
    assert scene.query() == NotFound(7)


@pytest.mark.parametrize(
    ("problem", "answer"),
    [
        (UNCLEAR, Unclear(7, UNCLEAR.message)),
        (UNREACHABLE, Unclear(7, UNREACHABLE.message)),
        (LIMITED, Refused(7, Refusal.RATE_LIMITED, LIMITED.message)),
    ],
)
def test_a_question_without_a_result_is_no_word_on_the_order(
    scene: Scene, problem: RestProblem, answer: VenueMessage
) -> None:
    scene.rest.will("order_by_client_id", problem)
    assert scene.query() == answer


def test_a_filled_order_comes_with_its_executions(scene: Scene) -> None:
    scene.rest.will("order_by_client_id", order_json(status="filled", filled_qty="10"))
    scene.rest.will("fills", [fill("4", "4"), fill("6", "10")])
    message = scene.query()
    assert shares_of(message) == [(f"{OLD}@4", 4), (f"{OLD}@10", 6)]
    assert scene.rest.calls[-1][0] == "fills"


def test_executions_that_are_known_are_not_asked_for(scene: Scene) -> None:
    scene.update("fill", status="filled", filled_qty="10", price="195", qty="10")
    scene.heard.clear()
    scene.rest.will("order_by_client_id", order_json(status="filled", filled_qty="10"))
    assert shares_of(scene.query()) == [(f"{OLD}@10", 10)]


def test_a_state_is_told_even_when_its_executions_cannot_be_had(scene: Scene) -> None:
    scene.rest.will("order_by_client_id", order_json(status="filled", filled_qty="10"))
    scene.rest.will("fills", UNCLEAR)
    message = scene.query()
    assert report_of(message).state is OrderState.FILLED
    assert shares_of(message) == []


def test_executions_that_never_come_are_made_up_from_the_average_price(scene: Scene) -> None:
    order = order_json(status="filled", filled_qty="10", filled_avg_price="194.90")
    scene.rest.will("order_by_client_id", order, order)
    scene.rest.will("fills", [], [])
    assert shares_of(scene.query()) == []
    scene.clock.advance_to(NOW + timedelta(seconds=3))
    message = scene.query()
    assert isinstance(message, Acknowledged)
    [execution] = message.executions
    assert (execution.qty, execution.price) == (10, Decimal("194.9"))


def test_questions_that_wait_together_are_answered_by_one_listing(scene: Scene) -> None:
    scene.lanes.waiting = deque()
    for number in range(3):
        scene.broker.request(QueryOrder(number, ClientOrderId(f"tt-S{number}")))
    scene.rest.will(
        "orders", [order_json(id=NEW, client_order_id="tt-S0"), order_json(client_order_id="tt-S2")]
    )
    scene.rest.will("order_by_client_id", order_json(id="gone", client_order_id="tt-S1", status="canceled"))
    scene.lanes.go()
    answers = [(report_of(m).client_order_id, report_of(m).state) for m in scene.heard]
    assert answers == [
        ("tt-S0", OrderState.ACCEPTED),
        ("tt-S1", OrderState.CANCELED),
        ("tt-S2", OrderState.ACCEPTED),
    ]
    assert scene.rest.calls[0] == ("orders", "open")
    assert len(scene.rest.calls) == 2


def test_questions_whose_listing_fails_are_each_answered(scene: Scene) -> None:
    scene.lanes.waiting = deque()
    for number in range(3):
        scene.broker.request(QueryOrder(number, ClientOrderId(f"tt-S{number}")))
    scene.rest.will("orders", UNCLEAR)
    scene.lanes.go()
    assert scene.heard == [Unclear(number, UNCLEAR.message) for number in range(3)]


def test_a_question_that_waited_too_long_answers_for_no_other(scene: Scene) -> None:
    scene.lanes.waiting = deque()
    scene.broker.request(QueryOrder(1, ClientOrderId("tt-S1")))
    ended: list[Callable[[object], None]] = []
    scene.lanes.waiting = None
    scene.lanes.run = lambda lane, call, done: ended.append(done)  # type: ignore[method-assign]
    scene.broker.request(QueryOrder(2, ClientOrderId("tt-S2")))
    ended[0](UNREACHABLE)
    assert scene.heard == [Unclear(2, UNREACHABLE.message)]


def test_an_unknown_status_is_no_answer(scene: Scene) -> None:
    scene.rest.will("order_by_client_id", order_json(status="levitating"))
    assert isinstance(scene.query(), Unclear)


def test_a_replaced_order_names_its_successor_after_a_restart_too(scene: Scene) -> None:
    scene.rest.will("order_by_client_id", order_json(status="replaced", replaced_by=NEW))
    scene.rest.will("order", order_json(id=NEW, client_order_id="tt-S2", replaces=OLD))
    assert report_of(scene.query()).replaced_by == "tt-S2"


def test_a_successor_that_cannot_be_looked_up_hides_no_replacement(scene: Scene) -> None:
    scene.rest.will("order_by_client_id", order_json(status="replaced", replaced_by=NEW))
    scene.rest.will("order", NOT_FOUND)
    report = report_of(scene.query())
    assert (report.state, report.replaced_by) == (OrderState.REPLACED, None)


# ---- snapshot ----------------------------------------------------------------------------------------


def test_a_snapshot_is_account_positions_working_orders_and_executions(scene: Scene) -> None:
    gone = order_json(id=NEW, client_order_id="tt-E1", side="buy", status="filled", filled_qty="10")
    scene.script_snapshot(
        open=[order_json()], all=[order_json(), gone],
        fills=[fill("10", "10", "190", order_id=NEW)],
        positions=[{"symbol": "AAPL", "qty": "10", "avg_entry_price": "190", "side": "long"}],
    )  # fmt: skip
    message = scene.snapshot()
    assert isinstance(message, BrokerSnapshot)
    assert message.account == AccountReport(Decimal("1000.50"), Decimal(2001), Decimal(5000))
    assert message.positions == (BrokerPosition("AAPL", 10, Decimal(190)),)
    assert [report.client_order_id for report in message.orders] == ["tt-S1"]
    assert [(e.client_order_id, e.qty) for e in message.executions] == [("tt-E1", 10)]


def test_shares_are_read_last_and_cash_before_them(scene: Scene) -> None:
    scene.script_snapshot()
    scene.snapshot()
    assert [call[0] for call in scene.rest.calls] == ["orders", "orders", "fills", "account", "positions"]


def test_a_snapshot_without_a_beginning_covers_the_day_in_new_york(scene: Scene) -> None:
    scene.script_snapshot()
    scene.snapshot()
    midnight = datetime(2026, 11, 18, 5, 0, tzinfo=UTC) - timedelta(seconds=5)
    assert scene.rest.calls[1:3] == [("orders", "all", midnight), ("fills", midnight)]


def test_executions_before_the_beginning_are_left_out(scene: Scene) -> None:
    early = fill("4", "4", transaction_time="2026-11-18T14:59:58Z")
    late = fill("6", "10", transaction_time="2026-11-18T15:00:00Z")
    scene.script_snapshot(all=[order_json(status="filled", filled_qty="10")], fills=[early, late])
    assert shares_of(scene.snapshot(NOW)) == [(f"{OLD}@10", 6)]


def test_a_fill_of_an_order_from_days_ago_is_told_by_its_owners_id(scene: Scene) -> None:
    scene.script_snapshot(fills=[fill("4", "4"), fill("6", "10")])
    scene.rest.will("order", order_json(status="filled", filled_qty="10"))
    message = scene.snapshot()
    assert isinstance(message, BrokerSnapshot)
    assert [e.client_order_id for e in message.executions] == ["tt-S1", "tt-S1"]
    assert scene.rest.called("order") == 1


def test_a_fill_of_an_order_that_cannot_be_looked_up_costs_no_other(scene: Scene) -> None:
    scene.script_snapshot(
        open=[order_json(filled_qty="4")], fills=[fill("9", "9", order_id=NEW), fill("4", "4")]
    )
    scene.rest.will("order", NOT_FOUND)
    assert shares_of(scene.snapshot()) == [(f"{OLD}@4", 4)]


def test_what_the_stream_told_first_is_the_same_in_the_snapshot(scene: Scene) -> None:
    scene.update(
        "partial_fill", status="partially_filled", filled_qty="4", price="195", qty="4",
        timestamp="2026-11-18T14:40:00.123456789Z",
    )  # fmt: skip
    update = scene.answer()
    scene.script_snapshot(
        open=[order_json(status="partially_filled", filled_qty="4")], fills=[fill("4", "4")]
    )
    message = scene.snapshot()
    assert isinstance(update, OrderUpdate)
    assert isinstance(message, BrokerSnapshot)
    assert message.executions == (update.execution,)


def test_an_armed_leg_that_is_not_listed_as_open_is_there(scene: Scene) -> None:
    leg = order_json(id=NEW, client_order_id="leg", status="held")
    parent = order_json(status="filled", filled_qty="10", side="buy", legs=[leg])
    scene.script_snapshot(all=[parent], fills=[fill("10", "10")])
    message = scene.snapshot()
    assert isinstance(message, BrokerSnapshot)
    assert [report.client_order_id for report in message.orders] == ["leg"]


def test_a_replacement_that_waits_is_no_working_order_yet(scene: Scene) -> None:
    waiting = order_json(id=NEW, client_order_id="tt-S2", replaces=OLD, status="pending_new")
    scene.script_snapshot(open=[order_json(status="pending_replace"), waiting])
    message = scene.snapshot()
    assert isinstance(message, BrokerSnapshot)
    assert [report.client_order_id for report in message.orders] == ["tt-S1"]


@pytest.mark.parametrize(
    ("row", "qty"),
    [
        ({"symbol": "AAPL", "qty": "-10", "side": "short"}, -10),
        ({"symbol": "AAPL", "qty": "10", "side": "short"}, -10),
        ({"symbol": "AAPL", "qty": "10.75", "avg_entry_price": None}, 10),
        ({"symbol": "AAPL", "qty": "-10.75", "exchange": "MOON"}, -10),
    ],
)
def test_positions_are_whole_shares_negative_when_short(
    scene: Scene, row: dict[str, object], qty: int
) -> None:
    scene.script_snapshot(positions=[row, {"symbol": "BTCUSD", "qty": "0.5"}])
    message = scene.snapshot()
    assert isinstance(message, BrokerSnapshot)
    assert [(p.symbol, p.qty) for p in message.positions] == [("AAPL", qty)]


@pytest.mark.parametrize(
    "given_",
    [
        {"positions": [{"symbol": "AAPL", "qty": "NaN"}]},
        {"positions": [{"qty": "10"}]},
        {"account": {"cash": None, "buying_power": "1"}},
        {"account": {}},
    ],
)
def test_a_snapshot_in_which_shares_or_cash_cannot_be_read_is_none(
    scene: Scene, given_: dict[str, object]
) -> None:
    scene.script_snapshot(**given_)
    assert isinstance(scene.snapshot(), Unclear)


@pytest.mark.parametrize("method", ["orders", "fills", "account", "positions"])
def test_a_snapshot_of_which_a_part_is_missing_is_none(scene: Scene, method: str) -> None:
    scene.rest.will(method, UNCLEAR)
    scene.script_snapshot()
    assert isinstance(scene.snapshot(), Unclear)


# ---- the stream --------------------------------------------------------------------------------------


def test_a_fill_is_told_with_its_execution(scene: Scene) -> None:
    scene.update(
        "fill", status="filled", filled_qty="10", price="194.5", qty="10",
        timestamp="2026-11-18T14:40:00.123456789Z",
    )  # fmt: skip
    update = scene.answer()
    assert isinstance(update, OrderUpdate)
    assert update.report.state is OrderState.FILLED
    assert update.execution is not None
    assert (update.execution.qty, update.execution.price) == (10, Decimal("194.5"))
    assert update.execution.time == datetime(2026, 11, 18, 14, 40, 0, 123456, UTC)


def test_a_fill_told_twice_is_the_same_execution(scene: Scene) -> None:
    for _ in range(2):
        scene.update("fill", status="filled", filled_qty="10", price="194.5", qty="10")
    one, other = scene.heard
    assert isinstance(one, OrderUpdate)
    assert one == other


@pytest.mark.parametrize(
    ("event", "status", "state"),
    [
        ("new", "new", OrderState.ACCEPTED),
        ("pending_cancel", "pending_cancel", OrderState.ACCEPTED),
        ("canceled", "canceled", OrderState.CANCELED),
        ("expired", "expired", OrderState.EXPIRED),
        ("rejected", "rejected", OrderState.REJECTED),
        ("an_event_of_next_year", "new", OrderState.ACCEPTED),
    ],
)
def test_other_events_tell_the_orders_state(scene: Scene, event: str, status: str, state: OrderState) -> None:
    scene.update(event, status=status)
    update = scene.answer()
    assert isinstance(update, OrderUpdate)
    assert (update.report.state, update.execution) == (state, None)


def test_an_execution_is_told_even_when_the_orders_status_means_nothing_to_us(scene: Scene) -> None:
    scene.update("partial_fill", status="brand_new", filled_qty="4", price="195", qty="4")
    update = scene.answer()
    assert isinstance(update, OrderUpdate)
    assert update.report.state is OrderState.PARTIALLY_FILLED
    assert update.execution is not None


def test_a_fill_whose_numbers_cannot_be_read_still_tells_the_state(scene: Scene) -> None:
    scene.update("fill", status="filled", filled_qty="10", price=None, qty="10")
    update = scene.answer()
    assert isinstance(update, OrderUpdate)
    assert (update.report.state, update.execution) == (OrderState.FILLED, None)


@pytest.mark.parametrize("data", [None, [], "x", {}, {"order": None}, {"event": None, "order": {"id": 7}}])
def test_what_is_no_update_is_passed_over(scene: Scene, data: object) -> None:
    scene.broker.take_trade_update(data)
    assert not scene.heard


json_values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.lists(st.none())
)


@given(
    st.dictionaries(st.sampled_from(sorted(order_json())), json_values, max_size=5),
    st.dictionaries(st.sampled_from(["event", "price", "qty", "timestamp", "at"]), json_values),
)
def test_whatever_an_update_holds_taking_it_never_fails(
    fields: dict[str, object], event: dict[str, object]
) -> None:
    scene = Scene()
    base = {"event": "fill", "price": "195", "qty": "10"}
    filled = {"filled_qty": "10", "status": "filled"}
    scene.broker.take_trade_update({**base, **event, "order": order_json(**{**filled, **fields})})
    assert all(isinstance(message, OrderUpdate) for message in scene.heard)


# ---- health ------------------------------------------------------------------------------------------


def test_the_health_of_rest_is_told_as_a_stream(scene: Scene) -> None:
    scene.lanes.on_health("reconnecting", 2)
    assert scene.answer() == StreamState("rest", "reconnecting", 2)
