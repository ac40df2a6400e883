"""The session's timetable: when entries end, when positions are closed, when the day is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tui_trader.core.calendar import Session

_ESCALATE_BEFORE_CLOSE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Minutes before the close; the first is not less than the second."""

    no_entries_before_close_min: int
    flatten_before_close_min: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """One session's moments, aware UTC. Half-days and special sessions follow from the close."""

    session: Session
    no_entries_from: datetime
    flatten_at: datetime
    escalate_at: datetime

    @classmethod
    def of(cls, session: Session, rules: SessionRules) -> Schedule:
        close = session.close
        return cls(
            session,
            close - timedelta(minutes=rules.no_entries_before_close_min),
            close - timedelta(minutes=rules.flatten_before_close_min),
            close - _ESCALATE_BEFORE_CLOSE,
        )
