"""A track that has gone astray, and the one that its own object's plots have begun beside it.

What falls may be a hundred times as light as it was taken for: where the air brakes it, its track goes on too fast, and as sure of itself
as before.  A plot that is refused then begins another track, which takes more and more of those that come, until the old one is
doubted (`tracking.doubted`).  Nothing has ended and nothing is new: there is one object, and the young track goes on under the old number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from copfuse.association import Pairs
from copfuse.coasting import Live, with_rows
from copfuse.kernels.echoes import ALONE
from copfuse.pairing import OWN, Taken

YOUNG = 20  # plots that one begun beside it has had at most: twice as many as it takes to doubt a track, *notional*
SHARE = 0.1  # of the old one's plots that it has had at most, *notional*


def succeeded(live: Live, doubted: np.ndarray, near: np.ndarray, pairs: Pairs, taken: Taken) -> tuple[Live, np.ndarray]:
    """The tracks after a scan, and which (n,) are to be dropped: of those that are ``doubted (n,)`` and firm, each that has an heir is in
    its place, and the heir is dropped.

    ``near`` and ``pairs``: as `tracking.step` has them.  An heir is a young firm track begun later that alone has taken plots of the
    doubted one's gate: among several objects a track that is made of plots of all of them is doubted, too, and was none's.
    """
    drop = doubted.copy()
    if live.forest is not None:
        return live, drop
    mine = taken.share >= OWN
    owner = np.full(pairs.plots, -1)
    owner[taken.plot[mine]] = near[taken.rows[mine]]
    for k in np.flatnonzero(doubted[near] & live.firm[near]).tolist():
        old, claimed = int(near[k]), owner[pairs.plot[pairs.start[k] : pairs.start[k + 1]]]
        heirs = np.unique(claimed[claimed >= 0])
        new = int(heirs[0]) if len(heirs) == 1 else old
        young = live.number[new] > live.number[old] and live.hits[new] <= min(YOUNG, SHARE * live.hits[old])
        if young and live.firm[new]:
            live = _taken_over(live, old, new)
            drop[old], drop[new] = False, True
    return live, drop


def _taken_over(live: Live, old: int, new: int) -> Live:
    """The tracks, that of row ``old`` with the estimate and the plots of that of row ``new``; whether its engine is out it knows better."""
    now: dict[str, Any] = {
        name: getattr(live, name).copy() for name in ("hits", "llr", "sensors", "revisit", "seen", "doubt", "echoes", "strength", "misfit")
    }
    now["hits"][old] += live.hits[new]
    now["llr"][old] += live.llr[new]
    now["echoes"][old] += live.echoes[new] - ALONE
    now["strength"][old] += live.strength[new]
    now["sensors"][old] |= live.sensors[new]
    for name in ("revisit", "seen", "doubt", "misfit"):
        now[name][old] = getattr(live, name)[new]
    for name in ("relative", "turns"):  # of the estimate that is gone
        now[name] = {pair: told for pair, told in getattr(live, name).items() if live.number[old] not in pair}
    return replace(live, bank=with_rows(live.bank, np.array([old]), live.bank[np.array([new])]), **now)
