"""The tidy rows of one run, against tables made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import EPOCH, picture_of, plots_of, straight_truth
from copfuse import commonality, earliness, metrics
from copfuse.constants import BOOST, GLIDE, MIDCOURSE, NODES, TERMINAL
from copfuse.laydowns import Sensor
from copfuse.scenario import Launch, Scenario
from copfuse.tables import CUE, PLOT, TRACK, Messages, Tracks

SENSORS = (Sensor("KR-A", "KOR"), Sensor("JP-B", "JPN"))


def tracks_of(rows, detections):
    """Tracks from ``(time, node, track, firm, row of detections)``."""
    n = len(rows)
    columns = {name: np.zeros((n, *shape), dtype) for name, (dtype, shape) in Tracks.COLUMNS.items()}
    columns |= {"time": [r[0] for r in rows], "node": [NODES.index(r[1]) for r in rows], "track": [r[2] for r in rows],
                "firm": [r[3] for r in rows], "detection": [r[4] for r in rows]}  # fmt: skip
    return Tracks(**columns, meta={"detections_uid": detections.uid})


def messages_of(rows):
    """Messages from ``(sent, arrived, source, target, kind, row)``."""
    sent, arrived, source, target, kind, row = zip(*rows, strict=True) if rows else ((),) * 6
    ends = ([NODES.index(n) for n in side] for side in (source, target))
    return Messages(np.array(sent, float), np.array(arrived, float), *ends, kind, row, meta={"regime": "realtime"})


def made_run(ignition=0.0):
    """A straight flight of 60 s that boosts to 20 s and falls from 50 s on: Korea plots it from 5 s and holds it from 10 to 40 s with a
    double at 20 s; Japan hears of it; the hub holds it from 20 s on under Korea's number, but at 30 s."""
    times = np.arange(0.0, 61.0) + ignition
    truth = straight_truth([(0, 0, 0)], [times])
    phase = np.select([np.arange(61) < 20, np.arange(61) < 50], [BOOST, MIDCOURSE], TERMINAL)
    truth = replace(truth, phase=phase)

    def state(t, off):
        return truth.x[int(t)] + np.array([off, 0, 0, 0, 0, 0])

    rows = [(ignition + t, "KOR", 0, state(t, 3.0 if t < 20 else 4.0)) for t in range(10, 41, 2)]
    rows += [(ignition + 20.0, "KOR", 1, state(20, 900.0))]
    rows += [(ignition + t, "HUB", 0, state(t, 1.0)) for t in range(20, 41, 2)]
    rows.sort(key=lambda row: (row[0], NODES.index(row[1]), row[2]))
    picture = picture_of(rows)
    track = np.where((picture.node == 3) & (picture.time == ignition + 30.0), 5, picture.track)
    picture = replace(picture, track=track, common=track, age=np.where(picture.node == 0, 0.5, 4.0))
    scenario = Scenario("by-hand", EPOCH, (Launch("ballistic", "m0", at=ignition),), SENSORS)
    detections = plots_of([(ignition + t, 0, 0) for t in (5, 6, 7, 8)] + [(ignition + 9, 0, -1)])
    tracks = tracks_of(
        [(ignition + 5 + k, "KOR", 0, k >= 2, k) for k in range(4)] + [(ignition + 9, "KOR", 1, True, 4)], detections
    )  # fmt: skip
    sent = [(7, 40.0, "KOR", "JPN", TRACK, 2), (7, 33.0, "USA", "JPN", CUE, 3), (9, 12.0, "KOR", "JPN", TRACK, 4),
            (8, math.nan, "KOR", "JPN", TRACK, 3), (7, 11.0, "KOR", "JPN", PLOT, 2)]  # fmt: skip
    messages = messages_of([(ignition + a, ignition + b, *rest) for a, b, *rest in sent])
    return SimpleNamespace(scenario=scenario, regime="realtime", seed=7, truth=truth, detections=detections, tracks=tracks,
                           messages=messages, picture=picture)  # fmt: skip


@pytest.mark.parametrize("ignition", [0.0, 100.0])
def test_the_rows_of_a_flight_by_hand(ignition):
    kor, jpn, usa, hub = earliness.rows(made_run(ignition), cueing=True, without=("US-SBX", "JP-FPS5-SD"))
    assert list(kor) == list(earliness.COLUMNS)
    assert [row["node"] for row in (kor, jpn, usa, hub)] == list(NODES)
    assert (kor["launch"], kor["object"], kor["manoeuvre"], kor["cueing"], kor["without"]) == (
        "by-hand",
        "m0",
        "none",
        1,
        "US-SBX;JP-FPS5-SD",
    )
    assert (kor["regime"], kor["seed"], kor["flight_time_s"]) == ("realtime", 7, 60.0)
    assert (kor["first_plot_s"], kor["own_s"], kor["told_s"], kor["firm_s"], kor["firm_left_s"], kor["lost_s"]) == (5, 7, 7, 10, 50, 40)
    assert kor["ellipse50_s"] == 10 and kor["ellipse50_left_s"] == 50 and math.isnan(kor["ellipse10_s"])
    assert kor["custody"] == pytest.approx(16 / 31, abs=1e-6)
    assert (kor["boost_custody"], kor["midcourse_custody"], kor["terminal_custody"]) == pytest.approx((5 / 10, 11 / 15, 0.0), abs=1e-6)
    assert (kor["boost_rms_m"], kor["midcourse_rms_m"]) == (3.0, 4.0) and math.isnan(kor["terminal_rms_m"])
    assert kor["ambiguity"] == pytest.approx(17 / 16, abs=1e-6) and kor["age_s"] == 0.5
    assert kor["commonality"] == hub["commonality"] == pytest.approx(10 / 11, abs=1e-6) and math.isnan(jpn["commonality"])
    assert (jpn["told_s"], hub["told_s"], hub["own_s"]) == (33.0, 20.0, 7.0)  # a cue before the track; the false track tells nothing
    assert math.isnan(jpn["firm_s"]) and math.isnan(jpn["own_s"]) and jpn["custody"] == 0.0 and math.isnan(usa["told_s"])
    assert math.isnan(kor["error60_m"]) and math.isnan(kor["bound60_m"])


def test_units_keep_so_many_digits():
    assert earliness._rounded("firm_s", 1.23456789) == 1.235 and earliness._rounded("firm_km", 1.23456789) == 1.2346
    assert earliness._rounded("custody", 1 / 3) == 0.333333 and earliness._rounded("seed", np.int64(3)) == 3
    assert math.isnan(earliness._rounded("error60_m", math.nan)) and isinstance(earliness._rounded("node", "KOR"), str)


def test_an_object_that_does_not_land_leaves_no_time_to_impact():
    run = made_run()
    orbit = replace(run.truth, meta={"objects": [{**run.truth.meta["objects"][0], "landed": False}]})
    kor = earliness.rows(SimpleNamespace(**{**vars(run), "truth": orbit}))[0]
    assert kor["firm_s"] == 10 and math.isnan(kor["firm_left_s"]) and math.isnan(kor["ellipse50_left_s"])


def test_a_track_is_of_what_gave_most_of_its_plots():
    detections = plots_of([(1, 0, 0), (2, 0, 1), (3, 0, 1), (4, 0, -1), (5, 1, -1), (6, 1, 0)])
    tracks = tracks_of([(1, "KOR", 0, True, 0), (2, "KOR", 0, True, 1), (3, "KOR", 0, True, 2), (4, "KOR", 1, True, 3),
                        (5, "JPN", 0, True, 4), (6, "JPN", 1, True, 5)], detections)  # fmt: skip
    assert earliness.majority(tracks, detections).tolist() == [1, 1, 1, -1, -1, 0]
    assert earliness.majority(Tracks.empty(), detections).tolist() == []


def test_the_error_at_a_time():
    time, error = np.array([0.0, 2.0, 4.0, 20.0, 22.0]), np.array([1.0, 3.0, 5.0, 7.0, 9.0])
    assert [earliness.at_time(time, error, t) for t in (0.0, 2.0, 3.0, 21.5, 22.0)] == [1.0, 3.0, 4.0, 8.5, 9.0]
    assert all(math.isnan(earliness.at_time(time, error, t)) for t in (-1.0, 10.0, 22.5))
    assert math.isnan(earliness.at_time(time[:0], error[:0], 2.0))


def test_common_numbers_are_counted_with_every_other_node():
    time = np.array([0.0, 2.0, 4.0, 0.0, 2.0, 6.0, 4.0])
    node = np.array([0, 0, 0, 1, 1, 1, 3])
    number = np.array([7, 7, 7, 7, 9, 7, 7])
    assert earliness.common(time, node, number, 0) == pytest.approx(2 / 3)  # with Japan at 0 s, not at 2 s; with the hub at 4 s
    assert earliness.common(time, node, number, 1) == 0.5 and earliness.common(time, node, number, 3) == 1.0
    assert math.isnan(earliness.common(time, node, number, 2))


def test_lines_that_stand_alone_match_as_in_a_crowd():
    """Groups of one line, which need no assignment, and of several: the nearest within the gate, as many as can be, cheapest."""
    rng = np.random.default_rng(8)
    times = np.arange(0.0, 21.0)
    truth = straight_truth([(0, 0, 0), (15e3, 0, 0), (300e3, 0, 0)], [times, times[5:], times])
    rows = []
    for t in range(0, 21, 2):
        for node in NODES:
            for track in range(rng.integers(0, 4) if node == "HUB" else rng.integers(0, 2)):
                x = truth.x[truth.object == 0][t] + np.r_[rng.uniform(-12e3, 30e3), 0, 0, 0, 0, 0]
                rows.append((float(t), node, track, x))
    picture = picture_of(rows)
    found = metrics.match(picture, truth)
    states = metrics.true_states(truth, picture.time)
    for t, node in {(row[0], NODES.index(row[1])) for row in rows}:
        mine = np.flatnonzero((picture.time == t) & (picture.node == node))
        d = np.linalg.norm(states[mine, :, :3] - picture.x[mine, None, :3], axis=2)
        ways = [w for w in product(range(-1, 3), repeat=len(mine)) if len({k for k in w if k >= 0}) == sum(k >= 0 for k in w)]
        ways = [w for w in ways if all(k < 0 or d[i, k] <= 10e3 for i, k in enumerate(w))]
        best = min(ways, key=lambda w: (sum(k < 0 for k in w), sum(d[i, k] for i, k in enumerate(w) if k >= 0)))
        assert found.object[mine].tolist() == list(best)
    assert (np.bincount(found.object[found.object >= 0], minlength=2) > 3).all() and (found.object < 0).any()
    assert [len(rows) for rows in metrics._some(np.arange(25), most=10)] == [10, 10, 5]


def test_phases_of_a_glide_count_as_terminal():
    times = np.arange(0.0, 10.0)
    path = replace(straight_truth([(0, 0, 0)], [times]), phase=np.where(times < 5, MIDCOURSE, GLIDE))
    found = earliness.by_phase(path, times, np.array([4.0, 6.0, 7.0]), np.array([1.0, 3.0, 4.0]))
    assert found["midcourse_custody"] == 0.2 and found["terminal_custody"] == 0.4 and math.isnan(found["boost_custody"])
    assert found["terminal_rms_m"] == pytest.approx(math.sqrt(12.5)) and math.isnan(found["boost_rms_m"])


def test_whose_plots_may_stand_in_a_picture():
    sent = messages_of([(0, 1, "KOR", "JPN", TRACK, 0), (0, math.nan, "USA", "JPN", TRACK, 0), (0, 1, "USA", "KOR", CUE, 0)])
    assert [earliness.sources(sent, k) for k in range(4)] == [("KOR",), ("KOR", "JPN"), ("USA",), ()]
    plots = messages_of([(0, 1, "KOR", "HUB", PLOT, 0), (0, 1, "USA", "HUB", PLOT, 0)])
    assert earliness.sources(plots, 1) == ("KOR", "JPN", "USA") and earliness.sources(plots, 3) == ("KOR", "USA")


def test_rows_agree_with_the_sightings_of_a_real_run(pull_up):
    rows = earliness.rows(pull_up, limits={})
    for row, seen in zip(rows, metrics.sightings(pull_up), strict=True):
        assert (row["node"], row["object"]) == (seen.node, seen.object)
        pairs = (row["firm_s"], seen.firm_track.time), (row["lost_s"], seen.lost.time), (row["custody"], seen.custody)
        np.testing.assert_allclose(*zip(*pairs, strict=True), atol=1e-3)
        assert row["manoeuvre"] == "pull-up"
        assert row["told_s"] <= row["firm_s"] and not (row["node"] != "HUB" and row["told_s"] > row["own_s"])
    korea, japan = rows[0], rows[1]
    assert korea["error120_m"] > 0 and 0 < korea["bound120_m"] < 1e4
    found = commonality.pairs(pull_up)
    for row in rows:
        assert row["commonality"] == pytest.approx(commonality.with_others(found, row["node"]), abs=1e-6)
    assert 0.0 < japan["commonality"] <= 1.0
