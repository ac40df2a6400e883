"""The keys of the trading screen. The palette, the help and the line of keys are made from this table."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

#: The panes in the order of their keys, 1 to 8.
PANES: Final = ("Watchlist", "Chart", "Positions", "Orders", "Log", "Strategies", "Risk", "Equity today")


def _key(key: str, action: str, name: str, label: str, tooltip: str) -> Binding:
    return Binding(key, action, label, id=name, tooltip=tooltip, show=False)


#: Not one has priority: none may act while something is typed, or under a dialog.
KEYS: Final[tuple[Binding, ...]] = (
    _key("F", "flatten", "flatten", "Flatten", "Flatten all: cancel and close everything; asks first"),
    _key("p", "pause", "pause", "Pause", "Pause or resume entries; exits and stops stay active"),
    _key("x", "close_position", "close", "Close", "Close the selected position; asks first"),
    _key("c", "cancel_order", "cancel", "Cancel", "Cancel the selected working entry"),
    _key("slash", "find", "find", "Find", "Find in the focused table, else in the watchlist"),
    *(
        _key(str(number), f"pane({number})", f"pane.{number}", "Pane", f"Go to: {name}")
        for number, name in enumerate(PANES, 1)
    ),
    _key("z", "zoom", "zoom", "Zoom", "The focused pane alone, and back"),
    _key("0", "reset", "reset", "All panes", "All panes again"),
    _key("left_square_bracket", "symbol(-1)", "symbol.previous", "Symbol", "Previous symbol"),
    _key("right_square_bracket", "symbol(1)", "symbol.next", "Symbol", "Next symbol"),
    _key("plus,equals_sign", "chart('zoom', -1)", "bars.in", "Zoom in", "Chart: fewer, wider bars"),
    _key("minus", "chart('zoom', 1)", "bars.out", "Zoom out", "Chart: more bars"),
    _key("h", "chart('scroll_pages', -1)", "bars.earlier", "Earlier", "Chart: earlier bars"),
    _key("l", "chart('scroll_pages', 1)", "bars.later", "Later", "Chart: later bars"),
    _key("b", "backtest", "backtest", "Backtest", "Backtest: try a strategy on recorded bars"),
    _key("less_than_sign", "speed(-1)", "speed.slower", "Speed", "Slower market (sim, replay)"),
    _key("greater_than_sign", "speed(1)", "speed.faster", "Speed", "Faster market (sim, replay)"),
    _key("y", "copy", "copy", "Copy", "Copy the selected row"),
    _key("t", "theme", "theme", "Theme", "Next theme"),
    _key("ctrl+l", "repaint", "repaint", "Repaint", "Paint the whole screen again"),
    _key("question_mark", "help", "help", "Help", "All keys"),
    _key("q", "app.quit", "quit", "Quit", "Leave; asks when anything is open"),
)
