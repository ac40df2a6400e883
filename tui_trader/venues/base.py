"""What every venue must be able to do, and the messages that pass between it and the engine.

Nothing here waits. The engine hands over a request and goes on; the answer, whenever it comes and whatever it
is, comes back as a message through the inbox. So a lost answer, a late one and a repeated one are ordinary
values, and the engine that handles them needs no lock and no ``await``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from tui_trader.core.bars import Bar
from tui_trader.core.orders import BrokerOrderId, ClientOrderId, Execution, OrderReport, OrderSpec

if TYPE_CHECKING:  # numpy costs a tenth of a second, and the screen needs nothing here but Mode
    import numpy as np
    from numpy.typing import NDArray


class Mode(StrEnum):
    """Whose money it is."""

    SIM = "sim"
    REPLAY = "replay"
    PAPER = "paper"
    LIVE = "live"


# ---- engine → broker ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SubmitOrder:
    request_id: int
    spec: OrderSpec


@dataclass(frozen=True, slots=True)
class CancelOrder:
    request_id: int
    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId | None


@dataclass(frozen=True, slots=True)
class ReplaceOrder:
    """Put ``spec`` in the place of a working order, atomically: either the old one works or the new one."""

    request_id: int
    client_order_id: ClientOrderId
    broker_order_id: BrokerOrderId | None
    spec: OrderSpec


@dataclass(frozen=True, slots=True)
class QueryOrder:
    """Ask what became of an order, by our own id."""

    request_id: int
    client_order_id: ClientOrderId


@dataclass(frozen=True, slots=True)
class QuerySnapshot:
    """Ask for account, positions, open orders, and executions at or after ``since`` (None: today's)."""

    request_id: int
    since: datetime | None


BrokerRequest = SubmitOrder | CancelOrder | ReplaceOrder | QueryOrder | QuerySnapshot


# ---- broker → engine ---------------------------------------------------------------------------------


class Refusal(StrEnum):
    """Why a broker said no, by what there is to do about it."""

    REJECTED = "rejected"  # final for this order
    DUPLICATE_ID = "duplicate_id"  # an order of that id exists: adopt it
    NOT_WORKING = "not_working"  # cancel or replace of an order that no longer works
    PRICE_THROUGH_STOP = "price_through_stop"  # the stop would trigger at once
    SHARES_HELD = "shares_held"  # other orders hold the shares
    BUYING_POWER = "buying_power"
    RATE_LIMITED = "rate_limited"  # certainly not done: try again later


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A request was carried out. ``report`` is the order's state by then, ``executions`` all its fills."""

    request_id: int
    report: OrderReport | None = None
    executions: tuple[Execution, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    request_id: int
    refusal: Refusal
    message: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """No answer, or one that does not say whether it was done (timeout, reset, 5xx)."""

    request_id: int
    message: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """A query's answer: the broker knows no such order (so far)."""

    request_id: int


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """News from the trade-update stream: an order's state, with the execution when it is a fill."""

    report: OrderReport
    execution: Execution | None = None


@dataclass(frozen=True, slots=True)
class AccountReport:
    """Dollars. ``equity`` is the broker's own figure, None where the engine computes it."""

    cash: Decimal
    buying_power: Decimal
    equity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    symbol: str
    qty: int
    avg_entry_price: Decimal


@dataclass(frozen=True, slots=True)
class BrokerSnapshot:
    request_id: int
    account: AccountReport
    positions: tuple[BrokerPosition, ...]
    orders: tuple[OrderReport, ...]
    executions: tuple[Execution, ...]


BrokerMessage = Acknowledged | Refused | Unclear | NotFound | OrderUpdate | AccountReport | BrokerSnapshot


# ---- data --------------------------------------------------------------------------------------------


class BarBatch(NamedTuple):
    """Bars delivered at one instant, at most a few a symbol, sorted by symbol and then by time."""

    time: datetime
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True, eq=False)
class BarColumns:
    """Minute bars of one symbol as columns of equal length, oldest first.

    ``minute`` int64, minutes since 1970 UTC; prices float64 dollars; ``volume`` int64 shares.
    """

    minute: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.minute)


@dataclass(frozen=True, slots=True)
class History:
    """A symbol's bars before now. ``bars`` is None when they could not be had; ``error`` says why."""

    symbol: str
    bars: BarColumns | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class StreamState:
    stream: Literal["bars", "trade_updates", "rest"]
    state: Literal["connected", "reconnecting", "stale", "disconnected"]
    attempt: int = 0


# ---- what else a venue has to say --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VenueCondition:
    """Something that forbids new entries while it lasts; an empty ``problem`` ends it."""

    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class VenueNotice:
    """Something that people should know. ``component`` says where it comes from."""

    component: str
    message: str
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class TradingHalt:
    """Trading of a symbol is halted for ``reason``; an empty one says that it goes on."""

    symbol: str
    reason: str


VenueNews = VenueCondition | VenueNotice | TradingHalt
DataMessage = BarBatch | History | StreamState
VenueMessage = BrokerMessage | DataMessage | VenueNews
Sink = Callable[[VenueMessage], None]


class BrokerAdapter(Protocol):
    """Where orders go. Thread-affine to the engine; answers go to the sink it was made with."""

    @property
    def account_id(self) -> str: ...

    def request(self, request: BrokerRequest) -> None:
        """Begin carrying out ``request``. Never blocks, never raises for what a broker can answer."""


class DataStream(Protocol):
    """Where bars come from."""

    def subscribe(self, symbols: Sequence[str]) -> None:
        """Begin delivering ``BarBatch`` messages for exactly these symbols."""

    def request_history(self, symbols: Sequence[str], minutes: int) -> None:
        """Ask for at least ``minutes`` regular-session minute bars before now; one ``History`` a symbol."""


class SteppedVenue(Protocol):
    """A venue whose time is ours: a simulated market or a recording, advanced instant by instant."""

    def next_time(self) -> datetime | None:
        """The next instant at which something happens there; None when there is nothing more."""

    def phases(self, time: datetime) -> Iterator[None]:
        """Carry out instant ``time`` in steps; the engine handles what was posted after each of them."""

    def checkpoint(self) -> None:
        """The instant is over: remember where the market stands."""

    def finish(self, *, clean: bool) -> None:
        """The run is over; a ``clean`` one has left nothing behind and need not be gone on with."""
