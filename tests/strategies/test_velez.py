"""The Velez rule of DESIGN §5: signal, prices, trail and exit."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.core.making import OPEN, view
from tests.strategies.columns import PRICES, Row, columns_of, views_of
from tui_trader.core.indicators import Indicator
from tui_trader.core.rule import CandleView, Holding
from tui_trader.strategies.velez import Velez, VelezConfig, body_pct

D = Decimal
HOLDING = Holding(10, D("10"), OPEN, D("1"))


def velez(**settings: Any) -> Velez:
    return Velez("AAPL", VelezConfig(**settings))


def signal(**changes: Any) -> CandleView:
    """A candle that fulfils every condition: body 80 %, averages 1.0 apart (1 %), 0.5 before."""
    made = view(
        99.2, 100.0, 99.0, 100.0,
        now={"sma_fast": 99.0, "sma_slow": 98.0}, before={"sma_fast": 98.5, "sma_slow": 98.0},
    )  # fmt: skip
    for name, value in changes.items():
        setattr(made, name, value)
    return made


# ---- the long signal -----------------------------------------------------------------------------------


def test_a_candle_that_fulfils_every_condition_is_a_signal() -> None:
    assert velez().should_long(signal())


VETOES: dict[str, dict[str, Any]] = {
    "too few candles": {"count": 200},
    "averages too far apart": {"now": {"sma_fast": 100.0, "sma_slow": 98.0}},
    "fast below slow": {
        "now": {"sma_fast": 97.0, "sma_slow": 98.0},
        "before": {"sma_fast": 96.0, "sma_slow": 98.0},
    },
    "averages equal": {
        "now": {"sma_fast": 98.0, "sma_slow": 98.0},
        "before": {"sma_fast": 97.0, "sma_slow": 98.0},
    },
    "averages closing in": {"before": {"sma_fast": 99.5, "sma_slow": 98.0}},
    "averages not parting": {"before": {"sma_fast": 98.9, "sma_slow": 97.9}},
    "a falling candle": {"open": 100.0, "close": 99.2},
    "an unchanged candle": {"open": 100.0, "low": 100.0},
    "a weak candle": {"open": 99.6},
    "a trade just closed": {"candles_since_exit": 1},
    "a trade closed in a candle yet to come": {"candles_since_exit": 0},
    "averages unknown": {"now": {"sma_fast": math.nan, "sma_slow": 98.0}},
    "averages unknown before": {"before": {"sma_fast": math.nan, "sma_slow": 98.0}},
}


@pytest.mark.parametrize("veto", VETOES.values(), ids=VETOES)
def test_each_condition_alone_can_veto(veto: dict[str, Any]) -> None:
    assert not velez().should_long(signal(**veto))


def test_one_candle_more_than_the_slow_average_is_enough() -> None:
    rule = velez(sma_slow=100)
    assert rule.required_history == 101
    assert rule.should_long(signal(count=101))
    assert not rule.should_long(signal(count=100))


@pytest.mark.parametrize(
    ("spread", "fine"),
    [
        (1.99, True),
        (2.0 - 2.1e-6, True),
        (2.0 - 0.9e-6, False),
        (2.0, False),
        (2.0 + 0.9e-6, False),
        (2.01, False),
    ],
)
def test_reaching_the_tightness_threshold_is_not_tight(spread: float, fine: bool) -> None:
    assert velez().should_long(signal(now={"sma_fast": 98.0 + spread, "sma_slow": 98.0})) is fine


@pytest.mark.parametrize(("above", "fine"), [(0.9e-7, False), (1.1e-7, True)])
def test_fast_is_above_slow_and_parting_only_by_more_than_a_billionth_of_the_close(
    above: float, fine: bool
) -> None:
    barely = {"sma_fast": 1.0 + above, "sma_slow": 1.0}
    far_below = {"sma_fast": 0.5, "sma_slow": 1.0}
    assert velez().should_long(signal(now=barely, before=far_below)) is fine
    parting = {"sma_fast": 1.5 + above, "sma_slow": 1.0}
    assert velez().should_long(signal(now=parting, before={"sma_fast": 1.5, "sma_slow": 1.0})) is fine


@pytest.mark.parametrize(
    ("body", "fine"),
    [(50.1, True), (50.0, True), (50.0 - 0.9e-6, True), (50.0 - 1.1e-6, False), (49.9, False)],
)
def test_reaching_the_strong_threshold_is_strong(body: float, fine: bool) -> None:
    strong = signal(open=200.0, low=200.0, close=200.0 + body, high=300.0)
    assert velez().should_long(strong) is fine


@pytest.mark.parametrize(
    ("cooldown", "since", "fine"),
    [(1, 1, False), (1, 2, True), (0, 0, True), (0, 1, True), (3, 3, False), (3, 4, True), (1, None, True)],
)
def test_after_a_trade_the_symbol_rests_for_the_cooldown_the_present_candle_included(
    cooldown: int, since: int | None, fine: bool
) -> None:
    assert velez(cooldown_candles=cooldown).should_long(signal(candles_since_exit=since)) is fine


def test_a_price_so_low_that_no_stop_fits_below_it_is_no_signal() -> None:
    cheap = {"now": {"sma_fast": 0.0300, "sma_slow": 0.0299}, "before": {"sma_fast": 0.03, "sma_slow": 0.03}}
    assert not velez().should_long(signal(open=0.02, low=0.02, close=0.03, high=0.03, **cheap))
    assert velez().should_long(signal(open=0.0201, low=0.0201, close=0.03, high=0.03, **cheap))


@pytest.mark.parametrize(
    ("candle", "body"),
    [((10.0, 11.0, 9.0, 10.5), 25.0), ((10.5, 11.0, 9.0, 10.0), 25.0), ((9.0, 9.0, 9.0, 9.0), 0.0)],
)
def test_the_body_is_a_share_of_the_range_and_nothing_without_one(
    candle: tuple[float, float, float, float], body: float
) -> None:
    assert body_pct(*candle) == body


# ---- prices --------------------------------------------------------------------------------------------


def test_the_entry_is_the_high() -> None:
    assert velez().entry_price(signal(high=100.07)) == D("100.07")


@pytest.mark.parametrize(
    ("low", "stop"),
    [
        (99.0, "98.90"),  # 0.1 % of 99 = 0.099 → 98.901
        (20.0, "19.98"),  # 0.1 % of 20 = 0.02, the least
        (10.0, "9.98"),  # 0.1 % would be 0.01
        (0.5, "0.4800"),
        (1.015, "0.9950"),  # from above a dollar to below it
    ],
)
def test_the_stop_is_the_low_less_the_buffer_rounded_down(low: float, stop: str) -> None:
    assert velez().stop_loss_price(signal(low=low)) == D(stop)


def test_both_buffers_are_settings() -> None:
    rule = velez(stop_buffer_pct="0.5", stop_buffer_min="0.10")
    assert rule.stop_loss_price(signal(low=100.0)) == D("99.50")
    assert rule.stop_loss_price(signal(low=10.0)) == D("9.90")


@pytest.mark.parametrize(("share", "limit"), [("0", "100"), ("0.5", "100.5"), ("2", "102")])
def test_the_limit_adds_a_share_of_the_risk(share: str, limit: str) -> None:
    assert velez(max_entry_slippage_r=share).limit_price(D(100), D(99)) == D(limit)


@pytest.mark.parametrize("expiry", [1, 3])
def test_a_pending_entry_waits_for_so_many_candles(expiry: int) -> None:
    rule = velez(buy_stop_expiry_candles=expiry)
    assert not rule.should_cancel_pending(signal(), expiry - 1)
    assert rule.should_cancel_pending(signal(), expiry)
    assert rule.pending_expiry_candles == expiry


# ---- the trail -----------------------------------------------------------------------------------------

GREEN = (10.0, 10.4, 9.9, 10.2)  # 40 %: green, not strong
STRONG = (10.0, 10.4, 9.9, 10.4)  # 80 %
RED = (10.2, 10.4, 9.9, 10.0)
RED_STRONG = (10.4, 10.4, 9.9, 9.9)
DOJI = (10.0, 10.4, 9.9, 10.02)  # 4 %
DOJI_RED = (10.02, 10.4, 9.9, 10.0)
FLAT = (10.0, 10.0, 10.0, 10.0)


def walk(rule: Velez, *candles: tuple[float, float, float, float]) -> list[str]:
    """What the rule says at each candle: the new stop, ``exit``, or nothing."""
    said = []
    for candle in candles:
        target = rule.should_update_stop(view(*candle), HOLDING)
        leave = rule.should_exit(view(*candle), HOLDING)
        said.append("exit" if leave else str(target) if target is not None else "")
    return said


def low(candle: tuple[float, float, float, float], low: float) -> tuple[float, float, float, float]:
    return (candle[0], candle[1], low, candle[3])


def test_without_a_pullback_nothing_is_trailed_and_no_run_counts() -> None:
    assert walk(velez(), *[STRONG] * 6) == [""] * 6


def test_a_red_candle_and_two_greens_move_the_stop_below_the_pullbacks_low() -> None:
    assert walk(velez(), STRONG, RED, GREEN, GREEN) == ["", "", "", "9.88"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_pullbacks_low_is_the_lowest_of_its_candles_whatever_their_colour(place: int) -> None:
    candles = [RED, GREEN, GREEN]
    candles[place] = low(candles[place], 9.5)
    assert walk(velez(), *candles)[-1] == "9.48"


@pytest.mark.parametrize("doji", [DOJI, DOJI_RED, low(FLAT, 9.5)])
def test_a_doji_changes_no_state_but_its_low_counts(doji: tuple[float, float, float, float]) -> None:
    assert walk(velez(), RED, low(doji, 9.5), GREEN, low(doji, 9.6), GREEN)[-1] == "9.48"
    assert walk(velez(), doji, GREEN, GREEN) == [""] * 3, "no pullback begins with a doji"


def test_a_candle_before_the_pullback_does_not_lower_it() -> None:
    assert walk(velez(), low(GREEN, 9.0), low(DOJI, 9.1), RED, GREEN, GREEN)[-1] == "9.88"


def test_a_red_candle_in_a_pullback_starts_the_count_of_greens_anew() -> None:
    assert walk(velez(), RED, GREEN, low(RED, 9.7), GREEN, GREEN) == ["", "", "", "", "9.68"]


def test_every_pullback_is_followed_also_one_that_ends_a_run() -> None:
    said = walk(
        velez(),
        RED,
        GREEN,
        STRONG,
        STRONG,
        low(RED, 9.95),
        low(GREEN, 9.96),
        low(GREEN, 9.97),
        low(RED, 9.99),
    )
    assert said == ["", "", "9.88", "", "", "", "9.93", ""]


def test_reaching_the_doji_threshold_is_no_doji() -> None:
    range_, tenth = 1.0, 0.1
    green = (10.0, 10.0 + range_, 10.0, 10.0 + tenth)
    almost = (10.0, 10.0 + range_, 10.0, 10.0 + tenth - 1e-7)
    assert walk(velez(), RED, green, green)[-1] == "9.88"
    assert walk(velez(), RED, almost, almost, almost)[-1] == ""


# ---- the exit ------------------------------------------------------------------------------------------


def test_so_many_strong_candles_in_a_row_end_the_trade_and_the_one_that_began_the_trail_counts() -> None:
    assert walk(velez(), RED, GREEN, STRONG, STRONG, STRONG) == ["", "", "9.88", "", "exit"]
    assert walk(velez(max_run_candles=2), RED, GREEN, STRONG, STRONG) == ["", "", "9.88", "exit"]


def test_a_weak_candle_that_begins_the_trail_does_not_count() -> None:
    assert walk(velez(), RED, GREEN, GREEN, STRONG, STRONG, STRONG)[3:] == ["", "", "exit"]


@pytest.mark.parametrize("breaker", [GREEN, DOJI, DOJI_RED, FLAT])
def test_a_candle_that_is_not_strong_starts_the_run_anew(breaker: tuple[float, float, float, float]) -> None:
    said = walk(velez(), RED, GREEN, STRONG, STRONG, breaker, STRONG, STRONG, STRONG)
    assert said == ["", "", "9.88", "", "", "", "", "exit"]


def test_leaving_the_trail_starts_the_run_anew() -> None:
    said = walk(velez(), RED, GREEN, STRONG, STRONG, RED_STRONG, STRONG, STRONG, STRONG, STRONG)
    assert said == ["", "", "9.88", "", "", "", "9.88", "", "exit"]


def test_strong_candles_of_the_pullback_itself_do_not_count() -> None:
    assert walk(velez(), RED, STRONG, STRONG, STRONG, STRONG) == ["", "", "9.88", "", "exit"]


def test_when_the_position_closes_everything_is_forgotten() -> None:
    rule = velez()
    walk(rule, RED, GREEN, STRONG, STRONG)
    rule.on_position_closed()
    assert walk(rule, STRONG, STRONG, STRONG, GREEN) == [""] * 4
    walk(rule, low(RED, 5.0), GREEN)
    rule.on_position_closed()
    assert walk(rule, RED, GREEN, GREEN) == ["", "", "9.88"]


# ---- parameters ----------------------------------------------------------------------------------------

BOUNDS = {
    "sma_fast": (5, 50, 20),
    "sma_slow": (100, 500, 200),
    "tightness_threshold_pct": (0.5, 5, 2.0),
    "strong_candle_body_pct": (30, 80, 50),
    "doji_threshold_pct": (1, 30, 10),
    "stop_buffer_pct": (D("0.05"), 1, D("0.1")),
    "stop_buffer_min": (D("0.01"), D("0.10"), D("0.02")),
    "buy_stop_expiry_candles": (1, 5, 1),
    "max_run_candles": (2, 10, 3),
    "cooldown_candles": (0, 20, 1),
    "max_entry_slippage_r": (0, 2, D("0.5")),
}


@pytest.mark.parametrize(("name", "bounds"), BOUNDS.items(), ids=BOUNDS)
def test_every_parameter_has_its_documented_default_and_bounds(
    name: str, bounds: tuple[Any, Any, Any]
) -> None:
    least, most, default = bounds
    assert getattr(VelezConfig(), name) == default
    for value in (least, most):
        assert getattr(VelezConfig(**{name: value}), name) == value
    step = D("0.001") if isinstance(default, Decimal) else 1 if isinstance(default, int) else 0.001
    step = 1 if name.startswith(("sma", "buy", "max_run", "cooldown")) else step
    for value in (least - step, most + step):
        with pytest.raises(ValidationError, match=name):
            VelezConfig(**{name: value})


@pytest.mark.parametrize("minutes", [1, 2, 5, 10, 0, 3, 15])
def test_the_interval_is_one_of_four(minutes: int) -> None:
    if minutes in (1, 2, 5, 10):
        assert velez(candle_interval_minutes=minutes).candle_interval_minutes == minutes
    else:
        with pytest.raises(ValidationError, match="candle_interval_minutes"):
            VelezConfig(candle_interval_minutes=minutes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"sma_fst": 20}, {"tightness_threshold_pct": math.nan}, {"sma_fast": 20.5}]
)
def test_unknown_names_and_numbers_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VelezConfig(**wrong)


def test_every_parameter_is_known_here() -> None:
    assert set(VelezConfig.model_fields) == set(BOUNDS) | {"candle_interval_minutes"}


def test_what_a_velez_asks_of_the_engine() -> None:
    rule = velez(sma_fast=10, sma_slow=150)
    assert rule.indicators == {"sma_fast": Indicator("sma", 10), "sma_slow": Indicator("sma", 150)}
    assert (rule.required_history, rule.force_close_eod, rule.name) == (151, True, "velez")
    assert not rule.should_short(signal())


# ---- candidates ----------------------------------------------------------------------------------------


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A candle whose averages are apart by exactly a threshold, a little more or a little less."""
    open_, high, low, close = draw(PRICES)
    slow = draw(st.sampled_from((10.0, 10.003, 0.0)))  # what is added to 0 stays exact
    at = draw(
        st.sampled_from((0.0, 1e-9, 0.005, 0.005, 0.02, 0.05))
    )  # what share of the close they are apart
    nudge = draw(st.sampled_from((0.0, 0.0, 1e-13, -1e-13, 5e-10, 5e-9, -5e-9, 2e-8, -2e-8)))
    sign = draw(st.sampled_from((1.0, 1.0, -1.0)))
    return Row(open_, high, low, close, {"sma_fast": slow + sign * (at + nudge) * close, "sma_slow": slow})


@given(
    candles=st.lists(rows(), min_size=1, max_size=12),
    tightness=st.sampled_from((0.5, 2.0, 5.0)),
    strong=st.sampled_from((30, 50, 80)),
)
def test_candidates_are_the_candles_that_should_long_takes(
    candles: list[Row], tightness: float, strong: float
) -> None:
    """Before any trade; prices leave room for a stop."""
    rule = velez(sma_slow=100, tightness_threshold_pct=tightness, strong_candle_body_pct=strong)
    unknown = Row(10.0, 10.5, 10.0, 10.5, {"sma_fast": math.nan, "sma_slow": math.nan})
    early = [unknown] * 3 + (candles * 96)[:96]
    history = [*early, *candles, *candles]
    mask = rule.entry_candidates(columns_of(history))
    assert mask.tolist() == [rule.should_long(shown) for shown in views_of(history)]


def test_a_signal_is_a_candidate() -> None:
    """So that the equality above is not one of masks that are empty."""
    before = Row(99.2, 100.0, 99.0, 100.0, {"sma_fast": 98.5, "sma_slow": 98.0})
    strong = before._replace(now={"sma_fast": 99.0, "sma_slow": 98.0})
    mask = velez(sma_slow=100).entry_candidates(columns_of([before] * 100 + [strong, strong]))
    assert np.flatnonzero(mask).tolist() == [100], "the first after a whole history, parting just then"
