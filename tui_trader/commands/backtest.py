"""The `backtest` command: one run over recorded bars, shown to people and written for programs."""

from __future__ import annotations

import contextlib
import os
import sys
from itertools import combinations
from pathlib import Path
from typing import Final

from tui_trader.backtest.market import MarketData
from tui_trader.backtest.metrics import Metrics, metrics_of
from tui_trader.backtest.output_file import check_output, write_whole
from tui_trader.backtest.report_json import csv_pieces, document_of, json_pieces
from tui_trader.backtest.report_text import report_text
from tui_trader.backtest.result import BacktestResult
from tui_trader.backtest.setup import BacktestPlan, make_market, make_plan, parse_sets, read_table
from tui_trader.commands.progress_line import ProgressLine
from tui_trader.engine.nyse import NyseCalendar
from tui_trader.errors import TuiTraderError, UsageError
from tui_trader.options import BacktestOptions
from tui_trader.paths import default_config_path
from tui_trader.stdout import put
from tui_trader.strategies.registry import check_strategy

STDOUT: Final = "-"
#: Bytes of bars that take more than a moment to read.
_LONG_READ: Final = 10_000_000


def run_backtest(options: BacktestOptions) -> int:
    """Run it and give its outputs; the exit code. Raises ``TuiTraderError``.

    With ``--json -`` standard output holds the JSON alone, and the summary goes to standard error.
    """
    _check_outputs(options)
    # Strategies are guests: what they print must not end up in the JSON.
    with contextlib.redirect_stdout(sys.stderr):
        plan = make_plan(options, os.environ, parse_sets(options.sets))
        market = _read_market(options, plan)
        with ProgressLine(sys.stderr, "Backtest") as progress:
            result = plan.runner(market).run(progress)
        needed = _required_history(plan, market)
    metrics = metrics_of(result)
    _write_files(options, result, metrics, market)
    if options.json == STDOUT:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                sys.stderr.write(report_text(result, metrics, sys.stderr, needed))
        put("".join(json_pieces(document_of(result, metrics))))
    elif sys.stdout is not None:
        put(report_text(result, metrics, sys.stdout, needed))
    return 0


def _read_market(options: BacktestOptions, plan: BacktestPlan) -> MarketData:
    with ProgressLine(sys.stderr, "Reading") as line:
        size = sum(path.stat().st_size for path in options.bars if path.is_file())
        if size > _LONG_READ:
            line.say(f"Reading {size / 1e6:,.0f} MB of bars")
        return make_market(read_table(options), plan, NyseCalendar(), options.symbols)


def _check_outputs(options: BacktestOptions) -> None:
    """What would go wrong after the work is told before it."""
    outputs = _outputs(options)
    inputs = (*options.bars, *own_files(options.config))
    for option, path in outputs.items():
        if str(path) == STDOUT:
            raise UsageError(f"{option} -: only --json can go to standard output: name a file")
        check_output(path, option, inputs)
    for (first, path), (second, other) in combinations(outputs.items(), 2):
        if path.resolve() == other.resolve():
            raise UsageError(f"{first} and {second} name the same file, {path}: choose two names")
    if options.html is not None:
        from tui_trader.backtest.report_html import require_plotly

        require_plotly()
    if options.json == STDOUT and sys.stdout is None:
        raise TuiTraderError("--json -: standard output is closed")


def own_files(config: Path | None) -> list[Path]:
    """The user's configuration and strategies, which no mistyped output may replace."""
    folder = default_config_path().parent
    return [config or default_config_path(), *folder.glob("strategies/*"), *folder.glob("themes/*")]


def _outputs(options: BacktestOptions) -> dict[str, Path]:
    """Option and path of every file to be written."""
    json_file = Path(options.json) if options.json not in (None, STDOUT) else None
    named = {"--json": json_file, "--trades": options.trades, "--html": options.html}
    return {option: path for option, path in named.items() if path is not None}


def _write_files(
    options: BacktestOptions, result: BacktestResult, metrics: Metrics, market: MarketData
) -> None:
    for option, path in _outputs(options).items():
        match option:
            case "--json":
                write_whole(path, option, json_pieces(document_of(result, metrics)))
            case "--trades":
                write_whole(path, option, csv_pieces(result.trades))
            case _:
                from tui_trader.backtest.report_html import write_html

                write_html(result, market, path)


def _required_history(plan: BacktestPlan, market: MarketData) -> int:
    """Candles that the strategy needs before its first signal."""
    symbol = market.symbols[0]
    return check_strategy(plan.strategy, lambda: plan.strategy(symbol, plan.config)).required_history
