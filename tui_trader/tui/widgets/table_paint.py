"""One row of a table as a strip of exactly the table's width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from tui_trader.tui.widgets.plain_text import clean, fit
from tui_trader.tui.widgets.table_layout import Column, Placed
from tui_trader.tui.widgets.table_rows import Cell

#: How a cell's own style becomes that of its text, by the number of its column.
Blend = Callable[[int, Style], Style]


def paint_row(
    cells: Sequence[Cell],
    columns: Sequence[Column],
    placed: Sequence[Placed],
    width: int,
    *,
    mark: str,
    base: Style,
    blend: Blend,
    ellipsis: str,
    console: Console,
) -> Strip:
    """``cells`` in their places on ``base``; ``mark`` stands in the margin. Every segment has a style."""
    segments: list[Segment] = []
    pending = mark if placed and width > 0 else ""
    x = cell_len(pending)
    for place in placed:
        cell = cells[place.number] if place.number < len(cells) else ""
        pieces = list(_pieces(cell, place.width, ellipsis, console))
        length = sum(cell_len(text) for text, _ in pieces)
        lead = place.x - x
        if columns[place.number].align == "right":
            lead += place.width - length
        pending += " " * lead
        for text, style in pieces:
            # Plain text joins the blanks around it: fewer segments are fewer bytes.
            if style is None:
                pending += text
                continue
            if pending:
                segments.append(Segment(pending, base))
                pending = ""
            segments.append(Segment(text, blend(place.number, style)))
        x += lead + length
    pending += " " * (width - x)
    if pending:
        segments.append(Segment(pending, base))
    return Strip(segments, max(x, width)).crop(0, width)


def _pieces(cell: Cell, width: int, ellipsis: str, console: Console) -> Iterator[tuple[str, Style | None]]:
    """The cell's text cut to ``width`` cells, in pieces of one style; None is the row's own."""
    if isinstance(cell, str):
        yield fit(clean(cell), width, ellipsis), None
        return
    own = console.get_style(cell.style, default=Style.null())
    plain = clean(cell.plain)
    if not cell.spans:
        yield fit(plain, width, ellipsis), own or None
        return
    styled = Text(plain, own, spans=list(cell.spans), end="")
    cut = cell_len(plain) > width
    if cut:
        styled.truncate(max(0, width - 1), overflow="crop")
    for text, style, _ in styled.render(console):
        yield text, style or None
    if cut and width > 0:
        yield ellipsis, own or None
