"""The circuit breaker: stops new entries after a bad day or a losing streak, until the next session."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from tui_trader.core.money import ZERO, plain
from tui_trader.core.portfolio import ClosedTrade

BreakerRule = Literal["max_daily_loss_pct", "consecutive_loss_pause"]


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """``max_daily_loss_pct`` of the day's first equity; a streak counts losses of at least ``min_r`` R."""

    max_daily_loss_pct: Decimal
    consecutive_losses: int
    min_r: Decimal


@dataclass(frozen=True, slots=True)
class Trip:
    """Which rule tripped, at which value, against which limit (dollars, or trades in a row)."""

    rule: BreakerRule
    value: Decimal
    limit: Decimal


class CircuitBreaker:
    """Latched: once tripped it stays so until ``start_session`` or ``reset``."""

    def __init__(self, limits: BreakerLimits) -> None:
        self.limits = limits
        self._loss_share = limits.max_daily_loss_pct / 100
        self.trip: Trip | None = None
        self.losses_in_a_row = 0
        self.day_start_equity: Decimal | None = None
        self._counts_from: Decimal | None = None  # the equity that the loss rule starts from

    @property
    def loss_limit(self) -> Decimal:
        """Dollars that may be lost in this session, 0 before its first delivery."""
        return (self.day_start_equity or ZERO) * self._loss_share

    def day_pnl(self, equity: Decimal) -> Decimal:
        return equity - self.day_start_equity if self.day_start_equity is not None else ZERO

    def start_session(self) -> Trip | None:
        """A new session: everything starts anew. The trip that ends here, if there was one."""
        trip, self.trip = self.trip, None
        self.losses_in_a_row = 0
        self.day_start_equity = self._counts_from = None
        return trip

    def reset(self) -> Trip | None:
        """A person lifts the breaker: the streak starts anew, the day's loss is allowed once more."""
        trip, self.trip = self.trip, None
        if trip is not None:
            self.losses_in_a_row = 0
            self._counts_from = None
        return trip

    def first_delivery(self, equity: Decimal) -> None:
        """The session's first bars have arrived; the day's P/L counts from here."""
        if self.day_start_equity is None:
            self.day_start_equity = self._counts_from = equity

    def brought_in(self, value: Decimal) -> None:
        """``value`` dollars have come into the books without being earned: no profit of the day."""
        if self.day_start_equity is not None:
            self.day_start_equity += value
        if self._counts_from is not None:
            self._counts_from += value

    def count(self, trade: ClosedTrade) -> None:
        """Trades in the order of closing. Small losses neither count nor end a streak."""
        if trade.pnl >= ZERO:
            self.losses_in_a_row = 0
        elif -trade.pnl >= self.limits.min_r * trade.planned_risk:
            self.losses_in_a_row += 1

    def check(self, equity: Decimal) -> Trip | None:
        """After each instant: the trip that happens now, if any."""
        if self.trip is not None or self.day_start_equity is None:
            return None
        if self._counts_from is None:
            self._counts_from = equity  # the first equity after a person lifted the breaker
        pnl = equity - self._counts_from
        if pnl < ZERO and pnl <= -self.loss_limit:
            self.trip = Trip("max_daily_loss_pct", -pnl, self.loss_limit)
            return self.trip
        return self.check_streak()

    def check_streak(self) -> Trip | None:
        """After each trade: the trip that its loss leads to, if any."""
        limit = self.limits.consecutive_losses
        if self.trip is None and self.losses_in_a_row >= limit:
            self.trip = Trip("consecutive_loss_pause", Decimal(self.losses_in_a_row), Decimal(limit))
            return self.trip
        return None

    # ---- across restarts -------------------------------------------------------------------------

    def dump(self, session: str) -> str:
        """Everything needed to go on after a restart within the session named ``session``, as JSON."""
        trip = self.trip
        return json.dumps(
            {
                "session": session,
                "day_start_equity": plain(self.day_start_equity) if self.day_start_equity else None,
                "counts_from": plain(self._counts_from) if self._counts_from else None,
                "losses_in_a_row": self.losses_in_a_row,
                "trip": [trip.rule, plain(trip.value), plain(trip.limit)] if trip else None,
            }
        )

    def restore(self, text: str, session: str) -> bool:
        """Go on from ``dump``; false, and nothing changed, when it is of another session."""
        saved = json.loads(text)
        if saved["session"] != session:
            return False
        start = saved["day_start_equity"]
        self.day_start_equity = Decimal(start) if start is not None else None
        counts_from = saved["counts_from"]
        self._counts_from = Decimal(counts_from) if counts_from is not None else None
        self.losses_in_a_row = int(saved["losses_in_a_row"])
        trip = saved["trip"]
        self.trip = Trip(trip[0], Decimal(trip[1]), Decimal(trip[2])) if trip else None
        return True
