"""Tracks and the plots of a scan without looking at all pairs: who is within reach, who takes which plot, who is the same object.

A scan is ``z (m, 4), sigma (m, 4), origin (3,), axes (3, 3), cosines``, as everywhere in `filters`.  Boxes wide enough for any push
leave few pairs (`reachable`); only their tracks are predicted, only they are judged (`judged`), and `hard` or `soft` says
which plots update which tracks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from copfuse import echoes, filters
from copfuse.association import Pairs, existence, gnn_pairs, jpda_pairs
from copfuse.filters import Bank
from copfuse.frames import point
from copfuse.kernels.gating import box_pairs, boxes

FIERCEST = 1500.0  # m/s^2, more than any boost, drag or lift
FASTEST = 9e3  # m/s, more than anything that falls: what is as fast as an orbit and flies against the turning Earth has 8.4 km/s
SIGMAS, SLACK = 10.0, 1e3  # standard deviations, and m: how generous a look before the prediction is
UNLIKELY = 1e-4  # probability of a model below which it takes no part in that look; it opens no gate either (`filters.expect`)
SAME_OBJECT = 16.8  # squared distance of two tracks of one node taken as one object: chi-squared, 6 components, 99 %
APART = 100e3  # m: tracks farther apart than this are never compared
DETECTED = 0.8  # probability of detection where a track's gate holds plots
ODDS = math.log(DETECTED / (1.0 - DETECTED))
SELDOM = 0.5  # chance of a plot, where others have theirs, of a track of an object, at least, *notional*
BORN = 0.1  # probability that a track of one plot exists, *notional*
SUREST = 1e-12, 1e-6  # of a track's existence, 1 less the most and the least that is ever believed, so that it can change again
TOUCHED = 0.05  # probability that one of the plots in its gate is a track's own, below which `soft` leaves it as it is
OWN = 0.5  # and above which it counts as seen; a plot claimed with less starts a track
RULES = ("gnn", "jpda", "mht")


@dataclass(frozen=True)
class Taken:
    """What a scan's plots make of k tracks, ``rows`` of those predicted: ``prior`` holds them as they were, ``bank`` updated.

    ``plot (k,)`` is each one's likeliest plot, ``share (k,)`` the probability that any is its own, ``llr (k,)`` its score now;
    ``claimed (m,)`` are the plots that start no track.
    """

    rows: np.ndarray
    plot: np.ndarray
    prior: Bank
    bank: Bank
    llr: np.ndarray
    share: np.ndarray
    claimed: np.ndarray

    def __getitem__(self, some: Any) -> Taken:
        columns = {name: getattr(self, name)[some] for name in ("rows", "plot", "prior", "bank", "llr", "share")}
        return Taken(**columns, claimed=self.claimed)


# Who is within reach -------------------------------------------------------------------------------------------------


def _where(bank: Bank, time: float) -> tuple[np.ndarray, np.ndarray]:
    """Middle and half-width (n, 3) m of boxes that hold a bank's tracks at ``time``, whichever model is right, under any push."""
    middle, half = np.empty((len(bank), 3)), np.empty((len(bank), 3))
    boxes(bank.x, bank.P, bank.mu, time - bank.time, UNLIKELY, SIGMAS, FIERCEST, middle, half)
    return middle, half


def spots(z, sigma, origin, axes, cosines: Any = 0) -> tuple[np.ndarray, np.ndarray]:
    """Where plots are, ``(m, 3)`` m, and a standard deviation of that, ``(m,)`` m; unit vectors, and rad, of those without a range.

    ``origin``, ``axes``, ``cosines`` are those of all plots or, ``(m, 3)``, ``(m, 3, 3)`` and ``(m,)``, of each.
    """
    blind = np.isnan(z[:, 0])
    slant = np.where(cosines, np.sqrt(np.maximum(1.0 - z[:, 1] ** 2 - z[:, 2] ** 2, 0.01)), 1.0)
    blur = np.hypot(sigma[:, 1], sigma[:, 2]) / slant
    whence = np.where(blind[:, None], 0.0, origin)
    place = point(np.where(blind, 1.0, z[:, 0]), z[:, 1], z[:, 2], whence, axes, cosines)
    return place, np.where(blind, blur, np.hypot(sigma[:, 0], z[:, 0] * blur))


def reachable(bank: Bank, time: float, z, sigma, origin, axes, cosines: int = 0, known=None) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that a gate at ``time`` may join: track i with ``plot[start[i]:start[i + 1]]``, in rising order.

    Generous, so that it changes nothing: ten standard deviations of track and plot, and any push.  Plots without a range are
    compared by direction, as unit vectors, which neither wrap nor have poles, and all others beside them; those without an angle
    with every track.  ``known``: `spots` of the plots, if found before.
    """
    n, m = len(bank), len(z)
    if n == 0 or m == 0 or np.isnan(z[:, 1:3]).any():
        return np.arange(0, n * m + 1, max(m, 1))[: n + 1] if m else np.zeros(n + 1, int), np.tile(np.arange(m), n)
    blind = np.isnan(z[:, 0])
    if known is None or blind.any() and not blind.all():
        known = spots(np.where(blind.any() & (np.arange(4) == 0), np.nan, z), sigma, origin, axes, cosines)
    plots, blur = known
    middle, half = _where(bank, time)
    half += SLACK
    if blind.any():
        away, wide = np.linalg.norm(middle - origin, axis=1), np.linalg.norm(half, axis=1)
        middle = (middle - origin) / away[:, None]
        angle = np.where(wide < away, np.arcsin(np.minimum(wide / away, 1.0)), 2.0)
        half = np.repeat(angle[:, None], 3, axis=1)
    start, plot = box_pairs(middle, half + SIGMAS * blur.max(), plots)
    if m == 1:  # the box was as wide as this plot needs
        return start, plot
    row = np.repeat(np.arange(n), np.diff(start))
    return kept(start, plot, (np.abs(plots[plot] - middle[row]) <= half[row] + SIGMAS * blur[plot, None]).all(axis=1))


def _starts(row: np.ndarray, n: int) -> np.ndarray:
    """Where each of n rows' pairs begin, from the rising row of every pair."""
    return np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])


def kept(start: np.ndarray, plot: np.ndarray, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the pairs those of ``some (pairs,)``."""
    n = len(start) - 1
    return _starts(np.repeat(np.arange(n), np.diff(start))[some], n), plot[some]


def judged(predicted: Bank, start, plot, *scan: Any, most: float = np.inf) -> Pairs:
    """Distances and likelihoods of pairs of predicted tracks and plots; ``log_density`` is that of the models' mixture.

    ``most`` as in `filters.expect_pairs`.
    """
    d2, log_density = filters.expect_pairs(predicted, start, plot, *scan, most=most)
    return Pairs(start, plot, d2, log_density, len(scan[0]))


def gated(pairs: Pairs, limit: np.ndarray) -> Pairs:
    """Those of the pairs within their plot's squared distance ``limit (m,)``."""
    inside = pairs.d2 <= limit[pairs.plot]
    if inside.all():
        return pairs
    return Pairs(*kept(pairs.start, pairs.plot, inside), pairs.d2[inside], pairs.log_density[inside], pairs.plots)


# Who takes which plot ------------------------------------------------------------------------------------------------


def hard(predicted: Bank, pairs: Pairs, log_density: float, llr: np.ndarray, *scan: Any, known: Any = None) -> Taken:
    """Global nearest neighbour: a track has one plot or none; ``llr (n,)``, its score, gains the logarithm of the ratio.

    ``known``: how often and how strongly each was heard, (n,) both, and the plots' strengths ``(m, 2)``, where these count (`echoes`); the
    score is of places alone.
    """
    ratio = pairs.log_density - log_density
    held = gnn_pairs(pairs, echoes.weighed(pairs, ratio, known, ODDS) if known else ratio, DETECTED)
    rows = np.flatnonzero(held >= 0)
    plot, own = held[rows], pairs.plot == np.repeat(held, np.diff(pairs.start))
    z, sigma, *place = scan
    prior = predicted.only(rows)
    bank = filters.update(prior, z[plot], sigma[plot], *place)
    claimed = np.zeros(pairs.plots, bool)
    claimed[plot] = True
    return Taken(rows, plot, prior, bank, llr[rows] + ratio[own], np.ones(len(rows)), claimed)


def soft(predicted: Bank, pairs: Pairs, log_density: float, llr: np.ndarray, *scan: Any, firm: np.ndarray) -> Taken:
    """Joint integrated probabilistic data association: every firm track has its share in each plot of its gate.

    ``llr (n,)`` is the gain of the logarithm of the odds that the track exists, over those of a track of one plot.  Tracks that are not
    ``firm (n,)`` take one plot or none, as by `hard`: their gates are wide for want of a velocity, and the mean of all plots within, with
    all their spread, is as wide again, so that among a few false plots none ever became firm (two-point starts branch for that
    reason: Bar-Shalom & Li 1995, sec. 3.3).
    """
    ratio, count, row = pairs.log_density - log_density, np.diff(pairs.start), np.repeat(np.arange(len(llr)), np.diff(pairs.start))
    before = expit(llr + logit(BORN))
    weight, missed = jpda_pairs(pairs, ratio, DETECTED * before)
    after = np.clip(existence(missed, before, DETECTED), SUREST[1], 1.0 - SUREST[0])
    held = np.where(firm, -1, gnn_pairs(pairs, ratio, DETECTED))
    weight = np.where(firm[row], weight, pairs.plot == held[row])
    missed = np.where(firm, missed, held < 0)
    rows = np.flatnonzero((count > 0) & (1.0 - missed > TOUCHED))
    mine = np.isin(row, rows)
    start = _starts(np.searchsorted(rows, row[mine]), len(rows))
    plot, share = pairs.plot[mine], weight[mine]
    prior = predicted[rows]
    bank = filters.update_weighted(prior, start, plot, share, missed[rows], *scan)
    order = np.lexsort((share, row[mine]))  # the greatest of each row comes last
    best = plot[order[start[1:] - 1]]
    claimed = np.bincount(pairs.plot, weight, pairs.plots) >= OWN
    return Taken(rows, best, prior, bank, logit(after[rows]) - logit(BORN), 1.0 - missed[rows], claimed)


# Who is the same object ----------------------------------------------------------------------------------------------


def doubles(bank: Bank, hits: np.ndarray, hit: np.ndarray, time: float, known: Any = None) -> np.ndarray:
    """Which tracks (n,) are to be dropped: the younger of two that describe one object, of which one is of ``hit``.

    Those of ``hit`` have just been updated, at ``time``.  The squared distance is of all six components; a track of less than four
    plots takes none away and one of a single plot is none's double.  ``known``: how often and how strongly each was heard, (n,) both; two
    that echo differently are no doubles.
    """
    drop = np.zeros(len(bank), bool)
    if len(bank) < 2:
        return drop
    first, second = hit[hits[hit] >= 4], np.flatnonzero(hits >= 2)
    if len(first) == 0 or len(second) < 2:
        return drop
    middle, half = (v[second] for v in _where(bank, time))
    blur = np.sqrt(np.einsum("naa->na", bank.P6[first, :3, :3]).max(axis=0))
    start, found = box_pairs(middle, half + np.sqrt(SAME_OBJECT) * blur, np.ascontiguousarray(bank.x6[first, :3]))
    i, j = first[found], np.repeat(second, np.diff(start))
    apart = np.flatnonzero(i != j)
    if len(apart) == 0:
        return drop
    i, j, found = i[apart], j[apart], found[apart]
    d, variance = bank.x6[i] - bank.x6[j], np.einsum("naa->na", bank.P6)
    near = np.linalg.norm(d[:, :3], axis=1) <= APART
    near &= (bank.time[j] != time) | (d**2 <= 4.0 * SAME_OBJECT * (variance[i] + variance[j])).all(axis=1)  # else surely two
    order = np.lexsort((j[near], found[near]))
    i, j = i[near][order], j[near][order]
    if len(i) == 0:
        return drop
    once, again = np.unique(j, return_inverse=True)
    other = filters.predict(bank[once], time)
    d = bank.x6[i] - other.x6[again]
    d2 = np.einsum("ni,ni->n", d, np.linalg.solve(bank.P6[i] + other.P6[again], d[:, :, None])[:, :, 0])
    for a, b in zip(i[d2 < SAME_OBJECT], j[d2 < SAME_OBJECT], strict=True):
        if not (drop[a] or drop[b] or (known and echoes.unlike(known[0], known[1], a, b))):
            drop[a if hits[a] < hits[b] else b] = True
    return drop
