"""What random pushes of an engine add to the bound by the true equations of motion (`sensitivity`).

While a stage burns its thrust is off the plan by accelerations that nobody knows beforehand (`kernels.flight.rough`): Ornstein-Uhlenbeck
processes, one along the thrust and two across it with a memory of `SWAY`, and a slow one along it with one of `SLOW`.  The state is then
what the plan's parameters make of it, and a deviation that the pushes drive: y = (deviation, pushes) follows
y' = A(t) y + white noise around the true flight, independently of the parameters beforehand.  The bound is that of parameters and y
together (a posterior bound of a state with random constants: Tichavsky et al., IEEE T-SP 46(5), 1998, sec. IV; Van Trees 1968,
sec. 2.4), linear and Gaussian given the flight, so that it is the Kalman filter's covariance; kept as a root of information (Bierman,
Factorization Methods for Discrete Sequential Estimation, 1977, ch. V-VII), because parameters are nearly collinear.
That a population aims its pitch-over by the pushes (`motion.aimed`) is left out: the kick's prior is far wider than that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import expm

from copfuse import motion, sensitivity
from copfuse.kernels import flight, limits, motions
from copfuse.motion import Plan

SWAY, SLOW = motions.SWAY, 30.0  # s, memory of attitude and thrust; and of what a thrust wanders slowly
MEMORY = np.array([SWAY, SWAY, SWAY, SLOW])
STEP = 1.0  # s, the most that one transition spans
EXACT = 1e-3  # m and m/s, standard deviation of the deviation at ignition, so that it has a finite information
HALF = np.array([10.0, 10.0, 10.0, 0.1, 0.1, 0.1])  # m, m/s: half of the differences that rates are asked for
_D = slice(0, 6)  # the deviation's place in y


class Driven(NamedTuple):
    """How y follows from row to row of a grid of n times: ``F (n - 1, d, d)``, roots ``L (n - 1, d, d)`` of its noise, and its covariance
    ``P (d, d)`` at the first row, before any plot; d is 6 and the number of pushes."""

    F: np.ndarray
    L: np.ndarray
    P: np.ndarray


def sizes(plan: Plan) -> np.ndarray:
    """Standard deviations (4,) m/s^2 of the pushes on a plan's stages: along, across twice, slowly along."""
    if not plan.unsteady:
        return np.zeros(flight.PUSHES)
    fast, slow = plan.unsteady[flight.ROUGH - flight.PARAMETERS : flight.SWAY - flight.PARAMETERS]
    return np.array([fast, fast, fast, slow])


def driven(plan: Plan, begin: float, time: np.ndarray) -> Driven | None:
    """The deviation of a plan's flight, launched at ``begin`` s, at ascending ``time (n,)`` s; None where nothing pushes."""
    size = sizes(plan)
    some = np.flatnonzero(size)
    if len(some) == 0:
        return None
    early = np.arange(begin, time[0], STEP)
    grid = np.concatenate([early, time])
    F, Q = moves(plan, begin, grid, size, some)
    P = np.diag(np.concatenate([np.full(6, EXACT**2), size[some] ** 2]))
    for k in range(len(early)):
        P = F[k] @ P @ F[k].T + Q[k]
    return Driven(F[len(early) :], roots(Q[len(early) :]), P)


def moves(plan: Plan, begin: float, grid: np.ndarray, size: np.ndarray, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Transitions and noise (n - 1, d, d) of y between the times of a grid (n,), by Van Loan's exponential (IEEE T-AC 23(3), 1978) of the
    rates halfway; ``size`` and ``some`` as of `driven`."""
    dt, halfway = np.diff(grid), 0.5 * (grid[1:] + grid[:-1]) - begin
    d = 6 + len(some)
    slope, push = rates(plan, halfway, motion.states(plan, halfway))
    F, noise = np.tile(np.eye(d), (len(dt), 1, 1)), np.zeros((len(dt), d, d))
    lasts = halfway < motion._burns(plan)[-1, 1]  # after that pushes push nothing, and stay as they are
    F[~lasts, _D, _D] = _exponential(slope[~lasts] * dt[~lasts, None, None])
    A, Q = np.zeros((int(lasts.sum()), d, d)), np.zeros((d, d))
    A[:, _D, _D], A[:, 3:6, 6:] = slope[lasts], push[lasts][:, :, some]
    Q[6:, 6:] = np.diag(2.0 * size[some] ** 2 / MEMORY[some])
    A[:, 6:, 6:] = -np.diag(1.0 / MEMORY[some])
    whole = np.zeros((len(A), 2 * d, 2 * d))
    whole[:, :d, :d], whole[:, d:, d:], whole[:, :d, d:] = -A, np.swapaxes(A, 1, 2), Q
    both = expm(whole * dt[lasts, None, None])
    F[lasts] = np.swapaxes(both[:, d:, d:], 1, 2)
    noise[lasts] = F[lasts] @ both[:, :d, d:]
    return F, 0.5 * (noise + np.swapaxes(noise, 1, 2))


def _exponential(A: np.ndarray) -> np.ndarray:
    """Exponentials of matrices (n, 6, 6) of norm 2 at most, to rounding: the series of a quarter of each, squared twice."""
    F = np.tile(np.eye(A.shape[1]), (len(A), 1, 1))
    for order in range(14, 0, -1):
        F = np.eye(A.shape[1]) + 0.25 * A @ F / order
    return (F @ F) @ (F @ F)


def rates(plan: Plan, time: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives (n, 6, 6) of the rates of a plan's flight by the states ``x (n, 6)`` at ``time (n,)`` s from ignition, and directions
    (n, 3, 4) of its pushes, 0 where nothing burns."""
    slope, push = np.zeros((len(time), 6, 6)), np.zeros((len(time), 3, flight.PUSHES))
    flown = plan.lift < 0.0, motion._burns(plan), motion._vector(plan, motion.FINE, False, True), plan.beta
    limits.rates(np.asarray(time, float), np.ascontiguousarray(x), *flown, HALF, slope, push)
    return slope, push


def roots(Q: np.ndarray) -> np.ndarray:
    """L (n, d, d) with L L' = Q (n, d, d), which may be singular."""
    value, vector = np.linalg.eigh(Q)
    return vector * np.sqrt(np.maximum(value, 0.0))[:, None, :]


def lowest(phi: np.ndarray, gained: np.ndarray, sigma: np.ndarray, most: np.ndarray, pushed: Driven) -> np.ndarray:
    """`sensitivity.lowest` of a flight that is ``pushed``, too: covariance (n, 6, 6) of the state at each of n times."""
    d, n = pushed.P.shape[0], pushed.P.shape[0] + len(sigma)
    seen = np.zeros((len(phi), 6, n))  # the state by (y, parameters over their prior's standard deviations)
    seen[:, :, _D], seen[:, :, d:] = np.eye(6), phi * sigma
    R = np.eye(n)
    R[:d, :d] = np.linalg.qr(np.linalg.inv(np.linalg.cholesky(pushed.P)), mode="r")
    return sensitivity.from_root(R, np.linalg.inv(pushed.F), pushed.L, seen, gained, sensitivity.sharpened(sigma, most))
