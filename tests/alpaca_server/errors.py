"""What Alpaca says when it refuses: status, code, message and now and then a fact."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """A refusal, ready to be sent. ``code`` is None for the data API, which knows only messages."""

    def __init__(
        self, status: int, code: int | None, message: str, facts: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.facts = dict(facts or {})

    def body(self) -> dict[str, object]:
        named: dict[str, object] = {} if self.code is None else {"code": self.code}
        return {**named, "message": self.message, **self.facts}


def forbidden(message: str, **facts: object) -> ApiError:
    return ApiError(403, 40310000, message, facts)


def unprocessable(message: str, **facts: object) -> ApiError:
    return ApiError(422, 42210000, message, facts)


def malformed(message: str) -> ApiError:
    return ApiError(422, 40010001, message)


def not_found(message: str) -> ApiError:
    return ApiError(404, 40410000, message)
