"""The card of the first run: what this is, and how to go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trader.tui.keys import DEFAULT_NAMES
from tui_trader.tui.screens.dialog import Choice, title


class WelcomeScreen(ModalScreen[None]):
    """Dismissed by any of its keys; the simulated market runs on behind it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Begin"),
        Binding("question_mark", "help", "Help", id="help"),
    ]

    def __init__(self, config_file: Path | None, key_names: Mapping[str, str] = DEFAULT_NAMES) -> None:
        super().__init__(classes="dialog-screen")
        self._config_file = config_file
        self._key_names = key_names

    def compose(self) -> ComposeResult:
        keys = self._key_names
        text = Content.assemble(
            ("tui-trader trades US equities by rule and shows everything it does.\n", "bold $strong"),
            "\nThis is a simulated market: no account, no money, one minute a second.\n",
            "Watch it warm up, arm, buy, trail its stops and close the day flat.\n",
            "\nTo trade an Alpaca paper account instead, leave, put its keys into the environment as\n",
            "APCA_API_KEY_ID and APCA_API_SECRET_KEY, and run tui-trader doctor --venue alpaca.\n",
            *([f"Settings are read from {self._config_file}.\n"] if self._config_file else []),
            "\n",
            (keys["flatten"], "bold $attention"),
            " flattens everything   ",
            (keys["pause"], "bold $attention"),
            " pauses   ",
            (keys["help"], "bold $attention"),
            " all keys   ",
            (keys["quit"], "bold $attention"),
            " quits",
        )
        with Vertical(classes="dialog") as box:
            box.border_title = title("Welcome")
            yield Static(text, classes="body", markup=False)
            with Horizontal(classes="choices -row"):
                yield Choice("Begin", id="begin", key="Enter")

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_help(self) -> None:
        self.dismiss(None)
        self.app.call_later(self.app.screen_stack[0].run_action, "help")

    def on_choice_chosen(self, event: Choice.Chosen) -> None:
        self.dismiss(None)
