"""What a height tells of a thing that burns."""

from pathlib import Path

import numpy as np
import pytest

from copfuse import ascents, filters, frames, motion, starting
from copfuse.constants import BOOST
from copfuse.flights import fit, launches
from copfuse.kernels import motions

FLIGHTS = Path(__file__).parents[2] / "shared" / "data" / "flights"


def test_moments_are_those_of_the_samples_near_a_height():
    """At an exact height: weighted means of the ascents near it, moved to it along the regression on the height."""
    rows, told = ascents.ascents(), ascents.at_height(10e3, 0.0)
    w = np.exp(-0.5 * ((rows[:, 0] - 10e3) / (ascents.BAND[0] + ascents.BAND[1] * 10e3)) ** 2)
    X = np.column_stack([np.ones(len(rows)), rows[:, 0] - 10e3])
    line = np.linalg.solve((X * w[:, None]).T @ X, (X * w[:, None]).T @ rows[:, 1])
    assert told.known[0] and told.height[0] == 10e3 and told.height_sigma[0] == 0.0
    assert told.mean[0, 0] == pytest.approx(line[0], rel=1e-3) and told.slope[0, 0] == pytest.approx(line[1], rel=1e-3)
    left = np.average((rows[:, 1] - X @ line) ** 2, weights=w)
    more = ascents.SPREAD[0] ** 2 + (ascents.SPREAD[1] * np.average(rows[:, 1], weights=w)) ** 2
    assert told.cov[0, 0, 0] == pytest.approx(left + more, rel=0.01)


def test_samples_lie_where_they_are_told_to():
    """Ascents of all classes, their heights measured to 1 km: the mean NEES per component of climb and pushes is at
    most 1.1, and not so low that nothing is told."""
    rows = ascents.ascents()[::37]
    rng = np.random.default_rng(3)
    told = ascents.at_height(rows[:, 0] + 1e3 * rng.standard_normal(len(rows)), np.full(len(rows), 1e3))
    sure = told.known & (rows[:, 0] < 150e3)
    speed = np.hypot(rows[:, 1], rows[:, 2])
    truth = np.column_stack([rows[:, 1], rows[:, 3], (rows[:, 1] * rows[:, 3] + rows[:, 2] * rows[:, 4]) / np.maximum(speed, 1.0)])
    whole = told.cov + told.height_sigma[:, None, None] ** 2 * told.slope[:, :, None] * told.slope[:, None, :]
    d = truth - told.mean
    nees = np.einsum("ni,ni->n", d[sure], np.linalg.solve(whole[sure], d[sure][:, :, None])[:, :, 0]) / 3
    assert sure.sum() > 200 and 0.3 < nees.mean() < 1.1  # rockets may differ from the book's, so that its own are surer than told


def test_heights_between_those_that_are_weighed_are_told_as_well(monkeypatch):
    """As by weights about each height itself, but for a tenth of what stays unknown."""
    rng = np.random.default_rng(4)
    height, sigma = rng.uniform(0.0, 900e3, 300), 10.0 ** rng.uniform(1.0, 4.5, 300)
    near = ascents.at_height(height, sigma)
    monkeypatch.setattr(ascents, "STEP", 1e-5)
    there = ascents.at_height(height, sigma)
    blur = np.sqrt(np.einsum("nii->ni", there.cov))
    both = near.known & there.known
    assert both.sum() > 200 and (near.known == there.known).mean() > 0.99
    assert (np.abs(near.mean - there.mean) < 0.1 * blur)[both].all()
    np.testing.assert_allclose(np.sqrt(np.einsum("nii->ni", near.cov))[both], blur[both], rtol=0.05)
    np.testing.assert_allclose(near.height_sigma[both], there.height_sigma[both], rtol=0.05)


def test_the_ground_cuts_off_what_cannot_be():
    """A plot that lies below the ground is of something above it, and is known better for that."""
    told = ascents.at_height([-3e3, 2e3, 1200e3], [3e3, 3e3, 3e3])
    assert (told.height[:2] > 0.0).all() and told.height[0] < told.height[1] and (told.height_sigma[:2] < 3e3).all()
    assert not told.known[2] and told.height[2] == 1200e3


def test_what_burns_high_up_climbs_as_it_is_expected_to():
    """Last stages of the record's ICBMs, IRBMs and launchers, from 200 to 850 km: climb rates within two standard deviations, one on
    average; so that a fall as fast from there is four away or more (but for launchers, which are nearly level there)."""
    squares = []
    for row in launches():
        if row.id not in ("2012-12-12-1", "2017-05-14-1", "2017-07-28-1", "2022-11-18-1", "2023-07-12-1", "2023-11-21-1"):
            continue
        flown = fit(row).trajectory
        up = flown.x[:, :3] / np.linalg.norm(flown.x[:, :3], axis=1, keepdims=True)
        height, climb = frames.altitude(flown.x), np.einsum("ni,ni->n", flown.x[:, 3:], up)
        rows = np.flatnonzero((flown.phase == BOOST) & (height > 200e3))[::3]
        told = ascents.at_height(height[rows], np.full(len(rows), 1e3))
        away = (climb[rows] - told.mean[:, 0]) / np.sqrt(told.cov[:, 0, 0])
        assert len(rows) > 3 and told.known.all() and np.abs(away).max() < 2.0
        assert ((-climb[rows] - told.mean[:, 0]) / np.sqrt(told.cov[:, 0, 0])).mean() < -4.0 or "SLV" in row.missile_class
        squares.append((away**2).mean())
    assert len(squares) == 6 and 0.3 < np.mean(squares) < 1.5


@pytest.mark.skipif(not FLIGHTS.exists(), reason="the recorded flights are not part of the package")
@pytest.mark.parametrize("name", ["bulgariasat-1", "ses-10", "spacex_crs-11"])
def test_real_rockets_climb_as_they_are_expected_to(name):
    """Height and speed of rockets that no one here modelled: climb rates from 0.5 to 60 km within 2.6 standard deviations."""
    flight = np.genfromtxt(FLIGHTS / f"{name}.csv", delimiter=",", names=True)
    rows = flight["time_s"] < 160.0
    time, height = flight["time_s"][rows], 1e3 * flight["altitude_km"][rows]
    at = np.array([0.5e3, 2e3, 5e3, 10e3, 20e3, 40e3, 60e3])
    climb = np.interp(at, height, np.gradient(height, time))
    told = ascents.at_height(at, np.zeros(len(at)))
    assert (np.abs(climb - told.mean[:, 0]) < 2.6 * np.sqrt(told.cov[:, 0, 0])).all()


def test_a_first_plot_tells_of_a_launch():
    """Plots of a rising missile, two kilometres wide: its speed is known four times as well at 10 km, and honestly at all heights."""
    flown = fit(launches().find("2017-09-15-1")).trajectory
    at = np.arange(10.0, 120.0, 2.5)
    x = motion.interpolate(flown.time, flown.x, at)
    origin = frames.ecef(np.radians(38.0), np.radians(130.0), 0.0)
    axes = frames.enu_axes(np.radians(38.0), np.radians(130.0))
    look = frames.look(x, origin, axes)
    look[:, 3] = np.nan
    sigma = np.tile([20.0, 4e-3, 4e-3, np.nan], (len(at), 1))
    z = look + np.nan_to_num(sigma) * np.random.default_rng(5).standard_normal(look.shape)
    told, plain = starting.from_one_plot(0.0, z, sigma, origin, axes), filters.start(0.0, z, sigma, origin, axes)
    for pushed in (motions.MANOEUVRE, motions.BOOST):
        d = told.x[:, pushed, :6] - x
        nees = np.einsum("ni,ni->n", d, np.linalg.solve(told.P[:, pushed, :6, :6], d[:, :, None])[:, :, 0]) / 6
        assert nees.mean() < 1.3
        assert np.trace(told.P[10, pushed, 3:6, 3:6]) < np.trace(plain.P[10, pushed, 3:6, 3:6]) / 16
    assert (told.x[:, motions.COAST] == plain.x[:, motions.COAST]).all()  # what falls may come from anywhere
    assert np.linalg.eigvalsh(told.P6).min() > 0.0 and np.array_equal(told.P, np.swapaxes(told.P, 2, 3))
