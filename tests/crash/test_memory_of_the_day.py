"""What a restarted engine knows is what it would know had it never been killed."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.crash.proof import KILLED, LIVELY, new_case, prove

#: The breaker trips half an hour into the day.
STRICT = LIVELY.replace("consecutive_loss_pause = 10", "consecutive_loss_pause = 2")

# Instants: with entries waiting, positions trailed, one being sold, in the evening, on the second day.
KILLS = (5, 34, 161, 584, 600)

State = dict[str, Any]


def _states(path: Path) -> list[State]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@cache
def _uninterrupted(config: str) -> list[State]:
    """What an engine that nobody kills knows at the moments of the kills and in the end."""
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        case = new_case(Path(folder), text=config, sessions=2)
        case.run(states=Path(folder) / "states.jsonl", instants=frozenset(KILLS))
        return _states(Path(folder) / "states.jsonl")


@pytest.mark.parametrize("nth", KILLS)
@pytest.mark.parametrize("config", [LIVELY, STRICT], ids=["lively", "strict"])
def test_counters_latches_candles_and_strategies_survive_a_kill_between_two_instants(
    tmp_path: Path, config: str, nth: int
) -> None:
    case = new_case(tmp_path, text=config, sessions=2)
    assert case.run(point="after checkpoint", nth=nth) == KILLED
    case.run(states=tmp_path / "states.jsonl")
    prove(case)
    states = _states(tmp_path / "states.jsonl")
    known = states[0]
    expected = [state for state in _uninterrupted(config) if state["time"] == known["time"]][-1]
    for symbol, desk in expected["desks"].items():
        assert known["desks"][symbol] == desk, symbol
    assert known == expected
    assert states[-1] == _uninterrupted(config)[-1]


def test_the_strict_day_trips_the_breaker_and_the_lively_one_has_something_of_everything() -> None:
    assert any('"trip": ["consecutive' in state["breaker"] for state in _uninterrupted(STRICT))
    lively = _uninterrupted(LIVELY)
    desks = [desk for state in lively for desk in state["desks"].values()]
    for what in ("strategy", "forming", "waiting", "leaving"):
        assert any(desk[what] for desk in desks), what
