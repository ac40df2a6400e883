"""A child process on a pseudo-terminal, for measuring what a person at a terminal would see."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
_NOT_OURS = ("COLUMNS", "LINES", "NO_COLOR", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
_TICKS = os.sysconf("SC_CLK_TCK")


class Child:
    """``python ARGUMENTS`` on a terminal of its own; everything that it writes is kept in ``output``.

    ``environment`` is added to ours.
    """

    def __init__(
        self,
        arguments: list[str],
        width: int = 120,
        height: int = 40,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.output = b""
        self.began = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            env = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
            env |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", **(environment or {})}
            os.execve(sys.executable, [sys.executable, *arguments], env)

    @property
    def seconds(self) -> float:
        """Since the process began."""
        return time.perf_counter() - self.began

    def read(self, seconds: float) -> bool:
        """Read for at most ``seconds``; false when there was nothing or the child has ended."""
        if not select.select([self._fd], [], [], max(0.0, seconds))[0]:
            return False
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:
            return False
        self.output += data
        return bool(data)

    def read_until(self, *texts: str, deadline: float = 30.0) -> float:
        """Seconds since the process began when all of ``texts`` have been written."""
        wanted = [text.encode() for text in texts]
        while not all(text in self.output for text in wanted):
            if self.seconds > deadline:
                raise TimeoutError(f"not seen in {deadline} s: {texts}; the end was {self.output[-500:]!r}")
            self.read(0.5)
        return self.seconds

    def read_for(self, seconds: float) -> int:
        """Read all there is for so long; the bytes that came."""
        before = len(self.output)
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.read(left)
        return len(self.output) - before

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def cpu_seconds(self) -> float:
        """User and system time of the child so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)
