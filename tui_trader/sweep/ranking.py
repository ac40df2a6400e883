"""Which of two results is the better one, and when a good one was luck."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

from tui_trader.errors import UsageError
from tui_trader.sweep.jobs import METRICS, JobResult

#: Of all other figures more is better; drawdowns and excursions against a trade are negative numbers.
_LESS_IS_BETTER: Final = frozenset(("max_drawdown_length",))

RULE: Final = "out of sample less than half as good as in sample"


def check_metric(name: str) -> str:
    """``name`` when it is a figure of a result. Raises ``UsageError`` with a near one."""
    if name in METRICS:
        return name
    near = get_close_matches(name, METRICS, n=1)
    raise UsageError(
        f"--metric {name}: " + (f"did you mean {near[0]}?" if near else f"one of {', '.join(METRICS)}")
    )


def ranking(results: Iterable[JobResult], metric: str) -> list[int]:
    """The positions of ``results``, best first; equals stay in order.

    Results without the figure come after those that have it, then those that never traded, whose figures say
    nothing, and at last the failed ones.
    """
    keys = [_key(result, metric) for result in results]
    return sorted(range(len(keys)), key=keys.__getitem__)


def best(results: Sequence[JobResult], metric: str) -> int | None:
    """The position of the best of ``results``; None when there is no figure to choose by."""
    first = ranking(results, metric)[0]
    return first if _key(results[first], metric)[0] == 0 else None


def parted(inside: JobResult, outside: JobResult, metric: str) -> bool:
    """Whether ``outside`` is less than half as good as ``inside``, or more than twice as bad.

    A gain that became a loss is always less than half as good. False where a figure is not defined.
    """
    chosen, judged = _merit(inside, metric), _merit(outside, metric)
    if chosen is None or judged is None:
        return False
    return judged < (chosen / 2 if chosen > 0 else chosen * 2)


def _key(result: JobResult, metric: str) -> tuple[int, float]:
    merit = _merit(result, metric)
    if result.error:
        return 3, 0.0
    if result.trades == 0:
        return 2, 0.0
    return (1, 0.0) if merit is None else (0, -merit)


def _merit(result: JobResult, metric: str) -> float | None:
    value = result.figures.get(metric)
    return -value if value is not None and metric in _LESS_IS_BETTER else value
