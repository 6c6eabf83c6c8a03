"""The pass through time of `cueing.sense`: cues, plots and tracks step after step, or many steps in one leap.

A step's cues are made of what was known before it, so that steps are taken one after the other.  But all that cues do to plots is
that radars look with more energy, mostly as much as they ever have for it, at what their nation was told of in the step before.  So a
leap assumes that radars go on so, makes the plots and tracks of several steps, then their cues, and keeps the steps up to the first one
whose cues do not make radars look just as assumed; what was made behind that is taken back.  Nothing is left of an assumption: what is
kept is, to the bit, what single steps make.
"""

from __future__ import annotations

import math
import time as clock
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from copfuse import network, simulate, telling, tracking, watching
from copfuse.constants import NATIONS, NODES
from copfuse.following import Hub, Kept, Nations
from copfuse.hearing import as_known, plot_feed
from copfuse.tables import CUE, PLOT, Detections, Growing, Messages, Tracks, stack
from copfuse.telling import ALWAYS, REACTION, Ahead, Foreseen, Heard
from copfuse.updates import Rows, columns_of
from copfuse.volumes import Cues, watched
from copfuse.watching import Looks, Sight, Watch

LONGEST = 256  # steps in a leap at most (1: each alone), and in the first, which ends where something is noticed
SHORT = 4  # after one that was wrong, or when a nation is told of something new: some of its radars soon see that, too
LONGER = 8  # times as long as the last is a leap after one that was right: few are wrong
MANY = 2000  # plots in a leap, for more of which none is made longer: they cost more to track again than the leap saves


@dataclass
class Gaze:
    """One sensor's looks at one object, and how it has looked so far.

    ``about``: its nation and the object.  ``cuts (steps + 1,)``: its looks by step.  ``cued``: whether its last look, in the step ``last``,
    heeded a cue.
    """

    watch: Watch
    sight: Sight
    about: tuple[int, int]
    cuts: list[int]
    radar: bool
    last: int = -1
    cued: bool = False

    def step(self, look: int) -> int:
        """The step of a look."""
        return bisect_right(self.cuts, look) - 1

    def news(self, first: int, last: int) -> int:
        """The first of some steps in which it notices the object; the last: none."""
        begin, end = self.cuts[first], self.cuts[last]
        noticed = self.sight.output[begin:end] > -math.log(self.watch.sensor.pfa)
        return self.step(begin + int(noticed.argmax())) if noticed.any() else last


def _gaze(watch: Watch, sight: Sight, edges: np.ndarray) -> Gaze:
    about = NODES.index(watch.sensor.nation), sight.object
    return Gaze(watch, sight, about, np.searchsorted(sight.time, edges).tolist(), watch.sensor.kind == "radar")


class Loop:
    """The pass through time, and what it has made so far."""

    def __init__(
        self, scenario: Any, rule: Any, seed: int, association: str, exact: bool, spent: dict[str, float], looks: Looks,
        looking: dict[str, Any], kept: Kept, last: float, idle: bool,
    ) -> None:  # fmt: skip
        """Sensors that nothing has cued, ``looking`` as in `Detections.meta`, until ``last`` s."""
        self.scenario, self.rule, self.seed, self.association, self.exact, self.spent = scenario, rule, seed, association, exact, spent
        self.looking, self.alone, self.looks = looking, looks, watching.afresh(looks)
        self.steps = int(last // REACTION) + 1
        self.end = REACTION * self.steps
        self.heeds = np.full(len(NODES), np.inf) if idle else watching.last_looks(self.looks.watches)
        edges = REACTION * np.arange(self.steps + 1)
        self.gazes = [_gaze(watch, sight, edges) for watch in self.looks.watches for sight in watch.sights]
        cuts = np.array([gaze.cuts for gaze in self.gazes], int).reshape(-1, self.steps + 1)
        self.cuts = np.ascontiguousarray((cuts + self.looks.first[:-1, None]).T)  # of all sights' looks, step by step
        self.first = self.looks.first.tolist()
        self.ratio, self.moved = self.looks.every.snr.copy(), np.zeros(len(self.gazes), bool)
        self.false = [np.searchsorted(watch.false[0], edges).tolist() for watch in self.looks.watches]
        self.aware: set[tuple[int, int]] = set()  # nations, and the objects that they are told of in the step to come
        self.seen = Growing(Detections, **self.looking)
        self.plots = self.seen.table()
        self.rows: list[Rows] = []
        self.provisional = _Provisional()
        self.nations = Nations(scenario, association, kept)
        self.came: list[np.ndarray] | None = None
        self.shared: tuple[int, Tracks, Messages] | None = None  # of how many plots, what was shared last
        self.stable = True
        self.always = watched(scenario)
        self.told = [self.always]
        self.by: dict[tuple[int, int], tuple[float, int]] = {}  # per sensor and object the first cued look s and by which source
        self.hubs: dict[bytes, _Hub] = {}
        self.owed: list[float] = []  # begins s of steps for which hubs have yet to take plots again
        self.ahead: dict[bytes, Ahead] = {}
        tracking.usable(self.plots, scenario, association)

    def run(self) -> None:
        """All steps."""
        self._settle(Cues.empty(), -1, 0)
        step, stride = 0, LONGEST
        while step < self.steps:
            aware, plots, last = self.aware, len(self.plots), self._reach(step, stride)
            good = self._leap(step, last)
            if good < last or not self.aware <= aware:  # one nation's news are soon others'
                stride = min(SHORT, LONGEST)
            elif len(self.plots) - plots < MANY:
                stride = min(LONGER * stride, LONGEST)
            step = good
        self.cues = stack(self.told)
        self.plots = replace(self.plots, meta=self.looking | {"cued": self._earlier()})

    def _reach(self, step: int, stride: int) -> int:
        """Until before which step to leap: a multiple of the stride, so that leaps of several passes end alike and have tracks in common,
        or behind the first step in which sensors notice what their nation is not yet told of."""
        last = min((step // stride + 1) * stride, self.steps)
        return min([last, *(gaze.news(step, last) + 1 for gaze in self.gazes if gaze.about not in self.aware)])

    def _leap(self, step: int, last: int) -> int:
        """Take the steps from one until before another one, of whose looks the first one's are known; which step is the next to take."""
        before = self._saved()
        seen = timed(self.spent, "detect", self._look, step, last)
        timed(self.spent, "track", self._follow, seen)
        begins = REACTION * np.arange(step + 1, min(last + 1, self.steps))
        cues, objects, foreseen = timed(self.spent, "share", self._known, begins)
        good = timed(self.spent, "detect", self._settle, cues, step, last)
        now = cues.end == REACTION * (good + 1)
        self.aware = set(zip(cues.node[now].tolist(), objects[now].tolist(), strict=True))
        if foreseen and self.shared is not None and good < self.steps:
            self.stable &= self.as_foreseen(self.shared[2], REACTION * good)
        if good < last:
            self._restore(before)
            self.owed += begins[: good - step].tolist()
            timed(self.spent, "track", self._follow, seen[: np.searchsorted(seen.time, REACTION * good)])
        else:
            self.owed.clear()
        self.ahead = {key: one.after(good - step - 1) for key, one in foreseen.items()}
        return good

    # What was made of assumptions, and is taken back

    def _saved(self) -> tuple[Any, ...]:
        hubs = {key: hub.saved() for key, hub in self.hubs.items()}
        return self.seen.n, len(self.rows), self.nations.saved(), self.provisional.saved(), hubs

    def _restore(self, saved: tuple[Any, ...]) -> None:
        plots, rows, nations, provisional, hubs = saved
        self.nations.restore(nations)
        self.seen.cut(plots)
        del self.rows[rows:]
        self.plots, self.shared = self.seen.table(), None
        self.provisional.restore(provisional)
        self.hubs = {key: self.hubs[key] for key in hubs}
        for key, hub in self.hubs.items():
            hub.restore(hubs[key])

    # Cues

    def tracks(self, exact: bool) -> Tracks:
        """All tracks so far; not ``exact``: without what biases leave in covariances, and what is common to several."""
        if exact:
            return self.table()
        return self.provisional.of(self.rows)

    def table(self, common: bool = True, named: bool = True) -> Tracks:
        """`Nations.table` of all so far."""
        return self.nations.table(self.rows, self.plots, common, self.provisional.of(self.rows), named)

    def as_foreseen(self, messages: Messages, now: float) -> bool:
        """Whether what has come by ``now`` s begins with what had come when it was last asked; a message of people is no cue."""
        came = np.flatnonzero((messages.arrived < now) & (messages.kind <= CUE))
        columns = [getattr(messages, name)[came] for name in ("arrived", "source", "target", "kind", "row")]
        before, self.came = self.came, columns
        return before is None or all(np.array_equal(now[: len(then)], then) for now, then in zip(columns, before, strict=True))

    def _known(self, begins: np.ndarray) -> tuple[Cues, np.ndarray, dict[bytes, Foreseen]]:
        """The cues of the steps that begin then s, step after step, of which objects (n,) they most likely are, and what is foreseen."""
        begins = begins[begins <= self.heeds.max()]
        shown = any(link.payload == "plot" for link in self.rule.links)
        if len(begins) == 0 or not shown and not any(row["firm"].any() for row in self.rows):
            return Cues.empty(), np.zeros(0, int), {}
        if self.shared is None or self.shared[0] != len(self.plots):  # else nobody has anything new to tell
            tracks = self.tracks(self.exact)
            messages = network.transmissions(tracks, self.scenario, self.rule, self.seed, self.plots)
            self.shared = len(self.plots), tracks, messages
        _, tracks, messages = self.shared
        heard = {b"": telling.heard(tracks, messages), **(self._shown(messages, begins) if shown else {})}
        made = {
            key: telling.told(replace(one, within=np.array([one.within[0], self.heeds])), self.scenario, begins, self.ahead.get(key))
            for key, one in heard.items()
            if len(one.row)
        }
        if not made:
            return Cues.empty(), np.zeros(0, int), {}
        cues = stack([cues for cues, _ in made.values()])
        objects = np.concatenate([self._objects(key)[heard[key].tracks.detection[cues.row]] for key, (cues, _) in made.items()])
        if len(made) > 1:  # else they are in order
            order = np.argsort(cues.end, kind="stable")
            cues, objects = cues[order], objects[order]
        return telling.shared_out(cues), objects, {key: foreseen for key, (_, foreseen) in made.items()}

    def _objects(self, key: bytes) -> np.ndarray:
        """Of which objects the plots are that tracks are made of; it only decides what is assumed."""
        return np.concatenate([part.object for part in self.hubs[key].made.plots]) if key else self.plots.object

    def _shown(self, messages: Messages, begins: np.ndarray) -> dict[bytes, Heard]:
        """What nations know of tracks made of several nations' plots: who knows the same plots has the same tracks."""
        display, feeds = messages.meta.get("display", {}), dict[bytes, tuple[list[int], Detections, np.ndarray, np.ndarray, float]]()
        for node, name in enumerate(NATIONS):
            sent = messages.sent[(messages.kind == PLOT) & (messages.target == node)]
            if name in display or len(sent):
                way = ",".join(sorted(display.get(name, (f"to {name}",)))).encode()
                since = -np.inf if name in display else float(sent.min())  # with nobody else's plots its tracks are those of its own
                if way not in feeds:
                    plots = as_known(node, messages, self.scenario, self.plots)
                feeds[way] = [], plots, *plot_feed(node, messages, self.scenario, plots), since
                feeds[way][0].append(node)
        begins = np.append(self.owed, begins)
        return {
            key: self.hubs.setdefault(key, _Hub(self.scenario, self.association)).heard(nodes, plots, known, rows, begins, since)
            for key, (nodes, plots, known, rows, since) in feeds.items()
        }

    # Plots and tracks

    def _look(self, step: int, last: int) -> Detections:
        """The plots of the steps from one on until before another; those behind the first as they are if radars go on as in that one, and
        those whose nation is told look where it says: a volume too wide to search has nearly always narrowed a step later."""
        begin, later, end = self.cuts[step], self.cuts[step + 1], self.cuts[last]
        on = [gaze.radar and (gaze.about in self.aware or gaze.last == step and gaze.cued) for gaze in self.gazes]
        watching.go_on(self.looks, later, end, np.array(on, bool), self.ratio)
        watching.notice(self.looks, begin, end, self.ratio, self.moved)
        made: list[tuple[Any, ...]] = [watching.plots(self.looks, begin, end)]
        for watch, cuts in zip(self.looks.watches, self.false, strict=True):
            if cuts[step] < cuts[last]:
                made.append((watch.number, *(column[cuts[step] : cuts[last]] for column in watch.false)))
        return simulate.in_order(made, self.looking)

    def _settle(self, cues: Cues, step: int, last: int) -> int:
        """Let the looks of the steps behind one and up to another heed their cues, which are right up to the first that is not as assumed.

        Which that is; the last where all are.
        """
        end = min(last + 1, self.steps)
        acting = stack([self.always, cues]) if len(self.always) else cues
        begin, until = self.cuts[step + 1], self.cuts[last]
        wrong, heeded, which = watching.settle(self.looks, acting, begin, until, self.cuts[end], self.ratio)
        good = min([last, *(self._step(int(wrong[i]), i) for i in np.flatnonzero(wrong >= 0).tolist())])
        upto = self.cuts[min(good + 1, end)]
        for i in np.flatnonzero(begin < upto).tolist():
            gaze, behind = self.gazes[i], int(upto[i])
            gaze.last, gaze.cued = self._step(behind - 1, i), bool(which[behind - 1] >= 0)
            if 0 <= heeded[i] < behind:
                seen = float(self.looks.every.time[heeded[i]]), int(acting.source[which[heeded[i]]])
                self.by.setdefault((gaze.watch.number, gaze.sight.object), seen)
        if count := int(np.searchsorted(cues.end, REACTION * (good + 1), side="right")):
            self.told.append(cues[:count])
        return good

    def _step(self, look: int, sight: int) -> int:
        """The step of a look of a sight."""
        return self.gazes[sight].step(look - self.first[sight])

    def _follow(self, seen: Detections) -> None:
        """Take plots into the tracks."""
        if len(seen) == 0:
            return
        number = len(self.plots) + np.arange(len(seen))
        self.seen.add({name: getattr(seen, name) for name in Detections.COLUMNS})
        self.plots = self.seen.table()
        self.rows += self.nations.follow(seen, number)

    def _earlier(self) -> list[dict[str, Any]]:
        """Which radars saw which objects earlier than they would have without cues, as `Detections.meta` has it."""
        found = []
        firsts = zip(self.gazes, *map(watching.first_plots, (self.looks, self.alone)), strict=True)
        for (watch, sight), first, alone in (((gaze.watch, gaze.sight), *two) for gaze, *two in firsts):
            if (watch.number, sight.object) in self.by and first is not None and (alone is None or first < alone):
                at, source = self.by[watch.number, sight.object]
                name = NODES[source] if source >= 0 else "watch"
                found.append({"sensor": watch.sensor.name, "object": sight.object, "by": name, "time": at, "first": first, "alone": alone})
        return found


class _Provisional:
    """Tracks of rows that become more, without what biases leave in covariances and what is common to several."""

    def __init__(self) -> None:
        self.joined, self.taken = Growing(Tracks, {"P_common": "P"}), 0

    def of(self, rows: list[Rows]) -> Tracks:
        """The table of these rows, the first of which are those of the last time."""
        for part in rows[self.taken :]:
            self.joined.add(columns_of(part))
        self.taken = len(rows)
        table: Tracks = self.joined.table()
        return table

    def saved(self) -> tuple[int, int]:
        """How far it is, for `restore`."""
        return self.joined.n, self.taken

    def restore(self, saved: tuple[int, int]) -> None:
        """Forget the rows that have come since."""
        self.joined.cut(saved[0])
        self.taken = saved[1]


class _Hub:
    """What is known of the tracks that are made of several nations' plots, as `fusion.fuse` makes them, waiting for stragglers."""

    def __init__(self, scenario: Any, association: str) -> None:
        self.made, self.provisional = Hub(scenario, association), _Provisional()

    def heard(
        self, nodes: list[int], plots: Detections, known: np.ndarray, rows: np.ndarray, begins: np.ndarray, since: float
    ) -> Heard:  # fmt: skip
        """What nations that look on after ``since`` s know of them by the last of some steps' begins s; plots ``rows``, rising, come when
        ``known`` s."""
        known = np.maximum.accumulate(known)
        ends = np.searchsorted(known, begins[begins > since])
        for end in [*_amid(plots[rows], ends).tolist(), *ends[-1:].tolist()]:
            if end > self.made.taken:
                self.made.take(plots[rows[self.made.taken : end]])
        tracks = self.provisional.of(self.made.rows)
        firm = np.flatnonzero(tracks.firm)
        n = len(nodes)
        within = np.stack([np.full(len(NODES), since), ALWAYS[1]])
        return Heard(tracks, np.repeat(nodes, len(firm)), np.tile(firm, n), np.tile(known[tracks.detection[firm]], n), within)

    def saved(self) -> tuple[Any, ...]:
        """How far it is, for `restore`."""
        return self.made.taken, len(self.made.rows), len(self.made.plots), dict(self.made.states), self.provisional.saved()

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Forget the plots that have come since."""
        self.made.taken, rows, plots, self.made.states, provisional = saved
        del self.made.rows[rows:], self.made.plots[plots:]
        self.provisional.restore(provisional)


def _amid(plots: Detections, ends: np.ndarray) -> np.ndarray:
    """Those of some ends (k,) that part a scan, so that it is tracked as two."""
    ends = ends[(ends > 0) & (ends < len(plots))]
    return ends[(plots.time[ends] == plots.time[ends - 1]) & (plots.sensor[ends] == plots.sensor[ends - 1])]


def timed(spent: dict[str, float], verb: str, work: Any, *args: Any, **options: Any) -> Any:
    """What a call returns; the seconds that it takes are added to a verb's."""
    start = clock.perf_counter()
    made = work(*args, **options)
    spent[verb] += clock.perf_counter() - start
    return made
