"""Random sequences of faults, bars and commands: what must hold whatever happens (RELIABILITY, A to I)."""

from __future__ import annotations

import math
import os
import tempfile
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.engine.scene import LATENCY, OnDemand, Scene, Tape
from tui_trader.core.bars import Bar
from tui_trader.core.calendar import FixedCalendar, Session
from tui_trader.core.events import (
    BarReceived,
    CandleClosed,
    ErrorOccurred,
    OrderStateChanged,
    Published,
    SignalGenerated,
    SignalRejected,
    SymbolState,
    SymbolStateChanged,
    TradeClosed,
)
from tui_trader.core.money import to_decimal
from tui_trader.core.orders import ClientOrderId, OrderSpec, OrderState, OrderType, Role, Side
from tui_trader.core.rule import CandleView, Holding
from tui_trader.engine.handle import CancelWorkingOrder, Command, Flatten, Pause, Resume
from tui_trader.venues.base import (
    BrokerRequest,
    CancelOrder,
    QueryOrder,
    QuerySnapshot,
    Refusal,
    ReplaceOrder,
    SubmitOrder,
)
from tui_trader.venues.exchange.faults import (
    LOST_ANSWER,
    LOST_REQUEST,
    NEVER,
    SERVER_ERROR,
    Fate,
    NoFaults,
    RandomFaults,
    Script,
    role_of,
)
from tui_trader.venues.exchange.store import BrokerOrder

SOAK = os.environ.get("SOAK") == "1"
SYMBOLS = ("AAA", "BBB")
MINUTES = 40
CALM = timedelta(seconds=40)  # the reconciliation every 15 s, 10 s to act on it, and a request's time-out

REGIMES = ["up", "up", "down", "flat", "gap up", "gap down", "missing", "nan", "tenfold"]


class MovingTape(Tape):
    """Bars made as they are needed, by what the market is doing just then."""

    def __init__(self, sessions: FixedCalendar, symbols: tuple[str, ...]) -> None:
        super().__init__(sessions, symbols)
        self.regime: dict[str, str] = {}

    def needs_judging(self, session: Session) -> frozenset[str]:
        return frozenset(self.symbols)

    def bar(self, symbol: str, minute: int, stamp: datetime) -> list[Bar]:
        last = self.last[symbol]
        regime = self.regime.get(symbol, "flat")
        if regime in ("gap up", "gap down", "nan", "tenfold"):
            self.regime[symbol] = "up" if regime == "gap up" else "down"
        step = {"up": 0.2, "down": -0.2, "gap up": 0.1, "gap down": -0.1}.get(regime, 0.0)
        opened = last + {"gap up": 1.0, "gap down": -1.5}.get(regime, 0.0)
        close = round(opened + step, 2)
        high, low = round(max(opened, close) + 0.02, 2), round(min(opened, close) - 0.02, 2)
        if regime == "missing":
            return []
        if regime == "nan":
            return [Bar(symbol, stamp, opened, math.nan, low, close, 1000)]
        if regime == "tenfold":
            return [Bar(symbol, stamp, opened * 10, high * 10, low * 10, close * 10, 1000)]
        self.last[symbol] = close
        return [Bar(symbol, stamp, round(opened, 2), high, low, close, 1000)]


class Busy(OnDemand):
    """Buys every rising candle, trails each, and leaves after two that fall."""

    name = "busy"
    pending_expiry_candles = 2
    required_history = 2
    falls = 0

    def should_long(self, view: CandleView) -> bool:
        return view.close > view.open and view.count >= self.required_history

    def entry_price(self, view: CandleView) -> Decimal:
        return to_decimal(view.high)

    def stop_loss_price(self, view: CandleView) -> Decimal:
        return to_decimal(view.low - 0.3)

    def should_update_stop(self, view: CandleView, holding: Holding) -> Decimal | None:
        return to_decimal(round(view.low - 0.1, 2)) if view.close > view.open else None

    def should_exit(self, view: CandleView, holding: Holding) -> bool:
        self.falls = self.falls + 1 if view.close < view.open else 0
        return self.falls >= 2


SINGLE_FAULTS: list[tuple[type[BrokerRequest], Role | None, Fate]] = [
    *((SubmitOrder, role, fate) for role in (Role.ENTRY, Role.STOP, Role.EXIT)
      for fate in (LOST_ANSWER, LOST_REQUEST, SERVER_ERROR, Fate(out=timedelta(seconds=4), heard="unclear"),
                   Fate(refusal=Refusal.REJECTED), Fate(refusal=Refusal.RATE_LIMITED))),
    *((ReplaceOrder, None, fate)
      for fate in (LOST_ANSWER, LOST_REQUEST, SERVER_ERROR, Fate(out=timedelta(seconds=4), heard="unclear"),
                   Fate(refusal=Refusal.PRICE_THROUGH_STOP), Fate(refusal=Refusal.SHARES_HELD))),
    *((CancelOrder, None, fate)
      for fate in (LOST_ANSWER, LOST_REQUEST, SERVER_ERROR, Fate(stuck=timedelta(seconds=5)))),
    *((QueryOrder, None, fate) for fate in (LOST_REQUEST, SERVER_ERROR)),
    *((QuerySnapshot, None, fate) for fate in (LOST_REQUEST, SERVER_ERROR)),
    (SubmitOrder, Role.STOP, Fate(refusal=Refusal.PRICE_THROUGH_STOP)),
    (SubmitOrder, Role.EXIT, Fate(refusal=Refusal.SHARES_HELD)),
]  # fmt: skip
TELLINGS = [NEVER, (timedelta(seconds=3),), (LATENCY, timedelta(seconds=2))]


class Invariants(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.script = Script(NoFaults(LATENCY))
        self.broken: list[str] = []
        self.share = 1.0
        self.by_hand = 0
        self.bought: list[str] = []
        self.stops: dict[str, Decimal] = {}
        self.bars: set[tuple[Any, ...]] = set()
        self.approved = 0
        self.scene = Scene(
            Path(self.folder.name), self.script, minutes=MINUTES, symbols=SYMBOLS, strategy=Busy,
            fill_size=self.fill_size, tape=MovingTape,
        )  # fmt: skip
        self.tape = self.scene.tape
        assert isinstance(self.tape, MovingTape)
        self.spy_on_broker()
        self.scene.bus.add_sink("invariants", self.heard)
        self.scene.start()

    def teardown(self) -> None:
        if hasattr(self, "scene"):
            self.calm_down()
            self.everybody_agrees()
            self.scene.journal.real.close()
            self.folder.cleanup()

    # ---- spies -----------------------------------------------------------------------------------

    def spy_on_broker(self) -> None:
        carry_out = self.scene.sim.request

        def request(request: BrokerRequest) -> None:
            if isinstance(request, SubmitOrder) and role_of(request.spec.client_order_id) is Role.ENTRY:
                identity = request.spec.client_order_id
                if identity not in self.bought:
                    self.bought.append(identity)
            carry_out(request)

        self.scene.sim.request = request  # type: ignore[method-assign]

    def fill_size(self, order: BrokerOrder) -> int:
        return math.ceil(order.open_qty * self.share)

    def heard(self, published: Published) -> None:
        match published.event:
            case OrderStateChanged(role=role, state=OrderState.INTENT) as event:
                self.new_order(role, event)
            case OrderStateChanged(role=Role.STOP, state=OrderState.ACCEPTED) as event:
                price = event.stop_price
                assert price is not None
                if price < self.stops.get(event.symbol, price):
                    self.broken.append(f"D: a stop loosened to {price}")
                self.stops[event.symbol] = price
            case TradeClosed(symbol=symbol):
                self.stops.pop(symbol, None)
            case SignalGenerated():
                self.approved += 1
            case SignalRejected():
                self.approved -= 1
            case BarReceived() as bar:
                self.bars.add((bar.symbol, bar.timestamp, bar.open, bar.high, bar.low, bar.close))
            case CandleClosed() as candle:
                if (candle.symbol, candle.timestamp, candle.open, candle.high, candle.low,
                        candle.close) not in self.bars:  # fmt: skip
                    self.broken.append(f"I: a candle of bars that were not accepted: {candle}")
            case SymbolStateChanged(state=SymbolState.QUARANTINED, reason=reason):
                self.broken.append(f"the engine failed inside a decision: {reason}")
            case ErrorOccurred(component="broker", message=message):
                self.broken.append(f"a contradiction: {message}")
            case _:
                pass

    def new_order(self, role: Role, event: OrderStateChanged) -> None:
        engine = self.scene.engine
        if role is Role.ENTRY and (engine.paused or not engine.entries_allowed()):
            self.broken.append("E: an entry while there may be none")
        if event.side is Side.SELL and event.qty > engine.portfolio.qty(event.symbol):
            self.broken.append(f"F: {event.qty} to be sold of {engine.portfolio.qty(event.symbol)}")

    # ---- what happens ----------------------------------------------------------------------------

    @rule(minutes=st.integers(2, 6))
    def prices_rise(self, minutes: int) -> None:
        self.move(minutes, "up", "up")

    @rule(minutes=st.integers(1, 3), second=st.sampled_from(["up", "flat", "gap up", "down"]))
    def prices_rise_here(self, minutes: int, second: str) -> None:
        self.move(minutes, "up", second)

    @rule(minutes=st.integers(1, 3), first=st.sampled_from(REGIMES), second=st.sampled_from(REGIMES))
    def the_market_moves(self, minutes: int, first: str, second: str) -> None:
        self.move(minutes, first, second)

    def move(self, minutes: int, first: str, second: str) -> None:
        assert isinstance(self.tape, MovingTape)
        self.tape.regime.update(AAA=first, BBB=second)
        self.scene.run_for(60 * minutes)

    @rule(seconds=st.sampled_from([0.02, 0.06, 0.11, 0.3, 1.0, 3.0, 7.0]))
    def a_moment_passes(self, seconds: float) -> None:
        self.scene.run_for(seconds)

    @rule(faults=st.lists(st.sampled_from(SINGLE_FAULTS), min_size=1, max_size=3), times=st.integers(1, 3))
    def requests_will_fail(
        self, faults: list[tuple[type[BrokerRequest], Role | None, Fate]], times: int
    ) -> None:
        for kind, role, fate in faults:
            self.script.on(kind, fate, role, times)

    @rule(tellings=st.sampled_from(TELLINGS), times=st.integers(1, 3))
    def news_will_fail(self, tellings: tuple[timedelta, ...], times: int) -> None:
        self.script.on_news(tellings, times=times)

    @rule(seed=st.integers(0, 1000), rate=st.sampled_from([0.1, 0.3]))
    def everything_fails_at_random(self, seed: int, rate: float) -> None:
        self.scene.broker.faults = RandomFaults(seed, rate, LATENCY)

    @rule(share=st.sampled_from([1.0, 1.0, 0.5, 0.2]))
    def fills_come_in_parts(self, share: float) -> None:
        self.share = share

    @rule(
        command=st.sampled_from([Pause(), Flatten(), Flatten("AAA"), Flatten("BBB")]),
        seconds=st.sampled_from([0.0, 0.06, 3.0, 70.0]),
    )
    def the_user_steps_in(self, command: Command, seconds: float) -> None:
        self.scene.send(command)
        self.scene.run_for(seconds)
        self.scene.send(Resume())

    @rule()
    def cancel_an_entry(self) -> None:
        for symbol in SYMBOLS:
            for entry in self.scene.working(Role.ENTRY, symbol):
                self.scene.send(CancelWorkingOrder(entry.client_order_id))

    @rule(seconds=st.sampled_from([1.0, 10.0, 70.0]))
    def the_stream_breaks(self, seconds: float) -> None:
        self.scene.broker.disconnect()
        self.scene.run_for(seconds)
        self.scene.broker.reconnect()

    @rule()
    def the_process_dies(self) -> None:
        self.scene.crash()
        self.scene.bus.add_sink("invariants", self.heard)

    @rule(symbol=st.sampled_from(SYMBOLS))
    def somebody_sells(self, symbol: str) -> None:
        held = self.scene.sim.positions.get(symbol)
        if held is None:
            return
        self.by_hand += 1
        broker = self.scene.broker
        for report in self.scene.working(symbol=symbol):
            if report.side is Side.SELL:
                broker.by_hand(CancelOrder(0, report.client_order_id, report.broker_order_id))
        identity = ClientOrderId(f"by-hand-{self.by_hand}")
        spec = OrderSpec(identity, symbol, Role.EXTERNAL, Side.SELL, OrderType.MARKET, held[0])
        broker.by_hand(SubmitOrder(0, spec))
        broker.last_fault = self.scene.clock.now()

    @precondition(lambda self: self.scene.engine.day.schedule is not None)
    @rule()
    def the_day_ends_in_peace(self) -> None:
        schedule = self.scene.engine.day.schedule
        assert schedule is not None
        self.scene.run_until(schedule.flatten_at - timedelta(minutes=1))
        self.calm_down()
        self.scene.run_until(schedule.session.close + timedelta(seconds=1))
        assert not self.scene.sim.positions, "H: not flat at the close"
        assert not self.scene.sim.snapshot(0).orders

    @rule()
    def calm(self) -> None:
        self.calm_down()
        self.everybody_agrees()

    def calm_down(self) -> None:
        self.script.clear()
        self.scene.broker.faults = self.script
        self.share = 1.0
        self.scene.run_for(CALM.total_seconds())

    def everybody_agrees(self) -> None:
        # A fill may be on the wire at the very moment of looking.
        for _ in range(3):
            if self.scene.agrees():
                return
            self.scene.run_for(0.5)
        raise AssertionError("C: journal, engine and broker disagree after the faults are over")

    # ---- what holds ------------------------------------------------------------------------------

    @invariant()
    def nothing_was_broken(self) -> None:
        assert not getattr(self, "broken", [])

    @invariant()
    def at_most_one_entry_a_signal(self) -> None:
        if hasattr(self, "scene"):
            signals = {identity.rpartition("-")[0] for identity in self.bought}
            assert len(signals) == len(self.bought) <= self.approved, "A"
            assert all(len(self.scene.working(Role.ENTRY, symbol)) <= 1 for symbol in SYMBOLS), "A"

    @invariant()
    def shares_are_protected(self) -> None:
        if hasattr(self, "scene"):
            watchdog = self.scene.watchdog
            for symbol, quiet in watchdog.undisturbed.items():
                assert quiet <= 5.0, f"B: {symbol} was naked for {quiet} s although nothing failed"
            for symbol, seconds in watchdog.after_faults.items():
                assert seconds <= 15.0, f"B: {symbol} was naked for {seconds} s after the last fault"

    @invariant()
    def every_order_was_meant(self) -> None:
        if hasattr(self, "scene"):
            registry = self.scene.engine.manager.registry
            for report in self.scene.sim.snapshot(0).orders:
                ours = role_of(report.client_order_id) is not Role.EXTERNAL
                assert not ours or registry.get(report.client_order_id), "G: an order without an intent"


TestInvariants = pytest.mark.soak(Invariants.TestCase)
TestInvariants.settings = settings(
    max_examples=2000 if SOAK else 60,
    stateful_step_count=60 if SOAK else 40,
    derandomize=not SOAK,
    deadline=None,
)
