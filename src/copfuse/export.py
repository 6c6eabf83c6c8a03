"""Stone Soup in and out: plots, truth and tracks as its objects and back, so that each side's trackers meet the other's metrics.

    scans = export.to_stonesoup_detections(detections, scenario)               # for its trackers
    picture = export.run_stonesoup(tracker, detections, scenario)              # its tracker as an entrant: what it knew, when it knew it
    paths = export.to_stonesoup_truth(truth, scenario, times)                  # for its metrics
    tracks = export.to_stonesoup_tracks(picture, scenario)

It needs ``pip install 'copfuse[bench]'``.  States are Earth-fixed m and m/s; ``mapping`` says where x, y, z, vx, vy, vz stand in
Stone Soup's state, as it is used to: (x, vx, y, vy, z, vz), or ``ACCELERATING`` for its models with three accelerations.  Times are
UTC without a zone, whole microseconds, as Python has them: a time of ours is moved by up to half of one, 4 mm of flight.

**Metrics.**  Its GOSPA with ``Euclidean(mapping=[0, 2, 4])``, the same cut-off and power and ``switching_penalty=0`` is `measures.gospa`
to rounding, part by part, at every time when there is an object or a track (at others it says nothing, ours says 0); a penalty adds
to it where a track changes its object, which `metrics` counts apart.  Its OSPA is `measures.ospa` for power 1; for others it assigns
by the sum of distances and not of their powers, and can only be larger.  Its SIAP completeness, ambiguity and spuriousness are
`measures.siap` to rounding with this package's matching (`soup.Matching`) as its associator and truth at the scored times.  Its
own `TrackToTruth` matches every track with the nearest object, asks for three steps in a row (two to end it), by a distance that
is one for all: with one step each and 10 km the three are the same where no gate is wider, and no object nearer to another's track.
Its longest track segment is of time from first to last state, over all objects at once; `judging.judge`'s is of picture times, mean
over missiles: for one unbroken hold of n of N times (n - 1) / (N - 1) beside n / N.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from copfuse import customary, metrics, scanning, sensors
from copfuse.constants import NODES
from copfuse.entering import picture as picture_of
from copfuse.entering import scans_in_order, times
from copfuse.errors import CopfuseError
from copfuse.tables import Detections, Picture, Tracks, Truth

MAPPING = (0, 2, 4, 1, 3, 5)
ACCELERATING = (0, 3, 6, 1, 4, 7)  # with ndim_state=9
MEASURES = ("range", "azimuth", "elevation", "range rate")
SAME = 1e-6  # s: what a time may lose in a datetime
LASTS = 20.0  # s after its newest state for which a track is shown while no scan comes by which its tracker could drop it
FALL = 1.0  # s, the longest step of free fall

Scans = Iterator[tuple[datetime, set[Any]]]


# Plots ---------------------------------------------------------------------------------------------------------------


def to_stonesoup_detections(
    detections: Detections, scenario: Any, mapping: tuple[int, ...] = MAPPING, ndim_state: int = 6, biases: bool = False
) -> Scans:
    """The scans as Stone Soup's trackers take them: (time, set of Detection), in the table's order.

    Each plot has a model of its own with its own noise (see `soup`): elevation, bearing, range (and range rate) of a radar, from its
    place and axes; u, v, range (and range rate) of one that reports those; elevation and bearing of an infrared sensor, at
    its place then.  Bearings start in the east and go to the north.  ``biases``: with what is known of the sensors' biases in the
    noise, as this package's trackers reckon.  ``metadata``: ``sensor``, ``time`` (exact s), ``row`` of the table, ``snr``, and
    ``clutter``, false plots to be expected per unit of the measurement's space (at a tenth of the usual ones if there are fewer).
    Labels of truth stay behind.
    Raises `CopfuseError` for a plot of which neither Stone Soup nor this package has a model.
    """
    soup = _soup()
    known: dict[tuple[int, float], tuple[np.ndarray, np.ndarray]] = {}
    time, sensor = detections.time, detections.sensor
    firsts = np.flatnonzero(np.r_[True, (np.diff(time) != 0) | (np.diff(sensor) != 0)]) if len(time) else np.zeros(0, int)
    for first, last in zip(firsts.tolist(), [*firsts[1:].tolist(), len(time)], strict=False):
        k, at = int(sensor[first]), float(time[first])
        one = scenario.sensors[k]
        key = k, 0.0 if one.orbit is None else at
        if key not in known:
            known[key] = tuple(v[0] for v in sensors.place(one, at))
        bias = np.append(scanning.bias_sigma(one, scenario), 0.0) if biases else np.zeros(4)
        plots = set()
        for row in range(first, last):
            sigma = np.hypot(detections.sigma[row], bias)
            try:
                seen, model = stonesoup_plot(detections.z[row], sigma, *known[key], one.cosines, mapping, ndim_state)
            except CopfuseError as error:
                raise CopfuseError(f"Detections row {row}: {error}") from None
            about = {"sensor": one.name, "time": at, "row": row, "snr": float(detections.snr[row])}
            about["clutter"] = _clutter(one, scenario, len(seen))
            plots.add(soup.Detection(seen, timestamp=moment(scenario, at), measurement_model=model, metadata=about))
        yield moment(scenario, at), plots


def stonesoup_plot(
    z: np.ndarray, sigma: np.ndarray, origin: np.ndarray, axes: np.ndarray, cosines: int = 0, mapping: tuple[int, ...] = MAPPING,
    ndim_state: int = 6,
) -> tuple[Any, Any]:  # fmt: skip
    """State vector and measurement model of one plot ``z (4,)``, ``sigma (4,)`` by a sensor at ``origin (3,)`` with ``axes (3, 3)``.

    Raises `CopfuseError` as `to_stonesoup_detections`.
    """
    soup = _soup()
    measured = "".join("RABD"[k] for k in np.flatnonzero(np.isfinite(z)))
    columns = {"RAB": [2, 1, 0], "RABD": [2, 1, 0, 3], "AB": [2, 1]}.get(measured)
    if columns is None or (cosines and measured == "AB"):
        names = ", ".join(n for n, k in zip(MEASURES, np.isfinite(z), strict=True) if k) or "nothing"
        models = "range with both angles, with range rate or without, and both angles alone (not u and v)"
        raise CopfuseError(f"a plot measures {names}; there are models of {models}")
    place: dict[str, Any] = {
        "ndim_state": ndim_state, "mapping": mapping[:3], "translation_offset": soup.StateVector(origin),
        "rotation_offset": soup.StateVector(soup.turned(axes)),
    }  # fmt: skip
    if len(columns) == 4:
        place["velocity_mapping"] = mapping[3:]
    if cosines:
        columns = [1, 2, *columns[2:]]
        vector, kind = z[columns].tolist(), soup.Face
    else:
        elevation, bearing = z[2], 0.5 * np.pi - z[1]
        if abs(elevation) > 0.5 * np.pi:  # noise beyond the zenith: the same direction as Stone Soup's angles can say it
            elevation, bearing = np.copysign(np.pi, elevation) - elevation, bearing + np.pi
        vector = [soup.Elevation(elevation), soup.Bearing(bearing), *z[columns[2:]].tolist()]
        kind = {"RAB": soup.Radar, "RABD": soup.CartesianToElevationBearingRangeRate, "AB": soup.Sight}[measured]
    noise = soup.CovarianceMatrix(np.diag(sigma[columns] ** 2))
    return soup.StateVector(vector), kind(noise_covar=noise, **place)


def _clutter(sensor: Any, scenario: Any, dimensions: int) -> float:
    density = sensors.clutter_density(sensor) * max(scenario.clutter, 0.1)
    return float(density / (2.0 * sensors.CLUTTER_RATE) if dimensions == 4 else density)


def from_stonesoup_detections(scans: Iterable[tuple[datetime, Iterable[Any]]], scenario: Any) -> Detections:
    """A table of what Stone Soup's detections measure, sorted by time, then sensor; labels −1, what has no ``snr`` has nan.

    Each must have a measurement model of a kind that `to_stonesoup_detections` makes (Stone Soup's own or `soup`'s), its noise
    without correlations (those are left out), and be of a sensor of the scenario, named by ``metadata["sensor"]``.
    """
    soup = _soup()
    number = {s.name: k for k, s in enumerate(scenario.sensors)}
    rows = []
    for _, plots in scans:
        for plot in plots:
            name = plot.metadata.get("sensor")
            if name not in number:
                raise CopfuseError(
                    f"a detection of {plot.timestamp} is of sensor {name!r}; metadata['sensor'] must name one of the scenario's"
                )
            at = seconds(scenario, plot.timestamp)
            exact = float(plot.metadata.get("time", at))
            z, sigma = _measured(soup, plot)
            rows.append((exact if abs(exact - at) <= SAME else at, number[name], *z, *sigma, float(plot.metadata.get("snr", np.nan))))
    table = np.array(sorted(rows, key=lambda r: (r[0], r[1], r[3], r[2])), float).reshape(-1, 11)
    return Detections(
        table[:, 0], table[:, 1].astype(int), table[:, 2:6], table[:, 6:10], table[:, 10], np.full(len(table), -1),
        {"sensors": list(number), "scenario": scenario.name},
    )  # fmt: skip


def _measured(soup: Any, plot: Any) -> tuple[np.ndarray, np.ndarray]:
    """Our four columns, and their standard deviations, of one of Stone Soup's plots."""
    model = plot.measurement_model
    value = np.array([float(v) for v in np.asarray(plot.state_vector)[:, 0]])
    noise = np.sqrt(np.diag(np.asarray(model.covar(), float)))
    z, sigma = np.full(4, np.nan), np.full(4, np.nan)
    if isinstance(model, soup.Face):
        columns = [1, 2, 0, 3][: len(value)]
    elif isinstance(
        model, soup.CartesianToElevationBearingRangeRate | soup.CartesianToElevationBearingRange | soup.CartesianToElevationBearing
    ):
        columns = [2, 1, 0, 3][: len(value)]
        value[1] = np.mod(0.5 * np.pi - value[1], 2.0 * np.pi)
    else:
        raise CopfuseError(f"a detection of {plot.timestamp} has the model {type(model).__name__}, of which there are no columns here")
    z[columns], sigma[columns] = value, noise
    return z, sigma


# Truth and tracks ----------------------------------------------------------------------------------------------------


def to_stonesoup_truth(truth: Truth, scenario: Any, at=None, mapping: tuple[int, ...] = MAPPING, ndim_state: int = 6) -> set[Any]:
    """A GroundTruthPath per object, its id the object's name, at times ``at (n,)`` s while it is aloft; None: at the rows of truth."""
    soup = _soup()
    grid = np.asarray([] if at is None else at, float)
    states = metrics.true_states(truth, grid)
    paths = set()
    for k, about in enumerate(truth.meta["objects"]):
        mine = truth.object == k
        time, x = (truth.time[mine], truth.x[mine]) if at is None else (grid, states[:, k])
        path = soup.GroundTruthPath(id=about["name"])
        for row in np.flatnonzero(np.isfinite(x[:, 0])).tolist():
            vector = np.zeros(ndim_state)
            vector[list(mapping)] = x[row]
            path.append(soup.GroundTruthState(soup.StateVector(vector), timestamp=moment(scenario, time[row])))
        paths.add(path)
    return paths


def to_stonesoup_tracks(table: Picture | Tracks, scenario: Any) -> set[Any]:
    """A Track of GaussianStates (as `MAPPING` has them) per node and track number, its id both ("HUB 3"): of a picture, of local tracks."""
    soup = _soup()
    states: dict[str, list[Any]] = {}
    order = np.argsort(MAPPING)
    for row in np.argsort(table.time, kind="stable").tolist():
        x, P = soup.StateVector(table.x[row][order]), soup.CovarianceMatrix(table.P[row][np.ix_(order, order)])
        state = soup.GaussianState(x, P, timestamp=moment(scenario, table.time[row]))
        states.setdefault(f"{NODES[table.node[row]]} {table.track[row]}", []).append(state)
    return {soup.Track(rows, id=name) for name, rows in states.items()}


def from_stonesoup_tracks(
    tracks: Any, scenario: Any, mapping: tuple[int, ...] = MAPPING, predictor: Any = None, lasts: float = np.inf, **about: Any
) -> Picture:
    """The hub's picture of Stone Soup's tracks at the scenario's picture times.

    ``tracks`` is one of its trackers, or any iterator of (when it is known, the tracks then), which is asked step by step: at each
    picture time the picture has the tracks of the last step until then.  Or it is a set or list of finished Tracks, each in the
    picture from its first state to its last; mark that those have states from before the tracker was sure of them, and so score
    better than it was.  The newest state is moved on to the picture time by ``predictor``, one of Stone Soup's, or in free fall
    without noise; none that is older than ``lasts`` s is shown.  ``about`` goes into ``meta``.
    Raises `CopfuseError` for states that are not Gaussian, or lie ahead of the time at which they are known.
    """
    grid = times(scenario)
    done = isinstance(tracks, set | frozenset | list | tuple)
    shown = _finished(tracks, scenario, grid) if done else _stepwise(tracks, scenario, grid)
    number: dict[Any, int] = {}
    rows: list[tuple[float, int, np.ndarray, np.ndarray]] = []
    for now, alive in shown:
        fresh = [one for one in alive if now - seconds(scenario, one[1].timestamp) <= lasts + SAME]
        for name, state in sorted(
            fresh, key=lambda one: (number.get(one[0], len(number)), np.asarray(one[1].state_vector, float).tolist())
        ):
            x, P = _moved(state, now, scenario, mapping, predictor)
            rows.append((now, number.setdefault(name, len(number)), x, P))
    time, track = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], int)
    x, P = np.array([r[2] for r in rows]).reshape(-1, 6), np.array([r[3] for r in rows]).reshape(-1, 6, 6)
    return picture_of(time, track, x, P, scenario, **about)


def run_stonesoup(
    tracker: Any, detections: Detections, scenario: Any, mapping: tuple[int, ...] = MAPPING, ndim_state: int = 6,
    predictor: Any = None, biases: bool = True, use: np.ndarray | None = None, lasts: float = LASTS, **about: Any,
) -> Picture:  # fmt: skip
    """What one of Stone Soup's trackers makes of plots as they come to the hub: an entrant's whole work.

    It only goes forward, so it gets the scans by `entering.scans_in_order`: none is lost, and late ones are waited for.  ``use (n,)`` says
    which plots it gets at all: give the whole table and this, because a table without the others would come otherwise.  The rest as
    in `to_stonesoup_detections` (here with ``biases``) and `from_stonesoup_tracks`.
    """
    wanted = np.ones(len(detections), bool) if use is None else np.asarray(use, bool)

    def steps() -> Scans:
        for now, batch in scans_in_order(detections, scenario):
            for rows in [scan.rows[wanted[scan.rows]] for scan in batch]:
                for at, plots in to_stonesoup_detections(detections[rows], scenario, mapping, ndim_state, biases):
                    tracker.update_tracker(at, plots)
            yield moment(scenario, now), tracker.tracks

    return from_stonesoup_tracks(steps(), scenario, mapping, predictor, lasts, **about)


def _stepwise(steps: Iterable[tuple[datetime, Any]], scenario: Any, grid: np.ndarray) -> Iterator[tuple[float, list[Any]]]:
    """At each picture time the newest state of each track of the last step until then: trackers change their tracks in place."""
    alive: list[tuple[Any, Any]] = []
    k, now = 0, -np.inf
    for at, tracks in steps:
        now = seconds(scenario, at)
        while k < len(grid) and grid[k] < now - SAME:
            yield float(grid[k]), alive
            k += 1
        alive = [(track.id, track[-1]) for track in tracks]
        ahead = [s.timestamp for _, s in alive if seconds(scenario, s.timestamp) > now + SAME]
        if ahead:
            raise CopfuseError(f"a track known at {at} has a state of {ahead[0]}, which is later; yield the time at which it was known")
    while k < len(grid) and grid[k] <= now + SAME:
        yield float(grid[k]), alive
        k += 1


def _finished(tracks: Iterable[Any], scenario: Any, grid: np.ndarray) -> Iterator[tuple[float, list[Any]]]:
    known = []
    for track in tracks:
        states = _soup().latest(track)
        known.append((track.id, np.array([seconds(scenario, s.timestamp) for s in states]), states))
    for now in grid.tolist():
        until = [(name, int(np.searchsorted(at, now + SAME, side="right")) - 1, at, states) for name, at, states in known]
        yield now, [(name, states[k]) for name, k, at, states in until if k >= 0 and now <= at[-1] + SAME]


def _moved(state: Any, now: float, scenario: Any, mapping: tuple[int, ...], predictor: Any) -> tuple[np.ndarray, np.ndarray]:
    """State (6,) and covariance (6, 6) of one of Stone Soup's at ``now`` s."""
    step = now - seconds(scenario, state.timestamp)
    if predictor is not None and step > SAME:
        state, step = predictor.predict(state, timestamp=moment(scenario, now)), 0.0
    try:
        x, P = np.asarray(state.mean, float)[list(mapping), 0], np.asarray(state.covar, float)[np.ix_(mapping, mapping)]
    except (AttributeError, IndexError) as error:
        raise CopfuseError(f"a state of {state.timestamp} has no mean and covariance at {mapping} ({error}); set mapping=") from None
    P = 0.5 * (P + P.T)
    for _ in range(int(np.ceil(step / FALL)) if step > SAME else 0):
        h = step / np.ceil(step / FALL)
        points, x = customary.stages(x, h)
        F = customary.transition(points, h)
        P = F @ P @ F.T
    return x, P


# Times, and Stone Soup's names ------------------------------------------------------------------------------------------------


def moment(scenario: Any, time: float) -> datetime:
    """UTC without a zone of a time s after the scenario's epoch, to the microsecond."""
    return _plain(scenario.epoch) + timedelta(seconds=float(time))


def seconds(scenario: Any, when: datetime) -> float:
    """Time s after the scenario's epoch of a UTC time with or without a zone."""
    return (_plain(when) - _plain(scenario.epoch)).total_seconds()


def _plain(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when


def _soup() -> Any:
    """The module that has Stone Soup's names and ours.  Raises `CopfuseError` where Stone Soup is not installed."""
    try:
        from copfuse import soup
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("stonesoup"):
            raise
        raise CopfuseError("Stone Soup is not installed; pip install 'copfuse[bench]' brings it") from None
    return soup
