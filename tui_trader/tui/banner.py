"""The one line that says what must not be overlooked, above the keys; absent when there is nothing."""

from __future__ import annotations

from typing import Literal, NamedTuple

from tui_trader.core.events import EngineState
from tui_trader.tui.formats import breaker_cause
from tui_trader.tui.view_model import ViewModel

#: ``loud`` is a bar of the colour of attention, ``danger`` one of the colour of danger.
Tone = Literal["quiet", "loud", "danger"]


class Banner(NamedTuple):
    """A line of warning, and how loudly it is said."""

    text: str
    tone: Tone


def banner(model: ViewModel, leaving: bool) -> Banner | None:
    """The most important of what there is to say."""
    picture = model.picture
    reason = f" ({picture.state_reason})" if picture.state_reason else ""
    match picture.state:
        case EngineState.STOPPED:
            held, leave = " ".join(sorted(picture.positions)), model.keys["quit"]
            still = f"; still held: {held}" if held else ""
            if picture.failure:
                return Banner(f"THE ENGINE HAS FAILED: {picture.failure}{still}. {leave} leaves", "danger")
            text = f"The engine has stopped{reason}{still}. {leave} leaves"
            return Banner(text, "danger" if held else "quiet")
        case EngineState.SHUTTING_DOWN:
            return Banner(f"Shutting down{reason}", "quiet")
        case _:
            pass
    naked = picture.unprotected
    if naked and picture.state is not EngineState.CLOSING:
        return Banner(f"No working stop for {' '.join(naked)}", "danger")
    if picture.breaker.tripped:
        breaker = picture.breaker
        cause = breaker_cause(breaker.rule, breaker.value, breaker.limit)
        reset = f"{model.keys['commands']}: reset"
        return Banner(f"BREAKER: {cause}: no entries until the next session ({reset})", "loud")
    if picture.paused:
        resumes = f"{model.keys['pause']} resumes"
        return Banner(f"Paused{reason}: no new entries; exits and stops stay active. {resumes}", "quiet")
    if picture.hindrances:
        return Banner(f"Entries are off: {'; '.join(picture.hindrances)}", "loud")
    return Banner("Leaving when the engine has stopped", "quiet") if leaving else None
