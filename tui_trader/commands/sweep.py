"""The `sweep` command: parameter sets ranked, and what the best are worth on sessions kept from them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tui_trader.backtest.market import MarketData
from tui_trader.backtest.output_file import check_output, write_whole
from tui_trader.backtest.report_json import json_pieces
from tui_trader.backtest.setup import read_table
from tui_trader.backtest.statements import plural, some
from tui_trader.commands.backtest import own_files
from tui_trader.core.calendar import FixedCalendar, Session
from tui_trader.core.events import iso_utc
from tui_trader.engine.nyse import NyseCalendar
from tui_trader.errors import TuiTraderError, UsageError, printable
from tui_trader.options import SweepOptions
from tui_trader.stdout import put
from tui_trader.sweep.cluster import cluster, scheduler_address
from tui_trader.sweep.document import rows_document, walk_document
from tui_trader.sweep.fingerprint import code_digest, data_digest
from tui_trader.sweep.grid import MOST_SETS, Grid, parse_grid
from tui_trader.sweep.jobs import Window
from tui_trader.sweep.ledger import Ledger
from tui_trader.sweep.parameters import Candidates, candidates
from tui_trader.sweep.pool import pool
from tui_trader.sweep.progress import ProgressLine
from tui_trader.sweep.ranking import check_metric
from tui_trader.sweep.recipe import Crew, Recipe, here
from tui_trader.sweep.store import ResultStore, default_results_dir
from tui_trader.sweep.study import rank_sets, walk_forward
from tui_trader.sweep.table import plain_text, walk_text
from tui_trader.sweep.windows import Step, hold_out, parse_walk, steps
from tui_trader.sweep.work import Bench
from tui_trader.venues.replay.bars_file import BarTable

STDOUT: Final = "-"
_NARROW: Final = 80
_INTERRUPTED: Final = 130
_MOST_PROCESSES: Final = 1024


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What is shown, what is written, and whether there is nothing to show."""

    lines: Sequence[str]
    document: Mapping[str, Any]
    all_failed: bool


def run_sweep(options: SweepOptions) -> int:
    """Run it and give its outputs; the exit code. Raises ``TuiTraderError``.

    With ``--json -`` standard output holds the JSON alone, and the table goes to standard error. The code is
    1 when every backtest failed, 130 after Ctrl-C; what is finished is kept in any case.
    """
    _check(options)
    grid = parse_grid(options.base.sets)
    # Strategies are guests: what they print must not end up in the JSON.
    with contextlib.redirect_stdout(sys.stderr):
        chosen = candidates(options.base, os.environ, grid)
        store = ResultStore(options.results or default_results_dir())
        store.tidy()
        with _crew(options, chosen, store) as crew:
            table = read_table(options.base)
            jump = chosen.sets[0].max_bar_jump_pct
            market = MarketData(table, NyseCalendar(), jump, options.base.symbols or ())
            walk = _walk(options, chosen, market.sessions)
            recipe = _recipe(chosen, table, market.sessions)
            ledger = Ledger(recipe, store, crew(recipe, table), options.fresh)
            try:
                outcome = _study(options, grid, chosen, ledger, market.sessions, walk)
            except KeyboardInterrupt:
                _tell(f"interrupted; {_kept(ledger)}")
                return _INTERRUPTED
            except TuiTraderError as error:
                raise type(error)(f"{error}; {_kept(ledger)}") from None
    _tell_of_data(market, table)
    if ledger.count.before:
        _tell(f"{ledger.count.before:,} of {plural(ledger.count.total, 'backtest')} were finished before")
    about = _about(options, chosen, market, ledger)
    _give(options, [*_heading(options, chosen, market), *outcome.lines], {**about, **outcome.document})
    return 1 if outcome.all_failed else 0


def _check(options: SweepOptions) -> None:
    """What can be told before any work."""
    check_metric(options.metric)
    if options.jobs is not None and options.jobs > _MOST_PROCESSES:
        raise UsageError(f"--jobs {options.jobs}: at most {_MOST_PROCESSES:,} processes are started")
    if options.scheduler is not None:
        scheduler_address(options.scheduler)
        if options.jobs is not None:
            raise UsageError("--jobs and --scheduler exclude each other: the cluster has its own workers")
    if options.walk_forward is not None:
        parse_walk(options.walk_forward)
    if options.base.json == STDOUT:
        if sys.stdout is None:
            raise TuiTraderError("--json -: standard output is closed")
    elif options.base.json is not None:
        inputs = (*options.base.bars, *own_files(options.base.config))
        check_output(Path(options.base.json), "--json", inputs)


def _recipe(chosen: Candidates, table: BarTable, sessions: Sequence[Session]) -> Recipe:
    # The sessions of these bars alone, so that no worker has to load a calendar.
    first, last = (
        datetime.fromtimestamp(int(minute) * 60, UTC).date() for minute in (table.minute[0], table.minute[-1])
    )
    calendar = FixedCalendar(sessions, first=first, last=last)
    code, data = code_digest(chosen.strategy), data_digest(table, sessions)
    return Recipe(chosen.strategy.name, calendar, code, data)


@contextlib.contextmanager
def _crew(options: SweepOptions, chosen: Candidates, store: ResultStore) -> Iterator[Crew]:
    """Where the backtests run."""
    processes = options.jobs or _processors()
    if options.walk_forward is None:
        processes = min(processes, 2 * len(chosen.sets))  # in sample and out of it
    if options.scheduler is not None:
        with cluster(scheduler_address(options.scheduler), store) as crew:
            yield crew
    elif processes == 1:
        yield lambda recipe, table: here(Bench(chosen.strategy, table, recipe.calendar), store)
    else:
        with pool(processes, store) as crew:
            yield crew


def _processors() -> int:
    """Those that this process may use, where the system can tell."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _walk(options: SweepOptions, chosen: Candidates, sessions: Sequence[Session]) -> Sequence[Step] | None:
    """The steps of a walk-forward, when one is wanted."""
    if options.walk_forward is None:
        return None
    found = steps(sessions, parse_walk(options.walk_forward))
    if len(found) * len(chosen.sets) > MOST_SETS:
        asked = f"{len(found):,} steps × {len(chosen.sets):,} sets"
        raise UsageError(
            f"--walk-forward {options.walk_forward}: {asked}; at most {MOST_SETS:,} backtests are run: "
            "use a longer test, or fewer sets"
        )
    return found


def _study(
    options: SweepOptions, grid: Grid, chosen: Candidates, ledger: Ledger, sessions: Sequence[Session],
    walk: Sequence[Step] | None,
) -> _Outcome:  # fmt: skip
    metric, sets, swept, width = options.metric, chosen.sets, grid.swept, _width(options)
    with ProgressLine(sys.stderr) as progress:
        if walk is not None:
            walked = walk_forward(ledger, sets, walk, metric, progress)
            lines = walk_text(walked, metric, swept, width)
            failed = all(row.inside.error for row in walked.rows)
            return _Outcome(list(lines), walk_document(walked, metric), failed)
        inside, outside = hold_out(sessions)
        rows = rank_sets(ledger, sets, inside, outside, metric, progress)
        lines = plain_text(
            rows,
            options.top,
            metric,
            swept,
            outside is not None,
            len(sessions),
            width,
            chosen.strategy.name,
        )
        failed = all(row.inside.error for row in rows)
        return _Outcome(list(lines), rows_document(rows, metric, inside, outside), failed)


# ---- what is said ------------------------------------------------------------------------------------


def _heading(options: SweepOptions, chosen: Candidates, market: MarketData) -> Iterator[str]:
    sets = plural(len(chosen.sets), "parameter set")
    yield f"{chosen.strategy.name} on {some(market.symbols)}: {sets} by {options.metric}"
    if chosen.left_out:
        yield f"{plural(chosen.left_out, 'combination')} left out, such as: {chosen.reason}"
    sessions = market.sessions
    if options.walk_forward is not None:
        yield (
            f"{plural(len(sessions), 'session')} from {sessions[0].date} to {sessions[-1].date}, "
            f"walked forward by {parse_walk(options.walk_forward)}"
        )
        return
    inside, outside = hold_out(sessions)
    yield f"In sample: {_days(inside, sessions)}"
    if outside is not None:
        yield f"Held out:  {_days(outside, sessions)}"


def _days(window: Window, sessions: Sequence[Session]) -> str:
    count = sum(window.first <= session.date <= window.last for session in sessions)
    return f"{window.first} to {window.last}, {plural(count, 'session')}"


def _about(options: SweepOptions, chosen: Candidates, market: MarketData, ledger: Ledger) -> dict[str, Any]:
    return {
        "strategy": chosen.strategy.name,
        "symbols": list(market.symbols),
        "start": iso_utc(market.sessions[0].open),
        "end": iso_utc(market.sessions[-1].close),
        "sessions": len(market.sessions),
        "metric": options.metric,
        "left_out": chosen.left_out,
        "jobs": {"total": ledger.count.total, "finished_before": ledger.count.before},
    }


def _kept(ledger: Ledger) -> str:
    done = f"{ledger.kept():,} of {plural(ledger.count.total, 'backtest')}"
    return f"{done} are finished and kept: the same command goes on from there"


def _tell_of_data(market: MarketData, table: BarTable) -> None:
    if market.notes.absent:
        _tell(f"no bars of {some(market.notes.absent)}, though asked for")
    if table.skipped:
        _tell(f"{plural(len(table.skipped), 'bad row')} skipped")


def _tell(text: str) -> None:
    print(f"tui-trader: {printable(text)}", file=sys.stderr)


def _width(options: SweepOptions) -> int:
    """Columns to fill: of the terminal that the table goes to, 80 when it goes elsewhere."""
    stream = sys.__stderr__ if options.base.json == STDOUT else sys.__stdout__
    if stream is None or not stream.isatty():
        return _NARROW
    return max(_NARROW, shutil.get_terminal_size((_NARROW, 0)).columns)


def _give(options: SweepOptions, lines: Sequence[str], document: Mapping[str, Any]) -> None:
    text = "".join(f"{printable(line)}\n" for line in lines)
    match options.base.json:
        case None:
            put(text)
        case "-":
            if sys.stderr is not None:
                sys.stderr.write(text)
            put("".join(json_pieces(document)))
        case path:
            write_whole(Path(path), "--json", json_pieces(document))
            put(text)
