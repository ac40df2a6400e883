"""The server of pages, asked as a browser and as somebody else would; its pages' processes are doubles."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.control.double import FakeEngine, serving
from tui_trader.errors import UsageError
from tui_trader.serve import web
from tui_trader.serve.door import COOKIE, Door
from tui_trader.serve.order import PageOrder
from tui_trader.serve.web import MOST_PAGES, PageServer, frontend
from tui_trader.venues.base import Mode


class FakeProcess:
    """A screen that says what it was told and closes at ``q``."""

    started: list[FakeProcess]
    words = ""

    def __init__(self, order: PageOrder, columns: int, rows: int) -> None:
        self.order = order
        self.told: list[object] = [(columns, rows)]
        self.folder_was_there = order.state_dir.is_dir()
        self.ended = False
        self.pid = 1000 + len(self.started)
        self._over = asyncio.Event()

    @classmethod
    async def start(cls, order: PageOrder, columns: int, rows: int) -> FakeProcess:
        process = cls(order, columns, rows)
        cls.started.append(process)
        return process

    async def relay(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        await write(b"a picture")
        await self._over.wait()

    async def type(self, keys: str) -> None:
        self.told.append(keys)
        if keys == "q":
            self._over.set()

    async def resize(self, columns: int, rows: int) -> None:
        self.told.append((columns, rows))

    async def focus(self, has_it: bool) -> None:
        self.told.append(has_it)

    async def end(self) -> str:
        self.ended = True
        return self.words


class Site:
    """A running server, and a browser that may have its cookie."""

    def __init__(self, server: PageServer, door: Door, port: int, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.door = door
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}"
        self.room = self.url + door.room
        self.token_url = door.address("127.0.0.1", port)
        self.session = session
        self.said: list[str] = []

    def cookie(self) -> dict[str, str]:
        return {"Cookie": f"{COOKIE}={self.door.cookie}"}

    async def get(self, url: str, **headers: str) -> tuple[int, str, Any]:
        async with self.session.get(
            url,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            allow_redirects=False,
        ) as answer:
            return answer.status, await answer.text(errors="replace"), answer.headers

    async def page(self) -> str:
        """Load a page; the address of its socket."""
        status, text, _ = await self.get(self.room, **self.cookie())
        assert status == 200, text
        return re.findall(r'data-session-websocket-url="([^"]+)"', text)[0]

    async def socket(self, url: str, size: str = "?width=100&height=30", **headers: str) -> Any:
        given = {"Origin": self.url} | self.cookie() | headers
        return await self.session.ws_connect(
            "http" + url.removeprefix("ws") + size, headers={k: v for k, v in given.items() if v}
        )


@pytest_asyncio.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(web, "PageProcess", FakeProcess)
    monkeypatch.setattr(FakeProcess, "started", [], raising=False)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    door = Door("127.0.0.1")
    said: list[str] = []
    server = PageServer(PageOrder(False, tmp_path, seed=7), door, frontend(), said.append)
    ready, stopping = asyncio.Event(), asyncio.Event()
    port = listener.getsockname()[1]
    running = asyncio.create_task(server.run(listener, ready.set, stopping))
    await ready.wait()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        made = Site(server, door, port, session)
        made.said = said
        yield made
    stopping.set()
    await running


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.01)


# ---- who may come in ---------------------------------------------------------------------------------


async def test_the_printed_address_gives_a_cookie_and_takes_the_token_out_of_sight(site: Site) -> None:
    status, _, headers = await site.get(site.token_url)
    assert status == 303
    assert headers["Location"] == site.door.room
    cookie = headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}={site.door.cookie};")
    for part in ("HttpOnly", "SameSite=Strict", f"Path={site.door.room}"):
        assert part in cookie


async def test_without_the_token_or_the_cookie_nothing_is_shown(site: Site) -> None:
    wrong = {"Cookie": f"{COOKIE}={site.door.cookie[:-1]}"}
    for url in (site.url + "/", site.url + "/?token=", site.url + "/?token=x", site.token_url[:-1]):
        assert (await site.get(url))[0] == 401
    for path in ("", "static/js/textual.js", "own/page.js", "words/x", "ws/x", "nothing"):
        assert (await site.get(site.room + path))[0] == 401
        assert (await site.get(site.room + path, **wrong))[0] == 401
    assert (await site.get(site.url + "/elsewhere", **site.cookie()))[0] == 404


async def test_a_foreign_host_is_refused_before_anything_else(site: Site) -> None:
    for url in (site.token_url, site.room):
        status, text, headers = await site.get(url, Host="evil.example", **site.cookie())
        assert (status, text) == (403, "foreign Host")
        assert "Set-Cookie" not in headers


async def test_a_socket_needs_the_cookie_our_origin_and_a_page(site: Site) -> None:
    for headers, status in (
        ({"Cookie": ""}, 401),
        ({"Cookie": f"{COOKIE}=x"}, 401),
        ({"Origin": ""}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Host": "evil.example"}, 403),
    ):
        url = await site.page()
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await site.socket(url, **headers)
        assert caught.value.status == status, headers
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await site.socket((await site.page()) + "x")
    assert caught.value.status == 404
    assert FakeProcess.started == []


async def test_a_pages_socket_opens_once(site: Site) -> None:
    url = await site.page()
    async with await site.socket(url):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await site.socket(url)
    assert len(FakeProcess.started) == 1


async def test_every_answer_forbids_caching_framing_and_guessing(site: Site) -> None:
    for url in (
        site.token_url,
        site.url,
        site.room,
        site.room + "own/page.css",
        site.room + "static/nothing",
    ):
        headers = (await site.get(url, **site.cookie()))[2]
        assert headers["Cache-Control"] == "no-store", url
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Server"] == "tui-trader"


# ---- what a page is ----------------------------------------------------------------------------------


async def test_the_page_names_no_other_host_and_may_reach_none(site: Site) -> None:
    _, text, headers = await site.get(site.room, **site.cookie())
    style = (await site.get(site.room + "own/page.css", **site.cookie()))[1]
    script = (await site.get(site.room + "own/page.js", **site.cookie()))[1]
    for content in (text, style, script):
        assert not re.search(r"https?:|wss?:|[\"'(]//", content.replace(f"ws://{site.host}", ""))
    rules = dict(rule.strip().partition(" ")[::2] for rule in headers["Content-Security-Policy"].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["font-src"] == "'self'"
    assert rules["connect-src"] == f"'self' ws://{site.host}"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "popups" not in rules["sandbox"]
    assert "navigation" not in rules["sandbox"]


async def test_all_that_the_page_refers_to_is_here(site: Site) -> None:
    _, text, _ = await site.get(site.room, **site.cookie())
    _, style, _ = await site.get(site.room + "own/page.css", **site.cookie())
    files = re.findall(r'(?:href|src)="([^"]+[.](?:css|js))"', text)
    files += [path.removeprefix("../") for path in re.findall(r'url\("([^"]+)"\)', style)]
    assert len(files) == 6
    for path in files:
        assert (await site.get(site.room + path, **site.cookie()))[0] == 200, path


async def test_files_beside_those_stay_where_they_are(site: Site) -> None:
    for path in ("static/../page.html", "static/%2e%2e/server.py", "own/web.py", "own/page.html", "static/"):
        assert (await site.get(site.room + path, **site.cookie()))[0] in (403, 404), path


async def test_without_an_engine_the_page_says_that_it_runs_its_own(site: Site, tmp_path: Path) -> None:
    _, text, _ = await site.get(site.room, **site.cookie())
    assert "This page runs its own simulated engine; it ends when the page is closed." in text
    assert f"No engine runs on {tmp_path}" in text
    assert 'header class="own"' in text


async def test_with_an_engine_the_page_says_that_it_is_its_viewer(site: Site, tmp_path: Path) -> None:
    engine = FakeEngine()
    with serving(engine, tmp_path):
        _, text, _ = await site.get(site.room, **site.cookie())
    assert f"Viewing and steering the engine on {tmp_path}" in text
    assert "it goes on when the page is closed" in text
    assert f'header class="{Mode.SIM}"' in text


async def test_an_engine_that_cannot_be_talked_to_is_said_and_not_replaced(
    site: Site, tmp_path: Path
) -> None:
    with serving(FakeEngine(), tmp_path):
        (tmp_path / "control.json").chmod(0o644)
        status, text, _ = await site.get(site.room, **site.cookie())
    assert status == 503
    assert "control.json is not a file that only you can read" in text


async def test_a_folder_named_like_markup_is_text(site: Site) -> None:
    site.server._order = PageOrder(False, Path("/<script>alert(1)</script>/{socket}"))
    _, text, _ = await site.get(site.room, **site.cookie())
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize(
    ("asked", "size"), [("20", "20"), ("1", "6"), ("1000000", "48"), ("x", "14"), ("", "14")]
)
async def test_the_letters_size_can_be_asked_for_within_reason(site: Site, asked: str, size: str) -> None:
    _, text, _ = await site.get(f"{site.room}?fontsize={asked}", **site.cookie())
    assert f'data-font-size="{size}"' in text


# ---- a page and its process --------------------------------------------------------------------------


async def test_keys_and_sizes_go_to_the_screen_and_pictures_come_back(site: Site) -> None:
    async with await site.socket(await site.page()) as page:
        assert (await page.receive()).data == b"a picture"
        for message in (["stdin", "jk"], ["resize", {"width": 120, "height": 40}], ["focus"], ["blur"]):
            await page.send_json(message)
        await page.send_json(["ping", "12"])
        assert (await page.receive()).json() == ["pong", "12"]
        [process] = FakeProcess.started
        assert process.told == [(100, 30), "jk", (120, 40), True, False]


async def test_sizes_stay_within_reason(site: Site) -> None:
    async with await site.socket(await site.page(), "?width=1000000000&height=x") as page:
        await page.send_json(["resize", {"width": 0, "height": 10**12}])
        [process] = FakeProcess.started
        await until(lambda: len(process.told) == 2)
        assert process.told == [(1000, 24), (1, 500)]


@pytest.mark.parametrize(
    "nonsense",
    ["{", "null", "[]", '["stdin"]', '["stdin", 1]', '["resize", {"width": "1", "height": 2}]', "[" * 5000],
)
async def test_a_browser_that_talks_nonsense_loses_its_page(site: Site, nonsense: str) -> None:
    async with await site.socket(await site.page()) as page:
        await page.receive()
        await page.send_str(nonsense)
        await until(lambda: FakeProcess.started[0].ended)
    assert site.said == []


async def test_closing_the_page_ends_its_process_and_what_it_kept(site: Site) -> None:
    page = await site.socket(await site.page())
    [process] = FakeProcess.started
    assert process.folder_was_there
    assert not process.order.attach
    await page.close()
    await until(lambda: process.ended and not site.server.processes)
    await until(lambda: not process.order.state_dir.exists())


async def test_a_viewers_process_is_given_the_engines_folder_which_stays(site: Site, tmp_path: Path) -> None:
    with serving(FakeEngine(), tmp_path):
        page = await site.socket(await site.page())
        [process] = FakeProcess.started
        assert process.order == PageOrder(True, tmp_path, seed=7)
        await page.close()
        await until(lambda: process.ended)
        assert (tmp_path / "control.json").exists()


async def test_a_screen_that_ends_closes_the_page_and_says_why(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeProcess, "words", "config.toml:3: no such strategy")
    url = await site.page()
    async with await site.socket(url) as page:
        await page.receive()
        await page.send_json(["stdin", "q"])
        assert (await page.receive()).type is aiohttp.WSMsgType.CLOSE
    _, words, headers = await site.get(f"{site.room}words/{url.rpartition('/')[2]}", **site.cookie())
    assert words == "config.toml:3: no such strategy"
    assert headers["Content-Type"].startswith("text/plain")
    assert site.said == ["a page has ended: config.toml:3: no such strategy"]


async def test_pages_are_bounded_and_a_closed_one_makes_room(site: Site) -> None:
    urls = [await site.page() for _ in range(MOST_PAGES + 1)]
    pages = [await site.socket(url) for url in urls[:-1]]
    status, text, _ = await site.get(site.room, **site.cookie())
    assert status == 503
    assert f"{MOST_PAGES} pages are open already" in text
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await site.socket(urls[-1])
    assert caught.value.status == 503
    await pages[0].close()
    await until(lambda: FakeProcess.started[0].ended)
    async with await site.socket(await site.page()):
        assert len(FakeProcess.started) == MOST_PAGES + 1
    for page in pages[1:]:
        await page.close()


async def test_pages_handed_out_and_never_opened_are_forgotten(site: Site) -> None:
    first = await site.page()
    for _ in range(64):
        await site.page()
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await site.socket(first)
    assert caught.value.status == 404


def test_without_textual_serve_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "find_spec", lambda _: None)
    with pytest.raises(UsageError) as caught:
        frontend()
    assert str(caught.value) == "serve needs textual-serve: pip install 'tui-trader[web]'"


def test_what_the_browser_says_is_json_or_nothing() -> None:
    assert web._parsed(json.dumps(["a"])) == ["a"]
    assert web._parsed("[" * 100_000) is None
