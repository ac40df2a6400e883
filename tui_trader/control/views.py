"""The engine's snapshot as the JSON document of ``GET /v1/status``."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from tui_trader.core.events import iso_utc
from tui_trader.core.money import plain
from tui_trader.engine.handle import EngineInfo, EngineSnapshot


def to_plain(value: Any) -> Any:
    """``value`` as JSON values: decimals as strings, times as ISO 8601 UTC, NaN and infinity as null."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return str(value)
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def status_document(info: EngineInfo, snapshot: EngineSnapshot) -> dict[str, Any]:
    """Everything a viewer may see of the engine at one moment, as plain JSON values."""
    document: dict[str, Any] = {
        "version": info.version,
        "mode": str(info.mode),
        "venue": info.venue,
        "account_id": info.account_id,
        "seed": info.seed,
    }
    document |= to_plain(snapshot)
    document["warmup"] = {
        "done": document.pop("warmup_done"),
        "total": document.pop("warmup_total"),
    }
    document["routes"] = _routes(snapshot)
    return document


def _routes(snapshot: EngineSnapshot) -> list[dict[str, Any]]:
    """Which strategy trades which symbols."""
    routes: dict[str, list[str]] = {}
    for view in snapshot.symbols:
        routes.setdefault(view.strategy, []).append(view.symbol)
    return [{"strategy": strategy, "symbols": symbols} for strategy, symbols in routes.items()]
