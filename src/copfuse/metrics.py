"""How good a picture is: `score` per node and time, `sightings` per node and missile, and the measures they use.

**Matching.**  At each time the system tracks of a node are assigned to the objects aloft so that as many as possible
are matched and then the sum of position distances is least; a pair may be matched within `gate_radius`: 10 km or four
standard deviations of the track's worst axis, whichever is larger, but never more than 100 km.  A track that stays
unmatched within its gate of an object aloft is a duplicate, any other is spurious.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import chdtri

from copfuse import frames, motion
from copfuse.constants import NODES
from copfuse.errors import CopfuseError
from copfuse.scenario import Scenario
from copfuse.tables import Detections, Picture, Score, Truth

GATE_LEAST, GATE_MOST, GATE_SIGMAS = 10e3, 100e3, 4.0  # m, m, standard deviations
GOSPA_CUTOFF, GOSPA_ORDER = 10e3, 2.0  # m, and the power p
ELLIPSE_SIZES = (50e3, 10e3)  # m, 95 % semi-major axes whose first time is reported
CHI2_95_2 = 5.991464547107979  # chi-square quantile, two degrees of freedom: -2 ln 0.05


class Gospa(NamedTuple):
    """The distance in m and its parts to the power p; ``pairs`` (k, 2) rows of x and y that belong together."""

    value: float
    localisation: float
    missed: float
    false: float
    pairs: np.ndarray


def gospa(x, y, c: float, p: float = 2.0) -> Gospa:
    """Generalised optimal sub-pattern assignment with alpha = 2 (Rahmathullah, Garcia-Fernandez, Svensson 2017, eq. 4).

    ``x (n, d)`` the truth, ``y (m, d)`` the estimates, cut-off ``c`` in their unit, power ``p``.
    """
    return _gospa(_distances(x, y), c, p)


def ospa(x, y, c: float, p: float = 2.0) -> float:
    """Optimal sub-pattern assignment distance (Schuhmacher, Vo, Vo 2008, eq. 3); 0 for two empty sets."""
    cost = np.minimum(_distances(x, y), c) ** p
    most = max(cost.shape)
    if most == 0:
        return 0.0
    rows, columns = linear_sum_assignment(cost)
    return float(((cost[rows, columns].sum() + c**p * (most - len(rows))) / most) ** (1.0 / p))


def nees(error, P) -> np.ndarray:
    """Normalised estimation error squared (n,) of errors (n, k) under covariances (n, k, k)."""
    error = np.asarray(error, float)
    if len(error) == 0:
        return np.zeros(0)
    return np.einsum("ni,ni->n", error, np.linalg.solve(P, error[:, :, None])[:, :, 0])


def nees_bounds(runs: int, dimension: int, level: float = 0.95) -> tuple[float, float]:
    """Two-sided bounds of the mean NEES over independent runs (Bar-Shalom, Li, Kirubarajan 2001, sec. 5.4.2)."""
    tail = 0.5 * (1.0 - level)
    return float(chdtri(runs * dimension, 1.0 - tail)) / runs, float(chdtri(runs * dimension, tail)) / runs


def error_ellipse(position, P) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 95 % error ellipse on the ground of Earth-fixed ``position (n, 3)`` with covariance ``P (n, 3, 3)``.

    Returns semi-major and semi-minor axis (m) and the major axis's azimuth (rad, in [0, pi)), each (n,); nan where the
    position or the covariance is.
    """
    position, P = np.reshape(np.asarray(position, float), (-1, 3)), np.reshape(np.asarray(P, float), (-1, 3, 3))
    major, minor, azimuth = np.full((3, len(position)), np.nan)
    ok = np.isfinite(position).all(axis=1) & np.isfinite(P).all(axis=(1, 2))
    if ok.any():
        lat, lon, _ = frames.geodetic(position[ok])
        east_north = frames.enu_axes(lat, lon)[:, :2]
        value, vector = np.linalg.eigh(np.einsum("nai,nij,nbj->nab", east_north, P[ok], east_north))
        minor[ok], major[ok] = np.sqrt(CHI2_95_2 * np.maximum(value, 0.0)).T
        azimuth[ok] = np.mod(np.arctan2(vector[:, 0, 1], vector[:, 1, 1]), np.pi)
    return major, minor, azimuth


class Siap(NamedTuple):
    """Attributes of the Single Integrated Air Picture over all the times counted."""

    completeness: float  # matched objects / objects
    ambiguity: float  # tracks on objects / objects that have one
    spuriousness: float  # tracks on no object / tracks


def siap(n_truth, n_track, n_matched, n_duplicate) -> Siap:
    """SIAP attributes (Votruba et al. 2001, sec. 3) from counts per time, such as a `Score`'s columns; nan for 0 / 0."""
    truth, track, matched, duplicate = (float(np.sum(n)) for n in (n_truth, n_track, n_matched, n_duplicate))
    return Siap(_ratio(matched, truth), _ratio(matched + duplicate, matched), _ratio(track - matched - duplicate, track))


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
    where = true_states(truth, picture.time)
    distance = np.linalg.norm(where[:, :, :3] - picture.x[:, None, :3], axis=2)
    gate = gate_radius(picture.P)
    found, nearest = np.full((2, len(picture)), -1)
    for rows in _groups(picture.node, picture.time):
        within = np.where(distance[rows] <= gate[rows, None], distance[rows], np.inf)
        pairs = _assign(within)
        found[rows[pairs[:, 0]]] = pairs[:, 1]
        left = np.setdiff1d(np.arange(len(rows)), pairs[:, 0])
        left = left[np.isfinite(within[left]).any(axis=1)]
        nearest[rows[left]] = np.argmin(within[left], axis=1)
    error = np.where(found[:, None] >= 0, picture.x - where[np.arange(len(picture)), found], np.nan) if len(picture) else np.zeros((0, 6))
    return Match(found, nearest, error, distance)


def true_states(truth: Truth, time) -> np.ndarray:
    """Every object's state (n, n_objects, 6) at times (n,); nan before its launch and after its impact."""
    time = np.asarray(time, float)
    states = np.full((len(time), _object_count(truth), 6), np.nan)
    for i, rows in enumerate(_object_rows(truth)):
        aloft = (time >= truth.time[rows[0]]) & (time <= truth.time[rows[-1]])
        states[aloft, i] = motion.interpolate(truth.time[rows], truth.x[rows], time[aloft])
    return states


def score(picture: Picture, truth: Truth, scenario: Scenario, cutoff: float = GOSPA_CUTOFF, order: float = GOSPA_ORDER) -> Score:
    """Each node's picture against the truth, at `score_times`."""
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


_NO_ROWS = np.zeros(0, np.intp)


def _score_row(matched: Match, row_nees: np.ndarray, rows: np.ndarray, up: np.ndarray, c: float, p: float) -> tuple[float, ...]:
    """One line of `Score` without its time and node: the picture's ``rows`` then against the objects ``up``."""
    n = int(up.sum())
    parts = _gospa(matched.distance[rows][:, up].T, c, p)
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


@dataclass(frozen=True)
class Sighting:
    """What one node had of one missile; times in s after its ignition."""

    node: str
    object: str  # the object's name
    flight_time: float  # s, ignition to impact
    first_plot: Moment  # first true plot of the node's own sensors (HUB: of any)
    firm_track: Moment  # first time that its picture holds the object
    own: bool  # whether that track held plots of its own sensors (HUB: of any)
    ellipses: tuple[tuple[float, Moment], ...]  # (size m, first impact ellipse with a smaller 95 % semi-major axis)
    lost: Moment  # when its picture held the object last; nan when never held or held to the impact
    custody: float  # fraction of the flight during which its picture held the object
    tracks: int  # different system tracks that held it, one after the other
    duplicates: int  # different system tracks that stood beside the one that held it


def sightings(run: Any, sizes: tuple[float, ...] = ELLIPSE_SIZES) -> list[Sighting]:
    """Per missile and node when it was seen, tracked, forecast and lost; ``run`` has scenario and tables (`study.Run`)."""
    truth, picture = run.truth, run.picture
    matched = match(picture, truth)
    major = error_ellipse(picture.impact_point, picture.impact_point_P)[0]
    found = []
    for i, rows in enumerate(_object_rows(truth)):
        if truth.meta["objects"][i]["kind"] == "missile":
            times, x = truth.time[rows], truth.x[rows]
            grid = score_times(picture, truth, run.scenario)
            flight = _Flight(truth.meta["objects"][i]["name"], i, times, x, grid[(grid >= times[0]) & (grid <= times[-1])])
            found += [_sighting(flight, node, run, matched, major, sizes) for node in range(len(NODES))]
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
        return Moment(float(time[0] - self.time[0]), float(frames.geodetic(motion.interpolate(self.time, self.x, at))[2][0]))


def _sighting(flight: _Flight, node: int, run: Any, matched: Match, major: np.ndarray, sizes: tuple[float, ...]) -> Sighting:
    picture = run.picture
    mine = picture.node == node
    held = np.flatnonzero(mine & (matched.object == flight.object))
    doubles = mine & (matched.nearest == flight.object)
    held_times = np.unique(np.round(picture.time[held], 6))
    to_the_end = len(held) > 0 and len(flight.grid) > 0 and held_times[-1] >= flight.grid[-1] - 1e-6
    return Sighting(
        node=NODES[node],
        object=flight.name,
        flight_time=float(flight.time[-1] - flight.time[0]),
        first_plot=flight.moment(own_plots(run.detections, run.scenario, node, flight.object)),
        firm_track=flight.moment(held_times),
        own=bool(len(held)) and _holds_own(picture, int(held[0]), run.scenario, node),
        ellipses=tuple((size, flight.moment(picture.time[held[major[held] < size]])) for size in sizes),
        lost=Moment() if to_the_end else flight.moment(held_times[-1:]),
        custody=_ratio(float(np.isin(flight.grid, held_times).sum()), float(len(flight.grid))),
        tracks=len(np.unique(picture.track[held])),
        duplicates=len(np.unique(picture.track[doubles])),
    )


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
    return any(int(picture.sensors[row]) >> i & 1 for i in np.flatnonzero(own).tolist())


# Small parts ---------------------------------------------------------------------------------------------------------


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom > 0 else math.nan


def _distances(x, y) -> np.ndarray:
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.size == 0 or y.size == 0:
        return np.zeros((len(x), len(y)))
    return np.linalg.norm(x[:, None] - y[None], axis=2)


def _gospa(distance: np.ndarray, c: float, p: float) -> Gospa:
    n, m = distance.shape
    pairs = _assign(np.where(distance < c, distance**p, np.inf), c**p)
    localisation = float((distance[pairs[:, 0], pairs[:, 1]] ** p).sum())
    missed, false = 0.5 * c**p * (n - len(pairs)), 0.5 * c**p * (m - len(pairs))
    return Gospa((localisation + missed + false) ** (1.0 / p), localisation, missed, false, pairs)


def _assign(cost: np.ndarray, unpaired: float | None = None) -> np.ndarray:
    """Row and column numbers (k, 2) of the cheapest pairs with finite cost.

    ``unpaired`` is what a pair not made costs; None: as many pairs as possible, then the cheapest.
    """
    ok = np.isfinite(cost)
    if not ok.any():
        return np.zeros((0, 2), np.intp)
    if 1 in cost.shape:  # one row or column: the smallest, without the solver's overhead
        best = int(np.argmin(np.where(ok, cost, np.inf)))
        return np.array([divmod(best, cost.shape[1])])
    big = unpaired if unpaired is not None else 2.0 * float(cost[ok].sum()) + 1.0
    rows, columns = linear_sum_assignment(np.where(ok, cost, big))
    kept = ok[rows, columns]
    return np.stack([rows[kept], columns[kept]], axis=1)


def _groups(node: np.ndarray, time: np.ndarray) -> list[np.ndarray]:
    """Row numbers of each node at each time."""
    if len(time) == 0:
        return []
    order = np.lexsort((time, node))
    new = (np.diff(node[order]) != 0) | (np.diff(np.round(time[order], 6)) != 0)
    return np.split(order, np.flatnonzero(new) + 1)


def _object_count(truth: Truth) -> int:
    return len(truth.meta["objects"])


def _object_rows(truth: Truth) -> list[np.ndarray]:
    """Row numbers of each object, in order of time."""
    return [np.flatnonzero(truth.object == i) for i in range(_object_count(truth))]
