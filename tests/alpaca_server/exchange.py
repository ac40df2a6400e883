"""Everything the exchange knows, in one place and one thread: book, bars, calendar, clock and audit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from tests.alpaca_server import wire
from tests.alpaca_server.account import Account, Holding
from tests.alpaca_server.audit import Audit
from tests.alpaca_server.book import Book
from tests.alpaca_server.clocks import ServerClock
from tests.alpaca_server.market import DayMaker, MinuteBar, MinuteUnderWay, Tape
from tests.alpaca_server.order_faults import OrderFaults
from tests.alpaca_server.orders import News
from tests.alpaca_server.rules import Asset, held_for_orders
from tests.alpaca_server.sessions import Hours
from tests.alpaca_server.stamps import Stamper, utc_text


class Exchange:
    """``on_update`` is told the JSON of every trade update, at once and in order."""

    def __init__(
        self,
        prices: Mapping[str, float],
        account: Account,
        hours: Hours,
        clock: ServerClock,
        faults: OrderFaults,
        *,
        account_number: str,
        slippage_ticks: int,
        seed: int,
        made_up: DayMaker | None,
    ) -> None:
        self.account_number = account_number
        self.hours = hours
        self.clock = clock
        self.audit = Audit()
        self.tape = Tape(made_up)
        self.minute = MinuteUnderWay()
        self.updates: list[wire.Json] = []
        self.on_update: Callable[[wire.Json], None] = lambda _: None
        self.assets = {symbol: Asset(symbol, wire.asset_id(symbol)) for symbol in prices}
        self.stamp = Stamper(clock.now)
        self.book = Book(
            account, self.assets, faults, self.stamp, self._publish,
            slippage_ticks=slippage_ticks, seed=seed,
        )  # fmt: skip
        self.book.prices.update({symbol: exact(price) for symbol, price in prices.items()})
        self._checked = clock.now()
        self.book.market_open = hours.is_open(self._checked)
        self._opened = utc_text(self.stamp())
        #: Fields of the account's JSON that a test wants otherwise (blocked, closed, …).
        self.account_shape: dict[str, object] = {}

    # ---- time ------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return self.clock.now()

    def set_time(self, now: datetime) -> None:
        """Virtual time jumps to ``now``, past every open and close on the way."""
        if now > self._checked:
            for when, opens in self.hours.changes(self._checked, now):
                self.clock.set(when)
                self._session(opens=opens)
        self.clock.set(now)
        self._checked = now
        self.book.market_open = self.hours.is_open(now)

    def catch_up(self) -> None:
        """Real time went on: open or close the session if its time has come."""
        now = self.now()
        for _, opens in self.hours.changes(self._checked, now):
            self._session(opens=opens)
        self._checked = max(self._checked, now)

    def _session(self, *, opens: bool) -> None:
        if opens:
            self.book.open_session()
        else:
            self.book.close_session()

    # ---- the market ------------------------------------------------------------------------------

    def trade(self, symbol: str, price: float) -> None:
        """A trade at ``price``: orders match at once, and the minute's bar remembers it."""
        self.minute.trade(symbol, price)
        self.book.move(symbol, exact(price))

    def play(self, bars: Iterable[MinuteBar]) -> None:
        """Match a minute's bars along their paths and write them on the tape."""
        for bar in bars:
            self.book.move(bar.symbol, *(exact(price) for price in bar.path()))
            self.tape.write([bar])

    # ---- the account -----------------------------------------------------------------------------

    def hold(self, symbol: str, qty: Decimal, price: Decimal) -> None:
        """Shares come or go outside this exchange; no order, no execution, no cash."""
        if qty:
            self.book.account.holdings[symbol] = Holding(qty, price)
        else:
            self.book.account.holdings.pop(symbol, None)
        self._look_at(symbol)

    def account_json(self) -> wire.Json:
        book = self.book
        power = book.account.buying_power(book.prices, book.open_orders())
        told = wire.account(book.account, book.prices, power, self.account_number, self._opened)
        return {**told, **self.account_shape}

    def position_json(self, symbol: str) -> wire.Json | None:
        held = self.book.account.holdings.get(symbol)
        if held is None:
            return None
        tied = held_for_orders(symbol, self.book.open_orders(symbol))
        price = self.book.prices.get(symbol, held.avg_price)
        asset = self.assets.get(symbol)
        return wire.position(symbol, held, price, held.qty - tied, asset.exchange if asset else "NASDAQ")

    # ---- news ------------------------------------------------------------------------------------

    def _publish(self, news: News) -> None:
        update = wire.trade_update(news)
        self.updates.append(update)
        self._look_at(news.order.ticket.symbol)
        self.on_update(update)

    def _look_at(self, symbol: str) -> None:
        self.audit.protect(
            symbol, self.book.account.qty(symbol), self.book.open_orders(symbol), self.clock.now()
        )


def exact(price: float) -> Decimal:
    """The decimal that a float is written as."""
    return Decimal(repr(float(price)))


def minute_of(time: datetime) -> datetime:
    """The start of its minute."""
    return time - timedelta(seconds=time.second, microseconds=time.microsecond)
