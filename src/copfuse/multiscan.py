"""Association that waits: track trees whose leaves are rows of one bank, the best sets of leaves, and pruning some scans back.

Track-oriented multiple hypothesis tracking (Kurien, in Bar-Shalom (ed.), Multitarget-Multisensor Tracking, 1990, ch. 3; Blackman,
IEEE AES Magazine 19(1), 2004).  Each track of a node is a tree: its leaves say which plots of the last `WINDOW` scans were its own,
and leaves of two trees that claim the same plot exclude each other.  After each scan every leaf branches into "missed" and one
child a plot in its gate, the k best sets of compatible leaves are found cluster by cluster (`kernels.hypotheses`), leaves in none
of them go, and what the best set said `WINDOW` scans ago is settled.  A scan counts in the trees only that had a plot in a gate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from copfuse import pairing
from copfuse.association import Pairs
from copfuse.filters import Bank
from copfuse.kernels.hypotheses import leaf_weights
from copfuse.pairing import DETECTED, SELDOM

WINDOW = 16  # scans with a plot in its gate, after which a tree's choice is settled
BEST = 100  # sets of leaves that are kept of each cluster
SPAN = 9.0  # logarithm of how much less probable than the best set one may be
MOST = 100_000  # leaves looked at in search of a cluster's best sets; beyond, they may not be the best
MISSED = math.log(1.0 - SELDOM)  # what a scan with plots in its gates costs a tree
SEEN = math.log(DETECTED / (1.0 - DETECTED))  # what a plot adds over a miss, beside its likelihood ratio


@dataclass(frozen=True)
class Forest:
    """The leaves' memory: ``window (n, WINDOW)``, numbers of plots, newest last, −1 for a miss; ``best (n,)``, in the best set.

    ``score (n,)`` is the logarithm of the odds that an object is there and made all the leaf's plots, to their being false (Sittler,
    IEEE Trans. Military Electronics 8(2), 1964; Blackman & Popoli 1999, sec. 6.2): each plot's ratio and the misses, from 0,
    as the density has false and new plots.
    """

    window: np.ndarray
    best: np.ndarray
    score: np.ndarray

    def __getitem__(self, rows: Any) -> Forest:
        return Forest(self.window[rows], self.best[rows], self.score[rows])

    @staticmethod
    def empty() -> Forest:
        """No leaf yet."""
        return Forest(np.zeros((0, WINDOW), np.int64), np.zeros(0, bool), np.zeros(0))

    def started(self, plots) -> Forest:
        """With new trees at the end, of one plot each, ``plots (k,)``; they are in the best set, which left them their plots."""
        new = np.full((len(plots), WINDOW), -1)
        new[:, -1] = plots
        score = np.concatenate([self.score, np.zeros(len(plots))])
        return Forest(np.concatenate([self.window, new]), np.concatenate([self.best, np.ones(len(plots), bool)]), score)


@dataclass(frozen=True)
class Branches:
    """The leaves after a scan: ``parent (k,)``, the leaf before; ``pair (k,)``, the pair that made it, −1 for a miss; their ``forest``."""

    parent: np.ndarray
    pair: np.ndarray
    forest: Forest


def branch(number, forest: Forest, row, pairs: Pairs, ratio, plots, seen) -> Branches:
    """Branch the leaves by a scan's pairs, and prune.

    ``number (n,)`` is each leaf's tree, ``seen (n,)`` whether it has a plot of this sensor.  Pair p, of ``pairs`` in gates, joins the
    leaf ``row[p]`` with plot ``plots[pairs.plot[p]]`` at the log-likelihood ratio ``ratio[p]``.

    A scan that has plots in a tree's gates costs all its leaves `MISSED`, and one with a plot gains over a miss what it does in
    `pairing.hard`.  Were misses free, a second tree on an object that has one already would be as good as one alone: the two would
    share its plots at no loss.  A sensor that has not seen the tree may not be able to (see `tracking.doubted`), and costs nothing.
    """
    n = len(number)
    if len(row) == 0:
        return Branches(np.arange(n), np.full(n, -1), forest)
    parent = np.concatenate([np.arange(n), row])
    pair = np.concatenate([np.full(n, -1), np.arange(len(row))])
    touched = np.isin(number, number[row])
    missed = forest.score + MISSED * (touched & np.isin(number, number[seen]))
    grown = np.concatenate([missed, missed[row] + ratio + SEEN])
    window = forest.window[parent]
    shift = touched[parent]
    window[shift, :-1] = window[shift, 1:]
    window[shift, -1] = -1
    window[n:, -1] = plots[pairs.plot]
    order = np.lexsort((-grown, number[parent]))
    parent, pair, window, grown = parent[order], pair[order], window[order], grown[order]
    weight, best = weigh(number[parent], window, grown)
    keep = (weight > 0.0) & settled(number[parent], touched[parent], window, best)
    return Branches(parent[keep], pair[keep], Forest(window[keep], best[keep], grown[keep]))


def weigh(number, window, score) -> tuple[np.ndarray, np.ndarray]:
    """How probable leaves are (n,), by the best sets of compatible ones, and which are in the best set (n,).

    ``number (n,)`` rising, within a tree ``score (n,)`` falling; ``window (n, s)`` as in `Forest`.
    """
    start = np.concatenate([[0], np.flatnonzero(np.diff(number)) + 1, [len(number)]])
    known, plot = np.unique(window, return_inverse=True)
    plot = plot.reshape(window.shape) - int(known[0] < 0)
    weight, best, _ = leaf_weights(start, plot, score, len(known), BEST, SPAN, MOST)
    return weight, best


def settled(number, touched, window, best) -> np.ndarray:
    """Which leaves (n,) agree with what the best set says of the oldest scan in the window, in the trees ``touched (n,)`` by this one.

    Of a tree in the best set those stay that claim then what its best leaf does, and no other tree keeps that plot; of
    a tree that is not in it, those that claim none.
    """
    tree, leaf = number[best], window[best, 0]
    at = np.minimum(np.searchsorted(tree, number), max(len(tree) - 1, 0))
    there = tree[at] == number if len(tree) else np.zeros(len(number), bool)
    said = np.where(there, leaf[at], -1) if len(tree) else np.full(len(number), -1)
    agrees = ~touched | (window[:, 0] == said)
    gone = leaf[touched[best] & (leaf >= 0)]
    if len(gone) == 0:
        return agrees
    claimed = np.isin(window, gone) & ~((window == said[:, None]) & there[:, None])
    return agrees & ~claimed.any(axis=1)


def firm_trees(number, firm, best) -> np.ndarray:
    """Leaves (n,) that are firm, or whose tree's best leaf is: a track that was reported as firm stays so."""
    return firm | np.isin(number, number[firm & best])


def doubles(bank: Bank, number, hits, hit, best, time: float) -> np.ndarray:
    """`pairing.doubles` of trees, each by its leaf in the best set: which leaves (n,) are of a tree that is another's double."""
    leader = np.flatnonzero(best)
    drop = pairing.doubles(bank[leader], hits[leader], np.flatnonzero(np.isin(leader, hit)), time)
    return np.isin(number, number[leader[drop]])
