"""The web server: hands out pages and joins each to a process of its own.

Of textual-serve it uses what runs in the browser. The rest is ours: theirs starts a shell a page, loads a
font from another host, asks nobody for a token and does not see to it that a page's process ends.
"""

from __future__ import annotations

import asyncio
import html
import json
import logging
import secrets
import shutil
import socket
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from aiohttp import WSCloseCode, WSMsgType, web

from tui_trader.errors import TuiTraderError, UsageError
from tui_trader.serve.door import COOKIE, Door
from tui_trader.serve.order import PageOrder
from tui_trader.serve.page_process import PageProcess
from tui_trader.serve.whose import Whose, whose

MOST_PAGES: Final = 4
_HERE: Final = Path(__file__).parent
_REMEMBERED: Final = 64  # pages handed out, and last words of those that ended
_LARGEST_MESSAGE: Final = 256 * 1024  # a paste
_HEARTBEAT_S: Final = 15.0
_SHUTDOWN_S: Final = 10.0
_FONT_SIZES: Final = range(6, 49)
_COLUMNS: Final = range(1, 1001)
_ROWS: Final = range(1, 501)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# What a malformed request provokes inside aiohttp is the caller's affair.
_quiet: Final = logging.getLogger("tui_trader.serve.protocol")
_quiet.setLevel(logging.CRITICAL + 1)


def frontend() -> Path:
    """The folder of what textual-serve has for the browser; ``UsageError`` when it is not installed."""
    found = find_spec("textual_serve")
    if found is None or found.origin is None:
        raise UsageError("serve needs textual-serve: pip install 'tui-trader[web]'")
    return Path(found.origin).parent / "static"


class PageServer:
    """Pages for whoever has the token. ``order`` is what a page of its own engine would run.

    ``tell`` hears, in one line, what went wrong with a page. A server runs once.
    """

    def __init__(self, order: PageOrder, door: Door, static: Path, tell: Callable[[str], None]) -> None:
        self._order = order
        self._door = door
        self._static = static
        self._tell = tell
        self._template = (_HERE / "page.html").read_text(encoding="utf-8")
        self._handed_out: OrderedDict[str, Whose] = OrderedDict()
        self._last_words: OrderedDict[str, str] = OrderedDict()
        self._open = 0
        self._sockets: WeakSet[web.WebSocketResponse] = WeakSet()
        self.processes: set[int] = set()  # of the pages that are open

    async def run(self, listener: socket.socket, ready: Callable[[], None], stopping: asyncio.Event) -> None:
        """Serve on ``listener`` until ``stopping``, then see every page to its end."""
        runner = web.AppRunner(
            self._application(), access_log=None, shutdown_timeout=_SHUTDOWN_S, logger=_quiet
        )
        await runner.setup()
        await web.SockSite(runner, listener).start()
        ready()
        try:
            await stopping.wait()
        finally:
            await runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=1024)
        room = self._door.room
        app.router.add_get("/", self._enter)
        app.router.add_get(room, self._page)
        app.router.add_get(room + "ws/{page}", self._socket)
        app.router.add_get(room + "words/{page}", self._words)
        app.router.add_get(room + "own/{name:page[.](?:css|js)}", self._own_file)
        app.router.add_static(room + "static/", self._static)
        app.on_shutdown.append(self._close_pages)
        app.on_response_prepare.append(_add_headers)
        return app

    # ---- every request ---------------------------------------------------------------------------------

    @property
    def _guard(self) -> Any:
        @web.middleware
        async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
            if not self._door.is_ours(request.headers.getall("Host", [])):
                return _plain(403, "foreign Host")
            if request.path != "/" and not self._door.holds_cookie(request.cookies.get(COOKIE)):
                return _plain(401, "Open the address that tui-trader serve printed, token and all.")
            return await handler(request)

        return guard

    async def _enter(self, request: web.Request) -> web.Response:
        """The printed address: the token is taken out of sight, a cookie stands for it from here on."""
        if not self._door.holds_token(request.query.get("token")):
            return _plain(401, "Open the address that tui-trader serve printed, token and all.")
        response = web.Response(status=303, headers={"Location": self._door.room})
        response.set_cookie(COOKIE, self._door.cookie, path=self._door.room, httponly=True, samesite="Strict")
        return response

    # ---- what a page is made of ------------------------------------------------------------------------

    async def _page(self, request: web.Request) -> web.Response:
        if self._open >= MOST_PAGES:
            return _plain(503, f"{self._open} pages are open already: close one of them and load this anew.")
        try:
            engine = await asyncio.to_thread(whose, self._order.state_dir)
        except TuiTraderError as error:
            return _plain(503, f"{error}")
        page = secrets.token_urlsafe(12)
        self._handed_out[page] = engine
        _forget_oldest(self._handed_out)
        fields = {
            "title": f"tui-trader · {engine.badge}",
            "role": engine.role,
            "badge": engine.badge,
            "note": engine.note,
            "farewell": engine.farewell,
            "socket": f"ws://{request.host}{self._door.room}ws/{page}",
            "words": f"words/{page}",
            "font_size": str(_number(request.query.get("fontsize"), _FONT_SIZES, 14)),
        }
        text = self._template
        for name, value in fields.items():
            text = text.replace(f"{{{name}}}", html.escape(value))
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self';"
            f" img-src 'self' data: blob:; connect-src 'self' ws://{request.host}; base-uri 'none';"
            # Without a word about pop-ups there: a link in some message opens nothing.
            " form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts allow-same-origin"
        )
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def _own_file(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(_HERE / request.match_info["name"])

    async def _words(self, request: web.Request) -> web.Response:
        """Why a page's screen has ended, if it was not the user's wish."""
        return _plain(200, self._last_words.get(request.match_info["page"], ""))

    # ---- a page and its process ------------------------------------------------------------------------

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        page = request.match_info["page"]
        if not self._door.is_own_page(request.host, request.headers.getall("Origin", [])):
            return _plain(403, "foreign Origin")
        engine = self._handed_out.pop(page, None)
        if engine is None:
            return _plain(404, "no such page")
        if self._open >= MOST_PAGES:
            self._remember(page, f"{self._open} pages are open already: close one of them.")
            return _plain(503, "too many pages")
        columns = _number(request.query.get("width"), _COLUMNS, 80)
        rows = _number(request.query.get("height"), _ROWS, 24)
        self._open += 1
        try:
            websocket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=_LARGEST_MESSAGE)
            await websocket.prepare(request)
            self._sockets.add(websocket)
            await self._run_page(page, engine, websocket, columns, rows)
            return websocket
        finally:
            self._open -= 1

    async def _run_page(
        self, page: str, engine: Whose, websocket: web.WebSocketResponse, columns: int, rows: int
    ) -> None:
        attach = engine.mode is not None
        folder = self._order.state_dir if attach else Path(tempfile.mkdtemp(prefix="tui-trader-page-"))
        try:
            order = replace(self._order, attach=attach, state_dir=folder)
            process = await PageProcess.start(order, columns, rows)
            self.processes.add(process.pid)
            # Whichever ends first, the screen or the browser's connection, takes the other with it.
            sides = {
                asyncio.create_task(process.relay(websocket.send_bytes)),
                asyncio.create_task(_listen(websocket, process)),
            }
            try:
                await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for side in sides:
                    side.cancel()
                await asyncio.gather(*sides, return_exceptions=True)
                # Shielded: a page's process ends even when its handler is given up.
                await asyncio.shield(self._end(page, process))
        finally:
            if not attach:
                shutil.rmtree(folder, ignore_errors=True)
            await websocket.close()  # only now, as the browser asks at once what has happened

    async def _end(self, page: str, process: PageProcess) -> None:
        words = await process.end()
        self.processes.discard(process.pid)
        if words:
            self._remember(page, words)
            self._tell(f"a page has ended: {words}")

    def _remember(self, page: str, words: str) -> None:
        self._last_words[page] = words
        _forget_oldest(self._last_words)

    async def _close_pages(self, app: web.Application) -> None:
        for websocket in list(self._sockets):
            with suppress(ConnectionError):
                await websocket.close(code=WSCloseCode.GOING_AWAY)


async def _listen(websocket: web.WebSocketResponse, process: PageProcess) -> None:
    """Keys and sizes to the screen, until the browser has gone or says what makes no sense."""
    async for message in websocket:
        if message.type is not WSMsgType.TEXT:
            return
        match _parsed(message.data):
            case ["stdin", str(keys)]:
                await process.type(keys)
            case ["resize", {"width": int(width), "height": int(height)}]:
                await process.resize(_within(_COLUMNS, width), _within(_ROWS, height))
            case ["ping", str(mark)]:
                await websocket.send_json(["pong", mark])
            case ["focus" | "blur" as kind, *_]:
                await process.focus(kind == "focus")
            case _:
                return


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _within(allowed: range, number: int) -> int:
    return max(allowed[0], min(allowed[-1], number))


def _number(text: str | None, allowed: range, otherwise: int) -> int:
    """``text`` as a number, the nearest that is allowed; ``otherwise`` when it is none."""
    try:
        return _within(allowed, int(text or ""))
    except ValueError:
        return otherwise


def _forget_oldest(entries: OrderedDict[str, Any]) -> None:
    while len(entries) > _REMEMBERED:
        entries.popitem(last=False)


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)


async def _add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers.update(
        {
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Server": "tui-trader",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
    )
