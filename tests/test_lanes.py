"""States side by side against SciPy's integration, and against the same models one state at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from copfuse import atmosphere, filters, frames
from copfuse.kernels import earth, estimation, lanes, mach, motions, njit, pull
from copfuse.kernels.eights import (
    above,
    eight,
    eight_at,
    fours,
    larger,
    put,
    put_at,
    root,
    size,
    smaller,
    where_below,
    whole,
)
from copfuse.kernels.small import columns

pytestmark = pytest.mark.kernels
ADDED = np.array([[10.0, -20.0, 5.0], [0, 0, 0], [8.5, 30.0, -20.0], [8.6, 15.0, -6.0], [30.0, 0.012, 0]])
PLACE = np.radians(40.0), np.radians(130.0)


def state(model, height, velocity):
    return np.concatenate([frames.ecef(*PLACE, height), np.array(velocity) @ frames.enu_axes(*PLACE), ADDED[model]])


@njit
def thickness(h, out):
    put(pull.thickness(eight(h)), out)


@njit
def powers(x, out):
    put(pull.exponential(eight(x)), out)


@njit
def pulls(s, out):
    """Of eight states, a column each: distance, 1 over its square, height, drag over speed, acceleration."""
    x, y, z, vx, vy, vz = eight(s[0]), eight(s[1]), eight(s[2]), eight(s[3]), eight(s[4]), eight(s[5])
    r, over2, h = pull.away(x, y, z)
    v = root(vx * vx + vy * vy + vz * vz)
    k = pull.limited(pull.half_densities(h) * v * mach.factors_at(h, v) * eight(s[6]), v)
    ax, ay, az = pull.pulled(x, y, z, vx, vy, vz, r, over2, k)
    for i, numbers in enumerate((r, over2, h, k, ax, ay, az)):
        put(numbers, out[i])


@njit
def factors(h, v, out):
    put(mach.factors_at(eight(h), eight(v)), out)


@njit
def reckon(one, other, table, numbers, out):
    a, b = eight(one), eight_at(other, 0)
    put(2.0 - a * b / 3.0, out[0])
    put((a + b) - b * 2.0, out[1])
    put(1.0 / (a + 1.0) + b, out[2])
    put(larger(a, b), out[3])
    put(smaller(a, 2.0), out[4])
    put(root(b), out[5])
    put(whole(a), out[6])
    put(size(a), out[7])
    put(where_below(a, 3.0, b, a), out[8])
    put_at(a, out[9], 0)
    for i, column in enumerate(fours(table, eight(numbers))):
        put(column, out[10 + i])
    out[14, 0], out[14, 1] = above(b * b + 1.0, -1.0) or above(eight(numbers), -1.0), above(eight(numbers), 0.0)


def plain_rates(model, s, back):
    """The model's rates, its drag from the packaged air; going back lift and turn fade too."""
    d, (density, sound) = np.zeros(9), earth.air(max(frames.altitude(s[:3])[0], 0.0))
    motions.derivative(motions.MANOEUVRE if model == 0 else motions.COAST, s, d)
    v, e = s[3:6], s[3:6] / np.linalg.norm(s[3:6])
    if model in (motions.REENTRY, motions.GLIDE):
        axes = frames.enu_axes(np.arctan2(s[2], np.hypot(s[0], s[1])), np.arctan2(s[1], s[0]))  # on a sphere
        through = v - s[7:9] @ axes[:2] if model == motions.REENTRY else v
        speed = np.linalg.norm(through)
        d[3:6] -= 0.5 * density * mach.drag_factor(speed / sound) * speed * through / np.exp(s[6])
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
    h, found = np.append(h, np.zeros(-len(h) % 8)).reshape(-1, 8), np.zeros(8)
    for row in h:
        thickness(row, found)
        np.testing.assert_allclose(found, atmosphere.density(row), rtol=3e-7)


def test_powers_of_e_are_the_math_librarys():
    """To 2e-15 of themselves, also where they must not come out as infinite or nought."""
    x, found = (
        np.append(np.linspace(-700.0, 700.0, 1991), [0.0, -0.0, 1e-300, 0.5 * np.log(2.0), -0.5 * np.log(2.0), np.nan, 1e9, -np.inf, 8.5]),
        np.zeros(8),
    )
    for row in x.reshape(-1, 8):
        powers(row, found)
        np.testing.assert_allclose(found, np.exp(np.clip(row, -700.0, 700.0)), rtol=2e-15)
        powers(np.roll(row, 3), out := np.zeros(8))
        np.testing.assert_array_equal(out, np.roll(found, 3))  # each as if it were alone


def test_eight_falls_are_pulled_as_each_alone():
    """To the bit, also where one of them comes to the limit of drag, and so all are asked whether they do."""
    heights = np.array([-300.0, 100.0, 9e3, 25e3, 60e3, 86e3, 149e3, 400e3])
    s, both = np.array([[*frames.ecef(*PLACE, h), 1500.0, -2500.0, 700.0, 1e-4] for h in heights]), np.zeros((2, 7, 8))
    pulls(np.ascontiguousarray(s.T), both[0])
    s[1, 6] = 1.0
    pulls(np.ascontiguousarray(s.T), both[1])
    for i, row in enumerate(s):
        (r, over2, h), v = pull.away(*row[:3]), np.sqrt(row[3] * row[3] + row[4] * row[4] + row[5] * row[5])
        *a, _, k, _ = pull.flow(*row)
        assert k == pull.slowed(pull.half_density(h), mach.factor_at(h, v), v, row[6]) and a == list(pull.pulled(*row[:6], r, over2, k))
        np.testing.assert_array_equal(both[1, :, i], [r, over2, h, k, *a])
        assert np.array_equal(both[0, :, i], both[1, :, i]) == (i != 1)
    assert both[1, 3, 1] == motions.DRAG_MOST / (v + 1.0)


@pytest.mark.parametrize("height", [-200.0, 5e3, 25e3, 85.9e3, 86.1e3, 120e3, 149.9e3, 150.1e3])
def test_drag_for_process_noise_is_nearly_that_of_the_models(height):
    for speed in (300.0, 1500.0, 6000.0):
        s = np.array([*frames.ecef(*PLACE, height), speed, 0.0, 0.0])
        assert pull.drag_near(s, 8.5) == pytest.approx(motions.drag_of(s, 8.5), rel=2e-5)
    assert pull.drag_near(s, -5.0) == (motions.DRAG_MOST / 6001.0 if height < 90e3 else pytest.approx(motions.drag_of(s, -5.0), rel=2e-5))
    assert np.isnan(pull.drag_near(np.full(6, np.nan), 8.5))


def test_numbers_eight_at_a_time_are_those_one_by_one():
    """Sums, quotients and choices to the bit as numpy's, also of nan, and with one number for all eight; the rows of a table."""
    a, b = np.array([3.7, -2.5, np.nan, 0.0, 7e300, 1e-300, -0.0, 9.0]), np.array([1.5, -3.5, 2.0, np.nan, 7e-5, 4.0, 0.0, 9.0])
    out, table = np.full((16, 8), 5.0), np.arange(40.0).reshape(10, 4) ** 2
    with np.errstate(all="ignore"):
        reckon(a, b, table, np.array([9.0, 0.0, 3.0, 3.0, 7.0, 1.0, 2.0, 8.0]), out)
        plain = [2.0 - a * b / 3.0, (a + b) - b * 2.0, 1.0 / (a + 1.0) + b, np.where(a > b, a, b), np.where(a < 2.0, a, 2.0)]
        plain += [np.sqrt(b), np.floor(a), np.abs(a), np.where(a < 3.0, b, a), a]
    plain += [*table[[9, 0, 3, 3, 7, 1, 2, 8]].T, np.array([1.0, 0.0] + [5.0] * 6), np.full(8, 5.0)]
    np.testing.assert_array_equal(out, plain)


def test_the_drag_factors_of_eight_are_those_of_each():
    h, v, found = np.array([-300.0, 700.0, 5e3, 15.1e3, 27e3, 80e3, 1e6, np.nan]), np.linspace(200.0, 3e3, 8), np.zeros(8)
    factors(h, v, found)
    np.testing.assert_array_equal(found, [mach.factor_at(*both) for both in zip(h, v, strict=True)])


def test_models_together_are_the_models_one_by_one():
    x6, P6 = state(1, 60e3, (1500.0, -500.0, 700.0))[None, :6], np.diag([200.0**2] * 3 + [15.0**2] * 3)[None]
    bank = filters.bank(0.0, x6, P6, [[0.1, 0.6, 1e-9, 0.2, 0.1]], acceleration_sigma=[5.0])
    x, P, square, points = bank.x[0].copy(), bank.P[0].copy(), np.zeros((9, 9)), np.zeros((estimation.MOST, 9))
    kind, w, roots = np.zeros(estimation.MOST, np.int64), np.zeros(lanes.WORK), np.zeros((motions.N_MODEL, 9, 9))
    estimation.predict_models(x, P, bank.mu[0], 1.0, filters.NOISE, roots, square, points, kind, w)
    np.testing.assert_array_equal(x[2], bank.x[0, 2])  # asleep
    np.testing.assert_array_equal(P[2], bank.P[0, 2])
    for j in (0, 1, 3, 4):
        n, plain, cov = motions.DIMENSION[j], bank.x[0, j].copy(), bank.P[0, j].copy()
        mean = plain.copy()
        estimation.predict_model(j, n, plain, cov, 1.0, filters.NOISE, square, points, np.zeros((4, 9)), np.zeros(9))
        np.testing.assert_allclose(x[j], plain, rtol=1e-12, atol=1e-6)
        np.testing.assert_allclose(P[j], cov, rtol=1e-6, atol=1e-6 * np.sqrt(cov.max()))
        points[: 2 * n] = np.nan
        columns(bank.P[0, j].copy(), n, square, np.zeros(9))
        lanes.scatter(n, mean, square, points)
        np.testing.assert_allclose(points[: 2 * n, :n].mean(axis=0), mean[:n], rtol=1e-12)
        np.testing.assert_allclose(np.cov(points[: 2 * n, :n].T, ddof=0), bank.P[0, j, :n, :n], rtol=1e-6, atol=1e-5)
        lanes.gather(n, points, mean, cov)
        np.testing.assert_allclose(cov[:n, :n], bank.P[0, j, :n, :n], rtol=1e-6, atol=1e-5)
