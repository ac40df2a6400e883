"""One strategy a symbol."""

from __future__ import annotations

import pytest

from tui_trader.engine.routes import Route, SymbolClaimedTwice, strategies_for
from tui_trader.scanners.static import StaticScanner
from tui_trader.strategies.sma_cross import SmaCross, SmaCrossConfig
from tui_trader.strategies.velez import Velez, VelezConfig


def velez(*symbols: str) -> Route:
    return Route(StaticScanner(symbols), Velez, VelezConfig(sma_fast=30))


def cross(*symbols: str) -> Route:
    return Route(StaticScanner(symbols), SmaCross, SmaCrossConfig())


def test_every_symbol_gets_a_strategy_of_its_own_in_order_of_symbol() -> None:
    made = strategies_for([velez("TSLA", "AAPL"), cross("AMD")])
    assert [(s.symbol, type(s)) for s in made] == [("AAPL", Velez), ("AMD", SmaCross), ("TSLA", Velez)]
    assert made[0] is not made[2]
    assert made[0].config == VelezConfig(sma_fast=30)


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ([velez("AAPL"), cross("AMD", "AAPL")], "AAPL is claimed by velez and by sma_cross"),
        ([velez("AAPL", "AAPL")], "AAPL is claimed by velez and by velez"),
    ],
)
def test_a_symbol_claimed_twice_is_a_mistake(routes: list[Route], message: str) -> None:
    with pytest.raises(SymbolClaimedTwice, match=f"^{message}$"):
        strategies_for(routes)


def test_no_routes_are_no_strategies() -> None:
    assert strategies_for([]) == []
    assert strategies_for([velez()]) == []
