"""`copfuse bench filters`: microseconds per predict + update of this package's filters and of others, on the same data.

One falling object, one radar; every filter sees the same plots, and first has to give the same answers.  Times are CPU
times, medians over rounds in which every line takes its turn, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import csv
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from copfuse import customary, frames, kalman, rivals, robust
from copfuse import filters as bank
from copfuse.errors import CopfuseError
from copfuse.kernels import estimation, motions, sights
from copfuse.tables import replacing

EQUAL = 1e-6  # of the standard deviation: means; of the variances' geometric mean: covariances
TRACKS = 100
ABOUT = """Predict + update of one falling object (J2, rotating Earth, one Runge-Kutta step of 1 s; range, azimuth, elevation).
All get the same functions and analytic Jacobians.  Lines "as its users write it" have numpy models, and of Stone Soup its own
measurement model, angles and vectors: targets are judged on these.  Lines "with scalar models written for speed" have plain
floats in place of arrays and no wrapping of angles: the fastest found there, so that their ratios are lower; no target is judged
on them.  Unscented filters stand on the same points (kappa 0: cubature).  The IMMs have free fall, re-entry (here above the air) and
boost: in filterpy three UKFs of 9 states, as its dimensions must be equal, here 6, 9 and 8 states.  They are compared with switching
off, since mixing of unequal dimensions is not filterpy's, and timed with it on: this package's production filter with the models'
probabilities held, so that three of its five, or all, are computed at every step and none is left asleep."""
THREE = (motions.COAST, motions.REENTRY, motions.BOOST)
AWAKE = {3: (0.0, 0.6, 0.39999, 0.0, 1e-5), 5: (0.2, 0.2, 0.2, 0.2, 0.2)}  # probabilities that keep so many models computed
STEADY = np.where(np.isin(np.arange(motions.N_NOISE), (motions.LIFT_SHARE, motions.THRUST_JERK, motions.FLOW_RATE)), 0.0, bank.NOISE)
USERS, TUNED = "as its users write it", "with scalar models written for speed"


@dataclass(frozen=True)
class Line:
    """One filter: ``run`` does ``steps`` predict + updates; times are compared with those of the line ``base``."""

    name: str
    run: Callable[[], object]
    steps: int
    base: str = ""
    target: float = 0.0  # at least so many times the base's time; below 0: the base at most so many times this one's


def problem(plots: int = 200, step: float = 1.0) -> rivals.Problem:
    """An object climbing through 160 km as a radar 320 km away sees it every ``step`` s."""
    site = np.radians(38.0), np.radians(128.0)
    place = np.radians(40.0), np.radians(130.0)
    x = np.concatenate([frames.ecef(*place, 160e3), np.array([3500.0, -500.0, 1800.0]) @ frames.enu_axes(*place)])
    origin, axes = frames.ecef(*site, 100.0), frames.enu_axes(*site)
    rng = np.random.default_rng(0)
    sigma = np.tile([20.0, 1e-3, 1e-3, np.nan], (plots, 1))
    s, z = x.tolist(), []
    for _ in range(plots):
        s = rivals.stages(s, step)[1]
        z.append([*rivals.look(s, origin, axes), np.nan])
    P = np.diag([1e6] * 3 + [1e4] * 3)
    x = x + np.array([500.0, -300.0, 100.0, 20.0, 10.0, -30.0])
    Q, Q9, start = np.zeros((6, 6)), np.zeros((3, 9, 9)), _bank(x, P, 1, AWAKE[3])
    motions.add_process_noise(motions.COAST, x, Q, step, bank.NOISE)
    for k, model in enumerate(THREE):
        motions.add_process_noise(model, start.x[0, model], Q9[k], step, STEADY)
    x9, P9 = start.x[0, THREE], start.P[0, THREE]
    for k, model in enumerate(THREE):  # what a model does not use stands still
        unused = np.arange(motions.DIMENSION[model], 9)
        x9[k, unused], P9[k, unused, unused] = 0.0, 1.0
    return rivals.Problem(step, x, P, np.array(z) + sigma * rng.standard_normal(sigma.shape), sigma, origin, axes, Q, x9, P9, Q9)


# This package's filters ---------------------------------------------------------------------------------------------


def extended(p: rivals.Problem) -> rivals.Estimates:
    """`kalman.series`: all plots in one call."""
    new = kalman.series(0.0, p.x, p.P, p.step * np.arange(1.0, len(p.z) + 1), p.z, p.sigma, p.origin, p.axes)
    return new.x, new.P


def extended_scans(p: rivals.Problem, tracks: int) -> rivals.Estimates:
    """`kalman.step`, a call a scan, over ``tracks`` equal tracks; the first one's estimates."""
    x, P = np.tile(p.x, (tracks, 1)), np.tile(p.P, (tracks, 1, 1))
    xs, Ps = [], []
    for k, (z, sigma) in enumerate(zip(p.z, p.sigma, strict=True)):
        plots = np.broadcast_to(z, (tracks, 4)), np.broadcast_to(sigma, (tracks, 4))
        new = kalman.step(p.step * k, x, P, p.step * (k + 1), *plots, p.origin, p.axes)
        x, P = new.x, new.P
        xs.append(x[0])
        Ps.append(P[0])
    return np.array(xs), np.array(Ps)


def _work() -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Work arrays of `estimation.predict_model` and `sights.update_model`."""
    predicting = np.zeros((9, 9)), np.zeros((18, 9)), np.zeros((4, 9)), np.zeros(9)
    return predicting, (np.zeros((sights.ROWS, 9)), np.zeros((sights.SCRATCH, 9)), np.zeros(4, np.int64), np.zeros(sights.WORK))


def cubature(p: rivals.Problem) -> rivals.Estimates:
    """Free fall alone, of the models of the multiple-model filter, by cubature: two compiled calls a plot."""
    x, P = np.pad(p.x, (0, 3)), np.pad(p.P, (0, 3))
    predicting, updating = _work()
    xs, Ps = [], []
    for z, sigma in zip(p.z, p.sigma, strict=True):
        estimation.predict_model(motions.COAST, 6, x, P, p.step, bank.NOISE, *predicting)
        sights.update_model(6, x, P, p.origin, p.axes, 0, z, sigma, *updating)
        xs.append(x[:6].copy())
        Ps.append(P[:6, :6].copy())
    return np.array(xs), np.array(Ps)


def _bank(x, P, tracks: int, chances) -> bank.Bank:
    one = np.full(tracks, 5.0)
    start = np.tile(x, (tracks, 1)), np.tile(P, (tracks, 1, 1)), np.tile(chances, (tracks, 1))
    return bank.bank(0.0, *start, acceleration=np.zeros((tracks, 3)), acceleration_sigma=one)


def unswitched(p: rivals.Problem) -> rivals.Estimates:
    """The three models with switching off, by the kernels of the production filter, until one would fall asleep.

    Moments are over all three, as filterpy's: the production filter leaves out what is rarer than `estimation.RARE`.
    """
    now = _bank(p.x, p.P, 1, np.isin(np.arange(motions.N_MODEL), THREE) / 3.0)
    predicting, _ = _work()
    xs, Ps = [], []
    for z, sigma in zip(p.z, p.sigma, strict=True):
        for model in THREE:
            n = int(motions.DIMENSION[model])
            estimation.predict_model(model, n, now.x[0, model], now.P[0, model], p.step, STEADY, *predicting)
        if not (now.mu[0, THREE] > estimation.ASLEEP).all():
            break
        now = bank.update(now, z[None], sigma[None], p.origin, p.axes)
        x, P = _moments(now.mu[0, THREE], now.x[0, THREE, :6], now.P[0, THREE, :6, :6])
        xs.append(x)
        Ps.append(P)
    return np.array(xs), np.array(Ps)


def _moments(mu, x, P) -> tuple[np.ndarray, np.ndarray]:
    """Mean (6,) and covariance (6, 6) of a mixture: mu (k,), x (k, 6), P (k, 6, 6); about the first, so that nothing is lost."""
    mu = mu / mu.sum()
    off = x - x[0]
    d = off - mu @ off
    return x[0] + mu @ off, np.einsum("k,kab->ab", mu, P + d[:, :, None] * d[:, None, :])


def models(p: rivals.Problem, tracks: int, chances, computed: list[np.ndarray] | None = None) -> rivals.Estimates:
    """The production filter, `filters.predict` and `filters.update`, over ``tracks`` equal tracks; the first one's moments.

    The models' probabilities are put back to ``chances`` before every step; ``computed`` collects which models were computed.
    """
    now = _bank(p.x, p.P, tracks, chances)
    held = now.mu.copy()
    xs, Ps = [], []
    for k, (z, sigma) in enumerate(zip(p.z, p.sigma, strict=True)):
        now = bank.predict(replace(now, mu=held), p.step * (k + 1))
        if computed is not None:
            computed.append(now.mu[0] > estimation.ASLEEP)
        now = bank.update(now, np.tile(z, (tracks, 1)), np.tile(sigma, (tracks, 1)), p.origin, p.axes)
        xs.append(now.x6[0])
        Ps.append(now.P6[0])
    return np.array(xs), np.array(Ps)


# The lines, their answers and their times ---------------------------------------------------------------------------


def difference(one: rivals.Estimates, other: rivals.Estimates) -> float:
    """The largest difference: of means in standard deviations, of covariances relative to the variances' geometric mean."""
    (x, P), (y, Q) = one, other
    sd = np.sqrt(np.einsum("tii->ti", P))
    return float(max(np.abs((x - y) / sd).max(), np.abs((P - Q) / (sd[:, :, None] * sd[:, None, :])).max()))


def agreed(name: str, one: rivals.Estimates, other: rivals.Estimates) -> str:
    """A sentence about equal answers; raises `CopfuseError` where they are not equal."""
    worst = difference(one, other)
    if not worst <= EQUAL:
        raise CopfuseError(f"bench: {name} differ by {worst:.1e} of a standard deviation, more than {EQUAL:g}; no speed is printed")
    return f"  {name}: equal to {worst:.0e}"


def contest(p: rivals.Problem) -> tuple[list[str], list[Line]]:
    """What was checked and left out, and the lines to time: answers are compared here, before anything is timed."""
    n, said = len(p.z), []
    dense = problem(10 * n, 0.1)  # so many plots in one call that the call itself does not count
    ekf, ukf = extended(p), cubature(p)
    said.append(agreed("EKF, a call a scan and a call in all", extended_scans(p, 3), ekf))
    lines = [
        Line("EKF  copfuse, one call in all", lambda: extended(dense), 10 * n),
        Line(f"EKF  copfuse, {TRACKS} tracks a call", lambda: extended_scans(p, TRACKS), n * TRACKS),
        Line("EKF  copfuse, 1 track a call", lambda: extended_scans(p, 1), n),
    ]
    ours, scan = lines[0].name, lines[1].name
    if rivals.compiler():
        plain = rivals.compiled_c()
        said.append(agreed("EKF, copfuse and C", plain(dense), extended(dense)))
        lines.append(Line("EKF  plain C, one call in all", lambda: plain(dense), 10 * n, ours, -1.5))
    else:
        said.append("  no C compiler here: the line of plain C is left out")
    soup = rivals.stonesoup_version()
    if not soup:
        said.append("  Stone Soup is not installed (pip install 'copfuse[bench]'): its lines are left out")
    others: list[tuple[str, Callable[[rivals.Problem], rivals.Estimates], float]] = [
        (f"filterpy, {USERS}", customary.filterpy_extended, 100.0),
        (f"filterpy, {TUNED}", rivals.filterpy_extended, 0.0),
    ]
    if soup:
        others.append((f"Stone Soup, {USERS}", customary.stonesoup_extended, 500.0))
        others.append((f"Stone Soup, {TUNED}", lambda p: rivals.stonesoup(p, False), 0.0))
    for name, other, target in others:
        said.append(agreed(f"EKF, copfuse and {name}", other(p), ekf))
        lines.append(Line(f"EKF  {name}", partial(other, p), n, scan, target))
    one = Line("UKF  copfuse, 1 track a call", lambda: cubature(p), n)
    said.append(agreed(f"UKF, copfuse and filterpy, {TUNED}", rivals.filterpy_unscented(p), ukf))
    lines += [one, Line(f"UKF  filterpy, {TUNED}", lambda: rivals.filterpy_unscented(p), n, one.name)]
    if soup:
        said.append(agreed(f"UKF, copfuse and Stone Soup, {TUNED}", rivals.stonesoup(p, True), ukf))
        lines.append(Line(f"UKF  Stone Soup, {TUNED}", lambda: rivals.stonesoup(p, True), n, one.name))
    several, three = mixtures(p)
    return said + several, lines + three


def mixtures(p: rivals.Problem) -> tuple[list[str], list[Line]]:
    """What was checked of the multiple-model filters, and their lines."""
    n, off, said = len(p.z), np.eye(3), []
    alone = unswitched(p)
    for name, other in ((USERS, customary.filterpy_models), (TUNED, rivals.filterpy_models)):
        x, P = other(p, off)
        said.append(agreed(f"IMM, switching off, copfuse and filterpy, {name}", (x[: len(alone[0])], P[: len(alone[0])]), alone))
    said.append(agreed("IMM, filterpy's two", customary.filterpy_models(p), rivals.filterpy_models(p)))
    lines = []
    for count, chances in AWAKE.items():
        seen: list[np.ndarray] = []
        models(p, 1, chances, seen)
        if not (np.sum(seen, axis=1) == count).all():
            raise CopfuseError(f"bench: of the IMM's models {min(map(sum, seen))} to {max(map(sum, seen))} were computed, not {count}")
        lines.append(Line(f"IMM  copfuse, {count} models, {TRACKS} tracks a call", partial(models, p, TRACKS, chances), n * TRACKS))
    base = lines[0].name
    lines.append(Line("IMM  copfuse, 3 models, 1 track a call", partial(models, p, 1, AWAKE[3]), n))
    lines.append(Line(f"IMM  filterpy, 3 models, {USERS}", partial(customary.filterpy_models, p), n, base, 300.0))
    lines.append(Line(f"IMM  filterpy, 3 models, {TUNED}", partial(rivals.filterpy_models, p), n, base))
    return said, lines


def timed(lines: list[Line], seconds: float) -> dict[str, float]:
    """Median CPU time in microseconds per step of every line, over as many rounds as fit (at least one)."""
    found: dict[str, list[float]] = {line.name: [] for line in lines}
    for line in lines:
        line.run()
    end = time.perf_counter() + seconds
    while True:
        for line in lines:
            count, begin = 0, time.process_time()
            while (spent := time.process_time() - begin) < 2e-3 or not count:
                line.run()
                count += 1
            found[line.name].append(1e6 * spent / (count * line.steps))
        if time.perf_counter() >= end:
            return {name: float(np.median(values)) for name, values in found.items()}


def verdict(line: Line, took: dict[str, float]) -> tuple[float, str]:
    """How many times the base's time a line took (for a target below 0: the other way round), and whether that is the target."""
    if not line.base:
        return float("nan"), ""
    if line.target < 0.0:
        ratio = took[line.base] / took[line.name]
        return ratio, f"ours / C, at most {-line.target:g}: " + ("reached" if ratio <= -line.target else "not reached")
    ratio = took[line.name] / took[line.base]
    if not line.target:
        return ratio, ""
    return ratio, f"at least {line.target:g}: " + ("reached" if ratio >= line.target else "not reached")


def machine() -> str:
    """Processor, cores and versions."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        name = next((row.split(":")[1].strip() for row in info.read_text().splitlines() if row.startswith("model name")), name)
    parts = [f"{p} {version(p)}" for p in ("numpy", "numba", "filterpy")]
    soup = rivals.stonesoup_version()
    parts.append(f"Stone Soup {soup}" if soup else "no Stone Soup")
    return f"{name}, {os.cpu_count()} cores; Python {platform.python_version()}, " + ", ".join(parts)


# Compiling ----------------------------------------------------------------------------------------------------------

_LOAD = """
import resource, time
from copfuse import speed, study
took = []
for work in (lambda: study.run("hokkaido-2017", seed=0), speed.warm):
    for _ in range(2):
        begin = time.perf_counter(), time.process_time()
        work()
        took += [time.perf_counter() - begin[0], time.process_time() - begin[1]]
other = resource.getrusage(resource.RUSAGE_CHILDREN)
print(took[0] - took[2], took[1] + took[5] - took[3] - took[7] + other.ru_utime + other.ru_stime)
"""


def warm() -> None:
    """Call every kernel that a run, the record and the coverage map use, once."""
    from copfuse import coverage, laydowns, study

    study.run("hokkaido-2017", seed=0)
    coverage.coverage(laydowns.laydown("northeast-asia"), [39.2], [125.7])
    p = problem(2)
    extended(p)
    extended_scans(p, 1)


def cold() -> list[str]:
    """How long kernels take to be ready, beyond the work they then do: with an empty cache, and from it.

    The first run compiles in two processes (`warming`): what it takes longer than the next one, in seconds on the clock.  All kernels: CPU
    seconds of both processes.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "COPFUSE_CACHE": folder}
        (first, compiling), (_, loading) = (
            map(
                float,
                subprocess.run([sys.executable, "-c", _LOAD], env=environment, check=True, capture_output=True, text=True).stdout.split(),
            )
            for _ in range(2)
        )
    return [
        f"{what}: {value:.1f} s; below {limit:.0f} s: " + ("reached" if value < limit else "not reached")
        for what, value, limit in (
            ("the first run with an empty cache, longer than the next by", first, 25.0),
            ("all kernels compiled into an empty cache, CPU of both processes", compiling, 25.0),
            ("all kernels loaded from the cache, CPU", loading, 2.0),
        )
    ]


def filters(
    seconds: float = 20.0, table: Path | None = None, compiling: bool = False, say: Callable[[str], object] = print, steps: int = 0
) -> None:
    """Check that answers agree, time for about ``seconds``, and ``say`` a line each; ``table`` is a CSV file to write as well.

    compiling: also `cold`; steps: also so many of `robust.robust`.

    Raises `CopfuseError` where two filters that should agree do not.
    """
    say(machine())
    say(ABOUT)
    p = problem()
    said, lines = contest(p)
    say("Answers, in standard deviations, at most:")
    for sentence in said:
        say(sentence)
    took = timed(lines, seconds)
    width = max(len(line.name) for line in lines)
    say(f"\n{'':<{width}}{'us':>10}{'ratio':>9}")
    rows = []
    for line in lines:
        ratio, judged = verdict(line, took)
        shown = "" if np.isnan(ratio) else f"{ratio:.{2 if ratio < 10.0 else 0}f}" if ratio >= 0.1 else f"{ratio:.2g}"
        say(f"{line.name:<{width}}{took[line.name]:>10.2f}{shown:>9}  {judged}".rstrip())
        rows.append([line.name, f"{took[line.name]:.4f}", shown, line.base, judged])
    if compiling:
        for sentence in cold():
            say(sentence)
    if steps:
        say(str(robust.robust(steps)))
    if table:
        with replacing(table) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([["filter", "us_per_step", "ratio", "to", "verdict"], *rows])
