"""Strategies by name, and what is said about one that cannot be had."""

from __future__ import annotations

from decimal import Decimal
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tui_trader.core.indicators import Indicator
from tui_trader.errors import UsageError
from tui_trader.strategies import registry
from tui_trader.strategies.registry import check_strategy, find_strategy, strategy_config
from tui_trader.strategies.sma_cross import SmaCross, SmaCrossConfig
from tui_trader.strategies.velez import Velez, VelezConfig

HEAD = """
from decimal import Decimal
from tui_trader.strategies.base import Strategy, StrategyConfig
from tui_trader.strategies.velez import Velez
"""
MINE = """
class Mine(Strategy):
    candle_interval_minutes = 5
    required_history = 3
    indicators = {}
    def should_long(self, view): return False
    def entry_price(self, view): return Decimal(1)
    def stop_loss_price(self, view): return Decimal(1)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "strategies"
    made.mkdir(mode=0o700)
    return made


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.py"
    path.write_text(HEAD + text)
    path.chmod(0o600)
    return path


def failure(name: str, folder: Path | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        find_strategy(name, folder)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_the_built_in_ones_are_found_by_name() -> None:
    assert find_strategy("velez") is Velez
    assert find_strategy("sma_cross") is SmaCross


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("velz", "did you mean velez?"),
        ("smacross", "did you mean sma_cross?"),
        ("zzz", "known are sma_cross, velez"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, hint: str) -> None:
    assert failure(name) == f"unknown strategy '{name}': {hint}"


def test_a_folder_that_does_not_exist_is_no_mistake(tmp_path: Path) -> None:
    assert find_strategy("velez", tmp_path / "none") is Velez
    assert "known are" in failure("zzz", tmp_path / "none")


def test_a_file_of_the_users_folder_is_a_strategy_of_its_name(folder: Path) -> None:
    write(folder, MINE)
    found = find_strategy("mine", folder)
    made = found("AAPL", strategy_config(found, {}, "here"))
    assert (found.name, made.symbol, made.candle_interval_minutes) == ("mine", "AAPL", 5)
    assert failure("mime", folder) == "unknown strategy 'mime': did you mean mine?"


def test_a_file_may_extend_a_built_in_strategy_and_leaves_that_alone(folder: Path) -> None:
    write(folder, "class Faster(Velez):\n    pass\n")
    assert find_strategy("mine", folder).name == "mine"
    assert Velez.name == "velez"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_change_is_refused_with_the_cure(folder: Path, mode: int) -> None:
    path = write(folder, MINE)
    path.chmod(mode)
    assert failure("mine", folder) == f"{path} may be changed by others: chmod go-w {path}"


def test_a_folder_that_others_may_change_is_refused_with_the_cure(folder: Path) -> None:
    write(folder, MINE)
    folder.chmod(0o770)
    assert failure("mine", folder) == f"{folder} may be changed by others: chmod go-w {folder}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must define exactly one Strategy class, it defines 0"),
        (MINE + MINE.replace("Mine", "Other"), "must define exactly one Strategy class, it defines 2"),
        ("def (:\n", "cannot be loaded: SyntaxError: "),
        ("import no_such_module\n", "cannot be loaded: ModuleNotFoundError: "),
        ("raise ValueError('two\\nlines')\n", r"cannot be loaded: ValueError: two\nlines"),
        ("import sys\nsys.exit(5)\n", "cannot be loaded: SystemExit: 5"),
    ],
)
def test_a_file_that_is_no_strategy_is_explained_in_one_line(folder: Path, text: str, reason: str) -> None:
    path = write(folder, text)
    assert failure("mine", folder).startswith(f"{path} {reason}")


def test_a_file_of_bytes_is_explained_too(folder: Path) -> None:
    path = write(folder, "")
    path.write_bytes(b"\x00\xff\xfe")
    assert failure("mine", folder).startswith(f"{path} cannot be loaded: ")


def test_a_failed_file_leaves_nothing_behind_and_can_be_mended(folder: Path) -> None:
    write(folder, "raise ValueError")
    failure("mine", folder)
    write(folder, MINE)
    assert find_strategy("mine", folder).name == "mine"


# ---- installed packages --------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("other", "tui_trader.strategies.sma_cross:SmaCross", registry.GROUP),
        EntryPoint("wrong", "tui_trader.strategies.velez:VelezConfig", registry.GROUP),
        EntryPoint("gone", "no_such_module:Thing", registry.GROUP),
        EntryPoint("empty", "tui_trader.strategies.velez:Nothing", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: [p for p in points if p.group == group])


@pytest.mark.usefixtures("installed")
def test_an_installed_package_can_offer_a_strategy() -> None:
    assert find_strategy("other") is SmaCross
    assert failure("othr") == "unknown strategy 'othr': did you mean other?"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wrong", "entry point tui_trader.strategies.velez:VelezConfig is not a Strategy class"),
        ("gone", "entry point no_such_module:Thing cannot be loaded: ModuleNotFoundError: "),
        ("empty", "entry point tui_trader.strategies.velez:Nothing cannot be loaded: AttributeError: "),
    ],
)
def test_an_offer_that_cannot_be_kept_is_explained(name: str, reason: str) -> None:
    assert failure(name).startswith(reason)


# ---- parameters ----------------------------------------------------------------------------------------


def test_text_from_the_environment_is_taken_for_the_number_it_is() -> None:
    values = {
        "sma_fast": "10",
        "stop_buffer_pct": "0.2",
        "candle_interval_minutes": "5",
        "tightness_threshold_pct": "1.5",
    }
    config = strategy_config(Velez, values, "routes.1.config")
    assert isinstance(config, VelezConfig)
    assert (config.sma_fast, config.stop_buffer_pct, config.candle_interval_minutes) == (
        10,
        Decimal("0.2"),
        5,
    )
    assert config.tightness_threshold_pct == 1.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sma_fst": 20}, "here: sma_fst: did you mean sma_fast?"),
        ({"zzz": 20}, "here: zzz: velez has no such parameter"),
        ({"sma_fast": 4}, "here: sma_fast = 4: must be at least 5"),
        ({"sma_fast": "x"}, "here: sma_fast = x: must be a whole number"),
        ({"stop_buffer_pct": "nan"}, "here: stop_buffer_pct = NaN: must be a number"),
        ({"candle_interval_minutes": 3}, "here: candle_interval_minutes = 3: must be 1, 2, 5 or 10"),
    ],
)
def test_a_bad_parameter_names_itself_its_value_and_what_is_wrong(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        strategy_config(Velez, values, "here")
    assert str(caught.value).startswith(message)
    assert str(caught.value).isprintable()


def test_parameters_that_are_wrong_together_are_explained() -> None:
    with pytest.raises(UsageError, match=r"^here: .*sma_fast \(40\) must be less than sma_slow \(30\)$"):
        strategy_config(SmaCross, {"sma_fast": 40}, "here")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("def should_long(self, view): return False", ""), "TypeError: "),
        (
            ("candle_interval_minutes = 5", "candle_interval_minutes = 3"),
            "candles of 3 minutes: one of 1, 2, 5, 10, 15",
        ),
        (("required_history = 3", "required_history = property(lambda self: 1 // 0)"), "ZeroDivisionError: "),
        (
            ("class Mine(Strategy):", "class Mine(Strategy):\n    def __init__(self, *_): raise KeyError(1)"),
            "KeyError: ",
        ),
        (("indicators = {}", "indicators = 5"), "TypeError: "),
    ],
)
def test_a_strategy_that_cannot_be_made_is_refused_before_the_run(
    folder: Path, change: tuple[str, str], reason: str
) -> None:
    write(folder, MINE.replace(*change))
    found = find_strategy("mine", folder)
    with pytest.raises(UsageError) as caught:
        strategy_config(found, {}, "routes.1.config")
    assert str(caught.value).startswith(f"strategy mine cannot be used: {reason}")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"candle_interval_minutes": 5.0}, "candles of 5.0 minutes: one of 1, 2, 5, 10, 15"),
        ({"candle_interval_minutes": True}, "candles of True minutes"),
        ({"indicators": {"sma": Indicator("sma", 0)}}, "indicator sma: a period of 0 candles"),
        ({"indicators": {"sma": Indicator("sma", "5")}}, "indicator sma: a period of '5' candles"),  # type: ignore[arg-type]
        ({"indicators": {"zzz": Indicator("zzz", 5)}}, "there is no indicator 'zzz'"),  # type: ignore[arg-type]
        ({"indicators": {"sma": 20}}, "indicators must map names to Indicator"),
        ({"__init__": lambda self, symbol, config: None}, "AttributeError"),
    ],
)
def test_a_class_with_an_innocent_mistake_is_refused_in_a_line(changes: dict[str, object], why: str) -> None:
    broken = type("Broken", (SmaCross,), {"name": "broken", **changes})
    with pytest.raises(UsageError, match=r"^strategy broken cannot be used: ") as error:
        check_strategy(broken, lambda: broken("A", SmaCrossConfig()))
    assert why in str(error.value)


@pytest.mark.parametrize("text", ["1e999999999", "1e-999999999", "1" * 41])
def test_a_number_of_millions_of_digits_is_no_parameter(text: str) -> None:
    with pytest.raises(UsageError, match="must be a"):
        strategy_config(SmaCross, {"max_entry_slippage_r": text}, "here")
