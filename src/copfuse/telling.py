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
from copfuse.constants import NODES
from copfuse.filters import Bank
from copfuse.kernels import foresight
from copfuse.kernels import newest as kernel
from copfuse.numbering import first_and_place
from copfuse.phases import push, pushed
from copfuse.tables import CUE, TRACK, Messages, Tracks
from copfuse.volumes import ALL_CUES, CUE_SHARE, Cues

REACTION = 10.0  # s from when a nation knows of an object until its radars look there, *notional*
VAGUE = 50e3  # m, standard deviation of the position from which on nobody is told to look for it, *notional*
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


_NOTHING = Ahead(np.zeros(0, int), np.zeros(0, int), np.zeros(0), Bank.empty(), np.zeros(0, bool))


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
    """What is newest of a track as its nation ``node (n,)`` knows it, by the number ``key (n,)``, in which ``step (n,)``: the line
    ``entry (n,)`` of `Heard`; its cue begins at ``start (n,)`` s.  In order of key, then step; the steps of a key have no gap."""

    node: np.ndarray
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
    bank, n = ahead.bank, int(np.count_nonzero(~ahead.of.out))
    columns: dict[str, Any] = {name: np.empty((n, *shape), kind) for name, (kind, shape) in Cues.COLUMNS.items() if name != "share"}
    foresight.cues(
        ahead.of.out, ahead.at, tuple(found), known.row, known.known, known.tracks.node, begins, REACTION, slack,
        (bank.time, bank.x6, bank.P6), np.linalg.norm(bank.x6[:, :3], axis=1) ** 3, push(bank)[0], pushed(bank),
        np.zeros(len(begins) + 1, int), *columns.values(),
    )  # fmt: skip
    return Cues(share=np.full(n, CUE_SHARE), **columns), ahead


def _newest(known: Heard, begins: np.ndarray) -> Newest:
    tracks, row, steps = known.tracks, known.row, len(begins)
    first, key = first_and_place(numbering.tracks(known.node.astype(int) * len(NODES) + tracks.node[row], tracks.track[row]))
    start, line = np.empty((len(first), steps)), np.empty((len(first), steps), int)
    kernel.newest(key, known.known, tracks.time[row], begins, REACTION, start, line)
    found, begin = np.empty((4, start.size), int), np.empty(start.size)
    n = kernel.heeded(known.node[first], known.within, begins, REACTION, start, line, *found, begin)
    return Newest(found[0, :n], found[1, :n], found[2, :n], found[3, :n], begin[:n])


def _foreseen(known: Heard, found: Newest, begins: np.ndarray, slack: np.ndarray, before: Ahead | None) -> Foreseen:
    """What is newest, in the middle of its steps: each row from itself, or from where its nation foresaw it in the step before.

    What several nations foresee alike, from the same row and the same step on, is one line, and is foreseen once.
    """
    n, old = len(found.key), before or _NOTHING
    (row, line, behind, first, was), (begun, time) = np.empty((5, n), int), np.empty((2, n))
    last, chain = np.full((2, len(known.tracks)), -1), np.empty((3, max(n, len(old.row))), int)
    many = foresight.lines(
        found.key, found.node, found.entry, known.row, found.step, begins, 0.5 * REACTION, old.node, old.row, old.begun, last, chain,
        row, line, behind, begun, first, was, time,
    )  # fmt: skip
    first, was, time, gone = first[:many], was[:many], time[:many], np.zeros(many, bool)
    fresh, again = np.flatnonzero(was < 0), np.flatnonzero(was >= 0)
    bank = predicted(known.tracks, first[fresh], time[fresh])
    if len(again):
        gone[again] = old.out[was[again]]
        rest, live = again[gone[again]], again[~gone[again]]
        bank = Bank.stack([bank, old.bank[was[rest]], filters.predict(old.bank[was[live]], time[live])])
        order = np.concatenate([fresh, rest, live])
        time, gone, line = time[order], gone[order], np.argsort(order)[line]
    out, at, bank = _followed(time, bank, gone | _lost(bank, slack), slack, line, behind)
    return Foreseen(found.step, Ahead(found.node, row, begun, Bank.empty(), out), at, bank)


def _followed(
    time: np.ndarray, bank: Bank, gone: np.ndarray, slack: np.ndarray, line: np.ndarray, behind: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Bank]:  # fmt: skip
    """Lines (n,) that are ``bank`` at ``time (n,)`` s, foreseen again every `REACTION` until they are out, as some are ``gone (n,)`` then.

    Whether line ``line (m,)`` is out ``behind (m,)`` steps later, and where it then is in a bank of all.
    """
    n, steps = len(time), int(behind.max(initial=0))
    if steps == 0:
        return gone[line], line, bank
    longest, over, banks, many = np.zeros(n, int), np.where(gone, 0, steps + 1), [bank], n
    np.maximum.at(longest, line, behind)
    at = np.empty((steps + 1, n), int)
    at[0] = np.arange(n)
    for step in range(1, steps + 1):
        live = np.flatnonzero((longest >= step) & (over >= step))
        if len(live) == 0:
            break
        first = many - len(banks[-1])
        banks.append(filters.predict(banks[-1][at[step - 1, live] - first], time[live] + step * REACTION))
        at[step] = at[step - 1]
        at[step, live] = many + np.arange(len(live))
        over[live[_lost(banks[-1], slack)]] = step
        many += len(live)
    return behind >= over[line], at[np.minimum(behind, over[line]), line], Bank.stack(banks)


def _lost(bank: Bank, slack: np.ndarray) -> np.ndarray:
    """What has come down, or is no longer known to `VAGUE` where biases leave ``slack (6, 6)``: (n,) booleans."""
    out = np.empty(len(bank), bool)
    foresight.lost(bank.x6, bank.P6, slack, VAGUE, out)
    return out


def shared_out(cues: Cues) -> Cues:
    """Cues of steps, in their order, each with `CUE_SHARE` of a radar's time for search or its part of `ALL_CUES`, by the most of one
    source."""
    share = np.empty(len(cues))
    foresight.shares(cues.end, cues.node, cues.source, CUE_SHARE, ALL_CUES, np.empty((len(NODES), len(NODES)), int), share)
    return Cues.of({**{name: getattr(cues, name) for name in Cues.COLUMNS}, "share": share}, cues.meta)
