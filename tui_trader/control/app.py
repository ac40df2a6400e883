"""The routes of the control API. The only file that imports aiohttp: load it when a server starts."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar
from weakref import WeakSet

from aiohttp import web

from tui_trader.control.auth import Gate
from tui_trader.control.bodies import COMMANDS, BadRequest, parse_command
from tui_trader.control.limits import Limits, TokenBucket
from tui_trader.control.metrics import CONTENT_TYPE, metrics_page
from tui_trader.control.sse import Relay
from tui_trader.control.views import status_document, to_plain
from tui_trader.engine.handle import EngineHandle, EngineSnapshot, Flatten

log = logging.getLogger("tui_trader.control")
# What a malformed request provokes inside aiohttp is the caller's affair and may quote it: not for our log.
_quiet: Final = logging.getLogger("tui_trader.control.protocol")
_quiet.setLevel(logging.CRITICAL + 1)

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "tui-trader",
}
_EVENT_ID: Final = re.compile(r"[0-9]{1,18}")
_FAREWELL_S: Final = 0.5
_FLUSH_S: Final = 0.1
_ENGINE_SILENT: Final = "the engine does not answer"
_T = TypeVar("_T")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _json(status: int, document: object, **headers: str) -> web.Response:
    return web.Response(
        status=status,
        text=json.dumps(document),
        content_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def _error(status: int, message: str, **headers: str) -> web.Response:
    return _json(status, {"error": message}, **headers)


def _symbols(snapshot: EngineSnapshot) -> set[str]:
    known = {view.symbol for view in snapshot.symbols}
    known |= {position.symbol for position in snapshot.positions}
    return known | {order.symbol for order in snapshot.orders}


class _Connection(web.RequestHandler):
    """Answers what is not HTTP without quoting it."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        response = _error(status, "not a request this server understands")
        response.headers.update(_HEADERS)
        response.force_close()
        return response


async def _add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


async def _ignore_expectations(request: web.Request) -> None:
    """Nothing is answered before the guard has seen the request, not even ``100 Continue``."""


class _Refused(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


async def _part(transports: list[asyncio.Transport]) -> None:
    """Close connections: what is on its way has a moment to leave, what is stuck is cut."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_FLUSH_S):
            while any(transport.get_write_buffer_size() for transport in transports):
                await asyncio.sleep(0.01)
    for transport in transports:
        transport.abort()
    await asyncio.sleep(0)


class ControlApp:
    """Serves one engine to viewers on one loop."""

    def __init__(self, handle: EngineHandle, gate: Gate, relay: Relay, limits: Limits) -> None:
        self._handle = handle
        self._gate = gate
        self._relay = relay
        self._limits = limits
        # Apart, so that neither strangers nor a dashboard in a loop can crowd out a flatten.
        self._strangers, self._readers, self._commanders = (
            TokenBucket(limits.requests_per_second, limits.request_burst) for _ in range(3)
        )
        self._unanswered = 0
        self._admitted: WeakSet[asyncio.Protocol] = WeakSet()

    async def serve(
        self, listener: socket.socket, ready: Callable[[], None], stopping: asyncio.Event
    ) -> None:
        """Answer requests until ``stopping``; calls ``ready`` once connections are accepted."""
        loop = asyncio.get_running_loop()
        runner = web.AppRunner(
            self._application(), handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )
        await runner.setup()
        server = runner.server
        assert server is not None

        def connection() -> asyncio.Protocol:
            if len(server.connections) >= self._limits.connections and not self._make_room(server):
                return _Refused()
            made = _Connection(
                server,
                loop=loop,
                keepalive_timeout=15.0,
                lingering_time=1.0,
                logger=_quiet,
                access_log=_quiet,
                auto_decompress=False,
            )
            loop.call_later(self._limits.first_request_s, self._drop_if_idle, made)
            return made

        acceptor = await loop.create_server(connection, sock=listener, backlog=32)
        relaying = asyncio.create_task(self._relay.run())
        stop = asyncio.create_task(stopping.wait())
        ready()
        try:
            await asyncio.wait({relaying, stop}, return_when=asyncio.FIRST_COMPLETED)
            if relaying.done():
                relaying.result()
        finally:
            relaying.cancel()
            stop.cancel()
            acceptor.close()
            await self._relay.finish(_FAREWELL_S)
            transports = [made.transport for made in server.connections if made.transport is not None]
            await runner.cleanup()
            await _part(transports)

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=self._limits.body_bytes)
        for path, handler in {
            "/v1/health": self._health,
            "/v1/status": self._status,
            "/v1/candles": self._candles,
            "/v1/events": self._events,
            "/metrics": self._metrics,
        }.items():
            app.router.add_get(path, handler, allow_head=False)
        for name in COMMANDS:
            app.router.add_post(f"/v1/{name}", self._command, expect_handler=_ignore_expectations)
        app.on_response_prepare.append(_add_headers)
        return app

    def _make_room(self, server: web.Server) -> bool:
        """Hang up on somebody who has not shown the token, so that one who holds it finds a place."""
        for connection in server.connections:
            if connection not in self._admitted and connection.transport is not None:
                connection.transport.abort()
                return True
        return False

    def _drop_if_idle(self, connection: web.RequestHandler) -> None:
        if connection not in self._admitted and connection.transport is not None:
            connection.transport.close()

    # ---- every request ---------------------------------------------------------------------------------

    @property
    def _guard(self) -> Any:
        @web.middleware
        async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
            refusal = self._refusal(request)
            if refusal is not None:
                refusal.force_close()
                return refusal
            try:
                if not self._gate.holds_token(request.headers.get("Authorization")):
                    answer = await handler(request)
                    answer.force_close()  # a stranger gets one answer and leaves
                    return answer
                self._admitted.add(request.protocol)
                return await handler(request)
            except web.HTTPMethodNotAllowed as error:
                return _error(405, "method not allowed", Allow=", ".join(sorted(error.allowed_methods)))
            except web.HTTPRequestEntityTooLarge:
                return _error(413, f"the body is larger than {self._limits.body_bytes} bytes")
            except web.HTTPUnsupportedMediaType:
                return _error(415, "the body must be application/json")
            except web.HTTPException as error:
                return _error(error.status, "not found" if error.status == 404 else "bad request")
            except BadRequest as error:
                return _error(400, str(error))
            except Exception:
                log.exception("control API: %s failed", request.path)
                return _error(500, "internal error")

        return guard

    def _refusal(self, request: web.Request) -> web.Response | None:
        trusted = self._gate.holds_token(request.headers.get("Authorization"))
        bucket = self._strangers
        if trusted:
            bucket = self._commanders if request.method == "POST" else self._readers
        if not bucket.take():
            return _error(429, "too many requests", Retry_After="1")
        if not self._gate.is_ours(request.headers.getall("Host", []), request.headers.getall("Origin", [])):
            return _error(403, "foreign Host or Origin")
        if trusted or request.path == "/v1/health":
            return None
        return _error(401, "token missing or wrong", WWW_Authenticate="Bearer")

    # ---- reading ---------------------------------------------------------------------------------------

    async def _health(self, request: web.Request) -> web.Response:
        return _json(200, {"status": "ok"})

    async def _status(self, request: web.Request) -> web.Response:
        snapshot = await self._snapshot()
        if snapshot is None:
            return _error(503, _ENGINE_SILENT)
        return _json(200, status_document(self._handle.info, snapshot))

    async def _candles(self, request: web.Request) -> web.Response:
        symbol = request.query.get("symbol", "")
        if symbol not in self._handle.info.symbols:
            snapshot = await self._snapshot()
            if snapshot is None:
                return _error(503, _ENGINE_SILENT)
            if symbol not in _symbols(snapshot):
                return _error(404, "no such symbol here")
        candles = await self._answer(lambda: self._handle.candles(symbol))
        if candles is None:
            return _error(503, _ENGINE_SILENT)
        return _json(200, {"symbol": symbol, "candles": to_plain(candles)})

    async def _metrics(self, request: web.Request) -> web.Response:
        snapshot = await self._snapshot()
        relay = self._relay
        relay.pump()
        page = metrics_page(
            self._handle.info, snapshot, relay.heartbeat, relay.counts, relay.dropped, relay.viewers
        )
        return web.Response(body=page.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        asked = request.headers.get("Last-Event-ID", "")
        if asked and not _EVENT_ID.fullmatch(asked):
            raise BadRequest("Last-Event-ID is not the number of an event")
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        viewer = self._relay.attach(int(asked) if asked else None, transport.abort)
        if viewer is None:
            return _error(503, "too many event streams are open", Retry_After="5")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            await response.write(b"retry: 1000\n\n")
            while (chunk := await viewer.take(self._limits.heartbeat_s)) is not None:
                await response.write(chunk)
            await response.write_eof()
        except ConnectionError:
            pass
        finally:
            self._relay.detach(viewer)
        return response

    async def _snapshot(self) -> EngineSnapshot | None:
        """The engine's state, or None when it does not answer in time."""
        return await self._answer(self._handle.snapshot)

    async def _answer(self, ask: Callable[[], Future[_T]]) -> _T | None:
        """What the engine answers, or None when it does not in time."""
        if self._unanswered >= self._limits.unanswered_snapshots:
            return None
        loop = asyncio.get_running_loop()
        answered = asyncio.Event()

        def settle() -> None:
            self._unanswered -= 1
            answered.set()

        def wake(_: object) -> None:
            with suppress(RuntimeError):  # this loop is gone and nobody waits
                loop.call_soon_threadsafe(settle)

        # Not asyncio.wrap_future: it would cancel the engine's future on our time-out.
        future = ask()
        self._unanswered += 1
        future.add_done_callback(wake)
        try:
            async with asyncio.timeout(self._limits.engine_answer_s):
                await answered.wait()
        except TimeoutError:
            return None
        if future.cancelled() or future.exception() is not None:
            return None
        return future.result()

    # ---- commanding ------------------------------------------------------------------------------------

    async def _command(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        command = parse_command(request.path.rpartition("/")[2], body)
        if self._handle.stopped:
            return _error(409, "the engine has stopped")
        if isinstance(command, Flatten) and command.symbol not in (None, *self._handle.info.symbols):
            snapshot = await self._snapshot()
            if snapshot is None:
                return _error(503, _ENGINE_SILENT)
            if command.symbol not in _symbols(snapshot):
                return _error(404, f"no symbol {command.symbol} here")
        self._handle.send(command)
        return _json(202, {"accepted": True})

    async def _body(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > self._limits.body_bytes:
            raise web.HTTPRequestEntityTooLarge(self._limits.body_bytes, request.content_length or 0)
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                body = await request.read()
        except TimeoutError:
            raise BadRequest("the body did not arrive") from None
        if body and request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        return body
