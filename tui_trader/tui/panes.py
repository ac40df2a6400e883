"""The panes of the trading screen: which there are. ``PanePainter`` paints them once there is an engine."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui_trader.tui import columns
from tui_trader.tui.glyphs import GlyphName
from tui_trader.tui.keys import PANES
from tui_trader.tui.widgets.candle_chart import CandleChart
from tui_trader.tui.widgets.live_table import LiveTable
from tui_trader.tui.widgets.log_view import LogView
from tui_trader.tui.widgets.plain_text import clean

_STARTING = "the engine is starting"
_NO_LEGEND = Content("")


class TextLine(Static):
    """Words that are repainted only when they read differently."""

    def __init__(self, *, id: str, classes: str = "") -> None:  # noqa: A002 - Textual's name
        super().__init__("", id=id, classes=classes, markup=False)
        self._shown: tuple[object, ...] = ()

    def show(self, content: Content) -> None:
        """Show ``content``; its size does not change the layout."""
        key = (content.plain, tuple(content.spans))
        if key != self._shown:
            self._shown = key
            self.update(content, layout=False)


class FactsPane(TextLine, can_focus=True):
    """A pane of a few lines of facts."""

    ALLOW_SELECT = False


class Panes(Container):
    """Watchlist, chart, positions, orders, log; where there is room also strategies, risk and equity."""

    def __init__(self, glyphs: GlyphName) -> None:
        super().__init__(id="body")
        self.watchlist = LiveTable(columns.WATCH_COLUMNS, empty=_STARTING, id="watch", glyphs=glyphs)
        self.chart = CandleChart(id="chart", glyphs=glyphs)
        self.positions = LiveTable(columns.POSITION_COLUMNS, empty=_STARTING, id="positions", glyphs=glyphs)
        self.orders = LiveTable(
            columns.ORDER_COLUMNS, empty=_STARTING, id="orders", glyphs=glyphs, newest_first=True
        )
        self.log_view = LogView(id="log", empty="nothing has happened yet", glyphs=glyphs)
        self.routes = FactsPane(id="routes", classes="facts")
        self.risk = FactsPane(id="risk", classes="facts")
        self.equity = FactsPane(id="equity", classes="facts")
        #: In the order of their keys, 1 to 8.
        self.numbered: tuple[Widget, ...] = (
            self.watchlist, self.chart, self.positions, self.orders, self.log_view, self.routes, self.risk,
            self.equity,
        )  # fmt: skip
        self._titles: dict[str, Content] = {}
        self.log_view.set_filter("INFO", None)
        self.chart.set_empty(_STARTING)
        for number, pane in enumerate(self.numbered, 1):
            # Before they are mounted: what changes later would be laid out and styled a second time.
            pane.add_class("pane")
            self.entitle(pane, f"{number} {PANES[number - 1]}")

    def compose(self) -> ComposeResult:
        yield self.watchlist
        yield self.chart
        with Vertical(id="side"):
            yield self.routes
            yield self.risk
            yield self.equity
        yield self.positions
        yield self.orders
        yield self.log_view

    def use_glyphs(self, name: GlyphName) -> None:
        """Draw with another set of characters from now on."""
        for pane in (self.watchlist, self.chart, self.positions, self.orders, self.log_view):
            pane.use_glyphs(name)

    @property
    def symbol(self) -> str | None:
        """The symbol that is looked at."""
        return self.watchlist.selected_key

    def entitle(self, pane: Widget, text: str, legend: Content = _NO_LEGEND) -> None:
        """Give a pane its title."""
        # Setting a title repaints the whole border: only when it reads differently.
        title = Content(clean(text)) + legend
        known = self._titles.get(pane.id or "")
        if known is None or not known.is_same(title):
            self._titles[pane.id or ""] = title
            pane.border_title = title
