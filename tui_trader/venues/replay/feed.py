"""Recorded bars as a feed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tui_trader.core.bars import MINUTE, Bar, split_ratio
from tui_trader.core.calendar import Calendar, CalendarRangeError, Session
from tui_trader.errors import UsageError
from tui_trader.venues.base import BarBatch, BarColumns
from tui_trader.venues.exchange.feed import minute_time
from tui_trader.venues.replay.bars_file import BarTable

# A little stricter than ``BarFilter``, which has the last word.
_STRICTER = 1.0 - 1e-6


class ReplayFeed:
    """The sessions of ``table`` from ``start`` on (default: all); earlier bars serve warm-up if ``warm``.

    Raises ``UsageError`` when no session is left to replay.
    """

    def __init__(
        self,
        table: BarTable,
        calendar: Calendar,
        start: date | None,
        *,
        warm: bool,
        max_bar_jump_pct: float,
        cash: Decimal,
        ticks: int,
        recording: str = "",
    ) -> None:
        self._table = table
        self._max_jump = max_bar_jump_pct
        opens, closes, sessions = _sessions_of(table, calendar)
        self._number = np.searchsorted(opens, table.minute, side="right") - 1
        inside = (self._number >= 0) & (table.minute < closes[self._number])
        rows = np.flatnonzero(inside)
        numbers = self._number[rows]  # rising, for the table is sorted by time
        present = np.unique(numbers).tolist()
        self._all: list[Session] = [sessions[n] for n in present]
        self._rows = {
            sessions[n].date: rows[np.searchsorted(numbers, n) : np.searchsorted(numbers, n, side="right")]
            for n in present
        }
        self._live = [s for s in self._all if start is None or s.date >= start]
        if not self._live:
            raise UsageError(
                f"the bars hold no regular session from {start} on; the last one is {self._all[-1].date}"
                if self._all
                else "the bars hold no bar of a regular session (09:30 to 16:00 in New York)"
            )
        self._warm = warm
        # Not the symbols: a recording stays the same market when one of them is no longer traded.
        self.identity = f"replay|{recording}|{self._live[0].date}|{cash}|{ticks}"

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._table.symbols

    @property
    def live_sessions(self) -> list[Session]:
        """What will be traded, oldest first."""
        return self._live

    def first_session(self) -> Session:
        return self._live[0]

    def session_after(self, day: date) -> Session | None:
        return next((session for session in self._live if session.date > day), None)

    def batches(self, session: Session) -> Sequence[BarBatch]:
        table, rows = self._table, self._rows[session.date]
        minutes = table.minute[rows]
        starts = np.flatnonzero(np.concatenate(([True], minutes[1:] != minutes[:-1]))).tolist()
        columns = zip(
            table.symbol_index[rows].tolist(), table.open[rows].tolist(), table.high[rows].tolist(),
            table.low[rows].tolist(), table.close[rows].tolist(), table.volume[rows].tolist(), strict=True,
        )  # fmt: skip
        batches: list[BarBatch] = []
        for begin, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            stamp = minute_time(int(minutes[begin]))
            bars = [
                Bar(table.symbols[s], stamp, o, h, low, c, v)
                for s, o, h, low, c, v in (next(columns) for _ in range(end - begin))
            ]
            batches.append(BarBatch(stamp + MINUTE, bars))
        return batches

    def needs_judging(self, session: Session) -> frozenset[str]:
        """Symbols whose bars jump, in this session or into it."""
        table, doubtful = self._table, set()
        for index, symbol in enumerate(table.symbols):
            rows = self._of(session, index)
            if len(rows) and self._jumps(rows, self._close_before(session, index)):
                doubtful.add(symbol)
        return frozenset(doubtful)

    def _jumps(self, rows: NDArray[np.int64], close_before: float | None) -> bool:
        table = self._table
        before = table.close[rows][:-1]
        reach = before * (self._max_jump / 100.0) * _STRICTER
        if ((table.high[rows][1:] - before > reach) | (before - table.low[rows][1:] > reach)).any():
            return True
        opened = float(table.open[rows[0]])
        return close_before is not None and split_ratio(close_before, opened) is not None

    def _close_before(self, session: Session, index: int) -> float | None:
        for earlier in reversed([s for s in self._all if s.date < session.date]):
            rows = self._of(earlier, index)
            if len(rows):
                return float(self._table.close[rows[-1]])
        return None

    def _of(self, session: Session, index: int) -> NDArray[np.int64]:
        rows: NDArray[np.int64] = self._rows[session.date]
        mine: NDArray[np.int64] = rows[self._table.symbol_index[rows] == index]
        return mine

    def history(self, symbol: str, now: datetime, minutes: int) -> BarColumns | None:
        """Bars delivered by ``now``; from before the replay's start only when warm-up may use them."""
        table = self._table
        if symbol not in table.symbols:
            return None
        index = table.symbols.index(symbol)
        used = self._all if self._warm else self._live
        parts = [self._of(session, index) for session in used if session.open < now]
        rows = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
        rows = rows[table.minute[rows] < int(now.timestamp()) // 60]
        if not len(rows):
            return None
        return BarColumns(
            table.minute[rows], table.open[rows], table.high[rows], table.low[rows], table.close[rows],
            table.volume[rows],
        )  # fmt: skip


def fingerprint(paths: Sequence[Path]) -> str:
    """Says which recording these files hold, in whatever order they are named."""
    whole = hashlib.sha256()
    for digest in sorted(_digest_of(path) for path in paths):
        whole.update(digest)
    return whole.hexdigest()[:16]


def _digest_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


def _sessions_of(
    table: BarTable, calendar: Calendar
) -> tuple[NDArray[np.int64], NDArray[np.int64], Sequence[Session]]:
    first, last = minute_time(int(table.minute[0])).date(), minute_time(int(table.minute[-1])).date()
    try:
        sessions = calendar.sessions(first, last)
    except CalendarRangeError as error:
        raise UsageError(f"the bars cover {first} to {last}: {error}") from None
    if not sessions:
        raise UsageError(f"the bars hold no trading day: they cover {first} to {last}")
    opens = np.array([int(s.open.timestamp()) // 60 for s in sessions], dtype=np.int64)
    closes = np.array([int(s.close.timestamp()) // 60 for s in sessions], dtype=np.int64)
    return opens, closes, sessions
