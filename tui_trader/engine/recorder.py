"""What the engine must be able to write down, and what it reads back after a crash.

The journal is the truth about our intentions. The engine only knows this protocol; ``journal/`` holds the
implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from tui_trader.core.events import Published, TradeClosed
from tui_trader.core.orders import BrokerOrderId, Execution, OrderSpec, OrderState


class JournalUnavailable(Exception):  # noqa: N818 - a state of the world, not a mistake
    """The journal cannot be written (disk full, locked, gone). No new risk may be taken until it can."""


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order as journalled."""

    spec: OrderSpec
    strategy: str
    created: datetime
    state: OrderState
    broker_order_id: BrokerOrderId | None = None
    filled_qty: int = 0
    planned_stop: Decimal | None = None  # an entry's protective stop price
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FillRecord:
    """An execution as journalled, with the signed position that it left."""

    execution: Execution
    position_qty: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a restarted engine reads back.

    ``orders``: every order that is not terminal, every order created at or after ``since``, and every order
    that has a fill in ``open_fills``. ``open_fills``: for each symbol the fills after it was last flat,
    oldest first. ``fills`` and ``trades``: those at or after ``since``. ``latches``: name → JSON text.
    """

    orders: tuple[OrderRecord, ...]
    open_fills: tuple[FillRecord, ...]
    fills: tuple[FillRecord, ...]
    trades: tuple[TradeClosed, ...]
    latches: Mapping[str, str]


class Recorder(Protocol):
    """Writes are gathered until ``commit``, which makes all of them durable, or none of them.

    Any method may raise ``JournalUnavailable``.
    """

    def recover(self, since: datetime) -> Recovered: ...

    def intent(self, record: OrderRecord) -> None:
        """A new order in state INTENT. The same ``client_order_id`` twice raises ``EngineBug``."""

    def order(self, record: OrderRecord, time: datetime) -> None:
        """The order's state now; appended to its history, and the latest is kept with the order."""

    def fill(self, record: FillRecord) -> bool:
        """Book an execution; false when its execution id is known already."""

    def trade(self, trade: TradeClosed, time: datetime) -> None: ...

    def event(self, published: Published) -> None: ...

    def latch(self, name: str, value: str | None) -> None:
        """Remember a small JSON text across restarts; None forgets it."""

    def commit(self) -> None: ...
