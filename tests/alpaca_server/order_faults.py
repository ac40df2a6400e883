"""What goes wrong with orders, on command: short fills, stuck cancels, late rejections, slow replaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from tests.alpaca_server.orders import Order, Side, Ticket, Type


@dataclass(slots=True)
class _Aim:
    """Whom a fault is for; what is None matches everything. ``left`` times more."""

    symbol: str | None
    side: Side | None
    type: Type | None
    left: int
    shares: Decimal = Decimal(0)
    reason: str = ""

    def hits(self, ticket: Ticket) -> bool:
        return (
            self.left > 0
            and self.symbol in (None, ticket.symbol)
            and self.side in (None, ticket.side)
            and self.type in (None, ticket.type)
        )


class OrderFaults:
    """Faults wait here until an order fits; every one is used up ``times`` times."""

    def __init__(self) -> None:
        self._short_fills: list[_Aim] = []
        self._sticky_cancels: list[_Aim] = []
        self._rejections: list[_Aim] = []
        self._slow_replaces: list[_Aim] = []
        #: Asked when nothing was ordered; random faults sit here.
        self.at_random: Callable[[str], bool] = lambda _: False

    def _all_aims(self) -> tuple[list[_Aim], ...]:
        return self._short_fills, self._sticky_cancels, self._rejections, self._slow_replaces

    @property
    def pending(self) -> bool:
        """Whether something was ordered that has not gone wrong yet."""
        return any(aim.left for aims in self._all_aims() for aim in aims)

    def clear(self) -> None:
        for aims in self._all_aims():
            aims.clear()

    def fill_only(
        self, shares: int, *, symbol: str | None = None, side: str | None = None, kind: str | None = None,
        times: int = 1,
    ) -> None:  # fmt: skip
        """The next fill gets at most ``shares``; the order then stays partly filled until released."""
        self._short_fills.append(_aim(symbol, side, kind, times, shares=Decimal(shares)))

    def stick_cancel(
        self, *, symbol: str | None = None, side: str | None = None, kind: str | None = None, times: int = 1
    ) -> None:
        """The next cancel is answered 204, and the order stays ``pending_cancel`` (and can fill)."""
        self._sticky_cancels.append(_aim(symbol, side, kind, times))

    def reject(
        self, reason: str = "rejected by the venue", *, symbol: str | None = None, side: str | None = None,
        kind: str | None = None, times: int = 1,
    ) -> None:  # fmt: skip
        """The next order is taken by the POST and rejected on the stream afterwards."""
        self._rejections.append(_aim(symbol, side, kind, times, reason=reason))

    def slow_replace(
        self, *, symbol: str | None = None, side: str | None = None, kind: str | None = None, times: int = 1
    ) -> None:
        """The next replace is answered, but the old order works on until replaces are released."""
        self._slow_replaces.append(_aim(symbol, side, kind, times))

    # ---- asked by the book -----------------------------------------------------------------------

    def fill_size(self, order: Order, qty: Decimal) -> Decimal:
        aim = _use(self._short_fills, order.ticket)
        if aim is not None:
            return min(aim.shares, qty)
        if qty > 1 and self.at_random("short fill"):
            return Decimal(int(qty) // 2)
        return qty

    def sticks(self, order: Order) -> bool:
        return _use(self._sticky_cancels, order.ticket) is not None or self.at_random("stuck cancel")

    def rejection(self, ticket: Ticket) -> str | None:
        aim = _use(self._rejections, ticket)
        if aim is not None:
            return aim.reason
        return "rejected at random" if self.at_random("rejection") else None

    def replaces_slowly(self, order: Order) -> bool:
        return _use(self._slow_replaces, order.ticket) is not None or self.at_random("slow replace")


def _aim(
    symbol: str | None, side: str | None, kind: str | None, times: int, *, shares: Decimal = Decimal(0),
    reason: str = "",
) -> _Aim:  # fmt: skip
    return _Aim(
        symbol, None if side is None else Side(side), None if kind is None else Type(kind), times, shares,
        reason,
    )  # fmt: skip


def _use(aims: list[_Aim], ticket: Ticket) -> _Aim | None:
    for aim in aims:
        if aim.hits(ticket):
            aim.left -= 1
            return aim
    return None
