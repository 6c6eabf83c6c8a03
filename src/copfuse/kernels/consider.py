"""What stands behind a track's covariance: unknown sensor biases, and what trackers of one object have in common."""

from __future__ import annotations

import math

import numpy as np

from copfuse.constants import EARTH_OMEGA, MU
from copfuse.kernels import borrowing, njit
from copfuse.kernels.small import cholesky, inverse

NARROWER = 0.98  # of a velocity's variance: a prediction that leaves no more is another model's, as process noise takes nothing away


@borrowing
def _cross(a, b, out):
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]


@borrowing
def _directions(x, origin, axes, cosines, slope, shift, turn):
    """How range and the two angles (or u, v) go with position at x seen from origin, and back.

    Rows of ``slope (3, 3)``: the derivative of each by position; of ``shift``: what one unit more of it, the others kept,
    moves a target by; of ``turn``: the rotation vector of that move about the sensor (none for range).
    """
    unit = slope[0]
    for i in range(3):
        unit[i] = x[i] - origin[i]
    r = math.sqrt(unit[0] ** 2 + unit[1] ** 2 + unit[2] ** 2)
    u, w, v = 0.0, 0.0, 0.0
    for i in range(3):
        unit[i] /= r
        u += axes[0, i] * unit[i]
        w += axes[1, i] * unit[i]
        v += axes[2, i] * unit[i]
    for i in range(3):
        shift[0, i] = unit[i]
        turn[0, i] = 0.0
    if cosines != 0:
        w = math.copysign(max(abs(w), 1e-3), w)
        for i in range(3):
            slope[1, i] = (axes[0, i] - u * unit[i]) / r
            slope[2, i] = (axes[2, i] - v * unit[i]) / r
            shift[1, i] = r * (axes[0, i] - u / w * axes[1, i])
            shift[2, i] = r * (axes[2, i] - v / w * axes[1, i])
        for c in range(1, 3):
            _cross(unit, shift[c], turn[c])
            for i in range(3):
                turn[c, i] /= r
        return
    level = math.sqrt(max(1.0 - v * v, 1e-12))
    for i in range(3):
        turn[1, i] = -axes[2, i]
    _cross(turn[1], unit, slope[1])
    for i in range(3):
        slope[1, i] /= level
    _cross(slope[1], unit, slope[2])  # east x forward = up
    _cross(unit, slope[2], turn[2])
    for i in range(3):
        shift[1, i] = slope[1, i] * level * r
        shift[2, i] = slope[2, i] * r
        slope[1, i] /= level * r
        slope[2, i] /= r


@borrowing
def _learn(L, x, sigma, origin, axes, cosines, slope, shift, turn):
    """Add to L (3, 3) the information on position of a plot with these sigmas."""
    _directions(x, origin, axes, cosines, slope, shift, turn)
    for c in range(3):
        if math.isnan(sigma[c]):
            continue
        for i in range(3):
            for j in range(3):
                L[i, j] += slope[c, i] * slope[c, j] / (sigma[c] * sigma[c])


@borrowing
def _move(W, x, origin, axes, cosines, bias, bias_time, slope, shift, turn, g, moved, B):
    """Add to B (6, 6) what one sensor's biases do to an estimate at x in which it has the share W (3, 3)."""
    _directions(x, origin, axes, cosines, slope, shift, turn)
    for c in range(3):
        if not bias[c] > 0.0:
            continue
        _cross(turn[c], x[3:6], moved)
        for i in range(3):
            g[i] = W[i, 0] * shift[c, 0] + W[i, 1] * shift[c, 1] + W[i, 2] * shift[c, 2]
            g[3 + i] = W[i, 0] * moved[0] + W[i, 1] * moved[1] + W[i, 2] * moved[2] if c > 0 else 0.0
        for i in range(6):
            own = bias[c] ** 2 * g[i]
            for j in range(6):
                B[i, j] += own * g[j]
        wander = (bias[c] / bias_time) ** 2
        for i in range(3):
            for j in range(3):
                B[3 + i, 3 + j] += wander * g[i] * g[j]


@njit
def consider(track, sensor, time, x, sigma, origin, axes, cosines, n_track, n_sensor, bias, bias_time, memory, B):
    """Covariance ``B (n, 6, 6)`` that sensor biases leave in rows of tracks, in time order.

    Each sensor's share in a track is that of its information on position, forgotten over ``memory`` s: with
    ``L_s`` that information and ``W_s = (sum L)^-1 L_s``, a bias b of sensor s moves the estimate by ``W_s J_s b``,
    where J_s shifts along range and turns position *and velocity* about the sensor.  A consider covariance in the
    manner of Schmidt (1966) with these gains in place of the filter's own.  A bias that wanders with time constant
    ``bias_time`` also passes for a velocity of its own size over that time.

    Args: ``track (n,)``, ``sensor (n,)`` numbers, ``time (n,)``, ``x (n, 6)``, ``sigma (n, 4)`` of the plot, its
    sensor's ``origin (n, 3)``, ``axes (n, 3, 3)``; ``cosines (n_sensor,)`` as in `frames.look`; ``bias (n_sensor, 3)``
    standard deviations of range m and of the two angles (rad, or u and v), and ``bias_time (n_sensor,)`` s.
    """
    L = np.zeros((n_track * n_sensor, 3, 3))  # of track t by sensor s: t * n_sensor + s
    last, informed = np.zeros(n_track), np.zeros(n_track * n_sensor, np.int64)  # which of these are not zero
    at, facing = np.zeros((n_sensor, 3)), np.zeros((n_sensor, 3, 3))  # where each sensor last was
    work = np.zeros((7, 3, 3))
    total, known, lower, W = work[0], work[1], work[2], work[3]
    slope, shift, turn = work[4], work[5], work[6]
    g, moved = np.zeros(6), np.zeros(3)
    for row in range(len(time)):
        t, s = track[row], sensor[row]
        own = t * n_sensor
        keep = math.exp(-(time[row] - last[t]) / memory)
        last[t] = time[row]
        informed[own + s] = 1
        for i in range(3):
            at[s, i] = origin[row, i]
            for j in range(3):
                facing[s, i, j] = axes[row, i, j]
                total[i, j] = 1e-10 if i == j else 0.0  # a prior of 100 km, so that two angles alone have an inverse
        for k in range(own, own + n_sensor):
            if informed[k] != 0:
                for i in range(3):
                    for j in range(3):
                        L[k, i, j] *= keep
        _learn(L[own + s], x[row], sigma[row], origin[row], axes[row], cosines[s], slope, shift, turn)
        for k in range(own, own + n_sensor):
            if informed[k] != 0:
                for i in range(3):
                    for j in range(3):
                        total[i, j] += L[k, i, j]
        inverse(total, len(total), lower, known)
        for k in range(n_sensor):
            if informed[own + k] == 0 or L[own + k, 0, 0] + L[own + k, 1, 1] + L[own + k, 2, 2] < 1e-12:
                continue
            for i in range(3):
                for j in range(3):
                    W[i, j] = known[i, 0] * L[own + k, 0, j] + known[i, 1] * L[own + k, 1, j] + known[i, 2] * L[own + k, 2, j]
            _move(W, x[row], at[k], facing[k], cosines[k], bias[k], bias_time[k], slope, shift, turn, g, moved, B[row])


@borrowing
def fall_matrix(x, dt, F, A, power):
    """F (6, 6): derivative of a state after dt s of free fall by the state before, to third order in dt.

    Point-mass gravity gradient with centrifugal and Coriolis terms; A and power are work arrays (6, 6).
    """
    r2 = x[0] * x[0] + x[1] * x[1] + x[2] * x[2]
    g = MU / (r2 * math.sqrt(r2))
    w = EARTH_OMEGA
    for i in range(6):
        for j in range(6):
            A[i, j] = 0.0
            F[i, j] = 1.0 if i == j else 0.0
            power[i, j] = F[i, j]
    for i in range(3):
        for j in range(3):
            A[i + 3, j] = 3.0 * g * x[i] * x[j] / r2 - (g if i == j else 0.0)
    A[3, 0] += w * w
    A[4, 1] += w * w
    A[3, 4] = 2.0 * w
    A[4, 3] = -2.0 * w
    row = A[0]  # the rows of velocity are known: of them A has none
    for order in range(1, 4):
        for i in range(6):
            x0, x1, x2 = power[i, 3], power[i, 4], power[i, 5]
            for j in range(3):
                row[j] = x0 * A[3, j] * dt / order + x1 * A[4, j] * dt / order + x2 * A[5, j] * dt / order
                row[3 + j] = power[i, j] * dt / order
            row[3] += x1 * A[4, 3] * dt / order
            row[4] += x0 * A[3, 4] * dt / order
            for j in range(6):
                power[i, j] = row[j]
                F[i, j] += row[j]


@njit
def fall_matrices(x, dt, F):
    """`fall_matrix` of rows ``x (n, 6), dt (n,)`` into ``F (n, 6, 6)``."""
    A, power = np.zeros((6, 6)), np.zeros((6, 6))
    for i in range(len(dt)):
        fall_matrix(x[i], dt[i], F[i], A, power)


@borrowing
def _carry(F, P, half, out):
    """out = F P F'."""
    for i in range(6):
        for j in range(6):
            total = 0.0
            for k in range(6):
                total += F[i, k] * P[k, j]
            half[i, j] = total
    for i in range(6):
        for j in range(6):
            total = 0.0
            for k in range(6):
                total += half[i, k] * F[j, k]
            out[i, j] = total


@borrowing
def _as_large(of, to, weight, part, lower, root, known, M, half):
    """Make a ``part (6, 6)`` of the covariance ``of``, in place, as large a share of ``to``, as far as ``weight`` (0-1) goes.

    With L L' = of and R R' = to that is M part M', M = R L^-1 = R L' of^-1, whose shares in all directions are the same ones.
    """
    inverse(of, len(of), lower, known)
    cholesky(to, len(to), root)
    for i in range(6):
        for j in range(6):
            half[i, j] = 0.0
            for k in range(min(i, j) + 1):
                half[i, j] += root[i, k] * lower[j, k]
    for i in range(6):
        for j in range(6):
            total = 0.0
            for k in range(6):
                total += half[i, k] * known[k, j]
            M[i, j] = weight * total + (1.0 - weight if i == j else 0.0)
    _carry(M, part, half, part)


@njit
def common(track, time, x, P, prior, noisy, noisy_prior, share, n_track, D):
    """The part ``D (n, 6, 6)`` of each row's ``P (n, 6, 6)`` that does not come from its own plots.

    Process noise and the first row's prior reach every tracker of an object alike; the errors of disjoint sets of plots do
    not, nor does the spread of a mixture's models, whose weights come from the plots, nor thrust, which is estimated from them.
    Process noise is that of the likeliest model but thrust, for what the plots have left of others is not in the error: its
    covariance is ``noisy_prior (n, 6, 6)`` before each row's update and ``noisy`` after it, and ``share (n,)`` the probability
    of all but thrust.  With the means C' and C of these and of the mixture's, ``prior`` and P, the first weighing ``share``,
    ``I - K H = C C'^-1`` is what the update left, and ``Q = share (noisy_prior - F noisy F')`` what the prediction added, so
    ``D <- (I - K H) (F D F' + Q) (I - K H)'`` (the noise half of the covariance recursion, Bar-Shalom 1981).  Where another
    model takes over that knows the velocity better, D stays as large a share as it was.  Rows are in time order; a track's first
    row gives its velocity prior to D.
    """
    seen = np.zeros(n_track, np.int64) - 1
    scratch = np.zeros((8, 6, 6))
    lower, known, A, F = scratch[0], scratch[1], scratch[2], scratch[3]
    drifted, grown, half, work = scratch[4], scratch[5], scratch[6], scratch[7]
    for row in range(len(time)):
        before = seen[track[row]]
        seen[track[row]] = row
        if before < 0:
            for i in range(3, 6):
                for j in range(3, 6):
                    D[row, i, j] = P[row, i, j]
            continue
        dt, some = time[row] - time[before], share[row]
        fall_matrix(x[before], dt, F, work, half)
        _carry(F, noisy[before], half, drifted)
        _carry(F, D[before], half, grown)
        was, now = 0.0, 0.0
        for i in range(3, 6):
            was += drifted[i, i]
            now += noisy_prior[row, i, i]
        if now < NARROWER * was:
            _as_large(drifted, noisy_prior[row], some, grown, lower, A, known, work, half)
        else:
            for i in range(6):
                for j in range(6):
                    grown[i, j] += some * (noisy_prior[row, i, j] - drifted[i, j])
        for i in range(6):
            for j in range(6):
                work[i, j] = some * noisy_prior[row, i, j] + (1.0 - some) * prior[row, i, j]
        inverse(work, len(known), lower, known)
        for i in range(6):
            for j in range(6):
                total = 0.0
                for k in range(6):
                    total += (some * noisy[row, i, k] + (1.0 - some) * P[row, i, k]) * known[k, j]
                A[i, j] = total
        _carry(A, grown, half, D[row])
