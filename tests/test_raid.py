"""`copfuse bench raid`: the scenario, what is measured, what is held as time goes on, verdicts."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from copfuse import cli, raid
from copfuse.errors import CopfuseError


def test_a_raid_is_many_missiles_of_two_minutes_over_twelve_radars():
    about = raid.raid(30)
    at = np.array([launch.at for launch in about.launches])
    assert len(at) == len({launch.name for launch in about.launches}) == 30 and at.min() >= 0.0 and at.max() < raid.SPREAD
    assert sorted(s.name for s in about.sensors) == sorted(raid.SENSORS) and len(raid.SENSORS) == 12
    assert {(s.search_revisit, s.track_revisit) for s in about.sensors} == {(raid.REVISIT, raid.REVISIT)}
    assert raid.raid(30).launches == about.launches != raid.raid(30, seed=1).launches
    assert raid.raid(10).launches == about.launches[:10]
    with pytest.raises(CopfuseError, match="at least 1"):
        raid.raid(0)


def test_every_verb_is_timed_and_what_is_over_is_forgotten(tmp_path, capsys):
    table = tmp_path / "raid.csv"
    with pytest.raises(SystemExit) as left:
        cli.main(["bench", "raid", "--objects", "6", "--csv", str(table)])
    out = capsys.readouterr().out
    assert left.value.code == 0
    for word in (*raid.CHAIN, "score", "times real time", "MB in use", "tracks followed"):
        assert word in out
    assert "10 times faster than real time: " in out and out.count("reached") == 3
    rows = list(csv.DictReader(table.open()))
    took = {row["what"]: float(row["value"]) for row in rows if row["unit"] == "CPU s"}
    assert set(took) == {*raid.CHAIN, "score"} and min(took.values()) >= 0.0
    aloft = [int(row["value"]) for row in rows if row["what"] == "aloft"]
    assert len(aloft) == 4 and aloft[0] == 6 and aloft[-1] == 0
    held = {what: [int(row["value"]) for row in rows if row["what"] == what and row["unit"] == "held"] for what in ("trackers", "fusion")}
    assert all(len(counts) == 4 and max(counts) > 0 for counts in held.values())


def test_what_is_held_is_that_of_the_last_note_before():
    notes = [(10.0, 3, 100.0), (20.0, 5, 120.0), (30.0, 0, 125.0)]
    assert raid.held(notes, 25.0) == (5, 120.0) and raid.held(notes, 30.0) == (0, 125.0) and raid.held(notes, 5.0) == (0, 100.0)


def test_verdicts_follow_the_figures():
    m = raid.Measured(flown=600.0, seconds=dict.fromkeys(raid.CHAIN, 12.0) | {"score": 1e3}, aloft=[1, 1, 1, 0])
    m.followed, m.known = [(1.0, 100, 1.0), (2.0, 50, 1.0)], [(1.0, 100, 1.0), (2.0, 51, 1.0)]
    assert m.ratio == pytest.approx(10.0)
    said = raid.verdicts(m)
    assert [line.endswith("not reached") for line in said] == [False, False, True] and "10 held" not in said[0]
