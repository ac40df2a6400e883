"""How numbers and times are written on the screen: short, aligned, and with their sign."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

NOTHING: Final = "—"
_NEW_YORK: Final = ZoneInfo("America/New_York")
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400

Number = Decimal | float | int


def money(value: Number) -> str:
    """Dollars and cents with thousands separators: ``101,234.56``."""
    return f"{value:,.2f}" if _known(value) else NOTHING


def dollars(value: Number) -> str:
    """Whole dollars with thousands separators: ``152,410``."""
    return f"{value:,.0f}" if _known(value) else NOTHING


def signed(value: Number) -> str:
    """Dollars and cents that always show their sign: ``+812.34``."""
    return _signless_zero(f"{value:+,.2f}") if _known(value) else NOTHING


def price(value: Number) -> str:
    """A share price: cents from a dollar up, else four places."""
    if not _known(value):
        return NOTHING
    return f"{value:,.2f}" if value >= 1 else f"{value:.4f}"


def percent(value: Number, places: int = 2) -> str:
    """A percentage that always shows its sign: ``+0.81%``."""
    return _signless_zero(f"{value:+.{places}f}") + "%" if _known(value) else NOTHING


def multiple(value: Number) -> str:
    """Profit in units of risk, signed: ``+1.4``."""
    return _signless_zero(f"{value:+.1f}") if _known(value) else NOTHING


def age(seconds: float) -> str:
    """How old something is, in its largest fitting unit: ``4s``, ``12m``, ``3h05``, ``2d``."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02d}"
    return f"{whole // _DAY}d"


def countdown(left: timedelta) -> str:
    """Time that is left, in two units: ``2h14m``, ``14m``, ``42s``."""
    whole = max(0, int(left.total_seconds()))
    if whole >= _DAY:
        return f"{whole // _DAY}d{whole % _DAY // _HOUR}h"
    if whole >= _HOUR:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02d}m"
    return f"{whole // _MINUTE}m" if whole >= _MINUTE else f"{whole}s"


def clock(time: datetime) -> str:
    """Market time of day, in New York: ``13:45:55``."""
    return time.astimezone(_NEW_YORK).strftime("%H:%M:%S")


def opening(time: datetime) -> str:
    """When a session opens, in New York: ``Tue 09:30``."""
    return time.astimezone(_NEW_YORK).strftime("%a %H:%M")


def breaker_cause(rule: str, value: Number, limit: Number) -> str:
    """Why the breaker tripped, in words."""
    match rule:
        case "consecutive_loss_pause":
            return f"{value:.0f} losses in a row"
        case "max_daily_loss_pct":
            return f"the day's loss of ${dollars(value)} reached its limit of ${dollars(limit)}"
        case _:
            return f"{rule}: {value:f} reached {limit:f}"


def speed(value: float | None) -> str:
    """How fast a simulated market runs: ``×60``, or ``max``."""
    return "max" if value is None else f"×{value:g}"


def _known(value: Number) -> bool:
    return value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)


def _signless_zero(text: str) -> str:
    return text[1:] if text.strip("+-0.,") == "" else text
