"""The bars that were tested last, remembered in a small file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_MOST: Final = 8
_MOST_FILES: Final = 200
_MOST_BYTES: Final = 1 << 18

Choice = tuple[Path, ...]


class RecentBars:
    """The latest choices, newest first. A file that cannot be read or written is no reason to stop."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._choices: list[Choice] | None = None

    @property
    def choices(self) -> Sequence[Choice]:
        if self._choices is None:
            self._choices = self._load()
        return tuple(self._choices)

    def add(self, paths: Choice) -> None:
        """Put a choice first."""
        if not 0 < len(paths) <= _MOST_FILES:
            return
        chosen = tuple(path.absolute() for path in paths)
        self._choices = [chosen, *(old for old in self.choices if old != chosen)][:_MOST]
        if self._file is not None:
            with suppress(OSError, ValueError):
                text = json.dumps([[os.fspath(path) for path in choice] for choice in self._choices])
                self._file.write_text(text + "\n", encoding="utf-8")

    def _load(self) -> list[Choice]:
        if self._file is None:
            return []
        try:
            with self._file.open("rb") as handle:
                raw = handle.read(_MOST_BYTES + 1)
            stored = json.loads(raw) if len(raw) <= _MOST_BYTES else []
        except (OSError, ValueError, RecursionError):
            return []
        if not isinstance(stored, list):
            return []
        choices = [entry for entry in stored if isinstance(entry, list) and entry]
        return [
            tuple(Path(path) for path in choice)
            for choice in choices[:_MOST]
            if all(isinstance(path, str) and "\0" not in path for path in choice)
        ]
