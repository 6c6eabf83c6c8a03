"""``share()``: who hears what, and when.

A regime (`regimes`) says which links there are.  What a link hands over, and when, is decided by the originator or by people
(`reporting`, `releases`); how long it takes, and what is lost, is drawn per link (`transit`).  A message points at the row that it carries.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from copfuse import releases, reporting
from copfuse.checking import check_seed, handed, handed_scenario
from copfuse.constants import NODES, PHASES
from copfuse.errors import CopfuseError
from copfuse.links import Link as Link
from copfuse.links import Regime as Regime
from copfuse.links import Rule as Rule
from copfuse.links import contradictions
from copfuse.regimes import regime as regime
from copfuse.regimes import regimes as regimes
from copfuse.reporting import Handed
from copfuse.tables import CUE, DROP, MESSAGE, MESSAGE_KINDS, PLOT, TRACK, Detections, Messages, Tracks
from copfuse.transit import arrivals, copies


def share(
    tracks: Tracks, scenario: Any, regime: str | Path | Regime | None = None, seed: int = 0, detections: Detections | None = None
) -> Messages:
    """Every transmission of a run under a regime (default: the scenario's), sorted by arrival.

    ``regime``: a packaged name, a TOML file or a `Regime`.  ``detections`` is needed where the regime sends plots.  Each link
    draws from streams of its own, so regimes are compared on common random numbers; what is sent up to a time depends on nothing later.
    Raises `CopfuseError` for an unknown or impossible regime or where plots are to be sent and ``detections`` is missing.
    """
    handed("share", tracks=(tracks, Tracks))
    handed_scenario("share", scenario)
    check_seed(seed)
    rule = _regime(regime or scenario.regime)
    if detections is None and any(link.payload == "plot" for link in rule.links):
        raise CopfuseError(f"regime {rule.name!r} shares plots: call share(..., detections=detections)")
    sent = transmissions(tracks, scenario, rule, seed, detections)
    named = {"tracks_uid": tracks.uid} | ({} if detections is None else {"detections_uid": detections.uid})
    return replace(sent, meta={"regime": rule.name, "nodes": list(NODES), **named, **deepcopy(sent.meta)})


def transmissions(tracks: Tracks, scenario: Any, rule: Regime, seed: int, detections: Detections | None) -> Messages:
    """What `share` gives, without the names of the tables that it was made from, which take as long as the rest; what its ``meta``
    holds is not to be changed."""
    meta = dict(_facts(rule))
    world = _World(tracks, detections, scenario, rule, seed)
    parts = [part for link in rule.links for part in (_transmissions(link, world), _drops(link, world)) if part]
    if not parts:
        return Messages.empty(**meta)
    sent, arrived, row = (np.concatenate([part[i] for part in parts]) for i in range(3))
    source, target, kind = np.repeat([part.way for part in parts], [len(part.row) for part in parts], axis=0).T
    order = np.lexsort((row, target, source, np.where(np.isnan(arrived), np.inf, arrived)))
    return Messages(sent[order], arrived[order], source[order], target[order], kind[order], row[order], meta)


def _regime(chosen: str | Path | Regime) -> Regime:
    return regime(chosen)


@lru_cache(maxsize=16)
def _facts(rule: Regime) -> dict[str, Any]:
    """What of a regime whoever reads its messages has to know."""
    taken = [(k, dict.fromkeys(name for hop in rule.path(k) for name in hop.stripped)) for k in rule.links]  # a relay passes on what it has
    stripped = {f"{k.source}>{k.target}:{k.payload}": list(names) for k, names in taken if names}
    ways = [way for way in rule.ways() if way[2] == "plot"]
    one = np.zeros(1, int)  # plots are of no phase: one subject stands for all
    display = {n: [a for a, b, _ in ways if b == n and releases.releasable(rule, a, n, "plot", one)[0]] for n in rule.display}
    for n in rule.display:
        display[n] += [n] if n != "HUB" else []
    first = {f"{k.source}>{k.target}": rule.path(k)[0] for k in rule.links if k.payload == "track"}
    slots = {name: link.frame / link.slots for name, link in first.items() if link.frame}
    subjects = {f"{k.source}>{k.target}": _subjects(rule, k) for k in rule.links if k.payload == "message" and rule.rules}
    payloads, said = sorted({k.payload for k in rule.links}), contradictions(rule)
    return {"payloads": payloads, "stripped": stripped, "slots": slots, "display": display, "subjects": subjects, "said": said}


def _subjects(rule: Regime, link: Link) -> list[str]:
    """The phases of flight that the rules let go all the way of a link."""
    may = [releases.releasable(rule, *hop.ends, np.arange(len(PHASES))) for hop in rule.path(link)]
    return [name for name, lets in zip(PHASES, np.all(may, axis=0), strict=True) if lets]


class _World:
    """What `share` was given, and what it has worked out once for several links."""

    def __init__(self, tracks: Tracks, detections: Detections | None, scenario: Any, rule: Regime, seed: int) -> None:
        self.tracks, self.detections, self.scenario, self.rule, self.seed = tracks, detections, scenario, rule, seed
        self.phase = releases.own_phase(tracks, np.arange(len(tracks))) if rule.rules else np.zeros(len(tracks), int)
        self.nets: dict[tuple[tuple[str, bytes], ...], dict[str, Handed]] = {}
        self.firm: dict[str, np.ndarray] = {}
        self.reports: dict[tuple[str, float], Handed] = {}

    def may(self, source: str, target: str, payload: str) -> np.ndarray:
        """Which rows of Tracks (n,) the rules let go from a source to a target."""
        return releases.releasable(self.rule, source, target, payload, self.phase)

    def rows(self, link: Link) -> np.ndarray:
        """The firm rows of a link's source that may go all the way to its target, rising."""
        if link.source not in self.firm:
            self.firm[link.source] = np.flatnonzero((self.tracks.node == NODES.index(link.source)) & self.tracks.firm)
        rows = self.firm[link.source]
        for hop in self.rule.path(link) if self.rule.rules else ():
            rows = rows[self.may(*hop.ends)[rows]]
        return rows

    def reported(self, link: Link, period: float) -> Handed:
        """`reporting.reports` of a link's rows, which without rules are the same for all links of a source."""
        if self.rule.rules:
            return reporting.reports(self.tracks, self.rows(link), period)
        key = link.source, period
        if key not in self.reports:
            self.reports[key] = reporting.reports(self.tracks, self.rows(link), period)
        return self.reports[key]


class _Carried(NamedTuple):
    """What a link carries, each (n,), and on what way: numbers of source, target and kind."""

    sent: np.ndarray
    arrived: np.ndarray
    row: np.ndarray
    way: tuple[int, int, int]


def _transmissions(link: Link, world: _World) -> _Carried | None:
    """What one link carries: what is handed to the first link of its path, carried along that (nothing, if there is none)."""
    path = world.rule.path(link)
    handed = _handed(link, path[0], world)
    at = handed.time
    if len(at) == 0:
        return None
    for hop in path:
        at = arrivals(hop, at, world.seed)
    twice, later = copies(link, at, world.seed)
    sent, row = handed.time, handed.row
    if len(twice):
        sent, at, row = np.r_[sent, sent[twice]], np.r_[at, later], np.r_[row, row[twice]]
    return _Carried(sent, at, row, _way(link, MESSAGE_KINDS.index(link.payload)))


def _way(link: Link, kind: int) -> tuple[int, int, int]:
    return NODES.index(link.source), NODES.index(link.target), kind


def _drops(link: Link, world: _World) -> _Carried | None:
    """What a link says of tracks that are no more (nothing, if it carries none)."""
    if link.payload != "track" or not world.tracks.meta.get("ended", {}).get(link.source):
        return None
    path = world.rule.path(link)
    handed = reporting.drops(world.tracks, world.rows(link), _handed(link, path[0], world), path[0], world.seed)
    at = handed.time
    for hop in path:
        at = arrivals(hop, at, world.seed, "drop ")
    return _Carried(handed.time, at, handed.row, _way(link, DROP))


def _handed(link: Link, first: Link, world: _World) -> Handed:
    """What a source gives for a link into ``first``, the beginning of its path."""
    tracks, seed = world.tracks, world.seed
    if link.payload == "plot":
        return _plots(link, world)
    rows = world.rows(link)
    if link.payload == "cue":
        return reporting.cues(tracks, rows, world.scenario)
    if first.responsibility:
        return _responsible(link, world)
    if first.frame:
        return reporting.slotted(tracks, rows, first, seed)
    if first.consent:
        return releases.consented(tracks, rows, first, seed)
    if first.request:
        return releases.requested(tracks, rows, _alarms(link.target, world), first, seed)
    return world.reported(link, first.period) if link.payload == "track" or first.period else reporting.firsts(tracks, rows)


def _plots(link: Link, world: _World) -> Handed:
    assert world.detections is not None
    mine = np.array([s.nation == link.source for s in world.scenario.sensors])
    one = np.zeros(1, int)  # plots are of no phase: one subject stands for all
    if world.rule.rules and not all(releases.releasable(world.rule, *hop.ends, one)[0] for hop in world.rule.path(link)):
        mine[:] = False
    rows = np.flatnonzero(mine[world.detections.sensor])
    return Handed(world.detections.time[rows], rows)


def _responsible(link: Link, world: _World) -> Handed:
    """What a link's source reports on a net as its target may know it: only whoever has a link there, and what may go there, counts.

    So where rules withhold something, each target's net is worked out for itself: who stays silent must not show what is withheld.
    """
    into = {k.source: k for k in world.rule.links if k.target == link.target and world.rule.path(k)[0].responsibility}
    own = {s: world.rows(k) for s, k in into.items()}
    members = [k for k in world.rule.links if k.responsibility and k.source in (*own, link.target)]
    if any(k.source == link.target for k in members):
        node = NODES.index(link.target)
        own[link.target] = np.flatnonzero((world.tracks.node == node) & world.tracks.firm)
    own = dict(sorted(own.items()))
    key = tuple((s, rows.tobytes()) for s, rows in own.items())
    if key not in world.nets:
        seen = {k.ends[:2]: world.may(*k.ends) for k in members}
        world.nets[key] = reporting.net(world.tracks, own, members, lambda a, b: seen[a, b], world.scenario, world.seed)
    return world.nets[key][link.source]


def _alarms(node: str, world: _World) -> np.ndarray:
    """When s, rising, a node learns of something by itself or by a cue: its own tracks turning firm, cues that arrive."""
    tracks = world.tracks
    own = reporting.firsts(tracks, np.flatnonzero((tracks.node == NODES.index(node)) & tracks.firm)).time
    heard = [_transmissions(k, world) for k in world.rule.links if k.target == node and k.payload == "cue"]
    times = np.concatenate([own, *(part.arrived for part in heard if part)])
    return np.sort(times[np.isfinite(times)])


assert [MESSAGE_KINDS[k] for k in (TRACK, PLOT, CUE, MESSAGE, DROP)] == ["track", "plot", "cue", "message", "drop"]
