"""How long gates, assignment, joint probabilities, hypotheses and scores take, each against another way to the same answer."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from copfuse import filters, frames, measures, pairing, scale
from copfuse import speed as bench
from copfuse.kernels.assignment import assign, assign_plots, murty
from copfuse.kernels.clusters import clusters
from copfuse.kernels.gating import box_pairs, boxes
from copfuse.kernels.hypotheses import leaf_weights
from copfuse.kernels.jpda import marginals
from copfuse.kernels.motions import N_MODEL

SIZES = pytest.mark.parametrize("n", [1, 100, 1000])
CLUTTER = pytest.mark.parametrize("clutter", ["light", "heavy"])
ODDS = float(np.log(scale.DETECTED / (1.0 - scale.DETECTED)))


def group(name):
    return pytest.mark.benchmark(group=name)


def rows_of(pairs):
    return np.repeat(np.arange(len(pairs.start) - 1), np.diff(pairs.start))


def problem(n, clutter):
    """A scan's gated pairs, the logarithms of their weights over a miss, and its number of plots."""
    scan = scale.scan(n, clutter)
    pairs = scale.find(scan)
    return pairs, pairs.log_density - np.log(scan.density) + ODDS


# Gates ----------------------------------------------------------------------------------------------------------------


@group("gates")
@CLUTTER
@SIZES
def test_gate(benchmark, n, clutter):
    """Boxes and ellipses of a scan, against scipy's k-d tree."""
    scan = scale.scan(n, clutter)
    pairs = benchmark(scale.find, scan)
    row, plot, d2 = scale.tree_gate(scan)
    order = np.lexsort((plot, row))
    assert (row[order] == rows_of(pairs)).all() and (plot[order] == pairs.plot).all()
    np.testing.assert_allclose(d2[order], pairs.d2, rtol=1e-9)


@group("gates")
@SIZES
def test_pairs_in_boxes(benchmark, n):
    """In three dimensions, against all comparisons."""
    rng = np.random.default_rng(n)
    centre, half, plots = rng.uniform(0, 1e5, (n, 3)), rng.uniform(1e3, 1e4, (n, 3)), rng.uniform(0, 1e5, (n, 3))
    start, plot = benchmark(box_pairs, centre, half, plots)
    row, want = np.nonzero((np.abs(plots - centre[:, None]) <= half[:, None]).all(axis=2))
    assert (np.repeat(np.arange(n), np.diff(start)) == row).all() and (plot == want).all()


def spread(n):
    """n tracks and a plot of each in random order by one radar, 20 km apart: a bank, plots and where the radar is."""
    p, rng = bench.problem(1), np.random.default_rng(n)
    x = np.tile(p.x, (n, 1))
    x[:, :3] += 20e3 * (rng.permutation(n)[:, None] // np.array([1, 10, 100]) % 10) + rng.uniform(-1e3, 1e3, (n, 3))
    bank = filters.bank(0.0, x, np.tile(p.P, (n, 1, 1)), np.full((n, N_MODEL), 1.0 / N_MODEL))
    moved = np.hstack([x[:, :3] + x[:, 3:], x[:, 3:]])
    z = frames.look(moved, p.origin, p.axes)
    z[:, 3] = np.nan
    return bank, z, np.tile(p.sigma[:1], (n, 1)), p.origin, p.axes


@group("gates")
@SIZES
def test_boxes_of_tracks(benchmark, n):
    """A second on, boxes hold ten standard deviations about where each track then is."""
    bank = spread(n)[0]
    middle, half = np.empty((n, 3)), np.empty((n, 3))
    benchmark(boxes, bank.x, bank.P, bank.mu, np.ones(n), 1e-4, 10.0, 1500.0, middle, half)
    ahead = bank.x6[:, :3] + bank.x6[:, 3:]
    np.testing.assert_allclose(middle, ahead, atol=1.0)
    np.testing.assert_allclose(half, 10.0 * (1e3 + 1e2) + 750.0, rtol=1e-9)


@group("gates")
@SIZES
def test_tracks_within_reach_of_plots(benchmark, n):
    """Every track reaches its own plot, and few others."""
    bank, *scan = spread(n)
    start, plot = benchmark(pairing.reachable, bank, 1.0, *scan)
    row = np.repeat(np.arange(n), np.diff(start))
    assert (row == plot).sum() == n and len(plot) <= 60 * n


# Assignment -----------------------------------------------------------------------------------------------------------


@group("assignment")
@CLUTTER
@SIZES
def test_sparse_assignment(benchmark, n, clutter):
    """Jonker and Volgenant's on pairs alone, its total against scipy's on the whole matrix."""
    pairs, worth = problem(n, clutter)
    held = np.empty(n, int)
    benchmark(assign_plots, pairs.start, pairs.plot, worth, np.zeros(n), pairs.plots, held)
    whole = np.zeros((n, max(pairs.plots, 1)))
    whole[rows_of(pairs), pairs.plot] = np.minimum(-worth, 0.0)
    mine = worth[pairs.plot == held[rows_of(pairs)]].sum()
    assert mine == pytest.approx(-whole[linear_sum_assignment(whole)].sum(), rel=1e-9)
    assert len(np.unique(held[held >= 0])) == (held >= 0).sum()


@group("assignment")
@pytest.mark.parametrize("n", [1, 10, 100])
def test_dense_assignment(benchmark, n):
    cost, miss = np.random.default_rng(n).uniform(0, 1, (n, n)), np.full(n, 0.3)
    column = benchmark(assign, cost, miss)
    whole = np.minimum(cost - 0.3, 0.0)
    mine = (cost[np.arange(n), column] - 0.3)[column >= 0].sum()
    assert mine == pytest.approx(whole[linear_sum_assignment(whole)].sum(), abs=1e-9)


@group("assignment")
@pytest.mark.parametrize("k", [1, 10, 100])
def test_k_best_assignments(benchmark, k):
    """Murty's of seven rows, against all 5040."""
    cost = np.random.default_rng(7).uniform(0, 1, (7, 7))
    columns, total = benchmark(murty, cost, np.full(7, np.inf), k)
    want = np.sort(cost[np.arange(7), list(permutations(range(7)))].sum(axis=1))[:k]
    np.testing.assert_allclose(total, want, atol=1e-12)
    np.testing.assert_allclose(cost[np.arange(7), columns].sum(axis=1), want, atol=1e-12)


@group("assignment")
@pytest.mark.parametrize("n", [10, 30])
def test_ten_best_assignments(benchmark, n):
    """Larger ones: the first is the best, and all are different and in order."""
    cost = np.random.default_rng(n).uniform(0, 1, (n, n))
    columns, total = benchmark(murty, cost, np.full(n, np.inf), 10)
    assert total[0] == pytest.approx(cost[linear_sum_assignment(cost)].sum()) and (np.diff(total) >= -1e-12).all()
    assert len({tuple(c) for c in columns}) == 10


@group("clusters")
@CLUTTER
@SIZES
def test_clusters(benchmark, n, clutter):
    """How many there are, against scipy's connected components."""
    pairs, _ = problem(n, clutter)
    *_, count = benchmark(clusters, pairs.start, pairs.plot, pairs.plots)
    row, size = rows_of(pairs), n + pairs.plots
    graph = csr_array((np.ones(len(row)), (row, n + pairs.plot)), shape=(size, size))
    alone = pairs.plots - len(np.unique(pairs.plot))  # plots in no gate are components, but no clusters
    assert count == connected_components(graph, directed=False)[0] - alone


# Joint probabilities --------------------------------------------------------------------------------------------------


def enumerated(start, plot, worth):
    """Marginals of a few tracks by all joint events."""
    options = [[-1, *range(start[i], start[i + 1])] for i in range(len(start) - 1)]
    chance, total = np.zeros(len(plot)), 0.0
    for event in product(*options):
        held = [p for p in event if p >= 0]
        if len({int(plot[p]) for p in held}) == len(held):
            weight = np.exp(worth[held].sum()) if held else 1.0
            chance[held] += weight
            total += weight
    return chance / total


def believed(pairs, worth):
    """Marginals by belief propagation, all pairs at once by numpy (Williams and Lau 2014, eqs. 28 to 31)."""
    row, n, m, weight = rows_of(pairs), len(pairs.start) - 1, pairs.plots, np.exp(worth)
    back, change = np.ones(len(row)), 1.0
    while change > 1e-9:
        there = weight / (1.0 + np.bincount(row, weight * back, n)[row] - weight * back)
        new = 1.0 / (1.0 + np.bincount(pairs.plot, there, m)[pairs.plot] - there)
        back, change = new, np.abs(new - back).max(initial=0.0)
    return weight * back / (1.0 + np.bincount(row, weight * back, n))[row]


@group("JPDA, exact")
@pytest.mark.parametrize("n", [5, 100, 1000])
def test_exact_probabilities(benchmark, n):
    """Clusters of at most five tracks against all their joint events (one hundred clusters at most); no plot is had more than once."""
    pairs, worth = problem(n, "light")
    chance, miss = benchmark(marginals, pairs.start, pairs.plot, worth, pairs.plots, 1000, 14)
    np.testing.assert_allclose(np.bincount(rows_of(pairs), chance, n) + miss, 1.0, rtol=1e-9)
    assert (np.bincount(pairs.plot, chance) <= 1.0 + 1e-9).all()
    label, _, count = clusters(pairs.start, pairs.plot, pairs.plots)
    small = [np.flatnonzero(label == c) for c in range(min(count, 100))]
    for rows in [rows for rows in small if len(rows) <= 5]:
        mine = np.concatenate([np.arange(pairs.start[i], pairs.start[i + 1]) for i in rows])
        start = np.r_[0, np.cumsum(np.diff(pairs.start)[rows])]
        np.testing.assert_allclose(chance[mine], enumerated(start, pairs.plot[mine], worth[mine]), atol=1e-9)


@group("JPDA, belief propagation")
@CLUTTER
@pytest.mark.parametrize("n", [5, 100, 1000])
def test_probabilities_by_belief_propagation(benchmark, n, clutter):
    """Against the same messages passed by numpy."""
    pairs, worth = problem(n, clutter)
    chance, miss = benchmark(marginals, pairs.start, pairs.plot, worth, pairs.plots, 0, 0)
    np.testing.assert_allclose(np.bincount(rows_of(pairs), chance, n) + miss, 1.0, rtol=1e-9)
    alone = np.bincount(pairs.plot, minlength=pairs.plots)[pairs.plot] == 1  # clusters that share no plot are exact all the same
    np.testing.assert_allclose(chance[~alone], believed(pairs, worth)[~alone], atol=1e-4)


@group("hypotheses")
@pytest.mark.parametrize("trees", [1, 10, 100])
def test_leaves_of_trees(benchmark, trees):
    """Three leaves a tree, neighbours wanting one plot: a lone tree's weigh as their odds, and no plot is in the best set twice."""
    rng = np.random.default_rng(trees)
    start, score = np.arange(0, 3 * trees + 1, 3), np.sort(rng.uniform(0.0, 5.0, (trees, 3)), axis=1)[:, ::-1].ravel().copy()
    window = np.full((3 * trees, 4), -1)
    window[:, -1] = np.repeat(np.arange(trees), 3) + np.tile([0, 1, trees], trees)  # leaf 0: own plot; 1: the next tree's
    window[2::3, -1] = 2 * trees + np.arange(trees)
    weight, best, sure = benchmark(leaf_weights, start, window, score, 3 * trees + 1, 100, 9.0, 100_000)
    used = window[best, -1]
    assert len(np.unique(used)) == len(used) and (weight >= 0.0).all()
    if trees == 1:
        np.testing.assert_allclose(weight, np.exp(score) / np.exp(score).sum(), rtol=1e-9)
        assert sure
    else:
        assert (weight.reshape(-1, 3).sum(axis=1) <= 1.0 + 1e-9).all()


# Scores ---------------------------------------------------------------------------------------------------------------


@group("scores")
@SIZES
def test_gospa(benchmark, n):
    """Estimates in another order, 100 m off, and a tenth more false ones: the distance by hand."""
    rng = np.random.default_rng(n)
    x = 50e3 * np.stack(np.unravel_index(rng.permutation(n), (10, 10, 10)), axis=1).astype(float)
    false = -1e6 * (1.0 + np.arange(n // 10))[:, None] * np.ones(3)
    y = np.concatenate([x + np.array([100.0, 0.0, 0.0]), false])[rng.permutation(n + n // 10)]
    found = benchmark(measures.gospa, x, y, 10e3)
    assert found.localisation == pytest.approx(n * 100.0**2) and found.missed == 0.0
    assert found.value == pytest.approx(np.sqrt(n * 100.0**2 + 0.5 * 10e3**2 * (n // 10)))


@group("scores")
@SIZES
def test_assignment_of_a_score(benchmark, n):
    """As many pairs as possible, then the cheapest: a permutation is found back."""
    order = np.random.default_rng(n).permutation(n)
    cost = np.abs(np.subtract.outer(np.arange(n), order)).astype(float)
    pairs = benchmark(measures.assign, cost)
    assert (order[pairs[:, 1]] == pairs[:, 0]).all() and len(pairs) == n


@group("scores")
@SIZES
def test_nees(benchmark, n):
    """Errors of one standard deviation on each of six axes: 6."""
    P = np.tile(np.diag(np.arange(1.0, 7.0)), (n, 1, 1))
    np.testing.assert_allclose(benchmark(measures.nees, np.sqrt(np.tile(np.arange(1.0, 7.0), (n, 1))), P), 6.0)
