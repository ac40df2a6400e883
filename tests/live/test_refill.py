"""Bars that were missed in the middle of a session, asked for again long after the last session."""

from __future__ import annotations

from tests.alpaca_server.faults import Stream
from tests.live.scene import Scene
from tui_trader.core.events import SymbolState
from tui_trader.core.orders import Role

#: More bars than the strategy looks back on, so that history of the running session alone is asked for.
_INTO_THE_SESSION = 30
_FOR_TWO_MINUTES = 12  # attempts


def _miss_two_bars(scene: Scene) -> None:
    scene.server.refuse(Stream.DATA, times=_FOR_TWO_MINUTES)
    scene.drop(Stream.DATA)
    scene.bars(2)
    scene.run_for(59)
    assert scene.streams.state("bars") == "connected"


def test_a_symbol_stays_warm_when_missed_bars_are_filled_in(scene: Scene) -> None:
    scene.bars(_INTO_THE_SESSION)
    _miss_two_bars(scene)
    assert scene.symbol_states()[-1] is SymbolState.WATCHING
    desk = scene.engine.desks["AAA"]
    assert desk.candles >= desk.required
    scene.signal()
    assert len(scene.sent(Role.ENTRY)) == 1


def test_missed_bars_change_neither_the_cooldown_nor_the_day_s_reference(scene: Scene) -> None:
    scene.bars(_INTO_THE_SESSION)
    scene.go_long()
    scene.trade(99.4)
    assert scene.position == 0
    scene.bars(2)
    desk = scene.engine.desks["AAA"]
    reference, exit_stamp, since = desk.reference, desk.exit_stamp, desk.since_exit
    _miss_two_bars(scene)
    assert desk.exit_stamp == exit_stamp is not None
    assert desk.since_exit > since > 0
    assert desk.reference == reference


def test_nothing_is_entered_on_candles_with_a_hole_until_the_missed_bars_are_here(scene: Scene) -> None:
    scene.bars(_INTO_THE_SESSION)
    scene.server.rest_faults.status(503, path="/stocks/bars", times=100)
    _miss_two_bars(scene)
    said = [text for text in scene.errors("bars") if "could not be had" in text]
    assert len(said) == 1
    assert scene.symbol_states()[-1] is SymbolState.COLD
    scene.signal()
    assert not scene.sent(Role.ENTRY)
    scene.server.clear_faults()
    scene.run_for(60)
    assert scene.symbol_states()[-1] is SymbolState.WATCHING
    scene.signal()
    assert len(scene.sent(Role.ENTRY)) == 1
