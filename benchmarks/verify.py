"""Slow checks of what is promised, each a command that prints a table with a verdict per line.

    python benchmarks/verify.py reconstruct hokkaido-2017 --seeds 30

``reconstruct``: whether `copfuse.reconstruct` stands on the Cramer-Rao bound where a recursive filter cannot.  The bound is
*smoothed*: all plots of the flight, before and after, of who knows the equations of motion and lacks their parameters
(`sensitivity.slopes`), given when and how sharply the plots of each seed were made.  Sensors have no bias, each
seed flies a ballistic coefficient of its own (`accuracy.population`), and the bound believes of it what was drawn from.

    python benchmarks/verify.py salvos salvo-2-2019 --seeds 5

``salvos``: what a picture of many near-simultaneous objects is worth; `salvos` in this folder says how it is measured.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import click
import numpy as np
from joblib import Parallel, delayed, parallel_config
from scipy.stats import binom, chi2
from tqdm import tqdm

from copfuse import accuracy, bounds, filters, frames, motion, sensitivity, simulate, study, tracking
from copfuse import sensors as sensing
from copfuse.errors import CopfuseError
from copfuse.reconstruction import Reconstruction, reconstruct
from copfuse.scenario import Scenario, load
from copfuse.tables import Detections, Tracks
from copfuse.vehicles import GAP

MOST = 1.10  # RMSE over bound that is asked
STEP = 30.0  # s between states that are compared
BETA = 6  # place of the ballistic coefficient among a plan's parameters (`sensitivity.prior`)
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
    the truth (n,)."""

    name: str
    error: np.ndarray
    bound: np.ndarray
    held: np.ndarray


@dataclass(frozen=True)
class Result:
    """One seed: its samples, CPU s of the fit, what the fit says of itself, and why there is none."""

    seed: int
    samples: tuple[Sample, ...]
    seconds: float
    about: str
    refused: str = ""


# The bound -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limit:
    """What a plan's flight was, and a root (k, k) of the lowest covariance of its parameters given all plots."""

    plan: motion.Plan
    begin: float
    root: np.ndarray
    flown: motion.Trajectory


def limit(plan: motion.Plan, begin: float, detections: Detections, scenario: Scenario, sigma: np.ndarray) -> Limit:
    """The bound of the parameters of a plan's flight; ``sigma (k)`` of the prior, ``detections`` of this flight alone."""
    rows = []
    for k in np.unique(detections.sensor):
        mine, sensor = detections[detections.sensor == k], scenario.sensors[k]
        when = np.unique(mine.time)
        phi = sensitivity.slopes(plan, begin, when)[np.searchsorted(when, mine.time)]
        x = motion.states(plan, when - begin)[np.searchsorted(when, mine.time)]
        H = bounds.jacobian(x, *sensing.place(sensor, mine.time), sensor.cosines)
        weight = np.where(np.isnan(mine.sigma), 0.0, 1.0 / mine.sigma)
        rows.append((weight[:, :, None] * (np.nan_to_num(H) @ phi)).reshape(-1, len(sigma)))
    R = np.linalg.qr(np.vstack([np.eye(len(sigma)), np.concatenate(rows) * sigma]), mode="r")
    return Limit(plan, begin, sigma[:, None] * np.linalg.inv(R), motion.launch(plan))


def outcomes(lim: Limit) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """True value and derivatives by the plan's parameters of what `reconstruct` reports; points in m east and north of the truth."""
    plan, begin, flown = lim.plan, lim.begin, lim.flown
    k = len(lim.root)
    unit = np.eye(k)
    burns = [7 + 4 * i + 2 for i in range(len(plan.stages))]
    burnt = unit[2] + sum(s.burn * unit[i] for s, i in zip(plan.stages, burns, strict=True))
    top = int(flown.altitude.argmax())
    at = np.array([flown.time[top], flown.time[-1]]) + begin
    phi, x = sensitivity.slopes(plan, begin, at), flown.x[[top, -1]]
    gradient, steep = _climb(x[0])
    pace = motion.states(plan, at[:1] - begin + np.array([0.5])) - motion.states(plan, at[:1] - begin - 0.5)
    late = -(steep @ phi[0]) / float(steep @ pace[0])
    up, _ = _climb(x[1])
    down = -(up @ phi[1]) / float(up[:3] @ x[1, 3:])
    level = frames.enu_axes(*(v[0] for v in frames.geodetic(x[1])[:2]))[:2]
    total = begin + sum(s.burn for s in plan.stages) + GAP * (len(plan.stages) - 1)
    return {
        "launch point": (np.zeros(2), unit[:2]),
        "launch time": (np.array([begin]), unit[2:3]),
        "burnout": (np.array([total]), burnt[None]),
        "apogee": (flown.altitude[top : top + 1], (gradient @ phi[0])[None]),
        "apogee time": (at[:1], late[None]),
        "impact point": (np.zeros(2), level @ (phi[1, :3] + np.outer(x[1, 3:], down))),
        "impact time": (at[1:], down[None]),
    }


def _climb(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients (6) of the height and of its rate by a state."""

    def rate(y: np.ndarray) -> float:
        return float(frames.altitude(y[None, :3] + 0.5 * y[None, 3:])[0] - frames.altitude(y[None, :3] - 0.5 * y[None, 3:])[0])

    moves = np.diag(np.repeat([10.0, 0.1], 3))
    high = [frames.altitude((x + m)[None, :3])[0] - frames.altitude((x - m)[None, :3])[0] for m in moves]
    rates = [rate(x + m) - rate(x - m) for m in moves]
    size = 2.0 * moves.sum(axis=1)
    return np.array(high) / size, np.array(rates) / size


# One seed ------------------------------------------------------------------------------------------------------------


def one(scenario: Scenario, seed: int, own: bool, every: int = 1) -> Result:
    """Fly, see, fit and compare one seed; ``own``: the association of plots is the fit's own, else the true one."""
    scenario = accuracy.population(scenario, simulate.fly(scenario), seed)
    truth = simulate.fly(scenario)
    detections = simulate.detect(truth, scenario, seed=seed)[::every]
    launch = scenario.launches[0]
    plan = simulate.trajectories(launch)[0][0].plan
    sigma = sensitivity.prior(plan)
    sigma[BETA] = filters.LOG_BETA[1]
    lim = limit(plan, launch.at, detections[detections.object == 0], scenario, sigma)
    begin = time.process_time()
    try:
        found = reconstruct(detections, scenario, None if own else np.flatnonzero(detections.object == 0))
    except CopfuseError as error:
        return Result(seed, (), time.process_time() - begin, "", str(error))
    seconds = time.process_time() - begin
    tracks = tracking.track(detections, scenario, node="HUB")
    return Result(seed, (*compared(found, lim), *states(found, lim, detections, tracks)), seconds, found.about)


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
        samples.append(Sample(name, error[None], (root @ root.T)[None], _held(error[None], P[None])))
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
    true, root = motion.states(lim.plan, at - lim.begin), sensitivity.slopes(lim.plan, lim.begin, at) @ lim.root
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
            samples.append(Sample(prefix + name, error[:, part], bound[:, part, part], held))
    last, off = slice(0, 3), (x - true)[-1:, :3]
    samples.append(Sample("position, last", off, bound[-1:, last, last], _held(off, P[-1:, last, last])))
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
    """One quantity over all seeds: RMSE over bound with its 95 % interval, root mean square bound, share of regions that held the
    truth, of how many, in how many seeds, and between what chance would leave 95 % of such shares."""

    name: str
    ratio: float
    low: float
    high: float
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
    return replace(s, error=s.error[known], bound=s.bound[known], held=s.held[known])


def _line(name: str, mine: list[Sample]) -> Line:
    """Each seed and time weighs alike: squared errors are divided by the trace of their own bound before they are averaged."""
    n = len(mine)
    if n == 0:
        return Line(name, *[math.nan] * 5, 0, 0, (math.nan, math.nan))
    each = np.array([np.mean((s.error**2).sum(axis=1) / np.trace(s.bound, axis1=1, axis2=2)) for s in mine])
    ratio = math.sqrt(each.mean())
    low, high = _interval(each, mine)
    held = np.concatenate([s.held for s in mine])
    held = held[np.isfinite(held)]
    per_seed = np.array([np.nanmean(s.held) for s in mine if np.isfinite(s.held).any()])
    band = tuple(binom.ppf([0.025, 0.975], n, CHANCE) / n)
    size = math.sqrt(np.mean([np.trace(s.bound, axis1=1, axis2=2).mean() for s in mine]))
    return Line(name, ratio, low, high, size, float(per_seed.mean()), len(held), n, band)


def _interval(each: np.ndarray, mine: list[Sample]) -> tuple[float, float]:
    """95 % interval of the ratio: mean squares of n seeds are chi-squared with as many degrees of freedom as a seed's errors are
    independent, those of a Gaussian of the bound's shape at one time (Satterthwaite), or as their scatter over seeds shows."""
    n = len(each)
    own = np.mean([np.mean(np.trace(s.bound, axis1=1, axis2=2) ** 2 / (s.bound**2).sum(axis=(1, 2))) for s in mine])
    if max(len(s.error) for s in mine) > 1 and n > 2:
        own = 2.0 * each.mean() ** 2 / each.var(ddof=1)
    dof = n * own
    return tuple(math.sqrt(each.mean() * dof / chi2.ppf(q, dof)) for q in (0.975, 0.025))


def told(scenario: str, results: list[Result]) -> str:
    """The table."""
    head = f"{'quantity':<17}{'RMSE/bound':>10}{'95 % interval':>18}{'bound':>14}{'held':>8}{'band':>15}{'seeds':>7}  verdict"
    out = [f"reconstruct, {scenario}, {len(results)} seeds, sensors without bias: smoothed bound, all plots", head]
    for line in lines(results):
        _, unit, size = QUANTITIES[line.name]
        out.append(
            f"{line.name:<17}{line.ratio:>10.2f}{f'{line.low:.2f} to {line.high:.2f}':>18}{f'{line.bound / size:.3g} {unit}':>14}"
            f"{100 * line.held:>6.0f} %{f'{100 * line.band[0]:.0f} to {100 * line.band[1]:.0f} %':>15}{line.seeds:>7}  {line.verdict}"
        )
    out.append("The truth's boost is its class's and so what the fit expects beforehand: what few plots tell may err less.")
    seconds = np.array([r.seconds for r in results])
    out.append(f"CPU per fit, plots' association included: median {np.median(seconds):.1f} s, most {seconds.max():.1f} s")
    out += [f"seed {r.seed} refused: {r.refused}" for r in results if r.refused]
    kinds = [r.about for r in results if not r.refused]
    out += [f"{kinds.count(k)} x {k}" for k in sorted(set(kinds), key=kinds.count, reverse=True)[:6]]
    return "\n".join(out)


@click.group()
def main() -> None:
    """Slow checks of what is promised."""


@main.command("reconstruct")
@click.argument("names", nargs=-1)
@click.option("--seeds", default=30, show_default=True)
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option("--every", default=1, show_default=True, help="Keep every n-th plot.")
@click.option("--true-plots", is_flag=True, help="Give the fit the missile's plots, instead of leaving it to find them.")
@click.option("--each", is_flag=True, help="Print every seed as it comes.")
def reconstruct_command(names: tuple[str, ...], seeds: int, first: int, jobs: int, every: int, true_plots: bool, each: bool) -> None:
    """Whether a whole-flight fit stands on the smoothed bound, and its intervals hold (default: two scenarios)."""
    for name in names or ("hokkaido-2017", "lofted-icbm-2022"):
        scenario = replace(load(name), bias=0.0)
        with parallel_config("loky", inner_max_num_threads=1):
            made: Any = Parallel(n_jobs=jobs, return_as="generator", batch_size=1)(
                delayed(one)(scenario, seed, not true_plots, every) for seed in range(first, first + seeds)
            )
            results = []
            for result in tqdm(made, total=seeds, desc=name, disable=None):
                results.append(result)
                if each:
                    click.echo(_brief(result))
        click.echo(told(name, results) + "\n")


@main.command("salvos")
@click.argument("names", nargs=-1)
@click.option("--seeds", default=3, show_default=True)
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--regime", "regimes", multiple=True, help="Only this one; may be given more than once.")
@click.option("--bias/--no-bias", default=True, help="Sensors with the biases of the scenario, or without any.")
def salvos_command(names: tuple[str, ...], seeds: int, first: int, regimes: tuple[str, ...], bias: bool) -> None:
    """SIAP attributes and GOSPA of pictures of salvos, per regime and node, with verdicts (default: all packaged salvos)."""
    import salvos  # beside this file

    for name in names or salvos.NAMES:
        scenario = load(name) if bias else replace(load(name), bias=0.0)
        chosen = regimes or salvos.REGIMES
        with tqdm(total=seeds * len(chosen), desc=name, disable=None) as bar:
            found = salvos.measure(scenario, chosen, range(first, first + seeds), study.run, bar.update)
        click.echo(salvos.table(name + ("" if bias else ", sensors without bias"), found, seeds) + "\n")


def _brief(r: Result) -> str:
    """One seed: each quantity's error over its bound, which regions missed, what was fitted."""
    size = {s.name: _root_mean(s) for s in r.samples if np.isfinite(s.error).any()}
    cells = ", ".join(f"{name} {value:.2f}" for name, value in size.items())
    missed = ", ".join(s.name for s in r.samples if (s.held == 0.0).any() and not s.name.startswith("filter"))
    return f"seed {r.seed}, {r.seconds:.1f} s: {r.about or r.refused}; error/bound {cells}; missed at least once: {missed or 'none'}"


def _root_mean(s: Sample) -> float:
    return math.sqrt(np.nanmean((s.error**2).sum(axis=1) / np.trace(s.bound, axis1=1, axis2=2)))


if __name__ == "__main__":
    main()
