"""One line on a terminal that says how far long work has come, and is gone when the work is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, TextIO

#: Work that is done sooner than this needs no line.
_PATIENCE_S: Final = 0.5
_BAR_CELLS: Final = 30
_ERASE: Final = "\r\x1b[K"


class ProgressLine:
    """Call it with the share done, from 0 to 1. It writes to a terminal only, and only when work takes long.

    ``now`` is a clock in seconds. Use it as a context manager: the line is erased at its end.
    """

    def __init__(self, stream: TextIO | None, title: str, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream if stream is not None and stream.isatty() else None
        self._title = title
        self._now = now
        self._begun = now()
        self._shown = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._write(_ERASE)

    def __call__(self, share: float) -> None:
        spent = self._now() - self._begun
        if spent < _PATIENCE_S or share <= 0:
            return
        done = "#" * round(min(share, 1.0) * _BAR_CELLS)
        left = max(0.0, spent * (1 - share) / share)
        self.say(f"{self._title} [{done:.<{_BAR_CELLS}}] {share:4.0%}, {_time(left)} left")

    def say(self, text: str) -> None:
        """Show ``text`` at once."""
        self._write(f"{_ERASE}{text}")
        self._shown = True

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._stream = None  # a terminal that has gone is no reason to stop


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
