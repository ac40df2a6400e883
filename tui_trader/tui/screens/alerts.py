"""Price alerts: set one for the symbol that is looked at, see all, delete."""

from __future__ import annotations

import math
from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui_trader.tui.alerts import AlertRefused, PriceAlert, parse_alert
from tui_trader.tui.formats import NOTHING, percent, price
from tui_trader.tui.glyphs import GlyphSet
from tui_trader.tui.link import EngineLink
from tui_trader.tui.panes import TextLine
from tui_trader.tui.screens.dialog import title
from tui_trader.tui.widgets.live_table import Column, LiveTable, Row
from tui_trader.tui.widgets.plain_text import clean

_COLUMNS: Final = (
    Column("symbol", "SYM", 8, priority=9),
    Column("condition", "TOLD WHEN", 24, priority=8, flexible=True),
    Column("last", "LAST", 10, "right", priority=6),
    Column("away", "AWAY", 8, "right", priority=5),
)


class AlertsScreen(ModalScreen[None]):
    """The line takes a price; Down leads to the alerts that wait."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close"),
        Binding("d,delete", "delete", "Delete"),
        Binding("a", "type", "Another"),
    ]
    AUTO_FOCUS = "#alert-price"

    def __init__(self, link: EngineLink, symbol: str | None, glyphs: GlyphSet) -> None:
        super().__init__(classes="dialog-screen")
        self._link = link
        self._symbol = symbol
        self._by_key: dict[str, PriceAlert] = {}
        self._price = Input(id="alert-price", placeholder="210.50, or > 210.50, or < 195", compact=True)
        self._price.cursor_blink = False  # an idle screen is a still one
        self._list = LiveTable(_COLUMNS, id="alert-list", glyphs=glyphs.name)
        self._heading = TextLine(id="alert-symbol")
        self._note = Static("", id="note", classes="note", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="alerts") as box:
            box.border_title = title("Price alerts")
            box.border_subtitle = title("Enter sets  d deletes  Esc closes")
            yield self._heading
            yield self._price
            yield self._note
            yield self._list

    def on_mount(self) -> None:
        self._list.set_empty("no alert waits: type a price above; it is told once, when a bar reaches it")
        self._say("")
        if self._symbol is None:
            self._price.disabled = True
            self.set_focus(self._list)
        self.paint()

    def paint(self) -> None:
        """Follow the market: prices move, and alerts go as they are told."""
        if self._symbol is None:
            heading = Content("no symbol is selected")
        else:
            last = self._last(self._symbol)
            now = NOTHING if last is None else price(last)
            heading = Content.assemble((clean(self._symbol), "bold $strong"), (f"  now {now}", "$muted"))
        self._heading.show(heading)
        self._by_key = {
            f"{alert.symbol} {alert.condition}": alert for alert in self._link.model.price_alerts.all
        }
        self._list.update_rows([self._row(key, alert) for key, alert in self._by_key.items()])

    def _row(self, key: str, alert: PriceAlert) -> Row:
        last = self._last(alert.symbol)
        target = float(alert.price)
        away = math.nan if last is None else (target / last - 1) * 100
        cells = (
            clean(alert.symbol),
            alert.condition,
            NOTHING if last is None else price(last),
            percent(away, 1),
        )
        return Row(key, cells, (alert.symbol, target, math.nan if last is None else last, abs(away)))

    def _last(self, symbol: str) -> float | None:
        line = self._link.model.picture.lines.get(symbol)
        return line.last if line is not None and math.isfinite(line.last) and line.last > 0 else None

    # ---- keys ------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys typed ahead, before the line had the focus, are text and no commands."""
        return not (self._typing and action in ("delete", "type"))

    @property
    def _typing(self) -> bool:
        return self.focused is self._price

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_type(self) -> None:
        if not self._price.disabled:
            self.set_focus(self._price)

    def action_delete(self) -> None:
        alert = self._by_key.get(self._list.selected_key or "")
        if alert is not None:
            self._link.model.price_alerts.remove(alert)
            self._say(f"deleted: {alert.symbol} {alert.condition}")
            self.paint()

    def on_key(self, event: events.Key) -> None:
        if event.key == "down" and self._typing:
            event.stop()
            self.set_focus(self._list)

    # ---- what is typed ---------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what is meant, while it is typed."""
        if self._symbol is None or not event.value.strip():
            return
        try:
            alert = parse_alert(self._symbol, event.value, self._last(self._symbol))
        except AlertRefused as error:
            self._say(str(error))
        else:
            self._say(f"Enter: told once, when {alert.symbol} is {alert.condition}")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self._symbol is None:
            return
        try:
            alert = parse_alert(self._symbol, event.value, self._last(self._symbol))
            self._link.model.price_alerts.add(alert)
        except AlertRefused as error:
            self._say(str(error))
            return
        self._price.value = ""
        self._say(f"set: {alert.symbol} {alert.condition}")
        self.paint()
        self._list.select(f"{alert.symbol} {alert.condition}")

    def _say(self, text: str) -> None:
        self._note.update(Content(clean(text)))
