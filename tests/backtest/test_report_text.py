"""The summary for people: complete, aligned, in the alphabet and colours that its reader can have."""

from __future__ import annotations

import io
import re
from datetime import date
from decimal import Decimal

import pytest

from tests.backtest.making import at, curve, result, session, sessions, signal, trade
from tui_trader.backtest.metrics import metrics_of
from tui_trader.backtest.report_text import report_text
from tui_trader.backtest.result import (
    BacktestResult,
    DataNotes,
    OpenPosition,
    OrderRecord,
    RefusedBar,
    TripRecord,
)
from tui_trader.backtest.statements import counts, refusals, some, warnings, why_no_trades
from tui_trader.core.events import TradeReason
from tui_trader.core.orders import Role


class Stream(io.StringIO):
    def __init__(self, encoding: str = "utf-8", terminal: bool = False) -> None:
        super().__init__()
        self._encoding, self._terminal = encoding, terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


def shown(run: BacktestResult, encoding: str = "utf-8", terminal: bool = False) -> str:
    return report_text(run, metrics_of(run), Stream(encoding, terminal))


def busy(days: int = 3) -> BacktestResult:
    """Gains and losses of several symbols, hours and reasons on each of ``days``."""
    pnls = ["120.5", "-50", "33.25", "-12.75", "0"]
    symbols = ["AAPL", "TSLA", "AMD", "META", "NVDA"]
    reasons = [TradeReason.EXIT, TradeReason.STOP, TradeReason.END_OF_DAY]
    trades = [
        trade(
            pnl, symbol=symbol, entry_time=at(10 + 60 * place, day), reason=reasons[place % 3], highest=115.0
        )
        for day in range(days)
        for place, (pnl, symbol) in enumerate(zip(pnls, symbols, strict=True))
    ]
    return result(trades, days=sessions(days), signals=[signal()] * 15, orders=[entry()] * 15)


def entry() -> OrderRecord:
    return OrderRecord(at(10), "AAPL", Role.ENTRY, "submit", 10, Decimal(100), Decimal(101))


# ---- what it says ------------------------------------------------------------------------------------


def test_the_summary_says_what_was_run_and_what_was_counted() -> None:
    text = shown(busy())
    assert text.startswith("Backtest of velez: 5 symbols, 2026-06-01 to 2026-06-03, 3 sessions\n")
    for line in (
        "  symbols     AAPL, AMD, META, NVDA, TSLA",
        "  account     $100,000.00, slippage 1 tick",
        "  bars        5,850",
        "  candles     2,925",
        "  signals     15, refused 0",
        "  entries     15 orders, 15 filled",
    ):
        assert f"\n{line}\n" in text
    assert "sma_fast 20, sma_slow 200, candle_interval_minutes 2," in text
    assert "stop_buffer_pct 0.1" in text
    assert text.endswith("\n5,850 bars in 0.50 s, 11,700 a second.\n")


def test_figures_bear_their_sign_and_stand_in_columns() -> None:
    lines = shown(busy()).splitlines()
    at_figures = lines.index("Figures")
    figures = lines[at_figures + 1 : at_figures + 11]
    assert re.fullmatch(r"  profit or loss +\+273\.00 +trades +15", figures[0])
    assert re.fullmatch(r"  total return +\+0\.27 % +win rate +40\.0 %", figures[1])
    assert re.fullmatch(r"  max drawdown +-0\.05 % +worst trade +-50\.00", figures[5])
    assert re.fullmatch(r"  CAGR .*profit factor +2\.45", figures[2])
    assert re.search(r"    expectancy +\+18\.20  \+0\.36 R$", figures[3])
    # The dollars of all excursions end in one column, and so do their R.
    assert {line.rindex(".", 0, -6) for line in figures[6:]} == {figures[6].rindex(".", 0, -6)}
    assert {len(line) for line in figures[6:]} == {len(figures[3])}


def test_what_is_not_defined_is_a_dash() -> None:
    lines = shown(result([trade(5)])).splitlines()
    (factor,) = [line for line in lines if "profit factor" in line]
    (ratio,) = [line for line in lines if line.startswith("  Sharpe")]
    assert factor.rstrip().endswith("–")
    assert re.match(r"  Sharpe +– ", ratio)
    assert "nan" not in shown(result([trade(5)])).lower()
    assert "None" not in shown(result([trade(5)]))


def test_each_symbol_hour_and_reason_has_its_row() -> None:
    text = shown(busy())
    assert re.search(r"^  symbol +trades +P/L +win rate +factor +a trade +in R$", text, re.M)
    assert re.search(r"^  TSLA +3 +-150\.00 +0\.0 % +0\.00 +-50\.00 +-1\.00$", text, re.M)
    assert re.search(r"^  entered at +trades", text, re.M)
    assert re.search(r"^  09:00 +3 +\+361\.50", text, re.M)
    assert re.search(r"^  left by +trades", text, re.M)
    assert re.search(r"^  end_of_day +3 +\+99\.75", text, re.M)
    assert "  month " not in text


def test_months_are_told_apart_once_there_are_two() -> None:
    days = (session(date(2026, 1, 30)), session(date(2026, 2, 2)))
    trades = [trade(5, entry_time=day.open) for day in days]
    text = shown(result(trades, days=days))
    assert re.search(r"^  month +trades", text, re.M)
    assert re.search(r"^  2026-02 +1 +\+5\.00", text, re.M)


def test_of_very_many_symbols_the_best_and_the_worst_are_named() -> None:
    trades = [trade(number - 50, symbol=f"S{number:02}") for number in range(100)]
    text = shown(result(trades))
    rows = re.findall(r"^  (S\d\d) ", text, re.M)
    assert rows == [f"S{number:02}" for number in [*range(99, 89, -1), *range(9, -1, -1)]]
    assert "\n  80 more\n" in text
    assert "S00, S01, S02, S03, S04 and 95 more" in text


def test_refused_signals_are_told_by_rule_with_the_last_reason() -> None:
    signals = [signal("size", "0 shares at first"), signal("price_collar"), signal("size", "0 shares")]
    text = shown(result([trade()], signals=[*signals, signal()]))
    assert "  signals     4, refused 3\n" in text
    assert "  size refused 2 signals, at last: 0 shares\n" in text
    assert "  price_collar refused 1 signal\n" in text


def test_breaker_trips_are_told_in_new_york_time() -> None:
    trips = [
        TripRecord(at(97), "consecutive_loss_pause", Decimal(3), Decimal(3)),
        TripRecord(at(5, 1), "max_daily_loss_pct", Decimal("3001.555"), Decimal(3000)),
    ]
    text = shown(result([trade()], days=sessions(2), trips=trips))
    assert "  2026-06-01 11:07: 3 losses in a row\n" in text
    assert "  2026-06-02 09:35: the day's loss of $3,001.56 reached its limit of $3,000.00\n" in text
    many = shown(result([trade()], trips=trips[:1] * 8))
    assert many.count("3 losses in a row") == 5
    assert "  and 3 more\n" in many


def test_positions_still_open_are_told() -> None:
    held = OpenPosition("AAPL", 1200, at(9), Decimal("10.5"), Decimal(9), Decimal("-1.25"))
    text = shown(result(open_positions=[held]))
    assert "No trade was closed: what was bought is still held." in text
    assert "  AAPL: 1,200 from 2026-06-01 09:39 at 10.50, stop 9.00, -1.25 so far\n" in text
    assert "Figures" in text


# ---- no trades ---------------------------------------------------------------------------------------


def test_no_trades_say_why_and_show_no_empty_tables() -> None:
    silent = shown(result(bars=390))
    assert "\nNo trades: none of the 195 candles gave a signal.\n" in silent
    assert "Figures" not in silent
    assert "Equity" not in silent
    assert "win rate" not in silent


def test_each_reason_for_no_trades_has_its_words() -> None:
    refused = [signal("size"), signal("size"), signal("price_collar")]
    assert why_no_trades(result(signals=refused)) == (
        "No trades: every one of 3 signals was refused (size 2, price_collar 1)."
    )
    assert why_no_trades(result(signals=[signal("size")])) == (
        "No trades: the one signal was refused (size 1)."
    )
    assert why_no_trades(result(signals=[signal(), signal("size")], orders=[entry()])) == (
        "No trades: 1 entry order went out and none was filled."
    )
    assert why_no_trades(result(notes=DataNotes(cold=("AAPL",)))) == (
        "No trades: no symbol had as many candles as the strategy needs before its first signal."
    )
    assert why_no_trades(result([trade()])) is None


# ---- the data ----------------------------------------------------------------------------------------


def test_everything_odd_about_the_bars_is_said() -> None:
    refused = tuple(RefusedBar("AAPL", at(number), "open 300 jumps") for number in range(7))
    notes = DataNotes(
        refused, 1, (("AMD", at(0, 1)),), {"TSLA": 1200, "AAPL": 3, "X": 0}, 5, ("IBM", "GE"), ("META",), 2
    )
    found = warnings(result([trade()], notes=notes), 201)
    assert found == [
        "No bars of IBM, GE, though asked for.",
        "META never had the 201 candles velez needs: no signal was possible.",
        "AMD was split before the session of 2026-06-02: its candles start anew there.",
        "7 bars refused:",
        *[f"  AAPL 2026-06-01 09:3{number}: open 300 jumps" for number in range(5)],
        "  and 2 more",
        "1 bar had a high or low beyond belief, cut back to the body.",
        "1,203 session minutes without a bar (TSLA 1,200, AAPL 3): normal where nobody traded.",
        "5 bars outside regular hours left out.",
        "2 bad rows skipped; without --skip-bad the first one is named.",
        "CAGR, Sharpe and Sortino are scaled up from 1 session.",
    ]
    text = shown(result([trade()], notes=notes))
    assert "About the data" in text
    assert "META never had as many candles as velez needs: no signal was possible." in " ".join(text.split())


def test_clean_bars_of_a_month_need_no_word() -> None:
    assert warnings(result(days=sessions(21))) == []
    assert "About the data" not in shown(result(days=sessions(21)))


def test_lists_are_cut_and_counted() -> None:
    assert some("ABC") == "A, B, C"
    assert some(str(number) for number in range(1500)) == "0, 1, 2, 3, 4 and 1,495 more"
    assert counts({"b": 2, "a": 2, "c": 1234}) == "c 1,234, a 2, b 2"


# ---- the reader's terminal ---------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_it_fits_the_width_it_has(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = shown(busy()).splitlines()
    assert max(map(len, lines)) <= columns
    equity = lines[lines.index("Equity") + 1]
    assert len(equity) == columns - 2


def test_room_at_the_side_is_used_for_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert re.search(r"^  symbol .* entered at ", shown(busy()), re.M)


def test_no_figure_is_cut_off_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def numbers() -> list[str]:
        return re.findall(r"[+-]?[\d,]+\.\d+", shown(busy()))

    wide = numbers()
    monkeypatch.setenv("COLUMNS", "30")
    assert numbers() == wide


def test_no_figure_is_cut_off_for_being_large() -> None:
    run = result([trade("123456789012.34", symbol="ABCDEFGHIJ", planned_risk="0.01")] * 3)
    assert "+370,370,367,037.02" in shown(run)
    assert re.search(r"^  ABCDEFGHIJ +3 +\+370,370,367,037\.02 +100\.0 %", shown(run), re.M)


def test_the_sparkline_shows_the_shape_of_the_curve() -> None:
    (day,) = sessions(1)
    run = result([trade()], equity=curve([(at(195), 110_000.0), (day.close, 90_000.0)]))
    lines = shown(run).splitlines()
    spark = lines[lines.index("Equity") + 1].strip()
    assert (spark[0], spark[36], spark[40], spark[-1]) == ("▅", "▅", "█", "▁")
    assert lines[lines.index("Equity") + 2].strip() == (
        "100,000.00 at first, 90,000.00 lowest, 110,000.00 highest, 90,000.00 at last"
    )


def test_ascii_takes_the_place_of_what_cannot_be_encoded() -> None:
    for encoding in ("ascii", "latin-1"):
        text = shown(busy(), encoding)
        assert text.isascii()
        lines = text.splitlines()
        assert set(lines[lines.index("Equity") + 1].strip()) <= set("_.-=+*%#")
    assert re.search(r"factor +-$", shown(result([trade()]), "ascii"), re.M)


def test_names_that_cannot_be_encoded_are_escaped() -> None:
    assert "Backtest of caf\\xe9:" in shown(result(strategy="café"), "ascii")


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in shown(busy())
    coloured = shown(busy(), terminal=True)
    assert "\x1b[32m" in coloured
    assert "\x1b[31m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown(busy(), terminal=True))
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in shown(busy(), terminal=True)


def test_with_and_without_colour_it_says_the_same() -> None:
    bare = re.sub(r"\x1b\[[0-9;]*m", "", shown(busy(), terminal=True))
    assert [line.rstrip() for line in bare.splitlines()] == shown(busy()).splitlines()


def test_text_from_outside_is_neither_markup_nor_a_command() -> None:
    hostile = "[red]x[/red]\x1b[2J\x9b1m\r\n:smile:"
    signals = [signal("size", hostile)]
    notes = DataNotes((RefusedBar("AAPL", at(1), hostile),), absent=(hostile,))
    text = shown(result(strategy=hostile, signals=signals, notes=notes, config={hostile: hostile}))
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "[red]x[/red]\\x1b[2J\\x9b1m\\r\\n:smile:" in text
    assert refusals(result(signals=signals))[0].isprintable()
