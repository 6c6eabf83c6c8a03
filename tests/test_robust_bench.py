"""`copfuse bench filters --robust`: it counts steps, finds what is indefinite, and its problems are as wide as it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from copfuse import cli, robust, speed


def test_a_few_thousand_steps_are_sound_and_counted():
    found = robust.robust(3000, tracks=50, seed=4)
    assert 3000 <= found.steps < 3000 + 50 * robust.LIFE * 5
    assert found.sound and found.faults == 0 and -robust.ROUNDING < found.least < 1e-8
    assert "none indefinite: reached" in str(found) and f"{found.steps:,} steps" in str(found)
    assert robust.robust(3000, tracks=50, seed=4) == found


@pytest.mark.parametrize("broken", ["indefinite", "asymmetric", "nan", "mean"])
def test_health_finds_what_is_broken(broken):
    b = robust.anywhere(np.random.default_rng(1), 5)
    assert robust.health(b)[1] == 0
    x, P = b.x.copy(), b.P.copy()
    s = np.sqrt(P[2, 1, 0, 0] * P[2, 1, 1, 1])
    if broken == "indefinite":
        P[2, 1, 0, 1] = P[2, 1, 1, 0] = (1.0 + 1e-12) * s
    if broken == "asymmetric":
        P[2, 1, 0, 1] += 1e-12 * s
    if broken == "nan":
        P[2, 1, 0, 1] = P[2, 1, 1, 0] = np.nan
    if broken == "mean":
        x[2, 1, 0] = np.inf
    least, faults = robust.health(replace(b, x=x, P=P))
    assert faults == 1 and (least < -1e-13) == (broken == "indefinite")
    found = robust.Robust(1, least, faults)
    assert not found.sound and str(found).endswith("not reached")


def test_noise_and_uncertainty_are_as_wide_as_said():
    rng = np.random.default_rng(2)
    b = robust.anywhere(rng, 2000)
    sigma = robust.plots(rng, b.x6)[1]
    assert sigma[:, 0].min() < 0.015 and sigma[:, 0].max() > 0.9e5
    spread = np.sqrt(np.trace(b.P6[:, :3, :3], axis1=1, axis2=2))
    assert spread.min() < 0.02 and spread.max() > 5e4


def test_the_command_prints_it_when_asked(monkeypatch, capsys):
    asked: list[int] = []
    monkeypatch.setattr(speed, "contest", lambda p: ([], [speed.Line("nothing", lambda: None, 1)]))
    monkeypatch.setattr(robust, "robust", lambda steps: asked.append(steps) or robust.Robust(steps, 1e-15, 0))
    for arguments in ([], ["--robust"]):
        with pytest.raises(SystemExit) as left:
            cli.main(["bench", "filters", "--seconds", "0", *arguments])
        assert left.value.code == 0 and ("1,000,000 steps" in capsys.readouterr().out) == bool(arguments)
    assert asked == [1_000_000]
