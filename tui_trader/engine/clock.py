"""Where all time comes from. Nothing else in the engine reads a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol


class Clock(Protocol):
    """The engine's time, aware UTC."""

    def now(self) -> datetime: ...


# Where there is a clock that goes on while the machine sleeps, it is the one: after a night's sleep the
# engine must not think that it is still yesterday.
_SLEEPLESS: Final = getattr(
    time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC_RAW", time.CLOCK_MONOTONIC)
)


def _elapsed() -> float:
    return time.clock_gettime(_SLEEPLESS)


class SystemClock:
    """Real time, held monotonic: a wall clock that steps back does not turn the engine's time back."""

    def __init__(self) -> None:
        self._base = datetime.now(UTC)
        self._started = _elapsed()

    def now(self) -> datetime:
        return self._base + timedelta(seconds=_elapsed() - self._started)


class VirtualClock:
    """Time that stands still until it is moved; never backwards."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance_to(self, time: datetime) -> None:
        if time < self._now:
            raise ValueError(f"time cannot go back from {self._now} to {time}")
        self._now = time


class AcceleratedClock:
    """Market time running at ``speed`` market seconds a real second; None means unpaced.

    It answers how long to wait for a market time, and what the market time is right now. ``monotonic`` gives
    real seconds and is a parameter so that tests own it.
    """

    def __init__(
        self, start: datetime, speed: float | None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._anchor_market = start
        self._anchor_real = monotonic()
        self.speed = speed

    def now(self) -> datetime:
        if self.speed is None:
            return self._anchor_market
        elapsed = self._monotonic() - self._anchor_real
        return self._anchor_market + timedelta(seconds=elapsed * self.speed)

    def set_speed(self, speed: float | None) -> None:
        """Change pace from here on."""
        self.jump_to(self.now())
        self.speed = speed

    def jump_to(self, market_time: datetime) -> None:
        """It is ``market_time`` now (the night between two sessions is skipped)."""
        self._anchor_market = market_time
        self._anchor_real = self._monotonic()

    def seconds_until(self, market_time: datetime) -> float:
        """Real seconds until ``market_time``, 0 when it has come; unpaced, it has come by being asked for."""
        if self.speed is None:
            self._anchor_market = max(self._anchor_market, market_time)
            return 0.0
        return max(0.0, (market_time - self.now()).total_seconds() / self.speed)
