"""Order ids that are derived, never drawn: the same signal always has the same id."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import Final

from tui_trader.core.orders import ClientOrderId, Role

MAX_LENGTH: Final = 48
_NAME_LENGTH: Final = 10
_DIGEST_LENGTH: Final = 12
_LETTER: Final = {Role.ENTRY: "E", Role.STOP: "S", Role.EXIT: "X"}
PREFIX: Final = "tt-"


def client_order_id(
    account: str,
    strategy: str,
    symbol: str,
    session: date,
    candle_start: datetime,
    n: int,
    role: Role,
    attempt: int,
) -> ClientOrderId:
    """The id of an order, at most 48 characters (DESIGN §6).

    ``n`` tells apart orders of one role that follow from one candle; ``attempt`` (from 1) rises only after a
    definitive refusal. A repeated send of the same order carries the same id, which a broker takes once.
    """
    start = candle_start.astimezone(UTC).isoformat()
    text = f"{account}|{strategy}|{symbol}|{session.isoformat()}|{start}|{n}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
    name = "".join(c for c in strategy if c.isalnum() or c == "_")[:_NAME_LENGTH]
    identity = f"{PREFIX}{name}-{symbol[:_NAME_LENGTH]}-{digest}-{_LETTER[role]}{attempt}"
    return ClientOrderId(identity[:MAX_LENGTH])


def is_ours(identity: str) -> bool:
    """Whether an order id was made by this program (of whichever run)."""
    return identity.startswith(PREFIX)
