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

from copfuse import batch, frames, vehicles
from copfuse.batch import Fit, Model, Plots
from copfuse.constants import BOOST
from copfuse.errors import CopfuseError
from copfuse.forecast import BEND
from copfuse.kernels import flight as kernel
from copfuse.kernels import motions
from copfuse.tables import Detections, Picture, Tracks, same_table
from copfuse.tracking import track

CLASSES = ("SRBM", "MRBM", "IRBM", "ICBM", "ICBM, solid")  # whose boosts are tried
PLAUSIBLE = 100.0  # robust cost above the least up to which a class's boost is looked at closely
REFUSED = 0.1  # share of the plots that the gate may refuse in a fit of the whole flight
LATER = 10.0  # s by which the begin of free flight moves on while the fit of it is not honest,
LATEST = 6  # so many times at most


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
    profile: str  # the missile class whose boost was fitted
    x: np.ndarray  # every parameter of the fit


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
    all sensors are tracked together and the longest firm track is taken.  A few false plots among them do no harm.
    ``biases`` marginalises the sensors' biases (default: where ``scenario.bias`` is above 0); ``boost=False`` fits the free
    flight alone; ``since`` says from what time on (s) the object flies freely, where the tracker need not find out.

    A boost is fitted with the profile of each class of `vehicles.PROFILES` as a weak prior and the best is kept, if its
    chi-squared is where it belongs; else ``boost`` is None and ``about`` says why.  Raises `CopfuseError` where the plots
    are too few or never show free flight.
    """
    biases = scenario.bias > 0 if biases is None else biases
    if rows is None:
        rows = _longest(detections, scenario)
    rows = np.unique(np.arange(len(detections))[rows])
    plots = batch.gather(detections, scenario, rows, biases)
    batch.enough(plots)
    radar = np.array([s.kind == "radar" for s in scenario.sensors])[plots.sensor]
    tracks = track(detections[rows], scenario, node="HUB")
    tracks = tracks[tracks.track == np.bincount(tracks.track).argmax()]
    begin = since if since is not None else _burnt_out(tracks, plots, ~radar)
    coast = _coast(plots[radar], tracks, begin, since is None)
    about = "free flight alone was asked for"
    best = None
    if boost:
        best, about = _boosted(plots, coast)
    if best is None and not coast.honest:
        about += "; the free flight does not describe its plots, so nothing follows from it and every interval is unknown (nan)"
    return _result(best or coast, plots if best else plots[radar & (plots.time >= _begin(coast))], scenario, about)


def _longest(detections: Detections, scenario: Any) -> np.ndarray:
    tracks = track(detections, scenario, node="HUB")
    firm = tracks[tracks.firm]
    if len(firm) == 0:
        raise CopfuseError(f"none of the {len(detections)} plots makes a firm track; name the plots of one object by rows=...")
    return plots_of(tracks, tracks.track == np.bincount(firm.track).argmax())


def _burnt_out(tracks: Tracks, plots: Plots, infrared: np.ndarray) -> float:
    """The time s after which the track climbs without burning and no satellite sees it any more."""
    top = int(frames.altitude(tracks.x[:, :3]).argmax())
    burning = np.flatnonzero(tracks.phase_probability[:top, BOOST] >= 0.5)
    last = tracks.time[burning[-1]] + 1e-3 if len(burning) else plots.time[0]
    seen = tracks.detection[infrared[tracks.detection]]
    return float(max(last, plots.time[seen].max(initial=-np.inf) + 1e-3))


def _begin(fitted: Fit) -> float:
    return fitted.model.of(fitted.u)[1]


def _coast(plots: Plots, tracks: Tracks, begin: float, search: bool) -> Fit:
    """The free flight from ``begin`` on, or (with ``search``) from a later time if it does not describe the plots before."""
    best: Fit | None = None
    for k in range(LATEST if search else 1):
        mine = plots[plots.time >= begin + k * LATER]
        if k and len(mine.time) < 2 * batch.FEWEST:
            break
        batch.enough(mine)
        model = batch.free(float(mine.time[0]))
        starts = [np.r_[x, model.mean[6]] for x in _traced(tracks, float(mine.time[0]))]
        errors = batch.loose(mine, 30.0)
        costs = [float(np.log1p(errors.white(batch.miss(mine, model.states(u, mine.time))[:, :, None]) ** 2).sum()) for u in starts]
        fitted = batch.fit(model, mine, starts[int(np.nanargmin(costs))])
        if best is None or fitted.chi2 / fitted.dof < best.chi2 / best.dof:
            best = fitted
        if fitted.honest:
            return fitted
    assert best is not None
    return best


def _traced(tracks: Tracks, time: float) -> list[np.ndarray]:
    """States (6) at ``time`` from a few of the track's later rows, traced back through empty space."""
    later = np.flatnonzero(tracks.time >= time)
    later = later if len(later) else np.array([len(tracks) - 1])
    return [_drift(tracks.x[i], time - tracks.time[i]) for i in np.unique(later[np.linspace(0, len(later) - 1, 12).astype(int)])]


def _drift(x: np.ndarray, dt: float) -> np.ndarray:
    s = np.append(x, np.zeros(3))
    motions.propagate(motions.COAST, 6, s, float(dt), np.zeros((4, 9)), np.zeros(9))
    return s[:6]


# The boost -----------------------------------------------------------------------------------------------------------


def _boosted(plots: Plots, coast: Fit) -> tuple[Fit | None, str]:
    """The best honest fit of the whole flight, or None, and one sentence on it."""
    before = plots.time < _begin(coast)
    if before.sum() < 3:
        return None, f"no boost: {before.sum()} plots before the free flight at {_begin(coast):.1f} s, 3 are needed"
    if not coast.honest:
        told = f"chi-squared/dof {coast.chi2 / coast.dof:.2f} and {int((~coast.kept).sum())} plots refused"
        return None, f"no boost: even the free flight has {told} (lift, or another burn?)"
    tried = [(0.0, *_guess(plots, coast, name)) for name in CLASSES]
    for wide in batch.WIDE:  # what is far behind the best even where errors count for little is given up
        tried = [(cost, model, u) for model, (u, cost) in ((m, batch.approach(m, plots, u, (wide,))) for _, m, u in tried)]
        least = min(cost for cost, _, _ in tried)
        tried = [trial for trial in tried if trial[0] < least + PLAUSIBLE]
    best = None
    for _, model, u in tried:
        u, surprise = batch.surprise(model, plots, u)
        if surprise < (best[0] if best else math.inf):
            best = surprise, model, u
    if best is None:
        return None, "no boost: none of the profiles comes near the plots"
    _, model, u = best
    fitted = batch.fit(model, plots, u)
    lost = int((~fitted.kept).sum())
    if lost > 2 + REFUSED * len(plots.time):
        return None, f"no boost: the best profile, of class {model.name}, leaves {lost} of {len(plots.time)} plots unexplained"
    if not fitted.honest:
        return None, f"no boost: the best profile, of class {model.name}, has chi-squared/dof {fitted.chi2 / fitted.dof:.2f}"
    return fitted, f"whole flight, with a boost like class {model.name}"


def _guess(plots: Plots, coast: Fit, name: str) -> tuple[Model, np.ndarray]:
    """A first boost: burnout where the free flight traced back leaves the plots, the rest by rule of thumb."""
    begin, x = _begin(coast), coast.u[:6]
    early = plots[plots.time < begin]
    path = np.array([_drift(x, t - begin) for t in early.time])
    off = np.where(early.have, batch.miss(early, path) / batch.loose(early, 5.0).sigma, 0.0)
    away = np.flatnonzero((off**2).sum(axis=1) > 20.0)
    burnout = float(early.time[away[-1]]) if len(away) else begin
    x = _drift(x, burnout - begin)
    lat, lon, high = (float(v[0]) for v in frames.geodetic(x))
    east, north, up = frames.enu_axes(lat, lon) @ x[3:]
    speed, level = math.hypot(east, north, up), math.hypot(east, north)
    angle, azimuth = math.atan2(up, level), math.atan2(east, north)
    burn = high / (0.4 * speed * math.sin(0.5 * (angle + 0.5 * math.pi)))
    site = frames.ground_point(lat, lon, BEND * high * level / max(up, 50.0), azimuth + math.pi)
    model = batch.powered(float(site[0]), float(site[1]), name)
    stages = vehicles.boost(vehicles.PROFILES[name], speed + 7.0 * burn + 150.0)
    short = burn / sum(s.burn for s in stages)
    tilt = 0.5 * (0.5 * math.pi - angle)
    u = model.mean.copy()
    u[2:5] = burnout, tilt * math.sin(azimuth), tilt * math.cos(azimuth)
    for k, stage in enumerate(stages):
        u[7 + 4 * k : 9 + 4 * k] = math.log(stage.thrust * stage.tau * -math.log1p(-stage.burn / stage.tau)), math.log(stage.burn * short)
    return model, u


# What follows from it ------------------------------------------------------------------------------------------------

# burnout time, state, launch time, point, apogee height, its time, impact time, point, ground range
_TIME, _X, _LAUNCH, _PLACE, _TOP, _WHEN, _DOWN, _POINT, _RANGE = 0, slice(1, 7), 7, slice(8, 11), 11, 12, 13, slice(14, 17), 17


def outcome(model: Model, u: np.ndarray) -> np.ndarray:
    """Everything (18) that is reported of the flight with parameters u; nan where it has none."""
    state, begin, stages, _, p = model.of(u)
    out = np.full(18, np.nan)
    out[_TIME] = stages[-1, kernel.END] if len(stages) else begin
    out[_X] = model.states(u, out[:1])[0]
    time, x, force, summary = np.empty(2), np.empty((2, 6)), np.empty((2, 3)), np.zeros(3)
    kernel.march(out[_X].copy(), float(out[_TIME]), np.zeros((0, 5)), np.array([np.inf]), p, False, time, x, force, summary)
    if summary[1] > out[_TIME]:
        out[_TOP], out[_WHEN] = summary[:2]
    if summary[2] > 0.0:
        out[_DOWN], out[_POINT] = time[1], x[1, :3]
    if len(stages):
        out[_LAUNCH], out[_PLACE] = begin, state[:3]
        if summary[2] > 0.0:
            lat, lon, _ = frames.geodetic(np.stack([state[:3], x[1, :3]]))
            out[_RANGE] = frames.ground_distance_bearing(lat[0], lon[0], lat[1], lon[1])[0]
    return out


def _result(fitted: Fit, plots: Plots, scenario: Any, about: str) -> Reconstruction:
    model, u = fitted.model, fitted.u
    q = outcome(model, u)
    root = model.slopes(lambda v: outcome(model, v), u) @ fitted.root
    P = root @ root.T
    if not fitted.honest:
        q[_TOP:], P[:] = np.nan, np.nan

    def value(i: int) -> Value:
        return Value(float(q[i]), math.sqrt(max(P[i, i], 0.0)) if np.isfinite(P[i, i]) else math.nan)

    powered = Boost(value(_LAUNCH), q[_PLACE], P[_PLACE, _PLACE], value(_TIME), model.name, u) if model.name else None
    used = plots[fitted.kept]
    off = np.where(used.have, batch.miss(used, model.states(u, used.time)) / used.sigma, np.nan)
    residuals = {}
    for k in np.unique(used.sensor):
        mine = off[used.sensor == k]
        count = np.isfinite(mine).sum(axis=0)
        rms = np.sqrt(np.nansum(mine**2, axis=0) / np.where(count, count, np.nan))
        residuals[scenario.sensors[k].name] = len(mine), rms
    log_beta = Value(float(u[6]), float(np.linalg.norm(fitted.root[6])) if fitted.honest else math.nan)
    return Reconstruction(
        float(q[_TIME]), q[_X], P[_X, _X], log_beta, powered, value(_TOP), value(_WHEN), value(_DOWN), q[_POINT],
        P[_POINT, _POINT], value(_RANGE), fitted.chi2, fitted.dof, used.row, plots[~fitted.kept].row, residuals, about,
    )  # fmt: skip
