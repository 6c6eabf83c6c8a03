"""The flight itself: thrust, drag and lift on a point over the rotating Earth, Runge-Kutta 4 with exact events."""

from __future__ import annotations

import math

import numpy as np

from copfuse.constants import EARTH_A, EARTH_B, EARTH_RADIUS, MU, REENTRY_ALTITUDE
from copfuse.kernels import borrowing, njit
from copfuse.kernels.earth import air, altitude, free_acceleration, wind_at
from copfuse.kernels.mach import drag_factor

# columns of a row of `stages`
START, END, THRUST, TAU, HEAVY = range(5)
# places in the parameter vector `p`
SPHERE, AIR, RISE, PITCH, BLEND = 0, 1, 2, 3, 4
UP, KICK = 5, 8  # three components each: up at the launch, and the tilt from it (rad, horizontal vector)
BETA, LIFT, DIVE, TURN = 11, 12, 13, 14
STEP_BOOST, STEP_AIR, STEP_COAST, LATEST = 15, 16, 17, 18
PARAMETERS = 19
# what may follow them: how the forces differ from those of stages and ballistic coefficient (`unsteady`, `blowing`, `rough`)
KNOTS, KNOT = 16, 0.2  # ln(drag) off the curve at so many Mach numbers down from `HYPERSONIC`, this logarithm apart
HYPERSONIC = 5.0  # Mach number above which drag is on the curve
ATTITUDE = PARAMETERS + KNOTS  # of a fall, standard deviations over the drag: of the drag itself, and of forces across
WIND = ATTITUDE + 2  # m/s, to the east and to the north
ROUGH = WIND + 2  # m/s^2 while a stage burns, standard deviations: of pushes on three axes, and of slow ones along the thrust
TONES = 16  # frequency, rad/s, and phase of each tone on an axis: three of the attitude, three and the slow one of the thrust
SWAY = ROUGH + 2  # where the tones begin
PUSHES = 4  # axes that a stage's pushes have, the last one the slow one
UNSTEADY = KNOTS + 6 + 2 * TONES * (3 + PUSHES)  # numbers in all
# columns of `force`: magnitudes of the specific forces, m/s^2
THRUSTING, DRAGGING, LIFTING = range(3)

# What `crossing` looks for; numpy's integers, as numba compiles all that takes a plain one anew for each value
APEX, ENTRY, GROUND = np.arange(3)


@borrowing
def height(sphere, x, y, z):
    """Height m over the ellipsoid, or over the test sphere where ``sphere`` is 1."""
    if sphere > 0.5:
        return math.sqrt(x * x + y * y + z * z) - EARTH_RADIUS
    return altitude(x, y, z)


@borrowing
def smooth(s):
    """0 below 0, 1 above 1, a cubic between with level ends."""
    s = min(max(s, 0.0), 1.0)
    return s * s * (3.0 - 2.0 * s)


@borrowing
def upward(sphere, s, n):
    """Local vertical n (3) at state s: the ellipsoid's normal (gradient of x^2/a^2 + y^2/a^2 + z^2/b^2)."""
    k = 1.0 if sphere > 0.5 else (EARTH_A / EARTH_B) ** 2
    x, y, z = s[0], s[1], k * s[2]
    r = math.sqrt(x * x + y * y + z * z)
    n[0], n[1], n[2] = x / r, y / r, z / r


@borrowing(forceinline=True)
def thrust_direction(t, s, p, d):
    """Unit thrust direction d (3): vertical rise, pitch-over by the kick, then along the velocity (gravity turn)."""
    angle = math.sqrt(p[KICK] ** 2 + p[KICK + 1] ** 2 + p[KICK + 2] ** 2)
    turned = angle * smooth((t - p[RISE]) / (p[PITCH] - p[RISE]))
    along = math.sin(turned) / angle if angle > 1e-12 else 0.0
    speed = math.sqrt(s[3] ** 2 + s[4] ** 2 + s[5] ** 2)
    w = smooth((t - p[PITCH]) / (p[BLEND] - p[PITCH])) if speed > 1.0 else 0.0
    r2 = 0.0
    for i in range(3):
        d[i] = (1.0 - w) * (math.cos(turned) * p[UP + i] + along * p[KICK + i])
        if w > 0.0:
            d[i] += w * s[3 + i] / speed
        r2 += d[i] * d[i]
    for i in range(3):
        d[i] /= math.sqrt(r2)


@borrowing(forceinline=True)
def lift_wanted(s, d, n, speed, most, p):
    """Specific lift (m/s^2, 0 to ``most``) that turns the path level and holds it there until the dive speed.

    ``n (3)`` comes in as local vertical and leaves as the lift's direction: normal to the velocity, in the vertical
    plane.  ``d (3)`` is the acceleration of free fall.
    """
    sine = (n[0] * s[3] + n[1] * s[4] + n[2] * s[5]) / speed
    cosine = math.sqrt(max(1.0 - sine * sine, 1e-12))
    falling = 0.0
    for i in range(3):
        n[i] = (n[i] - sine * s[3 + i] / speed) / cosine
        falling += n[i] * d[i]
    r = math.sqrt(s[0] ** 2 + s[1] ** 2 + s[2] ** 2)
    wanted = -falling - speed * speed * cosine / r - p[TURN] * speed * sine
    fade = smooth((speed - p[DIVE]) / (0.1 * p[DIVE]))
    return fade * min(max(wanted, 0.0), most)


@borrowing
def off_the_curve(mach, p):
    """Logarithm of the drag at a Mach number over that of `drag_factor`: linear in that number's logarithm between the knots."""
    below = math.log(HYPERSONIC / max(mach, 1e-3)) / KNOT
    if below <= 0.0:
        return 0.0
    i = min(int(below), KNOTS - 1)
    first = p[PARAMETERS + i - 1] if i > 0 else 0.0
    return first + min(below - i, 1.0) * (p[PARAMETERS + i] - first)


@borrowing
def swaying(axis, t, p):
    """Sum of one axis's tones at time t, of variance 1: of a fall 0 along the velocity, 1 and 2 across it; 3 to 6 as in `rough`."""
    total = 0.0
    at = SWAY + 2 * TONES * axis
    for k in range(TONES):
        total += math.cos(p[at + 2 * k] * t + p[at + 2 * k + 1])
    return total * math.sqrt(2.0 / TONES)


@borrowing
def sideways(x, y, z, side, other, out, n):
    """Add to ``out (6)`` accelerations across the unit vector (x, y, z): level with the equator and normal to both; n (3) is scratch."""
    level = math.sqrt(x * x + y * y) + 1e-12
    n[0], n[1], n[2] = y / level, -x / level, 0.0
    out[3] += side * n[0] - other * n[1] * z
    out[4] += side * n[1] + other * n[0] * z
    out[5] += other * (n[1] * x - n[0] * y)


@borrowing
def unsteady(t, s, speed, mach, drag, p, out, n):
    """Drag (m/s^2) of a falling body that is off the curve and whose attitude wanders; ``out (6)`` gets the forces across.

    n (3) is scratch.
    """
    drag *= math.exp(off_the_curve(mach, p))
    size = p[ATTITUDE + 1] * drag
    sideways(s[3] / speed, s[4] / speed, s[5] / speed, size * swaying(1, t, p), size * swaying(2, t, p), out, n)
    return drag * max(1.0 + p[ATTITUDE] * swaying(0, t, p), 0.0)


@borrowing
def blowing(s, p):
    """Wind at state s, Earth-fixed, m/s: the same everywhere to the east and to the north (`earth.wind_at`)."""
    return wind_at(s[0], s[1], s[2], p[WIND], p[WIND + 1])


@borrowing
def rough(t, d, p, out, n):
    """Add to ``out (6)`` what a stage's thrust along d (3), a unit vector, is off its plan: along it, across it, and slowly along it."""
    along = p[ROUGH] * swaying(3, t, p) + p[ROUGH + 1] * swaying(6, t, p)
    for i in range(3):
        out[3 + i] += along * d[i]
    sideways(d[0], d[1], d[2], p[ROUGH] * swaying(4, t, p), p[ROUGH] * swaying(5, t, p), out, n)


@borrowing
def derivative(t, s, stage, beta, lifting, stages, p, out, d, n, force):
    """Rates out (6) of the state s (6) in the Earth-fixed frame, and the specific forces (3) that act.

    ``stage`` is the row of ``stages`` that burns, -1 for none; ``beta`` the ballistic coefficient kg/m^2 (at ignition
    where a stage burns; it falls with the mass).  ``d`` and ``n`` (3) are scratch.
    """
    if p[SPHERE] > 0.5:
        r2 = s[0] ** 2 + s[1] ** 2 + s[2] ** 2
        g = -MU / (r2 * math.sqrt(r2))
        d[0], d[1], d[2] = g * s[0], g * s[1], g * s[2]
    else:
        d[0], d[1], d[2] = free_acceleration(s[0], s[1], s[2], s[3], s[4])
    for i in range(3):
        out[i] = s[3 + i]
        out[3 + i] = d[i]
        force[i] = 0.0
    speed = math.sqrt(s[3] ** 2 + s[4] ** 2 + s[5] ** 2)
    if stage >= 0:
        beta *= 1.0 - (t - stages[stage, START]) / stages[stage, TAU]
    if p[AIR] > 0.5 and speed > 0.0:
        density, sound = air(height(p[SPHERE], s[0], s[1], s[2]))
        x, y, z, wind = s[3], s[4], s[5], speed  # velocity in the air
        falling = stage < 0 and len(p) > PARAMETERS
        if falling:
            east, north, up = blowing(s, p)
            x, y, z = x - east, y - north, z - up
            wind = math.sqrt(x * x + y * y + z * z)
        drag = 0.5 * density * wind * wind / beta
        if lifting and drag > 0.0:
            most = p[LIFT] * drag
            upward(p[SPHERE], s, n)
            lift = lift_wanted(s, d, n, speed, most, p)
            drag *= 1.0 + (lift / most) ** 2  # parabolic polar: lift at its bound doubles the drag
            for i in range(3):
                out[3 + i] += lift * n[i]
            force[LIFTING] = lift
        drag *= drag_factor(wind / sound)
        if falling:
            drag = unsteady(t, s, speed, wind / sound, drag, p, out, n)
        out[3] -= drag * x / wind
        out[4] -= drag * y / wind
        out[5] -= drag * z / wind
        force[DRAGGING] = drag
    if stage >= 0:
        thrust = stages[stage, THRUST] / (1.0 - (t - stages[stage, START]) / stages[stage, TAU])
        thrust_direction(t, s, p, d)
        for i in range(3):
            out[3 + i] += thrust * d[i]
        if len(p) > PARAMETERS:
            rough(t, d, p, out, n)
        force[THRUSTING] = thrust


@borrowing
def advance(t, h, s, stage, beta, lifting, stages, p, work, new):
    """One step of the classical Runge-Kutta method: new (6) = state after h; work (10, 6) is scratch."""
    k1, k2, k3, k4, mid, d, n, force = work[0], work[1], work[2], work[3], work[4], work[5], work[6], work[7]
    derivative(t, s, stage, beta, lifting, stages, p, k1, d, n, force)
    for i in range(6):
        mid[i] = s[i] + 0.5 * h * k1[i]
    derivative(t + 0.5 * h, mid, stage, beta, lifting, stages, p, k2, d, n, force)
    for i in range(6):
        mid[i] = s[i] + 0.5 * h * k2[i]
    derivative(t + 0.5 * h, mid, stage, beta, lifting, stages, p, k3, d, n, force)
    for i in range(6):
        mid[i] = s[i] + h * k3[i]
    derivative(t + h, mid, stage, beta, lifting, stages, p, k4, d, n, force)
    for i in range(6):
        new[i] = s[i] + h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i])


@borrowing
def above(kind, s, p, n):
    """What an event looks for a zero of: vertical speed (`APEX`), height over re-entry (`ENTRY`) or over the ground (`GROUND`)."""
    if kind == APEX:
        upward(p[SPHERE], s, n)
        return n[0] * s[3] + n[1] * s[4] + n[2] * s[5]
    return height(p[SPHERE], s[0], s[1], s[2]) - (REENTRY_ALTITUDE if kind == ENTRY else 0.0)


@borrowing
def crossing(kind, t, h, s, stage, beta, lifting, stages, p, work, new):
    """The length of the step after which the event's function is zero, between 0 and h; new (6) is the state then.

    Illinois regula falsi on whole Runge-Kutta steps, so that the event lies on the integrated path itself.
    """
    n = work[8]
    low, high = 0.0, h
    f_low, f_high = above(kind, s, p, n), above(kind, new, p, n)
    side = 0
    step = h
    for _ in range(60):
        step = high - f_high * (high - low) / (f_high - f_low)
        advance(t, step, s, stage, beta, lifting, stages, p, work, new)
        f = above(kind, new, p, n)
        if abs(f) < 1e-6 or high - low < 1e-10:
            break
        if f > 0.0:
            low, f_low = step, f
            if side == 1:
                f_high *= 0.5
            side = 1
        else:
            high, f_high = step, f
            if side == -1:
                f_low *= 0.5
            side = -1
    return step


@borrowing
def burning(t, stages, p):
    """The row of ``stages`` that burns at time t (-1: none) and the ballistic coefficient, kg/m^2, as `derivative` takes it."""
    stage, beta = -1, p[BETA]
    for k in range(stages.shape[0] - 1, -1, -1):
        if t < stages[k, END]:
            beta = stages[k, HEAVY]
            stage = k if t >= stages[k, START] else -1
    return stage, beta


@njit
def march(state, begin, stages, marks, p, keep, time, x, force, summary):
    """Fly from ``state (6)`` at time ``begin`` to the ground; returns the number of rows, -1 when they did not fit.

    ``stages (k, 5)`` burn one after the other; ``marks`` are times to hit exactly, ascending, the last one infinite.
    With ``keep`` every step is a row of ``time (n,), x (n, 6), force (n, 3)``; without it only row 0 (the start) and
    row 1 (the end) are written.  ``summary``: apogee height m, its time, 1 where the ground was reached.
    """
    work = np.zeros((10, 6))
    s, new = np.zeros(6), np.zeros(6)
    for i in range(6):
        s[i] = state[i]
    t = begin
    sphere = p[SPHERE]
    n_stage = stages.shape[0]
    burnt = stages[n_stage - 1, END] if n_stage > 0 else begin
    mark = 0
    rows = 0
    lifting = p[LIFT] < 0.0  # no, in a way that has nothing compiled for a plain False
    h_old = height(sphere, s[0], s[1], s[2])
    summary[0], summary[1], summary[2] = h_old, t, 0.0
    while True:
        stage, beta = burning(t, stages, p)
        row = rows if keep else min(rows, 1)
        if row >= time.shape[0]:
            return -1
        derivative(t, s, stage, beta, lifting, stages, p, work[0], work[5], work[6], force[row])
        time[row] = t
        for i in range(6):
            x[row, i] = s[i]
        rows += 1
        if summary[2] > 0.0 or t >= p[LATEST]:
            return rows if keep else min(rows, 2)
        step = p[STEP_BOOST] if t < burnt else (p[STEP_COAST] if h_old > REENTRY_ALTITUDE else p[STEP_AIR])
        while marks[mark] <= t:
            mark += 1
        exact = t + step >= marks[mark] - 1e-6
        if exact:
            step = marks[mark] - t
        climbing = above(APEX, s, p, work[8])
        advance(t, step, s, stage, beta, lifting, stages, p, work, new)
        h_new = height(sphere, new[0], new[1], new[2])
        event: np.signedinteger | int = -1
        if climbing > 1e-5 and above(APEX, new, p, work[8]) <= 0.0:
            event = APEX
        elif h_old > REENTRY_ALTITUDE + 1e-3 and h_new <= REENTRY_ALTITUDE:
            event = ENTRY
        elif h_new <= 0.0 and t > begin:
            event = GROUND
            summary[2] = 1.0
        if event >= 0:
            t += crossing(event, t, step, s, stage, beta, lifting, stages, p, work, new)
            if event == APEX:
                lifting = p[LIFT] > 0.0 and t >= burnt
            h_new = height(sphere, new[0], new[1], new[2])
        else:
            t = marks[mark] if exact else t + step
        if h_new > summary[0]:
            summary[0], summary[1] = h_new, t
        h_old = h_new
        for i in range(6):
            s[i] = new[i]


@borrowing
def between(time, x, at, out):
    """States ``out (m, 6)`` at times ``at (m,)``: cubic Hermite on two or more rows ``time (n,), x (n, 6)``.

    Outside them it is the nearest end.
    """
    n = len(time)
    for k in range(len(at)):
        t = at[k]
        t = time[0] if t < time[0] else time[n - 1] if t > time[n - 1] else t
        low, high = 0, n
        while low < high:
            middle = (low + high) // 2
            if t < time[middle]:
                high = middle
            else:
                low = middle + 1
        i = min(max(low - 1, 0), n - 2)
        h = time[i + 1] - time[i]
        u = (t - time[i]) / h
        for a in range(3):
            v0, v1, rise = x[i, a + 3] * h, x[i + 1, a + 3] * h, x[i + 1, a] - x[i, a]
            bend, turn = 3 * rise - 2 * v0 - v1, v0 + v1 - 2 * rise
            out[k, a] = x[i, a] + u * (v0 + u * (bend + u * turn))
            out[k, a + 3] = (v0 + u * (2 * bend + 3 * u * turn)) / h
