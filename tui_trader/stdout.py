"""Standard output, which may be closed or full."""

from __future__ import annotations

import sys

from tui_trader.errors import TuiTraderError


def put(text: str, *, flush: bool = True) -> None:
    """Write ``text`` to standard output. Raises ``TuiTraderError`` when it cannot be written.

    ``BrokenPipeError`` passes: a reader that has left is no error.
    """
    if sys.stdout is None:
        raise TuiTraderError("standard output cannot be written: it is closed")
    try:
        sys.stdout.write(text)
        if flush:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stdout = None  # Python would try again, and complain, at its end
        reason = error.strerror or "unknown error"
        raise TuiTraderError(f"standard output cannot be written: {reason}") from None
