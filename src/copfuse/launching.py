"""Launch points in a picture: what each node can say of where the objects in it came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from copfuse import forecast
from copfuse.ahead import predicted
from copfuse.constants import BOOST
from copfuse.hearing import Feed
from copfuse.releases import SETTLED
from copfuse.tables import Tracks


@dataclass(frozen=True)
class Launched:
    """Estimates of launch points, ``point (n, 3)`` m, ``spread (n, 3, 3)`` m^2: ``local (rows,)`` numbers the local tracks, and
    ``of (nodes, local, 2)`` says which two a node can make of a track (−1: none) from ``known (nodes, local, 2)`` s on."""

    local: np.ndarray
    of: np.ndarray
    known: np.ndarray
    point: np.ndarray
    spread: np.ndarray


def launched(tracks: Tracks, feeds: list[Feed]) -> Launched:
    """What every node can say of the launch of every local track: from the first row that it hears, and from one `SETTLED` s later.

    Nothing but what came to a node may stand in its picture, so rows that it has not heard are not used for it.
    """
    keys, local = np.unique(tracks.node.astype(np.int64) * 10**9 + tracks.track, return_inverse=True)
    local = local.ravel()
    used, known = np.full((len(feeds), len(keys), 2), -1), np.full((len(feeds), len(keys), 2), np.inf)
    for k, (when, rows) in enumerate(feeds):
        begun = np.full(len(keys), np.inf)
        for i, late in enumerate((0.0, SETTLED)):  # its velocity is known better then
            able = np.flatnonzero(tracks.time[rows] >= begun[local[rows]] + late) if i else np.arange(len(rows))
            which, first = np.unique(local[rows[able]], return_index=True)
            used[k, which, i], known[k, which, i] = rows[able[first]], np.maximum.accumulate(when)[able[first]]
            begun[which] = tracks.time[used[k, which, 0]]
    made, of = np.unique(used, return_inverse=True)
    of = of.reshape(used.shape) - np.count_nonzero(made < 0)
    made = made[made >= 0]
    estimate, spread = forecast.launch_point(predicted(tracks, made, tracks.time[made]), tracks.phase_probability[made][:, BOOST])
    return Launched(local, of, known, estimate, spread)


def launches(known: Launched, node: np.ndarray, time: np.ndarray, source: np.ndarray) -> dict[str, np.ndarray]:
    """Launch point columns of a ``node``'s lines (n,) at ``time`` s that stand on the rows ``source (n, 4)``: of their local tracks,
    the sharpest estimate that the node has made so far."""
    n, local = len(source), known.local[source]
    now = (source >= 0)[:, :, None] & (known.known[node[:, None], local] <= time[:, None, None])
    which = np.where(now, known.of[node[:, None], local], -1).reshape(n, -1)
    size = np.append(np.trace(known.spread, axis1=1, axis2=2), np.inf)[which]
    best = np.where((size == size.min(axis=1, keepdims=True)) & (which >= 0), which, len(known.point)).min(axis=1)
    point = np.concatenate([known.point, np.full((1, 3), np.nan)])[best]
    return {"launch_point": point, "launch_point_P": np.concatenate([known.spread, np.full((1, 3, 3), np.nan)])[best]}
