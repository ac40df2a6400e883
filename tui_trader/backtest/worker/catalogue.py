"""Which strategies can be chosen, and the parameters of one of them with their bounds, as text."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib.metadata import entry_points
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from tui_trader.backtest.worker.messages import Describe, Described, Parameter, StrategyName
from tui_trader.config import LoadedSettings, load_settings
from tui_trader.errors import UsageError
from tui_trader.paths import default_config_path
from tui_trader.strategies.base import Strategy
from tui_trader.strategies.registry import GROUP, find_strategy
from tui_trader.strategies.sma_cross import SmaCross
from tui_trader.strategies.velez import Velez

_BUILT_IN = (Velez.name, SmaCross.name)
_MOST_TEXT = 200
_MOST_NAMES = 500


def describe(request: Describe, environ: Mapping[str, str]) -> Described:
    """The strategies by name, and the parameters of one. Raises ``UsageError`` for bad settings.

    Only the code of the strategy that is asked about is loaded.
    """
    loaded = load_settings(request.config, environ, {})
    folder = default_config_path().parent / "strategies"
    names = tuple(dict.fromkeys(_names(folder)))[:_MOST_NAMES]
    name = request.strategy or loaded.settings.routes[0].strategy
    try:
        strategy = find_strategy(name, folder)
        own = vars(strategy).get("__doc__") or inspect.getdoc(inspect.getmodule(strategy))
        about = _one_line(str(own or ""))
        parameters = tuple(_parameters(strategy, loaded))
    except UsageError as error:
        return Described(names, name, problem=str(error))
    return Described(names, name, about, parameters)


def _names(folder: Path) -> Iterator[StrategyName]:
    """In the order in which they are found, so that the first of a name is the one that is used."""
    found = [StrategyName(name, "built in") for name in _BUILT_IN]
    found += [
        StrategyName(point.name, _one_line(f"package {point.value}")) for point in entry_points(group=GROUP)
    ]
    if folder.is_dir():
        found += [StrategyName(path.stem, path.name) for path in sorted(folder.glob("*.py"))]
    seen: set[str] = set()
    for entry in found:
        if entry.name not in seen:
            seen.add(entry.name)
            yield entry


def _parameters(strategy: type[Strategy], loaded: LoadedSettings) -> Iterator[Parameter]:
    """Each with the value that the first route of this strategy gives it, else its default."""
    routes = loaded.settings.routes
    configured = next((route.config for route in routes if route.strategy == strategy.name), {})
    for name, field in strategy.config_type.model_fields.items():
        default = "" if field.is_required() else as_text(field.get_default(call_default_factory=True))
        value = as_text(configured[name]) if name in configured else default
        yield Parameter(
            name,
            value,
            default,
            _bounds(field),
            _one_line(field.description or ""),
            _choices(field.annotation),
        )


def as_text(value: object) -> str:
    """A parameter's value as it would be typed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        value = value.value
    return "" if value is None else _one_line(str(value))


def _choices(annotation: Any) -> tuple[str, ...]:
    if annotation is bool:
        return ("false", "true")
    if get_origin(annotation) is Literal:
        return tuple(as_text(choice) for choice in get_args(annotation))
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return tuple(as_text(member) for member in annotation)
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return _choices(kinds[0]) if len(kinds) == 1 else ()
    return ()


def _bounds(field: FieldInfo) -> str:
    """``5–50``, ``from 5``, ``above 0``: what its constraints say."""
    limits = {
        name: as_text(getattr(item, name))
        for item in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if getattr(item, name, None) is not None
    }
    if "ge" in limits and "le" in limits:
        return f"{limits['ge']}–{limits['le']}"
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    return " ".join(f"{word} {limits[name]}" for name, word in words.items() if name in limits)


def _one_line(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())[:_MOST_TEXT]
