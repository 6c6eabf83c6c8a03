"""Linear algebra on small matrices as scalar loops: cheap to compile, no temporaries, work arrays passed in."""

from __future__ import annotations

import math

from copfuse.kernels import borrowing


@borrowing
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


@borrowing
def solve_lower(lower, n, b):
    """Forward substitution in place: b becomes L^-1 b."""
    for i in range(n):
        s = b[i]
        for k in range(i):
            s -= lower[i, k] * b[k]
        b[i] = s / lower[i, i]


@borrowing
def invert(a, n, lower, out):
    """out = a^-1 for symmetric positive definite a; returns the natural logarithm of det a."""
    cholesky(a, n, lower)
    log_det = 0.0
    for j in range(n):
        log_det += 2.0 * math.log(lower[j, j])
        for i in range(n):
            out[i, j] = 1.0 if i == j else 0.0
        # the column is contiguous only by rows, so substitute on it in place by hand
        for i in range(n):
            s = out[i, j]
            for k in range(i):
                s -= lower[i, k] * out[k, j]
            out[i, j] = s / lower[i, i]
        for i in range(n - 1, -1, -1):
            s = out[i, j]
            for k in range(i + 1, n):
                s -= lower[k, i] * out[k, j]
            out[i, j] = s / lower[i, i]
    for i in range(n):
        for j in range(i):
            m = 0.5 * (out[i, j] + out[j, i])
            out[i, j] = m
            out[j, i] = m
    return log_det
