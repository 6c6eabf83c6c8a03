"""Every compiled kernel against plain numpy and scipy: formulas and constants written again, nothing from the package but the kernel."""

from __future__ import annotations

import ast
from pathlib import Path

import numba
import numpy as np
import pytest
from scipy import integrate, linalg, stats

from copfuse import frames
from copfuse.kernels import (
    arc,
    bending,
    borrowing,
    consider,
    curved,
    earth,
    eights,
    estimation,
    extended,
    falls,
    flight,
    forecast,
    mach,
    motions,
    njit,
    pairwise,
    pull,
    ray,
    sights,
    small,
    wander,
)

pytestmark = pytest.mark.kernels

MU, J2, OMEGA = 3.986004418e14, 1.08262982e-3, 7.292115e-5
A, B = 6378137.0, 6378137.0 * (1.0 - 1.0 / 298.257223563)
SPIN = np.array([0.0, 0.0, OMEGA])
PLACES = np.array([[3.1e6, 4.4e6, 3.6e6], [-2.0e6, 1.5e6, 6.3e6], [6.9e6, -1.0e5, -2.0e5]])  # m, Earth-fixed, about 100 to 550 km up
VELOCITY = np.array([-1200.0, 2300.0, 900.0])  # m/s


def plain_fall(r, v):
    """Gradient of the J2 potential (central differences over 200 m) and the two terms of the rotating frame."""

    def potential(q):
        d = np.linalg.norm(q)
        return MU / d * (1.0 - J2 * A**2 / (2.0 * d**2) * (3.0 * q[2] ** 2 / d**2 - 1.0))

    pull = np.array([(potential(r + e) - potential(r - e)) / 200.0 for e in 100.0 * np.eye(3)])
    return pull, pull - 2.0 * np.cross(SPIN, v) - np.cross(SPIN, np.cross(SPIN, r))


def plain_point(lat, lon, h):
    n = A / np.sqrt(1.0 - (1.0 - (B / A) ** 2) * np.sin(lat) ** 2)
    return np.array([(n + h) * np.cos(lat) * np.cos(lon), (n + h) * np.cos(lat) * np.sin(lon), ((B / A) ** 2 * n + h) * np.sin(lat)])


def plain_altitude(r):
    """Height along the ellipsoid's normal, by fixed-point iteration."""
    p, lat = np.hypot(r[0], r[1]), np.arctan2(r[2], np.hypot(r[0], r[1]))
    for _ in range(8):
        n = A / np.sqrt(1.0 - (1.0 - (B / A) ** 2) * np.sin(lat) ** 2)
        lat = np.arctan2(r[2] + (1.0 - (B / A) ** 2) * n * np.sin(lat), p)
    return p * np.cos(lat) + r[2] * np.sin(lat) - A * np.sqrt(1.0 - (1.0 - (B / A) ** 2) * np.sin(lat) ** 2)


def plain_density(h):
    """US Standard Atmosphere 1976 below 86 km, by its layers."""
    geo, p, base, warm = 6356766.0 * h / (6356766.0 + h), 101325.0, 0.0, 288.15
    tops, lapses = (11e3, 20e3, 32e3, 47e3, 51e3, 71e3, 1e6), (-6.5e-3, 0.0, 1e-3, 2.8e-3, 0.0, -2.8e-3, -2e-3)
    for top, lapse in zip(tops, lapses, strict=True):
        rise = min(geo, top) - base
        t = warm + lapse * rise
        heavy = 9.80665 * 0.0289644 / 8.31432
        p *= (warm / t) ** (heavy / lapse) if lapse else np.exp(-heavy * rise / warm)
        base, warm = base + rise, t
    return p * 0.0289644 / (8.31432 * warm)


def plain_sound(h):
    """Speed of sound of the US Standard Atmosphere 1976 below 86 km: the temperature of its layers."""
    tops = [0.0, 11e3, 20e3, 32e3, 47e3, 51e3, 71e3, 84852.0]
    warm = np.interp(6356766.0 * h / (6356766.0 + h), tops, [288.15, 216.65, 216.65, 228.65, 270.65, 270.65, 214.65, 186.946])
    return np.sqrt(1.4 * 8.31432 / 0.0289644 * warm)


DRAG_CURVE = ([0.0, 0.7, 0.95, 1.1, 1.3, 2.0, 3.0, 5.0], [1.30, 1.30, 1.75, 2.30, 2.25, 1.75, 1.35, 1.0])


def plain_drag(s, log_beta):
    """Deceleration vector by drag below 86 km."""
    h, speed = max(plain_altitude(s[:3]), 0.0), np.linalg.norm(s[3:6])
    return -0.5 * plain_density(h) * np.interp(speed / plain_sound(h), *DRAG_CURVE) * speed * s[3:6] / np.exp(log_beta)


def plain_flow(s, extra=None):
    push = 0.0 if extra is None else extra
    return np.concatenate([s[3:6], plain_fall(s[:3], s[3:6])[1] + push])


def plain_measure(s, origin, axes, cosines):
    e, n, u = axes @ (s[:3] - origin)
    r = np.sqrt(e**2 + n**2 + u**2)
    angles = (e / r, u / r) if cosines else (np.arctan2(e, n), np.arctan2(u, np.hypot(e, n)))
    return np.array([r, *angles, (s[:3] - origin) @ s[3:6] / r])


def stopping(event):
    """An event at which scipy's integration ends."""
    event.terminal = True
    return event


def turned(angle):
    """The same angle between -pi and pi."""
    return np.angle(np.exp(1j * angle))


def deviation(z, about, cosines):
    d = z - about
    if not cosines:
        d[..., 1] = turned(d[..., 1])
        d[..., 2] = turned(d[..., 2])
    return d


def plain_moments(x, P, origin, axes, cosines):
    """Mean, covariance and cross-covariance of the measurement by the third-degree cubature rule."""
    n = len(x)
    spread = np.sqrt(n) * np.linalg.cholesky(P)
    points = x + np.concatenate([spread.T, -spread.T])
    about = plain_measure(x, origin, axes, cosines)
    d = deviation(np.array([plain_measure(p, origin, axes, cosines) for p in points]), about, cosines)
    left = d - d.mean(axis=0)
    return about + d.mean(axis=0), left.T @ left / (2 * n), (points - x).T @ left / (2 * n)


def differences(function, x, steps):
    return np.array([(function(x + e) - function(x - e)) / (2.0 * h) for e, h in zip(np.diag(steps), steps, strict=True)]).T


def covariance(n, seed, scale=1.0):
    root = np.random.default_rng(seed).normal(size=(n, n)) + 2.0 * np.eye(n)
    return scale * root @ root.T


def sensor():
    """Origin and axes (east, north, up) of a place in Korea's longitudes, on a sphere."""
    lat, lon = 0.65, 2.2
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    return 6.37e6 * up, np.array([east, np.cross(up, east), up])


def target(east, north, up):
    origin, axes = sensor()
    return np.concatenate([origin + np.array([east, north, up]) @ axes, np.array([300.0, -2000.0, -500.0]) @ axes])


def tracks(east, north):
    """One track of five models about a target; its covariances are a few hundred metres and some tens of m/s wide."""
    x, P = np.zeros((1, 5, 9)), np.zeros((1, 5, 9, 9))
    unit = np.array([300.0] * 3 + [20.0] * 3 + [1.0] * 3)
    for j in range(5):
        x[0, j, :6] = target(east, north, 90e3) + 100.0 * np.random.default_rng(j).normal(size=6) * ([1.0] * 3 + [0.1] * 3)
        x[0, j, 6:] = 5.0, 0.01, 0.0
        P[0, j] = covariance(9, 10 + j) * np.outer(unit, unit) / 10.0
    return x, P


# --- earth and motions


@pytest.mark.parametrize("r", PLACES)
def test_gravity_is_the_gradient_of_the_potential_in_a_turning_frame(r):
    pull, free = plain_fall(r, VELOCITY)
    np.testing.assert_allclose(earth.gravitation(*r), pull, atol=1e-8)
    np.testing.assert_allclose(earth.free_acceleration(*r, *VELOCITY[:2]), free, atol=1e-8)
    k, G = np.zeros((4, 7)), np.zeros((4, 3, 7))
    extended.free_fall(np.concatenate([r, VELOCITY]), 2, k, G)
    np.testing.assert_allclose(k[2, 3:6], free, atol=1e-8)
    slopes = differences(lambda q: np.array(earth.free_acceleration(*q, *VELOCITY[:2])), r, np.full(3, 50.0))
    np.testing.assert_allclose(G[2, :, :3], slopes, atol=1e-15, rtol=1e-7)


def test_altitude_inverts_the_geodetic_formulas():
    rows = [(lat, lon, h) for lat in (-1.5, -0.7, 0.0, 0.6, 1.2) for lon in (-2.0, 0.3) for h in (0.0, 3e4, 5e6)]
    points, out = np.array([plain_point(*row) for row in rows]), np.empty(len(rows))
    earth.altitudes(points, out)
    np.testing.assert_allclose(out, [h for *_, h in rows], atol=1e-3)  # below 1 mm is promised
    np.testing.assert_array_equal(out, [earth.altitude(*p) for p in points])


@pytest.mark.parametrize("share", [1.0, 0.4, 0.18, 0.13])
@pytest.mark.parametrize("h", [-500.0, 5e3, 15e3, 25e3, 60e3, 80e3])
def test_drag_is_half_density_times_speed_over_beta(h, share):
    """At Mach numbers from 6 down to where the coefficient is level."""
    s = np.array([*plain_point(0.6, 2.2, h), 900.0 * share, -1500.0 * share, -700.0 * share, np.log(6000.0)])
    by = motions.drag_of(s, s[6])
    np.testing.assert_allclose(-by * s[3:6], plain_drag(s, s[6]), rtol=1e-6)
    k, G = np.zeros((4, 7)), np.zeros((4, 3, 7))
    extended.add_drag(s, 1, k, G)
    np.testing.assert_allclose(k[1, 3:6], plain_drag(s, s[6]), rtol=1e-6)
    slopes = differences(lambda q: plain_drag(q, q[6]), s, np.array([1.0] * 3 + [0.1] * 3 + [1e-4]))
    # the vertical is right to 1e-4 only, as its comment says
    scale = abs(slopes).max(axis=0).clip(1e-300)
    np.testing.assert_allclose(G[1] / scale, slopes / scale, atol=2e-4)


def test_wind_is_level_and_drag_is_that_of_the_velocity_through_it():
    """Re-entry's rates in a wind are the plain form's of what is left of the velocity."""
    s = np.array([*plain_point(0.6, 2.2, 12e3), 500.0, -300.0, -200.0, np.log(900.0), 30.0, -20.0])
    east, r = np.array([-s[1], s[0], 0.0]) / np.hypot(s[0], s[1]), np.linalg.norm(s[:3])
    wind = s[7] * east + s[8] * np.cross(s[:3] / r, east)
    np.testing.assert_allclose(earth.wind_at(*s[:3], s[7], s[8]), wind, atol=1e-12)
    assert abs(wind @ s[:3]) < 1e-9 * r and np.linalg.norm(wind) == pytest.approx(np.hypot(30.0, 20.0), rel=1e-12)
    through, d = s[:7].copy(), np.zeros(9)
    through[3:6] -= wind
    motions.derivative(motions.REENTRY, s, d)
    braked = d[3:6] - np.array(earth.free_acceleration(*s[:3], *s[3:5]))
    np.testing.assert_allclose(braked, plain_drag(through, s[6]), rtol=1e-6)
    speed = np.linalg.norm(through[3:6])
    assert motions.drag_at(s, speed, s[6]) == pytest.approx(np.linalg.norm(plain_drag(through, s[6])) / speed, rel=1e-6)
    assert not d[6:].any()


def test_drag_has_a_ceiling_and_a_greatest_value():
    high, deep = np.array([A + 150.1e3, 0, 0, 0, 7000.0, 0.0, 8.0]), np.array([A - 1e3, 0, 0, -7000.0, 0, 0, 2.0])
    assert motions.drag_of(high, 8.0) == 0.0
    assert motions.drag_of(deep, 2.0) == pytest.approx(3000.0 / 7001.0, rel=1e-12)


@pytest.mark.parametrize("h", [2e3, 15e3, 25e3, 40e3, 49e3, 60e3, 75e3])
def test_thinning_is_the_slope_of_the_logarithms_of_density_and_sound(h):
    slopes = [(np.log(of(h + 1.0)) - np.log(of(h - 1.0))) / 2.0 for of in (plain_density, plain_sound)]
    np.testing.assert_allclose(extended.thinning(h), slopes, rtol=1e-6, atol=1e-15)
    assert extended.thinning(88e3) == pytest.approx((np.log(3.416e-6 / 6.958e-6) / 4e3, 0.0), rel=1e-9)  # the standard's table IV
    assert extended.thinning(2e6) == (0.0, 0.0)


def test_models_have_the_components_that_they_say():
    assert [motions.dimension(model) for model in range(5)] == [9, 6, 9, 9, 8]


def test_up_and_right_are_normal_to_the_velocity():
    s = np.array([*PLACES[0], *VELOCITY])
    speed, *e = motions.ahead(s)
    assert speed == pytest.approx(np.linalg.norm(VELOCITY), rel=1e-15)
    np.testing.assert_allclose(e, VELOCITY / speed, rtol=1e-6)  # 1 mm/s in the divisor
    frame = np.array([e, *np.reshape(motions.across(s, *(VELOCITY / speed)), (2, 3))])
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-6)
    assert frame[1] @ s[:3] > 0.0
    np.testing.assert_allclose(frame[2], np.cross(frame[0], frame[1]), atol=1e-6)
    north = motions.across(np.array([A, 0.0, 0.0, 0.0, 0.0, 100.0]), 0.0, 0.0, 1.0)
    np.testing.assert_allclose(north, [1, 0, 0, 0, 1, 0], atol=1e-12)  # northwards on the equator, right is east


@pytest.mark.parametrize(("tilt", "length"), [(0.0, 0.0), (1e-4, 0.1), (2e-3, 1.0), (0.3, 1.0)])
def test_up_fades_out_in_vertical_flight(tilt, length):
    s = np.array([A, 0.0, 0.0, -np.cos(tilt), 0.0, np.sin(tilt)])
    across = motions.across(s, *s[3:])
    assert np.linalg.norm(across[:3]) == pytest.approx(length, abs=1e-4)
    assert np.linalg.norm(across[3:]) == pytest.approx(length, abs=1e-4)


# --- small and estimation


def test_forward_substitution():
    lower, b = np.tril(covariance(5, 1)), np.arange(1.0, 6.0)
    expected = np.append(linalg.solve_triangular(lower[:4, :4], b[:4], lower=True), 5.0)
    small.solve_lower(lower, 4, b)
    np.testing.assert_allclose(b, expected, rtol=1e-12)


def test_wrap_is_the_angle_of_the_unit_circle():
    angles = np.array([-20.0, -3.2, -1.0, 0.0, 3.0, 3.2, 7.0, 100.0])
    np.testing.assert_allclose([sights.wrap(a) for a in angles], turned(angles), atol=1e-13)
    assert sights.wrap(np.pi) == -np.pi


def test_combine_gives_the_moments_of_the_mixture():
    x, P = tracks(200e3, 10e3)
    mu, x6, P6 = np.array([0.1, 0.3, 0.2, 0.15, 0.25]), np.zeros(6), np.zeros((6, 6))
    estimation.combine(x[0], P[0], mu, x6, P6)
    mean = np.average(x[0, :, :6], axis=0, weights=mu)
    spread = np.cov(x[0, :, :6].T, aweights=mu, ddof=0)
    np.testing.assert_allclose(x6, mean, rtol=1e-14)
    np.testing.assert_allclose(P6, np.einsum("i,iab", mu, P[0, :, :6, :6]) + spread, rtol=1e-9, atol=1e-5)
    assert [estimation.likeliest(np.roll(mu, shift)) for shift in range(5)] == [1, 2, 3, 4, 0]


def test_firming_lifts_the_leading_diagonal_by_a_rounding():
    P, units = covariance(4, 2), np.finfo(float).eps
    before = P.copy()
    small.firm_up(P, 3)
    share = np.diag(P - before) / np.diag(before)
    assert np.all(np.abs(share - [1e-14, 1e-14, 1e-14, 0.0]) <= units)
    assert np.all((before == P) | np.eye(4, dtype=bool))


@pytest.mark.parametrize("sleeper", [0, 2])
def test_a_sleeping_model_follows_the_leader(sleeper):
    x, P = tracks(200e3, 10e3)
    x, P, own = x[0], P[0], P[0, sleeper].copy()
    mean = np.concatenate([x[1, :6], np.zeros(3) if sleeper == 0 else [x[2, 6], 0.0, 0.0]])
    estimation.follow(sleeper, 1, x, P)
    np.testing.assert_array_equal(x[sleeper], mean)
    tail = 900.0 * np.eye(3) if sleeper == 0 else np.diag([own[6, 6], motions.WIND**2, motions.WIND**2])
    np.testing.assert_array_equal(P[sleeper], linalg.block_diag(P[1, :6, :6], tail))


@pytest.mark.parametrize("cosines", [0, 1])
@pytest.mark.parametrize("n", [6, 9])
def test_regression_is_the_cubature_rule(n, cosines):
    x, P = tracks(1e3, -80e3)  # due south, where azimuth wraps
    x, P, (origin, axes) = x[0, 0, :n].copy(), P[0, 0, :n, :n].copy(), sensor()
    seen = np.zeros((sights.ROWS, 9))
    sights.regress(n, x, np.pad(P, (0, 9 - n)), origin, axes, cosines, seen, np.zeros(sights.WORK))
    slopes, Z, bent = (seen[place : place + 4] for place in (sights.SLOPES, sights.SPREAD, sights.BENT))
    lower, mean, Z = seen[sights.ROOT : sights.SLOPES].T, seen[sights.MEAN, :4], Z[:, :4]
    want, S, cross = plain_moments(x, P, origin, axes, cosines)
    unit = np.sqrt(np.diag(S))
    np.testing.assert_allclose(deviation(mean, want, cosines) / unit, np.zeros(4), atol=1e-9)
    np.testing.assert_allclose(Z / np.outer(unit, unit), S / np.outer(unit, unit), atol=1e-9)
    got = lower[:n, :n] @ slopes[:, :n].T
    np.testing.assert_allclose(got / unit / np.sqrt(np.diag(P))[:, None], cross / unit / np.sqrt(np.diag(P))[:, None], atol=1e-9)
    line = linalg.solve(P, cross, assume_a="pos")
    left = S - cross.T @ line  # what no line explains
    np.testing.assert_allclose((bent[:, :7] @ bent[:, :7].T) / np.outer(unit, unit), left / np.outer(unit, unit), atol=1e-8)
    assert np.all(np.abs(bent[:, :7]).max(axis=1) > 0.0)


def test_squares_and_sums_of_rows():
    rng = np.random.default_rng(4)
    rows, weight, out, P = rng.standard_normal((12, 9)), rng.standard_normal((5, 3)), np.zeros(9), np.zeros((7, 7))
    small.blend(weight, 2, rows, 5, out)
    np.testing.assert_allclose(out, weight[:, 2] @ rows[:5], rtol=1e-13, atol=1e-14)
    small.squares(rows, 11, 7, 0.5, P)
    np.testing.assert_allclose(P, 0.5 * rows[:11, :7].T @ rows[:11, :7], rtol=1e-13, atol=1e-14)
    np.testing.assert_array_equal(P, P.T)
    small.hand(rows[3], out)
    np.testing.assert_array_equal(out, rows[3])


@pytest.mark.parametrize("count", [8, 36, 45])
def test_numbers_are_handed_on_and_no_further_ones(count):
    rows = np.random.default_rng(4).standard_normal((6, 9))
    others = np.full((6, 9), 7.0)
    small.hand_all(rows, others, count)
    np.testing.assert_array_equal(others.ravel(), [*rows.ravel()[:count], *np.full(54 - count, 7.0)])


@njit
def _some_run(array, first, n):
    part = eights.run(array, first, n)
    part[n - 1] += 1.0
    return part.shape, part.size, part[0].copy(), eights.run(part, n, 0).size


@pytest.mark.parametrize("shape", [(6, 2), (6, 2, 3), (6, 2, 3, 4)])
def test_a_run_is_a_slice(shape):
    array = np.arange(float(np.prod(shape))).reshape(shape)
    want = array.copy()
    size, count, begin, none = _some_run(array, 2, 3)
    want[4] += 1.0
    np.testing.assert_array_equal(array, want)
    assert size == want[2:5].shape and count == want[2:5].size and none == 0
    np.testing.assert_array_equal(begin, want[2])


@njit
def _some_eights(row, other, n, out, whole):
    eights.put_first(2.0 * eights.eight(row) + (eights.nought() - eights.eight(other)) / 3.0, out, n)
    eights.put(eights.eight(other), whole)


@njit
def _some_turned(rows, n, out, both):
    a, b, c, d = eights.eight(rows[0]), eights.eight(rows[1]), eights.eight(rows[2]), eights.eight(rows[3])
    e, f, g, h = eights.eight(rows[4]), eights.eight(rows[5]), eights.eight(rows[6]), eights.eight(rows[7])
    eights.turn(a, b, c, d, e, f, g, h, out, 9)
    eights.put(eights.joined(a, b, n), both)


def test_eights_are_turned_and_joined():
    rows, out, both = np.random.default_rng(3).normal(size=(8, 9)), np.full(72, np.nan), np.zeros(8)
    _some_turned(rows, 3, out, both)
    np.testing.assert_array_equal(out.reshape(8, 9)[:, :8], rows[:, :8].T)
    assert np.isnan(out[8::9]).all()  # between them nothing is touched
    np.testing.assert_array_equal(both, [*rows[0, :3], *rows[1, 3:8]])


@pytest.mark.parametrize("n", [6, 7, 8, 9])
def test_eights_are_rows_of_numpy_and_touch_no_further_places(n):
    row, other = np.random.default_rng(3).standard_normal((2, 9))
    place, whole = np.full(10, 7.0), np.full(9, 7.0)
    _some_eights(row, other, n, place[:n], whole)
    np.testing.assert_array_equal(place[: min(n, 8)], (2.0 * row + (0.0 - other) / 3.0)[: min(n, 8)])
    np.testing.assert_array_equal(place[min(n, 8) :], 7.0)
    np.testing.assert_array_equal(whole, [*other[:8], 7.0])


def test_wide_and_narrow_angles_are_regressed_alike():
    """A point a degree off by the series, far round the sensor by the arc tangent: the same regression where both are asked."""
    origin, axes = sensor()
    x = np.concatenate([origin + axes.T @ [20e3, -50e3, 30e3], VELOCITY])
    for size in (1.0, 300.0, 12e3, 30e3):  # m
        P = covariance(6, 5) * np.outer([size] * 3 + [1.0] * 3, [size] * 3 + [1.0] * 3)
        seen = np.zeros((sights.ROWS, 9))
        sights.regress(6, x, np.pad(P, (0, 3)), origin, axes, 0, seen, np.zeros(sights.WORK))
        want, S, _ = plain_moments(x, P, origin, axes, 0)
        unit = np.sqrt(np.diag(S))
        np.testing.assert_allclose(deviation(seen[sights.MEAN, :4], want, 0) / unit, np.zeros(4), atol=1e-8)
        np.testing.assert_allclose(seen[sights.SPREAD :][:4, :4] / np.outer(unit, unit), S / np.outer(unit, unit), atol=1e-8)


def test_an_update_of_what_was_expected_is_the_same_to_the_bit():
    """`update` takes the regressions that `expect_pairs` has left, or makes its own."""
    (x, P, z), (origin, axes) = scene(), sensor()
    seen, d2, loglik = np.zeros((1, 5, sights.ROWS, 9)), np.zeros(1), np.zeros(1)
    pairwise.expect_pairs(x, P, WEIGHT[None], origin, axes, 0, z, SIGMA, np.array([0, 1]), np.array([0]), np.inf, d2, loglik, seen)
    out = []
    for known in (seen, seen[:0]):
        new = x.copy(), P.copy(), WEIGHT[None].copy(), np.zeros((1, 6)), np.zeros((1, 6, 6))
        estimation.update(*new[:3], origin, axes, 0, z[:1], SIGMA[:1], *new[3:], known)
        out.append(new)
    assert all(np.array_equal(a, b) for a, b in zip(*out, strict=True))
    j, one, cov = 1, x[0, 1].copy(), P[0, 1].copy()
    sights.revise(6, one, cov, z[0], SIGMA[0], seen[0, j], np.zeros((sights.SCRATCH, 9)), np.zeros(4, np.int64))
    assert np.array_equal(one, out[0][0][0, j]) and np.array_equal(cov, out[0][1][0, j])


@pytest.mark.parametrize("lacking", [(), (3,), (0, 3), (0, 1, 2)])
def test_models_side_by_side_are_as_far_from_a_plot_as_each_alone(lacking):
    """Distances, densities and what a plot makes of a model are to the bit those of one model at a time; the roots are taken at once."""
    (x, P, _), (origin, axes), sizes, w = scene(), sensor(), np.array([0, 6, 7, 9, 8]), np.zeros(sights.WORK)
    seen, side, rows, have = np.zeros((5, sights.ROWS, 9)), np.zeros((sights.SIDE, 9)), np.zeros((sights.SCRATCH, 9)), np.zeros(4, np.int64)
    small.columns_of(P[0], sizes, seen, np.zeros((5, 9)))
    z, sigma, alone = np.zeros(4), SIGMA[0].copy(), np.zeros((sights.ROWS, 9))
    sights.measure(x[0, 1], origin, axes, 0, z)
    z += [120.0, -0.003 - 2.0 * np.pi, 0.004, 9.0]
    z[list(lacking)] = np.nan
    for j in range(1, 5):
        sights.regress_rooted(sizes[j], x[0, j], origin, axes, 0, seen[j], w)
    m = sights.distances(z, sigma, seen, have, side)
    assert m == sights.present(z, sigma, have) == 4 - len(lacking)
    for j in range(1, 5):
        n, nu, S, lower = sizes[j], np.zeros(4), np.zeros((4, 4)), np.zeros((4, 4))
        sights.regress(n, x[0, j], P[0, j], origin, axes, 0, alone, w)
        assert np.array_equal(seen[j, : sights.ROOT + n, :n], alone[: sights.ROOT + n, :n])
        assert np.array_equal(seen[j, sights.SLOPES :, :4], alone[sights.SLOPES :, :4])
        sights.innovation(z, sigma, alone[sights.MEAN], alone[sights.SPREAD : sights.BENT], have, nu, S)
        small.cholesky(S, m, lower)
        off = nu[:m].copy()
        small.solve_lower(lower, m, nu)
        assert side[sights.APART, j] == np.cumsum(nu[:m] ** 2)[-1]
        density = -0.5 * (off @ np.linalg.solve(S[:m, :m], off) + np.linalg.slogdet(2.0 * np.pi * S[:m, :m])[1])
        found = -0.5 * (side[sights.APART, j] + m * np.log(2.0 * np.pi)) - np.log(side[sights.DETERMINANT, j])
        np.testing.assert_allclose(found, density, rtol=1e-9)
        one, other = (x[0, j].copy(), P[0, j].copy()), (x[0, j].copy(), P[0, j].copy())
        told = sights.revise(n, *one, z, sigma, alone, rows, have)
        assert told == sights.revise_measured(n, j, *other, m, sigma, seen[j], side, rows, have)
        assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])
        np.testing.assert_allclose(told, density, rtol=1e-9)


def test_innovation_takes_what_the_plot_has():
    z, mean = np.array([1000.0, -3.1, np.nan, 5.0]), np.array([990.0, 3.1, 0.2, 2.0])
    sigma, Z, have, nu, S = np.array([3.0, 0.1, 0.1, np.nan]), covariance(4, 3), np.zeros(4, np.int64), np.zeros(4), np.zeros((4, 4))
    assert sights.innovation(z, sigma, mean, Z, have, nu, S) == 2
    assert list(have[:2]) == [0, 1]
    np.testing.assert_allclose(nu[:2], [10.0, 2.0 * np.pi - 6.2], rtol=1e-12)
    np.testing.assert_allclose(S[:2, :2], Z[:2, :2] + np.diag([9.0, 0.01]), rtol=1e-15)


PLOTS = np.array([[0.3, 0.0, 0.0, 5.0], [-0.5, 0.004, -0.002, np.nan], [np.nan, 0.001, 0.003, np.nan]])
SIGMA = np.array([[50.0, 0.002, 0.003, 3.0]] * 3)
WIDTH = (6, 9, 9)  # of the models 1, 2, 3, which are awake below
AWAKE, WEIGHT = (1, 2, 3), np.array([1e-8, 0.6, 0.3995, 5e-4, 1e-9])


def plain_line(x, P, moved, variance):
    """Re-entry's prior with the line of what ln(beta) explains drawn about another one: the exponential's regression by quadrature."""
    node, weight = np.polynomial.hermite_e.hermegauss(40)
    u, weight, g = moved + np.sqrt(variance) * node, weight / weight.sum(), P[:6, 6] / P[6, 6]
    curve = 1.0 - np.exp(-u - 0.5 * P[6, 6])
    slope = (weight * curve) @ (u - moved) / variance
    J, rest = np.eye(9), P.copy()
    J[:6, 6], J[:6, :6] = slope * g, np.eye(6)
    off = np.eye(9)
    off[:6, 6] = -g  # what ln(beta) does not explain of position and velocity
    rest = off @ rest @ off.T
    return x + np.append(g * (weight @ curve - slope * moved), np.zeros(3)), J @ rest @ J.T


def plain_learnt(x, P, plot, sigma):
    """Re-entry's prior (9) with its line about what a plot makes of ln(beta), and that."""
    line, seen, (origin, axes), tried = (x, P), np.isfinite(plot), sensor(), None
    for _ in range(7):
        mean, S, cross = plain_moments(*line, origin, axes, 0)
        gain = np.linalg.solve((S + np.diag(sigma**2))[np.ix_(seen, seen)], cross[:, seen].T).T
        new, spread = line[0] + gain @ deviation(plot, mean, 0)[seen], line[1] - gain @ cross[:, seen].T
        moved = new[6] - x[6]
        if abs(moved) <= 0.1 if tried is None else abs(moved - tried) < 0.02:
            break
        tried = moved if tried is None else 0.5 * (moved + tried)
        line = plain_line(x, P, tried, spread[6, 6])
    return *line, new, spread


def plain_mixture(x, P, plot, bent=False):
    """Per awake model: innovation, its covariance, the cross-covariance and the logarithm of weight times density; mean before.

    Where ``bent`` re-entry is as it is learnt of.
    """
    rows, (origin, axes) = [], sensor()
    seen = np.isfinite(plot)
    for j, n in zip(AWAKE, WIDTH, strict=True):
        prior = plain_learnt(x[0, j, :n], P[0, j, :n, :n], plot, SIGMA[0])[:2] if bent and j == 2 else (x[0, j, :n], P[0, j, :n, :n])
        mean, S, cross = plain_moments(*prior, origin, axes, 0)
        S, nu = (S + np.diag(SIGMA[0] ** 2))[np.ix_(seen, seen)], deviation(plot, mean, 0)[seen]
        unit = np.sqrt(np.diag(S))  # metres and radians side by side look singular to scipy
        density = stats.multivariate_normal(np.zeros(len(nu)), S / np.outer(unit, unit)).logpdf(nu / unit) - np.log(unit).sum()
        rows.append((nu, S, cross[:, seen], np.log(WEIGHT[j]) + density, prior[0]))
    return rows


def scene():
    x, P = tracks(1e3, -80e3)
    for j in (0, 4):
        x[0, j] *= 2.0  # asleep: wherever it is, nobody looks
    origin, axes = sensor()
    return x, P, PLOTS * [300.0, 1.0, 1.0, 1.0] + plain_measure(target(1e3, -80e3, 90e3), origin, axes, 0)


def test_likelihood_is_the_mixture_density_of_the_models_awake():
    (x, P, z), (origin, axes) = scene(), sensor()
    d2, loglik = np.zeros(3), np.zeros(3)
    pairwise.expect_pairs(
        x, P, WEIGHT[None], origin, axes, 0, z, SIGMA, np.array([0, 3]), np.arange(3), np.inf, d2, loglik, np.zeros((1, 5, sights.ROWS, 9))
    )
    for k in range(3):
        rows = plain_mixture(x, P, z[k])
        assert loglik[k] == pytest.approx(np.logaddexp.reduce([row[3] for row in rows]), abs=1e-7)
        distances = [nu @ np.linalg.solve(S, nu) for nu, S, *_ in rows[:2]]  # the third is negligible: it opens no gate
        assert d2[k] == pytest.approx(min(distances), rel=1e-7)


@pytest.mark.parametrize("moved, variance", [(-1.5, 0.1), (0.8, 0.5), (0.0, 0.64)])
def test_the_line_of_ln_beta_is_the_exponentials_regression(moved, variance):
    x, P = np.append(target(1e3, -80e3, 60e3), [8.5, 6.0, -4.0]), covariance(9, 4)
    P *= 0.64 / P[6, 6]
    new, cov = np.zeros(9), np.zeros((9, 9))
    bending.bend(P, x, moved, variance, new, cov)
    want = plain_line(x, P, moved, variance)
    np.testing.assert_allclose(new - x, want[0] - x, atol=1e-8)
    np.testing.assert_allclose(cov, want[1], atol=1e-9)
    if moved == 0.0:
        np.testing.assert_allclose(cov, P, atol=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.1, -0.2])
def test_of_a_plot_that_tells_much_of_ln_beta_re_entry_learns_on_a_line_about_what_it_finds(share):
    """A plot where one is expected is a plain update to the bit; one elsewhere is the plain form's."""
    (x, P, _), (origin, axes) = scene(), sensor()
    x, P = x[0, 2].copy(), P[0, 2].copy()
    z = plain_moments(x, P, origin, axes, 0)[0] + share * 10.0 * SIGMA[0]
    own, rows, have, w = np.zeros((bending.BENDING, 9)), np.zeros((sights.SCRATCH, 9)), np.zeros(4, np.int64), np.zeros(sights.WORK)
    *_, mean, spread = plain_learnt(x, P, z, SIGMA[0])
    plain = x.copy(), P.copy()
    sights.regress(9, x, P, origin, axes, 0, own, w)
    ll = sights.revise(9, *plain, z, SIGMA[0], own, rows, have)
    assert (ll == bending.learn(x, P, origin, axes, 0, z, SIGMA[0], own, own, rows, have, w)) == (share == 0.0)
    assert np.array_equal(x, plain[0]) == (share == 0.0)
    np.testing.assert_allclose(x, mean, atol=1e-3)
    np.testing.assert_allclose(P, spread, rtol=1e-5, atol=1e-4)


def plain_look_again(x, P, plot, sigma):
    """An update on four lines, each drawn about what the one before has found: mean, covariance, logarithm of the density on the last."""
    (origin, axes), seen, at, spread = sensor(), np.isfinite(plot), x, P
    for _ in range(4):
        mean, S, cross = plain_moments(at, spread, origin, axes, 0)
        slope = linalg.solve(spread, cross).T
        S = (S + slope @ (P - spread) @ slope.T + np.diag(sigma**2))[np.ix_(seen, seen)]
        nu, cross = deviation(plot, mean + slope @ (x - at), 0)[seen], (P @ slope.T)[:, seen]
        at, spread = x + cross @ np.linalg.solve(S, nu), P - cross @ np.linalg.solve(S, cross.T)
    return at, spread, -0.5 * (nu @ np.linalg.solve(S, nu) + np.linalg.slogdet(S)[1] + len(nu) * np.log(2.0 * np.pi))


@pytest.mark.parametrize("n", [6, 7, 9])
@pytest.mark.parametrize("lacking", [(), (3,), (0, 3)])
def test_of_a_wide_prior_the_line_is_drawn_anew_about_what_is_found(n, lacking):
    """Known to 300 m, a target is seen straight; to 60 km, at 600 km, it is not."""
    (x, P, _), (origin, axes) = scene(), sensor()
    own, rows, w = np.zeros((curved.CURVED, 9)), np.zeros((sights.SCRATCH, 9)), np.zeros(sights.WORK)
    have, far, j = np.zeros(4, np.int64), np.array([-2e5, 4e5, 4e5]) @ axes, {6: 1, 7: 2, 9: 3}[n]
    x, P, sigma = x[0, j].copy(), P[0, j].copy(), SIGMA[0] * [1.0, 1.0, 1.0, 1000.0]
    x[:3] += far
    z = plain_measure(x, origin, axes, 0) + PLOTS[0] * [300.0, 1.0, 1.0, 1.0]
    z[list(lacking)] = np.nan
    m = sights.present(z, sigma, have)
    sights.regress(n, x, P, origin, axes, 0, own, w)
    assert not any(curved.bends(m, sigma, own, have, least) for least in curved.MUCH)
    wide = np.r_[np.full(6, 200.0), np.ones(3)]
    P *= np.outer(wide, wide)
    sights.regress(n, x, P, origin, axes, 0, own, w)
    assert all(curved.bends(m, sigma, own, have, least) for least in curved.MUCH)
    mean, spread, density = plain_look_again(x[:n], P[:n, :n], z, sigma)
    ll = curved.look_again(n, x, P, origin, axes, 0, z, sigma, own, own, rows, have, w)
    unit = np.sqrt(np.diag(spread))
    np.testing.assert_allclose((x[:n] - mean) / unit, 0.0, atol=1e-4)
    np.testing.assert_allclose((P[:n, :n] - spread) / np.outer(unit, unit), 0.0, atol=1e-4)
    assert ll == pytest.approx(density, abs=1e-5)


def test_what_surely_falls_is_looked_at_anew_the_sooner():
    """Known to 9 km, at 600 km, a fall's line is drawn anew, one that may be pushed is not."""
    (x, P, _), (origin, axes) = scene(), sensor()
    own, w, have = np.zeros((curved.CURVED, 9)), np.zeros(sights.WORK), np.zeros(4, np.int64)
    x, P = x[0, 1].copy(), 30.0**2 * P[0, 1]
    x[:3] += np.array([-2e5, 4e5, 4e5]) @ axes
    m = sights.present(plain_measure(x, origin, axes, 0), SIGMA[0], have)
    sights.regress(6, x, P, origin, axes, 0, own, w)
    falls, doubtful = np.array([0.0, 0.5, 0.5, 0.0, 0.0]), np.array([1e-3, 0.5, 0.5, 0.0, 0.0])
    assert [curved.bends(m, SIGMA[0], own, have, curved.much(mu)) for mu in (falls, doubtful)] == [True, False]


def test_update_weighs_the_models_by_their_densities():
    (x, P, z), (origin, axes) = scene(), sensor()
    rows = plain_mixture(x, P, z[0], bent=True)
    weights = np.exp([row[3] for row in rows] - np.logaddexp.reduce([row[3] for row in rows]))
    means = [(prior + cross @ np.linalg.solve(S, nu))[:6] for nu, S, cross, _, prior in rows]
    mu, x6, P6 = WEIGHT[None].copy(), np.zeros((1, 6)), np.zeros((1, 6, 6))
    estimation.update(x, P, mu, origin, axes, 0, z[:1], SIGMA[:1], x6, P6, np.empty((0, 5, sights.ROWS, 9)))
    np.testing.assert_allclose(mu[0, 1:4], weights, atol=2e-8)  # of which those asleep have 1e-8
    np.testing.assert_allclose(x6[0], np.average(means, axis=0, weights=weights), atol=1e-4)
    leader = int(np.argmax(WEIGHT))
    np.testing.assert_allclose(mu[0, [0, 4]] / mu[0, leader], WEIGHT[[0, 4]] / WEIGHT[leader], rtol=1e-9)  # asleep: no gain, no loss
    np.testing.assert_array_equal(x[0, 0], [*x[0, leader, :6], 0.0, 0.0, 0.0])


NOBODY = np.zeros(0, int)


def test_prediction_of_a_coasting_track_is_the_integrated_path():
    x, P, mu = np.zeros((1, 5, 9)), np.zeros((1, 5, 9, 9)), np.full((1, 5), 1e-12)
    x[0, :, :6], x[0, 2:4, 6] = np.concatenate([PLACES[2], VELOCITY]), 8.0
    P[0], mu[0, 1] = np.diag([1e-2] * 3 + [1e-4] * 3 + [1e-6] * 3), 1.0
    x6, P6, out = np.zeros((1, 6)), np.zeros((1, 6, 6)), (np.zeros_like(x), np.zeros_like(P), np.zeros_like(mu))
    estimation.predict(x, P, mu, NOBODY, NOBODY, np.array([20.0]), np.zeros(1), np.zeros(motions.N_NOISE), *out, x6, P6)
    path = integrate.solve_ivp(lambda _, s: plain_flow(s), (0.0, 20.0), x[0, 1, :6], rtol=1e-11, atol=1e-6)
    np.testing.assert_allclose(x6[0], path.y[:, -1], atol=1e-3)
    assert P6[0, 0, 0] == pytest.approx(1e-2 + 400.0 * 1e-4, rel=2e-3)  # gravity's gradient over 20 s is 1e-3 of it


def test_a_burning_track_is_predicted_in_steps_of_two_seconds():
    x, P = tracks(200e3, 10e3)
    mu, dt = np.array([[0.001, 0.3, 0.3, 0.199, 0.2]]), np.array([6.0])
    noise, x6, P6 = np.full(motions.N_NOISE, 1e-3), np.zeros((1, 6)), np.zeros((1, 6, 6))

    def predicted(x, P, mu, dt):
        out = np.zeros_like(x), np.zeros_like(P), np.zeros_like(mu)
        estimation.predict(x, P, mu, NOBODY, NOBODY, dt, np.zeros(1), noise, *out, x6, P6)
        return out

    whole, parts = predicted(x, P, mu, dt), (x, P, mu)
    for _ in range(3):
        parts = predicted(*parts, dt / 3.0)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


# --- consider and wander


def plain_transition(r, dt):
    """The Taylor series to third order of the exponential of the linearised point-mass fall."""
    gradient = MU / np.linalg.norm(r) ** 5 * (3.0 * np.outer(r, r) - r @ r * np.eye(3))
    turn = np.cross(np.eye(3), SPIN)  # turn @ v = spin x v
    M = np.block([[np.zeros((3, 3)), np.eye(3)], [gradient - turn @ turn, -2.0 * turn]]) * dt
    return np.eye(6) + M + M @ M / 2.0 + M @ M @ M / 6.0, linalg.expm(M)


def test_fall_matrices_are_the_series_of_the_exponential():
    x, dt, F = np.array([[*r, *VELOCITY] for r in PLACES]), np.array([5.0, -40.0, 120.0]), np.zeros((3, 6, 6))
    consider.fall_matrices(x, dt, F)
    scale = np.kron([[1.0, 100.0], [0.01, 1.0]], np.ones((3, 3)))  # entries in units of about 100 s
    for i in range(3):
        series, full = plain_transition(x[i, :3], dt[i])
        np.testing.assert_allclose(F[i] / scale, series / scale, atol=1e-13)
        np.testing.assert_allclose(F[i] / scale, full / scale, atol=2e-3)
        alone = np.zeros((6, 6))
        consider.fall_matrix(x[i], dt[i], alone)
        np.testing.assert_array_equal(F[i], alone)


def test_common_part_with_noise_that_only_a_share_of_the_models_has():
    """Where noise adds to the velocity's covariance, and where a model takes over that knows it better: then shares stay as they are."""
    track, time, share = np.array([0, 1, 0, 0, 0]), np.array([0.0, 0.5, 2.0, 5.0, 6.0]), np.array([1.0, 1.0, 0.4, 0.7, 0.8])
    x = np.array([[*PLACES[0], *VELOCITY]] * 5)
    P, prior, noisy, noisy_prior = (np.array([covariance(6, 5 * k + i, 1 + k % 2) for i in range(5)]) for k in range(4))
    noisy_prior[3] *= 0.01
    D = np.zeros((5, 6, 6))
    consider.common(track, time, x, P, prior, noisy, noisy_prior, share, 2, D)
    expected, narrower = np.zeros((5, 6, 6)), []
    for first in (0, 1):
        expected[first, 3:, 3:] = P[first, 3:, 3:]
    for before, row in ((0, 2), (2, 3), (3, 4)):
        F, w = plain_transition(x[before, :3], time[row] - time[before])[0], share[row]
        drifted, carried = F @ noisy[before] @ F.T, F @ expected[before] @ F.T
        narrower.append(np.trace(noisy_prior[row, 3:, 3:]) < consider.NARROWER * np.trace(drifted[3:, 3:]))
        M = np.linalg.cholesky(noisy_prior[row]) @ np.linalg.inv(np.linalg.cholesky(drifted))
        if narrower[-1]:
            told = (M @ carried @ M.T, noisy_prior[row]), (carried, drifted)
            np.testing.assert_allclose(*(np.sort(linalg.eigvals(*one).real) for one in told), rtol=1e-6, atol=1e-9)
            M = w * M + (1.0 - w) * np.eye(6)
            carried = M @ carried @ M.T
        else:
            carried = carried + w * (noisy_prior[row] - drifted)
        left = (w * noisy[row] + (1.0 - w) * P[row]) @ np.linalg.inv(w * noisy_prior[row] + (1.0 - w) * prior[row])
        expected[row] = left @ carried @ left.T
    assert narrower == [False, True, False]
    for row in range(5):
        np.testing.assert_allclose(D[row], expected[row], rtol=1e-8, atol=1e-8 * abs(expected[row]).max())


def test_whitening_is_the_inverse_cholesky_factor():
    rng, m = np.random.default_rng(4), 7
    load, sigma, keep = rng.normal(size=(m, 4)), rng.uniform(0.3, 2.0, m), rng.uniform(0.3, 1.0, m)
    gain, root, rows, out = np.zeros((m, 4)), np.zeros(m), rng.normal(size=(m, 3)), np.zeros((m, 3))
    wander.gains(load, sigma, keep, gain, root)
    wander.innovations(load, keep, gain, root, rows, out)
    S = np.diag(sigma**2)
    for i in range(m):
        for j in range(m):
            S[i, j] += load[i] @ load[j] * np.prod(keep[min(i, j) + 1 : max(i, j) + 1])
    factor = np.linalg.cholesky(S)
    np.testing.assert_allclose(root, np.diag(factor), rtol=1e-12)
    np.testing.assert_allclose(out, linalg.solve_triangular(factor, rows, lower=True), atol=1e-12)


# --- flight and forecast


def parameters(**places):
    p = np.zeros(flight.PARAMETERS)
    p[[flight.SPHERE, flight.RISE, flight.PITCH, flight.BLEND, flight.BETA, flight.LATEST]] = 1.0, 4.0, 10.0, 20.0, 5e3, 9e9
    p[[flight.STEP_BOOST, flight.STEP_AIR, flight.STEP_COAST]] = 0.5, 0.5, 5.0
    for name, value in places.items():
        p[getattr(flight, name)] = value
    return p


def plain_orbit(_, s):
    return np.concatenate([s[3:], -MU * s[:3] / np.linalg.norm(s[:3]) ** 3])


THROWN = np.array([6371e3 + 60e3, 0.0, 0.0, 1500.0, 2000.0, 800.0])  # m, m/s: from 60 km, over the test sphere, without air


def height(_, s):
    return np.linalg.norm(s[:3]) - 6371e3


def climb(_, s):
    return s[:3] @ s[3:]


@pytest.mark.parametrize("h", [80e3, 150e3])
def test_a_height_is_reached_where_the_altitude_says_so(h):
    """At all latitudes, near it and farther away than the Earth's flattening."""
    for latitude in np.radians(np.linspace(-90.0, 90.0, 19)):
        for more in (-60e3, -21e3, -1.0, 1.0, 21e3, 60e3):
            assert earth.reaches(*frames.ecef(latitude, 1.0, h + more), h) == (more > 0.0)


def test_drag_factor_is_linear_between_its_points():
    numbers = np.array([0.0, 0.3, 0.8, 1.0, 1.25, 2.9, 4.999, 5.0, 12.0])
    np.testing.assert_allclose([mach.drag_factor(m) for m in numbers], np.interp(numbers, *DRAG_CURVE), rtol=1e-14)


def test_drag_slope_is_that_of_the_logarithms():
    for number in (0.3, 0.8, 1.0, 1.25, 2.9, 4.9, 12.0):
        slope = np.diff(np.log(np.interp(number * np.exp([-1e-5, 1e-5]), *DRAG_CURVE)))[0] / 2e-5
        assert mach.drag_slope(number) == pytest.approx(slope, rel=1e-6, abs=1e-12)


def test_the_drag_factor_of_states_side_by_side_is_that_of_one():
    """Off the ends of the standard's layers; nothing outside the tables is read."""
    for h in (-300.0, 700.0, 5e3, 15.1e3, 27e3, 49e3, 60e3, 80e3, 1e6):
        for v in (0.0, 200.0, 300.0, 390.0, 900.0, 1500.0, 7000.0):
            exact = mach.drag_factor(v / earth.air(max(h, 0.0))[1])
            assert mach.factor_at(h, v) == pytest.approx(exact, rel=2e-5)
    assert [np.isfinite(mach.factor_at(*bad)) for bad in ((np.nan, 500.0), (1e4, np.nan), (-np.inf, np.inf))] == [True] * 3


@pytest.mark.parametrize(("sphere", "polar"), [(0.0, B), (1.0, A)])
def test_upward_is_the_gradient_of_the_ellipsoid(sphere, polar):
    s, n = np.array([*PLACES[1], *VELOCITY]), np.zeros(3)
    flight.upward(sphere, s, n)
    gradient = differences(lambda r: np.array([np.sum((r / [A, A, polar]) ** 2)]), s[:3], np.full(3, 1e3))[0]
    np.testing.assert_allclose(n, gradient / np.linalg.norm(gradient), atol=1e-9)
    expected = np.linalg.norm(s[:3]) - 6371e3 if sphere else plain_altitude(s[:3])
    assert flight.height(sphere, *s[:3]) == pytest.approx(expected, abs=1e-3)


def test_smooth_is_the_cubic_with_level_ends():
    s = np.linspace(-0.5, 1.5, 9)
    np.testing.assert_allclose([flight.smooth(v) for v in s], np.interp(s, [0, 1], [0, 1]) ** 2 * (3 - 2 * np.interp(s, [0, 1], [0, 1])))


def test_thrust_rises_pitches_over_and_follows_the_velocity():
    up, across, s, d = np.array([0.0, 0.6, 0.8]), np.array([1.0, 0.0, 0.0]), np.array([0, 0, 0, *VELOCITY]), np.zeros(3)
    p = parameters()
    p[flight.UP : flight.UP + 3], p[flight.KICK : flight.KICK + 3] = up, 0.2 * across

    def direction(t):
        flight.thrust_direction(t, s, p, d)
        assert np.linalg.norm(d) == pytest.approx(1.0, abs=1e-14)
        return d.copy()

    ahead = VELOCITY / np.linalg.norm(VELOCITY)
    np.testing.assert_allclose(direction(3.9), up, atol=1e-14)
    np.testing.assert_allclose(direction(7.0), np.cos(0.1) * up + np.sin(0.1) * across, atol=1e-14)  # half of the pitch-over
    kicked = np.cos(0.2) * up + np.sin(0.2) * across
    np.testing.assert_allclose(direction(10.0), kicked, atol=1e-14)
    np.testing.assert_allclose(direction(15.0), (kicked + ahead) / np.linalg.norm(kicked + ahead), atol=1e-14)
    np.testing.assert_allclose(direction(20.1), ahead, atol=1e-14)


@pytest.mark.parametrize("sine", [0.0, -0.2])
def test_lift_takes_the_slope_out_of_the_path(sine):
    """With the lift wanted, the angle of the path changes at -TURN times its sine: in level flight not at all."""
    r = np.array([6371e3 + 40e3, 0.0, 0.0])
    s, fall = np.array([*r, 4000.0 * sine, 4000.0 * np.sqrt(1.0 - sine**2), 0.0]), -MU * r / np.linalg.norm(r) ** 3
    n, p = np.array([1.0, 0.0, 0.0]), parameters(TURN=0.05, DIVE=1000.0)
    lift = flight.lift_wanted(s, fall, n, 4000.0, 1e3, p)

    def path(t):
        at, v = r + t * s[3:] + t**2 / 2.0 * fall, s[3:] + t * (fall + lift * n)
        return np.arcsin(at @ v / np.linalg.norm(at) / np.linalg.norm(v))

    assert (path(0.01) - path(-0.01)) / 0.02 == pytest.approx(-0.05 * sine, abs=1e-8)
    assert n @ s[3:] == pytest.approx(0.0, abs=1e-9) and n[0] > 0.0
    assert flight.lift_wanted(s, fall, np.array([1.0, 0.0, 0.0]), 4000.0, 2.0, p) == 2.0
    assert flight.lift_wanted(s, fall, np.array([1.0, 0.0, 0.0]), 4000.0, 1e3, parameters(TURN=0.05, DIVE=4001.0)) == 0.0
    fading = flight.lift_wanted(s, fall, np.array([1.0, 0.0, 0.0]), 4000.0, 1e3, parameters(TURN=0.05, DIVE=4000.0 / 1.05))
    assert fading == pytest.approx(0.5 * lift, rel=1e-12)
    assert flight.lift_wanted(s, -20.0 * fall, np.array([1.0, 0.0, 0.0]), 4000.0, 1e3, p) == 0.0  # never downwards


def test_a_step_under_thrust_is_the_integrated_one():
    stages, work, new = np.array([[3.0, 60.0, 20.0, 90.0, 9e3]]), np.zeros((10, 6)), np.zeros(6)

    def flow(t, s):
        thrust = 20.0 / (1.0 - (t - 3.0) / 90.0) * s[3:] / np.linalg.norm(s[3:])
        return plain_orbit(t, s) + np.concatenate([np.zeros(3), thrust])

    flight.advance(40.0, 2.0, THROWN, 0, 9e3, False, stages, parameters(), work, new)
    path = integrate.solve_ivp(flow, (40.0, 42.0), THROWN, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(new, path.y[:, -1], rtol=1e-12, atol=2e-4)  # what one step of 2 s is off


@pytest.mark.parametrize("event", ["APEX", "ENTRY", "GROUND"])
def test_events_are_those_of_the_integrated_path(event):
    def passed(t, s):
        return climb(t, s) if event == "APEX" else height(t, s) - (100e3 if event == "ENTRY" else 0.0)

    path = integrate.solve_ivp(plain_orbit, (0.0, 900.0), THROWN, events=passed, rtol=1e-12, atol=1e-6, dense_output=True)
    when, p, stages = path.t_events[0][-1], parameters(), np.zeros((0, 5))
    s, work, new, kind = path.sol(when - 1.3), np.zeros((10, 6)), np.zeros(6), getattr(flight, event)
    flight.advance(0.0, 3.0, s, -1, 5e3, False, stages, p, work, new)
    np.testing.assert_allclose(new, path.sol(when + 1.7), rtol=1e-9, atol=1e-4)
    step = flight.crossing(kind, 0.0, 3.0, s, -1, 5e3, False, stages, p, work, new)
    assert step == pytest.approx(1.3, abs=1e-5)
    np.testing.assert_allclose(new, path.y_events[0][-1], rtol=1e-9, atol=0.05)
    assert flight.above(kind, new, p, np.zeros(3)) == pytest.approx(0.0, abs=1e-5)


def test_the_stage_that_burns():
    stages, p = np.array([[0.0, 60.0, 20.0, 90.0, 9e3], [65.0, 120.0, 30.0, 80.0, 7e3]]), parameters()
    expected = {0.0: (0, 9e3), 59.9: (0, 9e3), 62.0: (-1, 7e3), 65.0: (1, 7e3), 120.0: (-1, 5e3)}
    assert {t: flight.burning(t, stages, p) for t in expected} == expected


def test_a_whole_flight_is_keplers_ellipse():
    time, x, force, summary = np.zeros(400), np.zeros((400, 6)), np.zeros((400, 3)), np.zeros(3)
    stages, marks = np.zeros((0, 5)), np.array([np.inf])
    rows = flight.march(THROWN, 0.0, stages, marks, parameters(), True, time, x, force, summary)
    spin = np.cross(THROWN[:3], THROWN[3:])
    energy = THROWN[3:] @ THROWN[3:] / 2.0 - MU / np.linalg.norm(THROWN[:3])
    apogee = -MU / (2.0 * energy) * (1.0 + np.sqrt(1.0 + 2.0 * energy * spin @ spin / MU**2)) - 6371e3
    path = integrate.solve_ivp(plain_orbit, (0.0, 900.0), THROWN, events=(climb, height), rtol=1e-12, atol=1e-6, dense_output=True)
    top, ground = path.t_events[0][0], path.t_events[1][0]
    np.testing.assert_allclose(summary, [apogee, top, 1.0], rtol=1e-7, atol=1e-3)
    assert time[rows - 1] == pytest.approx(ground, abs=1e-4)
    np.testing.assert_allclose(x[:rows], path.sol(time[:rows]).T, rtol=1e-8, atol=0.05)
    at, beside = np.array([-1.0, 3.3, 100.0, 333.3]), np.zeros((4, 6))
    arc.through(THROWN, 0.0, stages, marks, parameters(), at, beside)
    np.testing.assert_allclose(beside, path.sol(at.clip(0.0)).T, rtol=1e-8, atol=0.05)


@stopping
def landed(_, s):
    return plain_altitude(s[:3])


def test_trial_flights_with_lift_go_the_way_of_whole_flights():
    time, x, force, summary = np.zeros(4000), np.zeros((4000, 6)), np.zeros((4000, 3)), np.zeros(3)
    p = parameters(AIR=1.0, LIFT=1.0, DIVE=1000.0, TURN=0.05)
    stages, marks = np.zeros((0, 5)), np.array([np.inf])
    rows = flight.march(THROWN, 0.0, stages, marks, p, True, time, x, force, summary)
    assert force[:rows, flight.LIFTING].max() > 5.0
    beside = np.zeros((rows, 6))
    arc.through(THROWN, 0.0, stages, marks, p, time[:rows], beside)
    np.testing.assert_allclose(beside[:, :3], x[:rows, :3], atol=1.0)  # steps begin elsewhere in the bends of lift


@pytest.mark.parametrize(
    ("height", "velocity", "beta"),
    [(60e3, (900.0, -1500.0, -700.0), 6e3), (30e3, (-500.0, 700.0, 300.0), 2e3), (95e3, (1800.0, -2300.0, 900.0), 1e3),
     (140e3, (2500.0, -3500.0, 1200.0), 8e3), (10e3, (-300.0, 400.0, -900.0), 3e3)],
)  # fmt: skip
def test_fall_to_the_ground_is_the_integrated_one(height, velocity, beta):
    """From the dense air, from a low and a high path, with little and much drag: the stride must fit them all."""
    s = np.array([*plain_point(0.6, 2.2, height), *velocity, np.log(beta)])
    path = integrate.solve_ivp(lambda _, q: plain_flow(q, plain_drag(q, s[6])), (0.0, 2000.0), s[:6], events=landed, rtol=1e-9, atol=1e-3)
    t = falls.fall(s, np.zeros(6), np.zeros(6))
    assert t == pytest.approx(path.t_events[0][0], abs=0.01)
    np.testing.assert_allclose(s[:3], path.y_events[0][0][:3], atol=2.0)


def test_the_air_of_falls_is_the_standard_one():
    """A table of cubics, between whose points the layers' bends lie; off those it is good to a millionth."""
    heights = np.linspace(-9e3, 149.9e3, 4001)
    table = 2.0 * np.array([pull.half_density(h) for h in heights])
    wrong = np.abs(table / np.array([earth.air(h)[0] for h in heights]) - 1.0)
    assert wrong.max() < 1e-3 and np.percentile(wrong, 95) < 1e-6
    ends = [pull.half_density(h) for h in (-1e9, -10e3, 150e3, 1e9, np.inf)]
    assert ends[0] == ends[1] and ends[2:] == [0.0] * 3 and np.isfinite(pull.half_density(np.nan))


@pytest.mark.parametrize("height", [500.0, 30e3, 149e3, 400e3])
def test_the_flow_of_falls_is_free_fall_less_drag(height):
    """Against the kernels that filters use; the height is that along the radius, 0 where the geodetic one is."""
    for latitude in (-1.2, 0.0, 0.7):
        x, v = plain_point(latitude, 2.2, height), np.array([1500.0, -2500.0, 700.0])
        *a, h, k, r = pull.flow(*x, *v, np.exp(-np.log(900.0)))
        drag = motions.drag_of(np.concatenate([x, v]), np.log(900.0))
        np.testing.assert_allclose(a, np.array(earth.free_acceleration(*x, *v[:2])) - drag * v, rtol=1e-9, atol=1e-3 * drag * 3e3 + 1e-9)
        assert h == pytest.approx(height, abs=0.1 + 1e-5 * height) and k == pytest.approx(drag, rel=1e-3) and r == np.linalg.norm(x)
        down = pull.flow(*plain_point(latitude, 2.2, 0.0), *v, 0.0)[3]
        assert down == pytest.approx(0.0, abs=1e-3)


def test_falls_side_by_side_are_those_one_by_one_to_the_bit():
    """On the ground, under it, low and high, fast, to orbit, lost before (nan): more states than lanes, each as if alone."""
    rng, m = np.random.default_rng(5), 5 * falls.LANES + 3
    height = np.r_[0.0, -50.0, 1e3, rng.uniform(1e3, 900e3, m - 3)]
    velocity = rng.normal(0.0, 1.0, (m, 3)) * rng.uniform(100.0, 7000.0, (m, 1))
    velocity[7] = 9e3, -9e3, 0.0
    places = [plain_point(lat, lon, h) for lat, lon, h in zip(rng.uniform(-1.4, 1.4, m), rng.uniform(-3.0, 3.0, m), height, strict=True)]
    states = np.column_stack([np.array(places), velocity, np.log(rng.uniform(300.0, 20e3, m))])
    times = rng.uniform(0.0, 100.0, m)
    times[11] = np.nan
    alone, y, q = states.copy(), np.zeros(6), np.zeros(6)
    took = np.array([t + falls.fall(s, y, q) if t == t else t for t, s in zip(times, alone, strict=True)])
    falls.fall_all(m, states, times, np.zeros((2, falls.WORK, falls.LANES)), np.zeros((2, falls.LANES), np.int64))
    np.testing.assert_array_equal(times, took)
    np.testing.assert_array_equal(states, alone)
    assert 2 <= np.isnan(times).sum() < m / 2  # lost before, and to orbit


@pytest.mark.parametrize(("first", "second"), [(10.0, 25.0), (90.0, 240.0)])
def test_a_longer_burn_begins_as_the_shorter_one_does(first, second):
    whole = np.array([*PLACES[0], *VELOCITY])
    parts = whole.copy()
    t = forecast.burn(whole, 30.0, 0.0, second)
    assert t == forecast.burn(parts, 30.0, forecast.burn(parts, 30.0, 0.0, first), second)
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.parametrize(("seconds", "burnt"), [(25.0, 25.0), (400.0, None)])
def test_burn_is_growing_thrust_along_the_velocity(seconds, burnt):
    @stopping
    def fast(_, q):
        return np.linalg.norm(q[3:]) - 7200.0

    s = np.array([*PLACES[0], *VELOCITY])
    thrust = integrate.solve_ivp(
        lambda t, q: plain_flow(q, 30.0 * np.exp(min(t / 60.0, 0.7)) * q[3:] / np.linalg.norm(q[3:])),
        (0.0, seconds),
        s[:6],
        events=fast,
        rtol=1e-8,
    )
    t = forecast.burn(s, 30.0, 0.0, seconds)
    if burnt is None:
        assert thrust.t[-1] <= t <= thrust.t[-1] + 5.1  # it asks every 5 s
        return
    assert t == burnt
    np.testing.assert_allclose(s[3:6], thrust.y[3:, -1], atol=6.0)  # of 900 m/s gained: thrust's direction is kept for 5 s
    np.testing.assert_allclose(s[:3], thrust.y[:3, -1], atol=150.0)


def test_moments_are_the_weighted_ones():
    rng = np.random.default_rng(8)
    points, times, weights, mean, P = rng.normal(size=(9, 3)), rng.normal(size=9), rng.uniform(size=9), np.zeros(3), np.zeros((3, 3))
    tm, tv = forecast._moments(points, times, weights, 7, mean, P)
    np.testing.assert_allclose(mean, np.average(points[:7], axis=0, weights=weights[:7]), rtol=1e-12)
    np.testing.assert_allclose(P, np.cov(points[:7].T, aweights=weights[:7], ddof=0), rtol=1e-12)
    expected = np.average(times[:7], weights=weights[:7]), np.cov(times[:7], aweights=weights[:7], ddof=0)
    np.testing.assert_allclose((tm, tv), expected, rtol=1e-12)


# --- ray


def plain_ray(_, y):
    bent = 315e-6 * np.exp(-y[0] / 7350.0)
    return [(6371e3 + y[0]) * np.tan(y[1]), 1.0 - (6371e3 + y[0]) * bent / 7350.0 / (1.0 + bent)]


@pytest.mark.parametrize("antenna", [15.0, 2000.0])
def test_rays_are_the_integrated_ones(antenna):
    def reached(_, y):
        return y[0] - antenna

    def end(h, e, angle):
        return integrate.solve_ivp(plain_ray, (0.0, angle), (h, e), method="DOP853", rtol=1e-11, atol=1e-9).y[:, -1]

    path = integrate.solve_ivp(plain_ray, (0.0, 0.1), (0.0, 0.0), method="DOP853", rtol=1e-11, atol=1e-9, events=reached)
    graze, far = path.t_events[0][0], 0.08
    assert ray.grazing_angle(antenna) == pytest.approx(graze, rel=1e-7)
    np.testing.assert_allclose(ray.advance(antenna, 0.02, far), end(antenna, 0.02, far), rtol=1e-6)
    steps = far / 4 * np.arange(5)
    for elevation in (np.nan, 0.02, -0.05):  # the last one meets the Earth: what grazes it is the lowest
        low = [end(antenna, 0.02, a)[0] if elevation == 0.02 else end(0.0, 0.0, max(a - graze, 0.0))[0] for a in steps]
        rows, table = np.zeros(5), np.zeros(5)
        ray.lowest_visible_rows(np.full(5, antenna), steps, np.full(5, elevation), rows)
        np.testing.assert_allclose(rows[1:], low[1:], rtol=1e-5, atol=0.01)
        ray.lowest_visible_table(antenna, elevation, far / 4, table)
        np.testing.assert_allclose(table[1:], low[1:], rtol=1e-5, atol=0.01)
        assert rows[3] == ray.lowest_visible(antenna, steps[3], elevation)


@pytest.mark.parametrize(("h", "e"), [(200e3, 0.3), (10.0, 1.553)])
def test_high_and_steep_rays_are_straight(h, e):
    up, along = (6371e3 + h) + 1e5 * np.sin(e), 1e5 * np.cos(e)  # 100 km on
    expected = np.hypot(up, along) - 6371e3, e + np.arctan2(along, up)
    np.testing.assert_allclose(ray.advance(h, e, np.arctan2(along, up)), expected, rtol=1e-9)
    assert ray.advance(h, e, np.pi / 2.0 - e)[0] == np.inf


# --- the extended filter's parts


@pytest.mark.parametrize("drag", [False, True])
def test_one_step_of_the_transition_is_the_rule_of_runge_and_kutta(drag):
    n, h, rng = 7 if drag else 6, 2.0, np.random.default_rng(6)
    G, w = 1e-2 * rng.normal(size=(4, 3, 7)), np.zeros(200)
    G[:, :, :3] += np.swapaxes(G[:, :, :3], 1, 2)  # gravity's gradient is symmetric
    if not drag:
        G[:, :, 3:] = 0.0
    F = rng.normal(size=(7, 8))
    w[:56] = F.ravel()
    rates = np.zeros((4, 7, 7))
    rates[:, :3, 3:6], rates[:, 3:6] = np.eye(3), G
    rates[:, 3, 4] += 2.0 * OMEGA
    rates[:, 4, 3] -= 2.0 * OMEGA
    k1 = rates[0] @ F
    k2 = rates[1] @ (F + h / 2 * k1)
    k3 = rates[2] @ (F + h / 2 * k2)
    expected = F + h / 6 * (k1 + 2 * k2 + 2 * k3 + rates[3] @ (F + h * k3))
    if drag:
        extended.fall_in_air(G, h, w, np.zeros((4, 7)), np.zeros(7))
    else:
        extended.fall(G, h, w)
    np.testing.assert_allclose(w[:56].reshape(7, 8)[:n, :n], expected[:n, :n], rtol=1e-12, atol=1e-12)


def test_carry_is_the_congruence():
    w, P, F = np.zeros(200), np.zeros((7, 8)), np.zeros((7, 8))
    P[:, :7], F[:, :7] = covariance(7, 12), np.random.default_rng(13).normal(size=(7, 7))
    w[:56], w[56:112] = F.ravel(), P.ravel()
    extended.carry(7, w)
    np.testing.assert_allclose(w[56:112].reshape(7, 8)[:, :7], F[:, :7] @ P[:, :7] @ F[:, :7].T, rtol=1e-11, atol=1e-11)


def test_look_and_its_derivatives():
    (origin, axes), s, z, H = sensor(), target(-30e3, -80e3, 40e3), np.zeros(4), np.zeros((4, 6))
    assert extended.look(s, origin, axes, z, H)
    np.testing.assert_allclose(z, plain_measure(s, origin, axes, 0), rtol=1e-12)
    slopes = differences(lambda q: plain_measure(q, origin, axes, 0), s, np.array([10.0] * 3 + [1.0] * 3))
    scale = abs(slopes).max(axis=1)[:, None]
    np.testing.assert_allclose(H / scale, slopes / scale, atol=1e-6)
    assert not extended.look(np.concatenate([origin + 5e4 * axes[2], VELOCITY]), origin, axes, z, H)  # in the zenith


@pytest.mark.parametrize("c", [1, 3])
def test_absorb_is_the_scalar_update(c):
    rng, w, P = np.random.default_rng(14), np.zeros(200), np.zeros((7, 8))
    H, before = rng.normal(size=(4, 6)), rng.normal(size=7)
    H[:3, 3:] = 0.0  # range rate alone has to do with velocity
    P[:, :7] = covariance(7, 15)
    w[56:112], w[192:199] = P.ravel(), before
    s, nu = extended.absorb(H, c, 0.7, 1.9, w)
    h, C = np.append(H[c], 0.0), P[:, :7]
    gain = C @ h / (h @ C @ h + 0.7)
    assert s == pytest.approx(h @ C @ h + 0.7, rel=1e-12)
    assert nu == pytest.approx(1.9 - h @ before, rel=1e-12)
    np.testing.assert_allclose(w[192:199], before + gain * nu, rtol=1e-12)
    np.testing.assert_allclose(w[56:112].reshape(7, 8)[:, :7], C - np.outer(gain, h @ C), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("broken", [None, "mean", "variance", "covariance", "time", "sigma", "plot"])
def test_usable_is_finite_and_positive(broken):
    w, x, dt, z, sigma = np.zeros(200), np.ones(6), 1.0, np.array([1.0, np.nan, 1.0, 1.0]), np.array([1.0, 1.0, 1.0, np.nan])
    w[56:112] = np.eye(7, 8).ravel()
    if broken == "mean":
        x[3] = np.nan
    elif broken == "variance":
        w[56 + 9] = 0.0
    elif broken == "covariance":
        w[56 + 8 * 4 + 2] = np.inf
    elif broken == "plot":
        z[3] = np.inf
    elif broken == "time":
        dt = np.inf
    elif broken == "sigma":
        sigma[0] = 0.0
    assert extended.usable(6, x, w, dt, z, sigma) == (broken is None)


# --- nobody is left out

THROUGH_CALLERS = {
    "extended.bend": "inlined into extended.fall",
    "extended.one": "inlined into extended.step",
}


def compiled_kernels():
    for file in sorted((Path(__file__).parents[1] / "src/copfuse/kernels").glob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                decorators = [ast.unparse(d).split("(")[0] for d in node.decorator_list]
                if "njit" in decorators or "borrowing" in decorators:
                    yield f"{file.stem}.{node.name}"


def named_in_tests():
    """Yield "module.kernel" wherever a test imports a kernel by name or takes it from a kernel module."""
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        modules = {}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module == "copfuse.kernels":
                modules.update({a.asname or a.name: a.name for a in node.names})
            elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("copfuse.kernels."):
                yield from (f"{node.module.split('.')[-1]}.{a.name}" for a in node.names)
        for node in nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                yield f"{modules[node.value.id]}.{node.attr}"


def test_every_public_kernel_is_named_by_some_test():
    kernels, named = set(compiled_kernels()), set(named_in_tests())
    assert len(kernels) > 60
    assert kernels - named == set(THROUGH_CALLERS)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="about compiling")
def test_a_kernel_that_borrows_may_not_allocate():
    """It counts no references, so an array of its own would never be freed: numba must refuse it."""

    @borrowing
    def keeping(n):
        return np.zeros(n)[0]

    with pytest.raises(numba.core.errors.NumbaError, match="zeros"):
        keeping(3)
