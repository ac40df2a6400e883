"""The terminal application: paints at once, then starts the engine and follows it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.worker import Worker, WorkerState

from tui_trader.errors import UsageError
from tui_trader.tui import terminal
from tui_trader.tui.announce import Announcer
from tui_trader.tui.keys import APP_KEYS, DEFAULT_NAMES, display, for_textual, key_names
from tui_trader.tui.screens.steering import SteeringScreen
from tui_trader.tui.screens.trading import TradingScreen
from tui_trader.tui.settings import UiSettings
from tui_trader.tui.themes import VARIABLES, ThemeSet, first_theme, load_themes
from tui_trader.tui.widgets.plain_text import clean

if TYPE_CHECKING:
    from textual.command import Provider

    from tui_trader.config import LoadedSettings
    from tui_trader.engine.handle import EngineHandle, PositionsPolicy
    from tui_trader.tui.backtest.study import OpenWorker, Study
    from tui_trader.tui.link import EngineLink
    from tui_trader.tui.reload import Reloaded

_FLUSHES_A_SECOND = 4.0
_FORCED = 130
_WATCHDOG_S = 3.0
_NAMED = 3  # settings that wait for a restart, named in one notice


def _commands() -> type[Provider]:
    from tui_trader.tui.commands import TraderCommands  # not before the first paint

    return TraderCommands


class TraderApp(App[None]):
    """One screen on one engine.

    ``start_engine`` is called in a thread once the first frame is painted, unless a running engine is given.
    The engine outlives the app: whoever called ``run_ui`` joins it. Afterwards ``handle`` is the engine if
    it came to be, ``failure`` what kept it from starting, ``forced`` whether a person left without waiting.
    ``read_config`` reads the configuration, before the engine starts and whenever a person asks for it.
    """

    TITLE = "tui-trader"
    CSS_PATH = "trader.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[Callable[[], type[Provider]]]] = {_commands}  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [
        *APP_KEYS,
        Binding("ctrl+c", "say_quit", show=False, system=True),
    ]

    def __init__(
        self,
        handle: EngineHandle | None = None,
        start_engine: Callable[[], EngineHandle] | None = None,
        settings: UiSettings | None = None,
        flushes_a_second: float | None = _FLUSHES_A_SECOND,
        open_worker: OpenWorker | None = None,
        read_config: Callable[[], LoadedSettings] | None = None,
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
        self._read_config = read_config
        self.config: Reloaded | None = None  # once it has been read
        self.key_names: Mapping[str, str] = DEFAULT_NAMES
        self._announcer = Announcer(self._write, in_tmux="TMUX" in os.environ)
        if self.settings.keys:
            self._use_keys()
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
        self._tell_problems(self._theme_set.problems)
        if self.settings.theme not in self.theme_names:
            self.notify(f"no theme {self.settings.theme!r}", severity="warning", markup=False)
        if self.settings.keys and not self.reads_config:
            self._check_keys()
        if self.handle is not None:
            self._connect(self.handle)
        elif self._start_engine is not None:
            self.run_worker(self._launch, thread=True, exclusive=False, exit_on_error=False, group="engine")
        if self.settings.first_run:
            from tui_trader.tui.screens.welcome import WelcomeScreen

            self.push_screen(WelcomeScreen(self.settings.config_file, self.key_names))
        if self._flushes_a_second:
            self.set_interval(1 / self._flushes_a_second, self.flush)

    def _launch(self) -> EngineHandle:
        assert self._start_engine is not None
        if self._read_config is not None:
            self._hand_over(partial(self._configured, self._read_config()))
        handle = self._start_engine()
        self.handle = handle
        if self.leaving:
            self._send_shutdown("left while starting")
        return handle

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker.group == "config":
            self._config_was_read(event.worker)
        if event.worker.group != "engine":
            return
        if event.state is WorkerState.SUCCESS and self.handle is not None and not self.leaving:
            self._connect(self.handle)
        elif event.state is WorkerState.ERROR:
            error = event.worker.error
            self.failure = error if isinstance(error, Exception) else RuntimeError(str(error))
            self.exit(return_code=getattr(error, "exit_code", 1))

    def _connect(self, handle: EngineHandle) -> None:
        from tui_trader.tui.alerts import PriceAlerts
        from tui_trader.tui.link import EngineLink

        self.link = EngineLink(handle)
        model = self.link.model
        model.keys = self.key_names
        if not model.picture.paced:  # a simulated market's prices mean nothing in the next one
            model.price_alerts = PriceAlerts(self.settings.alerts, handle.info.venue)
        self.flush()

    def flush(self) -> None:
        """Take in what the engine said since the last flush, and paint what that changed."""
        link = self.link
        if link is None:
            return
        link.poll()
        for fired in link.model.take_fired():
            self._announcer.tell(fired.text, self.settings.notify)
            self.notify(clean(fired.text), title="price alert", severity="warning", timeout=30, markup=False)
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
        self.notify(f"press {self.key_names['quit']} to quit", markup=False)

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
        self._announcer.seen()
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
        """Change to a theme, as its file is now."""
        known = self._theme_set.problems
        self._load_themes()
        self._tell_problems(problem for problem in self._theme_set.problems if problem not in known)
        self.theme = name
        self.notify(f"theme {name}", markup=False, timeout=2)

    def _load_themes(self) -> bool:
        """Read all of them, anew or for the first time; whether the one on the screen looks different."""
        settings, shown = self.settings, self.current_theme
        self._theme_set = load_themes(settings.themes_folder, settings.swap_colours, self._theme_set)
        for theme in self._theme_set.themes:
            self.register_theme(theme)
        changed = self.current_theme != shown
        if changed:
            self._watch_theme(self.theme)  # it does this by itself only for another name
        return changed

    def _tell_problems(self, problems: Iterable[str]) -> None:
        for problem in problems:
            self.notify(problem, title="bad theme file", severity="warning", timeout=10, markup=False)

    def get_key_display(self, binding: Binding) -> str:
        return display(binding.key)

    def _check_keys(self) -> None:
        """Keys that nobody checked for us: a mistake must not cost the key that stops everything."""
        from tui_trader.tui.keymap import KeymapError, check_keymap

        try:
            check_keymap(self.settings.keys)
        except KeymapError as error:
            self.settings = replace(self.settings, keys={})
            self._use_keys()
            self.trading.keys_changed()
            text = f"ui.keys.{error.name}: {error}; all keys stay as they were"
            self.notify(clean(text), title="bad configuration", severity="error", timeout=15, markup=False)

    def _use_keys(self) -> None:
        keys = self.settings.keys
        self.key_names = key_names(keys)
        self.set_keymap(for_textual(keys))
        if self.link is not None:
            self.link.model.keys = self.key_names

    # ---- the configuration -----------------------------------------------------------------------------

    @property
    def reads_config(self) -> bool:
        """Whether there is a configuration to read; who only looks at another's engine has none."""
        return self._read_config is not None

    def reload(self) -> None:
        """Read configuration and themes again. The engine goes by what it was started with."""
        if self._read_config is None:
            self._tell_reloaded(self._use(self.settings), ())
        else:
            self.run_worker(
                self._read_config, thread=True, exclusive=True, exit_on_error=False, group="config"
            )

    def _configured(self, loaded: LoadedSettings) -> None:
        """The whole configuration is known; the first frame knew what its file says of the screen."""
        from tui_trader.tui.reload import Reloaded, with_looks

        self.config = Reloaded(loaded, loaded)
        settings = with_looks(self.settings, loaded)
        if settings != self.settings:
            self._use(settings)

    def _config_was_read(self, worker: Worker[Any]) -> None:
        from tui_trader.tui.reload import reloaded, with_looks

        if worker.state is WorkerState.ERROR:
            text = f"the settings stay as they are: {worker.error}"
            self.notify(clean(text), title="bad configuration", severity="error", timeout=15, markup=False)
            self._note("ERROR", text)
        elif worker.state is WorkerState.SUCCESS and worker.result is not None:
            loaded = worker.result
            self.config = reloaded(self.config.in_force if self.config is not None else loaded, loaded)
            news = self._use(with_looks(self.settings, loaded))
            self._tell_reloaded(news, self.config.waiting)

    def _use(self, settings: UiSettings) -> list[str]:
        """Look as ``settings`` say; what is different now."""
        before, self.settings = self.settings, settings
        colours = self._load_themes()
        self._tell_problems(self._theme_set.problems)
        if settings.theme != before.theme:
            if settings.theme in self.theme_names:
                self.theme = settings.theme
            else:
                self._tell_problems([f"no theme {settings.theme!r}: {self.theme} stays"])
        if settings.glyphs != before.glyphs:
            self._use_glyphs()
        if settings.keys != before.keys:
            self._use_keys()
        for screen in self.screen_stack:
            if isinstance(screen, SteeringScreen):
                screen.keys_changed()
        differ = {
            "theme": settings.theme != before.theme,
            "colours": colours,
            "glyphs": settings.glyphs != before.glyphs,
            "keys": settings.keys != before.keys,
            "notifications": settings.notify != before.notify,
        }
        return [name for name, changed in differ.items() if changed]

    def _use_glyphs(self) -> None:
        from tui_trader.tui.screens.backtest import BacktestScreen

        self.trading.use_glyphs(self.settings.glyphs)
        if isinstance(self.screen, BacktestScreen):
            # It finds everything as it was left.
            self.pop_screen()
            self.open_backtest()

    def _tell_reloaded(self, news: Sequence[str], waiting: Sequence[str]) -> None:
        text = f"read again: {', '.join(news) or 'nothing'} changed"
        if waiting:
            more = f" and {len(waiting) - _NAMED} more" if len(waiting) > _NAMED else ""
            text += f"; restart for {', '.join(waiting[:_NAMED])}{more}"
        self.notify(clean(text), markup=False, timeout=8)
        self._note("INFO", text)

    def _note(self, level: Literal["INFO", "ERROR"], text: str) -> None:
        if self.link is not None:
            self.link.model.note(level, "CONFIG", "", text)

    # ---- the terminal ----------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.MouseDown):
            self._announcer.seen()
        await super().on_event(event)

    def _write(self, sequence: str) -> None:
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    def action_command_palette(self) -> None:
        # Its key works under dialogs too, but there the palette would be about the wrong screen.
        if isinstance(self.screen, SteeringScreen):
            super().action_command_palette()
