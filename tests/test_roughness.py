"""Pushes on burning stages in the bound by the true equations: against flights that are drawn, a Kalman filter, and the bound without."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

import copfuse as cf
from copfuse import bounds, informing, motion, populations, roughness, sensitivity, simulate, vehicles
from copfuse.constants import BOOST
from copfuse.kernels import flight
from copfuse.kernels.arc import through

slow_without_compiler = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="whole flights take minutes without kernels")
PLAN = motion.Plan(*np.radians([39.0, 126.0]), vehicles.boost(vehicles.PROFILES["ICBM"], 7500.0), (0.01, 0.04), vehicles.LONG, 7000.0)
SPOTS = slice(flight.ROUGH - flight.PARAMETERS, flight.SWAY - flight.PARAMETERS)


def drawn(seed, plan=PLAN):
    """The plan with pushes alone, a fifth of the usual ones: neither wind nor forces in the fall."""
    off = np.array(populations.unsteady(np.random.default_rng(seed)))
    off[: SPOTS.start] = 0.0
    off[SPOTS] *= 0.2  # so small that deviations are linear in them
    return replace(plan, unsteady=tuple(off))


@slow_without_compiler
def test_rates_by_the_state_are_those_of_flights_from_moved_states():
    """Over 12 s of the gravity turn, through a pause between stages, and of the coast: each column to 5e-4."""
    plan = drawn(1)
    burns, p = motion._burns(plan), motion._vector(plan, motion.FINE, False, True)
    marks = np.array([*sorted({*burns[:, :2].ravel(), *plan.turn}), np.inf])
    for first in (60.0, burns[0, 1] - 6.0, burns[1, 1] + 20.0):
        grid = np.unique([*np.arange(first, first + 12.1, 0.5), *marks[(marks > first) & (marks < first + 12.0)]])
        F, _ = roughness.moves(plan, 0.0, grid, np.ones(4), np.arange(4))
        whole, start = np.eye(10), motion.states(plan, np.array([first]))[0]
        for step in F:
            whole = step @ whole
        for i, h in enumerate([10.0] * 3 + [0.1] * 3):
            ends = []
            for sign in (1.0, -1.0):
                x = np.empty((1, 6))
                through(start + sign * h * np.eye(6)[i], first, burns, marks, p, np.array([first + 12.0]), x)
                ends.append(x[0])
            column = (ends[0] - ends[1]) / (2 * h)
            for part in (slice(0, 3), slice(3, 6)):
                assert np.linalg.norm(whole[part, i] - column[part]) < 5e-4 * np.linalg.norm(column[part])


@slow_without_compiler
def test_drawn_pushes_scatter_flights_as_the_bound_believes():
    """300 flights at four times until after burnout: every standard deviation, and the mean normalised square of all six."""
    time, n = np.array([20.0, 80.0, 200.0, 320.0]), 300
    still = np.zeros(flight.UNSTEADY)
    still[SPOTS], still[SPOTS.stop + 1 :: 2] = drawn(0).unsteady[SPOTS], np.pi / 2.0  # tones that never sound
    plain = replace(PLAN, unsteady=tuple(still))
    expected = roughness.driven(plain, 0.0, np.arange(1.0, 321.0))
    covariances, P = {}, expected.P
    for k, t in enumerate(np.arange(2.0, 321.0)):
        P = expected.F[k] @ P @ expected.F[k].T + expected.L[k] @ expected.L[k].T
        covariances[t] = P[:6, :6]
    off = np.array([motion.states(drawn(seed), time) for seed in range(n)]) - motion.states(plain, time)
    for k, t in enumerate(time):
        C = covariances[t]
        assert np.allclose(off[:, k].std(axis=0) / np.sqrt(np.diag(C)), 1.0, atol=0.15)
        nees = np.einsum("ni,ni->n", off[:, k], np.linalg.solve(C, off[:, k].T).T).mean()
        assert 0.9 < nees / 6.0 < 1.1 * chi2.ppf(0.999, 6 * n) / (6 * n)


def test_the_root_of_information_equals_a_kalman_filters_covariance():
    """A random linear case: three pushes, four parameters, some rows without plots and one with a doubt that is limited."""
    rng = np.random.default_rng(3)
    n, d, k = 14, 9, 4
    F, L = np.eye(d) + 0.2 * rng.normal(size=(n - 1, d, d)), rng.normal(size=(n - 1, d, d))
    L[5] = 0.0
    phi, sigma, root = rng.normal(size=(n, 6, k)), rng.uniform(0.5, 2.0, k), rng.normal(size=(n, 6, 3))
    gained = root @ np.swapaxes(root, 1, 2)
    gained[[0, 4]] = 0.0
    most = np.full((n, k), np.inf)
    most[6, 2] = 0.1
    first = np.diag(rng.uniform(0.5, 2.0, d))
    found = roughness.lowest(phi, gained, sigma, most, roughness.Driven(F, L, first))
    P = np.block([[first, np.zeros((d, k))], [np.zeros((k, d)), np.diag(sigma**2)]])
    for i in range(n):
        if i:
            move, noise = np.eye(d + k), np.zeros((d + k, d + k))
            move[:d, :d], noise[:d, :d] = F[i - 1], L[i - 1] @ L[i - 1].T
            P = move @ P @ move.T + noise
        H = np.hstack([np.eye(6), np.zeros((6, d - 6)), phi[i]])
        if gained[i].any():
            look = root[i].T @ H
            P = P - P @ look.T @ np.linalg.solve(look @ P @ look.T + np.eye(3), look @ P)
        told = np.zeros((1, d + k))
        told[0, d + 2] = 1.0
        known = P - P @ told.T @ np.linalg.solve(told @ P @ told.T + 0.1**2, told @ P) if i == 6 else P
        np.testing.assert_allclose(found[i], H @ known @ H.T, rtol=1e-7, atol=1e-9)


@pytest.fixture(scope="module")
def scene():
    scenario = replace(cf.load("hokkaido-2017"), bias=0.0)
    scenario = populations.population(scenario, cf.fly(scenario), 0)
    truth = cf.fly(scenario)
    return scenario, truth, cf.detect(truth, scenario, seed=0)


def pieces(scenario, truth, plots):
    """What the bound of the United States' plots is made of: plan, launch time, grid, and the rest as `sensitivity.lowest` takes it."""
    launch = scenario.launches[0]
    plan = simulate.trajectories(launch)[0][0].plan
    chosen = [sensor for sensor in scenario.sensors if sensor.nation == "USA"]
    path = truth[truth.object == 0]
    grid, gained = bounds.on_a_grid(path, *informing.made(path, plots[plots.object == 0], scenario, chosen))
    phi, most = sensitivity.slopes(plan, launch.at, grid), sensitivity.burnt(plan, launch.at, grid)
    return plan, launch.at, grid, (phi, gained, sensitivity.prior(plan), most)


@slow_without_compiler
def test_without_pushes_the_bound_is_that_of_parameters_to_the_bit(scene):
    scenario, _, plots = scene
    off = np.array(scenario.launches[0].unsteady)
    off[SPOTS] = 0.0
    calm = replace(scenario, launches=(replace(scenario.launches[0], unsteady=tuple(off)),))
    truth = cf.fly(calm)
    plan, begin, grid, known = pieces(calm, truth, plots)
    assert roughness.driven(plan, begin, grid) is None and not roughness.sizes(PLAN).any()
    found = cf.bound(truth, calm, "USA", detections=plots, model="true")
    assert np.array_equal(found.time, grid) and np.array_equal(found.P, sensitivity.lowest(*known))


@slow_without_compiler
def test_pushes_raise_the_bound_and_it_nears_that_without_as_they_fade(scene, monkeypatch):
    """In every direction; in boost far, and not above that by the filters' model, which believes in more."""
    scenario, truth, plots = scene
    plan, begin, grid, known = pieces(scenario, truth, plots)
    usual = cf.bound(truth, scenario, "USA", detections=plots)
    rough, quiet = roughness.lowest(*known, roughness.driven(plan, begin, grid)), sensitivity.lowest(*known)
    full = roughness.sizes(plan)
    monkeypatch.setattr(roughness, "sizes", lambda plan: 1e-6 * full)
    faint = roughness.lowest(*known, roughness.driven(plan, begin, grid))
    scale = 1.0 / np.sqrt(np.diagonal(rough, axis1=1, axis2=2))
    scale = scale[:, :, None] * scale[:, None, :]
    assert np.linalg.eigvalsh((rough - quiet) * scale).min() > -1e-5
    assert np.abs((faint - quiet) * scale).max() < 1e-3
    boost = grid < truth.time[truth.phase == BOOST].max()
    speed = [np.sqrt(np.trace(P[boost, 3:, 3:], axis1=1, axis2=2)) for P in (quiet, rough, usual.P)]
    assert boost.sum() > 50 and speed[1][-1] > 1.5 * speed[0][-1] and np.all(speed[1] < 1.001 * speed[2])
