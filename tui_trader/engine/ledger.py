"""The account through a day: realised profit, the circuit breaker, and what is said of both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

from tui_trader.core.breaker import CircuitBreaker, Trip
from tui_trader.core.events import AccountUpdated, CircuitBreakerReset, CircuitBreakerTripped
from tui_trader.core.money import ZERO
from tui_trader.core.portfolio import ClosedTrade, Portfolio
from tui_trader.engine.bus import Publisher
from tui_trader.engine.recorder import Recorder


class Ledger:
    """``tripped`` is called when the breaker trips, after it was journalled and said."""

    def __init__(
        self, portfolio: Portfolio, breaker: CircuitBreaker, recorder: Recorder, bus: Publisher
    ) -> None:
        self._portfolio = portfolio
        self._recorder = recorder
        self._bus = bus
        self.breaker = breaker
        self.realized = ZERO
        self.session: date | None = None  # None between sessions
        self.cash_known = False
        self.tripped: Callable[[], None] = lambda: None
        self._said: AccountUpdated | None = None

    @property
    def buying_power(self) -> Decimal:
        """What may be spent: our cash, for nothing is bought on margin."""
        return self._portfolio.cash

    def start_session(self) -> None:
        """A new session: the day's figures start anew, and a breaker that had tripped is lifted."""
        self.realized = ZERO
        trip = self.breaker.start_session()
        if trip is not None:
            self._say_reset(trip)
        self._recorder.latch("breaker", None)

    def first_delivery(self) -> None:
        """Bars have arrived; the day's profit counts from the session's first."""
        if self.breaker.day_start_equity is None:
            self.breaker.first_delivery(self._portfolio.equity())
            self._save()

    def brought_in(self, value: Decimal) -> None:
        """Shares worth ``value`` dollars that were somebody else's are ours now."""
        self.breaker.brought_in(value)
        self._save()

    def count(self, trade: ClosedTrade) -> None:
        self.realized += trade.pnl
        self.breaker.count(trade)
        self._save()

    def check_streak(self) -> None:
        """After a trade. The day's loss waits for the end of the instant, when every close is known."""
        self._trip(self.breaker.check_streak())

    def check(self) -> None:
        """After an instant: has the day lost too much, or were there too many losses in a row?"""
        if self.session is not None and self.breaker.trip is None:
            self._trip(self.breaker.check(self._portfolio.equity()))

    def reset(self) -> None:
        """A person lifts the breaker."""
        trip = self.breaker.reset()
        if trip is not None:
            self._say_reset(trip)
            self._save()

    def say_account(self) -> None:
        """Publish the account if it looks different now."""
        if not self.cash_known:
            return
        equity = self._portfolio.equity()
        event = AccountUpdated(equity, self._portfolio.cash, self.buying_power, self.breaker.day_pnl(equity))
        if event != self._said:
            self._said = event
            self._bus.emit(event)

    def _trip(self, trip: Trip | None) -> None:
        if trip is not None:
            self._save()
            self._bus.emit(CircuitBreakerTripped(trip.rule, trip.value, trip.limit))
            self.tripped()

    def _say_reset(self, trip: Trip) -> None:
        self._bus.emit(CircuitBreakerReset(trip.rule, trip.value, trip.limit))

    def _save(self) -> None:
        if self.session is not None:
            self._recorder.latch("breaker", self.breaker.dump(self.session.isoformat()))
