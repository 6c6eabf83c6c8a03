"""What flies beside others: whose velocity a track of one plot is given."""

from __future__ import annotations

import numpy as np
import pytest

from copfuse import companions, filters, frames, motion, starting
from copfuse.kernels import motions

ORIGIN, AXES = frames.ecef(np.radians(37.0), np.radians(127.0), 0.0), frames.enu_axes(np.radians(37.0), np.radians(127.0))
SIGMA = np.array([[20.0, 1e-3, 1e-3, np.nan]])
V = np.array([300.0, -1200.0, 100.0])


def plot(height: float) -> np.ndarray:
    """What is seen of a thing 300 km to the east, ``height`` m up."""
    return frames.look(np.r_[frames.ecef(np.radians(37.0), np.radians(130.4), height), np.zeros(3)][None], ORIGIN, AXES) * [1, 1, 1, np.nan]


def other(v=V, away: float = 0.0, blur: float = 20.0, height: float = 90e3) -> filters.Bank:
    x6 = np.r_[frames.ecef(np.radians(37.0), np.radians(130.4), height), v]
    x6[2] += away
    return filters.bank(0.0, x6[None], np.diag([500.0**2] * 3 + [blur**2] * 3)[None], np.full((1, 5), 0.2))


def begun(others: filters.Bank, hits, height: float = 90e3, time: float = 2.0) -> filters.Bank:
    return starting.from_one_plot(time, plot(height), SIGMA, ORIGIN, AXES, 0, (others, np.array(hits)))


def test_what_is_begun_beside_a_track_flies_as_it_does():
    one = begun(other(away=2.0 * companions.PARTED), [9])
    np.testing.assert_allclose(one.x6[0, 3:], V)
    np.testing.assert_allclose(one.P6[0, 3:, 3:], companions.ALIKE**2 * np.eye(3))
    assert (np.linalg.eigvalsh(one.P[0, :, :6, :6]) > 0.0).all()


@pytest.mark.parametrize("blur", [1.0, 50.0, 199.0 / 3.0**0.5])
def test_what_is_begun_near_a_track_has_parted_from_it_no_faster_than_pieces_do(blur):
    """To what is known of that one's own velocity, in space; but never is less known than of what merely flies beside it."""
    one = begun(other(away=0.5 * companions.PARTED, blur=blur), [9])
    np.testing.assert_allclose(one.x6[0, 3:], V)
    np.testing.assert_allclose(one.P6[0, 3:, 3:], min(companions.PARTING**2 + 3.0 * blur**2, companions.ALIKE**2) * np.eye(3))
    assert (np.linalg.eigvalsh(one.P[0, :, :6, :6]) > 0.0).all()


def test_of_several_it_is_the_one_seen_most_often():
    both = filters.Bank.stack([other(), other(-V, 1e3)])
    np.testing.assert_allclose(begun(both, [9, 20]).x6[0, 3:], -V)


def test_of_several_it_is_the_one_that_it_parted_from():
    both = filters.Bank.stack([other(), other(-V, 2.0 * companions.PARTED)])
    np.testing.assert_allclose(begun(both, [9, 20]).x6[0, 3:], V)


def test_a_faint_piece_is_known_from_few_plots():
    """Pieces that parted at 20 m/s, five plots in 8 s of bearings to 900 m: how they fly is known to the speed at which pieces part.

    These tell two of three components to 140 m/s, so that with `ALIKE` the errors' squares were four times what they may be here. Squared
    errors over what is believed have 20 times 6 degrees of freedom: 99.9 % of their means lie below 1.44.
    """
    rng, seen = np.random.default_rng(0), SIGMA * [[1.0, 3.0, 3.0, 1.0]]
    others = other(height=150e3)
    off, nees = [], []
    for _ in range(20):
        away = rng.standard_normal(3)
        begin = others.x6[0] + np.r_[2.0 * V, 20.0 * away / np.linalg.norm(away)]
        fall, one = motion.free_fall(begin, begin=2.0), None
        for time in np.arange(2.0, 11.0, 2.0):
            z = frames.look(motion.interpolate(fall.time, fall.x, time), ORIGIN, AXES) + np.nan_to_num(seen) * rng.standard_normal((1, 4))
            z[:, 3] = np.nan
            if one is None:
                one = starting.from_one_plot(time, z, seen, ORIGIN, AXES, 0, (others, np.array([9])))
            else:
                one = filters.update(filters.predict(one, time), z, seen, ORIGIN, AXES)
        off.append(one.x6[0] - motion.interpolate(fall.time, fall.x, 10.0)[0])
        nees.append(off[-1] @ np.linalg.solve(one.P6[0], off[-1]) / 6.0)
    assert np.sqrt(np.mean(np.square(off)[:, 3:])) < companions.PARTING and np.mean(nees) < 1.44


@pytest.mark.parametrize(
    ("others", "hits", "more"),
    [
        (other(away=companions.BESIDE * 1.1), 9, {}),
        (other(V * 0.2), 9, {}),
        (other(blur=companions.KNOWN), 9, {}),
        (other(), companions.OFTEN - 1, {}),
        (other(), 9, {"time": companions.LATELY + 1.0}),
        (other(height=50e3), 9, {"height": 50e3}),
    ],
    ids=["far", "standing", "unsure", "new", "gone", "low"],
)
def test_others_change_nothing(others, hits, more):
    one = begun(others, [hits], **more)
    alone = starting.from_one_plot(more.get("time", 2.0), plot(more.get("height", 90e3)), SIGMA, ORIGIN, AXES)
    assert np.array_equal(one.x, alone.x) and np.array_equal(one.P, alone.P)


def test_a_plot_without_a_range_says_nothing_of_who_is_beside_it():
    blind = plot(90e3) * [np.nan, 1.0, 1.0, np.nan]
    one = starting.from_one_plot(2.0, blind, SIGMA * [np.nan, 1.0, 1.0, np.nan], ORIGIN, AXES, 0, (other(), np.array([9])))
    alone = starting.from_one_plot(2.0, blind, SIGMA * [np.nan, 1.0, 1.0, np.nan], ORIGIN, AXES)
    assert np.array_equal(one.x, alone.x) and np.array_equal(one.P, alone.P)


def test_what_is_begun_beside_a_track_may_be_a_piece_of_it_and_lighter():
    one, alone = begun(other(), [9]), starting.from_one_plot(2.0, plot(90e3), SIGMA, ORIGIN, AXES)
    for falling in (motions.REENTRY, motions.GLIDE):
        assert one.P[0, falling, 6, 6] == filters.PIECE_SIGMA**2 > alone.P[0, falling, 6, 6]
    filters.forget_drag(one, [0])
    filters.forget_drag(alone, [0])
    assert one.P[0, motions.REENTRY, 6, 6] == filters.PIECE_SIGMA**2 and alone.P[0, motions.REENTRY, 6, 6] == filters.LOG_BETA[1] ** 2


@pytest.mark.parametrize("beta", [5000.0, 200.0])
def test_the_air_takes_no_piece_by_surprise(beta):
    """A missile and a tumbling stage come down from 110 km, beside others, before one radar without range rates.

    NEES per component below 100 km, mean of 3 falls of some 40 plots each, whose errors are alike over some ten: 12 degrees of freedom
    each, 72 in all, 99.9 % of whose means are below 1.6.  Half as much again is for drag that grows tenfold in 5 s.
    """
    up = frames.ecef(np.radians(38.0), np.radians(129.0), 110e3)
    up, place = up / np.linalg.norm(up), up
    east = np.cross([0.0, 0.0, 1.0], up)
    begin = np.r_[place, -3200.0 * up + 800.0 * east / np.linalg.norm(east)]
    fall, nees = motion.free_fall(begin, beta), []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        one = filters.bank(0.0, begin[None], np.diag([30.0**2] * 3 + [1.0] * 3)[None], np.array([[0.01, 0.9, 0.06, 0.02, 0.01]]))
        companions.alike(one, np.zeros(1, int), begin[None, 3:], np.array([companions.ALIKE]))
        for k in range(1, 50):
            x = motion.interpolate(fall.time, fall.x, [0.5 * k])
            z = frames.look(x, ORIGIN, AXES) + SIGMA * rng.standard_normal((1, 4))
            one = filters.update(filters.predict(one, 0.5 * k), z, SIGMA, ORIGIN, AXES)
            if 25e3 < frames.altitude(x)[0] < 100e3:
                off = one.x6[0] - x[0]
                nees.append(off @ np.linalg.solve(one.P6[0], off) / 6.0)
    assert np.mean(nees) < 2.4
