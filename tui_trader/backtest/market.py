"""Recorded bars made ready once for any number of runs: which are believed, and the candles they make.

Both follow DESIGN §9 to the letter, over whole columns. Only a session of a symbol in which prices jump is
walked bar by bar, through the same ``BarFilter`` that the live engine uses. Nothing here copies the recorded
columns: a ``Tape`` points into them.

Times are numbers: minutes since 1970-01-01 UTC, and *moments* of half a minute, because a candle that waits
for a late bar is closed 90 s after its window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tui_trader.backtest.result import DataNotes, RefusedBar
from tui_trader.core.bars import MINUTE, Bar, BarFilter, split_ratio
from tui_trader.core.calendar import Calendar, CalendarRangeError, Session
from tui_trader.core.candles import CANDLE_GRACE
from tui_trader.core.indicators import CandleArrays, Floats, Indicator, batch
from tui_trader.core.rule import CandleColumns
from tui_trader.errors import UsageError
from tui_trader.venues.replay.bars_file import BarTable

Minutes = NDArray[np.int32]
#: Half-minutes.
Moments = NDArray[np.int32]
Column = Literal["open", "high", "low", "close", "volume"]
#: Half-minutes after its window's end at which a candle is closed without its last minute.
GRACE: Final = int(CANDLE_GRACE.total_seconds()) // 30
# A little stricter than ``BarFilter``, which has the last word.
_STRICTER: Final = 1.0 - 1e-6


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


@dataclass(slots=True, eq=False)
class Candles:
    """Candles of one symbol, oldest first. Session ``k``'s are ``bounds[k]`` to ``bounds[k + 1]``.

    ``start`` in minutes since 1970; ``closes`` is the moment at which the candle is known. ``at_bell`` marks
    those that only the session's close completes. Prices in dollars, volume in shares, all float64.
    ``restarts`` are the candles that begin a history anew (0 first), after which counting is from 1 again.
    """

    symbol: str
    minutes: int
    start: Minutes
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    bars: NDArray[np.int16]
    closes: Moments
    at_bell: NDArray[np.bool_]
    bounds: NDArray[np.int64]
    restarts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Whether every minute of the window had a bar."""
        whole: NDArray[np.bool_] = self.bars == self.minutes
        return whole

    def histories(self) -> Iterator[tuple[int, int]]:
        """First and last (excluded) candle of each stretch over which indicators run."""
        ends = [*self.restarts[1:], len(self)]
        return zip(self.restarts, ends, strict=True)

    def indicators(self, wanted: Mapping[str, Indicator]) -> dict[str, Floats]:
        """The named series at each candle, NaN where not warm."""
        found: dict[str, Floats] = {}
        for name, indicator in wanted.items():
            parts = [batch(indicator, self._arrays(a, b, indicator)) for a, b in self.histories()]
            found[name] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return found

    def _arrays(self, a: int, b: int, indicator: Indicator) -> CandleArrays:
        count = b - a
        if indicator.kind == "vwap":
            session = np.searchsorted(self.bounds, np.arange(a, b), side="right")
        else:
            session = np.zeros(count, dtype=np.int64)
        return CandleArrays(self.high[a:b], self.low[a:b], self.close[a:b], self.volume[a:b], session)

    def columns(self, a: int, b: int, series: Mapping[str, Floats]) -> CandleColumns:
        """Candles ``a`` to ``b`` (excluded), which lie in one history, as a strategy may see them."""
        now = {name: values[a:b] for name, values in series.items()}
        return CandleColumns(
            self.open[a:b], self.high[a:b], self.low[a:b], self.close[a:b], self.volume[a:b], now
        )


class MarketData:
    """``symbols`` (A–Z) that have bars in ``sessions`` (those with any bar, oldest first).

    ``max_bar_jump_pct`` says which bars are believed. Symbols in ``asked`` without a bar become a note.
    Raises ``UsageError`` when no regular session has a bar.
    """

    def __init__(
        self, table: BarTable, calendar: Calendar, max_bar_jump_pct: float, asked: tuple[str, ...] = ()
    ) -> None:
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
            self._candles[key] = self._make_candles(self.tapes[symbol], minutes)
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
        count = len(tape)
        if count == 0:
            return frozenset()
        close = tape.column("close", 0, count)
        reach = close[:-1] * (self._max_jump / 100.0 * _STRICTER)
        jumps = tape.column("high", 0, count)[1:] - close[:-1] > reach
        jumps |= close[:-1] - tape.column("low", 0, count)[1:] > reach
        firsts = np.unique(tape.bounds[:-1][np.diff(tape.bounds) > 0])
        openings = firsts[1:]
        jumps[openings - 1] = False  # a night may move a price as far as it likes, but for a split
        before, opened = close[openings - 1], tape.column("open", 0, count)[openings]
        for at in np.flatnonzero((opened > 1.9 * before) | (opened < 0.53 * before)).tolist():
            jumps[openings[at] - 1] = split_ratio(float(before[at]), float(opened[at])) is not None
        bars = np.flatnonzero(jumps) + 1
        return frozenset((np.searchsorted(tape.bounds, bars, side="right") - 1).tolist())

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

    # ---- candles ---------------------------------------------------------------------------------

    def _make_candles(self, tape: Tape, minutes: int) -> Candles:
        joins = self._joining(tape, minutes)
        count = len(tape) if joins is None else len(joins)
        stamp = tape.minutes(0, len(tape))
        sizes = np.diff(tape.bounds)
        opened = np.repeat(self.opens.astype(np.int32), sizes)
        if joins is not None:
            stamp, opened = stamp[joins], opened[joins]
        # The last minute of each bar's window tells the windows of all sessions apart.
        window = stamp + (np.int32(minutes) - (stamp - opened) % np.int32(minutes))
        del opened
        begins = np.flatnonzero(np.concatenate(([True], window[1:] != window[:-1])))
        ends = np.concatenate((begins[1:], [count]))
        end = window[begins]
        del window

        def column(name: Column) -> NDArray[np.float64]:
            values = tape.column(name, 0, len(tape))
            return values if joins is None else values[joins]

        start = end - np.int32(minutes)
        bounds = np.searchsorted(start, np.append(self.opens, self.closes[-1]))
        session = np.repeat(np.arange(len(self.opens), dtype=np.int32), np.diff(bounds))
        delivered = stamp + np.int32(1)
        if tape.late:
            delivered = tape.delivered(0, len(tape))
            if joins is not None:
                delivered = delivered[joins]
        on_time = stamp[ends - 1] == end - 1
        closes = delivered[ends - 1] * np.int32(2)
        at_bell = np.zeros(len(begins), dtype=bool)
        short = np.flatnonzero(~on_time)
        if len(short):
            following = np.append(delivered[begins[1:]], 0)[short] * np.int64(2)
            last = np.append(session[1:] != session[:-1], True)[short]
            following[last] = np.iinfo(np.int64).max
            bell = self.closes[session[short]] * 2
            waited = np.minimum(np.minimum(following, end[short] * np.int64(2) + GRACE), bell)
            closes[short] = waited
            at_bell[short] = (waited == bell) & (following > bell)
        return Candles(
            tape.symbol,
            minutes,
            start,
            column("open")[begins],
            _over(np.maximum, column("high"), begins, ends, minutes),
            _over(np.minimum, column("low"), begins, ends, minutes),
            column("close")[ends - 1],
            _sum(column("volume"), begins, ends, minutes),
            (ends - begins).astype(np.int16),
            closes,
            at_bell,
            bounds,
            tuple(sorted({0, *(int(bounds[number]) for number in tape.restarts)})),
        )

    def _joining(self, tape: Tape, minutes: int) -> NDArray[np.int64] | None:
        """The bars that join a candle; None: all. One confirmed after its candle had closed joins none."""
        lost = []
        for bar, delivery in tape.late.items():
            stamp = int(tape.minutes(bar, bar + 1)[0])
            opened = int(self.opens[np.searchsorted(self.opens, stamp, side="right") - 1])
            end = stamp + minutes - (stamp - opened) % minutes
            if delivery * 2 > end * 2 + GRACE:
                lost.append(bar)
        return np.delete(np.arange(len(tape)), lost) if lost else None


def _over(
    function: np.ufunc, values: Floats, begins: NDArray[np.int64], ends: NDArray[np.int64], minutes: int
) -> Floats:
    """The largest or smallest of each candle's bars."""
    if minutes <= 2:  # of two bars at most: several times faster than ``reduceat``
        pairs: Floats = function(values[begins], values[ends - 1])
        return pairs
    found: Floats = function.reduceat(values, begins)
    return found


def _sum(
    values: NDArray[np.float64], begins: NDArray[np.int64], ends: NDArray[np.int64], minutes: int
) -> Floats:
    """The sum over each candle's bars."""
    if minutes > 2:
        return np.add.reduceat(values, begins).astype(np.float64)
    sums = values[begins].astype(np.float64)
    pairs = ends - begins == 2
    sums[pairs] += values[ends[pairs] - 1]
    return sums


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
