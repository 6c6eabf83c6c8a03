"""Plots and tracks that arrive late, put where they belong in time.

For one Gaussian per track, `History` keeps the joint density of its states at several past times (the accumulated state
density: Koch & Govaers, IEEE T-AES 47(4), 2011): what comes late updates the state at its own time, one between two known ones
if need be, and all others through their correlation with it.  Exact for linear motions and sensors, whatever the lag.

A track of several models has no such density; `Memory` keeps its plots and filter states of the last seconds, and a late
plot is put among them and all after it are processed again.  What is older than the window is counted and refused.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from copfuse import filters, starting
from copfuse.errors import CopfuseError
from copfuse.filters import Bank
from copfuse.gaussian import CUBATURE, Model, Rule, apply, linearise, transpose, wrap
from copfuse.rules import Tracklet

Motion = Callable[[float, float], Model]  # from one time to a later one, s

ROUNDING = 1e-13  # of a variance, in standard deviations squared: a smaller process noise is none


# One Gaussian per track: the accumulated state density --------------------------------------------------------------


@dataclass(frozen=True)
class History:
    """States of n tracks at k past times: time (k,) s ascending, x (n, k, d), and the joint covariance P (n, k d, k d)."""

    time: np.ndarray
    x: np.ndarray
    P: np.ndarray

    def at(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The state x (n, d), P (n, d, d) at the k-th time; -1 is now."""
        d = self.x.shape[2]
        k = k % len(self.time)
        return self.x[:, k], self.P[:, k * d : (k + 1) * d, k * d : (k + 1) * d]


def history(time: float, x, P) -> History:
    """Tracks x (n, d), P (n, d, d) or (d, d) at one time, s, with no past."""
    x = np.atleast_2d(np.asarray(x, float))
    P = np.broadcast_to(np.asarray(P, float), (*x.shape, x.shape[1]))
    return History(np.array([float(time)]), x[:, None], P.copy())


def state_at(past: History, time: float, motion: Motion, rule: Rule = CUBATURE) -> tuple[History, int]:
    """The history with a state at ``time``, s, and which one it is.

    Later than now it is predicted; between two known times it is bridged: given both neighbours a state depends on nothing
    else.  ``motion(begin, end)`` is the `gaussian.Model` from one time to a later one.  Raises `CopfuseError` for a time
    before the first one kept.
    """
    time = float(time)
    after = bisect_right(past.time.tolist(), time)
    if after and past.time[after - 1] == time:
        return past, after - 1
    if after == 0:
        raise CopfuseError(f"the history begins at {past.time[0]} s, and {time} s is before that; keep a longer one")
    before = after - 1
    x, P = past.at(before)
    mean, slope, residual = _line(motion(past.time[before], time), x, P, rule)
    if after == len(past.time):
        return _joined(past, after, time, mean, [(before, slope)], residual), after
    spread = slope @ P @ transpose(slope) + residual
    mean2, slope2, residual2 = _line(motion(time, past.time[after]), mean, spread, rule)
    total = slope2 @ residual @ transpose(slope2) + residual2
    gain = residual @ transpose(slope2) @ _inverse(total, slope2 @ spread @ transpose(slope2) + residual2)
    bridged = mean + apply(gain, past.x[:, after] - mean2)
    left = _symmetric(residual - gain @ slope2 @ residual)
    return _joined(past, after, time, bridged, [(before, slope - gain @ slope2 @ slope), (after, gain)], left), after


def _inverse(noise: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Inverse (n, d, d) of process noise that is part of a ``whole`` covariance, where it is more than what rounding leaves of that.

    Where some noise is 0, what the regression leaves of a motion is rounding, and its inverse would be taken for knowledge.
    """
    scale = np.sqrt(np.maximum(np.diagonal(whole, axis1=1, axis2=2), np.finfo(float).tiny))
    scale = scale[:, :, None] * scale[:, None, :]
    shares, ways = np.linalg.eigh(_symmetric(noise / scale))
    real = shares > ROUNDING
    return (ways * np.where(real, 1.0 / np.where(real, shares, 1.0), 0.0)[:, None, :]) @ transpose(ways) / scale


def _line(model: Model, x: np.ndarray, P: np.ndarray, rule: Rule) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean, slope, residual = linearise(model.function, x, P, rule, model.jacobian, model.angles)
    return mean, slope, residual + model.covariance(x)


def _joined(past: History, k: int, time: float, mean: np.ndarray, slopes: list[tuple[int, np.ndarray]], noise: np.ndarray) -> History:
    """The history with one more state at place k: a linear function of some of the others, plus noise."""
    n, d = mean.shape
    cross = sum(slope @ past.P[:, j * d : (j + 1) * d] for j, slope in slopes)
    own = sum(cross[:, :, j * d : (j + 1) * d] @ transpose(slope) for j, slope in slopes) + noise
    here = k * d
    P = np.insert(past.P, [here] * d, 0.0, axis=1)
    P = np.insert(P, [here] * d, 0.0, axis=2)
    cross = np.insert(cross, [here] * d, 0.0, axis=2)
    P[:, here : here + d] = cross
    P[:, :, here : here + d] = transpose(cross)
    P[:, here : here + d, here : here + d] = _symmetric(own)
    return History(np.insert(past.time, k, time), np.insert(past.x, k, mean, axis=1), P)


def take(past: History, time: float, z, sensor: Model, motion: Motion, rule: Rule = CUBATURE) -> History:
    """A measurement z (n, m) of ``time``, s, whenever it arrives: in order, late, or between known times.

    ``sensor`` and ``motion`` as for `gaussian.update` and `state_at`; Joseph's form over all states.  Raises `CopfuseError`
    as `state_at` does.
    """
    past, k = state_at(past, time, motion, rule)
    x, P = past.at(k)
    mean, slope, noise = _line(sensor, x, P, rule)
    n, d = x.shape
    rows = slice(k * d, (k + 1) * d)
    to_plot = past.P[:, :, rows] @ transpose(slope)
    S = _symmetric(slope @ P @ transpose(slope) + noise)
    gain = transpose(np.linalg.solve(S, transpose(to_plot)))
    innovation = wrap(np.broadcast_to(np.asarray(z, float), mean.shape) - mean, sensor.angles)
    left = np.tile(np.eye(past.P.shape[1]), (n, 1, 1))
    left[:, :, rows] -= gain @ slope
    whole = left @ past.P @ transpose(left) + gain @ noise @ transpose(gain)
    return History(past.time, past.x + apply(gain, innovation).reshape(past.x.shape), _symmetric(whole))


def take_track(past: History, time: float, news: Tracklet, motion: Motion, rule: Rule = CUBATURE) -> History:
    """Another source's news (`rules.tracklet`) of ``time``, s, whenever it arrives.  Raises `CopfuseError` as `state_at` does."""
    past, k = state_at(past, time, motion, rule)
    x, P = past.at(k)
    n, d = x.shape
    columns = past.P[:, :, k * d : (k + 1) * d]
    carried = columns @ np.linalg.inv(np.eye(d) + news.Y @ P)  # P+ of the column, without an inverse of Y, which may be singular
    x_all = past.x + apply(carried, news.y + apply(news.Y, news.at - x)).reshape(past.x.shape)
    return History(past.time, x_all, _symmetric(past.P - carried @ news.Y @ transpose(columns)))


def forget(past: History, before: float) -> History:
    """Without what is older than ``before``, s, but for the newest such state: a plot right after ``before`` needs it."""
    first = max(bisect_right(past.time.tolist(), before) - 1, 0)
    d = past.x.shape[2]
    return History(past.time[first:], past.x[:, first:], past.P[:, first * d :, first * d :])


# Tracks of several models: replay within a window -----------------------------------------------------------------------

WINDOW = 30.0  # s


@dataclass(frozen=True, eq=False)
class Plot:
    """One plot: time s, ``sensor`` number (which orders plots of one time), z, sigma (4,), origin (3,), axes (3, 3), as in `filters`."""

    time: float
    sensor: int
    z: np.ndarray
    sigma: np.ndarray
    origin: np.ndarray
    axes: np.ndarray
    cosines: int = 0

    @property
    def order(self) -> tuple[float, int]:
        """What plots are sorted by."""
        return self.time, self.sensor


Step = Callable[[Any, Plot], Any]


@dataclass(frozen=True, eq=False)
class Memory:
    """What one track was made of: ``plots`` of the window in time order and the filter's state after each.

    ``whole``: the first of them started the track.  ``late`` plots were put in their place, ``refused`` ones were too old.
    """

    plots: tuple[Plot, ...] = ()
    states: tuple[Any, ...] = ()
    whole: bool = True
    late: int = 0
    refused: int = 0

    @property
    def state(self) -> Any:
        """The filter's state after the newest plot: a `Bank` of one row, or whatever the step returns; None before the first."""
        return self.states[-1] if self.states else None


def advance(state: Bank | None, plot: Plot) -> Bank:
    """The production filter's step: start from a first plot, else predict to the plot and update with it."""
    facts = plot.z[None], plot.sigma[None], plot.origin, plot.axes, plot.cosines
    if state is None:
        return starting.from_one_plot(plot.time, *facts)
    return filters.update(filters.predict(state, plot.time), *facts)


def remember(memory: Memory, plot: Plot, window: float = WINDOW, step: Step = advance) -> Memory:
    """The track with one more plot, whenever that arrives; what it leads to is, bit for bit, what sorted plots lead to.

    A plot older than the newest by more than ``window`` s, or than what is kept, is refused and counted.  ``step(state,
    plot)`` gives the state after a plot, with None for state before the first; it must not change its arguments.  Kept are the
    window's plots and the last one before, so memory is bounded by the rate of plots.  Raises `CopfuseError` for a window
    that is negative or not a number.
    """
    if not window >= 0.0:
        raise CopfuseError(f"window is {window} s; 0 or more is needed")
    k = bisect_right([p.order for p in memory.plots], plot.order)
    if memory.plots and (plot.time < memory.plots[-1].time - window or (k == 0 and not memory.whole)):
        return replace(memory, refused=memory.refused + 1)
    late = k < len(memory.plots)
    plots = (*memory.plots[:k], plot, *memory.plots[k:])
    states = list(memory.states[:k])
    for p in plots[k:]:
        states.append(step(states[-1] if states else None, p))
    first = max(bisect_left([p.time for p in plots], plots[-1].time - window) - 1, 0)
    return Memory(plots[first:], tuple(states[first:]), memory.whole and first == 0, memory.late + late, memory.refused)


def _symmetric(P: np.ndarray) -> np.ndarray:
    return 0.5 * (P + transpose(P))
