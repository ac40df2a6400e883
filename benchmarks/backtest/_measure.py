"""One engine measured in a process of its own. Needs only numpy: the peers' environment has no more."""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

CASH = 100_000.0
FAST, SLOW = 20, 200
POSITION_SHARE = 0.05
STOP_SHARE = 0.005
_WARM_UP_BARS = 4_000

Found = dict[str, float | str]
Ready = TypeVar("Ready")


class Columns(NamedTuple):
    """Bars in columns, as ``BarTable`` has them."""

    symbols: tuple[str, ...]
    minute: NDArray[np.int64]
    symbol_index: NDArray[np.int32]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.int64]

    def first(self, count: int) -> Columns:
        return Columns(self.symbols, *(column[:count].copy() for column in self[1:]))

    def two_minutes(self) -> Columns:
        """Candles of two minutes. The bars are of one symbol and no minute is missing."""
        return Columns(
            self.symbols, self.minute[::2].copy(), self.symbol_index[::2].copy(), self.open[::2].copy(),
            self.high.reshape(-1, 2).max(axis=1), self.low.reshape(-1, 2).min(axis=1),
            self.close[1::2].copy(), self.volume.reshape(-1, 2).sum(axis=1),
        )  # fmt: skip


def measure(bars: Path, prepare: Callable[[Columns], Ready], run: Callable[[Ready], Found]) -> None:
    """Time ``run`` and print what it found as JSON.

    ``prepare`` puts the bars into the form in which the engine's user has them and is not timed. A short run
    comes first, so that lazy imports are neither timed nor counted as memory.

    ``seconds`` are the processor's for this thread, on which all the work is done: others who use the machine
    cost less that way. ``wall_s`` are the clock's. ``peak_bytes_per_bar`` is what the process grew by from
    before the bars were read, at its most.
    """
    run(prepare(_load(bars).first(_WARM_UP_BARS)))
    gc.collect()
    before = _forget_peak()
    columns = _load(bars)
    count = len(columns.minute)
    ready = prepare(columns)
    del columns
    began, wall_began = time.thread_time(), time.perf_counter()
    found = run(ready)
    seconds, wall = time.thread_time() - began, time.perf_counter() - wall_began
    grown = (_peak() - before) / count
    print(
        json.dumps({"bars": count, "seconds": seconds, "wall_s": wall, "peak_bytes_per_bar": grown, **found})
    )


def _load(path: Path) -> Columns:
    with np.load(path) as file:
        columns = [file[name] for name in Columns._fields[1:]]
        return Columns(tuple(map(str, file["symbols"])), *columns)


def _forget_peak() -> int:
    """Resident bytes now, from which on the peak is kept anew; elsewhere than on Linux the peak so far."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak()
    return _told("VmRSS")


def _peak() -> int:
    """The most resident bytes."""
    try:
        # Not what getrusage says: there a process begins with the peak of the one that started it.
        return _told("VmHWM")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _told(name: str) -> int:
    """A size, in bytes, that the kernel tells of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
