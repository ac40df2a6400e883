"""The table fits its terminal, and says where figures cannot be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.sweep.making import CONFIG, RULES, made, window
from tui_trader.sweep.jobs import JobResult
from tui_trader.sweep.parameters import ParameterSet
from tui_trader.sweep.study import Row, Walked, WalkRow
from tui_trader.sweep.table import plain_text, walk_text
from tui_trader.sweep.windows import Step

KEYS = ("sma_fast", "stop_buffer_pct")


def chosen(*values: str, keys: Sequence[str] = KEYS) -> ParameterSet:
    return ParameterSet(dict(zip(keys, values, strict=True)), CONFIG, RULES, 20.0)


def text(
    rows: Sequence[Row], width: int = 80, top: int = 20, keys: Sequence[str] = KEYS, held_out: bool = True
) -> list[str]:
    return list(plain_text(rows, top, "sharpe", keys, held_out, 12 if held_out else 6, width, "velez"))


GOOD = Row(chosen("10", "0.1"), made(value=2.0), made(value=1.5))
LUCKY = Row(chosen("20", "0.1"), made(value=1.0), made(value=-0.25))
FAILED = Row(chosen("30", "0.1"), made(error="strategy x failed"), made(error="strategy x failed"))


def test_figures_out_of_sample_stand_beside_those_in_sample() -> None:
    head, row, *rest = text([GOOD])
    assert head.split() == ["#", "sma_fast", "stop_buffer_pct", "sharpe", "in", "out", "trades", "in", "out",
                            "return", "in", "out"]  # fmt: skip
    assert row.split() == ["1", "10", "0.1", "2.00", "1.50", "10", "10", "0.00%", "0.00%"]
    assert rest == ["Best: --strategy velez --set sma_fast=10 --set stop_buffer_pct=0.1"]


def test_where_figures_part_there_is_a_mark_and_a_sentence() -> None:
    lines = text([GOOD, LUCKY])
    assert "1.50  " in lines[1]
    assert "-0.25 !" in lines[2]
    assert any(line.startswith("! ") and "1 of 2 sets shown." in line for line in lines)
    assert any("1 of 1 set shown, the best one." in line for line in text([LUCKY]))
    assert not any("!" in line for line in text([GOOD]))


def test_without_sessions_to_hold_out_that_is_said() -> None:
    lines = text([Row(GOOD.chosen, GOOD.inside, None)], held_out=False)
    assert lines[0].split() == ["#", *KEYS, "sharpe", "trades", "return", "drawdown"]
    assert lines[2].startswith("6 sessions: too few to hold any out (10 are needed).")


def test_the_table_has_the_top_rows_and_says_how_many_there_are() -> None:
    lines = text([GOOD] * 7, top=3)
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert lines[4] == "3 of 7 parameter sets shown."


def test_failures_stand_in_the_table_and_are_told_below_with_their_reason() -> None:
    lines = text([GOOD, FAILED])
    assert "failed" in lines[2]
    assert lines[-2:] == ["2 backtests failed:", "  2 × strategy x failed"]


def test_a_set_that_failed_or_never_traded_is_not_called_the_best() -> None:
    idle = Row(chosen("5", "1"), made(value=None, trades=0), made(value=None, trades=0))
    assert not any(line.startswith("Best") for line in [*text([FAILED]), *text([idle])])


@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("width", [80, 100, 200])
def test_every_line_of_the_table_fits(count: int, width: int) -> None:
    keys = [f"quite_a_long_parameter_{number}" for number in range(count)]
    values = [f"{number}.5" for number in range(count)]
    rows = [Row(chosen(*values, keys=keys), made(value=12345.678), made(value=-99999.0))] * 12
    table = [line for line in text(rows, width, keys=keys) if not line.startswith(("!", "Best"))]
    assert max(map(len, table)) <= width
    assert sum(f"{number}.5" in table[-1] for number in range(count)) == count


def test_names_that_do_not_fit_become_letters_with_a_legend() -> None:
    keys = [f"quite_a_long_parameter_{number}" for number in range(3)]
    lines = text([Row(chosen("1", "2", "3", keys=keys), made(), made())], keys=keys)
    assert lines[:3] == [f"{letter} = {key}" for letter, key in zip("ABC", keys, strict=True)]
    assert lines[3].split()[:4] == ["#", "A", "B", "C"]
    wide = text([Row(chosen("1", "2", "3", keys=keys), made(), made())], 120, keys=keys)
    assert wide[0].split()[:4] == ["#", *keys]


def test_more_room_shows_more_figures() -> None:
    assert "drawdown" not in text([GOOD], 80)[0]
    assert "drawdown" in text([GOOD], 120)[0]


# ---- walk-forward ------------------------------------------------------------------------------------

STEPS = (Step(window(0, 3), window(4, 5)), Step(window(2, 5), window(6, 7)))


def walked(*rows: tuple[ParameterSet | None, JobResult, JobResult | None], account: JobResult) -> list[str]:
    found = tuple(WalkRow(step, *row) for step, row in zip(STEPS, rows, strict=True))
    return list(walk_text(Walked(found, account), "sharpe", KEYS, 80))


def test_each_step_says_what_was_chosen_and_what_came_of_it() -> None:
    lines = walked(
        (chosen("10", "0.1"), made(value=2.0), made(value=1.5)),
        (chosen("20", "0.2"), made(value=3.0), made(value=-1.0)),
        account=made(value=0.25),
    )
    assert lines[1].split() == ["2024-06-07", "2024-06-10", "10", "0.1", "2.00", "1.50"]
    assert lines[2].split() == ["2024-06-11", "2024-06-12", "20", "0.2", "3.00", "-1.00", "!"]
    assert lines[4].startswith("Out of sample in one account: sharpe 0.25, total_return 0.00%")
    assert lines[4].endswith("trades 10, final equity 100,000.00")
    assert "1 of 2 steps" in lines[5]


def test_a_step_in_which_nothing_could_be_chosen_says_so() -> None:
    lines = walked(
        (None, made(value=None, trades=0), None), (chosen("20", "0.2"), made(), made()), account=made()
    )
    assert lines[1].split() == ["2024-06-07", "2024-06-10", "-", "-", "-", "-"]
    assert lines[-1] == "1 step had no set with a figure to choose by: nothing was traded there."
