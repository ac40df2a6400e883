"""One engine a state folder, held by a lock that the system drops with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tui_trader.errors import RefusedToStart

LOCK_FILE: Final = "engine.lock"


class InstanceLock:
    """The right to run an engine on ``state_dir``, which is made (mode 0700) when it is not there.

    The lock file holds the owner's process id and is never deleted: removing it would let two processes
    lock two different files of one name.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, without waiting.

        Raises ``RefusedToStart`` when another process holds it or the folder cannot be written.
        """
        folder = self._state_dir
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(
                folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError as error:
            raise RefusedToStart(
                f"state folder {folder}: cannot be written ({error.strerror}): "
                "correct its permissions, or choose another with --state-dir"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            owner = _owner(descriptor)
            os.close(descriptor)
            raise RefusedToStart(
                f"{owner} already runs on state folder {folder}: "
                "stop it first (tui-trader stop), or choose another with --state-dir"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise RefusedToStart(
                f"state folder {folder}: cannot be locked ({error.strerror}): "
                "free some space, or choose a folder on a local disk with --state-dir"
            ) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next one in. Releasing twice does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _owner(descriptor: int) -> str:
    content = os.pread(descriptor, 32, 0).strip()
    return f"an engine (process {int(content)})" if content.isdigit() else "an engine"
