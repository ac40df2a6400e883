"""The commands that talk to a running engine: each returns the text to print."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tui_trader.control.client import ControlClient, EngineStoppedError
from tui_trader.control.endpoint import process_exists
from tui_trader.control.watch import Picture, watch
from tui_trader.errors import AttentionNeeded, TuiTraderError

if TYPE_CHECKING:
    from tui_trader.engine.handle import PositionsPolicy

STATE_TIMEOUT_S: Final = 10.0
FLATTEN_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 60.0
_EXIT_TIMEOUT_S: Final = 3.0
_LOOK: Final = "look at the account, and at: tui-trader status"
_ENDING: Final = ("SHUTTING_DOWN", "STOPPED")


def status_text(state_dir: Path, *, as_json: bool) -> str:
    """What the engine is doing, as text for people or as its JSON document. Raises ``TuiTraderError``."""
    status = ControlClient.connect(state_dir).status()
    if as_json:
        # ASCII: whatever a terminal might obey stays escaped.
        return json.dumps(status, indent=2)
    # Brings in the time zones, which no other command needs.
    from tui_trader.control.summary import summary

    return summary(status)


def pause(state_dir: Path, *, timeout_s: float = STATE_TIMEOUT_S) -> str:
    """Stop new entries and wait, at most ``timeout_s`` seconds, until the engine says so.

    Raises ``TuiTraderError`` when it does not.
    """
    client = ControlClient.connect(state_dir)
    client.command("pause", {})
    picture = _confirmed(client, "pause", lambda seen: seen.state == "PAUSED", timeout_s)
    held = len(picture.held())
    managed = f"; {_count(held, 'open position')} and the stops stay managed" if held else ""
    return f"paused: no new entries{managed}"


def resume(state_dir: Path, *, timeout_s: float = STATE_TIMEOUT_S) -> str:
    """Allow entries again and wait, at most ``timeout_s`` seconds, until the engine says so.

    Raises ``TuiTraderError`` when it does not.
    """
    client = ControlClient.connect(state_dir)
    client.command("resume", {})
    picture = _confirmed(
        client, "resume", lambda seen: seen.state != "PAUSED" and seen.knows_its_holdings, timeout_s
    )
    if picture.state in _ENDING:
        raise TuiTraderError(f"not resumed: the engine is {picture.state}")
    if picture.breaker_rule:
        return (
            f"resumed: the engine is {picture.state}, but the breaker ({picture.breaker_rule}) bars entries"
        )
    return f"resumed: the engine is {picture.state}"


def flatten(state_dir: Path, symbol: str | None, *, timeout_s: float = FLATTEN_TIMEOUT_S) -> str:
    """Close one symbol, or everything, and wait at most ``timeout_s`` seconds until it is flat.

    Raises ``AttentionNeeded`` naming what is left, ``UsageError`` for an unknown symbol, ``TuiTraderError``.
    """
    symbol = symbol.upper() if symbol is not None else None
    client = ControlClient.connect(state_dir)
    client.command("flatten", {"symbol": symbol} if symbol is not None else {})

    def flat(seen: Picture) -> bool:
        return seen.knows_its_holdings and not seen.left(symbol)

    outcome = watch(client, flat, timeout_s)
    picture = outcome.picture
    if picture is not None and flat(picture):
        scope = symbol or "everything"
        paused = "; no entries until: tui-trader resume" if picture.state == "PAUSED" else ""
        return f"{scope} is flat, no order works{paused}"
    when = "the engine has gone" if outcome.gone else f"{timeout_s:g} s"
    raise AttentionNeeded(f"flatten was accepted, but after {when} {_remains(picture, symbol)}: {_LOOK}")


def stop(state_dir: Path, positions: PositionsPolicy | None, *, timeout_s: float = STOP_TIMEOUT_S) -> str:
    """Shut the engine down and wait at most ``timeout_s`` seconds until it has stopped.

    ``positions`` None leaves the configured policy. Raises ``AttentionNeeded`` when it goes on, or when
    something remains that was to be closed or has no stop; ``TuiTraderError``.
    """
    client = ControlClient.connect(state_dir)
    try:
        client.command("shutdown", {"positions": positions} if positions is not None else {})
    except EngineStoppedError:
        return f"the engine on {state_dir} had stopped already"
    outcome = watch(client, lambda seen: seen.state == "STOPPED", timeout_s)
    picture = outcome.picture
    if picture is None:
        end = "has gone" if outcome.gone else f"did not answer for {timeout_s:g} s"
        raise AttentionNeeded(f"the engine {end}, and what remains was not seen: look at the account")
    if not outcome.gone and picture.state != "STOPPED":
        raise AttentionNeeded(
            f"the engine is still {picture.state} after {timeout_s:g} s and {_remains(picture)}: {_LOOK}"
        )
    _await_exit(client.pid)
    if not picture.left():
        return "stopped: no position is held, no order works"
    if positions != "close" and picture.only_protected():
        held = ", ".join(f"{name} {qty}" for name, qty in picture.held().items())
        return f"stopped: kept with their stops at the broker: {held}"
    raise AttentionNeeded(f"stopped, but {_remains(picture)}: look at the account")


def _confirmed(client: ControlClient, name: str, so: Callable[[Picture], bool], timeout_s: float) -> Picture:
    outcome = watch(client, so, timeout_s)
    picture = outcome.picture
    if picture is not None and so(picture):
        return picture
    if outcome.gone:
        raise TuiTraderError(f"{name} was accepted, but the engine has gone: {_LOOK}")
    state = picture.state if picture is not None else "silent"
    raise TuiTraderError(
        f"{name} was accepted, but the engine is {state} after {timeout_s:g} s:"
        " look again with: tui-trader status"
    )


def _remains(picture: Picture | None, symbol: str | None = None) -> str:
    if picture is None:
        return "what remains was not seen"
    if not picture.knows_its_holdings:
        return f"it is {picture.state} and does not know yet what remains"
    left = picture.left(symbol)
    return f"{'; '.join(left)} remain{'s' if len(left) == 1 else ''}" if left else "nothing remains open"


def _await_exit(pid: int) -> None:
    """Give the process a moment to end, so that a new engine can be started right after."""
    deadline = time.monotonic() + _EXIT_TIMEOUT_S
    while pid != os.getpid() and process_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
