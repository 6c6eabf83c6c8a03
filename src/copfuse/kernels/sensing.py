"""The two recursions over a sensor's ticks: which of them look at an object, and how a bias wanders."""

from __future__ import annotations

import math

from copfuse.kernels import borrowing


@borrowing
def noticed(output, tick, search, cued, first, threshold, hold, begin, end, rows, of):
    """The looks at which sensors notice objects, among the looks ``begin[i]:end[i]`` of each sight i: into ``rows``, of which sight each is
    into ``of``; how many they are.

    Sight i has the looks from ``first[i]`` on, of detector's ``output`` and at the sensor's ``tick``, rising.  At a tick of ``search``, or
    where it is ``cued``, the sensor looks everywhere; at another one only where it noticed the object within the ``hold[i]`` ticks before.
    """
    n = 0
    for i in range(begin.size):
        if begin[i] == end[i]:
            continue
        last = -hold[i] - 1
        for k in range(first[i], end[i]):
            if output[k] > threshold[i] and (search[k] or cued[k] or tick[k] - last <= hold[i]):
                last = tick[k]
                if k >= begin[i]:
                    rows[n], of[n] = k, i
                    n += 1
    return n


@borrowing
def wander(noise, step, time_constant, out):
    """First-order Gauss-Markov sequences of unit variance, one per column, from standard normal ``noise (n, m)``."""
    keep = math.exp(-step / time_constant)
    fresh = math.sqrt(1.0 - keep * keep)
    for j in range(noise.shape[1]):
        value = 0.0
        for k in range(noise.shape[0]):
            value = noise[k, j] if k == 0 else keep * value + fresh * noise[k, j]
            out[k, j] = value
