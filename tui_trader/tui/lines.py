"""The two lines at the top: how the engine is, and how the account is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from textual.content import Content

from tui_trader.core.events import EngineState
from tui_trader.core.money import ZERO
from tui_trader.tui.formats import age as aged
from tui_trader.tui.formats import clock, countdown, dollars, money, opening, percent, signed, speed
from tui_trader.tui.glyphs import GlyphSet
from tui_trader.tui.log_text import connection
from tui_trader.tui.picture import Picture
from tui_trader.tui.view_model import ViewModel
from tui_trader.venues.base import Mode

#: Bars come every minute: silence is late after two of them, and alarming after five.
_FEED_LATE: Final = 130.0
_FEED_DEAD: Final = 300.0
_SPEEDY: Final = (Mode.SIM, Mode.REPLAY)

_STATE_LOOK: Final[dict[EngineState, tuple[str, str]]] = {
    EngineState.STARTING: ("◌", "$muted"),
    EngineState.RECONCILING: ("◌", "$attention"),
    EngineState.WARMING_UP: ("◔", "$attention"),
    EngineState.RUNNING: ("▶", "$gain"),
    EngineState.PAUSED: ("‖", "$attention"),
    EngineState.CLOSING: ("◑", "$attention"),
    EngineState.MARKET_CLOSED: ("○", "$muted"),
    EngineState.SHUTTING_DOWN: ("◑", "$attention"),
    EngineState.STOPPED: ("■", "$danger"),
}
_PLAIN_MARKS: Final = str.maketrans("◌◔▶‖◑○■●◇│", "..>|~o#*@|")


class Piece(NamedTuple):
    """A part of a line. When space is short those of the highest ``rank`` go first."""

    rank: int
    content: Content


def status_line(model: ViewModel, width: int, glyphs: GlyphSet) -> Content:
    """Mode, state, feed, broker, session, clock, alerts."""
    picture = model.picture
    narrow = width < 100
    pieces = [
        Piece(0, mode_badge(picture) + _state(picture)),
        *_warmup(picture, model.now, glyphs, narrow),
        Piece(3, _feed(picture, model.now)),
        Piece(5, _broker(picture, narrow)),
        Piece(4, _session(picture, model.now, narrow)),
        Piece(2, Content.styled(f"{clock(model.now)} ET", "bold $strong")),
    ]
    if model.alerts:
        text = f"!{model.alerts}" if narrow else f"alerts {model.alerts}"
        pieces.append(Piece(2, Content.styled(text, "bold $attention")))
    if waiting := len(model.price_alerts):
        text = f"◇{waiting}" if narrow else f"◇ {waiting} price alert{'s' if waiting > 1 else ''}"
        pieces.append(Piece(4, Content.styled(text, "$muted")))
    line = _join(pieces, width, Content.styled(" │ ", "$frame"))
    return _plain(line) if glyphs.name == "ascii" else line


def account_line(model: ViewModel, width: int, glyphs: GlyphSet) -> Content:
    """Equity, day, open risk, day loss against its limit, exposure, buying power, realised."""
    picture = model.picture
    if not picture.synced:
        return Content.styled(" account: waiting for the broker's first word", "$muted")
    account = picture.account
    began = account.equity - account.day_pnl
    day_share = account.day_pnl / began * 100 if began > 0 else ZERO
    day = f"{signed(account.day_pnl)} {percent(day_share)}"
    exposure = picture.exposure / account.equity * 100 if account.equity > 0 else ZERO
    pieces = [
        Piece(0, Content.assemble((" Equity ", "$muted"), (money(account.equity), "bold $strong"))),
        Piece(
            0,
            _profit("Day", day, float(account.day_pnl), glyphs),
        ),
        Piece(1, _risk(picture)),
        Piece(1, day_loss(picture, 8 if width >= 100 else 6, glyphs)),
        *_losses(picture),
        Piece(4, Content.assemble(("Exposure ", "$muted"), f"{exposure:.0f}%")),
        Piece(5, Content.assemble(("BP ", "$muted"), dollars(account.buying_power))),
        Piece(3, _profit("Realised", signed(account.realized_pnl), float(account.realized_pnl), None)),
    ]
    return _join(pieces, width, Content("  "))


def mode_badge(picture: Picture) -> Content:
    """The mode, always spelled out."""
    mode = picture.info.mode
    text = mode.value.upper()
    if mode in _SPEEDY:
        text += f" {speed(picture.speed)}" if picture.synced else ""
    return Content.styled(f" {text} ", f"bold $mode-text on $mode-{mode.value}")


def day_loss(picture: Picture, cells: int, glyphs: GlyphSet, label: str = "Day loss ") -> Content:
    """How much of the day's loss limit is used."""
    used = day_loss_used(picture)
    style = "$gain" if used < 0.5 else "$attention" if used < 0.8 else "$danger"
    return Content.assemble((label, "$muted"), (f"{glyphs.bar(used, cells)} {used * 100:.0f}%", style))


def day_loss_used(picture: Picture) -> float:
    """The share of the day's loss limit that is used, 0 to 1 and beyond."""
    account = picture.account
    if account.day_loss_limit <= 0 or account.day_pnl >= 0:
        return 0.0
    return float(-account.day_pnl / account.day_loss_limit)


def _state(picture: Picture) -> Content:
    mark, style = _STATE_LOOK[picture.state]
    word = picture.state.value.replace("_", " ")
    if picture.breaker.tripped and picture.state is EngineState.RUNNING:
        mark, word, style = "■", "NO ENTRIES", "$danger"
    elif picture.hindrances:
        mark, word, style = "‖", "NO ENTRIES", "$attention"
    return Content.styled(f" {mark} {word}", f"bold {style}")


def _warmup(picture: Picture, now: datetime, glyphs: GlyphSet, narrow: bool) -> Sequence[Piece]:
    done, total = picture.warmup
    if picture.state is not EngineState.WARMING_UP or not total:
        return ()
    bar = glyphs.bar(done / total, 6 if narrow else 12)
    text = f"{bar} {done}/{total}"
    began = picture.warmup_began
    if began is not None and done and done < total and not narrow:
        left = (now - began) * (total - done) / done
        text += f" symbols, about {countdown(left)} left"
    return (Piece(1, Content.styled(text, "$attention")),)


def _feed(picture: Picture, now: datetime) -> Content:
    stream = picture.streams.get("bars")
    seconds = picture.feed_age(now)
    open_now = picture.session is not None and picture.session.open <= now < picture.session.close
    word, style = ("—" if seconds is None else aged(seconds)), "$gain"
    if stream is None:
        style = "$muted"
    elif stream.state != "connected":
        word, style = connection(stream), "$danger"
        if stream.attempt:
            word += f" {stream.attempt}"
    elif not open_now:
        word, style = "idle", "$muted"
    elif seconds is not None and seconds > _FEED_LATE:
        style = "$danger" if seconds > _FEED_DEAD else "$attention"
    return Content.assemble(("feed ", "$muted"), ("● ", style), (word, style))


def _broker(picture: Picture, narrow: bool) -> Content:
    word, style = "ok", "$gain"
    streams = [picture.streams[name] for name in ("trade_updates", "rest") if name in picture.streams]
    if not streams:
        word, style = "—", "$muted"
    for stream in streams:
        if stream.state != "connected":
            word, style = connection(stream), "$danger"
    label = "bkr " if narrow else "broker "
    return Content.assemble((label, "$muted"), ("● ", style), (word, style))


def _session(picture: Picture, now: datetime, narrow: bool) -> Content:
    session = picture.session
    if session is not None and session.open <= now < session.close:
        left = countdown(session.close - now)
        if narrow:
            return Content.assemble(("closes ", "$muted"), left)
        parts: list[tuple[str, str] | str] = [("NYSE ", "$muted"), ("OPEN ", "$gain"), f"{left} to close"]
        if now >= session.no_entries_from:
            parts.append((" no new entries", "$attention"))
        return Content.assemble(*parts)
    following = picture.next_open
    if session is not None and now < session.open:
        following = session.open
    if following is None:
        return Content.styled("closed" if narrow else "NYSE CLOSED", "$muted")
    left = countdown(following - now)
    if narrow:
        return Content.assemble(("opens ", "$muted"), f"{opening(following)}")
    return Content.assemble(("NYSE CLOSED ", "$muted"), f"opens {opening(following)}, in {left}")


def _risk(picture: Picture) -> Content:
    """What is lost if every stop is hit, in dollars: R is what a trade planned to risk, and each its own."""
    account = picture.account
    style = "$attention" if picture.unprotected else ""
    share = f" {account.open_risk / account.equity * 100:.1f}%" if account.equity > 0 else ""
    return Content.assemble(("Risk ", "$muted"), (f"{dollars(account.open_risk)}{share}", style))


def _losses(picture: Picture) -> Sequence[Piece]:
    """The losses in a row against the number that stops entries, once there is one."""
    breaker = picture.breaker
    if not breaker.losses_in_a_row or not breaker.loss_limit:
        return ()
    near = breaker.losses_in_a_row >= breaker.loss_limit - 1
    text = f"{breaker.losses_in_a_row}/{breaker.loss_limit}"
    return (Piece(2, Content.assemble(("Losses ", "$muted"), (text, "$attention" if near else ""))),)


def _profit(label: str, text: str, value: float, glyphs: GlyphSet | None) -> Content:
    style = "$gain" if value > 0 else "$loss" if value < 0 else "$muted"
    arrow = f"{glyphs.arrow(value)} " if glyphs is not None and value else ""
    return Content.assemble((f"{label} ", "$muted"), (f"{arrow}{text}", f"bold {style}" if glyphs else style))


def _join(pieces: Sequence[Piece], width: int, gap: Content) -> Content:
    kept = list(pieces)
    line = gap.join([piece.content for piece in kept])
    while len(kept) > 1 and line.cell_length > width:
        kept.remove(max(reversed(kept), key=lambda piece: piece.rank))
        line = gap.join([piece.content for piece in kept])
    return line


def _plain(line: Content) -> Content:
    return Content(line.plain.translate(_PLAIN_MARKS), spans=list(line.spans))
