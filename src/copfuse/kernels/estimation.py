"""The interacting multiple model filter for n tracks: predict, expect, update, as scalar loops.

The models are in `kernels.motions`, how they switch in `kernels.switching`, and how they mix in `kernels.mixing`.  Moments go through the
non-linear functions by the third-degree spherical cubature rule (Arasaratnam & Haykin, IEEE T-AC 54(6), 2009, eqs. 24-51).
"""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import borrowing, njit
from copfuse.kernels.bending import learn
from copfuse.kernels.curved import CURVED, bends, look_again, much
from copfuse.kernels.earth import altitude
from copfuse.kernels.eights import eight, nought, put_first, run
from copfuse.kernels.lanes import WORK, gather, move, scatter
from copfuse.kernels.mixing import LEAST, mix
from copfuse.kernels.motions import AIR, BOOST, COAST, N_MODEL, PUSH_SIGMA, REENTRY, WIND, add_process_noise, dimension, propagate
from copfuse.kernels.sights import ROWS, SCRATCH, SIDE, distances, regress, revise_measured
from copfuse.kernels.sights import WORK as WORK_SEEN
from copfuse.kernels.small import columns, columns_of, firm_up, hand_all
from copfuse.kernels.switching import HEAVY, LATELY, transition

NEGLIGIBLE = 1e-3  # model probability below which a model opens no gate
ASLEEP = 1e-7  # model probability below which a model is not computed
RARE = 1e-5  # model probability below which a model is left out of the mixture's moments
UNHEARD = 0.03  # odds of a push or a lift to all falls below which it has no part in their starts in climbs and thin air, *notional*
ALL = 1e300  # likewise while a further stage may light: a push is most likely that one's, which burns on; and of what has one plot, or two:
UNTOLD = 1e3  # m/s, the velocity's standard deviation in space from which on push and fall are two guesses at it, and no mixture of both
BURNOUT_STEP = 2.0  # s: an engine that may burn is asked as often whether it has gone out
FAR = 4  # of a state to many times: so many steps behind the first are of that length, later ones so many times as long
MOST = 82  # cubature points of all models together
_IN_TURN = np.array([2, 3, 1, 4, 0])  # so that what feels the air, and thrust, fill lanes by themselves


@borrowing
def predict_model(model, n, x, P, dt, noise, upper, points, k, y):
    """Predict one model's mean x (9) and covariance P (9, 9) by dt, in place, its points one at a time; the first n count."""
    if dt == 0.0:
        return
    columns(P, n, upper, points[0])
    scatter(n, x, upper, points)
    for i in range(n):
        y[i] = 0.0
    for p in range(2 * n):
        propagate(model, n, points[p], dt, k, y)
    gather(n, points, x, P)
    add_process_noise(model, x, P, dt, noise)
    firm_up(P, n)


@borrowing
def predict_models(x, P, mu, dt, noise, upper, over, points, kind, w):
    """`predict_model` of all of a track's models that are not asleep, in place, their points side by side (`lanes.move`).

    ``upper (N_MODEL, 9, 9)`` and ``over (N_MODEL, 9)`` are scratch.
    """
    for j in range(N_MODEL):
        kind[j] = dimension(j) if mu[j] > ASLEEP else 0
    columns_of(P, kind[:N_MODEL], upper, over)
    count = 0
    for j in _IN_TURN:
        if mu[j] > ASLEEP:
            n = dimension(j)
            scatter(n, x[j], upper[j], run(points, count, 2 * n))
            for p in range(2 * n):
                kind[count + p] = j
            count += 2 * n
    move(points, kind, count, dt, w)
    count = 0
    for j in _IN_TURN:
        if mu[j] > ASLEEP:
            n = dimension(j)
            gather(n, run(points, count, 2 * n), x[j], P[j])
            add_process_noise(j, x[j], P[j], dt, noise)
            firm_up(P[j], n)
            count += 2 * n


@borrowing
def likeliest(mu):
    """The model of greatest probability."""
    best = 0
    for j in range(1, N_MODEL):
        if mu[j] > mu[best]:
            best = j
    return best


@borrowing(forceinline=True)
def _middle(x, mu):
    """Mean of the mixture of the models that are not `RARE`, and their probability."""
    first = likeliest(mu)
    total = 0.0
    for i in range(N_MODEL):
        total += mu[i] if mu[i] > RARE else 0.0
    mean = eight(x[first])
    for i in range(N_MODEL):
        if mu[i] > RARE:
            mean = mean + mu[i] / total * (eight(x[i]) - eight(x[first]))
    return mean, total


@borrowing
def combine(x, P, mu, x6, P6):
    """Mean and covariance (six components) of the mixture of the models that are not `RARE`."""
    mean, total = _middle(x, mu)
    put_first(mean, x6, 6)
    for a in range(6):
        row = nought()
        for i in range(N_MODEL):
            if mu[i] > RARE:
                row = row + mu[i] / total * (eight(P[i, a]) + (x[i, a] - x6[a]) * (eight(x[i]) - mean))
        put_first(row, P6[a], 6)
    firm_up(P6, len(x6))


@borrowing
def follow(j, leader, x, P):
    """Give a sleeping model j the leader's position and velocity; what it adds stays, uncorrelated (unknown pushes and winds: at rest)."""
    put_first(eight(x[leader]), x[j], 6)
    for a in range(6):
        put_first(eight(P[leader, a]), P[j, a], 6)
        for b in range(6, 9):
            P[j, a, b] = 0.0
            P[j, b, a] = 0.0
    if j == 0:
        for a in range(6, 9):
            x[j, a] = 0.0
            for b in range(6, 9):
                P[j, a, b] = PUSH_SIGMA * PUSH_SIGMA if a == b else 0.0
    elif j == 2:
        for a in range(7, 9):
            x[j, a] = 0.0
            for b in range(6, 9):
                P[j, a, b] = P[j, b, a] = WIND * WIND if a == b else 0.0


@borrowing
def _copy(t, x, P, mu, x_now, P_now, mu_now):
    """Track t of a bank as it is now."""
    for i in range(N_MODEL):
        mu_now[i] = mu[t, i]
    hand_all(x[t], x_now, N_MODEL * 9)
    hand_all(P[t], P_now, N_MODEL * 81)


@borrowing
def _step(x, P, mu, h, relight, noise, x_out, P_out, mu_out, x6, square, points, kind, w, Ps):
    """One step of `predict` of one track."""
    Pi, xs, J = square[0], square[1], square[2]
    mean, _ = _middle(x, mu)
    put_first(mean, x6, 6)
    r = math.sqrt(x6[0] ** 2 + x6[1] ** 2 + x6[2] ** 2)
    climb = (x6[0] * x6[3] + x6[1] * x6[4] + x6[2] * x6[5]) / r
    height = altitude(x6[0], x6[1], x6[2])
    across = math.sqrt(max(x6[3] ** 2 + x6[4] ** 2 + x6[5] ** 2 - climb * climb, 0.0))
    if x[REENTRY, 6] - HEAVY[1] * math.sqrt(P[REENTRY, 6, 6]) < HEAVY[0]:  # a piece
        across = math.inf
    fresh = transition(height, climb, across, x[BOOST, 6], relight, h, Pi)
    untold = P[COAST, 3, 3] + P[COAST, 4, 4] + P[COAST, 5, 5] > UNTOLD * UNTOLD
    unheard = UNHEARD if height >= AIR or climb > 0.0 else 0.0
    if height >= AIR and (untold or relight > LATELY):
        unheard = ALL
    mix(x, P, mu, Pi, h, fresh, unheard, ASLEEP, x_out, P_out, mu_out, xs, Ps, J, kind)
    leader = likeliest(mu_out)
    if h != 0.0:
        predict_models(x_out, P_out, mu_out, h, noise, Ps, xs, points, kind, w)
    for j in range(N_MODEL):
        if not mu_out[j] > ASLEEP:
            follow(j, leader, x_out, P_out)


@borrowing(forceinline=True)
def _last_step(mu, relight, dt):
    """How many steps of `BURNOUT_STEP` follow on the first one, which is what is left of dt: none where no engine may burn."""
    if not mu[0] + mu[4] + relight * abs(dt) > NEGLIGIBLE:
        return 0
    return max(int(math.ceil(abs(dt) / BURNOUT_STEP)) - 1, 0)


@borrowing
def _stop_before(k):
    """With which of them the way to the end of number k ends before its own last step: −1 at its begin."""
    return k - 1 if k <= FAR else FAR * ((k - 1) // FAR)


@borrowing
def _gone(t, last, first, before, dt, mu, relight):
    """Which track in front, of the same state, has gone a part of track t's way (−1: none), and to the end of which step."""
    k, p = _stop_before(last), before[t]
    while p >= 0 and k >= 0:
        steps = _last_step(mu, relight[p], dt[p])
        while k > steps:
            k = _stop_before(k)
        if k == steps and relight[p] == relight[t] and dt[p] - math.copysign(BURNOUT_STEP, dt[p]) * steps == first:
            return p, k
        p = before[p]
    return -1, -1


@njit
def predict(x, P, mu, start, before, dt, relight, noise, x_out, P_out, mu_out, x6, P6):
    """Predict n tracks by dt (n,) each: mixing, the models, and the combined estimate; ``relight (n,)`` as in `switching.transition`.

    ``x (m, N_MODEL, 9), P (m, N_MODEL, 9, 9), mu (m, N_MODEL)`` in; the same of n tracks and ``x6 (n, 6), P6 (n, 6, 6)`` out.
    Where an engine may burn, steps are no longer than `BURNOUT_STEP`, so that it can go out between two plots.  Models less probable than
    `ASLEEP` are not computed: they follow the likeliest.

    Where ``start`` is empty, n = m, and steps are alike, five at most.  Else track t is of the state ``start[t]``, as ``before[t]`` is, the
    last one in front (−1: none), and what is common to their ways is gone once: what is left of dt is first, then steps are of one
    length, and `FAR` times as long from the `FAR`-th on.  So the way is a state's and a time's alone, to the bit, whoever stands beside it.
    """
    square, vector = np.zeros((4, 9, 9)), np.zeros((MOST + 1, 9))  # two arrays, not ten: each costs time to compile
    x_now, points, mu_now, kind, w = square[3], vector[:MOST], vector[MOST], np.zeros(MOST, np.int64), np.zeros(WORK)
    Ps, P_now, alone = np.zeros((N_MODEL, 9, 9)), np.zeros((N_MODEL, 9, 9)), len(start) == 0
    for t in range(len(dt)):
        s = t if alone else start[t]
        last = _last_step(mu[s], relight[t], dt[t])
        p, k, now, out, of = -1, -1, (x[s], P[s], mu[s]), (x_out[t], P_out[t], mu_out[t]), (x6[t], P6[t])
        if alone:
            last = min(last, 4)
            h = first = dt[t] / (last + 1)
        else:
            h = math.copysign(BURNOUT_STEP, dt[t])
            first = dt[t] - h * last
            p, k = _gone(t, last, first, before, dt, mu[s], relight)
        if p >= 0:
            now = x_out[p], P_out[p], mu_out[p]
        while k < last:
            far = 1 if alone or k < FAR else min(FAR, last - k)
            step = far * h if k >= 0 else first
            _step(now[0], now[1], now[2], step, relight[t], noise, out[0], out[1], out[2], of[0], square, points, kind, w, Ps)
            k += far
            if k < last:
                _copy(t, x_out, P_out, mu_out, x_now, P_now, mu_now)
                now = x_now, P_now, mu_now
        combine(out[0], out[1], out[2], of[0], of[1])


@njit
def update(x, P, mu, origin, axes, cosines, z, sigma, x6, P6, seen):
    """Update n predicted tracks in place, each with its own plot row ``z (n, 4), sigma (n, 4)``; combined ``x6, P6`` out.

    ``seen (n, N_MODEL, sights.ROWS, 9)`` are their models' regressions as `pairwise.expect_pairs` leaves them, or of no track.
    """
    unseen, have, w = np.zeros((0 if len(seen) > 0 else N_MODEL, ROWS, 9)), np.zeros(4, np.int64), np.zeros(WORK_SEEN)
    own, rows, side = np.zeros((CURVED, 9)), np.zeros((SCRATCH + 1, 9)), np.zeros((SIDE, 9))
    ll = rows[SCRATCH]
    for t in range(len(mu)):
        best, look = -1e300, unseen
        leader = likeliest(mu[t])
        before, least = mu[t, leader], much(mu[t])
        if len(seen) > 0:
            look = seen[t]
        else:
            for j in range(N_MODEL):
                if mu[t, j] > ASLEEP:
                    regress(dimension(j), x[t, j], P[t, j], origin, axes, cosines, look[j], w)
        m = distances(z[t], sigma[t], look, have, side)
        for j in range(N_MODEL):
            if not mu[t, j] > ASLEEP:
                continue
            if bends(m, sigma[t], look[j], have, least):
                ll[j] = look_again(dimension(j), x[t, j], P[t, j], origin, axes, cosines, z[t], sigma[t], look[j], own, rows, have, w)
            elif j == 2 and mu[t, j] > NEGLIGIBLE:
                ll[j] = learn(x[t, j], P[t, j], origin, axes, cosines, z[t], sigma[t], look[j], own, rows, have, w)
            else:
                ll[j] = revise_measured(dimension(j), j, x[t, j], P[t, j], m, sigma[t], look[j], side, rows, have)
            ll[j] += math.log(max(mu[t, j], LEAST))
            best = max(best, ll[j])
        total = 0.0
        for j in range(N_MODEL):
            if mu[t, j] > ASLEEP:
                mu[t, j] = max(math.exp(ll[j] - best), LEAST)
            else:  # nobody asked it: it neither gains nor loses
                mu[t, j] = max(mu[t, j] / before * math.exp(ll[leader] - best), LEAST)
                follow(j, leader, x[t], P[t])
            total += mu[t, j]
        for j in range(N_MODEL):
            mu[t, j] /= total
        combine(x[t], P[t], mu[t], x6[t], P6[t])
