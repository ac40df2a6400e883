"""The `config` command: write a settings file, show the settings in force, say where the file is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tui_trader.config import load_settings
from tui_trader.config_text import example_config, show
from tui_trader.errors import UsageError
from tui_trader.paths import default_config_path


def init(path: Path | None) -> str:
    """Write the example settings to ``path`` (None: the default file), readable by its owner alone.

    An existing file is never overwritten. Raises UsageError when the file cannot be made.
    """
    target = path or default_config_path()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(example_config())
    except FileExistsError:
        raise UsageError(f"{target}: already there; edit it, or move it away first") from None
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror}") from None
    return f"Wrote {target}"


def show_text(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> str:
    """Every setting in force and its source, one a line. Raises UsageError like ``load_settings``."""
    loaded = load_settings(path, environ, overrides)
    if loaded.settings.ui.keys:
        from tui_trader.tui.keymap import refuse_bad_keys  # it knows the whole screen

        refuse_bad_keys(loaded)
    return show(loaded)


def path_text(path: Path | None) -> str:
    """The settings file that would be read, alone on the line so that scripts can use it."""
    return str(path or default_config_path())
