"""Talks to a running engine's control API. Standard library only, so that short commands start at once."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from tui_trader.control.endpoint import Endpoint, NoEngineError, read_endpoint
from tui_trader.errors import TuiTraderError, UsageError

_TIMEOUT_S: Final = 5.0
_LARGEST_BODY: Final = 16 * 1024 * 1024
_LARGEST_LINE: Final = 1024 * 1024


class EngineSilentError(TuiTraderError):
    """The engine, or the control API before it, did not answer in time."""


class EngineStoppedError(TuiTraderError):
    """The engine has ended; its process still answers."""


class ControlClient:
    """One engine, by its endpoint file. Every call opens its own connection and never uses a proxy."""

    def __init__(self, state_dir: Path, endpoint: Endpoint, timeout_s: float = _TIMEOUT_S) -> None:
        parts = urlsplit(endpoint.url)
        self._state_dir = state_dir
        self._host = parts.hostname or ""
        self._port = parts.port
        self._timeout_s = timeout_s
        self._headers = {"Authorization": f"Bearer {endpoint.token}"}
        self.pid = endpoint.pid

    @classmethod
    def connect(cls, state_dir: Path, timeout_s: float = _TIMEOUT_S) -> ControlClient:
        """The client of the engine on ``state_dir``.

        Raises ``NoEngineError`` when none runs, ``TuiTraderError`` when its endpoint file cannot be trusted.
        """
        return cls(state_dir, read_endpoint(state_dir), timeout_s)

    def status(self) -> dict[str, Any]:
        """The document of ``GET /v1/status``.

        Raises ``NoEngineError`` when nothing listens, ``EngineSilentError`` when there is no answer in time,
        ``TuiTraderError`` for any other refusal.
        """
        return self._call("GET", "/v1/status", None)

    def candles(self, symbol: str) -> dict[str, Any]:
        """The document of ``GET /v1/candles``. Raises as ``status`` does, ``UsageError`` for a stranger."""
        return self._call("GET", f"/v1/candles?symbol={quote(symbol, safe='')}", None)

    def command(self, name: str, fields: Mapping[str, object]) -> None:
        """Send a command; returns once it is accepted, which says nothing of its outcome.

        Raises as ``status`` does, and ``UsageError`` when the command is refused as it stands,
        ``EngineStoppedError`` when the engine has ended.
        """
        self._call("POST", f"/v1/{name}", json.dumps(dict(fields)).encode())

    def events(self, after: int, deadline: float) -> Iterator[dict[str, Any]]:
        """Events numbered above ``after``, until the stream ends or ``time.monotonic()`` is ``deadline``.

        An object of type ``gap`` stands where events were lost. Raises as ``status`` does, before the first.
        """
        connection = self._connection()
        with closing(connection):
            response = self._request(connection, "GET", "/v1/events", None, {"Last-Event-ID": str(after)})
            socket = connection.sock
            if response.status != 200 or socket is None:
                raise self._refusal(response.status, response.read(_LARGEST_LINE))
            try:
                while (left := deadline - time.monotonic()) > 0:
                    socket.settimeout(left)
                    line = response.readline(_LARGEST_LINE)
                    if not line:
                        return
                    if line.startswith(b"data: "):
                        yield _parse(line[6:])
            except (OSError, http.client.HTTPException):
                return

    def _call(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        connection = self._connection()
        with closing(connection):
            response = self._request(connection, method, path, body, {})
            try:
                content = response.read(_LARGEST_BODY)
            except TimeoutError:
                raise self._silent() from None
            except (OSError, http.client.HTTPException):
                raise NoEngineError(self._state_dir) from None
            if response.length:  # it broke off
                raise NoEngineError(self._state_dir)
        if response.status not in (200, 202):
            raise self._refusal(response.status, content)
        return _parse(content)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _request(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        kind = {"Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, path, body, {**self._headers, **kind, **headers})
            return connection.getresponse()
        except TimeoutError:
            raise self._silent() from None
        except (OSError, http.client.HTTPException):
            raise NoEngineError(self._state_dir) from None

    def _silent(self) -> EngineSilentError:
        return EngineSilentError(
            f"the engine on {self._state_dir} does not answer: try again or read its log"
        )

    def _refusal(self, status: int, content: bytes) -> TuiTraderError:
        try:
            reason = str(json.loads(content)["error"])[:200]
        except (ValueError, KeyError, TypeError, RecursionError):
            reason = f"HTTP status {status}"
        if status == 503:
            return self._silent()
        if status == 409:
            return EngineStoppedError(f"the engine on {self._state_dir} has stopped")
        if status in (400, 404):
            return UsageError(f"refused by the engine on {self._state_dir}: {reason}")
        return TuiTraderError(f"the engine on {self._state_dir} refused: {reason}")


def _parse(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
        if isinstance(document, dict):
            return document
    except (ValueError, RecursionError):
        pass
    raise TuiTraderError("the engine's answer is not understood: is it of another version?")
