"""Bodies that lift carries on, `LANES` side by side (`soar_all`), each as if it were alone.

As in `falls`: the roots and quotients of one step wait for one another, those of several states do not and go into vector instructions.
"""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import borrowing
from copfuse.kernels.falls import LANES, LONGEST_FLIGHT, flow
from copfuse.kernels.motions import across, ahead

# Where lift must be allowed for: greatest lift over drag, and the speed, m/s, at which it ends in a dive; *notional*
SOARS = np.array([[1.0, 1500.0], [1.0, 900.0], [2.0, 1500.0], [2.0, 900.0], [3.0, 900.0]])
_BACK = 0.7  # lift ends at this share of the speed at the latest
_SOARING = 0.2  # share of its speed that drag may take from a body with lift in a step
_LEVELLING = 0.1  # 1/s, how fast lift takes the sink out of a path, *notional*
# Places in the work array ``w``, of which every one has `LANES` numbers: state, its acceleration, the state at a step's middle
_S, _A, _Y = 0, 6 * LANES, 9 * LANES
_DT, _T, _H, _K, _V = 15 * LANES, 16 * LANES, 17 * LANES, 18 * LANES, 19 * LANES  # step, time, height, drag over speed, speed
_E, _RATIO, _LAST = 20 * LANES, 21 * LANES, 22 * LANES  # exp(-ln beta), greatest lift over drag, speed at which lift ends at the latest
WORK_SOARING = 23 * LANES
_IDLE = 4e7  # m, where an empty lane is: far above the air


@borrowing(forceinline=True)
def _soaring(x, y, z, vx, vy, vz, over, ratio):
    """Acceleration (three numbers) under drag (``over`` = 1 / beta) and the lift that turns the path level; height, drag over speed, speed.

    Parabolic polar: drag is D0 (1 + (lift / most)^2) with most = 2 ratio D0, so that lift over drag is greatest, ``ratio``, at ``most``.
    """
    ax, ay, az, h, k, r = flow(x, y, z, vx, vy, vz, over)
    v, e0, e1, e2 = ahead((x, y, z, vx, vy, vz))
    clean = k * v
    most = 2.0 * ratio * clean
    u0, u1, u2, _, _, _ = across((x, y, z), e0, e1, e2)
    sine = (x * e0 + y * e1 + z * e2) / r
    falling = ax * u0 + ay * u1 + az * u2
    wanted = -falling - v * v * math.sqrt(max(1.0 - sine * sine, 0.0)) / r - _LEVELLING * v * sine
    some = most >= 1e-6  # else there is no air
    lift = min(max(wanted, 0.0), most) if some else 0.0
    share = lift / (most if some else 1.0)
    more = clean * (share * share)
    return ax + (lift * u0 - more * e0), ay + (lift * u1 - more * e1), az + (lift * u2 - more * e2), h, k, v


@borrowing(finished=True)
def _begin(w):
    """Acceleration, height, drag and speed at the states."""
    for i in range(LANES):
        x, y, z = w[_S + i], w[_S + LANES + i], w[_S + 2 * LANES + i]
        vx, vy, vz = w[_S + 3 * LANES + i], w[_S + 4 * LANES + i], w[_S + 5 * LANES + i]
        ax, ay, az, h, k, v = _soaring(x, y, z, vx, vy, vz, w[_E + i], w[_RATIO + i])
        w[_A + i] = ax
        w[_A + LANES + i] = ay
        w[_A + 2 * LANES + i] = az
        w[_H + i] = h
        w[_K + i] = k
        w[_V + i] = v


@borrowing(finished=True)
def _middle(w):
    """How long a step of every lane is, the states at its middle, and then at its end, by the rates in the middle."""
    for i in range(LANES):
        dt = min(min(max(0.5 * (w[_H + i] - 100e3) / w[_V + i], 1.0), 60.0), _SOARING / max(w[_K + i], 1e-9))
        half = 0.5 * dt
        w[_DT + i] = dt
        for c in range(3):
            w[_Y + c * LANES + i] = w[_S + c * LANES + i] + half * w[_S + (3 + c) * LANES + i]
            w[_Y + (3 + c) * LANES + i] = w[_S + (3 + c) * LANES + i] + half * w[_A + c * LANES + i]
    for i in range(LANES):
        x, y, z = w[_Y + i], w[_Y + LANES + i], w[_Y + 2 * LANES + i]
        vx, vy, vz = w[_Y + 3 * LANES + i], w[_Y + 4 * LANES + i], w[_Y + 5 * LANES + i]
        ax, ay, az, _, _, _ = _soaring(x, y, z, vx, vy, vz, w[_E + i], w[_RATIO + i])
        dt = w[_DT + i]
        w[_S + i] += dt * vx
        w[_S + LANES + i] += dt * vy
        w[_S + 2 * LANES + i] += dt * vz
        w[_S + 3 * LANES + i] += dt * ax
        w[_S + 4 * LANES + i] += dt * ay
        w[_S + 5 * LANES + i] += dt * az
        w[_T + i] += dt


@borrowing
def _next(m, ways, states, after, w, i, place):
    """Lane i takes the next of m states from number ``after`` on that lift carries; returns the number after it."""
    while after < m and ways[after] <= 0:
        after += 1
    w[_T + i] = 0.0
    if after < m:
        s = states[after]
        place[i] = after
        for c in range(6):
            w[_S + c * LANES + i] = s[c]
        w[_E + i], w[_RATIO + i] = math.exp(-s[6]), SOARS[ways[after] - 1, 0]
        w[_LAST + i] = _BACK * math.sqrt(s[3] * s[3] + s[4] * s[4] + s[5] * s[5])
        return after + 1
    place[i] = -1
    for c in range(6):
        w[_S + c * LANES + i] = _IDLE if c == 0 else 1.0
    w[_E + i], w[_RATIO + i] = 0.0, 0.0
    return after


@borrowing
def _arrived(m, ways, states, times, w, i, place):
    """Whether what is in lane i has come to the ground or to where lift ends, and so with what goes on from there, more slowly, in the
    places behind; they are written."""
    p, t = place[i], w[_T + i]
    while True:
        if w[_H + i] > 0.0 and w[_V + i] > min(SOARS[abs(ways[p]) - 1, 1], w[_LAST + i]):
            if t <= LONGEST_FLIGHT:
                place[i] = p
                return False
            t = math.nan
        for c in range(6):
            states[p, c] = w[_S + c * LANES + i]
        times[p] = t
        p += 1
        if p == m or ways[p] >= 0:
            return True


@borrowing
def soar_all(m, ways, states, times, w, place):
    """Move those of m states ``(m, 7)`` with lift on, in place, until each is slow or on the ground; ``times (m,)`` are then the seconds
    that it took, nan for what does not come down.

    ``ways (m,)``: 1 + the row of `SOARS` by which lift carries a state, 0 for none; negative for what goes on more slowly from where the
    place before it has come to.  ``w (WORK_SOARING,)`` and ``place (LANES,)`` are scratch.
    """
    after, busy = 0, 0
    for i in range(LANES):
        after = _next(m, ways, states, after, w, i, place)
        busy += place[i] >= 0
    while busy > 0:
        _begin(w)
        fresh = False
        for i in range(LANES):
            if place[i] >= 0 and _arrived(m, ways, states, times, w, i, place):
                after = _next(m, ways, states, after, w, i, place)
                fresh = fresh or place[i] >= 0
                busy -= place[i] < 0
        if not fresh:
            _middle(w)
    return m
