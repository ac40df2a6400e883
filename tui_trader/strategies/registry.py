"""Strategies by name: built in, from installed packages, and from the user's own folder."""

from __future__ import annotations

import importlib.util
import inspect
import os
import stat
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tui_trader.core.candles import INTERVALS
from tui_trader.core.indicators import Indicator, IndicatorCalculator
from tui_trader.errors import UsageError
from tui_trader.strategies.base import Strategy, StrategyConfig
from tui_trader.strategies.sma_cross import SmaCross
from tui_trader.strategies.velez import Velez

#: Installed packages offer strategies under this entry-point group: ``name = "package.module:Class"``.
GROUP = "tui_trader.strategies"
_MOST_CANDLES = 100_000
_TEXT_LENGTH = 300
_NUMBER_LENGTH = 40
_BUILT_IN: tuple[type[Strategy], ...] = (Velez, SmaCross)


def find_strategy(name: str, user_folder: Path | None = None, where: str = "") -> type[Strategy]:
    """The strategy class called ``name``; raises ``UsageError`` with ``where`` (a place) and a near name."""
    for strategy in _BUILT_IN:
        if strategy.name == name:
            return strategy
    known = {strategy.name for strategy in _BUILT_IN}
    for point in entry_points(group=GROUP):
        known.add(point.name)
        if point.name == name:
            source = f"entry point {point.value}"
            try:
                found = point.load()
            except BaseException as error:  # noqa: BLE001 - whatever a package does wrong
                raise UsageError(f"{source} cannot be loaded: {_what(error)}") from None
            return _checked(found, source)
    if user_folder is not None and user_folder.is_dir():
        for path in sorted(user_folder.glob("*.py")):
            known.add(path.stem)
            if path.stem == name:
                return _from_file(path)
    near = get_close_matches(name, sorted(known), n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
    raise UsageError(f"{f'{where}: ' if where else ''}unknown strategy {name!r}: {hint}")


def strategy_config(strategy: type[Strategy], values: Mapping[str, Any], where: str) -> StrategyConfig:
    """``values`` validated as the strategy's parameters; ``where`` names their source in an error.

    Values from the environment and from ``--set`` are text: what reads as a number is taken for one.
    """
    try:
        config = strategy.config_type.model_validate({key: as_number(value) for key, value in values.items()})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            near = get_close_matches(name, list(strategy.config_type.model_fields), n=1)
            hint = f"did you mean {near[0]}?" if near else f"{strategy.name} has no such parameter"
            raise UsageError(f"{where}: {name}: {hint}") from None
        if not name:
            raise UsageError(f"{where}: {_reason(first)}") from None
        raise UsageError(f"{where}: {name} = {first['input']}: {_reason(first)}") from None
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    except Exception as error:  # noqa: BLE001 - a strategy's own validator
        raise UsageError(f"{where}: {strategy.name} cannot check its parameters: {_what(error)}") from None
    _try_out(strategy, config)
    return config


def _reason(error: ErrorDetails) -> str:
    """What a value must be, in our words where we have them."""
    context = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "greater_than":
            return f"must be more than {context['gt']}"
        case "less_than":
            return f"must be less than {context['lt']}"
        case "literal_error":
            return f"must be {context['expected']}"
        case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size":
            return "must be a whole number"
        case "float_type" | "float_parsing" | "decimal_type" | "decimal_parsing" | "finite_number":
            return "must be a number"
    return error["msg"]


def _try_out(strategy: type[Strategy], config: StrategyConfig) -> None:
    """What every strategy is asked at the start of a run is asked here first, where it can be explained."""
    check_strategy(strategy, lambda: strategy("A", config))


def check_strategy(strategy: type[Strategy], make: Callable[[], Strategy]) -> Strategy:
    """The instance that ``make`` makes, once it has answered what the engine asks before it trades."""
    try:
        with localcontext():
            trial = make()
            wanted = dict(trial.indicators)
            unusable = _unusable_indicator(wanted)
            if not unusable:
                IndicatorCalculator(wanted)
            named = trial.symbol, trial.config
            minutes = trial.candle_interval_minutes
            counts = (trial.required_history, trial.pending_expiry_candles)
            bool(trial.force_close_eod)
    except BaseException as error:  # noqa: BLE001 - whatever a user's class does wrong
        raise UsageError(f"strategy {strategy.name} cannot be used: {_what(error)}") from None
    if not all(isinstance(count, int) and 0 <= count <= _MOST_CANDLES for count in counts):
        raise UsageError(
            f"strategy {strategy.name} cannot be used: required_history and pending_expiry_candles must be "
            f"whole numbers up to {_MOST_CANDLES}, not {counts[0]!r:.40} and {counts[1]!r:.40}"
        )
    if unusable:
        raise UsageError(f"strategy {strategy.name} cannot be used: {unusable}")
    if not isinstance(named[0], str):
        raise UsageError(f"strategy {strategy.name} cannot be used: it changes its symbol")
    if type(minutes) is not int or minutes not in INTERVALS:
        known = ", ".join(str(interval) for interval in INTERVALS)
        raise UsageError(
            f"strategy {strategy.name} cannot be used: candles of {minutes} minutes: one of {known}"
        )
    return trial


def _unusable_indicator(wanted: Mapping[Any, Any]) -> str:
    """What is wrong with the indicators that a strategy asks for, if anything."""
    for name, indicator in wanted.items():
        if not isinstance(name, str) or not isinstance(indicator, Indicator):
            return f"indicators must map names to Indicator, not {name!r:.40} to {indicator!r:.60}"
        period = indicator.period
        if type(period) is not int or not (1 <= period <= _MOST_CANDLES or indicator.kind == "vwap"):
            return f"indicator {name}: a period of {period!r:.40} candles"
    return ""


def _what(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - even its text is the user's code
        text = "(its text cannot be read)"
    return f"{type(error).__name__}: {text}"[:_TEXT_LENGTH]


def as_number(value: Any) -> Any:
    """Text that reads as a number as that number, anything else as it is.

    Raises ``UsageError`` for numbers of so many digits that they would hold everything up.
    """
    if isinstance(value, str):
        for kind in (int, Decimal):
            try:
                number = kind(value)
            except (ValueError, ArithmeticError):
                continue
            if len(value) > _NUMBER_LENGTH or abs(Decimal(number).adjusted()) > _NUMBER_LENGTH:
                raise UsageError(f"{value[:20]}: must be a number of ordinary size")
            return number
    return value


def _checked(found: object, source: str) -> type[Strategy]:
    if not (inspect.isclass(found) and issubclass(found, Strategy)):
        raise UsageError(f"{source} is not a Strategy class")
    return found


def _from_file(path: Path) -> type[Strategy]:
    """The one Strategy class defined in ``path``, which only its owner may be able to change."""
    for place in (path, path.parent, path.parent.parent):
        owner = place.stat().st_uid
        if owner not in (os.getuid(), 0):
            raise UsageError(f"{place} belongs to another user: only your own code is run")
        if place.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UsageError(f"{place} may be changed by others: chmod go-w {place}")
    spec = importlib.util.spec_from_file_location(f"tui_trader_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        with localcontext():  # a file that sets the precision sets it for itself
            spec.loader.exec_module(module)
    except BaseException as error:  # noqa: BLE001 - whatever a user's file does wrong
        raise UsageError(f"{path} cannot be loaded: {_what(error)}") from None
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Strategy) and value.__module__ == spec.name
    ]
    if len(own) != 1:
        raise UsageError(f"{path} must define exactly one Strategy class, it defines {len(own)}")
    own[0].name = path.stem
    return own[0]
