"""What the backtest screen says in words: how far a run is, its figures, remarks, one trade."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from textual.content import Content

from tui_trader.core.calendar import NEW_YORK
from tui_trader.tui.formats import NOTHING, clock, dollars, money, percent, price, signed
from tui_trader.tui.widgets.plain_text import clean

if TYPE_CHECKING:
    from tui_trader.backtest.result import Trade
    from tui_trader.backtest.worker.messages import RunSummary
    from tui_trader.tui.backtest.study import Outcome, Running
    from tui_trader.tui.glyphs import GlyphSet

_CELL: Final = 22
_GAP: Final = 2
_MOST_FILES: Final = 5
_LIMITS: Final = ("risk.", "session.")


class Figure(NamedTuple):
    """A figure by name; ``sign`` says whether it is good (> 0), bad (< 0) or neither."""

    name: str
    text: str
    sign: float = 0.0


# ---- figures -----------------------------------------------------------------------------------------


def figures(summary: RunSummary) -> list[Figure]:
    """The figures of a run, the most telling first."""
    found = summary.metrics
    return [
        Figure("Return", _share(found.total_return, 2), found.total_return),
        Figure("Max fall", _share(found.max_drawdown, 1), found.max_drawdown),
        Figure("Sharpe", _ratio(found.sharpe)),
        Figure("Win rate", _rate(found.win_rate)),
        Figure("Profit factor", _ratio(found.profit_factor)),
        Figure("Expectancy", NOTHING if found.expectancy is None else signed(found.expectancy),
               found.expectancy or 0.0),
        Figure("Trades", f"{found.trades:,}"),
        Figure("Expectancy R", NOTHING if found.expectancy_r is None else f"{found.expectancy_r:+.2f}",
               found.expectancy_r or 0.0),
        Figure("Sortino", _ratio(found.sortino)),
        Figure("CAGR", NOTHING if found.cagr is None else _share(found.cagr, 1)),
        Figure("Equity", dollars(summary.final_equity)),
        Figure("Exposure", _rate(found.exposure)),
        Figure("Avg trade", NOTHING if found.avg_trade is None else _share(found.avg_trade, 3)),
        Figure("Avg held", _minutes(found.avg_holding_minutes)),
        Figure("Best", NOTHING if found.best_trade is None else signed(found.best_trade)),
        Figure("Worst", NOTHING if found.worst_trade is None else signed(found.worst_trade)),
        Figure("Avg MAE", NOTHING if found.avg_mae is None else signed(found.avg_mae)),
        Figure("Avg MFE", NOTHING if found.avg_mfe is None else signed(found.avg_mfe)),
        Figure("Fall lasted", _days(found.max_drawdown_length) if found.max_drawdown else NOTHING),
        Figure("Signals", f"{summary.signals:,}"),
    ]  # fmt: skip


def figure_lines(shown: Sequence[Figure], width: int, height: int) -> Content:
    """As many figures as fit, in columns, the most telling in the first one."""
    height = max(1, height)
    columns = max(1, min((width + _GAP) // (_CELL + _GAP), -(-len(shown) // height)))
    cell = max(8, (width - _GAP * (columns - 1)) // columns)
    split = [shown[start : start + height] for start in range(0, columns * height, height)]
    lines = [
        Content(" " * _GAP).join([_figure(figure, cell) if figure else Content(" " * cell) for figure in row])
        for row in zip_longest(*split)
    ]
    return Content("\n").join(lines)


def _figure(figure: Figure, width: int) -> Content:
    style = "bold $gain" if figure.sign > 0 else "bold $loss" if figure.sign < 0 else "bold $strong"
    gap = max(1, width - len(figure.name) - len(figure.text))
    return Content.assemble((figure.name, "$muted"), " " * gap, (figure.text, style))


def _share(fraction: float, places: int) -> str:
    return percent(fraction * 100, places)


def _rate(fraction: float | None) -> str:
    return NOTHING if fraction is None else f"{fraction * 100:.0f}%"


def _ratio(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _days(value: float) -> str:
    return f"{value:.1f} days" if value < 10 else f"{value:,.0f} days"


def _minutes(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}m" if value < 600 else f"{value / 60:.0f}h"


# ---- what a run is -----------------------------------------------------------------------------------


def headline(summary: RunSummary, width: int) -> str:
    """Strategy, symbols and days, as much of them as fits."""
    first, last = (time.astimezone(NEW_YORK).date() for time in (summary.start, summary.end))
    days = f"{first}" if first == last else f"{first} to {last}"
    short = f"{first} to {last:%m-%d}" if first.year == last.year and first != last else days
    names = ",".join(summary.symbols[:4]) + ("…" if len(summary.symbols) > 4 else "")
    few = f"{len(summary.symbols)} symbols"
    lines = (
        f"{summary.strategy}  {names}  {days}", f"{summary.strategy}  {names}  {short}",
        f"{summary.strategy}  {few}  {short}", f"{summary.strategy}  {short}", short,
    )  # fmt: skip
    return next((line for line in lines if len(line) <= width), short)


def progress_lines(running: Running, now: float, glyphs: GlyphSet, width: int) -> Content:
    """What is being done, how far it is and how long it will take."""
    options = running.options
    files = ", ".join(path.name for path in options.bars[:3])
    more = f" and {len(options.bars) - 3} more" if len(options.bars) > 3 else ""
    share = running.share
    bar = glyphs.bar(share or 0.0, max(10, min(60, width - 8)))
    done = "" if share is None else f" {share * 100:3.0f}%"
    left = running.seconds_left(now)
    times = f"{_duration(now - running.began)} so far"
    if left is not None:
        times += f", about {_duration(left)} left"
    what = options.strategy or "the configured strategy"
    return Content("\n").join(
        [
            Content.assemble((clean(what), "bold $strong"), (f" on {clean(files)}{more}", "")),
            Content(""),
            Content.styled(f"{bar}{done}", "$attention"),
            Content(""),
            Content.assemble((f"{running.stage}  ", "bold"), (times, "$muted")),
            Content(""),
            Content.styled("Esc cancels; b looks at the market meanwhile", "$muted"),
        ]
    )


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60:02d} s"


# ---- remarks -----------------------------------------------------------------------------------------


def remarks(outcome: Outcome) -> Content:
    """What to judge the result by: the run, what was refused, what was odd, the parameters."""
    summary = outcome.summary
    groups = (("Run", _run_lines(outcome)), *summary.remarks, ("Parameters", _parameter_lines(summary)))
    parts: list[Content] = []
    for name, lines in groups:
        if lines:
            parts.append(Content.styled(name, "bold $attention"))
            parts += [Content(f"  {clean(line)}") for line in lines]
    return Content("\n").join(parts)


def _run_lines(outcome: Outcome) -> tuple[str, ...]:
    options, summary = outcome.options, outcome.summary
    speed = summary.bars / summary.elapsed_s if summary.elapsed_s > 0 else 0
    ticks = f"{summary.slippage_ticks} tick{'' if summary.slippage_ticks == 1 else 's'}"
    files = [path.name for path in options.bars[:_MOST_FILES]]
    if len(options.bars) > _MOST_FILES:
        files.append(f"and {len(options.bars) - _MOST_FILES} more files")
    return (
        f"{summary.bars:,} bars, {summary.candles:,} candles, {summary.sessions:,} sessions",
        f"{summary.elapsed_s:.2f} s, {speed:,.0f} bars a second",
        f"cash {money(summary.cash)}, slippage {ticks}",
        *(text for text in options.sets if text.startswith(_LIMITS)),
        *files,
    )


def _parameter_lines(summary: RunSummary) -> tuple[str, ...]:
    return tuple(f"{name} {value}" for name, value in summary.config)


# ---- one trade ---------------------------------------------------------------------------------------


def trade_lines(trade: Trade) -> Content:
    """Everything about one trade, in two lines."""
    pnl = float(trade.pnl)
    style = "bold $gain" if pnl > 0 else "bold $loss" if pnl < 0 else "bold $muted"
    r = trade.r
    day = f"{trade.entry_time.astimezone(NEW_YORK):%Y-%m-%d}"
    first = Content.assemble(
        (clean(trade.symbol), "bold $strong"),
        f" {trade.qty} shares  ",
        ("in ", "$muted"), f"{day} {clock(trade.entry_time)} {price(trade.entry_price)}  ",
        ("out ", "$muted"), f"{_leaving(trade)} {price(trade.exit_price)}  ",
        (trade.reason.value.replace("_", " "), "$attention"),
    )  # fmt: skip
    held = (trade.exit_time - trade.entry_time).total_seconds() / 60
    second = Content.assemble(
        (signed(trade.pnl), style), ("" if r is None else f"  {r:+.2f}R", style),
        ("  held ", "$muted"), _minutes(held),
        ("  MAE ", "$muted"), signed(trade.mae),
        ("  MFE ", "$muted"), signed(trade.mfe),
        ("  planned risk ", "$muted"), money(trade.planned_risk),
    )  # fmt: skip
    return Content("\n").join([first, second])


def _leaving(trade: Trade) -> str:
    entered, left = (time.astimezone(NEW_YORK) for time in (trade.entry_time, trade.exit_time))
    same = entered.date() == left.date()
    return clock(left) if same else f"{left:%Y-%m-%d} {clock(left)}"
