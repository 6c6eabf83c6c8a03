"""Scans in which nothing happens but that tracks are seen again, many in one call of `kernels.steady.follow`.

Nearly all scans of a flight are such.  `Steady` keeps what nodes follow in arrays that the kernel changes in place, and leaves every
other scan to whoever calls it (`tracking`): what comes out is the same to the last bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from copfuse import echoes
from copfuse.association import gate
from copfuse.coasting import COUNTS, Live
from copfuse.filters import Bank
from copfuse.kernels import lent, sights
from copfuse.kernels import rows as kernel_rows
from copfuse.kernels import steady as kernel
from copfuse.kernels.lent import (
    ABOVE,
    AHEAD,
    AT,
    BURNT,
    CONTESTED,
    COUNT,
    DETECTED,
    DETECTION,
    DOUBT,
    DROPPED,
    ECHOES,
    FIRM,
    HITS,
    LIT,
    LLR,
    MISFIT,
    N_NODE,
    NEW,
    NEXT,
    NUMBER,
    REFUSED,
    RELIGHT,
    REVISIT,
    SCAN,
    SEEN,
    SENSORS,
    SLOW,
    STRENGTH,
    TAKEN,
    WANTED,
    Rows,
    Rule,
    Scans,
    Waits,
    Work,
)
from copfuse.kernels.motions import N_MODEL
from copfuse.phases import LATE, further, relight
from copfuse.scanning import Series, Sites
from copfuse.singles import begun
from copfuse.updates import ROW, said, words_of

ROWS = 256  # made in a call at most: more is hardly quicker
ROOM = 4  # tracks of a node at first
BLOCK = 256  # plots of which tracks are begun ahead at most
NEARBY = 50e3, 1e3  # m, m/s: a plot that is farther from where a firm track will be is probably not its
PAIRS = 4096  # of tracks and plots in a scan; more are left to the plain form
_BANK = tuple(Bank.__dataclass_fields__)
_SHAPES: tuple[tuple[int, ...], ...] = ((), (N_MODEL, 9), (N_MODEL, 9, 9), (N_MODEL,), (6,), (6, 6))
_FACTS: tuple[tuple[str, int, Any], ...] = (
    ("number", NUMBER, int), ("hits", HITS, int), ("firm", FIRM, bool), ("burnt", BURNT, bool), ("sensors", SENSORS, np.uint64),
)  # fmt: skip
_SAID = ("track", NUMBER), ("hits", HITS), ("firm", FIRM), ("sensors", SENSORS), ("detection", DETECTION)
_FIGURES = (
    ("llr", LLR),
    ("revisit", REVISIT),
    ("seen", SEEN),
    ("doubt", DOUBT),
    ("lit", LIT),
    ("above", ABOVE),
    ("slow", SLOW),
    ("echoes", ECHOES),
    ("strength", STRENGTH),
    ("misfit", MISFIT),
)
_COUNTED: tuple[tuple[str, Any], ...] = (
    ("plots", slice(TAKEN, NEW + 1)), ("taken", TAKEN), ("refused", REFUSED), ("contested", CONTESTED), ("new", NEW), ("dropped", DROPPED),
)  # fmt: skip
_NONE = Live.empty()
_LIMITS = gate(np.arange(5))  # by how many components a plot has


class Kit:
    """What trackers of one scenario and node use again, one after another: where its sensors stand, and the kernel's arrays."""

    def __init__(self, scenario: Any, node: str | None = None) -> None:
        self.sites = Sites(scenario, node)
        self.room = self.most = self.plots = 0  # tracks of a node, rows made in a call, plots of a scan

    def make_room(self, room: int, most: int, plots: int) -> None:
        """See that there is room for so much."""
        if room <= self.room and most <= self.most and plots <= self.plots:
            return
        self.room, self.most, self.plots = max(room, self.room), max(most, self.most), max(plots, self.plots)
        ahead, pairs = max(BLOCK, self.plots), max(PAIRS, self.room, self.plots) + 1
        n = (N_NODE + 3) * self.room + ahead
        time, x, P, mu, x6, P6 = (np.zeros((n, *one)) for one in _SHAPES)
        self.rows = Rows(time, x, P, mu, x6, P6, np.zeros((n, 8), int), np.zeros((n, lent.RELIGHT + 1)), np.zeros((7, N_NODE), int))
        boxes, seen, of = np.zeros((2, self.room, 3)), np.zeros((2, self.plots, 4)), np.zeros((self.room, N_MODEL, sights.ROWS, 9))
        facts, words = np.zeros((self.most, 8), int), words_of(np.empty(self.most + ahead, ROW))
        self.work = Work(np.zeros((5, pairs), int), np.zeros((9, pairs)), boxes, seen, of, facts, words)


class Steady:
    """What nodes follow while they take the scans ``every``, between ``states`` and the kernel's arrays."""

    def __init__(self, states: dict[int, Live], every: Series, rule: Rule, kit: Kit | None = None) -> None:
        self.states, self.every, self.rule = states, every, rule
        self.scans = _scans(every)
        self.plots = int((every.last - every.first).max(initial=0))
        self.kit = kit or Kit(every.scenario)
        self.here: set[int] = set()  # nodes whose tracks are in the arrays, and
        self.newer: set[int] = set()  # those of them that have changed since they came
        self._make_room(max([ROOM, *(len(live) for live in states.values())]))

    def _make_room(self, room: int) -> None:
        self.give_back()
        self.here.clear()
        self.kit.make_room(room, min(ROWS, len(self.every.time)) + self.plots, self.plots)
        self.room, self.most, self.rows, self.work = self.kit.room, self.kit.most, self.kit.rows, self.kit.work
        self.rows.counts[COUNT] = -1  # whoever had the kit before may have followed nodes that are not followed here
        self.scans.row[:, AHEAD] = -1

    def _of(self, node: int) -> slice:
        return slice(node * self.room, node * self.room + int(self.rows.counts[COUNT, node]))

    def _bring(self, node: int) -> None:
        """A node's tracks into the arrays."""
        live, rows = self.states[node], self.rows
        rows.counts[:, node] = 0
        rows.counts[COUNT, node], rows.counts[NEXT, node] = len(live), live.next_number
        of = self._of(node)
        for name in _BANK:
            getattr(rows, name)[of] = getattr(live.bank, name)
        for name, column, _ in _FACTS:
            rows.facts[of, column] = getattr(live, name).astype(np.int64)
        for name, column in _FIGURES:
            rows.figures[of, column] = getattr(live, name)
        rows.figures[of, RELIGHT] = relight(live.bank.time - live.lit, live.above)
        self.here.add(node)

    def seen(self, node: int) -> Live:
        """A node's tracks as they are in the arrays; the bank without copies."""
        return self._live(node, Bank(*(getattr(self.rows, name)[self._of(node)] for name in _BANK)))

    def _live(self, node: int, bank: Bank) -> Live:
        live, rows, of = self.states[node], self.rows, self._of(node)
        counts = dict(zip(COUNTS, live.counts, strict=True))
        for name, more in _COUNTED:
            counts[name] += int(rows.counts[more, node].sum())
        columns: dict[str, Any] = {name: rows.facts[of, column].astype(kind) for name, column, kind in _FACTS}
        columns |= {name: rows.figures[of, column].copy() for name, column in _FIGURES}
        return replace(live, bank=bank, counts=tuple(counts.values()), next_number=int(rows.counts[NEXT, node]), **columns)

    def give_back(self) -> None:
        """Bring ``states`` up to date."""
        for node in sorted(self.newer):
            self.get(node)

    def put(self, node: int, live: Live) -> None:
        """Put a node's tracks in the place of those there were."""
        self.states[node] = live
        self.here.discard(node)
        self.newer.discard(node)

    def get(self, node: int) -> Live:
        """A node's tracks, with ``states`` up to date."""
        if node in self.newer:
            self.states[node] = self._live(node, Bank(*(getattr(self.rows, name)[self._of(node)].copy() for name in _BANK)))
            self.rows.counts[TAKEN:NEXT, node] = 0
            self.newer.discard(node)
        return self.states.get(node, _NONE)

    def remember(self, node: int, live: Live) -> None:
        """Keep what is known of a node's tracks beside each other."""
        self.states[node] = replace(self.states[node], turns=live.turns, relative=live.relative, fans=live.fans)

    def run(self, scan: int) -> tuple[int, np.ndarray | None, tuple[np.ndarray, np.ndarray] | None, bool]:
        """Take the scans from number ``scan`` on that are steady: which is the next, what they changed as of `tracking.step`, the rows of
        the tracks that the last one hit, and its plots that these took, if those may now be two of one object, and whether the next is not
        steady.
        """
        if (node := int(self.scans.facts[scan, lent.NODE])) not in self.states:
            return scan, None, None, True
        if (most := max(map(len, self.states.values()))) > self.room:
            self._make_room(2 * most)
        for node in self.states.keys() - self.here:
            self._bring(node)
        given = self.scans, self.rows, self.room, self._waits(scan), self.rule, self.work, kernel.addresses()
        after, made, why = kernel.follow(scan, *given)
        self.newer.update(self.here)
        if why == WANTED:
            self._begin_ahead(after)
        if made == 0:
            return scan, None, None, why != WANTED
        return after, self._changed(made), self._met(after - 1, made) if why == lent.MET else None, why == lent.STUCK

    def _met(self, scan: int, made: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of the tracks that a scan hit, and its plots that they took, by number, where the last of what is made is its."""
        first, last, node = self.scans.facts[scan, : lent.NODE + 1].tolist()
        facts = self.work.facts[made - last + first : made]
        facts = facts[facts[:, HITS] > 1]
        return facts[:, AT] - node * self.room, facts[:, DETECTION]

    def _begin_ahead(self, scan: int) -> None:
        """Make what the plots of a scan begin if nobody claims them, and, where there are false plots, those of scans to come that are
        probably nobody's.
        """
        every, ahead = self.every, len(self.work.words) - len(self.work.facts)
        first, last = int(every.first[scan]), int(every.last[scan])
        plots = np.arange(first, last)
        if every.scenario.clutter > 0.0:
            more = np.arange(last, min(last + BLOCK, len(every.time)))
            plots = np.concatenate([plots, more[self._alone(more)]])[:ahead]
        row = len(self.rows.time) - ahead + np.arange(len(plots))
        self.scans.row[:, AHEAD] = -1
        self.scans.row[plots, AHEAD] = row
        self._begin(plots, row)

    def _alone(self, plots: np.ndarray) -> np.ndarray:
        """Which of some plots (n,) are far from where the firm tracks that there are will be."""
        alone = np.ones(len(plots), bool)
        place, time = self.scans.spot[plots, :3], self.every.time[plots]
        for node in self.here:
            of = self._of(node)
            firm = np.flatnonzero(self.rows.facts[of, FIRM]) + of.start
            since, x = time[:, None] - self.rows.time[firm], self.rows.x6[firm]
            off = place[:, None] - x[:, :3] - x[:, 3:] * since[:, :, None]
            alone &= (np.linalg.norm(off, axis=2) > NEARBY[0] + NEARBY[1] * since).all(axis=1)
        return alone

    def _begin(self, plots: np.ndarray, row: np.ndarray) -> None:
        """Put what some plots (n,) begin, each by itself, into the rows (n,), with all that is said of it."""
        rows, (scan, bank) = self.rows, begun(self.every, plots)
        for name in _BANK:
            getattr(rows, name)[row] = getattr(bank, name)
        rows.facts[row], rows.figures[row] = 0, 0.0
        rows.facts[row, HITS], rows.facts[row, SENSORS] = 1, self.scans.facts[scan, lent.BIT]
        rows.figures[row, REVISIT], rows.figures[row, SEEN] = self.scans.figures[scan, lent.AGAIN], bank.time
        rows.figures[row, ECHOES], rows.figures[row, STRENGTH] = echoes.begun(
            self.scans.spot[plots, :3], self.scans.echo[plots], 0.0, _NONE.bank, _NONE.hits
        )
        never, none = np.full(len(row), np.inf), np.zeros(len(row))
        rows.figures[row, LIT], rows.figures[row, SLOW], rows.figures[row, RELIGHT] = -np.inf, np.inf, relight(never, none)
        words = words_of(said(bank, bank, bank.time, np.zeros(len(row), bool), further(never, none)))
        words[:, kernel_rows.LLR] = 0.0
        self.work.words[len(self.work.facts) + np.arange(len(row))] = words

    def _waits(self, scan: int) -> Waits:
        """What may still light while scans from number ``scan`` on are taken, by the functions of the plain form: a kernel's exponential is
        not numpy's to the last bit.
        """
        time = self.scans.figures[scan : scan + self.most, lent.TIME]
        oldest = float(time[0]) - LATE
        figures = [self.rows.figures[self._of(node)] for node in self.here]
        late = sorted({(one[LIT], one[ABOVE]) for some in figures for one in some.tolist() if one[LIT] >= oldest})
        if not late:
            return Waits(np.zeros((0, 2)), np.zeros((2, 0, len(time))))
        lit = np.array(late)
        since, above = time - lit[:, :1], lit[:, 1:]
        after = np.zeros((2, len(lit), len(time)))
        after[0], after[1] = relight(since, above), further(since, above)
        return Waits(lit, after)

    def _changed(self, made: int) -> np.ndarray:
        """The rows (`updates.ROW`) that the last call of the kernel has made."""
        rows, facts = self.work.words[:made].copy().view(ROW)[:, 0], self.work.facts[:made]
        rows["node"] = self.scans.facts[facts[:, SCAN], lent.NODE]
        for name, column in _SAID:
            rows[name] = facts[:, column]
        return rows


def _scans(every: Series) -> Scans:
    """What the kernel reads of scans."""
    n, k = len(every.time), len(every)
    sensor = every.sensor[every.first].astype(np.int64)
    facts, figures = np.zeros((k, 6), int), np.zeros((k, 5))
    facts[:, lent.FIRST], facts[:, lent.LAST], figures[:, lent.TIME] = every.first, every.last, every.time[every.first]
    figures[:, lent.LOG_DENSITY] = every.log_density
    most = max(every.facts, default=0) + 1
    known, again = np.zeros((most, 4), np.int64), np.zeros((most, 3))
    for k, (node, revisit, plume, *search) in every.facts.items():
        known[k], again[k] = (node, np.uint64(1 << k).astype(np.int64), every.scenario.sensors[k].cosines, plume), (revisit, *search)
    facts[:, lent.NODE :], figures[:, lent.AGAIN :] = known[sensor], again[sensor]
    seen, spot = np.empty((2, n, 4)), np.empty((n, 5))
    seen[0], seen[1], spot[:, :3], spot[:, lent.BLUR] = every.z, every.sigma, *every.spots
    spot[:, lent.LIMIT] = _LIMITS[np.isfinite(every.z).sum(axis=1)]
    row = np.full((n, 2), -1)
    row[:, DETECTED] = every.number
    return Scans(facts, figures, every.origin[every.first], every.axes[every.first], seen, spot, row, every.echo)
