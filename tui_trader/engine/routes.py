"""Routes: a scanner's symbols, each given a strategy of its own."""

from __future__ import annotations

from collections.abc import Sequence
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


def strategies_for(routes: Sequence[Route]) -> list[Strategy]:
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
            made[symbol] = route.strategy(symbol, route.config)
    return [made[symbol] for symbol in sorted(made)]
