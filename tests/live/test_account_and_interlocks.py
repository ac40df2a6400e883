"""What forbids trading although nothing broke: accounts, clocks, halts by people, limits, full queues."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.live.conftest import Stage
from tests.live.scene import A, Scene
from tui_trader.core.events import EngineState, SignalRejected, SymbolState
from tui_trader.core.orders import (
    BrokerOrderId,
    ClientOrderId,
    OrderReport,
    OrderState,
    OrderType,
    Role,
    Side,
)
from tui_trader.engine import inbox as inbox_module
from tui_trader.engine.handle import Flatten, Pause, Resume, Shutdown
from tui_trader.errors import RefusedToStart
from tui_trader.venues.base import OrderUpdate, TradingHalt, VenueCondition, VenueNotice

# ---- the account -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"account_blocked": True}, "blocked"),
        ({"trading_blocked": True}, "blocked"),
        ({"trade_suspended_by_user": True}, "suspended"),
        ({"status": "ONBOARDING"}, "ONBOARDING"),
    ],
)
def test_an_account_that_may_not_trade_refuses_to_start(
    scene: Scene, shape: dict[str, object], words: str
) -> None:
    scene.kill()
    scene.server.shape_account(**shape)
    with pytest.raises(RefusedToStart, match=words):
        scene.start()


def test_a_symbol_that_alpaca_does_not_trade_is_not_entered(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB"))
    scene.kill()
    scene.server.set_asset("BBB", tradable=False)
    scene.start()
    scene.run_for(2)
    assert scene.symbol_states("BBB")[-1] is SymbolState.HALTED
    scene.signal(symbol="BBB")
    assert not scene.sent(Role.ENTRY, "BBB")
    scene.go_long()
    assert scene.protected


# ---- clocks ------------------------------------------------------------------------------------------


def test_a_broker_whose_clock_is_off_by_more_than_two_seconds_gets_no_entries(scene: Scene) -> None:
    scene.signal()
    scene.server.skew_clock(5.0)
    scene.run_for(61)
    assert not scene.engine.entries_allowed()
    assert not scene.working(Role.ENTRY)
    assert len(scene.errors("broker clock")) == 1
    scene.server.skew_clock(0.0)
    scene.run_for(61)
    assert scene.engine.entries_allowed()
    assert len(scene.errors("broker clock")) == 2  # begun, and ended


def test_a_position_is_managed_on_while_a_condition_forbids_entries(scene: Scene) -> None:
    scene.go_long()
    scene.inbox.post(VenueCondition("clock", "the machine's clock has moved"))
    scene.settle()
    scene.rule.trail = Decimal("99.80")
    scene.next_bar()
    assert scene.working(Role.STOP)[0]["stop_price"] == "99.8"
    scene.trade(99.7)
    assert scene.held == scene.position == 0


def test_a_condition_is_said_once_however_often_it_is_told(scene: Scene) -> None:
    for _ in range(5):
        scene.inbox.post(VenueCondition("clock", "off by 3 s"))
    scene.settle()
    assert scene.errors("clock") == ["off by 3 s: entries are off"]
    scene.inbox.post(VenueCondition("clock", ""))
    scene.inbox.post(VenueCondition("clock", ""))
    scene.settle()
    assert len(scene.errors("clock")) == 2


def test_entries_stay_off_until_the_last_of_several_conditions_has_ended(scene: Scene) -> None:
    scene.inbox.post(VenueCondition("clock", "off"))
    scene.inbox.post(VenueCondition("market", "closed"))
    scene.settle()
    assert scene.engine.watch.problems == ("off", "closed")
    scene.inbox.post(VenueCondition("clock", ""))
    scene.settle()
    assert not scene.engine.entries_allowed()
    scene.inbox.post(VenueCondition("market", ""))
    scene.settle()
    assert scene.engine.entries_allowed()


def test_a_halt_of_a_symbol_that_nobody_trades_is_nothing(scene: Scene) -> None:
    scene.inbox.post(TradingHalt("ZZZ", "halted"))
    scene.settle()
    assert scene.engine.entries_allowed()


def test_what_the_venue_wants_people_to_know_is_said(scene: Scene) -> None:
    scene.inbox.post(VenueNotice("bars", "[bold]look here[/]", A))
    scene.settle()
    assert "[bold]look here[/]" in scene.errors("bars")


# ---- people ------------------------------------------------------------------------------------------


def test_a_pause_withdraws_entries_and_keeps_managing_positions(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB"))
    scene.go_long()
    scene.signal(symbol="BBB")
    scene.send(Pause())
    scene.run_for(2)
    assert not scene.working(Role.ENTRY, "BBB")
    assert scene.protected
    scene.rule.trail = Decimal("99.80")
    scene.next_bar()
    assert scene.working(Role.STOP)[0]["stop_price"] == "99.8"
    scene.signal(symbol="BBB")
    assert len(scene.sent(Role.ENTRY, "BBB")) == 1
    scene.send(Resume())
    assert scene.engine.entries_allowed()


def test_two_shutdowns_at_once_are_one(scene: Scene) -> None:
    scene.go_long()
    scene.inbox.command(Shutdown("first"))
    scene.send(Shutdown("second", "keep"))
    scene.run_for(5)
    assert scene.engine.stopped
    assert scene.held == scene.position == 0
    assert len(scene.sent(Role.EXIT)) == 1


def test_a_flatten_during_a_shutdown_sells_once(scene: Scene) -> None:
    scene.go_long()
    scene.inbox.command(Flatten())
    scene.send(Shutdown("done"))
    scene.run_for(5)
    assert scene.engine.stopped
    assert scene.engine.exit_code == 0
    assert len(scene.sent(Role.EXIT)) == 1


def test_the_first_cancel_of_a_flatten_leaves_at_once(scene: Scene) -> None:
    scene.go_long()
    began = scene.now
    scene.send(Flatten())
    cancels = scene.server.requests_of("DELETE", "/orders")
    assert cancels[0].time == began


# ---- limits ------------------------------------------------------------------------------------------


def test_a_full_queue_of_order_news_halts_entries_until_everything_was_compared(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.signal()
    monkeypatch.setattr(inbox_module, "_MAX_ORDER_NEWS", 3)
    for number in range(5):
        identity = ClientOrderId(f"theirs-{number}")
        report = OrderReport(
            identity, BrokerOrderId("b"), "ZZZ", Side.SELL, OrderType.LIMIT, 1, 0, OrderState.CANCELED
        )
        scene.inbox.post(OrderUpdate(report))
    assert scene.inbox.order_news_lost
    scene.lanes.way_back = scene.engine.config.policy.retry_delay
    scene.settle()
    assert not scene.engine.entries_allowed()
    assert scene.errors("inbox")
    monkeypatch.undo()
    scene.run_for(5)
    assert scene.engine.entries_allowed()
    assert not scene.working(Role.ENTRY)
    assert scene.agrees()


def test_a_day_that_has_lost_too_much_ends_entries_even_after_a_kill(stage: Stage) -> None:
    scene = stage(max_daily_loss=Decimal("0.1"))
    scene.next_bar()
    scene.go_long()
    scene.trade(99.4)
    assert scene.position == 0
    assert scene.engine.breaker.trip is not None
    scene.restart()
    scene.run_for(2)
    assert scene.engine.breaker.trip is not None
    assert not scene.engine.entries_allowed()
    scene.signal()
    assert len(scene.sent(Role.ENTRY)) == 1
    scene.send(Resume(reset_breaker=True))
    assert scene.engine.entries_allowed()


def test_a_strategy_that_raises_is_quarantined_and_its_shares_keep_their_stop(scene: Scene) -> None:
    scene.auditor.quarantine_allowed = True
    scene.go_long()
    scene.rule.raises = True
    scene.next_bar()
    assert scene.symbol_states()[-1] is SymbolState.QUARANTINED
    assert scene.protected
    scene.trade(99.4)
    assert scene.held == scene.position == 0


def test_an_entry_without_a_stop_below_it_is_never_sent(scene: Scene) -> None:
    scene.auditor.quarantine_allowed = True
    scene.signal(entry="100.10", stop="100.50")
    assert not scene.sent(Role.ENTRY)
    assert scene.of(SignalRejected) or scene.symbol_states()[-1] is SymbolState.QUARANTINED


def test_outside_market_hours_nothing_is_sold_and_the_stop_stays(scene: Scene) -> None:
    scene.go_long()
    scene.kill()
    scene.clock.advance_to(scene.now.replace(hour=23))
    scene.server.now = scene.now
    scene.start()
    scene.run_for(5)
    assert scene.engine.state is EngineState.MARKET_CLOSED
    scene.send(Shutdown("done"))
    scene.run_for(10)
    assert scene.engine.stopped
    assert scene.held == scene.stopped_shares() > 0
