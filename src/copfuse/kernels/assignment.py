"""Optimal assignment on a rectangular cost matrix, with the choice of leaving a row unassigned."""

from __future__ import annotations

import numpy as np

from copfuse.kernels import njit


@njit
def assign(cost, miss):
    """Column of each row (−1: unassigned) that minimises the total cost.

    ``cost (n, m)``, inf where forbidden; ``miss (n,)`` is the cost of leaving row i unassigned.  Shortest augmenting
    paths with dual variables (Jonker & Volgenant, Computing 38, 1987; rectangular form of Crouse, IEEE T-AES 52(4),
    2016, algorithm 1); each row owns one extra column that only it may use, so a solution always exists.
    """
    n, m = cost.shape
    width = m + n
    u = np.zeros(n)
    v = np.zeros(width)
    row_of = np.full(width, -1)
    column_of = np.full(n, -1)
    shortest = np.empty(width)
    previous = np.empty(width, np.int64)
    done = np.empty(width, np.bool_)
    seen = np.empty(n, np.bool_)
    for start in range(n):
        for j in range(width):
            shortest[j] = np.inf
            previous[j] = -1
            done[j] = False
        for i in range(n):
            seen[i] = False
        i = start
        reached = 0.0
        sink = -1
        while sink < 0:
            seen[i] = True
            best = np.inf
            at = -1
            for j in range(width):
                if done[j]:
                    continue
                if j < m:
                    c = cost[i, j]
                elif j == m + i:
                    c = miss[i]
                else:
                    c = np.inf
                if c < np.inf:
                    r = reached + c - u[i] - v[j]
                    if r < shortest[j]:
                        shortest[j] = r
                        previous[j] = i
                if shortest[j] < best or (shortest[j] == best and at >= 0 and row_of[j] < 0):
                    best = shortest[j]
                    at = j
            reached = best
            done[at] = True
            if row_of[at] < 0:
                sink = at
            else:
                i = row_of[at]
        u[start] += reached
        for i in range(n):
            if seen[i] and i != start:
                u[i] += reached - shortest[column_of[i]]
        for j in range(width):
            if done[j]:
                v[j] -= reached - shortest[j]
        j = sink
        while True:
            i = previous[j]
            row_of[j] = i
            last = column_of[i]
            column_of[i] = j
            j = last
            if i == start:
                break
    for i in range(n):
        if column_of[i] >= m:
            column_of[i] = -1
    return column_of
