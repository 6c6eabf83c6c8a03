"""The frozen synthetic scenarios under data/synthetic, and the examples: both are what the code makes today."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from copfuse import frozen, study

ROOT = Path(__file__).parents[1]
FROZEN = ROOT / "data" / "synthetic"


def test_every_frozen_scenario_is_named_and_small(build):
    assert sorted(p.name for p in FROZEN.iterdir() if p.is_dir()) == sorted((*build.NAMES, *frozen.names()))
    assert sum(p.stat().st_size for name in build.NAMES for p in (FROZEN / name).glob("*.npz")) < 1e6


def test_the_code_still_makes_the_frozen_tables(build, capsys):
    """After an intended change run ``python data/build_synthetic.py`` and commit what it writes."""
    assert build.main(["--check", *build.NAMES]) == 0, capsys.readouterr().out


def test_the_check_finds_a_changed_number_a_lost_row_and_a_changed_label(build):
    run = study.Run.load(FROZEN / "one-flight")
    assert build.differences(run, run) == []
    truth, picture = run.truth, run.picture
    moved = type(truth)(truth.time, truth.object, truth.x * (1 + 1e-5), truth.phase, truth.meta)
    assert [line.split(":")[0] for line in build.differences(replace(run, truth=moved), run)] == ["fly"]
    assert "fuse: time has" in build.differences(replace(run, picture=picture[1:]), run)[0]
    columns = {name: getattr(picture, name) for name in picture.COLUMNS} | {"track": picture.track + 1}
    assert build.differences(replace(run, picture=type(picture)(**columns, meta=picture.meta)), run) == ["fuse: track differs"]


def test_frozen_tables_carry_their_provenance(build):
    for name in build.NAMES:
        about = json.loads((FROZEN / name / "run.json").read_text())
        assert about["seed"] == build.SEED and about["scenario"]["name"] == name
        run = study.Run.load(FROZEN / name)  # refuses tables whose content is not what run.json names
        assert run.picture.meta["pedigree_uid"] in (run.tracks.uid, run.detections.uid)
        assert "invented" in run.scenario.description.lower()
        assert np.all(run.detections.object < len(run.truth.meta["objects"]))


@pytest.mark.parametrize("example", ["one_launch", "compare_regimes", "lowest_visible_altitude"])
def test_an_example_makes_one_picture(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / f"{example}.py"), run_name="__main__")
    assert [p.name for p in tmp_path.iterdir()] == [f"{example}.png"]
    assert (tmp_path / f"{example}.png").read_bytes()[:4] == b"\x89PNG"
    assert capsys.readouterr().out


def test_there_are_three_examples_one_for_a_cluster_and_two_trackers():
    assert len(list((ROOT / "examples").glob("*.py"))) == 6
