"""Falls through the air flown by themselves, and how far forces across the path scatter them."""

from __future__ import annotations

import numpy as np

from copfuse import filters, motion


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
