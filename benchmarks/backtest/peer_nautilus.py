"""nautilus_trader, low-level API: two-minute bars that are ready, or one-minute bars that it aggregates.

Its own compiled averages, logging, risk checks and analysis after the run switched off. A market order fills
at the close of the bar that it was decided on, which is this engine's model.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from _measure import CASH, FAST, POSITION_SHARE, SLOW, STOP_SHARE, Columns, Found, measure
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common.config import LoggingConfig
from nautilus_trader.data.config import DataEngineConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.events import PositionClosed, PositionOpened
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.risk.config import RiskEngineConfig
from nautilus_trader.trading.strategy import Strategy

_VENUE = Venue("XNYS")
_ID = InstrumentId(Symbol("S000"), _VENUE)
_STOCK = Equity(
    instrument_id=_ID, raw_symbol=Symbol("S000"), currency=USD, price_precision=2,
    price_increment=Price.from_str("0.01"), lot_size=Quantity.from_int(1), ts_event=0, ts_init=0,
)  # fmt: skip


class SmaCross(Strategy):
    def __init__(self, bar_type: BarType) -> None:
        super().__init__()
        self.bar_type = bar_type
        self.fast = SimpleMovingAverage(FAST)
        self.slow = SimpleMovingAverage(SLOW)
        self.was_above = True
        self.holding = False

    def on_start(self) -> None:
        self.register_indicator_for_bars(self.bar_type, self.fast)
        self.register_indicator_for_bars(self.bar_type, self.slow)
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar: Bar) -> None:
        if not self.slow.initialized:
            return
        fast, slow = self.fast.value, self.slow.value
        above = fast > slow
        if above:
            if not self.was_above and not self.holding:
                self.enter(bar)
        elif self.holding and fast < slow:
            self.cancel_all_orders(_ID)
            self.close_all_positions(_ID)
        self.was_above = above

    def enter(self, bar: Bar) -> None:
        equity = float(self.portfolio.account(_VENUE).balance_total(USD))
        qty = Quantity.from_int(int(equity * POSITION_SHARE / float(bar.close)))
        self.submit_order(self.order_factory.market(_ID, OrderSide.BUY, qty))

    def on_position_opened(self, event: PositionOpened) -> None:
        self.holding = True
        stop = Price(event.avg_px_open * (1 - STOP_SHARE), 2)
        self.submit_order(
            self.order_factory.stop_market(
                _ID, OrderSide.SELL, event.quantity, trigger_price=stop, reduce_only=True
            )
        )

    def on_position_closed(self, event: PositionClosed) -> None:
        self.holding = False

    def on_stop(self) -> None:
        self.cancel_all_orders(_ID)
        self.close_all_positions(_ID)


def prepare(columns: Columns, minutes: int) -> list[Bar]:
    """Bars stamped with their end, as this engine wants them."""
    rows = columns.two_minutes() if minutes == 2 else columns
    end = (rows.minute + minutes).astype("datetime64[m]").astype("datetime64[ns]")
    frame = pd.DataFrame(
        {"open": rows.open, "high": rows.high, "low": rows.low, "close": rows.close, "volume": rows.volume},
        index=pd.DatetimeIndex(end, tz="UTC"),
    )
    bar_type = BarType.from_str(f"{_ID}-{minutes}-MINUTE-LAST-EXTERNAL")
    bars: list[Bar] = BarDataWrangler(bar_type, _STOCK).process(frame)
    return bars


def build(bars: list[Bar], bar_type: str) -> BacktestEngine:
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(bypass=True),
            # Without this its clock makes an empty candle for every two minutes of every night.
            data_engine=DataEngineConfig(time_bars_build_with_no_updates=False),
            run_analysis=False,
        )
    )
    engine.add_venue(
        venue=_VENUE, oms_type=OmsType.NETTING, account_type=AccountType.CASH, base_currency=USD,
        starting_balances=[Money(Decimal(int(CASH)), USD)],
    )  # fmt: skip
    engine.add_instrument(_STOCK)
    engine.add_data(bars)
    engine.add_strategy(SmaCross(BarType.from_str(bar_type)))
    return engine


def run(engine: BacktestEngine) -> Found:
    engine.run()
    positions = engine.cache.position_snapshots() + engine.cache.positions()
    found: Found = {
        "version": version("nautilus_trader"),
        "trades": len(positions),
        "final_equity": float(engine.portfolio.account(_VENUE).balance_total(USD)),
    }
    engine.dispose()
    return found


if __name__ == "__main__":
    own = "--aggregate" in sys.argv[2:]
    wanted = f"{_ID}-2-MINUTE-LAST-" + ("INTERNAL@1-MINUTE-EXTERNAL" if own else "EXTERNAL")
    measure(Path(sys.argv[1]), lambda columns: build(prepare(columns, 1 if own else 2), wanted), run)
