"""Global hypotheses over track trees: one leaf of each tree or none, no plot in two of them; the best sets and what each leaf weighs."""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import njit
from copfuse.kernels.clusters import clusters, grouped


@njit
def _free(window, leaf, used):
    clash = False
    for p in window[leaf]:
        clash = clash or (p >= 0 and used[p])
    return not clash


@njit
def _mark(window, leaf, used, value):
    for p in window[leaf]:
        if p >= 0:
            used[p] = value


@njit
def _options(trees, start, score):
    """Of each tree its leaves, best first, and −1 for none of them, which is worth 0 and comes before what is worth less."""
    first = np.zeros(len(trees) + 1, np.int64)
    for d in range(len(trees)):
        first[d + 1] = first[d] + start[trees[d] + 1] - start[trees[d]] + 1
    leaf, value = np.full(first[-1], -1), np.zeros(first[-1])
    for d in range(len(trees)):
        at, absent = first[d], False
        for i in range(start[trees[d]], start[trees[d] + 1]):
            if score[i] < 0.0 and not absent:
                at, absent = at + 1, True
            leaf[at], value[at] = i, score[i]
            at += 1
    return first, leaf, value


@njit
def _maximal(first, leaf, window, used, choice):
    """Whether no tree that was left out has a free leaf that is worth as much: its set would be counted twice."""
    for d in range(len(choice)):
        if leaf[choice[d]] < 0:
            for at in range(first[d], choice[d]):
                if _free(window, leaf[at], used):
                    return False
    return True


@njit
def _keep(total, choice, totals, choices, count):
    """Insert a set among the best so far, which are sorted; returns how many there are now."""
    k = len(totals)
    at = count if count < k else k - 1
    while at > 0 and totals[at - 1] < total:
        totals[at] = totals[at - 1]
        for d in range(len(choice)):
            choices[at, d] = choices[at - 1, d]
        at -= 1
    totals[at] = total
    for d in range(len(choice)):
        choices[at, d] = choice[d]
    return min(count + 1, k)


@njit
def _improved(first, leaf, value, window, used, choice):
    """Change one tree's choice after the other, in place, while that gains; returns the new total."""
    for d in range(len(choice)):
        if leaf[choice[d]] >= 0:
            _mark(window, leaf[choice[d]], used, True)
    better = True
    while better:
        better = False
        for d in range(len(choice)):
            now = choice[d]
            if leaf[now] >= 0:
                _mark(window, leaf[now], used, False)
            for at in range(first[d], now):  # only what is worth more stands before it
                if value[at] > value[now] and (leaf[at] < 0 or _free(window, leaf[at], used)):
                    choice[d], better = at, True
                    break
            if leaf[choice[d]] >= 0:
                _mark(window, leaf[choice[d]], used, True)
    total = 0.0
    for d in range(len(choice)):
        total += value[choice[d]]
        if leaf[choice[d]] >= 0:
            _mark(window, leaf[choice[d]], used, False)
    return total


@njit
def best_sets(trees, start, window, score, used, k, span, most):
    """The k sets of greatest total score, best first: leaves ``(k, q)``, −1 for none, totals ``(k,)``, and whether they surely are.

    Tree t has the leaves ``start[t]`` to ``start[t + 1]``, sorted by falling ``score (n,)``; ``trees (q,)`` take part.  Leaves of two
    trees exclude each other where they share a plot: ``window (n, s)``, numbers from 0, −1 for none.  A tree of which
    no leaf is taken counts 0, and is left out only where all its leaves of a score of 0 or more are excluded.  ``used`` is
    scratch, False for every plot.  Sets that fall ``span`` or more behind the best are left out.

    Depth first, tree after tree, with the sum of what each tree left can give at best as the bound: the weighted set packing of
    Blackman & Popoli (1999, sec. 16.5).  After ``most`` leaves looked at it stops, and the best set so far is improved
    one tree at a time: the only case where a better one may be missed.
    """
    q = len(trees)
    first, leaf, value = _options(trees, start, score)
    rest = np.zeros(q + 1)
    for d in range(q - 1, -1, -1):
        rest[d] = rest[d + 1] + max(value[first[d]], 0.0)
    totals, choices, count = np.full(k, -np.inf), np.zeros((k, q), np.int64), 0
    at, taken, partial = first[:q].copy(), first[:q].copy(), np.zeros(q + 1)
    d, looked = 0, 0
    while d >= 0:
        if d == q:
            if _maximal(first, leaf, window, used, taken):
                count = _keep(partial[q], taken, totals, choices, count)
        elif at[d] < first[d + 1] and (looked < most or count == 0):
            i, looked = at[d], looked + 1
            at[d] += 1
            total = partial[d] + value[i]
            if count and (total + rest[d + 1] <= totals[0] - span or (count == k and total + rest[d + 1] <= totals[k - 1])):
                at[d] = first[d + 1]  # the others are worth no more
            elif leaf[i] < 0 or _free(window, leaf[i], used):
                if leaf[i] >= 0:
                    _mark(window, leaf[i], used, True)
                taken[d], partial[d + 1] = i, total
                d += 1
                if d < q:
                    at[d] = first[d]
            continue
        d -= 1  # back to the tree before, whose choice is taken back
        if d >= 0 and leaf[taken[d]] >= 0:
            _mark(window, leaf[taken[d]], used, False)
    if looked >= most:
        taken[:] = choices[0]
        total = _improved(first, leaf, value, window, used, taken)
        if total > totals[0] + 1e-9:  # not the same set summed in another order
            count = _keep(total, taken, totals, choices, count)
    while count > 1 and totals[count - 1] <= totals[0] - span:
        count -= 1
    for a in range(count):
        for d in range(q):
            choices[a, d] = leaf[choices[a, d]]
    return choices[:count], totals[:count], looked < most


@njit
def leaf_weights(start, window, score, m, k, span, most):
    """How probable every leaf is, (n,), over the `best_sets` of its cluster, which leaves are in the best, (n,), and if all are sure.

    Arguments as there; m is the number of plots in ``window``.  Trees that share no plot, not even by others, do not meet.
    """
    n, n_tree, s = len(score), len(start) - 1, window.shape[1]
    pair_start, pair_plot, size = np.zeros(n_tree + 1, np.int64), np.empty(n * s, np.int64), 0
    for t in range(n_tree):
        for i in range(start[t], start[t + 1]):
            for p in window[i]:
                if p >= 0:
                    pair_plot[size] = p
                    size += 1
        pair_start[t + 1] = size
    label, _, count = clusters(pair_start, pair_plot[:size], m)
    group, order = grouped(label, count)
    weight, best, used, sure = np.zeros(n), np.zeros(n, np.bool_), np.zeros(m, np.bool_), True
    for g in range(count):
        chosen, totals, surely = best_sets(order[group[g] : group[g + 1]], start, window, score, used, k, span, most)
        sure = sure and surely
        whole = 0.0
        for total in totals:
            whole += math.exp(total - totals[0])
        for a in range(len(totals)):
            for i in chosen[a]:
                if i >= 0:
                    weight[i] += math.exp(totals[a] - totals[0]) / whole
                    best[i] = best[i] or a == 0
    return weight, best, sure
