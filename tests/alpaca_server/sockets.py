"""What both WebSocket streams have in common: sessions, one writer each, and what can go wrong with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from tests.alpaca_server.audit import Audit, Connection
from tests.alpaca_server.gateway import Keys

Payload = bytes | str


@dataclass(eq=False)
class Session:
    """One client's connection. What is put is sent in order."""

    request: web.Request
    socket: web.WebSocketResponse
    record: Connection
    endpoint: str
    binary: bool
    outbox: asyncio.Queue[Payload | None] = field(default_factory=asyncio.Queue)
    authenticated: bool = False
    mute: bool = False
    channels: dict[str, set[str]] = field(default_factory=dict)

    def put(self, payload: Payload) -> None:
        self.outbox.put_nowait(payload)

    def finish(self) -> None:
        """Close politely once everything put so far is sent."""
        self.outbox.put_nowait(None)


class SocketHub:
    """The connections of one stream. Subclasses speak its language in ``greet`` and ``hear``."""

    name: str

    def __init__(self, keys: Keys, audit: Audit, heard: Callable[[], None], auth_seconds: float) -> None:
        self.keys = keys
        self.sessions: list[Session] = []
        self.refusals: list[int] = []
        self.silent_greetings = 0
        self.auth_failures = 0
        self._audit = audit
        self._heard = heard
        self._auth_seconds = auth_seconds

    # ---- faults ----------------------------------------------------------------------------------

    def drop(self, code: int | None) -> None:
        """End all connections: with a close frame of ``code``, or without a word."""
        for session in list(self.sessions):
            if code is not None:
                asyncio.ensure_future(session.socket.close(code=code))  # noqa: RUF006
            else:
                _cut(session)

    def mute(self) -> None:
        """Connections stay open and answer pings, but say nothing more; new ones are well."""
        for session in self.sessions:
            session.mute = True

    def send_raw(self, payload: Payload) -> None:
        """Exactly this frame, to every connection."""
        for session in self.sessions:
            session.put(payload)

    def connected(self) -> bool:
        """Whether a client has been let in."""
        return any(session.authenticated for session in self.sessions)

    # ---- a connection ----------------------------------------------------------------------------

    def refuses(self, endpoint: str) -> int | None:
        """The HTTP status to refuse a new connection with, or None."""
        return self.refusals.pop(0) if self.refusals else None

    def greet(self, session: Session, request: web.Request) -> None:
        """A client has come."""

    def hear(self, session: Session, message: WSMessage) -> None:
        """It said something."""

    def auth_timeout(self, session: Session) -> None:
        """It has not said who it is."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        endpoint = request.path
        refused = self.refuses(endpoint)
        record = Connection(self.name, time.monotonic())
        self._audit.connections.append(record)
        if refused is not None:
            record.closed = record.opened
            self._heard()
            return web.Response(status=refused, text="connection refused")
        socket = web.WebSocketResponse(compress=False, heartbeat=None)
        await socket.prepare(request)
        binary = "msgpack" in request.headers.get("Content-Type", "")
        session = Session(request, socket, record, endpoint, binary)
        self.sessions.append(session)
        self._heard()
        writer = asyncio.create_task(self._write(session))
        deadline = asyncio.get_running_loop().call_later(self._auth_seconds, self._check_auth, session)
        try:
            if self.silent_greetings > 0:
                self.silent_greetings -= 1
            else:
                self.greet(session, request)
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self.hear(session, message)
                    self._heard()
        finally:
            deadline.cancel()
            writer.cancel()
            self.sessions.remove(session)
            record.closed = time.monotonic()
            self._heard()
        return socket

    def let_in(self, session: Session) -> None:
        session.authenticated = session.record.authenticated = True

    def knows(self, key: object, secret: object) -> bool:
        """Whether these keys are let in just now."""
        if self.auth_failures > 0:
            self.auth_failures -= 1
            return False
        return self.keys.let_in(key, secret)

    def _check_auth(self, session: Session) -> None:
        if not session.authenticated:
            self.auth_timeout(session)
            session.finish()

    async def _write(self, session: Session) -> None:
        while True:
            payload = await session.outbox.get()
            if session.mute:
                continue
            try:
                if payload is None:
                    await session.socket.close(code=WSCloseCode.OK)
                    return
                if isinstance(payload, str):
                    await session.socket.send_str(payload)
                else:
                    await session.socket.send_bytes(payload)
            except ConnectionError:
                return  # the reader notices, and ends the session


def _cut(session: Session) -> None:
    transport = session.request.transport
    if transport is not None:
        transport.abort()
