"""What a backtest found: the curve, the figures, the trades, the symbols and the remarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widget import Widget

from tui_trader.tui.backtest.equity_chart import EquityChart
from tui_trader.tui.backtest.keys import PANES
from tui_trader.tui.backtest.rows import SYMBOL_COLUMNS, TRADE_COLUMNS, symbol_rows, trade_row
from tui_trader.tui.backtest.words import Figure, figure_lines, figures, headline, remarks
from tui_trader.tui.formats import signed
from tui_trader.tui.glyphs import GlyphName, glyph_set
from tui_trader.tui.palette import Palette
from tui_trader.tui.panes import FactsPane, TextLine
from tui_trader.tui.widgets.live_table import LiveTable
from tui_trader.tui.widgets.plain_text import clean
from tui_trader.tui.widgets.table_rows import Row

if TYPE_CHECKING:
    from tui_trader.tui.backtest.study import Outcome

#: A table is no place for more; the newest are shown, and how many there are is said.
MOST_ROWS = 10_000
_PORTION = 250


class FiguresPane(FactsPane):
    """As many figures as there is room for, the most telling first."""

    def __init__(self) -> None:
        super().__init__(id="bt-figures", classes="facts")
        self._figures: Sequence[Figure] = ()

    def put(self, shown: Sequence[Figure]) -> None:
        self._figures = shown
        self._write()

    def on_resize(self, event: events.Resize) -> None:
        self._write()

    def _write(self) -> None:
        width, height = self.content_size
        if self._figures and width and height:
            self.show(figure_lines(self._figures, width, height))


class RemarksPane(VerticalScroll, can_focus=True):
    """Lines to scroll through."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_down", "Down", show=False),
        Binding("up,k", "scroll_up", "Up", show=False),
        Binding("home,g", "scroll_home", "First", show=False),
        Binding("end,G", "scroll_end", "Last", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="bt-remarks")
        self.lines = TextLine(id="bt-remark-lines")

    def compose(self) -> ComposeResult:
        yield self.lines


class ResultPage(Container):
    """Five panes; where there is no room for all, trades, symbols and remarks share a place."""

    def __init__(self, glyphs: GlyphName) -> None:
        super().__init__(id="result-page", classes="page")
        self._glyphs = glyph_set(glyphs)
        self.equity = EquityChart(id="bt-equity", glyphs=glyphs)
        self.figures = FiguresPane()
        self.trades = LiveTable(TRADE_COLUMNS, id="bt-trades", glyphs=glyphs)
        self.symbols = LiveTable(SYMBOL_COLUMNS, id="bt-symbols", glyphs=glyphs)
        self.remarks = RemarksPane()
        #: In the order of their keys, 1 to 5.
        self.numbered: tuple[Widget, ...] = (
            self.equity, self.figures, self.trades, self.symbols, self.remarks
        )  # fmt: skip
        for number, pane in enumerate(self.numbered, 1):
            pane.add_class("pane")
            pane.border_title = Content(f"{number} {PANES[number - 1]}")
        self._outcome: Outcome | None = None
        self._palette: Palette | None = None
        self._rows: list[Row] = []
        self._wanted: int | None = None  # the trade to select once the rows are there
        self.symbol: str | None = None  # whose trades alone are listed

    def compose(self) -> ComposeResult:
        yield from self.numbered

    def show(self, outcome: Outcome, palette: Palette, selected: int | None = None) -> None:
        """Show a result, or the same one in other colours; ``selected`` is a trade's place among all."""
        if outcome is self._outcome and palette is self._palette:
            return
        self._wanted = self.selected_trade if outcome is self._outcome else selected
        if outcome is not self._outcome:
            self.symbol = None
        self._outcome, self._palette = outcome, palette
        summary = outcome.summary
        self._entitle_equity()
        self.equity.show(summary.curve)
        self.symbols.set_empty("no symbol")
        self.symbols.update_rows(symbol_rows(summary.metrics.by_symbol, palette))
        self.remarks.lines.update(remarks(outcome))
        self.remarks.scroll_home(animate=False)
        self._rows = []
        self.figures.put(figures(summary))
        self._make_rows(outcome, palette)

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._entitle_equity)

    def _entitle_equity(self) -> None:
        if self._outcome is not None:
            room = self.equity.outer_size.width - len("╭─ 1 Equity   ─╮")
            self.equity.border_title = Content(f"1 Equity  {clean(headline(self._outcome.summary, room))}")

    def _make_rows(self, outcome: Outcome, palette: Palette) -> None:
        """Rows for the trades, a portion at a time: keys are answered in between."""
        if outcome is not self._outcome or palette is not self._palette:
            return  # another result, or other colours, are wanted by now
        trades = outcome.trades
        first = max(0, len(trades) - MOST_ROWS) + len(self._rows)
        self._rows += [
            trade_row(number, trades[number], palette, self._glyphs)
            for number in range(first, min(first + _PORTION, len(trades)))
        ]
        if first + _PORTION < len(trades):
            self.call_later(self._make_rows, outcome, palette)
        else:
            self._list()
            if self._wanted is not None:
                self.trades.select(str(self._wanted))
                self._wanted = None

    def only(self, symbol: str | None) -> None:
        """List the trades of one symbol, or of all."""
        if symbol != self.symbol:
            self.symbol = symbol
            self._list()

    @property
    def selected_trade(self) -> int | None:
        """The place, among all trades, of the selected one."""
        key = self.trades.selected_key
        return None if key is None else int(key)

    def next_trade(self, number: int, by: int) -> int | None:
        """The trade ``by`` rows from the one of that number, as the table is sorted and filtered."""
        keys = [row.key for row in self.trades.rows]
        if str(number) not in keys:
            return None
        place = keys.index(str(number)) + by
        return int(keys[place]) if 0 <= place < len(keys) else None

    def _list(self) -> None:
        outcome = self._outcome
        if outcome is None:
            return
        rows: Sequence[Row] = self._rows
        if self.symbol is not None:
            rows = [row for row in rows if outcome.trades[int(row.key)].symbol == self.symbol]
        self.trades.set_empty(outcome.summary.why_no_trades or "no trade of that symbol")
        self.trades.update_rows(rows)
        total = len(outcome.trades)
        title = f"3 Trades {total:,}"
        if self.symbol is not None:
            title = f"3 Trades of {self.symbol}: {len(rows):,} of {total:,}"
        elif len(rows) < total:
            title = f"3 Trades: the last {len(rows):,} of {total:,}"
        self.trades.border_title = Content(clean(title))
        pnl = sum(outcome.trades[int(row.key)].pnl for row in rows)
        self.trades.set_note(f"closed {signed(pnl)}" if rows else "")
