"""Historical bars as Alpaca's JSON has them, turned into columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from tui_trader.venues.base import BarColumns

_TO_THE_MINUTE: Final = len("2026-11-18T14:31")
_PRICES: Final = ("o", "h", "l", "c")
_NUMBERS: Final = (int, float)
#: More shares than were ever issued, and still exact as float64.
_MOST_SHARES: Final = 2**53
#: What reading a row that is no bar raises.
_UNREADABLE: Final = (AttributeError, LookupError, TypeError, ValueError, OverflowError)


def bar_columns(rows: Sequence[Any]) -> BarColumns:
    """The rows of one symbol, in their order. Rows whose fields are not numbers and a time are left out.

    Nothing else is judged here: the engine decides which bars it believes.
    """
    try:
        return _all_at_once(rows)
    except _UNREADABLE:
        return _all_at_once([row for row in rows if _is_readable(row)])


def joined(parts: Sequence[BarColumns]) -> BarColumns:
    """``parts`` one after another."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return _all_at_once([])
    return BarColumns(*(np.concatenate([getattr(p, name) for p in parts]) for name in BarColumns.__slots__))


def _all_at_once(rows: Sequence[Any]) -> BarColumns:
    """Raises one of ``_UNREADABLE`` when a row has not what a bar needs."""
    times = [row["t"] for row in rows]
    if not all(text[_TO_THE_MINUTE] == ":" and text.endswith("Z") for text in times):
        raise ValueError("a time is not UTC text")
    # numpy reads times without a zone fastest; all of these are UTC.
    minute = np.array([text[:_TO_THE_MINUTE] for text in times], dtype="datetime64[m]").astype(np.int64)
    fields = [[row[key] for row in rows] for key in (*_PRICES, "v")]
    # numpy would also take text, None and truth values for numbers.
    if not all(set(map(type, field)) <= set(_NUMBERS) for field in fields):
        raise TypeError("a value is not a number")
    open_, high, low, close, volume = numbers = [np.array(field, dtype=np.float64) for field in fields]
    if not all(np.isfinite(column).all() for column in numbers) or (np.abs(volume) > _MOST_SHARES).any():
        raise ValueError("a value is not finite")
    return BarColumns(minute, open_, high, low, close, volume.astype(np.int64))


def _is_readable(row: Any) -> bool:
    try:
        _all_at_once([row])
    except _UNREADABLE:
        return False
    return True
