"""What a user hands to a verb by mistake is refused in one sentence that says what and what would have worked."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import copfuse as cf
from conftest import EPOCH, picture_of, plots_of, straight_truth
from copfuse.errors import CopfuseError
from copfuse.tables import Detections, Messages, Tracks

SCENARIO = SimpleNamespace(name="test", epoch=EPOCH, sensors=(), picture_step=2.0, duration=None, bias=0.0, regime="none")
TIMES = np.arange(0.0, 21.0, 2.0)
TRUTH = straight_truth([(0, 0, 0), (50e3, 0, 0)], [TIMES, TIMES])
PICTURE = picture_of([(t, "HUB", 0, TRUTH.x[k]) for k, t in enumerate(TIMES)])
NAME = "scenario is 'hokkaido-2017', expected a Scenario, such as cf.load('hokkaido-2017') gives"


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda name: cf.fly(name), f"fly: {NAME}"),
        (lambda name: cf.detect(TRUTH, name), f"detect: {NAME}"),
        (lambda name: cf.track(Detections.empty(), name), f"track: {NAME}"),
        (lambda name: cf.share(Tracks.empty(), name), f"share: {NAME}"),
        (lambda name: cf.fuse(Tracks.empty(), Messages.empty(), name), f"fuse: {NAME}"),
        (lambda name: cf.score(PICTURE, TRUTH, name), f"score: {NAME}"),
        (lambda name: cf.bound(TRUTH, name), f"bound: {NAME}"),
        (lambda name: cf.reconstruct(Detections.empty(), name), f"reconstruct: {NAME}"),
    ],
)
def test_a_scenarios_name_is_no_scenario(call, said):
    with pytest.raises(CopfuseError) as refused:
        call("hokkaido-2017")
    assert str(refused.value) == said


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: cf.detect(PICTURE, SCENARIO), "detect: truth is of type Picture, expected a Truth table"),
        (lambda: cf.track(TRUTH, SCENARIO), "track: detections is of type Truth, expected a Detections table"),
        (lambda: cf.share(TRUTH, SCENARIO), "share: tracks is of type Truth, expected a Tracks table"),
        (lambda: cf.fuse(Messages.empty(), Tracks.empty(), SCENARIO), "fuse: tracks is of type Messages"),
        (lambda: cf.score(TRUTH, PICTURE, SCENARIO), "score: picture is of type Truth, expected a Picture table"),
        (lambda: cf.bound(None, SCENARIO), "bound: truth is of type NoneType"),
        (lambda: cf.reconstruct(TRUTH, SCENARIO), "reconstruct: detections is of type Truth"),
        (lambda: cf.plot(TRUTH), "plot: got Truth, expected a run"),
        (lambda: cf.share(Tracks.empty(), SCENARIO, seed=-1), "seed = -1 is not a whole number of 0 or more"),
        (lambda: cf.share(Tracks.empty(), SCENARIO, seed="a"), "seed = 'a' is not a whole number of 0 or more"),
        (lambda: cf.share(Tracks.empty(), SCENARIO, regime=5), "there is no regime 5 "),
        (lambda: cf.load(None), "scenario is None, expected a packaged name"),
        (lambda: cf.reproduce("missed-2019", n_jobs=0), "n_jobs = 0 is no number of processes"),
        (lambda: cf.reconstruct(plots_of([(1.0, 0, 0)]), SCENARIO, rows=[7]), "rows do not fit 1 detections"),
        (lambda: cf.bound(TRUTH, SCENARIO, object=9), "the truth has no path of object 9; its objects are [0, 1]"),
    ],
)
def test_what_is_not_what_the_verb_takes(call, said):
    with pytest.raises(CopfuseError) as refused:
        call()
    assert str(refused.value).startswith(said)


def test_plots_of_another_laydown_are_refused():
    scenario = cf.load("2019-07-25-1")
    names = [sensor.name for sensor in scenario.sensors]
    for sensors, said in (
        (scenario.sensors[1:], f"sensor 0 is {names[0]!r} in these detections and {names[1]!r} in scenario '2019-07-25-1'"),
        (scenario.sensors[:-1], f"sensor 38 is {names[-1]!r} in these detections and none in scenario"),
    ):
        with pytest.raises(CopfuseError) as refused:
            cf.track(Detections.empty(sensors=names), replace(scenario, sensors=sensors))
        assert str(refused.value).startswith(said)
    cf.track(Detections.empty(sensors=names), scenario)
    cf.track(Detections.empty(), scenario)


def test_the_truth_of_another_scenario_is_refused():
    with pytest.raises(CopfuseError, match="this truth is of the scenario 'another', not of 'test'; fly that one"):
        cf.score(PICTURE, replace(TRUTH, meta={**TRUTH.meta, "scenario": "another"}), SCENARIO)


def spoilt(table, column, row, value):
    changed = getattr(table, column).copy()
    changed[row] = value
    return replace(table, **{column: changed})


@pytest.mark.parametrize(
    "column, value, said",
    [
        ("x", np.nan, "Picture row 3: x is [nan nan nan nan nan nan]; needed: finite m and m/s"),
        ("P", np.nan, "Picture row 3: P's diagonal is [nan nan nan nan nan nan]; needed: P finite, variances above 0"),
        ("P", -np.eye(6), "Picture row 3: P's diagonal is [-1. -1. -1. -1. -1. -1.]"),
        ("node", 9, "Picture row 3: node is 9; needed: 0 to 3"),
        ("time", np.inf, "Picture row 3: time is inf"),
    ],
)
def test_pictures_that_cannot_be_scored(column, value, said):
    with pytest.raises(CopfuseError) as refused:
        cf.score(spoilt(PICTURE, column, 3, value), TRUTH, SCENARIO)
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("verb", [lambda truth: cf.score(PICTURE, truth, SCENARIO), lambda truth: cf.detect(truth, SCENARIO)])
def test_truth_that_nothing_can_have_flown(verb):
    for truth, said in (
        (spoilt(TRUTH, "x", 4, np.nan), "Truth row 4: time with x is [ 8. nan"),
        (spoilt(TRUTH, "time", 4, np.nan), "Truth row 4: time with x is [ nan"),
        (TRUTH[::-1], "Truth row 1: time is 18.0; needed: an object's rows one after the other, in order of time"),
    ):
        with pytest.raises(CopfuseError) as refused:
            verb(truth)
        assert said in str(refused.value) and "\n" not in str(refused.value)
    verb(TRUTH)


def test_an_object_cut_out_of_the_truth_was_never_aloft():
    alone = cf.score(PICTURE, TRUTH[TRUTH.object == 0], SCENARIO)
    assert (alone.n_truth == 1).all() and (alone.n_matched[alone.node == 3] == 1).all()
    assert len(cf.score(PICTURE, TRUTH[:0], SCENARIO)) == 0 or (cf.score(PICTURE, TRUTH[:0], SCENARIO).n_truth == 0).all()
