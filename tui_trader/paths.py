"""Where things are kept unless somebody says otherwise."""

from __future__ import annotations

from pathlib import Path


def default_config_path() -> Path:
    """The settings file used when none is named."""
    import platformdirs

    return platformdirs.user_config_path("tui-trader", appauthor=False) / "config.toml"


def default_state_dir() -> Path:
    """The folder of journal, logs and lock when none is named."""
    import platformdirs

    return platformdirs.user_state_path("tui-trader", appauthor=False)
