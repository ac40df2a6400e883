"""`tui-trader journal`: a table for people, JSON Lines for programs, at any time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.journal.records import error, fill, minute, order, trade
from tui_trader.commands.journal import journal_text
from tui_trader.core.events import to_json
from tui_trader.core.orders import OrderState
from tui_trader.errors import UsageError
from tui_trader.journal.reader import Kind
from tui_trader.journal.store import JOURNAL_FILE, Journal

KINDS: tuple[Kind, ...] = ("orders", "fills", "trades", "events")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path / JOURNAL_FILE, "normal")
    journal.use_book("sim", "SIM-1")
    yield journal
    journal.close()


def table(kind: Kind, folder: Path, since: date | None = None) -> list[str]:
    return list(journal_text(kind, folder, since, as_json=False))


def documents(kind: Kind, folder: Path, since: date | None = None) -> list[dict[str, object]]:
    return [json.loads(line) for line in journal_text(kind, folder, since, as_json=True)]


def write_one_of_each(journal: Journal) -> None:
    journal.intent(order("a"))
    journal.order(order("a", OrderState.FILLED, filled=100), minute(1))
    journal.fill(fill("x1", 100))
    journal.trade(trade(minute(5)), minute(5))
    journal.event(error(1))
    journal.commit()


def test_every_kind_reads_while_the_engine_writes(journal: Journal, tmp_path: Path) -> None:
    write_one_of_each(journal)
    for kind in KINDS:
        assert len(table(kind, tmp_path)) == 3
        assert len(documents(kind, tmp_path)) == 1
    journal.event(error(2))
    journal.commit()
    assert len(documents("events", tmp_path)) == 2


def test_a_reader_half_way_does_not_stop_the_writer(journal: Journal, tmp_path: Path) -> None:
    for seq in range(1, 2501):
        journal.event(error(seq, time=minute(seq)))
    journal.commit()
    lines = iter(journal_text("events", tmp_path, None, as_json=True))
    first = next(lines)
    journal.event(error(2501, time=minute(2501)))
    journal.seal_book()
    assert [json.loads(line)["seq"] for line in [first, *lines]] == list(range(1, 2502))


def test_events_are_the_lines_that_were_published(journal: Journal, tmp_path: Path) -> None:
    write_one_of_each(journal)
    assert list(journal_text("events", tmp_path, None, as_json=True)) == [to_json(error(1))]


def test_json_keeps_decimal_text_and_names_the_book(journal: Journal, tmp_path: Path) -> None:
    write_one_of_each(journal)
    (found,) = documents("orders", tmp_path)
    assert found["book"] == 1
    assert found["account_id"] == "SIM-1"
    assert found["limit_price"] == "190.50"
    assert found["created"] == "2026-01-05T14:30:00Z"
    assert found["state"] == "FILLED"


def test_all_books_are_shown_in_order(journal: Journal, tmp_path: Path) -> None:
    write_one_of_each(journal)
    journal.seal_book()
    journal.use_book("sim", "SIM-1")
    write_one_of_each(journal)
    assert [found["book"] for found in documents("fills", tmp_path)] == [1, 2]
    headings = [line for line in table("fills", tmp_path) if line.startswith("Book ")]
    assert [heading.split(":")[0] for heading in headings] == ["Book 1", "Book 2"]
    assert "sealed" in headings[0]
    assert "sealed" not in headings[1]


def test_since_begins_with_its_day(journal: Journal, tmp_path: Path) -> None:
    journal.fill(fill("x1", 100, time=minute(-24 * 60)))
    journal.fill(fill("x2", 200, time=minute(0)))
    journal.commit()
    assert [found["execution_id"] for found in documents("fills", tmp_path, date(2026, 1, 5))] == ["x2"]
    assert table("fills", tmp_path, date(2026, 1, 6)) == ["No fills in the journal since 2026-01-06."]


def test_an_empty_journal_says_so_and_prints_no_json(journal: Journal, tmp_path: Path) -> None:
    assert table("trades", tmp_path) == ["No trades in the journal."]
    assert documents("trades", tmp_path) == []


def test_columns_line_up_also_with_wide_letters(journal: Journal, tmp_path: Path) -> None:
    journal.fill(fill("x1", 100, symbol="日本株式会社"))
    journal.fill(fill("x2", 100, symbol="AAPL"))
    journal.commit()
    _, _, wide, narrow = table("fills", tmp_path)
    assert narrow.index("buy") - wide.index("buy") == len("日本株式会社")


def test_nothing_from_outside_reaches_the_terminal_as_a_command(journal: Journal, tmp_path: Path) -> None:
    evil = "\x1b[2J\x9b31m\x7f\r\n\u202e[bold]"
    journal.intent(order("a", symbol=evil, reason=evil))
    journal.fill(fill("x1", 100, symbol=evil))
    journal.event(error(1, evil))
    journal.commit()
    for kind in ("orders", "fills", "events"):
        for as_json in (True, False):
            assert all(line.isprintable() for line in journal_text(kind, tmp_path, None, as_json))
    assert documents("events", tmp_path)[0]["message"] == evil
    assert documents("orders", tmp_path)[0]["reason"] == evil


def test_no_journal_yet_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no journal at .* yet: run tui-trader first"):
        journal_text("orders", tmp_path, None, as_json=False)
    (tmp_path / JOURNAL_FILE).touch()
    with pytest.raises(UsageError, match=r"no journal at .* yet"):
        journal_text("orders", tmp_path, None, as_json=False)


def test_a_damaged_journal_is_one_line(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(b"garbage" * 1000)
    with pytest.raises(UsageError, match="cannot be read"):
        journal_text("orders", tmp_path, None, as_json=False)


def test_a_folder_name_is_data(tmp_path: Path) -> None:
    folder = tmp_path / "odd ?mode=rwc#%20name"
    folder.mkdir()
    Journal.open(folder / JOURNAL_FILE, "normal").close()
    assert table("orders", folder) == ["No orders in the journal."]
