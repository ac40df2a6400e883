"""Events as JSON lines, with a short way for the two kinds that come by the hundred thousand."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from math import isfinite

from tui_trader.core.events import BarReceived, CandleClosed, Published, iso_utc, to_json


class LineEncoder:
    """Encodes events byte for byte as ``core.events.to_json`` does; bars and candles several times faster.

    Keeps the last times and all symbols in their written form, so use one for each stream of events.
    """

    def __init__(self) -> None:
        self._time: datetime | None = None
        self._time_text = ""
        self._stamp: datetime | None = None
        self._stamp_text = ""
        self._symbols: dict[str, str] = {}
        self._encode_symbol: Callable[[str], str] = json.JSONEncoder(ensure_ascii=False).encode

    def encode(self, published: Published) -> str:
        """One line without its line end."""
        seq, time, event = published
        kind = type(event)
        if kind is BarReceived:
            return self._bar(published, seq, time, event)  # type: ignore[arg-type]
        if kind is CandleClosed:
            return self._candle(published, seq, time, event)  # type: ignore[arg-type]
        return to_json(published)

    def _bar(self, published: Published, seq: int, time: datetime, bar: BarReceived) -> str:
        open_, high, low, close = bar.open, bar.high, bar.low, bar.close
        # A sum is finite only when its parts are; the rare other case takes the long way.
        if not isfinite(open_ + high + low + close):
            return to_json(published)
        self._remember(time, bar.timestamp)
        return (
            f'{{"type":"BarReceived","time":"{self._time_text}","seq":{seq},"symbol":{self._symbol(bar.symbol)},'
            f'"timestamp":"{self._stamp_text}","open":{open_},"high":{high},"low":{low},"close":{close},'
            f'"volume":{bar.volume},"adjusted":{"true" if bar.adjusted else "false"}}}'
        )

    def _candle(self, published: Published, seq: int, time: datetime, candle: CandleClosed) -> str:
        open_, high, low, close = candle.open, candle.high, candle.low, candle.close
        fast, slow = candle.sma_fast, candle.sma_slow
        if not isfinite(open_ + high + low + close + fast + slow):
            return to_json(published)
        self._remember(time, candle.timestamp)
        return (
            f'{{"type":"CandleClosed","time":"{self._time_text}","seq":{seq},'
            f'"symbol":{self._symbol(candle.symbol)},"timestamp":"{self._stamp_text}",'
            f'"minutes":{candle.minutes},"open":{open_},"high":{high},"low":{low},"close":{close},'
            f'"volume":{candle.volume},"bars":{candle.bars},'
            f'"complete":{"true" if candle.complete else "false"},"sma_fast":{fast},"sma_slow":{slow}}}'
        )

    def _remember(self, time: datetime, stamp: datetime) -> None:
        if time != self._time:
            self._time, self._time_text = time, iso_utc(time)
        if stamp != self._stamp:
            self._stamp, self._stamp_text = stamp, iso_utc(stamp)

    def _symbol(self, symbol: str) -> str:
        text = self._symbols.get(symbol)
        if text is None:
            text = self._symbols[symbol] = self._encode_symbol(symbol)
        return text
