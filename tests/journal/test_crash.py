"""A process killed in the middle of its work loses nothing that it had committed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.journal.records import OPEN
from tui_trader.journal.store import Journal

_REPOSITORY: Final = Path(__file__).parents[2]

# Says an order's id only after its commit returned, for ever.
_WRITER: Final = """
import itertools, sys
from pathlib import Path
from tests.journal.records import error, fill, order
from tui_trader.journal.store import Journal
journal = Journal.open(Path(sys.argv[1]), sys.argv[2])
journal.use_book("sim", "SIM-1")
for number in itertools.count(1):
    journal.intent(order(f"order-{number}"))
    journal.fill(fill(f"fill-{number}", 0, order_id=f"order-{number}"))
    for seq in range(20):
        journal.event(error(seq, "x" * 500))
    journal.commit()
    print(number, flush=True)
"""


@pytest.mark.parametrize("durability", ["full", "normal"])
@pytest.mark.parametrize("said", [1, 150])
def test_every_committed_intent_survives_a_kill_and_none_is_half_there(
    tmp_path: Path, durability: str, said: int
) -> None:
    path = tmp_path / "journal.db"
    command = [sys.executable, "-c", _WRITER, str(path), durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_REPOSITORY) as writer:
        assert writer.stdout is not None
        for _ in range(said):
            assert writer.stdout.readline()
        writer.kill()
        more = writer.stdout.read().split()
        assert writer.wait() == -signal.SIGKILL
    journal = Journal.open(path, "full")
    journal.use_book("sim", "SIM-1")
    recovered = journal.recover(OPEN)
    journal.close()
    count = len(recovered.orders)
    assert count >= said + len(more)
    assert [record.spec.client_order_id for record in recovered.orders] == [
        f"order-{number}" for number in range(1, count + 1)
    ]
    assert len(recovered.fills) == count
    connection = sqlite3.connect(path)
    counts = [
        connection.execute(query).fetchone()[0]
        for query in ("SELECT COUNT(*) FROM order_events", "SELECT COUNT(*) / 20.0 FROM events")
    ]
    connection.close()
    assert counts == [count, count]
