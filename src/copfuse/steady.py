"""Scans in which nothing happens but that firm tracks are seen again, many in one call of `kernels.steady.follow`.

Nearly all scans of a flight are such.  `Steady` keeps what nodes follow in arrays that the kernel changes in place, and leaves every
other scan to whoever calls it (`tracking`): what comes out is the same to the last bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from copfuse.association import gate
from copfuse.coasting import COLUMNS, COUNTS, Live
from copfuse.constants import NODES
from copfuse.filters import Bank
from copfuse.kernels import columns
from copfuse.kernels import steady as kernel
from copfuse.kernels.columns import Held, Made, Plots, Rule, Work
from copfuse.kernels.motions import N_MODEL
from copfuse.scanning import Series

ROWS = 256  # made in a call at most: more is hardly quicker
ROOM = 4  # tracks of a node at first
PAIRS = 4096  # of tracks and plots in a scan; more are left to the plain form
_BANK = tuple(Bank.__dataclass_fields__)
_SHAPES: tuple[tuple[int, ...], ...] = ((), (N_MODEL, 9), (N_MODEL, 9, 9), (N_MODEL,), (6,), (6, 6))
_KINDS: tuple[Any, ...] = (int, int, float, bool, bool, np.uint64, float, float)


class Steady:
    """What nodes follow while they take the scans ``every``, between ``states`` and the kernel's arrays."""

    def __init__(self, states: dict[int, Live], every: Series, rule: Rule) -> None:
        self.states, self.every, self.rule = states, every, rule
        self.plots = _plots(every)
        most = int((every.last - every.first).max(initial=0))
        self.most, self.made = most, _made(min(ROWS, len(every.time)) + most)
        self.here: set[int] = set()  # nodes whose tracks are in the arrays, and
        self.newer: set[int] = set()  # those of them that have changed since they came
        self._make_room(max([ROOM, *(len(live) for live in states.values())]))

    def _make_room(self, tracks: int) -> None:
        self.give_back()
        self.here.clear()
        nodes, pairs = len(NODES), PAIRS + self.most
        columns: list[Any] = [np.zeros((nodes, tracks), kind) for kind in _KINDS]
        self.held = Held(_bank(nodes, tracks), *columns, *(np.zeros(nodes, int) for _ in range(3)))
        each = np.zeros(tracks, int), np.zeros(tracks + 1, int), np.zeros(pairs, int), np.zeros(pairs), np.zeros(pairs)
        boxes, plots = (np.zeros((tracks, 3)), np.zeros((tracks, 3))), (np.zeros((self.most, 4)), np.zeros((self.most, 4)))
        self.work = Work(_bank(tracks), _bank(tracks), *each, *boxes, np.zeros(tracks, int), *plots)

    def _bring(self, node: int) -> None:
        """A node's tracks into the arrays."""
        live = self.states[node]
        for name, here in zip(_BANK, self.held.bank, strict=True):
            here[node, : len(live)] = getattr(live.bank, name)
        for name in COLUMNS:
            getattr(self.held, name)[node, : len(live)] = getattr(live, name)
        self.held.count[node], self.held.taken[node], self.held.dropped[node] = len(live), 0, 0
        self.here.add(node)

    def seen(self, node: int) -> Live:
        """A node's tracks as they are in the arrays, without copies."""
        live, n = self.states[node], self.held.count[node]
        counts = dict(zip(COUNTS, live.counts, strict=True))
        for name, more in (("plots", self.held.taken), ("taken", self.held.taken), ("dropped", self.held.dropped)):
            counts[name] += int(more[node])
        columns: dict[str, Any] = {name: getattr(self.held, name)[node, :n] for name in COLUMNS}
        return replace(live, bank=Bank(*(a[node, :n] for a in self.held.bank)), counts=tuple(counts.values()), **columns)

    def give_back(self) -> None:
        """Bring ``states`` up to date."""
        for node in self.newer:
            live = self.seen(node)
            self.states[node] = live[np.arange(len(live))]
            self.held.taken[node] = self.held.dropped[node] = 0
        self.newer.clear()

    def put(self, node: int, live: Live) -> None:
        """Put a node's tracks in the place of those there were."""
        self.states[node] = live
        self.here.discard(node)
        self.newer.discard(node)

    def get(self, node: int) -> Live:
        """A node's tracks."""
        if node in self.newer:
            self.give_back()
        return self.states.get(node, _NONE)

    def run(self, scan: int) -> tuple[int, dict[str, Any] | None, np.ndarray]:
        """Take the scans from number ``scan`` on that are steady: which is the next, what they changed as of `tracking.step`, and the rows
        of the tracks that the last one hit, if those may now be two of one object.
        """
        if (node := self.plots.node[scan]) not in self.states:
            return scan, None, _NOBODY
        if (most := max(map(len, self.states.values()))) > self.held.number.shape[1]:
            self._make_room(2 * most)
        for node in self.states.keys() - self.here:
            self._bring(node)
        after, rows, near = kernel.follow(scan, self.plots, self.held, self.rule, self.made, self.work, kernel.addresses())
        self.newer.update(self.here)
        if rows == 0:
            return scan, None, _NOBODY
        last = slice(rows - int(self.plots.last[after - 1] - self.plots.first[after - 1]), rows)
        return after, self._changed(rows), self.made.at[last].copy() if near else _NOBODY

    def _changed(self, rows: int) -> dict[str, Any]:
        made = self.made
        scan, node = made.scan[:rows], self.plots.node[made.scan[:rows]]
        known = {name: getattr(made, name)[:rows].copy() for name in ("track", "hits", "llr", "burnt", "detection", "sensors")}
        bank, prior = (Bank(*(a[:rows].copy() for a in each)) for each in (made.bank, made.prior))
        return {
            "time": self.plots.time[scan],
            "node": node,
            "firm": np.ones(rows, bool),
            "bank": bank,
            "prior": prior,
        } | known


_NONE, _NOBODY = Live.empty(), np.zeros(0, int)


def _bank(*shape: int) -> columns.Bank:
    return columns.Bank(*(np.zeros((*shape, *one)) for one in _SHAPES))


def _made(rows: int) -> Made:
    scan, at, track, detection, hits = (np.zeros(rows, int) for _ in range(5))
    return Made(scan, at, track, detection, hits, np.zeros(rows), np.zeros(rows, bool), np.zeros(rows, np.uint64), _bank(rows), _bank(rows))


def _plots(every: Series) -> Plots:
    """What the kernel reads of scans."""
    first, last = (np.ascontiguousarray(a, np.int64) for a in (every.first, every.last))
    sensor = every.sensor[first]
    facts = [every.facts[k] for k in sensor.tolist()]
    node, log_density, revisit, plume = (np.array([f[i] for f in facts], kind) for i, kind in enumerate((np.int64, float, float, bool)))
    cosines = np.array([every.scenario.sensors[k].cosines for k in sensor.tolist()], np.int64)
    limit = gate(np.arange(5))[np.isfinite(every.z).sum(axis=1)]
    z, sigma = (np.array(a, float, order="C") for a in (every.z, every.sigma))
    when, bit = np.array(every.time[first]), np.uint64(1) << sensor.astype(np.uint64)
    whence = every.origin[first], every.axes[first]
    row = np.array(every.number, np.int64)
    return Plots(z, sigma, row, limit, *every.spots, first, last, when, node, bit, *whence, log_density, revisit, cosines, plume)
