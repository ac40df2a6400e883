"""What is committed is there, what is not is not, and nothing is lost when the disk says no."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.journal.records import OPEN, error, fill, minute, order, trade
from tui_trader.core.events import (
    BarReceived,
    CandleClosed,
    Event,
    Heartbeat,
    Published,
    WarmupProgress,
    to_json,
)
from tui_trader.core.orders import BrokerOrderId, EngineBug, OrderState
from tui_trader.engine.recorder import JournalUnavailable, OrderRecord, Recorder, Recovered
from tui_trader.errors import RefusedToStart
from tui_trader.journal import schema
from tui_trader.journal.store import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal.open(path, "normal")
    journal.use_book("sim", "SIM-1")
    yield journal
    journal.close()


def reopened(path: Path) -> Recovered:
    journal = Journal.open(path, "normal")
    journal.use_book("sim", "SIM-1")
    recovered = journal.recover(OPEN)
    journal.close()
    return recovered


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_a_journal_is_a_recorder(journal: Journal) -> None:
    recorder: Recorder = journal
    assert recorder is journal


def test_what_was_committed_reads_back_equal(journal: Journal, path: Path) -> None:
    accepted = OrderRecord(
        order("a").spec, "velez", OPEN, OrderState.ACCEPTED, BrokerOrderId("b-1"), 0, Decimal("188.99"), "new"
    )
    journal.intent(order("a"))
    journal.order(accepted, minute(1))
    journal.fill(fill("x1", 100))
    journal.trade(trade(minute(5)), minute(5))
    journal.latch("breaker", '{"tripped":true}')
    journal.commit()
    recovered = reopened(path)
    assert recovered.orders == (accepted,)
    assert recovered.open_fills == recovered.fills == (fill("x1", 100),)
    assert recovered.trades == (trade(minute(5)),)
    assert recovered.latches == {"breaker": '{"tripped":true}'}


def test_what_was_not_committed_is_not_there(journal: Journal, path: Path) -> None:
    journal.intent(order("a"))
    journal.fill(fill("x1", 100))
    assert reopened(path) == Recovered((), (), (), (), {})


def test_prices_keep_every_digit_and_no_exponent(journal: Journal, path: Path) -> None:
    journal.intent(order("a"))
    journal.commit()
    assert rows(path, "SELECT limit_price, planned_stop FROM orders") == [("190.50", "188.9900")]


def test_the_history_of_an_order_is_appended_and_its_latest_state_kept(journal: Journal, path: Path) -> None:
    journal.intent(order("a"))
    journal.order(order("a", OrderState.SUBMITTED), minute(1))
    journal.commit()
    journal.order(order("a", OrderState.FILLED, filled=100), minute(2))
    journal.commit()
    assert rows(path, "SELECT state, filled_qty FROM order_events ORDER BY id") == [
        ("INTENT", 0),
        ("SUBMITTED", 0),
        ("FILLED", 100),
    ]
    assert rows(path, "SELECT state, filled_qty, live FROM orders") == [("FILLED", 100, 0)]


def test_one_intent_twice_is_a_bug_also_after_a_restart(journal: Journal, path: Path) -> None:
    journal.intent(order("a"))
    with pytest.raises(EngineBug, match="in the journal already"):
        journal.intent(order("a"))
    journal.commit()
    again = Journal.open(path, "normal")
    again.use_book("sim", "SIM-1")
    with pytest.raises(EngineBug, match="in the journal already"):
        again.intent(order("a"))
    again.close()


def test_an_intent_in_another_state_is_a_bug(journal: Journal) -> None:
    with pytest.raises(EngineBug, match="is an INTENT"):
        journal.intent(order("a", OrderState.ACCEPTED))


def test_a_fill_is_booked_once_also_after_a_restart(journal: Journal, path: Path) -> None:
    assert journal.fill(fill("x1", 100)) is True
    assert journal.fill(fill("x1", 100)) is False
    journal.commit()
    assert journal.fill(fill("x1", 100)) is False
    again = Journal.open(path, "normal")
    again.use_book("sim", "SIM-1")
    assert again.fill(fill("x1", 100)) is False
    again.close()
    assert rows(path, "SELECT COUNT(*) FROM fills") == [(1,)]


def test_a_latch_holds_its_last_value_and_can_be_forgotten(journal: Journal, path: Path) -> None:
    journal.latch("breaker", "1")
    journal.latch("breaker", "2")
    journal.latch("paused", "true")
    journal.commit()
    journal.latch("paused", None)
    journal.commit()
    assert reopened(path).latches == {"breaker": "2"}


def test_market_data_is_not_kept(journal: Journal, path: Path) -> None:
    market: list[Event] = [
        BarReceived("AAPL", OPEN, 1.0, 1.0, 1.0, 1.0, 1, False),
        CandleClosed("AAPL", OPEN, 2, 1.0, 1.0, 1.0, 1.0, 1, 2, True, 1.0, 1.0),
        Heartbeat(1.0, 0, 0.0),
        WarmupProgress("AAPL", 1, 201, 0, 1),
    ]
    for seq, event in enumerate(market, 1):
        journal.event(Published(seq, OPEN, event))
    journal.event(error(5))
    journal.commit()
    assert rows(path, "SELECT seq, type, json FROM events") == [(5, "ErrorOccurred", to_json(error(5)))]


def test_text_no_file_can_hold_is_kept_as_its_escape(journal: Journal, path: Path) -> None:
    journal.intent(order("a", reason="half a pair \ud83d"))
    journal.event(error(1, "half a pair \ud83d"))
    journal.commit()
    assert reopened(path).orders[0].reason == "half a pair \\ud83d"


# ---- recovering ---------------------------------------------------------------------------------------


def test_recovery_finds_live_orders_recent_orders_and_those_behind_open_positions(
    journal: Journal, path: Path
) -> None:
    yesterday = minute(-24 * 60)
    for identity, state in [
        ("old-live", OrderState.UNKNOWN),
        ("old-done", OrderState.FILLED),
        ("old-open", OrderState.FILLED),
    ]:
        journal.intent(order(identity, created=yesterday))
        journal.order(order(identity, state, created=yesterday), yesterday)
    journal.intent(order("new-done"))
    journal.order(order("new-done", OrderState.CANCELED), minute(1))
    journal.fill(fill("x1", 100, order_id="old-open", time=yesterday))
    journal.commit()
    found = {record.spec.client_order_id for record in reopened(path).orders}
    assert found == {"old-live", "old-open", "new-done"}


def test_open_fills_begin_after_each_symbol_was_last_flat(journal: Journal, path: Path) -> None:
    story = [("x1", "AAPL", 100), ("x2", "TSLA", 100), ("x3", "AAPL", 0), ("x4", "AAPL", 100)]
    story += [("x5", "AAPL", 200), ("x6", "TSLA", 0), ("x7", "AMD", 100)]
    for count, (identity, symbol, position) in enumerate(story):
        journal.fill(fill(identity, position, symbol=symbol, time=minute(count - 100)))
    journal.commit()
    recovered = reopened(path)
    assert [record.execution.execution_id for record in recovered.open_fills] == ["x4", "x5", "x7"]
    assert recovered.fills == ()


def test_since_counts_the_instant_itself_and_fractions_of_a_second(journal: Journal, path: Path) -> None:
    for identity, seconds in [("before", -0.5), ("at", 0.0), ("after", 0.5)]:
        journal.fill(fill(identity, 0, time=minute(seconds / 60)))
        journal.trade(trade(minute(seconds / 60)), minute(1))
    journal.commit()
    recovered = reopened(path)
    assert [record.execution.execution_id for record in recovered.fills] == ["at", "after"]
    assert len(recovered.trades) == 2


# ---- books --------------------------------------------------------------------------------------------


def test_a_sealed_book_makes_room_for_the_same_ids_again(journal: Journal, path: Path) -> None:
    journal.intent(order("a"))
    journal.fill(fill("x1", 100))
    journal.latch("breaker", "1")
    journal.seal_book()
    assert journal.use_book("sim", "SIM-1") == 2
    assert journal.recover(OPEN) == Recovered((), (), (), (), {})
    journal.intent(order("a"))
    assert journal.fill(fill("x1", 100)) is True
    journal.commit()
    assert rows(path, "SELECT book_id FROM orders ORDER BY id") == [(1,), (2,)]


def test_an_unsealed_book_goes_on_and_accounts_are_apart(journal: Journal) -> None:
    assert journal.use_book("sim", "SIM-1") == 1
    assert journal.use_book("alpaca", "PA1") == 2
    assert journal.use_book("sim", "SIM-1") == 1


def test_writing_without_a_book_is_a_bug(journal: Journal) -> None:
    journal.seal_book()
    with pytest.raises(EngineBug, match="use_book"):
        journal.event(error(1))


# ---- a disk that says no ------------------------------------------------------------------------------


def test_a_locked_journal_keeps_its_rows_for_the_next_commit(journal: Journal, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    journal.intent(order("a"))
    with pytest.raises(JournalUnavailable, match="locked"):
        journal.commit()
    assert journal.fill(fill("x1", 100)) is True
    assert journal.fill(fill("x1", 100)) is False
    other.execute("ROLLBACK")
    other.close()
    journal.commit()
    recovered = reopened(path)
    assert [record.spec.client_order_id for record in recovered.orders] == ["a"]
    assert len(recovered.fills) == 1


def test_a_full_disk_commits_all_or_nothing_and_loses_nothing(journal: Journal, path: Path) -> None:
    connection = journal._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    journal.intent(order("a"))
    for seq in range(1, 500):
        journal.event(error(seq, "x" * 200))
    for _ in range(2):
        with pytest.raises(JournalUnavailable, match="full"):
            journal.commit()
        assert reopened(path).orders == ()
    connection.execute("PRAGMA max_page_count = 1000000")
    journal.commit()
    assert len(reopened(path).orders) == 1
    assert rows(path, "SELECT COUNT(*), MAX(seq) FROM events") == [(499, 499)]


def test_a_value_the_file_cannot_hold_is_no_crash(journal: Journal) -> None:
    journal.fill(fill("x1", 2**70))
    with pytest.raises(JournalUnavailable):
        journal.commit()


def test_a_closed_journal_says_so(path: Path) -> None:
    journal = Journal.open(path, "full")
    journal.use_book("sim", "SIM-1")
    journal.close()
    journal.event(error(1))
    with pytest.raises(JournalUnavailable, match="closed"):
        journal.commit()


# ---- files that are not a journal ---------------------------------------------------------------------


def refusal(path: Path) -> str:
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(RefusedToStart) as caught:
        Journal.open(path, "full")
    assert caught.value.exit_code == 3
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_of_garbage_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"this was never a database" * 1000)
    assert "is damaged" in refusal(path)


def test_damage_inside_the_orders_is_refused_and_left_alone(journal: Journal, path: Path) -> None:
    for number in range(500):
        journal.intent(order(f"order-{number}"))
    journal.commit()
    journal.close()
    content = bytearray(path.read_bytes())
    at = content.rindex(b"order-250")
    page = at // 4096 * 4096
    content[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    assert "is damaged" in refusal(path)


def test_another_programs_database_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    assert "another program" in refusal(path)


def test_a_journal_of_a_newer_version_is_refused(journal: Journal, path: Path) -> None:
    journal.close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    assert "newer tui-trader" in refusal(path)


def test_a_folder_in_the_journals_place_is_refused(path: Path) -> None:
    path.mkdir()
    assert "cannot be" in refusal(path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "cannot be opened" in refusal(tmp_path / "nowhere" / "journal.db")


def test_an_empty_file_is_a_journal_not_begun(path: Path) -> None:
    path.touch()
    Journal.open(path, "normal").close()
    assert rows(path, "PRAGMA user_version") == [(schema.VERSION,)]


def test_the_journal_is_for_its_owner_only(journal: Journal, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0


# ---- migrations ---------------------------------------------------------------------------------------


def test_a_migration_goes_forward_and_keeps_what_is_there(journal: Journal, path: Path) -> None:
    journal.intent(order("a"))
    journal.commit()
    journal.close()
    connection = sqlite3.connect(path, isolation_level=None)
    schema.migrate(connection, [*schema.MIGRATIONS, ["ALTER TABLE orders ADD COLUMN note TEXT"]])
    assert connection.execute("SELECT client_order_id, note FROM orders").fetchall() == [("a", None)]
    assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION + 1,)
    connection.close()


def test_a_migration_that_fails_half_way_changes_nothing(journal: Journal, path: Path) -> None:
    journal.close()
    connection = sqlite3.connect(path, isolation_level=None)
    steps = [*schema.MIGRATIONS, ["ALTER TABLE orders ADD COLUMN note TEXT", "CREATE TABLE orders (a)"]]
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, steps)
    assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    with pytest.raises(sqlite3.OperationalError, match="note"):
        connection.execute("SELECT note FROM orders")
    connection.close()
