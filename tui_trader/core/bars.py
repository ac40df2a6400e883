"""One-minute bars, and the rule that decides which of them are believed."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final, NamedTuple

MINUTE: Final = timedelta(minutes=1)
#: Share counts at which a jump between sessions is taken for a split n:1 or 1:n.
SPLIT_RATIOS: Final = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50)
# A jump of exactly the limit is within it, whatever float64 makes of the product.
_ROUNDING: Final = 1e-9
_SPLIT_TOLERANCE: Final = 0.03 * (1.0 + _ROUNDING)
# Between these no change can be a split: the fast path of every session's first bar.
_LARGEST_FALL: Final = (1.0 + _SPLIT_TOLERANCE) / SPLIT_RATIOS[0]
_LEAST_RISE: Final = (1.0 - _SPLIT_TOLERANCE) * SPLIT_RATIOS[0]
_MAX_FUTURE: Final = timedelta(minutes=2)


class Bar(NamedTuple):
    """One minute of trading. Prices in dollars; ``timestamp`` is the aware UTC start of the minute."""

    symbol: str
    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    adjusted: bool = False


class Refused(NamedTuple):
    """A bar that will not be used, and why."""

    bar: Bar
    reason: str


class Verdict(NamedTuple):
    """What a new bar led to: bars now accepted (in order), bars refused, and whether a split was seen."""

    accepted: tuple[Bar, ...] = ()
    refused: tuple[Refused, ...] = ()
    split: bool = False


_NOTHING: Final = Verdict()


def malformed(bar: Bar) -> str | None:
    """Why ``bar`` cannot be a bar at all, or None."""
    _, timestamp, open_, high, low, close, volume, _ = bar
    # A chained comparison is false for NaN, so this one line is also the fast path's finiteness test.
    if not (0.0 < low <= open_ <= high < math.inf and low <= close <= high and volume >= 0):
        if not all(math.isfinite(x) for x in (open_, high, low, close, volume)):
            return "a value is not finite"
        if min(open_, high, low, close) <= 0:
            return "a price is not positive"
        if volume < 0:
            return "volume is negative"
        return "high and low do not contain open and close"
    if timestamp.second or timestamp.microsecond:
        return "the timestamp is not on a minute"
    return None


def split_ratio(previous_close: float, price: float) -> int | None:
    """``n`` when ``price`` is within 3 % of ``previous_close`` after a split n:1 or 1:n, else None."""
    change = price / previous_close
    if _LARGEST_FALL < change < _LEAST_RISE:
        return None
    for count in SPLIT_RATIOS:
        if abs(change * count - 1.0) <= _SPLIT_TOLERANCE or abs(change / count - 1.0) <= _SPLIT_TOLERANCE:
            return count
    return None


class BarFilter:
    """Decides for one symbol which bars are believed (DESIGN §9, bad bars).

    A bar whose open or close is more than ``max_jump_pct`` from the last accepted close of the session is
    withheld until the next bar's open confirms it. Feed it regular-session bars only.
    """

    __slots__ = ("_last_close", "_last_time", "_max_jump", "_session_start", "_withheld")

    def __init__(self, max_jump_pct: float) -> None:
        self._max_jump = max_jump_pct / 100.0 * (1.0 + _ROUNDING)
        self._last_close = math.nan
        self._last_time: datetime | None = None
        self._session_start: datetime | None = None
        self._withheld: Bar | None = None

    @property
    def withheld(self) -> Bar | None:
        return self._withheld

    def _jumps(self, price: float, base: float) -> bool:
        return abs(price - base) > self._max_jump * base

    def offer(self, bar: Bar, session_start: datetime, now: datetime) -> Verdict:
        """Judge the next bar of the session that began at ``session_start``; ``now`` is the delivery time."""
        reason = malformed(bar)
        if reason is None:
            last = self._last_time if self._withheld is None else self._withheld.timestamp
            if last is not None and bar.timestamp <= last:
                reason = "duplicate" if bar.timestamp == last else "out of order"
            elif bar.timestamp - now > _MAX_FUTURE:
                reason = "more than 2 minutes in the future"
        if reason is not None:
            return Verdict(refused=(Refused(bar, reason),))
        if self._session_start != session_start:
            return self._first_of_session(bar, session_start)
        if self._withheld is None:
            return self._judge(bar)
        held, self._withheld = self._withheld, None
        if not self._jumps(bar.open, held.close):
            self._accept(held)
            # The open confirms the jump: both count, wherever this bar's own close went.
            after = self._judge(bar)
            if self._withheld is not None:
                self._withheld = None
                self._accept(bar)
                return Verdict((held, bar))
            return Verdict((held, *after.accepted))
        after = self._judge(bar)
        return Verdict(after.accepted, (Refused(held, "a jump the next bar did not confirm"), *after.refused))

    def resume(self, last_close: float, last_time: datetime, session_start: datetime) -> None:
        """Go on after bars that were judged elsewhere."""
        self._last_close = last_close
        self._last_time = last_time
        self._session_start = session_start
        self._withheld = None

    def end_session(self) -> Verdict:
        """At the close: a bar still withheld is refused."""
        if self._withheld is None:
            return _NOTHING
        held, self._withheld = self._withheld, None
        return Verdict(refused=(Refused(held, "a jump with no bar after it to confirm it"),))

    def _first_of_session(self, bar: Bar, session_start: datetime) -> Verdict:
        stale = self.end_session().refused
        split = self._session_start is not None and split_ratio(self._last_close, bar.open) is not None
        self._session_start = session_start
        self._accept(bar)
        return Verdict((bar,), stale, split)

    def _judge(self, bar: Bar) -> Verdict:
        base = self._last_close
        reach = self._max_jump * base
        if abs(bar.close - base) > reach or abs(bar.open - base) > reach:
            self._withheld = bar
            return _NOTHING
        if bar.high - base > reach or base - bar.low > reach:
            top, bottom = max(bar.open, bar.close), min(bar.open, bar.close)
            bar = bar._replace(
                high=top if bar.high - base > reach else bar.high,
                low=bottom if base - bar.low > reach else bar.low,
                adjusted=True,
            )
        self._last_close = bar.close
        self._last_time = bar.timestamp
        return Verdict((bar,))

    def _accept(self, bar: Bar) -> None:
        self._last_close = bar.close
        self._last_time = bar.timestamp
