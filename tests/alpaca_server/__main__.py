"""Run the exchange by itself, with a market that moves: ``python -m tests.alpaca_server --symbols 30``.

Prints where it is as one line of JSON, then runs until it is interrupted. With ``--audit FILE`` what the
exchange saw is written there at the end, and whenever SIGUSR1 comes. SIGUSR2 ends all faults.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from tests.alpaca_server.exchange import minute_of
from tests.alpaca_server.faults import Stream
from tests.alpaca_server.market import MINUTE, RandomWalk
from tests.alpaca_server.server import AlpacaServer
from tests.alpaca_server.sessions import Hours

_TICKS_A_MINUTE = 20
_FAULT_RATES = {"none": 0.0, "few": 0.01, "many": 0.08}


def main() -> None:
    options = _options()
    prices = _prices(options.symbols, options.seed)
    hours = Hours.regular() if options.regular_hours else Hours()
    walk = RandomWalk(options.seed, prices, hours)
    server = AlpacaServer(
        prices, speed=60.0 / options.minute_seconds, hours=hours, seed=options.seed, port=options.port,
        made_up=walk.day, slippage_ticks=1, cash=options.cash, key_id=options.key_id,
        secret_key=options.secret_key, rate_limit=options.rate_limit,
    )  # fmt: skip
    wanted = _Wanted()
    with server:
        urls = {
            "trading_url": server.trading_url,
            "data_url": server.data_url,
            "data_stream_url": server.data_stream_url,
            "trading_stream_url": server.trading_stream_url,
        }
        print(json.dumps(urls), flush=True)
        rate = _FAULT_RATES[options.faults]
        if rate:
            server.random_faults(options.fault_seed, rate)
        bad_luck = _BadLuck(server, random.Random(options.fault_seed), rate)
        wanted.no_faults = bad_luck.end
        if options.audit is not None:
            wanted.audit = lambda: _write_audit(server, prices, options.audit)
        _trade(server, walk, prices, options.seed, bad_luck.strike, wanted)
        wanted.audit()


class _Wanted:
    """What signals have asked for. Their handlers only note it: they may come in the middle of anything."""

    def __init__(self) -> None:
        self.audit: Callable[[], None] = lambda: None
        self.no_faults: Callable[[], None] = lambda: None
        self.stop = threading.Event()
        self._noted: set[int] = set()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stop.set())
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda number, _: self._noted.add(number))

    def look(self) -> None:
        """Do what has been asked for."""
        if signal.SIGUSR2 in self._noted:
            self._noted.discard(signal.SIGUSR2)
            self.no_faults()
        if signal.SIGUSR1 in self._noted:
            self._noted.discard(signal.SIGUSR1)
            self.audit()


def _write_audit(server: AlpacaServer, symbols: Mapping[str, float], file: Path) -> None:
    """All of it as one JSON object, whole or not at all."""
    found = {
        "time": server.now.isoformat(),
        "requests": [
            {
                "monotonic": request.monotonic, "time": request.time.isoformat(), "method": request.method,
                "path": request.path, "carried_out": request.carried_out, "outcome": request.outcome,
            }
            for request in server.requests
        ],
        "max_requests_per_minute": server.max_requests_per_minute(),
        "connections": [asdict(connection) for connection in server.connections],
        "longest_unprotected_s": {symbol: server.longest_unprotected(symbol) for symbol in symbols},
        "unprotected_since_s": {symbol: server.unprotected_since(symbol) for symbol in symbols},
        "unprotected_stretches": [
            {"symbol": symbol, "since": since.isoformat(), "seconds": seconds}
            for symbol, since, seconds in server.unprotected_stretches()
        ],
        "updates": server.updates,
        "orders": server.orders(),
        "executions": server.executions(),
        "positions": {symbol: str(qty) for symbol, qty in server.positions().items()},
        "cash": str(server.cash),
    }  # fmt: skip
    unfinished = file.with_name(file.name + ".part")
    unfinished.write_text(json.dumps(found), encoding="utf-8")
    os.replace(unfinished, file)


def _trade(
    server: AlpacaServer, walk: RandomWalk, prices: Mapping[str, float], seed: int,
    every_minute: Callable[[], None], wanted: _Wanted,
) -> None:  # fmt: skip
    """Move prices and end minutes until it is to stop."""
    dice = random.Random(seed)
    standing = {symbol: walk.price_at(symbol, server.now) for symbol in prices}
    drifts = dict.fromkeys(prices, 0.0)
    minute = minute_of(server.now)
    step = MINUTE / _TICKS_A_MINUTE
    upcoming = server.now
    while True:
        upcoming += step
        wait = server.seconds_until(upcoming)
        if wanted.stop.wait(wait):
            return
        wanted.look()
        began = minute_of(server.now)
        if began > minute:
            server.end_minute(minute, volume=dice.randrange(1_000, 50_000))
            minute = began
            drifts = {symbol: walk.next_drift(dice, drift) for symbol, drift in drifts.items()}
            every_minute()
        if not server.market_open:
            continue
        for symbol in standing:
            standing[symbol] = walk.step(dice, standing[symbol], drifts[symbol], 1 / _TICKS_A_MINUTE)
        server.trades(standing)


class _BadLuck:
    """Once a minute: what was held up goes on, and a stream may be lost."""

    def __init__(self, server: AlpacaServer, dice: random.Random, rate: float) -> None:
        self._server = server
        self._dice = dice
        self._rate = rate

    def strike(self) -> None:
        server, dice, rate = self._server, self._dice, self._rate
        if not rate:
            return
        server.release_cancels()
        server.release_replaces()
        server.release_fills()
        server.carry_out_late()
        for stream in Stream:
            luck = dice.random()
            if luck < rate:
                server.drop(stream, dice.choice((None, 1001, 1011)))
            elif luck < rate * 1.5:
                server.mute(stream)

    def end(self) -> None:
        """From now on all goes well."""
        self._rate = 0.0
        self._server.clear_faults()


def _prices(count: int, seed: int) -> dict[str, float]:
    """Symbols of four letters, from $5 to $400."""
    dice = random.Random(seed)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    names: dict[str, float] = {}
    while len(names) < count:
        names["".join(dice.choices(letters, k=4))] = round(dice.uniform(5.0, 400.0), 2)
    return names


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.alpaca_server", description=__doc__)
    parser.add_argument("--symbols", type=int, default=30, help="how many there are")
    parser.add_argument("--seed", type=int, default=1, help="of the market")
    parser.add_argument("--minute-seconds", type=float, default=60.0, help="real seconds a minute takes")
    parser.add_argument("--regular-hours", action="store_true", help="09:30 to 16:00 on weekdays")
    parser.add_argument("--port", type=int, default=0, help="0 takes any")
    parser.add_argument("--cash", type=float, default=100_000.0)
    parser.add_argument("--key-id", default="PKTESTKEY0000000000")
    parser.add_argument("--secret-key", default="test-secret-of-the-exchange")
    parser.add_argument("--rate-limit", type=int, default=200, help="requests a minute and API")
    parser.add_argument("--faults", choices=sorted(_FAULT_RATES), default="none")
    parser.add_argument("--fault-seed", type=int, default=1)
    parser.add_argument("--audit", type=Path, help="where to write what the exchange saw, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
