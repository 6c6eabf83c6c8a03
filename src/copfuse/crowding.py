"""Which tracks among close ones are one more than there are objects: two that take turns at one object's plots.

A track is not needed in a scan where another one without a plot could have taken its plot, or, one for the other, have set that
plot free (the overdetermined part of Dulmage and Mendelsohn's decomposition of a bipartite graph, Canad. J. Math. 10, 1958).
Two objects that are seen or missed independently are both seen as often as the product of their rates says, and then each track is
needed; of two tracks on one object never both are.  A scan counts where a third track, which could not stand in for any of them
nor they for it, has a plot: it shows that the sensor looked, also where it saw none of them; without that two faint objects would look
like one (Berkson's bias).

Scans count from the first on in which a track could take another one's plot; what is left of old counts fades.
"""

from __future__ import annotations

import numpy as np

from copfuse.association import Pairs

FADES = 100.0  # scans in which counts fade, *notional*
DUE, NEEDED = 8.0, 0.2  # scans in which a track should have been needed by chance, and the share of them below which it is none, *notional*
HITS, LOOKS, EXPECTED, FOUND = range(4)
COUNTS = 4  # columns of what is kept of each track: scans with a plot, all, and those it should have been, and was, needed in


def concerns(counts: np.ndarray, inside: Pairs) -> bool:
    """Whether a scan of gated pairs of tracks with ``counts (n, 4)`` tells anything: some plot is in two gates, or was before."""
    return bool(np.bincount(inside.plot, minlength=1).max() > 1 or counts[:, LOOKS].any())


def counted(counts: np.ndarray, inside: Pairs, held: np.ndarray) -> np.ndarray:
    """What is kept of tracks, ``counts (n, 4)``, after a scan of gated pairs in which each took the plot ``held (n,)``, −1: none."""
    hit, alike = held >= 0, counts[:, LOOKS] > 0.0
    third, chance, needed = hit.sum() - hit > 0, np.ones(len(held)), np.ones(len(held), bool)
    near, able = stand_ins(inside, held)
    if len(near):
        alike[near] = True
        apart = ~(able | able.T)
        np.fill_diagonal(apart, False)
        third[near] = (apart & hit[near]).any(axis=1) | (hit.sum() > hit[near].sum())
        rate = (counts[near, HITS] + 1.0) / (counts[near, LOOKS] + 2.0)
        chance[near] = np.exp(np.log(rate) @ able)  # that all who could stand in for a track have plots of their own
        needed[near] = ~(able & ~hit[near, None]).any(axis=0)
    some = np.flatnonzero(alike & third)
    counts, mine = counts.copy(), hit[some]
    counts[some] = (1.0 - 1.0 / FADES) * counts[some] + np.array([mine, mine | True, mine * chance[some], mine & needed[some]]).T
    return counts


def stand_ins(inside: Pairs, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tracks (k,) that could take another's plot or whose plot another could take, and whether the i-th of them, had it no plot,
    could set the j-th free from its own, (k, k): it could take that, or that of one who could."""
    owner = np.full(inside.plots, -1)
    owner[held[held >= 0]] = np.flatnonzero(held >= 0)
    row, other = np.repeat(np.arange(len(held)), np.diff(inside.start)), owner[inside.plot]
    there = (other >= 0) & (other != row)
    if not there.any():
        return np.zeros(0, int), np.zeros((0, 0), bool)
    some, at = np.unique(np.r_[row[there], other[there]], return_inverse=True)
    able = np.zeros((len(some), len(some)), np.float32)
    able[at[: there.sum()], at[there.sum() :]] = 1.0
    while not np.array_equal(further := np.maximum(able, able @ able > 0.0), able):
        able = further
    free = able > 0.0
    np.fill_diagonal(free, False)
    return some, free


def extra(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which tracks (n,) are to go, and the counts (n, 4) of those that stay.

    Of those not needed only the one seen the least goes, for that may be why the others were not.
    """
    drop = np.zeros(len(counts), bool)
    idle = counts[:, FOUND] < NEEDED * counts[:, EXPECTED]
    if (idle & (counts[:, EXPECTED] > DUE)).any():
        spare = np.flatnonzero(idle & (counts[:, EXPECTED] > 0.5 * DUE))
        drop[spare[np.argmin((counts[spare, HITS] + 1.0) / (counts[spare, LOOKS] + 2.0))]] = True
        counts = counts.copy()
        counts[spare, EXPECTED:] = 0.0
    return drop, counts
