"""What the order manager knows of one symbol, and the orders of the day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from tui_trader.core.events import TradeReason
from tui_trader.core.money import ZERO
from tui_trader.core.orders import WORKING, ClientOrderId, EngineBug, Order, Role
from tui_trader.engine.timers import Timer


@dataclass(frozen=True, slots=True)
class ExecutionPolicy:
    """How long the engine waits for a broker. ``poll`` None: a venue whose updates cannot go missing."""

    request_timeout: timedelta = timedelta(seconds=5)
    partial_grace: timedelta = timedelta(seconds=2)
    entry_wait: timedelta = timedelta(seconds=4)  # how long shares wait for the rest of their entry to end
    protect_deadline: timedelta = timedelta(seconds=5)
    protect_deadline_unclear: timedelta = timedelta(seconds=15)  # while the broker's REST is failing
    retry_delay: timedelta = timedelta(seconds=1)
    exit_retry_delay: timedelta = timedelta(seconds=5)
    longest_delay: timedelta = timedelta(seconds=30)  # delays double while a broker goes on refusing
    follow_up: timedelta = timedelta(seconds=2)
    lost_after: timedelta = timedelta(seconds=30)  # an entry unknown to the broker for so long was lost
    poll: timedelta | None = None
    reconcile: timedelta = timedelta(minutes=5)


#: So many refusals in a row may be a passing disturbance; more are a state of things.
_TOLERATED: Final = 5


@dataclass(slots=True)
class SymbolBook:
    """One symbol's orders and what is wanted of them; ``Steering`` leads the first to the second.

    An order keeps its place until it has ended and all its executions are booked.
    """

    symbol: str
    strategy: str
    entry: Order | None = None
    stop: Order | None = None
    replacement: Order | None = None  # the stop that is to take the place of ``stop``
    exit: Order | None = None
    # -- what is wanted
    protect_at: Decimal | None = None  # where the protective stop belongs
    exit_reason: TradeReason | None = None
    exit_saved: TradeReason | None = None  # what the journal has of it
    withdraw_entry: str = ""  # why the entry is to be cancelled
    # -- what stands in the way
    turned_away: int = 0  # stops and sales refused since one was last taken
    blocked_until: datetime | None = None  # no new order before
    exit_blocked_until: datetime | None = None  # the sale was refused: the stop goes back until then
    unprotected_since: datetime | None = None
    unprotected_before: datetime | None = None  # since when, the last time, before a stop or sale was taken
    deadline: Timer | None = None
    grace_runs: bool = False  # shares are held while their entry still works
    # -- numbering (ids)
    anchor: datetime | None = None  # start of the latest candle
    made: dict[Role, int] = field(default_factory=dict)
    refused: dict[Role, int] = field(default_factory=dict)

    def orders(self) -> Iterator[Order]:
        for order in (self.entry, self.stop, self.replacement, self.exit):
            if order is not None:
                yield order

    @property
    def idle(self) -> bool:
        """Whether no order of ours may still fill, or has filled without our knowing the executions."""
        return next(self.orders(), None) is None

    def drop(self, order: Order) -> None:
        """``order`` has ended."""
        if self.entry is order:
            self.entry, self.withdraw_entry, self.grace_runs = None, "", False
        elif self.stop is order:
            self.stop = None
        elif self.replacement is order:
            self.replacement = None
        elif self.exit is order:
            self.exit = None

    def patience(self, delay: timedelta, policy: ExecutionPolicy) -> timedelta:
        """``delay``, longer and longer when many orders in a row were turned away."""
        doublings = min(max(0, self.turned_away - _TOLERATED), 10)
        return min(delay * (1 << doublings), policy.longest_delay)

    def protected(self, qty: int) -> bool:
        """Whether a stop for at least ``qty`` shares works at the broker."""
        stop = self.stop
        return stop is not None and stop.state in WORKING and stop.open_qty >= qty

    def being_sold(self, qty: int) -> bool:
        """Whether a sale of ``qty`` shares works at the broker."""
        sale = self.exit
        return sale is not None and sale.state in WORKING and sale.open_qty >= qty


class OrderRegistry:
    """Every order of the session by id, oldest first."""

    def __init__(self) -> None:
        self._orders: dict[ClientOrderId, Order] = {}

    def add(self, order: Order) -> None:
        identity = order.spec.client_order_id
        if identity in self._orders:
            raise EngineBug(f"order id {identity} made twice")
        self._orders[identity] = order

    def get(self, identity: ClientOrderId) -> Order | None:
        return self._orders.get(identity)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def live(self) -> Iterable[Order]:
        return [order for order in self._orders.values() if order.live]

    def forget(self, settled: Callable[[Order], bool]) -> None:
        """A new session begins: only orders of which more may be heard are kept in memory."""
        self._orders = {identity: order for identity, order in self._orders.items() if not settled(order)}


def unit_risk(order: Order) -> Decimal:
    """Dollars a share that an entry means to risk: its stop price less its protective stop's."""
    if order.planned_stop is None or order.spec.stop_price is None:
        return ZERO
    return order.spec.stop_price - order.planned_stop
