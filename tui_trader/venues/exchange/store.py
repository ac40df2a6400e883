"""What the simulated broker remembers: an engine that dies finds it as it left it.

The file is the broker, not the engine's journal. Every change is written before it is told, so that a killed
process loses nothing that the engine was ever told about.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tui_trader.core.money import plain
from tui_trader.core.orders import (
    BrokerOrderId,
    ClientOrderId,
    Execution,
    ExecutionId,
    OrderSpec,
    OrderState,
    OrderType,
    Role,
    Side,
    TimeInForce,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (client_order_id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS executions (number INTEGER PRIMARY KEY, document TEXT NOT NULL);
"""


@dataclass(slots=True)
class BrokerOrder:
    """An order as the broker keeps it. ``placed`` decides which bars it may match."""

    spec: OrderSpec
    broker_order_id: BrokerOrderId
    state: OrderState
    placed: datetime
    filled_qty: int = 0
    triggered: bool = False
    reason: str = ""
    replaced_by: ClientOrderId | None = None

    @property
    def working(self) -> bool:
        return self.state in (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED)

    @property
    def open_qty(self) -> int:
        return self.spec.qty - self.filled_qty if self.working else 0


class ExchangeStore:
    """A small SQLite file; ``path`` None keeps everything in memory."""

    def __init__(self, path: Path | None) -> None:
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        # Enough for a process that is killed; simulated money needs no protection from a power cut.
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_SCHEMA)
        self._facts: dict[str, str] = {}
        self._orders: dict[ClientOrderId, BrokerOrder] = {}
        self._executions: list[Execution] = []

    # ---- reading ---------------------------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def orders(self) -> Iterator[BrokerOrder]:
        for (document,) in self._db.execute("SELECT document FROM orders"):
            yield _order_from(json.loads(document))

    def executions(self) -> Iterator[Execution]:
        for (document,) in self._db.execute("SELECT document FROM executions ORDER BY number"):
            yield _execution_from(json.loads(document))

    # ---- writing ---------------------------------------------------------------------------------

    def set_fact(self, name: str, value: str) -> None:
        self._facts[name] = value

    def keep_order(self, order: BrokerOrder) -> None:
        self._orders[order.spec.client_order_id] = order

    def keep_execution(self, execution: Execution) -> None:
        self._executions.append(execution)

    def forget_before(self, working: set[ClientOrderId]) -> None:
        """A new session: drop ended orders and their executions, so that the file stays small."""
        self.commit()
        self._db.execute("BEGIN")
        for (identity,) in self._db.execute("SELECT client_order_id FROM orders").fetchall():
            if identity not in working:
                self._db.execute("DELETE FROM orders WHERE client_order_id = ?", (identity,))
        self._db.execute("DELETE FROM executions")
        self._db.execute("COMMIT")

    def commit(self) -> None:
        """Everything gathered, at once or not at all."""
        if not (self._facts or self._orders or self._executions):
            return
        db = self._db
        db.execute("BEGIN")
        if self._facts:
            db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", list(self._facts.items()))
        if self._orders:
            db.executemany(
                "INSERT OR REPLACE INTO orders VALUES (?, ?)",
                [(key, json.dumps(_order_document(order))) for key, order in self._orders.items()],
            )
        if self._executions:
            db.executemany(
                "INSERT INTO executions (document) VALUES (?)",
                [(json.dumps(_execution_document(execution)),) for execution in self._executions],
            )
        db.execute("COMMIT")
        self._facts, self._orders, self._executions = {}, {}, []

    def wipe(self) -> None:
        """Begin from nothing."""
        self._facts, self._orders, self._executions = {}, {}, []
        self._db.executescript("DELETE FROM facts; DELETE FROM orders; DELETE FROM executions;")

    def close(self) -> None:
        self.commit()
        self._db.close()


def _price(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _order_document(order: BrokerOrder) -> dict[str, Any]:
    spec = order.spec
    return {
        "id": spec.client_order_id, "symbol": spec.symbol, "role": spec.role, "side": spec.side,
        "type": spec.order_type, "qty": spec.qty, "limit": _price(spec.limit_price),
        "stop": _price(spec.stop_price), "tif": spec.time_in_force, "broker_id": order.broker_order_id,
        "state": order.state, "placed": order.placed.isoformat(), "filled": order.filled_qty,
        "triggered": order.triggered, "reason": order.reason, "replaced_by": order.replaced_by,
    }  # fmt: skip


def _order_from(d: dict[str, Any]) -> BrokerOrder:
    spec = OrderSpec(
        ClientOrderId(d["id"]), d["symbol"], Role(d["role"]), Side(d["side"]), OrderType(d["type"]), d["qty"],
        _decimal(d["limit"]), _decimal(d["stop"]), TimeInForce(d["tif"]),
    )  # fmt: skip
    return BrokerOrder(
        spec, BrokerOrderId(d["broker_id"]), OrderState(d["state"]), datetime.fromisoformat(d["placed"]),
        d["filled"], d["triggered"], d["reason"],
        ClientOrderId(d["replaced_by"]) if d["replaced_by"] else None,
    )  # fmt: skip


def _execution_document(execution: Execution) -> dict[str, Any]:
    return {
        "id": execution.execution_id, "order": execution.client_order_id, "symbol": execution.symbol,
        "side": execution.side, "qty": execution.qty, "price": plain(execution.price),
        "time": execution.time.isoformat(),
    }  # fmt: skip


def _execution_from(d: dict[str, Any]) -> Execution:
    return Execution(
        ExecutionId(d["id"]), ClientOrderId(d["order"]), d["symbol"], Side(d["side"]), d["qty"],
        Decimal(d["price"]), datetime.fromisoformat(d["time"]),
    )  # fmt: skip
