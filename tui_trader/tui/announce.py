"""What the terminal itself is told: its window's title, and notifications of the desktop. Pure text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tui_trader.tui.settings import Notify
from tui_trader.tui.widgets.plain_text import clean

_ESC: Final = "\x1b"
_BELL: Final = "\x07"
_END: Final = _BELL
_LONGEST: Final = 120
#: The title as it was before is kept on the terminal's own stack; one without a stack gets our name.
KEEP_TITLE: Final = f"{_ESC}[22;2t"
RESTORE_TITLE: Final = f"{_ESC}]2;tui-trader{_END}{_ESC}[23;2t"


def window_title(text: str) -> str:
    """The sequence that names the window."""
    return f"{_ESC}]2;{_harmless(text)}{_END}"


def desktop_notification(how: Notify, title: str, text: str, *, in_tmux: bool = False) -> str:
    """The sequence that asks for a notification of the desktop; empty when none is wanted.

    tmux passes it on where its option ``allow-passthrough`` is on.
    """
    match how:
        case "osc9":
            sequence = f"{_ESC}]9;{_harmless(f'{title}: {text}')}{_END}"
        case "osc777":
            # A semicolon would end the title.
            sequence = f"{_ESC}]777;notify;{_harmless(title).replace(';', ',')};{_harmless(text)}{_END}"
        case _:
            return ""
    if in_tmux:
        return f"{_ESC}Ptmux;{sequence.replace(_ESC, _ESC * 2)}{_ESC}\\"
    return sequence


def _harmless(text: str) -> str:
    """No character that could end the sequence or begin another."""
    return clean(text)[:_LONGEST]


class Announcer:
    """Tells who is not looking: by the bell, the window's title, and the desktop where that is wanted."""

    def __init__(self, write: Callable[[str], None], *, in_tmux: bool = False) -> None:
        self._write = write
        self._in_tmux = in_tmux
        self._unseen = 0

    def tell(self, text: str, how: Notify) -> None:
        """Call for attention. The title says so until ``seen``."""
        keep = "" if self._unseen else KEEP_TITLE
        self._unseen += 1
        count = f"({self._unseen}) " if self._unseen > 1 else ""
        title = window_title(f"! {count}{text}")
        desktop = desktop_notification(how, "tui-trader", text, in_tmux=self._in_tmux)
        self._write(f"{_BELL}{keep}{title}{desktop}")

    def seen(self) -> None:
        """Somebody is there: the title is again what it was."""
        if self._unseen:
            self._unseen = 0
            self._write(RESTORE_TITLE)
