"""Sessions and time by the broker's word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tui_trader.core.calendar import NEW_YORK, CalendarRangeError
from tui_trader.errors import RefusedToStart
from tui_trader.venues.alpaca.broker_calendar import (
    DAYS_AHEAD,
    DAYS_BACK,
    BrokerClock,
    fetch_calendar,
    read_calendar,
    read_clock,
)
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem

NOW = datetime(2026, 11, 22, 15, tzinfo=UTC)
FIRST, LAST = date(2026, 11, 1), date(2026, 11, 30)
FULL = {"date": "2026-11-25", "open": "09:30", "close": "16:00", "session_open": "0400"}
HALF = {"date": "2026-11-27", "open": "09:30", "close": "13:00", "session_open": "0400"}


class Broker:
    def __init__(self, *rows: Any, clock: Any = None, problem: RestProblem | None = None) -> None:
        self.rows = list(rows)
        self.asked: tuple[date, date] | None = None
        self._clock = clock
        self._problem = problem

    def calendar(self, start: date, end: date) -> list[dict[str, Any]]:
        self.asked = (start, end)
        if self._problem is not None:
            raise self._problem
        return self.rows

    def clock(self) -> dict[str, Any]:
        if self._problem is not None:
            raise self._problem
        answer: dict[str, Any] = self._clock
        return answer


def test_times_of_new_york_become_utc_on_both_sides_of_daylight_saving() -> None:
    summer = {"date": "2026-10-30", "open": "09:30", "close": "16:00"}
    known = read_calendar([FULL, summer], date(2026, 10, 30), LAST)
    assert [s.open for s in known.sessions(date(2026, 10, 30), LAST)] == [
        datetime(2026, 10, 30, 13, 30, tzinfo=UTC),
        datetime(2026, 11, 25, 14, 30, tzinfo=UTC),
    ]


def test_a_half_day_ends_when_the_broker_says() -> None:
    session = read_calendar([FULL, HALF], FIRST, LAST).session_on(date(2026, 11, 27))
    assert session is not None
    assert session.half_day
    assert session.close == datetime(2026, 11, 27, 18, tzinfo=UTC)


def test_a_day_that_is_not_listed_is_closed_and_one_beyond_the_range_is_not_known() -> None:
    known = read_calendar([FULL, HALF], FIRST, LAST)
    assert known.session_on(date(2026, 11, 26)) is None
    assert known.session_on(FIRST) is None
    with pytest.raises(CalendarRangeError):
        known.session_on(LAST + timedelta(days=1))


def test_order_repetition_and_days_out_of_range_do_not_matter() -> None:
    outside = FULL | {"date": "2027-01-04"}
    known = read_calendar([HALF, FULL, FULL, outside], FIRST, LAST)
    assert [s.date.day for s in known.sessions(FIRST, LAST)] == [25, 27]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [FULL | {"date": "2027-01-04"}],
        [FULL, FULL | {"close": "13:00"}],
        [FULL, {"date": "2026-11-26"}],
        [FULL, HALF | {"open": None}],
        [FULL, HALF | {"open": "soon"}],
        [FULL, HALF | {"date": "the day after"}],
        [FULL, HALF | {"close": "09:30"}],
        [FULL, HALF | {"open": "24:30"}],
    ],
    ids=str,
)
def test_a_calendar_that_is_half_known_is_refused(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(RefusedToStart, match=r"^Alpaca's calendar cannot be used \(.*\): try again later$"):
        read_calendar(rows, FIRST, LAST)


def test_it_reaches_back_for_warm_up_and_a_year_ahead() -> None:
    broker = Broker(FULL, HALF)
    known = fetch_calendar(broker, NOW)
    today = date(2026, 11, 22)
    assert broker.asked == (today - timedelta(days=DAYS_BACK), today + timedelta(days=DAYS_AHEAD))
    assert len(known.sessions(*broker.asked)) == 2


def test_today_is_new_yorks() -> None:
    broker = Broker(FULL)
    fetch_calendar(broker, datetime(2026, 11, 23, 2, tzinfo=UTC))
    assert broker.asked == (
        date(2026, 11, 22) - timedelta(days=DAYS_BACK),
        date(2026, 11, 22) + timedelta(days=DAYS_AHEAD),
    )


def test_that_the_broker_cannot_be_asked_is_left_to_the_caller() -> None:
    broker = Broker(problem=RestProblem(ProblemKind.UNREACHABLE, "the host cannot be reached"))
    with pytest.raises(RestProblem):
        fetch_calendar(broker, NOW)
    with pytest.raises(RestProblem):
        read_clock(broker, lambda: NOW)


# ---- clock -------------------------------------------------------------------------------------------


def ticking(seconds: float) -> Callable[[], datetime]:
    """Our clock, which goes on so many seconds between two looks."""
    looks = iter([NOW, NOW + timedelta(seconds=seconds)])
    return lambda: next(looks)


def told(seconds: float, is_open: object = True) -> Broker:
    """A broker whose clock is so many seconds past ours; New York's time, to the nanosecond."""
    stamp = (NOW + timedelta(seconds=seconds)).astimezone(NEW_YORK).isoformat(timespec="microseconds")
    whole, offset = stamp[:-6], stamp[-6:]
    return Broker(clock={"timestamp": f"{whole}123{offset}", "is_open": is_open, "next_open": "…"})


def test_the_skew_is_measured_against_the_middle_of_the_question() -> None:
    clock = read_clock(told(3.5), ticking(1.0))
    assert clock == BrokerClock(True, timedelta(seconds=3), timedelta(seconds=0.5))
    assert clock.excess == timedelta(seconds=2.5)


def test_a_slow_answer_excuses_a_skew() -> None:
    assert read_clock(told(3.0), ticking(6.0)).excess == timedelta(0)


def test_a_clock_that_is_ahead_counts_as_much_as_one_behind() -> None:
    assert read_clock(told(-5.0), ticking(0.0)).excess == timedelta(seconds=5)


def test_only_true_means_open() -> None:
    assert [read_clock(told(0, x), ticking(0)).is_open for x in (True, False, None, "yes")] == [
        True,
        *[False] * 3,
    ]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"timestamp": None, "is_open": True},
        {"timestamp": "now", "is_open": True},
        {"timestamp": "2026-11-22T10:00:00", "is_open": True},
        {"timestamp": "2026-11-22T10:00:00-05:00"},
    ],
    ids=str,
)
def test_an_answer_that_tells_no_time_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(RefusedToStart, match=r"^Alpaca's clock cannot be read: "):
        read_clock(Broker(clock=answer), ticking(0))
