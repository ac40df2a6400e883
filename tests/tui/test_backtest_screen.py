"""The backtest screen on a scripted process and engine, and once on the real process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.backtest.waves import write_waves
from tests.tui.driving import press, screen_text, settle
from tests.tui.fake_backtest import (
    BARS,
    SMA_CROSS,
    VELEZ,
    FakeWorkers,
    no_trade_summary,
    some_chart,
    some_summary,
    some_trades,
)
from tests.tui.fake_engine import FakeEngine, flat_snapshot
from tests.tui.test_hostile_text import NASTY
from tui_trader.backtest.worker.messages import (
    Check,
    Checked,
    Describe,
    Failed,
    Gone,
    Progress,
    Run,
    ShowTrade,
)
from tui_trader.core.events import EngineState, EngineStateChanged
from tui_trader.engine.handle import Pause, SetSpeed
from tui_trader.options import BacktestOptions
from tui_trader.tui.app import TraderApp
from tui_trader.tui.backtest.picker import BarsPicker
from tui_trader.tui.backtest.result_page import MOST_ROWS
from tui_trader.tui.backtest.study import Page, Study
from tui_trader.tui.screens.backtest import BacktestScreen
from tui_trader.tui.screens.flatten import FlattenScreen
from tui_trader.tui.screens.help import HelpScreen
from tui_trader.tui.screens.quit import QuitScreen
from tui_trader.tui.screens.trading import TradingScreen
from tui_trader.tui.settings import UiSettings
from tui_trader.venues.base import Mode

SIZES = [(80, 24), (120, 40), (200, 60)]
TRADES = some_trades()
SUMMARY = some_summary(TRADES)
Opened = tuple[Pilot[None], FakeWorkers]


@asynccontextmanager
async def opened(
    engine: FakeEngine | None = None,
    size: tuple[int, int] = (120, 40),
    bars: tuple[Path, ...] = (BARS,),
    settings: UiSettings | None = None,
) -> AsyncIterator[Opened]:
    """The application with the backtest screen open, its form described."""
    workers = FakeWorkers()
    settings = replace(settings or UiSettings(), backtest=BacktestOptions(bars))
    app = TraderApp(engine or FakeEngine(), settings=settings, flushes_a_second=None, open_worker=workers)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await press(pilot, "b")
        workers.last.say(VELEZ)
        await settle(pilot, 2)
        yield pilot, workers


@asynccontextmanager
async def finished(**how: object) -> AsyncIterator[Opened]:
    """The same, with a result."""
    async with opened(**how) as (pilot, workers):  # type: ignore[arg-type]
        await press(pilot, "r")
        workers.last.finish(1, SUMMARY, TRADES)
        await settle(pilot, 2)
        yield pilot, workers


def study_of(pilot: Pilot[None]) -> Study:
    assert isinstance(pilot.app, TraderApp)
    return pilot.app.study


def screen_of(pilot: Pilot[None]) -> BacktestScreen:
    assert isinstance(pilot.app.screen, BacktestScreen)
    return pilot.app.screen


def last_check(workers: FakeWorkers) -> Check:
    return [request for request in workers.last.asked if isinstance(request, Check)][-1]


async def choose_field(pilot: Pilot[None], key: str) -> None:
    assert screen_of(pilot).form.table.select(key)
    await pilot.pause()


# ---- the form ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_b_opens_the_form_below_the_state_of_the_engine(size: tuple[int, int]) -> None:
    async with opened(size=size) as (pilot, workers):
        lines = screen_text(pilot).splitlines()
        assert "SIM ×60" in lines[0]
        assert "RUNNING" in lines[0]
        assert "101,234.56" in lines[1]
        assert "sma_fast" in screen_text(pilot)
        assert "5–50" in screen_text(pilot)
        assert workers.asked == [Describe(None, None)]


async def test_what_is_typed_for_a_parameter_is_checked_and_what_is_wrong_is_said() -> None:
    async with opened() as (pilot, workers):
        await choose_field(pilot, "sma_fast")
        await press(pilot, "enter", "backspace", "backspace", "2", "enter")
        check = last_check(workers)
        assert check.options == BacktestOptions((BARS,), strategy="velez", sets=("sma_fast=2",))
        workers.last.say(Checked(check.number - 1, "of an older form"))
        workers.last.say(Checked(check.number, "--set: sma_fast = 2: [red] too small"))
        await settle(pilot, 1)
        assert "sma_fast = 2: [red] too small" in screen_text(pilot)
        assert "--set" not in screen_text(pilot)
        assert "of an older form" not in screen_text(pilot)
        await press(pilot, "enter", "backspace", "enter")  # emptied: as configured again
        assert last_check(workers).options.sets == ()
        assert "too small" not in screen_text(pilot)


async def test_escape_drops_what_was_being_typed() -> None:
    async with opened() as (pilot, _):
        await choose_field(pilot, "cash")
        await press(pilot, "enter", "9", "9", "escape")
        assert study_of(pilot).form.options().cash == 100_000
        assert screen_of(pilot).focused is screen_of(pilot).form.table


async def test_right_chooses_the_next_strategy_and_keeps_what_was_set_for_the_other() -> None:
    async with opened() as (pilot, workers):
        await choose_field(pilot, "sma_fast")
        await press(pilot, "enter", "backspace", "backspace", "9", "enter")
        await choose_field(pilot, "strategy")
        await press(pilot, "right")
        assert workers.asked[-1] == Describe(None, "sma_cross")
        workers.last.say(SMA_CROSS)
        await settle(pilot, 1)
        assert "atr_period" in screen_text(pilot)
        assert "sma_slow" not in screen_text(pilot)
        assert study_of(pilot).form.options().sets == ()
        await press(pilot, "left")
        workers.last.say(VELEZ)
        await settle(pilot, 1)
        assert study_of(pilot).form.options().sets == ("sma_fast=9",)


async def test_a_late_answer_about_another_strategy_changes_nothing() -> None:
    async with opened() as (pilot, workers):
        await choose_field(pilot, "strategy")
        await press(pilot, "right", "right")
        workers.last.say(SMA_CROSS)
        await settle(pilot, 1)
        assert study_of(pilot).form.strategy == "velez"


@pytest.mark.parametrize(
    ("key", "typed", "options"),
    [
        ("symbols", "aapl,msft", {"symbols": ("AAPL", "MSFT")}),
        ("limits", "risk.max_open_positions=3  session.flatten_before_close_min=5",
         {"sets": ("risk.max_open_positions=3", "session.flatten_before_close_min=5")}),
        ("slippage", "3", {"slippage_ticks": 3}),
    ],
)  # fmt: skip
async def test_every_field_reaches_the_run(key: str, typed: str, options: dict[str, object]) -> None:
    async with opened() as (pilot, workers):
        await choose_field(pilot, key)
        await press(pilot, "enter")
        screen_of(pilot)._edit_text.value = typed
        await press(pilot, "enter", "r")
        expected = BacktestOptions((BARS,), strategy="velez", **options)  # type: ignore[arg-type]
        assert workers.asked[-1] == Run(1, expected)


async def test_what_cannot_be_read_is_said_and_not_run() -> None:
    async with opened() as (pilot, workers):
        await choose_field(pilot, "cash")
        await press(pilot, "enter", "x", "enter", "r")
        assert "cash: 'x' is no amount of dollars" in screen_text(pilot)
        assert not [request for request in workers.asked if isinstance(request, Run)]


async def test_without_bars_nothing_runs_and_it_is_said_what_to_do() -> None:
    async with opened(bars=()) as (pilot, workers):
        assert "none chosen: Enter chooses" in screen_text(pilot)
        await press(pilot, "r")
        assert "no bars are chosen" in screen_text(pilot)
        assert not [request for request in workers.asked if isinstance(request, Run)]


async def test_bars_are_chosen_from_a_folder(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv.gz", "c.txt"):
        (tmp_path / name).touch()
    async with opened(bars=(tmp_path / "x.csv",)) as (pilot, _):
        await choose_field(pilot, "bars")
        await press(pilot, "enter")
        assert isinstance(pilot.app.screen, BarsPicker)
        text = screen_text(pilot)
        assert "a.csv" in text
        assert "c.txt" not in text
        (tmp_path / "a.csv").unlink()
        await press(pilot, "a", "j", "enter")
        assert "a.csv: no such file" in screen_text(pilot)
        (tmp_path / "a.csv").touch()
        await press(pilot, "space", "enter")
        assert study_of(pilot).form.bars == (tmp_path / "b.csv.gz", tmp_path / "a.csv")


async def test_bars_are_chosen_by_a_typed_path_that_tab_completes(tmp_path: Path) -> None:
    folder = tmp_path / "recorded"
    folder.mkdir()
    for name in ("one.csv", "two.csv"):
        (folder / name).touch()
    async with opened(bars=(tmp_path / "x.csv",)) as (pilot, _):
        await choose_field(pilot, "bars")
        await press(pilot, "enter", "slash", "r", "e", "tab", "o", "tab", "enter")
        assert study_of(pilot).form.bars == (folder / "one.csv",)
        await press(pilot, "enter", "slash", "asterisk", "full_stop", "c", "s", "v", "enter")
        assert study_of(pilot).form.bars == (folder / "one.csv", folder / "two.csv")


async def test_a_path_that_is_not_there_is_said_and_escape_leaves_step_by_step(tmp_path: Path) -> None:
    async with opened(bars=(tmp_path / "x.csv",)) as (pilot, _):
        await choose_field(pilot, "bars")
        await press(pilot, "enter", "slash", "n", "o", "enter")
        assert "no such file" in screen_text(pilot)
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, BarsPicker)
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, BacktestScreen)
        assert study_of(pilot).form.bars == (tmp_path / "x.csv",)


async def test_tested_bars_are_offered_again_also_after_a_restart(tmp_path: Path) -> None:
    bars = write_waves(tmp_path / "w.csv")
    settings = UiSettings(recent_bars=tmp_path / "recent.json")
    async with finished(bars=(bars,), settings=settings):
        pass
    async with opened(bars=(), settings=settings) as (pilot, _):
        await choose_field(pilot, "bars")
        await press(pilot, "enter")
        assert "tested before" in screen_text(pilot)
        await press(pilot, "enter")
        assert study_of(pilot).form.bars == (bars,)


# ---- a run ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_shows_how_far_it_is_and_how_long_it_takes(size: tuple[int, int]) -> None:
    async with opened(size=size) as (pilot, workers):
        now = [100.0]
        study_of(pilot).clock = lambda: now[0]
        await press(pilot, "r")
        assert "reading bars" in screen_text(pilot)
        workers.last.say(Progress(1, "trading", 0.0))
        await pilot.pause()
        now[0] = 110.0
        workers.last.say(Progress(1, "trading", 0.25))
        await settle(pilot, 1)
        text = screen_text(pilot)
        assert "25%" in text
        assert "10 s so far, about 30 s left" in text
        assert "RUNNING" in text.splitlines()[0]


async def test_escape_cancels_a_run_and_ends_its_process() -> None:
    async with opened() as (pilot, workers):
        await press(pilot, "r")
        running = workers.last
        await press(pilot, "escape")
        assert running.closed
        assert "the backtest was cancelled" in screen_text(pilot)
        assert study_of(pilot).page is Page.FORM
        running.finish(1, SUMMARY, TRADES)  # it was on its way
        await settle(pilot, 1)
        assert study_of(pilot).outcome is None
        await press(pilot, "r")
        assert workers.last is not running
        assert workers.asked[-1] == Run(2, BacktestOptions((BARS,), strategy="velez"))


@pytest.mark.parametrize("answer", [Failed(1, "f.csv line 3: [/x] bad"), Gone("f.csv line 3: [/x] bad")])
async def test_a_run_that_fails_says_so_in_one_line(answer: Failed | Gone) -> None:
    async with opened() as (pilot, workers):
        await press(pilot, "r")
        workers.last.say(answer)
        await settle(pilot, 1)
        assert "f.csv line 3: [/x] bad" in screen_text(pilot)
        assert study_of(pilot).page is Page.FORM
        await press(pilot, "r")
        assert study_of(pilot).page is Page.RUNNING


async def test_b_goes_to_trading_while_a_run_goes_on_and_its_end_is_told_there() -> None:
    async with opened() as (pilot, workers):
        await press(pilot, "r", "b")
        assert isinstance(pilot.app.screen, TradingScreen)
        assert not workers.last.closed
        workers.last.finish(1, SUMMARY, TRADES)
        await settle(pilot, 2)
        assert any("backtest done: velez" in notice.message for notice in pilot.app._notifications)
        await press(pilot, "b")
        assert study_of(pilot).page is Page.RESULT
        assert "3 Trades 24" in screen_text(pilot)


async def test_leaving_without_a_result_ends_the_process() -> None:
    async with opened() as (pilot, workers):
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, TradingScreen)
        await pilot.pause()
        assert workers.last.closed


async def test_who_leaves_and_comes_back_at_once_still_sees_what_happens() -> None:
    async with opened() as (pilot, workers):
        await pilot.press("b", "b", "b", "b")
        await settle(pilot, 2)
        await press(pilot, "r")
        assert not workers.last.closed
        workers.last.finish(1, SUMMARY, TRADES)
        await settle(pilot, 2)
        assert "3 Trades 24" in screen_text(pilot)


async def test_leaving_the_program_ends_the_process() -> None:
    async with opened() as (pilot, workers):
        await press(pilot, "r")
    assert workers.last.closed


# ---- a result ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_a_result_shows_curve_figures_and_trades_at_every_size(size: tuple[int, int]) -> None:
    async with finished(size=size) as (pilot, _):
        text = screen_text(pilot)
        assert "1 Equity" in text
        assert "Return" in text
        assert "3 Trades 24" in text
        assert "AAPL" in text
        result = screen_of(pilot).result
        for number, pane in enumerate(result.numbered, 1):
            await press(pilot, str(number))
            assert pilot.app.focused is pane, number
            assert pane.is_on_screen
        await press(pilot, "0")
        assert pilot.app.focused is result.trades


async def test_remarks_say_what_was_odd_and_what_was_asked() -> None:
    async with finished(size=(80, 24)) as (pilot, _):
        await press(pilot, "5", "z")
        text = screen_text(pilot)
        assert "No bars of TSLA, though asked for." in text
        assert "size refused 1 signal" in text
        await press(pilot, "escape")
        assert study_of(pilot).page is Page.RESULT
        assert "3 Trades" in screen_text(pilot)


async def test_trades_are_sorted_and_filtered() -> None:
    async with finished() as (pilot, _):
        result = screen_of(pilot).result
        result.trades.sort_by("pnl", descending=True)
        best = max(range(24), key=lambda number: TRADES[number].pnl)
        await press(pilot, "g")
        assert result.selected_trade == best
        await press(pilot, "f")
        symbol = TRADES[best].symbol
        assert f"3 Trades of {symbol}: 8 of 24" in screen_text(pilot)
        assert {TRADES[int(row.key)].symbol for row in result.trades.rows} == {symbol}
        await press(pilot, "escape")
        assert result.trades.row_count == 24
        assert study_of(pilot).page is Page.RESULT


async def test_enter_on_a_symbol_lists_its_trades() -> None:
    async with finished(size=(80, 24)) as (pilot, _):
        await press(pilot, "4", "j", "enter")
        result = screen_of(pilot).result
        assert pilot.app.focused is result.trades
        assert "3 Trades of MSFT: 8 of 24" in screen_text(pilot)


async def test_slash_finds_among_the_trades() -> None:
    async with finished() as (pilot, _):
        await press(pilot, "slash", *"nvda", "enter")
        number = screen_of(pilot).result.selected_trade
        assert number is not None
        assert TRADES[number].symbol == "NVDA"
        assert pilot.app.focused is screen_of(pilot).result.trades


async def test_without_trades_it_is_said_why() -> None:
    async with opened() as (pilot, workers):
        await press(pilot, "r")
        workers.last.finish(1, no_trade_summary(), ())
        await settle(pilot, 2)
        assert "No trades: every one of 3 signals was refused" in screen_text(pilot)
        await press(pilot, "enter", "f", "y", "s", "j")
        assert study_of(pilot).page is Page.RESULT


async def test_the_latest_result_can_be_seen_again_from_the_form() -> None:
    async with finished() as (pilot, _):
        await press(pilot, "escape")
        assert study_of(pilot).page is Page.FORM
        await press(pilot, "v")
        assert study_of(pilot).page is Page.RESULT


async def test_more_trades_than_a_table_holds_are_counted() -> None:
    many = TRADES * (MOST_ROWS // 24 + 2)
    async with opened() as (pilot, workers):
        await press(pilot, "r")
        workers.last.finish(1, SUMMARY, many)
        for _ in range(200):
            await pilot.pause(0.02)
            if screen_of(pilot).result.trades.row_count:
                break
        assert screen_of(pilot).result.trades.row_count == MOST_ROWS
        assert f"the last {MOST_ROWS:,} of {len(many):,}" in screen_text(pilot)


# ---- one trade -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_enter_shows_a_trade_with_entry_exit_and_stop(size: tuple[int, int]) -> None:
    async with finished(size=size) as (pilot, workers):
        await press(pilot, "j", "enter")
        assert workers.asked[-1] == ShowTrade(1)
        assert "fetching candles" in screen_text(pilot)
        workers.last.say(some_chart(1, TRADES[1]))
        await settle(pilot, 2)
        text = screen_text(pilot)
        assert "MSFT 2m  trade 2 of 24" in text
        assert "▲" in text
        assert "▼" in text
        assert "┈" in text
        assert f"E {TRADES[1].entry_price:9.2f}".replace(" ", "") in text.replace(" ", "")
        assert "planned risk" in text
        assert "RUNNING" in text.splitlines()[0]


async def test_a_selected_trade_is_in_sight_after_looking_at_it_and_after_trading() -> None:
    async with finished(size=(80, 24)) as (pilot, _workers):
        await press(pilot, "G", "enter", *["left_square_bracket"] * 3, "escape")
        assert "▶" in screen_text(pilot)
        assert screen_of(pilot).result.selected_trade == len(TRADES) - 4
        await press(pilot, "b", "b")
        await settle(pilot, 2)
        assert screen_of(pilot).result.selected_trade == len(TRADES) - 4
        row = screen_of(pilot).result.trades.rows[-4]
        assert any("▶" in line and str(row.cells[0]) in line for line in screen_text(pilot).splitlines())


async def test_going_up_in_the_picker_selects_the_folder_one_was_in(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"day-{number:02}").mkdir()
    bars = tmp_path / "day-50" / "bars.csv"
    bars.touch()
    async with opened(bars=(bars,)) as (pilot, _workers):
        await choose_field(pilot, "bars")
        await press(pilot, "enter", "h")
        await settle(pilot, 2)
        assert any("▶" in line and "day-50/" in line for line in screen_text(pilot).splitlines())


async def test_copying_a_trade_says_what_was_copied() -> None:
    async with finished() as (pilot, _workers):
        await press(pilot, "y")
        [notice] = pilot.app._notifications
        assert TRADES[0].symbol in notice.message
        assert TRADES[0].symbol in pilot.app.clipboard


@pytest.mark.parametrize("size", SIZES)
async def test_the_days_of_a_run_are_never_cut(size: tuple[int, int]) -> None:
    async with finished(size=size) as (pilot, _workers):
        [title] = [line for line in screen_text(pilot).splitlines() if "1 Equity" in line]
        assert "…" not in title.split("╮")[0]


async def test_brackets_walk_the_trades_as_the_table_has_them() -> None:
    async with finished() as (pilot, workers):
        screen_of(pilot).result.trades.sort_by("pnl", descending=True)
        await press(pilot, "g", "enter", "right_square_bracket")
        order = sorted(range(24), key=lambda number: -TRADES[number].pnl)
        assert workers.asked[-1] == ShowTrade(order[1])
        workers.last.say(some_chart(order[0], TRADES[order[0]]))  # late, and of another
        await settle(pilot, 1)
        assert "fetching candles" in screen_text(pilot)
        await press(pilot, "left_square_bracket", "left_square_bracket")
        assert workers.asked[-1] == ShowTrade(order[0])
        assert any("no further trade" in notice.message for notice in pilot.app._notifications)
        await press(pilot, "escape")
        assert screen_of(pilot).result.selected_trade == order[0]


async def test_a_chart_that_cannot_be_had_says_why() -> None:
    async with finished() as (pilot, workers):
        await press(pilot, "enter")
        workers.last.say(Failed(None, "the bars are gone: run the backtest again"))
        await settle(pilot, 1)
        assert "run the backtest again" in screen_text(pilot)


async def test_a_process_that_ends_leaves_the_result_and_another_answers() -> None:
    async with finished() as (pilot, workers):
        workers.last.say(Gone("the backtest process has ended, killed by SIGKILL"))
        await settle(pilot, 1)
        assert "killed by SIGKILL" in screen_text(pilot)
        assert "3 Trades 24" in screen_text(pilot)
        await press(pilot, "enter")
        assert len(workers.opened) == 2
        assert workers.asked == [ShowTrade(0)]


async def test_escape_goes_back_step_by_step() -> None:
    async with finished() as (pilot, _):
        await press(pilot, "enter")
        pages = []
        for _ in range(3):
            pages.append(study_of(pilot).page)
            await press(pilot, "escape")
        assert pages == [Page.TRADE, Page.RESULT, Page.FORM]
        assert isinstance(pilot.app.screen, TradingScreen)


async def test_what_was_looked_at_is_there_again() -> None:
    async with finished() as (pilot, workers):
        await press(pilot, "j", "enter")
        workers.last.say(some_chart(1, TRADES[1]))
        await settle(pilot, 1)
        await press(pilot, "b", "b")
        await settle(pilot, 2)
        assert "MSFT 2m  trade 2 of 24" in screen_text(pilot)
        await press(pilot, "escape")
        assert screen_of(pilot).result.trades.row_count == 24


# ---- the engine behind it ------------------------------------------------------------------------------


async def go_to(pilot: Pilot[None], workers: FakeWorkers, page: Page) -> None:
    """From an open form to a page."""
    if page is not Page.FORM:
        await press(pilot, "r")
    if page in (Page.RESULT, Page.TRADE):
        workers.last.finish(1, SUMMARY, TRADES)
        await settle(pilot, 1)
    if page is Page.TRADE:
        await press(pilot, "enter")
    assert study_of(pilot).page is page


@pytest.mark.parametrize("page", list(Page))
async def test_the_engine_is_steered_from_every_page(page: Page) -> None:
    engine = FakeEngine()
    async with opened(engine, size=(80, 24)) as (pilot, workers):
        await go_to(pilot, workers, page)
        keys = screen_text(pilot).splitlines()[-1]
        assert "F Flatten" in keys
        assert "p Pause" in keys
        await press(pilot, "F")
        assert isinstance(pilot.app.screen, FlattenScreen)
        await press(pilot, "escape", "p")
        assert engine.sent == [Pause()]
        await press(pilot, "greater_than_sign")
        assert engine.sent[-1] == SetSpeed(120)
        await press(pilot, "question_mark")
        assert isinstance(pilot.app.screen, HelpScreen)
        await press(pilot, "escape", "q")
        assert isinstance(pilot.app.screen, QuitScreen)
        await press(pilot, "escape")
        assert study_of(pilot).page is page


async def test_nothing_is_steered_while_something_is_typed() -> None:
    engine = FakeEngine()
    async with opened(engine) as (pilot, _):
        await choose_field(pilot, "symbols")
        await press(pilot, "enter", "F", "p", "q", "b", "r", "enter")
        assert engine.sent == []
        assert isinstance(pilot.app.screen, BacktestScreen)
        assert study_of(pilot).form.options().symbols == ("FPQBR",)


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.PAPER, Mode.REPLAY])
async def test_the_mode_and_the_state_stay_true_on_it(mode: Mode) -> None:
    engine = FakeEngine(mode=mode)
    async with opened(engine) as (pilot, _):
        assert mode.value.upper() in screen_text(pilot).splitlines()[0]
        assert pilot.app.screen.has_class("-live") is (mode is Mode.LIVE)
        engine.change(state=EngineState.PAUSED, state_reason="asked")
        engine.emit(EngineStateChanged(EngineState.PAUSED, EngineState.RUNNING, "asked"))
        await settle(pilot)
        assert "PAUSED" in screen_text(pilot).splitlines()[0]
        assert "exits and stops stay active" in screen_text(pilot)
        assert "p Resume" in screen_text(pilot).splitlines()[-1]


async def test_it_opens_while_the_engine_is_still_starting() -> None:
    workers = FakeWorkers()
    app = TraderApp(flushes_a_second=None, open_worker=workers)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await press(pilot, "b")
        workers.last.say(VELEZ)
        await settle(pilot, 1)
        assert "STARTING" in screen_text(pilot)
        assert "sma_fast" in screen_text(pilot)
        await press(pilot, "F", "p")
        assert isinstance(pilot.app.screen, BacktestScreen)


async def test_quitting_from_it_shuts_the_engine_down() -> None:
    engine = FakeEngine(flat_snapshot())
    async with opened(engine) as (pilot, workers):
        await press(pilot, "r", "q")
        assert len(engine.sent) == 1
        engine.stopped = True
        await settle(pilot, 1)
        assert pilot.app._exit
    assert workers.last.closed


async def test_nothing_is_painted_when_nothing_changes() -> None:
    async with finished() as (pilot, _):
        app = pilot.app
        assert isinstance(app, TraderApp)
        await settle(pilot)
        painted: list[object] = []
        for widget in app.screen.walk_children():
            widget.refresh = lambda *a, _w=widget, **k: painted.append(_w)  # type: ignore[method-assign,assignment]
        for _ in range(5):
            app.flush()
        assert painted == []


async def test_the_trading_screen_fits_after_the_terminal_was_resized_on_the_other() -> None:
    async with opened(size=(200, 60)) as (pilot, _):
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert "sma_fast" in screen_text(pilot)
        await press(pilot, "b")
        await settle(pilot)
        text = screen_text(pilot)
        assert "5 Log" in text
        assert "6 Strategies" not in text
        assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("size", [(1, 1), (40, 12), (60, 18), (99, 30), (100, 20), (160, 24), (300, 100)])
async def test_every_size_paints_every_page(size: tuple[int, int]) -> None:
    async with finished(size=size) as (pilot, workers):
        await press(pilot, "1", "2", "3", "4", "5", "z", "z", "0", "enter")
        workers.last.say(some_chart(0, TRADES[0]))
        await settle(pilot, 1)
        await press(pilot, "escape", "escape", "j", "enter", "escape", "r", "escape")
        assert pilot.app.is_running


# ---- words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", NASTY)
async def test_no_text_is_parsed_or_obeyed(text: str) -> None:
    word = text or "X"
    nasty = replace(
        VELEZ, strategy=word, about=text, problem="",
        names=(*VELEZ.names, VELEZ.names[0]._replace(name=word, source=text)),
        parameters=(replace(VELEZ.parameters[0], name=word, value=text, note=text, bounds=text),),
    )  # fmt: skip
    trades = [found._replace(symbol=word, strategy=word) for found in TRADES]
    summary = replace(
        some_summary(trades),
        strategy=word,
        symbols=(word,),
        config=((word, text),),
        remarks=((word, (text,)),),
    )
    async with opened(size=(200, 60), bars=(Path("/d") / (text.replace("/", "") or "x"),)) as (
        pilot,
        workers,
    ):
        study_of(pilot).form.put("strategy", word)
        workers.last.say(nasty, Checked(2, text))
        await settle(pilot, 1)
        await press(pilot, "j", "j", "j", "enter")
        screen_of(pilot)._edit_text.value = text
        await press(pilot, "enter", "r")
        workers.last.say(Failed(1, text))
        await settle(pilot, 1)
        shown = screen_text(pilot)
        if "[403]" in text:
            assert "[403] [/x] [red]" in shown
        await press(pilot, "r")
        workers.last.finish(2, summary, trades)
        await settle(pilot, 1)
        await press(pilot, "f", "y", "f", "5", "3", "enter")
        workers.last.say(replace(some_chart(0, trades[0]), averages=(word, text)))
        await settle(pilot, 1)
        shown += screen_text(pilot)
        await press(pilot, "escape", "b")
        assert pilot.app.is_running
        assert "\x1b" not in shown
        assert "\x07" not in shown


async def test_help_and_palette_know_the_keys() -> None:
    async with opened() as (pilot, _):
        await press(pilot, "question_mark")
        text = screen_text(pilot)
        assert "Run the backtest" in text
        assert "Back to trading" in text
        await press(pilot, "escape", "ctrl+p")
        await pilot.pause(0.1)
        await press(pilot, *"run the")
        for _ in range(50):
            await pilot.pause(0.02)
            if "Run the backtest (r)" in screen_text(pilot):
                break
        assert "Run the backtest (r)" in screen_text(pilot)
        await pilot.press("escape")
        await pilot.pause(0.1)
        await press(pilot, "b", "question_mark")
        assert "try a strategy on recorded bars" in screen_text(pilot)


# ---- the real process ----------------------------------------------------------------------------------


async def until(pilot: Pilot[None], words: str) -> str:
    for _ in range(1500):
        await settle(pilot, 1)
        if words in screen_text(pilot):
            return screen_text(pilot)
        await pilot.pause(0.02)
    raise AssertionError(f"not seen: {words}\n{screen_text(pilot)}")


async def test_a_backtest_from_the_form_to_a_trade_with_the_real_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    bars = write_waves(tmp_path / "waves.csv")
    settings = UiSettings(backtest=BacktestOptions((bars,)))
    app = TraderApp(FakeEngine(), settings=settings, flushes_a_second=None)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await press(pilot, "b")
        await until(pilot, "tightness_threshold_pct")
        await choose_field(pilot, "strategy")
        await press(pilot, "right")
        await until(pilot, "atr_period")
        for key, value in (("sma_fast", "5"), ("sma_slow", "15")):
            await choose_field(pilot, key)
            await press(pilot, "enter", "end", "backspace", "backspace", *value, "enter")
        await choose_field(pilot, "candle_interval_minutes")
        await press(pilot, "left")
        await press(pilot, "r")
        text = await until(pilot, "3 Trades")
        assert "sma_cross  AAA,BBB  2025-06-02 to 2025-06-03" in text
        assert app.study.outcome is not None
        assert len(app.study.outcome.trades) > 5
        await press(pilot, "enter")
        text = await until(pilot, "━ SMA 5")
        assert "trade 1 of" in text
        await press(pilot, "escape", "escape", "escape")
        assert isinstance(pilot.app.screen, TradingScreen)
