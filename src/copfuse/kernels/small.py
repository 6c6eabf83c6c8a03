"""Linear algebra on small matrices as scalar loops: cheap to compile, no temporaries, work arrays passed in."""

from __future__ import annotations

import math

from copfuse.kernels import borrowing
from copfuse.kernels.eights import eight, eight_at, joined, nought, put, put_at, put_first

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
def _column(a, j, upper, over):
    """Column j of L of L D L', of unit diagonal but for the pivot, from those before; ``over[j]`` is 1 over the pivot."""
    row, last = eight(a[j]), a[j, 8]
    for k in range(j):
        w = upper[k, j] * over[k]
        row = row - w * eight(upper[k])
        last -= w * upper[k, 8]
    put(row, upper[j])
    upper[j, 8] = last
    floor = 1e-14 * abs(a[j, j]) + 1e-300
    if not upper[j, j] > floor:
        upper[j, j] = floor
    over[j] = 1.0 / upper[j, j]


@borrowing(forceinline=True)
def _rooted(n, upper, over):
    """The columns of L from those: roots are taken at the end, as every pivot waits for the one before."""
    for j in range(n):
        w = math.sqrt(over[j])
        put(joined(nought(), w * eight(upper[j]), j), upper[j])
        upper[j, 8] *= w


@borrowing(finished=True)
def columns(a, n, upper, over):
    """The columns of `cholesky`'s L, one a row of ``upper (n, 9)``, of ``a (n, 9)`` whose leading n columns are symmetric.

    What stands behind the first n of a row means nothing; ``over (9)`` is scratch.
    """
    for j in range(n):
        _column(a, j, upper, over)
    _rooted(n, upper, over)


@borrowing(finished=True)
def columns_of(a, sizes, upper, over):
    """`columns` of several matrices ``a (k, 9, 9)`` of these sizes (k,), 0 for none, of which each waits less for its own pivots.

    ``upper (k, 9, 9)``; ``over (k, 9)`` is scratch.
    """
    for j in range(9):
        for i in range(len(sizes)):
            if j < sizes[i]:
                _column(a[i], j, upper[i], over[i])
    for i in range(len(sizes)):
        _rooted(sizes[i], upper[i], over[i])


@borrowing(forceinline=True)
def hand(row, other):
    """Put a row of 9 in the place of another."""
    put(eight(row), other)
    other[8] = row[8]


@borrowing
def hand_all(rows, others, count):
    """Put ``count`` numbers, eight or more, that stand after one another in the place of others."""
    for a in range(0, count, 8):
        place = min(a, count - 8)
        put_at(eight_at(rows, place), others, place)


@borrowing(forceinline=True)
def blend(weight, column, rows, count, out):
    """out (9) = sum of the first ``count`` of some rows of 9, each times what a column of ``weight`` has in its row."""
    first, last = nought(), 0.0
    for r in range(count):
        w = weight[r, column]
        first = first + w * eight(rows[r])
        last += w * rows[r, 8]
    put(first, out)
    out[8] = last


@borrowing(finished=True)
def squares(rows, count, n, weight, P):
    """P (n, n) = ``weight`` times the sum of the outer squares of the first ``count`` of some rows of 9, of which n are asked for."""
    a, b, c, d, e, f, g, h, i, last = nought(), nought(), nought(), nought(), nought(), nought(), nought(), nought(), nought(), 0.0
    for r in range(count):
        row = rows[r]
        v = eight(row)
        a = a + row[0] * v
        b = b + row[1] * v
        c = c + row[2] * v
        d = d + row[3] * v
        e = e + row[4] * v
        f = f + row[5] * v
        g = g + row[6] * v
        h = h + row[7] * v
        i = i + row[8] * v
        last += row[8] * row[8]
    put_first(weight * a, P[0], n)
    put_first(weight * b, P[1], n)
    put_first(weight * c, P[2], n)
    put_first(weight * d, P[3], n)
    put_first(weight * e, P[4], n)
    put_first(weight * f, P[5], n)
    if n > 6:
        put_first(weight * g, P[6], n)
    if n > 7:
        put_first(weight * h, P[7], n)
    if n > 8:
        put(weight * i, P[8])
        P[8, 8] = weight * last
        for q in range(8):
            P[q, 8] = P[8, q]


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
