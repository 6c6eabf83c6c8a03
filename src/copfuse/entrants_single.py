"""Entrants with one model of motion: what a bank of several is worth, everything else being as in this package's own tracker.

Starts, gates, assignment, confirmation, patience and what is reckoned for sensor biases are `tracking`'s, the filters those of
`entrants_filters`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from copfuse import association, covariances, entering, gaussian, starting, tracking
from copfuse.coasting import FORESEEN_BURNING, HOLD, HOLD_SCANS, HOLD_TENTATIVE
from copfuse.entrants_filters import CUBATURE, EXTENDED, FILTERPY, Expected, Filter, angles, transition
from copfuse.gaussian import transpose
from copfuse.pairing import DETECTED, SAME_OBJECT
from copfuse.phases import push
from copfuse.scanning import Scan
from copfuse.tables import Detections, Picture

LOOKING = 6.0  # standard deviations, of each component, beyond which a pair is not judged
SHOVED = 3.0  # standard deviations at which a push along the path counts as one, and no fall is forecast


@dataclass(frozen=True)
class Live:
    """Tracks as rows, each at the time of its last plot, as in `coasting.Live`."""

    x: np.ndarray
    P: np.ndarray
    time: np.ndarray
    number: np.ndarray
    hits: np.ndarray
    llr: np.ndarray
    firm: np.ndarray
    revisit: np.ndarray
    last: np.ndarray  # which update of all is its last, see `Log`

    def __getitem__(self, rows: np.ndarray) -> Live:
        return Live(*(getattr(self, name)[rows] for name in Live.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.time)


def nobody() -> Live:
    """No track yet."""
    none = np.zeros(0)
    return Live(
        np.zeros((0, 9)), np.zeros((0, 9, 9)), none, none.astype(int), none.astype(int), none, none.astype(bool), none, none.astype(int)
    )


def patience(live: Live) -> np.ndarray:
    """How many s (n,) a track lasts without a plot."""
    firm, young = np.maximum(HOLD, HOLD_SCANS * live.revisit), np.maximum(HOLD_TENTATIVE, 2.5 * live.revisit)
    return np.where(live.firm, firm, young)


@dataclass
class Log:
    """All updates so far, and the number of the next track; what `covariances.bias_covariance` asks for."""

    time: list[float] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    detection: list[int] = field(default_factory=list)
    x: list[np.ndarray] = field(default_factory=list)
    P: list[np.ndarray] = field(default_factory=list)
    prior: list[np.ndarray] = field(default_factory=list)
    tracks: int = 0

    def note(
        self, time: float, number: np.ndarray, detection: np.ndarray, x: np.ndarray, P: np.ndarray, prior: np.ndarray
    ) -> np.ndarray:  # fmt: skip
        """Which numbers these updates have, each of x (6) and P (6, 6), before it ``prior``."""
        first = len(self.time)
        self.time += [time] * len(number)
        self.number += number.tolist()
        self.detection += detection.tolist()
        self.x += list(x)
        self.P += list(P)
        self.prior += list(prior)
        return first + np.arange(len(number))

    def biases(self, detections: Detections, scenario: Any) -> np.ndarray:
        """What the sensors' unknown biases add to the covariance (updates, 6, 6) of position and velocity at each update."""
        if not self.time or not scenario.bias > 0:
            return np.zeros((len(self.time), 6, 6))
        columns = {
            "time": np.array(self.time), "detection": np.array(self.detection), "x": np.array(self.x),
            "noisy": np.array(self.P), "noisy_prior": np.array(self.prior),
        }  # fmt: skip
        return covariances.bias_covariance(columns, np.array(self.number), detections, scenario)


def step(live: Live, scan: Scan, by: Filter, log: Log) -> Live:
    """One scan: drop what is stale, associate, update, start."""
    live = live[scan.time - live.time <= patience(live)]
    x, P = by.predict(live.x, live.P, scan.time - live.time)
    expected = by.expect(x, P, scan)
    held, gain = assigned(expected, scan)
    rows = np.flatnonzero(held >= 0)
    plot = held[rows]
    new = {name: getattr(live, name).copy() for name in Live.__dataclass_fields__}
    if len(rows):
        new["x"][rows], new["P"][rows] = by.update(
            x[rows], P[rows], scan.z[plot], scan.sigma[plot], scan, (expected[0][rows], expected[1][rows], expected[2][rows])
        )  # fmt: skip
        new["last"][rows] = log.note(
            scan.time, live.number[rows], scan.rows[plot], new["x"][rows, :6], new["P"][rows, :6, :6], P[rows, :6, :6]
        )
        new["time"][rows], new["revisit"][rows] = scan.time, scan.revisit
        new["hits"][rows] += 1
        new["llr"][rows] += gain[rows]
        sure = np.einsum("naa->n", new["P"][:, :3, :3]) < tracking.FIRM_SIGMA**2
        new["firm"] |= (new["hits"] >= tracking.FIRM_HITS) & (new["llr"] > tracking.FIRM_LLR) & sure
    live = Live(**new)
    live = live[~doubles(live, rows, scan.time, x, P)]
    return begun(live, scan, np.setdiff1d(np.arange(len(scan.z)), plot), log)


def assigned(expected: Expected, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """The plot of each predicted track (n,), −1 for none, and what it gains of log likelihood ratio."""
    mean, S, _ = expected
    n = len(mean)
    off = gaussian.wrap(scan.z[None] - mean[:, None], angles(scan))
    wide = LOOKING * np.sqrt(np.einsum("naa->na", S)[:, None] + np.square(scan.sigma)[None])
    row, plot = np.nonzero((~(np.abs(off) > wide)).all(axis=2))
    seen = np.isfinite(scan.z[plot])
    both = seen[:, :, None] & seen[:, None, :]
    whole = np.where(both, S[row], 0.0) + np.where(seen, np.square(scan.sigma[plot]), 1.0)[:, :, None] * np.eye(4)
    log_density, d2 = gaussian.gaussian_log(np.where(seen, off[row, plot], 0.0), whole, seen.sum(axis=1))
    inside = d2 <= association.gate(seen.sum(axis=1))
    row, plot, ratio = row[inside], plot[inside], log_density[inside] - scan.log_density
    start = np.r_[0, np.cumsum(np.bincount(row, minlength=n))]
    held = association.gnn_pairs(association.Pairs(start, plot, d2[inside], log_density[inside], len(scan.z)), ratio, DETECTED)
    gain = np.zeros(n)
    own = plot == held[row]
    gain[row[own]] = ratio[own]
    return held, gain


def begun(live: Live, scan: Scan, free: np.ndarray, log: Log) -> Live:
    """The tracks with those that plots which no track took have started, from the moments of `starting.from_one_plot`."""
    n = len(free)
    if n == 0:
        return live
    bank = starting.from_one_plot(scan.time, scan.z[free], scan.sigma[free], scan.origin, scan.axes, scan.cosines)
    shove, sigma = push(bank)
    P = np.zeros((n, 9, 9))
    P[:, :6, :6] = bank.P6
    P[:, range(6, 9), range(6, 9)] = sigma[:, None] ** 2
    none, number = np.zeros(n), log.tracks + np.arange(n)
    log.tracks += n
    new = Live(
        np.hstack([bank.x6, shove]), P, np.full(n, scan.time), number, np.ones(n, int), none, none.astype(bool),
        np.full(n, scan.revisit), log.note(scan.time, number, scan.rows[free], bank.x6, bank.P6, bank.P6),
    )  # fmt: skip
    return Live(*(np.concatenate([getattr(live, name), getattr(new, name)]) for name in Live.__dataclass_fields__))


def doubles(live: Live, hit: np.ndarray, time: float, x: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Which tracks (n,) are the younger of two on one object, as `pairing.doubles`: ``x``, ``P`` are all at a time, before ``hit`` were
    updated then."""
    drop = np.zeros(len(live), bool)
    now, cov = x.copy(), P.copy()
    now[hit], cov[hit] = live.x[hit], live.P[hit]
    for a in hit[live.hits[hit] >= 4].tolist():
        wide = 4.0 * np.sqrt(np.einsum("naa->na", cov[:, :3, :3]) + np.diag(cov[a])[:3])
        near = np.flatnonzero((live.hits >= 2) & (np.abs(now[:, :3] - now[a, :3]) < wide).all(axis=1))
        near = near[near != a]
        d = now[near, :6] - now[a, :6]
        d2 = np.einsum("ni,ni->n", d, np.linalg.solve(cov[near, :6, :6] + cov[a, :6, :6], d[:, :, None])[:, :, 0])
        for b in near[d2 < SAME_OBJECT].tolist():
            if not (drop[a] or drop[b]):
                drop[a if live.hits[a] < live.hits[b] else b] = True
    return drop


def tracked(detections: Detections, scenario: Any, by: Filter) -> Picture:
    """The hub's picture out of all plots in order of time, by one filter; who is not known to `coasting.FORESEEN_BURNING` is not shown."""
    live, log, parts = nobody(), Log(), []
    for now, scans in entering.scans_in_order(detections, scenario):
        for scan in scans:
            live = step(live, scan, by, log)
        shown = live[live.firm & (now - live.time <= patience(live))]
        since = now - shown.time
        x, P = by.predict(shown.x, shown.P, since)
        known = np.einsum("naa->n", P[:, :3, :3]) < FORESEEN_BURNING**2
        shown, since, x, P = shown[known], since[known], x[known], P[known]
        parts.append((np.full(len(x), now), shown.number, x, P, transition(shown.x, since)[:, :6, :6], shown.last))
    time, number, x, P, F, last = (np.concatenate(column) for column in zip(*parts, strict=True))
    biased = P[:, :6, :6] + F @ log.biases(detections, scenario)[last] @ transpose(F)
    P6, up = 0.5 * (biased + transpose(biased)), entering.aloft(x)
    return entering.picture(time[up], number[up], x[up, :6], P6[up], scenario, impact=~shoved(x, P)[up])


def shoved(x: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Which states (n, 9) something pushes along their path: nothing is said of where those come down."""
    ahead = x[:, 3:6] / np.maximum(np.linalg.norm(x[:, 3:6], axis=1, keepdims=True), 1.0)
    along = np.einsum("ni,ni->n", x[:, 6:], ahead)
    return along > SHOVED * np.sqrt(np.einsum("ni,nij,nj->n", ahead, P[:, 6:, 6:], ahead))


def ekf(detections: Detections, scenario: Any) -> Picture:
    """One extended Kalman filter a track."""
    return tracked(detections, scenario, EXTENDED)


def ukf(detections: Detections, scenario: Any) -> Picture:
    """One cubature (unscented) Kalman filter a track."""
    return tracked(detections, scenario, CUBATURE)


def filterpy(detections: Detections, scenario: Any) -> Picture:
    """One extended Kalman filter of filterpy a track."""
    return tracked(detections, scenario, FILTERPY)
