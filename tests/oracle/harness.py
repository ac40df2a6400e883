"""Runs the same bars through the engine and through the oracle, and says where two runs differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tests.oracle import oracle
from tui_trader.core.bars import Bar
from tui_trader.core.breaker import BreakerLimits
from tui_trader.core.calendar import Session
from tui_trader.core.events import (
    BarReceived,
    BarRejected,
    CandleClosed,
    CircuitBreakerTripped,
    ErrorOccurred,
    OrderFilled,
    OrderStateChanged,
    Published,
    SignalGenerated,
    SignalRejected,
    StopMoved,
    TradeClosed,
)
from tui_trader.core.orders import OrderState, Role
from tui_trader.core.risk import RiskLimits
from tui_trader.engine.bus import EventBus
from tui_trader.engine.clock import AcceleratedClock, VirtualClock
from tui_trader.engine.handle import Shutdown
from tui_trader.engine.inbox import Inbox
from tui_trader.engine.nyse import NyseCalendar
from tui_trader.engine.recorder import FillRecord, OrderRecord, Recovered
from tui_trader.engine.sessions import SessionRules
from tui_trader.engine.stepper import Stepper
from tui_trader.engine.trading_engine import EngineConfig, TradingEngine
from tui_trader.strategies.base import Strategy
from tui_trader.strategies.velez import Velez, VelezConfig
from tui_trader.venues.base import BarBatch
from tui_trader.venues.exchange.store import ExchangeStore
from tui_trader.venues.exchange.venue import SimulatedExchange
from tui_trader.venues.replay.bars_file import BarTable
from tui_trader.venues.replay.feed import ReplayFeed

CALENDAR = NyseCalendar()
_SHOWN = 6
#: What the oracle calls the engine's breaker rules and its reasons to refuse a bar.
BREAKER_RULES = {"max_daily_loss_pct": "daily_loss", "consecutive_loss_pause": "consecutive_losses"}
REFUSAL_REASONS = {
    "a value is not finite": "not finite",
    "a price is not positive": "not positive",
    "high and low do not contain open and close": "high/low inconsistent",
    "volume is negative": "volume negative",
    "the timestamp is not on a minute": "not on a minute",
    "a jump the next bar did not confirm": "jump",
    "a jump with no bar after it to confirm it": "jump",
}

E = TypeVar("E")
Line = tuple[Any, ...]
#: What happened in a run, by kind, each kind in the order in which it happened.
Story = Mapping[str, Sequence[Line]]


@dataclass(frozen=True, repr=False)
class Case:
    """One run. Sessions before ``start`` only warm the indicators, if ``warm``.

    Unless ``recorded``, the bars are delivered as they are, also such as no recording can hold.
    """

    bars: Sequence[Bar]
    symbols: Sequence[str]
    velez: oracle.VelezParams = field(default_factory=oracle.VelezParams)
    risk: oracle.RiskParams = field(default_factory=oracle.RiskParams)
    session: oracle.SessionParams = field(default_factory=oracle.SessionParams)
    start: date | None = None
    warm: bool = False
    cash: Decimal = Decimal(100_000)
    ticks: int = 1
    recorded: bool = True

    def __repr__(self) -> str:
        """All but the bars, of which there are thousands."""
        told = (f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.name != "bars")
        return f"Case({len(self.bars)} bars, {', '.join(told)})"


#: Makes the strategies of a case, one a symbol, for one run.
Strategies = Callable[[Case], Sequence[Strategy]]


def differences(case: Case) -> str:
    """Where engine and oracle tell different stories of ``case``; empty when they agree."""
    return compare(engine_story(run_engine(case)), oracle_story(case))


# ---- the engine --------------------------------------------------------------------------------------


class NoMemory:
    """A ``Recorder`` for a run that is never interrupted."""

    def recover(self, since: datetime) -> Recovered:
        return Recovered((), (), (), (), {})

    def intent(self, record: OrderRecord) -> None: ...

    def order(self, record: OrderRecord, time: datetime) -> None: ...

    def fill(self, record: FillRecord) -> bool:
        return True

    def trade(self, trade: TradeClosed, time: datetime) -> None: ...

    def event(self, published: Published) -> None: ...

    def latch(self, name: str, value: str | None) -> None: ...

    def commit(self) -> None: ...


class UncheckedFeed(ReplayFeed):
    """A replay that delivers the case's bars themselves; the table holds those of them that it can."""

    def __init__(self, table: BarTable, case: Case) -> None:
        super().__init__(
            table, CALENDAR, case.start, warm=case.warm, cash=case.cash, ticks=case.ticks,
            max_bar_jump_pct=float(case.risk.max_bar_jump_pct),
        )  # fmt: skip
        self._bars = case.bars

    def batches(self, session: Session) -> Sequence[BarBatch]:
        deliveries: dict[datetime, list[Bar]] = {}
        for bar in _in_order(self._bars):
            if session.contains(bar.timestamp):
                minute = bar.timestamp.replace(second=0, microsecond=0)
                deliveries.setdefault(minute + oracle.MINUTE, []).append(bar)
        return [BarBatch(time, sorted(bars, key=lambda b: b.symbol)) for time, bars in deliveries.items()]

    def needs_judging(self, session: Session) -> frozenset[str]:
        return frozenset(self.symbols)


def _in_order(bars: Sequence[Bar]) -> list[Bar]:
    return sorted(bars, key=lambda bar: (bar.timestamp, bar.symbol))


def table_of(bars: Sequence[Bar]) -> BarTable:
    """``bars`` as a recording. They must be well formed, no two of one symbol and minute."""
    rows = _in_order(bars)
    symbols = tuple(sorted({bar.symbol for bar in rows}))
    place = {symbol: index for index, symbol in enumerate(symbols)}

    def prices(name: str) -> NDArray[np.float64]:
        return np.array([getattr(bar, name) for bar in rows], dtype=np.float64)

    return BarTable(
        symbols,
        np.array([int(bar.timestamp.timestamp()) // 60 for bar in rows], dtype=np.int64),
        np.array([place[bar.symbol] for bar in rows], dtype=np.int32),
        prices("open"),
        prices("high"),
        prices("low"),
        prices("close"),
        np.array([bar.volume for bar in rows], dtype=np.int64),
        (),
    )


def feed_of(case: Case) -> ReplayFeed:
    if case.recorded:
        return ReplayFeed(
            table_of(case.bars), CALENDAR, case.start, warm=case.warm, cash=case.cash, ticks=case.ticks,
            max_bar_jump_pct=float(case.risk.max_bar_jump_pct),
        )  # fmt: skip
    possible: dict[tuple[str, datetime], Bar] = {}
    for bar in case.bars:
        if oracle.bar_fault(_oracle_bar(bar)) is None:
            possible.setdefault((bar.symbol, bar.timestamp), bar)
    return UncheckedFeed(table_of(list(possible.values())), case)


def risk_limits(case: Case) -> RiskLimits:
    risk = case.risk
    return RiskLimits(
        risk.max_risk_per_trade_pct, risk.max_risk_per_trade, risk.max_position_pct, risk.max_open_positions,
        risk.max_gross_exposure_pct, risk.max_order_value, risk.max_entries_per_symbol_per_day,
        risk.max_entries_per_day, risk.max_volume_pct, risk.max_orders_per_minute, risk.price_collar_pct,
    )  # fmt: skip


def breaker_limits(case: Case) -> BreakerLimits:
    risk = case.risk
    return BreakerLimits(risk.max_daily_loss_pct, risk.consecutive_loss_pause, risk.consecutive_loss_min_r)


def session_rules(case: Case) -> SessionRules:
    return SessionRules(case.session.no_entries_before_close_min, case.session.flatten_before_close_min)


def engine_config(case: Case, last_session: date) -> EngineConfig:
    return EngineConfig(
        risk_limits(case),
        breaker_limits(case),
        session_rules(case),
        float(case.risk.max_bar_jump_pct),
        warmup=case.warm,
        last_session=last_session,
        skip_nights=True,
    )


@dataclass(frozen=True)
class EngineRun:
    engine: TradingEngine
    events: Sequence[Published]
    splits: Sequence[tuple[str, datetime]]  # symbol, and the instant at which the split was seen

    def of(self, kind: type[E]) -> Iterator[tuple[datetime, E]]:
        """The events of one kind, each with its time."""
        for published in self.events:
            if isinstance(published.event, kind):
                yield published.time, published.event


def velez_of(case: Case) -> list[Strategy]:
    """The case's rule, once a symbol."""
    config = VelezConfig(**asdict(case.velez))
    return [Velez(symbol, config) for symbol in sorted(case.symbols)]


def run_engine(case: Case, strategies: Strategies = velez_of) -> EngineRun:
    """The production engine and exchange over the case's bars, in virtual time."""
    feed = feed_of(case)
    inbox = Inbox()
    clock = VirtualClock(feed.first_session().open)
    exchange = SimulatedExchange(
        "REPLAY", feed, ExchangeStore(None), inbox.post, clock.now, cash=case.cash,
        slippage_ticks=case.ticks, max_bar_jump_pct=float(case.risk.max_bar_jump_pct),
    )  # fmt: skip
    bus = EventBus(clock)
    events: list[Published] = []
    bus.add_sink("test", events.append)
    engine = TradingEngine(
        engine_config(case, feed.live_sessions[-1].date),
        list(strategies(case)),
        exchange.broker, exchange, CALENDAR, clock, NoMemory(), bus,
    )  # fmt: skip
    splits: list[tuple[str, datetime]] = []
    engine.market.split_seen = lambda desk: splits.append((desk.symbol, clock.now()))
    stepper = Stepper(engine, exchange, inbox, clock, AcceleratedClock(clock.now(), None))
    stepper.start()
    while not engine.stopped:
        time = stepper.next_time()
        if time is None or (exchange.next_time() is None and not engine.shutting_down):
            engine.handle(Shutdown("the market has no more sessions"))
            stepper.settle()
        else:
            stepper.step(time)
    exchange.finish(clean=True)
    return EngineRun(engine, events, splits)


def engine_story(run: EngineRun) -> Story:
    return {
        "errors": [
            (time, e.component, e.message)
            for time, e in run.of(ErrorOccurred)
            if e.component != "warmup" and not e.message.startswith("still open one minute before the close")
        ],
        "rejected": [
            (time, bar.symbol, bar.timestamp, REFUSAL_REASONS.get(bar.reason, bar.reason))
            for time, bar in run.of(BarRejected)
        ],
        "adjusted": [
            (bar.symbol, bar.timestamp, bar.high, bar.low) for _, bar in run.of(BarReceived) if bar.adjusted
        ],
        "candles": [
            (c.symbol, c.timestamp, c.open, c.high, c.low, c.close, c.volume, c.bars, c.complete,
             c.sma_fast, c.sma_slow)
            for _, c in run.of(CandleClosed)
        ],
        "signals": list(_signals(run)),
        "orders": sorted(_orders(run), key=by_time_and_symbol),
        "fills": [
            (f.timestamp, f.symbol, str(f.side), f.qty, f.price) for _, f in run.of(OrderFilled)
        ],
        "trades": [
            (t.symbol, t.qty, t.entry_time, t.entry_price, t.exit_time, t.exit_price, t.pnl, str(t.reason))
            for _, t in run.of(TradeClosed)
        ],
        "breaker": [(time, BREAKER_RULES[trip.rule]) for time, trip in run.of(CircuitBreakerTripped)],
        "end": [(run.engine.exit_code, run.engine.portfolio.equity())],
    }  # fmt: skip


def _signals(run: EngineRun) -> Iterator[Line]:
    """A refusal follows its signal at once: the rule, or that it became an order."""
    news = [
        published for published in run.events if isinstance(published.event, SignalGenerated | SignalRejected)
    ]
    for number, published in enumerate(news):
        signal = published.event
        if isinstance(signal, SignalGenerated):
            answer = news[number + 1].event if number + 1 < len(news) else None
            rule = answer.rule if isinstance(answer, SignalRejected) else None
            yield published.time, signal.symbol, signal.candle, signal.entry_price, signal.stop_price, rule


def _orders(run: EngineRun) -> Iterator[Line]:
    """Orders sent, entries and stops taken back, stops moved."""
    moved = {(time, stop.symbol, stop.stop_price) for time, stop in run.of(StopMoved)}
    for time, stop in run.of(StopMoved):
        yield time, stop.symbol, "STOP", "move", None, stop.stop_price, None
    for time, order in run.of(OrderStateChanged):
        about = (time, order.symbol, str(order.role))
        match order.state:
            case OrderState.SUBMITTED if (
                order.role is not Role.STOP or (time, order.symbol, order.stop_price) not in moved
            ):
                yield *about, "submit", order.qty, order.stop_price, order.limit_price
            case OrderState.CANCELED:
                yield *about, "end", order.qty, order.stop_price, order.limit_price
            case OrderState.EXPIRED if order.reason == "the session ended":  # a day order ends with its day
                yield *about, "end", order.qty, order.stop_price, order.limit_price
            case OrderState.DENIED | OrderState.REJECTED | OrderState.UNKNOWN | OrderState.EXPIRED:
                yield *about, str(order.state), order.qty, order.reason, None


def by_time_and_symbol(line: Line) -> tuple[datetime, str, str, str]:
    return line[0], line[1], line[2], line[3]


# ---- the oracle --------------------------------------------------------------------------------------


def oracle_story(case: Case) -> Story:
    """The reference simulation over the case's bars."""
    bars = [_oracle_bar(bar) for bar in case.bars]
    days = [oracle.new_york_day(bar.timestamp) for bar in bars]
    first = case.start or min(days)
    sessions = [
        oracle.Session(session.open, session.close) for session in CALENDAR.sessions(first, max(days))
    ]
    earlier = [bar for bar in bars if bar.timestamp < sessions[0].open]
    told = oracle.simulate(
        [bar for bar in bars if bar.timestamp >= sessions[0].open], sessions, case.symbols, case.cash,
        case.ticks, case.velez, case.risk, case.session, earlier if case.warm else None,
    )  # fmt: skip
    return {
        "errors": [],
        "rejected": [
            (_time(x["time"]), x["symbol"], _time(x["timestamp"]), x["reason"])
            for x in told["bar_rejections"]
        ],
        "adjusted": [
            (x["symbol"], _time(x["timestamp"]), x["high"], x["low"]) for x in told["bar_adjustments"]
        ],
        "candles": [
            (c["symbol"], _time(c["timestamp"]), c["open"], c["high"], c["low"], c["close"], c["volume"],
             c["bars"], c["complete"], _number(c["sma_fast"]), _number(c["sma_slow"]))
            for c in told["candles"]
        ],
        "signals": [
            (_time(s["time"]), s["symbol"], _time(s["candle"]), Decimal(s["entry_price"]),
             Decimal(s["stop_price"]), s["rejected"])
            for s in told["signals"]
        ],
        "orders": sorted((_oracle_order(o) for o in told["orders"]), key=by_time_and_symbol),
        "fills": [
            (_time(f["stamp"]), f["symbol"], f["side"], f["qty"], Decimal(f["price"])) for f in told["fills"]
        ],
        "trades": [
            (t["symbol"], t["qty"], _time(t["entry_time"]), Decimal(t["entry_price"]), _time(t["exit_time"]),
             Decimal(t["exit_price"]), Decimal(t["pnl"]), t["reason"])
            for t in told["trades"]
        ],
        "breaker": [(_time(trip["time"]), trip["rule"]) for trip in told["breaker"]],
        "end": [(0, Decimal(told["equity_end"]))],
    }  # fmt: skip


def _oracle_bar(bar: Bar) -> oracle.Bar:
    return oracle.Bar(bar.symbol, bar.timestamp, bar.open, bar.high, bar.low, bar.close, bar.volume)


def _oracle_order(order: Mapping[str, Any]) -> Line:
    action = {"cancel": "end", "expire": "end", "replace": "move"}.get(order["action"], order["action"])
    about = (_time(order["time"]), order["symbol"], order["role"], action)
    stop = _money(order.get("stop_price"))
    return (*about, None, stop, None) if action == "move" else (
        *about, order["qty"], stop, _money(order.get("limit_price"))
    )  # fmt: skip


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _money(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


# ---- the difference ----------------------------------------------------------------------------------


def compare(story: Story, reference: Story, names: tuple[str, str] = ("engine", "oracle")) -> str:
    """The first lines of each kind of ``reference`` in which the two differ, and what came just before."""
    us, them = names
    parts = []
    for kind, theirs in reference.items():
        ours = story[kind]
        wrong = [
            n for n in range(max(len(ours), len(theirs))) if not _same(ours[n : n + 1], theirs[n : n + 1])
        ]
        if wrong:
            parts.append(f"{kind}: {len(ours)} by the {us}, {len(theirs)} by the {them}")
            first = wrong[0]
            parts += [f"      both: {_text(line)}" for line in ours[max(0, first - 2) : first]]
            for number in wrong[:_SHOWN]:
                parts += [f"  #{number} {us}: {_text(line)}" for line in ours[number : number + 1]]
                parts += [f"  #{number} {them}: {_text(line)}" for line in theirs[number : number + 1]]
    return "\n".join(parts)


def _same(ours: Sequence[Line], theirs: Sequence[Line]) -> bool:
    return len(ours) == len(theirs) and all(
        one == other or (len(one) == len(other) and all(map(_equal, one, other)))
        for one, other in zip(ours, theirs, strict=True)
    )


def _equal(one: object, other: object) -> bool:
    """Averages agree to 1e-9, everything else exactly."""
    if isinstance(one, float) and isinstance(other, float):
        return (
            one == other or (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-9)
        )
    return one == other


def _text(line: Line) -> str:
    return "  ".join(f"{x:%m-%d %H:%M:%S}" if isinstance(x, datetime) else str(x) for x in line)
