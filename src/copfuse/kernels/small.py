"""Linear algebra on small matrices as scalar loops: cheap to compile, no temporaries, work arrays passed in."""

from __future__ import annotations

import math

from copfuse.kernels import borrowing

_ROUNDING = 1e-14  # share of its own variance added to each component, so that rounding leaves no covariance indefinite


@borrowing(finished=True)
def cholesky(a, n, lower):
    """Lower triangular L with L L' = a on the leading n rows; a pivot that rounding made negative is lifted.

    Returns the number of pivots lifted: 0 says that ``a`` was positive definite.
    """
    lifted = 0
    for j in range(n):
        s = a[j, j]
        for k in range(j):
            s -= lower[j, k] * lower[j, k]
        floor = 1e-14 * abs(a[j, j]) + 1e-300
        if not s > floor:
            s = floor
            lifted += 1
        d = math.sqrt(s)
        lower[j, j] = d
        for i in range(j + 1, n):
            t = a[i, j]
            for k in range(j):
                t -= lower[i, k] * lower[j, k]
            lower[i, j] = t / d
        for i in range(j):
            lower[i, j] = 0.0
    return lifted


@borrowing(forceinline=True)
def blend(weight, column, rows, count, out):
    """out (9) = sum of the first ``count`` of some rows of 9, each times what a column of ``weight`` has in its row."""
    a, b, c, d, e, f, g, h, i = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0  # in registers, not memory
    for r in range(count):
        w = weight[r, column]
        a += w * rows[r, 0]
        b += w * rows[r, 1]
        c += w * rows[r, 2]
        d += w * rows[r, 3]
        e += w * rows[r, 4]
        f += w * rows[r, 5]
        g += w * rows[r, 6]
        h += w * rows[r, 7]
        i += w * rows[r, 8]
    out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7], out[8] = a, b, c, d, e, f, g, h, i


@borrowing(finished=True)
def squares(rows, count, n, weight, P):
    """P (n, n) = ``weight`` times the sum of the outer squares of the first ``count`` of some rows of n or more.

    Nine sums at a time, three by three: each alone would wait for itself.
    """
    for i in range(0, n, 3):
        i1, i2 = min(i + 1, n - 1), min(i + 2, n - 1)
        for j in range(0, i + 1, 3):
            j1, j2 = min(j + 1, n - 1), min(j + 2, n - 1)
            a, b, c, d, e, f, g, h, k = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for r in range(count):
                p, q, t, u, v, w = rows[r, i], rows[r, i1], rows[r, i2], rows[r, j], rows[r, j1], rows[r, j2]
                a += p * u
                b += p * v
                c += p * w
                d += q * u
                e += q * v
                f += q * w
                g += t * u
                h += t * v
                k += t * w
            P[i, j], P[i, j1], P[i, j2] = weight * a, weight * b, weight * c
            P[i1, j], P[i1, j1], P[i1, j2] = weight * d, weight * e, weight * f
            P[i2, j], P[i2, j1], P[i2, j2] = weight * g, weight * h, weight * k
    for i in range(n):
        for j in range(i):
            P[j, i] = P[i, j]


@borrowing
def firm_up(P, n):
    """Lift the diagonal of P's leading n rows by `_ROUNDING`: far below any noise, above what sums of n terms lose."""
    for i in range(n):
        P[i, i] += _ROUNDING * P[i, i] + 1e-300


@borrowing
def solve_lower(lower, n, b):
    """Forward substitution in place: b becomes L^-1 b."""
    for i in range(n):
        s = b[i]
        for k in range(i):
            s -= lower[i, k] * b[k]
        b[i] = s / lower[i, i]


@borrowing
def inverse(a, n, lower, out):
    """out = a^-1 for symmetric positive definite a, by L^-1 of its factor L, which ``lower`` keeps."""
    cholesky(a, n, lower)
    for i in range(n):
        out[i, i] = 1.0 / lower[i, i]
    for j in range(n):
        for i in range(j + 1, n):
            s = 0.0
            for k in range(j, i):
                s -= lower[i, k] * out[k, j]
            out[i, j] = s * out[i, i]
    for i in range(n):  # the upper half and the diagonal of L^-1' L^-1, in the place of what is not needed any more
        for j in range(n - 1, i - 1, -1):
            s = 0.0
            for k in range(j, n):
                s += out[k, i] * out[k, j]
            out[i, j] = s
    for i in range(n):
        for j in range(i):
            out[i, j] = out[j, i]


@borrowing
def invert(a, n, lower, out):
    """`inverse`; returns the natural logarithm of det a."""
    inverse(a, n, lower, out)
    log_det = 0.0
    for j in range(n):
        log_det += 2.0 * math.log(lower[j, j])
    return log_det
