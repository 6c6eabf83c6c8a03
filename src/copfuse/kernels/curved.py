"""A plot's update where what a sensor sees bends within what is known of the state: the line is drawn anew about what is found.

Of what one plot has shown half a minute ago the next is expected anywhere in a hundred kilometres, over which a sphere about the radar
is kilometres from flat.  A line over all of that has these for the noise of a range that is measured to metres; over what the plot leaves
possible it is straight (posterior linearisation: Garcia-Fernandez, Svensson, Morelande & Sarkka, IEEE T-SP 63(20), 2015).
"""

from __future__ import annotations

from copfuse.kernels import borrowing
from copfuse.kernels.motions import BOOST, MANOEUVRE
from copfuse.kernels.sights import BENT, MEAN, ROOT, ROWS, SLOPES, SPREAD, regress, revise
from copfuse.kernels.small import hand

# Variance of what no line explains, over a plot's own, from which on the line is drawn anew: of what is surely not pushed, and of others.
# There less is left in: it makes good for what the models of a boost leave out; else covariances are too small for the largest errors.
MUCH = 1.0, 30.0
PUSHED = 1e-4  # probability of an engine below which surely none burns
LINES = 4  # more change little: the second is drawn over some kilometres
_SEEN_OF = 6  # components that a measurement looks at
_PRIOR, _MEAN, _SLOPES = ROWS, ROWS + 9, ROWS + 10  # places behind a regression: the prior's root and mean, slopes by the state (4, 6)
CURVED = ROWS + 14  # rows of scratch in all, no fewer than `bending.learn` takes


@borrowing
def much(mu):
    """`MUCH` of a track of model probabilities ``mu (N_MODEL,)``."""
    return MUCH[0] if mu[MANOEUVRE] + mu[BOOST] < PUSHED else MUCH[1]


@borrowing
def bends(m, sigma, seen, have, least):
    """Whether in one of a plot's m components what no line explains has more than ``least`` (`much`) times the plot's variance."""
    for a in range(m):
        c, total = have[a], 0.0
        for k in range(_SEEN_OF + 1):
            total += seen[BENT + c, k] * seen[BENT + c, k]
        if total > least * sigma[c] * sigma[c]:
            return True
    return False


@borrowing
def _carried(x, line):
    """Make the regression over what is found, of mean ``x (9)``, one over the prior by the same line, in place."""
    slopes, mean = line[_SLOPES:CURVED], line[_MEAN]
    for c in range(4):
        for j in range(_SEEN_OF - 1, -1, -1):  # slopes by the state, which times the root are those that were found
            left = line[SLOPES + c, j]
            for k in range(j + 1, _SEEN_OF):
                left -= slopes[c, k] * line[ROOT + j, k]
            slopes[c, j] = left / line[ROOT + j, j]
    for j in range(ROOT, SLOPES):
        hand(line[_PRIOR + j], line[j])
    for c in range(4):
        for j in range(_SEEN_OF):
            line[MEAN, c] += slopes[c, j] * (mean[j] - x[j])
            line[SLOPES + c, j] = 0.0
            for k in range(j, _SEEN_OF):
                line[SLOPES + c, j] += slopes[c, k] * line[ROOT + j, k]
    for c in range(4):
        for d in range(c + 1):
            total = line[BENT + c, _SEEN_OF] * line[BENT + d, _SEEN_OF]
            for j in range(_SEEN_OF):
                total += line[SLOPES + c, j] * line[SLOPES + d, j] + line[BENT + c, j] * line[BENT + d, j]
            line[SPREAD + c, d] = total
            line[SPREAD + d, c] = total


@borrowing
def look_again(n, x, P, origin, axes, cosines, z, sigma, seen, line, rows, have, w):
    """`sights.revise` of a model of n components in place, on `LINES` lines; returns the logarithm of the plot's density on the last.

    ``seen`` is its regression; ``line (CURVED, 9)`` (whose begin may be ``seen``), ``rows``, ``have`` and ``w`` are scratch.
    """
    for j in range(n):
        hand(seen[ROOT + j], line[_PRIOR + j])
    for a in range(n):
        line[_MEAN, a] = x[a]
    ll = revise(n, x, P, z, sigma, seen, rows, have)
    for _ in range(1, LINES):
        regress(n, x, P, origin, axes, cosines, line[:ROWS], w)
        _carried(x, line)
        for a in range(n):
            x[a] = line[_MEAN, a]
        ll = revise(n, x, P, z, sigma, line[:ROWS], rows, have)
    return ll
