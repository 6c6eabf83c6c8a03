"""Many falls to the ground side by side: `forecast.fall` for `LANES` states at a time, to the bit.

What one step computes is a chain of roots and quotients that wait for one another; those of several states do not, and most of
them go into one vector instruction.  Where one state has come down the next one takes its lane.
"""

from __future__ import annotations

import math

from copfuse.kernels import borrowing
from copfuse.kernels.earth import air, altitude, free_acceleration

LANES = 8
# Places in the work array ``w``, of which every one has `LANES` numbers: state, the state at which rates are asked for, sum of rates
_S, _Y, _Q = 0, 6 * LANES, 12 * LANES
_DT, _T, _H, _K, _E = 18 * LANES, 19 * LANES, 20 * LANES, 21 * LANES, 22 * LANES  # step, time, height, drag over speed, exp(-ln beta)
WORK = 23 * LANES
_AIR_ENDS, _DRAG_MOST = 150e3, 3000.0  # as in `motions.drag_of`
_IDLE = 4e7  # m, where an empty lane is: far above the air


@borrowing
def heights(w):
    """Heights of the states at which rates are asked for."""
    for i in range(LANES):
        w[_H + i] = altitude(w[_Y + i], w[_Y + LANES + i], w[_Y + 2 * LANES + i])


@borrowing
def drags(w):
    """Drag over speed there, as `motions.drag_of`."""
    for i in range(LANES):
        h = w[_H + i]
        if h >= _AIR_ENDS:
            w[_K + i] = 0.0
        else:
            rho, _ = air(max(h, 0.0))
            a, b, c = w[_Y + 3 * LANES + i], w[_Y + 4 * LANES + i], w[_Y + 5 * LANES + i]
            v = math.sqrt(a * a + b * b + c * c)
            w[_K + i] = min(0.5 * rho * v * w[_E + i], _DRAG_MOST / (v + 1.0))


@borrowing
def strides(w):
    """Steps that may be taken from states (at the same time where rates are asked for), as `forecast.stride`."""
    for i in range(LANES):
        x, y, z = w[_Y + i], w[_Y + LANES + i], w[_Y + 2 * LANES + i]
        r = math.sqrt(x * x + y * y + z * z)
        climb = abs(x * w[_Y + 3 * LANES + i] + y * w[_Y + 4 * LANES + i] + z * w[_Y + 5 * LANES + i]) / r
        w[_DT + i] = max(1.0 / (w[_K + i] / 0.2 + climb / max(0.5 * (w[_H + i] - 70e3), 5e3) + 1.0 / 20.0), 0.2)


@borrowing
def stage(w, weight, share):
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
def arrive(w):
    """The end of a step: the states by the sum of their rates, which is empty again, and where rates are asked for next."""
    for i in range(LANES):
        w[_T + i] += w[_DT + i]
        h = w[_DT + i] / 6.0
        for c in range(6):
            w[_S + c * LANES + i] += h * w[_Q + c * LANES + i]
            w[_Y + c * LANES + i] = w[_S + c * LANES + i]
            w[_Q + c * LANES + i] = 0.0


@borrowing
def step(w):
    """One step of every lane, of the classical Runge-Kutta rule; `heights` and `drags` have been asked at its begin."""
    strides(w)
    stage(w, 1.0, 0.5)
    heights(w)
    drags(w)
    stage(w, 2.0, 0.5)
    heights(w)
    drags(w)
    stage(w, 2.0, 1.0)
    heights(w)
    drags(w)
    stage(w, 1.0, 0.0)
    arrive(w)
    heights(w)


@borrowing
def put(w, i, s):
    """State s (7) into lane i."""
    for c in range(6):
        w[_S + c * LANES + i] = s[c]
        w[_Y + c * LANES + i] = s[c]
        w[_Q + c * LANES + i] = 0.0
    w[_T + i] = 0.0
    w[_E + i] = math.exp(-s[6])


@borrowing
def idle(w, i):
    """Nothing is in lane i."""
    for c in range(6):
        w[_S + c * LANES + i] = _IDLE if c == 0 else 0.0
        w[_Y + c * LANES + i] = w[_S + c * LANES + i]
        w[_Q + c * LANES + i] = 0.0
    w[_E + i] = 0.0
