"""A plot's update of re-entry where it tells much of ln(beta): where a body has come to depends on it as drag does, exponentially.

A Kalman update takes that for a straight line, and the line about what was believed for that about what is found: for a body that is
five times as light as believed it is five times too flat, so that ln(beta) is moved too far, and is then thought to be known better than
it is.  Here the line is drawn anew about what is found (posterior linearisation: Garcia-Fernandez, Svensson, Morelande & Sarkka, IEEE
T-SP 63(20), 2015, with the moments of an exponential written out in place of sigma points).
"""

from __future__ import annotations

import math

from copfuse.kernels import borrowing
from copfuse.kernels.sights import ROOT, ROWS, SLOPES, regress, revise

LITTLE = 0.1  # a change of ln(beta) by which the line need not be drawn anew, and
SETTLED = 0.02  # one between two lines at which the last one stands
LINES = 6  # at most
_STEEPEST = 2.0  # logarithm of a slope over the one before
_COVARIANCE, _MEAN = ROWS, ROWS + 9  # places of the prior behind a regression
BENDING = ROWS + 10  # rows of scratch in all


@borrowing
def bend(prior, mean, moved, variance, x, P):
    """Re-entry's ``x (9), P (9, 9)`` before a plot from its ``prior (9, 9)`` and ``mean (9)``, the line drawn about another ln(beta).

    With u = ln(beta) less its mean, s2 its variance and g the slope of their regression on it, position and velocity follow the curve
    g (1 - exp(-u - s2 / 2)), of which that regression is theirs; the line is this curve's regression over a u of mean ``moved`` and
    another ``variance``.  What u does not explain stays as it is, and so does the wind.
    """
    s2 = prior[6, 6]
    k = math.exp(-min(max(moved - 0.5 * (variance - s2), -_STEEPEST), _STEEPEST))
    for a in range(6):
        g = prior[a, 6] / s2
        x[a] = mean[a] + g * (1.0 - k - k * moved)
        for b in range(6):
            P[a, b] = prior[a, b] + (k * k - 1.0) * g * prior[6, b]
        P[a, 6] = k * prior[a, 6]
        P[6, a] = P[a, 6]
        for b in range(7, 9):  # wind
            P[a, b] = prior[a, b] + (k - 1.0) * g * prior[6, b]
            P[b, a] = P[a, b]
    for a in range(6, 9):
        x[a] = mean[a]
        for b in range(6, 9):
            P[a, b] = prior[a, b]


@borrowing
def learn(x, P, origin, axes, cosines, z, sigma, seen, scratch, rows, have, w):
    """`sights.revise` of re-entry in place, on as many lines as it takes; returns the logarithm of the plot's density.

    ``seen`` is its regression; ``scratch (BENDING, 9)`` (whose begin may be ``seen``), ``rows``, ``have`` and ``w`` are scratch.
    """
    prior, mean, root = scratch[_COVARIANCE:_MEAN], scratch[_MEAN], seen[ROOT:SLOPES]
    for a in range(9):
        mean[a] = x[a]
    ll = revise(9, x, P, z, sigma, seen, rows, have)
    moved = x[6] - mean[6]
    if not abs(moved) > LITTLE:
        return ll
    for a in range(9):
        for b in range(a + 1):
            total = 0.0
            for c in range(b + 1):
                total += root[c, a] * root[c, b]
            prior[a, b] = total
            prior[b, a] = total
    for _ in range(LINES):
        tried = moved
        bend(prior, mean, moved, P[6, 6], x, P)
        regress(9, x, P, origin, axes, cosines, scratch[:ROWS], w)
        ll = revise(9, x, P, z, sigma, scratch[:ROWS], rows, have)
        moved = x[6] - mean[6]
        if abs(moved - tried) < SETTLED:
            break
        moved = 0.5 * (tried + moved)
    return ll
