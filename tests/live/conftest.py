"""The stage, set for each test and judged at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.scene import Scene

Stage = Callable[..., Scene]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Makes scenes, started; at the end every invariant must have held."""
    scenes: list[Scene] = []

    def make(**options: object) -> Scene:
        scene = Scene(tmp_path, **options)  # type: ignore[arg-type]
        scenes.append(scene)
        scene.start().run_for(2)
        return scene

    try:
        yield make
        for scene in scenes:
            assert not scene.auditor.broken, scene.auditor.broken[:3]
            if scene.naked_limit is not None:
                assert scene.naked <= scene.naked_limit, "B: shares without a stop"
    finally:
        for scene in scenes:
            scene.end()


@pytest.fixture
def scene(stage: Stage) -> Scene:
    """A scene that has started and trades."""
    return stage()
