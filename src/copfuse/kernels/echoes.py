"""What strengths of echoes tell of tracks and plots: which is likelier whose, and what a sensor may well have missed (`copfuse.echoes`)."""

from __future__ import annotations

import math

from copfuse.kernels import borrowing

HEARD, LEAST = range(2)  # columns of what is known of a plot's strength: m^2 above the least that its radar notices there, and that least
ALONE = 1.0  # echoes that an object's mean is worth before any was heard: it may be anything
OBJECT, PIECE = 0.05, 0.005  # m^2, mean cross section of what is new; of what begins beside a known track, *notional*
MOST = 100.0  # echoes that are remembered: aspects change, and what an object echoes on average with them, *notional*
GAIN = -6.0, 3.0  # logarithm of what a strength makes of a pair's likelihood, at least and at most: no radar is so well known, *notional*
KNOWN = 6.0  # echoes, with `ALONE`, of one of the tracks that compete for a plot, or chances do not count: else none would begin in clutter
SURELY = 1e6  # tracks, more than there are
NOTICED = 0.99  # of the least that a radar notices: a ratio below is none, whatever it stands for
CHANCES = 0.05, 0.95  # of a plot, likewise at least and at most


@borrowing
def chance(count, strength, least):
    """Chance that a radar which notices no less than ``least`` m^2 notices what was heard ``count`` times, ``strength`` m^2 in all."""
    return math.exp(-count * math.log1p(least / strength))


@borrowing
def likelier(count, strength, heard):
    """Logarithm of the likelihood ratio of a strength ``heard`` m^2 of such an object to that of one that is new."""
    if math.isnan(heard) or count <= ALONE:
        return 0.0
    own = math.log(count / (strength + heard)) - count * math.log1p(heard / strength)
    new = math.log(ALONE / (ALONE * OBJECT + heard)) - ALONE * math.log1p(heard / (ALONE * OBJECT))
    return min(max(own - new, GAIN[0]), GAIN[1])


@borrowing
def known(count, strength, echo, plot, begin, end):
    """Chance of a plot of such an object whose gate holds ``plot[begin:end]`` of a scan of ``echo (m, 2)``; nan where that is not known."""
    least = math.inf
    for p in range(begin, end):
        if echo[plot[p], LEAST] < least:
            least = echo[plot[p], LEAST]
    return math.nan if count <= ALONE or least == math.inf else chance(count, strength, least)


@borrowing
def seek(count, plot, begin, end, shared):
    """Note in ``shared (m,)``, nought at first, that one more track's gate holds the plots of its pairs ``begin`` to ``end``; a track of
    `KNOWN` echoes counts for more than all others."""
    for p in range(begin, end):
        shared[plot[p]] += SURELY if count >= KNOWN else 1.0


@borrowing
def weigh(count, strength, echo, plot, begin, end, shared, ratio, usual):
    """`weighed` of one track and its pairs ``begin`` to ``end``."""
    there, more = known(count, strength, echo, plot, begin, end), 0.0
    if not math.isnan(there):
        there = min(max(there, CHANCES[0]), CHANCES[1])
        more = math.log(there / (1.0 - there)) - usual
    for p in range(begin, end):
        ratio[p] += likelier(count, strength, echo[plot[p], HEARD])
        if shared[plot[p]] > SURELY:
            ratio[p] += more


@borrowing
def weighed(start, plot, count, strength, echo, usual, shared, ratio):
    """Add to the logarithms of likelihood ratios ``ratio (pairs,)`` what strengths tell, and, where a plot is in the gates of a track of
    `KNOWN` echoes and of another one, by how much the odds of a plot are other than ``usual``: none alone is refused for want of a chance.

    Track i, heard ``count[i]`` times and ``strength[i]`` m^2 in all, is paired with ``plot[start[i]:start[i + 1]]`` of ``echo (m, 2)``;
    ``shared (m,)`` is scratch.
    """
    for j in range(len(shared)):
        shared[j] = 0.0
    for i in range(len(count)):
        seek(count[i], plot, start[i], start[i + 1], shared)
    for i in range(len(count)):
        weigh(count[i], strength[i], echo, plot, start[i], start[i + 1], shared, ratio, usual)


@borrowing
def missed(count, strength, echo, plot, begin, end, ghost, seldom, share):
    """Logarithm of how much likelier a miss is of a track of nothing, which has a plot by the chance ``ghost``, than of an object, which
    has one by ``seldom`` or, if its echoes say so, less often: the sensor looks there with the chance ``share``."""
    there = known(count, strength, echo, plot, begin, end)
    there = seldom if math.isnan(there) else min(share * there, seldom)
    return max(math.log((1.0 - ghost) / (1.0 - there)), 0.0)


@borrowing
def misses(start, plot, count, strength, echo, ghost, seldom, share, out):
    """`missed` of every track, of ``share (n,)``, into ``out (n,)``; tracks and plots as in `weighed`."""
    for i in range(len(count)):
        out[i] = missed(count[i], strength[i], echo, plot, start[i], start[i + 1], ghost, seldom, share[i])


@borrowing
def remembered(count):
    """What is left of the echoes heard before when one more is."""
    return 1.0 if count < ALONE + MOST else 1.0 - 1.0 / (ALONE + MOST)


@borrowing
def strengths(z, snr, sensor, radar, out):
    """What plots ``z (n, 4)`` with ratios ``snr (n,)`` of sensors ``sensor (n,)`` tell of strengths, into ``out (n, 2)`` (`HEARD`,
    `LEAST`); nan where a plot is no radar's, or has no range or no ratio that its radar would have noticed.

    ``radar (sensors, 8)``: the ratio of 1 m^2 at 1 m on boresight (nan of what is no radar), the least that is noticed, how ratios fall
    off the normal, whether z has u and v, and boresight, sector, width of a face (0: it turns) and tilt, rad.
    """
    for i in range(len(z)):
        gain, least, loss, cosines, boresight, sector, face, tilt = radar[sensor[i]]
        out[i, HEARD] = out[i, LEAST] = math.nan
        if not (gain > 0.0 and z[i, 0] > 0.0 and NOTICED * least <= snr[i] < math.inf):
            continue
        if cosines != 0.0:
            slant = math.sqrt(max(1.0 - z[i, 1] ** 2 - z[i, 2] ** 2, 0.01))
        else:
            across = 1.0
            if face > 0.0:
                across = math.cos((z[i, 1] - boresight + 0.5 * sector) % (2.0 * math.pi) % face - 0.5 * face)
            slant = max(math.cos(z[i, 2]) * across * math.cos(tilt) + math.sin(z[i, 2]) * math.sin(tilt), 1e-3)
        square = gain / z[i, 0] ** 4 * slant**loss
        if square > 0.0:
            out[i, HEARD], out[i, LEAST] = max(snr[i] - least, 1e-3) / square, least / square
