"""Objects that have parted at one place and time, told apart by all that was seen of them since, together.

A missile comes apart, and each radar sees eight objects where there was one, metres apart.  Tracks are begun before any two can be told
apart, and a plot once given to the wrong one draws it there: each radar's plots go to the tracks in an order of their own, each track lies
where the ranges of different objects meet, and stays there for half a minute (`crossed` finds two that have changed places, `astray` one
that is nowhere).  What has parted in one place flies out like a fan: where each is follows from its velocity alone, three numbers.  So,
some seconds after the first was seen beside another, all plots since are dealt anew, by the velocities under which they are likeliest:
expectation and maximisation over which plot is whose, from several beginnings, its noise large at first and then less and less
(Ueda & Nakano, Neural Networks 11(2), 1998; over plots of a batch, Streit & Luginbuhl, NUWC-NPT 10,428, 1995), each radar's bias found
with it.  Of one scan an object has one plot at most, which is shared out as by Fitzgerald's rule (in Bar-Shalom (ed.),
Multitarget-Multisensor Tracking: Advanced Applications, 1990, ch. 4).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from copfuse import filters, pairing
from copfuse.coasting import FALLING, Fan, Live, Look
from copfuse.companions import OFTEN, PARTED
from copfuse.crossed import beside
from copfuse.filters import Bank
from copfuse.kernels.assignment import assign
from copfuse.kernels.echoes import ALONE, HEARD, MOST, OBJECT
from copfuse.scanning import Scan

WAIT = 14.0  # s from the first scan of several until all is dealt: they are then some hundred metres apart, *notional*
AGAIN = 600.0  # s from then on in which what begins near there has parted with them, *notional*
LAG = 4.0  # s: what is seen beside another for the first time parted from it so long ago at most, *notional*
SPREAD = 30.0  # m/s per axis that pieces part with, *notional*
PLACE = 30.0  # m: what the parent is off, whatever the radar, *notional*
BEGINNINGS, ROUNDS, HOT, COOL = 8, 70, 30.0, 0.9  # of the search; how many times as large noise is at first, and what is left after a round
LAST = 20  # rounds after one of two that are the same is left out
MOST_HEAT = 2.0  # strengths, which nothing draws astray, are believed as much as that from the first round on, *notional*
MORE = 2  # objects beyond the tracks that there are
NOBODYS = -20.0  # logarithm of how likely a plot is nobody's, *notional*
ENOUGH, SURELY, LATELY = 6.0, 0.35, 3.0  # plots of an object that is known, the mean chance of its plots, at least, lately: for so many s
LONELY, OTHERS = 0.05, 0.35  # chance below which a plot is nobody's; the share of such plots at most, *notional*
FAINTER = 5.0  # times as faint a track is another object's, *notional*
SAME = 16.3  # squared distance of two velocities that are one: chi-squared, 3 components, 99.9 %
YOUNG = 5 * OFTEN  # plots that a track just begun has had at most, and one beside which it was begun at least, *notional*


def spread(live: Live, hit: np.ndarray, plot: np.ndarray, scan: Scan) -> tuple[Live, np.ndarray]:
    """The tracks after a scan whose plots ``plot (k,)`` the tracks ``hit (k,)`` have taken, and which (n,) are to be dropped."""
    drop = np.zeros(len(live), bool)
    if live.forest is not None or len(hit) < 2 or np.isnan(scan.z[:, 0]).any():
        return live, drop
    fans = [fan for fan in live.fans if scan.time < fan.since + AGAIN]
    fans += begun(live, hit, fans, scan.time)
    for k, fan in enumerate(fans):
        parent = None if fan.looks is None else filters.weigh(filters.predict(fan.parent, scan.time), FALLING)
        if parent is None or np.count_nonzero(_near(live.bank.x6[hit, :3], parent)) < 2:
            continue
        fans[k] = heard(fan._replace(parent=parent), live.number[hit], plot, scan)
        if scan.time >= fan.since + WAIT:
            if scan.time < fan.since + 2.0 * WAIT:  # later they may have been braked, or bent away from each other
                live, gone = dealt(live, fans[k], scan.time)
                drop = drop | gone
            fans[k] = fans[k]._replace(looks=None)
    return replace(live, fans=tuple(fans)), drop


def begun(live: Live, hit: np.ndarray, fans: list[Fan], time: float) -> list[Fan]:
    """The fan of a track of ``hit`` beside which another one has just been begun, if that is of none of the ``fans`` that there are."""
    young = live.firm[hit] & (live.hits[hit] < YOUNG)
    if young.all() or not young.any():
        return []
    a, b = beside(live, hit)
    parents = np.unique(hit[a[~young[a] & young[b]]])
    for row in parents[np.argsort(-live.hits[parents], kind="stable")].tolist():
        place = live.bank.x6[row : row + 1, :3]
        if not any(_near(place, filters.predict(fan.parent, time), 2.0 * PARTED)[0] for fan in fans):
            return [Fan(time, filters.weigh(live.bank[row : row + 1], FALLING), ())]
    return []


def _near(place: np.ndarray, parent: Bank, reach: float = PARTED) -> np.ndarray:
    """Which of some places (n, 3) are within reach of a parent."""
    near: np.ndarray = np.linalg.norm(place - parent.x6[0, :3], axis=1) < reach
    return near


def heard(fan: Fan, number: np.ndarray, plot: np.ndarray, scan: Scan) -> Fan:
    """A fan whose parent is at a scan's time with what that tells, whose plots ``plot (k,)`` the tracks of ``number (k,)`` have taken."""
    place, _ = scan.spots or pairing.spots(*scan.seen)
    x, near = fan.parent.x6[0], np.flatnonzero(_near(place, fan.parent))
    shift = np.zeros(4) if scan.shift is None else scan.shift
    sigma = np.sqrt(np.maximum(scan.sigma[near] ** 2 - shift**2, 1e-4 * scan.sigma[near] ** 2))
    sight = x[:3] - scan.origin
    away = np.linalg.norm(sight)
    unit = sight / away
    ray = np.outer(unit, unit)
    slope, seen = np.zeros((len(near), 4, 6)), np.zeros((len(near), 4))
    across = away * np.sqrt(0.5 * (sigma[:, 1:3] ** 2).sum(axis=1))
    slope[:, :3, :3] = ray / sigma[:, 0, None, None] + (np.eye(3) - ray) / across[:, None, None]
    seen[:, :3] = np.einsum("nij,nj->ni", slope[:, :3, :3], place[near] - x[:3])
    rated = np.flatnonzero(np.isfinite(scan.z[near, 3]))
    swing = (x[3:] - (x[3:] @ unit) * unit) / away
    slope[rated, 3] = np.hstack([swing, unit]) / sigma[rated, 3, None]
    seen[rated, 3] = (scan.z[near[rated], 3] - x[3:] @ unit) / sigma[rated, 3]
    slope[:, :, 3:] += (scan.time - fan.since) * slope[:, :, :3]
    mine = np.full(len(scan.z), -1)
    mine[plot] = number
    biased = ray / (shift[0] ** 2 + PLACE**2) + (np.eye(3) - ray) / max(away * np.sqrt(0.5 * (shift[1:3] ** 2).sum()), 1.0) ** 2
    echo = np.full(len(near), np.nan) if scan.echo is None else scan.echo[near, HEARD]
    return fan._replace(looks=(*(fan.looks or ()), Look(scan.time, scan.sensor, slope, seen, echo, mine[near], biased)))


def dealt(live: Live, fan: Fan, time: float) -> tuple[Live, np.ndarray]:
    """The tracks, those of the objects that are known moved to where these are, and which (n,) are to be dropped: what has taken plots of
    these and is none of them."""
    drop, parent, since = np.zeros(len(live), bool), fan.parent.x6[0], time - fan.since
    here = live.bank.x6[:, :3] + live.bank.x6[:, 3:] * (time - live.bank.time)[:, None]
    crowd, looks = np.flatnonzero(live.firm & _near(here, fan.parent)), fan.looks or ()
    if len(crowd) < 2:
        return live, drop
    first = np.vstack([live.bank.x6[crowd, 3:] - parent[3:], np.zeros((MORE, 3))])
    found = likeliest(fan, first)
    chance, whole = found.chance, found.chance.sum(axis=0)
    late = chance[np.repeat([look.time > time - LATELY for look in looks], [len(look.seen) for look in looks])]
    sure = np.flatnonzero((whole >= ENOUGH) & ((late**2).sum(axis=0) >= SURELY * late.sum(axis=0)) & (late.sum(axis=0) > 1.0))
    if len(sure) == 0 or np.mean(chance.sum(axis=1) < LONELY) > OTHERS:
        return live, drop  # they have not parted in one place
    out = np.vstack([(since + found.lag) * np.eye(3), np.eye(3)])
    x, P = found.v @ out.T, out @ found.P @ out.T + fan.parent.P6[0]
    off = np.linalg.norm(here[crowd][:, None] - parent[:3] - x[sure, :3], axis=2)
    loud = np.where(live.echoes[crowd] > ALONE, live.strength[crowd] / live.echoes[crowd], np.inf)
    fainter = loud[:, None] < found.strength[sure] / FAINTER
    held = assign(np.where(fainter, np.inf, off), np.full(len(crowd), 2.0 * PARTED))
    rows, k = crowd[held >= 0], sure[held[held >= 0]]
    by = np.concatenate([np.where(look.time > time - LATELY, look.number, -1) for look in looks])
    for row in np.setdiff1d(crowd, rows).tolist():
        his = chance[by == live.number[row]]
        drop[row] = len(his) > 0 and his[:, sure].sum() > 0.5 * len(his)
    return moved(live, rows, parent + x[k], P[k], found.strength[k], whole[k], time), drop


class Found(NamedTuple):
    """Where a search has ended: the logarithm of the likelihood; velocities ``v (K, 3)`` beside the parent's, and covariances; for how long
    all had been apart at the first scan; strengths (K,) m^2; and the ``chance (n, K)`` that each plot is of each."""

    gain: float
    v: np.ndarray
    P: np.ndarray
    lag: float
    strength: np.ndarray
    chance: np.ndarray


def likeliest(fan: Fan, first: np.ndarray) -> Found:
    """What is likeliest of K objects; ``first (K, 3)``: their velocities as the tracks have them."""
    draws, K, told = np.random.Generator(np.random.Philox(0)), len(first), Told(fan)
    best = None
    for k in range(BEGINNINGS):
        v = first if k == 0 else draws.normal(0.0, 0.5 * SPREAD, (K, 3))
        strength = np.exp(draws.uniform(np.log(0.2 * OBJECT), np.log(20.0 * OBJECT), K))
        found = told.settled(v, strength, 0.5 * LAG, HOT, ROUNDS)
        if best is None or found.gain > best.gain:
            best = found
    assert best is not None
    while (twin := _twin(best)) is not None:
        keep = np.arange(len(best.v)) != twin
        best = told.settled(best.v[keep], best.strength[keep], best.lag, 1.0, LAST)
    return best


def _twin(found: Found) -> int | None:
    """The weakest of those that are where another one is."""
    whole = found.chance.sum(axis=0)
    for k in np.argsort(whole, kind="stable").tolist():
        for j in np.flatnonzero(whole > whole[k]).tolist():
            off = found.v[k] - found.v[j]
            if whole[k] > 1.0 and off @ np.linalg.solve(found.P[k] + found.P[j], off) < SAME:
                return k
    return None


class Told:
    """What all looks at a fan have told: ``slope (n, 4, 6)`` and the rest as in `Look`, of all n plots; ``scan`` and ``sensor (n,)``."""

    def __init__(self, fan: Fan) -> None:
        looks = fan.looks or ()
        count = [len(look.seen) for look in looks]
        self.slope, self.seen = (np.concatenate([getattr(look, name) for look in looks]) for name in ("slope", "seen"))
        echo = np.concatenate([look.echo for look in looks])
        self.heard = np.isfinite(echo)
        self.echo = np.where(self.heard, echo, 0.0)
        self.scan = np.repeat(np.arange(len(looks)), count)
        sensors, one = np.unique([look.sensor for look in looks], return_index=True)
        self.sensor = np.repeat(np.searchsorted(sensors, [look.sensor for look in looks]), count)
        self.biased = np.array([looks[k].biased for k in one])
        self.place = self.slope[:, :3, :3]
        self.square = np.einsum("nai,naj->nij", self.place, self.place).reshape(len(self.seen), 9)

    def settled(self, v: np.ndarray, strength: np.ndarray, lag: float, hot: float, rounds: int) -> Found:
        """Where a search ends that begins at velocities ``v (K, 3)``."""
        share, bias = np.full(len(v), 1.0 / len(v)), np.zeros((len(self.biased), 3))
        for k in range(rounds):
            heat = max(hot * COOL**k, 1.0)
            seen = self.seen.copy()
            seen[:, :3] -= np.einsum("nij,nj->ni", self.place, bias[self.sensor])
            slope = self.slope[:, :, 3:] + lag * self.slope[:, :, :3]
            score = self._score(v, strength, share, slope, seen, heat)
            chance = self._chances(score)
            whole = chance.sum(axis=1)
            share = (chance.sum(axis=0) + 1.0) / (chance.sum() + len(v))
            loud = chance[self.heard]
            strength = np.clip((loud.T @ self.echo[self.heard] + ALONE * OBJECT) / (loud.sum(axis=0) + ALONE), 1e-4, 1e3)
            square = np.einsum("nai,naj->nij", slope, slope).reshape(len(seen), 9)
            known = (chance.T @ square).reshape(-1, 3, 3) / heat + np.eye(3) / SPREAD**2
            v = np.linalg.solve(known, (chance.T @ np.einsum("nai,na->ni", slope, seen) / heat)[:, :, None])[:, :, 0]
            lag = self._lag(v, chance, seen)
            left = self.seen * whole[:, None] - np.einsum("nai,ni->na", slope, chance @ v)
            weight, total = self.biased.copy(), np.zeros_like(bias)
            np.add.at(weight, self.sensor, (whole[:, None] * self.square).reshape(-1, 3, 3))
            np.add.at(total, self.sensor, np.einsum("nij,ni->nj", self.place, left[:, :3]))
            bias = np.linalg.solve(weight, total[:, :, None])[:, :, 0]
        every = np.column_stack([score, np.full(len(score), NOBODYS)])
        gain = float(logsumexp(every, axis=1).sum() - 0.5 * (v**2).sum() / SPREAD**2)
        return Found(gain, v, np.linalg.inv(known), lag, strength, chance)

    def _score(self, v, strength, share, slope, seen, heat) -> np.ndarray:
        """Logarithms (n, K) of how likely each plot is of each."""
        off = seen[:, None] - np.einsum("nai,ki->nka", slope, v)
        loud = np.where(self.heard[:, None], -np.log(strength) - self.echo[:, None] / strength, 0.0)
        return -0.5 * (off**2).sum(axis=2) / heat + np.log(share) + loud / min(heat, MOST_HEAT)

    def _chances(self, score: np.ndarray) -> np.ndarray:
        like = np.exp(np.clip(score, -200.0, 50.0))
        column = np.zeros((self.scan[-1] + 1, score.shape[1]))
        np.add.at(column, self.scan, like)
        return like / (like.sum(axis=1, keepdims=True) + column[self.scan] - like + math.exp(NOBODYS))

    def _lag(self, v: np.ndarray, chance: np.ndarray, seen: np.ndarray) -> float:
        """For how long, s, all had been apart at the first scan."""
        by = np.einsum("nai,ki->nka", self.slope[:, :, :3], v)
        off = seen[:, None] - np.einsum("nai,ki->nka", self.slope[:, :, 3:], v)
        told, weight = (chance[:, :, None] * by * off).sum(), (chance[:, :, None] * by**2).sum()
        return float(np.clip(told / max(weight, 1e-9), 0.0, LAG))


def moved(live: Live, rows: np.ndarray, x: np.ndarray, P: np.ndarray, strength: np.ndarray, count: np.ndarray, time: float) -> Live:
    """The tracks ``rows`` (k,) with states ``x (k, 6)`` and covariances ``P (k, 6, 6)`` at ``time``, and echoes of a mean strength."""
    bank = live.bank
    new = {name: getattr(bank, name).copy() for name in ("time", "x", "P", "x6", "P6")}
    new["time"][rows] = time
    new["x"][rows, :, :6] = x[:, None]
    new["P"][rows, :, :6, :] = 0.0
    new["P"][rows, :, :, :6] = 0.0
    new["P"][rows, :, :6, :6] = P[:, None]
    new["x6"][rows], new["P6"][rows] = x, P
    echoes, loud = live.echoes.copy(), live.strength.copy()
    echoes[rows] = ALONE + np.minimum(count, MOST)
    loud[rows] = strength * echoes[rows]
    misfit, doubt = live.misfit.copy(), live.doubt.copy()
    misfit[rows] = doubt[rows] = 0.0
    gone = set(live.number[rows].tolist())
    turns = {pair: told for pair, told in live.turns.items() if not gone.intersection(pair)}  # of estimates that are gone, as what follows
    relative = {pair: told for pair, told in live.relative.items() if not gone.intersection(pair)}
    return replace(
        live, bank=replace(bank, **new), echoes=echoes, strength=loud, misfit=misfit, doubt=doubt, turns=turns, relative=relative
    )
