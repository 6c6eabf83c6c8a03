"""Commonality: pictures beside each other by hand, and under regimes."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import picture_of, straight_truth
from copfuse import commonality
from copfuse.tables import TRACK, Messages, Tracks

KOR, JPN, USA, HUB = range(4)
STEP = 2.0
TRACKS = Tracks(**{name: np.full((1, *shape), 20.0 if name == "time" else 0, dtype) for name, (dtype, shape) in Tracks.COLUMNS.items()})


# Two pictures by hand ------------------------------------------------------------------------------------------------------


def by_hand(lag=0.0, off=0.0, messages=None):
    """A flight of 100 s that Korea holds from 20 s to 80 s, and Japan ``lag`` s later, ``off`` m beside it."""
    truth = straight_truth([(0, 0, 0)], [np.arange(0.0, 101.0)])
    rows = [(float(t), "KOR", 0, truth.x[int(t)]) for t in np.arange(20, 82, STEP)]
    rows += [(float(t), "JPN", 3, truth.x[int(t)] + [0, 0, off, 0, 0, 0]) for t in np.arange(20 + lag, 82 + lag, STEP)]
    picture = picture_of(sorted(rows, key=lambda r: r[0]))
    scenario = SimpleNamespace(picture_step=STEP)
    return SimpleNamespace(truth=truth, picture=replace(picture, common=np.zeros(len(picture))), tracks=TRACKS, scenario=scenario,
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
    run.picture = replace(run.picture, common=run.picture.track)
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
