"""The command line: parsing and wiring only. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from tui_trader import __version__
from tui_trader.errors import TuiTraderError, UsageError
from tui_trader.options import RunOptions

_PROG = "tui-trader"


class _Parser(argparse.ArgumentParser):
    """Errors are one line and exit code 2, not the whole usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{message} (see: {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code. Every error that a user can cause is one line on stderr."""
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except TuiTraderError as error:
        print(f"{_PROG}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has left; leave quietly, too.
        sys.stderr.close()
        return 0
    except _OutputLostError as error:
        print(f"{_PROG}: standard output cannot be written: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _dispatch(arguments: list[str]) -> int:
    parser = _parser()
    first = next((a for a in arguments if not a.startswith("-")), None)
    # A first word that is no command is left to the parser, which says which ones there are.
    named = first in _COMMANDS or (first is not None and arguments[0] == first)
    wants_run = not named and not {"-h", "--help", "--version"} & set(arguments)
    options = parser.parse_args(["run", *arguments] if wants_run else arguments)
    return _COMMANDS[options.command](options)


# ---- parsing -----------------------------------------------------------------------------------------


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day: write YYYY-MM-DD") from None


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed: market seconds a real second, or max")
    return speed


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not (amount.is_finite() and 0 < amount <= 10**12):
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of dollars")
    return amount


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 7 or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _ticks(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or int(text) > 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 1000")
    return int(text)


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: a whole number from 0")
    return int(text)


def _symbols(text: str) -> tuple[str, ...]:
    symbols = tuple(part.strip().upper() for part in text.split(",") if part.strip())
    if not symbols:
        raise argparse.ArgumentTypeError("no symbol in it: write A,B,C")
    return symbols


def _parser() -> _Parser:
    parser = _Parser(
        prog=_PROG,
        description="Trades US equities by rule in a terminal, on a simulated market or recorded bars. "
        "Without a command it opens the screen (the same as `run`).",
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
    journal = commands.add_parser("journal", parents=[state], help="what was intended, sent and filled")
    journal.add_argument("kind", choices=("orders", "fills", "trades", "events"))
    journal.add_argument("--since", type=_day, metavar="DATE", help="from this day (UTC) on")
    journal.add_argument("--json", action="store_true", help="one JSON object a line")
    config = commands.add_parser("config", help="write, show or locate the configuration")
    config.add_argument("action", choices=("init", "show", "path"))
    config.add_argument("--config", type=Path, metavar="FILE")
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--venue", choices=("sim", "replay", "alpaca"), help="default: sim (alpaca, once keys are configured)"
    )
    run.add_argument("--live", action="store_true", help="real money (Alpaca)")
    run.add_argument("--config", type=Path, metavar="FILE")
    run.add_argument("--symbols", type=_symbols, metavar="A,B,C", help="instead of the static route's")
    run.add_argument("--bars", type=Path, nargs="+", action="extend", metavar="FILE", help="bars to replay")
    run.add_argument(
        "--skip-bad", action="store_true", help="count bad rows of bars files instead of stopping"
    )
    run.add_argument(
        "--speed", type=_speed, default=60.0, metavar="N|max", help="market seconds a second (60)"
    )
    run.add_argument("--start", type=_day, metavar="YYYY-MM-DD", help="first session")
    run.add_argument("--sessions", type=_count, metavar="N", help="how many sessions, then stop")
    run.add_argument("--seed", type=_seed, metavar="N", help="sim: same seed, same market")
    run.add_argument(
        "--cash", type=_money, default=Decimal(100_000), metavar="N", help="starting cash (100000)"
    )
    run.add_argument("--slippage-ticks", type=_ticks, default=1, metavar="N", help="ticks a fill costs (1)")
    warm = run.add_mutually_exclusive_group()
    warm.add_argument("--fast-warmup", action="store_const", dest="warmup", const="fast",
                      help="replay: warm up from the bars before --start")  # fmt: skip
    warm.add_argument("--no-warmup", action="store_const", dest="warmup", const="none", help="start cold")
    run.add_argument("--headless", action="store_true", help="no screen")
    run.add_argument("--events", metavar="FILE|-", help="every event as a line of JSON")
    run.add_argument("--state-dir", type=Path, metavar="DIR", help="journal, logs and lock")
    run.add_argument("--control", metavar="HOST:PORT|off", help="control API (127.0.0.1:0)")
    run.set_defaults(warmup="normal")


# ---- commands ----------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    if options.bars and options.venue != "replay":
        raise UsageError("--bars needs --venue replay")
    wanted = RunOptions(
        options.venue, options.live, options.config, options.symbols, tuple(options.bars or ()),
        options.skip_bad, options.speed, options.start, options.sessions, options.seed, options.cash,
        options.slippage_ticks, options.warmup, options.headless, options.events, options.state_dir,
        options.control,
    )  # fmt: skip
    if wanted.live:
        _require_alpaca(wanted)
    if wanted.headless:
        from tui_trader.headless import run_headless

        return run_headless(wanted)
    import gc

    gc.disable()  # all that is loaded for the first paint stays; the screen turns it on again after it
    from tui_trader.screen import run_screen

    return run_screen(wanted)


def _require_alpaca(wanted: RunOptions) -> None:
    """Who asks for real money must not be given play money, also when it is only the default."""
    from tui_trader.wiring import load, venue_for

    venue = venue_for(wanted, load(wanted))
    if venue != "alpaca":
        raise UsageError(f"--live is for real money: it does not go with the {venue} venue")


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


def _journal(options: argparse.Namespace) -> int:
    from tui_trader.commands.journal import journal_text

    return _say_lines(journal_text(options.kind, _state_dir(options), options.since, options.json))


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


def _say(text: str) -> int:
    return _say_lines([text])


def _say_lines(lines: Iterable[str]) -> int:
    for line in lines:
        _put(f"{line}\n")
    _put("", flush=True)
    return 0


class _OutputLostError(Exception):
    """Standard output is closed or full."""


def _put(text: str, *, flush: bool = False) -> None:
    if sys.stdout is None:
        raise _OutputLostError("it is closed")
    try:
        sys.stdout.write(text)
        if flush:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # Python would try again, and complain, at its end.
        sys.stdout = None
        raise _OutputLostError(error.strerror or "unknown error") from None


_COMMANDS = {
    "run": _run,
    "status": _status,
    "pause": _pause,
    "resume": _resume,
    "flatten": _flatten,
    "stop": _stop,
    "journal": _journal,
    "config": _config,
}

if __name__ == "__main__":
    sys.exit(main())
