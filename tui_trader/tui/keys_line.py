"""The line of keys at the bottom: only keys that do something now, as many as fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.content import Content
from textual.style import Style

if TYPE_CHECKING:
    from textual.binding import Binding

    from tui_trader.tui.screens.steering import SteeringScreen

_LAST = ("help", "quit")


@dataclass(frozen=True, slots=True)
class KeysLine:
    """Binding ids in the order of the line, the first the last to give way.

    ``pairs`` names another id whose key is shown beside a key, ``panes`` the ids of all panes, named together
    while their keys count up; ``labels`` replaces descriptions.
    """

    order: tuple[str, ...]
    pairs: Mapping[str, str] = field(default_factory=dict)
    panes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def keys_line(screen: SteeringScreen, width: int, wanted: KeysLine) -> Content:
    """The keys of a screen that work now."""
    shown: dict[str, Binding] = {}
    for _, binding, enabled, _ in screen.active_bindings.values():
        if enabled and binding.id:
            shown.setdefault(binding.id, binding)  # of an action's keys the first
    display = screen.app.get_key_display
    paused = screen.link is not None and screen.link.model.picture.paused
    parts: dict[str, Content] = {}
    for name in (*wanted.order, *_LAST):
        if name not in shown:
            continue
        binding = shown[name]
        other = shown.get(wanted.pairs.get(name, ""))
        key = display(binding) if other is None else f"{display(binding)} {display(other)}"
        label = wanted.labels.get(name, binding.description)
        if name == "pause" and paused:
            label = "Resume"
        click = Style.from_meta({"@click": f"screen.{binding.action}"})
        if binding.action.startswith("app."):
            click = Style.from_meta({"@click": binding.action})
        parts[name] = Content.assemble((key, "bold $attention"), (f" {label}", click))
    counted = _counted([display(shown[name]) for name in wanted.panes if name in shown])
    panes = [Content.assemble((counted, "bold $attention"), " Panes")] if counted else []
    line = _line(parts, panes)
    for name in reversed(wanted.order):
        if line.cell_length <= width:
            break
        parts.pop(name, None)
        line = _line(parts, panes)
    return line


def _counted(keys: Sequence[str]) -> str:
    """``1-8`` for the keys 1 to 8, F1-8 for F1 to F8; empty when they do not count up."""
    if not keys or not keys[0].endswith("1"):
        return ""
    before = keys[0][:-1]
    counts = list(keys) == [f"{before}{number}" for number in range(1, len(keys) + 1)]
    return f"{keys[0]}-{len(keys)}" if counts else ""


def _line(parts: Mapping[str, Content], panes: list[Content]) -> Content:
    middle = [content for name, content in parts.items() if name not in _LAST]
    last = [parts[name] for name in _LAST if name in parts]
    return Content(" ") + Content("  ").join([*middle, *panes, *last])
