"""What can go wrong with a REST request, by what is known of it afterwards.

The one question that matters for an order is whether it may have been done: ``UNREACHABLE`` and every refusal
say that it was not, ``UNCLEAR`` says that only the broker knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tui_trader.venues.alpaca.redaction import one_line
from tui_trader.venues.base import Refusal

_MAX_MESSAGE: Final = 200
_KEYS_ARE_WRONG: Final = re.compile(r"forbidden\.?|.*\b(unauthorized|not authorized)\b.*", re.I)

#: Alpaca's codes are ambiguous, its words less so. The first that fits counts.
_WORDS: Final = tuple(
    (re.compile(words, re.I), refusal)
    for words, refusal in (
        (r"client_order_id must be unique", Refusal.DUPLICATE_ID),
        # The old order works on, and the same replace may succeed in a moment.
        (r"order isn't sent to exchange yet", Refusal.RATE_LIMITED),
        (r"\border is already in\b|\border is not (open|cancelable)", Refusal.NOT_WORKING),
        (r"\bcannot replace order\b|\border in \w+ status cannot be changed", Refusal.NOT_WORKING),
        (r"stop price must be (less|greater) than current price", Refusal.PRICE_THROUGH_STOP),
        (r"insufficient qty|position intent mismatch", Refusal.SHARES_HELD),
        (r"insufficient buying power", Refusal.BUYING_POWER),
    )
)  # fmt: skip


class ProblemKind(StrEnum):
    UNREACHABLE = "unreachable"  # never connected: certainly not done
    UNCLEAR = "unclear"  # sent, and no answer or a useless one: timeout, reset, 5xx, HTML
    UNAUTHORIZED = "unauthorized"  # the keys are wrong or revoked
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"  # certainly not done, by the broker's limit or by ours
    REFUSED = "refused"  # any other 4xx


class RestProblem(Exception):  # noqa: N818 - an answer like any other, not a bug
    """A request that brought no result.

    ``message`` is one plain line of at most 200 characters without keys; ``status`` and ``code`` are HTTP's
    and Alpaca's, None when there was no such answer; ``details`` are the other fields of the answer.
    """

    def __init__(
        self,
        kind: ProblemKind,
        message: str,
        *,
        status: int | None = None,
        code: int | None = None,
        details: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.code = code
        self.details = details


def problem_of(status: int, body: bytes, secrets: Iterable[str] = ()) -> RestProblem:
    """The problem that an answer with a ``status`` other than 2xx describes."""
    secrets = tuple(secrets)
    said = _json_object(body)
    if said is None:
        # Not Alpaca's own words: a proxy or a load balancer speaks. What it calls "not found" or "forbidden"
        # says nothing about an order.
        kind = ProblemKind.RATE_LIMITED if status == 429 else ProblemKind.UNCLEAR
        return RestProblem(kind, f"HTTP {status} without an answer of Alpaca's", status=status)
    code = said.get("code")
    code = code if isinstance(code, int) and not isinstance(code, bool) else None
    words = _shortened(said.get("message"), secrets) or f"HTTP {status}"
    details = {
        name: one_line(value, secrets) if isinstance(value, str) else value
        for name, value in said.items()
        if name not in ("code", "message") and isinstance(value, str | int | float)
    }
    return RestProblem(_kind(status, code, words), words, status=status, code=code, details=details)


def _kind(status: int, code: int | None, words: str) -> ProblemKind:
    match status:
        case 429:
            return ProblemKind.RATE_LIMITED
        case 401:
            return ProblemKind.UNAUTHORIZED
        case 403 if _KEYS_ARE_WRONG.fullmatch(words):
            return ProblemKind.UNAUTHORIZED
        case 404:
            # Without Alpaca's code it may be the path that is unknown, and not what was asked for.
            return ProblemKind.NOT_FOUND if str(code).startswith("404") else ProblemKind.UNCLEAR
        case 408:
            return ProblemKind.UNCLEAR
        case _ if 400 <= status < 500:
            return ProblemKind.REFUSED
        case _:
            return ProblemKind.UNCLEAR


def refusal_of(problem: RestProblem) -> Refusal:
    """What there is to do about an order that was certainly not taken."""
    if problem.kind in (ProblemKind.RATE_LIMITED, ProblemKind.UNAUTHORIZED):
        return Refusal.RATE_LIMITED  # nothing is wrong with the order itself
    return next((refusal for words, refusal in _WORDS if words.search(problem.message)), Refusal.REJECTED)


def _json_object(body: bytes) -> dict[str, object] | None:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _shortened(text: object, secrets: Iterable[str]) -> str:
    plain = one_line(" ".join(text.split()), secrets) if isinstance(text, str) else ""
    return plain if len(plain) <= _MAX_MESSAGE else f"{plain[: _MAX_MESSAGE - 1]}…"
