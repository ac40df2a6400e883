"""What a result follows from besides its parameters: the code that runs and the bars it runs on."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

import tui_trader
from tui_trader.core.calendar import Session
from tui_trader.errors import UsageError
from tui_trader.strategies.base import Strategy
from tui_trader.venues.replay.bars_file import BarTable

#: What decides about a trade. Settings, limits and the calendar take part by their values.
_PARTS: Final = ("backtest", "core", "strategies", "engine/sessions.py", "sweep/jobs.py", "sweep/work.py")
_LIBRARIES: Final = ("numpy", "tulipy")
COLUMNS: Final = ("minute", "open", "high", "low", "close", "volume", "symbol_index")


def code_digest(strategy: type[Strategy]) -> str:
    """SHA-256 of the source of engine and ``strategy``, and of the versions of the libraries they count with.

    A strategy from outside counts with its file, and with its whole package when it has one. Raises
    ``UsageError`` when there is no file to read.
    """
    digest = hashlib.sha256(_ENGINE)
    for folder, path in _foreign(strategy):
        _add(digest, folder, path)
    return digest.hexdigest()


def data_digest(table: BarTable, sessions: Sequence[Session]) -> str:
    """SHA-256 of the bars and of the sessions that they are traded in."""
    digest = hashlib.sha256(" ".join(table.symbols).encode())
    for name in COLUMNS:
        column = np.ascontiguousarray(getattr(table, name))
        digest.update(f"\n{name} {column.dtype.str} {len(column)}\n".encode())
        digest.update(column.data)
    for session in sessions:
        digest.update(f"\n{session.date} {session.open.isoformat()} {session.close.isoformat()}".encode())
    return digest.hexdigest()


def _engine() -> bytes:
    digest = hashlib.sha256(f"Python {sys.version_info.major}.{sys.version_info.minor}\n".encode())
    for name in _LIBRARIES:
        digest.update(f"{name} {version(name)}\n".encode())
    home = Path(tui_trader.__file__).parent
    for part in _PARTS:
        for path in _sources(home / part):
            _add(digest, home, path)
    return digest.digest()


def _add(digest: hashlib._Hash, folder: Path, path: Path) -> None:
    content = path.read_bytes()
    digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
    digest.update(content)


def _sources(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _foreign(strategy: type[Strategy]) -> Iterator[tuple[Path, Path]]:
    """Folder and file of every source that the strategy and its parameters bring from outside."""
    modules = {cls.__module__ for cls in (*strategy.__mro__, *strategy.config_type.__mro__)}
    for name in sorted(_reached(modules)):
        top = name.partition(".")[0]
        module = sys.modules[name]
        root = getattr(sys.modules.get(top), "__file__", None) if top != name else None
        file = root or getattr(module, "__file__", None)
        if file is None:
            raise UsageError(
                f"strategy {strategy.name}: its source cannot be found, so no result can be kept"
            )
        folder = Path(file).parent
        for path in _sources(folder) if hasattr(sys.modules.get(top), "__path__") else [Path(file)]:
            yield folder, path


def _reached(modules: Iterable[str]) -> set[str]:
    """``modules`` from outside, and those that they have imported, as far as those are somebody's own.

    What is installed (in site-packages) or belongs to Python is taken for as constant as a release.
    """
    reached: set[str] = set()
    known = {"tui_trader", "pydantic", *sys.stdlib_module_names}
    waiting = [name for name in modules if name.partition(".")[0] not in known]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for value in vars(sys.modules[name]).values():
            other = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
            if isinstance(other, str) and _own(other):
                waiting.append(other)
    return reached


def _own(name: str) -> bool:
    module = sys.modules.get(name)
    top = name.partition(".")[0]
    if module is None or top in ("tui_trader", "builtins", "__main__") or top in sys.stdlib_module_names:
        return False
    file = getattr(module, "__file__", None)
    return file is None or not {"site-packages", "dist-packages"} & set(Path(file).parts)


#: Taken when this is imported: a worker may go on for weeks with code that has been replaced on disk.
_ENGINE: Final = _engine()
