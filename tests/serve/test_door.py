from __future__ import annotations

import socket

import pytest

from tui_trader.errors import UsageError
from tui_trader.serve.door import Door
from tui_trader.serve.listen import parse_listen


def token(door: Door) -> str:
    return door.address("127.0.0.1", 80).rpartition("=")[2]


def test_the_token_has_256_bits_and_every_start_has_another() -> None:
    tokens = {token(Door("127.0.0.1")) for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(one) >= 43 for one in tokens)  # base64 of 32 bytes


def test_only_the_token_opens_and_only_the_cookie_keeps_it_open() -> None:
    door = Door("127.0.0.1")
    assert door.holds_token(token(door))
    assert door.holds_cookie(door.cookie)
    assert door.cookie != token(door)
    for wrong in (None, "", token(door)[:-1], token(door) + "x", token(door).swapcase(), "\udcff", "é"):
        assert not door.holds_token(wrong)
        assert not door.holds_cookie(wrong)
    assert not door.holds_cookie(token(door))
    assert not door.holds_token(door.cookie)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:9", "LOCALHOST", "127.0.0.1", "[::1]:8080"])
def test_loopback_is_ours_at_any_port_so_that_a_tunnel_can_begin_elsewhere(host: str) -> None:
    assert Door("127.0.0.1").is_ours([host])


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["127.0.0.1:80", "127.0.0.1:80"],
        ["evil.example:8080"],
        ["127.0.0.1.evil.example"],
        ["localhost.evil.example"],
        ["192.168.1.5:8080"],
        ["127.0.0.1:port"],
        ["user@127.0.0.1"],
        [""],
    ],
)
def test_a_name_that_is_not_ours_is_foreign(hosts: list[str]) -> None:
    assert not Door("127.0.0.1").is_ours(hosts)


def test_a_server_open_to_others_answers_to_addresses_and_its_own_name() -> None:
    door = Door("0.0.0.0")
    assert door.is_ours(["192.168.1.5:8080"])
    assert door.is_ours([f"{socket.gethostname()}:8080"])
    assert not door.is_ours(["evil.example:8080"])
    assert Door("trading.lan").is_ours(["trading.lan:80"])
    assert door.address("0.0.0.0", 8080).startswith(f"http://{socket.gethostname()}:8080/?token=")


@pytest.mark.parametrize(
    ("origins", "ours"),
    [
        (["http://127.0.0.1:8080"], True),
        (["HTTP://127.0.0.1:8080"], True),
        ([], False),
        (["null"], False),
        (["http://127.0.0.1:8081"], False),
        (["http://localhost:8080"], False),
        (["https://127.0.0.1:8080"], False),
        (["http://evil.example"], False),
        (["http://127.0.0.1:8080", "http://127.0.0.1:8080"], False),
    ],
)
def test_a_page_of_another_site_or_port_is_not_our_page(origins: list[str], ours: bool) -> None:
    assert Door.is_own_page("127.0.0.1:8080", origins) is ours


def test_the_room_cannot_be_guessed() -> None:
    rooms = {Door("127.0.0.1").room for _ in range(20)}
    assert len(rooms) == 20
    assert all(room.startswith("/") and room.endswith("/") and len(room) >= 16 for room in rooms)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost:8080", ("127.0.0.1", 8080)),
        ("[::1]:8080", ("::1", 8080)),
    ],
)
def test_loopback_is_listened_on_without_a_word(text: str, where: tuple[str, int]) -> None:
    assert parse_listen(text, exposed=False) == where


@pytest.mark.parametrize("text", ["0.0.0.0:8080", "192.168.1.5:8080", "[::]:8080", "trading.lan:8080"])
def test_other_machines_need_a_word_that_says_what_it_means(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_listen(text, exposed=False)
    for part in ("open to other machines", "unencrypted", "steer the engine", "ssh -L", "--expose"):
        assert part in str(caught.value)
    assert parse_listen(text, exposed=True)[1] == 8080


@pytest.mark.parametrize(
    "text", ["", "8080", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", "http://127.0.0.1:1"]
)
def test_what_is_no_address_is_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not HOST:PORT"):
        parse_listen(text, exposed=True)
