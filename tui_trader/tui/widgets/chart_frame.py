"""How the cells of a chart are shared out; known before there is anything to draw."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

_LEAST_PLOT: Final = 8
_VOLUME_FROM: Final = 14
_TIMES_FROM: Final = 4


class Frame(NamedTuple):
    """How the cells of a chart are shared out."""

    plot_width: int
    plot_rows: int
    axis_width: int
    volume_rows: int
    time_rows: int


def frame(width: int, height: int, highest: float) -> Frame:
    """The layout for a size; the axes give way before the candles do."""
    axis = axis_width(highest)
    if width < axis + _LEAST_PLOT:
        axis = 0
    times = 1 if height >= _TIMES_FROM else 0
    volume = max(2, min(3, height // 6)) if height >= _VOLUME_FROM else 0
    return Frame(max(0, width - axis), max(0, height - times - volume), axis, volume, times)


def price_decimals(highest: float) -> int:
    """Cents, and hundredths of a cent below a dollar."""
    return 4 if abs(highest) < 1 else 2


def axis_width(highest: float) -> int:
    """Cells of the price axis: a mark, a blank and the longest price."""
    if not math.isfinite(highest):
        highest = 0.0
    return 2 + max(7, len(f"{highest:.{price_decimals(highest)}f}"))
