"""Live registration of the packaged radars against the biases that the simulation drew."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from copfuse import frames, motion, registration, scenario, sensors, simulate, tracking
from copfuse.biases import KINDS
from copfuse.errors import CopfuseError

SEEDS = range(4)
UNTIL = 250.0  # s


def true_biases(found, made, about, seed):
    """What the simulation added at the time of each estimate, (p,)."""
    out = []
    for s, kind, time in zip(found.sensor, found.kind, found.time, strict=True):
        plan = made.meta["schedule"][about.sensors[s].name]
        drawn = simulate._bias(about.sensors[s], plan["track"], 3000, about.bias, seed)
        out.append(drawn[round((time - plan["first"]) / plan["track"]), registration.LIVE.index(kind)])
    return np.array(out)


@pytest.fixture(scope="module")
def runs():
    """Scenario, truth, and per seed: plots, hub tracks of those until `UNTIL`, registration and true biases."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("whole runs without compiled kernels take minutes")
    about = scenario.load("hokkaido-2017")
    truth, made = simulate.fly(about), []
    for seed in SEEDS:
        clear = about if seed == 0 else replace(about, clutter=0.0)
        plots = simulate.detect(truth, clear, seed)
        early = plots[plots.time <= UNTIL]
        tracks = tracking.track(early, about, node="HUB")
        found = registration.estimate(early, about, tracks)
        made.append((plots, early, tracks, found, true_biases(found, plots, about, seed)))
    return about, truth, made


def test_estimates_are_consistent(runs):
    """Normalised errors of all biases of four runs against chi-squared, 99.9 % two-sided; and of one run's each alone to 4 sigma."""
    _, _, made = runs
    nees = [(found.value - true) @ np.linalg.solve(found.P, found.value - true) for *_, found, true in made]
    count = sum(len(true) for *_, true in made)
    low, high = chi2.ppf([0.0005, 0.9995], count)
    assert count > 150 and low < sum(nees) < high
    for *_, found, true in made:
        assert (np.abs(found.value - true) < 4.0 * np.sqrt(np.diag(found.P))).all()


def test_what_is_called_observable_is_known_better(runs):
    """Against the true biases themselves: the rms error of the observable ones, in units of the prior, is at most 0.65 of theirs."""
    _, _, made = runs
    left = np.concatenate([((found.value - true) / found.prior)[found.observable] for *_, found, true in made])
    before = np.concatenate([(true / found.prior)[found.observable] for *_, found, true in made])
    assert len(left) > 60 and np.sqrt(np.mean(left**2)) < 0.65 * np.sqrt(np.mean(before**2))
    assert not any(found.observable[found.kind == KINDS.index("clock")].any() for *_, found, _ in made)


def test_later_plots_are_corrected(runs):
    """Mean errors of the next 40 s of plots, per sensor and component and in units of the prior, shrink as the plots are corrected."""
    about, truth, made = runs
    path = truth[truth.object == 0]
    raw, after = [], []
    for plots, _, _, found, _ in made:
        late = plots[(plots.time > UNTIL) & (plots.time <= UNTIL + 40.0) & (plots.object == 0)]
        fixed = registration.correct(late, found)
        assert np.array_equal(fixed.time, late.time) and fixed.uid != late.uid
        for i in np.flatnonzero(found.observable):
            mine = np.flatnonzero(late.sensor == found.sensor[i])
            if len(mine) < 20:
                continue
            origin, axes = sensors.place(about.sensors[found.sensor[i]], late.time[mine])
            z = frames.look(motion.interpolate(path.time, path.x, late.time[mine]), origin, axes)[:, found.kind[i]]
            raw.append((late.z[mine, found.kind[i]] - z).mean() / found.prior[i])
            after.append((fixed.z[mine, found.kind[i]] - z).mean() / found.prior[i])
    assert len(raw) > 15 and np.sqrt(np.mean(np.square(after))) < 0.75 * np.sqrt(np.mean(np.square(raw))), (
        len(raw),
        np.std(raw),
        np.std(after),
    )


def test_what_is_not_observable_is_named_and_left_alone(runs):
    _, _, made = runs
    plots, _, _, found, _ = made[0]
    assert "not observable, not applied" in str(found) and str(found).count("\n") == len(found.value) - 1
    fixed = registration.correct(plots, found)
    for s in np.unique(plots.sensor):
        for c in range(3):
            mine = plots.sensor == s
            seen = found.observable[(found.sensor == s) & (found.kind == c)].any()
            change = np.nan_to_num(fixed.z[mine, c] - plots.z[mine, c])
            assert (change != 0.0).any() == seen
    assert np.array_equal(fixed.z[:, 3], plots.z[:, 3], equal_nan=True)


def test_a_fit_that_does_not_fit_is_not_applied(runs):
    """Honest plots are fitted as well as they should be; where they scatter half as much again as they claim, nothing is applied."""
    about, _, made = runs
    assert all(0.95 < found.misfit < 1.05 for *_, found, _ in made)
    _, early, tracks, _, _ = made[1]
    sure = replace(early, sigma=early.sigma / 1.5)
    found = registration.estimate(sure, about, replace(tracks, meta={**tracks.meta, "detections_uid": sure.uid}))
    assert found.misfit > 1.8 and not found.observable.any()
    assert registration.correct(early, found).uid == early.uid and registration.registered(about, found, UNTIL) == about


def test_one_sensor_alone_shows_nothing(runs):
    about, _, made = runs
    _, early, _, found, _ = made[1]
    busiest = np.bincount(early.sensor).argmax()
    alone = early[early.sensor == busiest]
    nothing = registration.estimate(alone, about)
    assert nothing.objects == 0 and len(nothing.value) == 0 and "nothing is observable" in str(nothing)
    assert registration.correct(alone, nothing).uid == alone.uid and found.objects == 1


def test_what_is_left_grows_back_to_the_prior(runs):
    about, _, made = runs
    found = made[0][3]
    soon, later = (registration.registered(about, found, t) for t in (UNTIL, 20 * 3600.0))
    for i, seen in enumerate(found.observable):
        kind = registration.LIVE.index(found.kind[i])
        old, new, end = (a.sensors[found.sensor[i]].bias_sigma[kind] for a in (about, soon, later))
        assert np.isclose(end, old) and ((new < 0.85 * old) if seen else new == old)


def test_without_biases_nothing_is_found(runs):
    about, _, made = runs
    _, early, tracks, _, _ = made[1]
    assert len(registration.estimate(early, replace(about, bias=0.0), tracks).value) == 0


def test_bad_input_is_refused(runs):
    about, _, made = runs
    plots, _, tracks, found, _ = made[0]
    with pytest.raises(CopfuseError, match="other detections"):
        registration.estimate(plots, about, tracks)
    with pytest.raises(CopfuseError, match="not of these"):
        registration.registered(replace(about, sensors=about.sensors[:3]), found, 0.0)
    position = replace(found, kind=np.full_like(found.kind, KINDS.index("east")))
    with pytest.raises(CopfuseError, match="east"):
        registration.correct(plots, position)
