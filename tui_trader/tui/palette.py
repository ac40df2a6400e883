"""The theme's colours as styles for table cells, by what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.style import Style
from textual.color import Color

from tui_trader.tui.themes import VARIABLES


@dataclass(frozen=True, slots=True)
class Palette:
    """Styles of one theme."""

    gain: Style
    loss: Style
    attention: Style
    danger: Style
    strong: Style
    muted: Style
    plain: Style

    def of_sign(self, value: float) -> Style:
        """Gain, loss, or muted for zero and unknown."""
        if value > 0:
            return self.gain
        return self.loss if value < 0 else self.muted


def make_palette(variables: Mapping[str, str]) -> Palette:
    """The palette of a theme's variables."""

    def style(name: str, bold: bool = False) -> Style:
        color = Color.parse(variables.get(name, VARIABLES[name]))
        return Style(color=color.rich_color, bold=bold or None)

    return Palette(
        gain=style("gain"),
        loss=style("loss"),
        attention=style("attention"),
        danger=style("danger", bold=True),
        strong=style("strong", bold=True),
        muted=style("muted"),
        plain=Style(),
    )
