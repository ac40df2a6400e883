"""What a server says, made fit to be shown: one line, not long, and without the keys it may have echoed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from tui_trader.errors import printable

_MAX_LENGTH: Final = 300


def one_line(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` on one line of at most 300 characters, every one of ``secrets`` in it masked."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = printable(text)
    return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 1]}…"


def masked(tell: Callable[[str], None], secrets: Iterable[str]) -> Callable[[str], None]:
    """``tell``, but what it is told is made ``one_line`` first."""
    kept = tuple(secrets)
    return lambda line: tell(one_line(line, kept))


class Tally:
    """Counts what goes wrong over and over, and says when to speak of it: the 1st, 2nd, 4th, 8th … time.

    So a server that sends nonsense all day costs a few lines, not a flood, and is never passed over.
    """

    def __init__(self) -> None:
        self.count = 0

    def one_more(self) -> bool:
        self.count += 1
        return self.count & (self.count - 1) == 0
