"""`bound`: how well an object's state could be known at best, the posterior Cramer-Rao bound of a truth and its sensors.

The recursion is that of Tichavsky, Muravchik and Nehorai (IEEE T-SP 46(5), 1998) along the true path.  Where plots
come by chance, the information reduction factor (Zhang, Willett and Bar-Shalom, IEEE T-AES 41(4), 2005) gives a lower
bound, the modified Riccati equation (Sinopoli et al., IEEE T-AC 49(9), 2004) an upper one of the mean.

A lower bound needs a stated model.  While the engine burns or the body lifts, what is not gravity is a Wiener
process with `filters.JERK`, the filter's own model: a smoother thrust can be followed better.  Else the body falls with
drag, an unknown ballistic coefficient, a steady wind that nobody knows and the filter's small noise.  The other model that is
offered is the true one with unknown parameters (`sensitivity`) and, in boost, the pushes that are drawn (`roughness`).  Sensor
biases are not in the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from copfuse import filters, frames, informing, motion, roughness, sensitivity, simulate
from copfuse.checking import handed, handed_scenario
from copfuse.constants import BOOST, EARTH_OMEGA, GLIDE, NODES, REENTRY_ALTITUDE
from copfuse.errors import CopfuseError, suggestion
from copfuse.kernels import limits, motions
from copfuse.tables import Detections, Truth

PRIOR = (1e6, 1e4)  # m, m/s per axis before the first plot: next to nothing, *notional*
STEP = 1.0  # s, the most that one transition matrix spans
MODELS = ("filter", "true")
SAME = 10.0  # m by which a truth may differ from the flight of its launch's plan
# Position, velocity, acceleration that is not gravity, ln(ballistic coefficient), wind to the east and to the north over its sigma
WIDTH = 12
_P, _V, _A, _B, _W = slice(0, 3), slice(3, 6), slice(6, 9), 9, slice(10, 12)


@dataclass(frozen=True, eq=False)
class Bound:
    """Lowest covariance ``P (n, 6, 6)`` of position and velocity at ``time (n,)`` s after the epoch, plots of that time included.

    Rows are at every look (or plot) and every whole second, from the first plot to the impact.
    """

    time: np.ndarray
    P: np.ndarray
    label: str

    @property
    def position(self) -> np.ndarray:
        """Root of the trace of the position's part (n,), m: no unbiased estimate has a smaller root mean square error."""
        return np.sqrt(np.trace(self.P[:, _P, _P], axis1=1, axis2=2))

    @property
    def velocity(self) -> np.ndarray:
        """Likewise of the velocity (n,), m/s."""
        return np.sqrt(np.trace(self.P[:, _V, _V], axis1=1, axis2=2))

    def __repr__(self) -> str:
        return f"Bound({self.label}: {len(self.time)} rows)"


def recursion(F, Q, information, J0) -> np.ndarray:
    """Posterior information (n, d, d) after each of n steps: ``J <- (F J^-1 F' + Q)^-1 + information``.

    ``F``, ``Q`` (n, d, d) or (d, d) and ``information`` (n, d, d), the sum of H' R^-1 H over a step's measurements, each
    times its probability of detection (information reduction factor); ``J0 (d, d)`` before the first step.  This is eq. 21
    of Tichavsky et al. (1998) for linear dynamics with additive noise, after the matrix inversion lemma, so that Q
    may be singular or zero.
    """
    information = np.asarray(information, float)
    F, Q = (np.broadcast_to(np.asarray(v, float), information.shape) for v in (F, Q))
    J = np.empty(information.shape)
    P = _inverse(np.asarray(J0, float))
    for k in range(len(J)):
        J[k] = _inverse(F[k] @ P @ F[k].T + Q[k]) + information[k]
        P = _inverse(J[k])
    return J


def modified_riccati(F, Q, information, chance, P0) -> np.ndarray:
    """Covariance (n, d, d) of the modified Riccati equation, an upper bound of the mean over detection sequences.

    ``P <- (1 - chance) P + chance (P^-1 + information)^-1`` of the predicted P: with ``information`` of a measurement
    that is made, ``chance`` scalar or (n,); the rest as in `recursion`, ``P0 (d, d)`` before the first step.
    """
    information = np.asarray(information, float)
    F, Q = (np.broadcast_to(np.asarray(v, float), information.shape) for v in (F, Q))
    chance = np.broadcast_to(np.asarray(chance, float), len(information))
    P, out = np.asarray(P0, float), np.empty(information.shape)
    for k in range(len(out)):
        before = F[k] @ P @ F[k].T + Q[k]
        P = (1.0 - chance[k]) * before + chance[k] * _inverse(_inverse(before) + information[k])
        out[k] = P
    return out


def _inverse(a: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric positive definite matrix whose components have very different units."""
    scale = np.sqrt(np.outer(np.diag(a), np.diag(a)))
    inverse = np.linalg.inv(a / scale) / scale
    return 0.5 * (inverse + inverse.T)


def transitions(x, dt, driven, beta: float, wind: float = motions.WIND) -> np.ndarray:
    """Transition matrices (n, 12, 12) over ``dt (n,)`` s, around states ``x (n, 6)`` halfway.

    Gravity with J2 in the rotating frame; where ``driven (n,)`` the acceleration acts, elsewhere drag with the ballistic
    coefficient ``beta`` kg/m^2, around that in calm air.  A wind, the same all the way down, of standard deviation ``wind`` m/s on each
    level axis, moves the body as if it flew so much slower through the air.  The matrix exponential to the sixth order with the
    gradient halfway (Magnus, second order).
    """
    n, w = len(x), EARTH_OMEGA
    A = np.zeros((n, WIDTH, WIDTH))
    A[:, _P, _V] = np.eye(3)
    A[:, _V, _P] = _gravity_gradient(x[:, :3]) + np.diag([w * w, w * w, 0.0])
    A[:, 3, 4], A[:, 4, 3] = 2.0 * w, -2.0 * w
    A[driven, _V, _A] = np.eye(3)
    speed, rate, steep, bend = _drag(x, beta)
    rate, v = np.where(driven, 0.0, rate), x[:, 3:]
    unit, up = v / np.maximum(speed, 1e-9)[:, None], x[:, :3] / np.linalg.norm(x[:, :3], axis=1, keepdims=True)
    A[:, _V, _P] -= (rate * steep)[:, None, None] * v[:, :, None] * up[:, None, :]
    slope = rate[:, None, None] * (np.eye(3) + (1.0 + bend)[:, None, None] * unit[:, :, None] * unit[:, None, :])
    A[:, _V, _V] -= slope
    lat, lon, _ = frames.geodetic(x)
    A[:, _V, _W] = wind * slope @ np.swapaxes(frames.enu_axes(lat, lon)[:, :2], 1, 2)
    A[:, _V, _B] = rate[:, None] * v
    A *= dt[:, None, None]
    F = np.broadcast_to(np.eye(WIDTH), A.shape).copy()
    for order in range(6, 0, -1):
        F = np.eye(WIDTH) + A @ F / order
    return F


def _gravity_gradient(position: np.ndarray, h: float = 1e3) -> np.ndarray:
    """Derivative (n, 3, 3) of J2 gravitation by position, from central differences (2e-8 of it)."""
    columns = []
    for move in h * np.eye(3):
        high, low = np.empty((len(position), 3)), np.empty((len(position), 3))
        limits.gravitations(position + move, high)
        limits.gravitations(position - move, low)
        columns.append((high - low) / (2.0 * h))
    return np.stack(columns, axis=2)


def _drag(x: np.ndarray, beta: float, h: float = 50.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Speed m/s, deceleration over speed 1/s, its relative change with height 1/m, and that of the drag coefficient with the
    logarithm of the speed, each (n,)."""
    speed, out = np.linalg.norm(x[:, 3:], axis=1), np.empty((len(x), 3))
    limits.brakings(frames.altitude(x), speed, h, out)
    return speed, out[:, 0] / beta, out[:, 1], out[:, 2]


def process_noise(x, dt, driven, beta: float, noise: float = 1.0) -> np.ndarray:
    """Process noise (n, 12, 12) of `filters` over ``dt (n,)`` s: jerk where ``driven``, else ``noise`` times that of a fall."""
    speed, rate, _, _ = _drag(x, beta)
    way, slowing = x[:, 3:] / np.maximum(speed, 1e-9)[:, None], (rate * speed)[:, None, None] ** 2
    t, push, axes = dt[:, None, None], driven[:, None, None], np.eye(3)
    q = noise * (
        (filters.COAST_ACCELERATION + filters.TRIM * slowing) * axes + filters.DRAG_ERROR * slowing * way[:, :, None] * way[:, None, :]
    )
    q, jerk = np.where(push, 0.0, q), np.where(push, filters.JERK * axes, 0.0)
    Q = np.zeros((len(x), WIDTH, WIDTH))
    shared = (_P, _P, jerk * t**5 / 20 + q * t**3 / 3), (_P, _V, jerk * t**4 / 8 + q * t**2 / 2), (_V, _V, jerk * t**3 / 3 + q * t)
    for row, column, block in (*shared, (_P, _A, jerk * t**3 / 6), (_V, _A, jerk * t**2 / 2), (_A, _A, jerk * t)):
        Q[:, row, column] = Q[:, column, row] = block
    felt = rate * speed / (rate * speed + motions.FELT)
    curve = np.where(speed < motions.HYPERSONIC, filters.CURVE * rate, 0.0)
    Q[:, _B, _B] = np.where(driven, 0.0, noise * (filters.LOG_BETA_RATE * felt + curve) * dt)
    return Q


def bound(
    truth: Truth, scenario: Any, node: str | None = None, sensors: Sequence[str] | None = None, object: int = 0, seed: int = 0,
    detections: Detections | None = None, noise: float = 1.0, model: str = "filter",
) -> Bound:  # fmt: skip
    """The posterior Cramer-Rao bound of one object's position and velocity for what one node's own sensors can tell.

    ``node`` "KOR", "JPN", "USA": that nation's sensors; "HUB" or None: all, at once and without delay; ``sensors``: these
    names instead.  With ``detections`` the bound is conditional on the plots that were made of the object (their times,
    sensors and sigmas; false plots and wrong associations cost it nothing).  Without, it is the bound of expected
    information: every sensor that is on station under ``seed`` looks when `simulate.detect` has it look, uncued, and
    each look counts with its probability of a plot and the accuracy of the mean plot.  By convexity that is
    below the mean over all detection sequences, whatever their dependence, and far below it where plots are few.

    To position and velocity come an acceleration while the object burns or glides, ln(ballistic coefficient) and a steady wind
    (`kernels.motions.WIND`) in free flight; where one regime ends its component is marginalised, and the other's starts from its prior
    in `filters`.  ``noise`` scales the variances of what free flight leaves to chance, its process noise and the wind: 1 bounds
    filters that believe in both, on a flight as `populations` draws them; 0 is the limit for a true fall in calm air, as `fly`
    makes it.

    ``model="true"`` bounds who knows the true equations of motion and lacks their parameters alone: launch point and time,
    pitch-over, thrust, mass flow, burn times, drag, lift, with the weak prior in `sensitivity`; nothing else is random
    (``noise`` counts as 0) but the pushes on stages whose thrust is off its plan (`roughness`), so plots of the boost help in the
    fall.  Spent stages and fragments fall with an unknown state.

    Raises `CopfuseError` for an object, node, sensor or model that does not exist, and with ``model="true"`` for a missile
    whose flight follows no plan.
    """
    if model not in MODELS:
        raise CopfuseError(f"bound: there is no model {model!r}; {suggestion(model, MODELS)}")
    handed("bound", truth=(truth, Truth))
    handed_scenario("bound", scenario)
    path = truth[truth.object == object]
    if len(path) < 2:
        raise CopfuseError(f"the truth has no path of object {object!r}; its objects are {np.unique(truth.object).tolist()}")
    chosen, label = _chosen(scenario, node, sensors)
    if detections is None:
        time, told = informing.expected(path, truth.meta["objects"][object], scenario, chosen, seed)
    else:
        time, told = informing.made(path, detections[detections.object == object], scenario, chosen)
    if len(time) == 0:
        return Bound(np.zeros(0), np.zeros((0, 6, 6)), label)
    grid, gained = on_a_grid(path, time, told)
    about = truth.meta["objects"][object]
    if model == "true" and about.get("kind", "missile") == "missile":
        plan, begin = _planned(path, about, scenario)
        phi, most = _sloped(plan, begin, grid), sensitivity.burnt(plan, begin, grid)
        sigma, pushed = sensitivity.prior(plan), roughness.driven(plan, begin, grid)
        known = phi, gained, sigma, most
        return Bound(grid, roughness.lowest(*known, pushed) if pushed else sensitivity.lowest(*known), label)
    return Bound(grid, seen(carried(steps(path, grid, noise if model == "filter" else 0.0), gained)), label)


def _planned(path: Truth, about: dict[str, Any], scenario: Any) -> tuple[motion.Plan, float]:
    """The plan that a missile's truth was flown from, and when it was launched."""
    number, name = about.get("launch", -1), about["name"]
    launch = scenario.launches[number] if 0 <= number < len(scenario.launches) else None
    if launch is None or launch.kind == "recorded":
        what = "a recorded one" if launch else "none of the scenario's"
        raise CopfuseError(f"bound: model 'true' needs a planned flight, and {name!r} is {what}; model 'filter' would do")
    flown = _flown(replace(launch, separate=False, debris=0))
    x = motion.interpolate(flown.time + launch.at, flown.x, path.time)
    if flown.plan is None or not np.abs(x - path.x)[:, _P].max() < SAME:
        raise CopfuseError(f"bound: the truth of {name!r} is no flight of {scenario.name}; pass the scenario that it flew in")
    return flown.plan, launch.at


@lru_cache(maxsize=4)
def _flown(launch: Any) -> motion.Trajectory:
    """The flight of a launch's missile, which the bounds of all nodes ask for."""
    return simulate.trajectories(launch)[0][0]


_slopes: list[tuple[motion.Plan, float, np.ndarray, np.ndarray]] = []  # those that were flown last: of what, when, at which times


def _sloped(plan: motion.Plan, begin: float, grid: np.ndarray) -> np.ndarray:
    """`sensitivity.slopes`: those that were flown last where they have all these times, as a hub's have its nations', which is the same to
    the bit."""
    for known, since, time, phi in _slopes:
        at = np.searchsorted(time, grid).clip(max=len(time) - 1)
        if known is plan and since == begin and np.array_equal(time[at], grid):
            return phi[at]
    phi = sensitivity.slopes(plan, begin, grid)
    _slopes[:] = [(plan, begin, grid, phi)]
    return phi


def _chosen(scenario: Any, node: str | None, names: Sequence[str] | None) -> tuple[list[Any], str]:
    """The sensors whose plots count, and what to call them."""
    if names is not None:
        known = {s.name: s for s in scenario.sensors}
        for name in names:
            if name not in known:
                raise CopfuseError(f"bound: there is no sensor {name!r} in {scenario.name}; {suggestion(name, known)}")
        return [known[name] for name in dict.fromkeys(names)], "+".join(dict.fromkeys(names))
    if node is not None and node not in NODES:
        raise CopfuseError(f"bound: there is no node {node!r}; {suggestion(node, NODES)}")
    everyone = node in (None, "HUB")
    return [s for s in scenario.sensors if everyone or s.nation == node], node or "HUB"


def on_a_grid(path: Truth, time: np.ndarray, information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times no further apart than STEP, changes of phase among them, and the information gained at each (n, 6, 6)."""
    first, last = float(time.min()), float(path.time[-1])
    between = np.concatenate([path.time[1:][np.diff(path.phase) != 0], STEP * np.arange(np.floor(first / STEP), np.ceil(last / STEP))])
    grid = np.unique(np.concatenate([time, between[(between > first) & (between < last)], [last]]))
    gained = np.zeros((len(grid), 6, 6))
    np.add.at(gained, np.searchsorted(grid, time), information)
    return grid, gained


class Steps(NamedTuple):
    """How one row of a grid follows from the one before it: transition ``F`` and noise ``Q`` (n - 1, 12, 12), ``driven (n - 1,)``."""

    F: np.ndarray
    Q: np.ndarray
    driven: np.ndarray


def steps(path: Truth, grid: np.ndarray, noise: float) -> Steps:
    """The filters' model of motion along a path between the times of a grid (n,); ``noise`` as in `bound`."""
    halfway, dt = 0.5 * (grid[1:] + grid[:-1]), np.diff(grid)
    driven = np.isin(informing.phase_at(path, halfway), (BOOST, GLIDE))
    x, beta = motion.interpolate(path.time, path.x, halfway), effective_beta(path)
    return Steps(transitions(x, dt, driven, beta, motions.WIND * noise**0.5), process_noise(x, dt, driven, beta, noise), driven)


def carried(step: Steps, gained: np.ndarray, first: int = 0, before: np.ndarray | None = None) -> np.ndarray:
    """Covariances (m, 12, 12) at rows ``first``, ``first + 1``, ... of a grid, information ``gained (m, 6, 6)`` at each of them included.

    ``before (12, 12)`` is that of the row before ``first``; of row 0, what is known beforehand.
    """
    prior = np.r_[np.repeat(np.square(PRIOR), 3), np.full(3, filters.ACCELERATION_SIGMA**2), filters.LOG_BETA[1] ** 2, 1.0, 1.0]
    out = np.empty((len(gained), WIDTH, WIDTH))
    start = np.diag(prior) if before is None else np.array(before, order="C")
    limits.carried(*step, np.ascontiguousarray(gained), first, start, prior, out)
    return out


def seen(P: np.ndarray) -> np.ndarray:
    """Position and velocity (n, 6, 6) of covariances (n, 12, 12)."""
    return 0.5 * (P + P.transpose(0, 2, 1))[:, :6, :6]


def effective_beta(path: Truth) -> float:
    """The ballistic coefficient kg/m^2 that fits best, by least squares, the deceleration of a path's free flight in the air."""
    dt, middle = np.diff(path.time), 0.5 * (path.time[1:] + path.time[:-1])
    x = motion.interpolate(path.time, path.x, middle)
    rows = (dt > 0.05) & ~np.isin(informing.phase_at(path, middle), (BOOST, GLIDE)) & (frames.altitude(x) < REENTRY_ALTITUDE)
    x, push = x[rows], (np.diff(path.x[:, 3:], axis=0)[rows].T / dt[rows]).T
    fall = np.empty((len(x), 3))
    limits.free_accelerations(x, fall)
    speed, rate, _, _ = _drag(x, 1.0)
    pressure, braking = rate * speed, -np.einsum("ni,ni->n", push - fall, x[:, 3:]) / np.maximum(speed, 1e-9)
    best = float(pressure @ braking) / max(float(pressure @ pressure), 1e-300)
    return 1.0 / best if best > 1e-6 else float(np.exp(filters.LOG_BETA[0]))
