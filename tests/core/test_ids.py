"""Order ids are derived, short and distinct."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.making import OPEN
from tui_trader.core.ids import MAX_LENGTH, client_order_id, is_ours
from tui_trader.core.orders import Role

symbols = st.from_regex(r"\A[A-Z][A-Z0-9.\-]{0,9}\Z")
strategies = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_\-]{0,39}\Z")
roles = st.sampled_from([Role.ENTRY, Role.STOP, Role.EXIT])
SIGNAL: dict[str, Any] = {
    "account": "SIM-7",
    "strategy": "velez",
    "symbol": "AAPL",
    "session": date(2026, 6, 1),
    "candle_start": OPEN,
    "n": 0,
    "role": Role.ENTRY,
    "attempt": 1,
}


def test_an_id_says_what_it_is_for() -> None:
    assert re.fullmatch(r"tt-velez-AAPL-[0-9a-f]{12}-E1", client_order_id(**SIGNAL))
    assert client_order_id(**SIGNAL | {"role": Role.STOP}).endswith("-S1")
    assert client_order_id(**SIGNAL | {"role": Role.EXIT, "attempt": 12}).endswith("-X12")


def test_an_id_is_the_same_on_every_machine_and_day() -> None:
    assert client_order_id(**SIGNAL) == client_order_id(**SIGNAL) == "tt-velez-AAPL-f322bd73a034-E1"


@given(st.text(max_size=40), strategies, symbols, roles, st.integers(0, 10**6), st.integers(1, 10**6))
def test_every_legal_name_makes_an_id_that_a_broker_takes(
    account: str, strategy: str, symbol: str, role: Role, n: int, attempt: int
) -> None:
    identity = client_order_id(account, strategy, symbol, date(2026, 6, 1), OPEN, n, role, attempt)
    assert len(identity) <= MAX_LENGTH == 48
    assert re.fullmatch(r"[A-Za-z0-9_.\-]+", identity)
    assert identity.endswith(f"{attempt}"), "what tells attempts apart is not cut off"
    assert is_ours(identity)


def test_the_longest_names_fit() -> None:
    longest = SIGNAL | {"strategy": "a" * 40, "symbol": "ABCDEFGHIJ", "n": 10**9, "attempt": 999}
    assert client_order_id(**longest).endswith("-E999")


@pytest.mark.parametrize(
    "change",
    [
        {"account": "SIM-8"},
        {"strategy": "velez2"},
        {"strategy": "vel-ez"},
        {"symbol": "AAPL.B"},
        {"session": date(2026, 6, 2)},
        {"candle_start": OPEN + timedelta(minutes=2)},
        {"n": 1},
        {"role": Role.STOP},
        {"role": Role.EXIT},
        {"attempt": 2},
    ],
    ids=str,
)
def test_whatever_differs_makes_another_id(change: dict[str, Any]) -> None:
    assert client_order_id(**SIGNAL | change) != client_order_id(**SIGNAL)


def test_a_years_ids_are_all_distinct() -> None:
    starts = [OPEN + timedelta(minutes=2 * n) for n in range(5000)]
    made = {
        client_order_id("A", "velez", symbol, start.date(), start, n, role, attempt)
        for start in starts
        for symbol in ("AAPL", "TSLA")
        for n, role, attempt in ((0, Role.ENTRY, 1), (0, Role.STOP, 1), (1, Role.STOP, 1), (0, Role.EXIT, 1))
    }
    assert len(made) == 5000 * 2 * 4


def test_the_instant_counts_and_not_the_zone_it_is_written_in() -> None:
    from tui_trader.core.calendar import NEW_YORK

    local: datetime = OPEN.astimezone(NEW_YORK)
    assert client_order_id(**SIGNAL | {"candle_start": local}) == client_order_id(**SIGNAL)


@pytest.mark.parametrize("foreign", ["", "velez-AAPL", "TT-velez", "c0ffee"])
def test_other_programs_orders_are_not_ours(foreign: str) -> None:
    assert not is_ours(foreign)
