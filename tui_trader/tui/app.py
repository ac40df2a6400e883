"""The terminal application: paints at once, then starts the engine and follows it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.worker import Worker, WorkerState

from tui_trader.errors import UsageError
from tui_trader.tui import terminal
from tui_trader.tui.screens.steering import SteeringScreen
from tui_trader.tui.screens.trading import TradingScreen
from tui_trader.tui.settings import UiSettings
from tui_trader.tui.themes import VARIABLES, ThemeSet, first_theme, load_themes

if TYPE_CHECKING:
    from textual.command import Provider

    from tui_trader.engine.handle import EngineHandle, PositionsPolicy
    from tui_trader.tui.backtest.study import OpenWorker, Study
    from tui_trader.tui.link import EngineLink

_FLUSHES_A_SECOND = 4.0
_FORCED = 130
_WATCHDOG_S = 3.0


def _commands() -> type[Provider]:
    from tui_trader.tui.commands import TraderCommands  # not before the first paint

    return TraderCommands


class TraderApp(App[None]):
    """One screen on one engine.

    ``start_engine`` is called in a thread once the first frame is painted, unless a running engine is given.
    The engine outlives the app: whoever called ``run_ui`` joins it. Afterwards ``handle`` is the engine if
    it came to be, ``failure`` what kept it from starting, ``forced`` whether a person left without waiting.
    """

    TITLE = "tui-trader"
    CSS_PATH = "trader.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[Callable[[], type[Provider]]]] = {_commands}  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True, id="app.quit", tooltip="Leave"),
        Binding("ctrl+c", "say_quit", show=False, system=True),
    ]

    def __init__(
        self,
        handle: EngineHandle | None = None,
        start_engine: Callable[[], EngineHandle] | None = None,
        settings: UiSettings | None = None,
        flushes_a_second: float | None = _FLUSHES_A_SECOND,
        open_worker: OpenWorker | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings or UiSettings()
        self.handle = handle
        self.failure: Exception | None = None
        self.forced = False
        self.leaving = False
        self._owns_process = False  # whether ending the app may end the process
        self.link: EngineLink | None = None
        self._start_engine = start_engine
        self._flushes_a_second = flushes_a_second
        self._open_worker = open_worker
        self._study: Study | None = None
        self._ui_loop: asyncio.AbstractEventLoop | None = None
        self._theme_set = ThemeSet((), ())
        theme = first_theme(self.settings.theme, self.settings.themes_folder, self.settings.swap_colours)
        self.register_theme(theme)
        self.theme = theme.name
        self.trading = TradingScreen(self.settings, self.size)

    # ---- running ---------------------------------------------------------------------------------------

    def run_ui(self) -> None:
        """Run until the screen closes.

        Raises ``UsageError`` without a terminal, and whatever kept the engine from starting.
        """
        if not terminal.is_terminal():
            raise UsageError(terminal.NO_TERMINAL)
        self._owns_process = True
        restore = terminal.install_signal_hooks(self.on_signal)
        try:
            self.run()
        finally:
            restore()
        if self.failure is not None:
            raise self.failure

    def leave(self) -> None:
        """Close the screen, from any thread or a signal handler. The engine is not touched."""
        loop = self._ui_loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.exit)

    def on_signal(self, number: signal.Signals) -> None:
        """The first signal shuts the engine down and leaves when it has stopped; a second leaves at once.

        Closing a terminal hangs up more than once, in no hurry: that is never the second.
        """
        hung_up = number is signal.SIGHUP
        if hung_up and self.leaving:
            return
        if not self.leaving and self._owns_process:
            threading.Thread(target=self._watch_the_end, name="watchdog", daemon=True).start()
        if self.leaving or self.handle is None:
            self.forced = self.leaving
            self.leaving = True
            self.leave()
            return
        self.leaving = True
        self._send_shutdown(number.name)

    def _watch_the_end(self) -> None:
        """End the process once the engine has ended, should the loop hang at a terminal gone deaf."""
        time.sleep(_WATCHDOG_S)
        while self.handle is not None and not self.handle.stopped:
            time.sleep(_WATCHDOG_S)
        time.sleep(_WATCHDOG_S)
        os._exit(self.handle.exit_code if self.handle is not None else 0)

    def _send_shutdown(self, reason: str) -> None:
        from tui_trader.engine.handle import Shutdown

        if self.handle is not None:
            self.handle.send(Shutdown(reason=reason))

    def get_default_screen(self) -> TradingScreen:
        return self.trading

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(VARIABLES)

    def on_mount(self) -> None:
        self._ui_loop = asyncio.get_running_loop()
        # Only when the first frame is on the terminal may anything heavy begin.
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        if self.leaving:  # a signal that came before the loop could be told
            self.exit()
            return
        gc.enable()
        gc.freeze()  # what there is now lives as long as the screen
        self._load_themes()
        for problem in self._theme_set.problems:
            self.notify(problem, title="theme left out", severity="warning", markup=False)
        if self.settings.theme not in self.theme_names:
            self.notify(f"no theme {self.settings.theme!r}", severity="warning", markup=False)
        if self.handle is not None:
            self._connect(self.handle)
        elif self._start_engine is not None:
            self.run_worker(self._launch, thread=True, exclusive=False, exit_on_error=False, group="engine")
        if self.settings.first_run:
            from tui_trader.tui.screens.welcome import WelcomeScreen

            self.push_screen(WelcomeScreen(self.settings.config_file))
        if self._flushes_a_second:
            self.set_interval(1 / self._flushes_a_second, self.flush)

    def _load_themes(self) -> None:
        """All of them, now that one is on the screen."""
        self._theme_set = load_themes(self.settings.themes_folder, self.settings.swap_colours)
        for theme in self._theme_set.themes:
            if theme.name != self.theme:
                self.register_theme(theme)

    def _launch(self) -> EngineHandle:
        assert self._start_engine is not None
        handle = self._start_engine()
        self.handle = handle
        if self.leaving:
            self._send_shutdown("left while starting")
        return handle

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker.group != "engine":
            return
        if event.state is WorkerState.SUCCESS and self.handle is not None and not self.leaving:
            self._connect(self.handle)
        elif event.state is WorkerState.ERROR:
            error = event.worker.error
            self.failure = error if isinstance(error, Exception) else RuntimeError(str(error))
            self.exit(return_code=getattr(error, "exit_code", 1))

    def _connect(self, handle: EngineHandle) -> None:
        from tui_trader.tui.link import EngineLink

        self.link = EngineLink(handle)
        self.flush()

    def flush(self) -> None:
        """Take in what the engine said since the last flush, and paint what that changed."""
        link = self.link
        if link is None:
            return
        link.poll()
        for screen in self.screen_stack:
            paint = getattr(screen, "paint", None)
            if paint is not None and screen.is_mounted:
                paint()
        asked_to = link.model.picture.stop_was_asked_for
        if link.stopped and (self.leaving or asked_to or self.settings.exit_when_done):
            link.close()
            self.exit()

    # ---- leaving ---------------------------------------------------------------------------------------

    async def action_quit(self) -> None:
        """Leave: at once when nothing is open, else ask; then wait for the engine, unless forced."""
        from tui_trader.tui.screens.quit import QuitScreen, ShutdownScreen

        link = self.link
        if link is None or link.stopped:
            self.leaving = True
            self.exit()
        elif isinstance(self.screen, ShutdownScreen):
            if self.screen.warn():
                self.forced = True
                self.exit(return_code=_FORCED)
        elif isinstance(self.screen, QuitScreen):
            self.screen.dismiss(None)
        elif self.leaving or (link.model.picture.synced and link.model.picture.flat):
            self._shut_down(link, "close")
        else:
            self.push_screen(QuitScreen(link), lambda choice: self._decided(link, choice))

    def _decided(self, link: EngineLink, choice: PositionsPolicy | None) -> None:
        if choice is not None:
            self._shut_down(link, choice)

    def _shut_down(self, link: EngineLink, positions: PositionsPolicy) -> None:
        from tui_trader.engine.handle import Shutdown
        from tui_trader.tui.screens.quit import ShutdownScreen

        self.leaving = True
        link.send(Shutdown(reason="quit", positions=positions))
        self.push_screen(ShutdownScreen(link, keep=positions == "keep"))

    def action_say_quit(self) -> None:
        self.notify("press q to quit", markup=False)

    # ---- backtests -------------------------------------------------------------------------------------

    @property
    def study(self) -> Study:
        """What the backtest screen is about; it stays as it was left."""
        if self._study is None:
            from tui_trader.backtest.worker.client import WorkerClient
            from tui_trader.tui.backtest.recent import RecentBars
            from tui_trader.tui.backtest.study import Study

            recent = RecentBars(self.settings.recent_bars)
            opener = self._open_worker or WorkerClient
            self._study = Study(self.settings.backtest, opener, self._hand_over, recent)
            self._study.on_end = self._backtest_ended
        return self._study

    def _backtest_ended(self, text: str) -> None:
        """Tell whoever has gone back to trading meanwhile."""
        from tui_trader.tui.screens.backtest import BacktestScreen
        from tui_trader.tui.widgets.plain_text import clean

        if not any(isinstance(screen, BacktestScreen) for screen in self.screen_stack):
            self.notify(clean(text), markup=False)

    def _hand_over(self, call: Callable[[], None]) -> None:
        """Have something called on the screen's thread, from any other."""
        with suppress(RuntimeError):  # the loop has ended: nobody needs to hear it
            self.call_later(call)

    def open_backtest(self) -> None:
        from tui_trader.tui.screens.backtest import BacktestScreen  # not before the first paint

        self.push_screen(BacktestScreen(self.settings, self.size, self.study))

    def on_unmount(self) -> None:
        if self._study is not None:
            self._study.close()

    # ---- looks -----------------------------------------------------------------------------------------

    @property
    def theme_names(self) -> list[str]:
        """Our themes, in the order in which they are cycled."""
        return [theme.name for theme in self._theme_set.themes]

    def next_theme(self) -> None:
        names = self.theme_names
        place = names.index(self.theme) if self.theme in names else -1
        self.use_theme(names[(place + 1) % len(names)])

    def use_theme(self, name: str) -> None:
        self.theme = name
        self.notify(f"theme {name}", markup=False, timeout=2)

    def action_command_palette(self) -> None:
        # Its key works under dialogs too, but there the palette would be about the wrong screen.
        if isinstance(self.screen, SteeringScreen):
            super().action_command_palette()
