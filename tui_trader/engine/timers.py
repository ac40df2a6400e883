"""The engine's own alarms, as data: what is to happen, and when."""

from __future__ import annotations

import heapq
from datetime import datetime
from enum import IntEnum
from itertools import count
from typing import NamedTuple


class Alarm(IntEnum):
    """Kinds of alarms; at one instant they go off in this order (DESIGN §9)."""

    CANDLE_TIMEOUT = 0
    ENTRY_EXPIRY = 1
    SESSION_OPEN = 2
    CUT_OFF = 3
    FLATTEN = 4
    ESCALATE = 5
    REQUEST_TIMEOUT = 6
    ORDER_FOLLOW_UP = 7
    PARTIAL_GRACE = 8
    PROTECT_DEADLINE = 9
    RETRY = 10
    POLL = 11
    RECONCILE = 12
    SHUTDOWN_DEADLINE = 13
    SESSION_CLOSE = 14
    STALE_CHECK = 15
    REFILL = 16
    HEARTBEAT = 17


class Timer(NamedTuple):
    """``key`` says what it is about (a symbol, or a request id; one type for each kind of alarm)."""

    time: datetime
    alarm: Alarm
    key: str | int
    number: int


class Timers:
    """A queue of alarms in order of time, kind and key (symbols A–Z)."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._cancelled: set[int] = set()
        self._numbers = count()

    def set(self, time: datetime, alarm: Alarm, key: str | int = "") -> Timer:
        timer = Timer(time, alarm, key, next(self._numbers))
        heapq.heappush(self._heap, timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Forget ``timer``; one that went off already must not be cancelled again, None is nothing."""
        if timer is not None:
            self._cancelled.add(timer.number)

    def next_time(self) -> datetime | None:
        """When the next alarm goes off."""
        self._drop_cancelled()
        return self._heap[0].time if self._heap else None

    def pop_due(self, now: datetime) -> Timer | None:
        """The next alarm that is due at ``now``."""
        self._drop_cancelled()
        if self._heap and self._heap[0].time <= now:
            return heapq.heappop(self._heap)
        return None

    def _drop_cancelled(self) -> None:
        heap, cancelled = self._heap, self._cancelled
        while heap and heap[0].number in cancelled:
            cancelled.discard(heapq.heappop(heap).number)
