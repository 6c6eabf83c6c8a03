"""How far estimates of one time are apart, by their covariances."""

from __future__ import annotations

import numpy as np

from copfuse.kernels import njit
from copfuse.kernels.small import cholesky, solve_lower


@njit
def squared_distances(x, P, i, j, slack):
    """Squared Mahalanobis distances (k,) of pairs ``i (k,)``, ``j (k,)`` of independent estimates ``x (n, 6)``,
    ``P (n, 6, 6)``, whose differences have the variances ``slack (6,)`` besides."""
    S, lower, d, d2 = np.empty((6, 6)), np.zeros((6, 6)), np.empty(6), np.empty(len(i))
    for k in range(len(i)):
        for a in range(6):
            d[a] = x[i[k], a] - x[j[k], a]
            for b in range(6):
                S[a, b] = P[i[k], a, b] + P[j[k], a, b]
            S[a, a] += slack[a]
        cholesky(S, 6, lower)
        solve_lower(lower, 6, d)
        d2[k] = 0.0
        for a in range(6):
            d2[k] += d[a] * d[a]
    return d2
