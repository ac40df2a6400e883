"""Errors a person can act on. Their text is one line: what, where, and what to do."""

from __future__ import annotations

from typing import ClassVar


def printable(text: str) -> str:
    """``text`` on one line, with every character a terminal might obey shown as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class TuiTraderError(Exception):
    """What was asked cannot be done: ``str(error)`` is the line to show, ``exit_code`` the exit status."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        # Messages quote file names, settings and cells, and those come from outside.
        super().__init__(printable(message))


class UsageError(TuiTraderError):
    """Bad usage, configuration or input file: correct it and try again."""

    exit_code = 2


class RefusedToStart(TuiTraderError):  # noqa: N818
    """Credentials, the paper/live interlock or a second instance forbid starting: nothing was done."""

    exit_code = 3


class AttentionNeeded(TuiTraderError):  # noqa: N818
    """Stopped, but a position or an order may remain: a person must look at the account."""

    exit_code = 4
