"""Every combination is validated before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweep.making import user_strategy
from tui_trader.errors import UsageError
from tui_trader.options import BacktestOptions
from tui_trader.sweep.grid import parse_grid
from tui_trader.sweep.parameters import Candidates, candidates, config_of


@pytest.fixture(autouse=True)
def _no_settings_of_mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def found(*sets: str, strategy: str = "sma_cross", config: Path | None = None) -> Candidates:
    options = BacktestOptions((Path("none.csv"),), strategy=strategy, config=config)
    return candidates(options, {}, parse_grid(sets))


def failure(*sets: str, strategy: str = "sma_cross") -> str:
    with pytest.raises(UsageError) as caught:
        found(*sets, strategy=strategy)
    return str(caught.value)


def test_combinations_that_exclude_each_other_are_left_out_and_counted() -> None:
    result = found("sma_fast=10,20,30", "sma_slow=20,30")
    assert [dict(chosen.values) for chosen in result.sets] == [
        {"sma_fast": "10", "sma_slow": "20"},
        {"sma_fast": "10", "sma_slow": "30"},
        {"sma_fast": "20", "sma_slow": "30"},
    ]
    assert result.left_out == 3
    assert result.reason == "sma_fast (30) must be less than sma_slow (30)"


def test_limits_that_exclude_each_other_are_left_out_too() -> None:
    result = found("session.flatten_before_close_min=3,20", "session.no_entries_before_close_min=15,30")
    assert len(result.sets) == 3
    assert result.left_out == 1
    assert {chosen.rules.session.flatten_before_close_min for chosen in result.sets} == {3, 20}


def test_when_no_combination_is_left_the_reason_is_given() -> None:
    message = failure("sma_fast=30", "sma_slow=20,30")
    assert message == "--set: no combination can be used: sma_fast (30) must be less than sma_slow (30)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sma_fast=10,400", ("sma_fast", "400", "100")),
        ("risk.max_open_positions=3,30", ("risk.max_open_positions", "30", "20")),
        ("session.flatten_before_close_min=0", ("session.flatten_before_close_min", "0", "1")),
        ("atr_stop_multiple=wide", ("atr_stop_multiple", "wide", "number")),
    ],
)
def test_a_value_out_of_bounds_is_an_error_with_value_and_bound(text: str, words: tuple[str, ...]) -> None:
    message = failure(text)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("text", "near"),
    [("sma_fas=10", "sma_fast"), ("risk.max_open_position=1", "risk.max_open_positions")],
)
def test_an_unknown_key_is_answered_with_a_near_one(text: str, near: str) -> None:
    assert f"did you mean {near}?" in failure(text)


def test_combinations_that_mean_the_same_count_once() -> None:
    result = found("atr_stop_multiple=2,2.0,2.00,3")
    assert [chosen.values["atr_stop_multiple"] for chosen in result.sets] == ["2", "3"]


def test_settings_of_the_file_hold_where_the_grid_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        "[risk]\nmax_open_positions = 2\n[[routes]]\nsymbols = ['A']\nstrategy = 'sma_cross'\n"
        "[routes.config]\nsma_slow = 44\n"
    )
    file.chmod(0o600)
    (chosen,) = found("risk.max_position_pct=7", config=file).sets
    assert chosen.rules.risk.max_open_positions == 2
    assert chosen.rules.risk.max_position_pct == 7
    assert '"sma_slow":44' in chosen.config


def test_parameters_come_back_from_their_text_as_they_were() -> None:
    result = found("stop_buffer_pct=0.1..0.3:0.1", strategy="velez")
    configs = [config_of(result.strategy, chosen.config) for chosen in result.sets]
    assert [str(config.model_dump()["stop_buffer_pct"]) for config in configs] == ["0.1", "0.2", "0.3"]
    assert configs[0] == result.strategy.config_type.model_validate({"stop_buffer_pct": "0.1"})


def test_a_strategy_that_cannot_be_made_with_some_values_is_told_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
from tui_trader.strategies.sma_cross import SmaCross, SmaCrossConfig
class ThirstyConfig(SmaCrossConfig):
    candle_interval_minutes: int = 2
class Thirsty(SmaCross):
    config_type = ThirstyConfig
"""
    user_strategy(tmp_path, monkeypatch, text, "thirsty")
    message = failure("candle_interval_minutes=2,3", strategy="thirsty")
    assert message.startswith(
        "--set candle_interval_minutes=3: strategy thirsty cannot be used: candles of 3"
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("1 / 0", "--set period=1: ZeroDivisionError: division by zero"),
        ("return value * 2", "--set period=1: strategy odd: its parameters change when written as JSON"),
    ],
)
def test_what_is_odd_about_a_strategys_own_parameters_is_told_at_once(
    body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"""
from pydantic import field_validator
from tui_trader.strategies.sma_cross import SmaCross, SmaCrossConfig
class OddConfig(SmaCrossConfig):
    period: int
    @field_validator("period")
    @classmethod
    def _odd(cls, value):
        {body}
class Odd(SmaCross):
    config_type = OddConfig
"""
    user_strategy(tmp_path, monkeypatch, text, "odd")
    assert failure("period=1", strategy="odd") == words


def test_a_parameter_without_a_default_may_come_from_the_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
from tui_trader.strategies.sma_cross import SmaCross, SmaCrossConfig
class NeedyConfig(SmaCrossConfig):
    period: int
class Needy(SmaCross):
    config_type = NeedyConfig
"""
    user_strategy(tmp_path, monkeypatch, text, "needy")
    assert len(found("period=1..3", strategy="needy").sets) == 3
    assert "period" in failure("sma_fast=3", strategy="needy")
