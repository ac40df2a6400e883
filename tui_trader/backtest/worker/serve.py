"""The backtest process: does what it is asked, one thing after the other, until nobody is there to ask."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from tui_trader.backtest.worker.messages import (
    Answer,
    Check,
    Checked,
    Describe,
    Failed,
    Finished,
    Progress,
    Request,
    Run,
    ShowTrade,
)
from tui_trader.engine.guard import described
from tui_trader.errors import TuiTraderError
from tui_trader.options import BacktestOptions

if TYPE_CHECKING:
    from tui_trader.backtest.market import MarketData
    from tui_trader.backtest.result import BacktestResult
    from tui_trader.backtest.setup import BacktestPlan

Say = Callable[[Answer], None]

_NICENESS = 10


def main(descriptor: int) -> None:
    """Serve whoever holds the other end of the socket ``descriptor``; does not return."""
    # Who asked decides when this ends: by closing the socket, or by ending this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(_NICENESS)
    connection: Connection[Answer, Request] = Connection(descriptor)
    requests: SimpleQueue[Request] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, requests), name="listener", daemon=True).start()
    bench = Bench(connection.send)
    try:
        while True:
            bench.handle(requests.get())
    except OSError:  # nobody hears what is said
        os._exit(0)


def _listen(connection: Connection[Answer, Request], requests: SimpleQueue[Request]) -> None:
    """Take requests in. When the other end is gone so is this process, also amid a run."""
    while True:
        try:
            requests.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)


@dataclass(frozen=True, slots=True)
class _Done:
    """The latest run, kept for questions about it."""

    result: BacktestResult
    plan: BacktestPlan
    market: MarketData


class Bench:
    """Answers requests through ``say``. Keeps the bars last read, and the latest run."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._read: tuple[object, MarketData] | None = None
        self._done: _Done | None = None

    def handle(self, request: Request) -> None:
        """Do one thing. What goes wrong is an answer; ``OSError`` is raised when nobody hears it."""
        number = request.number if isinstance(request, Run) else None
        try:
            answer = self._answer(request)
        except TuiTraderError as error:
            answer = Failed(number, str(error))
        except MemoryError:
            answer = Failed(number, "not enough memory for these bars")
        except BaseException as error:  # noqa: BLE001 - a strategy is the user's own code
            answer = Failed(number, f"the backtest failed: {described(error)}")
        self._say(answer)

    def _answer(self, request: Request) -> Answer:
        match request:
            case Describe():
                from tui_trader.backtest.worker.catalogue import describe

                return describe(request, os.environ)
            case Check(number, options):
                return Checked(number, _problem(options))
            case Run(number, options):
                return self._run(number, options)
            case ShowTrade(trade):
                return self._show(trade)

    def _run(self, number: int, options: BacktestOptions) -> Finished:
        from tui_trader.backtest.worker.digest import portions, summary_of

        self._done = None
        plan = _plan(options)
        market = self._market(number, options, plan)
        self._say(Progress(number, "trading", 0.0))
        result = plan.runner(market).run(lambda share: self._say(Progress(number, "trading", share)))
        self._say(Progress(number, "adding up"))
        summary = summary_of(result, plan.strategy(market.symbols[0], plan.config).required_history)
        for portion in portions(number, result.trades):
            self._say(portion)
        self._done = _Done(result, plan, market)
        return Finished(number, summary)

    def _market(self, number: int, options: BacktestOptions, plan: BacktestPlan) -> MarketData:
        from tui_trader.backtest.setup import make_market, read_table
        from tui_trader.engine.nyse import NyseCalendar

        source = (
            tuple(_state_of(path) for path in options.bars),
            options.symbols,
            options.skip_bad,
            plan.max_bar_jump_pct,
        )
        if self._read is not None and self._read[0] == source:
            return self._read[1]
        self._read = None  # both at once might be more than there is room for
        self._say(Progress(number, "reading bars"))
        table = read_table(options)
        self._say(Progress(number, "making candles"))
        market = make_market(table, plan, NyseCalendar(), options.symbols)
        self._read = (source, market)
        return market

    def _show(self, trade: int) -> Answer:
        from tui_trader.backtest.worker.digest import trade_chart

        done = self._done
        if done is None or not 0 <= trade < len(done.result.trades):
            return Failed(None, "the bars of that trade are no longer at hand: run the backtest again")
        symbol = done.result.trades[trade].symbol
        strategy = done.plan.strategy(symbol, done.plan.config)
        return trade_chart(
            done.result, trade, done.market, strategy.candle_interval_minutes, strategy.indicators
        )


def _plan(options: BacktestOptions) -> BacktestPlan:
    from tui_trader.backtest.setup import make_plan, parse_sets

    return make_plan(options, os.environ, parse_sets(options.sets))


def _problem(options: BacktestOptions) -> str:
    try:
        _plan(options)
    except TuiTraderError as error:
        return str(error)
    return ""


def _state_of(path: Path) -> tuple[str, int, int]:
    """What changes when the file does."""
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size
