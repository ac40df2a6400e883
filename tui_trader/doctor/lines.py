"""Findings as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from tui_trader.doctor.findings import Finding, Mark, plural

_NAME_CELLS: Final = 14
_COLOURS: Final = {Mark.OK: "32", Mark.WARN: "33", Mark.FAIL: "1;31", Mark.SKIP: "2"}


def line(name: str, finding: Finding, *, coloured: bool) -> str:
    """The mark, what was looked at, and what was found."""
    mark = f"{finding.mark:<4}"
    if coloured:
        mark = f"\x1b[{_COLOURS[finding.mark]}m{mark}\x1b[0m"
    return f"{mark}  {name:<{_NAME_CELLS}}  {finding.text}"


def summary(findings: Sequence[Finding], venue: str | None) -> str:
    """The last line: whether a start would succeed. ``venue`` is None when not even that is known."""
    counts = Counter(finding.mark for finding in findings)
    start = "a start" if venue is None else f"a start with --venue {venue}"
    if counts[Mark.FAIL]:
        return f"{plural(counts[Mark.FAIL], 'problem')} would stop {start}"
    doubts = f", {plural(counts[Mark.WARN], 'warning')}" if counts[Mark.WARN] else ""
    return f"nothing stops {start}{doubts}"


def wants_colour(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Colours are for a terminal that has them and a person who wants them (https://no-color.org)."""
    if environ.get("NO_COLOR") or environ.get("TERM", "dumb") == "dumb":
        return False
    return stream is not None and stream.isatty()
