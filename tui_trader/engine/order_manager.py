"""Orders and protection: steers every symbol's orders to what is wanted of them.

``OrderManager`` is level-triggered. Every piece of news is first booked, and then ``_steer`` looks at what is
held, what works at the broker and what is wanted, and takes the next step, whatever led there. So a race, a
lost answer and a restart are all the same case: the present state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal

from tui_trader.core.decide import EnterLong
from tui_trader.core.events import ErrorOccurred, OrderStateChanged, StopMoved, TradeReason
from tui_trader.core.ids import client_order_id
from tui_trader.core.orders import (
    WORKING,
    ClientOrderId,
    EngineBug,
    Order,
    OrderReport,
    OrderSpec,
    OrderState,
    OrderType,
    Role,
    Side,
    TimeInForce,
)
from tui_trader.core.portfolio import Portfolio
from tui_trader.core.risk import RiskManager
from tui_trader.engine.book import ExecutionPolicy, OrderRegistry, SymbolBook
from tui_trader.engine.bus import Publisher
from tui_trader.engine.clock import Clock
from tui_trader.engine.gateway import OrderGateway
from tui_trader.engine.recorder import OrderRecord, Recorder
from tui_trader.engine.timers import Alarm, Timer, Timers


class OrderManager:
    """Owns the symbol books. ``positions_changed`` is called after each change of what is held or wanted."""

    def __init__(
        self,
        account_id: str,
        portfolio: Portfolio,
        risk: RiskManager,
        gateway: OrderGateway,
        recorder: Recorder,
        bus: Publisher,
        clock: Clock,
        timers: Timers,
        policy: ExecutionPolicy,
    ) -> None:
        self._account_id = account_id
        self._portfolio = portfolio
        self._risk = risk
        self._gateway = gateway
        self._recorder = recorder
        self._bus = bus
        self._clock = clock
        self._timers = timers
        self.policy = policy
        self.books: dict[str, SymbolBook] = {}
        self.registry = OrderRegistry()
        self.session: date | None = None
        self.rest_failing = False
        self.touched: set[str] = set()  # symbols whose state may look different now
        self._follow_ups: dict[ClientOrderId, Timer] = {}
        self.positions_changed: Callable[[str], None] = lambda symbol: None
        gateway.on_send = self._sent
        gateway.on_deny = self._denied

    # ---- what is wanted --------------------------------------------------------------------------

    def enter(self, symbol: str, order: EnterLong, qty: int) -> Order:
        """Place the entry of a signal that risk approved."""
        book = self.books[symbol]
        if not book.idle or self._portfolio.qty(symbol):
            raise EngineBug(f"{symbol}: an entry beside a position or another order")
        book.protect_at = order.stop_loss
        book.unit_risk = order.entry - order.stop_loss
        book.withdraw_entry = ""
        spec = OrderSpec(
            # The id depends on the signal alone (n = 0): the same signal can never be two orders.
            self._identity(book, 0, Role.ENTRY),
            symbol,
            Role.ENTRY,
            Side.BUY,
            OrderType.STOP_LIMIT,
            qty,
            order.limit,
            order.entry,
        )
        self._risk.count_entry(symbol)
        book.entry = self._create(book, spec, order.stop_loss)
        self._gateway.submit(book.entry)
        return book.entry

    def withdraw_entry(self, symbol: str, reason: str) -> None:
        """Cancel the working entry, if there is one."""
        book = self.books[symbol]
        if book.entry is not None and not book.withdraw_entry:
            book.withdraw_entry = reason
            self._steer(book)

    def withdraw_all_entries(self, reason: str) -> None:
        for symbol in sorted(self.books):
            self.withdraw_entry(symbol, reason)

    def move_stop(self, symbol: str, price: Decimal) -> None:
        """Tighten the protective stop; a looser price is ignored, the latest target wins."""
        book = self.books[symbol]
        if book.protect_at is None or price > book.protect_at:
            book.protect_at = price
            self._steer(book)

    def close(self, symbol: str, reason: TradeReason) -> None:
        """Leave the position at market and cancel its entry; the first reason stays."""
        book = self.books[symbol]
        if book.exit_reason is None and (self._portfolio.qty(symbol) or not book.idle):
            book.exit_reason = reason
            book.exit_blocked_until = None
        if book.entry is not None and not book.withdraw_entry:
            book.withdraw_entry = reason
        self._steer(book)

    def push(self) -> None:
        """Try again at once whatever is waiting for a retry (escalation before the close, shutdown)."""
        for book in self._books():
            book.blocked_until = book.exit_blocked_until = None
            self._steer(book)

    def sent_before(self, symbol: str) -> bool:
        """Whether the present candle's signal has had its order already (before a restart)."""
        identity = self._identity(self.books[symbol], 0, Role.ENTRY)
        return self.registry.get(identity) is not None

    # ---- what is so ------------------------------------------------------------------------------

    def pending_entries(self) -> Iterator[Order]:
        for book in self.books.values():
            if book.entry is not None and book.entry.live:
                yield book.entry

    @property
    def flat(self) -> bool:
        """Whether nothing is held and no order of ours may still fill."""
        return not self._portfolio.positions and all(book.idle for book in self.books.values())

    def unprotected(self) -> Iterator[SymbolBook]:
        """Books that hold shares without a working stop or a working sale for all of them."""
        for book in self._books():
            qty = self._portfolio.qty(book.symbol)
            if qty and not book.protected(qty) and not book.being_sold(qty):
                yield book

    def _books(self) -> list[SymbolBook]:
        return [self.books[symbol] for symbol in sorted(self.books)]

    # ---- news ------------------------------------------------------------------------------------

    def absorb(self, order: Order, report: OrderReport) -> None:
        """Take a broker's word on one of our orders."""
        previous = order.state
        if not order.absorb(report):
            if report.filled_qty > order.filled_qty and not self._gateway.asked_about(order):
                self._gateway.query(order)
            return
        self.announce(order, previous)
        if order.state is OrderState.REPLACED:
            self._promote_replacement(order)
        if report.filled_qty > order.filled_qty and not self._gateway.asked_about(order):
            self._gateway.query(order)  # an execution is missing
        if not order.live:
            self._ended(order)

    def filled(self, order: Order) -> None:
        """An execution of ``order`` was booked in the portfolio."""
        book = self.books[order.spec.symbol]
        if order is book.entry and order.filled_qty < order.spec.qty and not book.entry_is_partial:
            book.entry_is_partial = True
            self._timers.set(self._clock.now() + self.policy.partial_grace, Alarm.PARTIAL_GRACE, book.symbol)
        if not self._portfolio.qty(book.symbol):
            book.protect_at = None if book.entry is None else book.protect_at
            book.exit_reason = None if book.entry is None else book.exit_reason
            book.exit_blocked_until = None

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

    def refuse(self, order: Order, reason: str) -> None:
        """The broker definitely did not take ``order``."""
        previous = order.state
        if order.live:
            order.advance(OrderState.REJECTED, reason)
            self.announce(order, previous)
            self._ended(order)

    def mark_unknown(self, order: Order, reason: str) -> None:
        """The answer to ``order`` was lost."""
        if order.state is OrderState.SUBMITTED:
            order.advance(OrderState.UNKNOWN, reason)
            self.announce(order, OrderState.SUBMITTED)

    def mark_interrupted(self, order: Order) -> None:
        """An intent found after a crash: it may or may not have been sent."""
        order.advance(OrderState.UNKNOWN, "the program ended before it was known to be sent")
        self.announce(order, OrderState.INTENT)

    def steer(self, symbol: str) -> None:
        book = self.books.get(symbol)
        if book is not None:
            self._steer(book)

    def steer_all(self) -> None:
        for book in self._books():
            self._steer(book)

    def hold_back(self, book: SymbolBook) -> None:
        """A request was refused for now: wait a moment before the next."""
        book.blocked_until = self._clock.now() + self.policy.retry_delay
        self._timers.set(book.blocked_until, Alarm.RETRY, book.symbol)

    def exit_refused(self, book: SymbolBook) -> None:
        """The sale was refused: the stop goes back, and the sale is tried again later."""
        book.exit_blocked_until = self._clock.now() + self.policy.exit_retry_delay
        self._timers.set(book.exit_blocked_until, Alarm.RETRY, book.symbol)

    # ---- steering --------------------------------------------------------------------------------

    def _steer(self, book: SymbolBook) -> None:
        """Take the next step for one symbol. Safe to call at any time, any number of times."""
        self.touched.add(book.symbol)
        qty = self._portfolio.qty(book.symbol)
        now = self._clock.now()
        if book.entry is not None and (book.withdraw_entry or book.exit_reason):
            self._cancel(book.entry)
        if qty == 0:
            self._clear_up(book)
        elif book.exit_reason is not None and not self._waiting(book.exit_blocked_until, now):
            self._sell(book, qty, now)
        else:
            self._protect(book, qty, now)
        self._watch(book, qty, now)

    @staticmethod
    def _waiting(until: datetime | None, now: datetime) -> bool:
        return until is not None and now < until

    def _clear_up(self, book: SymbolBook) -> None:
        """Nothing is held: what would sell is cancelled."""
        for order in (book.replacement, book.stop, book.exit):
            if order is not None:
                self._cancel(order)
        if book.idle:
            book.exit_reason = None
            book.protect_at = None
            book.blocked_until = None

    def _sell(self, book: SymbolBook, qty: int, now: datetime) -> None:
        """Stop and entry off, wait until both have ended, then sell what is really held."""
        for order in (book.replacement, book.stop):
            if order is not None:
                self._cancel(order)
        if any(order is not None for order in (book.entry, book.replacement, book.stop, book.exit)):
            return
        if self._waiting(book.blocked_until, now):
            return
        spec = OrderSpec(
            self._identity(book, book.made.get(Role.EXIT, 0), Role.EXIT),
            book.symbol, Role.EXIT, Side.SELL, OrderType.MARKET, qty,
        )  # fmt: skip
        book.exit = self._create(book, spec)
        self._gateway.submit(book.exit)

    def _protect(self, book: SymbolBook, qty: int, now: datetime) -> None:
        """Every share held has a stop; a working entry delays it until the rest is filled or cancelled."""
        if book.protect_at is None or self._waiting(book.blocked_until, now):
            return
        if book.exit is not None:
            self._cancel(book.exit)
            return
        if book.entry is not None or book.replacement is not None:
            return
        if book.stop is None:
            book.stop = self._create(book, self._stop_spec(book, qty, book.protect_at))
            self._gateway.submit(book.stop)
            return
        stop = book.stop
        if stop.state not in WORKING or stop.cancel_requested:
            return
        price = stop.spec.stop_price
        if price is not None and (book.protect_at > price or stop.open_qty != qty):
            spec = self._stop_spec(book, qty, max(book.protect_at, price))
            book.replacement = self._create(book, spec)
            self._gateway.replace(stop, book.replacement)

    def _watch(self, book: SymbolBook, qty: int, now: datetime) -> None:
        """Keep the clock of shares that nothing protects."""
        if qty == 0 or book.protected(qty) or book.being_sold(qty):
            book.unprotected_since = None
            self._timers.cancel(book.deadline)
            book.deadline = None
        elif book.unprotected_since is None:
            book.unprotected_since = now
            book.deadline = self._timers.set(
                now + self.policy.protect_deadline, Alarm.PROTECT_DEADLINE, book.symbol
            )

    def protect_deadline(self, symbol: str) -> None:
        """Shares have been unprotected for too long: sell them, and say so until it is done."""
        book = self.books[symbol]
        book.deadline = None
        since, qty, now = book.unprotected_since, self._portfolio.qty(symbol), self._clock.now()
        if since is None or not qty:
            return
        grace = self.policy.protect_deadline_unclear if self.rest_failing else self.policy.protect_deadline
        if now - since < grace:
            book.deadline = self._timers.set(since + grace, Alarm.PROTECT_DEADLINE, symbol)
            return
        seconds = (now - since).total_seconds()
        self._bus.emit(
            ErrorOccurred("protection", f"{qty} shares without a stop for {seconds:.0f} s: selling", symbol)
        )
        book.exit_reason = book.exit_reason or TradeReason.STOP
        book.blocked_until = book.exit_blocked_until = None
        for order in list(book.live_orders()):
            if not self._gateway.asked_about(order):
                self._gateway.query(order)
        book.deadline = self._timers.set(now + self.policy.protect_deadline, Alarm.PROTECT_DEADLINE, symbol)
        self._steer(book)

    def partial_grace_over(self, symbol: str) -> None:
        """An entry has stayed partly filled: the rest is cancelled, so that the stop can be placed."""
        book = self.books[symbol]
        if book.entry is not None and book.entry_is_partial and not book.withdraw_entry:
            book.withdraw_entry = "partly filled"
            self._steer(book)

    def follow_up(self, identity: str) -> None:
        """A cancel was sent a while ago: if the order still lives, ask what became of it."""
        self._follow_ups.pop(ClientOrderId(identity), None)
        order = self.registry.get(ClientOrderId(identity))
        if order is not None and order.live:
            order.cancel_requested = False
            if not self._gateway.asked_about(order):
                self._gateway.query(order)

    # ---- making orders ---------------------------------------------------------------------------

    def _identity(self, book: SymbolBook, n: int, role: Role) -> ClientOrderId:
        if self.session is None:
            raise EngineBug(f"{book.symbol}: an order outside any session")
        anchor = book.anchor or self._clock.now()
        attempt = book.refused.get(role, 0) + 1
        return client_order_id(
            self._account_id, book.strategy, book.symbol, self.session, anchor, n, role, attempt
        )

    def _stop_spec(self, book: SymbolBook, qty: int, price: Decimal) -> OrderSpec:
        return OrderSpec(
            self._identity(book, book.made.get(Role.STOP, 0), Role.STOP),
            book.symbol, Role.STOP, Side.SELL, OrderType.STOP, qty,
            stop_price=price, time_in_force=TimeInForce.GTC,
        )  # fmt: skip

    def _create(self, book: SymbolBook, spec: OrderSpec, planned_stop: Decimal | None = None) -> Order:
        order = Order(spec, book.strategy, self._clock.now(), planned_stop)
        self.registry.add(order)
        book.made[spec.role] = book.made.get(spec.role, 0) + 1
        self._recorder.intent(record_of(order))
        self.announce(order, None)
        return order

    def _cancel(self, order: Order) -> None:
        if order.cancel_requested or order.state not in WORKING:
            return  # one that is not known to work yet is cancelled once it is
        order.cancel_requested = True
        self._gateway.cancel(order)
        identity = order.spec.client_order_id
        self._follow_ups[identity] = self._timers.set(
            self._clock.now() + self.policy.follow_up, Alarm.ORDER_FOLLOW_UP, identity
        )

    def _sent(self, order: Order) -> None:
        if order.spec.role is not Role.STOP or self._replaces_nothing(order):
            self._risk.count_order(self._clock.now())
        order.advance(OrderState.SUBMITTED)
        self.announce(order, OrderState.INTENT)

    def _replaces_nothing(self, order: Order) -> bool:
        return self.books[order.spec.symbol].replacement is not order

    def _denied(self, order: Order, reason: str) -> None:
        order.advance(OrderState.DENIED, reason)
        self.announce(order, OrderState.INTENT)
        self._ended(order)

    # ---- endings ---------------------------------------------------------------------------------

    def _promote_replacement(self, old: Order) -> None:
        book = self.books[old.spec.symbol]
        new = book.replacement
        if book.stop is not old or new is None:
            return
        book.stop, book.replacement = new, None
        if old.spec.stop_price is not None and new.spec.stop_price is not None:
            if new.spec.stop_price != old.spec.stop_price:
                self._bus.emit(StopMoved(book.symbol, new.spec.stop_price, old.spec.stop_price))
            self.positions_changed(book.symbol)

    def _ended(self, order: Order) -> None:
        self._timers.cancel(self._follow_ups.pop(order.spec.client_order_id, None))
        book = self.books.get(order.spec.symbol)
        if book is not None:
            book.drop(order)
            if book.idle and not self._portfolio.qty(book.symbol) and order.spec.role is Role.ENTRY:
                book.protect_at = None


def record_of(order: Order) -> OrderRecord:
    """``order`` as the journal keeps it."""
    return OrderRecord(
        order.spec, order.strategy, order.created, order.state, order.broker_order_id, order.filled_qty,
        order.planned_stop, order.reason,
    )  # fmt: skip
