"""Checks keys of one's own: what cannot be meant is refused before anything starts.

Imported only where keys were changed, for it knows every widget that has some.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import REPLACED_KEYS, Keys, _character_to_key, key_to_character

from tui_trader.config import LoadedSettings
from tui_trader.errors import UsageError
from tui_trader.tui.keys import APP_KEYS, Keymap, display, key_list

#: Who trades must be able to stop: these never lose their keys.
ESSENTIAL: Final = ("flatten", "pause", "quit", "app.quit")
#: These mean the same everywhere, in dialogs and while something is typed.
_RESERVED: Final = ("enter", "escape", "tab", "shift+tab", "ctrl+c")
_MODIFIERS: Final = ("alt", "ctrl", "hyper", "meta", "shift", "super")
#: A terminal sends the same for both.
_SAME: Final = {"ctrl+i": "Tab", "ctrl+m": "Enter", "ctrl+j": "Enter", "ctrl+left_square_bracket": "Esc"}
_PRIORITY: Final = frozenset(binding.id or "" for binding in APP_KEYS)


class KeymapError(ValueError):
    """What is wrong with the keys given to the action ``name``; the text is a reason with its cure."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


class Owner(NamedTuple):
    """Who has a key: the action's binding id, or none, and its words."""

    name: str
    words: str
    does: str  # the same for two ways to the same effect


def check_keymap(keymap: Keymap) -> None:
    """Raises ``KeymapError`` for unknown actions and keys, clashes, and the loss of a vital key."""
    known = known_actions()
    changed: dict[str, tuple[str, ...]] = {}
    for name, text in keymap.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            cure = f"did you mean {near[0]}?" if near else "the settings screen lists all"
            raise KeymapError(name, f"no such action; {cure}")
        changed[name] = tuple(_checked_key(name, key, known[name]) for key in key_list(text))
        if not changed[name] and name in ESSENTIAL:
            raise KeymapError(name, f"{name} must keep a key")
    for scope in _scopes():
        _refuse_clashes(scope, changed)


def refuse_bad_keys(loaded: LoadedSettings) -> None:
    """Raises ``UsageError`` that names place and action when the keys in ``loaded`` cannot be used."""
    keys = loaded.settings.ui.keys
    try:
        check_keymap(keys)
    except KeymapError as error:
        setting = f"ui.keys.{error.name}"
        text = f'{loaded.place_of(setting)} = "{keys[error.name]}": {error}'
        raise UsageError(text) from None


@cache
def known_actions() -> Mapping[str, Binding]:
    """Every action that can have another key, by binding id; its ``key`` is the list of its own."""
    found: dict[str, Binding] = {}
    for scope in _scopes():
        for binding in scope:
            if binding.id and binding.id not in found:
                own = dict.fromkeys(other.key for other in scope if other.id == binding.id)
                found[binding.id] = binding.with_key(",".join(own))
    return found


# ---- keys ----------------------------------------------------------------------------------------------


def canonical(key: str) -> str:
    """A key as the terminal's news name it. Raises ``ValueError`` with a reason and its cure."""
    if len(key) == 1:
        return _character_to_key(key)
    *modifiers, base = (f"{key[:-1]}plus" if key.endswith("++") else key).split("+")
    modifiers = sorted(modifier.lower() for modifier in modifiers)
    wrong = next((modifier for modifier in modifiers if modifier not in _MODIFIERS), None)
    if wrong is not None:
        raise ValueError(f"no such modifier {wrong!r}; there are {', '.join(_MODIFIERS)}")
    character = _character(base)
    if character is None and base.lower() not in _named_keys():
        near = difflib.get_close_matches(base.lower(), _named_keys(), n=1)
        cure = f"did you mean {near[0]}?" if near else "try F, ctrl+r, f5 or pageup"
        raise ValueError(f"no such key; {cure}")
    if character is not None and "shift" in modifiers:
        raise ValueError("Shift is not told with a character; write the character it gives, such as F")
    base = base.lower() if character is None else _character_to_key(character)
    if "ctrl" in modifiers and len(base) == 1:
        base = base.lower()
    name = "+".join([*modifiers, base])
    if name in _SAME:
        raise ValueError(f"a terminal sends it for {_SAME[name]}; choose another key")
    return name


def _character(base: str) -> str | None:
    """The character that a key without modifiers is, by itself or by its name; None for other keys."""
    if len(base) == 1:
        return base
    name = base.lower()
    character = None if name in _named_keys() else key_to_character(REPLACED_KEYS.get(name, name))
    return character if character is not None and character.isprintable() else None


def _checked_key(name: str, key: str, default: Binding) -> str:
    try:
        found = canonical(key)
    except ValueError as error:
        raise KeymapError(name, str(error)) from None
    if found in _RESERVED and found not in default.key.split(","):
        raise KeymapError(name, f"{display(found)} is needed in dialogs; choose another key")
    if name in _PRIORITY and not (found.startswith(("ctrl+", "alt+")) or _is_function_key(found)):
        raise KeymapError(name, "this one acts while something is typed: use ctrl+, alt+ or a function key")
    return found


@cache
def _named_keys() -> Sequence[str]:
    """Keys that are no characters."""
    return [key.value for key in Keys if key.value.isalnum() and len(key.value) > 1]


def _is_function_key(key: str) -> bool:
    base = key.rpartition("+")[2]
    return base[:1] == "f" and base[1:].isdigit()


# ---- clashes -------------------------------------------------------------------------------------------


@cache
def _scopes() -> Sequence[Sequence[Binding]]:
    """The bindings that are in force together: those of a widget, of its screen and of the application."""
    from tui_trader.tui.app import TraderApp
    from tui_trader.tui.backtest.equity_chart import EquityChart
    from tui_trader.tui.backtest.form_page import FormTable
    from tui_trader.tui.backtest.result_page import RemarksPane
    from tui_trader.tui.screens.backtest import BacktestScreen
    from tui_trader.tui.screens.trading import TradingScreen
    from tui_trader.tui.widgets.candle_chart import CandleChart
    from tui_trader.tui.widgets.live_table import LiveTable
    from tui_trader.tui.widgets.log_view import LogView

    focus: dict[type[DOMNode], tuple[type[DOMNode], ...]] = {
        TradingScreen: (LiveTable, CandleChart, LogView),
        BacktestScreen: (LiveTable, CandleChart, FormTable, EquityChart, RemarksPane),
    }
    return [
        [*_bindings(widget), *_bindings(screen), *_bindings(TraderApp)]
        for screen, widgets in focus.items()
        for widget in widgets
    ]


def _bindings(node: type[DOMNode]) -> Iterator[Binding]:
    merged = node._merged_bindings
    if merged is not None:
        yield from (binding for group in merged.key_to_bindings.values() for binding in group)


def _refuse_clashes(scope: Iterable[Binding], changed: Mapping[str, tuple[str, ...]]) -> None:
    before: dict[str, set[Owner]] = {}
    after: dict[str, set[Owner]] = {}
    for binding in scope:
        name = binding.id or ""
        owner = Owner(name, binding.tooltip or binding.description, binding.action.removeprefix("app."))
        before.setdefault(binding.key, set()).add(owner)
        for key in changed.get(name, (binding.key,)):
            after.setdefault(key, set()).add(owner)
    # A widget may have a key for itself by design, as the chart does: that is no news.
    together = {frozenset((one, other)) for group in before.values() for one in group for other in group}
    for key, group in after.items():
        for mine in sorted(group):
            for other in sorted(group - {mine}):
                if mine.name in changed and mine.does != other.does:
                    if frozenset((mine, other)) in together:
                        continue
                    whose = other.name or other.words
                    raise KeymapError(
                        mine.name, f"{display(key)} is the key of {whose}; give one of them another"
                    )
