"""The filter of `kernels.estimation` on pairs of tracks and plots: expected plots without all pairs, updates by several plots."""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import borrowing, njit
from copfuse.kernels.bending import learn
from copfuse.kernels.curved import CURVED, bends, look_again, much
from copfuse.kernels.estimation import ASLEEP, LEAST, NEGLIGIBLE, combine, follow, likeliest
from copfuse.kernels.motions import N_MODEL, dimension
from copfuse.kernels.sights import (
    APART,
    DETERMINANT,
    MEAN,
    SCRATCH,
    SIDE,
    SPREAD,
    WORK,
    distances,
    present,
    regress,
    regress_rooted,
    revise,
    wrap,
)
from copfuse.kernels.small import columns_of

SLIGHT = 1e-6  # weight of a plot below which it is left out of an update


@borrowing
def apart(z, sigma, z_mean, Z, most):
    """Whether one component of a plot, expected at ``z_mean`` with covariance ``Z``, alone makes its squared distance exceed ``most``."""
    for c in range(4):
        d = z[c] - z_mean[c]
        if (c == 1 or c == 2) and d == d:
            d = wrap(d)
        if d * d > most * (Z[c, c] + sigma[c] * sigma[c]):  # of a nan, never
            return True
    return False


@njit
def expect_pairs(x, P, mu, origin, axes, cosines, z, sigma, start, plot, most, d2, loglik, seen):
    """Squared Mahalanobis distances and log likelihoods (pairs,) of plots under predicted tracks.

    Track t is looked at with the plots ``plot[start[t]:start[t + 1]]``.  The likelihood is the mixture's over the models, the
    distance the least of those models that are not negligible: an engine that has just stopped is expected by the coasting
    model alone.  A plot that is `apart` by more than ``most`` from all of those is infinitely far.  ``seen (n or 1, N_MODEL,
    sights.ROWS, 9)``, zeros at first (models that are asleep are computed with, to no effect), takes the models' regressions, of each
    track or one after another.
    """
    rows, numbers, w = np.zeros((SIDE + N_MODEL, 9)), np.zeros(4 + N_MODEL, np.int64), np.zeros(WORK)
    side, over, have, sizes = rows[:SIDE], rows[SIDE:], numbers[:4], numbers[4:]
    for t in range(len(mu)):
        if start[t] == start[t + 1]:
            continue
        look = seen[t % len(seen)]
        for j in range(N_MODEL):
            sizes[j] = dimension(j) if mu[t, j] > ASLEEP else 0
        columns_of(P[t], sizes, look, over)
        for j in range(N_MODEL):
            if sizes[j] > 0:
                regress_rooted(sizes[j], x[t, j], origin, axes, cosines, look[j], w)
        for p in range(start[t], start[t + 1]):
            k = plot[p]
            d2[p], loglik[p] = np.inf, -np.inf
            near = False
            for j in range(N_MODEL):
                near = near or (mu[t, j] > NEGLIGIBLE and not apart(z[k], sigma[k], look[j, MEAN], look[j, SPREAD:], most))
            if not near:
                continue
            nearest, total, m = np.inf, 0.0, distances(z[k], sigma[k], look, have, side)
            for j in range(N_MODEL):
                if mu[t, j] > NEGLIGIBLE:
                    d2[p] = min(d2[p], side[APART, j])
                if mu[t, j] > ASLEEP:
                    nearest = min(nearest, side[APART, j])
            for j in range(N_MODEL):
                if mu[t, j] > ASLEEP:
                    total += mu[t, j] / side[DETERMINANT, j] * math.exp(0.5 * (nearest - side[APART, j]))
            loglik[p] = math.log(total) - 0.5 * (nearest + m * math.log(2.0 * math.pi))


@borrowing
def _suppose(x, P, mu, origin, axes, cosines, z, sigma, x_new, P_new, chance, work):
    """One track's models as if the plot ``z (4,)`` were its own: their moments, and ``chance``, their probabilities, then."""
    leader = likeliest(mu)
    best = -1e300
    for j in range(N_MODEL):
        for a in range(9):
            x_new[j, a] = x[j, a]
            for b in range(9):
                P_new[j, a, b] = P[j, a, b]
        if mu[j] > ASLEEP:
            own, rows, have, w = work
            regress(dimension(j), x_new[j], P_new[j], origin, axes, cosines, own, w)
            if bends(present(z, sigma, have), sigma, own, have, much(mu)):
                chance[j] = look_again(dimension(j), x_new[j], P_new[j], origin, axes, cosines, z, sigma, own, own, rows, have, w)
            elif j == 2 and mu[j] > NEGLIGIBLE:
                chance[j] = learn(x_new[j], P_new[j], origin, axes, cosines, z, sigma, own, own, rows, have, w)
            else:
                chance[j] = revise(dimension(j), x_new[j], P_new[j], z, sigma, own, rows, have)
            chance[j] += math.log(max(mu[j], LEAST))
            best = max(best, chance[j])
    ahead = math.exp(chance[leader] - best)
    total = 0.0
    for j in range(N_MODEL):
        if mu[j] > ASLEEP:
            chance[j] = max(math.exp(chance[j] - best), LEAST)
        else:  # nobody asked it: it neither gains nor loses
            chance[j] = max(mu[j] / mu[leader] * ahead, LEAST)
        total += chance[j]
    for j in range(N_MODEL):
        chance[j] /= total


@borrowing
def _average(share, count, x, P, n, j, x_out, P_out):
    """Moments of model j's mixture: component q has weight ``share[q]``, mean ``x[q, j]`` and covariance ``P[q, j]``."""
    for a in range(n):
        total = 0.0
        for q in range(count):
            total += share[q] * (x[q, j, a] - x[0, j, a])  # about one of them, so that nothing is lost to the Earth's size
        x_out[a] = x[0, j, a] + total
    for a in range(n):
        for b in range(a + 1):
            total = 0.0
            for q in range(count):
                total += share[q] * (P[q, j, a, b] + (x[q, j, a] - x_out[a]) * (x[q, j, b] - x_out[b]))
            P_out[a, b] = total
            P_out[b, a] = total


@borrowing
def _merged(count, weight, xs, Ps, chance, share, x, P, mu):
    """One track's models from ``count`` suppositions of probabilities ``weight``; ``mu`` comes in as it was, for who is asleep."""
    leader = likeliest(mu)
    whole = 0.0
    for q in range(count):
        whole += weight[q]
    for j in range(N_MODEL):
        new = 0.0
        for q in range(count):
            share[q] = weight[q] / whole * chance[q, j]
            new += share[q]
        if mu[j] > ASLEEP:
            for q in range(count):
                share[q] /= new
            _average(share, count, xs, Ps, dimension(j), j, x[j], P[j])
    for j in range(N_MODEL):
        if not mu[j] > ASLEEP:
            follow(j, leader, x, P)
    for j in range(N_MODEL):
        mu[j] = 0.0
        for q in range(count):
            mu[j] += weight[q] / whole * chance[q, j]


@njit
def update_weighted(x, P, mu, origin, axes, cosines, z, sigma, start, plot, weight, missed, x6, P6):
    """Update n predicted tracks in place by several plots each: probabilistic data association in every model.

    Track t's plot is ``plot[start[t]:start[t + 1]]`` with the probabilities ``weight (pairs,)``, none with ``missed (n,)``.  Plot k
    and model j are true together with probability ``weight[k] mu[j | k]``, where ``mu[j | k]`` is what `estimation.update` with
    that plot makes of the models (no plot: what it was).  Each model takes the moments of its own updates under these
    weights (Bar-Shalom & Li 1995, secs. 3.4, 4.5; Blom & Bloem, IEEE T-AES 43(1), 2007).  Weights below `SLIGHT` are left out.
    """
    most = 1
    for t in range(len(mu)):
        most = max(most, start[t + 1] - start[t] + 1)
    xs = np.zeros((most, N_MODEL, 9))
    Ps = np.zeros((most, N_MODEL, 9, 9))
    chance = np.zeros((most, N_MODEL))
    held = np.zeros(most)
    share = np.zeros(most)
    work = np.zeros((CURVED, 9)), np.zeros((SCRATCH, 9)), np.zeros(4, np.int64), np.zeros(WORK)
    for t in range(len(mu)):
        count = 0
        for p in range(start[t], start[t + 1]):
            if weight[p] > SLIGHT:
                k = plot[p]
                held[count] = weight[p]
                _suppose(x[t], P[t], mu[t], origin, axes, cosines, z[k], sigma[k], xs[count], Ps[count], chance[count], work)
                count += 1
        if count == 0:
            continue
        held[count] = missed[t] if missed[t] > 0.0 else 0.0
        for j in range(N_MODEL):
            chance[count, j] = mu[t, j]
            for a in range(9):
                xs[count, j, a] = x[t, j, a]
                for b in range(9):
                    Ps[count, j, a, b] = P[t, j, a, b]
        _merged(count + 1, held, xs, Ps, chance, share, x[t], P[t], mu[t])
        combine(x[t], P[t], mu[t], x6[t], P6[t])
