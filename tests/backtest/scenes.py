"""Small markets for tests: bars in which nothing moves, some of them to be bought by ``rules.Marked``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from tests.backtest.parity import run_backtest
from tests.backtest.rules import MARK
from tests.oracle.harness import CALENDAR, Case
from tui_trader.backtest.result import BacktestResult
from tui_trader.core.bars import MINUTE, Bar
from tui_trader.strategies.base import Strategy, StrategyConfig

SESSIONS = CALENDAR.sessions(date(2013, 10, 7), date(2013, 10, 11))
OPEN = SESSIONS[0].open
#: Minutes from one session's open to the next one's.
DAY = 24 * 60


def flat(symbol: str, minutes: Sequence[int], price: float = 50.0, *, day: int = 0) -> list[Bar]:
    """Bars in which nothing moves."""
    opened = SESSIONS[day].open
    return [Bar(symbol, opened + m * MINUTE, price, price, price, price, 1000) for m in minutes]


def mark(bars: Sequence[Bar], *minutes: int) -> list[Bar]:
    """``bars``, of which those of ``minutes`` from ``OPEN`` are to be bought."""
    return [b._replace(volume=MARK) if (b.timestamp - OPEN) // MINUTE in minutes else b for b in bars]


#: Bought at 09:40 in New York, held to the end of the day.
HELD = Case(mark(flat("AAA", range(390)), 9), ("AAA",))


def ran(kind: type[Strategy], case: Case = HELD, **options: Any) -> BacktestResult:
    """``case`` traded by a strategy without parameters."""
    made = [kind(symbol, StrategyConfig()) for symbol in case.symbols]
    return run_backtest(case, lambda case: made, **options).result
