"""The tracks that one node follows, `Live`, and those among them that nobody sees: moved on as long as it is foreseen where they are.

Gravity is sure of what falls: a missile between two nations' radars, or below the horizon of the only one, is found again by the same
track.  Of what may still burn the position is soon unknown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from copfuse import filters, multiscan, pairing
from copfuse.constants import BOOST, G0, GLIDE, NODES, REENTRY_ALTITUDE
from copfuse.filters import Bank
from copfuse.frames import altitude
from copfuse.phases import pushed
from copfuse.scanning import Scan
from copfuse.tables import Tracks

HOLD = 30.0  # s without a plot after which a firm track is dropped, or HOLD_SCANS revisits where that is longer
HOLD_SCANS = 3.5
HOLD_TENTATIVE = 6.0  # s, likewise for a track that is not firm, but most likely falls above the air, where nothing pushes it
FORESEEN = 30e3  # m: a firm track above the air whose position is known that well is followed on, however long nobody sees it, *notional*
FORESEEN_BURNING = 10e3  # m, likewise where an engine may burn
WELL_FORESEEN = 2.5e3  # m: what is known to that, nobody sees and falls stays in pictures: four sigmas are `metrics.GATE_LEAST`,
LONGEST = 120.0  # s, for so long at most, *notional*
BURNT_OUT = 0.05  # probability of a push under which the engine is taken as out, and a track to fall when it is seen no more;
FALLS = 0.2  # the latter also under this where the engine was out before
FALLING = np.array([1e-9, 1.0, 1.0, 1e-9, 1e-9])  # of such a track every model's likelihood: pushes unseen for minutes have no bound
REGISTRATION = (200.0, 2.0)  # m, m/s: what sensors' biases may leave in a track beyond its covariance, *notional*
COAST_STEP = 5.0  # s between two predictions of what nobody sees
AIRLESS = 150e3  # m, from where on they are made at once from where it parted, not step by step
Turns = dict[tuple[int, int], tuple[float, float]]  # by two numbers, rising: log odds, by the plots of each, that they are one
COUNTS = ("plots", "taken", "refused", "contested", "new", "dropped", "merged")  # of `Live.counts`: plots, then tracks


class Relative(NamedTuple):
    """What scans with plots of two tracks have told of the difference of their states as it was ``since`` some time s.

    ``time`` s of the last such scan; ``moved (6, 6)``: the difference then by that at first; ``sums``: by sensor the weighted
    information (6, 6) and, in the last of seven columns, that times what was seen; ``looked``: s, time of the last look at it.
    """

    since: float
    time: float
    looked: float
    moved: np.ndarray
    sums: dict[int, np.ndarray]


class Look(NamedTuple):
    """What a scan at a ``time`` s has told of objects that have parted: its ``sensor``; in standard deviations what was ``seen (m, 4)``
    beside where the parent would be, and the ``slope (m, 4, 6)`` of that by a state beside the parent's as of the first scan;
    ``echo (m,)`` m^2; ``number (m,)`` of the track that took each plot, -1 for none; ``biased (3, 3)``, 1/m^2: how well the sensor's bias
    is known."""

    time: float
    sensor: int
    slope: np.ndarray
    seen: np.ndarray
    echo: np.ndarray
    number: np.ndarray
    biased: np.ndarray


class Fan(NamedTuple):
    """Objects that have parted from one, seen ``since`` some time s: the ``parent`` as it falls; the looks, nothing when all is dealt."""

    since: float
    parent: Bank
    looks: tuple[Look, ...] | None


@dataclass(frozen=True)
class Live:
    """The tracks that one node follows now; row i of every column is one track."""

    bank: Bank
    number: np.ndarray
    hits: np.ndarray
    llr: np.ndarray
    firm: np.ndarray
    burnt: np.ndarray
    sensors: np.ndarray
    revisit: np.ndarray
    seen: np.ndarray  # s, time of the newest plot; ``bank.time`` is later where a track goes on unseen
    doubt: np.ndarray  # logarithm of how much likelier the newest plots and misses are of a track of nothing (`tracking.doubted`)
    lit: np.ndarray  # s, time at which its engine was last seen to burn; -inf: never
    above: np.ndarray  # chance that this engine has another stage above it (`phases.above`)
    slow: np.ndarray  # m/s, its least speed since its push was first followed (`phases.slowest`); inf: none acted at its newest plot
    echoes: np.ndarray  # how many it was heard by, and what it is worth to be new (`echoes`)
    strength: np.ndarray  # m^2, how strong these were in all
    misfit: np.ndarray  # logarithm of how much likelier its newest plots are if it is astray (`astray`)
    next_number: int = 0
    counts: tuple[int, ...] = (0,) * len(COUNTS)  # what became of all plots and tracks so far, as in `COUNTS`
    forest: multiscan.Forest | None = None  # by "mht" rows are leaves; those of one ``number`` are one track
    ended: tuple[tuple[int, float], ...] = ()  # numbers of tracks of some plots that are no more, and s when that was
    parted: dict[int, Bank] = field(default_factory=dict)  # by number: tracks that nobody sees, as of when they began to fall unseen
    turns: Turns = field(default_factory=dict)  # of tracks beside each other: whether they take turns (`turns`)
    relative: dict[tuple[int, int], Relative] = field(default_factory=dict)  # of such tracks: where they are to each other (`crossed`)
    fans: tuple[Fan, ...] = ()  # what has parted lately (`fans`)

    def __len__(self) -> int:
        return len(self.number)

    def __getitem__(self, rows: Any) -> Live:
        forest = None if self.forest is None else self.forest[rows]
        return replace(self, bank=self.bank[rows], forest=forest, **{n: getattr(self, n)[rows] for n in COLUMNS})

    @staticmethod
    def empty() -> Live:
        """No track yet."""
        kinds: tuple[Any, ...] = (int, int, float, bool, bool, np.uint64, float, float, float, float, float, float, float, float, float)
        columns: dict[str, Any] = {name: np.zeros(0, kind) for name, kind in zip(COLUMNS, kinds, strict=True)}
        return Live(Bank.empty(), **columns)


COLUMNS = (
    "number", "hits", "llr", "firm", "burnt", "sensors", "revisit", "seen", "doubt", "lit", "above", "slow", "echoes", "strength", "misfit",
)  # fmt: skip


def coasted(live: Live, time: float, bias: float = 0.0) -> tuple[Live, np.ndarray]:
    """The tracks with those that nobody sees moved on, and which of them, (n,), are to be dropped.

    What is firm, above the air and known to `FORESEEN` is kept however long nobody sees it; what is not, for `HOLD` if it falls there.
    A radar that looks every few seconds and sees one look in five would else drop what it begins, again and again.
    """
    quiet = np.where(live.firm, time - live.seen > np.maximum(HOLD, HOLD_SCANS * live.revisit), waiting(live, time))
    if not quiet.any():
        return live, quiet
    if len(young := np.flatnonzero(quiet & ~live.firm)):
        quiet[young] = (time - live.seen[young] > HOLD) | ~_falls_high(live.bank[young])
    falls = live.firm & (pushed(live.bank) < np.where(live.burnt, FALLS, BURNT_OUT))
    ahead = np.flatnonzero(quiet & falls & (time - live.bank.time > COAST_STEP))
    if len(ahead):
        live = _moved_on(live, ahead, time, bias)
    place, P = live.bank.x6[:, :3].copy(), live.bank.P6[:, :3, :3].copy()
    if len(burns := np.flatnonzero(quiet & live.firm & ~falls)):
        later = filters.predict(live.bank[burns], time)
        place[burns], P[burns] = later.x6[:, :3], later.P6[:, :3, :3]
    sigma = np.sqrt(np.trace(P, axis1=1, axis2=2))
    foreseen = live.firm & (altitude(place) > REENTRY_ALTITUDE) & (sigma < np.where(falls, FORESEEN, FORESEEN_BURNING))
    return live, quiet & ~foreseen


def waiting(live: Live, time: float) -> np.ndarray:
    """Which tracks (n,) are not firm, and would be dropped by now but that they may fall above the air.

    They may be anywhere in a hundred kilometres by then: they are compared with plots above the air alone (`within_reach`), not with what
    has just been launched, nor with lines of sight, as in any direction lies something that a false plot has begun.
    """
    return ~live.firm & (time - live.seen > np.maximum(HOLD_TENTATIVE, 2.5 * live.revisit))


def within_reach(live: Live, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """`pairing.reachable` of a scan; of what is `waiting` the plots above the air alone, no farther than anything falls in the time."""
    start, plot = pairing.reachable(live.bank, scan.time, *scan.seen, known=scan.spots)
    if not (waits := waiting(live, scan.time)).any():
        return start, plot
    place, blur = scan.spots or pairing.spots(*scan.seen)
    high, row = altitude(place) > AIRLESS, np.repeat(np.arange(len(live)), np.diff(start))  # of a plot without a range it is far below
    off = place[plot] - live.bank.x6[row, :3]
    reach = pairing.FASTEST * (scan.time - live.bank.time[row]) + pairing.SLACK + pairing.SIGMAS * blur[plot]
    near = off[:, 0] ** 2 + off[:, 1] ** 2 + off[:, 2] ** 2 <= reach**2
    return pairing.kept(start, plot, (high[plot] & near) | ~waits[row])


def _falls_high(bank: Bank) -> np.ndarray:
    """Which tracks (n,) are most likely of what falls above the air, as of when they were seen."""
    return (pushed(bank) < FALLS) & (altitude(bank.x6) > AIRLESS)


def foreseen_for(tracks: Tracks) -> np.ndarray:
    """For how many s (n,) after each row its object falls above the air and is known to `WELL_FORESEEN` if nobody sees it, but no
    longer than `LONGEST`; nought where something may push it.

    By the row alone.  Gravity is nowhere stronger than at the ground, so that it is surely above the air for so long.
    """
    chance, out = tracks.phase_probability, np.zeros(len(tracks))
    rows = np.flatnonzero(chance[:, BOOST] + chance[:, GLIDE] < BURNT_OUT)
    x, P = tracks.x[rows], tracks.P[rows]
    high = np.maximum(altitude(x) - REENTRY_ALTITUDE, 0.0)
    climb = (x[:, :3] * x[:, 3:]).sum(axis=1) / np.linalg.norm(x[:, :3], axis=1)
    aloft = np.where(high > 0.0, climb + np.sqrt(climb**2 + 2.0 * G0 * high), 0.0) / G0
    size, grows, speed = (np.trace(part, axis1=1, axis2=2) for part in (P[:, :3, :3], P[:, :3, 3:], P[:, 3:, 3:]))
    room = np.maximum(WELL_FORESEEN**2 - size, 0.0)
    known = room / np.maximum(grows + np.sqrt(grows**2 + speed * room), 1e-9)  # then size + 2 t grows + t^2 speed has no room left
    out[rows] = np.minimum(np.minimum(aloft, known), LONGEST)
    return out


def _moved_on(live: Live, rows: np.ndarray, time: float, bias: float) -> Live:
    """The tracks ``rows``, which nobody sees, moved on as what falls; from then on what biases have left in them grows too.

    Above the air each is predicted at once from where it parted, not step by step: over an hour what is known of it bends, and only
    points that have gone the whole way show that.
    """
    new = filters.weigh(live.bank[rows], FALLING)
    fresh = (new.time == live.seen[rows])[:, None, None]
    blur = np.diag(np.repeat(np.square(REGISTRATION), 3)) * bias**2 * fresh
    new.P[:, :, :6, :6] += blur[:, None]
    leaves = Counter(live.number.tolist())  # by "mht"; else of each number one
    kept = {n: b for n, b in live.parted.items() if leaves[n] == 1}
    begun = []
    for i, (n, seen) in enumerate(zip(live.number[rows].tolist(), live.seen[rows], strict=True)):
        one = kept.get(n)
        if one is None or one.time[0] < seen or not altitude(one.x6)[0] > AIRLESS:
            one = new[i : i + 1]
            if leaves[n] == 1:
                kept[n] = one
        begun.append(one)
    start = Bank.stack(begun)
    return replace(live, bank=with_rows(live.bank, rows, _unseen(start, time, altitude(start.x6) > AIRLESS)), parted=kept)


def _unseen(bank: Bank, time: float, high: np.ndarray) -> Bank:
    """Tracks at a time s as what falls, those ``high (n,)`` above the air in one step."""
    while (left := time - bank.time).max() > 0.0:
        bank = filters.weigh(filters.predict(bank, bank.time + np.where(high, left, np.minimum(left, COAST_STEP))), FALLING)
    return bank


def with_rows(bank: Bank, rows: np.ndarray, new: Bank) -> Bank:
    """A bank with ``new`` in the place of some rows, which rise."""
    if len(rows) == len(bank):  # all of them
        return new
    out = Bank(*(getattr(bank, n).copy() for n in Bank.__dataclass_fields__))
    for name in Bank.__dataclass_fields__:
        getattr(out, name)[rows] = getattr(new, name)
    return out


def with_ends(live: Live, before: Live, time: float, firm: int) -> Live:
    """What a scan has left of the tracks ``before`` it, with what it has ended noted: those that had, with its plot, ``firm`` of them."""
    if live.counts[-2:] == before.counts[-2:]:
        return live
    gone = before.number[(before.hits >= firm - 1) & ~np.isin(before.number, live.number)]
    return replace(live, ended=live.ended + tuple((n, time) for n in np.unique(gone).tolist()))


def ends(columns: Any, states: dict[int, Live]) -> dict[str, list[list[float]]]:
    """`Tracks.meta` of the firm tracks that are no more, by node: number, plot of the last row, and s when that was."""
    out = {}
    for node, live in sorted(states.items()):
        mine = np.flatnonzero(columns["node"] == node)
        last = dict(zip(columns["track"][mine].tolist(), mine.tolist(), strict=True))
        told = [(n, last[n], time) for n, time in live.ended if n in last and columns["firm"][last[n]]]
        out[NODES[node]] = [[n, int(columns["detection"][row]), time] for n, row, time in told]
    return out
