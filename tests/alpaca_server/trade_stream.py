"""The trade stream: JSON in binary frames, one connection an account, nothing replayed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping

from aiohttp import WSMessage

from tests.alpaca_server import wire
from tests.alpaca_server.audit import Audit
from tests.alpaca_server.faults import UpdateFault, UpdateFaults
from tests.alpaca_server.gateway import Keys
from tests.alpaca_server.sockets import Session, SocketHub


class TradeHub(SocketHub):
    """``delay`` holds every update back for so many real seconds."""

    name = "trade"

    def __init__(
        self, keys: Keys, audit: Audit, heard: Callable[[], None], auth_seconds: float, faults: UpdateFaults
    ) -> None:
        super().__init__(keys, audit, heard, auth_seconds)
        self._faults = faults
        self._held: wire.Json | None = None
        self.delay = 0.0

    def listening(self) -> bool:
        """Whether a client hears trade updates."""
        return any("trade_updates" in session.channels for session in self.sessions)

    def update(self, data: wire.Json) -> None:
        """Tell an update, or do with it what was ordered."""
        order = data["order"]
        assert isinstance(order, Mapping)
        fault = self._faults.take(str(data["event"]), str(order["symbol"]))
        if fault is UpdateFault.SWAP and self._held is None:
            self._held = data
            return
        if fault is not UpdateFault.DROP:
            self._send(data)
        if fault is UpdateFault.DUPLICATE:
            self._send(data)
        self.flush()

    def flush(self) -> None:
        """Tell what waits for a successor."""
        if self._held is not None:
            held, self._held = self._held, None
            self._send(held)

    def send_data(self, data: object) -> None:
        """A message of the stream with this ``data``, whatever it is."""
        for session in self.sessions:
            if "trade_updates" in session.channels:
                session.put(_frame({"stream": "trade_updates", "data": data}))

    def _send(self, data: wire.Json) -> None:
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.send_data, data)
        else:
            self.send_data(data)

    # ---- a client --------------------------------------------------------------------------------

    def refuses(self, endpoint: str) -> int | None:
        refused = super().refuses(endpoint)
        return 429 if refused is None and self.connected() else refused

    def hear(self, session: Session, message: WSMessage) -> None:
        try:
            said = json.loads(message.data)
            action = said["action"]
        except (ValueError, TypeError, KeyError):
            session.put(_frame({"stream": "error", "data": {"error": "invalid message"}}))
            return
        if action in ("authenticate", "auth"):
            self._authenticate(session, said)
        elif action == "listen" and session.authenticated:
            streams = _mapping(said.get("data")).get("streams")
            heard = ["trade_updates"] if isinstance(streams, list) and "trade_updates" in streams else []
            session.channels = {name: set() for name in heard}
            session.put(_frame({"stream": "listening", "data": {"streams": sorted(session.channels)}}))
        else:
            session.put(_frame(_authorization("unauthorized", "listen")))

    def auth_timeout(self, session: Session) -> None:
        session.put(_frame(_authorization("unauthorized", "authenticate")))

    def _authenticate(self, session: Session, said: Mapping[str, object]) -> None:
        keys = _mapping(said.get("data"))
        known = self.knows(keys.get("key_id", said.get("key")), keys.get("secret_key", said.get("secret")))
        session.put(_frame(_authorization("authorized" if known else "unauthorized", "authenticate")))
        if known:
            self.let_in(session)
        else:
            session.finish()


def _authorization(status: str, action: str) -> wire.Json:
    return {"stream": "authorization", "data": {"action": action, "status": status}}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _frame(message: object) -> bytes:
    return json.dumps(message).encode()
