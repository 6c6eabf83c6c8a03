"""The slow check of `reconstruct`: its bound against flights of plans that were moved, its statistics against draws."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from copfuse import frames, motion, sensitivity, vehicles
from copfuse.scenario import load
from copfuse.simulate import trajectories

PLACE = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def verify():
    """`wholeflights` with all of `smoothed`, on which it stands."""
    sys.path.insert(0, str(PLACE))
    try:
        smoothed, module = importlib.import_module("smoothed"), importlib.import_module("wholeflights")
    finally:
        sys.path.remove(str(PLACE))
    return SimpleNamespace(**{**vars(smoothed), **vars(module)})


def test_derivatives_of_what_is_reported_agree_with_flights_of_moved_plans(verify):
    """Apogee, impact and their times, of moves that are a million times larger than those of the derivatives."""
    stage = vehicles.Stage(90.0, 24.0, 125.0, 40e3)
    plan = motion.Plan(np.radians(39.0), np.radians(126.0), (stage,), (0.2, 0.3), vehicles.SHORT, 5000.0)
    flown = motion.launch(plan)
    lim = verify.Limit(plan, 0.0, np.eye(len(sensitivity.prior(plan))), flown, verify.Flow(plan, 0.0), np.zeros(11))
    made = verify.outcomes(lim)
    axes = frames.enu_axes(*(v[0] for v in frames.geodetic(flown.x[-1])[:2]))[:2]
    for column, size in ((0, 100.0), (3, 1e-3), (6, 0.02), (7, 1e-3), (9, 1e-3)):
        ends = [motion.launch(sensitivity.moved(plan, way * size * np.eye(len(lim.root))[column])) for way in (1.0, -1.0)]
        for name, ask, atol in (
            ("apogee", lambda f: f.altitude.max(), 2.0),
            ("apogee time", lambda f: f.time[f.altitude.argmax()], 0.05),
            ("impact time", lambda f: f.time[-1], 0.01),
            ("impact point", lambda f: axes @ (f.x[-1, :3] - flown.x[-1, :3]), 5.0),
        ):
            want = (ask(ends[0]) - ask(ends[1])) / 2.0
            np.testing.assert_allclose(made[name][1][:, column].squeeze() * size, want, rtol=5e-3, atol=atol, err_msg=f"{name} {column}")


def test_a_ratio_and_its_interval_are_those_of_draws(verify):
    """Errors that are the bound's times 1.3: the ratio says so, its interval holds it nineteen times in twenty, regions are too small."""
    rng, bound = np.random.default_rng(1), np.diag([4.0, 1.0])[None]
    held = 0
    for _ in range(200):
        error = 1.3 * rng.multivariate_normal(np.zeros(2), bound[0], (30, 1))
        mine = [verify.Sample("launch point", e, bound, verify._held(e, bound), e / 1.3) for e in error]
        line = verify._line("launch point", mine)
        held += line.low < 1.3 < line.high
        assert line.chance == pytest.approx(line.ratio / 1.3)
        assert line.ratio == pytest.approx(np.sqrt((error**2).sum(axis=(1, 2)).mean() / 5.0))
    assert 178 <= held <= 199
    wide = replace(line, low=1.2, held=0.5, band=(0.87, 1.0))
    assert wide.verdict == "above 1.1; too small"


def test_a_seed_with_a_large_bound_leaves_more_to_chance(verify):
    """Six seeds, one with a bound a hundred times the others': the interval holds the ratio nineteen times in twenty all the same."""
    rng, bound = np.random.default_rng(2), np.array([100.0, 1.0, 1.0, 1.0, 1.0, 1.0])[:, None, None, None]
    held = 0
    for _ in range(300):
        error = np.sqrt(bound) * rng.standard_normal((6, 1, 1, 1))
        line = verify._line("apogee", [verify.Sample("apogee", e[0], b, np.ones(1), e[0]) for e, b in zip(error, bound, strict=True)])
        held += line.low < 1.0 < line.high
    assert 270 <= held <= 298


def test_the_bound_of_a_plan_is_that_of_plain_least_squares(verify):
    """Two radars of a laydown see a launch of the record: the root against the inverse of the information written out."""
    from copfuse import informing, sensors, simulate

    scenario = replace(load("hokkaido-2017"), bias=0.0)
    plan = trajectories(scenario.launches[0])[0][0].plan
    detections = simulate.detect(simulate.fly(scenario), scenario, seed=3)
    detections = detections[detections.object == 0]
    detections = detections[np.isin(detections.sensor, np.unique(detections.sensor)[:2])][::5]
    sigma = sensitivity.prior(plan)
    off = 0.3 * sigma
    lim = verify.limit(plan, 0.0, detections, scenario, sigma, off)
    root = lim.root
    J, pull = np.diag(sigma**-2.0), off / sigma**2
    for k in range(len(detections)):
        at, sensor = detections.time[k : k + 1], scenario.sensors[detections.sensor[k]]
        x, phi = motion.states(plan, at), sensitivity.slopes(plan, 0.0, at)[0]
        H = informing.jacobian(x, *sensors.place(sensor, at), sensor.cosines)[0]
        noise = detections.z[k] - frames.look(x, *sensors.place(sensor, at), sensor.cosines)[0]
        noise[1:3] = np.mod(noise[1:3] + np.pi, 2.0 * np.pi) - np.pi
        for row, s, off in zip(H, detections.sigma[k], noise, strict=True):
            J += np.outer(row @ phi, row @ phi) / s**2 if np.isfinite(s) else 0.0
            pull = pull + (row @ phi) * off / s**2 if np.isfinite(s) else pull
    unit = root.T @ J @ root
    np.testing.assert_allclose(unit, np.eye(len(sigma)), atol=1e-3)
    np.testing.assert_allclose(root.T @ (J @ lim.error - pull), 0.0, atol=2e-3)


def test_slopes_after_burnout_depend_on_the_boost_through_the_burnout_alone(verify):
    """Those of a launch of the record an hour on agree with whole flights, and vanish where the state at burnout does not move."""
    scenario = load("lofted-icbm-2022")
    plan = trajectories(scenario.launches[0])[0][0].plan
    lim = verify.Limit(plan, 0.0, np.eye(len(sensitivity.prior(plan))), flown := motion.launch(plan), verify.Flow(plan, 0.0), np.zeros(15))
    apex = float(verify.outcomes(lim)["apogee time"][0][0])  # of a row that is equally high to rounding, it may be a second off
    near = motion.states(plan, apex + np.array([-20.0, 0.0, 20.0]))
    high = frames.altitude(near[:, :3])
    assert abs(high[2] - high[0]) < 0.02 and abs(apex - flown.time[flown.altitude.argmax()]) < 1.0
    flow, time = verify.Flow(plan, 0.0), np.array([100.0, 400.0, 3600.0])
    found, plain = flow.slopes(time), sensitivity.slopes(plan, 0.0, time)
    np.testing.assert_allclose(found, plain, rtol=1e-3, atol=1e-4 * np.abs(plain).max(axis=(1, 2), keepdims=True).max())
    scale = sensitivity.prior(plan)
    idle = np.linalg.svd(flow.first * scale)[2][7:].T * scale[:, None]
    assert np.abs(plain[2] @ idle).max() > 1e3 * np.abs(found[2] @ idle).max()


def test_pitch_overs_are_drawn_from_the_prior(verify):
    """Their logarithms' standard deviation is the fit's, and the flight stays about what it was."""
    plan = trajectories(load("hokkaido-2017").launches[0])[0][0].plan
    made = [verify.drawn(plan, seed) for seed in range(300)]
    longer = np.log([p.turn[1] / plan.turn[1] for p in made])
    assert abs(longer.mean()) < 4.0 * 0.4 / np.sqrt(300) and abs(longer.std() / 0.4 - 1.0) < 4.0 / np.sqrt(600)
    high = [motion.launch(p).apogee for p in made[:6]]
    assert np.ptp(high) < 0.4 * np.mean(high) and np.ptp(longer[:6]) > 0.3


def test_errors_are_weighed_by_the_bound_of_all_seeds_at_their_time(verify):
    """Two seeds whose bounds differ tenfold, two times: mean squares by hand."""
    bound = np.array([1.0, 4.0])[:, None, None] * np.eye(3)
    mine = [
        verify.Sample("position", e * np.ones((2, 3)), s * bound, np.ones(2), e * np.ones((2, 3)), np.array([1, 2]))
        for e, s in ((1.0, 1.0), (3.0, 100.0))
    ]
    want = np.mean([(1.0 + 9.0) / 101.0, (1.0 + 9.0) / 404.0])
    assert verify._line("position", mine).ratio == pytest.approx(np.sqrt(want))
