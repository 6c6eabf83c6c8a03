"""How good a picture is: `score` per node and time, `sightings` per node and missile, and the measures they use.

**Matching.**  At each time the system tracks of a node are assigned to the objects aloft as in GOSPA of order 1 with alpha 2
(Rahmathullah, Garcia-Fernandez, Svensson 2017, eq. 4) and the cut-off c = 10 km: the sum of the pairs' position distances and of c / 2
for every track and every object without a pair is least.  Of order 1, because then (by the triangle inequality) a track that stands on
an object is on it, whatever stands beside: pairing as many as possible, or squares of distances, would shift a row of good tracks, each
to its neighbour's object, to make room for one bad track.  Tracks may be matched within `gate_radius`: 10 km or four standard deviations
of the track's worst axis, whichever is larger, but never more than 100 km.  What the first assignment leaves over is therefore
assigned once more, each track within its own gate, with c = 100 km: a blurred track never takes an object from one within 10 km of it.
A track that stays unmatched within its gate of an object aloft is a duplicate, any other is spurious.  No track is on two objects, as
SIAP asks (Votruba et al. 2001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from copfuse import frames, motion
from copfuse.checking import handed, handed_scenario, usable_picture, usable_truth
from copfuse.constants import NODES
from copfuse.errors import CopfuseError
from copfuse.foreseeing import Firsts
from copfuse.measures import assign, error_ellipse, gospa_of, nees, ratio, within_ellipse
from copfuse.scenario import Scenario
from copfuse.tables import Detections, Picture, Score, Truth

GATE_LEAST, GATE_MOST, GATE_SIGMAS = 10e3, 100e3, 4.0  # m, m, standard deviations
GOSPA_CUTOFF, GOSPA_ORDER = 10e3, 2.0  # m, and the power p
ELLIPSE_SIZES = (50e3, 10e3)  # m, 95 % semi-major axes whose first time is reported


# Picture against truth -----------------------------------------------------------------------------------------------


class Match(NamedTuple):
    """What each row of a picture is in truth; see the module's words on matching."""

    object: np.ndarray  # (n,) the matched object, -1 for none
    nearest: np.ndarray  # (n,) of a duplicate: the object that it doubles, otherwise -1
    error: np.ndarray  # (n, 6) state minus the matched object's, nan for none
    distance: np.ndarray  # (n, n_objects) m, nan where an object is not aloft


def gate_radius(P) -> np.ndarray:
    """How far (m) a track may be from an object to count as being on it, from covariances (n, 6, 6)."""
    worst = np.sqrt(np.linalg.eigvalsh(P[:, :3, :3])[:, 2]) if len(P) else np.zeros(0)
    return np.clip(GATE_SIGMAS * worst, GATE_LEAST, GATE_MOST)


def match(picture: Picture, truth: Truth) -> Match:
    """Assign the rows of each node's picture at each time to the objects aloft then."""
    times, at = np.unique(picture.time, return_inverse=True)  # of a raid, states at every row's own time would fill the memory
    where, at = true_states(truth, times), at.ravel()
    distance = np.empty((len(picture), where.shape[1]))
    found, nearest = np.full((2, len(picture)), -1)
    order, edges = _edges(picture.node, picture.time)
    size = np.diff(edges)
    for rows in _some(order[edges[:-1][size == 1]]):  # most pictures of one flight: no assignment to make
        distance[rows] = np.linalg.norm(where[at[rows], :, :3] - picture.x[rows, None, :3], axis=2)
        within = _within(distance[rows], picture.P[rows])
        found[rows] = np.where(np.isfinite(within).any(axis=1), np.argmin(within, axis=1), -1) if within.size else -1
    for begin in np.flatnonzero(size > 1).tolist():
        rows = order[edges[begin] : edges[begin + 1]]
        distance[rows] = np.linalg.norm(where[at[rows], :, :3] - picture.x[rows, None, :3], axis=2)
        within = _within(distance[rows], picture.P[rows])
        found[rows] = _assigned(within)
        left = np.flatnonzero((found[rows] < 0) & np.isfinite(within).any(axis=1))
        nearest[rows[left]] = np.argmin(within[left], axis=1)
    error = np.where(found[:, None] >= 0, picture.x - where[at, found], np.nan) if len(picture) else np.zeros((0, 6))
    return Match(found, nearest, error, distance)


def _within(distance: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Distances (n, n_objects), infinite beyond the gates of tracks of covariances (n, 6, 6), which most distances need not ask for."""
    gate = np.full(len(P), GATE_LEAST)
    near = ((distance > GATE_LEAST) & (distance <= GATE_MOST)).any(axis=1)
    gate[near] = gate_radius(P[near])
    return np.where(distance <= gate[:, None], distance, np.inf)


def _assigned(within: np.ndarray) -> np.ndarray:
    """The object of each track (n,), -1 for none, from distances (n, n_objects) m that are infinite beyond the tracks' gates."""
    found = np.full(len(within), -1)
    pairs = assign(np.where(within < GATE_LEAST, within, np.inf), GATE_LEAST)
    found[pairs[:, 0]] = pairs[:, 1]
    left = within.copy()
    left[pairs[:, 0]], left[:, pairs[:, 1]] = np.inf, np.inf
    rows = np.flatnonzero(np.isfinite(left).any(axis=1))
    if len(rows):
        pairs = assign(left[rows], GATE_MOST)
        found[rows[pairs[:, 0]]] = pairs[:, 1]
    return found


def true_states(truth: Truth, time) -> np.ndarray:
    """Every object's state (n, n_objects, 6) at times (n,); nan before its launch and after its impact."""
    time = np.asarray(time, float)
    states = np.full((len(time), _object_count(truth), 6), np.nan)
    for i, rows in enumerate(_object_rows(truth)):
        if len(rows) == 0:  # cut out of the table: never aloft
            continue
        aloft = (time >= truth.time[rows[0]]) & (time <= truth.time[rows[-1]])
        states[aloft, i] = motion.interpolate(truth.time[rows], truth.x[rows], time[aloft])
    return states


def score(picture: Picture, truth: Truth, scenario: Scenario, cutoff: float = GOSPA_CUTOFF, order: float = GOSPA_ORDER) -> Score:
    """Each node's picture against the truth, at `score_times`.

    Raises `CopfuseError` for a table that is no picture or truth, or is malformed (`checking.usable_picture`, `checking.usable_truth`).
    """
    handed("score", picture=(picture, Picture), truth=(truth, Truth))
    handed_scenario("score", scenario)
    if truth.meta.get("scenario", scenario.name) != scenario.name:
        raise CopfuseError(f"score: this truth is of the scenario {truth.meta['scenario']!r}, not of {scenario.name!r}; fly that one")
    usable_picture(picture, len(NODES))
    usable_truth(truth)
    matched = match(picture, truth)
    squared = nees(matched.error[matched.object >= 0], picture.P[matched.object >= 0])
    row_nees = np.full(len(picture), np.nan)
    row_nees[matched.object >= 0] = squared
    times = score_times(picture, truth, scenario)
    aloft = np.isfinite(true_states(truth, times)[:, :, 0])
    groups = {(int(picture.node[rows[0]]), round(float(picture.time[rows[0]]), 6)): rows for rows in _groups(picture.node, picture.time)}
    lines = [
        _score_row(matched, row_nees, groups.get((node, float(time)), _NO_ROWS), up, cutoff, order)
        for time, up in zip(times, aloft, strict=True)
        for node in range(len(NODES))
    ]
    columns = np.array(lines, float).reshape(-1, 10).T
    names = [name for name in Score.COLUMNS if name not in ("time", "node")]
    meta = {
        "picture_uid": picture.uid, "truth_uid": truth.uid, "gospa": {"cutoff": cutoff, "order": order, "alpha": 2.0},
        "gate": {"least": GATE_LEAST, "most": GATE_MOST, "sigmas": GATE_SIGMAS},
    }  # fmt: skip
    node = np.tile(np.arange(len(NODES)), len(times))
    return Score(time=np.repeat(times, len(NODES)), node=node, **dict(zip(names, columns, strict=True)), meta=meta)


def score_times(picture: Picture, truth: Truth, scenario: Scenario) -> np.ndarray:
    """The times s that are scored, up to the last impact: the scenario's grid and the picture's own."""
    end = min(truth.time.max(initial=0.0), scenario.duration or math.inf) + 1e-6
    grid = np.arange(0.0, end, scenario.picture_step)
    return np.unique(np.round(np.concatenate([grid, picture.time[picture.time <= end]]), 6))


def among(grid: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Which scored times ``grid (n,)``, to 6 decimals, are among times (m,), rising."""
    time = np.append(np.round(time, 6), np.inf)
    found: np.ndarray = time[time.searchsorted(grid)] == grid
    return found


_NO_ROWS = np.zeros(0, np.intp)


def _score_row(matched: Match, row_nees: np.ndarray, rows: np.ndarray, up: np.ndarray, c: float, p: float) -> tuple[float, ...]:
    """One line of `Score` without its time and node: the picture's ``rows`` then against the objects ``up``."""
    n = int(up.sum())
    parts = gospa_of(matched.distance[rows][:, up].T, c, p)
    on = rows[matched.object[rows] >= 0]
    error = float(np.linalg.norm(matched.error[on, :3], axis=1).mean()) if len(on) else math.nan
    mean_nees = float(row_nees[on].mean()) if len(on) else math.nan
    duplicates = int(np.count_nonzero(matched.nearest[rows] >= 0))
    return parts.value, parts.localisation, parts.missed, parts.false, n, len(rows), len(on), duplicates, mean_nees, error


# Who saw what when ---------------------------------------------------------------------------------------------------


class Moment(NamedTuple):
    """A time s after the object's ignition and the object's true altitude m then; nan for never."""

    time: float = math.nan
    altitude: float = math.nan


class Forecast(NamedTuple):
    """The first impact forecast whose 95 % ellipse has a semi-major axis below ``size`` m, and how far off (m) it was."""

    size: float
    moment: Moment
    miss: float


@dataclass(frozen=True)
class Sighting:
    """What one node had of one missile; times in s after its ignition."""

    node: str
    object: str  # the object's name
    flight_time: float  # s, ignition to impact
    first_plot: Moment  # first true plot of the node's own sensors (HUB: of any)
    firm_track: Moment  # first time that its picture holds the object
    own: bool  # whether that track held plots of its own sensors (HUB: of any)
    ellipses: tuple[Forecast, ...]  # one per size that was asked for
    coverage: float  # fraction of its forecasts whose 95 % ellipse held the true impact point
    lost: Moment  # when its picture held the object last; nan when never held or held to the impact
    custody: float  # fraction of the flight during which its picture held the object
    tracks: int  # different system tracks that held it, one after the other
    duplicates: int  # different system tracks that stood beside the one that held it


def sightings(
    run: Any, sizes: tuple[float, ...] = ELLIPSE_SIZES, matched: Match | None = None, foreseen: Firsts | None = None
) -> list[Sighting]:
    """Per missile and node when it was seen, tracked, forecast and lost; ``run`` has scenario and tables (`study.Run`).

    ``matched``: what `match` says of its picture, where that is known; ``foreseen``: what `foreseeing.firsts` says of these sizes, where
    the picture has no forecasts (then nothing is said of how far off they were).
    """
    truth, picture = run.truth, run.picture
    matched = matched or match(picture, truth)
    major = error_ellipse(picture.impact_point, picture.impact_point_P)[0] if foreseen is None else np.full(len(picture), np.nan)
    grid, found = score_times(picture, truth, run.scenario), []
    for i, rows in enumerate(_object_rows(truth)):
        if len(rows) and truth.meta["objects"][i]["kind"] == "missile":
            times, x = truth.time[rows], truth.x[rows]
            flight = _Flight(truth.meta["objects"][i]["name"], i, times, x, grid[(grid >= times[0]) & (grid <= times[-1])])
            found += [_sighting(flight, node, run, matched, major, sizes, foreseen) for node in range(len(NODES))]
    return found


class _Flight(NamedTuple):
    name: str
    object: int
    time: np.ndarray
    x: np.ndarray
    grid: np.ndarray  # the scored times from ignition to impact

    def moment(self, time: np.ndarray) -> Moment:
        """The first of ``time`` (n,) as a moment of this flight; nan where there is none."""
        if len(time) == 0:
            return Moment()
        at = np.clip(time[:1], self.time[0], self.time[-1])
        return Moment(float(time[0] - self.time[0]), float(frames.altitude(motion.interpolate(self.time, self.x, at))[0]))


def _sighting(
    flight: _Flight, node: int, run: Any, matched: Match, major: np.ndarray, sizes: tuple[float, ...], foreseen: Firsts | None
) -> Sighting:
    picture = run.picture
    mine = picture.node == node
    held = np.flatnonzero(mine & (matched.object == flight.object))
    doubles = mine & (matched.nearest == flight.object)
    told = held[np.isfinite(major[held])]
    small = [held[major[held] < size][:1] for size in sizes]
    if foreseen is not None:
        small = [np.array([row] if row >= 0 else [], int) for row in foreseen.get((flight.object, node), [-1] * len(sizes))]
    held_times = np.round(picture.time[held], 6)
    to_the_end = len(held) > 0 and len(flight.grid) > 0 and held_times[-1] >= flight.grid[-1] - 1e-6
    return Sighting(
        node=NODES[node],
        object=flight.name,
        flight_time=float(flight.time[-1] - flight.time[0]),
        first_plot=flight.moment(own_plots(run.detections, run.scenario, node, flight.object)),
        firm_track=flight.moment(held_times),
        own=bool(len(held)) and _holds_own(picture, int(held[0]), run.scenario, node),
        ellipses=tuple(_forecast(flight, picture, rows, size) for rows, size in zip(small, sizes, strict=True)),
        coverage=float(within_ellipse(picture.impact_point[told], picture.impact_point_P[told], flight.x[-1, :3]).mean())
        if len(told)
        else math.nan,
        lost=Moment() if to_the_end else flight.moment(held_times[-1:]),
        custody=ratio(float(np.count_nonzero(among(flight.grid, held_times))), float(len(flight.grid))),
        tracks=len(set(picture.track[held].tolist())),
        duplicates=len(set(picture.track[doubles].tolist())),
    )


def _forecast(flight: _Flight, picture: Picture, rows: np.ndarray, size: float) -> Forecast:
    if len(rows) == 0:
        return Forecast(size, Moment(), math.nan)
    miss = float(np.linalg.norm(picture.impact_point[rows[0]] - flight.x[-1, :3]))
    return Forecast(size, flight.moment(picture.time[rows]), miss)


def own_plots(detections: Detections, scenario: Scenario, node: int, number: int) -> np.ndarray:
    """Times s of the true plots of object ``number`` by the node's own sensors (HUB: by any), in order."""
    own = own_sensors(detections.meta["sensors"], scenario, node)
    return np.sort(detections.time[own[detections.sensor] & (detections.object == number)]) if len(detections) else np.zeros(0)


def own_sensors(names: list[str], scenario: Scenario, node: int) -> np.ndarray:
    """Which of the sensors ``names`` belong to the node's nation; all do for the hub.  Boolean (len(names),)."""
    nation = {sensor.name: sensor.nation for sensor in scenario.sensors}
    missing = [name for name in names if name not in nation]
    if missing:
        raise CopfuseError(f"the detections name the sensor {missing[0]!r}, which the scenario {scenario.name!r} does not have")
    return np.array([NODES[node] in ("HUB", nation[name]) for name in names], bool)


def _holds_own(picture: Picture, row: int, scenario: Scenario, node: int) -> bool:
    own = own_sensors(picture.meta["sensors"], scenario, node)
    return NODES[node] == "HUB" or any(int(picture.sensors[row]) >> i & 1 for i in np.flatnonzero(own).tolist())


# Small parts ---------------------------------------------------------------------------------------------------------


def _edges(node: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers by node and time, and where among them each node's of each time begin, with the end of all."""
    order = np.lexsort((time, node))
    new = (np.diff(node[order]) != 0) | (np.diff(np.round(time[order], 6)) != 0)
    return order, np.flatnonzero(np.r_[True, new, True]) if len(time) else np.zeros(1, int)


def _groups(node: np.ndarray, time: np.ndarray) -> list[np.ndarray]:
    """Row numbers of each node at each time."""
    order, edges = _edges(node, time)
    return [order[a:b] for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]


def _some(rows: np.ndarray, most: int = 10_000) -> list[np.ndarray]:
    """Rows that stand alone in their groups, so many at a time that their distances to all objects need little memory."""
    return [rows[a : a + most] for a in range(0, len(rows), most)]


def _object_count(truth: Truth) -> int:
    return len(truth.meta["objects"])


def _object_rows(truth: Truth) -> list[np.ndarray]:
    """Row numbers of each object, in order of time."""
    return [np.flatnonzero(truth.object == i) for i in range(_object_count(truth))]
