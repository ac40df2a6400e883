"""Files for the user are written whole or not at all, and nothing precious is written over."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui_trader.backtest.output_file import check_output, write_whole
from tui_trader.errors import UsageError


def refusal(path: Path, *inputs: Path) -> str:
    with pytest.raises(UsageError) as checked:
        check_output(path, "--json", inputs)
    assert str(checked.value).startswith("--json ")
    return str(checked.value)


def write_refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        write_whole(path, "--json", ["x"])
    return str(caught.value)


def test_a_file_holds_all_pieces_and_its_folder_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    check_output(path, "--json")
    assert list(tmp_path.iterdir()) == []
    write_whole(path, "--json", ["a", "–", "\r\n"])
    assert path.read_bytes() == "a–\r\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_mode_that_the_user_gives_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "new", "--json", ["x"])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_text("longer than what comes")
    path.chmod(0o600)
    check_output(path, "--json")
    write_whole(path, "--json", ["new"])
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, "--json", ["new"])
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_work_that_fails_halfway_leaves_the_old_file(tmp_path: Path) -> None:
    def pieces() -> Iterator[str]:
        yield "half"
        raise KeyboardInterrupt

    path = tmp_path / "old"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "--json", pieces())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_regular_file_is_left_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, Path("/dev/null")):
        assert refusal(path) == f"--json {path}: is not a regular file: choose another name"
        assert write_refusal(path) == refusal(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    path = folder / "out"
    assert refusal(path) == f"--json {path}: there is no folder {folder}: make it first"
    assert write_refusal(path).startswith(f"--json {path}: cannot be written (No such file")


def test_a_file_in_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refusal(tmp_path / "file" / "out")


def test_what_may_not_be_written_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of ``os.access``, for the tests may run as a user who may do anything."""
    path = tmp_path / "old"
    path.write_text("")
    protected = {path}
    monkeypatch.setattr(os, "access", lambda path, mode: path not in protected)
    assert refusal(path) == f"--json {path}: is write-protected: choose another name"
    protected.add(tmp_path.resolve())
    assert refusal(tmp_path / "new") == (
        f"--json {tmp_path / 'new'}: nothing can be written in {tmp_path.resolve()}: choose another folder"
    )


def test_a_name_that_no_file_can_have_is_one_line(tmp_path: Path) -> None:
    for name in ("x" * 300, "a\0b"):
        assert "cannot be written" in refusal(tmp_path / name)
        assert write_refusal(tmp_path / name).isprintable()
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "cannot be written" in refusal(loop)


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    bars, other = tmp_path / "bars.csv", tmp_path / "same.csv"
    bars.write_text("bars")
    os.link(bars, other)
    assert refusal(other, bars, tmp_path / "none") == (
        f"--json {other}: is read by this command: choose another name"
    )
    assert bars.read_text() == "bars"
