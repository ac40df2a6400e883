"""A headless run that can be told to die: the product's own wiring with probes around it.

Everything here happens in a process of its own. A probe has a name; at its n-th passing the process kills
itself with SIGKILL, so that nothing is flushed, closed or said. What must hold while the run goes on is
watched here, too, and breaches are written down at once, for the process may not live to tell.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import tui_trader.headless
import tui_trader.wiring
from tui_trader.core.orders import Role, Side
from tui_trader.engine.handle import Flatten
from tui_trader.engine.inbox import Inbox, Message
from tui_trader.engine.nyse import NyseCalendar
from tui_trader.engine.reconciler import Reconciler
from tui_trader.engine.stepper import Stepper
from tui_trader.engine.trading_engine import TradingEngine
from tui_trader.errors import TuiTraderError
from tui_trader.journal.store import Journal
from tui_trader.options import RunOptions
from tui_trader.venues.base import Acknowledged, BrokerRequest, CancelOrder, OrderUpdate, ReplaceOrder, SubmitOrder
from tui_trader.venues.exchange.broker import SimBroker
from tui_trader.venues.exchange.store import ExchangeStore
from tui_trader.venues.exchange.venue import SimulatedExchange

BREACHES: Final = "breaches.txt"
_UNPROTECTED_LIMIT: Final = timedelta(seconds=5)

# Loaded once, before any run is forked off: it takes longer than a whole run.
_CALENDAR: Final = NyseCalendar()
_CALENDAR.session_on(tui_trader.wiring.SIM_START)


@dataclass(frozen=True)
class Job:
    """A run, and where it is to die: at the ``nth`` passing of ``point``, or not at all."""

    options: RunOptions
    point: str = ""
    nth: int = 1
    flatten_at_step: int = 0  # flatten everything at this instant of the run, counted from 1
    journal_fails: tuple[int, int] = (0, 0)  # commits that fail as on a full disk, counted from 1


def play(job: Job) -> None:
    """Run to the end, or to death. The process's exit code is that of the program."""
    _Probes(job).install()
    try:
        code = tui_trader.headless.run_headless(job.options)
    except TuiTraderError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    sys.stdout.flush()
    os._exit(code)  # nothing of the forking process may run at exit


class _Probes:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._passed: Counter[str] = Counter()

    def hit(self, point: str) -> None:
        self._passed[point] += 1
        if point == self._job.point and self._passed[point] == self._job.nth:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: type, name: str, point: str) -> None:
        """Probes before and after every call of a method."""
        original = getattr(owner, name)

        def probed(*args: Any, **kwargs: Any) -> Any:
            self.hit(f"before {point}")
            answer = original(*args, **kwargs)
            self.hit(f"after {point}")
            return answer

        setattr(owner, name, probed)

    def install(self) -> None:
        tui_trader.wiring.NyseCalendar = lambda: _CALENDAR  # type: ignore[assignment,misc]
        for owner, name, point in (
            (Journal, "begin_book", "new book"),
            (SimulatedExchange, "begin", "new market"),
            (TradingEngine, "start", "engine start"),
            (Reconciler, "rebuild", "rebuilding"),
            (TradingEngine, "_after_reconciling", "reconciling"),
            (TradingEngine, "_after_warmup", "warm-up"),
            (TradingEngine, "_close_day", "end of day"),
            (SimBroker, "end_session", "close"),
            (SimBroker, "start_session", "night"),
            (SimulatedExchange, "checkpoint", "checkpoint"),
            (SimulatedExchange, "finish", "market's end"),
            (Journal, "seal_book", "sealing"),
        ):
            self.around(owner, name, point)
        self._probe_journal()
        self._probe_broker()
        self._probe_inbox()
        Watch(Path(self._job.options.state_dir or "."), self).install()
        if self._job.flatten_at_step:
            self._flatten()

    def _probe_journal(self) -> None:
        intent, commit, hit = Journal.intent, Journal.commit, self.hit
        waiting = False
        commits = 0

        def probed_intent(journal: Journal, record: Any) -> None:
            nonlocal waiting
            waiting = True
            intent(journal, record)

        def probed_commit(journal: Journal) -> None:
            nonlocal waiting, commits
            had, waiting = waiting, False
            if had:
                hit("before intent commit")
            commits += 1
            first, last = self._job.journal_fails
            if commits == first:
                journal._connection.execute("PRAGMA max_page_count = 1")
                pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
                journal._connection.execute(f"PRAGMA max_page_count = {pages}")
            elif commits == last:
                journal._connection.execute("PRAGMA max_page_count = 1073741823")
            commit(journal)
            if had:
                hit("after intent commit")
                if self._job.point == "inside journal checkpoint":
                    self._checkpoint_and_die(journal)

        Journal.intent = probed_intent  # type: ignore[method-assign]
        Journal.commit = probed_commit  # type: ignore[method-assign]

    def _checkpoint_and_die(self, journal: Journal) -> None:
        """SQLite is emptying its write-ahead log on one thread while another ends the process."""
        self._passed["inside"] += 1
        if self._passed["inside"] < self._job.nth:
            return

        def die() -> None:
            time.sleep(0.0003)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=die).start()
        while True:
            journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            journal._connection.execute("CREATE TABLE IF NOT EXISTS filler (text)")
            journal._connection.execute("INSERT INTO filler VALUES (?)", ("x" * 200_000,))
            journal._connection.execute("DELETE FROM filler")

    def _probe_broker(self) -> None:
        request, commit, hit = SimBroker.request, ExchangeStore.commit, self.hit

        def probed_request(broker: SimBroker, asked: BrokerRequest) -> None:
            what = _named(asked)
            hit(f"before {what}")
            request(broker, asked)
            hit(f"after {what}")

        def probed_commit(store: ExchangeStore) -> None:
            filled = bool(store._executions)
            if filled:
                hit("before fill")
            commit(store)
            if filled:
                hit("after fill")

        SimBroker.request = probed_request  # type: ignore[method-assign]
        ExchangeStore.commit = probed_commit  # type: ignore[method-assign]

    def _probe_inbox(self) -> None:
        take, hit = Inbox.take, self.hit
        handled = ""

        def probed_take(inbox: Inbox) -> Message | None:
            nonlocal handled
            if handled:
                hit(f"after {handled}")
            message = take(inbox)
            handled = ""
            if isinstance(message, Acknowledged):
                handled = "acknowledgement"
            elif isinstance(message, OrderUpdate) and message.execution is not None:
                handled = "booking a fill"
            if handled:
                hit(f"before {handled}")
            return message

        Inbox.take = probed_take  # type: ignore[method-assign]

    def _flatten(self) -> None:
        step = Stepper.step
        steps = 0

        def flattening(stepper: Stepper, moment: datetime) -> None:
            nonlocal steps
            steps += 1
            if steps == self._job.flatten_at_step:
                stepper._inbox.command(Flatten())
            step(stepper, moment)

        Stepper.step = flattening  # type: ignore[method-assign]


def _named(asked: BrokerRequest) -> str:
    match asked:
        case SubmitOrder():
            return f"{asked.spec.role.lower()} send"
        case ReplaceOrder():
            return "stop replacement"
        case CancelOrder():
            role = {"E": "entry", "S": "stop", "X": "exit"}[asked.client_order_id.rsplit("-", 1)[1][0]]
            return f"{role} cancel"
        case _:
            return "question"


class Watch:
    """What must hold at every moment, seen from the broker's side (RELIABILITY, invariants B, F and H)."""

    def __init__(self, state_dir: Path, probes: _Probes) -> None:
        self._file = state_dir / BREACHES
        self._unprotected: dict[str, datetime] = {}
        self._broker: SimBroker | None = None

    def install(self) -> None:
        init, start, step, request = SimBroker.__init__, Stepper.start, Stepper.step, SimBroker.request

        def seen(broker: SimBroker, *args: Any, **kwargs: Any) -> None:
            self._broker = broker
            init(broker, *args, **kwargs)

        def started(stepper: Stepper) -> None:
            self._look(stepper._clock.now())
            start(stepper)
            self._look(stepper._clock.now())

        def stepped(stepper: Stepper, moment: datetime) -> None:
            self._judge(moment)
            step(stepper, moment)
            self._look(moment)
            session = _CALENDAR.session_on(moment.date())
            if session is not None and moment == session.close and self._broker is not None:
                for symbol in self._broker.positions:
                    self.breach(f"{moment}: {symbol} is held after the close")

        def requested(broker: SimBroker, asked: BrokerRequest) -> None:
            if isinstance(asked, SubmitOrder) and asked.spec.role is Role.ENTRY:
                for symbol in self._naked():
                    self.breach(f"an entry in {asked.spec.symbol} while {symbol} is unprotected")
            request(broker, asked)

        SimBroker.__init__ = seen  # type: ignore[method-assign]
        SimBroker.request = requested  # type: ignore[method-assign]
        Stepper.start = started  # type: ignore[method-assign]
        Stepper.step = stepped  # type: ignore[method-assign]

    def _naked(self) -> Iterator[str]:
        """Symbols with shares that no working sell order covers."""
        broker = self._broker
        if broker is None:
            return
        for symbol, (held, _) in broker.positions.items():
            orders = broker._working.get(symbol, ())
            selling = sum(order.open_qty for order in orders if order.spec.side is Side.SELL)
            if selling > held:
                self.breach(f"{selling} shares of {symbol} are for sale and {held} are held")
            if selling < held:
                yield symbol

    def _look(self, moment: datetime) -> None:
        naked = set(self._naked())
        self._unprotected = {symbol: self._unprotected.get(symbol, moment) for symbol in naked}
        self._judge(moment)

    def _judge(self, moment: datetime) -> None:
        for symbol, since in self._unprotected.items():
            if moment - since > _UNPROTECTED_LIMIT:
                self.breach(f"{moment}: {symbol} has been unprotected since {since}")

    def breach(self, text: str) -> None:
        with self._file.open("a") as file:
            file.write(text + "\n")


Play = Callable[[Job], None]
