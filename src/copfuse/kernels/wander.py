"""Whitening of measurement errors that contain slowly wandering sensor biases, in time linear in their number."""

from __future__ import annotations

import math

import numpy as np

from copfuse.kernels import njit

BIASES = 4  # range, azimuth, elevation, clock


@njit
def gains(load, sigma, keep, gain, root):
    """Kalman gains ``gain (m, 4)`` and innovation sigmas ``root (m,)`` of scalar errors in time order.

    Error i is ``load[i] @ b + sigma[i] * white noise`` with four independent biases b of unit variance, of which the share
    ``keep[i]`` is left since error i - 1 (first-order Gauss-Markov, stationary).
    """
    P = np.eye(BIASES)
    for i in range(len(sigma)):
        a2 = keep[i] * keep[i]
        for j in range(BIASES):
            for k in range(BIASES):
                P[j, k] = a2 * P[j, k] + (1.0 - a2 if j == k else 0.0)
        s = sigma[i] * sigma[i]
        for j in range(BIASES):
            gain[i, j] = 0.0
            for k in range(BIASES):
                gain[i, j] += P[j, k] * load[i, k]
            s += load[i, j] * gain[i, j]
        root[i] = math.sqrt(s)
        for j in range(BIASES):
            for k in range(j, BIASES):
                P[j, k] -= gain[i, j] * gain[i, k] / s
                P[k, j] = P[j, k]
        for j in range(BIASES):
            gain[i, j] /= s


@njit
def innovations(load, keep, gain, root, rows, out):
    """Whitened columns ``out (m, c)`` of ``rows (m, c)``: innovations over their sigma, which is the inverse Cholesky factor's work."""
    for c in range(rows.shape[1]):
        b0, b1, b2, b3 = 0.0, 0.0, 0.0, 0.0
        for i in range(rows.shape[0]):
            a = keep[i]
            b0, b1, b2, b3 = a * b0, a * b1, a * b2, a * b3
            e = rows[i, c] - load[i, 0] * b0 - load[i, 1] * b1 - load[i, 2] * b2 - load[i, 3] * b3
            b0 += gain[i, 0] * e
            b1 += gain[i, 1] * e
            b2 += gain[i, 2] * e
            b3 += gain[i, 3] * e
            out[i, c] = e / root[i]
