"""Leads an engine through real time: it is woken by messages and by its own alarms, and sleeps otherwise."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from tui_trader.core.events import EngineState, ErrorOccurred
from tui_trader.engine.bus import EventBus
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
#: Seconds after which a thread that computes makes room for one that waits to. Python's own 5 ms are as long
#: as everything else between a bar and its order, and a request changes hands several times on its way.
_TURN: Final = 0.0005
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
        bus: EventBus,
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(engine, inbox)
        self._clock = clock
        self._bus = bus
        self._ready = ready
        self._worst = 0.0  # seconds that anything had to wait since the last heartbeat
        self._alarmed = -_ALARM_EVERY
        self._looked = -_LOOK_EVERY
        self._clock_problem = ""  # as it was last told
        self._settled = False  # whether what stays in memory for good is there
        engine.load = self._load

    @property
    def speed(self) -> float | None:
        return 1.0

    def shown_time(self) -> datetime:
        return self._clock.now()

    async def run(self) -> None:
        """Until the engine has stopped."""
        self._listen()
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_TURN)
        try:
            await self._ready()
            self.start()
            while not self._engine.stopped:
                self._moment()
                await self._wait()
        finally:
            sys.setswitchinterval(usual)
            self._inbox.wake = None

    def _moment(self) -> None:
        """Everything that has come, and every alarm that is due."""
        begun = time.monotonic()
        self._bus.hold()
        try:
            self.drain()
            while self._engine.run_next_timer():
                self.drain()
            self.settle()
            self.after_instant()
        finally:
            self._bus.release()
        now = time.monotonic()
        self._note_lag(now - begun, now)
        if not self._settled and self._engine.state is EngineState.RUNNING:
            self._settled = True
            _spare_the_collector()
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
        # Warming up is work that nothing waits for.
        if seconds > LAG_ALARM and self._settled and now - self._alarmed >= _ALARM_EVERY:
            self._alarmed = now
            text = f"the engine was {seconds * 1000:.0f} ms late: the machine or a strategy is too slow"
            self._bus.emit(ErrorOccurred("lateness", text, None))

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
        if problem != self._clock_problem:
            self._clock_problem = problem
            self._inbox.post(VenueCondition(_CONDITION, problem))


def _spare_the_collector() -> None:
    """Libraries, history and charts are here to stay: no collection looks at them again.

    One that did would hold up all threads for some 50 ms, whenever it came.
    """
    gc.collect()
    gc.freeze()
