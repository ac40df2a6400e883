"""The tables of the backtest screen: their columns, and how a trade, a symbol or a field becomes a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.text import Text

from tui_trader.core.calendar import NEW_YORK
from tui_trader.tui.formats import NOTHING, age, multiple, price, signed
from tui_trader.tui.glyphs import GlyphSet
from tui_trader.tui.palette import Palette
from tui_trader.tui.widgets.table_layout import Column
from tui_trader.tui.widgets.table_rows import Row

if TYPE_CHECKING:
    from tui_trader.backtest.metrics import Slice
    from tui_trader.backtest.result import Trade
    from tui_trader.tui.backtest.form import Field

FORM_COLUMNS: Final = (
    Column("field", "FIELD", 23, priority=9),
    Column("value", "VALUE", 34, priority=9),
    Column("bounds", "BOUNDS", 14, priority=5),
    Column("note", "", 40, priority=3, flexible=True),
)
TRADE_COLUMNS: Final = (
    Column("entered", "ENTERED", 14, priority=7),
    Column("symbol", "SYM", 6, priority=9),
    Column("qty", "QTY", 5, "right", priority=4),
    Column("entry", "ENTRY", 8, "right", priority=6),
    Column("exit", "EXIT", 8, "right", priority=6),
    Column("pnl", "P/L $", 10, "right", priority=9),
    Column("pnl_pct", "P/L", 8, "right", priority=3),
    Column("r", "R", 5, "right", priority=8),
    Column("mae", "MAE $", 9, "right", priority=1),
    Column("mfe", "MFE $", 9, "right", priority=1),
    Column("held", "HELD", 6, "right", priority=2),
    Column("reason", "REASON", 10, priority=5, flexible=True),
)
SYMBOL_COLUMNS: Final = (
    Column("symbol", "SYM", 6, priority=9),
    Column("trades", "TRADES", 6, "right", priority=7),
    Column("pnl", "P/L $", 11, "right", priority=9),
    Column("win", "WIN", 4, "right", priority=6),
    Column("factor", "PF", 5, "right", priority=5),
    Column("r", "EXP R", 6, "right", priority=4),
)


def field_row(field: Field, paint: Palette) -> Row:
    """A line of the form."""
    known = bool(field.text)
    style = paint.attention if field.changed else paint.strong if known else paint.muted
    cells = (
        field.key,
        Text(field.text or field.shown, style),
        Text(field.bounds, paint.muted),
        Text(field.note, paint.muted),
    )
    return Row(field.key, cells, ())


def trade_row(number: int, trade: Trade, paint: Palette, glyphs: GlyphSet) -> Row:
    """A trade; its key is its place among all."""
    pnl = float(trade.pnl)
    colour = paint.of_sign(pnl)
    cost = float(trade.entry_price) * trade.qty
    share = pnl / cost * 100 if cost else math.nan
    r = math.nan if trade.r is None else trade.r
    held = (trade.exit_time - trade.entry_time).total_seconds()
    cells = (
        Text(f"{trade.entry_time.astimezone(NEW_YORK):%y-%m-%d %H:%M}", paint.muted),
        Text(trade.symbol, paint.strong),
        str(trade.qty),
        price(trade.entry_price),
        price(trade.exit_price),
        Text(signed(pnl), colour),
        Text(f"{glyphs.arrow(pnl)}{abs(share):.2f}%" if cost else NOTHING, colour),
        Text(multiple(r), colour),
        signed(trade.mae),
        signed(trade.mfe),
        age(held) if held >= 60 else "<1m",
        trade.reason.value.replace("_", " "),
    )
    sort = (
        trade.entry_time.timestamp(), trade.symbol, float(trade.qty), float(trade.entry_price),
        float(trade.exit_price), pnl, share, r, trade.mae, trade.mfe, held, trade.reason.value,
    )  # fmt: skip
    return Row(str(number), cells, sort)


def symbol_rows(slices: Sequence[Slice], paint: Palette) -> list[Row]:
    """The trades of each symbol summed up."""
    return [_symbol_row(part, paint) for part in slices]


def _symbol_row(part: Slice, paint: Palette) -> Row:
    colour = paint.of_sign(part.pnl)
    cells = (
        Text(part.name, paint.strong),
        str(part.trades),
        Text(signed(part.pnl), colour),
        NOTHING if part.win_rate is None else f"{part.win_rate * 100:.0f}%",
        NOTHING if part.profit_factor is None else f"{part.profit_factor:.2f}",
        NOTHING if part.expectancy_r is None else f"{part.expectancy_r:+.2f}",
    )
    figures = (part.pnl, part.win_rate, part.profit_factor, part.expectancy_r)
    known = tuple(math.nan if figure is None else figure for figure in figures)
    return Row(part.name, cells, (part.name, float(part.trades), *known))
