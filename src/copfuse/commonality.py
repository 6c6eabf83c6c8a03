"""How far the nodes see one and the same picture: common track numbers (`naming`), GOSPA between pictures, age of information.

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
from copfuse.tables import TRACK, Picture


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
    present = [k for k in range(len(NODES)) if (run.picture.node == k).any()]
    return [_pair(run, matched, a, b) for a, b in combinations(present, 2)]


def with_others(found: list[Pair], node: str) -> float:
    """One node's commonality (0-1) with all others: the share of object-times held by it and another one under the same number."""
    mine = [p for p in found if node in p.nodes and p.both]
    return ratio(sum(p.both * p.common for p in mine), sum(p.both for p in mine))


def ages(picture: Picture) -> dict[str, tuple[float, float]]:
    """Of each node the median and the 95 % quantile of the age s of the newest information in a line; nan where it has no line."""
    mine = {name: picture.age[picture.node == k] for k, name in enumerate(NODES)}
    return {name: (float(np.median(a)), float(np.quantile(a, 0.95))) if len(a) else (math.nan, math.nan) for name, a in mine.items()}


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


def _pair(run: Any, matched: np.ndarray, a: int, b: int) -> Pair:
    picture, wait = run.picture, delay(run, a, b)
    thing = np.where(matched >= 0, matched, -1 - picture.common)  # what is on no object counts by its number
    times = np.round(picture.time, 6)
    rows = [np.flatnonzero(picture.node == k) for k in (a, b)]
    held = [{(t, o): i for t, o, i in zip(times[r].tolist(), thing[r].tolist(), r.tolist(), strict=True)} for r in rows]
    settled = _settled({key for h in held for key in h}, wait, run.scenario.picture_step)
    both = sorted(key for key in held[0].keys() & held[1].keys() if key[1] >= 0)
    same = np.array([picture.common[held[0][key]] == picture.common[held[1][key]] for key in both], bool)
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
