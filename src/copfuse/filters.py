"""Start, predict, expect and update n tracks at once: the interacting multiple model filter over five motions.

A `Bank` holds the state of n tracks; the arithmetic is in `kernels.estimation`.  ``to_filterpy`` hands one track's
coasting model over to filterpy's UKF, the independent referee.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.special import log_ndtr

from copfuse import frames
from copfuse.constants import EARTH_A, EARTH_B
from copfuse.kernels import estimation as kernel
from copfuse.kernels import motions, pairwise, shares, sights, starts

# Spectral densities of the process noise, from what each model leaves out, *notional*.  For scale, a sharp cone of 9 degrees in Newtonian
# flow (Anderson, Hypersonic and High-Temperature Gas Dynamics, ch. 3): at 1.3 degrees to the air its drag is 3 % more, at half a degree
# its lift is a third of its drag; rolled about 1.5 times a second and out of step after 6 s, that leaves a noise like `TRIM`.
# `STEERING`, `DRAG_ERROR` and `TRIM` are white noise in place of pushes with a memory tau of a second (`roughness.SWAY`), which make in t
# seconds a variance of the velocity of q (t - tau (1 - exp(-t / tau))) instead of q t, m^2/s^2.  The t that tells is how long a filter
# remembers, some (R T / q)^(1/4) by plots of variance R, m^2, every T s.  In boost, q = 0.2 m^2/s^3: 7 s along the range of a radar (20 m
# every second), 23 to 30 s across (0.6 mrad at 400 to 700 km), 100 s by satellites; the density that makes a steady filter's covariance
# its mean squared error is 0.18, 0.195 and 0.2, so it is left as it is.  With a drag of 60 m/s^2, q = 7 along the fall and 0.7 across:
# 0.74 and 0.84 of it by plots of 15 m, 0.93 and 0.98 by plots of 300 m; with the hundreds of m/s^2 of a steep re-entry it is less than
# two thirds.  There the noise is made smaller as what is known of the velocity tells (`motions.whitened`).
JERK = 3.0  # m^2/s^5: pitch-over, staging and whatever has no model change the acceleration by some 2 m/s^2 in a second
COAST_ACCELERATION = 1e-12  # m^2/s^3: a floor; gravity is taken to be that of J2 (as it is here; the Earth's has 2e-5 m/s^2 more)
DRAG_ERROR = 2e-3  # s: 3 % of the drag along it, correlated over a second, as the drag coefficient moves with the attitude
TRIM = 2e-4  # s: 1 % of the drag on every axis, likewise, as a body flies at a small angle to the air
LOG_BETA_RATE = 4e-4  # 1/s
GLIDE_BETA_RATE = 1e-2  # 1/s: drag doubles within some 50 s where lift costs it
LIFT_JERK = 0.5  # m^2/s^5
LIFT_SHARE = 0.05  # 1/s: lift (and a burning missile's drag) changes by a fifth of the drag in a second
STEERING = 0.2  # m^2/s^3: thrust is along the velocity to a degree, 0.4 m/s^2 for a second
THRUST_JERK = 0.005  # m^2/s^5: thrust and mass flow of an engine hardly wander
FLOW_RATE = 3e-8  # 1/s^3
CURVE = 0.05  # a drag coefficient that is 22 % off the curve in `kernels.mach` where the Mach number has fallen to a third
UNREST = 0.1  # m^2/s^3: thrusters and vents push what coasts and is not left alone by 0.3 m/s^2 for a second
NOISE = np.array([
    JERK, COAST_ACCELERATION, DRAG_ERROR, LOG_BETA_RATE, GLIDE_BETA_RATE, LIFT_JERK, LIFT_SHARE, STEERING, THRUST_JERK, FLOW_RATE,
    CURVE, TRIM, UNREST,
])  # fmt: skip

# What is believed of an object before its second plot, *notional*
SPEED_SIGMA = (600.0, 2500.0, 60e3)  # m/s per axis on the ground and above the third figure, m; linear between
PLUME_SPEED = (300.0, 400.0)  # m/s upwards and sigma per axis when a satellite first sees a plume
PLUME_ALTITUDE = (11e3, 4e3)  # m and sigma: a little above the clouds
# Probabilities of the models (in the order of `kernels.motions`) at a first plot below so many m, and above: what is first seen
# near the ground has just left it
MODEL_HEIGHTS = (20e3, 100e3, 250e3)
MODELS = np.array([
    [0.5, 0.02, 0.06, 0.04, 0.38], [0.4, 0.05, 0.2, 0.1, 0.25], [0.15, 0.64, 0.1, 0.01, 0.1], [0.08, 0.81, 0.03, 0.01, 0.07],
])  # fmt: skip
ACCELERATION_SIGMA = motions.PUSH_SIGMA  # m/s^2 per axis
THRUST = (35.0, 20.0)  # m/s^2 thrust less drag over mass, and sigma
FLOW = (0.015, 0.008)  # 1/s mass flow over mass, and sigma
LIFT_SIGMA = 10.0  # m/s^2, lift and turn
LOG_BETA = (np.log(5000.0), 0.8)  # ballistic coefficient in kg/m^2
PIECE_SIGMA = 1.6  # of its logarithm, of what flies beside others: a missile, a stage or a piece of a hundredth of a missile's
_FIVE = tuple(v / scale for v, scale in zip(np.polynomial.hermite_e.hermegauss(5), (1.0, np.sqrt(2.0 * np.pi)), strict=True))


@dataclass(frozen=True)
class Bank:
    """n tracks: ``time (n,)``, ``x (n, 5, 9)``, ``P (n, 5, 9, 9)``, ``mu (n, 5)``; ``x6``/``P6`` are the mixture's moments."""

    time: np.ndarray
    x: np.ndarray
    P: np.ndarray
    mu: np.ndarray
    x6: np.ndarray
    P6: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, rows: Any) -> Self:
        return type(self)(self.time[rows], self.x[rows], self.P[rows], self.mu[rows], self.x6[rows], self.P6[rows])

    def only(self, rows: np.ndarray) -> Bank:
        """Some rows, which rise; itself where they are all."""
        return self if len(rows) == len(self) else self[rows]

    @staticmethod
    def stack(banks: list[Bank]) -> Bank:
        """All tracks of several banks, in order; itself where it is one."""
        return banks[0] if len(banks) == 1 else Bank(*(np.concatenate([getattr(b, name) for b in banks]) for name in _COLUMNS))

    @staticmethod
    def empty() -> Bank:
        """A bank without tracks."""
        return room(0)


def room(n: int) -> Bank:
    """Room for n tracks."""
    m = motions.N_MODEL
    return Bank(*(np.zeros(s) for s in ((n,), (n, m, 9), (n, m, 9, 9), (n, m), (n, 6), (n, 6, 6))))


_NOBODY = np.zeros(0, int)
_COLUMNS = tuple(Bank.__dataclass_fields__)
_SEEN = (motions.N_MODEL, sights.ROWS, 9)  # of one track, what kernels make of its models


def bank(time, x6, P6, mu, acceleration=None, acceleration_sigma=None, log_beta=None) -> Bank:
    """A bank whose models all start from ``x6 (n, 6), P6 (n, 6, 6)`` with probabilities ``mu (n, 5)``.

    ``acceleration (n, 3)`` with ``acceleration_sigma (n,)`` m/s^2 and ``log_beta (n, 2)`` (mean, sigma) fill what the
    wider models add; left out, they take this module's priors.
    """
    x6, P6 = _plain(x6, P6)
    n = len(x6)
    x, P, now = np.zeros((n, motions.N_MODEL, 9)), np.zeros((n, motions.N_MODEL, 9, 9)), np.empty(n)
    sigma = np.full(n, ACCELERATION_SIGMA) if acceleration_sigma is None else np.array(acceleration_sigma, float)
    beta = np.tile(LOG_BETA, (n, 1)) if log_beta is None else np.array(log_beta, float)
    push = np.zeros((0, 3)) if acceleration is None else np.array(acceleration, float)
    starts.start(push, sigma, beta, THRUST, FLOW, LIFT_SIGMA, x6, P6, x, P)
    now[:] = time
    return Bank(now, x, P, np.array(mu, float).reshape(n, motions.N_MODEL), x6, P6)


def predict(tracks: Bank, time, relight=0.0) -> Bank:
    """The tracks at ``time`` (s, scalar or (n,)), before or after now; IMM mixing included.

    ``relight``: rate (1/s, scalar or (n,)) at which those whose engine has just gone out light a further stage (`phases.relight`); 0 of
    what has not burnt lately, or is not known to.
    """
    return _predict(tracks, len(tracks), time, relight, _NOBODY, _NOBODY, tracks.time)


def predict_often(tracks: Bank, which, time, relight=0.0) -> Bank:
    """Tracks ``which (n,)``, by number, at ``time`` (s, scalar or (n,)): each as often, and at as many times, as it stands there.

    What comes of a track at a time is the same to the bit whatever stands beside it.  From time to time, where they rise by whole
    `estimation.BURNOUT_STEP`, it goes on.
    """
    order = np.argsort(which, kind="stable")
    again = np.flatnonzero(which[order[1:]] == which[order[:-1]])
    before = np.full(len(which), -1)
    before[order[again + 1]] = order[again]
    return _predict(tracks, len(which), time, relight, which, before, tracks.time[which])


def _predict(tracks: Bank, n: int, time, relight, start, before, begin) -> Bank:
    then, again = room(n), np.empty(n)
    then.time[:], again[:] = time, relight
    if n:
        out = then.x, then.P, then.mu, then.x6, then.P6
        kernel.predict(tracks.x, tracks.P, tracks.mu, start, before, then.time - begin, again, NOISE, *out)
    return then


def expect(tracks: Bank, z, sigma, origin, axes, cosines: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Squared Mahalanobis distance and log likelihood, each (n, m), of plots ``z (m, 4)`` under predicted tracks.

    ``cosines`` as in `frames.look`.  The distance is the least over the models that are not negligible, the likelihood
    that of their mixture.
    """
    n, m = len(tracks), len(z)
    d2, loglik = expect_pairs(tracks, m * np.arange(n + 1), np.tile(np.arange(m), n), z, sigma, origin, axes, cosines)
    return d2.reshape(n, m), loglik.reshape(n, m)


def expect_pairs(
    tracks: Bank, start, plot, z, sigma, origin, axes, cosines: int = 0, *, most: float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """`expect` of some pairs only, ``(pairs,)`` each: track i with the plots ``plot[start[i]:start[i + 1]]``, rows of ``z (m, 4)``.

    A squared distance above ``most`` may be infinite (and the likelihood's logarithm −inf), which takes less time.
    """
    d2, loglik = np.zeros(len(plot)), np.zeros(len(plot))
    if len(plot):
        at = *_plain(origin, axes), int(cosines), *_plain(z, sigma)
        pairwise.expect_pairs(tracks.x, tracks.P, tracks.mu, *at, *_numbers(start, plot), float(most), d2, loglik, np.zeros((1, *_SEEN)))
    return d2, loglik


def update(tracks: Bank, z, sigma, origin, axes, cosines: int = 0) -> Bank:
    """Predicted tracks, each updated with its own plot: row i of ``z (n, 4), sigma (n, 4)``."""
    new = Bank(tracks.time, tracks.x.copy(), tracks.P.copy(), tracks.mu.copy(), tracks.x6.copy(), tracks.P6.copy())
    if len(tracks):
        kernel.update(new.x, new.P, new.mu, *_plain(origin, axes), int(cosines), *_plain(z, sigma), new.x6, new.P6, np.empty((0, *_SEEN)))
    return new


def update_weighted(tracks: Bank, start, plot, weight, missed, z, sigma, origin, axes, cosines: int = 0) -> Bank:
    """Predicted tracks, each updated with several plots by their probabilities; see `kernels.pairwise.update_weighted`.

    Track i has the plots ``plot[start[i]:start[i + 1]]``, rows of ``z (m, 4), sigma (m, 4)``, with the probabilities ``weight
    (pairs,)`` and none with ``missed (n,)``.  With probability 1 on one plot it is `update`.
    """
    new = Bank(tracks.time, tracks.x.copy(), tracks.P.copy(), tracks.mu.copy(), tracks.x6.copy(), tracks.P6.copy())
    if len(plot):
        at = *_plain(origin, axes), int(cosines), *_plain(z, sigma)
        pairwise.update_weighted(new.x, new.P, new.mu, *at, *_numbers(start, plot), *_plain(weight, missed), new.x6, new.P6)
    return new


def weigh(tracks: Bank, likelihood) -> Bank:
    """The tracks after evidence on which model is right alone: ``likelihood (5,)`` or ``(n, 5)`` of it under each."""
    new = replace(tracks, P=tracks.P.copy(), mu=tracks.mu * likelihood, x6=tracks.x6.copy(), P6=tracks.P6.copy())
    new.mu[:] /= new.mu.sum(axis=1, keepdims=True)
    for t in range(len(tracks)):
        kernel.combine(new.x[t], new.P[t], new.mu[t], new.x6[t], new.P6[t])
    return new


def above_ground(tracks: Bank, rows, launched=()) -> Bank:
    """The tracks, those of ``rows`` (numbers) knowing that nothing flies below the ellipsoid.

    Each model's density is cut off at height 0 and takes the moments of what is left (Simon, IET Control Theory & Appl. 4(8),
    2010, sec. 2.4); its probability is multiplied by how much that is.  Likewise the models with a push climb in ``launched``, those
    of ``rows`` whose engine has not gone out since they left the ground.
    """
    new = replace(tracks, **{name: getattr(tracks, name).copy() for name in ("x", "P", "mu", "x6", "P6")})
    every, pushed = slice(None), [motions.MANOEUVRE, motions.BOOST]
    for t in rows:
        up = new.x6[t, :3] / np.linalg.norm(new.x6[t, :3])
        _cut(new, t, every, slice(0, 3), up, frames.altitude(new.x[t]))
        if t in launched:
            _cut(new, t, pushed, slice(3, 6), up, new.x[t, pushed, 3:6] @ up)
        new.mu[t] /= new.mu[t].sum()
        kernel.combine(new.x[t], new.P[t], new.mu[t], new.x6[t], new.P6[t])
    return new


def _cut(tracks: Bank, t: int, models: Any, part: slice, way: np.ndarray, value: np.ndarray) -> None:
    """Cut off some models of track t, in place, where their ``part`` along the unit vector ``way``, now of mean ``value``, is below 0."""
    lean = tracks.P[t][models][:, :, part] @ way
    sigma = np.sqrt(np.maximum(lean[:, part] @ way, 1e-6))
    low = -value / sigma
    left = log_ndtr(-low)
    shift = np.exp(-0.5 * low * low - left) / np.sqrt(2.0 * np.pi)
    narrower = np.maximum(1.0 - shift * (shift - low), 1e-3)
    gain = lean / sigma[:, None]
    tracks.x[t, models] += gain * shift[:, None]
    tracks.P[t, models] += (narrower - 1.0)[:, None, None] * gain[:, :, None] * gain[:, None, :]
    tracks.mu[t, models] *= np.maximum(np.exp(left), 1e-12)


def _plain(*arrays) -> tuple[np.ndarray, ...]:
    """Copies of one memory layout: kernels are compiled anew for every other, and for what is read-only."""
    return tuple(np.array(a, float, order="C") for a in arrays)


def _numbers(*arrays) -> tuple[np.ndarray, ...]:
    """Row numbers of one memory layout."""
    return tuple(np.ascontiguousarray(a, np.int64) for a in arrays)


def start(time: float, z, sigma, origin, axes, cosines: int = 0) -> Bank:
    """One-plot tracks from plots ``z (m, 4), sigma (m, 4)`` of one scan, with honest, wide covariances.

    A radar plot goes to Earth-fixed axes by five Gauss-Hermite points along each angle (or cosine), so a "contact lens" keeps
    its curvature's variance (as by the expansion CM3, Cookson et al., MIT-LL TR-1184).  Two angles without range start on
    the prior altitude of a plume just above the clouds.  Range rate, where given, updates the velocity.
    """
    z, sigma = np.atleast_2d(np.asarray(z, float)), np.atleast_2d(np.asarray(sigma, float))
    plume = np.isnan(z[:, 0])
    position, cov = (_above_clouds if plume.any() else _cap)(z, sigma, origin, axes, cosines)
    if plume.any() and not plume.all():
        there, spread = _cap(z[~plume], sigma[~plume], origin, axes, cosines)
        position[~plume], cov[~plume] = there, spread
    P6 = np.zeros((len(z), 6, 6))
    P6[:, :3, :3] = cov
    height = frames.altitude(position)
    speed = np.interp(height, (0.0, SPEED_SIGMA[2]), SPEED_SIGMA[:2])
    P6[:, (3, 4, 5), (3, 4, 5)] = np.where(plume, PLUME_SPEED[1], speed)[:, None] ** 2
    up = position / np.linalg.norm(position, axis=1, keepdims=True)
    x6 = np.concatenate([position, np.where(plume, PLUME_SPEED[0], 0.0)[:, None] * up], axis=1)
    new = bank(time, x6, P6, MODELS[np.where(plume, 1, np.searchsorted(MODEL_HEIGHTS, height, side="right"))])
    if np.isfinite(z[:, 3]).any():
        only_rate = np.where(np.arange(4) == 3, z, np.nan)
        new = update(new, only_rate, sigma, origin, axes, cosines)
    return new


def _cap(z, sigma, origin, axes, cosines: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 3) and covariances (n, 3, 3) of radar plots; position is range times direction, so range is exact."""
    node, weight = _FIVE
    first = z[:, 1] + node[:, None, None] * sigma[:, 1]
    second = z[:, 2] + node[None, :, None] * sigma[:, 2]
    both = np.broadcast_arrays(first, second)
    way = frames.point(1.0, both[0].ravel(), both[1].ravel(), np.zeros(3), axes, cosines).reshape(-1, len(z), 3)
    share = np.outer(weight, weight).ravel()
    mean = np.einsum("k,kni->ni", share, way)
    bent = np.einsum("k,kni,knj->nij", share, way - mean, way - mean)
    r2, s2 = (v[:, None, None] ** 2 for v in (z[:, 0], sigma[:, 0]))
    return origin + z[:, :1] * mean, r2 * bent + s2 * (bent + mean[:, :, None] * mean[:, None, :])


def _above_clouds(z, sigma, origin, axes, cosines: int) -> tuple[np.ndarray, np.ndarray]:
    """Likewise of two angles at the prior altitude of a plume, by cubature over the altitude and both."""
    n = len(z)
    spread = np.stack([np.full(n, PLUME_ALTITUDE[1]), sigma[:, 1], sigma[:, 2]], axis=1)
    cloud = []
    for axis in range(3):
        for sign in (1.0, -1.0):
            step = sign * np.sqrt(3.0) * spread * (np.arange(3) == axis)
            first, second = z[:, 1] + step[:, 1], z[:, 2] + step[:, 2]
            distance = range_to_altitude(PLUME_ALTITUDE[0] + step[:, 0], first, second, origin, axes)
            cloud.append(frames.point(distance, first, second, origin, axes, cosines))
    mean = np.mean(cloud, axis=0)
    return mean, np.einsum("kni,knj->nij", cloud - mean, cloud - mean) / len(cloud)


def forget_drag(tracks: Bank, rows) -> None:
    """Put the ballistic coefficient and lift of ``rows`` (mask or numbers) back to their priors, in place.

    While an engine burns, what re-entry and glide take for drag and lift is thrust; and what re-enters is another body.  What may be a
    piece (`PIECE_SIGMA`) may be one still.
    """
    rows = np.arange(len(tracks))[rows]
    piece = tracks.P[rows, motions.REENTRY, 6, 6] > 0.5 * PIECE_SIGMA**2
    for falling in (motions.REENTRY, motions.GLIDE):
        _reset(tracks, rows[~piece], falling, 6, LOG_BETA)
        _reset(tracks, rows[piece], falling, 6, (LOG_BETA[0], PIECE_SIGMA))
    for component in (7, 8):
        _reset(tracks, rows, motions.GLIDE, component, (0.0, LIFT_SIGMA))


def forget_thrust(tracks: Bank, rows) -> None:
    """Put thrust and mass flow of ``rows`` (mask or numbers) back to their priors, in place: an engine that is out tells nothing."""
    _reset(tracks, rows, motions.BOOST, 6, THRUST)
    _reset(tracks, rows, motions.BOOST, 7, FLOW)


def _reset(tracks: Bank, rows, model: int, component: int, prior: tuple[float, float]) -> None:
    tracks.x[rows, model, component] = prior[0]
    tracks.P[rows, model, component, :] = 0.0
    tracks.P[rows, model, :, component] = 0.0
    tracks.P[rows, model, component, component] = prior[1] ** 2


def range_to_altitude(height, azimuth, elevation, origin, axes) -> np.ndarray:
    """Range m at which lines of sight first pass ``height`` m above the ellipsoid (nearest approach where they miss it)."""
    far = frames.point(np.ones(len(azimuth)), azimuth, elevation, origin, axes)
    scale = 1.0 / np.stack([EARTH_A + height, EARTH_A + height, EARTH_B + height], axis=-1)
    o, d = origin * scale, (far - origin) * scale
    a, b, c = (d * d).sum(1), (o * d).sum(1), (o * o).sum(1) - 1.0
    return (-b - np.sqrt(np.maximum(b * b - a * c, 0.0))) / a


def within(part, whole, least: float = 1e-3) -> np.ndarray:
    """``part (n, 6, 6)`` of covariances ``whole (n, 6, 6)``, with its share in every direction held to [least, 1]."""
    part, whole = _plain(part, whole)
    shares.hold(part, whole, least)
    return part


def to_filterpy(tracks: Bank, row: int, origin, axes) -> Any:
    """filterpy's UnscentedKalmanFilter holding the coasting model of one track: its ``predict(dt=...)`` and
    ``update(z, R=...)`` with z range m, azimuth rad, elevation rad (the same functions, another program).

    filterpy 2.0.0 keeps stale sigma points between two updates without a predict; call ``predict(dt=0)`` between.
    """
    from filterpy.kalman import JulierSigmaPoints, UnscentedKalmanFilter

    def residual(a, b):
        d = a - b
        d[1:3] = np.mod(d[1:3] + np.pi, 2 * np.pi) - np.pi
        return d

    def move(x, dt):
        s, k, y = np.append(x, np.zeros(3)), np.zeros((4, 9)), np.zeros(9)
        motions.propagate(motions.COAST, 6, s, dt, k, y)
        return s[:6]

    def look(x):
        z = np.zeros(4)
        sights.measure(x, origin, axes, 0, z)
        return z[:3]

    # Julier's kappa 0 is the cubature rule, so both programs sum over the same points
    ukf = UnscentedKalmanFilter(6, 3, 0.0, look, move, JulierSigmaPoints(6, kappa=0.0), residual_z=residual)
    ukf.x, ukf.P = tracks.x[row, motions.COAST, :6].copy(), tracks.P[row, motions.COAST, :6, :6].copy()
    return ukf


def from_filterpy(filter_: Any, time: float) -> Bank:
    """One coasting track from a filterpy filter of six components at ``time`` s: the way back from `to_filterpy`."""
    mu = np.where(np.arange(motions.N_MODEL) == motions.COAST, 1.0, 0.0)
    return bank(time, np.asarray(filter_.x, float).reshape(1, 6), np.asarray(filter_.P, float)[None], mu)
