"""What a session knows about itself, and what a calendar answers and refuses to answer."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime, timedelta

import pytest

from tui_trader.core.calendar import NEW_YORK, Calendar, CalendarRangeError, FixedCalendar, Session


def session(day: date, minutes: int = 390) -> Session:
    opened = datetime(day.year, day.month, day.day, 9, 30, tzinfo=NEW_YORK).astimezone(UTC)
    return Session(day, opened, opened + timedelta(minutes=minutes))


MONDAY, TUESDAY, THURSDAY = date(2024, 7, 1), date(2024, 7, 2), date(2024, 7, 4)
SESSIONS = (session(MONDAY), session(TUESDAY, 210), session(THURSDAY))


@pytest.fixture
def calendar() -> Calendar:
    return FixedCalendar(SESSIONS)


def test_a_session_holds_its_open_and_not_its_close() -> None:
    whole = session(MONDAY)
    second = timedelta(seconds=1)
    assert whole.contains(whole.open)
    assert whole.contains(whole.close - second)
    assert not whole.contains(whole.close)
    assert not whole.contains(whole.open - second)


def test_a_session_compares_instants_whatever_their_zone() -> None:
    assert session(MONDAY).contains(datetime(2024, 7, 1, 9, 30, tzinfo=NEW_YORK))


def test_only_a_session_shorter_than_390_minutes_is_a_half_day() -> None:
    assert (session(MONDAY).minutes, session(MONDAY).half_day) == (390, False)
    assert (session(MONDAY, 210).minutes, session(MONDAY, 210).half_day) == (210, True)


def test_a_session_never_changes() -> None:
    with pytest.raises(FrozenInstanceError):
        session(MONDAY).date = TUESDAY  # type: ignore[misc]


def test_a_range_includes_both_of_its_ends(calendar: Calendar) -> None:
    assert calendar.sessions(MONDAY, THURSDAY) == SESSIONS
    assert calendar.sessions(TUESDAY, TUESDAY) == SESSIONS[1:2]
    assert calendar.sessions(date(2024, 7, 3), date(2024, 7, 3)) == ()
    assert calendar.sessions(THURSDAY, MONDAY) == ()


def test_a_day_without_a_session_is_none(calendar: Calendar) -> None:
    assert calendar.session_on(TUESDAY) == SESSIONS[1]
    assert calendar.session_on(date(2024, 7, 3)) is None


def test_the_next_session_is_strictly_after_the_day(calendar: Calendar) -> None:
    assert calendar.next_session(MONDAY) == SESSIONS[1]
    assert calendar.next_session(TUESDAY) == SESSIONS[2]
    assert calendar.next_session(MONDAY - timedelta(days=1)) == SESSIONS[0]


def test_previous_sessions_are_strictly_before_the_day_and_oldest_first(calendar: Calendar) -> None:
    assert calendar.previous_sessions(THURSDAY, 2) == SESSIONS[:2]
    assert calendar.previous_sessions(THURSDAY, 1) == SESSIONS[1:2]
    assert calendar.previous_sessions(THURSDAY + timedelta(days=1), 3) == SESSIONS
    assert calendar.previous_sessions(THURSDAY, 0) == ()


def test_a_calendar_refuses_every_question_beyond_its_ends(calendar: Calendar) -> None:
    before, after = MONDAY - timedelta(days=1), THURSDAY + timedelta(days=1)
    with pytest.raises(CalendarRangeError, match="2024-06-30 is beyond the calendar"):
        calendar.session_on(before)
    with pytest.raises(CalendarRangeError, match="it covers 2024-07-01 to 2024-07-04"):
        calendar.sessions(MONDAY, after)
    with pytest.raises(CalendarRangeError):
        calendar.sessions(before, MONDAY)
    with pytest.raises(CalendarRangeError, match="beyond the calendar"):
        calendar.next_session(THURSDAY)
    with pytest.raises(CalendarRangeError):
        calendar.next_session(before - timedelta(days=1))
    with pytest.raises(CalendarRangeError, match="only 2 of 3 sessions are known before 2024-07-04"):
        calendar.previous_sessions(THURSDAY, 3)
    with pytest.raises(CalendarRangeError):
        calendar.previous_sessions(after + timedelta(days=1), 1)


def test_a_calendar_may_cover_days_around_its_sessions() -> None:
    calendar = FixedCalendar(SESSIONS, first=date(2024, 6, 29), last=date(2024, 7, 7))
    assert calendar.session_on(date(2024, 6, 29)) is None
    assert calendar.sessions(date(2024, 6, 29), date(2024, 7, 7)) == SESSIONS
    assert calendar.next_session(date(2024, 6, 28)) == SESSIONS[0]
    with pytest.raises(CalendarRangeError, match="no session is known after 2024-07-05"):
        calendar.next_session(date(2024, 7, 5))


def test_a_calendar_error_is_a_value_error_of_one_line(calendar: Calendar) -> None:
    with pytest.raises(ValueError, match="beyond") as caught:
        calendar.session_on(date(1999, 1, 1))
    assert "\n" not in str(caught.value)


def test_a_calendar_of_nothing_or_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one session"):
        FixedCalendar(())
    with pytest.raises(ValueError, match="in order"):
        FixedCalendar(SESSIONS[::-1])
    with pytest.raises(ValueError, match="in order"):
        FixedCalendar((SESSIONS[0], SESSIONS[0]))
    with pytest.raises(ValueError, match="must cover"):
        FixedCalendar(SESSIONS, last=TUESDAY)


def test_a_negative_number_of_sessions_is_refused(calendar: Calendar) -> None:
    with pytest.raises(ValueError, match="-1 sessions"):
        calendar.previous_sessions(THURSDAY, -1)
