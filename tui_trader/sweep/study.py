"""The two questions a sweep answers: which parameters were best, and would choosing the best have paid?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tui_trader.sweep.jobs import Job, JobResult, Segment, Window
from tui_trader.sweep.ledger import Count, Ledger
from tui_trader.sweep.parameters import ParameterSet
from tui_trader.sweep.ranking import best, ranking
from tui_trader.sweep.windows import Step

Progress = Callable[[Count], None]


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter set in the sessions it is ranked by, and in those held out, if any are."""

    chosen: ParameterSet
    inside: JobResult
    outside: JobResult | None


@dataclass(frozen=True, slots=True)
class WalkRow:
    """A step: the set that was best in ``step.train``, there and in ``step.test``.

    ``chosen`` is None when no set had a figure to choose by; nothing is traded then. ``inside`` is then the
    result that came first all the same, for its reason.
    """

    step: Step
    chosen: ParameterSet | None
    inside: JobResult
    outside: JobResult | None


@dataclass(frozen=True, slots=True)
class Walked:
    """All steps, and ``account``: one account that traded all their tests, each on from the one before."""

    rows: tuple[WalkRow, ...]
    account: JobResult


def rank_sets(
    ledger: Ledger,
    sets: Sequence[ParameterSet],
    inside: Window,
    outside: Window | None,
    metric: str,
    progress: Progress,
) -> list[Row]:
    """Every set, best first by ``metric`` in the window ``inside``."""
    # All jobs of a window come together, because workers keep its bars ready.
    windows = [inside] if outside is None else [inside, outside]
    results = ledger.results([_job(chosen, window) for window in windows for chosen in sets], progress)
    ranked = results[: len(sets)]
    judged: Sequence[JobResult | None] = results[len(sets) :] or [None] * len(sets)
    return [Row(sets[at], ranked[at], judged[at]) for at in ranking(ranked, metric)]


def walk_forward(
    ledger: Ledger, sets: Sequence[ParameterSet], steps: Sequence[Step], metric: str, progress: Progress
) -> Walked:
    """Choose by ``metric`` on each step's training, then trade its test with that choice."""
    trained = ledger.results([_job(chosen, step.train) for step in steps for chosen in sets], progress)
    picks: list[tuple[ParameterSet | None, JobResult]] = []
    for number in range(len(steps)):
        results = trained[number * len(sets) : (number + 1) * len(sets)]
        first = best(results, metric)
        if first is None:
            picks.append((None, results[ranking(results, metric)[0]]))
        else:
            picks.append((sets[first], results[first]))
    tests = [
        _job(chosen, step.test) for step, (chosen, _) in zip(steps, picks, strict=True) if chosen is not None
    ]
    # Where nothing was chosen, the limits of any set do: no order meets them.
    whole = Job(
        tuple(
            _segment(chosen or sets[0], step.test, idle=chosen is None)
            for step, (chosen, _) in zip(steps, picks, strict=True)
        )
    )
    *tested, account = ledger.results([*tests, whole], progress)
    judged = iter(tested)
    rows = tuple(
        WalkRow(step, chosen, inside, None if chosen is None else next(judged))
        for step, (chosen, inside) in zip(steps, picks, strict=True)
    )
    return Walked(rows, account)


def _job(chosen: ParameterSet, window: Window) -> Job:
    return Job((_segment(chosen, window),))


def _segment(chosen: ParameterSet, window: Window, *, idle: bool = False) -> Segment:
    config = None if idle else chosen.config
    return Segment(window, config, chosen.rules, chosen.max_bar_jump_pct)
