"""Whose account this is, whether it may trade, and that everybody agrees on whose money it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from tui_trader.errors import RefusedToStart
from tui_trader.venues.alpaca.access import AlpacaAccess
from tui_trader.venues.alpaca.problems import ProblemKind, RestProblem

_PAPER_HOST: Final = "paper-api.alpaca.markets"
_LIVE_HOST: Final = "api.alpaca.markets"
_KEY_PREFIXES: Final = {"PK": True, "AK": False}  # of paper and live keys; others tell nothing
_PAPER_NUMBERS: Final = "PA"
_LEAST_EQUITY: Final = Decimal(1)
_BLOCKS: Final = {
    "account_blocked": "Alpaca has blocked the account",
    "trading_blocked": "Alpaca has blocked trading in the account",
    "trade_suspended_by_user": "trading is suspended in the account's own settings",
}


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """The account as the broker describes it. Money in dollars."""

    number: str
    status: str
    equity: Decimal
    cash: Decimal
    buying_power: Decimal
    blocks: tuple[str, ...] = ()  # why it may not trade

    @property
    def last_four(self) -> str:
        """What a person types to confirm that this account is meant."""
        return self.number[-4:]

    @property
    def masked(self) -> str:
        """The number as it may be shown."""
        return f"…{self.last_four}"


def check_account(
    answer: Mapping[str, Any], access: AlpacaAccess, live: bool, typed: str | None
) -> AccountFacts:
    """The account, when nothing forbids to trade it.

    ``answer`` is GET /account; ``live`` whether real money was asked for; ``typed`` what was typed to confirm
    that, which is ignored on paper. Raises ``RefusedToStart`` with one line that says what to do.
    """
    check_interlock(access, live)
    facts = read_account(answer)
    check_usable(facts)
    if live:
        check_confirmation(facts, typed)
    return facts


def check_interlock(access: AlpacaAccess, live: bool) -> None:
    """Key, URLs, configuration and command line must agree whose money it is. Raises ``RefusedToStart``."""
    if live and access.paper:
        raise RefusedToStart(
            "--live asks for real money, the configuration for the paper account: "
            "set paper = false in [alpaca], or leave --live out"
        )
    if not live and not access.paper:
        raise RefusedToStart(
            "the configuration names the live account: add --live to trade real money, "
            "or set paper = true in [alpaca]"
        )
    wanted = _name(access.paper)
    key_is_paper = _KEY_PREFIXES.get(access.key_id.get_secret_value()[:2])
    if key_is_paper is not None and key_is_paper is not access.paper:
        raise RefusedToStart(
            f"the key is one of a {_name(key_is_paper)} account, the configuration asks for the {wanted} "
            f"account: use the {wanted} account's keys, or set paper = {_toml(key_is_paper)} in [alpaca]"
        )
    for setting in ("trading_url", "trading_stream_url"):
        host = urlsplit(getattr(access, setting)).hostname or ""
        host_is_paper = {_PAPER_HOST: True, _LIVE_HOST: False}.get(host)
        if host_is_paper is not None and host_is_paper is not access.paper:
            raise RefusedToStart(
                f"{setting} leads to the {_name(host_is_paper)} account, the configuration asks for the "
                f"{wanted} account: correct {setting} (or APCA_API_BASE_URL), or set "
                f"paper = {_toml(host_is_paper)} in [alpaca]"
            )
        if live and host_is_paper is None and not _is_this_machine(host):
            raise RefusedToStart(
                f"{setting} leads to {host}, which is not Alpaca: real money is traded at {_LIVE_HOST} only"
            )


def read_account(answer: Mapping[str, Any]) -> AccountFacts:
    """The broker's answer as facts. Raises ``RefusedToStart`` when it does not describe an account."""
    number, status = answer.get("account_number"), answer.get("status")
    if not isinstance(number, str) or not number or not isinstance(status, str):
        raise RefusedToStart("Alpaca's answer describes no account: check trading_url in [alpaca]")
    blocks = tuple(why for flag, why in _BLOCKS.items() if _is_set(answer, flag))
    equity, cash, buying_power = (_dollars(answer, key) for key in ("equity", "cash", "buying_power"))
    return AccountFacts(number, status, equity, cash, buying_power, blocks)


def check_usable(facts: AccountFacts) -> None:
    """Raises ``RefusedToStart`` when the account may not trade, or has nothing to trade with."""
    if facts.status.upper() != "ACTIVE":
        raise RefusedToStart(
            f"account {facts.masked} is {facts.status}, not ACTIVE: its page at Alpaca says what is missing"
        )
    if facts.blocks:
        raise RefusedToStart(f"account {facts.masked}: {facts.blocks[0]}: see its page at Alpaca")
    if facts.equity < _LEAST_EQUITY:
        raise RefusedToStart(
            f"account {facts.masked} has ${facts.equity:,.2f}: fund it, or at Alpaca reset the paper account"
        )


def check_confirmation(facts: AccountFacts, typed: str | None) -> None:
    """Real money wants the account's last four digits. Raises ``RefusedToStart`` when they were not typed."""
    if facts.number.startswith(_PAPER_NUMBERS):
        raise RefusedToStart("--live asks for real money, but these keys open a paper account")
    given = (typed or "").strip()
    if given != facts.last_four:
        raise RefusedToStart(
            "trading real money must be confirmed with the account's last four digits "
            f"({'none' if not given else 'others'} were given): type them when asked, or give --yes-live NNNN"
        )


def explained(problem: RestProblem, access: AlpacaAccess) -> RefusedToStart:
    """Why the trading API gave no answer at the start, as the line to end with."""
    host = urlsplit(access.trading_url).hostname
    match problem.kind:
        case ProblemKind.UNAUTHORIZED:
            wanted = _name(access.paper)
            return RefusedToStart(
                f"Alpaca does not accept these keys for the {wanted} account: copy key and secret again from "
                f"the {wanted} account's page (making new ones there ends the old ones)"
            )
        case ProblemKind.UNREACHABLE | ProblemKind.UNCLEAR:
            return RefusedToStart(
                f"no answer from {host} ({problem.message}): check the network, then try again"
            )
        case ProblemKind.RATE_LIMITED:
            return RefusedToStart("Alpaca's limit of 200 requests a minute is used up: wait a minute")
        case _:
            return RefusedToStart(
                f"{host} refuses the request ({problem.message}): check trading_url in [alpaca]"
            )


def _name(paper: bool) -> str:
    return "paper" if paper else "live"


def _toml(value: bool) -> str:
    return "true" if value else "false"


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_set(answer: Mapping[str, Any], flag: str) -> bool:
    return answer.get(flag) in (True, "true", "True")


def _dollars(answer: Mapping[str, Any], key: str) -> Decimal:
    try:
        amount = Decimal(str(answer.get(key)))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise RefusedToStart(f"Alpaca's answer does not say the account's {key.replace('_', ' ')}: try again")
    return amount
