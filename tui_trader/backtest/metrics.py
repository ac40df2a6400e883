"""What a backtest is worth in figures, each by its published definition.

Every figure follows from what the JSON of a result holds: its cash, sessions, trades and equity curve.
Rates and returns are fractions (0.05 is 5 %), money is dollars, R is profit over the trade's planned risk.
What is not defined (a rate of no trades, a ratio to nothing) is None, never infinite or NaN. The conventions
are those of empyrical (``empyrical.stats``): simple daily returns, risk-free rate 0, 252 sessions a year.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import fmean, median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tui_trader.backtest.result import BacktestResult, Trade
from tui_trader.core.calendar import NEW_YORK, Session
from tui_trader.core.money import ZERO

SESSIONS_A_YEAR: Final = 252
_DAYS_A_YEAR: Final = 365.25
_DAY_S: Final = 86_400
#: A deviation this small beside the returns themselves is what rounding leaves of none.
_NO_DEVIATION: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Slice:
    """The trades that have ``name`` in common: a symbol, hour (``09``), month (``2026-06``) or reason."""

    name: str
    trades: int
    pnl: float
    win_rate: float | None
    profit_factor: float | None
    expectancy: float | None
    expectancy_r: float | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of one run; the functions of this module say how each is made.

    ``by_hour`` goes by the New York hour of entry, ``by_month`` by the New York month of exit;
    ``monthly_returns`` pairs every month that has sessions with its return.
    """

    total_return: float
    cagr: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: float
    max_drawdown_length: float  # days
    win_rate: float | None
    profit_factor: float | None
    expectancy: float | None
    expectancy_r: float | None
    trades: int
    exposure: float
    avg_trade: float | None
    avg_mae: float | None
    median_mae: float | None
    avg_mae_r: float | None
    median_mae_r: float | None
    avg_mfe: float | None
    median_mfe: float | None
    avg_mfe_r: float | None
    median_mfe_r: float | None
    best_trade: float | None
    worst_trade: float | None
    avg_holding_minutes: float | None
    monthly_returns: tuple[tuple[str, float], ...]
    by_symbol: tuple[Slice, ...]
    by_hour: tuple[Slice, ...]
    by_month: tuple[Slice, ...]
    by_reason: tuple[Slice, ...]


def metrics_of(result: BacktestResult) -> Metrics:
    """All figures of ``result``."""
    trades = result.trades
    depth, length = drawdown(result)
    returns = daily_returns(result)
    pnls = [float(trade.pnl) for trade in trades]
    mae, mae_r = _excursions(trades, [trade.mae for trade in trades])
    mfe, mfe_r = _excursions(trades, [trade.mfe for trade in trades])
    return Metrics(
        total_return=total_return(result),
        cagr=cagr(result),
        sharpe=sharpe(returns),
        sortino=sortino(returns),
        max_drawdown=depth,
        max_drawdown_length=length,
        win_rate=win_rate(trades),
        profit_factor=profit_factor(trades),
        expectancy=expectancy(trades),
        expectancy_r=expectancy_r(trades),
        trades=len(trades),
        exposure=exposure(result),
        avg_trade=avg_trade(trades),
        avg_mae=_mean(mae),
        median_mae=_median(mae),
        avg_mae_r=_mean(mae_r),
        median_mae_r=_median(mae_r),
        avg_mfe=_mean(mfe),
        median_mfe=_median(mfe),
        avg_mfe_r=_mean(mfe_r),
        median_mfe_r=_median(mfe_r),
        best_trade=max(pnls, default=None),
        worst_trade=min(pnls, default=None),
        avg_holding_minutes=avg_holding_minutes(trades),
        monthly_returns=monthly_returns(result),
        by_symbol=_slices(trades, lambda trade: trade.symbol, result.symbols),
        by_hour=_slices(trades, lambda trade: f"{_new_york(trade.entry_time):%H}"),
        by_month=_slices(trades, lambda trade: f"{_new_york(trade.exit_time):%Y-%m}"),
        by_reason=_slices(trades, lambda trade: trade.reason.value),
    )


# ---- of the equity curve -----------------------------------------------------------------------------


def total_return(result: BacktestResult) -> float:
    """final equity / cash − 1."""
    return float(result.final_equity / result.cash - 1)


def cagr(result: BacktestResult) -> float | None:
    """Compound annual growth rate: (final equity / cash)^(1 / years) − 1.

    Years of 365.25 days from the first session's open to the last one's close (``empyrical.cagr`` counts
    252 sessions instead). None when equity ended below zero, or where the figure is beyond a float.
    """
    growth = float(result.final_equity / result.cash)
    years = result.span.total_seconds() / (_DAYS_A_YEAR * _DAY_S)
    if growth < 0:
        return None
    try:
        return _finite(growth ** (1 / years) - 1)
    except OverflowError:
        return None


def daily_returns(result: BacktestResult) -> NDArray[np.float64] | None:
    """equity at a session's close / that at the previous close − 1, the first from the cash.

    None when equity was not above zero before some session: there is no return on nothing.
    """
    levels = np.append(float(result.cash), _at_closes(result))
    if (levels[:-1] <= 0).any():
        return None
    returns: NDArray[np.float64] = levels[1:] / levels[:-1] - 1
    return returns


def sharpe(returns: NDArray[np.float64] | None) -> float | None:
    """mean(r) / s × √252 with s the sample standard deviation (n − 1) of daily returns.

    Sharpe, "The Sharpe Ratio", Journal of Portfolio Management 21 (1994); ``empyrical.sharpe_ratio``.
    None with fewer than two sessions or without deviation.
    """
    if returns is None or len(returns) < 2:
        return None
    return _annual_ratio(returns, float(np.std(returns, ddof=1)))


def sortino(returns: NDArray[np.float64] | None) -> float | None:
    """mean(r) / √mean(min(r, 0)²) × √252: only what falls short of 0 counts as risk.

    Sortino and van der Meer, "Downside Risk", Journal of Portfolio Management 17 (1991);
    ``empyrical.sortino_ratio``. None with fewer than two sessions or without a losing one.
    """
    if returns is None or len(returns) < 2:
        return None
    return _annual_ratio(returns, math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2))))


def drawdown(result: BacktestResult) -> tuple[float, float]:
    """The deepest fall, min(equity / highest equity so far − 1), and its length in days of 24 hours.

    Over every point of the curve, which begins with the cash at the first session's open; a fraction ≤ 0
    (``empyrical.max_drawdown``, there over daily returns). The length runs from the last moment at the
    peak to the first one back at it, or to the end when that never comes. (0, 0) without a fall.
    """
    values = np.append(float(result.cash), result.equity.value)
    times = np.append(int(result.start.timestamp()), result.equity.time)
    peaks = np.maximum.accumulate(values)
    falls = values / peaks - 1
    trough = int(np.argmin(falls))
    if falls[trough] >= 0:
        return 0.0, 0.0
    peak = peaks[trough]
    left = np.flatnonzero(values[:trough] == peak)[-1]
    regained = np.flatnonzero(values[trough:] >= peak)
    back = trough + regained[0] if len(regained) else len(values) - 1
    return float(falls[trough]), float(times[back] - times[left]) / _DAY_S


def monthly_returns(result: BacktestResult) -> tuple[tuple[str, float], ...]:
    """(``2026-06``, equity at its last close / that at the month's before − 1), the first from the cash."""
    levels = {
        f"{day.date:%Y-%m}": level for day, level in zip(result.sessions, _at_closes(result), strict=True)
    }
    months = pairwise([("", float(result.cash)), *levels.items()])
    return tuple((month, float(after / before - 1)) for (_, before), (month, after) in months if before > 0)


def exposure(result: BacktestResult) -> float:
    """The share of the sessions' minutes in which at least one position was open.

    A minute counts when its stamp is in [entry time, exit time] of a trade, both included, or not before the
    entry of a position that is still open. Where trades overlap it counts once.
    """
    spans = [(trade.entry_time, trade.exit_time) for trade in result.trades]
    spans += [(position.entry_time, result.end) for position in result.open_positions]
    if not spans:
        return 0.0
    first, last = (_session_minutes(times, result.sessions) for times in zip(*spans, strict=True))
    order = np.argsort(first, kind="stable")
    first, last = first[order], last[order]
    # Of each span, in order of beginning, only what lies beyond the furthest end so far is new.
    furthest = np.append(-1, np.maximum.accumulate(last)[:-1])
    new = np.maximum(0, last - np.maximum(first, furthest + 1) + 1)
    return float(new.sum() / sum(session.minutes for session in result.sessions))


def _session_minutes(times: Sequence[datetime], sessions: Sequence[Session]) -> NDArray[np.int64]:
    """Which regular minute each time is in, counted through all sessions; a close is in the last one."""
    opens = np.array([int(session.open.timestamp()) for session in sessions], dtype=np.int64)
    lengths = np.array([session.minutes for session in sessions], dtype=np.int64)
    seconds = np.array([int(time.timestamp()) for time in times], dtype=np.int64)
    number = np.searchsorted(opens, seconds, side="right") - 1
    into = np.minimum((seconds - opens[number]) // 60, lengths[number] - 1)
    counted: NDArray[np.int64] = (np.cumsum(lengths) - lengths)[number] + into
    return counted


def _at_closes(result: BacktestResult) -> NDArray[np.float64]:
    """Equity at each session's close."""
    closes = [int(session.close.timestamp()) for session in result.sessions]
    latest = np.searchsorted(result.equity.time, closes, side="right")
    levels: NDArray[np.float64] = np.append(float(result.cash), result.equity.value)[latest]
    return levels


def _annual_ratio(returns: NDArray[np.float64], deviation: float) -> float | None:
    if deviation <= _NO_DEVIATION * float(np.max(np.abs(returns))):
        return None
    return _finite(float(np.mean(returns)) / deviation * math.sqrt(SESSIONS_A_YEAR))


# ---- of the trades -----------------------------------------------------------------------------------


def win_rate(trades: Sequence[Trade]) -> float | None:
    """trades with a profit above 0 / trades."""
    return sum(trade.pnl > ZERO for trade in trades) / len(trades) if trades else None


def profit_factor(trades: Iterable[Trade]) -> float | None:
    """Σ profits / |Σ losses|. None without a losing trade."""
    pnls = [trade.pnl for trade in trades]
    lost = -sum((pnl for pnl in pnls if pnl < ZERO), ZERO)
    return _finite(float(sum((pnl for pnl in pnls if pnl > ZERO), ZERO) / lost)) if lost > ZERO else None


def expectancy(trades: Sequence[Trade]) -> float | None:
    """Σ P/L / trades: dollars to expect of a trade."""
    return float(sum((trade.pnl for trade in trades), ZERO) / len(trades)) if trades else None


def expectancy_r(trades: Iterable[Trade]) -> float | None:
    """Mean of P/L / planned risk: R to expect of a trade (Tharp, "Trade Your Way to Financial Freedom")."""
    return _mean([r for trade in trades if (r := trade.r) is not None])


def avg_trade(trades: Iterable[Trade]) -> float | None:
    """Mean of P/L / (entry price × quantity): the return of a trade on what it bought."""
    return _mean([float(trade.pnl / (trade.entry_price * trade.qty)) for trade in trades])


def avg_holding_minutes(trades: Iterable[Trade]) -> float | None:
    """Mean of exit time − entry time by the clock: a trade left in the bar of its entry took 0 minutes."""
    return _mean([(trade.exit_time - trade.entry_time).total_seconds() / 60 for trade in trades])


def _excursions(trades: Sequence[Trade], dollars: list[float]) -> tuple[list[float], list[float]]:
    """The largest paper loss (or profit) of each trade in dollars, and over its planned risk.

    Sweeney, "Maximum Adverse Excursion" (1996).
    """
    risks = [float(trade.planned_risk) for trade in trades]
    return dollars, [value / risk for value, risk in zip(dollars, risks, strict=True) if risk > 0]


def _slices(
    trades: Iterable[Trade], name: Callable[[Trade], str], names: Iterable[str] = ()
) -> tuple[Slice, ...]:
    """The trades by ``name``, in its order; ``names`` are there even without trades."""
    groups: dict[str, list[Trade]] = {known: [] for known in names}
    for trade in trades:
        groups.setdefault(name(trade), []).append(trade)
    return tuple(
        Slice(
            key, len(group), float(sum((trade.pnl for trade in group), ZERO)),
            win_rate(group), profit_factor(group), expectancy(group), expectancy_r(group),
        )
        for key, group in sorted(groups.items())
    )  # fmt: skip


def _new_york(time: datetime) -> datetime:
    return time.astimezone(NEW_YORK)


def _mean(values: Sequence[float]) -> float | None:
    return _finite(fmean(values)) if values else None


def _median(values: Sequence[float]) -> float | None:
    return _finite(median(values)) if values else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
