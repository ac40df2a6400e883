"""Killed at every named point of its work, a run that is started again breaks no promise."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.crash.proof import KILLED, new_case, prove, trades, uninterrupted

# An entry that was journalled and perhaps never sent is asked about and given up, never sent again: its
# price may be old. So these runs trade differently afterwards; all others trade as if nothing had happened.
LOSES_A_SIGNAL: Final = ("after intent commit", "before entry send", "inside journal checkpoint")

POINTS: Final = (
    ("before intent commit", 1),
    ("after intent commit", 3),
    ("before entry send", 5),
    ("after entry send", 5),
    ("before acknowledgement", 6),
    ("after acknowledgement", 6),
    ("before fill", 4),
    ("after fill", 4),
    ("after fill", 7),
    ("before booking a fill", 9),
    ("after booking a fill", 9),
    ("before stop send", 2),
    ("after stop send", 2),
    ("before stop replacement", 3),
    ("after stop replacement", 3),
    ("before entry cancel", 1),
    ("after entry cancel", 1),
    ("before stop cancel", 3),
    ("after stop cancel", 3),
    ("before exit send", 2),
    ("after exit send", 2),
    ("before end of day", 1),
    ("after end of day", 1),
    ("before close", 1),
    ("after close", 1),
    ("before checkpoint", 100),
    ("after checkpoint", 100),
    ("inside journal checkpoint", 3),
)

STARTING: Final = (
    "before new book", "after new book", "before new market", "after new market", "before engine start",
    "after engine start", "before rebuilding", "after rebuilding", "before reconciling", "after reconciling",
    "before warm-up", "after warm-up",
)  # fmt: skip


@pytest.mark.parametrize(("point", "nth"), POINTS)
def test_a_run_killed_at_any_point_is_put_right_by_the_next(tmp_path: Path, point: str, nth: int) -> None:
    case = new_case(tmp_path)
    assert case.run(point=point, nth=nth) == KILLED, "the point was never reached"
    case.run()
    prove(case)
    if point not in LOSES_A_SIGNAL:
        assert trades(case) == uninterrupted()


@pytest.mark.parametrize(
    ("point", "nth"),
    [("before close", 1), ("after close", 1), ("before night", 1), ("after night", 1), ("after close", 2)],
)
def test_a_run_killed_around_the_close_goes_on_with_the_next_session(
    tmp_path: Path, point: str, nth: int
) -> None:
    case = new_case(tmp_path, sessions=2)
    assert case.run(point=point, nth=nth) == KILLED
    case.run()
    prove(case)
    assert trades(case) == uninterrupted(2)


@pytest.mark.parametrize("point", STARTING)
def test_a_first_start_that_is_killed_is_simply_begun_again(tmp_path: Path, point: str) -> None:
    case = new_case(tmp_path)
    assert case.run(point=point) == KILLED
    case.run()
    prove(case)
    assert trades(case) == uninterrupted()


@pytest.mark.parametrize(
    "point", ["after rebuilding", "after reconciling", "before warm-up", "after engine start"]
)
def test_a_restart_may_be_killed_again_while_it_recovers(tmp_path: Path, point: str) -> None:
    case = new_case(tmp_path)
    assert case.run(point="after fill", nth=7) == KILLED
    for _ in range(2):
        assert case.run(point=point) == KILLED
    case.run()
    prove(case)
    assert trades(case) == uninterrupted()


@pytest.mark.parametrize(
    "point", ["before market's end", "after market's end", "before sealing", "after sealing"]
)
def test_a_run_killed_after_its_last_session_is_over(tmp_path: Path, point: str) -> None:
    """Either its end is made up for, or a new market begins in a new book: never half of both."""
    case = new_case(tmp_path)
    assert case.run(point=point) == KILLED
    assert case.run() == 0
    again = point != "before market's end"
    assert trades(case) == uninterrupted() * (2 if again else 1)
    assert case.open_books() == 0


@pytest.mark.parametrize(
    ("point", "nth"),
    [("after flatten's stop cancel", 1), ("before flatten's exit send", 2), ("after flatten's exit send", 1)],
)
def test_a_flatten_that_was_cut_short_is_finished(tmp_path: Path, point: str, nth: int) -> None:
    case = new_case(tmp_path)
    assert case.run(point=point, nth=nth, flatten_at_step=30) == KILLED
    case.run()
    prove(case)
    events = case.events()
    assert {"state": "PAUSED"}.items() <= next(e for e in events if e.get("previous") == "WARMING_UP").items()
    assert not [e for e in events if e["type"] == "SignalGenerated"], "paused until a person resumes"
    closed = [e["reason"] for e in events if e["type"] == "TradeClosed"]
    assert closed
    assert set(closed) == {"flatten"}
