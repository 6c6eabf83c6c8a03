"""How a frozen case is made of a flight and its plots: arrivals at the hub, bounds, truth in few rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from copfuse import motion, network
from copfuse.constants import NODES
from copfuse.errors import CopfuseError
from copfuse.scenario import Scenario
from copfuse.tables import PLOT, Detections, Table, Tracks, Truth
from copfuse.timely import timely

ARRIVAL_SEED = 0  # of the links' delays: the one that `network.share` draws from when it is told nothing else
NEAR_POSITION, NEAR_VELOCITY = 0.01, 2e-4  # m, m/s per axis at rows and halfway: small beside the best bound, .2 m and .5 mm/s


@dataclass(frozen=True, eq=False, repr=False)
class Limit(Table):
    """The posterior Cramer-Rao bound of one missile at one picture time: the least root mean square error that the plots at
    the hub by then allow, ``position`` m and ``velocity`` m/s (nan before the first); ``object`` numbers the truth's."""

    object: np.ndarray
    time: np.ndarray
    position: np.ndarray
    velocity: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)
    COLUMNS: ClassVar = {"object": (np.int32, ()), "time": (np.float64, ()), "position": (np.float64, ()), "velocity": (np.float64, ())}


def arrivals(detections: Detections, scenario: Scenario) -> np.ndarray:
    """When each plot (n,) is at the hub under the scenario's regime, s; nan: never.  Of a plot that comes twice the first time counts.

    A pure function of what an entrant is given.  Raises `CopfuseError` where the regime brings the hub no plots.
    """
    messages = network.share(Tracks.empty(), scenario, seed=ARRIVAL_SEED, detections=detections)
    there = (messages.kind == PLOT) & (messages.target == NODES.index("HUB"))
    if "plot" not in messages.meta["payloads"] or (len(detections) and not there.any()):
        raise CopfuseError(f"regime {messages.meta['regime']!r} brings no plots to HUB; name one with a link to HUB of payload 'plot'")
    first = np.full(len(detections), np.inf)
    np.minimum.at(first, messages.row[there], np.nan_to_num(messages.arrived[there], nan=np.inf))
    return np.where(np.isfinite(first), first, np.nan)


def times(scenario: Scenario) -> np.ndarray:
    """The picture times s: every step from 0 to the scenario's duration.  Raises `CopfuseError` where it has none."""
    if scenario.duration is None:
        raise CopfuseError(f"the scenario {scenario.name!r} has no duration, so its picture times have no end; give duration_s")
    return np.round(np.arange(0.0, scenario.duration + 1e-6, scenario.picture_step), 6)


def limits(truth: Truth, detections: Detections, arrived: np.ndarray, scenario: Scenario) -> Limit:
    """The bound (`timely.timely`) of every missile at the picture times of its flight, by the plots that had arrived by then."""
    grid, parts = times(scenario), [(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))]
    for number, about in enumerate(truth.meta["objects"]):
        life = truth.time[truth.object == number]
        if about["kind"] == "missile":
            time = grid[(grid >= life[0]) & (grid <= life[-1])]
            best = timely(truth, scenario, detections, arrived, time, number)
            values = np.full((2, len(time)), np.nan)
            values[:, len(time) - len(best.time) :] = best.position, best.velocity
            parts.append((np.full(len(time), number), time, *values))
    columns = dict(zip(Limit.COLUMNS, (np.concatenate(c) for c in zip(*parts, strict=True)), strict=True))
    return Limit(**columns, meta={"model": "filter", "node": "HUB"})


def thinned(truth: Truth) -> Truth:
    """The truth with as few rows as keep `motion.interpolate` within `NEAR_POSITION` and `NEAR_VELOCITY` of the whole one.

    The first row of each phase and the last of all stay, so that every time has the phase that it had.
    """
    kept = [np.zeros(0, int)]
    for number in range(len(truth.meta["objects"])):
        rows = np.flatnonzero(truth.object == number)
        kept.append(rows[_knots(truth.time[rows], truth.x[rows], truth.phase[rows])])
    return truth[np.concatenate(kept)]


def _knots(time: np.ndarray, x: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Which rows of one object are needed."""
    fixed = [*(np.flatnonzero(np.diff(phase) != 0) + 1).tolist(), len(time) - 1]
    knots, halfway = [0], 0.5 * (time[1:] + time[:-1])
    middle = motion.interpolate(time, x, halfway)

    def serves(a: int, b: int) -> bool:
        ends = time[[a, b]], x[[a, b]]
        error = np.abs(np.vstack([motion.interpolate(*ends, time[a:b]) - x[a:b], motion.interpolate(*ends, halfway[a:b]) - middle[a:b]]))
        return bool(error[:, :3].max() < NEAR_POSITION and error[:, 3:].max() < NEAR_VELOCITY)

    for end in fixed:
        while knots[-1] < end:
            a, good, step = knots[-1], knots[-1] + 1, 2
            while a + step <= end and serves(a, a + step):
                good, step = a + step, 2 * step
            bad = min(a + step, end + 1)
            while bad - good > 1:
                tried = (good + bad) // 2
                good, bad = (tried, bad) if serves(a, tried) else (good, tried)
            knots.append(good)
    return np.array(sorted(set(knots)))
