"""Trading sessions and the calendars that list them.

A calendar answers only for the days it covers. A question beyond them raises `CalendarRangeError`, because
"no session" and "not known" are different answers.
"""

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")

_FULL_SESSION_MINUTES = 390


class CalendarRangeError(ValueError):
    """A question about days that a calendar does not cover."""


@dataclass(frozen=True, slots=True)
class Session:
    """One regular trading session: its New York date, and its first and last instant, aware and in UTC."""

    date: dt.date
    open: dt.datetime
    close: dt.datetime

    @property
    def minutes(self) -> int:
        """Length in whole minutes: 390 on a full day."""
        return int((self.close - self.open).total_seconds()) // 60

    @property
    def half_day(self) -> bool:
        """True when the session is shorter than a full day."""
        return self.minutes < _FULL_SESSION_MINUTES

    def contains(self, timestamp: dt.datetime) -> bool:
        """True from the open up to, but not including, the close. `timestamp` is aware."""
        return self.open <= timestamp < self.close


class Calendar(Protocol):
    """The sessions of one exchange. Every method raises `CalendarRangeError` beyond the days covered."""

    def sessions(self, start: dt.date, end: dt.date) -> tuple[Session, ...]:
        """All sessions from `start` to `end`, both included, oldest first."""
        ...

    def session_on(self, day: dt.date) -> Session | None:
        """The session of that day, or None when the exchange is closed all day."""
        ...

    def next_session(self, after: dt.date) -> Session:
        """The first session strictly after that day."""
        ...

    def previous_sessions(self, before: dt.date, count: int) -> tuple[Session, ...]:
        """The last `count` sessions strictly before that day, oldest first."""
        ...


class FixedCalendar:
    """A calendar over given sessions, which must be in order of date.

    It covers the days from `first` to `last`, which default to the dates of its first and last session.
    Raises `ValueError` when there are no sessions, or they are out of order or outside those days.
    """

    def __init__(
        self, sessions: Sequence[Session], *, first: dt.date | None = None, last: dt.date | None = None
    ) -> None:
        if not sessions:
            raise ValueError("a calendar needs at least one session")
        self._sessions = tuple(sessions)
        self._dates = [session.date for session in sessions]
        if any(later <= earlier for earlier, later in pairwise(self._dates)):
            raise ValueError("the sessions of a calendar must be in order, one a day")
        self._first = first or self._dates[0]
        self._last = last or self._dates[-1]
        if self._first > self._dates[0] or self._last < self._dates[-1]:
            raise ValueError("a calendar must cover the days of all its sessions")

    def sessions(self, start: dt.date, end: dt.date) -> tuple[Session, ...]:
        """All sessions from `start` to `end`, both included, oldest first; none when `end` is earlier."""
        self._require(start)
        self._require(end)
        return self._sessions[bisect_left(self._dates, start) : bisect_right(self._dates, end)]

    def session_on(self, day: dt.date) -> Session | None:
        """The session of that day, or None when the exchange is closed all day."""
        self._require(day)
        position = bisect_left(self._dates, day)
        if position < len(self._dates) and self._dates[position] == day:
            return self._sessions[position]
        return None

    def next_session(self, after: dt.date) -> Session:
        """The first session strictly after that day."""
        self._require(after + dt.timedelta(days=1))
        position = bisect_right(self._dates, after)
        if position == len(self._dates):
            raise CalendarRangeError(f"no session is known after {after}: {self._coverage()}")
        return self._sessions[position]

    def previous_sessions(self, before: dt.date, count: int) -> tuple[Session, ...]:
        """The last `count` sessions strictly before that day, oldest first."""
        if count < 0:
            raise ValueError(f"cannot list {count} sessions")
        self._require(before - dt.timedelta(days=1))
        position = bisect_left(self._dates, before)
        if position < count:
            raise CalendarRangeError(
                f"only {position} of {count} sessions are known before {before}: {self._coverage()}"
            )
        return self._sessions[position - count : position]

    def _require(self, day: dt.date) -> None:
        if not self._first <= day <= self._last:
            raise CalendarRangeError(f"{day} is beyond the calendar: {self._coverage()}")

    def _coverage(self) -> str:
        return f"it covers {self._first} to {self._last}"
