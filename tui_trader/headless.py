"""A run without a screen: the engine owns the main thread, and signals end it gracefully."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

from tui_trader.core.events import ErrorOccurred, Published, SessionChanged, TradeClosed
from tui_trader.core.money import ZERO
from tui_trader.engine.guard import described
from tui_trader.engine.handle import EngineInfo, Shutdown
from tui_trader.errors import TuiTraderError
from tui_trader.listeners.log import LOG_FILE
from tui_trader.options import RunOptions
from tui_trader.venues.base import Mode
from tui_trader.wiring import Run, load

if TYPE_CHECKING:
    from tui_trader.control.server import ControlServer

_FORCED = 130


def run_headless(options: RunOptions) -> int:
    """Run to the end; the exit code. Raises ``TuiTraderError`` when the run cannot begin."""
    run = Run(options, load(options))
    _shut_down_on_signals(run)
    control = start_control(run)
    tally = _Tally()
    run.bus.add_sink("tally", tally.count, market_data=False)
    try:
        run.host.run()
    finally:
        if control is not None:
            control.stop()
    print(f"tui-trader: {tally.line(run)}", file=sys.stderr)
    if run.events_problem is not None:
        print(f"tui-trader: {run.events_problem}", file=sys.stderr)
    if run.journal_problem:
        print(f"tui-trader: records are missing: {run.journal_problem}", file=sys.stderr)
    if run.host.failure is not None:
        failure = run.host.failure
        print(f"tui-trader: the engine failed: {described(failure)}", file=sys.stderr)
        print(f"tui-trader: positions keep their stops; see {run.state_dir}", file=sys.stderr)
    elif run.host.exit_code:
        print(f"tui-trader: {run.engine.state_reason}", file=sys.stderr)
    return run.host.exit_code or int(run.lost_records)


class _Tally:
    """What a run without a screen came to, in one line at its end."""

    def __init__(self) -> None:
        self._sessions = self._trades = self._errors = 0
        self._pnl = ZERO

    def count(self, published: Published) -> None:
        match published.event:
            case SessionChanged():
                self._sessions += 1
            case TradeClosed(pnl=pnl):
                self._trades += 1
                self._pnl += pnl
            case ErrorOccurred():
                self._errors += 1
            case _:
                pass

    def line(self, run: Run) -> str:
        parts = [
            f"{_account(run.host.info)}: {_plural(self._sessions, 'session')}",
            _plural(self._trades, "trade"),
            f"P/L {self._pnl:+,.2f}",
            f"equity {run.engine.portfolio.equity():,.2f}",
        ]
        if self._errors:
            parts.append(f"{_plural(self._errors, 'error')}: see {run.state_dir / LOG_FILE}")
        if run.engine.state_reason and not run.host.exit_code:
            parts.append(f"{run.engine.state_reason}; the same options go on from here")
        return ", ".join(parts)


def _account(info: EngineInfo) -> str:
    """The account as it may stand in a terminal's scroll-back: a real one by its last digits."""
    if info.mode in (Mode.PAPER, Mode.LIVE):
        return f"{info.mode.value} account …{info.account_id[-4:]}"
    return info.account_id


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


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
        # Who starts us with a signal ignored (nohup) wants it so.
        if signal.getsignal(number) is not signal.SIG_IGN:
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
