"""The settings in force as lines to look through: what each is, where it comes from, how to change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tui_trader.config_text import shown_settings
from tui_trader.tui.keymap import known_actions
from tui_trader.tui.keys import display
from tui_trader.tui.reload import Reloaded

_KEYS: Final = "ui.keys"


class SettingRow(NamedTuple):
    """One setting. ``waiting`` is what it will be at the next start, when that differs."""

    key: str
    value: str
    source: str
    about: str
    waiting: str = ""

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every one of the words stands in it somewhere."""
        text = " ".join(self).casefold()
        return all(word in text for word in words)


def setting_rows(config: Reloaded) -> list[SettingRow]:
    """Every setting, then the keys of every action."""
    later = {one.key: one for one in shown_settings(config.read) if one.key in config.waiting}
    shown = shown_settings(config.in_force)
    rows = []
    for one in shown:
        if not one.key.startswith(_KEYS):
            waits = later.pop(one.key, None)
            gone = "not set" if one.key in config.waiting else ""
            rows.append(SettingRow(*one, waiting=gone if waits is None else waits.value))
    rows += [SettingRow(one.key, "not set", one.source, one.about, one.value) for one in later.values()]
    return rows + _key_rows({one.key: (one.value, one.source) for one in shown})


def _key_rows(changed: Mapping[str, tuple[str, str]]) -> list[SettingRow]:
    rows = []
    for name, binding in sorted(known_actions().items()):
        own = " ".join(display(key) for key in binding.key.split(","))
        key = f"{_KEYS}.{name}"
        value, source = changed.get(key, (own, "default"))
        about = binding.tooltip or binding.description
        if source != "default":
            about += f"; default {own}"
        rows.append(SettingRow(key, value, source, about))
    return rows


def how_to_change(row: SettingRow, file: str, reload_key: str) -> str:
    """What to write where, and when it takes effect."""
    table, _, name = row.key.rpartition(".")
    if row.key.startswith(_KEYS):
        table, name = _KEYS, row.key.removeprefix(f"{_KEYS}.")
    if row.source == "command line":
        return "given on the command line, which overrides environment and file"
    variable = f"TUI_TRADER_{row.key.upper().replace('.', '__')}"
    if row.source.startswith("environment "):
        place = f"set by {row.source}, which overrides the file"
    else:
        header = "[[routes]]" if table.partition(".")[0] == "routes" else f"[{table}]"
        place = f"{header} {name} = … in {file}, or {variable} in the environment"
    when = f"{reload_key} applies it" if row.key.startswith("ui.") else "in force from the next start on"
    return f"{place}; {when}"
