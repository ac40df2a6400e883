"""The market data stream: msgpack or JSON arrays, one connection an endpoint, a limit of symbols."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgpack  # type: ignore[import-untyped, unused-ignore]
from aiohttp import WSMessage, WSMsgType, web

from tests.alpaca_server.audit import Audit
from tests.alpaca_server.gateway import Keys
from tests.alpaca_server.market import MinuteBar
from tests.alpaca_server.sockets import Payload, Session, SocketHub
from tests.alpaca_server.stamps import SECOND, nanos_of, utc_text

Message = Mapping[str, object]

_CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
#: Which channel a kind of message goes out on.
_CHANNEL_OF = {
    "b": "bars",
    "u": "updatedBars",
    "d": "dailyBars",
    "s": "statuses",
    "t": "trades",
    "q": "quotes",
}
_ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    408: "v2 not enabled",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    500: "internal error",
}


def error(code: int) -> Message:
    return {"T": "error", "code": code, "msg": _ERRORS[code]}


def bar_message(kind: str, bar: MinuteBar) -> Message:
    """A bar whatever its values are; times stay nanoseconds until they are encoded."""
    return {
        "T": kind, "S": bar.symbol, "o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close,
        "v": bar.volume, "n": 10, "vw": bar.close, "t": nanos_of(bar.time),
    }  # fmt: skip


def encode(messages: Sequence[Message], *, binary: bool) -> Payload:
    """One frame. A ``t`` is nanoseconds since 1970: a timestamp in msgpack, text in JSON."""
    if binary:
        packed: bytes = msgpack.packb([_stamped(m, _timestamp) for m in messages])
        return packed
    return json.dumps([_stamped(m, utc_text) for m in messages], separators=(",", ":"))


def _timestamp(nanos: int) -> msgpack.Timestamp:
    return msgpack.Timestamp(nanos // SECOND, nanos % SECOND)


def _stamped(message: Message, stamp: Callable[[int], object]) -> Message:
    time = message.get("t")
    return {**message, "t": stamp(time)} if isinstance(time, int) else message


class DataHub(SocketHub):
    """``symbol_limit`` counts the symbols of all channels but statuses; None is no limit."""

    name = "data"

    def __init__(
        self, keys: Keys, audit: Audit, heard: Callable[[], None], auth_seconds: float, *,
        symbol_limit: int | None, sip: bool,
    ) -> None:  # fmt: skip
        super().__init__(keys, audit, heard, auth_seconds)
        self.symbol_limit = symbol_limit
        self.sip = sip
        #: Further connections to be told 406, as when a connection of ours still lingers.
        self.full = 0
        #: Symbols whose messages are not sent.
        self.silent: set[str] = set()

    def subscribed(self, channel: str) -> set[str]:
        """Symbols that any client hears of on ``channel``."""
        return {s for session in self.sessions for s in session.channels.get(channel, ())}

    def send(self, messages: Iterable[Message]) -> None:
        """One frame to each client, of what it has subscribed to; nothing if that is nothing."""
        loud = [message for message in messages if message.get("S") not in self.silent]
        for session in self.sessions:
            wanted = [message for message in loud if _wants(session, message)]
            if wanted:
                session.put(encode(wanted, binary=session.binary))

    def tell_all(self, messages: Sequence[Message]) -> None:
        """One frame to each client, subscribed or not."""
        for session in self.sessions:
            _say(session, *messages)

    # ---- a client --------------------------------------------------------------------------------

    def greet(self, session: Session, request: web.Request) -> None:
        _say(session, {"T": "success", "msg": "connected"})
        key = request.headers.get("APCA-API-KEY-ID")
        if key is not None:
            self._authenticate(session, key, request.headers.get("APCA-API-SECRET-KEY"))

    def auth_timeout(self, session: Session) -> None:
        _say(session, error(404))

    def hear(self, session: Session, message: WSMessage) -> None:
        try:
            if message.type is WSMsgType.BINARY:
                said = msgpack.unpackb(message.data)
            else:
                said = json.loads(message.data)
            action = said["action"]
        except (ValueError, TypeError, KeyError, msgpack.UnpackException):
            _say(session, error(400))
            return
        if action == "auth":
            self._authenticate(session, said.get("key"), said.get("secret"))
        elif not session.authenticated:
            _say(session, error(401))
        elif action in ("subscribe", "unsubscribe"):
            self._subscribe(session, said, more=action == "subscribe")
        else:
            _say(session, error(410))

    def _authenticate(self, session: Session, key: object, secret: object) -> None:
        if session.authenticated:
            _say(session, error(403))
            return
        code = self._refusal(session, key, secret)
        if code is not None:
            _say(session, error(code))
            session.finish()
            return
        self.let_in(session)
        _say(session, {"T": "success", "msg": "authenticated"})

    def _refusal(self, session: Session, key: object, secret: object) -> int | None:
        if not self.knows(key, secret):
            return 402
        if self.full > 0:
            self.full -= 1
            return 406
        if any(s.authenticated and s.endpoint == session.endpoint for s in self.sessions):
            return 406
        if session.endpoint.endswith("/sip") and not self.sip:
            return 409
        return None

    def _subscribe(self, session: Session, said: Mapping[str, object], *, more: bool) -> None:
        wanted = {channel: set(session.channels.get(channel, ())) for channel in _CHANNELS}
        for channel in _CHANNELS:
            symbols = said.get(channel, [])
            if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
                _say(session, error(400))
                return
            if more:
                wanted[channel] |= set(symbols)
            else:
                wanted[channel] -= set(symbols)
        counted = set().union(*(wanted[channel] for channel in _CHANNELS if channel != "statuses"))
        if self.symbol_limit is not None and len(counted) > self.symbol_limit:
            _say(session, error(405))
            return
        session.channels = wanted
        _say(session, {"T": "subscription", **{channel: sorted(wanted[channel]) for channel in _CHANNELS}})


def _say(session: Session, *messages: Message) -> None:
    session.put(encode(messages, binary=session.binary))


def _wants(session: Session, message: Message) -> bool:
    channel = _CHANNEL_OF.get(str(message.get("T")))
    wanted = session.channels.get(channel, set()) if channel is not None else set()
    return message.get("S") in wanted or "*" in wanted
