"""The compiled extended Kalman filter against a plain twin, finite differences, filterpy and chi-squared."""

from __future__ import annotations

import os

import numpy as np
import pytest
from filterpy.kalman import ExtendedKalmanFilter
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from copfuse import filters, frames, kalman
from copfuse.errors import CopfuseError
from copfuse.kernels import extended as kernel
from copfuse.kernels import motions

pytestmark = pytest.mark.kernels
PLAIN = os.environ.get("NUMBA_DISABLE_JIT") == "1"
MU, OMEGA, J2, A = 3.986004418e14, 7.292115e-5, 1.08262982e-3, 6378137.0  # written again: a twin imports nothing
SITE = np.radians(38.0), np.radians(128.0), 100.0
ORIGIN, AXES = frames.ecef(*SITE), frames.enu_axes(*SITE[:2])
SIGMA = np.array([15.0, 1.5e-3, 1.5e-3, 0.5])
DENSITY = filters.COAST_ACCELERATION
P0 = np.diag([300.0**2] * 3 + [20.0**2] * 3)


def start(altitude=150e3, velocity=(3500.0, -500.0, 1800.0)):
    axes = frames.enu_axes(np.radians(40), np.radians(130))
    return np.concatenate([frames.ecef(np.radians(40), np.radians(130), altitude), np.array(velocity) @ axes])


def plain_derivative(s):
    p, v = s[:3], s[3:]
    r = np.linalg.norm(p)
    k = 1.5 * J2 * (A / r) ** 2
    g = -MU / r**3 * p * (1 + k * (np.array([1.0, 1.0, 3.0]) - 5 * (p[2] / r) ** 2))
    w = np.array([0.0, 0.0, OMEGA])
    return np.concatenate([v, g - 2 * np.cross(w, v) - np.cross(w, np.cross(w, p))])


def plain_move(s, dt):
    steps = int(np.ceil(abs(dt) / 10.0))
    for _ in range(steps):
        h = dt / steps
        a = plain_derivative(s)
        b = plain_derivative(s + h / 2 * a)
        c = plain_derivative(s + h / 2 * b)
        s = s + h / 6 * (a + 2 * b + 2 * c + plain_derivative(s + h * c))
    return s


def plain_look(s):
    d = AXES @ (s[:3] - ORIGIN)
    r = np.linalg.norm(d)
    return np.array([r, np.arctan2(d[0], d[1]), np.arcsin(d[2] / r), (s[:3] - ORIGIN) @ s[3:6] / r])


def differences(function, s, steps):
    columns = [(function(s + e) - function(s - e)) / (2 * h) for e, h in zip(np.diag(steps), steps, strict=True)]
    return np.array(columns).T


STEPS = np.array([10.0] * 3 + [1.0] * 3)


def plain_noise(t):
    return DENSITY * np.kron([[abs(t) ** 3 / 3, t**2 / 2], [t**2 / 2, abs(t)]], np.eye(3))


def plain_step(x, P, dt, z, sigma):
    """Predict and update jointly, with finite-difference Jacobians and dense numpy algebra."""
    F = differences(lambda s: plain_move(s, dt), x, STEPS)
    x, P = plain_move(x, dt), F @ P @ F.T + plain_noise(dt)
    seen = np.isfinite(z + sigma)
    H = differences(plain_look, x, STEPS)[seen]
    nu = z - plain_look(x)
    nu[1] = (nu[1] + np.pi) % (2 * np.pi) - np.pi
    nu = nu[seen]
    S = H @ P @ H.T + np.diag(sigma[seen] ** 2)
    K = P @ H.T @ np.linalg.inv(S)
    left = np.eye(6) - K @ H
    d2 = nu @ np.linalg.solve(S, nu)
    loglik = -0.5 * (d2 + np.log(np.linalg.det(2 * np.pi * S)))
    return x + K @ nu, left @ P @ left.T + K @ np.diag(sigma[seen] ** 2) @ K.T, loglik, d2


def derivative_of_move(number, d, x, dt):
    s, w = x.copy(), np.zeros(168)
    kernel.move(number, d, s, dt, w, np.zeros((4, 3, 7)), np.zeros((4, 7)), np.zeros(7))
    return s, w[:56].reshape(7, 8)[:d, :d]


def moved(number, d, x, dt):
    s = np.append(x, np.zeros(9 - d))
    motions.propagate(number, d, s, dt, np.zeros((4, 9)), np.zeros(9))
    return s[:d]


@pytest.mark.parametrize("dt", [0.25, 9.0, -35.0])
def test_coasting_transition_is_the_derivative_of_the_step(dt):
    x = start()
    s, F = derivative_of_move(motions.COAST, 6, x, dt)
    assert np.allclose(s, plain_move(x, dt), rtol=0, atol=1e-6)
    G = differences(lambda y: plain_move(y, dt), x, STEPS)
    assert np.allclose(F[:3], G[:3], rtol=0, atol=2e-8) and np.allclose(F[3:], G[3:], rtol=0, atol=2e-9)


@pytest.mark.parametrize(("altitude", "log_beta"), [(160e3, 8.5), (95e3, 8.0), (42e3, 8.5), (17e3, 7.5), (3e3, 4.0)])
def test_reentry_transition_is_the_derivative_of_the_step(altitude, log_beta):
    """Above the model's air, in a table's and a layer's middle, low down, and where the model's limit on drag holds."""
    x = np.append(start(altitude, (2500.0, 900.0, -2200.0)), log_beta)
    dt = 0.5
    s, F = derivative_of_move(motions.REENTRY, 7, x, dt)
    assert np.allclose(s, moved(motions.REENTRY, 7, x, dt), rtol=0, atol=1e-6)
    G = differences(lambda y: moved(motions.REENTRY, 7, y, dt), x, np.array([2.0] * 3 + [0.1] * 3 + [1e-2]))
    scale = np.maximum(np.abs(G), np.array([1.0] * 3 + [0.05] * 3 + [1.0])[:, None] * 1e-2)
    assert np.max(np.abs(F - G) / scale) < 5e-5


@pytest.mark.parametrize("missing", [(), (3,), (0, 3), (1, 2)])
def test_step_equals_the_plain_twin(missing):
    rng = np.random.default_rng(1)
    x = start()
    sigma = SIGMA.copy()
    z = plain_look(plain_move(x, 4.0)) + sigma * rng.standard_normal(4)
    z[list(missing)] = np.nan
    off = np.array([200.0, -100.0, 150.0, 8.0, -5.0, 3.0])
    new = kalman.step(10.0, (x + off)[None], P0[None], 14.0, z[None], sigma[None], ORIGIN, AXES)
    want = plain_step(x + off, P0, 4.0, z, sigma)
    assert np.allclose(new.x[0], want[0], rtol=0, atol=1e-4)
    scale = np.sqrt(np.outer(np.diag(want[1]), np.diag(want[1])))
    assert np.max(np.abs(new.P[0] - want[1]) / scale) < 1e-5
    assert np.isclose(new.loglik[0], want[2], atol=1e-5) and np.isclose(new.d2[0], want[3], atol=1e-4)


def test_step_equals_filterpy_with_the_same_functions():
    rng = np.random.default_rng(2)
    x, P, truth = start() + np.array([200.0, -100.0, 150.0, 8.0, -5.0, 3.0]), P0.copy(), start()
    referee = ExtendedKalmanFilter(6, 4)
    referee.x, referee.P, referee.R, referee.Q = x.copy(), P.copy(), np.diag(SIGMA**2), plain_noise(2.0)
    for k in range(10):
        truth = plain_move(truth, 2.0)
        z = plain_look(truth) + SIGMA * rng.standard_normal(4)
        referee.F = derivative_of_move(motions.COAST, 6, referee.x, 2.0)[1].copy()
        referee.predict_x = lambda u=0: setattr(referee, "x", plain_move(referee.x, 2.0))
        referee.predict()
        referee.update(z, lambda s: differences(plain_look, s, STEPS), plain_look)
        new = kalman.step(2.0 * k, x[None], P[None], 2.0 * k + 2.0, z[None], SIGMA[None], ORIGIN, AXES)
        x, P = new.x[0], new.P[0]
        assert np.max(np.abs(x - referee.x) / np.sqrt(np.diag(P))) < 1e-5
        assert np.max(np.abs(P - referee.P) / np.sqrt(np.outer(np.diag(P), np.diag(P)))) < 1e-5


def test_series_is_step_after_step_and_azimuth_wraps():
    west = ORIGIN, AXES * np.array([[-1.0], [-1.0], [1.0]])  # turned by half a circle: the target is near the cut at pi
    rng = np.random.default_rng(3)
    truth = [start()]
    for _ in range(5):
        truth.append(plain_move(truth[-1], 1.0))
    z = frames.look(np.array(truth), np.tile(west[0], (6, 1)), np.tile(west[1], (6, 1, 1)))
    z = z + SIGMA * rng.standard_normal(z.shape)
    z[:, 1] += 2 * np.pi * (np.arange(6) % 2)
    whole = kalman.series(0.0, truth[0], P0, np.arange(6.0), z, np.tile(SIGMA, (6, 1)), *west)
    x, P = truth[0][None], P0[None]
    for k in range(6):
        new = kalman.step(max(k - 1.0, 0.0), x, P, float(k), z[k : k + 1], SIGMA[None], *west)
        x, P = new.x, new.P
        assert np.array_equal(x[0], whole.x[k]) and np.array_equal(P[0], whole.P[k]) and new.d2[0] == whole.d2[k] < 30.0


def test_series_is_consistent():
    """NEES/6 over tracks lies in its 99 % bounds at every tenth plot."""
    runs, plots = (3, 11) if PLAIN else (100, 41)
    rng = np.random.default_rng(4)
    truth = [start()]
    for _ in range(plots - 1):
        truth.append(plain_move(truth[-1], 1.0))
    truth = np.array(truth)
    clean = np.array([plain_look(s) for s in truth])
    nees = []
    for _ in range(runs):
        x = truth[0] + np.sqrt(np.diag(P0)) * rng.standard_normal(6)
        z = clean + SIGMA * rng.standard_normal(clean.shape)
        new = kalman.series(0.0, x, P0, np.arange(float(plots)), z, np.tile(SIGMA, (plots, 1)), ORIGIN, AXES)
        e = new.x - truth
        nees.append([e[k] @ np.linalg.solve(new.P[k], e[k]) for k in range(0, plots, 10)])
    low, high = chi2.ppf([0.0005, 0.9995], 6 * runs) / runs
    mean = np.mean(nees, axis=0)
    assert np.all((mean > low) & (mean < high)), (mean, low, high)


@given(st.integers(0, 10**6), st.floats(-2.0, 5.0), st.floats(-2.0, 5.0), st.floats(-60.0, 300.0), st.sampled_from(["coast", "reentry"]))
def test_covariance_stays_positive_from_centimetres_to_a_hundred_kilometres(seed, before, after, dt, model):
    rng = np.random.default_rng(seed)
    d = kalman.MODELS[model][1]
    x = np.append(start(rng.uniform(20e3, 800e3)), np.full(d - 6, 8.0))[None]
    root = rng.standard_normal((d, d)) * 10.0**before
    P = (root @ root.T + 1e-4 * np.eye(d))[None]
    sigma = np.array([[10.0**after, 10.0 ** (after - 5), 10.0 ** (after - 5), np.nan]])
    time = 0.0
    for _ in range(3 if PLAIN else 20):
        z = frames.look(x[:, :6], ORIGIN[None], AXES[None])
        new = kalman.step(time, x, P, time + dt, z, sigma, ORIGIN, AXES, model)
        time, P = time + dt, new.P
        assert np.isfinite(new.x).all() and np.array_equal(P, np.swapaxes(P, 1, 2))
        s = np.sqrt(np.diagonal(P[0]))
        assert np.linalg.eigvalsh(P[0] / np.outer(s, s))[0] > -1e-12
        dt = abs(dt) / 100.0


def test_no_rows_no_plot_and_the_zenith():
    none = np.zeros((0, 4))
    assert len(kalman.step(0.0, np.zeros((0, 6)), np.zeros((0, 6, 6)), 1.0, none, none, ORIGIN, AXES).x) == 0
    blank = np.full((1, 4), np.nan)
    new = kalman.step(5.0, start()[None], P0[None], 5.0, blank, blank, ORIGIN, AXES)
    assert np.array_equal(new.x[0], start()) and np.array_equal(new.P[0], P0) and new.d2[0] == 0.0
    above = np.concatenate([ORIGIN + 300e3 * AXES[2], [0.0, 0.0, 0.0]])[None]
    z = np.array([[300e3, 1.0, np.pi / 2, np.nan]])
    new = kalman.step(0.0, above, P0[None], 0.0, z, SIGMA[None], ORIGIN, AXES)
    assert np.isfinite(new.x).all() and np.allclose(new.x, above, atol=1e-3) and new.d2[0] < 1e-6


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_read_only_and_strided_views_compile_nothing_new():
    z, sigma = np.broadcast_to(plain_look(start()), (1, 4)), np.broadcast_to(SIGMA, (1, 4))
    kalman.step(0.0, start()[None], P0[None], 1.0, z.copy(), sigma.copy(), ORIGIN, AXES)
    known = len(kernel.step.signatures)
    kalman.step(0.0, start()[None], P0[None], 1.0, z, sigma, ORIGIN, np.asfortranarray(AXES), noise=list(filters.NOISE))
    assert len(kernel.step.signatures) == known


BAD = {
    "model": (dict(model="cruise"), "there are: coast, reentry"),
    "shape": (dict(x=np.zeros((2, 6))), r"x has shape \(2, 6\)"),
    "z": (dict(z=np.zeros((1, 3))), r"z has shape \(1, 3\)"),
    "sigma": (dict(sigma=np.zeros((1, 4))), "row 0: z is .*positive sigma"),
    "x": (dict(x=np.full((1, 6), np.nan)), "row 0: x or P is not finite"),
    "P": (dict(P=-P0[None]), "row 0: .*variance"),
    "time": (dict(to_time=np.inf), "row 0: the time to predict over is inf"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_the_place_and_the_value(case):
    change, message = BAD[case]
    good = dict(
        time=0.0, x=start()[None], P=P0[None], to_time=1.0, z=plain_look(start())[None], sigma=SIGMA[None], origin=ORIGIN, axes=AXES
    )
    with pytest.raises(CopfuseError, match=message):
        kalman.step(**{**good, **change})
