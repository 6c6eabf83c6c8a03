"""95 % regions of impact where bodies are light and heavy: how much they grow, and that they hold as many as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from copfuse import filters, forecast, frames, measures
from copfuse.kernels import flight, regions
from falling import fallen, impacts, swayed

FALLS = np.array([[0.0, 1.0, 0.0, 0.0]])
AXES = frames.enu_axes(0.7, 2.4)
WAYS = [(4200.0, 2500.0), (1350.0, 1100.0), (2800.0, 2200.0)]  # m/s over ground and down, above the air


def above_the_air(level, sink):
    return np.concatenate([frames.ecef(0.7, 2.4, 140e3), np.array([0.6 * level, 0.8 * level, -sink]) @ AXES])


def landed(x, u=0.0, beta=None, wind=(0.0, 0.0)):
    """Where and when a fall ends whose ln(beta) is u sigma off what is believed, in a wind to the east and the north, m/s."""
    unsteady = np.zeros(flight.UNSTEADY)
    unsteady[flight.WIND - flight.PARAMETERS : flight.ROUGH - flight.PARAMETERS] = wind
    time, rows, _ = fallen(x, beta or float(np.exp(filters.LOG_BETA[0] + filters.LOG_BETA[1] * u)), tuple(unsteady))
    return rows[-1, :3], time[-1]


@pytest.mark.parametrize("way", WAYS)
def test_delays_between_the_bodies_whose_falls_are_known_are_those_of_flown_ones(way):
    """Of light ones, of which wind takes hold."""
    x = above_the_air(*way)
    airless = landed(x, beta=1e12)[1]
    known = np.array([landed(x, u)[1] - airless for u in regions.AT])
    nodes = regions.NODES[(regions.NODES > -2.5) & (regions.NODES < 0.0)]
    flown = [landed(x, u)[1] - airless for u in nodes]
    np.testing.assert_allclose([regions.lag_of(u, known) for u in nodes], flown, rtol=0.08)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("beta", [900.0, 2000.0])
def test_a_region_is_as_wide_across_the_way_as_wind_carries_a_body(way, beta):
    """Wind of 10 m/s, the same all the way down; forces by attitude as `falling.swayed` integrates them."""
    x, across = above_the_air(*way), np.array([0.8, -0.6])
    given = x[None], 1e-6 * np.eye(6)[None], [[np.log(beta), 1e-3]], np.zeros((1, 3)), FALLS
    cov, axis = forecast.impact_point(*given)[1][0], across @ AXES[:2]
    blown = (landed(x, beta=beta, wind=10.0 * across)[0] - landed(x, beta=beta)[0]) @ axis
    assert axis @ cov @ axis == pytest.approx(blown**2 + swayed(*fallen(x, beta)), rel=0.05)


@pytest.mark.parametrize(
    ("level", "sink", "position", "velocity"), [(5000.0, 2500.0, 30.0, 1.0), (2800.0, 2200.0, 1.0, 0.01), (1500.0, 6500.0, 100.0, 1.0)]
)
def test_ellipses_from_above_the_air_hold_95_of_100_bodies_of_the_population(level, sink, position, velocity):
    """Nothing is known of the bodies but the prior: of draws of it the ellipse holds as many as chance allows 999 times of 1000."""
    count = 2000
    x = above_the_air(level, sink)
    P = np.diag([position**2] * 3 + [velocity**2] * 3)
    point, cov, _, _ = forecast.impact_point(x[None], P[None], [filters.LOG_BETA], np.zeros((1, 3)), FALLS)
    held = sum(measures.within_ellipse(point, cov, end)[0] for end in impacts(x, count, 0, P, filters.LOG_BETA))
    low, high = stats.binom.interval(0.999, count, 0.95)
    assert low <= held <= high


def test_the_lag_goes_through_the_bodies_that_are_known_and_rises_as_they_get_lighter():
    lags = np.array([7.3, 1.2, 62.0, 29.0])
    assert np.allclose([regions.lag_of(u, lags) for u in regions.AT], lags)
    every = [regions.lag_of(u, lags) for u in np.linspace(-3.5, 3.5, 71)]
    assert (np.diff(every) <= 0.0).all() and every[-1] >= 0.0
    assert regions.lag_of(-1.0, np.zeros(4)) == 0.0


def test_every_body_is_placed_between_or_beyond_two_that_are_known():
    for u in np.linspace(-4.0, 4.0, 81):
        k, other, share = regions.straddled(u)
        assert regions.AT[k] + share * (regions.AT[other] - regions.AT[k]) == pytest.approx(u)
        assert share >= 0.0 and (share <= 1.0 or abs(u) > np.sqrt(3.0))
    assert regions.shared(3.0, 2.0, 6.0, 0.9) == 0.25 and regions.shared(2.0, 2.0, 2.0, 0.9) == 0.9


def case(sigma, lags, along):
    """What `regions.grown` takes of a belief about impacts on the ground: position and velocity scatter them by ``sigma`` m to the east and
    a half of that to the north, air by ``along`` m for each second of delay beyond the middle one's, to the north; wind by 10 m/s."""
    mean = frames.ecef(0.7, 2.4, 0.0)
    spread = np.array([[3.0 * sigma, 0.0], [0.0, 1.5 * sigma]])
    own = np.concatenate([np.stack([spread, -spread], axis=1).reshape(-1, 2), np.zeros((8, 2))])
    known = np.stack([np.zeros(3), along * (lags[1:] - lags[0])], axis=1)  # a heavy, a light and a rather light one
    places = np.concatenate([own, known])
    weights = np.r_[np.full(12, 1.0 / 18.0), 1.0 / 6.0, 1.0 / 6.0, 0.0]
    middle = weights @ places
    rms = weights @ np.r_[np.full(12, lags[0]), lags[1:]] ** 2
    flat = (weights[:, None] * (places - middle)).T @ (places - middle) + 100.0 * rms * np.eye(2)
    P = AXES[:2].T @ flat @ AXES[:2] + 100.0 * rms * np.outer(AXES[2], AXES[2])
    return mean, P, mean + (places - middle) @ AXES[:2], flat, middle


def drawn(sigma, lags, along, flat, middle, count=200_000):
    """By how much the squared distance of 95 % of draws of a `case` is more than a normal one's."""
    stream = np.random.default_rng(3)
    lag = np.array([regions.lag_of(u, lags) for u in np.linspace(-6.0, 6.0, 1201)])
    lag = np.interp(stream.standard_normal(count), np.linspace(-6.0, 6.0, 1201), lag)
    place = stream.standard_normal((count, 2)) * [sigma, 0.5 * sigma] + 10.0 * lag[:, None] * stream.standard_normal((count, 2))
    place[:, 1] += along * (lag - lags[0])
    return np.quantile(measures.nees(place - middle, flat), 0.95) / measures.CHI2_95_2


@pytest.mark.parametrize(
    ("sigma", "lags", "along"),
    [
        (30.0, [7.3, 1.2, 62.0, 29.0], 150.0),
        (300.0, [7.3, 1.2, 62.0, 29.0], 150.0),
        (50.0, [2.1, 0.9, 5.0, 3.2], 0.0),
        (100.0, [9.0, 2.0, 40.0, 23.0], 20.0),
    ],
)
def test_a_region_grows_as_far_as_draws_of_what_it_is_made_from_do(sigma, lags, along):
    lags = np.array(lags)
    mean, P, points, flat, middle = case(sigma, lags, along)
    lag = np.array([regions.lag_of(u, lags) for u in regions.NODES])
    scratch = np.zeros((2, 3)), np.zeros((regions.KNOWN, 2)), np.zeros((2, len(lag)))
    found = regions.grown(mean, P, points, 12, lags, lag, (10.0 * lag) ** 2, *scratch)
    wanted = drawn(sigma, lags, along, flat, middle)
    assert found == pytest.approx(max(wanted, 1.0), rel=0.04)


def test_a_region_stays_where_the_ballistic_coefficient_is_known_or_hardly_matters():
    for sigma, lags in ((1e4, [7.3, 1.2, 62.0, 29.0]), (50.0, [7.3, 7.2, 7.4, 7.35])):
        mean, P, points, *_ = case(sigma, np.array(lags), 150.0)
        lag = np.array([regions.lag_of(u, np.array(lags)) for u in regions.NODES])
        scratch = np.zeros((2, 3)), np.zeros((regions.KNOWN, 2)), np.zeros((2, len(lag)))
        assert regions.grown(mean, P, points, 12, np.array(lags), lag, (10.0 * lag) ** 2, *scratch) < 1.02
