"""The README's own strategy works as it stands there, at every period that it allows."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.backtest.parity import result_differences, run_backtest
from tests.oracle.harness import CALENDAR, Case
from tests.oracle.markets import simulated_bars

pytestmark = pytest.mark.filterwarnings("ignore:Series.values")

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("period", [5, 20, 200])
def test_the_readmes_strategy_trades_alike_with_and_without_candidates(period: int) -> None:
    names: dict[str, Any] = {}
    exec("".join(re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)), names)
    rule, config = names["AboveAverage"], names["Config"]
    assert "entry_candidates" in vars(rule)
    sessions = CALENDAR.sessions(date(2013, 10, 7), date(2013, 10, 10))
    case = Case(simulated_bars(("AAPL", "AMD"), 1, sessions), ("AAPL", "AMD"))

    def made(case: Case) -> list[Any]:
        return [rule(symbol, config(period=period)) for symbol in case.symbols]

    run = run_backtest(case, made)
    assert run.result.trades
    assert not result_differences(run, run_backtest(case, made, jump=False))
