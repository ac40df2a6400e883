"""Instants as whole nanoseconds since 1970, the way Alpaca writes them: no two of ours are the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def nanos_of(time: datetime) -> int:
    """Nanoseconds since 1970 of an aware time."""
    return (time - _EPOCH) // _MICROSECOND * 1000


def time_of(nanos: int) -> datetime:
    """The aware UTC time of ``nanos``, cut off at microseconds."""
    return _EPOCH + timedelta(microseconds=nanos // 1000)


def utc_text(nanos: int) -> str:
    """Such as ``2026-11-18T14:31:00.123456789Z``."""
    return f"{time_of(nanos):%Y-%m-%dT%H:%M:%S}.{nanos % SECOND:09d}Z"


def eastern_text(time: datetime) -> str:
    """With New York's offset and nanoseconds, as the clock tells it."""
    local = time.astimezone(NEW_YORK)
    offset = f"{local:%z}"
    return f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond:06d}000{offset[:3]}:{offset[3:]}"


def parse(text: str) -> int:
    """Nanoseconds of an RFC 3339 time or a date (its midnight UTC). Raises ``ValueError``."""
    head, dot, rest = text.partition(".")
    if not dot:
        return nanos_of(_aware(text))
    length = len(rest) - len(rest.lstrip("0123456789"))
    if length == 0:
        raise ValueError(f"no fraction in {text!r}")
    return nanos_of(_aware(head + rest[length:])) + int(rest[:length][:9].ljust(9, "0"))


def _aware(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


class Stamper:
    """Stamps that follow ``now`` and strictly increase, also while it stands still."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._last = 0

    def __call__(self) -> int:
        self._last = max(self._last + 1, nanos_of(self._now()))
        return self._last
