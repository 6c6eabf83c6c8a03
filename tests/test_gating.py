"""Gates and clusters against all pairs looked at, one by one."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import multivariate_normal

from copfuse.kernels.clusters import clusters, grouped
from copfuse.kernels.gating import box_pairs, ellipsoid_pairs, gate_pairs

pytestmark = pytest.mark.kernels
SPAN = st.sampled_from([0.0, 1.0, 30.0, 1e4, 1e20])


def lists(start, plot):
    return [plot[a:b].tolist() for a, b in zip(start[:-1], start[1:], strict=True)]


def plain_boxes(centre, half, plots):
    with np.errstate(invalid="ignore"):
        inside = (abs(plots[None] - centre[:, None]) <= half[:, None]).all(axis=2)
    return [np.flatnonzero(row).tolist() for row in inside]


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 3), st.integers(0, 12), st.integers(0, 30), SPAN, st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_boxes_equal_all_pairs(d, n, m, span, odd, whole, seed):
    """Near and far, huge, empty and infinite gates, plots on their very edges, and what is no number."""
    rng = np.random.default_rng(seed)
    centre, plots = rng.uniform(-span, span, (n, d)), rng.uniform(-span, span, (m, d))
    half = np.exp(rng.normal(size=(n, d)) * rng.choice([0.1, 3.0]))
    if whole:
        centre, plots, half = np.round(centre), np.round(plots), np.round(half)
    if odd and n and m:
        half[rng.integers(n), rng.integers(d)] = rng.choice([0.0, 1e6, np.inf, np.nan])
        plots[rng.integers(m), rng.integers(d)] = rng.choice([1e300, np.inf, np.nan])
        centre[rng.integers(n), rng.integers(d)] = rng.choice([-1e300, np.inf, np.nan, 0.0])
    with np.errstate(all="ignore"):  # without the compiler inf - inf warns
        assert lists(*box_pairs(centre, half, plots)) == plain_boxes(centre, half, plots)


def test_boxes_of_many_equal_all_pairs():
    """So many pairs in one gate that the list has to grow, and gates of very unequal widths."""
    rng = np.random.default_rng(0)
    centre, plots = rng.uniform(0, 100, (300, 2)), rng.uniform(0, 100, (400, 2))
    half = np.exp(rng.normal(0.0, 1.5, (300, 2)))
    assert lists(*box_pairs(centre, half, plots)) == plain_boxes(centre, half, plots)
    assert lists(*box_pairs(centre, 50.0 * half, plots)) == plain_boxes(centre, 50.0 * half, plots)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3), st.integers(0, 6), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_ellipsoids_equal_all_pairs(d, n, m, seed):
    rng = np.random.default_rng(seed)
    centre, plots = 3.0 * rng.normal(size=(n, d)), 3.0 * rng.normal(size=(m, d))
    A, limit = rng.normal(size=(n, d, d)), 9.0
    S = A @ A.swapaxes(1, 2) + 0.1 * np.eye(d)
    candidates = box_pairs(centre, np.sqrt(limit * np.einsum("iaa->ia", S)), plots)
    start, plot, d2, log_density = ellipsoid_pairs(*candidates, centre, S, plots, limit)
    nu = plots[None] - centre[:, None]
    distance = np.einsum("ija,iab,ijb->ij", nu, np.linalg.inv(S), nu)
    inside = distance <= limit
    assert lists(start, plot) == [np.flatnonzero(row).tolist() for row in inside]
    np.testing.assert_allclose(d2, distance[inside], rtol=1e-9, atol=1e-12)
    expected = [multivariate_normal(centre[i], S[i]).logpdf(plots[j]) for i, j in np.argwhere(inside)]
    np.testing.assert_allclose(log_density, expected, rtol=1e-9, atol=1e-9)
    for one, other in zip(gate_pairs(centre, S, plots, limit), (start, plot, d2, log_density), strict=True):
        assert (one == other).all()


def test_an_indefinite_covariance_gates_nothing():
    S = np.array([[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]], [[np.nan, 0.0], [0.0, 1.0]]])
    start, plot = np.array([0, 1, 2, 3]), np.zeros(3, int)
    start, plot, d2, _ = ellipsoid_pairs(start, plot, np.zeros((3, 2)), S, np.array([[1.0, 1.0]]), 9.0)
    assert start.tolist() == [0, 0, 1, 1] and plot.tolist() == [0] and d2.tolist() == [2.0]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.0, 0.15), st.integers(0, 2**32 - 1))
def test_clusters_are_connected_components(n, m, share, seed):
    pairs = np.random.default_rng(seed).random((n, m)) < share
    start, plot = np.r_[0, np.cumsum(pairs.sum(axis=1))], np.nonzero(pairs)[1]
    row, column, count = clusters(start, plot, m)
    whole = np.block([[np.zeros((n, n)), pairs], [pairs.T, np.zeros((m, m))]])
    label = connected_components(csr_array(whole), directed=False)[1] if n + m else np.zeros(0, int)
    together = np.r_[row, column]
    paired = np.r_[np.ones(n, bool), pairs.any(axis=0)]
    assert ((together >= 0) == paired).all()
    assert ((label[:, None] == label) == (together[:, None] == together))[np.ix_(paired, paired)].all()
    assert list(dict.fromkeys(row.tolist())) == list(range(count))  # numbered by their first row


@given(st.lists(st.integers(-1, 4), max_size=20))
def test_grouped(label):
    start, order = grouped(np.array(label, dtype=int), 5)
    assert lists(start, order) == [[i for i, g in enumerate(label) if g == k] for k in range(5)]


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="a hundred thousand rows")
def test_one_cluster_of_a_long_chain():
    """Row i shares plots with its neighbours only, and all are one cluster."""
    n = 100_000
    row, column, count = clusters(2 * np.arange(n + 1), np.c_[np.arange(n), np.arange(1, n + 1)].ravel(), n + 1)
    assert count == 1 and not row.any() and not column.any()
