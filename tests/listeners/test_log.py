"""The log: what happened, in a file, whatever happens to the file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from tui_trader.core.events import BarReceived, ErrorOccurred, Heartbeat, Published, to_json
from tui_trader.listeners.log import LOG_FILE, LogListener, RotatingFile, log_kinds

_TIME: Final = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)


def error(seq: int) -> Published:
    return Published(seq, _TIME, ErrorOccurred("rest", "again", None))


class Events:
    """A subscription that hands out prepared batches; an exception among them is raised."""

    def __init__(self, *batches: list[Published] | Exception) -> None:
        self.batches = list(batches)
        self.dropped = 0
        self.closed = False

    def drain(self) -> list[Published]:
        if not self.batches:
            return []
        batch = self.batches.pop(0)
        if isinstance(batch, Exception):
            raise batch
        return batch

    def close(self) -> None:
        self.closed = True


def logged(folder: Path) -> list[str]:
    return (folder / LOG_FILE).read_text().splitlines()


def test_stop_writes_what_is_still_queued(tmp_path: Path) -> None:
    events = Events([error(1), error(2)])
    listener = LogListener(events, tmp_path)
    listener.start()
    listener.stop()
    assert logged(tmp_path) == [to_json(error(1)), to_json(error(2))]
    assert events.closed
    assert listener.lost == 0


@pytest.mark.parametrize(("debug", "count"), [(False, 1), (True, 3)])
def test_bars_and_heartbeats_are_left_out_unless_debugging(tmp_path: Path, debug: bool, count: int) -> None:
    bar = BarReceived("AAPL", _TIME, 1.0, 1.0, 1.0, 1.0, 1, False)
    batch = [Published(1, _TIME, bar), Published(2, _TIME, Heartbeat(1.0, 0, 0.0)), error(3)]
    listener = LogListener(Events(batch), tmp_path, debug)
    listener.start()
    listener.stop()
    assert len(logged(tmp_path)) == count
    assert (BarReceived in log_kinds(debug)) == debug


def test_a_failing_log_fails_alone_and_says_later_what_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    events = Events([error(1), error(2)], RuntimeError("broken"), [error(3)])
    events.dropped = 5
    listener = LogListener(events, folder)
    listener._pump()
    listener._pump()
    assert listener.lost == 7
    folder.mkdir()
    listener._pump()
    note, line = logged(folder)
    assert json.loads(note) == {"type": "LogLost", "time": "2026-01-05T14:30:00Z", "count": 7}
    assert line == to_json(error(3))


def test_a_log_that_grows_is_rotated_and_the_oldest_dropped(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "log", max_bytes=10, keep=2)
    for number in range(5):
        file.append(f"block number {number}\n")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "log": "block number 4\n",
        "log.1": "block number 3\n",
        "log.2": "block number 2\n",
    }


def test_the_log_is_for_its_owner_only(tmp_path: Path) -> None:
    RotatingFile(tmp_path / "log").append("line\n")
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0
