"""Leads an engine through real time: it is woken by messages and by its own alarms, and sleeps otherwise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from tui_trader.core.events import ErrorOccurred
from tui_trader.engine.bus import Publisher
from tui_trader.engine.clock import SystemClock
from tui_trader.engine.driver import Driver
from tui_trader.engine.inbox import Inbox
from tui_trader.engine.trading_engine import TradingEngine
from tui_trader.venues.base import VenueCondition

#: Seconds. A message that had to wait longer for the engine is worth an alarm, at most one a minute.
LAG_ALARM: Final = 0.25
_ALARM_EVERY: Final = 60.0
#: Seconds between the machine's clock and ours beyond which entries are off.
CLOCK_TOLERANCE: Final = 2.0
_LOOK_EVERY: Final = 5.0
_CONDITION: Final = "clock"


class LiveDriver(Driver):
    """Drives the engine on a venue whose time is everybody's.

    ``ready`` is awaited before the engine starts: the streams are being opened, and what they say meanwhile
    waits in the inbox. It must end by itself, whatever the network does.
    """

    def __init__(
        self,
        engine: TradingEngine,
        inbox: Inbox,
        clock: SystemClock,
        bus: Publisher,
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(engine, inbox)
        self._clock = clock
        self._bus = bus
        self._ready = ready
        self._worst = 0.0  # seconds that anything had to wait since the last heartbeat
        self._alarmed = -_ALARM_EVERY
        self._looked = -_LOOK_EVERY
        engine.load = self._load

    @property
    def speed(self) -> float | None:
        return 1.0

    def shown_time(self) -> datetime:
        return self._clock.now()

    async def run(self) -> None:
        """Until the engine has stopped."""
        self._listen()
        try:
            await self._ready()
            self.start()
            while not self._engine.stopped:
                self._moment()
                await self._wait()
        finally:
            self._inbox.wake = None

    def _moment(self) -> None:
        """Everything that has come, and every alarm that is due."""
        begun = time.monotonic()
        self.drain()
        while self._engine.run_next_timer():
            self.drain()
        self.settle()
        self.after_instant()
        now = time.monotonic()
        self._note_lag(now - begun, now)
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._look_at_clock()

    async def _wait(self) -> None:
        """Until a message comes or the next alarm is due; the loop's other tasks run in any case."""
        await asyncio.sleep(0)
        upcoming = self._engine.timers.next_time()
        seconds = _LOOK_EVERY
        if upcoming is not None:
            seconds = min(seconds, (upcoming - self._clock.now()).total_seconds())
        if seconds <= 0 or self._engine.stopped:
            return
        due = time.monotonic() + seconds
        if not await self._sleep(seconds):
            now = time.monotonic()
            self._note_lag(now - due, now)

    # ---- lateness --------------------------------------------------------------------------------

    def _note_lag(self, seconds: float, now: float) -> None:
        self._worst = max(self._worst, seconds)
        if seconds > LAG_ALARM and now - self._alarmed >= _ALARM_EVERY:
            self._alarmed = now
            text = f"the engine was {seconds * 1000:.0f} ms late: the machine or a strategy is too slow"
            self._bus.emit(ErrorOccurred("engine", text, None))

    def _load(self) -> tuple[int, float]:
        worst, self._worst = self._worst, 0.0
        return len(self._inbox), round(worst * 1000, 1)

    # ---- the clock -------------------------------------------------------------------------------

    def _look_at_clock(self) -> None:
        """The machine's clock was set, or the machine slept: our own time goes on as if nothing had been."""
        drift = (datetime.now(UTC) - self._clock.now()).total_seconds()
        problem = ""
        if abs(drift) > CLOCK_TOLERANCE:
            problem = f"the machine's clock has moved by {drift:+.0f} s"
        self._inbox.post(VenueCondition(_CONDITION, problem))
