"""Sessions and time as the broker knows them: special closures and half-days included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Protocol

from tui_trader.core.calendar import NEW_YORK, FixedCalendar, Session
from tui_trader.errors import RefusedToStart

#: Days before today that the calendar covers: what warm-up may reach back, and some more.
DAYS_BACK: Final = 130
#: Days from today on; Alpaca knows its calendar for years ahead.
DAYS_AHEAD: Final = 366


class CalendarSource(Protocol):
    """The part of the REST client that is used here."""

    def calendar(self, start: date, end: date) -> list[dict[str, Any]]: ...

    def clock(self) -> dict[str, Any]: ...


def fetch_calendar(rest: CalendarSource, now: datetime) -> FixedCalendar:
    """The broker's sessions around ``now`` (aware), from `DAYS_BACK` before to `DAYS_AHEAD` after it.

    Blocks. Raises ``RestProblem`` when the broker cannot be asked and ``RefusedToStart`` when its answer is
    no calendar: sessions that are half known would be traded wrongly.
    """
    today = now.astimezone(NEW_YORK).date()
    first, last = today - timedelta(days=DAYS_BACK), today + timedelta(days=DAYS_AHEAD)
    return read_calendar(rest.calendar(first, last), first, last)


def read_calendar(rows: Iterable[Mapping[str, Any]], first: date, last: date) -> FixedCalendar:
    """The calendar of the days ``first`` to ``last`` from the broker's rows, whose times are New York's.

    Raises ``RefusedToStart`` when a row is unreadable, contradicts another, or there is none.
    """
    sessions: dict[date, Session] = {}
    for row in rows:
        session = _session(row)
        if sessions.setdefault(session.date, session) != session:
            raise _unusable(f"two different sessions on {session.date}")
    inside = [sessions[day] for day in sorted(sessions) if first <= day <= last]
    if not inside:
        raise _unusable(f"no session from {first} to {last}")
    return FixedCalendar(inside, first=first, last=last)


def _session(row: Mapping[str, Any]) -> Session:
    try:
        day = date.fromisoformat(row["date"])
        opened, closed = (_instant(day, row[key]) for key in ("open", "close"))
    except (KeyError, TypeError, ValueError):
        raise _unusable(f"unreadable: {str(row)[:120]}") from None
    if closed <= opened:
        raise _unusable(f"the session of {day} ends before it begins")
    return Session(day, opened, closed)


def _instant(day: date, clock_time: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock_time), NEW_YORK).astimezone(UTC)


def _unusable(reason: str) -> RefusedToStart:
    return RefusedToStart(f"Alpaca's calendar cannot be used ({reason}): try again later")


@dataclass(frozen=True, slots=True)
class BrokerClock:
    """The broker's clock against ours.

    ``skew`` is how far the broker's clock is ahead of ours (negative: behind). It is known within
    ``uncertainty``, half the time that the question took; ``excess`` is what of it is certain.
    """

    is_open: bool
    skew: timedelta
    uncertainty: timedelta

    @property
    def excess(self) -> timedelta:
        """The size of the skew beyond what the way to the broker can explain."""
        return max(abs(self.skew) - self.uncertainty, timedelta(0))


def read_clock(rest: CalendarSource, now: Callable[[], datetime]) -> BrokerClock:
    """Ask the broker what time it is; ``now`` is our own clock (aware UTC).

    Blocks. Raises ``RestProblem`` when the broker cannot be asked and ``RefusedToStart`` when its answer is
    no time.
    """
    asked = now()
    answer = rest.clock()
    answered = now()
    try:
        told = datetime.fromisoformat(answer["timestamp"])
        is_open = answer["is_open"]
        # A time without its offset cannot be compared; the subtraction raises TypeError.
        skew = told - (asked + (answered - asked) / 2)
    except (KeyError, TypeError, ValueError):
        raise RefusedToStart(f"Alpaca's clock cannot be read: {str(answer)[:120]}") from None
    return BrokerClock(is_open is True, skew, (answered - asked) / 2)
