"""The `doctor` command: looks at everything that a start depends on, and says what to do about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tui_trader.doctor import machine
from tui_trader.doctor.broker import broker_checks
from tui_trader.doctor.files import Files
from tui_trader.doctor.findings import Check, Finding, examine, exit_code
from tui_trader.doctor.lines import line, summary, wants_colour
from tui_trader.engine.nyse import NyseCalendar
from tui_trader.options import RunOptions, VenueName
from tui_trader.paths import default_state_dir
from tui_trader.stdout import put


def run_doctor(venue: VenueName | None, config: Path | None, state_dir: Path | None) -> int:
    """Examine, a line a check as soon as it is known; the exit code is what a start would be refused with.

    Nothing is changed and nothing is traded. At the broker account, clock, calendar and bars are read, and
    both streams are opened and closed again.
    """
    files = Files(RunOptions(venue=venue, config=config), state_dir or default_state_dir(), os.environ)
    coloured = wants_colour(sys.stdout, os.environ)
    findings: list[Finding] = []
    for name, finding in examine(_checks(files, lambda: datetime.now(UTC))):
        findings.append(finding)
        put(f"{line(name, finding, coloured=coloured)}\n")
    put(f"{summary(findings, files.venue)}\n")
    return exit_code(findings)


def _checks(files: Files, now: Callable[[], datetime]) -> Iterator[Check]:
    """In the order of a start. Which venue's checks follow is known once the settings were read."""
    nyse = NyseCalendar()
    yield Check("python", machine.python)
    yield Check("config", files.config)
    yield Check("strategies", files.strategies, needs=("config",))
    yield Check("state folder", files.state_folder)
    yield Check("engine", files.engine)
    yield Check("journal", files.journal)
    yield Check("terminal", lambda: machine.terminal(os.environ, machine.terminal_size(), machine.encoding()))
    yield Check("clock", lambda: machine.clock(now()))
    yield Check("calendar", lambda: machine.calendar(nyse, now()))
    if files.venue == "alpaca":
        yield from broker_checks(files, nyse, now)
