"""How much a 95 % region of impacts must grow where a covariance alone does not tell it: bodies light and heavy.

A light body comes down short and drifts long in the wind, a heavy one does neither.  Given the ballistic coefficient the impact is about
normal; over all of them its tail is long on the light bodies' side, and an ellipse of the whole's variance leaves out more than 5 %.
"""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import borrowing

# Standard deviations from the mean ln(beta) to the bodies whose falls are known: the mean one, a heavy, a light and a rather light one
AT = np.array([0.0, math.sqrt(3.0), -math.sqrt(3.0), -0.9])
KNOWN = len(AT)
# Over ln(beta): standard deviations from its mean (a light body's are negative), and weights of the trapezoidal rule for a normal one
NODES = np.arange(-3.25, 3.0, 0.5)
WEIGHTS = np.exp(-0.5 * NODES**2) / np.exp(-0.5 * NODES**2).sum()
_EDGE = (-2.0 * math.log(0.05)) ** (1.0 / 3.0)  # third root of the squared distance to the edge of a normal 95 % region
_MOST = 4.0 ** (1.0 / 3.0)  # third root of the most that a covariance grows, *notional*
_HALVINGS = 8  # to 1 % of it


@borrowing
def straddled(u):
    """Between which two of `AT` a body u standard deviations off lies, or beyond the second, and how far of the way from the first."""
    k, other = 0, 1
    if u < AT[3]:
        k, other = 3, 2
    elif u < 0.0:
        other = 3
    return k, other, (u - AT[k]) / (AT[other] - AT[k])


@borrowing
def shared(lag, first, other, share):
    """How far of the way from a delay, s, to another one a delay is; ``share`` where they are the same."""
    return (lag - first) / (other - first) if abs(other - first) > 1e-6 else share


@borrowing
def lag_of(u, lags):
    """Seconds by which air delays a fall whose ln(beta) is u standard deviations off its mean, from those of the bodies that are known,
    ``lags (KNOWN,)``.

    Straight lines of their fourth roots: the lag goes as 1 / beta where a body comes down fast, as the root of that where it sinks in the
    end, and as a higher power between, where it begins to be stopped in the air: hence the rather light body.
    """
    k, other, share = straddled(u)
    first = math.sqrt(math.sqrt(max(lags[k], 0.0)))
    return max(first + share * (math.sqrt(math.sqrt(max(lags[other], 0.0))) - first), 0.0) ** 4


@borrowing
def _whitening(mean, P, W):
    """W (2, 3): what turns displacements from a mean (3) on the ground into numbers whose covariance, by P (3, 3), is 1."""
    level = math.sqrt(mean[0] * mean[0] + mean[1] * mean[1]) + 1e-9
    r = math.sqrt(level * level + mean[2] * mean[2])
    W[0, 0], W[0, 1], W[0, 2] = -mean[1] / level, mean[0] / level, 0.0
    W[1, 0], W[1, 1], W[1, 2] = -mean[2] * mean[0] / (level * r), -mean[2] * mean[1] / (level * r), level / r
    east, both, north = 0.0, 0.0, 0.0
    for i in range(3):
        for j in range(3):
            east += W[0, i] * P[i, j] * W[0, j]
            both += W[0, i] * P[i, j] * W[1, j]
            north += W[1, i] * P[i, j] * W[1, j]
    first = 1.0 / math.sqrt(east)
    lean = both * first
    second = 1.0 / math.sqrt(max(north - lean * lean, 1e-12 * north))
    for i in range(3):
        W[0, i] *= first
        W[1, i] = second * (W[1, i] - lean * W[0, i])


@borrowing
def _share(edge, roots):
    """Share of all within a squared distance whose third root is ``edge``, from what `grown` leaves in ``roots (2, n)``."""
    total = 0.0
    for i in range(len(NODES)):
        total += 0.5 * WEIGHTS[i] * math.erfc((roots[1, i] - edge * roots[0, i]) / math.sqrt(2.0 * (1.0 - roots[1, i])))
    return total


@borrowing
def grown(mean, P, points, n, lags, lag, scatter, W, b, roots):
    """By how much the covariance P (3, 3) of impacts about a mean (3) must be multiplied, at least 1, so that its ellipse on the ground
    holds 95 % of those that ``points (n + 3, 3)`` stand for.

    These are n of equal weight, two for each component of position and velocity, 3 standard deviations out; then a heavy, a light and a
    rather light body (`lag_of`: ``lags (KNOWN,)``).  At the `NODES` bodies are ``lag (nodes,)`` s late and have the variance
    ``scatter (nodes,)``, m^2 per axis, by wind and attitude; between those known their place goes with the lag.  Given ln(beta), the
    squared distance from the mean is taken as gamma distributed with its own mean and variance, by Wilson and Hilferty's third root
    (PNAS 17, 1931).  W (2, 3), b (KNOWN, 2), ``roots (2, nodes)`` are scratch.
    """
    _whitening(mean, P, W)
    for i in range(2):
        for k in range(KNOWN):
            b[k, i] = 0.0
        for c in range(3):
            for p in range(n):
                b[0, i] += W[i, c] * (points[p, c] - mean[c]) / n
            for k in range(1, KNOWN):
                b[k, i] += W[i, c] * (points[n + k - 1, c] - mean[c])
    s00, s01, s11 = 0.0, 0.0, 0.0  # by position and velocity
    for p in range(n):
        d0, d1 = -b[0, 0], -b[0, 1]
        for c in range(3):
            d0 += W[0, c] * (points[p, c] - mean[c])
            d1 += W[1, c] * (points[p, c] - mean[c])
        s00 += d0 * d0 / 18.0
        s01 += d0 * d1 / 18.0
        s11 += d1 * d1 / 18.0
    g00 = W[0, 0] ** 2 + W[0, 1] ** 2 + W[0, 2] ** 2
    g01 = W[0, 0] * W[1, 0] + W[0, 1] * W[1, 1] + W[0, 2] * W[1, 2]
    g11 = W[1, 0] ** 2 + W[1, 1] ** 2 + W[1, 2] ** 2
    for i in range(len(NODES)):
        k, other, share = straddled(NODES[i])
        share = shared(lag[i], lags[k], lags[other], share)
        m0, m1 = b[k, 0] + share * (b[other, 0] - b[k, 0]), b[k, 1] + share * (b[other, 1] - b[k, 1])
        a00, a01, a11 = s00 + scatter[i] * g00, s01 + scatter[i] * g01, s11 + scatter[i] * g11
        middle = a00 + a11 + m0 * m0 + m1 * m1
        bent = 2.0 * (a00 * a00 + 2.0 * a01 * a01 + a11 * a11) + 4.0 * (m0 * m0 * a00 + 2.0 * m0 * m1 * a01 + m1 * m1 * a11)
        roots[0, i], roots[1, i] = middle ** (-1.0 / 3.0), 1.0 - bent / (9.0 * middle * middle)
    low, high = _EDGE, _EDGE * _MOST
    if _share(low, roots) >= 0.95:
        return 1.0
    for _ in range(_HALVINGS):
        halfway = 0.5 * (low + high)
        if _share(halfway, roots) < 0.95:
            low = halfway
        else:
            high = halfway
    return (high / _EDGE) ** 3
