"""Which of a node's tracks are still followed, and which are within reach of a scan's plots: how a scan of `kernels.steady` begins."""

from __future__ import annotations

import math

from numba import float64 as F

from copfuse.kernels import borrowing
from copfuse.kernels.earth import altitude
from copfuse.kernels.eights import run
from copfuse.kernels.gating import boxes as boxes_kernel
from copfuse.kernels.lent import (
    BLUR,
    BURNT,
    COUNT,
    DROPPED,
    DT,
    FIRM,
    NEAR,
    PLOT,
    REVISIT,
    SEEN,
    START,
)
from copfuse.kernels.motions import BOOST, MANOEUVRE, N_MODEL
from copfuse.kernels.small import hand_all
from copfuse.kernels.standing import standing

_ROWS = F[:, ::1]
_boxes, boxes_at = standing(boxes_kernel, F[:, :, ::1], F[:, :, :, ::1], _ROWS, F[::1], F, F, F, _ROWS, _ROWS)


@borrowing
def copy_columns(rows, i, k):
    """Put what is beside the bank of track i in row k."""
    for a in range(rows.facts.shape[1]):
        rows.facts[k, a] = rows.facts[i, a]
    for a in range(rows.figures.shape[1]):
        rows.figures[k, a] = rows.figures[i, a]


@borrowing
def copy_row(rows, i, k):
    """Put a copy of track i in row k."""
    rows.time[k] = rows.time[i]
    for j in range(N_MODEL):
        rows.mu[k, j] = rows.mu[i, j]
    hand_all(rows.x[i], rows.x[k], N_MODEL * 9)
    hand_all(rows.P[i], rows.P[k], N_MODEL * 81)
    for a in range(6):
        rows.x6[k, a] = rows.x6[i, a]
    hand_all(rows.P6[i], rows.P6[k], 36)
    copy_columns(rows, i, k)


@borrowing
def _waiting(rows, r, now, rule):
    """`coasting.waiting` of track r."""
    return rows.facts[r, FIRM] == 0 and now - rows.figures[r, SEEN] > max(rule.hold_tentative, 2.5 * rows.figures[r, REVISIT])


@borrowing
def _falls_to(rows, r, now, spot, p, rule):
    """Whether plot p may be of track r, which waits: `coasting.within_reach`."""
    d2, reach = 0.0, rule.fastest * (now - rows.time[r]) + rule.slack + rule.sigmas * spot[p, BLUR]
    for a in range(3):
        d2 += (spot[p, a] - rows.x6[r, a]) ** 2
    return d2 <= reach * reach and altitude(spot[p, 0], spot[p, 1], spot[p, 2]) > rule.airless  # of a direction it is far below


@borrowing
def _falls_high(rows, r, rule):
    """`coasting._falls_high` of track r."""
    if not rows.mu[r, MANOEUVRE] + rows.mu[r, BOOST] < rule.falls:
        return False
    return altitude(rows.x6[r, 0], rows.x6[r, 1], rows.x6[r, 2]) > rule.airless


@borrowing
def coasted(rows, node, base, now, rule):
    """`coasting.coasted`: drop tracks that nobody sees and that are not firm, in place; whether no firm one is to be asked here.

    A firm one that falls is asked every ``coast_step``, when it is moved on; in between nothing of it changes.
    """
    kept, settled = base, True
    for r in range(base, base + rows.counts[COUNT, node]):
        firm, age, revisit = rows.facts[r, FIRM] != 0, now - rows.figures[r, SEEN], rows.figures[r, REVISIT]
        if _waiting(rows, r, now, rule) and (age > rule.hold or not _falls_high(rows, r, rule)):
            continue
        if firm and age > max(rule.hold, rule.hold_scans * revisit):
            falls = rows.mu[r, MANOEUVRE] + rows.mu[r, BOOST] < (rule.falls if rows.facts[r, BURNT] != 0 else rule.burnt_out)
            settled = settled and falls and now - rows.time[r] <= rule.coast_step and rows.time[r] > rows.figures[r, SEEN]
        if kept < r:
            copy_row(rows, r, kept)
        kept += 1
    rows.counts[DROPPED, node] += base + rows.counts[COUNT, node] - kept
    rows.counts[COUNT, node] = kept - base
    return settled


@borrowing(forceinline=True)
def _turned(middle, half, origin):
    """A box as directions from ``origin``, in place: a unit vector, and the angle that it fills."""
    d0, d1, d2 = middle[0] - origin[0], middle[1] - origin[1], middle[2] - origin[2]
    away, wide = math.sqrt(d0 * d0 + d1 * d1 + d2 * d2), math.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
    angle = math.asin(min(wide / away, 1.0)) if wide < away else 2.0
    middle[0], middle[1], middle[2] = d0 / away, d1 / away, d2 / away
    half[0], half[1], half[2] = angle, angle, angle


@borrowing
def reached(rows, base, n, now, scans, first, last, origin, rule, work, at):
    """`pairing.reachable`: how many of n tracks are within reach of a scan's plots, into ``work``; −1 where that is not asked here."""
    seen, spot, pairs, near = scans.seen[0], scans.spot, 0, 0
    blind = math.isnan(seen[first, 0])
    for p in range(first, last):
        if math.isnan(seen[p, 0]) != blind or math.isnan(seen[p, 1]) or math.isnan(seen[p, 2]):
            return -1
    dt, middle, half = work.figures[DT], work.boxes[0], work.boxes[1]
    for i in range(n):
        dt[i] = now - rows.time[base + i]
    x, P, mu, dt = run(rows.x, base, n), run(rows.P, base, n), run(rows.mu, base, n), run(dt, 0, n)
    _boxes(at, x, P, mu, dt, rule.unlikely, rule.sigmas, rule.fiercest, run(middle, 0, n), run(half, 0, n))
    for i in range(n):
        begin, waits = pairs, _waiting(rows, base + i, now, rule)
        if begin + last - first > work.numbers.shape[1]:
            return -1
        for a in range(3):
            half[i, a] += rule.slack
        if blind:
            _turned(middle[i], half[i], origin)
        work.numbers[START, near] = begin
        for p in range(first, last):
            slack = rule.sigmas * spot[p, BLUR]
            if (
                abs(spot[p, 0] - middle[i, 0]) <= half[i, 0] + slack
                and abs(spot[p, 1] - middle[i, 1]) <= half[i, 1] + slack
                and abs(spot[p, 2] - middle[i, 2]) <= half[i, 2] + slack
                and (not waits or _falls_to(rows, base + i, now, spot, p, rule))
            ):
                work.numbers[PLOT, pairs] = p - first
                pairs += 1
        if pairs > begin:
            work.numbers[NEAR, near] = i
            near += 1
    work.numbers[START, near] = pairs
    return near
