"""Batch least squares over the plots of one object: the plots and their correlated errors, families of flights, the fit.

Maximum likelihood for Gaussian errors (Bar-Shalom, Li & Kirubarajan, Estimation with Applications to Tracking and
Navigation, 2001, sec. 3.4 and 3.7) by Levenberg's and Marquardt's steps with central differences of whole compiled flights
(`kernels.arc`), which are those of `motion`.  False plots lose their say by Student weights, then by a gate.
Sensor biases are marginalised exactly: a wandering (Gauss-Markov) bias is a correlated error of the sensor's plots
with a known covariance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.stats import chi2

from copfuse import filters, frames, vehicles
from copfuse.errors import CopfuseError
from copfuse.kernels import flight as kernel
from copfuse.kernels import wander
from copfuse.kernels.arc import through
from copfuse.sensors import place
from copfuse.tables import Detections

FEWEST = 4  # plots of one object
STUDENT = 4.0  # degrees of freedom of the error distribution of the first, robust fit
FIRST = 200  # plots at most in it,
FAR = 100  # and while errors are widened
WIDE = (300.0, 30.0, 5.0, 1.0)  # times sigma in its rounds: from afar, then closer
NEAR = 100.0  # squared distance above which a plot is false for every model
MOSTLY = 0.8  # share of the plots that an honest fit keeps
GATE = 1e-5  # chance that a true plot is taken for a false one
CLOSING = 5000.0  # m/s by which a clock error turns into a range error in the gate
BOOST_SIGMA = {"turn": 0.4, "burn": 0.4, "spent": 0.4, "heavy": 0.4, "gain": 1.0}  # of logarithms, *notional*
KICK_SIGMA = 0.5  # rad
SETTLED = {True: 0.05, False: 0.02}  # standard deviations moved by a step that ends a fit, robust or final
WORTH = {True: 0.1, False: 0.0}  # a step that lowers the cost by less ends a fit
COARSE = (2.0, 1.0, 10.0)  # s, steps in boost, below 140 km, above
TRIES = {True: 20, False: 30}  # steps of one fit at most

# The plots and their errors ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Plots:
    """Plots of one object in time order; ``have (n, 4)`` which components, ``bias (n, 4)`` sigmas, ``fade (n,)`` s;
    ``cosines (n,)`` where z holds u and v."""

    row: np.ndarray
    time: np.ndarray
    sensor: np.ndarray
    z: np.ndarray
    sigma: np.ndarray
    origin: np.ndarray
    axes: np.ndarray
    have: np.ndarray
    bias: np.ndarray
    fade: np.ndarray
    cosines: np.ndarray

    def __getitem__(self, rows: Any) -> Plots:
        return replace(self, **{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})


def gather(detections: Detections, scenario: Any, rows: np.ndarray, biases: bool) -> Plots:
    """The chosen rows of Detections with where each plot's sensor stood and what its biases may be (none unless ``biases``)."""
    time, sensor = detections.time[rows], detections.sensor[rows]
    origin, axes = np.zeros((len(rows), 3)), np.zeros((len(rows), 3, 3))
    for k in np.unique(sensor):
        mine = sensor == k
        origin[mine], axes[mine] = place(scenario.sensors[k], time[mine])
    z, sigma = detections.z[rows], detections.sigma[rows]
    bias = np.nan_to_num([scenario.bias * np.asarray(s.bias_sigma, float) * biases for s in scenario.sensors])[sensor]
    fade = np.array([max(s.bias_time, 1.0) for s in scenario.sensors])[sensor]
    cosines = np.array([s.cosines for s in scenario.sensors])[sensor]
    return Plots(rows, time, sensor, z, sigma, origin, axes, np.isfinite(z) & np.isfinite(sigma), bias, fade, cosines)


def miss(plots: Plots, x: np.ndarray) -> np.ndarray:
    """Plots minus what states x (n, 6) would show, (n, 4), angles wrapped, 0 where not measured."""
    d = plots.z - frames.look(x, plots.origin, plots.axes, plots.cosines)
    d[:, 1:3] = np.mod(d[:, 1:3] + np.pi, 2.0 * np.pi) - np.pi
    return np.where(plots.have, d, 0.0)


@dataclass(frozen=True, eq=False)
class Errors:
    """What whitens the measured components: their sigma (n, 4), or per sensor what `kernels.wander` needs where errors correlate."""

    have: np.ndarray
    sigma: np.ndarray
    blocks: tuple[tuple[np.ndarray, ...], ...] = ()  # index, load, keep, gain, root

    def white(self, d: np.ndarray) -> np.ndarray:
        """Whitened columns (m, k) of ``d (n, 4, k)``."""
        flat = d[self.have]
        if not self.blocks:
            return flat / self.sigma[self.have][:, None]
        out = np.empty_like(flat)
        for index, *filtered in self.blocks:
            part = np.empty((len(index), flat.shape[1]))
            wander.innovations(*filtered, flat[index], part)
            out[index] = part
        return out


def loose(plots: Plots, wide: float) -> Errors:
    """Independent errors wide enough to hold the biases, times ``wide``: for the robust fit and its gate."""
    spread = plots.bias[:, [0, 1, 2, 2]] * np.array([1.0, 1.0, 1.0, 0.0])
    spread[:, 0] = np.hypot(spread[:, 0], CLOSING * plots.bias[:, 3])
    return Errors(plots.have, wide * np.where(plots.have, np.hypot(plots.sigma, spread), 1.0))


def tight(plots: Plots, x: np.ndarray) -> Errors:
    """Noise and biases: correlated between plots of one sensor as exp(-dt / bias time); a clock error moves along the rates at x."""
    sigma = np.where(plots.have, plots.sigma, 1.0)
    if not plots.bias.any():
        return Errors(plots.have, sigma)
    step = 0.05
    ahead, behind = (np.hstack([x[:, :3] + h * x[:, 3:], x[:, 3:]]) for h in (step, -step))
    rate = (miss(plots, behind) - miss(plots, ahead)) / (2.0 * step)
    which, part = np.nonzero(plots.have)
    blocks = []
    for k in np.unique(plots.sensor[which]):
        index = np.flatnonzero(plots.sensor[which] == k)
        i, c = which[index], part[index]
        load = plots.bias[i] * np.eye(4)[c] * (c < 3)[:, None]
        load[:, 3] = rate[i, c] * plots.bias[i, 3]
        keep = np.exp(-np.diff(plots.time[i], prepend=plots.time[i[0]]) / plots.fade[i])
        gain, root = np.empty((len(i), 4)), np.empty(len(i))
        wander.gains(load, sigma[i, c], keep, gain, root)
        blocks.append((index, load, keep, gain, root))
    return Errors(plots.have, sigma, tuple(blocks))


# Flights: parameters in, states out ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Model:
    """A family of flights: ``of(u)`` gives the kernel's start state, begin, stages, marks and parameter vector.

    ``mean``, ``sigma`` (k): the prior (infinite sigma: none); ``step`` (k) for differences; ``reach`` (k) bounds a move.
    """

    of: Callable[[np.ndarray], tuple[np.ndarray, float, np.ndarray, np.ndarray, np.ndarray]]
    mean: np.ndarray
    sigma: np.ndarray
    step: np.ndarray
    reach: np.ndarray
    name: str = ""

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
        each = np.diag(self.step)
        return np.stack([(f(u + h) - f(u - h)) / (2.0 * s) for h, s in zip(each, self.step, strict=True)], axis=-1)


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
    """
    profile = vehicles.PROFILES[name]
    radius = float(np.linalg.norm(frames.ecef(lat, lon, 0.0)))

    def of(u: np.ndarray):
        here = lat + u[1] / radius, lon + u[0] / (radius * math.cos(lat))
        east, north, up = frames.enu_axes(*here)
        each = u[7:].reshape(-1, 4)
        length = np.exp(np.minimum(each[:, 1], 7.0))
        begin = float(u[2] - length.sum() - vehicles.GAP * (len(each) - 1))
        p = _parameters(begin, u[6])
        turn = begin + np.array(profile.turn) * math.exp(u[5])
        p[kernel.RISE : kernel.BLEND + 1] = turn
        p[kernel.UP : kernel.UP + 3], p[kernel.KICK : kernel.KICK + 3] = up, u[3] * east + u[4] * north
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
    step = np.r_[5.0, 5.0, 5e-3, 1e-4, 1e-4, 1e-3, 1e-3, np.tile([1e-4, 1e-4, 1e-3, 1e-3], len(stages))]
    reach = np.r_[5e4, 5e4, 20.0, 0.15, 0.15, 0.4, 1.0, np.tile([0.3, 0.3, 0.5, 1.0], len(stages))]
    return Model(of, mean, sigma, step, reach, name)


# The fit -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fit:
    """Parameters ``u (k)``, covariance ``root @ root.T``; ``kept (n,)`` the plots that passed the gate; ``chi2`` over ``dof``."""

    model: Model
    u: np.ndarray
    root: np.ndarray
    kept: np.ndarray
    chi2: float
    dof: float

    @property
    def honest(self) -> bool:
        """Whether chi-squared is where it belongs, to four standard deviations and the gate's cut, and the gate refused few."""
        return self.kept.mean() > MOSTLY and self.chi2 < self.dof + 4.0 * math.sqrt(2.0 * self.dof) + 0.02 * self.dof


def descend(model: Model, plots: Plots, errors: Errors, u: np.ndarray, robust: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Levenberg-Marquardt from u: parameters, whitened slopes of the plots (m, k), whitened residuals (m,), cost.

    ``robust``: Student's cost per plot, whose weights (nu + m) / (nu + d^2) are taken anew in every step.  Orthogonal
    factors instead of normal equations: a boost's parameters are nearly collinear.
    """
    which = np.nonzero(errors.have)[0]
    count = errors.have.sum(axis=1)
    known = np.isfinite(model.sigma)
    pull = np.diag(1.0 / model.sigma)[known]

    def white(v: np.ndarray) -> np.ndarray:
        return errors.white(miss(plots, model.states(v, plots.time, robust))[:, :, None])[:, 0]

    def weigh(r: np.ndarray, v: np.ndarray) -> tuple[float, np.ndarray]:
        prior = float(((pull @ (v - model.mean)) ** 2).sum())
        if not robust:
            return float(r @ r) + prior, np.ones(len(r))
        d2 = np.bincount(which, r * r, len(count))
        return float(((STUDENT + count) * np.log1p(d2 / STUDENT)).sum()) + prior, np.sqrt((STUDENT + count) / (STUDENT + d2))[which]

    r = white(u)
    cost, weight = weigh(r, u)
    damp = 1e-3
    for _ in range(TRIES[robust]):
        J = slopes(model, plots, errors, u, robust)
        left = np.vstack([np.column_stack([J, r]) * weight[:, None], np.column_stack([pull, pull @ (u - model.mean)])])
        scale = np.linalg.norm(left, axis=0) + 1e-30
        whole: Any = np.linalg.qr(left / scale, mode="r")
        R, right, scale = whole[:-1, :-1], whole[:-1, -1] * scale[-1], scale[:-1]
        for _ in range(9):
            damped = np.vstack([R, math.sqrt(damp) * np.eye(len(u))])
            move = -np.linalg.lstsq(damped, np.r_[right, np.zeros(len(u))], rcond=None)[0] / scale
            move /= max(1.0, float((np.abs(move) / model.reach).max()))
            r_new = white(u + move)
            cost_new, weight_new = weigh(r_new, u + move)
            if cost_new <= cost:
                break
            damp = max(10.0 * damp, 1e-8)
        else:
            break
        gone, gained = float(np.linalg.norm(R @ (scale * move))), cost - cost_new
        u, r, cost, weight, damp = u + move, r_new, cost_new, weight_new, 0.1 * damp
        if gone < SETTLED[robust] or gained < WORTH[robust]:
            break
    return u, J, r, cost


def slopes(model: Model, plots: Plots, errors: Errors, u: np.ndarray, coarse: bool = False) -> np.ndarray:
    """Derivatives (m, k) of the whitened residuals by the parameters; a boost's are nearly collinear: ``coarse`` is for a search."""
    return errors.white(model.slopes(lambda v: miss(plots, model.states(v, plots.time, coarse)), u))


def approach(model: Model, plots: Plots, u: np.ndarray, rounds: tuple[float, ...] = WIDE) -> tuple[np.ndarray, float]:
    """The robust fit of a `few` plots, in ``rounds`` of closer and closer errors: parameters and Student's cost."""
    cost = math.inf
    for wide in rounds:
        some = few(plots, FAR if wide > 1.0 else FIRST)
        u, _, _, cost = descend(model, some, loose(some, wide), u, True)
    return u, cost


def few(plots: Plots, most: int = FIRST) -> Plots:
    """At most so many of the plots, spread evenly."""
    return plots[np.unique(np.linspace(0, len(plots.time) - 1, most).astype(int))]


def surprise(model: Model, plots: Plots, u: np.ndarray) -> tuple[np.ndarray, float]:
    """Parameters fitted to a `few` plots near u, and minus twice the logarithm of the model's evidence (Laplace's
    approximation, MacKay, Neural Computation 4(3), 1992, up to a constant that models of the same plots share); infinite where hardly
    a plot is near."""
    plots = few(plots)
    errors = loose(plots, 1.0)
    r = np.where(plots.have, miss(plots, model.states(u, plots.time)) / errors.sigma, 0.0)
    plots = replace(plots, have=plots.have & ((r * r).sum(axis=1) < NEAR)[:, None])
    if plots.have.sum() < 8:
        return u, math.inf
    u, J, r, cost = descend(model, plots, tight(plots, model.states(u, plots.time)), u, False)
    volume = np.linalg.slogdet(spread(model, J))[1] - np.log(model.sigma[np.isfinite(model.sigma)]).sum()
    return u, cost - 2.0 * float(volume)


def fit(model: Model, plots: Plots, u: np.ndarray) -> Fit:
    """Robust fit from u, gate, then maximum likelihood of the plots that passed it with their whole error covariance.

    Raises `CopfuseError` where fewer than `FEWEST` plots pass or they do not determine the flight.
    """
    u, _ = approach(model, plots, u)
    errors = loose(plots, 1.0)
    r = np.where(plots.have, miss(plots, model.states(u, plots.time)) / errors.sigma, 0.0)
    kept = (r * r).sum(axis=1) < chi2.ppf(1.0 - GATE, np.maximum(plots.have.sum(axis=1), 1))
    true = plots[kept]
    enough(true)
    for _ in range(2 if plots.bias.any() else 1):  # the biases' covariance depends on the flight a little
        u, J, r, _ = descend(model, true, tight(true, model.states(u, true.time)), u, False)
    root = spread(model, J)
    return Fit(model, u, root, kept, float(r @ r), float(len(r) - ((J @ root) ** 2).sum()))


def spread(model: Model, J: np.ndarray) -> np.ndarray:
    """A square root (k, k) of the covariance that whitened slopes J (m, k) and the prior leave.

    Raises `CopfuseError` where they do not determine the parameters.
    """
    left = np.vstack([J, np.diag(1.0 / model.sigma)])
    scale = np.linalg.norm(left, axis=0)
    if np.isfinite(scale).all() and scale.all():
        R = np.linalg.qr(left / scale, mode="r")
        if np.linalg.cond(R) < 1e9:
            return solve_triangular(R, np.eye(len(R))) / scale[:, None]
    raise CopfuseError("these plots do not determine a flight; more plots, or plots of a radar, would")


def enough(plots: Plots) -> None:
    """Refuse plots that are too few for a flight's seven unknowns."""
    if len(plots.time) < FEWEST or plots.have.sum() < 8:
        raise CopfuseError(
            f"reconstruct() found {len(plots.time)} plots of one free flight with {int(plots.have.sum())} components; "
            f"at least {FEWEST} plots and 8 components are needed"
        )
