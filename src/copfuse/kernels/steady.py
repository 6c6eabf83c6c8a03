"""Scans in which nothing happens but that tracks are seen again: `tracking.step` of one after another, without leaving the kernel.

A plot that nobody claims begins a track, which was made before (`copfuse.steady`).  What is rare is not done here but left to that plain
form: firm tracks that nobody sees, plots beside known tracks, tracks near the ground, what is too near to call (`engines`).  The arrays
are those of `lent`.
"""

from __future__ import annotations

import math

from numba import float64 as F
from numba import int64 as I

from copfuse.kernels import borrowing
from copfuse.kernels.assignment import assign_plots as assign_kernel
from copfuse.kernels.astray import summed
from copfuse.kernels.echoes import HEARD, missed, remembered, seek, weigh
from copfuse.kernels.eights import run
from copfuse.kernels.engines import (
    ASKED,
    CLOSE,
    UNKNOWN,
    burnt_out,
    forget,
    forget_thrust,
    grounded,
    likely_out,
    slowest,
    stage_above,
    waited,
)
from copfuse.kernels.estimation import combine
from copfuse.kernels.estimation import predict as predict_kernel
from copfuse.kernels.estimation import update as update_kernel
from copfuse.kernels.free import begun, unclaimed
from copfuse.kernels.lent import (
    ABOVE,
    AFRESH,
    AGAIN,
    AT,
    BIT,
    BURNT,
    CHANCE,
    CLAIMED,
    COSINES,
    COUNT,
    D2,
    DETECTED,
    DETECTION,
    DOUBT,
    DT,
    ECHOES,
    FIRM,
    FIRST,
    FRAME,
    GAIN,
    HELD,
    HITS,
    LAST,
    LIGHTS,
    LIMIT,
    LIT,
    LLR,
    LOG_DENSITY,
    LOGLIK,
    MET,
    MISFIT,
    N_NODE,
    NEAR,
    NEAREST,
    NODE,
    ODDS,
    OUT,
    PAUSE,
    PLOT,
    PLUME,
    RATE,
    RELIGHT,
    REVISIT,
    SCAN,
    SEEN,
    SENSORS,
    SHARE,
    SHARED,
    SLOW,
    START,
    STRENGTH,
    STUCK,
    TAKEN,
    TIME,
    At,
)
from copfuse.kernels.motions import BOOST, MANOEUVRE, N_MODEL
from copfuse.kernels.pairwise import expect_pairs as expect_kernel
from copfuse.kernels.reach import boxes_at, coasted, copy_columns, copy_row, reached
from copfuse.kernels.rows import LLR as LLR_WORD
from copfuse.kernels.rows import TIME as TIME_WORD
from copfuse.kernels.rows import say
from copfuse.kernels.sights import ROWS
from copfuse.kernels.small import hand_all
from copfuse.kernels.standing import standing
from copfuse.kernels.switching import LATELY

_LINE, _ROWS, _THREE, _FOUR = F[::1], F[:, ::1], F[:, :, ::1], F[:, :, :, ::1]
_predict, _predict_at = standing(
    predict_kernel, _THREE, _FOUR, _ROWS, I[::1], I[::1], _LINE, _LINE, _LINE, _THREE, _FOUR, _ROWS, _ROWS, _THREE
)
_expect, _expect_at = standing(expect_kernel, _THREE, _FOUR, _ROWS, _LINE, _ROWS, I, _ROWS, _ROWS, I[::1], I[::1], F, _LINE, _LINE, _FOUR)
_update, _update_at = standing(update_kernel, _THREE, _FOUR, _ROWS, _LINE, _ROWS, I, _ROWS, _ROWS, _ROWS, _THREE, _FOUR)
_assign, _assign_at = standing(assign_kernel, I[::1], I[::1], _LINE, _LINE, I, I[::1])


def addresses() -> At:
    """Where they stand in this process; what is not compiled yet is compiled."""
    return At(_predict_at(), _expect_at(), _update_at(), boxes_at(), _assign_at())


@borrowing(forceinline=True)
def _judged(rows, base, now, then, near, scans, scan, rule, work, at):
    """Predict the tracks ``near`` from rows ``now`` to rows ``then``, and let plots be taken: `pairing.judged`, `gated` and `hard`.

    Leaves the plot of each in ``work`` (−1 for none), its pairs with their log ratios, and which plots are claimed.
    """
    facts, figures = scans.facts[scan], scans.figures[scan]
    first, last, pairs = facts[FIRST], facts[LAST], work.numbers[START, near]
    x, P, mu, x6, P6 = run(rows.x, then, near), run(rows.P, then, near), run(rows.mu, then, near), run(rows.x6, then, near), rows.P6
    old, dt, lights = run(rows.x, now, near), run(work.figures[DT], 0, near), run(work.figures[LIGHTS], 0, near)
    at_now, nobody = (run(rows.P, now, near), run(rows.mu, now, near)), run(work.numbers[START], 0, 0)
    _predict(at.predict, old, at_now[0], at_now[1], nobody, nobody, dt, lights, rule.noise, x, P, mu, x6, run(P6, then, near))
    start, plot, d2, ratio = run(work.numbers[START], 0, near + 1), work.numbers[PLOT], work.figures[D2], work.figures[LOGLIK]
    z, sigma = run(scans.seen[0], first, last - first), run(scans.seen[1], first, last - first)
    _expect(
        at.expect, x, P, mu, scans.origin[scan], scans.axes[scan], facts[COSINES], z, sigma, start, run(plot, 0, pairs), rule.beyond,
        run(d2, 0, pairs), run(ratio, 0, pairs), run(work.seen, 0, near),
    )  # fmt: skip
    kept, begin, nearest = 0, 0, work.figures[NEAREST]
    for r in range(near):
        after = start[r + 1]
        for p in range(begin, after):
            nearest[plot[p]] = min(nearest[plot[p]], d2[p])
            if d2[p] <= scans.spot[first + plot[p], LIMIT]:
                plot[kept], d2[kept], ratio[kept] = plot[p], d2[p], ratio[p] - figures[LOG_DENSITY]
                kept += 1
        start[r + 1] = kept
        begin = after
        work.figures[ODDS, r] = rule.odds
    odds, held = run(work.figures[ODDS], 0, near), run(work.numbers[HELD], 0, near)
    gain, shared, echo = run(work.figures[GAIN], 0, kept), run(work.figures[SHARED], 0, last - first), run(scans.echo, first, last - first)
    for p in range(kept):
        gain[p] = ratio[p]
    for p in range(last - first):
        shared[p] = 0.0
    for r in range(near):
        seek(rows.figures[base + work.numbers[NEAR, r], ECHOES], plot, start[r], start[r + 1], shared)
    for r in range(near):
        one = rows.figures[base + work.numbers[NEAR, r]]
        weigh(one[ECHOES], one[STRENGTH], echo, plot, start[r], start[r + 1], shared, gain, rule.odds)
    _assign(at.assign, start, run(plot, 0, kept), gain, odds, last - first, held)
    for r in range(near):
        if held[r] >= 0:
            nearest[held[r]] = CLAIMED


@borrowing(forceinline=True)
def _updated(rows, new, m, scans, scan, first, waits, rule, work, at):
    """Update the rows from ``new`` on with their plots, and decide which are firm and whose engine is out; whether all of that could be
    done here.
    """
    facts, time, begin = scans.facts[scan], scans.figures[scan, TIME], scans.figures[first, TIME]
    x, P, mu, x6, P6 = run(rows.x, new, m), run(rows.P, new, m), run(rows.mu, new, m), run(rows.x6, new, m), run(rows.P6, new, m)
    z, sigma, seen = run(work.plots[0], 0, m), run(work.plots[1], 0, m), run(work.seen, 0, m)
    _update(at.update, x, P, mu, scans.origin[scan], scans.axes[scan], facts[COSINES], z, sigma, x6, P6, seen)
    for h in range(m):
        r, burnt = new + h, rows.facts[new + h, BURNT] != 0
        if facts[PLUME] != 0:
            total = 0.0
            for j in range(N_MODEL):
                mu[h, j] *= rule.burning[j]
                total += mu[h, j]
            for j in range(N_MODEL):
                mu[h, j] /= total
            combine(x[h], P[h], mu[h], x6[h], P6[h])
        if grounded(x6[h], P6[h], rule):
            return False
        if rows.facts[r, HITS] >= rule.firm_hits and rows.figures[r, LLR] > rule.firm_llr and rows.facts[r, FIRM] == 0:
            over = (P6[h, 0, 0] + P6[h, 1, 1] + P6[h, 2, 2]) / rule.firm_variance - 1.0
            if not abs(over) > CLOSE:
                return False
            rows.facts[r, FIRM] = over < 0.0
        able = rows.facts[r, FIRM] != 0 and rows.facts[r, HITS] >= rule.burnt_hits
        forget(x[h], P[h], mu[h], burnt, rule)
        lit, above, slow = rows.figures[r, LIT], rows.figures[r, ABOVE], rows.figures[r, SLOW]
        chance = waited(lit, above, waits, CHANCE, scan, first, begin)
        out = burnt_out(x[h], P[h], mu[h], x6[h], burnt, able, chance, rule)
        if out < 0:
            return False
        if out and not burnt:
            forget_thrust(x[h], P[h], rule)
        if not out and mu[h, MANOEUVRE] + mu[h, BOOST] > 0.5:
            slow = slowest(x6[h], P6[h], time - lit, slow)
            lit, above = time, stage_above(x6[h], slow)
        rate = LATELY if lit == time else waited(lit, above, waits, RATE, scan, first, begin)
        if rate == UNKNOWN:
            return False
        rows.facts[r, BURNT], rows.figures[r, LIT], rows.figures[r, ABOVE], rows.figures[r, RELIGHT] = out, lit, above, rate
        rows.figures[r, SLOW] = math.inf if out else slow
        work.figures[PAUSE, h] = above / (1.0 - above + above) if lit == time else chance  # to the bit as `phases.further`
    return True


@borrowing(forceinline=True)
def _rested(rows, base, n, spare, new, m, scans, scan, first, waits, rule, work):
    """Decide likewise of the tracks that have no plot, −1 for the others: what has just been started or moved on is asked, too."""
    for r in range(base, base + n):
        seen = False
        for h in range(new, new + m):
            seen = seen or rows.facts[h, AT] == r
        work.numbers[OUT, r - base] = -1
        if seen:
            continue
        burnt, able = rows.facts[r, BURNT] != 0, rows.facts[r, FIRM] != 0 and rows.facts[r, HITS] >= rule.burnt_hits
        chance = waited(rows.figures[r, LIT], rows.figures[r, ABOVE], waits, CHANCE, scan, first, scans.figures[first, TIME])
        out = likely_out(rows.mu[r], burnt, able, chance, rule)
        if out == ASKED:
            copy_row(rows, r, spare)
            forget(rows.x[spare], rows.P[spare], rows.mu[r], burnt, rule)
            out = burnt_out(rows.x[spare], rows.P[spare], rows.mu[r], rows.x6[r], burnt, able, chance, rule)
        if out < 0:
            return False
        work.numbers[OUT, r - base] = out
    return True


@borrowing
def _missed(rows, r, k, scans, scan, rule, work):
    """What the track in row r, k of those near, is doubted the more as it has no plot though its sensor sees others' within its gate
    (`tracking.doubted`)."""
    facts = scans.facts[scan]
    if work.numbers[HELD, k] >= 0 or rows.facts[r, SENSORS] & facts[BIT] == 0:
        return 0.0
    claimed = False
    for p in range(work.numbers[START, k], work.numbers[START, k + 1]):
        claimed = claimed or work.figures[NEAREST, work.numbers[PLOT, p]] == CLAIMED
    if not claimed:
        return 0.0
    begin, end, echo = work.numbers[START, k], work.numbers[START, k + 1], run(scans.echo, facts[FIRST], facts[LAST] - facts[FIRST])
    one, figures = rows.figures[r], scans.figures[scan]
    share = figures[SHARE] if figures[TIME] - one[SEEN] > figures[FRAME] else 1.0
    return missed(one[ECHOES], one[STRENGTH], echo, work.numbers[PLOT], begin, end, rule.ghost, rule.seldom, share)


@borrowing(forceinline=True)
def _kept(rows, base, n, near, new, m, scans, scan, rule, work):
    """Put the updated tracks into their places; whether one of them is so near to another of some plots that they may be one object."""
    for k in range(near):
        r = base + work.numbers[NEAR, k]
        rows.figures[r, DOUBT] += _missed(rows, r, k, scans, scan, rule, work)
    for r in range(base, base + n):
        burnt, out = rows.facts[r, BURNT] != 0, work.numbers[OUT, r - base]
        if out < 0:  # it has a plot: what it has become comes here below
            continue
        forget(rows.x[r], rows.P[r], rows.mu[r], burnt, rule)
        if out and not burnt:
            forget_thrust(rows.x[r], rows.P[r], rule)
        rows.facts[r, BURNT] = out
    for h in range(new, new + m):
        copy_row(rows, h, rows.facts[h, AT])
    for h in range(new, new + m):
        for r in range(base, base + n):
            d2 = 0.0
            for a in range(3):
                d2 += (rows.x6[h, a] - rows.x6[r, a]) ** 2
            if rows.facts[r, HITS] > 1 and r != rows.facts[h, AT] and not d2 > rule.apart * rule.apart * (1.0 + CLOSE):
                return True
    return False


@borrowing
def _hand_down(seen, k, m):
    """Put what is seen of the models of track k in the place of track m's."""
    hand_all(seen[k], seen[m], N_MODEL * ROWS * 9)


@borrowing
def _components(z):
    """How many components a plot has."""
    seen = 0
    for a in range(4):
        if not math.isnan(z[a]):
            seen += 1
    return seen


@borrowing(forceinline=True)
def _hit(rows, base, prior, near, new, scans, scan, rule, work):
    """Make rows of the tracks that take plots; how many, −1 where a track has become doubtful."""
    facts, figures, m = scans.facts[scan], scans.figures[scan], 0
    first = facts[FIRST]
    for k in range(near):
        plot, at, h = work.numbers[HELD, k], base + work.numbers[NEAR, k], new + m
        if plot < 0 and rows.figures[at, DOUBT] + _missed(rows, at, k, scans, scan, rule, work) >= rule.doubted:
            return -1
        if plot < 0:
            continue
        p = work.numbers[START, k]
        while work.numbers[PLOT, p] != plot:
            p += 1
        for a in range(4):
            work.plots[0, m, a], work.plots[1, m, a] = scans.seen[0, first + plot, a], scans.seen[1, first + plot, a]
        if m < k:
            _hand_down(work.seen, k, m)
        rows.time[prior + k] = figures[TIME]
        copy_columns(rows, at, prior + k)
        if m < k:
            copy_row(rows, prior + k, prior + m)
        copy_row(rows, prior + m, h)
        rows.facts[h, HITS] += 1
        rows.facts[h, SENSORS] |= facts[BIT]
        rows.facts[h, SCAN], rows.facts[h, AT], rows.facts[h, DETECTION] = scan, at, scans.row[first + plot, DETECTED]
        rows.figures[h, LLR] = rows.figures[at, LLR] + work.figures[LOGLIK, p]
        rows.figures[h, REVISIT], rows.figures[h, SEEN] = figures[AGAIN], figures[TIME]
        rows.figures[h, DOUBT] = max(rows.figures[h, DOUBT] + rule.hit, 0.0)
        rows.figures[h, MISFIT] = summed(rows.figures[h, MISFIT], work.figures[D2, p], _components(work.plots[0, m]))
        echo, kept = scans.echo[first + plot, HEARD], remembered(rows.figures[h, ECHOES])
        if not math.isnan(echo):
            rows.figures[h, ECHOES] = kept * rows.figures[h, ECHOES] + 1.0
            rows.figures[h, STRENGTH] = kept * rows.figures[h, STRENGTH] + echo
        m += 1
    return m


@borrowing(forceinline=True)
def _said(rows, prior, new, m, made, time, rule, work):
    """Put what is said of the updated tracks behind the rows that were ``made`` before."""
    before, end, words = prior + m, new + m, work.words[made : made + m]
    bank = rows.x[new:end], rows.P[new:end], rows.mu[new:end], rows.x6[new:end], rows.P6[new:end]
    burnt, pause = rows.facts[new:end, BURNT], work.figures[PAUSE, :m]
    say(
        bank[0], bank[1], bank[2], bank[3], bank[4], rows.mu[prior:before], rows.P[prior:before], rows.P6[prior:before],
        burnt, pause, rule.ceiling, words,
    )  # fmt: skip
    for h in range(m):
        words[h, TIME_WORD], words[h, LLR_WORD] = time, rows.figures[new + h, LLR]
        for a in range(rows.facts.shape[1]):
            work.facts[made + h, a] = rows.facts[new + h, a]


@borrowing
def follow(first_scan, scans, rows, room, waits, rule, work, at):
    """Scans from ``first_scan`` on, as long as they can be done here and there is room for what is made; ``rows`` change in place.

    Returns which scan is next, how many rows were made, and why the call ends (`lent`).  Where the last scan's tracks may be two of one
    object, that is to be asked before the next (`pairing.doubles`): its tracks are the last rows.
    """
    scan, made, now, prior, new = first_scan, 0, N_NODE * room, (N_NODE + 1) * room, (N_NODE + 2) * room
    while scan < len(scans.facts):
        first, last, node, time = scans.facts[scan, FIRST], scans.facts[scan, LAST], scans.facts[scan, NODE], scans.figures[scan, TIME]
        plots, base = last - first, node * room
        if made + plots > len(work.facts):
            break
        if rows.counts[COUNT, node] < 0 or not coasted(rows, node, base, time, rule):
            return scan, made, STUCK
        n = rows.counts[COUNT, node]
        near = reached(rows, base, n, time, scans, first, last, scans.origin[scan], rule, work, at.boxes)
        if near < 0:
            return scan, made, STUCK
        for p in range(plots):
            work.figures[NEAREST, p] = math.inf
        m = 0
        if near > 0:
            one = base + work.numbers[NEAR, 0]
            together = work.numbers[NEAR, near - 1] - work.numbers[NEAR, 0] == near - 1
            for k in range(near):
                r = base + work.numbers[NEAR, k]
                if not together:
                    copy_row(rows, r, now + k)
                work.figures[DT, k], work.figures[LIGHTS, k] = time - rows.time[r], rows.figures[r, RELIGHT]
            _judged(rows, base, one if together else now, prior, near, scans, scan, rule, work, at)
            m = _hit(rows, base, prior, near, new, scans, scan, rule, work)
        if m < 0 or n + plots - m > room:
            return scan, made, STUCK
        if m > 0 and not (
            _updated(rows, new, m, scans, scan, first_scan, waits, rule, work, at)
            and _rested(rows, base, n, now, new, m, scans, scan, first_scan, waits, rule, work)
        ):
            return scan, made, AFRESH if made > 0 else STUCK  # an engine may have been seen to burn since the call began
        if m < plots:
            why = unclaimed(rows, base, n, new, m, scans, scan, rule, work)
            if why != AFRESH:
                return scan, made, why
        met = False
        if m > 0:
            _said(rows, prior, new, m, made, time, rule, work)
            rows.counts[TAKEN, node] += m
            met = _kept(rows, base, n, near, new, m, scans, scan, rule, work)
        made += m
        if m < plots:
            made += begun(rows, base, node, scans, scan, made, rule, work)
        scan += 1
        if met:
            return scan, made, MET
    return scan, made, AFRESH
