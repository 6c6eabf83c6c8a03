"""`fly`: launches of the record, recorded flights and ballistic ones, and what they shed, as rows of Truth."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import copfuse as cf
from copfuse import flights, frames, motion, recorded, simulate
from copfuse.constants import BOOST, MIDCOURSE, TERMINAL
from copfuse.errors import CopfuseError
from copfuse.tables import Truth

PACKAGED = Path(recorded.__file__).parent / "data" / "flights" / "bulgariasat-1.csv"
SITE = (math.radians(39.66), math.radians(124.706), math.radians(95.0))


@dataclass(frozen=True)
class Launch:
    """The fields of a scenario's launch."""

    kind: str
    name: str
    at: float = 0.0
    id: str = ""
    path: str = ""
    lat: float = math.nan
    lon: float = math.nan
    azimuth: float = math.nan
    burnout_altitude: float = math.nan
    burnout_speed: float = math.nan
    burnout_angle: float = math.nan
    missile_class: str = "unknown"
    rcs: float | None = None
    beta: float | None = None
    separate: bool = False
    debris: int = 0
    aside: float = 0.0
    unsteady: tuple[float, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """What `fly` looks at."""

    launches: tuple[Launch, ...]
    name: str = "test"


_PAD = {"lat": math.radians(39.2), "lon": math.radians(125.7), "azimuth": math.radians(80.0)}
BALLISTIC = Launch("ballistic", "b", 35.0, **_PAD, burnout_altitude=40e3, burnout_speed=2400.0, burnout_angle=math.radians(42.0))


def rows_of(truth: Truth, number: int) -> Truth:
    return truth[truth.object == number]


def test_launches_of_three_kinds_fly_together():
    flown = Launch("recorded", "r", 20.0, path=str(PACKAGED), lat=SITE[0], lon=SITE[1], azimuth=SITE[2], missile_class="SLV", rcs=4.0)
    truth = simulate.fly(Scenario((Launch("record", "2017-09-15-1", 0.0, "2017-09-15-1", missile_class="IRBM"), flown, BALLISTIC)))
    assert [o["name"] for o in truth.meta["objects"]] == ["2017-09-15-1", "r", "b"]
    assert [o["launch"] for o in truth.meta["objects"]] == [0, 1, 2] and truth.meta["objects"][1]["rcs"] == 4.0
    assert json.loads(json.dumps(truth.meta)) == truth.meta
    for i, at in enumerate((0.0, 20.0, 35.0)):
        rows = rows_of(truth, i)
        height = frames.geodetic(rows.x)[2]
        assert rows.time[0] == at and (np.diff(rows.time) > 0).all() and np.isfinite(rows.x).all()
        assert abs(height[0]) < 0.01 and abs(height[-1]) < 0.01 and not rows.x[0, 3:].any()
        assert rows.phase[0] == BOOST and rows.phase[-1] == TERMINAL
        # positions and velocities belong together: the trapezium of the velocities leads from row to row
        step = np.diff(rows.time)[:, None]
        moved = 0.5 * step * (rows.x[1:, 3:] + rows.x[:-1, 3:])
        assert np.linalg.norm(np.diff(rows.x[:, :3], axis=0) - moved, axis=1).max() < 2.5


def test_a_launch_flies_the_same_beside_others_and_at_another_time():
    alone = simulate.fly(Scenario((BALLISTIC,)))
    both = simulate.fly(Scenario((Launch("record", "x", 0.0, "2019-08-24-1", missile_class="SRBM"), BALLISTIC)))
    assert np.array_equal(rows_of(both, 1).x, alone.x)
    assert simulate.fly(Scenario((BALLISTIC,))).uid == alone.uid
    assert len(simulate.fly(Scenario(()))) == 0


def test_stages_and_fragments_are_objects_of_their_own():
    launch = Launch("record", "m", 10.0, "2017-09-15-1", missile_class="IRBM", separate=True, debris=3)
    truth = simulate.fly(Scenario((launch,)))
    assert [o["kind"] for o in truth.meta["objects"]] == ["missile", "stage", "debris", "debris", "debris"]
    missile = rows_of(truth, 0)
    burnout = flights.fit(flights.launches().find("2017-09-15-1")).trajectory.burnouts[-1] + 10.0
    for i in range(1, 5):
        rows = rows_of(truth, i)
        assert rows.time[0] == pytest.approx(burnout)
        there = motion.interpolate(missile.time, missile.x, rows.time[:1])[0]
        assert np.linalg.norm(rows.x[0, :3] - there[:3]) < 1e-6
        assert np.linalg.norm(rows.x[0, 3:] - there[3:]) < 100.0
        assert abs(frames.geodetic(rows.x[-1:])[2][0]) < 0.01
    assert np.linalg.norm(rows_of(truth, 2).x[0] - rows_of(truth, 3).x[0]) > 1.0
    again = simulate.fly(Scenario((launch,)))
    assert again.uid == truth.uid
    more = simulate.fly(Scenario((Launch(**{**launch.__dict__, "debris": 5}),)))
    assert np.array_equal(more.x[more.object < 5], truth.x)  # more fragments leave the first ones as they were


def test_errors_name_the_launch():
    with pytest.raises(CopfuseError, match="2006-07-05-1 cannot be flown"):
        simulate.fly(Scenario((Launch("record", "x", 0.0, "2006-07-05-1", missile_class="SLV"),)))
    with pytest.raises(CopfuseError, match="launch 'b': no boost from rest"):
        simulate.fly(Scenario((Launch(**{**BALLISTIC.__dict__, "burnout_altitude": 2e3, "burnout_speed": 7000.0}),)))
    with pytest.raises(CopfuseError, match="kind = 'orbital' is unknown"):
        simulate.fly(Scenario((Launch("orbital", "x"),)))


# Recorded flights --------------------------------------------------------------------------------------------------------


def test_the_packaged_flight_is_smoothed_honestly():
    data = recorded.readings(PACKAGED)
    flown = recorded.read(PACKAGED, *SITE)
    at = motion.interpolate(flown.time, flown.x, data.time)
    height = frames.geodetic(at)[2]
    assert np.sqrt(np.mean((height - data.altitude) ** 2)) < 25.0
    speed = np.linalg.norm(at[:, 3:], axis=1)
    assert np.sqrt(np.mean((speed - data.speed) ** 2)) < 5.0  # the column was not fitted
    coast = (data.time > 175) & (data.time < 375)
    assert np.abs(speed - data.speed)[coast].max() < 5.0
    assert flown.apogee == pytest.approx(119.2e3, abs=300.0)
    assert flown.landed and "free fall to the ground after the record's end at 429 s" in flown.about
    assert [int(p) for p in flown.phase[np.r_[True, np.diff(flown.phase) != 0]]] == [BOOST, MIDCOURSE, TERMINAL]
    assert flown.burnouts[0] == pytest.approx(157, abs=6)


def test_free_flight_of_a_recorded_flight_feels_no_force():
    flown = recorded.read(PACKAGED, *SITE)
    coast = (flown.time > 180) & (flown.time < 330)
    expected = motion.free_fall(flown.x[coast][0], begin=float(flown.time[coast][0]))
    end = flown.time[coast][-1]
    apart = motion.interpolate(expected.time, expected.x, [end])[0] - flown.x[coast][-1]
    assert np.linalg.norm(apart[:3]) < 6e3  # 150 s of free fall from the smoothed state, flown where Coriolis is another


def test_all_three_recorded_flights(shared):
    told = {}
    for name in ("bulgariasat-1", "ses-10", "spacex_crs-11"):
        data = recorded.readings(shared / "data" / "flights" / f"{name}.csv")
        flown = told[name] = recorded.read(shared / "data" / "flights" / f"{name}.csv", *SITE)
        at = motion.interpolate(flown.time, flown.x, data.time)
        assert np.sqrt(np.mean((np.linalg.norm(at[:, 3:], axis=1) - data.speed) ** 2)) < 8.0
        assert np.sqrt(np.mean((frames.geodetic(at)[2] - data.altitude) ** 2)) < 30.0
        force = np.gradient(flown.x[1:-1, 3:], flown.time[1:-1], axis=0)
        assert np.linalg.norm(force, axis=1).max() < 150.0  # no spikes of the readings' noise
    assert not told["ses-10"].landed and told["ses-10"].flight_time == 489.0  # into orbit: the record's end is no impact
    assert (told["ses-10"].phase == BOOST).all()
    assert told["spacex_crs-11"].landed and told["spacex_crs-11"].downrange[-1] < 10e3  # it turned back
    assert len(told["spacex_crs-11"].burnouts) == 2  # its boostback burn is a second one


def test_the_path_lies_over_the_geodesic():
    flown = recorded.read(PACKAGED, *SITE)
    lat, lon, _ = frames.geodetic(flown.x[200:850:50])
    bearing = frames.ground_distance_bearing(SITE[0], SITE[1], lat, lon)[1]
    np.testing.assert_allclose(bearing, SITE[2], atol=1e-6)


def changed(tmp_path: Path, edit) -> Path:
    lines = PACKAGED.read_text().splitlines()
    edit(lines)
    path = tmp_path / "flight.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("line", "text", "says"),
    [
        (1, "time_s,altitude_km,range_km,speed_m_s", "line 1: the column 'downrange_km' is missing"),
        (41, "39.0,nan,0.1,170.0", "line 41: altitude_km is nan, a finite number"),
        (42, "40.0,3.1,0.1,inf", "line 42: speed_m_s is inf"),
        (43, "41.0,abc,0.1,180.0", "line 43: altitude_km is 'abc', a number is expected"),
        (44, "42.0,3.1", "line 44: downrange_km is nothing"),
        (45, "40.0,3.6,0.2,180.0", "line 45: time_s = 40 does not come after 42; sort"),
    ],
)
def test_bad_readings_are_refused_with_file_and_line(tmp_path, line, text, says):
    path = changed(tmp_path, lambda lines: lines.__setitem__(line - 1, text))
    with pytest.raises(CopfuseError, match="flight.csv") as caught:
        recorded.read(path, *SITE)
    assert says in str(caught.value)


def test_short_and_missing_files_are_refused(tmp_path):
    with pytest.raises(CopfuseError, match="there is no recorded flight"):
        recorded.read(tmp_path / "none.csv", *SITE)
    with pytest.raises(CopfuseError, match="10 rows are too few"):
        recorded.read(changed(tmp_path, lambda lines: lines.__delitem__(slice(11, None))), *SITE)


def test_smoothing_finds_the_noise_and_the_signal_under_it():
    """A known path with white noise: the spline's error is far below the noise, and it says how large that was."""
    rng = np.random.default_rng(5)
    time = np.arange(0.0, 300.0)
    path = 8.0 * time**2 - 0.02 * time**3
    curve, noise = recorded.smoothed(time, path + rng.normal(0.0, 20.0, len(time)), False)
    assert noise == pytest.approx(20.0, rel=0.15)
    inner = slice(10, -10)
    assert np.sqrt(np.mean((curve(time) - path)[inner] ** 2)) < 8.0
    rate = curve.derivative()(time) - (16.0 * time - 0.06 * time**2)
    assert np.abs(rate[inner]).max() < 3.0


def test_a_given_ballistic_coefficient_moves_the_impact():
    """The boost stays the same; a lighter body falls short and later."""
    made = cf.load("hokkaido-2017")
    usual = cf.fly(made)
    light = cf.fly(dataclasses.replace(made, launches=(dataclasses.replace(made.launches[0], beta=1000.0),)))
    burnt = [motion.interpolate(t.time, t.x, [149.0])[0] for t in (usual, light)]
    assert np.allclose(*burnt, rtol=0, atol=1e-3) and light.time[-1] > usual.time[-1] + 5.0
    far = [np.linalg.norm(t.x[-1, :3] - t.x[0, :3]) for t in (usual, light)]
    assert far[0] - 300e3 < far[1] < far[0] - 3e3


def test_a_recorded_flight_has_the_same_bytes_with_any_number_of_threads():
    """Workers have one thread, a user's own process as many as there are cores."""
    time = np.arange(0.0, 400.0)
    height = 150.0 * time + np.random.default_rng(2).normal(0.0, 50.0, 400)
    with threadpool_limits(1):
        alone = recorded.smoothed(time, height, False)[0].c
    with threadpool_limits(2):
        assert recorded.smoothed(time, height, False)[0].c.tobytes() == alone.tobytes()
