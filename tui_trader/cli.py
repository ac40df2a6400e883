"""The command line: parsing and wiring only. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import get_args

from tui_trader import __version__, arguments
from tui_trader.errors import RefusedToStart, TuiTraderError, UsageError
from tui_trader.options import BacktestOptions, RunOptions, SweepOptions, VenueName
from tui_trader.stdout import put

_PROG = "tui-trader"
_VENUES = get_args(VenueName)


class _Parser(argparse.ArgumentParser):
    """Errors are one line and exit code 2, not the whole usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{message} (see: {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code. Every error that a user can cause is one line on stderr."""
    try:
        return _dispatch(list(sys.argv[1:] if argv is None else argv))
    except TuiTraderError as error:
        print(f"{_PROG}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has left; leave quietly, too.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


def _dispatch(argv: list[str]) -> int:
    parser = _parser()
    first = next((a for a in argv if not a.startswith("-")), None)
    # A first word that is no command is left to the parser, which says which ones there are.
    named = first in _COMMANDS or (first is not None and argv[0] == first)
    wants_run = not named and not {"-h", "--help", "--version"} & set(argv)
    options = parser.parse_args(["run", *argv] if wants_run else argv)
    return _COMMANDS[options.command](options)


# ---- parsing -----------------------------------------------------------------------------------------


def _parser() -> _Parser:
    parser = _Parser(
        prog=_PROG,
        description="Trades US equities by rule in a terminal: an Alpaca account, a simulated market, or "
        "recorded bars. Without a command it opens the screen (the same as `run`).",
    )
    parser.add_argument("--version", action="version", version=f"{_PROG} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    _add_run(commands.add_parser("run", help="the screen, or with --headless the engine alone"))
    state = _Parser(add_help=False)
    state.add_argument("--state-dir", type=Path, metavar="DIR", help="where the engine keeps its files")
    show = commands.add_parser("status", parents=[state], help="what a running engine is doing")
    show.add_argument("--json", action="store_true", help="as JSON")
    commands.add_parser("pause", parents=[state], help="no new entries; positions stay managed")
    commands.add_parser("resume", parents=[state], help="allow entries again")
    flatten = commands.add_parser(
        "flatten", parents=[state], help="cancel and close everything, or one symbol"
    )
    flatten.add_argument("symbol", nargs="?", metavar="SYMBOL", type=str.upper)
    stop = commands.add_parser("stop", parents=[state], help="shut a running engine down")
    stop.add_argument("--positions", choices=("close", "keep"), help="what becomes of open positions")
    _add_serve(commands.add_parser("serve", parents=[state], help="the screen in a web page"))
    journal = commands.add_parser("journal", parents=[state], help="what was intended, sent and filled")
    journal.add_argument("kind", choices=("orders", "fills", "trades", "events"))
    journal.add_argument("--since", type=arguments.day, metavar="DATE", help="from this day (UTC) on")
    journal.add_argument("--json", action="store_true", help="one JSON object a line")
    _add_backtest(
        commands.add_parser("backtest", help="trade recorded bars by a rule and say what came of it")
    )
    _add_sweep(commands.add_parser("sweep", help="backtest many parameter sets and rank them"))
    config = commands.add_parser("config", help="write, show or locate the configuration")
    config.add_argument("action", choices=("init", "show", "path"))
    config.add_argument("--config", type=Path, metavar="FILE")
    doctor = commands.add_parser(
        "doctor", parents=[state], help="check whatever a start depends on, and say what to do"
    )
    doctor.add_argument("--venue", choices=_VENUES, help="default: the one that `run` would use")
    doctor.add_argument("--config", type=Path, metavar="FILE")
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("--venue", choices=_VENUES, help="default: sim (alpaca, once keys are configured)")
    run.add_argument("--live", action="store_true", help="real money (Alpaca)")
    run.add_argument("--yes-live", metavar="NNNN", help="--live: the account's last four digits")
    run.add_argument("--config", type=Path, metavar="FILE")
    run.add_argument(
        "--symbols", type=arguments.symbols, metavar="A,B,C", help="instead of the static route's"
    )
    run.add_argument("--bars", type=Path, nargs="+", action="extend", metavar="FILE", help="bars to replay")
    run.add_argument(
        "--skip-bad", action="store_true", help="count bad rows of bars files instead of stopping"
    )
    run.add_argument(
        "--speed", type=arguments.speed, default=60.0, metavar="N|max", help="market seconds a second (60)"
    )
    run.add_argument("--start", type=arguments.day, metavar="YYYY-MM-DD", help="first session")
    run.add_argument("--sessions", type=arguments.count, metavar="N", help="how many sessions, then stop")
    run.add_argument("--seed", type=arguments.seed, metavar="N", help="sim: same seed, same market")
    run.add_argument(
        "--cash", type=arguments.money, default=Decimal(100_000), metavar="N", help="starting cash (100000)"
    )
    run.add_argument(
        "--slippage-ticks", type=arguments.ticks, default=1, metavar="N", help="ticks a fill costs (1)"
    )
    warm = run.add_mutually_exclusive_group()
    warm.add_argument("--fast-warmup", action="store_const", dest="warmup", const="fast",
                      help="replay: warm up from the bars before --start")  # fmt: skip
    warm.add_argument("--no-warmup", action="store_const", dest="warmup", const="none", help="start cold")
    run.add_argument("--headless", action="store_true", help="no screen")
    run.add_argument("--events", metavar="FILE|-", help="every event as a line of JSON")
    run.add_argument("--state-dir", type=Path, metavar="DIR", help="journal, logs and lock")
    run.add_argument("--control", metavar="HOST:PORT|off", help="control API (127.0.0.1:0)")
    run.set_defaults(warmup="normal")


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.description = (
        "Serves the screen as a web page, to whoever has the address that is printed. A page shows and "
        "steers the engine running on the state folder, which goes on when the page is closed; when none "
        "runs, each page runs a simulated engine of its own and says so."
    )
    serve.add_argument(
        "--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="default 127.0.0.1 and any free port"
    )
    serve.add_argument(
        "--expose",
        action="store_true",
        help="allow --listen on an address that other machines reach: nothing is encrypted, whoever reads "
        "the traffic can steer the engine",
    )
    serve.add_argument("--config", type=Path, metavar="FILE")
    own = serve.add_argument_group("for pages with an engine of their own")
    own.add_argument(
        "--symbols", type=arguments.symbols, metavar="A,B,C", help="instead of the static route's"
    )
    own.add_argument("--speed", type=arguments.speed, default=60.0, metavar="N|max", help="as in `run` (60)")
    own.add_argument("--start", type=arguments.day, metavar="YYYY-MM-DD", help="first session")
    own.add_argument("--seed", type=arguments.seed, metavar="N", help="same seed, same market")
    own.add_argument(
        "--cash", type=arguments.money, default=Decimal(100_000), metavar="N", help="starting cash (100000)"
    )
    own.add_argument(
        "--slippage-ticks", type=arguments.ticks, default=1, metavar="N", help="ticks a fill costs (1)"
    )


def _add_bars(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--bars", type=Path, nargs="+", action="extend", required=True, metavar="FILE", help="recorded bars"
    )
    command.add_argument(
        "--skip-bad", action="store_true", help="count bad rows of bars files instead of stopping"
    )
    command.add_argument("--config", type=Path, metavar="FILE")
    command.add_argument("--strategy", metavar="NAME", help="default: the first route's")
    command.add_argument(
        "--symbols", type=arguments.symbols, metavar="A,B,C", help="default: all in the bars"
    )
    command.add_argument(
        "--cash", type=arguments.money, default=Decimal(100_000), metavar="N", help="starting cash (100000)"
    )
    command.add_argument(
        "--slippage-ticks", type=arguments.ticks, default=1, metavar="N", help="ticks a fill costs (1)"
    )


def _add_backtest(backtest: argparse.ArgumentParser) -> None:
    _add_bars(backtest)
    backtest.add_argument(
        "--set", action="extend", nargs="+", dest="sets", default=[], metavar="KEY=VALUE",
        help="a strategy parameter, risk.KEY or session.KEY",
    )  # fmt: skip
    backtest.add_argument("--json", metavar="FILE|-", help="the whole result as JSON")
    backtest.add_argument("--trades", type=Path, metavar="FILE.csv", help="the trades as CSV")
    backtest.add_argument("--html", type=Path, metavar="FILE", help="a report with pictures, one file")


def _add_sweep(sweep: argparse.ArgumentParser) -> None:
    _add_bars(sweep)
    sweep.add_argument(
        "--set", action="extend", nargs="+", dest="sets", default=[], metavar="KEY=VALUES",
        help="10..40:5 is a range with its step, 0.1,0.2 a list",
    )  # fmt: skip
    sweep.add_argument(
        "--walk-forward", metavar="train=60d,test=20d", help="choose on train sessions, judge on those after"
    )
    sweep.add_argument("--metric", default="sharpe", metavar="NAME", help="what to rank by (sharpe)")
    sweep.add_argument("--jobs", type=arguments.count, metavar="N", help="processes (one a core)")
    sweep.add_argument("--scheduler", metavar="HOST:PORT", help="a Dask scheduler to send the jobs to")
    sweep.add_argument("--results", type=Path, metavar="DIR", help="where finished jobs are kept")
    sweep.add_argument("--fresh", action="store_true", help="repeat jobs that were finished before")
    sweep.add_argument("--top", type=arguments.count, default=20, metavar="N", help="rows to show (20)")
    sweep.add_argument("--json", metavar="FILE|-", help="all rows as JSON")


# ---- commands ----------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    if options.bars and options.venue != "replay":
        raise UsageError("--bars needs --venue replay")
    wanted = RunOptions(
        options.venue, options.live, options.config, options.symbols, tuple(options.bars or ()),
        options.skip_bad, options.speed, options.start, options.sessions, options.seed, options.cash,
        options.slippage_ticks, options.warmup, options.headless, options.events, options.state_dir,
        options.control, options.yes_live,
    )  # fmt: skip
    if wanted.live:
        _require_alpaca(wanted)
        wanted = _confirmed(wanted)
    elif wanted.confirmed is not None:
        raise UsageError("--yes-live confirms real money: it goes with --live")
    if wanted.headless:
        from tui_trader.headless import run_headless

        return run_headless(wanted)
    import gc

    gc.disable()  # all that is loaded for the first paint stays; the screen turns it on again after it
    from tui_trader.screen import run_screen

    return run_screen(wanted)


def _confirmed(wanted: RunOptions) -> RunOptions:
    """``wanted`` with the digits that say which account's real money is meant; they are typed, or given."""
    if wanted.confirmed is not None:
        return wanted
    if wanted.headless or not sys.stdin.isatty():
        raise UsageError(
            "--live trades real money: confirm with --yes-live NNNN, the account's last four digits"
        )
    print("This run trades REAL MONEY.", file=sys.stderr)
    print("The account's last four digits (Enter alone to leave): ", end="", file=sys.stderr, flush=True)
    typed = sys.stdin.readline().strip()
    if not typed:
        raise RefusedToStart("not confirmed: nothing was started")
    return replace(wanted, confirmed=typed)


def _require_alpaca(wanted: RunOptions) -> None:
    """Who asks for real money must not be given play money, also when it is only the default.

    What else forbids it is said before anything is to be typed.
    """
    from tui_trader.venues.alpaca.access import AlpacaAccess
    from tui_trader.venues.alpaca.account import check_interlock
    from tui_trader.wiring import load, venue_for

    loaded = load(wanted)
    venue = venue_for(wanted, loaded)
    if venue != "alpaca":
        raise UsageError(f"--live is for real money: it does not go with the {venue} venue")
    check_interlock(AlpacaAccess.of(loaded.settings.alpaca), live=True)


def _state_dir(options: argparse.Namespace) -> Path:
    if options.state_dir is not None:
        return Path(options.state_dir)
    from tui_trader.paths import default_state_dir

    return default_state_dir()


def _status(options: argparse.Namespace) -> int:
    from tui_trader.commands import control

    return _say(control.status_text(_state_dir(options), as_json=options.json))


def _pause(options: argparse.Namespace) -> int:
    from tui_trader.commands import control

    return _say(control.pause(_state_dir(options)))


def _resume(options: argparse.Namespace) -> int:
    from tui_trader.commands import control

    return _say(control.resume(_state_dir(options)))


def _flatten(options: argparse.Namespace) -> int:
    from tui_trader.commands import control

    return _say(control.flatten(_state_dir(options), options.symbol))


def _stop(options: argparse.Namespace) -> int:
    from tui_trader.commands import control

    return _say(control.stop(_state_dir(options), options.positions))


def _serve(options: argparse.Namespace) -> int:
    from tui_trader.commands.serve import run_serve
    from tui_trader.serve.order import PageOrder

    order = PageOrder(
        False, _state_dir(options), options.config, options.symbols, options.seed, options.speed,
        options.start, options.cash, options.slippage_ticks,
    )  # fmt: skip
    return run_serve(options.listen, order, exposed=options.expose)


def _journal(options: argparse.Namespace) -> int:
    from tui_trader.commands.journal import journal_text

    return _say_lines(journal_text(options.kind, _state_dir(options), options.since, options.json))


def _backtest_options(options: argparse.Namespace) -> BacktestOptions:
    return BacktestOptions(
        tuple(options.bars), options.skip_bad, options.strategy, options.symbols, tuple(options.sets),
        options.config, options.cash, options.slippage_ticks, options.json,
    )  # fmt: skip


def _backtest(options: argparse.Namespace) -> int:
    from tui_trader.commands.backtest import run_backtest

    return run_backtest(replace(_backtest_options(options), trades=options.trades, html=options.html))


def _sweep(options: argparse.Namespace) -> int:
    from tui_trader.commands.sweep import run_sweep

    return run_sweep(
        SweepOptions(
            _backtest_options(options), options.jobs, options.scheduler, options.walk_forward, options.metric,
            options.results, options.fresh, options.top,
        )
    )  # fmt: skip


def _config(options: argparse.Namespace) -> int:
    import os

    from tui_trader.commands import config

    match options.action:
        case "init":
            return _say(config.init(options.config))
        case "show":
            return _say(config.show_text(options.config, os.environ, {}))
        case _:
            return _say(config.path_text(options.config))


def _doctor(options: argparse.Namespace) -> int:
    from tui_trader.commands.doctor import run_doctor

    return run_doctor(options.venue, options.config, options.state_dir)


def _say(text: str) -> int:
    return _say_lines([text])


def _say_lines(lines: Iterable[str]) -> int:
    for line in lines:
        put(f"{line}\n", flush=False)
    put("")
    return 0


_COMMANDS = {
    "run": _run,
    "status": _status,
    "pause": _pause,
    "resume": _resume,
    "flatten": _flatten,
    "stop": _stop,
    "serve": _serve,
    "journal": _journal,
    "backtest": _backtest,
    "sweep": _sweep,
    "config": _config,
    "doctor": _doctor,
}

if __name__ == "__main__":
    sys.exit(main())
