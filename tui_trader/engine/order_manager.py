"""Orders and protection: what is wanted of every symbol's orders, and what is so.

Every piece of news is first booked here, and then ``Steering`` takes the next step from the state that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Final

from tui_trader.core.decide import EnterLong
from tui_trader.core.events import ErrorOccurred, StopMoved, TradeReason
from tui_trader.core.orders import (
    WORKING,
    ClientOrderId,
    EngineBug,
    Order,
    OrderReport,
    OrderState,
    Role,
    Side,
)
from tui_trader.core.portfolio import Portfolio
from tui_trader.core.risk import RiskManager
from tui_trader.engine.book import ExecutionPolicy, OrderRegistry, SymbolBook
from tui_trader.engine.bus import Publisher
from tui_trader.engine.clock import Clock
from tui_trader.engine.gateway import OrderGateway
from tui_trader.engine.order_maker import OrderMaker
from tui_trader.engine.recorder import Recorder
from tui_trader.engine.steering import Steering
from tui_trader.engine.timers import Alarm, Timers

#: Why an order is given up: an end that we have concluded without the broker's word.
NEVER_RECEIVED: Final = "the broker never received it"
NO_LONGER_KNOWN: Final = "the broker no longer knows it"


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
        self._portfolio = portfolio
        self._gateway = gateway
        self._bus = bus
        self._clock = clock
        self._timers = timers
        self.policy = policy
        self.books: dict[str, SymbolBook] = {}
        self.maker = OrderMaker(account_id, risk, gateway, recorder, bus, clock, timers, policy)
        self._steering = Steering(portfolio, self.maker, gateway, bus, clock, timers, policy)
        self._told: dict[ClientOrderId, int] = {}  # filled shares the broker has told of, executions or not
        self.presumed: dict[ClientOrderId, Order] = {}  # orders whose end we concluded without its word
        self.positions_changed: Callable[[str], None] = lambda symbol: None
        gateway.on_deny = self._denied
        gateway.on_journal_lost = lambda: self.withdraw_all_entries("the journal cannot be written")

    @property
    def registry(self) -> OrderRegistry:
        return self.maker.registry

    @property
    def touched(self) -> set[str]:
        """Symbols whose state may look different now."""
        return self._steering.touched

    def start_session(self, day: date) -> None:
        """Orders made from now on belong to the session of ``day``."""
        self.maker.session = day

    def forget_ended(self) -> None:
        """A new session has opened: what ended before it is kept by the journal alone."""
        self.registry.forget(lambda order: not order.live and not self._owed(order))
        self.presumed.clear()
        for book in self.books.values():
            book.made.clear()
            book.refused.clear()
            book.anchor = None  # so that numbering from 0 again repeats no id

    # ---- what is wanted --------------------------------------------------------------------------

    def enter(self, symbol: str, order: EnterLong, qty: int) -> Order:
        """Place the entry of a signal that risk approved."""
        book = self.books[symbol]
        if not book.idle or self._portfolio.qty(symbol):
            raise EngineBug(f"{symbol}: an entry beside a position or another order")
        book.protect_at = order.stop_loss
        book.withdraw_entry = ""
        book.entry = self.maker.entry(book, order, qty)
        self._gateway.submit(book.entry)
        return book.entry

    def withdraw_entry(self, symbol: str, reason: str) -> None:
        """Cancel the working entry, if there is one."""
        book = self.books[symbol]
        if book.entry is not None and not book.withdraw_entry:
            book.withdraw_entry = reason
            self._steering.step(book)

    def withdraw_all_entries(self, reason: str) -> None:
        for symbol in sorted(self.books):
            self.withdraw_entry(symbol, reason)

    def move_stop(self, symbol: str, price: Decimal) -> None:
        """Tighten the protective stop; a looser price is ignored, the latest target wins."""
        book = self.books[symbol]
        if book.protect_at is None or price > book.protect_at:
            book.protect_at = price
            self._steering.step(book)

    def close(self, symbol: str, reason: TradeReason) -> None:
        """Leave the position at market and cancel its entry; the first reason stays."""
        book = self.books[symbol]
        if book.exit_reason is None and (self._portfolio.qty(symbol) or not book.idle):
            book.exit_reason = reason
            book.exit_blocked_until = None
        if book.entry is not None and not book.withdraw_entry:
            book.withdraw_entry = reason
        self._steering.step(book)

    def push(self) -> None:
        """Try again at once whatever is waiting for a retry (escalation before the close, shutdown)."""
        for book in self._books():
            book.blocked_until = book.exit_blocked_until = None
            self._steering.step(book)

    def sent_before(self, symbol: str) -> bool:
        """Whether the present candle's signal has had its order already (before a restart)."""
        return self.registry.get(self.maker.entry_identity(self.books[symbol])) is not None

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

    def unsettled(self) -> list[Order]:
        """Orders of which more is to be heard."""
        return [order for order in self.registry if order.live or self._owed(order)]

    def _owed(self, order: Order) -> bool:
        """Whether the broker has told of fills whose executions have not come."""
        return self._told.get(order.spec.client_order_id, 0) > order.filled_qty

    def _books(self) -> list[SymbolBook]:
        return [self.books[symbol] for symbol in sorted(self.books)]

    # ---- news ------------------------------------------------------------------------------------

    def absorb(self, order: Order, report: OrderReport) -> None:
        """Take a broker's word on one of our orders."""
        identity = order.spec.client_order_id
        if report.filled_qty > order.filled_qty:
            self._told[identity] = max(self._told.get(identity, 0), report.filled_qty)
        previous = order.state
        if order.absorb(report):
            self.maker.announce(order, previous)
            self._see_taken(order)
        elif identity in self.presumed:
            self._given_up_wrongly(order, report)
        self._settle(order)

    def _given_up_wrongly(self, order: Order, report: OrderReport) -> None:
        """The broker knows an order that we had given up."""
        if report.state not in WORKING:
            del self.presumed[order.spec.client_order_id]
        elif not order.cancel_requested:
            text = f"{order.spec.client_order_id} works although it was given up: cancelling"
            self._bus.emit(ErrorOccurred("orders", text, report.symbol))
            self.maker.recall(order)

    def filled(self, order: Order) -> None:
        """An execution of ``order`` was booked in the portfolio: what it means for the symbol's book."""
        book = self.books[order.spec.symbol]
        if order.spec.role is Role.ENTRY:
            if book.protect_at is None:
                book.protect_at = order.planned_stop
            if order is not book.entry and book.entry is not None:
                book.withdraw_entry = book.withdraw_entry or "another entry was filled"
        if not self._portfolio.qty(book.symbol):
            book.protect_at = None if book.entry is None else book.protect_at
            book.exit_reason = None if book.entry is None else book.exit_reason
            book.exit_blocked_until = None

    def executed(self, order: Order) -> None:
        """An execution of ``order`` has been booked altogether: what it means for the order."""
        whole = order.filled_qty == order.spec.qty
        state = OrderState.FILLED if whole else OrderState.PARTIALLY_FILLED
        if order.live and order.state is not state:
            previous = order.state
            order.advance(state)
            self.maker.announce(order, previous)
            self._see_taken(order)
        self._settle(order)

    def refuse(self, order: Order, reason: str) -> None:
        """The broker definitely did not take ``order``."""
        self._conclude(order, OrderState.REJECTED, reason)

    def give_up(self, order: Order, reason: str) -> None:
        """The broker does not know ``order`` for so long that it never got there, or is long over."""
        self.presumed[order.spec.client_order_id] = order
        order.cancel_requested = False
        self._conclude(order, OrderState.EXPIRED, reason)

    def remember_given_up(self, order: Order) -> None:
        """An earlier run may have given ``order`` up; the broker may know it after all."""
        if order.state is OrderState.EXPIRED and order.reason in (NEVER_RECEIVED, NO_LONGER_KNOWN):
            self.presumed[order.spec.client_order_id] = order

    def _conclude(self, order: Order, state: OrderState, reason: str) -> None:
        if order.live:
            previous = order.state
            order.advance(state, reason)
            self.maker.announce(order, previous)
        self._settle(order)

    def mark_unknown(self, order: Order, reason: str) -> None:
        """The answer to ``order`` was lost."""
        if order.state in (OrderState.INTENT, OrderState.SUBMITTED):
            previous = order.state
            order.advance(OrderState.UNKNOWN, reason)
            self.maker.announce(order, previous)

    def answer_lost(self) -> None:
        """The broker has left a request without an answer."""
        self._steering.answer_lost()

    def steer(self, symbol: str) -> None:
        book = self.books.get(symbol)
        if book is not None:
            self._steering.step(book)

    def steer_all(self) -> None:
        for book in self._books():
            self._steering.step(book)

    def hold_back(self, book: SymbolBook) -> None:
        """A request was refused for now: wait a moment before the next."""
        book.blocked_until = self._clock.now() + book.patience(self.policy.retry_delay, self.policy)
        self._timers.set(book.blocked_until, Alarm.RETRY, book.symbol)

    def stop_failed(self, book: SymbolBook, stop: Order) -> None:
        """A stop that was taken has been rejected after all: wait a moment before the next."""
        self.hold_back(book)
        self._steering.stop_failed(book, stop)

    def obstacle_gone(self, symbol: str) -> None:
        """An order that may have had ours refused has ended: try again at once."""
        book = self.books.get(symbol)
        if book is not None and book.turned_away:
            book.turned_away = 0
            book.blocked_until = book.exit_blocked_until = None
            self._steering.step(book)

    def exit_refused(self, book: SymbolBook) -> None:
        """The sale was refused: the stop goes back, and the sale is tried again later."""
        book.exit_blocked_until = self._clock.now() + book.patience(self.policy.exit_retry_delay, self.policy)
        self._timers.set(book.exit_blocked_until, Alarm.RETRY, book.symbol)

    # ---- alarms ----------------------------------------------------------------------------------

    def protect_deadline(self, symbol: str) -> None:
        self._steering.protect_deadline(self.books[symbol])

    def partial_grace_over(self, symbol: str) -> None:
        self._steering.partial_grace_over(self.books[symbol])

    def follow_up(self, identity: str) -> None:
        """Ask about an order that was to be cancelled, or of which something is missing."""
        order = self.maker.followed_up(ClientOrderId(identity))
        if order is not None and (order.live or self._owed(order) or identity in self.presumed):
            order.cancel_requested = False
            self._gateway.query(order)

    # ---- endings ---------------------------------------------------------------------------------

    def _settle(self, order: Order) -> None:
        """An order leaves its book when it has ended and all its executions are here."""
        if self._owed(order):
            self.maker.ask(order)
        elif not order.live:
            self._ended(order)

    def _see_taken(self, order: Order) -> None:
        """A stop and its replacement change places, whichever of the two is heard of first."""
        book = self.books[order.spec.symbol]
        if order.spec.side is Side.SELL and order.state in _TAKEN:
            book.turned_away = 0
        old = book.stop
        if order.state is OrderState.REPLACED:
            self._promote_replacement(order)
        elif order is book.replacement and order.state in _TAKEN:
            if old is None:
                book.stop, book.replacement = order, None
            elif old.live:
                # A replace is atomic: the new one was taken, so the old one no longer works.
                previous = old.state
                old.advance(OrderState.REPLACED)
                self.maker.announce(old, previous)
                self._promote_replacement(old)
                self._settle(old)

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

    def _denied(self, order: Order, reason: str) -> None:
        order.advance(OrderState.DENIED, reason)
        self.maker.announce(order, OrderState.INTENT)
        self._ended(order)

    def _ended(self, order: Order) -> None:
        if order.spec.client_order_id not in self.presumed:
            self.maker.ended(order)
        self._told.pop(order.spec.client_order_id, None)
        book = self.books.get(order.spec.symbol)
        if book is not None:
            book.drop(order)
            if order.spec.role is Role.ENTRY:
                self.obstacle_gone(book.symbol)
            if book.idle and not self._portfolio.qty(book.symbol) and order.spec.role is Role.ENTRY:
                book.protect_at = None


#: States that show that a broker has taken an order.
_TAKEN = WORKING | {OrderState.FILLED}
