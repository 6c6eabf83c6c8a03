"""What `numpy.unique` tells of whole numbers that lie close together, without sorting them."""

from __future__ import annotations

import numpy as np


def first_and_place(of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each of the numbers that occur in ``of (n,)``, rising, is found first, (k,), and which of these each line has, (n,).

    ``of``: 0 or more, and the greatest not many times n.
    """
    lines = np.arange(len(of))
    first = np.full(of.max(initial=-1) + 1, -1)
    first[of[::-1]] = lines[::-1]  # of several lines the last that is written stays
    have = first >= 0
    return first[have], (np.cumsum(have) - 1)[of]


def tracks(node: np.ndarray, track: np.ndarray) -> np.ndarray:
    """One number (n,) for each node's each track, by node, then track, for `first_and_place`."""
    return node.astype(np.int64) * (track.max(initial=0) + 1) + track
