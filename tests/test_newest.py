"""What is newest of tracks at a time: kernels against the rules, one line after the other."""

from __future__ import annotations

import numpy as np
import pytest

from copfuse.books import LIMITS, TRACKS
from copfuse.entries import Entries, note, stays
from copfuse.kernels import newest as kernel


@pytest.mark.parametrize("case", range(8))
def test_the_newest_that_is_known_for_so_long(case):
    rng = np.random.default_rng(case)
    key = np.r_[np.arange(4), rng.integers(0, 4, 40)]
    known, time = rng.integers(0, 30, 44).astype(float), rng.integers(0, 8, 44).astype(float)  # many at one time
    begins = np.arange(10.0, 45.0, 5.0)
    start, line = np.empty((4, 7)), np.empty((4, 7), int)
    kernel.newest(key, known, time, begins, 10.0, start, line)
    for k in range(4):
        mine = np.flatnonzero(key == k)
        for step, begin in enumerate(begins):
            assert start[k, step] == max(known[mine].min() + 10.0, begin)
            able = [i for i in mine if known[i] <= start[k, step] - 10.0]
            assert line[k, step] == max(able, key=lambda i: (time[i], known[i], i), default=-1)


@pytest.mark.parametrize("case", range(8))
def test_what_is_told_starts_within_its_step_and_while_its_nation_heeds_it(case):
    rng = np.random.default_rng(case)
    begins, keys = np.arange(10.0, 60.0, 10.0), 6
    node = np.sort(rng.integers(0, 4, keys))
    within = np.array([rng.choice([-np.inf, 20.0], 4), rng.choice([np.inf, 40.0], 4)])
    line, start = rng.integers(-1, 9, (keys, 5)), begins + rng.choice([0.0, 4.0, 10.0], (keys, 5))
    found, begin = np.empty((4, keys * 5), int), np.empty(keys * 5)
    n = kernel.heeded(node, within, begins, 10.0, start, line, *found, begin)
    since, until = within[:, node, None]
    key, step = np.nonzero((start < begins + 10.0) & (line >= 0) & (since < begins) & (begins <= until))
    assert np.array_equal(found[:, :n], [node[key], key, step, line[key, step]]) and np.array_equal(begin[:n], start[key, step])
    assert 0 < n < keys * 5


@pytest.mark.parametrize("case", range(20))
def test_what_is_known_in_calm_is_what_is_noted_time_after_time(case):
    """Until another track comes or one is over; rows that come out of order, and sources that report in slots, among them."""
    rng = np.random.default_rng(case)
    names, rest = [(0, 7), (2, 3)], rng.choice([0.0, 30.0], 2)
    entries: Entries = {}
    for source, track in names:
        note(entries, source, track, rng.uniform(10.0, 18.0), 1, 19.0)
        note(entries, source, track, 18.5, 2, 19.5, rng.choice([0.0, 50.0]))
        entries[source, track].beside = bool(rng.random() < 0.3)
    n = 60 if case % 4 else 3  # of few news tracks end
    tick = np.sort(rng.integers(11, 60, n))
    which = [(*names, (1, 1))[i] for i in np.where(rng.random(n) < 0.02, 2, rng.integers(0, 2, n))]
    key, time = np.array([source * TRACKS + track for source, track in which]), 2.0 * tick - rng.integers(0, 8, n)
    row, when, at = np.arange(10, 10 + n), 2.0 * tick - rng.uniform(0.0, 2.0, n), 2.0 * np.arange(11, 60)
    foreseen = rng.choice([0.0, 35.0, 90.0], n)
    held = zip(entries.values(), rest, strict=True)
    state = np.array([(e.row, e.last, e.heard, e.foreseen, e.beside, e.first, r) for e, r in held], float)
    out = np.empty((len(at), 2, 5))
    mine = np.array([source * TRACKS + track for source, track in names])
    calm = kernel.calm(at, 11, tick, key, time, row, when, foreseen, mine, state, LIMITS, out)
    for k, now in enumerate(at):
        for i in np.flatnonzero(tick == 11 + k):
            note(entries, *which[i], time[i], int(row[i]), when[i], foreseen[i])
        if len(entries) > 2 or not all(stays(e, now, r) for e, r in zip(entries.values(), rest, strict=True)):
            break
        assert out[k].tolist() == [[e.row, e.last, e.heard, e.foreseen, e.beside] for e in entries.values()]
        k += 1
    assert calm == k
