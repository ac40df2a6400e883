"""The latest candles of one symbol, kept for charts in memory that does not grow."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tui_trader.engine.handle import CandleRow

CHART_CANDLES = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDTH = len(CandleRow._fields)


class ChartCandles:
    """At most ``CHART_CANDLES`` rows. A thousand tuples would take five times the room, bit by bit."""

    __slots__ = ("_count", "_values")

    def __init__(self) -> None:
        # Filled, not merely reserved: the memory is there from the start.
        self._values = array("d", [0.0]) * (CHART_CANDLES * _WIDTH)
        self._count = 0

    def __len__(self) -> int:
        return min(self._count, CHART_CANDLES)

    def append(self, row: CandleRow) -> None:
        at = self._count % CHART_CANDLES * _WIDTH
        self._values[at : at + _WIDTH] = array("d", ((row[0] - _EPOCH).total_seconds(), *row[1:]))
        self._count += 1

    def clear(self) -> None:
        self._count = 0

    def __iter__(self) -> Iterator[CandleRow]:
        """Oldest first."""
        values = self._values
        for number in range(max(0, self._count - CHART_CANDLES), self._count):
            at = number % CHART_CANDLES * _WIDTH
            stamp, open_, high, low, close, volume, fast, slow = values[at : at + _WIDTH]
            start = _EPOCH + timedelta(seconds=stamp)
            yield CandleRow(start, open_, high, low, close, int(volume), fast, slow)
