"""Leads an engine and a stepped venue through time together, instant by instant.

Simulated market and replay, at any speed, are driven by this one loop; only the waiting between two instants
differs. So a run at ``--speed max`` and one that is watched take the same decisions.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from tui_trader.engine.clock import AcceleratedClock, VirtualClock
from tui_trader.engine.driver import Driver
from tui_trader.engine.handle import SetSpeed, Shutdown
from tui_trader.engine.inbox import Inbox, Message
from tui_trader.engine.trading_engine import TradingEngine
from tui_trader.venues.base import SteppedVenue

# A night is not waited for: the market jumps to this long before the next thing that happens.
_NIGHT = timedelta(minutes=30)
_DAWN = timedelta(seconds=60)
_NIGHT_SECONDS = 2.0
# Unpaced, the loop lets other tasks of its thread run once in so many instants.
_YIELD_EVERY = 64


class Stepper(Driver):
    """Owns the time of the engine and of its venue."""

    def __init__(
        self,
        engine: TradingEngine,
        venue: SteppedVenue,
        inbox: Inbox,
        clock: VirtualClock,
        pacer: AcceleratedClock,
    ) -> None:
        super().__init__(engine, inbox)
        self._venue = venue
        self._clock = clock
        self.pacer = pacer

    @property
    def speed(self) -> float | None:
        return self.pacer.speed

    def shown_time(self) -> datetime:
        upcoming = self.next_time()
        now = self._clock.now()
        return min(max(now, self.pacer.now()), upcoming) if upcoming is not None else now

    def _handle(self, message: Message) -> None:
        if isinstance(message, SetSpeed):
            # From where the market stands: one that could not keep up must not race to catch up now.
            self.pacer.jump_to(self._clock.now())
            self.pacer.set_speed(message.speed)
        super()._handle(message)

    def next_time(self) -> datetime | None:
        """The next instant at which anything happens, in the venue or the engine."""
        venue, timer = self._venue.next_time(), self._engine.timers.next_time()
        if venue is None or timer is None:
            return venue or timer
        return min(venue, timer)

    def step(self, time: datetime) -> None:
        """One instant: matching, fills and what answers them, bars and decisions, alarms (DESIGN §9)."""
        self._clock.advance_to(time)
        for _ in self._venue.phases(time):
            self.drain()
        while self._engine.run_next_timer():
            self.drain()
        self.settle()
        self._venue.checkpoint()
        self.after_instant()

    async def run(self) -> None:
        """Until the engine has stopped."""
        self._listen()
        try:
            self.start()
            steps = 0
            while not self._engine.stopped:
                time = self.next_time()
                if time is None or (self._venue.next_time() is None and not self._engine.shutting_down):
                    self._engine.handle(Shutdown("the market has no more sessions"))
                    self.settle()
                    continue
                if await self._wait_for(time):
                    self.step(time)
                    steps += 1
                    if steps % _YIELD_EVERY == 0:
                        await asyncio.sleep(0)
                else:
                    self.settle()
        finally:
            self._inbox.wake = None

    async def _wait_for(self, time: datetime) -> bool:
        """Wait until it is ``time``; false when a message came first. A shutdown does not wait."""
        if len(self._inbox):
            return False
        if self._engine.shutting_down:
            return True
        if time - self._clock.now() > _NIGHT and self._engine.day.schedule is None and self.pacer.speed:
            if await self._sleep(_NIGHT_SECONDS):
                return False
            self.pacer.jump_to(time - _DAWN)
        seconds = self.pacer.seconds_until(time)
        return seconds <= 0 or not await self._sleep(seconds)
