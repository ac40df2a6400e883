"""What is to be run, and what another process must be told to run it as this one would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tui_trader.core.calendar import FixedCalendar
from tui_trader.errors import TuiTraderError
from tui_trader.strategies.registry import find_strategy
from tui_trader.sweep.fingerprint import code_digest
from tui_trader.sweep.jobs import Job, JobResult
from tui_trader.sweep.parameters import user_strategies
from tui_trader.sweep.store import ResultStore
from tui_trader.sweep.work import Bench
from tui_trader.venues.replay.bars_file import BarTable


class Task(NamedTuple):
    """A job to run: ``number`` tells it from the others, ``key`` is what its result is kept under."""

    number: int
    key: str
    job: Job


Finished = list[tuple[int, JobResult]]
#: Runs tasks somewhere, keeps what comes of them and yields it by task number, in any order.
Run = Callable[[Sequence[Task]], Iterator[tuple[int, JobResult]]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Names instead of classes: a class from the user's folder cannot be sent, only found again.

    ``code`` is the digest that the code found must have, ``data`` that of the bars that go with the recipe.
    """

    strategy: str
    calendar: FixedCalendar
    code: str
    data: str

    def bench(self, table: BarTable) -> Bench:
        """Raises ``UsageError`` when the strategy is not there, ``TuiTraderError`` when the code differs."""
        strategy = find_strategy(self.strategy, user_strategies(), "in a worker")
        if code_digest(strategy) != self.code:
            raise TuiTraderError(
                "a worker runs other code than this command: install the same tui-trader, strategy, numpy "
                "and tulipy for both, and start the worker anew"
            )
        return Bench(strategy, table, self.calendar)


#: Workers that are there already; told once what to work on, they run tasks.
Crew = Callable[[Recipe, BarTable], Run]


def here(bench: Bench, store: ResultStore) -> Run:
    """Runs tasks in this process."""

    def run(tasks: Sequence[Task]) -> Iterator[tuple[int, JobResult]]:
        for task in tasks:
            result = bench.run(task.job)
            store.put(task.key, result)
            yield task.number, result

    return run


def chunks(tasks: Sequence[Task], workers: int) -> list[list[Task]]:
    """``tasks`` in portions: large enough to save messages, too small to wait long for the last one."""
    size = max(1, min(32, len(tasks) // (workers * 16)))
    return [list(tasks[at : at + size]) for at in range(0, len(tasks), size)]
