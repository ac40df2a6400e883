"""From ``--set`` texts to a grid of parameters: ranges, lists and single values."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from typing import Final

from tui_trader.backtest.setup import parse_sets
from tui_trader.errors import UsageError

#: More parameter sets than this are a mistake in typing or a week of computing; either should be asked for.
MOST_SETS: Final = 100_000

_NUMBER: Final = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_RANGE: Final = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::({_NUMBER}))?")
_LONGEST_NUMBER: Final = 20
#: Sums and products of numbers of at most ``_LONGEST_NUMBER`` characters are exact in it.
_EXACT: Final = Context(prec=60, traps=[Inexact])


@dataclass(frozen=True, slots=True)
class Grid:
    """The values of each parameter: text. Its combinations are the parameter sets, the last key fastest."""

    axes: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return math.prod(len(values) for values in self.axes.values())

    def __iter__(self) -> Iterator[dict[str, str]]:
        for values in itertools.product(*self.axes.values()):
            yield dict(zip(self.axes, values, strict=True))

    @property
    def swept(self) -> tuple[str, ...]:
        """The parameters that have more than one value."""
        return tuple(key for key, values in self.axes.items() if len(values) > 1)


def parse_grid(sets: Sequence[str]) -> Grid:
    """``key=values`` texts as a grid.

    Values are separated by commas; each is a range ``a..b:step`` with both ends (``b`` when a step ends on
    it; whole numbers need no step), or a value as it stands. What comes twice counts once. Raises
    ``UsageError`` for a text that is none of this, or when there are more than ``MOST_SETS`` combinations.
    """
    grid = Grid({key: _values(key, text) for key, text in parse_sets(sets).items()})
    if len(grid) > MOST_SETS:
        counts = " × ".join(f"{key} {len(grid.axes[key]):,}" for key in grid.swept)
        raise UsageError(
            f"--set: {len(grid):,} combinations ({counts}); at most {MOST_SETS:,} are run: "
            "use longer steps or fewer values"
        )
    return grid


def _values(key: str, text: str) -> tuple[str, ...]:
    values: dict[str, None] = {}
    for piece in text.split(","):
        piece = piece.strip()
        if not piece:
            raise UsageError(f"--set {key}={text}: a value is missing beside a comma")
        values.update(dict.fromkeys(_range(f"--set {key}={piece}", piece) if ".." in piece else [piece]))
    return tuple(values)


def _range(where: str, text: str) -> Iterator[str]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise UsageError(f"{where}: not a range: write first..last:step, such as 10..40:5")
    if match[3] is None and "." in match[1] + match[2]:
        raise UsageError(f"{where}: the step is missing: write first..last:step, such as 0.1..0.5:0.1")
    numbers = match[1], match[2], match[3] or "1"
    if any(len(number) > _LONGEST_NUMBER for number in numbers):
        raise UsageError(f"{where}: a number is longer than {_LONGEST_NUMBER} characters")
    first, last, step = map(Decimal, numbers)
    if step <= 0:
        raise UsageError(f"{where}: the step must be more than 0")
    if last < first:
        raise UsageError(f"{where}: the last value is less than the first; write {last}..{first}:{step}")
    count = int(_EXACT.divide_int(_EXACT.subtract(last, first), step)) + 1
    if count > MOST_SETS:
        raise UsageError(f"{where}: {count:,} values; at most {MOST_SETS:,} are run: use a longer step")
    for number in range(count):
        yield f"{_EXACT.add(first, _EXACT.multiply(step, Decimal(number))):f}"
