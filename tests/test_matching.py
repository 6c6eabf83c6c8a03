"""Joint bias and assignment against the oracle that knows the bias, and against enumeration."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copfuse import matching
from copfuse.errors import CopfuseError
from copfuse.kernels.assignment import assign

BOX = 100.0
ROWS = [(10, 5.0, 1.0, 0), (10, 5.0, 0.8, 2), (20, 5.0, 0.8, 4), (40, 5.0, 0.8, 8)]  # objects, bias sigma, P_D, extras


def scene(rng, objects, bias_sigma, pd, extras):
    """Two pictures of a box of objects, sigma 1 each, the second shifted: positions, which object each is (-1: none), bias."""
    places = rng.uniform(0.0, BOX, (objects, 2))
    bias, seen = bias_sigma * rng.standard_normal(2), []
    for shift in (np.zeros(2), bias):
        which = np.flatnonzero(rng.random(objects) < pd)
        more = rng.uniform(0.0, BOX, (rng.poisson(extras), 2))
        x = np.vstack([places[which], more]) + rng.standard_normal((len(which) + len(more), 2)) + shift
        label, order = np.r_[which, np.full(len(more), -1)], rng.permutation(len(x))
        seen.append((x[order], label[order]))
    return *seen, bias


def prior_of(objects, pd, extras):
    return matching.densities(objects / BOX**2, pd, pd, extras / BOX**2, extras / BOX**2)


def nearest(x1, x2, variance, facts):
    """Optimal assignment at a known bias, 2-D, errors of a difference of this variance per axis."""
    common, alone1, alone2 = facts
    gain = 2.0 * np.log(common / max(alone1 * alone2, 1e-200) / (2.0 * np.pi * variance))
    d2 = ((x1[:, None] - x2[None]) ** 2).sum(axis=2) / variance
    return assign(d2 - gain, np.zeros(len(x1)))


def right(column, label1, label2):
    """Whether each object that both saw is paired with itself."""
    both = np.flatnonzero(np.isin(label1, label2) & (label1 >= 0))
    return [column[i] >= 0 and label2[column[i]] == label1[i] for i in both]


def chances(row, draws, seed=0):
    """Share of correct pairings: nearest neighbour, the same with the bias in its sigma, global nearest pattern, oracle; and
    the rms error per axis of the bias."""
    rng, hits, errors = np.random.default_rng(seed), [[], [], [], []], []
    objects, sigma, pd, extras = row
    facts = prior_of(objects, pd, extras)
    for _ in range(draws):
        (x1, l1), (x2, l2), bias = scene(rng, *row)
        eye = np.eye(2)
        found = matching.match(x1, np.tile(eye, (len(x1), 1, 1)), x2, np.tile(eye, (len(x2), 1, 1)), sigma**2 * eye, *facts)
        columns = [nearest(x1, x2, 2.0, facts), nearest(x1, x2, 2.0 + sigma**2, facts), found.column, nearest(x1, x2 - bias, 2.0, facts)]
        for hit, column in zip(hits, columns, strict=True):
            hit.extend(right(column, l1, l2))
        errors.append(found.bias - bias)
    return [float(np.mean(hit)) for hit in hits], float(np.sqrt(np.mean(np.square(errors))))


BIAS_RMS = [0.447, 0.559, 0.395, 0.280]  # of the mean difference over the pairs that are right: the least there can be


@pytest.mark.parametrize("row, ideal", list(zip(ROWS, BIAS_RMS, strict=True)))
def test_the_pattern_is_found_as_if_the_bias_were_known(row, ideal):
    """240 draws: correct association at least that of the oracle less 0.01, the bias within 12 % of what is possible."""
    (_, inflated, pattern, oracle), rms = chances(row, 240)
    assert pattern >= oracle - 0.01
    assert ideal * 0.9 < rms < ideal * 1.12 + 0.05
    assert row[2] == 1.0 or pattern > inflated + 0.08


@given(st.integers(0, 2**32 - 1))
def test_small_patterns_are_the_cheapest_of_all(seed):
    """Every assignment of up to four tracks to up to four, each with its best bias: none is cheaper than what was found."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 5, 2).tolist()
    x1, x2 = 8.0 * rng.standard_normal((n, 3)), 8.0 * rng.standard_normal((m, 3))
    P1, P2 = (np.einsum("nij,nkj->nik", A, A) + 0.3 * np.eye(3) for A in (rng.normal(size=(n, 3, 3)), rng.normal(size=(m, 3, 3))))
    B, facts = np.diag([20.0, 15.0]), matching.densities(1e-3, 0.9, 0.8, 1e-4, 1e-4)
    found = matching.match(x1, P1, x2, P2, B, *facts, anchors=40)
    costs = {c: cost_of(c, x1, P1, x2, P2, B, facts) for c in set(permutations([*range(m), *[-1] * n], n))}
    assert np.isclose(found.cost, min(costs.values()), atol=1e-9) and np.isclose(costs[tuple(found.column)], found.cost, atol=1e-9)


def cost_of(column, x1, P1, x2, P2, B, facts):
    """-2 ln likelihood of an assignment at its best bias (which shifts two components of three), against all standing alone."""
    pairs = [(i, j) for i, j in enumerate(column) if j >= 0]
    C = np.eye(3)[:, :2]
    S = [P1[i] + P2[j] for i, j in pairs]
    D = [x2[j] - x1[i] for i, j in pairs]
    left = np.linalg.inv(B) + sum(C.T @ np.linalg.solve(s, C) for s in S)
    b = np.linalg.solve(left, sum((C.T @ np.linalg.solve(s, d) for s, d in zip(S, D, strict=True)), np.zeros(2)))
    away = sum((d - C @ b) @ np.linalg.solve(s, d - C @ b) + np.log(np.linalg.det(2 * np.pi * s)) for s, d in zip(S, D, strict=True))
    return away + b @ np.linalg.solve(B, b) - 2.0 * len(pairs) * np.log(facts[0] / (facts[1] * facts[2]))


@pytest.mark.parametrize(
    "dimension, crowding", [(1, 0.05), (1, 0.1), (2, 0.01), (2, 0.04), (3, 8e-4), (3, 6.4e-3)]
)  # density times sigma of the difference to the power of the dimension
def test_law_of_correct_association(dimension, crowding):
    """Mori, Chang & Chong 1992: 100 objects on a torus, two equal sets, 80 draws; within 1 %, and 3 sigma of the draws."""
    rng, sigma = np.random.default_rng(dimension), (crowding / 100.0) ** (1.0 / dimension)
    hits = []
    for _ in range(80):
        x1 = rng.random((100, dimension))
        d = (x1 + sigma * rng.standard_normal(x1.shape))[None] - x1[:, None]
        d2 = ((d - np.round(d)) ** 2).sum(axis=2) / sigma**2
        hits.append((assign(d2 - 1e6, np.zeros(100)) == np.arange(100)).mean())
    law = matching.correct_probability(100.0, sigma, dimension)
    assert abs(np.mean(hits) - law) < 0.01 * law + 3.0 * np.std(hits) / np.sqrt(80)


def test_nothing_to_match():
    one, eye, none = np.zeros((1, 2)), np.eye(2)[None], (np.zeros((0, 2)), np.zeros((0, 2, 2)))
    facts = matching.densities(1e-3, 0.9, 0.9, 1e-4, 1e-4)
    assert list(matching.match(one, eye, *none, np.eye(2), *facts).column) == [-1]
    assert len(matching.match(*none, one, eye, np.eye(2), *facts).column) == 0
    far = matching.match(one, eye, one + 100.0, eye, np.eye(2), *facts)
    assert list(far.column) == [-1] and np.allclose(far.bias, 0.0) and np.allclose(far.P, np.eye(2))


def test_bad_input_is_refused():
    one, eye = np.zeros((1, 2)), np.eye(2)[None]
    with pytest.raises(CopfuseError, match="densities"):
        matching.match(one, eye, one, eye, np.eye(2), 0.0, 1.0, 1.0)
    with pytest.raises(CopfuseError, match="positive definite"):
        matching.match(one, eye, one, eye, np.zeros((2, 2)), 1.0, 1.0, 1.0)
    with pytest.raises(CopfuseError, match="of one d"):
        matching.match(one, eye, np.zeros((1, 3)), np.eye(3)[None], np.eye(2), 1.0, 1.0, 1.0)
