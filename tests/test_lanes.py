"""States side by side against SciPy's integration, and against the same models one state at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from copfuse import atmosphere, filters, frames
from copfuse.kernels import earth, estimation, lanes, mach, motions

pytestmark = pytest.mark.kernels
ADDED = np.array([[10.0, -20.0, 5.0], [0, 0, 0], [8.5, 0, 0], [8.6, 15.0, -6.0], [30.0, 0.012, 0]])
PLACE = np.radians(40.0), np.radians(130.0)


def state(model, height, velocity):
    return np.concatenate([frames.ecef(*PLACE, height), np.array(velocity) @ frames.enu_axes(*PLACE), ADDED[model]])


def plain_rates(model, s, back):
    """The model's rates, its drag from the packaged air; going back lift and turn fade too."""
    d, (density, sound) = np.zeros(9), earth.air(max(frames.altitude(s[:3])[0], 0.0))
    motions.derivative(motions.MANOEUVRE if model == 0 else motions.COAST, s, d)
    v, e = s[3:6], s[3:6] / np.linalg.norm(s[3:6])
    if model in (motions.REENTRY, motions.GLIDE):
        d[3:6] -= 0.5 * density * mach.drag_factor(np.linalg.norm(v) / sound) * np.linalg.norm(v) * v / np.exp(s[6])
    if model == motions.GLIDE:
        up = s[:3] - (s[:3] @ e) * e
        up /= np.linalg.norm(up)
        d[3:6] += s[7] * up + s[8] * np.cross(e, up)
        d[7:9] = (s[7:9] if back else -s[7:9]) / 60.0
    if model == motions.BOOST:
        d[3:6] += s[6] * e
        d[6:8] = s[6] * s[7], s[7] ** 2
    return d


@pytest.mark.parametrize("dt", [0.3, 10.0, -10.0])
@pytest.mark.parametrize(
    ("height", "velocity"), [(35e3, (1500.0, -500.0, 700.0)), (12e3, (600.0, -300.0, -700.0)), (130e3, (-3000.0, 1000.0, -2500.0))]
)
def test_all_models_side_by_side_move_as_they_are_defined(height, velocity, dt):
    """More states than lanes, models mixed; the tolerances are those of one state at a time in the filters' tests."""
    kind = np.resize([3, 0, 2, 4, 1], 3 * lanes.LANES + 5)
    rows = np.array([state(j, height, velocity) for j in kind])
    lanes.move(rows, kind, len(kind) - 1, dt, np.zeros(lanes.WORK))
    for j, n in enumerate(motions.DIMENSION):
        s = state(j, height, velocity)
        exact = solve_ivp(lambda t, y, j=j: plain_rates(j, y, dt < 0), (0.0, dt), s, method="DOP853", rtol=1e-9, atol=1e-6).y[:, -1]
        for moved in rows[:-1][kind[:-1] == j]:
            np.testing.assert_allclose(moved[:3], exact[:3], rtol=0, atol=0.5)
            np.testing.assert_allclose(moved[3:n], exact[3:n], rtol=1e-3, atol=0.05)
            np.testing.assert_array_equal(moved[n:], s[n:])
    np.testing.assert_array_equal(rows[-1], state(kind[-1], height, velocity))  # it was not asked for


@pytest.mark.parametrize("model", range(motions.N_MODEL))
def test_one_step_is_that_of_one_state_at_a_time(model):
    rows = np.array([state(model, 90e3 + 1e3 * i, (1500.0, 100.0 * i, 700.0)) for i in range(5)])
    plain, work = rows.copy(), (np.zeros((4, 9)), np.zeros(9))
    lanes.move(rows, np.full(5, model), 5, 0.9, np.zeros(lanes.WORK))
    for s in plain:
        motions.propagate(model, motions.DIMENSION[model], s, 0.9, *work)
    np.testing.assert_allclose(rows, plain, rtol=1e-9, atol=1e-7)


def test_density_is_that_of_the_standard():
    """Also at the ends of its layers and of the pieces; 3e-7 is promised."""
    ends = [6356766.0 * g / (6356766.0 - g) for g in (11e3, 20e3, 32e3, 47e3, 51e3, 71e3)]
    h = np.concatenate([np.linspace(0.0, 150e3 - 1.0, 400), ends, [86e3 - 1e-3, 86e3, 91e3, 150e3 - 1e-3]])
    np.testing.assert_allclose([lanes.thickness(q) for q in h], atmosphere.density(h), rtol=3e-7)


def test_models_together_are_the_models_one_by_one():
    x6, P6 = state(1, 60e3, (1500.0, -500.0, 700.0))[None, :6], np.diag([200.0**2] * 3 + [15.0**2] * 3)[None]
    bank = filters.bank(0.0, x6, P6, [[0.1, 0.6, 1e-9, 0.2, 0.1]], acceleration_sigma=[5.0])
    x, P, square, points = bank.x[0].copy(), bank.P[0].copy(), np.zeros((9, 9)), np.zeros((estimation.MOST, 9))
    kind, w = np.zeros(estimation.MOST, np.int64), np.zeros(lanes.WORK)
    estimation.predict_models(x, P, bank.mu[0], 1.0, filters.NOISE, square, points, kind, w)
    np.testing.assert_array_equal(x[2], bank.x[0, 2])  # asleep
    np.testing.assert_array_equal(P[2], bank.P[0, 2])
    for j in (0, 1, 3, 4):
        n, plain, cov = motions.DIMENSION[j], bank.x[0, j].copy(), bank.P[0, j].copy()
        mean = plain.copy()
        estimation.predict_model(j, n, plain, cov, 1.0, filters.NOISE, square, points, np.zeros((4, 9)), np.zeros(9))
        np.testing.assert_allclose(x[j], plain, rtol=1e-12, atol=1e-6)
        np.testing.assert_allclose(P[j], cov, rtol=1e-6, atol=1e-6 * np.sqrt(cov.max()))
        points[: 2 * n] = np.nan
        lanes.scatter(n, mean, bank.P[0, j].copy(), square, points)
        np.testing.assert_allclose(points[: 2 * n, :n].mean(axis=0), mean[:n], rtol=1e-12)
        np.testing.assert_allclose(np.cov(points[: 2 * n, :n].T, ddof=0), bank.P[0, j, :n, :n], rtol=1e-6, atol=1e-5)
        lanes.gather(n, points, mean, cov)
        np.testing.assert_allclose(cov[:n, :n], bank.P[0, j, :n, :n], rtol=1e-6, atol=1e-5)
