"""A simulated broker that fails the way real ones do, at times that are virtual and so repeatable.

``FaultyBroker`` stands between the engine and a ``SimulatedExchange``: requests and answers pass through it,
late, twice, in another order or not at all. What happens to each is decided by ``Faults``: a script that a
test writes, or a seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Final, Literal, NamedTuple, Protocol

from tui_trader.core.orders import ClientOrderId, OrderReport, Role
from tui_trader.venues.base import (
    Acknowledged,
    BrokerRequest,
    BrokerSnapshot,
    CancelOrder,
    NotFound,
    OrderUpdate,
    QueryOrder,
    QuerySnapshot,
    Refusal,
    Refused,
    ReplaceOrder,
    Sink,
    StreamState,
    SubmitOrder,
    Unclear,
    VenueMessage,
)
from tui_trader.venues.exchange.venue import SimulatedExchange

AT_ONCE: Final = timedelta(0)
#: What the engine gets to hear: the answer, nothing at all, or that nobody knows (a reset, a 5xx).
Heard = Literal["answer", "nothing", "unclear"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one request.

    It reaches the broker after ``out`` (unless not ``arrives``), its answer is back ``back`` later. With a
    ``refusal`` it is turned away and never reaches the broker. A ``stuck`` cancel is acknowledged but carried
    out only so much later.
    """

    out: timedelta = AT_ONCE
    back: timedelta = AT_ONCE
    arrives: bool = True
    heard: Heard = "answer"
    refusal: Refusal | None = None
    stuck: timedelta = AT_ONCE


FINE: Final = Fate()
LOST_REQUEST: Final = Fate(arrives=False, heard="nothing")
LOST_ANSWER: Final = Fate(heard="nothing")
SERVER_ERROR: Final = Fate(arrives=False, heard="unclear")

#: When a piece of news is told, each after such a delay: never, once or several times.
Tellings = tuple[timedelta, ...]
ONCE: Final[Tellings] = (AT_ONCE,)
NEVER: Final[Tellings] = ()


class Faults(Protocol):
    """Decides what happens to each request and to each piece of news."""

    def fate(self, request: BrokerRequest) -> Fate: ...

    def tellings(self, update: OrderUpdate) -> Tellings: ...


class NoFaults:
    """Everything arrives, ``latency`` late each way."""

    def __init__(self, latency: timedelta = AT_ONCE) -> None:
        self._fate = Fate(latency, latency)
        self._tellings = (latency,)

    def fate(self, request: BrokerRequest) -> Fate:
        return self._fate

    def tellings(self, update: OrderUpdate) -> Tellings:
        return self._tellings


RequestKind = (
    type[SubmitOrder] | type[CancelOrder] | type[ReplaceOrder] | type[QueryOrder] | type[QuerySnapshot]
)


@dataclass(slots=True)
class _Line:
    """The next ``left`` requests of a kind (news when None), of a role if one is named."""

    kind: RequestKind | None
    role: Role | None
    fate: Fate
    tellings: Tellings
    left: int


@dataclass(slots=True)
class Script:
    """Faults one by one, as a test writes them; whatever is not in it goes as ``otherwise`` has it."""

    otherwise: Faults = field(default_factory=NoFaults)
    _lines: list[_Line] = field(default_factory=list)

    def on(self, kind: RequestKind, fate: Fate, role: Role | None = None, times: int = 1) -> None:
        """The next ``times`` requests of ``kind`` about an order of ``role`` meet ``fate``."""
        self._lines.append(_Line(kind, role, fate, ONCE, times))

    def on_news(self, tellings: Tellings, role: Role | None = None, times: int = 1) -> None:
        """The next ``times`` updates about an order of ``role`` are told so."""
        self._lines.append(_Line(None, role, FINE, tellings, times))

    def clear(self) -> None:
        """From now on nothing fails."""
        self._lines.clear()

    def fate(self, request: BrokerRequest) -> Fate:
        line = self._take(type(request), role_of(_identity(request)))
        return line.fate if line is not None else self.otherwise.fate(request)

    def tellings(self, update: OrderUpdate) -> Tellings:
        line = self._take(None, role_of(update.report.client_order_id))
        return line.tellings if line is not None else self.otherwise.tellings(update)

    def _take(self, kind: RequestKind | None, role: Role) -> _Line | None:
        for line in self._lines:
            if line.kind is kind and line.role in (None, role) and line.left:
                line.left -= 1
                return line
        return None


class RandomFaults:
    """Each request and each piece of news fails with probability ``rate``, in a way drawn from a seed."""

    def __init__(self, seed: int, rate: float, latency: timedelta) -> None:
        self._random = random.Random(seed)
        self._rate = rate
        self._latency = latency

    def _delay(self, most: float = 1.0) -> timedelta:
        # Whole milliseconds: times that print and compare without surprises.
        return self._latency + timedelta(milliseconds=self._random.randrange(int(1000 * most) + 1))

    def fate(self, request: BrokerRequest) -> Fate:
        out, back = self._latency, self._latency
        if self._random.random() >= self._rate:
            return Fate(out, back)
        fates = [
            Fate(self._delay(), self._delay()),
            Fate(out, back, arrives=False, heard="nothing"),
            Fate(out, back, arrives=False, heard="unclear"),
            Fate(out, back, heard="nothing"),
            Fate(self._delay(4.0), back, heard="unclear"),
            Fate(out, back, refusal=Refusal.RATE_LIMITED),
        ]
        match request:
            case CancelOrder():
                fates.append(Fate(out, back, stuck=self._delay(4.0)))
            case SubmitOrder(spec=spec) | ReplaceOrder(spec=spec):
                refusals = _REFUSALS.get(spec.role, ())
                fates.extend(Fate(out, back, refusal=refusal) for refusal in refusals)
            case _:
                pass
        return self._random.choice(fates)

    def tellings(self, update: OrderUpdate) -> Tellings:
        if self._random.random() >= self._rate:
            return (self._latency,)
        return self._random.choice([NEVER, (self._delay(3.0),), (self._latency, self._delay(3.0))])


_REFUSALS: Final = {
    Role.ENTRY: (Refusal.REJECTED, Refusal.BUYING_POWER),
    Role.STOP: (Refusal.REJECTED, Refusal.PRICE_THROUGH_STOP, Refusal.SHARES_HELD),
    Role.EXIT: (Refusal.REJECTED, Refusal.SHARES_HELD),
}
_ROLES: Final = {"E": Role.ENTRY, "S": Role.STOP, "X": Role.EXIT}


def role_of(identity: str) -> Role:
    """An order's role by its id (the letter before the attempt)."""
    return _ROLES.get(identity.rpartition("-")[2][:1], Role.EXTERNAL)


def _identity(request: BrokerRequest) -> str:
    match request:
        case SubmitOrder() | ReplaceOrder():
            return request.spec.client_order_id
        case CancelOrder() | QueryOrder():
            return request.client_order_id
        case _:
            return ""


class _Due(NamedTuple):
    time: datetime
    number: int
    action: Callable[[], None]


class FaultyBroker:
    """Adapter and stepped venue: make the exchange with ``hear`` as its sink, then attach it.

    Like a real trade-update stream, and unlike the bare simulation, it also tells of orders accepted and
    cancelled, not only of fills.
    """

    def __init__(self, sink: Sink, now: Callable[[], datetime], faults: Faults) -> None:
        self._sink = sink
        self._now = now
        self.faults = faults
        self._due: list[_Due] = []
        self._numbers = count()
        self._caught: list[VenueMessage] | None = None
        self._life = 0  # which engine is listening
        self.connected = True
        #: When something last went otherwise than it should.
        self.last_fault: datetime | None = None

    def attach(self, exchange: SimulatedExchange) -> None:
        self.exchange = exchange
        self._broker = exchange.sim_broker

    @property
    def account_id(self) -> str:
        return self._broker.account_id

    # ---- requests --------------------------------------------------------------------------------

    def request(self, request: BrokerRequest) -> None:
        fate = self.faults.fate(request)
        if not fate.arrives or fate.heard != "answer" or fate.refusal is not None or fate.stuck:
            self.last_fault = self._now()
        number, life = request.request_id, self._life
        if fate.refusal is not None:
            refused = Refused(number, fate.refusal, f"{fate.refusal} (injected)")
            self._answer(refused, fate.out + fate.back)
            return
        if fate.heard == "unclear":
            self._answer(Unclear(number, "HTTP 503 (injected)"), fate.back)
        if fate.stuck and isinstance(request, CancelOrder):
            self._later(fate.out, lambda: self._pretend(request, fate, life))
        elif fate.arrives:
            self._later(fate.out, lambda: self._carry_out(request, fate, life))

    def _carry_out(self, request: BrokerRequest, fate: Fate, life: int) -> None:
        caught: list[VenueMessage] = []
        self._caught = caught
        self._broker.request(request)
        self._caught = None
        for message in caught:
            if isinstance(message, OrderUpdate):
                self._tell(message)
                continue
            if isinstance(message, Acknowledged) and message.report and not isinstance(request, QueryOrder):
                self._tell(OrderUpdate(message.report))
            if fate.heard == "answer" and life == self._life:
                self._answer(message, fate.back)

    def _answer(self, message: VenueMessage, back: timedelta) -> None:
        life = self._life
        self._later(back, lambda: self._sink(message) if life == self._life else None)

    def _pretend(self, request: CancelOrder, fate: Fate, life: int) -> None:
        """Say that the cancel was taken while the order goes on working."""
        report = self._report(request.client_order_id)
        if report is None:
            self._carry_out(request, fate, life)
            return
        if life == self._life:
            self._answer(Acknowledged(request.request_id, report), fate.back)
        self._later(fate.stuck, lambda: self._carry_out(request, LOST_ANSWER, life))

    def _report(self, identity: ClientOrderId) -> OrderReport | None:
        orders = self._broker.snapshot(0).orders
        return next((report for report in orders if report.client_order_id == identity), None)

    def by_hand(self, request: BrokerRequest) -> None:
        """Somebody else uses the account: the engine is told by news alone."""
        self._carry_out(request, LOST_ANSWER, self._life)

    # ---- news ------------------------------------------------------------------------------------

    def hear(self, message: VenueMessage) -> None:
        """The exchange speaks."""
        if self._caught is not None and isinstance(message, _FROM_BROKER):
            self._caught.append(message)
        elif isinstance(message, OrderUpdate):
            self._tell(message)
        else:
            self._sink(message)

    def _tell(self, update: OrderUpdate) -> None:
        if not self.connected:
            return
        tellings = self.faults.tellings(update)
        if len(tellings) != 1:
            self.last_fault = self._now()
        for delay in tellings:
            self._answer(update, delay)

    def disconnect(self) -> None:
        """The stream of updates breaks: what happens meanwhile is told to nobody."""
        self.connected = False
        self.last_fault = self._now()
        self._sink(StreamState("trade_updates", "reconnecting", 1))

    def reconnect(self) -> None:
        self.connected = True
        self._sink(StreamState("trade_updates", "connected"))

    def engine_died(self) -> None:
        """Requests that were under way still arrive; answers and news that were are heard by nobody."""
        self._life += 1
        self.last_fault = self._now()

    # ---- time ------------------------------------------------------------------------------------

    def _later(self, delay: timedelta, action: Callable[[], None]) -> None:
        if delay:
            heapq.heappush(self._due, _Due(self._now() + delay, next(self._numbers), action))
        else:
            action()

    def next_time(self) -> datetime | None:
        mine = self._due[0].time if self._due else None
        theirs = self.exchange.next_time()
        if mine is None or theirs is None:
            return mine or theirs
        return min(mine, theirs)

    def phases(self, time: datetime) -> Iterator[None]:
        if self._run_due(time):
            yield
        if self.exchange.next_time() == time:
            yield from self.exchange.phases(time)

    def _run_due(self, time: datetime) -> bool:
        ran = False
        while self._due and self._due[0].time <= time:
            heapq.heappop(self._due).action()
            ran = True
        return ran

    def checkpoint(self) -> None:
        self.exchange.checkpoint()

    def finish(self, *, clean: bool) -> None:
        self.exchange.finish(clean=clean)


_FROM_BROKER: Final = (Acknowledged, Refused, NotFound, BrokerSnapshot, OrderUpdate)
