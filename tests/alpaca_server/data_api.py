"""Alpaca's market data API v2 for stocks: minute bars in pages, and the latest of everything."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import datetime, timedelta

from tests.alpaca_server import wire
from tests.alpaca_server.errors import ApiError
from tests.alpaca_server.exchange import Exchange, minute_of
from tests.alpaca_server.market import MINUTE, MinuteBar
from tests.alpaca_server.routing import Answer, Call, Router
from tests.alpaca_server.stamps import NEW_YORK, nanos_of, parse, time_of

_FEEDS = ("iex", "sip", "delayed_sip", "otc", "")
_DELAY = timedelta(minutes=15)


class DataApi:
    """``sip`` says whether the account may have recent data of that feed."""

    def __init__(self, exchange: Exchange, *, sip: bool) -> None:
        self._exchange = exchange
        self.sip = sip
        self.router = Router(
            {
                ("GET", "/stocks/bars"): self._bars,
                ("GET", "/stocks/bars/latest"): self._latest("bars", self._latest_bar),
                ("GET", "/stocks/trades/latest"): self._latest("trades", self._latest_trade),
                ("GET", "/stocks/quotes/latest"): self._latest("quotes", self._latest_quote),
                ("GET", "/stocks/snapshots"): self._latest(None, self._snapshot),
            }
        )

    def _bars(self, call: Call) -> Answer:
        """One page: ``limit`` counts the bars of all symbols together, sorted by symbol."""
        if call.query.get("timeframe") != "1Min":
            raise ApiError(400, None, "invalid timeframe")
        symbols = sorted(set(self._symbols(call)))
        now = self._exchange.now()
        end = _time(call, "end", now)
        midnight = now.astimezone(NEW_YORK).replace(hour=0, minute=0, second=0, microsecond=0)
        start = _time(call, "start", midnight)
        self._check_feed(call, end)
        limit = _limit(call)
        after = _token(call.query.get("page_token"))
        # A bar is known when its minute is over.
        end = min(end, minute_of(now) - MINUTE)
        descending = call.query.get("sort") == "desc"
        page: dict[str, list[wire.Json]] = {}
        taken = 0
        last = ("", start)
        for symbol in symbols:
            if after is not None and symbol < after[0]:
                continue
            bars = self._exchange.tape.between(symbol, start, end)
            if descending:
                bars = bars[::-1]
            if after is not None and symbol == after[0]:
                bars = [bar for bar in bars if (bar.time < after[1] if descending else bar.time > after[1])]
            if len(bars) > limit - taken:
                rest = bars[: limit - taken]
                if rest:
                    page[symbol] = [wire.bar(bar) for bar in rest]
                    last = (symbol, rest[-1].time)
                return Answer(200, {"bars": page, "next_page_token": _make_token(*last)})
            if bars:
                page[symbol] = [wire.bar(bar) for bar in bars]
                last = (symbol, bars[-1].time)
                taken += len(bars)
        return Answer(200, {"bars": page, "next_page_token": None})

    def _latest(self, name: str | None, tell: Callable[[str], wire.Json | None]) -> Callable[[Call], Answer]:
        """A handler that tells something of each symbol; those of which nothing is known are absent."""

        def answer(call: Call) -> Answer:
            self._check_feed(call, self._exchange.now())
            told = {symbol: tell(symbol) for symbol in self._symbols(call)}
            known = {symbol: facts for symbol, facts in told.items() if facts is not None}
            return Answer(200, known if name is None else {name: known})

        return answer

    def _last_bar(self, symbol: str) -> MinuteBar | None:
        now = self._exchange.now()
        bars = self._exchange.tape.between(symbol, now - timedelta(days=4), minute_of(now) - MINUTE)
        return bars[-1] if bars else None

    def _latest_bar(self, symbol: str) -> wire.Json | None:
        bar = self._last_bar(symbol)
        return None if bar is None else wire.bar(bar)

    def _latest_trade(self, symbol: str) -> wire.Json | None:
        price = self._exchange.book.prices.get(symbol)
        return None if price is None else wire.latest_trade(price, nanos_of(self._exchange.now()))

    def _latest_quote(self, symbol: str) -> wire.Json | None:
        price = self._exchange.book.prices.get(symbol)
        return None if price is None else wire.latest_quote(price, nanos_of(self._exchange.now()))

    def _snapshot(self, symbol: str) -> wire.Json | None:
        if symbol not in self._exchange.book.prices:
            return None
        now = self._exchange.now()
        midnight = now.astimezone(NEW_YORK).replace(hour=0, minute=0, second=0, microsecond=0)
        today = self._exchange.tape.between(symbol, midnight, minute_of(now) - MINUTE)
        before = self._exchange.tape.between(symbol, midnight - timedelta(days=1), midnight - MINUTE)
        return {
            "latestTrade": self._latest_trade(symbol),
            "latestQuote": self._latest_quote(symbol),
            "minuteBar": self._latest_bar(symbol),
            "dailyBar": _whole_day(today, midnight),
            "prevDailyBar": _whole_day(before, midnight - timedelta(days=1)),
        }

    def _symbols(self, call: Call) -> list[str]:
        symbols = call.listed("symbols")
        if not symbols:
            raise ApiError(400, None, "symbols is required")
        return symbols

    def _check_feed(self, call: Call, end: datetime) -> None:
        feed = call.query.get("feed", "")
        if feed not in _FEEDS:
            raise ApiError(400, None, f"invalid feed: {feed}")
        if feed == "sip" and not self.sip and end > self._exchange.now() - _DELAY:
            raise ApiError(403, None, "subscription does not permit querying recent SIP data")


def _whole_day(bars: list[MinuteBar], day: datetime) -> wire.Json | None:
    if not bars:
        return None
    high, low = max(bar.high for bar in bars), min(bar.low for bar in bars)
    volume = sum(bar.volume for bar in bars)
    start = time_of(nanos_of(day))
    return wire.bar(MinuteBar(bars[0].symbol, start, bars[0].open, high, low, bars[-1].close, volume))


def _limit(call: Call) -> int:
    text = call.query.get("limit") or "1000"
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise ApiError(400, None, "limit must be between 1 and 10000")
    return int(text)


def _time(call: Call, name: str, default: datetime) -> datetime:
    text = call.query.get(name)
    if not text:
        return default
    try:
        return time_of(parse(text))
    except ValueError:
        raise ApiError(400, None, f"invalid {name}: {text!r}") from None


def _make_token(symbol: str, time: datetime) -> str:
    return base64.urlsafe_b64encode(f"{symbol}|M|{nanos_of(time)}".encode()).decode()


def _token(text: str | None) -> tuple[str, datetime] | None:
    if not text:
        return None
    try:
        symbol, _, nanos = base64.urlsafe_b64decode(text).decode().split("|")
        return symbol, time_of(int(nanos))
    except (ValueError, binascii.Error):
        raise ApiError(400, None, "invalid page_token") from None
