"""The parameter sets of a grid, every one of them validated before anything runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from tui_trader.backtest.runner import BacktestRules
from tui_trader.backtest.setup import make_plan
from tui_trader.config import LoadedSettings, load_settings
from tui_trader.errors import UsageError
from tui_trader.limits import breaker_limits, risk_limits, session_rules
from tui_trader.options import BacktestOptions
from tui_trader.paths import default_config_path
from tui_trader.strategies.base import Strategy, StrategyConfig
from tui_trader.strategies.registry import as_number, check_strategy, find_strategy
from tui_trader.sweep.grid import Grid
from tui_trader.sweep.jobs import failed

_SECTIONS: Final = ("risk.", "session.")
_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """One combination: ``values`` as typed for the grid; ``config`` has all of the strategy's, as JSON."""

    values: Mapping[str, str]
    config: str
    rules: BacktestRules
    max_bar_jump_pct: float


@dataclass(frozen=True, slots=True)
class Candidates:
    """The sets to try, in the grid's order; ``left_out`` were those whose parameters exclude each other."""

    strategy: type[Strategy]
    sets: tuple[ParameterSet, ...]
    left_out: int
    reason: str  # of the last one left out


def user_strategies() -> Path:
    """The folder of the user's own strategies."""
    return default_config_path().parent / "strategies"


def candidates(options: BacktestOptions, environ: Mapping[str, str], grid: Grid) -> Candidates:
    """The user's own configuration with every combination of ``grid`` on top.

    A combination whose values are fine one by one, but not together (``sma_fast`` not below ``sma_slow``), is
    left out; two that mean the same count once. Raises ``UsageError`` for a value that is out of bounds, an
    unknown key, or when no combination is left.
    """
    base = _Base(options, environ)
    found: dict[tuple[str, BacktestRules, float], ParameterSet] = {}
    left_out, reason = 0, ""
    for values in grid:
        try:
            chosen = base.parameter_set(values)
        except _ConflictError as conflict:
            left_out += 1
            reason = str(conflict)
        else:
            found.setdefault((chosen.config, chosen.rules, chosen.max_bar_jump_pct), chosen)
    if not found:
        raise UsageError(f"--set: no combination can be used: {reason}")
    return Candidates(base.strategy, tuple(found.values()), left_out, reason)


def config_of(strategy: type[Strategy], text: str) -> StrategyConfig:
    """The parameters that ``ParameterSet.config`` holds."""
    return strategy.config_type.model_validate_json(text)


class _ConflictError(Exception):
    """Values that exclude each other."""


class _Base:
    """What every combination is put on top of, loaded once."""

    def __init__(self, options: BacktestOptions, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ
        loaded = load_settings(options.config, environ, {})
        name = options.strategy or loaded.settings.routes[0].strategy
        where = "--strategy" if options.strategy else loaded.place_of("routes.1.strategy")
        self.strategy = find_strategy(name, user_strategies(), where)
        self._config = _route_config(loaded, self.strategy)
        self._risk = loaded.settings.risk
        self._session = loaded.settings.session

    def parameter_set(self, values: Mapping[str, str]) -> ParameterSet:
        """Raises ``_ConflictError`` or ``UsageError``."""
        try:
            risk = _changed(self._risk, "risk.", values)
            session = _changed(self._session, "session.", values)
            own = {key: as_number(value) for key, value in values.items() if not key.startswith(_SECTIONS)}
            config = self.strategy.config_type.model_validate(self._config | own)
            text = self._canonical(config)
            check_strategy(self.strategy, partial(self.strategy, "A", config))
        except ValidationError as error:
            if _all_between_fields(error):
                raise _ConflictError(_reason(error)) from None
            self._explain(values)
            raise UsageError(f"{_shown(values)}: {_reason(error)}") from None
        except UsageError as error:
            raise UsageError(f"{_shown(values)}: {error}") from None
        except Exception as error:  # noqa: BLE001 - a strategy's own validators may raise anything
            raise UsageError(f"{_shown(values)}: {failed(error).error}") from None
        rules = BacktestRules(
            risk_limits(risk), breaker_limits(risk), session_rules(session), self._options.cash,
            self._options.slippage_ticks,
        )  # fmt: skip
        return ParameterSet(values, text, rules, float(risk.max_bar_jump_pct))

    def _canonical(self, config: StrategyConfig) -> str:
        """``config`` as the text that workers make it of again, which has to be all of it."""
        text = json.dumps(json.loads(config.model_dump_json()), sort_keys=True, separators=(",", ":"))
        if config_of(self.strategy, text) != config:
            raise UsageError(f"strategy {self.strategy.name}: its parameters change when written as JSON")
        return text

    def _explain(self, values: Mapping[str, str]) -> None:
        """The same error in the words of a single backtest, which names the value and its bound."""
        make_plan(replace(self._options, sets=()), self._environ, values)


def _changed(model: _M, prefix: str, values: Mapping[str, str]) -> _M:
    """``model`` with those of ``values`` that begin with ``prefix``. Raises ``ValidationError``."""
    changes = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
    return model.model_validate(model.model_dump() | changes) if changes else model


def _route_config(loaded: LoadedSettings, strategy: type[Strategy]) -> dict[str, object]:
    """The first route of this strategy says its parameters, as in a single backtest."""
    routes = (route for route in loaded.settings.routes if route.strategy == strategy.name)
    config = next((dict(route.config) for route in routes), {})
    return {key: as_number(value) for key, value in config.items()}


def _all_between_fields(error: ValidationError) -> bool:
    """Whether each value is fine by itself: only validators of the whole model object."""
    return all(not item["loc"] and item["type"] == "value_error" for item in error.errors(include_url=False))


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    return str(cause) if isinstance(cause, ValueError) else first["msg"]


def _shown(values: Mapping[str, str]) -> str:
    return " ".join(f"--set {key}={value}" for key, value in values.items())
