"""SMA cross: bought when the fast average crosses above the slow one, with a stop measured in ATR."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tui_trader.core.indicators import Indicator
from tui_trader.core.money import CENT, SUB_PENNY, to_decimal
from tui_trader.core.rule import CandleColumns, CandleView, Holding
from tui_trader.strategies.base import Strategy, StrategyConfig

# Two averages differ only when they do by more than this share of the close; prices of stops are rounded to a
# millionth of a dollar. So nothing hangs on the last digits of an average, which depend on how it was summed.
_SMA_TOLERANCE = 1e-9
_STOP_DIGITS = 6
_STOP_STEP = 10.0**-_STOP_DIGITS
# Below a tick there is no price for a stop.
_LEAST_STOP = float(SUB_PENNY)
_TICK = float(CENT)


class SmaCrossConfig(StrategyConfig):
    sma_fast: int = Field(10, ge=2, le=100, description="candles")
    sma_slow: int = Field(30, ge=5, le=500, description="candles")
    atr_period: int = Field(14, ge=2, le=100, description="candles")
    atr_stop_multiple: float = Field(2.0, ge=0.5, le=10, description="ATRs between price and stop")
    candle_interval_minutes: Literal[1, 2, 5, 10, 15] = 2
    max_entry_slippage_r: Decimal = Field(Decimal("0.5"), ge=0, le=2, description="R paid above the entry")

    @model_validator(mode="after")
    def _fast_is_faster(self) -> SmaCrossConfig:
        if self.sma_fast >= self.sma_slow:
            raise ValueError(f"sma_fast ({self.sma_fast}) must be less than sma_slow ({self.sma_slow})")
        return self


class SmaCross(Strategy):
    """Trails the stop at a multiple of the ATR below the close and leaves when the averages cross back."""

    name: ClassVar[str] = "sma_cross"
    config_type: ClassVar[type[StrategyConfig]] = SmaCrossConfig
    config: SmaCrossConfig

    def __init__(self, symbol: str, config: SmaCrossConfig) -> None:
        super().__init__(symbol, config)
        self._indicators = {
            "sma_fast": Indicator("sma", config.sma_fast),
            "sma_slow": Indicator("sma", config.sma_slow),
            "atr": Indicator("atr", config.atr_period),
        }
        self._multiple = config.atr_stop_multiple
        self._required = max(config.sma_slow, config.atr_period) + 1

    @property
    def candle_interval_minutes(self) -> int:
        return self.config.candle_interval_minutes

    @property
    def required_history(self) -> int:
        return self._required

    @property
    def indicators(self) -> Mapping[str, Indicator]:
        return self._indicators

    def should_long(self, view: CandleView) -> bool:
        if view.count < self._required:
            return False
        tolerance = _SMA_TOLERANCE * view.close
        if not view.now["sma_fast"] - view.now["sma_slow"] > tolerance:
            return False
        if not view.before["sma_fast"] - view.before["sma_slow"] <= tolerance:
            return False
        return self._unrounded_stop(view) >= _LEAST_STOP

    def entry_candidates(self, candles: CandleColumns) -> NDArray[np.bool_]:
        """Where the averages cross upward, in the arithmetic of ``should_long``."""
        tolerance = _SMA_TOLERANCE * candles.close
        lead = candles.value("sma_fast") - candles.value("sma_slow")
        mask = lead > tolerance
        mask[1:] &= lead[:-1] <= tolerance[1:]
        mask[: self._required - 1] = False
        return mask

    def entry_price(self, view: CandleView) -> Decimal:
        return to_decimal(view.high)

    def stop_loss_price(self, view: CandleView) -> Decimal:
        return self._stop(view)

    def limit_price(self, entry: Decimal, stop_loss: Decimal) -> Decimal:
        return entry + self.config.max_entry_slippage_r * (entry - stop_loss)

    def should_update_stop(self, view: CandleView, holding: Holding) -> Decimal | None:
        level = float(holding.stop_price)
        # A stop moves by ticks: most candles ask for less than one, and rounding takes its time.
        tick = _TICK if level >= 1.0 else _LEAST_STOP
        if view.close - self._multiple * view.now["atr"] < level + tick - _STOP_STEP:
            return None
        return self._stop(view)

    def should_exit(self, view: CandleView, holding: Holding) -> bool:
        return view.now["sma_slow"] - view.now["sma_fast"] > _SMA_TOLERANCE * view.close

    def _stop(self, view: CandleView) -> Decimal:
        return Decimal(f"{self._unrounded_stop(view):.{_STOP_DIGITS}f}")

    def _unrounded_stop(self, view: CandleView) -> float:
        return view.close - self._multiple * view.now["atr"]
