"""What can be set, and within which bounds."""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

MASK: Final = "••••"
_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9.\-]{0,9}")


class ConflictError(ValueError):
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


def _flat_keys(value: object, prefix: str = "") -> object:
    """Keys by binding id, separated by commas: TOML reads the dot in `pane.1` as a table."""
    if not isinstance(value, dict):
        return value
    flat: dict[object, object] = {}
    for name, keys in value.items():
        if isinstance(keys, dict):
            inner = _flat_keys(keys, f"{prefix}{name}.")
            flat |= inner if isinstance(inner, dict) else {}
        elif isinstance(keys, list) and all(isinstance(key, str) for key in keys):
            flat[f"{prefix}{name}"] = ",".join("comma" if key.strip() == "," else key for key in keys)
        else:
            flat[f"{prefix}{name}"] = keys
    return flat


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


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation in (int, Decimal):
            raise ValueError("must be a number")
        return value


class AlpacaSettings(Section):
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


class RiskSettings(Section):
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


class SessionSettings(Section):
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
            raise ConflictError(
                f"no_entries_before_close_min ({self.no_entries_before_close_min}) must not be less than "
                f"flatten_before_close_min ({self.flatten_before_close_min})",
                "no_entries_before_close_min",
                "flatten_before_close_min",
            )
        return self


class RouteSettings(Section):
    """Which symbols trade by which strategy. Repeat the table for more; routes are counted from 1."""

    scanner: Name = Field(default="static", description="what chooses the symbols")
    symbols: Symbols = Field(
        default=(), description="symbols of the static scanner; each belongs to one route"
    )
    strategy: Name = Field(default="velez", description="the rule they are traded by")
    config: dict[str, object] = Field(
        default_factory=dict, description="the strategy's own settings, such as candle_interval_minutes = 2"
    )

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
            raise ConflictError('the static scanner needs symbols, such as symbols = ["AAPL"]', "symbols")
        return self


class UiSettings(Section):
    """The screen."""

    theme: Name = Field(default="midnight", description="colour theme")
    up_color_swap: bool = Field(
        default=False, description="show gains in the colour of losses and the reverse"
    )
    glyphs: Literal["box", "block", "braille", "ascii"] = Field(
        default="box", description="characters that draw the charts"
    )
    notify: Literal["off", "osc9", "osc777"] = Field(
        default="off",
        description="desktop notification of price alerts; kitty: osc9, foot: osc777",
    )
    keys: Annotated[dict[str, str], BeforeValidator(_flat_keys)] = Field(
        default_factory=dict,
        description='keys of actions, such as pause = ["p", "f9"]; the settings screen names all',
    )


class ControlSettings(Section):
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


def default_routes() -> tuple[RouteSettings, ...]:
    symbols = ("AAPL", "TSLA", "AMD", "NVDA", "META")
    return (RouteSettings(symbols=symbols),)


class Settings(Section):
    """Everything that can be set. Frozen: a change is a new start."""

    alpaca: AlpacaSettings = Field(default_factory=AlpacaSettings)
    risk: RiskSettings = Field(default_factory=RiskSettings)
    session: SessionSettings = Field(default_factory=SessionSettings)
    routes: tuple[RouteSettings, ...] = Field(default_factory=default_routes, min_length=1)
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
                    raise ConflictError(reason, f"{number}.symbols")
        return routes


SECTIONS: Final[dict[str, type[Section]]] = {
    "alpaca": AlpacaSettings,
    "risk": RiskSettings,
    "session": SessionSettings,
    "routes": RouteSettings,
    "ui": UiSettings,
    "control": ControlSettings,
}
KNOWN_KEYS: Final = tuple(
    f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields
)
#: Tables whose keys are not ours to know.
OPEN_TABLES: Final = ("routes.config", "ui.keys")


def toml_value(value: object) -> str:
    """``value`` as it would stand in the file; secrets are masked."""
    match value:
        case None:
            return "not set"
        case SecretStr():
            return MASK
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
    try:
        return str(value)
    except ValueError:  # Python does not write out integers of thousands of digits
        return "a number of thousands of digits"
