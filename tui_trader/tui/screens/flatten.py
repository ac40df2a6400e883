"""Flatten: shows exactly what it would do, asks, then shows how far it is until everything is flat."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui_trader.core.events import EngineState
from tui_trader.engine.handle import Flatten
from tui_trader.tui.flatten_plan import FlattenPlan
from tui_trader.tui.formats import signed
from tui_trader.tui.link import EngineLink
from tui_trader.tui.screens.dialog import Choice, title
from tui_trader.tui.widgets.plain_text import clean
from tui_trader.venues.base import Mode

WORD = "FLATTEN"
#: Paints without progress after which a retry is suggested: five seconds.
_PATIENCE = 20


class FlattenScreen(ModalScreen[None]):
    """Close everything, or one symbol. The engine runs on behind it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", "Flatten"),
        Binding("r", "retry", "Retry"),
        Binding("escape", "leave", "Cancel"),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
    ]
    AUTO_FOCUS = None

    def __init__(self, link: EngineLink, symbol: str | None = None) -> None:
        super().__init__(classes="dialog-screen")
        self._link = link
        self._symbol = symbol
        self._live = link.model.picture.info.mode is Mode.LIVE
        self._typed = self._live and symbol is None
        self._plan = self._plan_now()  # as listed on screen
        self._sent = False
        self._idle_paints = 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -danger") as box:
            box.border_title = title(
                "Flatten everything" if self._symbol is None else f"Close {self._symbol}"
            )
            with VerticalScroll(classes="scroll", can_focus=False):
                yield Static("", id="actions", markup=False)
            yield Static("", id="total", classes="body", markup=False)
            yield Static("", id="note", classes="note", markup=False)
            if self._typed:
                yield Input(
                    id="word", placeholder=f"type {WORD} to confirm", compact=True, select_on_focus=False
                )
            with Horizontal(classes="choices -row"):
                key = "" if self._typed else "y"
                label = "Flatten" if self._symbol is None else "Close position"
                yield Choice(label, id="yes", key=key, danger=True)
                yield Choice("Cancel", id="no", key="Esc")

    def on_mount(self) -> None:
        self.query_one("#no" if self._live else "#yes").focus()
        self._list("")

    def paint(self) -> None:
        """Follow the engine: list again what changed, or show the progress."""
        plan = self._plan_now()
        if not (self._sent and plan.empty):
            self._link.ask_again()
        if self._sent:
            self._show_progress(plan)
        elif plan.signature != self._plan.signature:
            self._plan = plan
            self._list("positions or orders have changed: look again")
            if self._typed:
                self.query_one(Input).value = ""
        elif plan != self._plan:
            self._plan = plan
            self._list(None)

    def action_confirm(self) -> None:
        """Carry the listed plan out, unless it is no longer the plan."""
        if self._typed and self.query_one(Input).value != WORD:
            self._note(f"real money: type {WORD} to confirm")
            self.query_one(Input).focus()
            return
        self._confirmed()

    def action_retry(self) -> None:
        if self._sent and not self._plan_now().empty:
            self._idle_paints = 0
            self._send()

    def action_leave(self) -> None:
        self.dismiss(None)

    def on_choice_chosen(self, event: Choice.Chosen) -> None:
        if event.choice.id == "no":
            self.dismiss(None)
        else:
            self.action_confirm()

    def on_key(self, event: events.Key) -> None:
        """Whoever types the word types it into its field, although the focus is on the safe choice."""
        if not self._typed or self._sent:
            return
        word = self.query_one(Input)
        # Letters that the field itself takes never come here; those typed before it had the focus do.
        if WORD.startswith(word.value + event.key):
            event.stop()
            event.prevent_default()
            self.set_focus(word)
            word.insert_text_at_cursor(event.key)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.action_confirm()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Confirming is for before, retrying for after."""
        if action == "confirm":
            return not self._sent
        return self._sent if action == "retry" else True

    def _plan_now(self) -> FlattenPlan:
        return self._link.model.picture.plan(self._symbol)

    def _confirmed(self) -> None:
        # What is sent must be what was read: between two paints the engine may have moved on.
        self._link.poll()
        now = self._plan_now()
        if now.signature != self._plan.signature:
            self.paint()
            return
        self._sent = True
        self._send()
        yes = self.query_one("#yes", Choice)
        yes.display = False
        self.query_one("#no", Choice).update(Content("Close this window"))
        self.query_one("#no").focus()
        self.query_one("#total").display = False
        if self._typed:
            self.query_one(Input).display = False
        self._show_progress(now)

    def _send(self) -> None:
        self._link.send(Flatten(self._symbol))

    def _list(self, note: str | None) -> None:
        plan, resume = self._plan, self._link.model.keys["pause"]
        if plan.empty:
            text = Content("nothing is held and no order works\n" if self._symbol is None else "it is flat\n")
            if self._symbol is None:
                text += Content(f"flatten then only pauses: no new entries until {resume} resumes")
        else:
            total = float(plan.realised)
            style = "$gain" if total > 0 else "$loss" if total < 0 else "$muted"
            text = Content("\n".join(plan.lines()))
            sum_up = Content.assemble(("expected realised  ", "$muted"), (signed(total), f"bold {style}"))
            if self._symbol is None:
                after = f"\nafterwards paused: no new entries until {resume} resumes"
                sum_up += Content.styled(after, "$muted")
            self.query_one("#total", Static).update(sum_up)
        self.query_one("#actions", Static).update(text)
        self.query_one("#total").display = not plan.empty
        if note is not None:
            closed = self._link.model.picture.state is EngineState.MARKET_CLOSED and plan.closes
            self._note(note or ("the market is closed: nothing sells before it opens" if closed else ""))

    def _show_progress(self, plan: FlattenPlan) -> None:
        left: Counter[str] = Counter()
        for close in plan.closes:
            left[close.symbol] += close.qty
        symbols = sorted({close.symbol for close in self._plan.closes} | set(left))
        rows = []
        for symbol in symbols:
            name = clean(symbol)
            if symbol in left:
                shares = f"{name}  {abs(left[symbol])} shares left"
                rows.append(Content.assemble(("… ", "$attention"), shares))
            else:
                rows.append(Content.assemble(("✓ ", "$gain"), f"{name}  flat"))
        if plan.cancels:
            rows.append(Content.assemble(("… ", "$attention"), f"{len(plan.cancels)} orders still work"))
        elif self._plan.cancels:
            rows.append(Content.assemble(("✓ ", "$gain"), "orders cancelled"))
        if plan.empty:
            rows.append(Content.styled("\nflat: nothing held, no order works", "bold $gain"))
        self.query_one("#actions", Static).update(Content("\n").join(rows))
        self._idle_paints = 0 if plan.empty else self._idle_paints + 1
        if plan.empty:
            self._note("")
        elif self._idle_paints >= _PATIENCE:
            self._note("not flat yet: r tries again")
        else:
            self._note("closing; this window may be left, the engine goes on")

    def _note(self, text: str) -> None:
        note = self.query_one("#note", Static)
        note.display = bool(text)
        note.update(Content(text))
