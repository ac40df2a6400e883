"""HTTP: keys, the rate limit, faults, and the audit, around the routers that know the answers."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from aiohttp import web

from tests.alpaca_server.audit import Request
from tests.alpaca_server.exchange import Exchange
from tests.alpaca_server.faults import CarryOut, End, RestFault, RestFaults
from tests.alpaca_server.routing import Answer, Call, Router

_UNAUTHORIZED = Answer(401, {"code": 40110000, "message": "request is not authorized"})
_TOO_MANY = Answer(429, {"code": 42910000, "message": "rate limit exceeded"})
_BAD_BODY = Answer(400, {"code": 40010000, "message": "request body format is invalid"})
#: On close, the peer gets a reset.
_LINGER = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Keys:
    """The one pair that is let in, until it is revoked."""

    key_id: str
    secret_key: str
    revoked: bool = False

    def let_in(self, key_id: object, secret_key: object) -> bool:
        return not self.revoked and (key_id, secret_key) == (self.key_id, self.secret_key)


@dataclass(slots=True)
class RateLimit:
    """Requests in the last minute of real time, at most ``limit``; None is no limit."""

    limit: int | None
    _times: deque[float] = field(default_factory=deque)

    def take(self) -> bool:
        now = time.monotonic()
        while self._times and now - self._times[0] >= 60.0:
            self._times.popleft()
        if self.limit is not None and len(self._times) >= self.limit:
            return False
        self._times.append(now)
        return True

    def left(self) -> int:
        return 0 if self.limit is None else self.limit - len(self._times)


class Gateway:
    """One API behind its own rate limit. ``heard`` is called after every request."""

    def __init__(
        self, router: Router, exchange: Exchange, keys: Keys, faults: RestFaults, limit: int | None,
        heard: Callable[[], None],
    ) -> None:  # fmt: skip
        self._router = router
        self._exchange = exchange
        self._keys = keys
        self._faults = faults
        self._limit = RateLimit(limit)
        self._heard = heard
        self._released = asyncio.Event()
        self._late: list[Call] = []

    def release_hanging(self) -> None:
        """Every request that hangs is answered."""
        self._released.set()
        self._released = asyncio.Event()

    def carry_out_late(self) -> None:
        """Requests that were to be carried out later are, now."""
        late, self._late = self._late, []
        for call in late:
            self._router.answer(call)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        began, text = time.monotonic(), await request.text()
        fault = self._faults.take(request.method, request.path)
        answer, done = self._carry_out(request, text, fault)
        outcome = str(answer.status) if fault is None else _outcome(fault, answer)
        self._exchange.audit.requests.append(
            Request(
                began, self._exchange.now(), request.method, request.path, request.query_string, text, done,
                outcome,
            )
        )  # fmt: skip
        self._heard()
        if fault is None:
            return self._response(answer)
        if fault.seconds:
            await asyncio.sleep(fault.seconds)
        if fault.end is End.HANG:
            await self._released.wait()
        if fault.end is End.RESET:
            _reset(request)
        if fault.status is None:
            return self._response(answer)
        return web.Response(status=fault.status, text=fault.body, content_type=fault.content_type)

    def _carry_out(self, request: web.Request, text: str, fault: RestFault | None) -> tuple[Answer, bool]:
        """The true answer, and whether anything was done for it."""
        headers = request.headers
        if not self._keys.let_in(headers.get("APCA-API-KEY-ID"), headers.get("APCA-API-SECRET-KEY")):
            return _UNAUTHORIZED, False
        if not self._limit.take():
            return _TOO_MANY, False
        try:
            body = json.loads(text, parse_float=Decimal) if text else {}
        except ValueError:
            return _BAD_BODY, False
        if not isinstance(body, Mapping):
            return _BAD_BODY, False
        path = "/" + request.match_info["path"]
        call = Call(request.method, path, dict(request.query), body)
        if fault is not None and fault.carry_out is not CarryOut.NOW:
            if fault.carry_out is CarryOut.LATER:
                self._late.append(call)
            return Answer(504), False
        return self._router.answer(call), True

    def _response(self, answer: Answer) -> web.Response:
        headers = {
            "X-RateLimit-Limit": str(self._limit.limit or 0),
            "X-RateLimit-Remaining": str(self._limit.left()),
        }
        if answer.json is None:
            return web.Response(status=answer.status, headers=headers)
        return web.json_response(answer.json, status=answer.status, headers=headers, dumps=_dumps)


def _dumps(value: object) -> str:
    return json.dumps(value, default=float)


def _outcome(fault: RestFault, answer: Answer) -> str:
    if fault.end is not End.ANSWER:
        return fault.end.value
    return str(answer.status if fault.status is None else fault.status)


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is not None:
        plug: socket.socket = transport.get_extra_info("socket")
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        transport.abort()
