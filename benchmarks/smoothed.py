"""The smoothed Cramer-Rao bound of a whole flight: all its plots, before and after, of who knows the equations of motion and lacks
their parameters (`sensitivity.slopes`), given when and how sharply the plots were made."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from copfuse import families, frames, informing, motion, sensitivity
from copfuse import sensors as sensing
from copfuse.batch import gather, miss
from copfuse.kernels import flight
from copfuse.kernels.arc import through
from copfuse.scenario import Scenario
from copfuse.tables import Detections
from copfuse.vehicles import GAP

TURN, BETA, STAGES, HEAVY = 5, 6, 7, 3  # places among a plan's parameters (`sensitivity.prior`); the last one within a stage's four


class Flow:
    """Derivatives of a plan's states by its parameters: after burnout by the state just then and the ballistic coefficient, and those by
    the parameters.

    In one go the bound of an apogee 6000 km up, known to centimetres, would be lost in the rounding of slopes of 10 000 km.
    """

    def __init__(self, plan: motion.Plan, begin: float) -> None:
        self.plan, self.begin = plan, begin
        self.burnt = begin + sum(s.burn for s in plan.stages) + GAP * (len(plan.stages) - 1) + 0.1
        at = np.array([self.burnt])
        own = np.eye(len(sensitivity.prior(plan)))[BETA]
        self.first = np.vstack([sensitivity.slopes(plan, begin, at)[0] * (own == 0.0), own])
        self.x = motion.states(plan, at - begin)[0]

    def slopes(self, time: np.ndarray) -> np.ndarray:
        """Derivatives (n, 6, k) at ascending times (n,) s."""
        late = time > self.burnt
        out = np.empty((len(time), 6, self.first.shape[1]))
        if not late.all():
            out[~late] = sensitivity.slopes(self.plan, self.begin, time[~late])
        if late.any():
            model, u = families.free(self.burnt), np.r_[self.x, math.log(self.plan.beta)]
            out[late] = model.slopes(lambda v: self._fallen(model, v, time[late]), u) @ self.first
        return out

    @staticmethod
    def _fallen(model: families.Model, u: np.ndarray, time: np.ndarray) -> np.ndarray:
        x = np.empty((len(time), 6))
        *start, p = model.of(u)
        p[flight.STEP_AIR : flight.STEP_COAST + 1] = motion.FINE[1], 1.0
        through(*start, p, time, x)
        return x


@dataclass(frozen=True)
class Limit:
    """What a plan's flight was, and a root (k, k) of the lowest covariance of its parameters given all plots.

    ``error (k)``: what the estimator that has that covariance makes of the noise of just these plots.  It is linear about the truth,
    which it has to know; beside it, a fit's error shows how much of it is chance.
    """

    plan: motion.Plan
    begin: float
    root: np.ndarray
    flown: motion.Trajectory
    flow: Flow
    error: np.ndarray


def limit(plan: motion.Plan, begin: float, detections: Detections, scenario: Scenario, sigma: np.ndarray, off: np.ndarray) -> Limit:
    """The bound of the parameters of a plan's flight; ``sigma (k)`` of the prior, whose mean is ``off (k)`` from the plan's, and
    ``detections`` of this flight alone."""
    flow = Flow(plan, begin)
    plots = gather(detections, scenario, np.arange(len(detections)), False)
    when, row = np.unique(detections.time, return_inverse=True)
    phi, x = flow.slopes(when), motion.states(plan, when - begin)
    weight = np.where(plots.have, 1.0 / plots.sigma, 0.0)
    rows, noise = np.empty((len(weight), 4, len(sigma))), weight * miss(plots, x[row])
    for k in np.unique(plots.sensor):
        mine, sensor = np.flatnonzero(plots.sensor == k), scenario.sensors[k]
        H = informing.jacobian(x[row[mine]], *sensing.place(sensor, plots.time[mine]), sensor.cosines)
        rows[mine] = weight[mine, :, None] * (np.nan_to_num(H) @ phi[row[mine]])
    Q, R = np.linalg.qr(np.vstack([np.eye(len(sigma)), rows.reshape(-1, len(sigma)) * sigma]))
    error = sigma * np.linalg.solve(R, Q.T @ np.r_[off / sigma, noise.ravel()])
    return Limit(plan, begin, sigma[:, None] * np.linalg.inv(R), motion.launch(plan), flow, error)


def outcomes(lim: Limit) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """True value and derivatives by the plan's parameters of what `reconstruct` reports; points in m east and north of the truth."""
    plan, begin, flown = lim.plan, lim.begin, lim.flown
    k = len(lim.root)
    unit = np.eye(k)
    burns = [7 + 4 * i + 2 for i in range(len(plan.stages))]
    burnt = unit[2] + sum(s.burn * unit[i] for s, i in zip(plan.stages, burns, strict=True))
    top = int(flown.altitude.argmax())
    at = np.array([flown.time[top], flown.time[-1]]) + begin
    phi, x = lim.flow.slopes(at), flown.x[[top, -1]]
    gradient, steep = _climb(x[0])
    pace = motion.states(plan, at[:1] - begin + np.array([0.5])) - motion.states(plan, at[:1] - begin - 0.5)
    late = -(steep @ phi[0]) / float(steep @ pace[0])
    apex = at[:1] - _rate(x[0]) / float(steep @ pace[0])  # rows about an apex are equally high to rounding
    up, _ = _climb(x[1])
    down = -(up @ phi[1]) / float(up[:3] @ x[1, 3:])
    level = frames.enu_axes(*(v[0] for v in frames.geodetic(x[1])[:2]))[:2]
    total = begin + sum(s.burn for s in plan.stages) + GAP * (len(plan.stages) - 1)
    return {
        "launch point": (np.zeros(2), unit[:2]),
        "launch time": (np.array([begin]), unit[2:3]),
        "burnout": (np.array([total]), burnt[None]),
        "apogee": (flown.altitude[top : top + 1], (gradient @ phi[0])[None]),
        "apogee time": (apex, late[None]),
        "impact point": (np.zeros(2), level @ (phi[1, :3] + np.outer(x[1, 3:], down))),
        "impact time": (at[1:], down[None]),
    }


def _rate(x: np.ndarray) -> float:
    """How fast a state's height grows, m/s."""
    return float(frames.altitude(x[None, :3] + 0.5 * x[None, 3:])[0] - frames.altitude(x[None, :3] - 0.5 * x[None, 3:])[0])


def _climb(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients (6) of the height and of its rate by a state."""

    moves = np.diag(np.repeat([10.0, 0.1], 3))
    high = [frames.altitude((x + m)[None, :3])[0] - frames.altitude((x - m)[None, :3])[0] for m in moves]
    rates = [_rate(x + m) - _rate(x - m) for m in moves]
    size = 2.0 * moves.sum(axis=1)
    return np.array(high) / size, np.array(rates) / size
