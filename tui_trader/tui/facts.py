"""The three panes that only a wide screen has room for: strategies, risk, and the day's equity."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from textual.content import Content

from tui_trader.core.events import SymbolState
from tui_trader.tui.day import SymbolLine
from tui_trader.tui.formats import dollars, multiple, signed
from tui_trader.tui.glyphs import GlyphSet
from tui_trader.tui.lines import day_loss_used
from tui_trader.tui.picture import Picture
from tui_trader.tui.widgets.plain_text import clean

_LABEL = 11
_LINES_EACH = 3


def routes(picture: Picture, width: int, height: int) -> Content:
    """Each strategy: what it holds and waits for, and how it has done today."""
    by_strategy: dict[str, list[SymbolLine]] = defaultdict(list)
    for line in picture.lines.values():
        by_strategy[line.strategy or "—"].append(line)
    lines: list[Content] = []
    for name in sorted(by_strategy)[: max(1, height // _LINES_EACH)]:
        members = by_strategy[name]
        held = [line.symbol for line in members if line.state is SymbolState.LONG]
        armed = [line.symbol for line in members if line.state is SymbolState.ARMED]
        minutes = members[0].candle_minutes
        candles = f", {minutes}m candles" if minutes else ""
        about = f"  {len(members)} symbols{candles}"
        lines.append(Content.assemble((clean(name), "bold $strong"), (about, "$muted")))
        lines.append(
            Content.assemble((_names("long", held), "$gain"), (_names("armed", armed), "$attention"))
        )
        lines.append(_score(picture, name))
    lines = [line.truncate(width, ellipsis=True) for line in lines]
    return Content("\n").join(lines)


def risk(picture: Picture, width: int, glyphs: GlyphSet) -> Content:
    """What may still be lost, each against its limit."""
    account = picture.account
    cells = max(4, width - _LABEL - 17)
    used = day_loss_used(picture)
    equity = float(account.equity)
    exposure = float(picture.exposure) / equity if equity > 0 else 0.0
    open_risk = float(account.open_risk) / equity * 100 if equity > 0 else 0.0
    lines = [
        _gauge("day loss", used, _day_loss_text(used, account.day_loss_limit), cells, glyphs),
        _gauge("exposure", exposure, f"{exposure * 100:.0f}% of equity", cells, glyphs),
        _fact(
            "open risk",
            f"${dollars(account.open_risk)} {open_risk:.1f}%, ${dollars(account.risk_unit)} a trade",
            "",
        ),
        _fact("positions", _places(picture), ""),
        _streak(picture),
        _protection(picture),
    ]
    return Content("\n").join(lines)


def equity(picture: Picture, width: int, glyphs: GlyphSet) -> Content:
    """The session's equity as a line, and its extremes since the screen opened."""
    curve = picture.equity
    if len(curve.points) <= 1:
        return Content.styled("begins with the first change", "$muted")
    day = float(picture.account.day_pnl)
    style = "$gain" if day >= 0 else "$loss"
    return Content("\n").join(
        [
            Content.styled(glyphs.sparkline(curve.points, width), style),
            Content.assemble(
                ("high ", "$muted"), signed(curve.high), ("   low ", "$muted"), signed(curve.low)
            ),
        ]
    )


def _score(picture: Picture, strategy: str) -> Content:
    score = picture.scores.get(strategy)
    if score is None:
        return Content.styled("  no trades yet today", "$muted")
    style = "$gain" if score.pnl > 0 else "$loss" if score.pnl < 0 else "$muted"
    text = f"  {score.wins}/{score.trades} won  "
    expectancy = "" if score.expectancy is None else f"  {multiple(score.expectancy)}R each"
    return Content.assemble((text, "$muted"), (signed(score.pnl), style), (expectancy, "$muted"))


def _places(picture: Picture) -> str:
    held = len(picture.positions)
    return f"{held} of {picture.max_positions}" if picture.max_positions else str(held)


def _names(word: str, symbols: list[str]) -> str:
    return f"  {word} {clean(' '.join(symbols))}" if symbols else ""


def _gauge(label: str, share: float, text: str, cells: int, glyphs: GlyphSet) -> Content:
    style = "$gain" if share < 0.5 else "$attention" if share < 0.8 else "$danger"
    return Content.assemble(
        (f"{label:<{_LABEL}}", "$muted"), (f"{glyphs.bar(share, cells)} ", style), (text, "")
    )


def _day_loss_text(used: float, limit: Decimal) -> str:
    if limit <= 0:
        return "from the first bar on"
    return f"{used * 100:.0f}% of {dollars(limit)}"


def _fact(label: str, text: str, style: str) -> Content:
    return Content.assemble((f"{label:<{_LABEL}}", "$muted"), (text, style))


def _streak(picture: Picture) -> Content:
    breaker = picture.breaker
    if breaker.tripped:
        return _fact("breaker", "tripped: no entries today", "bold $attention")
    losses = f"{breaker.losses_in_a_row} of {breaker.loss_limit} losses in a row"
    return _fact("breaker", losses, "$attention" if breaker.losses_in_a_row else "")


def _protection(picture: Picture) -> Content:
    naked = picture.unprotected
    if naked:
        return _fact("stops", f"missing: {clean(' '.join(naked))}", "bold $danger")
    return _fact("stops", "working" if picture.positions else "—", "$gain" if picture.positions else "$muted")
