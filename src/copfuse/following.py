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
from copfuse.covariances import Columns, Covariances
from copfuse.steady import Kit
from copfuse.tables import Detections, Tracks
from copfuse.updates import ROW, Rows, brief, chosen, columns_of, joined

_NOTHING = np.zeros(0, ROW)
_KNOWN = ("node", "track", "time", "x", "P", "detection")  # what `covariances.finished` reads of Tracks, and of rows beside that
_BIASED = ("noisy", "noisy_prior")
_COMMON = (*_BIASED, "prior", "share")  # likewise `covariances.shared`
KEYS = ("time", "sensor", "z", "sigma", "snr")  # all that a tracker reads of a plot


class Made(NamedTuple):
    """What came of all plots of a nation so far: its tracks, and the rows of the last of these plots; ``many`` rows have been made of
    them all, and those before the last ones are kept by the name ``before``."""

    live: Live
    rows: Rows
    many: int
    before: bytes


class Kept:
    """By the name of all plots of a nation so far, however they came: what was ``made`` of them, and of all their rows, where they were
    the ``whole``, covariances and what of these is ``common`` (`covariances.finished`); and the trackers' ``kit``."""

    def __init__(self) -> None:
        self.kit: Kit | None = None
        self.made: dict[bytes, Made] = {}
        self.whole: dict[bytes, np.ndarray] = {}
        self.common: dict[bytes, np.ndarray] = {}


class _Past(NamedTuple):
    """How far a nation is: a hash of its plots, how many they are, and how many rows were made of them."""

    digest: Any
    plots: int = 0
    rows: int = 0


class Nations:
    """Every nation's tracks in one pass through time, of own plots, step after step.

    ``kept``: what passes of the same scenario and association have in common, filled in place.
    """

    def __init__(self, scenario: Any, association: str, kept: Kept) -> None:
        self.scenario, self.association, self.kept = scenario, association, kept
        self.kit = kept.kit = kept.kit or Kit(scenario)
        self.nation = np.array([NATIONS.index(s.nation) for s in scenario.sensors], int)
        self.states: dict[int, Live] = {}
        self.past: dict[int, _Past] = {}

    def saved(self) -> tuple[dict[int, Live], dict[int, _Past]]:
        """How far they are, for `restore`."""
        return dict(self.states), dict(self.past)

    def restore(self, saved: tuple[dict[int, Live], dict[int, _Past]]) -> None:
        """Forget the plots that have come since."""
        self.states, self.past = saved

    def follow(self, seen: Detections, number: np.ndarray) -> list[Rows]:
        """`tracking.follow` of the plots of a step, which are called ``number (n,)``; in brief, for `table` knows the rest."""
        if self.association == "mht":  # whose tracks know plots by their numbers
            return list(tracking.follow(self.states, seen, self.scenario, None, self.association, number, self.kit))
        nation = self.nation[seen.sensor]
        mine = {k: np.flatnonzero(nation == k) for k in np.flatnonzero(np.bincount(nation)).tolist()}
        past = {k: self.past.get(k) or _Past(hashlib.sha256(bytes([k]))) for k in mine}
        read = np.column_stack([getattr(seen, name) for name in KEYS])
        now = {k: _further(past[k].digest, read[rows]) for k, rows in mine.items()}
        name = {k: digest.digest() for k, digest in now.items()}
        new = [k for k in mine if name[k] not in self.kept.made]
        if new:
            self._make(seen, {k: mine[k] for k in new}, past, now)
        found, plot = list[Rows](), list[np.ndarray]()
        for k, rows in mine.items():
            made = self.kept.made[name[k]]
            parts = self._since(made, past[k].rows)
            found += parts
            plot += [rows[part["detection"] - past[k].plots] for part in parts]
            self.states[k], self.past[k] = made.live, _Past(now[k], past[k].plots + len(rows), made.many)
        if not found:
            return []
        whole, plots = brief(found), np.concatenate(plot)
        if len(mine) > 1:
            scan = np.zeros(len(seen), int)
            scan[1:] = np.cumsum((seen.time[1:] != seen.time[:-1]) | (seen.sensor[1:] != seen.sensor[:-1]))
            order = np.argsort(scan[plots], kind="stable")  # as if all nations had gone through the scans together
            whole, plots = chosen(whole, order), plots[order]
        whole["detection"] = number[plots]
        return [whole]

    def _since(self, made: Made, count: int) -> list[Rows]:
        """The rows behind the first ``count``."""
        parts = []
        while made.many > count:
            first = made.many - len(made.rows)
            parts.append(made.rows[max(count - first, 0) :])
            if first <= count:
                break
            made = self.kept.made[made.before]
        return parts[::-1]

    def _make(self, seen: Detections, mine: dict[int, np.ndarray], past: dict[int, _Past], now: dict[int, Any]) -> None:
        """Track with the plots of some nations, and keep what comes of it."""
        all_of = np.sort(np.concatenate(list(mine.values())))
        states = {k: self.states[k] for k in mine if k in self.states}
        plots = seen if len(all_of) == len(seen) else seen[all_of]
        parts = list(tracking.follow(states, plots, self.scenario, None, self.association, all_of, self.kit))
        every = joined(parts) if parts else _NOTHING
        for k, rows in mine.items():
            made = chosen(every, every["node"] == k) if len(mine) > 1 else every
            made["detection"] = past[k].plots + np.searchsorted(rows, made["detection"])
            self.kept.made[now[k].digest()] = Made(states[k], made, past[k].rows + len(made), past[k].digest.digest())

    def table(self, rows: list[Rows], plots: Detections, common: bool = True, known: Tracks | None = None, named: bool = True) -> Tracks:
        """`tracking.table` of all that `follow` has made of all plots, ``named`` as there.  Without ``common``, all of P may be.

        ``known``: a table of these rows, where there is one already, but for what is found out here.
        """
        about, trees = (plots, self.scenario), self.association == "mht"
        finish = covariances.finished if trees else self._finished
        every = columns_of(vars(known)) if known is not None and not trees else rows
        return tracking.table(every, self.states, *about, self.association, lambda c: finish(c, *about, common=common), named)

    def _finished(self, columns: Columns, plots: Detections, scenario: Any, common: bool) -> Covariances:
        """`covariances.finished`, done once for each nation and its plots."""
        P, P_common = np.empty(columns["P"].shape), np.empty(columns["P"].shape) if common else columns["P"]
        for k, past in self.past.items():
            name, own = past.digest.digest(), np.flatnonzero(columns["node"] == k)
            if not len(own):
                continue
            whole, shared = name not in self.kept.whole, common and name not in self.kept.common
            if whole or shared:
                parts = self._since(self.kept.made[name], 0)  # which have what ``columns`` leaves out
                left_out = {key: np.concatenate([part[key] for part in parts]) for key in (_COMMON if shared else _BIASED)}
                read = {key: columns[key][own] for key in _KNOWN} | left_out
            if whole:
                self.kept.whole[name] = covariances.finished(read, plots, scenario, common=False, sites=self.kit.sites)[0]
            if shared:
                self.kept.common[name] = covariances.shared(read)
            P[own] = self.kept.whole[name]
            if common:
                P_common[own] = self.kept.common[name]
        return P, P_common


def _further(digest: Any, read: np.ndarray) -> Any:
    """The hash of all plots so far: those before, and those of which this is ``read`` now."""
    more = digest.copy()
    more.update(read)
    return more


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

    def tracks(self, plots: Detections, common: bool = True, named: bool = True) -> Tracks:
        """`tracking.track` of plots that it `begins`: only those not taken in are gone through.  Without ``common``, all of P may be;
        ``named`` as in `tracking.table`."""
        tracking.usable(plots, self.scenario, self.association)
        states, rest = dict(self.states), np.arange(self.taken, len(plots))
        rows = [*self.rows, *tracking.follow(states, plots[rest], self.scenario, "HUB", self.association, rest, self.kit)]

        def finish(columns: Columns) -> Covariances:
            return covariances.finished(columns, plots, self.scenario, common=common, sites=self.kit.sites)

        return tracking.table(rows, states, plots, self.scenario, self.association, finish, named)
