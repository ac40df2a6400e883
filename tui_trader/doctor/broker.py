"""Alpaca: keys, account, clock, sessions, bars and both streams, asked as a start would ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from tui_trader.core.calendar import NEW_YORK, Calendar, FixedCalendar
from tui_trader.doctor.files import Files
from tui_trader.doctor.findings import Check, Finding, fail, ok, warn
from tui_trader.doctor.streams import open_bars, open_trade_updates
from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.alpaca.account import check_interlock, check_usable, explained, read_account
from tui_trader.venues.alpaca.broker_calendar import CalendarSource, fetch_calendar, read_clock
from tui_trader.venues.alpaca.history import BarsSource
from tui_trader.venues.alpaca.history import explained as explained_bars
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem

#: Beyond this the engine takes no entries.
_MOST_SKEW: Final = timedelta(seconds=2)
_DOUBTFUL_SKEW: Final = timedelta(seconds=1)
_COMPARED_DAYS: Final = 30
_SYMBOLS_A_REQUEST: Final = 25
_MOST_PAGES: Final = 10
_NAMED_AT_MOST: Final = 10

T = TypeVar("T")


class Rest(CalendarSource, BarsSource, Protocol):
    """The part of the REST client that is used here."""

    def account(self) -> dict[str, Any]: ...


def connect(access: AlpacaAccess) -> Rest:
    from tui_trader.venues.alpaca.rest import AlpacaRest

    return AlpacaRest(access)


def broker_checks(
    files: Files,
    nyse: Calendar,
    now: Callable[[], datetime],
    connect: Callable[[AlpacaAccess], Rest] = connect,
) -> Iterator[Check]:
    """The checks of the Alpaca venue, after those of ``files``. ``nyse`` is what its sessions should be."""
    desk = _BrokerDesk(files, nyse, now, connect)
    yield Check("keys", desk.keys, needs=("config",))
    yield Check("account", desk.account, needs=("keys",))
    yield Check("broker clock", desk.clock, needs=("account",))
    yield Check("sessions", desk.sessions, needs=("account",))
    yield Check("bars", desk.bars, needs=("strategies", "sessions"))
    # An account has one connection of each kind, and a running engine holds them.
    yield Check("bar stream", desk.bar_stream, needs=("strategies", "account", "engine"))
    yield Check("order stream", desk.order_stream, needs=("account", "engine"))


class _BrokerDesk:
    """Later checks go on from what earlier ones found."""

    _access: AlpacaAccess
    _rest: Rest
    _sessions: FixedCalendar

    def __init__(
        self,
        files: Files,
        nyse: Calendar,
        now: Callable[[], datetime],
        connect: Callable[[AlpacaAccess], Rest],
    ) -> None:
        self._files = files
        self._nyse = nyse
        self._now = now
        self._connect = connect

    def keys(self) -> Finding:
        """Keys are there, and they, the URLs and the configuration agree whose money it is."""
        loaded = self._files.loaded
        self._access = AlpacaAccess.of(loaded.settings.alpaca)
        # --live is not asked here: the configuration says which account is meant.
        check_interlock(self._access, live=not self._access.paper)
        account = "paper account" if self._access.paper else "live account: real money, with --live only"
        return ok(f"{account}; key from {loaded.sources['alpaca.key_id']}")

    def account(self) -> Finding:
        """The keys are accepted, and the account may trade."""
        self._rest = self._connect(self._access)
        facts = read_account(self._ask(self._rest.account))
        check_usable(facts)
        return ok(
            f"{facts.masked} is {facts.status}, equity ${facts.equity:,.2f}, "
            f"buying power ${facts.buying_power:,.2f}"
        )

    def clock(self) -> Finding:
        """This computer's clock against the broker's."""
        clock = self._ask(partial(read_clock, self._rest, self._now))
        behind = clock.skew > timedelta(0)
        shown = (
            f"this computer's clock is {abs(clock.skew).total_seconds():.2f} s "
            f"{'behind' if behind else 'ahead of'} Alpaca's "
            f"(give or take {clock.uncertainty.total_seconds():.2f} s)"
        )
        if clock.excess > _MOST_SKEW:
            return fail(f"{shown}: synchronise it, with timedatectl set-ntp true or your system's settings")
        return warn(f"{shown}: synchronise it") if clock.excess > _DOUBTFUL_SKEW else ok(shown)

    def sessions(self) -> Finding:
        """The broker's sessions, which a run goes by, beside those that exchange_calendars expects."""
        now = self._now()
        self._sessions = self._ask(partial(fetch_calendar, self._rest, now))
        today = now.astimezone(NEW_YORK).date()
        until = today + timedelta(days=_COMPARED_DAYS)
        told, expected = (set(source.sessions(today, until)) for source in (self._sessions, self._nyse))
        days = sorted({session.date.isoformat() for session in told ^ expected})
        if days:
            return warn(f"unlike the published calendar on {_some(days)}: a run goes by the broker's")
        return ok(f"{len(told)} in the next {_COMPARED_DAYS} days, as published")

    def bars(self) -> Finding:
        """Bars of the configured feed up to now, which warm-up will ask for."""
        feed, now, symbols = self._access.feed, self._now(), self._files.symbols
        today = now.astimezone(NEW_YORK).date()
        sessions = self._sessions.sessions(today - timedelta(days=_COMPARED_DAYS), today)
        start = next((s.open for s in reversed(sessions) if s.open < now), now - timedelta(days=1))
        try:
            present = self._with_bars(symbols, start, now, feed)
        except RestProblem as problem:
            # A symbol that is unknown costs warm-up that symbol; anything else costs all of them.
            about_a_symbol = problem.kind is ProblemKind.REFUSED and "symbol" in problem.message
            return (warn if about_a_symbol else fail)(explained_bars(problem))
        missing = [symbol for symbol in symbols if symbol not in present]
        if missing:
            return warn(f"{feed} has none of {_some(missing)} since the last open: are the symbols right?")
        return ok(f"{feed} has bars of every symbol since the last open")

    def _with_bars(self, symbols: Sequence[str], start: datetime, end: datetime, feed: str) -> set[str]:
        """Those of ``symbols`` that have any bar. Raises ``RestProblem``."""
        present: set[str] = set()
        for first in range(0, len(symbols), _SYMBOLS_A_REQUEST):
            group, token = symbols[first : first + _SYMBOLS_A_REQUEST], None
            for _ in range(_MOST_PAGES):
                rows, token = self._rest.bars_page(group, start, end, feed, token)
                present.update(symbol for symbol, bars in rows.items() if bars)
                if token is None:
                    break
        return present

    def bar_stream(self) -> Finding:
        """The market data stream takes us, and streams every symbol."""
        return open_bars(self._access, self._files.symbols, self._now)

    def order_stream(self) -> Finding:
        """The stream of order news takes us."""
        return open_trade_updates(self._access)

    def _ask(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except RestProblem as problem:
            raise explained(problem, self._access) from None


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(names[:_NAMED_AT_MOST]) + more
