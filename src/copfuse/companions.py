"""What flies beside others above the air flies as they do: a velocity for a track of one plot, from a firm track near it.

Missiles of one salvo, and the pieces of one missile, are kilometres apart and have nearly one velocity.  A radar that sees them from the
side, without range rate, every few seconds, has a plot where the last one's was: to a track of which nothing is known a place that all
pass in turn is as likely an object as any that moves.  Where one of them is known, the others are no longer anything.  But they may be
pieces of it: to a track that takes one for a missile, all the air does to it comes too late, and as a surprise.  What begins a few
kilometres from one most likely parted from it, by springs or a small charge, and no faster: a plot every few seconds, as faint pieces have,
in a crowd in which all bearings are alike, tells nothing of a velocity that may be any by hundreds of m/s.
"""

from __future__ import annotations

import numpy as np

from copfuse.filters import PIECE_SIGMA, SPEED_SIGMA, Bank
from copfuse.frames import altitude
from copfuse.kernels.motions import GLIDE, REENTRY

BESIDE = 30e3  # m: how far from a track one is begun that flies as it does, *notional*
ALIKE = 300.0  # m/s per axis by which the two velocities differ: what gravity does to one in half a minute, *notional*
PARTED, PARTING = 5e3, 60.0  # m: how far from a known track what begins is a piece of it; m/s, likewise: what pieces part with, *notional*
KNOWN = 200.0  # m/s: a velocity that is known well enough to be another's, its standard deviation in space
LATELY, OFTEN = 6.0, 5  # s since it was seen at most, and plots at least
SLOWEST = 500.0  # m/s: what is no faster up there is a place that others pass, or nearly at the top of a steep flight
HIGH = SPEED_SIGMA[2]  # m: below, what rises burns, and what falls is braked, each at its own height


def velocities(tracks: Bank, seen: np.ndarray, others: Bank, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of the ``tracks`` of one plot, begun at one time, fly beside others (k,), these' velocity ``(k, 3)`` m/s and how far, per axis,
    their own may be from it, ``(k,)`` m/s.

    ``seen (n,)``: whether the plot has a range; ``others``: the tracks that may be beside them, of ``hits (m,)`` plots, 0 if not firm; of
    several the one that was seen most often, of those within `PARTED` if there are any.
    """
    high = np.flatnonzero(seen & (altitude(tracks.x6) > HIGH))
    often = np.flatnonzero(hits >= OFTEN) if len(high) else high
    since, v = tracks.time[0] - others.time[often], others.x6[often, 3:]
    blur = np.einsum("naa->n", others.P6[often, 3:, 3:])
    known = (since <= LATELY) & (blur < KNOWN**2) & (np.linalg.norm(v, axis=1) > SLOWEST)
    if not known.any():
        return np.zeros(0, int), np.zeros((0, 3)), np.zeros(0)
    often, since, v, blur = often[known], since[known], v[known], blur[known]
    place = others.x6[often, :3] + v * since[:, None]
    apart = np.linalg.norm(tracks.x6[high, None, :3] - place, axis=2)
    near = (apart < PARTED).any(axis=1)
    count = np.where(apart < np.where(near, PARTED, BESIDE)[:, None], hits[often], 0)
    best, beside = count.argmax(axis=1), np.flatnonzero(count.any(axis=1))
    spread = np.where(near, np.minimum(np.sqrt(PARTING**2 + blur[best]), ALIKE), ALIKE)
    return high[beside], v[best[beside]], spread[beside]


def alike(tracks: Bank, rows: np.ndarray, v: np.ndarray, spread: np.ndarray) -> None:
    """Give the tracks ``rows (k,)``, in place, under every model the velocity ``v (k, 3)`` m/s, to ``spread (k,)`` m/s per axis; how light
    they are is open."""
    tracks.x[rows, :, 3:6] = v[:, None]
    tracks.P[rows, :, 3:6, :] = 0.0
    tracks.P[rows, :, :, 3:6] = 0.0
    tracks.P[rows, :, 3:6, 3:6] = (spread[:, None, None] ** 2 * np.eye(3))[:, None]
    for falling in (REENTRY, GLIDE):
        tracks.P[rows, falling, 6, 6] = PIECE_SIGMA**2
