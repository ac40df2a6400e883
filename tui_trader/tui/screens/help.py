"""All keys, generated from the bindings themselves: what is not bound is not listed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trader.tui.screens.dialog import title

if TYPE_CHECKING:
    from tui_trader.tui.screens.steering import SteeringScreen

_KEY_WIDTH = 14
_LEGEND = (
    ("SIM blue, REPLAY violet, PAPER amber, LIVE red", "whose money it is"),
    ("amber", "needs attention: armed, working, late"),
    ("red border", "a position without a working stop"),
    ("dim", "stale, or over"),
)


class HelpScreen(ModalScreen[None]):
    """Keys by where they work, and what the colours mean."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "leave", "Close"),
        Binding("question_mark", "leave", "Close", id="help"),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, screen: SteeringScreen) -> None:
        super().__init__(classes="dialog-screen")
        self._about = screen

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = title("Keys")
            box.border_subtitle = title("Esc closes")
            with VerticalScroll(id="help-scroll", classes="scroll -tall"):
                yield Static(self._text(), markup=False)

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_scroll(self, by: int) -> None:
        self.query_one("#help-scroll").scroll_relative(y=by, animate=False)

    def _text(self) -> Content:
        groups = [*self._about.help_groups(), ("Application", bindings_of(self.app))]
        parts: list[Content] = []
        for name, bindings in groups:
            parts.append(Content.styled(name, "bold $attention"))
            parts += [self._line(keys, text) for keys, text in self._merged(bindings)]
            parts.append(Content(""))
        parts.append(Content.styled("Colours", "bold $attention"))
        parts += [Content.assemble((f"  {what}", "bold"), f"  {meaning}") for what, meaning in _LEGEND]
        settings = self._about.trader.key_names["settings"]
        parts.append(Content(f"\nOther keys: [ui.keys] in the configuration; {settings} names every action"))
        return Content("\n").join(parts)

    def _merged(self, bindings: Iterable[Binding]) -> list[tuple[str, str]]:
        """One line for an action, whatever number of keys it has."""
        lines: dict[str, tuple[list[str], str]] = {}
        for binding in bindings:
            keys, _ = lines.setdefault(binding.action, ([], binding.tooltip or binding.description))
            if (key := self.app.get_key_display(binding)) not in keys:
                keys.append(key)
        return [(" ".join(keys), text) for keys, text in lines.values() if text]

    def _line(self, keys: str, text: str) -> Content:
        return Content.assemble((f"  {keys:<{_KEY_WIDTH}}", "bold $strong"), text)


def bindings_of(node: DOMNode) -> list[Binding]:
    """The bindings of a widget, a screen or the application that have an id, with the keys they have now."""
    bindings = node._bindings.copy()  # the only list Textual keeps
    bindings.apply_keymap(node.app._keymap)
    order = [binding.id for group in node._bindings.key_to_bindings.values() for binding in group]
    found = [binding for group in bindings.key_to_bindings.values() for binding in group if binding.id]
    return sorted(found, key=lambda binding: order.index(binding.id))
