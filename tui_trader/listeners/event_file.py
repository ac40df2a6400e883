"""`--events FILE|-`: every event as one JSON object a line.

On a simulated market `EventFile` is called inline: market time waits and no line is lost. Where the market
does not wait, `EventFileThread` writes on a thread of its own, and a disk or pipe that is too slow loses
lines, which are counted.
"""

from __future__ import annotations

import os
import queue
import select
import stat
import threading
from typing import Final

from tui_trader.core.events import Published
from tui_trader.errors import UsageError
from tui_trader.listeners.event_lines import LineEncoder

STDOUT: Final = "-"
_STDOUT_DESCRIPTOR: Final = 1
_FIRST_BYTES: Final = b'{"type":"'
_BUFFER_CHARACTERS: Final = 1 << 16
_CLOSE_WAIT_S: Final = 2.0


class EventFile:
    """Writes events to a file or standard output, gathered into blocks of about 64 KB.

    It works on the bare descriptor: Python's own buffers are flushed at interpreter exit, which would hang
    there behind a pipe nobody reads. A write that fails ends the writing, is told by ``problem`` and never
    raises; a reader that went away (as ``head`` does) is no problem.
    """

    def __init__(self, target: str) -> None:
        """``target`` is a path or ``-``. Raises ``UsageError`` when the file cannot be opened."""
        self.name = "standard output" if target == STDOUT else target
        self.lost = 0
        self._failure = ""
        self._writing = True
        self._encoder = LineEncoder()
        self._lines: list[str] = []
        self._size = 0
        if target == STDOUT:
            self._descriptor = _STDOUT_DESCRIPTOR
            return
        if not target:
            raise UsageError("--events needs a file, or - for standard output")
        try:
            self._descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except (OSError, ValueError):
            self._descriptor = -1  # one that can only be written to, such as a pipe
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
            elif stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                self._take_over(target)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise UsageError(
                f"--events {target}: cannot be written ({reason}): choose another file"
            ) from None

    def _take_over(self, target: str) -> None:
        """Empty an earlier run's event file. Anything else is left alone, for it may be worth something."""
        begins = os.pread(self._descriptor, len(_FIRST_BYTES), 0)
        if begins and not _FIRST_BYTES.startswith(begins[: len(_FIRST_BYTES)]):
            os.close(self._descriptor)
            raise UsageError(f"--events {target}: is there already and holds no events: choose another name")
        os.ftruncate(self._descriptor, 0)

    @property
    def problem(self) -> str | None:
        """One line about lines that were not written, or None."""
        if not self.lost:
            return None
        return f"--events {self.name}: {self.lost} events were not written ({self._failure})"

    def write(self, published: Published) -> None:
        if not self._writing:
            if self._failure:
                self.lost += 1
            return
        line = self._encoder.encode(published)
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _BUFFER_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Hand everything gathered to the system. Call it when the engine has nothing to do."""
        if not self._lines:
            return
        gathered, self._lines, self._size = self._lines, [], 0
        gathered.append("")
        # Half a surrogate pair becomes its JSON escape, which is what it was in the broker's message.
        block = memoryview("\n".join(gathered).encode("utf-8", "backslashreplace"))
        try:
            while block:
                block = block[self._write_some(block) :]
        except BrokenPipeError:
            self._writing = False
            self._silence()
        except OSError as error:
            self._writing = False
            self._failure = error.strerror or "write failed"
            self.lost += bytes(block).count(b"\n")

    def close(self) -> None:
        """Flush, and close the file; standard output stays open."""
        self.flush()
        self._writing = False
        if self._descriptor != _STDOUT_DESCRIPTOR:
            os.close(self._descriptor)

    def _write_some(self, block: memoryview) -> int:
        while True:
            try:
                return os.write(self._descriptor, block)
            except BlockingIOError:  # whoever gave us the pipe may have made it non-blocking
                select.select([], [self._descriptor], [])

    def _silence(self) -> None:
        """What is still printed to the closed pipe must not fail at exit either."""
        if self._descriptor == _STDOUT_DESCRIPTOR:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, _STDOUT_DESCRIPTOR)
            os.close(nowhere)


class EventFileThread:
    """``EventFile`` behind a bounded queue: ``write`` never blocks; what does not fit is lost and counted."""

    def __init__(self, file: EventFile, capacity: int = 10_000) -> None:
        self._file = file
        self._queue: queue.Queue[Published | None] = queue.Queue(capacity)
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="event-file", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Events that were not written, so far."""
        return self._lost + self._file.lost

    @property
    def problem(self) -> str | None:
        """One line about lines that were not written, or None."""
        if self._lost:
            return f"--events {self._file.name}: {self.lost} events were not written (it was too slow)"
        return self._file.problem

    def write(self, published: Published) -> None:
        try:
            self._queue.put_nowait(published)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Write what is queued and close, giving up after 2 seconds when the other side does not read."""
        try:
            self._queue.put(None, timeout=_CLOSE_WAIT_S)
        except queue.Full:
            self._lost += self._queue.qsize()
            return
        self._thread.join(_CLOSE_WAIT_S)
        if self._thread.is_alive():
            self._lost += max(0, self._queue.qsize() - 1)

    def _run(self) -> None:
        while (published := self._queue.get()) is not None:
            self._file.write(published)
            if self._queue.empty():
                self._file.flush()
        self._file.close()
