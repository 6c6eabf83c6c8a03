"""Entrants that fuse tracks: each nation follows its own plots, its tracks go to the hub over the links on which its plots would go.

What is fused is the same for all of them, so what differs is the rule.  `tracklets` has a state of its own at the hub.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from copfuse import entering, fusion, network, regimes, rules, tracking
from copfuse.ahead import predicted
from copfuse.freezing import ARRIVAL_SEED
from copfuse.gaussian import apply, transpose
from copfuse.links import Regime
from copfuse.rules import Tracklet
from copfuse.tables import Detections, Picture, Tracks
from copfuse.transit import own_delay


def of_tracks(detections: Detections, scenario: Any, rule: str = "split") -> Picture:
    """The hub's picture out of the nations' tracks, every update of which is sent, by one of `rules.TOGETHER`."""
    return _shared(detections, scenario, rule)[0]


def tracklets(detections: Detections, scenario: Any) -> Picture:
    """Likewise by what each track has learned since the nation last spoke, absorbed into a state at the hub (`rules.absorb`).

    Which tracks are of one object, and what is said of phase and push, is as in `of_tracks`.
    """
    made, tracks = _shared(detections, scenario, "split")
    x, P = np.array(made.x), np.array(made.P)
    best = np.full(len(made), -1)
    hub = _Hub({})
    edges = np.flatnonzero(np.r_[True, np.diff(made.time) != 0, True]) if len(made) else np.zeros(1, int)
    for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        x[a:b], P[a:b], best[a:b] = hub.look(float(made.time[a]), made.track[a:b].tolist(), made.pedigree[a:b], tracks)
    return entering.picture(
        made.time, made.track, x, P, scenario, phase=made.phase_probability, push=tracks.acceleration[best],
        log_beta=tracks.log_beta[best], sensors=made.sensors, fusion="tracklets",
    )  # fmt: skip


def _shared(detections: Detections, scenario: Any, rule: str) -> tuple[Picture, Tracks]:
    tracks = tracking.track(detections, scenario)
    messages = network.share(tracks, scenario, tracks_for_plots(regimes.regime(scenario.regime)), ARRIVAL_SEED)
    made = fusion.fuse(tracks, messages, scenario, rule=rule, nodes=("HUB",))
    return made[made.time <= entering.times(scenario)[-1] + entering.ON_GRID], tracks


def tracks_for_plots(plots: Regime) -> Regime:
    """The regime whose links carry tracks where those of ``plots`` carry plots, each with the very same delay, loss and outages."""
    links, said = [], []
    for link in plots.links:
        if link.payload == "plot":
            delay = own_delay(link, ARRIVAL_SEED)
            links.append(replace(link, payload="track", delay=(delay, delay, delay), stripped=()))
    for one in plots.rules:
        said.append(replace(one, payloads=tuple("track" if p == "plot" else p for p in one.payloads if p != "track")))
    return Regime(f"{plots.name}, as tracks", f"{plots.title}; tracks in the plots' stead", tuple(links), tuple(said))


# Tracklets at the hub --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _One:
    """The hub's estimate of one system track at ``time`` s, and the rows of Tracks, by nation, that stand in it (−1: none)."""

    time: float
    x: np.ndarray
    P: np.ndarray
    rows: np.ndarray
    best: int


@dataclass(frozen=True)
class _Hub:
    """The hub's estimates by number of system track."""

    held: dict[int, _One]

    def look(self, time: float, systems: list[int], rows: np.ndarray, tracks: Tracks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Estimates x (k, 6), P (k, 6, 6) of system tracks at a time, which stand on ``rows (k, 4)``, and the best row of each."""
        before = [self.held.get(s) for s in systems]
        old = np.array([np.full(rows.shape[1], -1) if one is None else one.rows for one in before])
        needed = np.unique(np.r_[rows.ravel(), old.ravel()])
        needed = needed[needed >= 0]
        now = predicted(tracks, needed, time)
        at, was = np.searchsorted(needed, rows), np.searchsorted(needed, old)
        size = np.where(rows >= 0, np.einsum("naa->n", now.P6)[np.minimum(at, len(needed) - 1)], np.inf)
        first = size.argmin(axis=1)
        best = rows[np.arange(len(rows)), first]
        x, P = now.x6[at[np.arange(len(rows)), first]], now.P6[at[np.arange(len(rows)), first]]
        if any(one is not None for one in before):
            self._move(time, before, tracks, x, P)
        for k, one in enumerate(before):
            for s in np.flatnonzero(rows[k] >= 0).tolist():
                if one is None and s == first[k] or rows[k, s] == old[k, s]:
                    continue
                mine, news = (x[k : k + 1], P[k : k + 1]), (now.x6[at[k, s]][None], now.P6[at[k, s]][None])
                if old[k, s] >= 0 and tracks.track[old[k, s]] == tracks.track[rows[k, s]]:
                    sent = now.x6[was[k, s]][None], now.P6[was[k, s]][None]
                    fused = rules.absorb(*mine, _learned(rules.tracklet(*news, *sent), mine[1]))
                else:  # of what it says first nobody knows how much the hub has heard from others
                    fused = rules.covariance_intersection(*mine, *news)
                x[k], P[k] = fused.x[0], fused.P[0]
            self.held[systems[k]] = _One(time, x[k], P[k], np.where(rows[k] >= 0, rows[k], old[k]), int(best[k]))
        return x, P, best

    def _move(self, time: float, before: list[_One | None], tracks: Tracks, x: np.ndarray, P: np.ndarray) -> None:
        """Put what the hub knew, moved on to a time as its best source says that it flies, into x and P in place."""
        known = [(k, one) for k, one in enumerate(before) if one is not None]
        like = tracks[np.array([one.best for _, one in known])]
        time_then, x_then, P_then = (np.array([getattr(one, name) for _, one in known]) for name in ("time", "x", "P"))
        moved = predicted(replace(like, time=time_then, x=x_then, P=P_then), np.arange(len(known)), time)
        rows = [k for k, _ in known]
        x[rows], P[rows] = moved.x6, moved.P6


def _learned(new: Tracklet, P: np.ndarray) -> Tracklet:
    """The tracklet without the directions in which it would take information away, judged beside the hub's covariance P (1, d, d).

    A source whose models have changed their minds, or that has predicted more carefully than the hub, can seem to know less than before.
    """
    root = np.linalg.cholesky(P)
    value, vector = np.linalg.eigh(transpose(root) @ new.Y @ root)
    kept = vector * (value > 0.0)[:, None, :]
    back = np.linalg.inv(root)
    onto = transpose(back) @ kept @ transpose(vector) @ transpose(root)
    basis = transpose(back) @ kept
    return Tracklet(new.at, apply(onto, new.y), (basis * np.maximum(value, 0.0)[:, None, :]) @ transpose(basis))
