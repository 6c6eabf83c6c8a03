"""Cubature points of several models moved side by side, `LANES` at a time: `motions.propagate` for many states.

What one state's rates are computed by is a chain of roots and quotients that wait for one another; those of several states do
not, and most of them go into one vector instruction.  Every lane is asked for gravity, Coriolis and a push that stays as it is (which
is nothing but for MANOEUVRE); thrust, drag and lift are asked for where a state of these `LANES` has them, and are 0 in the others.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from copfuse.constants import EARTH_A, EARTH_B, EARTH_E2, EARTH_OMEGA, J2, MU
from copfuse.kernels import borrowing
from copfuse.kernels.earth import DEEPEST, air
from copfuse.kernels.eights import eight, eight_at, fours, larger, nought, put, put_at, put_first, smaller, turn, where_below, whole
from copfuse.kernels.mach import factors_at
from copfuse.kernels.motions import DRAG_CEILING, DRAG_MOST, LEAST_COSINE, LIFT_TIME, MOST_FLOW, MOST_THRUST
from copfuse.kernels.small import squares

LANES = 16
# Places in the work array ``w``, of which every one has `LANES` numbers: state (position, velocity, thrust, mass flow), the state at
# which rates are asked for, weighted sum of rates; then acceleration, push, height, drag over speed, exp(-ln beta), lift and turn
_S, _Y, _Q, _A, _P = 0, 8 * LANES, 16 * LANES, 24 * LANES, 27 * LANES
_H, _K, _E, _L = 30 * LANES, 31 * LANES, 32 * LANES, 33 * LANES
_D, _O, _V = 35 * LANES, 36 * LANES, 37 * LANES  # distance from the Earth's centre, 1 over its square, speed
_R = 38 * LANES  # scratch
_C, _M = 39 * LANES, 42 * LANES  # the components that a model adds as they come in, and the model
WORK = 43 * LANES
LONGEST = 10.0  # s, a step
SHORTEST = 0.2  # s, a step that drag asks for
_EP2 = (EARTH_A / EARTH_B) ** 2 - 1.0  # second eccentricity squared
_J2 = 1.5 * J2 * EARTH_A * EARTH_A
_EMPTY = EARTH_A + DRAG_CEILING  # m, distance from the Earth's centre beyond which there is no drag anywhere


# The air, quickly -----------------------------------------------------------------------------------------------------

_RADIUS, _TOP, _WIDE = 6356766.0, 86e3, 500.0  # m: the standard's Earth radius, where its layers in geopotential height end; of a piece
_BELOW = 170  # pieces up to there, the last one not whole


def _pieces() -> np.ndarray:
    """Cubics of the density over pieces `_WIDE` m thick, in geopotential height below `_TOP` and in height above: four numbers a piece.

    Each lies in one layer of the standard (its layers end at whole kilometres), through the density at four of Chebyshev's nodes.
    """
    density: Any = getattr(air, "py_func", air)  # nothing is compiled when this is imported
    node = 0.5 - 0.5 * np.cos(np.pi * (np.arange(4) + 0.5) / 4)
    above = round((DRAG_CEILING - _TOP) / _WIDE)
    place = np.repeat(node[None], _BELOW + above, axis=0)
    place[_BELOW - 1] *= _RADIUS * _TOP / (_RADIUS + _TOP) / _WIDE - (_BELOW - 1)
    geo = _WIDE * (np.arange(_BELOW)[:, None] + place[:_BELOW])
    height = np.concatenate([_RADIUS * geo / (_RADIUS - geo), _TOP + _WIDE * (np.arange(above)[:, None] + place[_BELOW:])])
    values = np.array([[density(h)[0] for h in row] for row in height.tolist()])
    return np.linalg.solve(place[:, :, None] ** np.arange(4), values[:, :, None]).ravel()


_PIECES = _pieces()


@borrowing
def thickness(h):
    """Density kg/m^3 of `earth.air` at eight heights h (m) from 0 to `motions.DRAG_CEILING`, to 3e-7 of itself, without powers."""
    u = where_below(h, _TOP, _RADIUS / _WIDE * h / (_RADIUS + h), _BELOW + (h - _TOP) * (1.0 / _WIDE))
    i = smaller(whole(u), len(_PIECES) // 4 - 1.0)
    a, b, c, d = fours(_PIECES, i)
    f = u - i
    return a + f * (b + f * (c + f * d))


# Rates ---------------------------------------------------------------------------------------------------------------


@borrowing
def _fall(w):
    """Acceleration of free fall (`earth.free_acceleration`) and the push that stays; distance from the Earth's centre, 1 over its square,
    and speed."""
    for i in range(LANES):
        x, y, z = w[_Y + i], w[_Y + LANES + i], w[_Y + 2 * LANES + i]
        a, b, c = w[_Y + 3 * LANES + i], w[_Y + 4 * LANES + i], w[_Y + 5 * LANES + i]
        r2 = max(x * x + y * y + z * z, DEEPEST * DEEPEST)
        r, over = math.sqrt(r2), 1.0 / r2
        g, k, s = -MU * over * (r * over), _J2 * over, 5.0 * z * z * over
        xy = g * (1.0 + k * (1.0 - s)) + EARTH_OMEGA * EARTH_OMEGA
        w[_A + i] = xy * x + 2.0 * EARTH_OMEGA * b + w[_P + i]
        w[_A + LANES + i] = xy * y - 2.0 * EARTH_OMEGA * a + w[_P + LANES + i]
        w[_A + 2 * LANES + i] = g * (1.0 + k * (3.0 - s)) * z + w[_P + 2 * LANES + i]
        w[_D + i] = r
        w[_O + i] = over
        w[_V + i] = math.sqrt(a * a + b * b + c * c)


@borrowing
def _thrust(w):
    """Thrust, along the velocity."""
    for i in range(LANES):
        k = w[_Y + 6 * LANES + i] / (w[_V + i] + 1e-3)
        w[_A + i] += k * w[_Y + 3 * LANES + i]
        w[_A + LANES + i] += k * w[_Y + 4 * LANES + i]
        w[_A + 2 * LANES + i] += k * w[_Y + 5 * LANES + i]


@borrowing
def _airless(w):
    """Whether all lanes are so far out that nobody need ask for their height."""
    near = 0
    for i in range(LANES):
        near += 0 if w[_D + i] > _EMPTY else 1
    return near == 0


@borrowing
def _drag(w):
    """Height, drag over speed (as `motions.drag_of`) and drag.

    The height is that along the radius, from a series (`falls.flow`), less what the vertical is shorter: to 2 cm up to `DRAG_CEILING`.
    """
    if _airless(w):
        for i in range(LANES):
            w[_K + i] = 0.0
            w[_H + i] = DRAG_CEILING
        return
    for i in range(0, LANES, 8):
        z = eight_at(w, _Y + 2 * LANES + i)
        s = z * z * eight_at(w, _O + i)
        u = _EP2 * s
        h = eight_at(w, _D + i) - EARTH_A * (1.0 - u * (0.5 - u * (0.375 - u * (0.3125 - u * 0.2734375))))
        h = h - 0.5 * EARTH_E2 * EARTH_E2 * h * s * (1.0 - s)
        v = eight_at(w, _V + i)
        k = 0.5 * thickness(smaller(larger(h, 0.0), DRAG_CEILING)) * v * eight_at(w, _E + i) * factors_at(h, v)
        k = where_below(h, DRAG_CEILING, smaller(k, DRAG_MOST / (v + 1.0)), nought())
        put_at(h, w, _H + i)
        put_at(k, w, _K + i)
        put_at(eight_at(w, _A + i) - k * eight_at(w, _Y + 3 * LANES + i), w, _A + i)
        put_at(eight_at(w, _A + LANES + i) - k * eight_at(w, _Y + 4 * LANES + i), w, _A + LANES + i)
        put_at(eight_at(w, _A + 2 * LANES + i) - k * eight_at(w, _Y + 5 * LANES + i), w, _A + 2 * LANES + i)


@borrowing
def _lift(w, left):
    """Lift and turn, of which the share ``left`` is left, along `motions.across`."""
    for i in range(LANES):
        k, over = 1.0 / (w[_V + i] + 1e-3), w[_D + i] * w[_O + i]
        x, y, z = over * w[_Y + i], over * w[_Y + LANES + i], over * w[_Y + 2 * LANES + i]
        a, b, c = k * w[_Y + 3 * LANES + i], k * w[_Y + 4 * LANES + i], k * w[_Y + 5 * LANES + i]
        sine = x * a + y * b + z * c
        n = 1.0 / math.sqrt(max(1.0 - sine * sine, LEAST_COSINE * LEAST_COSINE))
        u0, u1, u2 = n * (x - sine * a), n * (y - sine * b), n * (z - sine * c)
        lift, turn = left * w[_L + i], left * w[_L + LANES + i]
        w[_A + i] += lift * u0 + turn * (b * u2 - c * u1)
        w[_A + LANES + i] += lift * u1 + turn * (c * u0 - a * u2)
        w[_A + 2 * LANES + i] += lift * u2 + turn * (a * u1 - b * u0)


@borrowing
def _rates(w, thrust, drag, lift, left):
    _fall(w)
    if thrust:
        _thrust(w)
    if drag:
        _drag(w)
    if lift:
        _lift(w, left)


# One step of the classical Runge-Kutta rule --------------------------------------------------------------------------


@borrowing
def _stage(w, weight, step):
    """Rates at ``y`` added to their sum ``weight`` times; then y is the state ``step`` s after the begin at these rates."""
    for i in range(3 * LANES):
        rate, push = w[_Y + 3 * LANES + i], w[_A + i]
        w[_Q + i] += weight * rate
        w[_Q + 3 * LANES + i] += weight * push
        w[_Y + i] = w[_S + i] + step * rate
        w[_Y + 3 * LANES + i] = w[_S + 3 * LANES + i] + step * push


@borrowing
def _burnt(w, weight, step):
    """Likewise thrust and mass flow, which grow as the rocket gets lighter."""
    for i in range(LANES):
        a, b = w[_Y + 6 * LANES + i], w[_Y + 7 * LANES + i]
        a4, b4 = a / MOST_THRUST, b / MOST_FLOW
        a4, b4 = a4 * a4, b4 * b4
        rate, flow = a * b * max(1.0 - a4 * a4, 0.0), b * b * max(1.0 - b4 * b4, 0.0)
        w[_Q + 6 * LANES + i] += weight * rate
        w[_Q + 7 * LANES + i] += weight * flow
        w[_Y + 6 * LANES + i] = w[_S + 6 * LANES + i] + step * rate
        w[_Y + 7 * LANES + i] = w[_S + 7 * LANES + i] + step * flow


@borrowing
def _arrive(w, step, left):
    """The end of a step: the states by the sum of their rates, which is empty again; lift and turn fade."""
    for i in range(8 * LANES):
        w[_S + i] += step / 6.0 * w[_Q + i]
        w[_Y + i] = w[_S + i]
        w[_Q + i] = 0.0
    for i in range(2 * LANES):
        w[_L + i] *= left


@borrowing
def _stride(w, thrust, drag):
    """Seconds that one step of all lanes may take: short against what drag, the air's density and thrust's turn change the motion in."""
    least = 1.0 / LONGEST
    if drag:
        for i in range(LANES):
            x, y, z = w[_Y + i], w[_Y + LANES + i], w[_Y + 2 * LANES + i]
            climb = x * w[_Y + 3 * LANES + i] + y * w[_Y + 4 * LANES + i] + z * w[_Y + 5 * LANES + i]
            near = w[_E + i] > 0.0 and w[_H + i] < DRAG_CEILING
            climb = abs(climb) * w[_D + i] * w[_O + i]
            w[_R + i] = w[_K + i] / 0.2 + climb / max(0.5 * (w[_H + i] - 70e3), 5e3) if near else 0.0
        fastest = 0.0
        for i in range(LANES):
            fastest = max(fastest, w[_R + i])
        least = min(least + fastest, 1.0 / SHORTEST)
    if thrust:
        for i in range(LANES):
            w[_R + i] = w[_V + i] if w[_Y + 6 * LANES + i] != 0.0 else 2e4
        slowest = 2e4
        for i in range(LANES):
            slowest = min(slowest, w[_R + i])
        least = max(least, 1.0 / min(max(slowest / 100.0, 2.0), 5.0))
    return 1.0 / least


@borrowing
def _go(w, dt, thrust, drag, lift):
    """All lanes by dt seconds (either sign)."""
    left = dt
    while left != 0.0:
        _rates(w, thrust, drag, lift, 1.0)
        steps = math.ceil(abs(left) / _stride(w, thrust, drag))
        step = left / steps
        half = math.exp(-abs(step) / (2.0 * LIFT_TIME)) if lift else 1.0
        _stage(w, 1.0, 0.5 * step)
        if thrust:
            _burnt(w, 1.0, 0.5 * step)
        _rates(w, thrust, drag, lift, half)
        _stage(w, 2.0, 0.5 * step)
        if thrust:
            _burnt(w, 2.0, 0.5 * step)
        _rates(w, thrust, drag, lift, half)
        _stage(w, 2.0, step)
        if thrust:
            _burnt(w, 2.0, step)
        _rates(w, thrust, drag, lift, half * half)
        _stage(w, 1.0, 0.0)
        if thrust:
            _burnt(w, 1.0, 0.0)
        _arrive(w, step, half * half)
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


@borrowing
def _in(points, model, first, last, drag, w):
    """States from number ``first`` on into the lanes, up to number ``last``, which is in those behind it, too."""
    _turned_in(points, first, last, w[_S:])
    _turned_in(points, first + 8, last, w[_S + 8 :])
    for i in range(LANES):
        p = min(first + i, last)
        w[_M + i], w[_C + 2 * LANES + i] = model[p], points[p, 8]
    for i in range(LANES):
        j, a, b, c = w[_M + i], w[_S + 6 * LANES + i], w[_S + 7 * LANES + i], w[_C + 2 * LANES + i]
        w[_C + i], w[_C + LANES + i], w[_E + i] = a, b, 0.0
        w[_P + i] = a if j == 0.0 else 0.0
        w[_P + LANES + i] = b if j == 0.0 else 0.0
        w[_P + 2 * LANES + i] = c if j == 0.0 else 0.0
        w[_L + i] = b if j == 3.0 else 0.0
        w[_L + LANES + i] = c if j == 3.0 else 0.0
        w[_S + 6 * LANES + i] = a if j == 4.0 else 0.0
        w[_S + 7 * LANES + i] = b if j == 4.0 else 0.0
    if drag:
        for i in range(LANES):
            if w[_M + i] == 2.0 or w[_M + i] == 3.0:
                w[_E + i] = math.exp(-w[_C + i])


@borrowing
def _out(points, first, count, lift, w):
    """The lanes into the places of their states."""
    for i in range(LANES):
        j = w[_M + i]
        w[_C + i] = w[_S + 6 * LANES + i] if j == 4.0 else w[_C + i]
        w[_C + LANES + i] = w[_S + 7 * LANES + i] if j == 4.0 else (w[_L + i] if j == 3.0 else w[_C + LANES + i])
    n = min(LANES, count - first)
    for i in range(0, n - 7, 8):
        at = _S + i
        turn(
            eight_at(w, at), eight_at(w, at + LANES), eight_at(w, at + 2 * LANES), eight_at(w, at + 3 * LANES), eight_at(w, at + 4 * LANES),
            eight_at(w, at + 5 * LANES), eight_at(w, _C + i), eight_at(w, _C + LANES + i), points[first + i :], 9,
        )  # fmt: skip
    for i in range(n - n % 8, n):
        for c in range(6):
            points[first + i, c] = w[_S + c * LANES + i]
        points[first + i, 6], points[first + i, 7] = w[_C + i], w[_C + LANES + i]
    if lift:
        for i in range(n):
            if w[_M + i] == 3.0:
                points[first + i, 8] = w[_L + LANES + i]


@borrowing
def _begin(w):
    """Rates are asked for at the states themselves first, and none are summed up yet."""
    for i in range(8 * LANES):
        w[_Y + i] = w[_S + i]
        w[_Q + i] = 0.0


@borrowing
def move(points, model, count, dt, w):
    """Advance ``points[:count]``, rows of 9, states of the models ``model (count,)``, by dt seconds, in place; ``w (WORK,)`` is scratch.

    The last lanes of the last `LANES`, where ``count`` does not fill them, go on with the last state.
    """
    for first in range(0, count, LANES):
        thrust, drag, lift = False, False, False
        for i in range(LANES):
            p = min(first + i, count - 1)
            j = model[p]
            thrust, drag, lift = thrust or j == 4, drag or j == 2 or j == 3, lift or j == 3
        _in(points, model, first, count - 1, drag, w)
        _begin(w)
        _go(w, dt, thrust, drag, lift)
        _out(points, first, count, lift, w)
