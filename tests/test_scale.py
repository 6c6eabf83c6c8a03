"""`copfuse bench association`: equal answers come before any speed; verdicts; what is missing is said and left out."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from copfuse import cli, rivals, scale
from copfuse.errors import CopfuseError


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(scale, "QUICK_SIZES", (5, 100))
    monkeypatch.setattr(scale, "QUICK_FIT", (50, 100))
    monkeypatch.setattr(rivals, "stonesoup_version", lambda: "")


def test_answers_are_compared_then_times_and_verdicts_printed(tmp_path, capsys):
    table = tmp_path / "association.csv"
    with pytest.raises(SystemExit) as left:
        cli.main(["bench", "association", "--quick", "--seconds", "0", "--csv", str(table)])
    out = capsys.readouterr().out
    assert left.value.code == 0 and out.count("gates and totals equal") == 4
    for word in ("scipy dense", "scipy sparse", "gate, k-d tree", "light clutter", "heavy clutter", "gate + JPDA", "exponent"):
        assert word in out
    assert ("lapx is not installed" in out) == (len(scale.solvers()) == 2)
    assert out.count("at least 4: ") == 2 and out.count("at most 1.1: ") == 4
    rows = list(csv.DictReader(table.open()))
    assert {row["tracks"] for row in rows} == {"5", "100"} and all(float(row["us_per_scan"]) > 0.0 for row in rows)


@pytest.mark.parametrize("clutter", ["light", "heavy"])
@pytest.mark.parametrize("n", [1, 30, 200])
def test_all_solvers_have_the_same_total(n, clutter):
    lines, names = scale.contest(scale.scan(n, clutter, seed=1))
    assert {"scipy dense", "scipy sparse"} <= set(names) <= {line.name for line in lines}


def test_another_total_stops_it(monkeypatch):
    right = scale.solvers()
    monkeypatch.setattr(scale, "solvers", lambda: [replace(right[0], solve=lambda matrix: right[0].solve(matrix) + 1e-3)])
    with pytest.raises(CopfuseError, match="at 20 tracks scipy dense totals .* no speed is printed"):
        scale.contest(scale.scan(20, "light"))


def test_another_gate_stops_it(monkeypatch):
    right = scale.tree_gate
    monkeypatch.setattr(scale, "tree_gate", lambda s: tuple(column[1:] for column in right(s)))
    with pytest.raises(CopfuseError, match="the gate and the k-d tree's differ"):
        scale.contest(scale.scan(20, "light"))


def test_exponent():
    assert scale.exponent((100, 200, 400), (1.0, 2.0, 4.0)) == pytest.approx(1.0)
    assert scale.exponent((100, 200, 400), (1.0, 4.0, 16.0)) == pytest.approx(2.0)


def test_a_rival_that_takes_too_long_is_stopped(monkeypatch):
    monkeypatch.setattr(scale, "_SOUP", "import time; time.sleep(30)")
    monkeypatch.setattr(scale, "PATIENCE", 0.1)
    took, apart = scale.soup_time(5, "light", "GNN")
    assert np.isinf(took) and np.isnan(apart)


@pytest.mark.parametrize("rule, apart", [("GNN", 0.0), ("JPDA", 1e-4)])
def test_stone_soup_gives_the_same_answer(rule, apart, capsys):
    pytest.importorskip("stonesoup")
    scale.soup(60, "heavy", rule)
    seconds, difference = map(float, capsys.readouterr().out.split())
    assert seconds > 0.0 and difference <= apart
