"""What a POST to the control API may ask, checked before the engine hears of it."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from tui_trader.engine.handle import ASKED_TO_STOP, Command, Flatten, Pause, PositionsPolicy, Resume, Shutdown

_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9./-]{0,14}")
_ORIGIN: Final = ASKED_TO_STOP
_FIELDS: Final = {"pause": (), "resume": (), "flatten": ("symbol",), "shutdown": ("positions",)}

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
    if name == "pause":
        return Pause(reason=_ORIGIN)
    if name == "resume":
        return Resume()
    if name == "flatten":
        return Flatten(symbol=_symbol(fields.get("symbol")))
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


def _positions(value: object) -> PositionsPolicy | None:
    if value is None or value == "close" or value == "keep":
        return value
    raise BadRequest('"positions" is not "close" or "keep"; leave it out for the configured policy')
