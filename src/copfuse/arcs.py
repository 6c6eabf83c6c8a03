"""The part of a flight that is free, found from the plots alone, and what can be said of the rest without any plan.

A free flight is grown from a few seconds about the highest part of the track, both ways, as long as the plots that come
in add no more chi-squared than chance does (Chow, Econometrica 28(3), 1960: a test of new observations against a fit).
What is left must show that nothing pushed it: a constant specific force is fitted beside it and must be found small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import chi2

from copfuse import batch, families, filters, forecast, frames
from copfuse.batch import Fit, Plots
from copfuse.boosts import begin_of, drift
from copfuse.coasting import REGISTRATION
from copfuse.constants import BOOST, REENTRY_ALTITUDE
from copfuse.errors import CopfuseError
from copfuse.tables import Tracks

CORE, LONGEST = 10.0, 60.0  # s to either side of the centre with which an arc starts, at least and at most
CORE_PLOTS = 12
GROWTH, STEP, START = 0.25, 4.0, 30.0  # an arc first grows by this share of its length, between so many s; then twice, or half, of it
TRIM = 0.4  # share of an arc that is given up at its late end where plots go on otherwise
SURPRISE = 1e-3  # chance that an arc stops growing too early at one step
FALSE, OUTER = 0.05, 8  # share of a step's plots that may be false, and number of outermost ones of which but one may be
FELT = 2.0  # m/s^2: a specific force that cannot be told from more is no proof of free flight
THRUST, WINDOW = 5.0, 12.0  # m/s^2: a steady specific force above is an engine's, sought in windows of so many s; *notional*
PUSH, LEFT = 5.0, 20.0  # s over which a track shows its push, and s that it may go on unseen, *notional*
SURE = 4.0  # standard deviations, as many windows are tried
ASCENT, ASCENT_SIGMA = 2.2, 0.35  # seconds since launch times climb over height, of boosts below 100 km; *notional*


@dataclass(frozen=True, eq=False)
class Arc:
    """A free flight from ``first`` to ``last`` (s); ``ended`` tells whether plots after it do not belong to it."""

    fit: Fit
    first: float
    last: float
    ended: bool

    def holds(self, time: float) -> bool:
        """Whether plots cover that time."""
        return self.first <= time <= self.last


def joined(one: Tracks, other: Tracks, bias: float) -> bool:
    """Whether two tracks may be one object, seen again after free flight: their ends meet, but for a chance of 1e-4.

    The last state above the air of the later one is traced back to the end of the earlier one.  Where that still burns there, it may
    have burnt on unseen, up to `LEFT` s.  ``bias`` scales what sensors' biases may put between them (`coasting.REGISTRATION`).
    """
    early, late = (one, other) if one.time[-1] < other.time[0] else (other, one)
    up = np.flatnonzero(frames.altitude(late.x[:, :3]) > REENTRY_ALTITUDE)
    if late.time[0] <= early.time[-1] or len(up) == 0:
        return False
    x, P, back = late.x[up[-1]], late.P[up[-1]], float(early.time[-1] - late.time[up[-1]])
    scale = np.repeat([100.0, 0.1], 3)
    slope = np.stack([(drift(x + h, back) - drift(x - h, back)) / (2.0 * h.sum()) for h in np.diag(scale)], axis=1)
    slack = np.diag(np.repeat(np.square(REGISTRATION), 3)) * bias**2
    spread = early.P[-1] + slack + slope @ (P + slack) @ slope.T
    apart = (drift(x, back) - early.x[-1])[:, None] - _burnt_on(early)
    return bool((apart * np.linalg.solve(spread, apart)).sum(axis=0).min() < chi2.isf(1e-4, 6))


def _burnt_on(early: Tracks) -> np.ndarray:
    """By what (6, n) the free flight after a burn of 0 to `LEFT` s more, traced back to the end of a track, is off it: 0 if it burns not.

    With the push of the track's last `PUSH` s.
    """
    if early.phase_probability[-1, BOOST] < 0.5:
        return np.zeros((6, 1))
    row = int(np.searchsorted(early.time, early.time[-1] - PUSH))
    dt = float(early.time[-1] - early.time[row])
    if dt <= 0.0:
        return np.zeros((6, 1))
    push = (early.x[-1, 3:] - drift(early.x[row], dt)[3:]) / dt
    left = np.arange(0.0, LEFT, 0.1)
    return np.concatenate([np.outer(push, -0.5 * left**2), np.outer(push, left)])


def longest(plots: Plots, tracks: Tracks) -> Arc | None:
    """The free flight about the highest part of the track, or None where there is none; ``plots`` of radars alone."""
    top = int(frames.altitude(tracks.x[:, :3]).argmax())
    for centre in centres(plots, float(tracks.time[top])):
        arc = _grown(plots, tracks, centre)
        if arc is not None and _free(plots, arc):
            return arc
    return None


def centres(plots: Plots, top: float) -> list[float]:
    """Where an arc may start: the plot nearest to the top, then one half a minute before and after it."""
    return [float(plots.time[np.abs(plots.time - t).argmin()]) for t in (top, top - 30.0, top + 30.0)]


def _core(plots: Plots, centre: float) -> tuple[float, float] | None:
    for half in (CORE, 1.5 * CORE, 2.0 * CORE, 3.0 * CORE, LONGEST):
        near = np.abs(plots.time - centre) <= half
        if near.sum() >= CORE_PLOTS and np.ptp(plots.time[near]) >= 0.5 * half:
            return float(plots.time[near].min()), float(plots.time[near].max())
    return None


def _fitted(plots: Plots, first: float, last: float, x: np.ndarray, log_beta: float, rounds: tuple[float, ...]) -> Fit | None:
    """A free flight through the plots of a span from the state x at its first; None where they do not determine one."""
    mine = plots[(plots.time >= first) & (plots.time <= last)]
    try:
        return batch.fit(families.free(first), mine, np.r_[x, log_beta], rounds)
    except CopfuseError:
        return None


def _grown(plots: Plots, tracks: Tracks, centre: float) -> Arc | None:
    span = _core(plots, centre)
    if span is None:
        return None
    row = int(np.abs(tracks.time - centre).argmin())
    x = drift(tracks.x[row], span[0] - tracks.time[row])
    fitted = _fitted(plots, *span, x, filters.LOG_BETA[0], (30.0, 5.0, 1.0))
    return grown(plots, fitted, *span) if fitted is not None and fitted.honest else None


def grown(plots: Plots, fitted: Fit, first: float, last: float) -> Arc | None:
    """The honest free flight from ``first`` to ``last`` grown both ways as far as the plots allow."""
    ended = {}
    for back in (False, True):
        step, trail = min(max(STEP, GROWTH * (last - first)), START), [(first, last)]
        while (wider := _wider(plots, *trail[-1], step, back)) is not None:
            more = _more(plots, fitted, trail[-1], wider)
            if more is not None:
                fitted, step = more, 2.0 * step
                trail.append(wider)
            elif step <= STEP:
                break
            else:
                step = max(0.5 * step, STEP)
        ended[back] = wider is not None
        first, last = trail[-1]
        if ended[back] and len(trail) > 1:  # a slow departure shows only after it has begun
            slow = max(STEP, TRIM * (last - first))  # what pushes at the end may have begun gently: lift in thin air
            kept = (min(first + STEP, trail[0][0]), last) if back else (first, max(last - slow, trail[0][1]))
            new = _fitted(plots, *kept, drift(fitted.u[:6], kept[0] - first), fitted.u[6], ())
            if new is None or not new.honest:
                return None
            fitted, (first, last) = new, kept
    if ended[False]:
        fitted = pushed(plots[(plots.time >= first) & (plots.time <= last)], fitted)
    return Arc(fitted, first, last, ended[False])


def _wider(plots: Plots, first: float, last: float, step: float, back: bool) -> tuple[float, float] | None:
    """The span grown by ``step``, at least to the next plot; None at the end of the plots."""
    if back:
        out = plots.time[plots.time < first]
        return (float(out[out >= min(first - step, out[-1])][0]), last) if len(out) else None
    out = plots.time[plots.time > last]
    return (first, float(out[out <= max(last + step, out[0])][-1])) if len(out) else None


def _more(plots: Plots, fitted: Fit, span: tuple[float, float], wider: tuple[float, float]) -> Fit | None:
    """The fit of the wider span, or None where what comes in does not belong to the flight."""
    new = _fitted(plots, *wider, drift(fitted.u[:6], wider[0] - span[0]), fitted.u[6], ())
    if new is None or not new.honest:
        return None
    time = plots.time[(plots.time >= wider[0]) & (plots.time <= wider[1])]
    fresh = np.flatnonzero((time < span[0]) | (time > span[1]))
    dof = max(new.dof - fitted.dof, 1.0)
    back = wider[0] < span[0]
    outer, refused = fresh[:OUTER] if back else fresh[-OUTER:], ~new.kept
    if refused[fresh].sum() > FALSE * len(fresh) + (len(fresh) >= OUTER) or refused[outer].sum() > 1 or refused[fresh[0 if back else -1]]:
        return None
    return new if new.chi2 - fitted.chi2 <= chi2.ppf(1.0 - SURPRISE, dof) + 0.02 * dof else None


def _free(plots: Plots, arc: Arc) -> bool:
    """Whether the plots show that no steady specific force of `FELT` or more acts, gravity and drag apart."""
    force, cov = felt(plots[(plots.time >= arc.first) & (plots.time <= arc.last)], arc.fit)
    sigma = math.sqrt(float(np.linalg.eigvalsh(cov)[-1]))
    return float(np.linalg.norm(force)) + 2.0 * sigma < FELT


def pushed(plots: Plots, fitted: Fit) -> Fit:
    """The fit with a covariance that allows for a steady specific force of about `FELT` and for what one would change."""
    moved, inverse = _with_force(plots, fitted, 1.0 / FELT)
    k = len(fitted.u)
    root = np.asarray(np.linalg.qr(inverse.T, mode="r")).T[:k]
    return replace(fitted, root=np.column_stack([root, moved[:k]]))


def felt(plots: Plots, fitted: Fit) -> tuple[np.ndarray, np.ndarray]:
    """A constant Earth-fixed acceleration (3) m/s^2 that the plots show beside a free flight, and its covariance (3, 3)."""
    moved, inverse = _with_force(plots, fitted, 0.0)
    return moved[-3:], (inverse @ inverse.T)[-3:, -3:]


def _with_force(plots: Plots, fitted: Fit, known: float) -> tuple[np.ndarray, np.ndarray]:
    """By how much the parameters (k) change, then the acceleration (3), if one is fitted too, and the pseudo-inverse that says so.

    ``known``: one over the standard deviation m/s^2 that is believed of each component beforehand.
    """
    true = plots[fitted.kept]
    x = fitted.model.states(fitted.u, true.time)
    errors, lever = batch.tight(true, x), true.time - true.time.mean()
    columns = []
    for axis in np.eye(3):
        push = np.hstack([0.5 * lever[:, None] ** 2 * axis, lever[:, None] * axis]) * 0.05
        columns.append((batch.miss(true, x + push) - batch.miss(true, x - push)) / 0.1)
    J = np.hstack([batch.slopes(fitted.model, true, errors, fitted.u), errors.white(np.stack(columns, axis=-1))])
    r = errors.white(batch.miss(true, x)[:, :, None])[:, 0]
    prior = np.diag(np.r_[1.0 / fitted.model.sigma, np.full(3, known)])
    left = np.vstack([J, prior])
    scale = np.linalg.norm(left, axis=0)
    inverse = np.linalg.pinv(left / scale) / scale[:, None]
    pulled = np.r_[r, prior[:, :-3] @ (fitted.u - fitted.model.mean)]
    return -(inverse @ pulled), inverse


# What comes before it, without a plan --------------------------------------------------------------------------------


def bracket(plots: Plots, fitted: Fit, first: float) -> tuple[float, float] | None:
    """Times between which the last burn before an arc ended; None where plots show no burn.

    Windows of `WINDOW` s are gone through backwards from the arc until one shows a steady specific force above `THRUST`.
    That burn ended in it, or after it in windows whose plots cannot exclude one.
    """
    x, at, end, unsure = fitted.u[:6], begin_of(fitted), first, first
    while end - WINDOW >= plots.time[0]:
        start, known = end - WINDOW, None
        mine = plots[(plots.time >= start) & (plots.time <= end)]
        if len(mine.time) >= CORE_PLOTS:
            known = _force(mine, drift(x, float(mine.time[0]) - at), fitted.u[6])
        if known is not None:
            force, sigma, x, at = known
            if force - SURE * sigma > THRUST:
                return start, unsure
            unsure = end - 0.5 * WINDOW if force + 2.0 * sigma < THRUST else unsure
        end -= 0.5 * WINDOW
    return None


def _force(mine: Plots, x: np.ndarray, log_beta: float) -> tuple[float, float, np.ndarray, float] | None:
    """Size of a steady specific force in a window and its sigma, m/s^2, then the state at the window's begin and that time."""
    begin = float(mine.time[0])
    fitted = _fitted(mine, begin, float(mine.time[-1]), x, log_beta, (30.0, 5.0))
    if fitted is None:
        return None
    force, cov = felt(mine, fitted)
    size = float(np.linalg.norm(force))
    return size, math.sqrt(float(force @ cov @ force)) / max(size, 1e-9), fitted.u[:6], begin


def origin(tracks: Tracks, before: float) -> tuple[np.ndarray, np.ndarray, float, float] | None:
    """Launch point (3), covariance (3, 3), time and its sigma from where a climbing track bends to (`forecast.launch_point`).

    Of the track's rows before ``before`` and below the height at which boosts end, the one that knows it best.
    """
    lat, lon, height = frames.geodetic(tracks.x)
    climb = np.einsum("ni,ni->n", tracks.x[:, 3:], frames.enu_axes(lat, lon)[:, 2])
    rows = np.flatnonzero((tracks.time < before) & (height < forecast.BOOST_CEILING) & (climb > 50.0) & (height > 500.0))
    if not len(rows):
        return None
    mu = np.full((len(rows), filters.motions.N_MODEL), 1.0 / filters.motions.N_MODEL)
    bank = filters.bank(tracks.time[rows], tracks.x[rows], tracks.P[rows], mu)
    points, covs = forecast.launch_point(bank, np.ones(len(rows)))
    best = int(np.trace(covs, axis1=1, axis2=2).argmin())
    ago = height[rows] / climb[rows]
    up = frames.enu_axes(lat[rows], lon[rows])[:, 2]
    slope = np.hstack([up, -up * ago[:, None]]) / climb[rows, None]
    sigma = np.sqrt((ASCENT_SIGMA * ago) ** 2 + ASCENT**2 * np.einsum("ni,nij,nj->n", slope, tracks.P[rows], slope))
    when = int(sigma.argmin())
    return points[best], covs[best], float(tracks.time[rows[when]] - ASCENT * ago[when]), float(sigma[when])
