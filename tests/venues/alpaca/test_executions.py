"""Every share is told once, from whichever source, in whatever order and however often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.venues.alpaca.canned import order_json
from tui_trader.core.orders import BrokerOrderId, Execution, Side
from tui_trader.engine.clock import VirtualClock
from tui_trader.venues.alpaca.executions import ExecutionLedger, Fill, fill_of, fill_of_activity
from tui_trader.venues.alpaca.orders import order_of

OPEN = datetime(2026, 11, 18, 14, 30, tzinfo=UTC)
ORDER = BrokerOrderId("904837e3-0000-4000-8000-000000000001")
ELSE = BrokerOrderId("904837e3-0000-4000-8000-000000000002")


class Scene:
    def __init__(self) -> None:
        self.clock = VirtualClock(OPEN)
        self.ledger = ExecutionLedger(self.clock.now)

    def see(self, **fields: object) -> None:
        order = order_of(order_json(**fields))
        assert order is not None
        self.ledger.see(order)

    def fill(self, before: int, after: int, price: str = "10", order_id: BrokerOrderId = ORDER) -> list[str]:
        told = self.ledger.tell(Fill(order_id, before, after, Decimal(price), self.clock.now()))
        return [f"{execution.execution_id}:{execution.qty}" for execution in told]

    def told(self) -> list[tuple[str, int, Decimal]]:
        return [(e.execution_id.split("@")[1], e.qty, e.price) for e in self.ledger.of(ORDER)]

    def wait(self, **duration: float) -> None:
        self.clock.advance_to(self.clock.now() + timedelta(**duration))


@pytest.fixture
def scene() -> Scene:
    return Scene()


# ---- reading -----------------------------------------------------------------------------------------


def activity(**fields: object) -> dict[str, object]:
    return {
        "id": "20261118093100000::x", "activity_type": "FILL", "order_id": ORDER, "symbol": "AAPL",
        "side": "sell", "type": "partial_fill", "price": "194.5", "qty": "4", "cum_qty": "6",
        "leaves_qty": "4", "transaction_time": "2026-11-18T14:31:00.5Z", **fields,
    }  # fmt: skip


def test_an_activity_is_the_shares_up_to_what_was_filled_after_it() -> None:
    assert fill_of_activity(activity()) == Fill(
        ORDER, 2, 6, Decimal("194.5"), datetime(2026, 11, 18, 14, 31, 0, 500000, UTC)
    )


def test_the_stream_and_the_activities_give_an_execution_the_same_id(scene: Scene) -> None:
    event = {"event": "partial_fill", "execution_id": "e-1", "price": "194.5", "qty": "4"}
    streamed = fill_of(event, ORDER, "6", OPEN)
    listed = fill_of_activity(activity())
    assert streamed is not None
    assert listed is not None
    scene.see(filled_qty="6")
    assert scene.ledger.tell(streamed) == scene.ledger.tell(listed)


@pytest.mark.parametrize(
    "fields",
    [
        {"price": None},
        {"price": "0"},
        {"price": "NaN"},
        {"qty": "0"},
        {"qty": "-4"},
        {"qty": "7"},
        {"cum_qty": None},
        {"cum_qty": "x"},
        {"order_id": None},
        {"transaction_time": None},
    ],
)
def test_an_activity_that_cannot_be_read_is_none(fields: dict[str, object]) -> None:
    assert fill_of_activity(activity(**fields)) is None


def test_fractions_are_told_as_the_whole_shares_that_they_complete() -> None:
    assert fill_of_activity(activity(qty="0.5", cum_qty="0.5")) is None
    completed = fill_of_activity(activity(qty="0.7", cum_qty="1.2"))
    assert completed is not None
    assert (completed.before, completed.after) == (0, 1)


# ---- once --------------------------------------------------------------------------------------------


def test_an_execution_told_again_is_the_same_execution(scene: Scene) -> None:
    scene.see(filled_qty="4")
    assert scene.fill(0, 4) == [f"{ORDER}@4:4"]
    assert scene.fill(0, 4, "11") == [f"{ORDER}@4:4"]
    assert scene.told() == [("4", 4, Decimal(10))]


def test_executions_out_of_order_are_each_told(scene: Scene) -> None:
    scene.see(filled_qty="10")
    assert scene.fill(4, 10) == [f"{ORDER}@10:6"]
    assert scene.fill(0, 4) == [f"{ORDER}@4:4"]
    assert scene.told() == [("4", 4, Decimal(10)), ("10", 6, Decimal(10))]


def test_shares_told_otherwise_are_not_told_again(scene: Scene) -> None:
    scene.see(filled_qty="10")
    scene.fill(2, 5)
    assert scene.fill(0, 7) == [f"{ORDER}@2:2", f"{ORDER}@7:2"]
    assert scene.fill(3, 4) == []


def test_an_execution_of_an_order_nobody_described_is_not_told(scene: Scene) -> None:
    assert scene.fill(0, 4) == []


cuts = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=12)


@given(cuts)
def test_however_fills_overlap_no_share_is_told_twice(fills: list[tuple[int, int]]) -> None:
    scene = Scene()
    scene.see(qty="40", filled_qty="40")
    told: dict[str, Execution] = {}
    shares: set[int] = set()
    for start, length in fills:
        shares.update(range(start, start + length))
        for execution in scene.ledger.tell(Fill(ORDER, start, start + length, Decimal(10), OPEN)):
            assert told.setdefault(execution.execution_id, execution) == execution
    assert sum(execution.qty for execution in told.values()) == len(shares)
    assert tuple(told[e.execution_id] for e in scene.ledger.of(ORDER)) == scene.ledger.of(ORDER)


# ---- shares without an execution ---------------------------------------------------------------------


def test_shares_that_lack_their_execution_are_made_up_after_three_seconds(scene: Scene) -> None:
    scene.see(filled_qty="10", filled_avg_price="10.60", status="filled")
    scene.fill(0, 4, "10")
    assert scene.ledger.owing(ORDER)
    scene.wait(seconds=2.9)
    scene.ledger.make_up(ORDER)
    assert scene.told() == [("4", 4, Decimal(10))]
    scene.wait(seconds=0.1)
    scene.ledger.make_up(ORDER)
    assert scene.told() == [("4", 4, Decimal(10)), ("10", 6, Decimal("11.0000"))]
    assert not scene.ledger.owing(ORDER)


def test_what_comes_too_late_for_shares_that_were_made_up_is_dropped(scene: Scene) -> None:
    scene.see(filled_qty="10", filled_avg_price="10")
    scene.wait(seconds=3)
    scene.ledger.make_up(ORDER)
    assert scene.fill(0, 4, "9.99") == []
    assert scene.told() == [("10", 10, Decimal(10))]


def test_every_gap_is_made_up_and_the_total_is_what_was_paid(scene: Scene) -> None:
    scene.see(qty="20", filled_qty="20", filled_avg_price="10.5")
    scene.fill(5, 10, "10")
    scene.fill(12, 15, "11")
    scene.wait(seconds=3)
    scene.ledger.make_up(ORDER)
    executions = scene.ledger.of(ORDER)
    assert sum(e.qty for e in executions) == 20
    assert abs(sum(e.qty * e.price for e in executions) - Decimal(210)) < Decimal("0.01")


def test_the_clock_starts_anew_when_nothing_is_missing_any_more(scene: Scene) -> None:
    scene.see(filled_qty="4", filled_avg_price="10")
    scene.wait(seconds=2.9)
    scene.fill(0, 4)
    scene.wait(seconds=5)
    scene.see(filled_qty="6", filled_avg_price="10")
    scene.ledger.make_up(ORDER)
    assert scene.told() == [("4", 4, Decimal(10))]


@pytest.mark.parametrize("average", [None, "NaN", "0"])
def test_without_an_average_price_nothing_is_made_up(scene: Scene, average: str | None) -> None:
    scene.see(filled_qty="4", filled_avg_price=average)
    scene.wait(seconds=10)
    scene.ledger.make_up(ORDER)
    assert scene.told() == []
    assert scene.ledger.owing(ORDER)


def test_a_price_that_could_not_be_is_made_up_as_the_average(scene: Scene) -> None:
    scene.see(filled_qty="10", filled_avg_price="1")
    scene.fill(0, 9, "5")
    scene.wait(seconds=3)
    scene.ledger.make_up(ORDER)
    assert scene.told()[-1] == ("10", 1, Decimal(1))


def test_nothing_is_made_up_for_the_replacement_of_a_partly_filled_order(scene: Scene) -> None:
    scene.see(id=ELSE, filled_qty="4", status="replaced", replaced_by=ORDER)
    scene.see(filled_qty="4", filled_avg_price="10", replaces=ELSE)
    scene.wait(seconds=10)
    scene.ledger.make_up(ORDER)
    assert scene.told() == []


def test_an_older_description_takes_nothing_back(scene: Scene) -> None:
    scene.see(filled_qty="10", status="filled", filled_avg_price="10")
    scene.see(filled_qty="0", status="new")
    assert scene.ledger.owing(ORDER)


# ---- how long ----------------------------------------------------------------------------------------


def test_executions_are_listed_from_a_time_on_and_in_order(scene: Scene) -> None:
    scene.see(filled_qty="10")
    scene.see(id=ELSE, side="buy", filled_qty="3")
    scene.fill(0, 4)
    scene.wait(minutes=1)
    scene.fill(0, 3, order_id=ELSE)
    scene.wait(minutes=1)
    scene.fill(4, 10)
    found = scene.ledger.since(OPEN + timedelta(minutes=1))
    assert [(e.qty, e.side) for e in found] == [(3, Side.BUY), (6, Side.SELL)]


def test_an_execution_of_another_day_is_not_told_to_an_engine_that_has_forgotten_it(scene: Scene) -> None:
    scene.see(filled_qty="4")
    scene.fill(0, 4)
    scene.wait(hours=19)
    assert scene.told()
    scene.wait(hours=2)
    assert not scene.told()
    assert not scene.ledger.since(OPEN)
    assert not scene.ledger.owing(ORDER)


def test_what_ended_days_ago_is_forgotten_and_what_works_is_not(scene: Scene) -> None:
    scene.see(filled_qty="0", status="canceled")
    scene.see(id=ELSE, filled_qty="0", status="new")
    scene.wait(days=4)
    scene.ledger.forget_old()
    assert scene.ledger.client_id(ORDER) is None
    assert scene.ledger.client_id(ELSE) == "tt-S1"
