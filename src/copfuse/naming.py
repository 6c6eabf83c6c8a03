"""The number that travels with a system track: common to nodes that share, and given by nobody in the middle.

A node numbers its system tracks as it comes to them, so these numbers are its own bookkeeping.  Nodes that share can still have common
ones if a local track's number travels with it.  Of the local tracks that stand in a system track, and the one after which it was called
last, if that has not gone over to another, it bears the number of the first originator's (in the order of `constants.NODES`), of
several the one known first: whoever has heard of the same says the same, whatever reports were lost on the way.  So a number changes
when an originator before the others comes in, which is mostly soon.  A node's own tracks that it has not reported come last: nobody
else can call anything after them.

Each node finds its numbers by itself, from what it has sent and heard by then, so nothing withheld tells in them.
"""

from __future__ import annotations

import numpy as np

from copfuse.hearing import Feed
from copfuse.kernels.numbers import called
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
    time, (node, system, pedigree) = lines["time"], (lines[column].astype(np.int64) for column in ("node", "track", "pedigree"))
    names, local = np.unique(name(tracks.node, tracks.track), return_inverse=True)
    local, n = local.ravel(), len(names)
    orders = [_orders(k, *ways, tracks, local) for k, ways in enumerate(zip(feeds, reports, strict=True))]
    since, rank = (np.stack(v) for v in zip(*orders, strict=True))
    member = np.where(pedigree >= 0, local[pedigree], -1)
    stands = np.full((len(feeds), n), -1)  # the system track in which a node has seen a local track last
    first = np.full((len(feeds), int(system.max(initial=-1)) + 1), -1)
    chosen = np.zeros(len(time), np.int64)
    edges = np.flatnonzero(np.r_[True, np.diff(time) != 0, True]) if len(time) else np.zeros(1, int)
    called(edges, time, node, system, member, since, rank, stands, first, chosen)
    number: np.ndarray = names[chosen]
    return number


def _orders(node: int, feed: Feed, report: Feed, tracks: Tracks, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each local track, (n,): from when s on a node knows it as reported, and its rank by source, by the time of the row reported first
    (where it is not, of the row known first), and as they are heard."""
    n = local.max(initial=-1) + 1
    which, first = np.unique(local[feed[1]], return_index=True)
    row = feed[1][first]
    source = tracks.node[row]
    since, begun = np.full(n, np.inf), np.full(n, np.inf)
    begun[which] = tracks.time[row]
    own = local[report[1]]
    since[own], begun[own] = report[0], tracks.time[report[1]]
    since[which[source != node]] = -np.inf
    rank = np.full(n, n)
    rank[which[np.lexsort((first, begun[which], source))]] = np.arange(len(which))
    return since, rank
