"""What of a configuration read again takes effect at once, and what waits for the next start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tui_trader.config import LoadedSettings, leaves
from tui_trader.tui.settings import UiSettings

#: The part of the configuration that is the screen's alone.
_OURS: Final = "ui."


@dataclass(frozen=True, slots=True)
class Reloaded:
    """``in_force`` is what the run goes by, ``read`` what was read last; ``waiting`` names the settings that
    differ between them, and will until the next start."""

    in_force: LoadedSettings
    read: LoadedSettings
    waiting: tuple[str, ...] = ()


def reloaded(before: LoadedSettings, now: LoadedSettings) -> Reloaded:
    """``now`` was read while the run goes by ``before``."""
    old, new = _values(before), _values(now)
    differ = [key for key in {**old, **new} if key not in old or key not in new or old[key] != new[key]]
    waiting = tuple(key for key in differ if not key.startswith(_OURS))
    settings = before.settings.model_copy(update={"ui": now.settings.ui})
    # Where nothing differs the new source is the right one: lines move when a file is edited.
    sources = {
        key: (before if key in waiting else now).sources[key] for key, _ in leaves(settings.model_dump())
    }
    return Reloaded(LoadedSettings(settings, sources, now.path), now, waiting)


def _values(loaded: LoadedSettings) -> dict[str, object]:
    return dict(leaves(loaded.settings.model_dump()))


def with_looks(base: UiSettings, loaded: LoadedSettings) -> UiSettings:
    """``base`` with what the configuration says of the screen."""
    ui = loaded.settings.ui
    return replace(
        base,
        theme=ui.theme,
        glyphs=ui.glyphs,
        swap_colours=ui.up_color_swap,
        keys=dict(ui.keys),
        notify=ui.notify,
    )
