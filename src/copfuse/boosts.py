"""The powered part of a flight: which class's boost leads from the ground into a free flight that is known.

The free flight enters as one state with its covariance (`batch.Anchor`), so that a search flies boosts only.  Every
class of `CLASSES` is tried from several burn times; what each makes of the plots is weighed by its evidence (Kass and
Raftery, J. Am. Stat. Assoc. 90(430), 1995), classes alike beforehand.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from copfuse import batch, families, frames, vehicles
from copfuse.batch import Anchor, Fit, Plots
from copfuse.errors import CopfuseError
from copfuse.families import Model
from copfuse.forecast import BEND
from copfuse.kernels import motions

CLASSES = ("SRBM", "MRBM", "IRBM", "ICBM", "ICBM, solid")  # whose boosts are tried
QUICK = (1.0, 0.7)  # times the rule-of-thumb burn time: starts that are tried until one leads to a fit
PLAUSIBLE = 30.0  # cost above the least up to which a boost is looked at closely
ANYWAY = 3  # and how many are looked at closely whatever they cost
REFUSED = 0.1  # share of the plots that the gate may refuse in a fit of the whole flight
HOPELESS = 0.4  # share of the plots before the free flight that a boost worth a whole fit may leave out
AFTER = 20.0  # s after the free flight's begin at which it is known: at its begin itself the slopes by burnout time would jump
LIGHT = 0.02  # weight below which a class has no say
COARSELY = 0.1  # and below which its one best fit will do
TURNS = (-1.5, 1.5)  # standard deviations of its prior by which a boost's pitch-over is made shorter and longer, for another search
UNTOLD = 0.5  # share of its prior's standard deviation that plots leave to what they hardly tell
# means, standard deviation and shares of Gaussians whose sum is a Gaussian, all over its standard deviation
CELLS, CELL = (0.0, 0.9, -0.9, 1.8, -1.8), 0.616
SHARES = (0.4502, 0.2391, 0.2391, 0.0358, 0.0358)


def begin_of(fitted: Fit) -> float:
    """The time s at which a free flight's parameters are its state."""
    return fitted.model.of(fitted.u)[1]


def drift(x: np.ndarray, dt: float) -> np.ndarray:
    """State (6) that flies freely through empty space for ``dt`` s of either sign."""
    s = np.append(x, np.zeros(3))
    motions.propagate(motions.COAST, 6, s, float(dt), np.zeros((4, 9)), np.zeros(9))
    return s[:6]


def boosted(plots: Plots, coast: Fit, tries: int = len(QUICK)) -> tuple[list[tuple[float, Fit]], str]:
    """Honest fits of the whole flight with their weights (sum 1), best first, and one sentence on them; none: why."""
    early = plots[plots.time < begin_of(coast)]
    if len(early.time) < 3:
        return [], f"no boost: {len(early.time)} plots before the free flight at {begin_of(coast):.1f} s, 3 are needed"
    told = "no boost: none of the profiles comes near the plots"
    for quick in QUICK[:tries]:
        likely = searched(early, coast, quick)
        if not likely:
            continue
        _, model, u = likely[0]
        lost = int((~batch.gate(model, early, u)).sum())
        if lost > HOPELESS * len(early.time):
            told = f"no boost: the best profile, of class {model.name}, leaves {lost} of {len(early.time)} early plots unexplained"
            continue
        first = _whole(model, plots, u)
        told = _doubts(first) if first else f"no boost: the best profile, of class {model.name}, leaves hardly a plot explained"
        if first and not told:
            return _weighed(plots, first, likely)
    return [], told


def _whole(model: Model, plots: Plots, u: np.ndarray) -> Fit | None:
    """The fit of the whole flight, or None where it loses its plots."""
    try:
        return batch.fit(model, plots, u, ())
    except CopfuseError:
        return None


def _doubts(fitted: Fit) -> str:
    """Why a fit of the whole flight is not to be believed, or nothing."""
    lost, name = int((~fitted.kept).sum()), fitted.model.name
    if lost > 2 + REFUSED * len(fitted.kept):
        return f"no boost: the best profile, of class {name}, leaves {lost} of {len(fitted.kept)} plots unexplained"
    return "" if fitted.honest else f"no boost: the best profile, of class {name}, has chi-squared/dof {fitted.chi2 / fitted.dof:.2f}"


def _weighed(plots: Plots, first: Fit, likely: list[tuple[float, Model, np.ndarray]]) -> tuple[list[tuple[float, Fit]], str]:
    """The best fit and those of other classes that are worth a weight; classes of one shape start where it ended."""
    fits = [first]
    for surprise, model, u in likely[1:]:
        if surprise < likely[0][0] - 2.0 * math.log(LIGHT):
            # the guess puts all of a flight's classes at one site, so that their parameters mean the same
            alike = len(u) == len(first.u) and vehicles.PROFILES[model.name].turn == vehicles.PROFILES[first.model.name].turn
            other = _whole(model, plots, first.u if alike else u)
            fits += [other] if other and not _doubts(other) else []
    score = np.array([batch.evidence(f) for f in fits])
    weight = np.exp(-0.5 * (score - score.min()))
    weight /= weight.sum()
    order = [int(k) for k in np.argsort(-weight) if weight[k] >= LIGHT]
    share = weight[order].sum()
    kept = [(float(weight[k] / share), fits[k]) for k in order]
    each = ", ".join(f"{f.model.name} ({w:.0%})" for w, f in kept) if len(kept) > 1 else kept[0][1].model.name
    spread: list[tuple[float, Fit]] = []
    for w, one in kept:
        near = [f.u for _, f in spread if len(f.u) == len(one.u)]
        spread += [(w * share, f) for share, f in (cells(plots, one, near) if w > COARSELY else [(1.0, one)])]
    return sorted(spread, key=lambda part: -part[0]), f"whole flight, with a boost like class {each}"


def cells(plots: Plots, fitted: Fit, alike: list[np.ndarray]) -> list[tuple[float, Fit]]:
    """A fit's share and itself, or, where plots hardly tell how long the pitch-over took, fits with narrower priors of that.

    Together the priors are the class's; weighed by their evidence the fits follow the valley where it bends (a Gaussian sum:
    Sorenson & Alspach, Automatica 7(4), 1971).  One that ends nowhere has no say.
    ``alike``: parameters of other fits that may be near.
    """
    prior, k = fitted.model, families.TURNED
    cov = fitted.root[:, :-1] @ fitted.root[k, :-1]
    if cov[k] < (UNTOLD * prior.sigma[k]) ** 2:
        return [(1.0, fitted)]
    sigma = prior.sigma.copy()
    sigma[k] *= CELL
    made, ends = [], {0.0: fitted.u}
    for place, share in zip(CELLS, SHARES, strict=True):
        mean = prior.mean.copy()
        mean[k] += place * prior.sigma[k]
        one, two = ends.get(0.5 * place, fitted.u), ends[0.0]
        u = 2.0 * one - two if abs(one[k] - two[k]) > 0.1 else fitted.u + cov / cov[k] * (mean[k] - fitted.u[k])
        try:
            fit = batch.refit(fitted, replace(prior, mean=mean, sigma=sigma), plots, min([u, *alike], key=lambda v: abs(v[k] - mean[k])))
        except CopfuseError:
            continue
        ends[place] = fit.u
        made.append((batch.evidence(fit) - 2.0 * math.log(share), fit))
    score = np.array([s for s, _ in made] or [0.0])
    weight = np.exp(-0.5 * (score - score.min()))
    kept = [(float(w), f) for w, (_, f) in zip(weight, made, strict=True) if w >= LIGHT * weight.sum() and not _doubts(f)]
    total = sum(w for w, _ in kept)
    return [(w / total, f) for w, f in kept] if kept else [(1.0, fitted)]


def searched(early: Plots, coast: Fit, quick: float) -> list[tuple[float, Model, np.ndarray]]:
    """Each class's boost that explains the plots ``early`` well, with minus twice the log of its evidence, best first."""
    anchor = anchored(coast, _released(early, coast) + AFTER)
    tried = [(0.0, *guess(early, coast, name, quick)) for name in CLASSES]
    for wide in batch.WIDE:  # what is far behind the best even where errors count for little is given up
        tried = [(cost, model, u) for model, (u, cost) in ((m, batch.approach(m, early, u, (wide,), anchor)) for _, m, u in tried)]
        tried.sort(key=lambda trial: trial[0])
        tried = [trial for k, trial in enumerate(tried) if k < ANYWAY or trial[0] < tried[0][0] + PLAUSIBLE]
    weighed = []
    for _, model, u in tried:
        u, surprise = batch.surprise(model, early, u, anchor)
        if math.isfinite(surprise):
            weighed.append((surprise, replace(model, latest=math.inf), u))
    weighed.sort(key=lambda trial: trial[0])
    return sorted(weighed[:1] + _turned(early, anchor, *weighed[0][1:]), key=lambda t: t[0])[:1] + weighed[1:] if weighed else []


def _turned(early: Plots, anchor: Anchor, model: Model, u: np.ndarray) -> list[tuple[float, Model, np.ndarray]]:
    """Other ends of a class's search, from pitch-overs that are held shorter and longer at first.

    A pitch-over of a wrong length that begins with drag of a wrong size looks alike after it: a valley of its own, which a
    search that has begun in it does not leave.
    """
    found, k = [], families.TURNED
    for place in TURNS:
        mean, sigma, v = model.mean.copy(), model.sigma.copy(), u.copy()
        v[k] = mean[k] = mean[k] + place * sigma[k]
        sigma[k] *= 0.1
        v, _ = batch.approach(replace(model, mean=mean, sigma=sigma), early, v, batch.WIDE[1:], anchor)
        v, _ = batch.approach(model, early, v, batch.WIDE[-1:], anchor)
        v, surprise = batch.surprise(model, early, v, anchor)
        found += [(surprise, model, v)] if math.isfinite(surprise) else []
    return found


def _released(early: Plots, coast: Fit) -> float:
    """The time s by which the boost is over: the free flight's begin, or `AFTER` the last plot before a gap that is longer."""
    return float(min(begin_of(coast), early.time[-1] + AFTER))


def anchored(coast: Fit, time: float) -> Anchor:
    """What a free flight tells of the state at a time, before its begin as in empty space."""
    back = time - begin_of(coast)

    def state(u: np.ndarray) -> np.ndarray:
        return drift(u[:6], back) if back < 0.0 else coast.model.states(u, np.array([time]))[0]

    factor: Any = np.linalg.qr((coast.model.slopes(state, coast.u) @ coast.root).T, mode="r")
    return Anchor(time, state(coast.u), solve_triangular(factor.T, np.eye(6), lower=True))


def guess(early: Plots, coast: Fit, name: str, quick: float = 1.0) -> tuple[Model, np.ndarray]:
    """A first boost: burnout where the free flight traced back leaves the plots, the rest by rule of thumb."""
    begin, x = begin_of(coast), coast.u[:6]
    path = np.array([drift(x, t - begin) for t in early.time])
    off = np.where(early.have, batch.miss(early, path) / batch.loose(early, 5.0).sigma, 0.0)
    away = np.flatnonzero((off**2).sum(axis=1) > 20.0)
    burnout = float(early.time[away[-1]]) if len(away) else begin
    x = drift(x, burnout - begin)
    lat, lon, high = (float(v[0]) for v in frames.geodetic(x))
    east, north, up = frames.enu_axes(lat, lon) @ x[3:]
    speed, level = math.hypot(east, north, up), math.hypot(east, north)
    angle, azimuth = math.atan2(up, level), math.atan2(east, north)
    burn = quick * high / (0.4 * speed * math.sin(0.5 * (angle + 0.5 * math.pi)))
    site = frames.ground_point(lat, lon, BEND * high * level / max(up, 50.0), azimuth + math.pi)
    model = replace(families.powered(float(site[0]), float(site[1]), name), latest=_released(early, coast))
    stages = vehicles.boost(vehicles.PROFILES[name], speed + 7.0 * burn + 150.0)
    short = burn / sum(s.burn for s in stages)
    tilt = 0.5 * (0.5 * math.pi - angle)
    u = model.mean.copy()
    u[2:5] = burnout, tilt * math.sin(azimuth), tilt * math.cos(azimuth)
    for k, stage in enumerate(stages):
        u[7 + 4 * k : 9 + 4 * k] = math.log(stage.thrust * stage.tau * -math.log1p(-stage.burn / stage.tau)), math.log(stage.burn * short)
    return model, u
