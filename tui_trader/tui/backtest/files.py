"""Finding files of bars: what a folder holds, and what a typed path may mean."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path
from typing import Final

_ENDINGS: Final = (".csv", ".csv.gz")
_MOST_ENTRIES: Final = 5_000
_WILD: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder, or a file that may hold bars. ``size`` in bytes."""

    path: Path
    folder: bool
    size: int = 0
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds, folders first; ``problem`` says why it cannot be read, or what was left out."""

    entries: tuple[Entry, ...]
    problem: str = ""


def list_folder(folder: Path, beginning: str = "") -> Listing:
    """Folders and files of bars in ``folder`` whose names begin so."""
    entries: list[Entry] = []
    cut = ""
    try:
        with os.scandir(folder) as found:
            for item in found:
                if not item.name.startswith(beginning) or (item.name.startswith(".") and not beginning):
                    continue
                entry = _entry(item)
                if entry is not None:
                    entries.append(entry)
                if len(entries) == _MOST_ENTRIES:
                    cut = f"the first {_MOST_ENTRIES:,} entries of this folder"
                    break
    except (OSError, ValueError) as error:
        return Listing((), f"{folder}: {getattr(error, 'strerror', None) or error}")
    return Listing(tuple(sorted(entries, key=lambda entry: (not entry.folder, entry.path.name))), cut)


def _entry(item: os.DirEntry[str]) -> Entry | None:
    try:
        if item.is_dir():
            return Entry(Path(item.path), True)
        if not item.name.endswith(_ENDINGS):
            return None
        state = item.stat()
    except OSError:
        return None
    # A file's date is the clock of whoever looks at it.
    return Entry(Path(item.path), False, state.st_size, datetime.fromtimestamp(state.st_mtime))  # noqa: DTZ006


def split_typed(text: str) -> tuple[Path, str]:
    """The folder that a typed path lies in, and the beginning of a name in it."""
    folder, _, beginning = text.rpartition("/")
    if not folder:
        return Path("/" if text.startswith("/") else "."), beginning
    return _expanded(folder), beginning


def complete(text: str) -> str:
    """``text`` with as much added as all fitting names have in common, and a ``/`` behind a lone folder."""
    folder, beginning = split_typed(text)
    entries = list_folder(folder, beginning).entries
    if not entries:
        return text
    names = [entry.path.name for entry in entries]
    common = "".join(letters[0] for letters in takewhile(_alike, zip(*names, strict=False)))
    lone = "/" if len(entries) == 1 and entries[0].folder else ""
    return f"{text[: len(text) - len(beginning)]}{common}{lone}"


def _alike(letters: Sequence[str]) -> bool:
    return len(set(letters)) == 1


def typed_files(text: str) -> Sequence[Path]:
    """The files that a typed path means: itself, or all that fit its wildcards; none when there are none."""
    folder, name = split_typed(text)
    if _WILD & set(name):
        entries = list_folder(folder).entries
        return [entry.path for entry in entries if not entry.folder and fnmatchcase(entry.path.name, name)]
    path = _expanded(text)
    try:
        return [path] if path.is_file() else []
    except ValueError:
        return []


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user
        return Path(text)


def size_text(size: int) -> str:
    """A size in at most six characters: ``812``, ``24 kB``, ``3.4 MB``."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= limit:
            scaled = size / limit
            return f"{scaled:.1f} {unit}" if scaled < 9.95 else f"{scaled:.0f} {unit}"
    return str(size)
