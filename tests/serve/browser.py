"""Chromium without a window, driven over its debugging port, and everything it asks the network for."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pyte
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


#: Sequences that the emulator would print: keyboard protocol, mode queries, colours of the palette.
_UNKNOWN = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


class Browser:
    """One browser; ``Tab`` is a page in it."""

    def __init__(self, profile: Path) -> None:
        self._process = subprocess.Popen(
            [
                str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,800",
                f"--user-data-dir={profile}", "--remote-debugging-port=0", "--no-first-run",
                "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        port_file = profile / "DevToolsActivePort"
        deadline = time.monotonic() + 30
        while not (port_file.exists() and port_file.read_text().count("\n")):
            assert time.monotonic() < deadline, "Chromium does not start"
            assert self._process.poll() is None, "Chromium has ended"
            time.sleep(0.05)
        self._port = int(port_file.read_text().split()[0])

    def open(self, address: str) -> Tab:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request) as answer:
            target = json.load(answer)
        return Tab(target["webSocketDebuggerUrl"], address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()


class Tab:
    """A page, the addresses it has asked for, what its console said, and what its terminal was sent."""

    def __init__(self, debugger: str, address: str) -> None:
        self._end = ExitStack()
        self._connection: ClientConnection = self._end.enter_context(
            connect(debugger, max_size=None, proxy=None)
        )
        self._number = 0
        self.asked: list[str] = []
        self.console: list[str] = []
        self._screen = pyte.Screen(1, 1)
        self._stream = pyte.ByteStream(self._screen)
        for domain in ("Network", "Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=address)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=30))
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        match message.get("method"), message.get("params"):
            case "Network.requestWillBeSent", {"request": {"url": url}}:
                self.asked.append(url)
            case "Network.webSocketCreated", {"url": url}:
                self.asked.append(url)
                size = parse_qs(urlsplit(url).query)
                self._screen.resize(int(size["height"][0]), int(size["width"][0]))
            case "Network.webSocketFrameSent", {"response": {"opcode": 1, "payloadData": data}}:
                match json.loads(data):
                    case ["resize", {"width": width, "height": height}]:
                        self._screen.resize(height, width)
            case "Network.webSocketFrameReceived", {"response": {"opcode": 2, "payloadData": data}}:
                self._stream.feed(_UNKNOWN.sub(b"", base64.b64decode(data)))
            case "Log.entryAdded", {"entry": {"level": "error" | "warning", "text": text}}:
                self.console.append(text)
            case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                self.console.append(str(details))

    def run(self, script: str) -> Any:
        """The value of an expression."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)[
            "result"
        ].get("value")

    def wait(self, script: str, what: Callable[[Any], object] = bool, seconds: float = 30.0) -> Any:
        """The value of an expression as soon as ``what`` is true of it."""
        deadline = time.monotonic() + seconds
        while not what(value := self.run(script)):
            assert time.monotonic() < deadline, f"{script} is still {value!r}; {self.console}"
            time.sleep(0.05)
        return value

    def see(self, *words: str, seconds: float = 30.0) -> str:
        """Wait until all of ``words`` are on the terminal; its text."""
        return self.wait_for(lambda text: all(word in text for word in words), seconds)

    def wait_for(self, what: Callable[[str], object], seconds: float = 30.0) -> str:
        """Wait until ``what`` is true of the terminal's text; the text."""
        deadline = time.monotonic() + seconds
        while True:
            self.run("0")  # takes in what has come meanwhile
            text = "\n".join(line.rstrip() for line in self._screen.display)
            if what(text):
                return text
            assert time.monotonic() < deadline, f"not seen; {self.console}\n{text.rstrip()}"
            time.sleep(0.05)

    def type(self, text: str) -> None:
        for character in text:
            self.call("Input.dispatchKeyEvent", type="char", text=character)

    def press(self, key: str) -> None:
        code = {"Escape": 27}[key]
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def clear(self) -> None:
        """Forget what the terminal was sent so far."""
        self._screen.reset()

    def resize(self, width: int, height: int) -> None:
        """Pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self.call("Page.close")
        self._end.close()
