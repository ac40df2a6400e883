"""The exchange's time: real, faster than real, or moved by a test."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class ServerClock:
    """Stands still at ``start`` until it is set; without ``start`` it runs from now, at ``speed``."""

    def __init__(self, start: datetime | None, speed: float = 1.0) -> None:
        self.virtual = start is not None
        self._base = start or datetime.now(UTC)
        self._speed = speed
        self._started = time.monotonic()

    def now(self) -> datetime:
        if self.virtual:
            return self._base
        return self._base + timedelta(seconds=(time.monotonic() - self._started) * self._speed)

    def set(self, now: datetime) -> None:
        """Jump, forwards or backwards."""
        self._base = now
        self._started = time.monotonic()
