"""What an answer that is no success means for the order it was about."""

from __future__ import annotations

import json

import pytest

from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem, problem_of, refusal_of
from tui_trader.venues.base import Refusal


def told(status: int, code: int | None, message: object, **details: object) -> RestProblem:
    named = {} if code is None else {"code": code}
    return problem_of(status, json.dumps({**named, "message": message, **details}).encode())


@pytest.mark.parametrize(
    ("status", "code", "message", "refusal"),
    [
        (422, 40010001, "client_order_id must be unique", Refusal.DUPLICATE_ID),
        # The same code, and the very opposite of "it exists: adopt it".
        (422, 40010001, "unable to replace order, order isn't sent to exchange yet", Refusal.RATE_LIMITED),
        (422, 40010001, "unable to replace order, order is not open", Refusal.NOT_WORKING),
        (422, 40010001, "qty must be > 0", Refusal.REJECTED),
        (422, 42210000, 'order is already in "filled" state', Refusal.NOT_WORKING),
        (422, 42210000, 'cannot replace order in "pending_new" state', Refusal.NOT_WORKING),
        (422, 42210000, "order parameters are not changed", Refusal.REJECTED),
        (422, 42210000, "stop price must be less than current price", Refusal.PRICE_THROUGH_STOP),
        (422, 42210000, "invalid stop_price 1.005. sub-penny increment", Refusal.REJECTED),
        (403, 40310000, "insufficient buying power", Refusal.BUYING_POWER),
        (
            403,
            40310000,
            "insufficient qty available for order (requested: 10, available: 0)",
            Refusal.SHARES_HELD,
        ),
        (403, 40310000, "position intent mismatch, inferred: sell_to_open", Refusal.SHARES_HELD),
        (403, 40310000, "potential wash trade detected. use complex orders", Refusal.REJECTED),
        (
            403,
            40310000,
            "cannot open a long buy while a short sell order is open",
            Refusal.REJECTED,
        ),
        (429, 42910000, "too many requests.", Refusal.RATE_LIMITED),
    ],
)
def test_refusals_are_told_apart_by_alpacas_words(
    status: int, code: int, message: str, refusal: Refusal
) -> None:
    assert refusal_of(told(status, code, message)) is refusal


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (401, 40110000, "request is not authorized", ProblemKind.UNAUTHORIZED),
        (401, None, "unauthorized", ProblemKind.UNAUTHORIZED),
        (403, None, "forbidden.", ProblemKind.UNAUTHORIZED),
        (403, 40310000, "forbidden.", ProblemKind.UNAUTHORIZED),
        (403, 40310000, "insufficient buying power", ProblemKind.REFUSED),
        (
            403,
            None,
            "subscription does not permit querying recent SIP data",
            ProblemKind.REFUSED,
        ),
        (404, 40410000, "order not found for x", ProblemKind.NOT_FOUND),
        (404, None, "Not Found", ProblemKind.UNCLEAR),
        (408, None, "timeout", ProblemKind.UNCLEAR),
        (422, 42210000, "no", ProblemKind.REFUSED),
        (429, None, "too many requests", ProblemKind.RATE_LIMITED),
        (500, 50010000, "internal server error", ProblemKind.UNCLEAR),
        (504, None, "gateway timeout", ProblemKind.UNCLEAR),
        (302, None, "moved", ProblemKind.UNCLEAR),
    ],
)
def test_the_kind_says_whether_it_may_have_been_done(
    status: int, code: int | None, message: str, kind: ProblemKind
) -> None:
    assert told(status, code, message).kind is kind


@pytest.mark.parametrize("status", [400, 403, 404, 422, 500, 502, 504])
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_alpacas_own_answer_settles_nothing(status: int, body: bytes) -> None:
    assert problem_of(status, body).kind is ProblemKind.UNCLEAR


def test_a_429_is_one_whoever_says_it() -> None:
    assert problem_of(429, b"<html>slow down</html>").kind is ProblemKind.RATE_LIMITED


def test_wrong_keys_are_no_fault_of_the_order() -> None:
    assert refusal_of(told(401, 40110000, "request is not authorized")) is Refusal.RATE_LIMITED


def test_a_message_is_one_short_plain_line_without_keys() -> None:
    message = "bad\x1b[31m key\nSECRETKEY " + "x" * 500
    problem = problem_of(422, json.dumps({"code": 1, "message": message}).encode(), ["SECRETKEY"])
    assert problem.message.isprintable()
    assert len(problem.message) <= 200
    assert "SECRETKEY" not in problem.message
    assert str(problem) == problem.message


def test_details_hold_the_other_fields_without_keys() -> None:
    problem = problem_of(
        403,
        json.dumps(
            {"code": 40310000, "message": "x", "existing_order_id": "abc", "echo": "KEY", "nested": {"a": 1}}
        ).encode(),
        ["KEY"],
    )
    assert problem.details == {"existing_order_id": "abc", "echo": "***"}


@pytest.mark.parametrize("message", [None, 7, [], {}, ""])
def test_a_message_that_is_no_text_is_replaced_by_the_status(message: object) -> None:
    assert told(422, 42210000, message).message == "HTTP 422"


@pytest.mark.parametrize("code", ["40010001", None, True, 4.5, []])
def test_a_code_that_is_no_number_is_none(code: object) -> None:
    assert problem_of(422, json.dumps({"code": code, "message": "x"}).encode()).code is None
