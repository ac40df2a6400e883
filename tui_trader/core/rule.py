"""What a trading rule sees and answers. ``strategies.base.Strategy`` is the class that users extend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol


class CandleView:
    """A closed candle and the indicators at it: one object a symbol, filled anew for each candle.

    Prices are float64 dollars; indicators are NaN until warm. ``count`` is how many candles there have been,
    this one included. ``candles_since_exit`` counts the candles that ended after the last trade of the
    session closed, this one included; None when none has closed.
    """

    __slots__ = (
        "before", "candles_since_exit", "close", "count", "end", "high", "low", "now", "open", "start",
        "volume",
    )  # fmt: skip

    start: datetime
    end: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    count: int
    candles_since_exit: int | None
    now: Mapping[str, float]
    before: Mapping[str, float]

    def value(self, name: str) -> float:
        """Indicator ``name`` at this candle, NaN when it is not warm or not asked for."""
        return self.now.get(name, math.nan)

    def previous(self, name: str) -> float:
        """Indicator ``name`` at the candle before."""
        return self.before.get(name, math.nan)


@dataclass(frozen=True, slots=True)
class Holding:
    """The open position as a rule may know it."""

    qty: int
    avg_entry_price: Decimal
    entry_time: datetime
    stop_price: Decimal


class Rule(Protocol):
    """The questions asked of a strategy when a candle has closed."""

    def should_long(self, view: CandleView) -> bool: ...

    def entry_price(self, view: CandleView) -> Decimal: ...

    def stop_loss_price(self, view: CandleView) -> Decimal: ...

    def limit_price(self, entry: Decimal, stop_loss: Decimal) -> Decimal: ...

    def should_cancel_pending(self, view: CandleView, candles_waited: int) -> bool: ...

    def should_update_stop(self, view: CandleView, holding: Holding) -> Decimal | None: ...

    def should_exit(self, view: CandleView, holding: Holding) -> bool: ...
