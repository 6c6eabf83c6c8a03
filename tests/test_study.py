"""`run`, what it prints, and that a saved run comes back whole."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from conftest import EPOCH, picture_of, plots_of, straight_truth
from copfuse import metrics, study
from copfuse.errors import CopfuseError
from copfuse.laydowns import Sensor
from copfuse.scenario import Launch, Scenario
from copfuse.study import Run
from copfuse.tables import Messages, Tracks


def made_run(missiles=1):
    """A run put together by hand: straight flights of 60 s that Korea plots from 5 s on and tracks from 10 to 40 s."""
    times = np.arange(0.0, 61.0)
    truth = straight_truth([(40e3 * i, 0, 0) for i in range(missiles)], [times] * missiles)
    rows = [
        (float(t), node, i, truth.x[(truth.object == i)][int(t)])
        for t in range(10, 41, 2)
        for node in ("KOR", "HUB")
        for i in range(missiles)
    ]
    picture = picture_of(rows)
    sensors = (Sensor("KR-A", "KOR"), Sensor("JP-B", "JPN"))
    launches = tuple(Launch("ballistic", f"m{i}") for i in range(missiles))
    scenario = Scenario("by-hand", EPOCH, launches, sensors, title="A flight by hand")
    detections = plots_of([(5.0 + i, 0, i) for i in range(missiles)])
    score = metrics.score(picture, truth, scenario)
    seconds = dict.fromkeys(study.STAGES, 0.5)
    return Run(scenario, "none", 3, truth, detections, Tracks.empty(), Messages.empty(), picture, score, seconds)


def test_the_print_of_one_missile():
    text = str(made_run())
    lines = text.splitlines()
    assert lines[0] == "by-hand: A flight by hand"
    assert "regime none, seed 3, 1 missile, 2 sensors, from 2024-01-14 05:53:00 UTC" in text and "notional" in text
    assert re.search(r"^fly +Truth +61 +0.50$", text, re.M) and re.search(r"^all +[\d,]+ +3.00$", text, re.M)
    (kor,) = [line.split() for line in lines if re.match(r"KOR +5 ", line)]
    height = metrics.sightings(made_run())[0].firm_track.altitude / 1e3
    assert kor[:5] == ["KOR", "5", kor[2], "10", f"{height:.0f}"]
    assert "40" in kor and kor[-2] == "52"  # lost at 40 s, 16 of 31 times held
    (jpn,) = [line.split() for line in lines if re.match(r"JPN +- ", line)]
    assert jpn == ["JPN", "-", "-", "-", "-", "-", "-", "0", "-"]
    assert max(map(len, lines)) <= 100
    assert "s after ignition" in text and "altitude in km" in text and "%" in text


def test_a_mean_nees_that_stands_on_a_few_times_is_said_to_do_so():
    """One time in thirty at which a track stands on another's object: the mean is 300 times the median."""
    run = made_run()
    held = np.flatnonzero(run.score.n_matched > 0)
    for worst, said in ((6.0, False), (6e4, True)):
        nees = run.score.nees.copy()
        nees[held] = 6.0
        nees[held[3]] = worst
        text = str(replace(run, score=replace(run.score, nees=nees)))
        assert ("its median over times is 6.0" in text) == said


def test_what_flies_is_counted_in_words():
    assert [study._counted(1, kind) for kind in ("missile", "stage", "debris")] == ["1 missile", "1 stage", "1 fragment"]
    assert study._counted(6, "debris") == "6 fragments" and study._counted(2, "stage") == "2 stages"
    run = made_run()
    one = replace(run, scenario=replace(run.scenario, sensors=run.scenario.sensors[:1]))
    assert "1 missile, 1 sensor, from" in study._header(one)[1]


def test_the_print_of_several_missiles_is_one_table():
    text = str(made_run(3))
    assert [text.count(f"\nm{i} ") for i in range(3)] == [1, 1, 1]
    assert text.count("custody") == 1 and "3 missiles" in text and max(map(len, text.splitlines())) <= 100


def test_a_run_in_a_prompt_is_one_line(pull_up):
    assert repr(pull_up).startswith("Run('pull-up-2019', regime 'realtime', seed ") and len(repr(pull_up)) < 250


def test_the_print_without_missiles():
    run = made_run()
    stage = replace(run.truth, meta={"objects": [{**run.truth.meta["objects"][0], "kind": "stage"}]})
    assert "no missile" in str(replace(run, truth=stage))


def test_a_saved_run_comes_back(tmp_path):
    run = made_run(2)
    folder = run.save(tmp_path / "run")
    back = Run.load(folder)
    assert str(back) == str(run)
    assert {v: t.uid for v, t in back.tables().items()} == {v: t.uid for v, t in run.tables().items()}
    assert repr(back.scenario) == repr(run.scenario) and back.scenario.epoch == EPOCH
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]
    other = replace(run, seed=4)
    other.save(folder)  # an earlier run is replaced
    assert Run.load(folder).seed == 4 and sorted(p.name for p in tmp_path.iterdir()) == ["run"]


def test_nothing_is_half_saved(tmp_path, monkeypatch):
    run = made_run()
    run.save(tmp_path / "run")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(run.score), "save", interrupted)
    for name in ("run", "new"):
        with pytest.raises(KeyboardInterrupt):
            replace(run, seed=9).save(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"] and Run.load(tmp_path / "run").seed == 3


def test_folders_that_are_refused(tmp_path):
    run = made_run()
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("")
    for name, said in (("file", "it is a file"), ("full", "not empty"), ("no/where", "there is no folder")):
        with pytest.raises(CopfuseError, match=said):
            run.save(tmp_path / name)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_saved_runs_that_are_refused(tmp_path):
    with pytest.raises(CopfuseError, match="there is no saved run"):
        Run.load(tmp_path)
    folder = made_run().save(tmp_path / "run")
    made_run(2).save(tmp_path / "other")
    (tmp_path / "other" / "truth.npz").replace(folder / "truth.npz")
    with pytest.raises(CopfuseError, match="another run's"):
        Run.load(folder)
    about = json.loads((folder / "run.json").read_text())
    del about["scenario"]
    (folder / "run.json").write_text(json.dumps(about))
    with pytest.raises(CopfuseError, match="run.json"):
        Run.load(folder)
    (folder / "run.json").write_text("{")
    with pytest.raises(CopfuseError, match="run.json"):
        Run.load(folder)


@pytest.mark.parametrize(
    "options, said", [({"regime": "realtme"}, "did you mean 'realtime'"), ({"seed": -1}, "seed = -1"), ({"seed": 1.5}, "seed = 1.5")]
)
def test_bad_regimes_and_seeds_are_refused_before_the_work(options, said):
    called = []
    with pytest.raises(CopfuseError, match=said):
        study.run("hokkaido-2017", **options, progress=called.append)
    assert called == []


def test_a_whole_run(pull_up):
    """KN-23, 25 July 2019: stages in order, all tables of one run, one missile that somebody holds."""
    assert list(pull_up.seconds) == list(study.STAGES) and pull_up.regime == "realtime"
    assert pull_up.messages.meta["tracks_uid"] == pull_up.tracks.uid
    assert pull_up.score.meta["picture_uid"] == pull_up.picture.uid
    seen = {s.node: s for s in pull_up.sightings()}
    assert 0 < seen["KOR"].first_plot.time < seen["KOR"].firm_track.time < seen["KOR"].flight_time
    assert seen["HUB"].first_plot.time == min(seen[n].first_plot.time for n in ("KOR", "JPN", "USA"))
    assert all(0 <= s.custody <= 1 for s in seen.values())


def test_the_same_seed_gives_the_same_bytes(pull_up):
    again = study.run("pull-up-2019", seed=1)
    assert {v: t.uid for v, t in again.tables().items()} == {v: t.uid for v, t in pull_up.tables().items()}


def test_a_whole_run_is_saved_and_loaded(pull_up, tmp_path):
    back = Run.load(pull_up.save(tmp_path / "run"))
    assert str(back) == str(pull_up) and repr(back.scenario) == repr(pull_up.scenario)
