"""The contract, put to the simulated broker: bare, and behind a line with latency."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.contract.broker_contract import BrokerContract, Prices, S
from tests.engine.scene import Tape, calendar
from tui_trader.core.bars import MINUTE
from tui_trader.engine.clock import VirtualClock
from tui_trader.venues.base import BrokerAdapter, SteppedVenue, VenueMessage
from tui_trader.venues.exchange.faults import FaultyBroker, NoFaults
from tui_trader.venues.exchange.store import ExchangeStore
from tui_trader.venues.exchange.venue import SimulatedExchange


class SimulatedDriver:
    """A market of quiet minutes, with a broker that is ``latency`` away."""

    broker: BrokerAdapter
    _venue: SteppedVenue

    def __init__(self, path: Path, latency: timedelta) -> None:
        self._path = path
        self._latency = latency
        self._tape = Tape(calendar(60), (S,))
        self._session = self._tape.first_session()
        self._clock = VirtualClock(self._session.open)
        self.heard: list[VenueMessage] = []
        self._open()

    def _open(self) -> None:
        line = FaultyBroker(self.heard.append, self._clock.now, NoFaults(self._latency))
        self._store = ExchangeStore(self._path)
        exchange = SimulatedExchange(
            "SIM-C", self._tape, self._store, line.hear if self._latency else self.heard.append,
            self._clock.now, cash=Decimal(50_000), slippage_ticks=1, max_bar_jump_pct=20.0,
        )  # fmt: skip
        exchange.begin()
        line.attach(exchange)
        self._venue = line if self._latency else exchange
        self.broker = line if self._latency else exchange.broker

    def settle(self) -> None:
        self._run_until(self._clock.now() + 3 * self._latency)

    def bar(self, prices: Prices) -> None:
        # The market knows its next minute already, so this is the one after it.
        minute = int((self._clock.now() - self._session.open) / MINUTE) + 1
        self._tape.bars[S][minute] = prices
        self._run_until(self._session.open + (minute + 1) * MINUTE)
        self.settle()

    def close(self) -> None:
        self._run_until(self._session.close)
        self.settle()

    def reopen(self) -> None:
        self._venue.checkpoint()
        self._store.close()
        self._open()

    def _run_until(self, time: datetime) -> None:
        while (upcoming := self._venue.next_time()) is not None and upcoming <= time:
            self._clock.advance_to(upcoming)
            for _ in self._venue.phases(upcoming):
                pass
            self._venue.checkpoint()
        self._clock.advance_to(max(time, self._clock.now()))


@pytest.fixture(params=[0, 50], ids=["at once", "50 ms away"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> SimulatedDriver:
    return SimulatedDriver(tmp_path / "broker.db", timedelta(milliseconds=request.param))


class TestSimulatedBroker(BrokerContract):
    pass
