"""Every key and every flow, on a scripted engine."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from textual.widgets import Input

from tests.tui.driving import make_app, press, running, screen_text, settle
from tests.tui.fake_engine import NOW, ORDERS, POSITIONS, D, FakeEngine, flat_snapshot, trading_snapshot
from tui_trader.core.events import ConnectionChanged, EngineState, PositionChanged
from tui_trader.engine.handle import (
    CancelWorkingOrder,
    EngineHandle,
    Flatten,
    Pause,
    Resume,
    SetSpeed,
    Shutdown,
)
from tui_trader.errors import RefusedToStart, UsageError
from tui_trader.tui.app import TraderApp
from tui_trader.tui.keys import KEYS
from tui_trader.tui.screens.confirm import ConfirmScreen
from tui_trader.tui.screens.flatten import FlattenScreen
from tui_trader.tui.screens.help import HelpScreen
from tui_trader.tui.screens.quit import QuitScreen, ShutdownScreen
from tui_trader.tui.screens.trading import TradingScreen
from tui_trader.tui.screens.welcome import WelcomeScreen
from tui_trader.tui.settings import UiSettings
from tui_trader.venues.base import Mode


def trading(app: object) -> TradingScreen:
    assert isinstance(app, TraderApp)
    return app.trading


# ---- looking around ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_number_keys_reach_every_pane_at_every_size(size: tuple[int, int]) -> None:
    async with running(size=size) as pilot:
        panes = trading(pilot.app).panes.numbered
        for number, pane in enumerate(panes, 1):
            await press(pilot, str(number))
            assert pilot.app.focused is pane, number
            assert pane.is_on_screen
        await press(pilot, "0")
        assert trading(pilot.app).panes.watchlist.is_on_screen


async def test_orders_and_log_share_a_place_where_both_do_not_fit() -> None:
    async with running(size=(80, 24)) as pilot:
        panes = trading(pilot.app).panes
        assert panes.log_view.display
        assert not panes.orders.display
        await press(pilot, "4")
        assert panes.orders.display
        assert not panes.log_view.display
        await press(pilot, "5")
        assert panes.log_view.display


async def test_z_zooms_the_focused_pane_and_back() -> None:
    async with running() as pilot:
        panes = trading(pilot.app).panes
        await press(pilot, "3", "z")
        assert panes.positions.size.height > 30
        assert not panes.watchlist.display
        await press(pilot, "z")
        assert panes.watchlist.display


async def test_brackets_change_the_symbol_of_the_chart_from_any_pane() -> None:
    async with running() as pilot:
        panes = trading(pilot.app).panes
        await press(pilot, "3", "right_square_bracket")
        assert panes.chart.symbol == "MSFT"
        await press(pilot, "left_square_bracket")
        assert panes.chart.symbol == "AAPL"


async def test_a_selected_position_is_shown_in_the_chart() -> None:
    async with running() as pilot:
        await press(pilot, "3", "j")
        await settle(pilot)
        assert trading(pilot.app).panes.chart.symbol == "NVDA"


async def test_moving_and_sorting_keys_work_in_tables() -> None:
    async with running() as pilot:
        watchlist = trading(pilot.app).panes.watchlist
        await press(pilot, "j", "j", "k")
        assert watchlist.selected_key == "MSFT"
        await press(pilot, "G")
        assert watchlist.selected_key == "F"
        await press(pilot, "g", "s")
        assert watchlist.sort_key == "symbol"
        await press(pilot, "S")
        assert watchlist.sort_descending


async def test_chart_keys_work_from_any_pane() -> None:
    async with running() as pilot:
        chart = trading(pilot.app).panes.chart
        await press(pilot, "minus")
        assert chart.zoom == 2
        await press(pilot, "plus", "h")
        assert chart.zoom == 1
        assert not chart.following
        await press(pilot, "l")
        assert chart.following


async def test_keys_typed_ahead_zoom_the_pane_they_name() -> None:
    for size, key, name in (((120, 40), "5", "log"), ((80, 24), "4", "orders")):
        async with running(size=size) as pilot:
            await pilot.press(key, "z")
            await settle(pilot)
            assert [pane.id for pane in trading(pilot.app).panes.numbered if pane.display] == [name]


async def test_find_selects_and_types_freely() -> None:
    async with running() as pilot:
        watchlist = trading(pilot.app).panes.watchlist
        await press(pilot, "slash", "t", "s")
        assert watchlist.selected_key == "TSLA"
        await press(pilot, "F", "q", "p", "x")
        assert isinstance(pilot.app.screen, TradingScreen)
        assert pilot.app.screen.query_one("#find", Input).value == "tsFqpx"
        await press(pilot, "enter")
        assert watchlist.has_focus
        await press(pilot, "slash", "escape")
        assert watchlist.has_focus


async def test_y_copies_the_row() -> None:
    async with running() as pilot:
        await press(pilot, "3", "y")
        assert pilot.app.clipboard.startswith("AAPL\t▲ LONG\t120\t202.21")


async def test_t_cycles_the_themes() -> None:
    async with running() as pilot:
        seen = []
        for _ in range(5):
            await press(pilot, "t")
            seen.append(pilot.app.theme)
        assert seen == ["paper", "okabe-ito", "mono", "ansi", "midnight"]


async def test_repaint_and_ctrl_c_do_no_harm() -> None:
    async with running() as pilot:
        await press(pilot, "ctrl+l", "ctrl+c")
        assert pilot.app.is_running
        assert "press q to quit" in [notice.message for notice in pilot.app._notifications]


async def test_help_lists_every_key_of_the_table() -> None:
    async with running(size=(120, 90)) as pilot:
        await press(pilot, "question_mark")
        assert isinstance(pilot.app.screen, HelpScreen)
        text = screen_text(pilot)
        for binding in KEYS:
            assert binding.tooltip in text
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, TradingScreen)


async def test_the_palette_knows_symbols_and_actions() -> None:
    async with running() as pilot:
        await press(pilot, "ctrl+p")
        await pilot.press(*"show tsla")
        await pilot.app.workers.wait_for_complete()
        await pilot.pause(0.3)
        await pilot.press("enter", "enter")
        await settle(pilot)
        assert trading(pilot.app).panes.watchlist.selected_key == "TSLA"


def test_no_key_has_priority_or_is_bound_twice() -> None:
    keys = [key for binding in KEYS for key in binding.key.split(",")]
    assert len(keys) == len(set(keys))
    assert not any(binding.priority for binding in KEYS)
    assert all(binding.id and binding.tooltip for binding in KEYS)


# ---- steering ------------------------------------------------------------------------------------------


async def test_p_pauses_at_once_and_resumes() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "p")
        assert engine.sent == [Pause()]
        engine.change(state=EngineState.PAUSED, state_reason="paused by the user")
        await press(pilot, "p")
        await settle(pilot)
        assert "exits and stops stay active" in screen_text(pilot)
        await press(pilot, "p")
        assert engine.sent[-1] == Resume()


async def test_resume_asks_when_live() -> None:
    engine = FakeEngine(trading_snapshot(state=EngineState.PAUSED), mode=Mode.LIVE)
    async with running(engine) as pilot:
        await press(pilot, "p")
        assert isinstance(pilot.app.screen, ConfirmScreen)
        await press(pilot, "enter")  # the focus begins on Cancel
        assert engine.sent == []
        await press(pilot, "p", "y")
        assert engine.sent == [Resume()]


async def test_speed_keys_step_and_are_dead_on_paper() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "greater_than_sign", "less_than_sign")
        assert engine.sent[0] == SetSpeed(120)
        assert "Speed" in screen_text(pilot)
    engine = FakeEngine(mode=Mode.PAPER)
    async with running(engine) as pilot:
        await press(pilot, "greater_than_sign")
        assert engine.sent == []
        assert "Speed" not in screen_text(pilot)


async def test_c_cancels_entries_and_refuses_stops() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "4")
        trading(pilot.app).panes.orders.select("o-amd")
        await press(pilot, "c")
        assert engine.sent == [CancelWorkingOrder("o-amd")]
        trading(pilot.app).panes.orders.select("o-aapl")
        await press(pilot, "c")
        assert len(engine.sent) == 1


async def test_x_closes_the_selected_position_after_asking() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "3", "j", "x")
        assert isinstance(pilot.app.screen, FlattenScreen)
        assert "sell 80 NVDA at market" in screen_text(pilot)
        assert "120 AAPL" not in screen_text(pilot).split("Close NVDA")[1].split("Cancel")[0]
        await press(pilot, "enter")
        assert engine.sent == [Flatten("NVDA")]


# ---- flatten -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["y", "enter"])
@pytest.mark.parametrize("mode", [Mode.SIM, Mode.REPLAY, Mode.PAPER])
async def test_flatten_previews_confirms_and_follows_until_flat(mode: Mode, key: str) -> None:
    engine = FakeEngine(mode=mode)
    async with running(engine) as pilot:
        await press(pilot, "F")
        text = screen_text(pilot)
        assert "cancel 3 orders" in text
        assert "sell 120 AAPL at market ≈ $24,280" in text
        await press(pilot, key)
        assert engine.sent == [Flatten(None)]
        assert "120 shares left" in screen_text(pilot)
        engine.change(positions=POSITIONS[1:], orders=(), seq=200)
        await settle(pilot, 6)
        assert "AAPL  flat" in screen_text(pilot)
        assert "80 shares left" in screen_text(pilot)
        engine.change(positions=(), seq=201, state=EngineState.PAUSED)
        await settle(pilot, 6)
        assert "nothing held" in screen_text(pilot)
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, TradingScreen)


async def test_escape_flattens_nothing() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "F", "escape")
        assert engine.sent == []


async def test_flatten_live_wants_the_word_and_begins_on_cancel() -> None:
    engine = FakeEngine(mode=Mode.LIVE)
    async with running(engine) as pilot:
        await press(pilot, "F", "enter")
        assert isinstance(pilot.app.screen, TradingScreen)
        await press(pilot, "F", "y")
        assert engine.sent == []
        assert pilot.app.focused is pilot.app.screen.query_one(Input)
        await press(pilot, *"FLATTE", "enter")
        assert engine.sent == []
        await press(pilot, "N", "enter")
        assert engine.sent == [Flatten(None)]


async def test_the_word_may_be_typed_at_once_although_cancel_has_the_focus() -> None:
    engine = FakeEngine(mode=Mode.LIVE)
    async with running(engine) as pilot:
        await press(pilot, "F", *"FLATTEN", "enter")
        assert engine.sent == [Flatten(None)]


async def test_flatten_lists_again_when_positions_change_before_the_answer() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "F")
        engine.emit(PositionChanged("AAPL", 60, D("202.21"), D("200.55"), D(0)))
        engine.change(positions=(replace(POSITIONS[0], qty=60), POSITIONS[1]))
        await pilot.press("y")  # before any flush
        await pilot.pause()
        assert engine.sent == []
        assert "have changed: look again" in screen_text(pilot)
        assert "sell 60 AAPL" in screen_text(pilot)
        await pilot.press("y")
        await pilot.pause()
        assert engine.sent == [Flatten(None)]


async def test_flatten_suggests_a_retry_when_nothing_moves() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "F", "y")
        await settle(pilot, 25)
        assert "r tries again" in screen_text(pilot)
        await press(pilot, "r")
        assert engine.sent == [Flatten(None), Flatten(None)]


async def test_the_engine_runs_on_behind_a_dialog() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "F")
        engine.emit(ConnectionChanged("bars", "stale", 0))
        engine.change(streams=())
        await settle(pilot, 1)
        assert trading(pilot.app).panes.log_view.line_count == 1


# ---- leaving -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_quit_when_flat_shuts_down_and_leaves_when_stopped(key: str) -> None:
    engine = FakeEngine(flat_snapshot())
    async with running(engine) as pilot:
        await press(pilot, key)
        assert engine.sent == [Shutdown(reason="quit", positions="close")]
        assert isinstance(pilot.app.screen, ShutdownScreen)
        engine.stopped = True
        await settle(pilot, 1)
        assert not pilot.app._running or pilot.app._exit
    assert not pilot.app.forced  # type: ignore[attr-defined]


@pytest.mark.parametrize(("key", "positions"), [("e", "close"), ("k", "keep")])
async def test_quit_with_positions_asks_what_becomes_of_them(key: str, positions: str) -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "q")
        assert isinstance(pilot.app.screen, QuitScreen)
        assert "AAPL 120 shares" in screen_text(pilot)
        await press(pilot, key)
        assert engine.sent == [Shutdown(reason="quit", positions=positions)]  # type: ignore[arg-type]


async def test_quit_can_be_thought_better_of() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        await press(pilot, "q", "enter")
        assert isinstance(pilot.app.screen, TradingScreen)
        assert engine.sent == []


async def test_leaving_protected_needs_every_stop() -> None:
    naked = replace(POSITIONS[0], stop_working=False)
    engine = FakeEngine(trading_snapshot(positions=(naked,)))
    async with running(engine) as pilot:
        assert "No working stop for AAPL" in screen_text(pilot)
        await press(pilot, "q", "k")
        assert engine.sent == []
        assert isinstance(pilot.app.screen, QuitScreen)


async def test_a_second_q_forces_after_a_warning() -> None:
    engine = FakeEngine(flat_snapshot())
    async with running(engine) as pilot:
        await press(pilot, "q", "q")
        assert "q again leaves at once" in screen_text(pilot)
        await pilot.press("q")
        await pilot.pause()
    assert pilot.app.forced  # type: ignore[attr-defined]
    assert pilot.app.return_code == 130


async def test_an_engine_that_stops_by_itself_is_told_until_q() -> None:
    engine = FakeEngine(flat_snapshot())
    async with running(engine) as pilot:
        engine.stopped = True
        await settle(pilot, 1)
        assert "The engine has stopped" in screen_text(pilot)
        assert pilot.app.is_running
        await press(pilot, "F", "p")
        assert engine.sent == []
        await pilot.press("q")
        await pilot.pause()
    assert pilot.app.return_code == 0


async def test_exit_when_done_leaves_by_itself() -> None:
    engine = FakeEngine(flat_snapshot())
    async with running(engine, settings=UiSettings(exit_when_done=True)) as pilot:
        engine.stopped = True
        await settle(pilot, 1)
        assert pilot.app._exit


async def test_leave_closes_the_screen_from_another_thread() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        assert isinstance(pilot.app, TraderApp)
        thread = threading.Thread(target=pilot.app.leave)
        thread.start()
        thread.join()
        await pilot.pause()
        assert pilot.app._exit
    assert engine.sent == []


# ---- beginning -----------------------------------------------------------------------------------------


async def test_the_frame_is_painted_before_the_engine_starts() -> None:
    release = threading.Event()
    engine = FakeEngine()

    def start() -> EngineHandle:
        release.wait(10)
        return engine

    app = TraderApp(start_engine=start, flushes_a_second=None)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert "STARTING" in screen_text(pilot)
        assert app.link is None
        await pilot.press("F", "p", "x", "c", "y", "right_square_bracket", "slash", "z", "z", "minus")
        release.set()
        await app.workers.wait_for_complete()
        await settle(pilot)
        assert "RUNNING" in screen_text(pilot)
        assert app.handle is engine


async def test_an_engine_that_cannot_start_ends_the_app_with_its_error() -> None:
    def start() -> EngineHandle:
        raise RefusedToStart("key is for paper, --live was given")

    app = TraderApp(start_engine=start, flushes_a_second=None)
    async with app.run_test() as pilot:
        for _ in range(50):
            await pilot.pause(0.02)
            if app._exit:
                break
    assert isinstance(app.failure, RefusedToStart)
    assert app.return_code == 3


async def test_leaving_while_the_engine_starts_shuts_it_down_when_it_is_there() -> None:
    release = threading.Event()
    engine = FakeEngine()

    def start() -> EngineHandle:
        release.wait(10)
        return engine

    app = TraderApp(start_engine=start, flushes_a_second=None)
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.press("q")
        release.set()
        for _ in range(100):
            await pilot.pause(0.01)
            if engine.sent:
                break
    assert engine.sent == [Shutdown(reason="left while starting")]


def test_without_a_terminal_it_says_headless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_trader.tui.terminal.is_terminal", lambda: False)
    with pytest.raises(UsageError, match="--headless"):
        make_app().run_ui()


async def test_the_first_run_card_can_be_put_away() -> None:
    async with running(settings=UiSettings(first_run=True)) as pilot:
        assert isinstance(pilot.app.screen, WelcomeScreen)
        await press(pilot, "enter")
        assert isinstance(pilot.app.screen, TradingScreen)


async def test_the_first_run_card_leads_to_the_keys() -> None:
    async with running(settings=UiSettings(first_run=True)) as pilot:
        await press(pilot, "question_mark")
        await settle(pilot)
        assert isinstance(pilot.app.screen, HelpScreen)


# ---- staying true --------------------------------------------------------------------------------------


async def test_dropped_events_are_made_up_for_by_a_snapshot() -> None:
    engine = FakeEngine()
    async with running(engine, size=(200, 60)) as pilot:
        engine.change(positions=(), seq=500)
        engine.subscriptions[0].dropped = 12
        await settle(pilot, 6)
        assert trading(pilot.app).panes.positions.row_count == 0
        assert "12 events came too fast" in screen_text(pilot)


async def test_nothing_is_painted_when_nothing_changes() -> None:
    async with running() as pilot:
        app = pilot.app
        assert isinstance(app, TraderApp)
        painted: list[object] = []
        watched: list[Callable[..., object]] = []
        for widget in app.screen.walk_children():
            watched.append(widget.refresh)
            widget.refresh = lambda *a, _w=widget, **k: painted.append(_w)  # type: ignore[method-assign,assignment]
        for _ in range(5):
            app.flush()
        assert painted == []


async def test_a_screen_too_small_says_so_and_comes_back() -> None:
    async with running(size=(39, 11)) as pilot:
        assert "too small" in screen_text(pilot)
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert "Watchlist" in screen_text(pilot)


@pytest.mark.parametrize("size", [(1, 1), (40, 12), (60, 18), (99, 30), (100, 20), (160, 24), (300, 100)])
async def test_every_size_paints(size: tuple[int, int]) -> None:
    async with running(size=size) as pilot:
        await press(pilot, "F", "escape", "question_mark", "escape", "q", "escape")
        assert pilot.app.is_running


async def test_warming_up_shows_how_far_it_is() -> None:
    engine = FakeEngine(flat_snapshot(state=EngineState.WARMING_UP, warmup_done=5, warmup_total=14, time=NOW))
    async with running(engine) as pilot:
        text = screen_text(pilot)
        assert "WARMING UP" in text
        assert "5/14" in text
        assert "warming up, 5 of 14 symbols ready" in text


async def test_orders_are_counted_where_they_are_not_shown() -> None:
    async with running(size=(80, 24)) as pilot:
        assert f"{len(ORDERS)} working orders" in screen_text(pilot)


async def test_a_signal_shuts_the_engine_down_and_leaves_when_it_has_stopped() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        app = pilot.app
        assert isinstance(app, TraderApp)
        app.on_signal(signal.SIGTERM)
        await settle(pilot, 1)
        assert engine.sent == [Shutdown(reason="SIGTERM")]
        assert not app._exit
        engine.stopped = True
        await settle(pilot, 1)
        assert app._exit
    assert not app.forced


async def test_a_second_signal_leaves_at_once() -> None:
    engine = FakeEngine()
    async with running(engine) as pilot:
        app = pilot.app
        assert isinstance(app, TraderApp)
        app.on_signal(signal.SIGINT)
        app.on_signal(signal.SIGINT)
        await pilot.pause()
        assert app._exit
    assert app.forced
