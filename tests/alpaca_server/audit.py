"""What the exchange saw, for tests to judge: requests, connections, and shares without a stop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from tests.alpaca_server.orders import OPEN, Order, Side, Status, Type


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``monotonic`` in seconds, ``outcome`` the status sent or what was done instead."""

    monotonic: float
    time: datetime
    method: str
    path: str
    query: str
    body: str
    carried_out: bool
    outcome: str


@dataclass(slots=True)
class Connection:
    """One WebSocket connection; ``closed`` is None while it is open. Seconds, monotonic."""

    stream: str
    opened: float
    authenticated: bool = False
    closed: float | None = None


@dataclass(slots=True)
class Bareness:
    """How long shares of one symbol were held without enough sell orders to end the risk. Seconds."""

    since: datetime | None = None
    longest: float = 0.0


@dataclass(slots=True)
class Audit:
    requests: list[Request] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    #: Symbol, beginning and seconds of each time that shares were unprotected.
    stretches: list[tuple[str, datetime, float]] = field(default_factory=list)
    _bare: dict[str, Bareness] = field(default_factory=dict)

    def max_requests_per_minute(self) -> int:
        """The most requests in any 60 seconds."""
        times = sorted(request.monotonic for request in self.requests)
        most = first = 0
        for last, time in enumerate(times):
            while time - times[first] >= 60.0:
                first += 1
            most = max(most, last - first + 1)
        return most

    def protect(self, symbol: str, held: Decimal, orders: Iterable[Order], now: datetime) -> None:
        """Look at one symbol after something changed."""
        covered = sum((order.open_qty for order in orders if ends_risk(order)), Decimal(0))
        bare = self._bare.setdefault(symbol, Bareness())
        if held > covered:
            bare.since = bare.since or now
        elif bare.since is not None:
            seconds = (now - bare.since).total_seconds()
            self.stretches.append((symbol, bare.since, seconds))
            bare.longest = max(bare.longest, seconds)
            bare.since = None

    def bare_for(self, symbol: str, now: datetime) -> float:
        """Seconds for which shares have now been unprotected; 0 when they are not."""
        since = self._bare.get(symbol, Bareness()).since
        return 0.0 if since is None else (now - since).total_seconds()

    def longest_bare(self, symbol: str, now: datetime) -> float:
        """The longest stretch of it so far."""
        return max(self._bare.get(symbol, Bareness()).longest, self.bare_for(symbol, now))


def ends_risk(order: Order) -> bool:
    """A sell stop or market sell that works, or will at the next open. One still being made does not."""
    ticket = order.ticket
    return (
        ticket.side is Side.SELL
        and ticket.type in (Type.STOP, Type.MARKET)
        and order.status in OPEN - {Status.PENDING_NEW}
    )
