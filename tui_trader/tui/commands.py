"""The command palette: every action and every symbol, each with the key that does the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tui_trader.tui.widgets.plain_text import clean

if TYPE_CHECKING:
    from textual.binding import Binding

    from tui_trader.tui.screens.steering import SteeringScreen


class Entry(NamedTuple):
    """One line of the palette."""

    name: str
    help: str
    run: Callable[[], object]


class TraderCommands(Provider):
    """Every action of the screen that works now; on the trading screen also every symbol to look at."""

    async def discover(self) -> Hits:
        for entry in self._actions():
            yield DiscoveryHit(Content(entry.name), entry.run, text=entry.name, help=entry.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in (*self._actions(), *self._symbols()):
            score = matcher.match(entry.name)
            if score > 0:
                # Not the matcher's highlight: it would parse a symbol as markup.
                yield Hit(score, Content(entry.name), entry.run, text=entry.name, help=entry.help)

    @property
    def _steering(self) -> SteeringScreen:
        return cast("SteeringScreen", self.screen)

    def _actions(self) -> Iterator[Entry]:
        screen = self._steering
        keys: dict[str, list[str]] = {}
        actions: dict[str, Binding] = {}
        for active in screen.active_bindings.values():
            binding = active.binding
            if active.node is screen and binding.id and active.enabled and binding.tooltip:
                keys.setdefault(binding.id, []).append(screen.app.get_key_display(binding))
                actions[binding.id] = binding
        for name, binding in actions.items():
            entry = f"{binding.tooltip} ({' '.join(keys[name])})"
            yield Entry(entry, name, partial(screen.run_action, binding.action))
        yield Entry("Reset the circuit breaker", "breaker.reset", screen.action_reset_breaker)
        for theme in screen.trader.theme_names:
            yield Entry(f"Theme {theme}", "theme", partial(screen.trader.use_theme, theme))

    def _symbols(self) -> Iterator[Entry]:
        trading = self._steering.trader.trading
        if trading is self.screen and trading.link is not None:
            for symbol in trading.link.model.picture.lines:
                yield Entry(f"Show {clean(symbol)}", "symbol", partial(trading.choose_symbol, symbol))
