"""What dialogs share: a bordered box in the middle, words in it, and choices that keys and mouse reach."""

from __future__ import annotations

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from tui_trader.tui.widgets.plain_text import clean


class Choice(Static, can_focus=True):
    """One thing to choose: Enter, space or a click."""

    BINDINGS = [Binding("enter,space", "choose", "Choose", show=False)]  # noqa: RUF012 - Textual's form

    class Chosen(Message):
        """This choice was made."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> Choice:
            return self.choice

    def __init__(self, label: str, *, id: str, key: str = "", danger: bool = False) -> None:  # noqa: A002
        hint = f"{key} " if key else ""
        super().__init__(Content.assemble((hint, "bold"), label), id=id, markup=False)
        self.set_class(danger, "-danger")

    def action_choose(self) -> None:
        self.post_message(self.Chosen(self))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.action_choose()


def title(text: str) -> Content:
    """A border title: text, never markup."""
    return Content(clean(text))
