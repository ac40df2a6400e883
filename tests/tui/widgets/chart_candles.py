"""Candles for chart tests."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from tui_trader.core.calendar import NEW_YORK
from tui_trader.engine.handle import CandleRow

OPENING = datetime(2025, 11, 21, 9, 30, tzinfo=NEW_YORK)


def candle(
    minute: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: int = 0,
    fast: float = math.nan,
    slow: float = math.nan,
) -> CandleRow:
    """A candle that many minutes after the open."""
    return CandleRow(OPENING + timedelta(minutes=minute), open_, high, low, close, volume, fast, slow)


def rising(count: int, start: float = 100.0) -> list[CandleRow]:
    """A candle a minute, each half a dollar above the one before."""
    return [
        candle(index, base, base + 0.75, base - 0.25, base + 0.5, 1_000 + index)
        for index, base in enumerate(start + step * 0.5 for step in range(count))
    ]
