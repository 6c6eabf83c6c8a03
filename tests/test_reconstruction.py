"""Batch reconstruction: slopes against plain differences, noise-free twins, the bound reached, intervals that hold the truth."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom, chi2

from copfuse import batch, families, frames, motion, vehicles
from copfuse.errors import CopfuseError
from copfuse.laydowns import Sensor
from copfuse.reconstruction import plots_of, reconstruct
from copfuse.scenario import Scenario, load
from copfuse.sensors import ground_distance
from copfuse.simulate import detect, fly
from copfuse.tables import Detections

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="hundreds of fits take hours without compiled kernels")

BIAS = (40.0, 5e-4, 5e-4, 5e-3)
SITES = {"one": ((36.0, 131.0),), "three": ((36.0, 131.0), (37.5, 127.0), (40.8, 140.0)), "far": ((25.0, 141.0),)}


@cache
def coasting():
    """Free flight of 300 s and more from 120 km, 3 km/s, 40 degrees up, towards the east; to the ground."""
    lat, lon = np.radians(39.0), np.radians(127.0)
    axes = frames.enu_axes(lat, lon)
    velocity = 3000.0 * (np.cos(np.radians(40.0)) * axes[0] + np.sin(np.radians(40.0)) * axes[2])
    return motion.free_fall(np.r_[frames.ecef(lat, lon, 120e3), velocity])


def laydown(where: str, bias: float = 0.0) -> Scenario:
    sensors = tuple(
        Sensor(
            f"R{i}", "USA", lat=np.radians(lat), lon=np.radians(lon), range_max=4000e3, search_revisit=1.0, track_revisit=1.0,
            clutter_per_scan=0.1, bias_sigma=BIAS, bias_time=300.0,
        )
        for i, (lat, lon) in enumerate(SITES[where])
    )  # fmt: skip
    return Scenario("coast", datetime(2024, 1, 1, tzinfo=UTC), (), sensors, bias=bias, clutter=1.0)


def plots(scenario: Scenario, sigma, seed: int | None, step: float = 1.0, last: float = 100.0) -> Detections:
    """Every radar's plot of the coast each ``step`` s; without a seed free of errors.  Range rate where sigma has one."""
    flight, time = coasting(), np.arange(0.0, last, step)
    rng = np.random.default_rng(seed)
    parts = []
    for k, sensor in enumerate(scenario.sensors):
        origin, axes = frames.ecef(sensor.lat, sensor.lon, 0.0), frames.enu_axes(sensor.lat, sensor.lon)
        shared = np.exp(-np.abs(time[:, None] - time) / sensor.bias_time)
        wander = scenario.bias * np.array(BIAS) * (np.linalg.cholesky(shared) @ rng.standard_normal((len(time), 4)))
        wander = wander if seed is not None else 0.0 * wander
        z = frames.look(motion.interpolate(flight.time, flight.x, np.maximum(time - wander[:, 3], 0.0)), origin, axes)
        if seed is not None:
            z += np.nan_to_num(sigma) * rng.standard_normal(z.shape)
        z[:, :3] += wander[:, :3]
        z[:, np.isnan(sigma)] = np.nan
        parts.append((time, np.full(len(time), k), z))
    time, number, z = (np.concatenate([part[i] for part in parts]) for i in range(3))
    order = np.lexsort((number, time))
    n = len(order)
    meta = {"sensors": [s.name for s in scenario.sensors]}
    return Detections(time[order], number[order], z[order], np.tile(sigma, (n, 1)), np.full(n, 100.0), np.zeros(n), meta)


SIGMA = {"lens 5 m": [5.0, 1e-3, 1e-3, np.nan], "lens 1 m": [1.0, 1e-3, 1e-3, np.nan], "doppler": [20.0, 1e-3, 1e-3, 1.0]}


def at_truth(scenario: Scenario, detections: Detections):
    """The model, the true parameters and a root of the bound there: the inverse of the information, prior included."""
    model = families.free(0.0)
    mine = batch.gather(detections, scenario, np.arange(len(detections)), scenario.bias > 0)
    truth = np.r_[coasting().x[0], np.log(5000.0)]
    errors = batch.tight(mine, model.states(truth, mine.time))
    return model, truth, batch.spread(model, batch.slopes(model, mine, errors, truth)), mine, errors


def test_slopes_agree_with_differences_of_whole_flights():
    """Against free falls of `motion` on rows of its own, down to 30 km, where the ballistic coefficient matters."""
    scenario = laydown("three")
    detections = plots(scenario, np.array(SIGMA["doppler"]), None, 10.0, coasting().flight_time - 15.0)
    model, truth, _, mine, errors = at_truth(scenario, detections)
    fast = batch.slopes(model, mine, errors, truth)

    def shown(u):
        flown = motion.free_fall(u[:6], beta=float(np.exp(u[6])), step=0.25)
        return errors.white(batch.miss(mine, motion.interpolate(flown.time, flown.x, mine.time))[:, :, None])[:, 0]

    for i, h in enumerate([20.0, 20.0, 20.0, 0.1, 0.1, 0.1, 0.01]):
        plain = (shown(truth + h * np.eye(7)[i]) - shown(truth - h * np.eye(7)[i])) / (2 * h)
        np.testing.assert_allclose(fast[:, i], plain, atol=1e-3 * np.abs(plain).max())


def test_without_noise_the_free_flight_comes_back():
    scenario = laydown("three")
    flight = coasting()
    found = reconstruct(plots(scenario, np.array(SIGMA["doppler"]), None), scenario, boost=False, since=0.0)
    assert np.linalg.norm(found.x[:3] - flight.x[0, :3]) < 1e-3
    assert np.linalg.norm(found.x[3:] - flight.x[0, 3:]) < 1e-4
    assert np.linalg.norm(found.impact_point - flight.x[-1, :3]) < 0.1
    assert found.impact_time.value == pytest.approx(flight.time[-1], abs=1e-3)
    assert found.apogee.value == pytest.approx(flight.apogee, abs=0.01)
    assert found.boost is None and "alone" in found.about and "impact" in str(found)
    assert found.chi2 < 1e-3 and len(found.rejected) == 0


def test_the_model_with_boost_flies_as_motion_does():
    stage = vehicles.Stage(90.0, 24.0, 125.0, 40e3)
    plan = motion.Plan(np.radians(39.0), np.radians(126.0), (stage,), (0.2, 0.3), vehicles.SHORT, 5000.0)
    flown = motion.launch(plan)
    model = families.powered(plan.lat, plan.lon, "SRBM")
    gain = 24.0 * 125.0 * -np.log1p(-90.0 / 125.0)
    u = np.r_[0, 0, 90.0, plan.kick, 0, np.log(5000.0), np.log(gain), np.log(90.0), -np.log(125.0 / 90.0 - 1.0), np.log(40e3)]
    assert np.abs(model.states(u, flown.time) - flown.x).max() < 0.05
    q = families.outcome(model, u)
    assert np.linalg.norm(q[14:17] - flown.x[-1, :3]) < 0.1
    assert q[11] == pytest.approx(flown.apogee, abs=0.01)
    lat, lon, _ = frames.geodetic(flown.x[[0, -1]])
    assert q[0] == pytest.approx(90.0) and q[17] == pytest.approx(ground_distance(lat[0], lon[0], lat[1], lon[1]), abs=50.0)


@pytest.mark.parametrize(("where", "kind"), [("far", "lens 5 m"), ("far", "lens 1 m"), ("one", "doppler"), ("three", "doppler")])
def test_it_stands_on_the_bound(where, kind):
    """RMSE over the Cramer-Rao bound and NEES, single radar (a contact lens at 2000 km) and three."""
    scenario, n = laydown(where), 40
    _, truth, root, mine, _ = at_truth(scenario, plots(scenario, np.array(SIGMA[kind]), None))
    bound = root @ root.T
    if where == "far":
        assert 1.8e6 < mine.z[:, 0].mean() < 2.3e6
    found = [reconstruct(plots(scenario, np.array(SIGMA[kind]), seed), scenario, boost=False, since=0.0) for seed in range(n)]
    error = np.array([f.x - truth[:6] for f in found])
    low, high = chi2.ppf([0.005, 0.995], 6 * n) / n
    nees = np.mean([e @ np.linalg.solve(f.P, e) for e, f in zip(error, found, strict=True)])
    assert low < nees < high
    for part in (slice(0, 3), slice(3, 6)):
        ratio = np.sqrt((error[:, part] ** 2).sum(axis=1).mean() / np.trace(bound[part, part]))
        assert ratio < 1.10
    fit = np.mean([f.chi2 / f.dof for f in found])
    assert abs(fit - 1.0) < 5 * np.sqrt(2.0 / (n * found[0].dof))


def test_wandering_biases_are_covered_only_where_they_are_marginalised():
    scenario, n = laydown("three", bias=1.0), 40
    truth = coasting().x[0]
    sigma = np.array([10.0, 2e-4, 2e-4, np.nan])
    nees = {}
    for biases in (True, False):
        found = [reconstruct(plots(scenario, sigma, s, 2.0), scenario, biases=biases, boost=False, since=0.0) for s in range(n)]
        told = [f for f in found if np.isfinite(f.P).all()]  # the others' chi-squared gave them away
        assert not biases or len(told) == n
        nees[biases] = np.mean([(f.x - truth) @ np.linalg.solve(f.P, f.x - truth) for f in told] or np.inf)
    low, high = chi2.ppf([0.005, 0.995], 6 * n) / n
    assert low < nees[True] < high
    assert nees[False] > 3 * high
    assert reconstruct(plots(scenario, sigma, 0, 2.0), scenario, boost=False, since=0.0).P[0, 0] == pytest.approx(
        reconstruct(plots(scenario, sigma, 0, 2.0), scenario, biases=True, boost=False, since=0.0).P[0, 0]
    )


def test_false_plots_are_rejected():
    scenario = laydown("three")
    clean = plots(scenario, np.array(SIGMA["doppler"]), 5)
    rng = np.random.default_rng(6)
    false = rng.choice(len(clean), 40, replace=False)
    z, label = clean.z.copy(), clean.object.copy()
    z[false] += rng.uniform(20, 400, (40, 4)) * clean.sigma[false] * rng.choice([-1, 1], (40, 4))
    label[false] = -1
    dirty = Detections(clean.time, clean.sensor, z, clean.sigma, clean.snr, label, clean.meta)
    rows = np.arange(len(dirty))
    found = reconstruct(dirty, scenario, rows, boost=False, since=0.0)
    want = reconstruct(clean, scenario, np.setdiff1d(rows, false), boost=False, since=0.0)
    assert set(found.rejected) == set(false)
    np.testing.assert_allclose(found.x, want.x, atol=0.05 * np.sqrt(np.diag(want.P)).min())


def test_too_few_plots_are_refused_in_one_sentence():
    scenario = laydown("one")
    detections = plots(scenario, np.array(SIGMA["doppler"]), 1)
    with pytest.raises(CopfuseError, match="at least 4 plots"):
        reconstruct(detections, scenario, [0, 1, 2])
    with pytest.raises(CopfuseError, match="at least 4 plots"):
        reconstruct(detections, scenario, boost=False, since=98.5)
    with pytest.raises(CopfuseError, match="firm track"):
        reconstruct(Detections.empty(**detections.meta), scenario)


def test_plots_of_a_track_and_of_a_system_track(pull_up):
    tracks, picture = pull_up.tracks, pull_up.picture
    row = int(np.flatnonzero(tracks.firm)[-1])
    mine = plots_of(tracks, [row])
    same = (tracks.node == tracks.node[row]) & (tracks.track == tracks.track[row])
    assert set(mine) == set(tracks.detection[same]) and len(mine) > 10
    number = np.bincount(picture.track[picture.node == 3]).argmax()
    whole = plots_of(picture, (picture.node == 3) & (picture.track == number), tracks)
    assert len(np.unique(pull_up.detections.sensor[whole])) > 1 and len(whole) > len(mine) / 2
    with pytest.raises(CopfuseError, match="plots_of"):
        plots_of(picture, [0])
    with pytest.raises(CopfuseError, match="pass the table"):
        plots_of(picture, [0], tracks[:5])


def inside(error, P) -> bool:
    return bool(error @ np.linalg.solve(P, error) < chi2.ppf(0.95, len(error)))


def test_the_whole_flight_of_hokkaido_2017_lies_in_its_intervals():
    """Every eighth plot of the missile: 95 % regions of launch, burnout, apogee and impact over three seeds."""
    scenario = load("hokkaido-2017")
    truth = fly(scenario)
    height = frames.altitude(truth.x)
    burnout = float(truth.time[np.flatnonzero(truth.phase == 0)[-1] + 1])
    state = motion.interpolate(truth.time, truth.x, [burnout])[0]
    at = {k: frames.enu_axes(*(v[0] for v in frames.geodetic(truth.x[k])[:2]))[:2] for k in (0, -1)}
    held = []
    for seed in range(1, 4):
        detections = detect(truth, scenario, seed=seed)
        f = reconstruct(detections, scenario, np.flatnonzero(detections.object == 0)[::8])
        assert f.boost is not None and "range" in str(f), f.about
        held += [
            inside(at[0] @ (f.boost.point - truth.x[0, :3]), at[0] @ f.boost.P @ at[0].T),
            abs(f.boost.time.value - truth.time[0]) < 1.96 * f.boost.time.sigma,
            abs(f.boost.burnout.value - burnout) < 1.96 * f.boost.burnout.sigma,
            inside(f.x - state, f.P),
            abs(f.apogee.value - height.max()) < 1.96 * f.apogee.sigma,
            inside(at[-1] @ (f.impact_point - truth.x[-1, :3]), at[-1] @ f.impact_P @ at[-1].T),
        ]
        assert np.linalg.norm(f.boost.point - truth.x[0, :3]) < 3e3
    assert sum(held) >= binom.ppf(0.001, len(held), 0.95)


def test_whitening_equals_the_inverse_of_a_cholesky_factor():
    """Plots of two sensors with wandering biases and clock errors: the whole covariance written out."""
    scenario = laydown("three", bias=1.0)
    detections = plots(scenario, np.array(SIGMA["doppler"]), 3, 7.0)
    mine = batch.gather(detections, scenario, np.arange(len(detections)), True)
    x = motion.interpolate(coasting().time, coasting().x, mine.time)
    errors, rng = batch.tight(mine, x), np.random.default_rng(4)
    d = rng.standard_normal((len(mine.time), 4, 3))
    later, earlier = (batch.miss(mine, np.hstack([x[:, :3] + h * x[:, 3:], x[:, 3:]])) for h in (0.05, -0.05))
    rate, (row, part) = (earlier - later) / 0.1, np.nonzero(mine.have)
    along, own = rate[row, part] * mine.bias[row, 3], np.where(part < 3, mine.bias[row, part], 0.0)
    same = mine.sensor[row][:, None] == mine.sensor[row]
    fading = same * np.exp(-np.abs(mine.time[row][:, None] - mine.time[row]) / mine.fade[row])
    cov = fading * (np.outer(along, along) + np.outer(own, own) * (part[:, None] == part)) + np.diag(mine.sigma[row, part] ** 2)
    found, flat = errors.white(d), d[row, part]
    np.testing.assert_allclose(found.T @ found, flat.T @ np.linalg.solve(cov, flat), rtol=1e-8)


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_a_pull_up_gets_no_impact_instead_of_a_wrong_one(bias):
    """Every eighth plot: the lifted flight is not a free fall, and that is said in place of an interval."""
    scenario = replace(load("pull-up-2019"), bias=bias)
    detections = detect(fly(scenario), scenario, seed=2)
    found = reconstruct(detections, scenario, np.flatnonzero(detections.object == 0)[::8])
    assert found.boost is None and "does not describe its plots" in found.about and "lift" in found.about
    assert np.isnan(found.impact_point).all() and np.isnan(found.P).all() and np.isnan(found.impact_time.value)
    assert np.isnan(found.apogee.sigma) and "impact   unknown" in str(found)
