"""The trading screen: two lines of state, the panes, and a line of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.css.query import NoMatches
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from tui_trader.tui.glyphs import glyph_set
from tui_trader.tui.keys import KEYS
from tui_trader.tui.keys_line import keys_line
from tui_trader.tui.palette import make_palette
from tui_trader.tui.panes import Panes, TextLine
from tui_trader.tui.settings import UiSettings
from tui_trader.tui.widgets.live_table import LiveTable
from tui_trader.tui.widgets.plain_text import clean

if TYPE_CHECKING:
    from textual.widgets import Input

    from tui_trader.engine.handle import Command
    from tui_trader.tui.app import TraderApp
    from tui_trader.tui.link import EngineLink
    from tui_trader.tui.painting import ScreenPainter

# The first frame is painted before the engine's own modules are read, so nothing of them is imported up here.

_SPEEDS: tuple[float | None, ...] = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, None)
_LEAST_WIDTH, _LEAST_HEIGHT = 40, 12


class TradingScreen(Screen[None]):
    """Everything at a glance, and every key."""

    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (60, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (18, "-short"), (30, "-medium"), (50, "-tall")]  # noqa: RUF012
    AUTO_FOCUS = "#watch"

    BINDINGS: ClassVar[list[BindingType]] = list(KEYS)

    def __init__(self, settings: UiSettings, size: Size) -> None:
        super().__init__(classes=" ".join(self._size_classes(size)))
        self.glyphs = glyph_set(settings.glyphs)
        self._palette = make_palette({})
        self.status = TextLine(id="status", classes="line")
        self.account = TextLine(id="account", classes="line")
        self.panes = Panes(settings.glyphs)
        self.banner = TextLine(id="banner", classes="line")
        self._keys = TextLine(id="keys", classes="line")
        self._find: Input | None = None
        self._find_in: LiveTable | None = None
        self._painter: ScreenPainter | None = None
        self._heading_for: Widget | None = None  # a pane that gets the focus once it is laid out

    def _size_classes(self, size: Size) -> list[str]:
        # Textual sets them once the screen is there, which would lay it out and paint it a second time.
        return [
            name
            for breakpoints, extent in (
                (self.HORIZONTAL_BREAKPOINTS, size.width), (self.VERTICAL_BREAKPOINTS, size.height)
            )
            for _, name in [max(entry for entry in breakpoints if entry[0] <= extent)]
        ]  # fmt: skip

    def compose(self) -> ComposeResult:
        yield self.status
        yield self.account
        yield self.panes
        yield self.banner
        yield self._keys
        yield Static("", id="small", markup=False)

    def on_mount(self) -> None:
        self.status.show(Content.assemble((" TUI-TRADER ", "bold"), ("  ◌ STARTING", "bold $muted")))
        self.account.show(Content.styled(" the engine is starting; then the screen comes alive", "$muted"))
        self._theme_changed()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._theme_changed())

    @property
    def trader(self) -> TraderApp:
        return cast("TraderApp", self.app)

    @property
    def link(self) -> EngineLink | None:
        return self.trader.link

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

    def _paint_keys(self) -> None:
        self._keys.show(keys_line(self, self.size.width))

    def _forget_paint(self) -> None:
        if self._painter is not None:
            self._painter.repaint_all()

    def _theme_changed(self) -> None:
        self._palette = make_palette(self.app.theme_variables)
        self._forget_paint()
        self.paint()
        self._paint_keys()

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        tiny = width < _LEAST_WIDTH or height < _LEAST_HEIGHT
        self.set_class(tiny, "-tiny")
        if tiny:
            text = f"{width}x{height} is too small\n{_LEAST_WIDTH}x{_LEAST_HEIGHT} is the least\nq quits"
            self.query_one("#small", Static).update(Content(text))
        self._forget_paint()
        self.call_after_refresh(self.paint)
        self._paint_keys()

    # ---- which keys work -------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does anything now."""
        link = self.link
        if action in ("flatten", "pause", "close_position", "cancel_order", "speed"):
            if link is None or link.model.picture.over:
                return False
            picture = link.model.picture
            if action == "speed":
                return picture.paced
            if action == "close_position":
                return bool(picture.positions)
            if action == "cancel_order":
                return bool(picture.live_orders)
        if action in ("symbol", "copy", "find"):
            return link is not None
        return True

    # ---- steering the engine ---------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Queue a command; what it did arrives as events."""
        if self.link is not None:
            self.link.send(command)

    def action_flatten(self) -> None:
        from tui_trader.tui.screens.flatten import FlattenScreen  # not before the first paint

        if self.link is not None:
            self.app.push_screen(FlattenScreen(self.link))

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
            self._say(f"the stop protects {order.symbol}: close the position with x instead")
        else:
            self._say(f"only entries are cancelled here: this is an {order.role.value.lower()} order")

    def action_pause(self) -> None:
        from tui_trader.engine.handle import Pause, Resume

        link = self.link
        if link is None:
            return
        picture = link.model.picture
        if not picture.paused:
            self.send(Pause())
        elif picture.live:
            self._confirm("Resume", "Entries with real money are allowed again.", Resume())
        else:
            self.send(Resume())

    def action_reset_breaker(self) -> None:
        """Lift a tripped breaker, by a person's explicit word."""
        from tui_trader.engine.handle import Resume

        if self.link is not None and self.link.model.picture.breaker.tripped:
            rule = self.link.model.picture.breaker.rule
            self._confirm("Reset breaker", f"{rule} stopped entries. Allow them again today?", Resume(True))
        else:
            self._say("the breaker has not tripped")

    def action_speed(self, step: int) -> None:
        from tui_trader.engine.handle import SetSpeed

        if self.link is None:
            return
        picture = self.link.model.picture
        place = _SPEEDS.index(_nearest_speed(picture.speed))
        speed = _SPEEDS[max(0, min(len(_SPEEDS) - 1, place + step))]
        picture.speed = speed  # shown at once; the next snapshot has the last word
        self.send(SetSpeed(speed))
        self.paint()

    def _confirm(self, word: str, text: str, command: Command) -> None:
        from tui_trader.tui.screens.confirm import ConfirmScreen

        def decided(yes: bool | None) -> None:
            if yes:
                self.send(command)

        self.app.push_screen(ConfirmScreen(word, text), decided)

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
        else:
            chart.action_scroll_pages(by)

    async def action_find(self) -> None:
        self._find_in = self.focused if isinstance(self.focused, LiveTable) else self.panes.watchlist
        if self._find is None:
            from textual.widgets import Input

            self._find = Input(id="find", placeholder="find: type, Enter keeps, Esc leaves", compact=True)
            await self.mount(self._find, before=self._keys)
        self._find.value = ""
        self._find.add_class("-shown")
        self._find.focus()

    def action_copy(self) -> None:
        from tui_trader.tui.cells import copied

        table = self.focused if isinstance(self.focused, LiveTable) else self.panes.watchlist
        row = next((row for row in table.rows if row.key == table.selected_key), None)
        if row is not None:
            self.app.copy_to_clipboard(copied(row))
            self._say(f"copied the row of {row.key}")

    def action_theme(self) -> None:
        self.trader.next_theme()

    def action_repaint(self) -> None:
        self.refresh(repaint=True, layout=True)

    def action_help(self) -> None:
        from tui_trader.tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self))

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

    def _say(self, text: str) -> None:
        self.notify(clean(text), markup=False, timeout=4)


def _nearest_speed(speed: float | None) -> float | None:
    if speed is None:
        return None
    return min((known for known in _SPEEDS if known is not None), key=lambda known: abs(known - speed))
