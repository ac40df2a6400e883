"""What must be true of a state folder once a run that was killed and started again has ended."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tests.crash.child import BREACHES, Job, play
from tui_trader.options import RunOptions
from tui_trader.venues.exchange.store import ExchangeStore

CASH: Final = Decimal(100_000)
_KILLED: Final = -9
_LONGEST_S: Final = 60

# Forked from a server that has everything imported already, a run takes a fraction of a second.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.crash.child"])

_CONFIG: Final = """
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
CREATE TABLE audit_orders (n INTEGER PRIMARY KEY, document TEXT);
CREATE TABLE audit_executions (n INTEGER PRIMARY KEY, document TEXT);
CREATE TRIGGER audit_order AFTER INSERT ON orders
    BEGIN INSERT INTO audit_orders (document) VALUES (new.document); END;
CREATE TRIGGER audit_execution AFTER INSERT ON executions
    BEGIN INSERT INTO audit_executions (document) VALUES (new.document); END;
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
        return _CONTEXT.Process(target=play, args=(Job(job.pop("options", options), **job),))

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


def new_case(folder: Path, **options: Any) -> Case:
    """An empty state folder, watched, with a lively configuration of eight symbols and two sessions."""
    config = folder / "config.toml"
    config.write_text(_CONFIG)
    chosen = {
        "venue": "sim", "config": config, "speed": None, "sessions": 2, "seed": 11, "headless": True,
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


def scratch() -> Path:
    """A folder of its own for runs that are not a test's."""
    return Path(tempfile.mkdtemp(prefix="crash-"))


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


def _against_the_broker(case: Case) -> list[str]:
    journal = case.state / "journal.db"
    store = case.state / f"exchange-{case.options.venue}.db"
    placed: dict[str, dict[str, Any]] = {}
    for (document,) in rows(store, "SELECT document FROM audit_orders ORDER BY n"):
        order = json.loads(document)
        placed[order["id"]] = order
    executions = [json.loads(d) for (d,) in rows(store, "SELECT document FROM audit_executions ORDER BY n")]
    meant = {
        row[0]: row[1:]
        for row in rows(journal, "SELECT client_order_id, role, symbol, state, filled_qty FROM orders")
    }
    count = rows(journal, "SELECT COUNT(*) FROM orders")[0][0]
    fills = rows(journal, "SELECT execution_id, client_order_id, side, qty, price FROM fills")
    found = [f"{count - len(meant)} order ids are in the journal twice"] if count != len(meant) else []
    signals = Counter(identity.rsplit("-", 1)[0] for identity, order in meant.items() if order[0] == "ENTRY")
    found += [f"A: {number} entries for signal {signal}" for signal, number in signals.items() if number > 1]
    found += [f"G: {identity} was never intended" for identity in placed.keys() - meant.keys()]
    for identity, (_, _, state, filled) in meant.items():
        order = placed.get(identity)
        if order is None:
            if state not in ("REJECTED", "DENIED", "EXPIRED"):
                found.append(f"C: {identity} is {state} in the journal and never reached the broker")
        elif (state, filled) != (order["state"], order["filled"]):
            found.append(f"C: {identity} is {state} {filled}, at the broker {order['state']} {order['filled']}")
    told = Counter(execution["id"] for execution in executions)
    booked = Counter(fill[0] for fill in fills)
    if told != booked:
        found.append(f"C: executions {told - booked} not booked, {booked - told} booked but never told")
    held: Counter[str] = Counter()
    cash = CASH
    for execution in executions:
        sign = 1 if execution["side"] == "buy" else -1
        held[execution["symbol"]] += sign * execution["qty"]
        cash -= sign * execution["qty"] * Decimal(execution["price"])
    found += [f"H: {shares} {symbol} are held in the end" for symbol, shares in held.items() if shares]
    found += _money(case, cash)
    return found


def _money(case: Case, cash: Decimal) -> list[str]:
    found = []
    accounts = [event for event in case.events() if event["type"] == "AccountUpdated"]
    if accounts and Decimal(accounts[-1]["cash"]) != cash:
        found.append(f"C: cash is {accounts[-1]['cash']}, by the fills it is {cash}")
    profit = sum((Decimal(pnl) for (pnl,) in rows(case.state / "journal.db", "SELECT pnl FROM trades")), Decimal(0))
    if profit != cash - CASH:
        found.append(f"C: the trades made {profit}, the fills {cash - CASH}")
    return found


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
    query = "SELECT symbol, qty, entry_price, exit_price, entry_time, exit_time, pnl, reason FROM trades ORDER BY id"
    return rows(case.state / "journal.db", query)
