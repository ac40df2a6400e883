"""The computer: Python and its libraries, the terminal, the clock, the calendar of the exchange."""

from __future__ import annotations

import locale
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from tui_trader.core.calendar import NEW_YORK, Calendar, CalendarRangeError, Session
from tui_trader.doctor.findings import Finding, fail, ok, warn

_LEAST_PYTHON: Final = (3, 11)
_LIBRARIES: Final = (
    "alpaca-py", "websockets", "msgpack", "aiohttp", "exchange-calendars", "numpy", "pydantic", "textual",
    "tulipy",
)  # fmt: skip
_WIDE, _HIGH = 80, 24  # from here on the screen hides nothing that matters
_LEAST_WIDE, _LEAST_HIGH = 40, 12
_PLAIN_TERMINALS: Final = ("", "dumb", "unknown")
_BEFORE_THIS_VERSION: Final = datetime(2026, 1, 1, tzinfo=UTC)
_AHEAD_DAYS: Final = (360, 90, 30, 7)
_SHORT_HORIZON: Final = 30


def python() -> Finding:
    """Python and the libraries that a run needs, with their versions."""
    here = platform.python_version()
    if sys.version_info < _LEAST_PYTHON:
        return fail(f"Python {here} is too old: use 3.11 or newer")
    found, missing = [], []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return fail(f"Python {here} without {', '.join(missing)}: install tui-trader again (make install)")
    return ok(f"{here} on {platform.system()} {platform.machine()}; {', '.join(found)}")


def terminal(environ: Mapping[str, str], size: tuple[int, int] | None, charset: str) -> Finding:
    """What the screen will be drawn on. ``size`` is columns and lines, None when there is no terminal."""
    name = environ.get("TERM", "")
    if size is None:
        return warn("none here: the screen needs one, a run with --headless does not")
    if name in _PLAIN_TERMINALS:
        return warn(f"TERM is {name or 'not set'}: set it to what your terminal is, such as xterm-256color")
    wide, high = size
    shown = f"{name}, {wide}x{high}, {_colours(environ, name)}, {charset}"
    if charset.lower().replace("-", "") != "utf8":
        return warn(f'{shown}: use a UTF-8 locale (LANG=C.UTF-8), or set glyphs = "ascii" in [ui]')
    if wide < _LEAST_WIDE or high < _LEAST_HIGH:
        return warn(f"{shown}: too small for the screen: make it {_WIDE}x{_HIGH} or larger")
    if wide < _WIDE or high < _HIGH:
        return warn(f"{shown}: {_WIDE}x{_HIGH} or larger shows everything that matters")
    return ok(shown)


def _colours(environ: Mapping[str, str], name: str) -> str:
    if environ.get("NO_COLOR"):
        return "no colours (NO_COLOR)"
    if environ.get("COLORTERM") in ("truecolor", "24bit"):
        return "16 million colours"
    return "256 colours" if "256color" in name else "16 colours (theme ansi suits)"


def terminal_size() -> tuple[int, int] | None:
    """Columns and lines of the terminal that we write to, None when it is none."""
    try:
        size = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
    except (OSError, ValueError):
        return None
    return size.columns, size.lines


def encoding() -> str:
    """The character encoding of the locale, which the terminal is expected to have."""
    return locale.getpreferredencoding(do_setlocale=False)


def clock(now: datetime) -> Finding:
    """Whether the time can be true at all; only a broker can say whether it is."""
    there = now.astimezone(NEW_YORK)
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC, {there:%H:%M} in New York"
    if now < _BEFORE_THIS_VERSION:
        return fail(f"{shown}, which is long past: set this computer's clock")
    return ok(shown)


def calendar(sessions: Calendar, now: datetime) -> Finding:
    """How far ahead exchange_calendars knows the exchange's sessions, and which one is next."""
    today = now.astimezone(NEW_YORK).date()
    try:
        today_session = sessions.session_on(today)
        following = sessions.next_session(today)
    except CalendarRangeError as error:
        return fail(f"{error}: set this computer's clock, or upgrade exchange-calendars")
    ahead = next((days for days in _AHEAD_DAYS if _covers(sessions, now, days)), 0)
    known = f"known {ahead} days ahead"
    if ahead < _SHORT_HORIZON:
        return warn(f"{known}: upgrade exchange-calendars")
    if today_session is not None and now < today_session.close:
        following = today_session
    return ok(f"{_state(following, now)}; {known}")


def _covers(sessions: Calendar, now: datetime, days: int) -> bool:
    day = now.date() + timedelta(days=days)
    try:
        sessions.sessions(day, day)
    except CalendarRangeError:
        return False
    return True


def _state(session: Session, now: datetime) -> str:
    if session.contains(now):
        return f"the market is open until {session.close.astimezone(NEW_YORK):%H:%M} in New York"
    opens = session.open.astimezone(NEW_YORK)
    half = " (half-day)" if session.half_day else ""
    return f"the market is closed; it opens {opens:%a %Y-%m-%d %H:%M} in New York{half}"
