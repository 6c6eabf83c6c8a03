"""Which local tracks stand in which system track of every node, time after time: what nodes hear, and `correlation` of what they know.

Where a node knows of no more than one track of each source, and they stand as one, nothing changes but rows until another track
comes or one is over: such times are gone through together, to the bit as one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from copfuse.ahead import Ahead
from copfuse.coasting import REGISTRATION, foreseen_for
from copfuse.constants import NODES
from copfuse.correlation import PART, RECHECK, correlate, pairs
from copfuse.entries import BESIDE, HOLD, SILENT, Entries, note, remembered, stays, take_back, visible
from copfuse.filters import Bank
from copfuse.kernels.distances import squared_distances
from copfuse.kernels.newest import calm
from copfuse.tables import Tracks

READ = 1000  # rows of a feed that are read together: as quick as all together, and of little memory
NO_REST = np.zeros(len(NODES))  # s: nobody reports in slots
_LAST = attrgetter("last")
TRACKS = 10**9  # more than a source has
LIMITS = np.array([HOLD, SILENT, *BESIDE])


@dataclass(frozen=True)
class Look:
    """Books, of who stands where, at several times: the distinct rows (k,) that stand in any of them at a time, by time and number, and
    those rows as they are then.

    Lines in order of time, book and system track: ``time (n,)`` s, ``book (n,)``, ``system (n,)``, ``place (n, 4)``, where among the
    rows that of each source is, or −1.
    """

    rows: np.ndarray
    bank: Bank
    time: np.ndarray
    book: np.ndarray
    system: np.ndarray
    place: np.ndarray


class Lines(NamedTuple):
    """One node's lines: ``tick (n,)``, system track ``system (n,)``, and the row of each source or −1, ``source (n, 4)``."""

    tick: np.ndarray
    system: np.ndarray
    source: np.ndarray


class News(NamedTuple):
    """What changes entries, in order of the ``tick (n,)`` when it has come: ``key (n,)`` names source and track; the rest as `note` takes
    it."""

    tick: np.ndarray
    key: np.ndarray
    time: np.ndarray
    row: np.ndarray
    when: np.ndarray
    foreseen: np.ndarray


NO_LINES = Lines(np.zeros(0, int), np.zeros(0, int), np.zeros((0, len(NODES)), int))


class Node:
    """What one node knows: the rows that it has still to hear of, in that order, and its entries by source and track.

    ``foreseen (n,)``: for how many s after each row of the feed its fall is foreseen (`coasting.foreseen_for`); ``rest (4,)``: how long
    in s a track of each source, which reports in slots, lasts at least without a report; ``ends``, rising: when s a track is known to be
    no more, its source and number.
    """

    def __init__(
        self, feed: tuple[np.ndarray, np.ndarray], foreseen: np.ndarray, step: float, rest: np.ndarray = NO_REST,
        ends: Sequence[tuple[float, int, int]] = (),
    ) -> None:  # fmt: skip
        (self.when, self.rows), self.foreseen = feed, foreseen
        self.ends = deque(ends)
        self.rest, self.step = rest.tolist(), step
        self.order = np.maximum.accumulate(self.when)  # one after the other: nobody hears of a row before those in front of it
        self.next_system = 0
        self.entries: Entries = {}
        self.left: Entries = {}  # as they were when they left the picture
        self.first = int(np.ceil(self.when[0] / step))
        self.wait = np.maximum(foreseen, max(HOLD, *self.rest))  # s for which a row stands at most
        self.last = int(np.floor((self.order + self.wait).max() / step))
        self.read, self.until = 0, self.first  # rows of the feed, and until before which tick that is all
        self.news = News(*(np.zeros(0, kind) for kind in (int, int, float, int, float, float)))
        self.heard = 0  # how much of them
        self.checked = self.first * step

    def lines(self, tracks: Tracks, begin: int, end: int, ahead: Ahead, first: int, slack: np.ndarray) -> list[Lines]:
        """The lines of some ticks, behind those of the last time, all taken in that has come by then.  ``ahead`` is of ticks from the
        ``first`` on."""
        found, tick, end = [], max(begin, self.first), min(end, self.last + 1)
        while tick < end:
            if tick >= self.until:
                self._read(tracks, tick)
            calm = self._calm(tick, min(end, self.until), ahead, first, slack)
            if len(calm.tick):
                found.append(calm)
                tick += len(calm.tick)
            else:
                self._hear(tick)
                found.append(self._look(tick, ahead, first, slack))
                tick += 1 if self.entries else max(self._quiet(end) - tick, 1)
        return found

    def _hear(self, tick: int) -> None:
        """Take in all that has come by now, the tick behind that of the last time; forget what is over."""
        upto = int(self.news.tick.searchsorted(tick, side="right"))
        some = slice(self.heard, upto)
        for key, *facts in zip(*(column[some].tolist() for column in self.news[1:]), strict=True):
            note(self.entries, *divmod(key, TRACKS), *facts)
        self.heard, time = upto, tick * self.step
        if self.left:
            self.left = remembered(self.left, time)
            if take_back(self.entries, self.left):
                self.checked = -np.inf  # whether they belong where they stood is judged at once
        while self.ends and self.ends[0][0] <= time:
            over = self.ends.popleft()[1:]
            self.entries.pop(over, None)
            self.left.pop(over, None)
        for key in [key for key, e in self.entries.items() if not stays(e, time, self.rest[e.source])]:
            self.left[key] = self.entries.pop(key)

    def _quiet(self, end: int) -> int:
        """The tick until before which nothing comes, nor word of an end, or as far as is read, or the ``end``."""
        upto = min(end, self.until, *(int(over // self.step) for over, _, _ in list(self.ends)[:1]))
        return min(upto, int(self.news.tick[self.heard])) if self.heard < len(self.news.tick) else upto

    def _look(self, tick: int, ahead: Ahead, first: int, slack: np.ndarray) -> Lines:
        """The lines of a tick, what is known then put in its place where it is time to look."""
        live, time = list(self.entries.values()), tick * self.step
        if live and (time - self.checked >= RECHECK or any(e.system < 0 and not e.faint for e in live)):
            rows = np.array(sorted(e.row for e in live), int)
            known = rows, ahead.bank(tick - first, rows)
            self.next_system, self.checked = correlate(live, known, slack, self.next_system), time
        live = sorted((e for e in visible(live) if e.system >= 0), key=_LAST)
        line = {system: [-1] * len(NODES) for system in sorted({e.system for e in live})}
        for e in live:
            line[e.system][e.source] = e.row  # of each source the newest, which is written last
        return Lines(np.full(len(line), tick), np.array(list(line), int), np.array(list(line.values()), int).reshape(-1, len(NODES)))

    def _calm(self, tick: int, end: int, ahead: Ahead, first: int, slack: np.ndarray) -> Lines:
        """The lines of as many ticks, from one on, as go by in calm, after which entries are left as they then are: all stand as one, one
        of each source, and no other comes, none is over, and no two are so far apart that they may be of two objects."""
        live = list(self.entries.values())
        if not live or len(live) > len(NODES) or live[0].system < 0 or any(e.system != live[0].system or e.braked for e in live):
            return NO_LINES
        if len({e.source for e in live}) < len(live):
            return NO_LINES
        time = np.arange(tick, end) * self.step
        if self.ends:
            time = time[: time.searchsorted(self.ends[0][0])]
        key = np.array([source * TRACKS + track for source, track in self.entries])
        known = np.array([(e.row, e.last, e.heard, e.foreseen, e.beside, e.first, self.rest[e.source]) for e in live], float)
        states = np.empty((len(time), len(live), 5))
        stay = calm(time, tick, *(column[self.heard :] for column in self.news), key, known, LIMITS, states)
        row = states[:stay, :, 0].T.astype(int)
        many, checked = self._at_rest(row, tick - first, time, ahead, slack)
        if many == 0:
            return NO_LINES
        for e, state in zip(live, states[many - 1].tolist(), strict=True):
            e.row, e.last, e.heard, e.foreseen, e.beside = int(state[0]), state[1], state[2], state[3], state[4] > 0.0
        self.heard, self.checked = int(self.news.tick.searchsorted(tick + many)), checked
        source = np.full((many, len(NODES)), -1)
        source[:, [e.source for e in live]] = row[:, :many].T
        return Lines(np.arange(tick, tick + many), np.full(many, live[0].system), source)

    def _at_rest(self, row: np.ndarray, first: int, time: np.ndarray, ahead: Ahead, slack: np.ndarray) -> tuple[int, float]:
        """At how many times, from one on, entries that stand as one on ``row (m, n)`` may do so still, wherever it is time to look; and the
        last of those."""
        looked, checked, (m, many) = [], [self.checked], row.shape
        for k, t in enumerate(time[:many].tolist()):
            if t - checked[-1] >= RECHECK:
                looked.append(k)
                checked.append(t)
        if m > 1 and looked:
            x, P = ahead.moments(np.repeat(first + np.array(looked), m), row[:, looked].T.ravel())
            of = m * np.arange(len(looked))[:, None]
            i, j = ((of + one).ravel() for one in pairs(m))
            near = (squared_distances(x, P, i, j, slack) <= PART).reshape(len(looked), -1).all(axis=1)
            if not near.all():
                many = looked[near.argmin()]
                checked = checked[: near.argmin() + 1]
        return many, checked[-1]

    def _read(self, tracks: Tracks, tick: int) -> None:
        """Some more of the feed, from a tick on: of each local track and tick all that changes an entry."""
        known = np.searchsorted(self.order, self.step * np.arange(tick, self.last + 1), side="right")  # how many rows at each tick
        known = known[: max(1, int(np.searchsorted(known, self.read + READ)))]
        some = slice(self.read, int(known[-1]))
        rows, when = self.rows[some], self.when[some]
        at = tick + np.searchsorted(known, np.arange(some.start, some.stop), side="right")
        key, time = tracks.node[rows].astype(np.int64) * TRACKS + tracks.track[rows], tracks.time[rows]
        kept = _first_and_newest(at, key, time)
        self.news = News(*(column[kept] for column in (at, key, time, rows, when, self.foreseen[some])))
        self.heard, self.read, self.until = 0, some.stop, tick + len(known)


def _first_and_newest(at: np.ndarray, key: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Of rows, in their order, each local track's first one ``at (n,)`` a time and the first of its newest ones: nothing else changes an
    entry."""
    order = np.lexsort((-time, key, at))
    key, at, kept = key[order], at[order], np.zeros(len(order), bool)
    begins = np.flatnonzero(np.append(True, (key[1:] != key[:-1]) | (at[1:] != at[:-1]))[: len(order)])
    kept[order[begins]] = True
    if len(order):
        kept[np.minimum.reduceat(order, begins)] = True
    return np.flatnonzero(kept)


def listening(
    tracks: Tracks, feeds: list[tuple[np.ndarray, np.ndarray]], scenario: Any, rest: np.ndarray | None = None,
    ends: Sequence[Sequence[tuple[float, int, int]]] = (),
) -> dict[int, Node]:  # fmt: skip
    """Nodes 0, 1, ... before they have heard anything; those that will hear nothing are left out.  ``rest``, ``ends``: see `Node`."""
    waits = np.zeros((len(feeds), len(NODES))) if rest is None else rest
    over, known = ends or [()] * len(feeds), foreseen_for(tracks)
    return {k: Node(f, known[f[1]], scenario.picture_step, waits[k], over[k]) for k, f in enumerate(feeds) if len(f[1])}


def looks(tracks: Tracks, nodes: dict[int, Node], scenario: Any) -> Iterator[Look]:
    """Run through several nodes' feeds side by side, the nodes in place, on the picture's time grid, some times at once.

    What several nodes know is predicted once for all of them, and nothing is kept of what has left them all.
    """
    step = scenario.picture_step
    slack = (scenario.bias * np.repeat(REGISTRATION, 3)) ** 2
    first, last = min((n.first for n in nodes.values()), default=0), max((n.last for n in nodes.values()), default=-1)
    feeds = [(n.order, n.rows, n.wait) for n in nodes.values()]
    ahead, tick = Ahead(tracks, feeds, step * np.arange(first, last + 1)), first
    while tick <= last:
        end = first + ahead.reach(tick - first)
        found = {k: n.lines(tracks, tick, end, ahead, first, slack) for k, n in nodes.items()}
        book = np.repeat(list(found), [sum(len(part.tick) for part in parts) for parts in found.values()])
        if len(book):
            at, system, source = (np.concatenate(c) for c in zip(*(part for parts in found.values() for part in parts), strict=True))
            order = np.lexsort((system, book, at))
            at, book, system, source = at[order], book[order], system[order], source[order]
            stands = source >= 0
            standing, which = np.unique(((at - first)[:, None] * len(tracks) + source)[stands], return_inverse=True)
            when, rows = np.divmod(standing, len(tracks))
            place = np.full(source.shape, -1)
            place[stands] = which.ravel()
            yield Look(rows, ahead.bank(when, rows), at * step, book, system, place)
        tick = end
