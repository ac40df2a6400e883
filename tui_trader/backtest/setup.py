"""From what a user asks for to a backtest that can run: settings, strategy, parameters and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tui_trader.backtest.market import MarketData
from tui_trader.backtest.runner import BacktestRules, BacktestRunner
from tui_trader.config import LoadedSettings, load_settings
from tui_trader.core.calendar import Calendar
from tui_trader.errors import UsageError
from tui_trader.limits import breaker_limits, risk_limits, session_rules
from tui_trader.options import BacktestOptions
from tui_trader.paths import default_config_path
from tui_trader.strategies.base import Strategy, StrategyConfig
from tui_trader.strategies.registry import check_strategy, find_strategy, strategy_config
from tui_trader.venues.replay.bars_file import BarTable, read_bars

_SECTIONS = ("risk.", "session.")


@dataclass(frozen=True, slots=True)
class BacktestPlan:
    """Everything a run needs besides the bars. It can be pickled."""

    strategy: type[Strategy]
    config: StrategyConfig
    rules: BacktestRules
    max_bar_jump_pct: float

    def runner(self, market: MarketData) -> BacktestRunner:
        """A runner over every symbol of ``market``."""
        strategies = [
            check_strategy(self.strategy, partial(self.strategy, symbol, self.config))
            for symbol in market.symbols
        ]
        for strategy, symbol in zip(strategies, market.symbols, strict=True):
            if strategy.symbol != symbol:
                raise UsageError(
                    f"strategy {strategy.name} cannot be used: made for {symbol}, it changes its symbol"
                )
        return BacktestRunner(market, strategies, self.rules)


def parse_sets(sets: Sequence[str]) -> dict[str, str]:
    """``key=value`` texts as a table. Raises ``UsageError`` for one that is none, or a key given twice."""
    found: dict[str, str] = {}
    for text in sets:
        key, separator, value = text.partition("=")
        key, value = key.strip(), value.strip()
        if not separator or not key or not value:
            raise UsageError(
                f"--set {text}: write key=value, such as sma_fast=10 or risk.max_open_positions=3"
            )
        if key in found:
            raise UsageError(f"--set {key}: given twice")
        found[key] = value
    return found


def make_plan(options: BacktestOptions, environ: Mapping[str, str], sets: Mapping[str, str]) -> BacktestPlan:
    """The user's own configuration with ``sets`` on top. Raises ``UsageError``."""
    overrides = {key: value for key, value in sets.items() if key.startswith(_SECTIONS)}
    loaded = load_settings(options.config, environ, overrides)
    settings = loaded.settings
    name = options.strategy or settings.routes[0].strategy
    where = "--strategy" if options.strategy else loaded.place_of("routes.1.strategy")
    strategy = find_strategy(name, default_config_path().parent / "strategies", where)
    config = _strategy_config(strategy, loaded, {k: v for k, v in sets.items() if k not in overrides})
    rules = BacktestRules(
        risk_limits(settings.risk), breaker_limits(settings.risk), session_rules(settings.session),
        options.cash, options.slippage_ticks,
    )  # fmt: skip
    return BacktestPlan(strategy, config, rules, float(settings.risk.max_bar_jump_pct))


def _strategy_config(
    strategy: type[Strategy], loaded: LoadedSettings, sets: Mapping[str, str]
) -> StrategyConfig:
    """The first route of this strategy says its parameters, ``sets`` change them."""
    values: dict[str, object] = {}
    for number, route in enumerate(loaded.settings.routes, start=1):
        if route.strategy == strategy.name:
            values = dict(route.config)
            strategy_config(strategy, values, loaded.place_of(f"routes.{number}.config"))
            break
    return strategy_config(strategy, {**values, **sets}, "--set") if sets else strategy_config(
        strategy, values, "routes"
    )  # fmt: skip


def read_table(options: BacktestOptions) -> BarTable:
    """The recorded bars that ``options`` name. Raises ``UsageError``."""
    wanted = frozenset(options.symbols) if options.symbols else None
    return read_bars([Path(path) for path in options.bars], wanted, options.skip_bad)


def make_market(
    table: BarTable, plan: BacktestPlan, calendar: Calendar, symbols: Sequence[str] | None
) -> MarketData:
    """``table`` ready for trading; ``symbols`` that were asked for and have no bar are told of."""
    return MarketData(table, calendar, plan.max_bar_jump_pct, tuple(symbols or ()))
