"""Where and when an object comes down."""

from __future__ import annotations

import math

import numpy as np

from copfuse.constants import EARTH_A
from copfuse.kernels import borrowing, njit
from copfuse.kernels.earth import altitude, free_acceleration
from copfuse.kernels.falls import LANES, WORK, fall_all
from copfuse.kernels.motions import WIND
from copfuse.kernels.regions import AT, KNOWN, NODES, WEIGHTS, grown, lag_of, shared, straddled
from copfuse.kernels.small import cholesky
from copfuse.kernels.soars import SOARS, WORK_SOARING, soar_all

# A forecast in boost stands for these further burn times, s, with these weights; *notional*, as is the time in which a burning
# missile's acceleration grows by e as it empties
BURNS = np.array([0.0, 10.0, 25.0, 50.0, 90.0, 150.0, 240.0])
BURN_WEIGHTS = np.array([0.13, 0.13, 0.14, 0.14, 0.15, 0.15, 0.16])
_NO_SOAR = 0.2  # share of a lifting body's forecasts that fall freely from here
_EMPTYING = 60.0  # s
_FULLEST = 0.7  # logarithm of the most that the push grows before a stage is empty and the next begins lower, *notional*
_LEAST_PUSH = 20.0  # m/s^2, thrust over mass of a missile that has just left the ground; a short track may not know yet
_PITCH, _PITCHED = 0.06, 80e3  # rad, and the height m by which a missile has been pitched over, *notional*
_SKEW = 0.5  # a forecast in boost has a long tail: its variance is made so much larger, for an ellipse to hold 95 %
_REGION = 2.448  # standard deviations to the edge of an ellipse that holds 95 %: the root of -2 ln 0.05
_LEAST = 0.01  # chance of a further burn, or of lift, from which on it is followed
_BURNING = 6 * (len(BURNS) - 1)  # points of a further burn
_APART = 4  # burns from a short one to one after which a body comes down far from there
_NEAR = 0.3  # rad round the Earth, from a forecast's mean: of what is between two impacts within, a smaller share is vertical
_BURIED = 500.0  # m under the ground, where no impact is
_SIDE = 0.02  # share of the along-path variance that a forecast in boost allows across it: steering
_TURN = 0.04  # likewise where there is lift: turns
# Least sigma of ln(beta), because the drag coefficient will change with the Mach number, unseen as yet; as in the flights simulated
# here, *notional*
_DRAG_TO_COME = 0.10
_OF_THREE = math.sqrt(3.0)  # cubature over three components
# Two points for each component of position, velocity and ln(beta), so many standard deviations out and each with that weight.  Their
# variances are right however it is shared out; ln(beta) has the points of Gauss and Hermite's rule, because the way down bends with it:
# at the sqrt(7) of the spherical rule a body would fall with a tenth of its ballistic coefficient once in 14 times, not in 240
_OUT = np.array([3.0, 3.0, 3.0, 3.0, 3.0, 3.0, math.sqrt(3.0)])
_WEIGHT = 0.5 / _OUT**2
_POINTS = 14  # of these, and after them two means of no weight: a rather light body's, and
_BARE = _POINTS + 1  # one that falls as if there were no air,
_AIRLESS = 30.0  # with this ln(beta)
_FALLS = _POINTS + 2  # in all
_TOGETHER = 32  # rows whose points fall side by side
# s, per axis: forces across the path as the body's attitude wanders, as the filters believe (`filters.TRIM`), where the air's density grows
# by e in so many m
_SWAY, _SCALE = 2e-4, 7e3
_LEAST_SCATTER = 5.0  # m, per axis: the body is some metres long, and an impact's height is not to a metre that of the ellipsoid
_UPRIGHT = 100.0  # m/s over ground: what comes down slower than that is as late as it is slow, *notional*
_FASTEST = 7200.0  # m/s over ground at burnout; what is faster goes to orbit


@borrowing
def burn(s, push, t, seconds):
    """Move state s (6), t s after now, on under thrust along its velocity that starts at ``push`` m/s^2 now and grows as it empties.

    Thrust's direction is kept for 5 s at a time; gravity at the begin and the middle of those moves the rest (Nystrom's rule).
    Returns the seconds burnt since now: fewer than asked for where the speed reaches what no ballistic missile has at burnout.
    """
    while t < seconds:
        dt = min(5.0, seconds - t)
        half = 0.5 * dt
        vx, vy, vz = s[3], s[4], s[5]
        v = math.sqrt(vx * vx + vy * vy + vz * vz) + 1e-9
        if v > _FASTEST:
            return t
        a = push * math.exp(min((t + half) / _EMPTYING, _FULLEST)) / v
        px, py, pz = a * vx, a * vy, a * vz
        ax, ay, az = free_acceleration(s[0], s[1], s[2], vx, vy)
        x, y, z = s[0] + half * vx, s[1] + half * vy, s[2] + half * vz
        bx, by, bz = free_acceleration(x, y, z, vx + half * (px + ax), vy + half * (py + ay))
        s[0] += dt * (vx + dt * (0.5 * px + (ax + 2.0 * bx) / 6.0))
        s[1] += dt * (vy + dt * (0.5 * py + (ay + 2.0 * by) / 6.0))
        s[2] += dt * (vz + dt * (0.5 * pz + (az + 2.0 * bz) / 6.0))
        s[3] += dt * (px + bx)
        s[4] += dt * (py + by)
        s[5] += dt * (pz + bz)
        t += dt
    return t


@borrowing
def _moments(points, times, weights, n, mean, P):
    """Weighted mean (3) and covariance (3, 3) of positions, mean and variance of times."""
    total = 0.0
    tm = 0.0
    tv = 0.0
    for p in range(n):
        total += weights[p]
    for i in range(3):
        mean[i] = 0.0
        for p in range(n):
            mean[i] += weights[p] / total * points[p, i]
    for p in range(n):
        tm += weights[p] / total * times[p]
    for i in range(3):
        for j in range(3):
            P[i, j] = 0.0
            for p in range(n):
                P[i, j] += weights[p] / total * (points[p, i] - mean[i]) * (points[p, j] - mean[j])
    for p in range(n):
        tv += weights[p] / total * (times[p] - tm) ** 2
    return tm, tv


@borrowing
def _burning(x, P, log_beta, push, chance, two, m, states, times, weights, C, lower, s):
    """Add, from place m on, the states after each of the further `BURNS` of state x (6), and when that is; returns the next free place.

    A gravity turn magnifies what is not known of the velocity, so each burn starts from six cubature points of it; where ``two`` are to
    do, they are those of a short and a long one from the first of these.
    """
    ways, further = (1, _APART) if two else (6, 1)
    first = max(math.sqrt(push[0] ** 2 + push[1] ** 2 + push[2] ** 2), _LEAST_PUSH)
    pitch = _PITCH * max(1.0 - altitude(x[0], x[1], x[2]) / _PITCHED, 0.1)
    for i in range(3):
        for j in range(3):
            C[i, j] = P[i + 3, j + 3]
    for i in range(3):
        C[i, i] += pitch**2 * (x[3] ** 2 + x[4] ** 2 + x[5] ** 2)
    cholesky(C, len(push), lower)
    for p in range(ways):
        for i in range(6):
            s[i] = x[i]
        for i in range(3):
            s[i + 3] += _OF_THREE * (1.0 if p % 2 == 0 else -1.0) * lower[i, p // 2]
        burnt = 0.0
        for b in range(1, len(BURNS), further):  # a longer burn begins as the shorter one does
            at = m + ways * ((b - 1) // further) + p
            burnt = burn(s, first, burnt, BURNS[b])
            for i in range(6):
                states[at, i] = s[i]
            states[at, 6] = log_beta
            times[at] = burnt
            weights[at] = chance * BURN_WEIGHTS[b] / 6.0
    return m + (2 if two else _BURNING)


@borrowing
def _lifted(x, log_beta, chance, first, m, states, weights, ways):
    """Likewise those that lift is to carry in each of the ways of `SOARS` from the ``first`` on (`soar_all`)."""
    for b in range(first, len(SOARS)):
        at = m + b - first
        for i in range(6):
            states[at, i] = x[i]
        states[at, 6] = log_beta
        weights[at] = chance / len(SOARS)
        further = b > first and SOARS[b, 0] == SOARS[b - 1, 0]  # what is to be slower begins as the faster one does
        ways[at] = -(b + 1) if further else b + 1
    return m + len(SOARS) - first


@borrowing
def _two(t, x, P, log_beta, push, boosting, soaring, m, states, times, weights, lower, C, s, ways):
    """Add, from place m on, two of the states of `_starts` that come down far apart, if it may do more than fall: a short and a long burn,
    or a light body and the best lift; returns the next free place."""
    if boosting[t] > _LEAST:
        ways[m], ways[m + 1] = 0, 0
        return _burning(x[t], P[t], log_beta[t, 0], push[t], boosting[t], True, m, states, times, weights, C, lower, s)
    if soaring > _LEAST:
        for i in range(6):
            states[m, i] = x[t, i]
        states[m, 6] = log_beta[t, 0] - _OUT[6] * max(log_beta[t, 1], _DRAG_TO_COME)
        times[m], ways[m], weights[m] = 0.0, 0, _falling(boosting[t], soaring) * _WEIGHT[6]
        return _lifted(x[t], log_beta[t, 0], soaring, len(SOARS) - 1, m + 1, states, weights, ways)
    return m


@borrowing
def _falling(boosting, soaring):
    """The chance that a body but falls from here."""
    return 1.0 - boosting - soaring + boosting * BURN_WEIGHTS[0]


@borrowing
def _starts(t, x, P, log_beta, push, boosting, soaring, m, states, times, weights, lower, C, s, ways):
    """Add, from place m on, all states that the forecast of row t follows to the ground, and their weights; returns the next free place."""
    begin = m
    for i in range(6):
        for j in range(6):
            C[i, j] = P[t, i, j]
        C[6, i] = 0.0
        C[i, 6] = 0.0
    C[6, 6] = max(log_beta[t, 1], _DRAG_TO_COME) ** 2
    cholesky(C, _POINTS // 2, lower)
    for p in range(_POINTS):
        sign = _OUT[p // 2] if p % 2 == 0 else -_OUT[p // 2]
        for i in range(6):
            states[m + p, i] = x[t, i] + sign * lower[i, p // 2]
        states[m + p, 6] = log_beta[t, 0] + sign * lower[6, p // 2]
        times[m + p] = 0.0
        weights[m + p] = _falling(boosting[t], soaring) * _WEIGHT[p // 2]
    m += _POINTS
    for p in range(m, m + 2):
        for i in range(6):
            states[p, i] = x[t, i]
        times[p] = 0.0
    states[m, 6], states[m + 1, 6] = log_beta[t, 0] + AT[KNOWN - 1] * lower[6, 6], _AIRLESS
    m += 2
    if boosting[t] > _LEAST:
        m = _burning(x[t], P[t], log_beta[t, 0], push[t], boosting[t], False, m, states, times, weights, C, lower, s)
    for p in range(begin, m):
        ways[p] = 0
    if soaring > _LEAST:
        m = _lifted(x[t], log_beta[t, 0], soaring, 0, m, states, weights, ways)
    return m


@borrowing
def _sinking(s):
    """Speeds over ground and down, m/s, of state s (6)."""
    r2, climb = s[0] * s[0] + s[1] * s[1] + s[2] * s[2], s[0] * s[3] + s[1] * s[4] + s[2] * s[5]
    return math.sqrt(max(s[3] * s[3] + s[4] * s[4] + s[5] * s[5] - climb * climb / r2, 0.0)), -climb / math.sqrt(r2)


@borrowing
def _swayed(s, lag, left):
    """Variance, m^2 per axis, by forces across a fall that ends ``left`` s from now, ``lag`` s later than at state s (6) without air.

    White noise of density `_SWAY` times drag squared, integrated twice.  Drag that grows by e in ``scale`` s puts the body lag times
    its speed back, and the noise's share of that is sqrt(_SWAY / (4 scale)); steady drag's, sqrt(4 _SWAY / (3 left)).  In the long run the
    air stops what it has set in motion across, too (within a third of flights integrated with such forces; see tests).
    """
    level, sink = _sinking(s)
    scale = _SCALE / max(sink, 1.0)
    back = math.sqrt(level * level + sink * sink) * lag / (1.0 + 0.5 * lag / scale)
    return _SWAY * back * back * (0.25 / scale + 4.0 / (3.0 * max(left, 1e-3)))


@borrowing
def _delays(states, times, lags, nearer):
    """How much later, s, and by how many m nearer along their way than the mean without air the bodies of `regions.KNOWN` come down, in
    ``lags`` and ``nearer`` (KNOWN,), from the ``states`` that all come down to and their ``times``."""
    bare = states[_BARE]
    level, sink = _sinking(bare)
    under = sink / math.sqrt(bare[0] * bare[0] + bare[1] * bare[1] + bare[2] * bare[2])
    for k in range(KNOWN):
        lags[k], nearer[k] = 0.0, 0.0
    for p in range(_BARE):
        k = 0 if p < _POINTS - 2 else p - (_POINTS - 2) + 1
        share = 1.0 / (_POINTS - 2.0) if k == 0 else 1.0
        lags[k] += share * (times[p] - times[_BARE])
        for i in range(3):
            nearer[k] += share * (bare[i] - states[p, i]) * (bare[i + 3] + under * bare[i]) / max(level, _UPRIGHT)


@borrowing
def _scatter(bare, left, lag, nearer):
    """Variance, m^2 per axis, by wind, attitude and whatever else, of a fall that ends ``lag`` s later and ``nearer`` m nearer than at
    state ``bare`` (6), ``left`` s from now, without air."""
    level, _ = _sinking(bare)
    late = lag + nearer / max(level, _UPRIGHT)
    return _LEAST_SCATTER**2 + (WIND * late) ** 2 + _swayed(bare, lag, left + lag)


@borrowing
def _tails(states, times, tails):
    """What `regions.grown` asks for in ``tails (4, nodes)``: the air's delay, s, of bodies at its nodes; the variance there, as in
    `_scatter`; and as `_delays` has them the delays and the ways of the bodies that are known.  Returns the mean variance."""
    lag, scatter, lags, nearer = tails[0], tails[1], tails[2], tails[3]
    _delays(states, times, lags, nearer)
    mean = 0.0
    for i in range(len(NODES)):
        lag[i] = lag_of(NODES[i], lags)
        k, other, share = straddled(NODES[i])
        share = shared(lag[i], lags[k], lags[other], share)
        scatter[i] = _scatter(states[_BARE], times[_BARE], lag[i], nearer[k] + share * (nearer[other] - nearer[k]))
        mean += WEIGHTS[i] * scatter[i]
    return _LEAST_SCATTER**2 if math.isnan(mean) else mean


@borrowing
def _landed(begin, burnt, end, points, times, weights):
    """Leave out, in place, what went to orbit on a further burn or by lift, and what has no weight; returns the new end, and before it
    the new one of those of a further burn, which were before place ``burnt``.

    The forecast is of what comes down.
    """
    m = begin + _POINTS
    last = m
    for p in range(begin + _FALLS, end):
        if math.isnan(times[p]):
            continue
        if p < burnt:
            last += 1
        for i in range(3):
            points[m, i] = points[p, i]
        times[m], weights[m] = times[p], weights[p]
        m += 1
    return last, m


@borrowing
def _size(one, other, times, weights):
    """What the semi-major axis, m, of the 95 % region is at least, where two of the forecast's points, with ``weights (2)``, come down at
    ``one`` and ``other (3)`` after ``times (2)`` s.

    Whatever the others do, the variance of the whole is no less than what these two add to it about their own mean.  All of that is along
    the line between them, and so, but for a share of `_NEAR` squared, in the plane of the ground at the forecast's own mean, if both
    are so near it; else one so far away makes the region large by itself.
    """
    apart, least = 0.0, min(weights[0], weights[1])
    for i in range(3):
        apart += (one[i] - other[i]) ** 2
    under = min(altitude(one[0], one[1], one[2]), altitude(other[0], other[1], other[2])) < -_BURIED
    if under or math.isnan(times[0] + times[1]):
        return 0.0
    along = (1.0 - _NEAR**2) * weights[0] * weights[1] / (weights[0] + weights[1]) * apart
    return _REGION * math.sqrt(min(along, 0.5 * least * (_NEAR * EARTH_A) ** 2))


@borrowing
def _reach(mean, P, burns, B):
    """How many times the region about a mean (3) with covariance (3, 3) must grow to hold that of what burns on, ``burns (3)``,
    ``B (3, 3)``; at least 1.

    Of two that come down far apart a covariance of both together leaves out the less likely (the whole of it, where its chance is 0.1:
    its centre is 3 sigma off), and whether an engine burns stays as it is while plot follows on plot.
    """
    away = math.sqrt((burns[0] - mean[0]) ** 2 + (burns[1] - mean[1]) ** 2 + (burns[2] - mean[2]) ** 2)
    own, both = math.sqrt(B[0, 0] + B[1, 1] + B[2, 2]), math.sqrt(P[0, 0] + P[1, 1] + P[2, 2])
    return max((away + _REGION * own) / (_REGION * both), 1.0)


@borrowing
def _told(t, a, end, boosting, lifting, states, times, weights, mean, cov, when, d, C, tails):
    """Write the forecast of row t, whose points, from place a to ``end``, have come down."""
    drift = _tails(states[a:], times[a:], tails)
    begun = a + _POINTS
    falls = end == a + _FALLS  # it can but fall
    burnt, b = _landed(a, a + _FALLS + (_BURNING if boosting[t] > _LEAST else 0), end, states, times, weights)
    when[t, 0], tv = _moments(states[a:b], times[a:b], weights[a:b], b - a, mean[t], cov[t])
    when[t, 1] = math.sqrt(tv)
    wider = 1.0 + _SKEW * boosting[t]
    if burnt > begun:
        _moments(states[begun:burnt], times[begun:burnt], weights[begun:burnt], burnt - begun, d, C)
        wider = max(wider, _reach(mean[t], cov[t], d, C) ** 2)
    for i in range(3):
        for j in range(3):
            cov[t, i, j] *= wider
    side = (boosting[t] * _SIDE + lifting[t] * (1.0 - _NO_SOAR) * _TURN) * (cov[t, 0, 0] + cov[t, 1, 1] + cov[t, 2, 2])
    for i in range(3):
        cov[t, i, i] += side + drift
    if falls:
        wider = grown(mean[t], cov[t], states[a:], _POINTS - 2, tails[2], tails[0], tails[1], C[:2], C[2:6], tails[4:])
        for i in range(3):
            for j in range(3):
                cov[t, i, j] *= wider


@njit
def impact(x, P, log_beta, push, boosting, lifting, least, mean, cov, when):
    """Impact points ``mean (n, 3)``, ``cov (n, 3, 3)`` and ``when (n, 2)``: time to impact and its sigma, s.

    Cubature points of position, velocity and ln(beta) (``log_beta (n, 2)``: mean, sigma) fall to the ground.  With
    probability ``boosting (n,)`` the push (n, 3) goes on for one of the times in `BURNS`, with ``lifting (n,)`` lift carries
    the body on in one of the ways of `SOARS`: a forecast is the distribution over both that it must be, its covariance so wide that the
    95 % region holds that of what burns on (`_reach`) or, of what can but fall, light bodies (`regions.grown`).  nan where a point does
    not come down.  Some rows are followed down together (`fall_all`).  Where two points tell that the region's semi-major axis is above
    ``least (n,)`` m, if that is not 0, the others are not followed: ``when`` is nan, too.
    """
    square, vector = np.zeros((2, 7, 7)), np.zeros(12 + WORK_SOARING)
    lower, C = square[0], square[1]
    d, s, w, lanes = vector[:6], vector[6:12], vector[12:], np.zeros((2, WORK, LANES))
    most = _FALLS + _BURNING + len(SOARS)
    states, times, weights = np.zeros((_TOGETHER * most, 7)), np.zeros(_TOGETHER * most), np.zeros(_TOGETHER * most)
    tails = np.zeros((6, len(NODES)))
    edges, place, ways = np.zeros(_TOGETHER + 1, np.int64), np.zeros((2, LANES), np.int64), np.zeros(_TOGETHER * most, np.int64)
    for begin in range(0, len(x), _TOGETHER):
        count = min(_TOGETHER, len(x) - begin)
        for t in range(begin, begin + count):
            when[t, 0] = 0.0
        for two in (True, False):
            m = 0
            for r in range(count):
                t = begin + r
                soaring = lifting[t] * (1.0 - _NO_SOAR)
                if two and least[t] > 0.0:
                    m = _two(t, x, P, log_beta, push, boosting, soaring, m, states, times, weights, lower, C, s, ways)
                if not two and not math.isnan(when[t, 0]):
                    m = _starts(t, x, P, log_beta, push, boosting, soaring, m, states, times, weights, lower, C, s, ways)
                edges[r + 1] = m
            soar_all(m, ways, states, times, w, place[0])
            fall_all(m, states, times, lanes, place)
            for r in range(count):
                a, end, t = edges[r], edges[r + 1], begin + r
                if two and end > a and _size(states[a], states[a + 1], times[a:end], weights[a:end]) > least[t]:
                    when[t, 0] = math.nan
                elif not two and end > a:
                    _told(t, a, end, boosting, lifting, states, times, weights, mean, cov, when, d, C, tails)
