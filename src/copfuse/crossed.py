"""Two tracks of two objects that lie crossed: some radars' plots of the one go to the other, and those to the one.

What has just separated is nearer together than bearings tell apart, and a radar's ranges say only which of the two is nearer to it.
Plots that once went the wrong way go on doing so: each track lies where the ranges of one object from here and of the other one from
there meet, fits them all, and both objects are elsewhere.  Neither track shows that; their distance does.  A radar that sees both in
one scan tells it free of its bias, but for the sign, and a third direction, bearings, and the way it grows agree with the true signs
only.  So the signs are sought, one a radar, under which the distance in free fall fits best.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np

from copfuse import pairing
from copfuse.atmosphere import density
from copfuse.coasting import Live, Relative
from copfuse.frames import altitude
from copfuse.kernels.consider import fall_matrices
from copfuse.kernels.gating import box_pairs
from copfuse.kernels.motions import BOOST, MANOEUVRE
from copfuse.scanning import Scan

REACH = 5e3  # m: tracks farther apart than this are never compared
FADING = 60.0  # s in which what a scan has told loses weight, *notional*
LATELY = 20.0  # s without a scan of both after which nothing is known any more: they may have burned meanwhile
EVERY = 4.0  # s between two looks at a pair's signs
MOST = 8  # radars whose signs are sought, of those that tell most
SURE = 15.0  # logarithm of the likelihood ratio from which on other signs are taken, *notional*
FAR, FAST = 5e3, 100.0  # m, m/s: standard deviations of a distance of which nothing is known
BURNS = 0.2  # probability of a push from which on nothing is known of how a distance grows
LIGHT, BRAKED = 100.0, 0.1  # kg/m^2, and m/s^2 by which the air may brake what is so light before no more is known either
_NOBODY = np.zeros(0, int)


def straightened(live: Live, hit: np.ndarray, plot: np.ndarray, scan: Scan) -> Live:
    """The tracks after a scan whose plots ``plot (k,)`` the tracks ``hit (k,)`` have taken, with those put right that lay crossed."""
    if live.forest is not None or len(hit) < 2 or np.isnan(scan.z[plot, 0]).any():
        return live
    a, b = beside(live, hit)
    if len(a) == 0:
        return live
    i, j = hit[a], hit[b]
    number = live.number.tolist()
    keys = [(number[m], number[n]) for m, n in zip(i.tolist(), j.tolist(), strict=True)]
    there, looks = set(number), []
    relative = {key: one for key, one in live.relative.items() if there.issuperset(key) and scan.time - one.time < LATELY}
    news = _heard(live, (i, j), (plot[a], plot[b]), scan, [relative.get(key) for key in keys])
    for m, (key, new) in enumerate(zip(keys, news, strict=True)):
        if len(new.sums) > 1 and scan.time >= new.looked + EVERY:
            looks.append(m)
            new = new._replace(looked=scan.time)
        relative[key] = new
    live, changed = replace(live, relative=relative), set[int]()
    for m in looks:
        if not changed.intersection(keys[m]) and (apart := signed(relative[keys[m]], scan.time)) is not None:
            live = _parted(live, int(i[m]), int(j[m]), *apart)
            changed.update(keys[m])
    if changed:
        relative = {key: one for key, one in live.relative.items() if not changed.intersection(key)}
        live = replace(live, relative=relative, misfit=np.where(np.isin(live.number, list(changed)), 0.0, live.misfit))
    return live


def beside(live: Live, hit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which two of ``hit`` may lie crossed, as places in it, the older track's first."""
    burns = live.bank.mu[hit][:, [MANOEUVRE, BOOST]].sum(axis=1) >= BURNS
    able = np.flatnonzero(live.firm[hit] & ~burns)
    if len(able) > 1:
        x = live.bank.x6[hit[able]]
        able = able[density(altitude(x)) * (x[:, 3:] ** 2).sum(axis=1) / (2.0 * LIGHT) < BRAKED]
    if len(able) < 2:
        return _NOBODY, _NOBODY
    place = np.ascontiguousarray(live.bank.x6[hit[able], :3])
    start, found = box_pairs(place, np.full(place.shape, REACH), place)
    i, j = np.repeat(able, np.diff(start)), able[found]
    older = live.number[hit[i]] < live.number[hit[j]]
    return i[older], j[older]


def _heard(
    live: Live, rows: tuple[np.ndarray, np.ndarray], plots: tuple[np.ndarray, np.ndarray], scan: Scan, known: list[Relative | None]
) -> list[Relative]:
    """What is known of pairs of tracks, given what was ``known`` and both plots of a scan."""
    now = scan.time
    before = [one or Relative(now, now, now, np.eye(6), {}) for one in known]
    middle = 0.5 * (live.bank.x6[rows[0]] + live.bank.x6[rows[1]])
    step = np.empty((len(before), 6, 6))
    fall_matrices(middle, np.array([now - one.time for one in before]), step)
    moved = step @ np.array([one.moved for one in before])
    slope, seen = _told(middle, *plots, scan)
    slope = slope @ moved
    weight = np.exp([(now - one.since) / FADING for one in before])
    told = weight[:, None, None] * (np.swapaxes(slope, 1, 2) @ np.concatenate([slope, seen[:, :, None]], axis=2))
    news = []
    for one, by, more in zip(before, moved, told, strict=True):
        sums = dict(one.sums)
        sums[scan.sensor] = sums[scan.sensor] + more if scan.sensor in sums else more
        news.append(Relative(one.since, now, one.looked, by, sums))
    return news


def _told(middle: np.ndarray, a: np.ndarray, b: np.ndarray, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """What plots a less plots b say of differences of states, in standard deviations: slopes (k, 4, 6) and values (k, 4)."""
    place, _ = scan.spots or pairing.spots(*scan.seen)
    z, sigma = scan.z, scan.sigma
    if scan.shift is not None:  # which both plots have alike
        sigma = np.sqrt(np.maximum(sigma**2 - scan.shift**2, 1e-4 * sigma**2))
    sight = middle[:, :3] - scan.origin
    away = np.linalg.norm(sight, axis=1)
    unit = sight / away[:, None]
    along = np.hypot(sigma[a, 0], sigma[b, 0])
    across = away * np.sqrt(0.5 * (sigma[a, 1:3] ** 2 + sigma[b, 1:3] ** 2).sum(axis=1))  # of both angles' errors the mean
    ray = unit[:, :, None] * unit[:, None, :]
    slope, seen = np.zeros((len(a), 4, 6)), np.zeros((len(a), 4))
    slope[:, :3, :3] = ray / along[:, None, None] + (np.eye(3) - ray) / across[:, None, None]
    seen[:, :3] = np.einsum("kij,kj->ki", slope[:, :3, :3], place[a] - place[b])
    rate = z[a, 3] - z[b, 3]
    if len(rated := np.flatnonzero(np.isfinite(rate))):
        v, u, s = middle[rated, 3:], unit[rated], np.hypot(sigma[a, 3], sigma[b, 3])[rated]
        swing = (v - (v * u).sum(axis=1, keepdims=True) * u) / away[rated, None]
        slope[rated, 3] = np.hstack([swing, u]) / s[:, None]
        seen[rated, 3] = rate[rated] / s
    return slope, seen


def signed(one: Relative, time: float) -> tuple[np.ndarray, np.ndarray] | None:
    """The difference of the two states (6,) at a time s, and its covariance, if the radars' signs are surely others than they are taken
    for; otherwise nothing."""
    sums = math.exp((one.since - time) / FADING) * np.array(list(one.sums.values()))
    told = sums[:, :, 6]
    C = np.linalg.inv(sums[:, :, :6].sum(axis=0) + np.diag(np.repeat([FAR**-2, FAST**-2], 3)))
    white = told @ np.linalg.cholesky(C)
    most = np.argsort(-(white**2).sum(axis=1), kind="stable")[:MOST]
    sign = _signs(len(most))
    total = sign @ white[most] + np.delete(white, most, axis=0).sum(axis=0)
    gain = 0.5 * (total**2).sum(axis=1)
    best = int(gain.argmax())
    if gain[best] - gain[0] < SURE:
        return None
    flip = np.ones(len(told))
    flip[most] = sign[best]
    apart, now = C @ (flip @ told), C @ told.sum(axis=0)
    if (apart - now) @ np.linalg.solve(C, apart - now) > (apart + now) @ np.linalg.solve(C, apart + now):
        apart = -apart
    return one.moved @ apart, one.moved @ C @ one.moved.T


@cache
def _signs(n: int) -> np.ndarray:
    """All signs that n radars may have beside the first one's, (2 ** (n - 1), n); those of the first row are 1."""
    bits = np.arange(2 ** (n - 1))[:, None] >> np.arange(n)[None] & 1
    return 1.0 - 2.0 * np.roll(bits, 1, axis=1)


def _parted(live: Live, i: int, j: int, apart: np.ndarray, cov: np.ndarray) -> Live:
    """The tracks, rows i and j moved to where they are ``apart (6,)``, with covariance ``cov (6, 6)``, and their middle stays."""
    bank = live.bank
    x, P, x6, P6 = (getattr(bank, name).copy() for name in ("x", "P", "x6", "P6"))
    middle = 0.5 * (x6[i] + x6[j])
    for row, half in ((i, 0.5 * apart), (j, -0.5 * apart)):
        x[row, :, :6] += middle + half - x6[row]
        P[row, :, :6, :6] += 0.25 * cov
        x6[row] = middle + half
        P6[row] += 0.25 * cov
    return replace(live, bank=replace(bank, x=x, P=P, x6=x6, P6=P6))
