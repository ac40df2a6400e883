"""Runs jobs in several processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path

from tui_trader.errors import TuiTraderError
from tui_trader.sweep.handout import Handout
from tui_trader.sweep.jobs import JobResult
from tui_trader.sweep.recipe import Crew, Finished, Recipe, Run, Task, chunks, here
from tui_trader.sweep.store import ResultStore
from tui_trader.venues.replay.bars_file import BarTable


@contextlib.contextmanager
def pool(processes: int, store: ResultStore) -> Iterator[Crew]:
    """A crew of ``processes`` processes, which begin to start at once.

    Workers keep their results themselves, so what is finished stays finished however this process ends; they
    end with it, and with this context at once. Running raises ``TuiTraderError`` when one of them dies.
    """
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    try:
        handout = Handout()
        line, lifeline = context.Pipe(duplex=False)
    except OSError as error:
        raise TuiTraderError(f"no worker can be started: {error.strerror}; use --jobs 1") from None
    executor = ProcessPoolExecutor(processes, context, _start, (handout, store.folder, line))

    def crew(recipe: Recipe, table: BarTable) -> Run:
        try:
            handout.write(recipe, table)
        except OSError as error:
            raise TuiTraderError(
                f"no room to lay out the bars for the workers: {error.strerror}; free some, or use --jobs 1"
            ) from None
        return run

    def run(tasks: Sequence[Task]) -> Iterator[tuple[int, JobResult]]:
        try:
            with _interrupts_held():
                waiting = [executor.submit(_run, portion) for portion in chunks(tasks, processes)]
            for future in as_completed(waiting):
                yield from future.result()
        except BrokenProcessPool:
            raise TuiTraderError("a worker process died: it was killed, or memory ran out") from None

    with contextlib.closing(handout), line, lifeline:
        try:
            try:
                with _interrupts_held():
                    for _ in range(processes):  # each starts another, as none is idle yet
                        executor.submit(_ready)
            except OSError as error:
                raise TuiTraderError(
                    f"{processes} workers cannot be started: {error.strerror}; use fewer --jobs"
                ) from None
            yield crew
        finally:
            for process in multiprocessing.active_children():
                if process not in others:
                    process.kill()
            executor.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C reaches this process afterwards, and those started meanwhile never: ending them is our part."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- in the worker -----------------------------------------------------------------------------------


class _Worker:
    def __init__(self, handout: Handout, store: ResultStore) -> None:
        self._handout = handout
        self._store = store

    @cached_property
    def run(self) -> Run:
        # Not made at the start: nothing is handed out yet, and an error there has no way to the user.
        recipe, table = self._handout.read()
        return here(recipe.bench(table), self._store)


_worker: _Worker


def _start(handout: Handout, folder: Path, line: Connection) -> None:
    global _worker
    sys.stdout = sys.stderr  # strategies are guests: what they print must not end up in the sweep's output
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()
    _worker = _Worker(handout, ResultStore(folder))


def _end_with(line: Connection) -> None:
    """The other end of ``line`` closes when the sweep has ended, however it was killed."""
    line.poll(None)
    os._exit(0)


def _ready() -> None:
    """A task that does nothing."""


def _run(tasks: list[Task]) -> Finished:
    return list(_worker.run(tasks))
