"""One symbol's orders, led to what is wanted of them.

``Steering`` is level-triggered: it looks at what is held, what works at the broker and what is wanted, and
takes the next step, whatever led there. So a race, a lost answer and a restart are all the same case: the
present state. It may be called at any time, any number of times.
"""

from __future__ import annotations

from datetime import datetime

from tui_trader.core.events import ErrorOccurred, TradeReason
from tui_trader.core.orders import WORKING, Order
from tui_trader.core.portfolio import Portfolio
from tui_trader.engine.book import ExecutionPolicy, SymbolBook
from tui_trader.engine.bus import Publisher
from tui_trader.engine.clock import Clock
from tui_trader.engine.gateway import OrderGateway
from tui_trader.engine.order_maker import OrderMaker
from tui_trader.engine.timers import Alarm, Timers


class Steering:
    """Takes the next step for one symbol, and watches over shares that nothing protects."""

    def __init__(
        self,
        portfolio: Portfolio,
        maker: OrderMaker,
        gateway: OrderGateway,
        bus: Publisher,
        clock: Clock,
        timers: Timers,
        policy: ExecutionPolicy,
    ) -> None:
        self._portfolio = portfolio
        self._maker = maker
        self._gateway = gateway
        self._bus = bus
        self._clock = clock
        self._timers = timers
        self._policy = policy
        self._failed_at: datetime | None = None  # when a request was last left without an answer
        self.touched: set[str] = set()  # symbols whose state may look different now

    def step(self, book: SymbolBook) -> None:
        self.touched.add(book.symbol)
        qty = self._portfolio.qty(book.symbol)
        now = self._clock.now()
        if book.entry is not None and (book.withdraw_entry or book.exit_reason):
            self._maker.cancel(book.entry)
        if qty == 0:
            self._clear_up(book)
        elif book.exit_reason is not None and not _waiting(book.exit_blocked_until, now):
            self._sell(book, qty, now)
        else:
            self._protect(book, qty, now)
        self._watch(book, qty, now)
        self._maker.remember_exit(book)

    def _clear_up(self, book: SymbolBook) -> None:
        """Nothing is held: what would sell is cancelled."""
        for order in (book.replacement, book.stop, book.exit):
            if order is not None:
                self._maker.cancel(order)
        if book.idle:
            book.exit_reason = None
            book.protect_at = None
            book.blocked_until = None

    def _sell(self, book: SymbolBook, qty: int, now: datetime) -> None:
        """Stop and entry off, wait until both have ended, then sell what is really held."""
        for order in (book.replacement, book.stop):
            if order is not None:
                self._maker.cancel(order)
        if self._entry_is_awaited(book, now) or _waiting(book.blocked_until, now):
            return
        if any(order is not None for order in (book.replacement, book.stop, book.exit)):
            return
        book.exit = self._maker.sale(book, qty)
        self._gateway.submit(book.exit)

    def _protect(self, book: SymbolBook, qty: int, now: datetime) -> None:
        """Every share held has a stop."""
        if book.protect_at is None or _waiting(book.blocked_until, now):
            return
        if book.exit is not None:
            self._maker.cancel(book.exit)
            return
        if self._entry_is_awaited(book, now) or book.replacement is not None:
            return
        stop = book.stop
        if stop is None:
            book.stop = self._maker.stop(book, qty, book.protect_at)
            self._gateway.submit(book.stop)
            return
        if stop.state not in WORKING or stop.cancel_requested:
            return
        price = stop.spec.stop_price
        if price is not None and (book.protect_at > price or stop.open_qty != qty):
            book.replacement = self._maker.stop(book, qty, max(book.protect_at, price))
            self._gateway.replace(stop, book.replacement)

    def _entry_is_awaited(self, book: SymbolBook, now: datetime) -> bool:
        """Whether an entry holds back what would sell.

        Until it has ended the number of shares is not known; but an entry whose cancel is stuck must not
        keep the shares it has bought unprotected.
        """
        if book.entry is None:
            return False
        since = book.unprotected_since
        return since is None or now - since < self._policy.entry_wait

    # ---- unprotected shares ----------------------------------------------------------------------

    def _watch(self, book: SymbolBook, qty: int, now: datetime) -> None:
        """Keep the clock of shares that nothing protects."""
        if qty == 0 or book.protected(qty) or book.being_sold(qty):
            book.unprotected_before = book.unprotected_since or book.unprotected_before
            book.unprotected_since = None
            self._timers.cancel(book.deadline)
            book.deadline = None
            return
        if book.unprotected_since is None:
            self._begin_unprotected(book, now)
            if book.entry is not None:
                self._timers.set(now + self._policy.entry_wait, Alarm.RETRY, book.symbol)
        if book.entry is not None and not book.grace_runs:
            book.grace_runs = True
            self._timers.set(now + self._policy.partial_grace, Alarm.PARTIAL_GRACE, book.symbol)

    def _begin_unprotected(self, book: SymbolBook, since: datetime) -> None:
        book.unprotected_since = since
        deadline = max(since + self._policy.protect_deadline, self._clock.now())
        book.deadline = self._timers.set(deadline, Alarm.PROTECT_DEADLINE, book.symbol)

    def stop_failed(self, book: SymbolBook, stop: Order) -> None:
        """A stop was rejected soon after it was taken: the time before it, when nothing protected, counts."""
        before = book.unprotected_before
        if before is None or book.unprotected_since is not None or not self._portfolio.qty(book.symbol):
            return
        if self._clock.now() - stop.created <= self._policy.protect_deadline:
            self._begin_unprotected(book, before)

    def partial_grace_over(self, book: SymbolBook) -> None:
        """An entry has stayed partly filled: the rest is cancelled, so that the stop can be placed."""
        if book.entry is not None and book.grace_runs and not book.withdraw_entry:
            book.withdraw_entry = "partly filled"
        self.step(book)

    def answer_lost(self) -> None:
        """The broker has left a request without an answer."""
        self._failed_at = self._clock.now()

    def protect_deadline(self, book: SymbolBook) -> None:
        """Shares have been unprotected for too long: sell them, and say so until it is done."""
        book.deadline = None
        symbol = book.symbol
        since, qty, now = book.unprotected_since, self._portfolio.qty(symbol), self._clock.now()
        if since is None or not qty:
            return
        policy = self._policy
        # A good answer in between proves little: the next request for a stop may be lost all the same.
        failing = self._failed_at is not None and now - self._failed_at <= policy.protect_deadline
        grace = policy.protect_deadline_unclear if failing else policy.protect_deadline
        if now - since < grace:
            book.deadline = self._timers.set(since + grace, Alarm.PROTECT_DEADLINE, symbol)
            return
        seconds = (now - since).total_seconds()
        self._bus.emit(
            ErrorOccurred("protection", f"{qty} shares without a stop for {seconds:.0f} s: selling", symbol)
        )
        book.exit_reason = book.exit_reason or TradeReason.STOP
        book.blocked_until = book.exit_blocked_until = None
        for order in list(book.orders()):
            self._gateway.query(order)
        pause = book.patience(policy.protect_deadline, policy)
        book.deadline = self._timers.set(now + pause, Alarm.PROTECT_DEADLINE, symbol)
        self.step(book)


def _waiting(until: datetime | None, now: datetime) -> bool:
    return until is not None and now < until
