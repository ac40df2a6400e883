"""How much a viewer may ask of the control API."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one control server; times in seconds, sizes in bytes, rates in requests a second."""

    body_bytes: int = 4096
    body_timeout_s: float = 5.0
    requests_per_second: float = 50.0
    request_burst: int = 100
    connections: int = 64
    first_request_s: float = 10.0  # a connection that has asked nothing by then is closed
    viewers: int = 16
    subscription_events: int = 32_768
    kept_events: int = 10_000  # what `Last-Event-ID` can go back to
    viewer_events: int = 20_000  # what a slow viewer may owe
    heartbeat_s: float = 15.0
    engine_answer_s: float = 2.0
    unanswered_snapshots: int = 8


class TokenBucket:
    """Admits ``rate`` requests a second on average and ``burst`` at once."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._tokens = self._burst
        self._filled = clock()

    def take(self) -> bool:
        """Whether one more request may pass now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
