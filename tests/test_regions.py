"""95 % regions of impact where bodies are light and heavy: how much they grow, and that they hold as many as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from copfuse import filters, forecast, frames, measures
from copfuse.kernels import regions
from falling import impacts

FALLS = np.array([[0.0, 1.0, 0.0, 0.0]])
AXES = frames.enu_axes(0.7, 2.4)


@pytest.mark.parametrize(
    ("level", "sink", "position", "velocity"), [(5000.0, 2500.0, 30.0, 1.0), (2800.0, 2200.0, 1.0, 0.01), (1500.0, 6500.0, 100.0, 1.0)]
)
def test_ellipses_from_above_the_air_hold_95_of_100_bodies_of_the_population(level, sink, position, velocity):
    """Nothing is known of the bodies but the prior: of draws of it the ellipse holds as many as chance allows 999 times of 1000."""
    count = 2000
    x = np.concatenate([frames.ecef(0.7, 2.4, 140e3), np.array([0.6 * level, 0.8 * level, -sink]) @ AXES])
    P = np.diag([position**2] * 3 + [velocity**2] * 3)
    point, cov, _, _ = forecast.impact_point(x[None], P[None], [filters.LOG_BETA], np.zeros((1, 3)), FALLS)
    held = sum(measures.within_ellipse(point, cov, end)[0] for end in impacts(x, count, 0, P, filters.LOG_BETA))
    low, high = stats.binom.interval(0.999, count, 0.95)
    assert low <= held <= high


def test_the_lag_goes_through_the_bodies_that_are_known_and_rises_as_they_get_lighter():
    lags = np.array([1.2, 62.0, 7.3])
    assert np.allclose([regions.lag_of(u, lags) for u in (np.sqrt(3.0), -np.sqrt(3.0), 0.0)], lags)
    every = [regions.lag_of(u, lags) for u in np.linspace(-3.5, 3.5, 71)]
    assert (np.diff(every) <= 0.0).all() and every[-1] >= 0.0
    assert regions.lag_of(-1.0, np.zeros(3)) == 0.0


def case(sigma, lags, along):
    """What `regions.grown` takes of a belief about impacts on the ground: position and velocity scatter them by ``sigma`` m to the east and
    a half of that to the north, air by ``along`` m for each second of delay beyond the middle one's, to the north; wind by 10 m/s."""
    mean = frames.ecef(0.7, 2.4, 0.0)
    spread = np.array([[3.0 * sigma, 0.0], [0.0, 1.5 * sigma]])
    own = np.concatenate([np.stack([spread, -spread], axis=1).reshape(-1, 2), np.zeros((8, 2))])
    light, heavy = along * (lags[1] - lags[2]), along * (lags[0] - lags[2])
    places = np.concatenate([own, [[0.0, heavy], [0.0, light]]])
    weights = np.r_[np.full(12, 1.0 / 18.0), 1.0 / 6.0, 1.0 / 6.0]
    middle = weights @ places
    rms = weights @ np.r_[np.full(12, lags[2]), lags[0], lags[1]] ** 2
    flat = (weights[:, None] * (places - middle)).T @ (places - middle) + 100.0 * rms * np.eye(2)
    P = AXES[:2].T @ flat @ AXES[:2] + 100.0 * rms * np.outer(AXES[2], AXES[2])
    return mean, P, mean + (places - middle) @ AXES[:2], flat, middle


def drawn(sigma, lags, along, flat, middle, count=200_000):
    """By how much the squared distance of 95 % of draws of a `case` is more than a normal one's."""
    stream = np.random.default_rng(3)
    lag = np.array([regions.lag_of(u, lags) for u in np.linspace(-6.0, 6.0, 1201)])
    lag = np.interp(stream.standard_normal(count), np.linspace(-6.0, 6.0, 1201), lag)
    place = stream.standard_normal((count, 2)) * [sigma, 0.5 * sigma] + 10.0 * lag[:, None] * stream.standard_normal((count, 2))
    place[:, 1] += along * (lag - lags[2])
    return np.quantile(measures.nees(place - middle, flat), 0.95) / measures.CHI2_95_2


@pytest.mark.parametrize(
    ("sigma", "lags", "along"),
    [(30.0, [1.2, 62.0, 7.3], 150.0), (300.0, [1.2, 62.0, 7.3], 150.0), (50.0, [0.9, 5.0, 2.1], 0.0), (100.0, [2.0, 40.0, 9.0], 20.0)],
)
def test_a_region_grows_as_far_as_draws_of_what_it_is_made_from_do(sigma, lags, along):
    lags = np.array(lags)
    mean, P, points, flat, middle = case(sigma, lags, along)
    lag = np.array([regions.lag_of(u, lags) for u in regions.NODES])
    scratch = np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, len(lag)))
    found = regions.grown(mean, P, points, 12, lags, lag, (10.0 * lag) ** 2, *scratch)
    wanted = drawn(sigma, lags, along, flat, middle)
    assert found == pytest.approx(max(wanted, 1.0), rel=0.04)


def test_a_region_stays_where_the_ballistic_coefficient_is_known_or_hardly_matters():
    for sigma, lags in ((1e4, [1.2, 62.0, 7.3]), (50.0, [7.2, 7.4, 7.3])):
        mean, P, points, *_ = case(sigma, np.array(lags), 150.0)
        lag = np.array([regions.lag_of(u, np.array(lags)) for u in regions.NODES])
        scratch = np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, len(lag)))
        assert regions.grown(mean, P, points, 12, np.array(lags), lag, (10.0 * lag) ** 2, *scratch) < 1.02
