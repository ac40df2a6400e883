"""`--events`: every line where nobody waits for the market, and never a blocked engine where it runs on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from tui_trader.core.events import BarReceived, ErrorOccurred, Published, to_json
from tui_trader.errors import UsageError
from tui_trader.listeners.event_file import EventFile, EventFileThread

_REPOSITORY: Final = Path(__file__).parents[2]
_TIME: Final = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)


def bar(seq: int) -> Published:
    return Published(seq, _TIME, BarReceived("AAPL", _TIME, 1.0, 2.0, 0.5, 1.5, 100, False))


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_every_event_is_a_line_in_order(tmp_path: Path) -> None:
    file = EventFile(str(tmp_path / "events"))
    stream = [bar(seq) for seq in range(1, 5001)]
    for published in stream:
        file.write(published)
    file.close()
    assert lines(tmp_path / "events") == [to_json(published) for published in stream]
    assert file.problem is None


def test_flush_makes_lines_visible_at_once(tmp_path: Path) -> None:
    file = EventFile(str(tmp_path / "events"))
    file.write(bar(1))
    assert lines(tmp_path / "events") == []
    file.flush()
    assert lines(tmp_path / "events") == [to_json(bar(1))]
    file.close()


def test_half_a_surrogate_pair_is_written_as_its_escape(tmp_path: Path) -> None:
    file = EventFile(str(tmp_path / "events"))
    file.write(Published(1, _TIME, ErrorOccurred("rest", "\ud83d", None)))
    file.close()
    assert '"message":"\\ud83d"' in (tmp_path / "events").read_text()


@pytest.mark.parametrize("target", ["{}", "{}/missing/events", "{}/nul\0"])
def test_a_file_that_cannot_be_opened_is_one_line(tmp_path: Path, target: str) -> None:
    with pytest.raises(UsageError, match=r"--events .*: cannot be written") as caught:
        EventFile(target.format(tmp_path))
    assert "\n" not in str(caught.value)


def test_dash_is_standard_output_and_leaves_it_open(capfd: pytest.CaptureFixture[str]) -> None:
    file = EventFile("-")
    file.write(bar(1))
    file.close()
    os.write(1, b"still open\n")
    assert capfd.readouterr().out == to_json(bar(1)) + "\nstill open\n"


def test_a_reader_that_goes_away_is_no_trouble() -> None:
    program = (
        "from tests.listeners.test_event_file import bar\n"
        "from tui_trader.listeners.event_file import EventFile\n"
        "file = EventFile('-')\n"
        "for seq in range(20000): file.write(bar(seq))\n"
        "file.close()\n"
        "assert file.problem is None\n"
        "print('to nowhere')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=_REPOSITORY
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_full_disk_ends_the_writing_and_is_told(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    file = EventFile("/dev/full")
    file.write(bar(1))
    file.flush()
    file.write(bar(2))
    file.close()
    assert file.problem == "--events /dev/full: 2 events were not written (No space left on device)"


def test_the_thread_writes_everything_it_had_room_for(tmp_path: Path) -> None:
    writer = EventFileThread(EventFile(str(tmp_path / "events")))
    for seq in range(1, 101):
        writer.write(bar(seq))
    writer.close()
    assert lines(tmp_path / "events") == [to_json(bar(seq)) for seq in range(1, 101)]
    assert writer.problem is None


def test_a_pipe_nobody_reads_loses_lines_and_never_blocks(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read_end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = EventFileThread(EventFile(str(fifo)), capacity=10)
    sent = 0
    while not writer.lost:
        writer.write(bar(sent))
        sent += 1
    assert "was too slow" in str(writer.problem)
    received: list[bytes] = []
    os.set_blocking(read_end, True)
    reader = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(read_end, 1 << 16), b"")))
    reader.start()
    writer.close()
    reader.join()
    os.close(read_end)
    assert b"".join(received).count(b"\n") == sent - writer.lost


def test_a_pipe_made_non_blocking_by_someone_else_still_gets_every_line(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read_end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    file = EventFile(str(fifo))
    os.set_blocking(file._descriptor, False)
    os.set_blocking(read_end, True)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(read_end, 1 << 16), b"")))
    reader.start()
    for seq in range(2000):
        file.write(bar(seq))
    file.close()
    reader.join()
    os.close(read_end)
    assert b"".join(received).count(b"\n") == 2000
    assert file.problem is None
