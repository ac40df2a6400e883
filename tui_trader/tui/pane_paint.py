"""Paints the panes from the model: each only when something in it changed."""

from __future__ import annotations

import math

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from tui_trader.core.events import EngineState
from tui_trader.core.orders import Side
from tui_trader.engine.handle import PositionView
from tui_trader.tui import cells, facts
from tui_trader.tui.day import SymbolLine
from tui_trader.tui.formats import clock, countdown, multiple, opening, price, signed
from tui_trader.tui.glyphs import GlyphSet
from tui_trader.tui.link import EngineLink
from tui_trader.tui.palette import Palette
from tui_trader.tui.panes import Panes
from tui_trader.tui.parts import Part
from tui_trader.tui.picture import Picture
from tui_trader.tui.view_model import ViewModel
from tui_trader.tui.widgets.chart_render import FillMark
from tui_trader.tui.widgets.log_view import LogLine
from tui_trader.tui.widgets.plain_text import clean
from tui_trader.tui.widgets.table_rows import Row

#: Cells for a signal's word at least, and what the watchlist's other columns take when all are shown.
_LEAST_SIGNAL = 6
_WATCH_REST = 37
_LEAST_FACTS = 10
_ROOMY = 60  # cells of a chart from which its averages are named in full


class PanePainter:
    """Remembers what each pane shows."""

    def __init__(self, panes: Panes, glyphs: GlyphSet) -> None:
        self._panes = panes
        self._glyphs = glyphs
        self._watch_rows: dict[str, Row] = {}
        self._symbol = ""
        self._interval: tuple[object, ...] = (0,)  # what the chart's candles were made of
        self._room = 0  # for a signal's word
        self._extents: tuple[Size, ...] = ()  # of the panes of facts

    def use_glyphs(self, glyphs: GlyphSet) -> None:
        """Draw with another set of characters from now on."""
        self._glyphs = glyphs

    def repaint_all(self) -> None:
        """Forget what was painted: colours or widths have changed."""
        self._watch_rows.clear()

    def paint(self, link: EngineLink, palette: Palette) -> None:
        """Bring every pane that changed up to date."""
        model, panes = link.model, self._panes
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
        extents = tuple(pane.content_size for pane in (panes.routes, panes.risk, panes.equity))
        if extents != self._extents:
            self._extents = extents
            dirty |= {Part.ROUTES, Part.RISK, Part.EQUITY}
        if Part.ROUTES in dirty:
            self._panes.routes.show(
                facts.routes(
                    model.picture, _width(self._panes.routes), max(1, self._panes.routes.size.height)
                )
            )
        if Part.RISK in dirty or Part.POSITIONS in dirty:
            self._panes.risk.show(facts.risk(model.picture, _width(self._panes.risk), self._glyphs))
        if Part.EQUITY in dirty:
            self._panes.equity.show(facts.equity(model.picture, _width(self._panes.equity), self._glyphs))

    def _paint_watch(self, model: ViewModel, symbols: set[str], palette: Palette) -> None:
        picture = model.picture
        room = max(_LEAST_SIGNAL, self._panes.watchlist.scrollable_content_region.width - _WATCH_REST)
        if room != self._room:
            # A scrollbar came or went.
            self._room = room
            symbols = set(picture.lines)
        for symbol in symbols:
            line = picture.lines[symbol]
            row = cells.watch_row(line, model.now, picture.state, palette, self._glyphs, room)
            self._watch_rows[symbol] = row
        self._panes.watchlist.update_rows([self._watch_rows[symbol] for symbol in picture.lines])
        self._panes.entitle(self._panes.watchlist, f"1 Watchlist {len(picture.lines)}")

    def _paint_positions(self, model: ViewModel, palette: Palette) -> None:
        picture = model.picture
        held = [picture.positions[symbol] for symbol in sorted(picture.positions)]
        self._panes.positions.set_empty(no_positions(model))
        self._panes.positions.update_rows(
            [
                cells.position_row(position, model.now, palette, self._glyphs, _stale(model, position.symbol))
                for position in held
            ]
        )
        self._panes.positions.set_note(_totals(picture))
        self._panes.positions.set_class(bool(picture.unprotected), "-danger")
        working = len(picture.live_orders)
        title = f"3 Positions {len(held)}" if held else "3 Positions"
        if working and not self._panes.orders.display:
            title += f" · {working} working {'order' if working == 1 else 'orders'}"
        self._panes.entitle(self._panes.positions, title)

    def _paint_orders(self, model: ViewModel, palette: Palette) -> None:
        live = model.picture.live_orders
        shown = [*reversed(live), *model.picture.finished_orders]
        self._panes.orders.set_empty("no orders: entries and stops will stand here")
        self._panes.orders.update_rows([cells.order_row(order, palette) for order in shown])
        self._panes.entitle(self._panes.orders, f"4 Orders {len(live)}" if live else "4 Orders")

    def _paint_log(self, model: ViewModel) -> None:
        entries = model.take_log()
        if entries:
            self._panes.log_view.append_lines(
                [
                    LogLine(clock(entry.time), entry.level, entry.kind, entry.symbol, entry.text)
                    for entry in entries
                ]
            )

    def _paint_chart(self, link: EngineLink, dirty: set[Part], symbols: set[str]) -> None:
        picture = link.model.picture
        candles = link.model.take_candles()
        symbol = self._panes.symbol
        if symbol is None:
            return
        changed = symbol != self._symbol
        if changed:
            self._symbol = symbol
            self._panes.chart.set_empty("fetching candles")
            self._panes.chart.show(symbol, ())
            link.ask_candles(symbol)
        if link.history is not None:
            owner, rows = link.history
            link.history = None
            if owner == symbol:
                self._panes.chart.set_empty(
                    f"no candles of {symbol} yet: the first closes soon after the open"
                )
                self._panes.chart.show(symbol, rows)
                changed = True
        for owner, row in candles:
            if owner == symbol:
                self._panes.chart.push(row)
        line = picture.lines[symbol]
        self._panes.chart.set_own_interval(line.candle_minutes)
        shown = (self._panes.chart.interval, len(line.bars), line.last_bar)
        if changed or shown != self._interval:
            changed = changed or shown[0] != self._interval[0]
            self._interval = shown
            self._panes.chart.set_bars(line.bars.rows() if self._panes.chart.made_of_bars else ())
        if changed or symbol in symbols or Part.CHART in dirty:
            self._paint_chart_lines(picture, symbol)

    def _paint_chart_lines(self, picture: Picture, symbol: str) -> None:
        line = picture.lines[symbol]
        position = picture.positions.get(symbol)
        entry, stop = _levels(position)
        self._panes.chart.set_lines(entry, stop)
        change = line.change
        known = math.isfinite(line.last)
        self._panes.chart.set_note(line.trouble)
        self._panes.chart.set_averages(line.average_fast, line.average_slow)
        self._panes.chart.set_last(line.last if known else None, change > 0 if change else None)
        self._panes.chart.set_marks(
            [
                FillMark(fill.timestamp, float(fill.price), "buy" if fill.side is Side.BUY else "sell")
                for fill in picture.fills
                if fill.symbol == symbol
            ]
        )
        text = f"2 {symbol}{self._interval_named()}"
        if known:
            text += f"  {price(line.last)}"
        if math.isfinite(change):
            text += f" {self._glyphs.arrow(change)}{abs(change):.2f}%"
        self._panes.entitle(self._panes.chart, text, _legend(line, self._panes.chart.size.width < _ROOMY))

    def _interval_named(self) -> str:
        """How long a candle is; another interval than the strategy's says so."""
        chart = self._panes.chart
        own, shown = chart.own_interval, chart.interval
        if shown == own:
            return f" {own}m"
        return f" {shown}m (trades {own}m)" if chart.size.width >= _ROOMY else f" {shown}m({own}m)"


def _width(pane: Widget) -> int:
    return max(_LEAST_FACTS, pane.content_size.width)


def no_positions(model: ViewModel) -> str:
    """What stands where positions will be: why there are none, and what comes next."""
    picture = model.picture
    watched = f"{len(picture.lines)} symbols watched"
    match picture.state:
        case EngineState.WARMING_UP:
            done, total = picture.warmup
            return f"no positions: warming up, {done} of {total} symbols ready; then entries are possible"
        case EngineState.PAUSED:
            return f"no positions: paused, {watched}; {model.keys['pause']} allows entries again"
        case EngineState.MARKET_CLOSED if picture.next_open is not None:
            opens = f"{opening(picture.next_open)}, in {countdown(picture.next_open - model.now)}"
            return f"no positions: the market opens {opens}; {watched}"
        case EngineState.RUNNING:
            if picture.breaker.tripped:
                return "no positions: the breaker forbids entries until the next session"
            if picture.hindrances:
                return f"no positions: entries are off, {watched}"
            session = picture.session
            if session is not None and model.now >= session.no_entries_from:
                return "no positions: too near the close for entries"
            return f"no positions: {watched}, the next signal opens one"
        case EngineState.STOPPED:
            return "no positions: the engine has stopped"
        case _:
            return f"no positions: {picture.state.value.lower().replace('_', ' ')}, {watched}"


def _stale(model: ViewModel, symbol: str) -> bool:
    line = model.picture.lines.get(symbol)
    return line is not None and line.is_stale(model.now, model.picture.state is EngineState.RUNNING)


def _totals(picture: Picture) -> str:
    others = "  ".join(f"{clean(symbol)} {qty}" for symbol, qty in picture.external_shares)
    notes = [f"not ours: {others}"] if others else []
    if picture.positions:
        notes.append(f"open {signed(picture.open_pnl)}  {multiple(picture.open_multiple)}R")
    return "  ".join(notes)


def _legend(line: SymbolLine, short: bool) -> Content:
    """Which averages are drawn, in the colours that they have; ``short`` says their periods only."""
    parts: list[Content] = []
    for name, style in ((line.average_fast, "$sma-fast"), (line.average_slow, "$sma-slow")):
        if name:
            label = name.rpartition(" ")[2] if short else name
            parts.append(Content.assemble(("━", style), f" {clean(label)}"))
    return Content("  ") + Content(" ").join(parts) if parts else Content("")


def _levels(position: PositionView | None) -> tuple[float | None, float | None]:
    if position is None:
        return None, None
    stop = position.stop_price
    return float(position.avg_entry_price), None if stop is None else float(stop)
