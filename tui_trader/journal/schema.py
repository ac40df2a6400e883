"""The tables of the journal, their versions, and the steps from each version to the next.

One file holds several books. A real account has one book for ever; a simulated market that was finished is
sealed and the next run begins a new one, so that two runs of one seed may use the same order ids. Prices
are decimal text; times are UTC text of fixed width, so that they sort as text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

#: "ttj1" in the file's header, so that another program's database is never taken for a journal.
APPLICATION_ID: Final = 0x74746A31

#: Step n leads from version n to n + 1. Steps already released are never edited, only added to.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE books (
            book_id INTEGER PRIMARY KEY,
            venue TEXT NOT NULL,
            account_id TEXT NOT NULL,
            opened TEXT NOT NULL,
            sealed TEXT)""",
        """CREATE TABLE orders (
            id INTEGER PRIMARY KEY,
            book_id INTEGER NOT NULL,
            client_order_id TEXT NOT NULL,
            created TEXT NOT NULL,
            updated TEXT NOT NULL,
            symbol TEXT NOT NULL,
            strategy TEXT NOT NULL,
            role TEXT NOT NULL,
            side TEXT NOT NULL,
            order_type TEXT NOT NULL,
            time_in_force TEXT NOT NULL,
            qty INTEGER NOT NULL,
            filled_qty INTEGER NOT NULL,
            limit_price TEXT,
            stop_price TEXT,
            planned_stop TEXT,
            state TEXT NOT NULL,
            live INTEGER NOT NULL,
            broker_order_id TEXT,
            reason TEXT NOT NULL,
            UNIQUE (book_id, client_order_id))""",
        "CREATE INDEX orders_by_time ON orders (book_id, created)",
        "CREATE INDEX orders_live ON orders (book_id) WHERE live = 1",
        """CREATE TABLE order_events (
            id INTEGER PRIMARY KEY,
            book_id INTEGER NOT NULL,
            client_order_id TEXT NOT NULL,
            time TEXT NOT NULL,
            state TEXT NOT NULL,
            filled_qty INTEGER NOT NULL,
            broker_order_id TEXT,
            reason TEXT NOT NULL)""",
        """CREATE TABLE fills (
            id INTEGER PRIMARY KEY,
            book_id INTEGER NOT NULL,
            execution_id TEXT NOT NULL,
            client_order_id TEXT NOT NULL,
            time TEXT NOT NULL,
            symbol TEXT NOT NULL,
            side TEXT NOT NULL,
            qty INTEGER NOT NULL,
            price TEXT NOT NULL,
            position_qty INTEGER NOT NULL,
            UNIQUE (book_id, execution_id))""",
        "CREATE INDEX fills_by_time ON fills (book_id, time)",
        "CREATE INDEX fills_by_symbol ON fills (book_id, symbol)",
        "CREATE INDEX fills_flat ON fills (book_id, symbol) WHERE position_qty = 0",
        """CREATE TABLE trades (
            id INTEGER PRIMARY KEY,
            book_id INTEGER NOT NULL,
            time TEXT NOT NULL,
            symbol TEXT NOT NULL,
            strategy TEXT NOT NULL,
            qty INTEGER NOT NULL,
            entry_price TEXT NOT NULL,
            exit_price TEXT NOT NULL,
            entry_time TEXT NOT NULL,
            exit_time TEXT NOT NULL,
            pnl TEXT NOT NULL,
            reason TEXT NOT NULL,
            planned_risk TEXT NOT NULL)""",
        "CREATE INDEX trades_by_time ON trades (book_id, exit_time)",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            book_id INTEGER NOT NULL,
            time TEXT NOT NULL,
            seq INTEGER NOT NULL,
            type TEXT NOT NULL,
            json TEXT NOT NULL)""",
        "CREATE INDEX events_by_time ON events (book_id, time)",
        """CREATE TABLE latches (
            book_id INTEGER NOT NULL,
            name TEXT NOT NULL,
            value TEXT,
            PRIMARY KEY (book_id, name))""",
    ),
)

VERSION: Final = len(MIGRATIONS)

# Trading rests on these. The events are the big table and only a record, so their old pages are left
# unread at start and opening stays quick however long the journal has grown.
_CHECKED: Final = (
    "PRAGMA quick_check(books)",
    "PRAGMA quick_check(orders)",
    "PRAGMA quick_check(order_events)",
    "PRAGMA quick_check(fills)",
    "PRAGMA quick_check(trades)",
    "PRAGMA quick_check(latches)",
)


class NotAJournal(Exception):  # noqa: N818
    """The file is a database, but not one of ours, or one of a later version than we know."""


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of an open file, 0 when it is empty.

    Raises ``NotAJournal`` for another program's database and for a version newer than ours, and
    ``sqlite3.DatabaseError`` when the file is no database at all.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
        return 0
    if int(connection.execute("PRAGMA application_id").fetchone()[0]) != APPLICATION_ID:
        raise NotAJournal("is another program's database: move it away, or choose another --state-dir")
    if version > VERSION:
        raise NotAJournal(
            f"was written by a newer tui-trader (journal version {version}, this one knows {VERSION}): "
            "upgrade tui-trader, or choose another --state-dir"
        )
    return version


def check(connection: sqlite3.Connection) -> None:
    """Read the tables that trading rests on; raises ``sqlite3.DatabaseError`` at the first damage."""
    for pragma in _CHECKED:
        found = connection.execute(pragma).fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(str(found).replace("\n", " "))
    # New events go to the right edge of their trees: that edge must be sound too.
    connection.execute("SELECT json FROM events ORDER BY id DESC LIMIT 1").fetchone()
    connection.execute(
        "SELECT time FROM events WHERE book_id = (SELECT MAX(book_id) FROM books) ORDER BY time DESC LIMIT 1"
    ).fetchone()


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the file to version ``len(steps)``, all or nothing. Raises ``sqlite3.Error``."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        for step in steps[version:]:
            for statement in step:
                connection.execute(statement)
        if version < len(steps):
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
