"""How things fly: staged boost, coast, re-entry, lift; a plan of a flight in, a `Trajectory` out.

The equations stand in `kernels.flight`: a point mass over the rotating WGS-84 Earth with J2, US Standard Atmosphere
1976, a drag coefficient that depends on the Mach number, thrust a0 / (1 - t / tau) per stage (`vehicles`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product

import numpy as np

from copfuse import frames
from copfuse.constants import BOOST, GLIDE, MIDCOURSE, REENTRY_ALTITUDE, TERMINAL
from copfuse.errors import CopfuseError
from copfuse.kernels import flight as kernel
from copfuse.kernels.arc import through
from copfuse.vehicles import FRAGMENT_BETA, FRAGMENT_RCS, GAP, SCATTER, SEPARATION, SHORT, STAGE_BETA, Profile, Stage

LATEST = 9000.0  # s; what has not come down by then does not come down here
LIFT_FELT = 2.0  # m/s^2, notional: lift above this is "sustained" and makes the phase "glide"
FINE = (0.25, 0.25, 0.5)  # s between rows in boost, below 100 km, above it
COARSE = (0.5, 0.5, 5.0)  # s, for searching
MOST_THRUST = 200.0  # m/s^2, notional: no boost has more on average


@dataclass(frozen=True)
class Plan:
    """Everything that decides a flight: site (rad), stages, kick of the pitch-over (east, north; rad from vertical).

    ``unsteady``: how the forces on it differ from those of stages and ballistic coefficient (`kernels.flight`), not at all if empty.
    """

    lat: float
    lon: float
    stages: tuple[Stage, ...]
    kick: tuple[float, float]
    turn: tuple[float, float, float] = SHORT
    beta: float = 5000.0
    lift: float = 0.0
    dive: float = 900.0
    coast_step: float = 0.5
    unsteady: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Rows of one flight: ``time (n,)`` s from ignition, ``x (n, 6)`` Earth-fixed, ``phase (n,)``.

    ``force (n, 3)``: thrust, drag and lift, m/s^2 (nan where a recorded flight cannot tell them apart); ``burnouts``
    the times at which a stage ends; ``landed`` whether the last row is the impact; ``about`` what is worth knowing;
    ``plan`` what was flown, where the flight was launched from a plan.
    """

    time: np.ndarray
    x: np.ndarray
    phase: np.ndarray
    force: np.ndarray
    burnouts: tuple[float, ...] = ()
    landed: bool = True
    about: str = ""
    plan: Plan | None = None

    @cached_property
    def altitude(self) -> np.ndarray:
        """Height above WGS-84 of every row (n,), m."""
        return frames.geodetic(self.x)[2]

    @property
    def apogee(self) -> float:
        """Greatest height of a row, m (the apogee itself is a row)."""
        return float(self.altitude.max())

    @property
    def speed(self) -> np.ndarray:
        """Speed relative to the Earth of every row (n,), m/s."""
        return np.linalg.norm(self.x[:, 3:], axis=1)

    @cached_property
    def downrange(self) -> np.ndarray:
        """Geodesic distance of every row's ground point from the first row's (n,), m."""
        lat, lon, _ = frames.geodetic(self.x)
        return frames.ground_distance_bearing(lat[0], lon[0], lat, lon)[0]

    @property
    def pauses(self) -> list[list[float]]:
        """Begin and end, s, of each time between a stage's burnout and the next one's ignition; none where no plan tells."""
        burns = _burns(self.plan) if self.plan else np.zeros((0, 5))
        return [[float(end), float(begin)] for end, begin in zip(burns[:-1, 1], burns[1:, 0], strict=True)]

    @property
    def flight_time(self) -> float:
        """Seconds from the first row to the last."""
        return float(self.time[-1] - self.time[0])


def _vector(plan: Plan, steps: tuple[float, float, float], sphere: bool, air: bool) -> np.ndarray:
    """The kernel's parameter vector."""
    east, north, up = frames.enu_axes(plan.lat, plan.lon)
    if sphere:
        up = frames.ecef(plan.lat, plan.lon, 0.0)
        up = up / np.linalg.norm(up)
        north = np.cross(up, east)
    p = np.zeros(kernel.PARAMETERS)
    p[kernel.SPHERE], p[kernel.AIR] = sphere, air
    p[kernel.RISE : kernel.BLEND + 1] = plan.turn
    p[kernel.UP : kernel.UP + 3] = up
    p[kernel.KICK : kernel.KICK + 3] = plan.kick[0] * east + plan.kick[1] * north
    p[kernel.BETA], p[kernel.LIFT], p[kernel.DIVE], p[kernel.TURN] = plan.beta, plan.lift, plan.dive, 0.1
    p[kernel.STEP_BOOST : kernel.STEP_COAST + 1] = steps
    p[kernel.LATEST] = LATEST
    return np.append(p, plan.unsteady)


def _burns(plan: Plan) -> np.ndarray:
    """The kernel's stage rows: start, end, thrust, tau, ballistic coefficient."""
    rows, t = [], 0.0
    for stage in plan.stages:
        rows.append([t, t + stage.burn, stage.thrust, stage.tau, stage.heavy])
        t += stage.burn + GAP
    return np.array(rows).reshape(-1, 5)


def _march(state, begin, burns, p, turn=()) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Time, x, force of every row and the kernel's summary."""
    marks = np.array([*sorted({*burns[:, :2].ravel(), *turn}), np.inf])
    rows = 4096
    while True:
        time, x, force, summary = np.empty(rows), np.empty((rows, 6)), np.empty((rows, 3)), np.zeros(3)
        n = kernel.march(np.asarray(state, float), float(begin), burns, marks, p, True, time, x, force, summary)
        if n >= 0:
            return time[:n], x[:n], force[:n], summary
        rows *= 4


def start(plan: Plan, sphere: bool = False) -> np.ndarray:
    """The state (6) at rest on the ground at the plan's site."""
    place = frames.ecef(plan.lat, plan.lon, 0.0)
    return np.concatenate([place * (kernel.EARTH_RADIUS / np.linalg.norm(place) if sphere else 1.0), np.zeros(3)])


def outcome(plan: Plan) -> tuple[np.ndarray, float, bool]:
    """End point (3), apogee m and whether a flight lands whose apogee comes after burnout: coarse steps, for searching."""
    burns, p = _burns(plan), _vector(plan, COARSE, False, True)
    marks = np.array([*sorted({*burns[:, :2].ravel(), *plan.turn}), np.inf])
    time, x, force, summary = np.empty(2), np.empty((2, 6)), np.empty((2, 3)), np.zeros(3)
    kernel.march(start(plan), 0.0, burns, marks, p, False, time, x, force, summary)
    return x[1, :3], float(summary[0]), bool(summary[2] > 0.0 and summary[1] >= burns[-1, 1])


def states(plan: Plan, time) -> np.ndarray:
    """States (n, 6) at ascending times (n,) s from ignition of a plan's flight, which goes on through the ground."""
    burns, time = _burns(plan), np.asarray(time, float)
    x = np.empty((len(time), 6))
    marks = np.array([*sorted({*burns[:, :2].ravel(), *plan.turn}), np.inf])
    through(start(plan), 0.0, burns, marks, _vector(plan, (*FINE[:2], 5.0), False, True), time, x)
    return x


def launch(plan: Plan, sphere: bool = False, air: bool = True) -> Trajectory:
    """Fly a plan from rest on the ground to the impact.

    ``sphere`` replaces the Earth by a sphere of 6371 km without rotation and J2, ``air=False`` takes the air away:
    both for tests.  Rows are 0.25 s apart in boost and below 100 km, 0.5 s (long flights 1 s) above, with a row at
    every ignition, burnout, the apogee, the 100 km passage and the impact.
    """
    burns = _burns(plan)
    p = _vector(plan, (*FINE[:2], plan.coast_step), sphere, air)
    time, x, force, summary = _march(start(plan, sphere), 0.0, burns, p, plan.turn)
    phase = phases(time, x, force, float(burns[-1, 1]) if len(burns) else 0.0)
    return Trajectory(time, x, phase, force, tuple(float(t) for t in burns[:, 1]), bool(summary[2]), plan=plan)


def phases(time, x, force, burnout: float) -> np.ndarray:
    """Phase of each row (n,) int8: boost to the last burnout, midcourse to the 100 km passage, terminal, glide.

    Where the apogee is below 100 km there is no midcourse.  Glide runs from the first to the last row whose lift is
    above `LIFT_FELT`.  An event's row belongs to the phase that it begins.
    """
    height = frames.geodetic(x)[2]
    phase = np.full(len(time), TERMINAL, np.int8)
    high = np.flatnonzero(height > REENTRY_ALTITUDE + 0.01)
    if len(high):
        phase[: high[-1] + 1] = MIDCOURSE
    lifted = np.flatnonzero(force[:, kernel.LIFTING] > LIFT_FELT)
    if len(lifted):
        phase[lifted[0] : lifted[-1] + 1] = GLIDE
    phase[time < burnout] = BOOST
    return phase


def burning(time, phase, pauses=()) -> np.ndarray:
    """Whether an engine burns at times (n,) s of ``phase (n,)``: in boost, but not in one of the ``pauses`` between two stages."""
    time = np.asarray(time, float)
    out = np.asarray(phase) == BOOST
    for begin, end in pauses:
        out &= (time < begin) | (time >= end)
    return out


def free_fall(x, beta: float = 5000.0, begin: float = 0.0, step: float = 0.5, sphere: bool = False, air: bool = True) -> Trajectory:
    """Fall of one Earth-fixed state (6) from time ``begin`` s to the ground with ballistic coefficient ``beta`` kg/m^2."""
    plan = Plan(0.0, 0.0, (), (0.0, 0.0), beta=beta)
    p = _vector(plan, (step, min(step, FINE[1]), step), sphere, air)
    p[kernel.LATEST] = begin + LATEST
    time, rows, force, summary = _march(np.asarray(x, float), begin, np.zeros((0, 5)), p)
    return Trajectory(time, rows, phases(time, rows, force, begin), force, (), bool(summary[2]))


def impacts(x, beta=5000.0) -> tuple[np.ndarray, np.ndarray]:
    """Seconds to impact (n,) and impact points (n, 3) of free-falling rows ``x (n, 6)``; nan for what does not come down."""
    x = np.atleast_2d(np.asarray(x, float))
    beta = np.broadcast_to(beta, len(x))
    times, points = np.full(len(x), np.nan), np.full((len(x), 3), np.nan)
    time, rows, force, summary = np.empty(2), np.empty((2, 6)), np.empty((2, 3)), np.zeros(3)
    p = _vector(Plan(0.0, 0.0, (), (0.0, 0.0)), (1.0, 0.25, 2.0), False, True)
    for i in range(len(x)):
        p[kernel.BETA] = beta[i]
        kernel.march(x[i], 0.0, np.zeros((0, 5)), np.array([np.inf]), p, False, time, rows, force, summary)
        if summary[2] > 0.0:
            times[i], points[i] = time[1], rows[1, :3]
    return times, points


def interpolate(time, x, at) -> np.ndarray:
    """State rows (m, 6) at times ``at (m,)``: cubic Hermite on the rows ``time (n,), x (n, 6)``.

    Times outside the rows give the nearest end.
    """
    time, x, at = (np.ascontiguousarray(rows, float) for rows in (time, x, np.atleast_1d(at)))
    if len(time) == 1:
        return np.repeat(x, len(at), axis=0)
    out = np.empty((len(at), 6))
    kernel.between(*(_lent(rows) for rows in (time, x, at)), out)
    return out


def _lent(rows: np.ndarray) -> np.ndarray:
    """The same, read-only: a kernel is compiled once for what is and once for what is not."""
    rows = rows.view()
    rows.flags.writeable = False
    return rows


# What a missile sheds, and a boost to a given burnout ------------------------------------------------------------------


def spent_stages(flown: Trajectory, profile: Profile) -> list[tuple[int, Trajectory]]:
    """Number (from 1) and fall of each stage that a flight leaves behind, from its separation to its impact."""
    left = len(flown.burnouts) if profile.separates else len(flown.burnouts) - 1
    made = []
    for k, burnout in enumerate(flown.burnouts[: max(left, 0)], 1):
        x = interpolate(flown.time, flown.x, [burnout])[0]
        x[3:] *= 1.0 - SEPARATION / np.linalg.norm(x[3:])
        fall = free_fall(x, STAGE_BETA, burnout)
        made.append((k, replace(fall, about=f"stage {k}, spent")))
    return made


def fragments(flown: Trajectory, n: int, stream: np.random.Generator) -> list[tuple[Trajectory, float]]:
    """Fall and radar cross section (m^2) of ``n`` fragments released at the last burnout with scattered velocities."""
    if not flown.burnouts:
        return []
    burnout = flown.burnouts[-1]
    state = interpolate(flown.time, flown.x, [burnout])[0]
    made = []
    for _ in range(n):
        x = state.copy()
        x[3:] += SCATTER * stream.standard_normal(3)
        beta, rcs = (math.exp(stream.uniform(math.log(low), math.log(high))) for low, high in (FRAGMENT_BETA, FRAGMENT_RCS))
        made.append((replace(free_fall(x, beta, burnout), about="fragment"), rcs))
    return made


def newton(miss: Callable[[np.ndarray], np.ndarray], u: np.ndarray, reach: np.ndarray, enough: float) -> tuple[np.ndarray, float]:
    """Unknowns (k) at which ``miss`` (k) vanishes, by damped Newton with finite differences, and the largest miss left.

    No step is longer than ``reach`` (k).  An infinite miss marks unknowns that do not fly.
    """
    f = miss(u)
    for _ in range(25):
        if np.abs(f).max() < enough or not np.isfinite(f).all():
            break
        slope = np.column_stack([(miss(u + 1e-4 * axis) - f) / 1e-4 for axis in np.eye(len(u))])
        if not np.isfinite(slope).all() or abs(np.linalg.det(slope)) < 1e-12:
            break
        move = np.linalg.solve(slope, -f)
        move /= max(1.0, float((np.abs(move) / reach).max()))
        for _ in range(6):
            g = miss(u + move)
            if np.linalg.norm(g) < np.linalg.norm(f):
                u, f = u + move, g
                break
            move *= 0.4
        else:
            break
    return u, float(np.abs(f).max())


def arc(lat: float, lon: float, azimuth: float, altitude: float, speed: float, angle: float, profile: Profile) -> Trajectory:
    """A flight from rest that burns out at a height (m) with a speed (m/s, relative to the Earth) and angle (rad).

    One stage whose burn time, thrust and pitch-over kick are solved for, with pitch-over towards ``azimuth`` from the
    site; then free flight to the impact.  The burnout state is met to 0.1 % (angle 0.001 rad); drag is the profile's.
    Raises `CopfuseError` where no boost from rest arrives there.
    """
    heading = math.sin(azimuth) * frames.enu_axes(lat, lon)[0] + math.cos(azimuth) * frames.enu_axes(lat, lon)[1]
    best, mean = math.inf, math.sin(0.5 * (angle + 0.5 * math.pi))
    for spent, (quick, tilt) in product((0.7, 0.3), ((1.0, 0.5), (0.7, 0.9), (1.4, 0.3), (1.0, 1.2), (2.0, 0.2), (1.0, 0.1))):
        plan = partial(_one_stage, lat, lon, azimuth, profile, spent)
        miss = partial(_burnout_miss, plan, heading, altitude, speed, angle)
        burn = quick * altitude / (0.4 * speed * mean)
        u = np.array([math.log(burn), math.log(speed + 7.0 * burn + 150.0), tilt * (0.5 * math.pi - angle)])
        u, left = newton(miss, u, np.array([0.4, 0.2, 0.2]), 2e-4)
        if left < 1e-3:
            return replace(launch(plan(u)), about="burnout as given, boost assumed")
        best = min(best, left)
    slow = 0.4 * speed**2 * mean / altitude < 15.0
    told = f"the nearest misses by {100 * best:.0f} %" if math.isfinite(best) else "no burn serves"
    raise CopfuseError(
        f"no boost from rest burns out at {altitude / 1e3:g} km with {speed:g} m/s and {math.degrees(angle):g} degrees ({told}); "
        f"try {'less height or more speed' if slow else 'more height or less speed'}"
    )


def aimed(plan: Plan, model: Plan) -> Plan:
    """The plan with the kick that gives its velocity at the last burnout the direction that ``model`` has there.

    A gravity turn multiplies what turns it early; a missile's guidance steers that out.
    """
    way = burnout_state(model)[3:]
    across = np.linalg.svd(way[None])[2][1:]

    def miss(kick: np.ndarray) -> np.ndarray:
        v = burnout_state(replace(plan, kick=tuple(kick)))[3:]
        return across @ v / float(np.linalg.norm(v))

    kick, _ = newton(miss, np.array(plan.kick), np.full(2, 0.1), 1e-6)
    return replace(plan, kick=(float(kick[0]), float(kick[1])))


def _one_stage(lat: float, lon: float, azimuth: float, profile: Profile, spent: float, u: np.ndarray) -> Plan:
    """The plan of unknowns u: log burn time, log velocity gain, kick towards the azimuth."""
    burn, gain = math.exp(u[0]), math.exp(u[1])
    stage = Stage(burn, gain * spent / (burn * -math.log1p(-spent)), burn / spent, profile.heavy[0])
    kick = (u[2] * math.sin(azimuth), u[2] * math.cos(azimuth))
    return Plan(lat, lon, (stage,), kick, (0.06 * burn, 0.2 * burn, 0.35 * burn), profile.beta, coast_step=profile.coast_step)


def _burnout_miss(plan: Callable[[np.ndarray], Plan], heading, altitude: float, speed: float, angle: float, u: np.ndarray) -> np.ndarray:
    """Relative misses (3) of height, vertical and level velocity at burnout; infinite where the boost is no boost."""
    if not (0.0 < u[0] < 7.0 and u[1] - u[0] < math.log(MOST_THRUST) and abs(u[2]) < 2.0):
        return np.full(3, math.inf)
    x = burnout_state(plan(u))
    lat, lon, height = frames.geodetic(x)
    up = frames.enu_axes(lat[0], lon[0])[2]
    ahead = heading - (heading @ up) * up
    climb, level = x[3:] @ up / speed, x[3:] @ ahead / (speed * np.linalg.norm(ahead))
    return np.array([height[0] / altitude - 1.0, climb - math.sin(angle), level - math.cos(angle)])


def burnout_state(plan: Plan) -> np.ndarray:
    """The Earth-fixed state (6) at the last burnout of a plan."""
    burns, p = _burns(plan), _vector(plan, FINE, False, True)
    p[kernel.LATEST] = burns[-1, 1]
    return _march(start(plan), 0.0, burns, p, plan.turn)[1][-1]
