"""Correlation into system tracks: optimal where that can be told, stable numbers, what was wrongly one parts, what is one joins."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copfuse import ahead, books, coasting, correlation, filters, frames
from copfuse.constants import MIDCOURSE, NODES, REENTRY_ALTITUDE
from copfuse.entries import SILENT, Entry, note, visible
from copfuse.kernels import motions
from copfuse.kernels.distances import squared_distances
from copfuse.tables import Tracks

KOR, JPN, USA = range(3)
SIGMA = np.repeat([300.0, 10.0], 3)  # m, m/s of a made-up local track
START = np.array([6.67e6, 0.0, 0.0, 300.0, 2500.0, 0.0])  # 290 km up, moving east
ABOUT = SimpleNamespace(picture_step=2.0, bias=0.0)


def fall(x, time):
    """States (n, 6) at times (n,) of what falls freely from x (6,) at 0 s."""
    mu = np.where(np.arange(motions.N_MODEL) == motions.COAST, 1.0, 0.0)
    known = filters.bank(
        np.zeros(len(time)), np.tile(x, (len(time), 1)), np.tile(np.eye(6), (len(time), 1, 1)), np.tile(mu, (len(time), 1))
    )
    return filters.predict(known, time).x[:, motions.COAST, :6]


def local(source, number, x, begin, end, rng, sigma=SIGMA, shift=None, step=2.0, memory=20.0):
    """Rows of one local track of what falls from x: errors of ``sigma`` that fade over ``memory`` s, plus ``shift`` (6,)."""
    time = np.arange(begin, end + 1e-9, step)
    error, keep = np.zeros((len(time), 6)), np.exp(-step / memory)
    error[0] = rng.standard_normal(6) * sigma
    for k in range(1, len(time)):
        error[k] = keep * error[k - 1] + np.sqrt(1.0 - keep**2) * rng.standard_normal(6) * sigma
    n, offset = len(time), np.zeros(6) if shift is None else shift
    return {
        "time": time, "node": np.full(n, source), "track": np.full(n, number), "x": fall(x, time) + error + offset,
        "P": np.tile(np.diag(sigma**2), (n, 1, 1)), "P_common": np.tile(np.diag(0.01 * sigma**2), (n, 1, 1)),
        "phase_probability": np.tile(np.eye(4)[MIDCOURSE], (n, 1)), "log_beta": np.tile([9.0, 0.5], (n, 1)),
    }  # fmt: skip


def tracks_of(*parts):
    """Tracks, and what a node hears at once, of made-up local tracks."""
    columns = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    order = np.lexsort((columns["track"], columns["node"], columns["time"]))
    columns = {name: c[order] for name, c in columns.items()}
    n = len(order)
    for name, (kind, shape) in Tracks.COLUMNS.items():
        columns.setdefault(name, np.zeros((n, *shape), kind))
    columns["acceleration_sigma"] = np.ones_like(columns["acceleration_sigma"])
    columns["firm"] = np.ones(n, bool)
    table = Tracks(**columns, meta={})
    return table, (table.time, np.arange(n))


def lines(tracks, feed, about=ABOUT, ends=()):
    """(time, system, {(source, track)}) of a book's lines."""
    return [
        (time, system, {(int(tracks.node[r]), int(tracks.track[r])) for r in look.rows[place[place >= 0]]})
        for look in books.looks(tracks, books.listening(tracks, [feed], about, ends=ends), about)
        for time, system, place in zip(look.time.tolist(), look.system.tolist(), look.place, strict=True)
    ]


def beside(x, metres, speed=0.0):
    return x + np.array([0.0, 0.0, metres, 0.0, 0.0, speed])


def test_a_track_that_is_told_to_be_no_more_leaves_at_once_and_the_others_keep_the_number():
    rng = np.random.default_rng(1)
    tracks, feed = tracks_of(
        local(KOR, 1, START, 0, 60, rng), local(JPN, 1, START, 20, 100, rng), local(USA, 1, beside(START, 60e3), 0, 60, rng)
    )
    ends = [(61.0, KOR, 1), (63.0, USA, 1), (63.5, USA, 7)]
    found = {}
    for told in ((), ends):
        now = {}
        for time, system, who in lines(tracks, feed, ends=[told]):
            sources, of_jpn = now.setdefault(time, (set(), []))
            sources |= {source for source, _ in who}
            of_jpn += [system] if (JPN, 1) in who else []
        for time, both in now.items():
            found.setdefault(time, []).append(both)
    assert found[60.0][0] == found[60.0][1] == ({KOR, JPN, USA}, found[60.0][0][1])
    assert found[62.0][0][0] == {KOR, JPN, USA} and found[62.0][1][0] == {JPN, USA} and found[64.0][1][0] == {JPN}
    assert found[62.0][1][1] == found[98.0][1][1] == found[40.0][1][1]  # its number


def test_word_of_an_end_that_comes_while_nothing_is_known_ends_nothing_that_comes_later():
    rng = np.random.default_rng(1)
    tracks, feed = tracks_of(local(KOR, 1, START, 0, 20, rng), local(KOR, 1, START, 100, 120, rng))
    found = lines(tracks, feed, ends=[[(90.5, KOR, 1), (120.5, KOR, 1)]])
    assert [t for t, _, _ in found if t > 60.0] == np.arange(100.0, 121.0, 2.0).tolist()


def test_three_sources_of_one_object_are_one_number_over_every_hand_over():
    """KOR sees it first and loses it, JPN goes on, USA last: one system track throughout, always with its one number."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        found = lines(*tracks_of(local(KOR, 1, START, 0, 60, rng), local(JPN, 1, START, 40, 120, rng), local(USA, 1, START, 90, 200, rng)))
        assert {s for _, s, _ in found} == {0} and len({t for t, _, _ in found}) == len(found)


def test_a_track_that_its_own_source_takes_up_again_goes_on():
    """A local track ends and another of the same source begins on the same object: after `SILENT` s one system track again, the old one."""
    rng = np.random.default_rng(0)
    found = lines(*tracks_of(local(KOR, 1, START, 0, 60, rng), local(KOR, 2, START, 64, 150, rng)))
    late = [(s, who) for t, s, who in found if t > 60.0 + SILENT + correlation.RECHECK + 2.0 and t <= 150.0]
    assert late and all(s == 0 and who == {(KOR, 2)} for s, who in late)


def test_a_blurred_newcomer_that_parts_again_leaves_the_number_to_whom_it_came_to():
    """JPN's track of another object, known to some km, stands with KOR's exact one for a while, and is heard of more often."""
    rng = np.random.default_rng(2)
    exact = local(KOR, 1, START, 0, 200, rng, sigma=SIGMA / 10.0, step=10.0)
    blurred = local(JPN, 1, beside(START, 0.0, 250.0), 20, 200, rng, sigma=10.0 * SIGMA)
    found = lines(*tracks_of(exact, blurred))
    assert {s for t, s, who in found if (KOR, 1) in who} == {0}
    apart = [s for t, s, who in found if who == {(JPN, 1)}]
    assert len(apart) > 10 and 0 not in apart
    assert any(len(who) == 2 for _, _, who in found)


@given(st.integers(0, 2**32 - 1))
def test_numbers_stay_with_the_most_that_is_known(seed):
    """No other way to give groups between which members have moved their numbers leaves more weight under its own."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 8))
    before, label, weight = rng.integers(-1, 4, n), rng.integers(0, 4, n), rng.exponential(1.0, n)
    before = np.where(before < 0, -2 - np.arange(n), before)
    label = np.where(rng.random(n) < 0.2, -20 - np.arange(n), label)
    heads = [Entry(0, k, 0.0, 0.0, 0.0, int(b)) for k, b in enumerate(before)]
    old = [Entry(1, n + k, 0.0, 0.0, 0.0, k) for k in range(4)]  # older ones of those that count: they follow their system track
    found = label.copy()
    correlation._exchange([*heads, *old], heads, before, found, weight)
    number = dict(zip(label.tolist(), found.tolist(), strict=True))
    assert sorted(number) == sorted(number.values()) and found.tolist() == [number[k] for k in label.tolist()]
    assert [e.system for e in old] == [number.get(k, k) for k in range(4)]
    moved = (before >= 0) & (before != label)
    some = sorted((set(before[moved]) | set(label[moved])) & set(label))
    assert all(number[k] == k for k in number if k not in some)
    most = max(
        sum(w for w, b, k in zip(weight, before, label, strict=True) if dict(zip(some, names, strict=True)).get(k, k) == b)
        for names in itertools.permutations(some)
    )
    assert weight[found == before].sum() == pytest.approx(most, rel=1e-6)


@pytest.mark.parametrize(("bias", "systems"), [(1.0, 2), (3.0, 1)])
def test_room_for_biases_grows_with_their_square(bias, systems):
    """Two nations' tracks of one object 2.4 km apart: twelve standard deviations of what biases leave, or four of thrice as much."""
    rng, exact = np.random.default_rng(3), np.repeat([30.0, 1.0], 3)
    shift = np.array([0.0, 0.0, 2400.0, 0.0, 0.0, 0.0])
    parts = local(KOR, 1, START, 0, 40, rng, sigma=exact), local(JPN, 1, START, 0, 40, rng, sigma=exact, shift=shift)
    found = lines(*tracks_of(*parts), about=SimpleNamespace(picture_step=2.0, bias=bias))
    assert len({s for _, s, _ in found}) == systems


@pytest.mark.parametrize(("away", "patience"), [(1e3, 3.0 + 0.3 * 8.0), (50e3, SILENT + 8.0)])
def test_a_young_track_ends_sooner_where_its_source_still_hears_of_another_beside_it(away, patience):
    """Eight seconds long: so it is with false tracks of several missiles' plots.  What stands alone is waited for."""
    rng = np.random.default_rng(0)
    one, other = local(KOR, 1, START, 0, 60, rng), local(KOR, 2, beside(START, away), 20, 28, rng)
    found = lines(*tracks_of(one, other))
    last = max(t for t, _, who in found if (KOR, 2) in who)
    assert 28.0 + patience - ABOUT.picture_step < last <= 28.0 + patience + correlation.RECHECK
    assert max(t for t, _, who in found if (KOR, 1) in who) == 60.0 + SILENT + 60.0


def burning(rows):
    """Rows of `local`, their engine as likely on as not."""
    return rows | {"phase_probability": np.tile([0.5, 0.5, 0.0, 0.0], (len(rows["time"]), 1))}


@pytest.mark.parametrize(("kind", "ends", "gone"), [(dict, [], 120.0), (burning, [], 90.0), (dict, [(75.0, KOR, 1)], 74.0)])
def test_a_fall_that_nobody_sees_has_its_number_when_another_source_finds_it(kind, ends, gone):
    """Lost by one nation at 60 s and found by another at 110 s: one system track, unless it may burn or is told to be over."""
    rng, sharp = np.random.default_rng(0), np.repeat([100.0, 2.0], 3)
    old, new = kind(local(KOR, 1, START, 0, 60, rng, sigma=sharp)), local(JPN, 1, START, 110, 150, rng, sigma=sharp)
    found = lines(*tracks_of(old, new), ends=[ends])
    assert {s for t, s, _ in found if t < 60.0} == {0} and {s for t, s, _ in found if t >= 112.0} == {int(gone < 110.0)}
    assert max(t for t, _, who in found if (KOR, 1) in who) == (gone if gone < 110.0 else 60.0 + SILENT + 60.0)


def test_what_a_picture_still_shows_unseen_is_foreseen_until_then():
    """Falls of many heights, speeds and covariances: by Newton above the air, and known to `coasting.WELL_FORESEEN`, to the end, and
    not for much longer unless `coasting.LONGEST` is over; what may burn, glides, is in the air or blurred is not foreseen at all."""
    rng, n = np.random.default_rng(0), 300
    x = np.tile(START, (n, 1)) + rng.standard_normal((n, 6)) * [150e3, 0.0, 0.0, 1500.0, 0.0, 0.0]
    sigma = np.exp(rng.uniform(np.log([20.0, 0.3]), np.log([3e3, 100.0]), (n, 2)))
    blend = rng.uniform(-0.9, 0.9, n) * sigma.prod(axis=1)
    P = np.einsum("nab,cd->nacbd", np.stack([[sigma[:, 0] ** 2, blend], [blend, sigma[:, 1] ** 2]]).transpose(2, 0, 1), np.eye(3))
    columns = {name: np.zeros((n, *shape), kind) for name, (kind, shape) in Tracks.COLUMNS.items()}
    columns |= {"x": x, "P": P.reshape(n, 6, 6), "phase_probability": np.tile(np.eye(4)[MIDCOURSE], (n, 1))}
    seconds = coasting.foreseen_for(Tracks(**columns, meta={}))

    def falls(late):
        mu = np.tile(np.eye(motions.N_MODEL)[motions.COAST], (n, 1))
        then = filters.predict(filters.bank(np.zeros(n), x, columns["P"], mu), np.maximum(seconds + late, 0.0))
        k = motions.COAST
        return frames.altitude(then.x[:, k]) - REENTRY_ALTITUDE, np.sqrt(np.trace(then.P[:, k, :3, :3], axis1=1, axis2=2))

    high, size = falls(0.0)
    some, early = seconds > 0.0, (seconds > 0.0) & (seconds < coasting.LONGEST)
    assert some.sum() > 50 and early.sum() > 25 and (seconds == coasting.LONGEST).sum() > 10
    assert (high[some] > -1e3).all() and (size[some] < 1.1 * coasting.WELL_FORESEEN).all()
    later, wider = falls(30.0)
    assert ((later < 40e3) | (wider > coasting.WELL_FORESEEN))[early].all()
    assert ((high < 0.0) | (size > coasting.WELL_FORESEEN))[~some].all()
    for chance in ([0.06, 0.94, 0.0, 0.0], [0.0, 0.9, 0.0, 0.1]):
        pushed = Tracks(**columns | {"phase_probability": np.tile(chance, (n, 1))}, meta={})
        assert not coasting.foreseen_for(pushed).any()


@pytest.mark.parametrize(("ends", "gone", "number", "last"), [([], 131.0, 0, 262.0), ([(81.0, KOR, 1)], 81.0, 2, 260.0)])
def test_a_track_that_is_heard_again_long_after_has_its_number_again_unless_it_was_told_to_be_no_more(ends, gone, number, last):
    """Unseen for a minute and a half, and out of the picture for the end of it: its source has followed it under its own number."""
    rng = np.random.default_rng(2)
    tracks, feed = tracks_of(
        local(KOR, 1, START, 0, 60, rng), local(KOR, 1, START, 150, 200, rng), local(JPN, 1, beside(START, 60e3), 60, 62, rng)
    )
    found = {t: s for t, s, who in lines(tracks, feed, ends=[ends]) if (KOR, 1) in who}
    assert set(found) == {*np.arange(0.0, gone, 2.0), *np.arange(150.0, last + 1.0, 2.0)}
    assert found[60.0] == 0 and found[150.0] == found[200.0] == number


@pytest.mark.parametrize("again", [150.0, 152.0])
def test_a_track_that_is_heard_again_elsewhere_never_stands_where_it_stood(again):
    """Out of the picture for most of the time, and 30 km away when it is back: judged at once, whenever the last look was."""
    rng = np.random.default_rng(2)
    gone, back = local(KOR, 1, START, 0, 60, rng), local(KOR, 1, beside(START, 30e3), again, 200, rng)
    found = lines(*tracks_of(gone, back, local(JPN, 1, START, 0, 200, rng)))
    assert all(who == {(KOR, 1), (JPN, 1)} for t, _, who in found if 30.0 < t < 60.0)
    late = {t: sorted(map(sorted, (who for at, _, who in found if at == t))) for t in np.arange(again, 200.0, 2.0)}
    assert all(one == [[(KOR, 1)], [(JPN, 1)]] or one == [[(JPN, 1)], [(KOR, 1)]] for one in late.values())


@pytest.mark.parametrize(("sigma", "away", "second", "shown"), [
    (2e3, 6e3, None, False), (100.0, 6e3, None, True), (2e3, 60e3, None, True), (2e3, 6e3, USA, True)
])  # fmt: skip
def test_what_is_too_blurred_to_be_told_from_what_is_known_better_is_no_object_of_its_own(sigma, away, second, shown):
    """Two sources know an object to 100 m.  One has another track beside it, of plots of several objects, say: it has no number, unless
    it is sharp too, or far enough away, or a third source has it as well; and it has one as soon as it is sharp."""
    rng, sharp = np.random.default_rng(1), np.repeat([100.0, 3.0], 3)
    blurred = np.repeat([sigma, 10.0], 3)
    shift = np.array([0.0, 0.0, away, 0.0, 0.0, 0.0])
    parts = [local(source, 1, START, 0, 100, rng, sigma=sharp) for source in (KOR, JPN)]
    one = local(KOR, 2, START, 20, 100, rng, sigma=blurred * 0.1, shift=shift)
    one["P"][one["time"] < 60.0] = np.diag(blurred**2)
    one["P"][one["time"] >= 60.0] = np.diag((0.05 * blurred) ** 2)
    if second is not None:
        parts.append(local(second, 2, START, 20, 100, rng, sigma=blurred * 0.1, shift=shift))
        parts[-1]["P"][:] = np.diag(blurred**2)
    found = lines(*tracks_of(*parts, one))
    assert {t for t, _, who in found if (KOR, 1) in who} >= set(np.arange(0.0, 102.0, 2.0))
    early = {t for t, _, who in found if (KOR, 2) in who and t < 60.0}
    assert early == (set(np.arange(20.0, 60.0, 2.0)) if shown else set())
    assert {t for t, _, who in found if (KOR, 2) in who} >= set(np.arange(60.0 + correlation.RECHECK, 102.0, 2.0))


ALONG = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
FASTER = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 0.0])


@pytest.mark.parametrize(("off", "speed", "sigma", "shown"), [
    (0.0, 1250.0, (1e3, 60.0), 0), (0.0, -1250.0, (1e3, 60.0), 0), (0.0, 1250.0, (150.0, 30.0), 7), (30e3, 1250.0, (1e3, 60.0), 7),
    (2.3e3, 0.0, (400.0, 10.0), 0),
])  # fmt: skip
def test_what_runs_along_a_row_that_others_know_is_no_object_of_its_own(off, speed, sigma, shown):
    """Eight missiles 2.5 km one after the other, which two sources know to 100 m; each of a third source's plots every 2 s is of the next
    one of the row.  Its track is where they are, and far too sure of a velocity that none of them has: it is no ninth one while it is
    among them, unless it is as well known as they are, or beside the row.  Nor is one that flies with them, at a place of 400 m."""
    rng, sharp = np.random.default_rng(2), np.repeat([100.0, 3.0], 3)
    row = [START - 2.5e3 * k * ALONG for k in range(8)]
    parts = [local(source, k, x, 0, 70, rng, sigma=sharp) for k, x in enumerate(row) for source in (KOR, USA)]
    begun = row[3] + 1.25e3 * ALONG + speed * (FASTER - 50.0 * ALONG)
    runs = local(JPN, 1, beside(begun, off), 44, 56, rng, sigma=0.1 * np.repeat(sigma, 3))
    runs["P"][:] = np.diag(np.repeat(np.square(sigma), 3))
    found = [who for t, _, who in lines(*tracks_of(*parts, runs)) if 44.0 <= t <= 56.0]
    assert len(found) == 7 * 8 + shown and sum((JPN, 1) in who for who in found) == shown


@pytest.mark.parametrize(("other", "begin"), [(JPN, 52.0), (KOR, 20.0)])
def test_what_was_too_blurred_has_a_number_when_all_else_is_over(other, begin):
    """That of one source two are two is for it to say, plot by plot."""
    rng = np.random.default_rng(1)
    known = local(other, 1, START, 0, 40, rng, sigma=np.repeat([100.0, 3.0], 3))
    blurred = local(KOR, 2, beside(START, 3e3), 20, 100, rng, sigma=np.repeat([2e3, 10.0], 3))
    if other == JPN:  # far enough off not to stand with it
        blurred["x"] = blurred["x"] + np.array([0.0, 0.0, 15e3, 0.0, 0.0, 0.0])
    found = lines(*tracks_of(known, blurred), ends=[[(51.0, other, 1)]])
    assert {t for t, _, who in found if (KOR, 2) in who and t <= 100.0} == set(np.arange(begin, 102.0, 2.0))


def test_a_track_that_is_heard_again_leaves_its_number_to_its_successor():
    """Its source found the object again as another track meanwhile; both are heard now, 9 km apart."""
    rng = np.random.default_rng(0)
    first, again = local(KOR, 1, START, 0, 60, rng), local(KOR, 1, beside(START, 9e3), 150, 200, rng)
    found = lines(*tracks_of(first, local(KOR, 2, START, 66, 200, rng), again))
    late = {next(iter(who)): s for t, s, who in found if t == 160.0}
    assert late[KOR, 2] == 0 and late[KOR, 1] > 0


@pytest.mark.parametrize("fresh", [KOR, JPN])
def test_of_two_that_part_the_one_heard_of_lately_keeps_the_number(fresh):
    """One hears nothing from 40 s on, and where the other one is from then on the first is not."""
    rng = np.random.default_rng(3)
    stale = JPN if fresh == KOR else KOR
    on = local(fresh, 1, START, 0, 60, rng)
    on["x"] = on["x"] + np.array([0.0, 0.0, 15e3, 0.0, 0.0, 0.0]) * (on["time"] > 40.0)[:, None]
    found = lines(*tracks_of(on, local(stale, 1, START, 0, 40, rng)))
    assert {s for t, s, who in found if t <= 40.0} == {0}
    assert {(s, *who) for t, s, who in found if t == 52.0} == {(0, (fresh, 1)), (1, (stale, 1))}


def test_where_one_goes_over_the_number_stays_with_the_one_that_it_parts_from():
    """JPN's track goes over to another object 15 km off, which USA has; KOR's, heard of less lately, stays where all of 0 was."""
    rng = np.random.default_rng(3)
    goes = local(JPN, 1, START, 0, 60, rng)
    goes["x"] = goes["x"] + np.array([0.0, 0.0, 15e3, 0.0, 0.0, 0.0]) * (goes["time"] > 40.0)[:, None]
    found = lines(*tracks_of(local(KOR, 1, START, 0, 40, rng), goes, local(USA, 1, beside(START, 15e3), 0, 60, rng)))
    assert {s for t, s, who in found if (KOR, 1) in who} == {0}
    assert [(s, who) for t, s, who in found if t == 52.0] == [(0, {(KOR, 1)}), (1, {(JPN, 1), (USA, 1)})]


def test_of_those_who_part_the_number_goes_with_the_most_that_is_known():
    """Of number 5 one went over to 6, one parted that is known well, and one that is not; 7 went over to a younger one whole."""
    heads = [Entry(k % 3, k, 0.0, 0.0, 0.0) for k in range(5)]
    before, label = np.array([5, 5, 5, 6, 7]), np.array([6, -20, -21, 6, 6])
    weight = np.array([9.0, 1.0, 2.0, 1.0, 1.0])
    assert correlation._number(heads, heads, before, label, weight, 8) == 9
    assert [e.system for e in heads] == [6, 8, 5, 6, 6]


@pytest.mark.parametrize(("height", "away", "shown"), [(35e3, 3e3, [{(JPN, 1)}]), (35e3, 60e3, None), (500e3, 3e3, None)])
def test_what_the_air_may_have_braked_unheard_does_not_part_from_who_sees_it(height, away, shown):
    """A light piece in the air, that the second alone sees after 10 s: 3 km off the first says nothing, 60 km off or in space does."""
    rng = np.random.default_rng(5)
    x = np.array([6.371e6 + height, 0.0, 0.0, -2000.0, 1500.0, 0.0])
    tracks, _ = tracks_of(local(KOR, 1, x, 0, 0, rng), local(JPN, 1, x - np.array([0.0, away, 0.0, 0.0, 600.0, 0.0]), 10, 10, rng))
    entries = {(n, 1): Entry(n, n, 0.0, float(tracks.time[n]), 10.0, 7) for n in (KOR, JPN)}
    rows = np.arange(2)
    for _ in range(2):  # a second look says the same
        next_system = correlation.correlate(list(entries.values()), (rows, ahead.predicted(tracks, rows, 10.0)), np.zeros(6), 8)
    assert (next_system == 8 and [e.system for e in entries.values()] == [7, 7]) == (shown is not None)
    assert [{k for k, e in entries.items() if e in visible([*entries.values()])}] == (shown or [{(KOR, 1), (JPN, 1)}])
    note(entries, KOR, 1, 12.0, 0, 12.0)
    assert len(visible([*entries.values()])) == 2


def test_two_of_one_source_that_were_taken_for_one_part_again():
    """The older was only silent: heard again beside the younger, they are two, and the one that stayed keeps the number."""
    rng = np.random.default_rng(1)
    near = beside(START, 900.0)
    first, again = local(KOR, 1, START, 0, 60, rng), local(KOR, 1, START, 80, 150, rng)
    found = lines(*tracks_of(first, again, local(KOR, 2, near, 64, 150, rng)))
    before = [who for t, _, who in found if 74.0 <= t < 80.0]
    after = [(s, who) for t, s, who in found if 84.0 <= t <= 150.0]
    assert before and all(who == {(KOR, 2)} for who in before)
    assert len(after) == 2 * len({t for t, _, _ in found if 84.0 <= t <= 150.0}) and (0, {(KOR, 1)}) in after
    assert len({s for s, _ in after}) == 2


def test_one_source_never_stands_twice_in_a_system_track():
    """Two objects half a standard deviation apart, both sources see both all the time: two system tracks at every time."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        near = beside(START, 150.0)
        parts = [local(s, k, x, 0, 100, rng) for s in (KOR, JPN) for k, x in ((1, START), (2, near))]
        found = lines(*tracks_of(*parts))
        for time in {t for t, _, _ in found}:
            now = [who for t, _, who in found if t == time]
            assert len(now) == 2 and all(sorted(s for s, _ in who) == [KOR, JPN] for who in now)


def test_duplicates_become_one_with_the_older_number():
    """Far off at first, the lone older one and the pair of the other two come together as its shift goes."""
    rng = np.random.default_rng(2)
    off = np.array([0.0, 0.0, 6000.0, 0.0, 0.0, 0.0])
    lone = local(KOR, 1, START, 0, 100, rng)
    lone["x"] = lone["x"] + off * np.clip(1.0 - lone["time"] / 50.0, 0.0, 1.0)[:, None]
    found = lines(*tracks_of(lone, local(JPN, 1, START, 4, 100, rng), local(USA, 1, START, 8, 100, rng)))
    assert any(len([1 for t, _, _ in found if t == time]) == 2 for time in np.arange(10.0, 30.0, 2.0))
    late = [(s, who) for t, s, who in found if 70.0 <= t <= 100.0]
    assert late and all(s == 0 and len(who) == 3 for s, who in late)


def crossing(seed, miss=200.0, speed=60.0, meet=60.0):
    """Two objects whose paths cross at ``meet`` s, ``miss`` m apart; three sources, one of which begins while they are close."""
    rng = np.random.default_rng(seed)
    other = beside(START, miss - speed * meet, speed)
    parts = [local(s, k, x, begin, 140, rng) for s, begin in ((KOR, 0), (JPN, 6), (USA, 58)) for k, x in ((1, START), (2, other))]
    return tracks_of(*parts)


def judged(found):
    """Lines that mix objects, and changes of an object's number, where local tracks are numbered as their objects."""
    mixed = sum(len({k for _, k in who}) > 1 for _, _, who in found)
    numbers: dict[int, list[int]] = {}
    for _, s, who in found:
        for k in {k for _, k in who}:
            numbers.setdefault(k, []).append(s)
    return mixed, sum(int((np.diff(v) != 0).sum()) for v in numbers.values())


def test_objects_that_cross_keep_their_numbers():
    """Sixteen crossings: those known before keep number and members; one source's tracks begun at closest approach are put right
    within 30 s (200 m apart, then 60 m/s: 1 km and three standard deviations of the difference after 20 s)."""
    for seed in range(16):
        found = lines(*crossing(seed))
        known = [(t, s, {m for m in who if m[0] != USA}) for t, s, who in found]
        assert judged(known) == (0, 0)
        assert judged([f for f in found if f[0] > 90.0]) == (0, 0)


def test_nothing_flickers():
    """Membership of a pair at the edge of the gate changes at most once: errors that come and go, 2.6 standard deviations of offset."""
    changes = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        shift = np.array([0.0, 0.0, 2.6 * 424.0, 0.0, 0.0, 0.0])
        found = lines(*tracks_of(local(KOR, 1, START, 0, 300, rng), local(JPN, 1, START, 0, 300, rng, shift=shift, memory=5.0)))
        size = [max(len(who) for t, _, who in found if t == time) for time in sorted({t for t, _, _ in found if t <= 300.0})]
        changes.append(int((np.diff(size) != 0).sum()))
    assert max(changes) <= 1


def every_look(tracks, feeds, ends):
    """All columns of all looks of nodes with these feeds, as bytes."""
    looks = books.looks(tracks, books.listening(tracks, feeds, ABOUT, ends=ends), ABOUT)
    columns = [(*(getattr(look, n) for n in ("rows", "time", "book", "system", "place")), look.bank.x6, look.bank.P6) for look in looks]
    return [np.concatenate(parts).tobytes() for parts in zip(*columns, strict=True)]


@pytest.mark.parametrize("read", [25, 1000])
def test_times_gone_through_together_are_those_one_after_the_other(read, monkeypatch):
    """Whatever comes late, twice or not at all, is told to be over, or drifts apart: to the bit."""
    monkeypatch.setattr(books, "READ", read)
    calm, plain = [], books.Node._calm

    def counted(*a):
        calm.append(len((made := plain(*a)).tick))
        return made

    for seed in range(6):
        rng = np.random.default_rng(seed)
        drifts = local(USA, 1, START, 10, 150, rng)
        drifts["x"] = drifts["x"] + np.array([0.0, 0.0, 9e3, 0.0, 0.0, 0.0]) * np.clip(drifts["time"] / 50.0 - 1.0, 0.0, 1.0)[:, None]
        tracks, _ = tracks_of(
            local(KOR, 1, START, 0, 60, rng, step=0.7), local(KOR, 2, START, 100, 130, rng), local(JPN, 1, START, 30, 34, rng),
            local(JPN, 2, START, 70, 150, rng), drifts,
        )  # fmt: skip
        feeds = []
        for lost in (0.0, 0.3, 0.9):
            rows = np.flatnonzero(rng.random(len(tracks)) >= lost)
            when = tracks.time[rows] + rng.uniform(0.0, 8.0, len(rows))
            order = np.argsort(when)
            feeds.append((when[order], rows[order]))
        ends = [[(63.0, KOR, 1)], [(40.0, JPN, 7), (120.0, USA, 1)], []]
        monkeypatch.setattr(books.Node, "_calm", counted)
        together = every_look(tracks, feeds, ends)
        monkeypatch.setattr(books.Node, "_calm", lambda *_: books.NO_LINES)
        assert together == every_look(tracks, feeds, ends)
    assert sum(calm) > 500 and calm.count(0) > 100 and max(calm) > 10


# Against enumeration ----------------------------------------------------------------------------------------------------


def total(i, j, cost, label):
    """A partition's cost; inf where it holds a pair that is not in the list."""
    listed = {(a, b): c for a, b, c in zip(i.tolist(), j.tolist(), cost.tolist(), strict=True)}
    pairs = [(a, b) for a, b in itertools.combinations(range(len(label)), 2) if label[a] == label[b]]
    return sum(listed.get(p, np.inf) for p in pairs)


def partitions(source):
    """Every partition with at most one entry of each source in a group, as labels (n,)."""

    def grow(labels):
        k = len(labels)
        if k == len(source):
            yield np.array(labels)
            return
        for group in range(max(labels, default=-1) + 2):
            if all(source[m] != source[k] for m in range(k) if labels[m] == group):
                yield from grow([*labels, group])

    return grow([])


@pytest.mark.parametrize("sources, best", [(2, 1.0), (3, 0.9)])
def test_least_cost_against_every_partition(sources, best):
    """Random squared distances, a sixth of the pairs too far: with two sources always the least total, with three in over nine of
    ten cases, and never more than where it began."""
    rng, hits = np.random.default_rng(3), []
    for _ in range(60):
        source = np.repeat(np.arange(sources), 3 if sources == 2 else 2)
        pairs = [(a, b) for a, b in itertools.combinations(range(len(source)), 2) if source[a] != source[b] and rng.random() > 1 / 6]
        i, j = np.array(pairs, int).reshape(-1, 2).T
        d2 = rng.uniform(0.0, 60.0, len(i))
        label = -2 - np.arange(len(source))
        correlation._descend(i, j, d2, source, np.zeros(len(source), bool), label)
        found = total(i, j, d2 - correlation.JOIN, label)
        least = min(total(i, j, d2 - correlation.JOIN, p) for p in partitions(source))
        assert least - 1e-9 <= found <= 0.0
        hits.append(found < least + 1e-9)
    assert np.mean(hits) >= best


def test_squared_distances_are_those_of_numpy():
    rng = np.random.default_rng(3)
    x, root, slack = rng.standard_normal((7, 6)), rng.standard_normal((7, 6, 9)), rng.random(6)
    P = root @ np.swapaxes(root, 1, 2)
    i, j = np.triu_indices(7, 1)
    d, S = x[i] - x[j], P[i] + P[j] + np.diag(slack)
    assert squared_distances(x, P, i, j, slack) == pytest.approx(np.einsum("na,nab,nb->n", d, np.linalg.inv(S), d))
    for part in (slice(0, 3), slice(3, 6)):  # of one half alone, where nothing is asked of the other one
        rest = correlation.UNASKED * ~np.isin(np.arange(6), np.arange(6)[part])
        alone = np.einsum("na,nab,nb->n", d[:, part], np.linalg.inv(S[:, part, part]), d[:, part])
        assert squared_distances(x, P, i, j, slack + rest) == pytest.approx(alone)


def test_at_rest_nothing_changes():
    """A second look at the same time leaves every number as it is."""
    rng = np.random.default_rng(4)
    tracks, _ = tracks_of(*[local(s, k, beside(START, 400.0 * k), 0, 10, rng) for s in (KOR, JPN, USA) for k in range(4)])
    entries = [Entry(int(tracks.node[r]), r, 0.0, 10.0, 10.0) for r in np.flatnonzero(tracks.time == 10.0)]
    rows = np.flatnonzero(tracks.time == 10.0)
    known = rows, ahead.predicted(tracks, rows, 10.0)
    after = correlation.correlate(entries, known, np.zeros(6), 0)
    once = [e.system for e in entries]
    assert correlation.correlate(entries, known, np.zeros(6), after) == after and [e.system for e in entries] == once
    assert min(once) == 0 and len(NODES) == 4


def test_what_surely_is_one_object_is_joined_as_a_search_would(monkeypatch):
    """One track each of up to three sources, metres to two kilometres apart, some in system tracks already: the same numbers."""
    rng, quick, joined = np.random.default_rng(8), correlation._as_one, []
    for _ in range(200):
        apart, sources = rng.choice([100.0, 2000.0]), rng.permutation([KOR, JPN, USA])[: rng.integers(2, 4)]
        tracks, _ = tracks_of(*[local(s, 1, beside(START, apart * rng.random()), 0, 10, rng, 0.2 * SIGMA) for s in sources])
        rows, system = np.flatnonzero(tracks.time == 10.0), rng.integers(-1, 3, 3)
        known, found = (rows, ahead.predicted(tracks, rows, 10.0)), []
        for way in (lambda *given: joined.append(quick(*given)) or joined[-1], lambda *_: False):
            monkeypatch.setattr(correlation, "_as_one", way)
            entries = [Entry(int(tracks.node[r]), r, 0.0, 10.0, 10.0, s) for r, s in zip(rows.tolist(), system.tolist(), strict=False)]
            found.append((correlation.correlate(entries, known, np.zeros(6), 3), entries))
        assert found[0] == found[1]
    assert 50 < sum(joined) < 150


def test_a_wrong_pairing_made_in_a_crowd_is_put_right():
    """A source that begins where two objects are 60 m apart pairs them at random; at 20 m/s they are two standard deviations of the
    difference apart 45 s later, and of twelve crossings at most one in ten lines still mixes them then."""
    found = [lines(*crossing(seed, 50.0, 20.0)) for seed in range(12)]
    late = [[f for f in one if f[0] > 105.0] for one in found]
    mixed = sum(judged(one)[0] for one in late)
    early = sum(judged([f for f in one if 58.0 <= f[0] <= 75.0])[0] for one in found)
    assert early > 0 and mixed <= 0.1 * sum(len(one) for one in late)


def test_what_comes_late_and_is_behind_its_source_from_the_start_finds_its_place():
    """Over a slow link: the source was heard of another object 15 s later."""
    rng = np.random.default_rng(3)
    parts = [local(KOR, 1, START, 0, 100, rng), local(JPN, 1, START, 0, 100, rng)]
    parts += [local(USA, 1, beside(START, 60e3), 0, 100, rng), local(USA, 2, START, 0, 85, rng)]
    tracks, _ = tracks_of(*parts)
    last = [int(np.flatnonzero((tracks.node == n) & (tracks.track == k))[-1]) for n, k in ((KOR, 1), (JPN, 1), (USA, 1), (USA, 2))]
    entries = [Entry(int(tracks.node[r]), r, 0.0, tracks.time[r], 110.0, s) for r, s in zip(last, (0, 0, 1, -1), strict=True)]
    rows = np.sort(last)
    correlation.correlate(entries, (rows, ahead.predicted(tracks, rows, 110.0)), np.zeros(6), 2)
    assert [e.system for e in entries] == [0, 0, 1, 0]
