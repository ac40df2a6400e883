"""What a POST to the control API may ask, checked before the engine hears of it."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from tui_trader.engine.handle import (
    ASKED_TO_STOP,
    CancelWorkingOrder,
    Command,
    Flatten,
    Pause,
    PositionsPolicy,
    Resume,
    SetSpeed,
    Shutdown,
)

_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9./-]{0,14}")
_ORIGIN: Final = ASKED_TO_STOP
_LONGEST_ID: Final = 128
_FASTEST: Final = 1_000_000.0
_FIELDS: Final = {
    "pause": (),
    "resume": ("reset_breaker",),
    "flatten": ("symbol",),
    "cancel": ("client_order_id",),
    "speed": ("speed",),
    "shutdown": ("positions",),
}

COMMANDS: Final = tuple(_FIELDS)


class BadRequest(Exception):  # noqa: N818 - named as the HTTP status it becomes
    """The body is not what the command takes; ``str`` is one line that may be shown to the caller."""


def parse_command(name: str, body: bytes) -> Command:
    """The command that ``body`` asks for (empty = no field given); raises ``BadRequest``."""
    fields = _parse_object(body)
    known = _FIELDS[name]
    if not set(fields) <= set(known):
        takes = f"takes only {json.dumps(known[0])}" if known else "takes no field"
        raise BadRequest(f"unknown field: {name} {takes}")
    match name:
        case "pause":
            return Pause(reason=_ORIGIN)
        case "resume":
            return Resume(_flag(fields.get("reset_breaker", False)))
        case "flatten":
            return Flatten(symbol=_symbol(fields.get("symbol")))
        case "cancel":
            return CancelWorkingOrder(_order_id(fields.get("client_order_id")))
        case "speed":
            return SetSpeed(_speed(fields))
        case _:
            return Shutdown(reason=_ORIGIN, positions=_positions(fields.get("positions")))


def _parse_object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        document = json.loads(body.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON in UTF-8, or names a field twice") from None
    if not isinstance(document, dict):
        raise BadRequest("the body is not a JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readers of {"symbol": "A", "symbol": null} may disagree on what to close.
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError
    return document


def _symbol(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _SYMBOL.fullmatch(value.upper()):
        raise BadRequest('"symbol" is not a symbol such as "AAPL"; leave it out to close everything')
    return value.upper()


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise BadRequest('"reset_breaker" is not true or false')


def _order_id(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isascii() and value.isprintable():
        return value
    raise BadRequest('"client_order_id" is not the id of an order')


def _speed(fields: dict[str, Any]) -> float | None:
    value = fields.get("speed", 0)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _FASTEST:
        return float(value)
    raise BadRequest('"speed" is not a number of market seconds a second; null is as fast as it goes')


def _positions(value: object) -> PositionsPolicy | None:
    if value is None or value == "close" or value == "keep":
        return value
    raise BadRequest('"positions" is not "close" or "keep"; leave it out for the configured policy')
