"""Runs jobs on a Dask cluster. The bars travel once to each worker, then only jobs and results do."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, Final

from tui_trader.errors import TuiTraderError, UsageError
from tui_trader.sweep.jobs import JobResult
from tui_trader.sweep.recipe import Crew, Finished, Recipe, Run, Task, chunks
from tui_trader.sweep.store import ResultStore
from tui_trader.sweep.work import Bench
from tui_trader.venues.replay.bars_file import BarTable

_Client = Any  # distributed has no complete types
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.\-]+):([0-9]{1,5})")
_PATIENCE_S: Final = 10


def scheduler_address(text: str) -> str:
    """``HOST:PORT`` as Dask wants it. Raises ``UsageError`` for anything else."""
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise UsageError(f"--scheduler {text}: write HOST:PORT, such as 127.0.0.1:8786")
    return f"tcp://{text}"


@contextlib.contextmanager
def cluster(address: str, store: ResultStore) -> Iterator[Crew]:
    """A crew that is wherever the Dask scheduler at ``address`` has it.

    Raises ``UsageError`` without Dask, ``TuiTraderError`` when the scheduler is not there or has no worker.
    Running does when it is lost, or a worker has other code.
    """
    client = _connected(address)

    def crew(recipe: Recipe, table: BarTable) -> Run:
        with _explained(address):
            threads = sum(client.nthreads().values())
            [bundle] = client.scatter([(recipe, table)], broadcast=True, hash=False)

        def run(tasks: Sequence[Task]) -> Iterator[tuple[int, JobResult]]:
            keys = {task.number: task.key for task in tasks}
            with _explained(address):
                for number, result in _results(client, chunks(tasks, threads), bundle):
                    store.put(keys[number], result)
                    yield number, result

        return run

    try:
        yield crew
    finally:
        client.close(timeout=1)


@contextlib.contextmanager
def _explained(address: str) -> Iterator[None]:
    """What goes wrong in a worker comes back as it is; what Dask raises becomes one line."""
    try:
        yield
    except TuiTraderError:
        raise
    except (OSError, CancelledError):
        raise TuiTraderError(f"the scheduler at {address} was lost") from None
    except Exception as error:  # noqa: BLE001 - any kind can come from another machine
        raise TuiTraderError(
            f"a worker of the scheduler at {address} failed: {type(error).__name__}: {error}"[:300]
            + "; is the same tui-trader installed for it?"
        ) from None


def _connected(address: str) -> _Client:
    try:
        import distributed
    except ImportError:
        raise UsageError("--scheduler needs Dask: pip install 'tui-trader[cluster]'") from None
    for name in ("distributed", "distributed.client", "distributed.comm"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what it would say, we say in one line
    try:
        connect: Any = distributed.Client
        client = connect(address, timeout=_PATIENCE_S, set_as_default=False)
    except OSError:
        raise TuiTraderError(
            f"no Dask scheduler answers at {address}: start it, or correct --scheduler"
        ) from None
    try:
        client.wait_for_workers(1, timeout=_PATIENCE_S)
    except TimeoutError:
        client.close(timeout=1)
        raise TuiTraderError(f"the scheduler at {address} has no workers: start some") from None
    return client


def _results(
    client: _Client, portions: Sequence[list[Task]], bundle: object
) -> Iterator[tuple[int, JobResult]]:
    import distributed

    as_completed: Any = distributed.as_completed
    for future in as_completed(client.map(_run, portions, bundle=bundle, pure=False), loop=client.loop):
        yield from future.result()
        future.release()


# ---- in the worker -----------------------------------------------------------------------------------

# A worker may have several threads, but they would share one processor; and bars are made ready once.
_one_at_a_time = threading.Lock()
_latest: tuple[tuple[str, str, str], Bench] | None = None


def _run(tasks: list[Task], bundle: tuple[Recipe, BarTable]) -> Finished:
    global _latest
    recipe, table = bundle
    key = recipe.strategy, recipe.code, recipe.data
    with _one_at_a_time:
        if _latest is None or _latest[0] != key:
            _latest = key, recipe.bench(table)
        return [(task.number, _latest[1].run(task.job)) for task in tasks]
