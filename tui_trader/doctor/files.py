"""The files of a run: settings, strategies, and the folder of journal, logs and lock."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tui_trader.config import LoadedSettings
from tui_trader.doctor.findings import Finding, fail, ok, plural, warn
from tui_trader.errors import UsageError
from tui_trader.journal import schema
from tui_trader.journal.lock import LOCK_FILE
from tui_trader.journal.store import JOURNAL_FILE
from tui_trader.options import RunOptions
from tui_trader.paths import default_config_path
from tui_trader.strategies.registry import find_strategy
from tui_trader.wiring import routed_strategies, settings_for, venue_for

_MB: Final = 1 << 20
_LITTLE_SPACE: Final = 500 * _MB
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_TRIAL: Final = b"\0" * 65536
#: Reading a whole journal of years may take minutes; the tables that trading rests on are always read.
_PATIENCE_S: Final = 10.0
_STEPS_BETWEEN_LOOKS: Final = 100_000


class Files:
    """Checks that leave behind what later ones go on from: ``loaded``, ``venue`` and ``symbols``."""

    loaded: LoadedSettings
    symbols: Sequence[str]

    def __init__(self, options: RunOptions, state_dir: Path, environ: Mapping[str, str]) -> None:
        #: The venue that a start would use; before ``config`` has found out, the one that was asked for.
        self.venue: str | None = options.venue
        self._options = options
        self._state_dir = state_dir
        self._environ = environ

    def config(self) -> Finding:
        """The settings: where they are, whether they are valid, who may read and change them."""
        self.loaded = settings_for(self._options, self._environ)
        self.venue = venue_for(self._options, self.loaded)
        path = self.loaded.path
        if path is None:
            missing = self._options.config or default_config_path()
            return ok(f"the defaults, venue {self.venue}; no file at {missing} (tui-trader config init)")
        mode = stat.S_IMODE(path.stat().st_mode)
        shown = f"{path} (mode {mode:04o}), venue {self.venue}"
        if path.parent.stat().st_mode & _OTHERS_WRITE:
            return warn(f"{shown}: others may replace it: run chmod go-w {path.parent}")
        return ok(shown)

    def strategies(self) -> Finding:
        """Every routed strategy, made for its symbols as a start does; and the other files beside them."""
        made = routed_strategies(self.loaded)
        self.symbols = [strategy.symbol for strategy in made]
        counts = Counter(strategy.name for strategy in made)
        shown = ", ".join(f"{name} on {plural(number, 'symbol')}" for name, number in counts.items())
        for path in sorted((default_config_path().parent / "strategies").glob("*.py")):
            try:
                find_strategy(path.stem, path.parent)
            except UsageError as error:
                return warn(f"{shown}; not used, but {error}")
        return ok(shown)

    def state_folder(self) -> Finding:
        """Whether the folder can be written, or made, and has room."""
        folder = self._state_dir
        there = _nearest(folder)
        if not there.is_dir():
            return fail(f"{there} is no folder: move it away, or choose another with --state-dir")
        try:
            if there == folder:
                with tempfile.TemporaryFile(dir=folder) as trial:
                    trial.write(_TRIAL)
            elif not os.access(there, os.W_OK | os.X_OK):
                raise PermissionError(0, "permission denied")
            free = shutil.disk_usage(there).free
        except OSError as error:
            return fail(
                f"{folder} cannot be written ({error.strerror}): correct its permissions or free some space, "
                "or choose another with --state-dir"
            )
        shown = f"{folder}{'' if there == folder else ' (will be made)'}, {_size(free)} free"
        if free < _LITTLE_SPACE:
            return warn(f"{shown}: free some space; without room for the journal there are no new entries")
        if there == folder and folder.stat().st_mode & _OTHERS_WRITE:
            return warn(f"{shown}: others may change what is in it: run chmod 700 {folder}")
        return ok(shown)

    def engine(self) -> Finding:
        """Whether an engine runs on the folder already: a second one would be refused."""
        try:
            descriptor = os.open(self._state_dir / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return ok("none runs on this state folder")
        except OSError as error:
            return fail(f"{self._state_dir / LOCK_FILE} cannot be read ({error.strerror}): correct that")
        try:
            # Shared and given back at once: an engine that starts just now is hardly in the way.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).strip()
            process = f" (process {int(owner)})" if owner.isdigit() else ""
            return fail(
                f"one{process} already runs on {self._state_dir}: stop it first (tui-trader stop), "
                "or choose another with --state-dir"
            )
        finally:
            os.close(descriptor)
        return ok("none runs on this state folder")

    def journal(self) -> Finding:
        """Whether the journal is ours, of a version that we know, and sound."""
        path = self._state_dir / JOURNAL_FILE
        if not path.exists():
            return ok("none yet: the first run begins it")
        connection = None
        try:
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            if not schema.version_of(connection):
                return ok("empty")
            schema.check(connection)
            books = connection.execute("SELECT COUNT(*) FROM books").fetchone()[0]
            shown = f"{plural(books, 'book')}, {_size(path.stat().st_size)}"
            return _read_to_the_end(connection, shown)
        except schema.NotAJournal as error:
            return fail(f"{path} {error}")
        except sqlite3.OperationalError as error:
            return fail(f"{path} cannot be read ({error}): correct that, or choose another --state-dir")
        except sqlite3.Error as error:
            return fail(f"{path} is damaged ({error}): move it away or restore a copy")
        finally:
            if connection is not None:
                connection.close()


def _read_to_the_end(connection: sqlite3.Connection, shown: str) -> Finding:
    """The events, too; damage there stops nothing but is better known."""
    give_up_at = time.monotonic() + _PATIENCE_S
    connection.set_progress_handler(lambda: time.monotonic() > give_up_at, _STEPS_BETWEEN_LOOKS)
    try:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return ok(f"{shown}, sound as far as it was read in {_PATIENCE_S:.0f} s")
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        return warn(f"{shown}: old events are damaged ({found}): keep a copy of the whole file")
    return ok(f"{shown}, sound")


def _nearest(folder: Path) -> Path:
    """``folder``, or the nearest one above it that exists."""
    return next((place for place in (folder, *folder.absolute().parents) if place.exists()), Path("/"))


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
