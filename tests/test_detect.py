"""`detect`: streams, schedule, noise against what it says of itself, false plots, bias; its two recursions against twins."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import copfuse as cf
from copfuse import frames, motion, sensors, simulate
from copfuse.errors import CopfuseError
from copfuse.kernels import sensing
from copfuse.tables import Truth, stack

LAYDOWN = {sensor.name: sensor for sensor in sensors.laydown("northeast-asia")}


def arc(name: str = "one", begin: float = 0.0, apogee: float = 300e3, duration: float = 600.0, burn: float = 80.0) -> Truth:
    """A made-up flight from Pyongyang towards the east: a parabola over the ground, burning for its first ``burn`` s."""
    t = np.arange(0.0, duration + 0.25, 0.5)
    u = t / duration
    lat, lon = frames.ground_point(np.radians(39.2), np.radians(125.7), np.maximum(900e3 * u, 1e-3), np.radians(80.0))
    p = frames.ecef(lat, lon, 4.0 * apogee * u * (1.0 - u))
    phase = np.where(t < burn, 0, 1)
    objects = [{"name": name, "launch": 0, "kind": "missile", "rcs": 0.3, "missile_class": "MRBM"}]
    return Truth(t + begin, np.zeros(len(t)), np.hstack([p, np.gradient(p, t, axis=0)]), phase, {"objects": objects})


def both(first: Truth, second: Truth) -> Truth:
    moved = replace(second, object=second.object + 1)
    return replace(stack([first, moved]), meta={"objects": first.meta["objects"] + second.meta["objects"]})


def scenario(*names: str, bias: float = 1.0, clutter: float = 1.0, duration: float | None = None, **changes) -> SimpleNamespace:
    chosen = tuple(replace(LAYDOWN[n], availability=1.0, **changes) for n in names) if names else tuple(LAYDOWN.values())
    epoch = datetime(2024, 1, 14, 5, 55, tzinfo=UTC)
    return SimpleNamespace(name="made up", epoch=epoch, sensors=chosen, bias=bias, clutter=clutter, duration=duration)


FLIGHT = arc()


def of(detections, name: str):
    """The rows of one sensor, without the column that numbers it."""
    rows = detections[detections.sensor == detections.meta["sensors"].index(name)]
    return [getattr(rows, c).tobytes() for c in ("time", "z", "sigma", "snr", "object")]


# Streams and schedule ------------------------------------------------------------------------------------------------


def test_same_seed_same_bytes_and_another_seed_others():
    whole = scenario()
    one, again, other = (cf.detect(FLIGHT, whole, seed=s) for s in (3, 3, 4))
    assert one.uid == again.uid and one.uid != other.uid and len(one) > 500


def test_another_sensor_leaves_the_others_bit_identical():
    few = cf.detect(FLIGHT, scenario("JP-AEG-W", "KR-GP-CB"), seed=1)
    more = cf.detect(FLIGHT, scenario("US-SBIRS-GEO", "JP-AEG-W", "US-TPY2-SH", "KR-GP-CB", "JP-FPS5-SD"), seed=1)
    for name in ("JP-AEG-W", "KR-GP-CB"):
        assert of(few, name) == of(more, name)


def test_another_object_leaves_the_first_ones_plots_bit_identical():
    alone = cf.detect(FLIGHT, scenario("JP-AEG-W", "KR-GP-CB", duration=700.0), seed=1)
    pair = cf.detect(both(FLIGHT, arc("two", begin=30.0, apogee=200e3)), scenario("JP-AEG-W", "KR-GP-CB", duration=700.0), seed=1)
    assert np.any(pair.object == 1)
    kept = pair[pair.object != 1]
    for name in ("JP-AEG-W", "KR-GP-CB"):
        assert of(alone, name) == of(kept, name)


def test_rows_are_sorted_and_a_tick_is_one_scan():
    found = cf.detect(both(FLIGHT, arc("two", begin=5.0)), scenario(), seed=2)
    order = np.lexsort((found.sensor, found.time))
    assert np.all(np.diff(order) == 1)
    for name, plan in found.meta["schedule"].items():
        time = found.time[found.sensor == found.meta["sensors"].index(name)]
        ticks = (time - plan["first"]) / plan["track"]
        np.testing.assert_allclose(ticks, np.round(ticks), atol=1e-6)
        share = plan["search"] / plan["track"]
        assert share == pytest.approx(round(share)) and 0.0 <= plan["first"] < plan["search"]
    scans = np.unique(np.stack([found.time, found.sensor]), axis=1).shape[1]
    assert scans < len(found)  # two objects in one scan somewhere


def test_the_first_plot_comes_at_a_search_tick_and_tracking_is_faster():
    found = cf.detect(FLIGHT, scenario("KR-GP-CB", clutter=0.0), seed=5)
    plan = found.meta["schedule"]["KR-GP-CB"]
    frames_in = (found.time[0] - plan["first"]) / plan["search"]
    assert frames_in == pytest.approx(round(frames_in), abs=1e-9)
    assert np.median(np.diff(found.time)) == pytest.approx(plan["track"]) and plan["track"] == 1.0 and plan["search"] == 5.0


@pytest.mark.kernels
def test_looks_that_notice_against_a_naive_twin():
    """Three sights, of every tick or of some; each from its own place on."""
    stream = np.random.default_rng(0)
    hold, threshold, n = np.array([1, 3, 5]), np.array([0.7, 0.6, 0.5]), 400
    first = n * np.arange(4)
    output, cued = stream.random(3 * n), stream.random(3 * n) < 0.02
    tick = np.concatenate([np.arange(n), 2 * np.arange(n), np.sort(stream.choice(900, n, replace=False))])
    search = tick % 5 == 0
    begin, end = first[:-1] + [0, 100, 250], first[1:] - [0, 50, 0]
    rows, of = np.zeros((2, int((end - begin).sum())), int)
    made = sensing.noticed(output, tick, search, cued, first, threshold, hold, begin, end, rows, of)
    expected = []
    for i in range(3):
        seen = [-1000]
        for k in range(first[i], end[i]):
            if output[k] > threshold[i] and (search[k] or cued[k] or tick[k] - seen[-1] <= hold[i]):
                seen.append(int(tick[k]))
                expected += [(k, i)] if k >= begin[i] else []
    assert list(zip(rows[:made].tolist(), of[:made].tolist(), strict=True)) == expected and made > 30


@pytest.mark.kernels
def test_what_cues_make_of_looks_is_what_numpy_says_to_the_bit():
    """Four sights, each of Swerling's cases; of one sight's looks some heed cues, of another's all or none."""
    stream = np.random.default_rng(1)
    n, swerling, moved = 90, np.array([0, 1, 3, 1]), np.array([False, True, False, False])
    begin, end = n * np.arange(4) + [0, 10, 20, 0], n * np.arange(1, 5) - [30, 0, 10, 60]
    snr, gain, enough = stream.uniform(0.1, 50.0, 4 * n), np.array([1.0, 3.0, 20.0, 5.0]), np.array([30.0, 15.0, 40.0, np.inf])
    normal, ratio, cued, out = stream.standard_normal((4 * n, 10)), np.zeros(4 * n), np.zeros(4 * n, bool), np.zeros(4 * n)
    on = np.array([True, False, True, False])
    sensing.go_on(begin, end, on, snr, gain, enough, ratio, cued)
    sensing.outputs(begin, end, ratio, cued, swerling, normal, moved, out)
    assert moved.tolist() == [True, True, True, False]
    for i, (a, b) in enumerate(zip(begin, end, strict=True)):
        want = np.maximum(snr[a:b], np.minimum(gain[i] * snr[a:b], enough[i])) if on[i] else snr[a:b]
        np.testing.assert_array_equal(ratio[a:b], want)
        assert (cued[a:b] == on[i]).all()
        np.testing.assert_array_equal(out[a:b], simulate.detector_output(want, swerling[i], normal[a:b, :6]) if moved[i] else 0.0)
    outside = np.bincount(np.concatenate([np.arange(a, b) for a, b in zip(begin, end, strict=True)]), minlength=4 * n) == 0
    assert not ratio[outside].any() and not out[outside].any()

    best, which = np.repeat(gain, n), np.where(np.arange(4 * n) % n > 50, stream.integers(-1, 5, 4 * n), np.repeat([0, -1, 2, -1], n))
    before, wrong, heeded = (ratio.copy(), cued.copy()), np.zeros(4, int), np.zeros(4, int)
    sensing.settle(begin, end - 5, end, best, which, snr, enough, ratio, cued, wrong, heeded)
    for i, (a, b) in enumerate(zip(begin, end, strict=True)):
        want = np.where(which[a:b] >= 0, np.maximum(snr[a:b], np.minimum(best[a:b] * snr[a:b], enough[i])), snr[a:b])
        np.testing.assert_array_equal(ratio[a:b], want)
        np.testing.assert_array_equal(cued[a:b], which[a:b] >= 0)
        other = np.flatnonzero(((want != before[0][a:b]) | (cued[a:b] != before[1][a:b]))[: b - a - 5])
        assert wrong[i] == (a + other[0] if len(other) else -1)
        assert heeded[i] == (a + np.flatnonzero(cued[a:b])[0] if cued[a:b].any() else -1)
    assert (wrong >= 0).sum() in (2, 3) and (heeded >= 0).sum() >= 2


def test_wander_is_a_stationary_gauss_markov_sequence():
    n, step, constant = 400_000, 1.0, 20.0
    out = np.empty((n, 1))
    sensing.wander(np.random.default_rng(0).standard_normal((n, 1)), step, constant, out)
    # the variance of n correlated samples counts like n step / (2 constant) / 2 free ones at the least
    free = n * step / (2.0 * constant)
    assert abs(out.var() - 1.0) < 4.5 * np.sqrt(2.0 / free)
    lagged = np.mean(out[:-20] * out[20:])
    assert lagged == pytest.approx(np.exp(-1.0), abs=4.5 / np.sqrt(free))
    still = np.empty((3, 1))
    sensing.wander(np.ones((3, 1)), 1.0, 1e12, still)
    np.testing.assert_allclose(still, 1.0, atol=1e-5)


# Noise ---------------------------------------------------------------------------------------------------------------


def error_of(found, truth: Truth, sensor) -> tuple[np.ndarray, np.ndarray]:
    """Errors of an object's plots and their times; the truth is that of the table's own cubic interpolation."""
    rows = found[found.object == 0]
    x = motion.interpolate(truth.time, truth.x, rows.time)
    z, _ = sensors.observe(sensor, x, rows.time, 1.0, np.ones(len(rows), bool))
    error = rows.z - z
    error[:, 1] = np.mod(error[:, 1] + np.pi, 2 * np.pi) - np.pi
    return error, rows


@pytest.mark.parametrize("name", ["KR-GP-CB", "JP-AEG-W", "US-TPY2-KG", "US-SBIRS-GEO", "JP-FPS5-SD"])
def test_drawn_noise_is_as_large_as_the_reported_sigma(name):
    """Without bias the normalised errors are standard normal: their sum of squares within 99.99 % chi-square bounds."""
    made = scenario(name, bias=0.0, clutter=0.0)
    for column in range(4):
        total, count = 0.0, 0
        for seed in range(6):
            error, rows = error_of(cf.detect(FLIGHT, made, seed=seed), FLIGHT, made.sensors[0])
            normal = (error / rows.sigma)[:, column]
            assert np.isnan(normal).all() == np.isnan(rows.sigma[:, column]).all()
            normal = normal[np.isfinite(normal)]
            total, count = total + float(np.sum(normal**2)), count + len(normal)
        if count:
            assert count > 150
            low, high = stats.chi2.interval(0.9999, count)
            assert low < total < high


def test_measured_ratio_is_over_the_threshold():
    made = scenario("KR-GP-CB", clutter=0.0)
    found = cf.detect(FLIGHT, made, seed=0)
    assert found.snr.min() > -np.log(made.sensors[0].pfa) - 1.0 - 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_the_sigma_of_every_plot_is_that_of_what_was_measured(seed):
    """Of true plots and false ones, whatever the sensor: else it would tell them apart, and where the object really is."""
    made = scenario(bias=3.0, clutter=3.0)
    found = cf.detect(FLIGHT, made, seed=seed)
    for number in np.unique(found.sensor).tolist():
        mine = found[found.sensor == number]
        assert np.array_equal(sensors.accuracy(made.sensors[number], mine.snr, mine.z[:, 1], mine.z[:, 2]), mine.sigma, equal_nan=True)
    false = found.object < 0
    assert false.sum() > 100 and (~false).sum() > 500 and len(np.unique(found.sensor)) > 10


@pytest.mark.parametrize("swerling", range(5))
def test_detector_output_passes_the_threshold_as_often_as_it_should(swerling):
    stream, n = np.random.default_rng(swerling), 200_000
    for snr, pfa in ((0.0, 1e-2), (3.0, 1e-3), (20.0, 1e-6)):
        output = simulate.detector_output(np.full(n, snr), swerling, stream.standard_normal((n, 6)))
        expected = sensors.detection_probability(snr, pfa, swerling)
        assert abs(np.mean(output > -np.log(pfa)) - expected) < 4.5 * np.sqrt(expected * (1.0 - expected) / n)


def test_frequency_of_plots_is_the_detection_chance():
    """Every tick a search: the number of plots of many flights against the sum of `detection_chance`."""
    made = scenario("KR-GP-CB", clutter=0.0, bias=0.0, search_revisit=1.0, track_revisit=1.0)
    found, expected, variance = 0, 0.0, 0.0
    for seed in range(8):
        rows = cf.detect(FLIGHT, made, seed=seed)
        time = np.arange(rows.meta["schedule"]["KR-GP-CB"]["first"], 600.0, 1.0)
        pd, _ = sensors.detection_chance(made.sensors[0], motion.interpolate(FLIGHT.time, FLIGHT.x, time), time, 0.3, False)
        found, expected, variance = found + len(rows), expected + pd.sum(), variance + np.sum(pd * (1.0 - pd))
    assert expected > 500 and abs(found - expected) < 4.5 * np.sqrt(variance)


def test_bias_wanders_slowly_and_is_scaled():
    quiet = dict(sigma_range_min=0.0, range_resolution=1e-3, beamwidth_az=1e-9, beamwidth_el=1e-9, sigma_angle_min=0.0)
    spreads, within = [], []
    for scale in (0.0, 1.0, 3.0):
        made = scenario("KR-GP-CB", bias=scale, clutter=0.0, **quiet)
        runs = [error_of(cf.detect(FLIGHT, made, seed=s), FLIGHT, made.sensors[0])[0][:, 2] for s in range(40)]
        spreads.append(np.sqrt(np.mean([np.mean(e) ** 2 for e in runs])))
        within.append(np.mean([np.var(e) for e in runs]))
    # variance about its own mean of a Gauss-Markov sequence of 231 s with time constant 900 s; 40 of them scatter by about 0.2
    span = 231.0 / 900.0
    assert within[1] / 0.4e-3**2 == pytest.approx(1.0 - 2.0 / span * (1.0 - (1.0 - np.exp(-span)) / span), rel=0.8)
    assert spreads[0] < 1e-8
    # 40 means of nearly constant errors of 0.4 mrad: their mean square within 99.99 % bounds
    low, high = (np.sqrt(q / 40) for q in stats.chi2.interval(0.9999, 40))
    assert 0.85 * low < spreads[1] / 0.4e-3 < high
    assert spreads[2] / spreads[1] == pytest.approx(3.0, rel=0.05)


def test_a_clock_ahead_reports_the_past():
    late = scenario("KR-GP-CB", clutter=0.0, sigma_range_min=0.0, range_resolution=1e-3, bias_sigma=(0.0, 0.0, 0.0, 2.0), bias_time=1e9)
    error, rows = error_of(cf.detect(FLIGHT, late, seed=1), FLIGHT, late.sensors[0])
    x = motion.interpolate(FLIGHT.time, FLIGHT.x, rows.time)
    rate = sensors.observe(late.sensors[0], x, rows.time, 1.0, True)[0][:, 3]
    clock = -error[:, 0] / rate  # m over m/s
    steady = np.abs(rate) > 500.0
    assert np.std(clock[steady]) < 0.05 * abs(np.mean(clock[steady])) and 0.01 < abs(np.mean(clock[steady])) < 8.0


# What reports and what does not ----------------------------------------------------------------------------------------


def test_infrared_ends_with_the_burn_and_starts_over_the_cloud():
    found = cf.detect(FLIGHT, scenario("US-SBIRS-GEO", "US-DSP", clutter=0.0, bias=0.0), seed=1)
    altitude = frames.geodetic(motion.interpolate(FLIGHT.time, FLIGHT.x, found.time))[2]
    assert found.time.max() <= 80.0 and altitude.min() >= 8e3 - 30.0
    assert np.isnan(found.z[:, [0, 3]]).all() and np.isnan(found.sigma[:, [0, 3]]).all()


def test_absent_sensors_say_why():
    made = scenario()
    found = cf.detect(FLIGHT, made, seed=0)
    absent = found.meta["absent"]
    assert absent["JP-IGS"] == "kind 'imaging' makes no plots" and "JP-IGS" not in found.meta["schedule"]
    assert absent["US-JTAGS"] == "kind 'processing' makes no plots"
    old = cf.detect(FLIGHT, SimpleNamespace(**{**vars(made), "epoch": datetime(1998, 8, 31, tzinfo=UTC)}), seed=0)
    assert set(old.meta["schedule"]) <= {"US-DSP", "US-CD", "US-CLR", "US-RC135S"}


def test_availability_is_the_share_of_runs_in_which_a_ship_is_there():
    ship = replace(LAYDOWN["JP-AEG-W"], availability=0.8)
    made = SimpleNamespace(**{**vars(scenario(clutter=0.0, duration=1.0)), "sensors": (ship,)})
    there = sum("JP-AEG-W" in cf.detect(FLIGHT, made, seed=s).meta["schedule"] for s in range(400))
    assert stats.binom.ppf(1e-4, 400, 0.8) <= there <= stats.binom.isf(1e-4, 400, 0.8)


def test_false_plots_are_poisson_and_uniform_over_the_volume():
    made = scenario("KR-GP-CB", clutter=20.0, duration=4000.0)
    radar, found = made.sensors[0], cf.detect(Truth.empty(objects=[]), made, seed=3)
    assert np.all(found.object == -1) and found.time.max() <= 4000.0
    frames_seen = 4000.0 / radar.search_revisit
    mean = 20.0 * radar.clutter_per_scan
    low, high = stats.poisson.interval(0.9999, frames_seen * mean)
    assert low - mean <= len(found) <= high
    counts = np.unique(found.time, return_counts=True)[1]
    assert np.sum(counts**2) / len(found) == pytest.approx(1.0 + mean, rel=0.1)  # E[N^2] / E[N] of a Poisson number
    off = np.mod(found.z[:, 1] - radar.boresight + np.pi, 2 * np.pi) - np.pi
    for value, left, width in (
        (found.z[:, 0], 0.0, radar.range_max),
        (off, -radar.azimuth_width / 2, radar.azimuth_width),
        (found.z[:, 2], radar.min_elevation, radar.max_elevation - radar.min_elevation),
    ):
        assert stats.kstest(value, "uniform", args=(left, width)).pvalue > 1e-4
    assert len(cf.detect(Truth.empty(objects=[]), scenario("KR-GP-CB", clutter=0.0, duration=4000.0))) == 0


def test_bad_arguments_are_refused():
    with pytest.raises(CopfuseError, match="seed is -1"):
        cf.detect(FLIGHT, scenario(), seed=-1)
    with pytest.raises(CopfuseError, match="its meta lists 0 objects"):
        cf.detect(replace(FLIGHT, meta={}), scenario())


def test_nothing_in_nothing_out():
    found = cf.detect(Truth.empty(objects=[]), scenario(), seed=0)
    assert np.all(found.object == -1) and len(found) <= 5  # at most the first tick's false plots
    assert len(cf.detect(FLIGHT, SimpleNamespace(**{**vars(scenario()), "sensors": ()}))) == 0
