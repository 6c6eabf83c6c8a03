"""The mean of two estimates whose correlation nobody knows, of eight pairs side by side."""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import borrowing, njit
from copfuse.kernels.eights import cell, eight, larger, nought, put, put_cell, root, size

_FAR = math.log(1e6)  # of w / (1-w): weights of intersection end as near to 0 and 1
_SAME = 1e-5  # and two logarithms so near end the search, the newer one's error being some 1e-9
_NOTHING = 1e-300


# Places in ``work (11, n, n, 8)``: for eight pairs each, the parts of both estimates that are independent, those that may be correlated,
# and scratch
_I1, _D1, _I2, _D2, _M, _LOWER, _A, _B, _P, _N, _D = range(11)
_SQUARES = 11
# Rows of ``search (9, 8)``: the weight; ends of where it is sought, its logarithm, that before it and what it leant to; whether it is
# found; both parts of the slope
_W, _LOW, _HIGH, _U, _LAST_U, _LAST, _FOUND, _UP, _DOWN = range(9)
_SEARCHED = 9


@borrowing
def _inverses(a, n, lower, out):
    """`small.inverse` of eight matrices ``a (n, n, 8)``, in the same order."""
    for j in range(n):
        s = cell(a, j, j)
        for k in range(j):
            s = s - cell(lower, j, k) * cell(lower, j, k)
        d = root(larger(s, 1e-14 * size(cell(a, j, j)) + 1e-300))
        put_cell(d, lower, j, j)
        put_cell(1.0 / d, out, j, j)
        for i in range(j + 1, n):
            t = cell(a, i, j)
            for k in range(j):
                t = t - cell(lower, i, k) * cell(lower, j, k)
            put_cell(t / d, lower, i, j)
    for j in range(n):
        for i in range(j + 1, n):
            s = nought()
            for k in range(j, i):
                s = s - cell(lower, i, k) * cell(out, k, j)
            put_cell(s * cell(out, i, i), out, i, j)
    for i in range(n):
        for j in range(n - 1, i - 1, -1):
            s = nought()
            for k in range(j, n):
                s = s + cell(out, k, i) * cell(out, k, j)
            put_cell(s, out, i, j)
    for i in range(n):
        for j in range(i):
            put_cell(cell(out, j, i), out, i, j)


@borrowing
def _join(n, by_trace, work, search):
    """Fuse at weights w: A = (I1 + D1/w)^-1, B = (I2 + D2/(1-w))^-1, P = (A + B)^-1, N = P A, M = 1 - N.

    With the two parts of the slope over w of what is to be small: tr(B P B D2) / (1-w)^2, which is to be tr(A P A D1) / w^2 for the
    logarithm of P's determinant, and with P P in the place of P for its trace.
    """
    I1, I2, lower = work[_I1], work[_I2], work[_LOWER]
    D1, D2, M, A, B, P, N = work[_D1], work[_D2], work[_M], work[_A], work[_B], work[_P], work[_N]
    w = eight(search[_W])
    for which in range(3):
        for i in range(n):
            for j in range(n):
                if which == 0:
                    put_cell(cell(I1, i, j) + cell(D1, i, j) / w, M, i, j)
                elif which == 1:
                    put_cell(cell(I2, i, j) + cell(D2, i, j) / (1.0 - w), M, i, j)
                else:
                    put_cell(cell(A, i, j) + cell(B, i, j), M, i, j)
        _inverses(M, n, lower, work[_A + which])
    for i in range(n):
        for j in range(n):
            t = nought()
            for k in range(n):
                t = t + cell(P, i, k) * cell(A, k, j)
            put_cell(t, N, i, j)
            put_cell((1.0 if i == j else 0.0) - t, M, i, j)
    one, two = (N, M) if by_trace else (A, B)
    down, up = nought(), nought()
    for i in range(n):
        for j in range(n):
            s, t = nought(), nought()
            for k in range(n):
                s = s + cell(one, k, i) * cell(N, k, j)
                t = t + cell(two, k, i) * cell(M, k, j)
            down = down + s * cell(D1, i, j)
            up = up + t * cell(D2, i, j)
    put(up / ((1.0 - w) * (1.0 - w)), search[_UP])
    put(down / (w * w), search[_DOWN])


@borrowing
def _weigh(n, by_trace, work, search):
    """The weights at which P is least, with all that `_join` makes there.

    What is made small is convex over the weight, so there is one place where its slope, a part that falls less one that rises, is 0.
    The logarithm of the two parts' ratio is nearly straight over that of w / (1-w): the secant rule in these needs some six steps.
    """
    for k in range(8):
        for row in range(_SEARCHED):
            search[row, k] = 0.0
        search[_LOW, k] = -_FAR
        search[_HIGH, k] = _FAR
        search[_W, k] = 0.5
    for step in range(60):
        _join(n, by_trace, work, search)
        found = 0
        for k in range(8):
            u, last_u = search[_U, k], search[_LAST_U, k]
            lean = math.log(max(search[_UP, k], _NOTHING) / max(search[_DOWN, k], _NOTHING))
            if search[_FOUND, k] == 0.0:
                search[_LOW if lean < 0.0 else _HIGH, k] = u
            low, high = search[_LOW, k], search[_HIGH, k]
            if search[_FOUND, k] == 1.0 or lean == 0.0 or low >= high or (step > 0 and abs(u - last_u) < _SAME):
                search[_FOUND, k] = 1.0
                found += 1
                continue
            new = u - lean * (u - last_u) / (lean - search[_LAST, k]) if step > 0 else u - lean
            new = min(max(new, -_FAR), _FAR)
            if new < low or new > high:
                new = 0.5 * (low + high)
            search[_LAST_U, k] = u
            search[_LAST, k] = lean
            search[_U, k] = new
            search[_W, k] = 1.0 / (1.0 + math.exp(-new))
        if found == 8:
            break


@borrowing
def _fuse(n, by_trace, work, search, x1, x2, x):
    """`intersect` of eight pairs whose parts are in ``work``, means ``(n, 8)``; P and D are in ``work`` then."""
    _weigh(n, by_trace, work, search)
    M, A, B, N = work[_M], work[_A], work[_B], work[_N]
    I1, I2, P, D = work[_I1], work[_I2], work[_P], work[_D]
    for i in range(n):  # x = x1 + K (x2 - x1) with K = P B = 1 - N, which is in M
        t = eight(x1[i])
        for j in range(n):
            t = t + cell(M, i, j) * (eight(x2[j]) - eight(x1[j]))
        put(t, x[i])
    for i in range(n):  # the independent part of the result is N I1 N' + K I2 K'
        for j in range(n):
            s, t = nought(), nought()
            for k in range(n):
                s = s + cell(N, i, k) * cell(I1, k, j)
                t = t + cell(M, i, k) * cell(I2, k, j)
            put_cell(s, A, i, j)
            put_cell(t, B, i, j)
    for i in range(n):
        for j in range(n):
            t = cell(P, i, j)
            for k in range(n):
                t = t - (cell(A, i, k) * cell(N, j, k) + cell(B, i, k) * cell(M, j, k))
            put_cell(t, D, i, j)


@borrowing
def _given(k, n, P1, D1, P2, D2, work):
    """Pair k's covariances, and the parts that may be correlated, into the lanes."""
    for i in range(n):
        for j in range(n):
            work[_I1, i, j, k] = P1[i, j] - D1[i, j]
            work[_I2, i, j, k] = P2[i, j] - D2[i, j]
            work[_D1, i, j, k] = D1[i, j]
            work[_D2, i, j, k] = D2[i, j]


@borrowing
def _taken(k, n, work, mean, x, P, D):
    """Pair k's result out of the lanes."""
    for i in range(n):
        x[i] = mean[i, k]
        for j in range(n):
            P[i, j], D[i, j] = work[_P, i, j, k], work[_D, i, j, k]


@njit
def intersect(x1, P1, D1, x2, P2, D2, by_trace, x, P, D):
    """Split covariance intersection of two estimates (n components) into x, P, D; returns the weight of the first.

    ``D1``, ``D2`` are the parts of ``P1``, ``P2`` that may be correlated between the two in an unknown way, what is left
    is independent.  With D = P this is covariance intersection (Julier & Uhlmann, Proc. ACC 1997), with D = 0 the
    fusion of independent estimates (Julier & Uhlmann, Handbook of Multisensor Data Fusion, 2001, ch. 12.4).  The weight
    minimises the determinant (or the trace) of P.
    """
    n = len(x1)
    work, search, means = np.zeros((_SQUARES, n, n, 8)), np.zeros((_SEARCHED, 8)), np.zeros((3, n, 8))
    for k in range(8):
        _given(k, n, P1, D1, P2, D2, work)
        for i in range(n):
            means[0, i, k], means[1, i, k] = x1[i], x2[i]
    _fuse(n, by_trace, work, search, means[0], means[1], means[2])
    _taken(0, n, work, means[2], x, P, D)
    return search[_W, 0]


@borrowing
def _further(have, t, count):
    """The source of row t that comes after ``count`` others, -1 if there is none."""
    for s in range(have.shape[1]):
        if have[t, s]:
            if count == 0:
                return s
            count -= 1
    return -1


@borrowing
def _fuse_rows(rows, count, others, x, P, D, have, mean, P_out, common, work, search, means):
    """`intersect` of what ``count`` rows have come to with the source after ``others`` of each; the last is in the lanes behind, too."""
    for k in range(8):
        t = rows[min(k, count - 1)]
        s, base = _further(have, t, others), _further(have, t, 0)
        _given(k, 6, P_out[t], common[t], P[t, s], D[t, s], work)
        for i in range(6):
            means[0, i, k], means[1, i, k] = mean[t, i], x[t, s, i] - x[t, base, i]
    _fuse(6, False, work, search, means[0], means[1], means[2])
    for k in range(count):
        _taken(k, 6, work, means[2], mean[rows[k]], P_out[rows[k]], common[rows[k]])


@njit
def intersect_rows(x, P, D, have, x_out, P_out):
    """Split covariance intersection of the estimates of each row, one after the other in the order given.

    ``x (n, s, 6), P (n, s, 6, 6)``, ``D`` the part of P that may be common to all, ``have (n, s)`` which of the s
    sources are there; out ``x_out (n, 6)``, ``P_out (n, 6, 6)``.  Means are taken about the first estimate, so that
    nothing is lost to the size of the Earth.  Eight rows are fused side by side.
    """
    work, search, means = np.zeros((_SQUARES, 6, 6, 8)), np.zeros((_SEARCHED, 8)), np.zeros((3, 6, 8))
    mean, common, rows = np.zeros(x_out.shape), np.zeros(P_out.shape), np.zeros(8, np.int64)
    for t in range(len(x)):
        base = _further(have, t, 0)
        for i in range(6):
            for j in range(6):
                P_out[t, i, j], common[t, i, j] = P[t, base, i, j], D[t, base, i, j]
    for others in range(1, have.shape[1]):
        count = 0
        for t in range(len(x)):
            if _further(have, t, others) >= 0:
                rows[count] = t
                count += 1
            if count == 8 or (count > 0 and t == len(x) - 1):
                _fuse_rows(rows, count, others, x, P, D, have, mean, P_out, common, work, search, means)
                count = 0
    for t in range(len(x)):
        base = _further(have, t, 0)
        for i in range(6):
            x_out[t, i] = x[t, base, i] + mean[t, i]
