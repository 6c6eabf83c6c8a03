"""Assignment against scipy and published cases; the gate and the global nearest neighbour rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2

from copfuse.association import gate, gnn
from copfuse.kernels.assignment import assign

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


def test_large_dense_problem_equals_scipy():
    cost = np.random.default_rng(0).random((150, 200))
    assert np.isclose(total(cost, np.full(150, 10.0), assign(cost, np.full(150, 10.0))), scipy_total(cost, np.full(150, 10.0)))


def test_gate_is_chi_squared():
    assert np.allclose(gate(np.array([2, 3, 4])), chi2.isf(1e-5, [2, 3, 4]))


def test_gnn_takes_the_best_total_not_the_nearest_pair():
    """The nearest pair (0, 0) would leave track 1 without its only plot."""
    d2 = np.array([[1.0, 2.0], [3.0, 100.0]])
    assert gnn(d2, 10 - d2 / 2, 20.0).tolist() == [[0, 0, 1], [0, 1, 0]]


def test_gnn_leaves_out_what_clutter_explains_better():
    """A plot inside the gate but less likely than false alarms is not taken."""
    assert gnn(np.array([[15.0]]), np.array([[-9.0]]), 20.0).tolist() == [[1, 0]]
    assert gnn(np.array([[25.0]]), np.array([[9.0]]), 20.0).tolist() == [[1, 0]]


@pytest.mark.parametrize("n, m", [(0, 0), (0, 3), (3, 0)])
def test_gnn_with_nothing(n, m):
    w = gnn(np.zeros((n, m)), np.zeros((n, m)), 9.0)
    assert w.shape == (n, m + 1) and (w[:, 0] == 1).all()
