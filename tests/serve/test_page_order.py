from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tui_trader.serve.order import PageOrder

ORDERS = [
    PageOrder(True, Path("/state")),
    PageOrder(
        False, Path("/a b/'c\"$(d)"), Path("/config.toml"), ("AAPL", "BRK.B"), 7, None, date(2026, 6, 1),
        Decimal("1234.56"), 0,
    ),
]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_survives_its_way_to_the_process(order: PageOrder) -> None:
    assert PageOrder.from_json(order.to_json()) == order


@pytest.mark.parametrize("order", ORDERS)
def test_an_engine_of_a_pages_own_never_leaves_the_simulation(order: PageOrder) -> None:
    options = order.run_options()
    assert (options.venue, options.live, options.control) == ("sim", False, "off")
