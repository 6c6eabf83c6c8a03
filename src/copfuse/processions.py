"""Tracks that stand in the way of a row, or run along it: of each scan's plots they take the next missile's.

Where missiles follow one another on one path, as far apart as it takes a radar to look again, each is seen where the one before it was.  To
a tracker that does not know their speed yet, a place that all pass in turn is as good an object as any of them, and so is what runs back
along the row, or skips every other one; and such a track takes from each missile the plots that its own would have begun with.  As soon
as one of the row is known they are found out: two that fall freely through one place, in one direction, have one speed there, or gravity
bends them onto different paths.
"""

from __future__ import annotations

import numpy as np

from copfuse.coasting import REGISTRATION, Live
from copfuse.companions import ALIKE, HIGH, KNOWN, LATELY, OFTEN, SLOWEST
from copfuse.constants import EARTH_OMEGA, MU
from copfuse.frames import altitude
from copfuse.kernels.gating import box_pairs
from copfuse.scanning import Scan

YOUNG = 20  # plots from which on a track is no longer looked at: there are no rows so long, *notional*
ROW = 45.0  # s of flight between two of a row at most, *notional*
REACH = 60e3  # m: tracks farther apart than this are never compared
ON = 13.8  # squared distance off a path, and of velocities across it, up to which a track is on it: chi-squared, 2 components, 99.9 %
OTHER = 10.8  # squared difference of speeds along it from which on they are not one: chi-squared, 1 component, 99.9 %
_SPIN = np.array([0.0, 0.0, EARTH_OMEGA])


def passed(live: Live, hit: np.ndarray, drop: np.ndarray, scan: Scan) -> np.ndarray:
    """Which tracks (n,) are to be dropped after a scan with plots of the tracks ``hit (k,)``: those of ``drop (n,)``, and young ones that
    are on the path of a known one, which has had more plots or is not as slow as nothing is up there, with another speed than it had.

    Only above the air, where all that is known of a path is gravity.
    """
    young = hit[live.firm[hit] & (live.hits[hit] < YOUNG) & ~drop[hit]]
    if live.forest is not None or len(young) == 0:
        return drop
    x, P, hits = live.bank.x6, live.bank.P6, live.hits
    speed, blur = np.linalg.norm(x[:, 3:], axis=1), np.einsum("naa->n", P[:, 3:, 3:])
    known = live.firm & (hits >= OFTEN) & (speed > SLOWEST) & (blur < KNOWN**2) & (scan.time - live.bank.time <= LATELY) & ~drop
    young, others = (rows[altitude(x[rows]) > HIGH] for rows in (young, np.flatnonzero(known)))
    place = np.ascontiguousarray(x[young, :3])
    start, found = box_pairs(place, np.full(place.shape, REACH), np.ascontiguousarray(x[others, :3]))
    i, j = np.repeat(young, np.diff(start)), others[found]
    surer = (i != j) & ((hits[j] > hits[i]) | (speed[i] < SLOWEST))
    i, j = i[surer], j[surer]
    if len(i) == 0:
        return drop
    slack = np.repeat(np.square(REGISTRATION), 3) * scan.bias**2
    on, strays = judged(x[i], P[i], x[j], P[j], slack)
    order = np.lexsort((-hits[j], ~on, i))
    best = order[np.unique(i[order], return_index=True)[1]]
    drop = drop.copy()
    drop[i[best[on[best] & strays[best]]]] = True
    return drop


def judged(x: np.ndarray, P: np.ndarray, x1: np.ndarray, P1: np.ndarray, slack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether tracks ``x (k, 6), P (k, 6, 6)`` are where others, ``x1``, ``P1``, have been or will be within `ROW`, (k,), and whether
    they then move along these' path, but not with their speed, (k,).

    ``slack (6,)``: variances that biases may leave in a difference.
    """
    v, pull = x1[:, 3:], _pull(x1)
    since = np.zeros(len(x))
    for _ in range(3):  # Newton's steps to the nearest point of a parabola
        way = v + pull * since[:, None]
        off = x[:, :3] - x1[:, :3] - v * since[:, None] - 0.5 * pull * since[:, None] ** 2
        since = since + (off * way).sum(axis=1) / (way**2).sum(axis=1)
    way = v + pull * since[:, None]
    off = x[:, :3] - x1[:, :3] - v * since[:, None] - 0.5 * pull * since[:, None] ** 2
    along = way / np.linalg.norm(way, axis=1, keepdims=True)
    level = np.cross(along, x1[:, :3])
    level /= np.linalg.norm(level, axis=1, keepdims=True)
    axes = np.stack([level, np.cross(along, level), along], axis=1)
    step = np.tile(np.eye(6), (len(x), 1, 1))
    step[:, (0, 1, 2), (3, 4, 5)] = since[:, None]
    S = P + step @ P1 @ np.swapaxes(step, 1, 2) + np.diag(slack + np.repeat([0.0, ALIKE**2], 3))
    place, speed = (np.einsum("kab,kb->ka", axes, d) for d in (off, x[:, 3:] - way))
    blur, spread = (axes @ S[:, part, part] @ np.swapaxes(axes, 1, 2) for part in (slice(0, 3), slice(3, 6)))
    on = (np.abs(since) <= ROW) & (_squared(place[:, :2], blur[:, :2, :2]) <= ON)
    return on, (_squared(speed[:, :2], spread[:, :2, :2]) <= ON) & (speed[:, 2] ** 2 > OTHER * spread[:, 2, 2])


def _squared(d: np.ndarray, S: np.ndarray) -> np.ndarray:
    return np.einsum("ka,ka->k", d, np.linalg.solve(S, d[:, :, None])[:, :, 0])


def _pull(x: np.ndarray) -> np.ndarray:
    """Accelerations (k, 3) m/s^2 of what falls freely at ``x (k, 6)``, on the turning Earth; that it is an ellipsoid does not show."""
    place, v = x[:, :3], x[:, 3:]
    radius = np.linalg.norm(place, axis=1, keepdims=True)
    return -MU * place / radius**3 - np.cross(_SPIN, np.cross(_SPIN, place)) - 2.0 * np.cross(_SPIN, v)
