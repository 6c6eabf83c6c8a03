"""Tracks that are one more than there are objects: of close tracks those that no scan needs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

import copfuse as cf
from copfuse import crowding
from copfuse.association import Pairs
from copfuse.constants import NODES


def pairs(inside: np.ndarray) -> Pairs:
    """Pairs of a matrix (n, m) of who is in whose gate."""
    row, plot = np.nonzero(inside)
    start = np.r_[0, np.cumsum(np.bincount(row, minlength=len(inside)))]
    return Pairs(start, plot, np.ones(len(plot)), np.zeros(len(plot)), inside.shape[1])


def after(counts: np.ndarray, inside: np.ndarray, held) -> np.ndarray:
    """Counts after a scan."""
    both = pairs(inside)
    return crowding.counted(counts, both, np.array(held)) if crowding.concerns(counts, both) else counts


@pytest.mark.parametrize("seed", range(40))
def test_who_could_stand_in_is_whoever_leaves_a_complete_matching(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(2, 8, 2)
    inside = rng.random((n, m)) < 0.4
    held = maximum_bipartite_matching(csr_array(inside), perm_type="column")
    some, among = crowding.stand_ins(pairs(inside), held)
    able = np.zeros((n, n), bool)
    able[np.ix_(some, some)] = among
    taken = held[held >= 0]
    for i in np.flatnonzero(held < 0):
        for j in np.flatnonzero(held >= 0):
            others = [k for k in np.flatnonzero(held >= 0) if k != j] + [i]
            best = maximum_bipartite_matching(csr_array(inside[np.ix_(others, taken)]), perm_type="column")
            assert able[i, j] == (best >= 0).all()


def test_what_is_in_nobody_elses_gate_is_not_counted_until_it_has_been():
    """Four tracks: two share a plot, one has none, one has its own; then all have their own."""
    inside = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1]], bool)
    none = np.zeros((4, crowding.COUNTS))
    counts = after(none, inside, [0, -1, -1, 1])
    assert (counts[:, crowding.LOOKS] > 0.0).tolist() == [True, True, False, False]
    assert crowding.concerns(counts, pairs(np.eye(4, dtype=bool))) and not crowding.concerns(none, pairs(np.eye(4, dtype=bool)))
    counts = after(counts, np.eye(4, dtype=bool), [0, 1, 2, 3])
    np.testing.assert_allclose(counts[:, crowding.LOOKS], [1.99, 1.99, 0.0, 0.0])


def looked(counts: np.ndarray, hit, plots: int) -> np.ndarray:
    """Counts after a scan of two tracks, who have some of so many plots in both their gates, and a third one that is always seen."""
    inside = np.zeros((3, plots + 1), bool)
    inside[:2, :plots] = inside[2, plots] = True
    return after(counts, inside, [*np.where(hit, np.cumsum(hit) - 1, -1), plots])


def test_of_two_tracks_that_take_turns_on_one_object_the_one_seen_less_goes_and_the_other_stays():
    counts = np.zeros((3, crowding.COUNTS))
    for k in range(100):
        counts = looked(counts, np.array([k % 3 > 0, k % 3 == 0]), 1)
        drop, counts = crowding.extra(counts)
        if drop.any():
            break
    assert drop.tolist() == [False, True, False]


@pytest.mark.parametrize("rates", [(0.9, 0.9), (0.5, 0.5), (0.95, 0.1), (0.1, 0.1)])
@pytest.mark.parametrize("third", [True, False])
def test_two_objects_that_are_seen_or_not_by_chance_stay_two(rates, third):
    rng, dropped = np.random.default_rng(2), 0
    for _ in range(20):
        counts = np.zeros((3, crowding.COUNTS))
        for _ in range(300):
            hit = rng.random(2) < rates
            if third:
                counts = looked(counts, hit, hit.sum())
            elif hit.any():
                held = np.where(hit, np.cumsum(hit) - 1, -1)
                counts[:2] = after(counts[:2], np.ones((2, hit.sum()), bool), held)
            drop, counts = crowding.extra(counts)
            dropped += drop.any()
    assert dropped == 0


def test_a_track_that_takes_turns_with_another_at_one_missile_of_a_salvo_goes():
    """Japan's own plots of eighteen missiles: as many tracks as missiles before they come down (without this one more)."""
    s = cf.load("salvo-18-2024")
    d = cf.detect(cf.fly(s), s, seed=6)
    japanese = np.array([x.nation == NODES[1] for x in s.sensors])
    plots = d[japanese[d.sensor] & (d.time > 60.0) & (d.time < 290.0)]
    t = cf.track(plots, s)
    late = t[t.firm & (t.time > 280.0)]
    assert len(np.unique(late.track)) == len(np.unique(plots.object[late.detection])) == 18
