"""Bodies that lift carries on, `LANES` side by side (`soar_all`), each as if it were alone.

As in `falls`: the roots and quotients of one step wait for one another, those of several states do not and go into vector instructions.
"""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import borrowing
from copfuse.kernels.eights import above, eight_at, larger, nought, put_at, root, smaller, where_below
from copfuse.kernels.falls import LANES, LONGEST_FLIGHT
from copfuse.kernels.mach import factors_at
from copfuse.kernels.motions import LEAST_COSINE
from copfuse.kernels.pull import DRAG_CEILING, away, half_densities, limited, pulled

# Where lift must be allowed for: greatest lift over drag, and the speed, m/s, at which it ends in a dive; *notional*
SOARS = np.array([[1.0, 1500.0], [1.0, 900.0], [2.0, 1500.0], [2.0, 900.0], [3.0, 900.0]])
_BACK = 0.7  # lift ends at this share of the speed at the latest
_SOARING = 0.2  # share of its speed that drag may take from a body with lift in a step
_LEVELLING = 0.1  # 1/s, how fast lift takes the sink out of a path, *notional*
# Places in the work array ``w``, of which every one has `LANES` numbers: state, its acceleration, the state at a step's middle
_S, _A, _Y = 0, 6 * LANES, 9 * LANES
_T, _H, _K, _V = 15 * LANES, 16 * LANES, 17 * LANES, 18 * LANES  # time, height, drag over speed, speed
_E, _RATIO, _LAST = 19 * LANES, 20 * LANES, 21 * LANES  # exp(-ln beta), greatest lift over drag, speed at which lift ends at the latest
WORK_SOARING = 22 * LANES
_AIRLESS = 1e-6  # m/s^2 of greatest lift below which there is no air
_IDLE = 4e7  # m, where an empty lane is: far above the air


@borrowing(forceinline=True)
def _soaring(w, at):
    """Velocity and acceleration (six times eight numbers) of the states at ``at``, under drag and the lift that turns the path level;
    height, drag over speed, speed.

    Parabolic polar: drag is D0 (1 + (lift / most)^2) with most = 2 ratio D0, so that lift over drag is greatest, ``ratio``, at ``most``.
    Directions are those of `motions.ahead` and `motions.across`.
    """
    x, y, z = eight_at(w, at), eight_at(w, at + LANES), eight_at(w, at + 2 * LANES)
    vx, vy, vz = eight_at(w, at + 3 * LANES), eight_at(w, at + 4 * LANES), eight_at(w, at + 5 * LANES)
    r, over2, h = away(x, y, z)
    v, k = root(vx * vx + vy * vy + vz * vz), nought()
    if not above(h, DRAG_CEILING):
        k = limited(half_densities(h) * v * factors_at(h, v) * eight_at(w, _E), v)
    ax, ay, az = pulled(x, y, z, vx, vy, vz, r, over2, k)
    along = 1.0 / (v + 1e-3)
    e0, e1, e2 = vx * along, vy * along, vz * along
    clean = k * v
    most = 2.0 * eight_at(w, _RATIO) * clean
    far, climb = root(x * x + y * y + z * z) + 1e-9, x * e0 + y * e1 + z * e2
    sine = climb / far
    cosine = root(larger(1.0 - sine * sine, LEAST_COSINE * LEAST_COSINE))
    u0, u1, u2 = (x / far - sine * e0) / cosine, (y / far - sine * e1) / cosine, (z / far - sine * e2) / cosine
    sine = climb / r
    falling = ax * u0 + ay * u1 + az * u2
    wanted = nought() - falling - v * v * root(larger(1.0 - sine * sine, 0.0)) / r - _LEVELLING * v * sine
    lift = where_below(most, _AIRLESS, nought(), smaller(larger(wanted, 0.0), most))
    share = lift / where_below(most, _AIRLESS, nought() + 1.0, most)
    more = clean * (share * share)
    ax, ay, az = ax + (lift * u0 - more * e0), ay + (lift * u1 - more * e1), az + (lift * u2 - more * e2)
    return vx, vy, vz, ax, ay, az, h, k, v


@borrowing(finished=True)
def _begin(w):
    """Acceleration, height, drag and speed at the states."""
    _, _, _, ax, ay, az, h, k, v = _soaring(w, _S)
    put_at(ax, w, _A)
    put_at(ay, w, _A + LANES)
    put_at(az, w, _A + 2 * LANES)
    put_at(h, w, _H)
    put_at(k, w, _K)
    put_at(v, w, _V)


@borrowing(forceinline=True)
def _moved(w, c, step, rate, to):
    """Component ``c`` of the states, ``step`` s on at a rate, to where ``to`` is."""
    put_at(eight_at(w, _S + c * LANES) + step * rate, w, to + c * LANES)


@borrowing(finished=True)
def _middle(w):
    """The states at the middle of a step of every lane, which is as long as it may be, and then at its end, by the rates in the middle."""
    dt = smaller(smaller(larger(0.5 * (eight_at(w, _H) - 100e3) / eight_at(w, _V), 1.0), 60.0), _SOARING / larger(eight_at(w, _K), 1e-9))
    half = 0.5 * dt
    for c in range(3):
        _moved(w, c, half, eight_at(w, _S + (3 + c) * LANES), _Y)
        _moved(w, 3 + c, half, eight_at(w, _A + c * LANES), _Y)
    vx, vy, vz, ax, ay, az, _, _, _ = _soaring(w, _Y)
    _moved(w, 0, dt, vx, _S)
    _moved(w, 1, dt, vy, _S)
    _moved(w, 2, dt, vz, _S)
    _moved(w, 3, dt, ax, _S)
    _moved(w, 4, dt, ay, _S)
    _moved(w, 5, dt, az, _S)
    put_at(eight_at(w, _T) + dt, w, _T)


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
