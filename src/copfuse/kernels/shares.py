"""Which covariances hold others as a part of them, and their parts held to it: `filters.within`."""

from __future__ import annotations

import numpy as np

from copfuse.kernels import borrowing, njit
from copfuse.kernels.eights import above, cell, larger, nought, put_cell, root, size, smaller, where_below

_SMALL = 1e-28  # of the squares of a matrix: what is left of them off its diagonal when that is called its eigenvalues
_SWEEPS = 20  # at most; 6 are usual


@njit
def hold(part, whole, least):
    """`filters.within` of ``part (n, 6, 6)`` and ``whole (n, 6, 6)``, in place, eight of those that are `beyond` side by side."""
    some = np.empty(len(part), np.bool_)
    beyond(part, whole, least, np.empty((6, 6)), some)
    rows, work = np.flatnonzero(some), np.empty((2, 6, 6, 8))
    for first in range(0, len(rows), 8):
        last = min(first + 8, len(rows)) - 1
        for k in range(8):
            row = rows[min(first + k, last)]
            for i in range(6):
                for j in range(6):
                    work[0, i, j, k], work[1, i, j, k] = part[row, i, j], whole[row, i, j]
        _hold(work[0], work[1], least)
        for k in range(last + 1 - first):
            for i in range(6):
                for j in range(6):
                    part[rows[first + k], i, j] = work[0, i, j, k]


@borrowing
def beyond(part, whole, least, left, out):
    """Whether ``part (n, 6, 6)`` has in some direction a share of ``whole (n, 6, 6)`` that is not in (``least``, 1): ``out (n,)``;
    ``left (6, 6)`` is scratch."""
    for i in range(len(out)):
        for a in range(6):
            for b in range(6):
                left[a, b] = whole[i, a, b] - part[i, a, b]
        fine = _positive(left)
        for a in range(6):
            for b in range(6):
                left[a, b] = part[i, a, b] - least * whole[i, a, b]
        out[i] = not (fine and _positive(left))


@borrowing
def _positive(left):
    """Whether a symmetric matrix is positive definite: all pivots of its elimination, in place, are."""
    for k in range(len(left)):
        if not left[k, k] > 0.0:
            return False
        for b in range(k + 1, len(left)):
            ratio = left[k, b] / left[k, k]
            for a in range(k + 1, len(left)):
                left[a, b] -= left[a, k] * ratio
    return True


@borrowing
def _hold(part, whole, least):
    """Hold eight parts ``(6, 6, 8)`` in place; of ``whole`` its root is left, turned to the directions of the shares."""
    _factor(whole)
    for _ in range(2):  # L^-1 part L^-T, with L that root, are the shares
        _solve(whole, part)
    for _ in range(_SWEEPS):
        if not _turned(part, whole):
            break
    for k in range(6):
        scale = root(smaller(larger(cell(part, k, k), least), 1.0))
        for i in range(6):
            put_cell(scale * cell(whole, i, k), whole, i, k)
    for i in range(6):
        for j in range(i + 1):
            total = nought()
            for k in range(6):
                total = total + cell(whole, i, k) * cell(whole, j, k)
            put_cell(total, part, i, j)
            put_cell(total, part, j, i)


@borrowing
def _factor(a):
    """Cholesky's lower triangle in the place of each of eight matrices."""
    for j in range(6):
        for i in range(j, 6):
            total = cell(a, i, j)
            for k in range(j):
                total = total - cell(a, i, k) * cell(a, j, k)
            put_cell(root(larger(total, 1e-300)) if i == j else total / cell(a, j, j), a, i, j)
            if i > j:
                put_cell(nought(), a, j, i)


@borrowing
def _solve(lower, b):
    """The transpose of L^-1 b in the place of b, which is of eight matrices as is L."""
    for j in range(6):
        for i in range(6):
            total = cell(b, i, j)
            for k in range(i):
                total = total - cell(lower, i, k) * cell(b, k, j)
            put_cell(total / cell(lower, i, i), b, i, j)
    for i in range(6):
        for j in range(i):
            other = cell(b, i, j)
            put_cell(cell(b, j, i), b, i, j)
            put_cell(other, b, j, i)


@borrowing
def _turned(a, basis):
    """One sweep of Jacobi's rotations (Golub & Van Loan, Matrix Computations, ch. 8.5) over the upper halves of eight symmetric matrices,
    whose ``basis`` turns with them; False, and none, where all are diagonal already.

    What is diagonal is not turned any more, so that nothing of a matrix goes by which others it stands beside.
    """
    off, on = nought(), nought()
    for p in range(6):
        on = on + cell(a, p, p) * cell(a, p, p)
        for q in range(p + 1, 6):
            off = off + cell(a, p, q) * cell(a, p, q)
    flat = _SMALL * on - off
    if above(flat, 0.0):
        return False
    for p in range(5):
        for q in range(p + 1, 6):
            twice, apart = 2.0 * cell(a, p, q), cell(a, q, q) - cell(a, p, p)
            tangent = twice / (size(apart) + root(apart * apart + twice * twice) + 1e-300)
            tangent = where_below(flat, 0.0, where_below(apart, 0.0, 0.0 - tangent, tangent), nought())
            cosine = 1.0 / root(1.0 + tangent * tangent)
            sine = tangent * cosine
            put_cell(cell(a, p, p) - 0.5 * tangent * twice, a, p, p)
            put_cell(cell(a, q, q) + 0.5 * tangent * twice, a, q, q)
            put_cell(nought(), a, p, q)
            for r in range(6):
                if r != p and r != q:
                    _rotate(cosine, sine, a, min(r, p), max(r, p), min(r, q), max(r, q))
                _rotate(cosine, sine, basis, r, p, r, q)
    return True


@borrowing(forceinline=True)
def _rotate(cosine, sine, a, i, j, k, m):
    """Two places of eight matrices, turned into each other."""
    one, other = cell(a, i, j), cell(a, k, m)
    put_cell(cosine * one - sine * other, a, i, j)
    put_cell(sine * one + cosine * other, a, k, m)
