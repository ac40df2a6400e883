"""Which sessions a parameter set is chosen on, and which it is judged on afterwards: always later ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from tui_trader.core.calendar import Session
from tui_trader.errors import UsageError
from tui_trader.sweep.jobs import Window

#: The last of every ten sessions are held out, and with fewer sessions than ten none.
HELD_OUT_OF_TEN: Final = 3
FEWEST_TO_HOLD_OUT: Final = 10

_PART: Final = re.compile(r"\s*(train|test)\s*=\s*([0-9]{1,5})d\s*")


class Walk(NamedTuple):
    """How many sessions each step of a walk-forward chooses on, and how many it is judged on."""

    train: int
    test: int

    def __str__(self) -> str:
        return f"train={self.train}d,test={self.test}d"


class Step(NamedTuple):
    """``test`` begins with the session after ``train``'s last."""

    train: Window
    test: Window


def parse_walk(text: str) -> Walk:
    """``train=60d,test=20d``, in sessions. Raises ``UsageError``."""
    found: dict[str, int] = {}
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None or match[1] in found or int(match[2]) == 0:
            found.clear()
            break
        found[match[1]] = int(match[2])
    if len(found) != 2:
        raise UsageError(f"--walk-forward {text}: write train=60d,test=20d, both in sessions, from 1d")
    return Walk(found["train"], found["test"])


def hold_out(sessions: Sequence[Session]) -> tuple[Window, Window | None]:
    """The sessions to rank parameter sets on, and the last 30 %, held out; None when there are too few."""
    if len(sessions) < FEWEST_TO_HOLD_OUT:
        return _window(sessions), None
    kept = len(sessions) - len(sessions) * HELD_OUT_OF_TEN // 10
    return _window(sessions[:kept]), _window(sessions[kept:])


def steps(sessions: Sequence[Session], walk: Walk) -> list[Step]:
    """Steps of ``walk.test`` sessions, so that every session after the first training is judged once.

    The last test may be shorter. Raises ``UsageError`` when there is no session to judge on.
    """
    if len(sessions) <= walk.train:
        raise UsageError(
            f"--walk-forward {walk}: the bars have {len(sessions)} sessions, at least {walk.train + 1} are "
            "needed: shorten train, or give more bars"
        )
    found = []
    for begin in range(walk.train, len(sessions), walk.test):
        train, test = sessions[begin - walk.train : begin], sessions[begin : begin + walk.test]
        found.append(Step(_window(train), _window(test)))
    return found


def _window(sessions: Sequence[Session]) -> Window:
    return Window(sessions[0].date, sessions[-1].date)
