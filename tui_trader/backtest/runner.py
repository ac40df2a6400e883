"""stub, being written"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tui_trader.backtest.market import MarketData
from tui_trader.backtest.result import BacktestResult
from tui_trader.core.breaker import BreakerLimits
from tui_trader.core.risk import RiskLimits
from tui_trader.engine.sessions import SessionRules
from tui_trader.strategies.base import Strategy


@dataclass(frozen=True, slots=True)
class BacktestRules:
    """The account and the limits it is traded under; ``cash`` in dollars."""

    risk: RiskLimits
    breaker: BreakerLimits
    session: SessionRules
    cash: Decimal = Decimal(100_000)
    slippage_ticks: int = 1


class BacktestRunner:
    """One strategy instance a symbol over recorded bars."""

    def __init__(self, market: MarketData, strategies: Sequence[Strategy], rules: BacktestRules) -> None: ...

    def run(self, progress: Callable[[float], None] | None = None) -> BacktestResult:
        """Trade all sessions. ``progress`` is told the share done, from 0 to 1, a few times a second."""
        raise NotImplementedError
