"""Rows predicted for many times at once are those predicted one time after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from copfuse import accuracy, ahead, correlation, cueing, fusion, measures, metrics, motion, simulate
from copfuse.ahead import Ahead, predicted, predicted_often
from copfuse.constants import BOOST, EARTH_A, NODES
from copfuse.entries import Entry
from copfuse.phases import pushed
from copfuse.scenario import load
from test_correlation import JPN, KOR, START, USA, beside, local, tracks_of

PHASES = np.array([[0.9, 0.1, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.2, 0.5, 0.2, 0.1]])


def some_tracks():
    """Some burn, some fall, and of some nobody knows."""
    rng = np.random.default_rng(5)
    rows = [local(s, k, beside(START, 5e3 * k), 3.0 * k, 40 + 9 * k, rng) for s in (KOR, JPN, USA) for k in range(3)]
    return tracks_of(*[row | {"phase_probability": PHASES[rng.integers(0, 3, len(row["x"]))]} for row in rows])


def same(one, other) -> bool:
    return all(getattr(one, n).tobytes() == getattr(other, n).tobytes() for n in one.__dataclass_fields__)


@pytest.mark.parametrize("at_once", [1, 40, 100_000])
def test_what_stands_is_there_to_the_bit(at_once, monkeypatch):
    """Whatever nodes hear late, and however many times are taken together."""
    monkeypatch.setattr(ahead, "AT_ONCE", at_once)
    tracks, _ = some_tracks()
    asked = []
    monkeypatch.setattr(ahead, "predicted_often", lambda *a: asked.append(len(a[1])) or predicted_often(*a))
    rng, times = np.random.default_rng(6), np.arange(0.0, 100.0, 2.0)
    feeds = []
    for mine in (np.flatnonzero(tracks.node == KOR), np.arange(len(tracks))):
        when = np.maximum.accumulate(tracks.time[mine] + rng.uniform(0.0, 8.0, len(mine)))
        feeds.append((when, mine, 30.0))
    made = Ahead(tracks, feeds, times)
    used = 0
    for k, t in enumerate(times):
        newest = set()
        for when, mine, wait in feeds:
            heard = [(tracks.node[r], tracks.track[r], r, w) for w, r in zip(when, mine, strict=True) if w <= t]
            last = {(n, track): (r, w) for n, track, r, w in heard}
            newest |= {int(r) for r, w in last.values() if t - w <= wait}
        rows = np.array(sorted(newest), int)
        if len(rows):
            made.reach(k)
            assert same(made.bank(k, rows), predicted_often(tracks, rows, t))
            assert same(made.bank(k, rows[::2]), predicted_often(tracks, rows[::2], t))
            used += len(rows)
    assert used > 300 and sum(asked) == used  # nothing more and nothing twice


def test_what_nobody_has_heard_is_predicted_all_the_same():
    tracks, _ = some_tracks()
    rows = np.array([3, 5])
    made = Ahead(tracks, [], np.array([0.0, 50.0]))
    assert same(made.bank(1, rows), predicted_often(tracks, rows, 50.0))
    assert made.moments(np.array([1, 1]), rows)[1].tobytes() == predicted_often(tracks, rows, 50.0).P6.tobytes()


def test_one_missile_at_rest_is_not_judged_again(monkeypatch):
    """Three nations' tracks of one object stand as one: nothing is put elsewhere until two are too far apart."""
    rng = np.random.default_rng(4)
    tracks, _ = tracks_of(*[local(s, 0, START, 0, 10, rng) for s in (KOR, JPN, USA)])
    rows = np.flatnonzero(tracks.time == 10.0)
    known = rows, predicted(tracks, rows, 10.0)
    entries = [Entry(int(tracks.node[r]), int(r), 0.0, 10.0, 10.0) for r in rows]
    after = correlation.correlate(entries, known, np.zeros(6), 0)
    assert [e.system for e in entries] == [0, 0, 0]
    judged, real = [], correlation._descend
    monkeypatch.setattr(correlation, "_descend", lambda *a: judged.append(1) or real(*a))
    assert correlation.correlate(entries, known, np.zeros(6), after) == after and not judged
    known[1].x6[0, 0] += 1e5
    correlation.correlate(entries, known, np.zeros(6), after)
    assert judged and len({e.system for e in entries}) == 2


def falling(height: float) -> tuple[np.ndarray, float]:
    """State of what comes down at Mach 5 and 45 degrees, and the logarithm of its ballistic coefficient."""
    down = np.array([EARTH_A + height, 0.0, 0.0, -1100.0, 1100.0, 0.0])
    return down, np.log(4000.0)


def test_what_falls_is_hardly_thought_to_light_an_engine_in_the_seconds_of_a_link():
    """Eight seconds later it is where drag has let it come, and what is not known is its speed and its drag."""
    x, log_beta = falling(20e3)
    row = local(KOR, 0, START, 0, 0, np.random.default_rng(1))
    row |= {"x": x[None], "P": np.diag(np.repeat([50.0, 5.0], 3) ** 2)[None], "phase_probability": np.array([[0.0, 0.0, 1.0, 0.0]])}
    tracks, _ = tracks_of(row | {"log_beta": np.array([[log_beta, 0.1]])})
    then = predicted(tracks, [0], 8.0)
    flown = motion.free_fall(x, float(np.exp(log_beta)))
    off = then.x6[0] - motion.interpolate(flown.time, flown.x, np.array([8.0]))[0]
    along = flown.x[0, 3:] / np.linalg.norm(flown.x[0, 3:])
    sigma = np.sqrt(along @ then.P6[0, :3, :3] @ along)
    assert abs(off[:3] @ along) < 60.0 and sigma < 350.0
    assert 0.0 < pushed(then)[0] < 0.03


def test_what_was_last_heard_of_in_space_is_braked_once_it_is_in_the_air():
    """At 160 km and 7 km/s nearly straight down; 20 s later, at 23 km, it is where drag has let it come, to what is not known of that."""
    x = np.array([EARTH_A + 160e3, 0.0, 0.0, -6800.0, 1500.0, 0.0])
    row = local(KOR, 0, START, 0, 0, np.random.default_rng(1))
    row |= {"x": x[None], "P": np.diag(np.repeat([10.0, 0.2], 3) ** 2)[None], "phase_probability": np.array([[0.0, 1.0, 0.0, 0.0]])}
    tracks, _ = tracks_of(row | {"log_beta": np.array([[np.log(2000.0), 0.8]])})
    then = predicted(tracks, [0], 20.0)
    flown = motion.free_fall(x, 1500.0)
    off = then.x6[0] - motion.interpolate(flown.time, flown.x, np.array([20.0]))[0]
    assert np.linalg.norm(off[:3]) > 50.0 and off @ np.linalg.solve(then.P6[0], off) / 6.0 < 3.0


@pytest.mark.parametrize("phase", [[0.6, 0.0, 0.4, 0.0], [0.1, 0.0, 0.9, 0.0], [0.0, 0.0, 0.4, 0.6]])
def test_what_may_burn_or_is_lifted_may_be_pushed_in_the_seconds_of_a_link(phase):
    """In boost, between two stages, in a glide or a landing burn."""
    x, _ = falling(20e3)
    row = local(KOR, 0, START, 0, 0, np.random.default_rng(1)) | {"x": x[None], "phase_probability": np.array([phase])}
    tracks, _ = tracks_of(row)
    assert pushed(predicted(tracks, [0], 8.0))[0] > 0.01


@pytest.mark.parametrize("after", [0.5, 2.0, 9.0, 30.0])
def test_rows_at_many_times_are_as_at_one_but_for_how_steps_are_cut(after):
    """Where steps cannot differ to the bit; else the errors of some seconds without a plot are greater by far."""
    tracks, _ = some_tracks()
    rows = np.flatnonzero(tracks.time < 30.0)
    one, often = predicted(tracks, rows, tracks.time[rows] + after), predicted_often(tracks, rows, tracks.time[rows] + after)
    steps = (tracks.phase_probability[rows, BOOST] > 0.0) & (after > 2.0)
    assert same(one[~steps], often[~steps])
    off = often.x6 - one.x6
    assert (np.einsum("ni,ni->n", off, np.linalg.solve(one.P6, off[:, :, None])[:, :, 0]) < 0.01).all()


@pytest.fixture(scope="module")
def seen_to_burn_out():
    """A single stage of short range, of two kinds of apogee, under two seeds: truth, tracks and the nodes' pictures."""
    out = []
    for id_ in ("2019-08-24-1", "2014-03-03-1"):
        scenario = replace(load(id_), bias=0.0)
        truth = simulate.fly(scenario)
        for seed in (0, 1):
            made = cueing.sense(truth, scenario, "realtime", seed)
            out.append((truth, made.detections, made.tracks, fusion.fuse(made.tracks, made.messages, scenario)))
    return out


def test_what_burns_hard_is_likely_to_be_out_some_seconds_later(seen_to_burn_out):
    """Of all that pushes with more than 60 m/s^2, two thirds are out after 4 s, and a third of those thought to be at least."""
    hard, out, thought = [], [], []
    for truth, plots, tracks, _ in seen_to_burn_out:
        burnout = accuracy.event_time(truth, BOOST)
        burns = tracks.firm & (tracks.phase_probability[:, BOOST] >= 0.5) & (plots.object[tracks.detection] == 0)
        rows = np.flatnonzero(burns & (tracks.time > 40.0) & (tracks.time < burnout))
        push = np.einsum("ni,ni->n", tracks.acceleration[rows], tracks.x[rows, 3:]) / np.linalg.norm(tracks.x[rows, 3:], axis=1)
        hard.append(push > 60.0)
        out.append(tracks.time[rows] + 4.0 > burnout)
        thought.append(1.0 - pushed(predicted(tracks, rows, tracks.time[rows] + 4.0)))
    hard, out, thought = (np.concatenate(part) for part in (hard, out, thought))
    assert hard.sum() > 150 and 0.33 < thought[hard].mean() / out[hard].mean() < 1.5
    assert thought[~hard].mean() < 0.15


def test_pictures_do_not_lie_while_news_of_a_burnout_is_on_its_way(seen_to_burn_out):
    """The hub has rows from before the burnout for some seconds; its covariances allow for it."""
    squared = {span: [] for span in ((2.0, 5.0), (5.0, 10.0), (10.0, 30.0))}
    for truth, _, _, picture in seen_to_burn_out:
        since, match = picture.time - accuracy.event_time(truth, BOOST), metrics.match(picture, truth)
        for (begin, end), found in squared.items():
            rows = (picture.node == NODES.index("HUB")) & (match.object == 0) & (since > begin) & (since <= end)
            found.append(measures.nees(match.error[rows], picture.P[rows]) / 6.0)
    soon, later, known = (np.concatenate(found).mean() for found in squared.values())
    assert soon < 2.0 and later < 1.2 and known < 1.0
