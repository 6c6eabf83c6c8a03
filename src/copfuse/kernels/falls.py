"""Falls to the ground, one at a time (`fall`) or `LANES` side by side (`fall_all`), to the bit alike.

What one step computes is a chain of roots and quotients that wait for one another; those of several states do not, and all of
them go into vector instructions.  Where one state has come down the next one takes its lane.  The air's density comes out of a
table of cubics, which takes no logarithm or power that would be computed lane by lane.
"""

from __future__ import annotations

import math

import numpy as np

from copfuse.constants import EARTH_A, EARTH_B, EARTH_OMEGA, J2, MU
from copfuse.kernels import borrowing
from copfuse.kernels.earth import DEEPEST, air
from copfuse.kernels.mach import factor_at
from copfuse.kernels.motions import DRAG_CEILING, DRAG_MOST

LONGEST_FLIGHT = 7200.0  # s; what has not come down by then is in orbit
LANES = 8
# Places in the work array ``w``, of which every one has `LANES` numbers: state, the state at which rates are asked for, sum of rates
_S, _Y, _Q = 0, 6 * LANES, 12 * LANES
_DT, _T, _H, _E = 18 * LANES, 19 * LANES, 20 * LANES, 21 * LANES  # step, time, height, exp(-ln beta)
WORK = 22 * LANES
_IDLE = 4e7  # m, where an empty lane is: far above the air
_EP2 = (EARTH_A / EARTH_B) ** 2 - 1.0  # second eccentricity squared
_J2 = 1.5 * J2 * EARTH_A * EARTH_A
_LAYER = 250.0  # m of height that one cubic stands for
_LOWEST = -10e3  # m: the last step ends under the ground, and is smooth there


def _cubics() -> np.ndarray:
    """Half the air's density in layers of `_LAYER` from `_LOWEST` on, as coefficients of the share of the layer below, ``(layers + 1, 4)``.

    Each cubic goes through the values of `earth.air` at thirds of its layer: to 1e-8, 1e-3 in the layers where a temperature gradient
    of the standard begins.  The last one, at `DRAG_CEILING`, is 0.
    """
    layers = round((DRAG_CEILING - _LOWEST) / _LAYER)
    dense = getattr(air, "py_func", air)  # nothing is compiled where this is read
    at = np.array([[0.5 * dense(_LOWEST + (i + j / 3.0) * _LAYER)[0] for j in range(4)] for i in range(layers)])
    powers = np.vander(np.arange(4) / 3.0, increasing=True)
    return np.concatenate([np.linalg.solve(powers, at.T).T, np.zeros((1, 4))])


_AIR = _cubics()


# One at a time ------------------------------------------------------------------------------------------------------


@borrowing(forceinline=True)
def half_density(h):
    """Half the air's density, kg/m^3, at height h (m), of which below the ground the lowest layer goes on; none from `DRAG_CEILING` on."""
    u = (h - _LOWEST) * (1.0 / _LAYER)
    u = u if u > 0.0 else 0.0  # nan, too: nothing outside the table is read
    u = u if u < len(_AIR) - 1.0 else len(_AIR) - 1.0
    i = int(u)
    f = u - i
    return _AIR[i, 0] + f * (_AIR[i, 1] + f * (_AIR[i, 2] + f * _AIR[i, 3]))


@borrowing(forceinline=True)
def flow(x, y, z, vx, vy, vz, over):
    """Acceleration (three numbers) of a fall at a state, height there, drag over speed, distance from the Earth's centre.

    As `earth.free_acceleration` less `motions.drag_of`, with ``over`` = 1 / beta, what they have in common computed once.  The height
    is taken along the radius: on the ground it is 0 as the geodetic one is, and 150 km above 1 m more than that.
    """
    r2 = max(x * x + y * y + z * z, DEEPEST * DEEPEST)
    r, over2 = math.sqrt(r2), 1.0 / r2
    s = z * z * over2
    u = _EP2 * s  # series of a / sqrt(1 + u), to 0.1 mm
    h = r - EARTH_A * (1.0 - u * (0.5 - u * (0.375 - u * (0.3125 - u * 0.2734375))))
    v = math.sqrt(vx * vx + vy * vy + vz * vz)
    k = min(half_density(h) * v * factor_at(h, v) * over, DRAG_MOST / (v + 1.0))
    g = -MU * over2 * (r * over2)
    j = _J2 * over2
    xy = g * (1.0 + j * (1.0 - 5.0 * s)) + EARTH_OMEGA * EARTH_OMEGA
    zz = g * (1.0 + j * (3.0 - 5.0 * s))
    ax, ay = xy * x + 2.0 * EARTH_OMEGA * vy - k * vx, xy * y - 2.0 * EARTH_OMEGA * vx - k * vy
    return ax, ay, zz * z - k * vz, h, k, r


@borrowing
def _stride(h, k, climb):
    """Seconds that one step of the classical Runge-Kutta rule may take: short against what drag, the air's density and gravity change
    the motion in.

    Half of falls are then within a third of a metre of the truth's quarter-second steps, nine of ten within 3 m, 99 of 100 within 10 m: the
    drag coefficient has bends over the Mach number.
    """
    return max(1.0 / (k / 0.25 + climb / max(0.75 * (h - 60e3), 5e3) + 1.0 / 30.0), 0.2)


@borrowing(finished=True)
def _rk4(s, over, dt, y, q):
    """Move state s (6) on by dt seconds; with dt 0 by a `_stride`.  Returns the seconds; y (6), q (6) are scratch."""
    for i in range(6):
        y[i] = s[i]
        q[i] = 0.0
    for stage in range(4):
        ax, ay, az, h, k, r = flow(y[0], y[1], y[2], y[3], y[4], y[5], over)
        if stage == 0 and dt == 0.0:
            dt = _stride(h, k, abs(y[0] * y[3] + y[1] * y[4] + y[2] * y[5]) / r)
        weight, step = 2.0 if stage == 1 or stage == 2 else 1.0, (1.0 if stage == 2 else 0.5) * dt
        vx, vy, vz = y[3], y[4], y[5]
        q[0] += weight * vx
        q[1] += weight * vy
        q[2] += weight * vz
        q[3] += weight * ax
        q[4] += weight * ay
        q[5] += weight * az
        y[0] = s[0] + step * vx
        y[1] = s[1] + step * vy
        y[2] = s[2] + step * vz
        y[3] = s[3] + step * ax
        y[4] = s[4] + step * ay
        y[5] = s[5] + step * az
    for i in range(6):
        s[i] += dt / 6.0 * q[i]
    return dt


@borrowing
def _height(x, y, z):
    """As `flow` says."""
    _, _, _, h, _, _ = flow(x, y, z, 0.0, 0.0, 0.0, 0.0)
    return h


@borrowing
def fall(s, y, q):
    """Move state s (7: position, velocity, ln beta) to the ground; returns the seconds that takes, nan if it does not fall.

    y (6), q (6) are scratch.
    """
    t = 0.0
    h = _height(s[0], s[1], s[2])
    over = math.exp(-s[6])
    while h > 0.0:
        if t > LONGEST_FLIGHT:
            return math.nan
        before = h
        dt = _rk4(s, over, 0.0, y, q)
        t += dt
        h = _height(s[0], s[1], s[2])
        if h <= 0.0:
            t = _touch_down(s, over, t, dt, before, h, y, q)
    return t


@borrowing
def _touch_down(s, over, t, dt, before, h, y, q):
    """Move state s, which a step of dt s took from height ``before`` to h, below 0, at time t, to the ground; returns the time."""
    back = dt * h / (before - h)  # negative: the secant through the last two heights, then straight on
    if back != 0.0:
        _rk4(s, over, back, y, q)
    t += back
    r = math.sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2])
    back = -_height(s[0], s[1], s[2]) * r / min(s[0] * s[3] + s[1] * s[4] + s[2] * s[5], -0.1 * r)
    for i in range(3):
        s[i] += back * s[i + 3]
    return t + back


# Side by side -------------------------------------------------------------------------------------------------------


@borrowing(finished=True)
def _begin(w):
    """The first stage of a step of every lane, and how long the step is."""
    for i in range(LANES):
        x, y, z = w[_S + i], w[_S + LANES + i], w[_S + 2 * LANES + i]
        vx, vy, vz = w[_S + 3 * LANES + i], w[_S + 4 * LANES + i], w[_S + 5 * LANES + i]
        ax, ay, az, h, k, r = flow(x, y, z, vx, vy, vz, w[_E + i])
        dt = _stride(h, k, abs(x * vx + y * vy + z * vz) / r)
        step = 0.5 * dt
        w[_DT + i] = dt
        w[_Q + i] = vx
        w[_Q + LANES + i] = vy
        w[_Q + 2 * LANES + i] = vz
        w[_Q + 3 * LANES + i] = ax
        w[_Q + 4 * LANES + i] = ay
        w[_Q + 5 * LANES + i] = az
        w[_Y + i] = x + step * vx
        w[_Y + LANES + i] = y + step * vy
        w[_Y + 2 * LANES + i] = z + step * vz
        w[_Y + 3 * LANES + i] = vx + step * ax
        w[_Y + 4 * LANES + i] = vy + step * ay
        w[_Y + 5 * LANES + i] = vz + step * az


@borrowing(finished=True)
def _middle(w, share):
    """The second or the third stage: rates at ``y``, which is then the state after ``share`` of the step at these rates."""
    for i in range(LANES):
        vx, vy, vz = w[_Y + 3 * LANES + i], w[_Y + 4 * LANES + i], w[_Y + 5 * LANES + i]
        ax, ay, az, _, _, _ = flow(w[_Y + i], w[_Y + LANES + i], w[_Y + 2 * LANES + i], vx, vy, vz, w[_E + i])
        step = share * w[_DT + i]
        w[_Q + i] += 2.0 * vx
        w[_Q + LANES + i] += 2.0 * vy
        w[_Q + 2 * LANES + i] += 2.0 * vz
        w[_Q + 3 * LANES + i] += 2.0 * ax
        w[_Q + 4 * LANES + i] += 2.0 * ay
        w[_Q + 5 * LANES + i] += 2.0 * az
        w[_Y + i] = w[_S + i] + step * vx
        w[_Y + LANES + i] = w[_S + LANES + i] + step * vy
        w[_Y + 2 * LANES + i] = w[_S + 2 * LANES + i] + step * vz
        w[_Y + 3 * LANES + i] = w[_S + 3 * LANES + i] + step * ax
        w[_Y + 4 * LANES + i] = w[_S + 4 * LANES + i] + step * ay
        w[_Y + 5 * LANES + i] = w[_S + 5 * LANES + i] + step * az


@borrowing(finished=True)
def _end(w):
    """The last stage: the states at the end of the step, their time and height."""
    for i in range(LANES):
        vx, vy, vz = w[_Y + 3 * LANES + i], w[_Y + 4 * LANES + i], w[_Y + 5 * LANES + i]
        ax, ay, az, _, _, _ = flow(w[_Y + i], w[_Y + LANES + i], w[_Y + 2 * LANES + i], vx, vy, vz, w[_E + i])
        sixth = w[_DT + i] / 6.0
        x = w[_S + i] + sixth * (w[_Q + i] + vx)
        y = w[_S + LANES + i] + sixth * (w[_Q + LANES + i] + vy)
        z = w[_S + 2 * LANES + i] + sixth * (w[_Q + 2 * LANES + i] + vz)
        w[_S + i] = x
        w[_S + LANES + i] = y
        w[_S + 2 * LANES + i] = z
        w[_S + 3 * LANES + i] += sixth * (w[_Q + 3 * LANES + i] + ax)
        w[_S + 4 * LANES + i] += sixth * (w[_Q + 4 * LANES + i] + ay)
        w[_S + 5 * LANES + i] += sixth * (w[_Q + 5 * LANES + i] + az)
        w[_T + i] += w[_DT + i]
        w[_H + i] = _height(x, y, z)


@borrowing
def _put(w, i, s):
    """State s (7) into lane i."""
    for c in range(6):
        w[_S + c * LANES + i] = s[c]
    w[_T + i] = 0.0
    w[_H + i] = _height(s[0], s[1], s[2])
    w[_E + i] = math.exp(-s[6])


@borrowing
def _idle(w, i):
    """Nothing is in lane i."""
    for c in range(6):
        w[_S + c * LANES + i] = _IDLE if c == 0 else 0.0
    w[_H + i] = _IDLE
    w[_E + i] = 0.0


@borrowing
def fall_all(m, states, times, w, before, place, y, q):
    """`fall` of the states ``(m, 7)``, in place; the seconds that each takes are added to ``times (m,)``, nan where it does not fall.

    ``w (WORK,)``, ``before (LANES,)``, ``place (LANES,)``, y (6) and q (6) are scratch.
    """
    after, busy = 0, 0
    for i in range(LANES):
        after = _next(m, states, times, after, w, i, place)
        busy += place[i] >= 0
    while busy > 0:
        for i in range(LANES):
            before[i] = w[_H + i]
        _begin(w)
        _middle(w, 0.5)
        _middle(w, 1.0)
        _end(w)
        for i in range(LANES):
            p = place[i]
            t, h = w[_T + i], w[_H + i]
            if p < 0 or (h > 0.0 and not t > LONGEST_FLIGHT):
                continue
            for c in range(6):
                states[p, c] = w[_S + c * LANES + i]
            if h > 0.0:
                t = math.nan
            elif h <= 0.0:
                t = _touch_down(states[p], w[_E + i], t, w[_DT + i], before[i], h, y, q)
            times[p] += t
            after = _next(m, states, times, after, w, i, place)
            if place[i] < 0:
                busy -= 1
    return m


@borrowing
def _next(m, states, times, after, w, i, place):
    """Lane i takes the next of m states from number ``after`` on that is aloft; returns the number after it."""
    while after < m and (math.isnan(times[after]) or not _height(states[after, 0], states[after, 1], states[after, 2]) > 0.0):
        after += 1
    if after < m:
        place[i] = after
        _put(w, i, states[after])
        return after + 1
    place[i] = -1
    _idle(w, i)
    return after
