"""How close tracks come to the bound, and whether covariances, ellipses and phases tell the truth: one seed at a time.

`measure` flies no truth and draws nothing: it takes one seed of a scenario through detect, track (every nation, and the
hub from all plots), share and fuse, and keeps per 5 s of flight the newest error of every source beside the
posterior Cramer-Rao bound of the plots that were made until then (`bounds.bound` with ``detections``).  That bound is
conditional on the plots' times and accuracies, which differ from seed to seed; root mean squares over seeds of error and of
bound are then what is compared.  `study` does this for many seeds, over processes, with the same answer for any number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from copfuse import bounds, forecast, fusion, measures, metrics, network, simulate, tracking
from copfuse.constants import BOOST, MIDCOURSE, NODES, PHASES, TERMINAL
from copfuse.scenario import Scenario
from copfuse.tables import Detections, Truth

CELL = 5.0  # s: one error per source and object in each
SETTLING = 10.0  # s after a track is firm from which its errors count against the bound
FRESH = 10.0  # s after its newest plot for which an object counts as covered, and a track as held
STEP = 1.0  # s between looks at custody
EDGE = 5.0  # s of track before an event, and
ROWS = 5  # rows of track after it, without which its recognition cannot be judged

SOURCES = (*NODES[:3], "HUB plots", *(f"{node} realtime" for node in NODES))  # tracks of own plots; of all plots; pictures
TRACKERS = range(len(NODES))  # the sources that are trackers
DELAYS = ("firm", "burnout", "reentry")  # first plot to firm track; burnout and descent through 100 km until recognised

SAMPLE = np.dtype([
    ("source", "i1"), ("object", "i4"), ("phase", "i1"), ("time", "f8"), ("settled", "?"),
    ("position", "f8"), ("velocity", "f8"), ("bound_position", "f8"), ("bound_velocity", "f8"), ("nees", "f8"),
    ("impact", "f8"), ("impact_size", "f8"), ("launch", "f8"), ("launch_size", "f8"),
])  # fmt: skip
DELAY = np.dtype([("source", "i1"), ("object", "i4"), ("kind", "i1"), ("value", "f8")])
CUSTODY = np.dtype([
    ("source", "i1"), ("object", "i4"), ("phase", "i1"), ("covered", "i4"), ("held", "i4"), ("double", "i4"), ("lost", "i4"),
])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Measured:
    """One seed.  Structured arrays:

    ``samples``: squared errors m^2, (m/s)^2 of position and velocity and the traces of the bound, NEES of 6; ``impact`` and ``launch``
    1 where the 95 % ellipse holds the truth, 0 where not, nan where there is none, and its semi-major axis in m;
    ``delays``: s, inf for never; ``custody``: seconds in which the source had a plot of the object in the last `FRESH` s, and of those
    with a firm track; seconds with plots of two sensors after the first firm track, and of those without a track.
    """

    seed: int
    samples: np.ndarray
    delays: np.ndarray
    custody: np.ndarray


def study(
    scenario: Scenario, truth: Truth, seeds: int, jobs: int = -1, pictures: bool = True,
    progress: Callable[[Iterator[Any], int], Any] | None = None,
) -> list[Measured]:  # fmt: skip
    """Seeds 0 to ``seeds`` - 1 over ``jobs`` processes (-1: one per core), in order; the first runs here and compiles.

    ``progress(iterator, total)`` may wrap the results as they come, as `tqdm.tqdm` does.
    """
    from joblib import Parallel, delayed, parallel_config

    def results() -> Iterator[Measured]:
        yield measure(scenario, truth, 0, pictures)
        with parallel_config("loky", inner_max_num_threads=1):
            work = (delayed(measure)(scenario, truth, seed, pictures) for seed in range(1, seeds))
            yield from Parallel(n_jobs=jobs, return_as="generator", batch_size=1)(work)

    return list(progress(results(), seeds) if progress else results())


def measure(scenario: Scenario, truth: Truth, seed: int, pictures: bool = True) -> Measured:
    """One seed of a scenario whose ``truth`` has been flown; ``pictures`` False leaves sharing and fusion out."""
    detections = simulate.detect(truth, scenario, seed=seed)
    local = tracking.track(detections, scenario)
    seen = [_Seen.of(node, local, node, truth) for node in range(3)]
    seen.append(_Seen.of(3, tracking.track(detections, scenario, node="HUB"), 3, truth))
    if pictures:
        messages = network.share(local, scenario, "realtime", seed=seed, detections=detections)
        picture = fusion.fuse(local, messages, scenario, detections=detections)
        seen += [_Seen.of(4 + node, picture, node, truth) for node in TRACKERS]
    samples, delays, custody = [np.zeros(0, SAMPLE)], [np.zeros(0, DELAY)], [np.zeros(0, CUSTODY)]
    for k in _missiles(truth):
        path = truth[truth.object == k]
        limits = [bounds.bound(truth, scenario, node, object=k, detections=detections) for node in NODES]
        for source in seen:
            node = min(source.source, NODES.index("HUB"))
            rows = np.flatnonzero(source.object == k)
            samples.append(_samples(source, rows, path, limits[node], truth.meta["objects"][k]))
            own = metrics.own_sensors(detections.meta["sensors"], scenario, node)
            plots = detections[own[detections.sensor] & (detections.object == k)]
            custody.append(_custody(source, rows, path, plots))
            if source.source in TRACKERS:
                delays.append(_delays(source, rows, path, plots))
    return Measured(seed, np.concatenate(samples), np.concatenate(delays), np.concatenate(custody))


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


def _missiles(truth: Truth) -> list[int]:
    return [k for k, about in enumerate(truth.meta["objects"]) if about["kind"] == "missile" and (truth.object == k).any()]


def _phase(path: Truth, time: np.ndarray) -> np.ndarray:
    return path.phase[np.clip(np.searchsorted(path.time, time, side="right") - 1, 0, len(path) - 1)]


def _samples(seen: _Seen, rows: np.ndarray, path: Truth, limit: bounds.Bound, about: dict[str, Any]) -> np.ndarray:
    """One line per cell: the newest row of ``rows`` in it, beside the bound at the same time."""
    rows = rows[_last_of(np.floor(seen.table.time[rows] / CELL))]
    table, error = seen.table[rows], seen.error[rows]
    out = np.zeros(len(rows), SAMPLE)
    out["source"], out["object"], out["phase"] = seen.source, path.object[0], _phase(path, table.time)
    out["time"], out["settled"] = table.time, table.time >= seen.firm[rows] + SETTLING
    out["position"], out["velocity"] = (error[:, :3] ** 2).sum(axis=1), (error[:, 3:] ** 2).sum(axis=1)
    out["nees"] = measures.nees(error, table.P)
    at = np.searchsorted(limit.time, table.time + 1e-9, side="right") - 1
    least = limit.P[np.clip(at, 0, None)] if len(limit.time) else np.full((len(rows), 6, 6), np.nan)
    known = (at >= 0) & (len(limit.time) > 0)
    out["bound_position"] = np.where(known, np.trace(least[:, :3, :3], axis1=1, axis2=2), np.nan)
    out["bound_velocity"] = np.where(known, np.trace(least[:, 3:, 3:], axis1=1, axis2=2), np.nan)
    for name in ("impact", "impact_size", "launch", "launch_size"):
        out[name] = np.nan
    if len(rows) and about.get("landed", True):
        out["impact"], out["impact_size"] = _ellipses(*_impact(seen, table), path.x[-1, :3])
    if len(rows) and seen.source not in TRACKERS:
        out["launch"], out["launch_size"] = _ellipses(table.launch_point, table.launch_point_P, path.x[0, :3])
    return out


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
        if len(late) < ROWS or (table.time < event - EDGE).sum() < ROWS:
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
        out[name] = np.bincount(_phase(path, time)[flag], minlength=len(PHASES))
    return out[out["covered"] > 0]


def _lately(events: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Whether there was an event within `FRESH` s up to each time."""
    at = np.searchsorted(events, time, side="right") - 1
    return (at >= 0) & (time - events[np.clip(at, 0, None)] <= FRESH) if len(events) else np.zeros(len(time), bool)
