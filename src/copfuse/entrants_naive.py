"""The naive baseline of the benchmark, as one writes it on an afternoon: plain numpy, nothing of this package's filters.

Every plot with a range becomes a position with the covariance of its three sigmas; a track is a constant-velocity Kalman filter that
takes its nearest plot; two plots that no track takes, as far apart as something that flies may come, start one; a track that has had
no plot for a while, or goes where an older one goes, is dropped.  It knows no gravity, no engine and no sensor bias, and no plot without
a range.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from copfuse import entering
from copfuse.scanning import Scan
from copfuse.tables import Detections, Picture

NOISE = 300.0  # m^2/s^3, white acceleration: gravity, and an engine that pushes with some 20 m/s^2
GATE = 16.3  # squared distance: chi-squared, 3 components, 0.1 % outside
SAME = 16.8  # squared distance of two tracks taken for one: chi-squared, 6 components, 1 % outside
FASTEST = 8000.0  # m/s
APART = 0.5, 12.0  # s between two plots that start a track
SHOWN, MISSES, LONGEST = 4, 2.5, 25.0  # plots from which a track is shown; looks of the last sensor, s, without one until it is dropped
SPEED = 300.0  # m/s by which an acceleration may bend the way between the first two plots


@dataclass
class Naive:
    """Tracks as rows, all at ``time`` s: x (n, 6), P (n, 6, 6), numbers, plots so far, how long it lasts; and plots that wait."""

    time: float = 0.0
    x: np.ndarray = field(default_factory=lambda: np.zeros((0, 6)))
    P: np.ndarray = field(default_factory=lambda: np.zeros((0, 6, 6)))
    number: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    hits: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    until: np.ndarray = field(default_factory=lambda: np.zeros(0))
    waiting: list[tuple[float, np.ndarray, np.ndarray]] = field(default_factory=list)  # time, position, covariance
    started: int = 0

    def predict(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """All tracks at a time."""
        h = time - self.time
        F = np.kron([[1.0, h], [0.0, 1.0]], np.eye(3))
        Q = NOISE * np.kron([[h**3 / 3.0, h**2 / 2.0], [h**2 / 2.0, h]], np.eye(3))
        return self.x @ F.T, F @ self.P @ F.T + Q

    def take(self, scan: Scan) -> None:
        """One scan: predict, give each track its nearest plot, start tracks of the rest, drop the stale."""
        self.x, self.P = self.predict(scan.time)
        self.time = scan.time
        y, R = entering.positions(scan)
        track, plot = nearest(self.x, self.P, y, R)
        S = self.P[track][:, :3, :3] + R[plot]
        gain = np.swapaxes(np.linalg.solve(S, self.P[track][:, :3, :]), 1, 2)
        self.x[track] += (gain @ (y[plot] - self.x[track, :3])[:, :, None])[:, :, 0]
        left = np.eye(6) - np.pad(gain, ((0, 0), (0, 0), (0, 3)))
        self.P[track] = left @ self.P[track] @ np.swapaxes(left, 1, 2) + gain @ R[plot] @ np.swapaxes(gain, 1, 2)
        self.hits[track] += 1
        until = scan.time + min(MISSES * scan.revisit, LONGEST)
        self.until[track] = np.maximum(self.until[track], until)
        for k in np.setdiff1d(np.arange(len(y)), plot).tolist():
            self._begin(y[k], R[k], until)
        self._keep((self.until >= scan.time) & ~self._doubles())

    def _begin(self, y: np.ndarray, R: np.ndarray, until: float) -> None:
        """A plot that no track took: with the nearest that waits it starts a track, else it waits too."""
        now = self.time
        self.waiting = [w for w in self.waiting if now - w[0] <= APART[1]]
        able = [(float(np.linalg.norm(y - w[1])), i) for i, w in enumerate(self.waiting) if now - w[0] >= APART[0]]
        able = [(away, i) for away, i in able if away < FASTEST * (now - self.waiting[i][0])]
        if not able:
            self.waiting.append((now, y, R))
            return
        then, y0, R0 = self.waiting.pop(min(able)[1])
        h = now - then
        P = np.block([[R, R / h], [R / h, (R + R0) / h**2 + SPEED**2 * np.eye(3)]])
        self.x = np.vstack([self.x, np.r_[y, (y - y0) / h]])
        self.P = np.concatenate([self.P, P[None]])
        self.number, self.hits = np.append(self.number, self.started), np.append(self.hits, 2)
        self.until = np.append(self.until, until)
        self.started += 1

    def _doubles(self) -> np.ndarray:
        """Which tracks (n,) are where an older one is and go where it goes."""
        spread = np.einsum("naa->na", self.P)
        near = (np.square(self.x[:, None] - self.x) <= SAME * (spread[:, None] + spread)).all(axis=2)
        old, young = np.nonzero(np.triu(near, 1))  # rows are in order of age
        d = self.x[young] - self.x[old]
        d2 = np.einsum("ka,ka->k", d, np.linalg.solve(self.P[young] + self.P[old], d[:, :, None])[:, :, 0])
        return np.isin(np.arange(len(self.x)), young[d2 <= SAME])

    def _keep(self, rows: np.ndarray) -> None:
        if not rows.all():
            for name in ("x", "P", "number", "hits", "until"):
                setattr(self, name, getattr(self, name)[rows])


def nearest(x: np.ndarray, P: np.ndarray, y: np.ndarray, R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tracks and plots (k,) that go together: the nearest pair first, then the nearest of the rest, each once."""
    wide = np.sqrt(GATE * (np.einsum("naa->na", P[:, :3, :3])[:, None] + np.einsum("maa->ma", R)[None]))
    track, plot = np.nonzero((np.abs(x[:, None, :3] - y[None]) <= wide).all(axis=2))
    d = y[plot] - x[track, :3]
    d2 = np.einsum("ka,ka->k", d, np.linalg.solve(P[track][:, :3, :3] + R[plot], d[:, :, None])[:, :, 0])
    taken: dict[int, int] = {}
    for k in np.argsort(d2, kind="stable").tolist():
        if d2[k] <= GATE and track[k] not in taken and plot[k] not in taken.values():
            taken[int(track[k])] = int(plot[k])
    return np.array(list(taken), int), np.array(list(taken.values()), int)


def naive(detections: Detections, scenario: Any) -> Picture:
    """Nearest neighbour and constant-velocity Kalman filters over all plots at the hub; forecasts of free fall."""
    tracker, rows, held = Naive(), [], 0.0
    for now, scans in entering.scans_in_order(detections, scenario):
        for scan in scans:
            tracker.take(scan)
            held = max(held, now - scans[-1].time)  # over slow links a track is no staler for it
        shown = (tracker.hits >= SHOWN) & (tracker.until + held >= now)
        x, P = tracker.predict(max(now, tracker.time))
        rows.append((np.full(shown.sum(), now), tracker.number[shown], x[shown], P[shown]))
    time, track, x, P = (np.concatenate(column) for column in zip(*rows, strict=True))
    up = entering.aloft(x)
    return entering.picture(time[up], track[up], x[up], P[up], scenario)
