"""A run without a screen: the engine owns the main thread, and signals end it gracefully."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

from tui_trader.engine.handle import Shutdown
from tui_trader.errors import TuiTraderError
from tui_trader.options import RunOptions
from tui_trader.wiring import Run, load

if TYPE_CHECKING:
    from tui_trader.control.server import ControlServer

_FORCED = 130


def run_headless(options: RunOptions) -> int:
    """Run to the end; the exit code. Raises ``TuiTraderError`` when the run cannot begin."""
    run = Run(options, load(options))
    _shut_down_on_signals(run)
    control = start_control(run)
    try:
        run.host.run()
    finally:
        if control is not None:
            control.stop()
    if run.events_problem is not None:
        print(f"tui-trader: {run.events_problem}", file=sys.stderr)
    if run.journal_problem:
        print(f"tui-trader: records are missing: {run.journal_problem}", file=sys.stderr)
    if run.host.failure is not None:
        failure = run.host.failure
        print(f"tui-trader: the engine failed: {type(failure).__name__}: {failure}", file=sys.stderr)
        print(f"tui-trader: positions keep their stops; see {run.state_dir}", file=sys.stderr)
    elif run.host.exit_code:
        print(f"tui-trader: {run.engine.state_reason}", file=sys.stderr)
    return run.host.exit_code or int(bool(run.journal_problem))


def _shut_down_on_signals(run: Run) -> None:
    """SIGINT, SIGTERM and SIGHUP all begin the same graceful shutdown; a second Ctrl-C forces the exit."""
    begun = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal begun
        if begun and number == signal.SIGINT:
            os._exit(_FORCED)
        begun = True
        run.host.send(Shutdown(f"signal {signal.Signals(number).name}"))

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handle)


def start_control(run: Run) -> ControlServer | None:
    """The control API of ``run``, unless it is off. Raises ``TuiTraderError``; the run is closed then."""
    listen = run.control_listen
    if listen == "off":
        return None
    from tui_trader.control.server import ControlServer  # aiohttp costs a quarter of a second

    server = ControlServer(run.host, listen, run.state_dir)
    try:
        server.start()
    except TuiTraderError:
        run.abandon()
        raise
    return server
