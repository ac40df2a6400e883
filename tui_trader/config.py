"""Settings: what can be set, within which bounds, and where each value came from."""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tui_trader.errors import UsageError, printable
from tui_trader.paths import default_config_path

_ENV_PREFIX: Final = "TUI_TRADER_"
_ALPACA_NAMES: Final = {
    "APCA_API_KEY_ID": "alpaca.key_id",
    "APCA_API_SECRET_KEY": "alpaca.secret_key",
    "APCA_API_BASE_URL": "alpaca.trading_url",
}
_MAX_FILE_BYTES: Final = 1 << 20
_MASK: Final = "••••"
_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9.\-]{0,9}")


class _ConflictError(ValueError):
    """Settings that are fine alone and wrong together; ``keys`` (relative) name them."""

    def __init__(self, reason: str, *keys: str) -> None:
        super().__init__(reason)
        self.keys = keys


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _symbol(text: str) -> str:
    symbol = text.strip().upper()
    if not _SYMBOL.fullmatch(symbol):
        raise ValueError("is not a symbol: a letter, then at most nine of A–Z, 0–9, '.' and '-'")
    return symbol


def _split_commas(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [piece for piece in value.split(",") if piece.strip()]


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("is not a key: copy it again from Alpaca's page")
    return SecretStr(text)


Symbol = Annotated[str, AfterValidator(_symbol)]
Symbols = Annotated[tuple[Symbol, ...], BeforeValidator(_split_commas)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_\-]{0,39}$")]


def _bounded(default: int | str, low: int | str, high: int | str, description: str) -> Any:
    """A number with both bounds; those given as text are Decimal."""
    values = [Decimal(x) if isinstance(x, str) else x for x in (default, low, high)]
    return Field(default=values[0], ge=values[1], le=values[2], description=description)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation in (int, Decimal):
            raise ValueError("must be a number")
        return value


class AlpacaSettings(_Section):
    """The Alpaca account. The keys are better kept in the environment than in this file."""

    key_id: Secret | None = Field(default=None, description="API key; usually from APCA_API_KEY_ID")
    secret_key: Secret | None = Field(
        default=None, description="its secret; usually from APCA_API_SECRET_KEY"
    )
    paper: bool = Field(
        default=True, description="paper account; false is real money and needs --live as well"
    )
    feed: Literal["iex", "sip"] = Field(default="iex", description="market data feed")
    trading_url: str = Field(
        default_factory=lambda data: f"https://{_trading_host(data)}",
        description="trading API; follows `paper`",
    )
    data_url: str = Field(default="https://data.alpaca.markets", description="market data API")
    data_stream_url: str = Field(
        default_factory=lambda data: f"wss://stream.data.alpaca.markets/v2/{data.get('feed', 'iex')}",
        description="market data stream; follows `feed`",
    )
    trading_stream_url: str = Field(
        default_factory=lambda data: f"wss://{_trading_host(data)}/stream",
        description="trade updates stream; follows `paper`",
    )

    @property
    def has_keys(self) -> bool:
        return self.key_id is not None and self.secret_key is not None

    @field_validator("trading_url", "data_url", "data_stream_url", "trading_stream_url")
    @classmethod
    def _encrypted(cls, value: str, info: ValidationInfo) -> str:
        scheme = "wss" if (info.field_name or "").endswith("stream_url") else "https"
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            host = ""
        if not host or not re.fullmatch(r"[!-~]+", value) or re.search(r"[@?#]", value):
            raise ValueError(f"must be a plain URL such as {scheme}://host/path")
        if parts.scheme != scheme and not (parts.scheme == scheme[:-1] and _is_loopback(host)):
            raise ValueError(f"must begin with {scheme}:// (only this machine may be reached without TLS)")
        value = value.rstrip("/")
        # Alpaca's own examples write the base URL both with and without the version that clients append.
        return value.removesuffix("/v2") if info.field_name == "trading_url" else value


def _trading_host(data: Mapping[str, object]) -> str:
    return "paper-api.alpaca.markets" if data.get("paper", True) else "api.alpaca.markets"


class RiskSettings(_Section):
    """Limits on every trade and every day. Percentages are in percent, money is in dollars."""

    max_risk_per_trade_pct: Decimal = _bounded("1.0", "0.1", "5", "risk of one trade, % of equity")
    max_risk_per_trade: Decimal = _bounded("500", "10", "5000", "risk of one trade, dollars")
    max_position_pct: Decimal = _bounded("5.0", "1", "25", "value of one position, % of equity")
    max_open_positions: int = _bounded(5, 1, 20, "open positions and working entries")
    max_gross_exposure_pct: Decimal = _bounded("100", "10", "200", "value of all positions, % of equity")
    max_daily_loss_pct: Decimal = _bounded("3.0", "1", "10", "loss that stops the day's trading, % of equity")
    consecutive_loss_pause: int = _bounded(3, 2, 10, "losing trades in a row that stop the day's trading")
    consecutive_loss_min_r: Decimal = _bounded(
        "0.25", "0", "1", "smallest loss that counts in that row, as a share of the trade's planned risk"
    )
    max_order_value: Decimal = _bounded("50000", "100", "1000000", "value of one order, dollars")
    max_entries_per_symbol_per_day: int = _bounded(20, 1, 390, "entries in one symbol a day")
    max_entries_per_day: int = _bounded(100, 1, 2000, "entries a day")
    max_volume_pct: Decimal = _bounded(
        "0", "0", "100", "order size, % of the last 20 minutes' average volume; 0 = off"
    )
    max_orders_per_minute: int = _bounded(30, 1, 180, "orders a minute; Alpaca takes 200 requests")
    price_collar_pct: Decimal = _bounded("5.0", "0.1", "50", "distance of an entry from the last close, %")
    max_bar_jump_pct: Decimal = _bounded("20", "1", "100", "jump between bars that needs confirming, %")


class SessionSettings(_Section):
    """The end of the trading day, in minutes before the close, and what stopping does."""

    no_entries_before_close_min: int = _bounded(
        15, 1, 120, "no new entries from then on; not less than flatten_before_close_min"
    )
    flatten_before_close_min: int = _bounded(3, 1, 60, "positions are closed from then on")
    shutdown_positions: Literal["close", "keep"] = Field(
        default="close", description="positions at shutdown; keep leaves them with their stops at the broker"
    )

    @model_validator(mode="after")
    def _entries_end_first(self) -> SessionSettings:
        if self.no_entries_before_close_min < self.flatten_before_close_min:
            raise _ConflictError(
                f"no_entries_before_close_min ({self.no_entries_before_close_min}) must not be less than "
                f"flatten_before_close_min ({self.flatten_before_close_min})",
                "no_entries_before_close_min",
                "flatten_before_close_min",
            )
        return self


class RouteSettings(_Section):
    """Which symbols trade by which strategy. Repeat the table for more; routes are counted from 1."""

    scanner: Name = Field(default="static", description="what chooses the symbols")
    symbols: Symbols = Field(
        default=(), description="symbols of the static scanner; each belongs to one route"
    )
    strategy: Name = Field(default="velez", description="the rule they are traded by")
    config: dict[str, object] = Field(default_factory=dict, description="the strategy's own settings")

    @field_validator("symbols")
    @classmethod
    def _once_each(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        for symbol, count in Counter(symbols).items():
            if count > 1:
                raise ValueError(f"{symbol} is listed twice; list it once")
        return symbols

    @model_validator(mode="after")
    def _static_has_symbols(self) -> RouteSettings:
        if self.scanner == "static" and not self.symbols:
            raise _ConflictError('the static scanner needs symbols, such as symbols = ["AAPL"]', "symbols")
        return self


class UiSettings(_Section):
    """The screen."""

    theme: Name = Field(default="midnight", description="colour theme")
    up_color_swap: bool = Field(
        default=False, description="show gains in the colour of losses and the reverse"
    )
    glyphs: Literal["box", "block", "ascii"] = Field(
        default="box", description="characters that draw the charts"
    )
    keys: dict[str, str] = Field(default_factory=dict, description="binding id = key")


class ControlSettings(_Section):
    """The control API."""

    listen: str = Field(
        default="127.0.0.1:0", description="HOST:PORT on this machine (port 0: any free one) or off"
    )

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen on, or None when off."""
        if self.listen == "off":
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @field_validator("listen")
    @classmethod
    def _loopback(cls, value: str) -> str:
        if value == "off":
            return value
        match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^:\[\]]+)):([0-9]{1,5})", value)
        if not match or int(match[3]) > 65535:
            raise ValueError('must be HOST:PORT, such as 127.0.0.1:0, or "off"')
        if not _is_loopback(match[1] or match[2]):
            raise ValueError("must be on this machine: 127.0.0.1, [::1] or localhost")
        return value


def _default_routes() -> tuple[RouteSettings, ...]:
    symbols = ("AAPL", "TSLA", "AMD", "NVDA", "META")
    return (RouteSettings(symbols=symbols, config={"candle_interval_minutes": 2}),)


class Settings(_Section):
    """Everything that can be set. Frozen: a change is a new start."""

    alpaca: AlpacaSettings = Field(default_factory=AlpacaSettings)
    risk: RiskSettings = Field(default_factory=RiskSettings)
    session: SessionSettings = Field(default_factory=SessionSettings)
    routes: tuple[RouteSettings, ...] = Field(default_factory=_default_routes, min_length=1)
    ui: UiSettings = Field(default_factory=UiSettings)
    control: ControlSettings = Field(default_factory=ControlSettings)

    @field_validator("routes")
    @classmethod
    def _one_route_a_symbol(cls, routes: tuple[RouteSettings, ...]) -> tuple[RouteSettings, ...]:
        owner: dict[str, int] = {}
        for number, route in enumerate(routes, 1):
            for symbol in route.symbols:
                first = owner.setdefault(symbol, number)
                if first != number:
                    reason = f"{symbol} is claimed by routes {first} and {number}; leave it in one of them"
                    raise _ConflictError(reason, f"{number}.symbols")
        return routes


_SECTIONS: Final[dict[str, type[_Section]]] = {
    "alpaca": AlpacaSettings,
    "risk": RiskSettings,
    "session": SessionSettings,
    "routes": RouteSettings,
    "ui": UiSettings,
    "control": ControlSettings,
}
_KNOWN_KEYS: Final = tuple(
    f"{section}.{name}" for section, model in _SECTIONS.items() for name in model.model_fields
)
#: Tables whose keys are not ours to know.
_OPEN_TABLES: Final = ("routes.config", "ui.keys")


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings and, for each dotted key, its source.

    A source is "default", "FILE:line", "environment NAME" or "command line". ``path`` is the file that was
    read, None when there was none.
    """

    settings: Settings
    sources: dict[str, str]
    path: Path | None


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
                raise UsageError(f"command line: {key}: no such setting{_nearest(key, _KNOWN_KEYS)}")
            _overlay(document, sources, key, override, "command line")
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise UsageError(_explain(error.errors(include_url=False)[0], sources, file)) from None
    described = {key: sources.get(key, "default") for key, _ in _leaves(settings.model_dump())}
    return LoadedSettings(settings, described, None if text is None else file)


def _leaves(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted key and value of everything in nested tables that is not itself a filled table."""
    for key, inner in _items(value):
        name = f"{prefix}{key}"
        if next(_items(inner), None) is None:
            yield name, inner
        else:
            yield from _leaves(inner, f"{name}.")


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
    names = [_ENV_PREFIX + key.upper().replace(".", "__") for key in _KNOWN_KEYS]
    for name in sorted(environ):
        if name.startswith(_ENV_PREFIX):
            key = name.removeprefix(_ENV_PREFIX).lower().replace("__", ".")
            if name != name.upper() or not _is_known(key):
                raise UsageError(f"environment {name}: no such setting{_nearest(name.upper(), names)}")
            yield name, key, environ[name]


def _is_known(key: str) -> bool:
    key = re.sub(r"^routes\.[1-9][0-9]{0,3}\.", "routes.", key)
    if key.startswith(tuple(f"{table}." for table in _OPEN_TABLES)):
        return not key.endswith(".")
    return key in _KNOWN_KEYS and key not in _OPEN_TABLES


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
    routes = document.setdefault("routes", [route.model_dump() for route in _default_routes()])
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
    if isinstance(cause, _ConflictError):
        named = [f"{key}.{name}" for name in cause.keys]
        key = next((name for name in named if name in sources), named[0])
    known = key
    while known and known not in sources:
        known = known.rpartition(".")[0]
    place = re.sub(r":([0-9]+)$", r" line \1", sources.get(known, str(file)))
    if error["type"] == "extra_forbidden":
        parent, _, name = key.rpartition(".")
        section = parent.partition(".")[0]
        siblings = _SECTIONS[section].model_fields if section else _SECTIONS
        return f"{place}: {key}: unknown key{_nearest(name, siblings)}"
    value = error["input"]
    # A key or a password pasted into any Alpaca setting must not reach a screen or a log.
    shown = isinstance(value, str | int | float | Decimal) and not key.startswith("alpaca")
    return f"{place}: {key}{f' = {_toml(value)[:60]}' if shown else ''}: {_reason(error)}"


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


def _toml(value: object) -> str:
    match value:
        case None:
            return "not set"
        case SecretStr():
            return _MASK
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
    return str(value)


def show(loaded: LoadedSettings) -> str:
    """Every setting, its value and where that came from; secrets are masked."""
    rows = [(key, _toml(value), loaded.sources[key]) for key, value in _leaves(loaded.settings.model_dump())]
    width = max(len(key) + len(value) for key, value, _ in rows) + 3
    return "\n".join(printable(f"{f'{key} = {value}':<{width}}  # {source}") for key, value, source in rows)


def example_config() -> str:
    """A settings file that says everything and changes nothing."""
    defaults = Settings()
    lines = [
        "# Settings of tui-trader. Every value here is the default; bounds stand in brackets.",
        "# The environment overrides this file: TUI_TRADER_RISK__MAX_OPEN_POSITIONS=3",
    ]
    for section, model in _SECTIONS.items():
        repeated = section == "routes"
        values = defaults.routes[0] if repeated else getattr(defaults, section)
        header = f"[[{section}]]" if repeated else f"[{section}]"
        lines += ["", f"# {(model.__doc__ or '').splitlines()[0]}", header]
        for name, field in model.model_fields.items():
            value = getattr(values, name)
            lines.append(f"# {field.description}{_bounds(field)}")
            if isinstance(value, dict):
                lines += [f"[{section}.{name}]", *(f"{key} = {_toml(inner)}" for key, inner in value.items())]
            elif value is None:
                lines.append(f'# {name} = "…"')
            else:
                # A derived value must stay derived when the setting it follows is changed.
                lines.append(f"{'# ' if field.default_factory else ''}{name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _bounds(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return f" [{' | '.join(get_args(field.annotation))}]"
    low = next((x.ge for x in field.metadata if hasattr(x, "ge")), None)
    high = next((x.le for x in field.metadata if hasattr(x, "le")), None)
    return "" if low is None else f" [{low}–{high}]"
