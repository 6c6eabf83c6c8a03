"""What stands behind a track's covariance: unknown sensor biases, and what trackers of one object have in common."""

from __future__ import annotations

import math

import numpy as np

from copfuse.constants import EARTH_OMEGA, MU
from copfuse.kernels import borrowing, njit
from copfuse.kernels.eights import eight, eight_at, joined, nought, put
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
    a, b, c, d, e, f = nought(), nought(), nought(), nought(), nought(), nought()
    for k in range(6):
        row = eight(half[k])
        a = a + columns[k, 0] * row
        b = b + columns[k, 1] * row
        c = c + columns[k, 2] * row
        d = d + columns[k, 3] * row
        e = e + columns[k, 4] * row
        f = f + columns[k, 5] * row
    put(a, P[0])
    put(b, P[1])
    put(c, P[2])
    put(d, P[3])
    put(e, P[4])
    put(f, P[5])


@borrowing(forceinline=True)
def _in_rows(a, out):
    """The rows of a (6, 6) into those of out (6, 8)."""
    for i in range(5):
        put(joined(eight_at(a, 6 * i), nought(), 6), out[i])
    for j in range(8):
        out[5, j] = a[5, j] if j < 6 else 0.0


@borrowing(forceinline=True)
def _in_columns(a, out):
    """The columns of a (6, 6) into the rows of out (6, 8)."""
    for i in range(6):
        for j in range(8):
            out[i, j] = a[j, i] if j < 6 else 0.0


@borrowing
def _divided(a, b, upper, over, out):
    """The columns of A B^-1 into the rows of out (6, 8), by the rows ``a``, ``b`` (6, 8) of a symmetric A and a positive definite B.

    B = L D L' by elimination, forwards and, over D, backwards.  A pivot that rounding made negative is lifted as in `small.cholesky`;
    ``upper (6, 8)`` and ``over (8)`` are scratch.
    """
    for j in range(6):
        row, column = eight(b[j]), eight(a[j])
        for k in range(j):
            share = upper[k, j] * over[k]
            row = row - share * eight(upper[k])
            column = column - share * eight(out[k])
        put(row, upper[j])
        put(column, out[j])
        over[j] = 1.0 / max(upper[j, j], 1e-14 * abs(b[j, j]) + 1e-300)
    for j in range(5, -1, -1):
        column = over[j] * eight(out[j])
        for k in range(j + 1, 6):
            column = column - upper[j, k] * over[j] * eight(out[k])
        put(column, out[j])


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
    F, rows, over = np.zeros((6, 6)), np.zeros((36, 8)), np.zeros(8)
    keeps, moves, half, D, G = rows[:6], rows[6:12], rows[12:18], rows[18:21], rows[21:24]  # of I - K H and (I - K H) F the columns
    known, upper = rows[24:30], rows[30:]
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
            fall_matrix(x[before], time[row] - time[before], F)
            _in_rows(noisy[row], half)
            _in_rows(noisy_prior[row], known)
            _divided(half, known, upper, over, keeps)
            _in_columns(F, known)
            for j in range(6):
                put(_applied(keeps, known[j]), moves[j])
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
            for j in range(i + 1):
                both = 0.5 * (mine[i, j] + mine[j, i])
                B[row, i, j], B[row, j, i] = both, both


@borrowing
def fall_matrix(x, dt, F):
    """F (6, 6): derivative of a state after dt s of free fall by the state before, to third order in dt.

    Point-mass gravity gradient G, with the centrifugal term, and the Coriolis term W: of A = [0 1; G W] the powers are written out,
    A^2 = [G W; W G, S] and A^3 = [W G, S; S G, G W + W S] with S = G + W^2.
    """
    r2 = x[0] * x[0] + x[1] * x[1] + x[2] * x[2]
    g = MU / (r2 * math.sqrt(r2))
    k, turn, spin = 3.0 * g / r2, 2.0 * EARTH_OMEGA, EARTH_OMEGA * EARTH_OMEGA
    xx, yy, zz = k * x[0] * x[0] - g + spin, k * x[1] * x[1] - g + spin, k * x[2] * x[2] - g
    xy, xz, yz = k * x[0] * x[1], k * x[0] * x[2], k * x[1] * x[2]
    sx, sy = xx - turn * turn, yy - turn * turn
    half, sixth = 0.5 * dt * dt, dt * dt * dt / 6.0
    late = turn * sixth
    F[0, 0], F[0, 1], F[0, 2] = 1.0 + half * xx + late * xy, half * xy + late * yy, half * xz + late * yz
    F[1, 0], F[1, 1], F[1, 2] = half * xy - late * xx, 1.0 + half * yy - late * xy, half * yz - late * xz
    F[2, 0], F[2, 1], F[2, 2] = half * xz, half * yz, 1.0 + half * zz
    F[0, 3], F[0, 4], F[0, 5] = dt + sixth * sx, half * turn + sixth * xy, sixth * xz
    F[1, 3], F[1, 4], F[1, 5] = sixth * xy - half * turn, dt + sixth * sy, sixth * yz
    F[2, 3], F[2, 4], F[2, 5] = sixth * xz, sixth * yz, dt + sixth * zz
    wide = turn * half
    F[3, 0] = dt * xx + wide * xy + sixth * (sx * xx + xy * xy + xz * xz)
    F[3, 1] = dt * xy + wide * yy + sixth * (sx * xy + xy * yy + xz * yz)
    F[3, 2] = dt * xz + wide * yz + sixth * (sx * xz + xy * yz + xz * zz)
    F[4, 0] = dt * xy - wide * xx + sixth * (xy * xx + sy * xy + yz * xz)
    F[4, 1] = dt * yy - wide * xy + sixth * (xy * xy + sy * yy + yz * yz)
    F[4, 2] = dt * yz - wide * xz + sixth * (xy * xz + sy * yz + yz * zz)
    F[5, 0] = dt * xz + sixth * (xz * xx + yz * xy + zz * xz)
    F[5, 1] = dt * yz + sixth * (xz * xy + yz * yy + zz * yz)
    F[5, 2] = dt * zz + sixth * (xz * xz + yz * yz + zz * zz)
    F[3, 3], F[3, 4], F[3, 5] = 1.0 + half * sx, dt * turn + half * xy + late * (xx + sy), half * xz + late * yz
    F[4, 3], F[4, 4], F[4, 5] = half * xy - dt * turn - late * (yy + sx), 1.0 + half * sy, half * yz - late * xz
    F[5, 3], F[5, 4], F[5, 5] = half * xz - late * yz, half * yz + late * xz, 1.0 + half * zz


@njit
def fall_matrices(x, dt, F):
    """`fall_matrix` of rows ``x (n, 6), dt (n,)`` into ``F (n, 6, 6)``."""
    for i in range(len(dt)):
        fall_matrix(x[i], dt[i], F[i])


@borrowing
def _as_large(of, to, weight, part, lower, root, known, columns, half):
    """Make a ``part (6, 8)`` of the covariance ``of``, in place, as large a share of ``to``, as far as ``weight`` (0-1) goes.

    With L L' = of and R R' = to that is M part M', M = R L^-1 = R L' of^-1, whose shares in all directions are the same ones.
    """
    inverse(of, 6, lower, known)
    cholesky(to, 6, root)
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
            columns[j, i] = weight * total + (1.0 - weight if i == j else 0.0)
    _carried(columns, part, half)


@borrowing(forceinline=True)
def _mixed(weight, one, other):
    """The mean of two matrices (6, 8), the first of some weight, in the place of the other."""
    for i in range(6):
        put(weight * eight(one[i]) + (1.0 - weight) * eight(other[i]), other[i])


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
    scratch, F, over = np.zeros((8, 6, 8)), np.zeros((6, 6)), np.zeros(8)
    columns, drifted, grown, after, prior_to = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    half, upper, one = scratch[5], scratch[6], scratch[7]
    for row in range(len(time)):
        before = seen[track[row]]
        seen[track[row]] = row
        if before < 0:
            for i in range(3, 6):
                for j in range(3, 6):
                    D[row, i, j] = P[row, i, j]
            continue
        some = share[row]
        fall_matrix(x[before], time[row] - time[before], F)
        _in_columns(F, columns)
        _in_rows(noisy[before], drifted)
        _in_rows(D[before], grown)
        _carried(columns, drifted, half)
        _carried(columns, grown, half)
        _in_rows(noisy_prior[row], after)
        was, now = 0.0, 0.0
        for i in range(3, 6):
            was += drifted[i, i]
            now += after[i, i]
        if now < NARROWER * was:
            _as_large(drifted, after, some, grown, upper, prior_to, one, columns, half)
        else:
            for i in range(6):
                put(eight(grown[i]) + some * (eight(after[i]) - eight(drifted[i])), grown[i])
        _in_rows(prior[row], prior_to)
        _mixed(some, after, prior_to)
        _in_rows(noisy[row], after)
        _in_rows(P[row], drifted)
        _mixed(some, after, drifted)
        _divided(drifted, prior_to, upper, over, columns)
        _carried(columns, grown, half)
        for i in range(6):
            for j in range(6):
                D[row, i, j] = grown[i, j]
