"""A run with a screen: the screen owns the main thread, the engine has one of its own and outlives it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trader.errors import UsageError
from tui_trader.options import BacktestOptions, RunOptions
from tui_trader.paths import default_config_path, default_state_dir
from tui_trader.tui.app import TraderApp
from tui_trader.tui.glyphs import GLYPH_NAMES
from tui_trader.tui.settings import UiSettings
from tui_trader.tui.terminal import NO_TERMINAL, is_terminal

if TYPE_CHECKING:
    from tui_trader.config import LoadedSettings
    from tui_trader.control.server import ControlServer
    from tui_trader.engine.handle import EngineHandle
    from tui_trader.wiring import Run

_JOIN_S = 60.0
_FORCED_JOIN_S = 1.0
_FORCED = 130
_WELCOMED = "welcomed"
_RECENT_BARS = "backtested-bars.json"
_ALERTS = "price-alerts.json"
_KEY_NAMES = ("APCA_API_KEY_ID", "TUI_TRADER_ALPACA__KEY_ID")


def run_screen(options: RunOptions) -> int:
    """Open the screen and run to the end; the exit code. Raises ``TuiTraderError``."""
    if not is_terminal():
        raise UsageError(NO_TERMINAL)
    session = _Session(options)
    app = TraderApp(
        start_engine=session.start, settings=screen_settings(options), read_config=session.read_config
    )
    try:
        app.run_ui()
    finally:
        session.end(forced=app.forced)
    if app.forced:
        sys.stdout.flush()
        os._exit(_FORCED)
    _remember_welcome(options.state_dir or default_state_dir())
    return session.exit_code or app.return_code or 0  # a screen that broke is a failure, too


def screen_settings(options: RunOptions) -> UiSettings:
    """How the screen of a run looks, read without loading anything heavy."""
    config_file = options.config or default_config_path()
    state_dir = options.state_dir or default_state_dir()
    document = _peek(config_file)
    ui = _table(document, "ui")
    backtest = BacktestOptions(
        options.bars, options.skip_bad, symbols=options.symbols if options.bars else None,
        config=options.config, cash=options.cash, slippage_ticks=options.slippage_ticks,
    )  # fmt: skip
    return UiSettings(
        theme=str(ui.get("theme", "midnight")),
        themes_folder=config_file.parent / "themes",
        config_file=config_file,
        glyphs=ui["glyphs"] if ui.get("glyphs") in GLYPH_NAMES else "box",
        swap_colours=ui.get("up_color_swap") is True,
        keys={name: key for name, key in _table(ui, "keys").items() if isinstance(key, str)},
        first_run=_is_first_run(options, state_dir, document),
        exit_when_done=options.sessions is not None,
        backtest=backtest,
        recent_bars=state_dir / _RECENT_BARS,
        alerts=state_dir / _ALERTS,
    )


class _Session:
    """The engine's side of a run with a screen."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._run: Run | None = None
        self._control: ControlServer | None = None

    def start(self) -> EngineHandle:
        """Load everything heavy, on a thread, after the first frame. Raises ``TuiTraderError``."""
        from tui_trader.headless import start_control
        from tui_trader.wiring import Run, load

        run = Run(self._options, load(self._options))
        self._control = start_control(run)
        self._run = run
        run.host.start()
        return run.host

    def read_config(self) -> LoadedSettings:
        """The settings as they are written now. Raises ``UsageError``."""
        from tui_trader.wiring import load

        return load(self._options)

    @property
    def exit_code(self) -> int:
        if self._run is None:
            return 0
        return self._run.host.exit_code or int(self._run.lost_records)

    def end(self, *, forced: bool) -> None:
        """The screen has gone: see the engine to its end, however the screen ended."""
        from tui_trader.engine.guard import described
        from tui_trader.engine.handle import Shutdown

        run = self._run
        if run is None:
            return
        # Nobody is there to answer: TERM and HUP want what is happening already, a further Ctrl-C forces it.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: os._exit(_FORCED))
        if not run.host.stopped and not forced:
            run.host.send(Shutdown("the screen has closed"))
        ended = run.host.join(_FORCED_JOIN_S if forced else _JOIN_S)
        if self._control is not None:
            self._control.stop()
        failure = run.host.failure
        if failure is not None:
            print(f"tui-trader: the engine failed: {described(failure)}", file=sys.stderr)
        elif not ended and not forced:
            print(
                f"tui-trader: the engine has not stopped after {_JOIN_S:.0f} s: look at the account",
                file=sys.stderr,
            )
            os._exit(4)
        elif run.host.exit_code:
            print(f"tui-trader: {run.engine.state_reason}", file=sys.stderr)
        if run.events_problem is not None:
            print(f"tui-trader: {run.events_problem}", file=sys.stderr)
        if run.journal_problem:
            print(f"tui-trader: records are missing: {run.journal_problem}", file=sys.stderr)


def _peek(config_file: Path) -> dict[str, Any]:
    """The configuration as far as it can be read; what is wrong with it is said when it is loaded."""
    if not config_file.is_file():
        return {}
    import tomllib

    try:
        return tomllib.loads(config_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    table = document.get(name)
    return table if isinstance(table, dict) else {}


def _is_first_run(options: RunOptions, state_dir: Path, document: dict[str, Any]) -> bool:
    """Whether somebody without keys is here for the first time."""
    named = any(os.environ.get(name) for name in _KEY_NAMES)
    has_keys = named or "key_id" in _table(document, "alpaca")
    return options.venue is None and not has_keys and not (state_dir / _WELCOMED).exists()


def _remember_welcome(state_dir: Path) -> None:
    with suppress(OSError):  # then the card is shown once more
        (state_dir / _WELCOMED).touch()
