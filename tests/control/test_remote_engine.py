"""An engine behind the control API keeps the promises of one in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.control.double import MANY_REQUESTS, START, FakeEngine, position, serving
from tui_trader.control.endpoint import NoEngineError
from tui_trader.control.limits import Limits
from tui_trader.control.remote import RemoteEngine, RemoteSubscription
from tui_trader.core.events import BarReceived, EngineState, ErrorOccurred, Published
from tui_trader.engine.handle import (
    CancelWorkingOrder,
    CandleRow,
    Command,
    Flatten,
    Pause,
    Resume,
    SetSpeed,
    Shutdown,
)
from tui_trader.errors import TuiTraderError

ROW = CandleRow(START, 10.0, 10.5, 9.5, 10.25, 1200, 10.0, 9.75)


class Charted(FakeEngine):
    def candles(self, symbol: str) -> Future[tuple[CandleRow, ...]]:
        future: Future[tuple[CandleRow, ...]] = Future()
        future.set_result((ROW,) if symbol == "AAPL" else ())
        return future


@contextmanager
def viewed(
    engine: FakeEngine, tmp_path: Path, limits: Limits = MANY_REQUESTS
) -> Iterator[tuple[RemoteEngine, RemoteSubscription]]:
    with serving(engine, tmp_path, limits):
        remote = RemoteEngine.attach(tmp_path)
        try:
            yield remote, remote.subscribe("test", 1000)
        finally:
            remote.close()


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def bar(minute: int) -> BarReceived:
    return BarReceived("AAPL", START.replace(minute=minute), 10.0, 10.5, 9.5, 10.25, 1200, False)


def heard(subscription: RemoteSubscription, count: int) -> list[Published]:
    events: list[Published] = []

    def enough() -> bool:
        events.extend(subscription.drain())
        return len(events) >= count

    until(enough)
    return events


def test_it_is_the_engine_of_the_folder(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.hold(position("AAPL"))
    with viewed(engine, tmp_path) as (remote, _):
        assert remote.info.symbols == ("AAPL", "TSLA")
        assert remote.info.mode == engine.info.mode
        assert remote.info.state_dir == str(tmp_path)
        assert remote.snapshot().result(5).positions == engine.view.positions
        assert not remote.stopped


def test_without_an_engine_there_is_nothing_to_attach_to(tmp_path: Path) -> None:
    with pytest.raises(NoEngineError):
        RemoteEngine.attach(tmp_path)


def test_events_arrive_in_order_as_themselves(tmp_path: Path) -> None:
    engine = FakeEngine()
    with viewed(engine, tmp_path) as (_, subscription):
        until(lambda: any(s.kinds is None for s in engine.subscriptions))
        said = [engine.publish(bar(minute)) for minute in range(30)]
        assert heard(subscription, 30) == said
        assert subscription.dropped == 0


def test_what_was_said_before_fills_the_log_and_is_not_counted_as_lost(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path, MANY_REQUESTS):
        engine.change(seq=500)
        earlier = engine.publish(ErrorOccurred("feed", "a hiccup", None))
        engine.change(seq=900)
        remote = RemoteEngine.attach(tmp_path)
        subscription = remote.subscribe("test", 1000)
        until(lambda: any(s.kinds is None for s in engine.subscriptions))
        later = engine.publish(bar(1))
        assert heard(subscription, 2) == [earlier, later]
        assert subscription.dropped == 0
        remote.close()


@pytest.mark.parametrize(
    "command",
    [
        Pause("asked through the control API"),
        Resume(),
        Resume(reset_breaker=True),
        Flatten(),
        Flatten("AAPL"),
        CancelWorkingOrder("tt-velez-AAPL-0a1b-E1"),
        SetSpeed(120.0),
        SetSpeed(None),
        Shutdown("asked through the control API", "keep"),
    ],
)
def test_every_command_arrives(tmp_path: Path, command: Command) -> None:
    engine = FakeEngine()
    engine.obey = lambda _: None
    with viewed(engine, tmp_path) as (remote, _):
        remote.send(command)
        until(lambda: engine.commands)
    assert engine.commands == [command]


def test_a_snapshot_asked_for_after_a_command_knows_of_it(tmp_path: Path) -> None:
    engine = FakeEngine()
    with viewed(engine, tmp_path) as (remote, _):
        remote.send(Pause())
        assert remote.snapshot().result(5).state is EngineState.PAUSED


def test_a_refused_command_is_said_on_the_screen(tmp_path: Path) -> None:
    with viewed(FakeEngine(), tmp_path) as (remote, subscription):
        remote.send(Flatten("MSFT"))
        [said] = heard(subscription, 1)
    assert isinstance(said.event, ErrorOccurred)
    assert said.event.message.startswith("flatten was not accepted: ")
    assert "no symbol MSFT here" in said.event.message


def test_candles_come_from_the_engine(tmp_path: Path) -> None:
    with viewed(Charted(), tmp_path) as (remote, _):
        assert remote.candles("AAPL").result(5) == (ROW,)
        assert remote.candles("TSLA").result(5) == ()
        assert isinstance(remote.candles("MSFT").exception(15), TuiTraderError)


def test_more_charts_than_the_engine_likes_come_a_little_later(tmp_path: Path) -> None:
    limits = Limits(requests_per_second=20.0, request_burst=5)
    with viewed(Charted(), tmp_path, limits) as (remote, _):
        answers = [remote.candles("AAPL") for _ in range(15)]
        assert all(answer.result(20) == (ROW,) for answer in answers)


def test_an_engine_that_stops_is_stopped_here(tmp_path: Path) -> None:
    engine = FakeEngine()
    with viewed(engine, tmp_path) as (remote, subscription):
        until(lambda: any(s.kinds is None for s in engine.subscriptions))
        engine.enter(EngineState.STOPPED, "done")
        heard(subscription, 1)
        until(lambda: remote.stopped)
    assert not [said for said in subscription.drain() if isinstance(said.event, ErrorOccurred)]


def test_an_engine_that_vanishes_is_said_to_have_failed(tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path, MANY_REQUESTS):
        remote = RemoteEngine.attach(tmp_path)
        subscription = remote.subscribe("test", 1000)
        until(lambda: any(s.kinds is None for s in engine.subscriptions))
    until(lambda: remote.stopped)
    [said] = heard(subscription, 1)
    assert isinstance(said.event, ErrorOccurred)
    assert said.event.component == "engine"
    assert "look at the account" in said.event.message
    remote.close()


def test_closing_the_view_leaves_the_engine_alone(tmp_path: Path) -> None:
    engine = FakeEngine()
    with viewed(engine, tmp_path) as (remote, _):
        remote.close()
        time.sleep(0.05)
    assert engine.commands == []
    assert not engine.stopped


def test_a_queue_that_is_full_counts_what_it_loses(tmp_path: Path) -> None:
    subscription = RemoteSubscription(2, None, lambda _: None)
    for number in range(5):
        subscription.put(Published(number, START, bar(number)), counted=number > 2)
    assert [said.seq for said in subscription.drain()] == [3, 4]
    assert subscription.dropped == 2


def test_market_time_runs_on_between_events_at_the_markets_speed(tmp_path: Path) -> None:
    engine = FakeEngine()  # 60 market seconds a second
    with viewed(engine, tmp_path) as (remote, _):
        first = remote.now()
        time.sleep(0.05)
        assert (remote.now() - first).total_seconds() >= 3.0
        assert first >= START
