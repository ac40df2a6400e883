"""What a trading rule sees and answers. ``strategies.base.Strategy`` is the class that users extend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

import numpy as np

from tui_trader.core.indicators import Floats


def _unknown_indicator(name: str, known: Iterable[str]) -> LookupError:
    return LookupError(f"no indicator {name!r}: `indicators` names {', '.join(known) or 'none'}")


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

    def ends_after(self, time: datetime) -> bool:
        """Whether the candle's window ended after ``time``."""
        return self.end > time

    def value(self, name: str) -> float:
        """Indicator ``name`` at this candle, NaN when it is not warm. Raises ``LookupError`` for others."""
        try:
            return self.now[name]
        except KeyError:
            raise _unknown_indicator(name, self.now) from None

    def previous(self, name: str) -> float:
        """Indicator ``name`` at the candle before."""
        try:
            return self.before[name]
        except KeyError:
            raise _unknown_indicator(name, self.now) from None


@dataclass(frozen=True, slots=True, eq=False)
class CandleColumns:
    """Many closed candles of one symbol and their indicators as columns, one element a candle, oldest first.

    Prices are float64 dollars; indicators are NaN until warm. The first element is the first candle that
    counts: ``CandleView.count`` of element i is i + 1.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    now: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.close)

    def value(self, name: str) -> Floats:
        """Indicator ``name`` at each candle. Raises ``LookupError`` for one that was not asked for."""
        try:
            return self.now[name]
        except KeyError:
            raise _unknown_indicator(name, self.now) from None

    def previous(self, name: str) -> Floats:
        """Indicator ``name`` at the candle before each, NaN at the first."""
        column = self.value(name)
        values = np.empty_like(column)
        values[:1] = np.nan
        values[1:] = column[:-1]
        return values

    def until(self, count: int) -> CandleColumns:
        """The first ``count`` candles, as they were known when the last of them closed.

        These are copies: nothing leads from them to the candles that follow.
        """
        return CandleColumns(
            self.open[:count].copy(), self.high[:count].copy(), self.low[:count].copy(),
            self.close[:count].copy(), self.volume[:count].copy(),
            {name: column[:count].copy() for name, column in self.now.items()},
        )  # fmt: skip


class Holding(NamedTuple):
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
