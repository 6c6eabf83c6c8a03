"""Gaussian filtering and smoothing over any model, in plain numpy and over n independent runs or tracks at once.

A motion or a sensor is a `Model`: a plain function of rows (n, d) -> (n, d') with the covariance of its noise.  One
core, `linearise`, replaces the function by the straight line that fits it best over a Gaussian (statistical linear
regression: Arasaratnam, Haykin & Elliott, Proc. IEEE 95(5), 2007; a Taylor line is the special case of the extended
Kalman filter).  `predict`, `update`, `smooth` and `transform` are the exact linear formulas on that line; `mixtures`
puts several models beside each other.  The production filter over Earth-fixed states is compiled and stands in
`filters`; this module is for everything else, and for checking it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from copfuse.errors import CopfuseError

Function = Callable[[np.ndarray], np.ndarray]
Moments = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Rule:
    """How a function is linearised: `TAYLOR`, `CUBATURE`, or what `unscented` and `gauss_hermite` return."""

    kind: str  # "taylor" | "unscented" | "gauss-hermite"
    alpha: float = 1.0
    beta: float = 0.0
    kappa: float = 0.0
    order: int = 3

    def points(self, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points (m, d) of the unit Gaussian, their weights (m,) in the mean and (m,) in the covariance."""
        return _points(self, d)


TAYLOR = Rule("taylor")
CUBATURE = Rule("unscented")


def unscented(alpha: float = 1.0, beta: float = 0.0, kappa: float = 0.0) -> Rule:
    """The scaled unscented rule (Wan & van der Merwe, AS-SPCC 2000); left at alpha 1, beta 0 it is Julier's with kappa
    (Julier & Uhlmann, Proc. IEEE 92(3), 2004), and with kappa 0 too the third-degree cubature rule."""
    if not alpha > 0.0:
        raise CopfuseError(f"unscented rule: alpha is {alpha}, and must be above 0 (1 for Julier's rule)")
    return Rule("unscented", alpha, beta, kappa)


def gauss_hermite(order: int = 3) -> Rule:
    """The product Gauss-Hermite rule with ``order`` points per axis, order**d in all (Ito & Xiong, IEEE T-AC 45(5), 2000)."""
    if order < 2:
        raise CopfuseError(f"Gauss-Hermite rule: order is {order}, and must be 2 or more (3 is usual)")
    return Rule("gauss-hermite", order=order)


@lru_cache(maxsize=64)
def _points(rule: Rule, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if rule.kind == "gauss-hermite":
        node, weight = np.polynomial.hermite_e.hermegauss(rule.order)
        unit = np.array(list(product(node, repeat=d)))
        w = np.prod(list(product(weight / weight.sum(), repeat=d)), axis=1)
        return unit, w, w
    spread = rule.alpha**2 * (d + rule.kappa)
    if not spread > 0.0:
        raise CopfuseError(f"unscented rule: kappa is {rule.kappa} for {d} components, and must be above {-d}")
    axes = np.sqrt(spread) * np.eye(d)
    unit = np.concatenate([np.zeros((1, d)), axes, -axes])
    w = np.full(2 * d + 1, 0.5 / spread)
    w[0] = 1.0 - d / spread
    wc = w.copy()
    wc[0] += 1.0 - rule.alpha**2 + rule.beta
    if w[0] == wc[0] == 0.0:  # cubature: nothing stands at the centre
        return unit[1:], w[1:], wc[1:]
    return unit, w, wc


@dataclass(frozen=True)
class Model:
    """A motion or a sensor: y = function(x) + noise.

    ``function``: rows (n, d) -> (n, d'), called with the same n rows each time, so it may hold data per row.
    ``noise``: covariance (d', d') or (n, d', d'), or a function of rows that gives one.  ``jacobian``: rows -> (n, d', d),
    used by the Taylor rule alone, which else takes central differences.  ``angles``: components of y in radians that wrap.
    """

    function: Function
    noise: np.ndarray | Function
    jacobian: Function | None = None
    angles: tuple[int, ...] = ()

    def covariance(self, x: np.ndarray) -> np.ndarray:
        """Noise covariance (d', d') or (n, d', d') at rows x."""
        return self.noise(x) if callable(self.noise) else np.asarray(self.noise, float)


def linear(F, Q) -> Model:
    """The model y = F x + noise of covariance Q: F (d', d) or one per row (n, d', d)."""
    F = np.asarray(F, float)

    def jacobian(x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(F, (len(x), *F.shape[-2:]))

    return Model(lambda x: apply(F, x), np.asarray(Q, float), jacobian)


def apply(A: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Matrices (n, i, j) or (i, j) times rows (n, j): (n, i)."""
    return (A @ x[..., None])[..., 0]


def transpose(A: np.ndarray) -> np.ndarray:
    """The last two axes swapped."""
    return np.swapaxes(A, -1, -2)


def wrap(y: np.ndarray, angles: Sequence[int]) -> np.ndarray:
    """A copy of y (..., d') with the components ``angles`` in [-pi, pi)."""
    y = np.array(y, float)
    for a in angles:
        y[..., a] = np.mod(y[..., a] + np.pi, 2.0 * np.pi) - np.pi
    return y


def root(P: np.ndarray) -> np.ndarray:
    """L (n, d, d) with L L' = P.  Lower triangular; where a covariance is singular to rounding, a square root by
    eigenvalues that are lifted to 1e-14 of the correlation matrix's largest, so that L can always be solved with.  A row
    that is not finite stays so, and alone."""
    scale = np.sqrt(np.einsum("...ii->...i", P))
    scale = np.where(scale > 0.0, scale, 1.0)
    unit = P / (scale[..., :, None] * scale[..., None, :])
    try:
        return scale[..., :, None] * np.linalg.cholesky(unit)
    except np.linalg.LinAlgError:  # row by row, so that no row's answer depends on its neighbours
        return scale[..., :, None] * np.array([_root_of_one(C) for C in unit.reshape(-1, *P.shape[-2:])]).reshape(P.shape)


def _root_of_one(C: np.ndarray) -> np.ndarray:
    if not np.isfinite(C).all():
        return np.full(C.shape, np.nan)
    try:
        return np.linalg.cholesky(C)
    except np.linalg.LinAlgError:
        value, vector = np.linalg.eigh(0.5 * (C + C.T))
        return vector * np.sqrt(np.maximum(value, 1e-14 * max(value[-1], 1.0)))


def linearise(function: Function, x, P, rule: Rule = CUBATURE, jacobian: Function | None = None, angles: Sequence[int] = ()):
    """The line y = mean + A (X - x) that fits ``function`` over X ~ N(x, P), and what is left around it.

    x (n, d), P (n, d, d).  Returns the mean (n, d'), the slope A (n, d', d) and the residual covariance Omega
    (n, d', d'): statistical linear regression, so that cov(y, X) = A P and var(y) = A P A' + Omega under the rule.  The
    Taylor rule takes the value and the Jacobian at x, and leaves nothing: Omega is 0.  Component a in ``angles`` is
    averaged around the first point's value, not across the cut at pi.
    """
    if rule.kind == "taylor":
        mean = function(x)
        slope = _differences(function, x, P, angles) if jacobian is None else jacobian(x)
        return mean, slope, np.zeros((*mean.shape, mean.shape[-1]))
    unit, w, wc = rule.points(x.shape[-1])
    lower = root(P)
    y = np.stack([function(x + lower @ u) for u in unit])
    if angles:
        y = y[0] + wrap(y - y[0], angles)
    mean = np.tensordot(w, y, 1)
    spread = y - mean
    cross = np.moveaxis(np.tensordot(wc[:, None] * unit, spread, (0, 0)), 0, 1)  # cov(unit points, y): (n, d, d')
    slope = transpose(np.linalg.solve(transpose(lower), cross))
    spread = np.moveaxis(spread, 0, -1)
    residual = (wc * spread) @ transpose(spread) - transpose(cross) @ cross
    return mean, slope, _positive(residual) if wc.min() < 0.0 else _symmetric(residual)


def _positive(P: np.ndarray) -> np.ndarray:
    """The nearest positive semidefinite matrices: a negative weight can turn a residual covariance indefinite."""
    P = _symmetric(P)
    bad = np.isfinite(P).all(axis=(-2, -1))
    bad[bad] = np.linalg.eigvalsh(P[bad]).min(axis=-1) < 0.0
    if bad.any():
        value, vector = np.linalg.eigh(P[bad])
        P[bad] = _symmetric((vector * np.maximum(value, 0.0)[..., None, :]) @ transpose(vector))
    return P


def _differences(function: Function, x: np.ndarray, P: np.ndarray, angles: Sequence[int]) -> np.ndarray:
    """Central-difference Jacobian (n, d', d): steps of 1e-3 sigma, or more where rounding asks for it."""
    sigma = np.sqrt(np.einsum("nii->ni", P))
    step = np.maximum(np.maximum(1e-3 * sigma, 6e-6 * np.abs(x)), 1e-12)
    columns = []
    for i in range(x.shape[-1]):
        e = step * (np.arange(x.shape[-1]) == i)
        columns.append(wrap(function(x + e) - function(x - e), angles) / (2.0 * step[:, i : i + 1]))
    return np.stack(columns, axis=-1)


def transform(function: Function, x, P, rule: Rule = CUBATURE, angles: Sequence[int] = ()) -> Moments:
    """Mean (n, d') and covariance (n, d', d') of ``function`` of N(x, P) under the rule."""
    x = np.atleast_2d(np.asarray(x, float))
    P = np.broadcast_to(np.asarray(P, float), (*x.shape, x.shape[-1]))
    mean, slope, residual = linearise(function, x, P, rule, angles=angles)
    return mean, slope @ P @ transpose(slope) + residual


def predict(x, P, motion: Model, rule: Rule = CUBATURE) -> Moments:
    """Mean (n, d') and covariance (n, d', d') after the motion, from x (n, d), P (n, d, d)."""
    mean, slope, residual = linearise(motion.function, x, P, rule, motion.jacobian, motion.angles)
    return mean, _symmetric(slope @ P @ transpose(slope) + residual + motion.covariance(x))


@dataclass(frozen=True)
class Update:
    """x (n, d), P (n, d, d) after a measurement, its log likelihood (n,) and squared Mahalanobis distance (n,), both
    under the prior's linearisation; where a gate was asked for, ``refused`` (n,) says which measurements were left out."""

    x: np.ndarray
    P: np.ndarray
    loglik: np.ndarray
    d2: np.ndarray
    refused: np.ndarray | None = None


def update(x, P, z, sensor: Model, rule: Rule = CUBATURE, iterations: int = 1) -> Update:
    """Rows x (n, d), P (n, d, d) given measurements z (n, d'); NaN in z marks a component that was not measured.

    With more than one iteration the sensor is linearised anew over the posterior each time: the iterated posterior
    linearisation filter (Garcia-Fernandez, Svensson, Morelande & Sarkka, IEEE T-SP 63(20), 2015, algorithm 1); under the
    Taylor rule that is the iterated extended Kalman filter.  Covariances are in Joseph's form.
    """
    if iterations < 1:
        raise CopfuseError(f"update: iterations is {iterations}, and must be 1 or more")
    z = np.broadcast_to(np.asarray(z, float), (len(x), np.shape(z)[-1]))
    seen = ~np.isnan(z)
    at, spread = x, P
    for i in range(iterations):
        mean, slope, residual = linearise(sensor.function, at, spread, rule, sensor.jacobian, sensor.angles)
        noise = residual + sensor.covariance(at)
        innovation = wrap(z - mean - apply(slope, x - at), sensor.angles)
        innovation, slope, noise = _only(seen, innovation, slope, noise)
        S = _symmetric(slope @ P @ transpose(slope) + noise)
        if i == 0:
            loglik, d2 = gaussian_log(innovation, S, seen.sum(axis=1))
        gain = transpose(np.linalg.solve(S, slope @ P))
        at = x + apply(gain, innovation)
        spread = _joseph(gain, slope, P, noise)
    return Update(at, spread, loglik, d2)


def _only(seen, innovation, slope, noise):
    """A component that was not measured gets no slope, no innovation and unit noise of its own: it changes nothing."""
    if seen.all():
        return innovation, slope, noise
    both = seen[:, :, None] & seen[:, None, :]
    noise = np.where(both, noise, np.eye(seen.shape[1]))
    return np.where(seen, innovation, 0.0), np.where(seen[:, :, None], slope, 0.0), noise


def gaussian_log(difference, S, count=None) -> Moments:
    """Log density (n,) and squared Mahalanobis distance (n,) of differences (n, d) under covariances S (n, d, d);
    ``count`` (n,): components that are measured, where not all are."""
    d2 = (difference * np.linalg.solve(S, difference[..., None])[..., 0]).sum(axis=-1)
    d = difference.shape[-1] if count is None else count
    return -0.5 * (d2 + np.linalg.slogdet(S)[1] + d * np.log(2.0 * np.pi)), d2


def filter_series(x, P, z, motion: Model, sensor: Model, rule: Rule = CUBATURE, iterations: int = 1):
    """Predict and update in turn over measurements z (T, n, d'): x (T, n, d), P (T, n, d, d), log likelihood (T, n)."""
    means, covariances, logs = [], [], []
    for row in np.asarray(z, float):
        x, P = predict(x, P, motion, rule)
        new = update(x, P, row, sensor, rule, iterations)
        x, P = new.x, new.P
        means.append(x)
        covariances.append(P)
        logs.append(new.loglik)
    return np.array(means), np.array(covariances), np.array(logs)


def smooth(x, P, motion: Model | Sequence[Model], rule: Rule = CUBATURE) -> Moments:
    """Rauch-Tung-Striebel smoother over filtered x (T, n, d), P (T, n, d, d): the moments given the whole series.

    The motion (one, or T - 1 of them) is linearised over each filtered Gaussian as `predict` did; the covariance is
    summed from positive terms (Joseph's form).  Rauch, Tung & Striebel, AIAA J. 3(8), 1965; for sigma points Sarkka,
    IEEE T-AC 53(3), 2008.
    """
    steps = len(x) - 1
    motions = [motion] * steps if isinstance(motion, Model) else list(motion)
    if len(motions) != steps:
        raise CopfuseError(f"smooth: {len(motions)} motions for {steps + 1} times, and {steps} are needed, or one for all")
    xs, Ps = np.array(x, float), np.array(P, float)
    for k in range(steps - 1, -1, -1):
        m = motions[k]
        mean, slope, residual = linearise(m.function, x[k], P[k], rule, m.jacobian, m.angles)
        noise = residual + m.covariance(x[k])
        ahead = slope @ P[k] @ transpose(slope) + noise
        gain = transpose(np.linalg.solve(ahead, slope @ P[k]))
        xs[k] = x[k] + apply(gain, wrap(xs[k + 1] - mean, m.angles))
        Ps[k] = _joseph(gain, slope, P[k], noise + Ps[k + 1])
    return xs, Ps


def _joseph(gain, slope, P, noise) -> np.ndarray:
    """(I - K A) P (I - K A)' + K noise K': positive whatever the gain."""
    left = np.eye(P.shape[-1]) - gain @ slope
    return _symmetric(left @ P @ transpose(left) + gain @ noise @ transpose(gain))


def _symmetric(P: np.ndarray) -> np.ndarray:
    return 0.5 * (P + transpose(P))
