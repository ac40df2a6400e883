"""One engine a state folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tui_trader.errors import RefusedToStart
from tui_trader.journal.lock import LOCK_FILE, InstanceLock

_HOLDER: Final = """
import sys
from pathlib import Path
from tui_trader.journal.lock import InstanceLock
InstanceLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_instance_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    with InstanceLock(tmp_path), pytest.raises(RefusedToStart) as caught:
        InstanceLock(tmp_path).acquire()
    assert caught.value.exit_code == 3
    assert f"process {os.getpid()}" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path)
    for _ in range(2):
        lock.acquire()
        lock.release()
        lock.release()


def test_a_killed_owner_leaves_no_lock_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RefusedToStart, match=f"process {holder.pid}"):
            InstanceLock(tmp_path).acquire()
        holder.kill()
        assert holder.wait() == -signal.SIGKILL
    with InstanceLock(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_the_state_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    with InstanceLock(folder):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RefusedToStart, match="cannot be written") as caught:
        InstanceLock(tmp_path / "file" / "state").acquire()
    assert "--state-dir" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("content")
    (tmp_path / LOCK_FILE).symlink_to(precious)
    with pytest.raises(RefusedToStart):
        InstanceLock(tmp_path).acquire()
    assert precious.read_text() == "content"
