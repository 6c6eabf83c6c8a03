"""Optimal assignment, with the choice of leaving a row unassigned: on a whole matrix, on some pairs of it, and the k best."""

from __future__ import annotations

import numpy as np

from copfuse.kernels import borrowing, njit


@borrowing
def _path(cost, miss, start, u, v, row_of, shortest, previous, done, seen):
    """The shortest augmenting path from a row: the free column in which it ends (−1: there is none) and its length."""
    m = cost.shape[1]
    i, reached = start, 0.0
    while True:
        seen[i] = True
        best = np.inf
        at = -1
        for j in range(len(v)):
            if done[j]:
                continue
            c = cost[i, j] if j < m else (miss[i] if j == m + i else np.inf)
            if c < np.inf:
                r = reached + c - u[i] - v[j]
                if r < shortest[j]:
                    shortest[j] = r
                    previous[j] = i
            if shortest[j] < best or (shortest[j] == best and at >= 0 and row_of[j] < 0):
                best = shortest[j]
                at = j
        if at < 0:
            return -1, reached
        reached = best
        done[at] = True
        if row_of[at] < 0:
            return at, reached
        i = row_of[at]


@njit
def assign(cost, miss):
    """Column of each row (−1: unassigned) that minimises the total cost.

    ``cost (n, m)``, inf where forbidden; ``miss (n,)`` is the cost of leaving row i unassigned.  Shortest augmenting
    paths with dual variables (Jonker & Volgenant, Computing 38, 1987; rectangular form of Crouse, IEEE T-AES 52(4),
    2016, algorithm 1); each row owns one extra column that only it may use, so a solution always exists.  Where ``miss``
    is inf too and none exists, all rows are left unassigned.
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
        sink, reached = _path(cost, miss, start, u, v, row_of, shortest, previous, done, seen)
        if sink < 0:
            return np.full(n, -1)
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


@njit(forceinline=True)
def _push(key, item, size, new_key, new_item):
    """Put an entry into a binary heap of ``size`` entries, smallest key first; the new size."""
    at = size
    while at > 0:
        above = (at - 1) // 2
        if key[above] <= new_key:
            break
        key[at], item[at] = key[above], item[above]
        at = above
    key[at], item[at] = new_key, new_item
    return size + 1


@njit(forceinline=True)
def _pop(key, item, size):
    """Move the entry of smallest key behind the heap's end, to ``size`` - 1, which is also the new size."""
    size -= 1
    first_key, first_item = key[0], item[0]
    last_key, last_item = key[size], item[size]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and key[below + 1] < key[below]:
            below += 1
        if last_key <= key[below]:
            break
        key[at], item[at] = key[below], item[below]
        at = below
    key[at], item[at] = last_key, last_item
    key[size], item[size] = first_key, first_item
    return size


@njit(forceinline=True)
def _bid(start, plot, cost, miss, price, row_of, pair_of, left):
    """Augmenting row reduction (Jonker & Volgenant, sec. 4): rows take their cheapest plot, and lower its price where it was taken.

    Writes the rows that must be augmented into ``left``, and returns how many.
    """
    n = len(miss)
    count, bids = 0, 0
    for first in range(n):
        i = first
        while i >= 0:
            lowest, second, best, other = miss[i], np.inf, -1, -1
            for p in range(start[i], start[i + 1]):
                r = cost[p] - price[plot[p]]
                if r < lowest:
                    lowest, second, best, other = r, lowest, p, best
                elif r < second:
                    second, other = r, p
            if best < 0:
                break  # to miss is best
            j = plot[best]
            if row_of[j] >= 0 and lowest == second:  # a tie: no price would change
                if other >= 0 and row_of[plot[other]] < 0:
                    best, j = other, plot[other]
                elif other < 0:
                    break
            bids += 1
            if row_of[j] >= 0 and (lowest == second or bids > 8 * n):
                left[count] = i
                count += 1
                break
            outbid = row_of[j]
            if outbid >= 0:
                price[j] -= second - lowest
                pair_of[outbid] = -1
            row_of[j], pair_of[i] = i, best
            i = outbid
    return count


@njit
def assign_pairs(start, plot, cost, miss, m):
    """The assignment of least total cost where only some pairs are allowed; pairs held (n,), −1 unassigned, and prices (m,).

    Row i may take the plots ``plot[start[i]:start[i + 1]]`` at ``cost`` (rows of a compressed matrix, as scipy's CSR), or
    none at ``miss[i]``, which is finite; m is the number of plots.  What is held is an index into ``plot``.  The prices
    are the columns' dual variables, at most 0, and 0 where nobody holds the plot: cost − price is smallest, for every row,
    at what it holds.  Augmenting row reduction, then shortest augmenting paths over a heap (Jonker & Volgenant, Computing
    38, 1987), which touch only the cluster that they are in.
    """
    n = len(miss)
    price, row_of, pair_of, left = np.zeros(m), np.full(m, -1), np.full(n, -1), np.empty(n, np.int64)
    count = _bid(start, plot, cost, miss, price, row_of, pair_of, left)
    distance, done, via, via_row = np.full(m, np.inf), np.zeros(m, np.bool_), np.empty(m, np.int64), np.empty(m, np.int64)
    seen, key, item = np.empty(m, np.int64), np.empty(len(plot) + 1), np.empty(len(plot) + 1, np.int64)
    for at in range(count):
        source = left[at]
        i, base, n_seen, size = source, 0.0, 0, 0
        sink, sink_row, sink_pair = np.inf, source, -1
        while True:
            if base + miss[i] < sink:
                sink, sink_row, sink_pair = base + miss[i], i, -1
            for p in range(start[i], start[i + 1]):
                j = plot[p]
                d = base + cost[p] - price[j]
                if done[j] or d >= sink or d >= distance[j]:
                    continue
                if row_of[j] < 0:
                    sink, sink_row, sink_pair = d, i, p
                else:
                    if distance[j] == np.inf:
                        seen[n_seen] = j
                        n_seen += 1
                    distance[j], via[j], via_row[j] = d, p, i
                    size = _push(key, item, size, d, j)
            while size > 0 and done[item[0]]:
                size = _pop(key, item, size)
            if size == 0 or key[0] >= sink:
                break
            j = item[0]
            done[j] = True
            i = row_of[j]
            base = distance[j] - (cost[pair_of[i]] - price[j])
        for k in range(n_seen):
            j = seen[k]
            if done[j]:
                price[j] += distance[j] - sink
            distance[j], done[j] = np.inf, False
        i, p = sink_row, sink_pair
        while True:
            held = pair_of[i]
            pair_of[i] = p
            if p >= 0:
                row_of[plot[p]] = i
            if i == source:
                break
            p, i = via[plot[held]], via_row[plot[held]]
    return pair_of, price


@njit
def assign_plots(start, plot, log_ratio, odds, m, held):
    """`assign_pairs` of greatest total ``log_ratio (pairs,)`` over a miss, row i weighing ``odds[i]`` more.

    Into ``held (n,)`` go plots, or −1.
    """
    n = len(start) - 1
    cost = np.empty(len(plot))
    for i in range(n):
        for p in range(start[i], start[i + 1]):
            cost[p] = -(log_ratio[p] + odds[i])
    pair, _ = assign_pairs(start, plot, cost, np.zeros(n), m)
    for i in range(n):
        held[i] = plot[pair[i]] if pair[i] >= 0 else -1


@njit
def _total(cost, miss, column):
    total = 0.0
    for i in range(len(miss)):
        total += miss[i] if column[i] < 0 else cost[i, column[i]]
    return total


@njit
def murty(cost, miss, k):
    """The k assignments of least total cost, best first: columns (k, n), −1 unassigned, and totals (k,); fewer where there are fewer.

    ``cost (n, m)`` and ``miss (n,)`` as for `assign`; here ``miss`` may be inf too.  Each assignment found is taken out by
    splitting what is left of its part of the solutions, row by row (Murty, Operations Research 16(3), 1968).
    """
    n, m = cost.shape
    room = k * n + 1
    columns, total = np.empty((room, n), np.int64), np.full(room, np.inf)
    fixed, banned = np.zeros(room, np.int64), np.zeros((room, m + 1), np.bool_)  # rows held fast; what the next may not take
    part, part_miss = np.empty((n, m)), np.empty(n)
    column = assign(cost, miss)
    for i in range(n):
        columns[0, i] = column[i]
    total[0] = _total(cost, miss, column)
    used, found = 1, 0
    best_columns, best_total = np.empty((k, n), np.int64), np.empty(k)
    while found < k:
        best = -1
        for node in range(used):
            if total[node] < np.inf and fixed[node] >= 0 and (best < 0 or total[node] < total[best]):
                best = node
        if best < 0:
            break
        best_total[found] = total[best]
        for i in range(n):
            best_columns[found, i] = columns[best, i]
        found += 1
        if found == k:
            break
        for row in range(fixed[best], n):
            new = used
            used += 1
            fixed[new] = row
            if row == fixed[best]:
                for j in range(m + 1):
                    banned[new, j] = banned[best, j]
            banned[new, columns[best, row]] = True  # the last is "unassigned"
            for i in range(n):
                part_miss[i] = miss[i]
                for j in range(m):
                    part[i, j] = cost[i, j]
            for i in range(row):  # what is held fast can take only what it holds
                c = columns[best, i]
                for j in range(m):
                    if j != c:
                        part[i, j] = np.inf
                if c >= 0:
                    part_miss[i] = np.inf
            for j in range(m):
                if banned[new, j]:
                    part[row, j] = np.inf
            if banned[new, m]:
                part_miss[row] = np.inf
            column = assign(part, part_miss)
            for i in range(n):
                columns[new, i] = column[i]
            total[new] = _total(part, part_miss, column)
        fixed[best] = -1  # found
    return best_columns[:found], best_total[:found]
