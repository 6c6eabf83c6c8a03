"""Groups of tracks and plots that have nothing to do with one another: connected components of the gated pairs."""

from __future__ import annotations

import numpy as np

from copfuse.kernels import njit


@njit
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]  # halve the way for whoever comes next
        i = parent[i]
    return i


@njit
def clusters(start, plot, m):
    """Cluster of each row (n,) and of each of m plots (m,), −1 for a plot in nobody's gate, and how many clusters there are.

    Row i is paired with ``plot[start[i]:start[i + 1]]``; a row with no pair is a cluster of its own.  Clusters are numbered
    by their first row.  Union-find with path halving (Tarjan, Journal of the ACM 22(2), 1975); the smaller row leads.
    """
    n = len(start) - 1
    parent, owner = np.arange(n), np.full(m, -1)
    for i in range(n):
        for p in range(start[i], start[i + 1]):
            j = plot[p]
            if owner[j] < 0:
                owner[j] = i
            else:
                a, b = _root(parent, owner[j]), _root(parent, i)
                if a < b:
                    parent[b] = a
                else:
                    parent[a] = b
    label, count = np.empty(n, np.int64), 0
    for i in range(n):
        if parent[i] == i:
            label[i] = count
            count += 1
        else:
            label[i] = label[_root(parent, i)]
    for j in range(m):
        if owner[j] >= 0:
            owner[j] = label[owner[j]]
    return label, owner, count


@njit
def grouped(label, count):
    """Members of each group, in their order: group g has ``order[start[g]:start[g + 1]]``; labels below 0 are in none."""
    start = np.zeros(count + 1, np.int64)
    for i in range(len(label)):
        if label[i] >= 0:
            start[label[i] + 1] += 1
    for g in range(count):
        start[g + 1] += start[g]
    order, at = np.empty(start[count], np.int64), start.copy()
    for i in range(len(label)):
        g = label[i]
        if g >= 0:
            order[at[g]] = i
            at[g] += 1
    return start, order
