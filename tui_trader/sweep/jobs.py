"""A job: parameters over a stretch of sessions, the key that its result is kept under, and that result."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, Final

from tui_trader.backtest.metrics import Metrics
from tui_trader.backtest.runner import BacktestRules
from tui_trader.core.money import plain
from tui_trader.errors import TuiTraderError, printable

#: The figures of a result by name: those of ``Metrics`` that are one number each.
METRICS: Final = tuple(field.name for field in fields(Metrics) if "tuple" not in str(field.type))

_LONGEST_ERROR: Final = 300
_DIGITS: Final = 30


@dataclass(frozen=True, slots=True)
class Window:
    """Sessions from ``first`` to ``last``, both included, by their New York dates."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Segment:
    """What is traded in ``window``: a ``ParameterSet``, or nothing (``config`` None)."""

    window: Window
    config: str | None
    rules: BacktestRules
    max_bar_jump_pct: float


@dataclass(frozen=True, slots=True)
class Job:
    """One account that trades ``segments``, oldest first, each on from what the one before left."""

    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class JobResult:
    """What came of a job. ``figures`` holds every name of ``METRICS``; None where not defined.

    ``error`` says why there is no result: the strategy raised. Then the rest means nothing.
    """

    figures: Mapping[str, float | None]
    final_equity: Decimal = Decimal(0)
    error: str = ""

    @property
    def trades(self) -> int:
        return int(self.figures.get("trades") or 0)


def failed(error: BaseException) -> JobResult:
    """The result of a job that raised ``error``."""
    try:
        known = isinstance(error, TuiTraderError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001 - even its text is the user's code
        text = type(error).__name__
    return JobResult({}, error=printable(text)[:_LONGEST_ERROR])


def figures_of(metrics: Metrics) -> dict[str, float | None]:
    """The figures that are one number each."""
    return {name: getattr(metrics, name) for name in METRICS}


def job_key(code: str, data: str, strategy: str, job: Job) -> str:
    """SHA-256 over all that a result follows from; ``code`` and ``data`` are such digests themselves."""
    ingredients = {
        "code": code,
        "data": data,
        "strategy": strategy,
        "segments": [asdict(segment) for segment in job.segments],
    }
    return hashlib.sha256(_canonical(ingredients).encode()).hexdigest()


def to_json(key: str, result: JobResult) -> str:
    """The text that ``from_json`` reads."""
    return _canonical({"key": key, "figures": result.figures, "final_equity": plain(result.final_equity)})


def from_json(key: str, text: bytes) -> JobResult | None:
    """The result kept as ``text``; None when it is not exactly that of the job with ``key``."""
    try:
        found = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if (
        not isinstance(found, dict)
        or found.keys() != {"key", "figures", "final_equity"}
        or found["key"] != key
    ):
        return None
    figures, equity = found["figures"], found["final_equity"]
    if not isinstance(figures, dict) or figures.keys() != set(METRICS) or not isinstance(equity, str):
        return None
    if not all(value is None or _is_number(value) for value in figures.values()):
        return None
    try:
        final_equity = Decimal(equity)
    except ArithmeticError:
        return None
    sane = final_equity.is_finite() and abs(final_equity.adjusted()) < _DIGITS
    return JobResult(figures, final_equity) if sane else None


def _is_number(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 1 << 63
    return isinstance(value, float) and math.isfinite(value)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _canonical(value: Any) -> str:
    return json.dumps(value, default=_plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: object) -> str:
    match value:
        case Decimal():
            return f"{value.normalize():f}"  # 1 and 1.0 are one amount
        case date():
            return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no canonical form")
