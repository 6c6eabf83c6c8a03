"""Rows predicted for many times at once are those predicted one time after the other."""

from __future__ import annotations

import numpy as np
import pytest

from copfuse import ahead, correlation
from copfuse.ahead import Ahead, predicted
from test_correlation import JPN, KOR, START, USA, beside, local, tracks_of


def some_tracks():
    rng = np.random.default_rng(5)
    return tracks_of(*[local(s, k, beside(START, 5e3 * k), 3.0 * k, 40 + 9 * k, rng) for s in (KOR, JPN, USA) for k in range(3)])


def same(one, other) -> bool:
    return all(getattr(one, n).tobytes() == getattr(other, n).tobytes() for n in one.__dataclass_fields__)


@pytest.mark.parametrize("at_once", [1, 40, 100_000])
def test_what_stands_is_there_to_the_bit(at_once, monkeypatch):
    """Whatever nodes hear late, and however many times are taken together."""
    monkeypatch.setattr(ahead, "AT_ONCE", at_once)
    tracks, _ = some_tracks()
    asked = []
    monkeypatch.setattr(ahead, "predicted", lambda *a: asked.append(len(a[1])) or predicted(*a))
    rng, times = np.random.default_rng(6), np.arange(0.0, 100.0, 2.0)
    feeds = []
    for mine in (np.flatnonzero(tracks.node == KOR), np.arange(len(tracks))):
        when = np.maximum.accumulate(tracks.time[mine] + rng.uniform(0.0, 8.0, len(mine)))
        feeds.append((when, mine, 30.0))
    made = Ahead(tracks, feeds, times)
    used = 0
    for k, t in enumerate(times):
        newest = set()
        for when, mine, wait in feeds:
            heard = [(tracks.node[r], tracks.track[r], r, w) for w, r in zip(when, mine, strict=True) if w <= t]
            last = {(n, track): (r, w) for n, track, r, w in heard}
            newest |= {int(r) for r, w in last.values() if t - w <= wait}
        rows = np.array(sorted(newest), int)
        if len(rows):
            assert same(made.bank(k, rows), predicted(tracks, rows, t))
            assert same(made.bank(k, rows[::2]), predicted(tracks, rows[::2], t))
            used += len(rows)
    assert used > 300 and sum(asked) == used  # nothing more and nothing twice


def test_what_nobody_has_heard_is_predicted_all_the_same():
    tracks, _ = some_tracks()
    rows = np.array([3, 5])
    assert same(Ahead(tracks, [], np.array([0.0, 50.0])).bank(1, rows), predicted(tracks, rows, 50.0))


def test_one_missile_at_rest_is_not_judged_again(monkeypatch):
    """Three nations' tracks of one object stand as one: nothing is put elsewhere until two are too far apart."""
    rng = np.random.default_rng(4)
    tracks, _ = tracks_of(*[local(s, 0, START, 0, 10, rng) for s in (KOR, JPN, USA)])
    rows = np.flatnonzero(tracks.time == 10.0)
    known = rows, predicted(tracks, rows, 10.0)
    entries = [correlation.Entry(int(tracks.node[r]), int(r), 0.0, 10.0, 10.0) for r in rows]
    after = correlation.correlate(entries, known, np.zeros(6), 0)
    assert [e.system for e in entries] == [0, 0, 0]
    judged, real = [], correlation._descend
    monkeypatch.setattr(correlation, "_descend", lambda *a: judged.append(1) or real(*a))
    assert correlation.correlate(entries, known, np.zeros(6), after) == after and not judged
    known[1].x6[0, 0] += 1e5
    correlation.correlate(entries, known, np.zeros(6), after)
    assert judged and len({e.system for e in entries}) == 2
