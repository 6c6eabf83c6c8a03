"""From an estimate to the two ends of the flight: impact point and time, launch point, each with a covariance."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from copfuse import atmosphere, filters, frames
from copfuse.constants import BOOST, EARTH_A, G0, GLIDE, MU
from copfuse.filters import Bank
from copfuse.kernels import earth, switching
from copfuse.kernels import forecast as kernel

# A boosting missile's path bends over from the vertical: the ground covered since launch is this share of
# height / tan(flight-path angle), give or take; *notional*, from the flights of the launch record (see tests)
BEND, BEND_SIGMA = 0.62, 0.17
BOOST_CEILING = 60e3  # m, free fall is traced back to here before the bend is assumed
# What flies in the air may use lift.  Where the glide model has not had the air to tell (drag below LIFT_SHOWS, m/s^2),
# flights that stay below LOW_FLIGHT, and do not fall as steeply as `switching.STEEP` has it, use it with this chance, because low flights
# often pull up; *notional*
LOW_FLIGHT, MAY_LIFT, LIFT_SHOWS = 110e3, 0.5, 3.0
# What falls from above or so steeply glides that much more seldom than the filter believes, which knows nothing of paths; *notional*
SELDOM = 0.06
# A further burn less likely than this is left to what a 95 % region may miss: its spread, of thousands of kilometres, would make a
# covariance that holds far more
MISSED = 0.04
LASTS = 200.0  # a forecast of free flight serves until this share of the time left, 1 / LASTS, has gone
PUSHED = MISSED  # chance of boost and glide together from which on a forecast is not carried on past a plot
Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # points (n, 3) m, covariances m^2, s left (n,), their sigma


class Forecast(NamedTuple):
    """An impact forecast of one track: made when (s), until when (s) it serves, from whom (bits) and which newest plot (s), or nan where
    later plots do not matter; impact point m, its covariance, s left and their sigma."""

    time: float
    until: float
    who: int
    seen: float
    point: np.ndarray
    cov: np.ndarray
    left: float
    sigma: float


def along(
    state: dict[str, np.ndarray], log_beta: np.ndarray, push: np.ndarray, who: np.ndarray, line: np.ndarray, keys: Sequence[Hashable],
    made: dict[Any, Forecast], least: Any = 0.0,
) -> Columns:  # fmt: skip
    """Impact forecasts of tracks' rows (n,) in rising time, as `impact_point` gives them; ``keys`` say which track each row is of.

    Each row is a ``line`` of ``state`` (time, x, P, phase_probability, age), ``log_beta``, ``push``, ``who`` (bits) and ``least`` (as of
    `impact_point`).  A forecast in free flight serves until 1 / `LASTS` of the time left has gone (`_untouched`) or others stand in the
    track.  One that was made under thrust or lift (`pushed`) serves until there is a plot: that they have ended changes everything; but
    where nothing new is known nothing is known better, and the mean of a track that goes on unseen falls out of a glide that may go on.
    ``made`` has each track's last, in place, as long as it may still serve.
    """
    chance = state["phase_probability"]
    powered, bits, at = pushed(chance)[line].tolist(), who[line].tolist(), state["time"][line].tolist()
    seen = np.round(state["time"] - state["age"], 6)[line].tolist()  # as it was, but for roundings
    until, fresh = _serving(made, state["x"], line, at, keys, bits, seen, powered)
    given = state["x"], state["P"], log_beta, push, *_chances(state["x"], chance), np.broadcast_to(least, len(chance))
    asked, place = np.unique(line[fresh], return_inverse=True)
    out = np.zeros((len(line), 3)), np.zeros((len(line), 3, 3)), np.zeros(len(line)), np.zeros(len(line))
    for column, value in zip(out, _impacts(given, asked), strict=True):
        column[fresh] = value[place]
    point, cov, left, sigma = out
    for i, (key, new) in enumerate(zip(keys, fresh.tolist(), strict=True)):
        if new:
            made[key] = Forecast(at[i], until[i], bits[i], seen[i] if powered[i] else math.nan, point[i], cov[i], left[i], sigma[i])
        else:
            old = made[key]
            point[i], cov[i], left[i], sigma[i] = old.point, old.cov, max(old.left - (at[i] - old.time), 0.0), old.sigma
    for key in [key for key, old in made.items() if at and old.until <= at[-1]]:  # never asked again
        del made[key]
    return out


def _serving(
    made: dict[Any, Forecast], x: np.ndarray, line: np.ndarray, time: list[float], keys: Sequence[Hashable], who: list[int],
    seen: list[float], powered: list[bool],
) -> tuple[list[float], np.ndarray]:  # fmt: skip
    """Until when, s, the forecast that serves each row (n,) does so, and whether it is a new one."""
    last = {key: (old.until, old.who, old.seen) for key, old in made.items()}
    until, fresh = [0.0] * len(time), np.zeros(len(time), bool)
    for i, key in enumerate(keys):
        end, whose, plot = last.get(key, (-math.inf, 0, math.nan))
        if time[i] >= end or whose != who[i] or ((powered[i] or not math.isnan(plot)) and plot != seen[i]):
            fresh[i] = True
            end = time[i] + _untouched(x[line[i]].tolist()) / (1.0 if powered[i] else LASTS)
            last[key] = end, who[i], seen[i] if powered[i] else math.nan
        until[i] = end
    return until, fresh


def _untouched(x: list[float]) -> float:
    """Seconds from state x (6) to the ground without air, if gravity, less what going round the Earth takes of it, stays as it is here:
    within a fifth, which is enough to say how long a forecast serves."""
    r2, speed2 = x[0] ** 2 + x[1] ** 2 + x[2] ** 2, x[3] ** 2 + x[4] ** 2 + x[5] ** 2
    r = math.sqrt(r2)
    climb = (x[0] * x[3] + x[1] * x[4] + x[2] * x[5]) / r
    pull = max(MU / r2 - (speed2 - climb**2) / r, 1.0)
    return (climb + math.sqrt(climb**2 + 2.0 * pull * max(r - EARTH_A, 0.0))) / pull


def pushed(phase_probability: np.ndarray) -> np.ndarray:
    """Which rows (n,) of phase probabilities (n, 4) thrust or lift may push, so that what comes of them does not last."""
    return phase_probability[:, BOOST] + phase_probability[:, GLIDE] > PUSHED


def impact_point(x, P, log_beta, push, phase_probability, least: Any = 0.0) -> Columns:
    """Where and when objects come down under gravity, drag, in boost a rest of the burn, and lift where it may be.

    Args: ``x (n, 6)``, ``P (n, 6, 6)``, ``log_beta (n, 2)`` mean and sigma, ``push (n, 3)`` m/s^2,
    ``phase_probability (n, 4)``.  Returns point ``(n, 3)`` m Earth-fixed, covariance ``(n, 3, 3)`` m^2, time to impact
    ``(n,)`` s and its sigma; nan where a part of the distribution stays in orbit.  Where the body
    may have lift (`lift`) the forecast is spread over how far that may carry it.  A further burn is in it from a probability of
    `MISSED` on.  A forecast that can be seen to have a 95 % ellipse with a semi-major axis above ``least`` m (scalar or (n,); 0: any) is
    not made: nan, too.
    """
    x, P = np.ascontiguousarray(x, float), np.ascontiguousarray(P, float)
    size = np.broadcast_to(np.asarray(least, float), len(x)).copy()
    given = x, P, np.asarray(log_beta, float), np.asarray(push, float), *_chances(x, np.asarray(phase_probability, float)), size
    return _impacts(given, np.arange(len(x)))


def _chances(x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of estimates with phase probabilities ``p (n, 4)``: the chance of boost that is forecast, by how much what is left out of it widens
    a covariance, and the chance of lift, each (n,)."""
    told = p[:, BOOST] > MISSED
    return np.where(told, p[:, BOOST], 0.0), _wider(np.where(told, 0.0, p[:, BOOST])), lift(x, p)


def _impacts(given: tuple[np.ndarray, ...], rows: np.ndarray) -> Columns:
    """`impact_point` of some rows of what is ``given``: states, covariances, drag, push, `_chances` and the least size."""
    x, P, log_beta, push, boosting, wider, lifts, least = (column[rows] for column in given)
    n = len(x)
    mean, cov, when = np.zeros((n, 3)), np.zeros((n, 3, 3)), np.zeros((n, 2))
    if n:
        kernel.impact(x, P, log_beta, push, boosting, lifts, least, mean, cov, when)
        cov *= wider[:, None, None]
    told = np.isfinite(np.concatenate([mean, when], axis=1)).all(axis=1)
    if not told.all():
        mean[~told], cov[~told], when[~told] = np.nan, np.nan, np.nan
    return mean, cov, when[:, 0], when[:, 1]


def _wider(missed: np.ndarray) -> np.ndarray:
    """By how much a covariance in the plane grows so that its 95 % ellipse still holds 95 % in all, where a share ``missed (n,)`` is
    surely outside: chi-squared of two degrees is -2 ln(1 - probability)."""
    return np.log(1.0 - 0.95 / (1.0 - missed)) / np.log(1.0 - 0.95)


def lift(x, phase_probability) -> np.ndarray:
    """Probability (n,) that lift carries states ``x (n, 6)`` on; nothing in boost, or where the path leads high above
    the air or, as `switching.STEEP` has it, steeply out of it."""
    p = np.asarray(phase_probability, float)
    height, speed = frames.altitude(x), np.linalg.norm(x[:, 3:], axis=1)
    climb = np.einsum("ni,ni->n", x[:, :3], x[:, 3:]) / np.linalg.norm(x[:, :3], axis=1)
    apogee = height + climb**2 / (2 * G0)  # past or to come
    slowing = 0.5 * atmosphere.density(np.maximum(height, 0.0)) * speed**2 / np.exp(filters.LOG_BETA[0])
    across = np.sqrt(np.maximum(speed**2 - climb**2, 0.0))
    least, slow, fast = switching.STEEP
    flat = (apogee < LOW_FLIGHT) & ((apogee < least) | (across < slow) | (across >= fast))
    untold = np.where(flat, MAY_LIFT / (1.0 + slowing / LIFT_SHOWS), 0.0)
    odds = p[:, GLIDE] * np.where(flat, 1.0, SELDOM)
    glide = odds / (1.0 - p[:, GLIDE] + odds)
    return np.minimum(glide + untold * (1.0 - p[:, BOOST] - glide), 1.0 - p[:, BOOST])


def launch_point(tracks: Bank, boosting) -> tuple[np.ndarray, np.ndarray]:
    """Launch points ``(n, 3)`` m Earth-fixed and covariances ``(n, 3, 3)`` m^2 of n estimates.

    What flies freely (``boosting (n,)`` below one half) is first traced back to the height at which boosts end; from there the
    bend of a gravity turn gives the rest of the way down, with a spread along the path that says how rough that is.
    """
    height = frames.altitude(tracks.x6)
    back = np.where((np.asarray(boosting) > 0.5) | (height < BOOST_CEILING), 0.0, _time_since(tracks, BOOST_CEILING))
    then = filters.predict(tracks, tracks.time - back)
    x, P = then.x6, then.P6
    lat, lon, height = frames.geodetic(x)
    up = frames.enu_axes(lat, lon)[:, 2]
    climb = np.einsum("ni,ni->n", x[:, 3:], up)
    level = _horizontal(x)
    speed = np.maximum(np.einsum("ni,ni->n", x[:, 3:], level), 1.0)
    ratio = np.clip(speed / np.maximum(climb, 50.0), 0.05, 5.0)  # 1 / tan of the flight-path angle
    way = BEND * height * ratio
    _, _, above = frames.geodetic(x[:, :3] - way[:, None] * level)
    point = x[:, :3] - way[:, None] * level - above[:, None] * up
    along = BEND_SIGMA * height * ratio + 500.0
    across = np.cross(up, level)
    flat = np.eye(3) - up[:, :, None] * up[:, None, :]
    # the place moves with the position and, through the angle, with the velocity: d way / d v = BEND h / v_up
    slope = BEND * height / np.maximum(climb, 50.0)
    map_to_ground = np.concatenate([flat, -slope[:, None, None] * flat], axis=2)
    cov = map_to_ground @ P @ np.swapaxes(map_to_ground, 1, 2)
    for axis, sigma in ((level, along), (across, 0.1 * along + 200.0), (up, np.full(len(x), 100.0))):
        cov = cov + (sigma**2)[:, None, None] * axis[:, :, None] * axis[:, None, :]
    return point, cov


def _time_since(tracks: Bank, height: float) -> np.ndarray:
    """Seconds since free-falling objects climbed through ``height`` m (to 2 s; at most an hour)."""
    since = np.zeros(len(tracks))
    for i in range(len(tracks)):
        x = tracks.x6[i].copy()
        s, k, y = np.append(x, np.zeros(3)), np.zeros((4, 9)), np.zeros(9)
        while since[i] < 3600.0 and earth.altitude(s[0], s[1], s[2]) > height:
            filters.motions.propagate(filters.motions.COAST, 6, s, -2.0, k, y)
            since[i] += 2.0
    return since


def _horizontal(x) -> np.ndarray:
    """Unit vectors (n, 3) of the velocity's horizontal part (north where there is none)."""
    lat, lon, _ = frames.geodetic(x)
    axes = frames.enu_axes(lat, lon)
    v = np.einsum("ni,nij->nj", np.einsum("nij,nj->ni", axes, x[:, 3:])[:, :2], axes[:, :2])
    size = np.linalg.norm(v, axis=1, keepdims=True)
    return np.where(size > 1e-6, v / np.maximum(size, 1e-6), axes[:, 1])
