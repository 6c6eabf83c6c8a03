"""Falls through the air flown by themselves, how far forces across the path scatter them, and where a population of them ends."""

from __future__ import annotations

import numpy as np

from copfuse import filters, motion, populations
from copfuse.kernels import flight


def fallen(x, beta, unsteady=()):
    """Time and state (n, 6) of a fall's rows and its drag, m/s^2."""
    plan = motion.Plan(0.0, 0.0, (), (0.0, 0.0), beta=beta, unsteady=unsteady)
    p = motion._vector(plan, motion.FINE, False, True)
    time, rows, force, _ = motion._march(x, 0.0, np.zeros((0, 5)), p)
    return time, rows, force[:, 1]


def swayed(time, x, drag):
    """Variance, m^2 per axis across, at the end of a fall: from the integral of `filters.TRIM` times drag squared times how far a push
    across gets until the ground, braked as the body is."""
    braking = drag / np.linalg.norm(x[:, 3:], axis=1)
    faded = np.concatenate([[0.0], np.cumsum(0.5 * (braking[1:] + braking[:-1]) * np.diff(time))])
    reach = np.array([np.trapezoid(np.exp(faded[k] - faded[k:]), time[k:]) for k in range(len(time))])
    return np.trapezoid(filters.TRIM * (drag * reach) ** 2, time)


def impacts(x, count, seed, P, log_beta):
    """Where (count, 3) bodies come down that are drawn from a belief about a fall: state x (6) and covariance P (6, 6), mean and sigma of
    ln(beta), and forces as a population's (`populations.unsteady`)."""
    stream, root, ends = np.random.default_rng(seed), np.linalg.cholesky(P), np.empty((count, 3))
    time, rows, force, summary = np.empty(2), np.empty((2, 6)), np.empty((2, 3)), np.zeros(3)
    for k in range(count):
        beta = float(np.exp(stream.normal(*log_beta)))
        plan = motion.Plan(0.0, 0.0, (), (0.0, 0.0), beta=beta, unsteady=populations.unsteady(stream))
        p = motion._vector(plan, (1.0, 0.25, 2.0), False, True)
        start = x + root @ stream.standard_normal(6)
        flight.march(start, 0.0, np.zeros((0, 5)), np.array([np.inf]), p, False, time, rows, force, summary)
        ends[k] = rows[1, :3]
    return ends
