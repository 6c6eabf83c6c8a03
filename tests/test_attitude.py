"""Air forces that no ballistic coefficient tells: how far they scatter falls, and that forecasts of impact allow for them."""

from __future__ import annotations

import numpy as np
import pytest

from copfuse import filters, forecast, frames, measures, populations
from copfuse.kernels import forecast as forecasting
from falling import fallen, swayed

STEEP = np.concatenate([frames.ecef(0.7, 2.2, 100e3), np.array([2500.0, 1000.0, -6700.0]) @ frames.enu_axes(0.7, 2.2)])
SHALLOW = np.concatenate([frames.ecef(0.7, 2.2, 100e3), np.array([2800.0, 900.0, -2200.0]) @ frames.enu_axes(0.7, 2.2)])


@pytest.mark.parametrize("beta", [1500.0, 5000.0, 11000.0])
@pytest.mark.parametrize("first, height", [(STEEP, 100e3), (STEEP, 15e3), (SHALLOW, 100e3), (SHALLOW, 15e3)])
def test_what_a_wandering_attitude_scatters_is_that_of_its_white_noise_along_the_fall(first, height, beta):
    _, x, _ = fallen(first, beta)
    start = x[np.flatnonzero(frames.altitude(x) <= height + 1.0)[0]]
    (time, x, drag), (airless, end, _) = fallen(start, beta), fallen(start, 1e12)
    found = forecasting._swayed(end[-1].copy(), time[-1] - airless[-1], time[-1])
    assert 1.0 / 1.35 < np.sqrt(found / swayed(time, x, drag)) < 1.35


def test_forecasts_and_filters_believe_in_the_same_forces_across():
    assert forecasting._SWAY == filters.TRIM


@pytest.mark.parametrize("first", [STEEP, SHALLOW])
def test_ellipses_of_a_fall_in_the_air_hold_bodies_whose_attitude_wanders(first):
    """State and ballistic coefficient known at 30 km: 60 bodies with `populations.unsteady` forces come down in the 95 % ellipse."""
    _, x, _ = fallen(first, 6000.0)
    start = x[np.flatnonzero(frames.altitude(x) <= 30e3)[0]]
    P, falling = 1e-4 * np.eye(6)[None], np.array([[0.0, 0.0, 1.0, 0.0]])
    point, cov, _, _ = forecast.impact_point(start[None], P, [[np.log(6000.0), 1e-3]], np.zeros((1, 3)), falling)
    ends = np.array([fallen(start, 6000.0, populations.unsteady(np.random.default_rng(seed)))[1][-1, :3] for seed in range(60)])
    held = [measures.within_ellipse(point, cov, end)[0] for end in ends]
    assert np.mean(held) > 0.88
