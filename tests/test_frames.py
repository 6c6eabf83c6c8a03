"""Frames against pymap3d's own conversions, published geodesics, and round trips over random places."""

from __future__ import annotations

import numpy as np
import pymap3d
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copfuse import frames
from copfuse.constants import EARTH_A, EARTH_B, EARTH_OMEGA

latitude = st.floats(-1.5, 1.5)
longitude = st.floats(-3.14, 3.14)
height = st.floats(-100.0, 8e6)
speed = st.floats(-8000.0, 8000.0)


def test_the_ends_of_the_axes_are_where_the_ellipsoid_ends():
    places = frames.ecef(np.array([0.0, 0.0, np.pi / 2]), np.array([0.0, np.pi / 2, 0.0]), 0.0)
    assert np.allclose(places, [[EARTH_A, 0, 0], [0, EARTH_A, 0], [0, 0, EARTH_B]], atol=1e-8)


@given(latitude, longitude, height)
def test_geodetic_undoes_ecef(lat, lon, alt):
    """pymap3d's latitude is exact on the ground and off by up to 2.3 m at 8000 km; its height by less than a millimetre."""
    back = frames.geodetic(frames.ecef([lat], [lon], [alt]))
    assert np.allclose([v[0] for v in back], [lat, lon, alt], rtol=0, atol=[1e-12 if alt < 1e4 else 4e-7, 1e-12, 1e-3])


def test_geodetic_is_pymap3ds_to_the_bit():
    """Of all rows at once, of some, and of each alone; above the Earth, in it, over a pole and at the centre."""
    stream = np.random.default_rng(0)
    way = stream.standard_normal((500, 3))
    p = way / np.linalg.norm(way, axis=1, keepdims=True) * stream.uniform(6.3e6, 4.3e7, (500, 1))
    p = np.vstack([p, [[0.0, 0.0, 6.4e6], [6.4e6, 0.0, 0.0], [2.0, 0.0, -7e6], [3e6, 4e6, 0.0], [1e-9, 0.0, 0.0]]])
    away = np.hypot(p[:, 0], p[:, 1]) > frames.OFF_AXIS
    for rows in (p, p[away], *p[:20, None], *p[-5:, None]):
        want = pymap3d.ecef2geodetic(*rows.T, deg=False)
        for found, one in zip(frames.geodetic(rows), want, strict=True):
            np.testing.assert_array_equal(found, np.atleast_1d(one))
    assert away.sum() > 400 and not away.all()


@given(latitude, longitude)
def test_local_axes_are_orthonormal_and_right_handed(lat, lon):
    axes = frames.enu_axes(lat, lon)
    assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.isclose(np.linalg.det(axes), 1.0)


@given(latitude, longitude, st.floats(0, 2000), latitude, longitude, st.floats(1e4, 5e6))
def test_look_agrees_with_pymap3d(lat0, lon0, alt0, lat, lon, alt):
    origin, target = frames.ecef(lat0, lon0, alt0), frames.ecef(lat, lon, alt)
    azimuth, elevation, distance = pymap3d.geodetic2aer(lat, lon, alt, lat0, lon0, alt0, deg=False)
    seen = frames.look(target, origin, frames.enu_axes(lat0, lon0))[0]
    assert np.isclose(seen[0], distance, rtol=1e-9)
    assert np.isclose(seen[2], elevation, atol=1e-9)
    across = seen[0] * np.cos(seen[2]) * np.angle(np.exp(1j * (seen[1] - azimuth)))
    assert abs(across) < 0.01  # metres: azimuth itself means nothing straight overhead


@given(latitude, longitude, st.floats(1e3, 4e7), st.floats(0, 6.28), st.floats(-1.5, 1.5))
def test_point_undoes_look(lat, lon, distance, azimuth, elevation):
    origin, axes = frames.ecef(lat, lon, 50.0), frames.enu_axes(lat, lon)
    place = frames.point(distance, azimuth, elevation, origin, axes)
    again = frames.look(place, origin, axes)[0]
    assert np.allclose(again[[0, 2]], [distance, elevation], rtol=1e-7, atol=1e-7)
    assert abs(np.angle(np.exp(1j * (again[1] - azimuth)))) < 1e-7
    assert np.isnan(again[3])  # a place alone has no range rate


def test_range_rate_is_the_derivative_of_range():
    rng = np.random.default_rng(5)
    origin, axes = frames.ecef(0.65, 2.2, 100.0), frames.enu_axes(0.65, 2.2)
    x = np.hstack([origin + rng.normal(0, 4e5, (50, 3)), rng.normal(0, 3000, (50, 3))])
    later, earlier = x.copy(), x.copy()
    later[:, :3] += 0.01 * x[:, 3:]
    earlier[:, :3] -= 0.01 * x[:, 3:]
    slope = (frames.look(later, origin, axes)[:, 0] - frames.look(earlier, origin, axes)[:, 0]) / 0.02
    assert np.allclose(frames.look(x, origin, axes)[:, 3], slope, rtol=1e-5, atol=1e-3)


def test_moving_observers_are_taken_row_by_row():
    lat, lon = np.array([0.6, 0.7, 0.8]), np.array([2.1, 2.2, 2.3])
    origins, axes = frames.ecef(lat, lon, 10.0), frames.enu_axes(lat, lon)
    targets = frames.ecef(lat + 0.02, lon + 0.03, 2e5)
    rows = frames.look(targets, origins, axes)
    alone = [frames.look(targets[i], origins[i], axes[i])[0] for i in range(3)]
    assert np.array_equal(rows[:, :3], np.array(alone)[:, :3])


@given(latitude, longitude, height, speed, speed, speed, st.floats(-1e4, 1e4))
def test_inertial_round_trip_keeps_the_state(lat, lon, alt, u, v, w, time):
    x = np.concatenate([frames.ecef(lat, lon, alt), [u, v, w]])[None]
    back = frames.from_inertial(frames.to_inertial(x, time), time)
    assert np.allclose(back, x, rtol=0, atol=1e-6)


def test_a_place_at_rest_on_the_earth_moves_east_in_the_inertial_frame():
    x = np.concatenate([frames.ecef(0.0, 0.0, 0.0), np.zeros(3)])[None]
    inertial = frames.to_inertial(x, 0.0)[0]
    assert np.allclose(inertial[3:], [0.0, EARTH_OMEGA * EARTH_A, 0.0])
    quarter = frames.to_inertial(x, np.pi / 2 / EARTH_OMEGA)[0]
    assert np.allclose(quarter[:3], [0.0, EARTH_A, 0.0], atol=1e-6)


def test_vincentys_published_geodesic():
    """Vincenty 1975 (Survey Review 23, 88-93), the Flinders Peak to Buninyong line as given on GRS-80/WGS-84."""
    dms = lambda d, m, s: np.sign(d) * np.radians(abs(d) + m / 60 + s / 3600)  # noqa: E731
    flinders, buninyong = (dms(-37, 57, 3.72030), dms(144, 25, 29.52440)), (dms(-37, 39, 10.15610), dms(143, 55, 35.38390))
    distance, bearing = frames.ground_distance_bearing(*flinders, *buninyong)
    assert distance == pytest.approx(54972.271, abs=0.002)
    assert bearing == pytest.approx(dms(306, 52, 5.37), abs=1e-7)


@given(st.floats(-1.2, 1.2), longitude, st.floats(1e3, 8e6), st.floats(0.0, 6.28))
def test_ground_point_undoes_ground_distance(lat, lon, distance, bearing):
    there = frames.ground_point(lat, lon, distance, bearing)
    back, azimuth = frames.ground_distance_bearing(lat, lon, *there)
    assert float(back) == pytest.approx(distance, abs=0.01)
    assert abs(np.angle(np.exp(1j * (float(azimuth) - bearing)))) * distance < 0.05


def test_no_rows_in_no_rows_out():
    assert all(len(v) == 0 for v in frames.geodetic(np.zeros((0, 3))))
    assert frames.look(np.zeros((0, 6)), np.zeros(3), np.eye(3)).shape == (0, 4)
    assert frames.to_inertial(np.zeros((0, 6)), 0.0).shape == (0, 6)


def test_a_coincident_point_does_not_spoil_the_others():
    """pymap3d 3.2 stops its iteration for a whole array at the first point of distance 0."""
    lat, lon = np.radians([39.0, 40.0, 44.5]), np.radians([125.0, 126.0, 136.0])
    together, _ = frames.ground_distance_bearing(lat[0], lon[0], lat, lon)
    alone = [float(frames.ground_distance_bearing(lat[0], lon[0], a, o)[0]) for a, o in zip(lat, lon, strict=True)]
    assert together[0] == 0 and np.allclose(together, alone, rtol=1e-9)


def test_the_short_cross_product_is_numpys_to_the_last_bit():
    a, b = np.random.default_rng(3).normal(size=(2, 50, 3)) * 10.0 ** np.arange(-12, 13).repeat(2)[:, None]
    b[:3], a[3, 1] = 0.0, -0.0
    for one, other in ((a, b), (a[0], b), (a[:, None], b[None, :5])):
        assert frames.cross(one, other).tobytes() == np.cross(one, other).tobytes()
