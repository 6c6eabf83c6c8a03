"""How the filters take things to move: five models over shared position and velocity, their process noise, what one is to another.

Components 0-5 are position and velocity, Earth-fixed.  What each model adds:

MANOEUVRE (9): acceleration that is not gravity, m/s^2, a Wiener process: pitch-over, staging, whatever is not below.
COAST (6): nothing; gravity with J2 in the rotating frame, which all models have.
REENTRY (9): natural logarithm of the ballistic coefficient in kg/m^2, at hypersonic speed; drag in the standard atmosphere, over the
Mach number as in `mach`; then the wind that blows there, m/s to the east and to the north.
GLIDE (9): that logarithm, then the accelerations that lift and turn the path, m/s^2, normal to the velocity upwards and to
the right, each a first-order Markov process.  Where there is no air to lift it, it is what coasts and is not left alone: thrusters and
vents push it a little, whichever way.
BOOST (8): gravity turn: thrust less drag over mass along the velocity, a in m/s^2, and mass flow over mass, b in 1/s.  With
constant thrust and mass flow a' = a b and b' = b^2 (Li & Jilkov, Survey of maneuvering target tracking, part II, Proc.
SPIE 4473, 2001, sec. 4).
"""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import borrowing
from copfuse.kernels.earth import air, altitude, free_acceleration, reaches, wind_at
from copfuse.kernels.eights import eight, joined, nought, put
from copfuse.kernels.mach import drag_factor
from copfuse.kernels.pull import DRAG_CEILING, DRAG_MOST, drag_near

MANOEUVRE, COAST, REENTRY, GLIDE, BOOST = 0, 1, 2, 3, 4
N_MODEL = 5
_FIRST, _SECOND, _THIRD = np.arange(6, 9)  # components that a model adds; numpy's, as numba compiles for each plain number anew
DIMENSION = np.array([9, 6, 9, 9, 8])
# places in `noise`: spectral densities; see `filters` for values and reasons
JERK, COAST_ACCELERATION, DRAG_ERROR, LOG_BETA_RATE = 0, 1, 2, 3  # m^2/s^5, m^2/s^3, s, 1/s
GLIDE_BETA_RATE, LIFT_JERK, LIFT_SHARE = 4, 5, 6  # 1/s, m^2/s^5, 1/s (times drag squared)
STEERING, THRUST_JERK, FLOW_RATE = 7, 8, 9  # m^2/s^3, m^2/s^5, 1/s^3
CURVE, TRIM, UNREST = 10, 11, 12  # variance of ln(beta) per logarithm of the Mach number; s; m^2/s^3
N_NOISE = 13

FELT = 0.1  # m/s^2 of drag at which Mach number and attitude begin to matter, *notional*
HYPERSONIC = 1500.0  # m/s, some Mach 5: faster than that, a body's drag coefficient does not depend on the Mach number
# m/s of wind that nobody forecasts, per level axis, mean over the way down, *notional*: what comes down is followed with it, and in a
# forecast it carries a body off by itself times the seconds that it is later, where it comes down, than without air (the lag rule of
# Didion; McCoy, Modern Exterior Ballistics, 1999, ch. 7).  The same all the way down, as drawn flights have it.  Real winds change with
# height; of missiles of short range in one that is four times as strong at 11 km as below, the mean NEES per component is below 1 at
# every height all the same: models of lift and of pushes take up the rest.  A walk of 2 m/s per root of a km costs 1 to 2 % of the error
# in a steady wind, and saves 4 % there.
WIND = 10.0
PUSH_SIGMA = 30.0  # m/s^2 per axis, of a push of which nothing is known, *notional*
STAGE = 20.0, 12.0, 8.0  # m/s^2, a further stage's push as it lights: forward, and sigmas along and across the velocity, *notional*
UNKNOWN = np.diag(np.repeat([0.0, PUSH_SIGMA**2], [6, 3]))  # its covariance
UNFELT = np.diag(np.repeat([0.0, WIND**2], [7, 2]))  # likewise of re-entry's wind
LIFT_TIME = 60.0  # s, memory of lift and turn, *notional*
MOST_THRUST = 250.0  # m/s^2 and
MOST_FLOW = 0.1  # 1/s: growth stops there, so that a forecast over minutes stays finite
_BOOST_LOG_BETA = math.log(30e3)  # a burning missile's ballistic coefficient, where the size of its drag's changes is asked for
AIR = 80e3  # m: below it there is enough to lift or to brake a body, *notional*
LIFTLESS = 0.1  # m/s^2, sigma that lift and turn have at most above it, *notional*
SWAY = 1.0  # s, memory of the attitude of what falls, and of what a thrust is off its plan
REMEMBERED, FORGOTTEN = 1.5, 1000.0  # see `whitened`; times that memory from which on a push adds what white noise does
LEAST_COSINE = 1e-3  # of the path's angle to the horizontal, where "up, normal to the velocity" still means something


@borrowing
def drag_of(s, log_beta):
    """Deceleration by drag over speed (1/s) at state s in calm air: half density times speed over ballistic coefficient, times
    `drag_factor`."""
    return drag_at(s, math.sqrt(s[3] * s[3] + s[4] * s[4] + s[5] * s[5]), log_beta)


@borrowing
def drag_at(s, v, log_beta):
    """`drag_of` where state s flies at v m/s through the air."""
    if reaches(s[0], s[1], s[2], DRAG_CEILING):
        return 0.0
    rho, sound = air(max(altitude(s[0], s[1], s[2]), 0.0))
    return min(0.5 * rho * v * drag_factor(v / sound) * math.exp(-log_beta), DRAG_MOST / (v + 1.0))


@borrowing
def drag(s):
    """`drag_of` a state (7 or more) with its own ln(beta)."""
    return drag_of(s, s[6])


@borrowing
def ahead(s):
    """Speed and unit vector of the velocity (short where there is hardly any)."""
    v = math.sqrt(s[3] * s[3] + s[4] * s[4] + s[5] * s[5])
    k = 1.0 / (v + 1e-3)
    return v, s[3] * k, s[4] * k, s[5] * k


@borrowing
def across(s, e0, e1, e2):
    """Unit vectors normal to the unit velocity e: up in the vertical plane, and to the right; six numbers."""
    r = math.sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2]) + 1e-9
    sine = (s[0] * e0 + s[1] * e1 + s[2] * e2) / r
    cosine = math.sqrt(max(1.0 - sine * sine, LEAST_COSINE * LEAST_COSINE))
    u0, u1, u2 = (s[0] / r - sine * e0) / cosine, (s[1] / r - sine * e1) / cosine, (s[2] / r - sine * e2) / cosine
    return u0, u1, u2, e1 * u2 - e2 * u1, e2 * u0 - e0 * u2, e0 * u1 - e1 * u0


@borrowing
def derivative(model, s, d):
    """d = time derivative of state s under a model, Earth-fixed."""
    ax, ay, az = free_acceleration(s[0], s[1], s[2], s[3], s[4])
    if model == 0:
        ax += s[6]
        ay += s[7]
        az += s[8]
        d[6] = 0.0
        d[7] = 0.0
        d[8] = 0.0
    elif model == 2:
        d[6] = 0.0
        d[7] = 0.0
        d[8] = 0.0
        x, y, z = wind_at(s[0], s[1], s[2], s[7], s[8])
        x, y, z = s[3] - x, s[4] - y, s[5] - z
        k = drag_at(s, math.sqrt(x * x + y * y + z * z), s[6])
        ax -= k * x
        ay -= k * y
        az -= k * z
    elif model == 3:
        k = drag(s)
        _, e0, e1, e2 = ahead(s)
        u0, u1, u2, r0, r1, r2 = across(s, e0, e1, e2)
        ax += s[7] * u0 + s[8] * r0 - k * s[3]
        ay += s[7] * u1 + s[8] * r1 - k * s[4]
        az += s[7] * u2 + s[8] * r2 - k * s[5]
        d[6] = 0.0
        d[7] = -s[7] / LIFT_TIME
        d[8] = -s[8] / LIFT_TIME
    elif model == 4:
        _, e0, e1, e2 = ahead(s)
        ax += s[6] * e0
        ay += s[6] * e1
        az += s[6] * e2
        d[6] = s[6] * s[7] * max(1.0 - (s[6] / MOST_THRUST) ** 4, 0.0)
        d[7] = s[7] * s[7] * max(1.0 - (s[7] / MOST_FLOW) ** 4, 0.0)
    d[0] = s[3]
    d[1] = s[4]
    d[2] = s[5]
    d[3] = ax
    d[4] = ay
    d[5] = az


@borrowing
def _rates(model, s, h, d):
    """`derivative`; going back (h < 0) lift and turn fade as they do ahead: a stationary Markov process is its own mirror image."""
    derivative(model, s, d)
    if h < 0.0 and model == 3:
        d[7] = -d[7]
        d[8] = -d[8]


@borrowing
def propagate(model, n, s, dt, k, y):
    """Advance state s by dt seconds (either sign) with the classical Runge-Kutta rule; k (4, 9), y (9) are work arrays."""
    longest = 2.0 if model == 0 or model == 4 else 10.0
    if (model == 2 or model == 3) and altitude(s[0], s[1], s[2]) < 120e3:
        longest = 1.0 if s[3] * s[3] + s[4] * s[4] + s[5] * s[5] > 800.0**2 else 3.0
    steps = int(math.ceil(abs(dt) / longest))
    if steps < 1:
        return
    h = dt / steps
    for _ in range(steps):
        _rates(model, s, h, k[0])
        for i in range(n):
            y[i] = s[i] + 0.5 * h * k[0, i]
        _rates(model, y, h, k[1])
        for i in range(n):
            y[i] = s[i] + 0.5 * h * k[1, i]
        _rates(model, y, h, k[2])
        for i in range(n):
            y[i] = s[i] + h * k[2, i]
        _rates(model, y, h, k[3])
        for i in range(n):
            s[i] += h / 6.0 * (k[0, i] + 2.0 * k[1, i] + 2.0 * k[2, i] + k[3, i])


@borrowing
def _velocity_noise(P, q, t):
    """White acceleration of density q on every axis."""
    for a in range(3):
        v = a + 3
        P[a, a] += q * t**3 / 3.0
        P[v, v] += q * t
        P[a, v] += q * t**2 / 2.0
        P[v, a] += q * t**2 / 2.0


@borrowing
def _noise_along(P, e, q, t):
    """White acceleration of density q along e: three numbers."""
    place, both, speed = q * (t**3 / 3.0), q * (t**2 / 2.0), q * t
    for a in range(3):
        for b in range(3):
            share = e[a] * e[b]
            P[a, b] += place * share
            P[a, b + 3] += both * share
            P[b + 3, a] += both * share
            P[a + 3, b + 3] += speed * share


@borrowing
def _driven_noise(P, c, e, q, t):
    """White noise of density q on component c, which is an acceleration along e: three numbers."""
    P[c, c] += q * t
    third, second = q * (t**3 / 6.0), q * (t**2 / 2.0)
    place, both, speed = q * (t**5 / 20.0), q * (t**4 / 8.0), q * (t**3 / 3.0)
    for a in range(3):
        P[a, c] += third * e[a]
        P[c, a] += third * e[a]
        P[a + 3, c] += second * e[a]
        P[c, a + 3] += second * e[a]
        for b in range(3):
            share = e[a] * e[b]  # in this order the sums below are symmetric to the last bit
            P[a, b] += place * share
            P[a, b + 3] += both * share
            P[b + 3, a] += both * share
            P[a + 3, b + 3] += speed * share


@borrowing
def whitened(spread, q, t):
    """By how much the density q of a white noise is to be made smaller where it stands in place of pushes with a memory of `SWAY`.

    Such pushes make in T s a variance of the velocity of q (T - SWAY (1 - exp(-T / SWAY))) instead of q T.  The T that tells is how long
    the filter remembers: as white noise takes to make `REMEMBERED` times what it does not know of the velocity, ``spread`` (m^2/s^2), and
    no less than its step of t s; and half of `SWAY`.  So steady filters of plots every .5 to 5 s are as sure as their errors allow.
    """
    if spread >= FORGOTTEN * SWAY * q:
        return 1.0
    over = max(REMEMBERED * spread / q, t) / SWAY + 0.5
    return 1.0 + math.expm1(-over) / over


@borrowing
def _attitude_noise(P, e, fore, side, t):
    """Forces of a wandering attitude: of densities ``fore`` along e, three numbers, and ``side`` across, were they white (`whitened`)."""
    along, total = 0.0, 0.0
    for a in range(3):
        total += P[a + 3, a + 3]
        for b in range(3):
            along += e[a] * P[a + 3, b + 3] * e[b]
    fore *= whitened(along, fore, t)
    side *= whitened(0.5 * (total - along), side, t)
    _velocity_noise(P, side, t)
    _noise_along(P, e, fore - side, t)


@borrowing
def add_process_noise(model, x, P, dt, noise):
    """Add the covariance that the model's white noises (`JERK` ... in ``noise``) build up over dt to P, what it is without them.

    Exact for constant directions; errors of drag and trim are relative to its square, so in empty space re-entry is coast, and glide
    is pushed by `UNREST` alone.  They have a memory, which makes them smaller where P says that the velocity is known from plots of
    seconds (`whitened`).
    """
    t = abs(dt)
    if model == 0:
        _driven_noise(P, _FIRST, (1.0, 0.0, 0.0), noise[JERK], t)
        _driven_noise(P, _SECOND, (0.0, 1.0, 0.0), noise[JERK], t)
        _driven_noise(P, _THIRD, (0.0, 0.0, 1.0), noise[JERK], t)
        return
    if model == 1:
        _velocity_noise(P, noise[COAST_ACCELERATION], t)
        return
    speed, e0, e1, e2 = ahead(x)
    if model == 4:
        slowing = drag_near(x, _BOOST_LOG_BETA) * speed
        _velocity_noise(P, noise[STEERING], t)
        _driven_noise(P, _FIRST, (e0, e1, e2), noise[THRUST_JERK] + noise[LIFT_SHARE] * slowing * slowing, t)
        q = noise[FLOW_RATE]
        P[7, 7] += q * t
        P[6, 7] += q * x[6] * t**2 / 2.0
        P[7, 6] += q * x[6] * t**2 / 2.0
        P[6, 6] += q * x[6] * x[6] * t**3 / 3.0
        return
    slowing = drag_near(x, x[6]) * speed
    if slowing > 0.0 and t > 0.0:
        side = noise[TRIM] * slowing * slowing
        _attitude_noise(P, (e0, e1, e2), side + noise[DRAG_ERROR] * slowing * slowing, side, t)
    _velocity_noise(P, noise[COAST_ACCELERATION], t)
    felt = slowing / (slowing + FELT)  # the ballistic coefficient of a body in empty space wanders nowhere
    if speed < HYPERSONIC:  # its own curve over the Mach number, whose logarithm falls by drag over speed a second
        P[6, 6] += noise[CURVE] * slowing / (speed + 1.0) * t
    if model == 2:
        P[6, 6] += felt * noise[LOG_BETA_RATE] * t
        return
    P[6, 6] += felt * noise[GLIDE_BETA_RATE] * t
    if reaches(x[0], x[1], x[2], AIR):
        _velocity_noise(P, noise[UNREST], t)
        return
    q, t = noise[LIFT_JERK] + noise[LIFT_SHARE] * slowing * slowing, min(t, LIFT_TIME)
    u0, u1, u2, r0, r1, r2 = across(x, e0, e1, e2)
    _driven_noise(P, _SECOND, (u0, u1, u2), q, t)
    _driven_noise(P, _THIRD, (r0, r1, r2), 0.25 * q, t)


@borrowing
def dimension(model):
    """Number of state components of a model."""
    return 6 if model == 1 else (8 if model == 4 else 9)


@borrowing
def seen_as(i, j, x, P, xs, Ps, J):
    """Model i's estimate in the components of model j: mean xs (9), covariance Ps (9, 9).

    Unbiased mixing: what i lacks takes j's own mean and variance.  Re-entry and glide share the ballistic coefficient;
    the acceleration of MANOEUVRE and the thrust along the velocity of BOOST are turned into one another, to first order;
    what falls or glides and is pushed from now on has an unknown push, of `PUSH_SIGMA`; what has done anything but fall through the air
    tells nothing of the wind; above `AIR` nothing lifts.
    ``x (N_MODEL, 9), P (N_MODEL, 9, 9)``; J (9, 9) is scratch.
    """
    n, m = dimension(j), dimension(i)
    shared = m if i == j else 6
    if (i == 2 or i == 3) and (j == 2 or j == 3) and i != j:
        shared = 7
    put(joined(eight(x[i]), eight(x[j]), shared), xs)
    xs[8] = x[i, 8] if shared > 8 else x[j, 8]
    for a in range(n):
        if a < shared:
            put(joined(eight(P[i, a]), nought(), shared), Ps[a])
            Ps[a, 8] = P[i, a, 8] if shared > 8 else 0.0
        else:
            put(joined(nought(), eight(P[j, a]), shared), Ps[a])
            Ps[a, 8] = P[j, a, 8]
    if j == 0 and (i == 2 or i == 3):  # an engine lights in the air: an earlier push tells nothing of how hard it is going to
        put(joined(eight(x[i]), nought(), 6), xs)
        xs[8] = 0.0
        for a in range(6, 9):
            put(eight(UNKNOWN[a]), Ps[a])
            Ps[a, 8] = UNKNOWN[a, 8]
    if j == 2 and i != 2:
        xs[7], xs[8] = 0.0, 0.0
        Ps[6, 7], Ps[6, 8] = 0.0, 0.0
        for a in range(7, 9):
            put(eight(UNFELT[a]), Ps[a])
            Ps[a, 8] = UNFELT[a, 8]
    if j == 3 and reaches(xs[0], xs[1], xs[2], AIR):
        without_air(xs, Ps)
    if i == 4 and j == 0:
        _thrust_to_push(x[4], P[4], xs, Ps, J)
    elif i == 0 and j == 4:
        _push_to_thrust(x[0], P[0], P[4, 7, 7], xs, Ps, J)


@borrowing
def without_air(xs, Ps):
    """GLIDE's lift and turn where there is no air, in place: their sigma is `LIFTLESS` at most, their mean as much less."""
    for a in range(7, 9):
        share = min(LIFTLESS / (math.sqrt(Ps[a, a]) + 1e-9), 1.0)
        xs[a] *= share
        for b in range(9):
            Ps[a, b] *= share
            Ps[b, a] *= share


@borrowing
def _thrust_to_push(x, P, xs, Ps, J):
    """BOOST's thrust along the velocity as MANOEUVRE's acceleration."""
    v, e0, e1, e2 = ahead(x)
    e, v = (e0, e1, e2), v + 10.0
    for a in range(3):
        xs[6 + a] = x[6] * e[a]
        for b in range(3):
            J[6 + a, 3 + b] = x[6] / v * ((1.0 if a == b else 0.0) - e[a] * e[b])
        J[6 + a, 6] = e[a]
        J[6 + a, 7] = 0.0
    _congruent(J, P, dimension(MANOEUVRE), dimension(BOOST), Ps)
    for a in range(6, 9):
        Ps[a, a] += 1.0  # m^2/s^4: thrust is not quite along the velocity


@borrowing
def _push_to_thrust(x, P, flow_variance, xs, Ps, J):
    """MANOEUVRE's acceleration as BOOST's thrust along the velocity; the mass flow stays BOOST's own."""
    v, e0, e1, e2 = ahead(x)
    e, v = (e0, e1, e2), v + 10.0
    along = x[6] * e0 + x[7] * e1 + x[8] * e2
    xs[6] = along
    for b in range(3):
        J[6, 6 + b] = e[b]
        J[6, 3 + b] = (x[6 + b] - along * e[b]) / v
    _congruent(J, P, dimension(BOOST) - 1, dimension(MANOEUVRE), Ps)
    for a in range(7):
        Ps[a, 7] = 0.0
        Ps[7, a] = 0.0
    Ps[7, 7] = flow_variance


@borrowing
def _congruent(J, P, n, m, out):
    """Rows and columns from the sixth on of out (n, n) = J P J', where J (n, m) leaves the components before as they are.

    Of J only rows from the sixth and columns from the third on are looked at; the rows before are scratch.
    """
    for a in range(6, n):
        for d in range(m):
            s = 0.0
            for c in range(3, m):
                s += J[a, c] * P[c, d]
            J[a - 6, d] = s
    for a in range(6, n):
        for b in range(6):
            out[a, b] = J[a - 6, b]
            out[b, a] = J[a - 6, b]
        for b in range(6, a + 1):
            s = 0.0
            for d in range(3, m):
                s += J[a - 6, d] * J[b, d]
            out[a, b] = s
            out[b, a] = s
