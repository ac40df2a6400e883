"""How many requests may still be sent, and who may send them.

Alpaca takes 200 requests a minute. The last of them are kept for what must not wait: protecting a position
and getting out of it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum


class Priority(Enum):
    """Who asks, the most urgent first."""

    EXIT = "exit"  # cancels, stops, exits: may use everything
    QUERY = "query"  # what became of an order, what is held: how a lost stop is found out
    ENTRY = "entry"
    BACKGROUND = "background"  # history, lists of assets


class RequestBudget:
    """A rolling window of ``limit`` requests in ``per_s`` seconds, shared by all threads.

    Entries leave ``reserve`` requests over, questions half of it, the background a quarter of the limit more.
    ``monotonic`` gives seconds.
    """

    def __init__(
        self,
        limit: int = 200,
        per_s: float = 60.0,
        reserve: int = 60,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_s = per_s
        self._monotonic = monotonic
        self._most = {
            Priority.EXIT: limit,
            Priority.QUERY: limit - reserve // 2,
            Priority.ENTRY: limit - reserve,
            Priority.BACKGROUND: limit - reserve - limit // 4,
        }
        self._lock = threading.Lock()
        self._sent: deque[float] = deque()
        self._limited_until = -1.0
        self._others = 0  # requests in the window that were not ours, as far as was told
        self._told = -math.inf

    def try_take(self, priority: Priority) -> bool:
        """Whether a request may be sent now; if so it is counted as sent."""
        with self._lock:
            now = self._monotonic()
            while self._sent and self._sent[0] <= now - self._per_s:
                self._sent.popleft()
            # An exit tries all the same: a refusal costs nothing, and the limit may be less strict than said.
            if now < self._limited_until and priority is not Priority.EXIT:
                return False
            spent = len(self._sent)
            if priority is not Priority.EXIT and now - self._told < self._per_s:
                spent += self._others
            if spent >= self._most[priority]:
                return False
            self._sent.append(now)
            return True

    def told(self, left: int) -> None:
        """The broker still takes ``left`` requests. An earlier run, or another program, may have sent some: a
        run that is killed and started again must not spend what its exits need."""
        with self._lock:
            self._told = self._monotonic()
            self._others = max(0, self._most[Priority.EXIT] - left - len(self._sent))

    def limited_for(self, seconds: float) -> None:
        """The broker will not listen to us for so long: nothing but exits is sent."""
        with self._lock:
            self._limited_until = max(self._limited_until, self._monotonic() + seconds)
