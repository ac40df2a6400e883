"""The exchange on the network: one aiohttp application, all in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web

from tests.alpaca_server.data_api import DataApi
from tests.alpaca_server.data_stream import DataHub
from tests.alpaca_server.exchange import Exchange
from tests.alpaca_server.faults import RestFaults, Stream, UpdateFaults
from tests.alpaca_server.gateway import Gateway, Keys
from tests.alpaca_server.sockets import SocketHub
from tests.alpaca_server.trade_stream import TradeHub
from tests.alpaca_server.trading_api import TradingApi

#: Under these the parts of one port are found; alpaca-py adds /v2 to the first two by itself.
TRADING, DATA, DATA_STREAM, TRADE_STREAM = "/trading", "/data", "/market", "/updates"
_CATCH_UP_SECONDS = 0.2


class Service:
    """``heard`` is called whenever something came in or went out. Make it inside the loop it will run in."""

    def __init__(
        self, exchange: Exchange, keys: Keys, rest_faults: RestFaults, update_faults: UpdateFaults, *,
        rate_limit: int | None, symbol_limit: int | None, sip: bool, auth_seconds: float,
        heard: Callable[[], None],
    ) -> None:  # fmt: skip
        self.exchange = exchange
        self.keys = keys
        self._heard = heard
        self.trading_api = TradingApi(exchange)
        self.data_api = DataApi(exchange, sip=sip)
        self._gateways = [
            Gateway(api.router, exchange, keys, rest_faults, rate_limit, heard)
            for api in (self.trading_api, self.data_api)
        ]
        self.data_hub = DataHub(keys, exchange.audit, heard, auth_seconds, symbol_limit=symbol_limit, sip=sip)
        self.trade_hub = TradeHub(keys, exchange.audit, heard, auth_seconds, update_faults)
        exchange.on_update = self._update
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._port = 0
        #: Mistakes of our own, which no client should take for a fault that was ordered.
        self.mistakes: list[Exception] = []
        self._catching_up: asyncio.Task[None] | None = None

    def hub(self, stream: Stream) -> SocketHub:
        return self.data_hub if stream is Stream.DATA else self.trade_hub

    def _update(self, data: dict[str, object]) -> None:
        self.trade_hub.update(data)
        self._heard()

    async def start(self, port: int) -> int:
        """Listen on loopback; the port."""
        app = web.Application(client_max_size=4 * 1024 * 1024, middlewares=[self._note_mistakes])
        trading, data = self._gateways
        app.router.add_route("*", TRADING + "/v2/{path:.*}", trading.handle)
        app.router.add_route("*", DATA + "/v2/{path:.*}", data.handle)
        app.router.add_get(DATA_STREAM + "/v2/{feed}", self.data_hub.handle)
        app.router.add_get(TRADE_STREAM + "/stream", self.trade_hub.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self._listen(port)
        if not self.exchange.clock.virtual:
            self._catching_up = asyncio.create_task(self._catch_up())
        self._port = self._runner.addresses[0][1]
        return self._port

    async def _listen(self, port: int) -> None:
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, "127.0.0.1", port)
        await self._site.start()

    async def unplug(self) -> None:
        """Nobody can connect any more, and every connection is cut."""
        if self._site is not None and self._runner is not None and self._runner.server is not None:
            await self._site.stop()
            self._site = None
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()

    async def plug_in(self) -> None:
        """Listen again, where it was."""
        if self._site is None:
            await self._listen(self._port)

    @web.middleware
    async def _note_mistakes(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except (ConnectionError, web.HTTPException):
            raise
        except Exception as mistake:
            self.mistakes.append(mistake)
            raise

    async def stop(self) -> None:
        """Cut every connection and stop listening."""
        if self._catching_up is not None:
            self._catching_up.cancel()
            with suppress(asyncio.CancelledError):
                await self._catching_up
        self.release_hanging()
        for stream in Stream:
            self.hub(stream).drop(None)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _catch_up(self) -> None:
        while True:
            self.exchange.catch_up()
            await asyncio.sleep(_CATCH_UP_SECONDS)

    def release_hanging(self) -> None:
        for gateway in self._gateways:
            gateway.release_hanging()

    def carry_out_late(self) -> None:
        for gateway in self._gateways:
            gateway.carry_out_late()
