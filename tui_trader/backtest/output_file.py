"""Files that a command writes for its user: whole or not at all, and never over something precious."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from tui_trader.errors import UsageError


def check_output(path: Path, option: str, inputs: Iterable[Path] = ()) -> None:
    """Raise ``UsageError`` when ``path``, named by ``option``, cannot be written: to be asked before work.

    It must be new or a regular file, and none of ``inputs``, which a mistyped command would destroy.
    """
    try:
        found = _replaceable(path, option)
        if found is not None and any(_same(found, source) for source in inputs):
            raise UsageError(f"{option} {path}: is read by this command: choose another name")
        folder = path.resolve().parent
        if not folder.is_dir():
            raise UsageError(f"{option} {path}: there is no folder {folder}: make it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"{option} {path}: nothing can be written in {folder}: choose another folder")
    except (OSError, ValueError) as error:
        raise _cannot(path, option, error) from None


def write_whole(path: Path, option: str, pieces: Iterable[str]) -> None:
    """Write ``pieces`` as UTF-8 to a new file beside ``path`` and put that in its place.

    A symbolic link stays and its target is replaced. Raises ``UsageError`` when it cannot be done; nothing
    is changed then.
    """
    try:
        target = path.resolve()
        found = _replaceable(target, option)
        unfinished = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}")
        try:
            with unfinished.open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            if found is not None:
                unfinished.chmod(stat.S_IMODE(found.st_mode))
            unfinished.replace(target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise _cannot(path, option, error) from None


def _replaceable(path: Path, option: str) -> os.stat_result | None:
    """What is at ``path``: nothing, or a regular file that may be written to."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{option} {path}: is not a regular file: choose another name")
    if not os.access(path, os.W_OK):
        raise UsageError(f"{option} {path}: is write-protected: choose another name")
    return found


def _same(found: os.stat_result, path: Path) -> bool:
    return path.exists() and os.path.samestat(found, path.stat())


def _cannot(path: Path, option: str, error: OSError | ValueError) -> UsageError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return UsageError(f"{option} {path}: cannot be written ({reason}): choose another file")
