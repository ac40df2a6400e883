"""Leaving: asks what becomes of positions, then shows the shutdown until the engine has stopped."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trader.core.events import EngineState
from tui_trader.engine.handle import PositionsPolicy
from tui_trader.tui.formats import signed
from tui_trader.tui.link import EngineLink
from tui_trader.tui.screens.dialog import Choice, title
from tui_trader.tui.widgets.plain_text import clean


class QuitScreen(ModalScreen[PositionsPolicy | None]):
    """Close everything and quit, leave protected and quit, or stay."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "close_all", "Close everything and quit"),
        Binding("k", "keep", "Leave protected and quit"),
        Binding("escape,n", "stay", "Stay"),
        Binding("q", "stay", "Stay", id="quit"),
        Binding("up", "app.focus_previous", "Previous", show=False),
        Binding("down", "app.focus_next", "Next", show=False),
    ]
    AUTO_FOCUS = "#stay"

    def __init__(self, link: EngineLink) -> None:
        super().__init__(classes="dialog-screen")
        self._link = link

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -attention") as box:
            box.border_title = title("Quit")
            yield Static("", id="state", classes="body", markup=False)
            with Vertical(classes="choices"):
                yield Choice("close everything and quit", id="close", key="e", danger=True)
                yield Choice("leave protected and quit", id="keep", key="k")
                yield Choice("stay", id="stay", key="Esc")
            yield Static("", id="note", classes="note", markup=False)

    def on_mount(self) -> None:
        self.paint()

    def paint(self) -> None:
        """Follow the engine: what is open, and whether all of it is protected."""
        picture = self._link.model.picture
        lines = [
            f"{clean(position.symbol)} {position.qty} shares, {signed(position.unrealized_pnl)}"
            for position in picture.positions.values()
        ]
        working = len(picture.own_orders)
        lines.append(f"{working} working {'order' if working == 1 else 'orders'}")
        self.query_one("#state", Static).update(Content("\n".join(lines)))
        naked = picture.unprotected
        self.query_one("#keep").set_class(bool(naked), "-off")
        note = self.query_one("#note", Static)
        note.display = bool(naked)
        note.update(Content(f"not protected: {clean(' '.join(naked))} has no working stop"))

    def action_close_all(self) -> None:
        self.dismiss("close")

    def action_keep(self) -> None:
        """Only when every position has its stop."""
        if not self._link.model.picture.unprotected:
            self.dismiss("keep")

    def action_stay(self) -> None:
        self.dismiss(None)

    def on_choice_chosen(self, event: Choice.Chosen) -> None:
        match event.choice.id:
            case "close":
                self.action_close_all()
            case "keep":
                self.action_keep()
            case _:
                self.action_stay()


class ShutdownScreen(ModalScreen[None]):
    """The steps of the shutdown, until the engine has stopped."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "app.quit", "Force", id="quit")]

    def __init__(self, link: EngineLink, keep: bool) -> None:
        super().__init__(classes="dialog-screen")
        self._link = link
        self._keep = keep
        self._warned = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -attention") as box:
            box.border_title = title("Shutting down")
            yield Static("", id="steps", classes="body", markup=False)
            yield Static("", id="note", classes="note", markup=False)

    def on_mount(self) -> None:
        self.paint()

    def warn(self) -> bool:
        """Say what forcing means; true when it had been said before."""
        warned, self._warned = self._warned, True
        self.paint()
        return warned

    def paint(self) -> None:
        """Follow the engine."""
        picture = self._link.model.picture
        orders, held = len(picture.own_orders), len(picture.positions)
        stopped = self._link.stopped
        begun = stopped or picture.state in (EngineState.SHUTTING_DOWN, EngineState.STOPPED)
        stops = f"{held} positions stay, protected by their stops" if self._keep else ""
        steps = [
            (begun, "no new entries"),
            (begun and (self._keep or not orders), stops or f"cancel orders, {orders} left"),
            (begun and (self._keep or not held), "" if self._keep else f"close positions, {held} left"),
            (stopped, "disconnect and seal the journal"),
        ]
        rows = [
            Content.assemble(("✓ ", "$gain") if done else ("… ", "$attention"), text)
            for done, text in steps
            if text
        ]
        self.query_one("#steps", Static).update(Content("\n").join(rows))
        note = self.query_one("#note", Static)
        again = f"{self._link.model.keys['quit']} again"
        text = f"{again} leaves at once: positions and orders may remain" if self._warned else ""
        note.display = bool(text)
        note.update(Content(text))
