"""Batch reconstruction: slopes against plain differences, noise-free twins, the bound reached, intervals that hold the truth."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binom, chi2

from copfuse import arcs, batch, boosts, families, flights, frames, motion, reconstruction, vehicles
from copfuse.errors import CopfuseError
from copfuse.laydowns import Sensor
from copfuse.reconstruction import plots_of, reconstruct
from copfuse.scenario import Scenario, load
from copfuse.sensors import ground_distance
from copfuse.simulate import detect, fly, trajectories
from copfuse.tables import Detections, Truth
from copfuse.tracking import track

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
    scenario, n = laydown(where), 40 if where == "far" else 20
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
    scenario, n = laydown("three", bias=1.0), 16
    truth = coasting().x[0]
    sigma = np.array([10.0, 2e-4, 2e-4, np.nan])
    nees, P = {}, {}
    for biases in (True, False):
        found = [reconstruct(plots(scenario, sigma, s, 2.0), scenario, biases=biases, boost=False, since=0.0) for s in range(n)]
        P[biases] = found[0].P
        told = [f for f in found if np.isfinite(f.P).all()]  # the others' chi-squared gave them away
        assert not biases or len(told) == n
        nees[biases] = np.mean([(f.x - truth) @ np.linalg.solve(f.P, f.x - truth) for f in told] or np.inf)
    low, high = chi2.ppf([0.005, 0.995], 6 * n) / n
    assert low < nees[True] < high
    assert nees[False] > 3 * high
    assert reconstruct(plots(scenario, sigma, 0, 2.0), scenario, boost=False, since=0.0).P[0, 0] == pytest.approx(P[True][0, 0])


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


def true_parameters(launch) -> tuple[families.Model, np.ndarray]:
    """A launch of the record as a model of `families` and the parameters that fly exactly it."""
    row = flights.launches().find(launch.id)
    plan, profile = flights.fit(row).trajectory.plan, flights.profile_of(row)
    model = families.powered(plan.lat, plan.lon, next(name for name, p in vehicles.PROFILES.items() if p is profile))
    burnt = launch.at + sum(s.burn for s in plan.stages) + vehicles.GAP * (len(plan.stages) - 1)
    stages = [
        (np.log(-s.thrust * s.tau * np.log1p(-s.burn / s.tau)), np.log(s.burn), -np.log(s.tau / s.burn - 1.0), np.log(s.heavy))
        for s in plan.stages
    ]
    return model, np.r_[0.0, 0.0, burnt, plan.kick, np.log(plan.turn[0] / profile.turn[0]), np.log(plan.beta), np.ravel(stages)]


def test_the_whole_flight_of_hokkaido_2017_stands_on_the_bound_and_in_its_intervals():
    """Every eighth plot of the missile, no biases: errors of launch, burnout, apogee and impact over the Cramer-Rao bound at the
    truth, chi-squared over the seeds; and its own 95 % intervals."""
    scenario = replace(load("hokkaido-2017"), bias=0.0)
    truth = fly(scenario)
    model, u = true_parameters(scenario.launches[0])
    assert np.abs(model.states(u, truth.time[::40])[:, :3] - truth.x[::40, :3]).max() < 0.1
    want = families.outcome(model, u)
    held, off = [], {name: 0.0 for name in ("launch", "burnout", "apogee", "impact")}
    n = 2
    for seed in range(1, n + 1):
        detections = detect(truth, scenario, seed=seed)
        rows = np.flatnonzero(detections.object == 0)[::8]
        f = reconstruct(detections, scenario, rows)
        assert f.boost is not None and f.boost.profile and "range" in str(f), f.about
        mine = batch.gather(detections, scenario, rows, False)
        J = batch.slopes(model, mine, batch.tight(mine, model.states(u, mine.time)), u)
        root = families.outcome_slopes(model, u) @ batch.spread(model, J)
        for name, place, found, P in (
            ("launch", families.PLACE, f.boost.point, f.boost.P),
            ("impact", families.POINT, f.impact_point, f.impact_P),
        ):
            axes = frames.enu_axes(*(v[0] for v in frames.geodetic(want[place])[:2]))[:2]
            error, bound = axes @ (found - want[place]), axes @ root[place]
            off[name] += error @ np.linalg.solve(bound @ bound.T, error)
            held.append(inside(error, axes @ P @ axes.T))
        for name, at, found in (("burnout", families.TIME, f.boost.burnout), ("apogee", families.TOP, f.apogee)):
            off[name] += (found.value - want[at]) ** 2 / (root[at] @ root[at])
            held.append(abs(found.value - want[at]) < 1.96 * found.sigma)
    for name, d2 in off.items():
        assert d2 < 1.1**2 * chi2.ppf(0.999, n * (2 if name in ("launch", "impact") else 1)), name
    assert sum(held) >= binom.ppf(0.001, len(held), 0.95)


def test_tracks_of_one_flight_are_joined_over_an_hour_unseen():
    """The lofted ICBM is lost after burnout and found again above the air; a track that flies elsewhere, or overlaps, is another's."""
    s = load("lofted-icbm-2022")
    d = detect(fly(s), s, seed=1)
    tracks = track(d[d.object == 0], s, node="HUB")
    tracks = tracks[tracks.firm]
    early, late = (tracks[tracks.track == n] for n in (tracks.track[0], tracks.track[-1]))
    assert late.time[0] - early.time[-1] > 3000.0
    assert arcs.joined(early, late, s.bias) and arcs.joined(late, early, s.bias)
    assert not arcs.joined(early, early, s.bias)
    elsewhere = replace(late, x=late.x + np.array([0.0, 0.0, 0.0, 100.0, 0.0, 0.0]))
    assert not arcs.joined(early, elsewhere, s.bias)


def test_a_two_stage_flight_with_biases_lies_in_its_intervals():
    """All plots of a lofted flight whose sensors have their usual biases; its valley is long and curved."""
    scenario = load("lofted-icbm-2022")
    truth = fly(scenario)
    _, u = true_parameters(scenario.launches[0])
    detections = detect(truth, scenario, seed=10)
    f = reconstruct(detections, scenario, np.flatnonzero(detections.object == 0))
    assert f.boost is not None and set(f.boost.weights) == {"ICBM"}
    axes = frames.enu_axes(*(v[0] for v in frames.geodetic(truth.x[0])[:2]))[:2]
    d2 = (e := axes @ (f.boost.point - truth.x[0, :3])) @ np.linalg.solve(axes @ f.boost.P @ axes.T, e)
    assert d2 < chi2.ppf(0.999, 2)
    for found, true in ((f.boost.time, 0.0), (f.boost.burnout, u[2]), (f.apogee, frames.altitude(truth.x).max())):
        assert abs(found.value - true) < 3.3 * found.sigma


def test_what_follows_no_plan_is_told_from_its_free_flight_alone():
    """A real rocket stage with a re-entry burn: apogee from the part that is free, burnout and launch wide, impact withheld."""
    scenario = load("recorded-flight")
    truth = fly(scenario)
    height = frames.altitude(truth.x)
    burnout = truth.time[np.flatnonzero(truth.phase == 0)[-1] + 1]
    detections = detect(truth, scenario, seed=1)
    f = reconstruct(detections, scenario, np.flatnonzero(detections.object == 0)[::3])
    assert "it flew freely from" in f.about and f.boost is not None and f.boost.profile == "" and f.boost.weights == {}
    assert abs(f.apogee.value - height.max()) < 2.6 * f.apogee.sigma < 500.0
    assert abs(f.apogee_time.value - truth.time[height.argmax()]) < 2.6 * f.apogee_time.sigma + 0.5  # rows are 0.5 s apart
    low, high = f.boost.burnout.interval
    assert low < burnout < high
    axes = frames.enu_axes(*(v[0] for v in frames.geodetic(truth.x[0])[:2]))[:2]
    assert inside(axes @ (f.boost.point - truth.x[0, :3]), axes @ f.boost.P @ axes.T)
    assert abs(f.boost.time.value) < 1.96 * f.boost.time.sigma
    assert np.isnan(f.impact_point).all() and np.isnan(f.ground_range.value) and "impact   unknown" in str(f)


def test_a_push_beside_free_flight_is_felt():
    """The acceleration found beside a fitted fall, against the one that was put into the plots."""
    scenario = laydown("three")
    clean = plots(scenario, np.array(SIGMA["doppler"]), None)
    push = 0.05 * np.array([1.0, -2.0, 0.5])
    mine = batch.gather(clean, scenario, np.arange(len(clean)), False)
    lever = mine.time[:, None] - mine.time.mean()
    x = motion.interpolate(coasting().time, coasting().x, mine.time) + np.hstack([0.5 * lever**2 * push, lever * push])
    pushed = replace(mine, z=mine.z - batch.miss(mine, x))
    for seen, want in ((mine, 0.0 * push), (pushed, push)):
        fitted = batch.fit(families.free(0.0), seen, np.r_[coasting().x[0], np.log(5000.0)])
        force, cov = arcs.felt(seen, fitted)
        np.testing.assert_allclose(force, want, atol=5e-3)
        assert np.sqrt(np.linalg.eigvalsh(cov)[-1]) < 0.2


def test_an_average_over_models_has_the_moments_of_the_mixture():
    """Two free flights of unequal weight against draws from the two."""
    u = np.r_[coasting().x[0], np.log(5000.0)]
    moved = u + np.r_[300.0, -200.0, 100.0, 3.0, -1.0, 2.0, 0.1]
    root, rng = np.diag([50.0, 60.0, 70.0, 0.5, 0.4, 0.3, 0.05]), np.random.default_rng(3)
    model = families.free(0.0)
    fits = [(w, batch.Fit(model, v, root, np.ones(4, bool), 1.0, 1.0)) for w, v in ((0.7, u), (0.3, moved))]
    mean, P = reconstruction.mixed(fits)
    drawn = [families.outcome(model, (u if rng.random() < 0.7 else moved) + root @ rng.standard_normal(7)) for _ in range(1500)]
    for i in (families.TOP, families.WHEN, families.DOWN, *range(14, 17)):
        column = np.array(drawn)[:, i]
        assert abs(column.mean() - mean[i]) < 4.0 * np.sqrt(P[i, i] / len(drawn))
        assert column.std() == pytest.approx(np.sqrt(P[i, i]), rel=4.0 / np.sqrt(len(drawn)))


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


@pytest.mark.parametrize(("bias", "seed"), [(0.0, 2), (0.0, 6), (1.0, 3), (1.0, 5)])
def test_a_pull_up_gets_no_impact_instead_of_a_wrong_one(bias, seed):
    """Every eighth plot: the lifted flight is not a free fall, and that is said in place of an interval; what is told is right."""
    scenario = replace(load("pull-up-2019"), bias=bias)
    truth = fly(scenario)
    detections = detect(truth, scenario, seed=seed)
    found = reconstruct(detections, scenario, np.flatnonzero(detections.object == 0)[::8])
    assert "lift" in found.about and "unknown" in found.about
    assert np.isnan(found.impact_point).all() and np.isnan(found.impact_time.value) and "impact   unknown" in str(found)
    height = frames.altitude(truth.x)
    told = [(found.apogee, height.max()), (found.apogee_time, truth.time[height.argmax()])]
    if found.boost is not None:
        burnout = truth.time[np.flatnonzero(truth.phase == 0)[-1] + 1]
        told += [(found.boost.time, 0.0), (found.boost.burnout, burnout)]
    for value, true in told:
        assert np.isnan(value.value) or abs(value.value - true) < 3.3 * value.sigma


def test_a_fit_follows_a_curved_valley_to_its_end():
    """A whole flight of the record from a start 30 km and tens of seconds away, and from the truth: the same least cost."""
    scenario = replace(load("hokkaido-2017"), bias=0.0)
    truth = fly(scenario)
    model, u = true_parameters(scenario.launches[0])
    detections = detect(truth, scenario, seed=5)
    mine = batch.gather(detections, scenario, np.flatnonzero(detections.object == 0)[::8], False)
    far = u + np.r_[3e3, -2e3, 0.3, 0.02, 0.01, 0.1, 0.0, 0.01, 0.03, 0.1, 0.2]
    costs = []
    for start in (u, far):
        errors = batch.tight(mine, model.states(u, mine.time))
        found, _, _, cost = batch.descend(model, mine, errors, start, False)
        costs.append(cost)
    assert costs[1] == pytest.approx(costs[0], abs=0.05)


def test_a_fit_leaves_the_end_of_a_long_valley():
    """A two-stage flight of the record from three standard deviations along the direction that plots tell least: back to the least.

    How long the pitch-over took is what they tell least; the site hardly moves with it, other parameters unmoved."""
    scenario = replace(load("lofted-icbm-2022"), bias=0.0)
    model, u = true_parameters(scenario.launches[0])
    detections = detect(fly(scenario), scenario, seed=0)
    mine = batch.gather(detections, scenario, np.flatnonzero(detections.object == 0)[::4], False)
    errors = batch.tight(mine, model.states(u, mine.time))
    least, J, _, cost = batch.descend(model, mine, errors, u, False)
    root = batch.spread(model, J)
    sigma = np.linalg.norm(root, axis=1)
    across, size, _ = np.linalg.svd(root / sigma[:, None])
    assert sigma[0] < 10.0 and sigma[5] > 0.35
    for way in (3.0, -3.0):
        found = batch.descend(model, mine, errors, least + way * size[0] * sigma * across[:, 0], False)
        assert found[3] == pytest.approx(cost, abs=0.05)


def test_a_pitch_over_that_plots_do_not_tell_is_averaged_over_its_prior(monkeypatch):
    """Fits with narrow priors that explain the plots alike add up to the class's prior; where some do not, they lose their say."""
    model = families.powered(0.68, 2.19, "SRBM")
    root = np.diag(np.r_[np.full(5, 1.0), 0.4, np.full(5, 0.1)])
    fitted = batch.Fit(model, model.mean, np.column_stack([root, np.zeros(11)]), np.ones(9, bool), 9.0, 9.0)

    def refit(fit, narrow, plots, u):
        sharp = np.where(np.arange(11) == families.TURNED, narrow.sigma, np.diag(root))
        return replace(
            fit, model=narrow, u=np.where(np.arange(11) == families.TURNED, narrow.mean, u), root=np.column_stack([np.diag(sharp), 0 * u])
        )

    monkeypatch.setattr(batch, "refit", refit)
    for extra, want in ((lambda u: 0.0, (0.0, 0.4)), (lambda u: 50.0 * (u[families.TURNED] < -0.1), (0.16, 0.32))):
        monkeypatch.setattr(batch, "evidence", lambda f, extra=extra: extra(f.u))
        parts = boosts.cells(None, fitted, [])
        weight, place = np.array([w for w, _ in parts]), np.array([f.u[families.TURNED] for _, f in parts])
        sigma = np.array([f.root[families.TURNED, families.TURNED] for _, f in parts])
        mean = weight @ place
        assert weight.sum() == pytest.approx(1.0) and mean == pytest.approx(want[0], abs=0.02)
        assert np.sqrt(weight @ (sigma**2 + (place - mean) ** 2)) == pytest.approx(want[1], rel=0.05)
    known = replace(fitted, root=fitted.root * np.where(np.arange(11) == families.TURNED, 0.1, 1.0)[:, None])
    assert boosts.cells(None, known, []) == [(1.0, known)]


def test_an_apogee_is_where_the_height_is_greatest():
    """That of a lofted flight of the record, 6000 km up, to a hundredth of a second: heights before and after agree."""
    model, u = true_parameters(load("lofted-icbm-2022").launches[0])
    q = families.outcome(model, u)
    before, top, after = frames.altitude(model.states(u, q[families.WHEN] + np.array([-2.0, 0.0, 2.0]))[:, :3])
    assert abs(after - before) < 0.01 * 4.0 * 2.5 and top == pytest.approx(q[families.TOP], abs=1e-3)


def test_what_never_flies_freely_is_refused_in_one_sentence():
    scenario = laydown("three")
    detections = plots(scenario, np.array(SIGMA["doppler"]), 1, last=60.0)
    mine = batch.gather(detections, scenario, np.arange(len(detections)), False)
    push = 8.0 * mine.time[:, None] ** 2 / 2.0 * np.array([0.0, 0.0, 1.0])
    x = motion.interpolate(coasting().time, coasting().x, mine.time)
    burning = replace(
        detections,
        z=detections.z - batch.miss(mine, x + np.hstack([push, 2.0 * push / np.maximum(mine.time[:, None], 1e-9)])) + batch.miss(mine, x),
    )
    try:
        found = reconstruct(burning, scenario)
    except CopfuseError as error:
        assert "free flight" in str(error)
    else:
        assert np.isnan(found.apogee.sigma) and np.isnan(found.impact_time.value) and "no part of it" in found.about


def test_states_and_their_slopes_along_a_flight():
    """Of a boost's parameters, before burnout and long after it: against plain differences of whole flights; and out of the span: nan."""
    model = families.powered(np.radians(39.0), np.radians(126.0), "SRBM")
    u = np.r_[0, 0, 90.0, 0.2, 0.3, 0.1, np.log(5000.0), np.log(3200.0), np.log(90.0), 0.9, np.log(40e3)]
    time = np.array([30.0, 80.0, 120.0, 300.0])
    x, slope = families.course(model, u, time)
    np.testing.assert_allclose(x, model.states(u, time))
    for k, h in ((0, 50.0), (2, 0.01), (3, 1e-4), (6, 0.01), (7, 1e-5)):
        step = h * np.eye(len(u))[k]
        plain = (model.states(u + step, time) - model.states(u - step, time)) / (2.0 * h)
        np.testing.assert_allclose(slope[..., k], plain, rtol=5e-3, atol=5e-3 * np.abs(plain).max())
    scenario = laydown("three")
    found = reconstruct(plots(scenario, np.array(SIGMA["doppler"]), 4), scenario, boost=False, since=0.0)
    at = np.array([150.0, -5.0, 40.0, 1e5])
    y, P = found.states(at)
    assert np.isnan(y[[1, 3]]).all() and np.isnan(P[[1, 3]]).all() and np.isfinite(P[[0, 2]]).all()
    true = motion.interpolate(coasting().time, coasting().x, at[[0, 2]])
    for e, cov in zip(y[[0, 2]] - true, P[[0, 2]], strict=True):
        assert e @ np.linalg.solve(cov, e) < chi2.ppf(0.999, 6)


def test_a_class_that_is_far_behind_at_first_is_looked_at_closely_all_the_same(monkeypatch):
    """Rough costs put the right class third, far behind: its evidence comes first.  The fourth is given up, unless it is near."""
    rough = {"SRBM": 9000.0, "MRBM": 8000.0, "IRBM": 5000.0, "ICBM": 3000.0, "ICBM, solid": 1000.0}
    monkeypatch.setattr(boosts, "_released", lambda early, coast: 0.0)
    monkeypatch.setattr(boosts, "_turned", lambda early, anchor, model, u: [])
    monkeypatch.setattr(boosts, "anchored", lambda coast, time: None)
    monkeypatch.setattr(boosts, "guess", lambda early, coast, name, quick: (families.powered(0.68, 2.19, name), np.zeros(3)))
    monkeypatch.setattr(batch, "approach", lambda model, early, u, wide, anchor: (u, rough[model.name]))
    monkeypatch.setattr(batch, "surprise", lambda model, early, u, anchor: (u, -rough[model.name]))
    assert [model.name for _, model, _ in boosts.searched(None, None, 1.0)] == ["IRBM", "ICBM", "ICBM, solid"]
    rough["MRBM"] = 1000.0 + 0.5 * boosts.PLAUSIBLE
    rough["SRBM"] = 1000.0 + 0.6 * boosts.PLAUSIBLE
    rough["IRBM"] = 1000.0 + 0.7 * boosts.PLAUSIBLE
    assert [model.name for _, model, _ in boosts.searched(None, None, 1.0)] == ["IRBM", "SRBM", "MRBM", "ICBM, solid"]


def test_a_track_that_ends_in_its_burn_is_joined_to_the_fall_after_it():
    """A second stage is lost 1 s before its end and found an hour later: joined because it burnt, and not with another flight."""
    stages = (vehicles.Stage(130.0, 18.5, 175.7, 130e3), vehicles.Stage(165.0, 16.0, 211.5, 70e3))
    plan = motion.Plan(np.radians(39.2), np.radians(125.7), stages, (0.05, 0.02), vehicles.LONG, 7000.0)
    time = np.r_[np.arange(288.0, 296.5), 3900.0]
    x = motion.states(plan, time)

    def rows(pick, sigma, burning, aside=0.0):
        n = len(time[pick])
        P = np.tile(np.diag(np.repeat(np.square(sigma), 3)), (n, 1, 1))
        return SimpleNamespace(time=time[pick], x=x[pick] + aside, P=P, phase_probability=np.tile([burning, 0, 1 - burning, 0], (n, 1)))

    fall = rows(slice(-1, None), (20.0, 0.05), 0.0)
    assert frames.altitude(x[-1:, :3])[0] > 110e3
    assert arcs.joined(rows(slice(0, -1), (50.0, 5.0), 1.0), fall, 0.0)
    assert not arcs.joined(rows(slice(0, -1), (50.0, 5.0), 0.0), fall, 0.0)
    assert not arcs.joined(rows(slice(0, -1), (50.0, 5.0), 1.0), rows(slice(-1, None), (20.0, 0.05), 0.0, 200e3), 0.0)


def test_what_a_fall_tells_of_a_state_long_before_it():
    """The state at burnout of a fall that is seen 1500 s later: position and covariance are those of the flight from there."""
    lat, lon = np.radians(39.0), np.radians(127.0)
    axes = frames.enu_axes(lat, lon)
    early = np.r_[frames.ecef(lat, lon, 400e3), 1500.0 * axes[0] + 6000.0 * axes[2]]
    ahead = families.free(0.0)
    u = np.r_[early, ahead.mean[6]]
    slope = ahead.slopes(lambda v: ahead.states(v, np.array([1500.0]))[0], u)[:, :6]
    root = np.zeros((7, 8))
    root[:6, :6], root[6, 6] = np.diag(np.repeat([20.0, 0.05], 3)), 0.5
    coast = batch.Fit(families.free(1500.0), np.r_[ahead.states(u, np.array([1500.0]))[0], u[6]], root, np.ones(9, bool), 9.0, 9.0)
    anchor = boosts.anchored(coast, 0.0)
    P = np.linalg.inv(slope) @ root[:6, :6] ** 2 @ np.linalg.inv(slope).T
    assert np.linalg.norm(anchor.x[:3] - early[:3]) < 5.0 and np.linalg.norm(anchor.x[3:] - early[3:]) < 0.02
    np.testing.assert_allclose(anchor.white @ P @ anchor.white.T, np.eye(6), atol=1e-3)


def test_a_long_pitch_over_is_found():
    """Twice as long as its class's and seen only at its end: a search from the class's length ends in another valley (see `TURNS`)."""
    scenario = replace(load("lofted-icbm-2022"), bias=0.0)
    launch = scenario.launches[0]
    plan = trajectories(launch)[0][0].plan
    longer = np.exp(0.755)
    plan = replace(plan, turn=tuple(t * longer for t in plan.turn), kick=tuple(k * longer**families.TILTED for k in plan.kick))
    flown = motion.launch(plan)
    about = {"objects": [{"name": "m", "kind": "missile", "rcs": 0.05, "missile_class": "ICBM", "landed": True, "about": "", "launch": 0}]}
    truth = Truth(flown.time, np.zeros(len(flown.time), int), flown.x, flown.phase, {**about, "scenario": "s"})
    seen = detect(truth, replace(scenario, duration=299.0, clutter=0.0), seed=5)[::2]
    early = batch.gather(seen, scenario, np.arange(len(seen)), False)
    model = families.free(299.5)
    u = np.r_[motion.states(plan, np.array([299.5]))[0], np.log(plan.beta)]
    coast = batch.Fit(model, u, np.column_stack([np.diag(np.r_[np.repeat([10.0, 0.05], 3), 0.5]), np.zeros(7)]), np.ones(9, bool), 9.0, 9.0)
    _, best, found = boosts.searched(early, coast, 1.0)[0]
    assert best.name == "ICBM" and abs(found[families.TURNED] - 0.755) < 0.1
