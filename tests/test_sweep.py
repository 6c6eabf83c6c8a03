"""The study as it runs: what it refuses, common random numbers, any number of workers, and going on after whatever stopped it."""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import copfuse as cf
from copfuse import cli, cli_study, cueing, earliness, fusion, parts, report, sheets, simulate, study, sweep, units, warming, workers
from copfuse.errors import CopfuseError
from copfuse.laydowns import laydown
from copfuse.tables import Tracks

LAUNCHES = ["2022-01-27-1"]  # an SRBM of 230 s
SENSORS = tuple(s for s in laydown("northeast-asia") if s.name in ("KR-GP-CB", "JP-AEG-W"))
SMALL = {"launches": LAUNCHES, "regimes": ("none", "realtime"), "seeds": 2, "sensors": SENSORS, "cues": False}

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="whole runs without compiled kernels take minutes")


@pytest.fixture(scope="module")
def small():
    return cf.earlier_detection(**SMALL)


def same(a, b):
    assert list(a.columns) == list(b.columns) == list(earliness.COLUMNS)
    for name in a.columns:
        np.testing.assert_array_equal(a.columns[name], b.columns[name], err_msg=name)


def test_a_small_study(small):
    """Rows sorted by launch, regime, seed and node; Japan's firm track comes no later by sharing; every regime saw the same plots."""
    c = small.columns
    assert len(small) == 2 * 2 * 4 and small.meta["launches"] == LAUNCHES and small.meta["not_flown"] == {}
    assert c["regime"].tolist() == ["none"] * 8 + ["realtime"] * 8
    assert c["seed"].tolist() == [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4 and c["node"][:4].tolist() == ["KOR", "JPN", "USA", "HUB"]
    for name in ("first_plot_s", "own_s", "flight_time_s", "apogee_km"):
        np.testing.assert_array_equal(c[name][:8], c[name][8:])
    assert (c["custody"][8:] >= c["custody"][:8] - 0.02).all() and (c["custody"][8:] > c["custody"][:8]).any()
    assert c["flight_time_s"][0] == pytest.approx(229.9, abs=0.1) and set(c["manoeuvre"]) == {"pull-up"}
    assert "notional" in str(small) and "cf.earlier_detection(launches=['2022-01-27-1']" in small.meta["command"]


def test_rows_are_those_of_single_runs(small):
    """The study's shortcuts change nothing: each regime run on its own by `study.run` gives the same rows."""
    scenario = sweep.plan(**SMALL).units[0].scenario
    for k, regime in enumerate(("none", "realtime")):
        run = study.run(scenario, regime, seed=1)
        for i, row in enumerate(earliness.rows(run)):
            got = {name: column[8 * k + 4 + i] for name, column in small.columns.items()}
            np.testing.assert_equal({n: got[n] for n in row}, row)


def test_pictures_that_cannot_differ_are_fused_once(monkeypatch):
    """A regime without links hears nothing, so its pictures are those of national pictures with cues, which move no state."""
    fused = []
    real = fusion.without_ends
    monkeypatch.setattr(units.fusion, "without_ends", lambda *a, **o: fused.append(1) or real(*a, **o))
    plan = sweep.plan(**{**SMALL, "seeds": 1})
    none, realtime = plan.units[0].options.regimes
    silent = type(none)(**{**{f: getattr(none, f) for f in none.__dataclass_fields__}, "name": "silent", "links": ()})
    options = units.Options((none, silent, realtime), cues=False)
    made = units.measure(units.Unit(plan.units[0].scenario, 0, options))
    assert len(fused) == 2 and len(made.rows) == 12
    told, regime = list(earliness.COLUMNS).index("told_s"), list(earliness.COLUMNS).index("regime")
    for a, b in zip(made.rows[:4], made.rows[4:8], strict=True):
        np.testing.assert_equal(
            [v for i, v in enumerate(a) if i not in (told, regime)], [v for i, v in enumerate(b) if i not in (told, regime)]
        )


def test_no_tracks_are_hashed(monkeypatch):
    """Whether tracks of two regimes are the same is found out without their names, which take longer."""
    asked = []
    monkeypatch.setattr(Tracks, "uid", property(lambda tracks: asked.append(tracks)))
    plan = sweep.plan(**{**SMALL, "seeds": 1, "cues": True, "regimes": ("none", "tisa", "realtime", "plots")})
    assert len(units.measure(plan.units[0]).rows) == 16 and not asked


def test_cues_are_made_once_for_regimes_that_cue_alike(monkeypatch):
    """TISA and GSOMIA add messages of people to national pictures, which cue nobody: what was sensed under none is theirs, bit for bit."""
    plan = sweep.plan(**{**SMALL, "seeds": 1, "cues": True, "regimes": ("none", "tisa", "gsomia", "realtime")})
    unit = plan.units[0]
    truth = simulate.fly(unit.scenario)
    none, tisa = (cueing.sense(truth, unit.scenario, name, 0) for name in ("none", "tisa"))
    assert (none.detections.uid, none.tracks.uid) == (tisa.detections.uid, tisa.tracks.uid)
    asked = []
    real = cueing.sense
    monkeypatch.setattr(units.cueing, "sense", lambda *a, **o: asked.append(a[2].name) or real(*a, **o))
    made = units.measure(unit)
    assert asked == ["none", "realtime"]
    run = study.run(unit.scenario, "realtime", seed=0, cues=True)
    for row, got in zip(earliness.rows(run, cueing=True), made.rows[-4:], strict=True):
        np.testing.assert_equal(got, list(row.values()))
    cueing_at = list(earliness.COLUMNS).index("cueing")
    assert {row[cueing_at] for row in made.rows} == {1}


@pytest.mark.parametrize("studied", [True, False])
def test_two_workers_give_the_same_bytes(small, tmp_path, monkeypatch, studied):
    """Four units, all of them done by other processes, or one where kernels may be missing; these draw the report, too."""
    monkeypatch.setattr(warming, "studied", lambda: studied)
    done = counting(monkeypatch)
    more = {**SMALL, "seeds": [0, 1, 2, 3]}
    two = cf.earlier_detection(**more, n_jobs=2, folder=tmp_path / "two")
    assert len(done) == (0 if studied else 3) and workers.begun() == 2
    one = cf.earlier_detection(**more, folder=tmp_path / "one")
    same(one, two)
    assert (tmp_path / "one" / "study.csv").read_bytes() == (tmp_path / "two" / "study.csv").read_bytes()
    same(small, one[one.columns["seed"] < 2])
    if studied:
        with monkeypatch.context() as patch:
            patch.setattr(report, "drawn", lambda _: pytest.fail("drawn here"))
            two.report(tmp_path / "two.html", figures=tmp_path / "two")
        monkeypatch.setattr(workers, "begun", lambda: 0)
        two.report(tmp_path / "one.html", figures=tmp_path / "one")
        assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
        assert all((tmp_path / "two" / path.name).read_bytes() == path.read_bytes() for path in (tmp_path / "one").glob("*.png"))


def test_a_dask_cluster_gives_the_same_bytes(small):
    """`joblib.parallel_config` alone sends the same call to a cluster."""
    distributed = pytest.importorskip("distributed")
    import joblib

    more = {**SMALL, "seeds": [0, 1, 2, 3]}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        made = cf.earlier_detection(**more)
    same(small, made[made.columns["seed"] < 2])


# Stopped, and going on -------------------------------------------------------------------------------------------------


def counting(monkeypatch):
    done = []
    real = units.measure
    monkeypatch.setattr(sweep.units, "measure", lambda unit: done.append(unit.seed) or real(unit))
    return done


def test_a_study_goes_on_where_it_was(small, tmp_path, monkeypatch):
    """Stopped after its first unit, it does the second only; done, nothing; with a seed more, that one; other options, all anew."""
    folder = tmp_path / "study"

    def stop(now):
        if now.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cf.earlier_detection(**SMALL, folder=folder, progress=stop)
    assert len(list((folder / "parts").iterdir())) == 1 and not (folder / "study.csv").exists()
    done = counting(monkeypatch)
    seen = []
    same(small, cf.earlier_detection(**SMALL, folder=folder, progress=seen.append))
    assert len(done) == 1 and (seen[0].kept, seen[0].total, seen[-1].done) == (1, 2, 2)
    same(small, sweep.Study.load(folder))
    same(small, cf.earlier_detection(**SMALL, folder=folder))
    assert len(done) == 1
    cf.earlier_detection(**{**SMALL, "seeds": 3}, folder=folder)
    assert done[1:] == [2]
    cf.earlier_detection(**{**SMALL, "seeds": 1, "ships": 0.0}, folder=folder)
    assert done[2:] == [0]


def test_a_damaged_part_is_done_again(small, tmp_path, monkeypatch):
    folder = tmp_path / "study"
    cf.earlier_detection(**SMALL, folder=folder)
    first, second = sorted((folder / "parts").iterdir())
    first.write_text(first.read_text().replace("JPN", "KOR", 1))
    second.write_bytes(second.read_bytes()[:100])
    done = counting(monkeypatch)
    same(small, cf.earlier_detection(**SMALL, folder=folder))
    assert sorted(done) == [0, 1]
    cf.earlier_detection(**SMALL, folder=folder)
    assert len(done) == 2


def test_parts_are_named_by_what_decides_them(monkeypatch):
    def keys(**changed):
        return [parts.key(unit) for unit in sweep.plan(**{**SMALL, **changed}).units]

    base = keys()
    assert len(set(base)) == 2 and keys(seeds=[1, 5])[0] == base[1]
    moved = (SENSORS[0], type(SENSORS[1])(**{**vars(SENSORS[1]), "lat": SENSORS[1].lat + 1e-6}))
    for changed in ({"bounds": True}, {"cues": True}, {"sensors": moved}, {"regimes": ("none",)}, {"launches": ["2019-05-09-1"]}):
        assert not set(keys(**changed)) & set(base), changed
    parts.source.cache_clear()
    monkeypatch.setattr(Path, "read_bytes", lambda self, real=Path.read_bytes: real(self) + (b"#" if self.name == "fusion.py" else b""))
    assert not set(keys()) & set(base)
    parts.source.cache_clear()


def test_a_full_disk_is_one_sentence_and_what_was_done_stays(tmp_path, monkeypatch):
    folder = tmp_path / "study"
    real = Path.write_text

    def full(self, text, **options):
        if folder.is_dir() and any(p.suffix == ".json" and not p.name.startswith(".") for p in (folder / "parts").iterdir()):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(CopfuseError, match=r"No space left on device.*make room there: 1 of 2 flights are done and kept in .*same command"):
        cf.earlier_detection(**SMALL, folder=folder)
    monkeypatch.undo()
    assert [p.suffix for p in (folder / "parts").iterdir()] == [".json"]
    done = counting(monkeypatch)
    with (
        monkeypatch.context() as patch,
        pytest.raises(CopfuseError, match=r"study.csv.*make room there: 2 of 2 flights are done and kept in"),
    ):
        patch.setattr(sweep.Study, "save", lambda *_: (_ for _ in ()).throw(CopfuseError("cannot write 'study.csv': full")))
        cf.earlier_detection(**SMALL, folder=folder)
    cf.earlier_detection(**SMALL, folder=folder)
    assert len(done) == 1


@pytest.mark.parametrize("studied, done", [(False, 3), (True, 0)])
def test_a_killed_worker_is_one_sentence(tmp_path, monkeypatch, studied, done):
    """The three units that are done here stay, where kernels may be missing; the next kills its process, and the study says how to go
    on."""
    folder = tmp_path / "study"
    monkeypatch.setattr(warming, "studied", lambda: studied)
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "_numbered", killer)
        with pytest.raises(
            CopfuseError, match=rf"a worker process was killed.*{done} of 4 flights are done and kept in .*goes on from there"
        ):
            cf.earlier_detection(**{**SMALL, "seeds": 4}, n_jobs=2, folder=folder)
    assert len(list((folder / "parts").iterdir())) == done and workers.begun() == 0
    assert len(cf.earlier_detection(**{**SMALL, "seeds": 4}, n_jobs=2, folder=folder)) == 32


def test_a_worker_sets_aside_what_it_has_imported(monkeypatch):
    """joblib's workers collect garbage every second, through all objects that are not set aside: several times what is left here."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(workers, "_worked", [])
    kept = []
    monkeypatch.setattr(workers, "_keep_memory", lambda: kept.append(True))  # else for this process too
    unit = sweep.plan(**SMALL).units[0]
    try:
        assert workers._worked_on(abs, (-3,), False) == 3
        assert gc.get_freeze_count() == 0 and not kept
        workers._worked.clear()
        assert workers._worked_on(sweep._numbered, (7, unit), True)[::2] == (7, False)
        assert gc.get_freeze_count() > 5 * len(gc.get_objects()) and kept == [True]
        assert workers._worked_on(sweep._numbered, (8, unit), True)[::2] == (8, True) and kept == [True]
    finally:
        gc.unfreeze()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt") if sys.platform == "linux" else True, reason="glibc's")
def test_a_worker_keeps_the_memory_that_it_frees():
    """Four arrays of 16 MB at once, ten times over: after the first time no page is asked for again."""
    code = """
import resource, numpy as np
from copfuse import workers
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
workers._keep_memory()
[np.ones(1 << 21) for _ in range(4)]
before = faults()
for _ in range(10):
    [np.ones(1 << 21) for _ in range(4)]
print(faults() - before)
"""
    assert int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) < 500


def test_what_units_of_one_missile_do_not_need_is_not_imported():
    """Each process of a study imports all that a unit needs before its first one."""
    heavy = "scipy.optimize", "scipy.stats", "matplotlib", "pandas", "copfuse.plots"
    code = f"import sys; from copfuse import sweep; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def killer(i, unit):
    os.kill(os.getpid(), signal.SIGKILL)


def test_ctrl_c_leaves_no_traceback_and_says_how_to_go_on(tmp_path):
    """The whole process group is interrupted, as by a terminal, while workers are at work."""
    sensors = tmp_path / "few.toml"
    sensors.write_text(FEW)
    options = f"--launch {LAUNCHES[0]} --regimes none,realtime --seeds 200 --jobs 2 --sensors {sensors} --out {tmp_path / 'study'}"
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # a shell's background job ignores it
    command = [sys.executable, "-c", heed + "from copfuse.cli import main; main()", "study", "earlier-detection", *options.split()]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    parts = tmp_path / "study" / "parts"
    end = time.monotonic() + 200
    while time.monotonic() < end and process.poll() is None and (not parts.is_dir() or len(list(parts.iterdir())) < 40):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    out, said = process.communicate(timeout=200)
    assert process.returncode == 130, said
    assert "Traceback" not in said and "200 flights are done and kept in" in said and "the same command goes on" in said
    assert re.search(r"flights to go: 1[67]\d, about", said) and "(processes: 2)" in said and out == ""
    assert not [p.name for p in parts.iterdir() if p.name.startswith(".")]


FEW = """
[[sensor]]
name = "KR-1"
nation = "KOR"
type = "green-pine-c"
lat_deg = 38.0
lon_deg = 127.5
boresight_deg = 20.0
"""


# Refused -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"regimes": ("none", "realtme")}, "there is no regime 'realtme'.*did you mean 'realtime'"),
        ({"regimes": ("none", "mine.toml")}, "mine.toml"),
        ({"regimes": ()}, "regimes is empty"),
        ({"regimes": ("none", "none")}, "regimes name 'none' twice"),
        ({"launches": ["2022-01-27-9"]}, "2022-01-27-9"),
        ({"launches": ["1984-09-1"]}, "launch 1984-09-1 cannot be flown: the record has no range"),
        ({"launches": LAUNCHES, "since": "2023"}, "no launch asked for is of 2023 or later"),
        ({"since": "last year"}, "since = 'last year' is no date"),
        ({"without": ("JP-AEG-V",)}, "without names the sensor 'JP-AEG-V'.*did you mean 'JP-AEG-W'"),
        ({"without": ("JP-AEG-W", "KR-GP-CB")}, "without leaves no sensor"),
        ({"sensors": "northeast-aisa"}, "there is no laydown 'northeast-aisa'.*did you mean"),
        ({"ships": 1.5}, "ships = 1.5 is no share"),
        ({"seeds": 0}, "seeds = 0 is not 1 or more"),
        ({"seeds": [-1]}, "seed = -1"),
        ({"seeds": []}, "seeds is empty"),
        ({"n_jobs": 0}, "n_jobs = 0 is no number of processes"),
    ],
)
def test_bad_input_is_one_sentence_before_the_work(changed, said, monkeypatch):
    monkeypatch.setattr(simulate, "fly", lambda _: pytest.fail("it flew"))
    with pytest.raises(CopfuseError, match=said) as caught:
        cf.earlier_detection(**{**SMALL, **changed})
    assert "\n" not in str(caught.value)


def test_folders_that_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("")
    for name, said in (("file", "it is a file"), ("full", "not empty and holds no study"), ("no/where", "No such file")):
        with pytest.raises(CopfuseError, match=said):
            cf.earlier_detection(**SMALL, folder=tmp_path / name)


def test_launches_that_cannot_be_flown_are_named():
    plan = sweep.plan(["1984-09-1", *LAUNCHES], ("none",), 1, sensors=SENSORS)
    assert list(plan.not_flown) == ["1984-09-1"] and len(plan.units) == 1
    misfit = sweep.plan(["2006-07-05-1", *LAUNCHES], ("none",), 1, sensors=SENSORS, cues=False)
    made = sweep.run(misfit)
    assert "no boost of a SLV" in made.meta["not_flown"]["2006-07-05-1"] and set(made.columns["launch"]) == set(LAUNCHES)


def test_a_study_in_which_nothing_flies_has_no_rows(tmp_path):
    made = sweep.run(sweep.plan(["2006-07-05-1"], ("none", "realtime"), 2, sensors=SENSORS, cues=False), folder=tmp_path / "study")
    assert len(made) == 0 and list(made.meta["not_flown"]) == ["2006-07-05-1"] and "1 launch is not flown" in str(made)
    same(made, sweep.Study.load(tmp_path / "study"))


def test_an_error_in_a_unit_names_it(monkeypatch):
    def refuse(*_, **__):
        raise CopfuseError("no such luck")

    monkeypatch.setattr(units.cueing, "sense", refuse)
    with pytest.raises(CopfuseError, match="launch 2022-01-27-1, seed 0: no such luck"):
        cf.earlier_detection(**SMALL)


def test_the_command_line(tmp_path, capsys, monkeypatch):
    """A study of one launch: what it says before, the summary, the folder; bad input is one sentence and status 2; help has an example."""
    drawn = []
    monkeypatch.setattr(sweep.Study, "report", lambda self, *paths, figures: drawn.append((len(self), *paths, figures)))  # four seconds
    (tmp_path / "few.toml").write_text(FEW)
    options = ["study", "earlier-detection", "--sensors", str(tmp_path / "few.toml"), "--regimes", "none,realtime", "--no-cues"]

    def said(*more):
        with pytest.raises(SystemExit) as left:
            cli.main([*options, "--launch", *more])
        return left.value.code, *capsys.readouterr()

    code, out, err = said(LAUNCHES[0], "--seeds", "3", "--jobs", "1", "--out", str(tmp_path / "study"))
    assert code == 0 and "1 launch x 3 seeds" in out and "[few]" in out and "notional" in out and "study.csv" in out
    assert "launches x seeds x regimes = 1 x 3 x 2; flights to go: 1, about" in err and "(processes: 1)" in err
    assert len(sweep.Study.load(tmp_path / "study")) == 24 and drawn == [(24, f"{tmp_path / 'study'}/report.html", f"{tmp_path / 'study'}")]
    for wrong, sentence in ((["2022-01-27-7"], "near it are: 2022-01-27-1"), ([LAUNCHES[0], "--without", "KR-2"], "did you mean 'KR-1'"),
                            ([LAUNCHES[0], "--class", "IRBM"], "no launch of the selection has class 'IRBM'")):  # fmt: skip
        code, out, err = said(*wrong, "--out", str(tmp_path / "no"))
        assert code == 2 and sentence in err and err.count("\n") == 1 and out == ""
    with pytest.raises(SystemExit):
        cli.main(["study", "earlier-detection", "--help"])
    assert "copfuse study earlier-detection --without JP-FPS5-SD" in capsys.readouterr().out


def test_the_bar_says_what_is_there_and_how_to_go_on(capsys):
    with pytest.raises(KeyboardInterrupt), cli_study.Bar(2, 5, 3, "there") as bar:
        bar.show(sweep.Progress(4, 4, 10, math.nan, 2))
        bar.show(sweep.Progress(5, 4, 10, 250.0, 2))
        raise KeyboardInterrupt
    lines = capsys.readouterr().err.split("\n")
    assert lines[0] == "copfuse: 4 of 10 flights are in there already"
    assert lines[1] == "copfuse: launches x seeds x regimes = 2 x 5 x 3; flights to go: 5, about 4 min (processes: 2)"
    assert "copfuse: 5 of 10 flights are done and kept in there; the same command goes on from there" in lines
    assert [cli_study.duration(t) for t in (0.2, 99.0, 360.0, 7300.0)] == ["1 s", "99 s", "6 min", "2 h 2 min"]


def test_the_whole_record_is_planned():
    """229 rows: every one is a launch with a unit per seed, or named with what it lacks."""
    plan = sweep.plan(regimes=("none",), seeds=2)
    assert len(plan.units) == 2 * len(plan.meta["launches"]) and len(plan.meta["launches"]) + len(plan.not_flown) == len(cf.launches())
    late = sweep.plan(regimes=("none",), seeds=1, since=2024)
    assert late.units and all(unit.scenario.name >= "2024" for unit in late.units)


def test_sensors_left_out_and_ships_that_stay_in_port():
    plan = sweep.plan(LAUNCHES, ("none",), 1, without=("JP-FPS5-SD",), ships=0.25)
    sensors = plan.units[0].scenario.sensors
    usual = {s.name: s.availability for s in laydown("northeast-asia")}
    assert "JP-FPS5-SD" not in [s.name for s in sensors] and len(sensors) == len(usual) - 1
    assert all(s.availability == (0.25 if s.platform == "ship" else usual[s.name]) for s in sensors)


def test_what_a_unit_costs_is_by_what_is_flown():
    """A long flight takes longer than a short one, but one that is out of sight no longer than that; the cheapest unit comes first, then
    one of middle cost and some of every cost, then the longest."""
    plan = sweep.plan(["2022-01-27-1", "2022-11-18-1", "2017-09-15-1"], ("none",), 1)
    cost = {unit.scenario.name: sweep._cost(unit) for unit in plan.units}
    flight = {"2022-01-27-1": 230.0, "2017-09-15-1": sweep.LONGEST, "2022-11-18-1": sweep.LONGEST}
    for name, seconds in flight.items():
        assert cost[name] - sweep.SETUP == pytest.approx(seconds, rel=0.3)
    order = sweep._order(list(map(sweep._cost, plan.units)))
    assert plan.units[order[0]].scenario.name == "2022-01-27-1"
    assert sweep._order([5.0, 1.0, 3.0, 4.0, 2.0]) == [1, 2, 0, 3, 4]
    order = sweep._order([float(k) for k in range(240)])
    assert order[:2] == [0, 120] and order[2:26] == list(range(5, 240, 10)) and order[26:29] == [239, 238, 237]


def test_time_left_is_by_units_that_took_as_long_as_the_rest_will(monkeypatch):
    """Units that take as long as they are to cost, but for those that load kernels, which take ten times as long: what is told is right."""
    plan = sweep.plan(LAUNCHES, ("none",), 100, sensors=SENSORS)
    cost, made = sweep._cost(plan.units[0]), []

    def measure(unit):
        made.append(unit.seed)
        return units.Made([], "nothing flew", cost * (10.0 if len(made) < sweep.HERE else 1.0))

    monkeypatch.setattr(sweep.units, "measure", measure)
    monkeypatch.setattr(warming, "note_study", lambda: None)
    seen = []
    sweep.run(plan, progress=seen.append)
    told = [now for now in seen if not math.isnan(now.left)]
    assert told[0].done == sweep.HERE - 1 + sweep.TIMED
    for now in told:
        assert now.left == pytest.approx(cost * (100 - now.done), abs=1e-6)


def test_the_json_says_where_it_all_comes_from(small, tmp_path):
    small.save(tmp_path / "study")
    meta = json.loads((tmp_path / "study" / "study.json").read_text())
    assert meta["copfuse"] == cf.__version__ and meta["seeds"] == [0, 1] and list(meta["regimes"]) == ["none", "realtime"]
    assert "notional" in meta["note"] and meta["sensors"] == [s.name for s in SENSORS] and len(meta["source"]) == 64


def test_false_plots_are_left_out_unless_asked_for(monkeypatch):
    """What every unit senses: none, or as many as the laydown's and the scenario's own scale say; the study says which."""
    few = sweep.plan(**{**SMALL, "seeds": 1})
    many = sweep.plan(**{**SMALL, "seeds": 1}, clutter=2.0)
    assert {u.scenario.clutter for u in few.units} == {0.0} and {u.scenario.clutter for u in many.units} == {2.0}
    truth = simulate.fly(many.units[0].scenario)
    assert (simulate.detect(truth, many.units[0].scenario, 0).object < 0).any()
    assert not (simulate.detect(truth, few.units[0].scenario, 0).object < 0).any()
    assert "false plots, times the laydown's: 2.0" in sheets.provenance(many.meta) and "laydown's: 0.0" in sheets.provenance(few.meta)
    for bad in (-1.0, math.inf, math.nan):
        with pytest.raises(CopfuseError, match="clutter = .* give 0 or more"):
            sweep.plan(**SMALL, clutter=bad)
    asked = []
    monkeypatch.setattr(sweep, "plan", lambda *given: asked.append(given) or few)
    monkeypatch.setattr(sweep, "run", lambda *_: (_ for _ in ()).throw(CopfuseError("far enough")))
    with pytest.raises(SystemExit):
        cli.main(["study", "earlier-detection", "--launch", LAUNCHES[0], "--clutter", "1.5"])
    assert asked[0][-1] == 1.5
