"""A mistake in either loop is noticed by the comparison of the two: each is made here, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.backtest.parity import BacktestRun, engine_differences, oracle_differences, run_backtest
from tests.backtest.rules import CuriousConfig, curious
from tests.oracle.harness import (
    CALENDAR,
    Case,
    EngineRun,
    Line,
    Strategies,
    compare,
    run_engine,
)
from tests.oracle.markets import simulated_bars
from tests.oracle.oracle import RiskParams, VelezParams
from tui_trader.backtest import account, candles, desk, floor, market, runner
from tui_trader.backtest.account import Account
from tui_trader.backtest.desk import Desk
from tui_trader.backtest.floor import Floor
from tui_trader.backtest.tape import Tape
from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.candles import CandleAggregator
from tui_trader.core.decide import decide_holding, decide_pending
from tui_trader.core.events import TradeReason
from tui_trader.core.fills import match
from tui_trader.core.risk import RiskManager
from tui_trader.engine import desk as engine_desk
from tui_trader.engine import market as engine_market
from tui_trader.engine.desk import SymbolDesk
from tui_trader.engine.ledger import Ledger
from tui_trader.engine.trading_day import TradingDay
from tui_trader.venues.base import BarBatch
from tui_trader.venues.exchange import broker
from tui_trader.venues.exchange.broker import SimBroker
from tui_trader.venues.replay.feed import ReplayFeed

# exchange_calendars and its pandas do not quite agree.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

Patch = pytest.MonkeyPatch
Change = Callable[[Patch], None]

SYMBOLS = ("AAPL", "AMD", "SLOW")


# ---- bars with everything in them ----------------------------------------------------------------------


def scaled(bar: Bar, factor: float) -> Bar:
    return bar._replace(
        open=bar.open * factor, high=bar.high * factor, low=bar.low * factor, close=bar.close * factor
    )


def spoiled(bar: Bar, minute: int, day: int) -> Bar | None:
    """What becomes of ``bar``, the one of ``minute`` of session number ``day``."""
    if minute in (40, 41, 42) or minute % 50 == 9:
        return None  # a hole, and windows without their last minute
    if minute == 120:
        return bar._replace(high=bar.high * 1.5)  # a wick that is cut back
    if minute in (100, 340):
        return scaled(bar, 1.4)  # a jump that is not confirmed
    factor = 0.65 if day else 1.0  # a split overnight: the first session ends 1.3 times higher
    return scaled(bar, 1.3 * factor if minute // 15 % 2 else factor)  # jumps that are confirmed


def make_case(losses: int, daily_loss: str) -> Case:
    """Two sessions, the second a half-day, and when the breaker trips."""
    sessions = CALENDAR.sessions(date(2013, 11, 27), date(2013, 11, 29))
    bars: list[Bar] = []
    for bar in simulated_bars(SYMBOLS, 3, sessions):
        day = int(bar.timestamp >= sessions[1].open)
        minute = (bar.timestamp - sessions[day].open) // MINUTE
        kept = spoiled(bar, minute, day) if bar.symbol == "AAPL" else bar
        if kept is not None:
            bars.append(kept)
    risk = RiskParams(
        max_risk_per_trade_pct=Decimal(5), max_position_pct=Decimal(25), max_volume_pct=Decimal(40),
        consecutive_loss_pause=losses, max_daily_loss_pct=Decimal(daily_loss), max_open_positions=2,
    )  # fmt: skip
    velez = VelezParams(sma_fast=5, sma_slow=100, candle_interval_minutes=1, strong_candle_body_pct=30.0)
    return Case(bars, SYMBOLS, velez, risk)


@dataclass(frozen=True)
class Scene:
    """A case, and the lots by which its rules answer."""

    case: Case
    seed: int

    def rules(self, questions: list[Line]) -> Strategies:
        configs = [CuriousConfig(seed=self.seed, candle_interval_minutes=m) for m in (1, 2, 5)]
        return curious(configs, questions)


#: Trades all day long, and trades until too much is lost.
SCENES = (Scene(make_case(10, "10"), 5), Scene(make_case(4, "0.1"), 19))

Live = tuple[EngineRun, list[Line]]
Tested = tuple[BacktestRun, list[Line]]


def live(scene: Scene) -> Live:
    questions: list[Line] = []
    return run_engine(scene.case, scene.rules(questions)), questions


def backtest(scene: Scene) -> Tested:
    questions: list[Line] = []
    return run_backtest(scene.case, scene.rules(questions)), questions


def noticed(engine: Live, backtest: Tested) -> str:
    (run, asked), (result, answered) = engine, backtest
    told = compare({"questions": answered}, {"questions": asked}, ("backtest", "engine"))
    return engine_differences(run, result) + told


@pytest.fixture(scope="module")
def right_engines() -> list[Live]:
    return [live(scene) for scene in SCENES]


@pytest.fixture(scope="module")
def right_backtests() -> list[Tested]:
    return [backtest(scene) for scene in SCENES]


def test_without_a_mistake_there_is_no_difference(
    right_engines: list[Live], right_backtests: list[Tested]
) -> None:
    for engine, (run, questions) in zip(right_engines, right_backtests, strict=True):
        assert noticed(engine, (run, questions)) == ""
    calm, strict = (run.result for run, _ in right_backtests)
    assert len(calm.trades) > 20
    assert any(trade.entry_time == trade.exit_time for trade in calm.trades)
    assert any(trade.reason is TradeReason.END_OF_DAY for trade in calm.trades)
    assert strict.trips
    assert len(calm.notes.refused) == 3
    assert len(calm.notes.splits) == calm.notes.adjusted == 1


# ---- mistakes of the backtest --------------------------------------------------------------------------


def after(cls: type[Any], name: str, then: Callable[..., None]) -> Change:
    """Calls ``then`` with the object after each call of its method."""
    method = getattr(cls, name)

    def changed(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = method(self, *args, **kwargs)
        then(self)
        return answer

    return lambda patch: patch.setattr(cls, name, changed)


def without(cls: type[Any], name: str, answer: Any = None) -> Change:
    return lambda patch: patch.setattr(cls, name, lambda self, *args, **kwargs: answer)


def set_to(owner: Any, name: str, value: Any) -> Change:
    return lambda patch: patch.setattr(owner, name, value)


def one_tick_more(order: Any, path: Any, ticks: int, *more: Any) -> Any:
    return match(order, path, ticks + 1, *more)


def early_hours(number: int, cut_off: int, flatten_at: int, bell: int) -> floor.Hours:
    return floor.Hours(number, cut_off, flatten_at - 2, bell)


def base_one_later(self: Any) -> None:
    self.exit_base += 1


def expiry_a_minute_later(self: Any) -> None:
    self.expiry += 2


def one_candle_waited(self: Any) -> None:
    self.waited = 1


class NoCount(RiskManager):
    def count_entry(self, symbol: str) -> None:
        """Forgets the entry."""


def shallow(*args: Any) -> candles.Candles:
    """Candles whose low is that of their body."""
    made = candles.make_candles(*args)
    return replace(made, low=np.minimum(made.open, made.close))


def last_high(function: Any, values: Any, begins: Any, ends: Any, minutes: int) -> Any:
    return values[ends - 1]


def last_first(items: Any, key: Any) -> Any:
    return sorted(items, key=key, reverse=True)


def forget_splits(self: Any) -> None:
    for one in self.tapes.values():
        one.restarts.clear()


def cut_offs_a_minute_early(patch: Patch) -> None:
    plan = Desk.plan
    patch.setattr(Desk, "plan", lambda self, mask, cut_offs: plan(self, mask, cut_offs - 2))


def trail_without_exit(rule: Any, view: Any, holding: Any) -> Any:
    """The exit is asked about first."""
    rule.should_exit(view, holding)
    return decide_holding(rule, view, holding)


BACKTEST: dict[str, Change] = {
    "a tick more of slippage": set_to(desk, "match", one_tick_more),
    "a tick more for stops in the bar that bought": set_to(floor, "match", one_tick_more),
    "stops are not tested in the bar that bought": set_to(floor, "match", lambda *args: None),
    "entries end a minute early": cut_offs_a_minute_early,
    "positions end a minute early": set_to(runner, "Hours", early_hours),
    "the cooldown begins a candle late": after(Desk, "flat", base_one_later),
    "the clock ends entries a minute late": after(Desk, "arm", expiry_a_minute_later),
    "an entry's candles are counted from one": after(Desk, "arm", one_candle_waited),
    "decisions from Z to A": lambda patch: patch.setattr(runner, "sorted", last_first, raising=False),
    "the exit is asked about first": set_to(floor, "decide_holding", trail_without_exit),
    "no breaker after an instant": without(Account, "check", False),
    "entries are not counted": set_to(account, "RiskManager", NoCount),
    "average volume of 19 bars": set_to(desk, "_VOLUME_BARS", 19),
    "candles close a minute after their window": set_to(candles, "GRACE", 2),
    "lows of the body": set_to(market, "make_candles", shallow),
    "highs of the last bar": set_to(candles, "_over", last_high),
    "withheld bars come in time": set_to(Tape, "delivered", lambda self, a, b: self.minutes(a, b) + 1),
    "splits are not seen": after(market.MarketData, "__init__", forget_splits),
    "the curve is a cent off": set_to(Floor, "_equity", lambda self: self._account.cash + 0.01),
}


@pytest.mark.parametrize("change", BACKTEST.values(), ids=BACKTEST)
def test_a_mistake_of_the_backtest_is_noticed(
    right_engines: list[Live], monkeypatch: Patch, change: Change
) -> None:
    change(monkeypatch)
    pairs = zip(right_engines, SCENES, strict=True)
    assert any(noticed(engine, backtest(scene)) for engine, scene in pairs)


# ---- mistakes of the engine ----------------------------------------------------------------------------


class ShallowAggregator(CandleAggregator):
    """Candles whose low is that of their body."""

    def _emit(self) -> Any:
        candle = super()._emit()
        return candle._replace(low=min(candle.open, candle.close))


def from_one(self: Any) -> None:
    self.since_exit = 1


def nothing_left(self: Any) -> None:
    self._in_bar.clear()


def one_more(rule: Any, view: Any, waited: int) -> Any:
    return decide_pending(rule, view, waited + 1)


def backwards(patch: Patch) -> None:
    batches = ReplayFeed.batches

    def changed(self: ReplayFeed, session: Any) -> Sequence[BarBatch]:
        return [BarBatch(batch.time, batch.bars[::-1]) for batch in batches(self, session)]

    patch.setattr(ReplayFeed, "batches", changed)


ENGINE: dict[str, Change] = {
    "a tick more of slippage": set_to(broker, "match", one_tick_more),
    "stops are not tested in the bar that bought": after(SimBroker, "match", nothing_left),
    "candles wait two minutes": set_to(engine_market, "CANDLE_GRACE", timedelta(seconds=120)),
    "the cooldown begins a candle early": after(SymbolDesk, "trade_closed", from_one),
    "an entry's candles are counted from one": set_to(engine_market, "decide_pending", one_more),
    "entries are not withdrawn at the cut-off": without(TradingDay, "cut_off"),
    "no breaker after an instant": without(Ledger, "check"),
    "lows of the body": set_to(engine_desk, "CandleAggregator", ShallowAggregator),
    "decisions from Z to A": backwards,
}


@pytest.mark.parametrize("change", ENGINE.values(), ids=ENGINE)
def test_a_mistake_of_the_engine_is_noticed(
    right_backtests: list[Tested], monkeypatch: Patch, change: Change
) -> None:
    change(monkeypatch)
    pairs = zip(SCENES, right_backtests, strict=True)
    assert any(noticed(live(scene), tested) for scene, tested in pairs)


# ---- and the oracle ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a tick more of slippage", "lows of the body", "average volume of 19 bars"])
def test_a_mistake_of_the_backtest_is_noticed_by_the_oracle_too(monkeypatch: Patch, name: str) -> None:
    case = SCENES[0].case
    assert oracle_differences(run_backtest(case)) == ""
    BACKTEST[name](monkeypatch)
    assert oracle_differences(run_backtest(case))
