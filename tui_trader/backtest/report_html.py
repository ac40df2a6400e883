"""One page with everything a backtest found: figures, tables and what was odd about its bars.

It is self-contained and asks the network for nothing; a policy in its head forbids the browser to. Whatever
comes from outside (symbols, strategies, parameters, reasons) is escaped: for HTML here, for plotly where its
figures are made.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tui_trader import __version__
from tui_trader.backtest.html_chart import Chart, TradingTime, chart_of
from tui_trader.backtest.html_figures import (
    CANDLE,
    GAIN,
    LOSS,
    MAX_POINTS,
    MAX_TRADE_POINTS,
    chart_layout,
    distribution_figure,
    equity_figure,
    excursion_figure,
)
from tui_trader.backtest.html_tables import monthly_table, slice_table, tiles
from tui_trader.backtest.market import MarketData
from tui_trader.backtest.metrics import Metrics, metrics_of
from tui_trader.backtest.output_file import write_whole
from tui_trader.backtest.result import BacktestResult
from tui_trader.backtest.statements import (
    breaker_trips,
    limits_in_words,
    plural,
    refusals,
    still_open,
    warnings,
    why_no_trades,
)
from tui_trader.core.events import TradeReason
from tui_trader.errors import UsageError, printable

_HERE: Final = Path(__file__).parent
#: So many symbols are named in the heading.
_NAMED: Final = 8
_FIGURES: Final = {
    "distribution": "Distribution of results",
    "excursions": "Worst and best moments of trades",
}
#: plotly offers to send a chart to its makers' servers unless told not to.
_CONFIG: Final = {
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "topojsonURL": "",
    "modeBarButtons": [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
    "responsive": True,
    "showTips": False,
}


def require_plotly() -> None:
    """Raises ``UsageError`` when figures cannot be drawn: to be asked before work."""
    try:
        import plotly.graph_objects  # noqa: F401
    except ImportError:
        raise UsageError("--html needs plotly: pip install 'tui-trader[report]'") from None


def write_html(result: BacktestResult, market: MarketData, path: Path) -> None:
    """The page about ``result`` to ``path``, whole or not at all; ``market`` is what it was run over.

    Raises ``UsageError`` without plotly, or when the file cannot be written.
    """
    require_plotly()
    write_whole(path, "--html", _page(result, market))


def _page(result: BacktestResult, market: MarketData) -> Iterable[str]:
    from plotly.offline import get_plotlyjs

    time = TradingTime(result.sessions)
    chart = chart_of(result, market, time)
    metrics = metrics_of(result)
    library, drawing = _in_script(get_plotlyjs()), _in_script((_HERE / "report.js").read_text("utf-8"))
    yield f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(library, drawing)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(_title(result))}</title>
<style>
{(_HERE / "report.css").read_text("utf-8")}</style>
</head>
<body>
<main>
"""
    yield from _body(result, metrics, chart)
    yield f"""</main>
<script type="application/json" id="data">{_json(_data(result, chart, time))}</script>
<script>{library}</script>
<script>{drawing}</script>
</body>
</html>
"""


def _policy(*scripts: str) -> str:
    """Only these very scripts may run, and nothing may be fetched, framed or sent."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _in_script(code: str) -> str:
    """``code`` as it may stand between script tags. Browsers make one line end of CR LF: so do we."""
    return code.replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _json(value: object) -> str:
    """``value`` as JSON in which no character means anything to HTML."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _data(result: BacktestResult, chart: Chart, time: TradingTime) -> dict[str, object]:
    """All that ``report.js`` draws from."""
    figures = {"equity": equity_figure(result.equity, float(result.cash), time)}
    if result.trades:
        figures["distribution"] = distribution_figure(result.trades)
        figures["excursions"] = excursion_figure(result.trades)
    return {
        "config": _CONFIG,
        "time": time.axis(),
        "figures": {name: figure.to_plotly_json() for name, figure in figures.items()},
        "chart": {
            "minutes": chart.minutes,
            "symbols": chart.symbols,
            "first": chart.busiest,
            "reasons": [_words(reason.value) for reason in TradeReason],
            "colours": {"gain": GAIN, "loss": LOSS, "candle": CANDLE},
            "layout": chart_layout(),
        },
    }


# ---- what is to be read ------------------------------------------------------------------------------


def _title(result: BacktestResult) -> str:
    names = ", ".join(result.symbols[:_NAMED])
    more = len(result.symbols) - _NAMED
    return f"{result.strategy} on {names}" + (f" and {plural(more, 'more symbol')}" if more > 0 else "")


def _body(result: BacktestResult, metrics: Metrics, chart: Chart) -> Iterable[str]:
    yield from _heading(result)
    yield from _notices(result)
    yield tiles(result, metrics)
    yield "<noscript><p class='notice'>The figures are drawn by scripts, which are off here.</p></noscript>\n"
    yield "<h2>Equity and drawdown</h2>\n<div class='figure' id='equity'></div>\n"
    if len(result.equity.value) > MAX_POINTS:
        yield _aside(f"Drawn from the highs and lows among {len(result.equity.value):,} points.")
    yield from _chart(chart)
    if result.trades:
        for name, heading in _FIGURES.items():
            yield f"<h2>{heading}</h2>\n<div class='figure' id='{name}'></div>\n"
        yield _aside(
            "Circles ended without a loss, crosses with one. "
            "On the dotted line a trade ended at its worst, or its best, moment."
        )
        if len(result.trades) > MAX_TRADE_POINTS:
            yield _aside(
                f"No more than {MAX_TRADE_POINTS:,} trades are drawn, the best and worst among them."
            )
    yield "<h2>Returns by month</h2>\n"
    yield monthly_table(metrics)
    if result.trades:
        yield "<h2>Where it was made and lost</h2>\n<div class='tables'>\n"
        yield slice_table("Symbol", metrics.by_symbol)
        yield slice_table("Hour of entry", metrics.by_hour, lambda hour: f"{hour}:00–{hour}:59")
        yield slice_table("Reason of exit", metrics.by_reason, _words)
        yield "</div>\n"
    yield from _lists(result)
    yield (
        f"<footer class='soft'><p>{plural(result.bars, 'bar')}, {plural(result.candles, 'candle')}, "
        f"{plural(len(result.signals), 'signal')} in {result.elapsed_s:,.2f} s. tui-trader {__version__}.</p>"
        "<p>Entries and exits are filled by fixed rules over one-minute bars, without commission. "
        "What would have been is no promise of what will be.</p></footer>\n"
    )


def _heading(result: BacktestResult) -> Iterable[str]:
    first, last = (session.date for session in (result.sessions[0], result.sessions[-1]))
    period = f"{first:%a} {first.day} {first:%b %Y}"
    if last != first:
        period += f" to {last:%a} {last.day} {last:%b %Y}"
    facts = {
        "Period": f"{period}, {plural(len(result.sessions), 'session')}",
        "Cash": f"${result.cash:,.2f}",
        "Slippage": plural(result.slippage_ticks, "tick"),
        "Limits": limits_in_words(result.limits),
        "Times": "New York",
    }
    yield f"<h1>{_text(_title(result))}</h1>\n{_facts(facts)}"
    yield f"<details open><summary>Parameters</summary>{_facts(result.config)}</details>\n"
    if len(result.symbols) > _NAMED:
        yield f"<details><summary>{plural(len(result.symbols), 'symbol')}</summary>"
        yield f"<p>{_text(', '.join(result.symbols))}</p></details>\n"


def _facts(facts: Mapping[str, object]) -> str:
    pairs = (f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items())
    return f"<dl class='facts'>{''.join(pairs)}</dl>\n"


def _notices(result: BacktestResult) -> Iterable[str]:
    """What must be read before any figure."""
    said = [why_no_trades(result)]
    if result.open_positions:
        said.append(
            f"{plural(len(result.open_positions), 'position')} still open at the end: equity counts what "
            "they would bring at the last close, the figures of trades leave them out."
        )
    if result.trips:
        said.append(f"The circuit breaker stopped entries {plural(len(result.trips), 'time')}.")
    lines = "".join(f"<p>{_text(line)}</p>" for line in said if line)
    if lines:
        yield f"<div class='notice'>{lines}</div>\n"


def _chart(chart: Chart) -> Iterable[str]:
    yield """<h2>Trades on the price</h2>
<div class="bar">
<label>Symbol <select id="symbol"></select></label>
<button type="button" id="back">‹ Trade</button>
<button type="button" id="next">Trade ›</button>
<button type="button" id="whole">Whole run</button>
<output id="said"></output>
</div>
<div class="figure" id="chart"></div>
<p class="soft">Drag across the chart to look closer, double-click for the whole run. Hollow candles closed at
or above their open, filled ones below. Hours without trading are left out.</p>
"""
    yield from map(_aside, chart.left_out)


def _lists(result: BacktestResult) -> Iterable[str]:
    lists = {
        "Still open": still_open(result.open_positions),
        "Circuit breaker": breaker_trips(result.trips),
        "Refused signals": refusals(result),
        "To bear in mind": warnings(result),
    }
    for heading, lines in lists.items():
        if lines:
            items = "".join(f"<li>{_text(line)}</li>" for line in lines)
            yield f"<h2>{heading}</h2>\n<ul>{items}</ul>\n"


def _text(value: object) -> str:
    return html.escape(printable(str(value)))


def _aside(line: str) -> str:
    return f"<p class='soft'>{_text(line)}</p>\n"


def _words(reason: str) -> str:
    return reason.replace("_", " ")
