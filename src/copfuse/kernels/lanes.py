"""Cubature points of several models moved side by side, `LANES` at a time: `motions.propagate` for many states.

What one state's rates are computed by is a chain of roots and quotients that wait for one another; those of several states do
not, and most of them go into one vector instruction.  Every lane is asked for gravity, Coriolis and a push that stays as it is (which
is nothing but for MANOEUVRE); thrust, drag and lift are asked for where a state of these `LANES` has them, and are 0 in the others.
"""

from __future__ import annotations

import math

from copfuse.constants import EARTH_A, EARTH_B, EARTH_E2, EARTH_OMEGA, J2, MU
from copfuse.kernels import borrowing
from copfuse.kernels.earth import DEEPEST
from copfuse.kernels.eights import (
    above,
    eight,
    eight_at,
    larger,
    nought,
    put,
    put_at,
    put_first,
    root,
    run,
    size,
    smaller,
    turn,
    where_below,
)
from copfuse.kernels.mach import factors_at
from copfuse.kernels.motions import LEAST_COSINE, LIFT_TIME, MOST_FLOW, MOST_THRUST
from copfuse.kernels.pull import DRAG_CEILING, exponential, limited, thickness
from copfuse.kernels.small import squares

LANES = 16
# Places in the work array ``w``, of which every one has `LANES` numbers: state (position, velocity, thrust, mass flow), the state at
# which rates are asked for, weighted sum of rates; then acceleration, push, exp(-ln beta), lift and turn
_S, _Y, _Q, _A, _P = 0, 8 * LANES, 16 * LANES, 24 * LANES, 27 * LANES
_E, _L = 30 * LANES, 31 * LANES
_R = 33 * LANES  # scratch
_C, _M = 34 * LANES, 37 * LANES  # the components that a model adds as they come in, and the model
_W = 38 * LANES  # wind
WORK = 41 * LANES
LONGEST = 10.0  # s, a step
SHORTEST = 0.2  # s, a step that drag asks for
_EP2 = (EARTH_A / EARTH_B) ** 2 - 1.0  # second eccentricity squared
_J2 = 1.5 * J2 * EARTH_A * EARTH_A
_EMPTY = EARTH_A + DRAG_CEILING  # m, distance from the Earth's centre beyond which there is no drag anywhere


# Rates ---------------------------------------------------------------------------------------------------------------


@borrowing(forceinline=True)
def _dragged(w, i, z, r, over, v, slowed):
    """Height, and drag over speed (as `motions.drag_at`), of eight states so far (``r``, ``over`` = 1 over its square) from the Earth's
    centre and so fast through the air (``v``); where drag is not asked for, or all are far out, that is nought.

    The height is that along the radius, from a series (`falls.flow`), less what the vertical is shorter: to 2 cm up to `DRAG_CEILING`.
    """
    h, k = nought() + DRAG_CEILING, nought()
    if slowed and not above(r, _EMPTY):
        s = z * z * over
        u = _EP2 * s
        h = r - EARTH_A * (1.0 - u * (0.5 - u * (0.375 - u * (0.3125 - u * 0.2734375))))
        h = h - 0.5 * EARTH_E2 * EARTH_E2 * h * s * (1.0 - s)
        k = 0.5 * thickness(smaller(larger(h, 0.0), DRAG_CEILING)) * v * eight_at(w, _E + i) * factors_at(h, v)
        k = where_below(h, DRAG_CEILING, limited(k, v), nought())
    return h, k


@borrowing(forceinline=True)
def _rates(w, at, i, thrust, drag, lift, left):
    """Rates of eight states, which stand at ``at``, from lane i on: velocity and acceleration, and what these come of: height, drag over
    speed, distance from the Earth's centre, 1 over its square, and speed.

    Acceleration is that of free fall (`earth.free_acceleration`), the push that stays, thrust, which is along the velocity, drag, and of
    lift and turn, along `motions.across`, the share ``left``.
    """
    x, y, z = eight_at(w, at + i), eight_at(w, at + LANES + i), eight_at(w, at + 2 * LANES + i)
    a, b, c = eight_at(w, at + 3 * LANES + i), eight_at(w, at + 4 * LANES + i), eight_at(w, at + 5 * LANES + i)
    r2 = larger(x * x + y * y + z * z, DEEPEST * DEEPEST)
    r, over = root(r2), 1.0 / r2
    g, j, s = -MU * over * (r * over), _J2 * over, 5.0 * z * z * over
    xy = g * (1.0 + j * (1.0 - s)) + EARTH_OMEGA * EARTH_OMEGA
    ax = xy * x + 2.0 * EARTH_OMEGA * b + eight_at(w, _P + i)
    ay = xy * y - 2.0 * EARTH_OMEGA * a + eight_at(w, _P + LANES + i)
    az = g * (1.0 + j * (3.0 - s)) * z + eight_at(w, _P + 2 * LANES + i)
    p, q, o = a, b, c  # velocity through the air: what has thrust or lift flies in calm air
    if drag:
        p, q, o = a - eight_at(w, _W + i), b - eight_at(w, _W + LANES + i), c - eight_at(w, _W + 2 * LANES + i)
    v = root(p * p + q * q + o * o) if thrust or drag or lift else nought()
    if thrust:
        t = eight_at(w, at + 6 * LANES + i) / (v + 1e-3)
        ax, ay, az = ax + t * p, ay + t * q, az + t * o
    h, k = _dragged(w, i, z, r, over, v, drag)
    if drag:
        ax, ay, az = ax - k * p, ay - k * q, az - k * o
    if lift:
        t, n = 1.0 / (v + 1e-3), r * over
        e0, e1, e2, x, y, z = t * p, t * q, t * o, n * x, n * y, n * z
        sine = x * e0 + y * e1 + z * e2
        n = 1.0 / root(larger(1.0 - sine * sine, LEAST_COSINE * LEAST_COSINE))
        u0, u1, u2 = n * (x - sine * e0), n * (y - sine * e1), n * (z - sine * e2)
        up, right = left * eight_at(w, _L + i), left * eight_at(w, _L + LANES + i)
        ax = ax + (up * u0 + right * (e1 * u2 - e2 * u1))
        ay = ay + (up * u1 + right * (e2 * u0 - e0 * u2))
        az = az + (up * u2 + right * (e0 * u1 - e1 * u0))
    return a, b, c, ax, ay, az, h, k, r, over, v


@borrowing(forceinline=True)
def _burnt(w, at, i):
    """Rates of thrust and mass flow, which grow as the rocket gets lighter."""
    a, b = eight_at(w, at + 6 * LANES + i), eight_at(w, at + 7 * LANES + i)
    a4, b4 = a * (1.0 / MOST_THRUST), b * (1.0 / MOST_FLOW)
    a4, b4 = a4 * a4, b4 * b4
    return a * b * larger(1.0 - a4 * a4, 0.0), b * b * larger(1.0 - b4 * b4, 0.0)


# One step of the classical Runge-Kutta rule --------------------------------------------------------------------------


@borrowing(forceinline=True)
def _further(w, c, weight, step, rate):
    """Eight numbers of the states from place c on, ``step`` s after the begin of the step at these rates, which count ``weight`` times in
    their sum."""
    put_at(eight_at(w, _Q + c) + weight * rate, w, _Q + c)
    put_at(eight_at(w, _S + c) + step * rate, w, _Y + c)


@borrowing(forceinline=True)
def _last(w, c, sixth, rate):
    """Those at the end of the step."""
    put_at(eight_at(w, _S + c) + sixth * (eight_at(w, _Q + c) + rate), w, _S + c)


@borrowing(finished=True)
def _begin(w, thrust, drag, lift):
    """Accelerations at the states, and seconds that one step of all lanes may take: short against what drag, the air's density and
    thrust's turn change the motion in."""
    fastest, slowest = nought(), nought() + 2e4
    for i in range(0, LANES, 8):
        a, b, c, ax, ay, az, h, k, r, over, v = _rates(w, _S, i, thrust, drag, lift, 1.0)
        put_at(ax, w, _A + i)
        put_at(ay, w, _A + LANES + i)
        put_at(az, w, _A + 2 * LANES + i)
        if drag:
            climb = size(eight_at(w, _S + i) * a + eight_at(w, _S + LANES + i) * b + eight_at(w, _S + 2 * LANES + i) * c) * r * over
            change = k * 5.0 + climb / larger(0.5 * (h - 70e3), 5e3)
            change = where_below(h, DRAG_CEILING, change, nought())
            fastest = larger(where_below(nought() - eight_at(w, _E + i), 0.0, change, nought()), fastest)
        if thrust:
            burns = where_below(nought() - size(eight_at(w, _S + 6 * LANES + i)), 0.0, v, nought() + 2e4)
            slowest = smaller(burns, slowest)
    least = 1.0 / LONGEST
    if drag:
        put_at(fastest, w, _R)
        most = 0.0
        for i in range(8):
            most = max(most, w[_R + i])
        least = min(least + most, 1.0 / SHORTEST)
    if thrust:
        put_at(slowest, w, _R)
        speed = 2e4
        for i in range(8):
            speed = min(speed, w[_R + i])
        least = max(least, 1.0 / min(max(speed / 100.0, 2.0), 5.0))
    return 1.0 / least


@borrowing
def _leave(w, step, thrust):
    """The states ``step`` s after the begin at the rates there, which are the first of their sum."""
    for i in range(3 * LANES):
        rate, push = w[_S + 3 * LANES + i], w[_A + i]
        w[_Q + i], w[_Q + 3 * LANES + i] = rate, push
        w[_Y + i] = w[_S + i] + step * rate
        w[_Y + 3 * LANES + i] = w[_S + 3 * LANES + i] + step * push
    if thrust:
        for i in range(0, LANES, 8):
            put_at(nought(), w, _Q + 6 * LANES + i)
            put_at(nought(), w, _Q + 7 * LANES + i)
            rate, flow = _burnt(w, _S, i)
            _further(w, 6 * LANES + i, 1.0, step, rate)
            _further(w, 7 * LANES + i, 1.0, step, flow)


@borrowing(finished=True)
def _middle(w, step, thrust, drag, lift, left):
    """Rates at ``y``, twice in their sum; then y is the state ``step`` s after the begin at these rates."""
    for i in range(0, LANES, 8):
        a, b, c, ax, ay, az, _, _, _, _, _ = _rates(w, _Y, i, thrust, drag, lift, left)
        if thrust:
            rate, flow = _burnt(w, _Y, i)
            _further(w, 6 * LANES + i, 2.0, step, rate)
            _further(w, 7 * LANES + i, 2.0, step, flow)
        _further(w, i, 2.0, step, a)
        _further(w, LANES + i, 2.0, step, b)
        _further(w, 2 * LANES + i, 2.0, step, c)
        _further(w, 3 * LANES + i, 2.0, step, ax)
        _further(w, 4 * LANES + i, 2.0, step, ay)
        _further(w, 5 * LANES + i, 2.0, step, az)


@borrowing(finished=True)
def _arrive(w, step, thrust, drag, lift, left):
    """The end of a step: the states by the sum of their rates; lift and turn fade."""
    sixth = step / 6.0
    for i in range(0, LANES, 8):
        a, b, c, ax, ay, az, _, _, _, _, _ = _rates(w, _Y, i, thrust, drag, lift, left)
        if thrust:
            rate, flow = _burnt(w, _Y, i)
            _last(w, 6 * LANES + i, sixth, rate)
            _last(w, 7 * LANES + i, sixth, flow)
        _last(w, i, sixth, a)
        _last(w, LANES + i, sixth, b)
        _last(w, 2 * LANES + i, sixth, c)
        _last(w, 3 * LANES + i, sixth, ax)
        _last(w, 4 * LANES + i, sixth, ay)
        _last(w, 5 * LANES + i, sixth, az)
    for i in range(2 * LANES):
        w[_L + i] *= left


@borrowing
def _go(w, dt, thrust, drag, lift):
    """All lanes by dt seconds (either sign)."""
    left = dt
    while left != 0.0:
        steps = math.ceil(abs(left) / _begin(w, thrust, drag, lift))
        step = left / steps
        half = math.exp(-abs(step) / (2.0 * LIFT_TIME)) if lift else 1.0
        _leave(w, 0.5 * step, thrust)
        _middle(w, 0.5 * step, thrust, drag, lift, half)
        _middle(w, step, thrust, drag, lift, half)
        _arrive(w, step, thrust, drag, lift, half * half)
        left = left - step if steps > 1 else 0.0


# In and out ----------------------------------------------------------------------------------------------------------


@borrowing
def scatter(n, x, upper, points):
    """The 2 n cubature points, rows of ``points``, of a mean and of a covariance of which ``upper (n, 9)`` are the root's `columns`."""
    spread, mean = math.sqrt(n), eight(x)
    for j in range(n):
        away, last = spread * eight(upper[j]), spread * upper[j, 8]
        put(mean + away, points[2 * j])
        put(mean - away, points[2 * j + 1])
        points[2 * j, 8] = x[8] + last
        points[2 * j + 1, 8] = x[8] - last


@borrowing
def gather(n, points, x, P):
    """Mean and covariance of the 2 n points, of which the deviations are left."""
    w = 1.0 / (2 * n)
    first, last = nought(), 0.0
    for p in range(2 * n):
        first = first + eight(points[p])
        last += points[p, 8]
    first, last = w * first, last * w
    put_first(first, x, n)
    if n > 8:
        x[8] = last
    for p in range(2 * n):
        put(eight(points[p]) - first, points[p])
        points[p, 8] -= last
    squares(points, 2 * n, n, w, P)


@borrowing
def _turned_in(points, p, last, out):
    """The first eight components of eight states, from number p on, or of number ``last`` where there are no more."""
    turn(
        eight(points[min(p, last)]), eight(points[min(p + 1, last)]), eight(points[min(p + 2, last)]), eight(points[min(p + 3, last)]),
        eight(points[min(p + 4, last)]), eight(points[min(p + 5, last)]), eight(points[min(p + 6, last)]), eight(points[min(p + 7, last)]),
        out, LANES,
    )  # fmt: skip


@borrowing(forceinline=True)
def _blow(w, i, east, north):
    """The wind, m/s to the east and to the north, of eight states in `_S` as velocities (`earth.wind_at`): the same as long as they move,
    over which the vertical turns by less than wind is level."""
    x, y, z = eight_at(w, _S + i), eight_at(w, _S + LANES + i), eight_at(w, _S + 2 * LANES + i)
    level2 = x * x + y * y + 1e-9
    level = root(level2)
    e, n = east / level, north / (level * root(level2 + z * z))
    put_at(0.0 - e * y - n * z * x, w, _W + i)
    put_at(e * x - n * z * y, w, _W + LANES + i)
    put_at(n * level2, w, _W + 2 * LANES + i)


@borrowing
def _in(points, model, first, last, w):
    """States from number ``first`` on into the lanes, up to number ``last``, which is in those behind it, too; which of thrust, drag and
    lift some of them have."""
    _turned_in(points, first, last, run(w, _S, 8 * LANES))
    _turned_in(points, first + 8, last, run(w, _S + 8, 8 * LANES - 8))
    n = min(LANES, last + 1 - first)
    for i in range(n):
        w[_M + i] = model[first + i]
    for i in range(n, LANES):
        w[_M + i] = model[last]
    for i in range(LANES):
        w[_C + 2 * LANES + i] = points[min(first + i, last), 8]
    burning, slowed, lifted = False, False, False
    for i in range(0, LANES, 8):
        j, a, b, c = eight_at(w, _M + i), eight_at(w, _S + 6 * LANES + i), eight_at(w, _S + 7 * LANES + i), eight_at(w, _C + 2 * LANES + i)
        put_at(a, w, _C + i)
        put_at(b, w, _C + LANES + i)
        put_at(where_below(j, 0.5, a, nought()), w, _P + i)
        put_at(where_below(j, 0.5, b, nought()), w, _P + LANES + i)
        put_at(where_below(j, 0.5, c, nought()), w, _P + 2 * LANES + i)
        put_at(where_below(size(j - 3.0), 0.5, b, nought()), w, _L + i)
        put_at(where_below(size(j - 3.0), 0.5, c, nought()), w, _L + LANES + i)
        put_at(where_below(j, 3.5, nought(), a), w, _S + 6 * LANES + i)
        put_at(where_below(j, 3.5, nought(), b), w, _S + 7 * LANES + i)
        burning = burning or not above(3.5 - j, 0.0)
        lifted = lifted or not above(size(j - 3.0), 0.5)
        for axis in range(3):
            put_at(nought(), w, _W + axis * LANES + i)
        if not above(size(j - 2.5), 1.0):  # models 2 and 3
            slowed = True
            if not above(size(j - 2.0), 0.5):
                _blow(w, i, where_below(size(j - 2.0), 0.5, b, nought()), where_below(size(j - 2.0), 0.5, c, nought()))
            put_at(where_below(size(j - 2.5), 1.0, exponential(0.0 - a), nought()), w, _E + i)
        else:
            put_at(nought(), w, _E + i)
    return burning, slowed, lifted


@borrowing(forceinline=True)
def _turned_out(w, i, out):
    """Eight lanes from number i on into the first eight places of rows of 9."""
    at = _S + i
    turn(
        eight_at(w, at), eight_at(w, at + LANES), eight_at(w, at + 2 * LANES), eight_at(w, at + 3 * LANES), eight_at(w, at + 4 * LANES),
        eight_at(w, at + 5 * LANES), eight_at(w, _C + i), eight_at(w, _C + LANES + i), out, 9,
    )  # fmt: skip


@borrowing
def _out(points, first, count, lift, w):
    """The lanes into the places of their states."""
    for i in range(LANES):
        j = w[_M + i]
        w[_C + i] = w[_S + 6 * LANES + i] if j == 4.0 else w[_C + i]
        w[_C + LANES + i] = w[_S + 7 * LANES + i] if j == 4.0 else (w[_L + i] if j == 3.0 else w[_C + LANES + i])
    n = min(LANES, count - first)
    for i in range(0, n, 8):
        if n < 8:
            break
        _turned_out(w, min(i, n - 8), run(points, first + min(i, n - 8), 8))  # the last eight may have been among those before
    for i in range(n if n < 8 else 0):
        for c in range(6):
            points[first + i, c] = w[_S + c * LANES + i]
        points[first + i, 6], points[first + i, 7] = w[_C + i], w[_C + LANES + i]
    if lift:
        for i in range(n):
            if w[_M + i] == 3.0:
                points[first + i, 8] = w[_L + LANES + i]


@borrowing
def move(points, model, count, dt, w):
    """Advance ``points[:count]``, rows of 9, states of the models ``model (count,)``, by dt seconds, in place; ``w (WORK,)`` is scratch.

    The last lanes of the last `LANES`, where ``count`` does not fill them, go on with the last state.
    """
    for first in range(0, count, LANES):
        thrust, drag, lift = _in(points, model, first, count - 1, w)
        _go(w, dt, thrust, drag, lift)
        _out(points, first, count, lift, w)
