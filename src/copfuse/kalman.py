"""The compiled extended Kalman filter: one call predicts all tracks of a scan and updates each with its own plot.

For users who know what flies (free fall, or re-entry with unknown ballistic coefficient) and want microseconds; where the
phase of flight is unknown, the multiple-model filter of `filters` follows.  The arithmetic is in `kernels.extended`.
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri

from copfuse.checking import choice
from copfuse.errors import CopfuseError
from copfuse.filters import NOISE
from copfuse.gaussian import Update
from copfuse.kernels import extended as kernel
from copfuse.kernels import motions

MODELS = {"coast": (motions.COAST, 6), "reentry": (motions.REENTRY, 7)}  # number and components


def step(time, x, P, to_time, z, sigma, origin, axes, model: str = "coast", noise=NOISE, gate: float | None = None) -> Update:
    """n tracks from ``time`` to ``to_time`` (s, scalars or (n,); either order), each then updated with its plot of one sensor.

    x (n, d), P (n, d, d): Earth-fixed m and m/s, d = 6 for model "coast"; 7 for "reentry", the last the natural logarithm of
    the ballistic coefficient in kg/m^2.  z, sigma (n, 4): range m, azimuth and elevation rad, range rate m/s and their
    standard deviations; NaN marks what was not measured, a row of NaN a track without a plot.  origin (3,), axes (3, 3): the
    sensor's place and its east, north and up as rows (`sensors.place`, `frames.enu_axes`); an azimuth at the zenith is left
    out.  noise: spectral densities as `filters.NOISE`.

    gate: the probability that a true plot is taken, between 0 and 1; a plot whose distance is beyond it (chi-squared) is left out.

    Returns the new x and P, with the log likelihood and the squared Mahalanobis distance of each plot, and with a gate the
    mask ``refused`` (n,) of the plots left out.  Extended Kalman filter (Bar-Shalom, Li & Kirubarajan, 2001, section 10.3.3),
    Joseph's form.  Raises `CopfuseError` for an unknown model, a wrong shape, a gate that is no probability, a standard
    deviation that is not positive, or a state or covariance that is not finite with positive variances.
    """
    number, d = MODELS[choice(model, tuple(MODELS), "model")]
    if gate is not None and not 0.0 < gate < 1.0:
        raise CopfuseError(f"gate is {gate}; a probability between 0 and 1 is needed, 0.999 say, or None to take every plot")
    x, P = _state(x, P, d)
    n = len(x)
    z, sigma = _plots(z, sigma, n)
    before = None if gate is None else (x.copy(), P.copy())
    origin, axes = _array(origin, (3,), "origin")[None], _array(axes, (3, 3), "axes")[None]
    dt = np.empty(n)
    dt[:] = np.subtract(to_time, time)
    loglik, d2 = np.empty(n), np.empty(n)
    bad = kernel.step(number, x, P, dt, z, sigma, origin, axes, np.array(noise, float), x, P, loglik, d2)
    if bad >= 0:
        raise _refusal(bad, x, P, dt, z, sigma)
    if gate is None or before is None:
        return Update(x, P, loglik, d2)
    seen = (~np.isnan(z + sigma)).sum(axis=1)
    refused = d2 > chdtri(np.maximum(seen, 1), 1.0 - gate)
    rows = np.flatnonzero(refused)
    back, wide = before[0][rows], before[1][rows]
    none, unused = np.full((len(rows), 4), np.nan), np.empty((2, len(rows)))
    kernel.step(number, back, wide, dt[rows], none, none, origin, axes, np.array(noise, float), back, wide, *unused)
    x[rows], P[rows] = back, wide
    return Update(x, P, loglik, d2, refused)


def series(time, x, P, times, z, sigma, origin, axes, model: str = "coast", noise=NOISE) -> Update:
    """One track from ``time`` through T plots at ``times`` (T,), of any sensors: as `step`, all in one compiled call.

    x (d,), P (d, d); z, sigma (T, 4); origin (3,) or (T, 3), axes (3, 3) or (T, 3, 3).  Returns x (T, d), P (T, d, d), the log
    likelihood and squared distance (T,), each after its plot.  Raises `CopfuseError` as `step` does.
    """
    number, d = MODELS[choice(model, tuple(MODELS), "model")]
    x, P = _state(np.atleast_2d(x), np.asarray(P, float)[None], d)
    times = np.atleast_1d(np.asarray(times, float))
    n = len(times)
    z, sigma = _plots(z, sigma, n)
    origin = _array(np.broadcast_to(origin, (n, 3)), (n, 3), "origin")
    axes = _array(np.broadcast_to(axes, (n, 3, 3)), (n, 3, 3), "axes")
    dt = np.diff(times, prepend=time)
    new = Update(np.empty((n, d)), np.empty((n, d, d)), np.empty(n), np.empty(n))
    noise = np.array(noise, float)
    bad = kernel.step(number, x, P, dt, z, sigma, origin, axes, noise, new.x, new.P, new.loglik, new.d2)
    if bad >= 0:
        raise _refusal(bad, x, P, dt, z, sigma)
    return new


def _state(x, P, d: int) -> tuple[np.ndarray, np.ndarray]:
    x, P = np.array(x, float, order="C"), np.array(P, float, order="C")
    if x.ndim != 2 or x.shape[1] != d or P.shape != (len(x), d, d):
        raise CopfuseError(f"x has shape {x.shape} and P {P.shape}; this model takes (n, {d}) and (n, {d}, {d})")
    return x, P


def _plots(z, sigma, n: int) -> tuple[np.ndarray, np.ndarray]:
    return _array(z, (n, 4), "z"), _array(sigma, (n, 4), "sigma")


def _array(values, shape: tuple[int, ...], name: str) -> np.ndarray:
    values = np.array(values, float, order="C")  # a copy: a read-only view would be another type, and compiled anew
    if values.shape != shape:
        raise CopfuseError(f"{name} has shape {values.shape}; {shape} is needed")
    return values


def _refusal(row: int, x, P, dt, z, sigma) -> CopfuseError:
    """The sentence about the row at which the kernel stopped."""
    if not np.isfinite(dt[row]):
        return CopfuseError(f"row {row}: the time to predict over is {dt[row]} s; a finite number is needed")
    if np.isinf(z[row]).any() or (sigma[row] <= 0.0).any() or np.isinf(sigma[row]).any():
        return CopfuseError(f"row {row}: z is {z[row]} with sigma {sigma[row]}; finite z, positive sigma, or NaN are needed")
    return CopfuseError(f"row {row}: x or P is not finite, or a variance on P's diagonal is not positive")
