"""A strategy cannot hold up the engine."""

from __future__ import annotations

import pytest

from tui_trader.engine.guard import StrategyFailed, StrategyGuard


def loop_for_ever() -> None:
    while True:
        pass


def swallow_everything() -> None:
    while True:
        try:
            while True:
                pass
        except Exception:
            return


@pytest.fixture
def guard() -> StrategyGuard:
    guard = StrategyGuard(budget_s=0.05, break_off_s=0.2)
    guard.start()
    yield guard
    guard.stop()


def test_an_answer_in_time_is_passed_on(guard: StrategyGuard) -> None:
    assert guard(lambda x: x + 1, 1) == 2


def test_a_strategy_that_loops_for_ever_is_broken_off(guard: StrategyGuard) -> None:
    with pytest.raises(StrategyFailed):
        guard(loop_for_ever)


def test_a_strategy_that_swallows_the_breaking_off_still_overran(guard: StrategyGuard) -> None:
    with pytest.raises(StrategyFailed):
        guard(swallow_everything)


def test_the_engine_goes_on_after_a_breaking_off(guard: StrategyGuard) -> None:
    for _ in range(2):
        with pytest.raises(StrategyFailed):
            guard(loop_for_ever)
    assert [guard(int, n) for n in range(1000)] == list(range(1000))


def test_what_a_strategy_raises_is_told_with_its_name(guard: StrategyGuard) -> None:
    with pytest.raises(StrategyFailed, match="ZeroDivisionError: integer"):
        guard(lambda: 1 // 0)
