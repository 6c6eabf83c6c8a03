"""Tracks whose own plots lie farther from them than errors explain: they are where nothing is.

Of objects that have just separated one radar's ranges go to this track and another's to that one.  Where ranges of different objects meet
a track fits all of them, as sure of itself as any, and no object is there: `crossed` finds two that have changed places, but not three.
Bearings, a hundred times as coarse, disagree a little in every plot.  So each track's innovations are summed by Page's test, of how much
likelier they are if errors are larger than it believes; one that surely is so is made wider, so that it comes to what its plots are of
(Page, Biometrika 41, 1954; noise levels that innovations adjust: Bar-Shalom, Li & Kirubarajan 2001, sec. 11.2).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from copfuse.association import Pairs
from copfuse.coasting import Live, with_rows
from copfuse.crossed import BURNS
from copfuse.kernels.astray import LEVEL, LIMIT, MOST, SLOPE
from copfuse.kernels.gating import box_pairs
from copfuse.kernels.motions import BOOST, MANOEUVRE
from copfuse.pairing import OWN, Taken
from copfuse.starting import mixed

SURE = 2.25  # logarithm of the likelihood ratio from which on a track is taken to be astray, *notional*
WIDER = 2.0  # times as wide as it was it is believed to be then, *notional*
REACH = 5e3  # m: of a track without another one so near all plots are one object's; errors are what sensors and filters say


def misfits(live: Live, near: np.ndarray, pairs: Pairs, taken: Taken, z: np.ndarray) -> np.ndarray:
    """Page's sums (n,) of the tracks after a scan whose plots ``z (m, 4)`` were taken; ``near`` and ``pairs``: as `tracking.step` has
    them."""
    now, held = live.misfit.copy(), np.full(len(near), -1)
    held[taken.rows[taken.share >= OWN]] = taken.plot[taken.share >= OWN]
    d2, own = pairs.d2[pairs.plot == np.repeat(held, np.diff(pairs.start))], near[held >= 0]
    seen = np.isfinite(z).sum(axis=1)[held[held >= 0]]
    now[own] = np.clip(now[own] + SLOPE * np.minimum(d2, MOST * seen) - LEVEL * seen, 0.0, LIMIT)
    return now


def widened(live: Live, hit: np.ndarray) -> Live:
    """The tracks after a scan with plots of the tracks ``hit``, of which those are wider that are astray beside others."""
    if live.forest is not None:
        return live
    lost = hit[(live.misfit[hit] > SURE) & live.firm[hit]]
    if len(lost) == 0:
        return live
    lost = lost[live.bank.mu[lost][:, [MANOEUVRE, BOOST]].sum(axis=1) < BURNS]
    lost = lost[_beside(live, lost)]
    if len(lost) == 0:
        return live
    misfit, wide, size = live.misfit.copy(), live.bank[lost], np.ones(live.bank.P.shape[-1])
    misfit[lost], size[:6] = 0.0, WIDER
    wide = mixed(replace(wide, P=wide.P * size[:, None] * size))
    return replace(live, misfit=misfit, bank=with_rows(live.bank, lost, wide))


def _beside(live: Live, some: np.ndarray) -> np.ndarray:
    """Which of some tracks have another firm one near them, as far as its last plot tells."""
    firm, place = np.flatnonzero(live.firm), np.ascontiguousarray(live.bank.x6[:, :3])
    start, found = box_pairs(place[firm], np.full((len(firm), 3), REACH), place[some])
    beside = np.zeros(len(some), bool)
    beside[found[some[found] != np.repeat(firm, np.diff(start))]] = True
    return beside
