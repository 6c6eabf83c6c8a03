"""Commonality: pictures beside each other by hand, under regimes, and numbers that travel."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import picture_of, straight_truth
from copfuse import commonality
from copfuse.commonality import common_numbers
from copfuse.tables import TRACK, Messages, Picture, Tracks

KOR, JPN, USA, HUB = range(4)
STEP = 2.0


def local_tracks(facts):
    """Tracks with one firm row per ``(time, node, track)``."""
    columns = {name: np.zeros((len(facts), *shape), dtype) for name, (dtype, shape) in Tracks.COLUMNS.items()}
    time, node, track = (np.array(c) for c in zip(*facts, strict=True))
    return Tracks(**columns | {"time": time, "node": node, "track": track, "firm": np.ones(len(facts), bool)})


def numbered(lines, tracks):
    """A picture of ``(time, node, system, {nation: row of tracks})`` and its common numbers."""
    columns = {name: np.zeros((len(lines), *shape), dtype) for name, (dtype, shape) in Picture.COLUMNS.items()}
    pedigree = np.full((len(lines), 4), -1)
    for i, line in enumerate(lines):
        for nation, row in line[3].items():
            pedigree[i, nation] = row
    facts = {"time": [x[0] for x in lines], "node": [x[1] for x in lines], "track": [x[2] for x in lines], "pedigree": pedigree}
    return common_numbers(Picture(**columns | facts, meta={"pedigree_of": "Tracks"}), tracks).tolist()


# Numbers -----------------------------------------------------------------------------------------------------------------


def test_a_number_is_that_of_the_oldest_track_and_travels_with_it():
    """By hand: Korea's own track is named after itself until the older American one comes; Japan has heard of that first."""
    tracks = local_tracks([(10.0, USA, 4), (12.0, KOR, 7), (20.0, JPN, 0)])
    lines = [(12.0, KOR, 0, {KOR: 1}), (14.0, KOR, 0, {KOR: 1, USA: 0}), (16.0, KOR, 0, {KOR: 1}),
             (14.0, JPN, 5, {USA: 0}), (20.0, JPN, 5, {USA: 0, JPN: 2}), (22.0, JPN, 5, {JPN: 2})]  # fmt: skip
    assert numbered(lines, tracks) == [7, 2_000_004, 2_000_004, 2_000_004, 2_000_004, 2_000_004]


def test_a_number_stays_through_a_gap_and_leaves_with_its_track():
    """A local track that stands in another system track takes its number along; no number stands twice at one time."""
    tracks = local_tracks([(10.0, KOR, 0), (11.0, USA, 0), (12.0, USA, 1)])
    again = [(10.0, JPN, 0, {KOR: 0}), (90.0, JPN, 1, {KOR: 0})]
    assert numbered(again, tracks) == [0, 0]
    parted = [(12.0, JPN, 0, {KOR: 0, USA: 1}), (14.0, JPN, 0, {USA: 2}), (14.0, JPN, 1, {KOR: 0, USA: 1})]
    assert numbered(parted, tracks) == [0, 2_000_001, 0]


def test_nodes_that_have_heard_the_same_number_alike_whatever_they_call_it():
    """Random system tracks of random local tracks, and the same again under other names and in another order of lines."""
    rng = np.random.default_rng(5)
    for _ in range(200):
        tracks = local_tracks([(float(rng.integers(0, 9)), int(n), i) for i, n in enumerate(rng.integers(0, 3, 9))])
        lines, other = [], []
        names = rng.permutation(20)
        for time in range(10, 20, 2):
            rows = rng.permutation(9)
            for system in range(3):
                stand = {int(tracks.node[r]): int(r) for r in rows[3 * system : 3 * system + 3]}
                lines.append((float(time), KOR, system, stand))
                other.append((float(time), JPN, int(names[system]), stand))
        order = rng.permutation(len(other))
        one, two = numbered(lines, tracks), numbered([other[i] for i in order], tracks)
        assert one == [two[int(np.flatnonzero(order == i)[0])] for i in range(len(one))]
        assert all(len(set(one[i : i + 3])) == 3 for i in range(0, len(one), 3))


# Two pictures by hand ------------------------------------------------------------------------------------------------------


def by_hand(lag=0.0, off=0.0, messages=None):
    """A flight of 100 s that Korea holds from 20 s to 80 s, and Japan ``lag`` s later, ``off`` m beside it."""
    truth = straight_truth([(0, 0, 0)], [np.arange(0.0, 101.0)])
    rows = [(float(t), "KOR", 0, truth.x[int(t)]) for t in np.arange(20, 82, STEP)]
    rows += [(float(t), "JPN", 3, truth.x[int(t)] + [0, 0, off, 0, 0, 0]) for t in np.arange(20 + lag, 82 + lag, STEP)]
    picture = picture_of(sorted(rows, key=lambda r: r[0]))
    pedigree = np.full((len(picture), 4), -1)
    pedigree[:, KOR] = 0
    picture = replace(picture, pedigree=pedigree, meta={**picture.meta, "pedigree_of": "Tracks"})
    scenario = SimpleNamespace(picture_step=STEP)
    return SimpleNamespace(truth=truth, picture=picture, tracks=local_tracks([(20.0, KOR, 0)]), scenario=scenario,
                           messages=messages if messages is not None else Messages.empty())  # fmt: skip


def sent(lag):
    """Ten messages of Korea's one row to Japan, each ``lag`` s under way."""
    n, zero = 10, np.zeros(10)
    return Messages(zero + 20.0, zero + 20.0 + lag, zero + KOR, np.full(n, JPN), np.full(n, TRACK), zero)


def test_the_same_picture_is_common_and_at_no_distance():
    (pair,) = commonality.pairs(by_hand())
    assert pair.nodes == ("KOR", "JPN") and (pair.both, pair.common, pair.settled_common) == (31, 1.0, 1.0)
    assert (pair.distance, pair.alone, pair.settled_distance, pair.delay) == (0.0, 0.0, 0.0, 0.0)


def test_distance_is_the_mean_gospa():
    """1 km apart for all 31 times: GOSPA 1 km; 20 km apart, beyond the cut-off of 10 km: each alone, (2 x 10^2 / 2)^(1/2) = 10 km."""
    (near,), (far,) = commonality.pairs(by_hand(off=1e3)), commonality.pairs(by_hand(off=20e3))
    assert near.distance == pytest.approx(1e3) and near.alone == 0.0
    assert far.distance == pytest.approx(10e3) and far.alone == pytest.approx(10e3)


def test_news_that_is_under_way_does_not_count_within_the_delay():
    """Japan is 6 s late throughout: three times at the beginning and three at the end one of the two is alone, at 10 km / sqrt 2 each."""
    (pair,) = commonality.pairs(by_hand(lag=6.0, messages=sent(6.0)))
    assert pair.delay == pytest.approx(6.0) and pair.both == 28 and pair.common == 1.0
    assert pair.distance == pytest.approx(6 * 10e3 / math.sqrt(2) / 34) == pair.alone
    assert pair.settled_common == 1.0 and pair.settled_distance == 0.0 == pair.settled_alone
    (hasty,) = commonality.pairs(by_hand(lag=6.0, messages=sent(2.0)))  # a delay of 2 s does not excuse 6 s
    assert hasty.settled_alone == pytest.approx(4 * 10e3 / math.sqrt(2) / 32)


def test_other_numbers_are_not_common():
    run = by_hand()
    tracks = local_tracks([(20.0, KOR, 0), (20.0, JPN, 0)])
    pedigree = run.picture.pedigree.copy()
    pedigree[run.picture.node == JPN] = [-1, 1, -1, -1]
    run.picture, run.tracks = replace(run.picture, pedigree=pedigree), tracks
    (pair,) = commonality.pairs(run)
    assert (pair.both, pair.common, pair.settled_common, pair.distance) == (31, 0.0, 0.0, 0.0)
    assert commonality.with_others([pair], "KOR") == 0.0 and math.isnan(commonality.with_others([pair], "USA"))


# Regimes ---------------------------------------------------------------------------------------------------------------


def test_plots_are_a_single_identical_display(shared_by):
    found = commonality.pairs(shared_by("plots"))
    assert len(found) == 6
    assert all(
        p.both > 0 and (p.common, p.distance, p.alone, p.settled_common, p.settled_distance) == (1.0, 0.0, 0.0, 1.0, 0.0) for p in found
    )


def test_realtime_is_one_within_its_delay(shared_by):
    """Every object that is settled is held by both, under one number; what is left of GOSPA is that the older news says less."""
    found = commonality.pairs(shared_by("realtime"))
    assert len(found) == 6 and all(p.both > 20 and p.settled_common == 1.0 and p.settled_alone == 0.0 for p in found)
    assert all(2.0 < p.delay < 40.0 and 0.0 < p.settled_distance < min(p.distance, 1e3) for p in found)


def test_nothing_is_common_where_nothing_is_shared(shared_by):
    found = commonality.pairs(shared_by("none"))
    assert found and all(p.common == 0.0 and p.delay == 0.0 for p in found if p.both)


def test_numbers_of_a_node_do_not_stand_on_what_it_has_not_heard(shared_by):
    """Its lines alone, with the tracks that stand in them alone, give a node the same numbers."""
    run = shared_by("realtime")
    whole = common_numbers(run.picture, run.tracks)
    for node in range(4):
        mine = run.picture[run.picture.node == node]
        ever = np.unique(mine.pedigree[mine.pedigree >= 0])
        local = {(int(n), int(t)) for n, t in zip(run.tracks.node[ever], run.tracks.track[ever], strict=True)}
        kept = np.array([(int(n), int(t)) in local for n, t in zip(run.tracks.node, run.tracks.track, strict=True)])
        rows = np.where(kept, np.cumsum(kept) - 1, -1)
        less = replace(mine, pedigree=np.where(mine.pedigree >= 0, rows[mine.pedigree], -1))
        assert np.array_equal(common_numbers(less, run.tracks[kept]), whole[run.picture.node == node])


def test_ages_and_the_print(shared_by):
    run = shared_by("realtime")
    ages = commonality.ages(run.picture)
    assert ages["JPN"] == (np.median(run.picture.age[run.picture.node == JPN]), np.quantile(run.picture.age[run.picture.node == JPN], 0.95))
    assert ages["HUB"][0] > ages["USA"][0]  # what the hub has, has come a way
    text = str(run)
    for p in commonality.pairs(run):
        (line,) = [x for x in text.splitlines() if x.startswith("-".join(p.nodes))]
        cells = [float(c) for c in line.split()[1:]]
        assert cells == [p.both, round(100 * p.common, 1), round(100 * p.settled_common, 1), round(p.delay, 1),
                         round(p.distance / 1e3, 2), round(p.settled_distance / 1e3, 2)]  # fmt: skip
    assert f"JPN {ages['JPN'][0]:.1f} ({ages['JPN'][1]:.1f})" in " ".join(text.split()) and max(map(len, text.splitlines())) <= 100
