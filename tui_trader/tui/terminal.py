"""The terminal under the screen: whether there is one, and signals that must not leave it raw."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Callable
from types import FrameType
from typing import Final

OnSignal = Callable[[signal.Signals], None]
Restore = Callable[[], None]

NO_TERMINAL: Final = "no terminal to draw on: run with --headless, or from a terminal"
_HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def is_terminal() -> bool:
    """Whether both ends of the screen, keys in and picture out, are a terminal."""
    ends = (sys.__stdin__, sys.__stdout__)
    return all(end is not None and not end.closed and end.isatty() for end in ends)


def is_gone() -> bool:
    """Whether the terminal that the process was started on has been closed."""
    try:
        termios.tcgetattr(sys.__stdin__.fileno() if sys.__stdin__ is not None else 0)
    except termios.error:
        return True
    return False


def let_go() -> None:
    """Have nothing more to do with a terminal that is gone: it would fail, or spin, at every touch."""
    # Closing a terminal sends SIGCONT as well, for which Textual would set it up anew.
    signal.signal(signal.SIGCONT, signal.SIG_IGN)
    # The end of a pipe that stays open is never readable; at /dev/null the reader of keys would spin.
    silent, _ = os.pipe()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor, instead in ((0, silent), (1, nowhere), (2, nowhere)):
        os.dup2(instead, descriptor)


def install_signal_hooks(on_signal: OnSignal) -> Restore:
    """Have SIGTERM, SIGINT and SIGHUP call ``on_signal``; returns how to put things back.

    Call it from the main thread. Textual handles none of them: without this they end the process and leave
    the terminal raw. ``on_signal`` runs between two instructions of the main thread: it must only hand over.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP and is_gone():
            let_go()
        on_signal(signal.Signals(number))

    # Who starts us with SIGHUP ignored (nohup) wants it so.
    wanted = [number for number in _HANDLED if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in wanted}

    def restore() -> None:
        for number, handler in before.items():
            # A handler that Python did not install reads as None and cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    return restore
