"""Recorded bars made ready once for any number of runs: which are believed, and the candles they make.

Both follow DESIGN §9 to the letter, over whole columns. Only a session of a symbol in which prices jump is
walked bar by bar, through the same ``BarFilter`` that the live engine uses. Nothing here copies the recorded
columns: a ``Tape`` points into them.

Times are numbers: minutes since 1970-01-01 UTC, and *moments* of half a minute, because a candle that waits
for a late bar is closed 90 s after its window.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import date, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tui_trader.backtest.candles import Candles, make_candles
from tui_trader.backtest.result import DataNotes, RefusedBar
from tui_trader.backtest.tape import Column, Tape, minute_of, time_of
from tui_trader.core.bars import MINUTE, Bar, BarFilter, split_ratio
from tui_trader.core.calendar import Calendar, CalendarRangeError, Session
from tui_trader.errors import UsageError
from tui_trader.venues.replay.bars_file import BarTable

# A little stricter than ``BarFilter``, which has the last word.
_STRICTER: Final = 1.0 - 1e-6

_LARGE_BLOCK: Final = 30 << 20  # just below the most that glibc takes for a threshold


class MarketData:
    """``symbols`` (A–Z) that have bars in ``sessions`` (those with any bar, oldest first).

    ``max_bar_jump_pct`` says which bars are believed. Symbols in ``asked`` without a bar become a note.
    Raises ``UsageError`` when no regular session has a bar.
    """

    def __init__(
        self, table: BarTable, calendar: Calendar, max_bar_jump_pct: float, asked: tuple[str, ...] = ()
    ) -> None:
        _keep_freed_memory()
        self._table = table
        self._max_jump = max_bar_jump_pct
        self.sessions = _sessions_with_bars(table, calendar)
        self.opens = np.array([minute_of(s.open) for s in self.sessions], dtype=np.int64)
        self.closes = np.array([minute_of(s.close) for s in self.sessions], dtype=np.int64)
        self._refused: list[RefusedBar] = []
        self._adjusted = 0
        self._splits: list[tuple[str, datetime]] = []
        self.tapes = {tape.symbol: tape for tape in self._read() if len(tape)}
        self.symbols = tuple(self.tapes)
        self.bars = sum(len(tape) for tape in self.tapes.values())
        self._candles: dict[tuple[str, int], Candles] = {}
        self.notes = DataNotes(
            tuple(sorted(self._refused, key=lambda bar: (bar.timestamp, bar.symbol))),
            self._adjusted,
            tuple(sorted(self._splits, key=lambda split: (split[1], split[0]))),
            {symbol: missing for symbol in self.symbols if (missing := self._missing(symbol))},
            len(table) - self.bars - len(self._refused),
            tuple(sorted(set(asked) - set(self.symbols))),
            skipped_rows=len(table.skipped),
        )

    def candles(self, symbol: str, minutes: int) -> Candles:
        """Candles of ``minutes`` minutes, made when first asked for."""
        key = symbol, minutes
        if key not in self._candles:
            self._candles[key] = make_candles(self.tapes[symbol], minutes, self.opens, self.closes)
        return self._candles[key]

    def session_number(self, day: date) -> int:
        """The number of the first session on or after ``day``; as many as there are when none is."""
        return next((n for n, s in enumerate(self.sessions) if s.date >= day), len(self.sessions))

    # ---- which bars are believed -----------------------------------------------------------------

    def _read(self) -> Iterator[Tape]:
        table = self._table
        if len(table.symbols) == 1:
            yield self._tape(table.symbols[0], None)
            return
        # Stable, so that each symbol's rows stay in order of time.
        order = np.argsort(table.symbol_index, kind="stable").astype(np.int32)
        ends = np.cumsum(np.bincount(table.symbol_index, minlength=len(table.symbols)))
        begin = 0
        for symbol, end in zip(table.symbols, ends.tolist(), strict=True):
            yield self._tape(symbol, order[begin:end])
            begin = end

    def _tape(self, symbol: str, rows: NDArray[np.int32] | None) -> Tape:
        minute = self._table.minute if rows is None else self._table.minute[rows]
        first = np.searchsorted(minute, self.opens)
        last = np.searchsorted(minute, self.closes)
        count = int((last - first).sum())
        if count != len(minute):
            kept = np.concatenate([np.arange(a, b, dtype=np.int32) for a, b in zip(first, last, strict=True)])
            rows = kept if rows is None else rows[kept]
        bounds = np.concatenate(([0], np.cumsum(last - first)))
        tape = Tape(symbol, self._table, rows, bounds, {}, {}, [])
        return self._screened(tape)

    def _screened(self, tape: Tape) -> Tape:
        doubtful = self._doubtful(tape)
        if not doubtful:
            return tape
        late: dict[int, int] = {}
        patched: dict[int, tuple[float, float]] = {}
        keep: list[NDArray[np.int32]] = []
        bounds = [0]
        last_close = float("nan")
        last_time: datetime | None = None
        last_open: datetime | None = None
        for number, session in enumerate(self.sessions):
            a, b = int(tape.bounds[number]), int(tape.bounds[number + 1])
            chosen = np.arange(a, b, dtype=np.int32)
            if b > a:
                judge = BarFilter(self._max_jump)
                if last_time is not None and last_open is not None:
                    judge.resume(last_close, last_time, last_open)
                before = len(tape.restarts)
                if number in doubtful:
                    chosen = self._judged(tape, judge, number, (a, b), bounds[-1], late, patched)
                elif last_time is not None and split_ratio(
                    last_close, float(tape.column("open", a, a + 1)[0])
                ):
                    tape.restarts.append(number)
                if len(tape.restarts) > before:
                    self._splits.append((tape.symbol, session.open))
                newest = int(chosen[-1])  # a session's first bar is always believed
                last_close = float(tape.column("close", newest, newest + 1)[0])
                last_time = time_of(int(tape.minutes(newest, newest + 1)[0]))
                last_open = session.open
            keep.append(chosen)
            bounds.append(bounds[-1] + len(chosen))
        kept = np.concatenate(keep)
        if len(kept) != len(tape):
            tape.rows = kept if tape.rows is None else tape.rows[kept]
        tape.bounds = np.array(bounds, dtype=np.int64)
        tape.late, tape.patched = late, patched
        return tape

    def _doubtful(self, tape: Tape) -> frozenset[int]:
        """Sessions whose bars jump, in the session or into it."""
        with_bars = np.flatnonzero(np.diff(tape.bounds))
        if not len(with_bars):
            return frozenset()
        firsts, lasts = tape.bounds[with_bars], tape.bounds[with_bars + 1] - 1
        high, low = tape.column("high", 0, len(tape)), tape.column("low", 0, len(tape))
        highest, lowest = np.maximum.reduceat(high, firsts), np.minimum.reduceat(low, firsts)
        # In a session whose whole range is less than a jump there is none.
        wide = highest - lowest > lowest * (self._max_jump / 100.0 * _STRICTER)
        found = {int(number) for number in with_bars[wide] if self._jumps(tape, int(number))}
        before = tape.column("close", 0, len(tape))[lasts[:-1]]
        opened = tape.column("open", 0, len(tape))[firsts[1:]]
        for at in np.flatnonzero((opened > 1.9 * before) | (opened < 0.53 * before)).tolist():
            if split_ratio(float(before[at]), float(opened[at])) is not None:
                found.add(int(with_bars[at + 1]))
        return frozenset(found)

    def _jumps(self, tape: Tape, session: int) -> bool:
        """Whether a bar of ``session`` reaches further from the close before it than is believed at once."""
        first, last = int(tape.bounds[session]), int(tape.bounds[session + 1])
        before = tape.column("close", first, last)[:-1]
        reach = before * (self._max_jump / 100.0 * _STRICTER)
        up = tape.column("high", first, last)[1:] - before > reach
        down = before - tape.column("low", first, last)[1:] > reach
        return bool((up | down).any())

    def _judged(
        self,
        tape: Tape,
        judge: BarFilter,
        number: int,
        span: tuple[int, int],
        base: int,
        late: dict[int, int],
        patched: dict[int, tuple[float, float]],
    ) -> NDArray[np.int32]:
        """The believed bars among those of ``span``; ``base`` is the new number of the first of them.

        What is odd about believed bars goes into ``late`` and ``patched``, under their new numbers.
        """
        a, b = span
        session = self.sessions[number]
        stamps = tape.minutes(a, b).tolist()
        names: tuple[Column, ...] = ("open", "high", "low", "close", "volume")
        values = zip(*(tape.column(name, a, b).tolist() for name in names), strict=True)
        chosen: list[int] = []
        held: list[int] = []  # the bar that is withheld, if any
        for offset, (stamp, (open_, high, low, close, volume)) in enumerate(zip(stamps, values, strict=True)):
            bar = Bar(tape.symbol, time_of(stamp), open_, high, low, close, int(volume))
            verdict = judge.offer(bar, session.open, bar.timestamp + MINUTE)
            if verdict.split:
                tape.restarts.append(number)
            for accepted in verdict.accepted:
                at = base + len(chosen)
                if accepted.timestamp == bar.timestamp:
                    chosen.append(a + offset)
                else:
                    late[at] = stamp + 1
                    chosen.extend(held)
                if accepted.adjusted:
                    self._adjusted += 1
                    patched[at] = (accepted.high, accepted.low)
            held = [a + offset] if judge.withheld is not None else []
            self._refuse(verdict.refused)
        self._refuse(judge.end_session().refused)
        return np.array(chosen, dtype=np.int32)

    def _refuse(self, refused: tuple[tuple[Bar, str], ...]) -> None:
        self._refused += [RefusedBar(bar.symbol, bar.timestamp, reason) for bar, reason in refused]

    def _missing(self, symbol: str) -> int:
        """Session minutes without a bar, from the symbol's first bar to its last."""
        tape = self.tapes[symbol]
        present = np.flatnonzero(np.diff(tape.bounds))
        first, last = int(present[0]), int(present[-1])
        expected = int((self.closes[first : last + 1] - self.opens[first : last + 1]).sum())
        ends = tape.minutes(0, 1)[0], tape.minutes(len(tape) - 1, len(tape))[0]
        return expected - int(ends[0] - self.opens[first]) - int(self.closes[last] - 1 - ends[1]) - len(tape)


def _sessions_with_bars(table: BarTable, calendar: Calendar) -> tuple[Session, ...]:
    first, last = time_of(int(table.minute[0])).date(), time_of(int(table.minute[-1])).date()
    try:
        sessions = calendar.sessions(first, last)
    except CalendarRangeError as error:
        raise UsageError(f"the bars cover {first} to {last}: {error}") from None
    opens = np.array([minute_of(s.open) for s in sessions], dtype=np.int64)
    closes = np.array([minute_of(s.close) for s in sessions], dtype=np.int64)
    some = np.searchsorted(table.minute, closes) > np.searchsorted(table.minute, opens)
    found = tuple(session for session, there in zip(sessions, some.tolist(), strict=True) if there)
    if not found:
        raise UsageError("the bars hold no bar of a regular session (09:30 to 16:00 in New York)")
    return found


@functools.cache
def _keep_freed_memory() -> None:
    """Have the memory of large arrays used again, where the C library is glibc; once a process.

    It gives blocks above a threshold back to the system at once, and each page costs microseconds when it is
    touched anew. Freeing one large block, which is never touched, raises that threshold.
    """
    bytes(_LARGE_BLOCK)
