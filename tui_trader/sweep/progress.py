"""How far a sweep is, on one line that is written over."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, TextIO

from tui_trader.sweep.ledger import Count

_EVERY_S: Final = 0.2
_CLEAR: Final = "\r\x1b[K"


class ProgressLine:
    """Jobs done, a rate and the time left on ``stream``, when that is a terminal; otherwise nothing."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream if stream is not None and stream.isatty() else None
        self._begun = self._said = time.monotonic()

    def __call__(self, count: Count) -> None:
        now = time.monotonic()
        if self._stream is None or now - self._said < _EVERY_S:
            return
        self._said = now
        rate = (count.done - count.before) / (now - self._begun)
        text = f"{count.done:,} of {count.total:,} backtests"
        if rate > 0:
            text += f", {rate:,.1f}/s, {_duration((count.total - count.done) / rate)} left"
        self._write(f"{_CLEAR}{text}")

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._said > self._begun:
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._stream = None  # a terminal that has gone is no reason to stop


def _duration(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minute:02} min"
    return f"{minute} min {second:02} s" if minute else f"{second} s"
