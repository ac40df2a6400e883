"""Velez: a strong candle above two tight, parting averages is bought at its high; pullbacks are trailed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum, auto
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tui_trader.core.indicators import Indicator
from tui_trader.core.money import round_down_to_tick, to_decimal
from tui_trader.core.rule import CandleColumns, CandleView, Holding
from tui_trader.strategies.base import Strategy, StrategyConfig

# Thresholds are compared with this tolerance (percentage points); reaching one counts.
_PCT_TOLERANCE = 1e-6
# Two averages differ only when they do by more than this share of the close.
_SMA_TOLERANCE = 1e-9
_GREENS_THAT_END_A_PULLBACK = 2


class VelezConfig(StrategyConfig):
    """Parameters of DESIGN §5, with their bounds."""

    sma_fast: int = Field(20, ge=5, le=50, description="candles")
    sma_slow: int = Field(200, ge=100, le=500, description="candles")
    candle_interval_minutes: Literal[1, 2, 5, 10] = 2
    tightness_threshold_pct: float = Field(2.0, ge=0.5, le=5, description="% of close between the averages")
    strong_candle_body_pct: float = Field(50, ge=30, le=80, description="% of high − low")
    doji_threshold_pct: float = Field(10, ge=1, le=30, description="% of high − low")
    stop_buffer_pct: Decimal = Field(Decimal("0.1"), ge=Decimal("0.05"), le=1, description="% of the low")
    stop_buffer_min: Decimal = Field(
        Decimal("0.02"), ge=Decimal("0.01"), le=Decimal("0.10"), description="dollars"
    )
    buy_stop_expiry_candles: int = Field(1, ge=1, le=5)
    max_run_candles: int = Field(3, ge=2, le=10)
    cooldown_candles: int = Field(1, ge=0, le=20)
    max_entry_slippage_r: Decimal = Field(Decimal("0.5"), ge=0, le=2, description="R paid above the entry")


class _Trail(Enum):
    WATCHING = auto()
    PULLING_BACK = auto()
    TRAILING = auto()


def body_pct(open_: float, high: float, low: float, close: float) -> float:
    """|close − open| as % of high − low; 0 for a candle without range."""
    return abs(close - open_) / (high - low) * 100.0 if high > low else 0.0


class Velez(Strategy):
    name: ClassVar[str] = "velez"
    config_type: ClassVar[type[StrategyConfig]] = VelezConfig
    config: VelezConfig
    # The trail of the open position, as DESIGN §5 names it.
    _trail: _Trail
    _low: float
    _greens: int
    _run: int

    def __init__(self, symbol: str, config: VelezConfig) -> None:
        super().__init__(symbol, config)
        self._indicators = {
            "sma_fast": Indicator("sma", config.sma_fast),
            "sma_slow": Indicator("sma", config.sma_slow),
        }
        self.on_position_closed()

    @property
    def candle_interval_minutes(self) -> int:
        return self.config.candle_interval_minutes

    @property
    def required_history(self) -> int:
        return self.config.sma_slow + 1

    @property
    def indicators(self) -> Mapping[str, Indicator]:
        return self._indicators

    @property
    def pending_expiry_candles(self) -> int:
        return self.config.buy_stop_expiry_candles

    # ---- entry -----------------------------------------------------------------------------------

    def should_long(self, view: CandleView) -> bool:
        config = self.config
        close = view.close
        # The cheapest tests that fail most often come first; the outcome does not depend on the order.
        if close <= view.open or view.count < config.sma_slow + 1:
            return False
        now, before = view.now, view.before
        spread = now["sma_fast"] - now["sma_slow"]
        tolerance = _SMA_TOLERANCE * close
        if not spread > tolerance:
            return False
        if not spread - (before["sma_fast"] - before["sma_slow"]) > tolerance:
            return False
        # Reaching the threshold is not "below" it, and within the tolerance counts as reaching.
        if not spread / close * 100.0 < config.tightness_threshold_pct - _PCT_TOLERANCE:
            return False
        if not self._is_strong(view):
            return False
        waited = view.candles_since_exit
        if waited is not None and config.cooldown_candles and waited <= config.cooldown_candles:
            return False
        return self.stop_loss_price(view) > 0

    def entry_candidates(self, candles: CandleColumns) -> NDArray[np.bool_]:
        """``should_long`` on whole columns, in the same arithmetic; the cooldown is left to it."""
        config, close = self.config, candles.close
        tolerance = _SMA_TOLERANCE * close
        mask = close > candles.open
        mask[: config.sma_slow] = False
        spread = candles.value("sma_fast") - candles.value("sma_slow")
        mask &= spread > tolerance
        before = candles.previous("sma_fast") - candles.previous("sma_slow")
        mask &= spread - before > tolerance
        mask &= spread / close * 100.0 < config.tightness_threshold_pct - _PCT_TOLERANCE
        reach = candles.high - candles.low
        with np.errstate(invalid="ignore", divide="ignore"):
            body = np.abs(close - candles.open) / reach * 100.0
        mask &= (body >= config.strong_candle_body_pct - _PCT_TOLERANCE) & (reach > 0.0)
        return mask

    def entry_price(self, view: CandleView) -> Decimal:
        return to_decimal(view.high)

    def stop_loss_price(self, view: CandleView) -> Decimal:
        return self._below(view.low)

    def limit_price(self, entry: Decimal, stop_loss: Decimal) -> Decimal:
        return entry + self.config.max_entry_slippage_r * (entry - stop_loss)

    # ---- the open position -----------------------------------------------------------------------

    def should_update_stop(self, view: CandleView, holding: Holding) -> Decimal | None:
        """One step of the trail (DESIGN §5): a doji changes no state, but its low still counts."""
        if self._trail is _Trail.PULLING_BACK:
            self._low = min(self._low, view.low)
        if self._is_doji(view):
            self._run = 0
            return None
        green = view.close > view.open
        if self._trail is not _Trail.PULLING_BACK:
            if green:
                if self._trail is _Trail.TRAILING:
                    self._count_run(view)
                return None
            self._trail, self._low, self._greens, self._run = _Trail.PULLING_BACK, view.low, 0, 0
            return None
        self._greens = self._greens + 1 if green else 0
        if self._greens < _GREENS_THAT_END_A_PULLBACK:
            return None
        self._trail, self._run = _Trail.TRAILING, 0
        self._count_run(view)
        target = self._below(self._low)
        return target if target > 0 else None  # below the buffer there is no price left for a stop

    def should_exit(self, view: CandleView, holding: Holding) -> bool:
        return self._trail is _Trail.TRAILING and self._run >= self.config.max_run_candles

    def on_position_closed(self) -> None:
        self._trail = _Trail.WATCHING
        self._low = 0.0
        self._greens = 0
        self._run = 0

    # ---- candles ---------------------------------------------------------------------------------

    def _count_run(self, view: CandleView) -> None:
        self._run = self._run + 1 if self._is_strong(view) else 0

    def _is_strong(self, view: CandleView) -> bool:
        body = body_pct(view.open, view.high, view.low, view.close)
        return body >= self.config.strong_candle_body_pct - _PCT_TOLERANCE

    def _is_doji(self, view: CandleView) -> bool:
        body = body_pct(view.open, view.high, view.low, view.close)
        return body < self.config.doji_threshold_pct - _PCT_TOLERANCE

    def _below(self, low: float) -> Decimal:
        price = to_decimal(low)
        buffer = max(price * self.config.stop_buffer_pct / 100, self.config.stop_buffer_min)
        return round_down_to_tick(price - buffer)
