from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.control.double import MANY_REQUESTS, Api, FakeEngine, serving
from tui_trader.control.address import parse_listen
from tui_trader.control.auth import Gate
from tui_trader.control.bodies import COMMANDS, BadRequest, parse_command
from tui_trader.control.endpoint import FILE_NAME, Endpoint, remove_endpoint, write_endpoint
from tui_trader.control.limits import Limits, TokenBucket
from tui_trader.control.server import ControlServer
from tui_trader.engine.handle import CancelWorkingOrder, Flatten, Pause, Resume, SetSpeed, Shutdown
from tui_trader.errors import RefusedToStart, TuiTraderError, UsageError


@pytest.mark.parametrize("path", ["/v1/status", "/v1/events", "/metrics", "/nothing"])
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic {}", "{}", "Bearer {}x", "Bearer é"],
)
def test_everything_but_health_wants_the_token(tmp_path: Path, path: str, authorization: str | None) -> None:
    with serving(FakeEngine(), tmp_path) as api:
        headers = {}
        if authorization is not None:
            headers["Authorization"] = authorization.format(api.endpoint.token)
        answer = api.get(path, trusted=False, **headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_commands_without_the_token_never_reach_the_engine(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        statuses = {api.post(f"/v1/{name}", trusted=False).status for name in COMMANDS}
    assert statuses == {401}
    assert engine.commands == []


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{}",
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil:{}",
        "x@127.0.0.1:{}",
        "",
    ],
)
def test_a_foreign_host_is_403_even_with_the_token(tmp_path: Path, host: str) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        assert api.post("/v1/pause", Host=host.format(api.port)).status == 403
        assert api.get("/v1/health", trusted=False, Host=host.format(api.port)).status == 403
    assert engine.commands == []


@pytest.mark.parametrize("host", ["localhost:{}", "LOCALHOST:{}", "127.0.0.1:{}", "127.0.0.2:{}", "[::1]:{}"])
def test_every_name_of_loopback_will_do(tmp_path: Path, host: str) -> None:
    with serving(FakeEngine(), tmp_path) as api:
        assert api.get("/v1/status", Host=host.format(api.port)).status == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:{}", 200),
        ("http://localhost:{}", 200),
        ("https://127.0.0.1:{}", 403),
        ("http://127.0.0.1:1", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_an_origin_must_be_our_own(tmp_path: Path, origin: str, status: int) -> None:
    with serving(FakeEngine(), tmp_path) as api:
        assert api.get("/v1/status", Origin=origin.format(api.port)).status == status


@settings(deadline=None)
@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_the_gate_survives_any_headers(host: str, origin: str, authorization: str) -> None:
    gate = Gate("right", 8080)
    assert not gate.is_ours([host], [origin])
    assert not gate.holds_token(authorization)
    assert not gate.is_ours([], [])
    assert not gate.is_ours(["127.0.0.1:8080"] * 2, [])
    assert gate.holds_token("bearer right")


def test_port_80_may_go_unnamed() -> None:
    assert Gate("t", 80).is_ours(["localhost"], [])


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost:8000", ("127.0.0.1", 8000)),
        ("[::1]:9", ("::1", 9)),
        ("127.1.2.3:65535", ("127.1.2.3", 65535)),
    ],
)
def test_listen_addresses(text: str, parsed: tuple[str, int]) -> None:
    assert parse_listen(text) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0:80",
        "192.168.1.1:80",
        "example.com:80",
        "[::]:80",
        "127.0.0.1",
        "",
        ":80",
        "127.0.0.1:x",
        "h:99999",
        "::1:80",
    ],
)
def test_other_listen_addresses_are_bad_usage(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="control address"):
        ControlServer(FakeEngine(), text, tmp_path).start()
    assert list(tmp_path.iterdir()) == []


def test_bodies_are_bounded(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        assert api.post("/v1/pause", b" " * 5000).status == 413
        with closing(api.connect()) as connection:
            headers = api.authorization | {"Content-Type": "application/json"}
            connection.request(
                "POST", "/v1/pause", (b" " * 1000 for _ in range(5)), headers, encode_chunked=True
            )
            assert connection.getresponse().status == 413
        assert api.post("/v1/pause", b"{}" + b" " * 4094).status == 202
    assert len(engine.commands) == 1


def test_a_body_that_never_comes_is_given_up(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path, Limits(body_timeout_s=0.02)) as api, _raw(api) as raw:
        raw.sendall(_head(api, "POST /v1/pause", "Content-Length: 5"))
        assert b" 400 " in raw.recv(4096)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_bodies_are_json_only(tmp_path: Path, kind: str) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        answer = api.post("/v1/pause", "{}", Content_Type=kind)
        assert api.post("/v1/resume", "", Content_Type=kind).status == 202
    assert (answer.status, answer.json) == (415, {"error": "the body must be application/json"})
    assert engine.commands == [Resume()]


def test_a_compressed_body_is_not_unpacked(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path) as api:
        assert api.post("/v1/pause", b"\x1f\x8b\x08\x00", Content_Encoding="gzip").status == 400


def test_what_is_not_http_is_not_quoted(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path) as api, _raw(api) as raw:
        raw.sendall(b"MARKER /\x01 BLAH\r\n\r\n")
        answer = raw.recv(4096)
    assert answer.startswith(b"HTTP/1.")
    assert b" 400 " in answer
    assert b"MARKER" not in answer
    assert b"aiohttp" not in answer


@pytest.mark.parametrize("expect", ["100-continue", "nonsense"])
def test_expectations_are_not_answered(tmp_path: Path, expect: str) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        assert api.post("/v1/pause", "{}", Expect=expect).status == 202
        assert api.post("/v1/pause", "{}", trusted=False, Expect=expect).status == 401
    assert len(engine.commands) == 1


def test_too_many_requests_are_429_and_leave_room_for_commands(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path, Limits(requests_per_second=0.001, request_burst=3)) as api:
        strangers = [api.get("/v1/health", trusted=False) for _ in range(4)]
        readers = [api.get("/v1/status") for _ in range(4)]
        commands = [api.post("/v1/flatten") for _ in range(4)]
    for answers, good in ((strangers, 200), (readers, 200), (commands, 202)):
        assert [answer.status for answer in answers] == [good, good, good, 429]
        assert answers[3].headers["Retry-After"] == "1"
    assert len(engine.commands) == 3


def test_the_bucket_fills_with_time() -> None:
    now = 0.0
    bucket = TokenBucket(rate=2.0, burst=2, clock=lambda: now)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    now = 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    now = 100.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]


def test_connections_are_bounded(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path, Limits(connections=2)) as api, _raw(api) as one, _raw(api) as two:
        for raw in (one, two):
            raw.sendall(_head(api, "GET /v1/health"))
            assert b" 200 " in raw.recv(4096)
        with _raw(api) as three:
            assert _ends(three)


def test_a_connection_that_asks_nothing_is_closed(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path, Limits(first_request_s=0.02)) as api, _raw(api) as raw:
        raw.sendall(b"GET /v1/health HT")
        assert raw.recv(4096) == b""


# ---- the endpoint file -----------------------------------------------------------------------------------


def test_the_endpoint_file_is_private_and_goes_with_the_server(tmp_path: Path) -> None:
    state_dir = tmp_path / "new" / "state"
    path = state_dir / FILE_NAME
    with serving(FakeEngine(), state_dir) as api:
        document = json.loads(path.read_text())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
        assert document == {"url": api.server.url, "token": api.endpoint.token, "pid": os.getpid()}
        assert len(document["token"]) >= 43
        assert [entry.name for entry in state_dir.iterdir()] == [FILE_NAME]
        api.server.stop()
        assert list(state_dir.iterdir()) == []
        api.server.stop()


def test_two_servers_have_two_tokens(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path / "a") as one, serving(FakeEngine(), tmp_path / "b") as two:
        assert one.endpoint.token != two.endpoint.token
        assert one.get("/v1/status", trusted=False, **two.authorization).status == 401


def test_what_a_crash_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("stale")
    (tmp_path / f".{FILE_NAME}.tmp").symlink_to(tmp_path / "elsewhere")
    with serving(FakeEngine(), tmp_path) as api:
        assert api.get("/v1/health").status == 200
    assert list(tmp_path.iterdir()) == []


def test_another_engines_file_is_left_alone(tmp_path: Path) -> None:
    write_endpoint(tmp_path, Endpoint("http://127.0.0.1:1", "theirs", 1))
    remove_endpoint(tmp_path, "ours")
    assert (tmp_path / FILE_NAME).exists()


def test_a_taken_port_is_refused_and_the_first_server_stays(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path) as api:
        second = ControlServer(FakeEngine(), f"127.0.0.1:{api.port}", tmp_path)
        with pytest.raises(RefusedToStart, match=f"cannot listen on 127.0.0.1:{api.port}: "):
            second.start()
        second.stop()
        assert api.get("/v1/status").status == 200
        assert (tmp_path / FILE_NAME).exists()


def test_a_state_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    engine = FakeEngine()
    server = ControlServer(engine, "127.0.0.1:0", blocked)
    with pytest.raises(TuiTraderError, match="cannot write"):
        server.start()
    assert engine.subscriptions == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=1)


def test_stop_before_start_does_nothing(tmp_path: Path) -> None:
    ControlServer(FakeEngine(), "127.0.0.1:0", tmp_path).stop()


# ---- fuzz ------------------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["symbol", "positions", "x"]), inner)
    ),
    max_leaves=8,
)
_BODIES = st.binary(max_size=100) | _JSON.map(lambda value: json.dumps(value).encode())


@settings(deadline=None)
@given(st.sampled_from(COMMANDS), _BODIES)
def test_any_body_is_a_valid_command_or_a_bad_request(name: str, body: bytes) -> None:
    try:
        command = parse_command(name, body)
    except BadRequest:
        return
    assert isinstance(command, Pause | Resume | Flatten | CancelWorkingOrder | SetSpeed | Shutdown)
    if isinstance(command, Flatten):
        assert command.symbol is None or command.symbol.isascii()
    if isinstance(command, Shutdown):
        assert command.positions in (None, "close", "keep")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.sampled_from(COMMANDS), _BODIES), max_size=5))
def test_no_body_breaks_the_server(hostile: Api, requests: list[tuple[str, bytes]]) -> None:
    for name, body in requests:
        answer = hostile.post(f"/v1/{name}", body)
        assert answer.status in (202, 400, 404)
        assert len(answer.text.splitlines()) == 1
        assert isinstance(answer.json, dict)


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Api]:
    engine = FakeEngine()
    engine.obey = lambda _: None
    with serving(engine, tmp_path, MANY_REQUESTS) as api:
        yield api


def _raw(api: Api) -> socket.socket:
    return socket.create_connection(("127.0.0.1", api.port), timeout=5)


def _ends(raw: socket.socket) -> bool:
    """Whether the other side closes or resets the connection."""
    try:
        while raw.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    return True


def _head(api: Api, request: str, *headers: str) -> bytes:
    lines = [f"{request} HTTP/1.1", f"Host: 127.0.0.1:{api.port}"]
    lines += [f"Authorization: Bearer {api.endpoint.token}", *headers, "", ""]
    return "\r\n".join(lines).encode()
