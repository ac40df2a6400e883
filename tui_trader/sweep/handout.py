"""Bars that the processes of one machine read from one place in memory."""

from __future__ import annotations

import mmap
import os
import pickle
import tempfile
from multiprocessing import reduction
from typing import IO, Any, Final

import numpy as np

from tui_trader.sweep.fingerprint import COLUMNS
from tui_trader.sweep.recipe import Recipe
from tui_trader.venues.replay.bars_file import BarTable

_WORD: Final = 8


class Handout:
    """A nameless temporary file that hands a recipe and its bars to worker processes.

    It can be pickled while a process is being started, and only then: the file goes along as an inherited
    descriptor, so workers may start before it is written. Having no name, it is gone with the last process
    that has it, however that ends.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as this object

    def write(self, recipe: Recipe, table: BarTable) -> None:
        """To be done once. Raises ``OSError`` when there is no room."""
        columns = [np.ascontiguousarray(getattr(table, name)) for name in COLUMNS]
        head = pickle.dumps((recipe, table.symbols, [(c.dtype.str, len(c)) for c in columns]))
        head += bytes(-len(head) % _WORD)
        self._file.write(len(head).to_bytes(_WORD, "little"))
        self._file.write(head)
        for column in columns:
            self._file.write(column.data)
        self._file.flush()

    def read(self) -> tuple[Recipe, BarTable]:
        """What was written. The bars are not copied, and their arrays cannot be written to."""
        memory = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        at = _WORD + int.from_bytes(memory[:_WORD], "little")
        recipe, symbols, shapes = pickle.loads(memory[_WORD:at])  # noqa: S301 - our own, and nameless
        columns: dict[str, Any] = {}
        for name, (kind, length) in zip(COLUMNS, shapes, strict=True):
            columns[name] = np.frombuffer(memory, kind, length, at)
            at += columns[name].nbytes
        return recipe, BarTable(symbols, **columns, skipped=())

    def close(self) -> None:
        self._file.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"_file": reduction.DupFd(self._file.fileno())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._file = os.fdopen(state["_file"].detach(), "rb")
