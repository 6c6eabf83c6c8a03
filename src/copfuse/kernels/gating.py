"""Which plots lie in which tracks' gates, without looking at all pairs."""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import njit

CELLS = 2.0  # width of a cell in half-widths of a typical gate: its box lies in two cells an axis
MANY = 64  # a box over more cells than this, and than there are plots, is compared with all plots
FAR = 1e9  # cells: what is farther away is in cell 0, so that no product overflows, and gates that go half so far look at all plots


@njit
def _bucket(i, j, k, mask):
    """Bucket of the cell (i, j, k): neighbours along j stand side by side in memory, other rows anywhere."""
    return (i * 2654435761 + j + k * 83492791) & mask


@njit
def _cell(value, width):
    """Number of the cell of a place; what is too far away, or no number, shares cells, which costs time and nothing else."""
    place = value / width
    return np.int64(math.floor(place)) if abs(place) < FAR else np.int64(0)


@njit
def _widths(half):
    """Cell widths (3,): geometric means of the gates' half-widths, times `CELLS`; a few huge gates do not spoil them."""
    n, d = half.shape
    width = np.ones(3)
    for a in range(d):
        total, count = 0.0, 0
        for i in range(n):
            if 0.0 < half[i, a] < np.inf:
                total += math.log(half[i, a])
                count += 1
        if count > 0:
            width[a] = CELLS * math.exp(total / count)
    return width


@njit
def _grid(plots, width, mask):
    """The plots by bucket: ``order`` has bucket b's from ``start[b + 1]`` to where the next begins; cells and places in that order."""
    m, d = plots.shape
    bucket, start, order = np.empty(m, np.int64), np.zeros(mask + 2, np.int64), np.empty(m, np.int64)
    cell, place, at = np.zeros((m, 3), np.int64), np.empty((m, d)), np.zeros(3, np.int64)
    for j in range(m):
        for a in range(d):
            at[a] = _cell(plots[j, a], width[a])
        bucket[j] = _bucket(at[0], at[1], at[2], mask)
        start[bucket[j] + 1] += 1
    for b in range(mask + 1):
        start[b + 1] += start[b]
    for j in range(m - 1, -1, -1):  # from behind: ends become beginnings
        start[bucket[j] + 1] -= 1
        q = start[bucket[j] + 1]
        order[q] = j
        for a in range(d):
            place[q, a], cell[q, a] = plots[j, a], _cell(plots[j, a], width[a])
    return cell, place, start, order


@njit
def _inside(plots, j, centre, half, i):
    inside = True
    for a in range(centre.shape[1]):
        inside &= abs(plots[j, a] - centre[i, a]) <= half[i, a]
    return inside


@njit
def _room(values, size, more):
    """The values, in an array with room for ``more`` behind the first ``size``."""
    if size + more <= len(values):
        return values
    bigger = np.empty(2 * len(values) + more, values.dtype)
    for i in range(size):
        bigger[i] = values[i]
    return bigger


@njit
def box_pairs(centre, half, plots):
    """Pairs with |plots − centre| <= half on every axis: row i has ``plot[start[i]:start[i + 1]]``, in rising order.

    ``centre (n, d)``, ``half (n, d)``, ``plots (m, d)``, d 1 to 3; a row or plot with a nan is in no pair.  Angles are
    compared as numbers: unwrap them about the sensor's boresight first.  The plots stand in a grid of cells as wide as a
    typical gate, found by hash, so that plots far away cost nothing; returns start (n + 1,) and plot.
    """
    n, d, m = centre.shape[0], centre.shape[1], len(plots)
    mask = 15
    while 2 * mask < m:
        mask = 2 * mask + 1
    width = _widths(half)
    cell, place, first, order = _grid(plots, width, mask)
    start, plot, size = np.zeros(n + 1, np.int64), np.empty(2 * (n + m) + 16, np.int64), 0
    low, high = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for i in range(n):
        cells, begin = 1.0, size
        for a in range(d):
            below, above = centre[i, a] - half[i, a], centre[i, a] + half[i, a]
            if max(abs(below), abs(above)) < 0.5 * FAR * width[a]:
                low[a], high[a] = _cell(below, width[a]), _cell(above, width[a])
                cells *= high[a] - low[a] + 1
            else:
                cells = np.inf  # or a nan
        if cells > max(MANY, m):
            plot = _room(plot, size, m)
            for j in range(m):
                if _inside(plots, j, centre, half, i):
                    plot[size] = j
                    size += 1
            start[i + 1] = size
            continue
        for x in range(low[0], high[0] + 1):
            for y in range(low[1], high[1] + 1):
                for z in range(low[2], high[2] + 1):
                    b = _bucket(x, y, z, mask)
                    end = first[b + 2] if b < mask else m
                    plot = _room(plot, size, end - first[b + 1])
                    for q in range(first[b + 1], end):
                        if cell[q, 0] == x and cell[q, 1] == y and cell[q, 2] == z and _inside(place, q, centre, half, i):
                            j, at = order[q], size
                            while at > begin and plot[at - 1] > j:
                                plot[at] = plot[at - 1]
                                at -= 1
                            plot[at] = j
                            size += 1
        start[i + 1] = size
    return start, plot[:size]


@njit
def boxes(x, P, mu, dt, least, sigmas, fiercest, middle, half):
    """Middle and half-width (n, 3) m of boxes that hold n tracks after ``dt (n,)`` s, whichever model is right, under any push.

    ``x (n, models, 9)``, ``P (n, models, 9, 9)``, ``mu (n, models)``; models less probable than ``least`` take no part, ``sigmas`` is how
    many standard deviations a box is wide to either side, ``fiercest`` m/s^2 the push.
    """
    for i in range(len(mu)):
        push = 0.5 * fiercest * dt[i] ** 2
        for a in range(3):
            low, high = np.inf, -np.inf
            for j in range(mu.shape[1]):
                if mu[i, j] > least:
                    near = x[i, j, a] + dt[i] * x[i, j, 3 + a]
                    place, speed = math.sqrt(max(P[i, j, a, a], 0.0)), math.sqrt(max(P[i, j, 3 + a, 3 + a], 0.0))
                    wide = sigmas * (place + abs(dt[i]) * speed) + push
                    low, high = min(low, near - wide), max(high, near + wide)
            middle[i, a], half[i, a] = 0.5 * (low + high), 0.5 * (high - low)


@njit
def ellipsoid_pairs(start, plot, centre, S, plots, limit):
    """Of some pairs those with squared Mahalanobis distance <= ``limit``: start, plot, distances, logarithms of the density.

    ``S (n, d, d)`` is the covariance of plots about ``centre (n, d)``; the density is the plot's, under the track.  A row
    whose S is not positive definite is in no pair.
    """
    n, d = centre.shape
    size, first = 0, np.zeros(n + 1, np.int64)
    kept, d2, log_density = np.empty(len(plot), np.int64), np.empty(len(plot)), np.empty(len(plot))
    L, y = np.zeros((d, d)), np.zeros(d)
    for i in range(n):
        constant, regular = -0.5 * d * math.log(2.0 * math.pi), start[i] < start[i + 1]
        for a in range(d):
            for b in range(a + 1):
                rest = S[i, a, b]
                for c in range(b):
                    rest -= L[a, c] * L[b, c]
                if a > b:
                    L[a, b] = rest / L[b, b]
                elif rest > 0.0:
                    L[a, a] = math.sqrt(rest)
                    constant -= math.log(L[a, a])
                else:
                    regular = False
                    L[a, a] = 1.0
        for p in range(start[i], start[i + 1] if regular else start[i]):
            total = 0.0
            for a in range(d):
                y[a] = plots[plot[p], a] - centre[i, a]
                for b in range(a):
                    y[a] -= L[a, b] * y[b]
                y[a] /= L[a, a]
                total += y[a] * y[a]
            if total <= limit:
                kept[size], d2[size], log_density[size] = plot[p], total, constant - 0.5 * total
                size += 1
        first[i + 1] = size
    return first, kept[:size], d2[:size], log_density[:size]


@njit
def gate_pairs(centre, S, plots, limit):
    """`ellipsoid_pairs` of the pairs that the gates' boxes hold (`box_pairs`); one call, for at a hundred tracks calls are what costs."""
    n, d = centre.shape
    half = np.empty((n, d))
    for i in range(n):
        for a in range(d):
            half[i, a] = math.sqrt(limit * max(S[i, a, a], 0.0)) * (1.0 + 1e-12)
    start, plot = box_pairs(centre, half, plots)
    return ellipsoid_pairs(start, plot, centre, S, plots, limit)
