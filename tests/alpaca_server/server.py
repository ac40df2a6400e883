"""The exchange in a thread of its own, and everything that a test may do with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Self

from tests.alpaca_server import wire
from tests.alpaca_server.account import Account
from tests.alpaca_server.audit import Connection, Request
from tests.alpaca_server.clocks import ServerClock
from tests.alpaca_server.data_stream import Message, bar_message
from tests.alpaca_server.exchange import Exchange, exact, minute_of
from tests.alpaca_server.faults import RandomFaults, RestFaults, Stream, UpdateFaults
from tests.alpaca_server.gateway import Keys
from tests.alpaca_server.market import MINUTE, DayMaker, MinuteBar
from tests.alpaca_server.order_faults import OrderFaults
from tests.alpaca_server.orders import Order, Side, Ticket, Type
from tests.alpaca_server.service import DATA, DATA_STREAM, TRADE_STREAM, TRADING, Service
from tests.alpaca_server.sessions import Hours
from tests.alpaca_server.sockets import Payload
from tests.alpaca_server.stamps import nanos_of
from tests.alpaca_server.thread import LoopThread

#: open, high, low, close, and if a test cares, volume.
Prices = tuple[float, float, float, float] | tuple[float, float, float, float, float]


class AlpacaServer:
    """Use it as a context manager. Its methods may be called from any thread but the exchange's own.

    ``prices`` are the symbols there are, and where they stand. With ``now`` time stands still until it is
    moved; without, it is real, times ``speed``. ``made_up`` makes the bars before those that are played.
    ``rate_limit`` is requests a minute and API, ``symbol_limit`` that of the data stream; None is none.
    """

    def __init__(
        self,
        prices: Mapping[str, float],
        *,
        now: datetime | None = None,
        speed: float = 1.0,
        hours: Hours | None = None,
        cash: float = 100_000.0,
        multiplier: int = 1,
        shorting: bool = False,
        slippage_ticks: int = 0,
        seed: int = 0,
        key_id: str = "PKTESTKEY0000000000",
        secret_key: str = "test-secret-of-the-exchange",
        account_number: str = "PA3TEST12345",
        feed: str = "iex",
        sip: bool = False,
        rate_limit: int | None = 200,
        symbol_limit: int | None = None,
        auth_seconds: float = 10.0,
        made_up: DayMaker | None = None,
        port: int = 0,
    ) -> None:
        self.key_id = key_id
        self.secret_key = secret_key
        self.feed = feed
        #: Faults of requests, of orders and of trade updates; see their classes.
        self.rest_faults = RestFaults()
        self.order_faults = OrderFaults()
        self.update_faults = UpdateFaults()
        self._exchange = Exchange(
            prices,
            Account(exact(cash), multiplier, shorting),
            hours or Hours(),
            ServerClock(now, speed),
            self.order_faults,
            account_number=account_number,
            slippage_ticks=slippage_ticks,
            seed=seed,
            made_up=made_up,
        )
        self._keys = Keys(key_id, secret_key)
        self._settings = (rate_limit, symbol_limit, sip, auth_seconds)
        self._port = port
        self._speed = speed
        self._news = threading.Condition()
        self._service: Service
        self._thread = LoopThread(self._start, self._stop)
        self._do = self._thread.do

    # ---- its life --------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.end()
        if error is None and self._service.mistakes:
            raise self._service.mistakes[0]

    @property
    def running(self) -> bool:
        return self._thread.running

    async def _start(self) -> None:
        rate_limit, symbol_limit, sip, auth_seconds = self._settings
        self._service = Service(
            self._exchange, self._keys, self.rest_faults, self.update_faults, rate_limit=rate_limit,
            symbol_limit=symbol_limit, sip=sip, auth_seconds=auth_seconds, heard=self._notify,
        )  # fmt: skip
        self._port = await self._service.start(self._port)

    async def _stop(self) -> None:
        await self._service.stop()

    def _notify(self) -> None:
        with self._news:
            self._news.notify_all()

    # ---- where it is -----------------------------------------------------------------------------

    @property
    def trading_url(self) -> str:
        """For ``TradingClient(url_override=…)``: without /v2."""
        return f"http://127.0.0.1:{self._port}{TRADING}"

    @property
    def data_url(self) -> str:
        """For ``StockHistoricalDataClient(url_override=…)``: without /v2."""
        return f"http://127.0.0.1:{self._port}{DATA}"

    @property
    def data_stream_url(self) -> str:
        """The whole URL, feed included."""
        return f"ws://127.0.0.1:{self._port}{DATA_STREAM}/v2/{self.feed}"

    @property
    def trading_stream_url(self) -> str:
        """The whole URL."""
        return f"ws://127.0.0.1:{self._port}{TRADE_STREAM}/stream"

    def wait_until(self, condition: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Wait until ``condition`` holds, looking whenever something happened here; whether it does."""
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._news:
                self._news.wait(min(left, 0.02))
        return True

    # ---- time ------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self._exchange.now()

    @now.setter
    def now(self, time: datetime) -> None:
        """Virtual time only; opens and closes on the way happen."""
        self._do(lambda: self._exchange.set_time(time))

    def advance(self, seconds: float) -> None:
        """Virtual time goes on."""
        self.now = self._exchange.now() + timedelta(seconds=seconds)

    @property
    def market_open(self) -> bool:
        return self._exchange.hours.is_open(self._exchange.now())

    def seconds_until(self, time: datetime) -> float:
        """Real seconds until it is ``time`` here, 0 when it has come; for time that runs."""
        return max(0.0, (time - self._exchange.now()).total_seconds() / self._speed)

    def skew_clock(self, seconds: float) -> None:
        """``/clock`` is wrong by so much."""
        self._service.trading_api.clock_skew = timedelta(seconds=seconds)

    # ---- the market ------------------------------------------------------------------------------

    def trade(self, symbol: str, price: float) -> None:
        """The price jumps to ``price``; orders match at once, and ``end_minute`` makes a bar of it."""

        def act() -> None:
            self._exchange.trade(symbol, price)
            if symbol in self._service.data_hub.subscribed("trades"):
                self._service.data_hub.send([self._trade_message(symbol, price)])

        self._do(act)

    def _trade_message(self, symbol: str, price: float) -> Message:
        return {
            "T": "t", "S": symbol, "i": 1, "x": "V", "p": price, "s": 100, "c": ["@"], "z": "C",
            "t": nanos_of(self._exchange.now()),
        }  # fmt: skip

    def trades(self, prices: Mapping[str, float]) -> None:
        """Many trades at once, in order."""

        def act() -> None:
            for symbol, price in prices.items():
                self._exchange.trade(symbol, price)

        self._do(act)

    def play_minute(self, bars: Mapping[str, Prices], *, silent: Iterable[str] = ()) -> None:
        """Trade one minute of virtual time: match each bar along its path, then send all in one frame.

        Time goes on to the next full minute. The bars of ``silent`` symbols are traded but not sent.
        """

        def act() -> None:
            start = minute_of(self._exchange.now())
            played = [_bar(symbol, start, prices) for symbol, prices in bars.items()]
            # Just before the minute is over, so that what fills has not been unprotected for a minute.
            self._exchange.set_time(start + MINUTE - timedelta(microseconds=1))
            self._exchange.play(played)
            self._exchange.set_time(start + MINUTE)
            self._send("b", [bar for bar in played if bar.symbol not in set(silent)])

        self._do(act)

    def end_minute(self, start: datetime | None = None, *, volume: float = 1000) -> None:
        """Make bars of the minute's trades and send them. Virtual time goes on to the next full minute.

        With real time, ``start`` says which minute it was.
        """

        def act() -> None:
            began = start or minute_of(self._exchange.now())
            bars = self._exchange.minute.finish(began, lambda _: volume)
            self._exchange.tape.write(bars)
            if self._exchange.clock.virtual:
                self._exchange.set_time(began + MINUTE)
            self._send("b", bars)

        self._do(act)

    def write_history(self, bars: Iterable[MinuteBar]) -> None:
        """Bars that REST tells; nothing is matched or sent."""
        written = list(bars)
        self._do(lambda: self._exchange.tape.write(written))

    def send_bars(self, bars: Sequence[MinuteBar], *, updated: bool = False) -> None:
        """Send exactly these (late, twice, of the future, NaN: nobody looks); nothing is matched.

        ``updated`` ones also replace what REST tells of their minutes.
        """

        def act() -> None:
            if updated:
                self._exchange.tape.write(bars)
            self._send("u" if updated else "b", bars)

        self._do(act)

    def _send(self, kind: str, bars: Iterable[MinuteBar]) -> None:
        self._service.data_hub.send([bar_message(kind, bar) for bar in bars])

    def silence(self, *symbols: str) -> None:
        """The stream sends nothing more of these symbols; none ends all silence."""

        def act() -> None:
            hub = self._service.data_hub
            hub.silent = hub.silent | set(symbols) if symbols else set()

        self._do(act)

    def halt(self, symbol: str, *, reason: str = "LUDP") -> None:
        """No more matching of ``symbol``, and the stream says so."""
        self._set_halt(symbol, True, "H", "Trading Halt", reason)

    def resume(self, symbol: str) -> None:
        """Matching goes on."""
        self._set_halt(symbol, False, "T", "Trading Resumption", "")

    def _set_halt(self, symbol: str, halted: bool, code: str, text: str, reason: str) -> None:
        def act() -> None:
            status: Message = {
                "T": "s", "S": symbol, "sc": code, "sm": text, "rc": reason,
                "rm": "Volatility Trading Pause" if reason == "LUDP" else "", "z": "C",
                "t": nanos_of(self._exchange.now()),
            }  # fmt: skip
            self._service.data_hub.send([status])
            self._exchange.book.halt(symbol, halted=halted)

        self._do(act)

    def set_asset(self, symbol: str, **fields: object) -> None:
        """Change an asset: ``tradable``, ``status``, ``exchange``, ``shortable``, ``fractionable``."""

        def act() -> None:
            for name, value in fields.items():
                setattr(self._exchange.assets[symbol], name, value)

        self._do(act)

    # ---- the account, from outside ---------------------------------------------------------------

    def hold(self, symbol: str, qty: float, price: float) -> None:
        """Shares come from, or go to, elsewhere: no order, no execution. 0 takes the position away."""
        self._do(lambda: self._exchange.hold(symbol, exact(qty), exact(price)))

    def set_cash(self, cash: float) -> None:
        def act() -> None:
            self._exchange.book.account.cash = exact(cash)

        self._do(act)

    def shape_account(self, **fields: object) -> None:
        """Fields of the account's JSON that are told otherwise (``account_blocked=True``)."""
        self._do(lambda: self._exchange.account_shape.update(fields))

    def foreign_order(
        self, symbol: str, side: str, kind: str, qty: float | None, *, limit_price: float | None = None,
        stop_price: float | None = None, time_in_force: str = "day", notional: float | None = None,
        client_order_id: str | None = None, shape: Mapping[str, object] | None = None,
    ) -> wire.Json:  # fmt: skip
        """An order that somebody else places in the same account; its JSON afterwards.

        ``shape`` has it told otherwise than it is: another status, legs, an order class.
        """

        def act() -> wire.Json:
            book = self._exchange.book
            identity = client_order_id or book.new_client_order_id()
            ticket = Ticket(
                symbol, Side(side), Type(kind), _maybe(qty), identity, time_in_force, _maybe(limit_price),
                _maybe(stop_price), _maybe(notional),
            )  # fmt: skip

            def dress(order: Order) -> None:
                order.shape = shape or {}

            return wire.order(book.submit(ticket, dress))

        return self._do(act)

    def cancel_order(self, client_order_id: str) -> None:
        """Somebody else cancels an order."""

        def act() -> None:
            book = self._exchange.book
            book.cancel(book.order_of(client_order_id).id)

        self._do(act)

    # ---- what faults have held up ----------------------------------------------------------------

    def release_fills(self, symbol: str | None = None) -> None:
        """Orders that stayed partly filled go on filling."""
        self._do(lambda: self._exchange.book.release_fills(symbol))

    def release_cancels(self) -> None:
        """Stuck cancels go through."""
        self._do(lambda: self._exchange.book.release_cancels())

    def release_replaces(self) -> None:
        """Slow replaces go through, or are rejected when the old order has ended meanwhile."""
        self._do(lambda: self._exchange.book.release_replaces())

    def release_hanging(self) -> None:
        """Requests that hang are answered."""
        self._do(lambda: self._service.release_hanging())

    def carry_out_late(self) -> None:
        """Requests that were answered 504 and left undone are done now."""
        self._do(lambda: self._service.carry_out_late())

    def clear_faults(self) -> None:
        """Nothing more goes wrong, and everything held up goes through."""
        for faults in (self.rest_faults, self.order_faults, self.update_faults):
            faults.clear()
        self.order_faults.at_random = lambda _: False
        self.carry_out_late()
        self.release_hanging()
        self.release_cancels()
        self.release_replaces()
        self.release_fills()
        self._do(lambda: self._service.trade_hub.flush())

    def random_faults(self, seed: int, rate: float) -> None:
        """From now on every request, order and update goes wrong with probability ``rate``."""
        dice = RandomFaults(seed, rate)
        self.rest_faults.at_random = dice
        self.update_faults.at_random = dice
        self.order_faults.at_random = dice.hits

    # ---- streams ---------------------------------------------------------------------------------

    def connected(self, stream: Stream) -> bool:
        """Whether a client is let in there."""
        return self._do(lambda: self._service.hub(stream).connected())

    def listening(self) -> bool:
        """Whether a client hears trade updates."""
        return self._do(lambda: self._service.trade_hub.listening())

    def subscribed(self, channel: str = "bars") -> set[str]:
        """Symbols that are subscribed to on the data stream."""
        return self._do(lambda: self._service.data_hub.subscribed(channel))

    def drop(self, stream: Stream, code: int | None = None) -> None:
        """End its connections, by a close frame with ``code`` or without a word."""
        self._do(lambda: self._service.hub(stream).drop(code))

    def mute(self, stream: Stream) -> None:
        """Its connections stay open and answer pings, but say nothing more; new ones are well."""
        self._do(lambda: self._service.hub(stream).mute())

    def refuse(self, stream: Stream, status: int = 503, times: int = 1) -> None:
        """The next connections are refused with this HTTP status."""
        self._do(lambda: self._service.hub(stream).refusals.extend([status] * times))

    def unplug(self) -> None:
        """The network is gone: everything is cut, and nothing can connect until ``plug_in``."""
        self._thread.run(self._service.unplug())

    def plug_in(self) -> None:
        """The network is back."""
        self._thread.run(self._service.plug_in())

    def fill_up(self, times: int = 1) -> None:
        """The next clients of the data stream are told 406, as if a connection still lingered."""

        def act() -> None:
            self._service.data_hub.full += times

        self._do(act)

    def skip_greetings(self, stream: Stream, times: int = 1) -> None:
        """The next connections are opened and then nothing is said (on the trade stream: nothing changes)."""

        def act() -> None:
            self._service.hub(stream).silent_greetings += times

        self._do(act)

    def fail_auth(self, stream: Stream, times: int = 1) -> None:
        """The next clients are not let in, whatever their keys."""

        def act() -> None:
            self._service.hub(stream).auth_failures += times

        self._do(act)

    def revoke_keys(self, *, revoked: bool = True) -> None:
        """Requests get 401, streams are dropped and cannot come back. Or all is well again."""

        def act() -> None:
            self._keys.revoked = revoked
            for stream in Stream if revoked else ():
                self._service.hub(stream).drop(None)

        self._do(act)

    def limit_symbols(self, limit: int | None) -> None:
        """From now on, subscriptions beyond it are refused with 405."""

        def act() -> None:
            self._service.data_hub.symbol_limit = limit

        self._do(act)

    def delay_updates(self, seconds: float) -> None:
        """Every trade update is told so many real seconds late."""

        def act() -> None:
            self._service.trade_hub.delay = seconds

        self._do(act)

    def send_raw(self, stream: Stream, payload: Payload) -> None:
        """Exactly this frame."""
        self._do(lambda: self._service.hub(stream).send_raw(payload))

    def send_data(self, messages: Sequence[Message]) -> None:
        """One frame of these messages on the data stream, subscribed or not, encoded as the client likes."""
        self._do(lambda: self._service.data_hub.tell_all(messages))

    def send_update(self, data: object) -> None:
        """A trade update with this ``data``: an unknown event, null, one told before."""
        self._do(lambda: self._service.trade_hub.send_data(data))

    # ---- what it saw -----------------------------------------------------------------------------

    @property
    def requests(self) -> list[Request]:
        """Every request so far."""
        return list(self._exchange.audit.requests)

    def requests_of(self, method: str, path: str = "") -> list[Request]:
        """Those of this method whose path contains ``path``."""
        return [r for r in self.requests if r.method == method and path in r.path]

    def max_requests_per_minute(self) -> int:
        return self._do(lambda: self._exchange.audit.max_requests_per_minute())

    @property
    def connections(self) -> list[Connection]:
        """Every attempt to connect to a stream so far."""
        return list(self._exchange.audit.connections)

    @property
    def updates(self) -> list[wire.Json]:
        """Every trade update there was, told or not, in order."""
        return list(self._exchange.updates)

    def orders(self) -> list[wire.Json]:
        """All orders that ever were, oldest first."""
        return self._do(lambda: [wire.order(order) for order in self._exchange.book.orders.values()])

    def order(self, client_order_id: str) -> wire.Json:
        """Raises ``ApiError`` when there is none."""
        return self._do(lambda: wire.order(self._exchange.book.order_of(client_order_id)))

    def working(self, symbol: str | None = None) -> list[wire.Json]:
        """Orders that have not ended."""
        return self._do(lambda: [wire.order(order) for order in self._exchange.book.open_orders(symbol)])

    def executions(self) -> list[wire.Json]:
        """All fills, as activities, oldest first."""
        return self._do(lambda: [wire.activity(e) for e in self._exchange.book.executions])

    def positions(self) -> dict[str, Decimal]:
        """Shares by symbol, negative when short."""
        return self._do(lambda: {s: h.qty for s, h in self._exchange.book.account.holdings.items()})

    def price(self, symbol: str) -> Decimal:
        """Where it stands."""
        return self._do(lambda: self._exchange.book.prices[symbol])

    @property
    def cash(self) -> Decimal:
        return self._exchange.book.account.cash

    def unprotected_since(self, symbol: str) -> float:
        """Seconds, by this server's clock, for which shares have been held without a sell stop or market
        sell for all of them; 0 when all are protected."""
        return self._do(lambda: self._exchange.audit.bare_for(symbol, self._exchange.now()))

    def longest_unprotected(self, symbol: str) -> float:
        """The longest such stretch so far. Seconds."""
        return self._do(lambda: self._exchange.audit.longest_bare(symbol, self._exchange.now()))

    def unprotected_stretches(self) -> list[tuple[str, datetime, float]]:
        """Symbol, beginning and seconds of every such stretch that is over."""
        return self._do(lambda: list(self._exchange.audit.stretches))


def _bar(symbol: str, start: datetime, prices: Prices) -> MinuteBar:
    return MinuteBar(symbol, start, *prices)


def _maybe(value: float | None) -> Decimal | None:
    return None if value is None else exact(value)
