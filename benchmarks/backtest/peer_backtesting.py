"""Backtesting.py, fed two-minute candles that are ready.

Its quickest documented way: indicators over the whole column in ``init``, plain indexing in ``next`` and no
progress bar. A market order fills at the next candle's open; the protective stop rests from then on.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"

import pandas as pd
from _measure import CASH, FAST, POSITION_SHARE, SLOW, STOP_SHARE, Columns, Found, measure
from backtesting import Backtest, Strategy


def _sma(values: pd.Series, period: int) -> pd.Series:
    return pd.Series(values).rolling(period).mean()


class SmaCross(Strategy):
    def init(self) -> None:
        self.fast = self.I(_sma, self.data.Close, FAST)
        self.slow = self.I(_sma, self.data.Close, SLOW)

    def next(self) -> None:
        fast, slow = self.fast, self.slow
        if fast[-1] > slow[-1]:
            if fast[-2] <= slow[-2] and not self.position:
                self.buy(size=POSITION_SHARE, sl=self.data.Close[-1] * (1 - STOP_SHARE))
        elif self.position and fast[-1] < slow[-1]:
            self.position.close()


def prepare(columns: Columns) -> pd.DataFrame:
    candles = columns.two_minutes()
    return pd.DataFrame(
        {
            "Open": candles.open, "High": candles.high, "Low": candles.low, "Close": candles.close,
            "Volume": candles.volume,
        },
        index=pd.DatetimeIndex(candles.minute.astype("datetime64[m]").astype("datetime64[ns]")),
    )  # fmt: skip


def run(candles: pd.DataFrame) -> Found:
    stats = Backtest(candles, SmaCross, cash=CASH, finalize_trades=True).run()
    return {
        "version": version("backtesting"),
        "trades": int(stats["# Trades"]),
        "final_equity": float(stats["Equity Final [$]"]),
    }


if __name__ == "__main__":
    measure(Path(sys.argv[1]), prepare, run)
