"""Candles of another interval than the strategy's: made of its own where they fit, else of minute bars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tui_trader.tui.widgets.chart_scale import group

if TYPE_CHECKING:
    from tui_trader.engine.handle import CandleRow

#: Minutes of a candle that can be chosen, beside the strategy's own.
INTERVALS: Final = (1, 2, 5, 10, 15)


def intervals(own: int, bars: bool) -> list[int]:
    """What can be shown, shortest first: without minute bars only multiples of the strategy's own."""
    return sorted({own, *(minutes for minutes in INTERVALS if bars or minutes % own == 0)})


def made_of_bars(minutes: int, own: int) -> bool:
    """Whether the strategy's candles cannot be put together to that interval."""
    return minutes % own != 0


def regrouped(
    candles: Sequence[CandleRow], bars: Sequence[CandleRow], own: int, minutes: int
) -> Sequence[CandleRow]:
    """Candles of ``minutes``. Their averages are the strategy's, as it knew them when each candle ended."""
    if minutes == own:
        return candles
    if not made_of_bars(minutes, own):
        return group(candles, minutes)
    columns = group(bars, minutes)
    if columns and bars[0].timestamp.minute % minutes:
        del columns[0]  # its first bars were not heard
    return _with_averages(columns, minutes, candles, own)


def _with_averages(
    columns: Sequence[CandleRow], minutes: int, candles: Sequence[CandleRow], own: int
) -> list[CandleRow]:
    done: list[CandleRow] = []
    length, own_length = timedelta(minutes=minutes), timedelta(minutes=own)
    known = 0
    for column in columns:
        end = column.timestamp + length
        while known < len(candles) and candles[known].timestamp + own_length <= end:
            known += 1
        if known:
            then = candles[known - 1]
            column = column._replace(sma_fast=then.sma_fast, sma_slow=then.sma_slow)
        done.append(column)
    return done
