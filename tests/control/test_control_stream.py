from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from tests.control.double import MANY_REQUESTS, FakeEngine, serving
from tui_trader.control.limits import Limits
from tui_trader.core.events import BarReceived, EngineState, ErrorOccurred, to_dict


def _say(engine: FakeEngine, *messages: str) -> None:
    for message in messages:
        engine.publish(ErrorOccurred("rest", message, None))


def test_events_arrive_in_the_public_form(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api, api.stream() as stream:
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        bar = BarReceived("AAPL", engine.now(), 1.0, 2.0, 0.5, float("nan"), 5, adjusted=False)
        published = [engine.publish(bar), engine.publish(ErrorOccurred("rest", 'a\nb\r"é\ud800', None))]
        assert stream.event() == to_dict(published[0])
        assert stream.event()["message"] == 'a\nb\r"é?'


def test_a_stream_begins_with_the_present(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        _say(engine, "before")
        with api.stream() as stream:
            _say(engine, "after")
            assert stream.event()["message"] == "after"


def test_last_event_id_resumes_without_loss(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        _say(engine, *"abcde")
        with api.stream(last=2) as stream:
            _say(engine, "f")
            assert [stream.event()["seq"] for _ in range(4)] == [3, 4, 5, 6]


def test_from_zero_means_from_the_first(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        _say(engine, "a", "b")
        with api.stream(last=0) as stream:
            assert [stream.event()["seq"] for _ in range(2)] == [1, 2]


def test_an_id_that_is_gone_gets_a_gap_first(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path, Limits(kept_events=3)) as api:
        _say(engine, *"abcdefgh")
        with api.stream(last=2) as stream:
            assert stream.event() == {"type": "gap", "after": 2, "next": 6}
            assert [stream.event()["seq"] for _ in range(3)] == [6, 7, 8]


def test_an_id_of_another_run_gets_a_gap_too(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        _say(engine, "a")
        with api.stream(last=500) as stream:
            _say(engine, "b", "c")
            assert stream.event() == {"type": "gap", "after": 500, "next": 2}
            assert [stream.event()["seq"] for _ in range(2)] == [2, 3]


def test_events_the_server_missed_are_a_gap(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api:
        _say(engine, "a")
        with api.stream(last=1) as stream:
            engine.change(seq=9)  # as if eight had not fitted
            _say(engine, "b")
            assert stream.event() == {"type": "gap", "after": 1, "next": 10}
            assert stream.event()["seq"] == 10


@pytest.mark.parametrize("asked", ["x", "-1", "1.5", "9" * 19, "٣"])
def test_an_id_that_is_no_number_is_refused(tmp_path: Path, asked: str) -> None:
    with serving(FakeEngine(), tmp_path) as api:
        answer = api.get("/v1/events", Last_Event_ID=asked.encode().decode("latin-1"))
    assert (answer.status, answer.json) == (400, {"error": "Last-Event-ID is not the number of an event"})


def test_heartbeats_keep_a_quiet_stream_open(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path, Limits(heartbeat_s=0.01)) as api, api.stream() as stream:
        assert [stream.block() for _ in range(2)] == [{"": "heartbeat"}] * 2


def test_viewers_are_bounded_and_make_room_when_they_leave(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path, MANY_REQUESTS) as api:
        with ExitStack() as open_streams:
            streams = [open_streams.enter_context(api.stream()) for _ in range(16)]
            refused = api.get("/v1/events")
            assert api.metric("tui_trader_event_stream_clients") == 16
            _say(engine, "hello")
            assert {stream.event()["message"] for stream in streams} == {"hello"}
            for stream in streams:
                stream.response.close()
        while api.metric("tui_trader_event_stream_clients"):
            pass
        with api.stream():
            pass
    assert (refused.status, refused.json) == (503, {"error": "too many event streams are open"})


def test_a_slow_viewer_is_cut_off_and_nobody_else_notices(tmp_path: Path) -> None:
    engine = FakeEngine()
    limits = Limits(viewer_events=500, request_burst=100_000)
    with serving(engine, tmp_path, limits) as api, closing(socket.socket()) as slow, api.stream() as quick:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(5)
        slow.connect(("127.0.0.1", api.port))
        head = f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n"
        slow.sendall(f"{head}Authorization: {api.authorization['Authorization']}\r\n\r\n".encode())
        assert slow.recv(20).startswith(b"HTTP/1.1 200")
        sent = 0
        while api.metric("tui_trader_event_stream_clients") == 2:
            _say(engine, *["x" * 20_000] * 100)
            sent += 100
            assert [quick.event()["seq"] for _ in range(100)][-1] == sent
        assert sent < 5_000
        with suppress(ConnectionError):
            while slow.recv(1 << 20):
                pass
        _say(engine, "still here")
        assert quick.event()["message"] == "still here"


def test_viewers_get_the_last_words_when_the_server_stops(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api, api.stream() as stream:
        engine.enter(EngineState.STOPPED, "done")
        api.server.stop()
        assert stream.event()["state"] == "STOPPED"
        assert stream.response.read() == b""
    assert engine.subscriptions == []
    assert not [thread for thread in threading.enumerate() if thread.name == "control"]


def test_a_viewer_that_reads_nothing_does_not_delay_the_stop(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path) as api, api.stream() as stream:
        _say(engine, *["x" * 50_000] * 400)
        api.server.stop()
        assert not [thread for thread in threading.enumerate() if thread.name == "control"]
        stream.response.close()


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("tui_trader.control.server", {"aiohttp"}),
        ("tui_trader.commands.control", {"aiohttp", "asyncio", "numpy", "textual", "zoneinfo"}),
    ],
)
def test_heavy_modules_wait_until_they_are_needed(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(shown.stdout.split())
