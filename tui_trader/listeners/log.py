"""The log file: events as JSON lines in `tui-trader.log`, rotated, never on the terminal."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tui_trader.core.events import EVENT_TYPES, MARKET_DATA, Event, Heartbeat, Published, iso_utc
from tui_trader.engine.handle import Subscription
from tui_trader.listeners.event_lines import LineEncoder

LOG_FILE: Final = "tui-trader.log"

#: Left out unless debugging: market data can be had elsewhere.
_NOISE: Final = MARKET_DATA | {Heartbeat}

_INTERVAL_S: Final = 0.25
_STOP_WAIT_S: Final = 5.0


def log_kinds(debug: bool) -> Sequence[type[Event]]:
    """The kinds of events to subscribe to for a log."""
    return [kind for kind in EVENT_TYPES if debug or kind not in _NOISE]


class RotatingFile:
    """Appends blocks of text; past ``max_bytes`` the file becomes ``name.1``, that ``name.2``, and so on."""

    def __init__(self, path: Path, max_bytes: int = 5_000_000, keep: int = 5) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep

    def append(self, text: str) -> None:
        """Raises ``OSError`` when the text could not be written; the file then ends where it ended."""
        if self._path.exists() and self._path.stat().st_size >= self._max_bytes:
            self._rotate()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with open(os.open(self._path, flags, 0o600), "wb", buffering=0) as file:
            end = os.fstat(file.fileno()).st_size
            block = memoryview(text.encode("utf-8", "backslashreplace"))
            try:
                while block:
                    block = block[file.write(block) :]
            except OSError:
                file.truncate(end)
                raise

    def _rotate(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._numbered(number).rename(self._numbered(number + 1))
        self._path.rename(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class LogListener:
    """Drains ``subscription`` on a thread of its own into ``tui-trader.log`` in ``state_dir``.

    Subscribe with ``log_kinds``. Nothing that goes wrong here reaches anyone else: lines that cannot be
    written, and events that did not fit the queue, are counted in ``lost`` and named in the next line that
    can be written (``{"type": "LogLost", "time": …, "count": …}``).
    """

    def __init__(self, subscription: Subscription, state_dir: Path, debug: bool = False) -> None:
        self._subscription = subscription
        self._debug = debug
        self._file = RotatingFile(state_dir / LOG_FILE)
        self._encoder = LineEncoder()
        self._unwritten = 0
        self._told = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    @property
    def lost(self) -> int:
        """Events that are missing in the log, so far."""
        return self._unwritten + self._subscription.dropped

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is still queued, and end. Waits at most 5 seconds for a hanging disk."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_WAIT_S)
        self._subscription.close()

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL_S):
            self._pump()
        self._pump()

    def _pump(self) -> None:
        wanted: list[Published] = []
        try:
            wanted = [p for p in self._subscription.drain() if self._debug or type(p.event) not in _NOISE]
            if wanted:
                self._write(wanted)
        except Exception:  # noqa: BLE001 - a log that fails must fail alone
            self._unwritten += len(wanted)

    def _write(self, wanted: list[Published]) -> None:
        lines = [self._encoder.encode(published) for published in wanted]
        lost = self.lost
        if lost > self._told:
            note = {"type": "LogLost", "time": iso_utc(wanted[0].time), "count": lost - self._told}
            lines.insert(0, json.dumps(note, separators=(",", ":")))
        self._file.append("\n".join(lines) + "\n")
        self._told = lost
