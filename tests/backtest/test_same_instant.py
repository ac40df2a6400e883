"""What happens at one instant happens in the order of DESIGN §9, also where one thing would undo another."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.backtest.parity import engine_differences, oracle_differences, run_backtest
from tests.oracle.harness import Case, run_engine
from tests.oracle.oracle import RiskParams, VelezParams
from tui_trader.core.bars import MINUTE, Bar

pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

OPEN = datetime(2013, 10, 9, 13, 30, tzinfo=UTC)
EAGER = VelezParams(sma_fast=5, sma_slow=100, candle_interval_minutes=1, cooldown_candles=0)


def bar(symbol: str, minute: int, open_: float, high: float, low: float, close: float) -> Bar:
    return Bar(symbol, OPEN + minute * MINUTE, open_, high, low, close, 1000)


def quiet(symbol: str, minutes: range) -> list[Bar]:
    return [bar(symbol, minute, 50.0, 50.0, 50.0, 50.0) for minute in minutes]


def signal(symbol: str, minute: int) -> Bar:
    """After a quiet time: buy at 50.2, stop just below 50."""
    return bar(symbol, minute, 50.0, 50.2, 50.0, 50.2)


def test_an_entry_filled_in_the_instant_in_which_the_breaker_trips_stands() -> None:
    """AAA's stop is hit, and trips the breaker, in the very minute that reaches BBB's entry."""
    aaa = [
        *quiet("AAA", range(101)), signal("AAA", 101), bar("AAA", 102, 50.2, 50.3, 49.5, 49.9),
        *quiet("AAA", range(103, 109)), signal("AAA", 109), bar("AAA", 110, 50.2, 50.3, 50.15, 50.2),
        bar("AAA", 111, 50.2, 50.2, 49.0, 49.0), *quiet("AAA", range(112, 130)),
    ]  # fmt: skip
    bbb = [
        *quiet("BBB", range(110)), signal("BBB", 110), bar("BBB", 111, 50.2, 50.4, 50.2, 50.4),
        *quiet("BBB", range(112, 130)),
    ]  # fmt: skip
    risk = RiskParams(consecutive_loss_pause=2)
    velez = replace(EAGER, strong_candle_body_pct=30.0)
    case = Case([*aaa, *bbb], ("AAA", "BBB"), velez, risk)
    run = run_backtest(case)
    tripped = run.result.trips[0].time
    assert tripped == OPEN + 112 * MINUTE
    assert [fill.symbol for fill in run.result.fills if fill.time == OPEN + 111 * MINUTE] == ["AAA", "BBB"]
    assert not engine_differences(run_engine(case), run)
    assert not oracle_differences(run)
