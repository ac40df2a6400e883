"""The simulated exchange as a venue: sessions, deliveries and matching, in the order of DESIGN §9."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from tui_trader.core.bars import Bar, BarFilter
from tui_trader.core.calendar import Session
from tui_trader.venues.base import BarBatch, BrokerAdapter, History, Sink, StreamState
from tui_trader.venues.exchange.broker import FillSize, SimBroker
from tui_trader.venues.exchange.feed import Feed
from tui_trader.venues.exchange.store import BrokerOrder, ExchangeStore

_TIME = "market_time"


def _everything(order: BrokerOrder) -> int:
    return order.open_qty


class SimulatedExchange:
    """A ``SteppedVenue`` with a ``DataStream`` and a broker of its own.

    A market that an earlier run left unfinished in ``store`` goes on where it stood. Nothing is written
    before ``begin`` or the first instant.
    """

    def __init__(
        self,
        account_id: str,
        feed: Feed,
        store: ExchangeStore,
        sink: Sink,
        now: Callable[[], datetime],
        *,
        cash: Decimal,
        slippage_ticks: int,
        max_bar_jump_pct: float,
        fill_size: FillSize = _everything,
    ) -> None:
        self._feed = feed
        self._store = store
        self._sink = sink
        self._now = now
        self._max_jump = max_bar_jump_pct
        self._filters: dict[str, BarFilter] = {}
        self._session: Session | None = None
        self._batches: Iterator[BarBatch] = iter(())
        self._upcoming: BarBatch | None = None
        self._judged: frozenset[str] = frozenset()
        self._last: dict[str, Bar] = {}
        self._session_over = False
        self._matched: tuple[datetime, int] | None = None  # turns of an instant that a crash interrupted
        left = store.fact("market")
        #: Whether ``store`` held another market that was not finished: it is given up.
        self.abandoned = left is not None and left != feed.identity
        if self.abandoned:
            store.wipe()
        self.sim_broker = SimBroker(
            account_id, cash, slippage_ticks, store, now, sink, self._last_bar, fill_size
        )
        self.broker: BrokerAdapter = self.sim_broker
        self.resumed = self._resume()

    # ---- where the market stands -----------------------------------------------------------------

    def _resume(self) -> bool:
        time = self._store.fact(_TIME)
        if self.abandoned or time is None:
            self._store.set_fact("market", self._feed.identity)
            first = self._feed.first_session()
            self._load(first)
            self.start_time = first.open
            self._store.set_fact(_TIME, self.start_time.isoformat())
            return False
        self.start_time = datetime.fromisoformat(time)
        session: Session | None = self._feed.first_session()
        while session is not None and session.close <= self.start_time:
            session = self._feed.session_after(session.date)
        self._session = session
        if session is not None:
            self._load(session)
            while self._upcoming is not None and self._upcoming.time <= self.start_time:
                self._accept(self._take())
            if self._upcoming is not None:
                moment = self._upcoming.time
                self._matched = (moment, self.sim_broker.matched(moment))
        return True

    def begin(self) -> None:
        """Write down that this market is under way."""
        self._store.commit()

    @property
    def problem(self) -> str:
        """Why the broker's file cannot be written at present, empty when it can."""
        return self._store.problem

    def _require_session(self) -> Session:
        if self._session is None:
            raise ValueError("the feed has no session")
        return self._session

    def _load(self, session: Session) -> None:
        self._session = session
        self._batches = iter(self._feed.batches(session))
        self._judged = self._feed.needs_judging(session)
        self._upcoming = next(self._batches, None)
        self._last = {}

    def _take(self) -> BarBatch:
        """The next delivery, which there must be."""
        batch = self._upcoming
        if batch is None:
            raise ValueError("nothing is left to deliver in this session")
        self._upcoming = next(self._batches, None)
        return batch

    def next_time(self) -> datetime | None:
        if self._session is None:
            return None
        return self._upcoming.time if self._upcoming is not None else self._session.close

    def checkpoint(self) -> None:
        if self._session_over:
            # Not at the close itself: an engine that dies in that instant asks for its last fills again.
            self._session_over = False
            self.sim_broker.start_session()
        self._store.set_fact(_TIME, self._now().isoformat())
        self._store.commit()

    def finish(self, *, clean: bool) -> None:
        if clean:
            self._store.wipe()
        self._store.commit()
        self._store.close()

    # ---- one instant -----------------------------------------------------------------------------

    def phases(self, time: datetime) -> Iterator[None]:
        """Matching and its answers until quiet, then the bars, then (at the close) what meets no bar."""
        session = self._session
        if session is None:
            return
        if self._upcoming is not None and self._upcoming.time == time:
            batch = self._take()
            done = self._matched[1] if self._matched is not None and self._matched[0] == time else 0
            for turn, bars in enumerate(self._accept(batch)):
                if turn >= done and self.sim_broker.has_orders:
                    self.sim_broker.match(bars, time, turn)
                    yield
            self.sim_broker.end_instant()
            self._sink(batch)
            yield
        if time == session.close:
            for judge in self._filters.values():
                judge.end_session()
            self.sim_broker.end_session()
            yield
            self._session_over = True
            following = self._feed.session_after(session.date)
            if following is None:
                self._session = None
            else:
                self._load(following)

    def _accept(self, batch: BarBatch) -> list[dict[str, Bar]]:
        """The bars to match: those that had been withheld first, then every symbol's newest."""
        if not self._judged:
            bars = {bar.symbol: bar for bar in batch.bars}
            self._last.update(bars)
            return [bars]
        withheld: dict[str, Bar] = {}
        newest: dict[str, Bar] = {}
        session = self._require_session()
        for bar in batch.bars:
            if bar.symbol not in self._judged:
                newest[bar.symbol] = bar
                continue
            judge = self._filters.setdefault(bar.symbol, BarFilter(self._max_jump))
            accepted = judge.offer(bar, session.open, batch.time).accepted
            if accepted:
                newest[bar.symbol] = accepted[-1]
            if len(accepted) > 1:
                withheld[bar.symbol] = accepted[0]
        self._last.update(newest)
        return [bars for bars in (withheld, newest) if bars]

    def _last_bar(self, symbol: str) -> Bar | None:
        """The last believed bar of ``symbol`` in this session."""
        return self._last.get(symbol)

    # ---- data ------------------------------------------------------------------------------------

    def subscribe(self, symbols: Sequence[str]) -> None:
        self._sink(StreamState("bars", "connected"))
        self._sink(StreamState("trade_updates", "connected"))

    def request_history(self, symbols: Sequence[str], minutes: int) -> None:
        now = self._now()
        for symbol in symbols:
            bars = self._feed.history(symbol, now, minutes)
            self._sink(History(symbol, bars, "" if bars is not None else "there are no earlier bars"))
