"""Constant biases: the Cramer-Rao bound is met, and what cannot be seen is said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from copfuse import biases
from copfuse.errors import CopfuseError

SIGMA = np.array([30.0, 2e-3, np.nan, np.nan])
SITES, AXES = np.array([[0.0, 0.0, 0.0], [100e3, 0.0, 0.0]]), np.tile([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], (2, 1, 1))
TIME, SENSOR = np.tile(10.0 * np.arange(10), 2), np.repeat([0, 1], 10)
STEPS = [1.0, 1.0, 0.01, 0.01]
RANGE, AZIMUTH, RANGE_SCALE, AZIMUTH_SCALE, EAST, CLOCK = (
    biases.KINDS.index(k) for k in ("range", "azimuth", "range scale", "azimuth scale", "east", "clock")
)


def straight(objects, time):
    """x, y, vx, vy in a plane."""
    x = np.zeros((*objects.shape[:-1], len(time), 6))
    x[..., :2] = objects[..., None, :2] + time[:, None] * objects[..., None, 2:]
    x[..., 3:5] = objects[..., None, 2:]
    return x


def targets():
    rng = np.random.default_rng(16)
    x, y = rng.uniform(10e3, 90e3, 16), rng.uniform(20e3, 120e3, 16)
    return np.column_stack([x, y, rng.uniform(-200.0, 200.0, (16, 2))])


def four_each():
    prior = np.zeros((2, len(biases.KINDS)))
    prior[:, [RANGE, AZIMUTH, RANGE_SCALE, AZIMUTH_SCALE]] = 100.0, 3e-3, 3e-4, 3e-4
    return prior


def plots(prior, runs, seed):
    """True biases drawn from the prior, and what the two radars then report of the targets."""
    rng = np.random.default_rng(seed)
    true = prior * rng.standard_normal((runs, *prior.shape))
    z = biases.shown(straight(np.broadcast_to(targets(), (runs, 16, 4)), TIME), SITES[SENSOR], AXES[SENSOR], true[:, None, SENSOR])
    return true, z + SIGMA * rng.standard_normal(z.shape)


def solve(z, prior):
    start = np.broadcast_to(targets() + [200.0, -200.0, 5.0, -5.0], (len(z), 16, 4))
    return biases.register(start, straight, TIME, SENSOR, z, SIGMA, SITES, AXES, prior, steps=STEPS)


@pytest.fixture(scope="module")
def batch():
    prior = four_each()
    true, z = plots(prior, 600, 1)
    return true[:, [0, 0, 0, 0, 1, 1, 1, 1], [RANGE, AZIMUTH, RANGE_SCALE, AZIMUTH_SCALE] * 2], z, *solve(z, prior)


def test_bound_of_two_radars_and_sixteen_targets(batch):
    """Offsets and scales of range and azimuth; the bound to the digits known of this set-up, range m, scale, azimuth rad, scale."""
    _, _, found, _, _ = batch
    sigma = np.sqrt(np.einsum("rii->ri", found.P)).mean(axis=0)
    assert [biases.KINDS[k] for k in found.kind[:4]] == ["range", "azimuth", "range scale", "azimuth scale"]
    want = [38.3, 0.498e-3, 2.576e-4, 2.80e-4, 39.5, 0.851e-3, 2.60e-4, 2.71e-4]
    assert np.allclose(sigma, want, rtol=0, atol=[0.05, 5e-7, 5e-8, 5e-7, 0.05, 5e-7, 5e-7, 5e-7])


def test_estimates_meet_the_bound(batch):
    """600 runs: rms error over the bound at most 1.08 for every bias (its own spread is 3 %), NEES/8 between 0.9 and 1.1."""
    true, _, found, _, _ = batch
    error = found.value - true
    ratio = np.sqrt((error**2).mean(axis=0)) / np.sqrt(np.einsum("rii->ri", found.P)).mean(axis=0)
    nees = (error * np.linalg.solve(found.P, error[..., None])[..., 0]).sum(axis=1)
    assert (ratio < 1.08).all() and (ratio > 0.9).all() and 0.9 < nees.mean() / 8 < 1.1


def test_registration_restores_the_consistency_of_what_is_fused(batch):
    """The targets' ANEES/4: far above 3 where the biases are taken for nought, within 1.2 where they are estimated."""
    _, z, _, objects, P = batch
    _, naive, P_naive = solve(z, np.where(four_each() > 0.0, four_each() * 1e-6, 0.0))
    anees = [
        (e * np.linalg.solve(C, e[..., None])[..., 0]).sum(axis=-1).mean() / 4
        for e, C in ((objects - targets(), P), (naive - targets(), P_naive))
    ]
    assert anees[0] < 1.2 and anees[1] > 3.0


def test_what_is_not_observable_is_said(batch):
    """Range scales stay near their priors; of the offsets both radars' azimuths are seen."""
    _, _, found, _, _ = batch
    seen = found.observable.all(axis=0)
    assert seen[1] and seen[5] and not seen[[2, 3, 6, 7]].any()
    assert (found.information[:, 0] < 0.1).all() and (found.information[:, -1] > 100.0).all()
    assert (np.diff(found.information, axis=1) >= 0.0).all() and str(found) == "8 biases in runs of shape (600,)"


def test_two_positions_show_only_their_difference():
    """East of both radars: half of the information is missing, and neither is called observable however sharp the plots are."""
    prior = np.zeros((2, len(biases.KINDS)))
    prior[:, EAST] = 500.0
    true, z = plots(prior, 1, 2)
    found, _, _ = biases.register(targets()[None], straight, TIME, SENSOR, z, SIGMA * 1e-2, SITES, AXES, prior, steps=STEPS)
    assert found.information[0, 0] < 1e-3 < 100.0 < found.information[0, 1] and not found.observable.any()
    apart = found.value[0, 0] - found.value[0, 1]
    assert abs(apart - (true[0, 0, EAST] - true[0, 1, EAST])) < 150.0


def test_a_clock_ahead_shows_where_objects_were():
    x = np.array([[10e3, 20e3, 0.0, 100.0, -50.0, 0.0]])
    late = np.zeros((1, len(biases.KINDS)))
    late[0, CLOCK] = 2.0
    there = biases.shown(x - [[200.0, -100.0, 0, 0, 0, 0]], SITES[:1], AXES[:1], np.zeros((1, len(biases.KINDS))))
    assert np.allclose(biases.shown(x, SITES[:1], AXES[:1], late), there)


def test_nothing_to_estimate_is_refused():
    with pytest.raises(CopfuseError, match="every prior is 0"):
        biases.register(targets()[None], straight, TIME, SENSOR, np.zeros((1, 16, 20, 4)), SIGMA, SITES, AXES, np.zeros((2, 10)))


def test_normalised_error_has_the_spread_of_chi_squared(batch):
    """95 % of the runs lie inside the 95 % ellipsoid, to three sigma of 600 runs."""
    true, _, found, _, _ = batch
    error = found.value - true
    inside = (error * np.linalg.solve(found.P, error[..., None])[..., 0]).sum(axis=1) < chi2.ppf(0.95, 8)
    assert abs(inside.mean() - 0.95) < 3.0 * np.sqrt(0.95 * 0.05 / 600)
