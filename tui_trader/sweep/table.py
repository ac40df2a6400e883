"""A sweep as text: the table, and what has to be said about it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Final

from tui_trader.backtest.statements import plural
from tui_trader.sweep.jobs import JobResult
from tui_trader.sweep.parameters import ParameterSet
from tui_trader.sweep.ranking import RULE, parted
from tui_trader.sweep.study import Row, Walked
from tui_trader.sweep.windows import FEWEST_TO_HOLD_OUT

_PERCENT: Final = ("total_return", "cagr", "max_drawdown", "win_rate", "exposure", "avg_trade")
_GAP: Final = 2
_NONE: Final = "-"
#: Beside the metric, in this order, as far as there is room.
_EXTRAS: Final = {"trades": "trades", "total_return": "return", "max_drawdown": "drawdown"}
_ERRORS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        return max(len(self.title), *map(len, self.cells)) if self.cells else len(self.title)


def plain_text(
    rows: Sequence[Row],
    top: int,
    metric: str,
    swept: Sequence[str],
    held_out: bool,
    sessions: int,
    width: int,
    strategy: str,
) -> Iterator[str]:
    """Lines: the ``top`` rows in ``width`` columns if they can be, then the warnings.

    ``sessions`` is how many there are in all.
    """
    shown = rows[:top]
    marks = [row.outside is not None and parted(row.inside, row.outside, metric) for row in shown]
    columns = [_Column("#", [str(number) for number in range(1, len(shown) + 1)])]
    columns += [_Column(key, [row.chosen.values[key] for row in shown]) for key in swept]
    insides = [row.inside for row in shown]
    outsides = [row.outside for row in shown] if held_out else None
    columns += _pair(metric, metric, insides, outsides, marks)
    yield from _table(columns, swept, metric, insides, outsides, width)
    if len(rows) > len(shown):
        yield f"{len(shown)} of {plural(len(rows), 'parameter set')} shown."
    if any(marks):
        also = (
            ", the best one among them"
            if marks[0] and sum(marks) > 1
            else ", the best one"
            if marks[0]
            else ""
        )
        yield f"! {RULE}: {sum(marks)} of {plural(len(shown), 'set')} shown{also}. That smells of luck."
    if not held_out:
        yield (
            f"{plural(sessions, 'session')}: too few to hold any out ({FEWEST_TO_HOLD_OUT} are needed). "
            "Every figure is in sample, so expect less."
        )
    if swept and rows and not rows[0].inside.error and rows[0].inside.trades:
        yield _command(rows[0].chosen, strategy)
    yield from _failures([*(row.inside for row in rows), *(row.outside for row in rows)])


def walk_text(walked: Walked, metric: str, swept: Sequence[str], width: int) -> Iterator[str]:
    """Lines: one for each step, the account that followed them all, then the warnings."""
    rows = walked.rows
    marks = [row.outside is not None and parted(row.inside, row.outside, metric) for row in rows]
    columns = [
        _Column("test from", [row.step.test.first.isoformat() for row in rows]),
        _Column("to", [row.step.test.last.isoformat() for row in rows]),
    ]
    values = [row.chosen.values if row.chosen else {} for row in rows]
    columns += [_Column(key, [value.get(key, _NONE) for value in values]) for key in swept]
    insides, outsides = [row.inside for row in rows], [row.outside for row in rows]
    columns += _pair(metric, metric, insides, outsides, marks)
    yield from _table(columns, swept, metric, insides, outsides, width)
    yield ""
    account = walked.account
    if account.error:
        yield f"Out of sample in one account: failed: {account.error}"
    else:
        names = list(dict.fromkeys([metric, "total_return", "max_drawdown", "trades"]))
        figures = ", ".join(f"{name} {_figure(name, account)}" for name in names)
        yield f"Out of sample in one account: {figures}, final equity {account.final_equity:,.2f}"
    if any(marks):
        yield f"! {RULE}: {sum(marks)} of {plural(len(rows), 'step')}. What was best did not stay good."
    if idle := sum(row.chosen is None for row in rows):
        yield f"{plural(idle, 'step')} had no set with a figure to choose by: nothing was traded there."
    yield from _failures([*insides, *outsides])


def _pair(
    name: str, title: str, insides: Sequence[JobResult], outsides: Sequence[JobResult | None] | None,
    marks: Sequence[bool],
) -> list[_Column]:  # fmt: skip
    """A figure in and out of sample; marks stand behind the latter."""
    if outsides is None:
        return [_Column(title, [_figure(name, result) for result in insides])]
    marked = any(marks)
    judged = [
        _figure(name, result) + (" !" if mark else "  " if marked else "")
        for result, mark in zip(outsides, marks, strict=True)
    ]
    return [
        _Column(f"{title} in", [_figure(name, result) for result in insides]),
        _Column("out" + ("  " if marked else ""), judged),
    ]


def _table(
    columns: Sequence[_Column], swept: Sequence[str], metric: str, insides: Sequence[JobResult],
    outsides: Sequence[JobResult | None] | None, width: int,
) -> Iterator[str]:  # fmt: skip
    """``columns`` and as many extra figures as fit. Long parameter names become letters, with a legend."""
    columns = list(columns)
    if _width(columns) > width:
        letters = dict(zip(swept, _letters(), strict=False))
        yield from (f"{letter} = {key}" for key, letter in letters.items())
        columns = [_Column(letters.get(c.title, c.title), c.cells) for c in columns]
    no_marks = [False] * len(insides)
    for name, title in _EXTRAS.items():
        more = [] if name == metric else _pair(name, title, insides, outsides, no_marks)
        if _width([*columns, *more]) > width:
            break
        columns += more
    gap = " " * _GAP
    for cells in zip(*([column.title, *column.cells] for column in columns), strict=True):
        yield gap.join(cell.rjust(column.width) for cell, column in zip(cells, columns, strict=True)).rstrip()


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width for column in columns) + _GAP * (len(columns) - 1)


def _letters() -> Iterator[str]:
    yield from ascii_uppercase
    yield from (first + second for first in ascii_uppercase for second in ascii_uppercase)


def _figure(name: str, result: JobResult | None) -> str:
    if result is None:
        return _NONE
    if result.error:
        return "failed"
    value = result.figures[name]
    if value is None:
        return _NONE
    if name == "trades":
        return f"{value:,}"
    if name in _PERCENT:
        return f"{value * 100:,.2f}%"
    return f"{value:,.2f}"


def _command(chosen: ParameterSet, strategy: str) -> str:
    """What to say to ``backtest`` to have the best row again."""
    sets = [f"--set {shlex.quote(f'{key}={value}')}" for key, value in chosen.values.items()]
    return " ".join(["Best:", f"--strategy {shlex.quote(strategy)}", *sets])


def _failures(results: Sequence[JobResult | None]) -> Iterator[str]:
    errors = Counter(result.error for result in results if result is not None and result.error)
    if errors:
        yield f"{plural(errors.total(), 'backtest')} failed:"
        yield from (f"  {count} × {error}" for error, count in errors.most_common(_ERRORS_SHOWN))
        if len(errors) > _ERRORS_SHOWN:
            yield f"  and {len(errors) - _ERRORS_SHOWN} other errors"
