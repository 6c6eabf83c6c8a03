"""Batch least squares over the plots of one object: the plots and their correlated errors, families of flights, the fit.

Maximum likelihood for Gaussian errors (Bar-Shalom, Li & Kirubarajan, Estimation with Applications to Tracking and
Navigation, 2001, sec. 3.4 and 3.7), found by `descent` with central differences of whole compiled flights (`kernels.arc`),
which are those of `motion`.  False plots lose their say by Student weights, then by a gate.
Sensor biases are marginalised exactly: a wandering (Gauss-Markov) bias is a correlated error of the sensor's plots
with a known covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.stats import chi2

from copfuse import descent, frames
from copfuse.errors import CopfuseError
from copfuse.families import Model
from copfuse.kernels import wander
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
SETTLED = {True: 0.05, False: 0.02}  # standard deviations moved by a step that ends a fit, robust or final
WORTH = {True: 0.1, False: 0.01}  # a step that lowers the cost by less ends a fit
ROUNDS = 4  # of gate and fit
TRIES = {True: 20, False: 100}  # steps of one fit at most
RANKED = 25  # and of one that only ranks a model

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


# The fit -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fit:
    """Parameters ``u (k)``, covariance ``root @ root.T`` (``root (k, k + 1)``: the last column is the step left undone).

    ``kept (n,)``: the plots that passed the gate; ``chi2`` over ``dof``.
    """

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


@dataclass(frozen=True, eq=False)
class Anchor:
    """A state ``x (6)`` at ``time`` known from other plots with information ``white.T @ white``; ``white (6, 6)``."""

    time: float
    x: np.ndarray
    white: np.ndarray


def residuals(model: Model, plots: Plots, errors: Errors, u: np.ndarray, coarse: bool = False, anchor: Anchor | None = None) -> np.ndarray:
    """Whitened residuals (m,) of the plots, then six of the anchor, whose time is not before the plots'."""
    if anchor is None:
        return errors.white(miss(plots, model.states(u, plots.time, coarse))[:, :, None])[:, 0]
    x = model.states(u, np.append(plots.time, anchor.time), coarse)
    return np.append(errors.white(miss(plots, x[:-1])[:, :, None])[:, 0], anchor.white @ (anchor.x - x[-1]))


def descend(
    model: Model, plots: Plots, errors: Errors, u: np.ndarray, robust: bool, anchor: Anchor | None = None, tries: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Least squares from u: parameters, whitened slopes of the plots (m, k), whitened residuals (m,), cost with the prior.

    ``robust``: Student's cost per plot, whose weights (nu + m) / (nu + d^2) are taken anew in every step.
    """
    which, count = np.nonzero(errors.have)[0], errors.have.sum(axis=1)

    def weigh(r: np.ndarray) -> tuple[float, np.ndarray]:
        if not robust:
            return float(r @ r), np.ones(len(r))
        own, other = r[: len(which)], r[len(which) :]
        d2 = np.bincount(which, own * own, len(count))
        cost = float(((STUDENT + count) * np.log1p(d2 / STUDENT)).sum()) + float(other @ other)
        return cost, np.append(np.sqrt((STUDENT + count) / (STUDENT + d2))[which], np.ones(len(other)))

    problem = descent.Problem(
        lambda v: np.append(residuals(model, plots, errors, v, robust, anchor), model.prior(v)[0]),
        lambda v: np.vstack([slopes(model, plots, errors, v, robust, anchor), model.prior(v)[1]]),
        weigh,
        model.reach,
    )
    u, J, r, cost = descent.descend(problem, u, tries or TRIES[robust], SETTLED[robust], WORTH[robust], robust)
    n = len(r) - len(model.prior(u)[0])
    return u, J[:n], r[:n], cost


def slopes(model: Model, plots: Plots, errors: Errors, u: np.ndarray, coarse: bool = False, anchor: Anchor | None = None) -> np.ndarray:
    """Derivatives (m, k) of the whitened residuals by the parameters; a boost's are nearly collinear: ``coarse`` is for a search."""
    if anchor is None:
        return errors.white(model.slopes(lambda v: miss(plots, model.states(v, plots.time, coarse)), u))
    time, columns = np.append(plots.time, anchor.time), []
    for axis, h in zip(np.eye(len(u)), model.step, strict=True):
        ahead, behind = (model.states(u + way * h * axis, time, coarse) for way in (1.0, -1.0))
        seen = (miss(plots, ahead[:-1]) - miss(plots, behind[:-1])) / (2.0 * h)
        columns.append((seen, -anchor.white @ (ahead[-1] - behind[-1]) / (2.0 * h)))
    return np.vstack([errors.white(np.stack([c[0] for c in columns], axis=-1)), np.stack([c[1] for c in columns], axis=-1)])


def approach(
    model: Model, plots: Plots, u: np.ndarray, rounds: tuple[float, ...] = WIDE, anchor: Anchor | None = None
) -> tuple[np.ndarray, float]:
    """The robust fit of a `few` plots, in ``rounds`` of closer and closer errors: parameters and Student's cost."""
    cost = math.inf
    for wide in rounds:
        some = few(plots, FAR if wide > 1.0 else FIRST)
        near = replace(anchor, white=anchor.white / wide) if anchor else None
        u, _, _, cost = descend(model, some, loose(some, wide), u, True, near)
    return u, cost


def few(plots: Plots, most: int = FIRST) -> Plots:
    """At most so many of the plots, spread evenly."""
    return plots[np.unique(np.linspace(0, len(plots.time) - 1, most).astype(int))]


def surprise(model: Model, plots: Plots, u: np.ndarray, anchor: Anchor | None = None) -> tuple[np.ndarray, float]:
    """Parameters fitted to a `few` plots near u, and minus twice the logarithm of the model's evidence (Laplace's
    approximation, MacKay, Neural Computation 4(3), 1992, up to a constant that models of the same plots share).

    A plot further than `NEAR` from u counts as one just there; infinite where hardly a plot is near.
    """
    plots = few(plots)
    r = np.where(plots.have, miss(plots, model.states(u, plots.time)) / loose(plots, 1.0).sigma, 0.0)
    far = (r * r).sum(axis=1) >= NEAR
    plots = replace(plots, have=plots.have & ~far[:, None])
    if plots.have.sum() < 8:
        return u, math.inf
    u, J, r, cost = descend(model, plots, tight(plots, model.states(u, plots.time)), u, False, anchor, RANKED)
    return u, cost + NEAR * int(far.sum()) - _volume(model, spread(model, J))


def _volume(model: Model, root: np.ndarray) -> float:
    """Twice the logarithm of the share of the prior's volume that a posterior with that root of its covariance fills."""
    return 2.0 * float(np.linalg.slogdet(root)[1] - np.log(model.sigma[np.isfinite(model.sigma)]).sum())


def evidence(fitted: Fit) -> float:
    """Minus twice the logarithm of a fit's evidence, as `surprise` has it; a refused plot counts as one just at `NEAR`."""
    model = fitted.model
    off, _ = model.prior(fitted.u)
    return fitted.chi2 + float(off @ off) + NEAR * int((~fitted.kept).sum()) - _volume(model, fitted.root[:, :-1])


def gate(model: Model, plots: Plots, u: np.ndarray) -> np.ndarray:
    """Which plots (n,) a flight with parameters u can explain."""
    off = np.where(plots.have, miss(plots, model.states(u, plots.time)) / loose(plots, 1.0).sigma, 0.0)
    return (off * off).sum(axis=1) < chi2.ppf(1.0 - GATE, np.maximum(plots.have.sum(axis=1), 1))


def fit(model: Model, plots: Plots, u: np.ndarray, rounds: tuple[float, ...] = WIDE) -> Fit:
    """Robust fit from u in ``rounds`` (see `approach`), gate, then maximum likelihood of the plots that passed it with their
    whole error covariance.

    Raises `CopfuseError` where fewer than `FEWEST` plots pass or they do not determine the flight.
    """
    u, _ = approach(model, plots, u, rounds)
    kept = np.zeros(0, bool)
    for _ in range(ROUNDS if plots.bias.any() else ROUNDS - 1):  # the biases' covariance, too, depends on the flight a little
        before, kept = kept, gate(model, plots, u)
        same = len(before) > 0 and bool((before == kept).all())
        if same and not plots.bias.any():
            break
        true = plots[kept]
        enough(true)
        u, J, r, _ = descend(model, true, tight(true, model.states(u, true.time)), u, False)
        if same:
            break
    return _told(model, true, kept, u, r)


def refit(fitted: Fit, model: Model, plots: Plots, u: np.ndarray) -> Fit:
    """The fit of another prior's model, from u, to the plots that a fit has kept.

    Raises `CopfuseError` where they do not determine the flight.
    """
    true = plots[fitted.kept]
    u, _, r, _ = descend(model, true, tight(true, fitted.model.states(fitted.u, true.time)), u, False)
    return _told(model, true, fitted.kept, u, r)


def _told(model: Model, true: Plots, kept: np.ndarray, u: np.ndarray, r: np.ndarray) -> Fit:
    """The fit that ended at u with whitened residuals r of the plots that were kept."""
    J = slopes(model, true, tight(true, model.states(u, true.time)), u)
    root = spread(model, J)
    off, rows = model.prior(u)
    left = root @ (root.T @ (J.T @ r + rows.T @ off))  # what Gauss and Newton's step still asks for: nothing where the fit has settled
    dof = float(len(r) - ((J @ root) ** 2).sum())
    return Fit(model, u, np.column_stack([root, left]), kept, float(r @ r), dof)


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
