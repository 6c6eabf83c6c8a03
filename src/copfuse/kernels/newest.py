"""What is newest of tracks at a time, by what has come of them until then: for `telling`, and for `books`."""

from __future__ import annotations

import math

from copfuse.kernels import borrowing


@borrowing
def heeded(whose, within, begins, reaction, start, line, node, key, step, entry, begin):
    """Where a line of a key of node ``whose (keys,)``, as `newest` finds it, is told of: of ``node, key, step, entry`` (the line) and
    ``begin`` (its start), (keys * k,) each, how many are filled in, key by key and step by step.

    It starts within the step, which begins at ``begins (k,)`` s, after the first and by the second of its node's times ``within (2,
    nodes)``.
    """
    many = 0
    for c in range(len(whose)):
        since, until = within[0, whose[c]], within[1, whose[c]]
        for k in range(len(begins)):
            if line[c, k] >= 0 and start[c, k] < begins[k] + reaction and since < begins[k] <= until:
                node[many], key[many], step[many], entry[many], begin[many] = whose[c], c, k, line[c, k], start[c, k]
                many += 1
    return many


@borrowing
def newest(key, known, time, begins, reaction, start, line):
    """Of each key the newest line, ``line (keys, k)`` or -1, that is known ``reaction`` s before ``start (keys, k)``, filled in too.

    Line i, of ``key[i]``, is of ``time[i]`` and has been ``known[i]`` s; of one time the one that is known later is newer, then the one
    behind.  Steps begin at ``begins (k,)`` s, rising, a key's first one when anything has been known of it for long enough.
    """
    keys, steps = line.shape
    for c in range(keys):
        start[c, 0] = math.inf
    for i in range(len(key)):
        start[key[i], 0] = min(start[key[i], 0], known[i] + reaction)
    for c in range(keys):
        least = start[c, 0]
        for k in range(steps):
            start[c, k], line[c, k] = max(least, begins[k]), -1
    for i in range(len(key)):
        c, low, high = key[i], 0, steps  # from which step on it is known
        while low < high:
            middle = (low + high) // 2
            if start[c, middle] - reaction < known[i]:
                low = middle + 1
            else:
                high = middle
        if low < steps and not _newer(line[c, low], i, known, time):
            line[c, low] = i
    for c in range(keys):
        for k in range(1, steps):
            if line[c, k - 1] >= 0 and _newer(line[c, k - 1], line[c, k], known, time):
                line[c, k] = line[c, k - 1]


@borrowing
def _newer(i, j, known, time):
    """Whether line i is newer than line j; -1, none, is older than all."""
    if i < 0 or j < 0:
        return j < 0 <= i
    return (time[i], known[i], i) > (time[j], known[j], j)


@borrowing
def calm(time, tick, news_tick, news_key, news_time, news_row, news_when, news_foreseen, key, state, limits, out):
    """What is known of tracks ``key (m,)`` at ``time (n,)`` s, of which the first is that of ``tick``: ``out (n, m, 5)``, row, time,
    when heard, for how long it is foreseen and whether another one stands beside it; for how many times, before news of another track
    come or one is over.

    ``state (m, 7)``, changed in place, has the same before, behind it the first time and the rest of its source; ``limits`` are
    `entries.HOLD`, ``SILENT`` and both of ``BESIDE``, as `entries.stays` says it plainly.
    """
    at = 0
    hold, silent, least, share = limits
    for k in range(len(time)):
        while at < len(news_tick) and news_tick[at] <= tick + k:
            i = 0
            while i < len(key) and key[i] != news_key[at]:
                i += 1
            if i == len(key):
                return k
            if news_time[at] > state[i, 1]:
                state[i, 0], state[i, 1], state[i, 2] = news_row[at], news_time[at], news_when[at]
                state[i, 3], state[i, 4] = news_foreseen[at], 0.0
            at += 1
        for i in range(len(key)):
            foreseen, lived, rest = state[i, 3], state[i, 1] - state[i, 5], state[i, 6]
            patience = min(hold, least + share * lived) if state[i, 4] > 0.0 else min(max(hold, foreseen), silent + lived)
            if time[k] - state[i, 2] > max(patience, rest) or time[k] - state[i, 1] > max(2.0 * hold + rest, foreseen):
                return k
            for j in range(5):
                out[k, i, j] = state[i, j]
    return len(time)
