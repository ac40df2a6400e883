"""`tui-trader config init|show|path`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_trader.commands import config as command
from tui_trader.config import load_settings
from tui_trader.errors import UsageError
from tui_trader.paths import default_config_path
from tui_trader.settings import Settings


def test_init_writes_a_file_for_its_owner_alone_that_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "config.toml"
    assert command.init(path) == f"Wrote {path}"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_settings(path, {}, {}).settings == Settings()


def test_init_never_overwrites(tmp_path: Path) -> None:
    path, link = tmp_path / "config.toml", tmp_path / "link.toml"
    path.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    for target in (path, link, tmp_path):
        with pytest.raises(UsageError, match="already there"):
            command.init(target)
    assert path.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


def test_init_says_in_one_line_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written: Not a directory"):
        command.init(tmp_path / "file" / "inner" / "config.toml")
    with pytest.raises(UsageError, match="cannot be written"):
        command.init(Path("/proc/none/config.toml"))


def test_show_gives_every_value_its_source(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    command.init(path)
    text = command.show_text(path, {"APCA_API_SECRET_KEY": "hush"}, {"routes.symbols": "SPY"})
    assert "hush" not in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "alpaca.secret_key = •••• # environment APCA_API_SECRET_KEY" in lines
    assert 'routes.1.symbols = ["SPY"] # command line' in lines


def test_path_is_the_file_alone(tmp_path: Path) -> None:
    assert command.path_text(tmp_path / "x.toml") == str(tmp_path / "x.toml")
    assert command.path_text(None) == str(default_config_path())
    assert default_config_path().name == "config.toml"
