"""The trading day: opens, closes and the way there (DESIGN §7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime

from tui_trader.core.calendar import NEW_YORK, Calendar, CalendarRangeError, Session
from tui_trader.core.events import ErrorOccurred, SessionChanged, TradeReason
from tui_trader.core.portfolio import Portfolio
from tui_trader.engine.bus import Publisher
from tui_trader.engine.clock import Clock
from tui_trader.engine.desk import SymbolDesk
from tui_trader.engine.market import MarketDesk
from tui_trader.engine.order_manager import OrderManager
from tui_trader.engine.sessions import Schedule, SessionRules
from tui_trader.engine.timers import Alarm, Timers


class TradingDay:
    """Knows which session it is and leads positions to its end.

    ``opened`` and ``closed`` are called when a session has begun or ended, with the session; ``changed``
    when the engine's state may read differently, with the reason.
    """

    def __init__(
        self,
        rules: SessionRules,
        calendar: Calendar,
        market: MarketDesk,
        manager: OrderManager,
        portfolio: Portfolio,
        desks: Mapping[str, SymbolDesk],
        bus: Publisher,
        clock: Clock,
        timers: Timers,
    ) -> None:
        self._rules = rules
        self._calendar = calendar
        self._market = market
        self._manager = manager
        self._portfolio = portfolio
        self._desks = desks
        self._bus = bus
        self._clock = clock
        self._timers = timers
        self.schedule: Schedule | None = None  # None while the market is closed
        self.next_session: Session | None = None  # None while it is open
        self.closing = False
        self.opened: Callable[[Session], None] = lambda session: None
        self.closed: Callable[[Session], bool] = lambda session: True
        self.changed: Callable[[str], None] = lambda reason: None

    # ---- beginnings ------------------------------------------------------------------------------

    def find(self, now: datetime) -> None:
        """Where in the calendar are we?"""
        day = now.astimezone(NEW_YORK).date()
        today = self._calendar.session_on(day)
        if today is not None and today.contains(now):
            self._enter(today)
        elif today is not None and now < today.open:
            self._await(today)
        else:
            self._await(self._calendar.next_session(day))

    def _await(self, session: Session) -> None:
        self.next_session = session
        self._manager.start_session(session.date)
        self._timers.set(session.open, Alarm.SESSION_OPEN)

    def _enter(self, session: Session) -> None:
        schedule = Schedule.of(session, self._rules)
        self.schedule, self.next_session = schedule, None
        self._manager.start_session(session.date)
        for moment, alarm in (
            (schedule.no_entries_from, Alarm.CUT_OFF),
            (schedule.flatten_at, Alarm.FLATTEN),
            (schedule.escalate_at, Alarm.ESCALATE),
            (session.close, Alarm.SESSION_CLOSE),
        ):
            # What an earlier run has done already is done again at once: it may have been interrupted.
            self._timers.set(max(moment, self._clock.now()), alarm)
        self._market.start_session(schedule)
        self._bus.emit(
            SessionChanged(
                session.date.isoformat(), session.open, session.close, schedule.no_entries_from,
                schedule.flatten_at,
            )
        )  # fmt: skip

    def open(self) -> None:
        """The opening bell."""
        session = self.next_session
        if session is None:
            return
        self._manager.forget_ended()
        self._enter(session)
        self.opened(session)
        self.changed("the session has opened")

    # ---- endings ---------------------------------------------------------------------------------

    def cut_off(self) -> None:
        self._manager.withdraw_all_entries("no entries before the close")

    def close_positions(self) -> None:
        """Before the close: every position whose strategy wants it is sold."""
        self.closing = True
        self.changed("end of day")
        for symbol in sorted(self._manager.books):
            if self.must_be_flat(symbol):
                self._manager.close(symbol, TradeReason.END_OF_DAY)

    def escalate(self) -> None:
        """One minute left: whatever has not been sold is tried again at once, and said aloud."""
        left = self._left()
        if left:
            text = f"still open one minute before the close: {', '.join(left)}"
            self._bus.emit(ErrorOccurred("end of day", text, None))
            self.close_positions()
            self._manager.push()

    def must_be_flat(self, symbol: str) -> bool:
        """Whether a position in ``symbol`` may not be held overnight."""
        desk, position = self._desks.get(symbol), self._portfolio.positions.get(symbol)
        if desk is None or desk.force_close_eod:
            return True
        # A strategy that leaves positions overnight cannot say so for another's.
        return position is not None and position.strategy != desk.strategy.name

    def close(self) -> None:
        """The closing bell. ``closed`` says whether there is to be another session."""
        self._market.end_session()
        schedule, self.schedule = self.schedule, None
        self.closing = False
        left = self._left()
        if left:
            self._bus.emit(ErrorOccurred("end of day", f"open after the close: {', '.join(left)}", None))
        if schedule is None or not self.closed(schedule.session):
            return
        try:
            following = self._calendar.next_session(schedule.session.date)
        except CalendarRangeError as error:
            self._bus.emit(ErrorOccurred("calendar", f"no further session is known: {error}", None))
        else:
            self._await(following)
        self.changed("the session has closed")

    def _left(self) -> list[str]:
        return [symbol for symbol in sorted(self._portfolio.positions) if self.must_be_flat(symbol)]

    @property
    def date(self) -> date | None:
        """The session's date, None while the market is closed."""
        return self.schedule.session.date if self.schedule is not None else None
