"""The trade update stream: what becomes of the account's orders, as it happens.

Every update is handed on as it came; what it means is the broker adapter's business. Nothing is replayed
after a gap, so each time the stream is connected again the engine asks for a snapshot by itself.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tui_trader.venues.alpaca.redaction import Tally, masked
from tui_trader.venues.alpaca.socket import (
    BrokenConnectionError,
    ConnectionLimitError,
    FatalError,
    ReconnectingSocket,
    Wire,
)
from tui_trader.venues.base import Sink

if TYPE_CHECKING:
    from tui_trader.venues.alpaca.access import AlpacaAccess

_UPDATES: Final = "trade_updates"
_LOOK_EVERY: Final = 60.0

Update = dict[str, Any]


class TradeUpdateStream:
    """Hands the ``data`` of every trade update to ``take``, in the loop that ``run`` runs in.

    A ``take`` that raises loses that one update; ``on_problem`` is told. ``on_fatal`` says why the stream has
    ended for good. ``jitter`` gives a number from 0 up to 1.
    """

    def __init__(
        self,
        access: AlpacaAccess,
        sink: Sink,
        take: Callable[[Update], None],
        *,
        on_problem: Callable[[str], None],
        on_fatal: Callable[[str], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._key_id, self._secret_key = access.secrets
        self._take = take
        self._tell = masked(on_problem, access.secrets)
        self._socket = ReconnectingSocket(
            "trade_updates",
            access.trading_stream_url,
            self,
            sink,
            on_problem=self._tell,
            on_fatal=masked(on_fatal, access.secrets),
            jitter=jitter,
        )
        self._unreadable = Tally()

    @property
    def unreadable(self) -> int:
        """Messages so far that said nothing we could use. Each may have been an update."""
        return self._unreadable.count

    async def run(self) -> None:
        """Stream until cancelled, which takes less than a second. Returns only after a fatal error."""
        await self._socket.run()

    async def converse(self, wire: Wire) -> None:
        """See ``socket.Dialogue``."""
        keys = {"key_id": self._key_id, "secret_key": self._secret_key}
        await wire.send(json.dumps({"action": "authenticate", "data": keys}))
        await wire.receive_until(lambda data: self._handle(data) == "authorization", "answer to the keys")
        await wire.send(json.dumps({"action": "listen", "data": {"streams": [_UPDATES]}}))
        await wire.receive_until(lambda data: self._handle(data) == "listening", "answer to the subscription")
        wire.ready()
        while True:
            # No update may come all day. That the server is still there is known from its pongs.
            data = await wire.receive(_LOOK_EVERY)
            if data is not None:
                self._handle(data)

    def _handle(self, raw: str | bytes) -> str | None:
        """Do what a message asks for. Returns its stream, None when it could not be read."""
        try:
            message = json.loads(raw)
        except (ValueError, RecursionError):
            self._pass_over(f"a message that is not JSON ({raw[:60]!r})")
            return None
        match message:
            case {"stream": "trade_updates", "data": dict() as data}:
                self._hand_on(data)
            case {"stream": "authorization", "data": dict() as data}:
                _check_authorization(data)
            case {"stream": "listening", "data": dict() as data}:
                _check_listening(data)
            case {"stream": str() as stream}:
                self._pass_over(f"a message of stream {stream!r:.40} that says nothing we know")
                return None
            case _:
                self._pass_over(f"a message that names no stream ({raw[:60]!r})")
                return None
        return str(message["stream"])

    def _hand_on(self, data: Update) -> None:
        try:
            self._take(data)
        except Exception as error:  # noqa: BLE001 - one update that breaks us must not cost the others
            self._pass_over(f"a trade update that caused {type(error).__name__}: {error}")

    def _pass_over(self, what: str) -> None:
        if self._unreadable.one_more():
            self._tell(f"trade_updates: passed over {what} ({self._unreadable.count} so far)")


def _check_authorization(data: Update) -> None:
    if data.get("status") == "authorized":
        return
    said = _said(data)
    if data.get("status") == "unauthorized":
        raise FatalError(
            f"Alpaca refused the keys: check them, and that they belong to this kind of account (paper or "
            f"live); the server says: {said}"
        )
    raise _refusal(f"the server did not take the keys: {said}")


def _check_listening(data: Update) -> None:
    streams = data.get("streams")
    if not isinstance(streams, list) or _UPDATES not in streams:
        raise _refusal(f"the server does not stream trade updates: {_said(data)}")


def _refusal(reason: str) -> Exception:
    limited = "connection limit" in reason.lower() or "too many" in reason.lower()
    return ConnectionLimitError(reason) if limited else BrokenConnectionError(reason)


def _said(data: Update) -> str:
    for name in ("message", "error", "status"):
        if isinstance(text := data.get(name), str) and text:
            return text
    return "nothing more"
