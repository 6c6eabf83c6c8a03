"""``fuse()``: every node's picture from its own tracks and what it has heard.

Bookkeeping first (`correlation`: which local tracks, from whom, stand in which system track at which time), then arithmetic
on all rows at once: predict to the picture's time, fuse by split covariance intersection, forecast both ends of the
flight.  The split follows the pedigree: errors of plots that only one track has used are independent, process noise
and priors are not, and where two tracks have a sensor in common nothing is taken as independent.
Where plots are shared, the hub tracks with all of them (and registers all radars, where the nations did) and every node sees the
hub's picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from copfuse import filters, forecast
from copfuse.constants import BOOST, GLIDE, NATIONS, NODES
from copfuse.correlation import Book, keep_book, predicted
from copfuse.errors import CopfuseError
from copfuse.filters import Bank
from copfuse.frames import altitude
from copfuse.kernels.consider import fall_matrices
from copfuse.kernels.forecast import intersect_rows
from copfuse.phases import phase_probability
from copfuse.phases import push as pushed_by
from copfuse.tables import PLOT, TRACK, Detections, Messages, Picture, Tracks, same_table
from copfuse.tracking import track

SETTLED = 10.0  # s after a track turned firm at which its launch point is estimated again


def fuse(tracks: Tracks, messages: Messages, scenario: Any, detections: Detections | None = None) -> Picture:
    """The picture at each of KOR, JPN, USA and HUB every ``scenario.picture_step`` seconds, sorted by time, then node.

    ``messages`` must be made from ``tracks`` (and from ``detections`` where plots were shared).
    Raises `CopfuseError` where they were not, or where plots were shared and ``detections`` is missing.
    """
    same_table("tracks", tracks, messages.meta["tracks_uid"])
    if (messages.kind == PLOT).any():
        if detections is None:
            raise CopfuseError("these messages carry plots: call fuse(..., detections=detections)")
        same_table("detections", detections, messages.meta["detections_uid"])
        return _fuse_plots(tracks, messages, scenario, detections)
    meta = _meta(scenario, messages, "Tracks", tracks.uid)
    parts = []
    for node in range(len(NODES)):
        feed = _feed(tracks, messages, node)
        book = keep_book(tracks, feed, scenario)
        parts.append(_rows(tracks, book, node))
    return _table(parts, meta)


def _meta(scenario: Any, messages: Messages, pedigree_of: str, uid: str) -> dict[str, Any]:
    return {
        "regime": messages.meta["regime"], "nodes": list(NODES), "sensors": [s.name for s in scenario.sensors],
        "pedigree_of": pedigree_of, "pedigree_uid": uid,
    }  # fmt: skip


def _fuse_plots(tracks: Tracks, messages: Messages, scenario: Any, detections: Detections) -> Picture:
    """One fusion node takes every plot that arrives; it waits for stragglers, so its tracks are in time order."""
    sent = messages[messages.kind == PLOT]
    sent = sent[np.isfinite(sent.arrived)]
    order = np.argsort(sent.row, kind="stable")
    rows = sent.row[order]
    hub = tracker("registration" in tracks.meta)(detections[rows], scenario, node="HUB", association=tracks.meta.get("association", "gnn"))
    heard = np.maximum.accumulate(sent.arrived[order])[hub.detection] if len(hub) else np.zeros(0)
    firm = np.flatnonzero(hub.firm)
    book = keep_book(hub, (heard[firm], firm), scenario)
    part = _rows(hub, book, NODES.index("HUB"))
    part["pedigree"] = _last_plots(hub, rows, detections, scenario)[part["pedigree"].max(axis=1)]
    parts = [{**part, "node": np.full_like(part["node"], node)} for node in range(len(NODES))]
    biases = {name: hub.meta[name] for name in ("registration",) if name in hub.meta}
    return _table(parts, {**_meta(scenario, messages, "Detections", detections.uid), **biases})


def tracker(registered: bool) -> Callable[..., Tracks]:
    """`tracking.track`, or `registering.track_registered`."""
    if not registered:
        return track
    from copfuse.registering import track_registered  # half a second of imports that most runs do without

    return track_registered


def _last_plots(hub: Tracks, rows: np.ndarray, detections: Detections, scenario: Any) -> np.ndarray:
    """Per hub track row and nation (and hub: −1), the newest plot in it: (n, 4) rows of Detections."""
    nation = np.array([NATIONS.index(s.nation) for s in scenario.sensors])
    last = np.full((len(hub), len(NODES)), -1)
    newest: dict[int, np.ndarray] = {}
    for i in range(len(hub)):
        at = newest.setdefault(int(hub.track[i]), np.full(len(NODES), -1))
        plot = rows[hub.detection[i]]
        at[nation[detections.sensor[plot]]] = plot
        last[i] = at
    return last


def _feed(tracks: Tracks, messages: Messages, node: int) -> tuple[np.ndarray, np.ndarray]:
    """When each firm row of a local track becomes known at a node, (n,), and which row, (n,), in that order."""
    own = np.flatnonzero((tracks.node == node) & tracks.firm)
    heard = messages[(messages.target == node) & (messages.kind == TRACK) & np.isfinite(messages.arrived)]
    when, rows = np.r_[tracks.time[own], heard.arrived], np.r_[own, heard.row]
    order = np.lexsort((rows, when))
    return when[order], rows[order]


def _rows(tracks: Tracks, book: Book, node: int) -> dict[str, np.ndarray]:
    """The columns of the picture of one node, from its book; what has come down leaves it, for it would stand beside others aloft."""
    n, s = len(book.time), len(NODES)
    time, system = np.array(book.time), np.array(book.system, int)
    source = np.array(book.rows, int).reshape(n, s)
    have = source >= 0
    x, P, D = np.zeros((n, s, 6)), np.zeros((n, s, 6, 6)), np.zeros((n, s, 6, 6))
    phase, push, beta = np.zeros((n, s, 4)), np.zeros((n, s, 3)), np.full((n, s, 2), np.inf)
    used = source[have]
    bank = predicted(tracks, used, np.broadcast_to(time[:, None], (n, s))[have])
    x[have], P[have], push[have] = bank.x6, bank.P6, pushed_by(bank)[0]
    D[have] = _common(tracks, used, bank)
    D = np.where(_disjoint(tracks, source)[:, None, None, None], D, P)
    phase[have] = phase_probability(bank, tracks.phase_probability[used][:, BOOST] < 0.05)
    beta[have] = tracks.log_beta[used]
    x6, P6 = np.zeros((n, 6)), np.zeros((n, 6, 6))
    order = np.argsort(np.where(have, np.trace(P, axis1=2, axis2=3), np.inf), axis=1)
    rank = np.arange(n)[:, None], order  # the best estimate first
    intersect_rows(*(np.ascontiguousarray(v[rank]) for v in (x, P, D, have)), x6, P6)
    best = np.arange(n), order[:, 0]
    columns = {
        "time": time, "node": np.full(n, node), "track": system, "x": x6, "P": P6,
        "phase_probability": phase.sum(axis=1) / np.maximum(have.sum(axis=1), 1)[:, None],
        "age": time - np.where(have, tracks.time[source], -np.inf).max(axis=1, initial=-np.inf),
        "sensors": np.bitwise_or.reduce(np.where(have, tracks.sensors[source], np.uint64(0)), axis=1), "pedigree": source,
    }  # fmt: skip
    sharpest = np.arange(n), beta[:, :, 1].argmin(axis=1) if n else np.zeros(0, int)
    up = ~_down(time, x6)
    columns, have, beta, push = {name: column[up] for name, column in columns.items()}, have[up], beta[sharpest][up], push[best][up]
    columns.update(_impacts(columns, beta, push))
    columns.update(_launches(tracks, columns, have))
    return columns


def _common(tracks: Tracks, rows: np.ndarray, then: Bank) -> np.ndarray:
    """`Tracks.P_common` of rows, carried to the times of ``then``: all that the prediction adds is common too."""
    F = np.zeros((len(rows), 6, 6))
    fall_matrices(tracks.x[rows], then.time - tracks.time[rows], F)
    D, P = tracks.P_common[rows], tracks.P[rows]
    return filters.within(then.P6 + F @ (D - P) @ np.swapaxes(F, 1, 2), then.P6)


def _disjoint(tracks: Tracks, source: np.ndarray) -> np.ndarray:
    """Whether no sensor stands in two of the local tracks of a line, (n,): only then are their plots' errors independent."""
    bits = np.where(source >= 0, tracks.sensors[source], np.uint64(0))
    count = np.bitwise_count(bits).sum(axis=1)
    return count == np.bitwise_count(np.bitwise_or.reduce(bits, axis=1))


def _impacts(columns: dict[str, np.ndarray], log_beta: np.ndarray, push: np.ndarray) -> dict[str, np.ndarray]:
    """Impact columns.  A forecast in free flight is made afresh when 1/200 of the time left has gone, else carried on."""
    time, system, pedigree = columns["time"], columns["track"], columns["pedigree"] >= 0
    n = len(time)
    point, cov = np.full((n, 3), np.nan), np.full((n, 3, 3), np.nan)
    left, sigma = np.full(n, np.nan), np.full(n, np.nan)
    made: dict[int, int] = {}
    pushed = columns["phase_probability"][:, BOOST] + columns["phase_probability"][:, GLIDE] > 0.05
    for i in range(n):
        k = made.get(int(system[i]), -1)
        fresh = k < 0 or pushed[i] or (pedigree[k] != pedigree[i]).any() or not time[i] - time[k] < left[k] / 200
        if fresh:
            one = slice(i, i + 1)
            args = columns["x"][one], columns["P"][one], log_beta[one], push[one], columns["phase_probability"][one]
            values = forecast.impact_point(*args)
            point[i], cov[i], left[i], sigma[i] = (v[0] for v in values)
            made[int(system[i])] = i
        else:
            point[i], cov[i], left[i], sigma[i] = point[k], cov[k], left[k] - (time[i] - time[k]), sigma[k]
    return {"impact_point": point, "impact_point_P": cov, "time_to_impact": left, "time_to_impact_sigma": sigma}


def _down(time: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Which states (n, 6) sink under the ground, so have more likely come down than not, while another is aloft at the same time.

    What is alone is followed until it is no longer heard of: its forecast is not sure to some seconds, and nothing is mistaken for it.
    """
    under = (np.einsum("ni,ni->n", x[:, :3], x[:, 3:]) < 0.0) & (altitude(x) < 0.0)
    return under & np.isin(time, time[~under])


def _launches(tracks: Tracks, columns: dict[str, np.ndarray], have: np.ndarray) -> dict[str, np.ndarray]:
    """Launch point columns: of the local tracks in a system track, the sharpest estimate made so far."""
    n = len(columns["time"])
    source = columns["pedigree"]
    keys = tracks.node.astype(np.int64) * 10**9 + tracks.track
    firm = np.flatnonzero(tracks.firm)
    _, first = np.unique(keys[firm], return_index=True)
    rows = np.array([k for r in firm[first] for k in [r, *_settled(tracks, keys, r)]], int)
    estimate, spread = forecast.launch_point(predicted(tracks, rows, tracks.time[rows]), tracks.phase_probability[rows][:, BOOST])
    size = np.trace(spread, axis1=1, axis2=2)
    best = np.full(n, -1)
    for k, row in enumerate(rows):
        stands = ((keys[source] == keys[row]) & have & (tracks.time[source] >= tracks.time[row])).any(axis=1)
        better = stands & ((best < 0) | (size[k] < size[best]))
        best[better] = k
    point = np.where((best >= 0)[:, None], estimate[best], np.nan)
    return {"launch_point": point, "launch_point_P": np.where((best >= 0)[:, None, None], spread[best], np.nan)}


def _settled(tracks: Tracks, keys: np.ndarray, row: int) -> list[int]:
    """The first row of the same local track at least `SETTLED` s on, where the velocity is known better; none if there is none."""
    return np.flatnonzero((keys == keys[row]) & (tracks.time >= tracks.time[row] + SETTLED))[:1].tolist()


def _table(parts: list[dict[str, np.ndarray]], meta: dict[str, Any]) -> Picture:
    columns = {name: np.concatenate([p[name] for p in parts]) for name in Picture.COLUMNS}
    order = np.lexsort((columns["track"], columns["node"], columns["time"]))
    return Picture(**{name: column[order] for name, column in columns.items()}, meta=meta)
