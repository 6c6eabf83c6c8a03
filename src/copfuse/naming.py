"""The number that travels with a system track: common to nodes that share, and given by nobody in the middle.

A node numbers its system tracks as it comes to them, so these numbers are its own bookkeeping.  Nodes that share can still have common
ones if a track's number travels with it: a system track bears the number of the local track that was reported first, of those that have
stood in it and not gone over to another since; by the first row that its own node sent, or this one heard.  A node's own tracks that
it has not reported come last: nobody else can name anything after them.  Each node finds all that by itself, from what it has sent and
heard by then, so nothing withheld tells in it; nodes that have heard of the same local tracks and put them together alike come to the
same number.
"""

from __future__ import annotations

import numpy as np

from copfuse.hearing import Feed
from copfuse.tables import Tracks

ORIGINATOR = 10**6  # times the originator's number, plus the local track's, is a common number


def name(node: np.ndarray, track: np.ndarray) -> np.ndarray:
    """Common numbers (n,) of local tracks by originator and number there."""
    return node.astype(np.int64) * ORIGINATOR + track


def common_numbers(lines: dict[str, np.ndarray], tracks: Tracks, feeds: list[Feed], reports: list[Feed]) -> np.ndarray:
    """The common number (n,) of each line of a picture: `name` of one of its local tracks; no two of a node have one at one time.

    ``lines``: columns of `Picture` in rising time: time, node, track, pedigree.  ``feeds``: what nodes 0, 1, ... hear, ``reports``: what
    they report first of each of their own tracks (`hearing.reported`).
    """
    time, node, system, pedigree = (lines[column] for column in ("time", "node", "track", "pedigree"))
    names, local = np.unique(name(tracks.node, tracks.track), return_inverse=True)
    local, n = local.ravel(), len(names)
    orders = [_orders(k, *ways, tracks, local) for k, ways in enumerate(zip(feeds, reports, strict=True))]
    since, soon, late = (np.stack(v) for v in zip(*orders, strict=True))
    member = np.where(pedigree >= 0, local[pedigree], -1)
    stands = np.full((len(feeds), n), -1)  # the system track in which a node has seen a local track last
    first = np.full((len(feeds), int(system.max(initial=-1)) + 1), -1)
    number = np.zeros(len(time), np.int64)
    edges = np.flatnonzero(np.r_[True, np.diff(time) != 0, True]).tolist() if len(time) else []
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        k, s, now = node[a:b], system[a:b], member[a:b]
        line, source = np.nonzero(now >= 0)
        stands[k[line], now[line, source]] = s[line]
        before = first[k, s]
        able = np.column_stack([np.where(stands[k, before] == s, before, -1), now])
        who = k[:, None], able
        rank = np.where(since[who] <= time[a], soon[who], late[who])
        first[k, s] = able[np.arange(b - a), np.where(able >= 0, rank, 2 * n).argmin(axis=1)]
        number[a:b] = names[first[k, s]]
    return number


def _orders(node: int, feed: Feed, report: Feed, tracks: Tracks, local: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each local track, (n,): when s it is known to a node as reported, and its rank from then on and before, when it comes after all
    that are; ranks are by the time of the row reported, or known, first, then by source, then as they are heard."""
    n = local.max(initial=-1) + 1
    which, first = np.unique(local[feed[1]], return_index=True)
    row = feed[1][first]
    source, told = tracks.node[row], tracks.time[row].copy()
    since, by = np.full((2, n), np.inf)
    since[local[report[1]]], by[local[report[1]]] = report[0], tracks.time[report[1]]
    own = source == node
    told[own] = by[which[own]]
    since[which[~own]] = -np.inf
    ranks = np.full((2, n), 2 * n)
    for rank, begun, offset in zip(ranks, (told, tracks.time[row]), (0, n), strict=True):
        rank[which[np.lexsort((first, source, begun))]] = offset + np.arange(len(which))
    return since, *ranks
