"""The kernels of bounds, `kernels.limits`, against plain numpy."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

import copfuse as cf
from copfuse import bounds, motion, populations, roughness, vehicles
from copfuse.constants import NODES
from copfuse.kernels import earth, flight, limits, mach

slow_without_compiler = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="whole flights take minutes without kernels")
PLAN = motion.Plan(*np.radians([39.0, 126.0]), vehicles.boost(vehicles.PROFILES["ICBM"], 7500.0), (0.01, 0.04), vehicles.LONG, 7000.0)


def states(n, rng):
    """States from under the sea's level to 1200 km up, of all speeds."""
    way = rng.normal(size=(n, 3))
    place = way / np.linalg.norm(way, axis=1, keepdims=True) * (6.37e6 + np.linspace(-20e3, 1200e3, n))[:, None]
    return np.hstack([place, rng.uniform(0.0, 4000.0, (n, 1)) * rng.normal(size=(n, 3))])


def test_gravity_and_free_fall_are_those_of_each_state():
    x = states(50, np.random.default_rng(0))
    pull, fall = np.empty((50, 3)), np.empty((50, 3))
    limits.gravitations(x[:, :3].copy(), pull)
    limits.free_accelerations(x, fall)
    np.testing.assert_allclose(pull, [earth.gravitation(*s[:3]) for s in x], rtol=1e-14)
    np.testing.assert_allclose(fall, [earth.free_acceleration(*s[:5]) for s in x], rtol=1e-13)


def test_braking_is_that_of_the_air_and_the_drag_curve():
    rng = np.random.default_rng(1)
    height, speed, h = np.linspace(-500.0, 300e3, 90), rng.uniform(1.0, 7000.0, 90), 50.0
    out = np.empty((90, 3))
    limits.brakings(height, speed, h, out)
    for z, v, (here, steep, bend) in zip(np.maximum(height, 0.0), speed, out, strict=True):
        low, same, high = (0.5 * rho * v * mach.drag_factor(v / sound) for rho, sound in map(earth.air, (z - h, z, z + h)))
        assert here == pytest.approx(same, rel=1e-13)
        assert steep == pytest.approx((high - low) / (2.0 * h * same), rel=1e-9)
        assert bend == mach.drag_slope(v / earth.air(z)[1])


@slow_without_compiler
def test_rates_are_differences_of_the_flights_own_and_pushes_lie_as_they_act():
    plan = replace(PLAN, unsteady=tuple(populations.unsteady(np.random.default_rng(2))))
    time = np.array([-1.0, 0.5, 30.0, 90.0, 200.0, 320.0, 900.0])
    burns, p, x = motion._burns(plan), motion._vector(plan, motion.FINE, False, True), motion.states(plan, time)
    slope, push = np.zeros((7, 6, 6)), np.zeros((7, 3, flight.PUSHES))
    limits.rates(time, x, plan.lift < 0.0, burns, p, plan.beta, roughness.HALF, slope, push)
    out, d, n, force = np.zeros(6), np.zeros(3), np.zeros(3), np.zeros(3)
    for k, t in enumerate(time.tolist()):
        stage, beta = flight.burning(t, burns, p) if t >= 0.0 else (-1, plan.beta)
        for i, half in enumerate(roughness.HALF):
            ends = []
            for sign in (1.0, -1.0):
                flight.derivative(t, x[k] + sign * half * np.eye(6)[i], stage, beta, False, burns, p, out, d, n, force)
                ends.append(out.copy())
            np.testing.assert_allclose(slope[k, :, i], (ends[0] - ends[1]) / (2.0 * half), rtol=1e-9, atol=1e-12)
        if stage < 0:
            assert not push[k].any()
            continue
        flight.thrust_direction(t, x[k], p, d)
        np.testing.assert_allclose(push[k, :, [0, 3]], [d, d], rtol=1e-12)
        np.testing.assert_allclose(push[k, :, :3].T @ push[k, :, :3], np.eye(3), atol=1e-9)


def plain_carried(F, Q, driven, gained, first, before, prior):
    """What `limits.carried` does, with numpy's inverses."""
    P, out = before, np.empty((len(gained), len(prior), len(prior)))
    for k in range(first, first + len(gained)):
        if k > 1 and driven[k - 1] != driven[k - 2]:
            P = np.block([[P[:6, :6], np.zeros((6, len(prior) - 6))], [np.zeros((len(prior) - 6, 6)), np.diag(prior[6:])]])
        if k > 0:
            P = F[k - 1] @ P @ F[k - 1].T + Q[k - 1]
        J = np.linalg.inv(P)
        J[:6, :6] += gained[k - first]
        P = np.linalg.inv(J)
        out[k - first] = P
    return out


@pytest.mark.parametrize("first", [0, 5])
def test_carried_is_the_recursion_in_numpy(first):
    rng = np.random.default_rng(3)
    n, d = 12, 10
    F, root = np.eye(d) + 0.1 * rng.normal(size=(n - 1, d, d)), rng.normal(size=(n - 1, d, d))
    driven, look = np.arange(n - 1) % 7 < 4, rng.normal(size=(n - first, 6, 3))
    gained = look @ np.swapaxes(look, 1, 2)
    gained[[0, 3]] = 0.0
    prior, start = rng.uniform(0.5, 2.0, d), np.eye(d)
    out = np.empty((n - first, d, d))
    limits.carried(F, root @ np.swapaxes(root, 1, 2), driven, gained, first, start, prior, out)
    np.testing.assert_allclose(
        out, plain_carried(F, root @ np.swapaxes(root, 1, 2), driven, gained, first, start, prior), rtol=1e-9, atol=1e-11
    )
    assert np.array_equal(start, np.eye(d))


def plain_lowest(R, F, L, seen, rows, sharp):
    """What `limits.lowest` does, with numpy's QR of whole arrays; ``F`` the transitions."""
    out, w, d = [], len(R), F.shape[1]
    for k in range(len(seen)):
        if k:
            before = R[:, :d] @ np.linalg.inv(F[k - 1])
            whole = np.block([[np.eye(d), np.zeros((d, w))], [-before @ L[k - 1], before, R[:, d:]]])
            R = np.linalg.qr(whole, mode="r")[d:, d:]
        R = np.linalg.qr(np.vstack([R, rows[k]]), mode="r")
        known = np.linalg.qr(np.vstack([R, np.diag(sharp[k])]), mode="r")
        root = np.linalg.solve(known.T, seen[k].T)
        out.append(root.T @ root)
    return np.array(out)


@pytest.mark.parametrize("d", [0, 4])
def test_lowest_is_the_recursion_in_numpy(d):
    rng = np.random.default_rng(4)
    n, w = 10, 11
    F, L = np.eye(d) + 0.2 * rng.normal(size=(n - 1, d, d)), rng.normal(size=(n - 1, d, d))
    L[4:6] = 0.0
    rows, seen, sharp = rng.normal(size=(n, 6, w)), rng.normal(size=(n, 6, w)), np.zeros((n, w))
    rows[[0, 3]] = 0.0
    sharp[5, -2], sharp[7, d:] = 10.0, 1.0
    first, out = np.triu(np.eye(w) + 0.1 * rng.normal(size=(w, w))), np.empty((n, 6, 6))
    expected = plain_lowest(first, F, L, seen, rows, sharp)
    given = L.any(axis=(1, 2)), seen, rows.any(axis=(1, 2)), rows.copy(), sharp, out
    limits.lowest(first.copy(), np.linalg.inv(F), L, *given)
    np.testing.assert_allclose(out, expected, rtol=1e-8, atol=1e-11)


@slow_without_compiler
def test_slopes_flown_for_the_hub_serve_its_nations_to_the_bit():
    scenario = replace(cf.load("hokkaido-2017"), bias=0.0)
    truth = cf.fly(scenario)
    plots = cf.detect(truth, scenario, seed=0)
    alone = []
    for node in NODES:
        bounds._slopes.clear()
        alone.append(cf.bound(truth, scenario, node, detections=plots, model="true"))
    bounds._slopes.clear()
    for node, one in reversed(list(zip(NODES, alone, strict=True))):
        again = cf.bound(truth, scenario, node, detections=plots, model="true")
        assert np.array_equal(again.time, one.time) and np.array_equal(again.P, one.P)
    assert [len(time) for _, _, time, _ in bounds._slopes] == [len(alone[-1].time)]  # flown once
