"""Bars files for tests: prices that swing evenly, so that averages cross and trades come of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from tui_trader.core.calendar import NEW_YORK

DAYS = (date(2025, 6, 2), date(2025, 6, 3))
#: Parameters of sma_cross with which the waves give trades.
SETS = ("sma_fast=5", "sma_slow=15", "candle_interval_minutes=1")


def write_waves(path: Path, symbols: Sequence[str] = ("AAA", "BBB"), days: Sequence[date] = DAYS) -> Path:
    """A file of whole sessions of ``symbols`` on ``days``."""
    lines = ["symbol,timestamp,open,high,low,close,volume"]
    for day in days:
        opened = datetime.combine(day, time(9, 30), NEW_YORK).astimezone(UTC)
        for minute in range(390):
            stamp = (opened + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")
            for number, symbol in enumerate(symbols):
                before, now = (_price(number, at) for at in (minute - 1, minute))
                high, low = max(before, now) + 0.02, min(before, now) - 0.02
                lines.append(f"{symbol},{stamp},{before:.2f},{high:.2f},{low:.2f},{now:.2f},{1000 + minute}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _price(number: int, minute: int) -> float:
    return 100 + 10 * number + 2 * math.sin((minute + 17 * number) / 11) + math.sin(minute / 53)
