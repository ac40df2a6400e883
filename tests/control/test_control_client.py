from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.control.double import FakeEngine, order, position, serving
from tui_trader.control.client import ControlClient, EngineSilentError, EngineStoppedError
from tui_trader.control.endpoint import FILE_NAME, Endpoint, NoEngineError, read_endpoint, write_endpoint
from tui_trader.control.limits import Limits
from tui_trader.control.summary import summary
from tui_trader.control.views import status_document
from tui_trader.control.watch import Picture
from tui_trader.core.events import EngineState, ErrorOccurred
from tui_trader.core.orders import OrderState, Role
from tui_trader.errors import TuiTraderError, UsageError


def _ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@contextmanager
def _listening(answer: bytes | None) -> Iterator[str]:
    """A server that gives every caller the same bytes, or (None) no answer at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                callers.append(caller)
                if answer is not None:
                    caller.recv(65536)
                    caller.sendall(answer)
                    caller.close()

        callers: list[socket.socket] = []
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for caller in callers:
                caller.close()


def _client(tmp_path: Path, url: str, timeout_s: float = 5.0) -> ControlClient:
    return ControlClient(tmp_path, Endpoint(url, "token", os.getpid()), timeout_s)


def test_status_and_events_of_a_running_engine(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path):
        client = ControlClient.connect(tmp_path)
        assert client.status()["state"] == "RUNNING"
        engine.publish(ErrorOccurred("rest", "slow", None))
        events = client.events(after=0, deadline=time.monotonic() + 5)
        assert next(events)["message"] == "slow"
        events.close()  # type: ignore[attr-defined]


def test_events_end_at_the_deadline(tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path, Limits(heartbeat_s=0.01)):
        client = ControlClient.connect(tmp_path)
        assert list(client.events(after=0, deadline=time.monotonic() + 0.1)) == []


def test_a_proxy_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving(FakeEngine(), tmp_path):
        assert ControlClient.connect(tmp_path).status()["state"] == "RUNNING"


@pytest.mark.parametrize("where", ["", "missing", "file"])
def test_no_file_means_no_engine(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NoEngineError) as raised:
        ControlClient.connect(tmp_path / where)
    expected = f"no engine is running on {tmp_path / where} (start one with: tui-trader run)"
    assert (str(raised.value), raised.value.exit_code) == (expected, 1)


def test_the_file_of_a_dead_process_means_no_engine(tmp_path: Path) -> None:
    write_endpoint(tmp_path, Endpoint("http://127.0.0.1:9", "token", _ended_pid()))
    with pytest.raises(NoEngineError):
        ControlClient.connect(tmp_path)


def test_a_port_nobody_listens_on_means_no_engine(tmp_path: Path) -> None:
    with _listening(b"") as url:
        pass
    with pytest.raises(NoEngineError):
        _client(tmp_path, url).status()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_a_broken_answer_means_no_engine(tmp_path: Path, answer: bytes) -> None:
    with _listening(answer) as url, pytest.raises(NoEngineError):
        _client(tmp_path, url).status()


def test_no_answer_in_time_is_silence(tmp_path: Path) -> None:
    with _listening(None) as url, pytest.raises(EngineSilentError, match="does not answer"):
        _client(tmp_path, url, timeout_s=0.05).status()


@pytest.mark.parametrize("body", ["[]", "x", "[" * 100_000])
def test_an_answer_that_is_not_ours_is_one_line(tmp_path: Path, body: str) -> None:
    with _listening(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()) as url:
        client = _client(tmp_path, url)
        with pytest.raises(TuiTraderError, match="not understood"):
            client.status()


def test_a_refusal_is_shown_without_control_characters(tmp_path: Path) -> None:
    body = json.dumps({"error": "\x1b[2J\n" + "x" * 999})
    answer = f"HTTP/1.1 403 No\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    with _listening(answer) as url, pytest.raises(TuiTraderError, match="refused") as raised:
        _client(tmp_path, url).status()
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


def test_refused_commands_say_whose_mistake_it_is(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path):
        client = ControlClient.connect(tmp_path)
        with pytest.raises(UsageError, match="no symbol MSFT here"):
            client.command("flatten", {"symbol": "MSFT"})
        engine.enter(EngineState.STOPPED)
        with pytest.raises(EngineStoppedError):
            client.command("pause", {})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    write_endpoint(tmp_path, Endpoint("http://127.0.0.1:9", "token", os.getpid()))
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(TuiTraderError, match="only you can read"):
        read_endpoint(tmp_path)


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_endpoint(tmp_path, Endpoint("http://127.0.0.1:9", "token", os.getpid()))
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    with pytest.raises(TuiTraderError, match="only you can read"):
        read_endpoint(tmp_path)


def test_links_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TuiTraderError, match="is a link"):
        read_endpoint(tmp_path)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(TuiTraderError, match="only you can read"):
        read_endpoint(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(TuiTraderError, match="only you can read"):
        read_endpoint(tmp_path)


_GOOD = {"url": "http://127.0.0.1:9", "token": "t", "pid": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://evil.example:9"},
        {"url": "https://127.0.0.1:9"},
        {"url": "http://127.0.0.1"},
        {"url": "http://127.0.0.1:x"},
        {"url": 5},
        {"token": "a\r\nX: y"},
        {"token": 5},
        {"pid": -1},
        {"pid": True},
        {"pid": "1"},
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    _write_private(tmp_path, json.dumps(_GOOD | change))
    with pytest.raises(TuiTraderError, match="is damaged: restart the engine"):
        read_endpoint(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "null", "[" * 4000, "\x00"])
def test_a_file_that_is_no_endpoint_is_refused(tmp_path: Path, content: str) -> None:
    _write_private(tmp_path, content)
    with pytest.raises(TuiTraderError, match="is damaged"):
        read_endpoint(tmp_path)


def test_an_impossible_process_id_means_no_engine(tmp_path: Path) -> None:
    _write_private(tmp_path, json.dumps(_GOOD | {"pid": 10**30}))
    with pytest.raises(NoEngineError):
        read_endpoint(tmp_path)


def _write_private(tmp_path: Path, content: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(content)
    path.chmod(0o600)


def test_the_token_is_not_in_the_repr() -> None:
    assert "hush" not in repr(Endpoint("http://127.0.0.1:9", "hush", 1))


# ---- pictures and summaries ------------------------------------------------------------------------------


def _status(engine: FakeEngine) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(status_document(engine.info, engine.view)))
    return document


@pytest.mark.parametrize(
    ("orders", "protected"),
    [
        ([order("AAPL", Role.STOP)], True),
        ([order("AAPL", Role.STOP, OrderState.PARTIALLY_FILLED)], True),
        ([order("AAPL", Role.STOP, OrderState.SUBMITTED)], False),
        ([order("AAPL", Role.STOP, qty=9)], False),
        ([order("AAPL", Role.STOP), order("TSLA", Role.ENTRY)], False),
        ([order("AAPL", Role.STOP), order("TSLA", Role.STOP)], False),
        ([order("TSLA", Role.STOP)], False),
        ([], False),
    ],
)
def test_protected_means_a_working_stop_behind_every_share(orders: list[Any], protected: bool) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    engine.change(orders=tuple(orders))
    assert Picture(_status(engine)).only_protected() is protected


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_document_of_another_version_is_one_line_not_a_traceback(data: st.DataObject) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    status = _status(engine)
    target: Any = status
    while True:
        key = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
        if not isinstance(target[key], dict | list) or not target[key] or data.draw(st.booleans()):
            break
        target = target[key]
    if data.draw(st.booleans()):
        target[key] = data.draw(_VALUES)
    else:
        del target[key]
    for read in (summary, Picture):
        with suppress(TuiTraderError):
            read(status)


def test_a_summary_says_why_there_are_no_entries_and_what_is_not_ours() -> None:
    engine = FakeEngine()
    engine.change(hindrances=("the bar stream is not reached",), external_shares=(("AMD", 7),))
    lines = summary(_status(engine)).splitlines()
    assert "Entries    off: the bar stream is not reached" in lines
    assert "External   AMD 7 shares, not ours" in lines


def test_orders_of_others_are_not_what_remains_of_ours() -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    engine.change(orders=(order("AAPL", Role.STOP), order("AMD", Role.EXTERNAL)))
    picture = Picture(_status(engine))
    assert picture.only_protected()
    assert picture.left("AMD") == []


def test_a_summary_shows_what_matters_and_obeys_nothing() -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    engine.change(state=EngineState.PAUSED, state_reason="\x1b[2Jpaused\nby \u202eyou")
    text = summary(_status(engine))
    assert [line for line in text.split("\n") if not line.isprintable()] == []
    for words in (
        "tui-trader 0.1.0  SIM  venue sim  account SIM-1",
        "PAUSED (\\x1b[2Jpaused\\nby \\u202eyou)",
        "2026-03-02  09:30 to 16:00 New York",
        "equity 100012.50  day P/L +12.50",
        "armed; 1 of 3 losses in a row",
        "bars connected, rest stale",
    ):
        assert words in text
    assert re.search(r"^  AAPL +10 +100\.25 +101\.5 +\+12\.50 +99\.50 +velez$", text, re.MULTILINE)
    assert re.search(r"^  AAPL +STOP +sell +stop +0/10 +99\.50 +- +ACCEPTED$", text, re.MULTILINE)
    assert re.search(r"^  TSLA +- +cold +velez +no history$", text, re.MULTILINE)
