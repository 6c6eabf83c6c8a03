"""Cues: what a volume gains a radar, and the loop detect, track, share, cue against going round it with whole runs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import copfuse as cf
from copfuse import ahead, cueing, frames, motion, network, scenario, sensors, study, telling, volumes
from copfuse.constants import EARTH_A, NODES
from copfuse.errors import CopfuseError
from copfuse.kernels import cued
from copfuse.tables import Tracks, Truth, stack
from copfuse.telling import REACTION, Heard
from copfuse.volumes import Cues

KOR, JPN, USA, HUB = range(4)
HOKKAIDO = scenario.load("hokkaido-2017")
RADARS = {sensor.name: replace(sensor, availability=1.0) for sensor in HOKKAIDO.sensors}
FEW = ("KR-LSAM", "KR-AEG-ES", "JP-AEG-W", "JP-FPS5-SD", "US-TPY2-SJ", "US-SBIRS-GEO", "US-DSP")


def few(*names: str, duration: float = 180.0, **changes) -> scenario.Scenario:
    """The flight over Hokkaido with some sensors, for a while."""
    return replace(HOKKAIDO, sensors=tuple(RADARS[n] for n in names or FEW), duration=duration, **changes)


@cache
def flight() -> Truth:
    return cf.fly(HOKKAIDO)


@cache
def sensed(regime: str = "realtime", seed: int = 1, **changes) -> cueing.Sensed:
    return cueing.sense(flight(), few(**changes), regime, seed)


def same(one, other) -> bool:
    """Whether two tables have the same rows, bit for bit, whatever their provenance."""
    return all(getattr(one, n).tobytes() == getattr(other, n).tobytes() for n in one.COLUMNS)


def of_nation(detections, about, node: int):
    return detections[np.array([s.nation == NODES[node] for s in about.sensors])[detections.sensor]]


def cue(
    x, time: float = 0.0, sigma: float = 1e3, node: int = KOR, begin: float = 0.0, end: float = 1e4, share: float = volumes.CUE_SHARE
) -> Cues:
    """One volume about a state, as large in all directions."""
    one, P = np.ones(1), np.zeros((1, 6, 6))
    P[0, :3, :3] = sigma**2 * np.eye(3)
    return Cues(
        one * node, one * begin, one * end, one * time, np.asarray(x)[None], P, np.zeros((1, 3)), one * share, -one, -one, one * begin
    )


def at(time: np.ndarray) -> np.ndarray:
    return motion.interpolate(flight().time, flight().x, np.asarray(time, float))


def along(sigma: float, node: int, begin: float = 0.0) -> Cues:
    """Volumes about the true flight, a second each."""
    times = np.arange(begin, 180.0)
    return stack([cue(x, t, sigma, node, t, t + 1.0) for t, x in zip(times, at(times), strict=True)])


# What a volume gains -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["KR-GP-BS", "JP-AEG-W", "JP-FPS5-SD", "US-TPY2-SH"])
def test_the_gain_is_that_of_the_search_radar_equation(name):
    """One look against the formula written out: energy per beam in the cued raster over that in the search's."""
    radar, sigma = RADARS[name], 4e3
    x = at([150.0])
    place = frames.ecef(radar.lat, radar.lon, radar.alt)
    told = cue(x[0], 150.0, sigma, begin=140.0, share=0.02)
    away = np.linalg.norm(x[0, :3] - place)
    low, high = radar.min_elevation, radar.max_elevation
    solid = radar.azimuth_width * (np.sin(high) - np.sin(low))
    search_time = radar.search_revisit / (solid / (radar.beamwidth_az * radar.beamwidth_el))
    positions = (1 + 6 * sigma / away / radar.beamwidth_az) * (1 + 6 * sigma / away / radar.beamwidth_el)
    expected = 0.02 * radar.track_revisit / positions / search_time
    found, which = volumes.gain(replace(radar, cue_gain=1e9), told, np.array([150.0]), x)
    assert found[0] == pytest.approx(expected if expected >= 1.0 else 0.0, rel=1e-9)
    assert which[0] == (0 if expected >= 1.0 else -1)
    assert volumes.gain(radar, told, np.array([150.0]), x)[0][0] == min(found[0], radar.cue_gain)


@settings(max_examples=40, deadline=None)
@given(st.floats(10.0, 1e5), st.floats(1.0, 20.0), st.floats(100.0, 175.0), st.sampled_from(["KR-GP-BS", "JP-AEG-W", "US-TPY2-SH"]))
def test_a_larger_volume_gains_less(sigma, factor, time, name):
    radar, x, t = replace(RADARS[name], cue_gain=1e9), at([time]), np.array([time])
    small, large = (volumes.gain(radar, cue(x[0], time, s), t, x)[0][0] for s in (sigma, factor * sigma))
    assert small >= large and (small == 0.0 or small >= 1.0)
    assert factor < 1.1 or small == 0.0 or small > large


def test_a_volume_may_be_so_large_that_it_gains_nothing():
    t, x = np.array([150.0]), at([150.0])
    gains = [volumes.gain(RADARS["KR-GP-BS"], cue(x[0], 150.0, sigma), t, x)[0][0] for sigma in (1e3, 2e4, 1e5)]
    assert gains[0] == RADARS["KR-GP-BS"].cue_gain and gains[2] == 0.0


def test_a_volume_moves_and_spreads_with_what_is_in_it():
    """State and covariance at the look: constant acceleration, and velocity's sigma times the time."""
    radar, x = RADARS["JP-AEG-W"], at([150.0])[0]
    told = cue(x, 150.0, 100.0)
    told = replace(told, acceleration=np.array([[30.0, -20.0, 10.0]]))
    later = x[:3] + 8.0 * x[3:] + 32.0 * np.array([30.0, -20.0, 10.0])
    rows = np.array([[*later, 0, 0, 0], [*(later + 40e3 * np.array([0.0, 0.0, 1.0])), 0, 0, 0]])
    assert volumes.gain(radar, told, np.array([158.0, 158.0]), rows)[1].tolist() == [0, -1]
    P = told.P.copy()
    P[0, 3:, 3:] = 2e3**2 * np.eye(3)
    blurred = replace(told, P=P)
    wide = [volumes.gain(replace(radar, cue_gain=1e9), blurred, np.array([t]), at([t]))[0][0] for t in (150.0, 151.0, 153.0)]
    assert wide[0] > wide[1] > wide[2]


def test_a_cue_acts_within_its_time_and_for_its_nation_only():
    x, t = at([149.0, 150.0, 159.0, 160.0]), np.array([149.0, 150.0, 159.0, 160.0])
    told = cue(x[1], 150.0, 3e3, JPN, 150.0, 160.0)
    assert (volumes.gain(RADARS["JP-AEG-W"], told, t, x)[1] >= 0).tolist() == [False, True, True, False]
    about = few("KR-GP-BS", "JP-AEG-W")
    alone, cued = cf.detect(flight(), about, 1), cf.detect(flight(), about, 1, along(3e3, JPN))
    assert same(of_nation(alone, about, KOR), of_nation(cued, about, KOR)) and not same(alone, cued)
    satellites = few("US-SBIRS-GEO", "US-DSP")
    assert same(cf.detect(flight(), satellites, 1), cf.detect(flight(), satellites, 1, along(3e3, USA)))


def test_a_wrong_cue_gains_nothing():
    about = few("KR-LSAM", "JP-AEG-W", "US-AEG-SOJ")
    alone = cf.detect(flight(), about, 3)
    for node in (KOR, JPN, USA):
        wrong = along(3e3, node)
        wrong = replace(wrong, x=wrong.x + np.array([0.0, 0.0, 2e5, 0.0, 0.0, 0.0]))
        assert same(alone, cf.detect(flight(), about, 3, wrong))
        assert not same(alone, cf.detect(flight(), about, 3, along(3e3, node)))
    assert same(alone, cf.detect(flight(), about, 3, Cues.empty()))


def test_the_horizon_stays_where_it_is():
    """With the best cue from ignition on a horizon-limited radar gains part of a search frame, one short of power much more."""
    gained: dict[str, list[float]] = {"JP-FPS5-SD": [], "JP-AEG-E": []}
    for name in gained:
        about = few(name, duration=600.0, clutter=0.0)
        x = at(flight().time[flight().time < 600.0])
        times = flight().time[flight().time < 600.0]
        risen = times[sensors.observe(RADARS[name], x, times, 0.5, False)[1] > 0.0][0]
        best = stack([cue(p, t, 1e3, JPN, t, t + 1.0) for t, p in zip(np.arange(600.0), at(np.arange(600.0)), strict=True)])
        for seed in range(8):
            alone, told = (cf.detect(flight(), about, seed, c).time[0] for c in (None, best))
            assert risen - 1.0 <= told <= alone
            gained[name].append(alone - told)
    assert 0.0 < np.mean(gained["JP-FPS5-SD"]) < 4.0 * RADARS["JP-FPS5-SD"].search_revisit
    assert np.median(gained["JP-AEG-E"]) > 3.0 * RADARS["JP-AEG-E"].search_revisit


def test_energy_is_not_spent_beyond_need():
    """Where a radar sees well without it, a cue leaves the plots of its looks as they are, and adds some."""
    about = few("KR-AEG-ES", clutter=0.0)
    alone, told = (cf.detect(flight(), about, 2, c) for c in (None, along(1e3, KOR)))
    strong = volumes.enough(RADARS["KR-AEG-ES"].pfa, 1)
    x = at(alone.time)
    snr = sensors.observe(RADARS["KR-AEG-ES"], x, alone.time, flight().meta["objects"][0]["rcs"], False)[1]
    clear = np.flatnonzero(snr > 1.1 * strong)
    assert len(clear) > 20
    row = {t: i for i, t in enumerate(told.time.tolist())}
    both = np.array([row[t] for t in alone.time[clear].tolist()])
    assert told.snr[both].tobytes() == alone.snr[clear].tobytes() and len(told) > len(alone)


# The loop ------------------------------------------------------------------------------------------------------------


def test_without_cues_the_three_verbs_bit_for_bit():
    about = few()
    plain = cf.detect(flight(), about, 1)
    tracks = cf.track(plain, about)
    off = cueing.sense(flight(), about, "realtime", 1, cues=False)
    assert (off.detections.uid, off.tracks.uid) == (plain.uid, tracks.uid) and len(off.cues) == 0
    assert off.messages.uid == cf.share(tracks, about, "realtime", 1, plain).uid
    assert not same(plain, sensed().detections)


def test_tables_without_names_are_the_same_tables():
    """Who asks for no names is spared the hash of all plots, and nothing else changes."""
    bare = cueing.sense(flight(), few(), "realtime", 1, named=False)
    named = sensed()
    assert "detections_uid" not in bare.tracks.meta and named.tracks.meta["detections_uid"] == named.detections.uid
    assert same(bare.tracks, named.tracks) and same(bare.messages, named.messages) and bare.detections.uid == named.detections.uid


def test_again_the_same_bytes_and_with_another_seed_others():
    again, other = cueing.sense(flight(), few(), "realtime", 1), cueing.sense(flight(), few(), "realtime", 2)
    for name in ("detections", "tracks", "messages", "cues"):
        assert getattr(sensed(), name).uid == getattr(again, name).uid != getattr(other, name).uid


@pytest.mark.parametrize("regime", ["none", "realtime", "plots"])
def test_what_comes_out_is_a_fixed_point(regime):
    """The plain verbs under the cues that came out make the same tables."""
    about, made = few(), sensed(regime)
    assert same(cf.detect(flight(), about, 1, made.cues), made.detections)
    tracks = cf.track(made.detections, about)
    assert tracks.uid == made.tracks.uid
    assert cf.share(tracks, about, regime, 1, made.detections).uid == made.messages.uid
    assert len(made.cues) > 20 and (regime != "plots" or (made.cues.source == HUB).any())


def cues_of(tracks: Tracks, messages, about, steps: int) -> Cues:
    """All cues of finished tables, of all steps at once."""
    heard = telling.heard(tracks, messages)
    made, _ = telling.told(heard, about, REACTION * np.arange(steps))
    return telling.shared_out(made[np.argsort(made.end, kind="stable")])


def test_going_round_the_loop_with_whole_runs_comes_to_the_same():
    """From no cues at all; each round makes at least one more step right, so it ends within as many rounds as there are steps."""
    about = few(*FEW, "US-AEG-SOJ", "KR-GP-CB", duration=150.0, bias=0.0)  # weak radars that gain much, so that every covariance counts
    about = replace(about, sensors=tuple(replace(s, snr0=0.1 * s.snr0, cue_gain=1e3) if s.kind == "radar" else s for s in about.sensors))
    made = cueing.sense(flight(), about, "realtime", 1)
    detections, right, rounds = cf.detect(flight(), about, 1), [], 0
    while rounds <= made.rounds:
        rounds += 1
        tracks = cf.track(detections, about)
        cues = cues_of(tracks, cf.share(tracks, about, "realtime", 1, detections), about, made.rounds)
        before, detections = detections, cf.detect(flight(), about, 1, cues)
        if same(before, detections):
            break
        n = min(len(detections), len(made.detections))
        equal = detections.time[:n] == made.detections.time[:n]
        equal &= (detections.snr[:n] == made.detections.snr[:n]) & (detections.sensor[:n] == made.detections.sensor[:n])
        right.append(n if equal.all() else int(equal.argmin()))
    assert same(detections, made.detections) and same(tracks, made.tracks) and same(cues, made.cues)
    assert 2 < rounds <= made.rounds and right == sorted(right)


def test_nothing_before_a_change_knows_of_it():
    """Another flight from 110 s on leaves every plot, track and cue before as it is."""
    t, truth = 110.0, flight()
    late = truth.time > t
    other = replace(truth, x=np.where(late[:, None], truth.x + np.array([0.0, 0.0, 3e5, 0.0, 0.0, 0.0]), truth.x))
    made, changed = sensed(), cueing.sense(other, few(), "realtime", 1)
    clear = t - 2.0  # positions between two rows of the truth, and clocks
    for name in ("detections", "tracks"):
        a, b = getattr(made, name), getattr(changed, name)
        assert same(a[a.time < clear], b[b.time < clear]) and not same(a, b)
    a, b = (c[c.begin < t] for c in (made.cues, changed.cues))
    assert same(a, b) and len(a) > 10
    assert (made.cues.begin >= made.cues.known + REACTION).all()


def test_cues_come_from_own_rows_and_rows_that_have_arrived():
    made, heard = sensed(), sensed().messages
    came = {(int(m), int(r), float(t)) for m, r, t in zip(heard.target, heard.row, heard.arrived, strict=True)}
    foreign = 0
    for k in range(len(made.cues)):
        node, source, row, known = (int(made.cues.node[k]), int(made.cues.source[k]), int(made.cues.row[k]), float(made.cues.known[k]))
        assert made.tracks.firm[row] and made.tracks.node[row] == source
        assert known == made.tracks.time[row] if source == node else (node, row, known) in came
        foreign += source != node
    assert foreign > 20


def random_tracks(rng: np.random.Generator, n: int) -> Tracks:
    """Rows of some tracks of three nations high above the Earth."""
    node, track = rng.integers(0, 3, n), rng.integers(0, 2, n)
    way = rng.standard_normal((n, 3))
    x = np.hstack([way / np.linalg.norm(way, axis=1, keepdims=True) * (EARTH_A + 2e5), 1e3 * rng.standard_normal((n, 3))])
    P = np.tile(np.diag([1e6] * 3 + [1e3] * 3), (n, 1, 1))
    return Tracks(
        time=np.sort(rng.uniform(0.0, 60.0, n)), node=node, track=track, x=x, P=P, P_common=P, acceleration=np.zeros((n, 3)),
        acceleration_sigma=np.ones(n), log_beta=np.tile([8.5, 0.5], (n, 1)), phase_probability=np.tile([0.0, 1.0, 0.0, 0.0], (n, 1)),
        hits=np.full(n, 5), llr=np.full(n, 20.0), firm=np.ones(n, bool), detection=np.arange(n), sensors=np.ones(n, np.uint64),
    )  # fmt: skip


@pytest.mark.parametrize("case", range(24))
def test_a_nation_is_told_by_what_it_knows_alone(case):
    """Everything about rows that Japan does not know is changed, or they are not there: its cues are the same, bit for bit."""
    rng = np.random.default_rng(case)
    tracks, about = random_tracks(rng, 30), few()
    own, sent = np.flatnonzero(tracks.node == JPN), rng.random(30) < 0.4
    foreign = np.flatnonzero((tracks.node != JPN) & sent)
    others = np.flatnonzero(tracks.node != JPN)
    node = np.r_[np.full(len(own) + len(foreign), JPN), tracks.node[others]]
    row = np.r_[own, foreign, others]
    known = np.r_[tracks.time[own], tracks.time[foreign] + rng.uniform(0.0, 30.0, len(foreign)), tracks.time[others]]
    hidden = np.setdiff1d(np.arange(30), np.r_[own, foreign])
    changed = {name: getattr(tracks, name).copy() for name in ("x", "P", "time", "track")}
    changed["x"][hidden] += 1e5 * rng.standard_normal((len(hidden), 6))
    changed["P"][hidden] *= 3.0
    changed["track"][hidden] += 5
    gone = node == JPN
    variants = [
        Heard(tracks, node, row, known),
        Heard(replace(tracks, **changed), node, row, known),
        Heard(tracks, node[gone], row[gone], known[gone]),
    ]
    ahead: list = [None] * 3
    seen = 0
    for step in range(9):
        cues = []
        for k, heard in enumerate(variants):
            made, foreseen = telling.told(heard, about, np.array([REACTION * step]), ahead[k])
            made, ahead[k] = telling.shared_out(made), foreseen.after(0)
            cues.append(made[made.node == JPN])
        assert same(cues[0], cues[1]) and same(cues[0], cues[2])
        seen += len(cues[0])
    assert seen > 5 and len(hidden) > 3


def test_what_is_withheld_moves_no_radar():
    """Other Korean radars: Japan's plots are the same where nothing of Korea's comes to it, and others where it does."""
    about = few()
    changed = replace(about, sensors=tuple(replace(s, snr0=0.05 * s.snr0) if s.name.startswith("KR-") else s for s in about.sensors))

    def links(*ends: tuple[str, str]) -> network.Regime:
        return network.Regime("made up", "", tuple(network.Link(a, b, "track", (4.0, 4.0, 4.0), 0.0, 1.0, 20.0, 0.0) for a, b in ends))

    closed = ("JPN", "KOR"), ("USA", "KOR")
    for rule, alike in ((links(*closed), True), (links(*closed, ("KOR", "JPN")), False)):
        one, other = (cueing.sense(flight(), s, rule, 1) for s in (about, changed))
        assert not same(of_nation(one.detections, about, KOR), of_nation(other.detections, about, KOR))
        assert same(of_nation(one.detections, about, JPN), of_nation(other.detections, about, JPN)) == alike


def test_several_tracks_share_a_radars_time():
    n = 10
    many = replace(stack([cue(at([150.0])[0], 150.0) for _ in range(n)]), source=np.zeros(n))
    share = telling.shared_out(many).share
    assert np.allclose(share, volumes.ALL_CUES / n) and telling.shared_out(many[:3]).share[0] == volumes.CUE_SHARE


def test_a_link_that_depends_on_the_future_is_refused(monkeypatch):
    honest = network.transmissions

    def foretelling(tracks, *args, **options):
        made = honest(tracks, *args, **options)
        return replace(made, arrived=made.arrived + 0.001 * len(tracks))

    monkeypatch.setattr(network, "transmissions", foretelling)
    with pytest.raises(CopfuseError, match="regime 'realtime' hands over what depends on what comes later"):
        cueing.sense(flight(), few(duration=100.0), "realtime", 1)


# A watched site, and the run -------------------------------------------------------------------------------------------


WATCH = """
[[launch]]
kind = "record"
id   = "2017-09-15-1"
[[watch]]
lat_deg = 39.2
lon_deg = 125.67
nations = ["KOR"]
"""


def test_a_watched_site_cues_who_watches_it_from_the_start(tmp_path):
    path = tmp_path / "watched.toml"
    path.write_text(WATCH)
    read = scenario.load(path)
    assert read.watched == (scenario.Site(np.radians(39.2), np.radians(125.67), 20e3, 60e3, ("KOR",)),) and HOKKAIDO.watched == ()
    about = few("KR-LSAM", "JP-AEG-W", duration=90.0)
    sooner, looks = 0, 0
    for seed in range(6):
        plain = cf.detect(flight(), about, seed)
        made = cueing.sense(flight(), replace(about, watched=read.watched), "none", seed)
        assert made.cues.source[0] == -1 and made.cues.node.tolist().count(JPN) == (made.cues.source == JPN).sum()
        first, alone = (of_nation(d, about, KOR) for d in (made.detections, plain))
        first, alone = (d.time[d.object == 0][0] for d in (first, alone))
        assert first <= alone
        sooner, looks = sooner + (first < alone), looks + any(c["by"] == "watch" for c in made.detections.meta["cued"])
    assert sooner == looks >= 2


def test_bad_sites_are_refused(tmp_path):
    path = tmp_path / "watched.toml"
    for old, new, said in (
        ('"KOR"', '"PRK"', "watch 1: nations = 'PRK' is unknown"),
        ("lat_deg = 39.2", "lat_deg = 93.0", "lat_deg = 93.0"),
        ("[[watch]]", "[[watch]]\nradius = 3", "no key 'radius'"),
        ('nations = ["KOR"]', "nations = []", "nations"),
    ):
        path.write_text(WATCH.replace(old, new))
        with pytest.raises(CopfuseError, match=said.replace("[", r"\[")):
            scenario.load(path)


def test_a_run_says_what_cues_did(tmp_path):
    cued, plain = (study.run(few(), "realtime", 1, cues=c) for c in (True, False))
    assert "cued" not in plain.detections.meta and "Cued:" not in str(plain)
    assert same(cued.detections, sensed().detections)
    text = str(cued)
    line = next(line for line in text.splitlines() if line.startswith("JPN: "))
    one = next(c for c in cued.detections.meta["cued"] if c["sensor"].startswith("JP-"))
    assert one["sensor"] in line and one["first"] < one["alone"] and one["time"] <= one["first"] and "s sooner" in text
    back = study.Run.load(cued.save(tmp_path / "run"))
    assert str(back) == text and back.detections.meta["cued"] == cued.detections.meta["cued"]
    detections = cf.detect(flight(), few(), 1)
    radar = cued.detections.meta["sensors"].index(one["sensor"])
    of = [d.time[(d.sensor == radar) & (d.object == 0)][0] for d in (cued.detections, detections)]
    assert of == [one["first"], one["alone"]]


def test_registered_tracks_may_be_asked_for():
    made = cueing.sense(flight(), few(duration=100.0), "none", 1, register=True)
    plain = cueing.sense(flight(), few(duration=100.0), "none", 1)
    assert "registration" in made.tracks.meta and same(made.detections, plain.detections) and same(made.cues, plain.cues)


def test_several_radars_are_told_at_once_what_each_is_told_alone():
    """To the bit, with cues that some of them do not heed and satellites among them."""
    cues = stack([along(3e3, JPN), along(8e3, JPN, 60.0)])
    radars = [RADARS[n] for n in ("JP-AEG-W", "US-SBIRS-GEO", "JP-FPS5-SD", "JP-AEG-E")]
    looks = [(radar, np.arange(90.0 + k, 170.0, 1.0 + k), at(np.arange(90.0 + k, 170.0, 1.0 + k))) for k, radar in enumerate(radars)]
    together = gains_of(cues, looks, [np.arange(len(cues))] * len(looks))
    for found, look in zip(together, looks, strict=True):
        alone = volumes.gain(look[0], cues, *look[1:])
        assert all(a.tobytes() == b.tobytes() for a, b in zip(found, alone, strict=True))
    assert sum((which >= 0).any() for _, which in together) >= 2 and (together[1][1] == -1).all()


def plain_gain(sensor, cues, time, x):
    """`volumes.gain` in numpy, every look against every cue: what `kernels.cued` is held against."""
    look, cue = (k.ravel() for k in np.meshgrid(np.arange(len(time)), np.arange(len(cues)), indexing="ij"))
    ahead = (time[look] - cues.time[cue])[:, None]
    origin, up = frames.ecef(sensor.lat, sensor.lon, sensor.alt), frames.enu_axes(sensor.lat, sensor.lon)[2]
    there = cues.x[cue, :3] + ahead * cues.x[cue, 3:] + 0.5 * ahead**2 * cues.acceleration[cue] - origin
    P, ahead = cues.P[cue], ahead[:, :, None]
    spread = P[:, :3, :3] + ahead * (P[:, :3, 3:] + P[:, 3:, :3]) + ahead**2 * P[:, 3:, 3:]
    away = np.maximum(np.linalg.norm(there, axis=1, keepdims=True), 1e3)
    level = np.cross(there / away, up)
    level /= np.linalg.norm(level, axis=1, keepdims=True)
    axes = np.stack([level, np.cross(level, there / away)], axis=1)
    seen = x[look, :3] - origin
    off = np.arctan2(np.einsum("nai,ni->na", axes, seen), np.einsum("ni,ni->n", there / away, seen)[:, None])
    sigma, beam = np.sqrt(np.einsum("nai,nij,naj->na", axes, spread, axes)) / away, np.array([sensor.beamwidth_az, sensor.beamwidth_el])
    inside = (np.abs(off) <= volumes.SIGMAS * sigma + 0.5 * beam).all(axis=1)
    inside &= (cues.begin[cue] <= time[look]) & (time[look] < cues.end[cue])
    wide = np.prod(1.0 + 2.0 * volumes.SIGMAS * sigma / beam, axis=1)
    won = cues.share[cue] * sensor.track_revisit / sensor.search_revisit * volumes.beams(sensor) / wide
    won = np.where(inside & (won >= 1.0), won, 0.0).reshape(len(time), len(cues))
    return np.minimum(won.max(axis=1), sensor.cue_gain), np.where(won.any(axis=1), won.argmax(axis=1), -1)


@pytest.mark.parametrize("name", ["JP-AEG-W", "KR-GP-BS"])
def test_the_kernel_of_gains_says_what_numpy_does(name):
    """`cued.gains`: cues off the object, too wide, over, and twice the same, of which the first is heeded."""
    beside = along(300.0, JPN)
    beside = replace(beside, x=beside.x + np.array([2e5, 2e5, 0.0, 0.0, 0.0, 0.0]))
    cues = stack([along(2e4, JPN), along(8e3, JPN, 110.0), along(2e4, JPN), along(5e5, JPN), beside, along(50.0, JPN, 150.0)])
    radar, time = RADARS[name], np.arange(60.0, 200.0, 0.7)
    (gain, which), plain = volumes.gain(radar, cues, time, at(time)), plain_gain(radar, cues, time, at(time))
    np.testing.assert_allclose(gain, plain[0], rtol=1e-12)
    np.testing.assert_array_equal(which, plain[1])
    best, by, many = np.ones(len(time)), np.zeros(len(time), int), len(cues)
    facts = np.zeros((1, cued.FACTS))
    facts[0, cued.MOST] = radar.cue_gain
    facts[0, cued.UP], facts[0, cued.BEAM : cued.BEAM + 2] = 1.0, 1e-3  # it stands at the Earth's centre, and has no energy for any cue
    ends, about = (np.array([0, len(time)]), np.array([0, many])), (cues.begin, cues.end, cues.time, cues.x, cues.P, cues.acceleration)
    cued.gains(facts, ends[0][:1], ends[0][1:], time, at(time), ends[1], np.arange(many), *about, cues.share, volumes.SIGMAS, best, by)
    assert not best.any() and (by == -1).all()
    assert gain.min() == 0.0 and gain.max() == radar.cue_gain and ((gain > 0.0) & (gain < radar.cue_gain)).any()
    assert (which[time >= 180.0] == -1).all() and len(set(which.tolist())) > 50


def gains_of(cues, looks, rows):
    """`volumes.gains` of radars, each with its looks' times and the states there, one behind the other."""
    ends = np.cumsum([0, *(len(time) for _, time, _ in looks)])
    best, which = np.ones(ends[-1]), np.zeros(ends[-1], int)
    facts, time, x = np.stack([volumes.facts(r) for r, _, _ in looks]), *(np.concatenate([one[i] for one in looks]) for i in (1, 2))
    rows = [some if volumes.can_heed(radar) else some[:0] for (radar, _, _), some in zip(looks, rows, strict=True)]
    volumes.gains(cues, facts, ends[:-1], ends[1:], time, x, rows, best, which)
    return [(best[a:b], which[a:b]) for a, b in pairwise(ends.tolist())]


def test_radars_of_several_nations_are_told_at_once_what_each_is_told_by_its_nations_cues():
    cues = stack([along(3e3, JPN), along(3e3, KOR), along(8e3, JPN, 60.0)])
    radars = [RADARS[n] for n in ("JP-AEG-W", "KR-GP-BS", "US-SBIRS-GEO", "KR-AEG-ES", "JP-FPS5-SD")]
    looks = [(radar, np.arange(90.0 + k, 170.0, 1.0), at(np.arange(90.0 + k, 170.0, 1.0))) for k, radar in enumerate(radars)]
    mine = [np.flatnonzero(cues.node == NODES.index(radar.nation)) for radar in radars]
    for found, look, rows in zip(gains_of(cues, looks, mine), looks, mine, strict=True):
        gain, which = volumes.gain(look[0], cues[rows], *look[1:])
        assert found[0].tobytes() == gain.tobytes() and np.array_equal(found[1], np.append(rows, -1)[which])


@pytest.mark.parametrize("regime", ["realtime", "plots"])
def test_cues_that_no_radar_can_heed_may_be_left_out(regime):
    """Radars to the west lose the object long before the end, and the Americans have none: nothing else changes."""
    about = few("KR-LSAM", "KR-AEG-ES", "JP-FPS5-SD", "US-SBIRS-GEO", "US-DSP", duration=600.0)
    whole, part = (cueing.sense(flight(), about, regime, 1, idle=idle) for idle in (True, False))
    assert all(getattr(whole, name).uid == getattr(part, name).uid for name in ("detections", "tracks", "messages"))
    rows = {node: [(c.node == node).sum() for c in (whole.cues, part.cues)] for node in range(3)}
    assert rows[USA][0] > rows[USA][1] == 0 and rows[KOR][1] > 0 and len(part.cues) < len(whole.cues)
    kept = np.isin(whole.cues.node * 1e6 + whole.cues.begin, part.cues.node * 1e6 + part.cues.begin)
    assert same(whole.cues[kept], part.cues)


def test_pictures_of_plots_do_not_ask_what_trackers_have_in_common():
    about = few("KR-LSAM", "KR-AEG-ES", "JP-FPS5-SD", "US-SBIRS-GEO", duration=200.0)
    whole, part = (cueing.sense(flight(), about, "plots", 1, common=common) for common in (True, False))
    assert not np.array_equal(whole.tracks.P_common, part.tracks.P_common) and np.array_equal(whole.tracks.P, part.tracks.P)
    one, two = (cf.fuse(s.tracks, s.messages, about, s.detections) for s in (whole, part))
    assert len(one) and all(np.array_equal(getattr(one, n), getattr(two, n), equal_nan=True) for n in one.COLUMNS)


def test_what_several_nations_know_is_foreseen_once(monkeypatch):
    tracks, asked = sensed().tracks, []
    monkeypatch.setattr(telling, "predicted", lambda t, rows, time: asked.append(len(rows)) or ahead.predicted(t, rows, time))
    _, rows = np.unique(tracks.track[tracks.firm], return_index=True)
    rows = np.flatnonzero(tracks.firm)[rows]
    n = len(rows)
    heard = Heard(tracks, np.repeat([KOR, JPN, USA], n), np.tile(rows, 3), np.zeros(3 * n))
    made = telling.told(heard, few(), np.array([200.0]))[1].after(0)
    assert asked == [n] and n > 1 and len(made.row) == 3 * n
    alone = ahead.predicted(tracks, rows, 205.0)
    assert all(np.array_equal(made.bank.P6[made.row == row], np.tile(P, (3, 1, 1))) for row, P in zip(rows, alone.P6, strict=True))
