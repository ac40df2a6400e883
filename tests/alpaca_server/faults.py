"""Faults on command for requests and streams. Every one is used up ``times`` times, oldest first.

Safe to call from any thread: a fault is added whole, and only the exchange's thread uses them up.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from enum import StrEnum, auto

HTML = "text/html"
_BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>"


class Stream(StrEnum):
    DATA = "data"
    TRADE = "trade"


class CarryOut(StrEnum):
    """Whether the request is carried out all the same."""

    NOT = auto()
    NOW = auto()
    LATER = auto()  # when the test says so


class End(StrEnum):
    """How the exchange ends the conversation."""

    ANSWER = auto()
    RESET = auto()
    HANG = auto()  # until released; then the answer is sent


@dataclass(frozen=True, slots=True)
class RestFault:
    """``status`` None sends the true answer; ``seconds`` is waited first (real time)."""

    carry_out: CarryOut
    end: End = End.ANSWER
    status: int | None = None
    body: str = ""
    content_type: str = "application/json"
    seconds: float = 0.0


@dataclass(slots=True)
class _Aim:
    fault: RestFault
    method: str | None
    path: re.Pattern[str]
    skip: int
    left: int


def _done(done: bool) -> CarryOut:
    return CarryOut.NOW if done else CarryOut.NOT


class RestFaults:
    """Each command aims at requests by ``method`` and by a regular expression found in ``path`` (with /v2).

    ``done`` says whether the request is carried out before it goes wrong; ``skip`` lets some pass first.
    """

    def __init__(self) -> None:
        self._aims: list[_Aim] = []
        self.at_random: RandomFaults | None = None

    @property
    def pending(self) -> bool:
        """Whether something was ordered that has not gone wrong yet."""
        return any(aim.left for aim in self._aims)

    def clear(self) -> None:
        """No more faults, neither ordered nor random."""
        self._aims.clear()
        self.at_random = None

    def add(
        self, fault: RestFault, method: str | None = None, path: str = "", *, times: int = 1, skip: int = 0
    ) -> None:
        self._aims.append(_Aim(fault, method, re.compile(path), skip, times))

    def status(
        self, status: int, body: str = "", method: str | None = None, path: str = "", *, done: bool = False,
        times: int = 1, skip: int = 0,
    ) -> None:  # fmt: skip
        """This status and body (JSON text, or what the test likes)."""
        self.add(RestFault(_done(done), status=status, body=body), method, path, times=times, skip=skip)

    def html_502(
        self, method: str | None = None, path: str = "", *, done: bool = False, times: int = 1, skip: int = 0
    ) -> None:
        """A proxy's page instead of an answer."""
        fault = RestFault(_done(done), status=502, body=_BAD_GATEWAY, content_type=HTML)
        self.add(fault, method, path, times=times, skip=skip)

    def garbage(
        self, method: str | None = None, path: str = "", *, done: bool = False, times: int = 1, skip: int = 0
    ) -> None:
        """200 with half a JSON text."""
        fault = RestFault(_done(done), status=200, body='{"id": "904837e3-')
        self.add(fault, method, path, times=times, skip=skip)

    def gateway_timeout(
        self, method: str | None = None, path: str = "", *, done: bool = False, times: int = 1, skip: int = 0
    ) -> None:
        """504, at once."""
        fault = RestFault(_done(done), status=504, body='{"message": "timeout"}')
        self.add(fault, method, path, times=times, skip=skip)

    def late(
        self, method: str | None = None, path: str = "", *, end: End = End.ANSWER, times: int = 1
    ) -> None:
        """504 (or a reset) now, carried out when the test calls ``carry_out_late``."""
        body = '{"message": "timeout"}'
        self.add(RestFault(CarryOut.LATER, end, 504, body), method, path, times=times)

    def reset(
        self, method: str | None = None, path: str = "", *, done: bool = False, times: int = 1, skip: int = 0
    ) -> None:
        """The connection is reset without an answer."""
        self.add(RestFault(_done(done), End.RESET), method, path, times=times, skip=skip)

    def hang(
        self, method: str | None = None, path: str = "", *, done: bool = False, times: int = 1, skip: int = 0
    ) -> None:
        """No answer until ``release_hanging``; then the answer, by then old, if it was ``done``; else 504."""
        status = None if done else 504
        fault = RestFault(_done(done), End.HANG, status, '{"message": "timeout"}')
        self.add(fault, method, path, times=times, skip=skip)

    def delay(
        self, seconds: float, method: str | None = None, path: str = "", *, times: int = 1, skip: int = 0
    ) -> None:
        """The true answer, carried out at once, told ``seconds`` later: by then it may be old."""
        self.add(RestFault(CarryOut.NOW, seconds=seconds), method, path, times=times, skip=skip)

    def rate_limited(
        self, method: str | None = None, path: str = "", *, times: int = 1, skip: int = 0
    ) -> None:
        """429, not carried out."""
        body = '{"code": 42910000, "message": "rate limit exceeded"}'
        self.add(RestFault(CarryOut.NOT, status=429, body=body), method, path, times=times, skip=skip)

    def take(self, method: str, path: str) -> RestFault | None:
        """The fault for this request, if any."""
        for aim in self._aims:
            if aim.left > 0 and aim.method in (None, method) and aim.path.search(path):
                if aim.skip > 0:
                    aim.skip -= 1
                    continue
                aim.left -= 1
                return aim.fault
        return None if self.at_random is None else self.at_random.rest()


class UpdateFault(StrEnum):
    DROP = auto()
    DUPLICATE = auto()
    SWAP = auto()  # told after the one that follows it


@dataclass(slots=True)
class _UpdateAim:
    fault: UpdateFault
    event: str | None
    symbol: str | None
    left: int


class UpdateFaults:
    """Trade updates that go missing, come twice, or come in the wrong order."""

    def __init__(self) -> None:
        self._aims: list[_UpdateAim] = []
        self.at_random: RandomFaults | None = None

    @property
    def pending(self) -> bool:
        """Whether something was ordered that has not gone wrong yet."""
        return any(aim.left for aim in self._aims)

    def clear(self) -> None:
        self._aims.clear()
        self.at_random = None

    def drop(self, event: str | None = None, *, symbol: str | None = None, times: int = 1) -> None:
        self._aims.append(_UpdateAim(UpdateFault.DROP, event, symbol, times))

    def duplicate(self, event: str | None = None, *, symbol: str | None = None, times: int = 1) -> None:
        self._aims.append(_UpdateAim(UpdateFault.DUPLICATE, event, symbol, times))

    def swap(self, event: str | None = None, *, symbol: str | None = None, times: int = 1) -> None:
        """Told after the next update instead of before it."""
        self._aims.append(_UpdateAim(UpdateFault.SWAP, event, symbol, times))

    def take(self, event: str, symbol: str) -> UpdateFault | None:
        for aim in self._aims:
            if aim.left > 0 and aim.event in (None, event) and aim.symbol in (None, symbol):
                aim.left -= 1
                return aim.fault
        return None if self.at_random is None else self.at_random.update()


class RandomFaults:
    """Every request, order and update goes wrong with probability ``rate``. Repeatable by ``seed``.

    What never comes to an end by itself (a hang) is left out.
    """

    _REST = (
        RestFault(CarryOut.NOT, status=504, body='{"message": "timeout"}'),
        RestFault(CarryOut.NOW, status=504, body='{"message": "timeout"}'),
        RestFault(CarryOut.LATER, status=504, body='{"message": "timeout"}'),
        RestFault(CarryOut.NOT, status=502, body=_BAD_GATEWAY, content_type=HTML),
        RestFault(CarryOut.NOW, status=502, body=_BAD_GATEWAY, content_type=HTML),
        RestFault(CarryOut.NOT, status=500, body='{"code": 50010000, "message": "internal server error"}'),
        RestFault(CarryOut.NOT, status=429, body='{"code": 42910000, "message": "rate limit exceeded"}'),
        RestFault(CarryOut.NOT, End.RESET),
        RestFault(CarryOut.NOW, End.RESET),
        RestFault(CarryOut.NOW, seconds=2.0),
    )

    def __init__(self, seed: int, rate: float) -> None:
        self._dice = random.Random(seed)
        self._rate = rate

    def hits(self, _: str = "") -> bool:
        return self._dice.random() < self._rate

    def rest(self) -> RestFault | None:
        return self._dice.choice(self._REST) if self.hits() else None

    def update(self) -> UpdateFault | None:
        return self._dice.choice(list(UpdateFault)) if self.hits() else None
