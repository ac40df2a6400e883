"""Rows of a table as values: comparing, ordering and searching them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

Cell = Text | str
SortValue = float | str


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row. ``cells`` and ``sort`` have an entry for each column; ``dim`` draws it as stale or closed, but
    for the ``vivid`` columns. Strings are shown as they are: nothing in them is markup."""

    key: str
    cells: tuple[Cell, ...]
    sort: tuple[SortValue, ...]
    dim: bool = False
    vivid: tuple[int, ...] = ()


def same_cell(one: Cell, other: Cell) -> bool:
    """Whether two cells look the same. ``Text`` itself compares without its base style."""
    if one is other:
        return True
    if isinstance(one, Text):
        return isinstance(other, Text) and one.style == other.style and one == other
    return isinstance(other, str) and one == other


def changed_cells(old: Row, new: Row) -> range | None:
    """The columns from the first to the last that look different; None when the rows look the same."""
    if old is new:
        return None
    if (old.key, old.dim, old.vivid, len(old.cells)) != (new.key, new.dim, new.vivid, len(new.cells)):
        return range(max(len(old.cells), len(new.cells)))
    if old.cells is new.cells:
        return None
    changed = [
        index
        for index, (one, other) in enumerate(zip(old.cells, new.cells, strict=True))
        if not same_cell(one, other)
    ]
    return range(changed[0], changed[-1] + 1) if changed else None


def sorted_rows(rows: Iterable[Row], column: int, descending: bool) -> list[Row]:
    """Rows by one column; equal ones keep their order, and those without a value come last either way."""
    valued: list[tuple[tuple[bool, float, str], Row]] = []
    without: list[Row] = []
    for row in rows:
        value = row.sort[column] if column < len(row.sort) else ""
        if isinstance(value, str):
            if value:
                valued.append(((True, 0.0, value), row))
            else:
                without.append(row)
        elif math.isnan(value):
            without.append(row)
        else:
            valued.append(((False, value, ""), row))
    valued.sort(key=lambda item: item[0], reverse=descending)
    return [row for _, row in valued] + without


def find_row(rows: Sequence[Row], text: str) -> int | None:
    """The first row whose key begins with ``text``, else the first that contains it anywhere."""
    wanted = text.casefold()
    if not wanted:
        return None
    for index, row in enumerate(rows):
        if row.key.casefold().startswith(wanted):
            return index
    for index, row in enumerate(rows):
        if wanted in row.key.casefold() or any(wanted in str(cell).casefold() for cell in row.cells):
            return index
    return None
