"""How long the compiled kernels take, and that what they give is right; no part of the test suite.

    pytest -n 0 benchmarks --benchmark-group-by=group

Filters, forecasts, fusion, flights and sensing are here; gates, assignment and scores in `test_scan_kernels`.
"""

from __future__ import annotations

import numpy as np
import pytest

from copfuse import atmosphere, filters, forecast, frames, kalman, motion, rivals, rules, sensors
from copfuse import speed as bench
from copfuse.constants import BOOST
from copfuse.kernels import consider, earth, estimation, motions, sensing, wander
from copfuse.kernels.intersection import intersect_rows
from copfuse.laydowns import laydown
from copfuse.vehicles import SHORT, Stage

P = bench.problem(200)
Z, SIGMA = P.z[:1], P.sigma[:1]
SIZES = pytest.mark.parametrize("n", [1, 100, 1000])
EVEN = np.full(motions.N_MODEL, 1.0 / motions.N_MODEL)
COASTING = np.where(np.arange(motions.N_MODEL) == motions.COAST, 1.0, 0.0)


def tracks(n, chances=EVEN):
    return filters.bank(0.0, np.tile(P.x, (n, 1)), np.tile(P.P, (n, 1, 1)), np.tile(chances, (n, 1)))


def group(name):
    return pytest.mark.benchmark(group=name)


def points(x, covariance):
    """Cubature points (12, 6) of one estimate, by numpy."""
    root = np.sqrt(6.0) * np.linalg.cholesky(covariance)
    return np.concatenate([x + root.T, x - root.T])


# Extended filter ------------------------------------------------------------------------------------------------------


@group("extended filter")
@SIZES
def test_extended_step(benchmark, n):
    """A predict + update, against filterpy's."""
    x, covariance = np.tile(P.x, (n, 1)), np.tile(P.P, (n, 1, 1))
    new = benchmark(kalman.step, 0.0, x, covariance, 1.0, np.tile(Z, (n, 1)), np.tile(SIGMA, (n, 1)), P.origin, P.axes)
    assert bench.difference((new.x[-1:], new.P[-1:]), rivals.filterpy_extended(bench.problem(1))) < bench.EQUAL


@group("extended filter")
def test_extended_series_of_200_plots(benchmark):
    assert bench.difference(benchmark(bench.extended, P), rivals.filterpy_extended(P)) < bench.EQUAL


# Multiple-model filter ------------------------------------------------------------------------------------------------


@group("models: predict")
@SIZES
def test_models_predict(benchmark, n):
    """All five models awake: every row the same, and free fall within what the mixture claims."""
    new = benchmark(filters.predict, tracks(n), 1.0)
    off = new.x6 - rivals.stages(P.x.tolist(), 1.0)[1]
    assert (new.x6 == new.x6[0]).all() and (np.abs(off) < 3.0 * np.sqrt(np.einsum("naa->na", new.P6))).all()


@group("models: predict")
@SIZES
def test_models_predict_what_coasts(benchmark, n):
    """Four models asleep: the mean is that of numpy's cubature points, each moved by the rivals' Runge-Kutta step."""
    new = benchmark(filters.predict, tracks(n, COASTING), 1.0)
    moved = np.array([rivals.stages(p.tolist(), 1.0)[1] for p in points(P.x, P.P)])
    np.testing.assert_allclose(new.x[:, motions.COAST, :3], np.tile(moved[:, :3].mean(axis=0), (n, 1)), atol=1.0)


@group("models: update")
@SIZES
def test_models_update(benchmark, n):
    """Each track's range is then the plot's to three of its standard deviations, and as sure to a twentieth."""
    now = filters.predict(tracks(n), 1.0)
    new = benchmark(filters.update, now, np.tile(Z, (n, 1)), np.tile(SIGMA, (n, 1)), P.origin, P.axes)
    way = new.x6[:, :3] - P.origin
    distance = np.linalg.norm(way, axis=1)
    sure = np.sqrt(np.einsum("ni,nij,nj->n", way, new.P6[:, :3, :3], way)) / distance
    assert (np.abs(distance - Z[0, 0]) < 60.0).all() and (sure < 21.0).all()


@group("models: update")
@SIZES
def test_models_update_weighted_by_three_plots(benchmark, n):
    """All the weight on one of three plots is the plain update."""
    now, start, plot = filters.predict(tracks(n), 1.0), np.arange(0, 3 * n + 1, 3), np.tile(np.arange(3), n)
    weight = np.tile([0.98, 0.01, 0.01], n)
    args = np.zeros(n), np.repeat(Z, 3, axis=0), np.repeat(SIGMA, 3, axis=0), P.origin, P.axes
    new = benchmark(filters.update_weighted, now, start, plot, weight, *args)
    alone = filters.update(now[:1], Z, SIGMA, P.origin, P.axes)
    np.testing.assert_allclose(new.x6 - alone.x6, 0.0, atol=1e-3)


@group("models: expect")
@SIZES
def test_models_expect_ten_plots_each(benchmark, n):
    """Squared distances of the coasting model are those of numpy's cubature and linear algebra."""
    now = filters.predict(tracks(n, COASTING), 1.0)
    z = Z + SIGMA * np.linspace(-3.0, 3.0, 10)[:, None]
    start, plot = np.arange(0, 10 * n + 1, 10), np.tile(np.arange(10), n)
    d2, _ = benchmark(filters.expect_pairs, now, start, plot, z, np.repeat(SIGMA, 10, axis=0), P.origin, P.axes)
    seen = frames.look(points(now.x[0, motions.COAST, :6], now.P[0, motions.COAST, :6, :6]), P.origin, P.axes)[:, :3]
    S = np.cov(seen.T, bias=True) + np.diag(SIGMA[0, :3] ** 2)
    nu = z[:, :3] - seen.mean(axis=0)
    np.testing.assert_allclose(d2.reshape(n, 10), np.tile(np.einsum("ka,ka->k", nu, np.linalg.solve(S, nu.T).T), (n, 1)), rtol=1e-6)


@group("cubature")
def test_cubature_series_of_200_plots(benchmark):
    """Free fall alone, two compiled calls a plot, against filterpy's unscented filter on the same points."""
    assert bench.difference(benchmark(bench.cubature, P), rivals.filterpy_unscented(P)) < bench.EQUAL


@group("cubature")
@pytest.mark.parametrize("model", ["MANOEUVRE", "COAST", "REENTRY", "GLIDE", "BOOST"])
def test_cubature_prediction_of_one_model(benchmark, model):
    """One model over 1 s: without its process noise, what is unknown of position grows by what is unknown of velocity."""
    number = getattr(motions, model)
    n, now = int(motions.DIMENSION[number]), tracks(1)
    work = np.zeros((9, 9)), np.zeros((18, 9)), np.zeros((4, 9)), np.zeros(9)

    def predicted():
        x, covariance = now.x[0, number].copy(), now.P[0, number].copy()
        estimation.predict_model(number, n, x, covariance, 1.0, np.zeros_like(filters.NOISE), *work)
        return x, covariance

    x, covariance = benchmark(predicted)
    assert np.linalg.norm(x[:3] - P.x[:3] - P.x[3:]) < 40.0  # half of gravity and thrust
    np.testing.assert_allclose(np.diag(covariance)[:3], 1e6 + 1e4, rtol=0.02)


# Motion ---------------------------------------------------------------------------------------------------------------


@group("motion")
@pytest.mark.parametrize("seconds", [1.0, 60.0])
def test_propagation_of_free_fall(benchmark, seconds):
    """Steps of the filters' motion, against the flight kernel's half-second steps without air."""
    k, y = np.zeros((4, 9)), np.zeros(9)

    def moved():
        s = np.r_[P.x, 0.0, 0.0, 0.0]
        motions.propagate(motions.COAST, 6, s, seconds, k, y)
        return s

    fallen = motion.free_fall(P.x, air=False)
    np.testing.assert_allclose(benchmark(moved)[:3], motion.interpolate(fallen.time, fallen.x, [seconds])[0, :3], atol=0.5)


@group("motion")
@SIZES
def test_fall_matrices(benchmark, n):
    """Against differences of two propagated states, 10 s on."""
    F = np.zeros((n, 6, 6))
    benchmark(consider.fall_matrices, np.tile(P.x, (n, 1)), np.full(n, 10.0), F)
    k, y = np.zeros((4, 9)), np.zeros(9)
    for column, size in ((0, 100.0), (4, 1.0)):
        ends = []
        for sign in (1.0, -1.0):
            s = np.r_[P.x, 0.0, 0.0, 0.0]
            s[column] += sign * size
            motions.propagate(motions.COAST, 6, s, 10.0, k, y)
            ends.append(s[:6].copy())
        np.testing.assert_allclose(F[-1, :, column], (ends[0] - ends[1]) / (2.0 * size), rtol=1e-3, atol=1e-3)


PLAN = motion.Plan(np.radians(39.0), np.radians(126.0), (Stage(90.0, 24.0, 125.0, 40e3),), (0.2, 0.3), SHORT, 5000.0)


@group("motion")
def test_flight_from_launch_to_impact(benchmark):
    flown = benchmark(motion.launch, PLAN)
    assert flown.landed and abs(frames.altitude(flown.x[-1])) < 1.0


@group("motion")
@SIZES
def test_flight_at_given_times(benchmark, n):
    """A flight at n times, against the rows of the flight itself."""
    flown = motion.launch(PLAN)
    time = np.linspace(1.0, 0.9 * flown.time[-1], n)
    x = benchmark(motion.states, PLAN, time)
    np.testing.assert_allclose(x[:, :3], motion.interpolate(flown.time, flown.x, time)[:, :3], atol=20.0)


# Forecast and fusion --------------------------------------------------------------------------------------------------


@group("impact")
@pytest.mark.parametrize("what", ["coasting", "boosting"])
@pytest.mark.parametrize("n", [1, 10, 100])
def test_impact_point(benchmark, n, what):
    """Where what coasts comes down, against its free fall with the mean ballistic coefficient; boost goes farther."""
    phase = np.tile([0.0, 1.0, 0.0, 0.0] if what == "coasting" else np.eye(4)[BOOST], (n, 1))
    x, covariance, beta = np.tile(P.x, (n, 1)), np.tile(P.P / 100.0, (n, 1, 1)), np.tile([8.5, 0.5], (n, 1))
    ahead = 20.0 * P.x[3:] / np.linalg.norm(P.x[3:])
    point, cov, *_ = benchmark(forecast.impact_point, x, covariance, beta, np.tile(ahead, (n, 1)), phase)
    down = motion.free_fall(P.x, float(np.exp(8.5))).x[-1, :3]
    off, size = np.linalg.norm(point - down, axis=1), np.sqrt(np.trace(cov, axis1=1, axis2=2))
    assert (off < 0.5 * size).all() if what == "coasting" else (off > 20e3).all()


@group("fusion")
@SIZES
def test_split_intersection_of_two(benchmark, n):
    """With all in common it is covariance intersection as the rules have it."""
    x, covariance = two(n)
    out, cov = np.zeros((n, 6)), np.zeros((n, 6, 6))
    benchmark(intersect_rows, x, covariance, covariance, np.ones((n, 2), bool), out, cov)
    fused = rules.covariance_intersection(x[0, 0], covariance[0, 0], x[0, 1], covariance[0, 1])
    np.testing.assert_allclose(cov, np.tile(fused.P, (n, 1, 1)), rtol=1e-4, atol=1e-6 * fused.P.max())


def two(n):
    """Two estimates of n objects that know different things well: x (n, 2, 6), P (n, 2, 6, 6)."""
    one, other = np.diag([1e6, 1e4, 1e4, 1e4, 1e2, 1e2]), np.diag([1e4, 1e6, 1e4, 1e2, 1e4, 1e2])
    x = np.stack([P.x, P.x + np.sqrt(np.diag(one + other)) * 0.3])
    return np.tile(x, (n, 1, 1)), np.tile(np.stack([one, other]), (n, 1, 1, 1))


@group("fusion rules")
@pytest.mark.parametrize("rule", ["independent", "covariance_intersection", "inverse_covariance_intersection", "ellipsoidal_intersection"])
@SIZES
def test_rule(benchmark, n, rule):
    """Each rule is between the sum of informations and the better of the two, by the determinant."""
    x, covariance = two(n)
    fused = benchmark(getattr(rules, rule), x[:, 0], covariance[:, 0], x[:, 1], covariance[:, 1])
    least = np.linalg.slogdet(rules.independent(x[:, 0], covariance[:, 0], x[:, 1], covariance[:, 1]).P)[1]
    size = np.linalg.slogdet(fused.P)[1]
    assert (size >= least - 1e-9).all() and (size <= np.linalg.slogdet(covariance)[1].min(axis=1) + 1e-9).all()


# What stands behind a covariance ----------------------------------------------------------------------------------------


@group("consider")
@SIZES
def test_consider_rows_of_two_sensors(benchmark, n):
    """Of one place, where each plot moves the estimate halfway to it: range, and distance times angles, by each one's share."""
    track, sensor, time = np.zeros(n, np.int64), np.arange(n) % 2, 1.0 + 1e-6 * np.arange(n)
    x, B = np.tile(P.x, (n, 1)), np.zeros((n, 6, 6))
    origin, axes, sigma = np.tile(P.origin, (n, 1)), np.tile(P.axes, (n, 1, 1)), np.tile(SIGMA, (n, 1))
    after, before = np.tile(0.5 * P.P, (n, 1, 1)), np.tile(P.P, (n, 1, 1))
    bias, lasting = np.tile([20.0, 1e-3, 1e-3], (2, 1)), np.full(2, 1e12)

    def behind():
        B[:] = 0.0
        consider.consider(track, sensor, time, x, after, before, sigma, origin, axes, np.zeros(2, np.int64), 1, 2, bias, lasting, B)

    benchmark(behind)
    distance, _, elevation, _ = frames.look(P.x[None], P.origin, P.axes)[0]
    want = 20.0**2 + (1e-3 * distance) ** 2 * (1.0 + np.cos(elevation) ** 2)
    shares = np.array([1.0, 0.0])
    for row in range(1, n):
        shares = 0.5 * shares + 0.5 * (np.arange(2) == row % 2)
    np.testing.assert_allclose(np.trace(B[-1, :3, :3]), shares @ shares * want, rtol=0.01)


@group("consider")
@SIZES
def test_common_part_of_rows(benchmark, n):
    """Where no plot tells anything and nothing is added, it is the first row's velocity prior, carried on."""
    track, time = np.zeros(n, np.int64), 0.1 * np.arange(n)
    x, covariance = np.tile(P.x, (n, 1)), np.tile(P.P, (n, 1, 1))
    D = np.zeros((n, 6, 6))
    benchmark(consider.common, track, time, x, covariance, covariance, covariance, covariance, np.zeros(n), 1, D)
    start, F = np.zeros((6, 6)), np.zeros((1, 6, 6))
    start[3:, 3:] = P.P[3:, 3:]
    consider.fall_matrices(P.x[None], np.full(1, 0.1), F)
    for _ in range(min(n, 5) - 1):
        start = F[0] @ start @ F[0].T
    np.testing.assert_allclose(D[min(n, 5) - 1], start, rtol=1e-6, atol=1e-6)


# Sensing --------------------------------------------------------------------------------------------------------------


@group("sensing")
@SIZES
def test_chance_of_detection(benchmark, n):
    """Of targets above a radar, by Swerling's first case where that is the sensor's, and none beyond its range."""
    radar = next(s for s in laydown("northeast-asia") if s.kind == "radar" and s.swerling in (1, 2) and s.platform == "ground")
    lat, lon = frames.ground_point(radar.lat, radar.lon, np.linspace(0.3, 1.2, n) * radar.range_max, radar.boresight)
    x = np.hstack([frames.ecef(lat, lon, np.full(n, 200e3)), np.zeros((n, 3))])
    chance, snr = benchmark(sensors.detection_chance, radar, x, np.zeros(n), 1.0, np.ones(n, bool))
    distance = np.linalg.norm(x[:, :3] - sensors.place(radar, np.zeros(n))[0], axis=1)
    assert (chance[distance > radar.range_max] == 0.0).all() and chance[0] > 0.0
    np.testing.assert_allclose(chance, np.where(snr > 0.0, radar.pfa ** (1.0 / (1.0 + snr)), 0.0))


@group("sensing")
@SIZES
def test_lowest_visible_altitude(benchmark, n):
    """The known point: 131.9 km at a distance of 1360 km."""
    found = benchmark(atmosphere.lowest_visible_altitude, np.zeros(n), np.full(n, 1360e3))
    np.testing.assert_allclose(found, 131.9e3, rtol=1e-3)


@group("sensing")
@SIZES
def test_ticks_at_which_a_radar_looks(benchmark, n):
    """Found at the first search tick with a hit, and kept as long as hits are at most five ticks apart."""
    tick, (rows, of) = np.arange(n), np.zeros((2, n), int)
    hit, search = tick % 3 == 0, tick % 12 == 0
    one, end = (np.array([value]) for value in (0, n))
    seen = hit.astype(float), tick, search, np.zeros(n, bool), one, np.array([0.5]), np.array([5])
    made = benchmark(sensing.noticed, *seen, one, end, rows, of)
    assert (rows[:made] == np.flatnonzero(hit)).all()


@group("sensing")
@SIZES
def test_biases_that_wander(benchmark, n):
    """Against the recursion written out."""
    noise, out = np.random.default_rng(0).standard_normal((n, 3)), np.zeros((n, 3))
    benchmark(sensing.wander, noise, 1.0, 100.0, out)
    want, keep = noise[0].copy(), np.exp(-0.01)
    for row in noise[1:]:
        want = keep * want + np.sqrt(1.0 - keep**2) * row
    np.testing.assert_allclose(out[-1], want, rtol=1e-9)


@group("sensing")
@SIZES
def test_altitudes(benchmark, n):
    """Heights over the ellipsoid, against pymap3d's."""
    x, out = np.tile(P.x[:3], (n, 1)) * np.linspace(0.98, 1.2, n)[:, None], np.zeros(n)
    benchmark(earth.altitudes, x, out)
    np.testing.assert_allclose(out, frames.geodetic(x)[2], atol=1e-3)


@group("registration")
@SIZES
def test_errors_whitened_of_wandering_biases(benchmark, n):
    """Against the inverse of the Cholesky factor of the errors' covariance."""
    rng = np.random.default_rng(1)
    load, sigma, keep, rows = rng.standard_normal((n, 4)), rng.uniform(0.5, 2.0, n), np.full(n, 0.99), rng.standard_normal((n, 2))
    gain, root, out = np.zeros((n, 4)), np.zeros(n), np.zeros((n, 2))

    def whitened():
        wander.gains(load, sigma, keep, gain, root)
        wander.innovations(load, keep, gain, root, rows, out)

    benchmark(whitened)
    m = min(n, 60)
    apart = np.abs(np.subtract.outer(np.arange(m), np.arange(m)))
    covariance = load[:m] @ load[:m].T * 0.99**apart + np.diag(sigma[:m] ** 2)
    np.testing.assert_allclose(out[:m], np.linalg.solve(np.linalg.cholesky(covariance), rows[:m]), rtol=1e-6, atol=1e-9)
