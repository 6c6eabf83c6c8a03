"""Tracks of the same plots made once.

What sensors see under two regimes is mostly the same, and a node's tracks depend on nothing but the plots that it tracks with, in their
order (`tracking.follow`): so what was made of the same plots before is, to the bit, what would be made of them again.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np

from copfuse import covariances, tracking
from copfuse.coasting import Live
from copfuse.constants import NATIONS
from copfuse.covariances import Covariances
from copfuse.steady import Kit
from copfuse.tables import Detections, Tracks

Rows = dict[str, np.ndarray]  # columns that `tracking.follow` makes
KEYS = ("time", "sensor", "z", "sigma", "snr")  # all that a tracker reads of a plot


class Part(NamedTuple):
    """A nation's rows of a step: of those ``of`` all nations that were made together the rows ``own``; ``plots`` are its plots' numbers
    then."""

    of: Rows
    own: np.ndarray
    plots: np.ndarray


class Kept:
    """By the plots of a nation so far, in their steps: its tracks then, with the rows of the last ``step``, and the covariances of all rows
    (`covariances.finished`) when they were ``whole``."""

    def __init__(self) -> None:
        self.step: dict[bytes, tuple[Live, Part]] = {}
        self.whole: dict[bytes, Covariances] = {}


class Nations:
    """Every nation's tracks in one pass through time, of own plots, step after step.

    ``kept``: what passes of the same scenario and association have in common, filled in place.
    """

    def __init__(self, scenario: Any, association: str, kept: Kept) -> None:
        self.scenario, self.association, self.kept, self.kit = scenario, association, kept, Kit(scenario)
        self.nation = np.array([NATIONS.index(s.nation) for s in scenario.sensors], int)
        self.states: dict[int, Live] = {}
        self.names: dict[int, bytes] = {}

    def follow(self, seen: Detections, number: np.ndarray) -> list[Rows]:
        """`tracking.follow` of the plots of a step, which are called ``number (n,)``."""
        if self.association == "mht":  # whose tracks know plots by their numbers
            return list(tracking.follow(self.states, seen, self.scenario, None, self.association, number, self.kit))
        nation = self.nation[seen.sensor]
        mine = {k: np.flatnonzero(nation == k) for k in np.flatnonzero(np.bincount(nation)).tolist()}
        for k, rows in mine.items():
            self.names[k] = _name(self.names.get(k, bytes([k])), seen, rows)
        new = {k: rows for k, rows in mine.items() if self.names[k] not in self.kept.step}
        made = self._make(seen, new) if new else {}
        for k in mine:
            self.states[k] = self.kept.step[self.names[k]][0]
        if len(new) == len(mine):
            return [made | {"detection": number[made["detection"]]}] if made else []
        found = [(part, rows) for k, rows in mine.items() if len((part := self.kept.step[self.names[k]][1]).own)]
        return [_joined(found, seen, number)] if found else []

    def _make(self, seen: Detections, mine: dict[int, np.ndarray]) -> Rows:
        """Track with the plots of some nations, and keep what comes of it."""
        all_of = np.sort(np.concatenate(list(mine.values())))
        states = {k: self.states[k] for k in mine if k in self.states}
        plots = seen if len(all_of) == len(seen) else seen[all_of]
        parts = list(tracking.follow(states, plots, self.scenario, None, self.association, all_of, self.kit))
        made = parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
        for k, rows in mine.items():
            own = np.flatnonzero(made["node"] == k) if made else rows[:0]
            self.kept.step[self.names[k]] = states[k], Part(made, own, rows)
        return made

    def table(self, rows: list[Rows], plots: Detections) -> Tracks:
        """`tracking.table` of all that `follow` has made of all plots."""
        finish = self._finished if self.association != "mht" else covariances.finished
        return tracking.table(rows, self.states, plots, self.scenario, self.association, lambda c: finish(c, plots, self.scenario))

    def _finished(self, columns: Rows, plots: Detections, scenario: Any) -> Covariances:
        """`covariances.finished`, done once for each nation and its plots."""
        P, P_common = np.empty_like(columns["P"]), np.empty_like(columns["P"])
        for k, name in self.names.items():
            own = np.flatnonzero(columns["node"] == k)
            if name not in self.kept.whole and len(own):
                self.kept.whole[name] = covariances.finished({n: column[own] for n, column in columns.items()}, plots, scenario)
            if len(own):
                P[own], P_common[own] = self.kept.whole[name]
        return P, P_common


def _joined(found: list[tuple[Part, np.ndarray]], seen: Detections, number: np.ndarray) -> Rows:
    """The rows of nations whose plots are now those of these numbers, as if all had gone through the scans of a step together."""
    plots = [rows[np.searchsorted(part.plots, part.of["detection"][part.own])] for part, rows in found]
    scan = np.cumsum(np.r_[False, (seen.time[1:] != seen.time[:-1]) | (seen.sensor[1:] != seen.sensor[:-1])])
    whole, detection = found[0][0].of, np.concatenate(plots)
    if sum(len(part.own) for part, _ in found) == len(whole["time"]) and all(part.of is whole for part, _ in found):  # as they were
        detection[np.concatenate([part.own for part, _ in found])] = np.concatenate(plots)
        if (np.diff(scan[detection]) >= 0).all():
            return whole | {"detection": number[detection]}
        detection = np.concatenate(plots)
    order = np.argsort(scan[detection], kind="stable")
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    places = np.split(place, np.cumsum([len(part.own) for part, _ in found])[:-1])
    made = {name: np.empty((len(order), *column.shape[1:]), column.dtype) for name, column in whole.items()}
    for (part, _), at in zip(found, places, strict=True):
        for name, column in part.of.items():
            made[name][at] = column[part.own]
    return made | {"detection": number[detection[order]]}


def _name(before: bytes, seen: Detections, rows: np.ndarray) -> bytes:
    """What names all plots so far: those ``before``, and some of those of a step."""
    digest = hashlib.sha256(before)
    for name in KEYS:
        digest.update(getattr(seen, name)[rows].data)
    return digest.digest()


class Hub:
    """The tracks made of several nations' plots in order of time, taken in as they come."""

    def __init__(self, scenario: Any, association: str) -> None:
        self.scenario, self.association, self.taken, self.kit = scenario, association, 0, Kit(scenario, "HUB")
        self.rows: list[Rows] = []
        self.states: dict[int, Live] = {}
        self.plots: list[Detections] = []

    def take(self, plots: Detections) -> None:
        """Take in further plots, none of them before those that were taken."""
        number = np.arange(self.taken, self.taken + len(plots))
        self.rows += tracking.follow(self.states, plots, self.scenario, "HUB", self.association, number, self.kit)
        self.plots.append(plots)
        self.taken += len(plots)

    def begins(self, plots: Detections, association: str) -> bool:
        """Whether these plots are, scan by scan, those that were taken in, and others behind them."""
        if association != self.association or len(plots) < self.taken:
            return False
        ends = np.cumsum([len(part) for part in self.plots])
        ends = ends[(ends > 0) & (ends < len(plots))]
        if ((plots.time[ends] == plots.time[ends - 1]) & (plots.sensor[ends] == plots.sensor[ends - 1])).any():
            return False  # some of a scan were taken in before the rest of it
        return all(
            b"".join(getattr(part, name).tobytes() for part in self.plots) == getattr(plots, name)[: self.taken].tobytes() for name in KEYS
        )

    def tracks(self, plots: Detections, common: bool = True) -> Tracks:
        """`tracking.track` of plots that it `begins`: only those not taken in are gone through.  Without ``common``, all of P may be."""
        tracking.usable(plots, self.scenario, self.association)
        states, rest = dict(self.states), np.arange(self.taken, len(plots))
        rows = [*self.rows, *tracking.follow(states, plots[rest], self.scenario, "HUB", self.association, rest, self.kit)]
        return tracking.table(
            rows, states, plots, self.scenario, self.association, lambda c: covariances.finished(c, plots, self.scenario, common=common)
        )
