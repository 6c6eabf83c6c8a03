"""What is foreseen of rows of tracks, of many in one call: the loops of `ahead` and `telling`."""

from __future__ import annotations

import math

from copfuse.constants import BOOST, EARTH_OMEGA, G0, GLIDE, MU, REENTRY_ALTITUDE
from copfuse.kernels import borrowing
from copfuse.kernels.earth import altitude
from copfuse.kernels.estimation import combine
from copfuse.kernels.motions import N_MODEL
from copfuse.kernels.starts import start


@borrowing
def braked(rows, x, since, low):
    """Which of ``rows (n,)`` of states ``x (., 6)`` are in the air, or will be ``since (n,)`` s later, roughly: ``low (n,)``.

    What falls goes there without air, for it is one step over which models switch by where it begins.
    """
    for i in range(len(rows)):
        px, py, pz, vx, vy, vz = x[rows[i]]
        dt = since[i]
        then = altitude(px + vx * dt, py + vy * dt, pz + vz * dt) - 0.5 * G0 * (dt * dt)
        low[i] = min(altitude(px, py, pz), then) < REENTRY_ALTITUDE


@borrowing
def models(phase, low, burnt_out, freely, mu):
    """Probabilities ``mu (5,)`` of the models by those of the phases, ``phase (4,)``; what falls is braked where it is ``low``.

    The chance of a further stage, and whether it falls: it surely burns no more, by ``burnt_out``, and more likely than ``freely``
    nothing lifts it.
    """
    boost, glide = phase[BOOST], phase[GLIDE]
    burns, free = boost >= 0.5, min(max(1.0 - boost - glide, 0.0), 1.0)
    engine, lift = 0.9 * boost if burns else 0.0, 0.9 * glide
    mu[0], mu[3], mu[4] = 1.0 - engine - lift - free, lift, engine
    mu[1], mu[2] = 0.0 if low else free, free if low else 0.0
    for model in range(N_MODEL):
        mu[model] = min(max(mu[model], 0.0), 1.0)
    return 0.0 if burns else boost, boost < burnt_out and free > freely


@borrowing
def started(
    rows, low, burnt_out, freely, priors, time, x, P, phase, acceleration, sigma, log_beta, now, xs, Ps, mu, x6, P6, pause, falls
):  # fmt: skip
    """Rows ``rows (n,)`` of columns of Tracks as filter states: ``now (n,), xs (n, 5, 9), Ps (n, 5, 9, 9)``, which are nought, ``mu
    (n, 5), x6 (n, 6), P6 (n, 6, 6)``.

    ``low (n,)``, ``burnt_out``, ``freely``, ``pause (n,)`` and ``falls (n,)`` as in `models`; ``priors`` are thrust, flow and lift as
    in `starts.start`.
    """
    thrust, flow, lift = priors
    for i in range(len(rows)):
        r = rows[i]
        now[i] = time[r]
        for a in range(6):
            x6[i, a] = x[r, a]
            for b in range(6):
                P6[i, a, b] = P[r, a, b]
        pause[i], falls[i] = models(phase[r], low[i], burnt_out, freely, mu[i])
        here, of = slice(i, i + 1), slice(r, r + 1)
        start(acceleration[of], sigma[of], log_beta[of], thrust, flow, lift, x6[here], P6[here], xs[here], Ps[here])


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
def lines(
    key, node, entry, row_of, step, begins, middle, was_node, was_row, was_begun, last, chain, row, line, behind, begun, first, was, time
):  # fmt: skip
    """What is foreseen alike, from the same row and the same step on, by whatever nation: one line.  How many there are.

    Nation ``node (n,)`` tells its radars of ``row (n,)``, filled in, that of ``entry (n,)`` in ``row_of``, the newest of track ``key
    (n,)`` in the ``step (n,)`` that begins at ``begins (k,)`` s: in order of key, then step, which have no gap.  In the step before all
    these, nation ``was_node (m,)`` foresaw ``was_row (m,)``, first in the step that began at ``was_begun (m,)`` s.

    ``line (n,)``, ``behind (n,)`` how many steps it is after the line's first one here, and when s it was ``begun (n,)``.  Of each line,
    (n,) each: ``first``, its row, ``was``, its place in the step before or −1, and the ``time`` s for which it is foreseen first, so many s
    behind a step's begin as ``middle``.  Scratch: ``last (2, rows)``, −1, which of a row was before and which line of it is newest, and
    ``chain (3, max(n, m))``, which came before that, and where a line stands first.
    """
    many = 0
    for j in range(len(was_row)):
        if was_row[j] < last.shape[1]:
            chain[0, j] = last[0, was_row[j]]
            last[0, was_row[j]] = j
    for i in range(len(line)):
        row[i] = row_of[entry[i]]
        if i > 0 and key[i] == key[i - 1] and row[i] == row[i - 1]:
            line[i], behind[i], begun[i] = line[i - 1], behind[i - 1] + 1, begun[i - 1]
            continue
        place = last[0, row[i]] if step[i] == 0 else -1
        while place >= 0 and was_node[place] != node[i]:
            place = chain[0, place]
        begun[i], behind[i] = was_begun[place] if place >= 0 else begins[step[i]], 0
        same = last[1, row[i]]
        while same >= 0 and begun[chain[2, same]] != begun[i]:
            same = chain[1, same]
        if same < 0:
            same = many
            first[same], was[same], time[same] = row[i], place, begins[step[i]] + middle
            chain[1, same], chain[2, same] = last[1, row[i]], i
            last[1, row[i]] = same
            many += 1
        line[i] = same
    return many


@borrowing
def cues(
    out, at, found, row_of, known_of, source_of, begins, reaction, slack, bank, cube, push, pushed, after,
    node, begin, end, time, x, P, acceleration, source, row, known,
):  # fmt: skip
    """The cues of what is not ``out (n,)``, step after step, each in the order of ``found``, as `telling.Newest`.

    What is foreseen is row ``at (n,)`` of ``bank``: ``time, x6, P6``; ``cube`` is that of its distance from the Earth's centre, ``push (.,
    3)`` what pushes it, and ``pushed`` by what chance.  Its acceleration is that of free fall over a turning Earth, and the push.
    Entries are of ``row_of, known_of``, rows of ``source_of``.  Columns as in `volumes.Cues`; ``after (k + 1,)``, nought, is scratch.
    """
    nodes, _, steps, entries, starts = found
    now, x6, P6 = bank
    for i in range(len(out)):
        if not out[i]:
            after[steps[i] + 1] += 1
    for k in range(1, len(after)):
        after[k] += after[k - 1]
    for i in range(len(out)):
        if out[i]:
            continue
        c, j, entry = after[steps[i]], at[i], entries[i]
        after[steps[i]] += 1
        node[c], begin[c], end[c], time[c] = nodes[i], starts[i], begins[steps[i]] + reaction, now[j]
        row[c], known[c] = row_of[entry], known_of[entry]
        source[c] = source_of[row[c]]
        for a in range(6):
            x[c, a] = x6[j, a]
            for b in range(6):
                P[c, a, b] = P6[j, a, b] + slack[a, b]
        ax, ay, az = -MU * x6[j, 0] / cube[j], -MU * x6[j, 1] / cube[j], -MU * x6[j, 2] / cube[j]
        ax += EARTH_OMEGA * (EARTH_OMEGA * x6[j, 0])  # centrifugal, and Coriolis
        ay += EARTH_OMEGA * (EARTH_OMEGA * x6[j, 1])
        ax += 2.0 * (EARTH_OMEGA * x6[j, 4])
        ay -= 2.0 * (EARTH_OMEGA * x6[j, 3])
        for a, pull in enumerate((ax, ay, az)):
            acceleration[c, a] = pull + push[j, a] * pushed[j]


@borrowing
def shares(end, node, source, alone, together, many, share):
    """``share (n,)`` of a radar's time that each cue has, of steps that ``end (n,)`` s, those of a step side by side: ``alone``, or its
    part of what cues may have ``together``, by the most of one source of those to its nation.

    ``node (n,)`` and ``source (n,)`` are numbers of nodes, ``many (nodes, nodes)`` is scratch.
    """
    begin = 0
    while begin < len(end):
        many[:] = 0
        after = begin
        while after < len(end) and end[after] == end[begin]:
            many[node[after], source[after]] += 1
            after += 1
        for i in range(begin, after):
            most = 1
            for other in range(many.shape[1]):
                most = max(most, many[node[i], other])
            share[i] = min(alone, together / most)
        begin = after
