"""Loads settings: from the command line, the environment, the file and the defaults, in that order."""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tui_trader.errors import UsageError
from tui_trader.paths import default_config_path
from tui_trader.settings import (
    KNOWN_KEYS,
    OPEN_TABLES,
    SECTIONS,
    ConflictError,
    Settings,
    default_routes,
    toml_value,
)

_ENV_PREFIX: Final = "TUI_TRADER_"
_ALPACA_NAMES: Final = {
    "APCA_API_KEY_ID": "alpaca.key_id",
    "APCA_API_SECRET_KEY": "alpaca.secret_key",
    "APCA_API_BASE_URL": "alpaca.trading_url",
}
_MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings and, for each dotted key, its source.

    A source is "default", "FILE:line", "environment NAME" or "command line". ``path`` is the file that was
    read, None when there was none.
    """

    settings: Settings
    sources: dict[str, str]
    path: Path | None

    def place_of(self, key: str) -> str:
        """``key`` with the place it was set at, for an error's first words."""
        at = next((self.sources[k] for k in self.sources if k == key or k.startswith(f"{key}.")), "default")
        return key if at == "default" else f"{_place(at)}: {key}"


def _place(source: str) -> str:
    return re.sub(r":([0-9]+)$", r" line \1", source)


def load_settings(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> LoadedSettings:
    """Settings from ``overrides``, else the environment, else the file, else the defaults.

    ``path`` None means the default file, which may be missing. Override keys are dotted, as in
    "risk.max_order_value"; None values are ignored. Routes count from 1 ("routes.2.strategy"); without a
    number ("routes.symbols", "routes.config.sma_fast") the first route with the static scanner is meant. In
    the environment that is TUI_TRADER_ROUTES__2__STRATEGY, and a list is separated by commas. No other name
    that begins with TUI_TRADER_ is allowed.

    Raises UsageError for whatever cannot be used.
    """
    file = path or default_config_path()
    text = _read(file, required=path is not None)
    document: dict[str, Any] = {} if text is None else _parse(file, text)
    sources = {} if text is None else {key: f"{file}:{line}" for key, line in _lines(text).items()}
    for name, key, value in _environment(environ):
        _overlay(document, sources, key, value, f"environment {name}")
    for key, override in overrides.items():
        if override is not None:
            if not _is_known(key):
                raise UsageError(f"command line: {key}: no such setting{_nearest(key, KNOWN_KEYS)}")
            _overlay(document, sources, key, override, "command line")
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise UsageError(_explain(error.errors(include_url=False)[0], sources, file)) from None
    described = {key: sources.get(key, "default") for key, _ in leaves(settings.model_dump())}
    return LoadedSettings(settings, described, None if text is None else file)


def leaves(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted key and value of everything in nested tables that is not itself a filled table."""
    for key, inner in _items(value):
        name = f"{prefix}{key}"
        if next(_items(inner), None) is None:
            yield name, inner
        else:
            yield from leaves(inner, f"{name}.")


def _items(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (list, tuple)) and any(isinstance(x, dict) for x in value):
        yield from ((str(number), x) for number, x in enumerate(value, 1))


def _read(path: Path, *, required: bool) -> str | None:
    try:
        with path.open("rb") as handle:
            status = os.fstat(handle.fileno())
            raw = handle.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        if not required:
            return None
        raise UsageError(f"{path}: no such file; create it with `tui-trader config init`") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    if len(raw) > _MAX_FILE_BYTES:
        raise UsageError(f"{path}: larger than 1 MiB, so not a settings file; name another with --config")
    if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(f"{path}: others may change this file; run chmod 600 {path}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path} line {line}: not UTF-8 text; save the file as UTF-8") from None
    readable = stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_IRGRP | stat.S_IROTH)
    alpaca = _parse(path, text).get("alpaca") if readable else None
    if isinstance(alpaca, dict) and "secret_key" in alpaca:
        raise UsageError(f"{path}: others may read the secret_key in it; run chmod 600 {path}")
    return text


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason, _, at = str(error).partition(" (at ")
        place = f"{path} {at.rstrip(')').replace(',', '')}" if at.startswith("line") else f"{path} last line"
        cure = "write name = value, text in quotes, each name once"
        raise UsageError(f"{place}: not TOML: {reason}; {cure}") from None


def _lines(text: str) -> dict[str, int]:
    """The line of every table and key in valid TOML, by dotted key.

    Each statement is parsed on its own, so that strings, lists and comments follow TOML's rules, not ours.
    """
    found: dict[str, int] = {}
    tables: Counter[str] = Counter()
    prefix = pending = ""
    start = 1
    for number, line in enumerate(text.split("\n"), 1):
        start = start if pending else number
        pending += line + "\n"
        try:
            statement = tomllib.loads(pending)
        except ValueError:
            continue
        if pending.lstrip().startswith("["):
            prefix = _header(statement, tables)
            found[prefix] = start
            prefix += "."
        else:
            found.update((prefix + key, start) for key in _every_key(statement))
        pending = ""
    return found


def _header(statement: object, tables: Counter[str]) -> str:
    path = ""
    while statement:
        if isinstance(statement, list):
            tables[path] += 1
            statement = statement[0]
        if tables[path]:
            path += f".{tables[path]}"
        if isinstance(statement, dict) and statement:
            ((name, statement),) = statement.items()
            path = f"{path}.{name}".lstrip(".")
    return path


def _every_key(value: object, prefix: str = "") -> Iterator[str]:
    for key, inner in _items(value):
        yield prefix + key
        yield from _every_key(inner, f"{prefix}{key}.")


def _environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Name, dotted key and value of what the environment sets; Alpaca's own names first, so that ours win."""
    for name, key in _ALPACA_NAMES.items():
        if value := environ.get(name):
            yield name, key, value
    names = [_ENV_PREFIX + key.upper().replace(".", "__") for key in KNOWN_KEYS]
    for name in sorted(environ):
        if name.startswith(_ENV_PREFIX):
            key = name.removeprefix(_ENV_PREFIX).lower().replace("__", ".")
            if name != name.upper() or not _is_known(key):
                raise UsageError(f"environment {name}: no such setting{_nearest(name.upper(), names)}")
            yield name, key, environ[name]


def _is_known(key: str) -> bool:
    key = re.sub(r"^routes\.[1-9][0-9]{0,3}\.", "routes.", key)
    if key.startswith(tuple(f"{table}." for table in OPEN_TABLES)):
        return not key.endswith(".")
    return key in KNOWN_KEYS and key not in OPEN_TABLES


def _overlay(document: dict[str, Any], sources: dict[str, str], key: str, value: object, source: str) -> None:
    section, _, name = key.partition(".")
    table: object = document
    if section == "routes":
        table, section, name = _route(document, name, source)
        key = f"{section}.{name}"
    else:
        table = document.setdefault(section, {})
    inner, dot, last = name.partition(".")
    if dot and isinstance(table, dict):
        table = table.setdefault(inner, {})
    # A table that is none is the file's mistake, and validation says so better.
    if isinstance(table, dict):
        table[last or name] = value
        sources[key] = source


def _route(document: dict[str, Any], name: str, source: str) -> tuple[object, str, str]:
    """The route that ``name`` means, its dotted key, and the name inside it."""
    routes = document.setdefault("routes", [route.model_dump() for route in default_routes()])
    if not isinstance(routes, list) or not all(isinstance(route, dict) for route in routes):
        return None, "routes", name
    number, _, rest = name.partition(".")
    if number.isdigit():
        if int(number) > len(routes):
            raise UsageError(f"{source}: there is no route {number}; the last is {len(routes)}")
        return routes[int(number) - 1], f"routes.{number}", rest
    for index, route in enumerate(routes, 1):
        if route.get("scanner", "static") == "static":
            return route, f"routes.{index}", name
    raise UsageError(f"{source}: no route has the static scanner; say which is meant, as in routes.1.{name}")


def _nearest(name: str, candidates: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, candidates, n=1)
    return f"; did you mean {close[0]}?" if close else "; remove it"


def _explain(error: ErrorDetails, sources: Mapping[str, str], file: Path) -> str:
    """One line for a pydantic error: where the value came from, the key, and what it must be."""
    key = ".".join(str(part + 1) if isinstance(part, int) else part for part in error["loc"])
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, ConflictError):
        named = [f"{key}.{name}" for name in cause.keys]
        key = next((name for name in named if name in sources), named[0])
    known = key
    while known and known not in sources:
        known = known.rpartition(".")[0]
    place = _place(sources.get(known, str(file)))
    if error["type"] == "extra_forbidden":
        parent, _, name = key.rpartition(".")
        section = parent.partition(".")[0]
        siblings = SECTIONS[section].model_fields if section else SECTIONS
        return f"{place}: {key}: unknown key{_nearest(name, siblings)}"
    value = error["input"]
    # A key or a password pasted into any Alpaca setting must not reach a screen or a log.
    shown = isinstance(value, str | int | float | Decimal) and not key.startswith("alpaca")
    return f"{place}: {key}{f' = {toml_value(value)[:60]}' if shown else ''}: {_reason(error)}"


def _reason(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "literal_error":
            return f"must be {context['expected']}"
        case "bool_type" | "bool_parsing":
            return "must be true or false"
        case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size":
            return "must be a whole number"
        case "decimal_type" | "decimal_parsing" | "finite_number":
            return "must be a number"
        case "string_type":
            return "must be text in quotes"
        case "string_pattern_mismatch":
            return "must be a name: a letter, then letters, digits, '-' or '_'"
        case "tuple_type" if error["loc"] == ("routes",):
            return "must be one or more tables headed [[routes]]"
        case "tuple_type":
            return 'must be a list, such as ["AAPL"]'
        case "too_short":
            return "must hold at least one route"
        case "model_type" | "dict_type":
            return "must be a table"
    return error["msg"]
