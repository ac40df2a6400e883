"""A mistake in either loop is noticed by the comparison of the two: each is made here, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.backtest.parity import engine_differences, market_of, oracle_differences, run_backtest
from tests.backtest.rules import CuriousConfig, curious
from tests.oracle.harness import CALENDAR, Case, EngineRun, Line, compare, run_engine, simulated_bars
from tests.oracle.oracle import RiskParams, VelezParams
from tui_trader.backtest import account, candles, desk, floor, market, runner, tape
from tui_trader.core import bars as core_bars
from tui_trader.core import decide, fills
from tui_trader.core.bars import MINUTE, Bar
from tui_trader.engine import desk as engine_desk
from tui_trader.engine import ledger
from tui_trader.engine import market as engine_market
from tui_trader.engine import trading_day
from tui_trader.venues.exchange import broker
from tui_trader.venues.replay import feed

# exchange_calendars and its pandas do not quite agree.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

Patch = pytest.MonkeyPatch
Change = Callable[[Patch], None]

SYMBOLS = ("AAPL", "AMD", "SLOW")
CONFIGS = [CuriousConfig(seed=5, candle_interval_minutes=minutes) for minutes in (1, 2, 5)]


def scaled(bar: Bar, factor: float) -> Bar:
    return bar._replace(
        open=bar.open * factor, high=bar.high * factor, low=bar.low * factor, close=bar.close * factor
    )


def spoiled(bar: Bar, minute: int, day: int) -> Bar | None:
    """Minute ``minute`` of session ``day`` of AAPL, with everything that can be wrong with it."""
    if minute in (40, 41, 42) or minute % 50 == 9:
        return None  # a hole, and windows without their last minute
    if minute in (90, 330):
        return scaled(bar, 1.4)  # a jump that is not confirmed
    if minute == 120:
        return bar._replace(high=bar.high * 1.5)  # a wick that is cut back
    factor = 0.5 if day else 1.0  # a split overnight
    return scaled(bar, 1.3 * factor if minute >= 200 else factor)  # a jump that is believed late


def make_case() -> Case:
    sessions = CALENDAR.sessions(date(2013, 11, 27), date(2013, 11, 29))
    made: list[Bar] = []
    for bar in simulated_bars(SYMBOLS, 3, sessions):
        day = int(bar.timestamp >= sessions[1].open)
        minute = (bar.timestamp - sessions[day].open) // MINUTE
        kept = spoiled(bar, minute, day) if bar.symbol == "AAPL" else bar
        if kept is not None:
            made.append(kept)
    risk = RiskParams(
        max_risk_per_trade_pct=Decimal(5), max_position_pct=Decimal(25), max_volume_pct=Decimal(10),
        consecutive_loss_pause=4, max_daily_loss_pct=Decimal(1), max_open_positions=2,
    )  # fmt: skip
    velez = VelezParams(sma_fast=5, sma_slow=100, candle_interval_minutes=1, strong_candle_body_pct=30.0)
    return Case(made, SYMBOLS, velez, risk)
