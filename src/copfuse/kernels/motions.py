"""How the filters take things to move: four models over shared position and velocity, their process noise, their switching.

Components 0-5 are position and velocity, Earth-fixed.  MANOEUVRE (9: acceleration that is not gravity, a Wiener
process; what changes fast, as in boost), COAST (6), REENTRY (7: natural logarithm of the ballistic coefficient in
kg/m^2) and STEADY (9: as MANOEUVRE, but the acceleration hardly changes: glide, pull-up, steady burning).
"""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import njit
from copfuse.kernels.earth import air, altitude, free_acceleration

MANOEUVRE, COAST, REENTRY, STEADY = 0, 1, 2, 3
N_MODEL = 4
WIDEST = 9
DIMENSION = np.array([9, 6, 7, 9])

_DRAG_CEILING = 150e3  # m, the filters know no drag above
_DRAG_MOST = 600.0  # m/s^2, so that a cubature point thrown under the ground stays finite


@njit
def drag(s):
    """Deceleration by drag over speed (1/s) at state s (7): half density times speed over ballistic coefficient."""
    h = altitude(s[0], s[1], s[2])
    if h >= _DRAG_CEILING:
        return 0.0
    rho, _ = air(max(h, 0.0))
    v = math.sqrt(s[3] * s[3] + s[4] * s[4] + s[5] * s[5])
    return min(0.5 * rho * v * math.exp(-s[6]), _DRAG_MOST / (v + 1.0))


@njit
def derivative(model, s, d):
    """d = time derivative of state s under a model, Earth-fixed."""
    ax, ay, az = free_acceleration(s[0], s[1], s[2], s[3], s[4])
    if model == 0 or model == 3:
        ax += s[6]
        ay += s[7]
        az += s[8]
        d[6] = 0.0
        d[7] = 0.0
        d[8] = 0.0
    elif model == 2:
        d[6] = 0.0
        k = drag(s)
        ax -= k * s[3]
        ay -= k * s[4]
        az -= k * s[5]
    d[0] = s[3]
    d[1] = s[4]
    d[2] = s[5]
    d[3] = ax
    d[4] = ay
    d[5] = az


@njit
def propagate(model, n, s, dt, k, y):
    """Advance state s by dt seconds (either sign) with the classical Runge-Kutta rule; k (4, 9), y (9) are work arrays."""
    longest = 2.0 if model == 0 or model == 3 else 10.0
    if model == 2 and altitude(s[0], s[1], s[2]) < 120e3:
        longest = 1.0
    steps = int(math.ceil(abs(dt) / longest))
    if steps < 1:
        return
    h = dt / steps
    for _ in range(steps):
        derivative(model, s, k[0])
        for i in range(n):
            y[i] = s[i] + 0.5 * h * k[0, i]
        derivative(model, y, k[1])
        for i in range(n):
            y[i] = s[i] + 0.5 * h * k[1, i]
        derivative(model, y, k[2])
        for i in range(n):
            y[i] = s[i] + h * k[2, i]
        derivative(model, y, k[3])
        for i in range(n):
            s[i] += h / 6.0 * (k[0, i] + 2.0 * k[1, i] + 2.0 * k[2, i] + k[3, i])


@njit
def add_process_noise(model, x, P, dt, noise):
    """Add the covariance that white noise builds up over dt: jerk (model 0) or acceleration, exactly discretised.

    ``noise``: spectral densities of jerk m^2/s^5, of acceleration in free fall m^2/s^3, of the drag's error relative
    to its square s, of the rate of ln(beta) 1/s, of jerk in the steady model m^2/s^5.  So in empty space re-entry is coast.
    """
    t = abs(dt)
    if model == 0 or model == 3:
        q = noise[0] if model == 0 else noise[4]
        for a in range(3):
            v, c = a + 3, a + 6
            P[a, a] += q * t**5 / 20.0
            P[v, v] += q * t**3 / 3.0
            P[c, c] += q * t
            P[a, v] += q * t**4 / 8.0
            P[v, a] += q * t**4 / 8.0
            P[a, c] += q * t**3 / 6.0
            P[c, a] += q * t**3 / 6.0
            P[v, c] += q * t**2 / 2.0
            P[c, v] += q * t**2 / 2.0
        return
    q = noise[1]
    if model == 2:
        k = drag(x)
        q += noise[2] * k * k * (x[3] * x[3] + x[4] * x[4] + x[5] * x[5])
    for a in range(3):
        v = a + 3
        P[a, a] += q * t**3 / 3.0
        P[v, v] += q * t
        P[a, v] += q * t**2 / 2.0
        P[v, a] += q * t**2 / 2.0
    if model == 2:
        P[6, 6] += noise[3] * t


@njit
def transition(h, climb, dt, Pi):
    """Markov transition matrix over dt at altitude h (m) and climb rate (m/s); rows from, columns to.

    Rates are *notional* and follow the phases: burnout is nearly absorbing once above the air, drag acts only in it,
    lift (pull-up, glide) needs air too.
    """
    air_there = h < 110e3
    boost_again = (1.0 / 200.0 if climb > 0.0 else 1.0 / 2000.0) if h < 150e3 else 1e-9
    lift = 1.0 / 60.0 if h < 80e3 else boost_again
    for i in range(4):
        for j in range(4):
            Pi[i, j] = 0.0
    for pushed in (0, 3):
        Pi[pushed, 1] = 1.0 / 80.0 if h > 60e3 else 1.0 / 400.0
        Pi[pushed, 2] = (1.0 / 60.0 if pushed == 0 or h > 80e3 else 1.0 / 300.0) if air_there else 1.0 / 1000.0
    Pi[0, 3] = 1.0 / 15.0
    Pi[3, 0] = 1.0 / 30.0
    Pi[1, 0] = 0.5 * boost_again
    Pi[1, 3] = 0.5 * boost_again
    Pi[1, 2] = 1.0 / 15.0 if air_there else 1.0 / 500.0
    Pi[2, 0] = 0.5 * lift
    Pi[2, 3] = 0.5 * lift
    Pi[2, 1] = 1.0 / 400.0 if h < 90e3 else 1.0 / 15.0
    for i in range(4):
        out = Pi[i, 0] + Pi[i, 1] + Pi[i, 2] + Pi[i, 3]
        leave = 1.0 - math.exp(-out * abs(dt))
        for j in range(4):
            Pi[i, j] *= leave / out
        Pi[i, i] = 1.0 - leave


@njit
def dimension(model):
    """Number of state components of a model."""
    return 6 if model == 1 else (7 if model == 2 else 9)


@njit
def has(model, target, component):
    """Whether a model has the target model's component: the first six are everybody's, both pushed models share the rest."""
    return component < 6 or model == target or (model != 1 and model != 2 and target != 1 and target != 2)
