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
from copfuse.kernels import limits
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
    return from_root(np.eye(len(sigma)), np.zeros((len(phi), 0, 0)), np.zeros((len(phi), 0, 0)), scaled, gained, sharpened(sigma, most))


def sharpened(sigma: np.ndarray, most: np.ndarray) -> np.ndarray:
    """What ``most`` (n, k), as of `burnt`, tells of parameters over their prior's ``sigma (k)``: 1 over the standard deviation, else 0."""
    return np.where(most < sigma, sigma / most, 0.0)


def from_root(R: np.ndarray, F: np.ndarray, L: np.ndarray, seen: np.ndarray, gained: np.ndarray, sharp: np.ndarray) -> np.ndarray:
    """Covariance (n, 6, 6) of the state from a root ``R (w, w)`` of the information on w unknowns, which is left as it is.

    ``F, L`` (n - 1, d, d), inverse transitions of the first d unknowns and roots of their noise; ``seen (n, 6, w)`` the state by the
    unknowns, ``gained (n, 6, 6)`` the information on it, ``sharp (n, k)`` as of `sharpened` of the last k.
    """
    n, w, k = len(seen), len(R), sharp.shape[1]
    value, vector = np.linalg.eigh(gained)
    weight = np.sqrt(np.maximum(value, 0.0))[:, :, None] * np.swapaxes(vector, 1, 2)
    known = np.hstack([np.zeros((n, w - k)), sharp])
    out, told = np.empty((n, 6, 6)), gained.any(axis=(1, 2))
    arrays = (np.ascontiguousarray(a, float) for a in (F, L))
    limits.lowest(R.copy(), *arrays, L.any(axis=(1, 2)), np.ascontiguousarray(seen), told, weight @ seen, known, out)
    return out
