"""How far the nodes see one and the same picture: common track numbers, GOSPA between pictures, age of information.

The picture's own track numbers are each node's bookkeeping.  Nodes that share can still have common numbers without anybody in
the middle, if a track's number travels with it: a system track bears the number of the oldest local track (by its originator's
first firm row) of those that have stood in it and stand nowhere else.  Each node finds that by itself from what it has heard, so nothing
withheld tells in it; nodes that have heard of the same local tracks and put them together alike come to the same number.

**Within the delay.**  News takes time, so two pictures can only agree on what is not new.  An object is settled for two nodes while
it has been held by either of them for the delay (the age, 95 % quantile, of what the slowest track link brings to one of the two), and
will be for as long: the end of a track is news as its beginning is.  Whatever else parts them counts.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from copfuse.constants import NODES
from copfuse.measures import gospa, ratio
from copfuse.metrics import GOSPA_CUTOFF, GOSPA_ORDER, match
from copfuse.tables import TRACK, Picture, Tracks


@dataclass(frozen=True)
class Pair:
    """Two nodes' pictures beside each other, at every time that either shows something; nan where there is nothing to compare.

    ``both`` object-times are held by both, ``common`` of them (0-1) under the same number, ``settled_common`` of those settled
    (see the module); ``distance`` m is the mean GOSPA between the pictures, ``alone`` m what of it is for tracks that one of the two
    has alone, ``settled_distance`` and ``settled_alone`` m the same without objects that are not settled; ``delay`` s as used.
    """

    nodes: tuple[str, str]
    delay: float
    both: int
    common: float
    settled_common: float
    distance: float
    alone: float
    settled_distance: float
    settled_alone: float


def pairs(run: Any) -> list[Pair]:
    """Every two nodes of a `study.Run` that both have a picture, in the order of `constants.NODES`."""
    matched = match(run.picture, run.truth).object
    numbers = common_numbers(run.picture, run.tracks)
    present = [k for k in range(len(NODES)) if (run.picture.node == k).any()]
    return [_pair(run, matched, numbers, a, b) for a, b in combinations(present, 2)]


def with_others(found: list[Pair], node: str) -> float:
    """One node's commonality (0-1) with all others: the share of object-times held by it and another one under the same number."""
    mine = [p for p in found if node in p.nodes and p.both]
    return ratio(sum(p.both * p.common for p in mine), sum(p.both for p in mine))


def ages(picture: Picture) -> dict[str, tuple[float, float]]:
    """Of each node the median and the 95 % quantile of the age s of the newest information in a line; nan where it has no line."""
    mine = {name: picture.age[picture.node == k] for k, name in enumerate(NODES)}
    return {name: (float(np.median(a)), float(np.quantile(a, 0.95))) if len(a) else (math.nan, math.nan) for name, a in mine.items()}


# Common numbers ----------------------------------------------------------------------------------------------------------


def common_numbers(picture: Picture, tracks: Tracks) -> np.ndarray:
    """The number (n,) that travels with each line's track: 1 000 000 times the originator's number, plus its local track's number.

    Where plots are fused in one place, everybody has that place's numbers and the picture's own are common already.
    At one time no two tracks of a node bear the same number.
    """
    if picture.meta.get("pedigree_of") != "Tracks" or len(picture) == 0:
        return picture.track.astype(np.int64)
    name = tracks.node.astype(np.int64) * 10**6 + tracks.track
    firm = np.flatnonzero(tracks.firm)
    which, first = np.unique(name[firm], return_index=True)
    born = {key: (time, key) for key, time in zip(which.tolist(), tracks.time[firm[first]].tolist(), strict=True)}
    local = np.where(picture.pedigree >= 0, name[picture.pedigree] if len(tracks) else -1, -1)
    number = picture.track.astype(np.int64)
    order = np.lexsort((picture.time, picture.node))
    new = np.flatnonzero((np.diff(picture.node[order]) != 0) | (np.diff(picture.time[order]) != 0)) + 1
    stands: dict[tuple[int, int], int] = {}
    members: dict[tuple[int, int], set[int]] = {}
    for rows in np.split(order, new):
        node = int(picture.node[rows[0]])
        systems = picture.track[rows].tolist()
        for system, locals_ in zip(systems, local[rows].tolist(), strict=True):
            for key in locals_:
                if key >= 0 and stands.get((node, key)) != system:
                    members.get((node, stands.get((node, key), -1)), set()).discard(key)
                    members.setdefault((node, system), set()).add(key)
                    stands[node, key] = system
        named = [members.get((node, system)) for system in systems]
        number[rows] = [min(m, key=born.__getitem__) if m else s for m, s in zip(named, systems, strict=True)]
    return number


# As text -----------------------------------------------------------------------------------------------------------------


def lines(run: Any) -> list[str]:
    """One line per two nodes, and one on the age of information; nothing where no two nodes have a picture."""
    found = pairs(run)
    if not found:
        return []
    told = ["nodes    held by both  same number %  settled %  delay s  GOSPA between km  settled km"]
    for p in found:
        cells = (_cell(v, w, d) for v, w, d in ((100 * p.common, 15, 1), (100 * p.settled_common, 11, 1), (p.delay, 9, 1),
                 (p.distance / 1e3, 18, 2), (p.settled_distance / 1e3, 12, 2)))  # fmt: skip
        told.append(f"{'-'.join(p.nodes):<7}{p.both:>14}" + "".join(cells))
    told += [
        "Same number: of the times at which both hold an object.  Settled: of what was held for the",
        "delay, and will be for as long.",
    ]
    aged = [f"{name} {median:.1f} ({most:.1f})" for name, (median, most) in ages(run.picture).items() if not math.isnan(median)]
    return [*told, *textwrap.wrap(f"Age of the newest information in a track, median (95 %), s: {', '.join(aged)}.", 100)]


def _cell(value: float, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if math.isnan(value) else f"{value:>{width}.{digits}f}"


# Two nodes -----------------------------------------------------------------------------------------------------------------


def delay(run: Any, a: int, b: int) -> float:
    """How old (s, 95 % quantile) what a track link brings to one of two nodes is when it arrives, over the slowest link; 0 for none."""
    m = run.messages
    came = (m.kind == TRACK) & np.isfinite(m.arrived) & np.isin(m.target, (a, b))
    age = m.arrived[came] - run.tracks.time[m.row[came]]
    way = m.source[came] * len(NODES) + m.target[came]
    return max((float(np.quantile(age[way == one], 0.95)) for one in np.unique(way)), default=0.0)


def _pair(run: Any, matched: np.ndarray, numbers: np.ndarray, a: int, b: int) -> Pair:
    picture, wait = run.picture, delay(run, a, b)
    thing = np.where(matched >= 0, matched, -1 - numbers)  # what is on no object counts by its number
    times = np.round(picture.time, 6)
    rows = [np.flatnonzero(picture.node == k) for k in (a, b)]
    held = [{(t, o): i for t, o, i in zip(times[r].tolist(), thing[r].tolist(), r.tolist(), strict=True)} for r in rows]
    settled = _settled({key for h in held for key in h}, wait, run.scenario.picture_step)
    both = sorted(key for key in held[0].keys() & held[1].keys() if key[1] >= 0)
    same = np.array([numbers[held[0][key]] == numbers[held[1][key]] for key in both], bool)
    calm = np.array([key in settled for key in both], bool)
    still = [np.array([i for key, i in h.items() if key in settled], int) for h in held]
    common, calmly = ratio(same.sum(), len(same)), ratio(same[calm].sum(), calm.sum())
    return Pair((NODES[a], NODES[b]), wait, len(both), common, calmly, *_apart(picture, *rows), *_apart(picture, *still))


def _settled(held: set[tuple[float, int]], wait: float, step: float) -> set[tuple[float, int]]:
    """Of times s at which either node holds a thing, and the thing, those ``wait`` s after it began and before it ends."""
    settled = set()
    for number in {n for _, n in held}:
        times = np.sort([t for t, n in held if n == number])
        for piece in np.split(times, np.flatnonzero(np.diff(times) > 1.5 * step) + 1):
            settled |= {(float(t), number) for t in piece[(piece >= piece[0] + wait) & (piece <= piece[-1] - wait)]}
    return settled


def _apart(picture: Picture, one: np.ndarray, two: np.ndarray) -> tuple[float, float]:
    """Mean GOSPA m between two sets of lines over the times of either, and what of it is for tracks that one has alone."""
    times = np.unique(np.round(np.concatenate([picture.time[r] for r in (one, two)]), 6))
    if len(times) == 0:
        return math.nan, math.nan
    found = []
    for t in times:
        x, y = (picture.x[r[np.abs(picture.time[r] - t) < 1e-6], :3] for r in (one, two))
        g = gospa(x, y, GOSPA_CUTOFF, GOSPA_ORDER)
        found.append((g.value, (g.missed + g.false) ** (1.0 / GOSPA_ORDER)))
    whole, alone = np.mean(found, axis=0)
    return float(whole), float(alone)
