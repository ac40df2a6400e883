"""One symbol's believed bars, as a pointer into the recorded columns.

Times are numbers: minutes since 1970-01-01 UTC, and *moments* of half a minute, because a candle that waits
for a late bar is closed 90 s after its window.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tui_trader.venues.replay.bars_file import BarTable

Minutes = NDArray[np.int32]
#: Half-minutes.
Moments = NDArray[np.int32]
Column = Literal["open", "high", "low", "close", "volume"]


def time_of(minute: int) -> datetime:
    """``minute`` since 1970-01-01 UTC as an aware time."""
    return datetime.fromtimestamp(minute * 60, UTC)


def moment_time(moment: int) -> datetime:
    """``moment`` (half-minutes since 1970-01-01 UTC) as an aware time."""
    return datetime.fromtimestamp(moment * 30, UTC)


def minute_of(time: datetime) -> int:
    return int(time.timestamp()) // 60


@dataclass(slots=True, eq=False)
class Tape:
    """The believed regular-session bars of one symbol, in the order in which they are delivered.

    Bar numbers count from 0. Session ``k``'s bars are ``bounds[k]`` to ``bounds[k + 1]``. ``late`` holds the
    minute of delivery of the few bars that waited for the next one to confirm them; every other bar is
    delivered a minute after its stamp. ``restarts`` numbers the sessions before which history was dropped.
    """

    symbol: str
    table: BarTable
    rows: NDArray[np.int32] | None  # positions in the table; None: exactly all of it
    bounds: NDArray[np.int64]
    late: dict[int, int]
    patched: dict[int, tuple[float, float]]  # high and low of bars that were cut back to their body
    restarts: list[int]

    def __len__(self) -> int:
        return int(self.bounds[-1])

    @property
    def whole(self) -> bool:
        """Whether the tape is the table itself, bar by bar."""
        return self.rows is None and not self.patched

    def minutes(self, first: int, last: int) -> Minutes:
        """Stamps of the bars ``first`` to ``last`` (excluded)."""
        column = self.table.minute
        taken = column[first:last] if self.rows is None else column[self.rows[first:last]]
        return taken.astype(np.int32)

    def delivered(self, first: int, last: int) -> Minutes:
        """Minutes at which those bars are delivered."""
        found = self.minutes(first, last) + np.int32(1)
        for bar, minute in self.late.items():
            if first <= bar < last:
                found[bar - first] = minute
        return found

    def column(self, name: Column, first: int, last: int) -> NDArray[np.float64]:
        """A price column (dollars), or the volume (shares), of those bars."""
        whole: NDArray[np.float64] = getattr(self.table, name)
        taken = whole[first:last] if self.rows is None else whole[self.rows[first:last]]
        if self.patched and name in ("high", "low"):
            inside = [bar for bar in self.patched if first <= bar < last]
            if inside:
                taken = taken.copy()
                for bar in inside:
                    taken[bar - first] = self.patched[bar][0 if name == "high" else 1]
        return taken

    def known_by(self, session: int, minute: int) -> int:
        """How many bars have been delivered by ``minute`` of ``session``."""
        first, last = int(self.bounds[session]), int(self.bounds[session + 1])
        if self.late:
            return first + int(np.searchsorted(self.delivered(first, last), minute, side="right"))
        stamps = self.table.minute
        stamps = stamps[first:last] if self.rows is None else stamps[self.rows[first:last]]
        return first + int(np.searchsorted(stamps, minute))
