"""The HTML report's plotly figures: equity and drawdown, distribution of results, excursions."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tui_trader.backtest.html_chart import TradingTime
from tui_trader.backtest.result import EquityCurve, Trade
from tui_trader.core.calendar import NEW_YORK
from tui_trader.core.money import ZERO
from tui_trader.errors import printable

if TYPE_CHECKING:
    import plotly.graph_objects as go

Floats = NDArray[np.float64]

#: The equity curve and the drawdown each ask for so many points; what one shows, the other does too.
MAX_POINTS: Final = 2_000
MAX_TRADE_POINTS: Final = 4_000
#: Blue and orange that every common kind of colour blindness tells apart, on white and on black.
GAIN: Final = "#2f86c9"
LOSS: Final = "#d9720c"
CANDLE: Final = "#8a929e"
_GREY: Final = "#7d8590"
_FAINT: Final = "rgba(128,134,144,0.25)"
_CLEAR: Final = "rgba(0,0,0,0)"
_BINS: Final = 30
#: An axis that reaches less far is given ticks between whole numbers.
_FEW: Final = 8


def thin(values: Floats, limit: int) -> NDArray[np.int64]:
    """Rising indices of at most ``limit`` values; the highest and lowest of every stretch are among them."""
    if len(values) <= limit:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), limit // 4 + 1).astype(np.int64).tolist()
    kept = [
        (a, a + int(np.argmin(values[a:b])), a + int(np.argmax(values[a:b])), b - 1)
        for a, b in pairwise(edges)
    ]
    return np.unique(np.array(kept, dtype=np.int64))


def figure_layout(height: int, **more: Any) -> dict[str, Any]:
    """The look all figures share. It fits light and dark; the page's style sheet colours the text."""
    axis = {
        "gridcolor": _FAINT,
        "zerolinecolor": _GREY,
        "linecolor": _GREY,
        "automargin": True,
        "ticklabeloverflow": "allow",
    }
    given = {name: {**axis, **value} if "axis" in name else value for name, value in more.items()}
    return {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 28, "b": 8},
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": _GREY},
        "hoverlabel": {"bgcolor": "#20242b", "bordercolor": _GREY, "font": {"color": "#f2f4f7"}},
        "modebar": {"bgcolor": _CLEAR, "color": _GREY, "activecolor": GAIN},
        "template": "none",
        **given,
    }


def chart_layout() -> dict[str, Any]:
    """Of the chart of trades, which ``report.js`` fills."""
    import plotly.graph_objects as go

    layout = figure_layout(
        520,
        margin={"l": 30, "r": 12, "t": 28, "b": 8},
        xaxis={"rangeslider": {"visible": False}, "zeroline": False},
        yaxis={"fixedrange": True, "tickprefix": "$", "side": "right", "zeroline": False},
        legend={"orientation": "h", "x": 0, "y": -0.12, "yanchor": "top", "bgcolor": _CLEAR},
        hovermode="closest",
        dragmode="zoom",
    )
    checked: dict[str, Any] = go.Layout(layout).to_plotly_json()
    return checked


def equity_figure(curve: EquityCurve, cash: float, time: TradingTime) -> go.Figure:
    """Equity, and below it the fall from the highest equity so far. Both begin with ``cash``."""
    import plotly.graph_objects as go

    values = np.append(cash, curve.value)
    falls = (values / np.maximum.accumulate(values) - 1) * 100
    kept = np.union1d(thin(values, MAX_POINTS), thin(falls, MAX_POINTS))
    x = np.append(0.0, time.of_seconds(curve.time))[kept].round(2).tolist()
    # Between two points equity is what the earlier one says.
    equity = go.Scatter(
        x=x,
        y=values[kept].round(2).tolist(),
        mode="lines",
        line={"color": GAIN, "width": 1.6, "shape": "hv"},
        hovertemplate="%{text}<br>equity %{y:$,.2f}<extra></extra>",
    )
    drawdown = go.Scatter(
        x=x,
        y=falls[kept].round(4).tolist(),
        yaxis="y2",
        mode="lines",
        fill="tozeroy",
        fillcolor="rgba(217,114,12,0.25)",
        line={"color": LOSS, "width": 1.2, "shape": "hv"},
        hovertemplate="drawdown %{y:.2f} %<extra></extra>",
    )
    layout = figure_layout(
        440,
        xaxis={"anchor": "y2", "showgrid": True, "zeroline": False},
        yaxis={"domain": [0.36, 1], "tickformat": "$~s", "zeroline": False},
        yaxis2={"domain": [0, 0.29], "ticksuffix": " %", "rangemode": "tozero", "nticks": 5},
        showlegend=False,
        hovermode="x",
        hoversubplots="axis",
        dragmode="zoom",
    )
    reach = float(np.ptp(values))
    if reach == 0:
        layout["yaxis"]["range"] = [cash * 0.99, cash * 1.01]
        layout["yaxis2"]["range"] = [-1, 0]
    # The short form would repeat itself between round thousands, whole dollars between neighbours.
    if reach < 0.1 * float(np.max(np.abs(values))):
        layout["yaxis"]["tickformat"] = "$,.2f" if 0 < reach < _FEW else "$,.0f"
    return go.Figure([equity, drawdown], layout)


def distribution_figure(trades: Sequence[Trade]) -> go.Figure:
    """How many trades made how much: in R where a risk was planned, and in dollars."""
    import plotly.graph_objects as go

    in_r = np.array([r for trade in trades if (r := trade.r) is not None])
    dollars = np.array([float(trade.pnl) for trade in trades])
    bars = [_bars(in_r, "x", "y", "", " R"), _bars(dollars, "x2", "y2", "$", "")]
    layout = figure_layout(
        340,
        xaxis={"domain": [0, 0.47], "title": {"text": "result in R"}},
        xaxis2={"domain": [0.53, 1], "title": {"text": "result in $"}, "anchor": "y2"},
        yaxis={"title": {"text": "trades"}, "rangemode": "tozero"},
        yaxis2={"anchor": "x2", "rangemode": "tozero"},
        showlegend=False,
        bargap=0.06,
    )
    for axis, bar in zip(("yaxis", "yaxis2"), bars, strict=True):
        if bar and max(bar["y"]) <= _FEW:
            layout[axis]["dtick"] = 1  # there are no half trades
    return go.Figure([go.Bar(bar) for bar in bars if bar], layout)


def _bars(values: Floats, x: str, y: str, before: str, after: str) -> dict[str, Any]:
    """A histogram in which no bar holds both losses and gains."""
    if not len(values):
        return {}
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    width = _round_up((high - low) / _BINS) if high > low else 1.0
    first = math.floor(low / width)
    edges = (first + np.arange(max(math.ceil(high / width) - first, 1) + 1)) * width
    # An exact multiple of the width is where it belongs, whatever rounding has made of it.
    places = np.floor(values / width + 1e-9).astype(np.int64) - first
    counts = np.bincount(np.minimum(places, len(edges) - 2), minlength=len(edges) - 1)
    return {
        "x": ((edges[:-1] + edges[1:]) / 2).tolist(),
        "y": counts.tolist(),
        "xaxis": x,
        "yaxis": y,
        "width": width * 0.94,
        "marker": {"color": [GAIN if edge >= 0 else LOSS for edge in edges[:-1].round(9)]},
        "customdata": [f"{before}{a:g}{after} to {before}{b:g}{after}" for a, b in pairwise(edges.round(9))],
        "hovertemplate": "%{customdata}<br>%{y} trades<extra></extra>",
    }


def _round_up(width: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= width * (1 - 1e-9))


def excursion_figure(trades: Sequence[Trade]) -> go.Figure:
    """What trades ended with against the worst and the best they had on paper, in dollars."""
    import plotly.graph_objects as go

    pnl = np.array([float(trade.pnl) for trade in trades])
    kept = [trades[index] for index in thin(pnl, MAX_TRADE_POINTS).tolist()]
    money = {"tickformat": "$~s"}
    layout = figure_layout(
        360,
        xaxis={"domain": [0, 0.47], "title": {"text": "worst (MAE)"}, **money},
        xaxis2={"domain": [0.53, 1], "title": {"text": "best (MFE)"}, "anchor": "y2", **money},
        yaxis={"title": {"text": "result"}, **money},
        yaxis2={"anchor": "x2", "matches": "y", "showticklabels": False},
        showlegend=False,
        hovermode="closest",
    )
    worst = _excursions(kept, [trade.mae for trade in kept], {"xaxis": "x", "yaxis": "y"})
    best = _excursions(kept, [trade.mfe for trade in kept], {"xaxis": "x2", "yaxis": "y2"})
    return go.Figure([*worst, *best], layout)


def _excursions(trades: Sequence[Trade], reached: list[float], axes: Mapping[str, str]) -> list[Any]:
    """A point a trade: what it ended with over what it had ``reached``, and the line where both are one."""
    import plotly.graph_objects as go

    ends = [min(reached), max(reached)]
    line = {"color": _GREY, "width": 1, "dash": "dot"}
    traces = [go.Scatter(x=ends, y=ends, mode="lines", line=line, hoverinfo="skip", **axes)]
    pairs = list(zip(trades, reached, strict=True))
    for lost, colour, shape in ((False, GAIN, "circle-open"), (True, LOSS, "x-thin-open")):
        group = [pair for pair in pairs if (pair[0].pnl < ZERO) is lost]
        traces.append(
            go.Scatter(
                x=[round(value, 2) for _, value in group],
                y=[round(float(trade.pnl), 2) for trade, _ in group],
                mode="markers",
                marker={"color": colour, "symbol": shape, "size": 7, "line": {"width": 1.5}},
                customdata=[_trade_label(trade) for trade, _ in group],
                hovertemplate="%{customdata}<br>ended at %{y:$,.2f}<br>had %{x:$,.2f}<extra></extra>",
                **axes,
            )
        )
    return traces


def _trade_label(trade: Trade) -> str:
    """For plotly, which reads its texts as markup, but knows no quotes in it."""
    entered = trade.entry_time.astimezone(NEW_YORK)
    return f"{html.escape(printable(trade.symbol), quote=False)}, {entered:%Y-%m-%d %H:%M}"
