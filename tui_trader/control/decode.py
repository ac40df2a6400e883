"""The control API's JSON as the engine's own values: the way back from ``views`` and ``events.to_json``.

What a newer engine adds is overlooked; what is missing or cannot be read raises ``NotUnderstoodError``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tui_trader.core.events import EVENT_TYPES, Published
from tui_trader.engine.handle import CandleRow, EngineInfo, EngineSnapshot
from tui_trader.errors import TuiTraderError
from tui_trader.venues.base import Mode

_T = TypeVar("_T")
_Reader = Callable[[Any], Any]
_KINDS: Final[Mapping[str, Any]] = {kind.__name__: kind for kind in EVENT_TYPES}


class NotUnderstoodError(TuiTraderError):
    """The engine's answer has another form than this version knows."""

    def __init__(self) -> None:
        super().__init__("the engine's answer is not understood: is it of another version?")


def read_info(status: Mapping[str, Any], state_dir: str) -> EngineInfo:
    """What the status document says of the engine itself; ``state_dir`` is where it was found."""
    symbols = tuple(view.symbol for view in read_snapshot(status).symbols)
    return _read(
        lambda: EngineInfo(
            str(status["version"]),
            Mode(status["mode"]),
            str(status["venue"]),
            str(status["account_id"]),
            symbols,
            state_dir,
            _reader(int | None)(status["seed"]),
        )
    )


def read_snapshot(status: Mapping[str, Any]) -> EngineSnapshot:
    """The snapshot in a status document."""
    reader = _reader(EngineSnapshot)

    def snapshot() -> EngineSnapshot:
        warmup = status["warmup"]
        made: EngineSnapshot = reader(
            {**status, "warmup_done": warmup["done"], "warmup_total": warmup["total"]}
        )
        return made

    return _read(snapshot)


def read_candles(document: Mapping[str, Any]) -> tuple[CandleRow, ...]:
    """The rows of a candles document."""
    return _read(lambda: tuple(_candle(row) for row in document["candles"]))


def read_event(document: Mapping[str, Any]) -> Published | None:
    """An event of the stream; None when this version does not know its kind."""
    kind = _KINDS.get(str(document.get("type")))
    if kind is None:
        return None
    reader = _reader(kind)
    return _read(lambda: Published(_int(document["seq"]), _datetime(document["time"]), reader(document)))


def _read(make: Callable[[], _T]) -> _T:
    try:
        return make()
    except (KeyError, TypeError, ValueError, InvalidOperation, AttributeError):
        raise NotUnderstoodError from None


def _candle(row: list[Any]) -> CandleRow:
    time, opened, high, low, close, volume, fast, slow = row
    prices = (_float(opened), _float(high), _float(low), _float(close))
    return CandleRow(_datetime(time), *prices, _int(volume), _float(fast), _float(slow))


# ---- readers: one a type -----------------------------------------------------------------------------


@cache
def _reader(kind: Any) -> _Reader:
    """What makes a value of ``kind`` from its JSON form."""
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return simple
    if is_dataclass(kind) and isinstance(kind, type):
        return _dataclass_reader(kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:
        return _optional(_reader(next(part for part in arguments if part is not NoneType)))
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        item = _reader(arguments[0])
        return lambda values: tuple(item(value) for value in values)
    if origin is tuple:
        items = [_reader(part) for part in arguments]
        return lambda values: tuple(one(value) for one, value in zip(items, values, strict=True))
    if origin is Literal:
        return _str
    raise TypeError(f"no JSON form is known of {kind}")


def _dataclass_reader(kind: type) -> _Reader:
    hints = get_type_hints(kind)
    readers = [
        (
            field.name,
            _reader(hints[field.name]),
            field.default is MISSING and field.default_factory is MISSING,
        )
        for field in fields(kind)
    ]

    def read(document: Any) -> Any:
        return kind(
            **{name: one(document[name]) for name, one, needed in readers if needed or name in document}
        )

    return read


def _optional(inner: _Reader) -> _Reader:
    return lambda value: None if value is None else inner(value)


def _float(value: Any) -> float:
    if value is None:  # JSON has no NaN
        return math.nan
    if isinstance(value, bool | str):
        raise TypeError
    return float(value)


def _int(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _decimal(value: Any) -> Decimal:
    return Decimal(_str(value))


def _datetime(value: Any) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError
    return time


_SIMPLE: Final[Mapping[Any, _Reader]] = {
    float: _float,
    int: _int,
    bool: _bool,
    str: _str,
    Decimal: _decimal,
    datetime: _datetime,
}
