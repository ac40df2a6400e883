"""The line of keys at the bottom: only keys that do something now, as many as fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.style import Style

if TYPE_CHECKING:
    from tui_trader.tui.screens.trading import TradingScreen

#: Binding ids in the order of the line, and the label that stands for several keys.
_ORDER = ("flatten", "pause", "close", "cancel", "find", "symbol.previous", "zoom", "speed.slower")
_LAST = ("help", "quit")
_TOGETHER = {"symbol.previous": "[ ]", "speed.slower": "< >"}


def keys_line(screen: TradingScreen, width: int) -> Content:
    """The keys of the trading screen that work now."""
    shown = {binding.id: binding for _, binding, enabled, _ in screen.active_bindings.values() if enabled}
    paused = screen.link is not None and screen.link.model.picture.paused
    parts: dict[str, Content] = {}
    for name in (*_ORDER, *_LAST):
        binding = shown.get(name)
        if binding is None:
            continue
        key = _TOGETHER.get(name) or screen.app.get_key_display(binding)
        label = binding.description
        if name == "pause" and paused:
            label = "Resume"
        click = Style.from_meta({"@click": f"screen.{binding.action}"})
        if binding.action.startswith("app."):
            click = Style.from_meta({"@click": binding.action})
        parts[name] = Content.assemble((key, "bold $attention"), (f" {label}", click))
    panes = Content.assemble(("1-8", "bold $attention"), " Panes")
    line = _line(parts, panes)
    for name in reversed(_ORDER):
        if line.cell_length <= width:
            break
        parts.pop(name, None)
        line = _line(parts, panes)
    return line


def _line(parts: dict[str, Content], panes: Content) -> Content:
    middle = [content for name, content in parts.items() if name not in _LAST]
    last = [parts[name] for name in _LAST if name in parts]
    return Content(" ") + Content("  ").join([*middle, panes, *last])
