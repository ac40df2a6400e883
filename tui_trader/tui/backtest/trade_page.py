"""One trade on the candle chart: where it was entered, where its stop stood, where it was left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from tui_trader.engine.handle import CandleRow
from tui_trader.tui.backtest.words import trade_lines
from tui_trader.tui.glyphs import GlyphName
from tui_trader.tui.panes import TextLine
from tui_trader.tui.widgets.candle_chart import CandleChart
from tui_trader.tui.widgets.chart_render import FillMark, StopPath
from tui_trader.tui.widgets.plain_text import clean

if TYPE_CHECKING:
    from tui_trader.backtest.result import Trade
    from tui_trader.backtest.worker.messages import TradeChart
    from tui_trader.tui.backtest.study import Study


class TradePage(Vertical):
    """Two lines of facts above the chart."""

    def __init__(self, glyphs: GlyphName) -> None:
        super().__init__(id="trade-page", classes="page")
        self.facts = TextLine(id="trade-facts")
        self.chart = CandleChart(id="trade-chart", glyphs=glyphs)
        self.chart.add_class("pane")
        self._shown: TradeChart | None = None
        self._trade: Trade | None = None

    def compose(self) -> ComposeResult:
        yield self.facts
        yield self.chart

    def show(self, study: Study) -> None:
        """Show the trade that is looked at, and its candles once they are there."""
        outcome, number, chart = study.outcome, study.trade, study.chart
        if outcome is None or number is None:
            return
        trade = outcome.trades[number]
        self.facts.show(trade_lines(trade))
        if trade is not self._trade:
            self._trade = trade
            self._entitle(f"{trade.symbol}  trade {number + 1:,} of {len(outcome.trades):,}", Content(""))
        if chart is None:
            self._shown = None
            self.chart.set_empty(study.chart_problem or "fetching candles")
            self.chart.show("", ())
        elif chart is not self._shown:
            self._shown = chart
            self._draw(chart, trade)
            title = f"{trade.symbol} {chart.minutes}m  trade {number + 1:,} of {len(outcome.trades):,}"
            self._entitle(title, _legend(chart))

    def _draw(self, chart: TradeChart, trade: Trade) -> None:
        self.chart.set_empty(f"no candles of {trade.symbol}")
        # As if it were another symbol: nothing of the trade before may stay.
        self.chart.show("", ())
        self.chart.show(chart.symbol, [_candle(*candle) for candle in chart.candles])
        self.chart.set_lines(float(trade.entry_price), None)
        self.chart.set_last(float(trade.exit_price), trade.pnl > 0 if trade.pnl else None)
        self.chart.set_marks(
            [
                FillMark(trade.entry_time, float(trade.entry_price), "buy"),
                FillMark(trade.exit_time, float(trade.exit_price), "sell"),
            ]
        )
        steps = tuple((step.time, step.price) for step in chart.stops)
        self.chart.set_path(StopPath(steps, trade.exit_time) if steps else None)
        self.chart.look_at(trade.entry_time, trade.exit_time)

    def _entitle(self, text: str, legend: Content) -> None:
        self.chart.border_title = Content(clean(text)) + legend


def _candle(
    time: int, open_: float, high: float, low: float, close: float, volume: int, fast: float, slow: float
) -> CandleRow:
    return CandleRow(datetime.fromtimestamp(time, UTC), open_, high, low, close, volume, fast, slow)


def _legend(chart: TradeChart) -> Content:
    """What the colours are, in the colours that they have."""
    parts = [Content.assemble(("┄", "$entry-line"), " entry"), Content.assemble(("┈", "$stop-line"), " stop")]
    for name, style in zip(chart.averages, ("$sma-fast", "$sma-slow"), strict=True):
        if name:
            parts.append(Content.assemble(("━", style), f" {clean(name)}"))
    return Content("  ") + Content(" ").join(parts)
