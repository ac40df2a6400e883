"""The event bus: numbers what the engine says and hands it to listeners, none of which it waits for.

A listener is either a *sink*, called inline (the journal, a lossless event file on a simulated market), or a
*subscription*, a bounded queue that its owner drains on a thread of its own. A sink that raises is counted,
reported once and dropped; a subscription that is full loses its oldest events and counts them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Protocol, cast

from tui_trader.core.events import MARKET_DATA, ErrorOccurred, Event, Published
from tui_trader.engine.clock import Clock

Sink = Callable[[Published], None]


class Publisher(Protocol):
    """What components need of the bus."""

    def emit(self, event: Event) -> None: ...


class QueueSubscription:
    """A bounded queue between the engine's thread and one reader's. Deque operations are atomic."""

    def __init__(self, bus: EventBus, name: str, capacity: int, kinds: frozenset[type[Event]] | None) -> None:
        self.name = name
        self.kinds = kinds
        self._bus = bus
        self._queue: deque[Published] = deque(maxlen=capacity)
        self._received = 0
        self._taken = 0

    @property
    def dropped(self) -> int:
        """Events that did not fit; exact once the queue has been drained."""
        return max(0, self._received - self._taken - len(self._queue))

    def put(self, published: Published) -> None:
        self._queue.append(published)
        self._received += 1

    def drain(self) -> list[Published]:
        events: list[Published] = []
        queue = self._queue
        # Bounded by what is there now, so that a fast producer cannot keep the reader here for ever.
        for _ in range(len(queue)):
            try:
                events.append(queue.popleft())
            except IndexError:
                break
        self._taken += len(events)
        return events

    def close(self) -> None:
        self._bus.unsubscribe(self)


_Audience = tuple[tuple[tuple[str, Sink], ...], tuple[QueueSubscription, ...]]
#: Number, time, what makes the event of what, and who gets it.
_Held = tuple[int, datetime, Callable[..., Event], tuple[Any, ...], tuple[QueueSubscription, ...]]


class EventBus:
    """``emit`` belongs to the engine's thread; subscribing may be done from any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seq = 0
        self._sinks: tuple[tuple[str, Sink], ...] = ()
        self._market_sinks: tuple[tuple[str, Sink], ...] = ()
        self._subscriptions: tuple[QueueSubscription, ...] = ()
        self._held: list[_Held] | None = None
        self._time = clock.now()  # of the latest event, or of the beginning of holding
        self._changing = threading.Lock()
        self._audiences: dict[type[Event], _Audience] = {}
        self.sink_failures: dict[str, int] = {}

    @property
    def seq(self) -> int:
        """The number of the last event."""
        return self._seq

    def add_sink(self, name: str, sink: Sink, *, market_data: bool = True) -> None:
        """Call ``sink`` inline for every event; without ``market_data`` for all but bars and candles."""
        self._sinks = (*self._sinks, (name, sink))
        if market_data:
            self._market_sinks = (*self._market_sinks, (name, sink))
        self._audiences = {}

    def subscribe(
        self, name: str, capacity: int, kinds: Iterable[type[Event]] | None = None
    ) -> QueueSubscription:
        wanted = frozenset(kinds) if kinds is not None else None
        subscription = QueueSubscription(self, name, capacity, wanted)
        with self._changing:
            self._subscriptions = (*self._subscriptions, subscription)
            self._audiences = {}
        return subscription

    def unsubscribe(self, subscription: QueueSubscription) -> None:
        with self._changing:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)
            self._audiences = {}

    def wants(self, kind: type[Event]) -> bool:
        """Whether anybody listens to ``kind``; market data is not built otherwise."""
        sinks, queues = self._audience(kind)
        return bool(sinks or queues)

    def _audience(self, kind: type[Event]) -> _Audience:
        """Who listens to ``kind``; worked out once, until somebody comes or goes."""
        # A subscription from another thread replaces the whole cache, so what is worked out here from the
        # subscriptions before it lands in the old one.
        audiences = self._audiences
        audience = audiences.get(kind)
        if audience is None:
            sinks = self._market_sinks if kind in MARKET_DATA else self._sinks
            queues = tuple(s for s in self._subscriptions if s.kinds is None or kind in s.kinds)
            audience = audiences[kind] = (sinks, queues)
        return audience

    def count_unheard(self) -> None:
        """An event happened that nobody listens to: it has its number all the same."""
        self._seq += 1

    def hold(self) -> None:
        """Keep what follows from the subscriptions until ``release``; sinks hear it at once all the same.

        Their readers are other threads, and one that wakes up over the first of many events takes the
        processor away from what the others are about.
        """
        if self._held is None:
            self._held = []
            self._time = self._clock.now()

    def release(self) -> None:
        """Hand out what was held, and hold no longer."""
        held, self._held = self._held, None
        for seq, time, make, of, queues in held or ():
            published = Published(seq, time, make(*of))
            for queue in queues:
                queue.put(published)

    def emit_data(self, kind: Callable[..., Event], fields: tuple[Any, ...]) -> None:
        """``emit(kind(*fields))``, made only when it is handed out: there is a lot of market data, and orders
        that are to be sent should not wait for it. ``kind`` is a type of events."""
        sinks, queues = self._audience(cast("type[Event]", kind))
        if sinks or self._held is None:
            self.emit(kind(*fields))
        else:
            self._seq += 1
            self._held.append((self._seq, self._time, kind, fields, queues))

    def emit(self, event: Event) -> None:
        self._seq += 1
        self._time = self._clock.now()
        published = Published(self._seq, self._time, event)
        sinks, queues = self._audience(type(event))
        failures: list[tuple[str, Exception]] = []
        for name, sink in sinks:
            try:
                sink(published)
            except Exception as error:  # noqa: BLE001 - no listener may stop the engine
                failures.append((name, error))
        if self._held is None:
            for queue in queues:
                queue.put(published)
        elif queues:
            self._held.append((self._seq, self._time, _itself, (event,), queues))
        # Only now, so that everybody hears this event before the one about the failure.
        for name, _ in failures:
            self._drop_sink(name)
        for name, cause in failures:
            self.emit(ErrorOccurred("bus", f"listener {name} failed and was dropped: {cause}", None))

    def _drop_sink(self, name: str) -> None:
        self.sink_failures[name] = self.sink_failures.get(name, 0) + 1
        self._sinks = tuple(s for s in self._sinks if s[0] != name)
        self._market_sinks = tuple(s for s in self._market_sinks if s[0] != name)
        self._audiences = {}


def _itself(event: Event) -> Event:
    return event
