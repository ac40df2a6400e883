"""What stands below the chart while the cross-hair is on a candle: its prices, and what was filled in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from textual.content import Content

from tui_trader.tui.formats import percent, price
from tui_trader.tui.widgets.chart_render import compact
from tui_trader.tui.widgets.chart_scale import is_drawable
from tui_trader.tui.widgets.plain_text import clean

if TYPE_CHECKING:
    from tui_trader.engine.handle import CandleRow
    from tui_trader.tui.widgets.chart_render import FillMark

_GAP: Final = "  "


def readout(
    candle: CandleRow, fills: Sequence[FillMark], averages: tuple[str, str], width: int, today: bool
) -> Content:
    """Time, open, high, low, close, change within the candle, volume, averages: as many as fit ``width``."""
    day = "" if today else f"{candle.timestamp:%b} {candle.timestamp.day} "
    time = f"{day}{candle.timestamp:%H:%M}"
    if not is_drawable(candle):
        return Content(f"{time} no prices")
    style = "$gain" if candle.close >= candle.open else "$loss"
    parts = [Content.styled(time, "bold $strong")]
    for name, value in (("O", candle.open), ("H", candle.high), ("L", candle.low), ("C", candle.close)):
        parts.append(Content.assemble((name, "$muted"), (price(value), style)))
    for fill in fills:
        done = "bought" if fill.side == "buy" else "sold"
        parts.append(Content.styled(f"{done} @{price(fill.price)}", "bold $attention"))
    if candle.open:
        parts.append(Content.styled(percent((candle.close / candle.open - 1) * 100), style))
    parts.append(Content.assemble(("V", "$muted"), compact(candle.volume)))
    for name, value, tone in (
        (averages[0], candle.sma_fast, "$sma-fast"),
        (averages[1], candle.sma_slow, "$sma-slow"),
    ):
        if name and math.isfinite(value):
            parts.append(Content.assemble((f"{clean(name)} ", tone), price(value)))
    gap = Content(_GAP)
    while len(parts) > 1 and gap.join(parts).cell_length > width:
        if gap != Content(" "):
            gap = Content(" ")
        else:
            parts.pop()
    return gap.join(parts)
