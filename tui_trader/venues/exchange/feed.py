"""Where a simulated exchange's bars come from."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from tui_trader.core.calendar import Session
from tui_trader.venues.base import BarBatch, BarColumns

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Feed(Protocol):
    """Bars by session. A feed never looks at the engine or the clock."""

    @property
    def identity(self) -> str:
        """Says which market this is: two feeds of one identity deliver the same bars."""

    @property
    def symbols(self) -> tuple[str, ...]: ...

    def first_session(self) -> Session: ...

    def session_after(self, day: date) -> Session | None:
        """The next session to trade, None when there is no more."""

    def batches(self, session: Session) -> Iterable[BarBatch]:
        """What is delivered in ``session``, in order of time; a bar one minute after its stamp."""

    def needs_judging(self, session: Session) -> frozenset[str]:
        """Symbols with a bar that might not be believed; all bars of the others are known to be fine."""

    def history(self, symbol: str, now: datetime, minutes: int) -> BarColumns | None:
        """At least the last ``minutes`` bars delivered by ``now``, or all there are; None for none."""


def minute_time(minute: int) -> datetime:
    """An epoch minute as aware UTC time."""
    return _EPOCH + timedelta(minutes=minute)
