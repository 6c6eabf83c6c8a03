"""`copfuse bench filters`: equal answers come before any speed; what is not installed is said and left out."""

from __future__ import annotations

import csv
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from copfuse import cli, customary, rivals
from copfuse import speed as bench
from copfuse.errors import CopfuseError
from copfuse.kernels import motions


@pytest.fixture(autouse=True)
def short(monkeypatch):
    whole = bench.problem
    monkeypatch.setattr(bench, "problem", lambda plots=5, step=1.0: whole(plots, step))


def test_equal_answers_are_checked_then_ratios_printed(tmp_path, capsys):
    table = tmp_path / "filters.csv"
    with pytest.raises(SystemExit) as left:
        cli.main(["bench", "filters", "--seconds", "0", "--csv", str(table)])
    out = capsys.readouterr().out
    assert left.value.code == 0 and out.index("copfuse and filterpy, as its users write it: equal to") < out.index("us    ratio")
    for word in ("EKF  filterpy", "UKF  filterpy", "IMM  copfuse, 3 models", "IMM  filterpy, 3 models", "numba", "cores"):
        assert word in out
    rows = list(csv.DictReader(table.open()))
    judged = [row for row in rows if row["verdict"]]
    assert len(judged) >= 2 and all(float(row["us_per_step"]) > 0.0 for row in rows)
    for row in judged:
        assert row["verdict"].endswith("reached") and float(row["ratio"]) > 0.0 and row["to"] in [r["filter"] for r in rows]
    assert ("EKF  plain C" in out) == bool(rivals.compiler())
    assert ("UKF  Stone Soup" in out) == bool(rivals.stonesoup_version())


def test_what_is_missing_is_said_and_left_out(monkeypatch):
    monkeypatch.setattr(rivals, "stonesoup_version", lambda: "")
    monkeypatch.setattr(rivals, "compiler", lambda: "")
    monkeypatch.setitem(sys.modules, "stonesoup", None)  # an import of it would fail
    said: list[str] = []
    bench.filters(0.0, say=said.append)
    text = "\n".join(said)
    assert "Stone Soup is not installed" in text and "no C compiler here" in text and "no Stone Soup" in said[0]
    assert "EKF  Stone Soup" not in text and "EKF  plain C" not in text and "EKF  filterpy" in text


def test_an_unequal_answer_stops_it_before_any_speed(monkeypatch):
    right = rivals.filterpy_extended
    monkeypatch.setattr(rivals, "filterpy_extended", lambda p: right(replace(p, sigma=1.01 * p.sigma)))
    said: list[str] = []
    with pytest.raises(CopfuseError, match="EKF, copfuse and filterpy, .* differ by .* no speed is printed"):
        bench.filters(0.0, say=said.append)
    assert not any("us    ratio" in sentence for sentence in said)


def test_the_plain_transition_is_the_derivative_of_the_plain_step():
    p = bench.problem()
    points, _ = rivals.stages(p.x.tolist(), 2.0)
    steps = np.array([10.0] * 3 + [1.0] * 3)
    columns = [
        (np.array(rivals.stages((p.x + e).tolist(), 2.0)[1]) - rivals.stages((p.x - e).tolist(), 2.0)[1]) / (2.0 * h)
        for e, h in zip(np.diag(steps), steps, strict=True)
    ]
    assert np.allclose(rivals.transition(points, 2.0), np.array(columns).T, rtol=0, atol=2e-8)


@pytest.mark.parametrize("plain", [rivals, customary])
def test_the_slope_is_the_derivative_of_the_look(plain):
    p = bench.problem()

    def look(x):
        return np.array(plain.look(x, p.origin, p.axes))

    columns = [(look(p.x + e) - look(p.x - e)) / 20.0 for e in np.diag([10.0] * 3 + [0.0] * 3)]
    assert np.allclose(plain.slope(p.x, p.origin, p.axes), np.array(columns).T, rtol=1e-6, atol=1e-14)


def test_models_as_users_write_them_are_those_written_for_speed():
    p = bench.problem()
    points, end = rivals.stages(p.x.tolist(), 2.0)
    found, there = customary.stages(p.x, 2.0)
    assert np.allclose(there, end, rtol=1e-14) and np.allclose(found, np.array(points), rtol=1e-14)
    assert np.allclose(customary.transition(found, 2.0), rivals.transition(points, 2.0), rtol=1e-12, atol=1e-18)
    thrusting = np.append(p.x, [30.0, 0.01])
    assert np.allclose(customary.stages(thrusting, 2.0)[1], rivals.stages(thrusting.tolist(), 2.0)[1], rtol=1e-14)
    s, k, y = np.append(thrusting, 0.0), np.zeros((4, 9)), np.zeros(9)
    motions.propagate(motions.BOOST, 8, s, 2.0, k, y)
    assert np.allclose(rivals.stages(thrusting.tolist(), 2.0)[1], s[:8], rtol=1e-14)
    assert np.allclose(customary.residual(np.array([5.0, 3.1, -3.1]), np.array([2.0, -3.1, 3.1])), [3.0, 6.2 - 2 * np.pi, 2 * np.pi - 6.2])


def test_targets_are_judged_on_filters_as_users_write_them():
    _, lines = bench.contest(bench.problem())
    judged = [line.name for line in lines if line.target > 0.0]
    assert judged and all(bench.USERS in name for name in judged)


@pytest.mark.parametrize("count", [3, 5])
def test_as_many_models_as_the_line_says_are_computed_at_every_step(count):
    seen: list[np.ndarray] = []
    bench.models(bench.problem(40), 2, bench.AWAKE[count], seen)
    assert len(seen) == 40 and (np.sum(seen, axis=1) == count).all()
    assert count == 5 or all((np.flatnonzero(row) == sorted(bench.THREE)).all() for row in seen)


def test_models_left_asleep_stop_it_before_any_speed(monkeypatch):
    monkeypatch.setitem(bench.AWAKE, 5, (0.0, 1.0, 0.0, 0.0, 0.0))
    with pytest.raises(CopfuseError, match="of the IMM's models 1 to 1 were computed, not 5"):
        bench.mixtures(bench.problem())


def test_three_models_unlike_filterpys_stop_it(monkeypatch):
    monkeypatch.setattr(bench, "STEADY", 1.1 * bench.STEADY)
    right = bench.problem()
    monkeypatch.setattr(bench, "STEADY", bench.STEADY / 1.1)
    with pytest.raises(CopfuseError, match="IMM, switching off, .* differ by"):
        bench.mixtures(right)


def test_the_three_models_compared_are_compared_for_long():
    """Until the boost model, which has nothing to explain, would fall asleep: in the command's 200 scans, and in these 125."""
    p = bench.problem(125)
    assert 100 <= len(bench.unswitched(p)[0]) < 125
    assert len(bench.mixtures(p)[0]) == 3


def test_verdicts():
    took = {"ours": 1.0, "far": 150.0, "near": 50.0, "c": 0.5}
    line = bench.Line("far", lambda: None, 1, "ours", 100.0)
    assert bench.verdict(line, took) == (150.0, "at least 100: reached")
    assert bench.verdict(replace(line, name="near"), took)[1] == "at least 100: not reached"
    assert bench.verdict(replace(line, name="c", target=-1.5), took) == (2.0, "ours / C, at most 1.5: not reached")
    assert bench.verdict(replace(line, name="c", target=-2.5), took)[1].endswith("at most 2.5: reached")


def test_cold_start_is_timed_in_processes_of_their_own(monkeypatch):
    """The second process finds what the first one compiled (one kernel, for all that a run needs)."""
    light = "import numpy as np\nfrom copfuse import speed, study\nfrom copfuse.kernels import motions\n"
    light += "speed.warm = lambda: motions.propagate(1, 6, np.full(9, 4e6), 1.0, np.zeros((4, 9)), np.zeros(9))\n"
    light += "study.run = lambda *_, **__: speed.warm()\n"
    monkeypatch.setattr(bench, "_LOAD", light + bench._LOAD)
    said = bench.cold()
    first, every, loaded = (float(re.search(r"([\d.]+) s;", sentence)[1]) for sentence in said)
    assert first > loaded >= 0.0 and every > 2.0 * loaded and said[2].endswith("below 2 s: reached")
