"""Launch and burnout of a boost from satellites' lines of sight alone: published bounds reproduced, and reached by the batch fit.

The set-up: a sphere of 6371 km that turns, no air; specific thrust a0 / (1 - t / tau), vertical for 5 s, then at an elevation that falls
linearly to th_f at burnout after 95 s, on a heading; satellites at 10 and 75 degrees east measure two angles each from 10 km height
(44 s) to burnout.  Unknown: launch latitude, longitude, time, heading, th_f and, where no template is known, a0 and tau.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import chi2

from copfuse import batch, families, frames
from copfuse.kernels import njit

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="thousands of fits take hours without compiled kernels")

RADIUS, MU, OMEGA, BURN, RISE, GEO = 6371e3, 3.986004418e14, 7.2921159e-5, 95.0, 5.0, 42164e3
TRUTH = np.array([*np.radians([33.0, 44.0]), 0.0, *np.radians([260.0, 30.0]), 18.0, 130.0])
STEP = np.array([1e-6, 1e-6, 1e-3, 1e-5, 1e-5, 1e-4, 1e-3])
START = np.array([*np.radians([0.05, 0.05]), 3.0, *np.radians([4.0, 4.0]), 1.0, 5.0])  # half-widths of the boxes that fits start from


@njit
def rates(t, s, heading, final, a0, tau, out):
    """Inertial rates out (6) of the state s (6) t seconds after launch; up, east and north are those of where it is."""
    r2 = s[0] ** 2 + s[1] ** 2 + s[2] ** 2
    r, level = math.sqrt(r2), math.sqrt(s[0] ** 2 + s[1] ** 2)
    elevation = 0.5 * math.pi if t < RISE else 0.5 * math.pi + (final - 0.5 * math.pi) * (t - RISE) / (BURN - RISE)
    thrust = a0 / (1.0 - t / tau) if t <= BURN else 0.0
    up, east, north = math.sin(elevation), math.cos(elevation) * math.sin(heading), math.cos(elevation) * math.cos(heading)
    ux, uy, uz, ex, ey, cosine = s[0] / r, s[1] / r, s[2] / r, -s[1] / level, s[0] / level, level / r
    for i in range(3):
        out[i] = s[3 + i]
        out[3 + i] = -MU * s[i] / (r2 * r)
    out[3] += thrust * (up * ux + east * ex - north * uz * s[0] / level)
    out[4] += thrust * (up * uy + east * ey - north * uz * s[1] / level)
    out[5] += thrust * (up * uz + north * cosine)


@njit
def advance(t, h, s, heading, final, a0, tau, k, y, new):
    """One Runge-Kutta step of h seconds; k (4, 6) and y (6) are scratch."""
    rates(t, s, heading, final, a0, tau, k[0])
    for j in range(1, 4):
        share = 1.0 if j == 3 else 0.5
        for i in range(6):
            y[i] = s[i] + share * h * k[j - 1, i]
        rates(t + share * h, y, heading, final, a0, tau, k[j])
    for i in range(6):
        new[i] = s[i] + h / 6.0 * (k[0, i] + 2.0 * k[1, i] + 2.0 * k[2, i] + k[3, i])


@njit
def boost(u, time, x):
    """Inertial states x (n, 6) of parameters u (7) at ascending times (n,) from 5 s after the launch to the burnout or little later."""
    k, y, s, new = np.empty((4, 6)), np.empty(6), np.empty(6), np.empty(6)
    turned = u[1] + OMEGA * u[2]
    s[0], s[1], s[2] = RADIUS * math.cos(u[0]) * math.cos(turned), RADIUS * math.cos(u[0]) * math.sin(turned), RADIUS * math.sin(u[0])
    s[3], s[4], s[5] = -OMEGA * s[1], OMEGA * s[0], 0.0
    t = 0.0
    for m in range(len(time)):
        while t + 2.5 <= time[m] - u[2] and t < BURN:
            advance(t, 2.5, s, u[3], u[4], u[5], u[6], k, y, new)
            t += 2.5
            for i in range(6):
                s[i] = new[i]
        advance(t, time[m] - u[2] - t, s, u[3], u[4], u[5], u[6], k, y, x[m])


def flown(u, time) -> np.ndarray:
    x = np.empty((len(time), 6))
    boost(u, np.asarray(time, float), x)
    return x


@dataclass(frozen=True)
class Boosting:
    """What `batch.descend` asks of a model; the first ``len(mean)`` parameters are free, the others true."""

    mean: np.ndarray
    sigma: np.ndarray
    latest: float = np.inf

    @property
    def step(self):
        return STEP[: len(self.mean)]

    @property
    def reach(self):
        return START[: len(self.mean)]

    def states(self, u, time, coarse=False):
        """Earth-fixed."""
        return frames.from_inertial(flown(np.r_[u, TRUTH[len(u) :]], time), time)

    slopes = families.Model.slopes
    prior = families.Model.prior


def seen_from(longitudes, sigma, time) -> batch.Plots:
    """Free of errors: every satellite's two angles at every time."""
    n = len(time)
    order = np.repeat(np.arange(n), len(longitudes))
    where = np.radians(np.tile(longitudes, n))
    origin = GEO * np.stack([np.cos(where), np.sin(where), 0 * where], axis=1)
    north = -origin / GEO
    up = np.tile([0.0, 0.0, 1.0], (len(where), 1))
    axes = np.stack([np.cross(north, up), north, up], axis=1)
    x = Boosting(TRUTH, np.full(7, np.inf)).states(TRUTH, time)[order]
    z = frames.look(x, origin, axes)
    z[:, [0, 3]] = np.nan
    zero, rows = np.zeros((len(where), 4)), np.arange(len(where))
    return batch.Plots(rows, time[order], 0 * rows, z, zero + sigma, origin, axes, np.isfinite(z), zero, zero[:, 0] + 1.0, 0 * rows)


def reported(u) -> np.ndarray:
    """Launch km north and east, heading deg, time s, burnout position m and velocity m/s (inertial), impact km: (13,).

    The impact is a point of the Earth as it has turned since the launch.
    """
    u = np.r_[u, TRUTH[len(u) :]]
    state = flown(u, [u[2] + BURN])[0]
    place, _ = impact(state)
    launch = 1e-3 * RADIUS * u[0], 1e-3 * RADIUS * math.cos(TRUTH[0]) * u[1]
    return np.r_[launch, math.degrees(u[3]), u[2], state, 1e-3 * place]


def impact(state) -> tuple[np.ndarray, float]:
    """Where Kepler's orbit through the inertial state at burnout comes down, in axes that turned since the launch, and when after it."""
    k, y, s, new, t = np.empty((4, 6)), np.empty(6), state.copy(), np.empty(6), BURN
    while True:
        advance(BURN + 1.0, 2.0, s, 0.0, 0.0, 0.0, 1.0, k, y, new)
        if np.linalg.norm(new[:3]) < RADIUS:
            break
        s, new, t = new, s, t + 2.0
    low, high = 0.0, 2.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        advance(BURN + 1.0, middle, s, 0.0, 0.0, 0.0, 1.0, k, y, new)
        low, high = (low, middle) if np.linalg.norm(new[:3]) < RADIUS else (middle, high)
    return frames.from_inertial(new[None], t + low)[0, :3], t + low


PARTS = slice(0, 2), slice(2, 3), slice(3, 4), slice(4, 7), slice(7, 10), slice(10, 13)


def gathered(square) -> np.ndarray:
    """Root mean squares of launch, heading, time, burnout position, velocity and impact from mean squares (13,)."""
    return np.sqrt([square[part].sum() for part in PARTS])


CASES = {  # satellites, sigma, looks, free parameters, prior share on a0 and tau
    "A": ((10.0, 75.0), 10e-6, np.arange(44.0, 95.5), 7, np.inf),
    "B": ((10.0, 75.0), 20e-6, np.arange(44.0, 95.5, 2.0), 7, 0.02),
    "D": ((10.0, 75.0), 20e-6, np.arange(53.0, 94.0, 10.0), 5, np.inf),
    "E": ((10.0,), 10e-6, np.arange(44.0, 95.5), 5, np.inf),
}
PRINTED = {"B": (0.342, 0.682, 0.914, 1927.0, 73.3, 34.3), "D": (0.772, 1.381, 0.308, 948.0, 55.8, 14.5)}


def set_up(case):
    longitudes, sigma, time, free, share = CASES[case]
    known = np.full(7, np.inf)
    known[5:] = share * TRUTH[5:]
    return seen_from(longitudes, sigma, time), Boosting(TRUTH[:free], known[:free])


def lowest(case) -> np.ndarray:
    """The Cramer-Rao bound, as `gathered`."""
    plots, model = set_up(case)
    root = batch.spread(model, batch.slopes(model, plots, batch.tight(plots, model.states(model.mean, plots.time)), model.mean))
    change = model.slopes(reported, model.mean) @ root
    return gathered((change**2).sum(axis=1))


def fits(case, runs):
    """Errors (runs, 13) of the batch fit, costs (runs,) and the number of angles (with the prior's)."""
    exact, model = set_up(case)
    rng, free, errors, costs = np.random.default_rng(17), len(model.mean), [], []
    true, drawn = reported(model.mean), np.isfinite(model.sigma)
    for _ in range(runs):
        z = exact.z + np.where(exact.have, exact.sigma, 0.0) * rng.standard_normal(exact.z.shape)
        mean = model.mean + np.where(drawn, np.where(drawn, model.sigma, 0.0) * rng.standard_normal(free), 0.0)
        plots = replace(exact, z=z)
        start = TRUTH[:free] + START[:free] * rng.uniform(-1.0, 1.0, free)
        u, _, _, cost = batch.descend(Boosting(mean, model.sigma), plots, batch.tight(plots, z), start, False)
        errors.append(reported(u) - true)
        costs.append(cost)
    return np.array(errors), np.array(costs), int(exact.have.sum() + drawn.sum())


def test_the_flight_is_the_published_one():
    state = flown(TRUTH, [95.0])[0]
    assert np.allclose(state[:3], (3884138.35, 3745623.68, 3495499.95), atol=0.1)
    assert np.allclose(state[3:], (1878.5125, 50.1965, 548.5194), atol=1e-3)
    assert np.linalg.norm(state[:3]) - RADIUS == pytest.approx(58.21e3, abs=10.0)
    assert impact(state)[1] == pytest.approx(449.9, abs=0.05)


@pytest.mark.parametrize("case", PRINTED)
def test_the_bound_is_the_published_one(case):
    assert np.allclose(lowest(case), PRINTED[case], rtol=0.01)


@pytest.mark.parametrize(("case", "runs"), [("A", 100), ("B", 400), ("D", 400), ("E", 100)])
def test_the_fit_reaches_the_bound(case, runs):
    """From starts up to 0.05 degrees, 3 s, 4 degrees, 1 m/s^2 and 5 s away; a fit has converged if its cost is one that chance allows.

    For A (no template) and E (one satellite) the bound is this file's own, and root mean squares over it within 99.8 % of chi-squared's.
    """
    errors, costs, m = fits(case, runs)
    converged = costs < chi2.ppf(1.0 - 1e-5, m - len(set_up(case)[1].mean))
    assert converged.mean() >= 0.99
    ratio = gathered((errors**2).mean(axis=0)) / lowest(case)
    low, high = np.sqrt(chi2.ppf([0.001, 0.999], runs) / runs)
    assert np.all(ratio > low) and np.all(ratio <= (1.15 if case in PRINTED else high))
    if case == "D":
        assert gathered((errors**2).mean(axis=0))[0] <= 0.90
