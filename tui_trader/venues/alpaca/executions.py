"""Which shares of which order have been told to the engine, and as which execution.

The trade stream and the list of fills know an execution by different ids, and either may miss one. What both
tell is how many shares of the order were filled after it. So an execution is the interval of shares that it
filled, ``(before, after]``, and its id is the order's id with ``after``: the same from whichever source, and
after a restart. Shares that were told once stay as they were told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from tui_trader.core.money import SUB_PENNY, ZERO
from tui_trader.core.orders import BrokerOrderId, ClientOrderId, Execution, ExecutionId
from tui_trader.venues.alpaca.orders import AlpacaOrder, decimal_of, shares_of, text_of, time_of

#: How long shares that an order says it filled may lack their execution, before one is made up for them.
_PATIENCE: Final = timedelta(seconds=3)
#: How long an execution is repeated. The engine knows those of this session and the one before; what it hears
#: of an older one it would book again.
_REPEATED_FOR: Final = timedelta(hours=20)
#: What ended so long ago is asked about no more.
_KEPT_FOR: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Fill:
    """Shares ``(before, after]`` of an order, filled at ``price`` dollars each."""

    order_id: BrokerOrderId
    before: int
    after: int
    price: Decimal
    time: datetime


def fill_of(data: Mapping[str, Any], order_id: str, cumulative: object, time: datetime | None) -> Fill | None:
    """A fill from an event or an activity; None when it cannot be read or fills no whole share."""
    price, qty, after = decimal_of(data.get("price")), decimal_of(data.get("qty")), decimal_of(cumulative)
    if not order_id or price is None or price <= 0 or qty is None or after is None or time is None:
        return None
    first, last = shares_of(str(after - qty)), shares_of(str(after))
    if first is None or last is None or not 0 <= first < last:
        return None
    return Fill(BrokerOrderId(order_id), first, last, price, time)


def fill_of_activity(data: Mapping[str, Any]) -> Fill | None:
    """A row of GET /account/activities/FILL."""
    return fill_of(
        data, text_of(data, "order_id"), data.get("cum_qty"), time_of(data.get("transaction_time"))
    )


@dataclass(slots=True)
class _Told:
    """An execution as it was first told, and when that was."""

    before: int
    after: int
    execution: Execution
    first: datetime


@dataclass(slots=True)
class _Entry:
    """What is known of one order."""

    order: AlpacaOrder
    seen: datetime
    told: list[_Told] = field(default_factory=list)  # in the order of their shares
    owing_since: datetime | None = None

    def missing(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of ``(start, end]`` that were not told."""
        for told in self.told:
            if told.before >= end:
                break
            if told.before > start:
                yield start, told.before
            start = max(start, told.after)
        if start < end:
            yield start, end

    @property
    def owing(self) -> bool:
        return any(self.missing(0, self.order.filled))


class ExecutionLedger:
    """May be used from any thread. ``now`` is the engine's time."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._entries: dict[BrokerOrderId, _Entry] = {}

    # ---- what is heard ---------------------------------------------------------------------------

    def see(self, order: AlpacaOrder) -> None:
        """An order has been described: whose it is, and how much of it is filled."""
        with self._lock:
            now = self._now()
            entry = self._entries.get(order.order_id)
            if entry is None:
                entry = self._entries[order.order_id] = _Entry(order, now)
            elif order.filled > entry.order.filled or (
                order.filled == entry.order.filled and not order.works
            ):
                entry.order = order  # later news, or as good as it; a late description takes nothing back
            entry.seen = now
            self._watch(entry)

    def tell(self, fill: Fill) -> tuple[Execution, ...]:
        """The executions by which ``fill`` is told: new ones for shares not told yet, else the old one.

        Empty when the order is not known, or its shares were told otherwise.
        """
        with self._lock:
            entry = self._entries.get(fill.order_id)
            if entry is None:
                return ()
            gaps = list(entry.missing(fill.before, fill.after))
            new = tuple(self._add(entry, gap, fill.price, fill.time) for gap in gaps)
            self._watch(entry)
            return new or tuple(t.execution for t in entry.told if t.after == fill.after)

    def make_up(self, order_id: BrokerOrderId) -> None:
        """Tell shares that have lacked their execution for too long by the order's average price."""
        with self._lock:
            entry = self._entries.get(order_id)
            if entry is None or entry.owing_since is None or self._now() - entry.owing_since < _PATIENCE:
                return
            if entry.order.replaces is not None and self._filled_before(entry.order.replaces):
                # Whether its filled shares include those of the order it replaced, nobody says.
                return
            price = _price_of_the_rest(entry)
            if price is None:
                return
            time = entry.order.changed or self._now()
            for gap in list(entry.missing(0, entry.order.filled)):
                self._add(entry, gap, price, time)
            self._watch(entry)

    def _filled_before(self, order_id: BrokerOrderId) -> bool:
        entry = self._entries.get(order_id)
        return entry is None or entry.order.filled > 0

    def _add(self, entry: _Entry, gap: tuple[int, int], price: Decimal, time: datetime) -> Execution:
        before, after = gap
        order = entry.order
        execution = Execution(
            ExecutionId(f"{order.order_id}@{after}"), order.client_order_id, order.symbol, order.side,
            after - before, price, time,
        )  # fmt: skip
        entry.told.append(_Told(before, after, execution, self._now()))
        entry.told.sort(key=lambda told: told.after)
        return execution

    def _watch(self, entry: _Entry) -> None:
        if not entry.owing:
            entry.owing_since = None
        elif entry.owing_since is None:
            entry.owing_since = self._now()

    # ---- what is known ---------------------------------------------------------------------------

    def client_id(self, order_id: BrokerOrderId | None) -> ClientOrderId | None:
        """Our own id of an order; None when it has not been described."""
        with self._lock:
            entry = self._entries.get(order_id) if order_id is not None else None
            return None if entry is None else entry.order.client_order_id

    def owing(self, order_id: BrokerOrderId) -> bool:
        """Whether an order has filled shares whose executions are not known."""
        with self._lock:
            entry = self._entries.get(order_id)
            return entry is not None and entry.owing

    def of(self, order_id: BrokerOrderId) -> tuple[Execution, ...]:
        """All executions of an order that the engine may not have booked yet."""
        with self._lock:
            entry = self._entries.get(order_id)
            return () if entry is None else tuple(self._repeated(entry))

    def since(self, time: datetime) -> tuple[Execution, ...]:
        """Executions at or after ``time``, oldest first."""
        with self._lock:
            found = [e for entry in self._entries.values() for e in self._repeated(entry) if e.time >= time]
        return tuple(sorted(found, key=lambda e: (e.time, e.execution_id)))

    def _repeated(self, entry: _Entry) -> Iterator[Execution]:
        now = self._now()
        return (told.execution for told in entry.told if now - told.first <= _REPEATED_FOR)

    def forget_old(self) -> None:
        """Drop what ended long ago."""
        with self._lock:
            now = self._now()
            old = [
                order_id
                for order_id, entry in self._entries.items()
                if not entry.order.works and not entry.owing and now - entry.seen > _KEPT_FOR
            ]
            for order_id in old:
                del self._entries[order_id]


def _price_of_the_rest(entry: _Entry) -> Decimal | None:
    """What the shares that were not told must have cost each, so that the order's average comes out right."""
    average, filled = entry.order.average, entry.order.filled
    if average is None or average <= 0:
        return None
    missing = sum(end - start for start, end in entry.missing(0, filled))
    paid = sum(
        (max(0, min(told.after, filled) - told.before) * told.execution.price for told in entry.told),
        ZERO,
    )
    rest = ((average * filled - paid) / missing).quantize(SUB_PENNY, ROUND_HALF_EVEN)
    return rest if rest > 0 else average
