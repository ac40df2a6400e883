"""The HTML report's figures in words: tiles, returns by month, results by symbol, hour and reason."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from itertools import groupby
from math import prod
from typing import Final

from tui_trader.backtest.metrics import Metrics, Slice
from tui_trader.backtest.result import BacktestResult
from tui_trader.errors import printable

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: What is not defined, such as the win rate of no trades.
_NONE: Final = "–"
#: Returns of a month from which its cell is darker.
_SHADES: Final = (0.01, 0.03)


def tiles(result: BacktestResult, metrics: Metrics) -> str:
    """The figures that matter most, each with what it is."""
    m = metrics
    reach = f"lasted {m.max_drawdown_length:,.1f} days" if m.max_drawdown else "never below its peak"
    toned = (
        ("Return", percent(m.total_return), f"to ${result.final_equity:,.2f}"),
        ("CAGR", percent(m.cagr), "a year, compounded"),
        ("Max drawdown", percent(m.max_drawdown), reach),
        ("Expectancy", money(m.expectancy), f"{number(m.expectancy_r, signed=True)} R a trade"),
        ("Average trade", percent(m.avg_trade, 3), "of what it bought"),
        ("Best trade", money(m.best_trade), f"worst {money(m.worst_trade)}"),
    )
    plain = (
        ("Sharpe", number(m.sharpe), "daily returns, annualised"),
        ("Sortino", number(m.sortino), "daily returns, annualised"),
        ("Trades", f"{m.trades:,}", f"{number(m.avg_holding_minutes, 0)} minutes on average"),
        ("Win rate", percent(m.win_rate, 1, signed=False), "of trades made money"),
        ("Profit factor", number(m.profit_factor), "profits to losses"),
        ("Exposure", percent(m.exposure, 1, signed=False), "of trading time"),
    )
    cells = [_tile(name, value, below, _tone(value)) for name, value, below in toned]
    cells += [_tile(name, value, below) for name, value, below in plain]
    return f"<div class='tiles'>\n{''.join(cells)}</div>\n"


def _tile(name: str, value: str, below: str, attributes: str = "") -> str:
    return f"<div class='tile'><span>{name}</span><b{attributes}>{value}</b><span>{below}</span></div>\n"


def monthly_table(metrics: Metrics) -> str:
    """Years down, months across; the year's return is what its months make together."""
    head = "".join(f"<th>{name}</th>" for name in ("Year", *_MONTHS, "Year"))
    rows = []
    for year, months in groupby(metrics.monthly_returns, key=lambda item: item[0][:4]):
        found = {int(month[5:]): value for month, value in months}
        cells = "".join(_shaded(found.get(month)) for month in range(1, 13))
        whole = prod(1 + value for value in found.values()) - 1
        rows.append(f"<tr><th>{year}</th>{cells}{_shaded(whole)}</tr>\n")
    return _table(head, "".join(rows), " class='months'")


def _shaded(value: float | None) -> str:
    if value is None:
        return "<td></td>"
    shade = 1 + sum(abs(value) >= limit for limit in _SHADES)
    tone = f" class='{'g' if value > 0 else 'l'}{shade}'" if value else ""
    return f"<td{tone}>{percent(value)}</td>"


def slice_table(heading: str, slices: Sequence[Slice], name: Callable[[str], str] = str) -> str:
    """One row a group of trades; ``name`` says what a group is called."""
    titles = (heading, "Trades", "Profit", "Win rate", "Profit factor", "Expectancy", "in R")
    head = "".join(f"<th>{title}</th>" for title in titles)
    rows = "".join(f"<tr>{_slice_cells(item, name(item.name))}</tr>\n" for item in slices)
    return _table(head, rows)


def _slice_cells(item: Slice, name: str) -> str:
    profit = money(item.pnl)
    cells = (
        f"{item.trades:,}</td><td{_tone(profit)}>{profit}",
        percent(item.win_rate, 1, signed=False),
        number(item.profit_factor),
        money(item.expectancy),
        number(item.expectancy_r, signed=True),
    )
    return f"<td class='text'>{html.escape(printable(name))}</td><td>{'</td><td>'.join(cells)}</td>"


def _table(head: str, rows: str, attributes: str = "") -> str:
    return (
        f"<div class='scroll'><table{attributes}>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}</tbody>\n</table></div>\n"
    )


def percent(value: float | None, digits: int = 2, *, signed: bool = True) -> str:
    """A fraction as ``+1.25 %``."""
    return _NONE if value is None else f"{_number(value * 100, digits, signed)} %"


def money(value: float | None) -> str:
    """Dollars won or lost, as ``+$1,250.00``."""
    if value is None:
        return _NONE
    text = _number(value, 2, signed=True)
    return f"{text[0]}${text[1:]}" if text[0] in "+−" else f"${text}"


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """``1,250.00``; a dash where there is none."""
    return _NONE if value is None else _number(value, digits, signed)


def _number(value: float, digits: int, signed: bool) -> str:
    """Zero, and what is rounded to it, bears no sign."""
    text = f"{abs(value):,.{digits}f}"
    if not text.strip("0.,"):
        return text
    return f"−{text}" if value < 0 else f"+{text}" if signed else text


def _tone(text: str) -> str:
    """Colour doubles the sign that is written."""
    return {"+": " class='gain'", "−": " class='loss'"}.get(text[0], "")
