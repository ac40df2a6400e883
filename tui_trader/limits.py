"""The settings as the core wants them: what the live engine and the backtest are told alike."""

from __future__ import annotations

from decimal import Decimal

from tui_trader.core.breaker import BreakerLimits
from tui_trader.core.risk import RiskLimits
from tui_trader.engine.sessions import SessionRules
from tui_trader.settings import RiskSettings, SessionSettings


def risk_limits(risk: RiskSettings) -> RiskLimits:
    return RiskLimits(
        Decimal(risk.max_risk_per_trade_pct), Decimal(risk.max_risk_per_trade),
        Decimal(risk.max_position_pct), risk.max_open_positions, Decimal(risk.max_gross_exposure_pct),
        Decimal(risk.max_order_value), risk.max_entries_per_symbol_per_day, risk.max_entries_per_day,
        Decimal(risk.max_volume_pct), risk.max_orders_per_minute, Decimal(risk.price_collar_pct),
    )  # fmt: skip


def breaker_limits(risk: RiskSettings) -> BreakerLimits:
    return BreakerLimits(
        Decimal(risk.max_daily_loss_pct), risk.consecutive_loss_pause, Decimal(risk.consecutive_loss_min_r)
    )


def session_rules(session: SessionSettings) -> SessionRules:
    return SessionRules(session.no_entries_before_close_min, session.flatten_before_close_min)
