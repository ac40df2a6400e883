"""The process dies at any moment and starts again from its journal, on the whole system."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.alpaca_server import Stream
from tests.live.conftest import Stage
from tests.live.scene import PROTECTED_WITHIN_ERRORS, A, Scene
from tui_trader.core.events import EngineState, OrderFilled, TradeClosed, TradeReason
from tui_trader.core.orders import OrderState, Role
from tui_trader.engine.handle import Flatten, Pause, Resume

WHEN = ["before", "after"]


# ---- at the named moments ----------------------------------------------------------------------------


@pytest.mark.parametrize("when", WHEN)
def test_killed_around_the_sending_of_an_entry_there_is_one_entry_or_none(scene: Scene, when: str) -> None:
    scene.kill_at(when, "submit", Role.ENTRY)
    scene.signal()
    scene.run_for(5)
    assert scene.running  # although the broker does not know the entry, which may still arrive
    assert len(scene.sent(Role.ENTRY)) == (when == "after")
    scene.run_for(40)
    assert scene.agrees()
    assert len(scene.sent(Role.ENTRY)) == (when == "after")


@pytest.mark.parametrize("when", WHEN)
def test_killed_around_the_sending_of_a_stop_the_shares_are_protected_first(scene: Scene, when: str) -> None:
    scene.signal()
    scene.kill_at(when, "submit", Role.STOP)
    scene.trade(100.10)
    scene.run_for(3)
    assert scene.protected
    assert len(scene.sent(Role.STOP)) == 1
    assert scene.agrees()


@pytest.mark.parametrize("when", WHEN)
def test_killed_around_the_replacing_of_a_stop_one_stop_is_left(scene: Scene, when: str) -> None:
    scene.go_long()
    scene.kill_at(when, "replace", Role.STOP)
    scene.rule.trail = Decimal("99.80")
    scene.next_bar()
    scene.run_for(10)
    [stop] = scene.working(Role.STOP)
    assert stop["stop_price"] == "99.8"
    assert scene.protected
    assert scene.agrees()


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("request_", ["cancel", "submit"])
def test_killed_in_the_middle_of_a_flatten_it_is_finished(scene: Scene, when: str, request_: str) -> None:
    scene.go_long()
    scene.kill_at(when, request_, Role.EXIT if request_ == "submit" else None)
    scene.send(Flatten())
    scene.run_for(10)
    assert scene.held == scene.position == 0
    assert len(scene.sent(Role.EXIT)) == 1
    assert scene.engine.state is EngineState.PAUSED
    [trade] = scene.of(TradeClosed)
    assert trade.reason is TradeReason.FLATTEN
    assert scene.agrees()


@pytest.mark.parametrize("when", WHEN)
def test_killed_around_the_cancelling_of_an_entry_it_is_withdrawn_all_the_same(
    scene: Scene, when: str
) -> None:
    scene.signal()
    scene.kill_at(when, "cancel")
    scene.send(Pause())
    scene.run_for(10)
    assert not scene.server.working()
    assert scene.engine.manager.flat
    assert scene.engine.paused
    assert scene.agrees()


# ---- what happens while nobody looks -----------------------------------------------------------------


def test_an_entry_that_fills_while_the_program_is_dead_is_protected_as_it_starts(scene: Scene) -> None:
    scene.signal()
    scene.kill()
    scene.server.trade(A, 100.10)
    scene.start()
    assert scene.protected
    assert scene.agrees()


def test_a_fill_whose_news_died_with_the_program_is_booked_once(scene: Scene) -> None:
    scene.signal()
    scene.server.trade(A, 100.10)
    scene.restart()
    scene.run_for(20)
    assert scene.protected
    assert len(scene.of(OrderFilled)) == 1


def test_a_partial_fill_before_the_kill_and_one_while_dead_make_one_position(scene: Scene) -> None:
    scene.server.order_faults.fill_only(40, side="buy")
    scene.server.order_faults.stick_cancel(side="buy", times=3)
    scene.go_long()
    scene.kill()
    scene.server.release_fills()
    scene.server.clear_faults()
    scene.start()
    scene.run_for(5)
    assert scene.protected
    assert scene.agrees()


def test_a_stop_that_fills_while_the_program_is_dead_closes_the_trade(scene: Scene) -> None:
    scene.go_long()
    scene.kill()
    scene.server.trade(A, 99.4)
    scene.start()
    assert scene.held == scene.position == 0
    [trade] = scene.of(TradeClosed)
    assert trade.reason is TradeReason.STOP
    assert scene.agrees()


def test_a_stop_cancelled_while_the_program_is_dead_is_placed_again_first(scene: Scene) -> None:
    scene.go_long()
    [stop] = scene.working(Role.STOP)
    scene.kill()
    scene.server.cancel_order(stop["client_order_id"])
    scene.start()
    assert scene.protected


def test_shares_sold_by_hand_while_the_program_is_dead_are_booked_as_gone(scene: Scene) -> None:
    scene.go_long()
    [stop] = scene.working(Role.STOP)
    scene.kill()
    scene.server.cancel_order(stop["client_order_id"])
    scene.server.foreign_order(A, "sell", "market", scene.held, client_order_id="by-hand")
    scene.start()
    scene.run_for(10)
    assert scene.held == scene.position == 0
    assert not scene.server.working()
    [trade] = scene.of(TradeClosed)
    assert trade.reason is TradeReason.EXTERNAL
    assert scene.agrees()


def test_a_position_held_overnight_without_the_program_is_found_with_its_stop(scene: Scene) -> None:
    scene.go_long()
    scene.kill()
    scene.clock.advance_to(scene.now.replace(day=19, hour=15))
    scene.server.now = scene.now
    scene.start()
    scene.run_for(5)
    assert scene.protected
    assert scene.agrees()


# ---- the start itself --------------------------------------------------------------------------------


def test_protection_comes_before_warm_up(scene: Scene) -> None:
    scene.signal()
    scene.kill()
    scene.server.trade(A, 100.10)
    begun = len(scene.server.requests)
    scene.start()
    scene.run_for(2)
    asked = [f"{request.method} {request.path}" for request in scene.server.requests[begun:]]
    stop = asked.index("POST /trading/v2/orders")
    bars = asked.index("GET /data/v2/stocks/bars")
    assert stop < bars


def test_a_start_while_rest_fails_protects_as_soon_as_it_can(scene: Scene) -> None:
    scene.naked_limit = None
    scene.signal()
    scene.kill()
    scene.server.trade(A, 100.10)
    scene.server.rest_faults.status(503, "", path="orders|positions|FILL", times=1_000_000)
    scene.start()
    scene.run_for(30)
    assert scene.engine.state is EngineState.RECONCILING
    scene.server.rest_faults.clear()
    scene.run_for(3)
    assert scene.protected
    scene.run_for(10)
    assert scene.running
    assert scene.agrees()


def test_a_start_without_streams_trades_nothing_and_protects_all_the_same(scene: Scene) -> None:
    scene.signal()
    scene.kill()
    scene.server.trade(A, 100.10)
    for stream in Stream:
        scene.server.refuse(stream, times=5)
    scene.start()
    assert scene.protected
    assert not scene.engine.entries_allowed()
    scene.run_for(20)
    assert scene.engine.entries_allowed()


def test_killed_again_and_again_nothing_is_doubled_or_lost(scene: Scene) -> None:
    scene.signal()
    for price in (100.10, 100.2, 100.0, 99.8):
        scene.server.trade(A, price)
        scene.restart()
        scene.run_for(1.5)
    assert scene.protected
    scene.kill()
    scene.server.trade(A, 99.4)
    scene.start()
    scene.run_for(2)
    assert scene.held == scene.position == 0
    assert len(scene.sent(Role.ENTRY)) == len(scene.sent(Role.STOP)) == 1
    assert len(scene.of(TradeClosed)) == 1
    assert scene.agrees()


def test_a_kill_while_an_answer_is_awaited_leaves_its_order_to_be_asked_for(scene: Scene) -> None:
    scene.server.rest_faults.gateway_timeout("POST", done=True)
    scene.server.rest_faults.status(503, "", "GET", "orders|FILL", times=50)
    scene.server.update_faults.drop(times=10)
    scene.signal()
    [entry] = scene.orders(Role.ENTRY)
    assert entry.state is OrderState.UNKNOWN
    scene.server.rest_faults.clear()
    scene.restart()
    scene.run_for(3)
    [entry] = scene.orders(Role.ENTRY)
    assert entry.state is OrderState.ACCEPTED
    assert scene.agrees()


def test_an_entry_given_up_before_a_kill_is_cancelled_when_it_appears_after_it(scene: Scene) -> None:
    scene.server.rest_faults.late("POST")
    scene.signal()
    scene.run_for(45)
    assert scene.engine.manager.flat
    scene.restart()
    scene.run_for(5)
    scene.server.carry_out_late()
    scene.run_for(20)
    assert not scene.server.working()
    assert scene.agrees()


def test_a_pause_survives_a_kill_until_a_person_resumes(scene: Scene) -> None:
    scene.send(Pause())
    scene.restart()
    scene.run_for(3)
    assert scene.engine.state is EngineState.PAUSED
    scene.signal()
    assert not scene.sent(Role.ENTRY)
    scene.send(Resume())
    scene.run_for(1)
    assert scene.running
    assert scene.engine.entries_allowed()


def test_the_same_signal_after_a_restart_is_no_second_order(scene: Scene) -> None:
    scene.kill_at("after", "submit", Role.ENTRY)
    scene.signal()
    [entry] = scene.working(Role.ENTRY)
    scene.rule.entry = (Decimal("100.10"), Decimal("99.50"))
    scene.next_bar()
    assert [order["id"] for order in scene.sent(Role.ENTRY)] == [entry["id"]]


def test_the_trail_of_a_stop_goes_on_where_it_was(scene: Scene) -> None:
    scene.go_long()
    scene.rule.trail = Decimal("99.80")
    scene.next_bar()
    scene.restart()
    scene.run_for(2)
    scene.rule.trail = Decimal("99.70")
    scene.next_bar()
    assert scene.working(Role.STOP)[0]["stop_price"] == "99.8"
    scene.rule.trail = Decimal("99.90")
    scene.next_bar()
    assert scene.working(Role.STOP)[0]["stop_price"] == "99.9"
    assert scene.protected


def test_stale_symbols_are_noticed_after_a_restart_in_the_middle_of_a_session(scene: Scene) -> None:
    scene.next_bar()
    scene.restart()
    scene.run_for(2)
    scene.silent.add(A)
    scene.bars(6)
    assert scene.engine.desks[A].stale


def test_several_positions_are_all_protected_after_a_kill(stage: Stage) -> None:
    symbols = tuple(f"{letter}{letter}{letter}" for letter in "ABCDE")
    scene = stage(symbols=symbols)
    scene.naked_limit = PROTECTED_WITHIN_ERRORS
    for symbol in symbols:
        scene.rule_of(symbol).entry = (Decimal("100.10"), Decimal("99.50"))
    scene.next_bar()
    scene.kill()
    scene.server.trades(dict.fromkeys(symbols, 100.10))
    scene.start()
    assert all(scene.held_of(symbol) == scene.stopped_shares(symbol) > 0 for symbol in symbols)
    assert scene.agrees()
