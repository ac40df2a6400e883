"""The line of keys at the bottom: only keys that do something now, as many as fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.content import Content
from textual.style import Style

if TYPE_CHECKING:
    from tui_trader.tui.screens.steering import SteeringScreen

_LAST = ("help", "quit")


@dataclass(frozen=True, slots=True)
class KeysLine:
    """Binding ids in the order of the line, the first the last to give way.

    ``together`` is what stands for several keys, ``labels`` replaces descriptions, ``panes`` names the
    panes' keys.
    """

    order: tuple[str, ...]
    together: Mapping[str, str] = field(default_factory=dict)
    panes: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def keys_line(screen: SteeringScreen, width: int, wanted: KeysLine) -> Content:
    """The keys of a screen that work now."""
    shown = {binding.id: binding for _, binding, enabled, _ in screen.active_bindings.values() if enabled}
    paused = screen.link is not None and screen.link.model.picture.paused
    parts: dict[str, Content] = {}
    for name in (*wanted.order, *_LAST):
        binding = shown.get(name)
        if binding is None:
            continue
        key = wanted.together.get(name) or screen.app.get_key_display(binding)
        label = wanted.labels.get(name, binding.description)
        if name == "pause" and paused:
            label = "Resume"
        click = Style.from_meta({"@click": f"screen.{binding.action}"})
        if binding.action.startswith("app."):
            click = Style.from_meta({"@click": binding.action})
        parts[name] = Content.assemble((key, "bold $attention"), (f" {label}", click))
    panes = [Content.assemble((wanted.panes, "bold $attention"), " Panes")] if wanted.panes else []
    line = _line(parts, panes)
    for name in reversed(wanted.order):
        if line.cell_length <= width:
            break
        parts.pop(name, None)
        line = _line(parts, panes)
    return line


def _line(parts: Mapping[str, Content], panes: list[Content]) -> Content:
    middle = [content for name, content in parts.items() if name not in _LAST]
    last = [parts[name] for name in _LAST if name in parts]
    return Content(" ") + Content("  ").join([*middle, *panes, *last])
