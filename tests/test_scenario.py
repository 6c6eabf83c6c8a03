"""Scenario files, launch ids and days; every refusal names the place, the value and what would have worked."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import copfuse as cf
from copfuse import flights, scenario
from copfuse.errors import CopfuseError
from copfuse.scenario import load

GOOD = """
name = "two flights, one of them real"
epoch = 2024-01-14T05:55:00Z
sensors = "northeast-asia"
exclude = ["US-SBX"]

[[launch]]
kind = "record"
id = "2017-09-15-1"
at = 0.0

[[launch]]
kind = "recorded"
path = "bulgariasat-1.csv"
at = 20.0
lat_deg = 39.66
lon_deg = 124.70
azimuth_deg = 95.0

[[launch]]
kind = "ballistic"
at = 35.0
lat_deg = 39.2
lon_deg = 125.7
azimuth_deg = 80.0
burnout_alt_km = 40.0
burnout_speed_m_s = 2400.0
burnout_angle_deg = 42.0
"""
INLINE = """
[[sensor]]
name = "KR-X"
nation = "KOR"
type = "green-pine-c"
lat_deg = 36.0
lon_deg = 127.0
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text)
    return path


def refused(path) -> str:
    with pytest.raises(CopfuseError) as caught:
        load(path)
    said = str(caught.value)
    assert "\n" not in said and not re.search(r"Traceback|msgspec|`", said)
    return said


def test_the_scenario_of_the_design_page(tmp_path):
    s = load(written(tmp_path, GOOD))
    assert s.name == "two flights, one of them real" and s.epoch == datetime(2024, 1, 14, 5, 55, tzinfo=UTC)
    assert "US-SBX" not in [sensor.name for sensor in s.sensors] and len(s.sensors) == 38
    assert (s.bias, s.clutter, s.duration, s.picture_step, s.regime) == (1.0, 1.0, None, 2.0, "realtime")
    record, recorded, ballistic = s.launches
    assert (record.kind, record.id, record.missile_class) == ("record", "2017-09-15-1", "IRBM")
    assert recorded.at == 20.0 and recorded.name == "bulgariasat-1" and Path(recorded.path).is_file()
    assert recorded.azimuth == pytest.approx(math.radians(95.0))
    assert ballistic.burnout_altitude == 40e3 and ballistic.burnout_angle == pytest.approx(math.radians(42.0))
    assert load(s) is s


@pytest.mark.parametrize("name", scenario.scenarios())
def test_packaged_scenarios(name):
    s = load(name)
    assert s.name == name and s.title != name and "otional" in s.description and len(s.sensors) == 39
    for launch in s.launches:
        if launch.kind == "record":
            assert flights.flyable(flights.launches().find(launch.id))


def test_the_packaged_scenarios_are_those_that_the_readme_names():
    assert cf.scenarios() == [
        "glide-2024", "hokkaido-2017", "lofted-icbm-2022", "pull-up-2019", "recorded-flight",
        "salvo-10-2026", "salvo-18-2024", "salvo-2-2019", "salvo-2022", "separation-2019",
    ]  # fmt: skip
    salvo = load("salvo-2022")
    assert len(salvo.launches) == 8 and [x.name for x in salvo.launches].count("2022-06-05-1 (2)") == 1
    assert {x.id for x in salvo.launches} == {row.id for row in flights.launches() if row.date == "2022-06-05"}


@pytest.mark.parametrize("name", ["hokkaido-2017", "lofted-icbm-2022", "pull-up-2019", "glide-2024"])
def test_packaged_epochs_are_those_of_the_record(name):
    s = load(name)
    assert load(s.launches[0].id).epoch == s.epoch


def test_a_launch_id_makes_a_scenario():
    s = load("2017-09-15-1")
    assert s.epoch == datetime(2017, 9, 14, 21, 57, tzinfo=UTC)  # 06:57 in Korea
    assert [(x.kind, x.id, x.at) for x in s.launches] == [("record", "2017-09-15-1", 0.0)]
    assert "Hwasong-12" in s.title and s.description == ""
    untimed = load("2022-06-05-1")
    assert untimed.epoch == datetime(2022, 6, 5, 3, 0, tzinfo=UTC) and "notional" in untimed.description
    assert "stands for 2 missiles; one is flown" in untimed.description


def test_a_day_makes_a_scenario_of_all_that_can_be_flown():
    s = load("2022-06-05")
    at = {x.name: x.at for x in s.launches}
    assert at["2022-06-05-2"] == 0.0 and at["2022-06-05-7"] == 35 * 60.0 and len(at) == 7
    assert [x.at for x in s.launches] == sorted(at.values())
    several = load("2022-01-17")  # one row with two reported times
    assert [(x.name, x.at) for x in several.launches] == [("2022-01-17-1", 0.0), ("2022-01-17-1 (2)", 240.0)]
    assert "2022-11-02-1 is left out" in load("2022-11-02").description


def test_a_first_launch_of_the_record_brings_the_epoch(tmp_path):
    s = load(written(tmp_path, '[[launch]]\nkind = "record"\nid = "2017-09-15-1"\n'))
    assert s.epoch == load("2017-09-15-1").epoch and s.name == "my"


def test_epochs_are_turned_into_utc(tmp_path):
    s = load(written(tmp_path, GOOD.replace("05:55:00Z", "14:55:00+09:00")))
    assert s.epoch == datetime(2024, 1, 14, 5, 55, tzinfo=UTC) and s.epoch.utcoffset().total_seconds() == 0


def test_inline_sensors_and_laydown_files(tmp_path):
    text = GOOD.replace('sensors = "northeast-asia"', "").replace('exclude = ["US-SBX"]', "")
    inline = load(written(tmp_path, text + INLINE))
    assert [sensor.name for sensor in inline.sensors] == ["KR-X"]
    (tmp_path / "few.toml").write_text(INLINE)
    assert repr(load(written(tmp_path, 'sensors = "few.toml"\n' + text)).sensors) == repr(inline.sensors)
    assert "both" in refused(written(tmp_path, GOOD + INLINE))


def test_a_recorded_flight_beside_the_file_comes_first(tmp_path):
    (tmp_path / "bulgariasat-1.csv").write_text("own")
    assert load(written(tmp_path, GOOD)).launches[1].path == str((tmp_path / "bulgariasat-1.csv").resolve())


def test_scenarios_can_be_changed_by_hand():
    s = replace(load("hokkaido-2017"), clutter=0.0)
    assert load(s).clutter == 0.0


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("epoch =", "epcoh =", "my.toml: there is no key 'epcoh'; did you mean 'epoch'?"),
        ("lat_deg = 39.2", "lat_dge = 39.2", "my.toml, launch 3: there is no key 'lat_dge'; did you mean 'lat_deg'?"),
        ("lat_deg = 39.2", "", "launch 3: the key is missing: lat_deg"),
        ("lat_deg = 39.2", "lat_deg = 95", "launch 3: lat_deg = 95, expected float <= 90"),
        ("lat_deg = 39.2", 'lat_deg = "39"', "launch 3: lat_deg = '39', expected float, got str"),
        ("lat_deg = 39.2", "lat_deg = nan", "launch 3: lat_deg = nan is not a finite number"),
        ("lat_deg = 39.2", "lat_deg = inf", "launch 3: lat_deg = inf is not a finite number"),
        ("at = 35.0", "at = -1.0", "launch 3: at = -1.0, expected float >= 0"),
        ("burnout_speed_m_s = 2400.0", "burnout_speed_m_s = 12000", "launch 3: burnout_speed_m_s = 12000, expected float <= 11000"),
        ("burnout_speed_m_s = 2400.0", "burnout_speed_km_s = 2.4", "did you mean 'burnout_speed_m_s'?"),
        ('kind = "ballistic"', 'kind = "balistic"', "launch 3: kind = 'balistic' is unknown; did you mean 'ballistic'?"),
        ('kind = "ballistic"', "", "launch 3: the key is missing: kind; there are: record, recorded, ballistic"),
        ('id = "2017-09-15-1"', 'id = "2017-09-15-7"', "launch 1: the record has no launch '2017-09-15-7'"),
        ('path = "bulgariasat-1.csv"', 'path = "bulgaria.csv"', "launch 2: there is no file"),
        ('path = "bulgariasat-1.csv"', 'path = "bulgariasat.csv"', "did you mean 'bulgariasat-1.csv'?"),
        ('exclude = ["US-SBX"]', 'exclude = ["US-SBY"]', "'US-SBY', which is no sensor of it; did you mean"),
        ('exclude = ["US-SBX"]', 'exclude = "US-SBX"', "exclude = 'US-SBX', expected array, got str"),
        ('sensors = "northeast-asia"', 'sensors = "north-east-asia"', "did you mean 'northeast-asia'?"),
        ('sensors = "northeast-asia"', 'sensors = "mine.toml"', "there is no file"),
        (
            "epoch = 2024-01-14T05:55:00Z",
            "epoch = 2024-01-14T05:55:00",
            "expected a time with its zone and no quotes, such as 2024-01-14T05:55:00Z",
        ),
        ("epoch = 2024-01-14T05:55:00Z", "epoch = 2024-01-14", "epoch = 2024-01-14, expected datetime"),
        ("epoch =", 'regime = "realtme"\nepoch =', "regime = 'realtme' is unknown; did you mean 'realtime'?"),
        ("epoch =", "bias = -1.0\nepoch =", "my.toml: bias = -1.0, expected float >= 0"),
        ("epoch =", "picture_step_s = 0\nepoch =", "my.toml: picture_step_s = 0, expected float >= 0.1"),
        ("epoch =", "duration_s = 0.0\nepoch =", "my.toml: duration_s = 0.0, expected float > 0"),
        ("epoch =", "duration_s = 30.0\nepoch =", "my.toml: duration_s = 30 ends before launch"),
        ("epoch =", "epoch", "my.toml' is not TOML: "),
        ("azimuth_deg = 95.0", "azimuth_deg = 950.0", "launch 2: azimuth_deg = 950.0, expected float <= 360"),
        ("azimuth_deg = 95.0", 'azimuth_deg = 95.0\nmissile_class = "IRMB"', "missile_class = 'IRMB' is unknown; did you mean"),
        ("azimuth_deg = 95.0", "azimuth_deg = 95.0\ndebris = 3", "launch 2: there is no key 'debris'"),
        ("at = 0.0", "at = 0.0\ndebris = 2.5", "launch 1: debris = 2.5, expected int, got float"),
    ],
)
def test_refusals(old, new, said, tmp_path):
    assert old in GOOD
    assert said in refused(written(tmp_path, GOOD.replace(old, new, 1)))


def test_a_single_table_instead_of_a_list(tmp_path):
    text = 'epoch = 2024-01-14T05:55:00Z\n[launch]\nkind = "record"\nid = "2017-09-15-1"\n'
    assert "write [[...]], not [...]" in refused(written(tmp_path, text))
    assert "launch" in refused(written(tmp_path, "name = 'x'\n")) and "launch" in refused(written(tmp_path, "launch = []\n"))


def test_no_epoch(tmp_path):
    text = GOOD.replace("epoch = 2024-01-14T05:55:00Z", "")
    text = text.replace('[[launch]]\nkind = "record"\nid = "2017-09-15-1"\nat = 0.0\n', "")
    assert "the key is missing: epoch" in refused(written(tmp_path, text))


@pytest.mark.parametrize(
    "name, said",
    [
        ("hokaido-2017", "did you mean 'hokkaido-2017'?"),
        ("2017-09-15-9", "near it are: 2017-09-15-1"),
        ("2017-09-14", "the record has no launch on '2017-09-14'; did you mean"),
        ("2017-04-16", "no launch of '2017-04-16' can be flown"),
        ("nowhere.toml", "there is no file 'nowhere.toml'"),
        ("", "there is no scenario ''"),
    ],
)
def test_unknown_names(name, said):
    assert said in refused(name)


def test_a_binary_file_and_a_folder_are_refused(tmp_path):
    (tmp_path / "bad.toml").write_bytes(bytes(range(128, 256)))
    assert "is not TOML" in refused(tmp_path / "bad.toml")
    assert "cannot read" in refused(tmp_path)
