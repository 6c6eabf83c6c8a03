"""Whether `copfuse.reconstruct` stands on the Cramer-Rao bound of whole flights (`smoothed`): seeds flown, seen, fitted, compared.

Sensors have no bias, each seed flies a ballistic coefficient (`accuracy.population`) and a length of the pitch-over (`drawn`) of its
own, from what the fit and the bound believe beforehand: the plots begin after the pitch-over and hardly tell it.  A truth at the
mean of a prior that plots hardly change would err less than the bound, at some other place more, and neither would say anything of
the fit.  Few seeds leave much to chance: the table has beside each ratio that of an estimator which is on the bound, linear about the
truth, on the very same noise.
"""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import binom, chi2
from smoothed import BETA, HEAVY, STAGES, TURN, Limit, limit, outcomes

from copfuse import accuracy, families, filters, frames, motion, sensitivity, simulate, tracking
from copfuse.errors import CopfuseError
from copfuse.reconstruction import Reconstruction, reconstruct
from copfuse.scenario import Scenario
from copfuse.tables import Detections, Tracks, Truth

MOST = 1.10  # RMSE over bound that is asked
STEP = 30.0  # s between states that are compared
CHANCE = 0.95
# quantity: components, unit, its size
QUANTITIES = {
    "launch point": (2, "km", 1e3), "launch time": (1, "s", 1.0), "burnout": (1, "s", 1.0), "apogee": (1, "km", 1e3),
    "apogee time": (1, "s", 1.0), "impact point": (2, "km", 1e3), "impact time": (1, "s", 1.0), "position": (3, "m", 1.0),
    "velocity": (3, "m/s", 1.0), "position, last": (3, "m", 1.0), "filter position": (3, "m", 1.0), "filter velocity": (3, "m/s", 1.0),
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One quantity of one seed: errors (n, d), at n times or one; their lowest covariance (n, d, d); whether each 95 % region held
    the truth (n,); the errors (n, d) of the estimator that is on the bound, `Limit.error`."""

    name: str
    error: np.ndarray
    bound: np.ndarray
    held: np.ndarray
    least: np.ndarray
    step: np.ndarray = field(default_factory=lambda: np.zeros(1, int))  # which of the times that seeds share


@dataclass(frozen=True)
class Result:
    """One seed: its samples, CPU s of the fit, what the fit says of itself, and why there is none."""

    seed: int
    samples: tuple[Sample, ...]
    seconds: float
    about: str
    refused: str = ""


# One seed ------------------------------------------------------------------------------------------------------------


def one(scenario: Scenario, seed: int, own: bool, every: int = 1) -> Result:
    """Fly, see, fit and compare one seed; ``own``: the association of plots is the fit's own, else the true one."""
    scenario = accuracy.population(scenario, simulate.fly(scenario), seed)
    launch = scenario.launches[0]
    flown, about = simulate.trajectories(launch)[0]
    plan, turn = drawn(flown.plan, seed), flown.plan.turn[1]
    flown = motion.launch(plan)
    truth = Truth(
        flown.time + launch.at, np.zeros(len(flown.time), int), flown.x, flown.phase,
        {"objects": [{**about, "launch": 0}], "scenario": scenario.name},
    )  # fmt: skip
    detections = simulate.detect(truth, scenario, seed=seed)[::every]
    sigma = sensitivity.prior(plan)
    sigma[BETA], sigma[TURN] = filters.LOG_BETA[1], families.BOOST_SIGMA["turn"]
    sigma[STAGES + HEAVY :: 4] = families.BOOST_SIGMA["heavy"]
    off = np.zeros(len(sigma))
    off[BETA], off[TURN] = filters.LOG_BETA[0] - math.log(plan.beta), math.log(turn / plan.turn[1])
    lim = limit(plan, launch.at, detections[detections.object == 0], scenario, sigma, off)
    begin = time.process_time()
    try:
        found = reconstruct(detections, scenario, None if own else np.flatnonzero(detections.object == 0))
    except CopfuseError as error:
        return Result(seed, (), time.process_time() - begin, "", str(error))
    seconds = time.process_time() - begin
    tracks = tracking.track(detections, scenario, node="HUB")
    return Result(seed, (*compared(found, lim), *states(found, lim, detections, tracks)), seconds, found.about)


def drawn(plan: motion.Plan, seed: int) -> motion.Plan:
    """The plan with another length of its pitch-over, from the fit's prior, and the tilt with which it flies about as before."""
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, zlib.crc32(b"turn")])))
    longer = math.exp(families.BOOST_SIGMA["turn"] * float(stream.standard_normal()))
    east, north = (k * longer**families.TILTED for k in plan.kick)
    rise, pitch, blend = (t * longer for t in plan.turn)
    return replace(plan, turn=(rise, pitch, blend), kick=(east, north))


def compared(found: Reconstruction, lim: Limit) -> list[Sample]:
    """Errors of what is reported of launch, burnout, apogee and impact beside their bound."""
    told = {"apogee": found.apogee, "apogee time": found.apogee_time, "impact time": found.impact_time}
    spots = {"impact point": (found.impact_point, found.impact_P, lim.flown.x[-1, :3])}
    if found.boost is not None:
        told |= {"launch time": found.boost.time, "burnout": found.boost.burnout}
        spots["launch point"] = found.boost.point, found.boost.P, lim.flown.x[0, :3]
    samples = []
    for name, (value, slope) in outcomes(lim).items():
        root = slope @ lim.root
        if name in told:
            error, P = np.array([told[name].value]) - value, np.array([[told[name].sigma ** 2]])
        elif name in spots:
            point, cov, true = spots[name]
            axes = frames.enu_axes(*(v[0] for v in frames.geodetic(true)[:2]))[:2]
            error, P = axes @ (point - true), axes @ cov @ axes.T
        else:
            error, P = np.full(len(value), np.nan), np.full((len(value),) * 2, np.nan)
        samples.append(Sample(name, error[None], (root @ root.T)[None], _held(error[None], P[None]), (slope @ lim.error)[None]))
    return samples


def _held(error: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Whether 95 % regions with covariances P (n, d, d) hold the truth (n,); nan where there is none."""
    known = np.isfinite(P).all(axis=(1, 2)) & np.isfinite(error).all(axis=1)
    out = np.full(len(error), np.nan)
    d2 = np.einsum("ni,ni->n", error[known], np.linalg.solve(P[known], error[known][..., None])[..., 0])
    out[known] = d2 < chi2.ppf(CHANCE, error.shape[1])
    return out


def states(found: Reconstruction, lim: Limit, detections: Detections, tracks: Tracks) -> list[Sample]:
    """Errors of the state every `STEP` s while there are plots, of the fit and of the filter that made the track."""
    seen = detections.time[detections.object == 0]
    at = np.unique(np.r_[np.arange(STEP * math.ceil(seen.min() / STEP), seen.max(), STEP), seen.max()])
    near = np.array([(np.abs(seen - t) < STEP).any() for t in at])
    at = at[near & (at > lim.begin) & (at < lim.begin + lim.flown.time[-1])]
    true, slope = motion.states(lim.plan, at - lim.begin), lim.flow.slopes(at)
    root, least = slope @ lim.root, slope @ lim.error
    bound = root @ root.transpose(0, 2, 1)
    x, P = found.states(at)
    newest = _newest(tracks, detections, at)
    kalman, cov = np.full_like(x, np.nan), np.full_like(P, np.nan)
    kalman[newest >= 0], cov[newest >= 0] = tracks.x[newest[newest >= 0]], tracks.P[newest[newest >= 0]]
    moved = motion.states(lim.plan, np.where(newest >= 0, tracks.time[newest], at) - lim.begin)  # the filter's is of its newest plot
    samples = []
    for prefix, error, own in (("", x - true, P), ("filter ", kalman - moved, cov)):
        for name, part in (("position", slice(0, 3)), ("velocity", slice(3, 6))):
            held = _held(error[:, part], own[:, part, part])
            step = np.round(at / STEP).astype(int)
            samples.append(Sample(prefix + name, error[:, part], bound[:, part, part], held, least[:, part], step))
    last, off = slice(0, 3), (x - true)[-1:, :3]
    samples.append(Sample("position, last", off, bound[-1:, last, last], _held(off, P[-1:, last, last]), least[-1:, last]))
    return samples


def _newest(tracks: Tracks, detections: Detections, at: np.ndarray) -> np.ndarray:
    """The newest row of a firm track of the missile within 5 s before each time, -1 for none."""
    rows = np.flatnonzero(tracks.firm & (detections.object[tracks.detection] == 0))
    rows = rows[np.argsort(tracks.time[rows], kind="stable")]
    place = np.searchsorted(tracks.time[rows], at, side="right") - 1
    fresh = (place >= 0) & (at - tracks.time[rows][np.maximum(place, 0)] < 5.0)
    return np.where(fresh, rows[np.maximum(place, 0)], -1)


# What comes of all seeds ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One quantity over all seeds: RMSE over bound with its 95 % interval, that of the estimator on the bound with the same noise,
    root mean square bound, share of regions that held the truth, of how many, in how many seeds, and between what chance would leave
    95 % of such shares."""

    name: str
    ratio: float
    low: float
    high: float
    chance: float
    bound: float
    held: float
    regions: int
    seeds: int
    band: tuple[float, float]

    @property
    def verdict(self) -> str:
        """What can be said of the ratio, then of the regions."""
        if math.isnan(self.ratio):
            return "none"
        ratio = "open"
        if self.low > MOST or self.ratio <= MOST:
            ratio = f"above {MOST}" if self.low > MOST else f"at most {MOST}" if self.high <= MOST else "on the bound"
        regions = "too small" if self.held < self.band[0] else "too wide" if self.held > self.band[1] else "hold"
        return f"{ratio}; {regions}"


def lines(results: list[Result]) -> list[Line]:
    """Every quantity over all seeds that told it."""
    made = []
    for name in QUANTITIES:
        mine = [s for r in results for s in r.samples if s.name == name]
        mine = [_told(s) for s in mine]
        mine = [s for s in mine if len(s.error)]
        made.append(_line(name, mine))
    return made


def _told(s: Sample) -> Sample:
    known = np.isfinite(s.error).all(axis=1)
    return replace(s, error=s.error[known], bound=s.bound[known], held=s.held[known], least=s.least[known], step=s.step[known])


def _line(name: str, mine: list[Sample]) -> Line:
    """Each seed and time weighs alike: squared errors are divided by the trace of the bound at that time, averaged over the seeds.

    A seed's own bound is that of its own flight: what is far from linear in what was drawn (the site in the length of the
    pitch-over) errs more than it in half of the seeds and less in the others, however good the fit.
    """
    n = len(mine)
    if n == 0:
        return Line(name, *[math.nan] * 6, 0, 0, (math.nan, math.nan))
    step = np.concatenate([s.step for s in mine])
    trace = np.concatenate([np.trace(s.bound, axis1=1, axis2=2) for s in mine])
    size = dict(zip(np.unique(step), (trace[step == k].mean() for k in np.unique(step)), strict=True))
    each, least = (
        np.array([np.mean((e**2).sum(axis=1) / [size[k] for k in s.step]) for s, e in zip(mine, errors, strict=True)])
        for errors in ([s.error for s in mine], [s.least for s in mine])
    )
    ratio, chance = math.sqrt(each.mean()), math.sqrt(least.mean())
    low, high = _interval(each, mine)
    held = np.concatenate([s.held for s in mine])
    held = held[np.isfinite(held)]
    per_seed = np.array([np.nanmean(s.held) for s in mine if np.isfinite(s.held).any()])
    band = tuple(binom.ppf([0.025, 0.975], n, CHANCE) / n)
    large = math.sqrt(np.mean([np.trace(s.bound, axis1=1, axis2=2).mean() for s in mine]))
    return Line(name, ratio, low, high, chance, large, float(per_seed.mean()), len(held), n, band)


def _interval(each: np.ndarray, mine: list[Sample]) -> tuple[float, float]:
    """95 % interval of the ratio: mean squares of n seeds are chi-squared with as many degrees of freedom as their errors are
    independent, those of Gaussians with the seeds' bounds at one time (Satterthwaite: a seed with a large bound counts for more than
    others do), or as their scatter over seeds shows."""
    n = len(each)
    dof = np.sum([np.trace(s.bound[0]) for s in mine]) ** 2 / np.sum([(s.bound[0] ** 2).sum() for s in mine])
    if max(len(s.error) for s in mine) > 1 and n > 2:
        dof = 2.0 * n * each.mean() ** 2 / each.var(ddof=1)
    return tuple(math.sqrt(each.mean() * dof / chi2.ppf(q, dof)) for q in (0.975, 0.025))


def told(scenario: str, results: list[Result]) -> str:
    """The table."""
    head = f"{'quantity':<17}{'RMSE/bound':>10}{'95 % interval':>18}{'chance':>8}{'bound':>14}{'held':>8}{'band':>15}{'seeds':>7}  verdict"
    out = [f"reconstruct, {scenario}, {len(results)} seeds, sensors without bias: smoothed bound, all plots", head]
    for line in lines(results):
        _, unit, size = QUANTITIES[line.name]
        around, band = f"{line.low:.2f} to {line.high:.2f}", f"{100 * line.band[0]:.0f} to {100 * line.band[1]:.0f} %"
        out.append(
            f"{line.name:<17}{line.ratio:>10.2f}{around:>18}{line.chance:>8.2f}{f'{line.bound / size:.3g} {unit}':>14}"
            f"{100 * line.held:>6.0f} %{band:>15}{line.seeds:>7}  {line.verdict}"
        )
    seconds = np.array([r.seconds for r in results])
    out.append(f"CPU per fit, plots' association included: median {np.median(seconds):.1f} s, most {seconds.max():.1f} s")
    out += [f"seed {r.seed} refused: {r.refused}" for r in results if r.refused]
    kinds = [r.about for r in results if not r.refused]
    out += [f"{kinds.count(k)} x {k}" for k in sorted(set(kinds), key=kinds.count, reverse=True)[:6]]
    return "\n".join(out)


def brief(r: Result) -> str:
    """One seed: each quantity's error over its bound, which regions missed, what was fitted."""
    size = {s.name: _root_mean(s) for s in r.samples if np.isfinite(s.error).any()}
    cells = ", ".join(f"{name} {value:.2f}" for name, value in size.items())
    missed = ", ".join(s.name for s in r.samples if (s.held == 0.0).any() and not s.name.startswith("filter"))
    return f"seed {r.seed}, {r.seconds:.1f} s: {r.about or r.refused}; error/bound {cells}; missed at least once: {missed or 'none'}"


def _root_mean(s: Sample) -> float:
    return math.sqrt(np.nanmean((s.error**2).sum(axis=1) / np.trace(s.bound, axis1=1, axis2=2)))
