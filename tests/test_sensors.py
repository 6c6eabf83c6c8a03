"""Detection statistics, accuracy, places, visibility and the laydown, against published numbers and naive twins."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import copfuse
from copfuse import frames, sensors
from copfuse.atmosphere import lowest_visible_altitude
from copfuse.errors import CopfuseError
from copfuse.sensors import Sensor, detection_probability, laydown, required_snr

SHARED = Path(__file__).parents[2] / "shared"
LAYDOWN = {sensor.name: sensor for sensor in laydown("northeast-asia")}
GREEN_PINE, SHIRAKI, GEO, HEO = (LAYDOWN[name] for name in ("KR-GP-CB", "US-TPY2-SH", "US-SBIRS-GEO", "US-SBIRS-HEO"))

# Detection -----------------------------------------------------------------------------------------------------------

TABLE = {  # required SNR, exact square law, in dB for Swerling 0, 1, 2, 3, 4
    (0.5, 1e-6, 1): (11.2426, 12.7719, 12.7719, 11.9537, 11.9537),
    (0.9, 1e-6, 1): (13.1835, 21.1436, 21.1436, 17.2960, 17.2960),
    (0.9, 1e-6, 10): (5.2675, 13.4996, 6.2918, 9.6013, 5.8062),
    (0.9, 1e-4, 10): (4.1377, 12.0930, 5.0653, 8.2501, 4.6179),
}


@pytest.mark.parametrize(("pd", "pfa", "n"), TABLE)
@pytest.mark.parametrize("swerling", range(5))
def test_required_snr_is_that_of_the_published_table(pd, pfa, n, swerling):
    assert 10 * np.log10(required_snr(pd, pfa, swerling, n)) == pytest.approx(TABLE[pd, pfa, n][swerling], abs=1e-4)


def test_steady_target_to_a_millionth_of_a_decibel():
    """the published check value of sdr.min_snr: 13.183490056794499 dB."""
    assert 10 * np.log10(required_snr(0.9, 1e-6, 0)) == pytest.approx(13.183490056794499, abs=1e-6)


def test_closed_forms_at_10_db():
    """Known values: .284804 for Swerling 1, .291882 for Swerling 3."""
    assert detection_probability(10.0, 1e-6, 1) == pytest.approx(0.284804, abs=5e-7)
    assert detection_probability(10.0, 1e-6, 3) == pytest.approx(0.291882, abs=5e-7)


@pytest.mark.parametrize("n", [1, 3, 10, 100])
def test_steady_target_is_the_noncentral_chi_square_tail(n):
    snr = np.array([0.0, 0.05, 0.5, 2.0, 8.0, 40.0])
    threshold = stats.gamma.isf(1e-6, n)
    expected = stats.ncx2.sf(2 * threshold, 2 * n, 2 * n * np.maximum(snr, 1e-12))
    np.testing.assert_allclose(detection_probability(snr, 1e-6, 0, n), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("swerling", range(5))
def test_statistics_agree_with_simulated_pulses(swerling, n):
    """A naive twin: draw every pulse's target amplitude and noise, square, add, compare with the threshold."""
    stream, trials, snr, pfa = np.random.default_rng(10 * swerling + n), 200_000, 4.0, 1e-2
    looks = 1 if swerling in (1, 3) else n
    power = {0: np.ones((trials, 1)), 1: stream.exponential(1.0, (trials, looks)), 3: stream.gamma(2.0, 0.5, (trials, looks))}
    drawn = power[{0: 0, 1: 1, 2: 1, 3: 3, 4: 3}[swerling]]
    noise = (stream.standard_normal((trials, n)) + 1j * stream.standard_normal((trials, n))) / np.sqrt(2)
    found = np.mean(np.sum(np.abs(np.sqrt(snr * drawn) + noise) ** 2, axis=1) > stats.gamma.isf(pfa, n))
    expected = detection_probability(snr, pfa, swerling, n)
    assert abs(found - expected) < 4.5 * np.sqrt(expected * (1 - expected) / trials)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.02, 0.995), st.floats(1e-10, 1e-2), st.integers(0, 4), st.integers(1, 30))
def test_required_snr_inverts_detection_probability(pd, pfa, swerling, n):
    assert detection_probability(required_snr(pd, pfa, swerling, n), pfa, swerling, n) == pytest.approx(pd, abs=1e-9)


def test_probability_rises_from_the_false_alarm_rate_to_one():
    snr = np.concatenate([[0.0], np.logspace(-2, 8, 200)])
    for swerling in range(5):
        for n in (1, 8):
            pd = detection_probability(snr, 1e-5, swerling, n)
            assert np.all(np.diff(pd) >= -1e-12) and pd[0] == pytest.approx(1e-5, rel=1e-6) and pd[-1] > 1.0 - 1e-5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((-1.0, 1e-6, 1), "snr is -1"), ((1.0, 0.0, 1), "pfa is 0"), ((1.0, 1e-6, 5), "swerling is 5"), ((1.0, 1e-6, 1, 0), "n_pulses is 0")],
)
def test_impossible_arguments_are_refused(arguments, said):
    with pytest.raises(CopfuseError, match=said):
        detection_probability(*arguments)
    if said.startswith("snr"):
        with pytest.raises(CopfuseError, match="pd is 1"):
            required_snr(1.0, 1e-6, 1)


def test_radar_equation():
    near = sensors.radar_snr(GREEN_PINE, GREEN_PINE.range0, GREEN_PINE.rcs0)
    assert near == pytest.approx(10**1.6)
    assert sensors.radar_snr(GREEN_PINE, 2 * GREEN_PINE.range0, GREEN_PINE.rcs0) == pytest.approx(near / 16)
    np.testing.assert_allclose(sensors.radar_snr(GREEN_PINE, GREEN_PINE.range0, np.array([0.1, 0.4])), near * np.array([0.5, 2.0]))
    with pytest.raises(CopfuseError, match="no radar equation"):
        sensors.radar_snr(GEO, 1e6, 1.0)


# Accuracy ------------------------------------------------------------------------------------------------------------

PLAIN = replace(GREEN_PINE, faces=0, face_tilt=0.0, sigma_angle_min=0.0, sigma_range_min=0.0)


@pytest.mark.parametrize(("snr_db", "milliradian"), [(13.0, 1.7268), (20.0, 0.7713), (30.0, 0.2439)])
def test_monopulse_accuracy_of_one_degree(snr_db, milliradian):
    """Known values: theta_3 = 1 degree."""
    one_degree = replace(PLAIN, beamwidth_az=math.radians(1.0), beamwidth_el=math.radians(1.0))
    sigma = sensors.accuracy(one_degree, 10 ** (snr_db / 10), 0.0, 0.0)[0]
    np.testing.assert_allclose(1e3 * sigma[1:3], milliradian, atol=5e-5)


def test_range_accuracy_of_one_megahertz():
    """Known values: c / 2B at 1 MHz and 13 dB gives 23.73 m."""
    assert sensors.accuracy(replace(PLAIN, range_resolution=299792458.0 / 2e6), 10**1.3, 0.0, 0.0)[0, 0] == pytest.approx(23.73, abs=5e-3)


def test_floors_broadening_and_steep_azimuth():
    loud = sensors.accuracy(GREEN_PINE, 1e9, GREEN_PINE.boresight, GREEN_PINE.face_tilt)[0]
    assert loud[0] == GREEN_PINE.sigma_range_min and loud[2] == GREEN_PINE.sigma_angle_min
    assert loud[1] == pytest.approx(GREEN_PINE.sigma_angle_min / math.cos(GREEN_PINE.face_tilt))
    aside, ahead = (sensors.accuracy(GREEN_PINE, 20.0, GREEN_PINE.boresight + off, 0.1)[0] for off in (math.radians(60.0), 0.0))
    assert aside[1] == pytest.approx(2.0 * ahead[1]) and aside[2] == ahead[2]
    high, low = (sensors.accuracy(PLAIN, 20.0, 0.0, math.radians(e))[0] for e in (60.0, 0.0))
    assert high[1] == pytest.approx(2.0 * low[1])


def test_four_faces_are_never_more_than_45_degrees_off():
    ship = replace(LAYDOWN["JP-AEG-W"], face_tilt=0.0)
    across, whole = sensors.scan_angle(ship, np.linspace(0.0, 2 * np.pi, 721), 0.0)
    assert across.min() == pytest.approx(math.sqrt(0.5), abs=1e-9) and across.max() == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(across, whole)


# Places --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sensor", [s for s in LAYDOWN.values() if s.kind in ("radar", "infrared")], ids=lambda s: s.name)
def test_axes_are_right_handed_and_upright(sensor):
    origin, axes = sensors.place(sensor, np.array([0.0, 500.0, 4000.0]))
    assert origin.shape == (3, 3) and axes.shape == (3, 3, 3)
    np.testing.assert_allclose(np.einsum("nij,nkj->nik", axes, axes), np.broadcast_to(np.eye(3), (3, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(np.cross(axes[:, 0], axes[:, 1]), axes[:, 2], atol=1e-12)
    if sensor.platform in ("geo", "heo"):
        centre = frames.look(np.zeros((3, 3)), origin, axes)
        np.testing.assert_allclose(np.sin(centre[:, 1:3]), 0.0, atol=1e-12)
        assert np.all(axes[:, 2, 2] > 0.3)  # "up" is towards Earth north


def test_geostationary_place():
    origin, _ = sensors.place(GEO, [0.0])
    assert np.linalg.norm(origin) == pytest.approx(6378137.0 + 35786e3)
    assert math.atan2(origin[0, 1], origin[0, 0]) == pytest.approx(math.radians(105.0))


def test_high_orbit_moves_as_newton_says():
    """Twin: two-body motion integrated by scipy in the inertial frame from two points of the orbit, then turned with the Earth."""
    time = np.array([0.0, 600.0, 3600.0, 20000.0, 43000.0])
    origin, _ = sensors.place(HEO, time)
    step = 0.5
    inertial = frames.to_inertial(np.hstack([sensors.place(HEO, [-step, step])[0], np.zeros((2, 3))]), [-step, step])[:, :3]
    state = np.hstack([origin[0], (inertial[1] - inertial[0]) / (2 * step)])

    def fall(_, y):
        return np.hstack([y[3:], -3.986004418e14 * y[:3] / np.linalg.norm(y[:3]) ** 3])

    twin = integrate.solve_ivp(fall, (0.0, time[-1]), state, t_eval=time, method="DOP853", rtol=1e-11, atol=1e-3).y.T
    np.testing.assert_allclose(frames.from_inertial(twin, time)[:, :3], origin, atol=2e4)  # the start's velocity is a difference: 1e-6
    assert np.linalg.norm(origin[0]) == pytest.approx(6378137.0 + 39750e3)
    assert np.degrees(frames.geodetic(origin)[0][0]) > 60.0  # at apogee over the north at time 0


def test_imaging_satellites_have_no_place_and_see_nothing():
    with pytest.raises(CopfuseError, match="has no place"):
        sensors.place(LAYDOWN["JP-IGS"], [0.0])


# Visibility ----------------------------------------------------------------------------------------------------------


def target(lat_deg: float, lon_deg: float, altitude: float) -> np.ndarray:
    return np.hstack([frames.ecef(np.radians(lat_deg), np.radians(lon_deg), altitude), [0.0, 0.0, 1000.0]])[None]


def seen(sensor: Sensor, x: np.ndarray, boosting: bool = True) -> bool:
    return bool(sensors.observe(sensor, x, 0.0, 1.0, boosting)[1][0] > 0.0)


def test_a_target_is_seen_from_its_lowest_visible_altitude_on():
    distance, _ = frames.ground_distance_bearing(GREEN_PINE.lat, GREEN_PINE.lon, math.radians(39.224), math.radians(125.67))
    low = float(lowest_visible_altitude(GREEN_PINE.alt, distance, GREEN_PINE.min_elevation))
    assert 11e3 < low < 15e3
    assert not seen(GREEN_PINE, target(39.224, 125.67, low - 20.0)) and seen(GREEN_PINE, target(39.224, 125.67, low + 20.0))


def test_sector_range_and_upper_elevation_limit_what_is_seen():
    assert seen(GREEN_PINE, target(39.2, 127.5, 100e3))
    assert not seen(GREEN_PINE, target(34.0, 127.5, 100e3))  # behind the face
    assert not seen(GREEN_PINE, target(42.5, 127.5, 100e3))  # 660 km away
    assert not seen(GREEN_PINE, target(36.65, 127.5, 200e3))  # overhead
    assert seen(LAYDOWN["JP-AEG-W"], target(34.0, 132.5, 100e3))


def test_infrared_sees_only_what_burns_above_the_cloud_on_its_side_of_the_earth():
    for sensor in (GEO, HEO, LAYDOWN["US-DSP"]):
        assert seen(sensor, target(39.2, 125.7, 20e3))
        assert not seen(sensor, target(39.2, 125.7, 20e3), boosting=False)
        assert not seen(sensor, target(39.2, 125.7, 7.9e3)) and seen(sensor, target(39.2, 125.7, 8.1e3))
    assert not seen(GEO, target(39.2, 125.7 + 180.0, 20e3))
    # on the equator the limb is acos(6378 / 42164) = 81.30 degrees away, and 300 km stand acos(6378 / 6678) = 17.24 behind it
    assert not seen(GEO, target(0.0, 105.0 + 98.6, 300e3)) and seen(GEO, target(0.0, 105.0 + 98.5, 300e3))
    z, _ = sensors.observe(GEO, target(39.2, 125.7, 20e3), 0.0, 1.0, True)
    assert np.isnan(z[0, [0, 3]]).all() and np.isfinite(z[0, 1:3]).all()


def test_detection_chance_is_the_probability_at_the_ratio():
    x = np.vstack([target(39.2, 127.5, 100e3), target(34.0, 127.5, 100e3)])
    pd, snr = sensors.detection_chance(GREEN_PINE, x, 0.0, np.array([0.2, 0.2]), False)
    assert pd[0] == pytest.approx(detection_probability(snr[0], 1e-6, 1)) and pd[0] > 0.8
    assert pd[1] == 0.0 and snr[1] == 0.0
    pd, snr = sensors.detection_chance(GREEN_PINE, np.zeros((0, 6)), np.zeros(0), 1.0, False)
    assert pd.shape == snr.shape == (0,)


def test_published_ranges_are_a_reasonable_chance_against_a_notional_target():
    """Green Pine 500 to 800 km; against 0.1 to 0.3 m^2 one look notices it with a chance between 0.4 and 0.85."""
    for name, distance in {"KR-GP-CB": 500e3, "KR-GP-BS": 700e3, "US-TPY2-SH": 1200e3, "JP-FPS5-SD": 1000e3}.items():
        sensor = LAYDOWN[name]
        for rcs in (0.1, 0.2, 0.3):
            pd = detection_probability(sensors.radar_snr(sensor, distance, rcs), sensor.pfa, sensor.swerling)
            assert 0.4 < pd < 0.95


@settings(max_examples=100, deadline=None)
@given(st.floats(-1.2, 1.2), st.floats(-3.1, 3.1), st.floats(1e3, 5000e3), st.floats(0.0, 6.28))
def test_closed_form_ground_distance(lat, lon, distance, bearing):
    lat2, lon2 = frames.ground_point(lat, lon, distance, bearing)
    assert sensors.ground_distance(lat, lon, lat2, lon2) == pytest.approx(distance, abs=60.0)


def test_clutter_density_counts_the_volume():
    box = replace(GREEN_PINE, azimuth_width=2.0, min_elevation=0.0, max_elevation=0.5, range_max=1e6, clutter_per_scan=3.0)
    assert sensors.clutter_density(box) == pytest.approx(3e-6)
    assert sensors.clutter_density(replace(box, kind="infrared")) == pytest.approx(3.0)


def test_dates_of_service_and_the_imaging_prior():
    block_c = LAYDOWN["KR-GP-BS"]
    assert not sensors.in_service(block_c, datetime(2017, 9, 15, tzinfo=UTC))
    assert sensors.in_service(block_c, datetime(2024, 1, 14, tzinfo=UTC))
    assert not sensors.in_service(replace(block_c, service_until=date(2023, 1, 1)), datetime(2024, 1, 14, tzinfo=UTC))
    pair = [LAYDOWN["KR-425"], LAYDOWN["JP-IGS"]]
    assert sensors.imaged_before(pair, 3600.0) == pytest.approx(1.0 - 0.5 * (1.0 - 1.0 / 24.0))
    assert sensors.imaged_before([GREEN_PINE], 3600.0) == 0.0 and sensors.imaged_before(pair, 1e5) == 1.0


# The laydown ---------------------------------------------------------------------------------------------------------


def test_all_39_sensors_stand_where_the_list_puts_them():
    if not SHARED.is_dir():
        pytest.skip("the shared list of sensors is not here")
    with open(SHARED / "data" / "sensors.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list(LAYDOWN) and len(LAYDOWN) == 39
    for row in rows:
        sensor = LAYDOWN[row["id"]]
        if row["lat"]:
            found = (math.degrees(sensor.lat), math.degrees(sensor.lon), sensor.alt)
            np.testing.assert_allclose(found, [float(row[key]) for key in ("lat", "lon", "alt_m")], atol=1e-9)
        if row["min_elev_deg"][:1].isdigit() or row["min_elev_deg"][:1] == "-":
            assert math.degrees(sensor.min_elevation) == pytest.approx(float(row["min_elev_deg"].split()[0]))
        if row["boresight_deg"]:
            assert math.degrees(sensor.boresight) == pytest.approx(float(row["boresight_deg"]) % 360.0)


def test_every_figure_of_the_packaged_file_says_what_it_is():
    text = (Path(copfuse.__file__).parent / "data" / "northeast-asia.toml").read_text()
    figures = [line for line in text.splitlines() if re.match(r"\w+ = [-\d{]", line)]
    assert len(figures) > 500
    unmarked = [line for line in figures if not re.search(r"# (notional|public)", line)]
    assert not unmarked


GOOD = {
    "name": "A", "nation": "KOR", "lat_deg": 37.0, "lon_deg": 127.0, "alt_m": 100.0, "range_km": 500.0, "snr0_db": 13.0,
    "range0_km": 300.0, "range_resolution_m": 30.0, "beamwidth_az_deg": 1.0, "beamwidth_el_deg": 1.0, "search_revisit_s": 4.0,
}  # fmt: skip


def test_a_sensor_of_ones_own():
    (sensor,) = sensors.parse([GOOD], "mine.toml")
    assert sensor.lat == math.radians(37.0) and sensor.track_revisit == 4.0 and sensor.min_elevation == 0.0
    assert seen(sensor, target(38.0, 127.0, 100e3))
    (pine,) = sensors.parse([{"name": "B", "nation": "KOR", "type": "green-pine-b", "lat_deg": 37.0, "lon_deg": 127.0}], "mine.toml")
    assert pine.scan_loss == GREEN_PINE.scan_loss and pine.range0 == GREEN_PINE.range0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lat_dg": 1.0}, "there is no key 'lat_dg'; did you mean 'lat_deg'"),
        ({"lat_deg": 91.0}, "lat_deg = 91.0.*<= 90"),
        ({"boresight_deg": 400.0}, "boresight_deg = 400.0"),
        ({"pfa": 2.0}, "pfa = 2.0"),
        ({"swerling": 7}, "swerling = 7"),
        ({"availability": 1.5}, "availability = 1.5"),
        ({"alt_m": -3.0}, "alt_m = -3 puts the sensor under the ground"),
        ({"range_km": "far"}, "range_km = 'far', expected"),
        ({"range_km": None}, "the key is missing: range_km"),
        ({"snr0_db": math.inf}, "snr0_db = inf is not a finite number"),
        ({"nation": "KRO"}, "nation = 'KRO' is unknown; did you mean 'KOR'"),
        ({"kind": "sonar"}, "kind = 'sonar' is unknown"),
        ({"type": "green-pin-b"}, "type = 'green-pin-b' is unknown; did you mean 'green-pine-b'"),
        ({"min_elevation_deg": 95.0}, "min_elevation_deg = 95.0"),
        ({"min_elevation_deg": 50.0, "max_elevation_deg": 40.0}, "is not below max_elevation_deg = 40"),
        ({"track_revisit_s": 9.0}, "track_revisit_s = 9 is longer"),
        ({"service_from": date(2020, 1, 1), "service_until": date(2019, 1, 1)}, "comes before service_from"),
        ({"kind": "infrared"}, "the key is missing: sigma_los_urad"),
        ({"orbit": {"perigee_km": 900.0}}, "orbit: the key is missing: apogee_km|orbit: .*missing"),
    ],
)
def test_bad_sensors_are_refused_in_a_sentence(change, said):
    table = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(CopfuseError, match=said):
        sensors.parse([table], "mine.toml")


def test_files_that_are_no_laydown_are_refused(tmp_path):
    with pytest.raises(CopfuseError, match="there is no laydown 'northeast-asa'.*did you mean 'northeast-asia'"):
        laydown("northeast-asa")
    with pytest.raises(CopfuseError, match="there is no file"):
        laydown(tmp_path / "none.toml")
    path = tmp_path / "mine.toml"
    for text, said in {
        "title = 'x'": "there is no sensor",
        "[[sensors]]\nname = 'A'": "no key 'sensors'; did you mean 'sensor'",
        "[[sensor]]\nname = 'A'\nnation = 'KOR'\nkind = 'imaging'\nsearch_revisit_s = 5.0\n" * 2: "'A' stands twice",
        "[type]\nx = 3\n[[sensor]]\nname = 'A'": "is no table",
        "[[sensor": "is not TOML",
    }.items():
        path.write_text(text)
        with pytest.raises(CopfuseError, match=said):
            laydown(path)


def test_a_file_may_change_a_few_keys_of_the_packaged_laydown(tmp_path):
    path = tmp_path / "moved.toml"
    path.write_text("""
        base = "northeast-asia"
        [[sensor]]
        name = "JP-AEG-W"
        lon_deg = 131.0
        availability = 1.0
        [[sensor]]
        name = "MY-RADAR"
        nation = "JPN"
        type = "j-fps-5"
        lat_deg = 36.0
        lon_deg = 136.0
    """)
    moved = {sensor.name: sensor for sensor in laydown(path)}
    assert list(moved) == [*LAYDOWN, "MY-RADAR"]
    assert moved["JP-AEG-W"] == replace(LAYDOWN["JP-AEG-W"], lon=math.radians(131.0), availability=1.0)
    assert moved["JP-AEG-E"] == LAYDOWN["JP-AEG-E"]
    path.write_text('base = "europe"\n[[sensor]]\nname = "A"')
    with pytest.raises(CopfuseError, match="base = 'europe' is unknown; there are: northeast-asia"):
        laydown(path)


def test_accuracy_of_looks_of_several_sensors_is_that_of_each_to_the_bit():
    some = [s for s in LAYDOWN.values() if s.kind in ("radar", "infrared")]
    some.append(next(replace(s, angles="u-v") for s in some if s.kind == "radar" and s.faces == 1))
    stream = np.random.default_rng(0)
    of, snr = stream.integers(len(some), size=400), stream.uniform(5.0, 500.0, 400)
    azimuth, elevation = stream.uniform(0.0, 6.28, 400), stream.uniform(-0.2, 1.5, 400)
    together = sensors.accuracies(np.array([sensors.facts(s) for s in some])[of], snr, azimuth, elevation)
    for k, sensor in enumerate(some):
        mine = of == k
        np.testing.assert_array_equal(together[mine], sensors.accuracy(sensor, snr[mine], azimuth[mine], elevation[mine]))


def test_whatever_is_seen_is_in_reach():
    """And much is not, which need not be looked at."""
    rng = np.random.default_rng(8)
    lat, lon, alt = np.radians(rng.uniform(20, 60, 400)), np.radians(rng.uniform(100, 160, 400)), rng.uniform(1e3, 9e5, 400)
    x, burns = np.hstack([frames.ecef(lat, lon, alt), np.zeros((400, 3))]), rng.random(400) < 0.5
    seen = left = 0
    for sensor in sensors.laydown("northeast-asia"):
        if sensor.kind in ("radar", "infrared"):
            there, near = sensors.observe(sensor, x, 100.0, 1.0, burns)[1] > 0.0, sensors.in_reach(sensor, x, burns)
            assert near[there].all()
            seen, left = seen + int(there.sum()), left + int((~near).sum())
    assert seen > 100 and left > 1000
