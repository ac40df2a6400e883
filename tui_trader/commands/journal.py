"""The `journal` command: orders, fills, trades and events as a table or as JSON Lines."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from tui_trader.errors import printable
from tui_trader.journal.reader import Book, JournalReader, Kind, Values
from tui_trader.journal.store import JOURNAL_FILE


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    key: str
    width: int  # the least; a wider value makes the column wider
    right: bool = False


_TIME: Final = len("2026-01-02T14:30:00Z")
_COLUMNS: Final[dict[Kind, tuple[_Column, ...]]] = {
    "orders": (
        _Column("created", "created", _TIME),
        _Column("symbol", "symbol", 6),
        _Column("role", "role", 5),
        _Column("side", "side", 4),
        _Column("type", "order_type", 10),
        _Column("qty", "qty", 5, right=True),
        _Column("filled", "filled_qty", 6, right=True),
        _Column("limit", "limit_price", 8, right=True),
        _Column("stop", "stop_price", 8, right=True),
        _Column("state", "state", 9),
        _Column("order", "client_order_id", 0),
        _Column("reason", "reason", 0),
    ),
    "fills": (
        _Column("time", "time", _TIME),
        _Column("symbol", "symbol", 6),
        _Column("side", "side", 4),
        _Column("qty", "qty", 5, right=True),
        _Column("price", "price", 9, right=True),
        _Column("position", "position_qty", 8, right=True),
        _Column("order", "client_order_id", 0),
        _Column("execution", "execution_id", 0),
    ),
    "trades": (
        _Column("entry time", "entry_time", _TIME),
        _Column("exit time", "exit_time", _TIME),
        _Column("symbol", "symbol", 6),
        _Column("strategy", "strategy", 8),
        _Column("qty", "qty", 5, right=True),
        _Column("entry", "entry_price", 9, right=True),
        _Column("exit", "exit_price", 9, right=True),
        _Column("pnl", "pnl", 9, right=True),
        _Column("reason", "reason", 0),
    ),
    "events": (
        _Column("time", "time", _TIME),
        _Column("seq", "seq", 7, right=True),
        _Column("type", "type", 17),
        _Column("details", "details", 0),
    ),
}
_IN_EVENT_COLUMNS: Final = ("type", "time", "seq")


def journal_text(kind: Kind, state_dir: Path, since: date | None, as_json: bool) -> Iterable[str]:
    """Lines to print: every book of the journal in ``state_dir`` from the UTC day ``since`` on.

    Safe while an engine runs. Raises ``UsageError`` when there is no journal, or it cannot be read.
    """
    reader = JournalReader(state_dir / JOURNAL_FILE)
    return _json_lines(reader, kind, since) if as_json else _table(reader, kind, since)


def _json_lines(reader: JournalReader, kind: Kind, since: date | None) -> Iterator[str]:
    for book in reader.books():
        of_book: Values = {"book": book.book_id, "venue": book.venue, "account_id": book.account_id}
        for page in reader.pages(kind, book.book_id, since):
            for values in page:
                if kind == "events":
                    yield _terminal_safe(str(values["json"]))
                else:
                    yield _terminal_safe(json.dumps(of_book | values, ensure_ascii=False))


def _terminal_safe(line: str) -> str:
    """JSON leaves DEL, the C1 controls and direction marks as they are; as escapes they mean the same."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1].replace("\x7f", "\\u007f") for c in line)


def _table(reader: JournalReader, kind: Kind, since: date | None) -> Iterator[str]:
    columns = _COLUMNS[kind]
    empty = True
    for book in reader.books():
        widths = [max(column.width, len(column.title)) for column in columns]
        headed = False
        for page in reader.pages(kind, book.book_id, since):
            cells = [[_cell(kind, column.key, values) for column in columns] for values in page]
            for place, width in enumerate(widths):
                widths[place] = max(width, *(_cells_wide(row[place]) for row in cells))
            if not headed:
                if not empty:
                    yield ""
                yield _heading(book)
                yield _line([column.title for column in columns], columns, widths)
                headed, empty = True, False
            for row in cells:
                yield _line(row, columns, widths)
    if empty:
        yield f"No {kind} in the journal" + ("." if since is None else f" since {since.isoformat()}.")


def _heading(book: Book) -> str:
    end = "" if book.sealed is None else f", sealed {book.sealed}"
    return printable(
        f"Book {book.book_id}: {book.venue}, account {book.account_id}, opened {book.opened}{end}"
    )


def _cell(kind: Kind, key: str, values: Values) -> str:
    if key == "details":
        return _details(str(values["json"]))
    value = values[key]
    return "" if value is None else printable(str(value))


def _details(line: str) -> str:
    event = json.loads(line)
    return printable(
        " ".join(f"{name}={_plain(value)}" for name, value in event.items() if name not in _IN_EVENT_COLUMNS)
    )


def _plain(value: object) -> str:
    if isinstance(value, str) and value and " " not in value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _cells_wide(text: str) -> int:
    """Terminal cells that ``text`` takes: East Asian wide letters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def _line(texts: list[str], columns: tuple[_Column, ...], widths: list[int]) -> str:
    padded = []
    for text, column, width in zip(texts, columns, widths, strict=True):
        room = " " * (width - _cells_wide(text))
        padded.append(room + text if column.right else text + room)
    return "  ".join(padded).rstrip()
