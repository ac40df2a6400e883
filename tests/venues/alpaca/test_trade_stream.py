"""The trade update stream: every update is handed on, nonsense is survived, wrong keys end it."""

from __future__ import annotations

import asyncio
import http
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.venues.alpaca.scripted import (
    KEY_ID,
    SECRET_KEY,
    Message,
    Peer,
    Seen,
    access,
    cancelled_after,
    now,
    running,
    scripted,
    virtual_time,
)
from tui_trader.venues.alpaca.trade_stream import TradeUpdateStream

Script = Callable[[Peer], Awaitable[None]]

FILL: Message = {"event": "fill", "execution_id": "e-1", "price": "10.50", "qty": "5", "order": {"id": "o-1"}}
NEW: Message = {"event": "new", "order": {"id": "o-1"}}


def make(url: str, seen: Seen) -> TradeUpdateStream:
    return TradeUpdateStream(
        access(url),
        seen.sink,
        seen.on_update,
        on_problem=seen.on_problem,
        on_fatal=seen.on_fatal,
        jitter=lambda: 0.5,
    )


def update(data: object) -> Message:
    return {"stream": "trade_updates", "data": data}


def after_opening(*messages: bytes | str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.open_trade()
        for data in messages:
            await peer.send(data)
        await peer.stay()

    return script


def text(message: object) -> str:
    return json.dumps(message)


def binary(message: object) -> bytes:
    return json.dumps(message).encode()


async def agree(peer: Peer) -> None:
    await peer.open_trade()
    await peer.stay()


@virtual_time
async def test_it_authenticates_and_then_listens() -> None:
    seen = Seen()
    async with scripted(agree) as server, running(make(server.url, seen).run):
        await seen.until_connected()
        assert server.peers[0].heard == [
            {"action": "authenticate", "data": {"key_id": KEY_ID, "secret_key": SECRET_KEY}},
            {"action": "listen", "data": {"streams": ["trade_updates"]}},
        ]
        assert [(state.stream, state.state) for state in seen.states] == [("trade_updates", "connected")]


@virtual_time
async def test_updates_in_binary_and_in_text_arrive_in_their_order() -> None:
    script = after_opening(binary(update(NEW)), text(update(FILL)), binary(update(FILL)))
    seen = Seen()
    async with scripted(script) as server, running(make(server.url, seen).run):
        await seen.until(lambda: len(seen.updates) == 3)
        assert seen.updates == [NEW, FILL, FILL]
        assert seen.problems == []


@virtual_time
async def test_an_update_before_the_listening_answer_is_not_lost() -> None:
    async def early(peer: Peer) -> None:
        await peer.hear()
        await peer.tell({"stream": "authorization", "data": {"status": "authorized"}})
        await peer.hear()
        await peer.tell(update(FILL))
        await peer.tell({"stream": "listening", "data": {"streams": ["trade_updates"]}})
        await peer.stay()

    seen = Seen()
    async with scripted(early) as server, running(make(server.url, seen).run):
        await seen.until_connected()
        assert seen.updates == [FILL]


@virtual_time
async def test_an_event_of_an_unknown_kind_is_handed_on_like_any_other() -> None:
    unknown = {"event": "order_blessed", "order": None, "new_field": [1, 2]}
    seen = Seen()
    async with (
        scripted(after_opening(binary(update(unknown)))) as server,
        running(make(server.url, seen).run),
    ):
        await seen.until(lambda: seen.updates)
        assert seen.updates == [unknown]
        assert seen.problems == []


NONSENSE = [
    binary(update(None)),
    binary(update([FILL])),
    binary({"stream": "trade_updates"}),
    binary({"stream": "gossip", "data": {}}),
    binary({"stream": 7, "data": {}}),
    binary({"data": FILL}),
    binary([update(FILL)]),
    binary(None),
    b"<html><body>502 Bad Gateway</body></html>",
    "<html>",
    b"",
    b"\xff\xfe\x00\x01",
    binary(update(FILL))[:30],
    "[" * 100_000,
    "9" * 10_000,
    '{"stream": "trade_updates", "data": 1e999}',
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda data: repr(data)[:40])
@virtual_time
async def test_nonsense_between_two_updates_costs_neither_and_is_counted(nonsense: bytes | str) -> None:
    script = after_opening(binary(update(NEW)), nonsense, binary(update(FILL)))
    seen = Seen()
    async with scripted(script) as server:
        stream = make(server.url, seen)
        async with running(stream.run):
            await seen.until(lambda: len(seen.updates) == 2)
            assert seen.updates == [NEW, FILL]
            assert stream.unreadable == 1
            assert len(seen.problems) == 1
            assert seen.names == ["connected"]


@virtual_time
async def test_nonsense_without_end_costs_few_lines() -> None:
    script = after_opening(*[binary(update(None))] * 1000, binary(update(FILL)))
    seen = Seen()
    async with scripted(script) as server:
        stream = make(server.url, seen)
        async with running(stream.run):
            await seen.until(lambda: seen.updates)
            assert stream.unreadable == 1000
            assert len(seen.problems) == 10


@virtual_time
async def test_an_update_that_its_taker_cannot_bear_costs_no_other() -> None:
    class Delicate(Seen):
        def on_update(self, data: Message) -> None:
            if data["event"] == "new":
                raise ZeroDivisionError(f"no {SECRET_KEY}")
            super().on_update(data)

    seen = Delicate()
    script = after_opening(binary(update(NEW)), binary(update(FILL)))
    async with scripted(script) as server, running(make(server.url, seen).run):
        await seen.until(lambda: seen.updates)
        assert seen.updates == [FILL]
        assert seen.names == ["connected"]
        assert "caused ZeroDivisionError: no ***" in seen.problems[0]


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_no_message_whatever_breaks_the_reader(raw: bytes | str) -> None:
    seen = Seen()
    make("ws://127.0.0.1", seen)._handle(raw)
    assert seen.updates == []


def answering(data: Any, stream: str = "authorization") -> Script:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.tell({"stream": stream, "data": data})
        await peer.stay()

    return script


@virtual_time
async def test_wrong_keys_are_fatal() -> None:
    refuse = answering(
        {"action": "authenticate", "status": "unauthorized", "message": "access key verification failed"}
    )
    seen = Seen()
    async with scripted(refuse) as server:
        await make(server.url, seen).run()
        await asyncio.sleep(3600)
        assert len(server.times) == 1
    assert seen.names == ["disconnected"]
    assert len(seen.fatal) == 1
    assert "access key verification failed" in seen.fatal[0]


@virtual_time
async def test_keys_revoked_in_the_middle_are_fatal() -> None:
    script = after_opening(binary({"stream": "authorization", "data": {"status": "unauthorized"}}))
    seen = Seen()
    async with scripted(script) as server:
        await make(server.url, seen).run()
    assert seen.names == ["connected", "disconnected"]


@pytest.mark.parametrize("data", [{"status": "busy"}, {}, {"status": None, "error": "internal"}], ids=str)
@virtual_time
async def test_an_answer_to_the_keys_that_says_neither_yes_nor_no_is_asked_again(data: Message) -> None:
    seen = Seen()
    async with scripted(answering(data), agree) as server, running(make(server.url, seen).run):
        await seen.until_connected()
        assert len(server.times) == 2
        assert seen.fatal == []


@virtual_time
async def test_a_second_connection_refused_by_429_is_tried_slowly() -> None:
    def limit(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(http.HTTPStatus.TOO_MANY_REQUESTS, "too many")

    seen = Seen()
    async with scripted(agree, answer=limit) as server, running(make(server.url, seen).run):
        await asyncio.sleep(3600)
        gaps = [later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)]
        assert min(gaps) >= 30.0
        assert len(seen.problems) == 1
        assert "HTTP 429" in seen.problems[0]


@virtual_time
async def test_a_connection_limit_in_words_is_tried_slowly() -> None:
    limit = answering({"error": "connection limit exceeded"})
    seen = Seen()
    async with scripted(limit) as server, running(make(server.url, seen).run):
        await asyncio.sleep(200)
        assert 4 <= len(server.times) <= 6


@virtual_time
async def test_a_listening_answer_without_trade_updates_is_no_connection() -> None:
    async def deaf(peer: Peer) -> None:
        await peer.hear()
        await peer.tell({"stream": "authorization", "data": {"status": "authorized"}})
        await peer.hear()
        await peer.tell({"stream": "listening", "data": {"streams": [], "error": "not permitted"}})
        await peer.stay()

    seen = Seen()
    async with scripted(deaf, agree) as server, running(make(server.url, seen).run):
        await seen.until_connected()
        assert seen.names == ["reconnecting", "connected"]
        assert "not permitted" in seen.problems[0]


async def no_answer_to_the_keys(peer: Peer) -> None:
    await peer.stay()


async def no_answer_to_the_subscription(peer: Peer) -> None:
    await peer.hear()
    await peer.tell({"stream": "authorization", "data": {"status": "authorized"}})
    await peer.stay()


SILENCES = pytest.mark.parametrize(
    ("silent", "what"),
    [
        (no_answer_to_the_keys, "answer to the keys"),
        (no_answer_to_the_subscription, "answer to the subscription"),
    ],
)


@SILENCES
@virtual_time
async def test_each_step_that_gets_no_answer_is_given_up_after_10_seconds(silent: Script, what: str) -> None:
    seen = Seen()
    async with scripted(silent, agree) as server, running(make(server.url, seen).run):
        started = now()
        await seen.until(lambda: seen.problems)
        assert now() - started == pytest.approx(10.0, abs=0.5)
        assert seen.problems == [f"trade_updates: no {what} within 10 s"]
        await seen.until_connected()


@SILENCES
@virtual_time
async def test_cancelled_in_any_step_it_closes_the_connection_within_a_second(
    silent: Script, what: str
) -> None:
    seen = Seen()
    async with scripted(silent) as server, running(make(server.url, seen).run) as task:
        await asyncio.sleep(5)
        assert await cancelled_after(task) < 1.0
        await server.peers[0].stay()


@virtual_time
async def test_a_day_without_orders_is_no_fault() -> None:
    seen = Seen()
    async with scripted(agree) as server, running(make(server.url, seen).run):
        await asyncio.sleep(1800)
        assert seen.names == ["connected"]


@virtual_time
async def test_after_the_server_left_it_comes_back_and_says_so() -> None:
    async def leave(peer: Peer) -> None:
        await peer.open_trade()
        await peer.tell(update(NEW))

    seen = Seen()
    script = after_opening(binary(update(FILL)))
    async with scripted(leave, script) as server, running(make(server.url, seen).run):
        await seen.until(lambda: len(seen.updates) == 2)
        assert seen.names == ["connected", "reconnecting", "connected"]
        assert [state.attempt for state in seen.states] == [0, 1, 0]


@virtual_time
async def test_the_keys_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen()
    with caplog.at_level(logging.DEBUG, "websockets.client"), caplog.at_level(logging.DEBUG, "tui_trader"):
        async with scripted(agree) as server, running(make(server.url, seen).run):
            await seen.until_connected()
    assert KEY_ID not in caplog.text
    assert SECRET_KEY not in caplog.text
