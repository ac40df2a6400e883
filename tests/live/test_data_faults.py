"""Bars that are wrong, late, missing or not to be traded on, on the whole system."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from tests.alpaca_server import Hours, MinuteBar
from tests.live.conftest import Stage
from tests.live.scene import MINUTE, A, Scene
from tui_trader.core.events import (
    BarReceived,
    BarRejected,
    CandleClosed,
    EngineState,
    SymbolState,
    TradeClosed,
    TradeReason,
    WarmupProgress,
)
from tui_trader.core.orders import Role


def refused(scene: Scene) -> list[str]:
    return [event.reason for event in scene.of(BarRejected)]


def send(scene: Scene, *bars: MinuteBar, updated: bool = False) -> None:
    scene.server.send_bars(bars, updated=updated)
    scene.settle()


# ---- bad bars ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    open: float = 100.0
    high: float = 100.2
    low: float = 99.8
    close: float = 100.0
    volume: float = 1000
    minutes: int = 0

    def bar(self, start: datetime) -> MinuteBar:
        return MinuteBar(
            A, start + self.minutes * MINUTE, self.open, self.high, self.low, self.close, self.volume
        )


BAD = {
    "NaN": Bad(close=math.nan),
    "infinite": Bad(high=math.inf),
    "zero": Bad(low=0.0),
    "negative": Bad(low=-5.0),
    "high below low": Bad(high=99.0, low=101.0),
    "close outside": Bad(close=105.0),
    "negative volume": Bad(volume=-1),
    "of the future": Bad(minutes=30),
    "of last hour": Bad(minutes=-60),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_bar_is_refused_and_decides_nothing(scene: Scene, bad: Bad) -> None:
    scene.next_bar()
    candles = len(scene.of(CandleClosed))
    scene.rule.entry = (Decimal("100.30"), Decimal("99.50"))
    scene.end_of_minute()
    send(scene, bad.bar(scene.now - MINUTE))
    assert len(scene.of(CandleClosed)) == candles
    assert not scene.sent(Role.ENTRY)
    assert scene.engine.desks[A].last == 100.0
    scene.next_bar()
    scene.next_bar()
    assert scene.working(Role.ENTRY)  # the next good one is heard


def test_a_tenfold_bar_is_withheld_until_another_one_tells_which_is_right(scene: Scene) -> None:
    scene.go_long()
    held = scene.held
    scene.rule.leave = True
    scene.end_of_minute()
    send(scene, MinuteBar(A, scene.now - MINUTE, 1000.0, 1000.0, 1000.0, 1000.0))
    assert scene.engine.desks[A].last != 1000.0
    assert scene.held == held
    assert scene.protected
    scene.next_bar()
    assert refused(scene)


def test_a_bar_told_twice_counts_once(scene: Scene) -> None:
    scene.next_bar()
    bar = MinuteBar(A, scene.now - MINUTE, 100.0, 100.0, 100.0, 100.0)
    send(scene, bar, bar)
    assert len(scene.of(BarReceived)) == 1
    assert len(scene.of(CandleClosed)) == 1


def test_bars_out_of_order_in_one_frame_are_put_in_order(scene: Scene) -> None:
    scene.end_of_minute()
    scene.end_of_minute()
    first, second = scene.now - 2 * MINUTE, scene.now - MINUTE
    send(
        scene,
        MinuteBar(A, second, 100.1, 100.1, 100.1, 100.1),
        MinuteBar(A, first, 100.0, 100.0, 100.0, 100.0),
    )
    assert [bar.timestamp for bar in scene.of(BarReceived)] == [first, second]


def test_a_revision_of_a_minute_that_was_had_is_said_and_changes_nothing(scene: Scene) -> None:
    scene.next_bar()
    send(scene, MinuteBar(A, scene.now - MINUTE, 100.0, 101.0, 100.0, 101.0), updated=True)
    assert scene.engine.desks[A].last == 100.0
    assert refused(scene)


def test_a_late_bar_that_was_missing_is_taken(scene: Scene) -> None:
    scene.next_bar()
    scene.silent.add(A)
    scene.next_bar()
    scene.run_for(20)
    send(scene, MinuteBar(A, scene.now.replace(second=0) - MINUTE, 100.0, 100.3, 100.0, 100.3), updated=True)
    assert scene.engine.desks[A].last == 100.3
    assert len(scene.of(CandleClosed)) == 2


@pytest.mark.parametrize(
    "message",
    [
        {"T": "b"},
        {"T": "b", "S": "AAA", "o": "a lot", "h": 1.0, "l": 1.0, "c": 1.0, "v": 1, "t": 0},
        {"T": "b", "S": None, "o": 1.0, "h": 1.0, "l": 1.0, "c": 1.0, "v": 1, "t": "yesterday"},
        {"T": "?", "S": "AAA"},
        {"S": "AAA"},
        {"T": "s", "S": "AAA", "sc": 7, "sm": None},
        {"T": "error", "code": 999, "msg": "[bold]strange"},
    ],
    ids=["empty", "text price", "no symbol", "unknown kind", "no kind", "strange status", "unknown error"],
)
def test_a_message_that_says_nothing_costs_no_bar_beside_it(scene: Scene, message: object) -> None:
    scene.end_of_minute()
    start = scene.now - MINUTE
    good = {
        "T": "b", "S": A, "o": 100.0, "h": 100.0, "l": 100.0, "c": 100.0, "v": 10,
        "t": int(start.timestamp()) * 1_000_000_000,
    }  # fmt: skip
    scene.server.send_data([message, good])  # type: ignore[list-item]
    scene.settle()
    assert [bar.timestamp for bar in scene.of(BarReceived)] == [start]
    assert scene.streams.state("bars") == "connected"


# ---- halts and silence -------------------------------------------------------------------------------


def test_a_halted_symbol_is_not_entered_and_its_entry_withdrawn(scene: Scene) -> None:
    scene.signal()
    scene.server.halt(A)
    scene.settle()
    scene.run_for(3)
    assert not scene.working(Role.ENTRY)
    assert scene.symbol_states()[-1] is SymbolState.HALTED
    scene.signal()
    assert not scene.working(Role.ENTRY)
    scene.server.resume(A)
    scene.settle()
    assert scene.symbol_states()[-1] is SymbolState.WATCHING
    scene.next_bar()
    assert scene.working(Role.ENTRY)


def test_a_halt_while_shares_are_held_leaves_them_their_stop(scene: Scene) -> None:
    scene.go_long()
    scene.server.halt(A)
    scene.settle()
    scene.trade(99.0)  # nothing matches in a halt
    assert scene.protected
    scene.server.resume(A)
    scene.settle()
    assert scene.held == scene.position == 0
    assert scene.agrees()


def test_a_silent_symbol_goes_stale_alone_and_a_bar_wakes_it(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB"))
    scene.bars(1)
    scene.silent.add("BBB")
    scene.bars(6)
    assert scene.symbol_states("BBB")[-1] is SymbolState.STALE
    assert SymbolState.STALE not in scene.symbol_states("AAA")
    scene.signal(symbol="AAA")
    assert scene.working(Role.ENTRY, "AAA")
    scene.silent.clear()
    scene.next_bar()
    assert scene.symbol_states("BBB")[-1] is SymbolState.WATCHING


def test_an_entry_in_a_symbol_that_goes_silent_is_withdrawn(scene: Scene) -> None:
    scene.signal()
    scene.silent.add(A)
    scene.bars(6)
    assert not scene.working(Role.ENTRY)
    assert scene.engine.manager.flat


def test_a_position_in_a_symbol_that_goes_silent_keeps_its_stop(scene: Scene) -> None:
    scene.go_long()
    scene.silent.add(A)
    scene.bars(6)
    assert scene.symbol_states()[-1] is SymbolState.STALE
    assert scene.protected
    scene.trade(99.4)
    assert scene.held == scene.position == 0


def test_a_missing_minute_closes_the_candle_late_and_is_no_reason_to_stop(scene: Scene) -> None:
    scene.silent.add(A)
    scene.next_bar()
    scene.silent.clear()
    scene.go_long()
    assert scene.protected


# ---- warm-up -----------------------------------------------------------------------------------------


def test_warm_up_reaches_back_over_the_night_and_the_weekend(stage: Stage) -> None:
    monday = datetime(2026, 11, 23, 14, 32, tzinfo=UTC)  # two minutes after the open
    scene = stage(now=monday)
    [progress] = scene.of(WarmupProgress)
    assert progress.done_symbols == 1
    assert scene.engine.desks[A].candles >= 5
    scene.go_long()
    assert scene.protected


def test_a_symbol_without_history_stays_cold_and_the_others_trade(stage: Stage) -> None:
    scene = stage(symbols=("AAA", "BBB"), no_history=("BBB",))
    assert scene.running
    assert scene.symbol_states("BBB")[-1] is SymbolState.COLD
    assert any("no bars in the last" in text for text in scene.errors("warmup"))
    scene.signal(symbol="BBB")
    assert not scene.working(Role.ENTRY, "BBB")
    scene.go_long()
    assert scene.protected


# ---- sessions ----------------------------------------------------------------------------------------

HALF_DAY = date(2026, 11, 27)  # the day after Thanksgiving


def test_a_half_day_is_flat_before_its_early_close(stage: Stage) -> None:
    hours = Hours.regular({HALF_DAY: (time(9, 30), time(13, 0))})
    scene = stage(hours=hours, now=datetime(2026, 11, 27, 17, 42, tzinfo=UTC))  # 12:42 in New York
    scene.go_long()
    assert scene.protected
    scene.run_until(datetime(2026, 11, 27, 17, 58, tzinfo=UTC))
    assert scene.held == scene.position == 0
    [trade] = scene.of(TradeClosed)
    assert trade.reason is TradeReason.END_OF_DAY
    scene.run_until(datetime(2026, 11, 27, 18, 0, 1, tzinfo=UTC))
    assert scene.engine.state is EngineState.MARKET_CLOSED


def test_no_entries_before_the_close_and_flat_at_it(stage: Stage) -> None:
    scene = stage(now=datetime(2026, 11, 18, 20, 42, tzinfo=UTC))
    scene.go_long()
    scene.run_until(datetime(2026, 11, 18, 20, 46, tzinfo=UTC))
    assert not scene.engine.entries_allowed()
    assert scene.protected
    scene.run_until(datetime(2026, 11, 18, 20, 58, tzinfo=UTC))
    assert scene.held == scene.position == 0
    assert scene.agrees()


def test_a_holiday_is_no_session(stage: Stage) -> None:
    thanksgiving = date(2026, 11, 26)
    scene = stage(hours=Hours.regular({thanksgiving: None}), now=datetime(2026, 11, 26, 15, 0, tzinfo=UTC))
    assert scene.engine.state is EngineState.MARKET_CLOSED
    assert scene.engine.day.next_session is not None
    assert scene.engine.day.next_session.date == date(2026, 11, 27)


@pytest.mark.parametrize(
    ("friday", "monday_open"),
    [
        (datetime(2026, 10, 30, 19, 50, tzinfo=UTC), datetime(2026, 11, 2, 14, 30, tzinfo=UTC)),
        (datetime(2026, 3, 6, 20, 50, tzinfo=UTC), datetime(2026, 3, 9, 13, 30, tzinfo=UTC)),
    ],
    ids=["autumn", "spring"],
)
def test_the_session_after_a_change_of_clocks_opens_at_half_past_nine(
    stage: Stage, friday: datetime, monday_open: datetime
) -> None:
    scene = stage(now=friday)
    assert scene.running
    scene.run_until(friday + timedelta(minutes=20))
    assert scene.engine.state is EngineState.MARKET_CLOSED
    assert scene.engine.day.next_session is not None
    assert scene.engine.day.next_session.open == monday_open


#: Two sessions with 20 minutes between them, so that the night is soon over.
LATE, EARLY = date(2026, 11, 18), date(2026, 11, 19)
SHORT_NIGHT = Hours.regular({LATE: (time(9, 30), time(23, 50)), EARLY: (time(0, 10), time(16, 0))})
LAST_MINUTES = datetime(2026, 11, 19, 4, 45, tzinfo=UTC)
NEXT_OPEN = datetime(2026, 11, 19, 5, 10, tzinfo=UTC)


def test_the_night_between_two_sessions_is_lived_through(stage: Stage) -> None:
    scene = stage(hours=SHORT_NIGHT, now=LAST_MINUTES)
    scene.run_until(NEXT_OPEN + timedelta(seconds=1))
    assert scene.running
    scene.bars(1)
    scene.go_long()
    assert scene.protected
    assert scene.agrees()


def test_a_split_overnight_drops_the_history_and_trades_on_the_new_prices(stage: Stage) -> None:
    scene = stage(hours=SHORT_NIGHT, now=LAST_MINUTES)
    scene.run_until(NEXT_OPEN + timedelta(seconds=1))
    scene.server.trade(A, 25.0)
    scene.bars(6)
    assert scene.engine.desks[A].last == 25.0
    scene.signal(entry="25.10", stop="24.90")
    scene.trade(25.10)
    assert scene.protected
