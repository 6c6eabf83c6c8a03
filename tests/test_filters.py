"""The filters against plain twins, against filterpy, and against chi-squared."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.stats import chi2

from copfuse import filters, frames, motion, phases, populations, simulate
from copfuse import scenario as scenarios
from copfuse.kernels import earth, falls, flight, mach, mixing, motions, shares, sights, starts, switching
from copfuse.kernels import estimation as kernel
from copfuse.kernels.small import cholesky, columns, columns_of, inverse, invert
from falling import fallen

pytestmark = pytest.mark.kernels
SITE = np.radians(38.0), np.radians(128.0), 100.0
ORIGIN, AXES = frames.ecef(*SITE), frames.enu_axes(*SITE[:2])
SIGMA = np.array([15.0, 1.5e-3, 1.5e-3, np.nan])
DENSITIES = filters.NOISE.copy()
MU, OMEGA, J2, A = 3.986004418e14, 7.292115e-5, 1.08262982e-3, 6378137.0  # written again: a twin imports nothing


def plain_free_fall(s):
    """Time derivative of a coasting Earth-fixed state, from the textbook."""
    p, v = s[:3], s[3:6]
    r = np.linalg.norm(p)
    k = 1.5 * J2 * (A / r) ** 2
    g = -MU / r**3 * p * (1 + k * (np.array([1.0, 1.0, 3.0]) - 5 * (p[2] / r) ** 2))
    w = np.array([0.0, 0.0, OMEGA])
    return np.concatenate([v, g - 2 * np.cross(w, v) - np.cross(w, np.cross(w, p))])


def plain_propagate(s, dt, steps=64):
    h = dt / steps
    for _ in range(steps):
        a = plain_free_fall(s)
        b = plain_free_fall(s + h / 2 * a)
        c = plain_free_fall(s + h / 2 * b)
        s = s + h / 6 * (a + 2 * b + 2 * c + plain_free_fall(s + h * c))
    return s


def plain_look(s):
    d = AXES @ (s[:3] - ORIGIN)
    r = np.linalg.norm(d)
    rate = (s[:3] - ORIGIN) @ s[3:6] / r
    return np.array([r, np.arctan2(d[0], d[1]), np.arcsin(d[2] / r), rate])


def plain_cubature(x, P):
    root = np.linalg.cholesky(P) * np.sqrt(len(x))
    return np.concatenate([x + root.T, x - root.T])


def coasting(seconds=150, step=1.0):
    """A coasting object that climbs from 150 km, on the plain integrator, rows (n, 6)."""
    axes = frames.enu_axes(np.radians(40), np.radians(130))
    s = np.concatenate([frames.ecef(np.radians(40), np.radians(130), 150e3), np.array([3500.0, -500.0, 1800.0]) @ axes])
    rows = [s]
    for _ in range(int(seconds / step)):
        rows.append(plain_propagate(rows[-1], step, 4))
    return np.array(rows)


def a_bank():
    x = coasting(1)[:1]
    P = np.diag([200.0**2] * 3 + [15.0**2] * 3)[None]
    return filters.bank(0.0, x, P, [[0.1, 0.6, 0.1, 0.1, 0.1]], acceleration_sigma=[5.0])


def plain_bank(x6, P6, acceleration, sigma, log_beta):
    """x (n, 5, 9), P (n, 5, 9, 9) of `filters.bank` in numpy; an acceleration may be None."""
    x, P = np.zeros((len(x6), 5, 9)), np.zeros((len(x6), 5, 9, 9))
    x[:, :, :6], P[:, :, :6, :6] = x6[:, None], 0.5 * (P6 + np.swapaxes(P6, 1, 2))[:, None]
    P[:, motions.MANOEUVRE, (6, 7, 8), (6, 7, 8)] = sigma[:, None] ** 2
    (thrust, blur), (flow, change) = filters.THRUST, filters.FLOW
    x[:, motions.BOOST, 6:8], P[:, motions.BOOST, 6, 6], P[:, motions.BOOST, 7, 7] = (thrust, flow), blur**2, change**2
    P[:, motions.GLIDE, (7, 8), (7, 8)] = filters.LIFT_SIGMA**2
    P[:, motions.REENTRY, (7, 8), (7, 8)] = motions.WIND**2
    if acceleration is not None:
        ahead = x6[:, 3:] / np.maximum(np.linalg.norm(x6[:, 3:], axis=1, keepdims=True), 1.0)
        up = x6[:, :3] - (x6[:, :3] * ahead).sum(axis=1, keepdims=True) * ahead
        up /= np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1.0)
        x[:, motions.MANOEUVRE, 6:] = acceleration
        for model, component, axis in ((motions.BOOST, 6, ahead), (motions.GLIDE, 7, up), (motions.GLIDE, 8, np.cross(ahead, up))):
            x[:, model, component], P[:, model, component, component] = (acceleration * axis).sum(axis=1), sigma**2
    for falling in (motions.REENTRY, motions.GLIDE):
        x[:, falling, 6], P[:, falling, 6, 6] = log_beta[:, 0], log_beta[:, 1] ** 2
    return x, P


@pytest.mark.parametrize("pushed", [False, True])
def test_all_models_start_as_in_numpy(pushed):
    """`starts.start` by `filters.bank`: what stands still, too."""
    rng, n = np.random.default_rng(8), 20
    x6, P6 = rng.normal(size=(n, 6)) * np.repeat([6e6, 3e3], 3), rng.normal(size=(n, 6, 6))
    x6[0, 3:] = 0.0
    known = rng.normal(size=(n, 3)) if pushed else None, rng.uniform(1.0, 20.0, n), rng.normal(size=(n, 2))
    made, given = filters.bank(3.0, x6, P6, np.full((n, 5), 0.2), *known), (x6.copy(), P6.copy())
    x, P = plain_bank(x6, P6, *known)
    np.testing.assert_allclose(made.x, x, rtol=1e-14, atol=1e-14)
    assert np.array_equal(made.P, P) and np.array_equal(made.P6, P[:, 0, :6, :6]) and np.array_equal(made.x6, x6)
    assert all(np.array_equal(*two) for two in zip((x6, P6), given, strict=True)) and callable(starts.start)  # what is given stays


def test_coast_prediction_equals_the_plain_cubature_filter():
    b = a_bank()
    x, P = b.x[0, motions.COAST].copy(), b.P[0, motions.COAST].copy()
    work = np.zeros((9, 9)), np.zeros((18, 9)), np.zeros((4, 9)), np.zeros(9)
    kernel.predict_model(motions.COAST, 6, x, P, 7.0, filters.NOISE, *work)
    points = np.array([plain_propagate(p, 7.0) for p in plain_cubature(b.x6[0], b.P6[0])])
    mean = points.mean(axis=0)
    q = filters.COAST_ACCELERATION * np.kron([[7.0**3 / 3, 7.0**2 / 2], [7.0**2 / 2, 7.0]], np.eye(3))
    assert np.allclose(x[:6], mean, rtol=0, atol=1e-4)
    assert np.allclose(P[:6, :6], (points - mean).T @ (points - mean) / 12 + q, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("have", [(0, 1, 2), (0, 1, 2, 3), (1, 2)])
def test_update_equals_the_plain_cubature_filter(have):
    b = a_bank()
    truth = plain_look(b.x6[0])
    sigma = np.array([15.0, 1.5e-3, 1.5e-3, 3.0])
    z = truth + sigma * [0.5, -1.0, 0.7, 1.2]
    masked = np.where(np.isin(range(4), have), z, np.nan)
    only = np.where(np.arange(motions.N_MODEL) == motions.COAST, 1.0, 0.0)[None]
    new = filters.update(filters.bank(0.0, b.x6, b.P6, only), masked[None], sigma[None], ORIGIN, AXES)
    points = plain_cubature(b.x6[0], b.P6[0])
    zs = np.array([plain_look(p) for p in points])[:, have]
    zm = zs.mean(axis=0)
    S = (zs - zm).T @ (zs - zm) / 12 + np.diag(sigma[list(have)] ** 2)
    C = (points - b.x6[0]).T @ (zs - zm) / 12
    K = C @ np.linalg.inv(S)
    j = motions.COAST
    assert np.allclose(new.x[0, j, :6], b.x6[0] + K @ (z[list(have)] - zm), rtol=0, atol=1e-5)
    assert np.allclose(new.P[0, j, :6, :6], b.P6[0] - K @ S @ K.T, rtol=1e-6, atol=1e-3)


def test_update_equals_filterpy():
    """filterpy's unscented filter with Julier's kappa 0 sums over the same points: 40 scans, radar with range, two angles."""
    truth = coasting(40)
    rng = np.random.default_rng(5)
    z = frames.look(truth, ORIGIN, AXES) + SIGMA * rng.standard_normal((len(truth), 4))
    ours = filters.start(0.0, z[:1], SIGMA[None], ORIGIN, AXES)
    referee = filters.to_filterpy(ours, 0, ORIGIN, AXES)
    x, P = ours.x[0, motions.COAST].copy(), ours.P[0, motions.COAST].copy()
    work = np.zeros((9, 9)), np.zeros((18, 9)), np.zeros((4, 9)), np.zeros(9)
    for k in range(1, len(z)):
        referee.Q = filters.COAST_ACCELERATION * np.kron([[1 / 3, 1 / 2], [1 / 2, 1.0]], np.eye(3))
        referee.predict(dt=1.0)
        referee.sigmas_f = referee.points_fn.sigma_points(referee.x, referee.P)  # ours redraws after adding the noise
        referee.update(np.array([z[k, 0], (z[k, 1] + np.pi) % (2 * np.pi) - np.pi, z[k, 2]]), R=np.diag(SIGMA[:3] ** 2))
        kernel.predict_model(motions.COAST, 6, x, P, 1.0, filters.NOISE, *work)
        w = np.zeros((sights.ROWS, 9)), np.zeros((sights.SCRATCH, 9)), np.zeros(4, np.int64), np.zeros(sights.WORK)
        sights.update_model(6, x, P, ORIGIN, AXES, 0, z[k], SIGMA, *w)
    assert np.allclose(x[:6], referee.x, rtol=0, atol=1e-2)
    assert np.allclose(P[:6, :6], referee.P, rtol=1e-5, atol=1e-3)
    back = filters.from_filterpy(referee, 40.0)
    assert np.array_equal(back.x6[0], referee.x) and np.allclose(back.P6[0], referee.P, rtol=1e-9, atol=1e-9) and back.time[0] == 40.0


def plain_view(i, j, means, covs, dims, fresh):
    """Model i's estimate in model j's components, and as a matrix: what i lacks takes j's own mean and variance, but for the share
    ``fresh`` of a coast that is pushed by a further stage, which is a mixture with a push forward.  (Here all is below the ground,
    where there is air.)"""
    n, m = dims[j], dims[i]
    same = 7 if {i, j} == {motions.REENTRY, motions.GLIDE} else (n if i == j else 6)
    J, offset = np.zeros((n, m)), means[j][:n].copy()
    J[:same, :same], offset[:same] = np.eye(same), 0.0
    x = J @ means[i][:m] + offset
    own = np.zeros((n, n))
    own[same:, same:] = covs[j][same:n, same:n]
    v = means[i][3:6]
    speed, e = np.linalg.norm(v), v / (np.linalg.norm(v) + 1e-3)
    flat = (np.eye(3) - np.outer(e, e)) / (speed + 10.0)
    if (i, j) == (motions.BOOST, motions.MANOEUVRE):
        J[6:9, 6], J[6:9, 3:6], x[6:9] = e, means[i][6] * flat, means[i][6] * e
        own = np.diag([0.0] * 6 + [1.0] * 3)
    elif (i, j) == (motions.MANOEUVRE, motions.BOOST):
        a = means[i][6:9]
        J[6, 6:9], J[6, 3:6], x[6] = e, (a - (a @ e) * e) / (speed + 10.0), a @ e
        own = np.diag([0.0] * 7 + [covs[j][7, 7]])
    elif i in (motions.REENTRY, motions.GLIDE) and j == motions.MANOEUVRE:  # a push that begins: how hard is not known
        x[6:9], own = 0.0, np.diag([0.0] * 6 + [motions.PUSH_SIGMA**2] * 3)
    elif j == motions.REENTRY != i:  # nothing else tells of the wind
        x[7:9], own[7:9], own[:, 7:9] = 0.0, 0.0, 0.0
        own[7:9, 7:9] = motions.WIND**2 * np.eye(2)
    elif (i, j) == (motions.COAST, motions.MANOEUVRE):
        forward, along, across = motions.STAGE
        w, push = np.array([1.0 - fresh, fresh]), np.array([x[6:9], forward * e])
        x[6:9] = w @ push
        stage = across**2 * np.eye(3) + (along**2 - across**2) * np.outer(e, e)
        spread = w[0] * own[6:9, 6:9] + w[1] * stage
        own[6:9, 6:9] = spread + sum(a * np.outer(p - x[6:9], p - x[6:9]) for a, p in zip(w, push, strict=True))
    return x, J @ covs[i][:m, :m] @ J.T + own


def plain_mix(means, covs, mu, Pi, dims, fresh, unheard):
    """Unbiased mixing written out; falls hear nothing of pushes and lifts that are less than ``unheard`` of all falls."""
    out, falls = [], [motions.COAST, motions.REENTRY, motions.GLIDE]
    for j in range(len(dims)):
        known = (mu >= unheard * mu[falls].sum()) | np.isin(np.arange(len(dims)), [motions.COAST, motions.REENTRY, j])
        w = Pi[:, j] * mu * (known if j in falls else 1.0)
        w = w / w.sum()
        views = [plain_view(i, j, means, covs, dims, fresh) for i in range(len(dims))]
        m = sum(wi * x for wi, (x, _) in zip(w, views, strict=True))
        out.append((m, sum(wi * (P + np.outer(x - m, x - m)) for wi, (x, P) in zip(w, views, strict=True)), Pi[:, j] @ mu))
    return out


@pytest.mark.parametrize("relight", [0.0, 0.1])
@pytest.mark.parametrize("unheard", [0.0, 0.03, kernel.ALL])
@pytest.mark.parametrize("mu", [(0.2, 0.3, 0.2, 0.1, 0.2), (1e-2, 0.6, 0.29, 0.02, 0.08), (0.9, 0.02, 1e-2, 4e-3, 0.066)])
def test_mixing_of_unequal_models_equals_the_plain_form(relight, unheard, mu):
    rng = np.random.default_rng(3)
    N = motions.N_MODEL
    x, P = rng.normal(size=(N, 9)), np.zeros((N, 9, 9))
    for j, n in enumerate(motions.DIMENSION):
        B = rng.normal(size=(n, n))
        P[j, :n, :n] = B @ B.T + np.eye(n)
    mu, Pi = np.array(mu), np.zeros((N, N))
    fresh = switching.transition(70e3, 500.0, 3e3, 0.0, relight, 2.0, Pi)
    assert np.allclose(Pi.sum(axis=1), 1) and (Pi >= 0).all() and np.isclose(fresh, relight / (relight + 1.0 / 400.0))
    xo, Po, mo = np.zeros((N, 9)), np.zeros((N, 9, 9)), np.zeros(N)
    mixing.mix(x, P, mu, Pi, 0.0, fresh, unheard, 0.0, xo, Po, mo, *mixing_scratch())
    for j, (m, C, c) in enumerate(plain_mix(x, P, mu, Pi, motions.DIMENSION, fresh, unheard)):
        n = motions.DIMENSION[j]
        assert np.allclose(xo[j, :n], m) and np.allclose(Po[j, :n, :n], C) and np.isclose(mo[j], c)


def mixing_scratch():
    N = motions.N_MODEL
    return np.zeros((9, 9)), np.zeros((N, 9, 9)), np.zeros((9, 9)), np.zeros(3 * N, np.int64)


@pytest.mark.parametrize("h", [0.0, 2.0])
def test_models_asleep_that_follow_in_all_are_not_mixed(h):
    """What the others are mixed to, and all probabilities, are to the bit as if they were."""
    x6, Pi = np.r_[frames.ecef(0.7, 2.2, 300e3), 1e3, 9e2, 2e3], np.zeros((5, 5))
    b = filters.bank(0.0, x6[None], np.eye(6)[None], [[1e-3, 0.9, 2e-3, 1e-3, 0.09]])
    switching.transition(300e3, 500.0, 3e3, 0.0, 0.0, 2.0, Pi)
    out = [(np.full((5, 9), 7.0), np.full((5, 9, 9), 7.0), np.zeros(5)) for _ in range(2)]
    for made, asleep in zip(out, (0.0, 0.05), strict=True):
        mixing.mix(b.x[0], b.P[0], b.mu[0], Pi, h, 0.0, 0.0, asleep, *made, *mixing_scratch())
    (x, P, mu), (fewer, less, found) = out
    assert np.array_equal(mu, found) and mu[0] < 0.05 and np.array_equal(x[1:], fewer[1:]) and np.array_equal(P[1:], less[1:])
    assert not fewer[0, :8].any() and (less[0] == 7.0).all() and (P[0] != 7.0).any()


@pytest.mark.parametrize("height", [40e3, 80e3, 300e3])  # at the second some models are where there is air, and some are not
@pytest.mark.parametrize("h", [-2.0, 0.0, 2.0])
def test_models_mix_as_each_is_seen_by_the_others(height, h):
    """Also where an engine goes out within the step, and where nothing lifts."""
    rng, N, fresh = np.random.default_rng(5), motions.N_MODEL, 0.2
    x, P, mu, Pi = np.zeros((N, 9)), np.zeros((N, 9, 9)), np.array([0.1, 0.4, 0.2, 0.1, 0.2]), np.zeros((N, N))
    for j, n in enumerate(motions.DIMENSION):
        root = rng.normal(size=(n, n)) * [*[500.0] * 3, *[20.0] * 3, 3.0, 0.5, 2.0][:n]
        x[j, :n], P[j, :n, :n] = rng.normal(size=n) * [0.1, 0.1, 0.1, 900.0, 900.0, 900.0, 9.0, 0.01, 3.0][:n], root.T @ root
        x[j, :3] += frames.ecef(0.7, 2.2, height + 100.0 * (j - 2))
    switching.transition(height, 500.0, 3e3, 0.0, 0.0, 2.0, Pi)
    xo, Po, mo = np.zeros((N, 9)), np.zeros((N, 9, 9)), np.zeros(N)
    mixing.mix(x, P, mu, Pi, h, fresh, 0.0, 0.0, xo, Po, mo, *mixing_scratch())
    for j, n in enumerate(motions.DIMENSION):
        w, views = Pi[:, j] * mu / (Pi[:, j] @ mu), []
        w = np.where(w > 1e-7, w, 0.0)  # what hardly weighs is left out
        for i in range(N):
            mean, cov = np.zeros(9), np.zeros((9, 9))
            motions.seen_as(i, j, x, P, mean, cov, np.zeros((9, 9)))
            if i == motions.COAST and j == motions.MANOEUVRE:
                mixing.pushed_anew(fresh, mean, cov)
            if h > 0.0 and i in (motions.MANOEUVRE, motions.BOOST) and j in (motions.COAST, motions.REENTRY, motions.GLIDE):
                mixing.burnt_within(i, x[i], h, mean, cov)
            views.append((mean[:n], cov[:n, :n]))
        mean = views[j][0] + sum(a * (m - views[j][0]) for a, (m, _) in zip(w, views, strict=True))
        both = sum(a * (C + np.outer(m - mean, m - mean)) for a, (m, C) in zip(w, views, strict=True))
        np.testing.assert_allclose(xo[j, :n], mean, rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(Po[j, :n, :n], both, rtol=1e-9, atol=1e-9 * both.max())
        assert not Po[j, n:].any() and not Po[j, :, n:].any()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_push_that_may_be_a_further_stages_is_the_mixture_of_both(share):
    rng = np.random.default_rng(4)
    root, m = rng.normal(size=(3, 3)), rng.normal(size=9) * np.repeat([20.0, 2e3, 20.0], 3)
    x, P, w = m.copy(), np.zeros((9, 9)), np.array([1.0 - share, share])
    P[6:, 6:] = root @ root.T
    ahead, (forward, along, across) = m[3:6] / np.linalg.norm(m[3:6]), motions.STAGE
    stage = across**2 * np.eye(3) + (along**2 - across**2) * np.outer(ahead, ahead)
    means, covariances = np.stack([m[6:], forward * ahead]), np.stack([P[6:, 6:], stage])
    mixing.pushed_anew(share, x, P)
    mean = w @ means
    spread = means - mean
    assert np.allclose(x, [*m[:6], *mean]) and not P[:6].any()
    assert np.allclose(P[6:, 6:], np.einsum("k,kij->ij", w, covariances + spread[:, :, None] * spread[:, None, :]))


def test_what_is_all_but_excluded_does_not_blur_a_fall():
    """Down from 150 to 100 km under a radar, where an engine could light: velocity is known nearly as by who knows that none does."""
    axes = frames.enu_axes(np.radians(38.5), np.radians(128.5))
    s = np.concatenate([frames.ecef(np.radians(38.5), np.radians(128.5), 150e3), np.array([900.0, -300.0, -2000.0]) @ axes])
    prior = np.diag([10.0**2] * 3 + [0.05**2] * 3)[None]  # after minutes of midcourse
    every, coast = (filters.bank(0.0, s[None], prior, [mu]) for mu in ([3e-4, 0.98, 0.018, 1.4e-3, 3e-4], [0.0, 1.0, 0.0, 0.0, 0.0]))
    x, P = coast.x[0, motions.COAST].copy(), coast.P[0, motions.COAST].copy()
    sigma, work = np.array([5.0, 3e-4, 3e-4, np.nan]), (np.zeros((9, 9)), np.zeros((18, 9)), np.zeros((4, 9)), np.zeros(9))
    for k in range(1, 25):
        s = plain_propagate(s, 1.0, 4)
        z = plain_look(s)
        every = filters.update(filters.predict(every, float(k)), z[None], sigma[None], ORIGIN, AXES)
        kernel.predict_model(motions.COAST, 6, x, P, 1.0, filters.NOISE, *work)
        alone = filters.bank(float(k), x[None, :6], P[None, :6, :6], [[0.0, 1.0, 0.0, 0.0, 0.0]])
        alone = filters.update(alone, z[None], sigma[None], ORIGIN, AXES)
        x, P = alone.x[0, motions.COAST].copy(), alone.P[0, motions.COAST].copy()
    assert frames.altitude(s[None, :3])[0] < 101e3 and every.mu[0, [motions.COAST, motions.REENTRY]].sum() > 0.99
    best = np.sqrt(np.trace(P[3:6, 3:6]))
    for fall in (motions.COAST, motions.REENTRY):
        assert np.sqrt(np.trace(every.P[0, fall, 3:6, 3:6])) < 1.5 * best


def test_what_is_all_but_excluded_does_not_blur_a_climb_through_the_air():
    """Up from 45 to 66 km under a radar, the engine out a while ago: the velocity is known nearly as by who knows that none lights."""
    axes = frames.enu_axes(np.radians(38.5), np.radians(128.5))
    begin = np.r_[frames.ecef(np.radians(38.5), np.radians(128.5), 45e3), np.array([1100.0, -300.0, 1000.0]) @ axes, np.log(5000.0)]
    prior, log_beta = np.diag([10.0**2] * 3 + [0.5**2] * 3)[None], np.array([[np.log(5000.0), 0.2]])
    doubts = [1e-3, 0.02, 0.977, 1e-3, 1e-3], [0.0, 0.0, 1.0, 0.0, 0.0]
    every, alone = (filters.bank(0.0, begin[None, :6], prior, [mu], log_beta=log_beta) for mu in doubts)
    sigma, work = np.array([5.0, 3e-4, 3e-4, np.nan]), (np.zeros((9, 9)), np.zeros((18, 9)), np.zeros((4, 9)), np.zeros(9))
    s, k, y, fall = np.r_[begin, 0.0, 0.0], np.zeros((4, 9)), np.zeros(9), motions.REENTRY
    for time in np.arange(1.0, 25.0):
        motions.propagate(fall, 9, s, 1.0, k, y)
        z = plain_look(s[:6])
        every = filters.update(filters.predict(every, time, switching.LATELY), z[None], sigma[None], ORIGIN, AXES)
        kernel.predict_model(fall, 9, alone.x[0, fall], alone.P[0, fall], 1.0, filters.NOISE, *work)
        alone = filters.update(alone, z[None], sigma[None], ORIGIN, AXES)
    told, best = (np.sqrt(np.trace(b.P[0, fall, 3:6, 3:6])) for b in (every, alone))
    assert frames.altitude(s[None, :3])[0] > 65e3 and every.mu[0, fall] > 0.95 and told < 1.05 * best


def test_what_a_further_stage_would_do_does_not_blur_what_falls():
    """Up from 120 km under a radar, the engine out a second ago: velocity is soon known nearly as by who knows that none follows."""
    axes = frames.enu_axes(np.radians(38.5), np.radians(128.5))
    s = np.concatenate([frames.ecef(np.radians(38.5), np.radians(128.5), 120e3), np.array([1500.0, -300.0, 2500.0]) @ axes])
    P = np.diag([50.0**2] * 3 + [10.0**2] * 3)[None]
    doubting, sure = (filters.bank(0.0, s[None], P, [mu]) for mu in ([0.05, 0.8, 1e-4, 1e-4, 0.15], [0.0, 1.0, 0.0, 0.0, 0.0]))
    sigma, work = np.array([30.0, 1e-3, 1e-3, np.nan]), (np.zeros((9, 9)), np.zeros((18, 9)), np.zeros((4, 9)), np.zeros(9))
    x, P = sure.x[0, motions.COAST].copy(), sure.P[0, motions.COAST].copy()
    for k in range(1, 21):
        s = plain_propagate(s, 1.0, 4)
        z = plain_look(s)
        doubting = filters.update(
            filters.predict(doubting, float(k), phases.relight(float(k), phases.STAGES)), z[None], sigma[None], ORIGIN, AXES
        )
        kernel.predict_model(motions.COAST, 6, x, P, 1.0, filters.NOISE, *work)
        sure = filters.update(filters.bank(float(k), x[None, :6], P[None, :6, :6], sure.mu), z[None], sigma[None], ORIGIN, AXES)
        x, P = sure.x[0, motions.COAST].copy(), sure.P[0, motions.COAST].copy()
    assert doubting.mu[0, motions.COAST] > 0.95
    told = doubting.P[0, motions.COAST]
    assert np.trace(told[3:6, 3:6]) < 1.005 * np.trace(P[3:6, 3:6])


@pytest.mark.parametrize("sigma, untold", [(2500.0, True), (100.0, False)])
def test_of_one_plot_a_fall_is_not_blurred_by_what_may_burn_instead(sigma, untold):
    """Seen once at 700 km, where a last stage may burn or something falls: half a minute on the latter is what falls alone would be; once
    the velocity is known an engine that goes out on the way has its share in it."""
    place = frames.point(800e3, 0.8, 1.0, ORIGIN, AXES).ravel()
    x6, P6 = np.r_[place, 2e3 * place / np.linalg.norm(place)][None], np.diag(np.repeat([3e3, sigma], 3) ** 2)[None]
    b = filters.predict(filters.bank(0.0, x6, P6, filters.MODELS[3:], 30.0 * place[None] / np.linalg.norm(place), [10.0]), 30.0)
    x, P = np.r_[x6[0], np.zeros(3)], np.zeros((9, 9))
    P[:6, :6] = P6[0]
    work = np.zeros((9, 9)), np.zeros((18, 9)), np.zeros((4, 9)), np.zeros(9)
    kernel.predict_model(motions.COAST, 6, x, P, 30.0, filters.NOISE, *work)
    fall, unit = b.P[0, motions.COAST, :6, :6], np.sqrt(np.diag(P[:6, :6]))
    assert (np.abs((fall - P[:6, :6]) / np.outer(unit, unit)).max() < 1e-4) == untold
    assert (np.abs((b.x[0, motions.COAST, :6] - x[:6]) / unit).max() < 1e-3) == untold


def test_a_fall_from_high_up_is_not_blurred_by_what_could_lift_or_brake_it():
    """Ten bodies down from 80 to 40 km under a radar: known nearly as by who knows that air alone slows them down, and truthfully."""
    rng, n, sigma = np.random.default_rng(9), 10, np.tile([10.0, 4e-4, 4e-4, np.nan], (10, 1))
    axes, work = frames.enu_axes(np.radians(38.5), np.radians(128.5)), (np.zeros((9, 9)), np.zeros((18, 9)), np.zeros((4, 9)), np.zeros(9))
    s = np.concatenate([frames.ecef(np.radians(38.5), np.radians(128.5), 80e3), np.array([2400.0, -700.0, -3000.0]) @ axes])
    true = np.column_stack([np.tile(s, (n, 1)), filters.LOG_BETA[0] + filters.LOG_BETA[1] * rng.standard_normal(n), np.zeros((n, 2))])
    P = np.diag([10.0**2] * 3 + [0.5**2] * 3)
    first, spread = true[:, :6] + rng.standard_normal((n, 6)) * np.sqrt(np.diag(P)), np.tile(P, (n, 1, 1))
    every, alone = (
        filters.bank(0.0, first, spread, np.tile(mu, (n, 1))) for mu in ([1e-4, 0.02, 0.977, 2e-3, 1e-4], [0.0, 0.0, 1.0, 0.0, 0.0])
    )
    wider, found = [], []
    for t in range(1, 14):
        for row in range(n):
            motions.propagate(motions.REENTRY, 9, true[row], 1.0, *work[2:])
            x, P = alone.x[row, motions.REENTRY], alone.P[row, motions.REENTRY]
            kernel.predict_model(motions.REENTRY, 9, x, P, 1.0, filters.NOISE, *work)
        z = np.array([plain_look(row) for row in true]) + np.nan_to_num(sigma) * rng.standard_normal((n, 4))
        every = filters.update(filters.predict(every, float(t)), z, sigma, ORIGIN, AXES)
        alone = filters.update(alone, z, sigma, ORIGIN, AXES)
        error = every.x6 - true[:, :6]
        found.append(np.einsum("ni,ni->n", error, np.linalg.solve(every.P6, error[:, :, None])[:, :, 0]) / 6.0)
        wider.append(np.sqrt(np.einsum("naa->n", every.P6[:, :3, :3]) / np.einsum("naa->n", alone.P6[:, :3, :3])))
    assert 38e3 < frames.altitude(true[0, None, :3])[0] < 45e3 and 0.6 < np.mean(found) < 1.3
    assert np.mean(wider) < 1.1


def test_of_light_bodies_what_the_air_has_told_is_as_well_known_as_it_is_said_to_be():
    """24 bodies of 300 to 1000 kg/m^2, where 5000 are believed, down from 100 to 50 km under a radar: then errors are chi-squared."""
    rng, n, sigma = np.random.default_rng(12), 24, np.tile([10.0, 4e-4, 4e-4, np.nan], (24, 1))
    axes, work = frames.enu_axes(np.radians(38.5), np.radians(128.5)), (np.zeros((4, 9)), np.zeros(9))
    s = np.concatenate([frames.ecef(np.radians(38.5), np.radians(128.5), 100e3), np.array([2400.0, -700.0, -3000.0]) @ axes])
    true = np.column_stack([np.tile(s, (n, 1)), np.log(rng.uniform(300.0, 1000.0, n)), np.zeros((n, 2))])
    P = np.diag([10.0**2] * 3 + [0.1**2] * 3)
    first = true[:, :6] + rng.standard_normal((n, 6)) * np.sqrt(np.diag(P))
    bank = filters.bank(0.0, first, np.tile(P, (n, 1, 1)), np.tile([1e-8, 0.9, 0.1, 1e-6, 1e-8], (n, 1)))
    for t in range(1, 18):
        for row in true:
            motions.propagate(motions.REENTRY, 9, row, 1.0, *work)
        z = np.array([plain_look(row) for row in true]) + np.nan_to_num(sigma) * rng.standard_normal((n, 4))
        bank = filters.update(filters.predict(bank, float(t)), z, sigma, ORIGIN, AXES)
    error = np.column_stack([bank.x6, bank.x[:, motions.REENTRY, 6]]) - true[:, :7]
    told = np.einsum("ni,ni->", error[:, :6], np.linalg.solve(bank.P6, error[:, :6, None])[:, :, 0])
    assert np.ptp(frames.altitude(true)) > 0.0 and 45e3 < frames.altitude(true).mean() < 60e3
    assert told < chi2.ppf(0.999, 6 * n)
    assert (error[:, 6] ** 2 / bank.P[:, motions.REENTRY, 6, 6]).sum() < chi2.ppf(0.999, n)


@pytest.mark.parametrize(
    "height, climb, across, seldom",
    [
        *((height, -3000.0, 3e3, True) for height in (70e3, 30e3)),  # from 529 and 489 km, were there no air
        *((height, -900.0, 1.2e3, True) for height in (70e3, 30e3)),  # from 111 and 71 km, steeply
        *((height, -900.0, 2.3e3, False) for height in (70e3, 30e3)),  # as gliders fall
        *((height, -900.0, 3e2, False) for height in (70e3, 30e3)),  # as what an engine has turned back
        (30e3, -600.0, 1.2e3, False),  # from 48 km
        (30e3, 900.0, 1.2e3, True),  # on its way up
    ],
)
def test_what_falls_from_high_up_or_steeply_hardly_ever_turns_and_what_goes_low_or_fast_may(height, climb, across, seldom):
    """Over the 30 s that a steep fall lasts, the odds of a lift or a push."""
    Pi = np.zeros((motions.N_MODEL, motions.N_MODEL))
    switching.transition(height, climb, across, 0.0, 0.0, 1.0, Pi)
    turned = 1.0 - (1.0 - Pi[motions.REENTRY, motions.GLIDE] - (climb < 0.0) * Pi[motions.REENTRY, motions.MANOEUVRE]) ** 30
    assert turned < 0.03 if seldom else turned > 0.5


@pytest.mark.parametrize("climb", [-600.0, 600.0])
def test_what_flies_steeply_is_taken_by_the_air_as_any_before_there_is_enough_to_lift_it(climb):
    """Above `motions.AIR` it is but more rarely lifted."""
    steep, flat = np.zeros((2, motions.N_MODEL, motions.N_MODEL))
    for Pi, across in ((steep, 1.2e3), (flat, 3e3)):
        switching.transition(90e3, climb, across, 0.0, 0.0, 1.0, Pi)
    others = [i for i in range(motions.N_MODEL) if i != motions.GLIDE]
    np.testing.assert_allclose(steep[np.ix_(others, others)], flat[np.ix_(others, others)], rtol=2e-3, atol=2e-6)
    assert (steep[others, motions.GLIDE] < 0.15 * flat[others, motions.GLIDE]).all()


@pytest.mark.parametrize("height", [20e3, 70e3, 120e3])
@pytest.mark.parametrize("model", [motions.COAST, motions.REENTRY])
def test_what_climbs_and_has_long_been_out_is_hardly_ever_lit(height, model):
    """Once in 109 climbs of 60 s, by either model of an engine."""
    lit = []
    for across, rate in ((1.2e3, 0.0), (3e3, 0.0), (1.2e3, switching.LATELY), (0.4e3, 0.0), (np.inf, 0.0)):
        Pi = np.zeros((motions.N_MODEL, motions.N_MODEL))
        switching.transition(height, 900.0, across, 0.0, rate, 1.0, Pi)
        lit.append(60.0 * (Pi[model, motions.MANOEUVRE] + Pi[model, motions.BOOST]))
    assert 0.9 / 109.0 < min(lit[:2]) <= max(lit[:2]) < 1.1 / 109.0
    assert min(lit[2:]) > 20.0 * lit[0]  # what has just burnt, was turned back, or may be a piece


def test_what_has_long_been_out_is_known_better_in_its_climb_than_what_burnt_of_late():
    """Half a minute under a radar at 85 to 105 km, without an engine: the velocity, and how likely one burns, by all five models."""
    begin = np.r_[frames.ecef(0.68, 2.23, 85e3), np.array([1200.0, 0.0, 750.0]) @ frames.enu_axes(0.68, 2.23)]
    sigma, known = np.array([[20.0, 5e-4, 5e-4, np.nan]]), []
    for rate in (0.0, switching.LATELY):
        b = filters.bank(0.0, begin[None], np.diag([20.0**2] * 3 + [2.0**2] * 3)[None], [[0.0, 0.9, 0.1, 0.0, 0.0]])
        for time in np.arange(1.0, 31.0):
            z = np.where(np.isnan(sigma), np.nan, frames.look(plain_propagate(begin, time, 6)[None], ORIGIN, AXES))
            b = filters.update(filters.predict(b, time, rate), z, sigma, ORIGIN, AXES)
        known.append((np.trace(b.P6[0, 3:, 3:]), b.mu[0, motions.MANOEUVRE] + b.mu[0, motions.BOOST]))
    (late, unlikely), (soon, likelier) = known
    assert late < 0.7 * soon and unlikely < 0.1 * likelier


def test_what_may_be_a_piece_is_lifted_as_any_whatever_the_record_has_of_missiles():
    """From 97 km, steeply: a missile, one that is known to be as light as 100 kg/m^2, and what flies beside others."""
    x6 = np.r_[frames.ecef(0.7, 2.2, 60e3), np.array([1200.0, 0.0, -850.0]) @ frames.enu_axes(0.7, 2.2)]
    bank = filters.bank(0.0, np.tile(x6, (3, 1)), np.tile(np.diag([50.0**2] * 3 + [5.0**2] * 3), (3, 1, 1)), [[0, 0, 1.0, 0, 0]] * 3)
    bank.x[1, motions.REENTRY, 6], bank.P[1, motions.REENTRY, 6, 6] = np.log(100.0), 0.1**2
    bank.P[2, motions.REENTRY, 6, 6] = filters.PIECE_SIGMA**2
    missile, light, beside = filters.predict(bank, 1.0).mu[:, motions.GLIDE]
    assert 20.0 * missile < min(light, beside)


@pytest.mark.parametrize("height", [120e3, 100e3, 70e3, 30e3])
@pytest.mark.parametrize("model", [motions.COAST, motions.REENTRY])
def test_what_falls_from_high_up_is_turned_in_all_ways_together_as_rarely_as_the_record_says(height, model):
    """One in 109 in 30 s at most, whichever model takes it over; and in the air it does not go on as in empty space."""
    Pi = np.zeros((motions.N_MODEL, motions.N_MODEL))
    switching.transition(height, -3000.0, 3e3, 0.0, 0.0, 1.0, Pi)
    turned = sum(Pi[model, j] for j in (motions.MANOEUVRE, motions.GLIDE, motions.BOOST)) / (
        Pi[model, motions.COAST] + Pi[model, motions.REENTRY]
    )
    assert 0.0 < 30.0 * turned < 1.1 / 109.0
    if model == motions.COAST:
        assert (Pi[model, model] < 0.5) == (height < switching.SPACE)


@pytest.mark.parametrize(("height", "climb", "across", "braked"), [
    (105e3, -2500.0, 6e3, True), (85e3, -2500.0, 6e3, True), (85e3, -2500.0, 1.5e3, False), (85e3, -600.0, 2.3e3, False),
    (115e3, -2500.0, 6e3, False), (85e3, 2500.0, 6e3, False), (85e3, -2500.0, np.inf, False), (75e3, -2500.0, 6e3, False),
])  # fmt: skip
def test_what_seemed_restless_in_space_is_no_glider_where_it_comes_into_the_air_fast(height, climb, across, braked):
    """Between `SPACE` and `motions.AIR`, faster than stages that steer there: neither those, nor pieces, nor what climbs or is lifted."""
    Pi = np.zeros((motions.N_MODEL, motions.N_MODEL))
    switching.transition(height, climb, across, 0.0, 0.0, 1.0, Pi)
    assert (Pi[motions.GLIDE, motions.REENTRY] > 0.6) == braked
    assert braked or Pi[motions.GLIDE, motions.REENTRY] < 0.02


@pytest.mark.parametrize("model", [motions.COAST, motions.REENTRY])
def test_what_falls_from_high_up_is_left_alone_until_there_is_air_to_lift_it(model):
    """From 140 km down to `motions.AIR` as seldom as in space; below it by its share of the record's odds, and others from 110 km down."""
    Pi = np.zeros((motions.N_MODEL, motions.N_MODEL))
    unrest = {}
    for height, climb in ((140e3, -3000.0), (109e3, -3000.0), (81e3, -3000.0), (79e3, -3000.0), (81e3, -900.0)):
        switching.transition(height, climb, 3e3, 0.0, 0.0, 0.01, Pi)
        unrest[height, climb] = Pi[model, motions.GLIDE] / 0.01
    high, thin, low, air, never_high = unrest.values()
    assert np.allclose([high, thin, low], switching.UNREST_BEGINS, rtol=0.02)
    assert np.isclose(air, switching.LOB_TURNS / 3.0, rtol=0.02) and never_high > air


def test_what_climbs_is_lit_again_as_seldom_after_drag_was_felt_as_before():
    """At 50 km, up at 900 m/s: engines brake descents, and none brakes a climb; falling, that is eight times as likely and more."""
    up, down = np.zeros((2, motions.N_MODEL, motions.N_MODEL))
    switching.transition(50e3, 900.0, 3e3, 0.0, 0.0, 0.01, up)
    switching.transition(50e3, -900.0, 3e3, 0.0, 0.0, 0.01, down)
    assert np.isclose(up[motions.REENTRY, motions.MANOEUVRE], up[motions.COAST, motions.MANOEUVRE], rtol=1e-3)
    assert down[motions.REENTRY, motions.MANOEUVRE] > 7.0 * up[motions.REENTRY, motions.MANOEUVRE]


def test_low_down_engines_brake_what_comes_down_steeply_alone():
    """Falling at 500 m/s: at 20 km flat as missiles of short range or steeply as a stage that lands, a piece, and flat at 40 km."""
    Pi = np.zeros((4, motions.N_MODEL, motions.N_MODEL))
    for out, height, across in zip(Pi, (20e3, 20e3, 20e3, 40e3), (700.0, 250.0, np.inf, 700.0), strict=True):
        switching.transition(height, -500.0, across, 0.0, 0.0, 0.01, out)
    flat, *others = Pi[:, motions.REENTRY, motions.MANOEUVRE]
    assert np.isclose(flat, Pi[0, motions.COAST, motions.MANOEUVRE], rtol=1e-3) and min(others) > 10.0 * flat


def test_what_falls_flat_is_known_where_it_lands_unless_an_engine_could_brake_it():
    """From 13 km, unseen for 15 s: how likely an engine burns then, and how well the place is known if none does."""
    axes, spread = frames.enu_axes(0.68, 2.23), np.diag([60.0**2] * 3 + [6.0**2] * 3)[None]
    off = []
    for across, down in ((500.0, 250.0), (100.0, 550.0)):
        begin = np.r_[frames.ecef(0.68, 2.23, 13e3), np.array([across, 0.0, -down]) @ axes]
        b = filters.bank(0.0, begin[None], spread, [[3e-3, 1e-3, 0.993, 1e-3, 2e-3]], log_beta=np.array([[np.log(5000.0), 0.1]]))
        b = filters.predict(b, 15.0)
        off.append((b.mu[0, [motions.MANOEUVRE, motions.BOOST]].sum(), np.sqrt(np.trace(b.P[0, motions.REENTRY, :3, :3]))))
    (unlit, known), (lit, blurred) = off
    assert unlit < 0.1 and lit > 0.2 and known < 0.6 * blurred


@pytest.mark.parametrize("height, to", [(30e3, motions.REENTRY), (200e3, motions.COAST)])
def test_an_engine_that_pushes_hard_soon_goes_out(height, to):
    """At 80 m/s^2 within some ten seconds, to where drag is felt or is not; at 50 and at the first few km, and looking back, as any."""
    N = motions.N_MODEL
    any_, fifty, hard, back, young = (np.zeros((N, N)) for _ in range(5))
    for Pi, thrust, dt in ((any_, 0.0, 1.0), (fifty, 50.0, 1.0), (hard, 80.0, 1.0), (back, 80.0, -1.0)):
        switching.transition(height, 900.0, 3e3, thrust, 0.0, dt, Pi)
    switching.transition(9e3, 900.0, 3e3, 80.0, 0.0, 1.0, young)
    for engine in (motions.MANOEUVRE, motions.BOOST):
        rate, more = -np.log(any_[engine, engine]), -np.log(hard[engine, engine])
        assert np.isclose(more - rate, switching.SPENT, rtol=0.05) and 7.0 < 1.0 / switching.SPENT < 13.0
        assert hard[engine, to] - any_[engine, to] > 0.8 * switching.SPENT
    assert np.array_equal(any_, fifty) and np.array_equal(any_, back) and young[motions.BOOST, 1:3].sum() < 0.002


def test_the_noise_of_a_boost_is_as_wide_as_the_pushes_that_are_drawn(monkeypatch):
    """50 s of 100 drawn flights under a radar, by the boost's model alone: half of `filters.STEERING` says too little of its errors,
    double too much."""
    scenario, n, sigma = scenarios.load("hokkaido-2017"), 100, np.array([20.0, 5e-4, 5e-4, np.nan])
    planned, time = simulate.fly(scenario), np.arange(60.0, 111.0)
    flown = [simulate.fly(populations.population(scenario, planned, 1000 + seed)) for seed in range(n)]
    true = np.array([motion.interpolate(path.time, path.x, time) for path in (flight[flight.object == 0] for flight in flown)])
    spread, alone = np.repeat([300.0, 100.0], 3), np.tile(np.where(np.arange(motions.N_MODEL) == motions.BOOST, 1.0, 1e-14), (n, 1))
    found = []
    for share in (1.0, 0.5, 2.0):
        monkeypatch.setattr(filters, "NOISE", np.where(np.arange(motions.N_NOISE) == motions.STEERING, share, 1.0) * DENSITIES)
        rng = np.random.default_rng(3)
        first = true[:, 0] + spread * rng.standard_normal((n, 6))
        bank = filters.bank(time[0], first, np.tile(np.diag(spread**2), (n, 1, 1)), alone)
        for k in range(1, len(time)):
            z = np.array([plain_look(s) for s in true[:, k]]) + np.nan_to_num(sigma) * rng.standard_normal((n, 4))
            bank = filters.update(filters.predict(replace(bank, mu=alone), time[k]), z, np.tile(sigma, (n, 1)), ORIGIN, AXES)
        error, P = bank.x[:, motions.BOOST, :6] - true[:, -1], bank.P[:, motions.BOOST, :6, :6]
        found.append(np.einsum("ni,ni->", error, np.linalg.solve(P, error[:, :, None])[:, :, 0]))
    low, high = chi2.ppf([0.001, 0.999], 6 * n)
    assert low < found[0] < high < found[1] and found[2] < low, np.array(found) / (6 * n)


def test_who_was_turned_back_is_not_left_alone_and_whose_thrust_was_along_the_velocity_is():
    """Pushed for 20 s by nothing that has a model, or along its velocity, and then out: what becomes of both without a plot."""
    x = np.concatenate([frames.ecef(0.7, 2.2, 200e3), np.array([900.0, 300.0, 1200.0]) @ frames.enu_axes(0.7, 2.2)])
    P = np.diag([100.0**2] * 3 + [10.0**2] * 3)
    bank = filters.bank(0.0, np.tile(x, (2, 1)), np.tile(P, (2, 1, 1)), [[1.0, 0, 0, 0, 0], [0, 0, 0, 0, 1.0]])
    mu = filters.predict(bank, 2.0).mu
    left_alone, restless = mu[:, motions.COAST], mu[:, motions.GLIDE]
    turned, along = switching.UNREST_AFTER
    assert np.isclose(restless[0], turned * left_alone[0], rtol=0.3) and np.isclose(restless[1], along * left_alone[1], rtol=0.5)
    assert 0.0 < along < 0.1 * turned


def test_in_a_minute_errors_of_what_is_not_left_alone_are_as_large_as_they_are_said_to_be():
    """Turned back by an engine at 200 km and then pushed by up to a quarter of a m/s^2, another way every 5 s: 12 of them under a radar."""
    rng, n, sigma = np.random.default_rng(8), 12, np.array([10.0, 4e-4, 4e-4, np.nan])
    axes = frames.enu_axes(np.radians(38.5), np.radians(128.5))
    s = np.concatenate([frames.ecef(np.radians(38.5), np.radians(128.5), 200e3), np.array([900.0, -300.0, 600.0]) @ axes])
    true, P = np.tile(s, (n, 1)), np.diag([50.0**2] * 3 + [15.0**2] * 3)
    first = true + rng.standard_normal((n, 6)) * np.sqrt(np.diag(P))
    bank = filters.bank(0.0, first, np.tile(P, (n, 1, 1)), np.tile([0.5, 0.3, 1e-6, 1e-2, 0.2], (n, 1)))
    push, found = np.zeros((n, 3)), []
    for k in range(1, 101):
        if k % 5 == 1:
            push = rng.uniform(-0.25, 0.25, (n, 3))
        true = np.array([plain_propagate(row, 1.0, 2) for row in true]) + np.hstack([0.5 * push, push])
        z = np.array([plain_look(row) for row in true]) + np.nan_to_num(sigma) * rng.standard_normal((n, 4))
        bank = filters.update(filters.predict(bank, float(k)), z, np.tile(sigma, (n, 1)), ORIGIN, AXES)
        error = bank.x6 - true
        found.append(np.einsum("ni,ni->n", error, np.linalg.solve(bank.P6, error[:, :, None])[:, :, 0]) / 6.0)
    assert 0.4 < np.mean(found[80:]) < 2.5 and (bank.mu[:, motions.GLIDE] > 0.9).all()


def test_nothing_lifts_above_the_air():
    """At 120 km lift and turn are forgotten, whatever GLIDE believed of them; at 60 km they are what it believes."""
    root = np.random.default_rng(6).normal(size=(9, 9))
    for height, lifts in ((120e3, False), (60e3, True)):
        b = filters.bank(
            0.0,
            [np.concatenate([frames.ecef(0.7, 2.2, height), 3000.0 * frames.enu_axes(0.7, 2.2)[0]])],
            np.eye(6)[None],
            [np.full(5, 0.2)],
        )
        b.x[0, motions.GLIDE, 7:], b.P[0, motions.GLIDE] = (20.0, -5.0), root @ root.T + 100.0 * np.eye(9)
        xs, Ps = np.zeros(9), np.zeros((9, 9))
        motions.seen_as(motions.GLIDE, motions.GLIDE, b.x[0], b.P[0], xs, Ps, np.zeros((9, 9)))
        scale = np.ones(9)
        if not lifts:
            scale[7:] = 0.1 / np.sqrt(np.diag(b.P[0, motions.GLIDE])[7:])
        assert np.allclose(xs, scale * b.x[0, motions.GLIDE]) and np.allclose(Ps, np.outer(scale, scale) * b.P[0, motions.GLIDE])
        xs, Ps = b.x[0, motions.GLIDE].copy(), b.P[0, motions.GLIDE].copy()
        motions.without_air(xs, Ps)
        assert np.allclose(xs[7:] / b.x[0, motions.GLIDE, 7:], 0.1 / np.sqrt(np.diag(b.P[0, motions.GLIDE])[7:]))


def test_thrust_seen_as_acceleration_and_back():
    """A gravity turn's thrust along the velocity is an acceleration that gives the thrust back, mean and variance."""
    b = a_bank()
    x, P = b.x[0].copy(), b.P[0].copy()
    x[motions.BOOST, 6], P[motions.BOOST, 6, 6] = 47.0, 2.0**2
    xs, Ps = np.zeros(9), np.zeros((9, 9))
    motions.seen_as(motions.BOOST, motions.MANOEUVRE, x, P, xs, Ps, np.zeros((9, 9)))
    e = x[0, 3:6] / np.linalg.norm(x[0, 3:6])
    assert np.allclose(xs[6:9], 47.0 * e, rtol=1e-5) and np.isclose(e @ Ps[6:9, 6:9] @ e, 2.0**2 + 1.0, rtol=1e-4)
    x[motions.MANOEUVRE], P[motions.MANOEUVRE] = xs, Ps
    motions.seen_as(motions.MANOEUVRE, motions.BOOST, x, P, xs, Ps, np.zeros((9, 9)))
    assert np.isclose(xs[6], 47.0, rtol=1e-5) and np.isclose(Ps[6, 6], 2.0**2 + 1.0, rtol=1e-3)


def plain_rates(model, s):
    """Time derivative of every model's added terms, from the definitions (drag from the packaged air)."""
    d = np.zeros(9)
    d[:6] = plain_free_fall(s)
    v = s[3:6]
    e = v / np.linalg.norm(v)
    up = s[:3] - (s[:3] @ e) * e
    up /= np.linalg.norm(up)
    if model == motions.MANOEUVRE:
        d[3:6] += s[6:9]
    elif model in (motions.REENTRY, motions.GLIDE):
        east = np.cross([0.0, 0.0, 1.0], s[:3]) / np.hypot(s[0], s[1])
        wind = s[7] * east + s[8] * np.cross(s[:3] / np.linalg.norm(s[:3]), east) if model == motions.REENTRY else 0.0
        through, (rho, sound) = v - wind, earth.air(frames.altitude(s[:3])[0])
        factor = mach.drag_factor(np.linalg.norm(through) / sound)
        d[3:6] -= 0.5 * rho * factor * np.linalg.norm(through) * through / np.exp(s[6])
    if model == motions.GLIDE:
        d[3:6] += s[7] * up + s[8] * np.cross(e, up)
        d[7:9] = -s[7:9] / 60.0
    if model == motions.BOOST:
        d[3:6] += s[6] * e
        d[6:8] = s[6] * s[7], s[7] ** 2
    return d


@pytest.mark.parametrize("model", range(motions.N_MODEL))
def test_every_model_moves_as_it_is_defined(model):
    """Rates against the plain forms, and 10 s of Runge-Kutta steps against DOP853 (SciPy)."""
    added = {0: [10.0, -20.0, 5.0], 2: [8.5, 30.0, -20.0], 3: [8.6, 15.0, -6.0], 4: [30.0, 0.012, 0]}.get(model, [0, 0, 0])
    axes = frames.enu_axes(np.radians(40), np.radians(130))
    s = np.concatenate([frames.ecef(np.radians(40), np.radians(130), 35e3), np.array([1500.0, -500.0, 700.0]) @ axes, added])
    d, n = np.zeros(9), motions.DIMENSION[model]
    motions.derivative(model, s, d)
    assert np.allclose(d[:n], plain_rates(model, s)[:n], rtol=2e-3, atol=1e-6)
    moved = s.copy()
    motions.propagate(model, n, moved, 10.0, np.zeros((4, 9)), np.zeros(9))
    exact = solve_ivp(lambda t, y: plain_rates(model, y), (0.0, 10.0), s, method="DOP853", rtol=1e-9, atol=1e-6).y[:, -1]
    assert np.allclose(moved[:3], exact[:3], rtol=0, atol=0.5) and np.allclose(moved[3:n], exact[3:n], rtol=1e-3, atol=0.05)


def test_constant_mass_flow_gives_the_rocket_equation():
    """a / (1 - t / tau): with a = 20 m/s^2 and b = 1/100 s the velocity gain in 50 s is a tau ln 2."""
    s = np.concatenate([frames.ecef(0.7, 2.2, 300e3), 1e5 * frames.enu_axes(0.7, 2.2)[0], [20.0, 0.01, 0.0]])
    free = s.copy()
    motions.propagate(motions.BOOST, 8, s, 50.0, np.zeros((4, 9)), np.zeros(9))
    motions.propagate(motions.COAST, 6, free, 50.0, np.zeros((4, 9)), np.zeros(9))
    assert np.isclose(np.linalg.norm(s[3:6]) - np.linalg.norm(free[3:6]), 2000.0 * np.log(2.0), rtol=0.01)
    assert np.isclose(s[6], 40.0, rtol=0.02) and np.isclose(s[7], 0.02, rtol=0.05)  # the ceilings on both cost that little


def van_loan(F, G, dt):
    """Covariance that white noise of density G (k, k) builds up in x' = F x over dt (IEEE T-AC 23(3), 1978)."""
    n = len(F)
    big = expm(np.block([[-F, G], [np.zeros((n, n)), F.T]]) * dt)
    return big[n:, n:].T @ big[:n, n:]


@pytest.mark.parametrize("model, blocks, density", [(motions.MANOEUVRE, 3, motions.JERK), (motions.COAST, 2, motions.COAST_ACCELERATION)])
def test_process_noise_is_the_integral_of_white_noise(model, blocks, density):
    dt, q = 3.0, filters.NOISE[density]
    G = np.zeros((3 * blocks, 3 * blocks))
    G[-3:, -3:] = q * np.eye(3)
    P = np.zeros((9, 9))
    motions.add_process_noise(model, np.zeros(9), P, dt, filters.NOISE)
    assert np.allclose(P[: len(G), : len(G)], van_loan(np.kron(np.eye(blocks, k=1), np.eye(3)), G, dt), rtol=1e-9, atol=1e-12)


def test_process_noise_of_boost_and_glide_acts_along_and_across():
    """At 300 km (no drag): thrust noise along the velocity, mass flow into thrust; what is not left alone there is pushed on every axis.
    At 70 km (hardly any drag): lift upwards, turn sideways, half as strong."""
    v = 3000.0 * frames.enu_axes(0.7, 2.2)[0]
    s = np.concatenate([frames.ecef(0.7, 2.2, 300e3), v, [30.0, 0.01, 0.0]])
    dt, e = 2.0, v / np.linalg.norm(v)
    P = np.zeros((9, 9))
    motions.add_process_noise(motions.BOOST, s, P, dt, filters.NOISE)
    F, G = np.zeros((8, 8)), np.zeros((8, 8))
    F[:3, 3:6], F[3:6, 6] = np.eye(3), e
    G[3:6, 3:6], G[6, 6] = filters.STEERING * np.eye(3), filters.THRUST_JERK
    expected = van_loan(F, G, dt)
    expected[6:8, 6:8] += van_loan(np.array([[0.0, 30.0], [0.0, 0.0]]), np.diag([0.0, filters.FLOW_RATE]), dt)
    assert np.allclose(P[:8, :8], expected, rtol=1e-5, atol=1e-12)
    P = np.zeros((9, 9))
    motions.add_process_noise(motions.GLIDE, np.r_[s[:6], 8.5, 0.0, 0.0], P, dt, filters.NOISE)
    pushed = (filters.COAST_ACCELERATION + filters.UNREST) * np.kron(np.diag([0.0, 1.0]), np.eye(3))
    assert np.allclose(P[:6, :6], van_loan(np.kron(np.eye(2, k=1), np.eye(3)), pushed, dt), rtol=1e-5, atol=1e-12) and not P[6:].any()
    P, s = np.zeros((9, 9)), np.concatenate([frames.ecef(0.7, 2.2, 70e3), v, [40.0, 0.0, 0.0]])
    motions.add_process_noise(motions.GLIDE, s, P, dt, filters.NOISE)
    up = s[:3] - (s[:3] @ e) * e
    up /= np.linalg.norm(up)
    F, G = np.zeros((9, 9)), np.zeros((9, 9))
    F[:3, 3:6], F[3:6, 7], F[3:6, 8] = np.eye(3), up, np.cross(e, up)
    G[3:6, 3:6] = filters.COAST_ACCELERATION * np.eye(3)
    G[7, 7], G[8, 8] = filters.LIFT_JERK, 0.25 * filters.LIFT_JERK
    assert np.allclose(P, van_loan(F, G, dt), rtol=1e-5, atol=1e-12)


def test_an_error_of_drag_acts_along_the_velocity_and_trim_on_every_axis():
    """At 25 km, where it is some 20 m/s^2: from the white accelerations by Van Loan's rule, where the velocity is known to 100 m/s; with
    the memory that these have, along and across by what is known there, where it is known to 1 m/s."""
    v = np.array([900.0, -400.0, -1500.0]) @ frames.enu_axes(0.7, 2.2)
    s, dt, e = np.concatenate([frames.ecef(0.7, 2.2, 25e3), v, [np.log(3000.0), 0.0, 0.0]]), 0.7, v / np.linalg.norm(v)
    slowing, along = motions.drag(s) * np.linalg.norm(v), np.outer(e, e)
    side = filters.TRIM * slowing**2
    fore = side + filters.DRAG_ERROR * slowing**2
    for known, less in ((100.0, (1.0, 1.0)), (1.0, (motions.whitened(1.0, fore, dt), motions.whitened(1.0, side, dt)))):
        P = np.diag(np.repeat([0.0, known**2, 0.0], 3))
        before = P.copy()
        motions.add_process_noise(motions.REENTRY, s, P, dt, filters.NOISE)
        G = filters.COAST_ACCELERATION * np.eye(3) + less[0] * fore * along + less[1] * side * (np.eye(3) - along)
        expected = van_loan(np.kron(np.eye(2, k=1), np.eye(3)), np.kron(np.diag([0.0, 1.0]), G), dt)
        np.testing.assert_allclose((P - before)[:6, :6], expected, rtol=1e-5, atol=1e-9)
        assert np.array_equal(P, P.T)
    assert 0.4 < less[0] < 0.8 < less[1] < 1.0


def steady(R, T, q, share):
    """A steady filter's covariance (2, 2) of place and speed, by plots of variance R every T s and white noise of q times
    ``share(variance of the speed, q, T)``, and that of its errors under pushes with a memory of `motions.SWAY`, of q in the long run."""
    tau, F, white = motions.SWAY, np.array([[1.0, T], [0.0, 1.0]]), np.array([[T**3 / 3.0, T**2 / 2.0], [T**2 / 2.0, T]])
    A = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0 / tau]])
    Phi, Q = expm(A * T), van_loan(A, np.diag([0.0, 0.0, q / tau**2]), T)
    P, S = np.diag([R, 100.0]), np.diag([R, 100.0, q / (2.0 * tau)])
    for _ in range(400):
        P = F @ P @ F.T
        P += q * share(P[1, 1], q, T) * white
        gain = P[:, 0] / (P[0, 0] + R)
        P -= np.outer(gain, P[0])
        left = np.eye(3)
        left[:2, 0] -= gain
        S = left @ (Phi @ S @ Phi.T + Q) @ left.T
        S[:2, :2] += R * np.outer(gain, gain)
    return P, S[:2, :2]


def test_noise_in_place_of_pushes_with_a_memory_is_as_wide_as_what_these_make():
    """Steady filters, exactly: plots of 10 to 300 m every .5 to 5 s, drags of 20 to 400 m/s^2, along and across.  With white noise as it is
    in the long run the mean NEES over the dimension is as low as .71; made smaller, it is near 1; none is much surer than it may be."""
    found = []
    for R, T, drag in product((10.0**2, 15.0**2, 50.0**2, 300.0**2), (0.5, 1.0, 2.0, 5.0), (20.0, 60.0, 200.0, 400.0)):
        for density in (filters.DRAG_ERROR + filters.TRIM, filters.TRIM):
            pairs = [steady(R, T, density * drag**2, share) for share in (motions.whitened, lambda *_: 1.0)]
            found.append([np.trace(np.linalg.solve(P, S)) / 2.0 for P, S in pairs])
    ours, white = np.array(found).T
    assert ours.min() > 0.85 and ours.max() < 1.07 and 0.97 < np.median(ours) < 1.01
    assert (np.abs(np.log(ours)) < np.abs(np.log(white)) + 0.01).all() and white.min() < 0.75


def test_a_steady_wind_is_found_and_the_fall_in_it_is_as_well_known_as_it_is_said_to_be():
    """30 bodies drawn as a population is, each in a wind of its own, down from 24 to 8 km under a radar: errors of position, velocity and
    wind are no larger than chi-squared, and of the wind less than half the variance is left."""
    rng, n, sigma = np.random.default_rng(17), 30, np.tile([10.0, 4e-4, 4e-4, np.nan], (30, 1))
    axes = frames.enu_axes(np.radians(38.5), np.radians(128.5))
    x = np.concatenate([frames.ecef(np.radians(38.5), np.radians(128.5), 24e3), np.array([500.0, -200.0, -600.0]) @ axes])
    P, forces = np.diag([10.0**2] * 3 + [1.0] * 3), [populations.unsteady(rng) for _ in range(n)]
    beta, time, paths = np.exp(rng.normal(np.log(1500.0), 0.3, n)), np.arange(46.0), []
    for heavy, own in zip(beta, forces, strict=True):
        begin, rows, _ = fallen(x, heavy, own)
        paths.append(motion.interpolate(begin, rows, time))
    true, wind = np.array(paths), np.array(forces)[:, flight.WIND - flight.PARAMETERS :][:, :2]
    first = true[:, 0] + rng.standard_normal((n, 6)) * np.sqrt(np.diag(P))
    mu, log_beta = np.tile([1e-9, 1e-3, 0.998, 1e-3, 1e-9], (n, 1)), np.tile([np.log(1500.0), 0.3], (n, 1))
    b = filters.bank(0.0, first, np.tile(P, (n, 1, 1)), mu, log_beta=log_beta)
    assert not b.x[:, motions.REENTRY, 7:].any() and np.array_equal(b.P[0, motions.REENTRY, 7:, 7:], motions.WIND**2 * np.eye(2))
    for k in range(1, len(time)):
        z = np.array([plain_look(row) for row in true[:, k]]) + np.nan_to_num(sigma) * rng.standard_normal((n, 4))
        b = filters.update(filters.predict(b, time[k]), z, sigma, ORIGIN, AXES)
    assert 6e3 < frames.altitude(true[:, -1]).mean() < 10e3
    error, blown = b.x6 - true[:, -1], b.x[:, motions.REENTRY, 7:] - wind
    told = np.einsum("ni,ni->", error, np.linalg.solve(b.P6, error[:, :, None])[:, :, 0])
    C = b.P[:, motions.REENTRY, 7:, 7:]
    found = np.einsum("ni,ni->", blown, np.linalg.solve(C, blown[:, :, None])[:, :, 0])
    assert told < chi2.ppf(0.999, 6 * n) and found < chi2.ppf(0.999, 2 * n)
    assert (np.linalg.det(C) < 0.25 * motions.WIND**4).all()


def test_reentry_is_coast_in_empty_space():
    s = np.concatenate([frames.ecef(0.7, 2.2, 400e3), [1000.0, 2000.0, 500.0], [np.log(5000.0), 0.0, 0.0]])
    a, b = s.copy(), s.copy()
    motions.propagate(motions.REENTRY, 9, a, 30.0, np.zeros((4, 9)), np.zeros(9))
    motions.propagate(motions.COAST, 6, b, 30.0, np.zeros((4, 9)), np.zeros(9))
    assert np.allclose(a[:6], b[:6], rtol=0, atol=1e-6)


def test_drag_matches_its_definition():
    """At 30 km (US76: 0.01841 kg/m^3), 2000 m/s and 4000 kg/m^2 the deceleration is rho v^2 / (2 beta)."""
    s = np.concatenate([frames.ecef(0.7, 2.2, 30e3), 2000.0 * frames.enu_axes(0.7, 2.2)[0], [np.log(4000.0), 0.0, 0.0]])
    assert np.isclose(motions.drag(s) * 2000.0, 0.01841 * 2000.0**2 / 8000.0, rtol=2e-3)


def test_a_fall_without_plots_slows_down_as_what_is_flown():
    """From Mach 5.5 to 1.8 in 14 s, predicted and fallen to the ground; with the coefficient of hypersonic speed it is 2.5 km ahead."""
    x = np.concatenate([frames.ecef(0.7, 2.2, 22e3), np.array([1100.0, 300.0, -1200.0]) @ frames.enu_axes(0.7, 2.2)])
    flown = motion.free_fall(x, 3000.0, step=0.1)
    P = np.diag([1.0] * 3 + [1e-2] * 3)[None]
    bank = filters.bank(0.0, x[None], P, [[0, 0, 1.0, 0, 0]], log_beta=[[np.log(3000.0), 1e-4]])
    moved = filters.predict(bank, 14.0).x[0, motions.REENTRY, :6]
    true = motion.interpolate(flown.time, flown.x, np.array([14.0]))[0]
    assert np.linalg.norm(moved[:3] - true[:3]) < 2.0 and np.linalg.norm(moved[3:] - true[3:]) < 1.0
    s = np.append(x, np.log(3000.0))
    seconds = falls.fall(s, np.zeros(6), np.zeros(6))
    assert abs(seconds - flown.time[-1]) < 0.02 and np.linalg.norm(s[:3] - flown.x[-1, :3]) < 5.0


@pytest.mark.parametrize("speed", [1400.0, 1600.0])
def test_the_ballistic_coefficient_wanders_as_the_mach_number_falls(speed):
    """Where a drag coefficient may depend on it: a variance of `CURVE` for a logarithm, beside what it wanders by in time."""
    s = np.concatenate([frames.ecef(0.7, 2.2, 20e3), speed * frames.enu_axes(0.7, 2.2)[0], [np.log(4000.0), 0.0, 0.0]])
    P, dt = np.zeros((9, 9)), 0.5
    motions.add_process_noise(motions.REENTRY, s, P, dt, filters.NOISE)
    k = motions.drag(s)
    wander = filters.LOG_BETA_RATE * k * speed / (k * speed + motions.FELT)
    assert np.isclose(P[6, 6], dt * (wander + (filters.CURVE * k if speed < 1500.0 else 0.0)), rtol=2e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_covariances_stay_positive_definite(seed):
    """Whatever the plots say, far off or exact, a radar, a Doppler radar or two angles."""
    rng = np.random.default_rng(seed)
    z = frames.look(coasting(1)[:1], ORIGIN, AXES)
    b = filters.start(0.0, z, np.array([[10.0, 1e-3, 1e-3, 1.0]]), ORIGIN, AXES)
    for _ in range(8):
        b = filters.predict(b, b.time + rng.choice([0.0, 0.1, 1.0, 10.0]))
        sigma = 10.0 ** rng.uniform([-1, -5, -5, -2], [3, -2, -2, 2])
        plot = frames.look(b.x6, ORIGIN, AXES) + sigma * rng.standard_normal(4) * rng.choice([0.0, 1.0, 5.0])
        plot[0, rng.random(4) < 0.3] = np.nan
        b = filters.update(b, plot, sigma[None], ORIGIN, AXES)
        for j, n in enumerate(motions.DIMENSION):
            P = b.P[0, j, :n, :n]
            assert np.array_equal(P, P.T) and np.linalg.eigvalsh(P).min() > 0 and np.isfinite(b.x[0, j]).all()
        assert np.isclose(b.mu.sum(), 1) and np.linalg.eigvalsh(b.P6[0]).min() > 0


def test_single_radar_coast_is_consistent():
    """Normalised estimation error squared over 60 runs within 99.8 % bounds at 40, 80 and 120 scans (six components)."""
    truth = coasting(120)
    look = frames.look(truth, ORIGIN, AXES)
    runs, nees = 60, {40: 0.0, 80: 0.0, 120: 0.0}
    z = np.array([look + SIGMA * np.random.default_rng(s).standard_normal(look.shape) for s in range(runs)])
    b = filters.start(0.0, z[:, 0], np.tile(SIGMA, (runs, 1)), ORIGIN, AXES)
    for k in range(1, 121):
        b = filters.update(filters.predict(b, float(k)), z[:, k], np.tile(SIGMA, (runs, 1)), ORIGIN, AXES)
        if k in nees:
            d = b.x6 - truth[k]
            nees[k] = np.einsum("ni,ni->", d, np.linalg.solve(b.P6, d[..., None])[..., 0])
    low, high = chi2.ppf([0.001, 0.999], 6 * runs)
    assert all(low < total < high for total in nees.values()), (nees, low, high)


def test_of_two_plots_half_a_minute_apart_the_second_says_where_it_is_and_both_how_fast():
    """What falls at 900 km is somewhere in 60 km when it is seen again: as well known then as the plots allow, within 99.8 % bounds."""
    runs, rng, sigma = 300, np.random.default_rng(5), np.array([20.0, 3e-3, 3e-3, np.nan])
    only = np.tile(np.where(np.arange(motions.N_MODEL) == motions.COAST, 1.0, 0.0), (runs, 1))
    x6, P6 = np.tile(np.r_[frames.point(1000e3, 0.8, 1.0, ORIGIN, AXES).ravel(), np.zeros(3)], (runs, 1)), np.zeros((runs, 6, 6))
    P6[:, range(6), range(6)] = np.repeat([5e3, filters.SPEED_SIGMA[1]], 3) ** 2
    truth = np.array([plain_propagate(x, 30.0, 6) for x in x6 + rng.standard_normal((runs, 6)) * np.sqrt(np.diag(P6[0]))])
    prior = filters.predict(filters.bank(0.0, x6, P6, only), 30.0)
    z = frames.look(truth, ORIGIN, AXES) + sigma * rng.standard_normal((runs, 4))
    b = filters.update(prior, z, np.tile(sigma, (runs, 1)), ORIGIN, AXES)
    alone = filters.start(30.0, z, np.tile(sigma, (runs, 1)), ORIGIN, AXES)
    size, least = (np.sqrt(np.trace(tracks.P6[:, :3, :3], axis1=1, axis2=2)) for tracks in (b, alone))
    assert (size < 1.01 * least).all()
    d = b.x6 - truth
    total = np.einsum("ni,ni->", d, np.linalg.solve(b.P6, d[..., None])[..., 0])
    low, high = chi2.ppf([0.001, 0.999], 6 * runs)
    assert low < total < high, (low, total, high)


@pytest.mark.parametrize("distance, sigma_range, sigma_angle", [(100e3, 50.0, 9e-3), (2000e3, 20.0, 1e-3), (800e3, 10.0, 2e-3)])
def test_started_position_is_consistent(distance, sigma_range, sigma_angle):
    """NEES/3 of the converted plot in [0.97, 1.03] over 20 000 draws (the acceptance of the published r-u-v sets)."""
    n = 20_000
    rng = np.random.default_rng(11)
    look = np.array([distance, 0.8, 0.5, np.nan])
    sigma = np.array([sigma_range, sigma_angle, sigma_angle, np.nan])
    truth = frames.point(*look[:3], ORIGIN, AXES)
    b = filters.start(0.0, look + sigma * rng.standard_normal((n, 4)), np.tile(sigma, (n, 1)), ORIGIN, AXES)
    d = b.x6[:, :3] - truth
    nees = np.einsum("ni,ni->n", d, np.linalg.solve(b.P6[:, :3, :3], d[..., None])[..., 0]).mean() / 3
    assert 0.97 < nees < 1.03


def test_a_plume_starts_above_the_clouds():
    """Two angles from geostationary height give a start whose 3-sigma region holds a plume at 8 to 20 km."""
    origin = frames.ecef(0.0, np.radians(105.0), 35_786e3)
    north = -origin / np.linalg.norm(origin)
    up = np.array([0.0, 0.0, 1.0])
    axes = np.stack([np.cross(north, up), north, up])
    for height in (8e3, 12e3, 20e3):
        plume = np.r_[frames.ecef(np.radians(39.2), np.radians(125.7), height), np.zeros(3)]
        z = frames.look(plume, origin, axes) * [np.nan, 1, 1, np.nan]
        b = filters.start(0.0, z, np.array([[np.nan, 2e-5, 2e-5, np.nan]]), origin, axes)
        d = b.x6[0, :3] - plume[:3]
        assert d @ np.linalg.solve(b.P6[0, :3, :3], d) < 9.0


def test_doppler_sharpens_the_first_velocity():
    z = frames.look(coasting(1)[:1], ORIGIN, AXES)
    sigma = np.array([[10.0, 1e-3, 1e-3, 2.0]])
    with_rate = filters.start(0.0, z, sigma, ORIGIN, AXES)
    without = filters.start(0.0, np.where(np.arange(4) == 3, np.nan, z), sigma, ORIGIN, AXES)
    line = (with_rate.x6[0, :3] - ORIGIN) / np.linalg.norm(with_rate.x6[0, :3] - ORIGIN)
    assert np.isclose(with_rate.x6[0, 3:] @ line, z[0, 3], atol=20.0)
    assert line @ with_rate.P6[0, 3:, 3:] @ line < 50.0**2 < line @ without.P6[0, 3:, 3:] @ line


def test_burnout_is_recognised():
    """25 m/s^2 along the velocity for 40 s, then free flight at 60 km: the manoeuvre model gives way within 5 s."""
    axes = frames.enu_axes(np.radians(39.5), np.radians(129))
    s = np.concatenate([frames.ecef(np.radians(39.5), np.radians(129), 45e3), np.array([700.0, 0.0, 700.0]) @ axes])
    rows = [s]
    for k in range(80):
        push = 25.0 if k < 40 else 0.0
        for _ in range(10):
            v = rows[-1][3:] if _ == 0 else s[3:]
            s = plain_propagate(s, 0.1, 1)
            s[3:] += 0.1 * push * v / np.linalg.norm(v)
        rows.append(s.copy())
    rng = np.random.default_rng(2)
    sigma = np.array([10.0, 5e-4, 5e-4, np.nan])
    z = frames.look(np.array(rows), ORIGIN, AXES) + sigma * rng.standard_normal((81, 4))
    b, pushed = filters.start(0.0, z[:1], sigma[None], ORIGIN, AXES), []
    for k in range(1, 81):
        b = filters.update(filters.predict(b, float(k)), z[k : k + 1], sigma[None], ORIGIN, AXES)
        pushed.append(b.mu[0, motions.MANOEUVRE] + b.mu[0, motions.BOOST])
    assert min(pushed[19:39]) > 0.5 and max(pushed[44:]) < 0.5


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_small_inverse_and_determinant(n, seed):
    rng = np.random.default_rng(seed)
    B = rng.normal(size=(n, n))
    a = B @ B.T + 0.1 * np.eye(n)
    lower, out = np.zeros((9, 9)), np.zeros((n, n))
    log_det = invert(a, n, lower, out)
    again = np.zeros((n, n))
    inverse(a, n, lower, again)
    assert np.array_equal(again, out) and np.allclose(out @ a, np.eye(n), atol=1e-7) and np.isclose(log_det, np.linalg.slogdet(a)[1])


@pytest.mark.parametrize("n", [6, 7, 8, 9])
def test_columns_are_those_of_the_root(n):
    """Also where a pivot is lifted, and whatever stands behind them."""
    a = np.random.default_rng(n).normal(size=(9, 9)) * np.logspace(3, -4, 9)[:, None]
    a, upper, lower = a @ a.T, np.full((9, 9), np.nan), np.zeros((9, 9))
    for _ in range(2):
        columns(a, n, upper, np.zeros(9))
        assert cholesky(a, n, lower) == 0
        np.testing.assert_allclose(upper[:n, :n], lower[:n, :n].T, rtol=1e-9, atol=1e-12 * lower[0, 0])
        np.testing.assert_array_equal(np.tril(upper[:n, :n], -1), np.zeros((n, n)))
        a[n:], a[:, n:] = np.nan, np.nan
    a[:n, n - 1], a[n - 1, :n] = a[:n, n - 2], a[n - 2, :n]
    a[n - 1, n - 1] = a[n - 2, n - 2] * (1 - 1e-12)
    columns(a, n, upper, np.zeros(9))
    assert np.isfinite(upper[:n, :n]).all() and 0.0 < upper[n - 1, n - 1] < 1e-5 * np.sqrt(a[n - 2, n - 2])


def test_columns_of_several_are_those_of_each():
    sizes = np.array([9, 6, 0, 8])
    a = np.random.default_rng(4).normal(size=(4, 9, 9)) * np.logspace(3, -4, 9)
    a, upper, plain = np.swapaxes(a, 1, 2) @ a, np.full((4, 9, 9), np.nan), np.full((4, 9, 9), np.nan)
    columns_of(a, sizes, upper, np.zeros((4, 9)))
    for k, n in enumerate(sizes):
        columns(a[k], n, plain[k], np.zeros(9))
    np.testing.assert_array_equal(upper, plain)


def test_cholesky_lifts_a_bad_pivot():
    lower = np.zeros((2, 2))
    assert cholesky(np.array([[1.0, 1.0], [1.0, 1.0 - 1e-12]]), 2, lower) == 1 and np.isfinite(lower).all() and lower[1, 1] > 0


def test_what_is_known_to_be_above_ground_has_the_moments_of_what_is_left():
    """A model's density, cut off at height 0, against two million samples of it; what lies below costs the model its probability."""
    rng = np.random.default_rng(8)
    place = frames.ecef(0.7, 2.2, 500.0)
    root = rng.standard_normal((6, 6)) * np.repeat([800.0, 30.0], 3)[:, None]
    b = filters.bank(0.0, np.r_[place, 10.0, 20.0, 30.0][None], (root @ root.T)[None], [[0.2] * 5])
    b.x[0, motions.REENTRY, :3] -= 1500.0 * place / np.linalg.norm(place)
    told = filters.above_ground(b, [0])
    for model in (motions.COAST, motions.REENTRY):
        some = b.x[0, model, :6] + rng.standard_normal((2_000_000, 6)) @ root.T
        above = some[frames.altitude(some) > 0.0]
        assert np.abs(told.x[0, model, :6] - above.mean(axis=0)).max() < 0.01 * np.sqrt(np.diag(b.P[0, model])[:6]).max()
        assert np.allclose(told.P[0, model, :6, :6], np.cov(above.T), atol=0.01 * np.diag(b.P[0, model])[:6].max())
    share = [np.mean(frames.altitude(b.x[0, m, :6] + rng.standard_normal((200_000, 6)) @ root.T) > 0.0) for m in range(5)]
    assert np.allclose(told.mu[0], np.array(share) / np.sum(share), atol=5e-3)
    assert (b.x[0, motions.COAST, :3] == place).all()  # the tracks given are as they were


def test_an_engine_that_goes_out_within_a_step_has_pushed_for_a_part_of_it():
    """Mean and covariance at the end of a step, against 200 000 burnouts at uniform times in it."""
    h, push = 1.6, np.array([30.0, -40.0, 60.0])
    x = np.r_[np.zeros(3), 1000.0, 2000.0, 500.0, push]
    xs, Ps = np.r_[x[:6], np.zeros(3)], np.zeros((9, 9))
    mixing.burnt_within(motions.MANOEUVRE, x, h, xs, Ps)
    F = np.eye(6) + h * np.eye(6, k=3)
    u = np.random.default_rng(1).uniform(0.0, h, 200_000)[:, None]
    ends = np.hstack([x[3:6] * h + push * (u * h - u * u / 2.0), x[3:6] + push * u])
    assert np.abs(F @ xs[:6] - ends.mean(axis=0)).max() < 0.2
    assert np.allclose(F @ Ps[:6, :6] @ F.T, np.cov(ends.T), rtol=0.02, atol=1.0)
    along, zs, Zs = np.r_[x[:6], np.linalg.norm(push), 0.0, 0.0], xs * 0.0, Ps * 0.0
    along[3:6] = 50.0 * push / np.linalg.norm(push)
    mixing.burnt_within(motions.BOOST, along, h, zs, Zs)
    assert np.allclose(zs[:6], xs[:6] - x[:6], atol=1e-2)


def test_what_has_just_been_launched_climbs():
    """The climb of the models with a push is cut off at 0, with what goes with it; those that fall, and other tracks, stay."""
    place = frames.ecef(0.7, 2.2, 6e3)
    up = place / np.linalg.norm(place)
    P = np.diag(np.repeat([100.0**2, 120.0**2], 3))
    P[:3, 3:] = P[3:, :3] = 0.7 * 100.0 * 120.0 * np.eye(3)
    b = filters.bank(0.0, np.tile(np.r_[place, -60.0 * up], (2, 1)), np.tile(P, (2, 1, 1)), np.full((2, 5), 0.2))
    told = filters.above_ground(b, [0, 1], [0])
    low = 60.0 / 120.0  # the mean of a normal variable cut off half a standard deviation above its own
    left = 0.5 * math.erfc(low / math.sqrt(2.0))
    climb = -60.0 + 120.0 * math.exp(-0.5 * low * low) / math.sqrt(2.0 * math.pi) / left
    for pushed in (motions.MANOEUVRE, motions.BOOST):
        assert told.x[0, pushed, 3:6] @ up == pytest.approx(climb, rel=1e-6) and climb > 0.0
        assert (told.x[0, pushed, :3] - place) @ up == pytest.approx(0.7 * 100.0 / 120.0 * (climb + 60.0), rel=1e-6)
        assert told.mu[0, pushed] == pytest.approx(left / (3.0 + 2.0 * left), rel=1e-6)
    assert told.x[0, motions.COAST, 3:6] @ up == pytest.approx(-60.0) and told.x[1, motions.BOOST, 3:6] @ up == pytest.approx(-60.0)


def test_a_part_is_within_the_whole():
    """Shares of 0 to 1.5 in the directions of a random basis: clipped; what is inside stays as it is, to the bit."""
    rng = np.random.default_rng(11)
    root, shares = rng.normal(size=(40, 6, 6)), rng.uniform(0.0, 1.5, (40, 6))
    shares[:20] = rng.uniform(0.01, 0.99, (20, 6))
    turn = np.linalg.qr(rng.normal(size=(40, 6, 6)))[0]
    basis = root @ turn
    whole = root @ np.swapaxes(root, 1, 2)

    def part(value):
        return (basis * value[:, None, :]) @ np.swapaxes(basis, 1, 2)

    held = filters.within(part(shares), whole)
    assert np.array_equal(held[:20], part(shares)[:20])
    sigma = np.sqrt(np.einsum("naa->na", whole))
    assert np.all(abs(held - part(np.clip(shares, 1e-3, 1.0))) < 1e-9 * sigma[:, :, None] * sigma[:, None])
    assert filters.within(held[:0], whole[:0]).shape == (0, 6, 6)


def test_parts_are_held_as_eigenvalues_of_their_shares_are():
    """`shares.hold` against numpy: states of metres and m/s, parts of less than nothing and of more than all; eight and three more."""
    rng, n = np.random.default_rng(13), 11
    root = np.array([1e4] * 3 + [1e2] * 3)[:, None] * rng.normal(size=(n, 6, 6))
    whole = root @ np.swapaxes(root, 1, 2)
    turn, value = np.linalg.qr(rng.normal(size=(n, 6, 6)))[0], rng.uniform(-0.5, 1.5, (n, 6))
    value[:3] = np.array([0.0, 2.0, 1.0])[:, None]
    basis = np.linalg.cholesky(whole) @ turn
    part, held = ((basis * v[:, None]) @ np.swapaxes(basis, 1, 2) for v in (value, np.clip(value, 0.02, 1.0)))
    alone = part.copy()
    for i in range(n):
        shares.hold(alone[i : i + 1], whole[i : i + 1], 0.02)
    shares.hold(part, whole, 0.02)
    assert np.array_equal(part, alone)  # whatever they stand beside
    sigma = np.sqrt(np.einsum("naa->na", whole))
    assert np.all(abs(part - held) < 1e-12 * sigma[:, :, None] * sigma[:, None])
    assert np.array_equal(part[3:], np.swapaxes(part[3:], 1, 2))


def test_what_is_beyond_its_share_is_found():
    """`shares.beyond` against the eigenvalues of the share."""
    rng, n = np.random.default_rng(12), 300
    root, share, out = rng.normal(size=(n, 6, 6)), rng.uniform(-0.1, 1.1, (n, 6)), np.empty(n, bool)
    turn = np.linalg.qr(rng.normal(size=(n, 6, 6)))[0]
    basis, share[n // 2 :] = root @ turn, rng.uniform(0.02, 0.98, (n - n // 2, 6))
    part, whole = ((basis * value[:, None]) @ np.swapaxes(basis, 1, 2) for value in (share, np.ones((n, 6))))
    shares.beyond(part, whole, 1e-2, np.empty((6, 6)), out)
    assert np.array_equal(out, ((share < 1e-2) | (share > 1.0)).any(axis=1)) and 0 < out.sum() <= n // 2


def some_states(rng, n):
    """A bank of n tracks: some burn, some fall, high and low."""
    x6 = np.array([frames.ecef(0.7, 2.2, h) for h in rng.uniform(20e3, 200e3, n)]).reshape(n, 3)
    x6 = np.concatenate([x6, rng.normal(0.0, 1500.0, (n, 3))], axis=1)
    mu = np.array([[0.1, 0.3, 0.1, 0.1, 0.4], [0.0, 0.7, 0.2, 0.1, 0.0]])[np.arange(n) % 2]
    return filters.bank(rng.uniform(90.0, 100.0, n), x6, np.tile(np.diag([1e4] * 3 + [1e3] * 3), (n, 1, 1)), mu)


def alike(one, other):
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in one.__dataclass_fields__)


@pytest.mark.parametrize("step", [2.0, 1.0, 0.5, 0.1, 5.0, 10.0])
def test_a_track_at_many_times_is_at_each_what_it_is_alone(step):
    """Whatever stands beside it, however many of its times do, in whatever order, before now too, and whether a further stage may light."""
    rng = np.random.default_rng(3)
    bank = some_states(rng, 4)
    ticks = step * np.arange(math.ceil(90.0 / step), math.floor(130.0 / step))
    time, which = (one.ravel() for one in np.meshgrid(ticks[:: max(1, len(ticks) // 40)], np.arange(4), indexing="ij"))
    relight = np.where(which == 2, 0.02, 0.0)
    every = filters.predict_often(bank, which, time, relight)
    for k in range(len(time)):
        assert alike(every[[k]], filters.predict_often(bank, which[[k]], time[k], relight[k]))
    for some in (np.flatnonzero(rng.random(len(time)) < 0.5), rng.permutation(len(time)), np.repeat(np.arange(len(time)), 2)):
        assert alike(every[some], filters.predict_often(bank, which[some], time[some], relight[some]))


def test_a_track_at_many_times_goes_in_steps_of_two_seconds_from_the_remainder_on():
    bank = some_states(np.random.default_rng(4), 1)
    time = bank.time[0] + 0.7 + 2.0 * np.arange(5)
    found, one = filters.predict_often(bank, np.zeros(5, int), time), bank
    for k in range(5):
        one = filters.predict(one, time[k])
        for name in ("x", "P", "mu", "x6", "P6"):
            np.testing.assert_allclose(getattr(found, name)[k], getattr(one, name)[0], rtol=1e-6, atol=1e-6)


def test_what_is_common_to_the_ways_of_a_track_is_gone_once(monkeypatch):
    gone = []

    def step(x, P, mu, h, *rest):
        gone.append(h)
        rest[4][:] = mu

    monkeypatch.setattr(kernel, "_step", step)
    bank = filters.bank(0.0, np.ones((1, 6)), np.eye(6)[None], [[0.5, 0.1, 0.1, 0.1, 0.2]])
    out = (np.zeros((19, *getattr(bank, name).shape[1:])) for name in ("x", "P", "mu", "x6", "P6"))
    dt, zero, before = 1.5 + 2.0 * np.arange(19), np.zeros(19), np.arange(19) - 1
    going = bank.x, bank.P, bank.mu, np.zeros(19, int), before, dt, zero, filters.NOISE, *out
    getattr(kernel.predict, "py_func", kernel.predict)(*going)
    assert gone == [1.5] + [2.0] * 4 + [2.0, 4.0, 6.0, 8.0] * 3 + [2.0, 4.0]
