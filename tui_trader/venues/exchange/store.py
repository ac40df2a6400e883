"""What the simulated broker remembers: an engine that dies finds it as it left it.

The file is the broker, not the engine's journal. Changes are gathered and written in one transaction before
they are told, so that a killed process loses nothing that the engine was ever told about, and never finds
half of a change.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

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
from tui_trader.errors import RefusedToStart

#: "ttx1" in the file's header, so that another program's database is never taken for ours.
_APPLICATION_ID: Final = 0x74747831
_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE orders (client_order_id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE executions (number INTEGER PRIMARY KEY, document TEXT NOT NULL);
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
    """A small SQLite file; ``path`` None keeps everything in memory.

    Nothing is written before ``commit``. A disk that refuses is remembered in ``problem`` and tried again
    with the next commit; meanwhile the market goes on from memory. Raises ``RefusedToStart`` when the file is
    damaged or not ours; it is then left as it was.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._facts: dict[str, str] = {}
        self._orders: dict[ClientOrderId, BrokerOrder] = {}
        self._executions: list[Execution] = []
        self._wiped = False
        self._session_over = False
        self.problem = ""
        connection = None
        try:
            if path is not None:
                path.touch(mode=0o600)
            connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            self._db = connection
            self._open()
        except (OSError, sqlite3.Error, _NotOursError, KeyError, ValueError, TypeError) as error:
            if connection is not None:
                connection.close()
            raise RefusedToStart(f"simulated broker {path} {_refusal(error)}") from None

    def _open(self) -> None:
        db = self._db
        empty = db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
        if not empty:
            if int(db.execute("PRAGMA application_id").fetchone()[0]) != _APPLICATION_ID:
                raise _NotOursError("is another program's database")
            found = db.execute("PRAGMA quick_check").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(str(found).replace("\n", " "))
            # Read everything once: what cannot be understood later must be refused now.
            json.loads(self.fact("positions") or "{}")
            for _ in (*self.orders(), *self.executions()):
                pass
        db.execute("PRAGMA journal_mode=WAL")
        # Enough for a process that is killed; simulated money needs no protection from a power cut.
        db.execute("PRAGMA synchronous=OFF")
        if empty:
            db.executescript(f"BEGIN; PRAGMA application_id = {_APPLICATION_ID}; {_SCHEMA} COMMIT;")

    # ---- reading (what was committed) ------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        if self._wiped:
            return None
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def orders(self) -> Iterator[BrokerOrder]:
        if not self._wiped:
            for (document,) in self._db.execute("SELECT document FROM orders"):
                yield _order_from(json.loads(document))

    def executions(self) -> Iterator[Execution]:
        if not self._wiped:
            for (document,) in self._db.execute("SELECT document FROM executions ORDER BY number"):
                yield _execution_from(json.loads(document))

    def concerned(self) -> set[str]:
        """Symbols that are held or have a working order: whoever goes on here must deliver their bars."""
        symbols = set(json.loads(self.fact("positions") or "{}"))
        return symbols | {order.spec.symbol for order in self.orders() if order.working}

    # ---- writing ---------------------------------------------------------------------------------

    def set_fact(self, name: str, value: str) -> None:
        self._facts[name] = value

    def keep_order(self, order: BrokerOrder) -> None:
        self._orders[order.spec.client_order_id] = order

    def keep_execution(self, execution: Execution) -> None:
        self._executions.append(execution)

    def end_session(self) -> None:
        """Drop ended orders and all executions with the next commit, so that the file stays small."""
        self._session_over = True

    def wipe(self) -> None:
        """Begin from nothing with the next commit."""
        self._facts, self._orders, self._executions = {}, {}, []
        self._wiped = True

    def commit(self) -> None:
        """Everything gathered, at once or not at all."""
        if not (self._facts or self._orders or self._executions or self._wiped or self._session_over):
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._write()
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self.problem = f"the simulated broker cannot be written: {error}"
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            return
        self.problem = ""
        self._facts, self._orders, self._executions = {}, {}, []
        self._wiped = self._session_over = False

    def _write(self) -> None:
        db = self._db
        if self._wiped:
            for table in ("facts", "orders", "executions"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - the names stand above
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
        if self._session_over:
            for identity, document in db.execute("SELECT client_order_id, document FROM orders").fetchall():
                if not _order_from(json.loads(document)).working:
                    db.execute("DELETE FROM orders WHERE client_order_id = ?", (identity,))
            db.execute("DELETE FROM executions")

    def close(self) -> None:
        """Close the file; what was not committed is lost."""
        self._db.close()


class _NotOursError(Exception):
    """The file is a database, but not a simulated broker's."""


def _refusal(error: Exception) -> str:
    if isinstance(error, _NotOursError):
        return f"{error}: move it away, or choose another --state-dir"
    if isinstance(error, OSError):
        return f"cannot be opened ({error.strerror}): correct its permissions, or choose another --state-dir"
    if isinstance(error, sqlite3.OperationalError):
        return f"cannot be written ({error}): correct that, or choose another --state-dir"
    return (
        f"is damaged ({error}): nothing was changed; move it away to begin a new market, "
        "or choose another --state-dir"
    )


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
