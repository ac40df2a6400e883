"""The New York calendar against days everybody can look up."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from tui_trader.core.calendar import NEW_YORK, Calendar, CalendarRangeError, Session
from tui_trader.engine.nyse import NyseCalendar


@pytest.fixture(scope="module")
def nyse() -> Calendar:
    return NyseCalendar()


def held(calendar: Calendar, day: date) -> Session:
    session = calendar.session_on(day)
    assert session is not None
    return session


@pytest.mark.parametrize(
    "day", [date(2013, 7, 3), date(2013, 11, 29), date(2013, 12, 24), date(2024, 11, 29)]
)
def test_an_early_close_is_at_one_in_new_york(nyse: Calendar, day: date) -> None:
    session = held(nyse, day)
    assert session.half_day
    assert session.minutes == 210
    assert session.close.astimezone(NEW_YORK).time().isoformat() == "13:00:00"


@pytest.mark.parametrize(
    "day",
    [
        date(2001, 9, 11),
        date(2012, 10, 29),
        date(2013, 11, 28),
        date(2018, 12, 5),
        date(2022, 6, 20),
        date(2024, 3, 29),
        date(2024, 3, 30),
        date(2025, 1, 9),
    ],
)
def test_a_holiday_a_weekend_and_an_unscheduled_closure_have_no_session(nyse: Calendar, day: date) -> None:
    assert nyse.session_on(day) is None


def test_daylight_saving_moves_the_open_in_utc_and_not_in_new_york(nyse: Calendar) -> None:
    winter, summer = held(nyse, date(2024, 3, 8)), held(nyse, date(2024, 3, 11))
    assert winter.open == datetime(2024, 3, 8, 14, 30, tzinfo=UTC)
    assert summer.open == datetime(2024, 3, 11, 13, 30, tzinfo=UTC)
    assert held(nyse, date(2024, 11, 1)).close == datetime(2024, 11, 1, 20, 0, tzinfo=UTC)
    assert held(nyse, date(2024, 11, 4)).close == datetime(2024, 11, 4, 21, 0, tzinfo=UTC)


def test_every_session_is_plain_utc_on_its_own_new_york_date(nyse: Calendar) -> None:
    for session in nyse.sessions(date(2000, 1, 1), date(2025, 12, 31)):
        assert type(session.open) is type(session.close) is datetime
        assert session.open.tzinfo is session.close.tzinfo is UTC
        assert session.open.astimezone(NEW_YORK).date() == session.date
        assert session.minutes in (210, 390)


def test_the_years_have_the_sessions_they_had(nyse: Calendar) -> None:
    counts = [len(nyse.sessions(date(year, 1, 1), date(year, 12, 31))) for year in (2000, 2013, 2024)]
    assert counts == [252, 252, 252]


def test_neighbouring_sessions_step_over_a_holiday(nyse: Calendar) -> None:
    assert nyse.next_session(date(2013, 11, 27)).date == date(2013, 11, 29)
    dates = [session.date for session in nyse.previous_sessions(date(2013, 12, 2), 3)]
    assert dates == [date(2013, 11, 26), date(2013, 11, 27), date(2013, 11, 29)]


def test_the_calendar_reaches_most_of_a_year_ahead(nyse: Calendar) -> None:
    ahead = datetime.now(UTC).date() + timedelta(days=350)
    assert nyse.next_session(ahead).date > ahead


@pytest.mark.parametrize("day", [date(1999, 12, 31), date(2199, 1, 1)])
def test_a_day_beyond_the_calendar_is_refused_in_one_line(nyse: Calendar, day: date) -> None:
    with pytest.raises(
        CalendarRangeError, match=f"^{day} is beyond the calendar: it covers 2000-01-01 to"
    ) as caught:
        nyse.session_on(day)
    assert "\n" not in str(caught.value)


def test_a_calendar_of_chosen_days_covers_them_and_no_others() -> None:
    calendar = NyseCalendar(first=date(2013, 11, 1), last=date(2013, 11, 30))
    assert len(calendar.sessions(date(2013, 11, 1), date(2013, 11, 30))) == 20
    with pytest.raises(CalendarRangeError):
        calendar.session_on(date(2013, 12, 2))


def test_neither_import_nor_construction_loads_the_calendar_library() -> None:
    code = (
        "import sys; from tui_trader.engine.nyse import NyseCalendar; NyseCalendar();"
        "assert not {'pandas', 'numpy', 'exchange_calendars'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
