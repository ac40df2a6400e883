"""REST without worker threads: a request is made where the test stands, and answered when the test says."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import TypeVar

from tui_trader.core.orders import OrderSpec, Role
from tui_trader.engine.clock import VirtualClock
from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.alpaca.budget import RequestBudget
from tui_trader.venues.alpaca.lanes import Lane, RestState
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem
from tui_trader.venues.alpaca.rest import AlpacaRest, Json
from tui_trader.venues.base import Sink, VenueMessage

_T = TypeVar("_T")

NO_TIME = timedelta(0)
#: What a request takes that hangs: the read time-out of ``AlpacaRest``.
HANGING = timedelta(seconds=10)
_FAILURES_THAT_COUNT = 2


class KilledError(BaseException):
    """The process ends here. Nothing in the program may catch it."""


class MortalRest(AlpacaRest):
    """``at`` is told each moment at which a process can die: "before" and "after" a request for orders."""

    at: Callable[[str, str, Role | None], None] = staticmethod(lambda when, request, role: None)

    def submit(self, spec: OrderSpec) -> Json:
        self.at("before", "submit", spec.role)
        answer = super().submit(spec)
        self.at("after", "submit", spec.role)
        return answer

    def replace(self, order_id: str, spec: OrderSpec) -> Json:
        self.at("before", "replace", spec.role)
        answer = super().replace(order_id, spec)
        self.at("after", "replace", spec.role)
        return answer

    def cancel(self, order_id: str) -> None:
        self.at("before", "cancel", None)
        super().cancel(order_id)
        self.at("after", "cancel", None)


class InlineLanes:
    """Stands for ``RestLanes``. Times are the scene's.

    A request is on its way for ``way_there``, its answer for ``way_back``; one that brought no answer at all
    is known to be lost after ``failing``. What another thread asks for waits for ``run_due``.
    """

    def __init__(self, access: AlpacaAccess, clock: VirtualClock, sink: Sink) -> None:
        self.on_health: Callable[[RestState, int], None] = lambda state, failures: None
        self.way_there = self.way_back = self.failing = NO_TIME
        self.before_each: Callable[[], None] = lambda: None
        self.made = 0  # requests
        self._clock = clock
        self._sink = sink
        begin = clock.now()
        budget = RequestBudget(monotonic=lambda: (clock.now() - begin).total_seconds())
        self.rest = MortalRest(access, budget, self._heard)
        self._home = threading.get_ident()
        self._lock = threading.Lock()
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count()
        self._said: list[VenueMessage] = []
        self._working = False
        self._lost = False  # whether the request under way got no answer
        self._state: RestState | None = None
        self._failures = 0

    # ---- what the venue uses ---------------------------------------------------------------------

    def run(
        self, lane: Lane, call: Callable[[AlpacaRest], _T], done: Callable[[_T | RestProblem], None]
    ) -> None:
        def task() -> None:
            self._carry_out(call, done)

        if self.way_there or self._working or threading.get_ident() != self._home:
            self._later(self.way_there, task)
        else:
            task()

    def close(self) -> None:
        self._heap.clear()
        self.rest.close()

    # ---- what the scene uses ---------------------------------------------------------------------

    def post(self, message: VenueMessage) -> None:
        """The venue's sink, for what it says in the test's thread."""
        if self._working:
            self._said.append(message)
        else:
            self._sink(message)

    def next_time(self) -> datetime | None:
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> bool:
        """Carry out and tell what is due; whether there was anything."""
        any_due = False
        while (task := self._next()) is not None:
            any_due = True
            task()
        return any_due

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            due = self._heap and self._heap[0][0] <= self._clock.now()
            return heapq.heappop(self._heap)[2] if due else None

    def _later(self, delay: timedelta, task: Callable[[], None]) -> None:
        with self._lock:
            heapq.heappush(self._heap, (self._clock.now() + delay, next(self._numbers), task))

    def _carry_out(self, call: Callable[[AlpacaRest], _T], done: Callable[[_T | RestProblem], None]) -> None:
        self.before_each()
        self.made += 1
        self._working, self._lost = True, False
        try:
            try:
                outcome: _T | RestProblem = call(self.rest)
            except RestProblem as problem:
                outcome = problem
            done(outcome)
        finally:
            self._working = False
            said, self._said = self._said, []
        delay = self.failing if self._lost else self.way_back
        if delay:
            self._later(delay, lambda: self._tell(said))
        else:
            self._tell(said)

    def _tell(self, messages: list[VenueMessage]) -> None:
        for message in messages:
            self._sink(message)

    # ---- health, as RestLanes tells it -----------------------------------------------------------

    def _heard(self, problem: ProblemKind | None) -> None:
        match problem:
            case ProblemKind.UNREACHABLE | ProblemKind.UNCLEAR:
                self._lost = True
                self._failures += 1
                if self._failures >= _FAILURES_THAT_COUNT:
                    self._become("reconnecting")
            case ProblemKind.UNAUTHORIZED:
                self._failures = 0
                self._become("disconnected")
            case _:
                self._failures = 0
                self._become("connected")

    def _become(self, state: RestState) -> None:
        if state != self._state:
            self._state = state
            self.on_health(state, self._failures)
