"""A question with two answers."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trader.tui.screens.dialog import Choice, title
from tui_trader.tui.widgets.plain_text import clean


class ConfirmScreen(ModalScreen[bool]):
    """True for yes. The focus begins on *Cancel*."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]
    AUTO_FOCUS = "#no"

    def __init__(self, word: str, text: str) -> None:
        super().__init__(classes="dialog-screen")
        self._word = word
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -attention") as box:
            box.border_title = title(self._word)
            yield Static(Content(clean(self._text)), classes="body", markup=False)
            with Horizontal(classes="choices -row"):
                yield Choice(self._word, id="yes", key="y")
                yield Choice("Cancel", id="no", key="Esc")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)

    def on_choice_chosen(self, event: Choice.Chosen) -> None:
        self.dismiss(event.choice.id == "yes")
