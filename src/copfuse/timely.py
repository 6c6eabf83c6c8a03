"""`timely`: how well an object could be known at the hub at best, by the plots that had arrived there by then.

`bounds.bound` counts a plot from when it was made.  Where plots are on their way, that is below what anyone can know; here each time's
bound stands on the plots of before that have arrived by it, late ones at their place in the past, as the best smoother would use them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from copfuse import bounds, informing, motion, sensors
from copfuse.bounds import Bound
from copfuse.tables import Detections, Truth


def timely(
    truth: Truth, scenario: Any, detections: Detections, arrived: np.ndarray, at: np.ndarray, object: int = 0, noise: float = 1.0
) -> Bound:
    """The posterior Cramer-Rao bound of an object at times ``at`` (m,) s of its life by plots that ``arrived`` (n,) s, nan: never.

    The model is the filters' (`bounds.bound`); false plots and wrong associations cost nothing.  Rows are those times from the first
    on by which a plot of the object is there; no rows where none ever is.
    """
    path = truth[truth.object == object]
    rows = np.flatnonzero((detections.object == object) & np.isfinite(arrived))
    made, came = detections.time[rows], arrived[rows]
    at = at[(at >= came.min(initial=np.inf)) & (at <= path.time[-1])]
    if len(at) == 0:
        return Bound(np.zeros(0), np.zeros((0, 6, 6)), "HUB")
    told = _information(path, detections[rows], scenario)
    grid = bounds.on_a_grid(path, np.r_[made, at], np.concatenate([told, np.zeros((len(at), 6, 6))]))[0]
    place = np.searchsorted(grid, made)
    step = bounds.steps(path, grid, noise)
    whole = bounds.carried(step, _gained(place, told, 0, len(grid)))
    P = np.empty((len(at), *whole.shape[1:]))
    for i, (now, k) in enumerate(zip(at.tolist(), np.searchsorted(grid, at).tolist(), strict=True)):
        late = (came > now) & (place <= k)
        first = int(place[late].min(initial=k + 1))  # before it nothing is missing
        there = (came <= now) & (place >= first) & (place <= k)
        gained = _gained(place[there], told[there], first, k + 1)
        P[i] = bounds.carried(step, gained, first, whole[first - 1] if first else None)[-1] if first <= k else whole[k]
    return Bound(at, bounds.seen(P), "HUB")


def _information(path: Truth, plots: Detections, scenario: Any) -> np.ndarray:
    """What each plot says of position and velocity (n, 6, 6)."""
    x, told = motion.interpolate(path.time, path.x, plots.time), np.zeros((len(plots), 6, 6))
    for k in np.unique(plots.sensor).tolist():
        mine, sensor = plots.sensor == k, scenario.sensors[k]
        where = sensors.place(sensor, plots.time[mine])
        told[mine] = informing.plot_information(x[mine], plots.sigma[mine], *where, cosines=sensor.cosines)
    return told


def _gained(place: np.ndarray, told: np.ndarray, first: int, end: int) -> np.ndarray:
    """The information (end - first, 6, 6) at rows of a grid, of plots that belong to rows ``place (n,)`` of it."""
    gained = np.zeros((end - first, 6, 6))
    np.add.at(gained, place - first, told)
    return gained
