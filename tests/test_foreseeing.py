"""Forecasts that are made only where they are asked for: the rows and sizes that come out are those of the whole picture."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

import copfuse as cf
from copfuse import cueing, earliness, forecast, foreseeing, fusion, metrics, scenario
from copfuse.fusion import ENDS
from copfuse.measures import error_ellipse
from copfuse.tables import Picture

SIZES = 500e3, 50e3, 10e3


@cache
def pictures(name, regime, seed):
    """A run with its whole picture, and the picture without ends with what it needs."""
    about = replace(scenario.load(name), duration=400.0)
    truth = cf.fly(about)
    made = cueing.sense(truth, about, regime, seed)
    given = made.tracks, made.messages, about, made.detections
    tables = {"truth": truth, "detections": made.detections, "tracks": made.tracks, "messages": made.messages}
    run = SimpleNamespace(scenario=about, regime=regime, seed=seed, **tables, picture=fusion.fuse(*given))
    return run, *fusion.without_ends(*given, hubs=made.hubs)


CASES = [("hokkaido-2017", "realtime", 1), ("hokkaido-2017", "plots", 2), ("salvo-2022", "realtime", 0)]


@pytest.mark.parametrize(("name", "regime", "seed"), CASES)
def test_first_small_forecasts_are_those_of_the_whole_picture(name, regime, seed):
    run, bare, needs = pictures(name, regime, seed)
    on = metrics.match(run.picture, run.truth).object
    major = error_ellipse(run.picture.impact_point, run.picture.impact_point_P)[0]
    found = foreseeing.firsts(bare, needs, on, SIZES)
    assert found.keys() == set(zip(on[on >= 0].tolist(), run.picture.node[on >= 0].tolist(), strict=True))
    for (thing, node), rows in found.items():
        held = np.flatnonzero((on == thing) & (run.picture.node == node))
        small = [held[major[held] < size][:1].tolist() for size in SIZES]
        assert rows == [row[0] if row else -1 for row in small]
    assert any(row > 0 for rows in found.values() for row in rows)


@pytest.mark.parametrize(("name", "regime", "seed"), CASES)
def test_a_picture_without_ends_is_the_whole_one_but_for_them(name, regime, seed):
    run, bare, _ = pictures(name, regime, seed)
    for column in Picture.COLUMNS:
        if column in ENDS:
            assert np.isnan(getattr(bare, column)).all()
        else:
            assert getattr(bare, column).tobytes() == getattr(run.picture, column).tobytes()
    assert bare.meta == run.picture.meta


@pytest.mark.parametrize(("name", "regime", "seed"), CASES)
def test_rows_of_a_study_are_those_of_the_whole_picture(name, regime, seed):
    run, bare, needs = pictures(name, regime, seed)
    less = SimpleNamespace(**{**vars(run), "picture": bare})
    assert repr(earliness.rows(less, earliness.pictured(less, needs))) == repr(earliness.rows(run))


def test_fewer_forecasts_are_made_than_the_picture_has(monkeypatch):
    run, bare, needs = pictures(*CASES[0])
    made, real = [], forecast._impacts

    def counted(given, rows):
        made.append(len(rows))
        return real(given, rows)

    monkeypatch.setattr(forecast, "_impacts", counted)
    foreseeing.firsts(bare, needs, metrics.match(bare, run.truth).object, SIZES[1:2])
    some, _ = sum(made), made.clear()
    about = run.tracks, run.messages, run.scenario, run.detections
    fusion.fuse(*about)
    assert 0 < some < 0.7 * sum(made)


@pytest.mark.parametrize("what", ["burns on", "is lifted"])
def test_a_forecast_is_left_out_only_where_it_is_larger(what):
    """Of tracks that may burn on or that lift may carry, whatever is known of them: none whose ellipse is smaller is left out, most of the
    others are."""
    _, bare, needs = pictures(*CASES[0 if what == "burns on" else 2])
    burns = bare.phase_probability[:, 0] > forecast.MISSED
    lifted = ~burns & (forecast.lift(bare.x, bare.phase_probability) > 0.02)
    some = np.flatnonzero(burns if what == "burns on" else lifted)
    assert len(some) > 20
    given = bare.x[some], bare.P[some], needs.log_beta[some], needs.push[some], bare.phase_probability[some]
    point, cov, *_ = forecast.impact_point(*given)
    major = error_ellipse(point, cov)[0]
    for least in (10e3, 100e3, 1000e3, np.linspace(10e3, 3000e3, len(some))):
        told = forecast.impact_point(*given, least)
        made = np.isfinite(told[2])
        assert (major[~made] > np.broadcast_to(least, len(some))[~made]).all()
        for new, old in zip(told, forecast.impact_point(*given), strict=True):
            assert new[made].tobytes() == old[made].tobytes()
    large = major > 50e3
    assert not np.isfinite(forecast.impact_point(*given, 50e3)[2])[large].mean() > 0.5


def test_what_can_but_fall_is_always_forecast():
    _, bare, needs = pictures(*CASES[0])
    falls = np.tile([0.0, 1.0, 0.0, 0.0], (len(bare), 1))
    some = np.flatnonzero(forecast.lift(bare.x, falls) == 0.0)
    assert len(some) > 20
    given = bare.x[some], bare.P[some], needs.log_beta[some], needs.push[some], falls[some]
    free = forecast.impact_point(*given, 1.0), forecast.impact_point(*given)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*free, strict=True))


@pytest.mark.parametrize(("name", "regime", "seed"), CASES[:2])
def test_how_long_a_forecast_serves_is_known_before_it_is_made(name, regime, seed):
    """A fall as long as free flight's forecasts say, but for the air and the pull that changes on the way."""
    run, *_ = pictures(name, regime, seed)
    falls = ~forecast.pushed(run.picture.phase_probability) & (forecast.lift(run.picture.x, run.picture.phase_probability) < 0.01)
    some = run.picture[falls & (run.picture.time_to_impact > 100.0)]
    share = np.array([forecast._untouched(x) for x in some.x.tolist()]) / some.time_to_impact
    assert len(some) > 20 and (np.abs(share - 0.9) < 0.1).all()
