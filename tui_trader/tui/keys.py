"""The keys of the trading screen. The palette, the help and the line of keys are made from this table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from textual.binding import Binding
from textual.keys import format_key

#: The panes in the order of their keys, 1 to 8.
PANES: Final = ("Watchlist", "Chart", "Positions", "Orders", "Log", "Strategies", "Risk", "Equity today")


def _key(key: str, action: str, name: str, label: str, tooltip: str) -> Binding:
    return Binding(key, action, label, id=name, tooltip=tooltip, show=False)


#: Not one has priority: none may act while something is typed, or under a dialog.
KEYS: Final[tuple[Binding, ...]] = (
    _key("F", "flatten", "flatten", "Flatten", "Flatten all: cancel and close everything; asks first"),
    _key("p", "pause", "pause", "Pause", "Pause or resume entries; exits and stops stay active"),
    _key("x", "close_position", "close", "Close", "Close the selected position; asks first"),
    _key("c", "cancel_order", "cancel", "Cancel", "Cancel the selected working entry"),
    _key("slash", "find", "find", "Find", "Find in the focused table, else in the watchlist"),
    *(
        _key(str(number), f"pane({number})", f"pane.{number}", "Pane", f"Go to: {name}")
        for number, name in enumerate(PANES, 1)
    ),
    _key("z", "zoom", "zoom", "Zoom", "The focused pane alone, and back"),
    _key("0", "reset", "reset", "All panes", "All panes again"),
    _key("left_square_bracket", "symbol(-1)", "symbol.previous", "Symbol", "Previous symbol"),
    _key("right_square_bracket", "symbol(1)", "symbol.next", "Symbol", "Next symbol"),
    _key("plus,equals_sign", "chart('zoom', -1)", "bars.in", "Zoom in", "Chart: fewer, wider bars"),
    _key("minus", "chart('zoom', 1)", "bars.out", "Zoom out", "Chart: more bars"),
    _key("h", "chart('scroll_pages', -1)", "bars.earlier", "Earlier", "Chart: earlier bars"),
    _key("l", "chart('scroll_pages', 1)", "bars.later", "Later", "Chart: later bars"),
    _key("comma", "chart('interval', -1)", "bars.shorter", "Interval", "Chart: shorter candles"),
    _key("full_stop", "chart('interval', 1)", "bars.longer", "Interval", "Chart: longer candles"),
    _key("b", "backtest", "backtest", "Backtest", "Backtest: try a strategy on recorded bars"),
    _key("less_than_sign", "speed(-1)", "speed.slower", "Speed", "Slower market (sim, replay)"),
    _key("greater_than_sign", "speed(1)", "speed.faster", "Speed", "Faster market (sim, replay)"),
    _key("a", "alerts", "alerts", "Alert", "Price alerts: set one, see and delete all"),
    _key("y", "copy", "copy", "Copy", "Copy the selected row"),
    _key("t", "theme", "theme", "Theme", "Next theme"),
    _key("f2", "settings", "settings", "Settings", "Settings in force and their sources"),
    _key("ctrl+r", "reload", "reload", "Reload", "Read configuration and themes again"),
    _key("ctrl+l", "repaint", "repaint", "Repaint", "Paint the whole screen again"),
    _key("question_mark", "help", "help", "Help", "All keys"),
    _key("q", "app.quit", "quit", "Quit", "Leave; asks when anything is open"),
)

#: The application's own. They act under dialogs and while something is typed.
APP_KEYS: Final = (
    Binding("ctrl+q", "quit", "Quit", show=False, priority=True, id="app.quit", tooltip="Leave"),
    Binding(
        "ctrl+p", "command_palette", "Commands", show=False, priority=True, id="commands",
        tooltip="Commands: every action and every symbol by name",
    ),
)  # fmt: skip

#: Begins what stands in place of the key of an action that has none.
_UNBOUND: Final = "unbound:"
_COMMA: Final = "comma"
_SHOWN: Final = {"escape": "Esc", "enter": "Enter"}

#: What a person set: binding id → keys, separated by commas; nothing between them means no key.
Keymap = Mapping[str, str]


def key_list(text: str) -> Sequence[str]:
    """The keys in a text that separates them by commas; the comma alone is the key."""
    return [","] if text.strip() == "," else [key.strip() for key in text.split(",") if key.strip()]


def for_textual(keymap: Keymap) -> dict[str, str]:
    """The form that the framework wants, for which a key of nothing would be no change."""
    keys = {name: [_COMMA if key == "," else key for key in key_list(text)] for name, text in keymap.items()}
    return {name: ",".join(listed) or f"{_UNBOUND}{name}" for name, listed in keys.items()}


def display(key: str) -> str:
    """How a key is written on the screen."""
    if key.startswith(_UNBOUND):
        return "—"
    *modifiers, name = key.split("+")
    if len(name) > 1 and name[0] == "f" and name[1:].isdigit():
        shown = name.upper()
    else:
        shown = _SHOWN.get(name) or format_key(name)
    return "+".join([*modifiers, shown])


def key_names(keymap: Keymap) -> Mapping[str, str]:
    """How the first key of every action is written, by binding id, for sentences that name keys."""
    changed = for_textual(keymap)
    keys = {binding.id or "": binding.key for binding in (*KEYS, *APP_KEYS)}
    return {name: display(changed.get(name, key).split(",")[0]) for name, key in keys.items()}


DEFAULT_NAMES: Final = MappingProxyType(key_names({}))
