"""What the models of tracks start from, of many tracks in one call: `filters.bank`."""

from __future__ import annotations

import math

from copfuse.kernels import borrowing
from copfuse.kernels.motions import BOOST, GLIDE, MANOEUVRE, N_MODEL, REENTRY, WIND


@borrowing
def start(acceleration, sigma, log_beta, thrust, flow, lift, x6, P6, x, P):
    """Fill what all models start from: ``x (n, 5, 9), P (n, 5, 9, 9)``, which are nought, from ``x6 (n, 6), P6 (n, 6, 6)``, which is made
    symmetric.

    ``acceleration (n, 3)``, or (0, 3) where nothing is known of it, with ``sigma (n,)`` m/s^2; ``log_beta (n, 2)``, mean and sigma;
    priors (mean, sigma) of ``thrust`` and ``flow``, and ``lift``, a sigma.
    """
    for i in range(len(x)):
        for a in range(6):
            for b in range(a):
                P6[i, a, b] = P6[i, b, a] = 0.5 * (P6[i, a, b] + P6[i, b, a])
        for model in range(N_MODEL):
            for a in range(6):
                x[i, model, a] = x6[i, a]
                for b in range(6):
                    P[i, model, a, b] = P6[i, a, b]
        for a in range(6, 9):
            P[i, MANOEUVRE, a, a] = sigma[i] * sigma[i]
        x[i, BOOST, 6], x[i, BOOST, 7] = thrust[0], flow[0]
        P[i, BOOST, 6, 6], P[i, BOOST, 7, 7] = thrust[1] * thrust[1], flow[1] * flow[1]
        P[i, GLIDE, 7, 7] = P[i, GLIDE, 8, 8] = lift * lift
        P[i, REENTRY, 7, 7] = P[i, REENTRY, 8, 8] = WIND * WIND
        if len(acceleration):
            _accelerate(acceleration[i], sigma[i], x6[i], x[i], P[i])
        for model in (REENTRY, GLIDE):
            x[i, model, 6], P[i, model, 6, 6] = log_beta[i, 0], log_beta[i, 1] * log_beta[i, 1]


@borrowing
def _accelerate(acceleration, sigma, x6, x, P):
    """Fill in what an acceleration (3,), ``sigma`` m/s^2, is to each model: push, thrust, lift and turn."""
    speed = max(math.sqrt(x6[3] * x6[3] + x6[4] * x6[4] + x6[5] * x6[5]), 1.0)
    ahead = x6[3] / speed, x6[4] / speed, x6[5] / speed
    rise = _dot(x6, ahead)
    ux, uy, uz = x6[0] - rise * ahead[0], x6[1] - rise * ahead[1], x6[2] - rise * ahead[2]
    size = max(math.sqrt(ux * ux + uy * uy + uz * uz), 1.0)
    up = ux / size, uy / size, uz / size
    turn = ahead[1] * up[2] - ahead[2] * up[1], ahead[2] * up[0] - ahead[0] * up[2], ahead[0] * up[1] - ahead[1] * up[0]
    for a in range(3):
        x[MANOEUVRE, 6 + a] = acceleration[a]
    x[BOOST, 6], x[GLIDE, 7], x[GLIDE, 8] = _dot(acceleration, ahead), _dot(acceleration, up), _dot(acceleration, turn)
    P[BOOST, 6, 6] = P[GLIDE, 7, 7] = P[GLIDE, 8, 8] = sigma * sigma


@borrowing
def _dot(a, b):
    """The product of two vectors, added in numpy's order."""
    return (a[0] * b[0] + a[2] * b[2]) + a[1] * b[1]
