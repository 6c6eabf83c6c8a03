"""The command line: instant help, one sentence and status 2 for bad input, 130 for Ctrl-C, nothing half-written."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from copfuse import cli, console, folders, scenario, simulate, study

HERE = {**os.environ, "PYTHONUNBUFFERED": "1"}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def called(capsys, *arguments):
    """Exit status, stdout and stderr of one call in this process."""
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    out, err = capsys.readouterr()
    return left.value.code, out, err


def refused(capsys, *arguments):
    """The one sentence of a refusal; nothing may have been written."""
    before = sorted(Path().iterdir())
    status, out, err = called(capsys, *arguments)
    assert (status, out) == (2, "") and sorted(Path().iterdir()) == before
    assert err.startswith("copfuse: ") and err.count("\n") == 1 and "Traceback" not in err
    return err


def test_it_says_so_when_it_compiles(tmp_path, monkeypatch, capsys):
    from copfuse import kernels

    monkeypatch.setattr(kernels, "cache_folder", lambda: tmp_path / "cache")
    (tmp_path / "cache" / "deep").mkdir(parents=True)
    console.say_compiling("launches")
    assert "compiling the kernels once, about 4 s" in capsys.readouterr().err
    (tmp_path / "cache" / "deep" / "flight.march-201.py311.nbi").touch()
    console.say_compiling("launches")
    assert capsys.readouterr().err == ""
    console.say_compiling("run")
    assert "about 15 s" in capsys.readouterr().err


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=HERE, **options)


# Help ----------------------------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy():
    code = "import sys\nfrom copfuse.cli import main\ntry: main(['--help'])\nfinally: print(sorted(m for m in sys.modules if '.' not in m))"
    done = python(code)
    assert done.returncode == 0 and "copfuse run" in done.stdout
    heavy = {"numba", "scipy", "matplotlib", "pymap3d", "filterpy", "llvmlite", "msgspec", "joblib"}
    loaded = set(re.findall(r"'(\w+)'", done.stdout.splitlines()[-1]))
    assert "click" in loaded and not heavy & loaded


def test_import_copfuse_is_light():
    done = python("import sys, copfuse; print('numba' in sys.modules, 'numpy' in sys.modules)")
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("command", ["run", "launches", "coverage", "scenarios"])
def test_each_command_shows_an_example(command, capsys):
    status, out, err = called(capsys, command, "--help")
    assert status == 0 and err == "" and f"  copfuse {command}" in out and max(map(len, out.splitlines())) <= 100


def test_the_version(capsys):
    assert called(capsys, "--version")[1].strip() == f"copfuse, version {cli.__version__}"


# Commands ------------------------------------------------------------------------------------------------------------


def test_scenarios_are_listed(capsys):
    status, out, _ = called(capsys, "scenarios")
    assert status == 0 and re.search(r"^hokkaido-2017 +Hwasong-12 over Hokkaido", out, re.M)
    assert [line.split()[0] for line in out.splitlines()] == scenario.scenarios()


def test_launches_are_listed_and_flown(capsys):
    status, out, _ = called(capsys, "launches", "--year", "2017", "--class", "irbm", "--site", "pyongyang")
    assert status == 0 and out.splitlines()[0].split()[:2] == ["id", "time_kst"]
    assert re.search(r"^2017-09-15-1 .* 72 +3700 +770$", out, re.M) and out.endswith("2 launches\n")
    status, out, err = called(capsys, "launches", "--year", "2017", "--class", "IRBM", "--fly")
    assert status == 0 and "4 of them flown" in out and "cannot be flown: the record has no range" in out
    (line,) = [line for line in out.splitlines() if line.startswith("2017-09-15-1")]
    shape, *misfits, seconds = line.split()[-4:]
    assert shape == "ballistic" and abs(float(misfits[0])) < 37 and abs(float(misfits[1])) < 7.7 and 900 < float(seconds) < 1400


def test_launches_as_csv(capsys):
    status, out, _ = called(capsys, "launches", "--year", "2017", "--csv", "out.csv")
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert status == 0 and out == f"out.csv: {len(rows)} launches\n" and all(row["id"].startswith("2017-") for row in rows)


def test_a_pipe_that_closes_early_is_no_traceback():
    command = f"{sys.executable} -c 'from copfuse.cli import main; main([\"launches\"])' | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=HERE)
    assert done.stdout.split()[0] == "id" and "Traceback" not in done.stderr


def test_run_prints_draws_and_saves(capsys, pull_up, monkeypatch):
    """The command around `study.run`, which other tests run for themselves."""
    asked = []
    monkeypatch.setattr(
        study,
        "run",
        lambda scenario, *args, progress, **options: asked.append((scenario.name, *args, *options.values())) or pull_up,
    )
    options = "--regime", "none", "--seed", "5", "--association", "jpda", "--register", "--cues", "--save", "tables"
    status, out, err = called(capsys, "run", "pull-up-2019", *options)
    assert status == 0 and asked == [("pull-up-2019", "none", 5, "jpda", True, True)] and "Who saw what when" in out
    assert out.splitlines()[-2:] == ["picture: pull-up-2019.png", "tables: tables"]
    assert Path("pull-up-2019.png").read_bytes()[:4] == b"\x89PNG" and str(study.Run.load("tables")) == str(pull_up)
    assert called(capsys, "run", "pull-up-2019", "--no-picture")[0] == 0
    assert sorted(p.name for p in Path().iterdir()) == ["pull-up-2019.png", "tables"]
    status, out, _ = called(capsys, "run", "pull-up-2019", "--no-picture", "--errors", "errors.png")
    assert status == 0 and out.splitlines()[-1] == "errors: errors.png" and Path("errors.png").read_bytes()[:4] == b"\x89PNG"


def test_coverage_draws_and_writes(capsys):
    status, out, _ = called(capsys, "coverage", "--grid", "12", "--out", "map.png")
    assert status == 0 and re.search(r"^together +\d", out, re.M)
    assert Path("map.png").read_bytes()[:4] == b"\x89PNG" and len(Path("map.csv").read_text().splitlines()) == 145


# Bad input -----------------------------------------------------------------------------------------------------------

BALLISTIC = """
epoch = 2024-01-14T05:55:00Z
{more}
[[launch]]
kind = "ballistic"
lat_deg = 39.2
lon_deg = 125.7
azimuth_deg = 80.0
burnout_alt_km = 40.0
burnout_speed_m_s = 2400.0
burnout_angle_deg = 42.0
"""
UNDERGROUND = '[[sensor]]\nname = "KR-X"\nnation = "KOR"\ntype = "green-pine-c"\nlat_deg = 36.0\nlon_deg = 127.0\nalt_m = -50.0\n'
FLIGHT = (
    'epoch = 2024-01-14T05:55:00Z\n[[launch]]\nkind = "recorded"\npath = "f.csv"\nlat_deg = 39.7\nlon_deg = 124.7\nazimuth_deg = 95.0\n'
)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["hokkaido2017"], "did you mean 'hokkaido-2017'?"),
        (["2017-09-15-4"], "near it are: 2017-09-15-1"),
        (["2017-04-16-1"], "launch 2017-04-16-1 cannot be flown: the record has no range"),
        (["nothing.toml"], "there is no file 'nothing.toml'"),
        (["hokkaido-2017", "--regime", "plot"], "did you mean 'plots'?"),
        (["hokkaido-2017", "--out", "nowhere/picture.png"], "there is no folder 'nowhere'"),
        (["hokkaido-2017", "--out", "picture.gif"], "must end in .png or .pdf or .svg"),
        (["hokkaido-2017", "--out", "p.png", "--no-picture"], "exclude each other"),
        (["hokkaido-2017", "--save", "no/where"], "there is no folder 'no'"),
    ],
)
def test_refusals_of_run(arguments, said, capsys):
    assert said in refused(capsys, "run", *arguments)


@pytest.mark.parametrize(
    "text, said",
    [
        (BALLISTIC.format(more="clutterr = 1.0"), "my.toml: there is no key 'clutterr'; did you mean 'clutter'?"),
        (BALLISTIC.format(more="clutter = -1.0"), "my.toml: clutter = -1.0, expected float >= 0"),
        (BALLISTIC.format(more="") + UNDERGROUND, "my.toml, sensor KR-X: alt_m = -50 puts the sensor under the ground"),
        ("x = ", "'my.toml' is not TOML"),
        (FLIGHT, "nan"),
    ],
)
def test_refusals_of_files(text, said, capsys):
    Path("my.toml").write_text(text)
    Path("f.csv").write_text(
        "time_s,altitude_km,downrange_km,speed_m_s\n" + "".join(f"{i},{i * i / 100},nan,{20 * i}\n" for i in range(60))
    )
    assert said in refused(capsys, "run", "my.toml")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["coverage", "--out", "nowhere/map.png"], "there is no folder"),
        (["coverage", "--sensors", "north-asia"], "did you mean 'northeast-asia'?"),
        (["coverage", "--csv", "map.txt"], "must end in .csv"),
        (["launches", "--class", "IBRM"], "did you mean 'IRBM'?"),
        (["launches", "--site", "Tokyo"], "site 'Tokyo'"),
        (["launches", "--year", "2018"], "there are: 1984, 1986"),
        (["bench", "accuracy", "2019-07-25-1", "--seeds", "1", "--jobs", "0"], "n_jobs = 0 is no number of processes"),
        (["study", "earlier-detection", "--launch", "2017-09-15-1", "--since", "2020"], "no launch asked for is of 2020 or later"),
        (["launches", "--csv", "nowhere/x.csv"], "there is no folder"),
    ],
)
def test_refusals_of_the_other_commands(arguments, said, capsys):
    assert said in refused(capsys, *arguments)


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["rnu"], ["run", "--seed", "-1"], ["run", "--seed", "x"], ["launches", "--year", "19"]]
)
def test_usage_errors(arguments, capsys):
    status, out, err = called(capsys, *arguments)
    assert (status, out) == (2, "") and "Error: " in err


def test_an_output_that_is_a_folder_is_refused_before_the_work(capsys, monkeypatch):
    Path("picture.png").mkdir()
    monkeypatch.setattr(study, "run", lambda *_, **__: pytest.fail("the work had started"))
    assert "it is a folder" in refused(capsys, "run", "--out", "picture.png")


def test_a_place_without_permission_is_refused(capsys, monkeypatch):
    monkeypatch.setattr(console.os, "access", lambda *_: False)  # the superuser may write everywhere
    assert "no permission" in refused(capsys, "run", "--out", "picture.png")


def test_a_folder_that_cannot_be_made_after_all_is_refused(capsys, monkeypatch, pull_up):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(study, "run", lambda *_, **__: pull_up)
    monkeypatch.setattr(folders.tempfile, "mkdtemp", full)
    status, _, err = called(capsys, "run", "pull-up-2019", "--no-picture", "--save", "x")
    assert status == 2 and "copfuse: cannot save to 'x': No space left on device" in err and "Traceback" not in err


def test_what_the_system_refuses_is_no_traceback(capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "l.csv")

    monkeypatch.setattr(cli, "write_csv", full)
    assert refused(capsys, "launches", "--csv", "l.csv") == "copfuse: No space left on device: l.csv; nothing more is written\n"


# Ctrl-C --------------------------------------------------------------------------------------------------------------


def test_an_interrupt_leaves_nothing_behind(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run", interrupted)
    status, out, err = called(capsys, "run", "--save", "tables")
    assert (status, out) == (130, "") and "stopped" in err and "Traceback" not in err and not list(Path().iterdir())


def test_an_interrupt_that_the_compiler_swallows_is_not_lost(capsys, monkeypatch):
    """What a callback of the compiler does with the exception: nothing.  The next stage stops all the same."""
    real = simulate.fly
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored

    def swallowing(scenario):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return real(scenario)

    monkeypatch.setattr(simulate, "fly", swallowing)
    status, out, err = called(capsys, "run", "2019-07-25-1", "--out", "picture.png")
    signal.signal(signal.SIGINT, before)
    assert (status, out) == (130, "") and "stopped" in err and not list(Path().iterdir())


def test_ctrl_c_while_the_kernels_compile(tmp_path):
    """A real signal to a real process, sent when it says that it compiles."""
    environment = {**HERE, "COPFUSE_CACHE": str(tmp_path / "cache"), "NUMBA_DISABLE_JIT": "0"}
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heed + "from copfuse.cli import main; main(['run', '--out', 'picture.png', '--save', 'tables'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    assert "compiling the kernels once" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in err and out == ""
    assert {path.name for path in Path().iterdir()} <= {"cache"}
