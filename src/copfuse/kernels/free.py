"""Plots that nobody claims, in a scan of `kernels.steady`: each begins a track, from a row that was made ahead."""

from __future__ import annotations

from copfuse.kernels import borrowing
from copfuse.kernels.lent import (
    AFRESH,
    AHEAD,
    AT,
    BLUR,
    CLAIMED,
    CONTESTED,
    COUNT,
    DETECTED,
    DETECTION,
    FIRST,
    HITS,
    LAST,
    LIMIT,
    NEAREST,
    NEW,
    NEXT,
    NUMBER,
    REFUSED,
    SCAN,
    STUCK,
    TIME,
    WANTED,
)
from copfuse.kernels.reach import copy_row
from copfuse.kernels.small import hand_all


@borrowing
def beside(rows, base, n, new, m, scans, plot, time, rule):
    """Whether a plot is so near to a well known one of the n tracks of a node, or of those m that the scan has updated, that what it begins
    may fly as that does (`companions`)."""
    reach = rule.beside + scans.spot[plot, BLUR]
    for i in range(n + m):
        r = base + i if i < n else new + i - n
        if rows.facts[r, HITS] + 1 < rule.often:
            continue
        d2, since = 0.0, time - rows.time[r]
        for a in range(3):
            d2 += (rows.x6[r, a] + rows.x6[r, 3 + a] * since - scans.spot[plot, a]) ** 2
        if not d2 > reach * reach:
            return True
    return False


@borrowing
def unclaimed(rows, base, n, new, m, scans, scan, rule, work):
    """How a scan goes on whose plots are not all claimed: `AFRESH` where all that those begin is made, `WANTED` where it is to be, and
    `STUCK` where it cannot be before what the other tracks are is known."""
    first, time, why = scans.facts[scan, FIRST], scans.figures[scan, TIME], AFRESH
    for p in range(first, scans.facts[scan, LAST]):
        if work.figures[NEAREST, p - first] == CLAIMED:
            continue
        if beside(rows, base, n, new, m, scans, p, time, rule):
            return STUCK
        if scans.row[p, AHEAD] < 0:
            why = WANTED
    return why


@borrowing
def begun(rows, base, node, scans, scan, made, rule, work):
    """Begin tracks of a scan's plots that nobody claims, behind those that there are, and put what is said of them behind the rows that
    were ``made`` before: how many."""
    first, last, said = scans.facts[scan, FIRST], scans.facts[scan, LAST], 0
    ahead = len(rows.time) - (len(work.words) - len(work.facts))
    for p in range(first, last):
        nearest = work.figures[NEAREST, p - first] / scans.spot[p, LIMIT]
        if nearest < 0.0:
            continue
        r, row, what = base + rows.counts[COUNT, node], scans.row[p, AHEAD], CONTESTED
        if nearest > 1.0:
            what = REFUSED if nearest <= rule.near_miss else NEW
        rows.facts[row, NUMBER], rows.facts[row, SCAN] = rows.counts[NEXT, node], scan
        rows.facts[row, AT], rows.facts[row, DETECTION] = r, scans.row[p, DETECTED]
        copy_row(rows, row, r)
        for count in (COUNT, NEXT, what):
            rows.counts[count, node] += 1
        for a in range(8):
            work.facts[made + said, a] = rows.facts[row, a]
        hand_all(work.words[len(work.facts) + row - ahead], work.words[made + said], work.words.shape[1])
        said += 1
    return said
