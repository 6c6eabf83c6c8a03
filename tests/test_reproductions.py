"""Reproductions of published events: their files, the engine at tiny settings, the comparison with what was published, and honesty."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import replace
from fnmatch import fnmatch
from importlib import resources

import joblib
import numpy as np
import pytest
from click.testing import CliRunner

import copfuse as cf
from copfuse import atmosphere, compared, flights, intervals, laydowns, network, published, reproduction_figures, reproductions, sighted
from copfuse.cli import cli
from copfuse.errors import CopfuseError
from copfuse.published import Launched, Published
from test_report import Page
from test_study_figures import texts

NAMES = published.names()
LAYDOWN = [sensor.name for sensor in laydowns.laydown("northeast-asia")]


@pytest.fixture(scope="module")
def missed() -> reproductions.Reproduction:
    """Two days of 2019 under ten seeds: quick, for nothing is tracked."""
    return reproductions.reproduce("missed-2019", seeds=10, launches=["2019-07-25-1", "2019-08-02-1"])


@pytest.fixture(scope="module")
def rocket() -> reproductions.Reproduction:
    return reproductions.reproduce("failed-rocket-2012", seeds=4)


@pytest.fixture(scope="module")
def low() -> reproductions.Reproduction:
    """Whole runs of two laydowns of one radar and two, one seed."""
    return reproductions.reproduce("second-forward-radar", seeds=1, launches=["2017-03-06-1"])


# The files ------------------------------------------------------------------------------------------------------------


def test_there_are_six_and_one_more_name_is_refused():
    assert NAMES == ["failed-rocket-2012", "first-realtime-event", "lofted-icbms", "missed-2019", "overflights", "second-forward-radar"]
    with pytest.raises(CopfuseError, match="missed-2019"):
        reproductions.reproduce("mised-2019")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_file_names_exists(name):
    """Launches, regimes, sensors and quantities; every published thing has a source and is held against something of the study."""
    spec = published.packaged(name)
    ids = [one.id for one in spec.launch]
    for one in ids:
        assert (resources.files("copfuse") / "data/studies/flights" / f"{one}.toml").is_file() or flights.launches().find(one)
    assert all(regime in network.regimes() for regime in spec.regimes)
    for patterns in [v.only + v.exclude for v in spec.variant] + [s.sensors for s in spec.side]:
        for pattern in patterns:
            assert any(fnmatch(sensor, pattern) for sensor in LAYDOWN), pattern
    assert spec.figure in reproduction_figures.FIGURES and spec.published and spec.asked and spec.text and spec.assumed
    for p in spec.published:
        assert p.source and (p.said or p.never or p.value is not None)
        assert not p.launch or p.launch in ids
        assert not p.variant or p.variant in [v.name for v in spec.variant] + ["as laid down"]
        assert not p.regime or p.regime in spec.regimes


def test_the_command_line_lists_them_and_help_is_quick():
    told = CliRunner().invoke(cli, ["study", "--help"])
    assert told.exit_code == 0 and all(name in told.output for name in [*NAMES, "earlier-detection"])


# Who saw what, and why not --------------------------------------------------------------------------------------------


def test_a_missed_launch_has_the_reason_of_its_geometry(missed):
    """220 km at 25 km of apogee, southwest of every ground radar of Japan: none sees it, and by horizon; the nearest ray by hand."""
    launch = "2019-08-02-1"
    assert not missed.of("seen", launch=launch, who="Japan, ground radars").any()
    assert missed.of("missed: below the horizon", launch=launch, who="Japan, ground radars").all()
    scene, truth = missed.flown[launch]
    x = truth.x[truth.object == 0]
    from copfuse import frames, sensors

    lat, lon, height = frames.geodetic(x)
    for sensor in scene.sensors:
        if sensor.name.startswith("JP-FPS"):
            distance = sensors.ground_distance(sensor.lat, sensor.lon, lat, lon)
            low = [float(atmosphere.lowest_visible_altitude(sensor.alt, d, sensor.min_elevation)) for d in distance[::40]]
            assert np.all(height[::40] < np.array(low))


def test_ships_miss_by_their_availability(missed):
    """Both Korean ships away: a chance of 0.04 as laid down and 0.18 at 57 % of days, within binomial bounds; else they see it."""
    for variant, chance in (("as laid down", 0.2**2), ("ships there on 57 % of days", 0.43**2)):
        away = missed.of("missed: not on station", who="Korean navy", variant=variant)
        seen = missed.of("seen", who="Korean navy", variant=variant)
        assert len(away) == 20 and np.array_equal(seen + away, np.ones(20))
        assert away.sum() <= 20 * chance + 4.0 * math.sqrt(20 * chance)


def look(outcome: str, margin: float = math.nan, chance: float = 0.0, plot: float = math.nan) -> sighted.Look:
    return sighted.Look("X", "KOR", outcome, plot, plot, int(plot == plot), 0.0, margin, chance)


def test_the_reason_nearest_to_seeing_counts():
    away = look(sighted.STATION, 5e3, 0.9)
    hidden, far, old = look(sighted.HORIZON, -1e3), look(sighted.REACH), look(sighted.SERVICE)
    assert sighted.verdict([far, hidden, away, look(sighted.SEEN, plot=40.0), look(sighted.SEEN, plot=30.0)]) == (sighted.SEEN, 30.0, 40.0)
    assert sighted.verdict([far, hidden, away])[0] == sighted.STATION
    assert sighted.verdict([look(sighted.STATION, -5e3, 0.0), far])[0] == sighted.HORIZON  # it would not have helped to be there
    assert sighted.verdict([far, hidden])[0] == sighted.HORIZON
    assert sighted.verdict([old, far])[0] == sighted.REACH
    assert sighted.verdict([old])[0] == sighted.SERVICE
    assert sighted.verdict([away, look(sighted.WEAK, 1e3, 0.1)])[0] == sighted.WEAK


def test_the_rocket_of_april_peaks_at_120_km_and_okinawa_does_not_see_it(rocket):
    assert abs(rocket.of("apogee_km", launch="failed-rocket-2012")[0] - 120.0) < 0.5
    assert abs(rocket.of("range_km", launch="failed-rocket-2012")[0] - 450.0) < 2.0
    assert abs(rocket.of("lowest_km")[0] - 120.0) < 0.1
    assert not rocket.of("seen", launch="failed-rocket-2012", who="Japan, Okinawa radar").any()
    assert rocket.of("missed: below the horizon", launch="failed-rocket-2012", who="Japan, Okinawa radar").all()
    assert rocket.of("seen", launch="2012-12-12-1", who="Japan, Okinawa radar").all()  # the one that flew higher it does see
    assert len(rocket.of("seen", who="Japan, ships", variant="without Japanese ships")) == 0


def test_the_drawn_horizon_is_the_traced_ray(rocket):
    """Okinawa's radar along the rocket's track: the ray traced place by place; and nobody looks where there is no radar."""
    from copfuse import frames, sensors

    scene, truth = rocket.flown["failed-rocket-2012"]
    lat, lon, height = frames.geodetic(truth.x[::50])
    radar = next(s for s in scene.sensors if s.name == "JP-FPS5-YZ")
    low = reproduction_figures.lowest([radar], lat, lon, height)
    there = np.isfinite(low)
    away = sensors.ground_distance(radar.lat, radar.lon, lat, lon)[there]
    want = [float(atmosphere.lowest_visible_altitude(radar.alt, d, radar.min_elevation)) for d in away]
    assert there.sum() > 10
    np.testing.assert_allclose(low[there], want, atol=2.0)
    assert np.all(low[there] > height[there])  # as published: it was never in view
    assert np.isnan(reproduction_figures.lowest([], lat, lon, height)).all()


# Beside what was published --------------------------------------------------------------------------------------------


def line(rep, **published):
    p = Published(what="w", source="s", **published)
    return compared._line(rep, p)


def test_differences_are_printed_from_the_results(rocket):
    first = rocket.of("first_plot_s", who="KR-AEG-YS", launch="failed-rocket-2012", variant="as laid down")
    good = first[np.isfinite(first)]
    told = line(rocket, quantity="first_plot_s", who="KR-AEG-YS", launch="failed-rocket-2012", variant="as laid down", value=54.0)
    assert told.published == "54 s"
    assert told.difference.startswith(f"{np.median(good) - 54.0:+.0f} s")
    other = line(rocket, quantity="first_plot_s", who="KR-AEG-YS", launch="failed-rocket-2012", variant="as laid down", value=100.0)
    assert other.difference.startswith(f"{np.median(good) - 100.0:+.0f} s") and other.simulated == told.simulated


def test_never_and_words_and_more_than_nothing(rocket, missed):
    where = dict(quantity="first_plot_s", launch="failed-rocket-2012", variant="as laid down")
    assert line(rocket, who="Japan, Okinawa radar", never=True, **where).difference == "agrees"
    assert line(rocket, who="Japan, other ground radars", never=True, **where).difference.startswith("disagrees: seen in 4 of 4")
    assert line(rocket, who="Japan, Okinawa radar", value=60.0, **where).difference == "disagrees: never"
    assert line(rocket, said="1").simulated == "not simulated"
    where = dict(quantity="unseen_end_s", who="Korea, all", launch="2019-07-25-1", variant="as laid down", above=True)
    assert line(missed, value=0.0, **where).difference == "agrees: 10 of 10 seeds"
    assert line(missed, value=1e4, **where).difference == "disagrees: 0 of 10 seeds"


def test_sums_over_launches_are_per_seed(missed):
    where = dict(quantity="missed", who="Japan, ground radars", variant="as laid down")
    by_hand = [
        sum(missed.of("missed", who="Japan, ground radars", variant="as laid down", launch=one)[k] for one in missed.flown)
        for k in range(10)
    ]
    part = line(missed, total=True, value=5.0, **where)
    assert part.difference == "- (9 launches left out)"  # what was published is a sum over all of them
    told = line(replace(missed, meta={**missed.meta, "left_out": 0}), total=True, value=5.0, **where)
    assert told.simulated == part.simulated
    assert told.simulated.startswith(f"{np.mean(by_hand):.3g}") and told.difference.startswith(f"{np.mean(by_hand) - 5.0:+.1f}")


@pytest.mark.parametrize(("id", "said"), [("2022-11-18-1", 4135.0), ("2024-10-31-1", 5156.0), ("2017-09-15-1", 1140.0)])
def test_flight_times_are_within_five_percent_of_the_published_ones(id, said):
    """They are results: range, apogee and azimuth are all that is known of the flight."""
    launched = Launched(id)
    facts = {
        what: value
        for _, what, value in reproductions._flight(reproductions.fly(launched)[1], launched, published.packaged("lofted-icbms"))
    }
    assert abs(facts["flight_time_s"] / said - 1.0) < 0.05


def test_a_flight_to_figures_that_the_compilation_lacks():
    row = flights.launches().find("2019-05-04-2")
    assert math.isnan(row.apogee)
    _, truth = reproductions.fly(Launched("2019-05-04-2", range_km=240.0, apogee_km=60.0))
    facts = {w: v for _, w, v in reproductions._flight(truth, Launched("x"), published.packaged("missed-2019"))}
    assert abs(facts["apogee_km"] - 60.0) < 1.0 and abs(facts["range_km"] - 240.0) < 2.4


# Whole runs -----------------------------------------------------------------------------------------------------------


def test_two_laydowns_of_one_run(low):
    alone, both = (low.of("firm_s", who="USA", variant=v.name, regime="none")[0] for v in low.spec.variant)
    assert both < alone  # the second radar stands nearer to this flight
    told = compared.gains(low)
    assert [line[:3] for line in told] == [
        ["2017-03-06-1", "USA", "with Kyogamisaki against Shariki alone"]
    ]  # nobody else has a radar in it
    assert told[0][4] == f"{alone - both:+.1f} [few]"
    assert compared.conclusions(low) == [
        f"Where there are fewer than {intervals.LEAST} seeds there is no interval, and nothing is concluded."
    ]


def made_up(gain: float, spread: float, seeds: int = 8) -> reproductions.Reproduction:
    """A reproduction whose Japan is ``gain`` s earlier under realtime, with scatter."""
    spec, launch = published.packaged("first-realtime-event"), "2024-01-14-1"
    rng, rows = np.random.default_rng(3), []
    for seed in range(seeds):
        for regime, firm in (("none", 90.0), ("realtime", 90.0 - gain + spread * rng.standard_normal()), ("plots", np.nan)):
            for what, value in (
                ("first_plot_s", 88.0),
                ("firm_s", firm),
                ("ellipse50_s", np.nan),
                ("held_until_s", 600.0),
                ("custody", 0.8),
            ):
                rows.append((launch, "as laid down", regime, seed, "JPN", what, value))
    findings = {name: np.array(values) for name, values in zip(reproductions.COLUMNS, zip(*rows, strict=True), strict=True)}
    return reproductions.Reproduction("made-up", spec, findings, {launch: (None, None)}, {})  # type: ignore[dict-item]


def test_only_what_an_interval_carries_is_concluded():
    sure, unsure, few = (
        compared.conclusions(made_up(40.0, 5.0)),
        compared.conclusions(made_up(1.0, 20.0)),
        compared.conclusions(made_up(40.0, 5.0, 4)),
    )
    assert len(sure) == len(unsure) == 2 and "realtime against none" in sure[0]
    assert re.search(r"Japan firm track, s earlier: \+4\d\.\d \(95 % \+3\d\.\d to \+4\d\.\d\)", sure[0])
    assert "firm track, s earlier: no difference shown" in unsure[0] and "held longer, s: no difference shown" in sure[0]
    assert few == [f"Where there are fewer than {intervals.LEAST} seeds there is no interval, and nothing is concluded."]
    line = next(line for line in compared.gains(made_up(40.0, 5.0)) if line[2] == "plots against none")
    assert line[4] == "only none" and line[6] == "+0.0 [+0.0, +0.0]"


@pytest.mark.parametrize("which", ["missed", "rocket", "low"])
def test_what_is_saved_is_honest(which, request, tmp_path):
    rep = request.getfixturevalue(which)
    folder = rep.save(tmp_path / "out")
    page = Page((folder / "report.html").read_text("utf-8"))
    command = rep.meta["command"]
    assert command.startswith(f"copfuse study {rep.name} --seeds")
    assert len(page.captions) == len(compared.tables(rep)) + 1 and len(page.images) == 1
    for caption in page.captions[:-1]:
        assert "notional" in caption and command in caption and "northeast-asia" in caption
    assert "notional" in page.captions[-1]
    drawn = texts(reproduction_figures.draw(rep))
    printed = str(rep)
    for said in ("notional", command, "northeast-asia", "seeds: 0"):
        assert said in drawn and said in printed, said
    with open(folder / "findings.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == reproductions.COLUMNS and len(rows) == 1 + len(rep.findings["value"])
    assert (folder / f"{rep.name}.png").stat().st_size > 10_000


def test_workers_change_nothing(missed):
    with joblib.parallel_config(backend="threading"):
        again = reproductions.reproduce("missed-2019", seeds=10, launches=["2019-07-25-1", "2019-08-02-1"], n_jobs=2)
    for name in reproductions.COLUMNS:
        np.testing.assert_array_equal(again.findings[name], missed.findings[name])


def test_cost_is_told_before_and_progress_counts():
    parts, seconds = reproductions.cost("failed-rocket-2012", seeds=1)
    told: list[str] = []
    cf.reproduce("failed-rocket-2012", seeds=1, progress=told.append)
    assert parts == len(told) == 4 and 0.0 < seconds < 60.0
    assert reproductions.cost("overflights", seeds=2, launches=["2017-09-15-1"])[0] == 2


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(CopfuseError, match="this study has no regime 'realtime'; it has none to choose from: leave regime out"):
        reproductions.reproduce("missed-2019", regimes=["realtime"])
    for bad in (dict(seeds=0), dict(launches=["2019-08-02-9"]), dict(regimes=["realtime"])):
        with pytest.raises(CopfuseError):
            reproductions.reproduce("missed-2019", **bad)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CopfuseError, match="cannot save"):
        reproductions.check_folder(tmp_path / "file")


def test_the_command(tmp_path):
    told = CliRunner().invoke(cli, ["study", "failed-rocket-2012", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path / "x")])
    assert told.exit_code == 0, told.output
    assert (tmp_path / "x" / "report.html").is_file() and "notional" in told.output
    assert "4 runs" in told.output
