"""A stage for the whole system: engine, journal, venue and streams, at an exchange that is another program.

Time is virtual and the same for both sides; requests and streams are real and go over loopback. Nothing
sleeps: ``settle`` waits until all that was sent has arrived and all that follows from it has been done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from pydantic import SecretStr

from tests.alpaca_server import AlpacaServer, Hours, MinuteBar, Stream
from tests.alpaca_server.audit import Request
from tests.alpaca_server.sessions import Hours as _Hours
from tests.engine.scene import OnDemand
from tests.live.auditor import Auditor
from tests.live.lanes import NO_TIME, InlineLanes, KilledError
from tests.live.streams import Streams
from tui_trader.core.breaker import BreakerLimits
from tui_trader.core.events import EngineState, ErrorOccurred, Event, Published, SymbolStateChanged
from tui_trader.core.ids import is_ours
from tui_trader.core.orders import Order, Role
from tui_trader.core.risk import RiskLimits
from tui_trader.engine.book import ExecutionPolicy
from tui_trader.engine.bus import EventBus
from tui_trader.engine.clock import VirtualClock
from tui_trader.engine.driver import Driver
from tui_trader.engine.handle import Command, Flatten
from tui_trader.engine.inbox import Inbox
from tui_trader.engine.sessions import SessionRules
from tui_trader.engine.trading_engine import EngineConfig, TradingEngine
from tui_trader.journal.store import Journal
from tui_trader.strategies.base import Strategy
from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.alpaca.account import check_account
from tui_trader.venues.alpaca.broker_calendar import fetch_calendar
from tui_trader.venues.alpaca.problems import RestProblem
from tui_trader.venues.alpaca.venue import AlpacaVenue
from tui_trader.venues.base import VenueMessage
from tui_trader.venues.exchange.faults import role_of

A = "AAA"
MORNING = datetime(2026, 11, 18, 15, 0, tzinfo=UTC)  # a Wednesday, 10:00 in New York
MINUTE = timedelta(minutes=1)
_TICK = timedelta(microseconds=1)
_TRIES = 20
_T = TypeVar("_T")
#: As the program is wired for a real broker.
POLICY = ExecutionPolicy(poll=timedelta(seconds=2), reconcile=timedelta(seconds=15))
STALE_AFTER = timedelta(minutes=5)
#: The longest that shares may be unprotected, in seconds; the second while REST fails (RELIABILITY, B).
PROTECTED_WITHIN = 5.0
PROTECTED_WITHIN_ERRORS = 15.0
REGULAR = Hours.regular()


class Wish(OnDemand):
    """Does what the test wishes at the next candle, once it has seen five of them."""

    name = "wish"
    required_history = 5


class SceneDriver(Driver):
    """Leads the engine through a moment, as the live driver does."""

    async def run(self) -> None:
        raise NotImplementedError("the scene leads")

    @property
    def speed(self) -> float | None:
        return None

    def shown_time(self) -> datetime:
        return self._engine.clock.now()

    def moment(self) -> None:
        self.drain()
        while self._engine.run_next_timer():
            self.drain()
        self.settle()


class Scene:
    """One engine at one exchange. Leave it by ``end``, which judges."""

    def __init__(
        self,
        folder: Path,
        *,
        symbols: tuple[str, ...] = (A,),
        now: datetime = MORNING,
        hours: _Hours = REGULAR,
        strategy: Callable[[str], Strategy] = Wish,
        cash: float = 100_000.0,
        price: float = 100.0,
        warmup: bool = True,
        no_history: tuple[str, ...] = (),
        max_daily_loss: Decimal = Decimal(50),
    ) -> None:
        self.symbols = symbols
        self.clock = VirtualClock(now)
        self._folder = folder
        self._hours = hours
        self._strategy = strategy
        self._price = price
        self._warmup = warmup
        self._no_history = no_history
        self._max_daily_loss = max_daily_loss
        # Whether a peer is alive is another question, answered in tests/venues/alpaca/test_socket.py.
        self._patches: list[Any] = [
            patch("tui_trader.venues.alpaca.socket.PING_EVERY", None),
            patch.dict(os.environ, NO_PROXY="*"),
        ]
        for one in self._patches:
            one.start()
        self.server = AlpacaServer(
            dict.fromkeys(symbols, price), now=now, hours=hours, cash=cash, made_up=self._flat_day,
            rate_limit=None,
        )  # fmt: skip
        self.server.__enter__()
        self.events: list[Published] = []
        self.traded: set[str] = set()
        self.silent: set[str] = set()
        self.flattened = False  # so that what others have may be touched
        self._looked = 0
        self.auditor = Auditor(self)
        #: What the end asserts of shares without a stop, in seconds; None: nothing.
        self.naked_limit: float | None = PROTECTED_WITHIN
        self._alive = False
        self.engine: TradingEngine

    def _flat_day(self, symbol: str, day: date) -> Sequence[MinuteBar]:
        session = self._hours.session(day)
        if session is None or symbol in self._no_history:
            return []
        count = int((session[1] - session[0]) / MINUTE)
        return [
            MinuteBar(symbol, session[0] + n * MINUTE, self._price, self._price, self._price, self._price)
            for n in range(count)
        ]

    # ---- its life --------------------------------------------------------------------------------

    def start(self, history_takes: timedelta = NO_TIME) -> Scene:
        """The program starts, or starts again after ``kill``."""
        self._history_takes = history_takes
        self.inbox = Inbox()
        self.bus = EventBus(self.clock)
        self.bus.add_sink("test", self.events.append)
        self.bus.add_sink("auditor", self.auditor.hear)
        self.journal = Journal.open(self._folder / "journal.db", "normal")
        access = AlpacaAccess(
            SecretStr(self.server.key_id), SecretStr(self.server.secret_key), paper=True, feed="iex",
            trading_url=self.server.trading_url, data_url=self.server.data_url,
            data_stream_url=self.server.data_stream_url, trading_stream_url=self.server.trading_stream_url,
        )  # fmt: skip
        self.lanes = InlineLanes(access, self.clock, self.inbox.post)
        self.lanes.before_each = self._same_time
        self.streams = Streams(self.server, self.clock)
        rest = self.lanes.rest
        facts = check_account(_asked_for(rest.account), access, live=False, typed=None)
        calendar = _asked_for(lambda: fetch_calendar(rest, self.clock.now()))
        self.venue = AlpacaVenue(
            access, facts, calendar, self.lanes, self._sink, self.clock,  # type: ignore[arg-type]
            jitter=lambda: 0.0, pause=lambda seconds: None,
        )  # fmt: skip
        self.journal.use_book("alpaca", facts.number)
        strategies = [self._strategy(symbol) for symbol in self.symbols]
        self.strategies = {strategy.symbol: strategy for strategy in strategies}
        config = EngineConfig(
            RiskLimits(
                Decimal(1), Decimal(100), Decimal(50), 10, Decimal(200), Decimal(200_000), 1000, 1000,
                Decimal(0), 1000, Decimal(10),
            ),
            BreakerLimits(self._max_daily_loss, 1000, Decimal("0.25")),
            SessionRules(15, 3), 20.0, policy=POLICY, stale_after=STALE_AFTER, bars_come_early=True,
            warmup=self._warmup,
        )  # fmt: skip
        self.engine = TradingEngine(
            config, strategies, self.venue.broker, self, calendar, self.clock, self.journal, self.bus
        )
        self.driver = SceneDriver(self.engine, self.inbox)
        self._alive = True
        self.streams.start(self.venue, self.symbols)
        self._take_news()
        self._mortal(self.driver.start)
        self.settle()
        return self

    def end(self) -> None:
        """The curtain falls: everything is closed, and every invariant must have held."""
        try:
            if self._alive:
                self.kill()
        finally:
            for one in self._patches:
                one.stop()
            self.server.__exit__(None, None, None)

    def kill(self) -> None:
        """The process is gone, as after SIGKILL; what was not committed is lost."""
        self._alive = False
        self.lanes.close()
        self.streams.stop()
        self.journal.close()

    def kill_at(self, when: str, request: str, role: Role | None = None, *, skip: int = 0) -> None:
        """The process will die "before" or "after" a "submit", "replace" or "cancel", and start again."""
        left = skip

        def at(now: str, this: str, of: Role | None) -> None:
            nonlocal left
            if now != when or this != request or role not in (None, of):
                return
            if left:
                left -= 1
                return
            raise KilledError

        self.lanes.rest.at = at

    def _mortal(self, step: Callable[[], object]) -> None:
        try:
            step()
        except KilledError:
            self.kill()
            self.start()

    def restart(self) -> None:
        self.kill()
        self.start()

    # ---- the engine's data stream ----------------------------------------------------------------

    def subscribe(self, symbols: Sequence[str]) -> None:
        self.streams.subscribe(self.venue, symbols)

    def request_history(self, symbols: Sequence[str], minutes: int) -> None:
        """The answer may be long in coming."""
        self.lanes.way_back, before = self._history_takes, self.lanes.way_back
        self.venue.request_history(symbols, minutes)
        self.lanes.way_back = before

    def _sink(self, message: VenueMessage) -> None:
        if self.streams.here:
            self.streams.post(message)
        else:
            self.lanes.post(message)

    # ---- time ------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Until nothing more happens at this instant, on either side."""
        self._same_time()
        self._mortal(self._settle)
        self.auditor.look()

    def _settle(self) -> None:
        while True:
            self._moment()
            if not self._take_news() and not self.lanes.run_due() and not len(self.inbox):
                return

    def _take_news(self) -> bool:
        news = self.streams.collect()
        for message in news:
            self.inbox.post(message)
        return bool(news)

    def run_until(self, time: datetime) -> None:
        """From one thing that is to happen to the next, up to ``time``."""
        self.settle()
        while (upcoming := self._next_time()) is not None and upcoming <= time:
            self._go_to(upcoming)
        self._go_to(time)
        self.settle()

    def _next_time(self) -> datetime | None:
        times = (self.engine.timers.next_time(), self.lanes.next_time(), self.streams.next_time())
        return min((time for time in times if time is not None), default=None)

    def _go_to(self, time: datetime) -> None:
        """One instant. The exchange is only looked at when something may have happened there."""
        before, made = self.clock.now(), self.lanes.made
        self.clock.advance_to(max(time, before))
        if any(True for _ in self._hours.changes(before, time)):
            self.settle()
            return
        self._mortal(self._moment)
        if self.lanes.made != made or not self.streams.idle():
            self.settle()

    def _moment(self) -> None:
        self.lanes.run_due()
        self.driver.moment()

    def _same_time(self) -> None:
        if self.server.now < self.clock.now():
            self.server.now = self.clock.now()

    def run_for(self, seconds: float) -> None:
        self.run_until(self.clock.now() + timedelta(seconds=seconds))

    @property
    def now(self) -> datetime:
        return self.clock.now()

    # ---- the market ------------------------------------------------------------------------------

    def drop(self, stream: Stream, code: int | None = None) -> None:
        """Its connection breaks."""
        self.server.drop(stream, code)
        self.settle()

    def trade(self, price: float, symbol: str = A) -> None:
        """Somebody trades at ``price``, now."""
        self.traded.add(symbol)
        self.server.trade(symbol, price)
        self.settle()

    def next_bar(self) -> None:
        """Until the minute is over and its bars are here; who did not trade in it trades where he stands.

        ``silent`` symbols have no bar.
        """
        start = self.now.replace(second=0, microsecond=0)
        for symbol in self.symbols:
            if symbol in self.silent:
                self.server.silence(symbol)
            elif symbol not in self.traded:
                self.server.trade(symbol, float(self.server.price(symbol)))
        self.traded.clear()
        self.run_until(start + MINUTE - _TICK)
        self.server.end_minute()
        self._go_to(start + MINUTE)
        self.server.silence()

    def end_of_minute(self) -> None:
        """Until the minute is over, of which there are no bars."""
        self.run_until(self.now.replace(second=0, microsecond=0) + MINUTE)

    def bars(self, count: int) -> None:
        for _ in range(count):
            self.next_bar()

    def send(self, command: Command) -> None:
        self.flattened = self.flattened or isinstance(command, Flatten)
        self.inbox.command(command)
        self.settle()

    # ---- the story most tests begin with ---------------------------------------------------------

    @property
    def rule(self) -> Wish:
        return self.rule_of(A)

    def rule_of(self, symbol: str) -> Wish:
        strategy = self.strategies[symbol]
        assert isinstance(strategy, Wish)
        return strategy

    def signal(self, entry: str = "100.10", stop: str = "99.50", symbol: str = A) -> None:
        """The next bar is a signal, and the entry is sent."""
        self.rule_of(symbol).entry = (Decimal(entry), Decimal(stop))
        self.next_bar()

    def go_long(self) -> None:
        """An entry, filled; its stop at 99.50 works as soon as nothing goes wrong."""
        self.signal()
        self.run_for(10)
        self.trade(100.10)

    # ---- what is so ------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Shares at the broker."""
        return self.held_of(A)

    def held_of(self, symbol: str) -> int:
        return int(self.server.positions().get(symbol, Decimal(0)))

    @property
    def position(self) -> int:
        """Shares as the engine knows."""
        return self.engine.portfolio.qty(A)

    def working(self, role: Role | None = None, symbol: str = A) -> list[dict[str, Any]]:
        """Orders of ours that work at the broker, as JSON."""
        return [
            order
            for order in self.server.working(symbol)
            if is_ours(str(order["client_order_id"]))
            and role in (None, role_of(str(order["client_order_id"])))
        ]

    def sent(self, role: Role, symbol: str = A) -> list[dict[str, Any]]:
        """All orders of ours that the broker has ever taken, as JSON."""
        return [
            order
            for order in self.server.orders()
            if order["symbol"] == symbol and role_of(str(order["client_order_id"])) is role
        ]

    def stopped_shares(self, symbol: str = A) -> int:
        """Shares that working stops and sales would sell."""
        return sum(
            int(order["qty"]) - int(order["filled_qty"])
            for order in self.working(symbol=symbol)
            if order["side"] == "sell"
        )

    @property
    def protected(self) -> bool:
        """Whether shares are held and every one has its stop."""
        return self.held == self.position == self.stopped_shares() > 0

    @property
    def naked(self) -> float:
        """The longest time in seconds for which shares had neither stop nor sale, by the broker's clock."""
        return max(self.server.longest_unprotected(symbol) for symbol in self.symbols)

    def orders(self, role: Role) -> list[Order]:
        return [order for order in self.engine.manager.registry if order.spec.role is role]

    def of(self, kind: type[Event]) -> list[Any]:
        return [published.event for published in self.events if isinstance(published.event, kind)]

    def errors(self, component: str) -> list[str]:
        return [error.message for error in self.of(ErrorOccurred) if error.component == component]

    def symbol_states(self, symbol: str = A) -> list[str]:
        return [event.state for event in self.of(SymbolStateChanged) if event.symbol == symbol]

    @property
    def running(self) -> bool:
        return self.engine.state is EngineState.RUNNING

    def requests_since_look(self) -> list[Request]:
        requests = self.server.requests
        fresh, self._looked = requests[self._looked :], len(requests)
        return fresh

    def posts(self) -> int:
        """Orders that were sent, taken or not."""
        return len(self.server.requests_of("POST", "/orders"))

    def differences(self) -> list[str]:
        """In what journal, engine and broker disagree: positions, and orders that work."""
        theirs = {symbol: int(qty) for symbol, qty in self.server.positions().items() if qty}
        mine = {symbol: p.qty for symbol, p in self.engine.portfolio.positions.items()}
        ours = _sum(mine, self.engine.reconciler.external_shares)
        working = {str(order["client_order_id"]) for order in self.server.working()}
        working -= set(self.engine.news.external_orders)
        live = {order.spec.client_order_id for order in self.engine.manager.registry.live()}
        recovered = self.journal.recover(self.now - timedelta(days=3))
        written = {record.execution.symbol: record.position_qty for record in recovered.open_fills}
        found = []
        if theirs != ours:
            found.append(f"the broker holds {theirs}, the engine knows {ours}")
        if working != live:
            found.append(f"at the broker work {sorted(working)}, the engine knows {sorted(live)}")
        if written != mine:
            found.append(f"the journal has {written}, the engine {mine}")
        return found

    def agrees(self) -> bool:
        return not self.differences()


def _asked_for(question: Callable[[], _T]) -> _T:
    """The answer to a question of the start, which is asked again when it is lost."""
    for _ in range(_TRIES):
        try:
            return question()
        except RestProblem:
            pass
    return question()


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    total = dict(one)
    for symbol, qty in other.items():
        total[symbol] = total.get(symbol, 0) + qty
    return {symbol: qty for symbol, qty in total.items() if qty}
