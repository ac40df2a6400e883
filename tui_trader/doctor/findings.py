"""What an examination is made of: checks that build on one another, and what each of them found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tui_trader.errors import TuiTraderError, printable

_FAILED = 1
_USAGE = 2
_REFUSED = 3


class Mark(StrEnum):
    """The verdict. Only FAIL stops a start."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "skip"  # not looked at, because something else must be right first


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was found and, when it is not ok, what to do.

    ``exit_code`` is what a start would end with, 0 when this does not stop it.
    """

    mark: Mark
    text: str
    exit_code: int = 0


def ok(text: str) -> Finding:
    return Finding(Mark.OK, text)


def warn(text: str) -> Finding:
    return Finding(Mark.WARN, text)


def fail(text: str) -> Finding:
    """Something that a start would be refused for."""
    return Finding(Mark.FAIL, text, _REFUSED)


@dataclass(frozen=True, slots=True)
class Check:
    """``run`` may raise ``TuiTraderError``: that fails with its line and its exit code.

    It runs only when every check named in ``needs`` has found nothing that fails.
    """

    name: str
    run: Callable[[], Finding]
    needs: tuple[str, ...] = ()


def examine(checks: Iterable[Check]) -> Iterator[tuple[str, Finding]]:
    """Each check's name and finding, as soon as it is known. A check that breaks stops no other one.

    The next check is taken from ``checks`` when the one before has been run.
    """
    sound: set[str] = set()
    for check in checks:
        missing = [need for need in check.needs if need not in sound]
        if missing:
            finding = Finding(Mark.SKIP, f"not checked: {' and '.join(missing)} must be right first")
        else:
            finding = _run(check)
        if finding.mark in (Mark.OK, Mark.WARN):
            sound.add(check.name)
        yield check.name, finding


def _run(check: Check) -> Finding:
    try:
        found = check.run()
    except TuiTraderError as error:
        return Finding(Mark.FAIL, str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with this computer
        text = printable(f"the check itself broke: {type(error).__name__}: {error}")[:200]
        return Finding(Mark.FAIL, text, _FAILED)
    return Finding(found.mark, printable(found.text), found.exit_code)


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def exit_code(findings: Sequence[Finding]) -> int:
    """2 when usage or configuration is wrong, else 3 when a start would be refused, else 0 (1: broken)."""
    codes = {finding.exit_code for finding in findings}
    return _USAGE if _USAGE in codes else max(codes, default=0)
