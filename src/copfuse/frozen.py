"""The frozen cases: flights, plots and bounds that every tracker is measured on, the same for everybody.

A case is a scenario file with what `simulate` makes of it under a stated seed: the truth (thinned), labelled plots, and the posterior
Cramer-Rao bound of each missile.  It lies in ``data/synthetic/<name>/`` of a checkout; where that is absent it is made again and held
against the packaged checksums.  An entrant gets what `blind` leaves: plots without labels, a scenario without launches.

All is synthetic and every sensor figure *notional*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from copfuse import bounds, motion, network, scenario, sensors, simulate
from copfuse.constants import NODES
from copfuse.errors import CopfuseError, suggestion
from copfuse.scenario import Scenario
from copfuse.tables import PLOT, Detections, Table, Tracks, Truth

CASES = {
    "srbm": 1, "mrbm": 2, "irbm": 3, "slbm": 4, "lofted-icbm": 5, "pull-up": 6, "glide": 7, "boost-failure": 8, "separation": 4, "salvo-10": 9,
    "raid-100": 10, "biased": 2, "clutter": 2, "delayed": 2, "outage": 2, "recorded": 11,
}  # fmt: skip
"""The names in the order of the table, each with the seed of its sensors' noise: cases of one seed and flight differ in one thing only."""
QUICK = ("srbm", "pull-up", "clutter", "delayed")
ARRIVAL_SEED = 0  # of the links' delays: the one that `network.share` draws from when it is told nothing else
NEAR_POSITION, NEAR_VELOCITY = 0.5, 0.05  # m, m/s: how far thinned truth may be from the whole one, halfway to what is promised
MINUTE = 60.0  # s: a case lasts whole minutes, so that its end tells little of the impact
KNOWN = ("sensors", "scenario", "schedule", "absent")  # what `Detections.meta` may say to an entrant: nothing that truth or noise made


@dataclass(frozen=True, eq=False, repr=False)
class Limit(Table):
    """The posterior Cramer-Rao bound of one missile at one picture time: the least root mean square error that the plots of all sensors
    allow, ``position`` m and ``velocity`` m/s (nan before the first plot); ``object`` numbers the truth's."""

    object: np.ndarray
    time: np.ndarray
    position: np.ndarray
    velocity: np.ndarray
    meta: dict[str, Any] = field(default_factory=dict)
    COLUMNS: ClassVar = {"object": (np.int32, ()), "time": (np.float64, ()), "position": (np.float64, ()), "velocity": (np.float64, ())}


@dataclass(frozen=True, eq=False)
class Case:
    """A frozen case: what was flown, what the sensors reported (labelled), when each plot is at the hub, and how well it could be known."""

    name: str
    title: str
    about: str  # what it tests
    scenario: Scenario
    truth: Truth
    detections: Detections
    arrived: np.ndarray  # (n,) s at which each plot is at the hub, nan: never
    limit: Limit
    provenance: dict[str, Any]

    def __repr__(self) -> str:
        missiles = sum(about["kind"] == "missile" for about in self.truth.meta["objects"])
        return f"Case({self.name}: {missiles} missiles, {len(self.detections)} plots, {self.scenario.duration:g} s)"


def names() -> tuple[str, ...]:
    """The names of the cases, in the order of the table."""
    return tuple(CASES)


def quick() -> tuple[str, ...]:
    """The names of the few cases that stand for all where time is short."""
    return QUICK


def path(name: str) -> Path:
    """A case's scenario file.  Raises `CopfuseError` where there is no such case."""
    if name not in CASES:
        raise CopfuseError(f"there is no frozen case {name!r}; {suggestion(name, CASES)}")
    return Path(str(resources.files("copfuse") / "data" / "frozen" / f"{name}.toml"))


def load(name: str, folder: str | Path | None = None) -> Case:
    """A frozen case by name.  Raises `CopfuseError` for a name that is not there."""
    return made(name)


def made(name: str) -> Case:
    """The case as the code makes it now."""
    about = scenario.load(path(name))
    truth = simulate.fly(about)
    about = replace(about, duration=MINUTE * math.ceil(float(truth.time.max()) / MINUTE))
    detections = reported(simulate.detect(truth, about, seed=CASES[name]), about)
    arrived = arrivals(detections, about)
    limit = limits(truth, detections, arrived, about)
    return Case(name, about.title, about.description, about, thinned(truth), detections, arrived, limit, {"made": "in memory"})


def blind(case: Case) -> tuple[Detections, Scenario]:
    """What an entrant gets: the plots without labels, and the scenario without launches and without words about them."""
    plots = case.detections
    columns = {name: getattr(plots, name) for name in plots.COLUMNS} | {"object": np.full(len(plots), -1)}
    meta = {key: plots.meta[key] for key in KNOWN}
    return Detections(**columns, meta=meta), replace(case.scenario, launches=(), title="", description="")


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


# How a case is made -----------------------------------------------------------------------------------------------------


def reported(detections: Detections, scenario: Scenario) -> Detections:
    """The plots with the accuracies (`sensors.accuracy`) that a sensor can state: by the angles that it measured.

    `simulate` draws a plot's noise with the accuracy at the true angles and says that one; to some digits it would tell where the object
    is, and which plots are false, whose two angles are one.
    """
    sigma = np.array(detections.sigma)
    for number, sensor in enumerate(scenario.sensors):
        mine = detections.sensor == number
        if mine.any():
            sigma[mine] = sensors.accuracy(sensor, detections.snr[mine], detections.z[mine, 1], detections.z[mine, 2])
    columns = {name: getattr(detections, name) for name in detections.COLUMNS} | {"sigma": sigma}
    return Detections(**columns, meta=detections.meta)


def limits(truth: Truth, detections: Detections, arrived: np.ndarray, scenario: Scenario) -> Limit:
    """The bound (`bounds.bound`, the filters' model of motion) of every missile at the picture times of its flight.

    By the plots that were made of it and that reach the hub at all, counted from when they were made: no tracker that waits for them
    can do better.
    """
    grid, reach = times(scenario), detections[np.isfinite(arrived)]
    parts = [(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))]
    for number, about in enumerate(truth.meta["objects"]):
        life = truth.time[truth.object == number]
        if about["kind"] == "missile":
            best = bounds.bound(truth, scenario, "HUB", object=number, detections=reach)
            time = grid[(grid >= life[0]) & (grid <= life[-1])]
            parts.append((np.full(len(time), number), time, *(_at(best.time, v, time) for v in (best.position, best.velocity))))
    columns = dict(zip(Limit.COLUMNS, (np.concatenate(c) for c in zip(*parts, strict=True)), strict=True))
    return Limit(**columns, meta={"model": "filter", "node": "HUB"})


def _at(time: np.ndarray, value: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values at times that are among ``time``, nan elsewhere."""
    if len(time) == 0:
        return np.full(len(at), np.nan)
    row = np.clip(np.searchsorted(time, at - 1e-9), 0, len(time) - 1)
    return np.where(np.abs(time[row] - at) < 1e-6, value[row], np.nan)


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
        return bool(error[:, :3].max() < NEAR_POSITION / 2 and error[:, 3:].max() < NEAR_VELOCITY / 2)

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
