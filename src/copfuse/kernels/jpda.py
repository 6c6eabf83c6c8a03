"""Joint probabilistic data association: how probable each pair is, over all assignments at once."""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import njit
from copfuse.kernels.assignment import assign_pairs
from copfuse.kernels.clusters import clusters, grouped

ITERATIONS = 1000  # of belief propagation, at most; convergence is slow where nearly everything is seen and little is false
TOLERANCE = 1e-6  # of a message, relative
LARGEST = 300.0  # logarithm of a likelihood ratio in belief propagation, so that a sum of products stays a number


@njit
def _ratios(rows, start, plot, log_ratio, price, slot, single, weight):
    """Weights of the rows' choices over those of their best: ``weight`` of pairs, of no shared plot ``single``; tops (k,)."""
    top = np.empty(len(rows))
    for r in range(len(rows)):
        first, last = start[rows[r]], start[rows[r] + 1]
        top[r] = 0.0
        for p in range(first, last):
            weight[p] = log_ratio[p] + (price[plot[p]] if slot[plot[p]] >= 0 else 0.0)
            top[r] = max(top[r], weight[p])
        single[r] = math.exp(-top[r])
        for p in range(first, last):
            weight[p] = math.exp(weight[p] - top[r])
            if slot[plot[p]] < 0:
                single[r] += weight[p]
    return top


@njit
def _exact(rows, shared, start, plot, log_ratio, price, slot, weight, chance, miss):
    """Marginals of one cluster by dynamic programming over subsets of its shared plots; cost k b 2^b for k rows, b plots.

    ``after[r, s]`` is the weight of all that rows r and later may do once the plots of s are taken, ``before[s]`` of all
    ways in which earlier rows take s.  Weights are relative to the best assignment, by its dual variables: none exceeds 1,
    so that no likelihood ratio is too large.
    """
    k, b = len(rows), len(shared)
    for q in range(b):
        slot[shared[q]] = q
    single = np.empty(k)
    top = _ratios(rows, start, plot, log_ratio, price, slot, single, weight)
    after, before = np.empty((k + 1, 1 << b)), np.zeros(1 << b)
    after[k, (1 << b) - 1] = 1.0
    for s in range((1 << b) - 2, -1, -1):
        q = 0
        while s >> q & 1:
            q += 1
        after[k, s] = after[k, s | 1 << q] * math.exp(price[shared[q]])  # a plot left over has its price too
    for r in range(k - 1, -1, -1):
        for s in range(1 << b):
            after[r, s] = single[r] * after[r + 1, s]
        for p in range(start[rows[r]], start[rows[r] + 1]):
            bit = 1 << slot[plot[p]] if slot[plot[p]] >= 0 else 0
            for s in range(1 << b if bit else 0):
                if not s & bit:
                    after[r, s] += weight[p] * after[r + 1, s | bit]
    before[0] = 1.0
    for r in range(k):
        first, last = start[rows[r]], start[rows[r] + 1]
        none = 0.0
        for s in range(1 << b):
            none += before[s] * after[r + 1, s]
        none /= after[0, 0]
        miss[rows[r]] = none * math.exp(-top[r])
        for p in range(first, last):
            chance[p] = weight[p] * none
            if slot[plot[p]] >= 0:
                bit, joint = 1 << slot[plot[p]], 0.0
                for s in range(1 << b):
                    if not s & bit:
                        joint += before[s] * after[r + 1, s | bit]
                chance[p] = weight[p] * joint / after[0, 0]
        for s in range((1 << b) - 1, -1, -1):
            before[s] *= single[r]
            for p in range(first, last):
                q = slot[plot[p]]
                if q >= 0 and s >> q & 1:
                    before[s] += weight[p] * before[s ^ 1 << q]
    for q in range(b):
        slot[shared[q]] = -1


@njit
def _believe(rows, columns, start, plot, log_ratio, column_start, column_pair, weight, message, behind, chance, miss):
    """Marginals of one cluster by loopy belief propagation (Williams & Lau, IEEE T-AES 50(4), 2014).

    ``message`` goes from plots to rows, ``chance`` from rows to plots until it holds the marginals.  Sums over all but
    one are added up from either side: a difference would lose all digits where one ratio outweighs the rest.
    """
    for i in rows:
        for p in range(start[i], start[i + 1]):
            weight[p], message[p] = math.exp(min(log_ratio[p], LARGEST)), 1.0
    worst, iteration = np.inf, 0
    while worst > TOLERANCE and iteration < ITERATIONS:
        iteration += 1
        worst = 0.0
        for i in rows:
            total = 0.0
            for p in range(start[i + 1] - 1, start[i] - 1, -1):
                behind[p] = total
                total += weight[p] * message[p]
            total = 1.0
            for p in range(start[i], start[i + 1]):
                chance[p] = weight[p] / (total + behind[p])
                total += weight[p] * message[p]
        for j in columns:
            total = 0.0
            for q in range(column_start[j + 1] - 1, column_start[j] - 1, -1):
                behind[column_pair[q]] = total
                total += chance[column_pair[q]]
            total = 1.0
            for q in range(column_start[j], column_start[j + 1]):
                p = column_pair[q]
                new = 1.0 / (total + behind[p])
                worst = max(worst, abs(new - message[p]) / new)
                message[p] = new
                total += chance[p]
    for i in rows:
        total = 1.0
        for p in range(start[i], start[i + 1]):
            total += weight[p] * message[p]
        miss[i] = 1.0 / total
        for p in range(start[i], start[i + 1]):
            chance[p] = weight[p] * message[p] / total


@njit
def marginals(start, plot, log_ratio, m, most_rows, most_plots):
    """How probable it is that each pair belongs together (pairs), and that each row has no plot (n,).

    Row i may have the plots ``plot[start[i]:start[i + 1]]``; ``log_ratio`` is the logarithm of what the pair's weight is
    over that of no plot.  Assignments, in which a plot is had by one row at most, are as probable as the product of their
    weights.  Clusters of at most ``most_rows`` rows that share at most ``most_plots`` plots are exact; a plot in one row's
    gate only is not counted, as it needs no subsets.  Larger clusters go by loopy belief propagation.
    """
    n = len(start) - 1
    row_cluster, plot_cluster, count = clusters(start, plot, m)
    row_start, row_order = grouped(row_cluster, count)
    plot_start, plot_order = grouped(plot_cluster, count)
    column_start, column_pair = grouped(plot, m)
    _, price = assign_pairs(start, plot, -log_ratio, np.zeros(n), m)
    slot, shared = np.full(m, -1), np.empty(m, np.int64)
    weight, message, behind = np.empty(len(plot)), np.empty(len(plot)), np.empty(len(plot))
    chance, miss = np.empty(len(plot)), np.empty(n)
    for c in range(count):
        rows, columns, b = row_order[row_start[c] : row_start[c + 1]], plot_order[plot_start[c] : plot_start[c + 1]], 0
        for j in columns:
            if column_start[j + 1] - column_start[j] > 1:
                shared[b] = j
                b += 1
        if b == 0 or (len(rows) <= most_rows and b <= most_plots):
            _exact(rows, shared[:b], start, plot, log_ratio, price, slot, weight, chance, miss)
        else:
            _believe(rows, columns, start, plot, log_ratio, column_start, column_pair, weight, message, behind, chance, miss)
    return chance, miss
