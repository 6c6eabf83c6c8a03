"""Where and when an object comes down, and the mean of two estimates whose correlation nobody knows."""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import njit
from copfuse.kernels.earth import altitude
from copfuse.kernels.estimation import derivative, propagate
from copfuse.kernels.small import cholesky, invert

_LONGEST_FLIGHT = 7200.0  # s; what has not come down by then is in orbit
BURNS = np.array([0.0, 8.0, 20.0, 40.0, 70.0])  # s, further burn times that a forecast in boost stands for, *notional*


@njit
def _rk4(s, dt, k, y):
    derivative(2, s, k[0])
    for i in range(7):
        y[i] = s[i] + 0.5 * dt * k[0, i]
    derivative(2, y, k[1])
    for i in range(7):
        y[i] = s[i] + 0.5 * dt * k[1, i]
    derivative(2, y, k[2])
    for i in range(7):
        y[i] = s[i] + dt * k[2, i]
    derivative(2, y, k[3])
    for i in range(7):
        s[i] += dt / 6.0 * (k[0, i] + 2.0 * k[1, i] + 2.0 * k[2, i] + k[3, i])


@njit
def fall(s, k, y):
    """Move state s (7: position, velocity, ln beta) to the ground; returns the seconds that takes, nan if it does not fall."""
    t = 0.0
    h = altitude(s[0], s[1], s[2])
    while h > 0.0:
        if t > _LONGEST_FLIGHT:
            return math.nan
        v = math.sqrt(s[3] * s[3] + s[4] * s[4] + s[5] * s[5]) + 1.0
        dt = min(max(0.5 * (h - 100e3) / v, 1.0 if h > 30e3 else 0.5), 60.0)
        before = h
        _rk4(s, dt, k, y)
        t += dt
        h = altitude(s[0], s[1], s[2])
        if h <= 0.0:
            back = dt * h / (before - h)  # negative: the secant through the last two heights
            _rk4(s, back, k, y)
            t += back
    return t


@njit
def _moments(points, times, weights, n, mean, P):
    """Weighted mean (3) and covariance (3, 3) of positions, mean and variance of times."""
    total = 0.0
    tm = 0.0
    tv = 0.0
    for p in range(n):
        total += weights[p]
    for i in range(3):
        mean[i] = 0.0
        for p in range(n):
            mean[i] += weights[p] / total * points[p, i]
    for p in range(n):
        tm += weights[p] / total * times[p]
    for i in range(3):
        for j in range(3):
            P[i, j] = 0.0
            for p in range(n):
                P[i, j] += weights[p] / total * (points[p, i] - mean[i]) * (points[p, j] - mean[j])
    for p in range(n):
        tv += weights[p] / total * (times[p] - tm) ** 2
    return tm, tv


@njit
def impact(x, P, log_beta, push, boosting, mean, cov, when):
    """Impact points ``mean (n, 3)``, ``cov (n, 3, 3)`` and ``when (n, 2)``: time to impact and its sigma, s.

    Cubature points of position, velocity and ln(beta) (``log_beta (n, 2)``: mean, sigma) fall to the ground.  With
    probability ``boosting (n,)`` the push (n, 3) goes on for one of the times in `BURNS`, so a forecast in boost is
    the distribution over burnout times that it must be.  nan where a point does not come down.
    """
    lower = np.zeros((9, 9))
    C = np.zeros((9, 9))
    k = np.zeros((4, 9))
    y = np.zeros(9)
    s = np.zeros(9)
    n_burn = len(BURNS)
    points = np.zeros((14 + n_burn, 3))
    times = np.zeros(14 + n_burn)
    weights = np.zeros(14 + n_burn)
    spread = math.sqrt(7.0)
    for t in range(len(x)):
        for i in range(6):
            for j in range(6):
                C[i, j] = P[t, i, j]
            C[6, i] = 0.0
            C[i, 6] = 0.0
        C[6, 6] = log_beta[t, 1] ** 2
        cholesky(C, 7, lower)
        for p in range(14):
            sign = spread if p % 2 == 0 else -spread
            for i in range(6):
                s[i] = x[t, i] + sign * lower[i, p // 2]
            s[6] = log_beta[t, 0] + sign * lower[6, p // 2]
            times[p] = fall(s, k, y)
            weights[p] = (1.0 - boosting[t]) / 14.0 + boosting[t] / n_burn / 14.0
            for i in range(3):
                points[p, i] = s[i]
        m = 14
        if boosting[t] > 0.01:
            for b in range(1, n_burn):
                for i in range(6):
                    s[i] = x[t, i]
                for i in range(3):
                    s[6 + i] = push[t, i]
                propagate(0, 9, s, BURNS[b], k, y)
                s[6] = log_beta[t, 0]
                times[m] = BURNS[b] + fall(s, k, y)
                weights[m] = boosting[t] / n_burn
                for i in range(3):
                    points[m, i] = s[i]
                m += 1
        tm, tv = _moments(points, times, weights, m, mean[t], cov[t])
        for i in range(3):
            cov[t, i, i] += 1.0  # the points lie on the ground: without a metre across it the matrix is singular
        when[t, 0] = tm
        when[t, 1] = math.sqrt(tv)


@njit
def _size(w, A, B, n, by_trace, M, lower, inverse):
    """What covariance intersection minimises at weight w: log determinant or trace of (w A + (1 - w) B)^-1."""
    for i in range(n):
        for j in range(n):
            M[i, j] = w * A[i, j] + (1.0 - w) * B[i, j]
    log_det = invert(M, n, lower, inverse)
    if not by_trace:
        return -log_det
    t = 0.0
    for i in range(n):
        t += inverse[i, i]
    return t


@njit
def intersect(x1, P1, x2, P2, by_trace, x, P):
    """Covariance intersection of two estimates (n components) into x, P; returns the weight of the first.

    The weight minimises the determinant (or the trace) of the result by golden section, both being convex in it
    (Julier & Uhlmann, Proc. ACC 1997, eqs. 6-8).
    """
    n = len(x1)
    A = np.empty((n, n))
    B = np.empty((n, n))
    M = np.empty((n, n))
    lower = np.empty((n, n))
    invert(P1, n, lower, A)
    invert(P2, n, lower, B)
    g = 0.5 * (math.sqrt(5.0) - 1.0)
    low, high = 0.0, 1.0
    a, b = 1.0 - g, g
    fa = _size(a, A, B, n, by_trace, M, lower, P)
    fb = _size(b, A, B, n, by_trace, M, lower, P)
    for _ in range(40):
        if fa < fb:
            high, b, fb = b, a, fa
            a = high - g * (high - low)
            fa = _size(a, A, B, n, by_trace, M, lower, P)
        else:
            low, a, fa = a, b, fb
            b = low + g * (high - low)
            fb = _size(b, A, B, n, by_trace, M, lower, P)
    w = 0.5 * (low + high)
    f = _size(w, A, B, n, by_trace, M, lower, P)
    if _size(1.0, A, B, n, by_trace, M, lower, P) <= f:
        w = 1.0
    elif _size(0.0, A, B, n, by_trace, M, lower, P) <= f:
        w = 0.0
    _size(w, A, B, n, by_trace, M, lower, P)
    invert(M, n, lower, P)
    for i in range(n):
        x[i] = 0.0
        for j in range(n):
            m = 0.0
            for k in range(n):
                m += P[i, k] * (w * A[k, j] * x1[j] + (1.0 - w) * B[k, j] * x2[j])
            x[i] += m
    return w


@njit
def intersect_rows(x, P, have, x_out, P_out):
    """Covariance intersection of the estimates of each row, one after the other in the order given.

    ``x (n, s, 6), P (n, s, 6, 6)``, ``have (n, s)`` says which of the s sources are there; out ``x_out (n, 6)``,
    ``P_out (n, 6, 6)``.  Means are taken about the first estimate, so that nothing is lost to the size of the Earth.
    """
    first = np.zeros(6)
    other = np.zeros(6)
    mean = np.zeros(6)
    cov = np.zeros((6, 6))
    for t in range(len(x)):
        base = -1
        for s in range(have.shape[1]):
            if not have[t, s]:
                continue
            if base < 0:
                base = s
                first[:] = 0.0
                P_out[t] = P[t, s]
                continue
            for i in range(6):
                other[i] = x[t, s, i] - x[t, base, i]
            intersect(first, P_out[t], other, P[t, s], False, mean, cov)
            first[:] = mean
            P_out[t] = cov
        for i in range(6):
            x_out[t, i] = x[t, base, i] + first[i]
