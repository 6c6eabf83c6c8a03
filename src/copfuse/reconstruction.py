"""``reconstruct()``: one whole flight from its plots, after the event, with an interval on everything.

Free flight from burnout to the ground first, then, where the plots bear it, the boost as well, back to the launch point
(`batch` does the fit).  What follows from the fitted parameters (burnout state, apogee, impact) has its covariance by
the delta method: central differences of the flown flight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from copfuse import arcs, batch, boosts, families, frames
from copfuse.arcs import Arc
from copfuse.batch import Fit, Plots
from copfuse.boosts import begin_of, drift
from copfuse.checking import handed, handed_scenario
from copfuse.constants import BOOST, G0
from copfuse.errors import CopfuseError
from copfuse.tables import Detections, Picture, Tracks, same_table
from copfuse.tracking import track

UNSEEN = 0.15  # m/s^2: what ends a free flight, lift or a further burn, may have begun so weakly that no plot shows it; *notional*


@dataclass(frozen=True)
class Value:
    """A number with its standard deviation."""

    value: float
    sigma: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, normal."""
        return self.value - 1.96 * self.sigma, self.value + 1.96 * self.sigma


@dataclass(frozen=True, eq=False)
class Boost:
    """The powered flight: launch ``point (3)`` m Earth-fixed on the ellipsoid with ``P (3, 3)``, times s after the epoch."""

    time: Value
    point: np.ndarray
    P: np.ndarray
    burnout: Value
    profile: str  # the missile class whose boost was fitted, the likeliest of ``weights``; "" where none fits
    x: np.ndarray  # every parameter of the fit of that class; none where none fits
    weights: dict[str, float]  # of the classes whose boosts fit, over which everything is averaged


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """One flight after the event; times are s after the scenario's epoch, points Earth-fixed m.

    ``x (6), P (6, 6)``: state at burnout, whenever that was, where ``boost`` is known, else at ``time``, that of the first
    plot taken as free flight.
    ``log_beta``: of the ballistic coefficient in kg/m^2.  ``ground_range`` is nan without a launch point.  ``used`` and
    ``rejected`` are rows of the plots' table; ``residuals`` holds per sensor the number of plots and the root mean
    square of range, azimuth, elevation and range rate residuals over sigma, biases included (nan: not measured).
    ``chi2`` over ``dof`` (biases taken into account) is about 1 where the model describes the flight; where it does not (lift, another
    burn), apogee, impact and every interval are nan.  ``about`` says what was fitted and why not more.
    ``flown``: the fits that were averaged, with their weights; ``span``: the times s between which they give `states`.
    """

    time: float
    x: np.ndarray
    P: np.ndarray
    log_beta: Value
    boost: Boost | None
    apogee: Value
    apogee_time: Value
    impact_time: Value
    impact_point: np.ndarray
    impact_P: np.ndarray
    ground_range: Value
    chi2: float
    dof: float
    used: np.ndarray
    rejected: np.ndarray
    residuals: dict[str, tuple[int, np.ndarray]]
    about: str
    flown: tuple[tuple[float, Fit], ...] = ()
    span: tuple[float, float] = (math.nan, math.nan)

    def states(self, time: Any) -> tuple[np.ndarray, np.ndarray]:
        """States (n, 6) at times (n,) s in any order and their covariances (n, 6, 6); nan outside ``span`` and where the fit is none."""
        time = np.asarray(time, float)
        x, P = np.full((len(time), 6), np.nan), np.full((len(time), 6, 6), np.nan)
        rows = np.argsort(time, kind="stable")
        rows = rows[(time[rows] >= self.span[0]) & (time[rows] <= self.span[1])]
        if len(rows):
            x[rows], P[rows] = _along(self.flown, time[rows])
        return x, P

    def __str__(self) -> str:
        lines = [self.about, f"plots {len(self.used)} used, {len(self.rejected)} rejected; chi-squared/dof {self.chi2 / self.dof:.2f}"]
        if self.boost is not None:
            lines.append(_told("launch", self.boost.point, self.boost.P, self.boost.time))
            lines.append(f"burnout  {_span(self.boost.burnout, 1.0, 's', 1)}")
        _, _, high = frames.geodetic(self.x)
        speed = float(np.linalg.norm(self.x[3:]))
        slope = np.r_[np.zeros(3), self.x[3:] / speed]
        pace = _span(Value(speed, _root(slope, self.P)), 1.0, "m/s", 1)
        lines.append(f"state    at {self.time:.1f} s: {high[0] / 1e3:.2f} km high, {pace}")
        lines.append(f"apogee   {_span(self.apogee, 1e3, 'km', 2)} at {_span(self.apogee_time, 1.0, 's', 1)}")
        lines.append(_told("impact", self.impact_point, self.impact_P, self.impact_time))
        if self.boost is not None:
            lines.append(f"range    {_span(self.ground_range, 1e3, 'km', 2)}")
        if math.isfinite(self.log_beta.sigma):
            lines.append(f"beta     {math.exp(self.log_beta.value):.0f} kg/m^2, times or over {math.exp(1.96 * self.log_beta.sigma):.2f}")
        for name, (n, rms) in self.residuals.items():
            each = " ".join(f"{label} {v:.2f}" for label, v in zip(("range", "az", "el", "rate"), rms, strict=True) if np.isfinite(v))
            lines.append(f"  {name:<14} {n:4d} plots, residual/sigma: {each}")
        return "\n".join(lines)


def _span(v: Value, unit: float, name: str, digits: int) -> str:
    if not math.isfinite(v.value):
        return "unknown"
    return f"{v.value / unit:.{digits}f} ± {f'{1.96 * v.sigma / unit:.{digits}f}' if math.isfinite(v.sigma) else 'unknown'} {name}"


def _root(slope: np.ndarray, P: np.ndarray) -> float:
    square = float(slope @ P @ slope)
    return math.nan if math.isnan(square) else math.sqrt(max(square, 0.0))


def _told(what: str, point: np.ndarray, P: np.ndarray, when: Value) -> str:
    if not np.isfinite(point).all():
        return f"{what:<8} unknown"
    lat, lon, _ = frames.geodetic(point)
    axes = frames.enu_axes(lat[0], lon[0])[:2]
    size = np.sqrt(chi2.ppf(0.95, 2) * np.maximum(np.linalg.eigvalsh(axes @ P @ axes.T), 0.0)) / 1e3
    where = f"{math.degrees(lat[0]):.4f} N {math.degrees(lon[0]):.4f} E, ellipse {size[1]:.2f} x {size[0]:.2f} km"
    return f"{what:<8} {where}, at {_span(when, 1.0, 's', 1)} (95 %)"


def plots_of(table: Tracks | Picture, rows: Any, tracks: Tracks | None = None) -> np.ndarray:
    """Rows of Detections behind the tracks that ``rows`` (mask or row numbers) of ``table`` belong to, ascending.

    Of Tracks: all plots of each local track that has one of the rows.  Of a Picture: of each local track in the rows'
    pedigree, for which ``tracks`` is needed; where plots were shared, the plots that the pedigree itself names.
    Raises `CopfuseError` where ``tracks`` is missing or is another table.
    """
    if isinstance(table, Picture):
        chain = np.unique(table.pedigree[rows])
        chain = chain[chain >= 0]
        if table.meta["pedigree_of"] == "Detections":
            return chain
        if tracks is None:
            raise CopfuseError("this picture's pedigree names rows of Tracks: call plots_of(picture, rows, tracks)")
        same_table("tracks", tracks, table.meta["pedigree_uid"])
        return plots_of(tracks, chain)
    number = table.node.astype(np.int64) << 32 | table.track
    return np.unique(table.detection[np.isin(number, number[rows])])


def reconstruct(
    detections: Detections, scenario: Any, rows: Any = None, biases: bool | None = None, boost: bool = True, since: float | None = None
) -> Reconstruction:
    """The whole flight of one object from its plots, after the event.

    ``rows`` (mask or row numbers of ``detections``) chooses the plots of one object, see `plots_of`; left out, all plots of
    all sensors are tracked together, and the longest firm track is taken with those that free flight joins to it.  A few false
    plots among them do no harm.
    ``biases`` marginalises the sensors' biases (default: where ``scenario.bias`` is above 0); ``boost=False`` fits the free
    flight alone; ``since`` says from what time on (s) the object flies freely, where the tracker need not find out.

    A boost is fitted with the profile of each class of `vehicles.PROFILES` as a weak prior; those whose chi-squared is where it
    belongs are averaged by their evidence, and so are lengths of the pitch-over that plots do not tell apart.  Where there is
    none, ``about`` says why, and only what free flight tells is given.
    Raises `CopfuseError` where the plots are too few or never show free flight.
    """
    handed("reconstruct", detections=(detections, Detections))
    handed_scenario("reconstruct", scenario)
    biases = scenario.bias > 0 if biases is None else biases
    if rows is None:
        rows = _one_object(detections, scenario)
    try:
        rows = np.unique(np.arange(len(detections))[rows])
    except IndexError as error:
        raise CopfuseError(f"rows do not fit {len(detections)} detections ({error}); give a mask as long, or row numbers") from None
    plots = batch.gather(detections, scenario, rows, biases)
    batch.enough(plots)
    radar = np.array([s.kind == "radar" for s in scenario.sensors])[plots.sensor]
    every = track(detections[rows], scenario, node="HUB")
    tracks = every[every.track == np.bincount(every.track).argmax()]
    arc, first = _free_flight(plots, tracks, every[every.firm], radar, since)
    if arc is None:
        return _nothing(plots[radar], first, scenario, boost)
    fits: list[tuple[float, Fit]] = []
    about = "free flight alone was asked for"
    if boost:
        fits, about = boosts.boosted(plots[plots.time <= arc.last], arc.fit, 1 if arc.ended else len(boosts.QUICK))
    powered = None if fits or not boost else _without_plan(plots[radar], tracks, arc)
    mine = plots[plots.time <= arc.last] if fits else plots[radar & (plots.time >= arc.first) & (plots.time <= arc.last)]
    return _result(fits or [(1.0, arc.fit)], mine, scenario, about, arc, powered)


def _one_object(detections: Detections, scenario: Any) -> np.ndarray:
    """Rows of the plots of the longest firm track, and of those before and after it that free flight joins to it."""
    tracks = track(detections, scenario, node="HUB")
    firm = tracks[tracks.firm]
    if len(firm) == 0:
        raise CopfuseError(f"none of the {len(detections)} plots makes a firm track; name the plots of one object by rows=...")
    count = np.bincount(firm.track)
    mine = [int(count.argmax())]
    for other in np.flatnonzero(count):
        if other != mine[0] and arcs.joined(firm[firm.track == mine[0]], firm[firm.track == other], scenario.bias):
            mine.append(int(other))
    return plots_of(tracks, np.isin(tracks.track, mine))


def _burnt_out(tracks: Tracks, plots: Plots, infrared: np.ndarray) -> float:
    """The time s after which the track climbs without burning and no satellite sees it any more."""
    top = int(frames.altitude(tracks.x[:, :3]).argmax())
    burning = np.flatnonzero(tracks.phase_probability[:top, BOOST] >= 0.5)
    last = tracks.time[burning[-1]] + 1e-3 if len(burning) else plots.time[0]
    seen = tracks.detection[infrared[tracks.detection]]
    return float(max(last, plots.time[seen].max(initial=-np.inf) + 1e-3))


def _free_flight(plots: Plots, tracks: Tracks, every: Tracks, radar: np.ndarray, since: float | None) -> tuple[Arc | None, Fit | None]:
    """The free flight, and the fit that was made first, for what it tells where there is none; ``every`` firm track of the plots.

    Everything from ``since``, or from where the tracker has it burnt out, to the last plot; and back as far as that holds.
    Where even that is not a free flight, a part of it (`arcs.longest`).
    """
    seen = plots[radar]
    begin = since if since is not None else _burnt_out(tracks, plots, ~radar)
    mine = seen[seen.time >= begin]
    fitted = None
    if since is not None or _many(mine):
        # a flight that was lost and found again has its free part in another track
        later = tracks if tracks.time[-1] >= mine.time[0] or every.time.max(initial=-np.inf) < mine.time[0] else every
        fitted = _coast(mine, later) if since is not None else _tried(mine, later)
        if fitted is not None and fitted.honest:
            arc = Arc(fitted, float(mine.time[0]), float(mine.time[-1]), False)
            late = since is None and arc.first > tracks.time[frames.altitude(tracks.x[:, :3]).argmax()]
            return (arcs.grown(seen, fitted, arc.first, arc.last) or arc) if late else arc, fitted
    return None if since is not None else arcs.longest(seen, tracks), fitted


def _tried(mine: Plots, tracks: Tracks) -> Fit | None:
    try:
        return _coast(mine, tracks)
    except CopfuseError:  # none of the track's states comes near: a part may still be found
        return None


def _many(plots: Plots) -> bool:
    return len(plots.time) >= 2 * batch.FEWEST and int(plots.have.sum()) >= 16


def _coast(mine: Plots, tracks: Tracks) -> Fit:
    """One free flight through all of the plots."""
    batch.enough(mine)
    model = families.free(float(mine.time[0]))
    starts = [np.r_[x, model.mean[6]] for x in _traced(tracks, float(mine.time[0]))]
    errors = batch.loose(mine, 30.0)
    costs = [float(np.log1p(errors.white(batch.miss(mine, model.states(u, mine.time))[:, :, None]) ** 2).sum()) for u in starts]
    return batch.fit(model, mine, starts[int(np.nanargmin(costs))])


def _traced(tracks: Tracks, time: float) -> list[np.ndarray]:
    """States (6) at ``time`` from a few of the track's later rows, traced back through empty space."""
    later = np.flatnonzero(tracks.time >= time)
    later = later if len(later) else np.array([len(tracks) - 1])
    return [drift(tracks.x[i], time - tracks.time[i]) for i in np.unique(later[np.linspace(0, len(later) - 1, 12).astype(int)])]


# What follows from it ------------------------------------------------------------------------------------------------


def mixed(fits: list[tuple[float, Fit]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean (18) and covariance (18, 18) of `families.outcome` over fits with weights: within each, and between them."""
    weight = np.array([w for w, _ in fits])
    each = np.array([families.outcome(f.model, f.u) for _, f in fits])
    mean, P = weight @ each, np.zeros((each.shape[1], each.shape[1]))
    for w, q, (_, f) in zip(weight, each, fits, strict=True):
        root = families.outcome_slopes(f.model, f.u) @ f.root
        P += w * (root @ root.T + np.outer(q - mean, q - mean))
    return mean, P


def _along(fits: tuple[tuple[float, Fit], ...], time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States (n, 6) and covariances (n, 6, 6) at ascending times, averaged over fits as in `mixed`."""
    each = [(w, *families.course(f.model, f.u, time), f.root) for w, f in fits]
    mean = np.sum([w * x for w, x, _, _ in each], axis=0)
    P = np.zeros((len(time), 6, 6))
    for w, x, slope, root in each:
        spread = slope @ root[: slope.shape[2]]
        P += w * (spread @ spread.transpose(0, 2, 1) + np.einsum("ni,nj->nij", x - mean, x - mean))
    return mean, P


def _value(q: np.ndarray, P: np.ndarray, i: int) -> Value:
    return Value(float(q[i]), math.sqrt(max(P[i, i], 0.0)) if np.isfinite(P[i, i]) else math.nan)


def _without_plan(plots: Plots, tracks: Tracks, arc: Arc) -> Boost | None:
    """Launch and burnout of what follows no class's boost, as far as the plots tell: see `arcs.origin` and `arcs.bracket`."""
    between, origin = arcs.bracket(plots, arc.fit, arc.first), arcs.origin(tracks, arc.first)
    if between is None and origin is None:
        return None
    nothing = np.full(3, math.nan), np.full((3, 3), math.nan), math.nan, math.nan
    point, P, time, sigma = origin or nothing
    low, high = between or (math.nan, math.nan)
    burnout = Value(0.5 * (low + high), (high - low) / (2.0 * 1.96))
    return Boost(Value(time, sigma), point, P, burnout, "", np.zeros(0), {})


def _nothing(plots: Plots, fitted: Fit | None, scenario: Any, boost: bool) -> Reconstruction:
    """Everything unknown, and why."""
    if fitted is None:
        raise CopfuseError(f"none of the {len(plots.time)} radar plots show free flight; name its begin by since=... if there is one")
    told = f"chi-squared/dof {fitted.chi2 / fitted.dof:.2f} and {int((~fitted.kept).sum())} plots refused"
    about = f"no boost: even the free flight has {told} (lift, or another burn?)" if boost else f"the free flight has {told}"
    about += "; no part of it describes its plots, so nothing follows from it and every interval is unknown (nan)"
    mine = plots[plots.time >= begin_of(fitted)]
    return _result([(1.0, fitted)], mine, scenario, about, Arc(fitted, math.nan, math.nan, True), None)


def _result(fits: list[tuple[float, Fit]], plots: Plots, scenario: Any, about: str, arc: Arc, powered: Boost | None) -> Reconstruction:
    fitted = fits[0][1]
    q, P = mixed(fits)
    if not fitted.honest:
        q[families.TOP :], P[:] = np.nan, np.nan
    elif arc.ended:
        _topped(q, P, arc)
        about += _cut(q, P, arc)
    if fitted.model.name:
        each = {name: sum(w for w, f in fits if f.model.name == name) for name in dict.fromkeys(f.model.name for _, f in fits)}
        place = q[families.PLACE], P[families.PLACE, families.PLACE]
        powered = Boost(_value(q, P, families.LAUNCH), *place, _value(q, P, families.TIME), fitted.model.name, fitted.u, each)
    used = plots[fitted.kept]
    log_beta = Value(float(fitted.u[6]), float(np.linalg.norm(fitted.root[6])) if fitted.honest else math.nan)
    top, when, down, far = (_value(q, P, i) for i in (families.TOP, families.WHEN, families.DOWN, families.RANGE))
    return Reconstruction(
        float(q[families.TIME]), q[families.X], P[families.X, families.X], log_beta, powered, top, when, down, q[families.POINT],
        P[families.POINT, families.POINT], far, fitted.chi2, fitted.dof, used.row, plots[~fitted.kept].row,
        _residuals(used, fitted, scenario), about, tuple(fits), _span_of(fits, q, arc),
    )  # fmt: skip


def _span_of(fits: list[tuple[float, Fit]], q: np.ndarray, arc: Arc) -> tuple[float, float]:
    """From the launch, or the free flight's begin, to the impact, or where the free flight ended; nan where the fit is none."""
    if not fits[0][1].honest:
        return math.nan, math.nan
    begin = max(begin_of(f) for _, f in fits)
    return begin, arc.last if arc.ended else float(np.nan_to_num(q[families.DOWN], nan=arc.last))


def _topped(q: np.ndarray, P: np.ndarray, arc: Arc) -> None:
    """Puts in the apogee of the free part alone: its fit, unlike a boost's, allows for what may push already."""
    alone, cov = mixed([(1.0, arc.fit)])
    top = [families.TOP, families.WHEN]
    P[top], P[:, top] = 0.0, 0.0
    q[top], P[np.ix_(top, top)] = alone[top], cov[np.ix_(top, top)]


def _cut(q: np.ndarray, P: np.ndarray, arc: Arc) -> str:
    """Takes out what lies beyond the end of a free flight that went on otherwise, and says so."""
    gone = [families.DOWN, *range(18)[families.POINT], families.RANGE]
    covered = arc.holds(float(q[families.WHEN]))
    gone += [] if covered else [families.TOP, families.WHEN]
    q[gone], P[gone], P[:, gone] = np.nan, np.nan, np.nan
    half = 0.5 * (arc.last - arc.first)
    P[families.WHEN, families.WHEN] += (UNSEEN * half / G0) ** 2
    P[families.TOP, families.TOP] += (0.5 * UNSEEN * half**2) ** 2
    told = "impact is" if covered else "apogee and impact are"
    return f"; it flew freely from {arc.first:.1f} to {arc.last:.1f} s only (then lift, or another burn?), so the {told} unknown"


def _residuals(used: Plots, fitted: Fit, scenario: Any) -> dict[str, tuple[int, np.ndarray]]:
    """Per sensor the number of plots and the root mean square of each component's residual over sigma."""
    off = np.where(used.have, batch.miss(used, fitted.model.states(fitted.u, used.time)) / used.sigma, np.nan)
    residuals = {}
    for k in np.unique(used.sensor):
        mine = off[used.sensor == k]
        count = np.isfinite(mine).sum(axis=0)
        residuals[scenario.sensors[k].name] = len(mine), np.sqrt(np.nansum(mine**2, axis=0) / np.where(count, count, np.nan))
    return residuals
