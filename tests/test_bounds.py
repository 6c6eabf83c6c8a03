"""The bound against published figures, the Kalman filter, one big Gaussian, finite differences and the filters themselves."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

import copfuse as cf
from conftest import EPOCH
from copfuse import bounds, filters, frames, informing, motion, sensors
from copfuse.constants import BOOST, MIDCOURSE
from copfuse.kernels import flight, motions
from copfuse.laydowns import Sensor
from copfuse.scenario import Scenario
from copfuse.tables import Detections, Truth
from copfuse.watching import detector_output
from falling import fallen

# A linear problem with published answers: constant velocity, T = 1 s, position measured to 100 m ---------------------------

F = np.array([[1.0, 1.0], [0.0, 1.0]])
Q = np.array([[1 / 3, 1 / 2], [1 / 2, 1.0]])
P0 = np.diag([1000.0**2, 100.0**2])
ONE = np.diag([1e-4, 0.0])  # H' R^-1 H
AT = (5, 10, 20, 40, 80)


def root(P):
    return np.sqrt(P[[k - 1 for k in AT], 0, 0])


def reduced(q, chance):
    return np.linalg.inv(bounds.recursion(F, q * Q, np.tile(chance * ONE, (80, 1, 1)), np.linalg.inv(P0)))


def modified(q, chance):
    return bounds.modified_riccati(F, q * Q, np.tile(ONE, (80, 1, 1)), chance, P0)


@pytest.mark.parametrize(
    "q, chance, printed",
    [
        (1, 1.0, (75.00, 58.54, 43.71, 36.55, 36.32)), (1, 0.7, (88.52, 69.81, 52.00, 42.24, 41.64)),
        (1, 0.5, (103.1, 82.4, 61.3, 48.6, 47.4)), (25, 0.9, (78.9, 62.7, 54.4, 54.3, 54.3)),
    ],
)  # fmt: skip
def test_information_reduction_factor_gives_the_printed_figures(q, chance, printed):
    """To their printed digits, for which a relative error of 1e-4 is the most that the longest of them allow."""
    digits = np.where(np.array(printed) == np.round(printed, 1), 0.05, 0.005) if q == 25 or chance == 0.5 else 0.005
    assert np.all(np.abs(root(reduced(q, chance)) - printed) <= digits + 1e-9)


def test_modified_riccati_gives_the_printed_figures():
    assert np.all(np.abs(root(modified(1, 0.7)) - (135.1, 95.2, 61.1, 44.5, 42.6)) <= 0.05)


@pytest.mark.parametrize("chance", [0.5, 0.7, 0.9])
def test_the_mean_over_detection_sequences_lies_between(chance):
    """All 1024 sequences of ten looks."""
    mean = np.zeros((10, 2, 2))
    for hits in product((0.0, 1.0), repeat=10):
        J = bounds.recursion(F, Q, np.array(hits)[:, None, None] * ONE, np.linalg.inv(P0))
        mean += np.prod(np.where(hits, chance, 1.0 - chance)) * np.linalg.inv(J)
    if chance == 0.7:  # printed, by Monte Carlo, where a few sequences without a plot decide the first figure
        assert np.allclose(np.sqrt(mean[[4, 9], 0, 0]), (123.7, 78.1), rtol=0.02)
    for low, high in ((reduced(1, chance)[:10], mean), (mean, modified(1, chance)[:10])):
        assert np.linalg.eigvalsh(high - low).min() > -1e-6 * np.abs(high).max()


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_the_linear_gaussian_bound_is_the_kalman_filters_covariance(seed):
    """Random models, dynamics that change from step to step, measurements of one to three components."""
    rng = np.random.default_rng(seed)
    d, n = int(rng.integers(1, 7)), 15
    move, root_q = np.eye(d) + 0.3 * rng.normal(size=(n, d, d)), rng.normal(size=(n, d, d))
    noise, P = np.einsum("nij,nkj->nik", root_q, root_q), np.eye(d)
    expected, gained = [], []
    for k in range(n):
        m = int(rng.integers(1, 4))
        H, R = rng.normal(size=(m, d)), np.diag(10.0 ** rng.uniform(-2, 2, m))
        P = move[k] @ P @ move[k].T + noise[k]
        P = P - P @ H.T @ np.linalg.solve(H @ P @ H.T + R, H @ P)
        expected.append(P)
        gained.append(H.T @ np.linalg.solve(R, H))
    J = bounds.recursion(move, noise, np.array(gained), np.eye(d))
    assert np.allclose(np.linalg.inv(J), expected, rtol=1e-7, atol=1e-9)
    assert np.allclose(bounds.modified_riccati(move, noise, np.array(gained), 1.0, np.eye(d)), expected, rtol=1e-7, atol=1e-9)


# Geometry and motion ---------------------------------------------------------------------------------------------------

ORIGIN, AXES = frames.ecef(np.radians(38.0), np.radians(128.0), 100.0), frames.enu_axes(np.radians(38.0), np.radians(128.0))
SIGMA = np.array([15.0, 1.5e-3, 1.5e-3, np.nan])


def coasting(seconds=120, height=150e3, velocity=(3500.0, -500.0, 1800.0)) -> motion.Trajectory:
    """Free flight with rows at every second, among others."""
    axes = frames.enu_axes(np.radians(40), np.radians(130))
    x = np.concatenate([frames.ecef(np.radians(40), np.radians(130), height), np.array(velocity) @ axes])
    flown = motion.free_fall(x, step=0.5, air=height < 120e3)
    rows = flown.time <= seconds + 1e-9
    return motion.Trajectory(flown.time[rows], flown.x[rows], flown.phase[rows], flown.force[rows])


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_jacobian_equals_finite_differences(seed):
    rng = np.random.default_rng(seed)
    place = frames.point(rng.uniform(20e3, 3e6, 5), rng.uniform(0, 6.28, 5), rng.uniform(-0.2, 1.4, 5), ORIGIN, AXES)
    x = np.hstack([place, rng.normal(0, 3000, (5, 3))])
    H = informing.jacobian(x, ORIGIN, AXES)
    for i, h in enumerate((1.0, 1.0, 1.0, 0.1, 0.1, 0.1)):
        d = frames.look(x + h * np.eye(6)[i], ORIGIN, AXES) - frames.look(x - h * np.eye(6)[i], ORIGIN, AXES)
        d[:, 1] = np.mod(d[:, 1] + np.pi, 2 * np.pi) - np.pi
        size = np.linalg.norm(H[:, :, :3] if i < 3 else H[:, :, 3:], axis=2) + 1e-12
        assert np.all(np.abs(d / (2 * h) - H[:, :, i]) < 2e-5 * size + 1e-9)


def chained(flown, driven=False, beta=5000.0):
    """Transition matrix over a whole path, from steps of a second."""
    time = np.unique(np.r_[np.arange(flown.time[0], flown.time[-1]), flown.time[-1]])
    x = motion.interpolate(flown.time, flown.x, 0.5 * (time[1:] + time[:-1]))
    whole = np.eye(bounds.WIDTH)
    for step in bounds.transitions(x, np.diff(time), np.full(len(x), driven), beta):
        whole = step @ whole
    return whole


def test_coasting_transition_equals_differences_of_the_true_propagator():
    flown = coasting(400)
    found = chained(flown)[:6, :6]
    for i, h in enumerate((100.0, 100.0, 100.0, 0.1, 0.1, 0.1)):
        ends = []
        for sign in (1.0, -1.0):
            moved = motion.free_fall(flown.x[0] + sign * h * np.eye(6)[i], step=0.5, air=False)
            ends.append(motion.interpolate(moved.time, moved.x, flown.time[-1:])[0])
        column = (ends[0] - ends[1]) / (2 * h)
        for part in (slice(0, 3), slice(3, 6)):
            assert np.linalg.norm(found[part, i] - column[part]) < 2e-5 * np.linalg.norm(found[part])


@pytest.mark.parametrize(
    "model, driven, extra", [(motions.MANOEUVRE, True, [12, -20.0, 9.0]), (motions.REENTRY, False, [np.log(4000.0), 0, 0])]
)
def test_transitions_equal_differences_of_the_filters_own_motion(model, driven, extra):
    """Boost with its acceleration, and a re-entry from 40 km on with ln(beta) and wind: the columns of both, over 8 s."""
    axes = frames.enu_axes(0.7, 2.2)
    s0 = np.concatenate([frames.ecef(0.7, 2.2, 40e3), np.array([1500.0, 800.0, -1600.0]) @ axes, extra])
    keep, unit = [*range(6), *((6, 7, 8) if driven else (9, 10, 11))], np.ones(9)
    unit[7:] = 1.0 if driven else motions.WIND  # the bound counts wind in its standard deviation

    def moved(s, dt):
        s = s.copy()
        for _ in range(round(dt / 0.05)):
            motions.propagate(model, 9, s, 0.05, np.zeros((4, 9)), np.zeros(9))
        return s

    whole = np.eye(bounds.WIDTH)
    for k in range(16):
        whole = bounds.transitions(moved(s0, 0.5 * k + 0.25)[None, :6], np.array([0.5]), np.array([driven]), 4000.0)[0] @ whole
    for i, h in enumerate([20.0] * 3 + [0.1] * 3 + [1e-3] * 3):
        step = h * unit[i] * np.eye(9)[i]
        column = (moved(s0 + step, 8.0) - moved(s0 - step, 8.0)) / (2 * h)
        found = whole[keep][:, keep[i]]
        for part in (slice(0, 3), slice(3, 6)):
            assert np.linalg.norm(found[part] - column[part]) < 5e-3 * np.linalg.norm(column[part])


@pytest.mark.parametrize("velocity, until", [((1500.0, 800.0, -1600.0), 18.0), ((600.0, 300.0, -350.0), 60.0), ((0.0, 0.0, -2500.0), 12.0)])
def test_what_wind_does_to_a_fall_equals_differences_of_the_true_flight(velocity, until):
    """From 40 km to a few km, oblique, slow and straight down: by wind to the east and to the north, flown 1 m/s to either side of calm."""
    axes, no_wind = frames.enu_axes(0.7, 2.2), np.zeros(flight.UNSTEADY)
    s0 = np.concatenate([frames.ecef(0.7, 2.2, 40e3), np.array(velocity) @ axes])

    def flown(east=0.0, north=0.0):
        blown = no_wind.copy()
        blown[flight.WIND - flight.PARAMETERS :][:2] = east, north
        time, x, _ = fallen(s0, 4000.0, tuple(blown))
        return lambda at: motion.interpolate(time, x, np.atleast_1d(at))

    calm, whole = flown(), np.eye(bounds.WIDTH)
    for k in range(round(4 * until)):
        whole = bounds.transitions(calm(0.25 * k + 0.125), np.array([0.25]), np.array([False]), 4000.0)[0] @ whole
    assert 1e3 < frames.altitude(calm(until))[0] < 15e3
    for i, way in enumerate(np.eye(2)):
        column = motions.WIND * (flown(*way)(until) - flown(*-way)(until))[0] / 2.0
        for part in (slice(0, 3), slice(3, 6)):  # winds of the flight are level to a fifth of a degree only
            assert np.linalg.norm(whole[part, 10 + i] - column[part]) < 6e-3 * np.linalg.norm(column[part])
    still = bounds.transitions(calm(until), np.array([0.25]), np.array([False]), 4000.0, wind=0.0)[0]
    assert not still[:6, 10:].any() and np.array_equal(still[10:], np.eye(bounds.WIDTH)[10:])
    assert not bounds.transitions(calm(until), np.array([0.25]), np.array([True]), 4000.0)[0][:6, 10:].any()  # no wind moves what burns


@pytest.mark.parametrize("driven, model", [(True, motions.MANOEUVRE), (False, motions.REENTRY)])
def test_process_noise_is_the_filters(driven, model):
    x = np.concatenate([frames.ecef(0.7, 2.2, 25e3), [1000.0, -2000.0, 500.0]])
    vague, keep = np.diag(np.repeat([0.0, 100.0**2, 0.0], 3)), [*range(6), *((6, 7, 8) if driven else (9, 10, 11))]
    P = vague.copy()  # of a velocity so vague that no push is remembered for as long as the filter remembers
    motions.add_process_noise(model, np.r_[x, np.log(4000.0), 0.0, 0.0], P, 0.7, filters.NOISE)
    P -= vague
    found = bounds.process_noise(x[None], np.array([0.7]), np.array([driven]), 4000.0)[0]
    # the filters' unit vectors are short by what 1 mm/s is of the speed (`motions.ahead`), here 4e-7
    assert np.allclose(found[np.ix_(keep, keep)], P, rtol=1.2e-6, atol=1e-12) and np.count_nonzero(found) == np.count_nonzero(P)


def test_batch_information_equals_the_recursion_without_process_noise():
    """The sum of Phi' H' R^-1 H Phi over all plots, carried to the last: relative to it, 1e-9."""
    flown = coasting(60)
    x = motion.interpolate(flown.time, flown.x, np.arange(0.0, 61.0))
    middle = motion.interpolate(flown.time, flown.x, np.arange(0.5, 60.0))
    step = np.concatenate([np.eye(6)[None], bounds.transitions(middle, np.ones(60), np.zeros(60, bool), 5000.0)[:, :6, :6]])
    gained = informing.plot_information(x, np.array([15.0, 1e-3, 1e-3, 2.0]), ORIGIN, AXES)
    start = np.diag(np.repeat([1e-8, 1e-4], 3))
    J = bounds.recursion(step, np.zeros((6, 6)), gained, start)[-1]
    Phi, batch = np.eye(6), start.copy()
    for k in range(61):
        Phi = step[k] @ Phi
        batch += Phi.T @ gained[k] @ Phi
    batch = np.linalg.solve(Phi.T, np.linalg.solve(Phi.T, batch).T)
    scale = 1.0 / np.sqrt(np.diag(batch))
    assert np.abs((J - batch) * np.outer(scale, scale)).max() < 1e-9


# What looks are worth --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("swerling", [0, 1, 3])
@pytest.mark.parametrize("snr", [3.0, 30.0, 300.0])
def test_the_mean_measured_ratio_of_plots_is_that_of_the_detector(swerling, snr):
    """Within four standard errors of what the simulated detector lets through; for a steady target not below it."""
    output = detector_output(np.full(200_000, snr), swerling, np.random.default_rng(4).standard_normal((200_000, 6)))
    passed = output[output > -np.log(1e-4)] - 1.0
    off = informing.plot_snr(snr, 1e-4, swerling) - passed.mean()
    error = 4.0 * passed.std() / np.sqrt(len(passed))
    assert off > -error and (swerling == 0 or off < error)


def test_the_chance_of_a_plot_is_what_the_ticks_give():
    """A search every fifth tick, looks on for five after a plot: against 40 000 simulated sequences of 30 ticks."""
    rng = np.random.default_rng(8)
    pd, searching = rng.uniform(0.0, 0.8, 30), np.arange(30) % 5 == 0
    pd[5] = 0.0
    hits, last = np.zeros(30), np.full(40_000, -99)
    for k in range(30):
        made = (rng.random(40_000) < pd[k]) & (searching[k] | (k - last <= 5))
        last = np.where(made, k, last)
        hits[k] = made.mean()
    assert np.all(np.abs(informing._plot_chance(pd, searching, 5) - hits) < 4.5 * np.sqrt(0.25 / 40_000))


# The bound of a flight --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    s = cf.load("hokkaido-2017")
    truth = cf.fly(s)
    return s, truth, cf.detect(truth, s, seed=0)


def at(bound, time):
    return bound.P[np.searchsorted(bound.time, time, side="right") - 1]


@pytest.mark.parametrize("expected", [False, True])
def test_more_sensors_never_raise_the_bound(whole, expected):
    """The hub's covariance is below every nation's in every direction, a nation's below each of its sensors'."""
    s, truth, d = whole
    plots = None if expected else d
    hub = bounds.bound(truth, s, detections=plots)
    for node in ("KOR", "JPN", "USA"):
        nation = bounds.bound(truth, s, node, detections=plots)
        single = bounds.bound(
            truth, s, sensors=[[x.name for x in s.sensors if x.nation == node and x.kind == "radar"][0]], detections=plots
        )
        for low, high in ((hub, nation), (nation, single)):
            shared = np.intersect1d(high.time, low.time)
            shared = shared[shared > 130.0]
            scale = 1.0 / np.sqrt(np.diagonal(at(high, shared), axis1=1, axis2=2))
            margin = (at(high, shared) - at(low, shared)) * scale[:, :, None] * scale[:, None, :]
            assert len(high.time) == 0 or len(shared) > 100
            assert np.linalg.eigvalsh(margin).min(initial=0.0) > -2e-3  # in re-entry steps of other lengths differ by so much


def test_the_bound_is_symmetric_positive_definite_and_covers_the_flight(whole):
    s, truth, d = whole
    for b in (bounds.bound(truth, s, detections=d), bounds.bound(truth, s)):
        assert np.array_equal(b.P, np.swapaxes(b.P, 1, 2)) and np.linalg.eigvalsh(b.P).min() > 0 and (np.diff(b.time) > 0).all()
        assert np.diff(b.time).max() <= bounds.STEP + 1e-9 and b.time[-1] == truth.time[-1]
        assert np.allclose(b.position**2, np.einsum("nii->n", b.P[:, :3, :3])) and np.allclose(
            b.velocity**2, np.einsum("nii->n", b.P[:, 3:, 3:])
        )


def test_expected_information_stays_below_the_mean_over_detections(whole):
    """Over 12 seeds, in position variance at times in every phase, within four standard errors."""
    s, truth, _ = whole
    names, time = ["US-TPY2-SH", "JP-FPS5-OM", "KR-GP-CN"], np.array([90.0, 150.0, 300.0, 700.0])
    difference = []
    for seed in range(12):
        made = bounds.bound(truth, s, sensors=names, detections=cf.detect(truth, s, seed=seed))
        mean = bounds.bound(truth, s, sensors=names, seed=seed)
        difference.append([np.trace(at(made, t)[:3, :3]) / np.trace(at(mean, t)[:3, :3]) - 1.0 for t in time])
    off = np.array(difference)
    assert np.all(off.mean(axis=0) > -4.0 * off.std(axis=0) / np.sqrt(12)) and np.all(np.abs(off.mean(axis=0)) < 0.5)


def test_a_fall_without_noise_is_known_better(whole):
    """After a long coast, and while the engine burns not at all."""
    s, truth, d = whole
    usual, exact = (bounds.bound(truth, s, "USA", detections=d, noise=n) for n in (1e5, 0.0))
    assert np.array_equal(at(usual, 140.0), at(exact, 140.0)) and np.all(exact.position <= usual.position * (1 + 1e-6))
    row = [np.searchsorted(b.time, 1000.0) for b in (exact, usual)]
    assert exact.position[row[0]] < 0.9 * usual.position[row[1]] and exact.velocity[row[0]] < 0.6 * usual.velocity[row[1]]


@pytest.mark.parametrize("name, node, object, least", [("salvo-2022", "KOR", 1, 1.05), ("hokkaido-2017", "USA", 0, 1.0)])
def test_a_wind_that_nobody_knows_raises_the_bound_where_there_is_air(name, node, object, least, monkeypatch):
    """In no direction is the bound below that without wind; under thrust and in space it is the same.  Of a missile that stays below
    25 km it is above by a twentieth in position or velocity; of a fall without noise, in calm air, no wind is asked for."""
    s = dataclasses.replace(cf.load(name), bias=0.0)
    truth = cf.fly(s)
    d, path = cf.detect(truth, s, seed=0), truth[truth.object == object]
    windy, exact = (bounds.bound(truth, s, node, detections=d, object=object, noise=n) for n in (1.0, 0.0))
    monkeypatch.setattr(motions, "WIND", 0.0)
    calm, still = (bounds.bound(truth, s, node, detections=d, object=object, noise=n) for n in (1.0, 0.0))
    assert np.array_equal(exact.P, still.P)
    scale = 1.0 / np.sqrt(np.diagonal(calm.P, axis1=1, axis2=2))
    more = (windy.P - calm.P) * scale[:, :, None] * scale[:, None, :]
    assert np.linalg.eigvalsh(more).min() > -1e-6
    height, burnt = frames.altitude(motion.interpolate(path.time, path.x, calm.time)), path.time[path.phase == BOOST][-1]
    assert np.abs(more[(calm.time < burnt) | (height > 150e3)]).max(initial=0.0) < 1e-4
    low = (calm.time > burnt) & (height < 20e3)
    raised = np.stack([windy.position / calm.position, windy.velocity / calm.velocity])[:, low]
    assert low.sum() > 5 and np.median(raised.max(axis=0)) > least


def test_bad_names_are_refused_with_the_right_one(whole):
    s, truth, d = whole
    with pytest.raises(cf.CopfuseError, match="KOR"):
        bounds.bound(truth, s, "KOREA")
    with pytest.raises(cf.CopfuseError, match="no sensor 'US-SBXX'.*US-SBX"):
        bounds.bound(truth, s, sensors=["US-SBXX"])
    with pytest.raises(cf.CopfuseError, match="no path of object 3"):
        bounds.bound(truth, s, object=3)
    assert len(bounds.bound(truth, s, sensors=[], detections=d).time) == 0


# The filter on the bound ------------------------------------------------------------------------------------------------


def test_single_radar_coast_sits_on_the_bound():
    """RMSE of the interacting multiple models over the bound at scans 40, 60, ..., 120, from 200 runs with one radar.

    An efficient estimate's mean square over the bound's lies, with 99.8 % chance, below the figure that chi-squared gives for
    the components' own variances; the filter, which does not know that nothing pushes, may be 3 % above in RMSE.
    """
    flown, runs = coasting(120), 200
    path = Truth(
        flown.time, np.zeros(len(flown.time)), flown.x, np.full(len(flown.time), MIDCOURSE), {"objects": [{"name": "m", "rcs": 1.0}]}
    )
    time = np.arange(0.0, 121.0)
    truth = motion.interpolate(flown.time, flown.x, time)
    look = frames.look(truth, ORIGIN, AXES)
    radar = Sensor("R", "KOR", lat=np.radians(38.0), lon=np.radians(128.0), alt=100.0)
    s = Scenario("one radar", EPOCH, (), (radar,))
    plots = Detections(time, np.zeros(121), look, np.tile(SIGMA, (121, 1)), np.full(121, 30.0), np.zeros(121), {"sensors": ["R"]})
    lowest = bounds.bound(path, s, detections=plots)
    assert np.allclose(sensors.place(radar, [0.0])[0], ORIGIN)
    z = np.array([look + SIGMA * np.random.default_rng(1000 + i).standard_normal(look.shape) for i in range(runs)])
    tracks, ratios = filters.start(0.0, z[:, 0], np.tile(SIGMA, (runs, 1)), ORIGIN, AXES), []
    for k in range(1, 121):
        tracks = filters.update(filters.predict(tracks, float(k)), z[:, k], np.tile(SIGMA, (runs, 1)), ORIGIN, AXES)
        if k >= 40 and k % 20 == 0:
            P, square = at(lowest, float(k)), np.square(tracks.x6 - truth[k]).mean(axis=0)
            for part in (slice(0, 3), slice(3, 6)):
                value = np.linalg.eigvalsh(P[part, part])
                freedom = value.sum() ** 2 / np.square(value).sum() * runs  # Satterthwaite
                ratios.append([np.sqrt(square[part].sum() / value.sum()), *np.sqrt(chi2.ppf([0.001, 0.999], freedom) / freedom)])
    ratio, low, high = np.array(ratios).T
    assert np.all(ratio < 1.03 * high) and np.all(ratio > low), ratio


def test_the_tracker_knows_what_the_bound_says_in_every_direction():
    """In free flight the covariance of a nation's track is the bound for the same plots, not only in its trace: no direction in
    which models that are all but excluded blur it."""
    s = dataclasses.replace(cf.load("hokkaido-2017"), bias=0.0)
    truth = cf.fly(s)
    d = cf.detect(truth, s, seed=0)
    limit = cf.bound(truth, s, "USA", detections=d)
    own = np.array([x.nation == "USA" for x in s.sensors])
    tracks = cf.track(d[own[d.sensor]], s)
    tracks = tracks[tracks.firm & (tracks.time > 250.0) & (tracks.time < 1050.0)]
    for row in np.linspace(0, len(tracks) - 1, 40).astype(int):
        at = np.searchsorted(limit.time, tracks.time[row] + 1e-9, side="right") - 1
        root = np.linalg.inv(np.linalg.cholesky(limit.P[at]))
        share = np.linalg.eigvalsh(root @ tracks.P[row] @ root.T)
        assert share.min() > 0.85 and share.max() < 1.15
