"""From a method and a path to the function that answers it. No network here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.alpaca_server.errors import ApiError


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the handlers see it. ``path`` is without the version in front."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, object] = field(default_factory=dict)

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() == "true"

    def listed(self, name: str) -> list[str]:
        """A comma-separated parameter; empty when it is not given."""
        return [part for part in self.query.get(name, "").split(",") if part]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send: a JSON value, or nothing for 204."""

    status: int
    json: object = None


Handler = Callable[..., Answer]


class Router:
    """Routes are regular expressions whose groups are the handler's further arguments."""

    def __init__(self, routes: Mapping[tuple[str, str], Handler]) -> None:
        self._routes = [(method, re.compile(path), handler) for (method, path), handler in routes.items()]

    def answer(self, call: Call) -> Answer:
        """Refusals become answers here."""
        try:
            return self._find(call)
        except ApiError as refusal:
            return Answer(refusal.status, refusal.body())

    def _find(self, call: Call) -> Answer:
        known = False
        for method, path, handler in self._routes:
            match = path.fullmatch(call.path)
            if match is not None:
                known = True
                if method == call.method:
                    return handler(call, *match.groups())
        if known:
            raise ApiError(405, None, "method not allowed")
        raise ApiError(404, 40410000, "endpoint not found.")
