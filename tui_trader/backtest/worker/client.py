"""Starts a backtest process and talks to it; nothing here waits for it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from tui_trader.backtest.worker.messages import Answer, Gone, Request

_COMMAND = ("-P", "-m", "tui_trader.backtest.worker")


class WorkerClient:
    """One backtest process.

    ``on_answer`` is called from a thread of its own, never after ``close``. The process has no terminal, is
    in no group that a terminal's signals reach, and ends by itself when this one does, however that happens.
    """

    def __init__(self, on_answer: Callable[[Answer], None]) -> None:
        self._on_answer = on_answer
        self._closed = False
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and our own module
                [sys.executable, *_COMMAND, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._connection: Connection[Request, Answer] = Connection(ours.detach())
        threading.Thread(target=self._read, name="backtest", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, request: Request) -> None:
        """Ask for something. A process that has gone says so by itself."""
        with suppress(OSError):
            self._connection.send(request)

    def close(self) -> None:
        """End the process, whatever it is doing. Its answers are heard no more."""
        self._closed = True
        self._process.kill()

    def _read(self) -> None:
        problem = ""
        while True:
            try:
                answer = self._connection.recv()
            except (EOFError, OSError):
                break
            except Exception as error:  # noqa: BLE001 - an answer that cannot be read ends the conversation
                problem = f"the backtest process cannot be understood: {type(error).__name__}"
                self._process.kill()
                break
            if not self._closed:
                self._on_answer(answer)
        code = self._process.wait()
        self._connection.close()
        if not self._closed:
            self._on_answer(Gone(problem or f"the backtest process has ended{_cause(code)}"))


def _cause(code: int) -> str:
    if code >= 0:
        return f" with exit code {code}"
    try:
        return f", killed by {signal.Signals(-code).name}"
    except ValueError:
        return f", killed by signal {-code}"
