"""The public record, and the flights fitted to all of its rows that report enough."""

from __future__ import annotations

import csv
import math
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from copfuse import flights, frames, motion
from copfuse.constants import BOOST, EARTH_RADIUS, G0, GLIDE, MIDCOURSE, MU
from copfuse.errors import CopfuseError
from copfuse.kernels import switching

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def record():
    return flights.launches()


@pytest.fixture(scope="module")
def flown(record):
    """Every row that reports enough, flown."""
    return flights.fit_all([row for row in record if flights.flyable(row)])


# The record -------------------------------------------------------------------------------------------------------------


def test_rows_and_columns(record):
    assert len(record) == 229 and len({row.id for row in record}) == 229
    assert record.range.shape == (229,) and np.isfinite(record.range).sum() >= 137
    row = record.find("2017-09-15-1")
    assert (row.missile, row.missile_class, row.time_kst) == ("Hwasong-12", "IRBM", "06:57")
    assert row.range == 3700e3 and row.apogee == 770e3 and math.degrees(row.lat) == pytest.approx(39.2)
    assert row.regime == "gsomia" and record.find("2024-01-14-1").regime == "realtime"
    assert math.isnan(record.find("1984-04-09-1").range)
    for row in record:
        assert row.id.startswith(row.date) and row.n_missiles >= 1 and row.regime in ("none", "tisa", "gsomia", "realtime")
        assert abs(row.lat) < math.pi / 2 or math.isnan(row.lat)
    with pytest.raises(AttributeError, match="apogee"):
        _ = record.apogeee


def test_find_says_what_is_near(record):
    with pytest.raises(CopfuseError, match=r"no launch '2017-09-15-2'; near it are: 2017-09-15-1"):
        record.find("2017-09-15-2")
    with pytest.raises(CopfuseError, match="near it are: 2017-02-12-1"):
        flights.launches().find("2017-13-1")
    with pytest.raises(CopfuseError, match="near it are: 2017-09-15-1"):
        record.find("2017-09-30-1")
    with pytest.raises(CopfuseError, match="no launch 'hokkaido'"):
        record.find("hokkaido")


def test_select(record):
    assert {row.date[:4] for row in record.select(year=2017)} == {"2017"}
    assert {row.missile_class for row in record.select(missile_class="icbm")} == {"ICBM"}
    both = record.select(year=2022, site="airport")
    assert len(both) > 3 and all("Airport" in row.site for row in both)
    for wrong in ({"year": 1950}, {"missile_class": "ICMB"}, {"site": "Atlantis"}):
        with pytest.raises(CopfuseError, match="no launch"):
            record.select(**wrong)
    with pytest.raises(CopfuseError, match="did you mean 'ICBM'"):
        record.select(missile_class="ICMB")


def test_facts_are_those_that_were_collected(record, shared):
    with open(shared / "data" / "launches.csv", newline="") as file:
        facts = list(csv.DictReader(file))
    assert [row.id for row in record] == [fact["id"] for fact in facts]
    for row, fact in zip(record, facts, strict=True):
        for name, value in (("range_km", row.range / 1e3), ("apogee_km", row.apogee / 1e3), ("azimuth_deg", math.degrees(row.azimuth))):
            assert math.isnan(value) if not fact[name] else value == pytest.approx(float(fact[name]))


def test_build_script_gives_the_packaged_file(shared, monkeypatch, tmp_path, capsys):
    script = runpy.run_path(str(ROOT / "data" / "build_launches.py"))
    made = tmp_path / "launches.csv"
    scope = script["main"].__globals__
    monkeypatch.setitem(scope, "TARGET", made)
    monkeypatch.setitem(scope, "ROOT", tmp_path)
    script["main"]()
    assert made.read_bytes() == (ROOT / "src" / "copfuse" / "data" / "launches.csv").read_bytes()


def test_none_that_climbed_high_or_steeply_was_lifted(record):
    """What `switching.LOB_TURNS` is: by Laplace's rule of succession, over the 30 s or so that such a fall takes through the air.

    The speed across is range over the time of a fall from the apogee and of the climb there; what is lifted goes no slower.
    """
    least, slow, fast = switching.STEEP
    known = [row for row in record if row.apogee >= least and row.manoeuvre != "unknown"]
    across = [row.range / math.sqrt(8.0 * row.apogee / G0) for row in known]
    lobbed = [row for row, v in zip(known, across, strict=True) if row.apogee >= switching.LOB or slow <= v < fast]
    lifted, n = sum(row.n_missiles for row in lobbed if row.manoeuvre != "none"), sum(row.n_missiles for row in lobbed)
    assert (lifted, n) == (0, 107) and math.isclose(switching.LOB_TURNS, (lifted + 1) / (n + 2) / 30.0, rel_tol=0.05)
    flat = [row for row in known if row not in lobbed and row.manoeuvre != "none"]
    assert len(flat) == 3 and all(row.range >= 800e3 for row in flat)


# The flights ------------------------------------------------------------------------------------------------------------


def test_nearly_all_rows_fly_to_their_range_and_apogee(flown):
    good = [one for one in flown if not one.reason]
    assert len(flown) >= 135 and len(good) >= 130
    for one in good:
        assert one.agrees
        assert abs(one.range - one.row.range) <= max(0.01 * one.row.range, 1e3)
        assert abs(one.apogee - one.row.apogee) <= max(0.01 * one.row.apogee, 1e3)
    for one in flown:
        if one.reason:
            assert "\n" not in one.reason and one.row.id in one.reason and not one.agrees


def impulsive_time(distance: float, apogee: float) -> float:
    """Flight time of the ellipse over a still sphere with this ground range and apogee, from an impulse on the ground."""
    half, top = 0.5 * distance / EARTH_RADIUS, EARTH_RADIUS + apogee
    e = (top - EARTH_RADIUS) / (top - EARTH_RADIUS * math.cos(half))
    anomaly = math.acos((e - math.cos(half)) / (1 - e * math.cos(half)))
    return 2 * math.sqrt((top / (1 + e)) ** 3 / MU) * (math.pi - anomaly + e * math.sin(anomaly))


def test_flights_take_longer_than_an_impulsive_ellipse(flown):
    """Boost is slow and air brakes: by about 35 to 280 s, as reported times do, though no time was fitted."""
    excess = [
        one.flight_time - impulsive_time(one.row.range, one.row.apogee)
        for one in flown
        if one.shape == "ballistic" and one.row.apogee >= 100e3
    ]
    assert len(excess) > 50 and min(excess) > 35 and max(excess) < 280


@pytest.mark.parametrize(
    ("id", "minutes"),
    [("2017-05-14-1", 30), ("2017-11-29-1", 53), ("2022-03-24-1", 71), ("2022-11-18-1", 69), ("2023-07-12-1", 74), ("2024-10-31-1", 86)],
)
def test_flight_times_come_out_as_announced(record, id, minutes):
    """Japan's Ministry of Defense announced these minutes of flight; they are not used in the fit."""
    assert flights.fit(record.find(id)).flight_time / 60 == pytest.approx(minutes, abs=2.0)


@pytest.mark.parametrize("id", ["2017-09-15-1", "2022-11-18-1", "2023-07-12-1", "2019-07-25-1", "2024-01-14-1", "2022-10-04-1"])
def test_impact_lies_at_the_reported_azimuth(record, id):
    row = record.find(id)
    flight = flights.fit(row)
    lat, lon, _ = frames.geodetic(flight.trajectory.x[-1:])
    distance, bearing = frames.ground_distance_bearing(row.lat, row.lon, lat[0], lon[0])
    assert math.degrees(float(bearing)) == pytest.approx(math.degrees(row.azimuth), abs=0.1)
    assert float(distance) == pytest.approx(flight.range, abs=1.0)
    assert flight.apogee == pytest.approx(row.apogee, rel=0.01)


def test_a_lofted_flight_is_launched_east_of_its_azimuth(record):
    """The Earth turns under an hour of flight: the launch azimuth must make up for it."""
    flight = flights.fit(record.find("2023-07-12-1"))
    assert math.degrees(math.atan2(*flight.plan.kick)) > 62 + 2


def test_manoeuvres_and_stages(record):
    glide = flights.fit(record.find("2024-01-14-1"))
    assert glide.shape == "glide" and not glide.assumed and (glide.trajectory.phase == GLIDE).sum() > 100
    pull_up = flights.fit(record.find("2019-07-25-1"))
    assert pull_up.shape == "pull-up" and (pull_up.trajectory.phase == GLIDE).any() and not (pull_up.trajectory.phase == MIDCOURSE).any()
    assert len(flights.fit(record.find("2022-11-18-1")).plan.stages) == 2
    assert len(flights.fit(record.find("2023-07-12-1")).plan.stages) == 3
    lifted = flights.fit(record.find("2023-06-15-2"))  # 900 km at 50 km, manoeuvre not reported
    assert lifted.shape == "pull-up" and lifted.assumed and "assumed" in lifted.trajectory.about


def test_boosts_are_plausible(record):
    for id in ("1993-05-29-1", "2017-09-15-1", "2022-11-18-1", "2019-08-24-1", "2022-01-11-1"):
        flight = flights.fit(record.find(id))
        thrust = flight.trajectory.force[:, 0]
        burn = flight.trajectory.burnouts[-1]
        low, high = {"SRBM": (55, 80), "MRBM": (70, 110), "IRBM": (110, 160), "ICBM": (180, 320)}[flight.row.missile_class]
        assert low <= burn <= high
        assert thrust[0] > 1.2 * 9.8 and thrust.max() < 13 * 9.8
        assert flight.trajectory.phase[0] == BOOST


def test_rows_that_cannot_be_flown_say_why(record):
    with pytest.raises(CopfuseError, match="2006-07-05-1 cannot be flown: no boost of a SLV gives 500 km at an apogee of 40 km"):
        flights.fit(record.find("2006-07-05-1"))
    with pytest.raises(CopfuseError, match="no apogee"):
        flights.fit(record.find("2023-03-14-1"))
    with pytest.raises(CopfuseError, match="no range and no apogee"):
        flights.fit(record.find("1986-05-1"))
    assert not flights.flyable(record.find("1986-05-1"))
    lines = flights.fit_all([record.find("1986-05-1"), record.find("2019-08-24-1")])
    assert lines[0].reason and math.isnan(lines[0].range) and not lines[1].reason


def test_fit_all_is_the_same_in_two_processes(record):
    rows = [record.find(id) for id in ("2019-08-24-1", "2017-09-15-1", "2019-07-25-1")]
    assert flights.fit_all(rows, n_jobs=2) == flights.fit_all(rows)


def test_a_fit_is_repeatable(record):
    row = replace(record.find("2019-08-24-1"), confidence="again")  # another key of the cache, the same facts
    again, first = flights.fit(row), flights.fit(record.find("2019-08-24-1"))
    assert again is not first and np.array_equal(again.trajectory.x, first.trajectory.x)
    assert motion.launch(first.plan).flight_time == first.flight_time
