"""A session's agenda: the candles that the strategies are to be asked about, in order of time, then A–Z."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import numpy as np

from tui_trader.backtest.desk import NEVER, Desk


class Agenda:
    """Three lists of equal length, and how far they have been worked through (``at``)."""

    __slots__ = ("_every", "at", "candles", "desks", "times")

    def __init__(self, every: Sequence[Desk]) -> None:
        self._every = every
        self.at = 0
        self.times: list[int] = []  # moments at which the candles are known, rising
        self.desks: list[Desk] = []
        self.candles: list[int] = []

    def busy(self, sessions: int) -> list[bool]:
        """For each of so many sessions, whether there is anything to ask about."""
        found = np.zeros(sessions, dtype=bool)
        for desk in self._every:
            found |= desk.busy()
        return found.tolist()

    def plan(self, session: int) -> None:
        """What is to be asked about in ``session``."""
        self.at = 0
        if len(self._every) == 1:
            self._plan_alone(session)
            return
        asked = list(compress(self._every, [desk.has_agenda(session) for desk in self._every]))
        if not asked:
            self.times, self.desks, self.candles = [], [], []
            return
        parts = [desk.agenda(session) for desk in asked]
        times = np.concatenate([desk.candles.closes[part] for desk, part in zip(asked, parts, strict=True)])
        owners = np.repeat(np.arange(len(asked)), [len(part) for part in parts])
        # Stable, and the parts are A–Z with rising candles, so equal times stay in that order.
        order = np.argsort(times, kind="stable")
        self.times = times[order].tolist()
        self.desks = [asked[owner] for owner in owners[order].tolist()]
        self.candles = np.concatenate(parts)[order].tolist()

    def _plan_alone(self, session: int) -> None:
        """``plan`` of a run's only symbol."""
        desk = self._every[0]
        self.candles, self.times = desk.agenda_lists(session)
        self.desks = [desk] * len(self.candles)

    @property
    def next_time(self) -> int:
        return self.times[self.at] if self.at < len(self.times) else NEVER

    def skip(self, before: int) -> None:
        """Leave out what is known before that moment."""
        times, at = self.times, self.at
        while at < len(times) and times[at] < before:
            at += 1
        self.at = at

    def take(self, moment: int) -> list[tuple[Desk, int]]:
        """What is known at ``moment``; what was known earlier and not asked is left out."""
        self.skip(moment)
        times, first, at = self.times, self.at, self.at
        while at < len(times) and times[at] == moment:
            at += 1
        self.at = at
        return list(zip(self.desks[first:at], self.candles[first:at], strict=True))
