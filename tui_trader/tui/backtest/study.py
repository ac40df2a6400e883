"""What the backtest screen is about: the form, the run under way, the latest result.

It outlives the screen: whoever comes back from the trading screen finds things as they were left. All of it
lives on the screen's thread; what the backtest process says is handed over to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Protocol

from tui_trader.backtest.worker import messages as said
from tui_trader.errors import UsageError
from tui_trader.options import BacktestOptions
from tui_trader.tui.backtest.form import Form
from tui_trader.tui.backtest.recent import RecentBars

if TYPE_CHECKING:
    from pathlib import Path

    from tui_trader.backtest.result import Trade


class Page(Enum):
    """What the screen is about; each leads back to the one before it."""

    FORM = auto()
    RUNNING = auto()
    RESULT = auto()
    TRADE = auto()


class Worker(Protocol):
    """A backtest process, seen from here."""

    def send(self, request: said.Request) -> None: ...

    def close(self) -> None: ...


#: Starts a process; what it is given is called with every answer, from any thread.
OpenWorker = Callable[[Callable[[said.Answer], None]], Worker]
#: Has something called on the screen's thread.
HandOver = Callable[[Callable[[], None]], object]


@dataclass(slots=True)
class Running:
    """A run under way. Times are those of the study's clock, seconds."""

    number: int
    options: BacktestOptions
    began: float
    stage: said.Stage = "reading bars"
    share: float | None = None
    trading_since: float | None = None
    trades: list[Trade] = field(default_factory=list)

    def seconds_left(self, now: float) -> float | None:
        """How long the rest will take at the pace so far; None while nobody can tell."""
        if self.share is None or self.trading_since is None or not 0.01 <= self.share < 1:
            return None
        return (now - self.trading_since) * (1 - self.share) / self.share


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found; ``trades`` in order of exit."""

    options: BacktestOptions
    summary: said.RunSummary
    trades: tuple[Trade, ...]


def _nobody(*said: object) -> None:
    """Nobody listens."""


class Study:
    """``on_change`` is called when something reads differently, ``on_end`` with a line when a run is over.

    How far a run is can be read at any time, and is not told.
    """

    def __init__(
        self,
        defaults: BacktestOptions,
        open_worker: OpenWorker,
        hand_over: HandOver,
        recent: RecentBars,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.form = Form(defaults)
        self.recent = recent
        self.page = Page.FORM
        self.problem = ""  # one line about the form, or about the run that failed
        self.note = ""
        self.running: Running | None = None
        self.outcome: Outcome | None = None
        self.trade: int | None = None  # the place, among all trades, of the one that is looked at
        self.selected: int | None = None  # the one that is selected in the table
        self.chart: said.TradeChart | None = None
        self.chart_problem = ""
        self.clock = clock
        self.on_change: Callable[[], None] = _nobody
        self.on_end: Callable[[str], None] = _nobody
        self._open_worker = open_worker
        self._hand_over = hand_over
        self._worker: Worker | None = None
        self._runs = 0
        self._checks = 0

    # ---- opening and closing ---------------------------------------------------------------------------

    def open(self) -> None:
        """Somebody looks: learn what can be chosen."""
        if self.form.described is None:
            self._ask(said.Describe(self.form.config, self.form.strategy))

    def rest(self) -> None:
        """Nobody looks: keep the process only while it is needed."""
        self.on_change = _nobody
        if self.running is None and self.outcome is None:
            self.close()

    def close(self) -> None:
        """End the process."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    # ---- the form --------------------------------------------------------------------------------------

    def choose_bars(self, paths: tuple[Path, ...]) -> None:
        self.form.bars = paths
        self.problem = self.note = ""
        self.on_change()

    def put(self, key: str, text: str) -> None:
        """Set a field of the form, and have the form checked."""
        before = self.form.strategy
        self.form.put(key, text)
        self._put(before)

    def step(self, key: str, by: int) -> bool:
        """Take a field's next choice; whether it has any."""
        before = self.form.strategy
        stepped = self.form.step(key, by)
        if stepped:
            self._put(before)
        return stepped

    def _put(self, before: str | None) -> None:
        self.problem = self.note = ""
        if self.form.strategy != before:
            self._ask(said.Describe(self.form.config, self.form.strategy))
        else:
            self._check()
        self.on_change()

    def _check(self) -> None:
        try:
            options = self.form.options()
        except UsageError as error:
            self.problem = str(error)
            return
        self._checks += 1
        self._ask(said.Check(self._checks, options))

    # ---- running ---------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run what the form says."""
        try:
            options = self.form.options()
            if not options.bars:
                raise UsageError("no bars are chosen: Enter on the first line chooses them")
        except UsageError as error:
            self.problem = str(error)
            self.on_change()
            return
        self._runs += 1
        self.problem = self.note = self.chart_problem = ""
        self.outcome = self.trade = self.selected = self.chart = None
        self.running = Running(self._runs, options, self.clock())
        self.page = Page.RUNNING
        self._ask(said.Run(self._runs, options))
        self.on_change()

    def cancel(self) -> None:
        """Stop the run, whatever it is doing."""
        if self.running is not None:
            self.running = None
            self.page = Page.FORM
            self.note = "the backtest was cancelled"
            self.close()
            self.on_change()

    # ---- looking around --------------------------------------------------------------------------------

    def show_result(self) -> None:
        if self.outcome is not None:
            self.page = Page.RESULT
            self.on_change()

    def show_trade(self, number: int) -> None:
        """Look at one trade, by its place among all."""
        self.page = Page.TRADE
        if number != self.trade or self.chart is None:
            self.trade, self.chart, self.chart_problem = number, None, ""
            self._ask(said.ShowTrade(number))
        self.on_change()

    def back(self) -> bool:
        """One step back; False when this was the first page."""
        match self.page:
            case Page.FORM:
                return False
            case Page.RUNNING:
                self.cancel()
            case Page.RESULT:
                self.page = Page.FORM
            case Page.TRADE:
                self.page = Page.RESULT
        self.on_change()
        return True

    # ---- what the process says -------------------------------------------------------------------------

    def _ask(self, request: said.Request) -> None:
        if self._worker is None:
            self._worker = self._open()
        self._worker.send(request)

    def _open(self) -> Worker:
        # An answer counts only while its own process is the one that is asked.
        opened: list[Worker] = []

        def heard(answer: said.Answer) -> None:
            self._hand_over(partial(take, answer))

        def take(answer: said.Answer) -> None:
            if opened and opened[0] is self._worker:
                self._take(answer)

        opened.append(self._open_worker(heard))
        return opened[0]

    def _take(self, answer: said.Answer) -> None:
        match answer:
            case said.Described():
                if self.form.strategy in (None, answer.strategy):
                    self.form.describe(answer)
                    self.problem = answer.problem
                    if not answer.problem:
                        self._check()
            case said.Checked(number, problem):
                if number == self._checks and self.running is None:
                    # Nobody typed the command line's word for it.
                    self.problem = problem.removeprefix("--set").lstrip(": ")
            case said.TradeChart():
                if answer.trade == self.trade:
                    self.chart = answer
            case said.Gone(problem):
                self._worker = None
                self._fail(problem)
            case said.Failed(number, problem):
                if number is None or (self.running is not None and number == self.running.number):
                    self._fail(problem)
            case said.Progress() | said.SomeTrades():
                self._take_news(answer)
                return  # painted at the next flush
            case said.Finished(number, summary):
                if self.running is not None and number == self.running.number:
                    self._finish(self.running, summary)
        self.on_change()

    def _take_news(self, news: said.Progress | said.SomeTrades) -> None:
        running = self.running
        if running is None or news.number != running.number:
            return
        if isinstance(news, said.SomeTrades):
            running.trades += news.trades
            return
        if news.stage == "trading" and running.trading_since is None:
            running.trading_since = self.clock()
        running.stage, running.share = news.stage, news.share

    def _finish(self, running: Running, summary: said.RunSummary) -> None:
        self.outcome = Outcome(running.options, summary, tuple(running.trades))
        self.running = None
        self.page = Page.RESULT
        self.recent.add(running.options.bars)
        gain = f"{summary.metrics.total_return * 100:+.2f}%"
        self.on_end(f"backtest done: {summary.strategy} {gain}, {summary.trades:,} trades")

    def _fail(self, problem: str) -> None:
        if self.running is None and self.page is Page.TRADE:
            self.chart_problem = problem
            return
        self.problem = problem
        if self.running is not None:
            self.running = None
            self.page = Page.FORM
            self.on_end(f"backtest failed: {problem}")
