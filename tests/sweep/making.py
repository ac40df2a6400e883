"""Bars and a strategy for sweeps: random walks over real sessions, and a rule that does as it is told."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from tests.backtest.making import session, sessions
from tui_trader.backtest.runner import BacktestRules
from tui_trader.core.calendar import FixedCalendar, Session
from tui_trader.limits import breaker_limits, risk_limits, session_rules
from tui_trader.settings import Settings
from tui_trader.sweep.jobs import METRICS, Job, JobResult, Segment, Window
from tui_trader.venues.replay.bars_file import BarTable

#: Twelve sessions of the exchange, from Monday 3 June 2024 to the day before a holiday.
DAYS: tuple[Session, ...] = sessions(12, date(2024, 6, 3))
RULES = BacktestRules(
    risk_limits(Settings().risk), breaker_limits(Settings().risk), session_rules(Settings().session)
)
CONFIG = '{"candle_interval_minutes":2,"sma_fast":5,"sma_slow":20}'

#: SMA cross with a ``number`` that decides nothing. PROBE in the environment says what happens in the
#: backtest of one number; PROBE_LOG takes a line for each backtest that is begun.
PROBE = """
import os, signal
from tui_trader.strategies.sma_cross import SmaCross, SmaCrossConfig

class ProbeConfig(SmaCrossConfig):
    number: int = 1

class Probe(SmaCross):
    config_type = ProbeConfig
    begun = False

    def entry_candidates(self, candles):
        return None

    def should_long(self, view):
        if not self.begun:
            self.begun = True
            self.begin()
        return super().should_long(view)

    def begin(self):
        if log := os.environ.get("PROBE_LOG"):
            with open(log, "a") as file:
                file.write(f"{self.config.number}\\n")
        what, _, numbers = os.environ.get("PROBE", "").partition(":")
        if str(self.config.number) not in numbers.split(","):
            return
        match what:
            case "raise":
                raise ValueError(f"cannot do {self.config.number}\\x1b[31m")
            case "exit":
                raise SystemExit(0)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "print":
                print("noise")
            case "block":  # until killed; the reader of the FIFO sees both the start and the end
                self.fifo = open(os.environ["PROBE_FIFO"], "wb", buffering=0)
                self.fifo.write(b"x")
                while True:
                    signal.pause()
"""


def bars(days: Sequence[Session] = DAYS, symbols: Sequence[str] = ("AAA", "BBB"), seed: int = 1) -> BarTable:
    """A bar a minute for every symbol: prices in cents, from 100 dollars on."""
    random = np.random.default_rng(seed)
    minute = np.concatenate([np.arange(day.minutes) + int(day.open.timestamp()) // 60 for day in days])
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("open", "high", "low", "close", "volume")}
    for _ in symbols:
        close = np.round(100 * np.exp(random.normal(0, 0.0008, len(minute)).cumsum()), 2)
        open_ = np.append(100.0, close[:-1])
        columns["open"].append(open_)
        columns["close"].append(close)
        columns["high"].append(np.round(np.maximum(open_, close) + 0.03, 2))
        columns["low"].append(np.round(np.minimum(open_, close) - 0.03, 2))
        columns["volume"].append(random.integers(100, 5000, len(minute)))
    count = len(symbols)
    laid = {name: np.stack(parts, axis=1).ravel() for name, parts in columns.items()}
    return BarTable(
        tuple(symbols), np.repeat(minute, count), np.tile(np.arange(count, dtype=np.int32), len(minute)),
        laid["open"], laid["high"], laid["low"], laid["close"], laid["volume"], (),
    )  # fmt: skip


def bars_file(path: Path, table: BarTable) -> Path:
    names = [table.symbols[number] for number in table.symbol_index]
    stamps = np.datetime_as_string(table.minute.astype("datetime64[m]"))
    columns = (names, stamps, table.open, table.high, table.low, table.close, table.volume)
    rows = (f"{s},{t}Z,{o},{h},{low},{c},{v}" for s, t, o, h, low, c, v in zip(*columns, strict=True))
    path.write_text("symbol,timestamp,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    return path


def calendar(days: Sequence[Session] = DAYS) -> FixedCalendar:
    return FixedCalendar(days)


def window(first: int, last: int, days: Sequence[Session] = DAYS) -> Window:
    """Sessions ``first`` to ``last``, both included, counted from 0."""
    return Window(days[first].date, days[last].date)


def job(*windows: Window, config: str | None = CONFIG, rules: BacktestRules = RULES) -> Job:
    return Job(tuple(Segment(part, config, rules, 20.0) for part in windows or (window(0, 11),)))


def made(metric: str = "sharpe", value: float | None = 1.0, trades: int = 10, error: str = "") -> JobResult:
    """A result with one figure that counts."""
    if error:
        return JobResult({}, error=error)
    figures: Mapping[str, float | None] = dict.fromkeys(METRICS, 0.0) | {"trades": trades, metric: value}
    return JobResult(figures, Decimal("100000.00"))


def user_strategy(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str = PROBE, name: str = "probe"
) -> Path:
    """``text`` as a strategy in the configuration folder, which becomes one below ``home``."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    folder = home / "tui-trader" / "strategies"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{name}.py"
    path.write_text(text)
    os.chmod(path, 0o600)
    return path


__all__ = [
    "CONFIG", "DAYS", "PROBE", "RULES", "bars", "bars_file", "calendar", "job", "made", "session",
    "user_strategy", "window",
]  # fmt: skip
