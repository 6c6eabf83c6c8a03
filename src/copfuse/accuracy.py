"""How close tracks come to the bound, and whether covariances, ellipses and phases tell the truth: one seed at a time.

`measure` flies no truth and draws nothing: it takes one seed of a scenario through detect, track (every nation, and the
hub from all plots), share and fuse, and keeps per 5 s of flight the newest error of every source beside the
posterior Cramer-Rao bound of the plots that were made until then (`bounds.bound` with ``detections``).  That bound is
conditional on the plots' times and accuracies, which differ from seed to seed; root mean squares over seeds of error and of
bound are then what is compared.  `study` does this for many seeds, over processes, with the same answer for any number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from copfuse import bounds, coasting, flights, forecast, fusion, informing, measures, metrics, network, simulate, tracking
from copfuse.checking import check_jobs
from copfuse.constants import BOOST, MIDCOURSE, NODES, PHASES, TERMINAL
from copfuse.errors import CopfuseError
from copfuse.populations import population
from copfuse.scenario import Scenario, load
from copfuse.tables import Detections, Tracks, Truth

CELL = 5.0  # s: one error per source and object in each
SETTLING = 10.0  # s after a track is firm from which its errors count against the bound
FRESH = 10.0  # s after its newest plot for which an object counts as covered, and a track as held
STEP = 1.0  # s between looks at custody
EDGE = 5.0  # s of track before an event, and
ROWS = 5  # rows of track after it, the last of them within
LATEST = 60.0  # s, without which its recognition cannot be judged

SOURCES = (*NODES[:3], "HUB plots", *(f"{node} realtime" for node in NODES))  # tracks of own plots; of all plots; pictures
TRACKERS = range(len(NODES))  # the sources that are trackers
DELAYS = ("firm", "burnout", "reentry")  # first plot to firm track; burnout and descent through 100 km until recognised

SAMPLE = np.dtype([
    ("source", "i1"), ("object", "i4"), ("phase", "i1"), ("time", "f8"), ("settled", "?"),
    ("position", "f8"), ("velocity", "f8"), ("bound_position", "f8"), ("bound_velocity", "f8"), ("nees", "f8"),
    ("true_position", "f8"), ("true_velocity", "f8"),
    ("impact", "f8"), ("impact_size", "f8"), ("launch", "f8"), ("launch_size", "f8"),
])  # fmt: skip
DELAY = np.dtype([("source", "i1"), ("object", "i4"), ("kind", "i1"), ("value", "f8")])
CUSTODY = np.dtype([
    ("source", "i1"), ("object", "i4"), ("phase", "i1"), ("covered", "i4"), ("held", "i4"), ("double", "i4"), ("lost", "i4"),
])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Measured:
    """One seed.  Structured arrays:

    ``samples``: squared errors m^2, (m/s)^2 of position and velocity and the traces of the bound by the filters' model and by
    the true one (nan: no plan), NEES of 6; ``impact`` and ``launch``
    1 where the 95 % ellipse holds the truth, 0 where not, nan where there is none, and its semi-major axis in m;
    ``delays``: s, inf for never; ``custody``: seconds in which the source had a plot of the object in the last `FRESH` s, and of those
    with a firm track; seconds with plots of two sensors after the first firm track, and of those without a track;
    ``false``: firm tracks of nothing, in so many sensor-``days``.
    """

    seed: int
    samples: np.ndarray
    delays: np.ndarray
    custody: np.ndarray
    false: int
    days: float


Progress = Callable[[Iterator[Any], int], Any] | None


def study(scenario: Scenario, truth: Truth, seeds: int, jobs: int = -1, pictures: bool = True, drawn: bool = True,
          progress: Progress = None) -> list[Measured]:  # fmt: skip
    """Seeds 0 to ``seeds`` - 1 over ``jobs`` processes (-1: one per core), in order; the first runs here and compiles.

    With ``drawn`` each seed makes a flight of its own (`population`), else all fly the ``truth``.
    ``progress(iterator, total)`` may wrap the results as they come, as `tqdm.tqdm` does.
    """
    return _spread(_measure_seed, [(scenario, truth, seed, pictures, drawn) for seed in range(seeds)], jobs, progress)


def _measure_seed(scenario: Scenario, truth: Truth, seed: int, pictures: bool, drawn: bool) -> Measured:
    if drawn:
        scenario = population(scenario, truth, seed)
        truth = simulate.fly(scenario)
    return measure(scenario, truth, seed, pictures)


def study_record(every: int, bias: float, jobs: int = -1, progress: Progress = None) -> list[Measured]:
    """Likewise seed 0 of every n-th launch of the record that can be flown, under the packaged laydown, without pictures."""
    rows = [row for row in flights.launches() if flights.flyable(row)]
    able = [f.row.id for f in flights.fit_all(rows[::every]) if not f.reason]
    return _spread(_measure_launch, [(id_, bias, k) for k, id_ in enumerate(able)], jobs, progress)


def _measure_launch(id_: str, bias: float, number: int) -> Measured:
    """One launch; its object bears the ``number``, so that objects of several launches stay apart."""
    scenario = replace(load(id_), bias=bias)
    found = measure(scenario, simulate.fly(scenario), 0, False)
    for rows in (found.samples, found.delays, found.custody):
        rows["object"] = number
    return found


def _spread(work: Callable[..., Measured], tasks: list[tuple[Any, ...]], jobs: int, progress: Progress) -> list[Measured]:
    from joblib import Parallel, delayed, parallel_config

    check_jobs(jobs)

    def results() -> Iterator[Measured]:
        yield work(*tasks[0])
        with parallel_config("loky", inner_max_num_threads=1):
            yield from Parallel(n_jobs=jobs, return_as="generator", batch_size=1)(delayed(work)(*task) for task in tasks[1:])

    return list(progress(results(), len(tasks)) if progress else results())


def measure(scenario: Scenario, truth: Truth, seed: int, pictures: bool = True) -> Measured:
    """One seed of a scenario whose ``truth`` has been flown; ``pictures`` False leaves sharing and fusion out."""
    detections = simulate.detect(truth, scenario, seed=seed)
    local = tracking.track(detections, scenario)
    hub = tracking.track(detections, scenario, node="HUB")
    seen = [_Seen.of(node, local if node < 3 else hub, node, truth) for node in TRACKERS]
    if pictures:
        messages = network.share(local, scenario, "realtime", seed=seed, detections=detections)
        picture = fusion.fuse(local, messages, scenario, detections=detections)
        seen += [_Seen.of(4 + node, picture, node, truth) for node in TRACKERS]
    samples, delays, custody = [np.zeros(0, SAMPLE)], [np.zeros(0, DELAY)], [np.zeros(0, CUSTODY)]
    for k in missiles(truth):
        path = truth[truth.object == k]
        limits = [_limits(truth, scenario, node, k, detections) for node in reversed(NODES)][::-1]  # what the hub's needs serves nations
        for source in seen:
            node = min(source.source, NODES.index("HUB"))
            rows = np.flatnonzero(source.object == k)
            samples.append(_samples(source, rows, path, limits[node], truth.meta["objects"][k]))
            own = metrics.own_sensors(detections.meta["sensors"], scenario, node)
            plots = detections[own[detections.sensor] & (detections.object == k)]
            custody.append(_custody(source, rows, path, plots))
            if source.source in TRACKERS:
                delays.append(_delays(source, rows, path, plots))
    days = len(detections.meta["schedule"]) * float(truth.time.max(initial=0.0)) / 86400.0
    return Measured(seed, np.concatenate(samples), np.concatenate(delays), np.concatenate(custody), false_tracks(local, detections), days)


def false_tracks(tracks: Tracks, detections: Detections) -> int:
    """How many firm tracks are made mostly of plots of nothing."""
    _, number = np.unique(np.stack([tracks.node, tracks.track]), axis=1, return_inverse=True)
    number = number.ravel()
    nothing = np.bincount(number, weights=detections.object[tracks.detection] < 0) > 0.5 * np.bincount(number)
    return int((nothing & (np.bincount(number, weights=tracks.firm) > 0)).sum())


def _limits(truth: Truth, scenario: Scenario, node: str, object: int, detections: Detections) -> tuple[bounds.Bound, bounds.Bound | None]:
    """The bound by the filters' model, as far as any track can remember, and by the true one where there is a plan to know."""
    try:
        best = bounds.bound(truth, scenario, node, object=object, detections=detections, model="true")
    except CopfuseError:  # a recorded flight follows no plan
        return bounds.bound(truth, scenario, node, object=object, detections=detections), None
    end = silence(best, truth, scenario, node, object, detections)
    usual = bounds.bound(truth, scenario, node, object=object, detections=detections[detections.time < end])
    if end == np.inf:
        return usual, best
    later, _ = _limits(truth, scenario, node, object, detections[detections.time >= end])
    kept = usual.time < end
    return bounds.Bound(np.r_[usual.time[kept], later.time], np.concatenate([usual.P[kept], later.P]), usual.label), best


def silence(best: bounds.Bound, truth: Truth, scenario: Scenario, node: str, object: int, detections: Detections) -> float:
    """The end, s, of a node's first silence over which even ``best``, the bound by the true equations, loses the object; inf: none.

    Known at the begin, and `coasting.HOLD` later or more not to `metrics.GATE_MOST`: nobody can tell that the next plot is the same
    object's, so tracks begin anew.  A linear bound would go on to use what thousands of km leave in its correlations, by which that
    plot tells the velocity to a m/s.
    """
    own = metrics.own_sensors(detections.meta["sensors"], scenario, NODES.index(node))
    time = np.unique(detections.time[own[detections.sensor] & (detections.object == object)])
    begin, end = (np.searchsorted(best.time, t) for t in (time[:-1], time[1:]))
    lost = (np.diff(time) > coasting.HOLD) & (best.position[begin] < metrics.GATE_MOST) & (best.position[end - 1] > metrics.GATE_MOST)
    return float(time[1:][lost].min(initial=np.inf))


class _Seen(NamedTuple):
    """What one source made: its rows (firm Tracks or a Picture), what they are in truth, and since when their track was firm."""

    source: int
    table: Any
    object: np.ndarray  # (n,)
    error: np.ndarray  # (n, 6)
    firm: np.ndarray  # (n,) s

    @staticmethod
    def of(source: int, table: Any, node: int, truth: Truth) -> _Seen:
        """The rows of one node, matched as a picture is, and the last row only of a track at one time."""
        rows = table[table.node == node]
        if source in TRACKERS:
            rows = rows[rows.firm]
            rows = rows[_last_of(rows.track, rows.time)]
        found = metrics.match(rows, truth)
        _, first, back = np.unique(rows.track, return_index=True, return_inverse=True)
        return _Seen(source, rows, found.object, found.error, rows.time[first][back] if len(rows) else np.zeros(0))


def _last_of(*columns: np.ndarray) -> np.ndarray:
    """Row numbers of the last row of each combination of the columns' values, in order."""
    if len(columns[0]) == 0:
        return np.zeros(0, int)
    keys = np.stack([np.asarray(c, float)[::-1] for c in columns])
    _, first = np.unique(keys, axis=1, return_index=True)
    return np.sort(len(columns[0]) - 1 - first)


def missiles(truth: Truth) -> list[int]:
    """Numbers of a truth's missiles that fly."""
    return [k for k, about in enumerate(truth.meta["objects"]) if about["kind"] == "missile" and (truth.object == k).any()]


def _samples(seen: _Seen, rows: np.ndarray, path: Truth, limits: tuple[Any, Any], about: dict[str, Any]) -> np.ndarray:
    """One line per cell: the newest row of ``rows`` in it, beside the bound at the same time."""
    rows = rows[_last_of(np.floor(seen.table.time[rows] / CELL))]
    table, error = seen.table[rows], seen.error[rows]
    out = np.zeros(len(rows), SAMPLE)
    out["source"], out["object"], out["phase"] = seen.source, path.object[0], informing.phase_at(path, table.time)
    out["time"], out["settled"] = table.time, table.time >= seen.firm[rows] + SETTLING
    out["position"], out["velocity"] = (error[:, :3] ** 2).sum(axis=1), (error[:, 3:] ** 2).sum(axis=1)
    out["nees"] = measures.nees(error, table.P)
    for name, limit in zip(("bound", "true"), limits, strict=True):
        out[f"{name}_position"], out[f"{name}_velocity"] = _traces(limit, table.time)
    for name in ("impact", "impact_size", "launch", "launch_size"):
        out[name] = np.nan
    if len(rows) and about.get("landed", True):
        out["impact"], out["impact_size"] = _ellipses(*_impact(seen, table), path.x[-1, :3])
    if len(rows) and seen.source not in TRACKERS:
        out["launch"], out["launch_size"] = _ellipses(table.launch_point, table.launch_point_P, path.x[0, :3])
    return out


def _traces(limit: bounds.Bound | None, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Traces (n,) of a bound's position and velocity at times (n,), plots of those times included; nan before it begins."""
    if limit is None or len(limit.time) == 0:
        return np.full(len(time), np.nan), np.full(len(time), np.nan)
    at = np.searchsorted(limit.time, time + 1e-9, side="right") - 1
    P = np.where(at[:, None, None] >= 0, limit.P[np.clip(at, 0, None)], np.nan)
    return np.trace(P[:, :3, :3], axis1=1, axis2=2), np.trace(P[:, 3:, 3:], axis1=1, axis2=2)


def _impact(seen: _Seen, table: Any) -> tuple[np.ndarray, np.ndarray]:
    if seen.source not in TRACKERS:
        return table.impact_point, table.impact_point_P
    return forecast.impact_point(table.x, table.P, table.log_beta, table.acceleration, table.phase_probability)[:2]


def _ellipses(point: np.ndarray, P: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether 95 % ellipses hold a place (1, 0 or nan: no ellipse), and their semi-major axes m."""
    size = measures.error_ellipse(point, P)[0]
    held = np.full(len(size), np.nan)
    told = np.isfinite(size)
    held[told] = measures.within_ellipse(point[told], P[told], truth)
    return held, size


def _delays(seen: _Seen, rows: np.ndarray, path: Truth, plots: Detections) -> np.ndarray:
    """From first plot to firm track, and from burnout and re-entry until the tracker thinks so: s, inf for never."""
    if len(rows) == 0:
        return np.zeros(0, DELAY)
    table, found = seen.table[rows], []
    if len(plots):
        found.append((0, float(table.time[0] - plots.time[0])))
    for kind, phase, then in ((1, BOOST, False), (2, TERMINAL, True)):
        event = event_time(path, phase)
        late = table[table.time >= event]
        if len(late) < ROWS or late.time[ROWS - 1] - event > LATEST or (table.time < event - EDGE).sum() < ROWS:
            continue
        known = np.flatnonzero((late.phase_probability[:, phase] > 0.5) == then)
        found.append((kind, float(late.time[known[0]] - event) if len(known) else np.inf))
    return np.array([(seen.source, path.object[0], kind, value) for kind, value in found], DELAY)


def event_time(path: Truth, phase: int) -> float:
    """When the last burn ends (BOOST), or an object that was above falls through 100 km (TERMINAL); inf for never."""
    rows = path.time[path.phase == phase]
    if len(rows) == 0 or (phase == TERMINAL and not (path.phase == MIDCOURSE).any()):
        return float("inf")
    return float(rows[-1] if phase == BOOST else rows[0])


def _custody(seen: _Seen, rows: np.ndarray, path: Truth, plots: Detections) -> np.ndarray:
    """Seconds covered and held, by the true phase, and seconds with two sensors on it after the first firm track."""
    time = np.arange(np.ceil(path.time[0] / STEP) * STEP, path.time[-1], STEP)
    many = sum((_lately(plots.time[plots.sensor == k], time) for k in np.unique(plots.sensor)), np.zeros(len(time), int))
    held = _lately(seen.table.time[rows], time)
    begun = time >= (seen.table.time[rows[0]] if len(rows) else np.inf)
    double = (many >= 2) & begun
    out = np.zeros(len(PHASES), CUSTODY)
    out["source"], out["object"], out["phase"] = seen.source, path.object[0], np.arange(len(PHASES))
    for name, flag in (("covered", many > 0), ("held", (many > 0) & held), ("double", double), ("lost", double & ~held)):
        out[name] = np.bincount(informing.phase_at(path, time)[flag], minlength=len(PHASES))
    return out[out["covered"] > 0]


def _lately(events: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Whether there was an event within `FRESH` s up to each time."""
    at = np.searchsorted(events, time, side="right") - 1
    return (at >= 0) & (time - events[np.clip(at, 0, None)] <= FRESH) if len(events) else np.zeros(len(time), bool)
