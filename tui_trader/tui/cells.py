"""How a position, an order or a symbol is painted into the cells of a table."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from typing import Final

from rich.style import Style
from rich.text import Text

from tui_trader.core.events import EngineState, SymbolState
from tui_trader.core.orders import TERMINAL, OrderState, Role, Side
from tui_trader.engine.handle import OrderView, PositionView
from tui_trader.tui.columns import DAY_WIDTH, POSITION_COLUMNS, WATCH_COLUMNS
from tui_trader.tui.day import SymbolLine
from tui_trader.tui.formats import NOTHING, age, clock, multiple, price, signed
from tui_trader.tui.glyphs import GlyphSet
from tui_trader.tui.palette import Palette
from tui_trader.tui.widgets.plain_text import clean
from tui_trader.tui.widgets.table_rows import Row

#: Columns that keep their colours in a grey row: what is wrong with it must be seen.
_LOUD_WATCH: Final = tuple(
    number for number, column in enumerate(WATCH_COLUMNS) if column.key in ("signal", "age")
)
_LOUD_POSITION: Final = tuple(
    number for number, column in enumerate(POSITION_COLUMNS) if column.key in ("side", "stop")
)
_SHORT_SIGNALS: Final = {SymbolState.WATCHING: "watch", SymbolState.QUARANTINED: "quar."}
_STATE_WORDS: Final = {
    OrderState.INTENT: "ready",
    OrderState.SUBMITTED: "sent",
    OrderState.UNKNOWN: "unknown",
    OrderState.ACCEPTED: "working",
    OrderState.PARTIALLY_FILLED: "part filled",
}


def watch_row(
    line: SymbolLine, now: datetime, state: EngineState, paint: Palette, glyphs: GlyphSet, room: int
) -> Row:
    """A symbol of the watchlist; ``room`` is the signal's width."""
    seconds = line.age(now)
    stale = line.is_stale(now, state is EngineState.RUNNING)
    change = line.change
    arrow = glyphs.arrow(change) if math.isfinite(change) else ""
    cells = (
        Text(line.symbol, paint.strong),
        Text(price(line.last), paint.strong if not stale else paint.muted),
        Text(f"{arrow}{abs(change):.2f}%" if math.isfinite(change) else NOTHING, paint.of_sign(change)),
        _signal(line, paint, room),
        Text(glyphs.sparkline(line.day, min(DAY_WIDTH, len(line.day))), paint.muted),
        Text(_bar_age(seconds), paint.attention if stale else paint.muted),
    )
    known = -1.0 if seconds is None else float(int(seconds) // 60)
    return Row(
        line.symbol,
        cells,
        (line.symbol, line.last, change, line.state.value, change, known),
        dim=stale,
        vivid=_LOUD_WATCH,
    )


def position_row(
    position: PositionView, now: datetime, paint: Palette, glyphs: GlyphSet, stale: bool = False
) -> Row:
    """An open position; ``stale`` when its last price is old news."""
    pnl = float(position.unrealized_pnl)
    colour = paint.of_sign(pnl)
    cost = float(position.avg_entry_price * abs(position.qty))
    pnl_pct = pnl / cost * 100 if cost else math.nan
    risk = position.planned_risk
    r = float(position.unrealized_pnl / risk) if risk > 0 else math.nan
    held = (now - position.entry_time).total_seconds()
    long = position.qty > 0
    side = Text(f"{glyphs.up} LONG" if long else f"{glyphs.down} SHORT", paint.gain if long else paint.loss)
    if position.closing:
        side = Text("CLOSE", paint.attention)
    distance = _distance(position)
    cells = (
        Text(position.symbol, paint.strong),
        side,
        str(position.qty),
        price(position.avg_entry_price),
        price(position.last),
        Text(signed(pnl), colour),
        Text(f"{glyphs.arrow(pnl)}{abs(pnl_pct):.2f}%" if cost else NOTHING, colour),
        Text(multiple(r), colour),
        _stop(position, paint),
        f"{distance:.1f}%" if math.isfinite(distance) else NOTHING,
        Text(age(held) if held >= 60 else "<1m", paint.muted),
        position.strategy or NOTHING,
    )
    sort = (
        position.symbol,
        "long" if long else "short",
        float(position.qty),
        float(position.avg_entry_price),
        position.last,
        pnl,
        pnl_pct,
        r,
        float(position.stop_price or 0),
        distance,
        held,
        position.strategy,
    )
    return Row(position.symbol, cells, sort, dim=stale, vivid=_LOUD_POSITION)


def order_row(order: OrderView, paint: Palette) -> Row:
    """A live or finished order."""
    at = _order_price(order)
    over = order.state in TERMINAL
    side = paint.gain if order.side is Side.BUY else paint.loss
    kind = order.order_type.value.replace("_limit", "-lmt")
    state = _STATE_WORDS.get(order.state, order.state.value.lower())
    if order.reason and order.state is not OrderState.FILLED:
        state = f"{state}: {order.reason}"
    cells = (
        Text(clock(order.created), paint.muted),
        Text(order.symbol, paint.strong),
        Text(order.role.value.lower(), paint.attention if order.role is Role.EXTERNAL else paint.plain),
        Text(order.side.value.upper(), side),
        kind,
        str(order.qty),
        NOTHING if at is None else price(at),
        f"{order.filled_qty}/{order.qty}",
        Text(state, _order_state_style(order.state, paint)),
    )
    sort = (
        order.created.timestamp(),
        order.symbol,
        order.role.value,
        order.side.value,
        order.order_type.value,
        float(order.qty),
        float(at or 0),
        float(order.filled_qty),
        order.state.value,
    )
    return Row(order.client_order_id, cells, sort, dim=over)


def copied(row: Row) -> str:
    """A row as tab-separated text for the clipboard."""
    return "\t".join(clean(str(cell)).strip() for cell in row.cells)


def _signal(line: SymbolLine, paint: Palette, room: int) -> Text:
    if line.state in (SymbolState.COLD, SymbolState.WARMING) and line.required:
        return Text(_progress(line, room), paint.muted)
    styles: dict[SymbolState, Style] = {
        SymbolState.LONG: paint.gain,
        SymbolState.ARMED: paint.attention,
        SymbolState.STALE: paint.attention,
        SymbolState.HALTED: paint.danger,
        SymbolState.QUARANTINED: paint.danger,
    }
    word = line.state.value
    if len(word) > room:
        word = _SHORT_SIGNALS.get(line.state, word)
    return Text(word, styles.get(line.state, paint.muted))


def _progress(line: SymbolLine, room: int) -> str:
    """How many candles of those that its indicators need it has, as exactly as there is room for."""
    counted = f"{line.candles}/{line.required}"
    share = f"{min(99, line.candles * 100 // line.required)}%"
    word = line.state.value
    texts = (f"{word} {counted}", counted, f"{word} {share}", f"{word[:4]} {share}", share)
    return next((text for text in texts if len(text) <= room), share)


def _bar_age(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    return "<1m" if seconds < 60 else age(seconds)[:3]


def _distance(position: PositionView) -> float:
    if position.stop_price is None or not position.last > 0:
        return math.nan
    return abs(position.last - float(position.stop_price)) / position.last * 100


def _stop(position: PositionView, paint: Palette) -> Text:
    if position.stop_price is None:
        return Text("no stop", paint.danger)
    if position.stop_working:
        return Text(price(position.stop_price))
    return Text(f"! {price(position.stop_price)}", paint.attention)


def _order_price(order: OrderView) -> Decimal | None:
    return order.stop_price if order.stop_price is not None else order.limit_price


def _order_state_style(state: OrderState, paint: Palette) -> Style:
    if state in (OrderState.UNKNOWN, OrderState.REJECTED, OrderState.DENIED):
        return paint.danger
    return paint.muted if state in TERMINAL else paint.attention
