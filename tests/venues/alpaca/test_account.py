"""Whose money it is, and whether it may be traded: everything that must stop a start does."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from tui_trader.errors import RefusedToStart
from tui_trader.settings import AlpacaSettings
from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.alpaca.account import AccountFacts, check_account, explained
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem

SECRET = "hush-hush-secret"


def access(paper: bool, key: str, **settings: Any) -> AlpacaAccess:
    return AlpacaAccess.of(
        AlpacaSettings(key_id=SecretStr(key), secret_key=SecretStr(SECRET), paper=paper, **settings)
    )


PAPER = access(True, "PKPAPERKEY")
LIVE = access(False, "AKLIVEKEY")
ANSWER = {
    "id": "904837e3", "account_number": "PA3TWZ9FAKE1", "status": "ACTIVE", "equity": "100000.5",
    "cash": "90000", "buying_power": "380000.25", "account_blocked": False, "trading_blocked": False,
    "trade_suspended_by_user": False,
}  # fmt: skip
LIVE_ANSWER = ANSWER | {"account_number": "912345678"}


def refusal(answer: dict[str, Any], keys: AlpacaAccess, live: bool = False, typed: str | None = None) -> str:
    """The one line that a start ends with; no secret is in it."""
    with pytest.raises(RefusedToStart) as refused:
        check_account(answer, keys, live, typed)
    line = str(refused.value)
    assert SECRET not in line
    assert keys.key_id.get_secret_value() not in line
    assert "\n" not in line
    return line


def test_a_paper_account_that_may_trade_is_described() -> None:
    facts = check_account(ANSWER, PAPER, False, None)
    assert facts == AccountFacts(
        "PA3TWZ9FAKE1", "ACTIVE", Decimal("100000.5"), Decimal(90000), Decimal("380000.25")
    )
    assert (facts.last_four, facts.masked) == ("AKE1", "…AKE1")


def test_a_live_account_wants_its_last_four_digits() -> None:
    assert check_account(LIVE_ANSWER, LIVE, True, "5678").number == "912345678"
    assert check_account(LIVE_ANSWER, LIVE, True, " 5678\n").number == "912345678"
    for typed in (None, "", "1234", "912345678", "56780", "yes"):
        line = refusal(LIVE_ANSWER, LIVE, True, typed)
        assert "last four digits" in line
        assert "5678" not in line


def test_paper_asks_for_no_confirmation() -> None:
    assert check_account(ANSWER, PAPER, False, "0000").number == "PA3TWZ9FAKE1"


def test_live_needs_both_the_configuration_and_the_command_line() -> None:
    assert "set paper = false" in refusal(ANSWER, PAPER, True, "AKE1")
    assert "add --live" in refusal(LIVE_ANSWER, LIVE, False)


@pytest.mark.parametrize(("paper", "key"), [(True, "AKLIVEKEY"), (False, "PKPAPERKEY")])
def test_a_key_of_the_other_account_is_refused(paper: bool, key: str) -> None:
    wrong = access(paper, key)
    assert refusal(ANSWER, wrong, not paper, "AKE1").startswith("the key is one of a ")


@pytest.mark.parametrize("paper", [True, False])
@pytest.mark.parametrize("setting", ["trading_url", "trading_stream_url"])
def test_a_url_of_the_other_account_is_refused(paper: bool, setting: str) -> None:
    host = "api.alpaca.markets" if paper else "paper-api.alpaca.markets"
    url = f"https://{host}" if setting == "trading_url" else f"wss://{host}/stream"
    wrong = access(paper, "PKKEY" if paper else "AKKEY", **{setting: url})
    line = refusal(ANSWER, wrong, not paper, "AKE1")
    assert line.startswith(f"{setting} leads to the {'live' if paper else 'paper'} account")


def test_real_money_goes_to_alpaca_or_this_machine_and_nowhere_else() -> None:
    elsewhere = access(False, "AKKEY", trading_url="https://proxy.example.com")
    assert "proxy.example.com, which is not Alpaca" in refusal(LIVE_ANSWER, elsewhere, True, "5678")
    for host in ("127.0.0.1:8080", "localhost:8080", "[::1]:8080"):
        here = access(False, "AKKEY", trading_url=f"http://{host}", trading_stream_url=f"ws://{host}/stream")
        assert check_account(LIVE_ANSWER, here, True, "5678").last_four == "5678"


def test_paper_may_be_reached_through_another_host() -> None:
    proxied = access(True, "CKOTHER", trading_url="https://proxy.example.com")
    assert check_account(ANSWER, proxied, False, None).status == "ACTIVE"


def test_a_paper_account_is_never_taken_for_a_live_one() -> None:
    unknown_key = access(False, "CKOTHER")
    assert "open a paper account" in refusal(ANSWER, unknown_key, True, "AKE1")


@pytest.mark.parametrize("status", ["INACTIVE", "ACCOUNT_CLOSED", "SUBMITTED", "SOMETHING_NEW"])
def test_an_account_that_is_not_active_is_refused(status: str) -> None:
    assert refusal(ANSWER | {"status": status}, PAPER).startswith(f"account …AKE1 is {status}, not ACTIVE")


@pytest.mark.parametrize("flag", ["account_blocked", "trading_blocked", "trade_suspended_by_user"])
@pytest.mark.parametrize("value", [True, "true"])
def test_a_blocked_account_is_refused(flag: str, value: object) -> None:
    assert "see its page at Alpaca" in refusal(ANSWER | {flag: value}, PAPER)


def test_flags_that_are_absent_block_nothing() -> None:
    short = {k: ANSWER[k] for k in ("account_number", "status", "equity", "cash", "buying_power")}
    assert check_account(short, PAPER, False, None).blocks == ()


@pytest.mark.parametrize("equity", ["0", "0.99", "-250.10"])
def test_an_account_without_money_is_refused(equity: str) -> None:
    assert f"has ${Decimal(equity):,.2f}" in refusal(ANSWER | {"equity": equity}, PAPER)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"message": "hello"},
        ANSWER | {"account_number": None},
        ANSWER | {"account_number": ""},
        ANSWER | {"status": 7},
        ANSWER | {"equity": None},
        ANSWER | {"cash": "NaN"},
        ANSWER | {"buying_power": "a lot"},
    ],
    ids=str,
)
def test_an_answer_that_describes_no_account_is_refused(answer: dict[str, Any]) -> None:
    assert refusal(answer, PAPER).startswith("Alpaca's answer ")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (ProblemKind.UNAUTHORIZED, "Alpaca does not accept these keys for the paper account: "),
        (ProblemKind.UNREACHABLE, "no answer from paper-api.alpaca.markets (what was said): "),
        (ProblemKind.UNCLEAR, "no answer from paper-api.alpaca.markets (what was said): "),
        (ProblemKind.RATE_LIMITED, "Alpaca's limit of 200 requests a minute is used up: "),
        (ProblemKind.REFUSED, "paper-api.alpaca.markets refuses the request (what was said): "),
        (ProblemKind.NOT_FOUND, "paper-api.alpaca.markets refuses the request (what was said): "),
    ],
)
def test_why_there_was_no_answer_is_said_with_what_to_do(kind: ProblemKind, said: str) -> None:
    line = str(explained(RestProblem(kind, "what was said"), PAPER))
    assert line.startswith(said)
    assert len(line) > len(said)


def test_the_account_number_stays_out_of_what_is_shown() -> None:
    facts = check_account(LIVE_ANSWER, LIVE, True, "5678")
    assert facts.number not in replace(facts, blocks=()).masked
