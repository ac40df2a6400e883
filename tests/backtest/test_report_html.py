from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backtest.making import MINUTE, at, curve, result, session, sessions, signal, trade
from tui_trader.backtest.html_chart import MAX_CANDLES, MAX_TRADES, TradingTime
from tui_trader.backtest.html_figures import distribution_figure, equity_figure, thin
from tui_trader.backtest.market import MarketData
from tui_trader.backtest.metrics import metrics_of
from tui_trader.backtest.report_html import require_plotly, write_html
from tui_trader.backtest.result import BacktestResult, DataNotes, EquityCurve, Trade
from tui_trader.core.calendar import FixedCalendar, Session
from tui_trader.core.events import TradeReason
from tui_trader.errors import UsageError
from tui_trader.venues.replay.bars_file import BarTable

#: Elements whose text is no HTML.
RAW = ("script", "style")
LOADING = (
    "src",
    "srcset",
    "href",
    "xlink:href",
    "action",
    "formaction",
    "data",
    "poster",
    "background",
    "ping",
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """A page: its elements with their attributes, what can be read, and its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.raw = text
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.read: list[str] = []
        self.inside: dict[str, list[str]] = {name: [] for name in RAW}
        self._in = ""
        self.feed(self.raw)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in RAW:
            self._in = tag
            self.inside[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._in:
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in:
            self.inside[self._in][-1] += data
        else:
            self.read.append(data)

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.read))

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.inside["script"][0])
        return found

    def table(self, heading: str) -> list[list[str]]:
        """The rows, header first, of the table whose first header says ``heading``."""
        for table in re.findall(r"<table.*?</table>", self.raw, re.DOTALL):
            rows = [
                re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)
                for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
            ]
            if rows[0][0] == heading:
                return rows
        raise AssertionError(f"no table of {heading}")


def bars(days: Sequence[Session], symbols: Sequence[str] = ("AAPL",)) -> BarTable:
    """A bar a minute for every symbol, prices wandering by the cent."""
    minutes = np.concatenate([np.arange(day.minutes) + int(day.open.timestamp()) // 60 for day in days])
    steps = np.random.default_rng(7).integers(-3, 4, size=(len(minutes), len(symbols)))
    close = np.maximum(10_000 + np.cumsum(steps, axis=0), 5_000).ravel() / 100
    opened = (close * 100 - steps.ravel()) / 100
    return BarTable(
        tuple(symbols),
        np.repeat(minutes, len(symbols)),
        np.tile(np.arange(len(symbols), dtype=np.int32), len(minutes)),
        opened, np.maximum(opened, close) + 0.01, np.minimum(opened, close) - 0.01, close,
        np.full(len(close), 1_000), (),
    )  # fmt: skip


def market(days: Sequence[Session], symbols: Sequence[str] = ("AAPL",)) -> MarketData:
    return MarketData(bars(days, symbols), FixedCalendar(days), 20.0)


def page(tmp_path: Path, found: BacktestResult, over: MarketData | None = None) -> Page:
    path = tmp_path / "report.html"
    write_html(found, over or market(found.sessions, found.symbols), path)
    return Page(path.read_text(encoding="utf-8"))


def some_trades() -> list[Trade]:
    return [
        trade(100, symbol="AAPL", entry_time=at(10), reason=TradeReason.EXIT, lowest=98, highest=112),
        trade(-40, symbol="IBM", entry_time=at(70), reason=TradeReason.STOP, lowest=95, highest=101),
        trade(0, symbol="IBM", entry_time=at(300), reason=TradeReason.END_OF_DAY),
        trade(-60, symbol="AAPL", entry_time=at(20, day=1), planned_risk=0),
    ]


def column(packed: list[str]) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(packed[1]), dtype=f"<{packed[0]}")


# ---- the page asks nobody for anything ---------------------------------------------------------------


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    found = page(tmp_path, result(some_trades(), days=sessions(2)))

    assert not [(tag, name) for tag, given in found.elements for name in given if name in LOADING]
    assert not {"link", "iframe", "object", "embed", "base", "img", "video", "audio"} & set(found.tags)
    assert not [text for text in found.inside["style"] if "url(" in text or "@import" in text]
    own = found.inside["script"][2]
    assert "Plotly.newPlot(" in own
    assert not re.search(r"https?:|fetch\(|XMLHttp|import\(|WebSocket|sendBeacon|new Image|EventSource", own)


def test_the_browser_is_told_to_fetch_nothing_and_to_run_these_scripts_only(tmp_path: Path) -> None:
    found = page(tmp_path, result(some_trades(), days=sessions(2)))

    [policy] = [given["content"] for _, given in found.elements if "http-equiv" in given]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == "'none'"
    digests = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in found.inside["script"][1:]
    ]
    assert rules.pop("script-src").split() == digests
    assert rules == {
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert found.tags.index("meta") < found.tags.index("script")


def test_the_library_is_there_once_and_may_not_send_charts_to_its_makers(tmp_path: Path) -> None:
    found = page(tmp_path, result(some_trades(), days=sessions(2)))

    assert len(found.inside["script"]) == 3
    assert found.raw.count("* plotly.js v") == 1
    config = found.data["config"]
    assert not config["displaylogo"]
    assert not config["showSendToCloud"]
    assert config["plotlyServerURL"] == config["topojsonURL"] == ""
    assert not [
        name for group in config["modeBarButtons"] for name in group if "loud" in name or "send" in name
    ]


def test_neither_paths_nor_users_are_on_the_page(tmp_path: Path) -> None:
    found = page(tmp_path, result(some_trades(), days=sessions(2)))

    visible = found.raw.replace(found.inside["script"][1], "")
    for secret in (str(tmp_path), tmp_path.name, str(Path.cwd()), sys.prefix):
        assert secret not in visible


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_draws_every_figure_under_the_policy(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_html(result(some_trades(), days=sessions(2)), market(sessions(2), ("AAPL", "IBM")), path)
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,900",
        f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND",
        "--virtual-time-budget=10000", "--enable-logging=stderr", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)

    drawn = Page(done.stdout.decode())
    classes = {given.get("id"): given.get("class") or "" for _, given in drawn.elements}
    for name in ("equity", "chart", "distribution", "excursions"):
        assert "js-plotly-plot" in classes[name]
    assert sum(given.get("class") == "main-svg" for _, given in drawn.elements) >= 4
    assert "Candles of 2 minutes, 2 trades in view." in drawn.text
    assert b"CONSOLE" not in done.stderr


# ---- what comes from outside is text -----------------------------------------------------------------

MARKUP = "</script><script>alert(1)</script><img src=x onerror=alert(2)><b>&lt;\u202e"


def test_names_reasons_and_parameters_are_never_markup(tmp_path: Path) -> None:
    def found(name: str) -> BacktestResult:
        trades = [item._replace(symbol=name, strategy=name) for item in some_trades()]
        refused = signal("size", reason=f"too small for {name}", symbol=name)
        return result(
            trades, symbols=(name,), strategy=name, config={name: name}, days=sessions(2), signals=[refused],
            notes=DataNotes(absent=(name,), cold=(name,), missing={name: 3}),
        )  # fmt: skip

    plain = page(tmp_path, found("AAPL"), market(sessions(2)))
    hostile = page(tmp_path, found(MARKUP), market(sessions(2)))

    assert hostile.elements[5:] == plain.elements[5:]  # the first ones hold the policy's digests
    assert hostile.tags == plain.tags
    shown = MARKUP.replace("\u202e", "\\u202e")
    assert f"{shown} on {shown}" in "".join(hostile.read)
    assert hostile.text.count("alert(1)") >= 6
    assert "\u202e" not in hostile.raw
    assert not set("<>&") & set(hostile.inside["script"][0])


def test_a_symbol_is_no_markup_to_plotly(tmp_path: Path) -> None:
    trades = [item._replace(symbol=MARKUP) for item in some_trades()]
    data = page(tmp_path, result(trades, symbols=(MARKUP,), days=sessions(2)), market(sessions(2))).data

    texts = [text for trace in data["figures"]["excursions"]["data"] for text in trace.get("customdata", ())]
    assert len(texts) == 2 * len(trades)
    assert not [text for text in texts if "<" in text]
    assert "&lt;img src=x" in texts[0]
    del data["chart"]["symbols"]  # the page shows these as text, outside of plotly
    assert "<img" not in json.dumps(data)


# ---- figures -----------------------------------------------------------------------------------------


def test_trading_time_has_no_closed_hours() -> None:
    days = (
        session(date(2026, 11, 25)),
        session(date(2026, 11, 27), closes=time(13)),
        session(date(2026, 11, 30)),
    )
    axis = TradingTime(days)

    moments = [days[0].open, days[0].close, days[1].open, days[1].close, days[2].open, days[2].close]
    assert axis.of_times(moments).tolist() == [0, 390, 390, 600, 600, 990]
    night = [days[0].close + timedelta(hours=5), days[1].close + timedelta(hours=1)]
    assert axis.of_times(night).tolist() == [390, 600]
    assert axis.axis() == {
        "dates": ["2026-11-25", "2026-11-27", "2026-11-30"], "opens": [570] * 3, "lengths": [390, 210, 390],
    }  # fmt: skip


def test_thinning_keeps_ends_and_extremes_of_every_stretch() -> None:
    values = np.cumsum(np.random.default_rng(3).normal(size=100_000))
    kept = thin(values, 1_000)

    assert len(kept) <= 1_000
    assert (np.diff(kept) > 0).all()
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    for stretch in np.array_split(np.arange(len(values)), 50):
        mine = values[kept[(kept >= stretch[0]) & (kept <= stretch[-1])]]
        assert values[stretch].max() - mine.max() < 0.5
        assert mine.min() - values[stretch].min() < 0.5
    assert values[kept].min() == values.min()
    assert values[kept].max() == values.max()
    assert thin(values[:900], 1_000).tolist() == list(range(900))


def test_a_thinned_curve_still_shows_the_greatest_drawdown() -> None:
    days = sessions(200)
    minutes = np.concatenate([np.arange(1, 391) * 60 + int(day.open.timestamp()) for day in days])
    values = 100_000 + np.cumsum(np.random.default_rng(4).normal(0, 20, len(minutes)))
    found = result(days=days, equity=EquityCurve(minutes, values))

    equity, drawdown = equity_figure(found.equity, float(found.cash), TradingTime(days)).data
    assert len(equity.x) < 5_000
    assert min(drawdown.y) == pytest.approx(metrics_of(found).max_drawdown * 100, abs=1e-4)
    assert (max(equity.y), min(equity.y)) == (round(values.max(), 2), round(values.min(), 2))
    assert (equity.y[0], equity.y[-1]) == (100_000, round(values[-1], 2))
    assert equity.x == drawdown.x


def test_no_bar_of_the_distribution_holds_both_losses_and_gains() -> None:
    pnls = [-0.1, 0, 0.1, 0.3, 0.7, -37.5, 120, 119.99, 12]
    in_r, dollars = distribution_figure([trade(pnl, planned_risk=10) for pnl in pnls]).data

    for bar in (in_r, dollars):
        assert sum(bar.y) == len(pnls)
        lost = sum(y for x, y in zip(bar.x, bar.y, strict=True) if x < 0)
        assert lost == 2
        blue = {colour for x, colour in zip(bar.x, bar.marker.color, strict=True) if x > 0}
        orange = {colour for x, colour in zip(bar.x, bar.marker.color, strict=True) if x < 0}
        assert len(blue) == len(orange) == 1
        assert blue != orange


@pytest.mark.parametrize("pnl", [0, 5, -5, 0.0001, -1e6])
def test_a_single_trade_has_a_distribution(pnl: float) -> None:
    in_r, dollars = distribution_figure([trade(pnl)]).data
    assert sum(in_r.y) == sum(dollars.y) == 1


def test_trades_without_planned_risk_are_distributed_in_dollars_only() -> None:
    [dollars] = distribution_figure([trade(5, planned_risk=0)]).data
    assert dollars.xaxis == "x2"


# ---- the chart of trades -----------------------------------------------------------------------------


def test_the_chart_holds_the_strategys_own_candles_and_all_trades(tmp_path: Path) -> None:
    trades = some_trades()
    over = market(sessions(2), ("AAPL", "IBM"))
    chart = page(tmp_path, result(trades, days=sessions(2)), over).data["chart"]

    assert chart["minutes"] == 2
    assert [item["symbol"] for item in chart["symbols"]] == ["AAPL", "IBM"]
    for item in chart["symbols"]:
        candles, mine = over.candles(item["symbol"], 2), [t for t in trades if t.symbol == item["symbol"]]
        assert column(item["candles"]["x"]).tolist() == list(range(0, 780, 2))
        for name in ("open", "high", "low", "close"):
            assert column(item["candles"][name]) == pytest.approx(getattr(candles, name), rel=1e-6)
        packed = item["trades"]
        assert column(packed["bought"]).tolist() == [float(t.entry_price) for t in mine]
        assert column(packed["sold"]).tolist() == [float(t.exit_price) for t in mine]
        assert column(packed["pnl"]).tolist() == [float(t.pnl) for t in mine]
        assert [chart["reasons"][n] for n in column(packed["reason"])] == [
            t.reason.value.replace("_", " ") for t in mine
        ]
    first, second = (item["trades"] for item in chart["symbols"])
    assert column(first["entered"]).tolist() == [10, 410]
    assert column(first["left"]).tolist() == [20, 420]
    assert column(second["entered"]).tolist() == [70, 300]
    assert column(first["r"]).tolist() == pytest.approx([2.0, float("nan")], nan_ok=True)


def test_larger_candles_are_made_of_whole_sessions_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = (session(date(2026, 11, 25)), session(date(2026, 11, 27), closes=time(13)))
    over = market(days)
    minute = over.candles("AAPL", 1)
    for room, minutes, starts in (
        (20, 30, [*range(0, 390, 30), *range(390, 600, 30)]),
        (19, 24 * 60, [0, 390]),
    ):
        monkeypatch.setattr("tui_trader.backtest.html_chart.MAX_CANDLES", room)
        found = page(tmp_path, result(days=days), over)
        chart = found.data["chart"]
        candles = {name: column(packed) for name, packed in chart["symbols"][0]["candles"].items()}
        assert chart["minutes"] == minutes
        assert candles["x"].tolist() == starts
        ends = [*starts[1:], 600]
        for number, (a, b) in enumerate(zip(starts, ends, strict=True)):
            assert candles["open"][number] == pytest.approx(minute.open[a])
            assert candles["close"][number] == pytest.approx(minute.close[b - 1])
            assert candles["high"][number] == pytest.approx(minute.high[a:b].max())
            assert candles["low"][number] == pytest.approx(minute.low[a:b].min())
        size = "one session" if minutes > 30 else "30 minutes"
        assert f"the finest candle of the chart is {size}" in found.text


def test_candles_outside_the_sessions_of_the_run_are_left_out(tmp_path: Path) -> None:
    days = sessions(5)
    chart = page(tmp_path, result(days=days[1:3]), market(days)).data["chart"]
    assert column(chart["symbols"][0]["candles"]["x"]).tolist() == list(range(0, 780, 2))


def test_too_many_symbols_leave_the_busiest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_trader.backtest.html_chart.MAX_CANDLES", 2)
    names = ("A", "B", "C", "D")
    found = page(tmp_path, result([trade(symbol="D"), trade(symbol="D"), trade(symbol="C")], symbols=names))

    assert [item["symbol"] for item in found.data["chart"]["symbols"]] == ["C", "D"]
    assert found.data["chart"]["first"] == 1
    assert "The chart shows 2 of 4 symbols, those with the most trades." in found.text


def test_a_million_bars_and_points_stay_below_twelve_megabytes(tmp_path: Path) -> None:
    days = sessions(2_565)
    minutes = np.concatenate([np.arange(1, 391) * 60 + int(day.open.timestamp()) for day in days])
    values = 100_000 + np.cumsum(np.random.default_rng(5).normal(0, 3, len(minutes)))
    trades = [
        trade((number % 7) - 3.1, entry_time=day.open + minute * MINUTE)
        for day in days
        for number, minute in enumerate(range(5, 365, 30))
    ]
    assert len(minutes) > 1_000_000
    assert len(trades) > MAX_TRADES
    found = page(tmp_path, result(trades, days=days, equity=EquityCurve(minutes, values)), market(days))

    assert len(found.raw.encode()) < 12_000_000
    chart = found.data["chart"]
    assert sum(len(column(item["candles"]["x"])) for item in chart["symbols"]) <= MAX_CANDLES
    assert sum(len(column(item["trades"]["pnl"])) for item in chart["symbols"]) == MAX_TRADES
    assert (
        f"The chart holds the last {MAX_TRADES:,} trades; {len(trades) - MAX_TRADES:,} earlier" in found.text
    )
    assert "Drawn from the highs and lows among 1,000,350 points." in found.text


# ---- what can be read --------------------------------------------------------------------------------


def test_the_heading_says_what_was_run(tmp_path: Path) -> None:
    text = page(tmp_path, result(some_trades(), days=sessions(2), slippage_ticks=2)).text

    assert "velez on AAPL, IBM" in text
    for pair in (
        "Period Mon 1 Jun 2026 to Tue 2 Jun 2026, 2 sessions",
        "Cash $100,000.00",
        "Slippage 2 ticks",
        "sma_fast 20",
        "stop_buffer_pct 0.1",
    ):
        assert pair in text.replace("  ", " ")


def test_the_figures_are_those_of_metrics(tmp_path: Path) -> None:
    found = result([trade(100), trade(-40, entry_time=at(40))])
    text = page(tmp_path, found).text

    assert "Return +0.06 % to $100,060.00" in text
    assert "Win rate 50.0 % of trades made money" in text
    assert "Profit factor 2.50" in text
    assert "Expectancy +$30.00 +0.60 R a trade" in text
    assert "Best trade +$100.00 worst −$40.00" in text
    assert f"Max drawdown −{-metrics_of(found).max_drawdown * 100:.2f} %" in text


def test_months_stand_in_their_years_and_the_year_compounds_them(tmp_path: Path) -> None:
    days = (session(date(2025, 12, 31)), session(date(2026, 1, 2)), session(date(2026, 3, 2)))
    closes = [(days[0].close, 110_000.0), (days[1].close, 99_000.0), (days[2].close, 103_950.0)]
    found = page(tmp_path, result(days=days, equity=curve(closes)))

    head, *rows = found.table("Year")
    assert head[1:13] == [f"{date(2026, month, 1):%b}" for month in range(1, 13)]
    assert [row[0] for row in rows] == ["2025", "2026"]
    assert [rows[0][12], rows[0][13]] == ["+10.00 %", "+10.00 %"]
    assert rows[1][1:] == ["−10.00 %", "", "+5.00 %", *[""] * 9, "−5.50 %"]


def test_results_are_told_by_symbol_hour_and_reason(tmp_path: Path) -> None:
    found = page(tmp_path, result(some_trades(), days=sessions(2)))

    by_symbol = {row[0]: row[1:] for row in found.table("Symbol")[1:]}
    assert by_symbol["AAPL"][:3] == ["2", "+$40.00", "50.0 %"]
    assert by_symbol["IBM"][:3] == ["2", "−$40.00", "0.0 %"]
    assert [row[:2] for row in found.table("Hour of entry")[1:]] == [
        ["09:00–09:59", "2"], ["10:00–10:59", "1"], ["14:00–14:59", "1"],
    ]  # fmt: skip
    assert {row[0]: row[1] for row in found.table("Reason of exit")[1:]} == {
        "exit": "1", "stop": "2", "end of day": "1",
    }  # fmt: skip


def test_without_trades_the_page_says_why_and_shows_no_empty_pictures(tmp_path: Path) -> None:
    refused = [signal("size", "0 shares"), signal("price_collar", "6.1 % from the last close")]
    found = page(tmp_path, result(signals=refused))

    assert "No trades: every one of 2 signals was refused" in found.text
    assert "price_collar refused 1 signal, at last: 6.1 % from the last close" in found.text
    assert set(found.data["figures"]) == {"equity"}
    ids = {given["id"] for _, given in found.elements if "id" in given}
    assert {"equity", "chart"} <= ids
    assert not {"distribution", "excursions"} & ids
    assert "Win rate –" in found.text
    assert "nan" not in found.text.lower().split()


def test_one_session_is_a_whole_report(tmp_path: Path) -> None:
    found = page(tmp_path, result([trade(25)]))

    assert "Period Mon 1 Jun 2026, 1 session" in found.text
    assert found.table("Year")[1][6] == "+0.03 %"  # rounded up from 0.025
    assert "Sharpe –" in found.text


def test_what_was_odd_about_the_bars_is_on_the_page(tmp_path: Path) -> None:
    notes = DataNotes(adjusted=2, missing={"AAPL": 7}, outside=12, absent=("MSFT",), skipped_rows=3)
    text = page(tmp_path, result(notes=notes)).text

    for part in (
        "MSFT",
        "2 bars had a high or low",
        "7 session minutes without a bar",
        "12 bars outside",
        "3 bad rows",
    ):
        assert part in text


# ---- the file ----------------------------------------------------------------------------------------


def test_the_same_result_makes_the_same_page(tmp_path: Path) -> None:
    found, over = result(some_trades(), days=sessions(2)), market(sessions(2), ("AAPL", "IBM"))
    write_html(found, over, tmp_path / "a.html")
    write_html(found, over, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_failure_leaves_the_earlier_page_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("the earlier one")

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("tui_trader.backtest.report_html._data", fail)
    with pytest.raises(MemoryError):
        write_html(result(), market(sessions(1)), path)
    assert path.read_text() == "the earlier one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "report.html"
    with pytest.raises(UsageError, match=rf"^--html {re.escape(str(path))}: cannot be written .*$"):
        write_html(result(), market(sessions(1)), path)


def test_without_plotly_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "plotly"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "plotly", None)

    with pytest.raises(UsageError) as caught:
        require_plotly()
    assert str(caught.value) == "--html needs plotly: pip install 'tui-trader[report]'"
    with pytest.raises(UsageError):
        write_html(result(), market(sessions(1)), tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_plotly_is_imported_only_when_a_page_is_asked_for() -> None:
    code = "import sys, tui_trader.backtest.report_html; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_cents_of_a_dollar_are_exact(tmp_path: Path) -> None:
    found = result([trade("12.34")], cash=Decimal("1234567.89"))
    assert "Cash $1,234,567.89" in page(tmp_path, found).text
    assert "to $1,234,580.23" in page(tmp_path, found).text
