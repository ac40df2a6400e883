"""The rows of a table, their order and the selected one; knows nothing of a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tui_trader.tui.widgets.table_rows import Row, changed_cells, sorted_rows


@dataclass(slots=True)
class Changes:
    """What looks different. ``rows`` maps a row's number to its changed columns, None being all of it;
    ``length_from`` is the first row that came or went."""

    rows: dict[int, range | None] = field(default_factory=dict)
    length_from: int | None = None


class TableModel:
    """Every method that changes something says what looks different afterwards."""

    def __init__(self) -> None:
        self._given: Sequence[Row] = ()
        self.rows: list[Row] = []
        self.cursor = 0
        self.sort_column: int | None = None
        self.descending = False

    @property
    def selected_key(self) -> str | None:
        return self.rows[self.cursor].key if self.rows else None

    def update(self, given: Sequence[Row], stays: bool = True) -> Changes:
        """Other rows. The selection ``stays`` with its key, or else on the first row while unsorted."""
        self._given = given
        return self._arrange(stays or self.sort_column is not None)

    def sort(self, column: int | None, descending: bool) -> Changes:
        """By one column; None keeps the order as given."""
        self.sort_column, self.descending = column, descending
        return self._arrange()

    def move(self, index: int) -> Changes:
        """Select a row by its number, or the nearest there is."""
        changes = Changes()
        self._place_cursor(max(0, min(index, len(self.rows) - 1)), changes)
        return changes

    def index_of(self, key: str) -> int | None:
        return next((index for index, row in enumerate(self.rows) if row.key == key), None)

    def _arrange(self, stays: bool = True) -> Changes:
        selected, old = self.selected_key, self.rows
        if self.sort_column is None:
            self.rows = list(self._given)
        else:
            self.rows = sorted_rows(self._given, self.sort_column, self.descending)
        changes = Changes()
        if len(old) != len(self.rows):
            changes.length_from = min(len(old), len(self.rows))
        for index, (before, after) in enumerate(zip(old, self.rows, strict=False)):
            changed = changed_cells(before, after)
            if changed is not None:
                changes.rows[index] = changed
        self._place_cursor(self._where_went(selected) if stays else 0, changes)
        return changes

    def _where_went(self, key: str | None) -> int:
        """The row of that key; when it is gone the one that stands in its place."""
        cursor = max(0, min(self.cursor, len(self.rows) - 1))
        if key is None or (self.rows and self.rows[cursor].key == key):
            return cursor
        index = self.index_of(key)
        return cursor if index is None else index

    def _place_cursor(self, cursor: int, changes: Changes) -> None:
        if cursor != self.cursor:
            for index in (self.cursor, cursor):
                if index < len(self.rows):
                    changes.rows[index] = None
            self.cursor = cursor
