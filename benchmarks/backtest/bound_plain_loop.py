"""The bound for any loop in Python: numbers in lists and local names, no object, no call, one symbol.

Two-minute candles, two averages from running sums, the cross, an order filled at the next bar, the stop on
every minute, sizing and equity. It knows no calendar, breaker, risk rule, tick or order book.
"""

from __future__ import annotations

import sys
from pathlib import Path

from _measure import CASH, FAST, POSITION_SHARE, SLOW, STOP_SHARE, Columns, Found, measure

Lists = tuple[list[int], list[float], list[float], list[float], list[float]]
_TICK = 0.01


def prepare(columns: Columns) -> Lists:
    prices = (columns.open, columns.high, columns.low, columns.close)
    open_, high, low, close = (column.tolist() for column in prices)
    return columns.minute.tolist(), open_, high, low, close


def run(lists: Lists) -> Found:
    cash, qty, stop = CASH, 0, 0.0
    candle_high = candle_low = 0.0
    fast_sum = slow_sum = 0.0
    was_above = buying = selling = False
    window = -1
    trades = 0
    highs: list[float] = []
    lows: list[float] = []
    closes: list[float] = []
    equity: list[float] = []
    for minute, open_, high, low, close in zip(*lists, strict=True):
        if qty:
            if selling or open_ <= stop:
                cash += qty * (open_ - _TICK)
                qty = 0
                trades += 1
            elif low <= stop:
                cash += qty * (stop - _TICK)
                qty = 0
                trades += 1
            selling = False
        elif buying:
            buying = False
            stop = open_ * (1 - STOP_SHARE)
            qty = int(cash * POSITION_SHARE / open_)
            cash -= qty * (open_ + _TICK)
        if minute >> 1 != window:
            window = minute >> 1
            candle_high, candle_low = high, low
            continue
        highs.append(high if high > candle_high else candle_high)
        lows.append(low if low < candle_low else candle_low)
        closes.append(close)
        equity.append(cash + qty * close)
        fast_sum += close
        slow_sum += close
        count = len(closes)
        if count <= SLOW:
            if count > FAST:
                fast_sum -= closes[-FAST - 1]
            continue
        fast_sum -= closes[-FAST - 1]
        slow_sum -= closes[-SLOW - 1]
        above = fast_sum / FAST > slow_sum / SLOW
        if above:
            buying = not was_above and not qty
        else:
            selling = qty > 0
        was_above = above
    return {"trades": trades + (qty > 0), "final_equity": equity[-1]}


if __name__ == "__main__":
    measure(Path(sys.argv[1]), prepare, run)
