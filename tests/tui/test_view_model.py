"""Events and snapshots folded into the picture the screen paints."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.tui.fake_engine import NOW, D, FakeEngine, flat_snapshot, order, trading_snapshot, wave
from tui_trader.core.events import (
    AccountUpdated,
    BarReceived,
    CandleClosed,
    CircuitBreakerTripped,
    ConnectionChanged,
    EngineState,
    EngineStateChanged,
    Event,
    OrderFilled,
    OrderStateChanged,
    PositionChanged,
    Published,
    SessionChanged,
    StopMoved,
    SymbolState,
    SymbolStateChanged,
    TradeClosed,
    TradeReason,
    WarmupProgress,
)
from tui_trader.core.orders import OrderState, OrderType, Role, Side
from tui_trader.tui.banner import banner
from tui_trader.tui.glyphs import glyph_set
from tui_trader.tui.lines import status_line
from tui_trader.tui.parts import Part
from tui_trader.tui.view_model import ViewModel


def bar(symbol: str, close: float, minutes: int = 0) -> BarReceived:
    stamp = NOW.replace(second=0) + timedelta(minutes=minutes)
    return BarReceived(symbol, stamp, close, close, close, close, 100, False)


def stop_order(state: OrderState, symbol: str = "AAPL", key: str = "o-aapl") -> OrderStateChanged:
    return OrderStateChanged(
        key, "b", symbol, Role.STOP, Side.SELL, OrderType.STOP, 120, 0, None, D("200.55"), state, None, ""
    )


def trade(pnl: str) -> TradeClosed:
    return TradeClosed("MSFT", "velez", 10, D(100), D(101), NOW, NOW, D(pnl), TradeReason.STOP, D(50))


def synced(**changes: object) -> ViewModel:
    model = ViewModel(FakeEngine().info, NOW)
    model.snapshot_requested()
    model.resync(trading_snapshot(**changes))
    model.tick(NOW)
    model.take_dirty()
    model.take_dirty_symbols()
    return model


def say(model: ViewModel, *events: Event, seq: int = 101) -> None:
    model.apply([Published(seq + i, NOW, event) for i, event in enumerate(events)])


def candle(symbol: str) -> CandleClosed:
    return CandleClosed(symbol, NOW, 2, 1, 2, 0.5, 1.5, 10, 2, True, float("nan"), float("nan"))


def test_a_snapshot_is_taken_whole() -> None:
    picture = synced().picture
    assert picture.synced
    assert picture.state is EngineState.RUNNING
    assert sorted(picture.positions) == ["AAPL", "NVDA"]
    assert len(picture.live_orders) == 3
    assert picture.open_pnl == D("-32.00")
    assert not picture.flat


def test_a_bar_moves_last_price_profit_and_day_line() -> None:
    model = synced()
    say(model, bar("AAPL", 203.21))
    assert model.picture.lines["AAPL"].last == 203.21
    assert model.picture.lines["AAPL"].day == [203.21]
    assert model.picture.positions["AAPL"].unrealized_pnl == D("120.00")
    assert model.take_dirty_symbols() == {"AAPL"}
    assert Part.POSITIONS in model.take_dirty()
    assert model.wants_snapshot  # open risk and exposure moved with it


def test_a_bar_of_a_symbol_not_held_asks_for_no_snapshot() -> None:
    model = synced()
    say(model, bar("SPY", 590.0))
    assert not model.wants_snapshot
    assert model.take_dirty() == {Part.WATCH}


def test_nothing_is_dirty_when_nothing_happened() -> None:
    model = synced()
    model.tick(NOW + timedelta(milliseconds=250))
    assert model.take_dirty() == set()
    assert model.take_dirty_symbols() == set()
    assert model.take_log() == []


def test_ages_are_dirty_once_a_minute() -> None:
    model = synced()
    model.tick(NOW + timedelta(seconds=6))
    assert "AAPL" in model.take_dirty_symbols()
    model.tick(NOW + timedelta(seconds=9))
    assert model.take_dirty_symbols() == set()


def test_events_that_a_snapshot_contains_only_add_their_log_line() -> None:
    model = synced()
    say(model, PositionChanged("AAPL", 0, D(0), None, D(0)), trade("5"), seq=99)
    assert "AAPL" in model.picture.positions
    assert model.picture.scores["velez"].trades == 1  # no snapshot tells of trades
    assert [entry.kind for entry in model.take_log()] == ["TRADE"]


def test_a_snapshot_older_than_what_was_folded_does_not_turn_back_time() -> None:
    model = synced()
    model.snapshot_requested()
    say(model, PositionChanged("AAPL", 0, D(0), None, D(0)), trade("5"))
    model.resync(trading_snapshot())  # taken before either
    assert "AAPL" not in model.picture.positions
    assert model.picture.scores["velez"].trades == 1
    assert model.picture.seq == 102


def test_lost_events_ask_for_a_snapshot_and_are_told() -> None:
    model = synced()
    model.note_dropped(0)
    assert not model.wants_snapshot
    model.note_dropped(40)
    assert model.wants_snapshot
    assert "40 events" in model.take_log()[0].text
    model.note_dropped(40)
    assert model.take_log() == []


def test_a_lost_snapshot_is_asked_for_again() -> None:
    model = synced()
    model.snapshot_requested()
    assert not model.wants_snapshot
    model.snapshot_lost()
    assert model.wants_snapshot


def test_a_new_position_is_unprotected_until_its_stop_works() -> None:
    model = synced()
    say(model, PositionChanged("AMD", 60, D("141.55"), D("140.71"), D(0)))
    assert model.picture.unprotected == ["AMD"]
    assert model.picture.positions["AMD"].strategy == "velez"
    say(model, replace(stop_order(OrderState.ACCEPTED, "AMD", "o-amd-s")), seq=102)
    assert model.picture.unprotected == []


def test_a_stop_that_is_cancelled_leaves_the_position_unprotected_but_a_replaced_one_does_not() -> None:
    model = synced()
    say(model, stop_order(OrderState.REPLACED))
    assert model.picture.unprotected == []
    say(model, stop_order(OrderState.CANCELED), seq=102)
    assert model.picture.unprotected == ["AAPL"]


def test_a_closed_position_goes() -> None:
    model = synced()
    say(model, PositionChanged("AAPL", 0, D(0), None, D(0)))
    assert "AAPL" not in model.picture.positions


def test_a_moved_stop_moves() -> None:
    model = synced()
    say(model, StopMoved("AAPL", D("201.10"), D("200.55")))
    assert model.picture.positions["AAPL"].stop_price == D("201.10")


def test_orders_that_are_over_are_kept_for_a_while() -> None:
    model = synced()
    say(model, *(stop_order(OrderState.CANCELED, "AAPL", f"x{i}") for i in range(50)))
    assert len(model.picture.finished_orders) == 30
    assert model.picture.finished_orders[0].client_order_id == "x49"
    assert len(model.picture.live_orders) == 3
    model.snapshot_requested()
    model.resync(trading_snapshot(seq=400))
    assert len(model.picture.finished_orders) == 30


def test_states_and_reasons_follow_events() -> None:
    model = synced()
    say(
        model,
        EngineStateChanged(EngineState.PAUSED, EngineState.RUNNING, "paused by the user"),
        SymbolStateChanged("AAPL", SymbolState.HALTED, "exchange"),
        ConnectionChanged("bars", "stale", 0),
        CircuitBreakerTripped("daily_loss", D(-3000), D(-3000)),
        AccountUpdated(D(99), D(98), D(97), D(-1)),
        WarmupProgress("AAPL", 10, 201, 3, 14),
    )
    picture = model.picture
    assert picture.state is EngineState.PAUSED
    assert picture.state_reason == "paused by the user"
    assert picture.lines["AAPL"].state is SymbolState.HALTED
    assert picture.streams["bars"].state == "stale"
    assert picture.breaker.tripped
    assert (picture.account.equity, picture.account.exposure) == (D(99), D("35305.20"))
    assert picture.warmup == (3, 14)


def test_a_new_session_begins_the_day_anew() -> None:
    model = synced()
    say(model, bar("AAPL", 203.0), trade("5"))
    later = NOW + timedelta(days=1)
    say(model, SessionChanged("2025-06-03", later, later, later, later), seq=110)
    assert model.picture.lines["AAPL"].day == []
    assert model.picture.scores == {}
    assert model.picture.session is not None
    assert model.picture.session.date == "2025-06-03"


def test_candles_and_fills_are_handed_on_once() -> None:
    model = synced()
    say(
        model,
        CandleClosed("AAPL", NOW, 2, 1, 2, 0.5, 1.5, 10, 2, True, float("nan"), float("nan")),
        OrderFilled("o", "x", "AAPL", Side.BUY, 10, D(202), 130, NOW),
    )
    assert [symbol for symbol, _ in model.take_candles()] == ["AAPL"]
    assert model.take_candles() == []
    assert [fill.qty for fill in model.picture.fills] == [10]


def test_the_day_line_begins_at_the_open() -> None:
    model = synced()
    model.day_candles("AAPL", wave("AAPL", 202.33))
    assert len(model.picture.lines["AAPL"].day) == 128  # of 240: the rest is yesterday's
    assert model.picture.lines["AAPL"].day[-1] == pytest.approx(202.33)


def test_scores_add_up() -> None:
    model = synced()
    say(model, trade("50"), trade("-25"))
    score = model.picture.scores["velez"]
    assert (score.trades, score.wins, score.pnl) == (2, 1, D(25))
    assert score.expectancy == D("0.25")


def test_warnings_count_as_alerts_until_seen() -> None:
    model = synced()
    say(model, ConnectionChanged("bars", "reconnecting", 1))
    assert model.alerts == 1
    model.clear_alerts()
    assert model.alerts == 0


def test_the_log_backlog_is_bounded_and_keeps_the_newest() -> None:
    model = synced()
    say(model, *(StopMoved("AAPL", D(i), D(0)) for i in range(1, 3000)))
    entries = model.take_log()
    assert len(entries) == 2000
    assert entries[-1].text.endswith("2,999.00")


def test_feed_age_is_in_engine_time() -> None:
    model = synced()
    say(model, bar("AAPL", 203.0))
    assert model.picture.feed_age(NOW + timedelta(seconds=7)) == 7.0


def test_flatten_plan_lists_exactly_what_would_happen() -> None:
    plan = synced().picture.plan()
    assert plan.lines() == [
        "cancel 3 orders",
        "  stop AAPL sell 120 @ 200.55",
        "  stop NVDA sell 80 @ 136.10",
        "  entry AMD buy 60 @ 141.55",
        "sell 120 AAPL at market ≈ $24,280   expected +14.40",
        "sell 80 NVDA at market ≈ $11,026   expected -46.40",
    ]
    assert plan.realised == D("-32.00")


def test_flatten_plan_of_one_symbol_leaves_the_others_alone() -> None:
    plan = synced().picture.plan("AAPL")
    assert [cancel.client_order_id for cancel in plan.cancels] == ["o-aapl"]
    assert [(close.symbol, close.qty) for close in plan.closes] == [("AAPL", 120)]


def test_flatten_signature_ignores_prices_and_notices_quantities() -> None:
    model = synced()
    before = model.picture.plan().signature
    say(model, bar("AAPL", 250.0))
    assert model.picture.plan().signature == before
    say(model, PositionChanged("AAPL", 60, D("202.21"), D("200.55"), D(0)), seq=102)
    assert model.picture.plan().signature != before


def test_an_empty_plan_is_empty() -> None:
    model = ViewModel(FakeEngine().info, NOW)
    model.resync(flat_snapshot())
    assert model.picture.plan().empty
    assert model.picture.flat


def test_a_closed_trade_is_realised_at_once_and_counted_once() -> None:
    model = synced()
    before = model.picture.account.realized_pnl
    model.apply([Published(101, NOW, trade("20"))])
    assert model.picture.account.realized_pnl == before + 20
    model.snapshot_requested()
    model.apply([Published(102, NOW, trade("5"))])
    contained = replace(trading_snapshot().account, realized_pnl=before + 20)
    model.resync(trading_snapshot(seq=101, account=contained))
    assert model.picture.account.realized_pnl == before + 25


def test_a_fill_asks_for_a_snapshot_that_does_not_wait_its_turn() -> None:
    model = synced()
    assert not model.picture.urgent
    model.apply([Published(101, NOW, OrderFilled("o", "x", "AMD", Side.BUY, 10, D(141), 10, NOW))])
    assert model.picture.urgent
    model.snapshot_requested()
    assert not model.picture.urgent


def test_exposure_follows_positions_and_prices() -> None:
    model = synced()
    assert model.picture.exposure == D("202.33") * 120 + D("137.82") * 80
    model.apply([Published(101, NOW, PositionChanged("NVDA", 0, D(0), None, D(0)))])
    assert model.picture.exposure == D("202.33") * 120


# ---- what a live venue adds --------------------------------------------------------------------------


def test_after_warm_up_a_symbols_candles_are_asked_for_anew() -> None:
    model = synced()
    model.take_refilled()
    say(model, WarmupProgress("AAPL", 201, 201, 1, 14))
    assert model.take_refilled() == {"AAPL"}
    assert model.take_refilled() == set()


def test_the_first_candle_after_a_lost_connection_asks_for_those_that_were_missed() -> None:
    model = synced()
    model.take_refilled()
    say(model, ConnectionChanged("bars", "reconnecting", 1), ConnectionChanged("bars", "connected", 0))
    assert model.take_refilled() == set()
    say(model, candle("AAPL"), candle("AAPL"))
    assert model.take_refilled() == {"AAPL"}
    say(model, candle("AAPL"))
    assert model.take_refilled() == set()


def test_an_equity_that_is_not_known_yet_is_no_point_of_the_curve() -> None:
    model = synced()
    points = list(model.picture.equity.points)
    model.snapshot_requested()
    model.resync(trading_snapshot(account=replace(trading_snapshot().account, equity=D(0))))
    assert model.picture.equity.points == points


def test_what_stands_in_the_way_of_entries_is_on_the_banner() -> None:
    model = synced(hindrances=("the bar stream is not reached", "the broker is not reached"))
    shown = banner(model, leaving=False)
    assert shown is not None
    assert shown.text == "Entries are off: the bar stream is not reached; the broker is not reached"
    assert shown.tone == "loud"
    assert "NO ENTRIES" in status_line(model, 120, glyph_set("box")).plain


def test_what_others_hold_and_ordered_is_listed_by_flatten_but_does_not_hold_up_leaving() -> None:
    external = order("x1", "AMD", Role.EXTERNAL, Side.BUY, 10, "1.00")
    elsewhere = order("x2", "ZZZZ", Role.EXTERNAL, Side.BUY, 10, "1.00")
    model = synced(positions=(), orders=(external, elsewhere), external_shares=(("AMD", 7), ("ZZZZ", 5)))
    assert model.picture.flat
    lines = "\n".join(model.picture.plan().lines())
    assert "external AMD buy 10 @ 1.00" in lines
    assert "sell 7 AMD at market" in lines
    assert "not ours" in lines
    assert "ZZZZ" not in lines  # no symbol of ours: left alone


def test_a_first_attempt_to_connect_is_no_alarm_and_repeated_ones_are_said_once() -> None:
    model = synced()
    before = model.alerts
    say(model, *(ConnectionChanged("bars", "reconnecting", attempt) for attempt in range(5)))
    assert model.alerts == before + 1
