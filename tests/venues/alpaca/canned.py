"""A server that answers every request from a script, pathologies included, and remembers each request."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from tui_trader.venues.alpaca.access import AlpacaAccess

KEY, SECRET = "PKCANNEDKEY", "canned-secret-of-the-test"


@dataclass(frozen=True)
class Answer:
    """One answer. ``fault``: none at all for ever, or a connection that is torn or closed instead."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Literal["", "hang", "reset", "close", "cut"] = ""


def said(value: object, status: int = 200, **headers: str) -> Answer:
    """``value`` as JSON."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **named})


def html(status: int) -> Answer:
    page = b"<html><body><h1>Bad Gateway</h1></body></html>"
    return Answer(status, page, {"Content-Type": "text/html"})


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Numbers as they were written: no float in between."""
        data: dict[str, Any] = json.loads(self.body, parse_float=str, parse_int=str)
        return data


class Canned:
    """``script`` is used up one answer a request; after it, 500."""

    def __init__(self) -> None:
        self.script: deque[Answer] = deque()
        self.asked: list[Asked] = []
        self.arrived = threading.Event()
        self._over = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                server.asked.append(
                    Asked(self.command, parts.path, query, dict(self.headers), self.rfile.read(length))
                )
                server.arrived.set()
                self._give(server.script.popleft() if server.script else said({"message": "no more"}, 500))

            def _give(self, answer: Answer) -> None:
                if answer.fault == "hang":
                    server._over.wait()
                    self.close_connection = True
                    return
                if answer.fault in ("reset", "close"):
                    if answer.fault == "reset":
                        linger = struct.pack("ii", 1, 0)
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                beyond = 100 if answer.fault == "cut" else 0
                self.send_header("Content-Length", str(len(answer.body) + beyond))
                self.end_headers()
                self.wfile.write(answer.body)
                self.close_connection = self.close_connection or bool(beyond)

            do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def will(self, *answers: Answer) -> None:
        self.script.extend(answers)

    def access(self) -> AlpacaAccess:
        return access_to(self.url)

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def access_to(url: str) -> AlpacaAccess:
    return AlpacaAccess(
        SecretStr(KEY), SecretStr(SECRET), paper=True, feed="iex", trading_url=url, data_url=url,
        data_stream_url="ws://127.0.0.1:9", trading_stream_url="ws://127.0.0.1:9",
    )  # fmt: skip


@contextmanager
def canned() -> Iterator[Canned]:
    server = Canned()
    try:
        yield server
    finally:
        server.close()


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def order_json(**fields: object) -> dict[str, object]:
    """An order as Alpaca tells it: a protective stop for 10 shares that works."""
    return {
        "id": "904837e3-0000-4000-8000-000000000001",
        "client_order_id": "tt-S1",
        "created_at": "2026-11-18T14:31:00.123456789Z",
        "updated_at": "2026-11-18T14:31:01Z",
        "submitted_at": "2026-11-18T14:31:00.123456789Z",
        "filled_at": None,
        "replaced_by": None,
        "replaces": None,
        "symbol": "AAPL",
        "asset_class": "us_equity",
        "notional": None,
        "qty": "10",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "order_type": "stop",
        "type": "stop",
        "side": "sell",
        "time_in_force": "gtc",
        "limit_price": None,
        "stop_price": "195",
        "status": "new",
        "legs": None,
        **fields,
    }
