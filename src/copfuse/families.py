"""Families of flights for batch fits: parameters in, Earth-fixed states at given times out.

The flights are those of `motion` (`kernels.arc`), with parameters in which the valley of a fit's cost is nearly straight.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from copfuse import filters, frames, vehicles
from copfuse.kernels import flight as kernel
from copfuse.kernels.arc import through

BOOST_SIGMA = {"turn": 0.4, "burn": 0.4, "spent": 0.4, "heavy": 0.4, "gain": 1.0}  # of logarithms, *notional*
KICK_SIGMA = 0.5  # rad
BURNT, SLACK = 2, 2.0  # place of a boost's end among the parameters, s
TURNED = 5  # and of the logarithm of how long the pitch-over takes
# a pitch-over that lasts longer tilts by that power of it more, and is so many m/(rad s^2) further on, to fly as before afterwards
TILTED, ASIDE = 0.9, 1.3
COARSE = (2.0, 1.0, 10.0)  # s, steps in boost, below 140 km, above


@dataclass(frozen=True, eq=False)
class Model:
    """A family of flights: ``of(u)`` gives the kernel's start state, begin, stages, marks and parameter vector.

    ``mean``, ``sigma`` (k): the prior (infinite sigma: none); ``step`` (k) for differences; ``reach`` (k) bounds a move.
    ``latest`` s: a boost hardly ends after it, to `SLACK`.
    """

    of: Callable[[np.ndarray], tuple[np.ndarray, float, np.ndarray, np.ndarray, np.ndarray]]
    mean: np.ndarray
    sigma: np.ndarray
    step: np.ndarray
    reach: np.ndarray
    name: str = ""
    latest: float = math.inf

    def prior(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What u differs from the prior by, in standard deviations (p,), and its derivatives (p, k)."""
        known = np.isfinite(self.sigma)
        rows = np.diag(1.0 / self.sigma)[known]
        off = rows @ (u - self.mean)
        if math.isfinite(self.latest):
            late = max(u[BURNT] - self.latest, 0.0) / SLACK
            return np.append(off, late), np.vstack([rows, np.eye(len(u))[BURNT] * (late > 0.0) / SLACK])
        return off, rows

    def states(self, u: np.ndarray, time: np.ndarray, coarse: bool = False) -> np.ndarray:
        """States (n, 6) at ascending times; ``coarse``: with steps that are short enough for a search."""
        x = np.empty((len(time), 6))
        state, begin, stages, marks, p = self.of(u)
        if coarse:
            p[kernel.STEP_BOOST : kernel.STEP_COAST + 1] = COARSE
        through(state, begin, stages, marks, p, time, x)
        return x

    def slopes(self, f: Callable[[np.ndarray], np.ndarray], u: np.ndarray) -> np.ndarray:
        """Central differences of f(u), last axis the parameters."""
        return _slopes(f, u, self.step)


def _slopes(f: Callable[[np.ndarray], np.ndarray], u: np.ndarray, step: np.ndarray) -> np.ndarray:
    return np.stack([(f(u + h) - f(u - h)) / (2.0 * s) for h, s in zip(np.diag(step), step, strict=True)], axis=-1)


def _parameters(begin: float, log_beta: float) -> np.ndarray:
    p = np.zeros(kernel.PARAMETERS)
    p[kernel.AIR], p[kernel.BETA] = 1.0, math.exp(min(max(log_beta, 3.0), 14.0))
    p[kernel.STEP_BOOST], p[kernel.STEP_AIR], p[kernel.STEP_COAST] = 0.25, 0.25, 5.0
    p[kernel.LATEST] = begin + 9000.0
    return p


def free(begin: float) -> Model:
    """Free flight: position, velocity at ``begin``, logarithm of the ballistic coefficient."""

    def of(u: np.ndarray):
        return u[:6], begin, np.zeros((0, 5)), np.array([np.inf]), _parameters(begin, u[6])

    mean, sigma = np.r_[np.zeros(6), filters.LOG_BETA[0]], np.r_[np.full(6, np.inf), filters.LOG_BETA[1]]
    return Model(of, mean, sigma, np.r_[np.full(3, 2.0), np.full(3, 0.02), 1e-3], np.r_[np.full(3, 3e5), np.full(3, 2e3), 1.0])


def powered(lat: float, lon: float, name: str) -> Model:
    """A launch near lat, lon (rad): m east and north, burnout time, kick east and north, ln turn, ln beta; per stage ln
    velocity gain, ln burn time, logit of the propellant share, ln of the ballistic coefficient at ignition.

    Gain and burnout time instead of thrust and launch time: the plots after burnout fix them, so the valley is straighter.
    So it is as ln turn moves the site and the tilt along: a pitch-over of another length that flies as before afterwards.
    """
    profile = vehicles.PROFILES[name]
    radius = float(np.linalg.norm(frames.ecef(lat, lon, 0.0)))
    aside = ASIDE * profile.turn[1] ** 2

    def of(u: np.ndarray):
        kick = u[3:5] * math.exp(TILTED * u[5])
        site = u[:2] + aside * (math.exp(2.0 * u[5]) * kick - u[3:5])
        here = lat + site[1] / radius, lon + site[0] / (radius * math.cos(lat))
        east, north, up = frames.enu_axes(*here)
        each = u[7:].reshape(-1, 4)
        length = np.exp(np.minimum(each[:, 1], 7.0))
        begin = float(u[2] - length.sum() - vehicles.GAP * (len(each) - 1))
        p = _parameters(begin, u[6])
        turn = begin + np.array(profile.turn) * math.exp(u[5])
        p[kernel.RISE : kernel.BLEND + 1] = turn
        p[kernel.UP : kernel.UP + 3], p[kernel.KICK : kernel.KICK + 3] = up, kick[0] * east + kick[1] * north
        tau = length * (1.0 + np.exp(-each[:, 2]))
        thrust = np.exp(each[:, 0]) / (tau * np.logaddexp(0.0, each[:, 2]))  # -ln(1 - spent) = ln(1 + exp(logit))
        start = begin + np.r_[0.0, np.cumsum(length + vehicles.GAP)[:-1]]
        stages = np.column_stack([start, start + length, thrust, tau, np.exp(each[:, 3])])
        marks = np.array([*sorted([*stages[:, :2].ravel(), *turn]), np.inf])
        return np.r_[frames.ecef(*here, 0.0), np.zeros(3)], begin, stages, marks, p

    s = BOOST_SIGMA
    stages = [
        (math.log(3000.0), math.log(b), math.log(f / (1.0 - f)), math.log(h))
        for b, f, h in zip(profile.burn, profile.spent, profile.heavy, strict=True)
    ]
    mean = np.r_[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, filters.LOG_BETA[0], np.ravel(stages)]
    each = [s["gain"], s["burn"], s["spent"], s["heavy"]] * len(stages)
    sigma = np.r_[np.inf, np.inf, np.inf, KICK_SIGMA, KICK_SIGMA, s["turn"], filters.LOG_BETA[1], each]
    # a gravity turn is so sensitive to its begin that wider differences are no derivatives
    step = np.r_[5.0, 5.0, 5e-3, 3e-6, 3e-6, 3e-5, 1e-3, np.tile([3e-6, 1e-5, 1e-4, 1e-4], len(stages))]
    reach = np.r_[5e4, 5e4, 20.0, 0.15, 0.15, 0.4, 1.0, np.tile([0.3, 0.3, 0.5, 1.0], len(stages))]
    return Model(of, mean, sigma, step, reach, name)


# burnout time, state, launch time, point, apogee height, its time, impact time, point, ground range
TIME, X, LAUNCH, PLACE, TOP, WHEN, DOWN, POINT, RANGE = 0, slice(1, 7), 7, slice(8, 11), 11, 12, 13, slice(14, 17), 17


def outcome(model: Model, u: np.ndarray) -> np.ndarray:
    """Everything (18) that is reported of the flight with parameters u; nan where it has none."""
    return fallen(_released(model, u))


def outcome_slopes(model: Model, u: np.ndarray) -> np.ndarray:
    """Derivatives (18, k) of `outcome` by the parameters: of the state at burnout by them, of what follows by that state.

    In one go they would be lost in rounding: a boost asks for differences too small for the times and places of a fall.
    """
    known = np.nan_to_num(model.slopes(lambda v: _released(model, v), u))  # what is not known of one flight is not of another
    return _slopes(fallen, _released(model, u), _FALL_STEP) @ known


def course(model: Model, u: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States (n, 6) at ascending times (n,) s, none before the begin, and their derivatives (n, 6, k) by the parameters.

    After burnout as in `outcome_slopes`, by the state at burnout.
    """
    w, slope = _released(model, u), np.empty((len(time), 6, len(u)))
    early = time < w[TIME] + 2.0 * _FALL_STEP[0]
    if early.any():
        slope[early] = model.slopes(lambda v: model.states(v, time[early]), u)
    if not early.all():
        known = np.nan_to_num(model.slopes(lambda v: _released(model, v), u))
        slope[~early] = _slopes(lambda v: _falling(v, time[~early]), w, _FALL_STEP) @ known
    return model.states(u, time), slope


def _falling(w: np.ndarray, time: np.ndarray) -> np.ndarray:
    """States (n, 6) of the free flight after `_released`."""
    x = np.empty((len(time), 6))
    through(w[1:7].copy(), float(w[0]), np.zeros((0, 5)), np.array([np.inf]), _parameters(w[0], w[11]), time, x)
    return x


_FALL_STEP = np.r_[0.02, np.full(3, 2.0), np.full(3, 0.02), 0.02, np.full(3, 5.0), 1e-3]


def _released(model: Model, u: np.ndarray) -> np.ndarray:
    """Burnout time, state (6), launch time, point (3), ln of the ballistic coefficient; no launch (nan): free flight from there."""
    state, begin, stages, _, _ = model.of(u)
    time = stages[-1, kernel.END] if len(stages) else begin
    launch = np.r_[begin, state[:3]] if len(stages) else np.full(4, np.nan)
    return np.r_[time, model.states(u, np.array([time]))[0], launch, u[6]]


def fallen(w: np.ndarray) -> np.ndarray:
    """Everything that is reported of the free fall after `_released`."""
    out = np.full(18, np.nan)
    out[TIME], out[X], out[LAUNCH], out[PLACE] = w[0], w[1:7], w[7], w[8:11]
    time, x, force, summary = np.empty(2), np.empty((2, 6)), np.empty((2, 3)), np.zeros(3)
    p = _parameters(w[0], w[11])
    kernel.march(w[1:7].copy(), float(w[0]), np.zeros((0, 5)), np.array([np.inf]), p, False, time, x, force, summary)
    if summary[1] > w[0]:
        out[TOP], out[WHEN] = _top(w, float(summary[1])) if summary[1] > w[0] + 1.0 else summary[:2]
    if summary[2] > 0.0:
        out[DOWN], out[POINT] = time[1], x[1, :3]
        if math.isfinite(w[7]):
            lat, lon, _ = frames.geodetic(np.stack([w[8:11], x[1, :3]]))
            out[RANGE] = frames.ground_distance_bearing(lat[0], lon[0], lat[1], lon[1])[0]
    return out


def _top(w: np.ndarray, near: float) -> tuple[float, float]:
    """Greatest height over the ellipsoid and its time: the kernel's own vertical is not quite the ellipsoid's far above it."""
    low, high, after = frames.altitude(_falling(w, near + np.array([-1.0, 0.0, 1.0]))[:, :3])
    bend = low - 2.0 * high + after
    return float(high - (after - low) ** 2 / (8.0 * bend)), float(near - 0.5 * (after - low) / bend)
