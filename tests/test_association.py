"""Assignment against scipy and published cases; the gate and the global nearest neighbour rule."""

from __future__ import annotations

import itertools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2

from copfuse.association import Pairs, gate, gnn, gnn_pairs
from copfuse.kernels.assignment import assign, assign_pairs, assign_plots, murty

pytestmark = pytest.mark.kernels


def total(cost, miss, column):
    return sum(miss[i] if j < 0 else cost[i, j] for i, j in enumerate(column))


def scipy_total(cost, miss):
    """The same problem for scipy: every row gets a column of its own that stands for "unassigned"."""
    n = len(miss)
    own = np.full((n, n), np.inf)
    own[np.diag_indices(n)] = miss
    wide = np.hstack([cost, own])
    i, j = linear_sum_assignment(wide)
    return wide[i, j].sum()


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 9), st.integers(0, 9), st.floats(0.0, 0.9), st.booleans(), st.integers(0, 2**32 - 1))
def test_total_cost_equals_scipy(n, m, forbidden, ties, seed):
    """Rectangular, with forbidden pairs, ties and negative costs."""
    rng = np.random.default_rng(seed)
    cost = np.round(rng.normal(size=(n, m)), 1) if ties else rng.normal(size=(n, m))
    cost[rng.random((n, m)) < forbidden] = np.inf
    miss = rng.normal(size=n)
    column = assign(cost, miss)
    used = column[column >= 0]
    assert len(set(used.tolist())) == len(used)
    assert np.isclose(total(cost, miss, column), scipy_total(cost, miss), atol=1e-9)


def test_nrl_4_by_5_gain_47():
    """The assignment example of the Naval Research Laboratory's Tracker Component Library (assign2D): total 47, columns 5, 1, 2, 3."""
    inf = np.inf
    cost = np.array([[inf, 2, inf, inf, 3], [7, inf, 23, inf, inf], [17, 24, inf, inf, inf], [inf, 6, 13, 20, inf]])
    column = assign(cost, np.full(4, 1e6))
    assert cost[range(4), column].sum() == 47
    assert (column + 1).tolist() == [5, 1, 2, 3]
    assert held_total(cost, np.full(4, 1e3)) == 47


def test_large_dense_problem_equals_scipy():
    cost = np.random.default_rng(0).random((150, 200))
    assert np.isclose(total(cost, np.full(150, 10.0), assign(cost, np.full(150, 10.0))), scipy_total(cost, np.full(150, 10.0)))


# --- the same over some pairs only


def pairs_of(cost):
    """Rows of a compressed matrix of what is finite: start, plot, cost."""
    finite = np.isfinite(cost)
    return np.r_[0, np.cumsum(finite.sum(axis=1))], np.nonzero(finite)[1], cost[finite]


def held_total(cost, miss):
    """Total of `assign_pairs`, whose answer is checked to be feasible and, by its prices, to be optimal."""
    start, plot, value = pairs_of(cost)
    pair, price = assign_pairs(start, plot, value, miss, cost.shape[1])
    column = np.where(pair < 0, -1, np.append(plot, -1)[pair])
    used = column[column >= 0]
    assert len(set(used.tolist())) == len(used)
    assert all(pair[i] < 0 or start[i] <= pair[i] < start[i + 1] for i in range(len(miss)))
    assert (price <= 0).all() and not np.delete(price, used).any()  # the theorem of complementary slackness
    least = np.minimum(miss, np.min(cost - price, axis=1, initial=np.inf))
    taken = np.where(column < 0, miss, (np.c_[cost, miss] - np.append(price, 0.0))[np.arange(len(miss)), column])
    np.testing.assert_allclose(taken, least, atol=1e-9)
    return total(cost, miss, column)


def some_costs(rng, n, m, forbidden, ties):
    """Costs (n, m), whole numbers where there are to be ``ties``, of which a share is forbidden."""
    cost = rng.integers(-3, 4, (n, m)).astype(float) if ties else rng.normal(size=(n, m))
    cost[rng.random((n, m)) < forbidden] = np.inf
    return cost


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 9), st.integers(0, 9), st.floats(0.0, 0.9), st.booleans(), st.integers(0, 2**32 - 1))
def test_pairs_total_cost_equals_scipy(n, m, forbidden, ties, seed):
    rng = np.random.default_rng(seed)
    cost = some_costs(rng, n, m, forbidden, ties)
    miss = rng.integers(-2, 5, n).astype(float) if ties else rng.normal(1.0, 2.0, n)
    assert np.isclose(held_total(cost, miss), scipy_total(cost, miss), atol=1e-9)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="9500 problems")
def test_pairs_total_cost_equals_scipy_on_9500_problems():
    """With the 500 above, 10 000: rectangular, forbidden pairs, ties, dear and cheap misses."""
    rng = np.random.default_rng(1)
    for _ in range(9500):
        n, m = rng.integers(1, 14), rng.integers(0, 14)
        cost = rng.integers(0, 5, (n, m)).astype(float) if rng.random() < 0.5 else rng.random((n, m))
        cost[rng.random((n, m)) < rng.random()] = np.inf
        miss = rng.choice([0.5, 1.0, 20.0]) * np.ceil(3.0 * rng.random(n))
        start, plot, value = pairs_of(cost)
        pair, price = assign_pairs(start, plot, value, miss, m)
        found = np.where(pair < 0, miss, np.append(value, 0.0)[pair]).sum()
        assert np.bincount(plot[pair[pair >= 0]], minlength=1).max() <= 1
        assert abs(found - scipy_total(cost, miss)) < 1e-9


@pytest.mark.parametrize("n, m, share", [(150, 200, 1.0), (200, 120, 1.0), (300, 300, 0.03), (300, 300, 0.01)])
def test_pairs_of_large_problems_equal_scipy(n, m, share):
    rng = np.random.default_rng(2)
    cost = np.where(rng.random((n, m)) < share, rng.random((n, m)), np.inf)
    miss = np.full(n, 2.0)
    assert np.isclose(held_total(cost, miss), scipy_total(cost, miss), atol=1e-9)


@pytest.mark.parametrize("n, m", [(0, 0), (0, 3), (3, 0)])
def test_pairs_with_nothing(n, m):
    pair, price = assign_pairs(np.zeros(n + 1, int), np.zeros(0, int), np.zeros(0), np.ones(n), m)
    assert (pair == -1).all() and len(pair) == n and price.tolist() == [0.0] * m


# --- the k best

MURTY = np.array(
    [
        [7, 51, 52, 87, 38, 60, 74, 66, 0, 20],
        [50, 12, 0, 64, 8, 53, 0, 46, 76, 42],
        [27, 77, 0, 18, 22, 48, 44, 13, 0, 57],
        [62, 0, 3, 8, 5, 6, 14, 0, 26, 39],
        [0, 97, 0, 5, 13, 0, 41, 31, 62, 48],
        [79, 68, 0, 0, 15, 12, 17, 47, 35, 43],
        [76, 99, 48, 27, 34, 0, 0, 0, 28, 0],
        [0, 20, 9, 27, 46, 15, 84, 19, 3, 24],
        [56, 10, 45, 39, 0, 93, 67, 79, 19, 38],
        [27, 0, 39, 53, 46, 24, 69, 46, 23, 1],
    ],
    dtype=float,
)


@pytest.mark.parametrize("miss", [np.inf, 1e3])
def test_murtys_own_example(miss):
    """The 10 x 10 matrix of Murty, Operations Research 16(3), 1968; 100th: 34, by dynamic programming over subsets."""
    k = 10 if numba.config.DISABLE_JIT else 100
    column, found = murty(MURTY, np.full(10, miss), k)
    assert found[:10].tolist() == [0, 1, 10, 11, 13, 14, 14, 15, 16, 16]
    assert k < 100 or found[99] == 34
    assert (np.diff(found) >= 0).all() and len(np.unique(column, axis=0)) == k
    assert (MURTY[np.arange(10), column].sum(axis=1) == found).all()


def every_assignment(cost, miss):
    """All totals there are, sorted."""
    n, m = cost.shape
    found = []
    for column in itertools.product(range(-1, m), repeat=n):
        used = [j for j in column if j >= 0]
        if len(set(used)) == len(used):
            found.append(total(cost, miss, column))
    return np.sort([c for c in found if c < np.inf])


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4), st.integers(0, 4), st.floats(0.0, 0.6), st.booleans(), st.integers(0, 2**32 - 1))
def test_murty_equals_enumeration(n, m, forbidden, ties, seed):
    rng = np.random.default_rng(seed)
    cost = some_costs(rng, n, m, forbidden, ties)
    miss = np.where(rng.random(n) < 0.2, np.inf, rng.normal(size=n))
    everything = every_assignment(cost, miss)
    column, found = murty(cost, miss, 30)
    np.testing.assert_allclose(found, everything[:30], atol=1e-9)
    assert len(np.unique(column, axis=0)) == len(column)
    np.testing.assert_allclose([total(cost, miss, c) for c in column], found, atol=1e-9)


def test_gate_is_chi_squared():
    assert np.allclose(gate(np.array([2, 3, 4])), chi2.isf(1e-5, [2, 3, 4]))


def test_gnn_takes_the_best_total_not_the_nearest_pair():
    """The nearest pair (0, 0) would leave track 1 without its only plot."""
    d2 = np.array([[1.0, 2.0], [3.0, 100.0]])
    assert gnn(d2, 10 - d2 / 2, 20.0).tolist() == [[0, 0, 1], [0, 1, 0]]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 8), st.integers(0, 8), st.floats(0.0, 0.9), st.integers(0, 2**32 - 1))
def test_gnn_of_pairs_is_gnn_of_the_matrix(n, m, forbidden, seed):
    """Without ties the best assignment is one; with P_D a number, and one of each track."""
    rng = np.random.default_rng(seed)
    log_ratio, inside = rng.normal(1.0, 3.0, (n, m)), rng.random((n, m)) >= forbidden
    start, plot = np.r_[0, np.cumsum(inside.sum(axis=1))], np.nonzero(inside)[1]
    pairs = Pairs(start, plot, np.ones(len(plot)), log_ratio[inside], m)
    weights = gnn(np.where(inside, 1.0, 9.0), log_ratio, 4.0, 0.7)
    assert gnn_pairs(pairs, log_ratio[inside], 0.7).tolist() == (weights.argmax(axis=1) - 1).tolist()
    detected = rng.uniform(0.1, 0.95, n)
    odds = np.log(detected / (1.0 - detected))
    held = np.empty(n, int)
    assign_plots(start, plot, log_ratio[inside], odds, m, held)
    assert gnn_pairs(pairs, log_ratio[inside], detected).tolist() == held.tolist()
    own = held >= 0
    gained = (log_ratio[own, held[own]] + odds[own]).sum()
    assert np.isclose(gained, -scipy_total(np.where(inside, -log_ratio - odds[:, None], np.inf), np.zeros(n)), atol=1e-9)


def test_gnn_leaves_out_what_clutter_explains_better():
    """A plot inside the gate but less likely than false alarms is not taken."""
    assert gnn(np.array([[15.0]]), np.array([[-9.0]]), 20.0).tolist() == [[1, 0]]
    assert gnn(np.array([[25.0]]), np.array([[9.0]]), 20.0).tolist() == [[1, 0]]


@pytest.mark.parametrize("n, m", [(0, 0), (0, 3), (3, 0)])
def test_gnn_with_nothing(n, m):
    w = gnn(np.zeros((n, m)), np.zeros((n, m)), 9.0)
    assert w.shape == (n, m + 1) and (w[:, 0] == 1).all()
