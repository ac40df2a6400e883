"""What can go wrong with the two streams, on the whole system."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.alpaca_server import Stream
from tests.alpaca_server.market import MinuteBar
from tests.live.conftest import Stage
from tests.live.scene import A, Scene
from tui_trader.core.events import BarReceived, ConnectionChanged, OrderFilled, TradeClosed
from tui_trader.core.orders import Role, Side


def states(scene: Scene, stream: str) -> list[str]:
    return [event.state for event in scene.of(ConnectionChanged) if event.stream == stream]


def side_of(update: Mapping[str, Any]) -> str:
    side: str = update["order"]["side"]
    return side


# ---- trade updates -----------------------------------------------------------------------------------


def test_a_fill_while_the_trade_stream_is_down_is_protected_in_time(scene: Scene) -> None:
    scene.signal()
    scene.server.refuse(Stream.TRADE, times=4)
    scene.drop(Stream.TRADE)
    assert scene.streams.state("trade_updates") == "reconnecting"
    scene.trade(100.10)
    scene.run_for(3)
    assert scene.streams.state("trade_updates") == "reconnecting"
    assert scene.protected
    scene.run_for(30)
    assert scene.streams.state("trade_updates") == "connected"
    assert scene.agrees()


def test_a_stop_that_fills_while_the_trade_stream_is_down_is_booked_by_asking(scene: Scene) -> None:
    scene.go_long()
    scene.server.refuse(Stream.TRADE, times=10)
    scene.drop(Stream.TRADE, 1001)
    scene.trade(99.4)
    scene.run_for(3)
    assert scene.position == scene.held == 0
    assert len(scene.of(TradeClosed)) == 1
    assert scene.agrees()


def test_entries_are_off_until_the_trade_stream_is_back_and_everything_compared(scene: Scene) -> None:
    scene.server.refuse(Stream.TRADE, times=3)
    scene.drop(Stream.TRADE)
    assert not scene.engine.entries_allowed()
    scene.run_for(4)
    assert scene.streams.state("trade_updates") == "connected"
    assert scene.engine.entries_allowed()


@pytest.mark.parametrize("side", ["entry", "stop"])
def test_an_open_but_mute_trade_stream_hides_no_fill_for_long(scene: Scene, side: str) -> None:
    if side == "entry":
        scene.signal()
    else:
        scene.go_long()
    scene.streams.mute("trade_updates")
    scene.trade(100.10 if side == "entry" else 99.4)
    scene.run_for(4)
    assert scene.position == scene.held
    assert scene.stopped_shares() == scene.held
    assert scene.agrees()


def test_one_fill_frame_that_is_missing_is_made_up_for_by_asking(scene: Scene) -> None:
    scene.server.update_faults.drop("fill")
    scene.go_long()
    scene.run_for(3)
    assert scene.protected
    assert len(scene.of(OrderFilled)) == 1


def test_every_update_may_be_missing_and_all_is_found(scene: Scene) -> None:
    scene.server.update_faults.drop(times=1000)
    scene.go_long()
    scene.run_for(4)
    assert scene.protected
    scene.trade(99.4)
    scene.run_for(4)
    assert scene.position == scene.held == 0
    assert scene.agrees()


def test_updates_told_twice_are_booked_once(scene: Scene) -> None:
    scene.server.update_faults.duplicate(times=1000)
    scene.go_long()
    assert scene.protected
    scene.trade(99.4)
    assert [fill.side for fill in scene.of(OrderFilled)] == [Side.BUY, Side.SELL]
    assert len(scene.of(TradeClosed)) == 1
    assert scene.agrees()


def test_a_fill_told_before_its_order_is_new_counts(scene: Scene) -> None:
    scene.server.trade(A, 100.2)  # the entry fills as it arrives
    scene.server.update_faults.swap("new")
    scene.lanes.way_back = timedelta(seconds=1)
    scene.signal()
    assert scene.position == scene.held > 0
    scene.run_for(5)
    assert scene.protected
    assert scene.agrees()


def test_updates_in_the_wrong_order_lead_to_the_same_end(scene: Scene) -> None:
    scene.server.update_faults.swap(times=1000)
    scene.server.order_faults.fill_only(40, side="buy")
    scene.signal()
    scene.trade(100.10)
    scene.server.release_fills()
    scene.run_for(8)
    assert scene.protected
    scene.trade(99.4)
    scene.run_for(5)
    assert scene.position == scene.held == 0
    assert scene.agrees()


@pytest.mark.parametrize("old", ["new", "fill"])
def test_an_old_update_told_again_much_later_changes_nothing(scene: Scene, old: str) -> None:
    scene.go_long()
    [update] = [u for u in scene.server.updates if u["event"] == old and side_of(u) == "buy"]
    scene.trade(99.4)
    scene.bars(1)
    scene.server.send_update(update)
    scene.settle()
    assert scene.position == scene.held == 0
    assert scene.agrees()


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "fill",
        {"event": "fill"},
        {"event": "fill", "order": None},
        {"event": "levitated", "order": {"id": "1", "symbol": "AAA", "status": "levitating", "side": "buy"}},
        {"event": "fill", "qty": "NaN", "price": "-1", "order": {"id": "x", "symbol": "AAA", "side": "sell"}},
    ],
    ids=["null", "list", "text", "no order", "null order", "unknown", "nonsense"],
)
def test_an_update_that_says_nothing_costs_no_other_one(scene: Scene, data: object) -> None:
    scene.signal()
    scene.server.send_update(data)
    scene.trade(100.10)
    assert scene.protected
    assert scene.streams.state("trade_updates") == "connected"


@pytest.mark.parametrize("stream", [Stream.TRADE, Stream.DATA])
@pytest.mark.parametrize(
    "payload", ["<html>502</html>", b"\xff\x00\xc1", b"", "[]", "null", '{"stream": 7}', b"\x91\x81\xa1T"]
)
def test_a_frame_that_is_nonsense_costs_no_connection(
    scene: Scene, stream: Stream, payload: str | bytes
) -> None:
    scene.signal()
    scene.server.send_raw(stream, payload)
    scene.trade(100.10)
    assert scene.protected
    scene.next_bar()
    assert scene.streams.state("trade_updates") == scene.streams.state("bars") == "connected"
    assert len(scene.of(BarReceived)) == 2


def test_a_snapshot_older_than_a_streamed_fill_takes_nothing_back(scene: Scene) -> None:
    scene.signal()
    scene.lanes.way_back = timedelta(seconds=2)
    scene.drop(Stream.TRADE)
    scene.run_for(0.5)  # it is back, and the snapshot taken, but not here
    assert scene.streams.state("trade_updates") == "connected"
    scene.trade(100.10)
    assert scene.position == scene.held > 0
    scene.run_for(2)
    scene.lanes.way_back = timedelta(0)
    assert scene.position == scene.held
    scene.run_for(20)
    assert scene.protected
    assert not scene.engine.reconciler.external_shares
    assert scene.agrees()


# ---- bars --------------------------------------------------------------------------------------------


def test_bars_missed_while_their_stream_was_down_are_asked_for_again(scene: Scene) -> None:
    desk = scene.engine.desks[A]
    scene.next_bar()
    scene.server.refuse(Stream.DATA, times=12)  # for two minutes
    scene.drop(Stream.DATA)
    scene.trade(100.30)
    scene.bars(2)
    assert scene.streams.state("bars") == "reconnecting"
    before = desk.last_bar
    scene.run_for(59)
    assert scene.streams.state("bars") == "connected"
    assert before is not None
    assert desk.last_bar == scene.now.replace(second=0) - timedelta(minutes=1) > before
    assert desk.last == 100.30
    assert not scene.engine.gateway.busy
    scene.signal(entry="100.40", stop="99.90")
    assert scene.working(Role.ENTRY)


def test_nothing_is_decided_on_candles_that_were_missed_but_a_position_is_led_on(scene: Scene) -> None:
    scene.go_long()
    scene.server.refuse(Stream.DATA, times=12)
    scene.drop(Stream.DATA)
    scene.rule.trail = Decimal("99.80")
    scene.bars(2)
    assert scene.working(Role.STOP)[0]["stop_price"] == "99.5"
    scene.run_for(40)
    assert scene.streams.state("bars") == "connected"
    assert scene.working(Role.STOP)[0]["stop_price"] == "99.8"
    assert scene.protected


def test_an_open_but_mute_bars_stream_is_noticed_and_replaced(scene: Scene) -> None:
    scene.streams.mute("bars")
    scene.run_for(100)
    assert states(scene, "bars") == ["reconnecting", "connected", "stale", "reconnecting", "connected"]
    assert scene.engine.entries_allowed()
    assert len(scene.server.connections) == 3


def test_no_entry_while_the_bars_stream_is_stale_or_down(scene: Scene) -> None:
    scene.server.refuse(Stream.DATA, times=3)
    scene.drop(Stream.DATA)
    assert not scene.engine.entries_allowed()
    scene.run_for(5)
    assert scene.engine.entries_allowed()


def test_bars_that_come_before_the_history_are_neither_lost_nor_taken_twice(stage: Stage) -> None:
    scene = stage()
    scene.kill()
    scene.start(history_takes=timedelta(seconds=70)).run_for(2)
    assert scene.engine.warm_left
    scene.trade(100.2)
    scene.next_bar()  # its bar comes from the stream while the history is on its way
    assert scene.engine.warm_left
    scene.run_for(15)
    desk = scene.engine.desks[A]
    assert not scene.engine.warm_left
    assert scene.running
    assert desk.last == 100.2
    stamps = [bar.timestamp for bar in scene.of(BarReceived)]
    assert len(stamps) == len(set(stamps))
    scene.go_long()
    assert scene.protected


# ---- connecting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [Stream.TRADE, Stream.DATA])
def test_a_server_that_refuses_is_asked_ever_less_often(scene: Scene, stream: Stream) -> None:
    scene.server.refuse(stream, times=1000)
    before = len(scene.server.connections)
    scene.drop(stream)
    scene.run_for(300)
    assert len(scene.server.connections) - before <= 28  # 6 until the pauses are 15 s each, then 4 a minute
    assert not scene.engine.entries_allowed()


def test_a_connection_that_is_taken_by_another_program_is_said_once_and_not_fought_for(
    scene: Scene,
) -> None:
    before = len(scene.server.connections)
    scene.server.fill_up(times=4)  # 406: connection limit exceeded
    scene.drop(Stream.DATA)
    scene.run_for(61)
    assert len(scene.server.connections) - before <= 4
    said = [text for text in scene.errors("bars") if "only one connection is allowed" in text]
    assert len(said) == 1
    assert not scene.engine.entries_allowed()
    scene.run_for(100)
    assert scene.streams.state("bars") == "connected"
    assert scene.engine.entries_allowed()


def test_symbols_beyond_the_subscription_are_named_and_the_others_trade(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB", "CCC"))
    scene.server.limit_symbols(2)
    scene.drop(Stream.DATA)
    scene.run_for(2)
    assert len(scene.server.subscribed()) == 2
    assert any("not streamed by Alpaca: CCC" in text for text in scene.errors("bars"))
    assert len(scene.server.connections) == 3
    scene.go_long()
    assert scene.protected


@pytest.mark.parametrize("stream", [Stream.TRADE, Stream.DATA])
def test_keys_that_a_stream_refuses_are_said_once_and_never_tried_again(scene: Scene, stream: Stream) -> None:
    scene.server.fail_auth(stream, times=1000)
    before = len(scene.server.connections)
    scene.drop(stream)
    scene.run_for(120)
    assert len(scene.server.connections) - before == 1
    said = scene.errors("bars") + scene.errors("trade updates")
    assert len([text for text in said if "refused the keys" in text]) == 1
    assert not scene.engine.entries_allowed()


def test_both_streams_may_break_at_the_moment_of_a_fill(scene: Scene) -> None:
    scene.signal()
    scene.drop(Stream.TRADE)
    scene.drop(Stream.DATA)
    scene.trade(100.10)
    scene.run_for(4)
    assert scene.protected
    assert scene.agrees()


def test_a_flapping_trade_stream_never_doubles_or_loses_anything(scene: Scene) -> None:
    scene.signal()
    for price in (100.10, 100.2, 99.8, 99.4):
        scene.drop(Stream.TRADE)
        scene.trade(price)
        scene.run_for(1)
    scene.run_for(20)
    assert scene.position == scene.held == 0
    assert len(scene.of(TradeClosed)) == 1
    assert scene.agrees()


def test_the_same_minute_from_two_streams_in_a_row_is_one_bar(scene: Scene) -> None:
    scene.next_bar()
    start = scene.now - timedelta(minutes=1)
    scene.drop(Stream.DATA)
    scene.run_for(1)
    scene.server.send_bars([MinuteBar(A, start, 100.0, 100.0, 100.0, 100.0)])
    scene.settle()
    assert len(scene.of(BarReceived)) == 1
