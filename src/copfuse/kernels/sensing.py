"""Looks of sensors at objects: which of them notice one, what cues make of them, and how a bias wanders from tick to tick."""

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
def go_on(begin, end, on, snr, gain, enough, ratio, cued):
    """The ``ratio (n,)`` and ``cued (n,)`` of each sight i's looks ``begin[i]:end[i]``, where they are cued or not as ``on[i]`` says, and
    cued gain as much as ever."""
    for i in range(begin.size):
        for k in range(begin[i], end[i]):
            ratio[k], cued[k] = _gained(snr[k], gain[i], enough[i]) if on[i] else snr[k], on[i]


@borrowing
def settle(begin, until, end, best, which, snr, enough, ratio, cued, wrong, heeded):
    """The ``ratio (n,)`` and ``cued (n,)`` of each sight i's looks ``begin[i]:end[i]``, which gain ``best (n,)`` by cues ``which (n,)``.

    ``wrong[i]`` is the first of them before ``until[i]`` where they were not so, ``heeded[i]`` the first that is cued; -1: none.
    """
    for i in range(begin.size):
        wrong[i], heeded[i] = -1, -1
        for k in range(begin[i], end[i]):
            told = which[k] >= 0
            now = _gained(snr[k], best[k], enough[i]) if told else snr[k]
            if wrong[i] < 0 and k < until[i] and (now != ratio[k] or told != cued[k]):
                wrong[i] = k
            if told and heeded[i] < 0:
                heeded[i] = k
            ratio[k], cued[k] = now, told


@borrowing
def outputs(begin, end, ratio, cued, swerling, normal, moved, out):
    """`watching.detector_output` of each sight i's looks ``begin[i]:end[i]``, if one of them is cued or the sight has ``moved[i]``, which
    it has then."""
    for i in range(begin.size):
        for k in range(begin[i], end[i]):
            moved[i] = moved[i] or cued[k]
        if moved[i]:
            for k in range(begin[i], end[i]):
                out[k] = _output(ratio[k], swerling[i], normal[k])


@borrowing
def _gained(snr, gain, enough):
    """Signal-to-noise ratio of a look that gains so much, of that in search; no energy is spent beyond need."""
    return max(snr, min(gain * snr, enough))


@borrowing
def _output(snr, swerling, normal):
    """`watching.detector_output` of one look with the draws ``normal (6 or more)``."""
    a, b = math.sqrt(0.5) * normal[0], math.sqrt(0.5) * normal[1]
    if swerling == 1 or swerling == 2:
        root = math.sqrt(0.5 * snr)
        a, b = a + root * normal[2], b + root * normal[3]
    elif swerling:
        power = normal[2] * normal[2] + normal[3] * normal[3] + normal[4] * normal[4] + normal[5] * normal[5]
        a += math.sqrt(snr * (power / 4.0))
    else:
        a += math.sqrt(snr)
    return a * a + b * b


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
