"""The reconnecting socket: it always comes back, never storms, and leaves when told to."""

from __future__ import annotations

import asyncio
import http
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from socket import socket as tcp_socket
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tests.venues.alpaca.scripted import (
    Peer,
    Seen,
    cancelled_after,
    now,
    running,
    scripted,
    virtual_time,
)
from tui_trader.venues.alpaca.redaction import Tally, one_line
from tui_trader.venues.alpaca.socket import (
    Backoff,
    ConnectionLimitError,
    FatalError,
    MuteError,
    ReconnectingSocket,
    Wire,
)

HOUR = 3600.0


class Listener:
    """A dialogue that is ready at once and takes what comes."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.wire: Wire | None = None

    def is_closed(self) -> bool:
        assert self.wire is not None
        return self.wire._connection.transport.is_closing()

    async def converse(self, wire: Wire) -> None:
        self.wire = wire
        wire.ready()
        while True:
            message = await wire.receive(60)
            if message is not None:
                self.messages.append(message)


class Raising:
    """A dialogue that ends every connection with the same error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def converse(self, wire: Wire) -> None:
        raise self._error


def make(url: str, seen: Seen, dialogue: Any = None, jitter: float = 1.0) -> ReconnectingSocket:
    return ReconnectingSocket(
        "bars",
        url,
        dialogue or Listener(),
        seen.sink,
        on_problem=seen.on_problem,
        on_fatal=seen.on_fatal,
        jitter=lambda: jitter,
    )


def closed_port() -> int:
    with closing(tcp_socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


async def stay(peer: Peer) -> None:
    await peer.stay()


async def leave(peer: Peer) -> None:
    pass


def leave_after(seconds: float) -> Callable[[Peer], Coroutine[Any, Any, None]]:
    async def script(peer: Peer) -> None:
        await asyncio.sleep(seconds)

    return script


def refuse(status: int) -> Callable[[ServerConnection, Request], Response]:
    def answer(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(http.HTTPStatus(status), "<html>no</html>")

    return answer


@virtual_time
async def test_a_refused_connection_is_tried_again_ever_more_slowly() -> None:
    seen = Seen()
    started = now()
    async with running(make(f"ws://127.0.0.1:{closed_port()}", seen).run):
        await seen.until(lambda: len(seen.states) == 9)
        assert seen.names == ["reconnecting"] * 9
        assert [state.attempt for state in seen.states] == list(range(1, 10))
        # 0.5 + 1 + 2 + 4 + 8 + 16 + 30 + 30
        assert now() - started == pytest.approx(91.5, abs=1.0)
    assert len(seen.problems) == 1
    assert seen.problems[0].startswith("bars: cannot connect")


@virtual_time
async def test_jitter_takes_up_to_half_of_a_delay_away() -> None:
    seen = Seen()
    started = now()
    async with running(make(f"ws://127.0.0.1:{closed_port()}", seen, jitter=0.0).run):
        await seen.until(lambda: len(seen.states) == 9)
        assert now() - started == pytest.approx(91.5 / 2, abs=1.0)


def test_delays_stay_within_bounds_however_many_attempts_there_were() -> None:
    backoff = Backoff(lambda: 0.999)
    assert all(0.25 <= backoff.next_delay(limited=False) <= 30.0 for _ in range(5000))
    assert 30.0 <= backoff.next_delay(limited=True) <= 60.0
    backoff.reset()
    assert backoff.next_delay(limited=False) <= 0.5


@pytest.mark.parametrize("status", [301, 403, 429, 503])
@virtual_time
async def test_refusals_over_hours_are_no_storm(status: int) -> None:
    seen = Seen()
    async with (
        scripted(stay, answer=refuse(status)) as server,
        running(make(server.url, seen, jitter=0.0).run),
    ):
        await asyncio.sleep(2 * HOUR)
        assert 100 < len(server.times) <= 2 * HOUR / 15 + 10
        assert len(seen.problems) == 1
        assert f"HTTP {status}" in seen.problems[0]
        assert "connected" not in seen.names


@virtual_time
async def test_connections_that_end_at_once_over_hours_are_no_storm() -> None:
    seen = Seen()
    async with scripted(leave) as server, running(make(server.url, seen, jitter=0.0).run):
        await asyncio.sleep(2 * HOUR)
        assert 100 < len(server.times) <= 2 * HOUR / 15 + 10
        assert seen.problems == ["bars: the server closed the connection with code 1000"]


@virtual_time
async def test_too_many_connections_is_asked_again_at_most_every_30_seconds() -> None:
    seen = Seen()
    limit = Raising(ConnectionLimitError("connection limit exceeded"))
    async with scripted(stay) as server, running(make(server.url, seen, limit, jitter=0.0).run):
        await asyncio.sleep(HOUR)
        gaps = [later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)]
        assert min(gaps) >= 30.0
        assert len(gaps) > 100
        assert seen.problems == ["bars: connection limit exceeded"]
        assert set(seen.names) == {"reconnecting"}


@virtual_time
async def test_http_429_counts_as_too_many_connections() -> None:
    seen = Seen()
    async with (
        scripted(stay, answer=refuse(429)) as server,
        running(make(server.url, seen, jitter=0.0).run),
    ):
        await asyncio.sleep(100)
        assert len(server.times) == 4


@virtual_time
async def test_the_count_of_attempts_starts_over_only_after_30_seconds_of_health() -> None:
    seen = Seen()
    async with (
        scripted(leave, leave_after(29), leave_after(31), stay) as server,
        running(make(server.url, seen).run),
    ):
        await seen.until_connected(4)
        attempts = [state.attempt for state in seen.states if state.state == "reconnecting"]
        assert attempts == [1, 2, 1]
        # The loss after half a minute of health is news again, though its reason is the same.
        assert len(seen.problems) == 2


@virtual_time
async def test_what_cannot_get_better_ends_the_stream_with_one_line() -> None:
    seen = Seen()
    async with scripted(stay) as server:
        await make(server.url, seen, Raising(FatalError("the keys are wrong"))).run()
        assert seen.fatal == ["bars: the keys are wrong"]
        assert seen.names == ["disconnected"]
        assert seen.problems == []
        await asyncio.sleep(HOUR)
        assert len(server.times) == 1


@virtual_time
async def test_a_mute_connection_is_called_stale_before_it_is_replaced() -> None:
    seen = Seen()
    async with (
        scripted(stay) as server,
        running(make(server.url, seen, Raising(MuteError("nothing comes"))).run),
    ):
        await seen.until(lambda: len(server.times) == 2)
        assert seen.names[:2] == ["stale", "reconnecting"]


@virtual_time
async def test_an_error_nobody_thought_of_costs_a_connection_and_not_the_stream() -> None:
    seen = Seen()
    broken = Raising(ZeroDivisionError("oops"))
    async with scripted(stay) as server, running(make(server.url, seen, broken).run):
        await seen.until(lambda: len(server.times) == 3)
        assert seen.problems == ["bars: the connection was given up after ZeroDivisionError: oops"]


@virtual_time
async def test_a_server_that_answers_no_ping_is_noticed_within_20_seconds() -> None:
    async def freeze(peer: Peer) -> None:
        peer.freeze()
        await peer.stay()

    seen = Seen()
    async with scripted(freeze, stay) as server, running(make(server.url, seen).run):
        await seen.until_connected()
        started = now()
        await seen.until(lambda: "reconnecting" in seen.names)
        assert now() - started <= 21.0
        assert "keepalive ping timeout" in seen.problems[0]
        await seen.until_connected(2)
        server.peers[0].connection.transport.abort()


@virtual_time
async def test_a_server_that_never_finishes_the_handshake_is_left_after_10_seconds() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read(10_000)
            await reader.read()
        writer.close()

    seen = Seen()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        started = now()
        async with running(make(f"ws://127.0.0.1:{port}", seen).run):
            await seen.until(lambda: seen.states)
            assert now() - started == pytest.approx(10.0, abs=0.5)
    assert seen.problems == ["bars: no connection within 10 s"]


@virtual_time
async def test_something_that_speaks_no_websocket_is_a_refusal() -> None:
    async def html(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(b"<html>hello</html>\r\n\r\n")
        writer.close()

    seen = Seen()
    server = await asyncio.start_server(html, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with running(make(f"ws://127.0.0.1:{port}", seen).run):
            await seen.until(lambda: len(seen.states) == 2)
    assert seen.problems[0].startswith("bars: cannot connect")


@virtual_time
async def test_without_tls_nothing_is_heard_from_a_server_that_ought_to_have_it() -> None:
    seen = Seen()
    async with scripted(stay) as server:
        async with running(make(server.url.replace("ws:", "wss:"), seen).run):
            await seen.until(lambda: seen.problems)
        assert server.times == []
    assert "connected" not in seen.names


@virtual_time
async def test_this_machine_is_reached_without_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "https_proxy", "socks_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    seen = Seen()
    async with scripted(stay) as server, running(make(server.url, seen).run):
        await seen.until_connected()
        assert seen.problems == []


@virtual_time
async def test_a_redirect_is_not_followed() -> None:
    seen = Seen()
    async with scripted(stay) as elsewhere:

        def redirect(connection: ServerConnection, request: Request) -> Response:
            return Response(302, "Found", Headers({"Location": elsewhere.url}), b"")

        async with (
            scripted(stay, answer=redirect) as server,
            running(make(server.url, seen).run),
        ):
            await seen.until(lambda: len(server.times) == 3)
        assert elsewhere.times == []


@virtual_time
async def test_a_message_beyond_all_measure_costs_the_connection() -> None:
    async def flood(peer: Peer) -> None:
        await peer.send(b"x" * (9 * 2**20))
        await peer.stay()

    seen = Seen()
    listener = Listener()
    async with scripted(flood, stay) as server, running(make(server.url, seen, listener).run):
        await seen.until_connected(2)
        assert listener.messages == []


@virtual_time
async def test_a_long_message_goes_out_in_several_frames_and_arrives_whole() -> None:
    message = bytes(range(256)) * 1000

    async def echo(peer: Peer) -> None:
        frames = [frame async for frame in peer.connection.recv_streaming()]
        assert len(frames) > 1
        await peer.send(b"".join(frame for frame in frames if isinstance(frame, bytes)))
        await peer.stay()

    class Sender:
        answer: str | bytes | None = None

        async def converse(self, wire: Wire) -> None:
            await wire.send(message)
            self.answer = await wire.receive(5)
            wire.ready()
            await wire.receive(5)

    seen = Seen()
    sender = Sender()
    async with scripted(echo) as server, running(make(server.url, seen, sender).run):
        await seen.until_connected()
    assert sender.answer == message


@pytest.mark.parametrize("size", [2**15, 2**20], ids=["whole", "in frames"])
@virtual_time
async def test_a_server_that_takes_nothing_cannot_hold_a_sender_for_ever(size: int) -> None:
    class Sender:
        async def converse(self, wire: Wire) -> None:
            await wire.receive(3)  # out of step with the pings, which would notice as well
            while True:
                await wire.send(bytes(size))

    async def freeze(peer: Peer) -> None:
        peer.freeze()
        await asyncio.sleep(HOUR)

    seen = Seen()
    async with scripted(freeze) as server, running(make(server.url, seen, Sender()).run):
        started = now()
        await seen.until(lambda: seen.states)
        assert now() - started < 15.0
        assert seen.problems == ["bars: the server takes nothing any more"]
        for peer in server.peers:
            peer.connection.transport.abort()


@virtual_time
async def test_interrupt_ends_a_wait_and_loses_no_message() -> None:
    received: list[str | bytes | None] = []
    done = asyncio.Event()

    class Waiter:
        wire: Wire

        async def converse(self, wire: Wire) -> None:
            self.wire = wire
            wire.ready()
            received.append(await wire.receive(HOUR))
            received.append(await wire.receive(HOUR))
            done.set()
            await wire.receive(HOUR)

    async def speak(peer: Peer) -> None:
        await asyncio.sleep(10)
        await peer.send(b"later")
        await peer.stay()

    seen = Seen()
    waiter = Waiter()
    async with scripted(speak) as server, running(make(server.url, seen, waiter).run):
        await seen.until_connected()
        await asyncio.sleep(1)
        waiter.wire.interrupt()
        waiter.wire.interrupt()
        await done.wait()
    assert received == [None, b"later"]


# ---- leaving -----------------------------------------------------------------------------------------


@virtual_time
async def test_cancelled_while_connected_it_says_goodbye() -> None:
    seen = Seen()
    async with scripted(stay) as server, running(make(server.url, seen).run) as task:
        await seen.until_connected()
        assert await cancelled_after(task) < 1.0
        await server.peers[0].stay()
        assert server.peers[0].connection.close_code == 1000


@virtual_time
async def test_cancelled_while_the_server_hangs_it_leaves_without_an_answer() -> None:
    async def freeze(peer: Peer) -> None:
        peer.freeze()
        await asyncio.sleep(HOUR)

    seen = Seen()
    listener = Listener()
    async with scripted(freeze) as server, running(make(server.url, seen, listener).run) as task:
        await seen.until_connected()
        assert await cancelled_after(task) < 1.0
        assert listener.is_closed()
        server.peers[0].connection.transport.abort()


@virtual_time
async def test_cancelled_twice_it_leaves_all_the_same() -> None:
    async def freeze(peer: Peer) -> None:
        peer.freeze()
        await asyncio.sleep(HOUR)

    seen = Seen()
    listener = Listener()
    async with scripted(freeze) as server, running(make(server.url, seen, listener).run) as task:
        await seen.until_connected()
        task.cancel()
        await asyncio.sleep(0.1)
        assert await cancelled_after(task) < 1.0
        assert task.cancelled()
        assert listener.is_closed()
        server.peers[0].connection.transport.abort()


@virtual_time
async def test_cancelled_while_it_waits_for_the_next_attempt_it_ends_at_once() -> None:
    seen = Seen()
    async with running(make(f"ws://127.0.0.1:{closed_port()}", seen).run) as task:
        await seen.until(lambda: len(seen.states) == 8)
        assert await cancelled_after(task) == 0.0


@virtual_time
async def test_cancelled_while_it_connects_it_closes_the_socket() -> None:
    left = asyncio.Event()
    came = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        with suppress(ConnectionError):
            await reader.read(10_000)
            await reader.read()
        left.set()
        writer.close()

    seen = Seen()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with running(make(f"ws://127.0.0.1:{port}", seen).run) as task:
            await came.wait()
            assert await cancelled_after(task) < 1.0
            await left.wait()


@virtual_time
async def test_a_stream_runs_once_at_a_time_and_may_run_again() -> None:
    seen = Seen()
    async with scripted(stay) as server:
        stream = make(server.url, seen)
        async with running(stream.run):
            await seen.until_connected()
            with pytest.raises(RuntimeError, match="runs already"):
                await stream.run()
        async with running(stream.run):
            await seen.until_connected(2)


# ---- what is said about it ---------------------------------------------------------------------------


def test_a_line_from_outside_is_one_short_line_without_the_keys() -> None:
    line = one_line("no: KEY and\nSECRET\x1b[31m " + "x" * 1000, ("KEY", "SECRET", ""))
    assert line.startswith("no: *** and\\n***\\x1b[31m x")
    assert len(line) == 300


def test_what_repeats_is_told_at_powers_of_two() -> None:
    tally = Tally()
    assert [number for number in range(1, 101) if tally.one_more()] == [1, 2, 4, 8, 16, 32, 64]
    assert tally.count == 100
