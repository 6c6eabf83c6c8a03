"""Falls to the ground, one at a time (`fall`) or `LANES` side by side (`fall_all`), to the bit alike.

What one step computes is a chain of roots and quotients that wait for one another; those of several states do not, and all of
them go into vector instructions.  Where one state has come down the next one takes its lane.  The air's density comes out of a
table of cubics, which takes no logarithm or power that would be computed lane by lane.
"""

from __future__ import annotations

import math

from copfuse.kernels import borrowing
from copfuse.kernels.eights import above, eight, larger, nought, put, root, size, smaller
from copfuse.kernels.mach import factors_at
from copfuse.kernels.pull import DRAG_CEILING, away, flow, half_densities, limited, pulled

LONGEST_FLIGHT = 7200.0  # s; what has not come down by then is in orbit
LANES = 8
# Rows of the work array ``w``, of `LANES` numbers each: state, the state at which rates are asked for, sum of rates
_S, _Y, _Q = 0, 6, 12
_DT, _T, _H, _E = 18, 19, 20, 21  # step, time, height, exp(-ln beta)
_R, _O = 22, 23  # distance from the Earth's centre, 1 over its square
_BEFORE = 24  # height before the step
WORK = 25
_IDLE = 4e7  # m, where an empty lane is: far above the air


# One at a time ------------------------------------------------------------------------------------------------------


@borrowing
def _stride(h, k, climb):
    """Seconds that one step of the classical Runge-Kutta rule may take: short against what drag, the air's density and gravity change
    the motion in.

    Half of falls are then within a third of a metre of the truth's quarter-second steps, nine of ten within 3 m, 99 of 100 within 10 m: the
    drag coefficient has bends over the Mach number.
    """
    return larger(1.0 / (k / 0.25 + climb / larger(0.75 * (h - 60e3), 5e3) + 1.0 / 30.0), 0.2)


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
    """As `away` says."""
    _, _, h = away(x, y, z)
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


@borrowing(forceinline=True)
def _heights(w, x, y, z):
    """What `away` says of positions, kept."""
    r, over2, h = away(x, y, z)
    put(r, w[_R])
    put(over2, w[_O])
    put(h, w[_H])


@borrowing(forceinline=True)
def _rates(w, x, y, z, vx, vy, vz):
    """Accelerations (three times eight numbers) at states of which the `_heights` are known, and drag over speed."""
    k = nought()
    h = eight(w[_H])
    if not above(h, DRAG_CEILING):
        v = root(vx * vx + vy * vy + vz * vz)
        k = limited(half_densities(h) * v * factors_at(h, v) * eight(w[_E]), v)
    ax, ay, az = pulled(x, y, z, vx, vy, vz, eight(w[_R]), eight(w[_O]), k)
    return ax, ay, az, k


@borrowing(forceinline=True)
def _first(w, c, step, rate):
    """Component ``c`` of the states, ``step`` s after the begin of the step at its first rates, into ``y``."""
    put(rate, w[_Q + c])
    put(eight(w[_S + c]) + step * rate, w[_Y + c])


@borrowing(forceinline=True)
def _further(w, c, step, rate):
    """Likewise at rates that count twice in their sum."""
    put(eight(w[_Q + c]) + 2.0 * rate, w[_Q + c])
    put(eight(w[_S + c]) + step * rate, w[_Y + c])


@borrowing(forceinline=True)
def _last(w, c, sixth, rate):
    """Component ``c`` of the states at the end of the step."""
    put(eight(w[_S + c]) + sixth * (eight(w[_Q + c]) + rate), w[_S + c])


@borrowing(finished=True)
def _begin(w, free):
    """The first stage of a step of every lane, whose `_heights` are known, and, where it is ``free``, how long the step is."""
    x, y, z = eight(w[_S]), eight(w[_S + 1]), eight(w[_S + 2])
    vx, vy, vz = eight(w[_S + 3]), eight(w[_S + 4]), eight(w[_S + 5])
    ax, ay, az, k = _rates(w, x, y, z, vx, vy, vz)
    if free:
        put(_stride(eight(w[_H]), k, size(x * vx + y * vy + z * vz) / eight(w[_R])), w[_DT])
    step = 0.5 * eight(w[_DT])
    _first(w, 0, step, vx)
    _first(w, 1, step, vy)
    _first(w, 2, step, vz)
    _first(w, 3, step, ax)
    _first(w, 4, step, ay)
    _first(w, 5, step, az)


@borrowing(finished=True)
def _middle(w, share):
    """The second or the third stage: rates at ``y``, which is then the state after ``share`` of the step at these rates."""
    x, y, z = eight(w[_Y]), eight(w[_Y + 1]), eight(w[_Y + 2])
    vx, vy, vz = eight(w[_Y + 3]), eight(w[_Y + 4]), eight(w[_Y + 5])
    _heights(w, x, y, z)
    ax, ay, az, _ = _rates(w, x, y, z, vx, vy, vz)
    step = share * eight(w[_DT])
    _further(w, 0, step, vx)
    _further(w, 1, step, vy)
    _further(w, 2, step, vz)
    _further(w, 3, step, ax)
    _further(w, 4, step, ay)
    _further(w, 5, step, az)


@borrowing(finished=True)
def _end(w):
    """The last stage: the states at the end of the step, their time and `_heights`."""
    x, y, z = eight(w[_Y]), eight(w[_Y + 1]), eight(w[_Y + 2])
    vx, vy, vz = eight(w[_Y + 3]), eight(w[_Y + 4]), eight(w[_Y + 5])
    _heights(w, x, y, z)
    ax, ay, az, _ = _rates(w, x, y, z, vx, vy, vz)
    sixth = eight(w[_DT]) / 6.0
    _last(w, 0, sixth, vx)
    _last(w, 1, sixth, vy)
    _last(w, 2, sixth, vz)
    _last(w, 3, sixth, ax)
    _last(w, 4, sixth, ay)
    _last(w, 5, sixth, az)
    put(eight(w[_T]) + eight(w[_DT]), w[_T])
    _heights(w, eight(w[_S]), eight(w[_S + 1]), eight(w[_S + 2]))


@borrowing
def _put(w, i, s):
    """State s (7) into lane i."""
    for c in range(6):
        w[_S + c, i] = s[c]
    w[_T, i] = 0.0
    w[_R, i], w[_O, i], w[_H, i] = away(s[0], s[1], s[2])
    w[_E, i] = math.exp(-s[6])


@borrowing
def _idle(w, i):
    """Nothing is in lane i."""
    for c in range(6):
        w[_S + c, i] = _IDLE if c == 0 else 0.0
    w[_R, i], w[_O, i], w[_H, i] = away(_IDLE, 0.0, 0.0)
    w[_E, i] = 0.0


@borrowing
def _go(w, free):
    """A step of every lane."""
    _begin(w, free)
    _middle(w, 0.5)
    _middle(w, 1.0)
    _end(w)


@borrowing
def _below(w, i, before, down, j):
    """What has come under the ground in lane i, from height ``before``, into lane j of those for which `_all_down` is to be called."""
    for row in range(WORK):
        down[row, j] = w[row, i]
    h = w[_H, i]
    down[_DT, j] = w[_DT, i] * h / (before - h)


@borrowing
def _all_down(down, count, which, states, times):
    """`_touch_down` of ``count`` lanes, which are the states of these numbers (count,)."""
    _go(down, False)
    x, y, z = eight(down[_S]), eight(down[_S + 1]), eight(down[_S + 2])
    vx, vy, vz = eight(down[_S + 3]), eight(down[_S + 4]), eight(down[_S + 5])
    r = root(x * x + y * y + z * z)
    back = (nought() - eight(down[_H])) * r / smaller(x * vx + y * vy + z * vz, -0.1 * r)
    put(eight(down[_T]) + back, down[_T])
    put(x + back * vx, down[_S])
    put(y + back * vy, down[_S + 1])
    put(z + back * vz, down[_S + 2])
    for j in range(count):
        for c in range(6):
            states[which[j], c] = down[_S + c, j]
        times[which[j]] += down[_T, j]


@borrowing
def fall_all(m, states, times, w, place):
    """`fall` of the states ``(m, 7)``, in place; the seconds that each takes are added to ``times (m,)``, nan where it does not fall.

    ``w (2, WORK, LANES)`` and ``place (2, LANES)`` are scratch: of those that fall, and of those that are to be brought up to the ground.
    """
    lanes, down, which, before = w[0], w[1], place[1], w[0, _BEFORE]
    after, busy, below = 0, 0, 0
    for i in range(LANES):
        after = _next(m, states, times, after, lanes, i, place[0])
        busy += place[0, i] >= 0
    while busy > 0:
        put(eight(lanes[_H]), before)
        _go(lanes, True)
        for i in range(LANES):
            p, h = place[0, i], lanes[_H, i]
            if p < 0 or (h > 0.0 and not lanes[_T, i] > LONGEST_FLIGHT):
                continue
            if h <= 0.0:
                which[below] = p
                _below(lanes, i, before[i], down, below)
                below += 1
            else:
                for c in range(6):
                    states[p, c] = lanes[_S + c, i]
                times[p] += math.nan if h > 0.0 else lanes[_T, i]
            if below == LANES:
                _all_down(down, below, which, states, times)
                below = 0
            after = _next(m, states, times, after, lanes, i, place[0])
            busy -= place[0, i] < 0
    if below > 0:
        _all_down(down, below, which, states, times)
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
