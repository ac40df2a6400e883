"""What can become of orders and shares at a broker, on the whole system."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.alpaca_server import Stream
from tests.live.conftest import Stage
from tests.live.scene import PROTECTED_WITHIN_ERRORS, A, Scene
from tui_trader.core.events import (
    OrderFilled,
    OrderStateChanged,
    Reconciled,
    SignalRejected,
    TradeClosed,
    TradeReason,
)
from tui_trader.core.orders import OrderState, Role
from tui_trader.engine.handle import CancelWorkingOrder, Flatten, Resume, Shutdown

# ---- fills -------------------------------------------------------------------------------------------


def test_a_partial_fill_that_stays_is_protected_and_its_rest_cancelled(scene: Scene) -> None:
    scene.server.order_faults.fill_only(40, side="buy")
    scene.go_long()
    scene.run_for(5)
    assert scene.held == scene.position == scene.stopped_shares() == 40
    assert not scene.working(Role.ENTRY)
    assert scene.agrees()


def test_a_stop_that_a_stuck_cancel_of_the_entry_forbids_is_tried_until_it_is_taken(scene: Scene) -> None:
    """Alpaca takes no plain sell order while a buy order of the same account works."""
    scene.naked_limit = None
    scene.server.order_faults.fill_only(40, side="buy")
    scene.server.order_faults.stick_cancel(side="buy", times=100)
    scene.go_long()
    scene.run_for(20)
    assert scene.held == 40
    assert len(scene.errors("protection")) > 1
    scene.server.clear_faults()
    scene.settle()
    assert scene.held == scene.position == 0  # unprotected for too long, they are sold
    assert not scene.server.working()
    assert scene.agrees()


def test_a_fill_during_its_cancel_is_protected(scene: Scene) -> None:
    scene.server.order_faults.stick_cancel(side="buy")
    scene.signal()
    [entry] = scene.working(Role.ENTRY)
    scene.send(CancelWorkingOrder(entry["client_order_id"]))
    scene.trade(100.10)
    scene.run_for(5)
    assert scene.protected
    assert scene.agrees()


def test_a_cancel_stuck_for_minutes_is_followed_until_it_is_through(scene: Scene) -> None:
    scene.server.order_faults.stick_cancel(side="buy", times=1000)
    scene.signal()
    [entry] = scene.working(Role.ENTRY)
    scene.send(CancelWorkingOrder(entry["client_order_id"]))
    scene.run_for(120)
    assert not scene.engine.manager.flat
    scene.server.clear_faults()
    scene.run_for(5)
    assert scene.engine.manager.flat
    assert scene.agrees()


def test_an_order_that_fills_at_a_better_price_is_booked_at_it(scene: Scene) -> None:
    scene.signal(entry="100.40", stop="99.50")
    scene.trade(100.45)
    [fill] = scene.of(OrderFilled)
    assert fill.price == Decimal("100.45")
    assert scene.protected


def test_an_entry_rejected_after_it_was_taken_is_over(scene: Scene) -> None:
    scene.server.order_faults.reject("[red]not today", side="buy")
    scene.signal()
    [entry] = scene.orders(Role.ENTRY)
    assert entry.state is OrderState.REJECTED
    assert scene.engine.manager.flat
    scene.go_long()
    assert scene.protected


# ---- stops -------------------------------------------------------------------------------------------


def test_a_stop_rejected_after_it_was_taken_is_placed_again(scene: Scene) -> None:
    scene.server.order_faults.reject(side="sell", times=2)
    scene.go_long()
    scene.run_for(5)
    assert scene.protected
    assert scene.agrees()


def test_shares_whose_stop_is_rejected_for_ever_are_sold(scene: Scene) -> None:
    scene.server.order_faults.reject(side="sell", kind="stop", times=1000)
    scene.go_long()
    scene.run_for(8)
    assert scene.held == scene.position == 0
    assert scene.errors("protection")
    assert scene.agrees()


def test_a_price_that_has_gapped_through_the_stop_is_sold_at_once(scene: Scene) -> None:
    scene.signal()
    scene.server.trades({A: 100.10})
    scene.server.trade(A, 99.0)  # before anybody could place a stop at 99.50
    scene.settle()
    assert scene.held == scene.position == 0
    [trade] = scene.of(TradeClosed)
    assert trade.reason is TradeReason.STOP


def test_a_stop_partly_filled_protects_the_rest(scene: Scene) -> None:
    scene.go_long()
    bought = scene.held
    scene.server.order_faults.fill_only(30, side="sell")
    scene.trade(99.4)
    scene.run_for(5)
    assert scene.held == scene.position == bought - 30 == scene.stopped_shares()
    scene.server.release_fills()
    scene.settle()
    assert scene.held == scene.position == 0
    assert scene.agrees()


def test_a_stop_partly_filled_is_not_replaced_by_one_for_more_than_is_left(scene: Scene) -> None:
    scene.go_long()
    scene.server.order_faults.fill_only(30, side="sell")
    scene.trade(99.4)
    scene.trade(100.3)
    scene.rule.trail = Decimal("99.80")
    scene.next_bar()
    scene.run_for(10)
    assert scene.held == scene.position == scene.stopped_shares()
    assert scene.agrees()


def test_a_replace_that_races_a_fill_of_the_stop_sells_once(scene: Scene) -> None:
    scene.go_long()
    scene.server.order_faults.slow_replace()
    scene.rule.trail = Decimal("99.80")
    scene.next_bar()
    scene.trade(99.4)  # the old stop fills while its replacement waits
    scene.server.release_replaces()
    scene.settle()
    scene.run_for(5)
    assert scene.held == scene.position == 0
    assert len(scene.of(TradeClosed)) == 1
    assert scene.agrees()


def test_a_slow_replace_protects_throughout_and_ends_at_the_new_price(scene: Scene) -> None:
    scene.go_long()
    scene.server.order_faults.slow_replace()
    scene.rule.trail = Decimal("99.80")
    scene.next_bar()
    scene.run_for(30)
    assert scene.held == scene.position > 0
    scene.server.release_replaces()
    scene.run_for(5)
    [stop] = scene.working(Role.STOP)
    assert stop["stop_price"] == "99.8"
    assert scene.protected
    assert scene.agrees()


def test_a_stop_that_may_not_be_that_high_becomes_a_sale(scene: Scene) -> None:
    scene.go_long()
    scene.server.trade(A, 99.7)
    scene.rule.trail = Decimal("99.80")
    scene.next_bar()
    scene.run_for(5)
    assert scene.held == scene.position == 0
    assert scene.agrees()


def test_a_stop_cancelled_by_somebody_is_placed_again(scene: Scene) -> None:
    scene.go_long()
    [stop] = scene.working(Role.STOP)
    scene.server.cancel_order(stop["client_order_id"])
    scene.settle()
    assert scene.protected
    assert scene.agrees()


def test_a_stop_whose_cancel_is_stuck_delays_the_sale_but_never_doubles_it(scene: Scene) -> None:
    scene.go_long()
    scene.server.order_faults.stick_cancel(side="sell")
    scene.send(Flatten(A))
    scene.run_for(20)
    assert not scene.sent(Role.EXIT)
    assert scene.stopped_shares() == scene.held
    scene.server.release_cancels()
    scene.run_for(5)
    assert scene.held == scene.position == 0
    assert len(scene.sent(Role.EXIT)) == 1
    assert scene.agrees()


# ---- sales -------------------------------------------------------------------------------------------


def test_a_sale_refused_because_another_order_holds_the_shares_leaves_the_stop_in_place(
    scene: Scene,
) -> None:
    scene.go_long()
    qty = scene.held
    held_by_another = (
        '{"code": 40310000, "message": "insufficient qty available for order (requested: 1, available: 0)"}'
    )
    scene.server.rest_faults.status(403, held_by_another, "POST")
    scene.rule.leave = True
    scene.next_bar()
    assert scene.held == scene.stopped_shares() == qty
    scene.run_for(10)
    assert scene.held == scene.position == 0
    assert scene.agrees()


def test_a_sale_that_fills_in_parts_sells_everything_once(scene: Scene) -> None:
    scene.go_long()
    qty = scene.held
    scene.server.order_faults.fill_only(30, side="sell", kind="market")
    scene.rule.leave = True
    scene.next_bar()
    assert scene.held == scene.position == qty - 30
    scene.run_for(3)
    scene.server.release_fills()
    scene.run_for(3)
    assert scene.held == scene.position == 0
    assert sum(fill.qty for fill in scene.of(OrderFilled)) == 2 * qty
    assert scene.agrees()


# ---- other people ------------------------------------------------------------------------------------


def test_a_position_sold_by_hand_is_booked_as_closed_elsewhere(scene: Scene) -> None:
    scene.go_long()
    qty = scene.held
    for stop in scene.working(Role.STOP):
        scene.server.cancel_order(stop["client_order_id"])
    scene.server.foreign_order(A, "sell", "market", qty, client_order_id="by-hand")
    scene.settle()
    scene.run_for(10)
    assert scene.held == scene.position == 0
    [trade] = scene.of(TradeClosed)
    assert trade.reason is TradeReason.EXTERNAL
    assert not scene.server.working()
    assert scene.agrees()


def test_shares_bought_outside_are_shown_and_left_alone(scene: Scene) -> None:
    scene.naked_limit = None
    scene.go_long()
    qty = scene.position
    scene.server.hold(A, qty + 25, 99.0)
    scene.bars(2)
    assert scene.position == scene.stopped_shares() == qty
    assert scene.engine.reconciler.external_shares == {A: 25}
    assert any("EXTERNAL" in text for r in scene.of(Reconciled) for text in r.corrections)
    scene.trade(99.4)
    assert scene.held == 25
    assert scene.position == 0
    assert scene.agrees()


def test_an_order_of_somebody_else_is_shown_and_left_alone(scene: Scene) -> None:
    scene.server.foreign_order(A, "buy", "limit", 7, limit_price=90.0, client_order_id="theirs")
    scene.settle()
    assert "theirs" in scene.engine.news.external_orders
    [shown] = [e for e in scene.of(OrderStateChanged) if e.client_order_id == "theirs" and not e.previous]
    assert shown.role is Role.EXTERNAL
    scene.bars(2)
    scene.send(Shutdown("done"))
    scene.run_for(10)
    assert scene.engine.stopped
    assert scene.engine.exit_code == 0
    assert [order["client_order_id"] for order in scene.server.working()] == ["theirs"]


def test_a_foreign_position_and_order_found_at_the_start_are_not_adopted(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB"))
    scene.naked_limit = None
    scene.kill()
    scene.server.hold("BBB", 12, 50.0)
    scene.server.foreign_order("BBB", "sell", "limit", 12, limit_price=150.0, client_order_id="theirs")
    scene.start()
    scene.run_for(20)
    assert scene.running
    assert not scene.engine.portfolio.positions
    assert scene.engine.reconciler.external_shares == {"BBB": 12}
    assert [order["client_order_id"] for order in scene.server.working()] == ["theirs"]
    assert scene.posts() == 0
    assert scene.agrees()


def test_no_entry_where_an_order_of_somebody_else_would_have_its_stop_refused(scene: Scene) -> None:
    scene.server.foreign_order(A, "buy", "limit", 7, limit_price=90.0, client_order_id="theirs")
    scene.settle()
    scene.signal()
    [refused] = scene.of(SignalRejected)
    assert refused.rule == "external"
    scene.server.cancel_order("theirs")
    scene.settle()
    scene.go_long()
    assert scene.protected


def test_an_order_of_somebody_else_that_ended_unheard_of_stands_in_nobodys_way(scene: Scene) -> None:
    scene.server.foreign_order(A, "buy", "limit", 7, limit_price=90.0, client_order_id="theirs")
    scene.settle()
    scene.server.update_faults.drop("canceled")
    scene.server.cancel_order("theirs")
    scene.run_for(20)
    scene.go_long()
    assert scene.protected


def test_strange_orders_of_others_break_nothing(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB"))
    scene.naked_limit = None
    scene.server.foreign_order(A, "buy", "market", 1.5, client_order_id="fraction")
    scene.server.foreign_order(A, "buy", "market", None, notional=25.0, client_order_id="dollars")
    scene.server.foreign_order(
        "BBB", "buy", "limit", 5, limit_price=90.0, client_order_id="strange",
        shape={"status": "levitating", "type": "sideways", "order_class": "knot"},
    )  # fmt: skip
    scene.settle()
    scene.run_for(20)
    scene.go_long()
    assert scene.position == scene.stopped_shares() > 0
    assert scene.engine.reconciler.external_shares == {A: 1}


# ---- flatten -----------------------------------------------------------------------------------------


def test_flatten_sells_what_we_hold_and_cancels_what_works(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB"))
    scene.go_long()
    scene.signal(symbol="BBB")
    scene.send(Flatten())
    scene.run_for(2)
    assert not scene.server.positions()
    assert not scene.server.working()
    assert scene.agrees()
    assert scene.engine.paused
    scene.send(Resume())
    assert scene.engine.entries_allowed()


def test_flatten_cancels_the_orders_of_others_in_symbols_we_trade(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB"))
    scene.server.foreign_order("AAA", "buy", "limit", 7, limit_price=90.0, client_order_id="theirs")
    scene.settle()
    scene.send(Flatten())
    scene.run_for(5)
    assert not scene.server.working()


def test_flatten_sells_external_shares_in_symbols_we_trade(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB"))
    scene.naked_limit = None
    scene.server.hold("BBB", 25, 99.0)
    scene.run_for(20)
    scene.go_long()
    scene.run_for(20)
    assert scene.engine.reconciler.external_shares == {"BBB": 25}
    scene.send(Flatten())
    scene.run_for(5)
    assert not scene.server.positions()
    assert scene.agrees()
    trades = {trade.symbol: trade for trade in scene.of(TradeClosed)}
    assert trades["BBB"].entry_price == Decimal("100")  # what they were worth when they became ours
    assert abs(scene.engine.breaker.day_pnl(scene.engine.portfolio.equity())) < 50
    assert trades["BBB"].reason is TradeReason.FLATTEN


def test_flatten_of_one_symbol_leaves_the_external_shares_of_others(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB"))
    scene.naked_limit = None
    scene.server.hold("AAA", 25, 99.0)
    scene.server.hold("BBB", 25, 99.0)
    scene.run_for(20)
    scene.send(Flatten("BBB"))
    scene.run_for(5)
    assert scene.server.positions() == {"AAA": 25}
    assert scene.engine.reconciler.external_shares == {"AAA": 25}
    assert scene.agrees()


def test_flatten_sells_ours_and_theirs_of_one_symbol_in_one_sale(scene: Scene) -> None:
    scene.naked_limit = None
    scene.go_long()
    qty = scene.held
    scene.server.hold(A, qty + 25, 99.0)
    scene.run_for(20)
    scene.send(Flatten())
    scene.run_for(5)
    assert not scene.server.positions()
    [sale] = scene.sent(Role.EXIT)
    assert sale["filled_qty"] == str(qty + 25)
    assert scene.agrees()


def test_flatten_with_external_shares_held_by_a_foreign_order_cancels_that_first(scene: Scene) -> None:
    scene.naked_limit = None
    scene.server.hold(A, 25, 99.0)
    scene.server.foreign_order(A, "sell", "limit", 25, limit_price=150.0, client_order_id="theirs")
    scene.run_for(20)
    scene.send(Flatten())
    scene.run_for(40)
    assert not scene.server.positions()
    assert not scene.server.working()
    assert scene.agrees()


def test_a_flatten_cut_short_by_a_kill_is_finished_after_it(scene: Scene) -> None:
    scene.naked_limit = None
    scene.go_long()
    qty = scene.held
    scene.server.hold(A, qty + 25, 99.0)
    scene.run_for(20)
    scene.kill_at("before", "submit", Role.EXIT)
    scene.send(Flatten())
    scene.run_for(30)
    assert not scene.server.positions()
    assert scene.engine.paused
    assert scene.agrees()


def test_external_shares_that_are_short_are_not_bought_back(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB"))
    scene.naked_limit = None
    scene.auditor.short_allowed = True
    scene.server.hold("BBB", -25, 99.0)
    scene.run_for(20)
    scene.send(Flatten())
    scene.run_for(20)
    assert scene.server.positions() == {"BBB": -25}
    assert scene.errors("flatten")
    assert scene.posts() == 0


def test_flatten_with_the_trade_stream_down_ends_flat(scene: Scene) -> None:
    scene.go_long()
    scene.server.refuse(Stream.TRADE, times=1000)
    scene.drop(Stream.TRADE)
    scene.send(Flatten())
    scene.run_for(10)
    assert scene.held == scene.position == 0
    assert not scene.server.working()


@pytest.mark.parametrize("status", [500, 503])
def test_flatten_with_rest_at_5xx_for_thirty_seconds_ends_flat(scene: Scene, status: int) -> None:
    scene.go_long()
    scene.server.rest_faults.status(status, "", times=1_000_000)
    scene.send(Flatten())
    scene.run_for(30)
    assert scene.held > 0
    scene.server.rest_faults.clear()
    scene.run_for(10)
    assert scene.held == scene.position == 0
    assert scene.agrees()


def test_a_shutdown_that_cannot_sell_says_exactly_what_is_left(scene: Scene) -> None:
    scene.go_long()
    qty = scene.held
    scene.server.order_faults.stick_cancel(side="sell", times=1_000_000)
    scene.send(Shutdown("done"))
    scene.run_for(301)
    assert scene.engine.stopped
    assert scene.engine.exit_code == 4
    [left] = scene.errors("shutdown")
    assert f"{qty} {A}" in left
    assert scene.working(Role.STOP)[0]["client_order_id"] in left


def test_a_shutdown_that_keeps_positions_leaves_them_with_their_stops(scene: Scene) -> None:
    scene.go_long()
    scene.send(Shutdown("done", "keep"))
    scene.run_for(5)
    assert scene.engine.stopped
    assert scene.engine.exit_code == 0
    assert scene.held == scene.stopped_shares() > 0


# ---- what is slow ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("there", "back"), [(0.4, 0.4), (0.0, 2.0), (2.0, 0.0)])
def test_a_slow_broker_is_protected_in_time(scene: Scene, there: float, back: float) -> None:
    scene.lanes.way_there, scene.lanes.way_back = timedelta(seconds=there), timedelta(seconds=back)
    scene.signal()
    scene.run_for(10)
    scene.trade(100.10)
    scene.run_for(4)
    assert scene.protected
    scene.naked_limit = PROTECTED_WITHIN_ERRORS / 3
    scene.rule.leave = True
    scene.next_bar()
    scene.run_for(10)
    assert scene.held == scene.position == 0
    scene.run_for(10)
    assert scene.agrees()
