"""The parts of the screen that are painted one by one."""

from __future__ import annotations

from enum import Enum, auto


class Part(Enum):
    """A part of the screen that can need repainting."""

    WATCH = auto()
    CHART = auto()
    POSITIONS = auto()
    ORDERS = auto()
    ROUTES = auto()
    RISK = auto()
    EQUITY = auto()
