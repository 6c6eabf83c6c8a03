"""``fuse()``: every node's picture from its own tracks and what it has heard.

Bookkeeping first (`_Book`: which local tracks, from whom, stand in which system track at which time), then arithmetic
on all rows at once: predict to the picture's time, fuse by split covariance intersection, forecast both ends of the
flight.  The split follows the pedigree: errors of plots that only one track has used are independent, process noise
and priors are not, and where two tracks have a sensor in common nothing is taken as independent.
Where plots are shared, the hub tracks with all of them and every node sees the hub's picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from copfuse import filters, forecast
from copfuse.association import gnn
from copfuse.constants import BOOST, GLIDE, NATIONS, NODES, REENTRY_ALTITUDE
from copfuse.errors import CopfuseError
from copfuse.filters import Bank
from copfuse.frames import altitude
from copfuse.kernels.consider import fall_matrices
from copfuse.kernels.forecast import intersect_rows
from copfuse.phases import phase_probability
from copfuse.phases import push as pushed_by
from copfuse.tables import PLOT, TRACK, Detections, Messages, Picture, Tracks, same_table
from copfuse.tracking import REGISTRATION, track

HOLD = 30.0  # s: a local track whose newest row is older than this (beyond what the link delays) has left the picture
JOIN = 27.9  # squared distance under which two nations' tracks are one object: chi-squared, 6 components, 1e-4
PART = 90.0  # and above which they are not (the hysteresis keeps system track numbers stable)
RECHECK = 4.0  # s between looks at whether what stands together still belongs together
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
        book = _book(tracks, feed, scenario)
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
    hub = track(detections[rows], scenario, node="HUB", association=tracks.meta.get("association", "gnn"))
    heard = np.maximum.accumulate(sent.arrived[order])[hub.detection] if len(hub) else np.zeros(0)
    firm = np.flatnonzero(hub.firm)
    book = _book(hub, (heard[firm], firm), scenario)
    part = _rows(hub, book, NODES.index("HUB"))
    part["pedigree"] = _last_plots(hub, rows, detections, scenario)[part["pedigree"].max(axis=1)]
    parts = [{**part, "node": np.full_like(part["node"], node)} for node in range(len(NODES))]
    return _table(parts, _meta(scenario, messages, "Detections", detections.uid))


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


@dataclass
class _Entry:
    """One local track as a node knows it: its newest row, when that was heard, and the system track it stands in."""

    source: int
    row: int
    heard: float
    system: int = -1


@dataclass
class _Book:
    """Who stands where: one line per picture row (time, system track, row of each source or −1)."""

    time: list[float] = field(default_factory=list)
    system: list[int] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)


def _book(tracks: Tracks, feed: tuple[np.ndarray, np.ndarray], scenario: Any) -> _Book:
    """Run through a node's feed on the picture's time grid; associate new tracks, part those that have drifted apart."""
    book, next_system = _Book(), 0
    entries: dict[tuple[int, int], _Entry] = {}
    when, rows = feed
    if len(rows) == 0:
        return book
    step = scenario.picture_step
    times = np.arange(np.ceil(when[0] / step), np.floor((when[-1] + HOLD) / step) + 1) * step
    checked, at = times[0], 0
    slack = scenario.bias * np.repeat(REGISTRATION, 3) ** 2
    for t in times:
        while at < len(rows) and when[at] <= t:
            _hear(entries, tracks, int(rows[at]), float(when[at]))
            at += 1
        entries = {k: e for k, e in entries.items() if t - e.heard <= HOLD and t - tracks.time[e.row] <= 2 * HOLD}
        live = list(entries.values())
        if t - checked >= RECHECK:
            _part(live, tracks, t, slack)
            checked = t
        next_system = _join(live, tracks, t, slack, next_system)
        for system in sorted({e.system for e in live}):
            members = [e for e in live if e.system == system]
            line = np.full(len(NODES), -1)
            for e in sorted(members, key=lambda e: tracks.time[e.row]):
                line[e.source] = e.row
            book.time.append(float(t))
            book.system.append(system)
            book.rows.append(line)
    return book


def _hear(entries: dict[tuple[int, int], _Entry], tracks: Tracks, row: int, when: float) -> None:
    """Take a row in; one that is older than what is known of its track (out of order) is passed over."""
    key = int(tracks.node[row]), int(tracks.track[row])
    known = entries.get(key)
    if known is None:
        entries[key] = _Entry(key[0], row, when)
    elif tracks.time[row] > tracks.time[known.row]:
        known.row, known.heard = row, when


def _join(live: list[_Entry], tracks: Tracks, t: float, slack: np.ndarray, next_system: int) -> int:
    """Give every entry without a system track one: the best of the others', or a new number.  Returns the next number."""
    loose = [e for e in live if e.system < 0]
    for source in sorted({e.source for e in loose}):
        mine = [e for e in loose if e.source == source]
        fresh = {e.system for e in live if e.source == source and e.system >= 0 and t - tracks.time[e.row] < 10.0}
        systems = sorted({e.system for e in live if e.system >= 0} - fresh)
        d2 = np.full((len(mine), len(systems)), np.inf)
        if systems:
            ours = _at(tracks, [e.row for e in mine], t)
            for j, system in enumerate(systems):
                others = _at(tracks, [e.row for e in live if e.system == system], t)
                d2[:, j] = _distances(ours, others, slack).min(axis=1)
        chosen = gnn(d2, -0.5 * d2 + 50.0, JOIN).argmax(axis=1) - 1  # whatever is inside the gate is better than a new number
        for e, j in zip(mine, chosen, strict=True):
            e.system = systems[j] if j >= 0 else next_system
            next_system += j < 0
    return next_system


def _part(live: list[_Entry], tracks: Tracks, t: float, slack: np.ndarray) -> None:
    """Take entries out of a system track that they have left, and lone ones that may have found another."""
    for system in sorted({e.system for e in live if e.system >= 0}):
        members = [e for e in live if e.system == system]
        if len(members) == 1:
            others = [e for e in live if e.system != system and e.source != members[0].source]
            own = {e.system for e in live if e.source == members[0].source}
            others = [e for e in others if e.system >= 0 and e.system not in own and e.system < system]
            if others:
                here, there = (_at(tracks, [e.row for e in group], t) for group in (members, others))
                if _distances(here, there, slack).min() < JOIN:
                    members[0].system = -1
            continue
        estimate = _at(tracks, [e.row for e in members], t)
        worst = _distances(estimate, estimate, slack).max(axis=1)
        for e, d in zip(members[1:], worst[1:], strict=True):
            if d > PART:
                e.system = -1


def _at(tracks: Tracks, rows: Any, time: Any) -> Bank:
    """Rows of Tracks as filter states at ``time`` (s, scalar or (n,)); the push dies out or goes on as the models say."""
    rows = np.asarray(rows, int)
    p = tracks.phase_probability[rows]
    free = np.clip(1.0 - p[:, BOOST] - p[:, GLIDE], 0.0, 1.0)
    low = altitude(tracks.x[rows]) < REENTRY_ALTITUDE
    engine, lift = 0.9 * p[:, BOOST], 0.9 * p[:, GLIDE]
    mu = np.stack([1.0 - engine - lift - free, np.where(low, 0.0, free), np.where(low, free, 0.0), lift, engine], axis=1)
    mu = np.clip(mu, 0.0, 1.0)
    more = (tracks.acceleration[rows], tracks.acceleration_sigma[rows], tracks.log_beta[rows])
    start = filters.bank(tracks.time[rows], tracks.x[rows], tracks.P[rows], mu, *more)
    return filters.predict(start, time)


def _distances(a: Bank, b: Bank, slack: np.ndarray) -> np.ndarray:
    """Squared distances (n, m) between the estimates of two banks, their errors taken as independent, plus ``slack (6,)``."""
    d = a.x6[:, None] - b.x6[None]
    S = a.P6[:, None] + b.P6[None] + np.diag(slack)
    return np.einsum("nmi,nmi->nm", d, np.linalg.solve(S, d[..., None])[..., 0])


def _rows(tracks: Tracks, book: _Book, node: int) -> dict[str, np.ndarray]:
    """The columns of the picture of one node, from its book."""
    n, s = len(book.time), len(NODES)
    time, system = np.array(book.time), np.array(book.system, int)
    source = np.array(book.rows, int).reshape(n, s)
    have = source >= 0
    x, P, D = np.zeros((n, s, 6)), np.zeros((n, s, 6, 6)), np.zeros((n, s, 6, 6))
    phase, push, beta = np.zeros((n, s, 4)), np.zeros((n, s, 3)), np.full((n, s, 2), np.inf)
    used = source[have]
    bank = _at(tracks, used, np.broadcast_to(time[:, None], (n, s))[have])
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
    columns.update(_impacts(columns, beta[sharpest], push[best]))
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


def _launches(tracks: Tracks, columns: dict[str, np.ndarray], have: np.ndarray) -> dict[str, np.ndarray]:
    """Launch point columns: of the local tracks in a system track, the sharpest estimate made so far."""
    n = len(columns["time"])
    source = columns["pedigree"]
    keys = tracks.node.astype(np.int64) * 10**9 + tracks.track
    firm = np.flatnonzero(tracks.firm)
    _, first = np.unique(keys[firm], return_index=True)
    rows = np.array([k for r in firm[first] for k in [r, *_settled(tracks, keys, r)]], int)
    estimate, spread = forecast.launch_point(_at(tracks, rows, tracks.time[rows]), tracks.phase_probability[rows][:, BOOST])
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
