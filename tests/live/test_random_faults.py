"""Random sequences of faults, kills and market moves: what must hold whatever happens (RELIABILITY, A–K)."""

from __future__ import annotations

import math
import os
import tempfile
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.alpaca_server import MinuteBar, Stream
from tests.live.lanes import HANGING, NO_TIME
from tests.live.scene import MINUTE, PROTECTED_WITHIN, PROTECTED_WITHIN_ERRORS, Scene, Wish
from tui_trader.core.money import to_decimal
from tui_trader.core.orders import Role
from tui_trader.core.rule import CandleView, Holding
from tui_trader.engine.handle import CancelWorkingOrder, Command, Flatten, Pause, Resume

SOAK = os.environ.get("SOAK") == "1"
SYMBOLS = ("AAA", "BBB")
#: Reconnecting with the longest pause, two reconciliations, and a request's time-out.
CALM_SECONDS = 75.0
#: After a fault it takes so long until everything is undisturbed again: a pause between attempts is 30 s.
UNDISTURBED_AFTER = timedelta(seconds=60)

STEPS = {"up": 0.2, "down": -0.2, "flat": 0.0, "leap": 1.0, "plunge": -1.5}
MOVES = st.sampled_from(sorted(STEPS))
SIDES = st.sampled_from(["buy", "sell"])
LOSSES = ("gateway_timeout", "html_502", "garbage", "reset")
AIMS = [("POST", "orders"), ("PATCH", "orders"), ("DELETE", "orders"), ("GET", "orders"), ("GET", "/v2/")]
REFUSALS = [
    (429, '{"code": 42910000, "message": "rate limit exceeded"}'),
    (403, '{"code": 40310000, "message": "insufficient buying power"}'),
    (
        403,
        '{"code": 40310000, "message": "insufficient qty available for order (requested: 1)"}',
    ),
    (422, '{"code": 42210000, "message": "stop price must be less than current price"}'),
    (422, '{"code": 42210000, "message": "no"}'),
]


class Eager(Wish):
    """Buys every rising candle, trails each, and leaves after two that fall."""

    name = "eager"
    pending_expiry_candles = 2
    required_history = 2
    falls = 0

    def should_long(self, view: CandleView) -> bool:
        return view.close > view.open

    def entry_price(self, view: CandleView) -> Decimal:
        return to_decimal(view.high)

    def stop_loss_price(self, view: CandleView) -> Decimal:
        return to_decimal(round(view.low - 0.3, 2))

    def should_update_stop(self, view: CandleView, holding: Holding) -> Decimal | None:
        return to_decimal(round(view.low - 0.1, 2)) if view.close > view.open else None

    def should_exit(self, view: CandleView, holding: Holding) -> bool:
        self.falls = self.falls + 1 if view.close < view.open else 0
        return self.falls >= 2


class RandomFaults(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.scene = Scene(Path(self.folder.name), symbols=SYMBOLS, strategy=Eager)
        self.scene.auditor.contradictions_allowed = True
        self.disturbed: datetime | None = None  # the last time that something was, or was going to be, wrong
        self.unplugged = False
        self.by_hand = 0
        self.scene.start().run_for(2)

    def teardown(self) -> None:
        if hasattr(self, "scene"):
            try:
                self.calm_down()
                assert not self.scene.auditor.broken, self.scene.auditor.broken[:3]
            finally:
                self.scene.end()
                self.folder.cleanup()

    def disturb(self) -> None:
        self.disturbed = self.scene.now

    # ---- the market ------------------------------------------------------------------------------

    @rule(moves=st.lists(st.tuples(MOVES, MOVES), max_size=3))
    def minutes_pass(self, moves: list[tuple[str, str]]) -> None:
        for first, second in moves or [("up", "up")]:
            self.minute(first, second)

    def minute(self, *moves: str) -> None:
        """Each symbol trades four times on its way; what waits for a price meets it at different seconds."""
        scene = self.scene
        for second in (5, 20, 35, 50):
            start = scene.now.replace(second=0, microsecond=0)
            scene.run_until(max(scene.now, start + timedelta(seconds=second)))
            for symbol, move in zip(SYMBOLS, moves, strict=True):
                price = float(scene.server.price(symbol)) + STEPS[move] / 4
                scene.trade(round(price, 2), symbol)
        scene.next_bar()

    @rule()
    def prices_rise(self) -> None:
        self.minute("up", "up")

    @rule(seconds=st.sampled_from([0.3, 1.0, 3.0, 7.0, 20.0]))
    def a_moment_passes(self, seconds: float) -> None:
        self.scene.run_for(seconds)

    @rule(symbol=st.sampled_from(SYMBOLS), close=st.sampled_from([math.nan, 0.0, -1.0, 1e6]))
    def a_bad_bar_comes(self, symbol: str, close: float) -> None:
        start = self.scene.now.replace(second=0, microsecond=0) - MINUTE
        self.scene.server.send_bars([MinuteBar(symbol, start, 100.0, 100.0, 100.0, close)])
        self.scene.settle()

    @rule(symbol=st.sampled_from(SYMBOLS), seconds=st.sampled_from([3.0, 70.0]))
    def trading_is_halted(self, symbol: str, seconds: float) -> None:
        self.scene.server.halt(symbol)
        self.scene.run_for(seconds)
        self.disturb()
        self.scene.server.resume(symbol)
        self.scene.settle()

    # ---- faults ----------------------------------------------------------------------------------

    @rule(
        loss=st.sampled_from(LOSSES), aim=st.sampled_from(AIMS), done=st.booleans(),
        times=st.integers(1, 3), hangs=st.booleans(),
    )  # fmt: skip
    def answers_will_be_lost(
        self, loss: str, aim: tuple[str, str], done: bool, times: int, hangs: bool
    ) -> None:
        self.scene.lanes.failing = HANGING if hangs else NO_TIME
        getattr(self.scene.server.rest_faults, loss)(*aim, done=done, times=times)

    @rule(
        refusal=st.sampled_from(REFUSALS), method=st.sampled_from(["POST", "PATCH"]), times=st.integers(1, 3)
    )
    def orders_will_be_refused(self, refusal: tuple[int, str], method: str, times: int) -> None:
        self.scene.server.rest_faults.status(*refusal, method, times=times)

    @rule()
    def an_order_will_come_late(self) -> None:
        self.scene.server.rest_faults.late("POST", "orders")

    @rule(seconds=st.sampled_from([0.5, 2.0, 8.0, 45.0]))
    def the_late_come(self, seconds: float) -> None:
        self.scene.run_for(seconds)
        self.disturb()
        self.scene.server.carry_out_late()
        self.scene.settle()

    @rule(seconds=st.sampled_from([3.0, 30.0]))
    def everything_fails(self, seconds: float) -> None:
        self.scene.server.rest_faults.status(503, "", times=1_000_000)
        self.scene.run_for(seconds)
        self.scene.server.rest_faults.clear()
        self.disturb()

    @rule(there=st.sampled_from([0.0, 0.2, 3.0]), back=st.sampled_from([0.0, 0.2, 3.0]))
    def the_way_is_long(self, there: float, back: float) -> None:
        self.scene.lanes.way_there = timedelta(seconds=there)
        self.scene.lanes.way_back = timedelta(seconds=back)

    @rule(fault=st.sampled_from(["drop", "duplicate", "swap"]), times=st.integers(1, 4))
    def updates_will_go_wrong(self, fault: str, times: int) -> None:
        getattr(self.scene.server.update_faults, fault)(times=times)

    @rule(shares=st.sampled_from([0, 1, 30]), side=SIDES)
    def a_fill_will_be_short(self, shares: int, side: str) -> None:
        self.scene.server.order_faults.fill_only(shares, side=side)

    @rule(
        fault=st.sampled_from(["stick_cancel", "reject", "slow_replace"]),
        side=SIDES,
    )
    def an_order_will_go_wrong(self, fault: str, side: str) -> None:
        getattr(self.scene.server.order_faults, fault)(side=side)

    @rule()
    def what_is_held_up_goes_through(self) -> None:
        self.disturb()
        self.scene.server.release_cancels()
        self.scene.server.release_replaces()
        self.scene.server.release_fills()
        self.scene.settle()

    @rule(stream=st.sampled_from(list(Stream)), refused=st.integers(0, 6))
    def a_stream_breaks(self, stream: Stream, refused: int) -> None:
        self.disturb()
        self.scene.server.refuse(stream, times=refused)
        self.scene.drop(stream)

    @rule(name=st.sampled_from(["bars", "trade_updates"]))
    def a_stream_goes_mute(self, name: str) -> None:
        self.scene.streams.mute(name)

    @rule(seconds=st.sampled_from([1.0, 20.0, 90.0]))
    def the_network_is_gone(self, seconds: float) -> None:
        self.scene.server.unplug()
        self.scene.run_for(seconds)
        self.scene.server.plug_in()
        self.disturb()

    @rule()
    def the_process_dies(self) -> None:
        self.scene.restart()

    @rule(
        when=st.sampled_from(["before", "after"]), request=st.sampled_from(["submit", "replace", "cancel"]),
        skip=st.integers(0, 2),
    )  # fmt: skip
    def the_process_will_die(self, when: str, request: str, skip: int) -> None:
        self.scene.kill_at(when, request, skip=skip)

    # ---- people ----------------------------------------------------------------------------------

    @rule(
        command=st.sampled_from([Pause(), Flatten(), Flatten("AAA"), Flatten("BBB")]),
        seconds=st.sampled_from([0.0, 1.0, 20.0]),
    )
    def the_user_steps_in(self, command: Command, seconds: float) -> None:
        self.scene.send(command)
        self.scene.run_for(seconds)
        self.scene.send(Resume())

    @rule()
    def the_user_cancels_entries(self) -> None:
        for symbol in SYMBOLS:
            for entry in self.scene.working(Role.ENTRY, symbol):
                self.scene.send(CancelWorkingOrder(entry["client_order_id"]))

    @rule(symbol=st.sampled_from(SYMBOLS))
    def somebody_sells(self, symbol: str) -> None:
        scene = self.scene
        held = scene.held_of(symbol)
        if not held or any(order["side"] == "buy" for order in scene.server.working(symbol)):
            return
        self.disturb()
        for order in scene.working(symbol=symbol):
            scene.server.cancel_order(order["client_order_id"])
        if any(order["side"] == "sell" for order in scene.server.working(symbol)):
            return  # its cancel is stuck
        self.by_hand += 1
        scene.server.foreign_order(symbol, "sell", "market", held, client_order_id=f"by-hand-{self.by_hand}")
        scene.settle()

    # ---- what holds ------------------------------------------------------------------------------

    @rule()
    def calm(self) -> None:
        self.calm_down()

    def calm_down(self) -> None:
        """Nothing goes wrong any more: within seconds all sides agree and every share is protected."""
        scene = self.scene
        scene.lanes.rest.at = lambda when, request, role: None
        scene.lanes.way_there = scene.lanes.way_back = scene.lanes.failing = NO_TIME
        scene.server.clear_faults()
        self.disturb()
        scene.run_for(CALM_SECONDS)
        found = scene.differences()
        assert not found, f"C: {found}"
        scene.flattened = False
        for symbol in SYMBOLS:
            bare = scene.server.unprotected_since(symbol)
            assert bare <= PROTECTED_WITHIN, f"B: {symbol} is without a stop for {bare} s in the calm"

    @property
    def trouble(self) -> bool:
        server = self.scene.server
        ordered = (server.rest_faults, server.order_faults, server.update_faults)
        return (
            any(faults.pending for faults in ordered)
            or bool(self.scene.lanes.way_there or self.scene.lanes.way_back)
            or any(self.scene.streams.state(name) != "connected" for name in ("bars", "trade_updates"))
            or any(str(order["status"]).startswith("pending") for order in server.working())
        )

    @invariant()
    def nothing_was_broken(self) -> None:
        if hasattr(self, "scene"):
            assert not self.scene.auditor.broken, self.scene.auditor.broken[:3]

    @invariant()
    def shares_are_protected(self) -> None:
        if not hasattr(self, "scene"):
            return
        if self.trouble:
            self.disturb()
        now = self.scene.now
        for symbol in SYMBOLS:
            bare = timedelta(seconds=self.scene.server.unprotected_since(symbol))
            since = now - bare
            if self.disturbed is None or since - self.disturbed > UNDISTURBED_AFTER:
                assert bare.total_seconds() <= PROTECTED_WITHIN, f"B: {symbol} bare for {bare}, undisturbed"
            quiet = now - max(since, self.disturbed or since)
            assert quiet.total_seconds() <= PROTECTED_WITHIN_ERRORS, f"B: {symbol} bare {quiet} after faults"


TestRandomFaults = pytest.mark.soak(RandomFaults.TestCase)
TestRandomFaults.settings = settings(
    max_examples=400 if SOAK else 20,
    stateful_step_count=50 if SOAK else 25,
    derandomize=not SOAK,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
