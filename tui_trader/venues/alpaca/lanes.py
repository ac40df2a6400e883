"""Worker threads for what blocks. An order never waits behind a question, nor either behind history.

Threads are started when they are needed and sleep when they are not. One that hangs (a name that is not
resolved, an answer that trickles in) no longer counts, so that another can take its place.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeVar

from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.alpaca.budget import RequestBudget
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem
from tui_trader.venues.alpaca.rest import AlpacaRest

_T = TypeVar("_T")

log = logging.getLogger("tui_trader.alpaca")

#: Orders that can be on their way at once.
ORDER_LINES: Final = 4
_FAILURES_THAT_COUNT: Final = 2
#: About what a request takes until it is on its way. Python lets a thread that waits for the interpreter have
#: it when another sleeps.
_STEP_BACK_S: Final = 0.001

RestState = Literal["connected", "reconnecting", "disconnected"]
Heard = Callable[[ProblemKind | None], None]
#: Makes a client for one thread, which tells what it hears.
Connect = Callable[[Heard], AlpacaRest]


class Lane(StrEnum):
    ORDERS = "orders"
    QUERIES = "queries"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class _Rule:
    """One lane's measures.

    ``stale_after_s``: the engine has given up what waited so long, so it must not be sent any more.
    ``hung_after_s``: longer than connecting and reading may take. ``at_once``: whoever adds a task steps
    back for a moment, so that the thread that is to do it is the next to run.
    """

    threads: int
    stale_after_s: float = math.inf
    hung_after_s: float = math.inf
    at_once: bool = False


_RULES: Final = {
    Lane.ORDERS: _Rule(ORDER_LINES, 4.0, 20.0, at_once=True),
    Lane.QUERIES: _Rule(2, 4.0, 20.0),
    Lane.HISTORY: _Rule(2),
}
#: When everything hangs, even replacements do: at most so many threads for each that is meant to be.
_MOST_REPLACEMENTS: Final = 4


class RestLanes:
    """Runs calls on worker threads, each with a client of its own.

    ``budget`` is that of the trading API.

    ``on_health`` is told, from any thread, when the trading API is reached again ("connected"), has not
    answered twice in a row ("reconnecting", with the number of failures) or does not take the keys
    ("disconnected").
    """

    def __init__(
        self,
        access: AlpacaAccess,
        budget: RequestBudget,
        *,
        connect: Connect | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.on_health: Callable[[RestState, int], None] = lambda state, failures: None
        self._health = _Health(lambda state, failures: self.on_health(state, failures))
        data_budget = RequestBudget()
        make = connect or (lambda heard: AlpacaRest(access, budget, heard, data_budget=data_budget))
        self._lanes = {
            lane: _Crew(lane, rule, lambda: make(self._health.hear), monotonic)
            for lane, rule in _RULES.items()
        }

    def run(
        self, lane: Lane, call: Callable[[AlpacaRest], _T], done: Callable[[_T | RestProblem], None]
    ) -> None:
        """Have ``call`` made soon and ``done`` told its result or problem, both on a worker thread.

        Does not block. After ``close`` nothing more is begun, and ``done`` is not called.
        """

        def task(rest: AlpacaRest | None) -> None:
            done(_outcome(call, rest))

        self._lanes[lane].add(task)

    def open_order_lines(self) -> None:
        """Have every order thread connect now. An order would otherwise wait for that, and the first of all
        for alpaca-py to be imported."""
        for _ in range(ORDER_LINES):
            self.run(Lane.ORDERS, lambda rest: rest.clock(), lambda _: None)

    def close(self) -> None:
        """Begin nothing more. What hangs is left to hang: its thread ends with the program."""
        for crew in self._lanes.values():
            crew.close()


def _outcome(call: Callable[[AlpacaRest], _T], rest: AlpacaRest | None) -> _T | RestProblem:
    if rest is None:
        return RestProblem(ProblemKind.UNREACHABLE, "it waited too long to be sent, and was not")
    try:
        return call(rest)
    except RestProblem as problem:
        return problem
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
        return RestProblem(ProblemKind.UNCLEAR, f"the request failed ({type(error).__name__})")


#: Given None when it has become too late for it.
_Task = Callable[[AlpacaRest | None], None]


class _Crew:
    """The threads of one lane and what waits for them."""

    def __init__(
        self, lane: Lane, rule: _Rule, connect: Callable[[], AlpacaRest], monotonic: Callable[[], float]
    ) -> None:
        self._lane = lane
        self._rule = rule
        self._connect = connect
        self._monotonic = monotonic
        self._change = threading.Condition()
        self._waiting: deque[tuple[float, _Task]] = deque()
        self._idle = 0
        self._busy_since: dict[threading.Thread, float] = {}
        self._closed = False

    def add(self, task: _Task) -> None:
        with self._change:
            if self._closed:
                return
            self._waiting.append((self._monotonic(), task))
            if self._idle >= len(self._waiting):
                self._change.notify()
            elif self._has_room():
                self._start()
        if self._rule.at_once:
            time.sleep(_STEP_BACK_S)

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify_all()

    def _has_room(self) -> bool:
        """Whether one more thread may be here, those that hang not counted."""
        now = self._monotonic()
        at_work = sum(now - since < self._rule.hung_after_s for since in self._busy_since.values())
        alive = len(self._busy_since) + self._idle
        return at_work + self._idle < self._rule.threads and alive < _MOST_REPLACEMENTS * self._rule.threads

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name=f"alpaca-{self._lane}", daemon=True)
        self._busy_since[thread] = self._monotonic()  # so that two requests at once start two threads
        thread.start()

    def _work(self) -> None:
        rest = self._connect()
        while (waiting := self._next()) is not None:
            since, task = waiting
            stale = self._monotonic() - since > self._rule.stale_after_s
            try:
                task(None if stale else rest)
            except Exception:  # a listener's fault must not cost a thread
                log.exception("the answer to a request could not be handed on")
        rest.close()

    def _next(self) -> tuple[float, _Task] | None:
        """The next task, as soon as there is one; None when the thread is to end."""
        me = threading.current_thread()
        with self._change:
            self._busy_since.pop(me, None)
            if not self._has_room():
                return None  # it hung, and another has taken its place
            while not self._waiting and not self._closed:
                self._idle += 1
                self._change.wait()
                self._idle -= 1
            if self._closed:
                return None
            self._busy_since[me] = self._monotonic()
            return self._waiting.popleft()


class _Health:
    """Whether the trading API can be reached, from what every request heard."""

    def __init__(self, tell: Callable[[RestState, int], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._state: RestState | None = None
        self._failures = 0

    def hear(self, problem: ProblemKind | None) -> None:
        with self._lock:
            match problem:
                case ProblemKind.UNREACHABLE | ProblemKind.UNCLEAR:
                    self._failures += 1
                    if self._failures >= _FAILURES_THAT_COUNT:
                        self._become("reconnecting")
                case ProblemKind.UNAUTHORIZED:
                    self._failures = 0
                    self._become("disconnected")
                case _:
                    # A refusal is an answer, too.
                    self._failures = 0
                    self._become("connected")

    def _become(self, state: RestState) -> None:
        # Told under the lock, so that the news cannot overtake each other.
        if state != self._state:
            self._state = state
            self._tell(state, self._failures)
