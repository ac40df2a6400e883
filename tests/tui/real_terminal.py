"""The installed program on a real pseudo-terminal, and what a person would see on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[2]
_PROGRAM = "import sys; sys.path.insert(0, {root!r}); from tui_trader.cli import main; sys.exit(main())"
#: Sequences that the emulator would print: keyboard protocol, mode queries, colours of the palette.
_UNKNOWN = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_NOT_OURS = ("COLUMNS", "LINES", "NO_COLOR", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "APCA_API_BASE_URL")
ENTERS, LEAVES, SHOWS_CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


class RealRun:
    """One run of the program; ``screen`` follows what it paints."""

    def __init__(self, *arguments: str, width: int = 120, height: int = 40) -> None:
        self.output = b""
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self._rest = b""
        self.exit_code: int | None = None
        self._master, slave = pty.openpty()
        self._size(width, height)
        self.before = termios.tcgetattr(self._master)
        env = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        env |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "TEXTUAL_ANIMATIONS": "none"}
        self.pid = os.fork()
        if self.pid == 0:
            os.login_tty(slave)
            # Not the process's own environment: readline hides COLUMNS and LINES of its own in it.
            os.execve(
                sys.executable, [sys.executable, "-c", _PROGRAM.format(root=str(ROOT)), *arguments], env
            )
        self._slave: int | None = slave  # kept, so that what is written last can still be read

    def _size(self, width: int, height: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    # ---- what it shows -------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def _read(self, seconds: float) -> None:
        if not select.select([self._master], [], [], seconds)[0]:
            return
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            return
        self.output += data
        data = self._rest + data
        # A sequence that is not complete yet waits for its end.
        cut = data.rfind(b"\x1b")
        self._rest = data[cut:] if cut >= 0 and len(data) - cut < 40 and not data.endswith(b"m") else b""
        self._stream.feed(_UNKNOWN.sub(b"", data[: len(data) - len(self._rest)]))

    def wait(self, what: Callable[[str], object], seconds: float = 20.0) -> str:
        """Read until ``what`` is true of the text on the screen; the text."""
        deadline = time.monotonic() + seconds
        while not what(self.text):
            assert time.monotonic() < deadline, f"not seen in {seconds} s:\n{self.text}"
            assert self.running, f"ended early with {self.exit_code}:\n{self.text}"
            self._read(0.1)
            if self._rest:
                self._stream.feed(_UNKNOWN.sub(b"", self._rest))
                self._rest = b""
        return self.text

    def see(self, *words: str, seconds: float = 20.0) -> str:
        """Wait until all of ``words`` are on the screen."""
        return self.wait(lambda text: all(word in text for word in words), seconds)

    # ---- what is done to it --------------------------------------------------------------------------

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, width: int, height: int) -> None:
        self._screen.resize(height, width)
        self._size(width, height)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close the terminal under it."""
        self._close_slave()
        os.close(self._master)
        self._master = -1

    # ---- how it ends ---------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        if self.exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is None

    def end(self, seconds: float = 20.0) -> int:
        """Wait for its end; the exit code."""
        deadline = time.monotonic() + seconds
        while self.running:
            assert time.monotonic() < deadline, f"still running after {seconds} s:\n{self.text}"
            if self._master >= 0:
                self._read(0.05)
            else:
                time.sleep(0.05)
        while self._master >= 0 and select.select([self._master], [], [], 0)[0]:
            self._read(0)
        assert self.exit_code is not None
        return self.exit_code

    def assert_terminal_restored(self) -> None:
        assert termios.tcgetattr(self._master)[:4] == self.before[:4]  # echo, canonical mode, signals
        if ENTERS in self.output:
            assert self.output.rindex(LEAVES) > self.output.rindex(ENTERS)
            assert self.output.rindex(SHOWS_CURSOR) > self.output.rindex(ENTERS)
        assert b"Traceback" not in self.output

    def _close_slave(self) -> None:
        if self._slave is not None:
            os.close(self._slave)
            self._slave = None

    def close(self) -> None:
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self._close_slave()
        if self._master >= 0:
            os.close(self._master)
