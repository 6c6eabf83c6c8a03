"""``sense()``: the loop detect, track, share, cue, detect, run forward in time, so that sharing changes what sensors do.

What a nation knows of an object, by firm tracks of its own or by those that have arrived, cues its radars: where the object is
believed to be is a volume (`volumes`) that they look into.  A cue acts `REACTION` s after it is known at the earliest, so nothing in a
step of that length depends on what happens in it: step after step the cues are made of what was known before, then the
plots, then the tracks.  What comes of this is the one fixed point of the loop.  Going round the loop with whole runs comes
to the same: each round makes one more step right for good, so as many rounds as there are steps always do.
"""

from __future__ import annotations

import time as clock
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from copfuse import filters, fusion, network, simulate, tracking
from copfuse.ahead import predicted
from copfuse.coasting import REGISTRATION
from copfuse.constants import EARTH_OMEGA, MU, NATIONS, NODES
from copfuse.errors import CopfuseError
from copfuse.filters import Bank
from copfuse.following import Hub, Kept, Nations
from copfuse.frames import altitude, cross
from copfuse.hearing import plot_feed
from copfuse.phases import push, pushed
from copfuse.simulate import Sight, Watch
from copfuse.tables import CUE, PLOT, TRACK, Detections, Growing, Messages, Tracks, Truth, stack
from copfuse.volumes import ALL_CUES, CUE_SHARE, Cues, watched

REACTION = 10.0  # s from when a nation knows of an object until its radars look there, *notional*
VAGUE = 50e3  # m, standard deviation of the position from which on nobody is told to look for it, *notional*
HUB = NODES.index("HUB")


@dataclass(frozen=True)
class Sensed:
    """What sensors, trackers and messages made of each other: three tables, the cues that acted, the steps that the pass took (a bound
    on the rounds of the whole loop that come to the same), the seconds that each verb took, and the ``hubs`` whose tracks cued, from
    which `fusion.fuse` goes on."""

    detections: Detections
    tracks: Tracks
    messages: Messages
    cues: Cues
    rounds: int
    seconds: dict[str, float] = field(default_factory=dict)
    hubs: tuple[Hub, ...] = ()


class Once:
    """What senses of one truth under several regimes have in common: how sensors look when nothing cues them, and tracks of the same
    plots.  For one truth, scenario, seed and association."""

    def __init__(self) -> None:
        self.of: tuple[Any, ...] = ()
        self.looking: dict[str, Any] = {}
        self.watches: list[Watch] = []
        self.kept = Kept()

    def prepared(self, truth: Truth, scenario: Any, seed: int, association: str) -> Once:
        """Itself, filled; refuses what is not the same as before."""
        of = truth, scenario, seed, association
        if not self.of:
            self.watches = list(simulate.watches(truth, scenario, seed, self.looking))
            self.of = of
        if any(one is not other for one, other in zip(self.of[:2], of[:2], strict=True)) or self.of[2:] != of[2:]:
            raise CopfuseError(
                "once is that of another truth, scenario, seed or association; give each of these a cueing.Once() of its own"
            )
        return self


@dataclass(frozen=True)
class Heard:
    """What nodes know of tracks: ``node (n,)`` knows ``row (n,)`` of ``tracks`` from ``known (n,)`` s on."""

    tracks: Tracks
    node: np.ndarray
    row: np.ndarray
    known: np.ndarray

    def only(self, which: np.ndarray) -> Heard:
        """A part of what is known; itself where that is all."""
        return self if len(which) == len(self.row) else Heard(self.tracks, self.node[which], self.row[which], self.known[which])


def sense(
    truth: Truth, scenario: Any, regime: Any = None, seed: int = 0, association: str = "gnn", cues: bool = True, register: bool = False,
    once: Once | None = None, idle: bool = True,
) -> Sensed:  # fmt: skip
    """Plots, local tracks and messages of a scenario under a regime (default: the scenario's), radars being cued by what is shared.

    Own firm tracks cue a nation's radars, and so do tracks and infrared cues that have arrived there, and the hub's tracks where plots
    are shared: each from `REACTION` s after the nation first knew of it, by the newest row known so long, until its place is too
    vague.  A nation's cues depend on nothing but its own rows and those that have arrived; but what its radars then see, it may pass on:
    who hears from a nation can learn by its plots what another one told it.  Without ``cues`` this is `simulate.detect`,
    `tracking.track` and `network.share`, bit for bit; a message of a launch point is no cue, and infrared sensors heed none.
    With ``register`` cues come from the tracks as they are before registration, and the tracks returned are registered.
    ``once``, given to the senses of several regimes, saves doing again what they have in common.  Without ``idle`` cues are left out
    that come when no radar of their nation has the objects in view any more: ``cues`` is then shorter, and nothing else changes.

    ``detections.meta["cued"]`` says which radars saw an object earlier by a cue: ``sensor``, ``object``, ``by`` (a node, or "watch"),
    ``time`` s of the first cued look, ``first`` plot and that which it would have had ``alone`` (None: never).

    Raises `CopfuseError` as these three do, and where what a regime hands over at a time depends on what comes later.
    """
    rule = network.regime(regime or scenario.regime)
    tracker = fusion.tracker(register)
    spent = dict.fromkeys(("detect", "track", "share"), 0.0)
    if not cues:
        detections = _timed(spent, "detect", simulate.detect, truth, scenario, seed)
        tracks = _timed(spent, "track", tracker, detections, scenario, association=association)
        messages = _timed(spent, "share", network.share, tracks, scenario, regime=rule, seed=seed, detections=detections)
        return Sensed(detections, tracks, messages, Cues.empty(), 1, spent)
    once = once or Once()
    for exact in (False, True) if not any(link.responsibility for link in rule.links) else (True,):  # covariances decide who reports
        loop = _Loop(truth, scenario, rule, seed, association, exact, spent, once, idle)
        loop.run()
        detections, tracks = loop.plots, _timed(spent, "track", loop.nations.table, loop.rows, loop.plots)
        messages = _timed(spent, "share", network.share, tracks, scenario, regime=rule, seed=seed, detections=detections)
        if loop.as_foreseen(messages, loop.end) and loop.stable:
            break
    else:
        raise CopfuseError(f"regime {rule.name!r} hands over what depends on what comes later, for which no cue can wait; use cues=False")
    if register:
        tracks = _timed(spent, "track", tracker, detections, scenario, association=association)
        messages = _timed(spent, "share", network.share, tracks, scenario, regime=rule, seed=seed, detections=detections)
    return Sensed(detections, tracks, messages, loop.cues, loop.steps, spent, tuple(hub.made for hub in loop.hubs.values()))


def _timed(spent: dict[str, float], verb: str, work: Any, *args: Any, **options: Any) -> Any:
    start = clock.perf_counter()
    made = work(*args, **options)
    spent[verb] += clock.perf_counter() - start
    return made


class _Loop:
    """The pass through time, and what it has made so far."""

    def __init__(
        self, truth: Truth, scenario: Any, rule: Any, seed: int, association: str, exact: bool, spent: dict[str, float], once: Once,
        idle: bool,
    ) -> None:  # fmt: skip
        self.scenario, self.rule, self.seed, self.association, self.exact, self.spent = scenario, rule, seed, association, exact, spent
        once = _timed(spent, "detect", once.prepared, truth, scenario, seed, association)
        self.looking, self.watches = once.looking, [simulate.afresh(watch) for watch in once.watches]
        last = scenario.duration if scenario.duration is not None else float(truth.time.max(initial=0.0))
        self.steps = int(last // REACTION) + 1
        self.end = REACTION * self.steps
        self.heeds = np.full(len(NODES), np.inf) if idle else simulate.last_looks(self.watches)
        self.looks, self.false = simulate.by_step(self.watches, REACTION * np.arange(self.steps + 1))
        self.seen = Growing(Detections, **self.looking)
        self.plots = self.seen.table()
        self.rows: list[dict[str, np.ndarray]] = []
        self.firm = False  # whether any track has been
        self.provisional = _Provisional()
        self.nations = Nations(scenario, association, once.kept)
        self.came: list[np.ndarray] | None = None
        self.shared: tuple[int, Tracks, Messages] | None = None  # of how many plots, what was shared last
        self.stable = True
        self.always = watched(scenario)
        self.told = [self.always]
        self.by: dict[tuple[int, int], tuple[float, int]] = {}  # per sensor and object the first cued look s and by which source
        self.hubs: dict[bytes, _Hub] = {}
        self.ahead: dict[bytes, Ahead] = {}
        tracking.usable(self.plots, scenario, association)

    def run(self) -> None:
        """All steps."""
        for step in range(self.steps):
            begin = REACTION * step
            new = _timed(self.spent, "share", self._known, begin)
            seen = _timed(self.spent, "detect", self._look, stack([self.always, new]) if len(self.always) else new, step)
            _timed(self.spent, "track", self._follow, seen)
            if len(new):
                self.told.append(new)
        self.cues = stack(self.told)
        self.plots = replace(self.plots, meta=self.looking | {"cued": self._earlier()})

    def tracks(self, exact: bool) -> Tracks:
        """All tracks so far; not ``exact``: without what biases leave in covariances, and what is common to several."""
        if exact:
            return tracking.table(self.rows, self.nations.states, self.plots, self.scenario, self.association)
        return self.provisional.of(self.rows)

    def as_foreseen(self, messages: Messages, now: float) -> bool:
        """Whether what has come by ``now`` s begins with what had come when it was last asked; a message of people is no cue."""
        came = np.flatnonzero((messages.arrived < now) & (messages.kind <= CUE))
        columns = [getattr(messages, name)[came] for name in ("arrived", "source", "target", "kind", "row")]
        before, self.came = self.came, columns
        return before is None or all(np.array_equal(now[: len(then)], then) for now, then in zip(columns, before, strict=True))

    def _known(self, begin: float) -> Cues:
        """The cues of the step from ``begin`` s on."""
        shown = any(link.payload == "plot" for link in self.rule.links)
        if not (self.heeds >= begin).any() or not shown and not self.firm:
            return Cues.empty()
        if self.shared is None or self.shared[0] != len(self.plots):  # else nobody has anything new to tell
            tracks = self.tracks(self.exact)
            messages = network.transmissions(tracks, self.scenario, self.rule, self.seed, self.plots)
            self.shared = len(self.plots), tracks, messages
        _, tracks, messages = self.shared
        self.stable &= self.as_foreseen(messages, begin)
        heard = {b"": _heard(tracks, messages), **(self._shown(messages, begin) if shown else {})}
        heard = {key: one.only(np.flatnonzero(self.heeds[one.node] >= begin)) for key, one in heard.items()}
        made = {key: told(one, self.scenario, begin, self.ahead.get(key)) for key, one in heard.items() if len(one.row)}
        self.ahead = {key: ahead for key, (_, ahead) in made.items()}
        return shared_out(stack([cues for cues, _ in made.values()]) if made else Cues.empty())

    def _shown(self, messages: Messages, begin: float) -> dict[bytes, Heard]:
        """What nations know of tracks made of several nations' plots: who knows the same plots has the same tracks."""
        display, feeds = messages.meta.get("display", {}), dict[bytes, tuple[list[int], np.ndarray, np.ndarray]]()
        for node, name in enumerate(NATIONS):
            if name in display or ((messages.kind == PLOT) & (messages.target == node)).any():
                way = ",".join(sorted(display.get(name, (f"to {name}",)))).encode()
                if way not in feeds:
                    feeds[way] = [], *plot_feed(node, messages, self.scenario, self.plots)
                feeds[way][0].append(node)
        return {
            key: self.hubs.setdefault(key, _Hub(self.scenario, self.association)).heard(nodes, self.plots, known, rows, begin)
            for key, (nodes, known, rows) in feeds.items()
        }

    def _look(self, cues: Cues, step: int) -> Detections:
        """The plots of one step."""
        begin, looks = REACTION * step, self.looks[step]
        heeded = simulate.told([(watch.sensor, sight, some) for watch, sight, some in looks], cues) if len(cues) else ()
        for (watch, sight, some), which in zip(looks, heeded, strict=False):
            self._note(watch, sight, some.start, which, cues)
        made: list[tuple[Any, ...]] = []
        busy = {watch.number for watch, _, _ in looks}
        for watch, cuts in zip(self.watches, self.false, strict=True):
            first, last = cuts[step : step + 2]
            if first < last:
                made.append((watch.number, *(column[first:last] for column in watch.false)))
            if watch.number in busy:
                made.append((watch.number, *simulate.plots(watch, begin, begin + REACTION)))
        return simulate.in_order(made, self.looking)

    def _note(self, watch: Watch, sight: Sight, first: int, which: np.ndarray, cues: Cues) -> None:
        heeded = np.flatnonzero(which >= 0)
        if len(heeded):
            at = float(sight.time[first + heeded[0]])
            self.by.setdefault((watch.number, sight.object), (at, int(cues.source[which[heeded[0]]])))

    def _follow(self, seen: Detections) -> None:
        """Take the plots of one step into the tracks."""
        if len(seen) == 0:
            return
        number = len(self.plots) + np.arange(len(seen))
        self.seen.add({name: getattr(seen, name) for name in Detections.COLUMNS})
        self.plots = self.seen.table()
        new = self.nations.follow(seen, number)
        self.firm = self.firm or any(bool(row["firm"].any()) for row in new)
        self.rows += new

    def _earlier(self) -> list[dict[str, Any]]:
        """Which radars saw which objects earlier than they would have without cues, as `Detections.meta` has it."""
        found = []
        for watch in self.watches:
            for sight in watch.sights:
                if (watch.number, sight.object) in self.by:
                    at, source = self.by[watch.number, sight.object]
                    first, alone = (simulate.first_plot(watch.sensor, s) for s in (sight, simulate.uncued(watch.sensor, sight)))
                    if first is not None and (alone is None or first < alone):
                        name = NODES[source] if source >= 0 else "watch"
                        found.append(
                            {"sensor": watch.sensor.name, "object": sight.object, "by": name, "time": at, "first": first, "alone": alone}
                        )
        return found


class _Provisional:
    """Tracks of rows that become more, without what biases leave in covariances and what is common to several."""

    def __init__(self) -> None:
        self.joined, self.taken = Growing(Tracks), 0

    def of(self, rows: list[dict[str, np.ndarray]]) -> Tracks:
        """The table of these rows, the first of which are those of the last time."""
        for part in rows[self.taken :]:
            self.joined.add({**part, "P_common": part["P"]})
        self.taken = len(rows)
        table: Tracks = self.joined.table()
        return table


class _Hub:
    """What is known of the tracks that are made of several nations' plots, as `fusion.fuse` makes them, waiting for stragglers."""

    def __init__(self, scenario: Any, association: str) -> None:
        self.made, self.provisional = Hub(scenario, association), _Provisional()

    def heard(self, nodes: list[int], plots: Detections, known: np.ndarray, rows: np.ndarray, now: float) -> Heard:
        """What nations that look on know of them by ``now`` s; plots ``rows``, rising, come when ``known`` s."""
        known = np.maximum.accumulate(known)
        end = int(np.searchsorted(known, now))
        if end > self.made.taken:
            self.made.take(plots[rows[self.made.taken : end]])
        tracks = self.provisional.of(self.made.rows)
        firm = np.flatnonzero(tracks.firm)
        n = len(nodes)
        return Heard(tracks, np.repeat(nodes, len(firm)), np.tile(firm, n), np.tile(known[tracks.detection[firm]], n))


# What is known, and what is told ------------------------------------------------------------------------------------------


def _heard(tracks: Tracks, messages: Messages) -> Heard:
    """What nations know of local tracks: their own firm rows, and rows of tracks and infrared cues that have arrived."""
    own = np.flatnonzero(tracks.firm)
    told = (messages.kind == TRACK) | (messages.kind == CUE)
    came = np.flatnonzero(told & np.isfinite(messages.arrived) & (messages.target != HUB))
    columns = (tracks.node[own], messages.target[came]), (own, messages.row[came]), (tracks.time[own], messages.arrived[came])
    return Heard(tracks, *(np.concatenate(parts) for parts in columns))


@dataclass(frozen=True)
class Ahead:
    """Rows ``of`` (node and row, (n, 2)) as they are foreseen at a time; those of them that nobody is told to look for are out (n,)."""

    of: np.ndarray
    bank: Bank
    out: np.ndarray


def told(heard: Heard, scenario: Any, begin: float, before: Ahead | None = None) -> tuple[Cues, Ahead]:
    """The cues from ``begin`` s until `REACTION` later: of every track that a nation knows for so long the newest row known so long.

    What has come down, or is no longer known to `VAGUE`, is left out, until its track is heard of again.  ``before`` is what
    this function foresaw for the step before, from where it goes on; each nation from what it foresaw itself.
    """
    tracks, node, row, known = heard.tracks, heard.node, heard.row, heard.known
    _, key = np.unique((node.astype(np.int64) * len(NODES) + tracks.node[row]) * 10**9 + tracks.track[row], return_inverse=True)
    first = np.full(key.max() + 1, np.inf)
    np.minimum.at(first, key, known)
    start = np.maximum(first + REACTION, begin)
    able = np.flatnonzero((known <= (start - REACTION)[key]) & (start < begin + REACTION)[key])
    able = able[np.lexsort((known[able], tracks.time[row[able]], key[able]))]
    last = able[np.flatnonzero(np.r_[np.diff(key[able]) != 0, True])] if len(able) else able
    ahead = _foreseen(tracks, np.stack([node[last], row[last]], axis=1), begin + 0.5 * REACTION, before)
    P = ahead.bank.P6 + np.diag((scenario.bias * np.repeat(REGISTRATION, 3)) ** 2)
    ahead.out[:] |= ~((np.sqrt(np.einsum("naa->n", P[:, :3, :3])) < VAGUE) & (altitude(ahead.bank.x6) > 0.0))
    kept = np.flatnonzero(~ahead.out)
    last, bank, P, n = last[kept], ahead.bank[kept], P[kept], len(kept)
    cues = Cues(
        node=node[last], begin=start[key[last]], end=np.full(n, begin + REACTION), time=bank.time, x=bank.x6, P=P,
        acceleration=_falling(bank.x6) + push(bank)[0] * pushed(bank)[:, None], share=np.full(n, CUE_SHARE),
        source=tracks.node[row[last]], row=row[last], known=known[last],
    )  # fmt: skip
    return cues, ahead


def _foreseen(tracks: Tracks, of: np.ndarray, time: float, before: Ahead | None) -> Ahead:
    """The rows ``of`` at a time s, from where they were foreseen before, or from the rows themselves."""
    have = {} if before is None else {(n, r): i for i, (n, r) in enumerate(before.of.tolist())}
    at = np.array([have.get((n, r), -1) for n, r in of.tolist()], int)
    new, out = np.flatnonzero(at < 0), np.zeros(len(of), bool)
    rows, again = np.unique(of[new, 1], return_inverse=True)  # which several nations may know
    order, banks = [new], [predicted(tracks, rows, time)[again]]
    if before is not None:
        old = np.flatnonzero(at >= 0)
        out[old] = before.out[at[old]]
        gone, live = old[out[old]], old[~out[old]]
        order += [gone, live]
        banks += [before.bank[at[gone]], filters.predict(before.bank[at[live]], time)]
    return Ahead(of, Bank.stack(banks)[np.argsort(np.concatenate(order))], out)


def shared_out(cues: Cues) -> Cues:
    """The cues of a step, each with `CUE_SHARE` of a radar's time for search or its part of `ALL_CUES`, by the most of one source."""
    share = np.full(len(cues), CUE_SHARE)
    for node in np.unique(cues.node):
        mine = cues.node == node
        share[mine] = min(CUE_SHARE, ALL_CUES / np.bincount(cues.source[mine]).max())
    return Cues(**{n: getattr(cues, n) for n in Cues.COLUMNS if n != "share"}, share=share)


def _falling(x: np.ndarray) -> np.ndarray:
    """Acceleration (n, 3) m/s^2 of free fall over a turning Earth, of states ``x (n, 6)``: enough for a few seconds."""
    r, spin = x[:, :3], np.array([0.0, 0.0, EARTH_OMEGA])
    away = np.linalg.norm(r, axis=1, keepdims=True)
    return -MU * r / away**3 - cross(spin, cross(spin, r)) - 2.0 * cross(spin, x[:, 3:])
