"""Salvos: packaged ones fly what they say, their pictures are judged as counted by hand, what is down leaves the picture."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from conftest import picture_of, plots_of, straight_truth
from copfuse import frames, fusion, metrics, simulate, verdicts
from copfuse.entries import HOLD, SILENT, Entry, patience, stays
from copfuse.errors import CopfuseError
from copfuse.scenario import load, scenarios
from copfuse.tables import Detections

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    """The modules of the benchmarks folder by name."""
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))


# Scenarios -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, missiles, others, within",
    [("salvo-2-2019", 2, 0, 60.0), ("salvo-10-2026", 10, 0, 60.0), ("salvo-18-2024", 18, 0, 60.0), ("separation-2019", 1, 7, 0.0)],
)
def test_packaged_salvos_fly_what_they_say(name, missiles, others, within):
    s = load(name)
    truth = simulate.fly(s)
    kinds = [about["kind"] for about in truth.meta["objects"]]
    assert kinds.count("missile") == missiles and len(kinds) == missiles + others
    assert len({about["name"] for about in truth.meta["objects"]}) == len(kinds)
    assert all(about["landed"] for about in truth.meta["objects"])
    start = [truth.time[truth.object == k][0] for k, kind in enumerate(kinds) if kind == "missile"]
    assert max(start) - min(start) <= within


def test_launchers_stand_in_a_line_across_the_azimuth_and_fire_in_turn():
    s = load("salvo-18-2024")
    truth = simulate.fly(s)
    first = [np.flatnonzero(truth.object == k)[0] for k in range(18)]
    last = [np.flatnonzero(truth.object == k)[-1] for k in range(18)]
    np.testing.assert_allclose(np.diff(truth.time[first]), 2.0)
    at = truth.x[first, :3]
    np.testing.assert_allclose(np.linalg.norm(np.diff(at, axis=0), axis=1), 150.0, rtol=5e-3)  # a sphere's metres, on an ellipsoid
    way = truth.x[last[9], :3] - at[9]
    right = np.cross(way, at[9])  # of who looks along the flight
    assert (np.diff(at, axis=0) @ right > 0.0).all()
    assert abs(np.diff(at, axis=0)[8] @ way) < 0.12 * 150.0 * np.linalg.norm(way)
    ranges = np.linalg.norm(truth.x[last, :3] - at, axis=1)
    assert np.ptp(ranges) < 1e3 and abs(ranges.mean() - 350e3) < 4e3


def test_spacing_without_a_second_missile_is_refused(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text('[[launch]]\nkind = "record"\nid = "2019-11-28-1"\nevery_s = 3.0\n')
    with pytest.raises(CopfuseError, match="one.toml, launch 1: every_s and apart_m are between several missiles"):
        load(path)


def test_large_salvos_are_measured_only_when_asked_for():
    usual = {s.name for s in verdicts.chosen(())}
    assert set(scenarios()) - usual == {"salvo-10-2026", "salvo-18-2024", "separation-2019"}
    assert [s.name for s in verdicts.chosen(["salvo-18-2024"])] == ["salvo-18-2024"]


# Judging -------------------------------------------------------------------------------------------------------------


def test_verdicts_are_on_the_right_side_of_their_targets(bench):
    salvos = bench("salvos")
    good = {"complete": 0.97, "ambiguity": 1.02, "spurious": 0.02, "segment": 0.95}
    worse = {"complete": 0.969, "ambiguity": 1.021, "spurious": 0.021, "segment": 0.949}
    better = {"complete": 1.0, "ambiguity": 1.0, "spurious": 0.0, "segment": 1.0}
    for name in salvos.TARGETS:
        told = [salvos.verdict(name, value[name]) for value in (good, worse, better)]
        assert told == ["yes", "NO", "yes"] and salvos.verdict(name, math.nan) == "-"


def test_counts_of_the_published_siap_example(bench):
    """As in `test_metrics`: 18 of 20 held, 3 doubled, 4 of 25 spurious; two runs weigh as their counts do."""
    salvos = bench("salvos")
    one = salvos.Tally(20, 18, 16, 20, 25, 18, 3, 18 * 9.0, 10, 30.0, 1.0, 2.0, 1.0)
    made = one.figures()
    assert (made["complete"], made["spurious"], made["segment"]) == pytest.approx((0.9, 0.16, 0.8))
    assert made["ambiguity"] == pytest.approx(21 / 18)
    assert (made["error"], made["gospa"], made["missed"]) == pytest.approx((3.0, 3.0, 0.5))
    assert (one + salvos.Tally(10, 3, 3, 10, 3, 3)).figures()["complete"] == pytest.approx(21 / 30)
    assert math.isnan(salvos.Tally().figures()["complete"])


def test_the_table_has_a_line_per_node_and_regime(bench):
    salvos = bench("salvos")
    good, bad = (
        salvos.Tally(100, 99, 98, 100, 100, 99, 1, 0.0, 10, 1e4, 1.0, 1.0, 2.0),
        salvos.Tally(100, 90, 60, 100, 90, 80, 5, 0.0, 10, 1e4),
    )
    told = salvos.table("made up", {"realtime": [good, bad, good, good], "plots": [good] * 4}, 1).splitlines()[2:]
    assert [line.split()[:2] for line in told] == [["realtime", n] for n in ("KOR", "JPN", "USA", "HUB")] + [["plots", "all"]]
    assert told[1].split()[3:10:2] == ["NO"] * 4 and told[0].split()[3:10:2] == ["yes"] * 4 and "25 %, 25 %, 50 %" in told[4]


def test_the_longest_stretch_of_one_track(bench):
    longest = bench("salvos").longest
    assert longest(np.array([3, 3, -1, 3, 3, 3, 4])) == 3
    assert longest(np.array([-1, -1, -1])) == 0 and longest(np.zeros(0, int)) == 0 and longest(np.array([7])) == 1


def test_whose_plots_a_node_can_have_and_when(bench):
    salvos = bench("salvos")
    sensors = tuple(SimpleNamespace(name=n, nation=a) for n, a in (("KR-A", "KOR"), ("JP-B", "JPN")))
    time = np.array([10.0, 11.0, 12.0, 40.0])
    z = np.ones((4, 4))
    plots = Detections(time, np.array([0, 0, 1, 0]), z, z, np.ones(4), np.zeros(4, int), {"sensors": ["KR-A", "JP-B"]})
    run = SimpleNamespace(detections=plots, scenario=SimpleNamespace(sensors=sensors), truth=SimpleNamespace(meta={"objects": [{}]}))
    asked = np.array([11.0, 13.0, 19.9, 20.1, 30.1, 39.0, 41.0, 51.0])
    for regime, node, seen in (
        ("none", 0, [0, 0, 0, 0, 0, 0, 1, 0]),  # the third of its own comes at 40 s
        ("none", 1, [0] * 8),
        ("realtime", 0, [0, 0, 0, 1, 0, 0, 1, 0]),  # Japan's with 8 s delay, at 20 s, is the third
        ("realtime", 1, [0, 0, 1, 1, 0, 0, 0, 1]),  # its own at 12 s, Korea's 8 s later: at 18, 19 and 48 s
        ("plots", 2, [0, 1, 1, 1, 0, 0, 1, 0]),
    ):
        run.regime = regime
        assert salvos.coverage(run, node, asked)[:, 0].astype(int).tolist() == seen, (regime, node)


def test_a_picture_on_the_truth_and_one_whose_tracks_change_places(bench):
    salvos = bench("salvos")
    truth, run = _made_up(swap=False)
    made = salvos.tally(run)[0].figures()
    assert made["ambiguity"] == 1.0 and made["spurious"] == 0.0 and made["complete"] == made["segment"] == 1.0
    _, run = _made_up(swap=True)
    made = salvos.tally(run)[0].figures()
    assert made["complete"] == 1.0 and 0.45 < made["segment"] < 0.6


def _made_up(swap: bool):
    """Two objects 50 km apart, held by two tracks at Korea, whose numbers ``swap`` in the middle."""
    every = np.arange(0.0, 101.0, 2.0)
    truth = straight_truth([(0.0, 0.0, 0.0), (0.0, 0.0, 50e3)], [every, every])
    states = metrics.true_states(truth, every)
    rows = [(t, "KOR", 1 - k if swap and t > 50.0 else k, states[i, k]) for i, t in enumerate(every) for k in (0, 1)]
    picture = picture_of(rows)
    sensors = (SimpleNamespace(name="KR-A", nation="KOR"), SimpleNamespace(name="JP-B", nation="JPN"))
    s = SimpleNamespace(name="s", sensors=sensors, picture_step=2.0, duration=None)
    plots = plots_of([(t, 0, k) for t in every for k in (0, 1)])
    run = SimpleNamespace(truth=truth, picture=picture, detections=plots, scenario=s, regime="none")
    run.score = metrics.score(picture, truth, s)
    return truth, run


def test_the_command_prints_the_table_of_the_smallest_salvo(bench, monkeypatch):
    """Over a third of the sensors, with a picture every 10 s."""
    spec = importlib.util.spec_from_file_location("verify", FOLDER / "verify.py")
    verify = importlib.util.module_from_spec(spec)
    sys.modules["verify"] = verify
    spec.loader.exec_module(verify)
    whole = load("salvo-2-2019")
    monkeypatch.setattr(verify, "load", lambda _: replace(whole, sensors=whole.sensors[::3], picture_step=10.0))
    done = CliRunner().invoke(verify.main, ["salvos", "salvo-2-2019", "--seeds", "1", "--regime", "plots"], catch_exceptions=False)
    lines = [line.split() for line in done.output.splitlines() if line.startswith(("realtime", "plots"))]
    assert [line[:2] for line in lines] == [["plots", "all"]] and "complete >= 0.97, ambiguity <= 1.02" in done.output
    for line in lines:
        assert [float(v) for v in line[2:9:2]] == pytest.approx([1.0, 1.0, 0.0, 1.0], abs=0.05)
        assert set(line[3:10:2]) <= {"yes", "NO"} and line[5] == line[7] == "yes"


def test_the_command_passes_its_options_on(bench, monkeypatch):
    verify, salvos, asked = bench("verify"), bench("salvos"), []
    monkeypatch.setattr(salvos, "measure", lambda scenario, regimes, seeds, *_: asked.append((scenario.bias, list(regimes), list(seeds))))
    monkeypatch.setattr(salvos, "table", lambda name, found, seeds: f"{name}: {seeds}")
    done = CliRunner().invoke(verify.main, ["salvos", "salvo-2-2019", "--seeds", "2", "--first", "7", "--no-bias"], catch_exceptions=False)
    assert asked == [(0.0, list(salvos.REGIMES), [7, 8])] and done.output.strip() == "salvo-2-2019, sensors without bias: 2"


# Mended by what the table showed -------------------------------------------------------------------------------------


def test_what_lies_under_the_ground_leaves_the_picture_while_others_are_aloft():
    site = frames.ecef(np.radians(39.0), np.radians(129.0), np.array([-500.0, 20e3, -500.0, -500.0, 30e3]))
    up = site / np.linalg.norm(site, axis=1, keepdims=True)
    speed = np.array([-300.0, -900.0, -300.0, 200.0, 500.0])
    x = np.hstack([site, up * speed[:, None]])
    time = np.array([10.0, 10.0, 12.0, 14.0, 14.0])  # alone at 12 s; at 14 s one climbs from under the ground
    assert fusion._down(time, np.zeros(5, int), x).tolist() == [True, False, False, False, False]
    assert not fusion._down(time, np.arange(5), x).any()  # each in a picture of its own


def test_what_has_come_down_does_not_come_back_when_the_last_comes_down_too():
    """All under the ground at one time: 10, 2.5 and 1 s ago; only the last two are within what can be foreseen."""
    site = frames.ecef(np.radians(39.0), np.radians(129.0), np.array([-3000.0, -750.0, -300.0]))
    x = np.hstack([site, -300.0 * site / np.linalg.norm(site, axis=1, keepdims=True)])
    assert fusion._down(np.full(3, 10.0), np.zeros(3, int), x).tolist() == [True, False, False]


def test_a_local_track_is_waited_for_as_long_as_it_was_heard_and_a_little():
    assert patience(Entry(0, 0, 100.0, 104.0, 104.0)) == SILENT + 4.0
    assert patience(Entry(0, 0, 100.0, 300.0, 300.0)) == HOLD


@pytest.mark.parametrize(("lived", "beside", "waited"), [(200.0, False, 90.0), (50.0, False, SILENT + 50.0), (200.0, True, HOLD)])
def test_what_falls_foreseen_is_waited_for_longer_unless_it_is_young_or_its_source_hears_another_beside_it(lived, beside, waited):
    assert patience(Entry(0, 0, 100.0, 100.0 + lived, 300.0, beside=beside, foreseen=90.0)) == waited
    assert stays(e := Entry(0, 0, 0.0, 300.0, 300.0, foreseen=90.0), 390.0, 0.0) and not stays(e, 391.0, 0.0)


# The rival -----------------------------------------------------------------------------------------------------------


def test_stone_soup_is_given_the_same_plots_at_the_same_places(bench):
    pytest.importorskip("stonesoup")
    rival = bench("stonesoup_trackers")
    s = load("salvo-2-2019")
    truth = simulate.fly(s)
    plots = rival.radar_plots(simulate.detect(truth, s, seed=1), s)[:200]
    scans = [list(scan) for _, scan in rival.soup_scans(plots, s)]
    mine = np.array([p.metadata["place"] for scan in scans for p in scan])
    theirs = [np.asarray(p.measurement_model.inverse_function(p), float)[list(rival.MAPPING), 0] for scan in scans for p in scan]
    assert len(mine) == 200
    assert np.linalg.norm(mine - theirs, axis=1).max() < 1e-3


def test_stone_soup_is_told_the_density_of_the_plots_that_it_gets(bench, monkeypatch):
    """It gets no range rates, so whether radars measured them changes nothing."""
    pytest.importorskip("stonesoup")
    rival = bench("stonesoup_trackers")
    monkeypatch.setattr(rival.entrants_soup, "MOST", math.inf)
    s = load("salvo-2-2019")
    d = simulate.detect(simulate.fly(s), s, seed=1)
    d = d[np.isfinite(d.z[:, :3]).all(axis=1)][:200]
    assert np.isfinite(d.z[:, 3]).any()
    with_rates, without = (
        [p.metadata["clutter"] for _, scan in rival.soup_scans(plots, s) for p in scan] for plots in (d, rival.radar_plots(d, s))
    )
    np.testing.assert_allclose(with_rates, without)


def test_until_ends_plots_and_times_of_every_contestant_alike(bench, monkeypatch):
    """And the table says when the first is worse, with what it has too few there."""
    pytest.importorskip("stonesoup")
    rival, asked = bench("stonesoup_trackers"), []

    def found(near):
        def tracker(detections, scenario, *settings):
            asked.append((detections.time.max(), settings[-1]))
            truth = metrics.true_states(simulate.fly(scenario), settings[-1])[:, :, :3]
            return [x[np.isfinite(x[:, 0])][: near(t)] for t, x in zip(settings[-1], truth, strict=True)]

        return tracker

    monkeypatch.setattr(rival, "ours", found(lambda t: 1 if t == 56.0 else None))
    monkeypatch.setattr(rival, "soup", found(lambda t: None))
    done = CliRunner().invoke(rival.main, ["salvo-2-2019", "--seeds", "1", "--until", "60"], catch_exceptions=False)
    assert len(asked) == 4 and all(50.0 < last <= 58.0 and times.tolist() == np.arange(0.0, 60.0, 2.0).tolist() for last, times in asked)
    told = [line.split(":")[0].strip() for line in done.output.splitlines() if "against 0.000" in line]
    assert told == ["56 s"] * 2 and done.output.count("1 missed, 0 of nothing") == 2
