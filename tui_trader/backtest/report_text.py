"""A backtest for people: the summary that the terminal shows."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TextIO

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from tui_trader.backtest.metrics import Metrics, Slice
from tui_trader.backtest.result import BacktestResult
from tui_trader.backtest.statements import (
    breaker_trips,
    limits_in_words,
    plural,
    refusals,
    some,
    still_open,
    warnings,
    why_no_trades,
)
from tui_trader.core.money import plain
from tui_trader.core.orders import Role
from tui_trader.errors import printable

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS: Final = "_.-=+*%#"
_NOTHING: Final = "–"
_ASCII_NOTHING: Final = "-"
_GAIN: Final = "green"
_LOSS: Final = "red"
_HEADING: Final = "bold"
_WARNING: Final = "yellow"
_INDENT: Final = "  "
#: Symbols or months that have a row each; of more than that, as many from both ends together.
_ROWS: Final = 20
#: A table of trades with its margin.
_TABLE_CELLS: Final = 76
_ROOM: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Rigid:
    """A table at its own width also where that is not to be had: half a number is a wrong number."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.table, options.update(max_width=_ROOM))


@dataclass(frozen=True, slots=True)
class _Writing:
    """Figures as text, with what is not defined as a dash: gains and losses by colour and by sign."""

    levels: str
    nothing: str

    @classmethod
    def for_stream(cls, stream: TextIO) -> _Writing:
        try:
            (_LEVELS + _NOTHING).encode(stream.encoding or "utf-8")
        except (UnicodeEncodeError, LookupError):
            return cls(_ASCII_LEVELS, _ASCII_NOTHING)
        return cls(_LEVELS, _NOTHING)

    def percent(self, value: float | None, places: int = 2) -> Text:
        """A change: ``+1.25 %``."""
        return self._signed(value, lambda known: f"{known * 100:+,.{places}f} %")

    def money(self, value: float | None) -> Text:
        return self._signed(value, lambda known: f"{known:+,.2f}")

    def multiple(self, value: float | None) -> Text:
        """Profit in R: ``+0.30``."""
        return self._signed(value, lambda known: f"{known:+,.2f}")

    def share(self, value: float | None) -> Text:
        return Text(self.nothing if value is None else f"{value * 100:.1f} %")

    def number(self, value: float | None) -> Text:
        return Text(self.nothing if value is None else f"{value:,.2f}")

    def minutes(self, value: float | None) -> Text:
        return Text(self.nothing if value is None else f"{value:,.0f} min")

    def _signed(self, value: float | None, text: Callable[[float], str]) -> Text:
        if value is None:
            return Text(self.nothing)
        shown = text(value)
        if not any(digit in shown for digit in "123456789"):
            return Text(shown.lstrip("+-"))
        return Text(shown, _GAIN if value > 0 else _LOSS)


def report_text(
    result: BacktestResult, metrics: Metrics, stream: TextIO, required_history: int | None = None
) -> str:
    """The summary for ``stream``: as wide as it, in characters it can encode, in colour on a terminal.

    The environment's NO_COLOR, COLUMNS and TERM are obeyed. ``required_history``: ``statements.warnings``.
    """
    terminal = stream.isatty()
    asked = Console(file=stream, force_terminal=terminal)
    drawn = io.StringIO()
    # Apart from the stream, so that a failure to write belongs to whoever writes.
    console = Console(
        file=drawn, width=asked.width, color_system=asked.color_system, no_color=asked.no_color,  # type: ignore[arg-type]
        force_terminal=terminal, markup=False, highlight=False, emoji=False,
    )  # fmt: skip
    for part in _parts(result, metrics, _Writing.for_stream(stream), console.width, required_history):
        console.print(part, crop=False)
    text = drawn.getvalue()
    if not terminal:
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _parts(
    result: BacktestResult, metrics: Metrics, writing: _Writing, width: int, required_history: int | None
) -> Iterable[RenderableType]:
    yield _heading(result)
    yield _facts(result)
    yield from _listed("Refused signals", refusals(result))
    yield from _listed("Circuit breaker", breaker_trips(result.trips), _WARNING)
    why = why_no_trades(result)
    if why:
        yield Text(f"\n{why}", _WARNING)
    if result.trades or result.open_positions:
        yield Text("\nEquity", _HEADING)
        yield Text(_INDENT + _sparkline(result, writing.levels, max(10, width - 2 * len(_INDENT))))
        yield _range(result)
        yield Text("\nFigures", _HEADING)
        yield _Rigid(_figures(result, metrics, writing))
    if result.trades:
        yield from _side_by_side(_tables(metrics, writing), max(1, width // _TABLE_CELLS))
    yield from _listed("Still open at the end", still_open(result.open_positions))
    yield from _listed("About the data", warnings(result, required_history), _WARNING)
    speed = f"{result.bars_per_s:,.0f} a second" if result.bars_per_s else "at once"
    yield Text(f"\n{plural(result.bars, 'bar')} in {result.elapsed_s:,.2f} s, {speed}.")


def _heading(result: BacktestResult) -> Text:
    first, last = result.sessions[0].date, result.sessions[-1].date
    span = f"{first} to {last}" if last != first else f"{first}"
    title = f"{result.strategy}: {plural(len(result.symbols), 'symbol')}, {span}"
    return Text(printable(f"Backtest of {title}, {plural(len(result.sessions), 'session')}"), _HEADING)


def _facts(result: BacktestResult) -> Table:
    """What was asked and what was counted, a name and a value a row."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    refused = sum(result.rejections.values())
    placed = [order for order in result.orders if order.role is Role.ENTRY and order.action == "submit"]
    bought = len(result.trades) + len(result.open_positions)
    rows = {
        "parameters": ", ".join(f"{name} {_value(value)}" for name, value in result.config.items()),
        "symbols": some(result.symbols),
        "account": f"${result.cash:,.2f}, slippage {plural(result.slippage_ticks, 'tick')}",
        "limits": limits_in_words(result.limits),
        "bars": f"{result.bars:,}",
        "candles": f"{result.candles:,}",
        "signals": f"{len(result.signals):,}, refused {refused:,}",
        "entries": f"{plural(len(placed), 'order')}, {bought:,} filled",
    }
    for name, value in rows.items():
        table.add_row(_INDENT + name, Text(printable(value) or "none"))
    return table


def _value(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)


def _listed(title: str, lines: Sequence[str], style: str = "") -> Iterable[RenderableType]:
    if lines:
        yield Text(f"\n{title}", _HEADING)
        table = Table.grid(padding=0)
        table.add_column(overflow="fold")
        for line in lines:
            table.add_row(Text(line, style))
        indented = Table.grid(padding=0)
        indented.add_row(_INDENT, table)
        yield indented


def _range(result: BacktestResult) -> Text:
    values = np.append(float(result.cash), result.equity.value)
    return Text(
        f"{_INDENT}{result.cash:,.2f} at first, {values.min():,.2f} lowest, {values.max():,.2f} highest, "
        f"{result.final_equity:,.2f} at last"
    )


def _sparkline(result: BacktestResult, levels: str, width: int) -> str:
    """Equity at ``width`` moments that share the sessions' minutes evenly; the last one is the end."""
    opens = np.array([session.open.timestamp() for session in result.sessions])
    lengths = np.array([session.minutes for session in result.sessions])
    ends = np.cumsum(lengths)
    minutes = np.arange(1, width + 1) * (ends[-1] / width)
    session = np.minimum(np.searchsorted(ends, minutes), len(ends) - 1)
    moments = opens[session] + (minutes - (ends - lengths)[session]) * 60
    # A millisecond more, so that rounding cannot hide a point that is at the moment itself.
    known = np.searchsorted(result.equity.time, moments + 0.001, side="right")
    values = np.append(float(result.cash), result.equity.value)[known]
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return levels[len(levels) // 2 - 1] * width
    steps = np.minimum((values - low) / (high - low) * len(levels), len(levels) - 1).astype(int)
    return "".join(levels[step] for step in steps.tolist())


def _figures(result: BacktestResult, metrics: Metrics, w: _Writing) -> Table:
    """Those of the account at the left, those of its trades at the right."""
    account = [
        ("profit or loss", w.money(float(result.final_equity - result.cash))),
        ("total return", w.percent(metrics.total_return)),
        ("CAGR", w.percent(metrics.cagr)),
        ("Sharpe", w.number(metrics.sharpe)),
        ("Sortino", w.number(metrics.sortino)),
        ("max drawdown", w.percent(metrics.max_drawdown)),
        ("  lasted", Text(_days(metrics.max_drawdown_length) or w.nothing)),
        ("exposure", w.share(metrics.exposure)),
        ("avg trade", w.percent(metrics.avg_trade, 3)),
        ("avg holding", w.minutes(metrics.avg_holding_minutes)),
    ]
    trades = [
        ("trades", Text(f"{metrics.trades:,}"), None),
        ("win rate", w.share(metrics.win_rate), None),
        ("profit factor", w.number(metrics.profit_factor), None),
        ("expectancy", w.money(metrics.expectancy), w.multiple(metrics.expectancy_r)),
        ("best trade", w.money(metrics.best_trade), None),
        ("worst trade", w.money(metrics.worst_trade), None),
        ("avg MAE", w.money(metrics.avg_mae), w.multiple(metrics.avg_mae_r)),
        ("median MAE", w.money(metrics.median_mae), w.multiple(metrics.median_mae_r)),
        ("avg MFE", w.money(metrics.avg_mfe), w.multiple(metrics.avg_mfe_r)),
        ("median MFE", w.money(metrics.median_mfe), w.multiple(metrics.median_mfe_r)),
    ]
    table = Table.grid(padding=(0, 2, 0, 0))
    for right in (False, True, False, False, True, True):
        table.add_column(justify="right" if right else "left", no_wrap=True)
    for (name, value), (other, dollars, of_risk) in zip(account, trades, strict=True):
        risk = "" if of_risk is None or of_risk.plain == w.nothing else of_risk + " R"
        table.add_row(_INDENT + name, value, "", other, dollars, risk)
    return table


def _days(length: float) -> str:
    if length <= 0:
        return ""
    return f"{length * 24:.1f} hours" if length < 1 else f"{length:,.1f} days"


def _side_by_side(tables: Sequence[Table], count: int) -> Iterable[RenderableType]:
    """``count`` tables in a row."""
    for first in range(0, len(tables), count):
        row = Table.grid(padding=(0, 4, 0, 0))
        row.add_row(*tables[first : first + count])
        yield Text()
        yield _Rigid(row)


def _tables(metrics: Metrics, writing: _Writing) -> list[Table]:
    symbols = list(metrics.by_symbol)
    if len(symbols) > _ROWS:
        symbols = sorted((part for part in symbols if part.trades), key=lambda part: -part.pnl)
    tables = [
        _table("symbol", [(part.name, part) for part in symbols], writing),
        _table("entered at", [(f"{part.name}:00", part) for part in metrics.by_hour], writing),
        _table("left by", [(part.name, part) for part in metrics.by_reason], writing),
    ]
    if len(metrics.by_month) > 1:
        tables.append(_table("month", [(part.name, part) for part in metrics.by_month], writing))
    return tables


def _table(title: str, rows: Sequence[tuple[str, Slice]], w: _Writing) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=_HEADING)
    table.add_column(_INDENT + title, min_width=14, no_wrap=True)
    for name in ("trades", "P/L", "win rate", "factor", "a trade", "in R"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, (name, part) in enumerate(rows):
        if _ROWS // 2 <= number < len(rows) - _ROWS // 2:
            if number == _ROWS // 2:
                table.add_row(f"{_INDENT}{len(rows) - _ROWS:,} more")
            continue
        table.add_row(
            _INDENT + name, f"{part.trades:,}", w.money(part.pnl), w.share(part.win_rate),
            w.number(part.profit_factor), w.money(part.expectancy), w.multiple(part.expectancy_r),
        )  # fmt: skip
    return table
