"""The one line that says what must not be overlooked, above the keys; absent when there is nothing."""

from __future__ import annotations

from typing import NamedTuple

from tui_trader.core.events import EngineState
from tui_trader.tui.formats import dollars
from tui_trader.tui.view_model import ViewModel


class Banner(NamedTuple):
    """A line of warning; ``danger`` when something can be lost by waiting."""

    text: str
    danger: bool


def banner(model: ViewModel, leaving: bool) -> Banner | None:
    """The most important of what there is to say."""
    picture = model.picture
    reason = f" ({picture.state_reason})" if picture.state_reason else ""
    match picture.state:
        case EngineState.STOPPED:
            held = sorted(picture.positions)
            if held:
                return Banner(f"The engine has stopped{reason}; still held: {' '.join(held)}. q leaves", True)
            return Banner(f"The engine has stopped{reason}. q leaves", False)
        case EngineState.SHUTTING_DOWN:
            return Banner(f"Shutting down{reason}", False)
        case _:
            pass
    naked = picture.unprotected
    if naked and picture.state is not EngineState.CLOSING:
        return Banner(f"No working stop for {' '.join(naked)}", True)
    if picture.breaker.tripped:
        breaker = picture.breaker
        figures = f"{dollars(breaker.value)} reached {dollars(breaker.limit)}"
        return Banner(
            f"Breaker: {breaker.rule}, {figures}. No new entries; exits and stops stay active", True
        )
    if picture.state is EngineState.PAUSED:
        return Banner(f"Paused{reason}: no new entries; exits and stops stay active. p resumes", False)
    return Banner("Leaving when the engine has stopped", False) if leaving else None
