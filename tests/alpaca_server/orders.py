"""Orders and executions as the exchange keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

ZERO: Final = Decimal(0)


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class Type(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class Status(StrEnum):
    PENDING_NEW = "pending_new"
    ACCEPTED = "accepted"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    REJECTED = "rejected"


OPEN: Final = frozenset(
    {
        Status.PENDING_NEW,
        Status.ACCEPTED,
        Status.NEW,
        Status.PARTIALLY_FILLED,
        Status.PENDING_CANCEL,
        Status.PENDING_REPLACE,
    }
)
#: Those that can fill. An order that waits to be cancelled or replaced still works.
WORKING: Final = OPEN - {Status.PENDING_NEW, Status.ACCEPTED}


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a customer asks for. Exactly one of ``qty`` (shares) and ``notional`` (dollars) is given."""

    symbol: str
    side: Side
    type: Type
    qty: Decimal | None
    client_order_id: str
    time_in_force: str = "day"
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    notional: Decimal | None = None
    extended_hours: bool = False


@dataclass(slots=True, eq=False)
class Order:
    """A ticket and what became of it. All times in nanoseconds since 1970."""

    id: str
    ticket: Ticket
    intent: str
    status: Status
    created: int
    updated: int
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    #: A stop-limit whose stop price was reached rests as a limit order.
    triggered: bool = False
    #: Nothing more fills until it is released.
    stays: bool = False
    replaces: str | None = None
    replaced_by: str | None = None
    ended: dict[Status, int] = field(default_factory=dict)
    #: Fields of the JSON that a test wants otherwise (a foreign bracket, a status yet unknown).
    shape: Mapping[str, object] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def working(self) -> bool:
        return self.status in WORKING

    @property
    def open_qty(self) -> Decimal:
        """Shares that may still fill; 0 when it has ended or is for dollars."""
        if not self.open or self.ticket.qty is None:
            return ZERO
        return self.ticket.qty - self.filled_qty

    @property
    def filled_avg_price(self) -> Decimal | None:
        return self.filled_value / self.filled_qty if self.filled_qty else None


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill. ``cumulative`` and ``leaves`` are the order's shares filled and open after it."""

    id: str
    activity_id: str
    order_id: str
    client_order_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    time: int
    cumulative: Decimal
    leaves: Decimal
    order_status: Status


@dataclass(frozen=True, slots=True)
class News:
    """An event in an order's life. ``position_qty`` is the holding after an execution, signed."""

    event: str
    order: Order
    time: int
    execution: Execution | None = None
    position_qty: Decimal | None = None
