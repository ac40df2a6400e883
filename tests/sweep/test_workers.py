"""One process, several, or a cluster: the same results, and a clear line when one is lost."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import LocalCluster

from tests.sweep.making import CONFIG, DAYS, bars, calendar, job, user_strategy, window
from tui_trader.errors import TuiTraderError, UsageError
from tui_trader.paths import default_config_path
from tui_trader.strategies.registry import find_strategy
from tui_trader.strategies.sma_cross import SmaCross
from tui_trader.sweep.cluster import cluster, scheduler_address
from tui_trader.sweep.fingerprint import code_digest, data_digest
from tui_trader.sweep.jobs import JobResult, job_key
from tui_trader.sweep.pool import pool
from tui_trader.sweep.recipe import Crew, Recipe, Task, chunks, here
from tui_trader.sweep.store import ResultStore
from tui_trader.sweep.work import Bench

TABLE = bars()
RECIPE = Recipe("sma_cross", calendar(), code_digest(SmaCross), data_digest(TABLE, DAYS))


def tasks(recipe: Recipe = RECIPE) -> list[Task]:
    jobs = [
        job(window(*part), config=CONFIG.replace(":5", f":{fast}"))
        for part in ((0, 8), (9, 11))
        for fast in range(3, 9)
    ]
    jobs.append(job(window(0, 4), window(5, 9)))
    return [
        Task(number, job_key(recipe.code, recipe.data, recipe.strategy, work), work)
        for number, work in enumerate(jobs)
    ]


def results(crew: Crew, recipe: Recipe = RECIPE) -> dict[int, JobResult]:
    return dict(crew(recipe, TABLE)(tasks(recipe)))


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> dict[int, JobResult]:
    store = ResultStore(tmp_path_factory.mktemp("serial"))
    found = dict(here(Bench(SmaCross, TABLE, calendar()), store)(tasks()))
    assert len({result.final_equity for result in found.values()}) > 8
    return found


@pytest.fixture(scope="module")
def dask() -> Iterator[str]:
    """Two worker processes on this machine."""
    with LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as local:
        yield local.scheduler_address


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def workers_left() -> list[str]:
    names = [process.name for process in multiprocessing.active_children()]
    return [name for name in names if not name.startswith("Dask")]


def kept(store: ResultStore) -> dict[int, JobResult | None]:
    return {task.number: store.get(task.key) for task in tasks()}


def test_a_pool_gives_and_keeps_what_one_process_gives(
    serial: dict[int, JobResult], store: ResultStore
) -> None:
    with pool(2, store) as crew:
        assert results(crew) == serial
    assert kept(store) == serial
    assert not workers_left()


def test_a_cluster_gives_and_keeps_what_one_process_gives(
    serial: dict[int, JobResult], dask: str, store: ResultStore
) -> None:
    with cluster(dask, store) as crew:
        assert results(crew) == serial
    assert kept(store) == serial


def test_a_pool_runs_one_lot_after_another(serial: dict[int, JobResult], store: ResultStore) -> None:
    with pool(2, store) as crew:
        run = crew(RECIPE, TABLE)
        first, second = dict(run(tasks()[:5])), dict(run(tasks()[5:]))
    assert first | second == serial


@pytest.mark.parametrize("kind", ["pool", "cluster"])
def test_a_worker_with_other_code_is_found_out(kind: str, dask: str, store: ResultStore) -> None:
    other = replace(RECIPE, code="0" * 64)
    crews = pool(2, store) if kind == "pool" else cluster(dask, store)
    with crews as crew, pytest.raises(TuiTraderError, match="a worker runs other code than this command"):
        results(crew, other)
    assert not list(store.folder.glob("*.json"))


@pytest.mark.parametrize("kind", ["pool", "cluster"])
def test_a_strategy_that_a_worker_does_not_have_is_named(kind: str, dask: str, store: ResultStore) -> None:
    other = replace(RECIPE, strategy="nowhere")
    crews = pool(2, store) if kind == "pool" else cluster(dask, store)
    with crews as crew, pytest.raises(UsageError, match="in a worker: unknown strategy 'nowhere'"):
        results(crew, other)


def _probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: str) -> Recipe:
    user_strategy(tmp_path, monkeypatch)
    monkeypatch.setenv("PROBE", deed)
    strategy = find_strategy("probe", default_config_path().parent / "strategies")
    return replace(RECIPE, strategy="probe", code=code_digest(strategy))


def test_workers_find_the_users_own_strategy(
    serial: dict[int, JobResult], store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _probe(tmp_path, monkeypatch, "")
    with pool(2, store) as crew:
        assert results(crew, recipe) == serial


def test_a_worker_that_dies_ends_the_sweep_with_a_line(
    store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _probe(tmp_path, monkeypatch, "die:1")
    with pool(2, store) as crew, pytest.raises(TuiTraderError, match="a worker process died"):
        results(crew, recipe)
    assert not workers_left()


def test_leaving_a_pool_early_ends_its_workers_at_once(store: ResultStore) -> None:
    with contextlib.suppress(KeyboardInterrupt), pool(2, store) as crew:
        next(crew(RECIPE, TABLE)(tasks()))
        raise KeyboardInterrupt
    assert not workers_left()
    assert list(store.folder.glob("*.json"))


def test_workers_whose_bars_never_come_end_too(store: ResultStore) -> None:
    with contextlib.suppress(UsageError), pool(2, store):
        raise UsageError("the bars cannot be read")
    assert not workers_left()


def test_a_scheduler_that_is_not_there_is_told_in_time(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_trader.sweep.cluster._PATIENCE_S", 0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(TuiTraderError, match=f"no Dask scheduler answers at tcp://127.0.0.1:{port}"):
            cluster(f"tcp://127.0.0.1:{port}", store).__enter__()


def test_a_cluster_without_workers_is_told(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_trader.sweep.cluster._PATIENCE_S", 0.2)
    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as empty:
        address = empty.scheduler_address
        with pytest.raises(TuiTraderError, match=f"the scheduler at {address} has no workers"):
            cluster(address, store).__enter__()


def test_an_address_is_a_bare_host_and_port() -> None:
    assert scheduler_address("localhost:8786") == "tcp://localhost:8786"
    assert scheduler_address("[::1]:8786") == "tcp://[::1]:8786"
    for text in (
        "",
        "localhost",
        "localhost:",
        "localhost:0",
        "localhost:70000",
        "tls://h:1",
        "a b:1",
        "h:1/x",
    ):
        with pytest.raises(UsageError, match=r"write HOST:PORT, such as 127.0.0.1:8786"):
            scheduler_address(text)


def test_portions_hold_every_task_once_and_leave_work_for_all() -> None:
    for count in (1, 7, 200, 5000):
        lot = [Task(number, "", job()) for number in range(count)]
        portions = chunks(lot, 4)
        assert [task for portion in portions for task in portion] == lot
        assert len(portions) >= min(count, 64)
