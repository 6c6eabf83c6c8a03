"""Fusion rules against published numbers, exact covariance algebra and the best linear estimate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_are

from copfuse import rules
from copfuse.errors import CopfuseError

P_I, X_I = np.array([[3.0, 0.0], [0.0, 0.4]]), np.array([1.0, -2.0])
P_J, X_J = np.array([[2.0, -0.8], [-0.8, 1.0]]), np.array([-2.0, -1.0])
F, H, G = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0]]), np.array([[0.5], [1.0]])
EYE = np.eye(2)


def test_two_estimates_of_sijs_and_lazar():
    """The pair of estimates of Sijs & Lazar 2012 (also in NRL's Tracker Component Library), five rules."""
    pair = X_I, P_I, X_J, P_J
    one = rules.covariance_intersection(*pair, by="trace")
    assert np.isclose(one.weight[0], 0.403703, atol=1e-5) and np.allclose(one.x, [[-0.835367, -1.751667]], atol=1e-5)
    assert np.isclose(np.trace(one.P[0]), 2.567595, atol=1e-5)
    two = rules.covariance_intersection(*pair)
    assert np.isclose(two.weight[0], 0.564516, atol=1e-5) and np.isclose(np.linalg.det(two.P[0]), 1.023094, atol=1e-5)
    three = rules.inverse_covariance_intersection(*pair)
    assert np.isclose(three.weight[0], 0.579291, atol=1e-5) and np.allclose(three.x, [[-0.801976, -2.017736]], atol=1e-5)
    assert np.isclose(np.trace(three.P[0]), 2.159823, atol=1e-5)
    four = rules.ellipsoidal_intersection(*pair)
    assert np.allclose(four.P[0], [[1.426347, -0.200912], [-0.200912, 0.374349]], atol=1e-6)
    assert np.allclose(four.x, [[-0.819963, -2.232359]], atol=1e-6)
    assert np.isclose(np.trace(rules.independent(*pair).P[0]), 1.293082, atol=1e-6)


def test_equal_estimates_stay_what_they_are():
    for rule in (rules.covariance_intersection, rules.inverse_covariance_intersection, rules.ellipsoidal_intersection):
        same = rule(X_I, P_I, X_I, P_I)
        assert np.allclose(same.x, X_I) and np.allclose(same.P, P_I)


def covariances(rng, n, d):
    A = rng.normal(size=(n, d, d + 1)) * np.exp(rng.normal(size=(n, d, 1)))
    return A @ np.swapaxes(A, 1, 2)


def slack(claimed, true):
    """Least eigenvalue (n,) of what is claimed beyond the truth, on the scale of the claim."""
    inverse = np.linalg.inv(np.linalg.cholesky(claimed))
    return np.linalg.eigvalsh(inverse @ (claimed - true) @ np.swapaxes(inverse, 1, 2)).min(axis=1)


def gains(rule, P1, P2, *more):
    """The gains (n, d, d) of a rule, read off its answers to unit second estimates."""
    zero = np.zeros(P1.shape[:2])
    return np.stack([rule(zero, P1, zero + e, P2, *more).x for e in np.eye(P1.shape[1])], axis=2)


def true_covariance(L, P1, P2, P12):
    K = np.eye(P1.shape[1]) - L
    cross = K @ P12 @ np.swapaxes(L, 1, 2)
    return K @ P1 @ np.swapaxes(K, 1, 2) + L @ P2 @ np.swapaxes(L, 1, 2) + cross + np.swapaxes(cross, 1, 2)


@pytest.mark.parametrize("d", [1, 2, 4, 6])
def test_covariance_intersection_is_never_below_the_truth(d):
    """Thousands of random pairs with random admissible correlation, up to the full one."""
    rng, n = np.random.default_rng(d), 12000 // d
    P1, P2 = covariances(rng, n, d), covariances(rng, n, d)
    turn = np.linalg.qr(rng.normal(size=(n, d, d)))[0] * np.where(rng.random((n, 1, d)) < 0.5, 1.0, rng.random((n, 1, d)))
    P12 = np.linalg.cholesky(P1) @ turn @ np.swapaxes(np.linalg.cholesky(P2), 1, 2)
    L = gains(rules.covariance_intersection, P1, P2)
    claimed, true = rules.covariance_intersection(np.zeros(d), P1, np.zeros(d), P2).P, true_covariance(L, P1, P2, P12)
    assert slack(claimed, true).min() > -1e-9
    assert (np.einsum("nij,nji->n", np.linalg.inv(claimed), true) / d).max() <= 1.0 + 1e-9  # ANEES/n, and so never above 1.1


@pytest.mark.parametrize("d", [1, 2, 4, 6])
def test_inverse_covariance_intersection_is_never_below_the_truth_under_common_information(d):
    """Thousands of random pairs that share a random third estimate; between them and covariance intersection in size."""
    rng, n = np.random.default_rng(10 + d), 12000 // d
    own1, own2, shared = (np.linalg.inv(covariances(rng, n, d)) for _ in range(3))
    P1, P2 = np.linalg.inv(own1 + shared), np.linalg.inv(own2 + shared)
    zero = np.zeros(d)
    L = gains(rules.inverse_covariance_intersection, P1, P2)
    claimed = rules.inverse_covariance_intersection(zero, P1, zero, P2).P
    true = true_covariance(L, P1, P2, P1 @ shared @ P2)
    assert slack(claimed, true).min() > -1e-9
    wide = rules.covariance_intersection(zero, P1, zero, P2, by="trace").P
    naive = rules.independent(zero, P1, zero, P2).P
    size = [np.trace(P, axis1=1, axis2=2) for P in (naive, claimed, wide)]
    assert (size[0] <= size[1] * (1 + 1e-9)).all() and (size[1] <= size[2] * (1 + 1e-9)).all()


# Two Kalman filters on one manoeuvring target, in steady state: white acceleration constant over each second ------------


def steady(index, noise):
    """Updated covariance and I - K H of the steady-state filter whose plots have variance ``noise``; process noise."""
    Q = index**2 * G @ G.T
    before = solve_discrete_are(F.T, H.T, Q, np.atleast_2d(noise))
    left = EYE - before @ H.T @ H / (before[0, 0] + noise)
    return left @ before, left, Q


CAMPO = {  # index: P12/P position, velocity; area; position, velocity variance fused/single; rms fused/central; naive claimed/true
    0.01: (0.2326, 0.7412, 0.7243, 0.6163, 0.8706, 1.0248, 1.0209, 0.811, 0.574),
    0.1: (0.1975, 0.7222, 0.7147, 0.5988, 0.8611, 1.0235, 1.0226, 0.835, 0.581),
    0.5: (0.1434, 0.6894, 0.6983, 0.5717, 0.8447, 1.0202, 1.0254, 0.875, 0.592),
    1.0: (1 / 9, 2 / 3, 0.6872, 5 / 9, 5 / 6, 1.0173, 1.0270, 0.900, 0.600),
    2.0: (0.0764, 0.6382, 0.6735, 0.5382, 0.8191, 1.0133, 1.0288, 0.929, 0.610),
}


@pytest.mark.parametrize("index", CAMPO)
def test_track_fusion_with_known_cross_covariance(index):
    """Bar-Shalom & Campo 1986: the fused ellipse has about 70 % of the single sensor's area, not half of it."""
    want = CAMPO[index]
    P, left, Q = steady(index, 1.0)
    cross = np.zeros((2, 2))
    for _ in range(4000):
        cross = rules.cross_covariance(cross, F, Q, left, left)
    fused = rules.campo(np.zeros(2), P, np.ones(2), P, cross).P[0]
    central = steady(index, 0.5)[0]
    assert np.allclose(np.diag(cross) / np.diag(P), want[:2], atol=1e-4)
    assert np.isclose(np.sqrt(np.linalg.det(fused) / np.linalg.det(P)), want[2], atol=1e-4)
    assert np.allclose(np.diag(fused) / np.diag(P), want[3:5], atol=1e-4)
    assert np.allclose(np.sqrt(np.diag(fused) / np.diag(central)), want[5:7], atol=1e-4)
    naive = rules.independent(np.zeros(2), P, np.zeros(2), P).P[0]
    assert np.allclose(np.diag(naive) / np.diag(fused), want[7:], atol=1e-3)  # equal weights: the truth is the same
    for rule in (rules.covariance_intersection, rules.inverse_covariance_intersection):
        answer = rule(np.zeros(2), P, np.zeros(2), P)
        L = gains(rule, P[None], P[None])
        true = true_covariance(L, P[None], P[None], cross[None])[0]
        assert 0.68 < np.trace(np.linalg.solve(answer.P[0], true)) / 2 < 0.755


def network(index, every, rounds, motion_noise=True):
    """Two filters that send tracklets to a third every few scans, as answers to unit impulses of every noise by itself.

    The rules are linear in the states, so row j of each x is the error that noise j alone makes, and the sum of the rows'
    squares is the true covariance.  Returns claimed and true covariance at the last exchange and those of the central filter.
    """
    Q = index**2 * G @ G.T if motion_noise else np.zeros((2, 2))
    steps = every * rounds
    count = 2 + 3 * steps
    x = {who: np.zeros((count, 2)) for who in ("one", "two", "fused", "sent one", "sent two", "central")}
    P = {who: 4.0 * EYE for who in x}
    for who in x:
        x[who][:2] = 2.0 * EYE
    for k in range(steps):
        for who in x:
            x[who] = x[who] @ F.T
            x[who][2 + 3 * k] = -(index * G[:, 0] if motion_noise else 0.0)
            P[who] = F @ P[who] @ F.T + Q
        z = np.zeros((2, count, 1))
        z[0, 3 + 3 * k], z[1, 4 + 3 * k] = 1.0, 1.0
        for which, who in enumerate(("one", "two")):
            new = rules.measurement_fusion(x[who], P[who], z[which : which + 1], H[None], np.ones((1, 1, 1)))
            x[who], P[who] = new.x, new.P[0]
        new = rules.measurement_fusion(x["central"], P["central"], z, np.stack([H, H]), np.ones((2, 1, 1)))
        x["central"], P["central"] = new.x, new.P[0]
        if (k + 1) % every == 0:
            news = [rules.tracklet(x[who], P[who], x[f"sent {who}"], P[f"sent {who}"]) for who in ("one", "two")]
            new = rules.absorb(x["fused"], P["fused"], *news)
            x["fused"], P["fused"] = new.x, new.P[0]
            for who in ("one", "two"):
                x[f"sent {who}"], P[f"sent {who}"] = x[who], P[who]
    return P["fused"], x["fused"].T @ x["fused"], P["central"], x


@pytest.mark.parametrize("index", [0.0, 0.1, 1.0])
def test_tracklets_of_every_scan_are_the_central_filter(index):
    claimed, true, central, x = network(index, 1, 60)
    assert np.allclose(claimed, central, rtol=1e-10, atol=0) and np.allclose(true, central, rtol=1e-10, atol=1e-12)
    assert np.allclose(x["fused"], x["central"], atol=1e-10)


@pytest.mark.parametrize("every", [2, 5, 20])
def test_tracklets_without_process_noise_are_the_central_filter(every):
    claimed, true, central, x = network(0.0, every, 5, motion_noise=False)
    assert np.allclose(claimed, central, rtol=1e-10, atol=0) and np.allclose(x["fused"], x["central"], atol=1e-10)


TRACKLETS = {  # index, scans between exchanges: rms fused/central in position and velocity, ANEES/2
    (0.1, 5): (1.0004, 1.0005, 1.040), (0.1, 10): (1.0004, 1.0072, 1.127), (0.1, 20): (1.0061, 1.0289, 1.260),
    (1.0, 2): (1.0002, 1.0005, 1.033), (1.0, 5): (1.0009, 1.0200, 1.189), (1.0, 10): (1.0070, 1.0331, 1.295),
    (0.01, 20): (1.0007, 1.0014, 1.070),
}  # fmt: skip


@pytest.mark.parametrize("index, every", TRACKLETS)
def test_tracklets_of_every_few_scans(index, every):
    claimed, true, central, _ = network(index, every, max(12, round(60 / every), round(4 / index / every)))
    want = TRACKLETS[index, every]
    assert np.allclose(np.sqrt(np.diag(true) / np.diag(central)), want[:2], atol=1e-4)
    assert np.isclose(np.trace(np.linalg.solve(claimed, true)) / 2, want[2], atol=1e-3)


# States of unequal dimension -------------------------------------------------------------------------------------------

COAST = ("x", "y", "vx", "vy")
BOOST = ("vx", "vy", "x", "y", "thrust")


@given(st.integers(0, 2**32 - 1))
def test_unequal_states_with_known_correlation_are_the_best_linear_estimate(seed):
    """Against least squares on noise made white by the joint Cholesky factor, far from the origin."""
    rng = np.random.default_rng(seed)
    joint = covariances(rng, 1, 9)[0]
    s = 6e6 + rng.normal(size=5)
    z = np.r_[s[:4], s[[2, 3, 0, 1, 4]]] + rng.normal(size=9)
    fused, names = rules.unequal(z[:4], joint[:4, :4], COAST, z[4:], joint[4:, 4:], BOOST, joint[None, :4, 4:])
    assert names == ("x", "y", "vx", "vy", "thrust")
    slope = np.vstack([np.eye(5)[:4], np.eye(5)[[2, 3, 0, 1, 4]]])
    white = np.linalg.inv(np.linalg.cholesky(joint))
    want = s + np.linalg.lstsq(white @ slope, white @ (z - slope @ s), rcond=None)[0]
    sigma = np.sqrt(np.diag(fused.P[0]))
    assert np.allclose((fused.x[0] - want) / sigma, 0, atol=1e-5)
    assert np.allclose(fused.P[0], np.linalg.inv(slope.T @ white.T @ white @ slope), rtol=1e-6, atol=1e-9 * sigma.max() ** 2)


def test_equal_names_with_known_correlation_are_bar_shalom_and_campo():
    rng = np.random.default_rng(5)
    joint = covariances(rng, 50, 8)
    x1, x2 = rng.normal(size=(2, 50, 4))
    P1, P2, P12 = joint[:, :4, :4], joint[:, 4:, 4:], joint[:, :4, 4:]
    one, two = rules.campo(x1, P1, x2, P2, P12), rules.unequal(x1, P1, COAST, x2, P2, COAST, P12)[0]
    assert np.allclose(one.x, two.x) and np.allclose(one.P, two.P)


def test_unequal_states_of_unknown_correlation_are_never_below_the_truth():
    """3000 random correlations: the claim holds in all five components."""
    n, joint = 3000, covariances(np.random.default_rng(7), 3000, 9)
    P1, P2 = joint[:, :4, :4], joint[:, 4:, 4:]
    zero = np.zeros((n, 4)), np.zeros((n, 5))
    claimed = rules.unequal(zero[0], P1, COAST, zero[1], P2, BOOST)[0].P
    columns = [rules.unequal(zero[0] + e[:4], P1, COAST, zero[1] + e[4:], P2, BOOST)[0].x for e in np.eye(9)]
    K = np.stack(columns, axis=2)
    assert slack(claimed, K @ joint @ np.swapaxes(K, 1, 2)).min() > -1e-8
    common = rules.covariance_intersection(zero[0], P1, zero[0], P2[:, [2, 3, 0, 1]][:, :, [2, 3, 0, 1]])
    part = claimed[:, :4, :4]
    assert (np.linalg.det(common.P) <= np.linalg.det(part) * (1 + 1e-5)).all()  # what the fifth's honesty costs


def test_what_only_one_knows_learns_through_its_correlation():
    """A boosting state whose thrust is tied to its velocity, and a sharp coasting one: thrust is known better after it."""
    P2 = np.diag([25.0, 25.0, 100.0, 100.0, 1.0])
    P2[0, 4] = P2[4, 0] = 4.0
    fused, names = rules.unequal(np.zeros(4), np.diag([1.0, 1.0, 0.1, 0.1]), COAST, np.r_[5.0, 0, 0, 0, 1.0], P2, BOOST, np.zeros((4, 5)))
    thrust = names.index("thrust")
    assert fused.P[0, thrust, thrust] < 0.4 and fused.x[0, thrust] < 0.3


def test_bad_input_is_refused():
    with pytest.raises(CopfuseError, match="2 and 3 components"):
        rules.campo(np.zeros(2), EYE, np.zeros(3), np.eye(3), EYE)
    with pytest.raises(CopfuseError, match="not positive definite"):
        rules.covariance_intersection(X_I, -P_I, X_J, P_J)
    with pytest.raises(CopfuseError, match="determinant"):
        rules.covariance_intersection(X_I, P_I, X_J, P_J, by="determinate")
    with pytest.raises(CopfuseError, match="share no component"):
        rules.unequal(X_I, P_I, ("a", "b"), X_J, P_J, ("c", "d"))
    with pytest.raises(CopfuseError, match="shape"):
        rules.independent(X_I, np.eye(3), X_J, P_J)
