"""Candles as columns, made to meet thresholds exactly, and the same candles as the views a rule gets live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from tests.core.making import minute, view
from tui_trader.core.rule import CandleColumns, CandleView

_PRICES = st.sampled_from((10.0, 10.0, 10.01, 10.02, 10.05, 10.1, 10.2, 10.5))
#: Rising candles with bodies of 100, 80, 50 and 30 % of their range, as nearly as float64 has them.
_STRONG = st.sampled_from(
    ((10.0, 10.5, 10.0, 10.5), (10.0, 10.5, 10.0, 10.4), (10.1, 10.3, 10.1, 10.2), (10.1, 11.0, 10.0, 10.4))
)


class Row(NamedTuple):
    """Open, high, low, close, and the indicators."""

    open: float
    high: float
    low: float
    close: float
    now: Mapping[str, float]


@st.composite
def _coarse(draw: st.DrawFn) -> tuple[float, float, float, float]:
    open_, close = draw(_PRICES), draw(_PRICES)
    others = (open_, close, draw(_PRICES), draw(_PRICES))
    return open_, max(others), min(others), close


#: Prices on a coarse grid, often without a range, a body or a wick, and strong candles.
PRICES = st.one_of(_STRONG, _STRONG, _coarse())


def columns_of(rows: Sequence[Row]) -> CandleColumns:
    opens, highs, lows, closes = np.array([row[:4] for row in rows], dtype=np.float64).T
    now = {name: np.array([row.now[name] for row in rows]) for name in rows[0].now}
    return CandleColumns(opens, highs, lows, closes, np.full(len(rows), 1000.0), now)


def views_of(rows: Sequence[Row]) -> Iterator[CandleView]:
    before = dict.fromkeys(rows[0].now, float("nan"))
    for number, row in enumerate(rows):
        yield view(*row[:4], count=number + 1, now=row.now, before=before, start=minute(number), minutes=1)
        before = dict(row.now)
