"""Least squares down long, narrow, curved valleys: Levenberg's and Marquardt's steps that stay on the valley's floor.

A boost's parameters are nearly collinear, and a step along the one direction that plots hardly tell leaves the floor by the
valley's curvature long before it is as long as a standard deviation.  So steps bend as the valley does (geodesic
acceleration: Transtrum & Sethna, arXiv:1201.5885, 2012), and one Jacobian serves a few of them (the chord method: Kelley,
Iterative Methods for Linear and Nonlinear Equations, 1995, sec. 5.4.1): the first goes along the valley, the next bring
back to the floor, each for the price of one flight where a Jacobian costs two for every parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

CHORDS = 5  # steps at most with one Jacobian
BACK = 0.03  # a step back to the floor that changes residuals by less in all ends them
PROBE = 0.1  # share of a step over which the valley's bend is measured
SHARES = (1.0, 0.4, 0.15)  # of a step that are tried
REFUSALS = 9  # times a step is shortened
# times the mean squared residual, as slopes are worth less far from the floor (Yamashita & Fukushima, Computing Suppl. 15, 2001):
DAMP, LEAST = 1e-9, 1e-14  # at first, and ever
MOST = 1e-3  # at first, however far
MUCH = 20.0  # a step that could lower the cost by so much more than is worth it does not end a fit because it lowered it little


@dataclass(frozen=True, eq=False)
class Problem:
    """``residuals(u) -> (m,)``, ``slopes(u) -> (m, k)``, ``weigh(r) -> cost, (m,)`` weights of residuals; ``reach (k)`` of one step."""

    residuals: Callable[[np.ndarray], np.ndarray]
    slopes: Callable[[np.ndarray], np.ndarray]
    weigh: Callable[[np.ndarray], tuple[float, np.ndarray]]
    reach: np.ndarray


def descend(
    problem: Problem, u: np.ndarray, tries: int, settled: float, worth: float, held: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Parameters (k) at the least, slopes (m, k) where the last step began, residuals (m,), cost.

    Ends after ``tries`` steps, on one that moves the residuals by less than ``settled`` in all or lowers the cost by less than
    ``worth``; unless ``held``, only if no step straight along the slopes could lower it by much more.
    """
    r = problem.residuals(u)
    cost, weight = problem.weigh(r)
    damp = min(DAMP * cost / len(r), MOST)
    for _ in range(tries):
        J = problem.slopes(u)
        left = J * weight[:, None]
        scale = np.linalg.norm(left, axis=0) + 1e-30
        left /= scale
        R = np.asarray(np.linalg.qr(left, mode="r"))
        idle = np.flatnonzero(np.diag(R) == 0.0)
        R[idle, idle] = 1.0  # what nothing depends on stays as it is
        hoped = float(np.linalg.norm(solve_triangular(R, left.T @ (weight * r), trans="T")) ** 2)
        for refused in range(REFUSALS):
            found = _along(problem, (u, r, cost), weight, left, R, scale, damp)
            if found[2] < cost:
                break
            damp = max(10.0 ** (1 + refused // 2) * damp, LEAST)
        else:
            break
        gone, gained = float(np.linalg.norm(R @ (scale * (found[0] - u)))), cost - found[2]
        u, r, cost = found
        weight, damp = problem.weigh(r)[1], max(damp if refused else 0.1 * damp, LEAST * cost / len(r))
        if (gone < settled or gained < worth) and (held or hoped < MUCH * worth):
            break
    return u, J, r, cost


@dataclass(frozen=True, eq=False)
class _Slope:
    """What steps with one Jacobian share: its columns ``left`` (weighted, scaled), triangular factors without and with damping."""

    left: np.ndarray
    R: np.ndarray
    factor: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    damp: float

    def back(self, pull: np.ndarray) -> np.ndarray:
        """The damped step (scaled) that lowers residuals with this gradient."""
        return -np.asarray(solve_triangular(self.factor, solve_triangular(self.factor, pull, trans="T")))

    def short(self, move: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """The step, shortened so that no parameter leaves its reach."""
        return move / max(1.0, float((np.abs(move / self.scale) / reach).max()))


def _along(
    problem: Problem, start: tuple[np.ndarray, np.ndarray, float], weight: np.ndarray, left: np.ndarray, R: np.ndarray, scale, damp: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """The best of a few damped steps with one Jacobian, ``left`` (weighted, scaled) with triangular factor R: u, r, cost.

    The first is straight, or bends with the valley and is shortened until it lowers the cost, whichever leads lower.
    """
    factor = np.asarray(np.linalg.qr(np.vstack([R, np.sqrt(damp) * np.eye(len(scale))]), mode="r"))
    slope = _Slope(left, R, factor, scale, weight, damp)
    u, r, cost = start
    ahead = slope.short(slope.back(left.T @ (weight * r)), problem.reach)
    bent = weight * (problem.residuals(u + PROBE * ahead / scale) - r) / PROBE - left @ ahead
    aside = slope.back(left.T @ bent) / PROBE
    straight = _floored(problem, start, slope, ahead)
    for share in SHARES:
        found = _floored(problem, start, slope, slope.short(share * ahead + share**2 * aside, problem.reach))
        if found[2] < cost:
            return min(straight, found, key=lambda end: end[2])
    return straight


def _floored(
    problem: Problem, start: tuple[np.ndarray, np.ndarray, float], slope: _Slope, gone: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """The best after a step ``gone`` (scaled) and of the steps with the same Jacobian that bring it back to the floor."""
    best, u, move = start, start[0], gone
    for k in range(CHORDS):
        u = u + move / slope.scale
        r = problem.residuals(u)
        cost, _ = problem.weigh(r)
        if cost < best[2]:
            best = u, r, cost
        elif k and not cost < 4.0 * best[2]:
            break
        if np.linalg.norm(slope.R @ move) < BACK:
            break
        move = slope.short(slope.back(slope.left.T @ (slope.weight * r) + slope.damp * gone), problem.reach)
        gone = gone + move
    return best
