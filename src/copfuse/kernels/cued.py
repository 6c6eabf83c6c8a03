"""What radars gain in the volumes that they are told to look into, look by look: see `volumes`."""

from __future__ import annotations

import math

from copfuse.kernels import borrowing

ORIGIN, UP, BEAM, RATE, ROOM, MOST = 0, 3, 6, 8, 9, 10  # what is known of a radar, by columns
FACTS = 11  # of them all


@borrowing
def gains(radars, looks, ends, time, x, heeds, heeded, begin, end, known, state, P, acceleration, share, sigmas, best, which):
    """The power gain ``best (n,)`` of radars' looks and by which cue, ``which (n,)``; 0 and -1 where there is none.

    Radar r has the facts ``radars[r]``, the looks ``looks[r]:ends[r]`` at ``time (n,)`` s, rising, at objects at ``x (n, 6)``, and
    heeds the cues ``heeded[heeds[r]:heeds[r + 1]]``, rising.  Of each cue: ``begin``, ``end``, time ``known``, ``state (cues, 6)`` then,
    ``P``, ``acceleration``, ``share``.  ``sigmas``: standard deviations from a volume's centre to its faces.
    """
    for r in range(len(radars)):
        radar = radars[r]
        for k in range(looks[r], ends[r]):
            best[k], which[k] = 0.0, -1
        for h in range(heeds[r], heeds[r + 1]):
            c = heeded[h]
            first = _place(time, looks[r], ends[r], begin[c])
            for k in range(first, _place(time, first, ends[r], end[c])):
                won = _gain(radar, x[k], time[k] - known[c], state[c], P[c], acceleration[c], share[c], sigmas)
                if won > best[k]:  # of equal volumes the first
                    best[k], which[k] = won, c
        for k in range(looks[r], ends[r]):
            best[k] = min(best[k], radar[MOST])


@borrowing
def _place(time, first, last, at):
    """The first of the looks from ``first`` on until before ``last`` that is not before a time."""
    while first < last:
        middle = (first + last) // 2
        if time[middle] < at:
            first = middle + 1
        else:
            last = middle
    return first


@borrowing
def _gain(radar, x, ahead, state, P, acceleration, share, sigmas):
    """The gain of a look at what is at ``x`` by one cue, ``ahead`` s after what that knows; 0: none."""
    tx = state[0] + ahead * state[3] + 0.5 * (ahead * ahead) * acceleration[0] - radar[ORIGIN]
    ty = state[1] + ahead * state[4] + 0.5 * (ahead * ahead) * acceleration[1] - radar[ORIGIN + 1]
    tz = state[2] + ahead * state[5] + 0.5 * (ahead * ahead) * acceleration[2] - radar[ORIGIN + 2]
    away = max(math.sqrt(tx * tx + ty * ty + tz * tz), 1e3)
    sx, sy, sz = tx / away, ty / away, tz / away
    lx, ly, lz = _across(sx, sy, sz, radar[UP], radar[UP + 1], radar[UP + 2])
    level = max(math.sqrt(lx * lx + ly * ly + lz * lz), 1e-9)
    lx, ly, lz = lx / level, ly / level, lz / level
    ux, uy, uz = _across(lx, ly, lz, sx, sy, sz)
    ox, oy, oz = x[0] - radar[ORIGIN], x[1] - radar[ORIGIN + 1], x[2] - radar[ORIGIN + 2]
    far = max(math.sqrt(ox * ox + oy * oy + oz * oz), 1.0)
    ox, oy, oz = ox / far, oy / far, oz / far
    along = sx * ox + sy * oy + sz * oz
    one = _sigma(lx, ly, lz, P, ahead) / away
    if not abs(math.atan2(lx * ox + ly * oy + lz * oz, along)) <= sigmas * one + 0.5 * radar[BEAM]:
        return 0.0
    two = _sigma(ux, uy, uz, P, ahead) / away
    if not abs(math.atan2(ux * ox + uy * oy + uz * oz, along)) <= sigmas * two + 0.5 * radar[BEAM + 1]:
        return 0.0
    wide = (1.0 + 2.0 * sigmas * one / radar[BEAM]) * (1.0 + 2.0 * sigmas * two / radar[BEAM + 1])
    won = share * radar[RATE] * (radar[ROOM] / wide)
    return won if won >= 1.0 else 0.0


@borrowing
def _across(ax, ay, az, bx, by, bz):
    """Cross product."""
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@borrowing
def _sigma(ax, ay, az, P, ahead):
    """Standard deviation along an axis of a place ``ahead`` s after an estimate with the covariance ``P (6, 6)``."""
    total = 0.0
    for i in range(3):
        a = ax if i == 0 else (ay if i == 1 else az)
        for j in range(3):
            b = ax if j == 0 else (ay if j == 1 else az)
            total += a * (P[i, j] + ahead * (P[i, j + 3] + P[i + 3, j]) + ahead * ahead * P[i + 3, j + 3]) * b
    return math.sqrt(max(total, 0.0))
