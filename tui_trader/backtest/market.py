"""stub, being written"""

from __future__ import annotations

from tui_trader.core.calendar import Calendar, Session
from tui_trader.venues.replay.bars_file import BarTable


class MarketData:
    """Recorded bars made ready once for any number of runs.

    ``symbols`` A–Z that have bars; ``sessions`` with bars, oldest first.
    """

    symbols: tuple[str, ...]
    sessions: tuple[Session, ...]

    def __init__(
        self, table: BarTable, calendar: Calendar, max_bar_jump_pct: float, asked: tuple[str, ...] = ()
    ) -> None:
        raise NotImplementedError
