"""Which local tracks, from whom, stand in which system track of a node at which time: one system track for one object.

All sources are judged together: a system track costs the sum, over the pairs of its members, of their squared distance less a
threshold, and holds one track of each source.  One source's tracks after the other are put where that sum is least, all at once
and optimally (`kernels.assignment`), the other sources' staying where they are, until nothing changes; the sum only falls, so
this ends, and with two sources it is the least there is.  What stands together has a bonus (hysteresis), so that a pairing
goes only for evidence against it or for another one that is better by more than that.

What finds no place is one more object, unless it is too blurred to tell: a young track of plots of several objects is wide, and yet too
sure of itself, most of all of its velocity, which leads from one's plot to another's; and it stands beside what another source knows much
better.  It has no number until it is surely elsewhere, or another source has it too.  (Of its own source's tracks it is told by that
source, plot by plot.)
"""

from __future__ import annotations

from functools import cache
from operator import attrgetter

import numpy as np

from copfuse.constants import NODES
from copfuse.entries import SILENT, Entry, note_braked, visible
from copfuse.filters import Bank
from copfuse.kernels.assignment import assign, assign_pairs
from copfuse.kernels.distances import squared_distances
from copfuse.kernels.gating import box_pairs

JOIN = 27.9  # squared distance under which two nations' tracks are one object: chi-squared, 6 components, 1e-4
PART = 90.0  # and above which they are not, whatever there was between them before
KEEP = 5.0  # what a pairing that stands has over one that would be new, in squared distance, *notional*
TOLD = 200.0  # from what is known much better a blurred one is told only above this: plots of several objects widen no covariance
STRANGE = 21.1  # squared difference of velocities from which on one flies otherwise than another: chi-squared, 3 components, 1e-4
BLURRED = 3.0  # times as large a standard deviation as the other's, in position, is much, *notional*
UNASKED = 1e18  # m^2, m^2/s^2: variance of what is not to count in a distance
ONLY = 0.1  # what it is still worth while nothing better offers, between JOIN and PART
RECHECK = 4.0  # s between looks at whether what stands together still belongs together
LAP = 2.0  # s by which the lives of the two may overlap, *notional*
ROUNDS = 8  # of all sources at most; two are the rule
_AGE, _PLACE = attrgetter("last", "first"), attrgetter("source", "first", "row")


# One look --------------------------------------------------------------------------------------------------------------


def correlate(live: list[Entry], known: tuple[np.ndarray, Bank], slack: np.ndarray, next_system: int) -> int:
    """Put every entry where it belongs at a time, in place; returns the next free system number.

    ``slack`` (6,): variances that are added to every difference.  ``known``: rows, rising, and what `predicted` makes of them at that
    time.  Where members move or part, a number stays with those of them that are known best; where two system tracks become one, the
    older number does.
    """
    heads = _heads(visible(live))
    if not heads:
        return next_system
    number = min((e.system for e in heads if e.system >= 0), default=next_system)
    if (len(heads) == len(live) or all(e.system == number for e in heads)) and _as_one(heads, known, slack):
        for e in heads:
            e.system, e.faint = number, False
        return max(next_system, number + 1)
    source, row, label = (np.array([getattr(e, name) for e in heads]) for name in ("source", "row", "system"))
    life = np.array([e.first for e in heads]), np.array([e.last for e in heads])
    label = np.where(label >= 0, label, -2 - np.arange(len(heads)))
    before = label.copy()
    silent = _silent(source, life[1])
    at = np.searchsorted(known[0], row)
    x, P = known[1].x6[at], known[1].P6[at]
    near = _near(label, x, P, slack)
    _note_beside(heads, source, life[1], *near, x, P)
    i, j, d2 = _judged(source, life, silent, *near, x, P, slack)
    apart = (label[i] == label[j]) & (d2 > PART)
    if note_braked(heads, i[apart], j[apart], x, float(known[1].time[0])):
        return correlate(live, known, slack, next_system)
    _part(i, j, d2, life[1], label)
    _descend(i, j, d2, source, silent & (before >= 0), label)  # what is heard of late has a place to find, silent or not
    weight = 1.0 / np.einsum("naa->n", P[:, :3, :3])
    _exchange(live, heads, before, label, weight)
    _note_faint(heads, source, label, x, P, slack)
    return _number(live, heads, before, label, weight, next_system)


def _heads(live: list[Entry]) -> list[Entry]:
    """The entries that count: of one source and system track the newest, which succeeds the others.

    One that is heard again although it had a successor shows that the two are two: the younger one leaves.
    """
    newest: dict[tuple[int, int], Entry] = {}
    loose = []
    for e in sorted(live, key=_AGE):
        other = newest.get((e.system, e.source))
        if e.system < 0:
            loose.append(e)
            continue
        if other is not None and other.last > e.first + LAP and e.last > other.first + LAP:
            young, e = (e, other) if e.first > other.first else (other, e)
            young.system = -1
            loose.append(young)
        newest[e.system, e.source] = e
    return sorted([*newest.values(), *loose], key=_PLACE)


def _as_one(heads: list[Entry], known: tuple[np.ndarray, Bank], slack: np.ndarray) -> bool:
    """Whether entries are one each of several sources, of which any two are worth standing together.

    So it mostly is of one missile, and then the least sum is that of all: what stands together is worth something up to `PART`.
    """
    if len({e.source for e in heads}) < len(heads):
        return False
    if len(heads) < 2:
        return True
    at, system = np.searchsorted(known[0], [e.row for e in heads]), np.array([e.system for e in heads])
    i, j = pairs(len(heads))
    d2 = squared_distances(known[1].x6[at], known[1].P6[at], i, j, slack)
    return bool(np.where((system[i] == system[j]) & (system[i] >= 0), d2 <= PART, d2 < JOIN).all())


@cache
def pairs(n: int) -> tuple[np.ndarray, ...]:
    """All pairs i < j of so many, as many as there are sources."""
    return np.triu_indices(n, 1)


def _silent(source: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Which entries (n,) have not been heard while others of their source were."""
    clock = np.full(len(NODES), -np.inf)
    np.maximum.at(clock, source, last)
    return clock[source] - last > SILENT


def _near(label: np.ndarray, x: np.ndarray, P: np.ndarray, slack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs i < j of entries that stand near one another or as one, from ``x (n, 6), P (n, 6, 6)``; not all pairs are looked at."""
    centre, n = np.ascontiguousarray(x[:, :3]), len(x)
    half = np.sqrt(2.0 * PART * (np.einsum("naa->na", P[:, :3, :3]) + slack[:3]))  # of a pair, the blurred one's box holds the other
    start, other = box_pairs(centre, half, centre)
    one, two = _together(label)
    a, b = np.r_[np.repeat(np.arange(n), np.diff(start)), one], np.r_[other, two]
    i, j = np.divmod(np.unique((np.minimum(a, b) * n + np.maximum(a, b))[a != b]), n)
    return i, j


def _note_beside(
    heads: list[Entry], source: np.ndarray, last: np.ndarray, i: np.ndarray, j: np.ndarray, x: np.ndarray, P: np.ndarray
) -> None:
    """Note, in place, of near pairs of one source, which entry is silent while the other, which may be taken for it, is heard."""
    variance = np.einsum("naa->na", P[:, :3, :3])
    close = ((x[i, :3] - x[j, :3]) ** 2 <= JOIN * (variance[i] + variance[j])).all(axis=1)
    for k in np.where(last[i] < last[j], i, j)[close & (source[i] == source[j]) & (last[i] != last[j])].tolist():
        heads[k].beside = True


def _judged(
    source: np.ndarray, life: tuple[np.ndarray, np.ndarray], silent: np.ndarray, i: np.ndarray, j: np.ndarray, x: np.ndarray, P: np.ndarray,
    slack: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Of near pairs those that may be of one object, and their squared distances; ``life``: each entry's first and last time.

    They are of two sources, or one has fallen silent before the other, of the same source, was heard.
    """
    first, last = life
    gone, new = np.where(silent[i], i, j), np.where(silent[i], j, i)
    may = (source[i] != source[j]) | ((silent[i] != silent[j]) & (first[new] >= last[gone] - LAP))
    i, j = i[may], j[may]
    return i, j, squared_distances(x, P, i, j, slack)


def _together(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of entries that stand in one system track."""
    known = np.flatnonzero(label >= 0)
    order = known[np.argsort(label[known], kind="stable")]
    one, two = [np.zeros(0, int)], [np.zeros(0, int)]
    for apart in range(1, len(order)):
        same = np.flatnonzero(label[order[apart:]] == label[order[:-apart]])
        if len(same) == 0:
            break
        one.append(order[same])
        two.append(order[same + apart])
    return np.concatenate(one), np.concatenate(two)


def _part(i: np.ndarray, j: np.ndarray, d2: np.ndarray, last: np.ndarray, label: np.ndarray) -> None:
    """Take out, one by one, who is farthest from the rest of a system track that has drifted apart, in place; of two the one heard of
    less lately, ``last (n,)``."""
    while True:
        same = label[i] == label[j]
        apart = same & (d2 > PART)
        if not apart.any():
            return
        away = np.bincount(i[same], d2[same], len(label)) + np.bincount(j[same], d2[same], len(label))
        torn = np.unique(np.r_[i[apart], j[apart]])
        worst = torn[np.lexsort((-last[torn], away[torn]))[-1]]
        label[worst] = -2 - len(label) - worst


def _descend(i: np.ndarray, j: np.ndarray, d2: np.ndarray, source: np.ndarray, rests: np.ndarray, label: np.ndarray) -> None:
    """One source after the other anew against the rest, in place, until nothing changes; those that ``rests (n,)`` says stay."""
    stood = label[i] == label[j]
    cost = np.where(stood, np.minimum(d2 - JOIN - KEEP, -ONLY), d2 - JOIN)
    cost[d2 > PART] = np.inf
    a, b, c = np.r_[i, j], np.r_[j, i], np.r_[cost, cost]
    for _ in range(ROUNDS):
        moved = [_place(a, b, c, (source == s) & ~rests, label) for s in np.unique(source)]
        if not any(moved):
            return


def _place(a: np.ndarray, b: np.ndarray, cost: np.ndarray, mine: np.ndarray, label: np.ndarray) -> bool:
    """The entries ``mine`` (n,) anew, optimally, in place; whether that was any better.  Pairs (a, b) in both directions."""
    rows = np.flatnonzero(mine)
    systems, size = np.unique(label[~mine], return_counts=True)
    if len(rows) == 0 or len(systems) == 0:
        return False
    use = mine[a] & ~mine[b]
    row, column = np.searchsorted(rows, a[use]), np.searchsorted(systems, label[b[use]])
    key, back = np.unique(row * len(systems) + column, return_inverse=True)
    whole = np.bincount(back, minlength=len(key)) == size[key % len(systems)]  # near every member, not some of them
    total = np.bincount(back, cost[use], len(key))
    key, total = key[whole & (total < 0.0)], total[whole & (total < 0.0)]
    start = np.searchsorted(key // len(systems), np.arange(len(rows) + 1))
    held, _ = assign_pairs(start, key % len(systems), total, np.zeros(len(rows)), len(systems))
    stands = np.searchsorted(systems, label[rows])
    inside = systems[np.minimum(stands, len(systems) - 1)] == label[rows]
    was = (np.arange(len(rows)) * len(systems) + stands)[inside]
    where = np.searchsorted(key, was)
    old = total[where].sum() if len(np.intersect1d(was, key)) == len(was) else np.inf
    if total[held[held >= 0]].sum() >= old - 1e-9:
        return False
    alone = np.flatnonzero((held < 0) & inside)
    label[rows[alone]] = label.min() - 2 - np.arange(len(alone))
    label[rows[held >= 0]] = systems[key[held[held >= 0]] % len(systems)]
    return True


def _note_faint(heads: list[Entry], source: np.ndarray, label: np.ndarray, x: np.ndarray, P: np.ndarray, slack: np.ndarray) -> None:
    """Note, in place, which entries that have found no place, and no other one to share a new one with, are too blurred to be told from
    one of another ``source (n,)`` that stands in a system track and is much better.

    Place and velocity together do not tell them from it; or they are where some are, and fly as none of these.
    """
    for e in heads:
        e.faint = False
    new, many = np.unique(label, return_counts=True)
    alone = np.flatnonzero(np.isin(label, new[(new < 0) & (many == 1)]))
    if len(alone) in (0, len(label)):
        return
    centre, variance = np.ascontiguousarray(x[:, :3]), np.einsum("naa->na", P[:, :3, :3])
    size = variance.sum(axis=1)
    most = variance[alone] + size[alone, None] / BLURRED**2 + slack[:3]  # of the difference to anything that much better known
    start, other = box_pairs(np.ascontiguousarray(centre[alone]), np.sqrt(TOLD * most), centre)
    wide = np.repeat(alone, np.diff(start))
    beside = (label[other] >= 0) & (source[other] != source[wide]) & (size[wide] > BLURRED**2 * size[other])
    pair = wide, other = wide[beside], other[beside]
    place, velocity = (squared_distances(x, P, *pair, slack + np.repeat(rest, 3)) for rest in ([0.0, UNASKED], [UNASKED, 0.0]))
    there = place <= TOLD
    least = np.full(len(x), np.inf)
    np.minimum.at(least, wide[there], velocity[there])
    for k in wide[(squared_distances(x, P, *pair, slack) <= TOLD) | (there & (least[wide] > STRANGE))].tolist():
        heads[k].faint = True


def _exchange(live: list[Entry], heads: list[Entry], before: np.ndarray, label: np.ndarray, weight: np.ndarray) -> None:
    """Let system tracks between which members have moved exchange their numbers, in place, so that the most ``weight (n,)`` of members
    keeps its number: who looks at a picture has seen what is known best, not what a blurred newcomer or another nation says of it."""
    moved = (before >= 0) & (before != label)
    some = np.intersect1d(np.r_[before[moved], label[moved]], label)
    if len(some) < 2:
        return
    here = np.flatnonzero(np.isin(before, some) & np.isin(label, some))
    old, new = np.searchsorted(some, before[here]), np.searchsorted(some, label[here])
    stood = np.bincount(new * len(some) + old, weight[here], len(some) ** 2).reshape(len(some), -1)
    stood = stood + 1e-9 * stood.sum() * np.eye(len(some))  # of two that are as good, what is
    number = dict(zip(some.tolist(), some[assign(-stood, np.full(len(some), np.inf))].tolist(), strict=True))
    label[:] = [number.get(k, k) for k in label.tolist()]
    counted = {id(e) for e in heads}
    for e in live:
        if id(e) not in counted:
            e.system = number.get(e.system, e.system)


def _number(
    live: list[Entry], heads: list[Entry], before: np.ndarray, label: np.ndarray, weight: np.ndarray, next_system: int
) -> int:  # fmt: skip
    """Give the entries their system tracks' numbers, in place: where all of one went over to a younger one, its number too; where some
    parted from it and the rest went over, its number stays with those who parted, the most of ``weight (n,)``; none to those that are
    faint."""
    name: dict[int, int] = {}
    for old in np.setdiff1d(before[before >= 0], label).tolist():  # from the oldest on
        went, of = np.unique(label[before == old], return_inverse=True)
        known = np.bincount(of.ravel(), weight[before == old])
        new = [k for k in np.argsort(-known, kind="stable") if went[k] < 0 and int(went[k]) not in name]
        if new:
            name[int(went[new[0]])] = old
        elif len(went) == 1 and went[0] > old:
            name.setdefault(int(went[0]), old)
    for k in np.flatnonzero((label < 0) & ~np.array([e.faint for e in heads])):
        if int(label[k]) not in name:
            name[int(label[k])], next_system = next_system, next_system + 1
    if len(heads) < len(live):
        counted = {id(e) for e in heads}
        for e in live:
            if id(e) not in counted:
                e.system = name.get(e.system, e.system)
    for e, new in zip(heads, label.tolist(), strict=True):
        e.system = -1 if e.faint else name.get(new, new)
    return next_system
