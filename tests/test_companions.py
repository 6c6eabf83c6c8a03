"""What flies beside others: whose velocity a track of one plot is given."""

from __future__ import annotations

import numpy as np
import pytest

from copfuse import companions, filters, frames, starting

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
    one = begun(other(), [9])
    np.testing.assert_allclose(one.x6[0, 3:], V)
    np.testing.assert_allclose(one.P6[0, 3:, 3:], companions.ALIKE**2 * np.eye(3))
    assert (np.linalg.eigvalsh(one.P[0, :, :6, :6]) > 0.0).all()


def test_of_several_it_is_the_one_seen_most_often():
    both = filters.Bank.stack([other(), other(-V, 1e3)])
    np.testing.assert_allclose(begun(both, [9, 20]).x6[0, 3:], -V)


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
