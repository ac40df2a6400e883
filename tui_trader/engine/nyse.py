"""The calendar of the New York Stock Exchange, taken from exchange_calendars."""

import datetime as dt
from functools import cached_property
from typing import Any

from tui_trader.core.calendar import FixedCalendar, Session

_FIRST_DAY = dt.date(2000, 1, 1)


class NyseCalendar:
    """A `Calendar` of XNYS: holidays, 13:00 closes and daylight saving included.

    It covers `first` (default 2000-01-01) to `last` (default one year from today, as far ahead as
    exchange_calendars goes by itself). Raises `CalendarRangeError` beyond that.

    Nothing is loaded before the first question. exchange_calendars spends the same time on six weeks as on
    thirty years, so that question loads all of it, once for this instance.
    """

    def __init__(self, first: dt.date = _FIRST_DAY, last: dt.date | None = None) -> None:
        self._first = first
        self._last = last

    def sessions(self, start: dt.date, end: dt.date) -> tuple[Session, ...]:
        """All sessions from `start` to `end`, both included, oldest first; none when `end` is earlier."""
        return self._loaded.sessions(start, end)

    def session_on(self, day: dt.date) -> Session | None:
        """The session of that day, or None when the exchange is closed all day."""
        return self._loaded.session_on(day)

    def next_session(self, after: dt.date) -> Session:
        """The first session strictly after that day."""
        return self._loaded.next_session(after)

    def previous_sessions(self, before: dt.date, count: int) -> tuple[Session, ...]:
        """The last `count` sessions strictly before that day, oldest first."""
        return self._loaded.previous_sessions(before, count)

    @cached_property
    def _loaded(self) -> FixedCalendar:
        # Imported here because it brings pandas, about half a second that `--help` must not pay.
        from exchange_calendars.exchange_calendar_xnys import XNYSExchangeCalendar

        last: dt.date = self._last or XNYSExchangeCalendar.default_end().date()
        exchange: Any = XNYSExchangeCalendar(start=self._first.isoformat(), end=last.isoformat())
        sessions = [
            Session(_instant(opened).date(), _instant(opened), _instant(closed))
            for opened, closed in zip(exchange.opens_nanos, exchange.closes_nanos, strict=True)
        ]
        return FixedCalendar(sessions, first=self._first, last=last)


def _instant(nanoseconds: int) -> dt.datetime:
    # The UTC date of a New York session is its New York date: it lies between 13:30 and 21:00 UTC.
    return dt.datetime.fromtimestamp(int(nanoseconds) // 1_000_000_000, dt.UTC)
