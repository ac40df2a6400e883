"""The panes of the trading screen, painted from the model: each only when something in it changed."""

from __future__ import annotations

import math

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui_trader.core.events import EngineState
from tui_trader.core.orders import Side
from tui_trader.engine.handle import PositionView
from tui_trader.tui import cells, facts
from tui_trader.tui.formats import clock, countdown, multiple, price, signed
from tui_trader.tui.glyphs import GlyphName, glyph_set
from tui_trader.tui.keys import PANES
from tui_trader.tui.link import EngineLink
from tui_trader.tui.palette import Palette
from tui_trader.tui.picture import Part, Picture
from tui_trader.tui.view_model import ViewModel
from tui_trader.tui.widgets.candle_chart import CandleChart, FillMark
from tui_trader.tui.widgets.chart_scale import candle_minutes
from tui_trader.tui.widgets.live_table import LiveTable, Row
from tui_trader.tui.widgets.log_view import LogLine, LogView
from tui_trader.tui.widgets.plain_text import clean

_STARTING = "the engine is starting"
#: Cells for a signal's word at least, and what the watchlist's other columns take when all are shown.
_LEAST_SIGNAL = 6
_WATCH_REST = 37

_NO_LEGEND = Content("")
_AVERAGES = Content.assemble("  ", ("━", "$sma-fast"), " fast ", ("━", "$sma-slow"), " slow")


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
        self._glyph_name = glyphs
        self._glyphs = glyph_set(glyphs)
        self.watchlist = LiveTable(cells.WATCH_COLUMNS, empty=_STARTING, id="watch", glyphs=glyphs)
        self.chart = CandleChart(id="chart", glyphs=glyphs)
        self.positions = LiveTable(cells.POSITION_COLUMNS, empty=_STARTING, id="positions", glyphs=glyphs)
        self.orders = LiveTable(cells.ORDER_COLUMNS, empty=_STARTING, id="orders", glyphs=glyphs)
        self.log_view = LogView(id="log", empty="nothing has happened yet")
        self.routes = FactsPane(id="routes", classes="facts")
        self.risk = FactsPane(id="risk", classes="facts")
        self.equity = FactsPane(id="equity", classes="facts")
        self.log_view.set_filter("INFO", None)
        self.chart.set_empty(_STARTING)
        self._watch_rows: dict[str, Row] = {}
        self._titles: dict[str, str] = {}
        self._symbol = ""
        self._minutes = 0  # of a candle on the chart; 0 while unknown

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

    def on_mount(self) -> None:
        for number, pane in enumerate(self.numbered, 1):
            pane.add_class("pane")
            self._title(pane, f"{number} {PANES[number - 1]}")

    @property
    def numbered(self) -> tuple[Widget, ...]:
        """The panes in the order of their keys, 1 to 8."""
        return (
            self.watchlist,
            self.chart,
            self.positions,
            self.orders,
            self.log_view,
            self.routes,
            self.risk,
            self.equity,
        )

    @property
    def symbol(self) -> str | None:
        """The symbol that is looked at."""
        return self.watchlist.selected_key

    def repaint_all(self) -> None:
        """Forget what was painted: colours or widths have changed."""
        self._watch_rows.clear()

    def paint(self, link: EngineLink, palette: Palette) -> None:
        """Bring every pane that changed up to date."""
        model = link.model
        dirty = model.take_dirty()
        symbols = model.take_dirty_symbols()
        if not self._watch_rows:
            dirty, symbols = set(Part), set(model.picture.lines)
        if Part.WATCH in dirty:
            self._paint_watch(model, symbols, palette)
        if Part.POSITIONS in dirty:
            self._paint_positions(model, palette)
        if Part.ORDERS in dirty:
            self._paint_orders(model, palette)
        self._paint_log(model)
        self._paint_chart(link, dirty, symbols)
        width = max(10, self.risk.size.width - 2)
        if Part.ROUTES in dirty:
            self.routes.show(facts.routes(model.picture, width, max(1, self.routes.size.height)))
        if Part.RISK in dirty or Part.POSITIONS in dirty:
            self.risk.show(facts.risk(model.picture, width, self._glyphs))
        if Part.EQUITY in dirty:
            self.equity.show(facts.equity(model.picture, width, self._glyphs))

    def _paint_watch(self, model: ViewModel, symbols: set[str], palette: Palette) -> None:
        picture = model.picture
        room = max(_LEAST_SIGNAL, self.watchlist.size.width - _WATCH_REST)
        for symbol in symbols:
            line = picture.lines[symbol]
            row = cells.watch_row(line, model.now, picture.state, palette, self._glyphs, room)
            self._watch_rows[symbol] = row
        self.watchlist.update_rows([self._watch_rows[symbol] for symbol in picture.lines])
        self._title(self.watchlist, f"1 Watchlist {len(picture.lines)}")

    def _paint_positions(self, model: ViewModel, palette: Palette) -> None:
        picture = model.picture
        held = [picture.positions[symbol] for symbol in sorted(picture.positions)]
        self.positions.set_empty(no_positions(model))
        self.positions.update_rows(
            [cells.position_row(position, model.now, palette, self._glyphs) for position in held]
        )
        self.positions.set_note(_totals(picture))
        self.positions.set_class(bool(picture.unprotected), "-danger")
        working = len(picture.live_orders)
        title = f"3 Positions {len(held)}" if held else "3 Positions"
        if working and not self.orders.display:
            title += f" · {working} working orders"
        self._title(self.positions, title)

    def _paint_orders(self, model: ViewModel, palette: Palette) -> None:
        live = model.picture.live_orders
        shown = [*reversed(live), *model.picture.finished_orders]
        self.orders.set_empty("no orders: entries and stops will stand here")
        self.orders.update_rows([cells.order_row(order, palette) for order in shown])
        self._title(self.orders, f"4 Orders {len(live)}" if live else "4 Orders")

    def _paint_log(self, model: ViewModel) -> None:
        entries = model.take_log()
        if entries:
            self.log_view.append_lines(
                [
                    LogLine(clock(entry.time), entry.level, entry.kind, entry.symbol, entry.text)
                    for entry in entries
                ]
            )

    def _paint_chart(self, link: EngineLink, dirty: set[Part], symbols: set[str]) -> None:
        picture = link.model.picture
        candles = link.model.take_candles()
        symbol = self.symbol
        if symbol is None:
            return
        changed = symbol != self._symbol
        if changed:
            self._symbol = symbol
            self.chart.set_empty("fetching candles")
            self.chart.show(symbol, ())
            link.ask_candles(symbol)
        if link.history is not None:
            owner, rows = link.history
            link.history = None
            if owner == symbol:
                self.chart.set_empty(f"no candles of {symbol} yet: the first closes soon after the open")
                self.chart.show(symbol, rows)
                self._minutes = candle_minutes(rows) if len(rows) > 1 else 0
                changed = True
        for owner, row in candles:
            if owner == symbol:
                self.chart.push(row)
        if changed or symbol in symbols or Part.CHART in dirty:
            self._paint_chart_lines(picture, symbol)

    def _paint_chart_lines(self, picture: Picture, symbol: str) -> None:
        line = picture.lines[symbol]
        position = picture.positions.get(symbol)
        entry, stop = _levels(position)
        self.chart.set_lines(entry, stop)
        change = line.change
        known = math.isfinite(line.last)
        self.chart.set_last(line.last if known else None, change > 0 if change else None)
        self.chart.set_marks(
            [
                FillMark(fill.timestamp, float(fill.price), "buy" if fill.side is Side.BUY else "sell")
                for fill in picture.fills
                if fill.symbol == symbol
            ]
        )
        text = f"2 {symbol} {self._minutes}m" if self._minutes else f"2 {symbol}"
        if known:
            text += f"  {price(line.last)}"
        if math.isfinite(change):
            text += f" {self._glyphs.arrow(change)}{abs(change):.2f}%"
        self._title(self.chart, text, _AVERAGES)

    def _title(self, pane: Widget, text: str, legend: Content = _NO_LEGEND) -> None:
        # Setting a title repaints the whole border: only when it reads differently.
        if self._titles.get(pane.id or "") != text:
            self._titles[pane.id or ""] = text
            pane.border_title = Content(clean(text)) + legend


def no_positions(model: ViewModel) -> str:
    """What stands where positions will be: why there are none, and what comes next."""
    picture = model.picture
    watched = f"{len(picture.lines)} symbols watched"
    match picture.state:
        case EngineState.WARMING_UP:
            done, total = picture.warmup
            return f"no positions: warming up, {done} of {total} symbols ready; then entries are possible"
        case EngineState.PAUSED:
            return f"no positions: paused, {watched}; p allows entries again"
        case EngineState.MARKET_CLOSED if picture.next_open is not None:
            return f"no positions: the market opens in {countdown(picture.next_open - model.now)}, {watched}"
        case EngineState.RUNNING:
            if picture.breaker.tripped:
                return f"no positions: the breaker ({picture.breaker.rule}) forbids entries until tomorrow"
            session = picture.session
            if session is not None and model.now >= session.no_entries_from:
                return "no positions: too near the close for entries"
            return f"no positions: {watched}, the next signal opens one"
        case EngineState.STOPPED:
            return "no positions: the engine has stopped"
        case _:
            return f"no positions: {picture.state.value.lower().replace('_', ' ')}, {watched}"


def _totals(picture: Picture) -> str:
    if not picture.positions:
        return ""
    return f"open {signed(picture.open_pnl)}  {multiple(picture.open_multiple)}R"


def _levels(position: PositionView | None) -> tuple[float | None, float | None]:
    if position is None:
        return None, None
    stop = position.stop_price
    return float(position.avg_entry_price), None if stop is None else float(stop)
