"""``sense()``: the loop detect, track, share, cue, detect, run forward in time, so that sharing changes what sensors do.

What a nation knows of an object, by firm tracks of its own or by those that have arrived, cues its radars: where the object is
believed to be is a volume (`volumes`) that they look into.  A cue acts `REACTION` s after it is known at the earliest, so nothing in a
step of that length depends on what happens in it: step after step the cues are made of what was known before, then the
plots, then the tracks.  What comes of this is the one fixed point of the loop.  Going round the loop with whole runs comes
to the same: each round makes one more step right for good, so as many rounds as there are steps always do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from copfuse import fusion, network, simulate, watching
from copfuse.errors import CopfuseError
from copfuse.following import Hub, Kept
from copfuse.looping import Loop, timed
from copfuse.tables import Detections, Messages, Tracks, Truth
from copfuse.volumes import Cues
from copfuse.watching import Looks


@dataclass(frozen=True)
class Sensed:
    """What sensors, trackers and messages made of each other: three tables, the cues that acted, the steps that the pass took (a bound
    on the rounds of the whole loop that come to the same), the seconds that each verb took, and the ``hubs`` whose tracks cued, from
    which `fusion.fuse` goes on."""

    detections: Detections
    tracks: Tracks
    messages: Messages
    cues: Cues
    rounds: int
    seconds: dict[str, float] = field(default_factory=dict)
    hubs: tuple[Hub, ...] = ()


class Once:
    """What senses of one truth under several regimes have in common: how sensors look when nothing cues them, and tracks of the
    same plots.  For one truth, scenario, seed and association."""

    def __init__(self) -> None:
        self.of: tuple[Any, ...] = ()
        self.looking: dict[str, Any] = {}
        self.looks: Looks = watching.side_by_side([])
        self.kept = Kept()

    def prepared(self, truth: Truth, scenario: Any, seed: int, association: str) -> Once:
        """Itself, filled; refuses what is not the same as before."""
        of = truth, scenario, seed, association
        if not self.of:
            self.looks = watching.side_by_side(list(simulate.watches(truth, scenario, seed, self.looking)))
            self.of = of
        if any(one is not other for one, other in zip(self.of[:2], of[:2], strict=True)) or self.of[2:] != of[2:]:
            raise CopfuseError(
                "once is that of another truth, scenario, seed or association; give each of these a cueing.Once() of its own"
            )
        return self


def sense(
    truth: Truth, scenario: Any, regime: Any = None, seed: int = 0, association: str = "gnn", cues: bool = True, register: bool = False,
    once: Once | None = None, idle: bool = True, common: bool = True, named: bool = True,
) -> Sensed:  # fmt: skip
    """Plots, local tracks and messages of a scenario under a regime (default: the scenario's), radars being cued by what is shared.

    Own firm tracks cue a nation's radars, and so do tracks and infrared cues that have arrived there, and the hub's tracks where plots
    are shared: each from `REACTION` s after the nation first knew of it, by the newest row known so long, until its place is too
    vague.  A nation's cues depend on nothing but its own rows and those that have arrived; but what its radars then see, it may pass on:
    who hears from a nation can learn by its plots what another one told it.  Without ``cues`` this is `simulate.detect`,
    `tracking.track` and `network.share`, bit for bit; a message of a launch point is no cue, and infrared sensors heed none.
    With ``register`` cues come from the tracks as they are before registration, and the tracks returned are registered.
    ``once``, given to the senses of several regimes, saves doing again what they have in common.  Without ``idle`` cues are left out
    that come when no radar of their nation has the objects in view any more: ``cues`` is then shorter, and nothing else changes.
    Without ``common`` it need not be found out what several trackers have in common, where no picture asks for it: ``P_common`` of the
    tracks that cued is then all of ``P``.  Without ``named`` neither tracks nor messages that cues have a
    part in say of which tables they are (`network.transmissions`), which is found out from all that these hold.

    ``detections.meta["cued"]`` says which radars saw an object earlier by a cue: ``sensor``, ``object``, ``by`` (a node, or "watch"),
    ``time`` s of the first cued look, ``first`` plot and that which it would have had ``alone`` (None: never).

    Raises `CopfuseError` as these three do, and where what a regime hands over at a time depends on what comes later.
    """
    rule = network.regime(regime or scenario.regime)
    tracker, share = fusion.tracker(register), network.share if named else network.transmissions
    spent = dict.fromkeys(("detect", "track", "share"), 0.0)
    if not cues:
        detections = timed(spent, "detect", simulate.detect, truth, scenario, seed)
        tracks = timed(spent, "track", tracker, detections, scenario, association=association)
        messages = timed(spent, "share", share, tracks, scenario, rule, seed, detections)
        return Sensed(detections, tracks, messages, Cues.empty(), 1, spent)
    once = timed(spent, "detect", (once or Once()).prepared, truth, scenario, seed, association)
    last = scenario.duration if scenario.duration is not None else float(truth.time.max(initial=0.0))
    for exact in (False, True) if not any(link.responsibility for link in rule.links) else (True,):  # covariances decide who reports
        loop = Loop(scenario, rule, seed, association, exact, spent, once.looks, once.looking, once.kept, last, idle)
        loop.run()
        detections, tracks = loop.plots, timed(spent, "track", loop.table, common, named)
        messages = timed(spent, "share", share, tracks, scenario, rule, seed, detections)
        if loop.as_foreseen(messages, loop.end) and loop.stable:
            break
    else:
        raise CopfuseError(f"regime {rule.name!r} hands over what depends on what comes later, for which no cue can wait; use cues=False")
    if register:
        tracks = timed(spent, "track", tracker, detections, scenario, association=association)
        messages = timed(spent, "share", share, tracks, scenario, rule, seed, detections)
    return Sensed(detections, tracks, messages, loop.cues, loop.steps, spent, tuple(hub.made for hub in loop.hubs.values()))
