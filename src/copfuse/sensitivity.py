"""How a planned flight depends on the parameters of its plan, and what plots can tell of it at best.

A planned flight is a deterministic function of a few parameters: launch point and time, the kick and duration of the
pitch-over, each stage's thrust, mass flow, burn time and ballistic coefficient, that of the body that falls and, where it
lifts, how much and until which speed.  With the Jacobian of the states by the parameters the Cramer-Rao bound of the
parameters given the plots so far (Van Trees 1968, sec. 2.4, with a Gaussian prior) becomes one of the state.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from copfuse import frames, motion
from copfuse.motion import Plan
from copfuse.vehicles import GAP, Stage

# Standard deviations of what is believed of a plan beforehand, *notional* and weak: logarithms but for site, time and kick
SITE, TIME, KICK = 200e3, 100.0, 0.5  # m, s, rad
TURN, THRUST, TAU, BURN, HEAVY, BETA, LIFT, DIVE = 0.4, 0.3, 0.3, 0.4, 0.5, 0.5, 0.5, 0.2
CHANGE = 2e-7  # of a logarithm, and rad, for differences


def prior(plan: Plan) -> np.ndarray:
    """Standard deviations (k) of a plan's parameters beforehand.

    East, north m, time s, kick east, north rad, ln turn, ln beta, where the plan lifts ln lift and ln dive; then per stage
    ln thrust, ln tau, ln burn time, ln ballistic coefficient at ignition.
    """
    lifts = [LIFT, DIVE] if plan.lift > 0.0 else []
    return np.array([SITE, SITE, TIME, KICK, KICK, TURN, BETA, *lifts, *[THRUST, TAU, BURN, HEAVY] * len(plan.stages)])


def moved(plan: Plan, du: np.ndarray) -> Plan:
    """The plan with its parameters (see `prior`) moved by ``du (k)``; a move of the launch time is not the plan's."""
    radius = float(np.linalg.norm(frames.ecef(plan.lat, plan.lon, 0.0)))
    lat, lon = plan.lat + du[1] / radius, plan.lon + du[0] / (radius * np.cos(plan.lat))
    kick = plan.kick[0] + du[3], plan.kick[1] + du[4]
    longer, rest = np.exp(du[5]), list(np.exp(du[6:]))
    beta = plan.beta * rest.pop(0)
    lift, dive = (plan.lift * rest.pop(0), plan.dive * rest.pop(0)) if plan.lift > 0.0 else (plan.lift, plan.dive)
    stages = []
    for stage, (thrust, tau, burn, heavy) in zip(plan.stages, np.reshape(rest, (-1, 4)), strict=True):
        stages.append(Stage(stage.burn * burn, stage.thrust * thrust, stage.tau * tau, stage.heavy * heavy))
    rise, pitch, blend = (float(t * longer) for t in plan.turn)
    return replace(
        plan, lat=float(lat), lon=float(lon), stages=tuple(stages), kick=kick, turn=(rise, pitch, blend), beta=beta, lift=lift, dive=dive
    )


def slopes(plan: Plan, begin: float, time: np.ndarray) -> np.ndarray:
    """Derivatives (n, 6, k) of the Earth-fixed state at ascending ``time (n,)`` s by the parameters of a plan launched at ``begin`` s.

    Central differences of whole flights, each integrated to just these times.
    """
    radius = float(np.linalg.norm(frames.ecef(plan.lat, plan.lon, 0.0)))
    step = np.full(len(prior(plan)), CHANGE)
    step[:3] = CHANGE * radius, CHANGE * radius, 1e-4
    columns = []
    for move in np.diag(step):
        ends = [motion.states(moved(plan, way * move), time - begin - way * move[2]) for way in (1.0, -1.0)]
        columns.append((ends[0] - ends[1]) / (2.0 * move.sum()))
    return np.stack(columns, axis=2)


def burnt(plan: Plan, begin: float, time: np.ndarray) -> np.ndarray:
    """The most (n, k) that a standard deviation of a parameter can be at ``time (n,)``, infinite for most.

    An engine that burnt out 0.3 s ago cannot have burnt 5 s longer, which a linear bound does not know by itself: until plots
    have told, the burn time counts as known to as many seconds as have passed since.
    """
    k = len(prior(plan))
    most, end = np.full((len(time), k), np.inf), begin
    for i, stage in enumerate(plan.stages):
        end += stage.burn
        column = k - 4 * len(plan.stages) + 4 * i + 2
        after = time >= end
        most[after, column] = np.maximum(time[after] - end, 1e-3) / stage.burn
        end += GAP
    return most


def lowest(phi: np.ndarray, gained: np.ndarray, sigma: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Covariance (n, 6, 6) of the state at each of n times, plots of that time and before it included.

    ``phi (n, 6, k)``: derivatives of the states by parameters with the prior ``sigma (k)``; ``gained (n, 6, 6)``: information on
    the state; ``most (n, k)`` as of `burnt`.  Parameters are kept as a triangular root of their information, rotated for
    every plot (Bierman 1977), because they are nearly collinear.  A state that depends on fewer than six has a singular one.
    """
    scaled = phi * sigma
    value, vector = np.linalg.eigh(gained)
    rows = np.einsum("na,nia,nik->nak", np.sqrt(np.maximum(value, 0.0)), vector, scaled)
    R = np.eye(len(sigma))
    out = np.empty(gained.shape)
    for k in range(len(phi)):
        if gained[k].any():
            R = _rotated(R, rows[k])
        told = most[k] < sigma
        known = _rotated(R, np.diag(sigma / most[k])[told]) if told.any() else R
        root = np.linalg.solve(known.T, scaled[k].T)
        out[k] = root.T @ root
    return out


def _rotated(R: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.qr(np.vstack([R, rows]), mode="r"))
