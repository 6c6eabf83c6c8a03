"""Tracks that take turns at one object's plots.

Biased radars see one object in several places.  Where these are farther apart than gates are wide, each radar's plots make a track of
their own, as sure of itself as if it were alone: their distance does not fall to what makes two tracks doubles (`pairing.doubles`).
What tells them from tracks of two objects is that hardly a scan has plots of both: who sees the fainter of two objects side by side
mostly sees the brighter one, too.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from copfuse import echoes, filters, pairing, starting
from copfuse.coasting import REGISTRATION, Live, Turns, with_rows
from copfuse.filters import Bank
from copfuse.kernels.gating import box_pairs
from copfuse.scanning import Scan

REAL, GHOST = 0.3, 0.05  # chance of a plot of the other one beside a plot of the fainter: of two objects, at least, of one, *notional*
BOTH, ALONE = math.log(GHOST / REAL), math.log((1.0 - GHOST) / (1.0 - REAL))
ONE = 4.0  # logarithm of the odds from which on two are taken to be one, if the plots of each say so
BESIDE = 27.9  # squared distance, with what biases may leave, up to which two may be one: chi-squared, 6 components, 1e-4
REACH = 20e3  # m: tracks farther apart than this are never compared


def joined(live: Live, hit: np.ndarray, drop: np.ndarray, scan: Scan) -> tuple[Live, np.ndarray]:
    """The tracks after a scan with plots of the tracks ``hit``, and which (n,) are to be dropped: ``drop``, and of two that take turns
    at one object's plots the one of fewer plots, whose estimate the other one takes in.
    """
    if live.forest is not None or scan.bias == 0.0 or np.count_nonzero(live.firm) < 2:
        return live, drop
    turns, one = counted(live, hit[live.firm[hit]], scan.time, np.repeat(np.square(REGISTRATION), 3) * scan.bias**2)
    drop = drop.copy()
    for a, b in one:
        if not (drop[a] or drop[b]):
            keep, go = (a, b) if (live.hits[a], -a) > (live.hits[b], -b) else (b, a)
            drop[go] = True
            live = _taken_in(live, keep, go, scan)
    return replace(live, turns=turns), drop


def counted(live: Live, hit: np.ndarray, time: float, slack: np.ndarray) -> tuple[Turns, list[tuple[int, int]]]:
    """What is known of turns after a scan at ``time`` s, and the rows of every two tracks that are one.

    ``slack (6,)``: variances that biases may leave in a difference.  Page's test (see `tracking.doubted`) for either of two tracks: how
    often the other one is seen when it is.  Only firm tracks count, for clutter's take anything; two that echo differently are not one.
    """
    i, j = _near(live, hit, time)
    if len(i) == 0:
        return live.turns, []
    both = np.isin(j, hit)
    number, there = live.number.tolist(), set(live.number.tolist())
    turns = {pair: told for pair, told in live.turns.items() if there.issuperset(pair)}
    for pair in {(number[a], number[b]) for a, b in zip(i[both].tolist(), j[both].tolist(), strict=True)} & turns.keys():
        turns[pair] = max(turns[pair][0] + BOTH, 0.0), max(turns[pair][1] + BOTH, 0.0)
    i, j = i[~both], j[~both]
    beside = _squared(live.bank, i, j, time, slack) <= BESIDE
    one = []
    for a, b in zip(i[beside].tolist(), j[beside].tolist(), strict=True):
        pair = min(number[a], number[b]), max(number[a], number[b])
        first, second = turns.get(pair, (0.0, 0.0))
        turns[pair] = (first + ALONE, second) if number[a] == pair[0] else (first, second + ALONE)
        if min(turns[pair]) >= ONE and not echoes.unlike(live.echoes, live.strength, a, b):
            one.append((a, b))
    return turns, one


def _near(live: Live, hit: np.ndarray, time: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a track of ``hit`` and another firm one that may be near it at ``time``."""
    other, x = np.flatnonzero(live.firm), live.bank.x6
    moved = x[other, :3] + x[other, 3:] * (time - live.bank.time[other])[:, None]
    start, found = box_pairs(moved, np.full(moved.shape, REACH), np.ascontiguousarray(x[hit, :3]))
    i, j = hit[found], np.repeat(other, np.diff(start))
    near = (i != j) & (((x[i, :3] - x[j, :3]) ** 2).sum(axis=1) <= pairing.APART**2)  # as `pairing.doubles` has it
    return i[near], j[near]


def _squared(bank: Bank, i: np.ndarray, j: np.ndarray, time: float, slack: np.ndarray) -> np.ndarray:
    """Squared distances (k,) of tracks i, which are of ``time``, and j."""
    once, again = np.unique(j, return_inverse=True)
    other = filters.predict(bank[once], time)
    d = bank.x6[i] - other.x6[again]
    S = bank.P6[i] + other.P6[again] + np.diag(slack)
    return np.einsum("ni,ni->n", d, np.linalg.solve(S, d[:, :, None])[:, :, 0])


def _taken_in(live: Live, keep: int, go: int, scan: Scan) -> Live:
    """The tracks, that of row ``keep`` with what that of row ``go`` knows."""
    one, other = (filters.predict(live.bank[np.array([row])], scan.time) for row in (keep, go))
    now: dict[str, Any] = {
        name: getattr(live, name).copy() for name in ("sensors", "revisit", "seen", "lit", "above", "slow", "echoes", "strength", "misfit")
    }
    newest = keep if live.seen[keep] >= live.seen[go] else go
    now["sensors"][keep] |= live.sensors[go]
    now["revisit"][keep], now["seen"][keep] = live.revisit[newest], live.seen[newest]
    burnt = keep if live.lit[keep] >= live.lit[go] else go
    now["lit"][keep], now["above"][keep], now["slow"][keep] = live.lit[burnt], live.above[burnt], live.slow[burnt]
    now["echoes"][keep] += live.echoes[go] - echoes.ALONE
    now["strength"][keep] += live.strength[go]
    now["misfit"][keep] = 0.0
    return replace(live, bank=with_rows(live.bank, np.array([keep]), merged(one, other)), **now)


def merged(one: Bank, other: Bank) -> Bank:
    """Tracks of one time that lie between two each and are as uncertain as these are apart: the plots of either are in their gates."""
    d = one.x - other.x
    P = 0.5 * (one.P + other.P) + 0.25 * d[..., :, None] * d[..., None, :]
    return starting.mixed(replace(one, x=0.5 * (one.x + other.x), P=P, mu=0.5 * (one.mu + other.mu)))
