"""How an entry of the log is laid out in rows, and which row of a log is which entry."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len, chop_cells

from tui_trader.tui.widgets.plain_text import clean

#: Rows that one entry may take in the list: who wants all of it opens it.
MOST_ROWS: Final = 3
#: Fewer cells than these for the text are not worth breaking it.
_LEAST_TEXT: Final = 16


class LogLine(NamedTuple):
    """One entry. ``text`` may come from outside: it is shown as it is, control characters replaced."""

    time: str
    level: str
    kind: str
    symbol: str
    text: str


def wrap(text: str, first: int, others: int) -> list[str]:
    """``text`` in rows of so many cells, broken at blanks where there are some."""
    text = clean(text)
    rows: list[str] = []
    width = first
    while cell_len(text) > width and min(first, others) >= _LEAST_TEXT:
        head = chop_cells(text, width)[0]
        at = head.rfind(" ") if text[len(head) : len(head) + 1] != " " else len(head)
        if at < len(head) // 2:
            at = len(head)
        rows.append(text[:at].rstrip())
        text = text[at:].lstrip()
        width = others
    return [*rows, text] if text or not rows else rows


class LogRows:
    """Which rows each entry takes. Entries are only added at the end and dropped at the beginning."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._base = 0  # rows that were dropped
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._base

    def add(self, heights: Sequence[int]) -> None:
        for height in heights:
            self._starts.append(self._end)
            self._end += height

    def drop(self, count: int) -> int:
        """Forget the first entries; how many rows they took."""
        before = self._base
        self._base = self._starts[count] if count < len(self._starts) else self._end
        del self._starts[:count]
        return self._base - before

    def first_row(self, entry: int) -> int:
        return self._starts[entry] - self._base

    def end_row(self, entry: int) -> int:
        """The row after the entry's last one."""
        following = entry + 1
        return (self._starts[following] if following < len(self._starts) else self._end) - self._base

    def entry_at(self, row: int) -> tuple[int, int]:
        """The entry of a row, and which of its rows that is."""
        entry = bisect_right(self._starts, row + self._base) - 1
        return entry, row - self.first_row(entry)
