"""Tracks of two objects that radars' plots have crossed are put right; those that lie right are let be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from copfuse import crossed, filters, frames, motion, pairing, tracking
from copfuse.coasting import Live
from copfuse.kernels import motions
from copfuse.scanning import Scan

START = np.r_[frames.ecef(np.radians(39.0), np.radians(130.0), 250e3), 0.0, 1500.0, 1500.0]
APART = np.array([60.0, -40.0, 30.0, 2.0, -2.5, 1.0])  # m, m/s: of the second body from the first, at 0 s
FALLS = np.array([0.01, 0.97, 0.01, 0.005, 0.005])
SITES = [(37.0, 127.0), (41.0, 141.0), (37.5, 126.5), (40.5, 140.5)]  # degrees: two here, two there
SIGMA = np.array([5.0, 4e-4, 4e-4, 2.0])
BIAS = np.array([30.0, 4e-4, 4e-4, 0.0])
BODIES = [motion.free_fall(START + k * APART) for k in range(2)]


def scans(seed: int, begin: float, end: float):
    """Scans of four biased radars in turn, each with a plot of either body, that of the first one first."""
    rng = np.random.default_rng(seed)
    offset = rng.normal(0.0, BIAS, (4, 4))
    for k in range(round(4 * begin), round(4 * end)):
        time, radar = 0.25 * k, k % 4
        latitude, longitude = np.radians(SITES[radar])
        site, axes = frames.ecef(latitude, longitude, 0.0), frames.enu_axes(latitude, longitude)
        z = np.concatenate([frames.look(motion.interpolate(one.time, one.x, [time]), site, axes) for one in BODIES])
        z += offset[radar] + rng.normal(0.0, SIGMA, (2, 4))
        sigma = np.tile(np.hypot(SIGMA, BIAS), (2, 1))
        places = pairing.spots(z, sigma, site, axes)
        yield Scan(time, 3, radar, np.arange(2) + 2 * k, z, sigma, site, axes, -25.0, 1.0, bias=1.0, shift=BIAS, spots=places)


def fed(seed: int, swapped: tuple[int, ...], until: float) -> Live:
    """Two tracks made of right plots, but that the radars ``swapped`` give each the other body's."""
    x6 = np.tile(START + 0.5 * APART, (2, 1)) + np.outer([-0.5, 0.5], APART)
    bank = filters.bank(np.zeros(2), x6, np.tile(np.diag([300.0**2] * 3 + [20.0**2] * 3), (2, 1, 1)), np.tile(FALLS, (2, 1)))
    count = 0
    for scan in scans(seed, 0.25, until):
        order = [1, 0] if scan.sensor in swapped else [0, 1]
        bank = filters.update(filters.predict(bank, scan.time), scan.z[order], scan.sigma[order], scan.origin, scan.axes, scan.cosines)
        count += 1
    ones = np.ones(2)
    return replace(
        Live.empty(), bank=bank, number=np.arange(2), hits=np.array([count, count]), llr=99 * ones, firm=ones > 0, burnt=ones > 0,
        sensors=np.array([15, 15], np.uint64), revisit=ones, seen=bank.time.copy(), doubt=0 * ones, lit=-np.inf * ones,
        above=0 * ones, slow=np.inf * ones, echoes=ones, strength=0.05 * ones, misfit=0 * ones, next_number=2,
    )  # fmt: skip


def missed(live: Live) -> float:
    """How far in m the distance of the two tracks is from that of the bodies, whichever is which."""
    true = np.concatenate([motion.interpolate(one.time, one.x, live.bank.time[:1]) for one in BODIES])
    apart, tracks = true[1, :3] - true[0, :3], live.bank.x6[1, :3] - live.bank.x6[0, :3]
    return float(min(np.linalg.norm(tracks - apart), np.linalg.norm(tracks + apart)))


def followed(live: Live, seed: int, end: float) -> Live:
    for scan in scans(seed, 40.0, end):
        live, _ = tracking.step(live, scan)
    assert live.number.tolist() == [0, 1]
    return live


@pytest.mark.parametrize("seed", range(3))
def test_tracks_that_radars_of_one_side_cross_are_put_right(seed, monkeypatch):
    """Left alone they go on as they are: each radar's plots are where its own tracks' mixture has them."""
    live = fed(seed, (0, 2), 40.0)
    assert missed(live) > 100.0
    assert missed(followed(live, seed, 140.0)) < 80.0
    monkeypatch.setattr(crossed, "SURE", np.inf)
    assert missed(followed(live, seed, 140.0)) > 300.0


def test_tracks_that_lie_right_are_let_be(monkeypatch):
    told = []
    monkeypatch.setattr(crossed, "_parted", lambda live, *rest: told.append(rest) or live)
    for seed in range(3):
        live = followed(fed(seed, (), 40.0), seed, 100.0)
        assert len(live.relative[0, 1].sums) == 4
    assert told == []


def test_what_burns_or_is_in_the_air_is_not_compared():
    scan = next(scans(0, 40.0, 41.0))
    live, hit = fed(0, (), 40.0), np.arange(2)
    assert crossed.straightened(live, hit, hit, scan).relative
    mu = live.bank.mu.copy()
    mu[1] = np.where(np.arange(5) == motions.BOOST, 0.96, 0.01)
    burning = replace(live, bank=replace(live.bank, mu=mu))
    assert not crossed.straightened(burning, hit, hit, scan).relative
    low = replace(live, bank=replace(live.bank, x6=live.bank.x6 * np.r_[[0.955] * 3, [1.0] * 3]))
    assert not crossed.straightened(low, hit, hit, scan).relative


def test_what_was_told_long_ago_is_forgotten():
    """Who was out of sight may have burned."""
    live, hit = fed(0, (), 40.0), np.arange(2)
    early, late = next(scans(0, 40.0, 41.0)), next(scans(0, 40.5 + crossed.LATELY, 90.0))
    live = crossed.straightened(live, hit, hit, early)
    later = crossed.straightened(replace(live, bank=filters.predict(live.bank, late.time)), hit, hit, late)
    assert later.relative[0, 1].since == late.time


def test_the_first_signs_are_those_taken_and_no_two_are_alike():
    for n in (1, 2, 5):
        signs = crossed._signs(n)
        assert (signs[0] == 1.0).all() and (signs[:, 0] == 1.0).all() and len(np.unique(signs, axis=0)) == len(signs) == 2 ** (n - 1)
