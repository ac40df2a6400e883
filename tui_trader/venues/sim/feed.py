"""The built-in market as a feed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal

import numpy as np

from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.calendar import Calendar, CalendarRangeError, Session
from tui_trader.venues.base import BarBatch, BarColumns
from tui_trader.venues.sim.market import SessionBars, SimMarket

#: The number of the first live session; those before it are history. It is fixed, so that the market of a
#: seed does not depend on how much history a strategy asks for.
FIRST_SESSION = 20


class SimFeed:
    """Sessions of a ``SimMarket`` from ``start`` on; bars that the market leaves out are not delivered."""

    def __init__(
        self,
        symbols: Sequence[str],
        seed: int,
        calendar: Calendar,
        start: date,
        cash: Decimal,
        ticks: int,
        *,
        warm: bool = True,
    ) -> None:
        self._market = SimMarket(symbols, seed)
        self._calendar = calendar
        first = calendar.session_on(start) or calendar.next_session(start)
        self._first = first
        self._number = {first.date: FIRST_SESSION}
        self._cached: tuple[int, SessionBars] | None = None
        self._history: dict[int, SessionBars] = {}
        self._oldest = 0 if warm else FIRST_SESSION  # the first session that history may be taken from
        # Not the symbols: no symbol's bars depend on which others are traded.
        self.identity = f"sim|{seed}|{first.date}|{cash}|{ticks}"

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._market.symbols

    def first_session(self) -> Session:
        return self._first

    def session_after(self, day: date) -> Session | None:
        try:
            session = self._calendar.next_session(day)
        except CalendarRangeError:
            return None
        self._number = {day: self._index(day), session.date: self._index(day) + 1}
        return session

    def _index(self, day: date) -> int:
        if day not in self._number:
            between = self._calendar.sessions(self._first.date, day)
            self._number[day] = FIRST_SESSION + len(between) - 1
        return self._number[day]

    def _bars(self, session: Session) -> SessionBars:
        index = self._index(session.date)
        if self._cached is None or self._cached[0] != index:
            self._cached = (index, self._market.session_bars(index, session))
        return self._cached[1]

    def batches(self, session: Session) -> Iterable[BarBatch]:
        self._history.clear()  # warm-up asks for all symbols before the first delivery, so it is over
        return _deliveries(self._bars(session))

    def needs_judging(self, session: Session) -> frozenset[str]:
        return frozenset()  # the market makes no bar that could be doubted; see its tests

    def history(self, symbol: str, now: datetime, minutes: int) -> BarColumns | None:
        row = self._market.symbols.index(symbol)
        parts: list[BarColumns] = []
        found = 0
        today = self._session_at(now)
        if today is not None:
            part = _columns(self._bars(today), row)
            keep = int(np.searchsorted(part.minute, int(now.timestamp()) // 60))
            parts.append(BarColumns(*(getattr(part, name)[:keep] for name in BarColumns.__slots__)))
            found = keep
        before = today.date if today is not None else now.date()
        earlier = 0
        while found < minutes:
            earlier += 1
            try:
                session = self._calendar.previous_sessions(before, earlier)[0]
            except CalendarRangeError:
                break
            index = self._index_before(session.date)
            if index < self._oldest:
                break
            part = _columns(self._earlier(index, session), row)
            parts.insert(0, part)
            found += len(part)
        if not found:
            return None
        return BarColumns(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in BarColumns.__slots__)
        )

    def _session_at(self, now: datetime) -> Session | None:
        session = self._calendar.session_on(now.date())
        return session if session is not None and session.open <= now else None

    def _index_before(self, day: date) -> int:
        if day >= self._first.date:
            return self._index(day)
        return FIRST_SESSION - len(self._calendar.sessions(day, self._first.date)) + 1

    def _earlier(self, index: int, session: Session) -> SessionBars:
        if index not in self._history:
            self._history[index] = self._market.session_bars(index, session)
        return self._history[index]


def _deliveries(bars: SessionBars) -> Iterator[BarBatch]:
    """A session minute by minute; bars are made when their time comes."""
    columns = [
        np.ascontiguousarray(column.T)
        for column in (bars.open, bars.high, bars.low, bars.close, bars.volume, bars.present)
    ]
    for minute in np.flatnonzero(bars.present.any(axis=0)).tolist():
        stamp = bars.session.open + minute * MINUTE
        open_, high, low, close, volume, present = (column[minute].tolist() for column in columns)
        rows = zip(bars.symbols, open_, high, low, close, volume, present, strict=True)
        made = [Bar(s, stamp, o, h, lo, c, v) for s, o, h, lo, c, v, there in rows if there]
        yield BarBatch(stamp + MINUTE, made)


def _columns(bars: SessionBars, row: int) -> BarColumns:
    there = bars.present[row]
    first = int(bars.session.open.timestamp()) // 60
    return BarColumns(
        first + np.flatnonzero(there), bars.open[row][there], bars.high[row][there], bars.low[row][there],
        bars.close[row][there], bars.volume[row][there],
    )  # fmt: skip
