"""Density against the published table; the ray against an independent integration and the field's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize

from copfuse import atmosphere
from copfuse.atmosphere import density, lowest_visible_altitude
from copfuse.errors import CopfuseError

pytestmark = pytest.mark.kernels

EARTH = 6371e3


def twin(antenna: float, distance: float, elevation: float | None) -> float:
    """The ray in its differential form by scipy's DOP853, plain formulas, nothing from the package."""

    def slopes(_, y):
        h, e = y
        bent = 315e-6 * np.exp(-h / 7350.0)
        return [(EARTH + h) * np.tan(e), 1.0 - (EARTH + h) * bent / 7350.0 / (1.0 + bent)]

    def reach(h, e, angle):
        return integrate.solve_ivp(slopes, (0.0, angle), (h, e), method="DOP853", rtol=1e-11, atol=1e-9).y[0, -1]

    angle = distance / EARTH
    if elevation is not None:
        return reach(antenna, elevation, angle)
    foot = optimize.brentq(lambda a: reach(0.0, 0.0, a) - antenna, 0.0, 0.2) if antenna else 0.0
    return reach(0.0, 0.0, angle - foot) if angle > foot else 0.0


@pytest.mark.parametrize("antenna", [0.0, 15.0, 200.0, 2000.0])
@pytest.mark.parametrize("elevation_deg", [None, 0.0, 0.3, 1.0, 3.0, 10.0])
def test_ray_agrees_with_an_independent_integration(antenna, elevation_deg):
    distance = np.array([1e3, 30e3, 250e3, 700e3, 1360e3, 2500e3])
    elevation = None if elevation_deg is None else np.radians(elevation_deg)
    expected = [twin(antenna, d, elevation) for d in distance]
    # 0.1 % is promised; the integration is held to a hundred times less, and to 1 cm near the ground
    np.testing.assert_allclose(lowest_visible_altitude(antenna, distance, elevation), expected, rtol=1e-5, atol=0.01)


def test_published_numbers_of_the_field():
    """148 km geometric, 131.9 km traced, 110 km with 4/3 at 1360 km; 120.0 km below an antenna of 200 m."""
    assert lowest_visible_altitude(0.0, 1360e3, 0.0) == pytest.approx(131.9e3, abs=60.0)
    assert lowest_visible_altitude(0.0, 1360e3) == pytest.approx(131.9e3, abs=60.0)
    assert lowest_visible_altitude(200.0, 1360e3) == pytest.approx(120.0e3, abs=60.0)
    assert EARTH / np.cos(1360e3 / EARTH) - EARTH == pytest.approx(148e3, abs=500.0)


@pytest.mark.parametrize(("distance", "low"), [(400e3, 0.03), (800e3, 0.11), (1200e3, 0.15)])
def test_the_four_thirds_rule_is_as_low_as_the_field_says(distance, low):
    """the 4/3-Earth rule is 3 % low at 400 km, 11 % at 800 km, 15 % at 1200 km."""
    radius = 4.0 / 3.0 * EARTH
    rule = radius / np.cos(distance / radius) - radius
    assert 1.0 - rule / lowest_visible_altitude(0.0, distance) == pytest.approx(low, abs=0.006)


def test_nearer_than_the_grazing_point_the_sea_is_in_view():
    assert lowest_visible_altitude(200.0, 0.0) == 0.0
    assert lowest_visible_altitude(200.0, 50e3) == 0.0  # the grazing point lies at 59 km
    assert lowest_visible_altitude(200.0, 62e3) > 0.0


def test_a_ray_aimed_below_the_horizon_meets_the_sea_and_then_the_grazing_ray_takes_over():
    far = np.array([250e3, 300e3, 390e3, 600e3])
    down = lowest_visible_altitude(9000.0, far, np.radians(-3.0))
    assert down[0] > 0.0 and down[1] == 0.0
    np.testing.assert_array_equal(down[1:], lowest_visible_altitude(9000.0, far[1:]))


def test_a_steep_ray_never_gets_round_the_earth():
    assert lowest_visible_altitude(0.0, 1000e3, np.radians(89.0)) == np.inf
    assert lowest_visible_altitude(10.0, 0.0, np.pi / 2) == 10.0


def test_arrays_broadcast_and_scalars_stay_scalars():
    heights, distances = np.array([0.0, 100.0, 500.0]), np.linspace(0.0, 2000e3, 5)
    table = lowest_visible_altitude(heights[:, None], distances, np.radians([[1.0], [2.0], [np.nan]]))
    assert table.shape == (3, 5)
    assert table[1, 3] == lowest_visible_altitude(100.0, distances[3], np.radians(2.0))
    assert table[2, 4] == lowest_visible_altitude(500.0, distances[4])
    assert np.ndim(lowest_visible_altitude(0.0, 1e5)) == 0
    assert lowest_visible_altitude(0.0, np.zeros(0)).shape == (0,)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.0, 2000.0), st.floats(0.0, 2400e3), st.floats(0.0, 0.17), st.floats(1.0, 1e5), st.floats(0.0, 0.05))
def test_it_rises_with_distance_and_elevation_and_falls_with_the_antenna(antenna, distance, elevation, more, steeper):
    def at(*args):
        return float(lowest_visible_altitude(*args))

    slack = 1e-4  # m, rounding of the integration
    assert at(antenna, distance + more) >= at(antenna, distance) - slack
    assert at(antenna, distance, elevation + steeper) >= at(antenna, distance, elevation) - slack
    assert at(antenna + 10.0, distance) <= at(antenna, distance) + slack
    assert at(antenna, distance, elevation) >= at(antenna, distance) - slack


@pytest.mark.parametrize("elevation", [np.nan, 0.0, np.radians(2.0), np.radians(-3.0)])
def test_the_table_of_a_sensor_is_the_same_horizon(elevation):
    table = atmosphere.horizon(1000.0, elevation, 2500e3)
    distance = np.linspace(0.0, 2500e3, 1717)
    looked_up = np.interp(distance, atmosphere.TABLE_STEP * np.arange(len(table)), table)
    # where a falling ray meets the sea the line between two points of the table cuts a corner of 3 degrees over 1 km
    corner = 60.0 if elevation < 0.0 else 0.2
    np.testing.assert_allclose(looked_up, lowest_visible_altitude(1000.0, distance, elevation), rtol=1e-6, atol=corner)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((-1.0, 1e5), "antenna height is -1 m"),
        ((0.0, -5.0), "ground distance is -5 m"),
        ((0.0, np.nan), "ground distance is nan"),
        ((0.0, 1e5, 2.0), "elevation is 2 rad"),
        ((0.0, 1e9), "ground distance is 1e\\+09"),
    ],
)
def test_values_out_of_range_are_refused(arguments, said):
    with pytest.raises(CopfuseError, match=said):
        lowest_visible_altitude(*arguments)


def test_density_of_the_standard_atmosphere():
    """US Standard Atmosphere 1976, tables I and IV: density kg/m^3 at geometric altitude."""
    altitude = np.array([0.0, 5e3, 11e3, 20e3, 50e3, 80e3, 100e3])
    published = np.array([1.2250, 7.3643e-1, 3.6480e-1, 8.8910e-2, 1.0269e-3, 1.8458e-5, 5.604e-7])
    np.testing.assert_allclose(density(altitude), published, rtol=1.5e-4)
    assert density(2000e3) == 0.0
    assert density(np.zeros((2, 3))).shape == (2, 3)
