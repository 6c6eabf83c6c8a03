"""`track_registered`: what plots so far tell of the radars' biases is taken out of the plots to come, while tracks go on.

Each node registers the sensors whose plots it has: a nation its own, the hub of a regime that shares plots all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from copfuse import covariances, registration, tracking
from copfuse.biases import KINDS, Registration
from copfuse.coasting import Live
from copfuse.constants import MIDCOURSE, NATIONS, NODES
from copfuse.registration import COASTING
from copfuse.tables import Detections, Tracks
from copfuse.updates import Rows, chosen, columns_of, joined

EVERY = 30.0  # s between two looks at the biases; *notional*


def track_registered(detections: Detections, scenario: Any, node: str | None = None, association: str = "gnn") -> Tracks:
    """`tracking.track` with every node's radars registered live by `registration.estimate`, every `EVERY` seconds.

    Arguments and errors as of `tracking.track`.  Until objects in free flight have been seen by two radars of a node, its tracks are
    those of `track`, bit for bit.  From then on observable biases are taken out of plots, and a plot's sigma and a track's
    covariance allow only for what is left of them.  ``Tracks.x`` then is where an unbiased sensor would see the object.
    ``meta["registration"]``: of each node a list of its biases at the end (``sensor``, ``kind``, ``value``, ``sigma``, ``prior`` in m,
    rad or s, ``observable``: whether it was taken out), empty where two radars never saw the same object.
    """
    tracking.usable(detections, scenario, association)
    nation = np.array([NATIONS.index(s.nation) for s in scenario.sensors])[detections.sensor]
    states: dict[int, Live] = {}
    rows: list[Rows] = []
    abouts: list[Any] = []
    block_of = [np.zeros(0, int)]
    biases: dict[str, list[dict[str, Any]]] = {}
    for k in [NODES.index(node)] if node else range(len(NATIONS)):
        mine = np.flatnonzero(nation == k) if node is None else np.arange(len(detections))
        biases[NODES[k]] = []
        for new, now, about in _blocks(states, detections, scenario, mine, node, association):
            if not abouts or about is not abouts[-1]:
                abouts.append(about)
            block_of += [np.full(len(r), len(abouts) - 1) for r in new]
            rows += new
            biases[NODES[k]] = _told(now)
    order, block = np.zeros(0, int), np.concatenate(block_of)
    if rows:
        every = joined(rows)
        order = np.lexsort((detections.sensor[every["detection"]], every["time"]))
        rows = [chosen(every, order)]

    def biased(columns: Rows, number: np.ndarray, detections: Detections, _: Any) -> np.ndarray:
        """Each row by what was left of the biases when it was made."""
        out = np.zeros((len(order), 6, 6))
        for k in np.unique(block):
            out[block[order] == k] = covariances.bias_covariance(columns, number, detections, abouts[k])[block[order] == k]
        return out

    made = tracking.table(rows, states, detections, scenario, association, lambda c: covariances.finished(c, detections, scenario, biased))
    return replace(made, meta={**made.meta, "registration": biases})


def _blocks(
    states: dict[int, Live], detections: Detections, scenario: Any, mine: np.ndarray, node: str | None, association: str
) -> Iterator[tuple[list[Rows], Registration | None, Any]]:
    """Of every `EVERY` seconds of the plots ``mine``: new rows, the registration after them, and the scenario they were made under."""
    now, about, newest, done = None, scenario, -np.inf, list[Rows]()
    for start in np.arange(detections.time[mine[0]], detections.time[mine[-1]] + EVERY, EVERY) if len(mine) else ():
        some = mine[(detections.time[mine] >= start) & (detections.time[mine] < start + EVERY)]
        if len(some) == 0:
            continue
        plots, some = _corrected(detections, some, now, newest)
        made = list(tracking.follow(states, plots, about, node, association, some))
        done += made
        newest, under = float(plots.time[-1]), about
        if any((r["firm"] & (r["phase_probability"][:, MIDCOURSE] > COASTING)).any() for r in made):
            now = registration.estimate(detections, scenario, _so_far(done, detections), until=start + EVERY)
        if now is not None:
            about = registration.registered(scenario, now, start + 1.5 * EVERY)
        yield made, now, under


def _corrected(detections: Detections, some: np.ndarray, now: Registration | None, newest: float) -> tuple[Detections, np.ndarray]:
    """The plots of rows ``some`` without their biases, in order of time and none before ``newest`` s, and their rows in that order."""
    plots = detections[some]
    if now is None or not now.observable.any():
        return plots, some
    z, time = registration.corrected(plots, now)
    time = np.maximum(time, newest)  # a clock's correction does not reach back into a block that is done
    order = np.lexsort((plots.sensor, time))
    return replace(plots, z=z, time=time)[order], some[order]


def _so_far(rows: list[Rows], detections: Detections) -> Tracks:
    """The rows as a table with what `registration.estimate` reads of it."""
    columns = columns_of(joined(rows))
    return Tracks(**columns, P_common=columns["P"], meta={"detections_uid": detections.uid})


def _told(last: Registration | None) -> list[dict[str, Any]]:
    """A registration as plain values."""
    if last is None:
        return []
    sigma = np.sqrt(np.diag(last.P))
    return [
        {"sensor": last.names[s], "kind": KINDS[k], "value": float(v), "sigma": float(e), "prior": float(p), "observable": bool(o)}
        for s, k, v, e, p, o in zip(last.sensor, last.kind, last.value, sigma, last.prior, last.observable, strict=True)
    ]
