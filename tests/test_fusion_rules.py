"""Covariance intersection, impact forecasts and launch points against published numbers and plain integration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import minimize_scalar

from copfuse import filters, forecast, frames, fusion, measures
from copfuse.kernels import earth, mach
from copfuse.kernels.falls import LANES
from copfuse.kernels.forecast import impact
from copfuse.kernels.intersection import intersect, intersect_rows
from copfuse.kernels.soars import SOARS, WORK_SOARING, soar_all
from falling import impacts

pytestmark = pytest.mark.kernels

P_I, X_I = np.array([[3.0, 0.0], [0.0, 0.4]]), np.array([1.0, -2.0])
P_J, X_J = np.array([[2.0, -0.8], [-0.8, 1.0]]), np.array([-2.0, -1.0])


def fused(by_trace):
    x, P = np.zeros(2), np.zeros((2, 2))
    return intersect(X_I, P_I, P_I, X_J, P_J, P_J, by_trace, x, P, np.zeros((2, 2))), x, P


def test_sijs_lazar_example_by_trace():
    """The pair of estimates of Sijs & Lazar (also in NRL's Tracker Component Library)."""
    w, x, P = fused(True)
    assert np.isclose(w, 0.403703, atol=1e-5) and np.allclose(x, [-0.835367, -1.751667], atol=1e-5)
    assert np.isclose(np.trace(P), 2.567595, atol=1e-5)


def test_sijs_lazar_example_by_determinant():
    w, _, P = fused(False)
    assert np.isclose(w, 0.564516, atol=1e-5) and np.isclose(np.linalg.det(P), 1.023094, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_intersection_bounds_the_error_for_any_correlation(seed):
    """The claimed covariance minus the true one is never negative, whatever the cross-covariance."""
    rng = np.random.default_rng(seed)
    joint = rng.normal(size=(12, 12))
    C = joint @ joint.T
    A, B, cross = C[:6, :6], C[6:, 6:], C[:6, 6:]
    x, P = np.zeros(6), np.zeros((6, 6))
    w = intersect(np.zeros(6), A, A, np.zeros(6), B, B, False, x, P, np.zeros((6, 6)))
    K, L = w * P @ np.linalg.inv(A), (1 - w) * P @ np.linalg.inv(B)
    true = K @ A @ K.T + L @ B @ L.T + K @ cross @ L.T + L @ cross.T @ K.T
    assert np.linalg.eigvalsh(P - true).min() > -1e-8 * np.trace(P)


def test_a_far_better_estimate_is_kept():
    one, P = np.eye(6), np.zeros((6, 6))
    w = intersect(np.zeros(6), one, one, np.ones(6), 1e6 * one, 1e6 * one, False, np.zeros(6), P, np.zeros((6, 6)))
    assert w > 0.999 and np.allclose(P, one, atol=1e-3)


def test_independent_estimates_fuse_as_independent():
    """With nothing in common the result is the information sum."""
    x, P, D = np.zeros(2), np.zeros((2, 2)), np.ones((2, 2))
    intersect(X_I, P_I, np.zeros((2, 2)), X_J, P_J, np.zeros((2, 2)), False, x, P, D)
    want = np.linalg.inv(np.linalg.inv(P_I) + np.linalg.inv(P_J))
    assert np.allclose(P, want) and np.isclose(np.trace(P), 1.293082, atol=1e-6) and np.allclose(D, 0, atol=1e-9)
    assert np.allclose(x, want @ (np.linalg.inv(P_I) @ X_I + np.linalg.inv(P_J) @ X_J))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_split_intersection_bounds_the_error(seed):
    """Independent parts plus common parts of any correlation: the claim is never below the true covariance."""
    rng = np.random.default_rng(seed)
    joint = rng.normal(size=(8, 8))
    C = joint @ joint.T
    halves = [B @ B.T for B in rng.normal(size=(2, 4, 4))]
    D1, D2, cross = C[:4, :4], C[4:, 4:], C[:4, 4:]
    P, D = np.zeros((4, 4)), np.zeros((4, 4))
    P1, P2 = D1 + halves[0], D2 + halves[1]
    w = intersect(np.zeros(4), P1, D1, np.zeros(4), P2, D2, False, np.zeros(4), P, D)
    K = P @ np.linalg.inv(halves[0] + D1 / w)
    L = P @ np.linalg.inv(halves[1] + D2 / (1 - w))
    true = K @ P1 @ K.T + L @ P2 @ L.T + K @ cross @ L.T + L @ cross.T @ K.T
    assert np.allclose(K + L, np.eye(4), atol=1e-6) and np.linalg.eigvalsh(P - true).min() > -1e-8 * np.trace(P)
    assert np.allclose(P - D, K @ halves[0] @ K.T + L @ halves[1] @ L.T, atol=1e-6 * np.trace(P))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.floats(-12.0, 2.0))
@example(26219, False, -7.625716509097125)
@example(591, False, -7.796634497551757)
def test_the_weight_is_the_least_that_a_plain_search_finds(seed, by_trace, share):
    """Common parts from hardly any to all, one estimate far better or not: SciPy's bounded search finds nothing lower.

    The examples are weights near 0 that a search ending at two near ones, not at two of near logarithms, would take too small.
    """
    rng = np.random.default_rng(seed)
    P1, P2 = (scale * B @ B.T for B, scale in zip(rng.normal(size=(2, 4, 4)), 10.0 ** rng.uniform(-2.0, 2.0, 2), strict=True))
    parts = [min(np.exp(share), 1.0) * P1, rng.uniform() * P2]

    def size(w):
        inverses = [np.linalg.inv(P - D + D / v) for P, D, v in zip((P1, P2), parts, (w, 1.0 - w), strict=True)]
        P = np.linalg.inv(inverses[0] + inverses[1])
        return np.trace(P) if by_trace else np.linalg.slogdet(P)[1]

    P = np.zeros((4, 4))
    w = intersect(np.zeros(4), P1, parts[0], np.zeros(4), P2, parts[1], by_trace, np.zeros(4), P, np.zeros((4, 4)))
    plain = minimize_scalar(size, bounds=(1e-6, 1.0 - 1e-6), method="bounded", options={"xatol": 1e-10})
    found = np.trace(P) if by_trace else np.linalg.slogdet(P)[1]
    assert 0.99e-6 < w < 1.0 - 0.99e-6
    rounding = 1e-15 * max(np.linalg.cond(P1), np.linalg.cond(P2))
    assert found - plain.fun < (1e-9 + rounding) * (abs(plain.fun) if by_trace else 1.0)


def test_rows_with_one_source_are_passed_through():
    x, P = np.random.default_rng(1).normal(size=(3, 4, 6)) + 6e6, np.tile(2.0 * np.eye(6), (3, 4, 1, 1))
    have = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)
    xo, Po = np.zeros((3, 6)), np.zeros((3, 6, 6))
    intersect_rows(x, P, P, have, xo, Po)
    assert np.allclose(xo, x[have]) and np.allclose(Po, P[have])


def free_fall_to_ground(x):
    """scipy's DOP853 over plain formulas, down to the ellipsoid, without air."""

    def rate(_, s):
        r, w = np.linalg.norm(s[:3]), np.array([0, 0, 7.292115e-5])
        k = 1.5 * 1.08262982e-3 * (6378137.0 / r) ** 2
        g = -3.986004418e14 / r**3 * s[:3] * (1 + k * (np.array([1, 1, 3]) - 5 * (s[2] / r) ** 2))
        return np.r_[s[3:], g - 2 * np.cross(w, s[3:]) - np.cross(w, np.cross(w, s[:3]))]

    def ground(_, s):
        return frames.geodetic(s[:3])[2][0]

    ground.terminal, ground.direction = True, -1
    end = solve_ivp(rate, (0, 7200), x, "DOP853", events=ground, rtol=1e-11, atol=1e-6)
    return end.y[:3, -1], end.t[-1]


def coasting(height=250e3, along=3000.0, climb=1500.0):
    return np.r_[frames.ecef(0.7, 2.25, height), np.array([along, 0.0, climb]) @ frames.enu_axes(0.7, 2.25)]


@pytest.mark.parametrize("height, along, climb", [(250e3, 3000.0, 1500.0), (150e3, 1200.0, 6000.0), (80e3, 1500.0, 200.0)])
def test_impact_without_air_equals_dop853(height, along, climb):
    """A body so heavy that air does not matter: point to 50 m, time to 0.1 s (the kernel's long steps)."""
    x = coasting(height, along, climb)
    want, seconds = free_fall_to_ground(x)
    mean, cov, when = np.zeros((1, 3)), np.zeros((1, 3, 3)), np.zeros((1, 2))
    impact(x[None], 1e-6 * np.eye(6)[None], np.array([[40.0, 1e-6]]), np.zeros((1, 3)), *np.zeros((3, 1)), mean, cov, when)
    assert np.linalg.norm(mean[0] - want) < 50.0 and abs(when[0, 0] - seconds) < 0.1


def test_impact_covariance_matches_monte_carlo():
    """Spread of 4000 drawn states flown to the ground against the forecast's own covariance: 95 % ellipse holds 93-97 %."""
    rng = np.random.default_rng(4)
    x, sigma = coasting(), np.r_[np.full(3, 400.0), np.full(3, 4.0)]
    drawn = x + sigma * rng.standard_normal((4000, 6))
    beta = np.array([np.log(5000.0), 0.3])
    cloud, cov, when = np.zeros((4000, 3)), np.zeros((4000, 3, 3)), np.zeros((4000, 2))
    betas = np.stack([beta[0] + beta[1] * rng.standard_normal(4000), np.full(4000, 1e-6)], axis=1)
    impact(drawn, np.tile(1e-6 * np.eye(6), (4000, 1, 1)), betas, np.zeros((4000, 3)), *np.zeros((3, 4000)), cloud, cov, when)
    mean, P, _, _ = forecast.impact_point(x[None], np.diag(sigma**2)[None], beta[None], np.zeros((1, 3)), np.array([[0.0, 1, 0, 0]]))
    lat, lon, _ = frames.geodetic(mean)
    flat = frames.enu_axes(lat, lon)[0, :2]
    d = (cloud - mean) @ flat.T
    inside = np.einsum("ni,ij,nj->n", d, np.linalg.inv(flat @ P[0] @ flat.T), d) < 5.991
    assert 0.93 < inside.mean() < 0.97


@pytest.mark.parametrize(
    "height, along, climb, sigma", [(400e3, 600.0, -6500.0, 0.3), (400e3, 600.0, -6500.0, 0.8), (250e3, 1500.0, 500.0, 0.3)]
)
def test_an_ellipse_holds_what_air_wind_and_attitude_do(height, along, climb, sigma):
    """1500 falls of a state that is well known, each with a ballistic coefficient, a drag curve, a wind and an attitude of its own."""
    x, n = coasting(height, along, climb), 1500
    P, beta = np.diag(np.r_[np.full(3, 20.0), np.full(3, 1.0)] ** 2), np.array([[np.log(5000.0), sigma]])
    mean, cov, _, _ = forecast.impact_point(x[None], P[None], beta, np.zeros((1, 3)), np.array([[0.0, 1, 0, 0]]))
    held = [measures.within_ellipse(mean, cov, end)[0] for end in impacts(x, n, 2, P, beta[0])]
    assert 0.925 < np.mean(held) < 0.97


def test_just_above_the_ground_wind_does_nothing():
    low = coasting(1e3, 500.0, -2000.0)[None]
    P = forecast.impact_point(low, 1e-4 * np.eye(6)[None], np.array([[8.5, 0.1]]), np.zeros((1, 3)), np.array([[0.0, 0, 1, 0]]))[1]
    assert 4.0**2 < np.linalg.eigvalsh(P[0]).max() < 8.0**2


def test_a_forecast_in_boost_is_wider_than_in_coast():
    x, P = coasting(60e3, 1500.0, 1500.0)[None], np.diag([100.0**2] * 3 + [10.0**2] * 3)[None]
    push, beta = 30.0 * x[:, 3:] / np.linalg.norm(x[:, 3:]), np.array([[np.log(5000.0), 0.5]])
    sizes = [
        np.sqrt(np.trace(forecast.impact_point(x, P, beta, push, np.array([phase]))[1][0])) for phase in ([1.0, 0, 0, 0], [0.0, 1, 0, 0])
    ]
    assert sizes[0] > 100e3 and sizes[0] > 10 * sizes[1]


def soared(states, ways):
    """`soar_all` of states (m, 7): where they come to, and when."""
    states, times = np.array(states), np.zeros(len(states))
    soar_all(len(states), np.array(ways), states, times, np.zeros(WORK_SOARING), np.zeros(LANES, np.int64))
    return states, times


@pytest.mark.parametrize(
    "way, beta, begin", [(1, 5000.0, (55e3, 2800.0, -300.0)), (5, 5000.0, (55e3, 2800.0, -300.0)), (2, 700.0, (3e3, 1900.0, -300.0))]
)
def test_a_soaring_body_flies_as_the_formulas_say(way, beta, begin):
    """Lift that turns the path level, at most 2 ratio times the drag, which it raises by the parabolic polar: DOP853 (SciPy).

    A light one is stopped within a second.
    """
    w, x = np.array([0, 0, 7.292115e-5]), coasting(*begin)
    ratio, slow = SOARS[way - 1, 0], min(SOARS[way - 1, 1], 0.7 * np.linalg.norm(x[3:]))

    def rate(_, s):
        p, v = s[:3], s[3:]
        r, speed = np.linalg.norm(p), np.linalg.norm(v)
        e = v / speed
        up = p / r - (p @ e) / r * e
        up /= np.linalg.norm(up)
        k = 1.5 * 1.08262982e-3 * (6378137.0 / r) ** 2
        free = -3.986004418e14 / r**3 * p * (1 + k * (np.array([1, 1, 3]) - 5 * (p[2] / r) ** 2)) - 2 * np.cross(w, v)
        free -= np.cross(w, np.cross(w, p))
        rho, sound = earth.air(frames.altitude(p)[0])
        clean = 0.5 * rho * mach.drag_factor(speed / sound) * speed**2 / beta
        sine = p @ e / r
        wanted = -((free - clean * e) @ up) - speed**2 * np.sqrt(1 - sine**2) / r - 0.1 * speed * sine
        lift = np.clip(wanted, 0.0, 2.0 * ratio * clean)
        return np.r_[v, free + lift * up - clean * (1.0 + (lift / (2.0 * ratio * clean)) ** 2) * e]

    def stop(_, s):
        return np.linalg.norm(s[3:]) - slow

    stop.terminal = True
    end = solve_ivp(rate, (0, 3000), x, "DOP853", events=stop, rtol=1e-8, atol=1e-3)
    (s,), (seconds,) = soared([np.r_[x, np.log(beta)]], [way])
    assert abs(seconds - end.t[-1]) < min(2.0, 0.5 * end.t[-1])
    assert np.linalg.norm(s[:3] - end.y[:3, -1]) < min(2.0, 0.5 * end.t[-1]) * slow


def test_a_body_soars_in_company_as_it_does_alone():
    """More bodies than fit side by side, some of which go on more slowly from where they came to, and some that only fall."""
    rng = np.random.default_rng(3)
    n, ways = 3 * LANES, np.array([1, -2, 3, -4, 5, 0])
    begin = np.array([[*coasting(rng.uniform(20e3, 90e3), rng.uniform(600, 4e3), -200.0), rng.uniform(7, 9)] for _ in range(n)])
    states, times = soared(np.repeat(begin, len(ways), axis=0), np.tile(ways, n))
    for i, start in enumerate(begin):
        of = slice(len(ways) * i, len(ways) * (i + 1))
        alone, when = soared([start, start, start], [3, -4, 0])
        np.testing.assert_array_equal(states[of][[2, 3, 5]], alone)
        np.testing.assert_array_equal(times[of][[2, 3, 5]], when)
        np.testing.assert_array_equal(alone[2], start)
        assert when[1] >= when[0] > 0.0 == when[2] and times[of][4] > 0.0


def test_lift_is_allowed_for_where_it_may_be():
    """Low in the air a forecast is wide and further on; after seconds of drag without lift, or high above the air, it is not."""
    P, beta, push = np.diag([50.0**2] * 3 + [5.0**2] * 3)[None], np.array([[8.5, 0.1]]), np.zeros((1, 3))
    falls, glides = np.array([[0.0, 0, 1, 0]]), np.array([[0.0, 0, 0, 1]])
    low, deep = coasting(50e3, 2500.0, -200.0)[None], coasting(25e3, 2500.0, -800.0)[None]

    def spread(x, p):
        return float(np.sqrt(np.trace(forecast.impact_point(x, P, beta, push, p)[1][0])))

    assert spread(low, glides) > spread(low, falls) > 20e3 and spread(deep, falls) < 0.5 * spread(deep, glides)
    high = np.array([[0.0, 1, 0, 0]])
    assert forecast.lift(coasting(300e3)[None], high)[0] == 0.0 and spread(coasting(300e3)[None], high) < 20e3
    ahead = [forecast.impact_point(low, P, beta, push, p)[0][0] @ frames.enu_axes(0.7, 2.25)[0] for p in (falls, glides)]
    assert ahead[1] > ahead[0] + 50e3
    doubt = np.array([[0.0, 0, 0.95, 0.05]])  # steep from far above, hardly anything glides, whatever the models believe
    steep, flat = coasting(60e3, 1200.0, -850.0)[None], coasting(60e3, 2500.0, -850.0)[None]  # from 97 km
    assert max(forecast.lift(one, doubt)[0] for one in (steep, coasting(60e3, 4000.0, -3000.0)[None])) < 0.005
    assert min(forecast.lift(one, doubt)[0] for one in (low, flat)) > 0.05


def test_what_stays_in_orbit_has_no_impact():
    x, beta, phase = coasting(400e3, 7800.0, 0.0)[None], np.array([[8.5, 0.1]]), np.array([[0.0, 1, 0, 0]])
    found = forecast.impact_point(x, np.eye(6)[None], beta, np.zeros((1, 3)), phase)
    assert all(np.isnan(v).all() for v in found)


def test_launch_point_of_a_tracked_boost_is_honest():
    """A path that leaves the ground vertically and bends over evenly: the launch point lies inside 3 sigma along and across."""
    site, axes = frames.ecef(0.68, 2.2, 0.0), frames.enu_axes(0.68, 2.2)
    for heading in (0.5, 1.5, 3.0):
        level = np.sin(heading) * axes[0] + np.cos(heading) * axes[1]
        climb, along = 20e3, 11e3  # height and ground covered after an even bend
        v = 900.0 * np.array([np.sin(np.pi / 4), np.cos(np.pi / 4)])
        x = np.r_[site + along * level + climb * axes[2], v[0] * level + v[1] * axes[2]]
        b = filters.bank(0.0, x[None], np.diag([100.0**2] * 3 + [20.0**2] * 3)[None], [[0.2, 0, 0, 0, 0.8]])
        point, cov = forecast.launch_point(b, np.ones(1))
        d = point[0] - site
        assert np.abs(frames.geodetic(point)[2][0]) < 500
        assert d @ np.linalg.solve(cov[0], d) < 11.3 and np.sqrt(np.trace(cov[0])) < 10e3


def test_phases_are_pooled_by_what_is_known_and_how_lately():
    """A newer source that saw the engine go out is not overruled by what an older one saw, nor by one that cannot tell."""
    burns, out, unsure = [0.95, 0.05, 0.0, 0.0], [0.001, 0.999, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]
    nobody = [0.0] * 4
    phase = np.array([[out, burns, nobody], [burns, out, nobody], [out, unsure, nobody], [unsure, nobody, nobody], [unsure, unsure, out]])
    time = np.array([[100.0, 90.0, -np.inf], [100.0, 90.0, -np.inf], [98.0, 100.0, -np.inf], [50.0, -np.inf, -np.inf], [9.0, 9.0, 9.0]])
    pooled = fusion._pooled(phase, time)
    assert np.allclose(pooled.sum(axis=1), 1.0, atol=1e-12) and np.array_equal(pooled[3], unsure)
    assert pooled[0, 0] < 0.002 and pooled[1, 0] > 0.9 and pooled[2, 0] < 0.03 and abs(pooled[4, 0] - 0.001) < 1e-3
    by_hand = 0.95 * 0.001 ** np.exp(-10.0 / 4.0), 0.05 * 0.999 ** np.exp(-10.0 / 4.0)
    assert abs(pooled[1, 0] - by_hand[0] / sum(by_hand)) < 1e-3  # but for the least probability of the phases that nobody names
