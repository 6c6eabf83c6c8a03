"""Scans taken many at a time against the plain form, one `tracking.step` after another: the same to the last bit."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import copfuse as cf
from copfuse import coasting, companions, filters, phases, scanning, singles, starting, tracking
from copfuse.coasting import Live
from copfuse.filters import Bank
from copfuse.frames import altitude
from copfuse.kernels import engines, free, njit, reach, standing, steady
from copfuse.kernels.lent import CHANCE, RATE
from copfuse.kernels.motions import BOOST, MANOEUVRE, REENTRY
from copfuse.kernels.switching import LATELY
from copfuse.steady import Steady

pytestmark = pytest.mark.kernels
whole_flights = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="minutes without compiled kernels")


def both(plots, about, node=None, held=()):
    """What every scan changes, and what is held in the end: many scans at a time, and one after another; ``held``: at the beginning."""
    out = []
    for plain in (False, True):
        states: dict[int, Live] = dict(held)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tracking, "PLAIN", plain)
            rows = list(tracking.follow(states, plots, about, node, "gnn"))
        out.append(({name: np.concatenate([r[name] for r in rows]) for name in rows[0].dtype.names} if rows else {}, states))
    return out


def assert_same(one, other):
    (rows, states), (plain, wanted) = one, other
    assert rows.keys() == plain.keys()
    for name in plain:
        assert rows[name].dtype == plain[name].dtype and np.array_equal(rows[name], plain[name], equal_nan=True), name
    assert states.keys() == wanted.keys()
    for node, live in states.items():
        assert live.counts == wanted[node].counts and live.next_number == wanted[node].next_number
        for name in coasting.COLUMNS:
            assert np.array_equal(getattr(live, name), getattr(wanted[node], name)), name
        for name in Bank.__dataclass_fields__:
            assert np.array_equal(getattr(live.bank, name), getattr(wanted[node].bank, name), equal_nan=True), name


def disturbed(plots, rng):
    """The plots with gaps in time, with some left out, and without some of their components and ratios."""
    begin = rng.uniform(0.0, plots.time[-1], 3)
    gap = ((plots.time[:, None] > begin) & (plots.time[:, None] < begin + rng.uniform(5.0, 60.0, 3))).any(axis=1)
    plots = plots[~gap & (rng.random(len(plots)) > 0.05)]
    z = plots.z.copy()
    few = rng.random(len(z)) < 0.03
    z[few, rng.integers(0, 4, few.sum())] = np.nan  # range: a line of sight; an angle: what no box is asked for
    z[rng.random(len(z)) < 0.03, 0] += 3e3
    return replace(plots, z=z, snr=np.where(rng.random(len(z)) < 0.03, np.nan, plots.snr))  # of some no strength is known


CASES = ["salvo-2-2019", "glide-2024", "hokkaido-2017", "separation-2019", "lofted-icbm-2022"]


@whole_flights
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("node", [None, "HUB"])
def test_many_scans_at_a_time_give_the_same_bits(name, node):
    rng = np.random.default_rng([CASES.index(name), node is None])
    about = cf.load(name)
    plots = cf.detect(cf.fly(about), about, seed=int(rng.integers(100)))
    plots = disturbed(plots[plots.time < plots.time[0] + 250.0], rng)[:2500]
    assert_same(*both(plots, about, node))


@cache
def held_on_the_way():
    """A flight's plots, and what is held at some of its times."""
    about = replace(cf.load("hokkaido-2017"), clutter=0.0)
    plots = cf.detect(cf.fly(about), about, seed=3)
    states, on_the_way = {2: Live.empty()}, []
    for k, scan in enumerate(scanning.scans(plots[plots.time < 400.0], about, "HUB")):
        states[2] = tracking.step(states[2], scan)[0]
        if k % 10 == 0 and states[2].firm.any():
            on_the_way.append((scan.time, states[2]))
    return about, plots, on_the_way


@whole_flights
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_whatever_is_held_goes_on_with_the_same_bits(seed):
    """Tracks beside one another, so that some miss what others take; engines that burn, have just gone out or have long; any doubt; some
    about to become firm, and some known too badly for that.
    """
    about, plots, on_the_way = held_on_the_way()
    rng = np.random.default_rng(seed)
    time, live = on_the_way[rng.integers(len(on_the_way))]
    live = live[np.sort(rng.integers(len(live), size=rng.integers(1, 4)))]
    firm = rng.random(len(live)) < 0.9
    n, far = len(live), np.where(np.arange(len(live)) == 0, 0.0, rng.choice([0.1, 1.0, 3.0, 10.0]))
    x6 = live.bank.x6 + np.sqrt(np.einsum("naa->na", live.bank.P6)) * rng.standard_normal((n, 6)) * far[:, None]
    mu = live.bank.mu, rng.dirichlet(rng.choice([0.05, 0.5], 5), n), np.tile([0.01, 0.4, 0.4, 0.16, 0.03], (n, 1))
    bank = replace(live.bank, x=live.bank.x.copy(), mu=mu[rng.integers(3)].copy())
    bank.x[:, :, :6] += (x6 - live.bank.x6)[:, None]
    live = replace(
        live, bank=replace(bank, x6=x6), number=np.arange(n), next_number=n, firm=firm, hits=np.where(firm, live.hits, 2),
        llr=np.where(firm, live.llr, rng.choice([5.0, 50.0], n)),
        burnt=rng.random(n) < 0.5, doubt=rng.choice([0.0, 1.5, 4.2, 4.9], n), sensors=rng.integers(0, 2**39, n, np.uint64),
        lit=live.seen - rng.choice([0.0, 1.0, 5.0, 15.0, np.inf], n), above=rng.choice([0.05, 0.3], n),
        slow=rng.choice([0.0, 1500.0, np.inf], n),
    )  # fmt: skip
    later = plots[plots.time > time][: rng.integers(1, 40)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "FIRM_SIGMA", rng.choice([20e3, 1e3, 100.0]))
        assert_same(*both(later[rng.random(len(later)) < 0.8], about, "HUB", {3: live}.items()))


@whole_flights
def test_nearly_all_scans_of_a_flight_without_false_plots_are_steady(monkeypatch):
    about = replace(cf.load("hokkaido-2017"), clutter=0.0)
    plots = cf.detect(cf.fly(about), about, seed=5)
    steps, step = [], tracking.step
    monkeypatch.setattr(tracking, "step", lambda *args: steps.append(1) or step(*args))
    cf.track(plots, about)
    assert len(steps) < 0.003 * len(scanning.series(plots, about)) and len(plots) > 1500


@whole_flights
@pytest.mark.parametrize("node", [None, "HUB"])
def test_few_false_plots_are_a_scan_of_the_plain_form(monkeypatch, node):
    """A step each costs more than all else of tracking; what is left is firm tracks that nobody sees, and plots beside known ones."""
    about = cf.load("hokkaido-2017")
    plots = cf.detect(cf.fly(about), about, seed=6)
    steps, step = [], tracking.step
    monkeypatch.setattr(tracking, "step", lambda *args: steps.append(1) or step(*args))
    tracks = cf.track(plots, about, node)
    free = sum(one["plots"] - one["taken"] for one in tracks.meta["counts"].values())
    assert free > 1000 and len(steps) < (0.05 if node else 0.3) * free


@whole_flights
@pytest.mark.parametrize("clutter", [0.0, 1.0])
def test_however_few_tracks_are_begun_ahead(monkeypatch, clutter):
    """They are made again and again, in rows that were others'; where a scenario says that no plot is false, of one scan at a time."""
    about = cf.load("glide-2024")
    plots = cf.detect(cf.fly(about), about, seed=2)
    plots, told = plots[plots.time < plots.time[0] + 200.0], replace(about, clutter=clutter)
    monkeypatch.setattr("copfuse.steady.BLOCK", 2)
    assert_same(*both(plots, told))


@whole_flights
def test_nodes_may_come_one_after_another():
    """The first plot of a node comes while others are followed."""
    about, nation = cf.load("hokkaido-2017"), np.array([s.nation for s in cf.load("hokkaido-2017").sensors])
    plots = cf.detect(cf.fly(about), about, seed=7)
    late = {"KOR": 0.0, "USA": 60.0, "JPN": 120.0}
    plots = plots[(plots.time < 200.0) & (plots.time > np.array([late[n] for n in nation[plots.sensor]]))]
    assert_same(*both(plots, about))


@whole_flights
def test_what_nodes_hold_is_known_whenever_rows_are_handed_out(monkeypatch):
    """Whoever looks at ``states`` between two batches sees the tracks of the newest row."""
    about = replace(cf.load("hokkaido-2017"), clutter=0.0)
    plots = cf.detect(cf.fly(about), about, seed=5)
    states: dict[int, Live] = {}
    batches = 0
    for rows in tracking.follow(states, plots, about, "HUB", "gnn"):
        batches += 1
        assert max(live.seen.max() for live in states.values()) == rows["time"][-1]
    assert batches > 1


# The parts ------------------------------------------------------------------------------------------------------------


def some_tracks(rng, n):
    """Tracks from the ground to the void that have seen some pushes, and the figures of the tracker."""
    height = rng.choice([6371e3, 6378e3, 6390e3, 6500e3, 6800e3], n)
    way = rng.standard_normal((n, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    x6 = np.hstack([way * height[:, None], rng.standard_normal((n, 3)) * 2e3])
    root = rng.standard_normal((n, 6, 6)) * np.repeat([1e3, 10.0], 3)[:, None]
    mu = rng.dirichlet(rng.choice([0.05, 0.3, 2.0], 5), n)
    push = rng.standard_normal((n, 3)) * 20.0
    some = filters.bank(100.0 - rng.uniform(0.0, 20.0, n), x6, root @ np.swapaxes(root, 1, 2), mu, push, rng.uniform(0.1, 20.0, n))
    return filters.predict(some, 100.0) if n else some


def some_live(rng, n):
    seen = 100.0 - rng.choice([0.0, 4.0, 8.0, 33.0, 50.0], n)
    bank = some_tracks(rng, n)
    firm = rng.random(n) < 0.6
    return Live(
        replace(bank, time=np.where(rng.random(n) < 0.5, seen, np.minimum(seen + 28.0, 99.0))), np.arange(n), rng.integers(1, 9, n),
        rng.uniform(0.0, 50.0, n), firm, firm & (rng.random(n) < 0.5), np.ones(n, np.uint64), rng.choice([1.0, 2.0, 10.0], n), seen,
        rng.choice([0.0, 1.0, 4.9], n), np.where(rng.random(n) < 0.5, -np.inf, seen),
        rng.choice([0.05, 0.3], n), rng.choice([500.0, np.inf], n), rng.choice([1.0, 2.0, 20.0], n), rng.choice([0.005, 0.05, 2.0], n),
        rng.choice([0.0, 1.0, 3.0], n),
    )  # fmt: skip


@given(st.integers(0, 2**32 - 1))
def test_engines_and_the_ground_are_decided_as_in_the_plain_form(seed):
    rng = np.random.default_rng(seed)
    n, rule = 6, tracking._rule()
    bank, burnt, able = some_tracks(rng, n), rng.random(n) < 0.5, rng.random(n) < 0.7
    bank.P[rng.random(n) < 0.5, REENTRY, 6, 6] = filters.PIECE_SIGMA**2
    low = tracking._low(bank).tolist()
    engine = phases.pushed(bank)
    forgot = Bank(*(getattr(bank, name).copy() for name in Bank.__dataclass_fields__))
    filters.forget_drag(forgot, np.flatnonzero(~burnt & (engine > 0.5)))
    filters.forget_thrust(forgot, np.flatnonzero(bank.mu[:, BOOST] < tracking.FORGOTTEN))
    (along, blur), pause = phases.thrust(forgot), rng.random(n) < 0.5
    out = tracking._burnt_out(forgot, engine, burnt, able, pause)
    filters.forget_thrust(forgot, np.flatnonzero(out & ~burnt))
    for i in range(n):
        x, P, mu = bank.x[i].copy(), bank.P[i].copy(), bank.mu[i]
        assert engines.grounded(bank.x6[i], bank.P6[i], rule) or i not in low
        engines.forget(x, P, mu, burnt[i], rule)
        np.testing.assert_allclose(engines.thrust(x, P, mu, bank.x6[i]), (along[i], blur[i]), rtol=1e-9, atol=1e-9)
        told = engines.burnt_out(x, P, mu, bank.x6[i], burnt[i], able[i], 0.1 * pause[i], rule)
        unknown = engines.burnt_out(x, P, mu, bank.x6[i], burnt[i], able[i], engines.UNKNOWN, rule)
        assert told == out[i] and unknown in (told, -1)
        assert engines.likely_out(mu, burnt[i], able[i], 0.1 * pause[i], rule) in (told, engines.ASKED)
        if out[i] and not burnt[i]:
            engines.forget_thrust(x, P, rule)
        assert np.array_equal(x, forgot.x[i]) and np.array_equal(P, forgot.P[i])


def test_what_is_too_near_to_call_is_left_to_the_plain_form():
    """A push along the velocity that is a further stage's, were it any stronger; and a track as low as the ground is minded."""
    rule = tracking._rule()
    x6, mu = np.array([[6.5e6, 0.0, 0.0, 3e3, 0.0, 0.0]]), np.array([[1.0 - 4e-12, 1e-12, 1e-12, 1e-12, 1e-12]])
    for push, said in ((tracking.RELIGHT, -1), (tracking.RELIGHT + 1e-3, 0), (tracking.RELIGHT - 1e-3, 1)):
        bank = filters.bank(0.0, x6, np.eye(6)[None], mu, np.array([[push, 0.0, 0.0]]), np.ones(1))
        assert engines.burnt_out(bank.x[0], bank.P[0], bank.mu[0], bank.x6[0], True, True, 0.0, rule) == said
    assert bank.mu[0, MANOEUVRE] > 0.95
    low = np.array([[6378137.0 + 30.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    for share, minded in ((1.0 + 1e-3, False), (1.0, True), (1.0 - 1e-3, True)):
        P6 = np.eye(6) * (altitude(low)[0] / (share * tracking.GROUNDED)) ** 2
        assert engines.grounded(low[0], P6, rule) == minded


class Lent:
    """A `Steady` that follows some tracks of a node, and plots of one scan."""

    def __init__(self, live, plots=None):
        about = cf.load("hokkaido-2017")
        every = scanning.series(cf.Detections.empty() if plots is None else plots, about, "USA")
        self.steady = Steady({2: live}, every, tracking._rule())
        self.steady._bring(2)


def test_what_may_still_light_is_as_in_the_plain_form():
    """To the last bit, for whatever was seen to burn before the first scan; what was seen to since is not known."""
    time = np.sort(np.random.default_rng(0).uniform(100.0, 130.0, 40))
    plots = cf.Detections(time, np.zeros(40, int), np.ones((40, 4)), np.ones((40, 4)), np.ones(40), np.full(40, -1))
    live = some_live(np.random.default_rng(1), 5)
    live = replace(live, lit=np.array([-np.inf, 99.0, 95.0, 99.0, 60.0]), above=np.array([0.0, 0.3, 0.1, 0.05, 0.3]))
    lent = Lent(live, plots).steady
    for first in (0, 7):
        waits = lent._waits(first)
        for scan in range(first, 40):
            for lit, above in zip(live.lit, live.above, strict=True):
                since = np.array([time[scan] - lit])
                given = scan, first, time[first]
                assert engines.waited(lit, above, waits, RATE, *given) == phases.relight(since, above)[0]
                assert engines.waited(lit, above, waits, CHANCE, *given) == phases.further(since, above)[0]
            assert engines.waited(time[first] + 1e-9, 0.3, waits, CHANCE, scan, first, time[first]) == engines.UNKNOWN
    assert phases.relight(np.zeros(1), 0.3)[0] == LATELY < phases.relight(np.array([1e-9]), 0.3)[0]
    chance = phases.further(np.linspace(0.0, 60.0, 1000), phases.STAGES)
    assert (np.diff(chance) <= 0.0).all() and chance[-1] == 0.0  # so that none is left out that comes back


@given(st.integers(0, 2**32 - 1), st.integers(0, 7))
def test_what_nobody_sees_is_dropped_or_asked_as_in_the_plain_form(seed, n):
    rng = np.random.default_rng(seed)
    live, young = some_live(rng, n), rng.random(n) < 0.3  # falls, just begun
    mu = np.where(young[:, None], [0.04, 0.85, 0.04, 0.03, 0.04], live.bank.mu)
    live = replace(live, bank=replace(live.bank, mu=mu), firm=live.firm & ~young, hits=np.where(young, rng.integers(1, 4, n), live.hits))
    lent = Lent(live).steady
    later, drop = coasting.coasted(live, 100.0)
    settled = reach.coasted(lent.rows, 2, 2 * lent.room, 100.0, lent.rule)
    kept = lent.seen(2)
    left = live[~(drop & ~live.firm)]
    assert np.array_equal(kept.number, left.number) and kept.counts[5] == (drop & ~live.firm).sum()
    for name in ("firm", "burnt", "seen", "hits", "llr"):
        assert np.array_equal(getattr(kept, name), getattr(left, name))
    assert all(np.array_equal(getattr(kept.bank, name), getattr(left.bank, name)) for name in Bank.__dataclass_fields__)
    if settled:  # then no firm track has moved on
        assert np.array_equal(later.bank.time[live.firm], live.bank.time[live.firm])


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.booleans())
def test_the_same_tracks_are_within_reach(seed, n, infrared):
    rng = np.random.default_rng(seed)
    about = cf.load("hokkaido-2017")
    plots = cf.detect(cf.fly(about), about, seed=int(rng.integers(5)))
    kind = np.array([s.kind == "infrared" for s in about.sensors])
    one = rng.choice(np.flatnonzero(kind[plots.sensor] == infrared))
    plots = plots[(plots.time == plots.time[one]) & (plots.sensor == plots.sensor[one])]
    scan = scanning.series(plots, about, "USA")[0]
    live = some_live(rng, n)
    spots = scan.spots[0] if not infrared else scan.origin + 3.6e7 * scan.spots[0]
    x6 = np.hstack(
        [spots[rng.integers(len(spots), size=n)] + rng.choice([1e2, 1e4, 1e6], (n, 1)) * rng.standard_normal((n, 3)), live.bank.x6[:, 3:]]
    )
    live = replace(live, bank=filters.bank(scan.time - rng.choice([0.5, 5.0], n), x6, live.bank.P6, live.bank.mu))
    lent = Lent(live, plots).steady
    start, plot = coasting.within_reach(live, scan)
    given = lent.rows, 2 * lent.room, n, scan.time, lent.scans, 0, len(plots), scan.origin, lent.rule, lent.work
    near = reach.reached(*given, steady.addresses().boxes)
    rows, numbers = np.flatnonzero(np.diff(start)), lent.work.numbers
    assert np.array_equal(numbers[steady.NEAR, :near], rows) and np.array_equal(numbers[steady.PLOT, : len(plot)], plot)
    assert np.array_equal(numbers[steady.START, : near + 1], np.append(start[rows], len(plot)))


@whole_flights
@pytest.mark.parametrize("name", ["hokkaido-2017", "lofted-icbm-2022"])
def test_tracks_begun_ahead_are_as_if_each_were_alone(name):
    about = cf.load(name)
    every = scanning.series(cf.detect(cf.fly(about), about, seed=1), about, "HUB")
    plots = np.sort(np.random.default_rng(0).choice(len(every.time), 400, replace=False))
    scan, made = singles.begun(every, plots)
    for i, (plot, k) in enumerate(zip(plots.tolist(), scan.tolist(), strict=True)):
        one, here = every[k], slice(plot - every.first[k], plot - every.first[k] + 1)
        starting._MADE.clear()
        alone = starting.from_one_plot(one.time, one.z[here], one.sigma[here], one.origin, one.axes, one.cosines)
        rated = np.isfinite(one.z[here, 3]).all() == np.isfinite(one.z[:, 3]).any()
        for column in Bank.__dataclass_fields__ if rated else ():
            assert np.array_equal(getattr(made, column)[i], getattr(alone, column)[0], equal_nan=True), column


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_what_begins_beside_nobody_takes_nobody_s_velocity(seed, n):
    """`free.beside` may call too many plots to be beside a known track, never too few."""
    rng = np.random.default_rng(seed)
    live = some_live(rng, n)
    rows, bank, time = Lent(live).steady, live.bank, 100.0
    there = bank.x6[:, :3] + bank.x6[:, 3:] * (time - bank.time)[:, None]
    for far in (1e3, companions.BESIDE, 1e5, 1e6):
        spot = np.r_[there[rng.integers(n)] + rng.standard_normal(3) * far, 10.0, 0.0]
        new = filters.bank(time, np.r_[spot[:3], np.zeros(3)][None], np.eye(6)[None], bank.mu[:1])
        given = bank, np.where(live.firm, live.hits, 0)
        like, *_ = companions.velocities(new, np.ones(1, bool), *given)
        assert free.beside(rows.rows, 2 * rows.room, n, 0, 0, rows.scans._replace(spot=spot[None]), 0, time, rows.rule) or not len(like)
    assert callable(free.unclaimed) and callable(free.begun)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_row_is_copied_with_all_that_it_has(seed):
    rng = np.random.default_rng(seed)
    lent = Lent(some_live(rng, 3)).steady
    lent.rows.figures[:, -1] = rng.random(len(lent.rows.figures))
    reach.copy_row(lent.rows, 2 * lent.room, 2 * lent.room + 2)
    assert (lent.rows.figures[2 * lent.room + 2] == lent.rows.figures[2 * lent.room]).all() and callable(reach.copy_columns)
    after = lent.seen(2)
    assert all(getattr(after, name)[2] == getattr(after, name)[0] for name in coasting.COLUMNS)
    assert all(np.array_equal(getattr(after.bank, name)[2], getattr(after.bank, name)[0]) for name in Bank.__dataclass_fields__)


# Calls of what stands ------------------------------------------------------------------------------------------------


@njit
def _added(x, by):
    for i in range(len(x)):
        x[i] += by


_call, _at = standing.standing(_added, numba.float64[::1], numba.float64)


@njit
def _calling(at, x, by):
    _call(at, x[1:], by)


def test_a_kernel_is_called_where_it_stands():
    x = np.zeros(3)
    _calling(_at(), x, 2.0)
    assert x.tolist() == [0.0, 2.0, 2.0]


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="about types")
def test_a_kernel_that_stands_is_not_called_with_anything_else():
    with pytest.raises(numba.core.errors.TypingError, match="stands for"):
        _calling(_at(), np.zeros(3), 2)
    with pytest.raises(numba.core.errors.TypingError, match="stands for"):
        _calling(_at(), np.zeros((3, 2)), 2.0)


def test_all_scans_in_one_call_or_one_in_each(monkeypatch):
    """`steady.follow` stops where there is no room, and goes on from there."""
    about = replace(cf.load("salvo-2-2019"), clutter=0.0)
    plots = cf.detect(cf.fly(about), about, seed=1)
    plots = plots[plots.time < plots.time[0] + (60.0 if os.environ.get("NUMBA_DISABLE_JIT") != "1" else 6.0)]
    assert callable(steady.follow)
    at_once = both(plots, about)[0]
    monkeypatch.setattr("copfuse.steady.ROWS", 1)
    assert_same(both(plots, about)[0], at_once)
