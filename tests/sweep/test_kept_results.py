"""What a result is kept under, and what is believed when it is found again."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from tests.sweep.making import CONFIG, DAYS, PROBE, RULES, bars, job, made, user_strategy, window
from tui_trader.errors import TuiTraderError, UsageError
from tui_trader.paths import default_config_path
from tui_trader.strategies.registry import find_strategy
from tui_trader.strategies.sma_cross import SmaCross
from tui_trader.sweep import fingerprint
from tui_trader.sweep.fingerprint import code_digest, data_digest
from tui_trader.sweep.jobs import Job, JobResult, failed, from_json, job_key, to_json
from tui_trader.sweep.store import ResultStore

KEY = "a" * 64


def key_of(work: Job, code: str = "c", data: str = "d", strategy: str = "s") -> str:
    return job_key(code, data, strategy, work)


# ---- the key -----------------------------------------------------------------------------------------

OTHER_JOBS = {
    "config": job(config=CONFIG.replace("20", "21")),
    "nothing traded": job(config=None),
    "first session": job(window(1, 11)),
    "last session": job(window(0, 10)),
    "two segments": job(window(0, 5), window(6, 11)),
    "cash": job(rules=replace(RULES, cash=Decimal(50_000))),
    "slippage": job(rules=replace(RULES, slippage_ticks=2)),
    "a risk limit": job(rules=replace(RULES, risk=replace(RULES.risk, max_open_positions=1))),
    "a breaker limit": job(rules=replace(RULES, breaker=replace(RULES.breaker, consecutive_losses=9))),
    "a session rule": job(rules=replace(RULES, session=replace(RULES.session, flatten_before_close_min=9))),
    "believed bars": Job((replace(job().segments[0], max_bar_jump_pct=10.0),)),
}


@pytest.mark.parametrize("ingredient", OTHER_JOBS)
def test_every_ingredient_of_a_job_changes_its_key(ingredient: str) -> None:
    assert key_of(OTHER_JOBS[ingredient]) != key_of(job())


def test_code_data_and_strategy_change_the_key() -> None:
    keys = {key_of(job()), key_of(job(), code="x"), key_of(job(), data="x"), key_of(job(), strategy="x")}
    assert len(keys) == 4


def test_the_same_job_has_the_same_key_however_its_amounts_are_written() -> None:
    assert key_of(job(rules=replace(RULES, cash=Decimal("100000.00")))) == key_of(job())
    assert len(key_of(job())) == 64


# ---- code and data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["minute", "open", "high", "low", "close", "volume", "symbol_index"])
def test_a_change_in_any_column_changes_the_data(name: str) -> None:
    table = bars(DAYS[:1])
    changed = getattr(table, name).copy()
    changed[7] += 1
    assert data_digest(replace(table, **{name: changed}), DAYS) != data_digest(table, DAYS)


def test_symbols_and_sessions_are_part_of_the_data() -> None:
    table = bars(DAYS[:1])
    whole = data_digest(table, DAYS[:1])
    assert data_digest(replace(table, symbols=("AAA", "CCC")), DAYS[:1]) != whole
    early = replace(DAYS[0], close=DAYS[0].close.replace(hour=17))
    assert data_digest(table, [early]) != whole
    assert data_digest(bars(DAYS[:1]), DAYS[:1]) == whole


def test_the_users_own_strategy_is_part_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(text: str) -> str:
        user_strategy(tmp_path, monkeypatch, text)
        return code_digest(find_strategy("probe", default_config_path().parent / "strategies"))

    first = digest(PROBE)
    assert digest(PROBE + "\n# a remark\n") != first
    assert digest(PROBE) == first
    assert first != code_digest(SmaCross)


def test_every_source_of_a_strategys_package_is_part_of_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "rulebook"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("X = 1\n")
    (package / "rule.py").write_text(
        "from tui_trader.strategies.sma_cross import SmaCross\nclass Rule(SmaCross):\n    name = 'rule'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import rulebook.rule  # type: ignore[import-not-found]

    before = code_digest(rulebook.rule.Rule)
    (package / "helper.py").write_text("X = 2\n")
    assert code_digest(rulebook.rule.Rule) != before


@pytest.mark.parametrize("part", ["core/decide.py", "strategies/velez.py", "backtest/runner.py"])
def test_the_engines_own_sources_are_part_of_the_code(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint._engine()
    assert before == fingerprint._engine()
    read = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda self: read(self) + (b"#" if self.as_posix().endswith(part) else b"")
    )
    assert fingerprint._engine() != before


@pytest.mark.parametrize("library", ["numpy", "tulipy"])
def test_the_version_of_what_counts_is_part_of_the_code(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint._engine()
    known = fingerprint.version
    monkeypatch.setattr(fingerprint, "version", lambda name: "0" if name == library else known(name))
    assert fingerprint._engine() != before


# ---- the file ----------------------------------------------------------------------------------------


def test_a_result_is_found_again_as_it_was(tmp_path: Path) -> None:
    result = made(value=1 / 3)
    store = ResultStore(tmp_path / "deep" / "results")
    store.put(KEY, result)
    assert store.get(KEY) == result
    assert ResultStore(store.folder).get(KEY) == result
    assert store.get("b" * 64) is None
    assert store.folder.stat().st_mode & 0o077 == 0


def test_a_figure_that_is_not_defined_stays_so(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.put(KEY, made(value=None))
    found = store.get(KEY)
    assert found is not None
    assert found.figures["sharpe"] is None


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.put(KEY, made(error="ValueError: no"))
    assert list(tmp_path.iterdir()) == []


def _document() -> dict[str, object]:
    document: dict[str, object] = json.loads(to_json(KEY, made()))
    return document


def _with(**changes: object) -> str:
    return json.dumps(_document() | changes)


def _figures(**changes: object) -> str:
    figures = _document()["figures"]
    assert isinstance(figures, dict)
    return _with(figures=figures | changes)


CORRUPT = {
    "empty": "",
    "cut short": to_json(KEY, made())[:-20],
    "not JSON": "hello",
    "not UTF-8": "\udcff",
    "another shape": "[1, 2]",
    "deep": "[" * 100_000,
    "of another job": _with(key="b" * 64),
    "a key too many": _with(more=1),
    "a figure too few": _with(figures={"sharpe": 1.0}),
    "an unknown figure": _figures(luck=1.0),
    "a figure that is text": _figures(sharpe="1.0"),
    "a figure that is true": _figures(sharpe=True),
    "a figure that is NaN": _figures(sharpe=float("nan")),
    "equity that is a number": _with(final_equity=1.0),
    "equity that is no amount": _with(final_equity="lots"),
    "equity without end": _with(final_equity="Infinity"),
    "huge": to_json(KEY, made()) + " " * 70_000,
}


@pytest.mark.parametrize("kind", CORRUPT)
def test_a_file_that_is_not_exactly_that_result_is_not_believed(kind: str, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    (tmp_path / f"{KEY}.json").write_bytes(CORRUPT[kind].encode(errors="surrogateescape"))
    assert store.get(KEY) is None
    store.put(KEY, made())
    assert store.get(KEY) == made()


def test_what_is_no_file_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / f"{KEY}.json").mkdir()
    store = ResultStore(tmp_path)
    assert store.get(KEY) is None
    with pytest.raises(TuiTraderError, match=r"results folder .* cannot be used"):
        store.put(KEY, made())


def test_files_from_elsewhere_are_left_alone(tmp_path: Path) -> None:
    abandoned, being_written = f"{KEY[:16]}-aaaaaaaa.unfinished", f"{KEY[:16]}-bbbbbbbb.unfinished"
    for name in ("notes.txt", "thesis.unfinished", abandoned, being_written):
        (tmp_path / name).write_text("mine, or half a result")
    for name in ("thesis.unfinished", abandoned):
        os.utime(tmp_path / name, (0, 0))
    ResultStore(tmp_path).tidy()
    left = [being_written, "notes.txt", "thesis.unfinished"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(left)


def test_a_pipe_in_a_results_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"{KEY}.json")
    assert ResultStore(tmp_path).get(KEY) is None


def test_a_link_in_a_results_place_is_not_followed(tmp_path: Path) -> None:
    store, elsewhere = ResultStore(tmp_path / "here"), ResultStore(tmp_path / "there")
    elsewhere.put(KEY, made())
    (tmp_path / "here" / f"{KEY}.json").symlink_to(tmp_path / "there" / f"{KEY}.json")
    assert elsewhere.get(KEY) is not None
    assert store.get(KEY) is None


def test_many_writers_of_one_result_leave_one_whole_file(tmp_path: Path) -> None:
    stores = [ResultStore(tmp_path) for _ in range(4)]
    seen: list[JobResult | None] = []

    def write(store: ResultStore) -> None:
        for _ in range(50):
            store.put(KEY, made())
            seen.append(store.get(KEY))

    threads = [threading.Thread(target=write, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [made()] * 200
    assert [path.name for path in tmp_path.iterdir()] == [f"{KEY}.json"]


def test_a_folder_that_cannot_be_made_is_an_error_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"results folder .*file/results: cannot be used: .*--results DIR"):
        ResultStore(tmp_path / "file" / "results")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ValueError("no\x1b[31m"), "ValueError: no\\x1b[31m"),
        (lambda: UsageError("a line of ours"), "a line of ours"),
        (lambda: ValueError("long " * 1000), None),
    ],
)
def test_an_error_is_one_short_printable_line(make: Callable[[], BaseException], text: str | None) -> None:
    error = failed(make()).error
    assert error.isprintable()
    assert len(error) <= 300
    assert text is None or error == text


def test_an_error_without_a_text_has_at_least_its_name() -> None:
    class RudeError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert failed(RudeError()).error == "RudeError"


def test_figures_read_from_text_compare_equal_to_fresh_ones() -> None:
    fresh = replace(made(), figures={**made().figures, "sharpe": np.float64(0.1) + 0.2})
    assert from_json(KEY, to_json(KEY, fresh).encode()) == fresh
