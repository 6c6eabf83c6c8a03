"""The two recursions over a sensor's ticks: which of them look at an object, and how a bias wanders."""

from __future__ import annotations

import math

from copfuse.kernels import borrowing


@borrowing
def looks(hit, search, hold, out):
    """Mark in ``out`` the ticks at which the sensor looks at an object and would notice it.

    At a search tick it looks everywhere; at another one only where it noticed the object within the ``hold`` ticks
    before.  ``hit`` says at which ticks a look would be a detection; ``search`` which are search ticks.
    """
    last = -hold - 1
    for k in range(hit.size):
        out[k] = hit[k] and (search[k] or k - last <= hold)
        if out[k]:
            last = k


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
