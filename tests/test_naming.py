"""Common numbers of system tracks: by hand, the same for all who have heard the same, and under regimes."""

from __future__ import annotations

import numpy as np
import pytest

from copfuse import naming
from copfuse.hearing import reported
from copfuse.kernels.numbers import called
from copfuse.tables import TRACK, Messages, Tracks

KOR, JPN, USA, HUB = range(4)


def local_tracks(facts):
    """Tracks with one firm row per ``(time, node, track)``."""
    columns = {name: np.zeros((len(facts), *shape), dtype) for name, (dtype, shape) in Tracks.COLUMNS.items()}
    time, node, track = (np.array(c) for c in zip(*facts, strict=True))
    return Tracks(**columns | {"time": time, "node": node, "track": track, "firm": np.ones(len(facts), bool)})


def to_all(tracks):
    """Every row at once to everybody: feeds and reports."""
    order = np.lexsort((np.arange(len(tracks)), tracks.time))
    own = [order[tracks.node[order] == k] for k in range(4)]
    return [(tracks.time[order], order)] * 4, [(tracks.time[rows], rows) for rows in own]


def numbered(lines, tracks, feeds=None, reports=None):
    """The common numbers of lines ``(time, node, system, {nation: row of tracks})``, in rising time; all told to all if not said."""
    pedigree = np.full((len(lines), 4), -1)
    for i, line in enumerate(lines):
        for nation, row in line[3].items():
            pedigree[i, nation] = row
    columns = {name: np.array([x[i] for x in lines]) for i, name in enumerate(("time", "node", "track"))}
    told = to_all(tracks)
    return naming.common_numbers({**columns, "pedigree": pedigree}, tracks, feeds or told[0], reports or told[1]).tolist()


def test_a_number_is_that_of_the_first_originator_and_travels_with_it():
    """By hand: Japan's system track is named after America's local one until it hears of Korea's, which then gives it for good."""
    tracks = local_tracks([(10.0, USA, 4), (12.0, KOR, 7), (20.0, JPN, 0)])
    lines = [(12.0, KOR, 0, {KOR: 1}), (12.0, JPN, 5, {USA: 0}), (14.0, KOR, 0, {KOR: 1, USA: 0}), (14.0, JPN, 5, {KOR: 1, USA: 0}),
             (16.0, KOR, 0, {USA: 0}), (20.0, JPN, 5, {USA: 0, JPN: 2}), (22.0, JPN, 5, {JPN: 2})]  # fmt: skip
    assert numbered(lines, tracks) == [7, 2_000_004, 7, 7, 7, 7, 7]


def test_of_one_originator_the_track_known_first_gives_the_number():
    tracks = local_tracks([(10.0, KOR, 3), (40.0, KOR, 1)])
    assert numbered([(40.0, JPN, 0, {KOR: 1}), (42.0, JPN, 0, {KOR: 0}), (44.0, JPN, 0, {KOR: 1})], tracks) == [1, 3, 3]


def test_a_number_stays_through_a_gap_and_leaves_with_its_track():
    """A local track that stands in another system track takes its number along; no number stands twice at one time."""
    tracks = local_tracks([(10.0, KOR, 0), (11.0, USA, 0), (12.0, USA, 1)])
    again = [(10.0, JPN, 0, {KOR: 0}), (90.0, JPN, 1, {KOR: 0}), (92.0, JPN, 1, {USA: 1})]
    assert numbered(again, tracks) == [0, 0, 0]
    parted = [(12.0, JPN, 0, {KOR: 0, USA: 1}), (14.0, JPN, 0, {USA: 2}), (14.0, JPN, 1, {KOR: 0, USA: 1})]
    assert numbered(parted, tracks) == [0, 2_000_001, 0]


def test_what_a_node_keeps_to_itself_gives_no_number_where_something_is_known_to_others():
    """Korea holds a track from 10 s and reports it at 30 s by its row of 28 s; America's row of 20 s is heard at 22 s."""
    tracks = local_tracks([(10.0, KOR, 0), (20.0, USA, 0), (28.0, KOR, 0)])
    feeds = [(np.array([10.0, 22.0, 28.0]), np.arange(3)), *[(np.zeros(0), np.zeros(0, int))] * 3]
    nothing = np.zeros(0), np.zeros(0, int)
    reports = [(np.array([30.0]), np.array([2])), nothing, nothing, nothing]
    lines = [(20.0, KOR, 0, {KOR: 0}), (22.0, KOR, 0, {KOR: 0, USA: 1}), (30.0, KOR, 0, {KOR: 2, USA: 1})]
    assert numbered(lines, tracks, feeds, reports) == [0, 2_000_000, 0]
    early = [(np.array([12.0]), np.array([0])), *reports[1:]]
    assert numbered(lines, tracks, feeds, early) == [0, 0, 0]


def one_by_one(lines, tracks):
    """The rule as it is said, line by line, where all is told to all."""
    stands, called, out = {}, {}, []
    for time in sorted({line[0] for line in lines}):
        now = [line for line in lines if line[0] == time]
        inside = [[(int(tracks.node[r]), float(tracks.time[r]), r, int(tracks.track[r])) for r in line[3].values()] for line in now]
        stands |= {(line[1], local): line[2] for line, some in zip(now, inside, strict=True) for local in some}
        for (_, node, system, _), some in zip(now, inside, strict=True):
            old = called.get((node, system))
            best = min([*some, old] if old and stands[node, old] == system else some)
            called[node, system] = best
            out.append(best[0] * naming.ORIGINATOR + best[3])
    return out


def test_nodes_that_have_heard_the_same_number_alike_whatever_they_call_it():
    """Random system tracks of random local tracks, and the same again under other names and in another order of lines."""
    rng = np.random.default_rng(5)
    for _ in range(200):
        tracks = local_tracks([(float(rng.integers(0, 9)), int(n), i) for i, n in enumerate(rng.integers(0, 3, 9))])
        lines, other = [], []
        names = rng.permutation(20)
        for time in range(10, 20, 2):
            rows, three = rng.permutation(9), []
            for system in range(3):
                stand = {int(tracks.node[r]): int(r) for r in rows[3 * system : 3 * system + 3]}
                lines.append((float(time), KOR, system, stand))
                three.append((float(time), JPN, int(names[system]), stand))
            other += [three[i] for i in rng.permutation(3)]
        assert numbered(lines, tracks) == one_by_one(lines, tracks)
        mine = {(line[0], tuple(line[3].items())): n for line, n in zip(lines, numbered(lines, tracks), strict=True)}
        assert [mine[line[0], tuple(line[3].items())] for line in other] == numbered(other, tracks)
        assert len({(time, n) for (time, _), n in mine.items()}) == len(mine) == 15


def plainly_called(edges, time, node, system, member, since, rank):
    """What `kernels.numbers.called` fills in, time by time."""
    n = rank.shape[1]
    stands, first, chosen = np.full(rank.shape, -1), np.full((len(rank), system.max() + 1), -1), np.zeros(len(time), int)
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        k, s, now = node[a:b], system[a:b], member[a:b]
        line, source = np.nonzero(now >= 0)
        stands[k[line], now[line, source]] = s[line]
        late = rank + n * (since > time[a])
        before = first[k, s]
        able = np.column_stack([np.where(stands[k, before] == s, before, -1), now])
        best = np.where(able >= 0, late[k[:, None], able], 2 * n).argmin(axis=1)
        first[k, s] = chosen[a:b] = able[np.arange(b - a), best]
    return chosen


def test_the_kernel_calls_tracks_as_the_plain_form_does():
    """Two nodes with three system tracks each of nine local tracks that move about, come late and are reported late or never."""
    rng = np.random.default_rng(6)
    for _ in range(50):
        edges, time = 6 * np.arange(11), np.repeat(np.arange(10.0), 6)
        node, system = np.tile([0, 0, 0, 1, 1, 1], 10), np.tile([0, 1, 2], 20)
        member = np.concatenate([rng.permutation(9).reshape(3, 3) for _ in range(20)])
        member = np.where(rng.random(member.shape) < 0.4, -1, member)
        member[(member < 0).all(axis=1), 0] = 0
        since, rank = rng.choice([-np.inf, 5.0, np.inf], (2, 9)), np.stack([rng.permutation(9) for _ in range(2)])
        chosen = np.zeros(60, int)
        called(edges, time, node, system, member, since, rank, np.full((2, 9), -1), np.full((2, 3), -1), chosen)
        assert chosen.tolist() == plainly_called(edges, time, node, system, member, since, rank).tolist()


def test_a_report_counts_when_it_is_sent_first_to_anybody_whether_it_comes_or_not():
    tracks = local_tracks([(10.0, KOR, 0), (12.0, KOR, 0), (11.0, KOR, 1), (11.0, USA, 1)])
    sent, arrived = [12.0, 13.0, 11.0, 11.0], [15.0, 13.5, np.nan, 11.5]
    messages = Messages(sent, arrived, [KOR, KOR, KOR, USA], [JPN, USA, JPN, KOR], [TRACK] * 4, [1, 1, 2, 3])
    when, rows = reported(KOR, tracks, messages)
    assert when.tolist() == [12.0, 11.0] and rows.tolist() == [1, 2]
    assert len(reported(JPN, tracks, messages)[1]) == 0


@pytest.mark.parametrize("regime", ["none", "realtime", "plots"])
def test_a_node_has_no_number_twice_at_one_time(shared_by, regime):
    p = shared_by(regime).picture
    assert len(np.unique(np.stack([p.time, p.node, p.common]), axis=1).T) == len(p)
    local = naming.name(shared_by(regime).tracks.node, shared_by(regime).tracks.track)
    assert np.array_equal(p.common, p.track) if regime == "plots" else np.isin(p.common, local).all()
