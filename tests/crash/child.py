"""A headless run that can be told to die: the product's own wiring with probes around it.

Everything here happens in a process of its own. A probe has a name; at its n-th passing the process kills
itself with SIGKILL, so that nothing is flushed, closed or said. What must hold while the run goes on is
watched here, too, and breaches are written down at once, for the process may not live to tell.
"""

from __future__ import annotations

import json
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
from tui_trader.engine.inbox import Message
from tui_trader.engine.nyse import NyseCalendar
from tui_trader.engine.reconciler import Reconciler
from tui_trader.engine.stepper import Stepper
from tui_trader.engine.trading_day import TradingDay
from tui_trader.engine.trading_engine import TradingEngine
from tui_trader.errors import TuiTraderError
from tui_trader.journal.store import Journal
from tui_trader.options import RunOptions
from tui_trader.strategies.base import Strategy
from tui_trader.venues.base import (
    Acknowledged,
    BrokerRequest,
    CancelOrder,
    OrderUpdate,
    ReplaceOrder,
    SubmitOrder,
)
from tui_trader.venues.exchange.broker import SimBroker
from tui_trader.venues.exchange.store import ExchangeStore
from tui_trader.venues.exchange.venue import SimulatedExchange

BREACHES: Final = "breaches.txt"
_UNPROTECTED_LIMIT: Final = timedelta(seconds=5)

# Loaded once, before any run is forked off: it takes longer than a whole run.
CALENDAR: Final = NyseCalendar()
CALENDAR.session_on(tui_trader.wiring.SIM_START)


@dataclass(frozen=True)
class Job:
    """A run, and where it is to die: at the ``nth`` passing of ``point``, or not at all."""

    options: RunOptions
    point: str = ""
    nth: int = 1
    blow: int = signal.SIGKILL  # what happens there
    flatten_at_step: int = 0  # flatten everything at this instant of the run, counted from 1
    signals: tuple[tuple[int, int], ...] = ()  # (instant, signal) to send to itself
    said: Path | None = None  # gets what the program prints on standard error
    states: Path | None = None  # where to write what the engine knows, see ``record_states``
    instants: frozenset[int] = frozenset()
    journal_fails: tuple[int, int] = (0, 0)  # commits that fail as on a full disk, counted from 1


def _put(owner: object, name: str, function: Callable[..., Any]) -> None:
    setattr(owner, name, function)


def play(job: Job) -> None:
    """Run to the end, or to death. The process's exit code is that of the program."""
    if job.said is not None:
        os.dup2(os.open(job.said, os.O_WRONLY | os.O_CREAT, 0o600), 2)
    _Probes(job).install()
    try:
        code = tui_trader.headless.run_headless(job.options)
    except TuiTraderError as error:
        print(error, file=sys.stderr, flush=True)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    sys.stdout.flush()
    os._exit(code)  # nothing of the forking process may run at exit


class _Probes:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._passed: Counter[str] = Counter()
        self._flattening = False

    def hit(self, point: str) -> None:
        self._passed[point] += 1
        if point == self._job.point and self._passed[point] == self._job.nth:
            os.kill(os.getpid(), self._job.blow)

    def around(self, owner: type, name: str, point: str) -> None:
        """Probes before and after every call of a method."""
        original = getattr(owner, name)

        def probed(*args: Any, **kwargs: Any) -> Any:
            self.hit(f"before {point}")
            answer = original(*args, **kwargs)
            self.hit(f"after {point}")
            return answer

        _put(owner, name, probed)

    def install(self) -> None:
        _put(tui_trader.wiring, "NyseCalendar", lambda: CALENDAR)
        for owner, name, point in (
            (Journal, "begin_book", "new book"),
            (SimulatedExchange, "begin", "new market"),
            (TradingEngine, "start", "engine start"),
            (Reconciler, "rebuild", "rebuilding"),
            (TradingEngine, "_after_reconciling", "reconciling"),
            (TradingEngine, "_after_warmup", "warm-up"),
            (TradingDay, "close_positions", "end of day"),
            (SimBroker, "end_session", "close"),
            (SimBroker, "start_session", "night"),
            (SimulatedExchange, "checkpoint", "checkpoint"),
            (SimulatedExchange, "finish", "market's end"),
            (Journal, "seal_book", "sealing"),
        ):
            self.around(owner, name, point)
        self._probe_journal()
        self._probe_broker()
        self._probe_engine()
        Watch(Path(self._job.options.state_dir or "."), self).install()
        self._act_at_steps()
        if self._job.states is not None:
            record_states(self._job.states, self._job.instants)

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

        _put(Journal, "intent", probed_intent)
        _put(Journal, "commit", probed_commit)

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
            if self._flattening:
                hit(f"before flatten's {what}")
            request(broker, asked)
            hit(f"after {what}")
            if self._flattening:
                hit(f"after flatten's {what}")

        def probed_commit(store: ExchangeStore) -> None:
            filled = bool(store._executions)
            if filled:
                hit("before fill")
            commit(store)
            if filled:
                hit("after fill")

        _put(SimBroker, "request", probed_request)
        _put(ExchangeStore, "commit", probed_commit)

    def _probe_engine(self) -> None:
        handle, hit = TradingEngine.handle, self.hit

        def probed_handle(engine: TradingEngine, message: Message) -> None:
            what = ""
            if isinstance(message, Acknowledged):
                what = "acknowledgement"
            elif isinstance(message, OrderUpdate) and message.execution is not None:
                what = "booking a fill"
            if what:
                hit(f"before {what}")
            handle(engine, message)
            if what:
                hit(f"after {what}")

        _put(TradingEngine, "handle", probed_handle)

    def _act_at_steps(self) -> None:
        step, job = Stepper.step, self._job
        steps = 0

        def acting(stepper: Stepper, moment: datetime) -> None:
            nonlocal steps
            steps += 1
            if steps == job.flatten_at_step:
                self._flattening = True
                stepper._inbox.command(Flatten())
            for at, number in job.signals:
                if at == steps:
                    os.kill(os.getpid(), number)
            step(stepper, moment)

        _put(Stepper, "step", acting)


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
            session = CALENDAR.session_on(moment.date())
            if session is not None and moment == session.close and self._broker is not None:
                for symbol in self._broker.positions:
                    self.breach(f"{moment}: {symbol} is held after the close")

        def requested(broker: SimBroker, asked: BrokerRequest) -> None:
            if isinstance(asked, SubmitOrder) and asked.spec.role is Role.ENTRY:
                # Not those whose stop makes way for a sale in this very instant.
                for symbol in self._unprotected.keys() & set(self._naked()):
                    self.breach(f"an entry in {asked.spec.symbol} while {symbol} is unprotected")
            request(broker, asked)

        _put(SimBroker, "__init__", seen)
        _put(SimBroker, "request", requested)
        _put(Stepper, "start", started)
        _put(Stepper, "step", stepped)

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


def record_states(path: Path, instants: frozenset[int]) -> None:
    """Write what decisions depend on as lines of JSON: after the start, those instants, and every close."""
    start, step = Stepper.start, Stepper.step
    steps = 0

    def write(stepper: Stepper) -> None:
        with path.open("a") as file:
            file.write(json.dumps(state_of(stepper._engine), default=str) + "\n")

    def started(stepper: Stepper) -> None:
        start(stepper)
        write(stepper)

    def stepped(stepper: Stepper, moment: datetime) -> None:
        nonlocal steps
        steps += 1
        step(stepper, moment)
        session = CALENDAR.session_on(moment.date())
        if steps in instants or (session is not None and moment == session.close):
            write(stepper)

    _put(Stepper, "start", started)
    _put(Stepper, "step", stepped)


def state_of(engine: TradingEngine) -> dict[str, Any]:
    """Everything that the engine's next decisions depend on."""
    session = engine.day.schedule.session.date.isoformat() if engine.day.schedule is not None else ""
    return {
        "time": engine.clock.now(),
        "cash": engine.portfolio.cash,
        "paused": engine.paused,
        "entries": sorted(engine.risk._entries.items()) if session else [],  # they end with the day
        "breaker": engine.breaker.dump(session),
        "positions": sorted((p.symbol, p.qty, p.entry_time) for p in engine.portfolio.positions.values()),
        "desks": {symbol: _state_of_desk(engine, symbol) for symbol in engine.desks},
    }


def _state_of_desk(engine: TradingEngine, symbol: str) -> dict[str, Any]:
    desk, book = engine.desks[symbol], engine.manager.books[symbol]
    forming = desk.aggregator
    trading = engine.day.schedule is not None
    # While its position is being sold a strategy is not asked any more.
    asked = symbol in engine.portfolio.positions and book.exit_reason is None
    return {
        "strategy": _fields(desk.strategy) if asked else None,
        "indicators": {name: round(value, 9) for name, value in desk.calculator.now.items()},
        "before": {name: round(value, 9) for name, value in desk.calculator.before.items()},
        "forming": None if forming.window_end is None else [str(getattr(forming, n)) for n in _FORMING],
        "volumes": list(desk.volumes),
        "last": desk.last,
        "since exit": [desk.exit_stamp, desk.since_exit] if desk.exit_stamp and trading else None,
        "waiting": None if book.entry is None else [desk.signal_end, desk.waited],
        "protect at": book.protect_at,
        "leaving": book.exit_reason,
    }


_FORMING: Final = ("_window_end", "_open", "_high", "_low", "_close", "_volume", "_bars")


def _fields(strategy: Strategy) -> dict[str, str]:
    return {name: str(value) for name, value in vars(strategy).items() if name not in ("config", "symbol")}
