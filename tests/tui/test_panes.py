"""What the panes of the trading screen say about symbols, orders and risk."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from textual.content import Content
from textual.widgets import Static

from tests.tui.driving import press, running, screen_text, settle
from tests.tui.fake_engine import (
    NOW,
    ORDERS,
    FakeEngine,
    flat_snapshot,
    order,
    symbol_views,
    trading_snapshot,
)
from tui_trader.core.events import (
    BarReceived,
    CandleClosed,
    ConnectionChanged,
    EngineState,
    ErrorOccurred,
    SymbolState,
    SymbolStateChanged,
)
from tui_trader.core.orders import Role, Side
from tui_trader.tui.app import TraderApp
from tui_trader.tui.panes import Panes
from tui_trader.tui.screens.log_entry import LogEntryScreen


def panes_of(app: object) -> Panes:
    assert isinstance(app, TraderApp)
    return app.trading.panes


def bar(symbol: str, minute: int, close: float) -> BarReceived:
    stamp = NOW.replace(second=0) + timedelta(minutes=minute)
    return BarReceived(symbol, stamp, close, close, close, close, 100, False)


# ---- the chart -----------------------------------------------------------------------------------------


async def test_the_title_marks_an_interval_that_is_not_the_strategys() -> None:
    async with running() as pilot:
        assert "2 AAPL 2m  202.33" in screen_text(pilot)
        await press(pilot, "full_stop", "full_stop")
        assert "2 AAPL 10m (trades 2m)" in screen_text(pilot)
        await press(pilot, "comma", "comma")
        assert "2 AAPL 2m  202.33" in screen_text(pilot)


async def test_minute_candles_are_made_of_the_bars_that_were_heard_and_grow() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        chart = panes_of(pilot.app).chart
        engine.emit(bar("AAPL", 0, 203.0), bar("MSFT", 0, 400.0), bar("AAPL", 1, 204.0))
        await settle(pilot)
        await press(pilot, "comma")
        assert [candle.close for candle in chart._columns] == [203.0, 204.0]
        engine.emit(bar("AAPL", 2, 205.0))
        await settle(pilot)
        assert [candle.close for candle in chart._columns] == [203.0, 204.0, 205.0]


async def test_bars_before_a_gap_make_no_candles() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        engine.emit(bar("AAPL", 0, 203.0), ConnectionChanged("bars", "reconnecting", 1))
        engine.emit(
            ConnectionChanged("bars", "connected", 0),
            CandleClosed("AAPL", NOW, 2, 1, 2, 0.5, 1.5, 10, 2, True, math.nan, math.nan),
            bar("AAPL", 9, 204.0),
        )
        await settle(pilot)
        await press(pilot, "comma")
        assert [candle.close for candle in panes_of(pilot.app).chart._columns] == [204.0]


async def test_below_the_chart_stands_what_keeps_its_symbol_from_being_traded() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        engine.emit(SymbolStateChanged("AAPL", SymbolState.HALTED, "[/x] LULD pause"))
        await settle(pilot)
        assert "halted: [/x] LULD pause" in screen_text(pilot)


# ---- the watchlist -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "shown"), [((120, 40), "12/201"), ((80, 24), "12/201"), ((200, 60), "cold 12/201")]
)
async def test_a_cold_symbol_says_how_many_candles_it_has_of_how_many(
    size: tuple[int, int], shown: str
) -> None:
    cold = replace(symbol_views()[0], state=SymbolState.COLD, candles=12)
    engine = FakeEngine(flat_snapshot(symbols=(cold, *symbol_views()[1:])))
    async with running(engine, size=size) as pilot:
        [line] = [line for line in screen_text(pilot).splitlines() if "▶AAPL" in line]
        assert shown in line


async def test_a_halted_symbol_greys_its_position_and_keeps_its_stop_in_sight() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        engine.emit(SymbolStateChanged("AAPL", SymbolState.HALTED, "LULD pause"))
        engine.change(
            symbols=tuple(
                replace(view, state=SymbolState.HALTED) if view.symbol == "AAPL" else view
                for view in engine.state.symbols
            )
        )
        await settle(pilot)
        rows = {row.key: row for row in panes_of(pilot.app).positions.rows}
        assert (rows["AAPL"].dim, rows["NVDA"].dim) == (True, False)
        stop = [column.key for column in panes_of(pilot.app).positions._columns].index("stop")
        assert stop in rows["AAPL"].vivid


# ---- orders --------------------------------------------------------------------------------------------


async def test_the_orders_cursor_is_on_the_newest_until_it_is_moved() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        orders = panes_of(pilot.app).orders
        assert orders.selected_key == "o-amd"
        engine.change(orders=(*ORDERS, order("o-new", "TSLA", Role.ENTRY, Side.BUY, 10, "350.00", 0)))
        engine.emit(ErrorOccurred("feed", "look again", None))
        await settle(pilot)
        assert orders.selected_key == "o-new"
        await press(pilot, "4", "j", "1")
        engine.change(
            orders=(*engine.state.orders, order("o-last", "F", Role.ENTRY, Side.BUY, 1, "10.00", 0))
        )
        engine.emit(ErrorOccurred("feed", "look again", None))
        await settle(pilot)
        assert orders.selected_key == "o-amd"


async def test_orders_of_others_are_named_as_such() -> None:
    theirs = order("x-1", "AAPL", Role.EXTERNAL, Side.SELL, 5, "210.00")
    async with running(FakeEngine(trading_snapshot(orders=(*ORDERS, theirs)))) as pilot:
        assert "external" in screen_text(pilot)


# ---- risk ----------------------------------------------------------------------------------------------


async def test_the_risk_at_the_top_is_dollars_and_a_share_and_only_trades_have_an_r() -> None:
    async with running(size=(200, 60)) as pilot:
        lines = screen_text(pilot).splitlines()
        assert "Risk 383 0.4%" in lines[1]
        assert "R " not in lines[1].replace("Realised", "").replace("Risk", "")
        assert "open risk  $383 0.4%, $200 a trade" in screen_text(pilot)


@pytest.mark.parametrize("number", ["6", "7", "8"])
async def test_a_zoomed_pane_uses_its_own_width(number: str) -> None:
    async with running(size=(120, 40)) as pilot:
        await press(pilot, number)
        await settle(pilot, 2)
        text = screen_text(pilot)
        words = {"6": "14 symbols, 2m candles", "7": "$200 a trade", "8": "begins with the first change"}
        assert words[number] in text


# ---- the log -------------------------------------------------------------------------------------------

_LONG = "the exchange said [403] [/x] " + "and went on " * 30 + "to the very end"


async def test_enter_shows_all_of_an_entry_and_y_copies_it() -> None:
    engine = FakeEngine()
    async with running(engine, size=(120, 40)) as pilot:
        engine.emit(ErrorOccurred("venue", _LONG, "AAPL"))
        await settle(pilot)
        assert "very end" not in screen_text(pilot)
        await press(pilot, "5", "enter")
        assert isinstance(pilot.app.screen, LogEntryScreen)
        shown = str(pilot.app.screen.query_one("#entry-scroll > Static", Static).content)
        assert shown == f"venue: {_LONG}"
        await press(pilot, "y")
        assert pilot.app.clipboard.endswith("to the very end")
        await press(pilot, "escape", "y")
        assert pilot.app.clipboard.split("\t")[1:4] == ["ERROR", "ERROR", "AAPL"]


async def test_slash_in_the_log_finds_there_and_n_goes_on() -> None:
    engine = FakeEngine()
    async with running(engine, size=(120, 40)) as pilot:
        engine.emit(*(ErrorOccurred("venue", f"trouble {number}", None) for number in range(30)))
        await settle(pilot)
        await press(pilot, "5", "slash", "e", "space", "1", "1", "enter")
        log = panes_of(pilot.app).log_view
        assert pilot.app.focused is log
        assert log.selected is not None
        assert log.selected.text == "venue: trouble 11"
        assert "/e 11" in Content.from_markup(str(log.border_subtitle)).plain


async def test_entries_are_off_says_why() -> None:
    engine = FakeEngine(flat_snapshot(hindrances=("the clock is 3 s off",), state=EngineState.RUNNING))
    async with running(engine, size=(80, 24)) as pilot:
        text = screen_text(pilot)
        assert "NO ENTRIES" in text.splitlines()[0]
        assert "Entries are off: the clock is 3 s off" in text
