"""What `numpy.unique` tells of whole numbers, without sorting them where they lie close together."""

from __future__ import annotations

import numpy as np


def first_and_place(of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each of the numbers that occur in ``of (n,)``, rising, is found first, (k,), and which of these each line has, (n,)."""
    end, lines = int(of.max(initial=-1)) + 1, np.arange(len(of))
    if end > 8 * len(of) + 1000 or of.min(initial=0) < 0:
        return np.unique(of, return_index=True, return_inverse=True)[1:]
    first = np.full(end, -1)
    first[of[::-1]] = lines[::-1]  # of several lines the last that is written stays
    have = first >= 0
    return first[have], (np.cumsum(have) - 1)[of]


def tracks(node: np.ndarray, track: np.ndarray) -> np.ndarray:
    """One number (n,) for each node's each track, by node, then track, for `first_and_place`."""
    return node.astype(np.int64) * (track.max(initial=0) + 1) + track
