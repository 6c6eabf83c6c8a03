"""Coverage: the same answer as looking at targets one by one, and the field's numbers over Pyongyang's airport."""

from __future__ import annotations

import csv
import math
import time

import numpy as np
import pytest

from copfuse import frames, sensors
from copfuse.constants import NATIONS
from copfuse.coverage import bounds, coverage, region, write_csv
from copfuse.errors import CopfuseError

LAYDOWN = sensors.laydown("northeast-asia")


@pytest.mark.parametrize("name", ["KR-GP-CB", "US-TPY2-SH", "JP-AEG-W", "JP-FPS3-WJ", "KR-E737", "US-CD"])
def test_between_its_bounds_a_radar_sees_and_outside_it_does_not(name):
    """Naive twin: a target at random places and altitudes through `observe`, which knows nothing of grids."""
    radar = next(s for s in LAYDOWN if s.name == name)
    stream = np.random.default_rng(5)
    lat = np.clip(radar.lat + stream.uniform(-0.25, 0.25, 4000), -1.5, 1.5)
    lon, altitude = radar.lon + stream.uniform(-0.4, 0.4, 4000), 10 ** stream.uniform(3.0, 6.0, 4000)
    low, high = bounds(radar, lat, lon)
    x = np.hstack([frames.ecef(lat, lon, altitude), np.zeros((4000, 3))])
    seen = sensors.observe(radar, x, 0.0, 1.0, True)[1] > 0.0
    # the sphere of 6371 km against the ellipsoid: leave 3 % of the altitude at the upper limit and 0.3 degrees at the sector's edge
    off = np.abs(np.mod(frames.look(x, *(v[0] for v in sensors.place(radar, [0.0])))[:, 1] - radar.boresight + np.pi, 2 * np.pi) - np.pi)
    clear = (np.abs(off - 0.5 * radar.azimuth_width) > 0.006) | (radar.azimuth_width > 6.28)
    inside = clear & (altitude > 1.002 * low) & (altitude < 0.97 * high)
    outside = clear & ((altitude < 0.998 * low) | (altitude > 1.03 * high))
    assert inside.sum() > 30 and outside.sum() > 50
    assert seen[inside].all() and not seen[outside].any()


def test_layers_are_the_best_of_their_radars():
    lat, lon = region(9, 11)
    found = coverage(LAYDOWN, lat, lon)
    assert found.names == (*NATIONS, "together") and found.lowest.shape == (4, 9, 11)
    for k, nation in enumerate(found.names):
        mine = [s for s in LAYDOWN if s.kind == "radar" and nation in (s.nation, "together")]
        each = [bounds(s, np.radians(lat)[:, None], np.radians(lon)[None, :])[0] for s in mine]
        np.testing.assert_array_equal(found.sensors[k], np.sum(np.isfinite(each), axis=0))
        np.testing.assert_array_equal(found.lowest[k], np.where(found.sensors[k] > 0, np.min(each, axis=0), np.nan))
    assert np.all((found.lowest <= found.highest) | (found.sensors == 0))
    np.testing.assert_array_equal(found.lowest[3], np.fmin.reduce(found.lowest[:3]))


def test_a_map_of_200_by_200_takes_seconds():
    begin = time.perf_counter()
    found = coverage(LAYDOWN)
    assert found.lowest.shape == (4, 200, 200)
    assert time.perf_counter() - begin < 10.0  # the issue asks for 30 s, about 0.4 s on the reference machine


def test_csv_holds_the_map(tmp_path):
    found = coverage(LAYDOWN, [39.2, 10.0], [125.7])
    with open(write_csv(found, tmp_path / "map.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and rows[1]["KOR_lowest_km"] == "" and rows[1]["KOR_radars"] == "0"
    assert float(rows[0]["JPN_lowest_km"]) == pytest.approx(found.lowest[1, 0, 0] / 1e3, abs=1e-3)
    with pytest.raises(CopfuseError, match="cannot write"):
        write_csv(found, tmp_path / "nowhere" / "map.csv")


def test_bad_grids_are_refused():
    with pytest.raises(CopfuseError, match="south < north"):
        region(10, 10, (50.0, 40.0, 1.0, 2.0))
    with pytest.raises(CopfuseError, match="has no area"):
        region(1)
    with pytest.raises(CopfuseError, match="lat_deg must lie"):
        coverage(LAYDOWN, [99.0], [0.0])
    with pytest.raises(CopfuseError, match="there is no radar"):
        coverage([s for s in LAYDOWN if s.kind == "infrared"])


def test_straight_up_the_range_is_the_limit():
    ship = next(s for s in LAYDOWN if s.name == "JP-AEG-W")
    low, high = bounds(ship, ship.lat + 100e3 / 6371e3, ship.lon)
    assert math.isclose(float(high), math.sqrt(ship.range_max**2 - 100e3**2), rel_tol=0.01)
    assert 0.0 < low < 2e3
