"""The life of an order: everything that changes an order's state lives here.

The table below is the whole life-cycle. A transition that is not in it raises ``EngineBug`` when it is our
doing and ``BrokerProtocolError`` when a broker's report demands it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple, NewType

ClientOrderId = NewType("ClientOrderId", str)
BrokerOrderId = NewType("BrokerOrderId", str)
ExecutionId = NewType("ExecutionId", str)


class EngineBug(Exception):  # noqa: N818 - named for whose fault it is, as h11 does
    """We did something our own rules forbid."""


class BrokerProtocolError(Exception):
    """A broker reported something that cannot follow from what it reported before."""


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class Role(StrEnum):
    """What an order is for. EXTERNAL orders were not placed by this engine: seen, shown, left alone."""

    ENTRY = "ENTRY"
    STOP = "STOP"
    EXIT = "EXIT"
    EXTERNAL = "EXTERNAL"


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"


class OrderState(StrEnum):
    INTENT = "INTENT"  # durable in the journal, not yet sent
    DENIED = "DENIED"  # refused by us before sending
    SUBMITTED = "SUBMITTED"  # sent, no answer yet
    UNKNOWN = "UNKNOWN"  # the answer was lost: only the broker knows
    ACCEPTED = "ACCEPTED"  # working at the broker
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"  # refused by the broker
    REPLACED = "REPLACED"  # another order took its place


_S = OrderState
_WORKING_NEXT: Final = frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REPLACED})

TRANSITIONS: Final[dict[OrderState, frozenset[OrderState]]] = {
    _S.INTENT: frozenset({_S.SUBMITTED, _S.UNKNOWN, _S.DENIED}),
    _S.SUBMITTED: _WORKING_NEXT | {_S.ACCEPTED, _S.REJECTED, _S.UNKNOWN},
    _S.UNKNOWN: _WORKING_NEXT | {_S.ACCEPTED, _S.REJECTED},
    # A broker may accept first and reject later (an exchange's answer comes after the broker's).
    _S.ACCEPTED: _WORKING_NEXT | {_S.REJECTED},
    _S.PARTIALLY_FILLED: _WORKING_NEXT,
    _S.DENIED: frozenset(),
    _S.FILLED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.REPLACED: frozenset(),
}

TERMINAL: Final = frozenset(state for state, following in TRANSITIONS.items() if not following)
WORKING: Final = frozenset({_S.ACCEPTED, _S.PARTIALLY_FILLED})

# How far along a state is; news that would go back in life is late news and changes nothing.
_RANK: Final = {
    _S.INTENT: 0,
    _S.SUBMITTED: 1,
    _S.UNKNOWN: 1,
    _S.ACCEPTED: 2,
    _S.PARTIALLY_FILLED: 3,
    **dict.fromkeys(TERMINAL, 4),
}


@dataclass(frozen=True, slots=True)
class OrderSpec:
    """What is asked of a broker. Prices are dollars on the tick grid, ``qty`` whole shares."""

    client_order_id: ClientOrderId
    symbol: str
    role: Role
    side: Side
    order_type: OrderType
    qty: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY


@dataclass(frozen=True, slots=True)
class OrderReport:
    """A broker's word on one order at one moment."""

    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId
    symbol: str
    side: Side
    order_type: OrderType
    qty: int
    filled_qty: int
    state: OrderState
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reason: str = ""
    replaced_by: ClientOrderId | None = None


class Execution(NamedTuple):
    """One fill. ``time`` is the broker's time of it; on simulated venues the stamp of the bar."""

    execution_id: ExecutionId
    client_order_id: ClientOrderId
    symbol: str
    side: Side
    qty: int
    price: Decimal
    time: datetime


class Order:
    """One order as we know it. Only ``advance``, ``absorb`` and ``count_fill`` change it."""

    __slots__ = (
        "broker_order_id",
        "cancel_requested",
        "created",
        "filled_qty",
        "planned_stop",
        "reason",
        "spec",
        "state",
        "strategy",
    )

    def __init__(
        self, spec: OrderSpec, strategy: str, created: datetime, planned_stop: Decimal | None = None
    ):
        self.spec = spec
        self.strategy = strategy
        self.created = created
        self.planned_stop = planned_stop  # an entry's protective stop price
        self.state = OrderState.INTENT
        self.broker_order_id: BrokerOrderId | None = None
        self.filled_qty = 0  # sum of the executions booked, never more than spec.qty
        self.reason = ""
        self.cancel_requested = False

    @property
    def live(self) -> bool:
        """Whether the order may still fill, as far as we know."""
        return self.state not in TERMINAL

    @property
    def open_qty(self) -> int:
        return self.spec.qty - self.filled_qty if self.live else 0

    def advance(self, state: OrderState, reason: str = "") -> None:
        """Our own transition; raises ``EngineBug`` when the table has no such step."""
        if state not in TRANSITIONS[self.state]:
            raise EngineBug(f"{self.spec.client_order_id}: {self.state} → {state} is not in the table")
        self.state = state
        self.reason = reason

    def absorb(self, report: OrderReport) -> bool:
        """Take a broker's report; true when the state changed. Late and repeated news change nothing.

        Raises ``BrokerProtocolError`` when the report contradicts what the order is.
        """
        if report.symbol != self.spec.symbol or report.side != self.spec.side:
            raise BrokerProtocolError(
                f"{self.spec.client_order_id}: reported as {report.side} {report.symbol}"
            )
        self.broker_order_id = report.broker_order_id or self.broker_order_id
        if _RANK[report.state] <= _RANK[self.state]:
            return False
        if report.state not in TRANSITIONS[self.state]:
            raise BrokerProtocolError(f"{self.spec.client_order_id}: {self.state} → {report.state} reported")
        self.state = report.state
        self.reason = report.reason
        return True

    def count_fill(self, qty: int) -> None:
        """Book ``qty`` more filled shares; raises ``BrokerProtocolError`` beyond the order's size."""
        if qty <= 0 or self.filled_qty + qty > self.spec.qty:
            raise BrokerProtocolError(
                f"{self.spec.client_order_id}: fill of {qty} on {self.filled_qty}/{self.spec.qty}"
            )
        self.filled_qty += qty
