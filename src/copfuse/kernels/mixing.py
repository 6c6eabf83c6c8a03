"""How the models' estimates mix before a step: each goes on from a mixture of all, by how they switch.

Mixing follows Blom & Bar-Shalom (IEEE T-AC 33(8), 1988) with the unbiased form for unequal dimensions: a component that a source model
lacks takes the target's own mean and variance (Yuan, Bar-Shalom, Willett et al., IEEE T-AES 48(2), 2012).  Re-entry's wind alone takes
those of before any plot: what it made of a push or of lift meanwhile is none.  What one model is to another
is said by `motions.seen_as`; most of it is put together here while it is summed up, a row of the covariance at a time.
"""

from __future__ import annotations

from copfuse.kernels import borrowing
from copfuse.kernels.earth import reaches
from copfuse.kernels.eights import eight, joined, nought, put
from copfuse.kernels.motions import AIR, N_MODEL, STAGE, UNFELT, UNKNOWN, ahead, dimension, seen_as, without_air
from copfuse.kernels.small import hand

LEAST = 1e-12  # probability that every model keeps
_TRICKLE = 1e-7  # weight in a mixed start below which it is left out there: a push all but excluded would blur what is known best
# Rows of the scratch ``xs (9, 9)`` behind the models' own: what two of them have become where an engine goes out, GLIDE without air,
# and the models' weights
_SPENT, _THIN, _WEIGHT = N_MODEL, N_MODEL + 2, N_MODEL + 3
# Places in the scratch ``how (3 N_MODEL,)``, of each model: how many components are its own, whether their covariance is in ``Ps``, and
# whose matrix there has that of the others, 0 for the target's
_FRONT, _REST = N_MODEL, 2 * N_MODEL


@borrowing
def burnt_within(i, x, h, xs, Ps):
    """What falls at the end of a step of h s, and was pushed by model i at its begin, was pushed for a part of it, in place.

    The engine goes out at a time u that is uniform in [0, h].  Falling all along from a velocity that is a u greater and a
    position that is a u^2 / 2 less ends in the same place: means h / 2 and h^2 / 6, variances h^2 / 12 and h^4 / 45, covariance
    -h^3 / 24, along the push ``x`` (9) gives.
    """
    if i == 0:
        a = x[6], x[7], x[8]
    else:
        _, e0, e1, e2 = ahead(x)
        a = x[6] * e0, x[6] * e1, x[6] * e2
    for b in range(3):
        xs[b + 3] += 0.5 * h * a[b]
        xs[b] -= h * h / 6.0 * a[b]
        for c in range(3):
            both = a[b] * a[c] * h * h
            Ps[b, c] += both * h * h / 45.0
            Ps[b, c + 3] -= both * h / 24.0
            Ps[b + 3, c] -= both * h / 24.0
            Ps[b + 3, c + 3] += both / 12.0


@borrowing
def pushed_anew(share, xs, Ps):
    """MANOEUVRE's push, in place, where a ``share`` of it is a further stage's: that is forward (`STAGE`), and more the last one's does not
    tell."""
    _, e0, e1, e2 = ahead(xs)
    e, (forward, along, across) = (e0, e1, e2), STAGE
    for a in range(3):
        for b in range(3):
            off = (xs[6 + a] - forward * e[a]) * (xs[6 + b] - forward * e[b])
            stage = (along * along - across * across) * e[a] * e[b] + (across * across if a == b else 0.0)
            Ps[6 + a, 6 + b] = (1.0 - share) * (Ps[6 + a, 6 + b] + share * off) + share * stage
    for a in range(3):
        xs[6 + a] += share * (forward * e[a] - xs[6 + a])


@borrowing
def _heard(i, j, mu, unheard):
    """Whether model i has a part in the mixed start of model j: a push or lift of odds to all falls below ``unheard`` has none in a fall's.

    An engine that has just been lit burns on for seconds: what it would be to fall after it tells nothing of a fall that was never lit.
    """
    return i == j or i == 1 or i == 2 or j == 0 or j == 4 or mu[i] >= unheard * (mu[1] + mu[2] + mu[3])


@borrowing(forceinline=True)
def _spent(x, P, h, xs, Ps):
    """MANOEUVRE and BOOST as what falls takes them: `burnt_within` a step of h s."""
    for k in range(2):
        i = 4 * k
        hand(x[i], xs[_SPENT + k])
        for a in range(6):
            hand(P[i, a], Ps[i, a])
        burnt_within(i, x[i], h, xs[_SPENT + k], Ps[i])


@borrowing(forceinline=True)
def _liftless(x, P, xs, Ps):
    """GLIDE where there is no air."""
    hand(x[3], xs[_THIN])
    for a in range(9):
        hand(P[3, a], Ps[3, a])
    without_air(xs[_THIN], Ps[3])


@borrowing(forceinline=True)
def _windless(P, Ps):
    """What of re-entry's covariance others leave to it, rows from the sixth on: its ln(beta), and of the wind what is known beforehand."""
    for a in range(6, 9):
        hand(UNFELT[a], Ps[2, a])
    Ps[2, 6, 6] = P[2, 6, 6]


@borrowing(forceinline=True)
def _taken(i, j, x, P, h, fresh, xs, Ps, J, how):
    """Model i as model j takes it, as `motions.seen_as` says: mean into ``xs[i]``, and in ``how`` where its covariance stands."""
    own, in_front, rest = 9 if i == j or (j == 1 and 1 < i < 4) else (7 if i + j == 5 and 1 < i < 4 else 6), 0, 0
    if i + j == 4 and (i == 0 or j == 0):
        seen_as(i, j, x, P, xs[i], Ps[i], J)
        own, in_front = 9, 1
    else:
        put(joined(eight(x[i]), eight(x[j]), own), xs[i])
        xs[i, 8] = x[i, 8] if own > 8 else x[j, 8]
    if j == 0 and (i == 2 or i == 3):
        put(joined(eight(x[i]), nought(), 6), xs[i])
        for a in range(6, 9):
            hand(UNKNOWN[a], Ps[2, a])
        xs[i, 8], rest = 0.0, 2
    elif i == 1 and j == 0 and fresh > 0.0:
        for a in range(6, 9):
            hand(P[0, a], Ps[1, a])
        pushed_anew(fresh, xs[1], Ps[1])
        rest = 1
    elif j == 2 and i != 2:
        xs[i, 7], xs[i, 8], rest = 0.0, 0.0, 2
    elif j == 3 and reaches(x[i, 0], x[i, 1], x[i, 2], AIR):
        xs[i, 7], xs[i, 8] = xs[_THIN, 7], xs[_THIN, 8]
        in_front, rest = 1 if i == 3 else 0, 3
    if h > 0.0 and (i == 0 or i == 4) and 0 < j < 4:
        put(joined(eight(xs[_SPENT + i // 4]), eight(xs[i]), 6), xs[i])
        in_front = 1
    how[i], how[_FRONT + i], how[_REST + i] = own, in_front, rest


@borrowing(forceinline=True)
def _row(a, front, rest, own):
    """Row a, from the sixth on, of a covariance of which the first ``own`` rows and columns stand in one matrix, the rest in another."""
    return joined(eight(front[a]), nought(), own) if a < own else joined(nought(), eight(rest[a]), own)


@borrowing(forceinline=True)
def _summed(j, n, P, P_out, xs, Ps, weight, how):
    """Covariance of model j's mixture into ``P_out`` (n, n): ``weight`` of each model, whose mean less the mixture's is in ``xs``."""
    a, b, c, d, e, f, g, h, k, last = nought(), nought(), nought(), nought(), nought(), nought(), nought(), nought(), nought(), 0.0
    for i in range(N_MODEL):
        w = weight[i]
        if not w > 0.0:
            continue
        own, away, off = how[i], xs[i], eight(xs[i])
        front, rest = (Ps[i] if how[_FRONT + i] > 0 else P[i]), (Ps[how[_REST + i]] if how[_REST + i] > 0 else P[j])
        a = a + w * (joined(eight(front[0]), nought(), own) + away[0] * off)
        b = b + w * (joined(eight(front[1]), nought(), own) + away[1] * off)
        c = c + w * (joined(eight(front[2]), nought(), own) + away[2] * off)
        d = d + w * (joined(eight(front[3]), nought(), own) + away[3] * off)
        e = e + w * (joined(eight(front[4]), nought(), own) + away[4] * off)
        f = f + w * (joined(eight(front[5]), nought(), own) + away[5] * off)
        if n > 6:
            g = g + w * (_row(6, front, rest, own) + away[6] * off)
            h = h + w * (_row(7, front, rest, own) + away[7] * off)
            k = k + w * (_row(8, front, rest, own) + away[8] * off)
            last += w * ((front[8, 8] if own > 8 else rest[8, 8]) + away[8] * away[8])
    put(joined(a, nought(), n), P_out[0])
    put(joined(b, nought(), n), P_out[1])
    put(joined(c, nought(), n), P_out[2])
    put(joined(d, nought(), n), P_out[3])
    put(joined(e, nought(), n), P_out[4])
    put(joined(f, nought(), n), P_out[5])
    if n > 6:
        put(joined(g, nought(), n), P_out[6])
    if n > 7:
        put(joined(h, nought(), n), P_out[7])
    if n > 8:
        put(k, P_out[8])
        P_out[8, 8] = last
        for q in range(8):
            P_out[q, 8] = P_out[8, q]


@borrowing
def mix(x, P, mu, Pi, h, fresh, unheard, asleep, x_out, P_out, mu_out, xs, Ps, J, how):
    """Mixed initial conditions of the filters and the predicted model probabilities, for a step of h s.

    ``fresh``: share of what goes from COAST to MANOEUVRE that lights a further stage (`switching.transition` returns it).
    What is not `_heard` counts in the probabilities alone.  MANOEUVRE and COAST are not mixed where they are no more probable than
    ``asleep``: all that they are is then for `estimation.follow` to say.  xs (9, 9), Ps (N_MODEL, 9, 9), J (9, 9) and how (3 N_MODEL,) are
    scratch.
    """
    total, spent, weight = 0.0, False, xs[_WEIGHT]
    for j in range(N_MODEL):
        c = 0.0
        for i in range(N_MODEL):
            c += Pi[i, j] * mu[i]
        mu_out[j] = max(c, LEAST)
        total += mu_out[j]
    for j in range(N_MODEL):
        mu_out[j] /= total
        if j < 2 and not mu_out[j] > asleep:
            put(nought(), x_out[j])
            continue
        n, told = dimension(j), 0.0
        for i in range(N_MODEL):
            weight[i] = Pi[i, j] * mu[i] if _heard(i, j, mu, unheard) else 0.0
            told += weight[i]
        for i in range(N_MODEL):
            w = weight[i] / told if told > 1e-200 else (1.0 if i == j else 0.0)  # where nothing comes the model goes on from its own
            weight[i] = w if w > _TRICKLE else 0.0
        if h > 0.0 and 0 < j < 4 and not spent and (weight[0] > 0.0 or weight[4] > 0.0):
            _spent(x, P, h, xs, Ps)
            spent = True
        if j == 2:
            _windless(P, Ps)
        elif j == 3:
            _liftless(x, P, xs, Ps)
        first, last = nought(), 0.0
        for i in range(N_MODEL):
            w = weight[i]
            if not w > 0.0:
                continue
            _taken(i, j, x, P, h, fresh, xs, Ps, J, how)
            first = first + w * (eight(xs[i]) - eight(x[j]))  # about the target's own, so that nothing is lost to the Earth's size
            last += w * (xs[i, 8] - x[j, 8])
        first, last = first + eight(x[j]), last + x[j, 8]
        put(joined(first, nought(), n), x_out[j])
        if n > 8:
            x_out[j, 8] = last
        for i in range(N_MODEL):
            put(eight(xs[i]) - first, xs[i])
            xs[i, 8] -= last
        _summed(j, n, P, P_out[j], xs, Ps, weight, how)
