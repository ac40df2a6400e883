"""Which columns of a table fit, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

#: Cells before the first column (the cursor mark) and between two columns.
MARGIN: Final = 1
GAP: Final = 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Those of the lowest ``priority`` go first when space is short, the rightmost of equals;
    a ``flexible`` one takes what is left, and ``width`` is then its least."""

    key: str
    title: str
    width: int
    align: Literal["left", "right"] = "left"
    priority: int = 0
    flexible: bool = False


class Placed(NamedTuple):
    """A column on screen: its number among all columns, first cell and width."""

    number: int
    x: int
    width: int

    @property
    def end(self) -> int:
        return self.x + self.width


def natural_width(columns: Sequence[Column]) -> int:
    """Cells that all columns need."""
    return MARGIN + sum(column.width for column in columns) + GAP * max(0, len(columns) - 1)


def place_columns(columns: Sequence[Column], width: int) -> tuple[Placed, ...]:
    """The columns that fit ``width`` cells, left to right; the last one left is cut, not dropped."""
    shown = list(range(len(columns)))
    while len(shown) > 1 and natural_width([columns[index] for index in shown]) > width:
        shown.remove(min(reversed(shown), key=lambda index: columns[index].priority))
    spare = max(0, width - natural_width([columns[index] for index in shown]))
    placed: list[Placed] = []
    x = MARGIN
    for index in shown:
        column = columns[index]
        column_width = column.width
        if column.flexible:
            column_width += spare
            spare = 0
        column_width = max(0, min(column_width, width - x))
        placed.append(Placed(index, x, column_width))
        x += column_width + GAP
    return tuple(placed)
