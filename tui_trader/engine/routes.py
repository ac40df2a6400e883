"""Routes: a scanner's symbols, each given a strategy of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tui_trader.scanners.base import Scanner
from tui_trader.strategies.base import Strategy, StrategyConfig


class SymbolClaimedTwice(Exception):  # noqa: N818 - it is the configuration's mistake
    """Two routes want one symbol; one strategy a symbol is the rule."""


@dataclass(frozen=True, slots=True)
class Route:
    scanner: Scanner
    strategy: type[Strategy]
    config: StrategyConfig


def make_strategy(route: Route, symbol: str) -> Strategy:
    return route.strategy(symbol, route.config)


def strategies_for(
    routes: Sequence[Route], make: Callable[[Route, str], Strategy] = make_strategy
) -> list[Strategy]:
    """One strategy instance for every symbol of every route, in order of symbol.

    Raises ``SymbolClaimedTwice``.
    """
    made: dict[str, Strategy] = {}
    for route in routes:
        for symbol in route.scanner.symbols():
            if symbol in made:
                raise SymbolClaimedTwice(
                    f"{symbol} is claimed by {made[symbol].name} and by {route.strategy.name}"
                )
            made[symbol] = make(route, symbol)
    return [made[symbol] for symbol in sorted(made)]
