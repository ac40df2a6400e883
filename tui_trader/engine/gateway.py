"""The order gateway: journal first, then send; and every request is answered, if only by its time-out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, count
from typing import assert_never

from tui_trader.core.events import ErrorOccurred
from tui_trader.core.orders import Order, OrderState, Role
from tui_trader.engine.bus import Publisher
from tui_trader.engine.clock import Clock
from tui_trader.engine.recorder import JournalUnavailable, Recorder
from tui_trader.engine.timers import Alarm, Timer, Timers
from tui_trader.venues.base import (
    BrokerAdapter,
    BrokerRequest,
    CancelOrder,
    QueryOrder,
    QuerySnapshot,
    ReplaceOrder,
    SubmitOrder,
)


@dataclass(slots=True)
class InFlight:
    """A request whose answer is awaited. ``order`` is the new one of a replace."""

    request: BrokerRequest
    order: Order | None
    timer: Timer | None = None


class OrderGateway:
    """Requests leave in the order in which they were made, after the journal has them.

    ``on_send`` is told of each order that is about to leave for the first time, ``on_deny`` of each that may
    not: while the journal cannot be written no entry is sent, but cancels, stops and exits are.
    ``on_journal_lost`` is called when that begins.
    """

    def __init__(
        self,
        broker: BrokerAdapter,
        recorder: Recorder,
        bus: Publisher,
        clock: Clock,
        timers: Timers,
        request_timeout: timedelta,
    ) -> None:
        self._broker = broker
        self._recorder = recorder
        self._bus = bus
        self._clock = clock
        self._timers = timers
        self._timeout = request_timeout
        self._numbers = count(1)
        self._queue: deque[InFlight] = deque()
        self._in_flight: dict[int, InFlight] = {}
        self.journal_ok = True
        #: The number of the latest request: whatever the broker tells in answer to a later one is newer.
        self.latest = 0
        self.on_send: Callable[[Order, BrokerRequest], None] = lambda order, request: None
        self.on_deny: Callable[[Order, str], None] = lambda order, reason: None
        self.on_journal_lost: Callable[[], None] = lambda: None

    @property
    def queued(self) -> bool:
        """Whether a request waits for ``flush``."""
        return bool(self._queue)

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._queue or self._in_flight)

    def busy_beyond(self, expected: Callable[[Order], bool]) -> bool:
        """Whether an answer is awaited, other than to a question about an order that is ``expected``."""
        return any(
            item.order is None or not isinstance(item.request, QueryOrder) or not expected(item.order)
            for item in chain(self._in_flight.values(), self._queue)
        )

    # ---- requests --------------------------------------------------------------------------------

    def submit(self, order: Order) -> None:
        self._add(SubmitOrder(self._number(), order.spec), order)

    def replace(self, old: Order, new: Order) -> None:
        spec = old.spec
        self._add(ReplaceOrder(self._number(), spec.client_order_id, old.broker_order_id, new.spec), new)

    def cancel(self, order: Order) -> None:
        self._add(CancelOrder(self._number(), order.spec.client_order_id, order.broker_order_id), order)

    def query(self, order: Order) -> None:
        """Ask what became of ``order``, unless a question about it is on its way."""
        if not self._under_way(QueryOrder, order):
            self._add(QueryOrder(self._number(), order.spec.client_order_id), order)

    def placing(self, order: Order) -> bool:
        """Whether a request that places ``order`` is on its way."""
        return self._under_way((SubmitOrder, ReplaceOrder), order)

    def _under_way(self, kind: type | tuple[type, ...], order: Order) -> bool:
        return any(
            item.order is order and isinstance(item.request, kind)
            for item in chain(self._in_flight.values(), self._queue)
        )

    def query_snapshot(self, since: datetime | None = None) -> int:
        """Ask for account, positions and open orders; the number that the answer will bear."""
        number = self._number()
        self._add(QuerySnapshot(number, since), None)
        return number

    def _number(self) -> int:
        self.latest = next(self._numbers)
        return self.latest

    def answered(self, request_id: int) -> InFlight | None:
        """The request that an answer belongs to; None for one that was given up or answered before."""
        item = self._in_flight.pop(request_id, None)
        if item is not None:
            self._timers.cancel(item.timer)
        return item

    def timed_out(self, request_id: int) -> InFlight | None:
        return self._in_flight.pop(request_id, None)

    # ---- sending ---------------------------------------------------------------------------------

    def flush(self) -> None:
        """Make what was decided durable, then send it."""
        while self._queue:
            self.commit()
            # Sending may make new requests only through the inbox, so this batch is complete.
            batch, self._queue = self._queue, deque()
            for item in batch:
                self._send(item)

    def commit(self) -> None:
        """Make everything gathered durable; a journal that fails is said once and tried again."""
        try:
            self._recorder.commit()
        except JournalUnavailable as error:
            if self.journal_ok:
                self.journal_ok = False
                self._bus.emit(ErrorOccurred("journal", f"cannot be written, entries are off: {error}", None))
                self.on_journal_lost()
        else:
            if not self.journal_ok:
                self.journal_ok = True
                self._bus.emit(ErrorOccurred("journal", "can be written again", None))

    def _add(self, request: BrokerRequest, order: Order | None) -> None:
        self._queue.append(InFlight(request, order))

    def _send(self, item: InFlight) -> None:
        request, order = item.request, item.order
        match request:
            case SubmitOrder() | ReplaceOrder():
                if order is None or not order.live:
                    return
                if order.state is OrderState.INTENT:
                    if not self.journal_ok and order.spec.role is Role.ENTRY:
                        self.on_deny(order, "the journal cannot be written")
                        return
                    self.on_send(order, request)
            case CancelOrder() | QueryOrder() | QuerySnapshot():
                pass
            case _:
                assert_never(request)
        item.timer = self._timers.set(
            self._clock.now() + self._timeout, Alarm.REQUEST_TIMEOUT, request.request_id
        )
        self._in_flight[request.request_id] = item
        self._broker.request(request)
