"""Killed at any moment, any number of times: nothing is bought twice, left naked, lost or invented."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.crash.proof import new_case, prove

_LATEST_KILL_S = 0.8


def _kill_at_random(folder: Path, number: int) -> None:
    draw = random.Random(number)
    case = new_case(folder, seed=draw.randrange(1000), sessions=draw.choice((1, 2, 3)))
    for _ in range(draw.choice((1, 1, 2, 4))):
        process = case.process()
        process.start()
        process.join(draw.uniform(0.02, _LATEST_KILL_S))
        process.kill()
        if case.await_end(process) == 0:
            break  # it was too quick for us
    else:
        case.run()
    prove(case)


@pytest.mark.parametrize("number", range(15))
def test_kills_at_random_moments(tmp_path: Path, number: int) -> None:
    _kill_at_random(tmp_path, number)


@pytest.mark.soak
@pytest.mark.skipif(os.environ.get("SOAK") != "1", reason="make soak")
@pytest.mark.parametrize("number", range(100, 300))
def test_two_hundred_kills_at_random_moments(tmp_path: Path, number: int) -> None:
    _kill_at_random(tmp_path, number)
