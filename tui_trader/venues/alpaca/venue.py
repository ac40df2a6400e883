"""One Alpaca account, put together: its calendar, its broker, its bars, and what keeps them going."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from tui_trader.core.bars import Bar
from tui_trader.core.calendar import NEW_YORK, Calendar, CalendarRangeError
from tui_trader.engine.clock import Clock
from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.alpaca.account import AccountFacts, check_account, check_interlock, explained
from tui_trader.venues.alpaca.broker import AlpacaBroker
from tui_trader.venues.alpaca.broker_calendar import BrokerClock, fetch_calendar, read_clock
from tui_trader.venues.alpaca.budget import RequestBudget
from tui_trader.venues.alpaca.data_stream import BarStream
from tui_trader.venues.alpaca.history import AlpacaHistory
from tui_trader.venues.alpaca.lanes import ORDER_LINES, Lane, RestLanes
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem
from tui_trader.venues.alpaca.rest import AlpacaRest
from tui_trader.venues.alpaca.trade_stream import TradeUpdateStream
from tui_trader.venues.base import BarBatch, Sink, StreamState, TradingHalt, VenueCondition, VenueNotice

_T = TypeVar("_T")

#: How long the start waits for the trade stream; later news is made up for by a snapshot.
READY_WITHIN_S: Final = 10.0
#: At the start, what may pass is asked again after so many seconds. A run that was killed may have used up
#: the minute's requests, and its positions wait to be looked after: that minute is sat out.
_PAUSES_S: Final[Mapping[ProblemKind, tuple[float, ...]]] = {
    ProblemKind.UNREACHABLE: (1.0, 3.0),
    ProblemKind.UNCLEAR: (1.0, 3.0),
    ProblemKind.RATE_LIMITED: (2.0, 4.0, 8.0, 16.0, 30.0),
}
#: Symbols that are checked at once, and the seconds between the others: starting needs the requests more.
_ASSETS_AT_ONCE: Final = 10
_ASSET_EVERY_S: Final = 1.0
#: Lines take turns, so each is used once a minute.
_CLOCK_EVERY_S: Final = 60.0 / ORDER_LINES
_SKEW_LIMIT: Final = timedelta(seconds=2)
#: Around the bells, the calendar and the broker's clock may differ by what the question takes.
_BELL_MARGIN: Final = timedelta(seconds=30)


class AlpacaVenue:
    """A ``DataStream``, and the home of ``broker`` and of the ``services`` that must run beside the engine.

    Made by ``connect``. All of it belongs to the engine's thread, except ``connect`` and ``close``.
    ``jitter`` (a number from 0 up to 1) and ``pause`` (seconds, on a worker thread) say how long to wait.
    """

    def __init__(
        self,
        access: AlpacaAccess,
        facts: AccountFacts,
        calendar: Calendar,
        lanes: RestLanes,
        sink: Sink,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.facts = facts
        self.calendar = calendar
        self.broker = AlpacaBroker(facts.number, lanes, sink, clock)
        self._lanes = lanes
        self._sink = sink
        self._clock = clock
        self._connected = asyncio.Event()
        self._history = AlpacaHistory(
            partial(lanes.run, Lane.HISTORY), calendar, clock, sink, access.feed, pause
        )
        self._bars = BarStream(
            access, sink, clock,
            expects_data=self._market_is_open,
            on_updated_bar=self._revised,
            on_status=lambda symbol, halted, text: sink(TradingHalt(symbol, text if halted else "")),
            on_problem=self._notice("bars"),
            on_fatal=self._notice("bars"),
            jitter=jitter,
        )  # fmt: skip
        self._updates = TradeUpdateStream(
            access, self._watched, self.broker.take_trade_update,
            on_problem=self._notice("trade updates"), on_fatal=self._notice("trade updates"),
            jitter=jitter,
        )  # fmt: skip

    @classmethod
    def connect(
        cls, access: AlpacaAccess, *, live: bool, typed: str | None, sink: Sink, clock: Clock
    ) -> AlpacaVenue:
        """Ask who the account is and what its calendar says. Blocks. Raises ``RefusedToStart``."""
        check_interlock(access, live)
        budget = RequestBudget()
        rest = AlpacaRest(access, budget)
        try:
            facts = check_account(_answer(rest.account, access), access, live, typed)
            calendar = _answer(lambda: fetch_calendar(rest, clock.now()), access)
            told = _answer(lambda: read_clock(rest, clock.now), access)
        finally:
            rest.close()
        lanes = RestLanes(access, budget)
        lanes.open_order_lines()
        venue = cls(access, facts, calendar, lanes, sink, clock)
        venue._compare_clocks(told)
        return venue

    # ---- the engine's side -----------------------------------------------------------------------

    def subscribe(self, symbols: Sequence[str]) -> None:
        self._bars.subscribe(symbols)

    def request_history(self, symbols: Sequence[str], minutes: int) -> None:
        self._history.request(symbols, minutes)

    async def ready(self) -> None:
        """Until the trade stream is open, or has had its time: what it says meanwhile waits in the inbox."""
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await self._connected.wait()
        except TimeoutError:
            self._sink(VenueNotice("trade updates", "the stream is not open yet: starting without it"))

    def close(self) -> None:
        """Begin no more requests."""
        self._lanes.close()

    # ---- services --------------------------------------------------------------------------------

    def services(self, symbols: Sequence[str]) -> dict[str, Callable[[], Awaitable[None]]]:
        """What must run beside the engine, by name."""
        return {
            "trade updates": self.run_updates,
            "bars": self.run_bars,
            "broker clock": self.keep_time,
            "assets": lambda: self.check_assets(symbols),
        }

    async def run_bars(self) -> None:
        self._sink(StreamState("bars", "reconnecting"))
        await self._bars.run()

    async def run_updates(self) -> None:
        self._sink(StreamState("trade_updates", "reconnecting"))
        await self._updates.run()

    async def keep_time(self) -> None:
        """Compare clocks with the broker, on the lines that carry orders: they stay open by it."""
        while True:
            await asyncio.sleep(_CLOCK_EVERY_S)
            self._lanes.run(Lane.ORDERS, lambda rest: read_clock(rest, self._clock.now), self._told_time)

    async def check_assets(self, symbols: Sequence[str]) -> None:
        """Ask once whether the symbols may be traded; those that may not be are halted for us."""
        for number, symbol in enumerate(symbols):
            if number >= _ASSETS_AT_ONCE:
                await asyncio.sleep(_ASSET_EVERY_S)
            self._lanes.run(
                Lane.HISTORY, partial(_asset_problem, symbol), partial(self._asset_checked, symbol)
            )

    # ---- news ------------------------------------------------------------------------------------

    def _watched(self, message: object) -> None:
        if isinstance(message, StreamState):
            if message.state in ("connected", "disconnected"):
                self._connected.set()
            self._sink(message)

    def _notice(self, component: str) -> Callable[[str], None]:
        prefix = f"{component.replace(' ', '_')}: "  # the streams name themselves, too
        return lambda text: self._sink(VenueNotice(component, text.removeprefix(prefix)))

    def _revised(self, bar: Bar) -> None:
        """A late correction. The engine takes it for a minute it has not had, and says so of any other."""
        self._sink(BarBatch(self._clock.now(), (bar,)))

    def _asset_checked(self, symbol: str, outcome: str | RestProblem) -> None:
        if isinstance(outcome, str) and outcome:
            self._sink(TradingHalt(symbol, outcome))

    def _told_time(self, outcome: BrokerClock | RestProblem) -> None:
        if not isinstance(outcome, RestProblem):
            self._compare_clocks(outcome)

    def _compare_clocks(self, told: BrokerClock) -> None:
        problem = ""
        if told.excess > _SKEW_LIMIT:
            seconds = told.skew.total_seconds()
            side = "behind" if seconds > 0 else "ahead of"
            problem = f"this machine's clock is {abs(seconds):.1f} s {side} the broker's: set it right"
        self._sink(VenueCondition("broker clock", problem))
        closed = ""
        if not told.is_open and self._market_is_open(_BELL_MARGIN):
            closed = "the broker says that the market is closed"
        self._sink(VenueCondition("market", closed))

    def _market_is_open(self, margin: timedelta = timedelta(0)) -> bool:
        now = self._clock.now()
        try:
            session = self.calendar.session_on(now.astimezone(NEW_YORK).date())
        except CalendarRangeError:
            return True
        return session is not None and session.open + margin <= now < session.close - margin


def _answer(ask: Callable[[], _T], access: AlpacaAccess) -> _T:
    """The answer to a question of the start, asked again while there is hope."""
    tries = 0
    while True:
        try:
            return ask()
        except RestProblem as problem:
            pauses = _PAUSES_S.get(problem.kind, ())
            if tries >= len(pauses):
                raise explained(problem, access) from None
            time.sleep(pauses[tries])
            tries += 1


def _asset_problem(symbol: str, rest: AlpacaRest) -> str:
    """Why ``symbol`` cannot be traded; empty when it can."""
    try:
        asset = rest.asset(symbol)
    except RestProblem as problem:
        if problem.kind is ProblemKind.NOT_FOUND:
            return "Alpaca does not know the symbol"
        raise
    if asset.get("tradable") is False or asset.get("status") == "inactive":
        return "not tradable at Alpaca"
    return ""
