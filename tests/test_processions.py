"""A row of missiles on one path: what stands in its way, or runs along it, is found out, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from copfuse import filters, frames, motion, processions, tracking
from copfuse.coasting import Live
from copfuse.scanning import Scan

SITE, AXES = frames.ecef(np.radians(37.0), np.radians(120.0), 0.0), frames.enu_axes(np.radians(37.0), np.radians(120.0))
SIGMA = np.array([20.0, 1.5e-3, 1.5e-3, np.nan])
EAST, NORTH, UP = frames.enu_axes(np.radians(37.0), np.radians(126.0))
START = np.r_[frames.ecef(np.radians(37.0), np.radians(126.0), 90e3), 1250.0 * NORTH + 300.0 * UP]
PATH = motion.free_fall(START)
NONE = np.zeros(6)


def at(seconds: float) -> np.ndarray:
    """The state (6,) of the missile some seconds after it was at `START`."""
    return motion.interpolate(PATH.time, PATH.x, [seconds])[0]


def strays(x, place: float = 300.0, speed: float = 60.0) -> list[bool]:
    """Of tracks ``x (k, 6)``: on the path of a missile that was at `START` 20 s ago, and of another speed there."""
    P = np.diag([place**2] * 3 + [speed**2] * 3)
    x = np.atleast_2d(x)
    known = np.tile(at(20.0), (len(x), 1)), np.tile(np.diag([300.0**2] * 3 + [30.0**2] * 3), (len(x), 1, 1))
    on, other = processions.judged(x, np.tile(P, (len(x), 1, 1)), *known, NONE)
    return (on & other).tolist()


@pytest.mark.parametrize("since", [2.0, 14.0, 20.0, 26.0, 40.0])
def test_what_has_another_speed_on_the_path_is_found_out(since):
    here = at(since)
    slow, back, skips = (np.r_[here[:3], share * here[3:]] for share in (0.0, -1.0, 2.0))
    assert strays([slow, back, skips]) == [True] * 3


@pytest.mark.parametrize("since", [2.0, 14.0, 20.0, 26.0, 40.0])
def test_the_next_of_the_row_and_what_flies_beside_it_are_let_be(since):
    here, side = at(since), 150.0 * EAST
    assert strays([here, here + np.r_[side, 0.5 * side], np.r_[here[:3], 0.8 * here[3:]]]) == [False] * 3


def test_what_crosses_the_path_is_off_it_or_unknown_is_let_be():
    here = at(10.0)
    crosses = np.r_[here[:3], 1250.0 * EAST]
    above = np.r_[here[:3] + 3e3 * UP, 0.0 * here[3:]]
    assert strays([crosses, above, at(20.0) * [1, 1, 1, 0, 0, 0]]) == [False, False, True]
    assert strays(np.r_[here[:3], 0.0 * here[3:]], speed=600.0) == [False]
    assert strays(np.r_[at(70.0)[:3], 0.0 * here[3:]]) == [False]  # 50 s on: no row is so long


def two(x: np.ndarray, hits: tuple[int, int]) -> Live:
    """A known track and another one, ``x (6,)``."""
    n = np.arange(2)
    bank = filters.bank(
        np.zeros(2), np.stack([at(20.0), x]), np.tile(np.diag([300.0**2] * 3 + [60.0**2] * 3), (2, 1, 1)), np.full((2, 5), 0.2)
    )
    return replace(
        Live.empty(), bank=bank, number=n, hits=np.array(hits), llr=np.full(2, 99.0), firm=n >= 0, burnt=n < 0,
        sensors=np.ones(2, np.uint64), revisit=np.ones(2), seen=np.zeros(2), doubt=np.zeros(2), lit=np.full(2, -np.inf),
        above=np.zeros(2), slow=np.full(2, np.inf), next_number=2,
    )  # fmt: skip


def dropped(live: Live) -> list[bool]:
    scan = Scan(0.0, 0, 0, np.arange(0), np.zeros((0, 4)), np.zeros((0, 4)), SITE, AXES, -17.0, 2.0)
    return processions.passed(live, np.arange(2), np.zeros(2, bool), scan).tolist()


def test_the_one_of_fewer_plots_goes_unless_the_other_one_stands():
    here = at(10.0)
    back, stands = np.r_[here[:3], -here[3:]], np.r_[here[:3], NONE[3:]]
    assert dropped(two(back, (9, 8))) == [False, True]
    assert dropped(two(back, (8, 9))) == [True, False]
    assert dropped(two(stands, (8, 19))) == [False, True]
    assert dropped(two(stands, (8, processions.YOUNG))) == [False, False]
    assert dropped(two(stands, (4, 9))) == [False, False]  # nobody is known
    low = two(stands, (9, 8))
    low.bank.x6[:, :3] *= 0.994
    assert frames.altitude(low.bank.x6).max() < 60e3 and dropped(low) == [False, False]


def row(seed: int, count: int = 18) -> tuple[int, int]:
    """Firm tracks of nothing and of missiles, summed over the scans of a radar over whose horizon ``count`` missiles come, one every 2 s,
    while it looks every 2 s and sees three of four; a track is of nothing where it is as fast as none of them."""
    rng, live, false, right = np.random.default_rng(seed), Live.empty(), 0, 0
    for k in range(count + 10):
        seen = [2.0 * (k - j) for j in range(min(k + 1, count)) if rng.random() < 0.75]
        if not seen:
            continue
        z = frames.look(motion.interpolate(PATH.time, PATH.x, seen), SITE, AXES) + rng.normal(size=(len(seen), 4)) * SIGMA
        live, _ = tracking.step(live, Scan(2.0 * k, 0, 0, np.arange(len(z)), z, np.tile(SIGMA, (len(z), 1)), SITE, AXES, -17.0, 2.0))
        speed = np.linalg.norm(live.bank.x6[live.firm, 3:], axis=1)
        fits = (speed > 900.0) & (speed < 1700.0)
        false, right = false + int((~fits).sum()), right + int(fits.sum())
    return false, right


def test_a_row_that_comes_over_the_horizon_has_fewer_tracks_of_nothing_and_more_of_missiles(monkeypatch):
    found = np.array([row(seed) for seed in range(6)]).sum(axis=0)
    monkeypatch.setattr(processions, "passed", lambda live, hit, drop, scan: drop)
    before = np.array([row(seed) for seed in range(6)]).sum(axis=0)
    assert found[0] < 0.8 * before[0] and found[1] > 1.05 * before[1]
