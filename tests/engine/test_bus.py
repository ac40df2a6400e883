"""The event bus: every event has its number, and no listener can harm another or the engine."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from tests.core.making import OPEN
from tui_trader.core.events import (
    BarReceived,
    CandleClosed,
    ErrorOccurred,
    Event,
    Heartbeat,
    Published,
    SignalRejected,
    StopMoved,
)
from tui_trader.engine.bus import EventBus
from tui_trader.engine.clock import VirtualClock

BAR_FIELDS = ("AAPL", OPEN, 1.0, 1.0, 1.0, 1.0, 1, False)
BAR = BarReceived(*BAR_FIELDS)
CANDLE = CandleClosed("AAPL", OPEN, 2, 1.0, 1.0, 1.0, 1.0, 1, 2, True, 1.0, 1.0)
REJECTED = SignalRejected("AAPL", "size", "")


def beat(number: int) -> Heartbeat:
    return Heartbeat(float(number), 0, 0.0)


@pytest.fixture
def bus() -> EventBus:
    return EventBus(VirtualClock(OPEN))


def test_events_are_numbered_from_one_and_bear_the_clocks_time(bus: EventBus) -> None:
    heard: list[Published] = []
    bus.add_sink("file", heard.append)
    for number in range(3):
        bus.emit(beat(number))
    assert heard == [Published(n + 1, OPEN, beat(n)) for n in range(3)]
    assert bus.seq == 3


def test_an_event_that_nobody_hears_has_its_number_all_the_same(bus: EventBus) -> None:
    heard: list[Published] = []
    bus.add_sink("file", heard.append, market_data=False)
    bus.emit(BAR)
    bus.count_unheard()
    bus.emit(REJECTED)
    assert [(p.seq, p.event) for p in heard] == [(3, REJECTED)]


@pytest.mark.parametrize("kind", [BarReceived, CandleClosed])
def test_market_data_is_wanted_only_while_somebody_listens_to_it(bus: EventBus, kind: type[Event]) -> None:
    assert not bus.wants(kind)
    bus.add_sink("journal", lambda published: None, market_data=False)
    assert not bus.wants(kind)
    assert bus.wants(SignalRejected)
    subscription = bus.subscribe("screen", 10, [kind])
    assert bus.wants(kind)
    subscription.close()
    assert not bus.wants(kind)
    bus.add_sink("file", lambda published: None)
    assert bus.wants(kind)


def test_a_subscription_gets_the_kinds_it_asked_for(bus: EventBus) -> None:
    some, every = bus.subscribe("some", 10, [SignalRejected]), bus.subscribe("all", 10)
    for event in (BAR, REJECTED, beat(1)):
        bus.emit(event)
    assert [p.event for p in some.drain()] == [REJECTED]
    assert [p.event for p in every.drain()] == [BAR, REJECTED, beat(1)]
    assert every.drain() == []


def test_a_subscription_begins_and_ends_when_it_is_told(bus: EventBus) -> None:
    bus.emit(beat(1))
    subscription = bus.subscribe("late", 10)
    bus.emit(beat(2))
    subscription.close()
    subscription.close()
    bus.emit(beat(3))
    assert [p.seq for p in subscription.drain()] == [2]


def test_a_full_subscription_loses_its_oldest_events_and_counts_them(bus: EventBus) -> None:
    slow, quick = bus.subscribe("slow", 3), bus.subscribe("quick", 100)
    for number in range(10):
        bus.emit(beat(number))
    assert [p.seq for p in slow.drain()] == [8, 9, 10]
    assert slow.dropped == 7
    bus.emit(beat(10))
    assert [p.seq for p in slow.drain()] == [11]
    assert slow.dropped == 7
    assert (len(quick.drain()), quick.dropped) == (11, 0)


def test_a_sink_that_raises_is_told_about_once_and_dropped(bus: EventBus) -> None:
    heard: list[Published] = []

    def broken(published: Published) -> None:
        raise OSError("disk full")

    bus.add_sink("broken", broken)
    bus.add_sink("file", heard.append)
    for number in range(3):
        bus.emit(beat(number))
    errors = [p.event for p in heard if isinstance(p.event, ErrorOccurred)]
    assert errors == [ErrorOccurred("bus", "listener broken failed and was dropped: disk full", None)]
    assert bus.sink_failures == {"broken": 1}


def test_a_sink_that_raises_does_not_disturb_the_order_for_the_others(bus: EventBus) -> None:
    def broken(published: Published) -> None:
        raise OSError("disk full")

    heard: list[Published] = []
    bus.add_sink("broken", broken)
    bus.add_sink("also broken", broken)
    bus.add_sink("file", heard.append)
    screen = bus.subscribe("screen", 10)
    bus.emit(beat(1))
    bus.emit(beat(2))
    assert [p.seq for p in heard] == [1, 2, 3, 4]
    assert heard[0].event == beat(1)
    assert screen.drain() == heard


def test_a_sink_may_emit_from_within_and_everybody_still_hears_everything(bus: EventBus) -> None:
    heard: list[Published] = []
    bus.add_sink("first", heard.append)
    failing = iter([False, True, True])

    def fails_later(published: Published) -> None:
        if next(failing):
            raise ValueError("no")

    bus.add_sink("later", fails_later)
    for number in range(3):
        bus.emit(beat(number))
    assert [p.seq for p in heard] == [1, 2, 3, 4]


def test_subscribing_and_draining_from_another_thread_loses_nothing_and_never_hangs(bus: EventBus) -> None:
    count = 20_000
    subscription = bus.subscribe("reader", count)
    got: list[Published] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            got.extend(subscription.drain())
            bus.subscribe("passer-by", 1).close()

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(count):
        bus.emit(StopMoved("AAPL", None, None) if number % 2 else beat(number))  # type: ignore[arg-type]
    done.set()
    reader.join(10)
    got.extend(subscription.drain())
    assert [p.seq for p in got] == list(range(1, count + 1))
    assert subscription.dropped == 0


def test_what_is_held_reaches_sinks_at_once_and_subscriptions_in_order_when_released(bus: EventBus) -> None:
    journal: list[Published] = []
    bus.add_sink("journal", journal.append, market_data=False)
    screen = bus.subscribe("screen", 10)
    bus.hold()
    bus.emit(beat(1))
    bus.emit_data(BarReceived, BAR_FIELDS)
    bus.emit(beat(2))
    assert [p.seq for p in journal] == [1, 3]
    assert screen.drain() == []
    bus.release()
    assert [(p.seq, p.event) for p in screen.drain()] == [(1, beat(1)), (2, BAR), (3, beat(2))]
    bus.emit(beat(3))
    assert [p.seq for p in screen.drain()] == [4]


def test_market_data_that_nobody_holds_back_is_an_event_like_any_other(bus: EventBus) -> None:
    file: list[Published] = []
    screen = bus.subscribe("screen", 10)
    bus.emit_data(BarReceived, BAR_FIELDS)
    assert [p.event for p in screen.drain()] == [BAR]
    bus.add_sink("file", file.append)
    bus.hold()
    bus.emit_data(BarReceived, BAR_FIELDS)
    assert [(p.seq, p.event) for p in file] == [(2, BAR)]
    bus.release()
    assert screen.drain() == file


def test_what_is_held_bears_the_time_at_which_it_was_said() -> None:
    clock = VirtualClock(OPEN)
    bus = EventBus(clock)
    screen = bus.subscribe("screen", 10)
    bus.hold()
    bus.emit(beat(1))
    clock.advance_to(OPEN + timedelta(seconds=1))
    bus.release()
    assert [p.time for p in screen.drain()] == [OPEN]
