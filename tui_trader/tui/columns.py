"""The columns of the tables."""

from __future__ import annotations

from typing import Final

from tui_trader.tui.widgets.table_layout import Column

DAY_WIDTH: Final = 8

WATCH_COLUMNS: Final = (
    Column("symbol", "SYM", 5, priority=9),
    Column("last", "LAST", 8, "right", priority=8),
    Column("change", "CHG", 7, "right", priority=7),
    Column("signal", "SIGNAL", 6, priority=6, flexible=True),
    Column("day", "DAY", DAY_WIDTH, priority=1),
    Column("age", "AGE", 3, "right", priority=2),
)
POSITION_COLUMNS: Final = (
    Column("symbol", "SYM", 6, priority=9),
    Column("side", "SIDE", 7, priority=5),
    Column("qty", "QTY", 6, "right", priority=8),
    Column("avg", "AVG", 9, "right", priority=4),
    Column("last", "LAST", 9, "right", priority=6),
    Column("pnl", "P/L $", 11, "right", priority=9),
    Column("pnl_pct", "P/L", 8, "right", priority=3),
    Column("r", "R", 5, "right", priority=7),
    Column("stop", "STOP", 10, "right", priority=8),
    Column("dist", "DIST", 5, "right", priority=3),
    Column("held", "HELD", 6, "right", priority=2),
    Column("strategy", "STRATEGY", 10, priority=1, flexible=True),
)
ORDER_COLUMNS: Final = (
    Column("time", "TIME", 8, priority=4),
    Column("symbol", "SYM", 6, priority=9),
    Column("role", "ROLE", 8, priority=5),
    Column("side", "SIDE", 4, priority=7),
    Column("type", "TYPE", 8, priority=2),
    Column("qty", "QTY", 5, "right", priority=6),
    Column("price", "PRICE", 9, "right", priority=8),
    Column("filled", "FILLED", 7, "right", priority=3),
    Column("state", "STATE", 9, priority=8, flexible=True),
)
