"""A stage for fault tests: the real engine on a simulated exchange that fails, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.breaker import BreakerLimits
from tui_trader.core.calendar import FixedCalendar, Session
from tui_trader.core.events import ErrorOccurred, Event, Published
from tui_trader.core.indicators import Indicator
from tui_trader.core.money import ZERO
from tui_trader.core.orders import Order, OrderReport, Role, Side
from tui_trader.core.risk import RiskLimits
from tui_trader.core.rule import CandleView, Holding
from tui_trader.engine.book import ExecutionPolicy
from tui_trader.engine.bus import EventBus
from tui_trader.engine.clock import AcceleratedClock, VirtualClock
from tui_trader.engine.handle import Command
from tui_trader.engine.inbox import Inbox
from tui_trader.engine.recorder import JournalUnavailable
from tui_trader.engine.sessions import SessionRules
from tui_trader.engine.stepper import Stepper
from tui_trader.engine.trading_engine import EngineConfig, TradingEngine
from tui_trader.journal.store import Journal
from tui_trader.strategies.base import Strategy, StrategyConfig
from tui_trader.venues.base import BarBatch, BarColumns
from tui_trader.venues.exchange.faults import Faults, FaultyBroker, NoFaults, role_of
from tui_trader.venues.exchange.store import BrokerOrder, ExchangeStore
from tui_trader.venues.exchange.venue import SimulatedExchange

A = "AAA"
POLICY = ExecutionPolicy(poll=timedelta(seconds=2), reconcile=timedelta(seconds=15))
CASH = Decimal(100_000)
LATENCY = timedelta(milliseconds=50)
_FIRST_DAY = date(2026, 1, 5)
_FIRST_OPEN = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)

Prices = tuple[float, float, float, float]


def calendar(minutes: int, days: int = 5) -> FixedCalendar:
    """Sessions of ``minutes`` on consecutive days."""
    sessions = []
    for number in range(days):
        opened = _FIRST_OPEN + timedelta(days=number)
        sessions.append(Session(opened.date(), opened, opened + minutes * MINUTE))
    return FixedCalendar(sessions, first=date(2025, 11, 1), last=date(2026, 3, 1))


class Tape:
    """Bars by symbol and minute of the first session: what is not written down repeats the close before it.

    A bar is read one minute before it is delivered at the latest. ``None`` is a minute without a bar.
    """

    identity = "tape"

    def __init__(self, sessions: FixedCalendar, symbols: tuple[str, ...], price: float = 100.0) -> None:
        self._sessions = sessions
        self.symbols = symbols
        self.bars: dict[str, dict[int, Prices | None]] = {symbol: {} for symbol in symbols}
        self.last = dict.fromkeys(symbols, price)

    def first_session(self) -> Session:
        session = self._sessions.session_on(_FIRST_DAY)
        assert session is not None
        return session

    def session_after(self, day: date) -> Session | None:
        return self._sessions.session_on(day + timedelta(days=1))

    def needs_judging(self, session: Session) -> frozenset[str]:
        return frozenset()

    def history(self, symbol: str, now: datetime, minutes: int) -> BarColumns | None:
        return None

    def batches(self, session: Session) -> Iterator[BarBatch]:
        for minute in range(session.minutes):
            stamp = session.open + minute * MINUTE
            bars = [bar for symbol in self.symbols for bar in self.bar(symbol, minute, stamp)]
            if bars:
                yield BarBatch(stamp + MINUTE, bars)

    def bar(self, symbol: str, minute: int, stamp: datetime) -> list[Bar]:
        last = self.last[symbol]
        prices = self.bars[symbol].pop(minute, (last, last, last, last))
        if prices is None:
            return []
        self.last[symbol] = prices[3]
        return [Bar(symbol, stamp, *prices, 100_000)]


class OnDemand(Strategy):
    """Does what the test wishes, at the next candle, once."""

    name = "on_demand"
    candle_interval_minutes = 1
    required_history = 1
    pending_expiry_candles = 10

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol, StrategyConfig())
        self.entry: tuple[Decimal, Decimal] | None = None
        self.trail: Decimal | None = None
        self.leave = False
        self.raises = False
        self._now: tuple[Decimal, Decimal] | None = None

    @property
    def indicators(self) -> dict[str, Indicator]:
        return {}

    def should_long(self, view: CandleView) -> bool:
        if self.raises:
            raise RuntimeError("a mistake in the strategy")
        self._now, self.entry = self.entry, None
        return self._now is not None

    def entry_price(self, view: CandleView) -> Decimal:
        assert self._now is not None
        return self._now[0]

    def stop_loss_price(self, view: CandleView) -> Decimal:
        assert self._now is not None
        return self._now[1]

    def should_update_stop(self, view: CandleView, holding: Holding) -> Decimal | None:
        if self.raises:
            raise RuntimeError("a mistake in the strategy")
        target, self.trail = self.trail, None
        return target

    def should_exit(self, view: CandleView, holding: Holding) -> bool:
        leave, self.leave = self.leave, False
        return leave


class FlakyJournal:
    """The real journal on a disk that can fail."""

    def __init__(self, path: Path) -> None:
        self.real = Journal.open(path, "normal")
        self.real.use_book("sim", "SIM-T")
        self.down = False

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return getattr(self.real, name)

    def commit(self) -> None:
        if self.down:
            raise JournalUnavailable("the disk is full")
        self.real.commit()


class Watchdog:
    """Measures how long shares at the broker were without a working stop or sale (invariant B)."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._since: dict[str, datetime] = {}
        #: Seconds, by symbol: the longest time, and how much of it lay after the last fault.
        self.longest: dict[str, float] = {}
        self.after_faults: dict[str, float] = {}
        #: The same, of the times in which nothing failed, nor in the minute before them.
        self.undisturbed: dict[str, float] = {}

    def look(self) -> None:
        scene, now = self._scene, self._scene.clock.now()
        fault = scene.broker.last_fault
        for symbol in scene.tape.symbols:
            since = self._since.get(symbol)
            if since is not None:
                self._note(self.longest, symbol, now - since)
                self._note(self.after_faults, symbol, now - max(since, fault or since))
                if fault is None or since - fault > MINUTE:
                    self._note(self.undisturbed, symbol, now - since)
            held = scene.sim.positions.get(symbol, (0, ZERO))[0]
            theirs = scene.engine.reconciler.external_shares.get(symbol, 0)
            if held - theirs > scene.stopped_shares(symbol):
                self._since.setdefault(symbol, now)
            else:
                self._since.pop(symbol, None)

    @staticmethod
    def _note(longest: dict[str, float], symbol: str, span: timedelta) -> None:
        longest[symbol] = max(longest.get(symbol, 0.0), span.total_seconds())


class Scene:
    """One engine at one exchange. Times are minutes after the first session's open."""

    def __init__(
        self,
        folder: Path,
        faults: Faults | None = None,
        *,
        minutes: int = 60,
        symbols: tuple[str, ...] = (A,),
        strategy: Callable[[str], Strategy] = OnDemand,
        fill_size: Callable[[BrokerOrder], int] = lambda order: order.open_qty,
        tape: type[Tape] = Tape,
        max_entries: int = 1000,
    ) -> None:
        self._folder = folder
        self._strategy = strategy
        self._max_entries = max_entries
        self.calendar = calendar(minutes)
        self.tape = tape(self.calendar, symbols)
        self.clock = VirtualClock(_FIRST_OPEN)
        self.broker = FaultyBroker(lambda m: self.inbox.post(m), self.clock.now, faults or NoFaults(LATENCY))
        self.exchange = SimulatedExchange(
            "SIM-T", self.tape, ExchangeStore(None), self.broker.hear, self.clock.now, cash=CASH,
            slippage_ticks=1, max_bar_jump_pct=20.0, fill_size=fill_size,
        )  # fmt: skip
        self.broker.attach(self.exchange)
        self.sim = self.exchange.sim_broker
        self.events: list[Published] = []
        self.watchdog = Watchdog(self)
        self.after_instant: Callable[[], None] = self.watchdog.look
        self._make_engine()

    def _make_engine(self) -> None:
        self.inbox = Inbox()
        self.bus = EventBus(self.clock)
        self.bus.add_sink("test", self.events.append)
        self.journal = FlakyJournal(self._folder / "journal.db")
        strategies = [self._strategy(symbol) for symbol in self.tape.symbols]
        self.strategies = {strategy.symbol: strategy for strategy in strategies}
        config = EngineConfig(
            RiskLimits(
                Decimal(1), Decimal(100), Decimal(50), 10, Decimal(200), Decimal(200_000), self._max_entries,
                self._max_entries, Decimal(0), 1000, Decimal(10),
            ),
            BreakerLimits(Decimal(50), 1000, Decimal("0.25")),
            SessionRules(15, 3), 20.0, warmup=False, skip_nights=True, policy=POLICY,
        )  # fmt: skip
        self.engine = TradingEngine(
            config, strategies, self.broker, self.exchange, self.calendar, self.clock, self.journal, self.bus
        )
        pacer = AcceleratedClock(self.clock.now(), None)
        self.stepper = Stepper(self.engine, self.broker, self.inbox, self.clock, pacer)
        self.stepper.after_instant = lambda: self.after_instant()

    # ---- time ------------------------------------------------------------------------------------

    def start(self) -> Scene:
        self.stepper.start()
        self.stepper.settle()
        self.run_for(2)
        return self

    def run_until(self, time: datetime) -> None:
        while (upcoming := self.stepper.next_time()) is not None and upcoming <= time:
            self.stepper.step(upcoming)
        self.clock.advance_to(max(time, self.clock.now()))

    def run_for(self, seconds: float) -> None:
        self.run_until(self.clock.now() + timedelta(seconds=seconds))

    def to(self, minute: float, seconds: float = 1.0) -> None:
        """Until a moment after the delivery at ``minute``."""
        self.run_until(_FIRST_OPEN + timedelta(minutes=minute, seconds=seconds))

    def send(self, command: Command) -> None:
        self.inbox.command(command)
        self.stepper.settle()

    def crash(self) -> None:
        """The engine's process dies and another takes its place; the broker goes on."""
        self.journal.real.close()
        self.broker.engine_died()
        self._make_engine()
        self.stepper.start()
        self.stepper.settle()

    # ---- the story most tests begin with ---------------------------------------------------------

    @property
    def rule(self) -> OnDemand:
        strategy = self.strategies[A]
        assert isinstance(strategy, OnDemand)
        return strategy

    def signal(self, entry: str = "100.10", stop: str = "99.50") -> None:
        """The next candle is a signal."""
        self.rule.entry = (Decimal(entry), Decimal(stop))

    def go_long(self) -> None:
        """An entry at 100.10, sent at minute 1, that the bar delivered at minute 4 fills."""
        self.tape.bars[A][3] = (100.0, 100.5, 100.0, 100.4)
        self.signal()
        self.to(4, 0.0)

    # ---- what is so ------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Shares at the broker."""
        return self.sim.positions.get(A, (0, Decimal(0)))[0]

    @property
    def naked(self) -> float:
        """The longest time in seconds for which shares had neither stop nor sale."""
        return self.watchdog.longest.get(A, 0.0)

    @property
    def position(self) -> int:
        """Shares as the engine knows."""
        return self.engine.portfolio.qty(A)

    def working(self, role: Role | None = None, symbol: str = A) -> list[OrderReport]:
        """Orders that work at the broker."""
        return [
            report
            for report in self.sim.snapshot(0).orders
            if report.symbol == symbol and role in (None, role_of(report.client_order_id))
        ]

    def stopped_shares(self, symbol: str = A) -> int:
        """Shares that a working stop or sale at the broker would sell."""
        return sum(r.qty - r.filled_qty for r in self.working(symbol=symbol) if r.side is Side.SELL)

    def orders(self, role: Role) -> list[Order]:
        return [order for order in self.engine.manager.registry if order.spec.role is role]

    def of(self, kind: type[Event]) -> list:  # type: ignore[type-arg]
        return [published.event for published in self.events if isinstance(published.event, kind)]

    def errors(self, component: str) -> list[ErrorOccurred]:
        return [error for error in self.of(ErrorOccurred) if error.component == component]

    def agrees(self) -> bool:
        """Whether journal, engine and broker have the same positions and working orders."""
        theirs = {symbol: qty for symbol, (qty, _) in self.sim.positions.items()}
        ours = {symbol: p.qty for symbol, p in self.engine.portfolio.positions.items()}
        for symbol, qty in self.engine.reconciler.external_shares.items():
            if qty:
                ours[symbol] = ours.get(symbol, 0) + qty
        registry = self.engine.manager.registry
        external = self.engine.news.external_orders
        working = {r.client_order_id for r in self.sim.snapshot(0).orders} - set(external)
        live = {order.spec.client_order_id for order in registry if order.live}
        recovered = self.journal.recover(_FIRST_OPEN - timedelta(days=1))
        written = {record.execution.symbol: record.position_qty for record in recovered.open_fills}
        mine = {symbol: p.qty for symbol, p in self.engine.portfolio.positions.items()}
        return theirs == ours and working == live and written == mine
