"""Ascents: what burns at a height, how fast it climbs there and how hard it is pushed, from boosts of every class.

A missile starts from rest, so its height tells its speed: whoever first sees one at 10 km knows more than that it is there.
The boosts are flights of `kernels.flight` with the profiles of `vehicles`, all *notional*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from copfuse import frames, vehicles
from copfuse.constants import EARTH_OMEGA, MU
from copfuse.kernels import flight as kernel
from copfuse.kernels.arc import through

CLASSES = ("SRBM", "MRBM", "IRBM", "ICBM", "ICBM, solid", "SLV", "glide")  # the others in `vehicles` fly like one of these
KICKS = (0.5, 2.0, 5.0, 9.0, 14.0, 20.0, 27.0, 34.0, 41.0, 48.0, 55.0, 62.0, 69.0)  # deg
GAINS = (0.35, 0.95)  # shares of a class's most velocity gain, least and most
TICK, LONGEST = 1.0, 350.0  # s
MANY, FEW = 7, 4  # velocity gains in the book of all, and in that of `moments`
LEAST_BURNOUT = 20e3  # m, and never down: what else a template does is no ascent that anybody flies
BAND = (300.0, 0.04)  # m, and share of the height, over which a height tells the rest, *notional*
HIGHEST = 1000e3  # m, no engine burns above: the last stage of a lofted ICBM burns out at 600 to 900 km, *notional*
ENOUGH = 20.0  # samples that count, without which a height tells nothing
LEAST_FLOW = 0.003  # 1/s, sigma of mass flow over mass at the least, *notional*
SPREAD = (10.0, 0.15, 4.0)  # m/s, share of speed and push, m/s^2, by which rockets differ from the book's, *notional*
SAMPLES = 4000  # rows, the most that are weighed for one height
STEP = 0.0625  # of a width: how far apart heights are that are weighed, and by this ratio widths; what they tell is straight between
MOST_WEIGHED = 8192  # of those, of 1 kB each, that are remembered: one flight needs a thousand


@dataclass(frozen=True, eq=False)
class Book:
    """Boosts by class: names and burn times (m,), ``table (m, t, 6)`` every `TICK` s from ignition: height, way over the
    ground, climb rate, level speed, push upwards and along the way."""

    name: np.ndarray
    burn: np.ndarray
    table: np.ndarray

    def at(self, each: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Columns (n, 6) of templates ``each (n,)`` at times ``t (n,)``; at rest before ignition."""
        place = np.clip(t / TICK, 0.0, self.table.shape[1] - 1.001)
        low = place.astype(int)
        share = (place - low)[:, None]
        return (1.0 - share) * self.table[each, low] + share * self.table[each, low + 1]


@lru_cache(maxsize=2)
def templates(gains: int = MANY, kicks: tuple[float, ...] = KICKS) -> Book:
    """Boosts of all classes, velocity gains and pitch-overs (deg): flights from one place towards the east."""
    lat, lon = math.radians(39.0), math.radians(127.0)
    names, burns, rows = [], [], []
    at = TICK * np.arange(int(LONGEST / TICK) + 1)
    for name in CLASSES:
        profile = vehicles.PROFILES[name]
        for share in np.linspace(*GAINS, gains):
            stages = vehicles.boost(profile, share * profile.most)
            for kick in np.radians(kicks):
                names.append(name)
                burns.append(sum(s.burn for s in stages) + vehicles.GAP * (len(stages) - 1))
                rows.append(_template(lat, lon, stages, kick, profile, at))
    return Book(np.array(names), np.array(burns), np.array(rows))


def _template(lat: float, lon: float, stages, kick: float, profile: vehicles.Profile, at: np.ndarray) -> np.ndarray:
    """One boost as a row (t, 6) of `Book.table`."""
    east, _, up = frames.enu_axes(lat, lon)
    p = np.zeros(kernel.PARAMETERS)
    p[kernel.AIR], p[kernel.BETA], p[kernel.LATEST] = 1.0, profile.beta, 9000.0
    p[kernel.RISE : kernel.BLEND + 1] = profile.turn
    p[kernel.UP : kernel.UP + 3], p[kernel.KICK : kernel.KICK + 3] = up, kick * east
    p[kernel.STEP_BOOST], p[kernel.STEP_AIR], p[kernel.STEP_COAST] = 0.25, 0.5, 5.0
    begin = np.cumsum([0.0] + [s.burn + vehicles.GAP for s in stages])[:-1]
    burns = np.array([[b, b + s.burn, s.thrust, s.tau, s.heavy] for b, s in zip(begin, stages, strict=True)])
    x = np.empty((len(at), 6))
    site = frames.ecef(lat, lon, 0.0)
    through(np.r_[site, np.zeros(3)], 0.0, burns, np.array([*sorted([*burns[:, :2].ravel(), *profile.turn]), np.inf]), p, at, x)
    radius = np.linalg.norm(x[:, :3], axis=1, keepdims=True)
    unit = x[:, :3] / radius
    spin = np.array([0.0, 0.0, EARTH_OMEGA])
    pull = -MU * unit / radius**2 - np.cross(spin, np.cross(spin, x[:, :3])) - 2.0 * np.cross(spin, x[:, 3:])
    push = np.gradient(x[:, 3:], TICK, axis=0) - pull
    way = np.linalg.norm(site) * np.arctan2(np.linalg.norm(np.cross(unit, unit[0]), axis=1), unit @ unit[0])
    along = np.cross(np.cross(site / np.linalg.norm(site), east)[None], unit)  # level, away from the site
    parts = [(v * axis).sum(axis=1) for v in (x[:, 3:], push) for axis in (unit, along)]
    return np.stack([frames.altitude(x), way, *parts], axis=1)


@lru_cache(maxsize=1)
def ascents() -> np.ndarray:
    """Samples (n, 6) of all ascents at even times, by height: height, climb rate, level speed, push upwards and along the way, growth of
    the whole push over it, 1/s."""
    book = templates(FEW, KICKS[1::2])
    burning = TICK * np.arange(book.table.shape[1]) < book.burn[:, None]
    rising = np.where(burning, book.table[:, :, 2], np.inf)[:, 2:].min(axis=1) > 0.0
    high = np.where(burning, book.table[:, :, 0], 0.0).max(axis=1) > LEAST_BURNOUT
    burning[:, 0] = False  # at rest
    table = book.table[rising & high]
    growth = np.gradient(np.log(np.maximum(np.hypot(table[:, :, 4], table[:, :, 5]), 1.0)), TICK, axis=1)
    rows = np.dstack([table[:, :, (0, 2, 3, 4, 5)], growth])[burning[rising & high]]
    return rows[np.argsort(rows[:, 0])]


@lru_cache(maxsize=1)
def _samples() -> tuple[np.ndarray, ...]:
    """Of `ascents` what `_near` weighs: heights (n,); these with climb rate, push upwards and push along the velocity, level speed and
    level push, (n, 6); and growth (n,)."""
    height, climb, level, up, along, growth = ascents().T
    thrust = (climb * up + level * along) / np.maximum(np.hypot(climb, level), 1.0)
    return height.copy(), np.column_stack([height, climb, up, thrust, level, along]), growth.copy()


@dataclass(frozen=True, eq=False)
class Ascent:
    """What m heights tell of what burns there.

    ``height, height_sigma (m,)`` m: once more, as what has begun on the ground; ``mean (m, 3)``, ``slope (m, 3)``, ``cov (m, 3, 3)``: of
    climb rate m/s, push upwards and push along the velocity m/s^2, at that height, by height, and what is left when it is known;
    ``level (m, 2, 2)``: second moments per level axis of speed and push; ``flow (m, 2)``: mass flow over mass, 1/s, the growth of the
    push, and its sigma; ``known (m,)``: whether the height tells anything.
    """

    height: np.ndarray
    height_sigma: np.ndarray
    mean: np.ndarray
    slope: np.ndarray
    cov: np.ndarray
    level: np.ndarray
    flow: np.ndarray
    known: np.ndarray


def at_height(height, sigma) -> Ascent:
    """`Ascent` of heights ``height (m,)`` m measured with ``sigma (m,)`` m."""
    height, sigma = (np.array(given, float, ndmin=1) for given in (height, sigma))
    m, known = len(height), height - 2.0 * sigma < HIGHEST
    mean, C, flow = np.zeros((m, 6)), np.ones((m, 6, 6)), np.zeros((m, 2))
    for i in np.flatnonzero(known):
        width = math.exp(STEP * round(math.log(math.hypot(sigma[i], BAND[0] + BAND[1] * abs(height[i]))) / STEP))
        found = _near(STEP * width * round(height[i] / (STEP * width)), width)
        known[i] = found is not None
        if found:
            mean[i], C[i], flow[i] = found
    cut = np.flatnonzero(known & (C[:, 0, 0] < sigma**2))  # the ground cuts off what cannot be
    height[cut], sigma[cut] = mean[cut, 0], np.sqrt(C[cut, 0, 0])
    slope = C[:, 1:4, 0] / C[:, :1, 0]
    cov = C[:, 1:4, 1:4] - slope[:, :, None] * C[:, None, 1:4, 0]
    cov[:, range(3), range(3)] += np.square([SPREAD[0], SPREAD[2], SPREAD[2]]) + np.square(SPREAD[1] * mean[:, 1:4])
    level = 0.5 * (1.0 + SPREAD[1]) ** 2 * (C[:, 4:, 4:] + mean[:, 4:, None] * mean[:, None, 4:])
    level[:, range(2), range(2)] += np.square([SPREAD[0], SPREAD[2]])
    return Ascent(height, sigma, mean[:, 1:4] + slope * (height - mean[:, 0])[:, None], slope, cov, level, flow, known)


@lru_cache(maxsize=MOST_WEIGHED)
def _near(height: float, width: float) -> tuple[np.ndarray, np.ndarray, tuple[float, float]] | None:
    """Of the samples within a width m of a height m: mean (6,), covariance (6, 6), growth of the push with its sigma; None of too few."""
    samples = _samples()
    first, last = samples[0].searchsorted((height - 4.0 * width, height + 4.0 * width))
    near = slice(first, last, max(1, (last - first) // SAMPLES))
    heights, q, growth = (column[near] for column in samples)
    w = np.exp(-0.5 * ((heights - height) / width) ** 2)
    whole = w.sum()
    if not whole**2 > ENOUGH * (w @ w):
        return None
    growth = growth[w > 0.5 * w.max()]
    w /= whole
    mean = w @ q
    off = q - mean
    middle = float(np.median(growth))  # at staging the push jumps
    return mean, (off * w[:, None]).T @ off, (middle, max(float(np.median(np.abs(growth - middle))) * 2.0, LEAST_FLOW))
