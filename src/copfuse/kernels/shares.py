"""Which covariances hold others as a part of them: `filters.within`."""

from __future__ import annotations

from copfuse.kernels import borrowing


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
