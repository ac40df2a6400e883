"""The market data stream: every good bar arrives whatever comes with it, and nothing makes it storm."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.venues.alpaca.scripted import (
    KEY_ID,
    MINUTE,
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
from tui_trader.core.bars import Bar
from tui_trader.engine.clock import VirtualClock
from tui_trader.venues.alpaca.data_stream import BarStream
from tui_trader.venues.alpaca.frames import read_frame

DELIVERED = MINUTE + timedelta(seconds=60.2)


def make(url: str, seen: Seen, *symbols: str, expects_data: Callable[[], bool] = lambda: True) -> BarStream:
    stream = BarStream(
        access(url),
        seen.sink,
        VirtualClock(DELIVERED),
        expects_data=expects_data,
        on_updated_bar=seen.on_updated_bar,
        on_status=seen.on_status,
        on_problem=seen.on_problem,
        on_fatal=seen.on_fatal,
        jitter=lambda: 0.5,
    )
    stream.subscribe(symbols or ("AAA", "BBB"))
    return stream


def bar(symbol: str = "AAA", time: object = MINUTE, **changes: object) -> Message:
    message = {"T": "b", "S": symbol, "o": 10.0, "h": 11.0, "l": 9.0, "c": 10.5, "v": 100, "n": 3, "vw": 10.2}
    return message | {"t": time} | changes


def expected(symbol: str = "AAA", time: datetime = MINUTE) -> Bar:
    return Bar(symbol, time, 10.0, 11.0, 9.0, 10.5, 100)


def frame(*messages: object) -> bytes:
    packed: bytes = msgpack.packb(list(messages), datetime=True)
    return packed


def error(code: int, text: str = "no") -> Message:
    return {"T": "error", "code": code, "msg": text}


Script = Callable[[Peer], Awaitable[None]]


def after_opening(*frames: bytes | str) -> Script:
    """Agree to everything, send ``frames`` and stay."""

    async def script(peer: Peer) -> None:
        await peer.open_data()
        for data in frames:
            await peer.send(data)
        await peer.stay()

    return script


async def agree(peer: Peer) -> None:
    await peer.open_data()
    await peer.stay()


# ---- the opening -------------------------------------------------------------------------------------


@virtual_time
async def test_it_authenticates_and_subscribes_to_exactly_the_symbols() -> None:
    seen = Seen()
    async with scripted(agree) as server, running(make(server.url, seen, "BBB", "AAA").run):
        await seen.until_connected()
        peer = server.peers[0]
        assert peer.heard == [
            {"action": "auth", "key": KEY_ID, "secret": SECRET_KEY},
            {"action": "subscribe"}
            | {channel: ["AAA", "BBB"] for channel in ("bars", "updatedBars", "statuses")},
        ]
        assert peer.connection.request is not None
        assert peer.connection.request.headers["Content-Type"] == "application/msgpack"
        assert "Sec-WebSocket-Extensions" not in peer.connection.request.headers, "nothing to inflate"
        assert seen.names == ["connected"]
        assert seen.problems == []


@virtual_time
async def test_after_a_reconnect_it_subscribes_again_to_exactly_the_symbols() -> None:
    async def leave(peer: Peer) -> None:
        await peer.open_data()

    seen = Seen()
    async with scripted(leave, agree) as server, running(make(server.url, seen).run):
        await seen.until_connected(2)
        assert server.peers[0].heard == server.peers[1].heard
        assert seen.names == ["connected", "reconnecting", "connected"]


async def no_greeting(peer: Peer) -> None:
    await peer.stay()


async def no_answer_to_the_keys(peer: Peer) -> None:
    await peer.greet()
    await peer.stay()


async def no_answer_to_the_subscription(peer: Peer) -> None:
    await peer.authenticate()
    await peer.stay()


SILENCES = pytest.mark.parametrize(
    ("silent", "what"),
    [
        (no_greeting, "greeting"),
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
        assert seen.problems == [f"bars: no {what} within 10 s"]
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
async def test_talk_that_is_no_answer_does_not_lengthen_the_wait_for_one() -> None:
    async def chatter(peer: Peer) -> None:
        while True:
            await peer.say(bar())
            await asyncio.sleep(1)

    seen = Seen()
    async with scripted(chatter, agree) as server, running(make(server.url, seen).run):
        started = now()
        await seen.until(lambda: seen.problems)
        assert now() - started == pytest.approx(10.0, abs=0.5)
        assert seen.bars, "what it said meanwhile counts"


@pytest.mark.parametrize("code", [401, 402, 408, 409])
@virtual_time
async def test_an_answer_that_cannot_get_better_is_fatal(code: int) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.greet()
        await peer.say(error(code, "auth failed"))
        await peer.stay()

    seen = Seen()
    async with scripted(refuse) as server:
        await make(server.url, seen).run()
        await asyncio.sleep(3600)
        assert len(server.times) == 1
    assert seen.names == ["disconnected"]
    assert len(seen.fatal) == 1
    assert f"auth failed ({code})" in seen.fatal[0]
    assert seen.problems == []


@virtual_time
async def test_keys_revoked_in_the_middle_are_fatal() -> None:
    seen = Seen()
    async with scripted(after_opening(frame(error(402, "auth failed")))) as server:
        await make(server.url, seen).run()
    assert seen.names == ["connected", "disconnected"]


@virtual_time
async def test_the_connection_limit_is_told_once_and_asked_again_every_half_minute_or_more() -> None:
    async def limit(peer: Peer) -> None:
        await peer.greet()
        await peer.say(error(406, "connection limit exceeded"))
        await peer.stay()

    seen = Seen()
    async with scripted(*[limit] * 20, agree) as server, running(make(server.url, seen).run):
        await seen.until_connected()
        gaps = [later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)]
        assert len(gaps) == 20
        assert min(gaps) >= 30.0
        assert len(seen.problems) == 1
        assert "connection limit exceeded (406)" in seen.problems[0]


@virtual_time
async def test_already_authenticated_is_as_good_as_authenticated() -> None:
    async def known(peer: Peer) -> None:
        await peer.greet()
        await peer.say(error(403, "already authenticated"))
        await peer.grant()
        await peer.stay()

    seen = Seen()
    async with scripted(known) as server, running(make(server.url, seen).run):
        await seen.until_connected()
        assert seen.problems == []


@virtual_time
async def test_an_answer_in_json_text_is_understood() -> None:
    async def text(peer: Peer) -> None:
        await peer.send(json.dumps([{"T": "success", "msg": "connected"}]))
        await peer.hear()
        await peer.send(json.dumps([{"T": "success", "msg": "authenticated"}]))
        await peer.grant()
        await peer.send(json.dumps([bar(time="2026-11-18T14:31:00Z")]))
        await peer.stay()

    seen = Seen()
    async with scripted(text) as server, running(make(server.url, seen).run):
        await seen.until(lambda: seen.bars)
        assert seen.bars == [expected()]


# ---- the subscription --------------------------------------------------------------------------------


@virtual_time
async def test_symbols_that_the_answer_lacks_are_named_once() -> None:
    async def some(peer: Peer) -> None:
        await peer.authenticate()
        await peer.hear()
        await peer.say({"T": "subscription", "bars": ["AAA", "ZZZ", 7], "statuses": None})
        await asyncio.sleep(60)

    seen = Seen()
    async with scripted(some) as server:
        stream = make(server.url, seen)
        async with running(stream.run):
            await seen.until_connected(2)
            assert stream.streamed == {"AAA", "ZZZ"}
    assert [line for line in seen.problems if "not streamed" in line] == ["bars: not streamed by Alpaca: BBB"]


@virtual_time
async def test_symbols_are_changed_on_the_open_connection_and_the_same_ones_change_nothing() -> None:
    async def both(peer: Peer) -> None:
        await peer.open_data()
        await peer.grant()
        await peer.say(bar("AAA"), bar("BBB"), bar("CCC"))
        await peer.stay()

    seen = Seen()
    async with scripted(both) as server:
        stream = make(server.url, seen)
        async with running(stream.run):
            await seen.until_connected()
            stream.subscribe(["BBB", "AAA", "AAA"])
            await asyncio.sleep(31)
            assert len(server.peers[0].heard) == 2
            stream.subscribe(["BBB", "CCC"])
            started = now()
            await seen.until(lambda: seen.bars)
            assert now() - started < 0.5
            assert server.peers[0].heard[2]["bars"] == ["BBB", "CCC"]
            assert [found.symbol for found in seen.bars] == ["BBB", "CCC"], "AAA is not wanted any more"
            assert len(server.times) == 1


@virtual_time
async def test_symbols_that_change_during_the_opening_are_asked_for_at_once_after_it() -> None:
    async def slow(peer: Peer) -> None:
        await peer.authenticate()
        await asyncio.sleep(5)
        await peer.grant()
        await peer.grant()
        await peer.stay()

    seen = Seen()
    async with scripted(slow) as server:
        stream = make(server.url, seen)
        async with running(stream.run):
            await asyncio.sleep(3)
            stream.subscribe(["CCC"])
            await asyncio.sleep(10)
            assert stream.streamed == {"CCC"}
            assert seen.names == ["connected"]
            assert seen.problems == []


@virtual_time
async def test_without_symbols_it_connects_and_waits_for_some() -> None:
    async def later(peer: Peer) -> None:
        await peer.authenticate()
        await peer.grant()
        await peer.stay()

    seen = Seen()
    async with scripted(later) as server:
        stream = make(server.url, seen)
        stream.subscribe([])
        async with running(stream.run):
            await seen.until_connected()
            await asyncio.sleep(600)
            assert seen.names == ["connected"], "nothing is wanted, so nothing is missed"
            stream.subscribe(["AAA"])
            await asyncio.sleep(1)
            assert stream.streamed == {"AAA"}


def limited_to(most: int) -> Script:
    """A server that refuses, whole, any request that would put the connection over ``most`` channels."""

    async def script(peer: Peer) -> None:
        await peer.authenticate()
        granted: dict[str, set[str]] = {"bars": set(), "updatedBars": set(), "statuses": set()}
        while True:
            asked = await peer.hear()
            after = {name: have | set(asked.get(name, ())) for name, have in granted.items()}
            if sum(map(len, after.values())) > most:
                await peer.say(error(405, "symbol limit exceeded"))
            else:
                granted = after
                await peer.say({"T": "subscription"} | {name: sorted(have) for name, have in granted.items()})

    return script


@pytest.mark.parametrize(("most", "streamed"), [(3, 3), (30, 30), (31, 31), (40, 40), (100, 40), (0, 0)])
@virtual_time
async def test_of_too_many_symbols_as_many_as_fit_are_streamed(most: int, streamed: int) -> None:
    symbols = [f"S{number:02}" for number in range(40)]
    seen = Seen()
    async with scripted(limited_to(most)) as server:
        stream = make(server.url, seen, *symbols, expects_data=lambda: False)
        async with running(stream.run):
            await seen.until_connected()
            assert sorted(stream.streamed) == symbols[:streamed]
            missing = symbols[streamed:]
            assert [line for line in seen.problems if "not streamed" in line] == (
                [f"bars: not streamed by Alpaca: {', '.join(missing[:10])} and {len(missing) - 10} more"]
                if len(missing) > 10
                else [f"bars: not streamed by Alpaca: {', '.join(missing)}"]
                if missing
                else []
            )
            await asyncio.sleep(300)
            assert len(server.times) == 1, "a limit is no reason to connect again"
            assert len(server.peers[0].heard) < 30


@virtual_time
async def test_a_limit_on_a_change_keeps_the_connection_and_names_what_is_missing() -> None:
    seen = Seen()
    async with scripted(limited_to(6)) as server:
        stream = make(server.url, seen, expects_data=lambda: False)
        async with running(stream.run):
            await seen.until_connected()
            stream.subscribe(["AAA", "BBB", "CCC"])
            await seen.until(lambda: seen.problems)
            await asyncio.sleep(60)
            assert stream.streamed == {"AAA", "BBB"}
            assert seen.names == ["connected"]
            assert seen.problems[-1] == "bars: not streamed by Alpaca: CCC"


# ---- bars --------------------------------------------------------------------------------------------


@virtual_time
async def test_the_bars_of_a_frame_are_one_batch_sorted_by_symbol_and_time() -> None:
    later = MINUTE + timedelta(minutes=1)
    data = frame(bar("BBB"), bar("AAA", later), bar("AAA"), bar("BBB", later))
    seen = Seen()
    async with scripted(after_opening(data)) as server, running(make(server.url, seen).run):
        await seen.until(lambda: seen.batches)
        (batch,) = seen.batches
        assert batch.time == DELIVERED
        assert batch.bars == [
            expected("AAA"), expected("AAA", later), expected("BBB"), expected("BBB", later),
        ]  # fmt: skip
        assert all(found.timestamp.tzinfo is UTC for found in batch.bars)


def test_two_bars_of_one_minute_stay_in_the_order_they_came_in() -> None:
    found = read_frame(frame(bar("BBB"), bar("AAA", o=10.4), bar("AAA", o=10.1)), {"AAA", "BBB"})
    assert [(each.symbol, each.open) for each in found.bars] == [("AAA", 10.4), ("AAA", 10.1), ("BBB", 10.0)]


@virtual_time
async def test_updated_bars_and_statuses_go_their_own_ways() -> None:
    halt = {"T": "s", "S": "BBB", "sc": "H", "sm": "Trading Halt", "rc": "LUDP", "rm": "Volatility", "z": "C"}
    data = frame(bar("AAA") | {"T": "u"}, halt | {"t": MINUTE}, bar("BBB"))
    seen = Seen()
    async with scripted(after_opening(data)) as server, running(make(server.url, seen).run):
        await seen.until(lambda: seen.bars and seen.statuses)
        assert seen.updated == [expected("AAA")]
        assert seen.statuses == [("BBB", True, "Trading Halt: Volatility")]
        assert seen.bars == [expected("BBB")]


BAD_MESSAGES: list[Any] = [
    bar(o="10.0"),
    bar(h=None),
    bar(c=True),
    bar(v=[1]),
    bar(v=math.nan),
    bar(v=2**60),
    bar(o={"a": 1}),
    bar(t=MINUTE.timestamp()),
    bar(t="yesterday"),
    bar(t="2026-11-18T14:31:00"),
    bar(t=msgpack.Timestamp(2**40)),
    bar(t=msgpack.ExtType(5, b"what")),
    bar(S=["AAA"]),
    {name: value for name, value in bar().items() if name != "c"},
    {name: value for name, value in bar().items() if name != "T"},
    bar(T="?"),
    bar(T=["b"]),
    bar(T="u", h="x"),
    {"T": "s", "S": "AAA"},
    {"T": "s", "S": None, "sc": "H"},
    {"T": "s", "S": "AAA", "sc": 2},
    None,
    7,
    "b",
    [],
    {},
    ["T"],
    b"bytes",
    "x" * 5000,
    {1: 2},
]


@pytest.mark.parametrize("bad", BAD_MESSAGES, ids=lambda bad: repr(bad)[:40])
def test_one_bad_message_costs_itself_and_no_other(bad: object) -> None:
    found = read_frame(frame(bar("BBB"), bad, bar("AAA")), {"AAA", "BBB"})
    assert found.bars == [expected("AAA"), expected("BBB")]
    assert len(found.unreadable) == 1
    assert (found.updated, found.statuses, found.controls) == ([], [], [])


def test_a_timestamp_beyond_all_time_costs_its_message_only() -> None:
    broken = struct.pack(">BBbIq", 0xC7, 12, -1, 4_000_000_000, 2**62)
    good = frame(bar("AAA"))
    data = good.replace(frame(MINUTE)[1:], broken)
    data = b"\x93" + data[1:] + data[1:] + frame(bar("BBB"))[1:]
    found = read_frame(data, {"AAA", "BBB"})
    assert found.bars == [expected("BBB")]
    assert found.unreadable[0].startswith("2 messages of a frame of 3")


def test_a_symbol_that_is_no_text_at_all_costs_its_message_only() -> None:
    data = frame(bar("AAA"), bar("BBB")).replace(b"\xa3AAA", b"\xa3\xff\xfe\xfd")
    found = read_frame(data, {"AAA", "BBB"})
    assert found.bars == [expected("BBB")]
    assert len(found.unreadable) == 1


@pytest.mark.parametrize("kept", [1, 2])
def test_of_a_frame_cut_short_the_whole_messages_count(kept: int) -> None:
    data = frame(bar("AAA"), bar("BBB"), bar("CCC"))
    end = len(frame(*[bar("AAA")] * kept)) + 20
    found = read_frame(data[:end], {"AAA", "BBB", "CCC"})
    assert [each.symbol for each in found.bars] == ["AAA", "BBB", "CCC"][:kept]
    assert len(found.unreadable) == 1


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"<html>", b"\xdd\xff\xff\xff\xff", b"\x91" * 5000, "", "<html>", "[" * 10**5, "{}"],
    ids=lambda data: repr(data)[:20],
)
def test_a_frame_that_is_none_is_passed_over(data: bytes | str) -> None:
    found = read_frame(data, {"AAA"})
    assert (found.bars, len(found.unreadable)) == ([], 1)


@given(st.binary(max_size=200), st.integers(0, 120))
def test_no_bytes_whatever_break_the_reader(noise: bytes, at: int) -> None:
    data = frame(bar("AAA"), bar("BBB"))
    read_frame(noise, {"AAA"})
    read_frame(data[:at] + noise + data[at:], {"AAA", "BBB"})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(("T", "S", "o", "v", "t", "sc", "sm", "code")), inner),
        max_leaves=20,
    ),
    st.sampled_from("busx"),
)  # fmt: skip
def test_no_values_whatever_break_the_reader(noise: object, kind: str) -> None:
    found = read_frame(frame(bar() | {"T": kind} | {"o": noise}, noise, bar("BBB")), {"AAA", "BBB"})
    assert expected("BBB") in found.bars
    text = json.dumps([noise, bar("BBB", "2026-11-18T14:31:00Z")])
    assert expected("BBB") in read_frame(text, {"BBB"}).bars


def test_values_that_are_numbers_but_nonsense_are_for_the_engine_to_judge() -> None:
    found = read_frame(frame(bar(o=math.nan, h=math.inf, l=-1.0, c=0)), {"AAA"})
    (only,) = found.bars
    assert math.isnan(only.open)
    assert only[3:7] == (math.inf, -1.0, 0.0, 100)
    assert found.unreadable == []


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-18T14:31:00Z",
        "2026-11-18T14:31:00.000000999Z",
        "2026-11-18T09:31:00-05:00",
        MINUTE,
        msgpack.Timestamp.from_datetime(MINUTE),
        msgpack.Timestamp(int(MINUTE.timestamp()), 999),
    ],
    ids=str,
)
def test_times_of_every_spelling_become_utc(time: object) -> None:
    (only,) = read_frame(frame(bar(time=time)), {"AAA"}).bars
    assert only == expected()
    assert only.timestamp.tzinfo is UTC


def test_whole_numbers_are_prices_and_a_fraction_of_a_share_is_cut_off() -> None:
    (only,) = read_frame(frame(bar(o=10, h=11, l=9, c=10, v=99.75)), {"AAA"}).bars
    assert only == Bar("AAA", MINUTE, 10.0, 11.0, 9.0, 10.0, 99)
    assert [type(value) for value in only[2:7]] == [float] * 4 + [int]


@pytest.mark.parametrize(
    ("code", "text", "halted"),
    [
        ("H", "Trading Halt", True),
        ("P", "Volatility Trading Pause", True),
        ("Q", "Quotation Resumption", True),
        ("T", "Trading Resumption", False),
        ("2", "Trading Halt", True),
        ("3", "Resume", False),
        ("4", "No Open/No Resume", True),
        ("5", "Price Indication", None),
        ("A", "MOC Imbalance Sell", None),
        ("E", "Short Sale Restriction", None),
        ("?", "Regulatory Halt", True),
        ("?", "Something new", None),
    ],
)
def test_a_halt_ends_when_trading_resumes_and_not_before(code: str, text: str, halted: bool | None) -> None:
    found = read_frame(frame({"T": "s", "S": "AAA", "sc": code, "sm": text, "t": MINUTE}), {"AAA"})
    assert [tuple(status) for status in found.statuses] == ([] if halted is None else [("AAA", halted, text)])


@virtual_time
async def test_garbage_between_frames_is_told_of_and_survived() -> None:
    good = frame(bar())
    script = after_opening(good, good[:30], b"\x00\xff garbage", "text", good)
    seen = Seen()
    async with scripted(script) as server, running(make(server.url, seen).run):
        await seen.until(lambda: len(seen.bars) == 2)
        assert seen.names == ["connected"]
        assert len(seen.problems) == 2, "the first and the second; the third would be told with the fourth"


# ---- what else the server may do ---------------------------------------------------------------------


@virtual_time
async def test_an_error_in_the_middle_is_told_of_and_bars_go_on() -> None:
    script = after_opening(frame(error(500, "internal error")), frame(error(400)), frame(bar()))
    seen = Seen()
    async with scripted(script) as server, running(make(server.url, seen).run):
        await seen.until(lambda: seen.bars)
        assert seen.names == ["connected"]
        assert seen.problems[0] == "bars: the server says: internal error (500)"


@virtual_time
async def test_being_too_slow_for_the_server_leads_to_a_new_connection() -> None:
    script = after_opening(frame(bar(), error(407, "slow client")))
    seen = Seen()
    async with scripted(script, agree) as server, running(make(server.url, seen).run):
        await seen.until_connected(2)
        assert seen.bars == [expected()]
        assert "slow client (407)" in seen.problems[0]


@virtual_time
async def test_a_subscription_that_shrinks_by_itself_is_told_of() -> None:
    script = after_opening(frame({"T": "subscription", "bars": ["BBB"]}))
    seen = Seen()
    async with scripted(script) as server:
        stream = make(server.url, seen)
        async with running(stream.run):
            await seen.until(lambda: seen.problems)
            assert seen.problems == ["bars: not streamed by Alpaca: AAA"]
            assert stream.streamed == {"BBB"}


@virtual_time
async def test_a_server_that_echoes_the_keys_gets_them_no_further(caplog: pytest.LogCaptureFixture) -> None:
    async def echo(peer: Peer) -> None:
        await peer.greet()
        await peer.say(error(400, f"invalid syntax: {KEY_ID} {SECRET_KEY}\n\x1b[31m"))
        await peer.stay()

    async def refuse(peer: Peer) -> None:
        await peer.greet()
        await peer.say(error(402, f"bad key {KEY_ID}:{SECRET_KEY}"))
        await peer.stay()

    seen = Seen()
    with caplog.at_level(logging.DEBUG, "tui_trader"), caplog.at_level(logging.DEBUG, "websockets.client"):
        async with scripted(echo, refuse) as server:
            await make(server.url, seen).run()
    said = " ".join([*seen.problems, *seen.fatal, caplog.text])
    assert len(seen.problems) == len(seen.fatal) == 1
    assert KEY_ID not in said
    assert SECRET_KEY not in said
    assert "\x1b" not in seen.problems[0]


@virtual_time
async def test_a_callback_that_raises_costs_no_bar_of_its_frame() -> None:
    class Raising(Seen):
        def on_updated_bar(self, bar: Bar) -> None:
            raise ZeroDivisionError

    seen = Raising()
    script = after_opening(frame(bar("AAA") | {"T": "u"}, bar("AAA"), bar("BBB")))
    async with scripted(script, agree) as server, running(make(server.url, seen).run):
        await seen.until_connected(2)
        assert seen.bars == [expected("AAA"), expected("BBB")]


# ---- silence -----------------------------------------------------------------------------------------


@virtual_time
async def test_a_mute_stream_is_stale_after_90_seconds_and_is_replaced() -> None:
    seen = Seen()
    async with scripted(agree) as server, running(make(server.url, seen).run):
        await seen.until_connected()
        started = now()
        await seen.until(lambda: "stale" in seen.names)
        assert 90.0 <= now() - started <= 96.0
        await seen.until_connected(2)
        assert seen.names == ["connected", "stale", "reconnecting", "connected"]
        assert seen.problems == ["bars: no message for 90 s although the market is open"]


@virtual_time
async def test_bars_once_a_minute_are_enough() -> None:
    async def steady(peer: Peer) -> None:
        await peer.open_data()
        while True:
            await asyncio.sleep(60)
            await peer.say(bar())

    seen = Seen()
    async with scripted(steady) as server, running(make(server.url, seen).run):
        await asyncio.sleep(1800)
        assert seen.names == ["connected"]


@virtual_time
async def test_silence_while_the_market_is_closed_is_no_fault_and_counts_from_the_open() -> None:
    market_open = asyncio.Event()
    seen = Seen()
    async with (
        scripted(agree) as server,
        running(make(server.url, seen, expects_data=market_open.is_set).run),
    ):
        await asyncio.sleep(1800)
        assert seen.names == ["connected"]
        market_open.set()
        started = now()
        await seen.until(lambda: "stale" in seen.names)
        assert 85.0 <= now() - started <= 96.0


@virtual_time
async def test_where_reconnecting_changes_nothing_it_is_done_less_often() -> None:
    seen = Seen()
    async with scripted(agree) as server, running(make(server.url, seen).run):
        await asyncio.sleep(1500)
        gaps = [later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)]
        assert [round(gap / 90) for gap in gaps] == [1, 2, 4, 4, 4]


@virtual_time
async def test_data_make_the_watch_strict_again() -> None:
    async def one_bar(peer: Peer) -> None:
        await peer.open_data()
        await asyncio.sleep(100)
        await peer.say(bar())
        await peer.stay()

    seen = Seen()
    async with scripted(agree, one_bar, agree) as server, running(make(server.url, seen).run):
        await seen.until(lambda: seen.bars)
        started = now()
        await seen.until(lambda: seen.names.count("stale") == 2)
        assert 90.0 <= now() - started <= 96.0
