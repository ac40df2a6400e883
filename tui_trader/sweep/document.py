"""A sweep for programs: all rows as JSON.

Money is decimal strings, figures are numbers and null where not defined, days are New York dates. Figures
bear the names of ``backtest --json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tui_trader.core.money import plain
from tui_trader.sweep.jobs import JobResult, Window
from tui_trader.sweep.parameters import ParameterSet
from tui_trader.sweep.ranking import parted
from tui_trader.sweep.study import Row, Walked


def rows_document(
    rows: Sequence[Row], metric: str, inside: Window, outside: Window | None
) -> Mapping[str, Any]:
    """Every parameter set, best first."""
    return {
        "in_sample": _window(inside),
        "out_of_sample": None if outside is None else _window(outside),
        "rows": [
            {
                **_set(row.chosen),
                "in_sample": _result(row.inside),
                "out_of_sample": _result(row.outside),
                "parted": row.outside is not None and parted(row.inside, row.outside, metric),
            }
            for row in rows
        ],
    }


def walk_document(walked: Walked, metric: str) -> Mapping[str, Any]:
    """Every step, oldest first, and the account that traded all tests."""
    return {
        "steps": [
            {
                "train": _window(row.step.train),
                "test": _window(row.step.test),
                **_set(row.chosen),
                "in_sample": _result(row.inside),
                "out_of_sample": _result(row.outside),
                "parted": row.outside is not None and parted(row.inside, row.outside, metric),
            }
            for row in walked.rows
        ],
        "account": _result(walked.account),
    }


def _set(chosen: ParameterSet | None) -> dict[str, Any]:
    """``parameters`` as they were typed, ``config`` all of the strategy's."""
    if chosen is None:
        return {"parameters": None, "config": None}
    return {"parameters": dict(chosen.values), "config": json.loads(chosen.config)}


def _result(result: JobResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    if result.error:
        return {"error": result.error}
    return {"final_equity": plain(result.final_equity), "metrics": dict(result.figures)}


def _window(window: Window) -> dict[str, str]:
    return {name: day.isoformat() for name, day in asdict(window).items()}
