"""Falls to the ground, one at a time (`fall`) or `LANES` side by side (`fall_all`), to the bit alike.

What one step computes is a chain of roots and quotients that wait for one another; those of several states do not, and most of
them go into one vector instruction.  Where one state has come down the next one takes its lane.
"""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import borrowing
from copfuse.kernels.earth import air, altitude, free_acceleration
from copfuse.kernels.motions import DRAG_CEILING, DRAG_MOST, REENTRY, derivative, drag

LONGEST_FLIGHT = 7200.0  # s; what has not come down by then is in orbit
LANES = 8
# Places in the work array ``w``, of which every one has `LANES` numbers: state, the state at which rates are asked for, sum of rates
_S, _Y, _Q = 0, 6 * LANES, 12 * LANES
_DT, _T, _H, _K, _E = 18 * LANES, 19 * LANES, 20 * LANES, 21 * LANES, 22 * LANES  # step, time, height, drag over speed, exp(-ln beta)
WORK = 23 * LANES
_IDLE = 4e7  # m, where an empty lane is: far above the air
_FALLING = np.array([REENTRY])[0]  # numpy's, as numba compiles for each plain number anew


# One at a time ------------------------------------------------------------------------------------------------------


@borrowing
def _rk4(s, dt, k, y):
    derivative(_FALLING, s, k[0])
    for i in range(7):
        y[i] = s[i] + 0.5 * dt * k[0, i]
    derivative(_FALLING, y, k[1])
    for i in range(7):
        y[i] = s[i] + 0.5 * dt * k[1, i]
    derivative(_FALLING, y, k[2])
    for i in range(7):
        y[i] = s[i] + dt * k[2, i]
    derivative(_FALLING, y, k[3])
    for i in range(7):
        s[i] += dt / 6.0 * (k[0, i] + 2.0 * k[1, i] + 2.0 * k[2, i] + k[3, i])


@borrowing
def _stride(s, h):
    """Seconds that one step of `_rk4` may take: short against what drag, the air's density and gravity change the motion in.

    Some 40 steps are then within metres of an exact integration where steps of a second in the air took 150.
    """
    r = math.sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2])
    climb = abs(s[0] * s[3] + s[1] * s[4] + s[2] * s[5]) / r
    return max(1.0 / (drag(s) / 0.2 + climb / max(0.5 * (h - 70e3), 5e3) + 1.0 / 20.0), 0.2)


@borrowing
def fall(s, k, y):
    """Move state s (7: position, velocity, ln beta) to the ground; returns the seconds that takes, nan if it does not fall."""
    t = 0.0
    h = altitude(s[0], s[1], s[2])
    while h > 0.0:
        if t > LONGEST_FLIGHT:
            return math.nan
        dt = _stride(s, h)
        before = h
        _rk4(s, dt, k, y)
        t += dt
        h = altitude(s[0], s[1], s[2])
        if h <= 0.0:
            t = _touch_down(s, t, dt, before, h, k, y)
    return t


@borrowing
def _touch_down(s, t, dt, before, h, k, y):
    """Move state s, which a step of dt s took from height ``before`` to h, below 0, at time t, to the ground; returns the time."""
    back = dt * h / (before - h)  # negative: the secant through the last two heights, then Newton
    _rk4(s, back, k, y)
    t += back
    r = math.sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2])
    back = -altitude(s[0], s[1], s[2]) * r / min(s[0] * s[3] + s[1] * s[4] + s[2] * s[5], -0.1 * r)
    _rk4(s, back, k, y)
    return t + back


# Side by side -------------------------------------------------------------------------------------------------------


@borrowing
def _heights(w):
    """Heights of the states at which rates are asked for."""
    for i in range(LANES):
        w[_H + i] = altitude(w[_Y + i], w[_Y + LANES + i], w[_Y + 2 * LANES + i])


@borrowing
def _drags(w):
    """Drag over speed there, as `motions.drag_of`."""
    for i in range(LANES):
        h = w[_H + i]
        if h >= DRAG_CEILING:
            w[_K + i] = 0.0
        else:
            rho, _ = air(max(h, 0.0))
            a, b, c = w[_Y + 3 * LANES + i], w[_Y + 4 * LANES + i], w[_Y + 5 * LANES + i]
            v = math.sqrt(a * a + b * b + c * c)
            w[_K + i] = min(0.5 * rho * v * w[_E + i], DRAG_MOST / (v + 1.0))


@borrowing
def _strides(w):
    """Steps that may be taken from states (at the same time where rates are asked for), as `_stride`."""
    for i in range(LANES):
        x, y, z = w[_Y + i], w[_Y + LANES + i], w[_Y + 2 * LANES + i]
        r = math.sqrt(x * x + y * y + z * z)
        climb = abs(x * w[_Y + 3 * LANES + i] + y * w[_Y + 4 * LANES + i] + z * w[_Y + 5 * LANES + i]) / r
        w[_DT + i] = max(1.0 / (w[_K + i] / 0.2 + climb / max(0.5 * (w[_H + i] - 70e3), 5e3) + 1.0 / 20.0), 0.2)


@borrowing
def _stage(w, weight, share):
    """Rates at ``y``, added to their sum ``weight`` times; then y is the state after ``share`` of the step at these rates."""
    for i in range(LANES):
        vx, vy, vz = w[_Y + 3 * LANES + i], w[_Y + 4 * LANES + i], w[_Y + 5 * LANES + i]
        ax, ay, az = free_acceleration(w[_Y + i], w[_Y + LANES + i], w[_Y + 2 * LANES + i], vx, vy)
        k, step = w[_K + i], share * w[_DT + i]
        ax -= k * vx
        ay -= k * vy
        az -= k * vz
        w[_Q + i] += weight * vx
        w[_Q + LANES + i] += weight * vy
        w[_Q + 2 * LANES + i] += weight * vz
        w[_Q + 3 * LANES + i] += weight * ax
        w[_Q + 4 * LANES + i] += weight * ay
        w[_Q + 5 * LANES + i] += weight * az
        w[_Y + i] = w[_S + i] + step * vx
        w[_Y + LANES + i] = w[_S + LANES + i] + step * vy
        w[_Y + 2 * LANES + i] = w[_S + 2 * LANES + i] + step * vz
        w[_Y + 3 * LANES + i] = w[_S + 3 * LANES + i] + step * ax
        w[_Y + 4 * LANES + i] = w[_S + 4 * LANES + i] + step * ay
        w[_Y + 5 * LANES + i] = w[_S + 5 * LANES + i] + step * az


@borrowing
def _arrive(w):
    """The end of a step: the states by the sum of their rates, which is empty again, and where rates are asked for next."""
    for i in range(LANES):
        w[_T + i] += w[_DT + i]
        h = w[_DT + i] / 6.0
        for c in range(6):
            w[_S + c * LANES + i] += h * w[_Q + c * LANES + i]
            w[_Y + c * LANES + i] = w[_S + c * LANES + i]
            w[_Q + c * LANES + i] = 0.0


@borrowing
def _step(w):
    """One step of every lane, of the classical Runge-Kutta rule; `_heights` and `_drags` have been asked at its begin."""
    _strides(w)
    _stage(w, 1.0, 0.5)
    _heights(w)
    _drags(w)
    _stage(w, 2.0, 0.5)
    _heights(w)
    _drags(w)
    _stage(w, 2.0, 1.0)
    _heights(w)
    _drags(w)
    _stage(w, 1.0, 0.0)
    _arrive(w)
    _heights(w)


@borrowing
def _put(w, i, s):
    """State s (7) into lane i."""
    for c in range(6):
        w[_S + c * LANES + i] = s[c]
        w[_Y + c * LANES + i] = s[c]
        w[_Q + c * LANES + i] = 0.0
    w[_T + i] = 0.0
    w[_E + i] = math.exp(-s[6])


@borrowing
def _idle(w, i):
    """Nothing is in lane i."""
    for c in range(6):
        w[_S + c * LANES + i] = _IDLE if c == 0 else 0.0
        w[_Y + c * LANES + i] = w[_S + c * LANES + i]
        w[_Q + c * LANES + i] = 0.0
    w[_E + i] = 0.0


@borrowing
def fall_all(m, states, times, w, before, place, k, y):
    """`fall` of the states ``(m, 7)``, in place; the seconds that each takes are added to ``times (m,)``, nan where it does not fall.

    ``w (WORK,)``, ``before (LANES,)`` and ``place (LANES,)`` are scratch.
    """
    after, busy = 0, 0
    for i in range(LANES):
        after = _next(m, states, times, after, w, i, place)
        busy += place[i] >= 0
    _heights(w)
    while busy > 0:
        _drags(w)
        for i in range(LANES):
            before[i] = w[_H + i]
        _step(w)
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
                t = _touch_down(states[p], t, w[_DT + i], before[i], h, k, y)
            times[p] += t
            after = _next(m, states, times, after, w, i, place)
            if place[i] < 0:
                busy -= 1
            else:
                w[_H + i] = altitude(states[place[i], 0], states[place[i], 1], states[place[i], 2])
    return m


@borrowing
def _next(m, states, times, after, w, i, place):
    """Lane i takes the next of m states from number ``after`` on that is aloft; returns the number after it."""
    while after < m and (math.isnan(times[after]) or not altitude(states[after, 0], states[after, 1], states[after, 2]) > 0.0):
        after += 1
    if after < m:
        place[i] = after
        _put(w, i, states[after])
        return after + 1
    place[i] = -1
    _idle(w, i)
    return after
