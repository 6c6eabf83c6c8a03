"""What one seed says of a tracker's honesty: errors over claimed covariances, innovations over predicted mixtures, points over ellipses.

**Errors** (`ERROR`): per source, missile and 5 s of flight the newest row of a track that has been firm for 10 s, matched to the truth as a
picture is scored; the hub's picture is that of the regime "realtime".

**Innovations** (`PLOT`): every plot of a missile that a firm track at the hub took, all sensors' plots together.  The tracker predicts a
mixture of Gaussians, one per model; a plot's components, one after the other, become normal scores by the mixture's conditional
distribution functions (Rosenblatt, Annals of Mathematical Statistics 23(3), 1952), so that under a right mixture they are independent and
standard normal, and the sum of their squares, the NIS here, is chi-square to the letter, which that of a mixture's moments is not.  Truth
only says afterwards which plots were a missile's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import log_ndtr, logsumexp, ndtri_exp

from copfuse import accuracy, filters, flights, forecast, frames, fusion, measures, metrics, network, simulate, tracking
from copfuse.accuracy import CELL, SETTLING, TRACKERS
from copfuse.coasting import Live, coasted
from copfuse.constants import NODES
from copfuse.filters import Bank
from copfuse.kernels import estimation, sights
from copfuse.kernels.motions import DIMENSION, N_MODEL
from copfuse.phases import relight
from copfuse.scanning import Scan, scans
from copfuse.scenario import Scenario, load
from copfuse.tables import Detections, Truth

KINDS = ("radar", "infrared", "imaging", "processing")  # of sensors
COMPONENTS = ("range", "azimuth or u", "elevation or v", "range rate")
HUB = NODES.index("HUB")
USUAL = ("HUB plots", "HUB realtime")  # sources
RECORD = "record"  # in place of a scenario: launches of the record, one seed each

ERROR = np.dtype([
    ("seed", "i4"), ("source", "i1"), ("object", "i4"), ("phase", "i1"), ("time", "f8"),
    ("nees", "f8"), ("position", "f8"), ("velocity", "f8"),  # squared, of 6, 3 and 3 components
    ("impact", "f8"), ("impact_along", "f8"), ("impact_across", "f8"),  # squared of 2, and normal scores down range and to the right
    ("launch", "f8"), ("launch_along", "f8"), ("launch_across", "f8"),
])  # fmt: skip
PLOT = np.dtype([
    ("seed", "i4"), ("kind", "i1"), ("sensor", "i2"), ("track", "i4"), ("object", "i4"), ("phase", "i1"), ("time", "f8"),
    ("q", "f8", 4), ("nis", "f8"), ("components", "i1"),
])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Seed:
    """What one seed gave: ``errors`` and ``plots`` as `ERROR` and `PLOT`; ``offered`` plots of missiles since their firm track."""

    errors: np.ndarray
    plots: np.ndarray
    offered: int


def tasks(name: str, seeds: int, first: int, bias: bool) -> list[tuple[Scenario, int]]:
    """Scenario and seed of every flight: seeds of one scenario, or of "record" so many launches, evenly spaced, that can be flown."""
    numbers = range(first, first + seeds)
    if name != RECORD:
        scenario = load(name)
        return [(scenario if bias else replace(scenario, bias=0.0), seed) for seed in numbers]
    rows = [row for row in flights.launches() if flights.flyable(row)]
    able = [f.row.id for f in flights.fit_all(rows[:: max(len(rows) // (first + seeds), 1)]) if not f.reason]
    return [(replace(load(id_), bias=1.0 if bias else 0.0), seed) for seed, id_ in enumerate(able) if seed in numbers]


def one(scenario: Scenario, seed: int, sources: tuple[int, ...]) -> Seed:
    """One seed, with ballistic coefficients drawn from what the filters believe; ``sources``: places in `accuracy.SOURCES`."""
    scenario = accuracy.population(scenario, simulate.fly(scenario), seed)
    truth = simulate.fly(scenario)
    detections = simulate.detect(truth, scenario, seed=seed)
    tables: dict[str, Any] = {}
    if any(s < HUB or s not in TRACKERS for s in sources):
        tables["local"] = tracking.track(detections, scenario)
    if HUB in sources:
        tables["hub"] = tracking.track(detections, scenario, node="HUB")
    if any(s not in TRACKERS for s in sources):
        messages = network.share(tables["local"], scenario, "realtime", seed=seed, detections=detections)
        tables["picture"] = fusion.fuse(tables["local"], messages, scenario, detections=detections)
    found = [np.zeros(0, ERROR)]
    for source in sources:
        kind = "picture" if source not in TRACKERS else "hub" if source == HUB else "local"
        found.append(errors(tables[kind], truth, source))
    plots, offered = innovations(detections, scenario, truth)
    made = np.concatenate(found)
    made["seed"], plots["seed"] = seed, seed
    return Seed(made, plots, offered)


# Errors --------------------------------------------------------------------------------------------------------------


def errors(table: Any, truth: Truth, source: int) -> np.ndarray:
    """Rows of `ERROR` of one source's Tracks or Picture, against missiles."""
    rows = table[table.node == source % len(NODES)]
    if source in TRACKERS:
        rows = rows[rows.firm]
    if len(rows) == 0:
        return np.zeros(0, ERROR)
    rows = rows[_newest(rows.track, rows.time)]
    found = metrics.match(rows, truth)
    _, first, back = np.unique(rows.track, return_index=True, return_inverse=True)
    settled = rows.time >= rows.time[first][back] + SETTLING
    made = [np.zeros(0, ERROR)]
    for k, path in _missiles(truth):
        mine = np.flatnonzero((found.object == k) & settled)
        mine = mine[_newest(np.floor(rows.time[mine] / CELL))]
        made.append(_against(rows[mine], found.error[mine], path, source, bool(truth.meta["objects"][k].get("landed", True))))
        made[-1]["object"] = k
    return np.concatenate(made)


def _against(table: Any, error: np.ndarray, path: Truth, source: int, landed: bool) -> np.ndarray:
    out = np.zeros(len(table), ERROR)
    out["source"], out["time"], out["phase"] = source, table.time, _phase(path, table.time)
    for name, part in (("nees", slice(0, 6)), ("position", slice(0, 3)), ("velocity", slice(3, 6))):
        out[name] = measures.nees(error[:, part], table.P[:, part, part])
    for name in ("impact", "launch"):
        for column in (name, f"{name}_along", f"{name}_across"):
            out[column] = np.nan
    if len(table) == 0:
        return out
    first, last = path.x[0, :3], path.x[-1, :3]
    if source in TRACKERS:
        impact = forecast.impact_point(table.x, table.P, table.log_beta, table.acceleration, table.phase_probability)[:2]
        told = [("impact", *impact, last)] if landed else []
    else:
        told = [("launch", table.launch_point, table.launch_point_P, first)]
        told += [("impact", table.impact_point, table.impact_point_P, last)] if landed else []
    for name, point, P, true in told:
        along, across = on_the_ground(point, P, true, last - first)
        out[name], out[f"{name}_along"], out[f"{name}_across"] = along**2 + across**2, along, across
    return out


def on_the_ground(point, P, truth, course) -> tuple[np.ndarray, np.ndarray]:
    """Errors of ``point (n, 3)``, ``P (n, 3, 3)`` over their standard deviations along the two axes of each error ellipse, (n,) both.

    First the axis that is nearer to ``course (3,)``, positive where the point lies too far along it, then the other, positive to
    the right; nan where there is no ellipse.
    """
    along, across = np.full((2, len(point)), np.nan)
    ok = np.isfinite(point).all(axis=1) & np.isfinite(P).all(axis=(1, 2))
    if not ok.any():
        return along, across
    lat, lon, _ = frames.geodetic(point[ok])
    level = frames.enu_axes(lat, lon)[:, :2]
    off, way = np.einsum("nai,ni->na", level, point[ok] - truth), level @ course
    value, vector = np.linalg.eigh(level @ P[ok] @ level.swapaxes(1, 2))
    lean = np.einsum("nai,na->ni", vector, way)
    first = np.abs(lean).argmax(axis=1)
    n = np.arange(len(first))
    ahead = vector[n, :, first] * np.where(lean[n, first] < 0.0, -1.0, 1.0)[:, None]
    right = np.stack([ahead[:, 1], -ahead[:, 0]], axis=1)
    along[ok] = np.einsum("na,na->n", ahead, off) / np.sqrt(value[n, first])
    across[ok] = np.einsum("na,na->n", right, off) / np.sqrt(value[n, 1 - first])
    return along, across


def _newest(*columns: np.ndarray) -> np.ndarray:
    """Row numbers of the last row of each combination of the columns' values, in order."""
    if len(columns[0]) == 0:
        return np.zeros(0, int)
    _, first = np.unique(np.stack([np.asarray(c, float)[::-1] for c in columns]), axis=1, return_index=True)
    return np.sort(len(columns[0]) - 1 - first)


def _missiles(truth: Truth) -> list[tuple[int, Truth]]:
    kinds = [about["kind"] for about in truth.meta["objects"]]
    return [(k, truth[truth.object == k]) for k, kind in enumerate(kinds) if kind == "missile" and (truth.object == k).any()]


def _phase(path: Truth, time: np.ndarray) -> np.ndarray:
    return path.phase[np.clip(np.searchsorted(path.time, time, side="right") - 1, 0, len(path) - 1)]


# Innovations ---------------------------------------------------------------------------------------------------------


def innovations(detections: Detections, scenario: Scenario, truth: Truth) -> tuple[np.ndarray, int]:
    """Rows of `PLOT` in order of time: plots of missiles that firm tracks took; and how many there were since an object's first."""
    live, found = Live.empty(), []
    for scan in scans(detections, scenario, "HUB"):
        before, _ = coasted(live, scan.time, scan.bias)
        live, new = tracking.step(live, scan)
        if new is not None:
            found += _taken(scan, new, detections, before[before.firm])
    made = np.array(found, PLOT)
    offered = 0
    for k, path in _missiles(truth):
        mine = made["object"] == k
        made["phase"][mine] = _phase(path, made["time"][mine])
        if mine.any():
            offered += int(((detections.object == k) & (detections.time >= made["time"][mine].min())).sum())
    kinds = [KINDS.index(sensor.kind) for sensor in scenario.sensors]
    made["kind"] = np.array(kinds)[made["sensor"]]
    missile = np.isin(made["object"], [k for k, _ in _missiles(truth)])
    return made[missile], offered


def _taken(scan: Scan, new: dict[str, Any], detections: Detections, firm: Live) -> list[tuple[Any, ...]]:
    """Of the tracks that were ``firm`` before a scan and have a plot of it."""
    out = []
    prior = filters.predict(firm.bank, scan.time, relight(firm.bank.time - firm.lit, firm.above))
    for i in np.flatnonzero(np.isin(new["track"], firm.number)):
        row, track = int(new["detection"][i]), int(np.flatnonzero(firm.number == new["track"][i])[0])
        k = int(np.flatnonzero(scan.rows == row)[0])
        q = scores(prior, track, scan.z[k], scan.sigma[k], scan.origin, scan.axes, scan.cosines)
        there = int(np.isfinite(q).sum())
        out.append((0, 0, scan.sensor, new["track"][i], detections.object[row], 0, scan.time, q, np.nansum(q**2), there))
    return out


def scores(bank: Bank, row: int, z, sigma, origin, axes, cosines: int = 0) -> np.ndarray:
    """Normal scores (4,) of a plot ``z (4,), sigma (4,)`` under the mixture that row of a predicted bank expects; nan where it has none."""
    have = np.flatnonzero(np.isfinite(z) & np.isfinite(sigma))
    e, log_scale, weight = [], [], []
    for j in range(N_MODEL):
        if bank.mu[row, j] > estimation.ASLEEP:
            mean, Z = _expected(int(DIMENSION[j]), bank.x[row, j], bank.P[row, j], origin, axes, cosines)
            nu = z - mean
            nu[1:3] = np.mod(nu[1:3] + math.pi, 2.0 * math.pi) - math.pi
            root = np.linalg.cholesky(Z[np.ix_(have, have)] + np.diag(sigma[have] ** 2))
            e.append(np.linalg.solve(root, nu[have]))
            log_scale.append(np.log(np.diag(root)))
            weight.append(math.log(bank.mu[row, j]))
    q = np.full(4, np.nan)
    q[have] = rosenblatt(np.array(weight), np.array(e), np.array(log_scale))
    return q


def rosenblatt(log_weight, e, log_scale) -> np.ndarray:
    """Normal scores (m,) under a mixture of k Gaussians of m components with logarithms of weights (k,).

    ``e (k, m)``: each one's deviation in terms of its covariance's Cholesky factor, whose diagonal has the logarithms ``log_scale (k, m)``;
    so column c of e is the deviation, in standard deviations, given the columns before.
    """
    q, weight = np.empty(e.shape[1]), np.array(log_weight, float)
    for c in range(e.shape[1]):
        weight = weight - logsumexp(weight)
        below, above = logsumexp(weight + log_ndtr(e[:, c])), logsumexp(weight + log_ndtr(-e[:, c]))
        q[c] = ndtri_exp(below) if below < above else -ndtri_exp(above)
        weight = weight - 0.5 * e[:, c] ** 2 - log_scale[:, c]
    return q


def _expected(n: int, x, P, origin, axes, cosines: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (4,) and covariance (4, 4) without noise of what a model expects, by the tracker's own regression."""
    seen = np.zeros((sights.ROWS, 9))
    sights.regress(n, x, P, origin, axes, cosines, seen, np.zeros(sights.WORK))
    return seen[sights.MEAN, :4], seen[sights.SPREAD :][:4, :4]


def labels(samples: np.ndarray) -> np.ndarray:
    """Numbers of the series (one seed's track as one sensor sees it) of rows of `PLOT`."""
    keys = np.stack([samples[name].astype(np.int64) for name in ("seed", "track", "object", "sensor")])
    return np.unique(keys, axis=1, return_inverse=True)[1].ravel()
