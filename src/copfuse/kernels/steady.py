"""Scans in which nothing happens but that firm tracks are seen again: `tracking.step` of one after another, without leaving the kernel.

What is rare is not done here but left to that plain form: tracks that nobody sees, plots that nobody claims, tracks not yet firm or
near the ground.  So are decisions that are too near to call: they are made from sums that numpy adds up in another order.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import float64 as F
from numba import int64 as I

from copfuse.kernels import borrowing, njit
from copfuse.kernels.assignment import assign_plots
from copfuse.kernels.earth import altitude
from copfuse.kernels.estimation import combine
from copfuse.kernels.estimation import predict as predict_kernel
from copfuse.kernels.estimation import update as update_kernel
from copfuse.kernels.gating import boxes as boxes_kernel
from copfuse.kernels.motions import BOOST, GLIDE, MANOEUVRE, N_MODEL, REENTRY
from copfuse.kernels.pairwise import expect_pairs as expect_kernel
from copfuse.kernels.standing import standing

CLOSE = 1e-6  # of a decision's two sides, in their unit or as a share: nearer than that it is too near to call

_LINE, _ROWS, _THREE, _FOUR = F[::1], F[:, ::1], F[:, :, ::1], F[:, :, :, ::1]
_predict, _predict_at = standing(predict_kernel, _THREE, _FOUR, _ROWS, _LINE, _LINE, _THREE, _FOUR, _ROWS, _ROWS, _THREE)
_expect, _expect_at = standing(
    expect_kernel, _THREE, _FOUR, _ROWS, _LINE, _ROWS, I, _ROWS, _ROWS, I[::1], I[::1], F, _LINE, _LINE
)  # fmt: skip
_update, _update_at = standing(update_kernel, _THREE, _FOUR, _ROWS, _LINE, _ROWS, I, _ROWS, _ROWS, _ROWS, _THREE)
_boxes, _boxes_at = standing(boxes_kernel, _THREE, _FOUR, _ROWS, _LINE, F, F, F, _ROWS, _ROWS)


class At(NamedTuple):
    """Where the filter's kernels stand."""

    predict: Any
    expect: Any
    update: Any
    boxes: Any


def addresses() -> At:
    """Where they stand in this process; what is not compiled yet is compiled."""
    return At(_predict_at(), _expect_at(), _update_at(), _boxes_at())


@borrowing
def _copy(x, P, mu, x_to, P_to, mu_to):
    """One track's models."""
    for j in range(N_MODEL):
        mu_to[j] = mu[j]
        for a in range(9):
            x_to[j, a] = x[j, a]
            for b in range(9):
                P_to[j, a, b] = P[j, a, b]


@borrowing
def _moved(live, node, i, k):
    """Put a node's track i in the place of its track k."""
    bank = live.bank
    _copy(bank.x[node, i], bank.P[node, i], bank.mu[node, i], bank.x[node, k], bank.P[node, k], bank.mu[node, k])
    bank.time[node, k] = bank.time[node, i]
    for a in range(6):
        bank.x6[node, k, a] = bank.x6[node, i, a]
        for b in range(6):
            bank.P6[node, k, a, b] = bank.P6[node, i, a, b]
    live.number[node, k], live.hits[node, k], live.llr[node, k] = live.number[node, i], live.hits[node, i], live.llr[node, i]
    live.firm[node, k], live.burnt[node, k], live.sensors[node, k] = live.firm[node, i], live.burnt[node, i], live.sensors[node, i]
    live.revisit[node, k], live.seen[node, k] = live.revisit[node, i], live.seen[node, i]


@borrowing
def coasted(live, node, now, rule):
    """`coasting.coasted`: drop tracks that nobody sees and that are not firm, in place; whether no firm one is to be asked here.

    A firm one that falls is asked every ``coast_step``, when it is moved on; in between nothing of it changes.
    """
    kept, bank, settled = 0, live.bank, True
    for i in range(live.count[node]):
        firm, age, revisit = live.firm[node, i], now - live.seen[node, i], live.revisit[node, i]
        if not firm and age > max(rule.hold_tentative, 2.5 * revisit):
            continue
        if firm and age > max(rule.hold, rule.hold_scans * revisit):
            falls = bank.mu[node, i, MANOEUVRE] + bank.mu[node, i, BOOST] < (rule.falls if live.burnt[node, i] else rule.burnt_out)
            fresh = now - bank.time[node, i] <= rule.coast_step and bank.time[node, i] > live.seen[node, i]
            settled = settled and falls and fresh
        if kept < i:
            _moved(live, node, i, kept)
        kept += 1
    live.dropped[node] += live.count[node] - kept
    live.count[node] = kept
    return settled


@borrowing
def _turned(middle, half, origin):
    """A box as directions from ``origin``, in place: a unit vector, and the angle that it fills."""
    d0, d1, d2 = middle[0] - origin[0], middle[1] - origin[1], middle[2] - origin[2]
    away, wide = math.sqrt(d0 * d0 + d1 * d1 + d2 * d2), math.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
    angle = math.asin(min(wide / away, 1.0)) if wide < away else 2.0
    middle[0], middle[1], middle[2] = d0 / away, d1 / away, d2 / away
    half[0], half[1], half[2] = angle, angle, angle


@borrowing
def reached(plots, scan, live, rule, work, boxes_at):
    """`pairing.reachable`: how many tracks are within reach of a scan's plots, into ``work``; −1 where that is not asked here, or
    where a plot is within no track's reach.
    """
    first, last, node = plots.first[scan], plots.last[scan], plots.node[scan]
    n, m, bank = live.count[node], last - first, live.bank
    blind = math.isnan(plots.z[first, 0])
    for p in range(first, last):
        if math.isnan(plots.z[p, 0]) != blind or math.isnan(plots.z[p, 1]) or math.isnan(plots.z[p, 2]):
            return -1
    for i in range(n):
        work.now.time[i] = plots.time[scan] - bank.time[node, i]
    middle, half = work.middle[:n], work.half[:n]
    models = bank.x[node, :n], bank.P[node, :n], bank.mu[node, :n]
    _boxes(boxes_at, models[0], models[1], models[2], work.now.time[:n], rule.unlikely, rule.sigmas, rule.fiercest, middle, half)
    near, pairs, alone = 0, 0, m
    for p in range(m):
        work.d2[p] = 1.0  # nobody has reached it
    for i in range(n):
        for a in range(3):
            half[i, a] += rule.slack
        if blind:
            _turned(middle[i], half[i], plots.origin[scan])
        begin = pairs
        work.start[near] = begin
        for p in range(m):
            inside, slack = True, rule.sigmas * plots.blur[first + p]
            for a in range(3):
                inside &= abs(plots.place[first + p, a] - middle[i, a]) <= half[i, a] + slack
            if inside:
                alone -= 1 if work.d2[p] > 0.0 else 0
                work.d2[p] = 0.0
                work.plot[pairs] = p
                pairs += 1
        if pairs > begin:
            work.near[near] = i
            near += 1
    work.start[near] = pairs
    return near if alone == 0 else -1


@njit(inline="always")
def _claimed(plots, scan, live, rule, work, near, at):
    """The plots that tracks ``near`` take (`pairing.judged`, `gated`, `hard`), −1 for none; their pairs and, in place of likelihoods,
    log ratios are left in ``work``."""
    first, last, node = plots.first[scan], plots.last[scan], plots.node[scan]
    now, then = work.now, work.then
    for r in range(near):
        i = work.near[r]
        _copy(live.bank.x[node, i], live.bank.P[node, i], live.bank.mu[node, i], now.x[r], now.P[r], now.mu[r])
        now.time[r] = plots.time[scan] - live.bank.time[node, i]
    x, P, mu, pairs = then.x[:near], then.P[:near], then.mu[:near], work.start[near]
    _predict(at.predict, now.x[:near], now.P[:near], now.mu[:near], now.time[:near], rule.noise, x, P, mu, then.x6[:near], then.P6[:near])
    start, plot, d2, loglik = work.start[: near + 1], work.plot[:pairs], work.d2[:pairs], work.loglik[:pairs]
    seen = plots.z[first:last], plots.sigma[first:last]
    _expect(
        at.expect, x, P, mu, plots.origin[scan], plots.axes[scan], plots.cosines[scan], seen[0], seen[1],
        start, plot, rule.beyond, d2, loglik,
    )  # fmt: skip
    kept, begin = 0, 0
    for r in range(near):
        end = start[r + 1]
        for p in range(begin, end):
            if d2[p] <= plots.limit[first + plot[p]]:
                plot[kept], loglik[kept] = plot[p], loglik[p] - plots.log_density[scan]
                kept += 1
        start[r + 1] = kept
        begin = end
    return assign_plots(start, plot[:kept], loglik[:kept], np.full(near, rule.odds), last - first)


@borrowing
def thrust(x, P, mu, x6):
    """`phases.thrust` of one track: the push along the velocity, m/s^2, and its standard deviation."""
    v0, v1, v2 = x6[3], x6[4], x6[5]
    speed = max(math.sqrt(v0 * v0 + v1 * v1 + v2 * v2), 1.0)
    free = mu[MANOEUVRE] / (mu[MANOEUVRE] + mu[BOOST])
    along, apart = 0.0, 0.0
    for a in range(3):
        own = x[BOOST, 6] * x6[3 + a] / speed
        both = free * x[MANOEUVRE, 6 + a] + (1.0 - free) * own
        along += both * x6[3 + a] / speed
        apart += free * (x[MANOEUVRE, 6 + a] - both) ** 2 + (1.0 - free) * (own - both) ** 2
        apart += free * P[MANOEUVRE, 6 + a, 6 + a]
    return along, math.sqrt((apart + (1.0 - free) * P[BOOST, 6, 6]) / 3.0)


@borrowing
def burnt_out(x, P, mu, x6, burnt, able, rule):
    """`tracking._burnt_out` of one track: 1 where its engine is out, 0 where not, −1 where that is too near to call."""
    engine = mu[MANOEUVRE] + mu[BOOST]
    if burnt and engine > 0.95:
        along, _ = thrust(x, P, mu, x6)
        return (0 if along > rule.relight else 1) if abs(along - rule.relight) > CLOSE else -1
    if burnt or not able or engine < rule.burnt_out:
        return 1 if burnt or able else 0
    along, blur = thrust(x, P, mu, x6)
    return (1 if along < -2.0 * blur else 0) if abs(along + 2.0 * blur) > CLOSE else -1


@borrowing
def grounded(x6, P6, rule):
    """Whether a track may lie below the ground, were it not there, or nearly (`tracking._low`)."""
    height = altitude(x6[0], x6[1], x6[2])
    if not height < rule.low:
        return False
    total, r2 = 0.0, x6[0] * x6[0] + x6[1] * x6[1] + x6[2] * x6[2]
    for a in range(3):
        for b in range(3):
            total += x6[a] * P6[a, b] * x6[b] / r2
    return height < rule.grounded * math.sqrt(total) * (1.0 + CLOSE)


@borrowing
def _reset(x, P, component, prior):
    x[component] = prior[0]
    for a in range(9):
        P[component, a] = 0.0
        P[a, component] = 0.0
    P[component, component] = prior[1]


@borrowing
def forget(x, P, mu, burnt, rule):
    """What `tracking._update` lets a track forget (`filters.forget_drag`, `forget_thrust`), in place."""
    if not burnt and mu[MANOEUVRE] + mu[BOOST] > 0.5:
        _reset(x[REENTRY], P[REENTRY], 6, rule.log_beta)
        _reset(x[GLIDE], P[GLIDE], 6, rule.log_beta)
        _reset(x[GLIDE], P[GLIDE], 7, rule.lift)
        _reset(x[GLIDE], P[GLIDE], 8, rule.lift)
    if mu[BOOST] < rule.forgotten:
        _reset(x[BOOST], P[BOOST], 6, rule.thrust)
        _reset(x[BOOST], P[BOOST], 7, rule.flow)


@borrowing
def _updated(plots, scan, live, rule, work, made, rows, at):
    """Update the m tracks ``made.at[rows:rows + m]`` with what ``work.z`` has for them, and decide whose engine is out; whether all
    of that could be done here."""
    node, m = plots.node[scan], plots.last[scan] - plots.first[scan]
    end, new = rows + m, made.bank
    x, P, mu, x6, P6 = new.x[rows:end], new.P[rows:end], new.mu[rows:end], new.x6[rows:end], new.P6[rows:end]
    _update(at.update, x, P, mu, plots.origin[scan], plots.axes[scan], plots.cosines[scan], work.z[:m], work.sigma[:m], x6, P6)
    for h in range(m):
        i = made.at[rows + h]
        if plots.plume[scan]:
            total = 0.0
            for j in range(N_MODEL):
                mu[h, j] *= rule.burning[j]
                total += mu[h, j]
            for j in range(N_MODEL):
                mu[h, j] /= total
            combine(x[h], P[h], mu[h], x6[h], P6[h])
        if grounded(x6[h], P6[h], rule):
            return False
        forget(x[h], P[h], mu[h], live.burnt[node, i], rule)
        work.out[i] = burnt_out(x[h], P[h], mu[h], x6[h], live.burnt[node, i], live.hits[node, i] + 1 >= rule.burnt_hits, rule)
        made.burnt[rows + h] = work.out[i] == 1
        if work.out[i] < 0:
            return False
    return True


@borrowing
def _rested(live, node, rule, work, hit):
    """Decide likewise of tracks that have no plot, of which ``hit`` are not: what has just been started or moved on is asked, too;
    whether all of that could be done here."""
    bank, x, P, mu = live.bank, work.now.x[0], work.now.P[0], work.now.mu[0]
    for i in range(live.count[node]):
        seen = False
        for k in hit:
            seen = seen or k == i
        if seen:
            continue
        _copy(bank.x[node, i], bank.P[node, i], bank.mu[node, i], x, P, mu)
        forget(x, P, mu, live.burnt[node, i], rule)
        able = live.firm[node, i] and live.hits[node, i] >= rule.burnt_hits
        work.out[i] = burnt_out(x, P, mu, bank.x6[node, i], live.burnt[node, i], able, rule)
        if work.out[i] < 0:
            return False
    return True


@borrowing
def _kept(plots, scan, live, rule, work, made, rows):
    """Put the updated tracks into their places; whether one of them is so near to another that they may be one object."""
    node, m, to, new = plots.node[scan], plots.last[scan] - plots.first[scan], live.bank, made.bank
    for i in range(live.count[node]):
        forget(to.x[node, i], to.P[node, i], to.mu[node, i], live.burnt[node, i], rule)
        live.burnt[node, i] = work.out[i] == 1
    for r in range(rows, rows + m):
        i = made.at[r]
        _copy(new.x[r], new.P[r], new.mu[r], to.x[node, i], to.P[node, i], to.mu[node, i])
        for a in range(6):
            to.x6[node, i, a] = new.x6[r, a]
            for b in range(6):
                to.P6[node, i, a, b] = new.P6[r, a, b]
        to.time[node, i] = plots.time[scan]
        live.hits[node, i] += 1
        live.llr[node, i] = made.llr[r]
        live.sensors[node, i] |= plots.bit[scan]
        live.revisit[node, i], live.seen[node, i] = plots.revisit[scan], plots.time[scan]
        made.scan[r], made.track[r] = scan, live.number[node, i]
        made.hits[r], made.sensors[r] = live.hits[node, i], live.sensors[node, i]
        made.prior.time[r], new.time[r] = plots.time[scan], plots.time[scan]
    live.taken[node] += m
    for r in range(rows, rows + m):
        i = made.at[r]
        for k in range(live.count[node]):
            d2 = 0.0
            for a in range(3):
                d2 += (to.x6[node, i, a] - to.x6[node, k, a]) ** 2
            if k != i and not d2 > rule.apart * rule.apart * (1.0 + CLOSE):
                return True
    return False


@njit(inline="always")
def _scan(plots, scan, live, rule, made, rows, work, at):
    """One scan; whether it could be done here."""
    first, last, node = plots.first[scan], plots.last[scan], plots.node[scan]
    if not coasted(live, node, plots.time[scan], rule):
        return False
    near = reached(plots, scan, live, rule, work, at.boxes)
    if near < last - first:
        return False
    claimed = _claimed(plots, scan, live, rule, work, near, at)
    h = 0
    for r in range(near):
        if claimed[r] >= 0:
            i = work.near[r]
            if h == last - first or not live.firm[node, i]:
                return False
            p = work.start[r]
            while work.plot[p] != claimed[r]:
                p += 1
            made.at[rows + h], made.detection[rows + h] = i, plots.row[first + claimed[r]]
            made.llr[rows + h] = live.llr[node, i] + work.loglik[p]
            for bank in (made.prior, made.bank):
                _copy(work.then.x[r], work.then.P[r], work.then.mu[r], bank.x[rows + h], bank.P[rows + h], bank.mu[rows + h])
            for a in range(6):
                made.prior.x6[rows + h, a] = work.then.x6[r, a]
                for b in range(6):
                    made.prior.P6[rows + h, a, b] = work.then.P6[r, a, b]
            for a in range(4):
                work.z[h, a], work.sigma[h, a] = plots.z[first + claimed[r], a], plots.sigma[first + claimed[r], a]
            h += 1
    hit = made.at[rows : rows + h]
    return h == last - first and _updated(plots, scan, live, rule, work, made, rows, at) and _rested(live, node, rule, work, hit)


@njit
def follow(scan, plots, live, rule, made, work, at):
    """Scans from ``scan`` on, as long as they can be done here and there is room for what is made; ``live`` changes in place.

    Returns which scan is next, how many rows were made, and whether the last one's tracks may be two of one object, which is then
    to be asked before the next (`pairing.doubles`): its tracks are the last rows.
    """
    rows = 0
    while scan < len(plots.time) and rows + plots.last[scan] - plots.first[scan] <= len(made.scan):
        if not _scan(plots, scan, live, rule, made, rows, work, at):
            break
        near = _kept(plots, scan, live, rule, work, made, rows)
        rows += plots.last[scan] - plots.first[scan]
        scan += 1
        if near:
            return scan, rows, True
    return scan, rows, False
