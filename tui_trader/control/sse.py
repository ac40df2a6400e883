"""Events on their way to viewers: one bounded subscription, a ring of recent events, a queue a viewer.

All of it belongs to the control server's loop. The engine only fills the subscription, which drops what does
not fit; a viewer that cannot keep up loses its connection.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final

from tui_trader.control.limits import Limits
from tui_trader.core.events import EVENT_TYPES, MARKET_DATA, Event, Heartbeat, Published, to_json
from tui_trader.engine.handle import Subscription

HEARTBEAT: Final = b": heartbeat\n\n"
_FRAMES_A_WRITE: Final = 256
_POLL_S: Final = 0.05
_IDLE_POLL_S: Final = 0.2


def event_frame(published: Published) -> bytes:
    """One event as a server-sent event."""
    kind = type(published.event).__name__
    text = f"id: {published.seq}\nevent: {kind}\ndata: {to_json(published)}\n\n"
    return text.encode(errors="replace")


def gap_frame(after: int, following: int) -> bytes:
    """Says that events between ``after`` and ``following`` are lost to this viewer."""
    data = json.dumps({"type": "gap", "after": after, "next": following}, separators=(",", ":"))
    return f"event: gap\ndata: {data}\n\n".encode()


class Viewer:
    """One event stream. ``last`` is the number of the last event queued, None before the first."""

    def __init__(self, last: int | None, capacity: int, abort: Callable[[], None]) -> None:
        self._last = last
        self._capacity = capacity
        self._abort = abort
        self._frames: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._closed = False

    def push(self, seq: int, frame: bytes) -> None:
        """Queue an event, announcing a gap before it; on overflow the connection is cut."""
        if self._closed:
            return
        if len(self._frames) >= self._capacity:
            self._frames.clear()
            self.close()
            self._abort()
            return
        if self._last is not None and seq != self._last + 1:
            self._frames.append(gap_frame(self._last, seq))
        self._last = seq
        self._frames.append(frame)
        self._wake.set()

    def close(self) -> None:
        """Nothing more will be pushed; what is queued may still be taken."""
        self._closed = True
        self._wake.set()

    async def take(self, patience_s: float) -> bytes | None:
        """The next bytes to write, a heartbeat after ``patience_s`` seconds, None at the end."""
        if not self._frames and not self._closed:
            self._wake.clear()
            try:
                async with asyncio.timeout(patience_s):
                    await self._wake.wait()
            except TimeoutError:
                return HEARTBEAT
        if not self._frames:
            return None
        count = min(len(self._frames), _FRAMES_A_WRITE)
        return b"".join(self._frames.popleft() for _ in range(count))


#: What is listened to while nobody views: bars and candles are costly to build at full speed.
_QUIET_KINDS: Final = tuple(kind for kind in EVENT_TYPES if kind not in MARKET_DATA)
_LINGER_S: Final = 60.0


class Relay:
    """Takes events from a subscription, counts them, keeps the latest and hands them to viewers.

    ``subscribe`` makes a subscription to the given kinds of events, or (None) to all. Market data is listened
    to from the first viewer on, and for a minute after the last, so that one who reconnects misses nothing.
    """

    def __init__(
        self, subscribe: Callable[[Sequence[type[Event]] | None], Subscription], limits: Limits
    ) -> None:
        self._subscribe = subscribe
        self._subscription = subscribe(_QUIET_KINDS)
        self._whole = False
        self._quiet_at: float | None = None  # loop time at which market data is given up
        self._last_seq = 0
        self._lost = 0  # by subscriptions that are closed
        self._limits = limits
        self._kept: deque[Published] = deque(maxlen=limits.kept_events)
        self._viewers: set[Viewer] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False
        self.counts: Counter[type[Event]] = Counter()
        self.heartbeat: Heartbeat | None = None

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    @property
    def dropped(self) -> int:
        """Events lost because this relay was too slow for the engine."""
        return self._lost + self._subscription.dropped

    def _listen_to(self, whole: bool) -> None:
        """Change what is listened to, without losing or repeating an event of either kind."""
        if whole == self._whole:
            return
        following = self._subscribe(None if whole else _QUIET_KINDS)
        self.pump()
        self._subscription.close()
        self.pump()
        self._lost += self._subscription.dropped
        self._subscription, self._whole = following, whole

    async def run(self) -> None:
        """Relay until cancelled."""
        while True:
            self.pump()
            if self._quiet_at is not None and asyncio.get_running_loop().time() >= self._quiet_at:
                self._quiet_at = None
                self._listen_to(whole=False)
            await asyncio.sleep(_POLL_S if self._viewers else _IDLE_POLL_S)

    def pump(self) -> None:
        """Relay what has arrived."""
        # Two subscriptions overlap for a moment when what is listened to changes.
        batch = [published for published in self._subscription.drain() if published.seq > self._last_seq]
        if not batch:
            return
        self._last_seq = batch[-1].seq
        self._kept.extend(batch)
        self.counts.update(type(published.event) for published in batch)
        for published in reversed(batch):
            if isinstance(published.event, Heartbeat):
                self.heartbeat = published.event
                break
        if self._viewers:
            frames = [(published.seq, event_frame(published)) for published in batch]
            for viewer in self._viewers:
                for seq, frame in frames:
                    viewer.push(seq, frame)

    def attach(self, after: int | None, abort: Callable[[], None]) -> Viewer | None:
        """A new viewer, from event ``after`` on or (None) from now on; None when there are too many.

        ``abort`` cuts the viewer's connection.
        """
        if self._closed or len(self._viewers) >= self._limits.viewers:
            return None
        self._listen_to(whole=True)
        self._quiet_at = None
        self.pump()
        viewer = Viewer(after, self._limits.viewer_events, abort)
        if after is not None:
            for published in self._kept:
                if published.seq > after:
                    viewer.push(published.seq, event_frame(published))
        self._viewers.add(viewer)
        self._empty.clear()
        return viewer

    def detach(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)
        if not self._viewers:
            self._empty.set()
            self._quiet_at = asyncio.get_running_loop().time() + _LINGER_S

    async def finish(self, patience_s: float) -> None:
        """Hand out the last events and wait, at most ``patience_s`` seconds, until viewers have them."""
        self._closed = True
        self.pump()
        self._subscription.close()
        for viewer in self._viewers:
            viewer.close()
        try:
            async with asyncio.timeout(patience_s):
                await self._empty.wait()
        except TimeoutError:
            pass
