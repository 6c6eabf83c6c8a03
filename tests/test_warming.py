"""The second process that compiles at the first run: what it makes is what a run asks for, and it is started only where it helps."""

from __future__ import annotations

import os
import subprocess

import pytest

from copfuse import kernels, warming
from copfuse.kernels import consider, estimation, forecast, intersection


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_it_compiles_for_the_arrays_that_a_run_has(pull_up):
    """No kernel has a second signature when both have called it: else a run would compile it again."""
    called = consider.common, consider.consider, intersection.intersect_rows, forecast.impact, estimation.predict
    before = [list(kernel.signatures) for kernel in called]
    warming.compile_last()
    assert pull_up and all(before) and before == [list(kernel.signatures) for kernel in called]


@pytest.fixture
def started(monkeypatch, tmp_path):
    """An empty cache, two cores and no test workers; the commands that would be started."""
    commands: list[list[str]] = []
    monkeypatch.setenv("COPFUSE_CACHE", str(tmp_path))
    for name in ("PYTEST_XDIST_WORKER", "NUMBA_DISABLE_JIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: commands.append(command) or "process")
    return commands


def test_it_starts_where_nothing_is_compiled_yet(started):
    assert warming.begin() == "process" and "compile_last" in started[0][2]


def test_it_does_not_start_where_it_would_not_help(started, monkeypatch):
    with monkeypatch.context() as one:
        one.setattr(os, "cpu_count", lambda: 1)
        assert warming.begin() is None
    for name, value in (("PYTEST_XDIST_WORKER", "gw0"), ("NUMBA_DISABLE_JIT", "1")):
        with monkeypatch.context() as one:
            one.setenv(name, value)
            assert warming.begin() is None
    made = kernels.cache_folder() / "kernels_0" / f"{warming.LAST}-183.py311.nbi"
    made.parent.mkdir(parents=True)
    made.touch()
    assert warming.begin() is None and started == []


def test_a_run_goes_on_where_no_process_can_be_started(started, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert warming.begin() is None
    warming.end(None)


def test_a_study_is_noted_in_the_cache_of_these_kernels(tmp_path, monkeypatch):
    """Where one was done with these kernels nothing is left to compile; without a cache each study begins in one process."""
    monkeypatch.setenv("COPFUSE_CACHE", str(tmp_path))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    assert not warming.studied()
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    warming.note_study()
    monkeypatch.delenv("NUMBA_DISABLE_JIT")
    assert not warming.studied() and not list(tmp_path.iterdir())
    warming.note_study()
    assert warming.studied()
    (tmp_path / "file").touch()
    monkeypatch.setenv("COPFUSE_CACHE", str(tmp_path / "file"))
    warming.note_study()
    assert not warming.studied()
