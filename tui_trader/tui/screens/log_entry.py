"""One entry of the log, all of it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trader.tui.screens.dialog import title
from tui_trader.tui.widgets.log_layout import LogLine
from tui_trader.tui.widgets.plain_text import clean


class LogEntryScreen(ModalScreen[None]):
    """Every word of an entry, however long; ``y`` copies it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "leave", "Close"),
        Binding("y", "copy", "Copy"),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, line: LogLine) -> None:
        super().__init__(classes="dialog-screen")
        self._line = line

    def compose(self) -> ComposeResult:
        line = self._line
        with Vertical(classes="dialog") as box:
            box.border_title = title(f"{line.time} {line.level} {line.kind} {line.symbol}".strip())
            box.border_subtitle = title("y copies  Esc closes")
            with VerticalScroll(id="entry-scroll", classes="scroll"):
                yield Static(Content(clean(line.text)), markup=False)

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(log_text(self._line))
        self.notify("copied the entry", markup=False, timeout=4)

    def action_scroll(self, by: int) -> None:
        self.query_one("#entry-scroll").scroll_relative(y=by, animate=False)


def log_text(line: LogLine) -> str:
    """An entry as tab-separated text for the clipboard."""
    return "\t".join(clean(field) for field in line)
