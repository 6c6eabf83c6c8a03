"""Which plot belongs to which track.

One signature for hard and soft rules: distances and log likelihood ratios ``(n, m)`` in, weights ``(n, m + 1)`` out,
column 0 is "missed".
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri

from copfuse.kernels.assignment import assign

GATE_TAIL = 1e-5  # probability that a true plot falls outside the gate


def gate(n_component) -> np.ndarray:
    """Largest squared Mahalanobis distance accepted, by the number of components of the plot (chi-squared)."""
    return chdtri(n_component, GATE_TAIL)


def gnn(d2, log_ratio, limit, detection_probability: float = 0.8) -> np.ndarray:
    """Global nearest neighbour: the assignment of greatest total likelihood ratio, weights 0 or 1 ``(n, m + 1)``.

    ``d2 (n, m)`` is gated at ``limit`` (scalar or (m,)); ``log_ratio (n, m)`` is the logarithm of the plot's density
    under the track over the density of false and new plots (Blackman & Popoli 1999, sec. 6.2).  A track stays
    unassigned where 1 - P_D is worth more.  Optimal; see `kernels.assignment.assign`.
    """
    n, m = np.shape(d2)
    weights = np.zeros((n, m + 1))
    if n == 0 or m == 0:
        weights[:, 0] = 1.0
        return weights
    cost = np.where(np.asarray(d2) <= limit, -np.asarray(log_ratio) - np.log(detection_probability), np.inf)
    column = assign(cost, np.full(n, -np.log1p(-detection_probability)))
    weights[np.arange(n), column + 1] = 1.0
    return weights
