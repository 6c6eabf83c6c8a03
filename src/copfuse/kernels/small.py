"""Linear algebra on small matrices as scalar loops: cheap to compile, no temporaries, work arrays passed in."""

from __future__ import annotations

import math

from copfuse.kernels import borrowing


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
