"""What stands behind a track's covariance: unknown sensor biases, and what trackers of one object have in common."""

from __future__ import annotations

import math

import numpy as np

from copfuse.constants import EARTH_OMEGA, MU
from copfuse.kernels import borrowing, njit
from copfuse.kernels.eights import eight, nought, put
from copfuse.kernels.small import cholesky, inverse

NARROWER = 0.98  # of a velocity's variance: a prediction that leaves no more is another model's, as process noise takes nothing away


@borrowing(forceinline=True)
def _cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@borrowing
def _moved(shift, turn, v, out):
    """out (8): a shift, and what a rotation vector makes of a velocity."""
    w = _cross(turn, v)
    for i in range(3):
        out[i] = shift[i]
        out[3 + i] = w[i]


@borrowing
def _shifts(x, origin, axes, cosines, D):
    """What a unit more of range, and of each angle (or of u and v), all others kept, moves a target at x (6) by: rows of ``D (3, 8)``.

    Along range it shifts; else position *and velocity* turn about the sensor, so that its range rate stays.
    """
    away, v = (x[0] - origin[0], x[1] - origin[1], x[2] - origin[2]), (x[3], x[4], x[5])
    r = math.sqrt(away[0] * away[0] + away[1] * away[1] + away[2] * away[2])
    unit = away[0] / r, away[1] / r, away[2] / r
    right, ahead, above = axes[0], axes[1], axes[2]
    _moved(unit, (0.0, 0.0, 0.0), v, D[0])
    if cosines == 0:
        about = -above[0], -above[1], -above[2]
        side = _cross(about, away)  # as long as what is level of the way
        level = math.sqrt(side[0] * side[0] + side[1] * side[1] + side[2] * side[2]) + 1e-9
        tilt = _cross(unit, _cross(side, unit))
        _moved(side, about, v, D[1])
        up = _cross(side, unit)  # east x forward = up
        up = up[0] * r / level, up[1] * r / level, up[2] * r / level
        _moved(up, (tilt[0] / level, tilt[1] / level, tilt[2] / level), v, D[2])
        return
    forward = ahead[0] * unit[0] + ahead[1] * unit[1] + ahead[2] * unit[2]
    if abs(forward) < 1e-3:
        forward = math.copysign(1e-3, forward)
    for c in range(1, 3):
        axis = right if c == 1 else above
        lean = (axis[0] * unit[0] + axis[1] * unit[1] + axis[2] * unit[2]) / forward
        shift = r * (axis[0] - lean * ahead[0]), r * (axis[1] - lean * ahead[1]), r * (axis[2] - lean * ahead[2])
        turn = _cross(unit, shift)
        _moved(shift, (turn[0] / r, turn[1] / r, turn[2] / r), v, D[c])


@borrowing(forceinline=True)
def _applied(columns, a):
    """M a, of eight numbers each, by the six ``columns (6, 8)`` of M."""
    return (
        a[0] * eight(columns[0]) + a[1] * eight(columns[1]) + a[2] * eight(columns[2])
        + a[3] * eight(columns[3]) + a[4] * eight(columns[4]) + a[5] * eight(columns[5])
    )  # fmt: skip


@borrowing
def _carried(columns, P, half):
    """P (6, 8) <- M P M' in place, by the ``columns (6, 8)`` of M and a symmetric P."""
    for i in range(6):
        put(_applied(columns, P[i]), half[i])  # rows of P M'
    for j in range(6):
        put(nought(), P[j])
    for k in range(6):
        row = eight(half[k])
        for i in range(6):
            put(eight(P[i]) + columns[k, i] * row, P[i])


@njit
def consider(
    track, sensor, time, x, noisy, noisy_prior, sigma, origin, axes, cosines, n_track, n_sensor, bias, bias_time, B
):  # fmt: skip
    """Covariance ``B (n, 6, 6)`` that sensor biases leave in rows of tracks, in time order: a consider covariance (Schmidt, Advances in
    Control Systems 3, 1966; Zanetti & D'Souza, J. Guid. Control Dyn. 36(6), 2013), with the gains of the filter, which knows nothing of it.

    Of each track the covariance B of its error and those C_s with the bias b_s of each sensor follow
    ``e <- (I - K H) F e + K H J b_s`` at a plot of s, where J (`_shifts`) is what b_s moves a target by, and b_s is a Gauss-Markov process
    of ``bias_time``.  I - K H is what the update left, C C'^-1 of the likeliest model's covariances after and before it: those of the
    mixture tell of its models' probabilities, too.  A track begins with the first plot's place.

    Args: ``track (n,)``, ``sensor (n,)`` numbers, ``time (n,)``, ``x (n, 6)``; ``noisy``, ``noisy_prior`` (n, 6, 6), C and C', as in
    `common`; ``sigma (n, 4)`` of the plot, nan where nothing was measured, its sensor's ``origin (n, 3)``,
    ``axes (n, 3, 3)``; ``cosines (n_sensor,)`` as in `frames.look`; ``bias (n_sensor, 3)`` standard deviations of range m and of the two
    angles (rad, or u and v), and ``bias_time (n_sensor,)`` s.
    """
    seen, whole = np.zeros(n_track, np.int64) - 1, np.zeros((n_track, 6, 8))
    last, cross = np.full(n_track * n_sensor, -np.inf), np.zeros((n_track * n_sensor, 3, 8))  # of track t by sensor s: t * n_sensor + s
    square, rows = np.zeros((5, 6, 6)), np.zeros((24, 8))
    lower, known, F, work, power = square[0], square[1], square[2], square[3], square[4]
    keeps, moves, half, D, G = rows[:6], rows[6:12], rows[12:18], rows[18:21], rows[21:]  # of I - K H and (I - K H) F the columns
    for row in range(len(time)):
        t, s = track[row], sensor[row]
        own, mine, before = t * n_sensor + s, whole[t], seen[t]
        seen[t] = row
        _shifts(x[row], origin[row], axes[row], cosines[s], D)
        for c in range(3):
            put((0.0 if math.isnan(sigma[row, c]) else bias[s, c]) * eight(D[c]), D[c])
        if before < 0:
            for c in range(3):
                for i in range(3):
                    G[c, i], G[c, 3 + i] = D[c, i], 0.0
        else:
            inverse(noisy_prior[row], len(known), lower, known)
            fall_matrix(x[before], time[row] - time[before], F, work, power)
            for i in range(6):
                for j in range(6):
                    half[i, j], power[i, j] = noisy[row, i, j], F[j, i]
            for j in range(6):
                put(_applied(half, known[j]), keeps[j])
            for j in range(6):
                put(_applied(keeps, power[j]), moves[j])
            _carried(moves, mine, half)
            for k in range(t * n_sensor, (t + 1) * n_sensor):
                if last[k] > -np.inf:
                    for c in range(3):
                        put(_applied(moves, cross[k, c]), cross[k, c])
            for c in range(3):
                put(eight(D[c]) - _applied(keeps, D[c]), G[c])
        keep = math.exp((last[own] - time[row]) / bias_time[s]) if last[own] > -np.inf else 0.0
        last[own] = time[row]
        for c in range(3):
            new, old = eight(G[c]), keep * eight(cross[own, c])
            put(old, half[c])
            for i in range(6):
                put(eight(mine[i]) + G[c, i] * (new + old) + half[c, i] * new, mine[i])
            put(old + new, cross[own, c])
        for i in range(6):
            for j in range(6):
                B[row, i, j] = 0.5 * (mine[i, j] + mine[j, i])


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
