"""From the measured seeds to figures, each beside its target: the table that ``copfuse bench accuracy`` prints.

Intervals are those of a bootstrap over seeds, which are independent where times of one flight are not.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from copfuse import accuracy as measuring
from copfuse import charts, flights, measures, metrics, populations, simulate, workers
from copfuse import scenario as scenarios
from copfuse.accuracy import DELAYS, SOURCES, TRACKERS, Measured
from copfuse.constants import BOOST, GLIDE, MIDCOURSE, PHASES, TERMINAL
from copfuse.errors import CopfuseError
from copfuse.intervals import plural
from copfuse.scenario import Scenario

SOHAE = ("recorded-flight", 0)  # the packaged scenario and its launch whose place other recorded flights take
RESAMPLES = 1000
RATIO = {BOOST: 1.5, MIDCOURSE: 1.1, TERMINAL: 1.3}  # most error over bound
ANEES = {BOOST: 1.5, GLIDE: 2.0}  # most; in midcourse its 95 % band
ANEES_REAL = 2.0  # of a recorded flight, in every phase
ELLIPSE = {BOOST: (0.90, 1.0), MIDCOURSE: (0.93, 0.97), TERMINAL: (0.93, 0.97), GLIDE: (0.90, 1.0)}
DELAY = {"burnout": (5.0, 15.0), "reentry": (5.0, math.inf)}  # s, median and 95 %
VAGUE = metrics.GATE_MOST  # m: where the bound is above, no error can count, because further off nothing is matched
FALSE_A_DAY = 1.0  # firm tracks of nothing, per sensor
CUSTODY = 0.95  # of the time in coverage, of flights that glide or pull up
SELDOM = 0.1  # share of the flights below which what only so many of them have is not judged: a few flights hold all or none
CROWD = 8  # launches, more of which are flown only when they are asked for
SPENT = 1.7e-3  # s of a core for every second in which a missile is in the air, about: .6 to 6 s a seed
LAUNCH = 2.5  # s of a core for a launch of the record, likewise
LOADING = 8.0  # s until the kernels are loaded, likewise


@dataclass(frozen=True)
class Figure:
    """One figure: its value, its 95 % interval over seeds, how many seeds had it, and what was asked (``reached`` None: nothing)."""

    scenario: str
    bias: float
    phase: str  # "" for the whole flight
    source: str
    name: str
    value: float
    low: float
    high: float
    seeds: int
    target: str = ""
    reached: bool | None = None


HEADS = tuple(f.name for f in fields(Figure))


def rows(figures: Sequence[Figure]) -> list[tuple[Any, ...]]:
    """Figures as lines of a table under `HEADS`."""
    return [astuple(f) for f in figures]


def figures(results: Sequence[Measured], scenario: str, bias: float, real: bool) -> list[Figure]:
    """All figures of one scenario; ``real`` for a recorded flight.  Targets are for sensors without bias alone."""
    samples, at = _joined(results, "samples")
    delays, delay_at = _joined(results, "delays")
    custody, custody_at = _joined(results, "custody")
    lifts = np.unique(custody["object"][custody["phase"] == GLIDE])
    made: list[Figure] = []
    for phase in range(len(PHASES)):
        for source in range(len(SOURCES)):
            rule = _Rule(scenario, bias, PHASES[phase], SOURCES[source], len(results), bias == 0.0)
            mine = (samples["phase"] == phase) & (samples["source"] == source)
            like = GLIDE if phase == TERMINAL and len(lifts) else phase  # what has lift is judged as gliding until it is down
            made += _errors(rule, samples[mine], at[mine], like, source, real)
            # a real stage comes down under power, which no forecast from free flight can know
            made += _spots(replace(rule, judged=rule.judged and not (real and phase != BOOST)), samples[mine], at[mine], like)
            some = (custody["phase"] == phase) & (custody["source"] == source)
            made += _share(rule, "held", custody[some], custody_at[some], "held", "covered")
    for source in range(len(SOURCES)):
        rule = _Rule(scenario, bias, "", SOURCES[source], len(results), bias == 0.0)
        mine = delays["source"] == source
        made += _recognised(rule, delays[mine], delay_at[mine], real)
        some = (custody["source"] == source) & np.isin(custody["object"], lifts)
        asked = (lambda v: v >= CUSTODY) if source in TRACKERS and not real else None
        made += _share(rule, "custody", custody[some], custody_at[some], "held", "covered", f">= {CUSTODY:g}", asked)
        if real and source in TRACKERS:
            some = custody["source"] == source
            made += _share(rule, "lost", custody[some], custody_at[some], "lost", "double", "0", lambda v: v == 0.0)
    rule = _Rule(scenario, bias, "", "nations", len(results), bias == 0.0)
    false, days = np.array([[r.false, r.days] for r in results], float).T
    value, interval, seeds = _quotient(false, days, np.arange(len(results)), len(results), "false")
    made.append(rule.figure("false_a_day", value, interval, seeds, f"<= {FALSE_A_DAY:g}", lambda v: v <= FALSE_A_DAY))
    return made


@dataclass(frozen=True)
class _Rule:
    """What stands on every figure of one phase and source."""

    scenario: str
    bias: float
    phase: str
    source: str
    seeds: int
    judged: bool

    def figure(
        self, name: str, value: float, interval: tuple[float, float], seeds: int, target: str = "",
        asked: Callable[[float], bool] | None = None,
    ) -> Figure:  # fmt: skip
        """One figure, judged where something is asked, if not too few of the flights have it."""
        judged = self.judged and asked is not None and seeds >= SELDOM * self.seeds
        verdict = bool(asked(value)) if judged and asked else None
        place = self.scenario, self.bias, self.phase, self.source
        return Figure(*place, name, value, *interval, seeds, target if judged else "", verdict)


def _joined(results: Sequence[Measured], name: str) -> tuple[np.ndarray, np.ndarray]:
    """A column of structured rows of all seeds, and which result each is of."""
    parts = [getattr(r, name) for r in results]
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(p) for p in parts])


def bootstrap(top: np.ndarray, bottom: np.ndarray, name: str) -> tuple[float, float]:
    """95 % interval of sum(top) / sum(bottom), sums per seed (n,), by resampling seeds; ``name`` names the draws."""
    have = bottom > 0
    top, bottom = top[have], bottom[have]
    if len(top) < 2:
        return math.nan, math.nan
    draws = np.random.Generator(np.random.Philox(np.random.SeedSequence([0, *name.encode()])))
    weight = draws.multinomial(len(top), np.full(len(top), 1.0 / len(top)), RESAMPLES)
    low, high = np.quantile((weight @ top) / (weight @ bottom), [0.025, 0.975])
    return float(low), float(high)


def _quotient(top: np.ndarray, bottom: np.ndarray, at: np.ndarray, n: int, name: str) -> tuple[float, tuple[float, float], int]:
    """sum(top) / sum(bottom) over rows, its interval over seeds, and the number of seeds that have rows."""
    per_top, per_bottom = (np.bincount(at, weights=v, minlength=n) for v in (top, bottom))
    if not per_bottom.sum() > 0:
        return math.nan, (math.nan, math.nan), 0
    return float(per_top.sum() / per_bottom.sum()), bootstrap(per_top, per_bottom, name), int((per_bottom > 0).sum())


def _errors(rule: _Rule, samples: np.ndarray, at: np.ndarray, phase: int, source: int, real: bool) -> list[Figure]:
    """Error over bound and mean NEES of settled tracks.  Of pictures, which delays make older than the plots, nothing is asked.

    In boost the error is asked to be near the bound by the true model, where there is one; ``..._own`` is over the filters' own.
    A ratio of sums is ruled by the times of largest errors; ``..._even`` weighs all times alike (root mean squared ratio).
    """
    keep = samples["settled"] & (samples["bound_position"] < VAGUE**2)  # nan, before the first own plot, is out too
    samples, at = samples[keep], at[keep]
    if len(samples) == 0:
        return []
    tracker, made = source in TRACKERS, []
    planned = phase == BOOST and bool(np.isfinite(samples["true_position"]).all())
    for name in ("position", "velocity"):
        most = RATIO.get(phase) if tracker and not real else None
        made.append(_ratio(rule, name, samples, at, "true" if planned else "bound", most))
        even = samples[name] / np.maximum(samples[f"bound_{name}"], 1e-12)
        value, interval, seeds = _quotient(even, np.ones(len(even)), at, rule.seeds, rule.source + rule.phase + name + "even")
        made.append(rule.figure(f"{name}_even", math.sqrt(value), (math.sqrt(interval[0]), math.sqrt(interval[1])), seeds))
        if planned:
            made.append(replace(_ratio(rule, name, samples, at, "bound", None), name=f"{name}_own"))
    value, interval, seeds = _quotient(samples["nees"] / 6.0, np.ones(len(samples)), at, rule.seeds, rule.source + rule.phase + "nees")
    low, high = (edge / 6.0 for edge in measures.nees_bounds(seeds, 6))
    most = ANEES_REAL if real else ANEES.get(phase)
    target, floor = (f"<= {most}", 0.0) if most else (f"{low:.2f} to {high:.2f}", low)
    asked = (lambda v: floor <= v <= (most or high)) if tracker and (most or phase == MIDCOURSE) else None
    return [*made, rule.figure("anees", value, interval, seeds, target, asked)]


def _ratio(rule: _Rule, name: str, samples: np.ndarray, at: np.ndarray, model: str, most: float | None) -> Figure:
    """Root mean square error over root mean square bound, both over seeds and times."""
    value, interval, seeds = _quotient(samples[name], samples[f"{model}_{name}"], at, rule.seeds, rule.source + rule.phase + name)
    asked = (lambda v: v <= most) if most else None
    return rule.figure(name, math.sqrt(value), (math.sqrt(interval[0]), math.sqrt(interval[1])), seeds, f"<= {most}", asked)


def _spots(rule: _Rule, samples: np.ndarray, at: np.ndarray, phase: int) -> list[Figure]:
    """How often the 95 % ellipses of impact and launch hold the truth, and their median semi-major axis (km)."""
    low, high = ELLIPSE[phase]
    made = []
    for name in ("impact", "launch"):
        told = np.isfinite(samples[name])
        if not told.any():
            continue
        ones = np.ones(int(told.sum()))
        value, interval, seeds = _quotient(samples[name][told], ones, at[told], rule.seeds, rule.source + rule.phase + name)
        target = f">= {low}" if high == 1.0 else f"{low} to {high}"
        made.append(rule.figure(name, value, interval, seeds, target, lambda v: low <= v <= high))
        size = 1e-3 * float(np.median(samples[f"{name}_size"][told]))
        made.append(rule.figure(f"{name}_km", size, (math.nan, math.nan), seeds))
    return made


def _share(
    rule: _Rule, name: str, custody: np.ndarray, at: np.ndarray, top: str, bottom: str, target: str = "",
    asked: Callable[[float], bool] | None = None,
) -> list[Figure]:  # fmt: skip
    """The share of the seconds ``bottom`` that are ``top``."""
    parts = custody[top].astype(float), custody[bottom].astype(float)
    value, interval, seeds = _quotient(*parts, at, rule.seeds, rule.source + rule.phase + name)
    return [rule.figure(name, value, interval, seeds, target, asked)] if seeds else []


def _recognised(rule: _Rule, delays: np.ndarray, at: np.ndarray, real: bool) -> list[Figure]:
    """Median and 95 % quantile of each delay over seeds and missiles; a ``real`` stage re-enters under power, which is no free fall."""
    made = []
    for kind, name in enumerate(DELAYS):
        mine = delays["kind"] == kind
        value = delays["value"][mine]
        if len(value) == 0:
            continue
        for q, most, word in zip((0.5, 0.95), DELAY.get(name, (math.inf, math.inf)), ("median", "95"), strict=True):
            asked = (lambda v, most=most: v <= most) if math.isfinite(most) and not (real and name == "reentry") else None
            figure = float(np.quantile(value, q, method="inverted_cdf"))
            made.append(rule.figure(f"{name}_{word}", figure, (math.nan, math.nan), len(np.unique(at[mine])), f"<= {most:g} s", asked))
    return made


# The whole measurement -------------------------------------------------------------------------------------------------


def chosen(names: Sequence[str], folder: str | None = None, packaged: bool = True) -> list[Scenario]:
    """Scenarios by name (none: all ``packaged`` ones but large salvos and debris) and, from ``folder``, recorded flights in the place
    of the packaged one."""
    made = [scenarios.load(name) for name in names or (scenarios.scenarios() if packaged and not folder else ())]
    made = [one for one in made if names or not _crowded(one)]
    if folder:
        paths = sorted(Path(folder).glob("*.csv"))
        if not paths:
            raise CopfuseError(f"there is no recorded flight (.csv) in {folder!r}")
        base = scenarios.load(SOHAE[0])
        for path in paths:
            launch = replace(base.launches[SOHAE[1]], path=str(path.resolve()), name=path.stem)
            made.append(replace(base, name=path.stem, title=f"{path.stem} as if launched from Sohae", launches=(launch,)))
    return made


def _crowded(scenario: Scenario) -> bool:
    """Whether a scenario is one of many objects, which takes minutes a seed and tells of association more than of accuracy."""
    return len(scenario.launches) > CROWD or any(launch.separate or launch.debris for launch in scenario.launches)


def said_before(several: Sequence[Scenario], seeds: int, jobs: int, every: int | None, times: int) -> str:
    """One line on how long it takes, about, to measure scenarios and every n-th launch of the record, all of it some ``times``."""
    told, spent, n = [], 0.0, workers.jobs(jobs)
    if several:
        truths = [simulate.fly(one) for one in several]
        in_air = sum(float(np.ptp(truth.time[truth.object == k])) for truth in truths for k in measuring.missiles(truth))
        told.append(f"{plural(seeds, 'seed')} of {plural(len(several), 'scenario')}")
        spent += seeds * SPENT * in_air
    if every:
        some = len([row for row in flights.launches() if flights.flyable(row)][::every])
        told.append(f"{plural(some, 'launch', 'launches')} of the record")
        spent += some * LAUNCH
    spent = LOADING + spent * times / n
    length = f"{spent:.0f} s" if spent < 100.0 else f"{spent / 60.0:.0f} min"
    return f"{' and '.join(told)}: about {length} on {plural(n, 'core')}"


def accuracy(
    scenario: Scenario, bias: float, seeds: int, jobs: int, pictures: bool, folder: Path | None,
    say: Callable[[str], Any], progress: measuring.Progress = None,
) -> list[Figure]:  # fmt: skip
    """Fly one scenario under sensor biases scaled by ``bias``, measure ``seeds`` of it, say the table and draw it into ``folder``."""
    begin = time.perf_counter()
    one = replace(scenario, bias=bias)
    truth = simulate.fly(one)
    results = measuring.study(one, truth, seeds, jobs, pictures, progress=progress)
    made = figures(results, one.name, bias, any(launch.kind == "recorded" for launch in one.launches))
    title = f"{one.name}: {one.title}\n{populations.told(one, truth)}"
    say(_told(title, f"{seeds} seeds", bias, (time.perf_counter() - begin) / seeds, made))
    if folder:
        folder.mkdir(exist_ok=True)
        name = one.name + (f"-bias-{bias:g}" if bias else "")
        title = f"{one.title or one.name}: %s, {plural(seeds, 'seed')}, sensor biases x {bias:g}"
        for path in charts.draw(results, truth, title, folder / re.sub(r"[^\w.-]+", "-", name)):
            say(f"picture: {path}")
    return made


def accuracy_of_the_record(
    every: int, bias: float, jobs: int, say: Callable[[str], Any], progress: measuring.Progress = None
) -> list[Figure]:
    """Likewise for every n-th launch of the record, one seed each, without pictures."""
    begin = time.perf_counter()
    results = measuring.study_record(every, bias, jobs, progress)
    made = figures(results, "record", bias, False)
    title = f"record: every launch in {every} that can be flown"
    say(_told(title, f"{len(results)} launches", bias, (time.perf_counter() - begin) / len(results), made))
    return made


def _told(title: str, size: str, bias: float, seconds: float, made: list[Figure]) -> str:
    judged = "" if bias == 0 else " (what is asked of the filters is asked without)"
    return f"{title}\n{size}, sensor biases x {bias:g}{judged}, {seconds:.1f} s each\n{text(made)}\n"


def summary(made: Sequence[Figure]) -> str:
    """How many figures reached their targets, by figure."""
    told = ["Targets reached:"]
    for name in dict.fromkeys(f.name for f in made if f.reached is not None):
        for phase in ("", *PHASES):
            mine = [f for f in made if f.name == name and f.phase == phase and f.reached is not None]
            if mine:
                told.append(f"  {name:<16}{phase or 'whole flight':<14}{sum(bool(f.reached) for f in mine):4d} of {len(mine)}")
    return "\n".join([*told, "", *NOTES])


# The print -----------------------------------------------------------------------------------------------------------

NOTES = (
    "Error over bound: root mean squares over seeds from 10 s after firm, the newest in every 5 s, over that of the bound (where",
    "below 100 km) for the plots made in each seed: in boost by the true equations of motion (in brackets, and elsewhere: by",
    "the filters' own).  Where a silence leaves even the former above 100 km the latter begins anew, as tracks do.",
    "ANEES: mean normalised error squared of 6 components, over 6, with its 95 % interval; 1 is right.  Held: of the seconds",
    "in which the source had a plot within 10 s, the share with a firm track.  In 95 %: how often the ellipse held the true",
    "point, and its median semi-major axis.  Each seed flies a ballistic coefficient, a drag curve, a wandering attitude and a wind",
    "in its fall, and a thrust in boost that is off by some half a degree and 1 %, all its own and drawn from what filters and",
    "forecasts believe of them, aimed so that the velocity at burnout keeps its direction (not bodies with lift, nor recorded",
    "flights); the bound by the true equations knows how such pushes are drawn, not which.  A verdict names what misses its target,",
    f"or all that reached it; what fewer than {100 * SELDOM:.0f} % of the flights have is not judged.",
    "Filters are judged with unbiased sensors, because biases are estimated only where asked (copfuse run --register);",
    "pictures, older than their plots, by ellipses alone.",
)


def text(made: Sequence[Figure]) -> str:
    """The figures of one scenario as a table with a verdict per line."""
    heads = f"{'phase':<10}{'source':<14}{'held':>5}{'position':>14}{'velocity':>14}{'ANEES':>8}{'':<15}"
    lines = [f"{heads}{'impact in 95 %':>21}{'launch':>15}  verdict"]
    lines.append(f"{'':<24}{'%':>5}{'x bound':>14}{'x bound':>14}{'':>23}{'%':>13}{'km':>8}{'%':>8}{'km':>7}")
    for phase in PHASES:
        for source in SOURCES:
            mine = {f.name: f for f in made if f.phase == phase and f.source == source}
            if any(name in mine for name in ("anees", "impact")):
                lines.append(_line(phase, source, mine))
    whole = [f for f in made if not f.phase]
    for names, title in _WHOLE:
        for source in (*SOURCES, "nations"):
            mine = {f.name: f for f in whole if f.source == source and f.name in names}
            if mine:
                told = " ".join(f"{_WORDS[n][0]} {_written(n, f.value)}".strip() for n, f in mine.items())
                lines.append(f"{title:<28}{source:<14}{told:<46}  {_verdict(mine)}")
    return "\n".join(line.rstrip() for line in lines)


_WHOLE = (
    (("firm_median", "firm_95"), "first plot to firm track"),
    (("burnout_median", "burnout_95"), "burnout recognised after"),
    (("reentry_median", "reentry_95"), "re-entry recognised after"),
    (("custody",), "lifting flight, in coverage"),
    (("lost",), "two sensors on it, no track"),
    (("false_a_day",), "false firm tracks"),
)
_WORDS = {
    **{f"{n}_median": ("median", " s") for n in DELAYS}, **{f"{n}_95": ("95 %", " s") for n in DELAYS},
    "custody": ("held", " %"), "lost": ("lost", " %"),
    "false_a_day": ("", " per sensor-day"),
}  # fmt: skip


def _written(name: str, value: float) -> str:
    unit = _WORDS[name][1]
    return f"{100 * value if unit == ' %' else value:.1f}{unit}"


def _line(phase: str, source: str, mine: dict[str, Figure]) -> str:
    def cell(name: str, width: int, digits: int, scale: float = 1.0) -> str:
        return f"{scale * mine[name].value:{width}.{digits}f}" if name in mine else " " * (width - 1) + "-"

    def both(name: str) -> str:
        own = f" ({mine[f'{name}_own'].value:.2f})" if f"{name}_own" in mine else ""
        return cell(name, 7, 2) + f"{own:<7}"

    anees = mine.get("anees")
    interval = f" [{anees.low:.2f}, {anees.high:.2f}]" if anees and math.isfinite(anees.low) else ""
    numbers = cell("held", 5, 0, 100) + both("position") + both("velocity") + cell("anees", 8, 2) + f"{interval:<15}"
    return f"{phase:<10}{source:<14}{numbers}{cell('impact', 13, 1, 100)}{cell('impact_km', 8, 1)}" + (
        f"{cell('launch', 8, 1, 100)}{cell('launch_km', 7, 1)}  {_verdict(mine)}"
    )


def _verdict(mine: dict[str, Figure]) -> str:
    judged = [f for f in mine.values() if f.reached is not None]
    missed = [f"{f.name} {f.target}" for f in judged if not f.reached]
    if not judged:
        return ""
    return "not reached: " + ", ".join(missed) if missed else "reached: " + ", ".join(f"{f.name} {f.target}" for f in judged)
