"""Finished results on disk, one file a job, so that nothing that is finished is ever run again."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

from tui_trader.errors import TuiTraderError, UsageError
from tui_trader.sweep.jobs import JobResult, from_json, to_json

_LARGEST: Final = 1 << 16
_UNFINISHED: Final = ".unfinished"
_OURS: Final = re.compile(r"[0-9a-f]{16}-[a-z0-9_]{8}\.unfinished")
_ABANDONED_AFTER_S: Final = 3600


def default_results_dir() -> Path:
    """Where results are kept when no folder is named."""
    import platformdirs

    return platformdirs.user_cache_path("tui-trader", appauthor=False) / "sweeps"


class ResultStore:
    """A folder, made when it is not there. Any number of processes may use it at once.

    Every file appears complete or not at all, and is believed only when it is exactly the result of the job
    it is named after. Raises ``UsageError`` for a folder that cannot be made or read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(self._unusable(error)) from None

    def tidy(self) -> None:
        """Remove what processes that were killed while writing have left behind."""
        for path in self.folder.glob(f"*{_UNFINISHED}"):
            with contextlib.suppress(OSError):  # another sweep may tidy up, too
                found = path.lstat()
                ours = _OURS.fullmatch(path.name) and stat.S_ISREG(found.st_mode)
                if ours and time.time() - found.st_mtime > _ABANDONED_AFTER_S:
                    path.unlink()

    def get(self, key: str) -> JobResult | None:
        """The result of the job with ``key``; None when it is not finished, or its file is not whole."""
        try:
            # Without waiting for a writer, should a pipe lie there, and through no link.
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
            with os.fdopen(os.open(self.folder / f"{key}.json", flags), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return None
                text = file.read(_LARGEST + 1)
        except OSError:
            return None
        return from_json(key, text) if len(text) <= _LARGEST else None

    def put(self, key: str, result: JobResult) -> None:
        """Keep ``result``, unless it is none: a strategy that raised may have been mended since.

        Raises ``TuiTraderError`` when the disk is full or gone.
        """
        if result.error:
            return
        try:
            descriptor, name = tempfile.mkstemp(_UNFINISHED, f"{key[:16]}-", self.folder)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(to_json(key, result))
                Path(name).replace(self.folder / f"{key}.json")
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise TuiTraderError(self._unusable(error)) from None

    def _unusable(self, error: OSError) -> str:
        reason = error.strerror or type(error).__name__
        return f"results folder {self.folder}: cannot be used: {reason}; choose another with --results DIR"
