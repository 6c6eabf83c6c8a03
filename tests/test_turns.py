"""Two tracks of one object that biased radars hold apart become one; two objects stay two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from copfuse import filters, frames, motion, tracking, turns
from copfuse.coasting import Live
from copfuse.scanning import Scan

PLACE = frames.ecef(np.radians(38.0), np.radians(130.0), 300e3)
FALLS = np.array([0.01, 0.97, 0.01, 0.005, 0.005])
APART = np.array([900.0, 0.0, 0.0])  # m, by which two radars see one object apart, or two objects are apart
SIGMA = np.array([[100.0, 1e-3, 1e-3, 5.0]])  # a plot's, widened by what its radar's bias may be


def two_tracks() -> Live:
    """Two firm tracks at 0 s, each known to 20 m, of which each of two sensors has seen one."""
    x6 = np.r_[PLACE, 0.0, 900.0, 900.0] + np.outer([0.0, 1.0], np.r_[APART, 0.0, 0.0, 0.0])
    bank = filters.bank(np.zeros(2), x6, np.tile(np.diag([20.0**2] * 3 + [1.0] * 3), (2, 1, 1)), np.tile(FALLS, (2, 1)))
    ones = np.ones(2)
    return replace(
        Live.empty(), bank=bank, number=np.arange(2), hits=np.array([40, 30]), llr=99 * ones, firm=ones > 0, burnt=ones > 0,
        sensors=np.array([1, 2], np.uint64), revisit=ones, seen=0 * ones, doubt=0 * ones, lit=-np.inf * ones, above=0 * ones,
        slow=np.inf * ones, echoes=ones, strength=0.05 * ones, misfit=0 * ones, next_number=2,
    )  # fmt: skip


def scans(sees, seconds: int, bias: float = 1.0):
    """Scans of two radars, one after the other: ``sees(radar, k)`` says the places, relative to the flight's, that plots show."""
    site, axes = frames.ecef(np.radians(37.0), np.radians(127.0), 0.0), frames.enu_axes(np.radians(37.0), np.radians(127.0))
    flown = motion.free_fall(np.r_[PLACE, 0.0, 900.0, 900.0])
    for k in range(2, 2 * seconds):
        where = motion.interpolate(flown.time, flown.x, [0.5 * k])
        seen = np.concatenate([where + np.r_[off, 0.0, 0.0, 0.0] for off in sees(k % 2, k)])
        z, n = frames.look(seen, site, axes), len(seen)
        yield Scan(0.5 * k, 0, k % 2, np.arange(n) + 2 * k, z, np.tile(SIGMA, (n, 1)), site, axes, -20.0, 1.0, bias=bias)


def follow(live: Live, some) -> Live:
    for scan in some:
        live, _ = tracking.step(live, scan)
    return live


def test_two_tracks_that_biased_radars_hold_apart_become_one_that_both_radars_see():
    live = follow(two_tracks(), scans(lambda radar, k: [radar * APART], 60))
    assert live.number[live.firm].tolist() == [0] and live.sensors[live.firm].tolist() == [3]
    assert live.seen[0] > 58.9 and live.counts[-1] >= 1


def test_without_bias_nothing_is_joined_that_is_no_double():
    live = follow(two_tracks(), scans(lambda radar, k: [radar * APART], 60, bias=0.0))
    assert live.number.tolist() == [0, 1]


@pytest.mark.parametrize("chance", [(0.95, 0.95), (0.95, 0.3), (0.5, 0.5)])
def test_two_objects_side_by_side_stay_two(chance):
    """Each is seen or not by chance; the brighter one mostly is when the fainter is."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        hit = rng.random((400, 2)) < chance
        hit[~hit.any(axis=1), 0] = True
        live = follow(two_tracks(), scans(lambda radar, k, hit=hit: [o * APART for o in np.flatnonzero(hit[k])], 150))
        assert live.number.tolist() == [0, 1]


def test_who_sees_the_bright_one_alone_ever_again_tells_nothing_of_the_faint_one():
    live = two_tracks()
    for _ in range(200):
        told, one = turns.counted(live, np.array([0]), 0.0, np.repeat([200.0**2, 4.0], 3))
        live = replace(live, turns=told)
        assert one == []
    assert live.turns[0, 1][0] > 10 * turns.ONE and live.turns[0, 1][1] == 0.0


def test_page_s_sums_are_of_each_track_and_are_never_under_nought():
    live = two_tracks()
    alone, _ = turns.counted(live, np.array([1]), 0.0, np.repeat([200.0**2, 4.0], 3))
    assert alone == {(0, 1): (0.0, turns.ALONE)} and live.turns == {}
    both, _ = turns.counted(replace(live, turns={(0, 1): (1.0, 3.0)}), np.array([0, 1]), 0.0, np.zeros(6))
    assert both == {(0, 1): (0.0, pytest.approx(3.0 + turns.BOTH))}
    far, _ = turns.counted(live, np.array([0]), 0.0, np.zeros(6))  # 900 m are 32 standard deviations
    assert far == {}
    tentative, _ = turns.counted(replace(live, firm=np.array([True, False])), np.array([0]), 0.0, np.repeat([200.0**2, 4.0], 3))
    assert tentative == {}


def test_what_is_merged_is_the_mixture_of_both():
    bank = two_tracks().bank
    new = turns.merged(bank[[0]], bank[[1]])
    np.testing.assert_allclose(new.x6[0], bank.x6.mean(axis=0))
    spread = np.zeros((6, 6))
    spread[0, 0] = 450.0**2
    np.testing.assert_allclose(new.P6[0], bank.P6[0] + spread, atol=1e-3)
