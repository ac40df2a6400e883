"""The minute bars heard of one symbol: what charts of other intervals than the strategy's are made of."""

from __future__ import annotations

from array import array
from datetime import UTC, datetime
from typing import Final

from tui_trader.core.events import BarReceived
from tui_trader.engine.handle import CandleRow

_FIELDS: Final = 6
_MOST: Final = 2 * 390 * _FIELDS  # two sessions; a bar takes 48 bytes


class MinuteBars:
    """At most two sessions of bars, oldest first."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values = array("d")

    def __len__(self) -> int:
        return len(self._values) // _FIELDS

    def add(self, bar: BarReceived) -> None:
        """Keep a bar. One of the last one's minute replaces it; an older one is ignored."""
        values = self._values
        stamp = bar.timestamp.timestamp()
        if values and stamp <= values[-_FIELDS]:
            if stamp < values[-_FIELDS]:
                return
            del values[-_FIELDS:]
        values.extend((stamp, bar.open, bar.high, bar.low, bar.close, bar.volume))
        if len(values) > _MOST:
            del values[: _MOST // 4]

    def clear(self) -> None:
        """Forget them: some were missed, and a candle made of the others would be wrong."""
        del self._values[:]

    def rows(self) -> list[CandleRow]:
        """The bars as candles without averages."""
        values = self._values
        nan = float("nan")
        return [
            CandleRow(datetime.fromtimestamp(stamp, UTC), open_, high, low, close, int(volume), nan, nan)
            for stamp, open_, high, low, close, volume in zip(*[iter(values)] * _FIELDS, strict=True)
        ]
