"""The process behind one page: draws the screen for a browser until the page closes.

Textual's web driver carries keys in and pictures out over stdin and stdout. The pipe whose number is the
second argument has its other end in the server: when that goes, however it goes, this process ends.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tui_trader.control.remote import RemoteEngine
from tui_trader.engine.handle import Command, EngineHandle, Shutdown
from tui_trader.errors import TuiTraderError
from tui_trader.options import RunOptions
from tui_trader.screen import screen_settings
from tui_trader.serve.order import PageOrder
from tui_trader.tui import app as app_module
from tui_trader.tui.app import TraderApp

if TYPE_CHECKING:
    from tui_trader.config import LoadedSettings
    from tui_trader.wiring import Run

_LEAVE_S: Final = 3.0
_ENGINE_END_S: Final = 1.0


class ViewedEngine(RemoteEngine):
    """Somebody else's engine: it can be steered from a page, but no page ends it."""

    def send(self, command: Command) -> None:
        if not isinstance(command, Shutdown):
            super().send(command)


class ViewerApp(TraderApp):
    """The screen of an engine that goes on without it."""

    CSS_PATH = str(Path(app_module.__file__).with_name(TraderApp.CSS_PATH))

    async def action_quit(self) -> None:
        self.leaving = True
        self.exit()


class _OwnEngine:
    """A simulated engine for one page."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._run: Run | None = None

    def start(self) -> EngineHandle:
        """Raises ``TuiTraderError``."""
        from tui_trader.wiring import Run, load  # heavy: not before the first paint

        self._run = Run(self._options, load(self._options))
        self._run.host.start()
        return self._run.host

    def read_config(self) -> LoadedSettings:
        """The settings as they are written now. Raises ``UsageError``."""
        from tui_trader.wiring import load

        return load(self._options)

    def end(self) -> None:
        """Its market is given up with the page."""
        if self._run is not None and not self._run.host.stopped:
            self._run.host.send(Shutdown("the page has closed", "keep"))
            self._run.host.join(_ENGINE_END_S)


def main(order: PageOrder, lifeline: int) -> int:
    """Draw until the page closes; the exit code."""
    options = order.run_options()
    # A page's price alerts end with it: the file is that of the screen in the terminal.
    settings = replace(screen_settings(options), first_run=False, alerts=None)
    if order.attach:
        app: TraderApp = ViewerApp(
            start_engine=lambda: ViewedEngine.attach(order.state_dir), settings=settings
        )
        _follow(lifeline, app.leave)
        app.run()
    else:
        own = _OwnEngine(options)
        app = TraderApp(start_engine=own.start, settings=settings, read_config=own.read_config)
        _follow(lifeline, app.leave)
        try:
            app.run()
        finally:
            own.end()
            shutil.rmtree(order.state_dir, ignore_errors=True)
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0


def _follow(lifeline: int, leave: Callable[[], None]) -> None:
    """Leave when the server lets go of us, and make sure of it."""

    def wait() -> None:
        os.read(lifeline, 1)
        leave()
        time.sleep(_LEAVE_S)
        os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


if __name__ == "__main__":
    code = 1
    try:
        code = main(PageOrder.from_json(sys.argv[1]), int(sys.argv[2]))
    except TuiTraderError as error:
        print(f"tui-trader: {error}", file=sys.stderr)
        code = error.exit_code
    finally:
        sys.stderr.flush()
        os._exit(code)  # threads that still wait for an answer are of no use to anybody
