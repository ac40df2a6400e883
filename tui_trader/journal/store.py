"""The journal the engine writes: gathered in lists, made durable in one transaction by ``commit``."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeVar

from tui_trader.core.events import (
    BarReceived,
    CandleClosed,
    Event,
    Heartbeat,
    Published,
    TradeClosed,
    WarmupProgress,
)
from tui_trader.core.orders import EngineBug, OrderState
from tui_trader.engine.recorder import FillRecord, JournalUnavailable, OrderRecord, Recovered
from tui_trader.errors import RefusedToStart
from tui_trader.journal import rows, schema

JOURNAL_FILE: Final = "journal.db"

#: Events that are not kept: they are many, and market data can be had elsewhere.
NOT_KEPT: Final[frozenset[type[Event]]] = frozenset({BarReceived, CandleClosed, Heartbeat, WarmupProgress})

# The engine's thread waits for no one: whoever holds the file longer than this makes it unavailable.
_BUSY_TIMEOUT_S: Final = 0.25

_PUT_ORDER: Final = """
    INSERT INTO orders (book_id, client_order_id, created, updated, symbol, strategy, role, side, order_type,
                        time_in_force, qty, filled_qty, limit_price, stop_price, planned_stop, state, live,
                        broker_order_id, reason)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (book_id, client_order_id) DO UPDATE SET
        updated = excluded.updated, qty = excluded.qty, filled_qty = excluded.filled_qty,
        limit_price = excluded.limit_price, stop_price = excluded.stop_price,
        planned_stop = excluded.planned_stop, state = excluded.state, live = excluded.live,
        broker_order_id = excluded.broker_order_id, reason = excluded.reason"""
_ADD_ORDER_EVENT: Final = """
    INSERT INTO order_events (book_id, client_order_id, time, state, filled_qty, broker_order_id, reason)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
_ADD_FILL: Final = """
    INSERT OR IGNORE INTO fills (book_id, execution_id, client_order_id, time, symbol, side, qty, price,
                                 position_qty)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ADD_TRADE: Final = """
    INSERT INTO trades (book_id, time, symbol, strategy, qty, entry_price, exit_price, entry_time, exit_time,
                        pnl, reason, planned_risk)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ADD_EVENT: Final = "INSERT INTO events (book_id, time, seq, type, json) VALUES (?, ?, ?, ?, ?)"
_PUT_LATCH: Final = """
    INSERT INTO latches (book_id, name, value) VALUES (?, ?, ?)
    ON CONFLICT (book_id, name) DO UPDATE SET value = excluded.value"""

# The fills of each symbol after the last that left it flat; the small indices keep this quick.
_OPEN_FILLS: Final = """
    WITH symbols AS (SELECT DISTINCT symbol FROM fills WHERE book_id = :book)
    SELECT f.execution_id, f.client_order_id, f.time, f.symbol, f.side, f.qty, f.price, f.position_qty
    FROM symbols CROSS JOIN fills AS f
    WHERE f.book_id = :book AND f.symbol = symbols.symbol AND f.id > COALESCE(
        (SELECT MAX(flat.id) FROM fills AS flat
         WHERE flat.book_id = :book AND flat.symbol = symbols.symbol AND flat.position_qty = 0), 0)
    ORDER BY f.id"""
_FILLS_SINCE: Final = """
    SELECT execution_id, client_order_id, time, symbol, side, qty, price, position_qty
    FROM fills WHERE book_id = ? AND time >= ? ORDER BY id"""
_TRADES_SINCE: Final = """
    SELECT symbol, strategy, qty, entry_price, exit_price, entry_time, exit_time, pnl, reason, planned_risk
    FROM trades WHERE book_id = ? AND exit_time >= ? ORDER BY id"""
_LIVE_IDS: Final = "SELECT id FROM orders WHERE book_id = ? AND live = 1"
_IDS_SINCE: Final = "SELECT id FROM orders WHERE book_id = ? AND created >= ?"
_ID_OF: Final = "SELECT id FROM orders WHERE book_id = ? AND client_order_id = ?"
_ORDER: Final = """
    SELECT client_order_id, created, symbol, strategy, role, side, order_type, time_in_force, qty, filled_qty,
           limit_price, stop_price, planned_stop, state, broker_order_id, reason
    FROM orders WHERE id = ?"""

# The latest week's ids of a book, oldest first.
_RECENT_ORDERS: Final = """
    SELECT client_order_id, created FROM orders WHERE book_id = :book AND created >= (
        SELECT date(MAX(created), '-7 days') FROM orders WHERE book_id = :book) ORDER BY created"""
_RECENT_FILLS: Final = """
    SELECT execution_id, time FROM fills WHERE book_id = :book AND time >= (
        SELECT date(MAX(time), '-7 days') FROM fills WHERE book_id = :book) ORDER BY time"""

T = TypeVar("T")


class _RecentIds:
    """Ids of the latest two days that had any, so that years of them do not fill the memory.

    None that is older can come again: an order's id is made from its session, and a broker tells the fills
    of the day.
    """

    def __init__(self, known: Iterable[tuple[str, str]] = ()) -> None:
        self._day = ""
        self._today: set[str] = set()
        self._before: set[str] = set()
        for identity, stamp in known:
            self.add(identity, stamp)

    def add(self, identity: str, stamp: str) -> None:
        """``stamp`` is the stored time that the id belongs to."""
        if stamp[:10] > self._day:
            self._before, self._today, self._day = self._today, set(), stamp[:10]
        self._today.add(identity)

    def __contains__(self, identity: str) -> bool:
        return identity in self._today or identity in self._before


class Journal:
    """Implements ``engine.recorder.Recorder`` on one SQLite file. Any thread, but one at a time.

    Only ``recover``, ``commit``, ``use_book`` and ``seal_book`` touch the disk and may raise
    ``JournalUnavailable``. After a failed ``commit`` every row is kept and goes with the next.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._book = 0
        # What was written in this book, kept here so that booking a fill works with a dead disk too.
        self._order_ids = _RecentIds()
        self._execution_ids = _RecentIds()
        self._pending: dict[str, list[rows.Row]] = {
            _PUT_ORDER: [],
            _ADD_ORDER_EVENT: [],
            _ADD_FILL: [],
            _ADD_TRADE: [],
            _ADD_EVENT: [],
            _PUT_LATCH: [],
        }
        self._dirty = False

    @classmethod
    def open(cls, path: Path, durability: Literal["full", "normal"]) -> Journal:
        """Open or make the journal at ``path``, whose folder exists.

        With ``full`` a commit survives a power cut, with ``normal`` the end of this process only. Raises
        ``RefusedToStart`` when the file is damaged, not ours, too new or cannot be written; it is then
        left as it was.
        """
        connection = None
        try:
            path.touch(mode=0o600)
            connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            if schema.version_of(connection):
                schema.check(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "PRAGMA synchronous = FULL" if durability == "full" else "PRAGMA synchronous = NORMAL"
            )
            schema.migrate(connection)
        except (OSError, sqlite3.Error, schema.NotAJournal) as error:
            if connection is not None:
                connection.close()
            raise RefusedToStart(f"journal {path} {_refusal(error)}") from None
        return cls(connection, path)

    def use_book(self, venue: str, account_id: str) -> int:
        """Go on in the account's latest book that is not sealed, or begin a new one; returns its number."""
        self.commit()
        self._book = self._try(
            lambda: self._find_or_open_book(rows.storable(venue), rows.storable(account_id))
        )
        self._order_ids = self._known(_RECENT_ORDERS)
        self._execution_ids = self._known(_RECENT_FILLS)
        return self._book

    def begin_book(self, venue: str, account_id: str) -> int:
        """Begin a new book; those of the account that were left unfinished are sealed with it."""
        self.commit()
        self._try(lambda: self._seal_unfinished(rows.storable(venue), rows.storable(account_id)))
        return self.use_book(venue, account_id)

    def seal_book(self) -> None:
        """Commit and end the present book: the account's next run begins a new one."""
        self.commit()
        self._try(
            lambda: self._connection.execute(
                "UPDATE books SET sealed = ? WHERE book_id = ?", (rows.stamp(datetime.now(UTC)), self._book)
            )
        )
        self._book = 0

    def close(self) -> None:
        """Close the file; what was not committed is lost."""
        self._connection.close()

    def recover(self, since: datetime) -> Recovered:
        self.commit()
        return self._try(lambda: self._recover(rows.stamp(since)))

    def intent(self, record: OrderRecord) -> None:
        identity = record.spec.client_order_id
        if identity in self._order_ids:
            raise EngineBug(f"{identity}: an order of this id is in the journal already")
        if record.state is not OrderState.INTENT:
            raise EngineBug(f"{identity}: a new order is an INTENT, not {record.state}")
        self.order(record, record.created)

    def order(self, record: OrderRecord, time: datetime) -> None:
        self._order_ids.add(record.spec.client_order_id, rows.stamp(record.created))
        self._add(_PUT_ORDER, rows.order_row(self._book, record, time))
        self._add(_ADD_ORDER_EVENT, rows.order_event_row(self._book, record, time))

    def fill(self, record: FillRecord) -> bool:
        identity = record.execution.execution_id
        if identity in self._execution_ids:
            return False
        self._execution_ids.add(identity, rows.stamp(record.execution.time))
        self._add(_ADD_FILL, rows.fill_row(self._book, record))
        return True

    def trade(self, trade: TradeClosed, time: datetime) -> None:
        self._add(_ADD_TRADE, rows.trade_row(self._book, trade, time))

    def event(self, published: Published) -> None:
        if type(published.event) not in NOT_KEPT:
            self._add(_ADD_EVENT, rows.event_row(self._book, published))

    def latch(self, name: str, value: str | None) -> None:
        self._add(_PUT_LATCH, (self._book, name, value))

    def commit(self) -> None:
        if not self._dirty:
            return
        self._try(self._write_pending)
        for waiting in self._pending.values():
            waiting.clear()
        self._dirty = False

    def _add(self, statement: str, row: rows.Row) -> None:
        if not self._book:
            raise EngineBug("the journal is written before use_book or after seal_book")
        self._pending[statement].append(row)
        self._dirty = True

    def _write_pending(self) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        for statement, waiting in self._pending.items():
            if waiting:
                connection.executemany(statement, waiting)
        connection.execute("COMMIT")

    def _try(self, work: Callable[[], T]) -> T:
        """Do ``work``; when the disk or the database says no, undo it and raise ``JournalUnavailable``."""
        try:
            return work()
        except (sqlite3.Error, OverflowError) as error:
            try:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                pass  # SQLite has rolled back by itself, or the next BEGIN will say what is wrong
            raise JournalUnavailable(f"journal {self._path} cannot be used: {error}") from error

    def _seal_unfinished(self, venue: str, account: str) -> None:
        self._connection.execute(
            "UPDATE books SET sealed = ? WHERE venue = ? AND account_id = ? AND sealed IS NULL",
            (rows.stamp(datetime.now(UTC)), venue, account),
        )

    def _find_or_open_book(self, venue: str, account_id: str) -> int:
        found = self._connection.execute(
            "SELECT MAX(book_id) FROM books WHERE venue = ? AND account_id = ? AND sealed IS NULL",
            (venue, account_id),
        ).fetchone()[0]
        if found is not None:
            return int(found)
        made = self._connection.execute(
            "INSERT INTO books (venue, account_id, opened) VALUES (?, ?, ?)",
            (venue, account_id, rows.stamp(datetime.now(UTC))),
        ).lastrowid
        assert made is not None
        return made

    def _known(self, query: str) -> _RecentIds:
        return self._try(lambda: _RecentIds(self._connection.execute(query, {"book": self._book})))

    def _recover(self, since: str) -> Recovered:
        read = self._connection.execute
        book = self._book
        open_fills = tuple(rows.read_fill(row) for row in read(_OPEN_FILLS, {"book": book}))
        orders = {row[0] for row in read(_LIVE_IDS, (book,))}
        orders.update(row[0] for row in read(_IDS_SINCE, (book, since)))
        for identity in {record.execution.client_order_id for record in open_fills}:
            orders.update(row[0] for row in read(_ID_OF, (book, identity)))
        return Recovered(
            orders=tuple(rows.read_order(read(_ORDER, (row_id,)).fetchone()) for row_id in sorted(orders)),
            open_fills=open_fills,
            fills=tuple(rows.read_fill(row) for row in read(_FILLS_SINCE, (book, since))),
            trades=tuple(rows.read_trade(row) for row in read(_TRADES_SINCE, (book, since))),
            latches=dict(
                read("SELECT name, value FROM latches WHERE book_id = ? AND value IS NOT NULL", (book,))
            ),
        )


def _refusal(error: OSError | sqlite3.Error | schema.NotAJournal) -> str:
    if isinstance(error, schema.NotAJournal):
        return str(error)
    if isinstance(error, OSError):
        return f"cannot be opened ({error.strerror}): correct its permissions, or choose another --state-dir"
    if isinstance(error, sqlite3.OperationalError):
        return f"cannot be written ({error}): correct that, or choose another --state-dir"
    return f"is damaged ({error}): nothing was changed; move it away or restore a copy, then start again"
