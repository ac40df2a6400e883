"""The terminal under the screen: whether there is one, and signals that must not leave it raw."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final

OnSignal = Callable[[signal.Signals], None]
Restore = Callable[[], None]

NO_TERMINAL: Final = "no terminal to draw on: run with --headless, or from a terminal"
_HANDLED: Final = (signal.SIGTERM, signal.SIGINT)


def is_terminal() -> bool:
    """Whether both ends of the screen, keys in and picture out, are a terminal."""
    ends = (sys.__stdin__, sys.__stdout__)
    return all(end is not None and not end.closed and end.isatty() for end in ends)


def install_signal_hooks(on_signal: OnSignal) -> Restore:
    """Have SIGTERM and SIGINT call ``on_signal``; returns how to put things back.

    Call it from the main thread. Textual handles neither: without this they end the process and leave the
    terminal raw. ``on_signal`` runs between two instructions of the main thread: it must only hand over.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        on_signal(signal.Signals(number))

    before = {number: signal.signal(number, handle) for number in _HANDLED}

    def restore() -> None:
        for number, handler in before.items():
            # A handler that Python did not install reads as None and cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    return restore
