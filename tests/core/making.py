"""Bars, candles and views for tests, on a day everybody can look up: Monday 1 June 2026, 09:30 New York."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from tui_trader.core.bars import MINUTE, Bar
from tui_trader.core.rule import CandleView

OPEN = datetime(2026, 6, 1, 13, 30, tzinfo=UTC)
NEXT_OPEN = OPEN + timedelta(days=1)


def minute(number: int, opened: datetime = OPEN) -> datetime:
    return opened + number * MINUTE


def bar(
    number: int,
    open_: float,
    high: float | None = None,
    low: float | None = None,
    close: float | None = None,
    volume: int = 100,
    *,
    opened: datetime = OPEN,
    symbol: str = "AAPL",
) -> Bar:
    """The bar of minute ``number``; prices left out are as narrow as they can be."""
    close = open_ if close is None else close
    high = max(open_, close) if high is None else high
    low = min(open_, close) if low is None else low
    return Bar(symbol, minute(number, opened), open_, high, low, close, volume)


def view(
    open_: float,
    high: float,
    low: float,
    close: float,
    *,
    count: int = 201,
    now: Mapping[str, float] | None = None,
    before: Mapping[str, float] | None = None,
    since_exit: int | None = None,
    start: datetime = OPEN,
    minutes: int = 2,
) -> CandleView:
    made = CandleView()
    made.start, made.end = start, start + minutes * MINUTE
    made.open, made.high, made.low, made.close = open_, high, low, close
    made.volume = 1000
    made.count = count
    made.candles_since_exit = since_exit
    made.now, made.before = now or {}, before or {}
    return made
