"""Opens Alpaca's streams for a moment, with the code that a run uses, to see whether they take us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from tui_trader.doctor.findings import Finding, fail, ok, plural, warn
from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.alpaca.data_stream import BarStream
from tui_trader.venues.alpaca.trade_stream import TradeUpdateStream
from tui_trader.venues.base import StreamState, VenueMessage

#: Connecting, greeting, keys and subscription may take 10 s each; whoever needs this long is not well.
_PATIENCE_S: Final = 20.0


def open_bars(access: AlpacaAccess, symbols: Sequence[str], now: Callable[[], datetime]) -> Finding:
    """Connect, authenticate, subscribe to ``symbols``."""

    def stream(visit: _Visit) -> Coroutine[Any, Any, None]:
        bars = BarStream(
            access, visit.take, _ClockOf(now), expects_data=lambda: False, on_updated_bar=lambda _bar: None,
            on_status=lambda _symbol, _halted, _text: None, on_problem=visit.problem, on_fatal=visit.problem,
        )  # fmt: skip
        bars.subscribe(symbols)
        return bars.run()

    return asyncio.run(_visit(stream, f"{access.feed}, {plural(len(symbols), 'symbol')} subscribed"))


def open_trade_updates(access: AlpacaAccess) -> Finding:
    """Connect, authenticate, listen."""

    def stream(visit: _Visit) -> Coroutine[Any, Any, None]:
        updates = TradeUpdateStream(
            access, visit.take, lambda _update: None, on_problem=visit.problem, on_fatal=visit.problem
        )
        return updates.run()

    return asyncio.run(_visit(stream, "connected and listening"))


class _ClockOf:
    """A function as the clock that a stream wants."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now


class _Visit:
    """Listens to a stream until it is connected, or not for now."""

    def __init__(self) -> None:
        self.connected = False
        self.problems: list[str] = []
        self.over = asyncio.Event()

    def take(self, message: VenueMessage) -> None:
        # What there is to say of a failure is said right after its state, before anybody who waits wakes up.
        if isinstance(message, StreamState):
            self.connected = message.state == "connected"
            self.over.set()

    def problem(self, text: str) -> None:
        self.problems.append(text.removeprefix("bars: ").removeprefix("trade_updates: "))


async def _visit(stream: Callable[[_Visit], Coroutine[Any, Any, None]], fine: str) -> Finding:
    visit = _Visit()
    running = asyncio.create_task(stream(visit))
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await visit.over.wait()
    except TimeoutError:
        return fail(f"no agreement with the server within {_PATIENCE_S:.0f} s: try again later")
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    said = "; ".join(visit.problems)
    if not visit.connected:
        return fail(said)
    return warn(f"{fine}, but {said}") if said else ok(fine)
