"""Tracks with live registration: the same where nothing can be known, sharper and honest where it can."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from copfuse import motion, registering, scenario, simulate, study, tracking
from copfuse.constants import MIDCOURSE

UNTIL = 320.0  # s


@pytest.fixture(scope="module")
def biased():
    """Hokkaido 2017 with three times the biases: scenario, truth, plots until `UNTIL`, the hub's registered tracks."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("whole runs without compiled kernels take minutes")
    about = replace(scenario.load("hokkaido-2017"), bias=3.0, clutter=0.0)
    truth = simulate.fly(about)
    plots = simulate.detect(truth, about, seed=0)
    plots = plots[plots.time <= UNTIL]
    return about, truth, plots, registering.track_registered(plots, about, node="HUB")


def coasting(tracks, truth):
    """Root mean square error m and stated sigma m, and mean NEES over 6, of firm rows in free flight from 200 s on."""
    flight = truth[truth.object == 0]
    rows = tracks[tracks.firm & (tracks.time > 200.0) & (tracks.phase_probability[:, MIDCOURSE] > 0.5)]
    error = rows.x - motion.interpolate(flight.time, flight.x, rows.time)
    nees = np.einsum("ni,ni->n", error, np.linalg.solve(rows.P, error[..., None])[..., 0]) / 6.0
    return np.sqrt((error[:, :3] ** 2).sum(1).mean()), np.sqrt(np.trace(rows.P[:, :3, :3], axis1=1, axis2=2).mean()), nees.mean()


def same(one, other):
    return len(one) == len(other) and all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=True) for n in one.COLUMNS)


def test_registration_restores_what_biases_spoil(biased):
    """Ignored, the biases give 3 times the covariance that is told, and more; allowed for, ellipses as wide as the errors; registered, both
    are less."""
    about, truth, plots, registered = biased
    ignored = tracking.track(plots, replace(about, bias=0.0), node="HUB")
    allowed = tracking.track(plots, about, node="HUB")
    error, sigma, nees = coasting(registered, truth)
    assert coasting(ignored, truth)[2] > 3.0 and nees <= 1.2
    off, stated, honest = coasting(allowed, truth)
    assert error < 0.8 * off and sigma < 0.9 * stated and 0.5 < honest < 2.0
    told = registered.meta["registration"]["HUB"]
    assert 10 < sum(b["observable"] for b in told) < len(told)
    for b in told:
        drawn = simulate._bias(*_schedule(plots, about, b))[-1, registering.registration.LIVE.index(registering.KINDS.index(b["kind"]))]
        assert abs(b["value"] - drawn) < 4.5 * max(b["sigma"], 0.3 * b["prior"]) and (b["sigma"] < 0.65 * b["prior"] or not b["observable"])


def _schedule(plots, about, bias):
    plan = plots.meta["schedule"][bias["sensor"]]
    (sensor,) = (s for s in about.sensors if s.name == bias["sensor"])
    return sensor, plan["track"], int((UNTIL - plan["first"]) / plan["track"]) + 1, about.bias, 0


def test_the_future_does_not_change_the_past(biased):
    about, _, plots, registered = biased
    early = registering.track_registered(plots[plots.time <= 240.0], about, node="HUB")
    before = registered[registered.time < 235.0]  # a clock's correction moves plots by less
    assert same(early[early.time < 235.0], before) and len(before) > 500


def test_without_common_objects_in_free_flight_tracks_are_those_of_track(biased):
    about, _, plots, _ = biased
    boost = plots[plots.time <= 100.0]
    for node in (None, "HUB"):
        made = registering.track_registered(boost, about, node=node)
        assert same(made, tracking.track(boost, about, node=node))
        assert all(not any(b["observable"] for b in told) for told in made.meta["registration"].values())
    lone = plots[plots.sensor == np.bincount(plots.sensor).argmax()]
    alone = registering.track_registered(lone, about)
    assert same(alone, tracking.track(lone, about)) and set(map(len, alone.meta["registration"].values())) == {0}
    waiting = lone[lone.time <= 150.0]  # more than one look at the biases: plots of each are told apart
    assert same(registering.track_registered(waiting, about, association="mht"), tracking.track(waiting, about, association="mht"))
    assert len(registering.track_registered(plots[:0], about)) == 0


def test_nations_register_their_own_radars_and_the_hub_all(biased):
    about = replace(biased[0], sensors=tuple(s for s in biased[0].sensors if s.name in ("US-TPY2-SJ", "US-TPY2-SH", "JP-FPS5-SD")))
    made = study.run(replace(about, name="three"), "plots", register=True)
    nations, hub = made.tracks.meta["registration"], made.picture.meta["registration"]
    assert {b["sensor"] for b in nations["USA"]} == {"US-TPY2-SJ", "US-TPY2-SH"} and nations["JPN"] == [] == nations["KOR"]
    assert {b["sensor"] for b in hub["HUB"]} == {s.name for s in about.sensors}
    text = str(made)
    assert "Registration, JPN: no object was seen by two of its radars in free flight: no bias is observable." in text
    assert f"Registration, HUB: {sum(b['observable'] for b in hub['HUB'])} of {len(hub['HUB'])} biases are observable" in text
    assert "Registration" not in str(study.run(replace(about, name="three"), "plots"))
