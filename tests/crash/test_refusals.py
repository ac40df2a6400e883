"""What cannot be gone on with is refused in one line, exit code 3, and left exactly as it was."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.proof import KILLED, Case, new_case, prove, rows

Damage = Callable[[Path], None]


def _garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff garbage" * 1000)


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 3 * 4096 // 2])


def _bad_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x55" * (len(content) - 4096)
    path.write_bytes(content)


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE recipes (cake TEXT)")
    database.close()


def _bad_document(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO orders VALUES ('x', '{\"id\": 3}')")
    database.close()


def _kept(folder: Path, name: str) -> str:
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


def _settle(path: Path) -> None:
    """What is in the write-ahead log goes into the file, so that the file is what is damaged."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    for rest in ("-wal", "-shm"):
        path.with_name(path.name + rest).unlink(missing_ok=True)


def _refused(case: Case, *words: str) -> None:
    assert case.run() == 3
    said = case.said()
    assert said.count("\n") == 1, said
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("journal.db", _garbage), ("journal.db", _torn), ("journal.db", _bad_page), ("journal.db", _foreign),
        ("exchange-sim.db", _garbage), ("exchange-sim.db", _torn), ("exchange-sim.db", _bad_page),
        ("exchange-sim.db", _foreign), ("exchange-sim.db", _bad_document),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_and_nothing_is_overwritten(
    tmp_path: Path, name: str, damage: Damage
) -> None:
    case = new_case(tmp_path)
    assert case.run(point="after checkpoint", nth=34) == KILLED
    for file in ("journal.db", "exchange-sim.db"):
        _settle(case.state / file)
    damage(case.state / name)
    before = {file: _kept(case.state, file) for file in ("journal.db", "exchange-sim.db")}
    events = case.events_file(1)
    events.write_text("somebody's file\n")
    _refused(case, name)
    assert {file: _kept(case.state, file) for file in before} == before
    assert events.read_text() == "somebody's file\n"


def test_a_state_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    case = new_case(tmp_path)
    case.options = replace(case.options, state_dir=tmp_path / "file" / "state")
    _refused(case, str(tmp_path / "file"), "--state-dir")


def test_two_engines_never_share_a_state_folder(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    case.options = replace(case.options, speed=1.0)
    first = case.process()
    first.start()
    try:
        deadline = time.monotonic() + 20
        while not (case.state / "engine.lock").exists() or not (case.state / "engine.lock").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        case.runs.append(0)
        _refused(case, "already runs", "--state-dir")
    finally:
        first.kill()
        first.join()


def test_a_market_whose_journal_is_gone_ends_in_order(tmp_path: Path) -> None:
    """What nobody remembers ordering is seen, said and left alone."""
    case = new_case(tmp_path)
    assert case.run(point="after checkpoint", nth=34) == KILLED
    for file in case.state.glob("journal.db*"):
        file.unlink()
    assert case.run() == 0
    reconciled = next(event for event in case.events() if event["type"] == "Reconciled")
    assert reconciled
    assert any("EXTERNAL" in text for e in case.events() for text in e.get("corrections", ()))


def test_a_full_disk_stops_entries_not_exits_and_is_caught_up_with(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    case.run(journal_fails=(40, 400))
    prove(case)
    said = [event["message"] for event in case.events() if event["type"] == "ErrorOccurred"]
    assert any("entries are off" in message for message in said)
    assert "can be written again" in said


def test_a_disk_that_stays_full_crashes_nothing_and_is_told_at_the_end(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    assert case.run(journal_fails=(40, 0)) == 1
    assert "journal" in case.said()
    assert case.events()[-1]["state"] == "STOPPED"
    assert case.run() == 0, "with room again the next run begins a new market"
    assert case.open_books() == 0


@pytest.mark.parametrize("nth", [5, 40, 200])
def test_the_event_file_of_a_killed_run_has_whole_lines_but_perhaps_the_last(
    tmp_path: Path, nth: int
) -> None:
    case = new_case(tmp_path)
    case.options = replace(case.options, speed=1_000_000.0)  # paced: written after every instant
    assert case.run(point="before checkpoint", nth=nth) == KILLED
    events = case.events(0)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert rows(case.state / "exchange-sim.db", "SELECT COUNT(*) FROM facts")[0][0]
