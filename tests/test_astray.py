"""Tracks that lie where no object is are made wider, and come back; those that lie right, and those that are alone, are let be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, poisson

from copfuse import astray, filters, frames, motion, pairing, tracking
from copfuse.association import Pairs
from copfuse.coasting import Live
from copfuse.kernels import astray as kernel
from copfuse.kernels import motions
from copfuse.scanning import Scan

START = np.r_[frames.ecef(np.radians(39.0), np.radians(130.0), 400e3), 0.0, 1500.0, 1500.0]
APART = np.array([[0.0] * 6, [1500.0, -800.0, 900.0, 5.0, -3.0, 2.0]])  # m, m/s: of two bodies
FALLS = np.array([0.01, 0.97, 0.01, 0.005, 0.005])
SITE, AXES = frames.ecef(np.radians(34.0), np.radians(133.0), 0.0), frames.enu_axes(np.radians(34.0), np.radians(133.0))
SIGMA = np.array([15.0, 2e-3, 2e-3, np.nan])
BODIES = [motion.free_fall(START + one) for one in APART]
TIGHT = np.diag([150.0**2] * 3 + [2.0**2] * 3)


def scans(seed: int, until: int):
    """Scans of one radar, a second apart, each with a plot of every body, in their order."""
    rng = np.random.default_rng(seed)
    for k in range(1, until):
        z = np.concatenate([frames.look(motion.interpolate(one.time, one.x, [float(k)]), SITE, AXES) for one in BODIES])
        z = np.c_[z[:, :3] + rng.normal(0.0, SIGMA[:3], (2, 3)), [np.nan, np.nan]]
        sigma = np.tile(SIGMA, (2, 1))
        yield Scan(float(k), 0, 0, np.arange(2) + 2 * k, z, sigma, SITE, AXES, -25.0, 1.0, spots=pairing.spots(z, sigma, SITE, AXES))


def tracks(off: float) -> Live:
    """A track of each body, the second one's so many standard deviations off in place and velocity, across the line of sight."""
    x6, ones = START + APART, np.ones(2)
    across = np.cross(x6[1, :3] - SITE, START[3:])
    x6[1] += off * np.r_[150.0 * across, 2.0 * across] / np.linalg.norm(across)
    bank = filters.bank(np.zeros(2), x6, np.tile(TIGHT, (2, 1, 1)), np.tile(FALLS, (2, 1)))
    return replace(
        Live.empty(), bank=bank, number=np.arange(2), hits=np.full(2, 99), llr=99 * ones, firm=ones > 0, burnt=ones > 0,
        sensors=np.ones(2, np.uint64), revisit=ones, seen=0 * ones, doubt=0 * ones, lit=-np.inf * ones,
        above=0 * ones, slow=np.inf * ones, echoes=ones, strength=0.05 * ones, misfit=0 * ones, next_number=2,
    )  # fmt: skip


def followed(live: Live, seed: int, until: int) -> Live:
    for scan in scans(seed, until):
        live, _ = tracking.step(live, scan)
    assert live.number.tolist() == [0, 1]
    return live


def nees(live: Live) -> np.ndarray:
    """Squared distances of the tracks from their bodies over six components, after their last plots."""
    true = np.concatenate([motion.interpolate(one.time, one.x, [live.bank.time[0]]) for one in BODIES])
    e = live.bank.x6 - true
    return np.einsum("ni,ni->n", e, np.linalg.solve(live.bank.P6, e[:, :, None])[:, :, 0]) / 6.0


def test_tracks_that_are_astray_come_back(monkeypatch):
    """Their ranges fit; their bearings say, each a little, that they are elsewhere."""
    off = tracks(8.0)
    free = [nees(followed(off, seed, 80))[1] for seed in range(6)]
    monkeypatch.setattr(astray, "SURE", np.inf)
    stuck = [nees(followed(off, seed, 80))[1] for seed in range(6)]
    assert np.mean(free) < 0.5 * np.mean(stuck)
    assert np.mean(stuck) > 5.0


def test_tracks_that_lie_right_are_let_be(monkeypatch):
    """Nearly: as many as `test_how_long_it_takes` allows."""
    told = []
    widened = astray.widened
    monkeypatch.setattr(astray, "widened", lambda live, hit: told.append(live.bank is not widened(live, hit).bank) or widened(live, hit))
    for seed in range(5):
        assert (nees(followed(tracks(0.0), seed, 100)) < chi2.ppf(1.0 - 1e-4, 6) / 6.0).all()  # 1e-3 over 10 tracks
    assert sum(told) <= poisson.ppf(0.99, 990 / 198)


def test_how_long_it_takes():
    """Plots of three components between two alarms: of a track that is right, and of one whose errors have twice the variance."""
    rng = np.random.default_rng(1)
    for larger, (least, most) in ((1.0, (185.0, 215.0)), (2.0, (8.5, 9.5))):
        total, alarms = np.zeros(500), 0
        for _ in range(800):
            d2 = larger * rng.chisquare(3, 500)
            total = np.array([kernel.summed(before, one, 3) for before, one in zip(total.tolist(), d2.tolist(), strict=True)])
            alarms += np.count_nonzero(total > astray.SURE)
            total[total > astray.SURE] = 0.0
        assert least < 500 * 800 / alarms < most


@given(st.lists(st.tuples(st.floats(0.0, 25.0), st.integers(2, 4)), min_size=1, max_size=40))
def test_the_plain_form_and_the_kernel_sum_alike(plots):
    live, total = tracks(0.0), 0.0
    for d2, seen in plots:
        z = np.where(np.arange(4) < seen, 1.0, np.nan)[None]
        pairs = Pairs(np.array([0, 1]), np.array([0]), np.array([d2]), np.zeros(1), 1)
        taken = pairing.Taken(np.array([0]), np.array([0]), live.bank[:1], live.bank[:1], np.zeros(1), np.ones(1), np.array([True]))
        live = replace(live, misfit=astray.misfits(live, np.array([1]), pairs, taken, z))
        total = kernel.summed(total, d2, seen)
        assert live.misfit.tolist() == [0.0, total]
        assert 0.0 <= total <= kernel.LIMIT


def test_who_is_alone_or_burns_is_let_be():
    live, hit = replace(tracks(0.0), misfit=np.full(2, kernel.LIMIT)), np.arange(2)
    wide = astray.widened(live, hit)
    assert (wide.misfit == 0.0).all()
    np.testing.assert_allclose(wide.bank.P6, astray.WIDER**2 * live.bank.P6)
    assert astray.widened(live, hit[:1]).misfit.tolist() == [0.0, kernel.LIMIT]
    away = live.bank.x6 + np.outer([0.0, 1.0], [2 * astray.REACH, 0, 0, 0, 0, 0])
    assert astray.widened(replace(live, bank=replace(live.bank, x6=away)), hit).bank.P6 is live.bank.P6
    assert astray.widened(replace(live, firm=np.array([True, False])), hit).bank.P6 is live.bank.P6
    mu = np.tile(np.where(np.arange(5) == motions.BOOST, 0.96, 0.01), (2, 1))
    assert astray.widened(replace(live, bank=replace(live.bank, mu=mu)), hit).bank.P6 is live.bank.P6
