"""Runs what is not finished yet, and knows how far everything is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tui_trader.sweep.jobs import Job, JobResult, job_key
from tui_trader.sweep.recipe import Recipe, Run, Task
from tui_trader.sweep.store import ResultStore


@dataclass(slots=True)
class Count:
    """``done`` of ``total`` jobs; ``before`` of them were finished by an earlier sweep."""

    total: int = 0
    done: int = 0
    before: int = 0


class Ledger:
    """The jobs of one sweep. ``fresh`` runs those again that were finished before."""

    def __init__(self, recipe: Recipe, store: ResultStore, run: Run, fresh: bool) -> None:
        self.count = Count()
        self._recipe = recipe
        self._store = store
        self._run = run
        self._fresh = fresh
        self._keys: list[str] = []

    def kept(self) -> int:
        """How many results are kept by now: workers keep theirs before we hear of them."""
        return sum(self._store.get(key) is not None for key in self._keys)

    def results(self, jobs: Sequence[Job], progress: Callable[[Count], None]) -> list[JobResult]:
        """What came of ``jobs``, in their order. ``progress`` is told after every job."""
        recipe, count = self._recipe, self.count
        tasks = [
            Task(number, job_key(recipe.code, recipe.data, recipe.strategy, job), job)
            for number, job in enumerate(jobs)
        ]
        self._keys += [task.key for task in tasks]
        results: dict[int, JobResult] = {}
        for task in tasks if not self._fresh else ():
            if (kept := self._store.get(task.key)) is not None:
                results[task.number] = kept
        count.total += len(jobs)
        count.done += len(results)
        count.before += len(results)
        progress(count)
        if rest := [task for task in tasks if task.number not in results]:
            for number, result in self._run(rest):
                results[number] = result
                count.done += 1
                progress(count)
        return [results[number] for number in range(len(jobs))]
