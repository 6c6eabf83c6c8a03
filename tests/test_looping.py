"""Leaps of many steps against steps taken one by one: the same to the last bit, whatever was assumed and taken back."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import copfuse as cf
from copfuse import cueing, following, looping, network, scenario, telling, tracking
from copfuse.looping import Loop
from copfuse.tables import Tracks, stack
from copfuse.telling import REACTION, Heard

HOKKAIDO, SALVO = scenario.load("hokkaido-2017"), scenario.load("salvo-2-2019")
FEW = ("KR-LSAM", "KR-AEG-ES", "JP-AEG-W", "JP-FPS5-SD", "US-TPY2-SJ", "US-SBIRS-GEO", "US-DSP")
ENDS = [(a, b) for a in ("KOR", "JPN", "USA") for b in ("KOR", "JPN", "USA", "HUB") if a != b]


def few(whole: scenario.Scenario, duration: float = 150.0, **changes) -> scenario.Scenario:
    """A scenario with some sensors, ships' among them, for a while."""
    return replace(whole, sensors=tuple(replace(s, availability=1.0) for s in whole.sensors if s.name in FEW), duration=duration, **changes)


@cache
def flight(name: str):
    return cf.fly(scenario.load(name))


def lossy(payload: str) -> network.Regime:
    """Links that lose, scatter and double what they carry, and are down for a while."""
    ends = [(a, b) for a, b in ENDS if b != "HUB" or payload == "plot"]
    broken: dict = {"loss": 0.1, "availability": 0.9, "outage": 20.0, "jitter": 0.4, "duplicate": 0.1, "outages": ((80.0, 95.0),)}
    links = (network.Link(a, b, payload, (6.0, 2.0, 20.0), **{"period": 0.0, **broken}) for a, b in ends)
    return network.Regime(f"lossy {payload}s", "", tuple(links))


def name_of(regime) -> str:
    return getattr(regime, "name", regime)


def same(one, other) -> bool:
    return one.meta == other.meta and all(getattr(one, n).tobytes() == getattr(other, n).tobytes() for n in one.COLUMNS)


def made_by(hub: following.Hub) -> bytes:
    """All plots that a hub has taken and all rows that it has made of them."""
    rows = [np.concatenate([part[name] for part in hub.rows]).tobytes() for name in ("time", "track", "x", "P", "detection") if hub.rows]
    return b"".join([*(getattr(part, name).tobytes() for name in following.KEYS for part in hub.plots), *rows])


class Reckless:
    """Leaps of so many steps, whatever comes; how often some were taken back."""

    def __init__(self, monkeypatch, steps: int) -> None:
        self.back, restore = 0, Loop._restore

        def counted(loop, saved):
            self.back += 1
            restore(loop, saved)

        monkeypatch.setattr(Loop, "_restore", counted)
        monkeypatch.setattr(Loop, "_reach", lambda loop, step, _: min(step + steps, loop.steps))


def equal_to_single_steps(truth, about, regime, seed: int = 1, reckless: tuple[int, ...] = (7, 32), **options) -> list[int]:
    """Compares; how often each reckless way took steps back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(looping, "LONGEST", 1)
        single = cueing.sense(truth, about, regime, seed, **options)
    back = []
    for steps in (0, *reckless):
        with pytest.MonkeyPatch.context() as patch:
            counted = Reckless(patch, steps) if steps else None
            leaps = cueing.sense(truth, about, regime, seed, **options)
        back += [counted.back] if counted else []
        assert all(same(getattr(leaps, name), getattr(single, name)) for name in ("detections", "tracks", "messages", "cues"))
        assert {made_by(hub) for hub in leaps.hubs if hub.taken} == {made_by(hub) for hub in single.hubs if hub.taken}
    return back


@pytest.mark.parametrize("regime", ["none", "realtime", "plots", "link16", lossy("track"), lossy("plot"), lossy("cue")], ids=name_of)
def test_leaps_are_single_steps_bit_for_bit(regime):
    back = equal_to_single_steps(flight("hokkaido-2017"), few(HOKKAIDO), regime)
    assert min(back) > 0


@pytest.mark.parametrize("options", [{"register": True}, {"association": "jpda"}, {"association": "mht"}, {"idle": False}], ids=str)
def test_with_any_option(options):
    assert min(equal_to_single_steps(flight("hokkaido-2017"), few(HOKKAIDO, 120.0), "realtime", reckless=(7,), **options)) > 0


def test_with_clutter_and_two_missiles_and_a_watched_site(tmp_path):
    about = few(SALVO, 120.0, clutter=5.0)
    (tmp_path / "watch.toml").write_text(
        '[[launch]]\nkind = "record"\nid = "2017-09-15-1"\n[[watch]]\nlat_deg = 39.2\nlon_deg = 125.67\nnations = ["KOR"]\n'
    )
    watched = scenario.load(tmp_path / "watch.toml").watched
    for regime in ("realtime", "plots"):
        assert min(equal_to_single_steps(flight("salvo-2-2019"), replace(about, watched=watched), regime, reckless=(6,))) > 0


def test_with_radars_whose_gain_hangs_on_every_covariance():
    """Weak ones that may gain much: what they gain changes from look to look, and nothing can be assumed."""
    sensors = tuple(replace(s, snr0=0.1 * s.snr0, cue_gain=1e3) if s.kind == "radar" else s for s in few(HOKKAIDO).sensors)
    assert min(equal_to_single_steps(flight("hokkaido-2017"), replace(few(HOKKAIDO), sensors=sensors, bias=0.0), "realtime")) > 5


@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(
    st.integers(0, 10**6), st.integers(2, 12), st.sampled_from(["track", "plot"]), st.floats(0.0, 0.5), st.floats(0.0, 1.5), st.booleans()
)
def test_leaps_of_any_length_over_any_links(seed, steps, payload, loss, jitter, idle):
    link = network.Link("", "", payload, (8.0, 2.0, 30.0), loss, 0.8, 15.0, 0.0, jitter=jitter)
    rule = network.Regime("any", "", tuple(replace(link, source=a, target=b) for a, b in ENDS[:: 1 + seed % 2] if b != "HUB"))
    equal_to_single_steps(flight("hokkaido-2017"), few(HOKKAIDO, 100.0), rule, seed, (steps,), idle=idle)


def test_hardly_a_step_is_taken_back(monkeypatch):
    """By itself the loop takes far fewer leaps than steps, and few of them fail."""
    taken, back, leap, restore = [], [], Loop._leap, Loop._restore
    monkeypatch.setattr(Loop, "_leap", lambda loop, step, last: taken.append(last - step) or leap(loop, step, last))
    monkeypatch.setattr(Loop, "_restore", lambda loop, saved: back.append(1) or restore(loop, saved))
    made = cueing.sense(flight("hokkaido-2017"), few(HOKKAIDO, 900.0), "realtime", 1)
    assert len(taken) < 0.3 * made.rounds and len(back) <= 0.2 * len(taken)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_radar_whose_nation_is_told_is_taken_to_look_soon(monkeypatch, seed):
    """The volume is too wide for one step, in which the radar searches, and no longer: nothing is taken back for that."""
    back, restore = [], Loop._restore
    monkeypatch.setattr(Loop, "_restore", lambda loop, saved: back.append(1) or restore(loop, saved))
    about = few(scenario.load("2020-03-02-1"), 300.0)
    cueing.sense(cf.fly(about), about, "none", seed)
    assert not back


# What is told ----------------------------------------------------------------------------------------------------------


def random_heard(rng: np.random.Generator, n: int) -> Heard:
    """Rows of some tracks, some of them falling or vague, that nations know at some times, some of them twice."""
    tracks = cueing.sense(flight("hokkaido-2017"), few(HOKKAIDO), "none", 1).tracks
    tracks = tracks[np.sort(rng.choice(np.flatnonzero(tracks.firm), n, replace=False))]
    scale = np.where(rng.random(n) < 0.2, 1e3, 1.0)
    tracks = replace(tracks, track=rng.integers(0, 3, n), P=tracks.P * scale[:, None, None])
    row = rng.integers(0, n, 3 * n)
    known = np.round(tracks.time[row] + rng.uniform(0.0, 40.0, 3 * n), rng.integers(0, 3))  # some at one time, some as a step begins
    within = np.stack([rng.choice([-np.inf, 95.0], 4), rng.choice([np.inf, 200.0], 4)])
    return Heard(tracks, rng.integers(0, 3, 3 * n), row, known, within)


@pytest.mark.parametrize("case", range(12))
def test_cues_of_many_steps_are_those_of_one_after_the_other(case):
    """Also in two goes, the second from what the first foresaw in the middle."""
    heard, about, begins = random_heard(np.random.default_rng(case), 25), few(HOKKAIDO), REACTION * np.arange(5, 26)
    whole, foreseen = telling.told(heard, about, begins)
    parts, ahead = [], None
    for k, begin in enumerate(begins):
        cues, one = telling.told(heard, about, np.array([begin]), ahead)
        ahead = one.after(0)
        there = foreseen.after(k)
        assert all(np.array_equal(getattr(ahead, name), getattr(there, name)) for name in ("node", "row", "begun", "out"))
        assert np.array_equal(ahead.bank.P[~ahead.out], there.bank.P[~there.out])
        parts.append(cues)
    again, _ = telling.told(heard, about, begins[9:], foreseen.after(8))
    assert same(stack(parts), whole) and same(stack(parts[9:]), again) and len(whole) > 20


def test_the_newest_row_known_for_so_long():
    """Against the definition, track by track."""
    rng = np.random.default_rng(5)
    heard, begins = random_heard(rng, 25), REACTION * np.arange(5, 26)
    found = telling._newest(heard, begins)
    tracks, expected = heard.tracks, set()
    name = list(zip(heard.node.tolist(), tracks.node[heard.row].tolist(), tracks.track[heard.row].tolist(), strict=True))
    for one in set(name):
        mine = np.array([k for k, other in enumerate(name) if other == one])
        since, until = heard.within[:, one[0]]
        for step, begin in enumerate(begins):
            start = max(heard.known[mine].min() + REACTION, begin)
            able = mine[heard.known[mine] <= start - REACTION]
            if start < begin + REACTION and len(able) and since < begin <= until:
                newest = max(able, key=lambda k: (tracks.time[heard.row[k]], heard.known[k], k))
                expected.add((step, int(newest), float(start)))
    assert set(zip(found.step.tolist(), found.entry.tolist(), found.start.tolist(), strict=True)) == expected and len(expected) > 50


# Tracks of the same plots ------------------------------------------------------------------------------------------------


def test_tracks_are_found_again_however_the_plots_came(monkeypatch):
    about = few(HOKKAIDO)
    plots, kept, counted, real = cf.detect(flight("hokkaido-2017"), about, 1), following.Kept(), [0], tracking.follow
    monkeypatch.setattr(tracking, "follow", lambda s, d, *rest: counted.__setitem__(0, counted[0] + len(d)) or real(s, d, *rest))
    made = []
    for edges in (range(0, 160, 10), (0, 30, 60, 150), (0, 50, 90, 150)):
        nations, rows = following.Nations(about, "gnn", kept), []
        at = np.searchsorted(plots.time, edges)
        for a, b in zip(at[:-1], at[1:], strict=True):
            rows += nations.follow(plots[a:b], np.arange(a, b))
        made.append(nations.table(rows, plots))
    assert same(made[0], made[1]) and same(made[0], made[2]) and counted[0] == len(plots)
    assert isinstance(made[0], Tracks) and len(made[0]) > 50


def test_nations_go_back_to_where_they_were():
    about = few(HOKKAIDO)
    plots = cf.detect(flight("hokkaido-2017"), about, 1)
    n = int(np.searchsorted(plots.time, 90.0))
    nations = following.Nations(about, "gnn", following.Kept())
    nations.follow(plots[:n], np.arange(n))
    saved = nations.saved()
    wrong = replace(plots, z=plots.z * 1.001)[n:]
    nations.follow(wrong, np.arange(n, len(plots)))
    nations.restore(saved)
    rows = nations.follow(plots[n:], np.arange(n, len(plots)))
    fresh = following.Nations(about, "gnn", following.Kept())
    fresh.follow(plots[:n], np.arange(n))
    other = fresh.follow(plots[n:], np.arange(n, len(plots)))
    assert all(a[name].tobytes() == b[name].tobytes() for a, b in zip(rows, other, strict=True) for name in a.dtype.names) and rows
