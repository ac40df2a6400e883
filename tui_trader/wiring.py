"""Puts a run together: settings and options in, a hosted engine out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from tui_trader import __version__
from tui_trader.config import LoadedSettings, load_settings
from tui_trader.core.calendar import Calendar, CalendarRangeError
from tui_trader.core.events import ErrorOccurred
from tui_trader.engine.book import ExecutionPolicy
from tui_trader.engine.bus import EventBus
from tui_trader.engine.clock import AcceleratedClock, SystemClock, VirtualClock
from tui_trader.engine.driver import Driver
from tui_trader.engine.handle import EngineInfo
from tui_trader.engine.host import EngineHost
from tui_trader.engine.inbox import Inbox
from tui_trader.engine.live import LiveDriver
from tui_trader.engine.nyse import NyseCalendar
from tui_trader.engine.recorder import JournalUnavailable
from tui_trader.engine.routes import Route, SymbolClaimedTwice, strategies_for
from tui_trader.engine.stepper import Stepper
from tui_trader.engine.supervisor import Service
from tui_trader.engine.trading_engine import EngineConfig, TradingEngine
from tui_trader.errors import RefusedToStart, UsageError
from tui_trader.journal.lock import InstanceLock
from tui_trader.journal.store import JOURNAL_FILE, Journal
from tui_trader.limits import breaker_limits, risk_limits, session_rules
from tui_trader.listeners.event_file import EventFile
from tui_trader.listeners.log import LogListener, log_kinds
from tui_trader.options import RunOptions
from tui_trader.paths import default_config_path, default_state_dir
from tui_trader.scanners.static import StaticScanner
from tui_trader.strategies.base import Strategy
from tui_trader.strategies.registry import check_strategy, find_strategy, strategy_config
from tui_trader.venues.base import Mode
from tui_trader.venues.exchange.feed import Feed
from tui_trader.venues.exchange.store import ExchangeStore
from tui_trader.venues.exchange.venue import SimulatedExchange
from tui_trader.venues.replay.bars_file import read_bars
from tui_trader.venues.replay.feed import ReplayFeed, fingerprint
from tui_trader.venues.sim.feed import SimFeed

if TYPE_CHECKING:
    from tui_trader.venues.alpaca.venue import AlpacaVenue

#: The simulated market's first day unless --start says otherwise: fixed, so that a seed is enough.
SIM_START = date(2026, 6, 1)
_SIM_STORE = "exchange-sim.db"
_REPLAY_STORE = "exchange-replay.db"
_LOG_EVENTS = 50_000
_MAX_SEED = 1_000_000
#: A real broker's news can go missing: its word on every working order, and on everything, so often.
_POLL = timedelta(seconds=2)
_RECONCILE = timedelta(seconds=15)
#: A symbol without a bar for so long is stale; on the IEX feed quiet ones have gaps of some minutes.
_STALE_AFTER = timedelta(minutes=5)


def settings_for(options: RunOptions, environ: Mapping[str, str]) -> LoadedSettings:
    """The configuration with the command line's word on top. Raises ``UsageError``."""
    overrides: dict[str, object] = {
        "routes.symbols": list(options.symbols) if options.symbols else None,
        "control.listen": options.control,
    }
    loaded = load_settings(options.config, environ, overrides)
    if loaded.settings.ui.keys:
        from tui_trader.tui.keymap import refuse_bad_keys  # it knows the whole screen

        refuse_bad_keys(loaded)
    return loaded


def venue_for(options: RunOptions, loaded: LoadedSettings) -> str:
    """The venue that will be used: the one asked for, else alpaca with keys, else the built-in market."""
    if options.venue is not None:
        return options.venue
    return "alpaca" if loaded.settings.alpaca.has_keys else "sim"


def _checked_strategy(route: Route, symbol: str) -> Strategy:
    return check_strategy(route.strategy, lambda: route.strategy(symbol, route.config))


def routed_strategies(loaded: LoadedSettings) -> list[Strategy]:
    """One strategy a symbol, by the configured routes. Raises ``UsageError``."""
    folder = default_config_path().parent / "strategies"
    routes = []
    for number, route in enumerate(loaded.settings.routes, start=1):
        where = f"routes.{number}"
        if route.scanner != "static":
            place = loaded.place_of(f"{where}.scanner")
            raise UsageError(f"{place}: unknown scanner {route.scanner!r}: this version knows static")
        strategy = find_strategy(route.strategy, folder, loaded.place_of(f"{where}.strategy"))
        config = strategy_config(strategy, route.config, loaded.place_of(f"{where}.config"))
        routes.append(Route(StaticScanner(route.symbols), strategy, config))
    try:
        return strategies_for(routes, _checked_strategy)
    except SymbolClaimedTwice as error:
        raise UsageError(f"routes: {error}") from None


class _Resource(Protocol):
    def close(self) -> None: ...


_Closable = TypeVar("_Closable", bound=_Resource)


class Run:
    """Everything a run owns, opened in order and closed in reverse. Raises ``TuiTraderError``s."""

    def __init__(self, options: RunOptions, loaded: LoadedSettings) -> None:
        self._options = options
        self._loaded = loaded
        self.state_dir = options.state_dir or default_state_dir()
        self.venue_name = venue_for(options, loaded)
        strategies = routed_strategies(loaded)
        self._inbox = Inbox()
        self._lock = InstanceLock(self.state_dir)
        self._lock.acquire()
        self._to_close: list[_Resource] = []
        self._said_problem = ""
        self.journal_problem = ""
        self._exchange: SimulatedExchange | None = None
        self._venue: AlpacaVenue | None = None
        try:
            if self.venue_name == "alpaca":
                self._open_alpaca(strategies)
            else:
                self._open_simulated(strategies, NyseCalendar())
        except BaseException as error:
            for resource in reversed(self._to_close):
                resource.close()
            self._lock.release()
            if isinstance(error, JournalUnavailable):
                raise RefusedToStart(str(error)) from None
            raise

    def _open_alpaca(self, strategies: list[Strategy]) -> None:
        options, loaded = self._options, self._loaded
        from tui_trader.venues.alpaca.access import AlpacaAccess  # the other venues start without it
        from tui_trader.venues.alpaca.venue import AlpacaVenue

        access = AlpacaAccess.of(loaded.settings.alpaca)
        # Real orders: what was meant must be on the disk before it is sent, whatever becomes of the machine.
        self._journal = self._opened(Journal.open(self.state_dir / JOURNAL_FILE, "full"))
        clock = SystemClock()
        self.bus = EventBus(clock)
        venue = AlpacaVenue.connect(
            access, live=options.live, typed=options.confirmed, sink=self._inbox.post, clock=clock
        )
        self._venue = self._opened(venue)
        account = venue.facts.number
        self._events = self._opened(EventFile(options.events)) if options.events else None
        self._journal.use_book(self.venue_name, account)
        self._hear()
        engine = TradingEngine(
            live_config(loaded),
            strategies,
            venue.broker,
            venue,
            venue.calendar,
            clock,
            self._journal,
            self.bus,
        )
        driver = LiveDriver(engine, self._inbox, clock, self.bus, venue.ready)
        symbols = tuple(strategy.symbol for strategy in strategies)
        mode = Mode.LIVE if options.live else Mode.PAPER
        self._host(engine, driver, mode, account, symbols, None, venue.services(symbols))

    def _open_simulated(self, strategies: list[Strategy], calendar: Calendar) -> None:
        options, settings = self._options, self._loaded.settings
        sim = self.venue_name == "sim"
        # Both files are opened, and refused, before either is changed.
        store = self._opened(ExchangeStore(self.state_dir / (_SIM_STORE if sim else _REPLAY_STORE)))
        self._journal = self._opened(Journal.open(self.state_dir / JOURNAL_FILE, "normal"))
        seed = self._seed(store) if sim else None
        feed, last = self._feed(strategies, calendar, seed, store.concerned())
        account = f"SIM-{seed}" if seed is not None else "REPLAY"
        clock = VirtualClock(feed.first_session().open)
        exchange = SimulatedExchange(
            account, feed, store, self._inbox.post, clock.now, cash=options.cash,
            slippage_ticks=options.slippage_ticks, max_bar_jump_pct=float(settings.risk.max_bar_jump_pct),
        )  # fmt: skip
        if seed is not None:
            store.set_fact("seed", str(seed))
        clock.advance_to(exchange.start_time)
        self.bus = EventBus(clock)
        self._exchange = exchange
        self._events = self._opened(EventFile(options.events)) if options.events else None
        if exchange.resumed:
            self._journal.use_book(self.venue_name, account)
        else:
            # The market begins anew, and so does its book; one left unfinished stays readable. The book
            # comes first: a crash in between begins once more, and no book ever serves two markets.
            self._journal.begin_book(self.venue_name, account)
            exchange.begin()
        self._hear()
        config = engine_config(self._loaded, options, last, resumed=exchange.resumed)
        engine = TradingEngine(
            config, strategies, exchange.broker, exchange, calendar, clock, self._journal, self.bus
        )
        pacer = AcceleratedClock(exchange.start_time, options.speed)
        stepper = Stepper(engine, exchange, self._inbox, clock, pacer)
        symbols = tuple(strategy.symbol for strategy in strategies)
        self._host(engine, stepper, Mode(self.venue_name), account, symbols, seed, {})
        if exchange.abandoned:
            self.bus.emit(
                ErrorOccurred("venue", "another market was left unfinished here and is given up", None)
            )

    def _hear(self) -> None:
        """Journal, event file and log listen from here on."""
        self.bus.add_sink("journal", self._journal.event, market_data=False)
        if self._events is not None:
            self.bus.add_sink("events", self._events.write)
        self._log = LogListener(
            self.bus.subscribe("log", _LOG_EVENTS, log_kinds(debug=False)), self.state_dir
        )

    def _host(
        self,
        engine: TradingEngine,
        driver: Driver,
        mode: Mode,
        account: str,
        symbols: tuple[str, ...],
        seed: int | None,
        services: Mapping[str, Service],
    ) -> None:
        driver.after_instant = self._after_instant
        info = EngineInfo(__version__, mode, self.venue_name, account, symbols, str(self.state_dir), seed)
        self.engine = engine
        self.host = EngineHost(info, engine, driver, self._inbox, self.bus, self._end, services)
        self._log.start()

    def _opened(self, resource: _Closable) -> _Closable:
        """``resource``, which is closed again should the rest not open."""
        self._to_close.append(resource)
        return resource

    def _after_instant(self) -> None:
        if self._events is not None and self._options.speed is not None:
            self._events.flush()
        problem = self._exchange.problem if self._exchange is not None else ""
        if problem != self._said_problem:
            self._said_problem = problem
            message = problem or "the simulated broker can be written again"
            self.bus.emit(ErrorOccurred("venue", message, None))

    def _seed(self, store: ExchangeStore) -> int:
        """The seed asked for, that of an unfinished market, or a new one."""
        if self._options.seed is not None:
            return self._options.seed
        saved = store.fact("seed")
        return int(saved) if saved is not None else secrets.randbelow(_MAX_SEED)

    def _feed(
        self, strategies: list[Strategy], calendar: Calendar, seed: int | None, concerned: set[str]
    ) -> tuple[Feed, date | None]:
        """The feed, and the last session to trade. ``concerned``: symbols that an earlier run left open."""
        options = self._options
        symbols = [strategy.symbol for strategy in strategies]
        symbols += sorted(concerned.difference(symbols))
        if seed is not None:
            try:
                feed = SimFeed(
                    symbols, seed, calendar, options.start or SIM_START, options.cash, options.slippage_ticks,
                    warm=options.warmup != "none",
                )  # fmt: skip
                return feed, _nth_session(calendar, feed.first_session().date, options.sessions)
            except CalendarRangeError as error:
                raise UsageError(f"--start or --sessions: {error}") from None
        if not options.bars:
            raise UsageError("--venue replay needs bars: add --bars FILE ...")
        table = read_bars(options.bars, frozenset(symbols), options.skip_bad)
        replay = ReplayFeed(
            table, calendar, options.start, warm=options.warmup != "none",
            max_bar_jump_pct=float(self._loaded.settings.risk.max_bar_jump_pct), cash=options.cash,
            ticks=options.slippage_ticks, recording=fingerprint(options.bars),
        )  # fmt: skip
        sessions = replay.live_sessions
        count = min(options.sessions or len(sessions), len(sessions))
        return replay, sessions[count - 1].date

    def _end(self, clean: bool) -> None:
        """The engine has ended: close what it was given."""
        if self._exchange is not None:
            self._finish_market(self._exchange, clean)
        if self._venue is not None:
            self._venue.close()
        self._journal.close()
        if self._events is not None:
            self._events.close()
        self._log.stop()
        self._lock.release()

    def _finish_market(self, exchange: SimulatedExchange, clean: bool) -> None:
        """A simulated market that has left nothing behind is over, and with it its book."""
        engine = self.engine
        done = clean and engine.manager.flat and not engine.portfolio.positions
        # The market goes first: a crash in between leaves a book without a market, which the next run seals.
        exchange.finish(clean=done)
        try:
            if done:
                self._journal.seal_book()
        except JournalUnavailable as error:
            self.journal_problem = str(error)

    def abandon(self) -> None:
        """The run cannot begin after all: close everything."""
        self._end(False)

    @property
    def control_listen(self) -> str:
        """Where the control API is to listen, or ``off``."""
        return self._loaded.settings.control.listen

    @property
    def lost_records(self) -> bool:
        """Whether anything that was to be written down is missing."""
        return bool(self.journal_problem) or self.events_problem is not None

    @property
    def events_problem(self) -> str | None:
        """What went wrong with the event file, if anything."""
        return self._events.problem if self._events is not None else None


def _nth_session(calendar: Calendar, first: date, sessions: int | None) -> date | None:
    if sessions is None:
        return None
    day = first
    for _ in range(sessions - 1):
        day = calendar.next_session(day).date
    return day


def engine_config(
    loaded: LoadedSettings, options: RunOptions, last_session: date | None, *, resumed: bool = False
) -> EngineConfig:
    """What the engine is told, from the settings."""
    risk, session = loaded.settings.risk, loaded.settings.session
    return EngineConfig(
        risk_limits(risk),
        breaker_limits(risk),
        session_rules(session),
        float(risk.max_bar_jump_pct),
        session.shutdown_positions,
        # A market that goes on has candles that were seen already, even if it began cold.
        warmup=resumed or options.warmup != "none",
        last_session=last_session,
        heartbeat=timedelta(minutes=1),
        skip_nights=True,
    )  # fmt: skip


def live_config(loaded: LoadedSettings) -> EngineConfig:
    """What the engine is told when its broker is a real one."""
    risk, session = loaded.settings.risk, loaded.settings.session
    return EngineConfig(
        risk_limits(risk),
        breaker_limits(risk),
        session_rules(session),
        float(risk.max_bar_jump_pct),
        session.shutdown_positions,
        policy=ExecutionPolicy(poll=_POLL, reconcile=_RECONCILE),
        stale_after=_STALE_AFTER,
        bars_come_early=True,
    )


def load(options: RunOptions) -> LoadedSettings:
    """Settings for ``options`` from the process's own environment."""
    return settings_for(options, os.environ)
