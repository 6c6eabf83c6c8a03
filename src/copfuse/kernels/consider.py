"""What stands behind a track's covariance: unknown sensor biases, and what trackers of one object have in common."""

from __future__ import annotations

import math

import numpy as np

from copfuse.constants import EARTH_OMEGA, MU
from copfuse.kernels import borrowing, njit
from copfuse.kernels.eights import eight, eight_at, larger, nought, put, root, size, turn, where_below
from copfuse.kernels.small import cholesky, inverse

NARROWER = 0.98  # of a velocity's variance: a prediction that leaves no more is another model's, as process noise takes nothing away


# Rows of what `_directions` finds, of eight sensors each: derivatives by position, moves, rotations of those of the two angles
_SLOPE, _SHIFT, _TURN = 0, 9, 18
_FOUND = 27


@borrowing(forceinline=True)
def _cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@borrowing(forceinline=True)
def _times(factor, a):
    return factor * a[0], factor * a[1], factor * a[2]


@borrowing(forceinline=True)
def _over(a, r):
    return a[0] / r, a[1] / r, a[2] / r


@borrowing(forceinline=True)
def _either(cosines, these, those):
    """Of angles ``these`` three, of direction cosines those."""
    return (
        where_below(cosines, 0.5, these[0], those[0]),
        where_below(cosines, 0.5, these[1], those[1]),
        where_below(cosines, 0.5, these[2], those[2]),
    )


@borrowing(forceinline=True)
def _keep(a, found, row):
    """Three eights into rows of ``found`` from this one on."""
    put(a[0], found[row])
    put(a[1], found[row + 1])
    put(a[2], found[row + 2])


@borrowing(forceinline=True)
def _columns(rows, at, who, first, count, out):
    """Eight numbers, from place ``at`` on, of the rows of eight sensors as columns on the line ``out``.

    The sensors are those from number ``first`` of ``who (count,)`` on, and the last one again where there are no more.
    """
    last = count - 1
    turn(
        eight_at(rows[who[min(first, last)]], at), eight_at(rows[who[min(first + 1, last)]], at),
        eight_at(rows[who[min(first + 2, last)]], at), eight_at(rows[who[min(first + 3, last)]], at),
        eight_at(rows[who[min(first + 4, last)]], at), eight_at(rows[who[min(first + 5, last)]], at),
        eight_at(rows[who[min(first + 6, last)]], at), eight_at(rows[who[min(first + 7, last)]], at),
        out, 8,
    )  # fmt: skip


@borrowing
def _directions(x, own, found):
    """How range and the two angles (or u, v) go with position at x seen from eight sensors, and back, into ``found (27, 8)``.

    Derivative of each by position; what one unit more of it, the others kept, moves a target by; the rotation vector of that move about
    the sensor (none for range).  ``own``: eight numbers each of where the sensors are, their axes, whether they measure direction cosines.
    """
    right, ahead = (eight_at(own, 24), eight_at(own, 32), eight_at(own, 40)), (eight_at(own, 48), eight_at(own, 56), eight_at(own, 64))
    above, cosines = (eight_at(own, 72), eight_at(own, 80), eight_at(own, 88)), eight_at(own, 96)
    away = x[0] - eight_at(own, 0), x[1] - eight_at(own, 8), x[2] - eight_at(own, 16)
    r = root(away[0] * away[0] + away[1] * away[1] + away[2] * away[2])
    unit = _over(away, r)
    u = right[0] * unit[0] + right[1] * unit[1] + right[2] * unit[2]
    w = ahead[0] * unit[0] + ahead[1] * unit[1] + ahead[2] * unit[2]
    v = above[0] * unit[0] + above[1] * unit[1] + above[2] * unit[2]
    level = root(larger(1.0 - v * v, 1e-12))
    about = 0.0 - above[0], 0.0 - above[1], 0.0 - above[2]
    across = _over(_cross(about, unit), level)
    up = _cross(across, unit)  # east x forward = up
    w = where_below(w, 0.0, 0.0 - larger(size(w), 1e-3), larger(size(w), 1e-3))
    along, lift, uw, vw = _times(u, unit), _times(v, unit), _times(u / w, ahead), _times(v / w, ahead)
    by_u = _over((right[0] - along[0], right[1] - along[1], right[2] - along[2]), r)
    by_v = _over((above[0] - lift[0], above[1] - lift[1], above[2] - lift[2]), r)
    to_u = _times(r, (right[0] - uw[0], right[1] - uw[1], right[2] - uw[2]))
    to_v = _times(r, (above[0] - vw[0], above[1] - vw[1], above[2] - vw[2]))
    first, second = level * r, _times(level, across)
    _keep(unit, found, _SLOPE)
    _keep(_either(cosines, _over(across, first), by_u), found, _SLOPE + 3)
    _keep(_either(cosines, _over(up, r), by_v), found, _SLOPE + 6)
    _keep(unit, found, _SHIFT)
    _keep(_either(cosines, _times(r, second), to_u), found, _SHIFT + 3)
    _keep(_either(cosines, _times(r, up), to_v), found, _SHIFT + 6)
    _keep(_either(cosines, about, _over(_cross(unit, to_u), r)), found, _TURN + 3)
    _keep(_either(cosines, _cross(unit, up), _over(_cross(unit, to_v), r)), found, _TURN + 6)


@borrowing
def _learn(L, found, lane, sigma, products):
    """Add to L the information on position of a plot with these sigmas by the sensor of a lane; products (8) is scratch."""
    for c in range(3):
        if math.isnan(sigma[c]):
            continue
        a, b, d = found[_SLOPE + 3 * c, lane], found[_SLOPE + 3 * c + 1, lane], found[_SLOPE + 3 * c + 2, lane]
        products[0], products[1], products[2], products[3], products[4], products[5] = a * a, a * b, a * d, b * b, b * d, d * d
        put(eight(L) + eight(products) / (sigma[c] * sigma[c]), L)


@borrowing(forceinline=True)
def _shared(W, a):
    """W a, of eight lanes."""
    return (
        W[0] * a[0] + W[1] * a[1] + W[2] * a[2],
        W[3] * a[0] + W[4] * a[1] + W[5] * a[2],
        W[6] * a[0] + W[7] * a[1] + W[8] * a[2],
    )


@borrowing(forceinline=True)
def _gains(W, found, v, c, out):
    """What a unit's bias of c moves an estimate by in which eight sensors have the shares W, a row of ``out`` each; behind it the move of
    position alone, in the places of velocity."""
    g = _shared(W, (eight(found[_SHIFT + 3 * c]), eight(found[_SHIFT + 3 * c + 1]), eight(found[_SHIFT + 3 * c + 2])))
    row = _TURN + 3 * c
    h = _shared(W, _cross((eight(found[row]), eight(found[row + 1]), eight(found[row + 2])), v))
    turn(g[0], g[1], g[2], h[0], h[1], h[2], nought(), nought(), out, 16)
    turn(nought(), nought(), nought(), g[0], g[1], g[2], nought(), nought(), out[8:], 16)


@borrowing
def _share(x, known, own, found, gains):
    """`_gains` of all three components into ``gains (3, 128)``: ``own`` are six eights, the information of eight sensors, and known (3, 3)
    is the inverse of that of all."""
    a, b, c, d, e, f = eight_at(own, 0), eight_at(own, 8), eight_at(own, 16), eight_at(own, 24), eight_at(own, 32), eight_at(own, 40)
    k = known
    W = (
        k[0, 0] * a + k[0, 1] * b + k[0, 2] * c, k[0, 0] * b + k[0, 1] * d + k[0, 2] * e, k[0, 0] * c + k[0, 1] * e + k[0, 2] * f,
        k[1, 0] * a + k[1, 1] * b + k[1, 2] * c, k[1, 0] * b + k[1, 1] * d + k[1, 2] * e, k[1, 0] * c + k[1, 1] * e + k[1, 2] * f,
        k[2, 0] * a + k[2, 1] * b + k[2, 2] * c, k[2, 0] * b + k[2, 1] * d + k[2, 2] * e, k[2, 0] * c + k[2, 1] * e + k[2, 2] * f,
    )  # fmt: skip
    v = x[3], x[4], x[5]
    for c in range(3):
        _gains(W, found, v, c, gains[c])


@borrowing
def _move(gains, lane, bias, bias_time, B):
    """Add to B (6, 8) what the biases of the sensor of a lane do to an estimate."""
    for c in range(3):
        if not bias[c] > 0.0:
            continue
        g, at = gains[c], 16 * lane
        whole, place = eight_at(g, at), eight_at(g, at + 8)
        own, wander = bias[c] ** 2, (bias[c] / bias_time) ** 2
        for i in range(3):
            put(eight(B[i]) + own * g[at + i] * whole, B[i])
            put(eight(B[3 + i]) + own * g[at + 3 + i] * whole + wander * g[at + i] * place, B[3 + i])


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
    L = np.zeros((n_track * n_sensor, 8))  # of track t by sensor s: t * n_sensor + s, the upper half row by row
    last, informed = np.zeros(n_track), np.zeros(n_track * n_sensor, np.int64)  # which of these are not zero
    sensors = np.zeros((n_sensor, 16))  # where each last was, its axes, whether it measures direction cosines
    who, found = np.zeros(n_sensor, np.int64), np.zeros((n_sensor // 8 + 1, _FOUND, 8))
    lanes, gains, square, whole = np.zeros(128), np.zeros((3, 128)), np.zeros((3, 3, 3)), np.zeros((7, 8))
    total, known, lower, products = square[0], square[1], square[2], whole[6]
    for row in range(len(time)):
        t, s = track[row], sensor[row]
        own = L[t * n_sensor : (t + 1) * n_sensor]
        keep = math.exp(-(time[row] - last[t]) / memory)
        last[t] = time[row]
        informed[t * n_sensor + s] = 1
        for i in range(3):
            sensors[s, i] = origin[row, i]
            for j in range(3):
                sensors[s, 3 + 3 * i + j] = axes[row, i, j]
        sensors[s, 12] = cosines[s]
        count, mine = 0, 0
        for k in range(n_sensor):
            if informed[t * n_sensor + k] != 0:
                mine = count if k == s else mine
                who[count] = k
                count += 1
                put(keep * eight(own[k]), own[k])
        for first in range(0, count, 8):
            for half in range(2):
                _columns(sensors, 8 * half, who, first, count, lanes[64 * half :])
            _directions(x[row], lanes, found[first // 8])
        _learn(own[s], found[mine // 8], mine % 8, sigma[row], products)
        for i in range(8):
            products[i] = 1e-10 if i == 0 or i == 3 or i == 5 else 0.0  # a prior of 100 km, so that two angles alone have an inverse
        for i in range(count):
            put(eight(products) + eight(own[who[i]]), products)
        at = 0
        for i in range(3):
            for j in range(i, 3):
                total[i, j] = products[at]
                total[j, i] = products[at]
                at += 1
        inverse(total, len(total), lower, known)
        for i in range(6):
            put(nought(), whole[i])
        for first in range(0, count, 8):
            _columns(own, 0, who, first, count, lanes)
            _share(x[row], known, lanes, found[first // 8], gains)
            for lane in range(min(8, count - first)):
                k = who[first + lane]
                if not lanes[lane] + lanes[24 + lane] + lanes[40 + lane] < 1e-12:
                    _move(gains, lane, bias[k], bias_time[k], whole)
        for i in range(6):
            for j in range(6):
                B[row, i, j] = whole[i, j]


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
