"""The slow check of `reconstruct`: its bound against flights of plans that were moved, its statistics against draws."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from copfuse import frames, motion, sensitivity, vehicles
from copfuse.scenario import load
from copfuse.simulate import trajectories

PATH = Path(__file__).parents[1] / "benchmarks" / "verify.py"


@pytest.fixture(scope="module")
def verify():
    spec = importlib.util.spec_from_file_location("verify", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["verify"] = module
    spec.loader.exec_module(module)
    return module


def test_derivatives_of_what_is_reported_agree_with_flights_of_moved_plans(verify):
    """Apogee, impact and their times, of moves that are a million times larger than those of the derivatives."""
    stage = vehicles.Stage(90.0, 24.0, 125.0, 40e3)
    plan = motion.Plan(np.radians(39.0), np.radians(126.0), (stage,), (0.2, 0.3), vehicles.SHORT, 5000.0)
    flown = motion.launch(plan)
    lim = verify.Limit(plan, 0.0, np.eye(len(sensitivity.prior(plan))), flown)
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
            np.testing.assert_allclose(made[name][1][:, column].squeeze() * size, want, rtol=2e-3, atol=atol, err_msg=f"{name} {column}")


def test_a_ratio_and_its_interval_are_those_of_draws(verify):
    """Errors that are the bound's times 1.3: the ratio says so, its interval holds it nineteen times in twenty, regions are too small."""
    rng, bound = np.random.default_rng(1), np.diag([4.0, 1.0])[None]
    held = 0
    for _ in range(200):
        error = 1.3 * rng.multivariate_normal(np.zeros(2), bound[0], (30, 1))
        mine = [verify.Sample("launch point", e, bound, verify._held(e, bound)) for e in error]
        line = verify._line("launch point", mine)
        held += line.low < 1.3 < line.high
        assert line.ratio == pytest.approx(np.sqrt((error**2).sum(axis=(1, 2)).mean() / 5.0))
    assert 178 <= held <= 199
    wide = replace(line, low=1.2, held=0.5, band=(0.87, 1.0))
    assert wide.verdict == "above 1.1; too small"


def test_the_bound_of_a_plan_is_that_of_plain_least_squares(verify):
    """Two radars of a laydown see a launch of the record: the root against the inverse of the information written out."""
    from copfuse import bounds, sensors, simulate

    scenario = replace(load("hokkaido-2017"), bias=0.0)
    plan = trajectories(scenario.launches[0])[0][0].plan
    detections = simulate.detect(simulate.fly(scenario), scenario, seed=3)
    detections = detections[detections.object == 0]
    detections = detections[np.isin(detections.sensor, np.unique(detections.sensor)[:2])][::5]
    sigma = sensitivity.prior(plan)
    root = verify.limit(plan, 0.0, detections, scenario, sigma).root
    J = np.diag(sigma**-2.0)
    for k in range(len(detections)):
        at, sensor = detections.time[k : k + 1], scenario.sensors[detections.sensor[k]]
        x, phi = motion.states(plan, at), sensitivity.slopes(plan, 0.0, at)[0]
        H = bounds.jacobian(x, *sensors.place(sensor, at), sensor.cosines)[0]
        for row, s in zip(H, detections.sigma[k], strict=True):
            J += np.outer(row @ phi, row @ phi) / s**2 if np.isfinite(s) else 0.0
    unit = root.T @ J @ root
    np.testing.assert_allclose(unit, np.eye(len(sigma)), atol=1e-3)
