"""The trading screen: two lines of state, the panes, and a line of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.geometry import Size
from textual.widget import Widget

from tui_trader.tui.glyphs import glyph_set
from tui_trader.tui.keys import KEYS, PANES
from tui_trader.tui.keys_line import KeysLine
from tui_trader.tui.panes import Panes
from tui_trader.tui.screens.steering import SteeringScreen
from tui_trader.tui.settings import UiSettings
from tui_trader.tui.widgets.live_table import LiveTable
from tui_trader.tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import Binding
    from textual.widgets import Input

    from tui_trader.tui.glyphs import GlyphName
    from tui_trader.tui.painting import ScreenPainter

# The first frame is painted before the engine's own modules are read, so nothing of them is imported up here.


class TradingScreen(SteeringScreen):
    """Everything at a glance, and every key."""

    AUTO_FOCUS = "#watch"
    KEYS_LINE = KeysLine(
        (
            "flatten",
            "pause",
            "close",
            "cancel",
            "find",
            "symbol.previous",
            "zoom",
            "backtest",
            "speed.slower",
            "bars.shorter",
        ),
        {"symbol.previous": "symbol.next", "bars.shorter": "bars.longer", "speed.slower": "speed.faster"},
        tuple(f"pane.{number}" for number, _ in enumerate(PANES, 1)),
    )

    BINDINGS: ClassVar[list[BindingType]] = list(KEYS)

    def __init__(self, settings: UiSettings, size: Size) -> None:
        super().__init__(settings, size)
        self.panes = Panes(settings.glyphs)
        self._find: Input | None = None
        self._find_in: LiveTable | LogView | None = None
        self._painter: ScreenPainter | None = None
        self._heading_for: Widget | None = None  # a pane that gets the focus once it is laid out

    def compose(self) -> ComposeResult:
        yield self.status
        yield self.account
        yield self.panes
        yield self.banner
        yield self._keys
        yield self._small

    # ---- painting --------------------------------------------------------------------------------------

    def paint(self) -> None:
        """Bring what changed up to date. Cheap when nothing did."""
        link = self.link
        if link is None:
            return
        if self._painter is None:
            from tui_trader.tui.painting import ScreenPainter

            self._painter = ScreenPainter(self)
        if self._painter.paint(link, self._palette, self.trader.leaving):
            self._paint_keys()

    def _forget_paint(self) -> None:
        if self._painter is not None:
            self._painter.repaint_all()

    def use_glyphs(self, name: GlyphName) -> None:
        """Draw with another set of characters from now on."""
        self.panes.use_glyphs(name)
        if self._painter is not None:
            self._painter.use_glyphs(glyph_set(name))
        super().use_glyphs(name)

    def help_groups(self) -> Iterable[tuple[str, Iterable[Binding]]]:
        """The keys that work here, by where they work."""
        from tui_trader.tui.screens.help import bindings_of

        panes = self.panes
        named = (
            ("Everywhere", self),
            ("Tables", panes.positions),
            ("Chart", panes.chart),
            ("Log", panes.log_view),
        )
        return [(name, bindings_of(node)) for name, node in named]

    # ---- which keys work -------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now."""
        link = self.link
        if action in ("close_position", "cancel_order"):
            if link is None or link.model.picture.over:
                return False
            picture = link.model.picture
            return bool(picture.positions if action == "close_position" else picture.live_orders)
        if action in ("symbol", "copy", "find", "alerts"):
            return link is not None
        return super().check_action(action, parameters)

    # ---- steering the engine ---------------------------------------------------------------------------

    def action_close_position(self) -> None:
        from tui_trader.tui.screens.flatten import FlattenScreen

        symbol = self.panes.positions.selected_key
        if self.link is not None and symbol is not None:
            self.app.push_screen(FlattenScreen(self.link, symbol))

    def action_cancel_order(self) -> None:
        from tui_trader.core.orders import Role
        from tui_trader.engine.handle import CancelWorkingOrder

        key = self.panes.orders.selected_key
        order = None if self.link is None or key is None else self.link.model.picture.orders.get(key)
        if order is None or order not in self._live_orders():
            self._say("no working order is selected")
        elif order.role is Role.ENTRY:
            self.send(CancelWorkingOrder(order.client_order_id))
            self._say(f"cancelling the entry in {order.symbol}")
        elif order.role is Role.STOP:
            closes = self.trader.key_names["close"]
            self._say(f"the stop protects {order.symbol}: close the position with {closes} instead")
        else:
            self._say(f"only entries are cancelled here: this is an {order.role.value.lower()} order")

    # ---- looking around --------------------------------------------------------------------------------

    def action_pane(self, number: int) -> None:
        pane = self.panes.numbered[number - 1]
        if self.has_class("-zoomed"):
            self._zoom(pane)
        if pane in (self.panes.orders, self.panes.log_view):
            # Where both do not fit, the one that was asked for shows.
            self.set_class(pane is self.panes.orders, "-orders")
        if pane.is_on_screen:
            self.set_focus(pane)
        else:
            self._heading_for = pane
            self.call_after_refresh(self._focus, pane)

    def action_zoom(self) -> None:
        # Keys typed ahead of the paint are about where they lead, not where the focus still is.
        pane = self._heading_for or self.focused
        if self.has_class("-zoomed"):
            self.action_reset()
        elif pane is not None and pane in self.panes.numbered:
            self._zoom(pane)

    def action_reset(self) -> None:
        self._zoom(None)
        self.remove_class("-orders")
        focused = self.focused
        if focused is None or not focused.is_on_screen:
            self.panes.watchlist.focus()

    def action_symbol(self, step: int) -> None:
        self.panes.watchlist.action_move(step)

    def action_chart(self, what: str, by: int) -> None:
        chart = self.panes.chart
        if what == "zoom":
            chart.action_zoom(by)
        elif what == "interval":
            chart.action_interval(by)
            self.paint()
        else:
            chart.action_scroll_pages(by)

    async def action_find(self) -> None:
        focused = self.focused
        self._find_in = focused if isinstance(focused, LiveTable | LogView) else self.panes.watchlist
        if self._find is None:
            from textual.widgets import Input

            self._find = Input(id="find", placeholder="find: type, Enter keeps, Esc leaves", compact=True)
            await self.mount(self._find, before=self._keys)
        self._find.value = ""
        self._find.add_class("-shown")
        self._find.focus()

    def action_copy(self) -> None:
        log = self.panes.log_view
        if log.has_focus and log.selected is not None:
            from tui_trader.tui.screens.log_entry import log_text

            self.app.copy_to_clipboard(log_text(log.selected))
            self._say("copied the entry")
            return
        self.copy_row(self.focused if isinstance(self.focused, LiveTable) else self.panes.watchlist)

    def action_alerts(self) -> None:
        from tui_trader.tui.screens.alerts import AlertsScreen

        if self.link is not None:
            self.app.push_screen(AlertsScreen(self.link, self.panes.symbol, self.glyphs))

    def action_backtest(self) -> None:
        self.trader.open_backtest()

    def choose_symbol(self, symbol: str) -> None:
        """Look at a symbol."""
        self.panes.watchlist.select(symbol)
        self.paint()

    # ---- what widgets say ------------------------------------------------------------------------------

    def on_live_table_selected(self, event: LiveTable.Selected) -> None:
        table = event.table
        if table is self.panes.positions and table.has_focus:
            self.panes.watchlist.select(event.key)
        self.paint()

    def on_log_view_chosen(self, event: LogView.Chosen) -> None:
        from tui_trader.tui.screens.log_entry import LogEntryScreen

        self.app.push_screen(LogEntryScreen(event.line))

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._find_in is not None and event.value:
            self._find_in.find(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._end_find()

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape" and self._find_in is not None:
            event.stop()
            self._end_find()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if self.focused is self.panes.log_view and self.link is not None:
            self.link.model.clear_alerts()
        self._paint_keys()

    def _end_find(self) -> None:
        table, self._find_in = self._find_in, None
        if self._find is not None:
            self._find.remove_class("-shown")
        if table is not None:
            table.focus()

    def _zoom(self, pane: Widget | None) -> None:
        self.set_class(pane is not None, "-zoomed")
        for other in self.panes.numbered:
            other.set_class(other is pane, "-zoom")
        side = self.panes.query_one("#side")
        side.set_class(pane is not None and pane.parent is side, "-zoom")
        self._forget_paint()
        self.call_after_refresh(self.paint)

    def _focus(self, pane: Widget) -> None:
        self._heading_for = None
        if not pane.is_on_screen:
            # This size has no room for it beside the others.
            self._zoom(pane)
        try:
            pane.focus()
        except NoMatches:
            return

    def _live_orders(self) -> list[object]:
        return [] if self.link is None else list(self.link.model.picture.live_orders)
