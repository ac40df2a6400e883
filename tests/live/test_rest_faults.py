"""What can go wrong with a request or its answer, on the whole system."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.live.conftest import Stage
from tests.live.lanes import HANGING
from tests.live.scene import PROTECTED_WITHIN_ERRORS, A, Scene
from tui_trader.core.events import SignalRejected, TradeClosed, TradeReason
from tui_trader.core.orders import OrderState, Role
from tui_trader.engine.handle import Flatten

EVERYTHING = 1_000_000
Loss = Callable[[Scene, str, str, bool], None]


def _status(name: str) -> Loss:
    def lose(scene: Scene, method: str, path: str, done: bool) -> None:
        getattr(scene.server.rest_faults, name)(method, path, done=done)

    return lose


def _hang(scene: Scene, method: str, path: str, done: bool) -> None:
    scene.lanes.failing = HANGING
    scene.server.rest_faults.reset(method, path, done=done)


#: Ways to lose an answer. Whether the broker did what was asked, nobody can tell from them.
LOSSES = {
    "504": _status("gateway_timeout"),
    "page of a proxy": _status("html_502"),
    "half an answer": _status("garbage"),
    "reset": _status("reset"),
    "hanging": _hang,
}


@pytest.fixture(params=list(LOSSES))
def lose(request: pytest.FixtureRequest) -> Loss:
    return LOSSES[request.param]


# ---- lost answers ------------------------------------------------------------------------------------


def test_a_lost_answer_to_an_entry_never_becomes_a_second_order(scene: Scene, lose: Loss) -> None:
    lose(scene, "POST", "/orders", True)
    scene.signal()
    scene.run_for(20)
    assert scene.posts() == len(scene.sent(Role.ENTRY)) == 1
    [entry] = scene.orders(Role.ENTRY)
    assert entry.state is OrderState.ACCEPTED
    scene.trade(100.10)
    assert scene.protected
    assert scene.agrees()


def test_an_entry_that_never_arrived_is_not_sent_again(scene: Scene, lose: Loss) -> None:
    lose(scene, "POST", "/orders", False)
    scene.signal()
    scene.bars(2)
    assert scene.posts() == 1
    [entry] = scene.orders(Role.ENTRY)
    assert entry.state is OrderState.EXPIRED
    assert scene.engine.manager.flat


@pytest.mark.parametrize("done", [True, False], ids=["taken", "not taken"])
def test_a_stop_whose_answer_was_lost_protects_in_time(scene: Scene, lose: Loss, done: bool) -> None:
    scene.signal()
    lose(scene, "POST", "/orders", done)
    scene.trade(100.10)
    scene.run_for(12)
    assert scene.protected
    assert len(scene.sent(Role.STOP)) == 1
    scene.naked_limit = PROTECTED_WITHIN_ERRORS
    assert scene.agrees()


@pytest.mark.parametrize("done", [True, False], ids=["taken", "not taken"])
def test_a_sale_whose_answer_was_lost_happens_once(scene: Scene, lose: Loss, done: bool) -> None:
    scene.go_long()
    lose(scene, "POST", "/orders", done)
    scene.naked_limit = PROTECTED_WITHIN_ERRORS
    scene.send(Flatten(A))
    scene.run_for(12)
    assert scene.held == scene.position == 0
    assert len(scene.sent(Role.EXIT)) == 1
    assert scene.agrees()


@pytest.mark.parametrize("done", [True, False], ids=["taken", "not taken"])
def test_a_replace_whose_answer_was_lost_leaves_one_stop(scene: Scene, lose: Loss, done: bool) -> None:
    scene.go_long()
    lose(scene, "PATCH", "/orders", done)
    scene.rule.trail = _price("99.80")
    scene.next_bar()
    scene.run_for(15)
    [stop] = scene.working(Role.STOP)
    assert stop["stop_price"] == "99.8"
    assert scene.protected
    assert scene.agrees()


@pytest.mark.parametrize("done", [True, False], ids=["taken", "not taken"])
def test_a_cancel_whose_answer_was_lost_is_carried_out(scene: Scene, lose: Loss, done: bool) -> None:
    scene.signal()
    lose(scene, "DELETE", "/orders", done)
    scene.send(Flatten(A))
    scene.run_for(15)
    assert not scene.server.working()
    assert scene.engine.manager.flat


# ---- late, and twice ---------------------------------------------------------------------------------


def test_an_entry_accepted_after_the_broker_denied_knowing_it_is_adopted(scene: Scene) -> None:
    scene.server.rest_faults.late("POST")
    scene.signal()
    scene.run_for(4)
    scene.server.carry_out_late()
    scene.run_for(4)
    [entry] = scene.orders(Role.ENTRY)
    assert entry.state is OrderState.ACCEPTED
    scene.trade(100.10)
    assert scene.protected
    assert scene.posts() == 2  # the entry and its stop


def test_an_entry_that_appears_after_it_was_given_up_is_cancelled(scene: Scene) -> None:
    scene.server.rest_faults.late("POST")
    scene.signal()
    scene.run_for(45)
    assert scene.engine.manager.flat
    scene.server.carry_out_late()
    scene.run_for(20)
    assert not scene.server.working()
    assert scene.errors("orders")
    assert scene.agrees()


def test_an_entry_that_fills_after_it_was_given_up_is_protected(scene: Scene) -> None:
    scene.server.rest_faults.late("POST")
    scene.signal()
    scene.run_for(45)
    scene.server.trade(A, 100.2)
    scene.server.carry_out_late()
    scene.run_for(6)
    assert scene.protected
    assert scene.agrees()


def test_a_stop_sent_again_that_was_there_already_is_adopted(scene: Scene) -> None:
    scene.signal()
    scene.server.rest_faults.late("POST")
    scene.server.rest_faults.status(404, '{"code": 40410000, "message": "order not found"}', "GET", times=3)
    scene.trade(100.10)
    scene.server.update_faults.drop(times=100)
    scene.server.carry_out_late()
    scene.run_for(5)
    assert scene.protected
    assert len(scene.sent(Role.STOP)) == 1
    assert scene.posts() == 3  # the second stop was refused: its id exists


def test_news_of_a_fill_may_come_before_the_answer_to_its_order(scene: Scene) -> None:
    scene.lanes.way_back = timedelta(seconds=3)
    scene.server.trade(A, 100.2)
    scene.signal()
    assert scene.held == scene.position > 0
    scene.run_for(4)
    assert scene.protected
    assert scene.agrees()


# ---- refusals ----------------------------------------------------------------------------------------


def test_a_429_ends_an_entry_and_delays_a_stop_only_for_moments(scene: Scene) -> None:
    scene.server.rest_faults.rate_limited("POST")
    scene.signal()
    [entry] = scene.orders(Role.ENTRY)
    assert entry.state is OrderState.REJECTED
    scene.bars(2)
    scene.signal()
    scene.server.rest_faults.rate_limited("POST", times=2)
    scene.trade(100.10)
    scene.run_for(5)
    assert scene.protected
    assert scene.agrees()


def test_an_entry_beyond_buying_power_is_over_and_the_next_one_may_come(scene: Scene) -> None:
    body = '{"code": 40310000, "message": "insufficient buying power", "buying_power": "12.50"}'
    scene.server.rest_faults.status(403, body, "POST")
    scene.signal()
    [entry] = scene.orders(Role.ENTRY)
    assert entry.state is OrderState.REJECTED
    assert "buying power" in entry.reason
    scene.go_long()
    assert scene.protected


def test_what_a_broker_says_is_shown_as_it_is_and_never_taken_for_markup(scene: Scene) -> None:
    body = '{"code": 42210000, "message": "[bold red]no[/] {0} %s \\u001b[2J"}'
    scene.server.rest_faults.status(422, body, "POST")
    scene.signal()
    [entry] = scene.orders(Role.ENTRY)
    assert entry.state is OrderState.REJECTED
    assert "[bold red]no[/] {0} %s" in entry.reason
    assert "\x1b" not in entry.reason


def test_a_broker_that_refuses_every_stop_is_left_by_a_sale(scene: Scene) -> None:
    scene.signal()
    body = '{"code": 42210000, "message": "stops are not taken today"}'
    scene.server.rest_faults.status(422, body, "POST", times=5)
    scene.trade(100.10)
    scene.run_for(10)
    assert scene.held == scene.position == 0
    assert scene.errors("protection")
    scene.naked_limit = 6.0  # the fifth stop was refused at the deadline, and then the first sale would be


# ---- outages -----------------------------------------------------------------------------------------


def test_two_minutes_of_5xx_leave_a_position_with_its_stop(scene: Scene) -> None:
    scene.go_long()
    scene.server.rest_faults.status(503, "", times=EVERYTHING)
    scene.bars(2)
    assert scene.stopped_shares() == scene.held
    assert not scene.engine.entries_allowed()
    scene.server.rest_faults.clear()
    scene.run_for(10)
    assert scene.engine.entries_allowed()
    assert scene.protected
    assert scene.agrees()


def test_a_stop_filled_during_5xx_is_booked_from_the_stream(scene: Scene) -> None:
    scene.go_long()
    scene.server.rest_faults.status(503, "", times=EVERYTHING)
    scene.run_for(20)
    scene.trade(99.4)
    assert scene.position == scene.held == 0
    [trade] = scene.of(TradeClosed)
    assert trade.reason is TradeReason.STOP


def test_shares_bought_as_5xx_begins_are_protected_as_soon_as_it_ends(scene: Scene) -> None:
    scene.signal()
    scene.server.rest_faults.status(503, "", times=EVERYTHING)
    scene.trade(100.10)
    scene.run_for(60)
    assert len(scene.errors("protection")) > 1  # it says so until it is done
    scene.server.rest_faults.clear()
    scene.naked_limit = None
    scene.run_for(5)
    assert scene.held == scene.position == 0 or scene.protected
    scene.run_for(10)
    assert scene.agrees()


def test_shares_bought_during_ten_seconds_of_5xx_are_protected_within_fifteen(scene: Scene) -> None:
    scene.signal()
    scene.server.rest_faults.status(503, "", times=EVERYTHING)
    scene.trade(100.10)
    scene.run_for(10)
    scene.server.rest_faults.clear()
    scene.run_for(6)
    scene.naked_limit = PROTECTED_WITHIN_ERRORS
    assert scene.protected
    assert scene.agrees()


def test_a_network_that_is_gone_for_ten_minutes_costs_nothing_but_time(scene: Scene) -> None:
    scene.go_long()
    scene.server.unplug()
    scene.run_for(600)
    assert not scene.engine.entries_allowed()
    assert scene.position == scene.held == scene.stopped_shares()
    scene.server.plug_in()
    scene.run_for(31 + 10)  # the longest pause between two attempts, and the recovery
    assert scene.running
    assert scene.engine.entries_allowed()
    assert scene.protected
    assert scene.agrees()


def test_a_stop_that_fills_while_the_network_is_gone_is_found_afterwards(scene: Scene) -> None:
    scene.go_long()
    scene.server.unplug()
    scene.run_for(30)
    scene.trade(99.4)
    scene.run_for(60)
    assert scene.position > 0
    scene.server.plug_in()
    scene.run_for(41)
    assert scene.position == scene.held == 0
    assert scene.agrees()


def test_questions_that_fail_for_a_minute_lose_no_news_of_the_stream(scene: Scene) -> None:
    scene.server.rest_faults.html_502("GET", "orders|positions|account", times=EVERYTHING)
    scene.signal()
    scene.trade(100.10)
    assert scene.protected
    scene.run_for(60)
    scene.server.rest_faults.clear()
    scene.run_for(10)
    assert scene.protected
    assert scene.agrees()


def test_requests_stay_within_the_brokers_limit_while_everything_fails(stage: Stage) -> None:
    symbols = tuple(f"{letter}{letter}{letter}" for letter in "ABCDEFGH")
    scene = stage(symbols=symbols)
    for symbol in symbols:
        scene.rule_of(symbol).entry = (_price("100.10"), _price("99.50"))
    scene.next_bar()
    scene.server.rest_faults.status(503, "", times=EVERYTHING)
    for symbol in symbols:
        scene.server.trade(symbol, 100.10)
    began = scene.now
    scene.run_for(60)
    made = [request for request in scene.server.requests if request.time >= began]
    assert len(made) <= 200, "more than Alpaca takes in a minute"
    scene.server.rest_faults.clear()
    scene.run_for(30)
    scene.naked_limit = None
    assert all(scene.held_of(symbol) == scene.stopped_shares(symbol) for symbol in symbols)
    assert scene.agrees()


def test_revoked_keys_are_said_once_and_start_no_storm(scene: Scene) -> None:
    scene.go_long()
    scene.server.revoke_keys()
    before = len(scene.server.requests), len(scene.server.connections)
    scene.run_for(300)
    assert not scene.engine.entries_allowed()
    assert scene.position == scene.held == scene.stopped_shares()
    said = scene.errors("trade updates") + scene.errors("bars")
    assert sum("refused the keys" in text for text in said) == 2  # each stream, once
    assert len(scene.server.connections) - before[1] == 2
    assert len(scene.server.requests) - before[0] <= 2 * 10
    scene.signal()
    assert not scene.of(SignalRejected)
    assert len(scene.sent(Role.ENTRY)) == 1


def _price(text: str) -> Decimal:
    return Decimal(text)
