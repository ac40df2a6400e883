"""The session's timetable follows from its close."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.core.making import OPEN, minute
from tui_trader.core.calendar import Session
from tui_trader.engine.sessions import Schedule, SessionRules


@pytest.mark.parametrize("length", [390, 210, 45])
@pytest.mark.parametrize(("entries", "flatten"), [(15, 3), (1, 1), (120, 60), (30, 30)])
def test_moments_are_counted_back_from_the_close_also_on_half_days(
    length: int, entries: int, flatten: int
) -> None:
    session = Session(date(2026, 6, 1), OPEN, minute(length))
    schedule = Schedule.of(session, SessionRules(entries, flatten))
    assert schedule.session is session
    assert session.close - schedule.no_entries_from == timedelta(minutes=entries)
    assert session.close - schedule.flatten_at == timedelta(minutes=flatten)
    assert session.close - schedule.escalate_at == timedelta(minutes=1)
    assert schedule.no_entries_from <= schedule.flatten_at <= schedule.escalate_at < session.close
