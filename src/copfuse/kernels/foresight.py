"""What is foreseen of rows of tracks, of many in one call: the loops of `ahead` and `telling`."""

from __future__ import annotations

import math

from copfuse.constants import BOOST, G0, GLIDE, REENTRY_ALTITUDE
from copfuse.kernels import borrowing
from copfuse.kernels.earth import altitude
from copfuse.kernels.estimation import combine
from copfuse.kernels.motions import N_MODEL


@borrowing
def braked(x, since, low):
    """Which states ``x (n, 6)`` are in the air, or will be ``since (n,)`` s later, roughly: ``low (n,)``.

    What falls goes there without air, for it is one step over which models switch by where it begins.
    """
    for i in range(len(low)):
        dt = since[i]
        then = altitude(x[i, 0] + x[i, 3] * dt, x[i, 1] + x[i, 4] * dt, x[i, 2] + x[i, 5] * dt) - 0.5 * G0 * (dt * dt)
        low[i] = min(altitude(x[i, 0], x[i, 1], x[i, 2]), then) < REENTRY_ALTITUDE


@borrowing
def models(phase, low, burnt_out, freely, mu, pause, falls):
    """Probabilities ``mu (n, 5)`` of the models by those of the phases, ``phase (n, 4)``; what falls is braked where it is ``low (n,)``.

    The chance ``pause (n,)`` of a further stage, and whether it ``falls (n,)``: it surely burns no more, ``burnt_out``, and more likely
    than ``freely`` nothing lifts it.
    """
    for i in range(len(mu)):
        boost, glide = phase[i, BOOST], phase[i, GLIDE]
        burns, free = boost >= 0.5, min(max(1.0 - boost - glide, 0.0), 1.0)
        engine, lift = 0.9 * boost if burns else 0.0, 0.9 * glide
        mu[i, 0], mu[i, 3], mu[i, 4] = 1.0 - engine - lift - free, lift, engine
        mu[i, 1], mu[i, 2] = 0.0 if low[i] else free, free if low[i] else 0.0
        for model in range(N_MODEL):
            mu[i, model] = min(max(mu[i, model], 0.0), 1.0)
        pause[i] = 0.0 if burns else boost
        falls[i] = boost < burnt_out and free > freely


@borrowing
def weigh_some(some, likelihood, x, P, mu, x6, P6):
    """`filters.weigh` of tracks ``some (n,)``, in place: ``likelihood (5,)`` of what is seen under each model."""
    for i in some:
        total = 0.0
        for model in range(N_MODEL):
            mu[i, model] *= likelihood[model]
            total += mu[i, model]
        for model in range(N_MODEL):
            mu[i, model] /= total
        combine(x[i], P[i], mu[i], x6[i], P6[i])


@borrowing
def lost(x6, P6, slack, vague, out):
    """Which estimates ``x6 (n, 6), P6 (n, 6, 6)`` have come down or are not known to ``vague`` m, ``out (n,)``, where biases leave
    ``slack (6, 6)``."""
    for i in range(len(out)):
        sigma = math.sqrt((P6[i, 0, 0] + slack[0, 0]) + (P6[i, 1, 1] + slack[1, 1]) + (P6[i, 2, 2] + slack[2, 2]))
        out[i] = not (sigma < vague and altitude(x6[i, 0], x6[i, 1], x6[i, 2]) > 0.0)


@borrowing
def lines(key, node, row, step, begins, was_node, was_row, was_begun, last, chain, line, behind, begun, first, was):
    """What is foreseen alike, from the same row and the same step on, by whatever nation: one line.  How many there are.

    Nation ``node (n,)`` tells its radars of ``row (n,)``, the newest of track ``key (n,)``, in the ``step (n,)`` that begins at
    ``begins (k,)`` s: in order of key, then step, which have no gap.  In the step before all these, nation ``was_node (m,)`` foresaw
    ``was_row (m,)``, first in the step that began at ``was_begun (m,)`` s.

    ``line (n,)``, ``behind (n,)`` how many steps it is after the line's first one here, and when s it was ``begun (n,)``.  Of each line:
    ``first``, where it stands first, and ``was``, its place in the step before or −1, (n,) each.  Scratch: ``last (2, rows)``, −1, which
    of a row was before and which line of it is newest, and ``chain (2, max(n, m))``, which came before that.
    """
    many = 0
    for j in range(len(was_row)):
        if was_row[j] < last.shape[1]:
            chain[0, j] = last[0, was_row[j]]
            last[0, was_row[j]] = j
    for i in range(len(line)):
        if i > 0 and key[i] == key[i - 1] and row[i] == row[i - 1]:
            line[i], behind[i], begun[i] = line[i - 1], behind[i - 1] + 1, begun[i - 1]
            continue
        place = last[0, row[i]] if step[i] == 0 else -1
        while place >= 0 and was_node[place] != node[i]:
            place = chain[0, place]
        begun[i], behind[i] = was_begun[place] if place >= 0 else begins[step[i]], 0
        same = last[1, row[i]]
        while same >= 0 and begun[first[same]] != begun[i]:
            same = chain[1, same]
        if same < 0:
            same = many
            first[same], was[same], chain[1, same] = i, place, last[1, row[i]]
            last[1, row[i]] = same
            many += 1
        line[i] = same
    return many
