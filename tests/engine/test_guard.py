"""A strategy cannot hold up the engine."""

from __future__ import annotations

from decimal import Decimal, getcontext

import pytest

from tui_trader.engine.guard import StrategyFailed, StrategyGuard, unguarded


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


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_strategy_cannot_end_the_program(guard: StrategyGuard, kind: type[BaseException]) -> None:
    def leave() -> None:
        raise kind(0)

    for ask in (guard, unguarded):
        with pytest.raises(StrategyFailed, match=kind.__name__):
            ask(leave)


def test_a_strategy_that_sets_the_precision_sets_it_for_itself_alone(guard: StrategyGuard) -> None:
    def careless() -> Decimal:
        getcontext().prec = 3
        return Decimal("1.23456") * 2

    assert guard(careless) == Decimal("2.47")
    assert Decimal("1.23456") * 2 == Decimal("2.46912")


def test_an_exception_whose_text_cannot_be_read_is_told_all_the_same(guard: StrategyGuard) -> None:
    class UnreadableError(Exception):
        def __str__(self) -> str:
            raise ValueError

    def fail() -> None:
        raise UnreadableError

    with pytest.raises(StrategyFailed, match="cannot be read"):
        guard(fail)


def test_what_a_strategy_raises_cannot_speak_to_the_terminal(guard: StrategyGuard) -> None:
    def fail() -> None:
        raise ValueError("\x1b]0;title\x07" + "x" * 100_000)

    with pytest.raises(StrategyFailed) as told:
        guard(fail)
    assert str(told.value).isprintable()
    assert len(str(told.value)) <= 300
