"""The keys of the backtest screen, and which of them its line shows on each page."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

from tui_trader.tui.backtest.study import Page
from tui_trader.tui.keys_line import KeysLine

#: The panes of the result in the order of their keys, 1 to 5.
PANES: Final = ("Equity", "Figures", "Trades", "Symbols", "Remarks")


def _key(key: str, action: str, name: str, label: str, tooltip: str) -> Binding:
    return Binding(key, action, label, id=name, tooltip=tooltip, show=False)


#: The engine's keys have the ids that they have on the trading screen: whoever remaps one remaps both.
KEYS: Final[tuple[Binding, ...]] = (
    _key("F", "flatten", "flatten", "Flatten", "Flatten all: cancel and close everything; asks first"),
    _key("p", "pause", "pause", "Pause", "Pause or resume entries; exits and stops stay active"),
    _key("r", "run", "backtest.run", "Run", "Run the backtest"),
    _key("v", "result", "backtest.result", "Result", "The latest result again"),
    *(
        _key(str(number), f"pane({number})", f"backtest.pane.{number}", "Pane", f"Go to: {name}")
        for number, name in enumerate(PANES, 1)
    ),
    _key(
        "f", "filter", "backtest.filter", "Filter", "Trades of the selected one's symbol alone, and all again"
    ),
    _key("z", "zoom", "zoom", "Zoom", "The focused pane alone, and back"),
    _key("0", "reset", "reset", "All panes", "All panes again"),
    _key("left_square_bracket", "trade(-1)", "backtest.previous", "Trade", "Previous trade of the table"),
    _key("right_square_bracket", "trade(1)", "backtest.next", "Trade", "Next trade of the table"),
    _key("slash", "find", "find", "Find", "Find in the trades or the symbols"),
    _key("y", "copy", "copy", "Copy", "Copy the selected row"),
    _key("less_than_sign", "speed(-1)", "speed.slower", "Speed", "Slower market (sim, replay)"),
    _key("greater_than_sign", "speed(1)", "speed.faster", "Speed", "Faster market (sim, replay)"),
    _key("b", "trading", "backtest", "Trading", "Back to trading; a backtest goes on meanwhile"),
    _key("escape", "back", "backtest.back", "Back", "One step back; cancels a backtest that runs"),
    _key("t", "theme", "theme", "Theme", "Next theme"),
    _key("f2", "settings", "settings", "Settings", "Settings in force and their sources"),
    _key("ctrl+r", "reload", "reload", "Reload", "Read configuration and themes again"),
    _key("ctrl+l", "repaint", "repaint", "Repaint", "Paint the whole screen again"),
    _key("question_mark", "help", "help", "Help", "All keys"),
    _key("q", "app.quit", "quit", "Quit", "Leave; asks when anything is open"),
)

LINES: Final = {
    Page.FORM: KeysLine(
        ("flatten", "pause", "backtest.run", "table.choose", "backtest.back", "backtest.result", "backtest"),
    ),
    Page.RUNNING: KeysLine(
        ("flatten", "pause", "backtest.back", "backtest"),
        labels={"backtest.back": "Cancel"},
    ),
    Page.RESULT: KeysLine(
        ("flatten", "pause", "table.choose", "backtest.back", "backtest.filter", "find", "zoom", "backtest"),
        panes=tuple(f"backtest.pane.{number}" for number, _ in enumerate(PANES, 1)),
        labels={"table.choose": "Open"},
    ),
    Page.TRADE: KeysLine(
        (
            "flatten", "pause", "backtest.back", "backtest.previous", "chart.zoom_in", "chart.earlier",
            "backtest",
        ),
        {
            "backtest.previous": "backtest.next", "chart.zoom_in": "chart.zoom_out",
            "chart.earlier": "chart.later",
        },
        labels={"chart.zoom_in": "Zoom", "chart.earlier": "Scroll"},
    ),
}  # fmt: skip
