"""The mean of two estimates whose correlation nobody knows."""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import borrowing, njit
from copfuse.kernels.small import inverse

_FAR = math.log(1e6)  # of w / (1-w): weights of intersection end as near to 0 and 1
_SAME = 1e-5  # and two logarithms so near end the search, the newer one's error being some 1e-9
_NOTHING = 1e-300


@borrowing
def _join(w, I1, D1, I2, D2, n, by_trace, M, lower, A, B, P, N):
    """Fuse at weight w: A = (I1 + D1/w)^-1, B = (I2 + D2/(1-w))^-1, P = (A + B)^-1, N = P A, M = 1 - N.

    Returns the two parts of the slope over w of what is to be small: tr(B P B D2) / (1-w)^2, which is to be tr(A P A D1) / w^2 for the
    logarithm of P's determinant, and with P P in the place of P for its trace.
    """
    for i in range(n):
        for j in range(n):
            M[i, j] = I1[i, j] + D1[i, j] / w
    inverse(M, n, lower, A)
    for i in range(n):
        for j in range(n):
            M[i, j] = I2[i, j] + D2[i, j] / (1.0 - w)
    inverse(M, n, lower, B)
    for i in range(n):
        for j in range(n):
            M[i, j] = A[i, j] + B[i, j]
    inverse(M, n, lower, P)
    for i in range(n):
        for j in range(n):
            t = 0.0
            for k in range(n):
                t += P[i, k] * A[k, j]
            N[i, j] = t
            M[i, j] = (1.0 if i == j else 0.0) - t
    one, two = (N, M) if by_trace else (A, B)
    down, up = 0.0, 0.0
    for i in range(n):
        for j in range(n):
            s, t = 0.0, 0.0
            for k in range(n):
                s += one[k, i] * N[k, j]
                t += two[k, i] * M[k, j]
            down += s * D1[i, j]
            up += t * D2[i, j]
    return up / ((1.0 - w) * (1.0 - w)), down / (w * w)


@borrowing
def _weigh(I1, D1, I2, D2, n, by_trace, M, lower, A, B, P, N):
    """The weight at which P is least, with all that `_join` makes there.

    What is made small is convex over the weight, so there is one place where its slope, a part that falls less one that rises, is 0.
    The logarithm of the two parts' ratio is nearly straight over that of w / (1-w): the secant rule in these needs some six steps.
    """
    low, high = -_FAR, _FAR
    u, w, last_u, last = 0.0, 0.5, 0.0, 0.0
    for step in range(60):
        up, down = _join(w, I1, D1, I2, D2, n, by_trace, M, lower, A, B, P, N)
        lean = math.log(max(up, _NOTHING) / max(down, _NOTHING))
        low, high = (u, high) if lean < 0.0 else (low, u)
        if lean == 0.0 or low >= high or (step > 0 and abs(u - last_u) < _SAME):
            break
        new = u - lean * (u - last_u) / (lean - last) if step > 0 else u - lean
        new = min(max(new, -_FAR), _FAR)
        if new < low or new > high:
            new = 0.5 * (low + high)
        last_u, last = u, lean
        u, w = new, 1.0 / (1.0 + math.exp(-new))
    return w


@njit(forceinline=True)
def intersect(x1, P1, D1, x2, P2, D2, by_trace, x, P, D):
    """Split covariance intersection of two estimates (n components) into x, P, D; returns the weight of the first.

    ``D1``, ``D2`` are the parts of ``P1``, ``P2`` that may be correlated between the two in an unknown way, what is left
    is independent.  With D = P this is covariance intersection (Julier & Uhlmann, Proc. ACC 1997), with D = 0 the
    fusion of independent estimates (Julier & Uhlmann, Handbook of Multisensor Data Fusion, 2001, ch. 12.4).  The weight
    minimises the determinant (or the trace) of P.
    """
    n = len(x1)
    square = np.zeros((7, n, n))
    I1, I2, M, lower, A, B, N = square[0], square[1], square[2], square[3], square[4], square[5], square[6]
    for i in range(n):
        for j in range(n):
            I1[i, j] = P1[i, j] - D1[i, j]
            I2[i, j] = P2[i, j] - D2[i, j]
    w = _weigh(I1, D1, I2, D2, n, by_trace, M, lower, A, B, P, N)
    for i in range(n):  # x = x1 + K (x2 - x1) with K = P B = 1 - N, which is in M
        x[i] = x1[i]
        for j in range(n):
            x[i] += M[i, j] * (x2[j] - x1[j])
    for i in range(n):  # the independent part of the result is N I1 N' + K I2 K'
        for j in range(n):
            A[i, j], B[i, j] = 0.0, 0.0
            for k in range(n):
                A[i, j] += N[i, k] * I1[k, j]
                B[i, j] += M[i, k] * I2[k, j]
    for i in range(n):
        for j in range(n):
            D[i, j] = P[i, j]
            for k in range(n):
                D[i, j] -= A[i, k] * N[j, k] + B[i, k] * M[j, k]
    return w


@njit
def intersect_rows(x, P, D, have, x_out, P_out):
    """Split covariance intersection of the estimates of each row, one after the other in the order given.

    ``x (n, s, 6), P (n, s, 6, 6)``, ``D`` the part of P that may be common to all, ``have (n, s)`` which of the s
    sources are there; out ``x_out (n, 6)``, ``P_out (n, 6, 6)``.  Means are taken about the first estimate, so that
    nothing is lost to the size of the Earth.
    """
    vector, square = np.zeros((3, 6)), np.zeros((3, 6, 6))
    first, other, mean = vector[0], vector[1], vector[2]
    cov, part, common = square[0], square[1], square[2]
    for t in range(len(x)):
        base = -1
        for s in range(have.shape[1]):
            if not have[t, s]:
                continue
            if base < 0:
                base = s
                for i in range(6):
                    first[i] = 0.0
                    for j in range(6):
                        P_out[t, i, j] = P[t, s, i, j]
                        common[i, j] = D[t, s, i, j]
                continue
            for i in range(6):
                other[i] = x[t, s, i] - x[t, base, i]
            intersect(first, P_out[t], common, other, P[t, s], D[t, s], False, mean, cov, part)
            for i in range(6):
                first[i] = mean[i]
                for j in range(6):
                    P_out[t, i, j] = cov[i, j]
                    common[i, j] = part[i, j]
        for i in range(6):
            x_out[t, i] = x[t, base, i] + first[i]
