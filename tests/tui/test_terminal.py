"""The real application on a real pseudo-terminal: what signals and keys leave behind."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui_trader.tui import terminal

CHILD = """
import sys
sys.path.insert(0, {root!r})
from tests.tui.fake_engine import FakeEngine, flat_snapshot
from tui_trader.engine.handle import Shutdown
from tui_trader.tui.app import TraderApp

class Obedient(FakeEngine):
    def send(self, command):
        super().send(command)
        self.stopped = self.stopped or isinstance(command, Shutdown)

engine = Obedient(flat_snapshot())
app = TraderApp(start_engine=lambda: engine)
app.run_ui()
print("ENDED", [getattr(command, "reason", "") for command in engine.sent])
sys.exit(app.return_code)
"""
ROOT = str(Path(__file__).parents[2])
LEAVES_SCREEN = b"\x1b[?1049l"


class Terminal:
    """A child on a pseudo-terminal of 100x30."""

    def __init__(self) -> None:
        self.output = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ |= {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
            os.execv(sys.executable, [sys.executable, "-c", CHILD.format(root=ROOT)])
        self.before = termios.tcgetattr(self.fd)

    def read_until(self, text: bytes, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert time.monotonic() < deadline, self.output[-2000:]
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.output += os.read(self.fd, 65536)
                except OSError:
                    break
        assert text in self.output, self.output[-2000:]

    def exit_code(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def running() -> Iterator[Terminal]:
    child = Terminal()
    try:
        child.read_until(b"RUNNING")
        yield child
    finally:
        child.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_engine_and_gives_the_terminal_back(
    running: Terminal, number: signal.Signals
) -> None:
    os.kill(running.pid, number)
    running.read_until(f"ENDED ['{number.name}']".encode())
    assert LEAVES_SCREEN in running.output
    assert running.exit_code() == 0
    assert termios.tcgetattr(running.fd)[3] == running.before[3]  # echo, canonical mode and signals are back


def test_the_quit_key_stops_the_engine_and_gives_the_terminal_back(running: Terminal) -> None:
    os.write(running.fd, b"q")
    running.read_until(b"ENDED ['quit']")
    assert LEAVES_SCREEN in running.output
    assert running.exit_code() == 0


def test_hooks_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[signal.Signals] = []
    restore = terminal.install_signal_hooks(seen.append)
    signal.raise_signal(signal.SIGTERM)
    restore()
    assert seen == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before
