"""tui-trader's backtest: screening, candles, indicators, decisions, orders, fills, equity and breaker.

The bars are a ``BarTable``, as the reader of bars files makes it; everything after that is timed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from _measure import FAST, SLOW, Columns, Found, measure

from tui_trader.backtest.market import MarketData
from tui_trader.backtest.runner import BacktestRules, BacktestRunner
from tui_trader.engine.nyse import NyseCalendar
from tui_trader.limits import breaker_limits, risk_limits, session_rules
from tui_trader.settings import RiskSettings, SessionSettings
from tui_trader.strategies.base import Strategy, StrategyConfig
from tui_trader.strategies.sma_cross import SmaCross, SmaCrossConfig
from tui_trader.strategies.velez import Velez, VelezConfig
from tui_trader.venues.replay.bars_file import BarTable

_STRATEGIES: dict[str, tuple[type[Strategy], StrategyConfig]] = {
    "sma_cross": (SmaCross, SmaCrossConfig(sma_fast=FAST, sma_slow=SLOW)),
    "velez": (Velez, VelezConfig()),
}
_RISK, _SESSION = RiskSettings(), SessionSettings()
_RULES = BacktestRules(risk_limits(_RISK), breaker_limits(_RISK), session_rules(_SESSION))
_CALENDAR = NyseCalendar()


def without_candidates(strategy: type[Strategy]) -> type[Strategy]:
    """The same rules, but asked at every candle, as any strategy of a user's own."""
    return type(strategy.__name__, (strategy,), {"entry_candidates": Strategy.entry_candidates})


def run(table: BarTable, strategy: type[Strategy], config: StrategyConfig) -> Found:
    began = time.perf_counter()
    market = MarketData(table, _CALENDAR, float(_RISK.max_bar_jump_pct))
    screened = time.perf_counter()
    result = BacktestRunner(market, [strategy(symbol, config) for symbol in market.symbols], _RULES).run()
    return {
        "trades": len(result.trades),
        "final_equity": float(result.final_equity),
        "screening_s": screened - began,
        "run_s": time.perf_counter() - screened,
    }


def prepare(columns: Columns) -> BarTable:
    return BarTable(*columns, ())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bars", type=Path)
    parser.add_argument("--strategy", choices=sorted(_STRATEGIES), default="sma_cross")
    parser.add_argument("--every-candle", action="store_true", help="hide the strategy's entry_candidates")
    options = parser.parse_args()
    strategy, config = _STRATEGIES[options.strategy]
    if options.every_candle:
        strategy = without_candidates(strategy)
    measure(options.bars, prepare, lambda table: run(table, strategy, config))


if __name__ == "__main__":
    main()
