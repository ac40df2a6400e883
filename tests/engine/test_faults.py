"""Every fault of orders, REST and streams that a broker can have, one by one, on the real engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.engine.scene import LATENCY, A, Scene
from tui_trader.core.events import (
    EngineState,
    OrderFilled,
    OrderStateChanged,
    Reconciled,
    SignalRejected,
    StopMoved,
    SymbolState,
    SymbolStateChanged,
    TradeClosed,
    TradeReason,
)
from tui_trader.core.orders import (
    BrokerOrderId,
    ClientOrderId,
    OrderReport,
    OrderSpec,
    OrderState,
    OrderType,
    Role,
    Side,
)
from tui_trader.engine.handle import CancelWorkingOrder, Flatten, Pause, Resume, Shutdown
from tui_trader.venues.base import (
    CancelOrder,
    OrderUpdate,
    QueryOrder,
    QuerySnapshot,
    Refusal,
    ReplaceOrder,
    SubmitOrder,
)
from tui_trader.venues.exchange.faults import (
    LOST_ANSWER,
    LOST_REQUEST,
    NEVER,
    SERVER_ERROR,
    Fate,
    NoFaults,
    Script,
)

Stage = Callable[..., Scene]


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


@pytest.fixture
def script() -> Script:
    return Script(NoFaults(LATENCY))


@pytest.fixture
def stage(tmp_path: Path, script: Script) -> Stage:
    def make(**options: object) -> Scene:
        return Scene(tmp_path, script, **options).start()  # type: ignore[arg-type]

    return make


def half(order: object) -> int:
    """A market that fills a buy in two halves and the second never; sales are filled whole."""
    spec, filled = order.spec, order.filled_qty  # type: ignore[attr-defined]
    if spec.side is Side.SELL:
        return spec.qty - filled
    return 0 if filled else spec.qty // 2


def fade(scene: Scene, minute: int, price: float = 99.0) -> None:
    """Price falls to ``price`` in that minute."""
    scene.tape.bars[A][minute] = (100.4, 100.4, price, price)


def sell_by_hand(scene: Scene, qty: int) -> None:
    """Somebody cancels the stop and sells at the broker."""
    for report in scene.working(Role.STOP):
        scene.broker.by_hand(CancelOrder(0, report.client_order_id, report.broker_order_id))
    spec = OrderSpec(ClientOrderId("by-hand-1"), A, Role.EXTERNAL, Side.SELL, OrderType.MARKET, qty)
    scene.broker.by_hand(SubmitOrder(0, spec))


# ---- entries -----------------------------------------------------------------------------------------


def test_a_lost_answer_to_an_entry_never_becomes_a_second_order(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(SubmitOrder, LOST_ANSWER, Role.ENTRY)
    scene.go_long()
    scene.to(5)
    assert len(scene.orders(Role.ENTRY)) == 1
    assert scene.held == scene.position == 166
    assert scene.stopped_shares() == 166


def test_an_entry_that_never_arrived_is_not_sent_again(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(SubmitOrder, LOST_REQUEST, Role.ENTRY)
    scene.go_long()
    scene.to(6)
    [entry] = scene.orders(Role.ENTRY)
    assert entry.state is OrderState.EXPIRED
    assert scene.held == 0
    assert scene.engine.manager.flat


def test_an_entry_accepted_after_the_broker_denied_knowing_it_is_adopted(
    stage: Stage, script: Script
) -> None:
    scene = stage()
    script.on(SubmitOrder, Fate(out=seconds(4), heard="unclear"), Role.ENTRY)
    scene.go_long()
    scene.to(5)
    assert len(scene.orders(Role.ENTRY)) == 1
    assert scene.held == scene.position == 166
    assert scene.stopped_shares() == 166


def test_an_entry_that_appears_after_it_was_given_up_is_cancelled(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(SubmitOrder, Fate(out=seconds(60), heard="nothing"), Role.ENTRY)
    scene.signal()
    scene.to(2, 30)
    assert not scene.working()
    assert scene.engine.manager.flat
    assert scene.errors("orders")


def test_an_entry_that_fills_after_it_was_given_up_is_protected(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(SubmitOrder, Fate(out=seconds(119), heard="nothing"), Role.ENTRY)
    script.on(CancelOrder, SERVER_ERROR, Role.ENTRY, times=100)
    script.on_news(NEVER, Role.ENTRY)
    scene.tape.bars[A][3] = (100.0, 100.5, 100.0, 100.4)
    scene.signal()
    scene.to(5)
    assert scene.held == scene.position == 166
    assert scene.stopped_shares() == 166
    assert scene.naked <= 5


def test_an_order_id_that_exists_already_is_ours_and_adopted(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(SubmitOrder, Fate(heard="nothing"), Role.STOP)
    script.on(QueryOrder, Fate(refusal=Refusal.RATE_LIMITED), Role.STOP, times=2)
    scene.go_long()
    scene.to(6)
    assert len(scene.orders(Role.STOP)) == 1
    assert scene.stopped_shares() == 166


@pytest.mark.parametrize("refusal", [Refusal.REJECTED, Refusal.RATE_LIMITED, Refusal.BUYING_POWER])
def test_a_refused_entry_is_over(stage: Stage, script: Script, refusal: Refusal) -> None:
    scene = stage()
    script.on(SubmitOrder, Fate(refusal=refusal), Role.ENTRY)
    scene.go_long()
    scene.to(5)
    [entry] = scene.orders(Role.ENTRY)
    assert entry.state is OrderState.REJECTED
    assert scene.held == 0
    assert scene.engine.manager.flat


# ---- fills -------------------------------------------------------------------------------------------


def test_partial_fill_is_protected_within_five_seconds(stage: Stage) -> None:
    scene = stage(fill_size=half)
    scene.go_long()
    scene.to(4, 6)
    assert scene.held == scene.position == 83
    assert scene.stopped_shares() == 83
    assert scene.naked <= 5
    assert not scene.working(Role.ENTRY)


def test_a_partial_fill_is_protected_although_the_cancel_of_the_rest_is_stuck(
    stage: Stage, script: Script
) -> None:
    scene = stage(fill_size=half)
    script.on(CancelOrder, Fate(stuck=seconds(40)), Role.ENTRY, times=100)
    scene.go_long()
    scene.to(4, 20)
    assert scene.working(Role.ENTRY)
    assert scene.stopped_shares() == 83
    assert scene.naked <= 5
    scene.to(6)
    assert not scene.working(Role.ENTRY)
    assert scene.agrees()


def test_a_fill_during_its_cancel_is_protected(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(CancelOrder, Fate(out=seconds(4.5), back=LATENCY), Role.ENTRY, times=10)
    scene.tape.bars[A][3] = (100.0, 100.5, 100.0, 100.4)
    scene.signal()
    scene.to(3, 57)
    [entry] = scene.working(Role.ENTRY)
    scene.send(CancelWorkingOrder(entry.client_order_id))
    scene.to(5)
    assert scene.held == scene.position == 166
    assert scene.stopped_shares() == 166
    assert scene.naked <= 5


def test_a_cancelled_entry_is_not_over_before_its_fills_are_known(stage: Stage, script: Script) -> None:
    scene = stage(fill_size=half)
    scene.tape.bars[A][3] = (100.0, 100.5, 100.0, 100.4)
    scene.signal()
    scene.to(3, 58)
    for kind in (QueryOrder, QuerySnapshot):
        script.on(kind, SERVER_ERROR, times=1000)
    script.on_news(NEVER, Role.ENTRY)  # the fill
    scene.to(4, 0.5)
    [entry] = scene.working(Role.ENTRY)
    scene.broker.by_hand(CancelOrder(0, entry.client_order_id, entry.broker_order_id))
    scene.run_for(5)
    assert scene.position == 0
    assert not scene.engine.manager.flat
    script.clear()
    scene.run_for(3)
    assert scene.held == scene.position == scene.stopped_shares() == 83


def test_a_stop_grows_with_an_entry_that_goes_on_filling(stage: Stage, script: Script) -> None:
    shares = iter([60, 40, 66])
    scene = stage(fill_size=lambda order: next(shares) if order.spec.side is Side.BUY else order.open_qty)
    script.on(CancelOrder, Fate(stuck=seconds(300)), Role.ENTRY, times=1000)
    scene.tape.bars[A].update(dict.fromkeys((3, 4, 5), (100.0, 100.3, 100.0, 100.3)))
    scene.signal()
    scene.to(4, 10)
    assert scene.held == scene.stopped_shares() == 60
    scene.to(5, 10)
    assert scene.held == scene.stopped_shares() == 100
    scene.to(6, 10)
    assert scene.held == scene.stopped_shares() == 166
    assert scene.naked <= 5


def test_a_fill_told_before_the_order_was_acknowledged_counts(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(SubmitOrder, Fate(back=seconds(200)), Role.ENTRY)
    script.on_news((seconds(200),), Role.ENTRY)
    scene.go_long()
    scene.to(4, 1)
    assert scene.position == 166
    scene.to(10)
    assert scene.held == scene.position == 166
    assert len(scene.of(OrderFilled)) == 1
    assert scene.agrees()


def test_repeated_and_reordered_fills_are_counted_once(stage: Stage, script: Script) -> None:
    sizes = iter([40, 60, 66])
    scene = stage(fill_size=lambda order: next(sizes) if order.spec.side is Side.BUY else order.open_qty)
    script.on_news((LATENCY,), Role.ENTRY)  # accepted
    script.on_news((seconds(1.5), seconds(2.5)), Role.ENTRY)
    scene.tape.bars[A][3] = (100.0, 100.5, 100.0, 100.4)
    scene.signal()
    scene.to(10)
    assert scene.position == scene.held
    assert len({fill.execution_id for fill in scene.of(OrderFilled)}) == len(scene.of(OrderFilled))
    assert scene.stopped_shares() == scene.held
    assert scene.agrees()


def test_news_lost_on_a_healthy_socket_is_found_by_polling(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on_news(NEVER, times=1000)
    scene.go_long()
    scene.to(4, 6)
    assert scene.position == 166
    assert scene.stopped_shares() == 166
    assert scene.naked <= 5
    fade(scene, 6)
    scene.to(8)
    assert scene.held == scene.position == 0
    [trade] = scene.of(TradeClosed)
    assert trade.reason is TradeReason.STOP


# ---- protective stops --------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", [LOST_ANSWER, LOST_REQUEST, SERVER_ERROR], ids=["answer", "request", "5xx"])
def test_a_stop_without_an_answer_is_there_once_and_in_time(stage: Stage, script: Script, fate: Fate) -> None:
    scene = stage()
    script.on(SubmitOrder, fate, Role.STOP)
    scene.go_long()
    scene.to(4, 20)
    assert scene.held == 166
    assert scene.stopped_shares() == 166
    assert len(scene.orders(Role.STOP)) == 1
    assert scene.naked <= 15


@pytest.mark.parametrize("refusal", [Refusal.REJECTED, Refusal.RATE_LIMITED, Refusal.SHARES_HELD])
def test_a_refused_stop_is_placed_again(stage: Stage, script: Script, refusal: Refusal) -> None:
    scene = stage()
    script.on(SubmitOrder, Fate(refusal=refusal), Role.STOP)
    scene.go_long()
    scene.to(4, 6)
    assert scene.stopped_shares() == 166
    assert scene.naked <= 5


def test_shares_whose_stop_is_never_accepted_are_sold(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(SubmitOrder, Fate(refusal=Refusal.REJECTED), Role.STOP, times=1000)
    scene.go_long()
    scene.to(6)
    assert scene.held == 0
    assert scene.errors("protection")
    assert scene.naked <= 6
    [trade] = scene.of(TradeClosed)
    assert trade.reason is TradeReason.STOP


def test_a_stop_that_price_has_gone_through_becomes_a_market_exit(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(SubmitOrder, Fate(refusal=Refusal.PRICE_THROUGH_STOP), Role.STOP)
    scene.go_long()
    scene.to(4, 1)
    assert [r.order_type for r in scene.working()] == [OrderType.MARKET]
    scene.to(6)
    assert scene.held == scene.position == 0
    assert scene.naked <= 5


def test_a_stop_that_fills_in_parts_leaves_the_rest_protected(stage: Stage) -> None:
    def bit(order: object) -> int:
        spec = order.spec  # type: ignore[attr-defined]
        return 50 if spec.side is Side.SELL else spec.qty

    scene = stage(fill_size=bit)
    scene.go_long()
    fade(scene, 5)
    scene.to(7)
    assert 0 < scene.held < 166
    assert scene.stopped_shares() == scene.held == scene.position
    scene.to(12)
    assert scene.held == scene.position == 0
    assert scene.agrees()


def test_a_replace_whose_answer_was_lost_moves_the_stop_once(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(ReplaceOrder, LOST_ANSWER)
    script.on_news(NEVER, Role.STOP, times=3)
    scene.go_long()
    scene.rule.trail = Decimal("99.80")
    scene.to(6)
    [stop] = scene.working(Role.STOP)
    assert stop.stop_price == Decimal("99.80")
    assert len(scene.of(StopMoved)) == 1
    assert scene.agrees()


def test_the_answer_to_a_replace_is_enough_to_know_both_stops(stage: Stage, script: Script) -> None:
    scene = stage()
    scene.go_long()
    scene.rule.trail = Decimal("99.80")
    scene.to(4, 58)
    script.on_news(NEVER, Role.STOP, times=1000)
    script.on(QueryOrder, SERVER_ERROR, times=1000)
    scene.to(5, 1)
    assert len(scene.of(StopMoved)) == 1
    assert [order.state for order in scene.orders(Role.STOP)] == [OrderState.REPLACED, OrderState.ACCEPTED]


def test_a_replace_that_never_arrived_is_sent_again_under_its_own_id(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(ReplaceOrder, LOST_REQUEST)
    scene.go_long()
    scene.rule.trail = Decimal("99.80")
    scene.to(6)
    [stop] = scene.working(Role.STOP)
    assert stop.stop_price == Decimal("99.80")
    assert len(scene.orders(Role.STOP)) == 2
    assert scene.naked <= 5


def test_a_replace_that_arrives_late_is_the_stop_in_the_end(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(ReplaceOrder, Fate(out=seconds(4), heard="unclear"))
    scene.go_long()
    scene.rule.trail = Decimal("99.80")
    scene.to(6)
    [stop] = scene.working(Role.STOP)
    assert stop.stop_price == Decimal("99.80")
    assert scene.agrees()
    assert scene.naked <= 5


def test_a_replace_that_races_a_fill_leaves_nothing_behind(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(ReplaceOrder, Fate(out=seconds(61), back=LATENCY))
    scene.go_long()
    scene.rule.trail = Decimal("99.80")
    fade(scene, 5)
    scene.to(9)
    assert scene.held == scene.position == 0
    assert not scene.working()
    assert scene.agrees()
    assert len(scene.of(TradeClosed)) == 1


@pytest.mark.parametrize("refusal", [Refusal.REJECTED, Refusal.RATE_LIMITED, Refusal.SHARES_HELD])
def test_a_refused_replace_leaves_the_old_stop_and_is_tried_again(
    stage: Stage, script: Script, refusal: Refusal
) -> None:
    scene = stage()
    script.on(ReplaceOrder, Fate(refusal=refusal))
    scene.go_long()
    scene.rule.trail = Decimal("99.80")
    scene.to(6)
    [stop] = scene.working(Role.STOP)
    assert stop.stop_price == Decimal("99.80")
    assert scene.naked <= 5


def test_stops_never_loosen(stage: Stage) -> None:
    scene = stage()
    scene.go_long()
    for minute, price in enumerate(("99.80", "99.60", "100.00", "99.90"), start=5):
        scene.rule.trail = Decimal(price)
        scene.to(minute)
    moved = [event.stop_price for event in scene.of(StopMoved)]
    assert moved == [Decimal("99.80"), Decimal("100.00")]


# ---- exits -------------------------------------------------------------------------------------------


def test_a_refused_sale_puts_the_stop_back(stage: Stage, script: Script) -> None:
    scene = stage()
    script.on(SubmitOrder, Fate(refusal=Refusal.REJECTED), Role.EXIT)
    scene.go_long()
    scene.to(4, 10)
    scene.send(Flatten(A))
    scene.run_for(2)
    assert [r.order_type for r in scene.working()] == [OrderType.STOP]
    scene.to(7)
    assert scene.held == scene.position == 0
    assert scene.naked <= 5


def test_a_sale_refused_because_shares_are_held_is_made_once_they_are_free(
    stage: Stage, script: Script
) -> None:
    scene = stage()
    script.on(CancelOrder, Fate(stuck=seconds(4)), Role.STOP)
    scene.go_long()
    scene.to(4, 10)
    scene.send(Flatten(A))
    scene.to(7)
    assert scene.held == scene.position == 0
    assert scene.agrees()


@pytest.mark.parametrize("fate", [LOST_ANSWER, LOST_REQUEST, SERVER_ERROR], ids=["answer", "request", "5xx"])
def test_a_sale_without_an_answer_sells_once(stage: Stage, script: Script, fate: Fate) -> None:
    scene = stage()
    script.on(SubmitOrder, fate, Role.EXIT)
    scene.go_long()
    scene.to(4, 10)
    scene.send(Flatten(A))
    scene.to(8)
    assert scene.held == scene.position == 0
    assert len(scene.of(TradeClosed)) == 1
    assert scene.agrees()


def test_a_stop_that_fills_while_it_is_cancelled_is_the_only_sale(stage: Stage, script: Script) -> None:
    scene = stage()
    scene.go_long()
    script.on(CancelOrder, Fate(out=seconds(4), back=LATENCY), Role.STOP, times=10)
    fade(scene, 5)
    scene.to(5, 57)
    scene.send(Flatten(A))
    scene.to(9)
    assert scene.held == scene.position == 0
    assert not scene.orders(Role.EXIT)
    assert not scene.working()


@pytest.mark.parametrize("stuck", [1.0, 30.0])
def test_a_cancel_stuck_at_the_broker_only_delays_the_sale(
    stage: Stage, script: Script, stuck: float
) -> None:
    scene = stage()
    script.on(CancelOrder, Fate(stuck=seconds(stuck)), Role.STOP, times=1000)
    scene.go_long()
    scene.to(4, 10)
    scene.send(Flatten())
    scene.to(8)
    assert scene.held == scene.position == 0
    assert scene.naked <= 5
    assert scene.engine.state is EngineState.PAUSED


def test_the_first_cancel_leaves_within_a_second_of_flatten(stage: Stage) -> None:
    scene = stage()
    scene.go_long()
    scene.to(4, 10)
    scene.send(Flatten())
    scene.run_for(1)
    assert not scene.working(Role.STOP)


# ---- other hands on the account ----------------------------------------------------------------------


def test_a_manual_close_at_the_broker_is_noticed(stage: Stage) -> None:
    scene = stage()
    scene.go_long()
    scene.to(4, 30)
    sell_by_hand(scene, 166)
    scene.to(7)
    assert scene.held == scene.position == 0
    [trade] = scene.of(TradeClosed)
    assert trade.reason is TradeReason.EXTERNAL
    assert not scene.working()
    assert scene.agrees()


def test_a_manual_sale_of_a_part_leaves_the_rest_protected(stage: Stage) -> None:
    scene = stage()
    scene.go_long()
    scene.to(4, 30)
    sell_by_hand(scene, 66)
    scene.to(7)
    assert scene.held == scene.position == 100
    assert scene.stopped_shares() == 100


def test_shares_bought_outside_are_external_and_left_alone_until_the_user_flattens(stage: Stage) -> None:
    scene = stage()
    scene.go_long()
    scene.to(4, 30)
    spec = OrderSpec(ClientOrderId("by-hand-1"), A, Role.EXTERNAL, Side.BUY, OrderType.MARKET, 50)
    scene.broker.by_hand(SubmitOrder(0, spec))
    scene.to(7)
    assert scene.held == 216
    assert scene.position == 166
    assert scene.engine.reconciler.external_shares == {A: 50}
    assert scene.stopped_shares() == 166
    scene.send(Flatten())
    scene.to(9)
    assert scene.held == scene.position == 0
    assert not scene.working()
    assert scene.agrees()


def test_a_foreign_order_is_shown_and_left_alone(stage: Stage) -> None:
    scene = stage()
    spec = OrderSpec(
        ClientOrderId("by-hand-1"), A, Role.EXTERNAL, Side.BUY, OrderType.STOP_LIMIT, 10,
        Decimal("105.10"), Decimal("105.00"),
    )  # fmt: skip
    scene.broker.by_hand(SubmitOrder(0, spec))
    scene.to(2)
    shown = [event for event in scene.of(OrderStateChanged) if event.role is Role.EXTERNAL]
    assert [event.state for event in shown] == [OrderState.ACCEPTED]
    assert len(scene.working()) == 1
    scene.send(Flatten())
    scene.to(3)
    assert not scene.working()


# ---- REST and streams --------------------------------------------------------------------------------


def test_two_minutes_without_rest_leave_a_protected_position_alone(stage: Stage, script: Script) -> None:
    scene = stage()
    scene.go_long()
    scene.to(4, 10)
    for kind in (SubmitOrder, CancelOrder, ReplaceOrder, QueryOrder, QuerySnapshot):
        script.on(kind, SERVER_ERROR, times=10_000)
    scene.to(7)
    script.clear()
    scene.to(8)
    assert scene.held == scene.position == 166
    assert scene.stopped_shares() == 166
    assert scene.naked <= 5


def test_shares_bought_just_before_an_outage_are_safe_soon_after_it(stage: Stage, script: Script) -> None:
    scene = stage()
    scene.tape.bars[A][3] = (100.0, 100.5, 100.0, 100.4)
    scene.signal()
    scene.to(3, 30)
    for kind in (SubmitOrder, CancelOrder, ReplaceOrder, QueryOrder, QuerySnapshot):
        script.on(kind, LOST_REQUEST, times=10_000)
    scene.to(6)
    assert scene.held == 166
    assert scene.errors("protection")
    script.clear()
    scene.run_for(15)
    assert scene.stopped_shares() == 166
    scene.to(8)
    assert scene.held == scene.position == 0
    assert scene.agrees()


def test_a_snapshot_that_is_refused_at_the_start_is_asked_for_again(tmp_path: Path, script: Script) -> None:
    script.on(QuerySnapshot, Fate(refusal=Refusal.RATE_LIMITED))
    script.on(QuerySnapshot, SERVER_ERROR)
    script.on(QuerySnapshot, LOST_REQUEST)
    scene = Scene(tmp_path, script).start()
    scene.to(1)
    assert scene.engine.state is EngineState.RUNNING


def test_what_happened_while_the_stream_was_closed_is_known_after_it_is_back(
    stage: Stage, script: Script
) -> None:
    scene = stage()
    scene.go_long()
    scene.to(4, 10)
    script.on(QueryOrder, SERVER_ERROR, times=10_000)
    scene.broker.disconnect()
    fade(scene, 5)
    scene.to(6, 2)
    assert not scene.engine.entries_allowed()
    scene.broker.reconnect()
    scene.run_for(10)
    assert scene.held == scene.position == 0
    assert scene.engine.entries_allowed()


def test_a_snapshot_older_than_a_fill_changes_nothing(stage: Stage, script: Script) -> None:
    scene = stage()
    scene.tape.bars[A][3] = (100.0, 100.5, 100.0, 100.4)
    scene.signal()
    scene.to(3, 58)
    script.on(QuerySnapshot, Fate(back=seconds(4)), times=1)
    scene.engine.gateway.query_snapshot()
    scene.engine.gateway.flush()
    scene.to(4, 4.5)
    assert scene.position == scene.held == 166
    assert scene.engine.portfolio.cash == scene.sim.cash
    assert scene.engine.breaker.trip is None


def test_lost_order_news_halts_entries_until_reconciled(stage: Stage) -> None:
    scene = stage()
    scene.go_long()
    scene.to(4, 10)
    scene.inbox.order_news_lost = True
    scene.stepper.drain()
    assert not scene.engine.entries_allowed()
    scene.run_for(3)
    assert scene.engine.entries_allowed()
    assert scene.errors("inbox")


def test_an_order_inbox_that_overflows_is_made_up_for(stage: Stage, script: Script) -> None:
    scene = stage()
    scene.go_long()
    scene.to(4, 0)
    spec = scene.orders(Role.ENTRY)[0].spec
    old = OrderReport(
        spec.client_order_id, BrokerOrderId("sim-1"), A, spec.side, spec.order_type, spec.qty, 0,
        OrderState.ACCEPTED,
    )  # fmt: skip
    for _ in range(10_100):
        scene.inbox.post(OrderUpdate(old))
    assert scene.inbox.order_news_lost
    scene.to(4, 20)
    assert scene.position == scene.held == 166
    assert scene.stopped_shares() == 166
    assert scene.engine.entries_allowed()


# ---- the journal -------------------------------------------------------------------------------------


def test_without_a_journal_no_entry_is_sent(stage: Stage) -> None:
    scene = stage()
    scene.journal.down = True
    scene.go_long()
    scene.to(5)
    assert not scene.working()
    assert scene.held == 0
    assert scene.errors("journal")


def test_a_journal_that_fails_takes_working_entries_off(stage: Stage) -> None:
    scene = stage()
    scene.signal()
    scene.to(1, 10)
    assert scene.working(Role.ENTRY)
    scene.journal.down = True
    scene.to(2, 10)
    assert not scene.working(Role.ENTRY)


def test_stops_and_exits_go_on_without_a_journal(stage: Stage) -> None:
    scene = stage()
    scene.go_long()
    scene.journal.down = True
    scene.to(4, 10)
    assert scene.stopped_shares() == 166
    scene.send(Flatten(A))
    scene.to(6)
    assert scene.held == scene.position == 0
    scene.journal.down = False
    scene.run_for(5)
    assert scene.engine.entries_allowed()
    assert scene.agrees()


# ---- strategies and listeners ------------------------------------------------------------------------


def test_a_strategy_that_raises_is_quarantined_and_its_stop_stays(stage: Stage) -> None:
    scene = stage()
    scene.go_long()
    scene.rule.raises = True
    scene.to(6)
    assert scene.of(SymbolStateChanged)[-1].state is SymbolState.QUARANTINED
    assert scene.stopped_shares() == scene.held == 166


@pytest.mark.parametrize("price", [Decimal("NaN"), Decimal("-1"), Decimal("Infinity"), Decimal(0)])
def test_a_price_that_is_none_is_the_strategys_mistake(stage: Stage, price: Decimal) -> None:
    scene = stage()
    scene.rule.entry = (price, Decimal("99.50"))
    scene.to(2)
    assert scene.of(SymbolStateChanged)[-1].state is SymbolState.QUARANTINED
    assert not scene.working()


def test_a_stop_above_the_entry_is_refused_by_risk(stage: Stage) -> None:
    scene = stage()
    scene.signal("100.10", "100.50")
    scene.to(2)
    [refusal] = scene.of(SignalRejected)
    assert refusal.rule == "stop_side"
    assert not scene.working()


def test_a_trail_that_is_not_a_price_leaves_the_stop(stage: Stage) -> None:
    scene = stage()
    scene.go_long()
    scene.rule.trail = Decimal("NaN")
    scene.to(6)
    assert scene.of(SymbolStateChanged)[-1].state is SymbolState.QUARANTINED
    [stop] = scene.working(Role.STOP)
    assert stop.stop_price == Decimal("99.50")


def test_a_listener_that_raises_changes_nothing(stage: Stage) -> None:
    scene = stage()

    def listener(published: object) -> None:
        raise RuntimeError("a broken listener")

    scene.bus.add_sink("broken", listener)
    scene.go_long()
    scene.to(6)
    assert scene.stopped_shares() == scene.held == 166
    assert scene.bus.sink_failures == {"broken": 1}


# ---- under every fault -------------------------------------------------------------------------------


def entry_unknown(scene: Scene, script: Script) -> None:
    script.on(SubmitOrder, LOST_ANSWER, Role.ENTRY)


def entry_late(scene: Scene, script: Script) -> None:
    script.on(SubmitOrder, Fate(out=seconds(20), heard="nothing"), Role.ENTRY)


def stop_unknown(scene: Scene, script: Script) -> None:
    script.on(SubmitOrder, LOST_ANSWER, Role.STOP)


def stop_lost(scene: Scene, script: Script) -> None:
    script.on(SubmitOrder, LOST_REQUEST, Role.STOP)


def stop_refused(scene: Scene, script: Script) -> None:
    script.on(SubmitOrder, Fate(refusal=Refusal.REJECTED), Role.STOP, times=3)


def exit_refused(scene: Scene, script: Script) -> None:
    script.on(SubmitOrder, Fate(refusal=Refusal.SHARES_HELD), Role.EXIT, times=2)


def exit_lost(scene: Scene, script: Script) -> None:
    script.on(SubmitOrder, LOST_REQUEST, Role.EXIT)


def cancels_lost(scene: Scene, script: Script) -> None:
    script.on(CancelOrder, LOST_REQUEST, times=2)


def cancels_stuck(scene: Scene, script: Script) -> None:
    script.on(CancelOrder, Fate(stuck=seconds(8)), times=3)


def news_lost(scene: Scene, script: Script) -> None:
    script.on_news(NEVER, times=10_000)


def news_late(scene: Scene, script: Script) -> None:
    script.on_news((seconds(3), seconds(5)), times=10_000)


def questions_fail(scene: Scene, script: Script) -> None:
    script.on(QueryOrder, SERVER_ERROR, times=20)
    script.on(QuerySnapshot, LOST_REQUEST, times=2)


def no_journal(scene: Scene, script: Script) -> None:
    scene.to(3, 59)
    scene.journal.down = True


EVERY_FAULT = [
    entry_unknown, entry_late, stop_unknown, stop_lost, stop_refused, exit_refused, exit_lost, cancels_lost,
    cancels_stuck, news_lost, news_late, questions_fail, no_journal,
]  # fmt: skip


def long_under(fault: Callable[[Scene, Script], None], stage: Stage, script: Script, **options: int) -> Scene:
    scene = stage(**options)
    scene.tape.bars[A][3] = (100.0, 100.5, 100.0, 100.4)
    scene.signal()
    fault(scene, script)
    scene.to(4, 0)
    return scene


@pytest.mark.parametrize("fault", EVERY_FAULT)
@pytest.mark.parametrize("after", [0.0, 0.1, 3.0, 20.0])
def test_flatten_works_under_every_fault(
    stage: Stage, script: Script, fault: Callable[[Scene, Script], None], after: float
) -> None:
    scene = long_under(fault, stage, script)
    scene.run_for(after)
    scene.send(Flatten())
    scene.to(8)
    scene.journal.down = False
    scene.run_for(30)
    assert scene.held == scene.position == 0
    assert not scene.working()
    assert scene.engine.state is EngineState.PAUSED
    assert scene.naked <= 15
    assert scene.agrees()


@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_pause_keeps_what_is_open_safe_under_every_fault(
    stage: Stage, script: Script, fault: Callable[[Scene, Script], None]
) -> None:
    scene = long_under(fault, stage, script)
    scene.send(Pause())
    sent = len(scene.orders(Role.ENTRY))
    scene.signal()
    scene.to(8)
    assert len(scene.orders(Role.ENTRY)) == sent
    assert not scene.working(Role.ENTRY)
    assert scene.stopped_shares() == scene.held == scene.position
    scene.send(Resume())
    scene.journal.down = False
    scene.run_for(30)
    assert scene.engine.entries_allowed()


@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_the_day_ends_flat_under_every_fault(
    stage: Stage, script: Script, fault: Callable[[Scene, Script], None]
) -> None:
    scene = long_under(fault, stage, script, minutes=20)
    scene.to(22)
    assert scene.held == 0
    scene.journal.down = False
    scene.run_for(30)
    assert scene.position == 0
    assert not scene.working()
    assert scene.agrees()


@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_shutdown_ends_flat_under_every_fault(
    stage: Stage, script: Script, fault: Callable[[Scene, Script], None]
) -> None:
    scene = long_under(fault, stage, script)
    scene.run_for(0.1)
    scene.send(Shutdown("the user quits"))
    for _ in range(60):
        if scene.engine.stopped:
            break
        scene.run_for(5)
    assert scene.engine.stopped
    assert scene.engine.exit_code == 0
    assert scene.held == 0
    assert not scene.working()


@pytest.mark.parametrize("fault", EVERY_FAULT)
@pytest.mark.parametrize("after", [-150.0, 0.0, 0.03, 0.06, 0.12, 2.0])
def test_a_crash_at_any_moment_of_every_fault_leaves_nothing_naked_or_doubled(
    stage: Stage, script: Script, fault: Callable[[Scene, Script], None], after: float
) -> None:
    if fault is no_journal:
        pytest.skip("what was never written cannot be read back")
    scene = stage()
    scene.tape.bars[A][3] = (100.0, 100.5, 100.0, 100.4)
    scene.signal()
    fault(scene, script)
    scene.to(4, after)
    scene.crash()
    scene.to(6)
    script.clear()
    scene.to(7)
    assert scene.stopped_shares() == scene.held == scene.position
    assert len(scene.working(Role.STOP)) <= 1
    assert scene.agrees()
    assert len(scene.orders(Role.ENTRY)) == 1
    assert scene.of(Reconciled)
