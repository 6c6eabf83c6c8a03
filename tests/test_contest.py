"""Entrants in processes of their own: faults cost their own cells, quality is the same by any number of processes; tables, files, page."""

from __future__ import annotations

import csv
import json
import math
import shutil
import signal
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import copfuse as cf
from conftest import plots_of
from copfuse import arena, cli, console, contest, contest_page, contestant, judging, standings
from copfuse.arena import Result
from copfuse.cli_bench import Bar
from copfuse.errors import CopfuseError
from copfuse.intervals import bootstrap
from copfuse.scenario import Launch
from copfuse.standings import Contest
from test_judging import case, straight_truth

FAULTY, FINE = "ring_of_entrants:faulty", "ring_of_entrants:fine"
# What each case's name makes the entrant do
ENTRANTS = '''
import os, signal, subprocess, sys, time
import numpy as np
from copfuse.tables import Picture

calls = 0


def rows(n, scenario, x=6.6e6, at=0.0):
    """A picture of n rows of one track that stands still."""
    shapes = {name: (n, *shape) for name, (_, shape) in Picture.COLUMNS.items()}
    columns = {name: np.zeros(shape) for name, shape in shapes.items()}
    for name in ("impact_point", "impact_point_P", "time_to_impact", "time_to_impact_sigma"):
        columns[name] = np.full(shapes[name], np.nan)
    columns["time"] = at + scenario.picture_step * np.arange(n)
    columns["node"], columns["P"] = np.full(n, 3), np.tile(1e6 * np.eye(6), (n, 1, 1))
    columns["x"] = np.tile(np.r_[x, 0, 0, 0, 0, 0], (n, 1))
    return Picture(**columns)


def fine(detections, scenario):
    assert (detections.object == -1).all() and scenario.launches == ()
    print("this goes nowhere")
    return rows(5, scenario)


def longer(detections, scenario):
    return rows(9, scenario)


def faulty(detections, scenario):
    global calls
    calls += 1
    what = scenario.name
    if what == "raises":
        raise ValueError("boom,\\n and more")
    if what == "hangs":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "begun-by-an-entrant"])
        while True:
            time.sleep(1)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "leaves":
        os._exit(3)
    if what == "exits":
        sys.exit("enough")
    if what == "nonsense":
        return [1, 2, 3]
    if what == "nan":
        return rows(5, scenario, x=float("nan"))
    if what == "outside":
        return rows(5, scenario, at=1000.0)
    return rows(calls, scenario)

'''
FAULTS = {
    "fine": "",
    "raises": "failed: ValueError: boom, and more (",
    "exits": "failed: SystemExit: enough (",
    "nonsense": "failed: it returned list, not a copfuse Picture; entering.picture makes one of plain arrays",
    "nan": "failed: Picture row 0: x is",
    "outside": "failed: Picture row 0: time is 1000",
    "killed": "failed: its process was ended by signal 9 (SIGKILL)",
    "leaves": "failed: it ended its process with exit code 3",
    "hangs": "stopped after 2 s",
    "after": "",
}


def named(name: str):
    """A small case whose name tells a faulty entrant what to do."""
    made = case(straight_truth([(0, 0, 0), (50e3, 0, 0)], [np.arange(0, 20.5, 1), np.arange(4, 20.5, 1)]))
    plots = plots_of([(2, 0, 0), (2, 1, 0), (4, 0, -1), (4, 0, 1)])
    plots = replace(plots, meta={"sensors": ["KR-A", "JP-B"], "scenario": name, "schedule": "", "absent": []})
    return replace(made, name=name, scenario=replace(made.scenario, name=name), detections=plots, arrived=np.zeros(4))


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """The entrants' module, importable here and so in their processes."""
    folder = tmp_path_factory.mktemp("ring")
    (folder / "ring_of_entrants.py").write_text(ENTRANTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setattr(console, "compiled", lambda modules: True)
        yield folder


@pytest.fixture(scope="module")
def held(ring):
    """One contest with every fault, by two processes."""
    cases = [named(name) for name in FAULTS]
    seen = []
    made = cf.bench([FAULTY], cases, limit=2.0, reference=FINE, progress=lambda *now: seen.append(now))
    return made, seen


def test_each_fault_costs_its_own_cell_and_is_said_in_one_sentence(held):
    made, seen = held
    for name, said in FAULTS.items():
        result = made.of(FAULTY, name)
        assert result.status.startswith(said) and bool(result.status) == bool(said), (name, result.status)
        assert "\n" not in result.status and (result.judged is None) == bool(said)
        assert made.of(FINE, name).status == ""
    assert made.of(FAULTY, "raises").status.startswith("failed: ValueError: boom, and more (ring_of_entrants.py, line ")
    assert "raise ValueError" in made.of(FAULTY, "raises").traceback
    for name in ("nonsense", "killed", "leaves", "hangs"):
        assert made.of(FAULTY, name).status == FAULTS[name]
    assert seen[-1][:2] == (20, 20) and {now[0] for now in seen} == set(range(21))
    assert not made.stopped and made.entrants == (FINE, FAULTY)


def test_times_and_memory_are_an_entrants_own(held):
    made, _ = held
    first, last = made.of(FINE, "fine"), made.of(FINE, "hangs")
    assert first.cold_s > first.warm_s > 0.0 and math.isnan(made.of(FINE, "raises").cold_s)
    assert 20.0 < first.peak_mb < 2000.0 and last.peak_mb > 20.0
    assert 0.0 < first.us_per_scan < 1e6
    assert made.meta["limit_s"] == 2.0 and "notional" in made.meta["note"] and "numpy" in made.meta["machine"]


def test_what_is_judged_does_not_depend_on_the_number_of_processes(held):
    made, _ = held
    names = ("fine", "raises", "after")
    alone = contest.bench(FAULTY, [named(name) for name in names], jobs=1, limit=30.0, reference=FINE)
    for entrant in alone.entrants:
        for name in names:
            one, other = alone.of(entrant, name), made.of(entrant, name)
            assert one.status == other.status
            assert (one.judged is None) == (other.judged is None)
            if one.judged and other.judged and entrant == FINE:
                np.testing.assert_equal(one.judged.figures, other.judged.figures)
                np.testing.assert_equal(one.judged.curve, other.judged.curve)


def test_who_has_used_up_its_time_is_not_asked_again(ring):
    board = arena.Board([FAULTY], [named("fine"), named("after")], 2.0, {FAULTY: 0.0})
    results, stopped = arena.run(board, 2, lambda *now: None)
    assert [r.status for r in results] == ["stopped: the time that it has for all cases is used up"] * 2 and not stopped


def test_kernels_are_compiled_before_the_clock_starts_by_no_more_entrants_than_it_takes(monkeypatch):
    asked: list[str] = []

    class Child:
        def __init__(self, name):
            self.name = name

        def ask(self, blinded, limit):
            asked.append(self.name)

        def close(self):
            asked.append("closed")

    def compiled(modules):
        return len(asked) >= 2 * (1 + ("jpda" in modules))  # the first compiles all but what the second needs

    said: list[int] = []
    monkeypatch.setattr(arena, "Child", Child)
    monkeypatch.setattr(console, "compiled", compiled)
    names = ["gnn", "jpda", "mht", "my:own"]
    arena._compile(arena.Board(names, [named("fine")], 2.0), lambda: said.append(1))
    assert asked == ["gnn", "closed", "jpda", "closed"] and len(said) == 2
    asked.clear()
    arena._compile(arena.Board(["my:own"], [named("fine")], 2.0), lambda: said.append(1))
    assert asked == [] and len(said) == 2


def test_light_cases_come_first():
    heavy, light = named("heavy"), replace(named("light"), detections=plots_of([(2, 0, 0)]))
    light = replace(light, detections=replace(light.detections, meta=heavy.detections.meta))
    board = arena.Board(["a", "b"], [heavy, light], 2.0, {"a": 1.0, "b": 1.0})
    assert [board.next(""), board.next("a"), board.next("a"), board.next("b"), board.next("b")] == [
        ("a", 1), ("a", 0), ("b", 1), ("b", 0), None
    ]  # fmt: skip
    assert board.scans == [3, 1]


def test_a_process_ends_with_what_it_has_begun(held):
    if not shutil.which("ps"):
        pytest.skip("nobody here lists processes")
    assert "begun-by-an-entrant" not in subprocess.run(["ps", "axww"], capture_output=True, text=True).stdout


def test_ctrl_c_keeps_what_is_done(ring, tmp_path, monkeypatch, capsys):
    """By the command line: what is done is printed and written, and the command leaves with 130."""
    monkeypatch.setattr(contest.frozen, "load", named)
    monkeypatch.setattr(Bar, "show", lambda self, done, total, what: signal.raise_signal(signal.SIGINT) if done == 2 else None)
    out, before = tmp_path / "bench.json", signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    words = ["--case", "fine", "--case", "hangs", "--entrant", FAULTY, "--against", FINE, "--jobs", "1"]
    try:
        with pytest.raises(SystemExit) as left:
            cli.main(["bench", *words, "--json", str(out)])
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr()
    assert left.value.code == 130 and "Stopped by Ctrl-C: 2 of 4 were not run" in said.out and "no file is half-written" in said.err
    told = json.loads(out.read_text())
    assert [r["status"] for r in told["results"]] == ["", "", "not run", "not run"] and told["header"]["stopped"]


def test_without_a_terminal_one_line_says_how_much_there_is(capsys):
    with Bar() as bar:
        bar.show(0, 6, "compiling")
        bar.show(1, 6, "one on case")
    assert capsys.readouterr().err == "copfuse bench: 6 cells, each an entrant on a case, some 3 s each on two cores; compiling\n"


# What is asked for ---------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_refused_in_a_sentence_before_any_work(ring, tmp_path, capsys):
    (tmp_path / "broken_entrant.py").write_text("import nothing_like_this_is_here\nraise ValueError('at once')\n")
    (tmp_path / "wrong_entrant.py").write_text("raise ValueError('at once')\n")
    (tmp_path / "file").write_text("")
    locked = tmp_path / "missing" / "bench.html"
    for words, said in (
        (["--entrant", "gnm"], "there is no entrant 'gnm'; did you mean 'gnn'?"),
        (["--entrant", "nowhere:mine"], "there is no module 'nowhere'"),
        (["--entrant", "ring_of_entrants:none"], "has no function 'none'"),
        (["--entrant", "wrong_entrant:mine"], "the module of 'wrong_entrant:mine' cannot be imported: ValueError: at once"),
        (["--entrant", "broken_entrant:mine"], "'nothing_like_this_is_here'"),
        (["--case", "srbn"], "did you mean 'srbm'?"),
        (["--out", str(locked)], f"there is no folder {str(locked.parent)!r}"),
        (["--csv", str(tmp_path)], "must end in .csv"),
        (["--json", "bench.html"], "must end in .json"),
        (["--quick", "filters"], "an option before 'filters' means nothing"),
    ):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as left:
            patch.syspath_prepend(str(tmp_path))
            cli.main(["bench", *words])
        err = capsys.readouterr().err
        assert left.value.code == 2 and said in err and err.count("\n") == 1, (words, err)


def test_functions_are_entrants_where_another_process_finds_them():
    assert contest._name(standings.text) == "copfuse.standings:text"
    for one in (lambda d, s: None, 3, Contest.of):
        with pytest.raises(CopfuseError, match="no function that another process can import"):
            contest._name(one)
    for wrong in ({"jobs": 0}, {"limit": 0.0}, {"total": -1.0}, {"jobs": 1.5}):
        with pytest.raises(CopfuseError, match=next(iter(wrong))):
            cf.bench(["gnn"], ["srbm"], **wrong)
    assert contest._call(["gnn"], "srbm", True, 5.0, contest.QUICK_TOTAL, 1, "jpda") == (
        "cf.bench(entrants=['gnn'], cases=['srbm'], quick=True, limit=5, jobs=1, reference='jpda')"
    )
    assert contest._call((), (), False, contest.LIMIT, contest.TOTAL, 2, "gnn") == "cf.bench()"


def test_cases_of_one_flight_are_known():
    launch = Launch("record", "a", id="2017-03-06-1")
    plain = replace(named("fine").scenario, launches=(launch,))
    shed = replace(plain, launches=(replace(launch, name="b", separate=True, debris=4),))
    other = replace(plain, launches=(replace(launch, id="2017-03-06-2"),))
    keys = [contest._flight(replace(named("fine"), scenario=s)) for s in (plain, shed, other, named("fine").scenario)]
    assert keys[0] == keys[1] != keys[2] and keys[3] == "fine"


def test_an_error_is_one_sentence():
    assert contestant.sentence(KeyError("a")) == "KeyError: 'a'"
    assert contestant.sentence(CopfuseError("plain words")) == "plain words"
    assert len(contestant.sentence(ValueError("x" * 1000))) < 330 and contestant.sentence(MemoryError()) == "MemoryError"


# Standings, by made-up results ---------------------------------------------------------------------------------------

NAMES = ("gnn", "mine", "package.tracker:picture")


def made_up(cases=8, stopped=False) -> Contest:
    """Three entrants over some cases of two missiles: "mine" is 100 m better on each, the third finishes only half."""
    names, results = tuple(f"case-{k}" for k in range(cases)), []
    for e, entrant in enumerate(NAMES):
        for k, case_name in enumerate(names):
            if e == 2 and k % 2:
                results.append(Result(entrant, case_name, "stopped after 60 s" if k > 1 else "failed: ValueError: boom (a.py, line 1)"))
                continue
            figures = {key: float(k + 1) for key in judging.FIGURES} | {"glide_over_bound": math.nan}
            figures |= {"gospa": 1000.0 * (k + 1) - 100.0 * (e == 1), "ellipse50_s": math.inf if k else 100.0, "completeness": 0.5}
            missiles = [
                {"object": i, "name": f"m{i}", "gospa": figures["gospa"] + 10.0 * (e == 1) * (2 * i - 1) * (k - 3), "completeness": 0.5,
                 "longest_segment": 0.5, "position_rmse": 10.0, "firm_s": 10.0 + k + 10 * i, "ellipse50_s": figures["ellipse50_s"]}
                for i in range(2)
            ]  # fmt: skip
            curve = {"time": np.arange(0, 20, 2.0), "gospa": np.linspace(7e3, 100.0, 10), "nees": np.ones(10)}
            judged = judging.Judged(figures, missiles, curve)
            results.append(Result(entrant, case_name, "", judged, (e + 1.0) * 100 * (k + 1), 100.0 + k, 3.0, 1.0))
    meta = {"machine": "a machine", "date": "2026-01-01", "copfuse": "0", "source": "0" * 64, "command": "copfuse bench",
            "note": "notional", "left_out": {"x": "x needs y"}, "seconds": 1.0}  # fmt: skip
    return Contest(NAMES, names, "gnn", tuple(results), {"gnn": "words <on> gnn"}, {}, meta, stopped)


def test_tables_say_what_results_say():
    made = made_up()
    lines = {line[0]: line for line in standings.quality(made).lines}
    heads = standings.quality(made).heads
    value = dict(zip(heads, lines["mine"], strict=True))
    assert value["cases\ndone"] == "8/8" and value["GOSPA\nkm"] == "4.40" and value["compl.\n%"] == "50.0"
    assert value["glide\n/bound"] == "-" and value["50 km\ns"] == "never"  # of sixteen missiles two
    assert value["firm\ns"] == "18.5"  # of 10 to 17 and 20 to 27
    assert lines["picture"][1] == "4/8"
    costs = {line[0]: line for line in standings.cost(made).lines}
    assert costs["mine"][2] == "2.00" and costs["picture"][2] == "3.00"  # over the cases that both finished
    assert float(costs["gnn"][1]) == pytest.approx(100 * math.exp(np.mean(np.log(np.arange(1, 9)))), rel=5e-3)
    assert costs["mine"][3:] == ["107", "3.00", "1.00", ""] and costs["picture"][6] == "3 stopped, 1 failed"
    by_case = standings.by_case(made, "gospa")
    assert by_case.lines[1] == ["case-1", "2.00", "1.90", "failed"] and by_case.lines[3][3] == "stopped"
    text = str(made)
    assert max(map(len, text.splitlines())) <= standings.WIDTH
    for word in (
        "picture: package.tracker:picture",
        "notional",
        "a machine",
        "Made by: copfuse bench",
        "left out: x needs y",
        "on case-3, case-5, case-7: stopped after 60 s",
    ):
        assert word in text


def test_paired_differences_weigh_cases_equally_and_say_no_more_than_their_interval():
    made = made_up()
    mine, third = standings.paired(made)
    assert (mine.flights, mine.cases, mine.missiles, third.cases) == (8, 8, 16, 4)
    assert mine.gospa == bootstrap(np.full(8, -100.0), np.arange(8)) and mine.gospa.sure == -1 and mine.completeness.value == 0.0
    assert standings.conclusion(mine) == "GOSPA smaller"
    assert third.gospa.value == 0.0 and math.isnan(third.gospa.low) and standings.conclusion(third) == "too few flights to say"
    noisy = [replace(r, judged=replace(r.judged, missiles=[m | {"gospa": m["gospa"] + 1e3 * math.sin(3.0 * k)} for m in r.judged.missiles]))
             if r.entrant == "mine" and r.judged else r for k, r in enumerate(made.results)]  # fmt: skip
    unsure = standings.paired(replace(made, results=tuple(noisy)))[0]
    assert unsure.gospa.low < 0.0 < unsure.gospa.high and standings.conclusion(unsure) == "no difference shown"
    flown = standings.paired(replace(made, flights={f"case-{k}": "the same" for k in range(5)}))[0]
    assert flown.flights == 4 and flown.cases == 8 and math.isnan(flown.gospa.low)  # five cases of one flight are no five flights
    assert "[few]" in str(made) and "no difference shown" not in str(made)
    assert standings.conclusion(standings.paired(made_up(0))[0]) == "nothing to compare"


def test_files_hold_every_cell_and_are_whole(tmp_path):
    made = made_up()
    table = list(csv.DictReader(standings.put_csv(made, tmp_path / "b.csv").open()))
    assert len(table) == 24 and float(table[9]["gospa_m"]) == 1900.0 and table[9]["glide_over_bound"] == ""
    assert table[1]["ellipse50_s"] == "inf" and table[17]["status"].startswith("failed: ValueError") and table[17]["gospa_m"] == ""
    told = json.loads(standings.put_json(made, tmp_path / "b.json").read_text())
    assert len(told["missiles"]) == 40 and told["paired"][0]["shown"] == "GOSPA smaller" and told["results"][1]["ellipse50_s"] is None
    page = contest_page.write(made_up(3), tmp_path / "b.html", tmp_path).read_text()
    assert page.count("<img ") == 5 and "words &lt;on&gt; gnn" in page and "<script" not in page and "http" not in page
    assert {path.name for path in tmp_path.glob("*.png")} == {f"{name}.png" for name in contest_page.FIGURES}
    assert not list(tmp_path.glob(".copfuse-*"))
    with pytest.raises(CopfuseError, match="cannot write"):
        standings.put_json(made, tmp_path / "none" / "b.json")


def test_a_page_of_nothing_finished_can_still_be_drawn(tmp_path):
    made = made_up(1)
    nothing = replace(made, stopped=True, results=tuple(Result(r.entrant, r.case) for r in made.results))
    assert "3 of 3 were not run" in str(nothing)
    assert standings.by_case(nothing, "gospa").lines[0][1:] == ["not run"] * 3
    assert contest_page.write(nothing, tmp_path / "b.html").is_file()
