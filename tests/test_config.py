"""What can be set, what is refused, and what is said about it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import platformdirs
import pytest
from pydantic import BaseModel, SecretStr

from tui_trader import __version__
from tui_trader.config import LoadedSettings, load_settings
from tui_trader.config_text import example_config, show
from tui_trader.errors import AttentionNeeded, RefusedToStart, TuiTraderError, UsageError
from tui_trader.settings import RiskSettings, Settings

NOTHING: Mapping[str, str] = {}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def load(
    file: Path, text: str, environ: Mapping[str, str] = NOTHING, overrides: Mapping[str, object] = NOTHING
) -> LoadedSettings:
    file.write_text(text)
    file.chmod(0o600)
    return load_settings(file, environ, overrides)


def failure(
    file: Path,
    text: str = "",
    environ: Mapping[str, str] = NOTHING,
    overrides: Mapping[str, object] = NOTHING,
) -> str:
    with pytest.raises(UsageError) as caught:
        load(file, text, environ, overrides)
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("error", "code"), [(TuiTraderError, 1), (UsageError, 2), (RefusedToStart, 3), (AttentionNeeded, 4)]
)
def test_every_error_is_one_line_and_an_exit_code(error: type[TuiTraderError], code: int) -> None:
    assert error.exit_code == code
    assert str(error("a\nb\x1b[31m\udcffé")) == r"a\nb\x1b[31m\udcffé"


def test_the_version_is_that_of_the_package() -> None:
    project = Path(__file__).parents[1] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == __version__


# ---- values and where they come from ------------------------------------------------------------------


def test_the_defaults_are_the_documented_ones(file: Path) -> None:
    settings = load(file, "").settings
    assert settings.alpaca.model_dump() == {
        "key_id": None,
        "secret_key": None,
        "paper": True,
        "feed": "iex",
        "trading_url": "https://paper-api.alpaca.markets",
        "data_url": "https://data.alpaca.markets",
        "data_stream_url": "wss://stream.data.alpaca.markets/v2/iex",
        "trading_stream_url": "wss://paper-api.alpaca.markets/stream",
    }
    assert {key: str(value) for key, value in settings.risk} == {
        "max_risk_per_trade_pct": "1.0",
        "max_risk_per_trade": "500",
        "max_position_pct": "5.0",
        "max_open_positions": "5",
        "max_gross_exposure_pct": "100",
        "max_daily_loss_pct": "3.0",
        "consecutive_loss_pause": "3",
        "consecutive_loss_min_r": "0.25",
        "max_order_value": "50000",
        "max_entries_per_symbol_per_day": "20",
        "max_entries_per_day": "100",
        "max_volume_pct": "0",
        "max_orders_per_minute": "30",
        "price_collar_pct": "5.0",
        "max_bar_jump_pct": "20",
    }
    assert settings.session.model_dump() == {
        "no_entries_before_close_min": 15,
        "flatten_before_close_min": 3,
        "shutdown_positions": "close",
    }
    (route,) = settings.routes
    assert (route.scanner, route.strategy) == ("static", "velez")
    assert route.symbols == ("AAPL", "TSLA", "AMD", "NVDA", "META")
    assert route.config == {}  # the strategy's own defaults hold
    assert settings.ui.model_dump() == {
        "theme": "midnight",
        "up_color_swap": False,
        "glyphs": "box",
        "notify": "off",
        "keys": {},
    }
    assert settings.control.address == ("127.0.0.1", 0)


def test_money_and_percentages_are_exact_decimals(file: Path) -> None:
    risk = load(file, "[risk]\nmax_daily_loss_pct = 2.1\nmax_risk_per_trade = 99.99").settings.risk
    assert (risk.max_daily_loss_pct, risk.max_risk_per_trade) == (Decimal("2.1"), Decimal("99.99"))
    money = [name for name in RiskSettings.model_fields if name.endswith(("_pct", "_trade", "_value", "_r"))]
    assert all(isinstance(getattr(risk, name), Decimal) for name in money)


def test_command_line_beats_environment_beats_file_beats_default(file: Path) -> None:
    text = "[risk]\nmax_open_positions = 6\nmax_entries_per_day = 60\n\nmax_orders_per_minute = 10\n"
    environ = {
        "TUI_TRADER_RISK__MAX_OPEN_POSITIONS": "7",
        "TUI_TRADER_RISK__MAX_ENTRIES_PER_DAY": "70",
        "OTHER": "x",
    }
    loaded = load(file, text, environ, {"risk.max_open_positions": 8, "risk.max_daily_loss_pct": None})
    risk = loaded.settings.risk
    assert (risk.max_open_positions, risk.max_entries_per_day, risk.max_orders_per_minute) == (8, 70, 10)
    assert loaded.sources["risk.max_open_positions"] == "command line"
    assert loaded.sources["risk.max_entries_per_day"] == "environment TUI_TRADER_RISK__MAX_ENTRIES_PER_DAY"
    assert loaded.sources["risk.max_orders_per_minute"] == f"{file}:5"
    assert loaded.sources["risk.max_daily_loss_pct"] == "default"
    assert loaded.path == file


def test_lines_are_found_however_the_file_is_written(file: Path) -> None:
    text = '''# [risk]
ui = { theme = "light", keys = { quit = "x" } }
risk.max_open_positions = 2   # risk.max_entries_per_day = 3
[session] # max_open_positions
shutdown_positions = """
keep"""
[[routes]]
symbols = [
  "AAPL", # [ui]
]
strategy = "velez"
config.sma_fast = 9
[[ routes ]]
symbols = ["AMD"]
[routes . "config"]
sma_slow = 100
'''
    sources = {
        key: int(source.rpartition(":")[2])
        for key, source in load(file, text.replace('"""\nkeep"""', '"keep"\n')).sources.items()
        if source != "default"
    }
    assert sources == {
        "ui.theme": 2,
        "ui.keys.quit": 2,
        "risk.max_open_positions": 3,
        "session.shutdown_positions": 5,
        "routes.1.symbols": 8,
        "routes.1.strategy": 11,
        "routes.1.config.sma_fast": 12,
        "routes.2.symbols": 14,
        "routes.2.config.sma_slow": 16,
    }


def test_alpaca_keys_come_by_their_usual_names(file: Path) -> None:
    environ = {
        "APCA_API_KEY_ID": " PKTEST ",
        "APCA_API_SECRET_KEY": "hush",
        "APCA_API_BASE_URL": "https://paper-api.alpaca.markets/v2/",
    }
    loaded = load(file, '[alpaca]\nkey_id = "FILE"', environ)
    alpaca = loaded.settings.alpaca
    assert (alpaca.key_id, alpaca.secret_key) == (SecretStr("PKTEST"), SecretStr("hush"))
    assert alpaca.trading_url == "https://paper-api.alpaca.markets"
    assert alpaca.has_keys
    assert loaded.sources["alpaca.secret_key"] == "environment APCA_API_SECRET_KEY"
    ours = load(file, "", {**environ, "TUI_TRADER_ALPACA__KEY_ID": "OURS", "APCA_API_SECRET_KEY": ""})
    assert ours.settings.alpaca.key_id == SecretStr("OURS")
    assert not ours.settings.alpaca.has_keys


@pytest.mark.parametrize("paper", [True, False])
@pytest.mark.parametrize("feed", ["iex", "sip"])
def test_addresses_follow_paper_and_feed(file: Path, paper: bool, feed: str) -> None:
    environ = {"TUI_TRADER_ALPACA__PAPER": str(paper), "TUI_TRADER_ALPACA__FEED": feed}
    alpaca = load(file, "", environ).settings.alpaca
    host = "paper-api.alpaca.markets" if paper else "api.alpaca.markets"
    assert alpaca.trading_url == f"https://{host}"
    assert alpaca.trading_stream_url == f"wss://{host}/stream"
    assert alpaca.data_stream_url == f"wss://stream.data.alpaca.markets/v2/{feed}"


def test_symbols_can_be_listed_with_commas_and_in_small_letters(file: Path) -> None:
    loaded = load(file, "", {"TUI_TRADER_ROUTES__SYMBOLS": "spy, brk.b,,BF-B"})
    assert loaded.settings.routes[0].symbols == ("SPY", "BRK.B", "BF-B")
    assert loaded.sources["routes.1.symbols"] == "environment TUI_TRADER_ROUTES__SYMBOLS"
    assert loaded.sources["routes.1.strategy"] == "default"


TWO_ROUTES = '[[routes]]\nscanner = "gap_up"\n[[routes]]\nsymbols = ["AMD"]\n'


def test_a_route_is_named_by_its_number_or_is_the_static_one(file: Path) -> None:
    overrides = {"routes.symbols": ("SPY",), "routes.config.sma_fast": "9", "routes.1.strategy": "sma_cross"}
    first, second = load(file, TWO_ROUTES, overrides=overrides).settings.routes
    assert (first.strategy, first.symbols) == ("sma_cross", ())
    assert (second.symbols, second.config) == (("SPY",), {"sma_fast": "9"})


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("off", None),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("127.8.8.8:65535", ("127.8.8.8", 65535)),
        ("localhost:8080", ("localhost", 8080)),
        ("[::1]:8080", ("::1", 8080)),
    ],
)
def test_the_control_api_listens_on_this_machine(
    file: Path, listen: str, address: tuple[str, int] | None
) -> None:
    assert load(file, f'[control]\nlisten = "{listen}"').settings.control.address == address


def test_only_the_default_file_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: tmp_path / "none")
    loaded = load_settings(None, {}, {})
    assert (loaded.settings, loaded.path) == (Settings(), None)
    assert set(loaded.sources.values()) == {"default"}
    with pytest.raises(
        UsageError, match=r"absent\.toml: no such file; create it with `tui-trader config init`"
    ):
        load_settings(tmp_path / "absent.toml", {}, {})


# ---- what is refused ----------------------------------------------------------------------------------

BAD_FILES = {
    "unknown key": (
        "[risk]\n\nmax_open_position = 3",
        "line 3: risk.max_open_position: unknown key; did you mean max_open_positions?",
    ),
    "unknown section": ("x = 1\n[riks]\n", "unknown key"),
    "misspelt section": ("[riks]\n", "line 1: riks: unknown key; did you mean risk?"),
    "unknown route key": (
        '[[routes]]\nsymbols = ["A"]\nstrategi = "velez"',
        "line 3: routes.1.strategi: unknown key; did you mean strategy?",
    ),
    "nothing near": ("[ui]\nzzz = 1", "line 2: ui.zzz: unknown key; remove it"),
    "escape codes": ('[ui]\n"\\u001b[2J" = 1', r"ui.\x1b[2J: unknown key"),
    "too much": (
        "[risk]\nmax_daily_loss_pct = 50",
        "line 2: risk.max_daily_loss_pct = 50: must be at most 10",
    ),
    "too little": ("[risk]\nmax_open_positions = 0", "risk.max_open_positions = 0: must be at least 1"),
    "part of one": ("[risk]\nmax_open_positions = 1.5", "= 1.5: must be a whole number"),
    "text for a number": ('[risk]\nmax_open_positions = "few"', '= "few": must be a whole number'),
    "text for a decimal": ('[risk]\nmax_position_pct = "few"', '= "few": must be a number'),
    "truth for a number": ("[risk]\nmax_open_positions = true", "= true: must be a number"),
    "nan": ("[risk]\nmax_position_pct = nan", "must be a number"),
    "infinite": ("[risk]\nmax_position_pct = inf", "must be a number"),
    "number for truth": ("[alpaca]\npaper = 3", "line 2: alpaca.paper: must be true or false"),
    "feed": ('[alpaca]\nfeed = "otc"', "alpaca.feed: must be 'iex' or 'sip'"),
    "number for text": ("[ui]\ntheme = 3", "ui.theme = 3: must be text in quotes"),
    "path for a name": ('[ui]\ntheme = "../x"', 'ui.theme = "../x": must be a name'),
    "glyphs": ('[ui]\nglyphs = "emoji"', "must be 'box', 'block', 'braille' or 'ascii'"),
    "section as value": ("risk = 3", "line 1: risk = 3: must be a table"),
    "one route as table": ('[routes]\nsymbols = ["A"]', "line 1: routes: must be one or more tables headed"),
    "no routes": ("routes = []", "routes: must hold at least one route"),
    "route without symbols": (
        '\n[[routes]]\nstrategy = "velez"',
        "line 2: routes.1.symbols: the static scanner needs symbols",
    ),
    "not a symbol": (
        '[[routes]]\nsymbols = ["AAPL", "A/B"]',
        'line 2: routes.1.symbols.2 = "A/B": is not a symbol',
    ),
    "symbol with a line end": ('[[routes]]\nsymbols = ["A\\nB"]', "is not a symbol"),
    "long symbol": ('[[routes]]\nsymbols = ["ABCDEFGHIJK"]', "is not a symbol"),
    "symbols as number": ("[[routes]]\nsymbols = 3", "must be a list"),
    "symbol twice": ('[[routes]]\nsymbols = ["AMD", "SPY", "amd"]', "AMD is listed twice"),
    "symbol in two routes": (
        '[[routes]]\nsymbols = ["AMD"]\n[[routes]]\nsymbols = ["SPY", "AMD"]',
        "line 4: routes.2.symbols: AMD is claimed by routes 1 and 2",
    ),
    "entries after flatten": (
        "[session]\nflatten_before_close_min = 30",
        "line 2: session.flatten_before_close_min: no_entries_before_close_min (15) must not be less than",
    ),
    "flatten too early": ("[session]\nflatten_before_close_min = 61", "must be at most 60"),
    "shutdown": ('[session]\nshutdown_positions = "hold"', "must be 'close' or 'keep'"),
    "plain http": ('[alpaca]\ntrading_url = "http://api.alpaca.markets"', "must begin with https://"),
    "plain socket": ('[alpaca]\ndata_stream_url = "ws://example.com"', "must begin with wss://"),
    "no host": ('[alpaca]\ndata_url = "https://"', "must be a plain URL"),
    "bad port": ('[alpaca]\ndata_url = "https://h:99999"', "must be a plain URL"),
    "foreign address": ('[control]\nlisten = "0.0.0.0:80"', 'listen = "0.0.0.0:80": must be on this machine'),
    "foreign name": ('[control]\nlisten = "example.com:80"', "must be on this machine"),
    "no port": ('[control]\nlisten = "127.0.0.1"', "must be HOST:PORT"),
    "high port": ('[control]\nlisten = "127.0.0.1:65536"', "must be HOST:PORT"),
    "syntax": ("[risk]\nmax_open_positions 3", "line 2 column 20: not TOML: Expected '='"),
    "unfinished": ('[ui]\ntheme = "x', "not TOML"),
    "twice": ("[ui]\n[ui]", "line 2"),
    "deep": ("x = " + "[" * 5000, "not TOML"),
}


@pytest.mark.parametrize(("text", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_explained_in_one_line(file: Path, text: str, reason: str) -> None:
    message = failure(file, text)
    assert message.startswith(str(file))
    assert reason in message


def test_a_service_on_this_machine_needs_no_tls(file: Path) -> None:
    text = '[alpaca]\ntrading_url = "http://127.0.0.1:9000/"\ndata_stream_url = "ws://localhost:9000/v2/iex"'
    alpaca = load(file, text).settings.alpaca
    assert alpaca.trading_url == "http://127.0.0.1:9000"
    assert alpaca.data_stream_url == "ws://localhost:9000/v2/iex"


BAD_ENVIRONMENTS = {
    "TUI_TRADER_RISK__MAX_OPEN_POSITION": "did you mean TUI_TRADER_RISK__MAX_OPEN_POSITIONS?",
    "TUI_TRADER_RISK_MAX_OPEN_POSITIONS": "did you mean TUI_TRADER_RISK__MAX_OPEN_POSITIONS?",
    "TUI_TRADER_risk__max_open_positions": "did you mean TUI_TRADER_RISK__MAX_OPEN_POSITIONS?",
    "TUI_TRADER_RISK": "no such setting",
    "TUI_TRADER_ROUTES": "no such setting",
    "TUI_TRADER_ROUTES__CONFIG": "no such setting",
    "TUI_TRADER_UI__KEYS__": "no such setting",
    "TUI_TRADER_": "no such setting",
    "TUI_TRADER_ROUTES__9__STRATEGY": "there is no route 9; the last is 1",
    "TUI_TRADER_RISK__MAX_OPEN_POSITIONS": "must be a whole number",
    "TUI_TRADER_ALPACA__PAPER": "must be true or false",
}


@pytest.mark.parametrize(("name", "reason"), BAD_ENVIRONMENTS.items())
def test_a_bad_environment_is_explained_by_its_own_names(file: Path, name: str, reason: str) -> None:
    message = failure(file, environ={name: "x"})
    assert message.startswith(f"environment {name}: ")
    assert reason in message


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (
            {"risk.max_open_position": 3},
            "risk.max_open_position: no such setting; did you mean risk.max_open_pos",
        ),
        ({"risk.max_open_positions": 99}, "risk.max_open_positions = 99: must be at most 20"),
        ({"routes.symbols": "SPY,spy"}, "SPY is listed twice"),
        ({"routes.0.symbols": "SPY"}, "no such setting"),
    ],
)
def test_a_bad_option_is_explained(file: Path, overrides: Mapping[str, object], reason: str) -> None:
    message = failure(file, overrides=overrides)
    assert message.startswith("command line: ")
    assert reason in message


def test_a_static_route_that_does_not_exist_cannot_be_meant(file: Path) -> None:
    message = failure(file, '[[routes]]\nscanner = "gap_up"', overrides={"routes.symbols": "SPY"})
    assert (
        message == "command line: no route has the static scanner; say which is meant, as in routes.1.symbols"
    )


def test_a_file_error_is_not_hidden_by_an_override_of_the_same_table(file: Path) -> None:
    environ = {"TUI_TRADER_UI__KEYS__QUIT": "x", "TUI_TRADER_ROUTES__SYMBOLS": "SPY"}
    assert "routes" in failure(file, "routes = 3", environ)
    assert "ui" in failure(file, "ui = 3", environ)
    assert "ui.keys" in failure(file, "ui.keys = 3", environ)


def test_every_risk_setting_has_both_bounds_and_keeps_them(file: Path) -> None:
    for name, field in RiskSettings.model_fields.items():
        low = next(x.ge for x in field.metadata if hasattr(x, "ge"))
        high = next(x.le for x in field.metadata if hasattr(x, "le"))
        for bound, beyond in ((low, low - 1), (high, high + 1)):
            kept = load(file, "", overrides={f"risk.{name}": bound})
            assert getattr(kept.settings.risk, name) == bound
            assert f"risk.{name} = {beyond}: must be at" in failure(file, overrides={f"risk.{name}": beyond})


def test_settings_cannot_change_once_loaded(file: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(file, "").settings.risk.max_open_positions = 9


# ---- files and secrets --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_change_is_refused(file: Path, mode: int) -> None:
    file.write_text("")
    file.chmod(mode)
    with pytest.raises(UsageError, match=f"others may change this file; run chmod 600 {file}"):
        load_settings(file, {}, {})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_secret_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.write_text('[alpaca]\nsecret_key = "hush"')
    file.chmod(mode)
    with pytest.raises(UsageError, match=f"others may read the secret_key in it; run chmod 600 {file}"):
        load_settings(file, {}, {})
    file.write_text('[ui]\ntheme = "light"')
    assert load_settings(file, {}, {}).settings.ui.theme == "light"


def test_files_that_are_no_settings_are_refused_in_one_line(tmp_path: Path, file: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load_settings(tmp_path, {}, {})
    for data, reason in ((b"\n# \xff", "line 2: not UTF-8"), (b"#" * (2 << 20), "larger than 1 MiB")):
        file.write_bytes(data)
        file.chmod(0o600)
        with pytest.raises(UsageError, match=reason):
            load_settings(file, {}, {})
    file.write_bytes(b"\xef\xbb\xbf[ui]\r\ntheme = 'light'\r\n")
    assert load_settings(file, {}, {}).sources["ui.theme"] == f"{file}:2"


@pytest.mark.parametrize(
    "text",
    [
        'alpaca = "hush"',
        '[alpaca]\nsecret_key = ["hush"]',
        '[alpaca]\nsecret_key = "hu sh hush"',
        '[alpaca]\nsecret_key = "hush…"',
        '[alpaca]\nsecretkey = "hush"',
        '[alpaca]\npaper = "hush"',
        '[alpaca]\ndata_url = "https://me:hush@host"',
        '[alpaca]\nsecret_key = "hush"\nfeed = "otc"',
        '[alpaca]\nsecret_key = "hush',
    ],
)
def test_no_error_repeats_a_secret(file: Path, text: str) -> None:
    assert "hush" not in failure(file, text)


def test_what_is_shown_names_sources_and_masks_secrets(file: Path) -> None:
    loaded = load(
        file, '[alpaca]\nsecret_key = "hush"\n[ui.keys]\nquit = "ctrl+q"', {"APCA_API_KEY_ID": "PK1"}
    )
    text = show(loaded)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert f"alpaca.secret_key = •••• # {file}:2" in lines
    assert "alpaca.key_id = •••• # environment APCA_API_KEY_ID" in lines
    assert f'ui.keys.quit = "ctrl+q" # {file}:4' in lines
    assert 'routes.1.symbols = ["AAPL", "TSLA", "AMD", "NVDA", "META"] # default' in lines
    assert "hush" not in text + repr(loaded)
    assert "PK1" not in text + repr(loaded)


def test_the_example_says_everything_and_changes_nothing(file: Path) -> None:
    text = example_config()
    assert load(file, text).settings == Settings()
    assert max(map(len, text.splitlines())) <= 110
    for section, field in Settings.model_fields.items():
        assert f"[{section}]" in text
        model = type(Settings().routes[0]) if section == "routes" else field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        assert all(inner.description for inner in model.model_fields.values())
    assert "# risk of one trade, dollars [10–5000]" in text


def test_what_the_example_leaves_out_works_when_it_is_switched_on(file: Path) -> None:
    text = example_config().replace("paper = true", "paper = false")
    assert load(file, text).settings.alpaca.trading_stream_url == "wss://api.alpaca.markets/stream"
