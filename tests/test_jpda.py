"""Joint probabilistic data association against enumeration; belief propagation against what is exact."""

from __future__ import annotations

import itertools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copfuse.association import Pairs, existence, gated, gnn, gnn_pairs, jpda, jpda_pairs
from copfuse.kernels.jpda import marginals

pytestmark = pytest.mark.kernels


def enumerated(log_ratio):
    """Marginals (n, m + 1) over every assignment, ``log_ratio (n, m)`` over no plot, -inf where not allowed."""
    n, m = log_ratio.shape
    wide = np.c_[np.zeros(n), log_ratio]
    best, found = -np.inf, []
    for choice in itertools.product(*(np.flatnonzero(row > -np.inf) for row in wide)):
        used = [c for c in choice if c]
        if len(set(used)) == len(used):
            found.append((choice, wide[np.arange(n), list(choice)].sum()))
            best = max(best, found[-1][1])
    out = np.zeros((n, m + 1))
    for choice, value in found:
        out[np.arange(n), list(choice)] += np.exp(value - best)
    return out / out.sum(axis=1, keepdims=True)


def soft(log_ratio, rows=10, plots=14):
    """The kernel's marginals as a matrix."""
    allowed = log_ratio > -np.inf
    row, plot = np.nonzero(allowed)
    out = np.zeros((len(log_ratio), log_ratio.shape[1] + 1))
    start = np.r_[0, np.cumsum(allowed.sum(axis=1))]
    out[row, plot + 1], out[:, 0] = marginals(start, plot, log_ratio[allowed], log_ratio.shape[1], rows, plots)
    return out


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 5), st.integers(0, 5), st.floats(0.0, 0.8), st.sampled_from([1.0, 10.0, 300.0]), st.integers(0, 2**32 - 1))
def test_exact_equals_enumeration(n, m, closed, scale, seed):
    """Also where likelihood ratios differ by more than a floating-point number can say."""
    rng = np.random.default_rng(seed)
    log_ratio = scale * rng.normal(1.0, 1.0, (n, m))
    log_ratio[rng.random((n, m)) < closed] = -np.inf
    np.testing.assert_allclose(soft(log_ratio), enumerated(log_ratio), rtol=0, atol=1e-12)


def test_two_tracks_and_one_plot_by_hand():
    """Ratios 3 and 1: hypotheses none 1, first 3, second 1."""
    d2 = np.array([[1.0], [2.0]])
    weights = jpda(d2, np.log([[3.0], [1.0]]), 9.0, 0.5)
    np.testing.assert_allclose(weights, [[2 / 5, 3 / 5], [4 / 5, 1 / 5]], atol=1e-15)


def scan(rng, n, spacing, detected, density, d):
    """log ratios of a scan: n targets in a row, plots about them with unit variance, and false ones."""
    target = np.zeros((n, d))
    target[:, 0] = spacing * np.arange(n)
    low, high = target.min(axis=0) - 5.0, target.max(axis=0) + 5.0
    seen = target[rng.random(n) < detected]
    false = rng.uniform(low, high, (rng.poisson(density * np.prod(high - low)), d))
    plots = np.concatenate([seen + rng.normal(size=seen.shape), false])
    d2 = ((plots[None] - target[:, None]) ** 2).sum(axis=2)
    log_ratio = -0.5 * d2 - 0.5 * d * np.log(2 * np.pi) - np.log(density) + np.log(detected / (1 - detected))
    return np.where(d2 <= 25.0, log_ratio, -np.inf)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="hundreds of scans")
@pytest.mark.parametrize(
    "spacing, detected, density, d, error",
    [
        (1.0, 0.9, 0.1, 1, 0.011),
        (1.0, 0.6, 0.1, 1, 0.005),
        (3.0, 0.9, 0.1, 1, 0.002),
        (1.0, 0.9, 0.01, 2, 0.014),
        (0.2, 0.99, 1e-4, 2, 0.003),
    ],
)
def test_belief_propagation_with_six_targets(spacing, detected, density, d, error):
    """Mean errors as Williams & Lau's method has them in six targets (own earlier figures, to a factor of 2), all at most 0.02."""
    rng, errors = np.random.default_rng(3), []
    while len(errors) < 200:
        log_ratio = scan(rng, 6, spacing, detected, density, d)
        if log_ratio.shape[1] <= 14:
            errors.append(abs(soft(log_ratio, 0, 0) - soft(log_ratio)).mean())
    assert error / 2.5 < np.mean(errors) < min(2.5 * error, 0.02)


def test_belief_propagation_is_exact_on_a_tree():
    """Two tracks that share one plot: no loop."""
    log_ratio = np.array([[1.0, 0.5, -np.inf], [-np.inf, 2.0, 0.3]])
    np.testing.assert_allclose(soft(log_ratio, 0, 0), enumerated(log_ratio), atol=1e-6)


def test_belief_propagation_with_huge_ratios_is_a_probability():
    weights = soft(np.random.default_rng(4).normal(0.0, 500.0, (20, 20)), 10, 14)
    assert np.isfinite(weights).all() and (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("n, m", [(0, 0), (0, 3), (3, 0)])
def test_jpda_with_nothing(n, m):
    w = jpda(np.zeros((n, m)), np.zeros((n, m)), 9.0)
    assert w.shape == (n, m + 1) and (w[:, 0] == 1).all()


def test_pairs_give_what_matrices_give():
    rng = np.random.default_rng(5)
    centre, S = rng.uniform(0, 30, (40, 2)), np.tile(np.eye(2), (40, 1, 1)) * rng.uniform(0.5, 2.0, (40, 1, 1))
    plots = np.concatenate([centre + rng.normal(size=centre.shape), rng.uniform(0, 30, (30, 2))])
    nu = plots[None] - centre[:, None]
    d2 = np.einsum("ija,iab,ijb->ij", nu, np.linalg.inv(S), nu)
    log_ratio = -0.5 * d2 - np.log(2 * np.pi * S[:, 0, 0])[:, None] - np.log(30 / 900)
    detected = rng.uniform(0.5, 0.95, 40)
    pairs = gated(centre, S, plots, 12.0)
    ratio = pairs.log_density - np.log(30 / 900)
    hard = gnn(d2, log_ratio, 12.0, 0.8)
    assert (gnn_pairs(pairs, ratio, 0.8) == hard.argmax(axis=1) - 1).all()
    weights, missed = jpda_pairs(pairs, ratio, detected)
    whole = jpda(d2, log_ratio, 12.0, detected)
    row = np.repeat(np.arange(40), np.diff(pairs.start))
    np.testing.assert_allclose(whole[row, pairs.plot + 1], weights, atol=1e-12)
    np.testing.assert_allclose(whole[:, 0], missed, atol=1e-12)
    np.testing.assert_allclose(whole.sum(axis=1), 1.0, atol=1e-12)
    assert isinstance(pairs, Pairs) and pairs.plots == len(plots)


def test_existence_by_bayes():
    """One track, one plot: existence before 0.4, P_D 0.7, ratio 5: (0.6, 0.4 x 0.3, 0.4 x 0.7 x 5) are the three cases."""
    missed = jpda([[1.0]], np.log([[5.0]]), 9.0, np.array([0.4 * 0.7]))[:, 0]
    none, unseen, seen = 0.6, 0.4 * 0.3, 0.4 * 0.7 * 5
    assert existence(missed, [0.4], 0.7) == pytest.approx([(unseen + seen) / (none + unseen + seen)])
