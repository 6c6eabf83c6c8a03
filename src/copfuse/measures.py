"""Measures of estimates against truth, on plain arrays: GOSPA, OSPA, NEES, error ellipses, SIAP attributes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import chdtri

from copfuse import frames

CHI2_95_2 = -2.0 * math.log(0.05)  # chi-square quantile, two degrees of freedom


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
    return gospa_of(_distances(x, y), c, p)


def ospa(x, y, c: float, p: float = 2.0) -> float:
    """Optimal sub-pattern assignment distance (Schuhmacher, Vo, Vo 2008, eq. 3); 0 for two empty sets."""
    cost = np.minimum(_distances(x, y), c) ** p
    most = max(cost.shape)
    if most == 0:
        return 0.0
    from scipy.optimize import linear_sum_assignment

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
        level = np.einsum("nai,nij,nbj->nab", east_north, P[ok], east_north)
        mean, half, cross = 0.5 * (level[:, 0, 0] + level[:, 1, 1]), 0.5 * (level[:, 1, 1] - level[:, 0, 0]), level[:, 0, 1]
        apart = np.hypot(half, cross)
        major[ok], minor[ok] = (np.sqrt(CHI2_95_2 * np.maximum(value, 0.0)) for value in (mean + apart, mean - apart))
        azimuth[ok] = np.mod(0.5 * np.arctan2(cross, half), np.pi)
    return major, minor, azimuth


def within_ellipse(position, P, truth) -> np.ndarray:
    """Whether the 95 % error ellipse on the ground of each ``position (n, 3)``, ``P (n, 3, 3)`` holds the point ``truth (3,)``."""
    position = np.asarray(position, float).reshape(-1, 3)
    lat, lon, _ = frames.geodetic(position)
    east_north = frames.enu_axes(lat, lon)[:, :2]
    off = np.einsum("nai,ni->na", east_north, truth - position)
    return nees(off, np.einsum("nai,nij,nbj->nab", east_north, P, east_north)) < CHI2_95_2


class Siap(NamedTuple):
    """Attributes of the Single Integrated Air Picture over all the times counted."""

    completeness: float  # matched objects / objects
    ambiguity: float  # tracks on objects / objects that have one
    spuriousness: float  # tracks on no object / tracks


def siap(n_truth, n_track, n_matched, n_duplicate) -> Siap:
    """SIAP attributes (Votruba et al. 2001, sec. 3) from counts per time, such as a `Score`'s columns; nan for 0 / 0."""
    truth, track, matched, duplicate = (float(np.sum(n)) for n in (n_truth, n_track, n_matched, n_duplicate))
    return Siap(ratio(matched, truth), ratio(matched + duplicate, matched), ratio(track - matched - duplicate, track))


def ratio(top: float, bottom: float) -> float:
    """``top / bottom``; nan where ``bottom`` is 0."""
    return top / bottom if bottom > 0 else math.nan


def _distances(x, y) -> np.ndarray:
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.size == 0 or y.size == 0:
        return np.zeros((len(x), len(y)))
    return np.linalg.norm(x[:, None] - y[None], axis=2)


def gospa_of(distance: np.ndarray, c: float, p: float) -> Gospa:
    """`gospa` from the distances (n, m) themselves."""
    n, m = distance.shape
    pairs = assign(np.where(distance < c, distance**p, np.inf), c**p)
    localisation = float((distance[pairs[:, 0], pairs[:, 1]] ** p).sum())
    missed, false = 0.5 * c**p * (n - len(pairs)), 0.5 * c**p * (m - len(pairs))
    return Gospa((localisation + missed + false) ** (1.0 / p), localisation, missed, false, pairs)


def assign(cost: np.ndarray, unpaired: float) -> np.ndarray:
    """Row and column numbers (k, 2) of the cheapest pairs with finite cost, where a pair not made costs ``unpaired``, which is no less."""
    ok = np.isfinite(cost)
    if not ok.any():
        return np.zeros((0, 2), np.intp)
    if 1 in cost.shape:  # one row or column: the smallest, without the solver's overhead
        best = int(np.argmin(np.where(ok, cost, np.inf)))
        return np.array([divmod(best, cost.shape[1])])
    from scipy.optimize import linear_sum_assignment  # a tenth of a second to import, which most studies' processes do not need

    rows, columns = linear_sum_assignment(np.where(ok, cost, unpaired))
    kept = ok[rows, columns]
    return np.stack([rows[kept], columns[kept]], axis=1)
