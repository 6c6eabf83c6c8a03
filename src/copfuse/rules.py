"""Fusion rules: one estimate out of two, by what is known of how their errors hang together.

Nothing known: `covariance_intersection`.  Common information of unknown amount: `inverse_covariance_intersection`.  The
cross-covariance known: `campo`.  What the other has sent before known: `tracklet` and `absorb`.  The plots themselves at
hand: `measurement_fusion`, which is the reference.  States of unequal dimension: `unequal`.

Every rule takes n pairs at once, x (n, d) or (d,) with P (n, d, d) or (d, d), in any units, and forms means about the first
estimate, so that nothing is lost to the size of the Earth.  All raise `CopfuseError` for shapes that do not fit or a
covariance that is not positive definite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from copfuse.checking import choice
from copfuse.errors import CopfuseError
from copfuse.gaussian import apply, transpose
from copfuse.kernels.intersection import intersect, intersect_rows

BY = ("determinant", "trace")
TOGETHER = ("split", "ci", "ici", "independent")
_GOLDEN = 0.5 * (5.0**0.5 - 1.0)
_EDGE = 1e-6  # weights stay this far from 0 and 1
_STEPS = 40


@dataclass(frozen=True)
class Fused:
    """x (n, d) and P (n, d, d) of the fused estimates; ``weight`` (n,) of the first in those rules that choose one, else nan."""

    x: np.ndarray
    P: np.ndarray
    weight: np.ndarray


def independent(x1, P1, x2, P2) -> Fused:
    """The sum of informations: exact for independent errors, too sure of itself (naive) for all others."""
    x1, P1, x2, P2 = _pair(x1, P1, x2, P2)
    return campo(x1, P1, x2, P2, np.zeros_like(P1))


def campo(x1, P1, x2, P2, P12) -> Fused:
    """The best linear fusion for a known cross-covariance P12 (n, d, d) = E[e1 e2'] (Bar-Shalom & Campo, IEEE T-AES 22(6), 1986).

    ``cross_covariance`` gives P12 of two Kalman filters on one target.
    """
    x1, P1, x2, P2 = _pair(x1, P1, x2, P2)
    P12 = np.broadcast_to(np.asarray(P12, float), P1.shape)
    spread = P1 + P2 - P12 - transpose(P12)
    gain = transpose(np.linalg.solve(spread, transpose(P1 - P12)))
    P = P1 - gain @ transpose(P1 - P12)
    return Fused(x1 + apply(gain, x2 - x1), _symmetric(P), np.full(len(x1), np.nan))


def cross_covariance(P12, F, Q, left1, left2) -> np.ndarray:
    """One step of the cross-covariance of two filters on one target: (I - K1 H1)(F P12 F' + Q)(I - K2 H2)'.

    ``left1``, ``left2`` are I - K H of the two updates; I for a filter that had no plot.  Any stack of matrices (..., d, d).
    Bar-Shalom, IEEE T-AC 26(2), 1981, eq. 10.
    """
    return left1 @ (F @ P12 @ transpose(F) + Q) @ transpose(left2)


def covariance_intersection(x1, P1, x2, P2, by: str = "determinant") -> Fused:
    """Never below the true covariance, whatever the correlation (Julier & Uhlmann, Proc. ACC 1997).

    ``by``: what the weight minimises, "determinant" or "trace" (which adds up unlike units).  `kernels.intersection.intersect`.
    """
    x1, P1, x2, P2 = _pair(x1, P1, x2, P2)
    trace = choice(by, BY, "by") == "trace"
    w, work, zero = np.empty(len(x1)), np.empty((2, *P1.shape[1:])), np.zeros((2, x1.shape[1]))
    for i in range(len(x1)):
        w[i] = intersect(zero[0], P1[i], P1[i], zero[0], P2[i], P2[i], trace, zero[1], *work)
    I1, I2 = np.linalg.inv(P1), np.linalg.inv(P2)
    w = _settled(lambda w: _size(_of(w) * I1 + _of(1.0 - w) * I2, by), w)
    P = _symmetric(np.linalg.inv(_of(w) * I1 + _of(1.0 - w) * I2))
    return Fused(x1 + (1.0 - w)[:, None] * apply(P @ I2, x2 - x1), P, w)


def inverse_covariance_intersection(x1, P1, x2, P2, by: str = "trace") -> Fused:
    """Tighter than covariance intersection, for estimates that are correlated only by common information of unknown amount.

    P^-1 = P1^-1 + P2^-1 - (w P1 + (1 - w) P2)^-1 (Noack, Sijs, Reinhardt & Hanebeck, Automatica 79, 2017).  Common process
    noise is not of that kind: for two filters of one manoeuvring target the claim is not proven.
    """
    x1, P1, x2, P2 = _pair(x1, P1, x2, P2)
    I1, I2 = np.linalg.inv(P1), np.linalg.inv(P2)

    def fused(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shared = np.linalg.inv(_of(w) * P1 + _of(1.0 - w) * P2)
        return I1 + I2 - shared, shared

    kind = choice(by, BY, "by")
    w = _least(lambda w: _size(fused(w)[0], kind), len(x1))
    information, shared = fused(w)
    P = _symmetric(np.linalg.inv(information))
    gain = P @ (I2 - _of(1.0 - w) * shared)
    return Fused(x1 + apply(gain, x2 - x1), P, w)


def ellipsoidal_intersection(x1, P1, x2, P2) -> Fused:
    """The fusion under the largest common information that both covariances allow (Sijs & Lazar, Automatica 48(8), 2012).

    Their mutual mean is what makes the two estimates differ least.  The claim can be below the true covariance.
    """
    x1, P1, x2, P2 = _pair(x1, P1, x2, P2)
    lower = np.linalg.cholesky(P1)
    inverse = np.linalg.inv(lower)
    value, vector = np.linalg.eigh(_symmetric(inverse @ P2 @ transpose(inverse)))
    back = transpose(vector) @ inverse
    own1, own2 = 1.0 - 1.0 / np.maximum(1.0, value), 1.0 / value - 1.0 / np.maximum(1.0, value)  # each one's own information
    flat = np.where(np.abs(value - 1.0).min(axis=1, keepdims=True) < 1e-8, 1e-9, 0.0)
    share = (own1 + flat) / (own1 + own2 + 2.0 * flat)  # of the second estimate in the mutual mean
    D = 1.0 / (1.0 + 1.0 / value - 1.0 / np.maximum(1.0, value))
    apart = apply(back, x2 - x1)
    x = apply(lower @ vector, D * (1.0 / value - share / np.maximum(1.0, value)) * apart)
    basis = lower @ vector
    return Fused(x1 + x, _symmetric((basis * D[:, None, :]) @ transpose(basis)), np.full(len(x1), np.nan))


# Several sources at once -------------------------------------------------------------------------------------------------


def together(rule: str, x, P, D, have) -> tuple[np.ndarray, np.ndarray]:
    """The estimates of up to s sources of each of n objects, one after the other in the order given: x (n, d) and P (n, d, d).

    ``x (n, s, d)``, ``P (n, s, d, d)``, ``have (n, s)``: which sources are there, the first always; ``rule``, one of `TOGETHER`:
    "split", split covariance intersection (Julier & Uhlmann 2001), by which only ``D (n, s, d, d)``, a part of P, may be common to the
    sources; "ci", `covariance_intersection`, by which all may (d is 6 for both); "ici", `inverse_covariance_intersection` by the
    determinant; "independent", by which nothing is.
    """
    if choice(rule, TOGETHER, "rule") in ("split", "ci"):
        fused = np.zeros_like(x[:, 0]), np.zeros_like(P[:, 0])
        intersect_rows(*(np.ascontiguousarray(v) for v in (x, P, D if rule == "split" else P, have)), *fused)
        return fused
    mean, cov = x[:, 0].copy(), P[:, 0].copy()
    for k in range(1, x.shape[1]):
        if len(rows := np.flatnonzero(have[:, k])):
            two = mean[rows], cov[rows], x[rows, k], P[rows, k]
            one = independent(*two) if rule == "independent" else inverse_covariance_intersection(*two, by="determinant")
            mean[rows], cov[rows] = one.x, one.P
    return mean, cov


# Tracklets: what a source has learned since it last spoke ---------------------------------------------------------------


@dataclass(frozen=True)
class Tracklet:
    """New information of a source: matrix Y (n, d, d) and, about the point ``at`` (n, d), vector y (n, d)."""

    at: np.ndarray
    y: np.ndarray
    Y: np.ndarray


def tracklet(x, P, sent, P_sent) -> Tracklet:
    """What a local track x (n, d), P (n, d, d) knows beyond ``sent``, P_sent: its last sent estimate, predicted to the same time.

    Information-matrix fusion (Chong, Mori & Chang, in Multitarget-Multisensor Tracking, ed. Bar-Shalom, 1990, ch. 8;
    Drummond, Proc. SPIE 3163, 1997).  Exact where nothing was left out in between or the motion has no process noise; else the
    process noise since then is counted once for each source, and the result is the more too sure of itself the longer that is.
    """
    x, P, sent, P_sent = _pair(x, P, sent, P_sent)
    before = np.linalg.inv(P_sent)
    return Tracklet(x, apply(before, x - sent), _symmetric(np.linalg.inv(P) - before))


def absorb(x, P, *news: Tracklet) -> Fused:
    """An estimate x (n, d), P (n, d, d) with the tracklets of any number of sources, all at one time."""
    x, P = _rows(x, P, "the estimate")
    information, vector = np.linalg.inv(P), np.zeros_like(x)
    for new in news:
        information = information + new.Y
        vector = vector + new.y + apply(new.Y, new.at - x)
    fused = _symmetric(np.linalg.inv(information))
    return Fused(x + apply(fused, vector), fused, np.full(len(x), np.nan))


def measurement_fusion(x, P, z, H, R) -> Fused:
    """The reference: an estimate x (n, d), P (n, d, d) with measurements z (s, n, m) of s sensors, one after the other.

    H (s, m, d), R (s, m, m); z = H x + noise, independent between sensors.  Joseph's form.
    """
    x, P = _rows(x, P, "the estimate")
    for value, slope, noise in zip(np.asarray(z, float), np.asarray(H, float), np.asarray(R, float), strict=True):
        gain = transpose(np.linalg.solve(slope @ P @ slope.T + noise, slope @ P))
        x = x + apply(gain, value - x @ slope.T)
        left = np.eye(x.shape[1]) - gain @ slope
        P = _symmetric(left @ P @ transpose(left) + gain @ noise @ transpose(gain))
    return Fused(x, P, np.full(len(x), np.nan))


# States of unequal dimension --------------------------------------------------------------------------------------------


def unequal(
    x1, P1, names1: Sequence[str], x2, P2, names2: Sequence[str], cross=None, by: str = "determinant"
) -> tuple[Fused, tuple[str, ...]]:
    """Two estimates that know different components of one object, such as a coasting state of six and a boosting one of nine.

    ``names1`` (d1) and ``names2`` (d2) name the components; a component means the same wherever its name stands.  Returns the
    estimate of all components that either knows, and their names: first those of ``names1``, then what ``names2`` adds.
    With ``cross`` (n, d1, d2) = E[e1 e2'], known, zeros for independent errors, it is the best linear unbiased estimate
    (Aitken 1935).  Without, covariance intersection over all components, in information form: what only one source knows is
    widened with the rest, because its error may be correlated with the other's too, and carrying a fused common part over by
    regression alone would claim too much.
    """
    x1, P1 = _rows(x1, P1, "the first estimate")
    x2, P2 = _rows(x2, P2, "the second estimate")
    names = tuple(names1) + tuple(n for n in names2 if n not in names1)
    if not set(names1) & set(names2):
        raise CopfuseError(f"nothing in common: {', '.join(names1)} and {', '.join(names2)} share no component")
    H1, H2 = _pick(names1, names, x1), _pick(names2, names, x2)
    n = max(len(x1), len(x2))
    extra = [list(names2).index(name) for name in names[len(names1) :]]
    base = np.hstack([np.broadcast_to(x1, (n, x1.shape[1])), np.broadcast_to(x2[:, extra], (n, len(extra)))])
    d1, d2 = np.zeros((n, len(names1))), x2 - base @ H2.T  # everything about one point, the first estimate
    if cross is not None:
        return _blue(base, d1, P1, H1, d2, P2, H2, np.asarray(cross, float)), names
    I1, I2 = H1.T @ np.linalg.inv(P1) @ H1, H2.T @ np.linalg.inv(P2) @ H2
    kind = choice(by, BY, "by")
    w = _least(lambda w: _size(_of(w) * I1 + _of(1.0 - w) * I2, kind), len(base))
    P = _symmetric(np.linalg.inv(_of(w) * I1 + _of(1.0 - w) * I2))
    vector = w[:, None] * (np.linalg.solve(P1, d1[..., None])[..., 0] @ H1)
    vector = vector + (1.0 - w[:, None]) * (np.linalg.solve(P2, d2[..., None])[..., 0] @ H2)
    return Fused(base + apply(P, vector), P, w), names


def _blue(base, d1, P1, H1, d2, P2, H2, cross) -> Fused:
    """Generalised least squares on both estimates with their joint covariance."""
    n, k = len(base), len(H1)
    joint = np.empty((n, k + len(H2), k + len(H2)))
    joint[:, :k, :k], joint[:, k:, k:], joint[:, :k, k:] = P1, P2, cross
    joint[:, k:, :k] = transpose(joint[:, :k, k:])
    H = np.vstack([H1, H2])
    weighed = transpose(np.linalg.solve(joint, np.broadcast_to(H, (n, *H.shape))))
    P = _symmetric(np.linalg.inv(weighed @ H))
    return Fused(base + apply(P @ weighed, np.hstack([d1, d2])), P, np.full(n, np.nan))


def _pick(names: Sequence[str], out_of: Sequence[str], x: np.ndarray) -> np.ndarray:
    """The matrix of zeros and ones (d, k) that takes the named components out of all."""
    if len(names) != x.shape[1] or len(set(names)) != len(names):
        raise CopfuseError(f"{len(set(names))} different names ({', '.join(names)}) for {x.shape[1]} components; one each is needed")
    return (np.array(names)[:, None] == np.array(out_of)).astype(float)


def _size(information: np.ndarray, by: str) -> np.ndarray:
    """What a weight is to minimise, (n,): log determinant or trace of the inverse."""
    if by == "trace":
        return np.trace(np.linalg.inv(information), axis1=1, axis2=2)
    return -np.linalg.slogdet(information)[1]


def _least(f: Callable[[np.ndarray], np.ndarray], n: int) -> np.ndarray:
    """Weights (n,) at which f is least, each between 0 and 1, by golden section on all rows together."""
    low, high = np.full(n, _EDGE), np.full(n, 1.0 - _EDGE)
    for _ in range(_STEPS):
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        left = f(a) < f(b)
        low, high = np.where(left, low, a), np.where(left, b, high)
    return _settled(f, 0.5 * (low + high))


def _settled(f: Callable[[np.ndarray], np.ndarray], w: np.ndarray) -> np.ndarray:
    """Weights w, or a half where that is as good: of two estimates that claim the same, the mean is better than either."""
    half = np.full(len(w), 0.5)
    best, even = f(w), f(half)
    return np.where(even - best > 1e-12 * np.maximum(np.abs(even), 1.0), w, half)


def _of(w: np.ndarray) -> np.ndarray:
    return w[:, None, None]


def _pair(x1, P1, x2, P2) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    x1, P1 = _rows(x1, P1, "the first estimate")
    x2, P2 = _rows(x2, P2, "the second estimate")
    if x1.shape[1] != x2.shape[1]:
        raise CopfuseError(f"the estimates have {x1.shape[1]} and {x2.shape[1]} components; `unequal` fuses such")
    if len(x1) != len(x2) and 1 not in (len(x1), len(x2)):
        raise CopfuseError(f"{len(x1)} first and {len(x2)} second estimates; as many, or one, are needed")
    (x1, x2), (P1, P2) = np.broadcast_arrays(x1, x2), np.broadcast_arrays(P1, P2)
    return x1, np.ascontiguousarray(P1), x2, np.ascontiguousarray(P2)


def _rows(x, P, what: str) -> tuple[np.ndarray, np.ndarray]:
    """x as (n, d), P as (n, d, d), checked."""
    x, P = np.atleast_2d(np.asarray(x, float)), np.asarray(P, float)
    d = x.shape[1]
    if x.ndim != 2 or P.ndim not in (2, 3) or P.shape[-2:] != (d, d) or (P.ndim == 3 and len(P) not in (1, len(x)) and len(x) != 1):
        raise CopfuseError(f"{what}: x has shape {x.shape} and P {P.shape}; (n, d) and (n, d, d) are needed")
    P = P if P.ndim == 3 else P[None]
    n = max(len(x), len(P))
    try:
        np.linalg.cholesky(P)
    except np.linalg.LinAlgError:
        raise CopfuseError(f"{what}: a covariance is not positive definite") from None
    return np.broadcast_to(x, (n, d)), np.broadcast_to(P, (n, d, d))


def _symmetric(P: np.ndarray) -> np.ndarray:
    return 0.5 * (P + transpose(P))
