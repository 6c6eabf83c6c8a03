"""Originator control: what may not be released to a node changes no bit of what the node hears and of its picture.

Random topologies, rules and data, thousands of them.  The oracle reads the regime alone, naively, row by row; what it withholds is then
changed in place or deleted, and the node's messages (as it sees them) and its picture must keep every bit.
"""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from copfuse import frames, fusion, network
from copfuse.constants import NATIONS, NODES
from copfuse.network import Link, Regime
from copfuse.tables import TRACK, Picture, Tracks

PLAIN = os.environ.get("NUMBA_DISABLE_JIT") == "1"
SHARED, FUSED = (300, 6) if PLAIN else (3000, 150)
KINDS = ("radar", "infrared")
SENSORS = [SimpleNamespace(name=f"{n}-{k}", nation=n, kind=KINDS[k]) for n in NATIONS for k in range(2)]
SCENARIO = SimpleNamespace(name="small", sensors=SENSORS, regime="none", picture_step=4.0, bias=1.0)
CARRIED = [name for name in Tracks.COLUMNS if name != "detection"]  # what a row of Tracks says, but for where its plot stands
BASE = frames.ecef(np.radians(39.0), np.radians(133.0), 150e3)


# Random cases ----------------------------------------------------------------------------------------------------------


def some_tracks(rng):
    """Up to six local tracks of three nations of up to three objects, a row every 1-3 s, firm after some."""
    parts = []
    objects = rng.normal(0.0, 30e3, (3, 3)), rng.normal(0.0, 1500.0, (3, 3)) + BASE / np.linalg.norm(BASE) * rng.uniform(-500, 1500, (3, 1))
    for number in range(rng.integers(1, 7)):
        n, which = int(rng.integers(1, 12)), rng.integers(3)
        time = rng.uniform(0.0, 20.0) + np.cumsum(rng.uniform(0.5, 3.0, n))
        x = np.empty((n, 6))
        x[:, :3] = BASE + objects[0][which] + objects[1][which] * time[:, None] + rng.normal(0.0, 200.0, (n, 3))
        x[:, 3:] = objects[1][which] + rng.normal(0.0, 20.0, (n, 3))
        nation = int(rng.integers(3))
        parts.append(columns_of(rng, time, x, nation, number))
    columns = {name: np.concatenate([p[name] for p in parts]) for name in Tracks.COLUMNS}
    order = np.argsort(columns["time"], kind="stable")
    return Tracks(**{name: c[order] for name, c in columns.items()}, meta={"sensors": [s.name for s in SENSORS]})


def columns_of(rng, time, x, nation, number):
    n = len(time)
    P = np.zeros((n, 6, 6))
    P[:, range(3), range(3)], P[:, range(3, 6), range(3, 6)] = rng.uniform(100, 2000) ** 2, rng.uniform(5, 60) ** 2
    phase = rng.dirichlet(np.ones(4), n) if rng.random() < 0.3 else np.tile(np.eye(4)[rng.integers(4)], (n, 1))
    hits = np.arange(1, n + 1)
    return {
        "time": time, "node": np.full(n, nation), "track": np.full(n, number), "x": x, "P": P, "P_common": 0.3 * P,
        "acceleration": rng.normal(0.0, 5.0, (n, 3)), "acceleration_sigma": rng.uniform(0.1, 10.0, n),
        "log_beta": np.stack([rng.normal(8.0, 0.5, n), rng.uniform(0.1, 1.0, n)], axis=1), "phase_probability": phase,
        "hits": hits, "llr": 3.0 * hits, "firm": hits >= rng.integers(1, 5), "detection": np.zeros(n, int),
        "sensors": np.full(n, 1 << (2 * nation + int(rng.integers(2))), np.uint64),
    }  # fmt: skip


def some_regime(rng):
    """Up to eight links between any two nodes, of tracks and cues, each with its own delay, loss and period."""
    links = {}
    for _ in range(rng.integers(0, 9)):
        source, target = rng.choice(3), rng.choice(4)
        payload = ("track", "track", "cue")[rng.integers(3)]
        if source != target:
            median = float(rng.uniform(0.1, 10.0))
            delay = median, median / rng.uniform(1.1, 4.0), median * rng.uniform(1.1, 4.0)
            more = float(rng.choice([0.0, 0.3])), float(rng.choice([1.0, 0.7])), 5.0, float(rng.choice([0.0, 3.0]))
            links[source, target, payload] = Link(NODES[source], NODES[target], payload, delay, *more)
    return Regime("random", "random", tuple(links.values()))


# The oracle --------------------------------------------------------------------------------------------------------------


def may_have(tracks, regime, node):
    """Which rows of Tracks the regime lets a node have, (n,): its own, and firm ones of whoever has a link to it."""
    may = np.zeros(len(tracks), bool)
    for row in range(len(tracks)):
        originator = NODES[tracks.node[row]]
        ways = [link for link in regime.links if (link.source, link.target) == (originator, NODES[node])]
        infrared = any(int(tracks.sensors[row]) >> i & 1 and s.kind == "infrared" for i, s in enumerate(SENSORS))
        may[row] = originator == NODES[node] or (
            bool(tracks.firm[row]) and any(way.payload == "track" or (way.payload == "cue" and infrared) for way in ways)
        )
    return may


# Changes ---------------------------------------------------------------------------------------------------------------


def changed(tracks, rows, rng):
    """The same table with other values in ``rows``: other states, scores, phases; the same times and tracks, some firm and some not."""
    n, columns = len(rows), {name: getattr(tracks, name).copy() for name in Tracks.COLUMNS}
    columns["x"][rows] += rng.normal(0.0, 1.0, (n, 6)) * [1e5, 1e5, 1e5, 1e3, 1e3, 1e3]
    for name, scale in (
        ("P", 9.0),
        ("P_common", 0.1),
        ("acceleration", -3.0),
        ("acceleration_sigma", 2.0),
        ("log_beta", 1.1),
        ("llr", 7.0),
    ):
        columns[name][rows] *= scale
    columns["phase_probability"][rows] = np.eye(4)[rng.integers(4, size=n)]
    columns["hits"][rows] += rng.integers(1, 90, n).astype(np.int32)
    columns["sensors"][rows] = rng.integers(1, 64, n).astype(np.uint64)
    columns["detection"][rows] += 1000
    return Tracks(**columns, meta=vars(tracks)["meta"] | {"counts": int(rng.integers(1 << 30))})


def withheld_still(other, tracks, regime, node, may):
    """The changed table, but where the change would have let a row out, it is as withheld as it was."""
    columns = {name: getattr(other, name).copy() for name in Tracks.COLUMNS}
    columns["firm"] ^= ~may & (np.arange(len(may)) % 2 == 0)
    out = may_have(Tracks(**columns), regime, node) & ~may
    for name in ("firm", "sensors", "phase_probability"):
        columns[name][out] = getattr(tracks, name)[out]
    return Tracks(**columns, meta=vars(other)["meta"])


def heard(messages, tracks, node):
    """A node's messages as it sees them: those that came, and what the rows say that they carry."""
    mine = messages[(messages.target == node) & np.isfinite(messages.arrived)]
    columns = [getattr(mine, name) for name in ("sent", "arrived", "source", "target", "kind")]
    return columns + [getattr(tracks, name)[mine.row] for name in CARRIED]


def same(one, two):
    return len(one) == len(two) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(one, two, strict=True)
    )


def seen(picture, node, rows=None):
    """A node's lines of the picture; the pedigree's rows renumbered by the map ``rows``."""
    mine = picture[picture.node == node]
    columns = [getattr(mine, name) for name in Picture.COLUMNS if name != "pedigree"]
    return [*columns, mine.pedigree if rows is None else np.where(mine.pedigree >= 0, rows[mine.pedigree], -1)]


def kept_rows(keep):
    """The new number of every row when only ``keep (n,)`` stay; −9 for one that goes."""
    return np.where(keep, np.cumsum(keep) - 1, -9)


# Properties ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", range(3))
def test_what_may_not_be_released_changes_no_message(block):
    """Changed and deleted, in thousands of random topologies: each node's messages keep every bit."""
    withheld = arrived = 0
    for case in range(block * SHARED // 3, (block + 1) * SHARED // 3):
        rng = np.random.default_rng([case, 1])
        tracks, regime, node = some_tracks(rng), some_regime(rng), int(rng.integers(4))
        may = may_have(tracks, regime, node)
        before = heard(network.share(tracks, SCENARIO, regime, seed=case), tracks, node)
        other = withheld_still(changed(tracks, np.flatnonzero(~may), rng), tracks, regime, node, may)
        assert same(before, heard(network.share(other, SCENARIO, regime, seed=case), other, node)), f"changed, case {case}"
        other = tracks[may]
        assert same(before, heard(network.share(other, SCENARIO, regime, seed=case), other, node)), f"deleted, case {case}"
        withheld, arrived = withheld + int((~may).sum()), arrived + len(before[0])
    assert withheld > SHARED and arrived > SHARED / 3  # the cases do withhold, and do release


def test_what_has_not_arrived_changes_no_picture():
    """A picture stands on a node's own rows and on rows that have arrived: all others changed in place, it keeps every bit."""
    lines = 0
    for case in range(FUSED):
        rng = np.random.default_rng([case, 2])
        tracks, regime, node = some_tracks(rng), some_regime(rng), int(rng.integers(4))
        messages = network.share(tracks, SCENARIO, regime, seed=case)
        has = tracks.node == node
        has[messages.row[(messages.target == node) & (messages.kind == TRACK) & np.isfinite(messages.arrived)]] = True
        other = changed(tracks, np.flatnonzero(~has), rng)
        same_way = replace(messages, meta=messages.meta | {"tracks_uid": other.uid})
        before = seen(fusion.fuse(tracks, messages, SCENARIO), node)
        assert same(before, seen(fusion.fuse(other, same_way, SCENARIO), node)), f"case {case}"
        lines += len(before[0])
    assert lines > FUSED


def test_what_may_not_be_released_changes_no_picture():
    """Through both verbs: rows that may not be released deleted, shared and fused anew; the pedigree's rows renumbered."""
    for case in range(FUSED):
        rng = np.random.default_rng([case, 3])
        tracks, regime, node = some_tracks(rng), some_regime(rng), int(rng.integers(4))
        may = may_have(tracks, regime, node)
        whole, less = tracks, tracks[may]
        before = seen(fusion.fuse(whole, network.share(whole, SCENARIO, regime, seed=case), SCENARIO), node, kept_rows(may))
        assert same(before, seen(fusion.fuse(less, network.share(less, SCENARIO, regime, seed=case), SCENARIO), node)), f"case {case}"
