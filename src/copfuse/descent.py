"""Least squares down long, narrow, curved valleys: Levenberg's and Marquardt's steps that stay on the valley's floor.

A boost's parameters are nearly collinear, and a step along the one direction that plots hardly tell leaves the floor by the
valley's curvature long before it is as long as a standard deviation.  So one Jacobian serves a few steps (the chord method:
Kelley, Iterative Methods for Linear and Nonlinear Equations, 1995, sec. 5.4.1): the first goes along the valley, the next
bring back to the floor, each for the price of one flight where a Jacobian costs two for every parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

CHORDS = 5  # steps at most with one Jacobian
BACK = 0.03  # a step back to the floor that changes residuals by less in all ends them
REFUSALS = 9  # times a step is shortened
DAMP, LEAST = 1e-3, 1e-10  # at first, and ever
FREE = 1e-4  # a step that was damped less than ten times this was not held


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
    ``worth``; unless ``held``, only if it was not short for being damped.
    """
    r = problem.residuals(u)
    cost, weight = problem.weigh(r)
    damp = DAMP
    for _ in range(tries):
        J = problem.slopes(u)
        left = J * weight[:, None]
        scale = np.linalg.norm(left, axis=0) + 1e-30
        left /= scale
        R = np.asarray(np.linalg.qr(left, mode="r"))
        for _ in range(REFUSALS):
            found = _along(problem, (u, r, cost), weight, left, R, scale, damp)
            if found[2] < cost:
                break
            damp = max(10.0 * damp, 1e-8)
        else:
            break
        gone, gained = float(np.linalg.norm(R @ (scale * (found[0] - u)))), cost - found[2]
        u, r, cost = found
        weight, damp = problem.weigh(r)[1], max(0.1 * damp, LEAST)
        if (gone < settled or gained < worth) and (held or damp < FREE):
            break
    return u, J, r, cost


def _along(
    problem: Problem, start: tuple[np.ndarray, np.ndarray, float], weight: np.ndarray, left: np.ndarray, R: np.ndarray, scale, damp: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """The best of a few damped steps with one Jacobian, ``left`` (weighted, scaled) with triangular factor R: u, r, cost."""
    factor = np.linalg.qr(np.vstack([R, np.sqrt(damp) * np.eye(len(scale))]), mode="r")
    (u, r, _), best = start, start
    gone = np.zeros(len(scale))
    for k in range(CHORDS):
        pull = left.T @ (weight * r) + damp * gone
        move = -solve_triangular(factor, solve_triangular(factor, pull, trans="T"))
        move /= max(1.0, float((np.abs(move / scale) / problem.reach).max()))
        u, gone = u + move / scale, gone + move
        r = problem.residuals(u)
        cost, _ = problem.weigh(r)
        if cost < best[2]:
            best = u, r, cost
        elif k and not cost < 4.0 * best[2]:
            break
        if np.linalg.norm(R @ move) < BACK:
            break
    return best
