"""Text from outside made harmless for a terminal: data, never control, never markup."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len, set_cell_size

# C0, DEL and C1 steer the terminal; the others reorder or break a line behind the reader's back; lone
# surrogates cannot be encoded at all.
_CONTROLS: Final = dict.fromkeys(
    (
        *range(0x20),
        *range(0x7F, 0xA0),
        0x061C,
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x2070),
        0xFEFF,
        *range(0xD800, 0xE000),
    ),
    "·",
) | dict.fromkeys(map(ord, "\t\n\v\f\r\x85\u2028\u2029"), " ")


def clean(text: str) -> str:
    """``text`` with every control character replaced, one for one, so positions within it stay valid."""
    # Nearly all text is clean: do not copy it.
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_CONTROLS)


def fit(text: str, width: int, ellipsis: str = "…") -> str:
    """``text`` cut to ``width`` cells, the cut marked; shorter text is returned as it is."""
    if cell_len(text) <= width:
        return text
    if width <= 1:
        return set_cell_size(text, max(0, width))
    return set_cell_size(text, width - 1) + ellipsis
