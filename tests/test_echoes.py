"""Strengths of echoes: what they are, what they tell of plots, misses and doubles; without them all is as ever."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

import copfuse as cf
from copfuse import echoes, filters, frames, fusion, hearing, heirs, network, pairing, sensors, tracking, turns, watching
from copfuse.association import Pairs
from copfuse.coasting import COLUMNS, Live
from copfuse.constants import NODES
from copfuse.kernels import echoes as kernel
from copfuse.kernels.echoes import ALONE, CHANCES, GAIN, HEARD, KNOWN, LEAST, MOST, OBJECT, PIECE, SURELY
from copfuse.scanning import Scan, in_order, searches, series
from copfuse.tables import Detections, Messages

pytestmark = pytest.mark.kernels
whole_flights = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="minutes without compiled kernels")
SITE, AXES = frames.ecef(np.radians(37.0), np.radians(127.0), 0.0), frames.enu_axes(np.radians(37.0), np.radians(127.0))
PLACE = np.r_[frames.ecef(np.radians(38.0), np.radians(130.0), 150e3), 0.0, 900.0, 0.0]
FALLS = np.array([[1e-9, 1.0, 1e-9, 1e-9, 1e-9]])


def some_case(rng, n=5, m=6):
    """Pairs of n tracks and m plots, how often and how strongly the tracks were heard, and the plots' strengths, some of them unknown."""
    inside = rng.random((n, m)) < 0.5
    start, plot = np.r_[0, np.cumsum(inside.sum(axis=1))], np.nonzero(inside)[1]
    pairs = Pairs(start, plot, np.zeros(len(plot)), rng.normal(-20.0, 5.0, len(plot)), m)
    count = np.where(rng.random(n) < 0.2, ALONE, rng.uniform(1.5, 31.0, n))
    strength = count * np.exp(rng.normal(-3.0, 2.0, n))
    echo = np.exp(rng.normal(-3.0, 2.0, (m, 2)))
    echo[rng.random(m) < 0.2] = np.nan
    return pairs, count, strength, echo


# Strengths -----------------------------------------------------------------------------------------------------------


def test_a_plot_s_strength_is_by_its_radar_s_own_equation():
    """Of every radar of the packaged scenario, at places all about it; nan of what is no radar, and without a range or a ratio."""
    about, rng, n = cf.load("hokkaido-2017"), np.random.default_rng(0), 40
    radar = np.array([echoes.facts(s) for s in about.sensors])
    for k, one in enumerate(about.sensors):
        z = np.stack([rng.uniform(5e4, 2e6, n), rng.uniform(-4.0, 4.0, n), rng.uniform(-0.1, 1.5, n), np.zeros(n)], axis=1)
        if one.cosines:
            z[:, 1:3] = rng.uniform(-0.7, 0.7, (n, 2))
        snr, number = rng.uniform(20.0, 1e4, n), np.full(n, k)
        found = echoes.strengths(z, snr, number, radar)
        if one.kind != "radar":
            assert np.isnan(found).all()
            continue
        normal = np.sqrt(1.0 - z[:, 1] ** 2 - z[:, 2] ** 2) if one.cosines else sensors.scan_angle(one, z[:, 1], z[:, 2])[1]
        square = sensors.radar_snr(one, z[:, 0], 1.0) * normal**one.scan_loss
        least = -np.log(one.pfa) - 1.0
        np.testing.assert_allclose(found, np.stack([(snr - least) / square, least / square], axis=1), rtol=1e-9)
        assert np.isnan(echoes.strengths(z * [np.nan, 1, 1, 1], snr, number, radar)).all()
        assert np.isnan(echoes.strengths(z, snr * np.nan, number, radar)).all()
        assert np.isnan(echoes.strengths(z, 0.9 * least + 0.0 * snr, number, radar)).all()  # no ratio, for it would not have been noticed
        faint = echoes.strengths(z, least + 0.0 * snr, number, radar)
        assert (faint[:, HEARD] > 0.0).all() and (faint[:, HEARD] < 1e-3 * faint[:, LEAST]).all()


@whole_flights
def test_strengths_of_an_object_are_its_cross_section():
    """What a Swerling target of case 1 exceeds a threshold by is exponential, of mean 1 plus its ratio."""
    about = cf.load("separation-2019")
    truth = cf.fly(about)
    plots = cf.detect(truth, about, seed=1)
    every = series(plots, about, "HUB")
    cross = np.array([one["rcs"] for one in truth.meta["objects"]])
    simple = np.array([s.kind == "radar" and s.swerling == 1 for s in about.sensors])
    fits = []
    for k in range(len(cross)):
        mine = np.flatnonzero((plots.object == k) & simple[plots.sensor])
        noise = every.echo[mine, LEAST] / (-np.log(np.array([about.sensors[s].pfa for s in plots.sensor[mine]])) - 1.0)
        share = every.echo[mine, HEARD] / (cross[k] + noise)
        assert len(mine) > 20 and abs(share.mean() - 1.0) < 4.5 / np.sqrt(len(mine)) + 0.05, k  # 5 %: measured range and angles
        fits.append(share)
    assert stats.kstest(np.concatenate(fits), stats.expon.cdf).pvalue > 1e-4


# What they tell ------------------------------------------------------------------------------------------------------


def plain_likelier(count, strength, heard):
    own = np.log(count) + count * np.log(strength) - (count + 1.0) * np.log(strength + heard)
    new = np.log(ALONE) + ALONE * np.log(ALONE * OBJECT) - (ALONE + 1.0) * np.log(ALONE * OBJECT + heard)
    return np.where(np.isnan(heard) | (count <= ALONE), 0.0, np.clip(own - new, *GAIN))


def test_the_next_strength_and_the_chance_of_a_plot_are_of_a_mean_with_a_gamma_inverse():
    """By the integral over the inverse of the mean: an exponential's density, and the chance to be above a threshold."""
    for count, strength, heard in ((3.0, 0.2, 0.1), (12.5, 0.06, 0.004), (31.0, 60.0, 3.0)):
        known = stats.gamma(count, scale=1.0 / strength)
        density = integrate.quad(lambda r, k=known, x=heard: k.pdf(r) * r * np.exp(-r * x), 0.0, known.ppf(1.0 - 1e-12))[0]
        above = integrate.quad(lambda r, k=known, x=heard: k.pdf(r) * np.exp(-r * x), 0.0, known.ppf(1.0 - 1e-12))[0]
        new = OBJECT * ALONE / (OBJECT + heard) ** 2
        assert ALONE == 1.0 and kernel.likelier(count, strength, heard) == pytest.approx(np.clip(np.log(density / new), *GAIN), rel=1e-6)
        assert kernel.chance(count, strength, heard) == pytest.approx(above, rel=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_pairs_are_weighed_and_misses_counted_as_in_the_plain_form(seed):
    rng = np.random.default_rng(seed)
    pairs, count, strength, echo = some_case(rng)
    n, usual = len(count), 1.3
    row = np.repeat(np.arange(n), np.diff(pairs.start))
    shared = np.bincount(pairs.plot, np.where(count >= KNOWN, SURELY, 1.0)[row], pairs.plots)
    ratio = echoes.weighed(pairs, pairs.log_density, (count, strength, echo), usual)
    told = ratio - pairs.log_density - plain_likelier(count[row], strength[row], echo[pairs.plot, HEARD])
    several = shared[pairs.plot] > SURELY
    assert np.abs(told[~several]).max(initial=0.0) < 1e-9
    share = rng.choice([0.25, 1.0], n)
    missed = echoes.misses(pairs, count, strength, echo, 0.15, 0.5, share)
    for i in range(n):
        least = echo[pairs.plot[row == i], LEAST]
        if count[i] <= ALONE or np.isnan(least).all():
            assert missed[i] == pytest.approx(np.log(0.85 / 0.5)) and np.abs(told[several & (row == i)]).max(initial=0.0) < 1e-9
            continue
        chance = (1.0 + np.nanmin(least) / strength[i]) ** -count[i]
        p = np.clip(chance, *CHANCES)
        np.testing.assert_allclose(told[several & (row == i)], np.log(p / (1.0 - p)) - usual, atol=1e-9)
        assert missed[i] == pytest.approx(max(np.log(0.85 / (1.0 - min(share[i] * chance, 0.5))), 0.0))
        args = pairs.plot, int(pairs.start[i]), int(pairs.start[i + 1])
        assert kernel.known(count[i], strength[i], echo, *args) == pytest.approx(chance)
        assert kernel.missed(count[i], strength[i], echo, *args, 0.15, 0.5, share[i]) == missed[i]
        one, found = pairs.log_density.copy(), np.zeros(pairs.plots)
        for j in range(n):
            kernel.seek(count[j], pairs.plot, pairs.start[j], pairs.start[j + 1], found)
        kernel.weigh(count[i], strength[i], echo, *args, found, one, usual)
        assert np.array_equal(found, shared) and np.array_equal(one[row == i], ratio[row == i])
    assert callable(kernel.weighed) and callable(kernel.misses) and callable(kernel.strengths)


def test_the_last_echoes_are_remembered():
    """The mean of many is theirs; a change of it is followed in some hundreds of plots."""
    rng = np.random.default_rng(1)
    count, strength = np.full(1000, ALONE), np.full(1000, OBJECT)
    for k in range(700):
        heard = rng.exponential(2.0 if k < 200 else 0.1, 1000)
        count, strength = echoes.heard(count, strength, np.stack([heard, heard], axis=1))
        if k == 199:
            assert abs((strength / count).mean() - 2.0) < 0.05 and np.ptp(count) == 0.0 and ALONE + MOST <= count[0] < ALONE + MOST + 1.0
    assert abs((strength / count).mean() - 0.1) < 0.08
    again = echoes.heard(count, strength, np.full((1000, 2), np.nan))
    assert again[0] is not count and np.array_equal(again[0], count) and np.array_equal(again[1], strength)
    for one in (1.0, ALONE + MOST - 0.1, ALONE + MOST, ALONE + MOST + 9.0):
        after = echoes.heard(np.array([one]), np.array([5.0]), np.array([[0.25, 0.1]]))
        kept = kernel.remembered(one)
        assert after[0][0] == kept * one + 1.0 and after[1][0] == kept * 5.0 + 0.25


def test_what_begins_beside_a_known_track_may_be_a_piece_of_it():
    bank = filters.bank(100.0, PLACE[None], np.eye(6)[None], FALLS)
    now = PLACE[:3] + 2.0 * PLACE[3:]
    place, echo = now + np.outer([0.0, 4e3, 6e3], [0.0, 0.0, 1.0]), np.array([[0.5, 0.1], [np.nan, np.nan], [0.5, 0.1]])
    count, strength = echoes.begun(place, echo, 102.0, bank, np.array([9]))
    assert count.tolist() == [ALONE + 1.0, ALONE, ALONE + 1.0] and strength.tolist() == [PIECE + 0.5, PIECE, OBJECT + 0.5]
    for hits in (0, 4):  # not firm, or hardly known
        assert echoes.begun(place, echo, 102.0, bank, np.array([hits]))[1].tolist() == [OBJECT + 0.5, OBJECT, OBJECT + 0.5]


# Tracks --------------------------------------------------------------------------------------------------------------


def two_tracks(count=20.0, strength=(40.0, 0.4), apart=5.0, P=(10.0, 0.3)) -> Live:
    """At 0 s two firm tracks so far apart, m, known to so much, m and m/s, that were heard alike often."""
    x6, ones = PLACE + np.outer([0.0, apart], np.eye(6)[0]), np.ones(2)
    bank = filters.bank(0.0, x6, np.tile(np.diag(np.repeat(np.square(P), 3)), (2, 1, 1)), np.repeat(FALLS, 2, axis=0))
    return replace(
        Live.empty(), bank=bank, number=np.arange(2), hits=np.array([40, 30]), llr=99 * ones, firm=ones > 0, burnt=ones > 0,
        sensors=np.array([1, 1], np.uint64), revisit=ones, seen=0 * ones, doubt=0 * ones, lit=-np.inf * ones, above=0 * ones,
        slow=np.inf * ones, echoes=count * ones, strength=np.array(strength), misfit=0 * ones, next_number=2,
    )  # fmt: skip


def parted(seed, strengths=True):
    """What becomes of two tracks that differ in nothing but how strongly they were heard, as two objects of 2 and 0.02 m^2 part at 5 m/s,
    seen by one radar every second: the numbers of the tracks on the one and on the other."""
    rng, sigma = np.random.default_rng(seed), np.array([20.0, 3e-4, 3e-4, np.nan])
    live = two_tracks(20.0 if strengths else ALONE, apart=0.0, P=(50.0, 5.0))
    true = filters.bank(0.0, PLACE + np.outer([0.0, 5.0], np.eye(6)[3]), live.bank.P6, np.repeat(FALLS, 2, axis=0))
    for k in range(1, 101):
        there = filters.predict(true, float(k)).x6
        z = frames.look(there, SITE, AXES) + rng.standard_normal((2, 4)) * sigma
        echo = {True: np.stack([rng.exponential([2.0, 0.02]), [1e-3, 1e-3]], axis=1), False: np.full((2, 2), np.nan), None: None}[strengths]
        scan = Scan(float(k), 0, 0, 2 * k + np.arange(2), z, np.tile(sigma, (2, 1)), SITE, AXES, -20.0, 1.0, echo=echo)
        live, _ = tracking.step(live, scan)
    on = np.linalg.norm(live.bank.x6[:, None] - there, axis=2).argmin(axis=1)
    return [live.number[on == k].tolist() for k in range(2)], live


@whole_flights
def test_two_objects_that_part_keep_their_tracks_by_their_echoes():
    """By their places the tracks are one object's, and become one."""
    for seed in range(20):
        assert parted(seed)[0] == [[0], [1]], seed
        assert not {0, 1} <= set(parted(seed, False)[1].number.tolist()), seed


@whole_flights
def test_unknown_strengths_are_as_none():
    for seed in range(4):
        one, none = parted(seed, False)[1], parted(seed, None)[1]
        assert one.bank.x.tobytes() == none.bank.x.tobytes() and all(
            getattr(one, name).tobytes() == getattr(none, name).tobytes() for name in COLUMNS
        )


@given(st.integers(0, 2**32 - 1))
def test_without_strengths_pairs_and_misses_are_as_ever_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    pairs, count, strength, echo = some_case(rng)
    blank = np.full_like(echo, np.nan)
    ratio = echoes.weighed(pairs, pairs.log_density, (count, strength, blank), pairing.ODDS)
    assert ratio.tobytes() == pairs.log_density.tobytes()
    share = rng.random(len(count))
    assert (echoes.misses(pairs, count, strength, blank, tracking.GHOST, pairing.SELDOM, share) == tracking.MISSED).all()
    fresh = echoes.weighed(pairs, pairs.log_density, (np.full(len(count), ALONE), strength, echo), pairing.ODDS)  # nor was any heard
    assert fresh.tobytes() == ratio.tobytes()


@whole_flights
def test_what_has_no_ratios_is_tracked_as_if_no_strength_were_known(monkeypatch):
    """By each rule of association; of these only global nearest neighbour hears strengths at all."""
    about = cf.load("separation-2019")
    plots = cf.detect(cf.fly(about), about, seed=3)
    plots = plots[(plots.time > 80.0) & (plots.time < 100.0)]
    blank = replace(plots, snr=np.full(len(plots), np.nan))
    step = tracking.step
    for rule in pairing.RULES:
        with_them, without = cf.track(plots, about, "HUB", rule), cf.track(blank, about, "HUB", rule)
        with monkeypatch.context() as patch:
            patch.setattr(tracking, "PLAIN", True)
            patch.setattr(tracking, "step", lambda live, scan, rule: step(live, replace(scan, echo=None), rule))
            none = cf.track(blank, about, "HUB", rule)
        for name in none.COLUMNS:
            assert getattr(without, name).tobytes() == getattr(none, name).tobytes(), (rule, name)
        assert (with_them.track.tobytes() != without.track.tobytes()) == (rule == "gnn")


def test_two_that_echo_differently_are_no_doubles_and_do_not_take_turns():
    alike, unlike = (two_tracks(strength=s) for s in ((4.0, 3.0), (40.0, 0.4)))
    hit = np.array([0, 1])
    for live, one in ((alike, True), (unlike, False), (two_tracks(ALONE), True)):
        drop = pairing.doubles(live.bank, live.hits, hit, 0.0, (live.echoes, live.strength))
        assert drop.tolist() == [False, one] and tracking._doubles(live, hit, 0.0).tolist() == [False, one]
        told, pairs = turns.counted(replace(live, turns={(0, 1): (9.0, 9.0)}), hit[:1], 0.0, np.repeat([200.0**2, 4.0], 3))
        assert bool(pairs) == one and told[0, 1][0] > 9.0
    assert pairing.doubles(unlike.bank, unlike.hits, hit, 0.0).tolist() == [False, True]
    assert echoes.unlike(unlike.echoes, unlike.strength, 0, 1) and echoes.unlike(unlike.echoes, unlike.strength, 1, 0)
    few = np.array([3.0, 3.0])  # a hundred times as strong is soon told, ten times is not by so few
    assert echoes.unlike(few, few * [1.0, 0.01], 0, 1) and not echoes.unlike(few, few * [1.0, 0.1], 0, 1)


def test_what_becomes_one_was_heard_by_the_plots_of_both():
    live = two_tracks()
    scan = Scan(0.0, 0, 0, np.zeros(0, int), np.zeros((0, 4)), np.zeros((0, 4)), SITE, AXES, -20.0, 1.0)
    for after in (turns._taken_in(live, 0, 1, scan), heirs._taken_over(live, 0, 1)):
        assert after.echoes[0] == 40.0 - ALONE and after.strength[0] == 40.4


def missed_beside(live: Live, least: float, **search: float) -> np.ndarray:
    """Doubt of two tracks of which the first takes the one plot that is in both gates, 5 s after 0 s."""
    none = np.zeros(2)
    pairs = Pairs(np.array([0, 1, 2]), np.array([0, 0]), none, none, 1)
    taken = pairing.Taken(np.array([0]), np.array([0]), live.bank, live.bank, none[:1], np.ones(1), np.ones(1, bool))
    z, echo = np.array([[2e5, 0.1, 0.2, 0.0]]), np.array([[1.0 if least > 0 else np.nan, least]])
    scan = Scan(5.0, 0, 0, np.zeros(1, int), z, np.ones((1, 4)), SITE, AXES, -20.0, 1.0, echo=echo, **search)
    return tracking.doubted(live, scan, np.arange(2), pairs, taken)


def test_a_faint_track_is_not_doubted_for_what_its_radar_cannot_see():
    live = replace(two_tracks(strength=(40.0, 0.02)), number=np.array([0, 1]))
    for least, weight in ((1e-5, tracking.MISSED), (0.1, 0.0), (np.nan, tracking.MISSED)):
        np.testing.assert_allclose(missed_beside(live, least), [0.0, weight], atol=1e-12)


def test_what_nobody_has_noticed_is_looked_at_in_searches_alone():
    """It is heard in three looks of ten: for the 3 s that its radar goes on looking that is a reason for doubt, then not."""
    live = replace(two_tracks(strength=(40.0, 0.4)), number=np.array([0, 1]))
    least = 0.4 * (0.3 ** (-1.0 / 20.0) - 1.0)
    for seen, weight in ((3.0, np.log(0.85 / 0.7)), (1.0, 0.0)):
        late = replace(live, seen=np.full(2, seen))
        np.testing.assert_allclose(missed_beside(late, least, frame=3.0, share=0.25), [0.0, weight], atol=1e-12)
        np.testing.assert_allclose(missed_beside(late, least), [0.0, np.log(0.85 / 0.7)], atol=1e-12)


def test_how_long_a_radar_looks_again_is_as_it_is_flown():
    """Of every packaged sensor: the ticks that it goes on looking, and how many of its ticks are searches."""
    about = cf.load("separation-2019")
    for sensor in about.sensors:
        frame, share = searches(sensor)
        if not sensor.track_revisit < sensor.search_revisit:
            assert (frame, share) == (np.inf, 1.0)
            continue
        ticks = watching._hold(sensor)
        assert ticks * sensor.track_revisit <= frame < (ticks + 0.5) * sensor.track_revisit
        assert share == pytest.approx(1.0 / round(sensor.search_revisit / sensor.track_revisit))


def test_a_scan_in_another_order_has_its_strengths_in_that_order():
    z, echo = np.array([[2e5, 0.1, 0.2, 0.0], [1e5, 0.3, 0.1, 0.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    scan = Scan(0.0, 0, 0, np.arange(2), z, np.ones((2, 4)), SITE, AXES, -20.0, 1.0, echo=echo)
    turned = in_order(scan)
    assert np.array_equal(turned.echo[np.argsort(turned.rows)], echo) and in_order(replace(scan, echo=None)).echo is None


# What a node may know ------------------------------------------------------------------------------------------------


@whole_flights
def test_ratios_that_are_stripped_from_plots_are_not_read():
    """Korea's plots go to the hub without them: with other ones, or none, everybody's picture keeps its bytes; with theirs shown it does
    not."""
    about = cf.load("separation-2019")
    plots = cf.detect(cf.fly(about), about, seed=2)
    plots = plots[(plots.time > 75.0) & (plots.time < 105.0)]
    shares = network.regime("plots")
    bare = replace(shares, links=tuple(replace(k, stripped=("snr",)) if k.source == "KOR" else k for k in shares.links))
    korean = np.array([s.nation == "KOR" for s in about.sensors])[plots.sensor]
    other = replace(plots, snr=np.where(korean, 30.0 * plots.snr, plots.snr))
    none = replace(plots, snr=np.where(korean, np.nan, plots.snr))
    tracks = tracking.track(plots[:0], about)
    made = {}
    for name, table, rule in (("a", plots, bare), ("b", other, bare), ("c", none, shares), ("d", plots, shares)):
        messages = network.share(tracks, about, rule, seed=1, detections=table)
        made[name] = fusion.fuse(tracks, messages, about, detections=table)
    for name in made["a"].COLUMNS:
        one, *same = (getattr(made[k], name).tobytes() for k in "abc")
        assert same == [one, one], name
    assert made["a"].x.tobytes() != made["d"].x.tobytes()


def test_who_has_plots_without_their_ratios():
    """A nation's own have them, but for the hub's picture, where it looks at that; nobody else's do where they were stripped."""
    about = cf.load("hokkaido-2017")
    nation = np.array([s.nation for s in about.sensors])
    one = np.array([np.flatnonzero(nation == name)[0] for name in ("KOR", "JPN", "USA")])
    rows = {name: np.ones((3, *shape), kind) for name, (kind, shape) in Detections.COLUMNS.items()} | {"sensor": one}
    plots = Detections(**rows)
    ways = {"stripped": {"KOR>HUB:plot": ["snr"], "KOR>JPN:plot": ["snr"], "USA>JPN:track": ["hits"]}, "display": {"KOR": ["KOR", "JPN"]}}
    messages = Messages.empty(**ways)
    for node, bare in (("KOR", [0]), ("JPN", [0]), ("USA", []), ("HUB", [0])):
        known = hearing.as_known(NODES.index(node), messages, about, plots)
        assert np.flatnonzero(np.isnan(known.snr)).tolist() == bare and (known is plots) == (bare == [])
    assert hearing.as_known(0, Messages.empty(**ways | {"display": {}}), about, plots) is plots
