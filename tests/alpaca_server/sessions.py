"""When the exchange is open."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.alpaca_server.stamps import NEW_YORK

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """A calendar by New York dates: every day alike, but for the exceptions; None there is a closed day.

    Open from 00:00 to 23:59 on all seven days unless told otherwise, so that tests run at any hour.
    """

    open: dt.time = dt.time(0, 0)
    close: dt.time = dt.time(23, 59)
    weekends: bool = True
    exceptions: Mapping[dt.date, tuple[dt.time, dt.time] | None] = field(default_factory=dict)

    @classmethod
    def regular(cls, exceptions: Mapping[dt.date, tuple[dt.time, dt.time] | None] | None = None) -> Hours:
        """09:30 to 16:00, Monday to Friday."""
        return cls(dt.time(9, 30), dt.time(16, 0), weekends=False, exceptions=exceptions or {})

    def times(self, day: dt.date) -> tuple[dt.time, dt.time] | None:
        """Open and close, naive Eastern, or None."""
        if day in self.exceptions:
            return self.exceptions[day]
        if day.weekday() >= 5 and not self.weekends:
            return None
        return self.open, self.close

    def session(self, day: dt.date) -> tuple[dt.datetime, dt.datetime] | None:
        """Open and close, aware UTC, or None."""
        times = self.times(day)
        if times is None:
            return None
        opens, closes = (dt.datetime.combine(day, t, NEW_YORK).astimezone(dt.UTC) for t in times)
        return opens, closes

    def is_open(self, time: dt.datetime) -> bool:
        session = self.session(time.astimezone(NEW_YORK).date())
        return session is not None and session[0] <= time < session[1]

    def changes(self, after: dt.datetime, until: dt.datetime) -> Iterator[tuple[dt.datetime, bool]]:
        """Every open (True) and close (False) in (after, until], in order."""
        day = after.astimezone(NEW_YORK).date()
        while day <= until.astimezone(NEW_YORK).date():
            session = self.session(day)
            if session is not None:
                for time, opens in zip(session, (True, False), strict=True):
                    if after < time <= until:
                        yield time, opens
            day += _DAY

    def next_change(self, time: dt.datetime, *, opens: bool) -> dt.datetime:
        """The next open or close strictly after ``time``."""
        horizon = time + 400 * _DAY
        return next(when for when, kind in self.changes(time, horizon) if kind is opens)
