"""What nations know of tracks, and what their radars are told of it: `told` makes the cues of one step, or of several at once.

Whatever a cue of a step is made of was known before it began, so the cues of many steps are made from tables that reach behind
them all: the same, to the bit, as step after step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from copfuse import filters, numbering
from copfuse.ahead import predicted
from copfuse.coasting import REGISTRATION
from copfuse.constants import EARTH_OMEGA, MU, NODES
from copfuse.filters import Bank
from copfuse.frames import altitude
from copfuse.kernels.newest import newest
from copfuse.numbering import first_and_place
from copfuse.phases import push, pushed
from copfuse.tables import CUE, TRACK, Messages, Tracks
from copfuse.volumes import ALL_CUES, CUE_SHARE, Cues

REACTION = 10.0  # s from when a nation knows of an object until its radars look there, *notional*
VAGUE = 50e3  # m, standard deviation of the position from which on nobody is told to look for it, *notional*
STEPS = 2**20  # more than there are
HUB = NODES.index("HUB")
ALWAYS = np.array([[-np.inf] * len(NODES), [np.inf] * len(NODES)])


@dataclass(frozen=True)
class Heard:
    """What nodes know of tracks: ``node (n,)`` knows ``row (n,)`` of ``tracks`` from ``known (n,)`` s on.

    Each node is told of it in steps that begin after the first and by the second of its times ``within (2, 4)`` s.
    """

    tracks: Tracks
    node: np.ndarray
    row: np.ndarray
    known: np.ndarray
    within: np.ndarray = field(default_factory=lambda: ALWAYS)


@dataclass(frozen=True)
class Ahead:
    """Rows ``row (n,)`` as nodes ``node (n,)``, which know them, foresee them at a time.

    Each was foreseen first in the step that began at ``begun (n,)`` s; those of which nobody is told any more are ``out (n,)``.
    """

    node: np.ndarray
    row: np.ndarray
    begun: np.ndarray
    bank: Bank
    out: np.ndarray


@dataclass(frozen=True)
class Foreseen:
    """`Ahead` of several steps: line i of ``of``, which has no bank, is of the step number ``step[i]`` and row ``at[i]`` of ``bank``."""

    step: np.ndarray
    of: Ahead
    at: np.ndarray
    bank: Bank

    def after(self, step: int) -> Ahead:
        """What is foreseen in one of the steps."""
        some = np.flatnonzero(self.step == step)
        return Ahead(self.of.node[some], self.of.row[some], self.of.begun[some], self.bank[self.at[some]], self.of.out[some])


def heard(tracks: Tracks, messages: Messages) -> Heard:
    """What nations know of local tracks: their own firm rows, and rows of tracks and infrared cues that have arrived."""
    own = np.flatnonzero(tracks.firm)
    sent = (messages.kind == TRACK) | (messages.kind == CUE)
    came = np.flatnonzero(sent & np.isfinite(messages.arrived) & (messages.target != HUB))
    columns = (tracks.node[own], messages.target[came]), (own, messages.row[came]), (tracks.time[own], messages.arrived[came])
    return Heard(tracks, *(np.concatenate(parts) for parts in columns))


class Newest(NamedTuple):
    """What is newest of a track as its nation ``key (n,)`` knows it, in which ``step (n,)``: the line ``entry (n,)`` of `Heard`; its cue
    begins at ``start (n,)`` s.  In order of key, then step; the steps of a key have no gap."""

    key: np.ndarray
    step: np.ndarray
    entry: np.ndarray
    start: np.ndarray


def told(known: Heard, scenario: Any, begins: np.ndarray, before: Ahead | None = None) -> tuple[Cues, Foreseen]:
    """The cues of the steps that begin at ``begins (k,)`` s, one `REACTION` after the other: of every track that a nation knows for so
    long the newest row known so long.

    What has come down, or is no longer known to `VAGUE`, is left out, until its track is heard of again.  ``before`` is what
    was foreseen in the step before, from where this goes on; each nation from what it foresaw itself.
    """
    found = _newest(known, begins)
    slack = np.diag((scenario.bias * np.repeat(REGISTRATION, 3)) ** 2)
    ahead = _foreseen(known, found, begins, slack, before)
    kept = np.flatnonzero(~ahead.of.out)
    kept = kept[np.lexsort((found.key[kept], found.step[kept]))]
    entry, at, bank = found.entry[kept], ahead.at[kept], ahead.bank
    row, acceleration = known.row[entry], _falling(bank.x6) + push(bank)[0] * pushed(bank)[:, None]
    cues = Cues(
        node=known.node[entry], begin=found.start[kept], end=begins[found.step[kept]] + REACTION, time=bank.time[at], x=bank.x6[at],
        P=(bank.P6 + slack)[at], acceleration=acceleration[at], share=np.full(len(kept), CUE_SHARE),
        source=known.tracks.node[row], row=row, known=known.known[entry],
    )  # fmt: skip
    return cues, ahead


def _newest(known: Heard, begins: np.ndarray) -> Newest:
    tracks, node, row = known.tracks, known.node, known.row
    some, key = first_and_place(numbering.tracks(node.astype(np.int64) * len(NODES) + tracks.node[row], tracks.track[row]))
    start, line = np.empty((len(some), len(begins))), np.empty((len(some), len(begins)), int)
    newest(key, known.known, tracks.time[row], begins, REACTION, start, line)
    since, until = known.within[:, node[some], None]
    key, step = np.nonzero((start < begins + REACTION) & (line >= 0) & (since < begins) & (begins <= until))
    return Newest(key, step, line[key, step], start[key, step])


def _foreseen(known: Heard, found: Newest, begins: np.ndarray, slack: np.ndarray, before: Ahead | None) -> Foreseen:
    """What is newest, in the middle of its steps: each row from itself, or from where its nation foresaw it in the step before.

    What several nations foresee alike, from the same row and the same step on, is one line, and is foreseen once.
    """
    node, row, new = known.node[found.entry], known.row[found.entry], np.ones(len(found.key), bool)
    new[1:] = (found.key[1:] != found.key[:-1]) | (row[1:] != row[:-1])
    head, of = np.flatnonzero(new), np.cumsum(new) - 1
    was = _places(node[head], row[head], found.step[head], before)
    begun = begins[found.step[head]]
    if before is not None and len(before.row):
        begun = np.where(was >= 0, before.begun[was], begun)
    _, some, line = np.unique(row[head] * STEPS + np.rint(begun / REACTION).astype(int), return_index=True, return_inverse=True)
    line, behind = line[of], np.arange(len(of)) - head[of]
    lines = _Lines(known.tracks, row[head[some]], begins[found.step[head[some]]] + 0.5 * REACTION, was[some], before, slack)
    out, at = lines.follow(line, behind)
    return Foreseen(found.step, Ahead(node, row, begun[of], Bank.empty(), out), at, Bank.stack(lines.banks))


def _places(node: np.ndarray, row: np.ndarray, step: np.ndarray, before: Ahead | None) -> np.ndarray:
    """Where in ``before`` the rows (n,) of the first step are, as their nodes know them; -1: nowhere."""
    was = np.full(len(row), -1)
    if before is not None and len(before.row):
        have = {one: i for i, one in enumerate(zip(before.node.tolist(), before.row.tolist(), strict=True))}
        for i in np.flatnonzero(step == 0).tolist():
            was[i] = have.get((int(node[i]), int(row[i])), -1)
    return was


class _Lines:
    """Rows (n,) foreseen first at a time (n,) s and then again every `REACTION`, all side by side, each until it is out."""

    def __init__(self, tracks: Tracks, row: np.ndarray, time: np.ndarray, was: np.ndarray, before: Ahead | None, slack: np.ndarray) -> None:
        """``was (n,)``: the rows' places in ``before``, or -1."""
        self.time, self.slack, self.banks, self.many = time, slack, list[Bank](), 0
        self.at, self.out = np.zeros(len(row), int), np.zeros(len(row), bool)
        fresh, old = np.flatnonzero(was < 0), np.flatnonzero(was >= 0)
        self._put(fresh, predicted(tracks, row[fresh], time[fresh]))
        if before is not None and len(old):
            self.out[old] = before.out[was[old]]
            gone, live = old[self.out[old]], old[~self.out[old]]
            self._put(gone, before.bank[was[gone]])
            self._put(live, filters.predict(before.bank[was[live]], time[live]))

    def _put(self, some: np.ndarray, bank: Bank) -> None:
        """What some lines have become; out is what has come down, or is no longer known to `VAGUE`."""
        sigma = np.sqrt(np.einsum("naa->n", bank.P6[:, :3, :3] + self.slack[:3, :3]))
        self.out[some] |= ~((sigma < VAGUE) & (altitude(bank.x6) > 0.0))
        self.at[some] = self.many + np.arange(len(some))
        self.banks.append(bank)
        self.many += len(some)

    def _move(self, some: np.ndarray, behind: int) -> None:
        """Some lines, none of them out, ``behind`` steps after their first."""
        bank = Bank.stack(self.banks)[self.at[some]] if behind == 1 else self.banks[-1][self.at[some] - self.many + len(self.banks[-1])]
        self._put(some, filters.predict(bank, self.time[some] + behind * REACTION))

    def follow(self, line: np.ndarray, behind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether line ``line (m,)`` is out ``behind (m,)`` steps after its first, and where it then is in the stacked banks."""
        longest = np.zeros(len(self.at), int)
        np.maximum.at(longest, line, behind)
        out, at = self.out[line], self.at[line]
        for step in range(1, int(behind.max(initial=0)) + 1):
            live = np.flatnonzero((longest >= step) & ~self.out)
            if len(live) == 0:
                break
            self._move(live, step)
            now = np.flatnonzero(behind >= step)
            out[now], at[now] = self.out[line[now]], self.at[line[now]]
        return out, at


def shared_out(cues: Cues) -> Cues:
    """Cues of steps, each with `CUE_SHARE` of a radar's time for search or its part of `ALL_CUES`, by the most of one source."""
    _, step = np.unique(cues.end, return_inverse=True)
    radars = step * len(NODES) + cues.node
    many = np.bincount(radars * len(NODES) + cues.source, minlength=(radars.max(initial=-1) + 1) * len(NODES))
    share = np.minimum(CUE_SHARE, ALL_CUES / np.maximum(many.reshape(-1, len(NODES)).max(axis=1), 1))[radars]
    return Cues.of({**{name: getattr(cues, name) for name in Cues.COLUMNS}, "share": share}, cues.meta)


def _falling(x: np.ndarray) -> np.ndarray:
    """Acceleration (n, 3) m/s^2 of free fall over a turning Earth, of states ``x (n, 6)``: enough for a few seconds."""
    away = np.linalg.norm(x[:, :3], axis=1, keepdims=True)
    pull = -MU * x[:, :3] / away**3
    pull[:, :2] += EARTH_OMEGA * (EARTH_OMEGA * x[:, :2])  # centrifugal, and Coriolis
    pull[:, 0] += 2.0 * (EARTH_OMEGA * x[:, 4])
    pull[:, 1] -= 2.0 * (EARTH_OMEGA * x[:, 3])
    return pull
