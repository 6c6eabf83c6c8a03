"""Which rows a link hands over, and when: reports of tracks with a period or in slots, cues, and on a net with reporting
responsibility those of the unit with the best track.

Whatever decides is the originator's own or what it has heard by then, and of that only what the recipient may have: what a
recipient gets must not depend on what is kept from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from copfuse.ahead import predicted
from copfuse.coasting import REGISTRATION
from copfuse.constants import NODES
from copfuse.correlation import correlate
from copfuse.entries import HOLD, Entry, note
from copfuse.links import Link
from copfuse.numbering import first_and_place
from copfuse.tables import Tracks
from copfuse.transit import arrivals, stream

QUALITY = (15, 25.0)  # the best track quality and the sigma of position, m, up to which it goes; one less for each doubling, *notional*
BETTER = 2  # by how much a track must be of better quality than one reported by another to be reported instead, *notional*
SILENCE = 3.0  # report intervals without a report after which nobody is responsible, *notional*


@dataclass(frozen=True)
class Handed:
    """What a link hands over: when s (n,), rising, and which rows (n,)."""

    time: np.ndarray
    row: np.ndarray


def reports(tracks: Tracks, rows: np.ndarray, period: float) -> Handed:
    """Rows of tracks, the first of each track in every ``period`` s, at once."""
    if period > 0 and len(rows):
        slot = np.floor(tracks.time[rows] / period).astype(int)
        slot -= slot.min()
        _, first = np.unique(tracks.track[rows] * (slot.max() + 1) + slot, return_index=True)
        rows = rows[np.sort(first)]
    return Handed(tracks.time[rows], rows)


def firsts(tracks: Tracks, rows: np.ndarray) -> Handed:
    """The first of the rows of each track (of one node), at once."""
    if len(rows):
        rows = rows[np.sort(first_and_place(tracks.track[rows])[0])]
    return Handed(tracks.time[rows], rows)


def cues(tracks: Tracks, rows: np.ndarray, scenario: Any) -> Handed:
    """The first of the rows of each track (of one node) that an infrared satellite has fed, at once."""
    if len(rows) == 0:
        return Handed(tracks.time[rows], rows)
    bits = sum(1 << i for i, s in enumerate(scenario.sensors) if s.kind == "infrared")
    return firsts(tracks, rows[(tracks.sensors[rows] & np.uint64(bits)) != 0])


def drops(tracks: Tracks, rows: np.ndarray, said: Handed, link: Link, seed: int) -> Handed:
    """When a link's source says of tracks that they are no more, and by which row: of those ``said`` of it the last.

    It says so at once, or in its next slot (as Link 16's drop track report, J7.0).

    What it has said nothing of is not taken back, and where the row that a track ended with is not of ``rows``, which may go
    there, neither may its end.
    """
    ended = tracks.meta.get("ended", {}).get(link.source, [])
    near = rows[np.isin(tracks.detection[rows], [plot for _, plot, _ in ended])]
    may = set(zip(tracks.track[near].tolist(), tracks.detection[near].tolist(), strict=True))
    order = np.lexsort((said.time, tracks.track[said.row]))
    track, row = tracks.track[said.row][order], said.row[order]
    made = []
    for number, plot, time in ended:
        at = max(time, _next_slot(time, link, seed)) if link.frame else time
        begin, end = np.searchsorted(track, (number, number + 1))
        last = begin + int(np.searchsorted(said.time[order[begin:end]], at, side="right")) - 1
        if (number, plot) in may and last >= begin:
            made.append((at, int(row[last])))
    made.sort()
    return Handed(np.array([t for t, _ in made]), np.array([r for _, r in made], int))


# Report slots ----------------------------------------------------------------------------------------------------------


def first_slot(link: Link, seed: int) -> float:
    """When s after the epoch the source's first report slot is: the same for all that it sends."""
    return float(stream(f"{link.source}:slot", seed).random() * _interval(link))


def _next_slot(time: float, link: Link, seed: int) -> float:
    begin, every = first_slot(link, seed), _interval(link)
    return begin + every * math.ceil((time - begin) / every)


def slotted(tracks: Tracks, rows: np.ndarray, link: Link, seed: int) -> Handed:
    """In each of the source's slots the newest of the rows of each track, where there is one since the slot before."""
    begin, every = first_slot(link, seed), _interval(link)
    slot = np.ceil((tracks.time[rows] - begin) / every).astype(int)
    backwards = slice(None, None, -1)
    _, last = np.unique(np.stack([slot, tracks.track[rows]])[:, backwards], axis=1, return_index=True)
    kept = np.sort(len(rows) - 1 - last)
    time = np.maximum(begin + every * slot[kept], tracks.time[rows[kept]])  # rounding must not send a row before it is there
    order = np.lexsort((rows[kept], time))
    return Handed(time[order], rows[kept][order])


def _interval(link: Link) -> float:
    return link.frame / link.slots


# Reporting responsibility ----------------------------------------------------------------------------------------------


def quality(P: np.ndarray) -> np.ndarray:
    """Track quality (n,), a whole number from 15 down to 1, of covariances ``P (n, 6, 6)``: 15 up to a sigma of position (root of
    the sum of the three variances) of 25 m, one less for each doubling, *notional*."""
    sigma = np.sqrt(np.trace(P[:, :3, :3], axis1=1, axis2=2))
    best, size = QUALITY
    return np.clip(best - np.ceil(np.log2(np.maximum(sigma, size) / size)), 1, best).astype(int)


@dataclass
class Unit:
    """One unit of a net: what it has yet to take in (s and rows), what it knows, and what it has reported.

    ``holds``: the tracks for whose objects it is responsible, as far as it knows; ``said``: of each track the time s of the row that it
    reported last; ``out``: all its reports (slot s, row).
    """

    source: int
    own: np.ndarray
    at: int = 0
    heard: list[tuple[float, int]] = field(default_factory=list)
    entries: dict[tuple[int, int], Entry] = field(default_factory=dict)
    next_system: int = 0
    slot_before: float = -np.inf
    holds: set[int] = field(default_factory=set)
    said: dict[int, float] = field(default_factory=dict)
    out: list[tuple[float, int]] = field(default_factory=list)


def net(
    tracks: Tracks, own: dict[str, np.ndarray], links: list[Link], passes: Callable[[str, str], np.ndarray], scenario: Any, seed: int
) -> dict[str, Handed]:
    """What each source reports on a net with reporting responsibility, slot after slot, all units side by side.

    A unit puts together what is one object by its own tracks and the reports that it has heard (`correlation`).  It reports an
    object that nobody else reports; it takes over where its track quality is better by `BETTER`; of two who hear each other report, the
    one of less quality stops (of equals the later one of `NODES`).  ``own``: each source's rows that count; ``links``: the net's;
    ``passes(source, target)``: which rows of ``tracks`` (n,) may go there.
    """
    units = {s: Unit(NODES.index(s), rows) for s, rows in own.items()}
    slack = (scenario.bias * np.repeat(REGISTRATION, 3)) ** 2
    every, end = _interval(links[0]), max((tracks.time[rows[-1]] for rows in own.values() if len(rows)), default=-np.inf)
    slots = []
    for s in units if np.isfinite(end) else ():
        start = first_slot(next(k for k in links if k.source == s), seed)
        slots += [(start + k * every, NODES.index(s), s) for k in range(max(0, int(np.ceil((end - start) / every))) + 1)]
    for time, _, s in sorted(slots):
        unit = units[s]
        _take_in(unit, tracks, time, SILENCE * every)
        made = _reported(unit, tracks, time, slack)
        unit.out += [(time, row) for row in made]
        for link in links if made else ():
            if link.source == s and link.target in units:
                units[link.target].heard += _passed_on(unit.out, made, link, passes(s, link.target), seed)
        unit.slot_before = time
    return {s: Handed(np.array([t for t, _ in u.out]), np.array([row for _, row in u.out], int)) for s, u in units.items()}


def _passed_on(out: list[tuple[float, int]], made: list[int], link: Link, may: np.ndarray, seed: int) -> list[tuple[float, int]]:
    """When which of the newest reports arrive: out of the draws for all that the link has carried, for theirs follow those before."""
    carried = [(t, row) for t, row in out if may[row]]
    new = sum(bool(may[row]) for row in made)
    came = arrivals(link, np.array([t for t, _ in carried]), seed)[len(carried) - new :]
    return [(t, row) for t, (_, row) in zip(came.tolist(), carried[len(carried) - new :], strict=True) if np.isfinite(t)]


def _take_in(unit: Unit, tracks: Tracks, time: float, silence: float) -> None:
    """All that has come by now, in that order; what is over is forgotten."""
    end = int(np.searchsorted(tracks.time[unit.own], time, side="right"))
    new = [(float(tracks.time[row]), int(row)) for row in unit.own[unit.at : end]]
    new += [one for one in unit.heard if one[0] <= time]
    unit.heard = [one for one in unit.heard if one[0] > time]
    unit.at = end
    for when, row in sorted(new):
        note(unit.entries, int(tracks.node[row]), int(tracks.track[row]), float(tracks.time[row]), row, when)
    unit.entries = {k: e for k, e in unit.entries.items() if time - e.heard <= silence and time - e.last <= 2 * HOLD + silence}


def _reported(unit: Unit, tracks: Tracks, time: float, slack: np.ndarray) -> list[int]:
    """The rows that a unit reports in its slot, rising; what it is responsible for changes in place."""
    live = list(unit.entries.values())
    if not live:
        return []
    rows = np.unique([e.row for e in live])
    unit.next_system = correlate(live, (rows, predicted(tracks, rows, time)), slack, unit.next_system)
    worth = dict(zip(rows.tolist(), quality(tracks.P[rows]).tolist(), strict=True))
    newest: dict[int, Entry] = {}
    for e in sorted((e for e in live if e.source == unit.source and e.system >= 0), key=lambda e: (e.last, e.row)):
        newest[e.system] = e
    others: dict[int, list[Entry]] = {}
    for e in live:
        if e.source != unit.source:
            others.setdefault(e.system, []).append(e)
    made = []
    for system, e in sorted(newest.items()):
        track = int(tracks.track[e.row])
        if _responsible(unit, track, worth[e.row], others.get(system, []), worth):
            unit.holds.add(track)
            if e.last > unit.said.get(track, -np.inf):
                unit.said[track] = e.last
                made.append(e.row)
        else:
            unit.holds.discard(track)
    return sorted(made)


def _responsible(unit: Unit, track: int, own: int, others: list[Entry], worth: dict[int, int]) -> bool:
    """Whether a unit is to report an object of which it has a track of quality ``own``, and ``others`` have been heard."""
    if track in unit.holds:  # somebody else reports it too
        return all((worth[e.row], -e.source) < (own, -unit.source) for e in others if e.heard > unit.slot_before)
    return all(own >= worth[e.row] + BETTER for e in others)
