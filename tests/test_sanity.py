"""What a reader of the field checks first through `fly` and `detect`."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

import copfuse as cf
from copfuse import frames, sensors
from copfuse.atmosphere import lowest_visible_altitude
from copfuse.flights import flyable, launches
from copfuse.scenario import Launch, Scenario

LAYDOWN = {sensor.name: sensor for sensor in sensors.laydown("northeast-asia")}
AIRPORT = (math.radians(39.224), math.radians(125.670))  # Pyongyang International Airport
JAPANESE_GROUND = [n for n, s in LAYDOWN.items() if s.nation == "JPN" and s.platform == "ground"]


def over_the_airport(name: str, grazing: bool = True) -> float:
    """Lowest altitude in km at which a sensor sees a target over Pyongyang's airport."""
    sensor = LAYDOWN[name]
    distance, _ = frames.ground_distance_bearing(sensor.lat, sensor.lon, *AIRPORT)
    return float(lowest_visible_altitude(sensor.alt, distance, None if grazing else sensor.min_elevation)) / 1e3


@pytest.mark.parametrize(("name", "km"), [("KR-GP-CB", 4.0), ("KR-GP-CN", 4.0), ("JP-AEG-W", 24.0), ("US-TPY2-SH", 108.0)])
def test_lowest_visible_altitude_over_pyongyangs_airport(name, km):
    """Known grazing altitudes; Shariki moves by 0.9 km per 5 km of its rounded position."""
    assert over_the_airport(name) == pytest.approx(km, abs=1.0)
    assert over_the_airport(name, grazing=False) > over_the_airport(name)


def test_japanese_ground_radars_see_over_the_airport_from_26_to_143_km():
    """26 to 143 km."""
    low = [over_the_airport(name) for name in JAPANESE_GROUND]
    assert min(low) == pytest.approx(26.0, abs=1.0) and max(low) == pytest.approx(143.0, abs=1.5)


def first_plots(scenario: Scenario, seed: int) -> dict[str, float]:
    """Time after ignition of the first plot of the missile, per nation and for "JPN ground"; inf where there is none."""
    found = cf.detect(cf.fly(scenario), scenario, seed=seed)
    found = found[found.object == 0]
    owner = np.array([s.nation for s in scenario.sensors])[found.sensor]
    ground = np.isin(found.sensor, [i for i, s in enumerate(scenario.sensors) if s.name in JAPANESE_GROUND])
    masks = {"KOR": owner == "KOR", "JPN": owner == "JPN", "JPN ground": ground}
    return {name: float(found.time[mask].min(initial=np.inf)) for name, mask in masks.items()}


SITES = {
    "Pyongyang": ("Pyongyang International Airport", "Sunan", "West Sunan"),
    "west coast": ("Sonchon", "Uiju", "Nampo", "Kwail Airbase", "Sohae Satellite Launching Station"),
    "Wonsan": ("Wonsan Kalma International Airport", "South Wonsan", "Tongchon"),
    "Hodo": ("Hodo Peninsula",),
}


def flights(sites: tuple[str, ...]) -> list[str]:
    """Ids of the record's flights from these sites that can be flown, since Korea has had a radar for them (2013)."""
    return [row.id for row in launches() if row.site in sites and row.date >= "2013" and flyable(row)]


@pytest.mark.parametrize("place", SITES)
def test_korea_sees_before_japan(place):
    """first plots of Korea's sensors come before Japan's own."""
    chosen = flights(SITES[place])
    assert len(chosen) >= 2
    for launch in chosen[:: max(1, len(chosen) // 8)]:
        for seed in range(3):
            first = first_plots(cf.load(launch), seed)
            assert first["KOR"] < first["JPN"], f"{launch}, seed {seed}: {first}"


def test_japan_sees_tens_of_seconds_after_korea():
    """20 to 40 s for a ship, 40 to 90 s for ground radars; the medians of several flights and seeds."""
    ids = ["2017-09-15-1", "2017-08-29-1", "2022-10-04-1", "2017-03-06-1", "2022-02-27-1"]
    first = [first_plots(cf.load(i), seed) for i in ids for seed in range(3)]
    ships = [f["JPN"] - f["KOR"] for f in first if f["JPN"] < f["JPN ground"]]
    ground = [f["JPN ground"] - f["KOR"] for f in first if np.isfinite(f["JPN ground"])]
    assert len(ships) >= 5 and 20.0 < np.median(ships) < 45.0
    assert len(ground) >= 5 and 40.0 < np.median(ground) < 95.0


def test_a_flight_of_20_km_apogee_gives_no_japanese_ground_radar_a_plot():
    """a flight with 20 km apogee is invisible to every ground radar in Japan."""
    low = [row for row in launches() if flyable(row) and row.apogee <= 21e3]
    assert low
    for row in low:
        scenario = replace(cf.load(row.id), epoch=datetime(2024, 1, 1, tzinfo=UTC), clutter=0.0)  # the whole laydown serves
        truth = cf.fly(scenario)
        assert frames.geodetic(truth.x)[2].max() < 23e3
        for seed in range(5):
            names = np.array([s.name for s in scenario.sensors])[cf.detect(truth, scenario, seed=seed).sensor]
            assert not np.any(np.isin(names, JAPANESE_GROUND))


def failed_rocket(peak: float, watchers: tuple[sensors.Sensor, ...]) -> Scenario:
    """13 April 2012: a rocket from Sohae southwards that burns out early at 70 km and peaks at ``peak`` m."""
    climb = math.sqrt(2.0 * 9.26 * (peak - 70e3))  # gravity at 95 km, less the centrifugal acceleration of 1300 m/s over the turning Earth
    launch = Launch("ballistic", "2012-04-13", lat=math.radians(39.66), lon=math.radians(124.706), azimuth=math.radians(181.0),
                    burnout_altitude=70e3, burnout_speed=math.hypot(climb, 1300.0), burnout_angle=math.atan2(climb, 1300.0),
                    missile_class="SLV")  # fmt: skip
    return Scenario("2012-04-13", datetime(2012, 4, 12, 22, 38, 55, tzinfo=UTC), (launch,), watchers, clutter=0.0)


def ring(distance: float, antenna: float, elevation_deg: float, truth) -> tuple[sensors.Sensor, ...]:
    """Perfect radars all around the truth's highest point, at a distance from it."""
    lat, lon, alt = frames.geodetic(truth.x)
    top = int(np.argmax(alt))
    made = []
    for bearing in np.radians(np.arange(0.0, 360.0, 30.0)):
        place = frames.ground_point(lat[top], lon[top], distance, bearing)
        made.append(sensors.Sensor(
            f"{np.degrees(bearing):.0f} deg", "JPN", lat=float(place[0]), lon=float(place[1]), alt=antenna, range_max=4000e3,
            min_elevation=math.radians(elevation_deg), snr0=1e9, range0=1000e3, range_resolution=30.0, beamwidth_az=0.02,
            beamwidth_el=0.02, search_revisit=2.0, track_revisit=1.0))  # fmt: skip
    return tuple(made)


def test_the_flight_of_13_april_2012_stays_unseen_from_1360_km():
    """it peaked at 120 km; from sea level the lowest visible altitude at 1360 km is 131.9 km.

    A radar 1360 km from the highest point is nearer to other points of the flight, by at most its length over the
    ground, so those that stand across its course are asked.
    """
    truth = cf.fly(failed_rocket(120e3, ()))
    assert frames.geodetic(truth.x)[2].max() == pytest.approx(120e3, abs=1e3)
    across = [s for s in ring(1360e3, 0.0, -5.0, truth) if s.name in ("90 deg", "270 deg")]
    degree = [s for s in ring(1360e3, 200.0, 1.0, truth) if s.name in ("60 deg", "90 deg", "120 deg", "240 deg", "270 deg", "300 deg")]
    for watchers in (across, degree):
        assert len(cf.detect(truth, failed_rocket(120e3, tuple(watchers)))) == 0
    higher = failed_rocket(250e3, tuple(across + degree))
    seen = cf.detect(cf.fly(higher), higher)
    assert len(np.unique(seen.sensor)) == len(across + degree)  # the same radars see a rocket that peaks twice as high


def test_the_far_radars_of_that_day_see_nothing_of_it():
    far = tuple(replace(LAYDOWN[n], service_from=None) for n in ("JP-FPS5-OM", "JP-FPS5-YZ", "JP-FPS3-TB", "US-TPY2-SH"))
    scenario = failed_rocket(120e3, far)
    truth = cf.fly(scenario)
    assert all(len(cf.detect(truth, scenario, seed=seed)) == 0 for seed in range(5))
