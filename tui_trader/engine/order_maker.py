"""Makes orders, their ids and their cancels; every step is journalled and published here."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from tui_trader.core.decide import EnterLong
from tui_trader.core.events import OrderStateChanged
from tui_trader.core.ids import client_order_id
from tui_trader.core.orders import (
    WORKING,
    ClientOrderId,
    EngineBug,
    Order,
    OrderSpec,
    OrderState,
    OrderType,
    Role,
    Side,
    TimeInForce,
)
from tui_trader.core.risk import RiskManager
from tui_trader.engine.book import ExecutionPolicy, OrderRegistry, SymbolBook
from tui_trader.engine.bus import Publisher
from tui_trader.engine.clock import Clock
from tui_trader.engine.gateway import OrderGateway
from tui_trader.engine.recorder import OrderRecord, Recorder
from tui_trader.engine.timers import Alarm, Timer, Timers
from tui_trader.venues.base import BrokerRequest, ReplaceOrder


class OrderMaker:
    """Knows every order that was made."""

    def __init__(
        self,
        account_id: str,
        risk: RiskManager,
        gateway: OrderGateway,
        recorder: Recorder,
        bus: Publisher,
        clock: Clock,
        timers: Timers,
        policy: ExecutionPolicy,
    ) -> None:
        self._account_id = account_id
        self._risk = risk
        self._gateway = gateway
        self._recorder = recorder
        self._bus = bus
        self._clock = clock
        self._timers = timers
        self._policy = policy
        self.registry = OrderRegistry()
        self.session: date | None = None
        self._follow_ups: dict[ClientOrderId, Timer] = {}
        gateway.on_send = self._sent

    # ---- new orders ------------------------------------------------------------------------------

    def entry(self, book: SymbolBook, order: EnterLong, qty: int) -> Order:
        spec = OrderSpec(
            self.entry_identity(book), book.symbol, Role.ENTRY, Side.BUY, OrderType.STOP_LIMIT, qty,
            order.limit, order.entry,
        )  # fmt: skip
        self._risk.count_entry(book.symbol)
        return self._make(book, spec, order.stop_loss)

    def stop(self, book: SymbolBook, qty: int, price: Decimal) -> Order:
        spec = OrderSpec(
            self._identity(book, book.made.get(Role.STOP, 0), Role.STOP),
            book.symbol, Role.STOP, Side.SELL, OrderType.STOP, qty,
            stop_price=price, time_in_force=TimeInForce.GTC,
        )  # fmt: skip
        return self._make(book, spec)

    def sale(self, book: SymbolBook, qty: int) -> Order:
        spec = OrderSpec(
            self._identity(book, book.made.get(Role.EXIT, 0), Role.EXIT),
            book.symbol, Role.EXIT, Side.SELL, OrderType.MARKET, qty,
        )  # fmt: skip
        return self._make(book, spec)

    def entry_identity(self, book: SymbolBook) -> ClientOrderId:
        """Depends on the signal alone (n = 0): the same signal can never be two orders."""
        return self._identity(book, 0, Role.ENTRY)

    def _identity(self, book: SymbolBook, n: int, role: Role) -> ClientOrderId:
        if self.session is None:
            raise EngineBug(f"{book.symbol}: an order outside any session")
        anchor = book.anchor or self._clock.now()
        attempt = book.refused.get(role, 0) + 1
        return client_order_id(
            self._account_id, book.strategy, book.symbol, self.session, anchor, n, role, attempt
        )

    def _make(self, book: SymbolBook, spec: OrderSpec, planned_stop: Decimal | None = None) -> Order:
        order = Order(spec, book.strategy, self._clock.now(), planned_stop)
        self.registry.add(order)
        book.made[spec.role] = book.made.get(spec.role, 0) + 1
        self._recorder.intent(record_of(order))
        self.announce(order, None)
        return order

    # ---- on their way ----------------------------------------------------------------------------

    def _sent(self, order: Order, request: BrokerRequest) -> None:
        if not isinstance(request, ReplaceOrder):
            self._risk.count_order(self._clock.now())
        order.advance(OrderState.SUBMITTED)
        self.announce(order, OrderState.INTENT)

    def cancel(self, order: Order) -> None:
        """Cancel ``order``; one that is not known to work yet is cancelled once it is."""
        if order.state in WORKING:
            self.recall(order)

    def recall(self, order: Order) -> None:
        """Cancel at the broker, whatever we think of ``order``; not again until that was followed up."""
        if order.cancel_requested:
            return
        order.cancel_requested = True
        self._gateway.cancel(order)
        identity = order.spec.client_order_id
        self._timers.cancel(self._follow_ups.pop(identity, None))
        self._follow_ups[identity] = self._timers.set(
            self._clock.now() + self._policy.follow_up, Alarm.ORDER_FOLLOW_UP, identity
        )

    def ask(self, order: Order) -> None:
        """Ask what became of ``order`` now, unless that was done just before."""
        if order.spec.client_order_id not in self._follow_ups:
            self._gateway.query(order)
            self.ask_later(order)

    def ask_later(self, order: Order) -> None:
        """Ask what became of ``order`` in a moment."""
        identity = order.spec.client_order_id
        if identity not in self._follow_ups:
            self._follow_ups[identity] = self._timers.set(
                self._clock.now() + self._policy.retry_delay, Alarm.ORDER_FOLLOW_UP, identity
            )

    def followed_up(self, identity: ClientOrderId) -> Order | None:
        """The order whose follow-up is due."""
        self._follow_ups.pop(identity, None)
        return self.registry.get(identity)

    def ended(self, order: Order) -> None:
        self._timers.cancel(self._follow_ups.pop(order.spec.client_order_id, None))

    def remember_exit(self, book: SymbolBook) -> None:
        """A position that is being left is left after a crash, too, and for the same reason."""
        if book.exit_reason is not book.exit_saved:
            self._recorder.latch(f"exit {book.symbol}", book.exit_reason)
            book.exit_saved = book.exit_reason

    def announce(self, order: Order, previous: OrderState | None) -> None:
        """Journal and publish the order's state."""
        spec = order.spec
        self._recorder.order(record_of(order), self._clock.now())
        self._bus.emit(
            OrderStateChanged(
                spec.client_order_id, order.broker_order_id, spec.symbol, spec.role, spec.side,
                spec.order_type, spec.qty, order.filled_qty, spec.limit_price, spec.stop_price,
                order.state, previous, order.reason,
            )
        )  # fmt: skip


def record_of(order: Order) -> OrderRecord:
    """``order`` as the journal keeps it."""
    return OrderRecord(
        order.spec, order.strategy, order.created, order.state, order.broker_order_id, order.filled_qty,
        order.planned_stop, order.reason,
    )  # fmt: skip
