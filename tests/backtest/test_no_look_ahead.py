"""Nothing that a backtest does depends on bars that had not been delivered by then."""

from __future__ import annotations

import gc
import random
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.backtest.parity import BacktestRun, run_backtest
from tests.backtest.rules import MARK, CuriousConfig, Marked, curious, overnight
from tests.oracle.harness import CALENDAR, Case, Strategies, velez_of
from tests.oracle.markets import simulated_bars
from tests.oracle.nasty import cases
from tui_trader.backtest import market
from tui_trader.backtest.candles import Candles, make_candles
from tui_trader.backtest.tape import time_of
from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.indicators import Indicator
from tui_trader.core.orders import Role
from tui_trader.core.rule import CandleView, Holding
from tui_trader.strategies.base import StrategyConfig

# exchange_calendars and its pandas do not quite agree.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")


# ---- what comes later changes nothing ------------------------------------------------------------------


def done_by(run: BacktestRun, moment: datetime) -> dict[str, list[Any]]:
    """Everything that had happened when ``moment`` was over."""
    result, filled = run.result, list(_filled_at(run))
    sold = [time for fill, time in zip(result.fills, filled, strict=True) if fill.role is not Role.ENTRY]
    points = zip(result.equity.time.tolist(), result.equity.value.tolist(), strict=True)
    return {
        "signals": [signal for signal in result.signals if signal.time <= moment],
        "orders": [order for order in result.orders if order.time <= moment],
        "fills": [fill for fill, time in zip(result.fills, filled, strict=True) if time <= moment],
        "trades": [trade for trade, time in zip(result.trades, sold, strict=True) if time <= moment],
        "trips": [trip for trip in result.trips if trip.time <= moment],
        "equity": [point for point in points if point[0] <= moment.timestamp()],
    }


def _filled_at(run: BacktestRun) -> Iterator[datetime]:
    """When each fill happened. It bears the stamp of a bar, and that is delivered later.

    A sale at market that met no bar was filled at the close, and bears a stamp from before it was placed.
    """
    delivered: dict[tuple[str, datetime], datetime] = {}
    for symbol, tape in run.market.tapes.items():
        stamps, deliveries = tape.minutes(0, len(tape)).tolist(), tape.delivered(0, len(tape)).tolist()
        for stamp, delivery in zip(stamps, deliveries, strict=True):
            delivered[symbol, time_of(stamp)] = time_of(delivery)
    sales: dict[str, list[datetime]] = {}
    for order in run.result.orders:
        if order.role is Role.EXIT:
            placed = sales.setdefault(order.symbol, [])
            if order.action == "submit":
                placed.append(order.time)
            else:
                placed.pop()
    for fill in run.result.fills:
        time = delivered[fill.symbol, fill.time]
        if fill.role is Role.EXIT and fill.time < (sent := sales[fill.symbol].pop(0)):
            session = CALENDAR.session_on(sent.date())
            assert session is not None
            time = session.close
        yield time


def wild(bar: Bar, rng: random.Random) -> Bar:
    """Another minute in place of ``bar``: sometimes like it, sometimes a crash, a split or a typing error."""
    factor = rng.choice((0.2, 0.5, 0.9, 0.99, 1.01, 1.1, 2.0, 5.0))
    prices = [price * factor * rng.uniform(0.97, 1.03) for price in (bar.open, bar.high, bar.low, bar.close)]
    low, *between, high = sorted(prices)
    rng.shuffle(between)
    return bar._replace(open=between[0], high=high, low=low, close=between[1], volume=rng.randint(0, 9000))


def rules_for(name: str, data: st.DataObject) -> Callable[[], Strategies]:
    """Makes the same rules for every run."""
    if name == "velez":
        return lambda: velez_of
    if name == "overnight":
        return lambda: overnight(sma_fast=2, sma_slow=6, atr_period=5, candle_interval_minutes=5)
    configs = [
        CuriousConfig(seed=data.draw(st.integers(0, 999)), candle_interval_minutes=minutes)
        for minutes in (1, 2, 5)
    ]
    return lambda: curious(configs, [])


@pytest.mark.parametrize("name", ["velez", "overnight", "curious"])
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_was_done_by_a_time_does_not_depend_on_later_bars(name: str, data: st.DataObject) -> None:
    case = data.draw(cases().filter(lambda case: case.recorded))
    rules = rules_for(name, data)
    stamps = sorted({bar.timestamp for bar in case.bars})
    sessions = CALENDAR.sessions(case.start or stamps[0].date(), stamps[-1].date())
    traded = [stamp for stamp in stamps if any(session.contains(stamp) for session in sessions)]
    moment = data.draw(st.sampled_from(traded)) + MINUTE
    rng = random.Random(data.draw(st.integers(0, 999)))
    early = [bar for bar in case.bars if bar.timestamp < moment]
    late = [wild(bar, rng) for bar in case.bars if bar.timestamp >= moment and rng.random() < 0.9]
    whole = done_by(run_backtest(case, rules()), moment)
    assert done_by(run_backtest(replace(case, bars=early), rules()), moment) == whole
    assert done_by(run_backtest(replace(case, bars=[*early, *late]), rules()), moment) == whole


def with_next_close(*args: Any) -> Candles:
    made = make_candles(*args)
    return replace(made, close=np.append(made.close[1:], made.close[-1:]))


def test_a_loop_that_showed_the_next_close_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the comparison above is not one that sees nothing."""
    monkeypatch.setattr(market, "make_candles", with_next_close)
    (session,) = CALENDAR.sessions(date(2013, 10, 9), date(2013, 10, 9))
    case = Case(simulated_bars(("AAPL",), 1, [session]), ("AAPL",))
    found = 0
    for minute in range(60, 390, 30):
        moment = session.open + minute * MINUTE
        cut = replace(case, bars=[bar for bar in case.bars if bar.timestamp < moment])
        one, other = (run_backtest(made, curious([CuriousConfig(seed=1)], [])) for made in (case, cut))
        found += done_by(one, moment) != done_by(other, moment)
    assert found


# ---- nor can a strategy get hold of it -----------------------------------------------------------------


def reachable(*roots: object) -> Iterator[object]:
    """Every object that can be got at from ``roots`` by attributes, items, bound methods and closures."""
    left, seen = list(roots), {id(root) for root in roots}
    while left:
        found = left.pop()
        yield found
        if isinstance(found, ModuleType | type | BuiltinFunctionType):
            continue
        if isinstance(found, FunctionType):  # its globals are everybody's, but not what it encloses
            following = [found.__closure__, found.__defaults__, found.__kwdefaults__]
        else:
            following = gc.get_referents(found)
        for one in following:
            if id(one) not in seen:
                seen.add(id(one))
                left.append(one)


def numbers(*roots: object) -> set[float]:
    """Every number that can be got at from ``roots``."""
    found: set[float] = set()
    for one in reachable(*roots):
        if isinstance(one, float | int | Decimal):
            found.add(float(one))
        elif isinstance(one, np.ndarray | memoryview | array):
            found.update(map(float, np.ravel(np.asarray(one)).tolist()))
    return found


class Prying(Marked):
    """Takes with it every number that it can get hold of, each time it is asked anything."""

    name = "prying"

    def __init__(self, symbol: str, config: StrategyConfig) -> None:
        super().__init__(symbol, config)
        self.pried: list[tuple[str, datetime, set[float]]] = []

    @property
    def indicators(self) -> Mapping[str, Indicator]:
        return {"sma_fast": Indicator("sma", 2), "atr": Indicator("atr", 2)}

    def _pry(self, question: str, view: CandleView, *more: object) -> None:
        pried, self.pried = self.pried, []
        got = numbers(self, view, view.now, view.before, view.start, *more)
        self.pried = [*pried, (question, view.end, got)]

    def should_long(self, view: CandleView) -> bool:
        self._pry("long?", view)
        return super().should_long(view)

    def should_cancel_pending(self, view: CandleView, candles_waited: int) -> bool:
        self._pry("cancel?", view)
        return super().should_cancel_pending(view, candles_waited)

    def should_update_stop(self, view: CandleView, holding: Holding) -> None:
        self._pry("trail?", view, holding)


def climbing(symbol: str, base: float) -> list[Bar]:
    """A session in which no price comes twice, and every ninth minute is to be bought."""
    opened = CALENDAR.sessions(date(2013, 10, 9), date(2013, 10, 9))[0].open
    prices = [base + number / 1024 for number in range(4 * 60)]
    return [
        Bar(symbol, opened + n * MINUTE, o, h, low, c, MARK if n % 9 == 5 else 1000 + n)
        for n, (low, o, c, h) in enumerate(zip(*[iter(prices)] * 4, strict=True))
    ]


@pytest.mark.parametrize("jump", [True, False], ids=["candidates", "every candle"])
@pytest.mark.parametrize("symbols", [("AAA",), ("AAA", "BBB")], ids=["alone", "several"])
def test_no_later_price_can_be_reached_from_what_a_strategy_is_given(
    symbols: tuple[str, ...], jump: bool
) -> None:
    bars = [bar for number, symbol in enumerate(symbols) for bar in climbing(symbol, 50.0 + 10 * number)]
    rules = [Prying(symbol, StrategyConfig()) for symbol in symbols]
    run_backtest(Case(bars, symbols), lambda case: rules, jump=jump)
    asked = [question for rule in rules for question in rule.pried]
    assert {question for question, _, _ in asked} == {"long?", "cancel?", "trail?"}
    for question, moment, got in asked:
        later = [bar for bar in bars if bar.timestamp >= moment]
        to_come = {price for bar in later for price in (bar.open, bar.high, bar.low, bar.close)}
        assert not got & to_come, f"{question} at {moment}: {len(got & to_come)} prices of later bars"


def test_prying_finds_what_is_within_reach() -> None:
    """So that the test above is not one of a walk that sees nothing."""

    class Hiding:
        def __init__(self) -> None:
            self.column = np.array([1.5, 2.5])
            self.view = memoryview(array("d", [3.5]))

        def method(self) -> None: ...

    hiding = Hiding()
    enclosed = [4.5, {"deep": Decimal("5.5")}]
    assert numbers([hiding.method]) >= {1.5, 2.5, 3.5}
    assert numbers({"f": lambda: enclosed}) >= {4.5, 5.5}
