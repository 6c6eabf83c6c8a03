"""`population`: flights drawn from what filters and forecasts believe, so that their regions are judged on what they describe.

A 95 % region from a prior holds 95 % of the population that the prior describes, not of draws of one and the same body.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from copfuse import filters
from copfuse.constants import GLIDE
from copfuse.kernels import flight, motions
from copfuse.roughness import SLOW, SWAY
from copfuse.scenario import Scenario
from copfuse.tables import Truth

FASTEST = 10.0  # fastest of a process's tones, over its memory
DRAWN = "each seed flies a draw of what filters believe: ballistic coefficient, drag curve, attitude and wind of falls, thrust in boost"
SAME = "each seed flies the same truth: bodies with lift and recorded flights are not drawn"


def population(scenario: Scenario, truth: Truth, seed: int) -> Scenario:
    """The scenario with one draw of flights.  Per launch, all independent:

    - ln of the ballistic coefficient after burnout: normal, `filters.LOG_BETA`;
    - while a stage burns, thrust off its plan by `filters.STEERING` on three axes (0.32 m/s^2 on each for a second: of a thrust of 25 m/s^2
      a degree across in all and 1 % along) and slowly along it by `filters.THRUST_JERK` (0.27 m/s^2, 1 %, for half a minute);
    - in the fall a drag curve over the Mach number off the common one (`filters.CURVE`), an attitude that wanders (`filters.DRAG_ERROR`,
      `filters.TRIM`), and a wind, the same all the way down (`kernels.motions.WIND`).

    The last two as `unsteady` draws them.  The pitch-over begins so that the velocity at burnout keeps its direction (`motion.aimed`);
    place, burn times, mean thrust and mass flow are the scenario's.  Not drawn, though the filters allow for it: mass flow
    (`filters.FLOW_RATE`), a boost's drag (`filters.LIFT_SHARE`) and wind in boost.  Bodies with lift and recorded flights stay as they
    are.
    """
    launches = []
    for number, launch in enumerate(scenario.launches):
        lifts = (truth.phase[np.isin(truth.object, _of_launch(truth, number))] == GLIDE).any()
        stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, zlib.crc32(f"{launch.name} beta".encode())])))
        beta = float(np.exp(filters.LOG_BETA[0] + filters.LOG_BETA[1] * stream.standard_normal()))
        launches.append(launch if lifts or launch.kind == "recorded" else replace(launch, beta=beta, unsteady=unsteady(stream)))
    return replace(scenario, launches=tuple(launches))


def told(scenario: Scenario, truth: Truth) -> str:
    """One line on what the seeds of a scenario fly."""
    return SAME if population(scenario, truth, 0) == scenario else DRAWN


def unsteady(stream: np.random.Generator) -> tuple[float, ...]:
    """How the forces on one missile differ from those of its stages and ballistic coefficient, as `kernels.flight` takes it.

    Its own drag curve is a random walk over ln(Mach) of variance `filters.CURVE`.  The attitude of what falls changes the drag along
    (`filters.DRAG_ERROR`, `filters.TRIM`) and makes forces across (`filters.TRIM`); a stage's thrust is off on every axis
    (`filters.STEERING`): Ornstein-Uhlenbeck processes of `SWAY` s that are such white noise in the long run.  Slowly along the thrust one
    of `SLOW` s is such a walk as `filters.THRUST_JERK` in the short run, and bounded in the long.  As sums of tones of equal strength whose
    frequencies are spread as such a process's power is.
    """
    walk = np.sqrt(filters.CURVE * flight.KNOT) * np.cumsum(stream.standard_normal(flight.KNOTS))
    attitude = np.sqrt(np.array([filters.DRAG_ERROR + filters.TRIM, filters.TRIM]) / (2.0 * SWAY))
    falling = _tones(stream, 3)
    rough = np.sqrt([filters.STEERING / (2.0 * SWAY), filters.THRUST_JERK * SLOW / 2.0])
    burning = _tones(stream, flight.PUSHES)
    burning[-1, :, 0] *= SWAY / SLOW
    wind = motions.WIND * stream.standard_normal(2)
    return tuple(np.concatenate([walk, attitude, wind, rough, falling.ravel(), burning.ravel()]).tolist())


def _tones(stream: np.random.Generator, axes: int) -> np.ndarray:
    """Frequencies, rad/s, and phases (axes, `flight.TONES`, 2) of processes with a memory of `SWAY` s."""
    share = (np.arange(flight.TONES) + stream.random((axes, flight.TONES))) / flight.TONES
    rate = np.minimum(np.tan(0.5 * np.pi * share), FASTEST) / SWAY
    return np.stack([rate, stream.uniform(0.0, 2.0 * np.pi, rate.shape)], axis=2)


def _of_launch(truth: Truth, number: int) -> list[int]:
    return [k for k, about in enumerate(truth.meta["objects"]) if about.get("launch") == number]
