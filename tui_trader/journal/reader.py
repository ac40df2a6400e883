"""Reading a journal, also while an engine writes it: read-only, and never long enough to be in its way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal

from tui_trader.errors import UsageError
from tui_trader.journal import schema

Kind = Literal["orders", "fills", "trades", "events"]
Values = dict[str, str | int | None]

# Rows are fetched by pages, each in a read of its own: whoever pipes a journal into a pager must not keep
# a snapshot open for hours, because the engine's write-ahead log could not be emptied meanwhile.
_PAGE: Final = 1000

# The first two columns say where the next page begins.
_PAGES: Final[dict[Kind, str]] = {
    "orders": """
        SELECT created AS key, id, created, updated, client_order_id, broker_order_id, symbol, strategy, role,
               side, order_type, time_in_force, qty, filled_qty, limit_price, stop_price, planned_stop, state,
               reason
        FROM orders WHERE book_id = ? AND (created, id) > (?, ?) ORDER BY created, id LIMIT ?""",
    "fills": """
        SELECT time AS key, id, time, client_order_id, execution_id, symbol, side, qty, price, position_qty
        FROM fills WHERE book_id = ? AND (time, id) > (?, ?) ORDER BY time, id LIMIT ?""",
    "trades": """
        SELECT exit_time AS key, id, symbol, strategy, qty, entry_price, exit_price, entry_time, exit_time,
               pnl, reason, planned_risk
        FROM trades WHERE book_id = ? AND (exit_time, id) > (?, ?) ORDER BY exit_time, id LIMIT ?""",
    "events": """
        SELECT time AS key, id, time, seq, type, json
        FROM events WHERE book_id = ? AND (time, id) > (?, ?) ORDER BY time, id LIMIT ?""",
}


@dataclass(frozen=True, slots=True)
class Book:
    """One account's records, or one run of a simulated market. ``sealed`` is None while it goes on."""

    book_id: int
    venue: str
    account_id: str
    opened: str
    sealed: str | None


class JournalReader:
    """A journal opened for reading only. Every method may raise ``UsageError`` when the file is damaged."""

    def __init__(self, path: Path) -> None:
        """Raises ``UsageError`` when there is no journal at ``path`` yet, or it is not one we can read."""
        self._path = path
        try:
            missing = not path.exists()
        except OSError as error:
            raise UsageError(f"journal {path}: cannot be read ({error.strerror})") from None
        if missing:
            raise _no_journal(path)
        try:
            self._connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None
            )
            version = schema.version_of(self._connection)
        except schema.NotAJournal as error:
            raise UsageError(f"journal {path} {error}") from None
        except sqlite3.Error as error:
            raise _unreadable(path, error) from None
        if version == 0:
            raise _no_journal(path)

    def books(self) -> list[Book]:
        """All books of the file, oldest first."""
        try:
            found = self._connection.execute(
                "SELECT book_id, venue, account_id, opened, sealed FROM books ORDER BY book_id"
            ).fetchall()
        except sqlite3.Error as error:
            raise _unreadable(self._path, error) from None
        return [
            Book(book_id, venue, account_id, _brief(opened), None if sealed is None else _brief(sealed))
            for book_id, venue, account_id, opened, sealed in found
        ]

    def pages(self, kind: Kind, book_id: int, since: date | None) -> Iterator[list[Values]]:
        """The book's records from the UTC day ``since`` on, in order of time, at most 1,000 at once.

        Orders count by when they were created, trades by their exit.
        """
        after: tuple[str, int] = ("" if since is None else since.isoformat(), 0)
        while True:
            try:
                cursor = self._connection.execute(_PAGES[kind], (book_id, *after, _PAGE))
                found = cursor.fetchall()
            except sqlite3.Error as error:
                raise _unreadable(self._path, error) from None
            if not found:
                return
            names = [column[0] for column in cursor.description[2:]]
            yield [dict(zip(names, map(_shown, row[2:]), strict=True)) for row in found]
            after = (found[-1][0], found[-1][1])

    def close(self) -> None:
        self._connection.close()


def _brief(time: str) -> str:
    """A stored time as events show it: without microseconds that are zero."""
    return time.removesuffix(".000000Z") + "Z" if time.endswith(".000000Z") else time


def _shown(value: str | int | None) -> str | int | None:
    return _brief(value) if isinstance(value, str) else value


def _no_journal(path: Path) -> UsageError:
    return UsageError(
        f"no journal at {path} yet: run tui-trader first, or name the right folder with --state-dir"
    )


def _unreadable(path: Path, error: sqlite3.Error) -> UsageError:
    return UsageError(f"journal {path}: cannot be read ({error}): stop the engine and restore a copy")
