"""Minute bars of the last sessions, for warm-up.

Symbols are asked for several at a time, in worker threads. A symbol that trades seldom has fewer bars than
minutes, so those that have too few are asked for again further back, until they have enough or the calendar
ends. What goes wrong with one symbol costs no other one its bars.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

import numpy as np

from tui_trader.core.calendar import Calendar, CalendarRangeError, Session
from tui_trader.engine.clock import Clock
from tui_trader.venues.alpaca.bar_rows import bar_columns, joined
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem
from tui_trader.venues.base import BarColumns, History, Sink

#: How far back bars are looked for, in days; the broker's calendar must reach further.
DAYS_BACK: Final = 120
_SYMBOLS_A_REQUEST: Final = 25
# Even busy symbols have minutes without a trade on the IEX feed: a second request costs more than some rows.
_MARGIN: Final = 1.3
_GROWTH: Final = 2.0
#: 10,000 bars each: what 25 symbols have in 120 days, extended hours included, and no answer without end.
_MOST_PAGES: Final = 300
_BRIEF_PAUSES_S: Final = (0.5, 2.0)
# The limit counts the requests of the last minute: after the second pause all of them are forgotten.
_LONG_PAUSES_S: Final = (10.0, 60.0)
_PAUSES_S: Final = {
    ProblemKind.UNREACHABLE: _BRIEF_PAUSES_S,
    ProblemKind.UNCLEAR: _BRIEF_PAUSES_S,
    ProblemKind.RATE_LIMITED: _LONG_PAUSES_S,
}

Page = tuple[dict[str, list[dict[str, Any]]], str | None]


class BarsSource(Protocol):
    """The part of the REST client that is used here."""

    def bars_page(
        self, symbols: Sequence[str], start: datetime, end: datetime, feed: str, page_token: str | None
    ) -> Page: ...


#: Has a job done by a worker thread, which calls the second argument with its end: None or a problem.
HistoryLane = Callable[[Callable[[BarsSource], None], Callable[[RestProblem | None], None]], None]


@dataclass(frozen=True, slots=True)
class AlpacaHistory:
    """Answers ``request_history`` with one ``History`` a symbol, as soon as it is known.

    ``run`` has a job done in the history lane; ``pause`` waits that many seconds in a worker thread.
    """

    run: HistoryLane
    calendar: Calendar
    clock: Clock
    sink: Sink
    feed: str
    pause: Callable[[float], object] = time.sleep

    def request(self, symbols: Sequence[str], minutes: int) -> None:
        """Begin asking for at least ``minutes`` regular-session bars before now. Does not block."""
        ordered = sorted(set(symbols))
        for first in range(0, len(ordered), _SYMBOLS_A_REQUEST):
            job = _Job(self, ordered[first : first + _SYMBOLS_A_REQUEST], minutes)
            self.run(job.fetch, job.ended)


class _Job:
    """The bars of a few symbols. ``fetch`` runs on a worker thread, ``ended`` after it."""

    def __init__(self, history: AlpacaHistory, symbols: Sequence[str], minutes: int) -> None:
        self._history = history
        self._minutes = minutes
        self._unanswered = dict.fromkeys(symbols)  # a set that keeps its order
        self._parts: dict[str, list[BarColumns]] = {symbol: [] for symbol in symbols}  # oldest first
        self._unreadable = dict.fromkeys(symbols, 0)

    def fetch(self, rest: BarsSource) -> None:
        now = self._history.clock.now()
        today = now.date()
        try:
            known = self._history.calendar.sessions(today - timedelta(days=DAYS_BACK), today)
        except CalendarRangeError as error:
            self._give_up(f"the sessions before now are not known: {error}")
            return
        sessions = [session for session in known if session.open < now]
        for window in _windows(sessions, now, self._minutes):
            if not self._unanswered:
                return
            self._fetch_window(rest, list(self._unanswered), window)
        for symbol in list(self._unanswered):
            self._answer(symbol, self._nothing_of(symbol))

    def ended(self, problem: RestProblem | None) -> None:
        """Whatever happened, nobody waits for an answer that will not come."""
        if self._unanswered:
            self._give_up(explained(problem) if problem is not None else "the bars could not be read")

    def _fetch_window(self, rest: BarsSource, symbols: Sequence[str], window: _Window) -> None:
        """Add the bars of ``window`` and answer for the symbols that have enough now, or can have no more."""
        fresh: dict[str, list[BarColumns]] = {symbol: [] for symbol in symbols}
        unfinished = dict.fromkeys(symbols)
        before: Collection[str] = ()
        try:
            for page in self._pages(rest, symbols, window):
                rows_of = {s: rows for s, rows in page.items() if s in unfinished and rows}
                for symbol, rows in rows_of.items():
                    fresh[symbol].append(self._read(symbol, rows, window))
                # All rows of a symbol follow each other: one that the next page goes past is complete.
                for symbol in [s for s in before if rows_of and s not in rows_of]:
                    del unfinished[symbol]
                    self._add(symbol, fresh[symbol])
                before = rows_of or before
        except RestProblem as problem:
            self._part_ways(rest, list(unfinished), window, problem)
            return
        for symbol in unfinished:
            self._add(symbol, fresh[symbol])

    def _part_ways(
        self, rest: BarsSource, symbols: Sequence[str], window: _Window, problem: RestProblem
    ) -> None:
        """A refusal may be about one symbol alone (unknown, renamed): the others are asked for without it."""
        if problem.kind is ProblemKind.REFUSED and len(symbols) > 1 and not _is_about_the_feed(problem):
            middle = len(symbols) // 2
            self._fetch_window(rest, symbols[:middle], window)
            self._fetch_window(rest, symbols[middle:], window)
            return
        for symbol in symbols:
            self._answer(symbol, explained(problem))

    def _pages(
        self, rest: BarsSource, symbols: Sequence[str], window: _Window
    ) -> Iterator[dict[str, list[dict[str, Any]]]]:
        token: str | None = None
        seen: set[str] = set()
        while len(seen) < _MOST_PAGES:
            page, token = self._page(
                partial(rest.bars_page, symbols, window.start, window.end, self._history.feed, token)
            )
            yield page
            if not token:
                return
            if token in seen:
                break
            seen.add(token)
        raise RestProblem(ProblemKind.UNCLEAR, "the pages of its answer do not end")

    def _page(self, ask: Callable[[], Page]) -> Page:
        """One page; asked for again while there is hope. Raises ``RestProblem``."""
        tries = 0
        while True:
            try:
                return ask()
            except RestProblem as problem:
                pauses = _PAUSES_S.get(problem.kind, ())
                if tries >= len(pauses):
                    raise
                self._history.pause(pauses[tries])
                tries += 1

    def _read(self, symbol: str, rows: list[dict[str, Any]], window: _Window) -> BarColumns:
        columns = bar_columns(rows)
        self._unreadable[symbol] += len(rows) - len(columns)
        return window.regular(columns)

    def _add(self, symbol: str, fresh: list[BarColumns]) -> None:
        parts = self._parts[symbol] = fresh + self._parts[symbol]
        if sum(map(len, parts)) >= self._minutes:
            self._answer(symbol, "")

    def _answer(self, symbol: str, error: str) -> None:
        """The end for ``symbol``. Bars that are there serve, be they fewer than were asked for."""
        del self._unanswered[symbol]
        bars = joined(self._parts.pop(symbol))
        self._history.sink(History(symbol, bars if len(bars) else None, error))

    def _give_up(self, error: str) -> None:
        for symbol in list(self._unanswered):
            self._answer(symbol, error)

    def _nothing_of(self, symbol: str) -> str:
        """The error of a symbol that was asked for as far back as possible; empty when there are bars."""
        if any(map(len, self._parts[symbol])):
            return ""
        unreadable = self._unreadable[symbol]
        note = f" ({unreadable} were unreadable)" if unreadable else ""
        return f"no bars in the last {DAYS_BACK} days on the {self._history.feed} feed{note}"


class _Window:
    """The time from ``start`` up to ``end``: whole sessions, and the part of the running one that is over."""

    def __init__(self, sessions: Sequence[Session], end: datetime) -> None:
        self.start = sessions[0].open
        self.end = end
        self._opens = np.array([_epoch_minute(s.open) for s in sessions], dtype=np.int64)
        self._closes = np.array([_epoch_minute(s.close) for s in sessions], dtype=np.int64)

    def regular(self, columns: BarColumns) -> BarColumns:
        """The bars of the regular sessions. A minute that is not over is none: its bar will still change."""
        index = np.searchsorted(self._opens, columns.minute, side="right") - 1
        inside = (index >= 0) & (columns.minute < self._closes[index])
        inside &= columns.minute < _epoch_minute(self.end)
        if inside.all():
            return columns
        return BarColumns(*(getattr(columns, name)[inside] for name in BarColumns.__slots__))


def _windows(sessions: Sequence[Session], now: datetime, minutes: int) -> Iterator[_Window]:
    """Windows backwards from ``now``: the first holds a little more than ``minutes``, the next ones more."""
    end, last = now, len(sessions)
    wanted, covered = minutes * _MARGIN, 0.0
    for first in reversed(range(len(sessions))):
        session = sessions[first]
        covered += (min(session.close, now) - session.open) / timedelta(minutes=1)
        if covered >= wanted or first == 0:
            yield _Window(sessions[first:last], end)
            end, last = session.open, first
            wanted = covered * _GROWTH


def _epoch_minute(instant: datetime) -> int:
    return int(instant.timestamp()) // 60


def _is_about_the_feed(problem: RestProblem) -> bool:
    return "subscription" in problem.message


def explained(problem: RestProblem) -> str:
    """Why there are no bars, and what to do where there is something to do."""
    if _is_about_the_feed(problem):
        return (
            "the Alpaca subscription does not include recent SIP data: "
            'set feed = "iex" in [alpaca], or subscribe to it'
        )
    match problem.kind:
        case ProblemKind.UNREACHABLE | ProblemKind.UNCLEAR:
            return f"no answer from Alpaca: {problem.message}"
        case ProblemKind.UNAUTHORIZED:
            return "Alpaca does not accept the keys"
        case ProblemKind.RATE_LIMITED:
            return "Alpaca's limit of 200 requests a minute is used up"
        case _:
            return f"Alpaca refuses: {problem.message}"
