"""The simulated broker's file: everything or nothing of a change, and a disk that refuses is no crash."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tui_trader.core.orders import (
    BrokerOrderId,
    ClientOrderId,
    Execution,
    ExecutionId,
    OrderSpec,
    OrderState,
    OrderType,
    Role,
    Side,
)
from tui_trader.venues.exchange.store import BrokerOrder, ExchangeStore

_TIME = datetime(2026, 6, 1, 13, 31, tzinfo=UTC)


def _order(number: int, state: OrderState = OrderState.ACCEPTED) -> BrokerOrder:
    identity = ClientOrderId(f"order-{number}")
    spec = OrderSpec(identity, f"S{number}", Role.STOP, Side.SELL, OrderType.STOP, 5, None, Decimal("9.50"))
    return BrokerOrder(spec, BrokerOrderId(f"sim-{number}"), state, _TIME)


def _execution(number: int) -> Execution:
    return Execution(
        ExecutionId(f"exec-{number}"), ClientOrderId("order-1"), "S1", Side.SELL, 5, Decimal("9.49"), _TIME
    )


def test_nothing_is_there_before_it_is_committed_and_all_of_it_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    store = ExchangeStore(path)
    store.set_fact("cash", "100")
    store.keep_order(_order(1))
    store.keep_execution(_execution(1))
    other = ExchangeStore(path)
    assert (other.fact("cash"), list(other.orders()), list(other.executions())) == (None, [], [])
    store.commit()
    assert other.fact("cash") == "100"
    assert list(other.orders()) == [_order(1)]
    assert list(other.executions()) == [_execution(1)]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_the_end_of_a_session_drops_what_ended_and_keeps_what_works(tmp_path: Path) -> None:
    store = ExchangeStore(tmp_path / "exchange.db")
    store.keep_order(_order(1))
    store.keep_order(_order(2, OrderState.FILLED))
    store.keep_execution(_execution(1))
    store.commit()
    store.end_session()
    store.commit()
    assert list(store.orders()) == [_order(1)]
    assert list(store.executions()) == []
    assert store.concerned() == {"S1"}


def test_a_wiped_store_is_empty_at_once_and_its_file_with_the_next_commit(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    store = ExchangeStore(path)
    store.set_fact("market", "old")
    store.commit()
    store.wipe()
    assert store.fact("market") is None
    assert ExchangeStore(path).fact("market") == "old"
    store.set_fact("market", "new")
    store.commit()
    assert ExchangeStore(path).fact("market") == "new"


def test_a_full_disk_is_told_and_caught_up_with(tmp_path: Path) -> None:
    store = ExchangeStore(tmp_path / "exchange.db")
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(200):
        store.keep_order(_order(number))
    store.commit()
    assert "cannot be written" in store.problem
    store._db.execute("PRAGMA max_page_count = 1000000")
    store.set_fact("cash", "100")
    store.commit()
    assert store.problem == ""
    assert len(list(store.orders())) == 200
