"""What must be true of a state folder once a run that was killed and started again has ended."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.crash.child import BREACHES, Job, play
from tui_trader.options import RunOptions
from tui_trader.venues.exchange.store import ExchangeStore

CASH: Final = Decimal(100_000)
KILLED: Final = -9
_LONGEST_S: Final = 60

# Forked from a server that has everything imported already, a run takes a fraction of a second.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.crash.child"])

#: Eight symbols that trade often.
LIVELY: Final = """
[risk]
max_open_positions = 10
max_position_pct = 10
max_daily_loss_pct = 10
consecutive_loss_pause = 10
[[routes]]
symbols = ["AAPL", "AMD", "INTC", "META", "MU", "NVDA", "PLTR", "TSLA"]
config = { candle_interval_minutes = 2 }
"""

# The broker's own history, kept by triggers in the file's transactions: it outlives sessions and wipes.
_AUDIT: Final = """
CREATE TABLE audit (n INTEGER PRIMARY KEY, what TEXT, document TEXT);
CREATE TRIGGER audit_order AFTER INSERT ON orders
    BEGIN INSERT INTO audit (what, document) VALUES ('order', new.document); END;
CREATE TRIGGER audit_execution AFTER INSERT ON executions
    BEGIN INSERT INTO audit (what, document) VALUES ('execution', new.document); END;
CREATE TRIGGER audit_end AFTER DELETE ON facts WHEN old.name = 'market'
    BEGIN INSERT INTO audit (what, document) VALUES ('end', ''); END;
"""


@dataclass
class Case:
    """A state folder and the runs made in it."""

    folder: Path
    options: RunOptions
    runs: list[int] = field(default_factory=list)  # exit codes

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def events_file(self, number: int) -> Path:
        return self.folder / f"events-{number}.jsonl"

    def events(self, number: int = -1) -> list[dict[str, Any]]:
        """The whole lines that a run wrote."""
        number = number if number >= 0 else len(self.runs) + number
        text = self.events_file(number).read_text() if self.events_file(number).exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def process(self, **job: Any) -> Any:
        """The next run, not started yet."""
        options = replace(self.options, events=str(self.events_file(len(self.runs))))
        return _CONTEXT.Process(target=play, args=(Job(options, said=self._said(len(self.runs)), **job),))

    def _said(self, number: int) -> Path:
        return self.folder / f"said-{number}.txt"

    def said(self) -> str:
        """What the last run printed on standard error."""
        return self._said(len(self.runs) - 1).read_text()

    def open_books(self) -> int:
        return int(rows(self.state / "journal.db", "SELECT COUNT(*) FROM books WHERE sealed IS NULL")[0][0])

    def run(self, **job: Any) -> int:
        """The next run, to its end or death; its exit code."""
        process = self.process(**job)
        process.start()
        return self.await_end(process)

    def await_end(self, process: Any) -> int:
        process.join(_LONGEST_S)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"run {len(self.runs)} hangs")
        self.runs.append(process.exitcode)
        return int(process.exitcode)


def new_case(folder: Path, *, text: str = LIVELY, **options: Any) -> Case:
    """An empty state folder, watched, with a configuration and one session to trade."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.toml"
    config.write_text(text)
    chosen: dict[str, Any] = {
        "venue": "sim", "config": config, "speed": None, "sessions": 1, "seed": 11, "headless": True,
        "state_dir": folder / "state", "control": "off",
    } | options  # fmt: skip
    case = Case(folder, RunOptions(**chosen))
    case.state.mkdir(parents=True)
    store = case.state / ("exchange-sim.db" if chosen["venue"] == "sim" else "exchange-replay.db")
    ExchangeStore(store).close()
    with sqlite3.connect(store) as database:
        database.executescript(_AUDIT)
    database.close()
    return case


@cache
def uninterrupted(sessions: int = 1) -> list[tuple[Any, ...]]:
    """The trades of a default case's run that nobody kills."""
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        case = new_case(Path(folder), sessions=sessions)
        case.run()
        prove(case)
        assert len(trades(case)) > 30, "too quiet to prove anything"
        return trades(case)


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    database = sqlite3.connect(path)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def prove(case: Case, *, code: int = 0) -> None:
    """Everything that must hold after the last run (RELIABILITY, invariants A, B, C, G and H)."""
    problems = breaches(case)
    assert case.runs[-1] == code, f"exit codes {case.runs}; {problems}"
    assert not problems, "\n".join(problems)


def breaches(case: Case) -> list[str]:
    found: list[str] = []
    watched = case.state / BREACHES
    if watched.exists():
        found += watched.read_text().splitlines()
    found += _against_the_broker(case)
    found += _events(case)
    return found


@dataclass
class Market:
    """What the broker did from the beginning of a market to its end."""

    orders: dict[str, dict[str, Any]] = field(default_factory=dict)  # by client order id, as they were last
    executions: list[dict[str, Any]] = field(default_factory=list)


def _markets(case: Case) -> list[Market]:
    """Those in which anything was ordered, oldest first."""
    markets = [Market()]
    store = case.state / f"exchange-{case.options.venue}.db"
    for what, document in rows(store, "SELECT what, document FROM audit ORDER BY n"):
        if what == "end":
            markets.append(Market())
        elif what == "order":
            order = json.loads(document)
            markets[-1].orders[order["id"]] = order
        else:
            markets[-1].executions.append(json.loads(document))
    return [market for market in markets if market.orders]


def _against_the_broker(case: Case) -> list[str]:
    """Every market has a book of its own, and the two agree."""
    journal, markets = case.state / "journal.db", _markets(case)
    books = [n for (n,) in rows(journal, "SELECT DISTINCT book_id FROM orders ORDER BY book_id")]
    if len(books) != len(markets):
        return [f"C: {len(markets)} markets were traded, {len(books)} books kept"]
    found = []
    for book, market in zip(books, markets, strict=True):
        found += _orders(journal, book, market)
        found += _fills(journal, book, market)
    accounts = [event for event in case.events() if event["type"] == "AccountUpdated"]
    if accounts and markets and Decimal(accounts[-1]["cash"]) != CASH + _profit(markets[-1]):
        found.append(f"C: cash is {accounts[-1]['cash']}, by the fills it is {CASH + _profit(markets[-1])}")
    return found


def _orders(journal: Path, book: int, market: Market) -> list[str]:
    query = f"SELECT client_order_id, role, state, filled_qty FROM orders WHERE book_id = {book}"
    meant = {row[0]: row[1:] for row in rows(journal, query)}
    signals = Counter(identity.rsplit("-", 1)[0] for identity, order in meant.items() if order[0] == "ENTRY")
    found = [f"A: {number} entries for signal {signal}" for signal, number in signals.items() if number > 1]
    found += [f"G: {identity} was never intended" for identity in market.orders.keys() - meant.keys()]
    for identity, (_, state, filled) in meant.items():
        order = market.orders.get(identity)
        if order is None:
            if state not in ("REJECTED", "DENIED", "EXPIRED"):
                found.append(f"C: {identity} is {state} in the journal and never reached the broker")
        elif (state, filled) != (order["state"], order["filled"]):
            there = f"{order['state']} {order['filled']}"
            found.append(f"C: {identity} is {state} {filled}, at the broker {there}")
    return found


def _fills(journal: Path, book: int, market: Market) -> list[str]:
    found = []
    told = Counter(execution["id"] for execution in market.executions)
    booked = Counter(n for (n,) in rows(journal, f"SELECT execution_id FROM fills WHERE book_id = {book}"))
    if told != booked:
        found.append(f"C: executions {told - booked} not booked, {booked - told} booked but never told")
    held: Counter[str] = Counter()
    for execution in market.executions:
        held[execution["symbol"]] += execution["qty"] if execution["side"] == "buy" else -execution["qty"]
    found += [f"H: {shares} {symbol} are held in the end" for symbol, shares in held.items() if shares]
    traded = rows(journal, f"SELECT pnl FROM trades WHERE book_id = {book}")
    profit = sum((Decimal(pnl) for (pnl,) in traded), Decimal(0))
    if profit != _profit(market):
        found.append(f"C: the trades made {profit}, the fills {_profit(market)}")
    return found


def _profit(market: Market) -> Decimal:
    """What the fills brought in less what they cost."""
    return sum(
        (Decimal(e["price"]) * (e["qty"] if e["side"] == "sell" else -e["qty"]) for e in market.executions),
        Decimal(0),
    )


def _events(case: Case) -> list[str]:
    found = []
    for number in range(len(case.runs)):
        path = case.events_file(number)
        text = path.read_text() if path.exists() else ""
        *whole, _ = text.split("\n")
        numbers = [json.loads(line)["seq"] for line in whole]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"the events of run {number} are not numbered from 1 without a gap")
    last = case.events()
    if last and (last[-1]["type"], last[-1].get("state")) != ("EngineStateChanged", "STOPPED"):
        found.append(f"the last event is {last[-1]}")
    return found


def trades(case: Case) -> list[tuple[Any, ...]]:
    """The trades in the order in which they were closed."""
    columns = "symbol, qty, entry_price, exit_price, entry_time, exit_time, pnl, reason"
    return rows(case.state / "journal.db", f"SELECT {columns} FROM trades ORDER BY id")
