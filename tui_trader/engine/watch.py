"""What forbids new entries although nothing is wrong with the engine: conditions, halts, silent symbols."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from tui_trader.core.events import ErrorOccurred
from tui_trader.engine.bus import Publisher
from tui_trader.engine.clock import Clock
from tui_trader.engine.desk import SymbolDesk
from tui_trader.engine.market import MarketDesk
from tui_trader.engine.order_manager import OrderManager
from tui_trader.engine.timers import Alarm, Timer, Timers
from tui_trader.venues.base import TradingHalt, VenueCondition

_LOOK_EVERY: Final = timedelta(seconds=15)


class Watch:
    """Knows what stands in the way of entries. ``stale_after`` None: the venue's bars cannot fail to come."""

    def __init__(
        self,
        desks: Mapping[str, SymbolDesk],
        market: MarketDesk,
        manager: OrderManager,
        bus: Publisher,
        clock: Clock,
        timers: Timers,
        stale_after: timedelta | None,
    ) -> None:
        self._desks = desks
        self._market = market
        self._manager = manager
        self._bus = bus
        self._clock = clock
        self._timers = timers
        self._stale_after = stale_after
        self._problems: dict[str, str] = {}
        self._next_look: Timer | None = None

    @property
    def clear(self) -> bool:
        """Whether no condition forbids entries."""
        return not self._problems

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(self._problems.values())

    # ---- conditions ------------------------------------------------------------------------------

    def condition(self, message: VenueCondition) -> None:
        """Something that forbids entries has begun, changed or ended; each is said once."""
        before = self._problems.get(message.name, "")
        if message.problem == before:
            return
        if message.problem:
            self._problems[message.name] = message.problem
            self._bus.emit(ErrorOccurred(message.name, f"{message.problem}: entries are off", None))
            self._manager.withdraw_all_entries(message.problem)
        else:
            del self._problems[message.name]
            self._bus.emit(ErrorOccurred(message.name, f"no longer so: {before}", None))

    def halt(self, message: TradingHalt) -> None:
        """Trading of a symbol was halted, or goes on (``reason`` empty)."""
        desk = self._desks.get(message.symbol)
        if desk is None or desk.halted == message.reason:
            return
        desk.halted = message.reason
        if message.reason:
            self._manager.withdraw_entry(message.symbol, "trading is halted")
        self._market.show(desk)

    # ---- silent symbols --------------------------------------------------------------------------

    def begin(self) -> None:
        """A session has opened, or is under way as trading begins: look at its symbols from now on."""
        for desk in self._desks.values():
            desk.stale = False
        self._look_later()

    def look(self) -> None:
        """Mark the symbols of which no bar has come for too long. A bar takes the mark off again."""
        self._next_look = None
        if self._stale_after is None or not self._market.in_session:
            return
        now = self._clock.now()
        for desk in self._desks.values():
            opened = desk.session_open
            if opened is None or desk.stale:
                continue
            heard = max(desk.last_bar or opened, opened)
            if now - heard <= self._stale_after:
                continue
            desk.stale = True
            self._manager.withdraw_entry(desk.symbol, "no bars come")
            self._market.show(desk)
        self._look_later()

    def _look_later(self) -> None:
        if self._stale_after is not None:
            self._timers.cancel(self._next_look)
            self._next_look = self._timers.set(self._clock.now() + _LOOK_EVERY, Alarm.STALE_CHECK)
