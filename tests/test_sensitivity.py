"""The bound of the true model: slopes of planned flights, a square root against plain inverses, least squares, the filter's bound."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.stats import chi2

import copfuse as cf
from copfuse import batch, frames, motion, sensitivity, simulate, vehicles

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="whole flights take minutes without compiled kernels")

SITE = np.radians(39.0), np.radians(126.0)
PLANS = {
    "one stage": motion.Plan(*SITE, (vehicles.Stage(90.0, 24.0, 125.0, 40e3),), (0.2, 0.3)),
    "two stages": motion.Plan(*SITE, vehicles.boost(vehicles.PROFILES["ICBM"], 7500.0), (0.02, 0.3), vehicles.LONG, 7000.0),
    "pull-up": motion.Plan(*SITE, (vehicles.Stage(70.0, 28.0, 100.0, 30e3),), (0.9, 0.4), lift=3.0),
}


@pytest.mark.parametrize("name", PLANS)
def test_states_are_those_of_the_flight(name):
    flown = motion.launch(PLANS[name])
    x = motion.states(PLANS[name], flown.time)
    assert np.abs(x[:, :3] - flown.x[:, :3]).max() < 0.2 and np.abs(x[:, 3:] - flown.x[:, 3:]).max() < 0.05
    assert (name == "pull-up") == bool(flown.force[:, 2].any())


@pytest.mark.parametrize("name", PLANS)
def test_slopes_agree_with_wide_differences_of_flights_moved_by_hand(name):
    """Launch point, time, thrust and drag, from rows of `motion.launch`; to 1 % of the column, halfway up and halfway down."""
    plan = PLANS[name]
    flown = motion.launch(plan)
    time = np.array([0.4, 0.7]) * flown.time[-1]
    found = sensitivity.slopes(plan, 10.0, time + 10.0)
    k = 9 if plan.lift else 7
    assert found.shape == (2, 6, k + 4 * len(plan.stages)) and len(sensitivity.prior(plan)) == found.shape[2]

    def at(changed, shift=0.0):
        rows = motion.launch(changed)
        return motion.interpolate(rows.time, rows.x, time - shift)

    def stage(**parts):
        return replace(plan, stages=(replace(plan.stages[0], **parts), *plan.stages[1:]))

    radius, h, first = np.linalg.norm(motion.start(plan)[:3]), 1e-4, plan.stages[0]
    by_hand = {
        1: (at(replace(plan, lat=plan.lat + h)) - at(replace(plan, lat=plan.lat - h))) / (2 * h * radius),
        2: (at(plan, 0.05) - at(plan, -0.05)) / 0.1,
        4: (at(replace(plan, kick=(plan.kick[0], plan.kick[1] + h))) - at(replace(plan, kick=(plan.kick[0], plan.kick[1] - h)))) / (2 * h),
        6: (at(replace(plan, beta=plan.beta * 1.01)) - at(replace(plan, beta=plan.beta * 0.99))) / 0.02,
        k: (at(stage(thrust=first.thrust * (1 + h))) - at(stage(thrust=first.thrust * (1 - h)))) / (2 * h),
        k + 2: (at(stage(burn=first.burn * (1 + h))) - at(stage(burn=first.burn * (1 - h)))) / (2 * h),
    }
    if plan.lift:
        by_hand[7] = (at(replace(plan, lift=plan.lift * 1.01)) - at(replace(plan, lift=plan.lift * 0.99))) / 0.02
    for i, column in by_hand.items():
        for part in (slice(0, 3), slice(3, 6)):
            size = np.linalg.norm(column[:, part], axis=1).max()
            assert np.linalg.norm(found[:, part, i] - column[:, part], axis=1).max() < 0.01 * size + 1e-3, (i, part)


def test_the_square_root_equals_plain_inverses_of_information():
    rng = np.random.default_rng(3)
    n, k = 12, 8
    phi, sigma, root = rng.normal(size=(n, 6, k)), rng.uniform(0.5, 2.0, k), rng.normal(size=(n, 6, 3))
    gained = root @ np.swapaxes(root, 1, 2)
    gained[4] = 0.0
    most = np.full((n, k), np.inf)
    most[3:5, 7] = 0.2
    found, J = sensitivity.lowest(phi, gained, sigma, most), np.diag(sigma**-2)
    for i in range(n):
        J = J + phi[i].T @ gained[i] @ phi[i]
        known = J + np.diag(np.where(np.isfinite(most[i]), most[i] ** -2.0, 0.0))
        np.testing.assert_allclose(found[i], phi[i] @ np.linalg.inv(known) @ phi[i].T, rtol=1e-8, atol=1e-10)


def test_a_burn_time_is_not_in_doubt_by_more_than_has_passed():
    plan = PLANS["two stages"]
    first, second = (s.burn for s in plan.stages)
    most = sensitivity.burnt(plan, 5.0, 5.0 + np.array([first - 1.0, first + 1.0, first + 2.0 + second + 3.0]))
    assert np.isinf(most[0]).all() and np.isinf(most[:2, 13]).all() and np.isinf(np.delete(most, [9, 13], axis=1)).all()
    assert most[1, 9] * first == pytest.approx(1.0) and most[2, 13] * second == pytest.approx(3.0)


@pytest.fixture(scope="module")
def flown():
    made = {}
    for name in ("hokkaido-2017", "lofted-icbm-2022"):
        scenario = replace(cf.load(name), bias=0.0)
        truth = cf.fly(scenario)
        made[name] = scenario, truth, cf.detect(truth, scenario, seed=0)
    return made


def test_least_squares_reach_the_bound_in_boost(flown, monkeypatch):
    """Every fourth plot until 130 s of a boost, 40 fits of scipy from the truth with its own differences, prior mean drawn too.

    The prior is a tenth of the usual one, so that the problem is nearly linear.  Mean NEES and the mean square errors over the bound
    lie within 99.8 % of chi-squared's (with Satterthwaite's degrees of freedom).
    """
    wide = sensitivity.prior
    monkeypatch.setattr(sensitivity, "prior", lambda plan: 0.1 * wide(plan))
    scenario, truth, detections = flown["hokkaido-2017"]
    launch = scenario.launches[0]
    plan = simulate.trajectories(launch)[0][0].plan
    d = detections[(detections.object == 0) & (detections.time <= 130.0)][::4]
    lowest = cf.bound(truth, scenario, detections=d, model="true")
    row = int(np.searchsorted(lowest.time, d.time[-1]))
    mine, sigma = batch.gather(d, scenario, np.arange(len(d)), False), sensitivity.prior(plan)
    exact = replace(mine, z=frames.look(motion.states(plan, mine.time - launch.at), mine.origin, mine.axes))
    size, rng, errors = int(mine.have.sum()), np.random.default_rng(11), []

    def flight(v, time):
        return motion.states(sensitivity.moved(plan, v * sigma), time - launch.at - v[2] * sigma[2])

    def residuals(v, noise):
        r = (batch.miss(exact, flight(v, mine.time)) / np.where(mine.have, mine.sigma, 1.0))[mine.have]
        return np.r_[r + noise[:size], v - noise[size:]]

    for _ in range(40):
        noise = rng.standard_normal(size + len(sigma))
        best = least_squares(residuals, np.zeros(len(sigma)), args=(noise,), x_scale="jac", diff_step=1e-6, max_nfev=20)
        errors.append((flight(best.x, d.time[-1:]) - flight(np.zeros(len(sigma)), d.time[-1:]))[0])
    e, P = np.array(errors), lowest.P[row]
    nees = np.einsum("ni,ni->n", e, np.linalg.solve(P, e.T).T).mean()
    low, high = chi2.ppf([0.001, 0.999], 6 * len(e)) / len(e)
    assert low < nees < high
    for part in (slice(0, 3), slice(3, 6)):
        value = np.linalg.eigvalsh(P[part, part])
        freedom = value.sum() ** 2 / np.square(value).sum() * len(e)
        low, high = chi2.ppf([0.001, 0.999], freedom) / freedom
        ratio = (e[:, part] ** 2).sum(axis=1).mean() / value.sum()
        assert low < ratio < high


@pytest.mark.parametrize("name", ["hokkaido-2017", "lofted-icbm-2022"])
def test_it_lies_below_the_filters_bound_and_falls_with_more_sensors(flown, name):
    scenario, truth, d = flown[name]
    usual, exact = (cf.bound(truth, scenario, detections=d, model=model) for model in ("filter", "true"))
    assert np.array_equal(usual.time, exact.time)
    assert np.all(exact.position < 1.001 * usual.position) and np.all(exact.velocity < 1.001 * usual.velocity)
    assert np.linalg.eigvalsh(exact.P).min() > -1e-6 * exact.position.max() ** 2
    for node in ("KOR", "JPN", "USA"):
        nation = cf.bound(truth, scenario, node, detections=d, model="true")
        shared = np.isin(exact.time, nation.time), np.isin(nation.time, exact.time)
        assert shared[0].sum() > 100 and np.all(exact.position[shared[0]] < 1.001 * nation.position[shared[1]])
    expected = cf.bound(truth, scenario, model="true")
    assert np.isfinite(expected.P).all() and len(expected.time) > 500


def test_a_flight_without_a_plan_is_refused_in_one_sentence(flown):
    scenario, truth, d = flown["hokkaido-2017"]
    with pytest.raises(cf.CopfuseError, match="no model 'real'.*filter"):
        cf.bound(truth, scenario, model="real")
    with pytest.raises(cf.CopfuseError, match="is no flight of lofted-icbm-2022"):
        cf.bound(truth, flown["lofted-icbm-2022"][0], detections=d, model="true")
    recorded = cf.load("recorded-flight")
    with pytest.raises(cf.CopfuseError, match="needs a planned flight.*recorded"):
        cf.bound(cf.fly(recorded), recorded, model="true")


def test_a_spent_stage_falls_without_noise(flown):
    scenario = flown["hokkaido-2017"][0]
    scenario = replace(scenario, launches=(replace(scenario.launches[0], separate=True),))
    truth = cf.fly(scenario)
    exact, quiet = cf.bound(truth, scenario, object=1, model="true"), cf.bound(truth, scenario, object=1, noise=0.0)
    assert truth.meta["objects"][1]["kind"] == "stage" and np.array_equal(exact.P, quiet.P)
    assert len(cf.bound(truth, scenario, model="true").time) > 500  # the missile's plan is found beside its stage
