"""Nothing that a backtest does depends on bars that had not been delivered by then."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.backtest.parity import BacktestRun, run_backtest
from tests.backtest.rules import CuriousConfig, curious, overnight
from tests.oracle.harness import CALENDAR, Strategies, velez_of
from tests.oracle.nasty import cases
from tui_trader.backtest.market import time_of
from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.orders import Role
from tui_trader.strategies.sma_cross import SmaCrossConfig

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
        config = SmaCrossConfig(sma_fast=2, sma_slow=6, atr_period=5, candle_interval_minutes=5)
        return lambda: overnight(config)
    configs = [
        CuriousConfig(seed=data.draw(st.integers(0, 999)), candle_interval_minutes=minutes)
        for minutes in (1, 2, 5)
    ]
    return lambda: curious(configs, [])


@pytest.mark.parametrize("name", ["velez", "overnight", "curious"])
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_was_done_by_a_time_does_not_depend_on_later_bars(name: str, data: st.DataObject) -> None:
    case = data.draw(cases().filter(lambda case: case.recorded))
    rules = rules_for(name, data)
    begin = case.start or date.min
    lived = [
        bar
        for bar in case.bars
        if bar.timestamp.date() >= begin and CALENDAR.session_on(bar.timestamp.date())
    ]
    moment = lived[data.draw(st.integers(0, len(lived) - 1))].timestamp + MINUTE
    rng = random.Random(data.draw(st.integers(0, 999)))
    early = [bar for bar in case.bars if bar.timestamp < moment]
    late = [wild(bar, rng) for bar in case.bars if bar.timestamp >= moment and rng.random() < 0.9]
    whole = done_by(run_backtest(case, rules()), moment)
    assert done_by(run_backtest(replace(case, bars=early), rules()), moment) == whole
    assert done_by(run_backtest(replace(case, bars=[*early, *late]), rules()), moment) == whole
