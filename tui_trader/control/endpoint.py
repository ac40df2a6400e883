"""The endpoint file: where a running engine can be reached, and the token that opens it."""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tui_trader.control.address import is_loopback
from tui_trader.errors import TuiTraderError

FILE_NAME = "control.json"
_LARGEST = 4096


class NoEngineError(TuiTraderError):
    """Nothing listens for this state folder."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(f"no engine is running on {state_dir} (start one with: tui-trader run)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``url`` without a path, a bearer ``token``, and the process id of the engine."""

    url: str
    token: str
    pid: int

    def __repr__(self) -> str:
        return f"Endpoint(url={self.url!r}, pid={self.pid})"


def write_endpoint(state_dir: Path, endpoint: Endpoint) -> None:
    """Write the file at once and readable by its owner alone; raises ``TuiTraderError``."""
    path = state_dir / FILE_NAME
    draft = state_dir / f".{FILE_NAME}.tmp"
    text = json.dumps({"url": endpoint.url, "token": endpoint.token, "pid": endpoint.pid})
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        draft.replace(path)
    except OSError as error:
        raise TuiTraderError(
            f"cannot write {path}: {error.strerror}; make the folder writable, or use --control off"
        ) from None


def remove_endpoint(state_dir: Path, token: str) -> None:
    """Remove the file if it is the one written with ``token``; another engine's is left alone."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        path = state_dir / FILE_NAME
        if json.loads(path.read_text(encoding="utf-8"))["token"] == token:
            path.unlink()


def read_endpoint(state_dir: Path) -> Endpoint:
    """Where the engine of ``state_dir`` listens.

    Raises ``NoEngineError`` when there is none, ``TuiTraderError`` when the file cannot be trusted.
    """
    path = state_dir / FILE_NAME
    endpoint = _parse(path, _read_private(path, state_dir))
    if not process_exists(endpoint.pid):
        raise NoEngineError(state_dir)
    return endpoint


def process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _read_private(path: Path, state_dir: Path) -> bytes:
    try:
        # O_NONBLOCK: a pipe put in the file's place must not hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise NoEngineError(state_dir) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise TuiTraderError(f"{path} is a link: remove it and restart the engine") from None
        raise TuiTraderError(f"cannot read {path}: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise TuiTraderError(
                f"{path} is not a file that only you can read and write: remove it and restart the engine"
            )
        return os.read(descriptor, _LARGEST)
    finally:
        os.close(descriptor)


def _parse(path: Path, content: bytes) -> Endpoint:
    try:
        document = json.loads(content)
        url, token, pid = document["url"], document["token"], document["pid"]
        parts = urlsplit(url)
        trusted = parts.scheme == "http" and is_loopback(parts.hostname or "") and parts.port
        if not (trusted and token.isascii() and token.isprintable() and type(pid) is int and pid > 0):
            raise ValueError(url)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise TuiTraderError(f"{path} is damaged: restart the engine") from None
    return Endpoint(url, token, pid)
